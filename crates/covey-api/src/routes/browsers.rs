//! Browsers that are signed in, and out again.

use axum::{Extension, Json, extract::State, http::StatusCode};

use super::ApiState;
use crate::{
    access::Credential,
    convert::rfc3339,
    dto::{BrowserDto, BrowserList, SignedOutDto},
    extract::InPath,
    problem::Problem,
    sessions::SessionId,
};

/// The browsers that are signed in at this node.
#[utoipa::path(
    get,
    path = "/browsers",
    tag = "node",
    operation_id = "listBrowsers",
    responses((status = 200, description = "The browsers, the one that came first in front.", body = BrowserList))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Extension(credential): Extension<Credential>,
) -> Json<BrowserList> {
    let line = |(session, browser): (SessionId, covey_node::Browser)| BrowserDto {
        id: session.shown(),
        since: rfc3339(browser.since_ms),
        until: rfc3339(browser.until_ms),
        current: credential == Credential::Browser(session),
    };
    Json(BrowserList { items: state.access.sessions.all().into_iter().map(line).collect() })
}

/// Signs all browsers out.
#[utoipa::path(
    delete,
    path = "/browsers",
    tag = "node",
    operation_id = "signAllOut",
    responses((status = 200, description = "How many there were.", body = SignedOutDto))
)]
pub(super) async fn sign_all_out(State(state): State<ApiState>) -> Result<Json<SignedOutDto>, Problem> {
    let signed_out = state.access.sessions.end(|_| true);
    state.access.sessions.keep(&state.node).await?;
    Ok(Json(SignedOutDto { signed_out }))
}

/// Signs a browser out.
#[utoipa::path(
    delete,
    path = "/browsers/{browser}",
    tag = "node",
    operation_id = "signOut",
    responses((status = 204, description = "It is signed out."))
)]
pub(super) async fn sign_out(
    State(state): State<ApiState>,
    InPath(browser): InPath<String>,
) -> Result<StatusCode, Problem> {
    if state.access.sessions.end(|session| session.shown() == browser) == 0 {
        return Err(Problem::not_found(format!("there is no browser {browser:?} that is signed in")));
    }
    state.access.sessions.keep(&state.node).await?;
    Ok(StatusCode::NO_CONTENT)
}

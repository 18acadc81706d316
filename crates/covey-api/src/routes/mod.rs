//! The routes, and what every request passes first: place, credentials, and headers of the answer.

mod audit;
mod backup;
mod browsers;
mod chat;
mod delivery;
mod devices;
mod export;
mod import;
mod linking;
mod members;
mod node;
mod page;
mod participants;
mod profile;
mod records;
mod sockets;
mod spaces;
mod sql;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post, put},
};
use covey_node::Node;
use tokio::sync::watch;

use crate::{access::Access, events::EventLog, problem::Problem, web};

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) node: Node,
    pub(crate) access: Arc<Access>,
    pub(crate) events: Arc<EventLog>,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) addr: SocketAddr,
    /// How long a web socket's client may take to accept one message.
    pub(crate) send_timeout: Duration,
}

/// Nothing on a page but its own style; nobody may frame it.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) fn router(state: ApiState) -> Router {
    Router::new()
        .route("/", get(page::front))
        .route("/open", get(page::open))
        .merge(node_routes())
        .merge(space_routes())
        .merge(people_routes())
        .merge(chat_routes())
        .fallback(elsewhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(state.clone(), guard))
        .layer(middleware::map_response(add_headers))
        .with_state(state)
}

fn node_routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/status", get(node::status))
        .route("/api/v1/doctor", get(node::doctor))
        .route("/api/v1/peers", get(node::peers))
        .route("/api/v1/backup", post(backup::backup))
        .route("/api/v1/web-link", post(node::web_link))
        .route("/api/v1/browsers", get(browsers::list).delete(browsers::sign_all_out))
        .route("/api/v1/browsers/{browser}", delete(browsers::sign_out))
        .route("/api/v1/profile", get(profile::show).patch(profile::rename))
        .route("/api/v1/events", get(sockets::events))
        .route("/api/v1/join", post(spaces::join))
}

fn space_routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/spaces", get(spaces::list).post(spaces::create))
        .route("/api/v1/spaces/{space}", get(spaces::show))
        .route("/api/v1/spaces/{space}/invites", post(spaces::invite))
        .route("/api/v1/spaces/{space}/changes", get(spaces::changes))
        .route("/api/v1/spaces/{space}/watch", get(sockets::watch))
        .route("/api/v1/spaces/{space}/collections", get(spaces::collections))
        .route(
            "/api/v1/spaces/{space}/collections/{collection}/records",
            get(records::list).post(records::put),
        )
        .route(
            "/api/v1/spaces/{space}/collections/{collection}/records/{id}",
            get(records::one).patch(records::patch).delete(records::delete),
        )
        .route("/api/v1/spaces/{space}/collections/{collection}/records/{id}/sync", get(delivery::one))
        .route("/api/v1/spaces/{space}/collections/{collection}/sync", post(delivery::many))
        .route("/api/v1/spaces/{space}/deliveries", get(delivery::all))
        .route("/api/v1/spaces/{space}/sql", post(sql::sql))
        .route("/api/v1/spaces/{space}/collections/{collection}/import", post(import::import))
        .route("/api/v1/spaces/{space}/collections/{collection}/export", get(export::export))
}

fn people_routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/devices", get(devices::list))
        .route("/api/v1/devices/link", post(linking::link))
        .route("/api/v1/devices/join", post(linking::join))
        .route("/api/v1/devices/{device}", get(devices::one).patch(devices::rename).delete(devices::revoke))
        .route("/api/v1/spaces/{space}/members", get(members::list).post(members::add))
        .route(
            "/api/v1/spaces/{space}/members/{user}",
            get(members::one).patch(members::set_role).delete(members::remove),
        )
        .route("/api/v1/spaces/{space}/leave", post(members::leave))
        .route("/api/v1/spaces/{space}/rotate-key", post(members::rotate_key))
        .route("/api/v1/spaces/{space}/history", get(members::history).put(members::set_history))
        .route("/api/v1/spaces/{space}/audit", get(audit::audit))
}

fn chat_routes() -> Router<ApiState> {
    Router::new()
        .route("/api/v1/spaces/{space}/channels", get(chat::channels).post(chat::create))
        .route("/api/v1/spaces/{space}/direct", post(chat::direct))
        .route("/api/v1/spaces/{space}/channels/{channel}", get(chat::one).patch(chat::patch))
        .route("/api/v1/spaces/{space}/channels/{channel}/join", post(chat::join))
        .route("/api/v1/spaces/{space}/channels/{channel}/leave", post(chat::leave))
        .route("/api/v1/spaces/{space}/channels/{channel}/members", post(chat::add_member))
        .route(
            "/api/v1/spaces/{space}/channels/{channel}/members/{user}",
            patch(participants::set_role).delete(chat::remove_member),
        )
        .route("/api/v1/spaces/{space}/channels/{channel}/messages", get(chat::messages).post(chat::send))
        .route("/api/v1/spaces/{space}/channels/{channel}/read", put(chat::read))
        .route("/api/v1/spaces/{space}/channels/{channel}/draft", put(chat::draft))
        .route(
            "/api/v1/spaces/{space}/messages/{id}",
            get(chat::message).patch(chat::edit).delete(chat::delete),
        )
        .route(
            "/api/v1/spaces/{space}/messages/{id}/reactions/{emoji}",
            put(chat::react).delete(chat::take_back),
        )
        .route("/api/v1/spaces/{space}/channels/{channel}/typing", post(chat::typing))
        .route("/api/v1/spaces/{space}/presence", get(chat::presence))
        .route("/api/v1/presence", put(chat::set_presence))
        .route("/api/v1/spaces/{space}/search", get(chat::search))
}

/// A file of the web app, a place in it, or nothing.
async fn elsewhere(State(state): State<ApiState>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let asks = method == Method::GET || method == Method::HEAD;
    if asks && !is_api(&uri) {
        if let Some(file) = web::file(uri.path()) {
            return file.answer(&headers);
        }
        if web::document().is_some() && web::wants_page(&headers) {
            return page::front(State(state), headers).await;
        }
    }
    Problem::not_found(format!("there is nothing at {:?}", uri.path())).into_response()
}

fn is_api(uri: &Uri) -> bool {
    uri.path().starts_with("/api/")
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::wrong_method(format!("{:?} does not take {method}", uri.path()))
}

async fn guard(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    if let Err(problem) = state.access.check_place(request.uri(), request.headers()) {
        return problem.into_response();
    }
    // Pages and the sign-in link look at the credentials themselves, and answer in words for people.
    let is_place = web::document().is_some()
        && request.method() == Method::GET
        && !is_api(request.uri())
        && web::file(request.uri().path()).is_none()
        && web::wants_page(request.headers());
    let is_page = is_place || matches!(request.uri().path(), "/" | "/open");
    if !is_page {
        match state.access.check_credential(request.method(), request.headers()) {
            Ok(credential) => drop(request.extensions_mut().insert(credential)),
            Err(problem) => return problem.into_response(),
        }
    }
    next.run(request).await
}

async fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    for (name, value) in fixed {
        // The files of the app have their own policy, and may be kept.
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

//! The routes, and what every request passes first: place, credentials, and headers of the answer.

mod audit;
mod backup;
mod browsers;
mod chat;
mod delivery;
mod devices;
mod export;
mod import;
mod jobs;
mod linking;
mod members;
mod messages;
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
    routing::get,
};
use covey_node::Node;
use tokio::sync::watch;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{access::Access, events::EventLog, jobs::Jobs, problem::Problem, web};

pub(crate) use records::NDJSON;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) node: Node,
    pub(crate) access: Arc<Access>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) jobs: Arc<Jobs>,
    /// Becomes true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) addr: SocketAddr,
    /// How long a web socket's client may take to accept one message.
    pub(crate) send_timeout: Duration,
}

/// Nothing on a page but its own style; nobody may frame it.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) fn router(state: ApiState) -> Router {
    let (api, _) = api().split_for_parts();
    Router::new()
        .route("/", get(page::front))
        .route("/open", get(page::open))
        .merge(api)
        .fallback(elsewhere)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(state.clone(), guard))
        .layer(middleware::map_response(add_headers))
        .with_state(state)
}

/// Everything under `/api/v1`, with its description: a route can't be in one and not in the other.
pub(crate) fn api() -> OpenApiRouter<ApiState> {
    let routes = OpenApiRouter::new().merge(node_routes()).merge(space_routes()).merge(record_routes());
    OpenApiRouter::new().nest("/api/v1", routes.merge(people_routes()).merge(chat_routes()))
}

fn node_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(node::document))
        .routes(routes!(node::status))
        .routes(routes!(node::doctor))
        .routes(routes!(node::peers))
        .routes(routes!(node::web_link))
        .routes(routes!(browsers::list, browsers::sign_all_out))
        .routes(routes!(browsers::sign_out))
        .routes(routes!(profile::show, profile::rename))
        .routes(routes!(sockets::events))
        .routes(routes!(backup::backup))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::one, jobs::cancel))
}

fn space_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(spaces::join))
        .routes(routes!(spaces::list, spaces::create))
        .routes(routes!(spaces::show))
        .routes(routes!(spaces::invite))
        .routes(routes!(spaces::withdraw))
        .routes(routes!(spaces::changes))
        .routes(routes!(sockets::watch))
        .routes(routes!(spaces::collections))
        .routes(routes!(delivery::all))
        .routes(routes!(sql::sql))
}

fn record_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(records::list, records::put))
        .routes(routes!(records::one, records::patch, records::delete))
        .routes(routes!(delivery::one))
        .routes(routes!(delivery::many))
        .routes(routes!(import::import))
        .routes(routes!(export::export))
}

fn people_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(devices::list))
        .routes(routes!(linking::link))
        .routes(routes!(linking::withdraw))
        .routes(routes!(linking::join))
        .routes(routes!(devices::one, devices::rename, devices::revoke))
        .routes(routes!(members::list, members::add))
        .routes(routes!(members::one, members::set_role, members::remove))
        .routes(routes!(members::leave))
        .routes(routes!(members::rotate_key))
        .routes(routes!(members::history, members::set_history))
        .routes(routes!(audit::audit))
}

fn chat_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(chat::channels, chat::create))
        .routes(routes!(chat::direct))
        .routes(routes!(chat::one, chat::patch))
        .routes(routes!(chat::join))
        .routes(routes!(chat::leave))
        .routes(routes!(chat::add_member))
        .routes(routes!(participants::set_role, chat::remove_member))
        .routes(routes!(chat::typing))
        .routes(routes!(chat::presence))
        .routes(routes!(chat::set_presence))
        .routes(routes!(messages::messages, messages::send))
        .routes(routes!(messages::read))
        .routes(routes!(messages::draft))
        .routes(routes!(messages::message, messages::edit, messages::delete))
        .routes(routes!(messages::react, messages::take_back))
        .routes(routes!(messages::search))
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

//! What the node is and how it does.

use std::sync::LazyLock;

use axum::{Json, extract::State, http::header, response::IntoResponse};
use bytes::Bytes;

use super::ApiState;
use crate::{
    convert,
    dto::{DoctorDto, PeerDto, StatusDto, WebLinkDto, words},
    problem::Problem,
    server,
};

/// What the node is and how it stands: its network, peers, spaces and devices.
#[utoipa::path(
    get,
    path = "/status",
    tag = "node",
    operation_id = "getStatus",
    responses((status = 200, description = "How it stands.", body = StatusDto))
)]
pub(super) async fn status(State(state): State<ApiState>) -> Result<Json<StatusDto>, Problem> {
    let mut status = convert::status(state.node.status().await?);
    status.devices = super::devices::own(&state.node).await;
    Ok(Json(status))
}

/// The other devices that are known: all of them, in one piece.
///
/// They are the devices of members of this node's spaces, and at most 4096 others that are near.
#[utoipa::path(
    get,
    path = "/peers",
    tag = "node",
    operation_id = "listPeers",
    responses((status = 200, description = "The devices.", body = Vec<PeerDto>))
)]
pub(super) async fn peers(State(state): State<ApiState>) -> Json<Vec<PeerDto>> {
    Json(state.node.peers().await.into_iter().map(convert::peer).collect())
}

/// Looks at what may be wrong, and says what to do about it.
#[utoipa::path(
    get,
    path = "/doctor",
    tag = "node",
    operation_id = "runDoctor",
    responses((status = 200, description = "What was found.", body = DoctorDto))
)]
pub(super) async fn doctor(State(state): State<ApiState>) -> Json<DoctorDto> {
    let checks: Vec<_> = state.node.doctor().await.into_iter().map(convert::check).collect();
    Json(checks.into())
}

/// Makes a link that signs one browser in, once.
#[utoipa::path(
    post,
    path = "/web-link",
    tag = "node",
    operation_id = "makeWebLink",
    responses((status = 200, description = "The link.", body = WebLinkDto))
)]
pub(super) async fn web_link(State(state): State<ApiState>) -> Json<WebLinkDto> {
    Json(WebLinkDto { link: server::web_link(state.addr, &state.access) })
}

/// This description of the API, in OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "node",
    operation_id = "getOpenApi",
    responses((status = 200, description = "The document.", body = words::Document))
)]
pub(super) async fn document() -> impl IntoResponse {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| crate::openapi().into());
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone())
}

//! What the node is and how it does.

use axum::{Json, extract::State};

use super::ApiState;
use crate::{
    convert,
    dto::{DoctorDto, PeerDto, StatusDto, WebLinkDto},
    problem::Problem,
    server,
};

pub(super) async fn status(State(state): State<ApiState>) -> Result<Json<StatusDto>, Problem> {
    let mut status = convert::status(state.node.status().await?);
    status.devices = super::devices::own(&state.node).await;
    Ok(Json(status))
}

pub(super) async fn peers(State(state): State<ApiState>) -> Json<Vec<PeerDto>> {
    Json(state.node.peers().await.into_iter().map(convert::peer).collect())
}

pub(super) async fn doctor(State(state): State<ApiState>) -> Json<DoctorDto> {
    let checks: Vec<_> = state.node.doctor().await.into_iter().map(convert::check).collect();
    Json(checks.into())
}

pub(super) async fn web_link(State(state): State<ApiState>) -> Json<WebLinkDto> {
    Json(WebLinkDto { link: server::web_link(state.addr, &state.access) })
}

//! Adding a device to this user's, and becoming one.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use covey_types::limits::DEFAULT_INVITE_MS;

use super::ApiState;
use crate::{
    convert,
    dto::{InviteDto, JoinRequest, LinkedDto, NewLink},
    extract::InJson,
    limits::{DEFAULT_JOIN, MAX_JOIN},
    problem::Problem,
};

pub(super) async fn link(
    State(state): State<ApiState>,
    InJson(new): InJson<NewLink>,
) -> Result<(StatusCode, Json<InviteDto>), Problem> {
    let expires = new.expires_s.map_or(Duration::from_millis(DEFAULT_INVITE_MS), Duration::from_secs);
    let invitation = state.node.link_device(expires).await?;
    Ok((StatusCode::CREATED, Json(convert::invitation(invitation))))
}

pub(super) async fn join(
    State(state): State<ApiState>,
    InJson(request): InJson<JoinRequest>,
) -> Result<Json<LinkedDto>, Problem> {
    let timeout = request.timeout_s.map_or(DEFAULT_JOIN, Duration::from_secs).min(MAX_JOIN);
    let linked = state.node.link_to(&request.code, timeout).await?;
    Ok(Json(convert::linked(linked, state.node.identity())))
}

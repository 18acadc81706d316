//! Adding a device to this user's, and becoming one.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use covey_types::limits::DEFAULT_INVITE_MS;

use super::ApiState;
use crate::{
    convert,
    dto::{InviteDto, JoinRequest, LinkedDto, NewLink, ProblemDto, WithdrawnDto},
    extract::{InJson, InPath},
    limits::{DEFAULT_JOIN, MAX_JOIN},
    problem::Problem,
};

/// Makes a code by which a further device becomes one of this user's.
#[utoipa::path(
    post,
    path = "/devices/link",
    tag = "devices",
    operation_id = "linkDevice",
    request_body = NewLink,
    responses((status = 201, description = "The invitation.", body = InviteDto))
)]
pub(super) async fn link(
    State(state): State<ApiState>,
    InJson(new): InJson<NewLink>,
) -> Result<(StatusCode, Json<InviteDto>), Problem> {
    let expires = new.expires_s.map_or(Duration::from_millis(DEFAULT_INVITE_MS), Duration::from_secs);
    let invitation = state.node.link_device(expires).await?;
    Ok((StatusCode::CREATED, Json(convert::invitation(invitation))))
}

/// Takes a code for a further device back before its time.
#[utoipa::path(
    delete,
    path = "/devices/link/{id}",
    tag = "devices",
    operation_id = "withdrawLink",
    responses(
        (status = 200, description = "It is over.", body = WithdrawnDto),
        (status = 404, description = "This run of the node has made no such code.", body = ProblemDto, content_type = "application/problem+json"),
        (status = 409, description = "It was used.", body = ProblemDto, content_type = "application/problem+json")
    )
)]
pub(super) async fn withdraw(
    State(state): State<ApiState>,
    InPath(id): InPath<String>,
) -> Result<Json<WithdrawnDto>, Problem> {
    Ok(Json(convert::withdrawn(state.node.withdraw_link(&id).await?)))
}

/// Makes this device one of another user's, by a code or a link of theirs.
#[utoipa::path(
    post,
    path = "/devices/join",
    tag = "devices",
    operation_id = "joinAsDevice",
    request_body = JoinRequest,
    responses(
        (status = 200, description = "It is one of theirs.", body = LinkedDto),
        (status = 410, description = "The code has expired.", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "The other device did not let this one in.", body = ProblemDto, content_type = "application/problem+json"),
        (status = 504, description = "Nobody answered, or it took too long.", body = ProblemDto, content_type = "application/problem+json")
    )
)]
pub(super) async fn join(
    State(state): State<ApiState>,
    InJson(request): InJson<JoinRequest>,
) -> Result<Json<LinkedDto>, Problem> {
    let timeout = request.timeout_s.map_or(DEFAULT_JOIN, Duration::from_secs).min(MAX_JOIN);
    let linked = state.node.link_to(&request.code, timeout).await?;
    Ok(Json(convert::linked(linked, state.node.identity())))
}

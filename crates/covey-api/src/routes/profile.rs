//! What this node's user is called.

use axum::{Json, extract::State};

use super::ApiState;
use crate::{
    dto::{NewProfile, ProfileDto},
    extract::InJson,
    problem::Problem,
};

fn told(state: &ApiState) -> Json<ProfileDto> {
    let me = state.node.identity();
    Json(ProfileDto { user: me.user.to_string(), name: me.user_name })
}

/// What this node's user is called.
#[utoipa::path(
    get,
    path = "/profile",
    tag = "node",
    operation_id = "getProfile",
    responses((status = 200, description = "The user.", body = ProfileDto))
)]
pub(super) async fn show(State(state): State<ApiState>) -> Json<ProfileDto> {
    told(&state)
}

/// Has the user called otherwise, on all their devices and in all their spaces.
#[utoipa::path(
    patch,
    path = "/profile",
    tag = "node",
    operation_id = "renameUser",
    request_body = NewProfile,
    responses((status = 200, description = "The user as they are called now.", body = ProfileDto))
)]
pub(super) async fn rename(
    State(state): State<ApiState>,
    InJson(NewProfile { name }): InJson<NewProfile>,
) -> Result<Json<ProfileDto>, Problem> {
    state.node.rename_user(&name).await?;
    Ok(told(&state))
}

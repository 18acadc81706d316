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

pub(super) async fn show(State(state): State<ApiState>) -> Json<ProfileDto> {
    told(&state)
}

pub(super) async fn rename(
    State(state): State<ApiState>,
    InJson(NewProfile { name }): InJson<NewProfile>,
) -> Result<Json<ProfileDto>, Problem> {
    state.node.rename_user(&name).await?;
    Ok(told(&state))
}

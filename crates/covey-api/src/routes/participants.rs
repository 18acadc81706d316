//! What somebody may do in a channel: named an admin of it, and no more.

use axum::{Json, extract::State};

use super::{ApiState, chat};
use crate::{
    convert::chat as convert,
    dto::{ChannelDto, ChannelRole},
    extract::{InJson, InPath},
    problem::Problem,
    refusal::{Wish, refused},
};

/// Whether a role in a channel is that of an admin.
pub(super) fn is_admin(role: &str) -> Result<bool, Problem> {
    match role {
        "member" => Ok(false),
        "admin" => Ok(true),
        other => Err(Problem::invalid(format!("{other:?} is no role in a channel: member or admin"))),
    }
}

/// Names somebody an admin of a channel, or takes that back.
#[utoipa::path(
    patch,
    path = "/spaces/{space}/channels/{channel}/members/{user}",
    tag = "chat",
    operation_id = "setChannelRole",
    request_body = ChannelRole,
    responses((status = 200, description = "The channel.", body = ChannelDto))
)]
pub(super) async fn set_role(
    State(state): State<ApiState>,
    InPath((space, channel, member)): InPath<(String, String, String)>,
    InJson(ChannelRole { role }): InJson<ChannelRole>,
) -> Result<Json<ChannelDto>, Problem> {
    let as_admin = is_admin(&role)?;
    let (space, place) = chat::place(&state, &space)?;
    let whom = chat::user(&space, &member)?;
    let wish = Wish { act: "giving roles", whom: None, role: None, takes_owner: true };
    let done = place.set_admin(&channel, whom, as_admin).await;
    done.map_err(|error| refused(error, &space, state.node.identity().user, &wish))?;
    Ok(Json(convert::channel(place.channel(&channel).await?)))
}

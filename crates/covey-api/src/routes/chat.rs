//! Channels, who is in them, and who is there.

use axum::{Json, extract::State, http::StatusCode};
use covey_node::{Chat, Space, UserId, chat::ChannelChange};

use super::{ApiState, members, participants};
use crate::{
    convert::chat as convert,
    dto::{
        ChannelDto, ChannelList, ChannelPatch, NewChannel, NewDirect, NewParticipant, NewPresence,
        PresenceList,
    },
    extract::{InJson, InPath},
    problem::Problem,
    refusal::{Wish, refused},
};

/// The space, as the place of its channels: a child's are its parent's.
pub(super) fn place(state: &ApiState, name: &str) -> Result<(Space, Chat), Problem> {
    let space = state.node.space(name)?;
    let space = space.parent().unwrap_or(space);
    let chat = space.chat();
    Ok((space, chat))
}

pub(super) fn user(space: &Space, wanted: &str) -> Result<UserId, Problem> {
    Ok(members::find(space, wanted)?.user)
}

/// The channels of a space that this user may see: all of them, in one piece.
///
/// Their number has no bound but that people make them; each takes less than a kilobyte here, beside its last message.
#[utoipa::path(
    get,
    path = "/spaces/{space}/channels",
    tag = "chat",
    operation_id = "listChannels",
    responses((status = 200, description = "The channels.", body = ChannelList))
)]
pub(super) async fn channels(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
) -> Result<Json<ChannelList>, Problem> {
    let (_, chat) = place(&state, &space)?;
    let items = chat.channels().await?.into_iter().map(convert::channel).collect();
    Ok(Json(ChannelList { items }))
}

/// Makes a channel.
#[utoipa::path(
    post,
    path = "/spaces/{space}/channels",
    tag = "chat",
    operation_id = "createChannel",
    request_body = NewChannel,
    responses((status = 201, description = "The channel.", body = ChannelDto))
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
    InJson(new): InJson<NewChannel>,
) -> Result<(StatusCode, Json<ChannelDto>), Problem> {
    let (_, chat) = place(&state, &space)?;
    let channel = chat.create_channel(&new.name, new.private, &new.topic).await?;
    Ok((StatusCode::CREATED, Json(convert::channel(channel))))
}

/// The direct messages between this user and others; begins them where there are none yet.
#[utoipa::path(
    post,
    path = "/spaces/{space}/direct",
    tag = "chat",
    operation_id = "openDirect",
    request_body = NewDirect,
    responses(
        (status = 200, description = "They were there.", body = ChannelDto),
        (status = 201, description = "They were begun.", body = ChannelDto)
    )
)]
pub(super) async fn direct(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
    InJson(new): InJson<NewDirect>,
) -> Result<(StatusCode, Json<ChannelDto>), Problem> {
    let (space, chat) = place(&state, &space)?;
    let users = new.users.iter().map(|name| user(&space, name)).collect::<Result<Vec<_>, _>>()?;
    let (channel, is_new) = chat.direct(&users).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(convert::channel(channel))))
}

/// One channel.
#[utoipa::path(
    get,
    path = "/spaces/{space}/channels/{channel}",
    tag = "chat",
    operation_id = "getChannel",
    responses((status = 200, description = "The channel.", body = ChannelDto))
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
) -> Result<Json<ChannelDto>, Problem> {
    let (_, chat) = place(&state, &space)?;
    Ok(Json(convert::channel(chat.channel(&channel).await?)))
}

/// Changes the name or the topic of a channel, or whether it is archived.
#[utoipa::path(
    patch,
    path = "/spaces/{space}/channels/{channel}",
    tag = "chat",
    operation_id = "changeChannel",
    request_body = ChannelPatch,
    responses((status = 200, description = "The channel, as it is now.", body = ChannelDto))
)]
pub(super) async fn patch(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InJson(ChannelPatch { name, topic, archived }): InJson<ChannelPatch>,
) -> Result<Json<ChannelDto>, Problem> {
    let (_, chat) = place(&state, &space)?;
    let changed = chat.change(&channel, ChannelChange { name, topic, archived }).await?;
    Ok(Json(convert::channel(changed)))
}

/// Enters a channel.
#[utoipa::path(
    post,
    path = "/spaces/{space}/channels/{channel}/join",
    tag = "chat",
    operation_id = "joinChannel",
    responses((status = 204, description = "This user is in it."))
)]
pub(super) async fn join(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.join(&channel).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Leaves a channel.
#[utoipa::path(
    post,
    path = "/spaces/{space}/channels/{channel}/leave",
    tag = "chat",
    operation_id = "leaveChannel",
    responses((status = 204, description = "This user is out of it."))
)]
pub(super) async fn leave(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (space, chat) = place(&state, &space)?;
    let wish = Wish { act: "leaving", whom: None, role: None, takes_owner: true };
    let left = chat.leave(&channel).await;
    left.map_err(|error| refused(error, &space, state.node.identity().user, &wish))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes somebody into a channel.
#[utoipa::path(
    post,
    path = "/spaces/{space}/channels/{channel}/members",
    tag = "chat",
    operation_id = "addToChannel",
    request_body = NewParticipant,
    responses((status = 204, description = "They are in it."))
)]
pub(super) async fn add_member(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InJson(new): InJson<NewParticipant>,
) -> Result<StatusCode, Problem> {
    let (space, chat) = place(&state, &space)?;
    let as_admin = new.role.as_deref().map_or(Ok(false), participants::is_admin)?;
    let whom = user(&space, &new.user)?;
    let wish = Wish { act: "inviting people", whom: None, role: None, takes_owner: false };
    let invited = chat.invite(&channel, whom, as_admin).await;
    invited.map_err(|error| refused(error, &space, state.node.identity().user, &wish))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts somebody out of a channel.
#[utoipa::path(
    delete,
    path = "/spaces/{space}/channels/{channel}/members/{user}",
    tag = "chat",
    operation_id = "removeFromChannel",
    responses((status = 204, description = "They are out of it."))
)]
pub(super) async fn remove_member(
    State(state): State<ApiState>,
    InPath((space, channel, member)): InPath<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let (space, chat) = place(&state, &space)?;
    let whom = user(&space, &member)?;
    let wish = Wish { act: "removing people", whom: None, role: None, takes_owner: true };
    let removed = chat.put_out(&channel, whom).await;
    removed.map_err(|error| refused(error, &space, state.node.identity().user, &wish))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells the others in a channel that this user is typing.
#[utoipa::path(
    post,
    path = "/spaces/{space}/channels/{channel}/typing",
    tag = "chat",
    operation_id = "tellTyping",
    responses((status = 204, description = "It was told."))
)]
pub(super) async fn typing(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.typing(&channel).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says how this device's user is.
#[utoipa::path(
    put,
    path = "/presence",
    tag = "chat",
    operation_id = "setPresence",
    request_body = NewPresence,
    responses((status = 204, description = "It is told."))
)]
pub(super) async fn set_presence(
    State(state): State<ApiState>,
    InJson(new): InJson<NewPresence>,
) -> Result<StatusCode, Problem> {
    match new.state.as_str() {
        "online" => state.node.set_presence(false),
        "away" => state.node.set_presence(true),
        other => return Err(Problem::invalid(format!("{other:?} is nothing one can be: online or away"))),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// How everybody in a space is.
#[utoipa::path(
    get,
    path = "/spaces/{space}/presence",
    tag = "chat",
    operation_id = "listPresence",
    responses((status = 200, description = "The people.", body = PresenceList))
)]
pub(super) async fn presence(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
) -> Result<Json<PresenceList>, Problem> {
    let (_, chat) = place(&state, &space)?;
    Ok(Json(PresenceList { items: chat.presence().into_iter().map(convert::presence).collect() }))
}

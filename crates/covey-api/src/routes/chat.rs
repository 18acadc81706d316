//! Channels and messages.

use axum::{Json, extract::State, http::StatusCode};
use covey_node::{
    Chat, Space, UserId,
    chat::{self, ChannelChange, Position, Wanted},
};
use serde::Deserialize;

use super::{ApiState, members, participants};
use crate::{
    convert::chat as convert,
    dto::{
        ChannelDto, ChannelList, ChannelPatch, FoundList, MessageDto, MessageList, NewChannel, NewDirect,
        NewMessage, NewParticipant, NewPresence, PresenceList, ReadUpTo, TextDto,
    },
    extract::{InJson, InPath, InQuery},
    limits::DEFAULT_PAGE,
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

pub(super) async fn channels(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
) -> Result<Json<ChannelList>, Problem> {
    let (_, chat) = place(&state, &space)?;
    let items = chat.channels().await?.into_iter().map(convert::channel).collect();
    Ok(Json(ChannelList { items }))
}

pub(super) async fn create(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
    InJson(new): InJson<NewChannel>,
) -> Result<(StatusCode, Json<ChannelDto>), Problem> {
    let (_, chat) = place(&state, &space)?;
    let channel = chat.create_channel(&new.name, new.private, &new.topic).await?;
    Ok((StatusCode::CREATED, Json(convert::channel(channel))))
}

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

pub(super) async fn one(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
) -> Result<Json<ChannelDto>, Problem> {
    let (_, chat) = place(&state, &space)?;
    Ok(Json(convert::channel(chat.channel(&channel).await?)))
}

pub(super) async fn patch(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InJson(ChannelPatch { name, topic, archived }): InJson<ChannelPatch>,
) -> Result<Json<ChannelDto>, Problem> {
    let (_, chat) = place(&state, &space)?;
    let changed = chat.change(&channel, ChannelChange { name, topic, archived }).await?;
    Ok(Json(convert::channel(changed)))
}

pub(super) async fn join(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.join(&channel).await?;
    Ok(StatusCode::NO_CONTENT)
}

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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    before: Option<String>,
    after: Option<String>,
    around: Option<String>,
    thread: Option<String>,
    limit: Option<usize>,
}

impl PageQuery {
    fn wanted(&self) -> Result<Wanted, Problem> {
        let place = |text: &str| {
            let at: Result<Position, _> = text.parse();
            at.map_err(|error| Problem::invalid(format!("{text:?} is no place to go on from: {error}")))
        };
        match (&self.before, &self.after, &self.around) {
            (None, None, None) => Ok(Wanted::Newest),
            (Some(before), None, None) => Ok(Wanted::Before(place(before)?)),
            (None, Some(after), None) => Ok(Wanted::After(place(after)?)),
            (None, None, Some(around)) => Ok(Wanted::Around(around.clone())),
            _ => Err(Problem::invalid("of before, after and around only one can be asked for")),
        }
    }
}

pub(super) async fn messages(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Json<MessageList>, Problem> {
    let (_, chat) = place(&state, &space)?;
    let (wanted, limit) = (query.wanted()?, query.limit.unwrap_or(DEFAULT_PAGE));
    Ok(Json(convert::page(chat.page(&channel, query.thread, wanted, limit).await?)))
}

pub(super) async fn send(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InJson(NewMessage { text, reply_to, client_id }): InJson<NewMessage>,
) -> Result<(StatusCode, Json<MessageDto>), Problem> {
    let (_, chat) = place(&state, &space)?;
    let sent = chat.send(&channel, chat::NewMessage { text, reply_to, client_id }).await?;
    Ok((StatusCode::CREATED, Json(convert::message(sent))))
}

pub(super) async fn message(
    State(state): State<ApiState>,
    InPath((space, id)): InPath<(String, String)>,
) -> Result<Json<MessageDto>, Problem> {
    let (_, chat) = place(&state, &space)?;
    Ok(Json(convert::message(chat.message(&id).await?)))
}

pub(super) async fn edit(
    State(state): State<ApiState>,
    InPath((space, id)): InPath<(String, String)>,
    InJson(TextDto { text }): InJson<TextDto>,
) -> Result<Json<MessageDto>, Problem> {
    let (_, chat) = place(&state, &space)?;
    Ok(Json(convert::message(chat.edit(&id, &text).await?)))
}

pub(super) async fn delete(
    State(state): State<ApiState>,
    InPath((space, id)): InPath<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn react(
    State(state): State<ApiState>,
    InPath((space, id, emoji)): InPath<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.react(&id, &emoji, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn take_back(
    State(state): State<ApiState>,
    InPath((space, id, emoji)): InPath<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.react(&id, &emoji, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn read(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InJson(ReadUpTo { upto }): InJson<ReadUpTo>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.mark_read(&channel, &upto).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn draft(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InJson(TextDto { text }): InJson<TextDto>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.set_draft(&channel, &text).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    q: String,
    channel: Option<String>,
    next: Option<i64>,
    limit: Option<usize>,
}

pub(super) async fn search(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
    InQuery(query): InQuery<SearchQuery>,
) -> Result<Json<FoundList>, Problem> {
    let (_, chat) = place(&state, &space)?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    Ok(Json(convert::found(chat.search(&query.q, query.channel.as_deref(), query.next, limit).await?)))
}

pub(super) async fn typing(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.typing(&channel).await?;
    Ok(StatusCode::NO_CONTENT)
}

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

pub(super) async fn presence(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
) -> Result<Json<PresenceList>, Problem> {
    let (_, chat) = place(&state, &space)?;
    Ok(Json(PresenceList { items: chat.presence().into_iter().map(convert::presence).collect() }))
}

//! Messages of channels: read a page at a time, searched, sent, edited, and reacted to.

use axum::{Json, extract::State, http::StatusCode};
use covey_node::chat::{self, Position, Wanted};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ApiState, chat::place};
use crate::{
    convert::chat as convert,
    dto::{FoundList, MessageDto, MessageList, NewMessage, ReadUpTo, TextDto},
    extract::{InJson, InPath, InQuery},
    limits::DEFAULT_PAGE,
    problem::Problem,
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Messages before this place, as a page's `before` says it.
    before: Option<String>,
    /// Messages behind this place, as a page's `after` says it.
    after: Option<String>,
    /// Messages around the one with this id.
    around: Option<String>,
    /// Answers to the message with this id only.
    thread: Option<String>,
    /// Most messages that are wanted; 100 unless it is said.
    #[param(minimum = 1, maximum = 1000)]
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

/// Messages of a channel, a page at a time: the newest unless it is said from where.
#[utoipa::path(
    get,
    path = "/spaces/{space}/channels/{channel}/messages",
    tag = "chat",
    operation_id = "listMessages",
    params(PageQuery),
    responses((status = 200, description = "A page of messages, oldest first.", body = MessageList))
)]
pub(super) async fn messages(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InQuery(query): InQuery<PageQuery>,
) -> Result<Json<MessageList>, Problem> {
    let (_, chat) = place(&state, &space)?;
    let (wanted, limit) = (query.wanted()?, query.limit.unwrap_or(DEFAULT_PAGE));
    Ok(Json(convert::page(chat.page(&channel, query.thread, wanted, limit).await?)))
}

/// Sends a message.
#[utoipa::path(
    post,
    path = "/spaces/{space}/channels/{channel}/messages",
    tag = "chat",
    operation_id = "sendMessage",
    request_body = NewMessage,
    responses((status = 201, description = "The message.", body = MessageDto))
)]
pub(super) async fn send(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InJson(NewMessage { text, reply_to, client_id }): InJson<NewMessage>,
) -> Result<(StatusCode, Json<MessageDto>), Problem> {
    let (_, chat) = place(&state, &space)?;
    let sent = chat.send(&channel, chat::NewMessage { text, reply_to, client_id }).await?;
    Ok((StatusCode::CREATED, Json(convert::message(sent))))
}

/// One message.
#[utoipa::path(
    get,
    path = "/spaces/{space}/messages/{id}",
    tag = "chat",
    operation_id = "getMessage",
    responses((status = 200, description = "The message.", body = MessageDto))
)]
pub(super) async fn message(
    State(state): State<ApiState>,
    InPath((space, id)): InPath<(String, String)>,
) -> Result<Json<MessageDto>, Problem> {
    let (_, chat) = place(&state, &space)?;
    Ok(Json(convert::message(chat.message(&id).await?)))
}

/// Gives a message another text.
#[utoipa::path(
    patch,
    path = "/spaces/{space}/messages/{id}",
    tag = "chat",
    operation_id = "editMessage",
    request_body = TextDto,
    responses((status = 200, description = "The message, as it is now.", body = MessageDto))
)]
pub(super) async fn edit(
    State(state): State<ApiState>,
    InPath((space, id)): InPath<(String, String)>,
    InJson(TextDto { text }): InJson<TextDto>,
) -> Result<Json<MessageDto>, Problem> {
    let (_, chat) = place(&state, &space)?;
    Ok(Json(convert::message(chat.edit(&id, &text).await?)))
}

/// Takes the text of a message away; that there was one stays.
#[utoipa::path(
    delete,
    path = "/spaces/{space}/messages/{id}",
    tag = "chat",
    operation_id = "deleteMessage",
    responses((status = 204, description = "It is gone."))
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    InPath((space, id)): InPath<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reacts to a message.
#[utoipa::path(
    put,
    path = "/spaces/{space}/messages/{id}/reactions/{emoji}",
    tag = "chat",
    operation_id = "react",
    responses((status = 204, description = "The reaction is there."))
)]
pub(super) async fn react(
    State(state): State<ApiState>,
    InPath((space, id, emoji)): InPath<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.react(&id, &emoji, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a reaction back.
#[utoipa::path(
    delete,
    path = "/spaces/{space}/messages/{id}/reactions/{emoji}",
    tag = "chat",
    operation_id = "takeBackReaction",
    responses((status = 204, description = "The reaction is not there."))
)]
pub(super) async fn take_back(
    State(state): State<ApiState>,
    InPath((space, id, emoji)): InPath<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.react(&id, &emoji, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says up to where a channel was read. Of a guest, who may write nothing, only this device knows it.
#[utoipa::path(
    put,
    path = "/spaces/{space}/channels/{channel}/read",
    tag = "chat",
    operation_id = "markRead",
    request_body = ReadUpTo,
    responses((status = 204, description = "It is noted."))
)]
pub(super) async fn read(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InJson(ReadUpTo { upto }): InJson<ReadUpTo>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.mark_read(&channel, &upto).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps what was typed and not sent.
#[utoipa::path(
    put,
    path = "/spaces/{space}/channels/{channel}/draft",
    tag = "chat",
    operation_id = "saveDraft",
    request_body = TextDto,
    responses((status = 204, description = "It is kept."))
)]
pub(super) async fn draft(
    State(state): State<ApiState>,
    InPath((space, channel)): InPath<(String, String)>,
    InJson(TextDto { text }): InJson<TextDto>,
) -> Result<StatusCode, Problem> {
    let (_, chat) = place(&state, &space)?;
    chat.set_draft(&channel, &text).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// The words.
    #[param(min_length = 1)]
    q: String,
    /// Messages of this channel only.
    channel: Option<String>,
    /// Where the page before ended, as its `next` says it.
    next: Option<i64>,
    /// Most messages that are wanted; 100 unless it is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Messages in which words stand, the newest by their times first, a page at a time.
#[utoipa::path(
    get,
    path = "/spaces/{space}/search",
    tag = "chat",
    operation_id = "searchMessages",
    params(SearchQuery),
    responses((status = 200, description = "A page of messages.", body = FoundList))
)]
pub(super) async fn search(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
    InQuery(query): InQuery<SearchQuery>,
) -> Result<Json<FoundList>, Problem> {
    let (_, chat) = place(&state, &space)?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    Ok(Json(convert::found(chat.search(&query.q, query.channel.as_deref(), query.next, limit).await?)))
}

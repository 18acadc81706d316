//! Spaces, their members, invitations, collections and changes.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use covey_node::{Node, Role, Space};
use covey_types::{SpaceId, limits::DEFAULT_INVITE_MS};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    ApiState,
    jobs::{accepted, prefers_async},
};
use crate::{
    convert,
    dto::{
        ChangeDto, ChangePage, CollectionDto, InviteDto, JobDto, JobKind, JobResult, JoinRequest, JoinedDto,
        NewInvite, NewSpace, ProblemDto, SpaceDto, WithdrawnDto,
    },
    extract::{InJson, InPath, InQuery},
    jobs::{End, NewJob, Running},
    limits::{DEFAULT_JOIN, DEFAULT_PAGE, JOB_TOLD_EVERY, MAX_JOIN, MAX_PAGE, MAX_PAGE_BYTES},
    problem::Problem,
};

/// Changes read from the store at once. Documents may have some MiB each, and their sizes are known only when
/// they are in memory.
const CHANGES_AT_ONCE: usize = 16;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Also the personal one.
    #[serde(default)]
    all: bool,
}

/// The spaces that this node has: all of them, in one piece.
///
/// Their number has no bound but that people make and join them. How each stands comes with it, a line for each device.
#[utoipa::path(
    get,
    path = "/spaces",
    tag = "spaces",
    operation_id = "listSpaces",
    params(ListQuery),
    responses((status = 200, description = "The spaces.", body = Vec<SpaceDto>))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Json<Vec<SpaceDto>>, Problem> {
    let mut out = Vec::new();
    let personal = state.node.personal().filter(|_| query.all);
    for space in state.node.spaces().into_iter().chain(personal) {
        out.push(convert::space(space.status().await?));
    }
    Ok(Json(out))
}

/// Makes a space, or a child of one.
#[utoipa::path(
    post,
    path = "/spaces",
    tag = "spaces",
    operation_id = "createSpace",
    request_body = NewSpace,
    responses(
        (status = 201, description = "The new space.", body = SpaceDto),
        (status = 404, description = "There is no such parent, or no such member of it.", body = ProblemDto, content_type = "application/problem+json")
    )
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    InJson(new): InJson<NewSpace>,
) -> Result<(StatusCode, Json<SpaceDto>), Problem> {
    let space = match &new.parent {
        Some(parent) => create_child(&state.node.space(parent)?, &new).await?,
        None if new.members.is_empty() => state.node.create_space(&new.name).await?,
        None => {
            let why = "only the child of a space has members from the start: name its parent";
            return Err(Problem::invalid(why));
        }
    };
    Ok((StatusCode::CREATED, Json(convert::space(space.status().await?))))
}

async fn create_child(parent: &Space, new: &NewSpace) -> Result<Space, Problem> {
    let people = new.members.iter().map(|member| {
        let user = super::members::find(parent, &member.user)?.user;
        Ok((user, super::members::role(member, Role::Owner)?))
    });
    let people = people.collect::<Result<Vec<_>, Problem>>()?;
    Ok(parent.create_child(&new.name, &people).await?)
}

/// One space, and how it stands with other devices.
#[utoipa::path(
    get,
    path = "/spaces/{space}",
    tag = "spaces",
    operation_id = "getSpace",
    responses((status = 200, description = "The space.", body = SpaceDto))
)]
pub(super) async fn show(
    State(state): State<ApiState>,
    InPath(name): InPath<String>,
) -> Result<Json<SpaceDto>, Problem> {
    Ok(Json(convert::space(state.node.space(&name)?.status().await?)))
}

/// Makes a code by which somebody may join.
#[utoipa::path(
    post,
    path = "/spaces/{space}/invites",
    tag = "spaces",
    operation_id = "invite",
    request_body = NewInvite,
    responses((status = 201, description = "The invitation.", body = InviteDto))
)]
pub(super) async fn invite(
    State(state): State<ApiState>,
    InPath(name): InPath<String>,
    InJson(new): InJson<NewInvite>,
) -> Result<(StatusCode, Json<InviteDto>), Problem> {
    let space: Space = state.node.space(&name)?;
    let role = match new.role.as_deref() {
        None => Role::Member,
        Some(text) => text.parse().map_err(|_| {
            Problem::invalid(format!("{text:?} is not a role; the roles are guest, member and admin"))
        })?,
    };
    let expires = new.expires_s.map_or(Duration::from_millis(DEFAULT_INVITE_MS), Duration::from_secs);
    let invitation = space.invite(role, expires).await?;
    Ok((StatusCode::CREATED, Json(convert::invitation(invitation))))
}

/// Takes an invitation back before its time: its code is good for nothing any more.
#[utoipa::path(
    delete,
    path = "/spaces/{space}/invites/{id}",
    tag = "spaces",
    operation_id = "withdrawInvite",
    responses(
        (status = 200, description = "It is over.", body = WithdrawnDto),
        (status = 404, description = "This run of the node has made no such invitation.", body = ProblemDto, content_type = "application/problem+json"),
        (status = 409, description = "It was used.", body = ProblemDto, content_type = "application/problem+json")
    )
)]
pub(super) async fn withdraw(
    State(state): State<ApiState>,
    InPath((space, id)): InPath<(String, String)>,
) -> Result<Json<WithdrawnDto>, Problem> {
    Ok(Json(convert::withdrawn(state.node.space(&space)?.withdraw(&id).await?)))
}

/// Joins a space by a code or a link, and waits for its first sync.
///
/// A client that prefers not to wait gets a job, which says how many records have come. If it's cancelled before the space is here, it
/// takes another code to join; after that the space stays, and its records come all the same.
#[utoipa::path(
    post,
    path = "/join",
    tag = "spaces",
    operation_id = "joinSpace",
    params(("Prefer" = Option<String>, Header, description = "`respond-async` (RFC 7240) for a job in place of the answer.")),
    request_body = JoinRequest,
    responses(
        (status = 200, description = "The space is here.", body = JoinedDto),
        (
            status = 202,
            description = "It is joined as a job.",
            body = JobDto,
            headers(("Location" = String, description = "Where the job is."))
        ),
        (status = 410, description = "The code has expired.", body = ProblemDto, content_type = "application/problem+json"),
        (status = 422, description = "The other device did not let this one in.", body = ProblemDto, content_type = "application/problem+json"),
        (status = 504, description = "Nobody answered, or it took too long.", body = ProblemDto, content_type = "application/problem+json")
    )
)]
pub(super) async fn join(
    State(state): State<ApiState>,
    headers: HeaderMap,
    InJson(request): InJson<JoinRequest>,
) -> Result<Response, Problem> {
    let timeout = request.timeout_s.map_or(DEFAULT_JOIN, Duration::from_secs).min(MAX_JOIN);
    if prefers_async(&headers) {
        let (target, stage) = (String::new(), Some("pairing"));
        let new = NewJob { kind: JobKind::Join, target, total: None, stage };
        let work = |running| join_as_job(state.node.clone(), request, timeout, running);
        return Ok(accepted(state.jobs.start(new, work)?));
    }
    let joined = state.node.join(&request.code, timeout).await?;
    Ok(Json(convert::joined(&joined)).into_response())
}

/// Joins, and tells meanwhile of the space that is new here.
async fn join_as_job(node: Node, request: JoinRequest, timeout: Duration, running: Running) -> End {
    let here: BTreeSet<SpaceId> = node.spaces().iter().map(Space::id).collect();
    let mut beat = tokio::time::interval(JOB_TOLD_EVERY);
    let mut joining = std::pin::pin!(node.join(&request.code, timeout));
    let mut found = None;
    loop {
        tokio::select! {
            biased;
            joined = &mut joining => {
                return match joined {
                    Ok(joined) => {
                        running.tell_arrived(joined.space.id().to_string(), joined.records);
                        End::Done(JobResult::Join(convert::joined(&joined)))
                    }
                    Err(error) => End::Failed(error.into()),
                };
            }
            () = running.cancelled() => return End::Cancelled(None),
            _ = beat.tick() => {}
        }
        // Not a private channel of a space that is here, of which word has just come.
        let is_it = |space: &Space| !here.contains(&space.id()) && space.parent().is_none();
        let news = || node.spaces().into_iter().find(is_it);
        let Some(space) = found.take().or_else(news) else { continue };
        // It may be gone again, or busy: then there is nothing to tell this time.
        if let Ok(collections) = space.collections().await {
            running
                .tell_arrived(space.id().to_string(), collections.iter().map(|(_, records)| records).sum());
        }
        found = Some(space);
    }
}

/// The collections of a space, with how many records each has: all of them, in one piece.
///
/// Their number has no bound but that members write into them; a line is a name of at most 128 bytes and a number. Records are what
/// comes in pages.
#[utoipa::path(
    get,
    path = "/spaces/{space}/collections",
    tag = "records",
    operation_id = "listCollections",
    responses((status = 200, description = "The collections.", body = Vec<CollectionDto>))
)]
pub(super) async fn collections(
    State(state): State<ApiState>,
    InPath(name): InPath<String>,
) -> Result<Json<Vec<CollectionDto>>, Problem> {
    let collections = state.node.space(&name)?.collections().await?;
    Ok(Json(collections.into_iter().map(|(name, records)| CollectionDto { name, records }).collect()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesQuery {
    /// Changes of this collection only.
    collection: Option<String>,
    /// Changes behind this position of the feed; all of them unless it is said.
    since: Option<u64>,
    /// Most changes that are wanted; 100 unless it is said, and never more than 1000.
    limit: Option<usize>,
}

/// What changed in a space since a position, a page at a time.
#[utoipa::path(
    get,
    path = "/spaces/{space}/changes",
    tag = "records",
    operation_id = "listChanges",
    params(ChangesQuery),
    responses((status = 200, description = "A page of changes.", body = ChangePage))
)]
pub(super) async fn changes(
    State(state): State<ApiState>,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<ChangesQuery>,
) -> Result<Json<ChangePage>, Problem> {
    let space = state.node.space(&name)?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    // Taken first: what changes while we read is then said to be still to come, never skipped.
    let position = space.position();
    let (items, next) =
        page_of_changes(&space, query.collection.as_deref(), query.since.unwrap_or(0), limit).await?;
    Ok(Json(ChangePage { items, next, position }))
}

/// Changes until there are `limit` of them or [`MAX_PAGE_BYTES`] of documents, and where to go on.
async fn page_of_changes(
    space: &Space,
    collection: Option<&str>,
    mut since: u64,
    limit: usize,
) -> Result<(Vec<ChangeDto>, Option<u64>), Problem> {
    let (mut items, mut bytes) = (Vec::new(), 0);
    loop {
        let wanted = CHANGES_AT_ONCE.min(limit - items.len());
        let found = space.changes(collection, since, wanted).await?;
        let is_last = found.len() < wanted;
        for change in found {
            since = change.position;
            bytes += change.doc.as_ref().map_or(0, String::len);
            items.push(convert::change(change)?);
            if items.len() == limit || bytes >= MAX_PAGE_BYTES {
                return Ok((items, Some(since)));
            }
        }
        if is_last {
            return Ok((items, None));
        }
    }
}

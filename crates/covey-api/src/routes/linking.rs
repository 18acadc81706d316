//! Adding a device to this user's, and becoming one.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use covey_node::Node;
use covey_types::limits::DEFAULT_INVITE_MS;

use super::{
    ApiState,
    jobs::{accepted, prefers_async},
};
use crate::{
    convert,
    dto::{InviteDto, JobDto, JobKind, JobResult, JoinRequest, LinkedDto, NewLink, ProblemDto, WithdrawnDto},
    extract::{InJson, InPath},
    jobs::{End, NewJob, Running},
    limits::{DEFAULT_JOIN, JOB_TOLD_EVERY, MAX_JOIN},
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

/// Makes this device one of another user's, by a code or a link of theirs, and waits for their spaces.
///
/// A client that prefers not to wait gets a job, which says how many records have come. If it's cancelled before this device is
/// theirs, it takes another code; after that it stays theirs, and their spaces come all the same.
#[utoipa::path(
    post,
    path = "/devices/join",
    tag = "devices",
    operation_id = "joinAsDevice",
    params(("Prefer" = Option<String>, Header, description = "`respond-async` (RFC 7240) for a job in place of the answer.")),
    request_body = JoinRequest,
    responses(
        (status = 200, description = "It is one of theirs.", body = LinkedDto),
        (
            status = 202,
            description = "It becomes one of theirs as a job.",
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
        let new = NewJob { kind: JobKind::Link, target, total: None, stage };
        let work = |running| link_as_job(state.node.clone(), request, timeout, running);
        return Ok(accepted(state.jobs.start(new, work)?));
    }
    let linked = state.node.link_to(&request.code, timeout).await?;
    Ok(Json(convert::linked(linked, state.node.identity())).into_response())
}

/// Becomes a device of theirs, and tells meanwhile whose and how much of what they have is here.
async fn link_as_job(node: Node, request: JoinRequest, timeout: Duration, running: Running) -> End {
    let before = node.identity().user;
    let mut beat = tokio::time::interval(JOB_TOLD_EVERY);
    let mut linking = std::pin::pin!(node.link_to(&request.code, timeout));
    loop {
        let ended = tokio::select! {
            biased;
            linked = &mut linking => Some(linked),
            () = running.cancelled() => return End::Cancelled(None),
            _ = beat.tick() => None,
        };
        let user = node.identity().user;
        if user != before {
            let mut here = 0;
            for space in node.spaces() {
                // It may be busy: then there is less to tell this time.
                let collections = space.collections().await.unwrap_or_default();
                here += collections.into_iter().map(|(_, records)| records).sum::<u64>();
            }
            running.tell_arrived(user.to_string(), here);
        }
        match ended {
            Some(Ok(linked)) => {
                return End::Done(JobResult::Link(Box::new(convert::linked(linked, node.identity()))));
            }
            Some(Err(error)) => return End::Failed(error.into()),
            None => {}
        }
    }
}

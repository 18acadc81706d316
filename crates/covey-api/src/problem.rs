//! Errors as RFC 9457 problem documents.
//!
//! Every error that the API answers with, also those of routing and of extractors, is one of these. The
//! `type` names the kind for programs; `detail` is a sentence for people.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use covey_node::{EngineError, MembershipError, NodeError, SqlError};

use crate::dto::ProblemDto;

/// A request that was not fulfilled.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    line: Option<u64>,
    records: Option<u64>,
    retry_after_s: Option<u64>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $kind:literal, $title:literal;)*) => {
        impl Problem {
            $($(#[$doc])* pub fn $name(detail: impl Into<String>) -> Self {
                Self::new(StatusCode::$status, $kind, $title, detail)
            })*
        }
    };
}

kinds! {
    /// The request is wrong in itself.
    invalid = BAD_REQUEST, "invalid", "The request is not valid";
    /// The body is not the JSON that was expected.
    malformed = BAD_REQUEST, "malformed-json", "The JSON is malformed";
    /// No credentials, or wrong ones.
    unauthorized = UNAUTHORIZED, "unauthorized", "A token is needed";
    /// The request came from elsewhere than this machine's own pages and programs.
    foreign = FORBIDDEN, "foreign-origin", "The request comes from a foreign page";
    /// This user's role does not allow it.
    not_allowed = FORBIDDEN, "not-allowed", "Your role does not allow this";
    /// The last owner would be gone.
    last_owner = FORBIDDEN, "last-owner", "A space needs an owner";
    /// A query names what it may not see or do.
    forbidden_query = FORBIDDEN, "forbidden-query", "A query may not do this";
    /// There is no such thing.
    not_found = NOT_FOUND, "not-found", "There is no such thing";
    /// The route exists, but not with this method.
    wrong_method = METHOD_NOT_ALLOWED, "method-not-allowed", "The method does not fit";
    /// A name that fits more than one thing.
    ambiguous = CONFLICT, "ambiguous", "The name is ambiguous";
    /// The state of things does not allow it now.
    conflict = CONFLICT, "conflict", "This can't be done now";
    /// It was there, and its time is over.
    gone = GONE, "gone", "This has expired";
    /// Something is larger than its limit.
    too_large = PAYLOAD_TOO_LARGE, "too-large", "This is too large";
    /// A body of another kind than JSON.
    not_json = UNSUPPORTED_MEDIA_TYPE, "not-json", "The body must be JSON";
    /// Pairing was refused.
    pairing = UNPROCESSABLE_ENTITY, "pairing", "Joining did not succeed";
    /// Pairing took too long.
    timeout = GATEWAY_TIMEOUT, "timeout", "This took too long";
    /// As many jobs as may are running.
    too_many_jobs = TOO_MANY_REQUESTS, "too-many-jobs", "Too many jobs are running";
    /// The disk is full.
    disk_full = INSUFFICIENT_STORAGE, "disk-full", "The disk is full";
    /// The node is stopping.
    closing = SERVICE_UNAVAILABLE, "closing", "The node is stopping";
    /// The store failed, or there is a defect.
    internal = INTERNAL_SERVER_ERROR, "internal", "The node failed";
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { status, kind, title, detail, line: None, records: None, retry_after_s: None }
    }

    /// Too many rejected credentials.
    pub fn too_many_failures(retry_after_s: u64) -> Self {
        let detail = format!("too many rejected tokens or sessions; try again in {retry_after_s} s");
        let mut problem =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-failures", "Too many rejected tokens", detail);
        problem.retry_after_s = Some(retry_after_s);
        problem
    }

    /// Names the line of an import that is wrong.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// Says where, in front of what.
    #[must_use]
    pub fn in_place(mut self, place: &str) -> Self {
        self.detail = format!("{place}: {}", self.detail);
        self
    }

    /// Says how many records of an import were written before it stopped.
    #[must_use]
    pub fn after_records(mut self, records: u64) -> Self {
        self.records = Some(records);
        self.detail = match records {
            0 => format!("{}; nothing was imported", self.detail),
            1 => format!("{}; the 1 record before it was imported", self.detail),
            n => format!("{}; the {n} records before it were imported", self.detail),
        };
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<NodeError> for Problem {
    fn from(error: NodeError) -> Self {
        let detail = error.to_string();
        match error {
            NodeError::NotFound { .. } => Self::not_found(detail),
            NodeError::Ambiguous { .. } => Self::ambiguous(detail),
            NodeError::Invalid(_) => Self::invalid(detail),
            NodeError::TooLarge { .. } => Self::too_large(detail),
            NodeError::NotAllowed { .. }
            | NodeError::NotYours(_)
            | NodeError::Revoked
            | NodeError::Personal { .. } => Self::not_allowed(detail),
            NodeError::NotReady { .. } | NodeError::NotFresh { .. } | NodeError::Conflict(_) => {
                Self::conflict(detail)
            }
            NodeError::Membership(error) => Self::of_membership(&error),
            NodeError::DiskFull { .. } => Self::disk_full(detail),
            NodeError::Pairing(error) => crate::pairing::problem(&error),
            NodeError::Query(error) => Self::of_query(&error),
            NodeError::Closing => Self::closing(detail),
            error => {
                tracing::error!(%error, "a request failed inside the node");
                Self::internal(detail)
            }
        }
    }
}

impl Problem {
    /// What is wrong with a query.
    fn of_query(error: &SqlError) -> Self {
        let detail = error.to_string();
        match error {
            SqlError::Forbidden(_) => Self::forbidden_query(detail),
            SqlError::Time(_) => Self::timeout(detail),
            SqlError::Memory | SqlError::TooLarge { .. } => Self::too_large(detail),
            _ => Self::invalid(detail),
        }
    }

    /// What the rules of membership, or the state of a space's keys, don't allow.
    fn of_membership(error: &EngineError) -> Self {
        match error {
            EngineError::PutOut { .. } => Self::not_allowed(error.to_string()),
            EngineError::Membership { space, reason: MembershipError::NotAllowed { act, .. } } => {
                Self::not_allowed(format!("you may not {act} in {space:?}"))
            }
            error => Self::conflict(error.to_string()),
        }
    }
}

impl From<Problem> for ProblemDto {
    fn from(problem: Problem) -> Self {
        Self {
            kind: format!("/problems/{}", problem.kind),
            title: problem.title.to_owned(),
            status: problem.status.as_u16(),
            detail: problem.detail,
            line: problem.line,
            records: problem.records,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let retry_after = self.retry_after_s;
        let mut response = (status, Json(ProblemDto::from(self))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"covey\""));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

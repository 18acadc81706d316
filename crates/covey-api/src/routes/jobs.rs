//! Long work that goes on by itself: asked for, looked at, cancelled.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::ApiState;
use crate::{
    dto::{JobDto, JobList},
    extract::InPath,
    problem::Problem,
};

/// How a client says that it doesn't want to wait: RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";

/// Whether the client rather has a job than waits.
pub(super) fn prefers_async(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    let named =
        |preference: &str| preference.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    preferences.any(|preference| named(preference) == RESPOND_ASYNC)
}

/// The answer in place of waiting.
pub(super) fn accepted(job: JobDto) -> Response {
    let location = HeaderValue::try_from(format!("/api/v1/jobs/{}", job.id)).expect("ids are base58");
    let headers =
        [(header::LOCATION, location), (PREFERENCE_APPLIED, HeaderValue::from_static(RESPOND_ASYNC))];
    (StatusCode::ACCEPTED, headers, Json(job)).into_response()
}

/// The jobs that run, and those that ended within the last hour, newest first.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "jobs",
    operation_id = "listJobs",
    responses((status = 200, description = "The jobs.", body = JobList))
)]
pub(super) async fn list(State(state): State<ApiState>) -> Json<JobList> {
    Json(JobList { items: state.jobs.all() })
}

/// One job: how far it is, or what came of it.
#[utoipa::path(
    get,
    path = "/jobs/{job}",
    tag = "jobs",
    operation_id = "getJob",
    responses((status = 200, description = "How it stands.", body = JobDto))
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    InPath(job): InPath<String>,
) -> Result<Json<JobDto>, Problem> {
    Ok(Json(state.jobs.one(&job)?))
}

/// Asks a job to stop. It stops at the next chance; what an import has written by then stays.
#[utoipa::path(
    delete,
    path = "/jobs/{job}",
    tag = "jobs",
    operation_id = "cancelJob",
    responses((status = 202, description = "It was asked to stop.", body = JobDto))
)]
pub(super) async fn cancel(
    State(state): State<ApiState>,
    InPath(job): InPath<String>,
) -> Result<(StatusCode, Json<JobDto>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(state.jobs.cancel(&job)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_prefers_not_to_wait_only_if_it_says_so() {
        let headers = |value: &'static str| HeaderMap::from_iter([(PREFER, HeaderValue::from_static(value))]);
        for yes in ["respond-async", "Respond-Async", "wait=10, respond-async", "respond-async; x=1"] {
            assert!(prefers_async(&headers(yes)), "{yes}");
        }
        for no in ["", "wait=10", "respond-asynchronously", "return=minimal; respond-async"] {
            assert!(!prefers_async(&headers(no)), "{no}");
        }
        assert!(!prefers_async(&HeaderMap::new()));
    }
}

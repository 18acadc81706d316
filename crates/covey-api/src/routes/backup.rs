//! A backup of the whole home into a file of this machine, told of as JSON lines while it's made.

use std::{path::PathBuf, time::Duration};

use axum::{body::Body, extract::State, http::HeaderValue, http::header, response::Response};
use bytes::Bytes;
use covey_node::{BackupOrder, Contents, FileError, Progress, Stage, backup::BackupError};
use tokio::{sync::watch, task::JoinHandle, time::interval};
use zeroize::Zeroizing;

use super::{ApiState, records::NDJSON};
use crate::{
    dto::{BackupLine, BackupRequest},
    extract::InJson,
    problem::Problem,
};

/// How often progress is told, at most.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// A backup that is being made. It stops when this is dropped: nobody listens any more then.
struct Job {
    made: JoinHandle<Result<Contents, BackupError>>,
    progress: watch::Receiver<Option<Progress>>,
    beat: tokio::time::Interval,
}

pub(super) async fn backup(
    State(state): State<ApiState>,
    InJson(request): InJson<BackupRequest>,
) -> Result<Response, Problem> {
    let passphrase = Zeroizing::new(request.passphrase.clone());
    let to = PathBuf::from(&request.file);
    if !to.is_absolute() {
        // The node's own folder is not the asker's.
        return Err(Problem::invalid(format!("{:?} is not an absolute path", request.file)));
    }
    let (told, progress) = watch::channel(None);
    let node = state.node.clone();
    let made = tokio::spawn(async move { node.backup(BackupOrder { to, passphrase, told }).await });
    let mut job = Job { made, progress, beat: interval(TOLD_EVERY) };
    // What is wrong from the start is answered as a problem; after that the answer has begun.
    let first = job.next().await?;
    let start = (job, Some(first));
    let lines = futures::stream::unfold(start, |(mut job, first)| async move {
        let line = first?;
        let next = match line {
            BackupLine::Progress { .. } => Some(job.next().await.unwrap_or_else(BackupLine::from)),
            BackupLine::Done { .. } | BackupLine::Failed { .. } => None,
        };
        let mut text = serde_json::to_vec(&line).expect("these types can be written as JSON");
        text.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), (job, next)))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    Ok(response)
}

impl Job {
    /// The next thing to tell.
    async fn next(&mut self) -> Result<BackupLine, Problem> {
        loop {
            tokio::select! {
                biased;
                made = &mut self.made => {
                    let made = made.map_err(|error| Problem::internal(error.to_string()))?;
                    return made.map(done).map_err(problem);
                }
                _ = self.beat.tick() => {
                    let has_news = self.progress.has_changed().unwrap_or(false);
                    if let Some(progress) = has_news.then(|| *self.progress.borrow_and_update()).flatten() {
                        return Ok(line(progress));
                    }
                }
            }
        }
    }
}

fn line(progress: Progress) -> BackupLine {
    let stage = match progress.stage {
        Stage::Copying => "copying",
        Stage::Checking => "checking",
    };
    BackupLine::Progress { stage: stage.to_owned(), done: progress.done_bytes, total: progress.total_bytes }
}

fn done(contents: Contents) -> BackupLine {
    let Contents { bytes, spaces, entries, records } = contents;
    BackupLine::Done { bytes, spaces, entries, records }
}

impl From<Problem> for BackupLine {
    fn from(problem: Problem) -> Self {
        Self::Failed { detail: problem.detail().to_owned() }
    }
}

fn problem(error: BackupError) -> Problem {
    let mut detail = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(err) = cause {
        let text = err.to_string();
        if !detail.contains(&text) {
            detail = format!("{detail}: {text}");
        }
        cause = err.source();
    }
    match error {
        BackupError::Backup(error) => match error {
            FileError::Exists { .. } => Problem::conflict(detail),
            FileError::NoName { .. } | FileError::EmptyPassphrase | FileError::File { .. } => {
                Problem::invalid(detail)
            }
            FileError::DiskFull { .. } => Problem::disk_full(detail),
            FileError::Stopped => Problem::closing(detail),
            _ => Problem::internal(detail),
        },
        _ => Problem::internal(detail),
    }
}

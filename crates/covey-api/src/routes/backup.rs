//! A backup of the whole home into a file of this machine: told of as JSON lines while it's made, or made as a job.

use std::{path::PathBuf, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use covey_node::{BackupOrder, Contents, FileError, Node, Progress, Stage, backup::BackupError};
use tokio::{sync::watch, task::JoinHandle, time::interval};
use zeroize::Zeroizing;

use super::{
    ApiState,
    jobs::{accepted, prefers_async},
    records::NDJSON,
};
use crate::{
    dto::{BackupDto, BackupLine, BackupRequest, JobDto, JobKind, JobResult},
    extract::InJson,
    jobs::{End, NewJob, Running},
    problem::Problem,
};

/// How often progress is told, at most.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// A backup that is being made. It stops when this is dropped: nobody listens any more then.
struct Making {
    made: JoinHandle<Result<Contents, BackupError>>,
    progress: watch::Receiver<Option<Progress>>,
    beat: tokio::time::Interval,
}

/// What there is to tell of it.
enum News {
    Progress(Progress),
    Made(Contents),
}

/// Makes a backup of everything that is here, into a file on the node's machine, and reads it back.
///
/// It answers with lines that say how far it is, and stops when the client goes. A client that prefers not to wait gets a job.
#[utoipa::path(
    post,
    path = "/backup",
    tag = "jobs",
    operation_id = "backup",
    params(("Prefer" = Option<String>, Header, description = "`respond-async` (RFC 7240) for a job in place of lines.")),
    request_body = BackupRequest,
    responses(
        (
            status = 200,
            description = "A line whenever it got further, and one for the end: this is the schema of a line.",
            body = BackupLine,
            content_type = "application/x-ndjson"
        ),
        (
            status = 202,
            description = "It is made as a job.",
            body = JobDto,
            headers(("Location" = String, description = "Where the job is."))
        )
    )
)]
pub(super) async fn backup(
    State(state): State<ApiState>,
    headers: HeaderMap,
    InJson(request): InJson<BackupRequest>,
) -> Result<Response, Problem> {
    let passphrase = Zeroizing::new(request.passphrase.clone());
    let to = PathBuf::from(&request.file);
    if !to.is_absolute() {
        // The node's own folder is not the asker's.
        return Err(Problem::invalid(format!("{:?} is not an absolute path", request.file)));
    }
    if prefers_async(&headers) {
        let new = NewJob { kind: JobKind::Backup, target: request.file.clone(), total: None, stage: None };
        let node = state.node.clone();
        let work = |running| async move { Making::start(node, to, passphrase).run_as_job(&running).await };
        return Ok(accepted(state.jobs.start(new, work)?));
    }
    told(Making::start(state.node, to, passphrase)).await
}

/// The answer that tells of a backup while it is made.
async fn told(mut making: Making) -> Result<Response, Problem> {
    // What is wrong from the start is answered as a problem; after that the answer has begun.
    let first = making.next().await.map(line)?;
    let start = Some((making, Some(first)));
    let lines = futures::stream::unfold(start, |state| async move {
        let (mut making, first) = state?;
        let told = match first {
            Some(told) => told,
            None => making.next().await.map_or_else(|problem| BackupLine::from(&problem), line),
        };
        let rest = matches!(told, BackupLine::Progress { .. }).then_some((making, None));
        let mut text = serde_json::to_vec(&told).expect("these types can be written as JSON");
        text.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), rest))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    Ok(response)
}

impl Making {
    fn start(node: Node, to: PathBuf, passphrase: Zeroizing<String>) -> Self {
        let (told, progress) = watch::channel(None);
        let made = tokio::spawn(async move { node.backup(BackupOrder { to, passphrase, told }).await });
        Self { made, progress, beat: interval(TOLD_EVERY) }
    }

    /// The next thing to tell.
    async fn next(&mut self) -> Result<News, Problem> {
        loop {
            tokio::select! {
                biased;
                made = &mut self.made => {
                    let made = made.map_err(|error| Problem::internal(error.to_string()))?;
                    return made.map(News::Made).map_err(problem);
                }
                _ = self.beat.tick() => {
                    let has_news = self.progress.has_changed().unwrap_or(false);
                    if let Some(progress) = has_news.then(|| *self.progress.borrow_and_update()).flatten() {
                        return Ok(News::Progress(progress));
                    }
                }
            }
        }
    }

    /// Makes it to the end, or until the job is cancelled.
    async fn run_as_job(mut self, running: &Running) -> End {
        loop {
            let next = tokio::select! {
                biased;
                () = running.cancelled() => return self.stop().await,
                next = self.next() => next,
            };
            match next {
                Ok(News::Progress(progress)) => {
                    running.tell_stage(stage(progress), progress.done_bytes, progress.total_bytes);
                }
                Ok(News::Made(contents)) => return End::Done(result(contents)),
                Err(problem) => return End::Failed(problem),
            }
        }
    }

    /// Stops it, and waits until no file of it is left. It may have been made by then.
    async fn stop(self) -> End {
        drop(self.progress);
        match self.made.await {
            Ok(Ok(contents)) => End::Done(result(contents)),
            _ => End::Cancelled(None),
        }
    }
}

fn stage(progress: Progress) -> &'static str {
    match progress.stage {
        Stage::Copying => "copying",
        Stage::Checking => "checking",
    }
}

fn line(news: News) -> BackupLine {
    match news {
        News::Progress(progress) => BackupLine::Progress {
            stage: stage(progress).to_owned(),
            done: progress.done_bytes,
            total: progress.total_bytes,
        },
        News::Made(Contents { bytes, spaces, entries, records }) => {
            BackupLine::Done { bytes, spaces, entries, records }
        }
    }
}

fn result(contents: Contents) -> JobResult {
    let Contents { bytes, spaces, entries, records } = contents;
    JobResult::Backup(BackupDto { bytes, spaces, entries, records })
}

impl From<&Problem> for BackupLine {
    fn from(problem: &Problem) -> Self {
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

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_backup_that_takes_a_while_tells_how_far_it_is_and_then_that_it_is_made() {
        let (told, progress) = watch::channel(None);
        let (finish, finished) = oneshot::channel::<Contents>();
        let made = tokio::spawn(async move { Ok(finished.await.expect("it's finished below")) });
        let making = Making { made, progress, beat: interval(TOLD_EVERY) };
        let at = |stage, done_bytes| Some(Progress { stage, done_bytes, total_bytes: 300 });
        told.send_replace(at(Stage::Copying, 100));
        let mut lines = super::told(making).await.expect("it begins").into_body().into_data_stream();
        let mut line = async || -> BackupLine {
            let line = lines.next().await.expect("a line").expect("no error");
            assert!(line.ends_with(b"\n"));
            serde_json::from_slice(&line).expect("a line is JSON")
        };
        let of = |stage: &str, done| BackupLine::Progress { stage: stage.into(), done, total: 300 };
        assert_eq!(line().await, of("copying", 100));
        for (stage, name, done) in [
            (Stage::Copying, "copying", 200),
            (Stage::Copying, "copying", 300),
            (Stage::Checking, "checking", 150),
        ] {
            // What comes faster than it's told is told by the newest.
            told.send_replace(at(stage, done - 1));
            told.send_replace(at(stage, done));
            assert_eq!(line().await, of(name, done));
        }
        let contents = Contents { bytes: 300, spaces: 1, entries: 2, records: 3 };
        assert!(finish.send(contents).is_ok());
        assert_eq!(line().await, BackupLine::Done { bytes: 300, spaces: 1, entries: 2, records: 3 });
        assert!(lines.next().await.is_none(), "the answer ends with it");
    }
}

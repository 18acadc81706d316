//! Bulk import: lines of JSON, parsed while they come and written in large transactions.
//!
//! Two tasks with a short queue between them: this one reads and parses, the other writes batches in the
//! order of the lines (so that the last line about a record wins). Memory is bounded by the queue. When a
//! line is wrong, everything before it is written, and the answer names the line. The same work goes on as a job for
//! whoever prefers not to wait.

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use covey_node::Collection;
use futures::StreamExt;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::{
    ApiState,
    jobs::{accepted, prefers_async},
    records,
};
use crate::{
    dto::{ImportDto, JobDto, JobKind, JobResult, words},
    extract::{InPath, InQuery, InStream},
    jobs::{End, NewJob, Running},
    limits::{BATCHES_WAITING, MAX_BATCH_BYTES, MAX_BATCH_ROWS},
    ndjson::{self, Lines, Row},
    problem::Problem,
};

/// When the sender pauses for this long, what is there gets written: a slow producer's rows show up.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// The field of each document that holds the record's id.
    id_field: Option<String>,
}

/// Writes many records: a line for each, either a document or `{"id":...,"doc":{...}}` as an export writes it.
///
/// Where a line is wrong, those before it are written, and the problem says which line and how many. A client that prefers not
/// to wait for the answer gets a job; it still has to send the lines.
#[utoipa::path(
    post,
    path = "/spaces/{space}/collections/{collection}/import",
    tag = "records",
    operation_id = "importRecords",
    params(
        ImportQuery,
        ("Prefer" = Option<String>, Header, description = "`respond-async` (RFC 7240) for a job in place of the answer.")
    ),
    request_body(
        content = words::Document,
        content_type = "application/x-ndjson",
        description = "A line for each record: its document, or `{\"id\":...,\"doc\":{...}}` and nothing else. This is the schema of a line."
    ),
    responses(
        (status = 200, description = "All are written.", body = ImportDto),
        (
            status = 202,
            description = "They are written as a job.",
            body = JobDto,
            headers(("Location" = String, description = "Where the job is."))
        ),
    )
)]
pub(super) async fn import(
    State(state): State<ApiState>,
    InPath((space, name)): InPath<(String, String)>,
    InQuery(query): InQuery<ImportQuery>,
    headers: HeaderMap,
    body: InStream,
) -> Result<Response, Problem> {
    let collection = records::collection(&state, &space, &name)?;
    let import = Import { collection, id_field: query.id_field, body };
    if prefers_async(&headers) {
        let new = NewJob {
            kind: JobKind::Import,
            target: format!("{space}/{name}"),
            total: headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok()),
            stage: None,
        };
        return Ok(accepted(state.jobs.start(new, |running| import.run_as_job(running))?));
    }
    let imported = import.run(std::future::pending(), |_| {}).await?;
    match imported.problem {
        Some(problem) => Err(problem),
        None => Ok(Json(imported.written).into_response()),
    }
}

/// An import that was asked for.
struct Import {
    collection: Collection,
    id_field: Option<String>,
    body: InStream,
}

/// What came of one.
struct Imported {
    written: ImportDto,
    problem: Option<Problem>,
    /// Whether it ended before the body did.
    cut: bool,
}

impl Import {
    /// Writes until the body ends, something is wrong, or `cut` says that it's enough. `told` hears how many bytes of the body
    /// are written.
    async fn run(
        self,
        cut: impl Future<Output = ()>,
        told: impl FnMut(u64) + Send + 'static,
    ) -> Result<Imported, Problem> {
        let started = Instant::now();
        let (batches, queue) = mpsc::channel(BATCHES_WAITING);
        let writing = tokio::spawn(write_batches(self.collection, queue, told));
        let (read, cut) = tokio::select! {
            biased;
            () = cut => (Ok(()), true),
            read = Reader::new(self.id_field, batches).run(self.body) => (read, false),
        };
        let (written, failed) = writing.await.map_err(|error| Problem::internal(error.to_string()))?;
        let problem = failed.or(read.err()).map(|problem| problem.after_records(written.records));
        let written = ImportDto { seconds: started.elapsed().as_secs_f64(), ..written };
        Ok(Imported { written, problem, cut })
    }

    async fn run_as_job(self, running: Running) -> End {
        let teller = running.clone();
        match self.run(running.cancelled(), move |bytes| teller.tell(bytes)).await {
            Err(problem) | Ok(Imported { problem: Some(problem), .. }) => End::Failed(problem),
            Ok(Imported { written, cut: true, .. }) => End::Cancelled(Some(JobResult::Import(written))),
            Ok(Imported { written, .. }) => End::Done(JobResult::Import(written)),
        }
    }
}

/// Rows in the order of their lines.
struct Batch {
    rows: Vec<Row>,
    bytes: usize,
    first_line: u64,
    last_line: u64,
    /// Bytes of the body up to its end.
    upto: u64,
}

impl Batch {
    fn new(first_line: u64) -> Self {
        Self { rows: Vec::new(), bytes: 0, first_line, last_line: first_line, upto: 0 }
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= MAX_BATCH_ROWS || self.bytes >= MAX_BATCH_BYTES
    }
}

/// Reads the body and cuts it into batches.
struct Reader {
    id_field: Option<String>,
    lines: Lines,
    batch: Batch,
    batches: mpsc::Sender<Batch>,
    /// Bytes of the body that were read.
    read: u64,
}

impl Reader {
    fn new(id_field: Option<String>, batches: mpsc::Sender<Batch>) -> Self {
        Self { id_field, lines: Lines::default(), batch: Batch::new(1), batches, read: 0 }
    }

    /// Reads to the end, or to the first line that is wrong; whatever was read before it is handed on.
    async fn run(mut self, mut body: InStream) -> Result<(), Problem> {
        let outcome = self.read(&mut body).await;
        // A writer that is gone tells itself what went wrong.
        let _ = self.flush().await;
        outcome
    }

    async fn read(&mut self, body: &mut InStream) -> Result<(), Problem> {
        loop {
            let Ok(next) = tokio::time::timeout(PAUSE, body.next()).await else {
                if self.flush().await.is_err() {
                    return Ok(());
                }
                continue;
            };
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|error| Problem::invalid(format!("the upload broke off: {error}")))?;
            self.read += chunk.len() as u64;
            self.lines.push(&chunk);
            while let Some(line) = self.lines.next_line() {
                let number = self.lines.number();
                let line = line
                    .map_err(|error| Problem::too_large(format!("line {number}: {error}")).at_line(number))?;
                self.take(&line)?;
                // A writer that is gone tells itself what went wrong.
                if self.batch.is_full() && self.flush().await.is_err() {
                    return Ok(());
                }
            }
        }
        match self.lines.last_line() {
            Some(line) => self.take(&line),
            None => Ok(()),
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Problem> {
        let number = self.lines.number();
        let row = ndjson::parse_row(line, self.id_field.as_deref()).map_err(|error| {
            let detail = format!("line {number}: {error}");
            let problem =
                if error.is_too_large() { Problem::too_large(detail) } else { Problem::malformed(detail) };
            problem.at_line(number)
        })?;
        if let Some(row) = row {
            self.batch.bytes += row.1.len();
            self.batch.last_line = number;
            self.batch.rows.push(row);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), mpsc::error::SendError<Batch>> {
        if self.batch.rows.is_empty() {
            return Ok(());
        }
        self.batch.upto = self.read;
        let next = Batch::new(self.batch.last_line + 1);
        self.batches.send(std::mem::replace(&mut self.batch, next)).await
    }
}

/// Writes batches until there are no more, or one fails.
async fn write_batches(
    collection: Collection,
    mut queue: mpsc::Receiver<Batch>,
    mut told: impl FnMut(u64),
) -> (ImportDto, Option<Problem>) {
    let mut written = ImportDto { records: 0, entries: 0, seconds: 0.0 };
    while let Some(batch) = queue.recv().await {
        match collection.put_many(batch.rows).await {
            Ok(put) => {
                written.records += put.records;
                written.entries += put.entries;
                told(batch.upto);
            }
            Err(error) => {
                let place = format!("lines {} to {}", batch.first_line, batch.last_line);
                return (written, Some(Problem::from(error).in_place(&place)));
            }
        }
    }
    (written, None)
}

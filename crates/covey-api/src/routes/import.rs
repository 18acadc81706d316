//! Bulk import: lines of JSON, parsed while they come and written in large transactions.
//!
//! Two tasks with a short queue between them: this one reads and parses, the other writes batches in the
//! order of the lines (so that the last line about a record wins). Memory is bounded by the queue. When a
//! line is wrong, everything before it is written, and the answer names the line.

use std::time::{Duration, Instant};

use axum::{Json, body::BodyDataStream, extract::State};
use covey_node::Collection;
use futures::StreamExt;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{ApiState, records};
use crate::{
    dto::ImportDto,
    extract::{self, InPath, InQuery, InStream},
    limits::{BATCHES_WAITING, MAX_BATCH_BYTES, MAX_BATCH_ROWS},
    ndjson::{self, Lines, Row},
    problem::Problem,
};

/// When the sender pauses for this long, what is there gets written: a slow producer's rows show up.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportQuery {
    id_field: Option<String>,
}

pub(super) async fn import(
    State(state): State<ApiState>,
    InPath((space, name)): InPath<(String, String)>,
    InQuery(query): InQuery<ImportQuery>,
    InStream(body): InStream,
) -> Result<Json<ImportDto>, Problem> {
    let started = Instant::now();
    let collection = records::collection(&state, &space, &name)?;
    let (batches, queue) = mpsc::channel(BATCHES_WAITING);
    let writing = tokio::spawn(write_batches(collection, queue));
    let read = Reader::new(query.id_field, batches).run(body).await;
    let (written, failed) = writing.await.map_err(|error| Problem::internal(error.to_string()))?;
    if let Some(problem) = failed.or(read.err()) {
        return Err(problem.after_records(written.records));
    }
    Ok(Json(ImportDto { seconds: started.elapsed().as_secs_f64(), ..written }))
}

/// Rows in the order of their lines.
struct Batch {
    rows: Vec<Row>,
    bytes: usize,
    first_line: u64,
    last_line: u64,
}

impl Batch {
    fn new(first_line: u64) -> Self {
        Self { rows: Vec::new(), bytes: 0, first_line, last_line: first_line }
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
}

impl Reader {
    fn new(id_field: Option<String>, batches: mpsc::Sender<Batch>) -> Self {
        Self { id_field, lines: Lines::default(), batch: Batch::new(1), batches }
    }

    /// Reads to the end, or to the first line that is wrong; whatever was read before it is handed on.
    async fn run(mut self, mut body: BodyDataStream) -> Result<(), Problem> {
        let outcome = self.read(&mut body).await;
        let flushed = self.flush().await;
        if outcome.is_err() || flushed.is_err() {
            extract::drain(body);
        }
        outcome
    }

    async fn read(&mut self, body: &mut BodyDataStream) -> Result<(), Problem> {
        loop {
            let Ok(next) = tokio::time::timeout(PAUSE, body.next()).await else {
                if self.flush().await.is_err() {
                    return Ok(());
                }
                continue;
            };
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|error| Problem::invalid(format!("the upload broke off: {error}")))?;
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
        let next = Batch::new(self.batch.last_line + 1);
        self.batches.send(std::mem::replace(&mut self.batch, next)).await
    }
}

/// Writes batches until there are no more, or one fails.
async fn write_batches(
    collection: Collection,
    mut queue: mpsc::Receiver<Batch>,
) -> (ImportDto, Option<Problem>) {
    let mut written = ImportDto { records: 0, entries: 0, seconds: 0.0 };
    while let Some(batch) = queue.recv().await {
        match collection.put_many(batch.rows).await {
            Ok(put) => {
                written.records += put.records;
                written.entries += put.entries;
            }
            Err(error) => {
                let place = format!("lines {} to {}", batch.first_line, batch.last_line);
                return (written, Some(Problem::from(error).in_place(&place)));
            }
        }
    }
    (written, None)
}

//! `covey record import` and `export`: many records, as JSON lines or CSV, in bounded memory.
//!
//! CSV: the header row names the fields. A cell that is a JSON number or boolean becomes one, an empty
//! cell is an absent field, everything else is a text. An export writes the record's id into the first
//! column and values that are lists or objects as JSON.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    path::Path,
    pin::pin,
    thread,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use covey_api::{
    csv_rows::CsvRows,
    dto::{ImportDto, RecordDto},
};
use futures::{Stream, StreamExt, stream};
use indicatif::ProgressBar;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::{
    args::{Format, Import, Place},
    client::{Client, with_query},
    commands::record::place_path,
    diag::Failure,
    output::{Out, visible},
    progress::Progress,
    words::{count, grouped, seconds},
};

/// What is read from a file at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Chunks that wait for the network.
const CHUNKS_WAITING: usize = 8;

/// Longest line of an export that is put together from chunks. A record that was merged from many writes may
/// be larger than any one write; this leaves room for four times the largest that a node keeps.
const MAX_LINE_BYTES: usize = 16 << 20;

pub(super) async fn import(client: &Client, import: &Import, out: &Out) -> Result<(), Failure> {
    let (source, len) = open(&import.file)?;
    let progress = Progress::bytes(out, len, "importing");
    let (chunks, mut queue) = mpsc::channel(CHUNKS_WAITING);
    let (tell, told) = oneshot::channel();
    let (format, bar, name) = (format_of(import), progress.bar(), import.file.clone());
    thread::spawn(move || {
        let read = match format {
            Format::Ndjson => send_lines(source, &chunks, &bar),
            Format::Csv => send_csv(source, &chunks, &bar),
        };
        drop(chunks);
        // Nobody listens when the command is over already.
        let _ = tell.send(read.map_err(|error| {
            Failure::failed(format!("{} could not be read to its end", name.display())).because(error)
        }));
    });
    let url = with_query(place_path(&import.place, &["import"]), &[("id_field", import.id_field.clone())]);
    let body = stream::poll_fn(move |cx| queue.poll_recv(cx));
    let done: ImportDto = client.upload(&url, body).await?;
    drop(progress);
    if let Ok(Err(failure)) = told.await {
        let imported = count(done.records, "record before that was", "records before that were");
        return Err(failure.hint(format!("the {imported} imported")));
    }
    if out.is_json() {
        return out.document(&done);
    }
    out.line(&import_words(&done))
}

fn import_words(done: &ImportDto) -> String {
    let records = count(done.records, "record", "records");
    // Of a handful in a moment a rate says nothing.
    if done.seconds < 1.0 {
        return format!("Imported {records} in {}.", seconds(done.seconds));
    }
    let took = Duration::from_secs_f64(done.seconds);
    let rate = u128::from(done.records) * 1_000_000 / took.as_micros().max(1);
    let rate = grouped(u64::try_from(rate).unwrap_or(u64::MAX));
    format!("Imported {records} in {} ({rate} per second).", seconds(done.seconds))
}

fn format_of(import: &Import) -> Format {
    let is_csv = import.file.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    import.format.unwrap_or(if is_csv { Format::Csv } else { Format::Ndjson })
}

/// The source, and its length when it is a plain file.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), None));
    }
    let failed =
        |error: io::Error| Failure::failed(format!("{} could not be opened", path.display())).because(error);
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_dir() {
        return Err(Failure::failed(format!("{} is a folder, not a file", path.display())));
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

/// The request is over when its queue is: the node has answered, and the answer says why.
fn is_over(sent: Result<(), mpsc::error::SendError<Bytes>>) -> bool {
    sent.is_err()
}

fn send_lines(mut source: impl Read, chunks: &mpsc::Sender<Bytes>, bar: &ProgressBar) -> io::Result<()> {
    loop {
        let mut buffer = BytesMut::zeroed(CHUNK_BYTES);
        let read = match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        buffer.truncate(read);
        if is_over(chunks.blocking_send(buffer.freeze())) {
            return Ok(());
        }
        bar.inc(read as u64);
    }
}

fn send_csv(source: impl Read, chunks: &mpsc::Sender<Bytes>, bar: &ProgressBar) -> io::Result<()> {
    let mut rows = CsvRows::new(source)?;
    let mut out = Vec::with_capacity(CHUNK_BYTES + 4096);
    let mut at = 0;
    loop {
        let more = rows.push_next(&mut out);
        if out.len() >= CHUNK_BYTES || !matches!(more, Ok(true)) {
            // What stands before a bad row is sent, so that its count is told.
            if is_over(chunks.blocking_send(std::mem::take(&mut out).into())) {
                return Ok(());
            }
            let now = rows.position();
            bar.inc(now.saturating_sub(at));
            at = now;
        }
        if !more? {
            return Ok(());
        }
    }
}

pub(super) async fn export(client: &Client, place: &Place, format: Format, out: &Out) -> Result<(), Failure> {
    let url = place_path(place, &["export"]);
    let mut chunks = pin!(client.download(&url).await?);
    if format == Format::Csv {
        return export_csv(client, &url, chunks, out).await;
    }
    // A file gets what the node sends, byte for byte; a terminal must not be steered by it.
    if out.reaches_a_terminal() {
        let mut records = pin!(values::<RecordDto>(chunks));
        while let Some(record) = records.next().await {
            out.document(&record?)?;
        }
        return Ok(());
    }
    while let Some(chunk) = chunks.next().await {
        out.bytes(&chunk?)?;
    }
    Ok(())
}

/// Two passes, since the header needs every field's name and the records may not fit in memory.
async fn export_csv(
    client: &Client,
    url: &str,
    first: impl Stream<Item = Result<Bytes, Failure>> + Unpin,
    out: &Out,
) -> Result<(), Failure> {
    let mut fields = BTreeSet::new();
    let mut pass = pin!(values::<RecordDto>(first));
    while let Some(record) = pass.next().await {
        fields.extend(document(&record?)?.into_iter().map(|(name, _)| name));
    }
    // The column of the ids must not hide a field of the same name.
    let id_column = if fields.contains("id") { "_id" } else { "id" };
    let mut table = Table { writer: csv::Writer::from_writer(Vec::new()), out };
    table.row(std::iter::once(id_column).chain(fields.iter().map(String::as_str)))?;
    let mut late = 0;
    let second = pin!(client.download(url).await?);
    let mut pass = pin!(values::<RecordDto>(second));
    while let Some(record) = pass.next().await {
        let record = record?;
        let mut doc = document(&record)?;
        let mut cells = vec![record.id];
        cells.extend(fields.iter().map(|name| doc.remove(name).map(cell).unwrap_or_default()));
        table.row(&cells)?;
        late += doc.len() as u64;
    }
    table.flush()?;
    if late > 0 {
        out.note(&format!("{} written during the export left out", count(late, "field", "fields")));
    }
    Ok(())
}

fn document(record: &RecordDto) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(record.doc.get()).map_err(|error| {
        Failure::failed(format!("the record {:?} is not an object", record.id)).because(error)
    })
}

fn cell(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

struct Table<'a> {
    writer: csv::Writer<Vec<u8>>,
    out: &'a Out,
}

impl Table<'_> {
    fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) -> Result<(), Failure> {
        let escape = self.out.reaches_a_terminal();
        for cell in cells {
            let cell = cell.as_ref();
            let shown = if escape { visible(cell) } else { cell.into() };
            self.writer.write_field(shown.as_bytes()).map_err(io::Error::other).map_err(Failure::output)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(io::Error::other).map_err(Failure::output)?;
        if self.writer.get_ref().len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let full = std::mem::replace(&mut self.writer, csv::Writer::from_writer(Vec::new()));
        let bytes = full.into_inner().map_err(|error| Failure::output(error.into_error()))?;
        self.out.bytes(&bytes)
    }
}

/// The values in a stream of JSON lines.
pub(super) fn values<T: DeserializeOwned>(
    chunks: impl Stream<Item = Result<Bytes, Failure>> + Unpin,
) -> impl Stream<Item = Result<T, Failure>> {
    let state = (chunks, BytesMut::new());
    stream::try_unfold(state, |(mut chunks, mut buffer)| async move {
        // How much of the buffer is known to hold no end of a line: each byte is looked at once.
        let mut searched = 0;
        loop {
            if let Some(end) = buffer[searched..].iter().position(|&byte| byte == b'\n') {
                let line = buffer.split_to(searched + end + 1);
                let value = serde_json::from_slice(&line).map_err(|error| {
                    Failure::failed("the node sent a line that is not what was asked for").because(error)
                })?;
                return Ok(Some((value, (chunks, buffer))));
            }
            searched = buffer.len();
            if searched > MAX_LINE_BYTES {
                return Err(Failure::failed("the node sent a line without end"));
            }
            match chunks.next().await {
                Some(chunk) => buffer.extend_from_slice(&chunk?),
                None if buffer.is_empty() => return Ok(None),
                None => return Err(Failure::failed("the node's answer ends in the middle of a line")),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_lines(csv: &str) -> String {
        let (chunks, mut queue) = mpsc::channel(CHUNKS_WAITING);
        send_csv(csv.as_bytes(), &chunks, &ProgressBar::hidden()).unwrap();
        drop(chunks);
        let mut out = Vec::new();
        while let Some(chunk) = queue.blocking_recv() {
            out.extend_from_slice(&chunk);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_become_what_they_look_like() {
        let lines = as_lines("\u{feff}name,rows,done,zip\nbean,3,true,007\n\"pea, \"\"green\"\"\",,,x\n");
        assert_eq!(
            lines,
            "{\"name\":\"bean\",\"rows\":3,\"done\":true,\"zip\":\"007\"}\n{\"name\":\"pea, \\\"green\\\"\",\"zip\":\"x\"}\n"
        );
    }

    #[tokio::test]
    async fn a_line_far_larger_than_one_write_is_read_and_one_without_end_is_refused() {
        let doc = format!("{{\"x\":\"{}\"}}", "y".repeat(5 << 20));
        let text = Bytes::from(format!("{{\"id\":\"a\",\"doc\":{doc}}}\n{{\"id\":\"b\",\"doc\":{{}}}}\n"));
        let chunks: Vec<_> = text.chunks(CHUNK_BYTES).map(|chunk| Ok(text.slice_ref(chunk))).collect();
        let read: Vec<_> = values::<RecordDto>(stream::iter(chunks)).collect().await;
        let read: Vec<RecordDto> = read.into_iter().map(Result::unwrap).collect();
        assert_eq!((read[0].doc.get(), read[1].id.as_str()), (doc.as_str(), "b"));

        let endless = stream::repeat_with(|| Ok(Bytes::from(vec![b' '; 1 << 20])));
        let first = Box::pin(values::<RecordDto>(endless)).next().await.unwrap();
        assert!(first.unwrap_err().message().contains("without end"));
    }

    #[test]
    fn rows_before_a_bad_one_are_sent() {
        let (chunks, mut queue) = mpsc::channel(CHUNKS_WAITING);
        let error = send_csv("a,b\n1,2\n3\n".as_bytes(), &chunks, &ProgressBar::hidden()).unwrap_err();
        assert!(error.to_string().contains("line: 3"), "{error}");
        assert_eq!(queue.try_recv().unwrap(), "{\"a\":1,\"b\":2}\n");
    }
}

//! A home with a log of ten million entries: how long it takes to open. Beside it an empty home, in turns.
//!
//! A node founds the space. Its log is then written on through the store, thousands of entries to a transaction, with
//! headers as they are, each with the hash of the one before, and the body of a small record, always the same. The
//! signatures are zeros: to make them would take longer than all else, and opening a home looks at none. The files are
//! some 4 GB.

use std::{
    fs::File,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use covey_lab::Lan;
use covey_log::{Entry, Header, entry::entry_hash};
use covey_node::Node;
use covey_store::{LogRow, NewEntry, Store, StoreError, Unlock};
use covey_types::{Head, Hlc, Signature, wire};
use rustix::fs::{Advice, fadvise};
use tokio::runtime::Runtime;

use crate::{
    Setting,
    footprint::StartUp,
    nodes::{self, COLLECTION, document, longest_log},
    remote::myself,
    report::Figure,
    runtime,
    samples::Samples,
};

/// What it may take, milliseconds.
const GOAL_MS: f64 = 1000.0;

/// Entries to a transaction.
const AT_ONCE: usize = 10_000;

/// Runs it.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let (entries, times) = (setting.count(10_000_000, 50_000), setting.count(9, 3));
    let (empty, long) = (setting.work.join("empty"), setting.work.join("long"));
    let runtime = runtime()?;
    runtime.block_on(found(&empty))?;
    runtime.block_on(found(&long))?;
    let before = head(&long)?;
    let took = write_on(&long, entries)?;
    #[expect(clippy::cast_precision_loss, reason = "ten million")]
    let rate = entries as f64 / took.as_secs_f64();
    let size = std::fs::metadata(long.join("covey.db"))?.len();
    let (mut short, mut warm, mut cold) = (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..times {
        short.push_ms(open(&runtime, &empty)?);
        warm.push_ms(open(&runtime, &long)?);
        forget(&long.join("covey.db"))?;
        cold.push_ms(open(&runtime, &long)?);
    }
    let (own, mut figures) = (head(&long)?.head.seq - before.head.seq, Vec::new());
    ensure!(own == entries as u64, "the log has {own} entries more, not {entries}");
    runtime.block_on(go_on(&long))?;
    // The node may have had something of its own to write besides.
    let end = head(&long)?.head.seq;
    ensure!(end > before.head.seq + own, "the log does not go on: it ends at {end} still");
    let beside = "an empty home";
    figures.extend([
        Figure::new(format!("{entries} entries written through the store"), rate, "entries/s"),
        #[expect(clippy::cast_precision_loss, reason = "some GB")]
        Figure::new("  their file", size as f64 / 1e9, "GB"),
        Figure::new("a node opens with that log, median", warm.median(), "ms")
            .beside(beside, short.median())
            .below(GOAL_MS)
            .sampled(&warm),
        Figure::new("  and with nothing of the file in memory", cold.median(), "ms")
            .below(GOAL_MS)
            .sampled(&cold),
    ]);
    figures.extend(start_up(setting, &empty, &long, times)?);
    Ok(figures)
}

async fn found(home: &Path) -> Result<()> {
    let node = Node::open(nodes::config(home, "Ada", "127.0.0.1")).await?;
    node.create_space("garden").await?.collection(COLLECTION)?.put(None, &document(0)).await?;
    node.shutdown().await;
    Ok(())
}

/// Writes one more record.
async fn go_on(home: &Path) -> Result<()> {
    let node = Node::open(nodes::config(home, "Ada", "127.0.0.1")).await?;
    node.space("garden")?.collection(COLLECTION)?.put(None, &document(1)).await?;
    node.shutdown().await;
    Ok(())
}

/// The log in question.
fn head(home: &Path) -> Result<LogRow> {
    let store = Store::open(home, Unlock::KeyFile)?;
    let (_, log) = store.read_blocking(longest_log)?;
    store.close()?;
    Ok(log)
}

fn open(runtime: &Runtime, home: &Path) -> Result<Duration> {
    let started = Instant::now();
    let node = runtime.block_on(Node::open(nodes::config(home, "Ada", "127.0.0.1")))?;
    let took = started.elapsed();
    runtime.block_on(node.shutdown());
    Ok(took)
}

/// Lets the kernel forget what it has read of a file.
fn forget(file: &Path) -> Result<()> {
    let opened = File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
    opened.sync_all()?;
    fadvise(&opened, 0, None, Advice::DontNeed).context("the kernel does not forget the file")
}

/// Writes entries of records behind the last one of the long log.
fn write_on(home: &Path, count: usize) -> Result<Duration> {
    let store = Store::open(home, Unlock::KeyFile)?;
    let (_, log) = store.read_blocking(longest_log)?;
    let stored = store.read_blocking(|reader| reader.entry(log.key, log.head.seq))?;
    let stored = stored.context("the log's last entry is not there")?;
    let last = Entry::decode(&stored.header, Signature(stored.signature), &stored.body)?;
    let (mut header, mut head, body) = (last.header, log.head, last.body);
    let started = Instant::now();
    for first in (0..count).step_by(AT_ONCE) {
        let body = Arc::clone(&body);
        (header, head) = store.write_blocking(move |tx| {
            for _ in first..count.min(first + AT_ONCE) {
                let bytes;
                (header, bytes) = next(header, head);
                head = Head { seq: header.seq, hash: entry_hash(&bytes) };
                tx.append(
                    log.key,
                    NewEntry {
                        seq: head.seq,
                        hash: head.hash,
                        prev: header.prev,
                        hlc: header.hlc,
                        header: &bytes,
                        signature: &[0; 64],
                        body: &body,
                    },
                )?;
            }
            Ok::<_, StoreError>((header, head))
        })?;
    }
    let took = started.elapsed();
    store.close()?;
    Ok(took)
}

/// The header of the next entry, and its bytes.
fn next(last: Header, head: Head) -> (Header, Vec<u8>) {
    // Ten million of these steps are a sixth of a second: none is from the future.
    let hlc = Hlc::from_u64(last.hlc.to_u64() + 1);
    let header = Header { seq: head.seq + 1, prev: head.hash, hlc, ..last };
    let bytes = wire::encode(&header);
    (header, bytes)
}

/// `covey up` with both homes, until it says that it's ready.
fn start_up(setting: &Setting, empty: &Path, long: &Path, times: usize) -> Result<Vec<Figure>> {
    let (Some(covey), Some(lan)) = (setting.covey.as_deref(), Lan::new(1)?) else { return Ok(Vec::new()) };
    let starts = |home: &Path| {
        let mut child = lan.command(0, myself()?);
        child.arg("start-up").arg("--covey").arg(covey).arg("--home").arg(home);
        start_ups(child.args(["--times", &times.to_string(), "--rest", "0"]))
    };
    let (short, long) = (starts(empty)?, starts(long)?);
    Ok(vec![
        Figure::new("covey up with that log, start to ready, median", long.median(), "ms")
            .beside("an empty home", short.median())
            .below(GOAL_MS)
            .sampled(&long),
    ])
}

fn start_ups(child: &mut Command) -> Result<Samples> {
    let done = child.stderr(std::process::Stdio::inherit()).output()?;
    ensure!(done.status.success(), "measuring the start ended with {}", done.status);
    let found: StartUp = serde_json::from_slice(&done.stdout)?;
    let mut starts = Samples::default();
    found.starts_ms.iter().for_each(|ms| starts.push(*ms));
    Ok(starts)
}

//! One record put by an application that waits for each: encrypted, signed, committed. On a disk, where the commit
//! is flushed, and in memory, where flushing costs nothing: what is left then is the work.
//!
//! Beside each the commit of one row of a plain database in the same place, in turns. And what of that is encryption,
//! and the signature, alone.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use covey_log::{BodyContext, Draft, Entry, EpochKey, Kind, seal};
use covey_node::Node;
use covey_types::{DeviceSecret, Head, Hlc, Incarnation, LogId, SpaceId};

use crate::{
    Setting,
    nodes::{self, COLLECTION, document},
    report::Figure,
    runtime,
    samples::Samples,
    sqlcipher::Plain,
};

/// A file system that is memory.
const MEMORY: &str = "/dev/shm";

/// Puts before the clock starts.
const WARM_UP: usize = 100;

/// Runs both.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let times = setting.count(1000, 50);
    let memory = tempfile::tempdir_in(MEMORY).with_context(|| format!("cannot make a folder in {MEMORY}"))?;
    let mut figures = Vec::new();
    for (place, what) in [(setting.work.as_path(), "flushed to disk"), (memory.path(), "in memory, no flush")]
    {
        let (puts, commits) = runtime()?.block_on(measure(place, times))?;
        figures.push(
            Figure::new(format!("encrypt, sign, commit one record, {what}, p50"), puts.median(), "ms")
                .beside("1 plain commit there", commits.median())
                .sampled(&puts),
        );
    }
    let (encrypted, signed) = in_parts(times);
    figures.push(
        Figure::new("encrypt one record, p50", encrypted.median(), "us").below(50.0).sampled(&encrypted),
    );
    figures.push(Figure::new("sign its entry, p50", signed.median(), "us").sampled(&signed));
    Ok(figures)
}

/// What it takes to encrypt a record, and to sign the entry that holds it, microseconds.
fn in_parts(times: usize) -> (Samples, Samples) {
    let (key, device) = (EpochKey::generate(), DeviceSecret::generate());
    let log = LogId { device: device.id(), incarnation: Incarnation(1) };
    let (space, kind) = (SpaceId([7; 32]), Kind::RECORDS);
    let (mut encrypted, mut signed) = (Samples::default(), Samples::default());
    let mut head = Head::EMPTY;
    for n in 0..WARM_UP + times {
        let plain = document(n).into_bytes();
        let (place, started) = (BodyContext { space, log, seq: head.seq + 1, kind }, Instant::now());
        let body = seal(&key, place, &plain);
        let sealed = started.elapsed();
        let draft =
            Draft { space, log, head, hlc: Hlc::new(n as u64, 0), kind, epoch: key.id(), deps: Vec::new() };
        let started = Instant::now();
        head = Entry::sign(&device, draft, body).head();
        if n >= WARM_UP {
            encrypted.push(sealed.as_secs_f64() * 1e6);
            signed.push(started.elapsed().as_secs_f64() * 1e6);
        }
    }
    (encrypted, signed)
}

async fn measure(place: &Path, times: usize) -> Result<(Samples, Samples)> {
    let (mut puts, mut commits) = (Samples::default(), Samples::default());
    let plain = Plain::new(place, "plain.db")?;
    let node = Node::open(nodes::config(&place.join("home"), "Ada", "127.0.0.1")).await?;
    let plants = node.create_space("garden").await?.collection(COLLECTION)?;
    for n in 0..WARM_UP + times {
        let doc = document(n);
        let started = Instant::now();
        plants.put(None, &doc).await?;
        let put = started.elapsed();
        let commit = plain.commit(n)?;
        if n >= WARM_UP {
            puts.push_ms(put);
            commits.push_ms(commit);
        }
    }
    node.shutdown().await;
    Ok((puts, commits))
}

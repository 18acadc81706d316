//! One record put by an application that waits for each: encrypted, signed, committed. On a disk, where the commit
//! is flushed, and in memory, where flushing costs nothing: what is left then is the work.
//!
//! Beside each the commit of one row of a plain database in the same place, in turns.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use covey_node::Node;

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
    Ok(figures)
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

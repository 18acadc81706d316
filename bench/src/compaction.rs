//! The same thousand records written again and again: how large the store gets, beside one that got them once.
//!
//! One node, on which nobody else has to agree, so that what is measured is the store and not the network. The size is
//! that of the database file, looked at after each round; the write-ahead log beside it is told too. Records are a few
//! kilobytes long, since a store of a megabyte says little about one.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result};
use covey_node::Node;

use crate::{
    Setting,
    nodes::{self, COLLECTION},
    report::Figure,
    runtime,
    samples::Samples,
};

/// Records that there are.
const RECORDS: usize = 1000;

/// Records in one entry.
const AT_ONCE: usize = 50;

/// Length of a record, bytes.
const RECORD_BYTES: usize = 2000;

/// Writes as many records as a user would in years.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let rounds = setting.count(10_000, 60);
    runtime()?.block_on(async {
        let fresh = store(setting, "fresh", 1).await?;
        let worn = store(setting, "worn", rounds).await?;
        let writes = rounds * RECORDS;
        let beside = "a store that got them once";
        Ok(vec![
            Figure::new(
                format!("{writes} writes of {RECORDS} records, the largest database"),
                worn.peak_mb,
                "MB",
            )
            .beside(beside, fresh.peak_mb)
            .below(3.0 * fresh.peak_mb)
            .sampled(&worn.sizes),
            Figure::new(
                format!("{writes} writes of {RECORDS} records, with the write-ahead log"),
                worn.all_mb,
                "MB",
            )
            .beside(beside, fresh.all_mb),
            Figure::new("records overwritten", worn.per_second, "records/s"),
        ])
    })
}

struct Store {
    peak_mb: f64,
    all_mb: f64,
    per_second: f64,
    sizes: Samples,
}

async fn store(setting: &Setting, name: &str, rounds: usize) -> Result<Store> {
    let mut config = nodes::config(&setting.work.join(name), name, "127.0.0.1");
    config.compaction = Some(covey_node::CompactionLimits::default());
    let node = Node::open(config).await.with_context(|| format!("cannot open {name}'s node"))?;
    let (home, started) = (setting.work.join(name), Instant::now());
    let mut measured = Store { peak_mb: 0.0, all_mb: 0.0, per_second: 0.0, sizes: Samples::default() };
    write(&node, &home, rounds, &mut measured).await?;
    measured.per_second = f64::from(u32::try_from(rounds * RECORDS)?) / started.elapsed().as_secs_f64();
    node.shutdown().await;
    // What was in the write-ahead log only has come into the database by now.
    measured.peak_mb = measured.peak_mb.max(size_mb(&home, "covey.db")?);
    Ok(measured)
}

async fn write(node: &Node, home: &Path, rounds: usize, measured: &mut Store) -> Result<()> {
    let plants = node.create_space("garden").await?.collection(COLLECTION)?;
    for round in 0..rounds {
        for first in (0..RECORDS).step_by(AT_ONCE) {
            let row = |n| (Some(nodes::ordered_id(n)), document(round, n));
            plants.put_many((first..first + AT_ONCE).map(row).collect()).await?;
        }
        let database = size_mb(home, "covey.db")?;
        measured.sizes.push(database);
        measured.peak_mb = measured.peak_mb.max(database);
        measured.all_mb = measured.all_mb.max(database + size_mb(home, "covey.db-wal").unwrap_or(0.0));
    }
    Ok(())
}

fn size_mb(home: &Path, file: &str) -> Result<f64> {
    let path = home.join(file);
    let found = fs::metadata(&path).with_context(|| format!("cannot look at {}", path.display()))?;
    Ok(f64::from(u32::try_from(found.len() / 1000)?) / 1000.0)
}

/// A document that doesn't compress, another one in each round.
fn document(round: usize, n: usize) -> String {
    let mut text = String::with_capacity(RECORD_BYTES + 20);
    for i in 0..RECORD_BYTES / 16 {
        text.push_str(&nodes::noise((round * RECORDS + n) * 1000 + i));
    }
    format!(r#"{{"note":"{text}"}}"#)
}

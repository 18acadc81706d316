//! A hundred people in one space, all online, who write a hundred records each, all at once.
//!
//! Plays in `covey-sim` (which `make bench` builds), in virtual time: the real engine and the real sync sessions, links that
//! take up to 40 ms for a frame, disks that take up to 20 ms for a flush. Everybody is linked with eight others. What a
//! node sends, acknowledgements and all, is held against flooding, where each passes on every entry once to
//! all but the one it came from; and it's told how much the least would be, where everybody gets every entry once.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::{Setting, remote::myself, report::Figure};

/// With how many others everybody is linked.
const LINKS: usize = 8;

/// What the simulation prints.
#[derive(Debug, Deserialize)]
struct Found {
    entries: u64,
    converged_ms: f64,
    mean_bytes: f64,
    most_bytes: f64,
    flooding_bytes: f64,
    least_bytes: f64,
}

/// Runs it.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let (peers, each) = (setting.count(100, 20), setting.count(100, 5));
    let program = myself()?.with_file_name("covey-sim");
    ensure!(program.exists(), "{} is missing; run this by make bench", program.display());
    let [crowd, entries, links] = [peers, each, LINKS].map(|count| count.to_string());
    let arguments = ["--crowd", &crowd, "--entries", &entries, "--links", &links];
    let done = Command::new(&program).args(arguments).output()?;
    if !done.status.success() {
        bail!("covey-sim {arguments:?}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    let found: Found = serde_json::from_slice(&done.stdout).context("covey-sim said no JSON")?;
    ensure!(found.entries as usize > peers * each, "some entries are missing");
    let mega = |bytes: f64| bytes / 1e6;
    let what = format!("{peers} people write {each} entries each");
    Ok(vec![
        Figure::new(format!("{what}: until all have all"), found.converged_ms, "virtual ms"),
        Figure::new("  sent by a node, mean", mega(found.mean_bytes), "MB")
            .beside("flooding", mega(found.flooding_bytes)),
        Figure::new("  sent by a node, mean", mega(found.mean_bytes), "MB")
            .beside("everybody gets each entry once", mega(found.least_bytes)),
        Figure::new("  sent by the busiest node", mega(found.most_bytes), "MB"),
    ])
}

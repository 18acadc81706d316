//! The page: what its first load weighs, how long people wait until they can write, and until a large channel is on the screen.
//!
//! A real Chromium loads it from the real `covey`, on loopback, each time with nothing of it in memory (`web/scripts/bench.sh`).
//! Where there is no browser nothing is measured, and that is said.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{Setting, report::Figure};

/// What the script prints.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Found {
    Skipped { skipped: String },
    Measured(Measured),
}

#[derive(Debug, Deserialize)]
struct Measured {
    first_load_script_bytes: f64,
    messages: u64,
    usable_ms: Times,
    /// Of the first large channel that a page opens after it was loaded.
    first_opening_ms: Times,
    /// Of one that it opens when it has opened others.
    opening_ms: Times,
}

#[derive(Debug, Deserialize)]
struct Times {
    median: f64,
    p95: f64,
}

/// Runs it.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let Some(covey) = &setting.covey else { bail!("covey is missing; run this by make bench") };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/scripts/bench.sh");
    let [loads, messages] =
        [setting.count(20, 2), setting.count(100_000, 1000)].map(|count| count.to_string());
    let done = Command::new(&script)
        .env("COVEY_BIN", covey)
        .env("COVEY_BENCH_LOADS", loads)
        .env("COVEY_BENCH_MESSAGES", messages)
        .output()
        .with_context(|| format!("running {}", script.display()))?;
    if !done.status.success() {
        let said = [done.stdout, done.stderr].concat();
        bail!("{}: {}", script.display(), String::from_utf8_lossy(&said).trim());
    }
    match serde_json::from_slice(&done.stdout).context("web/scripts/bench.sh said no JSON")? {
        Found::Skipped { skipped } => {
            eprintln!("the page is not measured: {skipped}");
            Ok(Vec::new())
        }
        Found::Measured(found) => Ok(figures(&found)),
    }
}

fn figures(found: &Measured) -> Vec<Figure> {
    let opened = format!("page: a channel of {} messages", found.messages);
    let first = format!("{opened}, the first one that's opened, from the click");
    let later = format!("{opened}, one that's opened later");
    vec![
        Figure::new("page: script of the first load, gzipped", found.first_load_script_bytes / 1024.0, "KiB")
            .below(200.0),
        Figure::new("page: from its address to writing, median", found.usable_ms.median, "ms").below(1000.0),
        Figure::new("page: the same, p95", found.usable_ms.p95, "ms").below(1000.0),
        Figure::new(format!("{first}, median"), found.first_opening_ms.median, "ms").below(100.0),
        Figure::new(format!("{first}, p95"), found.first_opening_ms.p95, "ms").below(100.0),
        Figure::new(format!("{later}, median"), found.opening_ms.median, "ms").below(100.0),
        Figure::new(format!("{later}, p95"), found.opening_ms.p95, "ms").below(100.0),
    ]
}

//! What `covey up` costs: memory at rest, time to start, size on disk.
//!
//! It runs in a namespace, so that no other node on the machine's LAN takes part; where none can be had only the
//! size is told.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use covey_lab::Lan;
use serde::{Deserialize, Serialize};

use crate::{Setting, process::Covey, remote::myself, report::Figure, samples::Samples};

/// How long a node rests before its memory is read.
const REST: Duration = Duration::from_secs(10);

/// What the child is started with.
#[derive(Debug, Args)]
pub(crate) struct StartUpArgs {
    /// The program
    #[arg(long)]
    covey: PathBuf,
    /// A folder for its home
    #[arg(long)]
    home: PathBuf,
    /// How many starts
    #[arg(long)]
    times: usize,
    /// Seconds to rest
    #[arg(long)]
    rest: u64,
}

/// What the child tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StartUp {
    first_ms: f64,
    /// All starts but the first.
    pub(crate) starts_ms: Vec<f64>,
    at_once_mib: f64,
    rested_mib: f64,
}

/// The child's side: it is in the namespace already, so that no other program's start is measured with covey's.
pub(crate) fn start_up(args: &StartUpArgs) -> Result<()> {
    let mut covey = Covey::new(&args.home, || Command::new(&args.covey));
    let first = covey.up("Ada")?;
    covey.down()?;
    let mut starts = Samples::default();
    for _ in 0..args.times {
        starts.push_ms(covey.up("Ada")?);
        covey.down()?;
    }
    covey.up("Ada")?;
    let at_once_mib = covey.rss_mib()?;
    std::thread::sleep(Duration::from_secs(args.rest));
    let rested_mib = covey.rss_mib()?;
    covey.down()?;
    let found = StartUp {
        first_ms: first.as_secs_f64() * 1000.0,
        starts_ms: starts.all().to_vec(),
        at_once_mib,
        rested_mib,
    };
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

/// Runs it.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let covey = setting.covey.as_deref().context("the covey program is not built")?;
    let mut figures = sizes(covey, &setting.work)?;
    let Some(lan) = Lan::new(1)? else { return Ok(figures) };
    let rest = if setting.quick { 1 } else { REST.as_secs() };
    let mut child = lan.command(0, myself()?);
    child.arg("start-up").arg("--covey").arg(covey).arg("--home").arg(setting.work.join("home"));
    child.args(["--times", &setting.count(10, 3).to_string(), "--rest", &rest.to_string()]);
    let done = child.stderr(std::process::Stdio::inherit()).output()?;
    ensure!(done.status.success(), "measuring the start ended with {}", done.status);
    let found: StartUp = serde_json::from_slice(&done.stdout)?;
    let mut starts = Samples::default();
    found.starts_ms.iter().for_each(|ms| starts.push(*ms));
    figures.extend([
        Figure::new(format!("covey up, RSS after {rest} s at rest"), found.rested_mib, "MiB").below(40.0),
        Figure::new("covey up, RSS when ready", found.at_once_mib, "MiB"),
        Figure::new("covey up, start to ready, median", starts.median(), "ms").below(300.0).sampled(&starts),
        Figure::new("covey up, first start, with a new home", found.first_ms, "ms"),
    ]);
    Ok(figures)
}

/// As built, and without symbols.
fn sizes(covey: &Path, work: &Path) -> Result<Vec<Figure>> {
    #[expect(clippy::cast_precision_loss, reason = "some MiB")]
    let mib =
        |file: &Path| Ok::<_, anyhow::Error>(std::fs::metadata(file)?.len() as f64 / f64::from(1 << 20));
    let mut figures = vec![Figure::new("the covey program, as built", mib(covey)?, "MiB")];
    let stripped = work.join("stripped");
    match Command::new("strip").arg("-o").arg(&stripped).arg(covey).status() {
        Ok(status) if status.success() => {
            figures.push(Figure::new("the covey program, stripped", mib(&stripped)?, "MiB"));
        }
        _ => eprintln!("footprint: there is no `strip` (binutils): the stripped size is NOT measured"),
    }
    Ok(figures)
}

//! How long two machines on one LAN need to find each other.
//!
//! In each try A starts and B follows 0 to 1.5 s later, each try at another moment: in that span lies the
//! worst case, where A has just announced itself and may not do so again for a second. The figure is the time
//! from B's start until both have seen the other.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use covey_lab::Lan;
use covey_net::{NetConfig, NetEvent, start};
use covey_types::DeviceSecret;
use serde::{Deserialize, Serialize};

use crate::{Setting, remote::myself, report::Figure, runtime, samples::Samples};

/// B starts at most this much later.
const SPREAD: Duration = Duration::from_millis(1500);

/// How long a side looks before it gives up, which ends the try.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the child tells, one to a line.
#[derive(Debug, Serialize, Deserialize)]
enum Told {
    /// It has begun to look.
    Started { device: String, at_ms: f64 },
    /// It sees somebody.
    Saw { device: String, at_ms: f64 },
}

fn tell(told: &Told) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(told)?)?;
    Ok(out.flush()?)
}

/// By the wall clock: both processes are on one machine.
fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

/// The child's side: tells whom it sees, until its standard input ends.
pub(crate) fn watch() -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    runtime()?.block_on(async {
        let secret = DeviceSecret::generate();
        tell(&Told::Started { device: secret.id().to_string(), at_ms: now_ms() })?;
        let (_net, mut events) = start(NetConfig::new(secret))?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while let Ok(Some(event)) = tokio::time::timeout_at(deadline, events.recv()).await {
            if let NetEvent::Discovered { device, .. } = event {
                tell(&Told::Saw { device: device.to_string(), at_ms: now_ms() })?;
            }
        }
        Ok(())
    })
}

/// One of the two.
struct Watcher {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    device: String,
    started_ms: f64,
    seen: BTreeMap<String, f64>,
}

impl Watcher {
    fn start(lan: &Lan, host: usize) -> Result<Self> {
        let mut command = lan.command(host, myself()?);
        let mut child = command.arg("discover").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let out = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut watcher = Self { child, out, device: String::new(), started_ms: 0.0, seen: BTreeMap::new() };
        watcher.hear()?;
        Ok(watcher)
    }

    fn hear(&mut self) -> Result<()> {
        let mut line = String::new();
        self.out.read_line(&mut line)?;
        match serde_json::from_str(&line).context("one side never saw the other")? {
            Told::Started { device, at_ms } => (self.device, self.started_ms) = (device, at_ms),
            Told::Saw { device, at_ms } => {
                self.seen.entry(device).or_insert(at_ms);
            }
        }
        Ok(())
    }

    /// When it first saw this device.
    fn saw(&mut self, device: &str) -> Result<f64> {
        loop {
            if let Some(at_ms) = self.seen.get(device) {
                return Ok(*at_ms);
            }
            self.hear()?;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the tries.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let tries = setting.count(20, 3);
    let Some(lan) = Lan::new(2)? else { return Ok(Vec::new()) };
    let mut samples = Samples::default();
    for n in 0..tries {
        samples.push(one(&lan, SPREAD * u32::try_from(n)? / u32::try_from(tries)?)?);
    }
    let what = |share: &str| format!("discovery on a LAN, {tries} tries, {share}");
    Ok(vec![
        Figure::new(what("p50"), samples.median(), "ms").sampled(&samples),
        Figure::new(what("p95"), samples.percentile(0.95), "ms").below(500.0),
    ])
}

fn one(lan: &Lan, pause: Duration) -> Result<f64> {
    let mut early = Watcher::start(lan, 0)?;
    std::thread::sleep(pause);
    let mut late = Watcher::start(lan, 1)?;
    let there = late.saw(&early.device.clone())?;
    let here = early.saw(&late.device)?;
    Ok(there.max(here) - late.started_ms)
}

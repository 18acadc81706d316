//! The same records with what people would take instead: made at A, brought to an empty B, ten of them changed.
//!
//! `covey-rivals` (in `bench/rivals`, built by `make bench`) does it with automerge and loro, in one process and in
//! memory, without network, encryption or disk. Covey does it between two machines with all of these. The floor is the
//! same rows in a plain table, twice: in SQLite, and in SQLCipher, which encrypts.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use covey_lab::Lan;
use serde::Deserialize;

use crate::{
    Setting, nodes,
    remote::{Remote, myself},
    report::Figure,
    sqlcipher::Plain,
};

const RIVALS: [&str; 2] = ["automerge", "loro"];

/// Records that change in the end.
const CHANGED: usize = 10;

/// What one of them took.
#[derive(Debug, Deserialize)]
struct Found {
    make_s: f64,
    sync_s: f64,
    sync_bytes: f64,
    peak_mib: f64,
    file_bytes: f64,
    delta_bytes: f64,
    delta_ms: f64,
}

/// Runs all.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let records = setting.count(100_000, 2000);
    let Some(lan) = Lan::new(2)? else { return Ok(Vec::new()) };
    let program = myself()?.with_file_name("covey-rivals");
    ensure!(program.exists(), "{} is missing; run this by make bench", program.display());
    let floor = |of: Plain| anyhow::Ok(of.insert_of(nodes::wide_document, 0, 2 * records)?.as_secs_f64());
    let plain = floor(Plain::unencrypted(&setting.work, "plain.db")?)?;
    let encrypted = floor(Plain::new(&setting.work, "encrypted.db")?)?;
    let ours = covey(setting, &lan, records)?;
    let whole = || Figure::new(total(records), ours.make_s + ours.sync_s, "s");
    let mut figures = vec![
        whole().beside("plain SQLite rows, twice", plain),
        whole().beside("plain SQLCipher rows, twice", encrypted),
    ];
    for name in RIVALS {
        figures.extend(beside(&ours, name, &rival(&program, name, records)?, records));
    }
    Ok(figures)
}

fn total(records: usize) -> String {
    format!("{records} records of 4 fields, made at A and synced to B")
}

fn beside(ours: &Found, name: &str, theirs: &Found, records: usize) -> Vec<Figure> {
    let line = |what: &str, ours: f64, theirs: f64, unit: &'static str| {
        Figure::new(what, ours, unit).beside(name, theirs)
    };
    let mega = |bytes: f64| bytes / 1e6;
    vec![
        line(&total(records), ours.make_s + ours.sync_s, theirs.make_s + theirs.sync_s, "s"),
        line("  made at A", ours.make_s, theirs.make_s, "s"),
        line("  synced to B", ours.sync_s, theirs.sync_s, "s"),
        line("  sent", mega(ours.sync_bytes), mega(theirs.sync_bytes), "MB"),
        line("  most memory of both ends", ours.peak_mib, theirs.peak_mib, "MiB"),
        line("  file", mega(ours.file_bytes), mega(theirs.file_bytes), "MB"),
        line("  10 changed: sent", ours.delta_bytes, theirs.delta_bytes, "B"),
        line("  10 changed: until there", ours.delta_ms, theirs.delta_ms, "ms"),
    ]
}

fn rival(program: &Path, name: &str, records: usize) -> Result<Found> {
    let counts = [records, CHANGED].map(|count| count.to_string());
    let done = Command::new(program).arg(name).args(counts).output()?;
    if !done.status.success() {
        bail!("covey-rivals {name}: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    serde_json::from_slice(&done.stdout).with_context(|| format!("covey-rivals {name} said no JSON"))
}

fn covey(setting: &Setting, lan: &Lan, records: usize) -> Result<Found> {
    let program = myself()?;
    let node = |host: usize, name: &str| {
        let address = format!("10.77.0.{}", host + 1);
        Remote::start(lan.command(host, &program), &setting.work.join(name), name, &address)
    };
    let (mut ada, mut bob) = (node(0, "ada")?, node(1, "bob")?);
    ada.create()?;
    let made = ada.import_wide(records)?;
    let link = ada.invite()?;
    let before = (ada.traffic()?, bob.traffic()?);
    let joined = bob.join(link)?;
    ensure!(joined.records == records as u64, "some records are missing");
    let sent =
        |ada: &mut Remote, bob: &mut Remote, before: (crate::process::Traffic, crate::process::Traffic)| {
            let payload = ada.traffic()?.since(before.0).payload() + bob.traffic()?.since(before.1).payload();
            anyhow::Ok(payload)
        };
    let sync_bytes = sent(&mut ada, &mut bob, before)?;
    // The rivals hold both ends in one process.
    let peak_mib = ada.peak_mib()? + bob.peak_mib()?;
    ada.settle(records as u64)?;
    let before = (ada.traffic()?, bob.traffic()?);
    ada.change(CHANGED)?;
    let settled = ada.settle(records as u64)?;
    let delta_bytes = sent(&mut ada, &mut bob, before)?;
    bob.stop()?;
    ada.stop()?;
    #[expect(clippy::cast_precision_loss, reason = "some MB")]
    let file_bytes = std::fs::metadata(setting.work.join("bob/covey.db"))?.len() as f64;
    Ok(Found {
        make_s: made.seconds,
        sync_s: joined.seconds,
        sync_bytes,
        peak_mib,
        file_bytes,
        delta_bytes,
        delta_ms: settled.seconds * 1000.0,
    })
}

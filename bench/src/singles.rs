//! Records that were written one at a time, each a signed entry of its own: what the writer takes, and a newcomer's
//! first sync. Beside it what checking their signatures alone takes, with all cores: one by one, and as a node does it,
//! many as one sum.

use std::{process::Command, thread, time::Instant};

use anyhow::{Context, Result, ensure};
use covey_log::Entry;
use covey_store::{Store, Unlock};
use covey_types::Signature;

use crate::{
    Setting,
    nodes::longest_log,
    remote::{Remote, myself},
    report::Figure,
    samples::Samples,
};

/// Entries of the first sync per second, at least.
const GOAL: f64 = 30_000.0;

/// Entries whose signatures are checked for the limit.
const VERIFIED: usize = 40_000;

/// How often each way of checking them is measured.
const TURNS: usize = 5;

/// A's log begins with the space's founding, which is a membership entry as B's admission is.
const FIRST: u64 = 3;

/// Runs it.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let records = setting.count(1_000_000, 5000);
    let node =
        |name: &str| Remote::start(Command::new(myself()?), &setting.work.join(name), name, "127.0.0.1");
    let (mut ada, mut bob) = (node("ada")?, node("bob")?);
    ada.create()?;
    let written = ada.put_many(records)?;
    let link = ada.invite()?;
    let joined = bob.join(link)?;
    ensure!(joined.records == records as u64, "some records are missing");
    let (peak_ada, peak_bob) = (ada.peak_mib()?, bob.peak_mib()?);
    bob.stop()?;
    ada.stop()?;
    let entries = entries(setting, VERIFIED.min(records / 2))?;
    // In turns, so that a machine that is busy at times is so for both.
    let (mut one_by_one, mut sums) = (Samples::default(), Samples::default());
    for _ in 0..TURNS {
        one_by_one.push(verify(&entries, |part| part.iter().all(|entry| entry.verify().is_ok()))?);
        sums.push(verify(&entries, |part| Entry::verify_all(part).is_ok())?);
    }
    let limit = one_by_one.median();
    #[expect(clippy::cast_precision_loss, reason = "a million")]
    let rate = |seconds: f64| records as f64 / seconds;
    let named = "signatures alone, one by one, all cores";
    Ok(vec![
        Figure::new(format!("{records} single puts, 256 at a time"), rate(written.seconds), "entries/s"),
        Figure::new("their first sync", rate(joined.seconds), "entries/s")
            .beside(named, limit)
            .at_least(GOAL),
        Figure::new("signatures alone, as sums, all cores", sums.median(), "entries/s")
            .beside(named, limit)
            .sampled(&sums),
        Figure::new("peak RSS of the writer", peak_ada, "MiB").below(143.0),
        Figure::new("peak RSS of the joiner", peak_bob, "MiB").below(143.0),
    ])
}

/// Entries per second whose signatures can be checked in this way.
fn verify(entries: &[Entry], are_good: impl Fn(&[Entry]) -> bool + Sync) -> Result<f64> {
    let cores = thread::available_parallelism()?.get();
    let (started, are_good) = (Instant::now(), &are_good);
    let good = thread::scope(|scope| {
        let parts: Vec<_> = entries
            .chunks(entries.len().div_ceil(cores))
            .map(|part| scope.spawn(move || are_good(part)))
            .collect();
        parts.into_iter().all(|part| part.join().unwrap_or(false))
    });
    ensure!(good, "an entry of A's own log has a wrong signature");
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let count = entries.len() as f64;
    Ok(count / started.elapsed().as_secs_f64())
}

fn entries(setting: &Setting, count: usize) -> Result<Vec<Entry>> {
    let store = Store::open(&setting.work.join("ada"), Unlock::KeyFile)?;
    let rows = store.read_blocking(|reader| {
        let (_, log) = longest_log(reader)?;
        reader.entries(log.key, FIRST, count, usize::MAX)
    })?;
    store.close()?;
    let entry =
        |row: covey_store::StoredEntry| Entry::decode(&row.header, Signature(row.signature), &row.body);
    rows.into_iter().map(|row| entry(row).context("the store keeps whole entries")).collect()
}

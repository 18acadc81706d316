//! A million records: imported by one process, then joined by another and synced to it.
//!
//! Beside both: the same rows put into a plain SQLCipher table in transactions of a thousand, before and after, so
//! that a machine that becomes busier meanwhile shows. The sync is from the call of `join` until its records
//! are all there: sent, verified, decrypted, merged, stored.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::{Setting, remote::Remote, remote::myself, report::Figure, samples::Samples, sqlcipher::Plain};

/// What an import has to do at least, and a join with its first sync.
const GOALS: (f64, f64) = (100_000.0, 150_000.0);

/// The most memory, MiB: 150 MB.
const MOST_MIB: f64 = 143.0;

/// Runs it.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let records = setting.count(1_000_000, 20_000);
    #[expect(clippy::cast_precision_loss, reason = "a million")]
    let rate = |seconds: f64| records as f64 / seconds;
    let mut plain = Samples::default();
    plain.push(rate(plainly(setting, records, "before.db")?));
    let node =
        |name: &str| Remote::start(Command::new(myself()?), &setting.work.join(name), name, "127.0.0.1");
    let (mut ada, mut bob) = (node("ada")?, node("bob")?);
    ada.create()?;
    let imported = ada.import(records)?;
    let after_import = ada.peak_mib()?;
    let link = ada.invite()?;
    let joined = bob.join(link)?;
    ensure!(
        imported.records == records as u64 && joined.records == imported.records,
        "some records are missing"
    );
    let (peak_ada, peak_bob) = (ada.peak_mib()?, bob.peak_mib()?);
    bob.stop()?;
    ada.stop()?;
    plain.push(rate(plainly(setting, records, "after.db")?));
    let limit = f64::midpoint(plain.all()[0], plain.all()[1]);
    let size = count_words(records);
    Ok(vec![
        Figure::new(format!("import of {size} records"), rate(imported.seconds), "records/s")
            .beside("plain SQLCipher insert", limit)
            .at_least(GOALS.0),
        Figure::new(format!("join and full sync of {size} records"), rate(joined.seconds), "records/s")
            .beside("plain SQLCipher insert", limit)
            .at_least(GOALS.1),
        Figure::new(format!("plain SQLCipher insert of {size} rows"), limit, "records/s").sampled(&plain),
        Figure::new("peak RSS of the importer, after the import", after_import, "MiB").below(MOST_MIB),
        Figure::new("peak RSS of the importer, after the sync", peak_ada, "MiB").below(MOST_MIB),
        Figure::new("peak RSS of the joiner", peak_bob, "MiB").below(MOST_MIB),
    ])
}

fn plainly(setting: &Setting, records: usize, file: &str) -> Result<f64> {
    let took = Plain::new(&setting.work, file)?.insert(0, records)?;
    std::fs::remove_file(setting.work.join(file))?;
    Ok(took.as_secs_f64())
}

fn count_words(records: usize) -> String {
    match records {
        millions if millions.is_multiple_of(1_000_000) => format!("{} M", millions / 1_000_000),
        other => format!("{} k", other / 1000),
    }
}

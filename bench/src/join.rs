//! Joining by code, as a new user does it: two machines on a LAN, the real program on both.
//!
//! B is new in each try: its node has just started and knows nobody. The figure is what `covey join CODE` takes
//! from its start to its end, the first full sync included.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use covey_lab::Lan;

use crate::{Setting, nodes::document, process::Covey, report::Figure, samples::Samples};

/// Records in the space that is joined.
const RECORDS: usize = 1000;

/// Runs the tries.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let covey = setting.covey.as_deref().context("the covey program is not built")?;
    let tries = setting.count(10, 2);
    let Some(lan) = Lan::new(2)? else { return Ok(Vec::new()) };
    let mut ada = Covey::new(&setting.work.join("ada"), || lan.command(0, covey));
    ada.up("Ada")?;
    ada.run(&["space", "create", "garden"])?;
    let file = setting.work.join("plants.ndjson");
    std::fs::write(&file, (0..RECORDS).map(|n| document(n) + "\n").collect::<String>())?;
    let file = file.to_str().context("the folder's name is no text")?;
    ada.run(&["record", "import", "garden", "plants", file])?;
    let mut samples = Samples::default();
    for n in 0..tries {
        let mut bob = Covey::new(&setting.work.join(format!("bob{n}")), || lan.command(1, covey));
        bob.up("Bob")?;
        let invitation = ada.run(&["invite", "garden"])?;
        let code = invitation["code"].as_str().context("no code")?;
        let started = Instant::now();
        let joined = bob.run(&["join", code])?;
        samples.push(started.elapsed().as_secs_f64());
        ensure!(joined["records"] == RECORDS, "joined with {joined}");
        bob.down()?;
    }
    ada.down()?;
    let what = |share: &str| format!("join by code on a LAN, {RECORDS} records, {tries} tries, {share}");
    Ok(vec![
        Figure::new(what("p50"), samples.median(), "s").below(3.0).sampled(&samples),
        Figure::new(what("slowest"), samples.percentile(1.0), "s").below(3.0),
    ])
}

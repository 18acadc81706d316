//! A small change to much data, made while the other was away: how long it takes when it is back, and what it costs.
//!
//! A and B hold a million records; ten change while B is off. The time is from B's first connection to the last of the
//! ten in B's store. The bytes are UDP payload both ways from B's stop until both know again that nothing is missing; beside
//! them what B's return costs when nothing has changed, which is the handshake of the connection with its padded
//! packets, the greeting, and a million records compared by their logs' heads. And what the same change costs while B is
//! connected, from before it until A knows that B has it.

use anyhow::Result;
use covey_lab::Lan;

use crate::{
    Setting,
    remote::{Remote, myself},
    report::Figure,
    samples::Samples,
};

/// Records that change.
const CHANGED: usize = 10;

/// Runs it.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let (records, times) = (setting.count(1_000_000, 10_000), setting.count(9, 2));
    let Some(lan) = Lan::new(2)? else { return Ok(Vec::new()) };
    let program = myself()?;
    let start = |host: usize, name: &str, changes: usize| {
        let address = format!("10.77.0.{}", host + 1);
        let home = setting.work.join(name);
        Remote::start_again(lan.command(host, &program), &home, name, &address, changes)
    };
    let (mut ada, mut bob) = (start(0, "ada", 0)?, start(1, "bob", 0)?);
    ada.create()?;
    ada.import(records)?;
    let link = ada.invite()?;
    bob.join(link)?;
    let (mut opened, mut took) = (Samples::default(), Samples::default());
    let (mut with, mut without) = (Samples::default(), Samples::default());
    for round in 0..2 * times {
        let changed = if round % 2 == 0 { CHANGED } else { 0 };
        ada.settle(records as u64)?;
        bob.settle(records as u64)?;
        let before = (ada.traffic()?, bob.traffic()?);
        bob.stop()?;
        ada.change(changed)?;
        bob = start(1, "bob", changed)?;
        bob.settle(records as u64)?;
        let (here, there) = (ada.traffic()?.since(before.0), bob.traffic()?.since(before.1));
        let sent = (here.payload() + there.payload()) / 1000.0;
        if changed > 0 {
            let (open, connection) = bob.returned()?;
            opened.push(open * 1000.0);
            took.push(connection * 1000.0);
            with.push(sent);
        } else {
            without.push(sent);
        }
    }
    let mut live = Samples::default();
    for _ in 0..times {
        let before = (ada.traffic()?, bob.traffic()?);
        ada.change(CHANGED)?;
        ada.settle(records as u64)?;
        let (here, there) = (ada.traffic()?.since(before.0), bob.traffic()?.since(before.1));
        live.push((here.payload() + there.payload()) / 1000.0);
    }
    bob.stop()?;
    ada.stop()?;
    let what = |what: &str| format!("{CHANGED} of {records} records changed while B was off, {what}");
    Ok(vec![
        Figure::new(what("from the connection, median"), took.median(), "ms").below(20.0).sampled(&took),
        Figure::new(what("from before A is found on the LAN, median"), opened.median(), "ms")
            .below(1000.0)
            .sampled(&opened),
        Figure::new(
            what("UDP payload beyond a return without changes"),
            with.median() - without.median(),
            "kB",
        )
        .below(10.0),
        Figure::new(what("UDP payload of the whole return"), with.median(), "kB")
            .beside("a return without changes", without.median())
            .sampled(&with),
        Figure::new(
            format!("{CHANGED} of {records} records changed while B was there, UDP payload"),
            live.median(),
            "kB",
        )
        .below(10.0)
        .sampled(&live),
    ])
}

//! Whatever is appended, cut off and undone, the heads of logs agree with a simple model: within a change, after it, and
//! on disk.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use common::{entry, hash, log, open, space, store, try_write, write};
use covey_store::{LogKey, LogRow, NewEnd, SpaceKey, StoreError, Tx};
use covey_types::{Head, Hlc};
use proptest::{collection::vec, prelude::*};

const LOGS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    Append(usize),
    /// Cuts off this many entries at most.
    Cut(usize, u64),
    /// Another space is removed, with what it has in memory.
    RemoveOther,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..LOGS).prop_map(Step::Append),
        2 => (0..LOGS, 1u64..4).prop_map(|(log, count)| Step::Cut(log, count)),
        1 => Just(Step::RemoveOther),
    ]
}

type Reach = [u64; LOGS];

fn head(log: usize, seq: u64) -> (Head, Hlc) {
    let n = log as u8;
    let hlc = if seq == 0 { Hlc::default() } else { entry(n, seq, b"").hlc };
    (Head { seq, hash: hash(n, seq) }, hlc)
}

fn rows_of(reach: &Reach) -> Vec<(Head, Hlc)> {
    reach.iter().enumerate().map(|(log, seq)| head(log, *seq)).collect()
}

fn found(rows: Vec<LogRow>) -> Vec<(Head, Hlc)> {
    rows.into_iter().map(|row| (row.head, row.hlc)).collect()
}

/// Takes a step, and looks at every head from within the change.
fn take(
    tx: &mut Tx<'_>,
    garden: SpaceKey,
    keys: [LogKey; LOGS],
    step: Step,
    reach: &mut Reach,
) -> Result<(), StoreError> {
    match step {
        Step::Append(log) => {
            reach[log] += 1;
            tx.append(keys[log], entry(log as u8, reach[log], b"body"))?;
        }
        Step::Cut(log, count) if reach[log] > 0 => {
            let seq = reach[log].saturating_sub(count);
            let (end, hlc) = head(log, seq);
            tx.truncate(keys[log], NewEnd { from: seq + 1, hash: end.hash, hlc })?;
            reach[log] = seq;
        }
        Step::Cut(..) => {}
        Step::RemoveOther => {
            let other = tx.insert_space(space(9), b"info")?;
            let key = tx.ensure_log(other, log(9))?;
            tx.append(key, entry(9, 1, b"body"))?;
            tx.remove_space(other)?;
        }
    }
    assert_eq!(found(tx.logs(garden)?), rows_of(reach));
    for (log, key) in keys.into_iter().enumerate() {
        assert_eq!(tx.head(key)?, head(log, reach[log]).0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn heads_are_those_of_the_entries_within_a_change_after_it_and_on_disk(
        changes in vec((vec(step(), 0..12), prop::bool::weighted(0.25)), 1..8),
    ) {
        let (dir, store) = store();
        let (garden, keys) = write(&store, |tx| {
            let garden = tx.insert_space(space(1), b"info")?;
            let keys = [0, 1, 2].map(|n| tx.ensure_log(garden, log(n)).unwrap());
            Ok((garden, keys))
        });
        let mut reach = [0; LOGS];
        for (steps, undone) in changes {
            let mut after = reach;
            let done = try_write(&store, move |tx| {
                for step in steps {
                    take(tx, garden, keys, step, &mut after)?;
                }
                if undone { Err(StoreError::Closed) } else { Ok(after) }
            });
            prop_assert_eq!(done.is_err(), undone);
            reach = done.unwrap_or(reach);
            prop_assert_eq!(found(store.read_blocking(|r| r.logs(garden)).unwrap()), rows_of(&reach));
        }
        store.close().unwrap();
        let again = open(dir.path());
        prop_assert_eq!(found(again.read_blocking(|r| r.logs(garden)).unwrap()), rows_of(&reach));
    }
}

//! What is left of logs after compaction merges to the same bytes as the whole logs, whoever does it when.
//!
//! The naive reference is the replay of everything that was ever said.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index};

use super::{any_history, numbers, replay, *};

/// One log is compacted by a replica that has seen all of it, and of the others what its bits say.
#[derive(Debug, Clone)]
struct Compaction {
    of: u8,
    /// How much of the history was written by then.
    at: Index,
    seen: Vec<bool>,
}

fn any_compaction() -> impl Strategy<Value = Compaction> {
    (0u8..4, any::<Index>(), prop::collection::vec(any::<bool>(), 25)).prop_map(|(of, at, seen)| Compaction {
        of,
        at,
        seen,
    })
}

/// What is left of one log by the judgement of this record.
fn left(record: &Record, words: &[Said]) -> Vec<Said> {
    let rest = |(op, stamp, log): &Said| {
        op.restricted(|atom| record.has(&atom, *stamp, *log)).map(|op| (op, *stamp, *log))
    };
    words.iter().filter_map(rest).collect()
}

fn logs(history: &[Said]) -> BTreeMap<LogId, Vec<Said>> {
    let mut logs: BTreeMap<LogId, Vec<Said>> = BTreeMap::new();
    for said in history {
        logs.entry(said.2).or_default().push(said.clone());
    }
    logs
}

/// The logs after some history in which they were compacted now and then.
fn compacted(history: &[Said], mut compactions: Vec<Compaction>) -> BTreeMap<LogId, Vec<Said>> {
    compactions.sort_by_key(|compaction| compaction.at.index(history.len() + 1));
    let mut kept: BTreeMap<LogId, Vec<Said>> = BTreeMap::new();
    let mut written = 0;
    for compaction in compactions {
        let at = compaction.at.index(history.len() + 1);
        for said in &history[written..at] {
            kept.entry(said.2).or_default().push(said.clone());
        }
        written = at;
        let of = log(compaction.of);
        // A replica that compacts a log may have got the others whole, or what was left of them by then.
        let whole = history[..at].iter().zip(&compaction.seen).filter(|(_, seen)| **seen);
        let others = whole.map(|(said, _)| said);
        let record = replay(kept.get(&of).into_iter().flatten().chain(others));
        if let Some(words) = kept.get_mut(&of) {
            *words = left(&record, words);
        }
    }
    for said in &history[written..] {
        kept.entry(said.2).or_default().push(said.clone());
    }
    kept
}

proptest! {
    #[test]
    fn what_is_left_of_compacted_logs_merges_to_the_same_bytes(
        history in any_history(),
        compactions in prop::collection::vec(any_compaction(), 0..6),
    ) {
        let kept = compacted(&history, compactions);
        let (expected, actual) = (replay(&history), replay(kept.values().flatten()));
        prop_assert_eq!(actual.to_parts(&mut numbers()), expected.to_parts(&mut numbers()));
    }

    #[test]
    fn whoever_had_any_part_of_the_logs_before_comes_to_the_same_bytes(
        history in any_history(),
        compactions in prop::collection::vec(any_compaction(), 1..6),
        had in prop::collection::vec(any::<Index>(), 4),
        disorder in any::<u64>(),
    ) {
        let kept = compacted(&history, compactions);
        let mut words: Vec<Said> = kept.into_values().flatten().collect();
        for (device, had) in had.iter().enumerate() {
            let whole = logs(&history).remove(&log(device as u8)).unwrap_or_default();
            words.extend_from_slice(&whole[..had.index(whole.len() + 1)]);
        }
        // In any order: a shuffle that the seed decides.
        words.sort_by_key(|(op, stamp, log)| {
            use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
            BuildHasherDefault::<DefaultHasher>::default().hash_one((disorder, format!("{op:?}{stamp:?}{log:?}")))
        });
        prop_assert_eq!(
            replay(&words).to_parts(&mut numbers()),
            replay(&history).to_parts(&mut numbers())
        );
    }

    #[test]
    fn a_log_with_nothing_superseded_is_left_whole_and_a_second_look_leaves_the_same(history in any_history()) {
        let record = replay(&history);
        let once = left(&record, &history);
        prop_assert_eq!(left(&replay(&once), &once), once);
    }
}

#[test]
fn of_a_thousand_overwrites_of_one_field_one_is_left() {
    let history: Vec<Said> =
        (1..=1000).map(|time| (put(&[("a", "1"), ("b", "2")]), stamp(time, 1), log(1))).collect();
    let record = replay(&history);
    assert_eq!(left(&record, &history).len(), 1);
}

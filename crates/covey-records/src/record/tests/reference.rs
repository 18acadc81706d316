//! What a record's document is by definition: computed from all that was ever said, with no state in
//! between and no regard for speed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{LogId, Observed, Op, Said, Stamp, Tally};

pub(super) fn doc(history: &[Said]) -> Option<String> {
    let tombstone =
        history.iter().filter(|(op, ..)| matches!(op, Op::Delete { .. })).map(|(_, stamp, _)| *stamp).max();
    let names: BTreeSet<&str> = history.iter().flat_map(|(op, ..)| names(op)).collect();
    let mut doc = Map::new();
    for name in names {
        let shown = set(history, name, tombstone)
            .or_else(|| counter(history, name))
            .or_else(|| register(history, name, tombstone));
        if let Some(value) = shown {
            doc.insert(name.to_owned(), value);
        }
    }
    let put = |(op, stamp, _): &Said| {
        matches!(op, Op::Put { fields, .. } if fields.is_empty()) && Some(*stamp) > tombstone
    };
    (!doc.is_empty() || history.iter().any(put)).then(|| Value::Object(doc).to_string())
}

fn names<'a>(op: &Op<'a>) -> Vec<&'a str> {
    match op {
        Op::Put { fields, .. } => fields.iter().map(|field| field.0).collect(),
        Op::CounterAdd { name, .. } | Op::SetAdd { name, .. } => vec![name],
        _ => vec![],
    }
}

fn observed(history: &[Said]) -> impl Iterator<Item = &Observed<'static>> {
    history
        .iter()
        .filter_map(|(op, ..)| if let Op::Delete { observed, .. } = op { Some(observed) } else { None })
}

fn register(history: &[Said], name: &str, tombstone: Option<Stamp>) -> Option<Value> {
    let mut writes = Vec::new();
    for (op, stamp, _) in history {
        if let Op::Put { fields, .. } = op
            && Some(*stamp) > tombstone
        {
            writes.extend(fields.iter().filter(|field| field.0 == name).map(|field| (*stamp, field.1)));
        }
    }
    writes.into_iter().max().map(|(_, text)| serde_json::from_str(text).unwrap())
}

fn counter(history: &[Said], name: &str) -> Option<Value> {
    let mut totals: Vec<(LogId, Tally)> = Vec::new();
    for (op, _, log) in history {
        if let Op::CounterAdd { name: counter, tally, .. } = op
            && *counter == name
        {
            totals.push((*log, *tally));
        }
    }
    let resets: Vec<(LogId, Tally)> = observed(history)
        .flat_map(|observed| {
            observed.counters.iter().filter(|counter| counter.0 == name).flat_map(|counter| counter.1.clone())
        })
        .collect();
    let newest = |tallies: &[(LogId, Tally)], log: LogId| {
        tallies.iter().filter(|tally| tally.0 == log).map(|tally| tally.1).max().unwrap_or_default()
    };
    let logs: BTreeSet<LogId> = totals.iter().map(|total| total.0).collect();
    let live = logs
        .into_iter()
        .map(|log| (newest(&totals, log), newest(&resets, log)))
        .filter(|(t, r)| t.count > r.count);
    live.map(|(total, reset)| if reset.count == 0 { total.sum } else { total.sum - reset.sum })
        .reduce(|a, b| a + b)
        .map(Value::from)
}

fn set(history: &[Said], name: &str, tombstone: Option<Stamp>) -> Option<Value> {
    let mut adds: Vec<(&str, Stamp)> = Vec::new();
    let mut removals: Vec<(&str, Stamp)> = Vec::new();
    for (op, stamp, _) in history {
        match op {
            Op::SetAdd { name: set, element, .. } if *set == name => adds.push((element, *stamp)),
            Op::SetRemove { name: set, element, observed, .. } if *set == name => {
                removals.extend(observed.iter().map(|seen| (*element, *seen)));
            }
            _ => {}
        }
    }
    for element in
        observed(history).flat_map(|observed| &observed.elements).filter(|element| element.set == name)
    {
        removals.extend(element.added.iter().map(|seen| (element.element, *seen)));
    }
    let unseen = |(element, add): &(&str, Stamp)| {
        !removals.iter().any(|(of, seen)| of == element && seen.device == add.device && seen.hlc >= add.hlc)
    };
    let present: BTreeSet<&str> = adds.iter().filter(|add| unseen(add)).map(|add| add.0).collect();
    let newer = adds.iter().any(|add| Some(add.1) > tombstone);
    let array = || present.iter().map(|element| serde_json::from_str::<Value>(element).unwrap()).collect();
    (newer || !present.is_empty()).then(|| Value::Array(array()))
}

//! Where two histories of a log part.
//!
//! Two nodes that hold different entries at one place of a log find the first such place by telling each other the
//! hashes at some places, closer together each time. Each step needs nothing but what the other said last, so
//! that neither keeps anything of a search; whoever lies finds nothing, and costs a few look-ups.

use std::collections::BTreeMap;

use covey_log::{Compared, Entry, fork::MAX_POINTS};
use covey_store::{LogKey, SpaceKey, StoreError};
use covey_types::{Head, LogId};

use crate::{
    Rows,
    compact::{LogState, first_kept},
    load::decode_stored,
};

/// The hashes here at some places above `above`, where both sides agree, up to `upto`.
fn between(rows: &(impl Rows + ?Sized), log: LogKey, above: u64, upto: u64) -> Result<Vec<Head>, StoreError> {
    // Places that were dropped are no use.
    let start = above.max(first_kept(rows, log)?.min(upto) - 1);
    let steps = (MAX_POINTS as u64 - 1).min(upto - start);
    // The lower end is told too: the other side must know what it's above of.
    let places =
        (0..=steps).map(|i| start + (u128::from(upto - start) * u128::from(i) / u128::from(steps)) as u64);
    let places = (start > above).then_some(above).into_iter().chain(places);
    let mut heads = Vec::new();
    for seq in places.filter(|seq| *seq > 0) {
        if let Some(hash) = rows.hash_at(log, seq)? {
            heads.push(Head { seq, hash });
        }
    }
    Ok(heads)
}

fn log_key(
    rows: &(impl Rows + ?Sized),
    space: SpaceKey,
    log: LogId,
) -> Result<Option<(LogKey, Head)>, StoreError> {
    let found = rows.logs(space)?.into_iter().find(|row| row.id == log && row.head.seq > 0);
    Ok(found.map(|row| (row.key, row.head)))
}

/// The first step: hashes all over the log, up to where the other's log reaches, as far as that is known. Of places beyond
/// that the other one can say nothing.
///
/// # Errors
/// The backend's.
pub fn points(
    rows: &(impl Rows + ?Sized),
    space: SpaceKey,
    log: LogId,
    upto: u64,
) -> Result<Compared, StoreError> {
    match log_key(rows, space, log)? {
        Some((key, head)) => Ok(Compared::Points(between(rows, key, 0, head.seq.min(upto))?)),
        None => Ok(Compared::Same),
    }
}

/// Compares what the other has at some places, in ascending order, with what is here.
///
/// # Errors
/// The backend's.
pub fn compare(
    rows: &(impl Rows + ?Sized),
    space: SpaceKey,
    log: LogId,
    theirs: &[Head],
) -> Result<Compared, StoreError> {
    let Some((key, _)) = log_key(rows, space, log)? else { return Ok(Compared::Same) };
    let mut agreed = 0;
    let first = first_kept(rows, key)?;
    for head in theirs.iter().take(MAX_POINTS) {
        let Some(here) = rows.hash_at(key, head.seq)? else {
            // What was dropped can't be compared; what lies behind it can.
            if head.seq >= first {
                break;
            }
            continue;
        };
        if here == head.hash {
            agreed = head.seq.max(agreed);
        } else if head.seq == agreed + 1 || head.seq <= first {
            // Nothing is here between that and what agrees: if they part there it's a proof, otherwise there's none to be had.
            let stored = rows.entry(key, head.seq)?;
            let entry = stored.map(|stored| decode_stored(&stored)).transpose()?;
            if head.seq > agreed + 1
                && let Some(agreed) = agreement(rows, key)?
            {
                return Ok(Compared::Agreed(Box::new(agreed)));
            }
            return Ok(entry.map_or(Compared::Same, |entry| Compared::Branch(Box::new((&entry).into()))));
        } else if head.seq > agreed {
            return Ok(Compared::Points(between(rows, key, agreed, head.seq)?));
        } else {
            break;
        }
    }
    Ok(Compared::Same)
}

/// The entry by which all have agreed to what was dropped of a log.
fn agreement(rows: &(impl Rows + ?Sized), log: LogKey) -> Result<Option<Entry>, StoreError> {
    let Some(agreed) = LogState::load(rows, log)?.agreed else { return Ok(None) };
    let stored = rows.entry(log, agreed.at.seq)?;
    let entry = stored.map(|stored| decode_stored(&stored)).transpose()?;
    Ok(entry.filter(|entry| entry.hash == agreed.at.hash))
}

/// The logs of which others have another entry, at the end of what they have, than is here; with the place of that.
///
/// # Errors
/// The backend's.
pub fn differing(
    rows: &(impl Rows + ?Sized),
    space: SpaceKey,
    theirs: &[(LogId, Head)],
) -> Result<Vec<(LogId, u64)>, StoreError> {
    let logs: BTreeMap<LogId, LogKey> = rows.logs(space)?.into_iter().map(|row| (row.id, row.key)).collect();
    let mut found = Vec::new();
    for (log, head) in theirs {
        let Some(key) = logs.get(log) else { continue };
        if rows.hash_at(*key, head.seq)?.is_some_and(|here| here != head.hash) {
            found.push((*log, head.seq));
        }
    }
    Ok(found)
}

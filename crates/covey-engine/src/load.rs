//! Reading: a space's membership at the start, and entries for a peer.

use std::collections::{BTreeMap, BTreeSet};

use covey_log::Entry;
use covey_space::{KeyRing, Membership, MembershipOp, ops};
use covey_store::{LogKey, SpaceKey, StoreError, StoredEntry};
use covey_types::{Hlc, LogId, Signature, SpaceId, wire::DecodeError};

use crate::{Rows, prepare::open_body, space::HoldReason};

/// The entry in a stored row.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub fn decode_stored(stored: &StoredEntry) -> Result<Entry, StoreError> {
    Entry::decode(&stored.header, Signature(stored.signature), &stored.body)
        .map_err(|err| StoreError::Corrupt { doing: "read an entry", reason: err.to_string() })
}

pub(crate) fn corrupt(doing: &'static str, err: &DecodeError) -> StoreError {
    StoreError::Corrupt { doing, reason: err.to_string() }
}

/// The newest time in a space's logs that the clock may go by: entries that are held because they claim to be from
/// the future, and what follows them in their logs, don't count.
pub(crate) fn newest_believed(reader: &(impl Rows + ?Sized), space: SpaceKey) -> Result<Hlc, StoreError> {
    let mut first_held: BTreeMap<LogKey, u64> = BTreeMap::new();
    for row in reader.held(space)?.iter().filter(|row| row.reason == HoldReason::Future as u32) {
        let seq = first_held.entry(row.log).or_insert(row.seq);
        *seq = row.seq.min(*seq);
    }
    let mut newest = Hlc::default();
    for log in reader.logs(space)? {
        let hlc = match first_held.get(&log.key) {
            None => log.hlc,
            Some(seq) => match reader.entry(log.key, seq - 1)? {
                Some(before) => decode_stored(&before)?.header.hlc,
                None => continue,
            },
        };
        newest = newest.max(hlc);
    }
    Ok(newest)
}

pub(crate) fn load_membership(
    reader: &(impl Rows + ?Sized),
    key: SpaceKey,
    id: SpaceId,
    keys: &KeyRing,
) -> Result<Membership, StoreError> {
    let mut membership = Membership::new(id);
    for (entry, acts) in load_acts(reader, key, keys)? {
        membership.apply(&entry, &acts).map_err(|err| StoreError::Corrupt {
            doing: "apply a membership entry",
            reason: err.to_string(),
        })?;
    }
    Ok(membership)
}

/// The entries of a space's graph of membership and the acts in each, every one after those in its past.
///
/// # Errors
/// The backend's; [`StoreError::Corrupt`] for an entry that can't be read.
pub fn load_acts(
    reader: &(impl Rows + ?Sized),
    key: SpaceKey,
    keys: &KeyRing,
) -> Result<Vec<(Entry, Vec<MembershipOp>)>, StoreError> {
    let read = |(_, stored): (LogKey, StoredEntry)| {
        let entry = decode_stored(&stored)?;
        let plain = open_body(&entry, keys).and_then(Result::ok).unwrap_or_default();
        let acts = ops::decode(&plain).map_err(|err| corrupt("read a membership entry", &err))?;
        Ok((entry, acts))
    };
    reader.membership(key)?.into_iter().map(read).collect()
}

/// Loads entries for a peer in causal order: by time, which no author sets before what it had seen.
pub fn load_for_peer(
    reader: &(impl Rows + ?Sized),
    space: SpaceKey,
    wants: &[(LogId, u64)],
    max_bytes: usize,
) -> Result<Vec<Entry>, StoreError> {
    /// Most entries of one log that are looked at for one batch.
    const CHUNK: usize = 1024;
    /// Least that is read of each log for one batch.
    const MIN_SHARE_BYTES: usize = 8 << 10;
    let keys: BTreeMap<LogId, LogKey> =
        reader.logs(space)?.into_iter().map(|row| (row.id, row.key)).collect();
    let mut entries = Vec::new();
    // Past the last entry of a log of which there is more, nothing is known: stop before that time.
    let mut horizon = Hlc::from_u64(u64::MAX);
    let wanted: BTreeSet<_> = wants.iter().collect();
    // Of many logs little of each: what is not sent in this batch is read again for the next.
    let share = (max_bytes / wanted.len().max(1)).max(MIN_SHARE_BYTES);
    for (log, from) in wanted {
        let Some(key) = keys.get(log) else { continue };
        let stored = reader.entries(*key, *from, share, CHUNK)?;
        let size: usize = stored.iter().map(StoredEntry::size_bytes).sum();
        let more = stored.len() >= CHUNK || size >= share;
        for row in &stored {
            entries.push(decode_stored(row)?);
        }
        if let Some(last) = entries.last().filter(|_| more && !stored.is_empty()) {
            horizon = horizon.min(last.header.hlc);
        }
    }
    entries.sort_by_key(|entry| (entry.header.hlc, entry.header.log));
    let mut size = 0;
    let mut count = 0;
    for entry in &entries {
        if count > 0 && (entry.header.hlc > horizon || size >= max_bytes) {
            break;
        }
        size += entry.body.len() + entry.header_bytes.len();
        count += 1;
    }
    entries.truncate(count);
    Ok(entries)
}

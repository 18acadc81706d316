//! Reading: a space's membership at the start, and entries for a peer.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use covey_log::{Entry, Evidence, ForkLine, Kind};
use covey_space::{KeyRing, Membership, MembershipOp, ops};
use covey_store::{ForkRow, LogKey, LogRow, SpaceKey, StoreError, StoredEntry};
use covey_types::{
    DeviceId, EntryHash, Head, Heads, Hlc, LogId, Signature, SpaceId, keys::random_bytes, wire::DecodeError,
};

use crate::{
    Rows, clock,
    compact::LogState,
    fold::{Act, Void, fold, unplaced},
    prepare::open_body,
    space::HoldReason,
};

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

/// The newest time in a space's logs that the clock may go by: entries that claim to be from the future, and what follows
/// them in their logs, don't count.
pub(crate) fn newest_believed(reader: &(impl Rows + ?Sized), space: SpaceKey) -> Result<Hlc, StoreError> {
    let held = reader.held(space)?;
    let held =
        held.iter().filter(|row| row.reason == HoldReason::Future as u32).map(|row| (row.log, row.seq));
    let acts = clock::unbelieved(reader, space)?.into_iter().map(|act| (act.log(), act.seq));
    let mut first: BTreeMap<LogKey, u64> = BTreeMap::new();
    for (log, seq) in held.chain(acts) {
        let first = first.entry(log).or_insert(seq);
        *first = seq.min(*first);
    }
    let mut newest = Hlc::default();
    for log in reader.logs(space)? {
        let hlc = match first.get(&log.key) {
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

/// The logs with acts that are dated in the future, and when the time of the first of them has come, milliseconds since 1970.
///
/// # Errors
/// The backend's; [`StoreError::Corrupt`] if that can't be read.
pub fn load_acts_ahead(
    reader: &(impl Rows + ?Sized),
    space: SpaceKey,
) -> Result<Vec<(LogKey, u64)>, StoreError> {
    Ok(clock::unbelieved(reader, space)?.into_iter().map(|act| (act.log(), act.until_ms)).collect())
}

pub(crate) fn load_membership(
    reader: &(impl Rows + ?Sized),
    key: SpaceKey,
    id: SpaceId,
    keys: &KeyRing,
) -> Result<Loaded, StoreError> {
    let evidence = load_evidence(reader, key, id)?;
    let frozen: BTreeMap<_, _> = evidence.iter().map(|evidence| (evidence.log(), evidence.line())).collect();
    let voids = open_voids(&evidence, keys);
    let acts = load_acts(reader, key, keys)?;
    let sealed_voids = voids.iter().any(|(_, acts)| acts.is_none());
    // What rested on a forked log need not fit any more.
    let membership = if frozen.is_empty() { replay(id, &acts)? } else { fold(id, &acts, &voids) };
    let unplaced_voids = unplaced(&membership, &voids);
    Ok(Loaded { membership, frozen, sealed_voids, unplaced_voids })
}

/// The graph of entries each of which was taken in when it came.
fn replay(id: SpaceId, acts: &[Act]) -> Result<Membership, StoreError> {
    let mut membership = Membership::new(id);
    for (entry, acts) in acts {
        membership.apply(entry, acts).map_err(|err| StoreError::Corrupt {
            doing: "apply a membership entry",
            reason: err.to_string(),
        })?;
    }
    Ok(membership)
}

/// What the rows say of who is in a space.
pub(crate) struct Loaded {
    pub(crate) membership: Membership,
    pub(crate) frozen: BTreeMap<LogId, ForkLine>,
    pub(crate) sealed_voids: bool,
    pub(crate) unplaced_voids: Vec<Vec<EntryHash>>,
}

/// What is known of the forked logs of a space.
///
/// # Errors
/// The backend's; [`StoreError::Corrupt`] for what can't be read.
pub fn load_evidence(
    reader: &(impl Rows + ?Sized),
    key: SpaceKey,
    id: SpaceId,
) -> Result<Vec<Evidence>, StoreError> {
    reader.forks(key)?.iter().map(|row| verified(id, row)).collect()
}

/// The evidence in a stored row.
pub(crate) fn verified(id: SpaceId, row: &ForkRow) -> Result<Evidence, StoreError> {
    Evidence::verified(id, &row.evidence)
        .map_err(|err| StoreError::Corrupt { doing: "read the proof of a fork", reason: err.to_string() })
}

/// The void entries in evidence, with their acts.
pub(crate) fn open_voids(evidence: &[Evidence], keys: &KeyRing) -> Vec<Void> {
    let open = |entry: &Arc<Entry>| {
        let plain = open_body(entry, keys)?.unwrap_or_default();
        Some(ops::decode(&plain).unwrap_or_default())
    };
    evidence.iter().flat_map(Evidence::voids).map(|entry| (Arc::clone(entry), open(entry))).collect()
}

/// The acts in membership entries that have no effect, since they stand past the place where their author forked the log;
/// those that could be opened.
///
/// # Errors
/// As [`load_evidence`].
pub fn load_void_acts(
    reader: &(impl Rows + ?Sized),
    key: SpaceKey,
    id: SpaceId,
    keys: &KeyRing,
) -> Result<Vec<(Entry, Vec<MembershipOp>)>, StoreError> {
    let voids = open_voids(&load_evidence(reader, key, id)?, keys);
    Ok(voids.into_iter().filter_map(|(entry, acts)| Some(((*entry).clone(), acts?))).collect())
}

/// The entries of a space's graph of membership and the acts in each, every one after those in its past. Those past the
/// place where their author forked the log aren't among them, though they may stand in it: see [`load_void_acts`].
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
    let ends: BTreeMap<LogId, u64> = reader.forks(key)?.into_iter().map(|row| (row.id, row.seq)).collect();
    let mut acts = reader.membership(key)?.into_iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
    acts.retain(|(entry, _)| ends.get(&entry.header.log).is_none_or(|end| entry.header.seq < *end));
    Ok(acts)
}

/// All acts that can be read, whether they count or not: a void one counts too where another device has built upon it.
///
/// # Errors
/// As [`load_acts`] and [`load_evidence`].
pub fn load_all_acts(
    reader: &(impl Rows + ?Sized),
    key: SpaceKey,
    id: SpaceId,
    keys: &KeyRing,
) -> Result<Vec<(Entry, Vec<MembershipOp>)>, StoreError> {
    let mut acts = load_acts(reader, key, keys)?;
    acts.extend(load_void_acts(reader, key, id, keys)?);
    Ok(acts)
}

/// The entries with which devices went on in another log than their first: the oldest of each that is kept.
///
/// # Errors
/// The backend's; [`StoreError::Corrupt`] for an entry that can't be read.
pub fn load_new_logs(reader: &(impl Rows + ?Sized), space: SpaceKey) -> Result<Vec<Entry>, StoreError> {
    let mut of_device: BTreeMap<DeviceId, Vec<LogKey>> = BTreeMap::new();
    for row in reader.logs(space)? {
        of_device.entry(row.id.device).or_default().push(row.key);
    }
    let mut begun = Vec::new();
    for logs in of_device.into_values().filter(|logs| logs.len() > 1) {
        let mut first: Vec<Entry> = Vec::new();
        for log in logs {
            first.extend(reader.entries(log, 1, 1, 1)?.first().map(decode_stored).transpose()?);
        }
        // Nothing comes before the founding, whatever its author took the time to be.
        first.sort_by_key(|entry| (entry.header.kind != Kind::FOUNDING, entry.header.hlc, entry.header.log));
        begun.extend(first.into_iter().skip(1));
    }
    Ok(begun)
}

/// The newest entry of each log that is held until its time comes, and how many of that log are.
///
/// # Errors
/// The backend's; [`StoreError::Corrupt`] for an entry that can't be read.
pub fn load_from_future(
    reader: &(impl Rows + ?Sized),
    space: SpaceKey,
) -> Result<Vec<(Entry, u64)>, StoreError> {
    let mut newest: BTreeMap<LogKey, (u64, u64)> = BTreeMap::new();
    for row in reader.held(space)?.into_iter().filter(|row| row.reason == HoldReason::Future as u32) {
        let (seq, count) = newest.entry(row.log).or_default();
        *seq = row.seq.max(*seq);
        *count += 1;
    }
    let mut found = Vec::new();
    for (log, (seq, count)) in newest {
        if let Some(stored) = reader.entry(log, seq)? {
            found.push((decode_stored(&stored)?, count));
        }
    }
    Ok(found)
}

/// How far the logs are to be sent to a device that was put out, so that it learns of it: see
/// [`Membership::farewell`]. `None` if it wasn't put out by an entry.
///
/// # Errors
/// The backend's; [`StoreError::Corrupt`] if an entry of the graph isn't in its log.
pub fn load_farewell(
    reader: &(impl Rows + ?Sized),
    space: SpaceKey,
    reach: &BTreeMap<LogId, u64>,
) -> Result<Option<Heads>, StoreError> {
    let logs: BTreeMap<LogId, LogRow> = reader.logs(space)?.into_iter().map(|row| (row.id, row)).collect();
    let head = |(log, seq): (&LogId, &u64)| {
        let row = logs.get(log);
        let hash = row.map(|row| reader.hash_at(row.key, *seq)).transpose()?.flatten();
        // An entry that doesn't count, since its author forked the log before it, is set aside: the log ends there.
        if let (None, Some(row)) = (hash, row.filter(|row| row.head.seq < *seq)) {
            return Ok((*log, row.head));
        }
        let hash = hash.ok_or_else(|| StoreError::Corrupt {
            doing: "look for what put a device out",
            reason: format!("entry {seq} of {log} is not here"),
        })?;
        Ok((*log, Head { seq: *seq, hash }))
    };
    let heads = reach.iter().map(head).collect::<Result<_, StoreError>>()?;
    Ok((!reach.is_empty()).then_some(Heads(heads)))
}

/// What goes to a peer next.
#[derive(Debug, Default)]
pub struct Batch {
    /// Membership entries that go ahead of their places, each after those in its past.
    pub acts: Vec<Entry>,
    /// Entries in causal order.
    pub entries: Vec<Entry>,
}

/// Loads entries for a peer in causal order: by time, which no author sets before what it had seen; but for acts by a clock that was
/// far ahead, by whose time nobody goes: what rests on one may come before it, and waits there for it. Where a log was
/// compacted, its membership entries come, and then what follows from the checkpoint on.
///
/// Nobody takes a log in from a checkpoint before they know what let them in, which may stand behind it: so all that the peer
/// lacks of the membership goes `ahead` of that, which says of what places of each log.
pub fn load_for_peer(
    reader: &(impl Rows + ?Sized),
    space: SpaceKey,
    wants: &[(LogId, u64)],
    ahead: &BTreeMap<LogId, RangeInclusive<u64>>,
    max_bytes: usize,
) -> Result<Batch, StoreError> {
    /// Most entries of one log that are looked at for one batch.
    const CHUNK: usize = 1024;
    /// Least that is read of each log for one batch.
    const MIN_SHARE_BYTES: usize = 8 << 10;
    let logs: BTreeMap<LogId, LogRow> = reader.logs(space)?.into_iter().map(|row| (row.id, row)).collect();
    // Of what was dropped the membership entries are still there. They are looked up once, and seldom needed.
    let mut kept: Option<Vec<(LogKey, StoredEntry)>> = None;
    let mut entries: Vec<(Hlc, Entry)> = Vec::new();
    let mut is_entered = false;
    // Past the last entry of a log of which there is more, nothing is known: stop before that time.
    let mut horizon = Hlc::from_u64(u64::MAX);
    let wanted: BTreeSet<_> = wants.iter().collect();
    // Of many logs little of each: what is not sent in this batch is read again for the next.
    let share = (max_bytes / wanted.len().max(1)).max(MIN_SHARE_BYTES);
    for (log, from) in wanted {
        let Some(row) = logs.get(log) else { continue };
        let mut stored = reader.entries(row.key, *from, share, CHUNK)?;
        // Entries that lie apart from the rest are passed on once the log has come to them.
        stored.retain(|stored| stored.seq <= row.head.seq);
        let is_whole = stored.last().is_none_or(|last| last.seq - from + 1 == stored.len() as u64);
        if !is_whole {
            let state = LogState::load(reader, row.key)?;
            let first = state.agreed.filter(|agreed| agreed.at.seq <= row.head.seq);
            let first = first.map_or(0, |agreed| agreed.begin.seq).max(state.base + 1);
            let kept = match &mut kept {
                Some(kept) => kept,
                None => kept.insert(reader.membership(space)?),
            };
            stored = membership_before(kept, row.key, *from, first);
            let rest = reader.entries(row.key, first.max(*from), share, CHUNK)?;
            if *from < first
                && let Some(begin) = rest.first()
            {
                // Nobody goes on from there without it.
                is_entered = true;
                entries.extend(agreement_on(reader, row, &state, begin)?);
            }
            stored.extend(rest);
            stored.retain(|stored| stored.seq <= row.head.seq);
        }
        let size: usize = stored.iter().map(StoredEntry::size_bytes).sum();
        let more = stored.len() >= CHUNK || size >= share;
        for row in &stored {
            let entry = decode_stored(row)?;
            entries.push((entry.header.hlc, entry));
        }
        if let Some((last, _)) = entries.last().filter(|_| more && !stored.is_empty()) {
            horizon = horizon.min(*last);
        }
    }
    // In the order in which they were found, where that is the same: an agreement comes right before its checkpoint.
    entries.sort_by_key(|(at, entry)| (*at, entry.header.log));
    let mut size = 0;
    let mut count = 0;
    let mut goes_on = true;
    for (at, entry) in &entries {
        if !goes_on && (*at > horizon || size >= max_bytes) {
            break;
        }
        goes_on = *at < entry.header.hlc;
        if !goes_on {
            size += entry.body.len() + entry.header_bytes.len();
        }
        count += 1;
    }
    entries.truncate(count);
    let entries: Vec<Entry> = entries.into_iter().map(|(_, entry)| entry).collect();
    let Some(kept) = kept.filter(|_| is_entered) else { return Ok(Batch { acts: Vec::new(), entries }) };
    let of: BTreeMap<LogKey, LogId> = logs.values().map(|row| (row.key, row.id)).collect();
    let lacks = |log: &LogKey, seq| {
        of.get(log).and_then(|log| ahead.get(log)).is_some_and(|range| range.contains(&seq))
    };
    let lacking = kept.iter().filter(|(log, stored)| lacks(log, stored.seq)).map(|(_, stored)| stored);
    let mut acts = lacking.map(decode_stored).collect::<Result<Vec<_>, _>>()?;
    if acts.is_empty() {
        return Ok(Batch { acts, entries });
    }
    acts.sort_by_key(|entry| (entry.header.hlc, entry.header.log));
    let mut size = 0;
    acts.retain(|entry| {
        let fits = size < max_bytes;
        size += entry.body.len() + entry.header_bytes.len();
        fits
    });
    // The rest comes with the next one, so that no more goes at once than there's room for.
    Ok(Batch { acts, entries: Vec::new() })
}

/// Membership entries that lie apart from their logs here, which have not come to them: nothing else tells a peer of
/// them. About as many as fit, in causal order; which ones is left to chance, so that none can be kept back by others for good.
///
/// # Errors
/// The backend's; [`StoreError::Corrupt`] for an entry that can't be read.
pub fn load_apart(
    reader: &(impl Rows + ?Sized),
    space: SpaceKey,
    max_bytes: usize,
) -> Result<Vec<Entry>, StoreError> {
    let mut places = reader.apart(space)?;
    if !places.is_empty() {
        let start = u64::from_le_bytes(random_bytes()) % places.len() as u64;
        places.rotate_left(start as usize);
    }
    let (mut acts, mut size) = (Vec::new(), 0);
    for (log, seq) in places {
        if size >= max_bytes {
            break;
        }
        if let Some(stored) = reader.entry(log, seq)? {
            size += stored.size_bytes();
            acts.push(decode_stored(&stored)?);
        }
    }
    acts.sort_by_key(|entry: &Entry| (entry.header.hlc, entry.header.log));
    Ok(acts)
}

/// The agreement on a checkpoint, with the time of the checkpoint's first entry: it's sent right before that.
fn agreement_on(
    reader: &(impl Rows + ?Sized),
    row: &LogRow,
    state: &LogState,
    begin: &StoredEntry,
) -> Result<Option<(Hlc, Entry)>, StoreError> {
    let Some(agreed) = state.agreed.filter(|agreed| agreed.begin.seq == begin.seq) else { return Ok(None) };
    let stored = reader.entry(row.key, agreed.at.seq)?;
    let entry = stored.map(|stored| decode_stored(&stored)).transpose()?;
    let at = decode_stored(begin)?.header.hlc;
    Ok(entry.map(|entry| (at, entry)))
}

/// The membership entries of a log from a place on and before another one.
fn membership_before(
    kept: &[(LogKey, StoredEntry)],
    log: LogKey,
    from: u64,
    before: u64,
) -> Vec<StoredEntry> {
    let within = |(of, stored): &&(LogKey, StoredEntry)| *of == log && (from..before).contains(&stored.seq);
    let mut found: Vec<_> = kept.iter().filter(within).map(|(_, stored)| stored.clone()).collect();
    found.sort_by_key(|stored| stored.seq);
    found
}

//! What this device wrote into a history that doesn't count, written again.
//!
//! A home that was copied, or a machine that was set back, makes an honest device fork its log. What it acknowledged must
//! not be lost for that: each copy writes what it holds of the frozen part into its new log, as soon as it may
//! write. The operations keep the times at which they were said (`Op::AsOf`), so that nothing wins over what is newer
//! than itself, and what both copies held counts once. The one exception are counters: what several copies held in
//! common *and* a third one contradicts is counted by each of them. Acts of membership are not repeated: whoever
//! made them has to look at them again.

use std::{collections::BTreeMap, sync::Arc};

use covey_log::{Entry, Kind};
use covey_records::{BodyWriter, Op, Record, Stamp, ops::Tally};
use covey_space::Role;
use covey_store::{StoreError, StoredEntry};
use covey_types::{LogId, SpaceId, wire};
use serde::{Deserialize, Serialize};

use crate::{
    Engine, EngineError, Rows, RowsMut, Secrets,
    apply::{Writer, load_record, operations, stamped},
    compact::{LogState, words::Words},
    load::{corrupt, decode_stored},
    prepare::open_body,
};

/// Where it's noted what is left to write again.
const META: &str = "to-write-again";

/// Ranges that are remembered: one for each own log and each time that an earlier fork of it was found.
const MAX_RANGES: usize = 4096;

/// Longest stored list of them, bytes.
const MAX_RANGES_BYTES: usize = MAX_RANGES * 128;

/// Entries written again in one transaction: others get their turn in between.
const AT_ONCE: usize = 256;

/// Entries of an own log that don't count any more and are to be written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Range {
    space: SpaceId,
    log: LogId,
    /// The first one.
    first: u64,
    /// The next one to be written.
    next: u64,
    /// The last one.
    last: u64,
    /// Whether this home was made of a backup since: the device itself has most likely written them again meanwhile.
    restored: bool,
}

fn ranges(rows: &(impl Rows + ?Sized)) -> Result<Vec<Range>, StoreError> {
    let Some(bytes) = rows.meta(META)? else { return Ok(Vec::new()) };
    wire::decode("what is to be written again", &bytes, MAX_RANGES_BYTES)
        .map_err(|err| corrupt("read what is to be written again", &err))
}

/// Whether something of an own log is still to be written again.
pub(crate) fn waits(rows: &(impl Rows + ?Sized), space: SpaceId, log: LogId) -> Result<bool, StoreError> {
    Ok(ranges(rows)?.iter().any(|range| (range.space, range.log) == (space, log)))
}

/// Notes that entries of an own log were set aside.
pub(crate) fn note(
    rows: &mut impl RowsMut,
    space: SpaceId,
    log: LogId,
    first: u64,
    last: u64,
) -> Result<(), StoreError> {
    let mut all = ranges(rows)?;
    all.push(Range { space, log, first, next: first, last, restored: false });
    let surplus = all.len().saturating_sub(MAX_RANGES);
    all.drain(..surplus);
    rows.set_meta(META, &wire::encode(&all))
}

/// Notes that this home was made of a backup. What is left to write again may have been written since; all of it comes to
/// the same if it's written twice, but for counters. So these are left out.
pub(crate) fn restored(rows: &mut impl RowsMut) -> Result<(), StoreError> {
    let mut all = ranges(rows)?;
    all.iter_mut().for_each(|range| range.restored = true);
    if all.is_empty() { Ok(()) } else { rows.set_meta(META, &wire::encode(&all)) }
}

/// Own entries of a space that don't count any more and were not written again yet.
///
/// # Errors
/// The backend's.
pub fn unwritten(rows: &(impl Rows + ?Sized), space: SpaceId) -> Result<u64, StoreError> {
    let of_space = ranges(rows)?.into_iter().filter(|range| range.space == space);
    Ok(of_space.map(|range| range.last + 1 - range.next).sum())
}

/// How far each counter had counted, by collection, id and name.
#[derive(Default)]
struct Tallies {
    counters: BTreeMap<(String, String, String), Tally>,
}

/// As [`Tallies`]; `None` where nothing is to be counted again.
type Counted = Option<Tallies>;

impl Engine {
    /// Writes some of what is left to write again, if this device may write; the new entries. None, when nothing is left
    /// or it may not now.
    ///
    /// # Errors
    /// [`EngineError`]; nothing was written then.
    pub fn write_again<R: RowsMut>(
        &mut self,
        rows: &mut R,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
    ) -> Result<Vec<Arc<Entry>>, EngineError> {
        let state = self.space(id)?;
        let may =
            state.require_role(secrets.device.id(), Role::Member).is_ok() && state.current_key().is_some();
        let mut all = ranges(rows)?;
        let Some(at) = all.iter().position(|range| range.space == id).filter(|_| may) else {
            return Ok(Vec::new());
        };
        let range = all[at];
        let key = rows.ensure_log(state.key, range.log)?;
        let mut tallies = if range.restored { None } else { Some(self.tallies(rows, id, range)?) };
        let mut written = Vec::new();
        let chunk = rows.set_aside(key, range.next, AT_ONCE)?;
        let chunk: Vec<_> = chunk.into_iter().filter(|stored| stored.seq <= range.last).collect();
        for stored in &chunk {
            written.extend(self.write_one_again(rows, secrets, id, stored, &mut tallies, wall_ms)?);
        }
        match chunk.last() {
            Some(last) if last.seq < range.last => all[at].next = last.seq + 1,
            _ => drop(all.remove(at)),
        }
        rows.set_meta(META, &wire::encode(&all))?;
        Ok(written)
    }

    fn write_one_again<R: RowsMut>(
        &mut self,
        rows: &mut R,
        secrets: &Secrets,
        id: SpaceId,
        stored: &StoredEntry,
        tallies: &mut Counted,
        wall_ms: u64,
    ) -> Result<Option<Arc<Entry>>, EngineError> {
        let entry = decode_stored(stored)?;
        let Some(plain) = self.said_again(id, &entry)? else { return Ok(None) };
        let Ok(ops) = operations(&plain) else { return Ok(None) };
        let stamp = Stamp { hlc: entry.header.hlc, device: entry.header.log.device };
        // It was acknowledged: that somebody has made the record larger meanwhile must not keep it from being written.
        let writer = Writer::Elsewhere;
        let again = self.append_records_of(writer, rows, secrets, id, wall_ms, |rows, engine, log| {
            let mut body = BodyWriter::new();
            let mut last = None;
            for (op, stamp) in stamped(&ops, stamp) {
                if matches!(op, Op::AsOf { .. } | Op::Unknown { .. }) {
                    continue;
                }
                let op = match tallies {
                    Some(tallies) => engine.recounted(rows, id, op, log, entry.header.log, tallies)?,
                    None if matches!(op, Op::CounterAdd { .. }) => continue,
                    None => op.clone(),
                };
                if last.replace(stamp.hlc) != Some(stamp.hlc) {
                    body.push(&Op::AsOf { hlc: stamp.hlc })?;
                }
                body.push(&op)?;
            }
            Ok(body.finish())
        });
        again.map(Some)
    }

    /// What an entry that was set aside says, if it says something of records.
    fn said_again(&self, id: SpaceId, entry: &Entry) -> Result<Option<Vec<u8>>, EngineError> {
        if entry.header.kind != Kind::RECORDS || !entry.is_understood() {
            return Ok(None);
        }
        Ok(open_body(entry, &self.space(id)?.info.keys).and_then(Result::ok))
    }

    /// An operation as it goes into another log: how far a counter has counted is told for each log by itself.
    fn recounted<'a>(
        &self,
        rows: &impl Rows,
        id: SpaceId,
        op: &Op<'a>,
        log: LogId,
        old: LogId,
        tallies: &mut Tallies,
    ) -> Result<Op<'a>, EngineError> {
        let Op::CounterAdd { collection, id: record_id, name, tally } = op else { return Ok(op.clone()) };
        let place = ((*collection).to_owned(), record_id.to_string(), (*name).to_owned());
        let record = match rows.collection(self.space(id)?.key, collection)? {
            Some(collection) => load_record(rows, collection, &place.1, &self.devices)?,
            None => Record::new(),
        };
        // What the history that counts has counted further is in the record.
        let here = record.tally(name, old);
        let before = tallies.counters.get(&place).copied().filter(|known| known.count > here.count);
        let before = before.unwrap_or(here);
        tallies.counters.insert(place, *tally);
        // Sums are of both signs: what is beyond the bounds stays at them. What has been counted further in the history that
        // counts is taken to be in it.
        let counts = tally.count > before.count;
        let delta = if counts { tally.sum.saturating_sub(before.sum) } else { 0 };
        let now = record.tally(name, log);
        let tally = Tally { count: now.count.saturating_add(1), sum: now.sum.saturating_add(delta) };
        Ok(Op::CounterAdd { collection, id: *record_id, name, tally })
    }

    /// How far the counters had counted before a range, where the log goes on with another history; and in the part of it
    /// that was written again already.
    fn tallies(&self, rows: &impl Rows, id: SpaceId, range: Range) -> Result<Tallies, EngineError> {
        let (state, mut tallies) = (self.space(id)?, Tallies::default());
        let found = rows.logs(state.key)?.into_iter().find(|row| row.id == range.log);
        let Some(row) = found else { return Ok(tallies) };
        let before = LogState::load(rows, row.key)?.before();
        if row.head.seq >= range.first && before.base < range.first {
            let mut words = Words::of_log(rows, &state.info.keys, row.key, &before, range.first - 1);
            while let Some(said) = words.next()? {
                if said.seq < range.first {
                    note_tallies(&said.body, &mut tallies);
                }
            }
        }
        let mut next = range.first;
        while next < range.next {
            let chunk = rows.set_aside(row.key, next, AT_ONCE)?;
            let Some(last) = chunk.last() else { break };
            next = last.seq + 1;
            for stored in chunk.iter().filter(|stored| stored.seq < range.next) {
                if let Some(plain) = self.said_again(id, &decode_stored(stored)?)? {
                    note_tallies(&plain, &mut tallies);
                }
            }
        }
        Ok(tallies)
    }
}

fn note_tallies(plain: &[u8], tallies: &mut Tallies) {
    for op in operations(plain).unwrap_or_default() {
        if let Op::CounterAdd { collection, id, name, tally } = op {
            tallies.counters.insert((collection.to_owned(), id.to_string(), name.to_owned()), tally);
        }
    }
}

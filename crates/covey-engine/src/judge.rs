//! Judges entries again when the membership has changed behind them, and rebuilds the records they touched.
//!
//! A removal that was made elsewhere at the same moment may say that entries which were applied here don't count,
//! or, when it falls itself, that entries which were refused do. Which records they touched is known from their
//! operations; those are merged afresh from all entries that count. That reads the whole space once, which is
//! acceptable for what happens rarely and touches little.

use std::collections::{BTreeMap, BTreeSet};

use covey_log::Kind;
use covey_records::{Record, Stamp};
use covey_space::Verdict;
use covey_store::{CollectionKey, LogKey, LogRow, SpaceKey};
use covey_types::{LogId, SpaceId};

use crate::{
    Engine, EngineError, HoldReason, Ingested, Rows, RowsMut,
    apply::{self, Writer, left_out},
    compact::{LogState, first_kept, words::Words},
    ingest::Place,
    load::decode_stored,
    prepare::open_body,
};

/// Entries read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Entries read at once, if they are small.
const CHUNK_ENTRIES: usize = 1024;

/// Records that are rebuilt in one pass over the space: bounds the memory, whatever a removed member wrote.
const REBUILT_AT_ONCE: usize = 20_000;

/// A record, by its collection and id.
pub(crate) type Target = (CollectionKey, String);

/// What is held, and why.
pub(crate) type Held = BTreeMap<(LogKey, u64), u32>;

impl Engine {
    /// Judges the entries of everybody again on whom a limit was put or taken from.
    pub(crate) fn judge_again(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let state = self.space_mut(id)?;
        let suspects = state.membership.suspects();
        let before = std::mem::replace(&mut state.suspects, suspects);
        state.forget_verdict();
        let devices: BTreeSet<_> = before.union(&state.suspects).copied().collect();
        let space = state.key;
        let mut touched = BTreeSet::new();
        let held = held(rows, space)?;
        for log in rows.logs(space)?.into_iter().filter(|log| devices.contains(&log.id.device)) {
            self.judge_words(rows, id, log, &mut touched)?;
            self.judge_log(rows, id, log.key, &held, &mut touched, outcome)?;
        }
        self.rebuild_all(rows, id, touched, outcome)
    }

    /// Merges these records afresh, so many at once that the memory stays bounded.
    pub(crate) fn rebuild_all(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        mut touched: BTreeSet<Target>,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        while !touched.is_empty() {
            let rest = touched.iter().nth(REBUILT_AT_ONCE).cloned();
            let later = rest.map_or_else(BTreeSet::new, |first| touched.split_off(&first));
            outcome.rolled_back += self.rebuild(rows, id, std::mem::replace(&mut touched, later))?;
        }
        Ok(())
    }

    /// Judges the entries of one log again. Those that count now are applied; the records of those that don't any more
    /// are noted.
    fn judge_log(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        log: LogKey,
        held: &Held,
        touched: &mut BTreeSet<Target>,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let mut from = first_kept(rows, log)?;
        loop {
            let chunk = rows.entries(log, from, CHUNK_BYTES, CHUNK_ENTRIES)?;
            let Some(last) = chunk.last() else { return Ok(()) };
            from = last.seq + 1;
            for stored in &chunk {
                let entry = decode_stored(stored)?;
                let reason = held.get(&(log, stored.seq)).copied();
                let was_refused = reason == Some(HoldReason::Refused as u32);
                let waits = reason.is_some_and(|reason| !HoldReason::is_applied(reason)) && !was_refused;
                if waits || entry.header.kind != Kind::RECORDS || !entry.is_understood() {
                    continue;
                }
                let place = Place { space: id, log, entry: &entry };
                self.judge_entry(rows, place, was_refused, touched, outcome)?;
            }
        }
    }

    fn judge_entry(
        &mut self,
        rows: &mut impl RowsMut,
        place: Place<'_>,
        was_refused: bool,
        touched: &mut BTreeSet<Target>,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &place.entry.header;
        let state = self.space_mut(place.space)?;
        let verdict = state.may_write(header.log, header.seq, &header.deps);
        let Some(Ok(plain)) = open_body(place.entry, &state.info.keys) else { return Ok(()) };
        let space = state.key;
        match (verdict, was_refused) {
            // What it rests on doesn't count any more, and is not known to everybody.
            (Verdict::Unknown, _) => {
                rows.hold(place.log, header.seq, HoldReason::Past as u32, u64::MAX >> 1)?;
                if was_refused { Ok(()) } else { note_targets(rows, space, &plain, touched) }
            }
            (Verdict::Allowed, true) => {
                rows.release(place.log, header.seq)?;
                self.apply_records(rows, place, &plain, Writer::Elsewhere, outcome)
            }
            (Verdict::Refused, false) => {
                let reason = "its author was put out before it";
                outcome.refused.push((header.log, header.seq, reason.into()));
                rows.hold(place.log, header.seq, HoldReason::Refused as u32, u64::MAX >> 1)?;
                note_targets(rows, space, &plain, touched)
            }
            _ => Ok(()),
        }
    }

    /// Judges the words of a log's checkpoint again, each as the entry whose place it has. Which of them counted before
    /// isn't known: those that do are applied, which changes nothing where they were; the records of the others are noted.
    pub(crate) fn judge_words(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        log: LogRow,
        touched: &mut BTreeSet<Target>,
    ) -> Result<(), EngineError> {
        let state = LogState::load(rows, log.key)?;
        if state.base == 0 {
            return Ok(());
        }
        let (space, keys) = (self.space(id)?.key, self.space(id)?.info.keys.clone());
        let mut next = Some(state.base + 2);
        // Part by part: they can't be read on while rows change.
        while let Some(from) = next {
            let mut words = Words::of_part(rows, &keys, log.key, &state, from)?;
            next = words.next_part();
            let mut some = Vec::new();
            while let Some(said) = words.next()? {
                some.push(said);
            }
            for said in some {
                match self.space_mut(id)?.may_write(log.id, said.seq, &said.deps) {
                    Verdict::Allowed => {
                        let stamp = Stamp { hlc: said.hlc, device: log.id.device };
                        // What can't be read counted nowhere.
                        let _ = self.apply_word(rows, space, (stamp, log.id, said.seq), &said.body)?;
                    }
                    Verdict::Refused => note_targets(rows, space, &said.body, touched)?,
                    Verdict::Unknown => {}
                }
            }
        }
        Ok(())
    }

    /// Merges these records afresh from all entries that count, and from the words of checkpoints where entries were
    /// dropped; how many came out otherwise than they were.
    fn rebuild(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        targets: BTreeSet<Target>,
    ) -> Result<u64, EngineError> {
        let (space, keys) = (self.space(id)?.key, self.space(id)?.info.keys.clone());
        let mut records: BTreeMap<Target, Record> =
            targets.into_iter().map(|target| (target, Record::new())).collect();
        let held = held(rows, space)?;
        for log in rows.logs(space)? {
            let state = LogState::load(rows, log.key)?;
            let mut words = Words::of_log(rows, &keys, log.key, &state, log.head.seq);
            while let Some(said) = words.next()? {
                let counts = if said.is_word {
                    self.space_mut(id)?.may_write(log.id, said.seq, &said.deps) == Verdict::Allowed
                } else {
                    held.get(&(log.key, said.seq)).is_none_or(|reason| HoldReason::is_applied(*reason))
                };
                if counts {
                    let stamp = Stamp { hlc: said.hlc, device: log.id.device };
                    merge_into(rows, space, (stamp, log.id), &said.body, &mut records)?;
                }
            }
        }
        let mut changed = 0;
        for ((collection, id), record) in records {
            let (doc, state) = record.to_parts(&mut self.devices);
            let old = rows.record(collection, &id)?;
            if old.is_some_and(|old| old.doc != doc || old.state != state) {
                left_out(rows.put_record(collection, &id, doc.as_deref(), &state))?;
                changed += 1;
            }
        }
        Ok(changed)
    }
}

fn merge_into(
    rows: &impl Rows,
    space: SpaceKey,
    (stamp, log): (Stamp, LogId),
    plain: &[u8],
    records: &mut BTreeMap<Target, Record>,
) -> Result<(), EngineError> {
    let ops = apply::operations(plain).unwrap_or_default();
    for (op, stamp) in apply::stamped(&ops, stamp) {
        let Some((name, id)) = apply::target(op) else { continue };
        let Some(collection) = rows.collection(space, name)? else { continue };
        let target = (collection, id.text(&mut [0; 36]).to_owned());
        if let Some(record) = records.get_mut(&target) {
            record.apply(op, stamp, log);
        }
    }
    Ok(())
}

/// Notes which records an entry has touched.
pub(crate) fn note_targets(
    rows: &impl Rows,
    space: SpaceKey,
    plain: &[u8],
    touched: &mut BTreeSet<Target>,
) -> Result<(), EngineError> {
    for (collection, id) in apply::operations(plain).unwrap_or_default().iter().filter_map(apply::target) {
        if let Some(collection) = rows.collection(space, collection)? {
            touched.insert((collection, id.text(&mut [0; 36]).to_owned()));
        }
    }
    Ok(())
}

pub(crate) fn held(rows: &impl Rows, space: SpaceKey) -> Result<Held, EngineError> {
    Ok(rows.held(space)?.into_iter().map(|row| ((row.log, row.seq), row.reason)).collect())
}

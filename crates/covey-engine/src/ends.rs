//! Up to where a forked log counts all the same, since somebody put its author out.
//!
//! Whoever has a device that was put out can still sign a second history of its log, at an old place. But the limit that
//! put it out names the last entry that its author had seen there, and with that a history: this one counts up to the cut.
//! Of several such cuts behind the fork the first one counts, by place and hash, as limits do elsewhere. Behind an agreement it
//! counts as far as it's of the history that all agreed to.
//!
//! Such an end follows from who is in the space, as far as that is known here. So it's told to nobody, and is derived
//! anew whenever either the membership or what is known of forks changes; and the graph of membership must not depend on it. Acts past the fork are
//! void as before, and count if somebody built upon them.
//!
//! Whether an entry between the fork and the cut is of the right history shows only when all of them are here: each is
//! named by the one behind it, and the last one by the cut. So all or none of them count. Until then they are kept aside.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use covey_log::{Entry, ForkLine};
use covey_store::{ForkRow, LogKey, LogRow, StoreError};
use covey_types::{Head, Hlc, LogId, SpaceId};

use crate::{
    Engine, EngineError, Ingested, Rows, RowsMut, Secrets, SpaceState,
    compact::own_agreement,
    ingest::Place,
    load::{decode_stored, load_evidence},
    logs::row_of,
    rewrite,
};

/// Bytes of entries that are looked at at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Entries that are looked at at once.
const CHUNK_ENTRIES: usize = 64;

impl SpaceState {
    /// Up to which entry each forked log counts that counts further than all do.
    pub(crate) fn ends_by_cuts(&self) -> BTreeMap<LogId, Head> {
        self.frozen.values().filter_map(|line| Some((line.log, self.end_by_cut(line)?))).collect()
    }

    /// The same of one log.
    pub(crate) fn end_by_cut(&self, line: &ForkLine) -> Option<Head> {
        let cuts = self.membership.cuts_of(line.log);
        let behind = cuts.filter(|cut| (line.from..u64::MAX).contains(&cut.seq));
        behind.min_by_key(|cut| (cut.seq, cut.hash))
    }
}

/// Whether a log has this entry.
pub(crate) fn has(rows: &impl Rows, row: &LogRow, head: Head) -> Result<bool, StoreError> {
    Ok(row.head.seq >= head.seq && rows.hash_at(row.key, head.seq)? == Some(head.hash))
}

/// The membership entries of a log from a place on and before another one.
pub(crate) fn acts_between(
    rows: &impl Rows,
    log: LogKey,
    (mut from, before): (u64, u64),
) -> Result<Vec<Arc<Entry>>, StoreError> {
    let mut found = Vec::new();
    while from < before {
        let chunk = rows.entries(log, from, CHUNK_BYTES, CHUNK_ENTRIES)?;
        let Some(last) = chunk.last() else { break };
        from = last.seq + 1;
        for stored in chunk.iter().filter(|stored| stored.seq < before) {
            let entry = decode_stored(stored)?;
            if entry.header.kind.is_membership() {
                found.push(Arc::new(entry));
            }
        }
    }
    Ok(found)
}

/// Whether what is kept aside leads from the end of a log to this entry: the time of that one.
fn chain_to(rows: &impl Rows, row: &LogRow, end: Head) -> Result<Option<Hlc>, StoreError> {
    let is_end = |stored: &covey_store::StoredEntry| (stored.seq, stored.hash) == (end.seq, end.hash);
    if !rows.set_aside(row.key, end.seq, 1)?.iter().any(is_end) {
        return Ok(None);
    }
    let (mut head, mut hlc) = (row.head, row.hlc);
    while head != end {
        let chunk = rows.set_aside(row.key, head.seq + 1, CHUNK_ENTRIES)?;
        if chunk.is_empty() {
            return Ok(None);
        }
        for stored in chunk.iter().take_while(|stored| stored.seq <= end.seq) {
            let entry = decode_stored(stored)?;
            if entry.follows(head, hlc).is_err() {
                return Ok(None);
            }
            (head, hlc) = (entry.head(), entry.header.hlc);
        }
        if head.seq == end.seq && head != end {
            return Ok(None);
        }
    }
    Ok(Some(hlc))
}

impl Engine {
    /// Keeps an entry aside that stands between the fork of its log and the end that a cut names: whether it's of the history
    /// that leads there isn't known yet.
    pub(crate) fn keep_aside(
        &self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        (id, log): (SpaceId, LogKey),
        entry: &Entry,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let (of, seq) = (entry.header.log, entry.header.seq);
        let Some(end) = self.space(id)?.ends.get(&of).copied() else { return Ok(()) };
        // What this device is still to write again must not go.
        if of.device == secrets.device.id() && rewrite::waits(rows, id, of)? {
            return Ok(());
        }
        let next = rows.set_aside(log, seq, 2)?;
        let here = next.iter().find(|stored| stored.seq == seq).map(|stored| stored.hash);
        if seq == end.seq && (entry.hash != end.hash || here == Some(end.hash)) {
            return Ok(());
        }
        rows.put_aside(log, row_of(entry))?;
        let behind = next.iter().find(|stored| stored.seq == seq + 1).map(decode_stored).transpose()?;
        if seq == end.seq {
            outcome.due.ends.insert(of, true);
        } else if behind.is_some_and(|behind| behind.header.prev == entry.hash) {
            outcome.due.ends.entry(of).or_insert(false);
        }
        Ok(())
    }

    /// Sees up to where forked logs count now, and has them end there.
    pub(crate) fn settle_ends(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let due = std::mem::take(&mut outcome.due.ends);
        let state = self.space_mut(id)?;
        if state.frozen.is_empty() {
            return Ok(());
        }
        let ends = state.ends_by_cuts();
        let before = std::mem::replace(&mut state.ends, ends);
        let (ends, key) = (&state.ends, state.key);
        let moved = before.keys().chain(ends.keys()).filter(|log| before.get(log) != ends.get(log));
        let mut news: BTreeSet<LogId> = moved.copied().collect();
        // Of those the proof has just come, or more that goes with it.
        news.extend(outcome.frozen.iter().filter(|log| ends.contains_key(log)));
        news.extend(due.iter().filter(|(_, asks)| **asks).map(|(log, _)| *log));
        if news.is_empty() && due.is_empty() {
            return Ok(());
        }
        // Of a log that is forked at its beginning nothing may be here, and it's to be asked for all the same.
        let at_the_start = |log: &&LogId| ends.contains_key(*log) && state.is_void_at(log, 1);
        for log in news.iter().filter(at_the_start) {
            rows.ensure_log(key, *log)?;
        }
        for row in rows.logs(key)? {
            if news.contains(&row.id) || due.contains_key(&row.id) {
                let asks = news.contains(&row.id);
                self.settle_end(rows, secrets, (id, &row), asks, wall_ms, outcome)?;
            }
        }
        outcome.frozen.extend(news);
        Ok(())
    }

    /// Whether the ends of forked logs are those that follow from what is known.
    pub(crate) fn ends_are_settled(&self, id: SpaceId) -> Result<bool, EngineError> {
        let state = self.space(id)?;
        Ok(state.frozen.is_empty() || state.ends == state.ends_by_cuts())
    }

    fn settle_end(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        (id, row): (SpaceId, &LogRow),
        asks: bool,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let state = self.space(id)?;
        let (key, end) = (state.key, state.ends.get(&row.id).copied());
        let Some(line) = state.frozen.get(&row.id).copied() else { return Ok(()) };
        if row.head.seq + 1 < line.from {
            return Ok(()); // what stands before the fork comes first, or the agreement
        }
        let Some(evidence) = load_evidence(rows, key, id)?.into_iter().find(|known| known.log() == row.id)
        else {
            return Ok(());
        };
        let is_there = end.map_or(Ok(false), |end| has(rows, row, end))?;
        let goes = end.filter(|_| is_there).map_or(line.from, |end| end.seq + 1);
        let mut voids = Vec::new();
        if row.head.seq >= goes {
            voids = self.leave_behind(rows, id, row, (goes, evidence.before(goes)), outcome)?;
            self.note_own(rows, secrets, id, row, goes)?;
            outcome.frozen.insert(row.id);
        }
        if let Some(end) = end.filter(|_| !is_there) {
            let row = rows.logs(key)?.into_iter().find(|now| now.key == row.key).unwrap_or(*row);
            if let Some(hlc) = chain_to(rows, &row, end)? {
                voids.extend(self.bring_back(rows, secrets, (id, &row), (end, hlc), wall_ms, outcome)?);
            } else if asks {
                outcome.shortened.entry(row.id).or_insert(row.head);
            }
        }
        // What came back may hold an agreement that was not known.
        let now = rows.logs(key)?.into_iter().find(|now| now.key == row.key).unwrap_or(*row);
        let evidence = evidence.with(voids).with_agreed(own_agreement(rows, &now)?);
        let news = evidence.line();
        if news != line {
            rows.put_fork(key, &ForkRow { id: row.id, seq: news.from, evidence: evidence.encode() })?;
            self.space_mut(id)?.frozen.insert(row.id, news);
            outcome.frozen.insert(row.id);
            outcome.due.fold = true;
        }
        Ok(())
    }

    /// Takes back into a log what is kept aside behind its end, up to another one; its membership entries.
    fn bring_back(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        (id, row): (SpaceId, &LogRow),
        (end, hlc): (Head, Hlc),
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<Vec<Arc<Entry>>, EngineError> {
        let mut next = row.head.seq + 1;
        // Nothing may lie there apart from the rest.
        let mut voids = self.leave_behind(rows, id, row, (next, Some(row.head.hash)), outcome)?;
        rows.bring_back(row.key, end, hlc)?;
        tracing::info!(space = %id, log = %row.id, from = next, upto = end.seq, "a cut names this history of it: it counts up to there");
        while next <= end.seq {
            let chunk = rows.entries(row.key, next, CHUNK_BYTES, CHUNK_ENTRIES)?;
            let Some(last) = chunk.last() else { break };
            next = last.seq + 1;
            for stored in &chunk {
                let entry = decode_stored(stored)?;
                if entry.header.kind.is_membership() {
                    voids.push(Arc::new(entry));
                } else {
                    let place = Place { space: id, log: row.key, entry: &entry };
                    self.take(rows, secrets, place, None, wall_ms, outcome)?;
                }
            }
        }
        outcome.shortened.insert(row.id, end);
        outcome.durable.insert(row.id, end);
        outcome.frozen.insert(row.id);
        Ok(voids)
    }
}

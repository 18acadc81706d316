//! Logs with two histories.
//!
//! Once there is proof that a log is forked it counts up to the place before, here as everywhere: what is stored from
//! there on is set aside, records are merged without it, and what it says of who is in the space has no effect, but for what
//! others have built upon (see `fold`). So it stays in the graph of membership all the same (`covey_log::fork` says how
//! it gets to those who have the other history). All nodes that know the same proofs come to the same, in whatever order they
//! heard of them. What is set aside is not thrown away.

use std::{collections::BTreeMap, sync::Arc};

use covey_log::{Entry, Evidence, ForkLine, ForkProof, Kind, SignedHeader};
use covey_space::ops;
use covey_store::{ForkRow, LogKey, LogRow, NewEnd, StoreError};
use covey_types::{EntryHash, Head, Hlc, LogId, SpaceId, limits::MAX_LOGS_PER_DEVICE};

use crate::{
    Engine, EngineError, HoldReason, Ingested, LookBack, Rows, RowsMut, Secrets, SpaceState,
    compact::{LogState, own_agreement},
    ends::acts_between,
    fold::{Act, fold, unplaced},
    ingest::NEVER_PLACED,
    judge::{held, note_targets},
    load::{decode_stored, load_evidence, open_voids, verified},
    prepare::open_body,
    rewrite,
};

/// Entries read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Entries read at once, if they are small.
const CHUNK_ENTRIES: usize = 1024;

/// A header of a history that isn't the one here.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) space: SpaceId,
    pub(crate) log: LogKey,
    /// Its signature was checked.
    pub(crate) theirs: SignedHeader,
}

/// Cuts that name another entry than the log has here.
pub(crate) fn contradicted(rows: &impl Rows, state: &SpaceState) -> Result<Vec<(LogId, Head)>, StoreError> {
    let mut cuts = state.membership.cuts();
    // Of a forked log that is known already: the history of one cut counts, and where any author's history parts from it.
    cuts.retain(|(log, head)| state.frozen.get(log).is_none_or(|line| head.seq < line.parts));
    if cuts.is_empty() {
        return Ok(Vec::new());
    }
    let logs: BTreeMap<LogId, LogKey> =
        rows.logs(state.key)?.into_iter().map(|row| (row.id, row.key)).collect();
    let mut found = Vec::new();
    for (log, head) in cuts {
        let Some(key) = logs.get(&log) else { continue };
        if rows.hash_at(*key, head.seq)?.is_some_and(|here| here != head.hash) {
            found.push((log, head));
        }
    }
    Ok(found)
}

impl Engine {
    /// Takes in what somebody knows of a forked log, once its signatures were checked.
    ///
    /// # Errors
    /// The backend's.
    pub fn take_evidence(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        evidence: Evidence,
        wall_ms: u64,
    ) -> Result<Ingested, EngineError> {
        let mut outcome = Ingested::default();
        self.freeze(rows, secrets, id, evidence, wall_ms, &mut outcome)?;
        self.settle(rows, secrets, id, wall_ms, &mut outcome)?;
        self.devices.save(rows)?;
        Ok(outcome)
    }

    /// Takes in the header, whose signature was checked, that somebody has at the place where their history of a log parts
    /// from the one here.
    ///
    /// # Errors
    /// The backend's.
    pub fn take_branch(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        theirs: SignedHeader,
        wall_ms: u64,
    ) -> Result<Ingested, EngineError> {
        let mut outcome = Ingested::default();
        let found = rows.logs(self.space(id)?.key)?.into_iter().find(|row| row.id == theirs.header.log);
        if let Some(row) = found {
            let part = Part { space: id, log: row.key, theirs };
            self.prove(rows, secrets, part, wall_ms, &mut outcome)?;
            self.settle(rows, secrets, id, wall_ms, &mut outcome)?;
            self.devices.save(rows)?;
        }
        Ok(outcome)
    }

    /// Freezes a log if what came and what is here prove that it's forked; whether they do.
    pub(crate) fn prove(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        part: Part,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<bool, EngineError> {
        let Some(stored) = rows.entry(part.log, part.theirs.header.seq)? else { return Ok(false) };
        let mine = decode_stored(&stored)?;
        let Ok(proof) = ForkProof::of(part.space, (&mine).into(), part.theirs) else { return Ok(false) };
        self.freeze(rows, secrets, part.space, Evidence::new(proof), wall_ms, outcome)?;
        Ok(true)
    }

    /// What is known of a forked log; to be passed on.
    ///
    /// # Errors
    /// The backend's.
    pub fn evidence_of(
        &self,
        rows: &(impl Rows + ?Sized),
        id: SpaceId,
        log: LogId,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let found = rows.forks(self.space(id)?.key)?.into_iter().find(|row| row.id == log);
        Ok(found.map(|row| row.evidence))
    }

    fn freeze(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        evidence: Evidence,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let (state, log) = (self.space(id)?, evidence.log());
        // Nobody outside can have written anything in the space, so there's nothing to prove.
        if !state.membership.may_have_log(&log) {
            return Ok(());
        }
        let key = state.key;
        let evidence = self.as_far_as_agreed(rows, id, evidence)?;
        let rows_here = rows.forks(key)?;
        let of_device = rows_here.iter().filter(|row| row.id.device == log.device).count();
        let known = rows_here.into_iter().find(|row| row.id == log);
        if known.is_none() && of_device >= MAX_LOGS_PER_DEVICE {
            // A device has no more logs that count than that, and can sign any number of proofs.
            tracing::debug!(space = %id, %log, "its device forked more logs than it may have");
            return Ok(());
        }
        let known = known.map(|row| verified(id, &row)).transpose()?;
        let before = known.as_ref().map(Evidence::line);
        let merged = match known {
            Some(known) => known.merge(evidence),
            None => evidence,
        };
        self.freeze_from(rows, secrets, id, (before, merged), wall_ms, outcome)
    }

    /// Has a forked log end where it does by all that is known of it.
    pub(crate) fn freeze_from(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        (before, mut merged): (Option<ForkLine>, Evidence),
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let (key, log) = (self.space(id)?.key, merged.log());
        let row = rows.logs(key)?.into_iter().find(|row| row.id == log);
        let mut had_acts = false;
        if let Some(row) = &row {
            merged = merged.with_agreed(own_agreement(rows, row)?);
        }
        let (parts, from) = (merged.parts(), merged.from());
        let cut = self.space(id)?.end_by_cut(&merged.line());
        if before.is_none_or(|line| (parts, from) != (line.parts, line.from)) {
            let counts_not_from = cut.map_or(from, |cut| cut.seq + 1);
            tracing::warn!(space = %id, %log, parts, counts_not_from, "its author wrote two histories");
            outcome.forked.insert(log, counts_not_from);
            if let Some(row) = row {
                let end = Self::end_of(rows, &row, &merged, cut)?;
                let mut voids = self.leave_behind(rows, id, &row, end, outcome)?;
                voids.extend(acts_between(rows, row.key, (from, end.0))?);
                self.note_own(rows, secrets, id, &row, end.0)?;
                had_acts = !voids.is_empty();
                merged = merged.with(voids);
            }
            if log.device == secrets.device.id() {
                self.own_log_forked(rows, id, log, parts, wall_ms)?;
                outcome.came_back.insert(log, (LookBack::Forked, parts));
            }
        }
        let line = merged.line();
        if before == Some(line) {
            return Ok(());
        }
        rows.put_fork(key, &ForkRow { id: log, seq: line.from, evidence: merged.encode() })?;
        self.space_mut(id)?.frozen.insert(log, line);
        outcome.frozen.insert(log);
        self.space_mut(id)?.ends = self.space(id)?.ends_by_cuts();
        let voids_changed =
            before.map_or_else(|| merged.voids().next().is_some(), |before| before.voids != line.voids);
        // Once for all that comes together: it reads the whole space.
        outcome.due.fold |= had_acts || voids_changed;
        Ok(())
    }

    /// If the log is this device's own, what was set aside of it is to be written again, in another log.
    pub(crate) fn note_own(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        row: &LogRow,
        from: u64,
    ) -> Result<(), EngineError> {
        if row.head.seq < from || row.id.device != secrets.device.id() {
            return Ok(());
        }
        rewrite::note(rows, id, row.id, from, row.head.seq)?;
        if self.space(id)?.own_log(row.id.device) == row.id {
            self.begin_incarnation(rows, id)?;
        }
        Ok(())
    }

    /// Sets the tail of a log aside, and notes the records that it touched; its membership entries.
    pub(crate) fn leave_behind(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        row: &LogRow,
        (from, before): (u64, Option<EntryHash>),
        outcome: &mut Ingested,
    ) -> Result<Vec<Arc<Entry>>, EngineError> {
        let mut compaction = LogState::load(rows, row.key)?;
        compaction.end_before(from);
        if from == 1 {
            // Nothing is left: should the log come back, it begins anew.
            compaction = LogState::default();
        }
        compaction.save(rows, row.key)?;
        let (state, mut voids) = (self.space(id)?, Vec::new());
        let held = held(rows, state.key)?;
        let mut next = from;
        loop {
            let chunk = rows.entries(row.key, next, CHUNK_BYTES, CHUNK_ENTRIES)?;
            let Some(last) = chunk.last() else { break };
            next = last.seq + 1;
            for stored in &chunk {
                let entry = decode_stored(stored)?;
                let waits =
                    held.get(&(row.key, stored.seq)).is_some_and(|reason| !HoldReason::is_applied(*reason));
                if entry.header.kind.is_membership() {
                    voids.push(Arc::new(entry));
                } else if !waits
                    && entry.header.kind == Kind::RECORDS
                    && let Some(Ok(plain)) = open_body(&entry, &state.info.keys)
                {
                    note_targets(rows, state.key, &plain, &mut outcome.touched)?;
                }
            }
        }
        let last = rows.entry(row.key, from - 1)?.map(|stored| decode_stored(&stored)).transpose()?;
        let (hash, hlc) = last.map_or((before.unwrap_or(EntryHash::NONE), Hlc::default()), |entry| {
            (entry.hash, entry.header.hlc)
        });
        rows.truncate(row.key, NewEnd { from, hash, hlc })?;
        if row.head.seq < from {
            return Ok(voids);
        }
        outcome.shortened.insert(row.id, Head { seq: from - 1, hash });
        outcome.durable.remove(&row.id);
        Ok(voids)
    }

    /// Folds the graph of membership afresh: something in it has no effect any more, or something without effect came.
    pub(crate) fn rebuild_graph(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        // Each further round has fewer logs.
        loop {
            self.fold_afresh(rows, secrets, id, outcome)?;
            if !self.leave_strangers_behind(rows, id, outcome)? {
                return Ok(());
            }
        }
    }

    fn fold_afresh(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let evidence = load_evidence(rows, self.space(id)?.key, id)?;
        outcome.keys_came |= self.learn_from_voids(rows, secrets, id, &evidence)?;
        let state = self.space(id)?;
        let voids = open_voids(&evidence, &state.info.keys);
        let sealed_voids = voids.iter().any(|(_, acts)| acts.is_none());
        let acts = self.stored_acts(rows, id)?;
        let (places, acts): (Vec<_>, Vec<_>) = acts.into_iter().unzip();
        let membership = fold(id, &acts, &voids);
        for ((log, seq, was_known), (entry, _)) in places.into_iter().zip(&acts) {
            let is_known = membership.knows_all(&[entry.hash]);
            if is_known {
                rows.add_membership(state.key, entry.hash, log, seq)?;
            } else if was_known {
                rows.hold(log, seq, HoldReason::Past as u32, NEVER_PLACED)?;
                outcome.acts_wait = true;
            }
        }
        let devices = rows.logs(state.key)?.into_iter().map(|row| row.id.device).collect();
        let state = self.space_mut(id)?;
        state.unplaced_voids = unplaced(&membership, &voids);
        state.membership = membership;
        state.sealed_voids = sealed_voids;
        // Anybody may be judged otherwise now.
        state.suspects = devices;
        state.forget_verdict();
        (outcome.due.judge, outcome.membership_changed) = (true, true);
        self.take_void_notices(rows, secrets, id, &voids, outcome)
    }

    /// Takes in the keys that void entries give: people may have written under them. Whether there were any.
    fn learn_from_voids(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        evidence: &[Evidence],
    ) -> Result<bool, EngineError> {
        let device = secrets.device.id();
        let state = self.space_mut(id)?;
        let mut learned = false;
        for entry in evidence.iter().flat_map(Evidence::voids) {
            let offered = ops::offered_keys(&entry.body);
            learned |= !state.keys_to_learn().learn_from(id, device, &secrets.kem, &offered).is_empty();
        }
        if learned {
            self.harvest_keys(rows, secrets, id)?;
        }
        Ok(learned)
    }

    /// The membership entries in the logs that can be read, with where they stand and whether they are in the graph. Those
    /// that were refused are among them: without what doesn't count any more they may be part of it.
    #[expect(clippy::type_complexity, reason = "a place and what stands there")]
    fn stored_acts(
        &self,
        rows: &impl Rows,
        id: SpaceId,
    ) -> Result<Vec<((LogKey, u64, bool), Act)>, EngineError> {
        let state = self.space(id)?;
        let held = held(rows, state.key)?;
        let mut found = Vec::new();
        for log in rows.logs(state.key)? {
            let mut next = 1;
            loop {
                let chunk = rows.entries(log.key, next, CHUNK_BYTES, CHUNK_ENTRIES)?;
                let Some(last) = chunk.last() else { break };
                next = last.seq + 1;
                for stored in &chunk {
                    let entry = decode_stored(stored)?;
                    let waits = held.contains_key(&(log.key, stored.seq));
                    let is_void = state.is_void_at(&entry.header.log, entry.header.seq);
                    if waits || is_void || !entry.header.kind.is_membership() || !entry.is_understood() {
                        continue;
                    }
                    let Some(Ok(plain)) = open_body(&entry, &state.info.keys) else { continue };
                    let Ok(acts) = ops::decode(&plain) else { continue };
                    let was_known = state.membership.knows_all(&[entry.hash]);
                    found.push(((log.key, stored.seq, was_known), (entry, acts)));
                }
            }
        }
        Ok(found)
    }

    /// Sets the logs aside of those who were only let in by what doesn't count any more, through several hands: nobody
    /// with the other history would take them. Whether the graph held something of theirs.
    fn leave_strangers_behind(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        outcome: &mut Ingested,
    ) -> Result<bool, EngineError> {
        let state = self.space(id)?;
        if !state.membership.is_founded() {
            return Ok(false);
        }
        let stays = |row: &LogRow| state.membership.may_have_log(&row.id);
        let strangers: Vec<LogRow> = rows.logs(state.key)?.into_iter().filter(|row| !stays(row)).collect();
        let mut had_acts = false;
        for row in strangers {
            // Entries may lie there though the log has not come to them.
            if row.head.seq == 0 && rows.entries(row.key, 1, 1, 1)?.is_empty() {
                continue;
            }
            had_acts |= !self.leave_behind(rows, id, &row, (1, None), outcome)?.is_empty();
        }
        Ok(had_acts)
    }

    /// Sees whether cuts name other entries than the logs have here.
    pub(crate) fn look_at_cuts(
        &mut self,
        rows: &impl Rows,
        id: SpaceId,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let state = self.space(id)?;
        let moved = |log: &LogId| outcome.durable.contains_key(log);
        let concerned = outcome.membership_changed
            || !outcome.frozen.is_empty()
            || state.membership.cuts().iter().any(|(log, _)| moved(log));
        if concerned {
            let cuts = contradicted(rows, state)?;
            outcome.due.judge |= self.space_mut(id)?.membership.contradict(cuts);
        }
        Ok(())
    }
}

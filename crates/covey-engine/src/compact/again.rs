//! Agreements, judged again when the membership has changed.
//!
//! Somebody may have put the author out before the checkpoint who hadn't been heard of here, and whose word isn't in the
//! agreement. Then it doesn't hold, here as everywhere, and never did: what it left out comes back. Where that was dropped the
//! log is as if it had never been here, but for its membership entries, and comes again from those who have it.

use std::{collections::BTreeSet, sync::Arc};

use covey_log::Entry;
use covey_store::{LogKey, LogRow, StoreError};
use covey_types::{Head, SpaceId, wire};

use super::{Agreement, Claim, LogState, agreement::Signed, words::Words};
use crate::{
    Engine, EngineError, HoldReason, Ingested, Rows, RowsMut, Secrets,
    ingest::{NEVER_AGREED, Place},
    judge::note_targets,
    load::{corrupt, decode_stored, load_evidence},
    logs::{LogCursor, append, row_of},
    rewrite,
};

/// Entries that are passed over at once while looking for a gap.
const CHUNK_ENTRIES: usize = 4096;

/// Entries that are looked at at once of those that were set aside.
const SET_ASIDE_ENTRIES: usize = 64;

/// Bytes of them.
const CHUNK_BYTES: usize = 1 << 20;

/// Longest agreement that's kept ahead of its place, bytes: its body and its header.
const MAX_OFFERED_BYTES: usize = covey_log::fork::MAX_AGREED_BYTES + (8 << 10);

fn name(log: LogKey) -> String {
    format!("offered/{}", log.number())
}

/// Keeps an agreement that came ahead of its place.
pub(super) fn keep_offered(
    rows: &mut (impl RowsMut + ?Sized),
    log: LogKey,
    entry: &Entry,
) -> Result<(), EngineError> {
    keep(rows, &name(log), entry)
}

fn keep(rows: &mut (impl RowsMut + ?Sized), name: &str, entry: &Entry) -> Result<(), EngineError> {
    let signed: Signed = (entry.header_bytes.to_vec(), entry.signature, entry.body.to_vec());
    Ok(rows.set_meta(name, &wire::encode(&signed))?)
}

fn fallen(log: LogKey) -> String {
    format!("fallen/{}", log.number())
}

/// The entry of an agreement that was found to hold before: in its place, or kept ahead of it.
fn entry_of(rows: &impl Rows, row: &LogRow, agreement: Agreement) -> Result<Option<Entry>, EngineError> {
    let stored = rows.entry(row.key, agreement.at.seq)?.map(|stored| decode_stored(&stored)).transpose()?;
    if let Some(entry) = stored.filter(|entry| entry.hash == agreement.at.hash) {
        return Ok(Some(entry));
    }
    Ok(kept(rows, &name(row.key))?.filter(|entry| entry.hash == agreement.at.hash))
}

/// The agreement that's kept under a name.
fn kept(rows: &impl Rows, name: &str) -> Result<Option<Entry>, EngineError> {
    let Some(bytes) = rows.meta(name)?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    let (header, signature, body): Signed =
        wire::decode("an agreement ahead of its place", &bytes, MAX_OFFERED_BYTES)
            .map_err(|err| corrupt("read an agreement ahead of its place", &err))?;
    Ok(Entry::decode(&header, signature, &body).ok())
}

/// What an agreement claims that was found to hold before.
fn claim(rows: &impl Rows, row: &LogRow, agreement: Agreement) -> Result<Option<Claim>, EngineError> {
    Ok(entry_of(rows, row, agreement)?.and_then(|entry| Claim::of_stored(&entry).ok()))
}

impl Engine {
    /// Sees whether what all agreed to still holds, and undoes what doesn't.
    pub(crate) fn judge_agreements(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        if self.keeps_whole_logs {
            return Ok(());
        }
        let key = self.space(id)?.key;
        for row in rows.logs(key)? {
            self.judge_agreements_on(rows, secrets, id, &row, outcome)?;
            self.take_back(rows, secrets, id, &row, wall_ms, outcome)?;
        }
        if self.space(id)?.frozen.is_empty() {
            return Ok(());
        }
        for evidence in load_evidence(rows, key, id)? {
            let line = evidence.line();
            let merged = self.as_far_as_agreed(rows, id, evidence)?;
            if merged.line() != line {
                self.freeze_from(rows, secrets, id, (Some(line), merged), wall_ms, outcome)?;
            }
        }
        Ok(())
    }

    fn judge_agreements_on(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        row: &LogRow,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let mut state = LogState::load(rows, row.key)?;
        let space = self.space(id)?;
        let (membership, upto) = (&space.membership, space.is_one_up_to(&row.id, row.head.seq));
        let mut fell = BTreeSet::new();
        for agreement in [state.entrance, state.agreed, state.offered].into_iter().flatten() {
            let claim = claim(rows, row, agreement)?;
            if claim.is_some_and(|claim| claim.holds(membership, upto) == Some(false)) {
                fell.insert(agreement.at.seq);
            }
        }
        // Whoever was put out may be all that has the rest of their log, should that fall. Back in the space they have to come
        // to the same as the others.
        let is_own = row.id.device == secrets.device.id();
        if fell.is_empty() || is_own && !membership.has_device(row.id.device) {
            return Ok(());
        }
        let stands = |agreement: &Agreement| !fell.contains(&agreement.at.seq);
        let loses_base = state.base > 0 && !state.entrance.as_ref().is_some_and(stands);
        if is_own && loses_base && space.own_log(row.id.device) == row.id {
            // It may not be written twice, nor does anybody take it from its base on.
            self.begin_incarnation(rows, id)?;
        }
        if let Some(agreement) = state.entrance.filter(|_| loses_base)
            && let Some(entry) = entry_of(rows, row, agreement)?
        {
            keep(rows, &fallen(row.key), &entry)?;
        }
        for at in fell.iter().filter(|at| **at <= row.head.seq) {
            rows.hold(row.key, *at, HoldReason::Past as u32, NEVER_AGREED)?;
        }
        state.agreed = state.agreed.filter(stands).or(state.entrance.filter(stands));
        state.offered = state.offered.filter(stands);
        state.save(rows, row.key)?;
        if !loses_base {
            return Ok(());
        }
        self.give_up_base(rows, id, row, state, outcome)
    }

    /// Takes a log in again from what was set aside of it when its agreement fell, if that holds again: a limit made it fall
    /// that has fallen itself. Everybody may have dropped what stood before the checkpoint, and nobody else have this.
    fn take_back(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        row: &LogRow,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let Some(entry) = kept(rows, &fallen(row.key))? else { return Ok(()) };
        let Some(row) = rows.log(self.space(id)?.key, row.id)? else { return Ok(()) };
        let mut state = LogState::load(rows, row.key)?;
        let Ok(claim) = Claim::of_stored(&entry) else { return Ok(()) };
        let (agreed, space) = (claim.agreement, self.space(id)?);
        let begin = agreed.begin;
        let goes_on = row.head.seq >= begin.seq;
        let is_other = goes_on && rows.hash_at(row.key, begin.seq)? != Some(begin.hash);
        if state.base > 0 || row.head.seq >= agreed.at.seq || is_other {
            // It came again from others, or another history of it.
            return Ok(rows.set_meta(&fallen(row.key), &[])?);
        }
        let upto = space.is_one_up_to(&row.id, row.head.seq);
        if space.is_frozen(row.id, begin.seq) || claim.holds(&space.membership, upto) != Some(true) {
            return Ok(());
        }
        state.offered = Some(agreed);
        state.save(rows, row.key)?;
        keep_offered(rows, row.key, &entry)?;
        let mut cursor = LogCursor::of(&row);
        // Some of it may have come again from others, up to the cut.
        let mut next = if goes_on { row.head.seq + 1 } else { begin.seq };
        loop {
            let chunk = rows.set_aside(row.key, next, SET_ASIDE_ENTRIES)?;
            let mut is_over = chunk.is_empty();
            for stored in &chunk {
                let entry = Arc::new(decode_stored(stored)?);
                if entry.head() == begin {
                    let at = (id, &mut cursor);
                    is_over = !self.take_further_on(rows, secrets, at, &entry, None, wall_ms, outcome)?;
                } else if entry.follows(cursor.head, cursor.hlc).is_ok()
                    && goes_on_with(rows, &entry, &mut cursor)?
                {
                    let place = Place { space: id, log: row.key, entry: &entry };
                    self.take(rows, secrets, place, None, wall_ms, outcome)?;
                } else {
                    is_over = true;
                }
                if is_over {
                    break;
                }
                next = entry.header.seq + 1;
            }
            if cursor.head != row.head {
                outcome.shortened.insert(row.id, cursor.head);
            }
            if is_over {
                tracing::info!(%id, log = %row.id, upto = cursor.head.seq, "what was agreed to of it holds again");
                if cursor.head.seq >= agreed.at.seq {
                    rows.set_meta(&fallen(row.key), &[])?;
                }
                return Ok(());
            }
        }
    }

    /// Takes a log back to what it was without its base.
    fn give_up_base(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        row: &LogRow,
        state: LogState,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let space = self.space(id)?;
        tracing::warn!(%id, log = %row.id, base = state.base, "what was agreed to of it doesn't hold: it comes again");
        for whole in [state.clone(), LogState::default()] {
            let mut words = Words::of_log(rows, &space.info.keys, row.key, &whole, state.base);
            while let Some(said) = words.next()? {
                note_targets(rows, space.key, &said.body, &mut outcome.touched)?;
            }
        }
        self.space_mut(id)?.apart = None;
        let gap = first_gap(rows, row, state.base)?;
        LogState { open: state.open, seen: state.seen, said_at: state.said_at, ..LogState::default() }
            .save(rows, row.key)?;
        let Some(gap) = gap else { return Ok(()) };
        // They may be all there is of it, should the agreement hold again; what is set aside of their places is of another history.
        if !rewrite::waits(rows, id, row.id)? {
            let mut next = state.base + 1;
            loop {
                let chunk = rows.entries(row.key, next, CHUNK_BYTES, SET_ASIDE_ENTRIES)?;
                let Some(last) = chunk.last() else { break };
                next = last.seq + 1;
                for stored in &chunk {
                    rows.put_aside(row.key, row_of(&decode_stored(stored)?))?;
                }
            }
        }
        let acts = self.leave_behind(rows, id, row, (gap, None), outcome)?;
        let space = self.space(id)?;
        for act in &acts {
            rows.append_apart(row.key, row_of(act))?;
            if space.membership.knows_all(&[act.hash]) {
                rows.add_membership(space.key, act.hash, row.key, act.header.seq)?;
            } else {
                rows.hold(row.key, act.header.seq, HoldReason::Past as u32, crate::ingest::NEVER_PLACED)?;
            }
        }
        outcome.shortened.entry(row.id).or_insert(Head::EMPTY);
        Ok(())
    }
}

/// Appends an entry that follows what is there; whether that was possible.
fn goes_on_with(rows: &mut impl RowsMut, entry: &Entry, cursor: &mut LogCursor) -> Result<bool, EngineError> {
    match append(rows, cursor.key, entry) {
        Err(StoreError::NotNext { .. }) => return Ok(false),
        done => done?,
    }
    (cursor.head, cursor.hlc) = (entry.head(), entry.header.hlc);
    Ok(true)
}

/// The first place up to `upto` at which nothing is stored.
fn first_gap(rows: &impl Rows, row: &LogRow, upto: u64) -> Result<Option<u64>, EngineError> {
    let mut next = 1;
    while next <= upto {
        let chunk = rows.entries(row.key, next, CHUNK_BYTES, CHUNK_ENTRIES)?;
        if chunk.is_empty() {
            return Ok(Some(next));
        }
        for stored in &chunk {
            if stored.seq != next {
                return Ok((next <= upto).then_some(next));
            }
            next += 1;
        }
    }
    Ok(None)
}

//! Steps of compaction, carried out: each a small change in one transaction, and only if it still holds.

use std::sync::Arc;

use covey_log::{Entry, EpochKey, Kind};
use covey_records::{Part, PartWriter, Stamp};
use covey_space::{Role, Verdict};
use covey_store::SpaceKey;
use covey_types::{DeviceId, Head, LogId, SpaceId, wire};

use super::{
    Checkpoint, Claim, LogState, Seen, Step,
    agreement::{Collected, read_seen},
    plan::Built,
    roll::note_gone,
    words::said_in,
};
use crate::{
    Engine, EngineError, HoldReason, Ingested, RowsMut, Secrets,
    apply::{self, ApplyError, Writer},
    ingest::{NEVER_AGREED, Place},
    load::decode_stored,
};

/// Rows that are dropped in one transaction: it takes some milliseconds.
const DROPPED_AT_ONCE: usize = 4096;

/// And about how many bytes of bodies.
const DROPPED_BYTES: usize = 2 << 20;

/// What came of a step.
#[derive(Debug, Default)]
pub struct Compacted {
    /// Own entries, to be passed on.
    pub entries: Vec<Arc<Entry>>,
    /// Whether something was done, so that there may be more to do.
    pub more: bool,
}

impl Engine {
    /// Carries out a step, if it still holds.
    ///
    /// # Errors
    /// [`EngineError`]; what was changed until then is not to be committed.
    pub fn compact(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        step: Step,
        wall_ms: u64,
    ) -> Result<Compacted, EngineError> {
        note_gone(rows, self.space(id)?, wall_ms)?;
        match step {
            Step::Nothing(learned) => {
                self.space_mut(id)?.compaction = learned;
                Ok(Compacted::default())
            }
            Step::Begin => self.begin_checkpoint(rows, secrets, id, wall_ms),
            Step::Close(last) => self.close_checkpoint(rows, secrets, id, last, wall_ms),
            Step::Build(built) => self.write_parts(rows, secrets, id, built, wall_ms),
            Step::Agree { seen, generation } => self.agree(rows, secrets, id, (&seen, generation), wall_ms),
            Step::Drop(log) => self.drop_up_to_base(rows, secrets, id, log),
        }
    }

    fn begin_checkpoint(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
    ) -> Result<Compacted, EngineError> {
        let state = self.space(id)?;
        state.require_role(secrets.device.id(), Role::Member)?;
        let own = state.own_log(secrets.device.id());
        let log = rows.ensure_log(state.key, own)?;
        // One that is whole, and to which nobody can agree any more, is given up.
        if LogState::load(rows, log)?.open.is_some_and(|open| open.last.is_none()) {
            return Ok(Compacted::default());
        }
        let key = self.writing_key(id)?;
        let entry = self.append(rows, secrets, id, (Kind::CHECKPOINT, Writer::Here), &key, &[], wall_ms)?.0;
        Ok(Compacted { entries: vec![entry], more: true })
    }

    fn writing_key(&self, id: SpaceId) -> Result<EpochKey, EngineError> {
        let state = self.space(id)?;
        let key = state.current_key().cloned();
        key.ok_or_else(|| EngineError::NoKey { space: state.name().to_owned() })
    }

    fn write_parts(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        built: Built,
        wall_ms: u64,
    ) -> Result<Compacted, EngineError> {
        let state = self.space(id)?;
        let own = state.own_log(secrets.device.id());
        let log = rows.ensure_log(state.key, own)?;
        let open = LogState::load(rows, log)?.open;
        if open.is_none_or(|open| open.begin != built.begin || open.last.is_some()) {
            return Ok(Compacted::default());
        }
        let mut entries = Vec::new();
        for (epoch, part) in built.parts {
            // What was written under an older key stays under it: who joined later may not have it.
            let key = self.space(id)?.info.keys.key(epoch).cloned();
            let key = key.ok_or_else(|| EngineError::NoKey { space: id.to_string() })?;
            entries.push(
                self.append(rows, secrets, id, (Kind::CHECKPOINT_PART, Writer::Here), &key, &part, wall_ms)?
                    .0,
            );
        }
        let mut state = LogState::load(rows, log)?;
        state.open = state.open.map(|open| Checkpoint { built: built.upto, ..open });
        state.save(rows, log)?;
        if built.is_done {
            let (key, closing) = (self.writing_key(id)?, PartWriter::closing(built.begin));
            entries.push(
                self.append(
                    rows,
                    secrets,
                    id,
                    (Kind::CHECKPOINT_PART, Writer::Here),
                    &key,
                    &closing,
                    wall_ms,
                )?
                .0,
            );
        }
        Ok(Compacted { entries, more: true })
    }

    fn agree(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        (seen, generation): (&[Seen], u64),
        wall_ms: u64,
    ) -> Result<Compacted, EngineError> {
        let state = self.space(id)?;
        state.require_role(secrets.device.id(), Role::Guest)?;
        if state.membership.generation() != generation {
            // What counts may be something else by now: it's looked at again.
            return Ok(Compacted { more: true, ..Compacted::default() });
        }
        let key = self.writing_key(id)?;
        let entry =
            self.append(rows, secrets, id, (Kind::SEEN, Writer::Here), &key, &wire::encode(seen), wall_ms)?.0;
        let logs = rows.logs(self.space(id)?.key)?;
        for row in logs.iter().filter(|row| seen.iter().any(|seen| seen.log == row.id)) {
            let mut state = LogState::load(rows, row.key)?;
            state.said_at = entry.header.seq;
            state.save(rows, row.key)?;
        }
        Ok(Compacted { entries: vec![entry], more: true })
    }

    /// Puts the words of all into an entry: from now on the checkpoint is agreed to.
    fn close_checkpoint(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        last: Head,
        wall_ms: u64,
    ) -> Result<Compacted, EngineError> {
        let state = self.space(id)?;
        state.require_role(secrets.device.id(), Role::Member)?;
        let log = rows.ensure_log(state.key, state.own_log(secrets.device.id()))?;
        let open = LogState::load(rows, log)?.open.filter(|open| open.last == Some(last));
        let Some(begin) = open.map(|open| rows.entry(log, open.begin)).transpose()?.flatten() else {
            return Ok(Compacted::default());
        };
        let (begin, words) = (decode_stored(&begin)?, Collected::load(rows, log)?);
        // Otherwise the membership has changed since this was found out, and it's looked at again.
        let Some(body) = words.agreement(&begin, last, &state.membership) else {
            return Ok(Compacted::default());
        };
        let key = self.writing_key(id)?;
        let entry = self.append(rows, secrets, id, (Kind::AGREED, Writer::Here), &key, &body, wall_ms)?.0;
        Ok(Compacted { entries: vec![entry], more: true })
    }

    fn drop_up_to_base(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        log: LogId,
    ) -> Result<Compacted, EngineError> {
        let logs = rows.logs(self.space(id)?.key)?;
        let Some(row) = logs.into_iter().find(|row| row.id == log) else {
            return Ok(Compacted::default());
        };
        let mut state = LogState::load(rows, row.key)?;
        if let Some(agreed) = state.agreed.filter(|_| state.is_due(row.head) && !state.has_left_overs()) {
            state.move_base(agreed, row.head.seq, false);
            tracing::debug!(space = %id, %log, base = state.base, "everybody has found a checkpoint true");
        }
        if !state.has_left_overs() {
            return Ok(Compacted::default());
        }
        self.rebase(rows, secrets, id, row, &mut state)?;
        let from = state.dropped + 1;
        let next = rows.drop_entries(row.key, from, state.base, DROPPED_AT_ONCE, DROPPED_BYTES)?;
        state.dropped = next.map_or(state.base, |next| (next - 1).min(state.base));
        state.save(rows, row.key)?;
        Ok(Compacted { more: true, ..Compacted::default() })
    }

    /// Takes in an entry that has to do with compaction: it's allowed, and its body is open.
    pub(crate) fn apply_compaction(
        &mut self,
        rows: &mut impl RowsMut,
        device: DeviceId,
        place: Place<'_>,
        plain: &[u8],
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &place.entry.header;
        if header.kind == Kind::SEEN {
            return self.note_seen(rows, device, place, plain, outcome);
        }
        let mut state = LogState::load(rows, place.log)?;
        if header.kind == Kind::AGREED {
            return self.note_agreed(rows, place, state, outcome);
        }
        let part = match header.kind {
            Kind::CHECKPOINT_PART => match Part::decode(plain) {
                Ok(part) => Some(part),
                Err(err) => {
                    outcome.refused.push((header.log, header.seq, err.to_string()));
                    return Ok(());
                }
            },
            _ => None,
        };
        let is_of_base = part.as_ref().is_some_and(|part| part.begin == state.base + 1 && state.base > 0);
        let verdict = self.space_mut(place.space)?.may_write(header.log, header.seq, &header.deps);
        match (verdict, part) {
            (Verdict::Unknown, _) => {
                Ok(rows.hold(place.log, header.seq, HoldReason::Past as u32, NEVER_AGREED)?)
            }
            (_, Some(part)) if is_of_base => self.apply_words(rows, place, &part, &mut state, outcome),
            // With another membership its author may.
            (Verdict::Refused, _) => {
                Ok(rows.hold(place.log, header.seq, HoldReason::Past as u32, NEVER_AGREED)?)
            }
            (Verdict::Allowed, part) => {
                state.note(place.entry, part.as_ref());
                Ok(state.save(rows, place.log)?)
            }
        }
    }

    /// Applies what the checkpoint says from which this log was taken in. Each word is judged as the entry that it stands
    /// for: what was written after the end of somebody's membership isn't taken in by the back door.
    fn apply_words(
        &mut self,
        rows: &mut impl RowsMut,
        place: Place<'_>,
        part: &Part<'_>,
        state: &mut LogState,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &place.entry.header;
        if state.base_end > 0 && header.seq > state.base_end {
            // It ended before: its author can't add to it.
            return Ok(());
        }
        let (log, space) = (header.log, self.space(place.space)?.key);
        let mut wait = false;
        for word in said_in(place.entry, part) {
            match self.space_mut(place.space)?.may_write(log, word.seq, &word.deps) {
                Verdict::Unknown => wait = true,
                // What comes later may make it count, as it may an entry.
                Verdict::Refused => {
                    self.space_mut(place.space)?.suspects.insert(log.device);
                }
                Verdict::Allowed => {
                    let stamp = Stamp { hlc: word.hlc, device: log.device };
                    if let Err(err) = self.apply_word(rows, space, (stamp, log, word.seq), &word.body)? {
                        outcome.refused.push((log, header.seq, err));
                    }
                }
            }
        }
        if wait {
            return Ok(rows.hold(place.log, header.seq, HoldReason::Past as u32, NEVER_AGREED)?);
        }
        if part.is_last {
            state.base_end = header.seq;
            state.save(rows, place.log)?;
        }
        Ok(())
    }

    /// Applies one word of a checkpoint; what is wrong with it, if it can't be read.
    pub(crate) fn apply_word(
        &mut self,
        rows: &mut impl RowsMut,
        space: SpaceKey,
        said: (Stamp, LogId, u64),
        body: &[u8],
    ) -> Result<Result<(), String>, EngineError> {
        match apply::apply(rows, space, &mut self.devices, said, body, Writer::Elsewhere) {
            Ok(_) => Ok(Ok(())),
            Err(ApplyError::Store(err)) => Err(err.into()),
            Err(err) => Ok(Err(err.to_string())),
        }
    }

    /// Takes in that everybody agreed to a checkpoint of this log. Nothing but the words in it decides, so that all come to
    /// the same: not whether its author may still write.
    fn note_agreed(
        &mut self,
        rows: &mut impl RowsMut,
        place: Place<'_>,
        mut state: LogState,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &place.entry.header;
        if self.keeps_whole_logs {
            return Ok(());
        }
        let claim = match Claim::read(place.entry) {
            Ok(claim) => claim,
            Err(why) => {
                outcome.refused.push((header.log, header.seq, why));
                return Ok(());
            }
        };
        let space = self.space(place.space)?;
        if claim.holds(&space.membership, space.is_one_up_to(&header.log, header.seq)) != Some(true) {
            // With another membership it may.
            return Ok(rows.hold(place.log, header.seq, HoldReason::Past as u32, NEVER_AGREED)?);
        }
        state.agree(claim.agreement);
        Ok(state.save(rows, place.log)?)
    }

    /// Notes which checkpoints the author of an entry has found true.
    fn note_seen(
        &mut self,
        rows: &mut impl RowsMut,
        device: DeviceId,
        place: Place<'_>,
        plain: &[u8],
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &place.entry.header;
        let seen = match read_seen(plain) {
            Ok(seen) => seen,
            Err(err) => {
                outcome.refused.push((header.log, header.seq, err));
                return Ok(());
            }
        };
        let author = header.log.device;
        let logs = rows.logs(self.space(place.space)?.key)?;
        for Seen { log, begin, last } in seen {
            // What is said of a log that isn't here matters to nobody here: its author has it.
            let Some(row) = logs.iter().find(|row| row.id == log) else { continue };
            let mut state = LogState::load(rows, row.key)?;
            state.seen.retain(|(device, _)| *device != author);
            state.seen.push((author, last));
            state.save(rows, row.key)?;
            let open = state.open.filter(|open| open.last == Some(last) && open.begin == begin.seq);
            if log.device == device && open.is_some() && rows.hash_at(row.key, begin.seq)? == Some(begin.hash)
            {
                Collected::load(rows, row.key)?.keep(rows, row.key, place.entry)?;
            }
        }
        Ok(())
    }
}

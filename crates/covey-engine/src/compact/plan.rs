//! What is to be done about a space's logs, found out on a snapshot while others write.
//!
//! Reading a log through takes long; writing the little that comes of it doesn't. So a [`Planner`] is taken from the engine,
//! which is a copy of what it needs to know, looks at a snapshot for as long as it takes, and hands back a [`Step`] that
//! [`Engine::compact`](crate::Engine::compact) carries out, if it still holds, in one small transaction.

use std::collections::{BTreeMap, BTreeSet};

use covey_log::{Entry, Kind};
use covey_records::{Part, PartWriter, Stamp, Word};
use covey_space::{KeyRing, Membership, Role};
use covey_store::{LogKey, LogRow, SpaceKey};
use covey_types::{DeviceId, EpochId, Head, LogId, SpaceId, limits::MAX_PLAIN_BODY_BYTES};

use super::{
    Checkpoint, LogState, Seen,
    agreement::Collected,
    compare::{Doubt, Records, compare, counts_as_membership, left_of},
    roll::{Heard, Roll},
    words::Words,
};
use crate::{
    Engine, EngineError, HoldReason, Rows,
    apply::{operations, stamped},
    ingest::NEVER_AGREED,
    load::decode_stored,
    prepare::open_body,
    rewrite,
};

/// A part of a checkpoint ends when it's this long: like a batch of sync.
pub(super) const PART_BYTES: usize = 256 << 10;

/// Words that are written in one transaction, bytes: it takes some milliseconds.
const STEP_BYTES: usize = 1 << 20;

/// How long a checkpoint that nobody can agree to any more stands before its author begins another one. Milliseconds: a day.
const BEGUN_AGAIN_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// Entries that are looked at to see how much of a log still counts.
const SAMPLES: u64 = 64;

/// Bytes of them, if they are long.
const SAMPLE_BYTES: usize = 2 << 20;

/// Operations of one entry, or words of one part, that are looked at about: a thousand records may have been written at once,
/// and each costs a look into the store.
const SAMPLED_OPERATIONS: usize = 16;

/// What an entry takes in the store beside its body: header, signature, hash and row.
const ENTRY_OVERHEAD_BYTES: usize = 300;

/// Checkpoints that are found true in one step.
pub(super) const AGREED_AT_ONCE: usize = 16;

/// When a log is worth compacting.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What could be dropped of it, at least, bytes.
    pub min_bytes: u64,
    /// What could be dropped of it, at least, in percent of what stays: what a checkpoint costs is that, once more.
    pub min_percent: u64,
}

impl Default for Limits {
    /// As much as one batch of sync: less isn't worth an entry of everybody. Half of what stays: so a store grows to less than
    /// three times what counts, with the checkpoint in force, the next one, and what is written meanwhile.
    fn default() -> Self {
        Self { min_bytes: 256 << 10, min_percent: 50 }
    }
}

/// Something to be done.
#[derive(Debug)]
pub enum Step {
    /// A checkpoint of the own log is due.
    Begin,
    /// The next words of the checkpoint that was begun.
    Build(Built),
    /// All have found the own checkpoint true that ends here, whose word is waited for.
    Close(Head),
    /// These checkpoints are true.
    Agree {
        /// Which.
        seen: Vec<Seen>,
        /// The state of membership under which that was found out.
        generation: u64,
    },
    /// This log is dropped up to its checkpoint, or what is left of that to be done.
    Drop(LogId),
    /// Nothing now, and what was learned on the way.
    Nothing(Learned),
}

/// Words of the own checkpoint.
#[derive(Debug)]
pub struct Built {
    pub(super) begin: u64,
    /// Bodies, and the epochs whose keys seal them.
    pub(super) parts: Vec<(EpochId, Vec<u8>)>,
    /// Up to which place they reach.
    pub(super) upto: u64,
    pub(super) is_done: bool,
}

/// What spares looking again before anything has changed. Kept in memory only.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    /// How far the own log reached when it was looked at last, and at which it's worth it again.
    next_look: u64,
    /// Checkpoints that could not be found true, by their last entry: why, and how many entries were here then.
    pub(super) doubts: BTreeMap<LogId, (Head, u64, String)>,
}

/// A copy of what it takes to look at a snapshot.
#[derive(Debug)]
pub struct Planner {
    id: SpaceId,
    space: SpaceKey,
    keys: KeyRing,
    device: DeviceId,
    own: LogId,
    has_key: bool,
    may_write: bool,
    /// Logs with two histories: nobody goes on with their checkpoints.
    frozen: BTreeSet<LogId>,
    roll: Roll,
    membership: Membership,
    generation: u64,
    learned: Learned,
    limits: Limits,
}

impl Engine {
    /// A copy of what it takes to see what is to be done about a space's logs.
    ///
    /// # Errors
    /// [`EngineError::NoSpace`].
    pub fn planner(&self, id: SpaceId, device: DeviceId, limits: Limits) -> Result<Planner, EngineError> {
        let state = self.space(id)?;
        let role = state.membership.role_of(device);
        Ok(Planner {
            id,
            space: state.key,
            keys: state.info.keys.clone(),
            device,
            own: state.own_log(device),
            has_key: state.current_key().is_some(),
            may_write: role >= Some(Role::Member) && state.current_key().is_some(),
            frozen: state.frozen.keys().copied().collect(),
            roll: Roll::of(state),
            membership: state.membership.clone(),
            generation: state.membership.generation(),
            learned: state.compaction.clone(),
            limits,
        })
    }
}

impl Planner {
    /// What is to be done next. `rows` is a snapshot that is no older than the planner.
    ///
    /// # Errors
    /// The backend's.
    pub fn next(mut self, rows: &(impl Rows + ?Sized), wall_ms: u64) -> Result<Step, EngineError> {
        let logs = rows.logs(self.space)?;
        let total: u64 = logs.iter().map(|log| log.head.seq).sum();
        let heard = Heard::load(rows, self.space, &logs, &self.roll, wall_ms)?;
        let mut seen = Vec::new();
        let own = logs.iter().find(|row| row.id == self.own).copied();
        let own_base = own.map(|own| LogState::load(rows, own.key)).transpose()?.map_or(0, |own| own.base);
        for row in &logs {
            let state = LogState::load(rows, row.key)?;
            let waits = row.id.device == self.device && rewrite::waits(rows, self.id, row.id)?;
            if !waits && (state.has_left_overs() || state.is_due(row.head)) {
                return Ok(Step::Drop(row.id));
            }
            if self.frozen.contains(&row.id) {
                continue;
            }
            let last = state.open.and_then(|open| open.last);
            let Some((open, last)) = state.open.zip(last) else { continue };
            let is_known =
                self.learned.doubts.get(&row.id).is_some_and(|known| (known.0, known.1) == (last, total));
            if state.is_agreed(self.device, row.id, own_base) || is_known || seen.len() >= AGREED_AT_ONCE {
                continue;
            }
            match self.check(rows, row, &state, open, last)? {
                Ok(begin) => seen.push(Seen { log: row.id, begin: begin.head(), last }),
                Err(doubt) => drop(self.learned.doubts.insert(row.id, (last, total, doubt.why))),
            }
        }
        if !seen.is_empty() && self.has_key && self.roll.has(self.device) {
            return Ok(Step::Agree { seen, generation: self.generation });
        }
        match own.filter(|_| self.may_write) {
            Some(own) => self.own_log(rows, own, total, &heard, wall_ms),
            None => Ok(Step::Nothing(self.learned)),
        }
    }

    /// What is to be done about the own log.
    fn own_log(
        mut self,
        rows: &(impl Rows + ?Sized),
        own: LogRow,
        total: u64,
        heard: &Heard<'_>,
        wall_ms: u64,
    ) -> Result<Step, EngineError> {
        let state = LogState::load(rows, own.key)?;
        if let Some((open, last)) = state.open.and_then(|open| Some((open, open.last?))) {
            return self.close(rows, own, (open, last), &state, total, heard, wall_ms);
        }
        match state.open {
            Some(open) => self.build(rows, own, &state, open).map(Step::Build),
            None if self.is_due(rows, own, &state)? => Ok(Step::Begin),
            None => Ok(Step::Nothing(self.learned)),
        }
    }

    /// What is to be done about the own checkpoint that is whole.
    #[expect(clippy::too_many_arguments, reason = "a step of looking at the own log, split off for reading")]
    fn close(
        mut self,
        rows: &(impl Rows + ?Sized),
        own: LogRow,
        (open, last): (Checkpoint, Head),
        state: &LogState,
        total: u64,
        heard: &Heard<'_>,
        wall_ms: u64,
    ) -> Result<Step, EngineError> {
        let Some(begin) = entry_at(rows, own.key, open.begin)? else {
            return Ok(Step::Nothing(self.learned));
        };
        // One costs as much as all that counts, and what makes it another may be had for nothing.
        let is_old = begin.header.hlc.wall_ms().saturating_add(BEGUN_AGAIN_AFTER_MS) <= wall_ms;
        // Others may limit somebody by now, or not any more: with a newer past they're asked, or left out.
        if self.limiters_since(&begin).is_none_or(|since| !since.is_empty()) {
            let is_newer = self.membership.deps_for(self.device) != begin.header.deps;
            return Ok(if is_newer && is_old { Step::Begin } else { Step::Nothing(self.learned) });
        }
        let seen = Seen { log: own.id, begin: begin.head(), last };
        let known = self.learned.doubts.get(&own.id).is_some_and(|known| (known.0, known.1) == (last, total));
        if known || !self.roll.is_ready(&Collected::load(rows, own.key)?, heard, &seen, wall_ms) {
            return Ok(Step::Nothing(self.learned));
        }
        match self.check(rows, &own, state, open, last)? {
            Ok(_) => Ok(Step::Close(last)),
            // What superseded something has fallen since: it's begun anew.
            Err(doubt) if doubt.is_wrong && is_old => Ok(Step::Begin),
            Err(doubt) => {
                self.learned.doubts.insert(own.id, (last, total, doubt.why));
                Ok(Step::Nothing(self.learned))
            }
        }
    }

    /// The devices that may limit somebody now and didn't by what the author of a checkpoint knew when it began, or the
    /// other way around. `None` if that can't be told.
    fn limiters_since(&self, begin: &Entry) -> Option<Vec<DeviceId>> {
        let then = self.membership.limiters_at(&begin.header.deps)?;
        let now = self.membership.limiters();
        Some(then.symmetric_difference(&now).copied().collect())
    }

    /// Whether enough of the own log was superseded, by a look at some of its entries.
    fn is_due(
        &mut self,
        rows: &(impl Rows + ?Sized),
        own: LogRow,
        state: &LogState,
    ) -> Result<bool, EngineError> {
        let places = own.head.seq - state.base;
        if own.head.seq < self.learned.next_look || self.waits_in(rows, own.key, own.head.seq)? {
            return Ok(false);
        }
        // Again when a quarter more is there: what a look costs is spread over what was written.
        self.learned.next_look = own.head.seq + 1 + places / 4;
        let (mut count, mut bytes, mut live) = (0u64, 0usize, 0usize);
        let step = (places / SAMPLES).max(1);
        let mut place = own.head.seq;
        let mut records = Records::new(self.space, rows)?;
        while place > state.base && bytes < SAMPLE_BYTES && count < 2 * SAMPLES {
            if let Some(stored) = rows.entry(own.key, place)? {
                let entry = decode_stored(&stored)?;
                let size = stored.size_bytes() + ENTRY_OVERHEAD_BYTES;
                // What compaction itself wrote, and membership, are no reason for it: it would feed on itself.
                if let Some((left, all)) = self.share(&entry, &mut records)? {
                    live += size * left / all;
                    bytes += size;
                }
                count += 1;
            }
            place = place.saturating_sub(step);
        }
        let whole = |part: usize| part as u64 / count.max(1) * places;
        let (bytes, live) = (whole(bytes), whole(live));
        let gain = bytes.saturating_sub(live);
        tracing::debug!(space = %self.id, places, bytes, live, "looked at how much of the own log still counts");
        Ok(gain >= self.limits.min_bytes.max(live.saturating_mul(self.limits.min_percent) / 100))
    }

    /// How many atoms of a sample of an entry still count, of how many; `None` if it says nothing about records.
    fn share<R: Rows + ?Sized>(
        &self,
        entry: &Entry,
        records: &mut Records<'_, R>,
    ) -> Result<Option<(usize, usize)>, EngineError> {
        let Some(Ok(plain)) = open_body(entry, &self.keys) else { return Ok(None) };
        let header = &entry.header;
        let stamp = Stamp { hlc: header.hlc, device: header.log.device };
        let (mut live, mut all) = (0, 0);
        let mut look = |body: &[u8], stamp| {
            let ops = operations(body).unwrap_or_default();
            let (first, step) = sampled(ops.len(), header.seq);
            for (op, stamp) in stamped(&ops, stamp).skip(first).step_by(step) {
                let record = records.of(op)?;
                let atoms = op.atoms();
                live += atoms.iter().filter(|atom| record.has(atom, stamp, header.log)).count();
                all += atoms.len();
            }
            Ok::<_, EngineError>(())
        };
        match header.kind {
            Kind::RECORDS => look(&plain, stamp)?,
            Kind::CHECKPOINT_PART => {
                let Ok(part) = Part::decode(&plain) else { return Ok(None) };
                let (first, step) = sampled(part.words().count(), header.seq);
                for word in part.words().skip(first).step_by(step) {
                    look(word.body, Stamp { hlc: word.hlc, ..stamp })?;
                }
            }
            _ => {}
        }
        Ok((all > 0).then_some((live, all)))
    }

    /// The next words of the own checkpoint.
    fn build(
        &self,
        rows: &(impl Rows + ?Sized),
        own: LogRow,
        state: &LogState,
        open: Checkpoint,
    ) -> Result<Built, EngineError> {
        let mut words = Words::of_log(rows, &self.keys, own.key, state, open.begin - 1);
        let mut records = Records::new(self.space, rows)?;
        let mut built = Built { begin: open.begin, parts: Vec::new(), upto: open.built, is_done: true };
        let mut part: Option<(EpochId, PartWriter)> = None;
        let mut size = 0;
        while let Some(said) = words.next()? {
            if said.seq <= open.built {
                continue;
            }
            if size >= STEP_BYTES && said.seq > built.upto {
                built.is_done = false;
                break;
            }
            built.upto = said.seq;
            for body in left_of(&said, own.id, &mut records)? {
                if let Some((epoch, full)) =
                    part.take_if(|(epoch, part)| *epoch != said.epoch || part.len() >= PART_BYTES)
                {
                    built.parts.push((epoch, full.finish()));
                }
                size += body.len();
                let (_, part) = part.get_or_insert_with(|| (said.epoch, PartWriter::new(open.begin)));
                part.push(&Word { seq: said.seq, hlc: said.hlc, deps: &said.deps, body: &body });
            }
        }
        if !words.sealed.is_empty() {
            return Err(EngineError::NoKey { space: self.id.to_string() });
        }
        built.parts.extend(part.map(|(epoch, part)| (epoch, part.finish())));
        if built.parts.iter().any(|(_, part)| part.len() > MAX_PLAIN_BODY_BYTES) {
            return Err(EngineError::Internal("an operation is too long for a checkpoint".into()));
        }
        Ok(built)
    }

    /// Compares a checkpoint with the entries that it stands for.
    fn check(
        &self,
        rows: &(impl Rows + ?Sized),
        row: &LogRow,
        state: &LogState,
        open: Checkpoint,
        last: Head,
    ) -> Result<Result<Entry, Doubt>, EngineError> {
        let log = row.key;
        let begin = match self.check_past(rows, row, open)? {
            Ok(begin) => begin,
            Err(doubt) => return Ok(Err(doubt)),
        };
        if self.waits_in(rows, log, last.seq)? {
            return Ok(Err(Doubt::blocked("entries before it are kept and not applied here".into())));
        }
        let mut said = Words::of_log(rows, &self.keys, log, state, open.begin - 1);
        let mut words = Words::of_checkpoint(rows, &self.keys, log, open.begin, last.seq);
        let mut records = Records::new(self.space, rows)?;
        let mut next = said.next()?;
        while let Some(first) = next {
            // What a former checkpoint left of one entry may stand in more than one word.
            let mut all = vec![first];
            next = said.next()?;
            while let Some(more) = next.take_if(|more| more.seq == all[0].seq) {
                all.push(more);
                next = said.next()?;
            }
            let mut kept = Vec::new();
            while words.peek()?.is_some_and(|word| word.seq <= all[0].seq) {
                kept.extend(words.next()?);
            }
            if let Err(doubt) = compare(&all, &kept, row.id, &mut records)? {
                return Ok(Err(doubt));
            }
        }
        if let Some(word) = words.next()? {
            return Ok(Err(Doubt::wrong(format!("it tells of place {}, where nothing was said", word.seq))));
        }
        if let Some(epoch) = words.sealed.iter().find(|epoch| !self.membership.has_epoch(**epoch)) {
            return Ok(Err(Doubt::wrong(format!(
                "a part of it is sealed under epoch {epoch}, which nobody began"
            ))));
        }
        let acts = counts_as_membership(rows, self.space, log, &said.membership)?;
        Ok(acts.map(|()| begin))
    }

    /// Looks at what the author of a checkpoint says to have known when it began; its first entry.
    fn check_past(
        &self,
        rows: &(impl Rows + ?Sized),
        row: &LogRow,
        open: Checkpoint,
    ) -> Result<Result<Entry, Doubt>, EngineError> {
        let Some(begin) = entry_at(rows, row.key, open.begin)? else {
            return Ok(Err(Doubt::blocked("its beginning is not here".into())));
        };
        let unnamed = self.membership.unnamed_acts(row.id, open.begin, &begin.header.deps);
        if unnamed.is_none_or(|unnamed| !unnamed.is_empty()) {
            let why = "its author names a past without what they have said themselves of the membership";
            return Ok(Err(Doubt::blocked(why.into())));
        }
        // Who gives their word for it says that nobody is missing whose word it takes.
        if self.limiters_since(&begin).is_none_or(|since| !since.is_empty()) {
            let why = "when it began its author knew of others who may put somebody out than there are now";
            return Ok(Err(Doubt::wrong(why.into())));
        }
        Ok(Ok(begin))
    }

    /// Whether entries of a log, up to a place, are kept and not applied, for another reason than that they can't be read.
    fn waits_in(&self, rows: &(impl Rows + ?Sized), log: LogKey, upto: u64) -> Result<bool, EngineError> {
        let waits = |held: &covey_store::HeldRow| {
            held.log == log
                && held.seq <= upto
                && held.reason != HoldReason::Key as u32
                && held.until_ms != NEVER_AGREED
        };
        Ok(rows.held(self.space)?.iter().any(waits))
    }
}

fn entry_at(rows: &(impl Rows + ?Sized), log: LogKey, seq: u64) -> Result<Option<Entry>, EngineError> {
    Ok(rows.entry(log, seq)?.map(|stored| decode_stored(&stored)).transpose()?)
}

/// Which of so many things are looked at: from which one on, and each how manieth. Not always the same ones.
fn sampled(count: usize, place: u64) -> (usize, usize) {
    let step = (count / SAMPLED_OPERATIONS).max(1);
    ((place % step as u64) as usize, step)
}

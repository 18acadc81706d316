//! Entries of others: stored in their logs, then applied, or held until that can be done.

use covey_log::{ChainError, Entry, Evidence, Header, Kind};
use covey_records::Stamp;
use covey_space::{MembershipError, MembershipOp, Role, Verdict, ops};
use covey_store::{HeldRow, LogKey, StoreError};
use covey_types::{DeviceId, SpaceId, limits::MAX_CLOCK_DRIFT_MS, wire};

use crate::{
    Engine, EngineError, HoldReason, Ingested, LookBack, MAX_MERGED_BYTES, Prepared, RowsMut, Secrets,
    apply::{self, ApplyError, Writer},
    clock,
    compact::LogState,
    forks::Part,
    load::{decode_stored, load_evidence},
    logs::{LogCursors, append},
    prepare::open_body,
};

/// Held until something happens, not until some time.
const NEVER: u64 = u64::MAX >> 1;

/// The same for a membership entry that waits for a key, which is told by it from data that does: of that there may be
/// as much as the space holds, and who is looking for the one doesn't want to read the other.
pub(crate) const NEVER_OPAQUE: u64 = NEVER - 1;

/// The same for a membership entry that names others which aren't in the graph yet.
pub(crate) const NEVER_PLACED: u64 = NEVER - 2;

/// The same for what has to do with checkpoints: it stands in nobody's way, since it says nothing itself.
pub(crate) const NEVER_AGREED: u64 = NEVER - 3;

/// Logs of authors of whom nothing is known yet that are kept in a space: as many as people may be taken in by others
/// while this device is away. A member who makes authors up gets no further than that, and those who are taken in
/// meanwhile are heard once they are known.
pub const MAX_UNKNOWN_LOGS: usize = 64;

/// An entry and where it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) space: SpaceId,
    pub(crate) log: LogKey,
    pub(crate) entry: &'a Entry,
}

impl Engine {
    /// Stores entries of others and applies what can be applied.
    ///
    /// # Errors
    /// The backend's. What is wrong with entries is told in [`Ingested`].
    #[expect(clippy::too_many_lines, reason = "one loop over all that may come of an entry")]
    pub fn ingest(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        prepared: Vec<Prepared>,
        wall_ms: u64,
    ) -> Result<Ingested, EngineError> {
        let mut outcome = Ingested::default();
        let mut logs = LogCursors::new(self.space(id)?.key);
        let heard = self.space(id)?.hears_unknown_authors();
        for Prepared { entry, plain } in prepared {
            let log = entry.header.log;
            if outcome.rejected.contains_key(&log) {
                continue;
            }
            if !self.is_welcome(rows, id, &entry, &mut logs)? {
                outcome.strangers.insert(log.device);
                outcome.rejected.insert(log, false);
                continue;
            }
            if !logs.has_room_for(rows, log)? {
                tracing::warn!(%log, "its device has more logs than it may have");
                outcome.rejected.insert(log, true);
                continue;
            }
            if self.space(id)?.is_frozen(log, entry.header.seq) {
                // Its sender hears of the proof; nothing of it is taken any more.
                continue;
            }
            let is_further = logs.is_further(rows, log)?;
            let cursor = logs.cursor(rows, log)?;
            if self.space(id)?.is_void_at(&log, entry.header.seq) {
                if entry.header.seq > cursor.head.seq {
                    self.keep_aside(rows, secrets, (id, cursor.key), &entry, &mut outcome)?;
                } else if rows.hash_at(cursor.key, entry.header.seq)? == Some(entry.hash) {
                    outcome.durable.insert(log, cursor.head);
                }
                continue;
            }
            let awaits = self.space(id)?.awaits(log, cursor.head.seq);
            if self.is_of_another_history(rows, (id, cursor), &entry, &mut outcome)?
                || self.give_way(rows, secrets, (id, cursor), &entry, wall_ms, &mut outcome)?
            {
                logs = LogCursors::new(self.space(id)?.key);
                continue;
            }
            match entry.follows(cursor.head, cursor.hlc) {
                Ok(()) => {}
                Err(ChainError::Known { seq }) => {
                    let here = rows.hash_at(cursor.key, seq)?;
                    if here.is_some_and(|here| here != entry.hash) {
                        tracing::warn!(%log, seq, "another entry stands here at this place: the log is forked");
                        outcome.rejected.insert(log, true);
                        self.came_back(rows, secrets, id, &entry, wall_ms, &mut outcome)?;
                        let part = Part { space: id, log: cursor.key, theirs: (&*entry).into() };
                        if self.prove(rows, secrets, part, wall_ms, &mut outcome)? {
                            logs = LogCursors::new(self.space(id)?.key);
                        }
                    } else if here.is_some() {
                        // What was dropped can't be compared: nothing is said of it.
                        outcome.durable.insert(log, cursor.head);
                    }
                    continue;
                }
                Err(ChainError::Gap { .. } | ChainError::Fork { .. })
                    if !self.keeps_whole_logs
                        && self.take_further_on(
                            rows,
                            secrets,
                            (id, cursor),
                            &entry,
                            plain.as_ref(),
                            wall_ms,
                            &mut outcome,
                        )? =>
                {
                    continue;
                }
                // It went ahead of its place, and comes again in it: the rest of its log isn't turned away for that.
                Err(ChainError::Gap { .. }) if entry.header.kind.is_membership() => continue,
                Err(err) => {
                    tracing::warn!(%log, %err, "an entry does not fit");
                    outcome.rejected.insert(log, matches!(err, ChainError::Fork { .. }));
                    self.came_back(rows, secrets, id, &entry, wall_ms, &mut outcome)?;
                    continue;
                }
            }
            self.came_back(rows, secrets, id, &entry, wall_ms, &mut outcome)?;
            match append(rows, cursor.key, &entry) {
                Err(StoreError::NotNext { .. }) => {
                    let part = Part { space: id, log: cursor.key, theirs: (&*entry).into() };
                    if self.prove(rows, secrets, part, wall_ms, &mut outcome)? {
                        tracing::warn!(%log, seq = entry.header.seq, "another entry is kept for this place: the log is forked");
                        outcome.rejected.insert(log, true);
                        logs = LogCursors::new(self.space(id)?.key);
                        continue;
                    }
                    // What lay there apart claims to come after something else than the log has: it follows nothing.
                    outcome.due.fold |= rows.forget_apart(cursor.key, entry.header.seq)?;
                    append(rows, cursor.key, &entry)?;
                }
                appended => appended?,
            }
            cursor.head = entry.head();
            cursor.hlc = entry.header.hlc;
            if is_further && log.device != secrets.device.id() {
                outcome.new_logs.insert(log);
            }
            let place = Place { space: id, log: cursor.key, entry: &entry };
            outcome.durable.insert(log, entry.head());
            self.take(rows, secrets, place, plain, wall_ms, &mut outcome)?;
            self.note_end(id, &entry, awaits, &mut outcome)?;
            outcome.stored.push(entry);
        }
        self.settle(rows, secrets, id, wall_ms, &mut outcome)?;
        self.keep_quiet_of_entered(rows, id, &mut outcome)?;
        self.devices.save(rows)?;
        // Logs that were turned away before are worth asking for again: their authors may be in what can't be read.
        outcome.membership_changed |= !heard && self.space(id)?.hears_unknown_authors();
        Ok(outcome)
    }

    /// Nothing is said to be here of logs whose checkpoint isn't whole.
    fn keep_quiet_of_entered(
        &self,
        rows: &impl RowsMut,
        id: SpaceId,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        if self.keeps_whole_logs || outcome.durable.is_empty() {
            return Ok(());
        }
        let key = self.space(id)?.key;
        for log in outcome.durable.keys().copied().collect::<Vec<_>>() {
            if let Some(row) = rows.log(key, log)?
                && LogState::load(rows, row.key)?.is_entered()
            {
                outcome.durable.remove(&log);
            }
        }
        Ok(())
    }

    /// Notes that a log has come to where its counting history ends; `awaits` is the place up to which it was waited for.
    fn note_end(
        &self,
        id: SpaceId,
        entry: &Entry,
        awaits: Option<u64>,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let (state, log, seq) = (self.space(id)?, entry.header.log, entry.header.seq);
        if state.ends.contains_key(&log) && state.is_void_at(&log, seq + 1) {
            // It has come to the fork, behind which it ends with a cut.
            outcome.due.ends.insert(log, true);
        }
        // It's the history that counts: what stands in it isn't void.
        outcome.due.fold |= awaits == Some(seq);
        Ok(())
    }

    /// An entry that isn't here came from others: if this device has signed it, its store is older than it should be.
    pub(crate) fn came_back(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        entry: &Entry,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let log = entry.header.log;
        if log.device != secrets.device.id() {
            return Ok(());
        }
        if outcome.rejected.get(&log) == Some(&true) {
            if self.own_log_forked(rows, id, log, entry.header.seq, wall_ms)? {
                outcome.came_back.insert(log, (LookBack::Forked, entry.header.seq));
            }
        } else if log == self.space(id)?.own_log(log.device) {
            self.begin_incarnation(rows, id)?;
            outcome.came_back.insert(log, (LookBack::Longer, entry.header.seq));
        }
        Ok(())
    }

    /// Whether an entry may be stored at all: its author is, or was, one of the space's devices, or it founds the space, or
    /// its author may be one of whom this device can't read yet.
    fn is_welcome(
        &mut self,
        rows: &impl RowsMut,
        id: SpaceId,
        entry: &Entry,
        logs: &mut LogCursors,
    ) -> Result<bool, EngineError> {
        let (log, membership) = (entry.header.log, &self.space(id)?.membership);
        if entry.space() != id {
            return Ok(false);
        }
        if entry.header.kind == Kind::FOUNDING || membership.may_have_log(&log) || logs.has(rows, log)? {
            return Ok(true);
        }
        // Whoever writes knows of the act that took them in: that must be missing here.
        if membership.knows_all(&entry.header.deps) || !self.has_opaque_acts(rows, id)? {
            return Ok(false);
        }
        let membership = &self.space(id)?.membership;
        Ok(logs.one_more_unknown(rows, MAX_UNKNOWN_LOGS, |log| membership.may_have_log(log))?)
    }

    /// Whether there are acts that can't be read for lack of a key. They may take in authors whose own logs hold it.
    fn has_opaque_acts(&mut self, rows: &impl RowsMut, id: SpaceId) -> Result<bool, EngineError> {
        let state = self.space_mut(id)?;
        if let Some(known) = state.opaque_acts {
            return Ok(known);
        }
        let is_opaque = |row: &HeldRow| row.reason == HoldReason::Key as u32 && row.until_ms == NEVER_OPAQUE;
        let found = rows.held(state.key)?.iter().any(is_opaque);
        state.opaque_acts = Some(found);
        Ok(found)
    }

    /// Applies a stored entry, or notes why that has to wait.
    pub(crate) fn take(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        place: Place<'_>,
        plain: Option<Result<Vec<u8>, String>>,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let Header { hlc, seq, log, .. } = place.entry.header;
        if let Err(err) = self.clock.observe(hlc, wall_ms) {
            outcome.from_the_future.insert(log.device, err.ahead_ms);
            let until = hlc.wall_ms().saturating_sub(MAX_CLOCK_DRIFT_MS);
            // Clocks have no say in who is in a space: a removal counts at once, whatever its author takes the time to be.
            if !place.entry.header.kind.is_membership() {
                return Ok(rows.hold(place.log, seq, HoldReason::Future as u32, until)?);
            }
            let space = self.space(place.space)?.key;
            clock::disbelieve(rows, space, (place.log, seq), until, wall_ms)?;
        }
        // The key may have come with an entry just before this one.
        let plain = match plain {
            None => {
                outcome.keys_came |= self.learn_to_open(rows, secrets, place)?;
                open_body(place.entry, &self.space(place.space)?.info.keys)
            }
            some => some,
        };
        match plain {
            None => self.hold_for_key(rows, place, outcome),
            Some(Err(reason)) => {
                outcome.refused.push((log, seq, reason));
                Ok(())
            }
            Some(Ok(plain)) => self.apply(rows, secrets, place, &plain, Writer::Elsewhere, outcome),
        }
    }

    fn hold_for_key(
        &mut self,
        rows: &mut impl RowsMut,
        place: Place<'_>,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &place.entry.header;
        let mut until = NEVER;
        if header.kind.is_membership() {
            until = NEVER_OPAQUE;
            outcome.acts_wait = true;
            self.space_mut(place.space)?.opaque_acts = Some(true);
        }
        Ok(rows.hold(place.log, header.seq, HoldReason::Key as u32, until)?)
    }

    /// A membership entry may itself give the key that it takes to open it.
    fn learn_to_open(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        place: Place<'_>,
    ) -> Result<bool, EngineError> {
        let header = &place.entry.header;
        let state = self.space_mut(place.space)?;
        if !header.kind.is_membership() || state.info.keys.key(header.epoch).is_some() {
            return Ok(false);
        }
        let offered = ops::offered_keys(&place.entry.body);
        let device = secrets.device.id();
        let learned =
            state.keys_to_learn().learn_one(place.space, device, &secrets.kem, header.epoch, &offered);
        if learned {
            self.harvest_keys(rows, secrets, place.space)?;
        }
        Ok(learned)
    }

    pub(crate) fn apply(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        place: Place<'_>,
        plain: &[u8],
        writer: Writer,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &place.entry.header;
        if !place.entry.is_understood() {
            return Ok(rows.hold(place.log, header.seq, HoldReason::Unknown as u32, NEVER)?);
        }
        if header.kind.is_membership() {
            return self.apply_membership(rows, secrets, place, plain, outcome);
        }
        if header.kind != Kind::RECORDS {
            return self.apply_compaction(rows, secrets.device.id(), place, plain, outcome);
        }
        let state = self.space_mut(place.space)?;
        match state.may_write(header.log, header.seq, &header.deps) {
            Verdict::Unknown => Ok(rows.hold(place.log, header.seq, HoldReason::Past as u32, NEVER)?),
            Verdict::Refused => {
                // What comes later may make it count, though nobody is limited any more in the end.
                state.suspects.insert(header.log.device);
                outcome.refused.push((
                    header.log,
                    header.seq,
                    "its author may not write in this space".into(),
                ));
                Ok(rows.hold(place.log, header.seq, HoldReason::Refused as u32, NEVER)?)
            }
            Verdict::Allowed => self.apply_records(rows, place, plain, writer, outcome),
        }
    }

    pub(crate) fn apply_records(
        &mut self,
        rows: &mut impl RowsMut,
        place: Place<'_>,
        plain: &[u8],
        writer: Writer,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &place.entry.header;
        let space = self.space(place.space)?.key;
        let said = (Stamp { hlc: header.hlc, device: header.log.device }, header.log, header.seq);
        match apply::apply(rows, space, &mut self.devices, said, plain, writer) {
            Ok(0) => Ok(()),
            Ok(_) => Ok(rows.hold(place.log, header.seq, HoldReason::PartlyUnknown as u32, NEVER)?),
            Err(ApplyError::Body(err)) => {
                outcome.refused.push((header.log, header.seq, err.to_string()));
                Ok(())
            }
            Err(ApplyError::Store(err)) => Err(err.into()),
            Err(ApplyError::TooLarge { len }) => {
                let what = "a record, merged with this change,";
                Err(EngineError::TooLarge { what, len, max: MAX_MERGED_BYTES })
            }
            Err(ApplyError::NotOwn { collection, id }) => {
                let tag = covey_records::own::tag(header.log.device);
                Err(EngineError::Invalid(format!(
                    "in {collection:?} a device writes only records whose ids begin with its own tag ({tag}. here), and {id:?} \
                     does not"
                )))
            }
        }
    }

    fn apply_membership(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        place: Place<'_>,
        plain: &[u8],
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &place.entry.header;
        if self.space(place.space)?.is_void_at(&header.log, header.seq) {
            return Ok(()); // it's in the graph as such
        }
        let acts = match ops::decode(plain) {
            Ok(acts) => acts,
            Err(err) => {
                outcome.refused.push((header.log, header.seq, err.to_string()));
                return Ok(());
            }
        };
        let state = self.space_mut(place.space)?;
        if let Some(reason) = state.is_not_as_told(&acts) {
            outcome.refused.push((header.log, header.seq, reason.into()));
            return Ok(());
        }
        let before = state.membership.generation();
        match state.membership.apply(place.entry, &acts) {
            Ok(()) => {}
            Err(MembershipError::MissingPast) => {
                outcome.acts_wait = true;
                return Ok(rows.hold(place.log, header.seq, HoldReason::Past as u32, NEVER_PLACED)?);
            }
            Err(err) => {
                outcome.refused.push((header.log, header.seq, err.to_string()));
                return Ok(());
            }
        }
        state.forget_verdict();
        rows.add_membership(state.key, place.entry.hash, place.log, header.seq)?;
        outcome.due.fold |= state.membership.builds_upon_void(&place.entry.hash);
        outcome.due.judge |= state.membership.generation() != before;
        outcome.membership_changed = true;
        outcome.joined.extend(acts.iter().flat_map(joined_by));
        let device = secrets.device.id();
        let learned = state.keys_to_learn().learn_from(place.space, device, &secrets.kem, &acts);
        self.take_notices(rows, secrets, place, &acts, outcome)?;
        let state = self.space(place.space)?;
        if learned.is_empty() {
            return Ok(());
        }
        outcome.keys_came = true;
        rows.set_space_info(state.key, &wire::encode(&state.info))?;
        if learned.iter().all(|epoch| acts.iter().any(|act| act.begins() == Some(*epoch))) {
            return Ok(());
        }
        self.harvest_keys(rows, secrets, place.space)
    }

    /// Takes in the keys that are sealed with those that just came: they may stand in entries that came before, and in ones
    /// without effect, under whose keys people may have written.
    pub(crate) fn harvest_keys(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
    ) -> Result<(), EngineError> {
        let state = self.space_mut(id)?;
        let evidence = load_evidence(rows, state.key, id)?;
        let bodies =
            evidence.iter().flat_map(Evidence::voids).map(|entry| Ok(ops::offered_keys(&entry.body)));
        let stored = rows.membership(state.key)?;
        let stored = stored.iter().map(|(_, stored)| Ok(ops::offered_keys(&decode_stored(stored)?.body)));
        let offered = stored.chain(bodies).collect::<Result<Vec<_>, StoreError>>()?;
        // Once: what is forgotten for it must not be found again for ever.
        let keys = state.keys_to_learn();
        keys.learn_all(id, secrets.device.id(), &secrets.kem, &offered);
        Ok(rows.set_space_info(state.key, &wire::encode(&state.info))?)
    }

    /// Draws the consequences of entries that were just applied: what waited for them, and what has to be judged again.
    pub(crate) fn settle(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        loop {
            let state = self.space(id)?;
            let opens_voids = outcome.keys_came && state.sealed_voids;
            if std::mem::take(&mut outcome.due.fold) || opens_voids || state.places_voids() {
                self.rebuild_graph(rows, secrets, id, outcome)?;
            }
            self.settle_ends(rows, secrets, id, wall_ms, outcome)?;
            self.look_at_cuts(rows, id, outcome)?;
            if std::mem::take(&mut outcome.acts_wait) {
                self.space_mut(id)?.keys_to_learn(); // Once: what is learned from here on must stay, or there'd be no end.
                outcome.keys_came |= self.learn_wanted(rows, secrets, id)?;
            }
            if outcome.membership_changed || outcome.keys_came {
                self.release_held(rows, secrets, id, HoldReason::Past, wall_ms, outcome)?;
            }
            if outcome.membership_changed {
                self.judge_agreements(rows, secrets, id, wall_ms, outcome)?;
            }
            // Of what was held each entry is let go once.
            if !outcome.due.fold && !self.space(id)?.places_voids() && self.ends_are_settled(id)? {
                break;
            }
        }
        // What was held may have put somebody out.
        self.look_at_cuts(rows, id, outcome)?;
        if outcome.due.judge {
            self.judge_again(rows, id, outcome)?;
            outcome.due.judge = false;
        }
        if outcome.membership_changed {
            self.leave_what_was_refused(rows, secrets, id)?;
            // A child that has proved to be one makes room for others.
            self.look_at_notices_again(rows, secrets, id, outcome)?;
        }
        let touched = std::mem::take(&mut outcome.touched);
        self.rebuild_all(rows, id, touched, outcome)
    }

    /// Begins another own log, if entries of this one don't count since they were written while this device was out, and it's back:
    /// they would stand in the way of each checkpoint, and one that was begun then is agreed to by nobody.
    fn leave_what_was_refused(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
    ) -> Result<(), EngineError> {
        let (state, device) = (self.space(id)?, secrets.device.id());
        if self.keeps_whole_logs
            || !state.suspects.contains(&device)
            || state.require_role(device, Role::Member).is_err()
        {
            return Ok(());
        }
        let own = state.own_log(device);
        let own = rows.logs(state.key)?.into_iter().find(|row| row.id == own);
        let is_refused = |row: &HeldRow| {
            own.is_some_and(|own| own.key == row.log) && row.reason == HoldReason::Refused as u32
        };
        let is_stuck = rows.held(state.key)?.iter().any(is_refused);
        if is_stuck { self.begin_incarnation(rows, id) } else { Ok(()) }
    }

    /// Tries held entries again: those that wait for membership, or those whose time has come.
    ///
    /// # Errors
    /// The backend's.
    pub fn release_held(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        reason: HoldReason,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        // What is opaque may not be so any more; or, looked at again, still be.
        self.space_mut(id)?.opaque_acts = None;
        // Each round that changes the membership may free more; there are at most as many as held entries.
        loop {
            // What changed the membership, or brought keys, may itself have been held, for another reason than those
            // that wait for it.
            let (past, keys) = (outcome.membership_changed, std::mem::take(&mut outcome.keys_came));
            let due = |row: &HeldRow| {
                row.reason == reason as u32 && (reason != HoldReason::Future || row.until_ms <= wall_ms)
                    || past && row.reason == HoldReason::Past as u32
                    || keys && row.reason == HoldReason::Key as u32
                    || reason == HoldReason::Unknown && row.reason == HoldReason::PartlyUnknown as u32
            };
            let held: Vec<_> = rows.held(self.space(id)?.key)?.into_iter().filter(due).collect();
            let mut round = Ingested::default();
            for row in &held {
                let Some(stored) = rows.entry(row.log, row.seq)? else { continue };
                let entry = decode_stored(&stored)?;
                rows.release(row.log, row.seq)?;
                let place = Place { space: id, log: row.log, entry: &entry };
                self.take(rows, secrets, place, None, wall_ms, &mut round)?;
            }
            outcome.refused.append(&mut round.refused);
            outcome.joined.append(&mut round.joined);
            round.entered.iter().for_each(|(child, is_new)| outcome.hears_of(*child, *is_new));
            outcome.touched.append(&mut round.touched);
            outcome.frozen.append(&mut round.frozen);
            outcome.forked.append(&mut round.forked);
            outcome.shortened.append(&mut round.shortened);
            outcome.came_back.append(&mut round.came_back);
            outcome.membership_changed |= round.membership_changed;
            outcome.due.judge |= round.due.judge;
            outcome.due.fold |= round.due.fold;
            // What could not be opened before may give what opens the rest.
            round.keys_came |= round.acts_wait && self.learn_wanted(rows, secrets, id)?;
            outcome.keys_came |= round.keys_came;
            if !round.membership_changed && !round.keys_came {
                return Ok(());
            }
        }
    }

    /// As [`Engine::release_held`], with everything that follows from it.
    ///
    /// # Errors
    /// The backend's.
    pub fn release(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        reason: HoldReason,
        wall_ms: u64,
    ) -> Result<Ingested, EngineError> {
        let mut outcome = Ingested::default();
        if reason == HoldReason::Key {
            self.harvest_keys(rows, secrets, id)?;
        }
        self.release_held(rows, secrets, id, reason, wall_ms, &mut outcome)?;
        if reason == HoldReason::Unknown {
            // At the start: spaces may be gone that were in the way.
            self.look_at_notices_again(rows, secrets, id, &mut outcome)?;
        }
        self.settle(rows, secrets, id, wall_ms, &mut outcome)?;
        self.devices.save(rows)?;
        Ok(outcome)
    }
}

fn joined_by(act: &MembershipOp) -> Vec<(DeviceId, String)> {
    match act {
        MembershipOp::AddMember(add) => {
            add.devices.iter().map(|device| (device.cert.device, add.user_name.clone())).collect()
        }
        _ => Vec::new(),
    }
}

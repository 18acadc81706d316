//! Entries of others: stored in their logs, then applied, or held until that can be done.

use covey_log::{ChainError, Entry, Header, Kind};
use covey_space::{MembershipError, MembershipOp, Verdict, ops};
use covey_store::{HeldRow, LogKey};
use covey_types::{DeviceId, SpaceId, limits::MAX_CLOCK_DRIFT_MS, wire};

use crate::{
    Engine, EngineError, HoldReason, Ingested, LookBack, MAX_MERGED_BYTES, Prepared, RowsMut, Secrets,
    apply::{self, ApplyError, Writer},
    load::decode_stored,
    logs::{LogCursors, append},
    prepare::open_body,
};

/// Held until something happens, not until some time.
const NEVER: u64 = u64::MAX >> 1;

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
    pub fn ingest(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        prepared: Vec<Prepared>,
        wall_ms: u64,
    ) -> Result<Ingested, EngineError> {
        let mut outcome = Ingested::default();
        let mut logs = LogCursors::load(rows, self.space(id)?.key)?;
        for Prepared { entry, plain } in prepared {
            let log = entry.header.log;
            if outcome.rejected.contains_key(&log) {
                continue;
            }
            if !self.is_welcome(id, &entry)? {
                outcome.rejected.insert(log, false);
                continue;
            }
            if !logs.has_room_for(log) {
                tracing::warn!(%log, "its device has more logs than it may have");
                outcome.rejected.insert(log, true);
                continue;
            }
            let cursor = logs.cursor(rows, log)?;
            match entry.follows(cursor.head, cursor.hlc) {
                Ok(()) => {}
                Err(ChainError::Known { seq }) => {
                    if rows.hash_at(cursor.key, seq)?.is_some_and(|here| here != entry.hash) {
                        tracing::warn!(%log, seq, "another entry stands here at this place: the log is forked");
                        outcome.rejected.insert(log, true);
                        self.came_back(rows, secrets, id, &entry, wall_ms, &mut outcome)?;
                    } else {
                        outcome.durable.insert(log, cursor.head);
                    }
                    continue;
                }
                Err(err) => {
                    tracing::warn!(%log, %err, "an entry does not fit");
                    outcome.rejected.insert(log, matches!(err, ChainError::Fork { .. }));
                    self.came_back(rows, secrets, id, &entry, wall_ms, &mut outcome)?;
                    continue;
                }
            }
            self.came_back(rows, secrets, id, &entry, wall_ms, &mut outcome)?;
            append(rows, cursor.key, &entry)?;
            cursor.head = entry.head();
            cursor.hlc = entry.header.hlc;
            let place = Place { space: id, log: cursor.key, entry: &entry };
            outcome.durable.insert(log, entry.head());
            self.take(rows, secrets, place, plain, wall_ms, &mut outcome)?;
            outcome.stored.push(entry);
        }
        self.settle(rows, secrets, id, wall_ms, &mut outcome)?;
        self.devices.save(rows)?;
        Ok(outcome)
    }

    /// An entry that isn't here came from others: if this device has signed it, its store is older than it should be.
    fn came_back(
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

    /// Whether an entry may be stored at all: its author is, or was, one of the space's devices, or it founds the space.
    fn is_welcome(&self, id: SpaceId, entry: &Entry) -> Result<bool, EngineError> {
        let state = self.space(id)?;
        Ok(entry.space() == id
            && (entry.header.kind == Kind::FOUNDING || state.membership.may_have_log(&entry.header.log)))
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
            return Ok(rows.hold(place.log, seq, HoldReason::Future as u32, until)?);
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
            None => Ok(rows.hold(place.log, seq, HoldReason::Key as u32, NEVER)?),
            Some(Err(reason)) => {
                outcome.refused.push((log, seq, reason));
                Ok(())
            }
            Some(Ok(plain)) => self.apply(rows, secrets, place, &plain, Writer::Elsewhere, outcome),
        }
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
        let learned = state.info.keys.learn_one(place.space, device, &secrets.kem, header.epoch, &offered);
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
        let state = self.space_mut(place.space)?;
        match state.may_write(header.log, header.seq, &header.deps) {
            Verdict::Unknown => Ok(rows.hold(place.log, header.seq, HoldReason::Past as u32, NEVER)?),
            Verdict::Refused => {
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
        match apply::apply(rows, space, &mut self.devices, header, plain, writer) {
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
        let acts = match ops::decode(plain) {
            Ok(acts) => acts,
            Err(err) => {
                outcome.refused.push((header.log, header.seq, err.to_string()));
                return Ok(());
            }
        };
        let state = self.space_mut(place.space)?;
        let before = state.membership.generation();
        match state.membership.apply(place.entry, &acts) {
            Ok(()) => {}
            Err(MembershipError::MissingPast) => {
                rows.hold(place.log, header.seq, HoldReason::Past as u32, NEVER)?;
                // What is missing may be here, and wait for a key that this entry gives.
                outcome.keys_came |= self.learn_wanted(rows, secrets, place.space, &acts)?;
                return Ok(());
            }
            Err(err) => {
                outcome.refused.push((header.log, header.seq, err.to_string()));
                return Ok(());
            }
        }
        state.forget_verdict();
        rows.add_membership(state.key, place.entry.hash, place.log, header.seq)?;
        outcome.to_judge |= state.membership.generation() != before;
        outcome.membership_changed = true;
        outcome.joined.extend(acts.iter().flat_map(joined_by));
        let device = secrets.device.id();
        let learned = state.info.keys.learn_from(place.space, device, &secrets.kem, &acts);
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

    /// Takes in keys of epochs for which entries are held.
    fn learn_wanted(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        acts: &[MembershipOp],
    ) -> Result<bool, EngineError> {
        let device = secrets.device.id();
        let is_ours = |act: &MembershipOp| act.sealed_keys().iter().any(|sealed| sealed.device == device);
        if !acts.iter().any(is_ours) {
            return Ok(false);
        }
        let state = self.space_mut(id)?;
        let mut learned = false;
        for row in rows.held(state.key)?.iter().filter(|row| row.reason == HoldReason::Key as u32) {
            let Some(stored) = rows.entry(row.log, row.seq)? else { continue };
            let epoch = decode_stored(&stored)?.header.epoch;
            if state.info.keys.key(epoch).is_none() {
                learned |= state.info.keys.learn_one(id, device, &secrets.kem, epoch, acts);
            }
        }
        if learned {
            self.harvest_keys(rows, secrets, id)?;
        }
        Ok(learned)
    }

    /// Takes in the keys that are sealed with those that just came: they may stand in entries that came before.
    pub(crate) fn harvest_keys(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
    ) -> Result<(), EngineError> {
        let state = self.space_mut(id)?;
        let entries = rows.membership(state.key)?;
        // Each round finds at least one epoch.
        loop {
            let mut found = false;
            for (_, stored) in &entries {
                let entry = decode_stored(stored)?;
                let offered = ops::offered_keys(&entry.body);
                let device = secrets.device.id();
                found |= !state.info.keys.learn_from(id, device, &secrets.kem, &offered).is_empty();
            }
            if !found {
                return Ok(rows.set_space_info(state.key, &wire::encode(&state.info))?);
            }
        }
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
        if outcome.membership_changed || outcome.keys_came {
            self.release_held(rows, secrets, id, HoldReason::Past, wall_ms, outcome)?;
        }
        if outcome.to_judge {
            self.judge_again(rows, id, outcome)?;
            outcome.to_judge = false;
        }
        Ok(())
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
            outcome.membership_changed |= round.membership_changed;
            outcome.to_judge |= round.to_judge;
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

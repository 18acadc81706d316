//! Storing entries of others, applying what can be applied, and holding what has to wait.

use std::{collections::BTreeMap, sync::Arc};

use covey_log::{Entry, Header, Kind};
use covey_space::{MembershipError, MembershipOp, Verdict, ops};
use covey_store::{LogKey, SpaceKey, StoreError, Tx};
use covey_types::{
    DeviceId, Head, Hlc, Incarnation, LogId, SpaceId,
    limits::{MAX_LOGS_PER_DEVICE, MAX_LOGS_PER_SPACE},
};

use super::{Engine, HoldReason, Prepared, append, decode_stored, open_body};
use crate::{
    NodeError,
    apply::{self, Writer},
};

/// What became of ingested entries.
#[derive(Debug, Default)]
pub(crate) struct Ingested {
    /// Entries that are new here.
    pub(crate) stored: Vec<Arc<Entry>>,
    /// How far the logs concerned reach now.
    pub(crate) durable: BTreeMap<LogId, Head>,
    /// Logs of which something did not fit, and whether that was a fork.
    pub(crate) rejected: BTreeMap<LogId, bool>,
    /// Whether anyone joined or changed.
    pub(crate) membership_changed: bool,
    /// Devices that joined, and their users' names.
    pub(crate) joined: Vec<(DeviceId, String)>,
    /// Entries from the future: who, and how far ahead.
    pub(crate) from_the_future: BTreeMap<DeviceId, u64>,
    /// Entries that are stored and will never be applied, and why.
    pub(crate) refused: Vec<(LogId, u64, String)>,
}

impl Ingested {
    /// Adds what became of further entries. The entries themselves were told of already.
    pub(crate) fn merge(&mut self, later: Self) {
        self.durable.extend(later.durable);
        self.rejected.extend(later.rejected);
        self.refused.extend(later.refused);
    }
}

impl Engine {
    /// Stores entries of others and applies what can be applied.
    pub(crate) fn ingest(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        prepared: Vec<Prepared>,
        wall_ms: u64,
    ) -> Result<Ingested, NodeError> {
        let mut outcome = Ingested::default();
        let mut logs = LogCursors::load(tx, self.space(id)?.key)?;
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
            let cursor = logs.cursor(tx, log)?;
            match entry.follows(cursor.head, cursor.hlc) {
                Ok(()) => {}
                Err(covey_log::ChainError::Known { seq }) => {
                    if tx.hash_at(cursor.key, seq)?.is_some_and(|here| here != entry.hash) {
                        tracing::warn!(%log, seq, "another entry stands here at this place: the log is forked");
                        outcome.rejected.insert(log, true);
                    } else {
                        outcome.durable.insert(log, cursor.head);
                    }
                    continue;
                }
                Err(err) => {
                    tracing::warn!(%log, %err, "an entry does not fit");
                    outcome.rejected.insert(log, matches!(err, covey_log::ChainError::Fork { .. }));
                    continue;
                }
            }
            append(tx, cursor.key, &entry)?;
            cursor.head = entry.head();
            cursor.hlc = entry.header.hlc;
            let key = cursor.key;
            outcome.durable.insert(log, entry.head());
            self.take(tx, id, key, &entry, plain, wall_ms, &mut outcome)?;
            outcome.stored.push(entry);
        }
        if outcome.membership_changed {
            self.release_held(tx, id, HoldReason::Past, wall_ms, &mut outcome)?;
        }
        self.devices.save(tx)?;
        Ok(outcome)
    }

    /// Whether an entry may be stored at all: its author is one of the space's devices, or it founds the space.
    fn is_welcome(&self, id: SpaceId, entry: &Entry) -> Result<bool, NodeError> {
        let state = self.space(id)?;
        Ok(entry.space() == id
            && (entry.header.kind == Kind::FOUNDING || state.membership.may_have_log(&entry.header.log)))
    }

    /// Applies a stored entry, or notes why that has to wait.
    #[expect(clippy::too_many_arguments, reason = "one step of ingesting, split off for reading")]
    fn take(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        log: LogKey,
        entry: &Entry,
        plain: Option<Result<Vec<u8>, String>>,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), NodeError> {
        let Header { hlc, seq, log: log_id, .. } = entry.header;
        if let Err(err) = self.clock.observe(hlc, wall_ms) {
            outcome.from_the_future.insert(log_id.device, err.ahead_ms);
            let until = hlc.wall_ms().saturating_sub(covey_types::limits::MAX_CLOCK_DRIFT_MS);
            return Ok(tx.hold(log, seq, HoldReason::Future as u32, until)?);
        }
        match plain {
            None => Ok(tx.hold(log, seq, HoldReason::Key as u32, u64::MAX >> 1)?),
            Some(Err(reason)) => {
                outcome.refused.push((log_id, seq, reason));
                Ok(())
            }
            Some(Ok(plain)) => self.apply(tx, id, log, entry, &plain, Writer::Elsewhere, outcome),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one step of ingesting, split off for reading")]
    pub(super) fn apply(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        log: LogKey,
        entry: &Entry,
        plain: &[u8],
        writer: Writer,
        outcome: &mut Ingested,
    ) -> Result<(), NodeError> {
        if !entry.is_understood() {
            return Ok(tx.hold(log, entry.header.seq, HoldReason::Unknown as u32, u64::MAX >> 1)?);
        }
        if entry.header.kind.is_membership() {
            return self.apply_membership(tx, id, log, entry, plain, outcome);
        }
        let header = &entry.header;
        let state = self.spaces.get_mut(&id).expect("entries are applied to spaces that are here");
        match state.may_write(header.log.device, &header.deps) {
            Verdict::Unknown => {
                return Ok(tx.hold(log, header.seq, HoldReason::Past as u32, u64::MAX >> 1)?);
            }
            Verdict::Refused => {
                outcome.refused.push((
                    header.log,
                    header.seq,
                    "its author may not write in this space".into(),
                ));
                return Ok(());
            }
            Verdict::Allowed => {}
        }
        let space = state.key;
        match apply::apply(tx, space, &mut self.devices, header, plain, writer) {
            Ok(0) => Ok(()),
            Ok(_) => Ok(tx.hold(log, header.seq, HoldReason::PartlyUnknown as u32, u64::MAX >> 1)?),
            Err(apply::ApplyError::Body(err)) => {
                outcome.refused.push((header.log, header.seq, err.to_string()));
                Ok(())
            }
            Err(apply::ApplyError::Store(err)) => Err(err.into()),
            Err(apply::ApplyError::TooLarge { len }) => {
                let what = "a record, merged with this change,";
                Err(NodeError::TooLarge { what, len, max: apply::MAX_MERGED_BYTES })
            }
        }
    }

    fn apply_membership(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        log: LogKey,
        entry: &Entry,
        plain: &[u8],
        outcome: &mut Ingested,
    ) -> Result<(), NodeError> {
        let state = self.spaces.get_mut(&id).expect("entries are applied to spaces that are here");
        let header = &entry.header;
        let acts = match ops::decode(plain) {
            Ok(acts) => acts,
            Err(err) => {
                outcome.refused.push((header.log, header.seq, err.to_string()));
                return Ok(());
            }
        };
        match state.membership.apply(entry, &acts) {
            Ok(()) => {
                tx.add_membership(state.key, entry.hash, log, header.seq)?;
                outcome.membership_changed = true;
                outcome.joined.extend(acts.iter().flat_map(joined_by));
            }
            Err(MembershipError::MissingPast) => {
                tx.hold(log, header.seq, HoldReason::Past as u32, u64::MAX >> 1)?;
            }
            Err(err) => outcome.refused.push((header.log, header.seq, err.to_string())),
        }
        Ok(())
    }

    /// Tries held entries again: those that wait for membership, or those whose time has come.
    pub(crate) fn release_held(
        &mut self,
        tx: &mut Tx<'_>,
        id: SpaceId,
        reason: HoldReason,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), NodeError> {
        // Each round that changes the membership may free more; there are at most as many as held entries.
        loop {
            // What changed the membership may itself have been held, for another reason than those that wait for it.
            let past_is_due = outcome.membership_changed;
            let due = |row: &covey_store::HeldRow| {
                row.reason == reason as u32 && (reason != HoldReason::Future || row.until_ms <= wall_ms)
                    || past_is_due && row.reason == HoldReason::Past as u32
                    || reason == HoldReason::Unknown && row.reason == HoldReason::PartlyUnknown as u32
            };
            let held: Vec<_> = tx.held(self.space(id)?.key)?.into_iter().filter(due).collect();
            let mut round = Ingested::default();
            for row in &held {
                let Some(stored) = tx.entry(row.log, row.seq)? else { continue };
                let entry = decode_stored(&stored)?;
                let plain = open_body(&entry, &self.space(id)?.info.keys);
                tx.release(row.log, row.seq)?;
                self.take(tx, id, row.log, &entry, plain, wall_ms, &mut round)?;
            }
            outcome.refused.append(&mut round.refused);
            outcome.joined.append(&mut round.joined);
            outcome.membership_changed |= round.membership_changed;
            if !round.membership_changed {
                return Ok(());
            }
        }
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

/// How far each log reaches, while a batch is ingested.
struct LogCursors {
    space: SpaceKey,
    logs: BTreeMap<LogId, LogCursor>,
}

struct LogCursor {
    key: LogKey,
    head: Head,
    hlc: Hlc,
}

impl LogCursors {
    fn load(tx: &Tx<'_>, space: SpaceKey) -> Result<Self, StoreError> {
        let rows = tx.logs(space)?.into_iter();
        let logs =
            rows.map(|row| (row.id, LogCursor { key: row.key, head: row.head, hlc: row.hlc })).collect();
        Ok(Self { space, logs })
    }

    /// Whether a log is here already, or may be begun.
    fn has_room_for(&self, log: LogId) -> bool {
        let of_device = |incarnation| LogId { device: log.device, incarnation };
        let all_of_device = of_device(Incarnation(u64::MIN))..=of_device(Incarnation(u64::MAX));
        self.logs.contains_key(&log)
            || self.logs.len() < MAX_LOGS_PER_SPACE
                && self.logs.range(all_of_device).count() < MAX_LOGS_PER_DEVICE
    }

    fn cursor(&mut self, tx: &mut Tx<'_>, log: LogId) -> Result<&mut LogCursor, StoreError> {
        if let std::collections::btree_map::Entry::Vacant(slot) = self.logs.entry(log) {
            let key = tx.ensure_log(self.space, log)?;
            slot.insert(LogCursor { key, head: Head::EMPTY, hlc: Hlc::default() });
        }
        Ok(self.logs.get_mut(&log).expect("it was put there"))
    }
}

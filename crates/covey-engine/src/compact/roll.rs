//! Whose word is waited for before a log is dropped.
//!
//! It's the author who waits, and not more is needed for the others to believe it than the words of those who may limit
//! somebody ([`covey_space::Membership::limiters_at`]).
//!
//! What a device may still say of the past is a *limit*: that somebody's entries count up to a place and no further. A
//! device that has found a checkpoint true has seen all that superseded what the checkpoint leaves out, so no limit of its
//! own cuts that off. So everybody is waited for who might say such a thing without having seen it.

use std::collections::BTreeMap;

use covey_space::Role;
use covey_store::{LogRow, SpaceKey};
use covey_types::{DeviceId, LogId, UserId};

use super::{ABSENT_AFTER_MS, LogState};
use crate::{EngineError, Rows, SpaceState, load::decode_stored};

/// Who is in a space, and who was.
#[derive(Debug, Clone)]
pub(super) struct Roll {
    members: BTreeMap<DeviceId, (UserId, Option<Role>)>,
    gone: Vec<DeviceId>,
}

/// When each device was heard of last.
#[derive(Debug)]
pub(super) struct Heard<'a> {
    logs: &'a [LogRow],
    /// For those without a log: when the membership changed last.
    otherwise_ms: u64,
}

impl<'a> Heard<'a> {
    pub(super) fn load(
        rows: &(impl Rows + ?Sized),
        space: SpaceKey,
        logs: &'a [LogRow],
        roll: &Roll,
    ) -> Result<Self, EngineError> {
        let has_log = |device: &DeviceId| logs.iter().any(|log| log.id.device == *device);
        let mut heard = Self { logs, otherwise_ms: 0 };
        if !roll.members.keys().chain(&roll.gone).all(has_log) {
            for (_, stored) in rows.membership(space)? {
                heard.otherwise_ms = heard.otherwise_ms.max(decode_stored(&stored)?.header.hlc.wall_ms());
            }
        }
        Ok(heard)
    }

    /// Milliseconds since 1970.
    pub(super) fn of(&self, device: DeviceId) -> u64 {
        let of = self.logs.iter().filter(|log| log.id.device == device);
        of.map(|log| log.hlc.wall_ms()).max().unwrap_or(self.otherwise_ms)
    }

    fn is_absent(&self, device: DeviceId, wall_ms: u64) -> bool {
        self.of(device).saturating_add(ABSENT_AFTER_MS) < wall_ms
    }
}

impl Roll {
    pub(super) fn of(state: &SpaceState) -> Self {
        let of = |(device, user)| (device, (user, state.membership.role_of(device)));
        Self {
            members: state.membership.devices().map(of).collect(),
            gone: state.membership.gone().collect(),
        }
    }

    pub(super) fn has(&self, device: DeviceId) -> bool {
        self.members.contains_key(&device)
    }

    /// The devices whose word is needed before a log of `author` is dropped: all that are in the space, but for those that
    /// wrote nothing for long and can't put anybody out; and those that were put out of late, who may have put others out
    /// at the same moment.
    pub(super) fn needed(&self, heard: &Heard<'_>, author: DeviceId, wall_ms: u64) -> Vec<DeviceId> {
        let mut devices_of: BTreeMap<UserId, u32> = BTreeMap::new();
        for (user, _) in self.members.values() {
            *devices_of.entry(*user).or_default() += 1;
        }
        let puts_out =
            |(user, role): &(UserId, Option<Role>)| *role >= Some(Role::Admin) || devices_of[user] > 1;
        let members = self.members.iter().filter(|(device, member)| {
            **device != author && (puts_out(member) || !heard.is_absent(**device, wall_ms))
        });
        let gone =
            self.gone.iter().filter(|device| **device != author && !heard.is_absent(**device, wall_ms));
        members.map(|(device, _)| device).chain(gone).copied().collect()
    }

    /// Whether everybody whose word is waited for has found the newest checkpoint of a log true.
    pub(super) fn is_ready(&self, state: &LogState, heard: &Heard<'_>, log: LogId, wall_ms: u64) -> bool {
        state.open.is_some_and(|open| open.last.is_some())
            && self.needed(heard, log.device, wall_ms).into_iter().all(|device| state.has_seen(device))
    }
}

/// A log that waits to be compacted, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which log.
    pub log: LogId,
    /// Devices that haven't found its checkpoint true yet, and when each was heard of last, milliseconds since 1970.
    pub devices: Vec<(DeviceId, u64)>,
    /// Why this device hasn't, if it's one of them.
    pub doubt: Option<String>,
}

impl SpaceState {
    /// The logs of which a checkpoint is complete, and whose word each waits for.
    ///
    /// # Errors
    /// The backend's.
    pub fn compaction_waits(
        &self,
        rows: &(impl Rows + ?Sized),
        wall_ms: u64,
    ) -> Result<Vec<Waiting>, EngineError> {
        let (logs, roll) = (rows.logs(self.key)?, Roll::of(self));
        let heard = Heard::load(rows, self.key, &logs, &roll)?;
        let mut waiting = Vec::new();
        for row in logs.iter().filter(|row| !self.frozen.contains_key(&row.id)) {
            let state = LogState::load(rows, row.key)?;
            if state.is_due(row.head) || state.has_left_overs() {
                waiting.push(Waiting { log: row.id, devices: Vec::new(), doubt: None });
            }
            let Some(last) = state.open.and_then(|open| open.last) else { continue };
            let lacks = roll.needed(&heard, row.id.device, wall_ms).into_iter();
            let lacks = lacks.filter(|device| !state.has_seen(*device));
            let doubt = self.compaction.doubts.get(&row.id).filter(|(of, ..)| *of == last);
            waiting.push(Waiting {
                log: row.id,
                devices: lacks.map(|device| (device, heard.of(device))).collect(),
                doubt: doubt.map(|(_, _, why)| why.clone()),
            });
        }
        Ok(waiting)
    }
}

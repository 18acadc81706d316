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
use covey_store::{LogRow, SpaceKey, StoreError};
use covey_types::{DeviceId, LogId, UserId, wire};

use super::{ABSENT_AFTER_MS, LogState, Seen, agreement::Collected};
use crate::{
    EngineError, Rows, RowsMut, SpaceState,
    load::{corrupt, decode_stored},
};

/// Devices of which it's noted since when they are gone: as many as ever are. Beyond that nobody is waited for.
const MAX_GONE: usize = 4096;

/// Longest stored list of them, bytes.
const MAX_GONE_BYTES: usize = MAX_GONE * 48;

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
    /// When it was noticed here that somebody had been put out: what they claim themselves may lie in the future.
    gone_ms: BTreeMap<DeviceId, u64>,
}

impl<'a> Heard<'a> {
    pub(super) fn load(
        rows: &(impl Rows + ?Sized),
        space: SpaceKey,
        logs: &'a [LogRow],
        roll: &Roll,
        wall_ms: u64,
    ) -> Result<Self, EngineError> {
        let has_log = |device: &DeviceId| logs.iter().any(|log| log.id.device == *device);
        let mut heard = Self { logs, otherwise_ms: 0, gone_ms: gone_since(rows, space)? };
        if !roll.members.keys().chain(&roll.gone).all(has_log) {
            for (_, stored) in rows.membership(space)? {
                // What is dated in the future says nothing of when it was written.
                let at = decode_stored(&stored)?.header.hlc;
                if !at.is_too_far_ahead(wall_ms) {
                    heard.otherwise_ms = heard.otherwise_ms.max(at.wall_ms());
                }
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

    /// Whether one who was put out may still have something to say of the time before.
    fn is_missed(&self, device: DeviceId, wall_ms: u64) -> bool {
        let Some(gone_ms) = self.gone_ms.get(&device) else { return self.gone_ms.len() < MAX_GONE };
        self.of(device).min(*gone_ms).saturating_add(ABSENT_AFTER_MS) >= wall_ms
    }
}

fn gone_since(rows: &(impl Rows + ?Sized), space: SpaceKey) -> Result<BTreeMap<DeviceId, u64>, StoreError> {
    let Some(bytes) = rows.meta(&format!("gone/{}", space.number()))? else { return Ok(BTreeMap::new()) };
    wire::decode("since when devices are gone", &bytes, MAX_GONE_BYTES)
        .map_err(|err| corrupt("read since when devices are gone", &err))
}

/// Notes who is gone, at this time, of whom it wasn't noted before.
pub(super) fn note_gone(
    rows: &mut (impl RowsMut + ?Sized),
    state: &SpaceState,
    wall_ms: u64,
) -> Result<(), StoreError> {
    let before = gone_since(rows, state.key)?;
    let since = |device| (device, before.get(&device).copied().unwrap_or(wall_ms));
    let now: BTreeMap<DeviceId, u64> = state.membership.gone().take(MAX_GONE).map(since).collect();
    if now == before {
        Ok(())
    } else {
        rows.set_meta(&format!("gone/{}", state.key.number()), &wire::encode(&now))
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
        let gone = self.gone.iter().filter(|device| **device != author && heard.is_missed(**device, wall_ms));
        members.map(|(device, _)| device).chain(gone).copied().collect()
    }

    /// Whether everybody whose word is waited for has said this of a checkpoint.
    pub(super) fn is_ready(&self, words: &Collected, heard: &Heard<'_>, seen: &Seen, wall_ms: u64) -> bool {
        self.needed(heard, seen.log.device, wall_ms).into_iter().all(|device| words.says(device, seen))
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
        let heard = Heard::load(rows, self.key, &logs, &roll, wall_ms)?;
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

//! One space in memory, and what the store keeps of it beside its logs.

use std::collections::BTreeSet;

use covey_log::EpochKey;
use covey_space::{KeyRing, Membership, Role, Verdict};
use covey_store::SpaceKey;
use covey_types::{DeviceId, EntryHash, Incarnation, LogId, SpaceId};
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// What the store keeps of a space beside its logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpaceInfo {
    /// Of this description.
    pub version: u8,
    /// The name as the founder or the inviter told it; the membership's once that is here.
    pub name: String,
    /// The keys.
    pub keys: KeyRing,
    /// Which of this device's logs is written now.
    pub incarnation: Incarnation,
    /// Who let this device in.
    pub inviter: Option<DeviceId>,
}

/// Why an entry is stored and not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// It names membership entries that aren't here.
    Past = 1,
    /// It claims to be from the future.
    Future = 2,
    /// Its epoch's key isn't here.
    Key = 3,
    /// It was written by a later version: kept, forwarded, and looked at again by the next version here.
    Unknown = 4,
    /// It is applied, but for operations that a later version wrote: looked at again like those.
    PartlyUnknown = 5,
    /// Its author may not write, or was put out before it. Judged again when the membership changes.
    Refused = 6,
}

impl HoldReason {
    /// Whether an entry that is held for this reason was applied.
    pub(crate) const fn is_applied(reason: u32) -> bool {
        reason == Self::PartlyUnknown as u32
    }
}

/// One space in memory.
#[derive(Debug)]
pub struct SpaceState {
    /// Its key in this store.
    pub key: SpaceKey,
    /// Which space.
    pub id: SpaceId,
    /// What the store keeps of it.
    pub info: SpaceInfo,
    /// Who is in it.
    pub membership: Membership,
    /// Devices whose entries may have been judged otherwise than they would be without what others did.
    pub(crate) suspects: BTreeSet<DeviceId>,
    /// Whether a peer's word about this device's own log was believed since the start.
    pub(crate) looked_back: bool,
    /// The last question to the membership and its answer: entries in a row ask the same one.
    verdict: Option<(LogId, Vec<EntryHash>, Verdict)>,
}

impl SpaceState {
    pub(crate) fn new(key: SpaceKey, id: SpaceId, info: SpaceInfo, membership: Membership) -> Self {
        let suspects = if membership.is_founded() { membership.suspects() } else { BTreeSet::new() };
        Self { key, id, info, membership, suspects, looked_back: false, verdict: None }
    }

    /// Its name, as far as known.
    pub fn name(&self) -> &str {
        self.membership.name().unwrap_or(&self.info.name)
    }

    /// The key under which to write; `None` if it isn't here.
    pub fn current_key(&self) -> Option<&EpochKey> {
        self.info.keys.key(self.membership.current_epoch()?)
    }

    pub(crate) fn may_write(&mut self, log: LogId, seq: u64, deps: &[EntryHash]) -> Verdict {
        // Somebody with limits on them may write up to a place and not further: no answer for the next entry.
        let is_plain = !self.suspects.contains(&log.device);
        if let Some((last, past, verdict)) = &self.verdict
            && is_plain
            && *last == log
            && past == deps
        {
            return *verdict;
        }
        #[cfg(feature = "planted")]
        if crate::planted::has(crate::planted::Defect::LosesCuts) && self.membership.knows_all(deps) {
            return Verdict::Allowed;
        }
        let verdict = self.membership.may_write(log, seq, deps);
        // "Unknown" may change with the next membership entry.
        let keep = is_plain && verdict != Verdict::Unknown;
        self.verdict = keep.then(|| (log, deps.to_vec(), verdict));
        verdict
    }

    pub(crate) fn forget_verdict(&mut self) {
        self.verdict = None;
    }

    pub(crate) fn own_log(&self, device: DeviceId) -> LogId {
        LogId { device, incarnation: self.info.incarnation }
    }

    /// Refuses unless the device's user has at least this role.
    ///
    /// # Errors
    /// [`EngineError::NotAllowed`], [`EngineError::PutOut`] or [`EngineError::NotReady`].
    pub fn require_role(&self, device: DeviceId, needed: Role) -> Result<(), EngineError> {
        let act = if needed >= Role::Admin { "inviting" } else { "writing" };
        let space = self.name().to_owned();
        match self.membership.role_of(device) {
            Some(role) if role >= needed => Ok(()),
            Some(role) => {
                Err(EngineError::NotAllowed { act, space, needed: needed.as_str(), role: role.to_string() })
            }
            None if self.membership.user_of(device).is_some() => Err(EngineError::PutOut { space }),
            None => Err(EngineError::NotReady { space }),
        }
    }
}

//! One space in memory, and what the store keeps of it beside its logs.

use std::collections::{BTreeMap, BTreeSet};

use covey_log::{EpochKey, ForkLine, Frozen};
use covey_space::{KeyRing, Membership, Role, Verdict};
use covey_store::{LogKey, SpaceKey};
use covey_types::{DeviceId, EntryHash, Head, Incarnation, LogId, SpaceId};
use serde::{Deserialize, Serialize};

use crate::{EngineError, compact::Learned};

/// What the store keeps of a space beside its logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "StoredInfo", into = "StoredInfo")]
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
    /// The space whose child this one was said to be when this device was let in.
    pub parent: Option<SpaceId>,
}

/// How this device came into a space, as it's stored.
#[derive(Serialize, Deserialize)]
enum Came {
    Founded,
    LetIn(DeviceId),
    /// By a notice in the parent.
    Told(DeviceId, SpaceId),
}

/// A description as it's stored.
#[derive(Serialize, Deserialize)]
struct StoredInfo {
    version: u8,
    name: String,
    keys: KeyRing,
    incarnation: Incarnation,
    came: Came,
}

impl From<SpaceInfo> for StoredInfo {
    fn from(info: SpaceInfo) -> Self {
        let SpaceInfo { version, name, keys, incarnation, inviter, parent } = info;
        let came = match (inviter, parent) {
            (None, _) => Came::Founded, // the founding entry is here from the start, and says whose child it is
            (Some(by), None) => Came::LetIn(by),
            (Some(by), Some(parent)) => Came::Told(by, parent),
        };
        Self { version, name, keys, incarnation, came }
    }
}

impl From<StoredInfo> for SpaceInfo {
    fn from(stored: StoredInfo) -> Self {
        let StoredInfo { version, name, keys, incarnation, came } = stored;
        let (inviter, parent) = match came {
            Came::Founded => (None, None),
            Came::LetIn(by) => (Some(by), None),
            Came::Told(by, parent) => (Some(by), Some(parent)),
        };
        Self { version, name, keys, incarnation, inviter, parent }
    }
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
    /// Membership entries that lie apart from the rest of their logs, and where; `None` if that has to be looked up.
    pub(crate) apart: Option<Vec<(EntryHash, LogKey, u64)>>,
    /// What was learned of the logs while seeing whether to compact them.
    pub(crate) compaction: Learned,
    /// Whether there are acts that can't be read for lack of a key; `None` if that has to be looked up.
    pub(crate) opaque_acts: Option<bool>,
    /// Logs that count up to some place only, since their authors wrote two histories.
    pub(crate) frozen: BTreeMap<LogId, ForkLine>,
    /// Those of them that count further than that: up to the cut with which their authors were put out. See `ends`.
    pub(crate) ends: BTreeMap<LogId, Head>,
    /// Whether there are void entries that could not be opened.
    pub(crate) sealed_voids: bool,
    /// What those void entries name that wait for some of it.
    pub(crate) unplaced_voids: Vec<Vec<EntryHash>>,
    /// The last question to the membership and its answer: entries in a row ask the same one.
    verdict: Option<(LogId, Vec<EntryHash>, Verdict)>,
}

impl SpaceState {
    /// How far the logs reach that a device which was put out has to have to know of it: see [`Membership::farewell`]. What
    /// counts of a forked log, though it's past the fork, stands in no log.
    pub fn farewell(&self, device: DeviceId) -> BTreeMap<LogId, u64> {
        let mut reach = self.membership.farewell(device);
        for (log, line) in &self.frozen {
            if let Some(seq) = reach.get_mut(log) {
                *seq = (*seq).min(line.from - 1);
            }
        }
        reach.retain(|_, seq| *seq > 0);
        reach
    }

    /// The key ring, with room for keys that are about to come.
    pub(crate) fn keys_to_learn(&mut self) -> &mut KeyRing {
        if self.membership.is_founded() {
            self.info.keys.make_room(|epoch| self.membership.has_epoch(epoch));
        }
        &mut self.info.keys
    }

    pub(crate) fn new(key: SpaceKey, id: SpaceId, info: SpaceInfo, membership: Membership) -> Self {
        let suspects = if membership.is_founded() { membership.suspects() } else { BTreeSet::new() };
        Self {
            key,
            id,
            info,
            membership,
            suspects,
            looked_back: false,
            apart: None,
            compaction: Learned::default(),
            opaque_acts: None,
            frozen: BTreeMap::new(),
            ends: BTreeMap::new(),
            sealed_voids: false,
            unplaced_voids: Vec::new(),
            verdict: None,
        }
    }

    /// Its name, as far as known.
    pub fn name(&self) -> &str {
        self.membership.name().unwrap_or(&self.info.name)
    }

    /// Whether a device was put out of the space, or has left it.
    pub fn is_out(&self, device: DeviceId) -> bool {
        self.membership.was_device(device) && !self.membership.has_device(device)
    }

    /// Whether acts are known to be here that can't be read for lack of a key: so entries of authors of whom nothing is known
    /// may be taken in.
    pub fn hears_unknown_authors(&self) -> bool {
        self.opaque_acts == Some(true)
    }

    /// The space that this one is a child of, as its founder says, or before that is here whoever let this device in.
    pub fn parent(&self) -> Option<SpaceId> {
        if self.membership.is_founded() { self.membership.parent() } else { self.info.parent }
    }

    /// The key under which to write; `None` if it isn't here.
    pub fn current_key(&self) -> Option<&EpochKey> {
        self.info.keys.key(self.membership.current_epoch()?)
    }

    /// Whether there's a key to write membership entries with: they are read by all members whatever the epoch, so an older
    /// one serves where the newest is missing.
    pub(crate) fn has_key_for_acts(&self) -> bool {
        self.current_key().or_else(|| self.info.keys.newest()).is_some()
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

    /// The logs whose authors wrote two histories, and how much of each counts.
    pub fn frozen(&self) -> impl Iterator<Item = Frozen> {
        let end = |line: &ForkLine| self.ends.get(&line.log).map_or(line.from - 1, |end| end.seq);
        self.frozen.values().map(move |line| Frozen { line: *line, end: end(line) })
    }

    /// Whether this place of a log doesn't count, whatever stands there.
    pub fn is_frozen(&self, log: LogId, seq: u64) -> bool {
        self.is_void_at(&log, seq) && self.ends.get(&log).is_none_or(|end| seq > end.seq)
    }

    /// Whether membership entries at this place of a log are void: it's past the fork, and what all agreed to.
    pub(crate) fn is_void_at(&self, log: &LogId, seq: u64) -> bool {
        self.frozen.get(log).is_some_and(|line| seq >= line.from)
    }

    /// Up to which place of a log, and no further than this one, all that its author is known to have said of the membership is of one
    /// history.
    pub(crate) fn is_one_up_to(&self, log: &LogId, head: u64) -> u64 {
        self.frozen.get(log).map_or(head, |line| head.min(line.parts.saturating_sub(1)))
    }

    /// If a log is forked, counts up to an agreement, and may still be of another history before that: the place of the
    /// agreement.
    pub(crate) fn awaits(&self, log: LogId, head: u64) -> Option<u64> {
        let line = self.frozen.get(&log)?;
        (line.parts < line.from && head + 1 < line.from).then_some(line.from - 1)
    }

    /// Whether all is here now that some void entry names which has no place in the graph yet.
    pub(crate) fn places_voids(&self) -> bool {
        self.unplaced_voids.iter().any(|deps| self.membership.knows_all(deps))
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

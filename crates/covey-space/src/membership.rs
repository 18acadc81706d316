//! The fold of membership entries into who is in a space.
//!
//! An act counts if its author was allowed to do it *in the entry's own past*: the entries reachable
//! through `deps`. What happened elsewhere at the same time plays no part in that, so the verdict on an
//! entry never changes and is the same on every replica. Where two admissible acts disagree, a fixed rule
//! decides: the higher role, and for names the act with the lower hash.

use std::collections::{BTreeMap, BTreeSet};

use covey_log::{Entry, Kind};
use covey_types::{DeviceId, EntryHash, LogId, SpaceId, UserId, limits::MAX_DEPS};

use crate::{
    AddMember, Device, Found, KemPublic, MembershipOp, Role,
    ops::{HistoryPolicy, MAX_ACTS},
};

/// A person in a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their devices in this space and what these are called.
    pub devices: BTreeMap<DeviceId, String>,
}

/// Whether a data entry may be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its author may write.
    Allowed,
    /// It names membership entries that aren't here yet: ask again when more of them are.
    Unknown,
    /// Its author may not write, and never could at that point of the graph.
    Refused,
}

/// A membership entry that can't be part of this space's graph. The entry is kept in its log, without effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// It founds another space, or founds this one wrongly.
    #[error("the entry does not found this space: {0}")]
    NotFounding(&'static str),
    /// Entries in its past are not here yet.
    #[error("the entry names membership entries that are not here yet")]
    MissingPast,
    /// Its author may not do this.
    #[error("{author} may not {act}")]
    NotAllowed {
        /// Who tried.
        author: DeviceId,
        /// What.
        act: &'static str,
    },
    /// A device in it isn't certified by its user.
    #[error("device {0} is not certified by its user")]
    BadCert(DeviceId),
    /// More than a space can hold.
    #[error("the entry adds more devices than a space may have")]
    TooMany,
}

/// One admissible reason for a user to be in the space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    by: EntryHash,
    role: Role,
}

#[derive(Debug, Clone, Default)]
struct Person {
    grants: BTreeSet<Grant>,
    /// The name, and the act that gave it: the one with the lowest hash stands.
    name: Option<(EntryHash, String)>,
}

/// What one act says of a device.
#[derive(Debug, Clone)]
struct Claim {
    user: UserId,
    kem: KemPublic,
    name: String,
}

/// Every act that added a device; where they disagree, the one with the lowest hash stands.
type Claims = BTreeMap<EntryHash, Claim>;

/// Who is in one space.
#[derive(Debug, Clone)]
pub struct Membership {
    space: SpaceId,
    name: Option<String>,
    history: HistoryPolicy,
    /// Every entry that was applied, and what it names as its past.
    graph: BTreeMap<EntryHash, Vec<EntryHash>>,
    frontier: BTreeSet<EntryHash>,
    people: BTreeMap<UserId, Person>,
    devices: BTreeMap<DeviceId, Claims>,
    unknown_ops: u64,
}

impl Membership {
    /// The membership of a space of which only the id is known.
    pub fn new(space: SpaceId) -> Self {
        Self {
            space,
            name: None,
            history: HistoryPolicy::Full,
            graph: BTreeMap::new(),
            frontier: BTreeSet::new(),
            people: BTreeMap::new(),
            devices: BTreeMap::new(),
            unknown_ops: 0,
        }
    }

    /// Whether all of `deps` were applied.
    pub fn knows_all(&self, deps: &[EntryHash]) -> bool {
        deps.iter().all(|dep| self.graph.contains_key(dep))
    }

    /// Applies one entry, whose signature and chain were checked and whose body says `ops`. An entry that was
    /// applied before changes nothing.
    ///
    /// # Errors
    /// [`MembershipError`]; nothing has changed then. [`MembershipError::MissingPast`] asks for another try
    /// later; the others are final.
    pub fn apply(&mut self, entry: &Entry, ops: &[MembershipOp]) -> Result<(), MembershipError> {
        if self.graph.contains_key(&entry.hash) {
            return Ok(());
        }
        let author = entry.header.log.device;
        if entry.header.kind == Kind::FOUNDING {
            let found = self.check_founding(entry, ops)?.clone();
            self.link(entry);
            self.name = Some(found.name.clone());
            self.history = found.history;
            self.grant(entry.hash, found.device.cert.user, &found.user_name, Role::Owner);
            self.add_device(entry.hash, &found.device);
            return Ok(());
        }
        if entry.header.deps.is_empty() || !self.knows_all(&entry.header.deps) {
            return Err(MembershipError::MissingPast);
        }
        let past = self.past(&entry.header.deps);
        // Whatever it says: an entry becomes part of everybody's graph, so only those may write one who may act.
        if self.role_within(author, &past) < Some(Role::Admin) {
            return Err(MembershipError::NotAllowed { author, act: "change the membership" });
        }
        for op in ops {
            self.check(author, &past, op)?;
        }
        self.link(entry);
        for op in ops {
            self.perform(entry.hash, op);
        }
        Ok(())
    }

    fn check_founding<'a>(
        &self,
        entry: &Entry,
        ops: &'a [MembershipOp],
    ) -> Result<&'a Found, MembershipError> {
        let [MembershipOp::Found(found)] = ops else {
            return Err(MembershipError::NotFounding("it says something else"));
        };
        if entry.space() != self.space {
            return Err(MembershipError::NotFounding("it founds another one"));
        }
        if found.device.cert.device != entry.header.log.device {
            return Err(MembershipError::NotFounding("its author is not the founder"));
        }
        if !found.device.cert.is_valid() {
            return Err(MembershipError::BadCert(found.device.cert.device));
        }
        Ok(found)
    }

    fn check(
        &self,
        author: DeviceId,
        past: &BTreeSet<EntryHash>,
        op: &MembershipOp,
    ) -> Result<(), MembershipError> {
        match op {
            MembershipOp::Found(_) => Err(MembershipError::NotFounding("only the first entry can")),
            MembershipOp::Unknown { .. } => Ok(()),
            MembershipOp::AddMember(add) => self.check_add(author, past, add),
        }
    }

    fn check_add(
        &self,
        author: DeviceId,
        past: &BTreeSet<EntryHash>,
        add: &AddMember,
    ) -> Result<(), MembershipError> {
        let role = self.role_within(author, past);
        if role < Some(Role::Admin) || Some(add.role) > role {
            return Err(MembershipError::NotAllowed { author, act: "add a member with this role" });
        }
        if add.devices.len() > MAX_ACTS {
            return Err(MembershipError::TooMany);
        }
        let foreign = |device: &&Device| device.cert.user != add.user || !device.cert.is_valid();
        match add.devices.iter().find(foreign) {
            Some(device) => Err(MembershipError::BadCert(device.cert.device)),
            None => Ok(()),
        }
    }

    fn perform(&mut self, by: EntryHash, op: &MembershipOp) {
        match op {
            MembershipOp::AddMember(add) => {
                self.grant(by, add.user, &add.user_name, add.role);
                add.devices.iter().for_each(|device| self.add_device(by, device));
            }
            MembershipOp::Unknown { .. } => self.unknown_ops += 1,
            MembershipOp::Found(_) => {}
        }
    }

    fn link(&mut self, entry: &Entry) {
        for dep in &entry.header.deps {
            self.frontier.remove(dep);
        }
        self.frontier.insert(entry.hash);
        self.graph.insert(entry.hash, entry.header.deps.clone());
    }

    fn grant(&mut self, by: EntryHash, user: UserId, name: &str, role: Role) {
        let person = self.people.entry(user).or_default();
        person.grants.insert(Grant { by, role });
        if person.name.as_ref().is_none_or(|(hash, _)| by < *hash) {
            person.name = Some((by, name.to_owned()));
        }
    }

    fn add_device(&mut self, by: EntryHash, device: &Device) {
        let cert = &device.cert;
        let claim = Claim { user: cert.user, kem: cert.kem, name: device.name.clone() };
        self.devices.entry(cert.device).or_default().insert(by, claim);
    }

    fn claim(&self, device: DeviceId) -> Option<&Claim> {
        self.devices.get(&device)?.values().next()
    }

    /// Everything reachable through `deps`.
    fn past(&self, deps: &[EntryHash]) -> BTreeSet<EntryHash> {
        let mut seen = BTreeSet::new();
        let mut open = deps.to_vec();
        while let Some(hash) = open.pop() {
            if seen.insert(hash) {
                open.extend(self.graph.get(&hash).into_iter().flatten());
            }
        }
        seen
    }

    /// The role of a device's user, counting only what happened within `past`.
    fn role_within(&self, device: DeviceId, past: &BTreeSet<EntryHash>) -> Option<Role> {
        let claims = self.devices.get(&device)?;
        let (_, claim) = claims.iter().find(|(by, _)| past.contains(by))?;
        let person = self.people.get(&claim.user)?;
        person.grants.iter().filter(|grant| past.contains(&grant.by)).map(|grant| grant.role).max()
    }

    /// Whether `author` may write data, as an entry that names `deps` as its past.
    pub fn may_write(&self, author: DeviceId, deps: &[EntryHash]) -> Verdict {
        if deps.is_empty() || !self.knows_all(deps) {
            return Verdict::Unknown;
        }
        match self.role_within(author, &self.past(deps)) {
            Some(role) if role >= Role::Member => Verdict::Allowed,
            _ => Verdict::Refused,
        }
    }

    /// The newest entries.
    pub fn frontier(&self) -> Vec<EntryHash> {
        self.frontier.iter().copied().collect()
    }

    /// What the next entry of a device names as its past: the newest entries, at most [`MAX_DEPS`] of them, and first
    /// those that know of the device's own role. More at a time are merged over several membership entries.
    pub fn deps_for(&self, device: DeviceId) -> Vec<EntryHash> {
        let mut heads = self.frontier();
        if heads.len() > MAX_DEPS {
            let role = self.role_of(device);
            heads.sort_by_cached_key(|head| (self.role_within(device, &self.past(&[*head])) != role, *head));
            heads.truncate(MAX_DEPS);
        }
        heads
    }

    /// The space's name, once its founding entry is here.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Who may read history.
    pub const fn history(&self) -> HistoryPolicy {
        self.history
    }

    /// Whether the founding entry is here.
    pub fn is_founded(&self) -> bool {
        self.name.is_some()
    }

    /// Acts that this build could not interpret: the space was written to by a newer version.
    pub const fn unknown_ops(&self) -> u64 {
        self.unknown_ops
    }

    /// Whether this device is one of a member.
    pub fn has_device(&self, device: DeviceId) -> bool {
        self.devices.contains_key(&device)
    }

    /// The role of a device's user.
    pub fn role_of(&self, device: DeviceId) -> Option<Role> {
        let user = self.user_of(device)?;
        self.people.get(&user)?.grants.iter().map(|grant| grant.role).max()
    }

    /// The user of a device.
    pub fn user_of(&self, device: DeviceId) -> Option<UserId> {
        self.claim(device).map(|claim| claim.user)
    }

    /// What a device is called.
    pub fn device_name(&self, device: DeviceId) -> Option<&str> {
        self.claim(device).map(|claim| claim.name.as_str())
    }

    /// To which key to seal for a device.
    pub fn kem_of(&self, device: DeviceId) -> Option<KemPublic> {
        self.claim(device).map(|claim| claim.kem)
    }

    /// All devices, with their users.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, UserId)> + '_ {
        self.devices.keys().filter_map(|device| Some((*device, self.user_of(*device)?)))
    }

    /// How many people are in the space.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody is known to be in the space: its founding entry isn't here yet.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Everybody in the space, by user id.
    pub fn members(&self) -> BTreeMap<UserId, Member> {
        let mut members: BTreeMap<UserId, Member> = BTreeMap::new();
        for (user, person) in &self.people {
            let role = person.grants.iter().map(|grant| grant.role).max().unwrap_or(Role::Guest);
            let name = person.name.as_ref().map(|(_, name)| name.clone()).unwrap_or_default();
            members.insert(*user, Member { name, role, devices: BTreeMap::new() });
        }
        for device in self.devices.keys() {
            let claim = self.claim(*device).expect("a device is known by at least one claim");
            if let Some(member) = members.get_mut(&claim.user) {
                member.devices.insert(*device, claim.name.clone());
            }
        }
        members
    }

    /// Whether entries of this log may be held at all: its author is a device of the space.
    pub fn may_have_log(&self, log: &LogId) -> bool {
        self.has_device(log.device)
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;

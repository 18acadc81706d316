//! What membership entries add up to: registers that causally later entries overwrite.
//!
//! Entries that don't know of each other may both write a register; then it holds both values, and a rule that
//! needs no order picks: out before in, what limits a role before what gives one, and for names the entry with the
//! lower hash. A removed device must not slip back in because somebody renamed it at the same moment.

use covey_types::{DeviceId, EntryHash, UserId};
use rpds::{RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::{
    KemPublic, Role,
    graph::{Graph, Vertex},
    ops::HistoryPolicy,
};

#[derive(Debug, Clone)]
struct Mark<T> {
    by: Vertex,
    hash: EntryHash,
    value: T,
}

/// A value and the entries that gave it: more than one only if they did not know of each other.
#[derive(Debug, Clone)]
pub(crate) struct Register<T>(Vec<Mark<T>>);

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Register<T> {
    fn set(&mut self, graph: &Graph, by: Vertex, value: T) {
        self.0.retain(|mark| mark.by != by && !graph.is_before(mark.by, by));
        self.0.push(Mark { by, hash: graph.hash(by), value });
    }

    fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|mark| &mark.value)
    }

    /// The value of the entry with the lowest hash.
    fn first(&self) -> Option<&Mark<T>> {
        self.0.iter().min_by_key(|mark| mark.hash)
    }
}

/// What an entry says of a user's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoleMark {
    /// They get it.
    Given(Role),
    /// They get no more than this; `None` is out of the space.
    Limited(Option<Role>),
}

/// A person.
#[derive(Debug, Clone, Default)]
struct Person {
    role: Register<RoleMark>,
    name: Register<String>,
    /// All that were ever in the space.
    devices: RedBlackTreeSetSync<DeviceId>,
}

/// A device.
#[derive(Debug, Clone, Default)]
struct DeviceState {
    identity: Register<(UserId, KemPublic)>,
    /// The entry that brought it in first: how much there was before, and which.
    since: Option<(u64, EntryHash)>,
    present: Register<bool>,
    name: Register<String>,
}

/// What one entry does to the state, once it was found to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The space is called so.
    SpaceName(String),
    /// Who may read history.
    History(HistoryPolicy),
    /// The user has this role, or is out.
    Role(UserId, RoleMark),
    /// The user is called so.
    UserName(UserId, String),
    /// The device is this user's and opens what is sealed to this key.
    Identity(DeviceId, UserId, KemPublic),
    /// The device is in the space, or out.
    Present(DeviceId, bool),
    /// The device is called so.
    DeviceName(DeviceId, String),
    /// The space is its founder's own.
    Personal,
}

/// Who is in the space, after some set of entries. Cloning shares what both have in common.
#[derive(Debug, Clone)]
pub(crate) struct State {
    name: Register<String>,
    history: Register<HistoryPolicy>,
    people: RedBlackTreeMapSync<UserId, Person>,
    devices: RedBlackTreeMapSync<DeviceId, DeviceState>,
    personal: bool,
}

impl State {
    /// Nobody is in the space.
    pub(crate) fn empty() -> Self {
        Self {
            name: Register::default(),
            history: Register::default(),
            people: RedBlackTreeMapSync::new_sync(),
            devices: RedBlackTreeMapSync::new_sync(),
            personal: false,
        }
    }

    /// Takes in what an entry does. Everything in its past must have been taken in before.
    pub(crate) fn apply(&mut self, graph: &Graph, by: Vertex, effects: &[Effect]) {
        for effect in effects {
            match effect.clone() {
                Effect::SpaceName(name) => self.name.set(graph, by, name),
                Effect::History(policy) => self.history.set(graph, by, policy),
                Effect::Role(user, role) => self.person(user, |person| person.role.set(graph, by, role)),
                Effect::UserName(user, name) => self.person(user, |person| person.name.set(graph, by, name)),
                Effect::Identity(device, user, kem) => {
                    let since = (graph.past(by).len(), graph.hash(by));
                    self.device(device, |state| {
                        state.identity.set(graph, by, (user, kem));
                        state.since = Some(state.since.map_or(since, |before| before.min(since)));
                    });
                    self.person(user, |person| person.devices.insert_mut(device));
                }
                Effect::Present(device, present) => {
                    self.device(device, |state| state.present.set(graph, by, present));
                }
                Effect::DeviceName(device, name) => {
                    self.device(device, |state| state.name.set(graph, by, name));
                }
                // Only the founding says so, and it stands.
                Effect::Personal => self.personal = true,
            }
        }
    }

    fn person(&mut self, user: UserId, change: impl FnOnce(&mut Person)) {
        let mut person = self.people.get(&user).cloned().unwrap_or_default();
        change(&mut person);
        self.people.insert_mut(user, person);
    }

    fn device(&mut self, device: DeviceId, change: impl FnOnce(&mut DeviceState)) {
        let mut state = self.devices.get(&device).cloned().unwrap_or_default();
        change(&mut state);
        self.devices.insert_mut(device, state);
    }

    /// Whether the space is its founder's own.
    pub(crate) const fn is_personal(&self) -> bool {
        self.personal
    }

    /// The space's name.
    pub(crate) fn space_name(&self) -> Option<&str> {
        self.name.first().map(|mark| mark.value.as_str())
    }

    /// Who may read history: where entries disagree, less.
    pub(crate) fn history(&self) -> HistoryPolicy {
        let strict = self.history.values().any(|policy| *policy == HistoryPolicy::FromJoining);
        if strict { HistoryPolicy::FromJoining } else { HistoryPolicy::Full }
    }

    /// A user's role; `None` if they aren't in the space.
    pub(crate) fn role(&self, user: UserId) -> Option<Role> {
        let marks = || self.people.get(&user).into_iter().flat_map(|person| person.role.values());
        let limits = marks().filter_map(|mark| match mark {
            RoleMark::Limited(role) => Some(*role),
            RoleMark::Given(_) => None,
        });
        let given = marks().filter_map(|mark| match mark {
            RoleMark::Given(role) => Some(*role),
            RoleMark::Limited(_) => None,
        });
        // `None` sorts before every role: whoever was put out by one entry is out.
        limits.min().unwrap_or_else(|| given.max())
    }

    /// What a user is called.
    pub(crate) fn user_name(&self, user: UserId) -> Option<&str> {
        self.people.get(&user)?.name.first().map(|mark| mark.value.as_str())
    }

    /// Whose device this is, or was; nobody's if it was taken in as two people's at the same moment.
    pub(crate) fn owner_of(&self, device: DeviceId) -> Option<UserId> {
        let mut users = self.devices.get(&device)?.identity.values().map(|(user, _)| *user);
        let user = users.next()?;
        users.all(|other| other == user).then_some(user)
    }

    /// To which key to seal for a device.
    pub(crate) fn kem(&self, device: DeviceId) -> Option<KemPublic> {
        self.devices.get(&device)?.identity.first().map(|mark| mark.value.1)
    }

    /// For how long a device has been in the space, in entries: what is lower has been in it for longer.
    pub(crate) fn since(&self, device: DeviceId) -> Option<(u64, EntryHash)> {
        self.devices.get(&device)?.since
    }

    /// Whether a device was taken in and not put out since; its user may have been.
    pub(crate) fn is_present(&self, device: DeviceId) -> bool {
        self.devices.get(&device).is_some_and(|state| state.present.values().all(|present| *present))
    }

    /// What a device is called.
    pub(crate) fn device_name(&self, device: DeviceId) -> Option<&str> {
        self.devices.get(&device)?.name.first().map(|mark| mark.value.as_str())
    }

    /// The role of a device that is in the space, and whose user is.
    pub(crate) fn role_of_device(&self, device: DeviceId) -> Option<Role> {
        if !self.is_present(device) {
            return None;
        }
        self.role(self.owner_of(device)?)
    }

    /// The entries by which a device is out: those that put it out, and those that put its user out. Of entries that knew
    /// of each other the first.
    pub(crate) fn removals_of(&self, graph: &Graph, device: DeviceId) -> Vec<Vertex> {
        let present = self.devices.get(&device).into_iter().flat_map(|state| &state.present.0);
        let role = self.owner_of(device).and_then(|user| self.people.get(&user));
        let role = role.into_iter().flat_map(|person| &person.role.0);
        let mut out: Vec<Vertex> = present.filter(|mark| !mark.value).map(|mark| mark.by).collect();
        out.extend(role.filter(|mark| mark.value == RoleMark::Limited(None)).map(|mark| mark.by));
        let later = |vertex: &Vertex| out.iter().any(|other| graph.is_before(*other, *vertex));
        let mut first: Vec<Vertex> = out.iter().copied().filter(|vertex| !later(vertex)).collect();
        first.dedup();
        first
    }

    /// Everybody in the space, with their roles.
    pub(crate) fn users(&self) -> impl Iterator<Item = (UserId, Role)> + '_ {
        self.people.keys().filter_map(|user| Some((*user, self.role(*user)?)))
    }

    /// The devices in the space, with their users and roles.
    pub(crate) fn devices(&self) -> impl Iterator<Item = (DeviceId, UserId, Role)> + '_ {
        self.devices
            .keys()
            .filter_map(|device| Some((*device, self.owner_of(*device)?, self.role_of_device(*device)?)))
    }

    /// All devices of a user that were ever in the space.
    pub(crate) fn devices_ever_of(&self, user: UserId) -> impl Iterator<Item = DeviceId> + '_ {
        self.people.get(&user).into_iter().flat_map(|person| person.devices.iter().copied())
    }
}

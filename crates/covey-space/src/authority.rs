//! Who may do what: judges the acts of one entry against the state in which its author wrote them.
//!
//! | act | who may |
//! |---|---|
//! | add a member | admins, up to their own role; not with further devices of somebody who is in |
//! | add a device | everybody their own |
//! | set a role | admins, for and up to their own role; everybody less for themself |
//! | remove a member | admins, up to their own role; everybody themself |
//! | remove a device | admins, of members up to their own role; everybody their own |
//! | rotate the key, rename the space | admins |
//! | share a key | members; guests with devices that are in |
//! | send a notice | members |
//! | rename a user | everybody themself |
//! | rename a device | admins; everybody their own |
//!
//! A personal space takes in no other member, and keeps its name and rules.
//!
//! A space never loses its last owner's last device: an act that would do so is refused.

use std::collections::{BTreeMap, BTreeSet};

use covey_types::{DeviceId, Head, LogId, UserId};

use crate::{
    AddMember, KemPublic, MembershipError, MembershipOp, Role, SealedKey,
    ops::{Cut, HistoryPolicy, MAX_ACTS, MAX_WRAPPED},
    state::{Effect, RoleMark, State},
};

/// A device that is taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewDevice {
    user: UserId,
    device: DeviceId,
    kem: KemPublic,
    name: String,
}

/// What is kept of an act to judge it again: everything but the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    AddMember { user: UserId, name: String, role: Role, devices: Vec<NewDevice> },
    AddDevice(NewDevice),
    SetRole { user: UserId, role: Role, cuts: BTreeMap<LogId, Head> },
    RemoveMember { user: UserId, cuts: BTreeMap<LogId, Head> },
    RemoveDevice { device: DeviceId, cuts: BTreeMap<LogId, Head> },
    Rotate { seals_backwards: bool },
    ShareKeys { to: BTreeSet<DeviceId> },
    RenameUser(String),
    RenameDevice(DeviceId, String),
    SetSpace { name: Option<String>, history: Option<HistoryPolicy> },
    Notice,
    Unknown,
}

/// Whom a limit holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    User(UserId),
    Device(DeviceId),
}

/// What an entry takes from somebody. Their entries past the cuts that don't know of it are judged by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) target: Target,
    /// The most they may do; `None` is nothing.
    pub(crate) ceiling: Option<Role>,
    /// How far their logs count as before.
    pub(crate) cuts: BTreeMap<LogId, Head>,
    /// The role of the one who sets it: whoever was given a higher one at the same moment isn't bound by it.
    pub(crate) rank: Role,
}

/// What an allowed entry comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) effects: Vec<Effect>,
    pub(crate) limits: Vec<Limit>,
}

impl Deed {
    /// What to keep of an act, once the certificates in it were found valid.
    pub(crate) fn of(op: &MembershipOp) -> Result<Self, MembershipError> {
        if op.sealed_keys().len() > MAX_ACTS {
            return Err(MembershipError::TooMany);
        }
        Ok(match op {
            MembershipOp::Found(_) => return Err(MembershipError::NotFounding("only the first entry can")),
            MembershipOp::AddMember(add) => Self::add_member(add)?,
            MembershipOp::AddDevice(add) => {
                let device = NewDevice::of(&add.device, add.device.cert.user)?;
                only_to(&add.keys, std::slice::from_ref(&device))?;
                Self::AddDevice(device)
            }
            MembershipOp::SetRole(set) => {
                Self::SetRole { user: set.user, role: set.role, cuts: cut_map(&set.cuts)? }
            }
            MembershipOp::RemoveMember(remove) => {
                Self::RemoveMember { user: remove.user, cuts: cut_map(&remove.cuts)? }
            }
            MembershipOp::RemoveDevice(remove) => {
                Self::RemoveDevice { device: remove.device, cuts: cut_map(&remove.cuts)? }
            }
            MembershipOp::Rotate(rotate) if rotate.previous.len() > MAX_WRAPPED => {
                return Err(MembershipError::TooMany);
            }
            MembershipOp::Rotate(rotate) => Self::Rotate { seals_backwards: !rotate.previous.is_empty() },
            MembershipOp::ShareKeys(keys) => {
                Self::ShareKeys { to: keys.iter().map(|key| key.device).collect() }
            }
            MembershipOp::RenameUser(name) => Self::RenameUser(name.clone()),
            MembershipOp::RenameDevice(device, name) => Self::RenameDevice(*device, name.clone()),
            MembershipOp::SetSpace(set) => Self::SetSpace { name: set.name.clone(), history: set.history },
            MembershipOp::Notice(notice) if !notice.is_sound() => return Err(MembershipError::TooMany),
            MembershipOp::Notice(_) => Self::Notice,
            MembershipOp::Unknown { .. } => Self::Unknown,
        })
    }

    fn add_member(add: &AddMember) -> Result<Self, MembershipError> {
        if add.devices.len() > MAX_ACTS {
            return Err(MembershipError::TooMany);
        }
        let devices: Vec<NewDevice> =
            add.devices.iter().map(|device| NewDevice::of(device, add.user)).collect::<Result<_, _>>()?;
        only_to(&add.keys, &devices)?;
        Ok(Self::AddMember { user: add.user, name: add.user_name.clone(), role: add.role, devices })
    }

    /// Whom the act is about, as far as two acts on them would get into each other's way.
    const fn subject(&self) -> Option<Target> {
        match self {
            Self::AddMember { user, .. } | Self::SetRole { user, .. } | Self::RemoveMember { user, .. } => {
                Some(Target::User(*user))
            }
            Self::AddDevice(new) => Some(Target::Device(new.device)),
            Self::RemoveDevice { device, .. } => Some(Target::Device(*device)),
            _ => None,
        }
    }

    const fn what(&self) -> &'static str {
        match self {
            Self::AddMember { .. } => "add a member with this role",
            Self::AddDevice(_) => "add this device",
            Self::SetRole { .. } => "give this member this role",
            Self::RemoveMember { .. } => "remove this member",
            Self::RemoveDevice { .. } => "remove this device",
            Self::Rotate { .. } => "rotate the space's key",
            Self::ShareKeys { .. } => "share the space's key",
            Self::RenameUser(_) => "take another name",
            Self::RenameDevice(..) => "rename this device",
            Self::SetSpace { .. } => "change the space's name or rules",
            Self::Notice => "send a notice",
            Self::Unknown => "change the membership",
        }
    }
}

impl NewDevice {
    fn of(device: &crate::Device, user: UserId) -> Result<Self, MembershipError> {
        let cert = &device.cert;
        if cert.user != user || !cert.is_valid() {
            return Err(MembershipError::BadCert(cert.device));
        }
        Ok(Self { user, device: cert.device, kem: cert.kem, name: device.name.clone() })
    }

    fn effects(&self) -> [Effect; 3] {
        let device = self.device;
        [
            Effect::Identity(device, self.user, self.kem),
            Effect::Present(device, true),
            Effect::DeviceName(device, self.name.clone()),
        ]
    }
}

/// Whoever adds devices seals keys to these and to no others: what was given to whom must be believed.
fn only_to(keys: &[SealedKey], devices: &[NewDevice]) -> Result<(), MembershipError> {
    match keys.iter().find(|key| devices.iter().all(|new| new.device != key.device)) {
        Some(key) => Err(MembershipError::ForeignKey(key.device)),
        None => Ok(()),
    }
}

fn cut_map(cuts: &[Cut]) -> Result<BTreeMap<LogId, Head>, MembershipError> {
    if cuts.len() > MAX_ACTS {
        return Err(MembershipError::TooMany);
    }
    Ok(cuts.iter().map(|cut| (cut.log, cut.head)).collect())
}

/// The founder's first entry.
pub(crate) fn founding(found: &crate::Found) -> Result<Outcome, MembershipError> {
    let user = found.device.cert.user;
    let device = NewDevice::of(&found.device, user)?;
    if found.personal && found.parent.is_some() {
        return Err(MembershipError::NotFounding("a personal space belongs to no other"));
    }
    let mut effects = vec![
        Effect::SpaceName(found.name.clone()),
        Effect::History(found.history),
        Effect::Role(user, RoleMark::Given(Role::Owner)),
        Effect::UserName(user, found.user_name.clone()),
    ];
    effects.extend(device.effects());
    effects.extend(found.personal.then_some(Effect::Personal));
    Ok(Outcome { effects, limits: Vec::new() })
}

/// Judges an entry's acts, all or none, against the state that its author knew. `ceiling` is the most that the author
/// may do, by what others did meanwhile.
pub(crate) fn judge(
    state: &State,
    author: DeviceId,
    ceiling: Option<Role>,
    deeds: &[Deed],
) -> Result<Outcome, MembershipError> {
    let role = state.role_of_device(author).min(ceiling);
    let (Some(role), Some(user)) = (role, state.owner_of(author)) else {
        return Err(MembershipError::NotAllowed { author, act: "change the membership" });
    };
    if deeds.is_empty() && role < Role::Member {
        return Err(MembershipError::NotAllowed { author, act: "write" });
    }
    let judge = Judge { state, author, user, role };
    let mut outcome = Outcome::default();
    deeds.iter().try_for_each(|deed| judge.deed(deed, &mut outcome))?;
    judge.together(deeds, &outcome)?;
    Ok(outcome)
}

struct Judge<'a> {
    state: &'a State,
    author: DeviceId,
    user: UserId,
    role: Role,
}

impl Judge<'_> {
    fn deed(&self, deed: &Deed, outcome: &mut Outcome) -> Result<(), MembershipError> {
        let allowed = match deed {
            Deed::AddMember { user, name, role, devices } => {
                self.add_member(*user, name, *role, devices, &mut outcome.effects)
            }
            Deed::AddDevice(device) => self.add_device(device, &mut outcome.effects),
            Deed::SetRole { user, role, cuts } => self.set_role(*user, *role, cuts, outcome),
            Deed::RemoveMember { user, cuts } => self.remove_member(*user, cuts, outcome),
            Deed::RemoveDevice { device, cuts } => self.remove_device(*device, cuts, outcome),
            // Where history is read from joining on, a new key must not lead to the old ones.
            Deed::Rotate { seals_backwards } => {
                self.role >= Role::Admin
                    && !(*seals_backwards && self.state.history() == HistoryPolicy::FromJoining)
            }
            Deed::RenameUser(name) => {
                outcome.effects.push(Effect::UserName(self.user, name.clone()));
                true
            }
            Deed::RenameDevice(device, name) => {
                outcome.effects.push(Effect::DeviceName(*device, name.clone()));
                self.may_act_for(self.state.owner_of(*device))
            }
            Deed::SetSpace { name, history } => {
                outcome.effects.extend(name.clone().map(Effect::SpaceName));
                outcome.effects.extend(history.map(Effect::History));
                self.role >= Role::Admin && !self.state.is_personal()
            }
            // Those who were limited since may be the only ones who have the key of an epoch whose beginning fell, and under
            // which others acted. With it they tell nobody anything who isn't meant to know.
            Deed::ShareKeys { to } => {
                let is_in = |device: &DeviceId| self.state.role_of_device(*device).is_some();
                self.role >= Role::Member || to.iter().all(is_in)
            }
            // An unknown act, whatever it is, becomes part of everybody's graph: only those may write it who write.
            Deed::Notice | Deed::Unknown => self.role >= Role::Member,
        };
        if allowed {
            Ok(())
        } else {
            Err(MembershipError::NotAllowed { author: self.author, act: deed.what() })
        }
    }

    /// What the acts of one entry may not be together. Each of two would find the other one still to come.
    fn together(&self, deeds: &[Deed], outcome: &Outcome) -> Result<(), MembershipError> {
        let refuse = |act| Err(MembershipError::NotAllowed { author: self.author, act });
        // Of an entry that takes something from somebody the taking may stand where nothing else of it would.
        let harmless = |deed: &Deed| matches!(deed, Deed::Rotate { .. });
        let gives = deeds.iter().filter(|deed| !harmless(deed)).count() > outcome.limits.len();
        if !outcome.limits.is_empty() && gives {
            return refuse("give and take in one entry");
        }
        if deeds.iter().filter(|deed| harmless(deed)).count() > 1 {
            return refuse("begin two epochs in one entry");
        }
        // Everybody tries to open what may be meant for them: an entry must not cost more than that.
        if deeds.iter().filter(|deed| matches!(deed, Deed::Notice)).count() > 1 {
            return refuse("send two notices in one entry");
        }
        let mut subjects = BTreeSet::new();
        if !deeds.iter().filter_map(Deed::subject).all(|subject| subjects.insert(subject)) {
            return refuse("do two things to one member in one entry");
        }
        // One at a time: then an owner is left, whatever the others do.
        let owners = outcome.limits.iter().filter(|limit| self.is_owner(limit.target)).count();
        if owners > 1 { refuse("put two owners out at once") } else { Ok(()) }
    }

    fn is_owner(&self, target: Target) -> bool {
        let role = match target {
            Target::User(user) => self.state.role(user),
            Target::Device(device) => self.state.role_of_device(device),
        };
        role == Some(Role::Owner)
    }

    /// Whether the author may change what is this user's: their own, or as an admin that of members up to their role.
    fn may_act_for(&self, user: Option<UserId>) -> bool {
        let Some(user) = user else { return false };
        user == self.user || (self.role >= Role::Admin && self.state.role(user) <= Some(self.role))
    }

    fn add_member(
        &self,
        user: UserId,
        name: &str,
        role: Role,
        devices: &[NewDevice],
        effects: &mut Vec<Effect>,
    ) -> bool {
        let before = self.state.role(user);
        let may = self.role >= Role::Admin && role <= self.role && self.may_act_for(Some(user));
        if !may || self.state.is_personal() || devices.iter().any(|device| self.is_taken(device)) {
            return false;
        }
        // Further devices of somebody who is in are theirs to add: who once had a device of theirs has what certifies
        // more of them, and must not come back by somebody else's code.
        if before.is_some() && user != self.user && devices.iter().any(|new| !self.is_present(new)) {
            return false;
        }
        if before.is_none() {
            // Back after a removal: with these devices, and none of those before.
            let left = self.state.devices_ever_of(user).filter(|device| self.state.is_present(*device));
            effects.extend(left.map(|device| Effect::Present(device, false)));
            effects.push(Effect::UserName(user, name.to_owned()));
        }
        if before < Some(role) {
            effects.push(Effect::Role(user, RoleMark::Given(role)));
        }
        effects.extend(devices.iter().flat_map(NewDevice::effects));
        true
    }

    fn add_device(&self, device: &NewDevice, effects: &mut Vec<Effect>) -> bool {
        effects.extend(device.effects());
        // Only a device of theirs that is in the space: a certificate alone proves little, for who was put out has what
        // makes more of them.
        device.user == self.user && !self.is_taken(device)
    }

    /// Whether this very device, with this key, is in the space already.
    fn is_present(&self, new: &NewDevice) -> bool {
        let state = self.state;
        state.is_present(new.device)
            && state.owner_of(new.device) == Some(new.user)
            && state.kem(new.device) == Some(new.kem)
    }

    /// Whether a device is known as somebody else's.
    fn is_taken(&self, new: &NewDevice) -> bool {
        self.state.owner_of(new.device).is_some_and(|user| user != new.user)
    }

    fn set_role(
        &self,
        user: UserId,
        role: Role,
        cuts: &BTreeMap<LogId, Head>,
        outcome: &mut Outcome,
    ) -> bool {
        let Some(before) = self.state.role(user) else { return false };
        let by_rank = self.role >= Role::Admin && before <= self.role && role <= self.role;
        let steps_down = user == self.user && role < before;
        let target = Target::User(user);
        if before == role || !(by_rank || steps_down) || !self.leaves_an_owner(target) {
            return false;
        }
        if role > before {
            outcome.effects.push(Effect::Role(user, RoleMark::Given(role)));
        } else {
            outcome.effects.push(Effect::Role(user, RoleMark::Limited(Some(role))));
            self.limit(target, Some(role), cuts, outcome);
        }
        true
    }

    fn remove_member(&self, user: UserId, cuts: &BTreeMap<LogId, Head>, outcome: &mut Outcome) -> bool {
        let target = Target::User(user);
        if self.state.role(user).is_none() {
            // Only to move the cuts: what counts of somebody who is out already is the owners' to say.
            let was_in = self.state.devices_ever_of(user).next().is_some();
            self.limit(target, None, cuts, outcome);
            return was_in && self.role == Role::Owner;
        }
        if !self.may_act_for(Some(user)) || !self.leaves_an_owner(target) {
            return false;
        }
        outcome.effects.push(Effect::Role(user, RoleMark::Limited(None)));
        let present = self.state.devices_ever_of(user).filter(|device| self.state.is_present(*device));
        outcome.effects.extend(present.map(|device| Effect::Present(device, false)));
        self.limit(target, None, cuts, outcome);
        true
    }

    fn remove_device(&self, device: DeviceId, cuts: &BTreeMap<LogId, Head>, outcome: &mut Outcome) -> bool {
        let target = Target::Device(device);
        let is_in = self.state.role_of_device(device).is_some();
        if !is_in || !self.may_act_for(self.state.owner_of(device)) || !self.leaves_an_owner(target) {
            return false;
        }
        outcome.effects.push(Effect::Present(device, false));
        self.limit(target, None, cuts, outcome);
        true
    }

    fn limit(
        &self,
        target: Target,
        ceiling: Option<Role>,
        cuts: &BTreeMap<LogId, Head>,
        outcome: &mut Outcome,
    ) {
        // Whoever limits themself is bound by it whatever they are given meanwhile.
        let own = target == Target::User(self.user) || target == Target::Device(self.author);
        let rank = if own { Role::Owner } else { self.role };
        outcome.limits.push(Limit { target, ceiling, cuts: cuts.clone(), rank });
    }

    /// Whether this isn't an owner, or an owner's device is left without it.
    fn leaves_an_owner(&self, target: Target) -> bool {
        !self.is_owner(target)
            || self.state.devices().any(|(device, user, role)| {
                role == Role::Owner && target != Target::User(user) && target != Target::Device(device)
            })
    }
}

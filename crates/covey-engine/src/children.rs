//! Child spaces: made, joined through the parent, and kept in step with it.
//!
//! A child is a space like any other, with its own log, keys and roles. Three things tie it to its parent:
//!
//! - Who is taken in must be in the parent, which knows their devices; they hear of it by a sealed [notice] in the
//!   parent's log. Nothing else of the child stands there.
//! - Nobody who isn't in the parent, as far as that is known here, is sent anything of the child or given a key of it:
//!   [`Engine::standing`].
//! - Whoever administers the child carries out what the parent decides: [`Engine::tend`] puts out whom the parent has put
//!   out, and takes in further devices of those who are in. What each replica of the child comes to follows from those
//!   acts alone.
//!
//! [notice]: covey_space::notice

use std::collections::{BTreeMap, BTreeSet};

use covey_space::{
    Child, Device, Expulsion, MembershipOp, Role, Standing,
    ops::{self, AddDevice, AddMember, HistoryPolicy},
};
use covey_types::{DeviceId, SpaceId, UserId};

use crate::{
    Chores, Engine, EngineError, Ingested, Rows, RowsMut, Secrets, SpaceState, acts::Acted, backend::AnyRows,
    load::load_all_acts,
};

/// Acts that one call carries out: one for each who was put out of the parent. What is left is done in the next turn.
const MAX_TENDED: usize = 64;

/// Acts in several spaces: entries to be passed on, and what followed from them here.
pub type Deeds = Vec<(SpaceId, Acted)>;

impl SpaceState {
    /// Why acts can't be those that found the space of which this device was told.
    pub(crate) fn is_not_as_told(&self, acts: &[MembershipOp]) -> Option<&'static str> {
        let told = self.info.parent?;
        let parent = acts.iter().find_map(|act| match act {
            MembershipOp::Found(found) => Some(found.parent),
            _ => None,
        })?;
        (parent != Some(told))
            .then_some("it founds a space that is no child of the one whose notice told of it")
    }
}

impl Engine {
    /// A child beside its parent; `None` for a space that is no child.
    fn beside<'a>(&'a self, state: &'a SpaceState) -> Option<Child<'a>> {
        let parent = self.spaces.get(&state.parent()?);
        Some(Child::new(&state.membership, parent.map(|parent| &parent.membership)))
    }

    /// What a device is to a space, and where that is a child to its parent too.
    pub fn standing(&self, id: SpaceId, device: DeviceId) -> Standing {
        let Ok(state) = self.space(id) else { return Standing::Unknown };
        match self.beside(state) {
            Some(child) => child.standing(device),
            None => Standing::of(&state.membership, device),
        }
    }

    /// The role of a device in a space; `None` if it isn't in it, or not in its parent.
    pub fn role_in(&self, id: SpaceId, device: DeviceId) -> Option<Role> {
        let role = self.space(id).ok()?.membership.role_of(device)?;
        (self.standing(id, device) == Standing::Member).then_some(role)
    }

    /// The children of a space that are here.
    pub fn children(&self, id: SpaceId) -> Vec<SpaceId> {
        self.spaces.values().filter(|state| state.parent() == Some(id)).map(|state| state.id).collect()
    }

    /// Devices of a child that get no key of it: they aren't in its parent as far as that is known here.
    pub(crate) fn outside(&self, id: SpaceId) -> BTreeSet<DeviceId> {
        let child = self.space(id).ok().and_then(|state| self.beside(state));
        child.map(|child| child.outside()).unwrap_or_default()
    }

    /// Refuses what a device that was put out of the parent wants to do in its child.
    pub(crate) fn require_inside(&self, id: SpaceId, device: DeviceId) -> Result<(), EngineError> {
        let space = self.space(id)?.name().to_owned();
        match self.standing(id, device) {
            Standing::Member => Ok(()),
            Standing::PutOut => Err(EngineError::PutOut { space }),
            Standing::Unknown => Err(EngineError::NotReady { space }),
        }
    }

    /// Refuses to take somebody into a child who isn't in its parent.
    pub(crate) fn require_in_parent(
        &self,
        state: &SpaceState,
        user: UserId,
        device: DeviceId,
    ) -> Result<(), EngineError> {
        let Some(parent) = state.parent() else { return Ok(()) };
        let parent = self.space(parent)?;
        if parent.membership.has_device(device) && parent.membership.user_of(device) == Some(user) {
            return Ok(());
        }
        let (space, parent) = (state.name().to_owned(), parent.name().to_owned());
        Err(EngineError::NotInParent { space, parent })
    }

    /// Whether nobody is left who administers a child: all who did are out of its parent.
    pub fn is_orphaned(&self, id: SpaceId) -> bool {
        let Ok(state) = self.space(id) else { return false };
        let mut devices = state.membership.devices().map(|(device, _)| self.role_in(id, device));
        // Of a parent that isn't here nothing is known.
        let is_known = state
            .parent()
            .is_some_and(|parent| self.space(parent).is_ok_and(|parent| parent.membership.is_founded()));
        is_known && state.membership.is_founded() && !devices.any(|role| role >= Some(Role::Admin))
    }

    /// What a space needs that a device may do: for its keys, and in a child by what its parent decided.
    pub fn chores(&self, id: SpaceId, device: DeviceId) -> Chores {
        let Ok(state) = self.space(id) else { return Chores::default() };
        let mut chores = state.chores(device);
        if !state.has_key_for_acts() {
            // Nothing can be written here yet: what is to be done is seen again when a key comes.
            return Chores::default();
        }
        let Some(child) = self.beside(state) else { return chores };
        if child.standing(device) != Standing::Member {
            return Chores::default();
        }
        let outside = child.outside();
        chores.share.retain(|(of, _)| !outside.contains(of));
        chores.expel = child.expulsion(device);
        if state.current_key().is_some() && self.may_notify(state, device) {
            chores.adopt = child.newcomers(device);
        }
        // An owner whom nobody left may put out must not have the key all the same; nor a device that is put out of nothing,
        // since what let it into the parent doesn't count: it stays here, and may be let in there again.
        let has_key = |of: &DeviceId| child.is_to_lose_the_key(*of) && state.membership.was_given_key(*of);
        chores.rotate |= state.membership.role_of(device) >= Some(Role::Admin) && outside.iter().any(has_key);
        chores
    }

    fn may_notify(&self, child: &SpaceState, device: DeviceId) -> bool {
        let parent = child.parent().and_then(|parent| self.spaces.get(&parent));
        parent.is_some_and(|parent| parent.membership.role_of(device) >= Some(Role::Member))
    }

    /// Does what a space needs, as far as it's this device's to do.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn tend(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
    ) -> Result<Deeds, EngineError> {
        let mut deeds = Deeds::new();
        for _ in 0..MAX_TENDED {
            let chores = self.chores(id, secrets.device.id());
            match chores.expel {
                Some(Expulsion::Member(user)) => {
                    deeds.push((id, self.remove_member(rows, secrets, id, user, wall_ms)?));
                }
                Some(Expulsion::Device(device)) => {
                    deeds.push((id, self.remove_device(rows, secrets, id, device, wall_ms)?));
                }
                None if chores.adopt.is_empty() => break,
                None => {
                    deeds.extend(self.adopt(rows, secrets, id, &chores.adopt, wall_ms)?);
                    break;
                }
            }
        }
        if let Some(acted) = self.do_chores(rows, secrets, id, wall_ms)? {
            deeds.push((id, acted));
        }
        Ok(deeds)
    }

    /// Does what all children of a space need after a change of that space. One in which that fails stays as it was, until
    /// its next chores: whoever can make a child that can't be written must not be kept in the parent by it.
    ///
    /// # Errors
    /// The store's, if what failed can't be undone.
    pub fn tend_children(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        parent: SpaceId,
        wall_ms: u64,
    ) -> Result<Deeds, EngineError> {
        let mut deeds = Deeds::new();
        for child in self.children(parent) {
            let mut outcome = Ok(Deeds::new());
            rows.part(&mut |rows| {
                outcome = self.tend(&mut AnyRows(rows), secrets, child, wall_ms);
                outcome.is_ok()
            })?;
            match outcome {
                Ok(done) => deeds.extend(done),
                Err(err) => {
                    tracing::warn!(%child, %err, "a child space does not follow its parent yet");
                    self.reload(rows)?;
                }
            }
        }
        Ok(deeds)
    }

    /// Leaves all children of a space, which is about to be left itself. One in which nobody else is, or of which no key has
    /// come, stays as it is: who is out of the parent is put out of it by those who are left.
    ///
    /// # Errors
    /// [`EngineError::LastOwner`] where others are, and nobody of them could go on; otherwise as for any act.
    pub fn leave_children(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        parent: SpaceId,
        wall_ms: u64,
    ) -> Result<Deeds, EngineError> {
        let (user, mut deeds) = (secrets.user.id(), Deeds::new());
        for child in self.children(parent) {
            let state = self.space(child)?;
            let is_in = self.role_in(child, secrets.device.id()).is_some();
            if !is_in || state.membership.len() == 1 || !state.has_key_for_acts() {
                continue;
            }
            let leave = MembershipOp::RemoveMember(ops::RemoveMember { user, cuts: Vec::new() });
            if state.membership.check(secrets.device.id(), &[leave]).is_err() {
                let (space, parent) = (state.name().to_owned(), self.space(parent)?.name().to_owned());
                return Err(EngineError::LastOwner { space, parent });
            }
            deeds.push((child, self.remove_member(rows, secrets, child, user, wall_ms)?));
        }
        Ok(deeds)
    }

    /// Founds a child of a space, and takes people of that space in.
    ///
    /// # Errors
    /// [`EngineError`]; what was changed until then is not to be committed.
    pub fn found_child(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        parent: SpaceId,
        (name, people): (&str, &[(UserId, Role)]),
        wall_ms: u64,
    ) -> Result<(SpaceId, Deeds), EngineError> {
        let state = self.space(parent)?;
        if state.parent().is_some() {
            let name = state.name();
            return Err(EngineError::Invalid(format!("{name:?} is a child itself, and children have none")));
        }
        state.require_role(secrets.device.id(), Role::Member)?;
        let (id, entry) = self.found(rows, secrets, name, (false, Some(parent)), wall_ms)?;
        let mut deeds = vec![(id, (entry, Ingested::default()))];
        if !people.is_empty() {
            deeds.extend(self.take_in(rows, secrets, id, people, wall_ms)?);
        }
        // The founder's own other devices.
        deeds.extend(self.tend(rows, secrets, id, wall_ms)?);
        Ok((id, deeds))
    }

    /// Takes people of the parent into a child, with all their devices.
    ///
    /// # Errors
    /// [`EngineError`]; what was changed until then is not to be committed.
    pub fn take_in(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        people: &[(UserId, Role)],
        wall_ms: u64,
    ) -> Result<Deeds, EngineError> {
        let state = self.space(id)?;
        let parent = self.parent_of(state)?;
        let wanted: BTreeSet<UserId> = people.iter().map(|(user, _)| *user).collect();
        let mut certified = certified(rows, parent, |_, user| wanted.contains(&user))?;
        let no_key = || EngineError::NoKey { space: state.name().to_owned() };
        let (mut acts, mut key) = (Vec::new(), state.current_key().cloned());
        if state.membership.history() == HistoryPolicy::FromJoining {
            let outside = self.outside(id);
            let (fresh, rotate) = state.rotation(secrets.device.id(), |of, _| outside.contains(&of));
            acts.push(MembershipOp::Rotate(rotate));
            key = Some(fresh);
        }
        let key = key.ok_or_else(no_key)?;
        let mut told = Vec::new();
        for (user, role) in people {
            let devices = certified.remove(user);
            let devices = devices.ok_or_else(|| parent.not_found("member", user.to_string()))?;
            told.extend(devices.iter().map(|device| (device.cert.device, device.cert.kem)));
            let keys = devices.iter().filter_map(|device| sealed(id, &key, device)).collect();
            let user_name = parent.membership.user_name(*user).unwrap_or_default().to_owned();
            acts.push(MembershipOp::AddMember(AddMember {
                user: *user,
                user_name,
                role: *role,
                devices,
                keys,
            }));
        }
        let mut deeds = vec![(id, self.append_acts(rows, secrets, id, wall_ms, &acts)?)];
        deeds.extend(self.notify(rows, secrets, id, &told, wall_ms)?);
        Ok(deeds)
    }

    /// Takes further devices of a child's people in.
    fn adopt(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        devices: &BTreeSet<DeviceId>,
        wall_ms: u64,
    ) -> Result<Deeds, EngineError> {
        let state = self.space(id)?;
        let found = certified(rows, self.parent_of(state)?, |device, _| devices.contains(&device))?;
        let key = state.current_key().ok_or_else(|| EngineError::NoKey { space: state.name().to_owned() })?;
        let (mut acts, mut told) = (Vec::new(), Vec::new());
        for device in found.into_values().flatten() {
            told.push((device.cert.device, device.cert.kem));
            let keys = sealed(id, key, &device).into_iter().collect();
            acts.push(MembershipOp::AddDevice(AddDevice { device, keys }));
        }
        if acts.is_empty() {
            return Ok(Deeds::new());
        }
        let mut deeds = vec![(id, self.append_acts(rows, secrets, id, wall_ms, &acts)?)];
        deeds.extend(self.notify(rows, secrets, id, &told, wall_ms)?);
        Ok(deeds)
    }

    pub(crate) fn parent_of(&self, child: &SpaceState) -> Result<&SpaceState, EngineError> {
        let no_child = || {
            let name = child.name();
            EngineError::Invalid(format!(
                "{name:?} is not the child of another space: invite people by a code"
            ))
        };
        self.space(child.parent().ok_or_else(no_child)?)
    }
}

/// A key sealed to a device; a device whose public key can't be used shuts itself out, and nobody else.
fn sealed(id: SpaceId, key: &covey_log::EpochKey, device: &Device) -> Option<covey_space::SealedKey> {
    covey_space::kem::seal(id, key, device.cert.device, device.cert.kem).ok()
}

/// The devices that are in a space, as their users have certified them, by user.
fn certified(
    rows: &impl Rows,
    space: &SpaceState,
    wanted: impl Fn(DeviceId, UserId) -> bool,
) -> Result<BTreeMap<UserId, Vec<Device>>, EngineError> {
    let membership = &space.membership;
    let mut found: BTreeMap<DeviceId, Device> = BTreeMap::new();
    for (_, acts) in load_all_acts(rows, space.key, space.id, &space.info.keys)? {
        let devices = acts.into_iter().flat_map(|act| match act {
            MembershipOp::Found(found) => vec![found.device],
            MembershipOp::AddMember(add) => add.devices,
            MembershipOp::AddDevice(add) => vec![add.device],
            _ => Vec::new(),
        });
        for device in devices {
            let cert = &device.cert;
            let is_current = membership.has_device(cert.device)
                && membership.user_of(cert.device) == Some(cert.user)
                && membership.kem_of(cert.device) == Some(cert.kem)
                && cert.is_valid();
            if is_current && wanted(cert.device, cert.user) {
                found.insert(cert.device, device);
            }
        }
    }
    let mut by_user: BTreeMap<UserId, Vec<Device>> = BTreeMap::new();
    for (id, mut device) in found {
        if let Some(name) = membership.device_name(id) {
            name.clone_into(&mut device.name);
        }
        by_user.entry(device.cert.user).or_default().push(device);
    }
    Ok(by_user)
}

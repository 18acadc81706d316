//! Who is let in, put out, promoted; and the keys that go with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use covey_log::{Entry, EpochKey};
use covey_space::{
    Device, Expulsion, MembershipOp, Role, kem,
    keyring::{MAX_OPENED, WrappedKey},
    ops::{self, Cut, HistoryPolicy, MAX_ACTS, MAX_WRAPPED, SetSpace},
};
use covey_store::LogRow;
use covey_types::{DeviceId, EpochId, SpaceId, UserId};

use crate::{Engine, EngineError, Ingested, Rows, RowsMut, Secrets, SpaceState, compact::LogState};

/// Most logs that are named in an act: with as many keys as an act may hold they fit into a membership entry.
const MAX_CUTS: usize = MAX_ACTS / 2;

/// What a space needs doing, by somebody who may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chores {
    /// Somebody outside knows the current key: a new one is needed.
    pub rotate: bool,
    /// Devices in the space that were not given a key that is here, and of which epoch.
    pub share: Vec<(DeviceId, EpochId)>,
    /// In a child: somebody whom its parent has put out.
    pub expel: Option<Expulsion>,
    /// In a child: further devices of its people, from its parent.
    pub adopt: BTreeSet<DeviceId>,
}

impl Chores {
    /// Whether nothing needs doing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What came of an act: the entry to be passed on, and what followed from it here.
pub type Acted = (Arc<Entry>, Ingested);

impl SpaceState {
    /// What the keys need that this device may do. [`Engine::chores`] also knows of the parent, where there is one.
    pub fn chores(&self, device: DeviceId) -> Chores {
        let Some(role) = self.membership.role_of(device) else { return Chores::default() };
        // A key that was given and doesn't open helps nobody: whoever made it was mistaken, or worse.
        let useless = self.current_key().is_none() && self.membership.was_given_key(device);
        // Who may not begin an epoch shares the keys that there are: an admin who would have to may be the one who lacks them.
        #[cfg(feature = "planted")]
        let role = if crate::planted::has(crate::planted::Defect::KeepsTheKey) {
            role.min(Role::Member)
        } else {
            role
        };
        if role >= Role::Admin && (useless || self.membership.needs_rotation()) {
            return Chores { rotate: true, ..Chores::default() };
        }
        let mut share = self.membership.without_key();
        // Guests give what may have no other way to whoever lacks it. The other keys are shared by those who write under them:
        // where not all agree yet on who is in, the fewer do it the better.
        let is_to_share = |epoch| role >= Role::Member || !self.membership.is_begun(epoch);
        share.retain(|(_, epoch)| self.info.keys.key(*epoch).is_some() && is_to_share(*epoch));
        Chores { share, ..Chores::default() }
    }

    pub(crate) fn sealed_to(
        &self,
        key: &EpochKey,
        devices: impl Iterator<Item = DeviceId>,
    ) -> Vec<covey_space::SealedKey> {
        // A device whose public key can't be used shuts itself out, and nobody else.
        let seal = |device| kem::seal(self.id, key, device, self.membership.kem_of(device)?).ok();
        devices.filter_map(seal).collect()
    }

    /// A new epoch, begun by `own`, for all devices but those that `goes` says.
    ///
    /// Whom it doesn't reach, since an act holds only so much, is given the key by the next chores: nobody must be able to
    /// stay in by having too many devices, or by beginning too many epochs.
    pub(crate) fn rotation(
        &self,
        own: DeviceId,
        goes: impl Fn(DeviceId, UserId) -> bool,
    ) -> (EpochKey, ops::Rotate) {
        let key = EpochKey::generate();
        let mut stays: Vec<_> =
            self.membership.devices().filter(|(device, user)| !goes(*device, *user)).collect();
        let mut devices: BTreeMap<UserId, usize> = BTreeMap::new();
        stays.iter().for_each(|(_, user)| *devices.entry(*user).or_default() += 1);
        // If anybody has to wait it's those with the most devices; never the one who'd have to give them the key.
        stays.sort_by_key(|(device, user)| (*device != own, devices.get(user).copied()));
        let keys = self.sealed_to(&key, stays.into_iter().map(|(device, _)| device).take(MAX_ACTS));
        let wrap = |old: &EpochKey| WrappedKey { epoch: old.id(), bytes: key.wrap(old) };
        let newest = self.membership.newest_epochs();
        let held = newest.iter().filter_map(|epoch| self.info.keys.key(*epoch));
        let previous = match self.membership.history() {
            HistoryPolicy::Full => held.take(MAX_WRAPPED).map(wrap).collect(),
            HistoryPolicy::FromJoining => Vec::new(),
        };
        let epoch = key.id();
        (key, ops::Rotate { epoch, keys, previous })
    }

    /// How far the logs of some devices reach. Of more logs than fit those with the most in them: what is in
    /// the others doesn't count any more, which harms nobody but somebody with thousands of logs.
    fn cuts(&self, rows: &impl Rows, of: impl Fn(DeviceId) -> bool) -> Result<Vec<Cut>, EngineError> {
        let logs = rows.logs(self.key)?.into_iter().filter(|log| of(log.id.device));
        // Of a log that was taken in from a checkpoint on the agreement was seen too: without it nothing of that holds.
        let cut = |log: LogRow| {
            let entrance = LogState::load(rows, log.key)?.entrance;
            let seen = entrance.map(|agreed| agreed.at).filter(|at| at.seq > log.head.seq);
            Ok(Cut { log: log.id, head: seen.unwrap_or(log.head) })
        };
        let mut cuts = logs.map(cut).collect::<Result<Vec<_>, EngineError>>()?;
        cuts.sort_by_key(|cut| std::cmp::Reverse(cut.head.seq));
        cuts.truncate(MAX_CUTS);
        Ok(cuts)
    }

    pub(crate) fn not_found(&self, kind: &'static str, name: String) -> EngineError {
        EngineError::NotFound { kind, name, space: self.name().to_owned() }
    }
}

impl Engine {
    /// Lets a user in with a device, or a further device of theirs. Where history is read from joining on, a new
    /// epoch begins with them.
    ///
    /// # Errors
    /// [`EngineError`]; a member who comes again keeps the higher of both roles.
    #[expect(clippy::too_many_arguments, reason = "who lets whom in where, as what")]
    pub fn admit(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        user_name: &str,
        role: Role,
        device: &Device,
        wall_ms: u64,
    ) -> Result<Acted, EngineError> {
        let state = self.space(id)?;
        let cert = &device.cert;
        self.require_in_parent(state, cert.user, cert.device)?;
        let outside = self.outside(id);
        let mut acts = Vec::new();
        let key = match (state.membership.history(), state.current_key()) {
            (HistoryPolicy::Full, Some(key)) => key.clone(),
            (HistoryPolicy::Full, None) => return Err(EngineError::NoKey { space: state.name().to_owned() }),
            (HistoryPolicy::FromJoining, _) => {
                let (key, rotate) = state.rotation(secrets.device.id(), |of, _| outside.contains(&of));
                acts.push(MembershipOp::Rotate(rotate));
                key
            }
        };
        let sealed = kem::seal(id, &key, cert.device, cert.kem)
            .map_err(|err| EngineError::Invalid(err.to_string()))?;
        acts.push(MembershipOp::AddMember(ops::AddMember {
            user: cert.user,
            user_name: user_name.to_owned(),
            role,
            devices: vec![device.clone()],
            keys: vec![sealed],
        }));
        self.append_acts(rows, secrets, id, wall_ms, &acts)
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn set_role(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        user: UserId,
        role: Role,
        wall_ms: u64,
    ) -> Result<Acted, EngineError> {
        let state = self.space(id)?;
        let before = state.membership.role_of_user(user);
        let before = before.ok_or_else(|| state.not_found("member", user.to_string()))?;
        let is_theirs = |device| state.membership.user_of(device) == Some(user);
        let cuts = if role < before { state.cuts(rows, is_theirs)? } else { Vec::new() };
        let acts = [MembershipOp::SetRole(ops::SetRole { user, role, cuts })];
        self.append_acts(rows, secrets, id, wall_ms, &acts)
    }

    /// Puts a member out, and changes the key in the same entry. Whoever names themself leaves: then the key is changed
    /// by somebody who stays.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn remove_member(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        user: UserId,
        wall_ms: u64,
    ) -> Result<Acted, EngineError> {
        let state = self.space(id)?;
        if state.membership.role_of_user(user).is_none() {
            return Err(state.not_found("member", user.to_string()));
        }
        let cuts = state.cuts(rows, |device| state.membership.user_of(device) == Some(user))?;
        let mut acts = vec![MembershipOp::RemoveMember(ops::RemoveMember { user, cuts })];
        if user != secrets.user.id() {
            let outside = self.outside(id);
            let goes = |device: DeviceId, of: UserId| of == user || outside.contains(&device);
            acts.push(MembershipOp::Rotate(state.rotation(secrets.device.id(), goes).1));
        }
        self.append_acts(rows, secrets, id, wall_ms, &acts)
    }

    /// Puts a device out. The key is changed in the same entry by those who may; otherwise by the next admin who hears of it.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn remove_device(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        device: DeviceId,
        wall_ms: u64,
    ) -> Result<Acted, EngineError> {
        let state = self.space(id)?;
        if !state.membership.has_device(device) {
            return Err(state.not_found("device", device.to_string()));
        }
        let cuts = state.cuts(rows, |of| of == device)?;
        let mut acts = vec![MembershipOp::RemoveDevice(ops::RemoveDevice { device, cuts })];
        let own = secrets.device.id();
        if device != own && state.membership.role_of(own) >= Some(Role::Admin) {
            let outside = self.outside(id);
            let goes = |of: DeviceId, _: UserId| of == device || outside.contains(&of);
            acts.push(MembershipOp::Rotate(state.rotation(own, goes).1));
        }
        self.append_acts(rows, secrets, id, wall_ms, &acts)
    }

    /// Adds a further device of this device's user.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn add_device(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        device: &Device,
        wall_ms: u64,
    ) -> Result<Acted, EngineError> {
        let state = self.space(id)?;
        let key = state.current_key().ok_or_else(|| EngineError::NoKey { space: state.name().to_owned() })?;
        let cert = &device.cert;
        self.require_in_parent(state, cert.user, cert.device)?;
        // Where no epoch leads to those before it, those are given too: the user has read what was written in them.
        let older = match state.membership.history() {
            HistoryPolicy::Full => Vec::new(),
            HistoryPolicy::FromJoining => state.info.keys.newest_keys(MAX_OPENED - 1, key.id()),
        };
        let seal = |key| kem::seal(id, key, cert.device, cert.kem);
        let keys = std::iter::once(key).chain(older).map(seal).collect::<Result<_, _>>();
        let keys = keys.map_err(|err| EngineError::Invalid(err.to_string()))?;
        let acts = [MembershipOp::AddDevice(ops::AddDevice { device: device.clone(), keys })];
        self.append_acts(rows, secrets, id, wall_ms, &acts)
    }

    /// Begins a new epoch.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn rotate_key(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
    ) -> Result<Acted, EngineError> {
        let outside = self.outside(id);
        let goes = |device: DeviceId, _: UserId| outside.contains(&device);
        let (_, rotate) = self.space(id)?.rotation(secrets.device.id(), goes);
        self.append_acts(rows, secrets, id, wall_ms, &[MembershipOp::Rotate(rotate)])
    }

    /// Does what the keys need, if they still do and this device may.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn do_chores(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        wall_ms: u64,
    ) -> Result<Option<Acted>, EngineError> {
        let state = self.space(id)?;
        let chores = self.chores(id, secrets.device.id());
        if chores.rotate {
            return self.rotate_key(rows, secrets, id, wall_ms).map(Some);
        }
        let sealed = chores.share.into_iter().filter_map(|(device, epoch)| {
            Some(state.sealed_to(state.info.keys.key(epoch)?, std::iter::once(device)))
        });
        let keys: Vec<_> = sealed.flatten().take(MAX_ACTS).collect();
        if keys.is_empty() {
            return Ok(None);
        }
        self.append_acts(rows, secrets, id, wall_ms, &[MembershipOp::ShareKeys(keys)]).map(Some)
    }

    /// Gives the space another name, or another rule of who may read history.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn set_space(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        set: SetSpace,
        wall_ms: u64,
    ) -> Result<Acted, EngineError> {
        self.append_acts(rows, secrets, id, wall_ms, &[MembershipOp::SetSpace(set)])
    }

    /// Gives this device's user another name; `None` if they are called so already.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn rename_user(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        name: &str,
        wall_ms: u64,
    ) -> Result<Option<Acted>, EngineError> {
        if !ops::is_display_name(name) {
            let rule = "1 to 64 printable characters without blanks at the ends";
            return Err(EngineError::Invalid(format!("{name:?} can't be the name of a person: {rule}")));
        }
        if self.space(id)?.membership.user_name(secrets.user.id()) == Some(name) {
            return Ok(None);
        }
        let acts = [MembershipOp::RenameUser(name.to_owned())];
        self.append_acts(rows, secrets, id, wall_ms, &acts).map(Some)
    }

    /// Renames a device; `None` if it's called so already.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn rename_device(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        device: DeviceId,
        name: &str,
        wall_ms: u64,
    ) -> Result<Option<Acted>, EngineError> {
        if !ops::is_display_name(name) {
            let rule = "1 to 64 printable characters without blanks at the ends";
            return Err(EngineError::Invalid(format!("{name:?} can't be the name of a device: {rule}")));
        }
        let acts = [MembershipOp::RenameDevice(device, name.to_owned())];
        if self.space(id)?.membership.device_name(device) == Some(name) {
            // Whoever may not rename it is told so all the same.
            self.require_may(id, secrets.device.id(), &acts)?;
            return Ok(None);
        }
        self.append_acts(rows, secrets, id, wall_ms, &acts).map(Some)
    }
}

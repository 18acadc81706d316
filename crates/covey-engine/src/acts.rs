//! Who is let in, put out, promoted; and the keys that go with it.

use std::sync::Arc;

use covey_log::{Entry, EpochKey};
use covey_space::{
    Device, MembershipOp, Role, kem,
    keyring::WrappedKey,
    ops::{self, Cut, HistoryPolicy, SetSpace},
};
use covey_types::{DeviceId, EpochId, SpaceId, UserId};

use crate::{Engine, EngineError, Ingested, Rows, RowsMut, Secrets, SpaceState};

/// What a space's keys need doing, by somebody who may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chores {
    /// Somebody outside knows the current key: a new one is needed.
    pub rotate: bool,
    /// Devices in the space that were not given a key that is here, and of which epoch.
    pub share: Vec<(DeviceId, EpochId)>,
}

impl Chores {
    /// Whether nothing needs doing.
    pub const fn is_empty(&self) -> bool {
        !self.rotate && self.share.is_empty()
    }
}

/// What came of an act: the entry to be passed on, and what followed from it here.
pub type Acted = (Arc<Entry>, Ingested);

impl SpaceState {
    /// What the keys need that this device may do.
    pub fn chores(&self, device: DeviceId) -> Chores {
        let Some(role) = self.membership.role_of(device) else { return Chores::default() };
        // A key that was given and doesn't open helps nobody: whoever made it was mistaken, or worse.
        let useless = self.current_key().is_none() && self.membership.was_given_key(device);
        if useless || self.membership.needs_rotation() {
            return Chores { rotate: role >= Role::Admin, share: Vec::new() };
        }
        let mut share = if role >= Role::Member { self.membership.without_key() } else { Vec::new() };
        share.retain(|(_, epoch)| self.info.keys.key(*epoch).is_some());
        Chores { rotate: false, share }
    }

    fn sealed_to(
        &self,
        key: &EpochKey,
        devices: impl Iterator<Item = DeviceId>,
    ) -> Vec<covey_space::SealedKey> {
        // A device whose public key can't be used shuts itself out, and nobody else.
        let seal = |device| kem::seal(self.id, key, device, self.membership.kem_of(device)?).ok();
        devices.filter_map(seal).collect()
    }

    /// A new epoch for all devices but those that `goes` says.
    fn rotation(&self, goes: impl Fn(DeviceId, UserId) -> bool) -> (EpochKey, ops::Rotate) {
        let key = EpochKey::generate();
        let stays = self
            .membership
            .devices()
            .filter(|(device, user)| !goes(*device, *user))
            .map(|(device, _)| device);
        let keys = self.sealed_to(&key, stays);
        let wrap = |old: &EpochKey| WrappedKey { epoch: old.id(), bytes: key.wrap(old) };
        let newest = self.membership.newest_epochs();
        let previous = match self.membership.history() {
            HistoryPolicy::Full => {
                newest.iter().filter_map(|epoch| self.info.keys.key(*epoch)).map(wrap).collect()
            }
            HistoryPolicy::FromJoining => Vec::new(),
        };
        let epoch = key.id();
        (key, ops::Rotate { epoch, keys, previous })
    }

    fn cuts(&self, rows: &impl Rows, of: impl Fn(DeviceId) -> bool) -> Result<Vec<Cut>, EngineError> {
        let logs = rows.logs(self.key)?.into_iter().filter(|log| of(log.id.device));
        Ok(logs.map(|log| Cut { log: log.id, head: log.head }).collect())
    }

    fn not_found(&self, kind: &'static str, name: String) -> EngineError {
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
        let mut acts = Vec::new();
        let key = match (state.membership.history(), state.current_key()) {
            (HistoryPolicy::Full, Some(key)) => key.clone(),
            (HistoryPolicy::Full, None) => return Err(EngineError::NoKey { space: state.name().to_owned() }),
            (HistoryPolicy::FromJoining, _) => {
                let (key, rotate) = state.rotation(|_, _| false);
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
            acts.push(MembershipOp::Rotate(state.rotation(|_, of| of == user).1));
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
            acts.push(MembershipOp::Rotate(state.rotation(|of, _| of == device).1));
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
        let sealed =
            kem::seal(id, key, cert.device, cert.kem).map_err(|err| EngineError::Invalid(err.to_string()))?;
        let acts = [MembershipOp::AddDevice(ops::AddDevice { device: device.clone(), keys: vec![sealed] })];
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
        let (_, rotate) = self.space(id)?.rotation(|_, _| false);
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
        let chores = state.chores(secrets.device.id());
        if chores.rotate {
            return self.rotate_key(rows, secrets, id, wall_ms).map(Some);
        }
        let sealed = chores.share.into_iter().filter_map(|(device, epoch)| {
            Some(state.sealed_to(state.info.keys.key(epoch)?, std::iter::once(device)))
        });
        let keys: Vec<_> = sealed.flatten().collect();
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

    /// Renames a device.
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
    ) -> Result<Acted, EngineError> {
        if !ops::is_display_name(name) {
            let rule = "1 to 64 printable characters without blanks at the ends";
            return Err(EngineError::Invalid(format!("{name:?} can't be the name of a device: {rule}")));
        }
        self.append_acts(rows, secrets, id, wall_ms, &[MembershipOp::RenameDevice(device, name.to_owned())])
    }
}

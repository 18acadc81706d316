//! A user's own: their personal space, which of their devices are missing from a space or too many in it, and another
//! user's identity taken over by a fresh device.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use covey_log::Entry;
use covey_space::{Device, KeyRing, MembershipOp};
use covey_store::{PERSONAL_SPACE, StoreError};
use covey_types::{DeviceId, EntryHash, SpaceId, wire};

use crate::{
    Engine, EngineError, Ingested, Rows, RowsMut, Secrets, SpaceState, load_all_acts, space::HoldReason,
};

/// What personal spaces are called. Nobody but their user sees it.
pub const PERSONAL_NAME: &str = "personal";

/// The user's personal space, once there is one.
///
/// # Errors
/// The backend's.
pub fn personal_space(rows: &impl Rows) -> Result<Option<SpaceId>, StoreError> {
    Ok(rows.meta(PERSONAL_SPACE)?.and_then(|bytes| SpaceId::from_slice(&bytes)))
}

/// Notes which is the user's personal space.
///
/// # Errors
/// The backend's.
pub fn set_personal_space(rows: &mut impl RowsMut, id: SpaceId) -> Result<(), StoreError> {
    rows.set_meta(PERSONAL_SPACE, id.as_bytes())
}

/// Which devices of the user a space lacks, and which it should lack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnDevices {
    /// To be taken in.
    pub missing: Vec<Device>,
    /// To be put out: they were revoked.
    pub revoked: Vec<DeviceId>,
}

impl OwnDevices {
    /// Whether all is as it should be.
    pub const fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.revoked.is_empty()
    }
}

impl Engine {
    /// Founds the personal space of this device's user.
    ///
    /// # Errors
    /// The backend's.
    pub fn found_personal(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        wall_ms: u64,
    ) -> Result<(SpaceId, Arc<Entry>), EngineError> {
        let (id, entry) = self.found(rows, secrets, PERSONAL_NAME, (true, None), wall_ms)?;
        set_personal_space(rows, id)?;
        Ok((id, entry))
    }

    /// Compares the devices of a space with those of the personal space, as far as this device may act on it.
    ///
    /// A device that was put out of the space by itself isn't taken in again: whoever did it meant that device, and the
    /// news that it was revoked may still be on its way.
    ///
    /// # Errors
    /// The backend's.
    pub fn own_devices(
        &self,
        rows: &impl Rows,
        secrets: &Secrets,
        personal: SpaceId,
        id: SpaceId,
    ) -> Result<OwnDevices, EngineError> {
        let (mine, space) = (&self.space(personal)?.membership, self.space(id)?);
        let user = secrets.user.id();
        if id == personal || space.membership.role_of(secrets.device.id()).is_none() {
            return Ok(OwnDevices::default());
        }
        let theirs = space.membership.devices().filter(|(_, of)| *of == user).map(|(device, _)| device);
        let revoked = theirs.filter(|device| mine.was_device(*device) && !mine.has_device(*device)).collect();
        let mut lacking: BTreeSet<DeviceId> = mine
            .devices()
            .map(|(device, _)| device)
            .filter(|device| !space.membership.has_device(*device))
            .collect();
        if lacking.iter().any(|device| space.membership.was_device(*device)) {
            let out = put_out_by_itself(rows, space)?;
            lacking.retain(|device| !out.contains(device));
        }
        if lacking.is_empty() || space.current_key().is_none() {
            return Ok(OwnDevices { missing: Vec::new(), revoked });
        }
        let mut known = self.certified(rows, personal)?;
        Ok(OwnDevices {
            missing: lacking.iter().filter_map(|device| known.remove(device)).collect(),
            revoked,
        })
    }

    /// The certificates of the devices of the personal space, with the names that they have now.
    fn certified(
        &self,
        rows: &impl Rows,
        personal: SpaceId,
    ) -> Result<BTreeMap<DeviceId, Device>, EngineError> {
        let space = self.space(personal)?;
        let mut known = BTreeMap::new();
        for (_, acts) in load_all_acts(rows, space.key, space.id, &space.info.keys)? {
            for act in acts {
                let mut device = match act {
                    MembershipOp::Found(found) => found.device,
                    MembershipOp::AddDevice(add) => add.device,
                    _ => continue,
                };
                let id = device.cert.device;
                let is_current = space.membership.kem_of(id) == Some(device.cert.kem);
                // What doesn't count may say anything.
                if !is_current || !device.cert.is_valid() {
                    continue;
                }
                if let Some(name) = space.membership.device_name(id) {
                    name.clone_into(&mut device.name);
                }
                known.insert(id, device);
            }
        }
        Ok(known)
    }

    /// Takes in keys of a space from another device of the same user. Those of a space that isn't known yet begin it.
    ///
    /// # Errors
    /// The backend's.
    pub fn take_keys(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        (name, keys): (&str, KeyRing),
        from: DeviceId,
        wall_ms: u64,
    ) -> Result<Ingested, EngineError> {
        match self.spaces.get_mut(&id) {
            None => self.enter_space(rows, id, name, keys, from)?,
            Some(state) => {
                if !state.info.keys.merge(&keys) {
                    return Ok(Ingested::default());
                }
                rows.set_space_info(state.key, &wire::encode(&state.info))?;
            }
        }
        self.release(rows, secrets, id, HoldReason::Key, wall_ms)
    }

    /// Forgets a space that was just removed from the rows.
    pub fn forget_space(&mut self, id: SpaceId) {
        self.spaces.remove(&id);
    }

    /// Whether this device holds nothing but its own personal space, in which nothing was done yet: it may become
    /// somebody else's without a loss.
    ///
    /// # Errors
    /// The backend's.
    pub fn is_fresh(&self, rows: &impl Rows, personal: SpaceId) -> Result<bool, EngineError> {
        let space = self.space(personal)?;
        let written: u64 = rows.logs(space.key)?.iter().map(|log| log.head.seq).sum();
        let acts = rows.membership(space.key)?.len() as u64;
        Ok(self.spaces.len() == 1 && space.membership.devices().count() == 1 && written == acts)
    }
}

/// Devices that were put out one by one, not with their user; by acts that count.
fn put_out_by_itself(rows: &impl Rows, space: &SpaceState) -> Result<BTreeSet<DeviceId>, EngineError> {
    let fallen: BTreeSet<EntryHash> = space.membership.fallen().into_iter().collect();
    let counts = |entry: &Entry| space.membership.knows_all(&[entry.hash]) && !fallen.contains(&entry.hash);
    let entries = load_all_acts(rows, space.key, space.id, &space.info.keys)?.into_iter();
    let acts = entries.filter(|(entry, _)| counts(entry)).flat_map(|(_, acts)| acts);
    let named = |act| match act {
        MembershipOp::RemoveDevice(remove) => Some(remove.device),
        _ => None,
    };
    Ok(acts.filter_map(named).collect())
}

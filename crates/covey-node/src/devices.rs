//! A user's own devices: linking, renaming and revoking them.
//!
//! What is done here is done in the personal space. The other spaces follow by themselves, as far as they have not been
//! told already.

use std::time::Duration;

use covey_types::DeviceId;

use crate::{Invitation, Linked, Node, NodeError, pairing};

impl Node {
    /// Opens a way in for a further device of this user. The code is for reading aloud, the link for sending; whoever
    /// uses it becomes this user.
    ///
    /// # Errors
    /// [`NodeError::Revoked`]; [`NodeError::Invalid`] for a life that is too long or too short.
    pub async fn link_device(&self, expires: Duration) -> Result<Invitation, NodeError> {
        pairing::invite_device(self, expires).await
    }

    /// Makes this device one of another user's, by a code or link of [`Node::link_device`], and waits until their spaces
    /// are here or the time is over. The user that this device had is given up.
    ///
    /// # Errors
    /// [`NodeError::NotFresh`] if something would be lost; [`NodeError::Pairing`] says what is wrong with the code or why
    /// nobody answered.
    pub async fn link_to(&self, code_or_link: &str, timeout: Duration) -> Result<Linked, NodeError> {
        self.require_not_revoked()?;
        pairing::link(self, code_or_link, timeout).await
    }

    /// The devices of this user, with their names, by id.
    pub fn own_devices(&self) -> Vec<(DeviceId, String)> {
        let Some(personal) = self.0.own.personal() else { return Vec::new() };
        let engine = self.engine();
        let Ok(space) = engine.space(personal) else { return Vec::new() };
        let name = |device| space.membership.device_name(device).unwrap_or_default().to_owned();
        space.membership.devices().map(|(device, _)| (device, name(device))).collect()
    }

    /// Whether a device is one of this user's, and not revoked.
    pub fn is_own(&self, device: DeviceId) -> bool {
        self.own_devices().iter().any(|(own, _)| *own == device)
    }

    /// Gives a device of this user another name in the personal space. The device itself tells the other spaces.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for a name that can't be one.
    pub async fn rename_own(&self, device: DeviceId, name: &str) -> Result<(), NodeError> {
        match self.personal() {
            Some(personal) => personal.rename_device(device, name).await,
            None => Ok(()),
        }
    }

    /// Revokes a device of this user: puts it out of the personal space, from which every other device of theirs
    /// learns to put it out of all others. It can be done also where that device has said that this one was revoked.
    ///
    /// # Errors
    /// [`NodeError::Membership`] for the last one.
    pub async fn revoke_own(&self, device: DeviceId) -> Result<(), NodeError> {
        match self.personal() {
            Some(personal) => personal.remove_device(device).await,
            None => Ok(()),
        }
    }
}

//! Spaces that would be left without an owner if one device were lost, as its owner is told of them.
//!
//! Admins can't make an owner, and no checkpoint is agreed to without one. So whoever is the only owner, on one device, is told what
//! there is to do while that device is there.

use covey_engine::SpaceState;
use covey_space::Role;
use covey_types::{DeviceId, UserId};

use crate::{Check, doctor::pass};

/// What is to be said to the owner of a space that others are in too.
pub(crate) fn check(name: &str, space: &SpaceState, own: (DeviceId, UserId)) -> Option<Check> {
    let (device, user) = own;
    let members = space.membership.members();
    let mut owners = members.iter().filter(|(_, member)| member.role == Role::Owner);
    let (owner, last) = owners.next()?;
    let is_alone = owners.next().is_none() && last.devices.keys().eq([&device]);
    if *owner != user || !is_alone || members.len() < 2 || space.parent().is_some() {
        return None;
    }
    let detail = format!(
        "{name}: only you own it, on this device alone: link another, make somebody else owner too, or keep a backup"
    );
    Some(pass("owner", detail))
}

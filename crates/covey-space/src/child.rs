//! What a space's membership means for that of its children.
//!
//! A child's membership is a graph of its own, judged by nothing but itself: so all who hold it come to the same. The
//! parent's decisions take effect in it through acts of those who administer the child. What is said here is who would
//! have to do what, by the parent as it is known *here*, and with whom the child isn't shared until that is done.
//!
//! Only what the parent is *known to have put out* is put out of the child. A device of which the parent's copy here
//! knows nothing may have been let in by somebody of whom this node hasn't heard: it waits, and gets nothing meanwhile.

use std::collections::BTreeSet;

use covey_types::{DeviceId, UserId};

use crate::{
    Membership, MembershipOp, Role,
    ops::{RemoveDevice, RemoveMember},
};

/// What a device is to a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In it.
    Member,
    /// It was, and is no more.
    PutOut,
    /// Nothing that is known here: it may have been let in by somebody of whom we haven't heard yet.
    Unknown,
}

impl Standing {
    /// By one space's membership alone.
    pub fn of(membership: &Membership, device: DeviceId) -> Self {
        if !membership.is_founded() {
            Self::Unknown
        } else if membership.has_device(device) {
            Self::Member
        } else if membership.was_device(device) {
            Self::PutOut
        } else {
            Self::Unknown
        }
    }

    /// By both: out if either says so, in only if both do.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::PutOut, _) | (_, Self::PutOut) => Self::PutOut,
            (Self::Member, Self::Member) => Self::Member,
            _ => Self::Unknown,
        }
    }
}

/// Somebody in a child whom its parent has put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expulsion {
    /// A person, with all their devices.
    Member(UserId),
    /// One device of somebody who stays.
    Device(DeviceId),
}

/// A child beside its parent.
#[derive(Debug, Clone, Copy)]
pub struct Child<'a> {
    /// Nobody is in a parent that isn't here.
    parent: Option<&'a Membership>,
    own: &'a Membership,
}

impl<'a> Child<'a> {
    /// A child and its parent, if that is here.
    pub const fn new(own: &'a Membership, parent: Option<&'a Membership>) -> Self {
        Self { parent, own }
    }

    /// What a device is to the child.
    pub fn standing(&self, device: DeviceId) -> Standing {
        let above = self.parent.map_or(Standing::Unknown, |parent| Standing::of(parent, device));
        let both = Standing::of(self.own, device).and(above);
        if both == Standing::Member && !self.is_inside(device) { Standing::Unknown } else { both }
    }

    /// Whether a device is in both, as the same person's.
    fn is_inside(&self, device: DeviceId) -> bool {
        self.own.has_device(device)
            && self.parent.is_some_and(|parent| {
                parent.has_device(device) && parent.user_of(device) == self.own.user_of(device)
            })
    }

    /// The child's devices that aren't, as far as is known here, in the parent: no key is given to them.
    pub fn outside(&self) -> BTreeSet<DeviceId> {
        self.own.devices().map(|(device, _)| device).filter(|device| !self.is_inside(*device)).collect()
    }

    /// Whether nobody may go on writing under a key that this device has: the parent has put it out, or what had let it in
    /// has turned out not to count.
    pub fn is_to_lose_the_key(&self, device: DeviceId) -> bool {
        self.standing(device) == Standing::PutOut
            || self.parent.is_some_and(|parent| parent.was_named_in_vain(device))
    }

    /// The first whom the parent has put out and a device may put out of the child.
    pub fn expulsion(&self, by: DeviceId) -> Option<Expulsion> {
        let parent = self.parent?;
        if self.own.role_of(by) < Some(Role::Admin) || !self.is_inside(by) {
            return None;
        }
        let mut out = Vec::new();
        for (user, member) in self.own.members() {
            let was_in_parent = parent.user_name(user).is_some();
            if parent.role_of_user(user).is_none() && was_in_parent {
                out.push(Expulsion::Member(user));
            } else {
                let gone = |device: &DeviceId| Standing::of(parent, *device) == Standing::PutOut;
                out.extend(member.devices.into_keys().filter(gone).map(Expulsion::Device));
            }
        }
        out.into_iter().find(|expulsion| self.own.check(by, &[expulsion.act()]).is_ok())
    }

    /// The devices in the parent that a device may take into the child: its user's own, which the child never knew. One that was put out of the child stays out until somebody takes it in again.
    pub fn newcomers(&self, by: DeviceId) -> BTreeSet<DeviceId> {
        let Some(parent) = self.parent.filter(|_| self.is_inside(by)) else { return BTreeSet::new() };
        let me = self.own.user_of(by);
        let new = |(device, user): &(DeviceId, UserId)| Some(*user) == me && !self.own.was_device(*device);
        parent.devices().filter(new).map(|(device, _)| device).collect()
    }
}

impl Expulsion {
    /// The act without the places up to which logs count: to ask whether it would be allowed.
    fn act(self) -> MembershipOp {
        match self {
            Self::Member(user) => MembershipOp::RemoveMember(RemoveMember { user, cuts: Vec::new() }),
            Self::Device(device) => MembershipOp::RemoveDevice(RemoveDevice { device, cuts: Vec::new() }),
        }
    }
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;

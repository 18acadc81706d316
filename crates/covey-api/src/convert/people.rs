//! People and devices, and what holds for a space as a whole.

use covey_node::{HistoryPolicy, Identity, Linked, Member, Space};

use crate::dto::{DeviceDto, HistoryDto, LinkedDto, LinkedSpaceDto, MemberDto, SpaceName};

pub(crate) fn space_name(space: &Space) -> SpaceName {
    SpaceName { id: space.id().to_string(), name: space.name() }
}

/// What two people read to each other to compare a device.
pub(crate) fn words(device: covey_node::DeviceId) -> Vec<String> {
    device.safety_words().map(str::to_owned).to_vec()
}

/// A member, as seen by `me`.
pub(crate) fn member(member: Member, me: &Identity) -> MemberDto {
    let device = |(device, name): (covey_node::DeviceId, String)| DeviceDto {
        peer_id: device.to_string(),
        name,
        fingerprint: device.fingerprint(),
        words: words(device),
        this: device == me.device,
    };
    MemberDto {
        user_id: member.user.to_string(),
        name: member.name,
        role: member.role.to_string(),
        you: member.user == me.user,
        devices: member.devices.into_iter().map(device).collect(),
    }
}

/// What came of linking this device, which is `me` now.
pub(crate) fn linked(linked: Linked, me: Identity) -> LinkedDto {
    let space = |(id, name, here): (covey_node::SpaceId, String, bool)| LinkedSpaceDto {
        id: id.to_string(),
        name,
        here,
    };
    LinkedDto {
        identity: super::identity(me),
        linked_by: DeviceDto {
            peer_id: linked.by.to_string(),
            name: linked.by_name,
            fingerprint: linked.by.fingerprint(),
            words: words(linked.by),
            this: false,
        },
        replaced_user_id: linked.replaced.to_string(),
        spaces: linked.spaces.into_iter().map(space).collect(),
    }
}

pub(crate) fn history(history: HistoryPolicy) -> HistoryDto {
    match history {
        HistoryPolicy::Full => HistoryDto::Full,
        HistoryPolicy::FromJoining => HistoryDto::FromJoining,
    }
}

pub(crate) fn history_back(history: HistoryDto) -> HistoryPolicy {
    match history {
        HistoryDto::Full => HistoryPolicy::Full,
        HistoryDto::FromJoining => HistoryPolicy::FromJoining,
    }
}

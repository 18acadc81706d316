//! People and devices, and what holds for a space as a whole.

use covey_node::{HistoryPolicy, Identity, Member, Space};

use crate::dto::{DeviceDto, HistoryDto, MemberDto, SpaceName};

pub(crate) fn space_name(space: &Space) -> SpaceName {
    SpaceName { id: space.id().to_string(), name: space.name() }
}

/// A member, as seen by `me`.
pub(crate) fn member(member: Member, me: &Identity) -> MemberDto {
    let device = |(device, name): (covey_node::DeviceId, String)| DeviceDto {
        peer_id: device.to_string(),
        name,
        fingerprint: device.fingerprint(),
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

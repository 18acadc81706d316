//! From the node's values to what travels as JSON.

mod acts;
pub(crate) mod chat;
mod people;

use covey_node::{
    Change, Check, ClockStatus, Event, Fork, Identity, Invitation, InvitationState, Joined, Nameplate,
    NetworkMode, NewLogs, PeerState, PeerStatus, SpaceStatus, Status, SyncState, SyncStatus, Transport,
};
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    dto::{
        ChangeDto, ChangeKind, CheckDto, ClockDto, EventKind, ForkDto, IdentityDto, InviteDto, JoinedDto,
        NetworkDto, NewLogsDto, NodeDto, PeerDto, RemovalDto, SpaceDto, SpaceName, StatusDto, SyncDto,
        WithdrawnDto,
    },
    problem::Problem,
};

pub(crate) use acts::{act, pairing_act};
pub(crate) use people::{history, history_back, linked, member, space_name, words};

/// Milliseconds since 1970 as RFC 3339 in UTC; times past the year 9999 are cut to it.
pub fn rfc3339(unix_ms: u64) -> String {
    const YEAR_9999_MS: u64 = 253_402_300_799_999;
    let ns = i128::from(unix_ms.min(YEAR_9999_MS)) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(ns)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .expect("a time between 1970 and 9999 can be written")
}

/// Who a node is.
pub fn identity(identity: Identity) -> IdentityDto {
    IdentityDto {
        peer_id: identity.device.to_string(),
        fingerprint: identity.device.fingerprint(),
        words: words(identity.device),
        user_id: identity.user.to_string(),
        user: identity.user_name,
        device: identity.device_name,
    }
}

/// One of the doctor's findings.
pub fn check(check: Check) -> CheckDto {
    CheckDto { name: check.name.to_owned(), ok: check.ok, detail: check.detail, remedy: check.remedy }
}

pub(crate) fn status(status: Status) -> StatusDto {
    StatusDto {
        node: NodeDto {
            identity: identity(status.identity),
            version: status.version.to_owned(),
            uptime_s: status.uptime.as_secs(),
        },
        network: NetworkDto { mode: mode(status.mode).to_owned(), listen: status.listen },
        peers: status.peers.into_iter().map(peer).collect(),
        spaces: status.spaces.into_iter().map(space).collect(),
        devices: Vec::new(),
        revoked: status.revoked,
        clocks: status.clocks.into_iter().map(clock).collect(),
    }
}

fn clock(clock: ClockStatus) -> ClockDto {
    ClockDto {
        peer_id: clock.device.to_string(),
        name: clock.name,
        ahead_ms: clock.ahead_ms,
        held: clock.held,
    }
}

fn mode(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::Solo => "solo",
        NetworkMode::Lan => "lan",
        NetworkMode::Wan => "wan",
    }
}

pub(crate) fn peer(peer: PeerStatus) -> PeerDto {
    let state = peer_state(peer.state);
    // Every connection is direct as long as there are no relays.
    let path = (peer.state == PeerState::Connected).then(|| "direct".to_owned());
    let transport = peer.transport.map(|transport| match transport {
        Transport::Quic => "quic",
        Transport::Tcp => "tcp",
    });
    PeerDto {
        peer_id: peer.device.to_string(),
        name: peer.name,
        user: peer.user_name,
        state: state.to_owned(),
        path,
        transport: transport.map(str::to_owned),
        // Microseconds are as precise as a ping gets.
        rtt_ms: peer.rtt.map(|rtt| (rtt.as_secs_f64() * 1e6).round() / 1e3),
        address: peer.address,
    }
}

pub(crate) fn peer_state(state: PeerState) -> &'static str {
    match state {
        PeerState::Connected => "connected",
        PeerState::Reachable => "reachable",
        PeerState::Offline => "offline",
    }
}

fn sync_state(state: SyncState) -> &'static str {
    match state {
        SyncState::InSync => "in_sync",
        SyncState::Syncing => "syncing",
        SyncState::Behind => "behind",
        SyncState::Unreachable => "unreachable",
        SyncState::Refused => "refused",
    }
}

fn sync(status: SyncStatus) -> SyncDto {
    SyncDto {
        peer_id: status.peer.to_string(),
        state: sync_state(status.state).to_owned(),
        missing_here: status.missing_here,
        missing_there: status.missing_there,
        reason: status.reason,
        since: status.since_ms.map(rfc3339),
    }
}

pub(crate) fn space(status: SpaceStatus) -> SpaceDto {
    SpaceDto {
        id: status.id.to_string(),
        name: status.name,
        channel: status.channel.map(|kind| kind.as_str().to_owned()),
        parent: status.parent.map(|(id, name)| SpaceName { id: id.to_string(), name }),
        role: status.role.map(|role| role.to_string()),
        members: status.members,
        entries: status.entries,
        records: status.records,
        pending: status.pending,
        sync: status.sync.into_iter().map(sync).collect(),
        forks: status.forks.into_iter().map(fork).collect(),
        new_logs: status.new_logs.into_iter().map(new_logs).collect(),
        personal: status.personal,
        removed: status.removed.map(|removal| RemovalDto {
            by: removal.by,
            own: removal.own,
            at: rfc3339(removal.at_ms),
        }),
    }
}

fn fork(fork: Fork) -> ForkDto {
    ForkDto { peer_id: fork.device.to_string(), name: fork.name, log: fork.log.to_string(), seq: fork.seq }
}

fn new_logs(found: NewLogs) -> NewLogsDto {
    NewLogsDto { peer_id: found.device.to_string(), name: found.name, times: found.times }
}

pub(crate) fn invitation(invitation: Invitation) -> InviteDto {
    InviteDto {
        id: invitation.id.to_string(),
        expires_at: rfc3339(invitation.expires_at_ms),
        role: invitation.role.to_string(),
        code: invitation.code,
        link: invitation.link,
    }
}

/// How an invitation has ended; `None` if it hasn't.
pub(crate) fn how_it_ended(state: InvitationState) -> Option<&'static str> {
    match state {
        InvitationState::Open => None,
        InvitationState::UsedBy(_) => Some("used"),
        InvitationState::Burnt => Some("burnt"),
        InvitationState::Expired => Some("expired"),
        InvitationState::Withdrawn => Some("withdrawn"),
    }
}

/// An invitation that is over.
pub(crate) fn withdrawn((id, state): (Nameplate, InvitationState)) -> WithdrawnDto {
    WithdrawnDto { id: id.to_string(), state: how_it_ended(state).unwrap_or("withdrawn").to_owned() }
}

pub(crate) fn joined(joined: &Joined) -> JoinedDto {
    JoinedDto { space: space_name(&joined.space), records: joined.records }
}

pub(crate) fn raw(json: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(json).map_err(|error| {
        tracing::error!(%error, "a stored document is not JSON");
        Problem::internal("a stored document is not JSON; `covey doctor` looks for the reason")
    })
}

pub(crate) fn change(change: Change) -> Result<ChangeDto, Problem> {
    let doc = change.doc.map(raw).transpose()?;
    let kind = if doc.is_some() { ChangeKind::Put } else { ChangeKind::Delete };
    Ok(ChangeDto { position: change.position, collection: change.collection, id: change.id, kind, doc })
}

/// What the API tells of an event; `None` for what has to be looked up first, or can't be seen any more.
pub(crate) fn event(event: Event) -> Option<EventKind> {
    Some(match event {
        Event::Message { .. } | Event::ChannelChanged { .. } | Event::Typing { .. } => return None,
        Event::Presence { space, user, state } => EventKind::Presence {
            space: space.to_string(),
            user: user.to_string(),
            state: state.as_str().to_owned(),
        },
        Event::PeerConnected(device) => EventKind::PeerConnected { peer_id: device.to_string() },
        Event::PeerDisconnected(device) => EventKind::PeerDisconnected { peer_id: device.to_string() },
        Event::PeerDiscovered(device) => EventKind::PeerDiscovered { peer_id: device.to_string() },
        Event::SpaceAdded(space) => EventKind::SpaceAdded { space: space.to_string() },
        Event::MemberJoined { space, name, device } => {
            EventKind::MemberJoined { space: space.to_string(), name, peer_id: device.to_string() }
        }
        Event::MembersChanged(space) => EventKind::MembersChanged { space: space.to_string() },
        Event::RecordsChanged { position } => EventKind::RecordsChanged { feed_position: position },
        Event::SyncChanged { space, peer, state } => EventKind::SyncChanged {
            space: space.to_string(),
            peer_id: peer.to_string(),
            state: sync_state(state).to_owned(),
        },
        Event::Delivered { space, device, up_to } => EventKind::Delivered {
            space: space.to_string(),
            peer_id: device.to_string(),
            up_to: up_to.to_string(),
        },
        Event::Removed { space, by } => EventKind::Removed { space: space.to_string(), by },
        Event::ClocksDiffer { device, ahead_ms } => {
            EventKind::ClocksDiffer { peer_id: device.to_string(), ahead_ms }
        }
        Event::EntryHeld { space, device, ahead_ms } => {
            EventKind::EntryHeld { space: space.to_string(), peer_id: device.to_string(), ahead_ms }
        }
        Event::LogForked { space, device, seq } => {
            EventKind::LogForked { space: space.to_string(), peer_id: device.to_string(), seq }
        }
        Event::OwnLogForked { space, seq } => EventKind::OwnLogForked { space: space.to_string(), seq },
        Event::Invitation { space, invitation, state } => EventKind::Invite {
            space: space.to_string(),
            id: invitation.to_string(),
            state: how_it_ended(state)?.to_owned(),
            peer_id: match state {
                InvitationState::UsedBy(device) => Some(device.to_string()),
                _ => None,
            },
        },
        Event::NewLog { space, device } => {
            EventKind::NewLog { space: space.to_string(), peer_id: device.to_string() }
        }
        Event::Revoked { by } => EventKind::Revoked { by: by.map(|by| by.to_string()) },
        Event::PeerMisbehaved { device, reason } => {
            EventKind::PeerMisbehaved { peer_id: device.to_string(), reason }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_790_000_000_123), "2026-09-21T14:13:20.123Z");
        assert!(rfc3339(u64::MAX).starts_with("9999-12-31T23:59:59"));
    }
}

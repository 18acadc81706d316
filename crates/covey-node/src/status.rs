//! What a node tells about itself: plain values, taken at one moment.

use std::time::Duration;

use covey_pair::{InvitationState, Nameplate};
use covey_types::{DeviceId, Hlc, LogId, SpaceId, UserId};

use covey_space::Role;

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The person.
    pub user: UserId,
    /// The person's name as others see it.
    pub user_name: String,
    /// This device; prints as the libp2p peer id.
    pub device: DeviceId,
    /// The device's name as others see it.
    pub device_name: String,
}

/// How far the network reaches.
pub use covey_net::NetworkMode;

/// The node at one moment.
#[derive(Debug, Clone)]
pub struct Status {
    /// Who it is.
    pub identity: Identity,
    /// The version of this build.
    pub version: &'static str,
    /// How long it has been running.
    pub uptime: Duration,
    /// How far its network reaches.
    pub mode: NetworkMode,
    /// The multiaddrs it listens on.
    pub listen: Vec<String>,
    /// Peers that share a space with it, and strangers that are near.
    pub peers: Vec<PeerStatus>,
    /// Its spaces but the personal one.
    pub spaces: Vec<SpaceStatus>,
    /// Whether this device was revoked.
    pub revoked: bool,
    /// Members' devices whose clocks are too far from this one's.
    pub clocks: Vec<ClockStatus>,
}

/// Whether a peer can be talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// There is a connection.
    Connected,
    /// An address is known and was announced or used of late.
    Reachable,
    /// Known, and not to be found.
    Offline,
}

/// The transport of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// QUIC.
    Quic,
    /// TCP with Noise and yamux.
    Tcp,
}

/// One other device.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// Which.
    pub device: DeviceId,
    /// Its name, where a common space tells it.
    pub name: Option<String>,
    /// The name of the person it belongs to.
    pub user_name: Option<String>,
    /// Whether it can be talked to.
    pub state: PeerState,
    /// Over which transport, when connected.
    pub transport: Option<Transport>,
    /// The last measured round trip, when connected.
    pub rtt: Option<Duration>,
    /// The multiaddr in use, or the best one known.
    pub address: Option<String>,
}

/// How a space stands with one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// Both have the same entries, durably.
    InSync,
    /// Entries are being exchanged now.
    Syncing,
    /// Connected, and something is missing that isn't moving; the reason says why.
    Behind,
    /// Not connected.
    Unreachable,
    /// One side refuses; the reason says why.
    Refused,
}

/// One peer's line in a space's sync status.
#[derive(Debug, Clone)]
pub struct SyncStatus {
    /// Which peer.
    pub peer: DeviceId,
    /// How it stands.
    pub state: SyncState,
    /// Entries the peer has, as far as known, and this node lacks.
    pub missing_here: u64,
    /// Entries this node has and the peer, as far as known, lacks.
    pub missing_there: u64,
    /// A sentence for people, whenever the state isn't [`SyncState::InSync`].
    pub reason: Option<String>,
    /// Since when it stands so, milliseconds since 1970; of one that isn't reachable when it was last connected. `None` if
    /// that isn't known: it never was, or the space's parent has put it out.
    pub since_ms: Option<u64>,
}

/// A log that counts up to some place only, since its device wrote two histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// Which device.
    pub device: DeviceId,
    /// What it's called, if that is known.
    pub name: Option<String>,
    /// The log.
    pub log: LogId,
    /// The first place that doesn't count.
    pub seq: u64,
}

/// A device that goes on in a new log: it was restored, set back or copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLogs {
    /// Which device.
    pub device: DeviceId,
    /// What it's called, if that is known.
    pub name: Option<String>,
    /// How many logs it has begun after its first.
    pub times: u64,
}

/// A space at one moment.
#[derive(Debug, Clone)]
pub struct SpaceStatus {
    /// Which.
    pub id: SpaceId,
    /// Its name; of a direct message the names of the others.
    pub name: String,
    /// The space whose child it is, and that one's name.
    pub parent: Option<(SpaceId, String)>,
    /// Which sort of channel of its parent it is, if it's one.
    pub channel: Option<crate::chat::ChannelKind>,
    /// What this device's user may do in it; `None` before the first sync has told.
    pub role: Option<Role>,
    /// How many people are in it.
    pub members: u64,
    /// Entries in all logs.
    pub entries: u64,
    /// Records that aren't deleted, without those that chat is kept in. Of the personal space these are what the user's devices
    /// tell each other.
    pub records: u64,
    /// Logs of devices that wrote two histories.
    pub forks: Vec<Fork>,
    /// Its devices that have begun more than one log.
    pub new_logs: Vec<NewLogs>,
    /// Entries of this device that no other device of the space is known to hold.
    pub pending: u64,
    /// One line per device of the space but this; none when this device is out of it.
    pub sync: Vec<SyncStatus>,
    /// Whether it is this user's own, which holds their devices together.
    pub personal: bool,
    /// How this device came to be out of it, if it is.
    pub removed: Option<Removal>,
}

/// How a device came to be out of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// What the user who did it is called, if they are known.
    pub by: Option<String>,
    /// Whether that was this device's own user.
    pub own: bool,
    /// When, by the clock of the device it was done on, milliseconds since 1970.
    pub at_ms: u64,
}

/// A device whose clock and ours don't agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockStatus {
    /// Which.
    pub device: DeviceId,
    /// Its name.
    pub name: Option<String>,
    /// How far it is ahead of ours, or behind where negative, milliseconds.
    pub ahead_ms: i64,
    /// Entries of it that are held until our clock has come so far.
    pub held: u64,
}

/// A person in a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// The name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their devices in this space, with names.
    pub devices: Vec<(DeviceId, String)>,
}

/// One thing the doctor looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// A short name, stable for scripts: `store`, `clock`, `udp-buffers`.
    pub name: &'static str,
    /// Whether all is well.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do about it, when not ok.
    pub remedy: Option<String>,
}

/// What happened on a node, for those who follow along. Numbered by the API.
#[derive(Debug, Clone)]
pub enum Event {
    /// A peer was connected.
    PeerConnected(DeviceId),
    /// A peer is gone.
    PeerDisconnected(DeviceId),
    /// A peer was seen nearby.
    PeerDiscovered(DeviceId),
    /// A space was made or joined.
    SpaceAdded(SpaceId),
    /// Someone joined a space.
    MemberJoined {
        /// Which space.
        space: SpaceId,
        /// Their name.
        name: String,
        /// Their device.
        device: DeviceId,
    },
    /// Who is in a space, with which role, device or key, has changed.
    MembersChanged(SpaceId),
    /// Records changed; the change feed has them up to `position`.
    RecordsChanged {
        /// The newest position.
        position: u64,
    },
    /// A message is new, or looks otherwise than before.
    Message {
        /// In which space: a channel's own, where it's a private one.
        space: SpaceId,
        /// Which.
        id: String,
        /// Whether it has only just come here, or been written here; otherwise something of it has changed. One that came
        /// with its deletion isn't new.
        is_new: bool,
    },
    /// A channel is new, or something of it has changed: its name, who is in it, or so many messages that they aren't told
    /// of one by one.
    ChannelChanged {
        /// In which space: the channel's own, where it's a private one.
        space: SpaceId,
        /// Which, by its id in that space.
        channel: String,
    },
    /// Somebody is there, or not any more. Never kept.
    Presence {
        /// In which space.
        space: SpaceId,
        /// Who.
        user: UserId,
        /// How they are now.
        state: crate::chat::Presence,
    },
    /// Somebody is typing. Never kept.
    Typing {
        /// In which space: a channel's own, where it's a private one.
        space: SpaceId,
        /// In which channel, by its id in that space.
        channel: String,
        /// Who.
        user: UserId,
    },
    /// How a space stands with a peer changed.
    SyncChanged {
        /// Which space.
        space: SpaceId,
        /// With whom.
        peer: DeviceId,
        /// How it stands now.
        state: SyncState,
    },
    /// Another device holds more, or less, of what this one wrote in a space than before. Told for many entries at once.
    Delivered {
        /// Which space.
        space: SpaceId,
        /// Which device.
        device: DeviceId,
        /// Up to which time it's known to hold durably what this device wrote.
        up_to: Hlc,
    },
    /// This device was put out of a space, or has left it.
    Removed {
        /// Which space.
        space: SpaceId,
        /// What the user who did it is called, if they are known.
        by: Option<String>,
    },
    /// The clocks of a member's device and of this one are too far from each other.
    ClocksDiffer {
        /// Whose.
        device: DeviceId,
        /// How far it is ahead of ours, or behind where negative, milliseconds.
        ahead_ms: i64,
    },
    /// An entry claims to be from the future: what it says of records is held until then; a change of who is in the space counts at once.
    EntryHeld {
        /// Which space.
        space: SpaceId,
        /// Who wrote it.
        device: DeviceId,
        /// How far ahead of our clock.
        ahead_ms: u64,
    },
    /// A device wrote two histories: it was cloned, or lies. Its entries don't count from some place on.
    LogForked {
        /// In which space.
        space: SpaceId,
        /// Which device.
        device: DeviceId,
        /// The first place of its log that doesn't count.
        seq: u64,
    },
    /// This device's own log holds other entries here than elsewhere: a copy of its home was written to.
    OwnLogForked {
        /// In which space.
        space: SpaceId,
        /// A place where it differs.
        seq: u64,
    },
    /// An invitation of this device is over.
    Invitation {
        /// To which space: the personal one for a code that makes a device this user's.
        space: SpaceId,
        /// Which: the public half of its code.
        invitation: Nameplate,
        /// What became of it.
        state: InvitationState,
    },
    /// A device of a space goes on in another log than before: its home was restored, set back or copied. Of this device itself
    /// it's told where others had more of its log than is here, and [`Event::OwnLogForked`] where they had something else.
    NewLog {
        /// In which space.
        space: SpaceId,
        /// Which device; maybe this one.
        device: DeviceId,
    },
    /// This device was revoked by another one of its user's.
    Revoked {
        /// The one that said so; `None` if the entry itself is here.
        by: Option<DeviceId>,
    },
    /// A peer broke the protocol.
    PeerMisbehaved {
        /// Who.
        device: DeviceId,
        /// How.
        reason: String,
    },
}

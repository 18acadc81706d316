//! What travels as JSON between a node and its clients: one definition, used by both ends.
//!
//! The keys are a contract that scripts rely on: keys are added, never renamed or removed. Ids print in
//! base58 (devices as libp2p peer ids), times as RFC 3339 in UTC, sizes in bytes, and a duration carries
//! its unit in its key. A document travels as [`RawValue`], so that it is never re-encoded on the way.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

mod chat;
mod delivery;
mod people;
mod profile;
mod sql;

pub use chat::*;
pub use delivery::*;
pub use people::*;
pub use profile::*;
pub use sql::*;

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityDto {
    /// The person's name.
    pub user: String,
    /// This device's name.
    pub device: String,
    /// This device's id.
    pub peer_id: String,
    /// Twenty characters for two people to compare.
    pub fingerprint: String,
    /// The first bits of it as four words, to be compared by voice.
    #[serde(default)]
    pub words: Vec<String>,
    /// The person's id.
    pub user_id: String,
}

/// The node's own line in [`StatusDto`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDto {
    /// Who it is.
    #[serde(flatten)]
    pub identity: IdentityDto,
    /// The version of the running build.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
}

/// How far the network reaches and where the node listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkDto {
    /// `solo`, `lan` or `wan`.
    pub mode: String,
    /// Multiaddrs.
    pub listen: Vec<String>,
}

/// Another device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerDto {
    /// Its id.
    pub peer_id: String,
    /// Its name, where a common space tells it.
    pub name: Option<String>,
    /// The name of its owner, likewise.
    pub user: Option<String>,
    /// `connected`, `reachable` or `offline`.
    pub state: String,
    /// `direct` or `relayed` when connected.
    pub path: Option<String>,
    /// `quic` or `tcp` when connected.
    pub transport: Option<String>,
    /// The last measured round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// The multiaddr in use, or the best one known.
    pub address: Option<String>,
}

/// How a space stands with one other device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDto {
    /// Which device.
    pub peer_id: String,
    /// `in_sync`, `syncing`, `behind`, `unreachable` or `refused`.
    pub state: String,
    /// Entries it has and this node lacks, as far as known.
    pub missing_here: u64,
    /// Entries this node has and it lacks, as far as known.
    pub missing_there: u64,
    /// Why, in a sentence, whenever not in sync.
    pub reason: Option<String>,
}

/// A space at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceDto {
    /// Its id.
    pub id: String,
    /// Its name; of a direct message the names of the others.
    pub name: String,
    /// The space whose child it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SpaceName>,
    /// Of a child that is a channel of its parent which sort: "private" or "direct".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What this node's user may do in it; `null` before the first sync has told.
    pub role: Option<String>,
    /// How many people are in it.
    pub members: u64,
    /// Entries in all its logs.
    pub entries: u64,
    /// Records that aren't deleted.
    pub records: u64,
    /// Entries written here that no other device is known to hold.
    #[serde(default)]
    pub pending: u64,
    /// One line per other device; none when this node's user or device is out of it.
    pub sync: Vec<SyncDto>,
    /// Whether it is the user's own, which holds their devices together. Told only of that one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub personal: bool,
    /// How this node came to be out of it; `null` if it isn't.
    pub removed: Option<RemovalDto>,
    /// Devices that wrote two histories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<ForkDto>,
}

/// How this node came to be out of a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovalDto {
    /// The name of the user who did it, if it's known.
    pub by: Option<String>,
    /// Whether that is this node's own user.
    pub own: bool,
    /// When, by the clock of the device it was done on.
    pub at: String,
}

/// A device whose clock is too far from this node's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockDto {
    /// Its id.
    pub peer_id: String,
    /// Its name.
    pub name: Option<String>,
    /// How far it is ahead, or behind where negative, in milliseconds.
    pub ahead_ms: i64,
    /// Its entries that are held until their time comes.
    pub held: u64,
}

/// A log that counts up to some place only, since its device wrote two histories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkDto {
    /// Which device.
    pub peer_id: String,
    /// What it's called, if that is known.
    pub name: Option<String>,
    /// The log: `device/incarnation`.
    pub log: String,
    /// The first place that doesn't count.
    pub seq: u64,
}

/// A node at one moment: `GET status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusDto {
    /// The node itself.
    pub node: NodeDto,
    /// Its network.
    pub network: NetworkDto,
    /// The devices it knows.
    pub peers: Vec<PeerDto>,
    /// Its spaces.
    pub spaces: Vec<SpaceDto>,
    /// This user's devices, this one first.
    #[serde(default)]
    pub devices: Vec<OwnDeviceDto>,
    /// Whether this device was revoked by another one of its user's.
    #[serde(default)]
    pub revoked: bool,
    /// Members' devices whose clocks are more than five minutes from this node's.
    #[serde(default)]
    pub clocks: Vec<ClockDto>,
}

/// One thing the doctor looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDto {
    /// A short name, stable for scripts.
    pub name: String,
    /// Whether all is well.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do about it, when not ok.
    pub remedy: Option<String>,
}

/// `GET doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorDto {
    /// Whether every check is.
    pub ok: bool,
    /// The checks.
    pub checks: Vec<CheckDto>,
}

impl From<Vec<CheckDto>> for DoctorDto {
    fn from(checks: Vec<CheckDto>) -> Self {
        Self { ok: checks.iter().all(|check| check.ok), checks }
    }
}

/// `POST spaces`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSpace {
    /// The name, for people.
    pub name: String,
    /// The space whose child it is to be: its id, part of it, or its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// People of that space who are in the child from the start. What they may do is `owner` unless it's said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<NewMember>,
}

/// `POST spaces/{space}/invites`. What isn't given has its default: member, 15 minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewInvite {
    /// `guest`, `member` or `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How long the code lives, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
}

/// An open invitation. Its code is a secret while it lives: shown, never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteDto {
    /// `COVEY-XXXX-XXXX`.
    pub code: String,
    /// The same with addresses, for other networks.
    pub link: String,
    /// When it stops working, RFC 3339.
    pub expires_at: String,
    /// What the invited person may do.
    pub role: String,
}

impl std::fmt::Debug for InviteDto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteDto")
            .field("expires_at", &self.expires_at)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// `POST join`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// A code or a link. Secret while it lives, so this type doesn't print.
    pub code: String,
    /// How long to try, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

/// A space by both its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceName {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A space joined and synced for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedDto {
    /// Which space.
    pub space: SpaceName,
    /// Records in it now.
    pub records: u64,
}

/// A collection: `GET spaces/{space}/collections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionDto {
    /// Its name.
    pub name: String,
    /// Records that aren't deleted.
    pub records: u64,
}

/// `POST .../records`: fields to be merged into a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRecord {
    /// The record's id; a fresh one is made when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A JSON object.
    pub doc: Box<RawValue>,
}

/// A write that is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutDto {
    /// The record's id.
    pub id: String,
    /// When, on the hybrid clock: `milliseconds.counter`.
    pub hlc: String,
}

/// One record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordDto {
    /// Its id.
    pub id: String,
    /// Its document.
    pub doc: Box<RawValue>,
}

/// A page of records, ordered by id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordPage {
    /// The records.
    pub items: Vec<RecordDto>,
    /// The cursor of the next page (`after=`); `null` at the end.
    pub next: Option<String>,
}

/// An import that went through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportDto {
    /// Records written.
    pub records: u64,
    /// Log entries they took.
    pub entries: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It has this document now.
    Put,
    /// It is deleted.
    Delete,
}

/// One line of the change feed: the newest version of a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangeDto {
    /// Where in this node's feed; resume with `since=`.
    pub position: u64,
    /// Which collection.
    pub collection: String,
    /// Which record.
    pub id: String,
    /// Put or delete.
    pub kind: ChangeKind,
    /// The document; `null` for a delete.
    pub doc: Option<Box<RawValue>>,
}

/// `GET spaces/{space}/changes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangePage {
    /// The changes, oldest first.
    pub items: Vec<ChangeDto>,
    /// The cursor of the next page (`since=`); `null` when this reached the present.
    pub next: Option<u64>,
    /// The newest position of the feed.
    pub position: u64,
}

/// An event of the node, as its WebSocket sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDto {
    /// Numbered without end, growing across restarts; resume with `since=`.
    pub position: u64,
    /// When, RFC 3339.
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub event: EventKind,
}

/// What happened on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// Too much was missed to replay it: fetch the state again, then go on from here.
    Reset,
    /// A peer was connected.
    PeerConnected {
        /// Which.
        peer_id: String,
    },
    /// A peer is gone.
    PeerDisconnected {
        /// Which.
        peer_id: String,
    },
    /// A peer was seen nearby.
    PeerDiscovered {
        /// Which.
        peer_id: String,
    },
    /// A space was made or joined.
    SpaceAdded {
        /// Which.
        space: String,
    },
    /// Someone joined a space.
    MemberJoined {
        /// Which space.
        space: String,
        /// Their name.
        name: String,
        /// Their device.
        peer_id: String,
    },
    /// Who is in a space, with which role, device or key, has changed.
    MembersChanged {
        /// Which space.
        space: String,
    },
    /// Records changed; the change feed has them up to this position.
    RecordsChanged {
        /// The newest position of the change feed.
        feed_position: u64,
    },
    /// A message is new, or looks otherwise than before.
    Message {
        /// In which space.
        space: String,
        /// In which channel.
        channel: String,
        /// The message as it is now.
        message: Box<MessageDto>,
    },
    /// A channel is new, or something of it has changed; also told in place of very many messages.
    Channel {
        /// In which space.
        space: String,
        /// Which.
        channel: Box<ChannelDto>,
    },
    /// Somebody is typing.
    Typing {
        /// In which space.
        space: String,
        /// In which channel.
        channel: String,
        /// Who.
        user: String,
    },
    /// Somebody is there, or not any more.
    Presence {
        /// In which space.
        space: String,
        /// Who.
        user: String,
        /// "online", "away" or "offline".
        state: String,
    },
    /// How a space stands with a peer changed.
    SyncChanged {
        /// Which space.
        space: String,
        /// With whom.
        peer_id: String,
        /// How it stands, as in [`SyncDto::state`].
        state: String,
    },
    /// Another device holds more, or less, of what this one wrote than before. Told for many entries at once.
    Delivered {
        /// Which space.
        space: String,
        /// Which device.
        peer_id: String,
        /// Up to which time, as in [`PutDto::hlc`], it holds what this device wrote.
        up_to: String,
    },
    /// This device was put out of a space, or has left it.
    Removed {
        /// Which space.
        space: String,
        /// The name of the user who did it, if it's known.
        by: Option<String>,
    },
    /// The clocks of a member's device and of this one are too far from each other.
    ClocksDiffer {
        /// Whose.
        peer_id: String,
        /// How far it is ahead, or behind where negative, in milliseconds.
        ahead_ms: i64,
    },
    /// An entry is held because it claims to be from the future.
    EntryHeld {
        /// Which space.
        space: String,
        /// Who wrote it.
        peer_id: String,
        /// How far ahead of this node's clock, in milliseconds.
        ahead_ms: u64,
    },
    /// A device wrote two histories: it was cloned, or lies.
    LogForked {
        /// In which space.
        space: String,
        /// Which device.
        peer_id: String,
        /// The first place of its log that doesn't count.
        seq: u64,
    },
    /// This device's own log holds other entries here than elsewhere: an older copy of its home was written to.
    OwnLogForked {
        /// In which space.
        space: String,
        /// A place where it differs.
        seq: u64,
    },
    /// This device was revoked by another one of its user's.
    Revoked {
        /// Which said so; `null` if the signed entry itself is here.
        by: Option<String>,
    },
    /// A peer broke the protocol.
    PeerMisbehaved {
        /// Who.
        peer_id: String,
        /// How.
        reason: String,
    },
    /// Something newer than this client knows.
    #[serde(other)]
    Unknown,
}

/// `POST backup`. Secret, so that this type doesn't print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// The file to be made: an absolute path on the node's machine, at which nothing is.
    pub file: String,
    /// What it is encrypted under.
    pub passphrase: String,
}

impl Drop for BackupRequest {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.passphrase);
    }
}

/// A line of the answer to `POST backup`. The last one is `done` or `failed`; without either, the backup was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BackupLine {
    /// How far it is.
    Progress {
        /// `copying`, then `checking`.
        stage: String,
        /// Bytes of this stage that are done.
        done: u64,
        /// Bytes of it in all.
        total: u64,
    },
    /// It was made, and read back.
    Done {
        /// The file's length.
        bytes: u64,
        /// Spaces in it.
        spaces: u64,
        /// Entries of all logs in it.
        entries: u64,
        /// Records in it that aren't deleted.
        records: u64,
    },
    /// It was not made; no file is left behind.
    Failed {
        /// Why, in a sentence.
        detail: String,
    },
}

/// `POST web-link`: a link that signs one browser in, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebLinkDto {
    /// The link. Secret until it is used, so this type doesn't print.
    pub link: String,
}

/// An error, as RFC 9457 describes it (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemDto {
    /// A stable name of the kind of problem, as a URI reference: `about:blank` or `/problems/NAME`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words.
    pub detail: String,
    /// For an import: the line that is wrong, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// For an import: the records that were written before it, durably.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
}

/// `HOME/api.json`, by which clients on this machine find the node. It holds the token: mode 0600.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiFile {
    /// `http://127.0.0.1:PORT`.
    pub api: String,
    /// The bearer token.
    pub token: String,
    /// The process that serves it.
    pub pid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let event =
            EventDto { position: 7, at: "t".into(), event: EventKind::PeerConnected { peer_id: "p".into() } };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(json, r#"{"position":7,"at":"t","event":"peer_connected","peer_id":"p"}"#);
        assert_eq!(serde_json::from_str::<EventDto>(&json).unwrap(), event);
    }

    #[test]
    fn an_event_of_a_newer_node_is_not_an_error() {
        let event: EventDto =
            serde_json::from_str(r#"{"position":1,"at":"t","event":"tea_ready","pot":3}"#).unwrap();
        assert_eq!(event.event, EventKind::Unknown);
    }

    #[test]
    fn an_invitation_does_not_print_its_code() {
        let invite = InviteDto {
            code: "COVEY-AAAA-BBBB".into(),
            link: "covey://join/x".into(),
            expires_at: "t".into(),
            role: "member".into(),
        };
        assert!(!format!("{invite:?}").contains("AAAA"));
    }
}

//! What happens on the node, as its WebSocket tells it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ChannelDto, JobDto, MessageDto, words};

/// An event of the node, as its WebSocket sends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Event)]
pub struct EventDto {
    /// Numbered without end, growing across restarts; resume with `since=`.
    pub position: u64,
    /// When, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub event: EventKind,
}

/// What happened on a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// A message is new, or looks otherwise than before. Its channel was told of first.
    Message {
        /// In which space.
        space: String,
        /// In which channel.
        channel: String,
        /// Whether it was written just now, or has only just come here; what is told of it later, as an edit or a reaction,
        /// isn't. One that came with its deletion isn't new. What came while its author was away is new when it comes, so
        /// whoever tells people of it looks at `at` too.
        #[serde(rename = "new", default)]
        #[schema(required)]
        is_new: bool,
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
        #[schema(value_type = words::PresenceState)]
        state: String,
    },
    /// How a space stands with a peer changed.
    SyncChanged {
        /// Which space.
        space: String,
        /// With whom.
        peer_id: String,
        /// How it stands.
        #[schema(value_type = words::SyncState)]
        state: String,
    },
    /// Another device holds more, or less, of what this one wrote than before. Told for many entries at once.
    Delivered {
        /// Which space.
        space: String,
        /// Which device.
        peer_id: String,
        /// Up to which time, as in `hlc` of a write, it holds what this device wrote.
        up_to: String,
    },
    /// This device was put out of a space, or has left it.
    Removed {
        /// Which space.
        space: String,
        /// The name of the user who did it, if it's known.
        #[schema(required)]
        by: Option<String>,
    },
    /// The clocks of a member's device and of this one are too far from each other.
    ClocksDiffer {
        /// Whose.
        peer_id: String,
        /// How far it is ahead, or behind where negative, in milliseconds.
        ahead_ms: i64,
    },
    /// An entry claims to be from the future: what it says of records is held until then; a change of who is in the space counts at once.
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
    /// An invitation of this node is over.
    Invite {
        /// To which space; of a code that makes a device this user's their personal one.
        space: String,
        /// Which, as it was given with the code.
        id: String,
        /// What became of it.
        #[schema(value_type = words::InviteState)]
        state: String,
        /// The device that used it; `null` in all other states.
        #[schema(required)]
        peer_id: Option<String>,
    },
    /// A device goes on in another log than before: its home was restored, set back or copied. Nothing is lost by that.
    NewLog {
        /// In which space.
        space: String,
        /// Which device; maybe this one.
        peer_id: String,
    },
    /// This device was revoked by another one of its user's.
    Revoked {
        /// Which said so; `null` if the signed entry itself is here.
        #[schema(required)]
        by: Option<String>,
    },
    /// A peer broke the protocol.
    PeerMisbehaved {
        /// Who.
        peer_id: String,
        /// How.
        reason: String,
    },
    /// A job has begun, has moved on, or has ended. Told a few times a second at most.
    Job {
        /// How it stands now.
        job: Box<JobDto>,
    },
    /// Something newer than this client knows.
    #[serde(other)]
    Unknown,
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
}

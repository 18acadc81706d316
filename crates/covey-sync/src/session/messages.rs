//! What goes into a session and what comes out of it.

use std::sync::Arc;

use covey_log::{Entry, EntryError};
use covey_types::{Head, Heads, LogId, SpaceId, wire::DecodeError};

use super::{ACK_TIMEOUT, GREETING_TIMEOUT};
use crate::{
    frame::{CloseReason, Hello, VERSIONS},
    space::{Offer, Rejection},
};

/// What a session needs to know from the start.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// How many bytes of entries the peer may have under way to here; and as many at most go to the peer unacknowledged,
    /// whatever window it grants, since they are held in memory until it reads.
    pub window_bytes: u32,
    /// Random, new for every session.
    pub nonce: [u8; 32],
    /// Program and version.
    pub agent: String,
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input {
    /// A frame's payload came from the peer.
    Frame(Vec<u8>),
    /// Spaces to find out about. May be given again for further spaces.
    Offer(Vec<Offer>),
    /// A matched space may be shared: how far its logs reach here, durably, and whether the peer may read it.
    Open {
        /// Which.
        space: SpaceId,
        /// Its logs.
        heads: Heads,
        /// Whether entries may be sent. Without, entries are only taken.
        may_send: bool,
    },
    /// The peer turned out to be a member: it may read now.
    Authorise(SpaceId),
    /// The peer isn't a member any more: it's sent nothing further.
    Forbid(SpaceId),
    /// Authors became known: what could not be stored of their logs is wanted again.
    Again(SpaceId),
    /// A matched space is not shared with this peer.
    Refuse(SpaceId),
    /// The entries that [`Output::Load`] asked for, in causal order; fewer, or none, if there are no more.
    Loaded {
        /// Which space.
        space: SpaceId,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// The entries of an [`Output::Ingest`] were dealt with.
    Ingested {
        /// Which space.
        space: SpaceId,
        /// How far the logs concerned reach now, durably.
        durable: Vec<(LogId, Head)>,
        /// Logs of which something could not be stored.
        rejected: Vec<Rejection>,
        /// The bytes of the ingested frame, which the peer may send anew.
        bytes: u32,
    },
    /// An entry was stored here, durably, whether written here or come from elsewhere.
    Appended {
        /// Which space.
        space: SpaceId,
        /// The entry.
        entry: Arc<Entry>,
    },
    /// Logs reach further now, durably: the entries will be asked for.
    Heads {
        /// Which space.
        space: SpaceId,
        /// The logs that moved.
        heads: Vec<(LogId, Head)>,
    },
    /// Time has passed.
    Tick,
    /// The node stops.
    Stop,
}

/// What a session wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this as one frame.
    Send(Vec<u8>),
    /// The peer has greeted; tags can be computed. Answer with [`Input::Offer`].
    Greeted(Hello),
    /// The peer is in this space too. Answer with [`Input::Open`] or [`Input::Refuse`].
    Matched(SpaceId),
    /// Load entries, in causal order. Answer with [`Input::Loaded`].
    Load {
        /// Which space.
        space: SpaceId,
        /// The logs, and from which place on.
        wants: Vec<(LogId, u64)>,
        /// About how many bytes; at least one entry.
        max_bytes: usize,
    },
    /// Check and store these. Answer with [`Input::Ingested`].
    Ingest {
        /// Which space.
        space: SpaceId,
        /// The entries, as they came.
        entries: Vec<Entry>,
        /// To be handed back.
        bytes: u32,
    },
    /// How far the peer's logs reach, as it says: once for each space, before any entry is exchanged in it.
    Theirs {
        /// Which space.
        space: SpaceId,
        /// The logs.
        heads: Vec<(LogId, Head)>,
    },
    /// How the space stands with this peer has changed: see [`Session::view`].
    Changed(SpaceId),
    /// Both sides hold different entries for one place: the author has forked its log.
    Forked {
        /// Which space.
        space: SpaceId,
        /// Which log.
        log: LogId,
        /// What is here.
        mine: Head,
        /// What is there.
        theirs: Head,
    },
    /// The peer ended the session.
    Closed(CloseReason),
}

/// Why a session can't go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A frame is not in the format.
    #[error("the peer sent a malformed frame: {0}")]
    Frame(#[from] DecodeError),
    /// An entry is not in the format.
    #[error("the peer sent a malformed entry: {0}")]
    Entry(EntryError),
    /// A frame that makes no sense at this point.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
    /// No version in common.
    #[error("the peer speaks sync versions {theirs_oldest} to {theirs_newest}, this build {} to {}", VERSIONS.0, VERSIONS.1)]
    Version {
        /// The oldest that the peer speaks.
        theirs_oldest: u16,
        /// The newest.
        theirs_newest: u16,
    },
    /// The peer did not greet in time.
    #[error("the peer did not greet within {} s", GREETING_TIMEOUT.as_secs())]
    Silent,
    /// The peer owes acknowledgements for too long.
    #[error("the peer has not acknowledged anything for {} s", ACK_TIMEOUT.as_secs())]
    Stalled,
}

impl SessionError {
    /// Whether an honest peer of a known version would never have caused this.
    pub const fn is_misbehaviour(&self) -> bool {
        matches!(self, Self::Frame(_) | Self::Entry(_) | Self::Protocol(_))
    }
}

//! What goes into a session and what comes out of it.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use covey_log::{Compared, Entry, EntryError, Frozen};
use covey_types::{Head, Heads, LogId, Signature, SpaceId, wire::DecodeError};

use super::{ACK_TIMEOUT, GREETING_TIMEOUT};
use crate::{
    frame::{CloseReason, Hello, VERSIONS},
    space::{Offer, Rejection},
};

/// Most that is sent at once of what lies apart from its log, bytes.
pub const MAX_AHEAD_BYTES: usize = super::BATCH_BYTES;

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
    /// The wall clock, milliseconds since 1970: shown to the peer, and used for nothing here.
    pub clock_ms: u64,
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
    /// As [`Input::Refuse`], for a peer that was put out and may not have heard of it: it's sent what it takes to know
    /// that, and nothing after.
    Farewell {
        /// Which.
        space: SpaceId,
        /// How far the logs are sent at most, and said to reach.
        heads: Heads,
        /// Whether the peer may go on sending. Whoever is out of the space themself refuses nobody: it may be the peer who knows that
        /// they aren't.
        takes: bool,
    },
    /// The entries that [`Output::Load`] asked for, in causal order; fewer, or none, if there are no more.
    Loaded {
        /// Which space.
        space: SpaceId,
        /// Membership entries that go ahead of their places.
        acts: Vec<Entry>,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// Membership entries that lie apart here from their logs, which have not come to them: they go to the peer as soon as
    /// it may read. [`MAX_AHEAD_BYTES`] of them at most.
    Apart {
        /// Which space.
        space: SpaceId,
        /// The entries, each after those in its past.
        acts: Vec<Entry>,
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
    /// Logs are known to have two histories: what is known of that, and how much of them counts here. Also how far logs reach
    /// now that end elsewhere than they did, or of which more counts than is here: that is asked for.
    Frozen {
        /// Which space.
        space: SpaceId,
        /// What is known.
        lines: Vec<Frozen>,
        /// How far such logs reach now.
        heads: Vec<(LogId, Head)>,
    },
    /// What [`Output::Prove`] asked for, as in `covey_log::fork`; nothing, if there is none.
    Evidence {
        /// Which space.
        space: SpaceId,
        /// The evidence.
        evidence: Option<Vec<u8>>,
    },
    /// What came of comparing a log's histories: an answer to [`Output::Forked`] or [`Output::Compare`], or the first step of
    /// a search that the driver begins.
    Compared {
        /// Which space.
        space: SpaceId,
        /// Which log.
        log: LogId,
        /// What is to be told.
        answer: Compared,
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
        /// The places of logs of which it was not told yet what they say of the membership: where a log is compacted, that goes
        /// ahead.
        ahead: BTreeMap<LogId, RangeInclusive<u64>>,
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
    /// Both sides hold different entries for one place: the author has forked its log. Answer with
    /// [`Input::Compared`], which begins the search for the place where the histories part.
    Forked {
        /// Which space.
        space: SpaceId,
        /// Which log.
        log: LogId,
    },
    /// The peer tells what it has at some places of a log with two histories. Answer with [`Input::Compared`].
    Compare {
        /// Which space.
        space: SpaceId,
        /// Which log.
        log: LogId,
        /// What it has, from lower places to higher ones.
        points: Vec<Head>,
    },
    /// The header of the first entry that differs, as the peer has it. To be checked; answer with [`Input::Ingested`].
    Branch {
        /// Which space.
        space: SpaceId,
        /// The header's bytes.
        header: Vec<u8>,
        /// Its signature.
        signature: Signature,
        /// To be handed back.
        bytes: u32,
    },
    /// The peer lacks the evidence for a log. Answer with [`Input::Evidence`].
    Prove {
        /// Which space.
        space: SpaceId,
        /// Which log.
        log: LogId,
    },
    /// What the peer knows of a log with two histories. To be checked; answer with [`Input::Ingested`].
    Evidence {
        /// Which space.
        space: SpaceId,
        /// As in `covey_log::fork`.
        evidence: Vec<u8>,
        /// To be handed back.
        bytes: u32,
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

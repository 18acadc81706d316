//! The messages of `/covey/sync/1`: a kind (one byte), then its fields in postcard.
//!
//! Spaces are named by their place in the list of tags that the *sender* of a frame has offered, so no
//! space id ever crosses the wire. Logs are named by the place at which the sender of the *entries* introduced them.

use covey_log::{
    ForkLine,
    fork::{MAX_EVIDENCE_BYTES, MAX_POINTS},
};
use covey_types::{
    Head, LogId, Signature,
    limits::{MAX_LOGS_PER_SPACE, MAX_SPACES_PER_SESSION, MAX_SYNC_FRAME_BYTES},
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};

/// What one side shows for one space; see `covey-space`.
pub type Tag = [u8; 16];

/// The oldest and newest protocol version that this build speaks.
pub const VERSIONS: (u16, u16) = (1, 1);

/// Longest name of a program in a greeting, bytes.
const MAX_AGENT_BYTES: usize = 128;

/// Most tags in one offer: the spaces of a session, padded to a power of two.
const MAX_TAGS: usize = 2 * MAX_SPACES_PER_SESSION;

const _: () = assert!(MAX_TAGS * 16 + 16 <= crate::framing::MAX_STRANGER_FRAME_BYTES, "an offer always fits");

/// The first message of each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The oldest version that the sender speaks.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
    /// One bit per optional ability; none is defined yet. Unknown bits are ignored.
    pub capabilities: u64,
    /// How many bytes of entries the receiver of this greeting may have under way.
    pub window: u32,
    /// Makes the tags of this session different from those of all others.
    pub nonce: [u8; 32],
    /// Program and version, for people.
    pub agent: String,
    /// What the sender's clock says, milliseconds since 1970: so that people hear of one that is wrong. Nothing is decided
    /// by it.
    pub clock_ms: u64,
}

/// Why a side ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseReason {
    /// The node stops.
    Stopping,
    /// No version in common.
    Version,
    /// The other side broke the protocol.
    Protocol,
    /// The other side did not move for too long.
    Stalled,
}

/// How one log of the sender reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadLine {
    pub(crate) log: LogId,
    pub(crate) head: Head,
}

/// Up to where one log is durable at the sender of the acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AckLine {
    /// The place at which the receiver of the acknowledgement introduced the log.
    pub(crate) log: u32,
    pub(crate) seq: u64,
}

/// From which place on the receiver is to send a log again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AgainLine {
    pub(crate) log: LogId,
    pub(crate) from: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Hello(Hello),
    /// More tags, behind those offered so far.
    Offer(Vec<Tag>),
    /// All logs of a space, once, when both sides know that they share it.
    Heads {
        space: u32,
        heads: Vec<HeadLine>,
    },
    /// Entries, packed; see [`crate::space`].
    Entries {
        space: u32,
        packed: &'a [u8],
    },
    /// Membership entries ahead of their places, packed in the same way: the logs haven't come to them.
    Acts {
        space: u32,
        packed: &'a [u8],
    },
    /// What is durable, and how many bytes the receiver may send again.
    Ack {
        space: u32,
        lines: Vec<AckLine>,
        credit: u32,
    },
    /// The sender will not share this space with the receiver.
    Refused {
        space: u32,
    },
    Close(CloseReason),
    /// Send these logs again: what came of them could not be stored then, and can be now.
    Again {
        space: u32,
        lines: Vec<AgainLine>,
    },
    /// Logs of which the sender knows that they have two histories.
    Forks {
        space: u32,
        lines: Vec<ForkLine>,
    },
    /// The sender lacks the evidence for this one.
    Prove {
        space: u32,
        log: LogId,
    },
    /// What there is to know of such a log, as in `covey_log::fork`.
    Evidence {
        space: u32,
        evidence: &'a [u8],
    },
    /// What the sender has at some places of a log of which the two sides have different histories.
    Compare {
        space: u32,
        log: LogId,
        points: Vec<Head>,
    },
    /// The header, at the sender, of the first entry that differs.
    Branch {
        space: u32,
        header: Vec<u8>,
        signature: Signature,
    },
}

const HELLO: u8 = 0;
const OFFER: u8 = 1;
const HEADS: u8 = 2;
const ENTRIES: u8 = 3;
const ACK: u8 = 4;
const REFUSED: u8 = 5;
const CLOSE: u8 = 6;
const AGAIN: u8 = 7;
const FORKS: u8 = 8;
const PROVE: u8 = 9;
const EVIDENCE: u8 = 10;
const COMPARE: u8 = 11;
const BRANCH: u8 = 12;
const ACTS: u8 = 13;

impl<'a> Frame<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, fields) = match self {
            Self::Hello(hello) => (HELLO, wire::encode(hello)),
            Self::Offer(tags) => (OFFER, wire::encode(tags)),
            Self::Heads { space, heads } => (HEADS, wire::encode(&(space, heads))),
            Self::Entries { space, packed } => (ENTRIES, [&wire::encode(space), *packed].concat()),
            Self::Acts { space, packed } => (ACTS, [&wire::encode(space), *packed].concat()),
            Self::Ack { space, lines, credit } => (ACK, wire::encode(&(space, lines, credit))),
            Self::Refused { space } => (REFUSED, wire::encode(space)),
            Self::Close(reason) => (CLOSE, wire::encode(reason)),
            Self::Again { space, lines } => (AGAIN, wire::encode(&(space, lines))),
            Self::Forks { space, lines } => (FORKS, wire::encode(&(space, lines))),
            Self::Prove { space, log } => (PROVE, wire::encode(&(space, log))),
            Self::Evidence { space, evidence } => (EVIDENCE, [&wire::encode(space), *evidence].concat()),
            Self::Compare { space, log, points } => (COMPARE, wire::encode(&(space, log, points))),
            Self::Branch { space, header, signature } => (BRANCH, wire::encode(&(space, header, signature))),
        };
        [&[kind], fields.as_slice()].concat()
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (kind, rest) =
            bytes.split_first().ok_or_else(|| DecodeError::malformed("a frame", "it is empty"))?;
        let max = MAX_SYNC_FRAME_BYTES;
        match *kind {
            HELLO => {
                let hello: Hello = wire::decode("a greeting", rest, 1024)?;
                bounded("the name of a program", hello.agent.len(), MAX_AGENT_BYTES)?;
                Ok(Self::Hello(hello))
            }
            OFFER => {
                let tags: Vec<Tag> = wire::decode("an offer", rest, max)?;
                bounded("an offer", tags.len(), MAX_TAGS)?;
                Ok(Self::Offer(tags))
            }
            HEADS => {
                let (space, heads): (u32, Vec<HeadLine>) = wire::decode("heads", rest, max)?;
                bounded("a list of logs", heads.len(), MAX_LOGS_PER_SPACE)?;
                Ok(Self::Heads { space, heads })
            }
            ENTRIES | ACTS => {
                let (space, packed) =
                    postcard::take_from_bytes(rest).map_err(|err| DecodeError::malformed("entries", err))?;
                Ok(if *kind == ACTS { Self::Acts { space, packed } } else { Self::Entries { space, packed } })
            }
            ACK => {
                let (space, lines, credit): (u32, Vec<AckLine>, u32) =
                    wire::decode("an acknowledgement", rest, max)?;
                bounded("an acknowledgement", lines.len(), MAX_LOGS_PER_SPACE)?;
                Ok(Self::Ack { space, lines, credit })
            }
            REFUSED => Ok(Self::Refused { space: wire::decode("a refusal", rest, 16)? }),
            CLOSE => Ok(Self::Close(wire::decode("a closing", rest, 16)?)),
            AGAIN => {
                let (space, lines): (u32, Vec<AgainLine>) = wire::decode("a wish for entries", rest, max)?;
                bounded("a wish for entries", lines.len(), MAX_LOGS_PER_SPACE)?;
                Ok(Self::Again { space, lines })
            }
            FORKS..=BRANCH => Self::decode_forks(*kind, rest),
            other => Err(DecodeError::malformed("a frame", format!("kind {other} is not known"))),
        }
    }
}

impl<'a> Frame<'a> {
    fn decode_forks(kind: u8, rest: &'a [u8]) -> Result<Self, DecodeError> {
        /// Longest of these beside evidence: a header, or a search's places, with room.
        const MAX_SHORT: usize = 8 << 10;
        match kind {
            FORKS => {
                let (space, lines): (u32, Vec<ForkLine>) =
                    wire::decode("a list of forks", rest, MAX_SYNC_FRAME_BYTES)?;
                bounded("a list of forks", lines.len(), MAX_LOGS_PER_SPACE)?;
                Ok(Self::Forks { space, lines })
            }
            PROVE => {
                let (space, log) = wire::decode("a wish for a proof", rest, MAX_SHORT)?;
                Ok(Self::Prove { space, log })
            }
            EVIDENCE => {
                let (space, evidence): (u32, &[u8]) = postcard::take_from_bytes(rest)
                    .map_err(|err| DecodeError::malformed("evidence of a fork", err))?;
                bounded("evidence of a fork", evidence.len(), MAX_EVIDENCE_BYTES)?;
                Ok(Self::Evidence { space, evidence })
            }
            COMPARE => {
                let (space, log, points): (u32, LogId, Vec<Head>) =
                    wire::decode("the places of a log", rest, MAX_SHORT)?;
                bounded("the places of a log", points.len(), MAX_POINTS)?;
                Ok(Self::Compare { space, log, points })
            }
            _ => {
                let (space, header, signature) = wire::decode("the branch of a log", rest, MAX_SHORT)?;
                Ok(Self::Branch { space, header, signature })
            }
        }
    }
}

fn bounded(what: &'static str, len: usize, max: usize) -> Result<(), DecodeError> {
    if len > max { Err(DecodeError::TooLong { what, len, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use covey_types::{DeviceId, EntryHash, Incarnation};
    use proptest::prelude::*;

    use super::*;

    /// A line for each kind of frame, as this version of the protocol has had it from its beginning.
    const RECORDED: &str = include_str!("frame/recorded-v1.txt");

    #[test]
    fn every_frame_reads_back_and_is_on_the_wire_what_it_always_was() {
        let log = LogId { device: DeviceId([1; 32]), incarnation: Incarnation(2) };
        let head = Head { seq: 3, hash: EntryHash([4; 32]) };
        let hello = Hello {
            oldest: 1,
            newest: 2,
            capabilities: 3,
            window: 4,
            nonce: [5; 32],
            agent: "covey/0.1".into(),
            clock_ms: 6,
        };
        let frames = [
            Frame::Hello(hello),
            Frame::Offer(vec![[6; 16]; 4]),
            Frame::Heads { space: 1, heads: vec![HeadLine { log, head }] },
            Frame::Entries { space: 300, packed: b"abc" },
            Frame::Acts { space: 300, packed: b"abc" },
            Frame::Ack { space: 1, lines: vec![AckLine { log: 0, seq: 9 }], credit: 77 },
            Frame::Refused { space: 2 },
            Frame::Close(CloseReason::Stalled),
            Frame::Again { space: 3, lines: vec![AgainLine { log, from: 4 }] },
            Frame::Forks { space: 3, lines: vec![ForkLine { log, from: 4, parts: 4, voids: [5; 16] }] },
            Frame::Prove { space: 300, log },
            Frame::Evidence { space: 300, evidence: b"abc" },
            Frame::Compare { space: 3, log, points: vec![head; MAX_POINTS] },
            Frame::Branch { space: 3, header: vec![6; 2300], signature: Signature([7; 64]) },
        ];
        let mut on_the_wire = String::new();
        for frame in frames {
            let bytes = frame.encode();
            assert_eq!(Frame::decode(&bytes).unwrap(), frame);
            on_the_wire.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
            on_the_wire.push('\n');
        }
        assert_eq!(on_the_wire, RECORDED);
    }

    #[test]
    fn a_frame_of_unknown_kind_is_refused() {
        assert!(Frame::decode(&[99, 1, 2, 3]).is_err());
        assert!(Frame::decode(&[]).is_err());
    }

    proptest! {
        #[test]
        fn hostile_frames_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..14) {
            let _ = Frame::decode(&bytes);
            let _ = Frame::decode(&[&[kind], bytes.as_slice()].concat());
        }
    }
}

//! The messages, as they travel: postcard, one per frame of the stream.
//!
//! New messages and reasons go to the end of their enums; a message never changes.

use covey_types::{limits::MAX_PAIR_MESSAGE_BYTES, wire};
use serde::{Deserialize, Serialize};

use crate::PairError;

/// The version that this code speaks.
pub(crate) const VERSION: u16 = 1;

/// A SPAKE2 message without the byte that says which side it is from: that follows from the message.
pub(crate) type Element = [u8; 32];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    Start {
        version: u16,
        nameplate: u32,
        element: Element,
    },
    Reply {
        element: Element,
    },
    Refused {
        reason: Refusal,
    },
    Confirm {
        mac: [u8; 32],
        sealed: Vec<u8>,
    },
    Accept {
        mac: [u8; 32],
        sealed: Vec<u8>,
    },
    Done {
        mac: [u8; 32],
    },
    /// As `Start`, to become a device of the inviter's user.
    Link {
        version: u16,
        nameplate: u32,
        element: Element,
    },
    Ask {
        mac: [u8; 32],
        sealed: Vec<u8>,
    },
    Answer {
        mac: [u8; 32],
        sealed: Vec<u8>,
    },
}

/// Why an inviter says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It has no invitation with this nameplate.
    #[error("the device has no invitation with this code")]
    UnknownNameplate,
    /// The invitation ended.
    #[error("the code has expired; ask for a new one")]
    Expired,
    /// Too many wrong guesses.
    #[error("the code was guessed wrong too often and is burnt; ask for a new one")]
    Burnt,
    /// Try again in a moment.
    #[error("the device is busy with other invitations; try again")]
    Busy,
    /// It doesn't speak this version.
    #[error("the device speaks another version of pairing; update the older of the two")]
    Version,
    /// The nameplate is right, the rest of the code isn't.
    #[error("the code is wrong; check its last four characters")]
    WrongCode,
    /// Another device has joined with this code.
    #[error("another device has used the code already; ask for a new one")]
    Used,
    /// The inviter could not or would not go through with it.
    #[error("the device declined")]
    Declined,
    /// The code is for something else.
    #[error(
        "the code is of the other kind: `covey join` takes codes of `covey invite`, and `covey device join` those of \
         `covey device link`"
    )]
    OtherPurpose,
    /// The joiner's user is in the space already, with other devices.
    #[error(
        "you are in that space already, with another of your devices; add this one there with `covey device link`"
    )]
    InAlready,
}

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PairError> {
        Ok(wire::decode("a pairing message", bytes, MAX_PAIR_MESSAGE_BYTES)?)
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "Start",
            Self::Reply { .. } => "Reply",
            Self::Refused { .. } => "Refused",
            Self::Confirm { .. } => "Confirm",
            Self::Accept { .. } => "Accept",
            Self::Done { .. } => "Done",
            Self::Link { .. } => "Link",
            Self::Ask { .. } => "Ask",
            Self::Answer { .. } => "Answer",
        }
    }

    pub(crate) const fn unexpected(&self, expected: &'static str) -> PairError {
        PairError::Unexpected { expected, got: self.name() }
    }
}

//! Pairing two devices by a short code that one person reads to the other.
//!
//! The devices already have an authenticated channel (each knows the other's key) but no reason to
//! trust each other. The code gives that reason: SPAKE2 (RFC 9382's scheme in the form of the `spake2`
//! crate, Ed25519 group) turns 20 secret bits into a strong key without letting anyone try codes
//! offline. One run is one guess, and [`covey_types::limits::MAX_WRONG_GUESSES`] wrong ones burn the code.
//!
//! ```text
//!   joiner                                         inviter
//!     Start { version, nameplate, X }       ->
//!                                           <-     Reply { Y }             or Refused { reason }
//!     Confirm { mac, sealed(request) }      ->
//!                                           <-     Accept { mac, sealed(welcome, terms) }   or Refused
//!     Done { mac }                          ->
//! ```
//!
//! An invitation is to a space or, with a first message of its own (`Link`), to be a further device of the inviter's
//! user; see [`Purpose`]. For the latter the inviter may ask something between Confirm and Accept (`Ask`, `Answer`).
//!
//! All keys come from the SPAKE2 key and a transcript of version, nameplate, both device ids and both
//! SPAKE2 messages; each direction has its own, so that a message sent back to its sender is worthless.
//! What is said inside is sealed: a device in the middle that doesn't know the code learns who talks, no more.
//!
//! **Driving it.** [`Joiner::start`] gives the first message; [`Inviter::new`] waits for it. Feed each
//! message that arrives to `handle`, send what the [`Step`] has to send, act on its outcome. After
//! [`InviterOutcome::Request`] the caller makes the welcome in its own time and sends what
//! [`Inviter::accept`] gives. An error or a final outcome ends the session: drop it and close the stream.
//! Time-outs are the caller's; time comes in as `now_ms`. The crate has no clock, sockets or tasks.
//! Codes and SPAKE2's scalars are drawn from the operating system.
//!
//! | module | what it holds |
//! |---|---|
//! | [`code`] | [`Code`]: what people read to each other |
//! | [`link`] | [`Link`]: the same as a link or QR code, with where to find the inviter |
//! | [`invitations`] | [`Invitations`]: which codes are open, and what became of them |
//! | [`joiner`], [`inviter`] | the two sides |

pub mod code;
pub mod invitations;
pub mod inviter;
pub mod joiner;
pub mod link;
mod message;
mod transcript;

use covey_types::{SpaceId, wire::DecodeError};
use serde::{Deserialize, Serialize};

pub use code::{Code, CodeError, Nameplate};
pub use invitations::{Happening, Invitation, InvitationState, Invitations, InviteError, News};
pub use inviter::{Inviter, InviterOutcome};
pub use joiner::{Joiner, JoinerOutcome};
pub use link::{Link, LinkError};
pub use message::Refusal;

/// What a code is for. It's part of what both sides confirm, so that none is taken for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// To let somebody into a space.
    Space,
    /// To make a device one of the inviter's user's own.
    Device,
}

/// What someone is invited to. Both sides confirm it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The space.
    pub space: SpaceId,
    /// The role in it, as the space's own rules number them.
    pub role: u8,
    /// When the invitation ends, milliseconds since 1970.
    pub expires_at_ms: u64,
}

/// What to do after a message was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<O> {
    /// Send this to the other side.
    pub send: Option<Vec<u8>>,
    /// This has come out.
    pub outcome: Option<O>,
}

impl<O> Step<O> {
    fn send(message: Vec<u8>) -> Self {
        Self { send: Some(message), outcome: None }
    }

    fn outcome(outcome: O) -> Self {
        Self { send: None, outcome: Some(outcome) }
    }
}

/// Why a session broke off without an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// The other side sent something that isn't a message.
    #[error("pairing: the other side sent something else than a message")]
    Decode(#[from] DecodeError),
    /// The other side sent a message out of turn.
    #[error("pairing: the other side sent {got} where {expected} was expected")]
    Unexpected {
        /// The message that was due.
        expected: &'static str,
        /// The one that came.
        got: &'static str,
    },
    /// The SPAKE2 part of a message isn't a point of the group.
    #[error("pairing: the key exchange failed: {0}")]
    KeyExchange(&'static str),
    /// The other side doesn't know the code, or a third one changed what was said.
    #[error("pairing: the other side could not confirm the code; someone may be in between")]
    NotConfirmed,
    /// What the caller wants to send doesn't fit a message.
    #[error("pairing: {what} of {len} bytes is longer than the limit of {max}")]
    TooLong {
        /// "a join request" or "a welcome".
        what: &'static str,
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// The session is over, or isn't yet where this may be done.
    #[error("pairing: this session can't do that {0}")]
    OutOfTurn(&'static str),
}

#[cfg(test)]
mod tests;

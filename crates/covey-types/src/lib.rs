//! Ids, keys, clocks, heads and limits: the vocabulary that every Covey crate shares.
//!
//! This crate is pure: no input or output, no async, no clock of its own. Time arrives as an argument.
//! The only source of randomness is [`getrandom`], used where a key or a nonce is made. (Simulations may have it drawn
//! again, by the feature `replay`.)
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`] | [`DeviceId`], [`UserId`], [`SpaceId`], [`EntryHash`], [`EpochId`], [`LogId`] |
//! | [`keys`] | Ed25519 device and user keys, [`keys::SecretBytes`] |
//! | [`hlc`] | the hybrid logical clock |
//! | [`heads`] | how far each log reaches: version vectors with hashes |
//! | [`limits`] | every bound that two nodes must agree on |
//! | `verify` | what makes a signature good, alone or among many |
//! | [`size`] | numbers of bytes, as people read them |
//! | [`words`] | words by which people tell devices apart |
//! | [`wire`] | how values become bytes, and how hostile bytes become values |

pub mod heads;
pub mod hlc;
pub mod ids;
pub mod keys;
pub mod limits;
#[cfg(feature = "replay")]
pub mod replay;
pub mod size;
mod verify;
pub mod wire;
pub mod words;

pub use heads::{Head, Heads};
pub use hlc::{Hlc, HlcClock, TooFarAhead};
pub use ids::{DeviceId, EntryHash, EpochId, Incarnation, LogId, ParseIdError, SpaceId, UserId};
pub use keys::{DeviceSecret, SecretBytes, Signature, UserSecret};
pub use size::ByteSize;

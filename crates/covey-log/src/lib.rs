//! Log entries: signed, chained, encrypted transactions.
//!
//! An entry is a [`Header`], the author's signature over the header's bytes, and a sealed body whose
//! hash the header holds. Entries of one log form a hash chain with gapless sequence numbers. The bytes
//! that were signed are what is stored and forwarded; they are never encoded a second time for checking.
//!
//! | module | what it does |
//! |---|---|
//! | [`entry`] | makes, decodes and checks entries |
//! | [`seal`] | compresses and encrypts bodies under an epoch's key |
//! | [`fork`] | proofs that a device wrote two histories, and what goes with them |
//! | [`delta`] | packs entries for the wire against the previous entry of the same log |
//!
//! Driving contract: a writer calls [`seal::seal`], then [`Entry::sign`] with the head of its log. A
//! receiver calls [`Entry::decode`] (or [`delta::Context::decode`]), then [`Entry::verify`], then [`Entry::follows`]
//! with the head it has; only an entry that passed all three may be stored. Whether the author may
//! write at all is not known here: that is `covey-space`'s part.

pub mod delta;
pub mod entry;
pub mod fork;
pub mod seal;

pub use entry::{ChainError, Draft, Entry, EntryError, Header, Kind};
pub use fork::{Compared, Evidence, ForkError, ForkLine, ForkProof, Frozen, SignedHeader};
pub use seal::{BodyContext, EpochKey, MembershipKey, OpenError, Opener, open, seal};

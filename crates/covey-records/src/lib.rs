//! The data that log entries carry: records with registers, counters and sets.
//!
//! Everything here is a join of max-registers. Operations may arrive in any order and any number of
//! times, and every replica ends with the same bytes. The crate is pure: no input or output, no
//! clock, no randomness; stamps and logs come in as arguments.
//!
//! | module | what it holds |
//! |---|---|
//! | [`checkpoint`] | what of a log still counts, once more |
//! | [`filter`] | which records a query wants |
//! | [`ops`] | what an entry says about records, and how that becomes bytes |
//! | [`own`] | records of which only one device may write |
//! | [`record`] | one record: everything that was said about it, merged |
//! | [`json`] | what counts as a value |
//! | [`stamp`] | what last-writer-wins goes by |

mod bytes;
pub mod checkpoint;
pub mod filter;
pub mod json;
pub mod ops;
pub mod own;
pub mod record;
pub mod stamp;

pub use checkpoint::{Atom, Part, PartWriter, Word};
pub use filter::{Compare, Filter, FilterError};
pub use ops::{BodyReader, BodyWriter, Observed, ObservedElement, Op, OpError, RecordId, Tally};
pub use record::{Reach, Record, StateError, Written, fresh_put_parts};
pub use stamp::{Devices, Stamp};

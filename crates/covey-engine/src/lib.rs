//! One replica of the spaces of a device: entries appended, ingested, judged and applied.
//!
//! The engine is where the cores and the rows meet. It's the same in a node, over the store's transactions, and in
//! the simulator, over a model of them. It does no input or output of its own, asks no clock and starts no threads
//! (but one, to check signatures on two cores).
//!
//! | module | what it holds |
//! |---|---|
//! | [`engine`] | [`Engine`]: what is kept in memory of the rows; founding and entering spaces |
//! | [`backend`] | what is asked of the rows |
//! | [`space`] | one space in memory |
//! | [`prepare`] | signatures checked and bodies opened, before the writer is needed |
//! | `ingest` | entries of others: stored, held, applied |
//! | `own` | entries of this device |
//! | [`incarnation`] | when this device begins a new log of its own |
//! | [`acts`] | who is let in, put out, promoted; keys rotated and shared |
//! | `judge` | entries judged again when the membership has changed, and records rebuilt without them |
//! | `apply` | operations turned into rows |
//! | [`load`] | reading back: membership, and entries for a peer |
//!
//! Driving contract: every method that takes rows runs inside one transaction. If that transaction is not committed
//! after all, call [`Engine::reload`] before anything else: memory has moved and the rows have not.

pub mod acts;
mod apply;
pub mod backend;
mod devices;
pub mod engine;
pub mod error;
pub mod identity;
pub mod incarnation;
mod ingest;
mod judge;
pub mod load;
mod logs;
mod own;
#[cfg(feature = "planted")]
pub mod planted;
pub mod prepare;
pub mod space;

pub use acts::Chores;
pub use apply::{MAX_MERGED_BYTES, load_record};
pub use backend::{AnyRows, Rows, RowsMut};
pub use engine::{Engine, Ingested};
pub use error::EngineError;
pub use identity::{Profile, Secrets};
pub use incarnation::{LookBack, OwnFork, begin_anew, own_forks};
pub use load::{load_acts, load_for_peer};
pub use prepare::{Prepared, prepare};
pub use space::{HoldReason, SpaceInfo, SpaceState};

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
//! | [`forks`] | logs with two histories: frozen, rolled back |
//! | `ends` | up to where they count all the same, since somebody put their author out |
//! | `search` | where two histories of a log part |
//! | `roles` | what somebody was when they wrote something |
//! | `rewrite` | what this device wrote into a history that doesn't count, written again |
//! | `ingest` | entries of others: stored, held, applied |
//! | `own` | entries of this device |
//! | [`incarnation`] | when this device begins a new log of its own |
//! | [`acts`] | who is let in, put out, promoted; keys rotated and shared |
//! | [`children`] | child spaces: made, joined through the parent, kept in step with it |
//! | `notices` | news of children, sealed in the parent's log |
//! | `judge` | entries judged again when the membership has changed, and records rebuilt without them |
//! | `apply` | operations turned into rows |
//! | [`compact`] | what of logs was superseded is dropped, once everybody has seen that it was |
//! | [`personal`] | a user's own space, and their devices in all others |
//! | [`reach`] | how much of what each device wrote a peer holds that has the logs up to some places |
//! | [`load`] | reading back: membership, and entries for a peer |
//!
//! Driving contract: every method that takes rows runs inside one transaction. If that transaction is not committed
//! after all, call [`Engine::reload`] before anything else: memory has moved and the rows have not.

pub mod acts;
mod apply;
pub mod backend;
pub mod children;
mod clock;
pub mod compact;
mod devices;
mod ends;
pub mod engine;
pub mod error;
pub mod fold;
mod forks;
pub mod identity;
pub mod incarnation;
mod ingest;
mod judge;
pub mod load;
mod logs;
mod notices;
mod own;
pub mod personal;
#[cfg(feature = "planted")]
pub mod planted;
pub mod prepare;
pub mod reach;
mod rewrite;
mod roles;
mod search;
pub mod space;
mod wanted;

pub use acts::Chores;
pub use apply::{MAX_MERGED_BYTES, load_record};
pub use backend::{AnyRows, Rows, RowsMut};
pub use children::Deeds;
pub use engine::{Engine, Ingested};
pub use error::EngineError;
pub use identity::{Profile, Secrets};
pub use incarnation::{LookBack, OwnFork, begin_anew, own_forks};
pub use ingest::MAX_UNKNOWN_LOGS;
pub use load::{
    Batch, load_acts, load_acts_ahead, load_all_acts, load_apart, load_evidence, load_farewell,
    load_for_peer, load_from_future, load_new_logs, load_void_acts,
};
pub use personal::{OwnDevices, personal_space, set_personal_space};
pub use prepare::{Prepared, prepare};
pub use reach::Reaches;
pub use rewrite::unwritten;
pub use search::{compare, differing, points};
pub use space::{HoldReason, SpaceInfo, SpaceState};

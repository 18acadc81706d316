//! The store of one node: one encrypted SQLite file, one writer, many readers.
//!
//! What it keeps are opaque bytes: it knows ids, sequence numbers, hashes and positions, and nothing of
//! what is signed, sealed or merged. The cores decide; the store makes it last.
//!
//! Invariants:
//! - **Acknowledged means durable.** [`Store::write`] answers only after the transaction that holds the
//!   change has been committed and fsynced. Changes that arrive together share one commit.
//! - **All or nothing.** A closure given to [`Store::write`] is done as a whole or not at all, whatever
//!   becomes of the others in its commit.
//! - **Logs are gapless.** An entry is taken only when it follows the head of its log.
//! - **Positions never come back.** Every change of a record gets a number larger than all before, over
//!   restarts and removals too.
//! - **Nothing is touched on a wrong key.** A key is checked before the database is opened, and a file
//!   that is damaged or too new is found out before anything is written.
//!
//! | module | what it holds |
//! |---|---|
//! | [`store`] | [`Store`]: opening, writing, reading, closing |
//! | [`error`] | everything that can go wrong |
//! | [`tx`] | [`Reader`] and [`Tx`]: what closures are given |
//! | `tables` | what can be asked and changed, one file per group of tables |
//! | [`sql`] | queries over the records of one space, written by others |
//! | [`backup`] | the whole store in one file, and back |
//! | `home`, `key` | the folder, its lock, the key and the passphrase |
//! | `connection`, `schema` | SQLCipher connections, numbered migrations |
//! | `writer`, `pool` | the writing thread with group commit; the reading connections |

pub mod backup;
mod connection;
pub mod ending;
mod error;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod home;
mod key;
mod pool;
mod schema;
pub mod sql;
pub mod store;
mod tables;
pub mod tx;
mod writer;

pub use error::{OpenError, StoreError, WriteError};
pub use key::{Unlock, exists, needs_passphrase};
pub use schema::SCHEMA_VERSION;
pub use store::Store;
pub use tables::{
    Change, ChatFound, ChatKey, ChatMark, ChatMessage, ChatPage, ChatReaction, ChatRole, ChatUnread,
    CollectionKey, CollectionRow, ForkRow, HeldRow, LogKey, LogRow, Moved, NewEnd, NewEntry, PAIRING_KEPT,
    PERSONAL_SPACE, Page, PageSize, PairingKind, PairingRow, RecordRow, RecordState, SpaceKey, SpaceRow,
    StoredEntry,
};
pub use tx::{Reader, Tx};

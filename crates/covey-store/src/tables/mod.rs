//! The tables: what can be asked of a [`Reader`](crate::Reader) and changed by a [`Tx`](crate::Tx).
//!
//! | module | tables |
//! |---|---|
//! | `spaces` | meta, spaces |
//! | `logs` | logs, entries |
//! | `compaction` | entries of logs that don't begin at place 1 |
//! | `forks` | forks, set_aside |
//! | `places` | entries, by their headers alone |
//! | `membership` | membership, held |
//! | `records` | collections, records, the change feed |
//! | `chat` | what chat's records come to, and drafts |
//! | `chat_marks` | read marks, and what is unread |
//! | `pairing` | what became of invitations |
//! | `query` | lists of records, filtered |

mod chat;
mod chat_marks;
mod compaction;
mod forks;
mod logs;
mod membership;
mod pairing;
mod places;
mod query;
mod records;
mod spaces;

use std::fmt;

pub use chat::{ChatFound, ChatKey, ChatMessage, ChatPage, ChatReaction, ChatRole, Moved};
pub use chat_marks::{ChatMark, ChatUnread};
pub use forks::{ForkRow, NewEnd};
pub use logs::{LogRow, NewEntry, StoredEntry};
pub use membership::HeldRow;
pub use pairing::{PAIRING_KEPT, PairingKind, PairingRow};
pub use query::{Page, PageSize};
pub use records::{Change, CollectionRow, RecordRow, RecordState};
pub use spaces::{PERSONAL_SPACE, SpaceRow};
pub(crate) use spaces::{position, save_position};

macro_rules! key {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) i64);

        impl $name {
            /// The key of this number, for whatever else keeps rows as the store does.
            pub const fn new(number: i64) -> Self {
                Self(number)
            }

            /// The number of the key.
            pub const fn number(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, " {}"), self.0)
            }
        }
    };
}

key!(
    /// A space in this store. Short, and good in this store only.
    SpaceKey, "space"
);
key!(
    /// A log in this store.
    LogKey, "log"
);
key!(
    /// A collection in this store.
    CollectionKey, "collection"
);

/// The column does not hold what this program writes there.
fn malformed(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Blob, what.into())
}

//! What the engine asks of whatever keeps its rows: the store's transactions, or a model of them.
//!
//! The methods are those of [`covey_store::Reader`] and [`covey_store::Tx`] of the same name, and promise the same.

use std::fmt;

use covey_store::{
    CollectionKey, ForkRow, HeldRow, LogKey, LogRow, NewEnd, NewEntry, Reader, RecordRow, SpaceKey, SpaceRow,
    StoreError, StoredEntry, Tx,
};
use covey_types::{EntryHash, Head, Hlc, LogId, SpaceId};

type Stored<T> = Result<T, StoreError>;

/// Declares both traits, and implements them by the methods of the same name.
macro_rules! backend {
    (
        read { $($(#[$rdoc:meta])* fn $read:ident($($rarg:ident: $rty:ty),*) -> $rout:ty;)* }
        write { $($(#[$wdoc:meta])* fn $write:ident($($warg:ident: $wty:ty),*) -> $wout:ty;)* }
    ) => {
        /// Looks at the rows, all as of one moment.
        pub trait Rows {
            $($(#[$rdoc])* fn $read(&self $(, $rarg: $rty)*) -> Stored<$rout>;)*
        }

        /// Changes the rows, all or none.
        pub trait RowsMut: Rows {
            $($(#[$wdoc])* fn $write(&mut self $(, $warg: $wty)*) -> Stored<$wout>;)*

            /// Runs a part of the change that may fail by itself: if it says so, with `false`, what it did is undone.
            fn part(&mut self, part: &mut dyn FnMut(&mut dyn RowsMut) -> bool) -> Stored<()>;
        }

        impl Rows for Reader<'_> {
            $(fn $read(&self $(, $rarg: $rty)*) -> Stored<$rout> { Reader::$read(self $(, $rarg)*) })*
        }

        impl Rows for Tx<'_> {
            $(fn $read(&self $(, $rarg: $rty)*) -> Stored<$rout> { Reader::$read(self $(, $rarg)*) })*
        }

        /// Rows of a kind that is chosen while the program runs.
        pub struct AnyRows<'a>(pub &'a mut dyn RowsMut);

        impl fmt::Debug for AnyRows<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("AnyRows(..)")
            }
        }

        impl Rows for AnyRows<'_> {
            $(fn $read(&self $(, $rarg: $rty)*) -> Stored<$rout> { self.0.$read($($rarg),*) })*
        }

        impl RowsMut for AnyRows<'_> {
            $(fn $write(&mut self $(, $warg: $wty)*) -> Stored<$wout> { self.0.$write($($warg),*) })*

            fn part(&mut self, part: &mut dyn FnMut(&mut dyn RowsMut) -> bool) -> Stored<()> {
                self.0.part(part)
            }
        }

        impl RowsMut for Tx<'_> {
            $(fn $write(&mut self $(, $warg: $wty)*) -> Stored<$wout> { Tx::$write(self $(, $warg)*) })*

            fn part(&mut self, part: &mut dyn FnMut(&mut dyn RowsMut) -> bool) -> Stored<()> {
                let tried = self.attempt(|tx| if part(tx) { Ok(()) } else { Err(Undone(None)) });
                match tried {
                    Err(Undone(Some(err))) => Err(err),
                    Ok(()) | Err(Undone(None)) => Ok(()),
                }
            }
        }
    };
}

/// Why a part of a change was undone: it said so, or the store failed.
struct Undone(Option<StoreError>);

impl From<StoreError> for Undone {
    fn from(err: StoreError) -> Self {
        Self(Some(err))
    }
}

backend! {
    read {
        /// The fact of this name.
        fn meta(key: &str) -> Option<Vec<u8>>;
        /// All spaces.
        fn spaces() -> Vec<SpaceRow>;
        /// The logs of a space.
        fn logs(space: SpaceKey) -> Vec<LogRow>;
        /// One log of a space.
        fn log(space: SpaceKey, id: LogId) -> Option<LogRow>;
        /// How far a log reaches.
        fn head(log: LogKey) -> Head;
        /// One entry.
        fn entry(log: LogKey, seq: u64) -> Option<StoredEntry>;
        /// The entries of a log from a place on.
        fn entries(log: LogKey, from_seq: u64, max_bytes: usize, max_count: usize) -> Vec<StoredEntry>;
        /// The hash of one entry.
        fn hash_at(log: LogKey, seq: u64) -> Option<EntryHash>;
        /// The entries that say who is in a space, in the order they were noted.
        fn membership(space: SpaceKey) -> Vec<(LogKey, StoredEntry)>;
        /// Where entries lie past the head of their logs.
        fn apart(space: SpaceKey) -> Vec<(LogKey, u64)>;
        /// The entries that are held.
        fn held(space: SpaceKey) -> Vec<HeldRow>;
        /// The logs that are known to be forked.
        fn forks(space: SpaceKey) -> Vec<ForkRow>;
        /// The entries of a log that were set aside, from a place on.
        fn set_aside(log: LogKey, from_seq: u64, max_count: usize) -> Vec<StoredEntry>;
        /// The collection of this name.
        fn collection(space: SpaceKey, name: &str) -> Option<CollectionKey>;
        /// A record, deleted or not.
        fn record(collection: CollectionKey, id: &str) -> Option<RecordRow>;
    }
    write {
        /// Notes a fact.
        fn set_meta(key: &str, value: &[u8]) -> ();
        /// Takes in a space.
        fn insert_space(id: SpaceId, info: &[u8]) -> SpaceKey;
        /// Replaces what is kept about a space.
        fn set_space_info(space: SpaceKey, info: &[u8]) -> ();
        /// The key of a log, which is taken in if it isn't there yet.
        fn ensure_log(space: SpaceKey, id: LogId) -> LogKey;
        /// Appends an entry to its log.
        fn append(log: LogKey, entry: NewEntry<'_>) -> ();
        /// Stores an entry that lies past the head of its log, and leaves the head where it is; whether it was new.
        fn append_apart(log: LogKey, entry: NewEntry<'_>) -> bool;
        /// Goes on with a log at an entry further on than the next one.
        fn enter_log(log: LogKey, entry: NewEntry<'_>) -> ();
        /// Drops entries of a log within bounds, but for those that say who is in the space; from where on to go on.
        fn drop_entries(log: LogKey, from: u64, upto: u64, max_count: usize, max_bytes: usize) -> Option<u64>;
        /// Notes that an entry says who is in the space.
        fn add_membership(space: SpaceKey, hash: EntryHash, log: LogKey, seq: u64) -> ();
        /// Notes that an entry is not to be applied.
        fn hold(log: LogKey, seq: u64, reason: u32, until_ms: u64) -> ();
        /// Lets a held entry go; whether it was held.
        fn release(log: LogKey, seq: u64) -> bool;
        /// Notes that a log is forked, in place of what was noted before.
        fn put_fork(space: SpaceKey, fork: &ForkRow) -> ();
        /// Ends a log before a place, and sets aside what stands from there on.
        fn truncate(log: LogKey, end: NewEnd) -> ();
        /// Forgets an entry that was stored apart from the rest of its log, which has not come to it; whether there was one.
        fn forget_apart(log: LogKey, seq: u64) -> bool;
        /// Keeps an entry aside, in place of what is kept there of its place.
        fn put_aside(log: LogKey, entry: NewEntry<'_>) -> ();
        /// Takes what is set aside right behind a log's end back into it, up to this entry of this time.
        fn bring_back(log: LogKey, end: Head, hlc: Hlc) -> ();
        /// Sets copies of entries of a log aside, unless something of their places is.
        fn copy_aside(log: LogKey, from: u64, upto: u64) -> ();
        /// The key of a collection, which is made if it isn't there yet.
        fn ensure_collection(space: SpaceKey, name: &str) -> CollectionKey;
        /// Stores the newest version of a record.
        fn put_record(collection: CollectionKey, id: &str, doc: Option<&str>, state: &[u8]) -> u64;
        /// As `put_record` for a record that there never was.
        fn insert_record(collection: CollectionKey, id: &str, doc: Option<&str>, state: &[u8]) -> Option<u64>;
        /// As `put_record` for a record that was just read.
        fn replace_record(
            collection: CollectionKey, id: &str, old_position: u64, was_live: bool, doc: Option<&str>, state: &[u8]
        ) -> u64;
    }
}

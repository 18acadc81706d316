//! Everything that can go wrong with a store, said so that a person knows what to do next.

use std::{io, path::PathBuf, sync::Arc};

use covey_types::{EntryHash, Head, SpaceId};
use rusqlite::ErrorCode;

use crate::tables::LogKey;

/// Why a store could not be opened. Nothing on disk was changed, except where a variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder can't be made or written to.
    #[error("cannot use {} as a home: {action} failed; choose another folder or repair its permissions", home.display())]
    Home {
        /// The folder.
        home: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process has this store open.
    #[error("the home {} is in use by {}; stop it first or choose another home", home.display(), process(*pid))]
    InUse {
        /// The folder.
        home: PathBuf,
        /// The process that has it open, where that is known.
        pid: Option<u32>,
    },
    /// Others on this machine may read the key.
    #[error("the key file {} may be read by others (mode {mode:03o}); run: chmod 600 '{}'", path.display(), path.display())]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is a database, and a file that is needed to unlock it is gone.
    #[error("{} is missing, and without it the database beside it cannot be read; put it back from a backup", path.display())]
    KeyMissing {
        /// The file that is missing.
        path: PathBuf,
    },
    /// A file that is needed to unlock the database is not what it should be.
    #[error("{} is damaged ({reason}); put it back from a backup", path.display())]
    KeyDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The store is locked with a passphrase and none was given.
    #[error("the store in {} is locked with a passphrase; give it with --passphrase-file or at the prompt", home.display())]
    PassphraseNeeded {
        /// The folder.
        home: PathBuf,
    },
    /// A passphrase was given for a store that is locked with a key file.
    #[error("the store in {} is locked with its key file, not with a passphrase", home.display())]
    KeyFileNeeded {
        /// The folder.
        home: PathBuf,
    },
    /// A new store can't be locked with nothing.
    #[error("a passphrase must not be empty")]
    EmptyPassphrase,
    /// The key file is not the one that this store was made with.
    #[error("{} is not the key of this store; put the right one back from a backup", path.display())]
    WrongKey {
        /// The key file.
        path: PathBuf,
    },
    /// Not the passphrase that this store was made with.
    #[error("the passphrase is wrong for the store in {}; try again, it is as it was", home.display())]
    WrongPassphrase {
        /// The folder.
        home: PathBuf,
    },
    /// The database is damaged.
    #[error("the database {} is damaged ({reason}); put it back from a backup, or join again with a new home", path.display())]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was noticed.
        reason: String,
    },
    /// A newer version of the program has written this database.
    #[error("the database {} has schema version {found} and this program knows {known}; update it", path.display())]
    NewerSchema {
        /// The database file.
        path: PathBuf,
        /// The version of the file.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// A file could not be read or written. A new store may be there in part; opening again goes on with it.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: "read", "write", ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The database could not be opened for another reason.
    #[error("cannot open the database {}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Why something could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The entry doesn't follow the head of its log.
    #[error("entry {seq} of {log} does not follow its head, entry {}", head.seq)]
    NotNext {
        /// The log.
        log: LogKey,
        /// Its head.
        head: Head,
        /// The place the entry claims.
        seq: u64,
        /// The hash of the entry that it claims to follow.
        prev: EntryHash,
    },
    /// Something was named that isn't there.
    #[error("cannot {doing}: there is no {what} {key}")]
    Missing {
        /// What was being done.
        doing: &'static str,
        /// What isn't there: "log", "space", ...
        what: &'static str,
        /// Its key.
        key: String,
    },
    /// The space is there already.
    #[error("the space {id} is in the store already")]
    SpaceExists {
        /// The space.
        id: SpaceId,
    },
    /// A number has outgrown what the store can hold.
    #[error("cannot {doing}: {what} {value} is beyond the limit of {max}")]
    TooLarge {
        /// What was being done.
        doing: &'static str,
        /// What is too large.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The largest that fits.
        max: u64,
    },
    /// The document of a record is not JSON, or nested deeper than SQLite follows (1000 levels).
    #[error("the document of record {id:?} is malformed JSON or nested too deep")]
    BadDocument {
        /// The record.
        id: String,
    },
    /// There is no room on the disk.
    #[error("cannot {doing}: the disk is full; make room, the store goes on by itself")]
    DiskFull {
        /// What was being done.
        doing: &'static str,
    },
    /// The file is damaged.
    #[error("cannot {doing}: the database is damaged ({reason}); put it back from a backup")]
    Corrupt {
        /// What was being done.
        doing: &'static str,
        /// What was noticed.
        reason: String,
    },
    /// SQLite refused.
    #[error("cannot {doing}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// SQLite gave up the transaction in the middle: an I/O error, or no memory.
    #[error("the transaction was rolled back by SQLite after an I/O error or for lack of memory")]
    RolledBack,
    /// The closure that was reading panicked.
    #[error("a closure that read from the store panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The error that SQLite's answer to `doing` means.
    pub(crate) fn sql(doing: &'static str, source: rusqlite::Error) -> Self {
        match source.sqlite_error() {
            Some(err) if is_full(*err) => Self::DiskFull { doing },
            Some(err) if matches!(err.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt { doing, reason: err.to_string() }
            }
            _ => Self::Sql { doing, source },
        }
    }

    /// Whether room on the disk is what was lacking.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }
}

/// SQLite reports a full disk in two ways: as such, and where the file that is full is the index of
/// the write-ahead log as an error of growing it.
fn is_full(err: rusqlite::ffi::Error) -> bool {
    err.code == ErrorCode::DiskFull || err.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
}

/// Why a change was not made. In every case none of it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The closure said no, with this.
    #[error(transparent)]
    Refused(E),
    /// There is no room on the disk. The store is still good and goes on when there is room again.
    #[error("the disk is full; make room, the store goes on by itself")]
    DiskFull,
    /// The commit that this change was part of failed.
    #[error("the change could not be committed")]
    Commit(#[source] Arc<StoreError>),
    /// The closure panicked.
    #[error("a closure that changed the store panicked: {message}")]
    Panicked {
        /// What it said.
        message: String,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// What a panic said, where it said something.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

//! Backups: the whole store in one file, encrypted under a passphrase of its own.
//!
//! A backup is of no use if it needs a key that was lost with the disk, and a danger if whoever finds it can read it;
//! hence the passphrase, from which the key is derived as for a store (Argon2id). The file is a SQLCipher database
//! with a seal behind it ([`seal`]): the salt that SQLCipher keeps in a file's first bytes tells what the file is, and
//! with a key that is used for one file only it needs no other randomness.
//!
//! What is written is a snapshot: the node goes on reading and writing meanwhile. It's written to a file beside the
//! one that was asked for, read back, compared, made to last, and only then given its name. A restore checks the
//! whole file before it makes anything, and gives the new database its name last of all.
//!
//! | module | what it holds |
//! |---|---|
//! | [`error`] | everything that can go wrong |
//! | [`seal`] | the first and the last bytes of a backup |
//! | [`write`] | making one |
//! | [`restore`] | a new home out of one |

pub mod error;
pub(crate) mod restore;
mod seal;
pub(crate) mod write;

use std::ops::ControlFlow;

use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};

pub use error::{BackupError, RestoreError};
pub use restore::restore;

use crate::PERSONAL_SPACE;

/// The length of the database in a file that ends like a backup, bytes.
#[cfg(feature = "fuzz")]
pub(crate) fn sealed_bytes(file: &mut (impl std::io::Read + std::io::Seek)) -> Option<u64> {
    seal::Seal::read(file).ok()?.ok().map(|seal| seal.database_bytes)
}

/// Pages copied between two words of progress: a megabyte, some milliseconds.
const PAGES_PER_STEP: i32 = 256;

/// Length of a page of SQLCipher's databases, which this crate leaves as it is.
const PAGE_BYTES: u64 = 4096;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The database is being copied.
    Copying,
    /// The file is being read through.
    Checking,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes of it that are done.
    pub done_bytes: u64,
    /// Bytes of it in all.
    pub total_bytes: u64,
}

/// Is told how far it is; whether to go on.
pub type Watcher<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contents {
    /// Its length, bytes.
    pub bytes: u64,
    /// Spaces.
    pub spaces: u64,
    /// Entries of all logs.
    pub entries: u64,
    /// Records that aren't deleted.
    pub records: u64,
}

impl Contents {
    /// Counts what is in a database, for people: without the personal space, of which they need not know; its entries are among
    /// the others.
    fn count(conn: &Connection) -> rusqlite::Result<Self> {
        const PERSONAL: &str = "SELECT key FROM spaces WHERE id = (SELECT value FROM meta WHERE key = ?1)";
        let one = |what: &str| {
            let sql = format!("SELECT {what} NOT IN ({PERSONAL})");
            conn.query_row(&sql, [PERSONAL_SPACE], |row| row.get(0))
        };
        Ok(Self {
            bytes: 0,
            spaces: one("count(*) FROM spaces WHERE key")?,
            entries: conn.query_row("SELECT count(*) FROM entries", [], |row| row.get(0))?,
            records: one("coalesce(sum(live), 0) FROM collections WHERE space")?,
        })
    }
}

/// How copying ended.
enum Copied {
    Whole,
    Stopped,
}

/// Copies a database page by page. The target's pages are encrypted with its own key.
fn copy(source: &Connection, target: &mut Connection, watch: Watcher<'_>) -> rusqlite::Result<Copied> {
    let backup = Backup::new(source, target)?;
    loop {
        let step = backup.step(PAGES_PER_STEP)?;
        let (left, all) = (backup.progress().remaining, backup.progress().pagecount);
        let bytes = |pages: i32| u64::try_from(pages).unwrap_or_default() * PAGE_BYTES;
        let progress =
            Progress { stage: Stage::Copying, done_bytes: bytes(all - left), total_bytes: bytes(all) };
        match step {
            StepResult::Done => return Ok(Copied::Whole),
            // The target is nobody else's and the source is a snapshot: nothing to wait for.
            StepResult::Busy | StepResult::Locked => return Err(busy()),
            _ if watch(progress).is_break() => return Ok(Copied::Stopped),
            _ => {}
        }
    }
}

fn busy() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(code, Some("somebody else has the file open".into()))
}

/// What SQLite's own check finds wrong with a database; `None` if nothing.
fn fault(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

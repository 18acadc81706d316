//! SQLCipher connections: how they are opened, unlocked and set up.

use std::{io, os::unix::ffi::OsStrExt, path::Path, sync::Once, time::Duration};

use covey_types::keys::random_bytes;
use rusqlite::{
    Connection, OpenFlags,
    config::DbConfig,
    params,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    ending::{keep_openssl, wait_for_work},
    home::Home,
    key::{DatabaseKey, key_pragma, key_text},
};

/// Pages the writer keeps decrypted: inserts at random places of an index stay in memory up to about a
/// million records. Filled only by use, given back when the writer is idle.
const WRITER_CACHE_KIB: u32 = 16 << 10;

/// The same for each reader: four of them are a tenth of what an idle node may use.
const READER_CACHE_KIB: u32 = 1 << 10;

/// Pages in the write-ahead log after which a commit carries it over into the database: 16 MiB. Ten
/// bulk transactions share one such pass, and little is left to do after a crash.
const CHECKPOINT_PAGES: u32 = 4000;

/// What is left of the write-ahead log's file after it was carried over.
const WAL_KEPT_BYTES: u32 = 32 << 20;

/// Prepared statements kept per connection: every fixed statement of this crate, with room.
const STATEMENTS_KEPT: usize = 128;

/// How long a reader waits for a lock. Only recovery and checkpoints take any, and for moments.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection that writes. The database must exist.
pub(crate) fn open_writer(path: &Path, key: &DatabaseKey) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, key)?;
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
         PRAGMA journal_size_limit = {WAL_KEPT_BYTES};
         PRAGMA cache_size = -{WRITER_CACHE_KIB};"
    ))?;
    Ok(conn)
}

/// A connection that only reads.
pub(crate) fn open_reader(path: &Path, key: &DatabaseKey) -> rusqlite::Result<Connection> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, key)?;
    conn.execute_batch(&format!("PRAGMA query_only = ON; PRAGMA cache_size = -{READER_CACHE_KIB};"))?;
    Ok(conn)
}

/// A connection of which the database is no more than a part, under a name that nobody can guess: it only reads, and its
/// own database is empty.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) conn: Connection,
    /// The name of the database, fresh for every connection: letters and digits.
    pub(crate) name: String,
}

/// Attaches the database to a connection to nothing.
pub(crate) fn open_aside(path: &Path, key: &DatabaseKey) -> rusqlite::Result<Aside> {
    // What is attached is opened as the connection was: for reading only.
    let conn = connect(Path::new(":memory:"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    set_up(&conn)?;
    let name = format!("s{:032x}", u128::from_le_bytes(random_bytes()));
    conn.execute_batch("PRAGMA cipher_log_level = NONE")?;
    let text = |bytes| ToSqlOutput::Borrowed(ValueRef::Text(bytes));
    let (path, key) = (path.as_os_str().as_bytes(), key_text(key, None));
    conn.execute("ATTACH ?1 AS ?2 KEY ?3", params![text(path), name, text(key.as_bytes())])?;
    wait_for_work();
    conn.execute_batch(&format!("PRAGMA {name}.cache_size = -{READER_CACHE_KIB};"))?;
    Ok(Aside { conn, name })
}

/// A connection to an empty file that a copy of a database is made in, whose first bytes are `salt` then. It makes no
/// files beside and never waits for the disk: who makes the copy sees to it that it lasts.
pub(crate) fn open_copy(
    path: &Path,
    key: &DatabaseKey,
    salt: Option<&[u8; 16]>,
) -> rusqlite::Result<Connection> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    set_key(&conn, key, salt)?;
    conn.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;",
    )?;
    Ok(conn)
}

/// Makes a copy of a database that writes ahead one that needs no other file beside it.
pub(crate) fn leave_wal(path: &Path, key: &DatabaseKey) -> rusqlite::Result<()> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, key)?;
    conn.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF; PRAGMA journal_mode = DELETE;",
    )?;
    conn.close().map_err(|(_, err)| err)
}

/// Looks whether the database can be read, without changing a byte on disk, and gives its schema version.
///
/// The exclusive mode keeps SQLite from making an index file for the write-ahead log, and a checkpoint
/// on close is forbidden, so that even a log with changes in it stays as it is.
pub(crate) fn probe(home: &Home, key: &DatabaseKey) -> rusqlite::Result<u32> {
    let had_wal = home.wal().exists();
    let conn = connect(&home.database(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let version = (|| {
        set_key(&conn, key, None)?;
        conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA query_only = ON;")?;
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
        conn.pragma_query_value(None, "user_version", |row| row.get(0))
    })();
    drop(conn);
    if !had_wal {
        remove_empty(&home.wal());
    }
    version
}

/// SQLite makes the log's file when it looks for one; an empty one says nothing.
fn remove_empty(wal: &Path) {
    if std::fs::metadata(wal).is_ok_and(|found| found.len() == 0)
        && let Err(err) = std::fs::remove_file(wal)
        && err.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%err, "an empty write-ahead log stays behind");
    }
}

fn open(path: &Path, mode: OpenFlags, key: &DatabaseKey) -> rusqlite::Result<Connection> {
    let conn = connect(path, mode)?;
    set_key(&conn, key, None)?;
    set_up(&conn)?;
    Ok(conn)
}

fn set_up(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // Temporary files would lie about unencrypted.
    conn.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;")
}

/// Each connection is used by one thread at a time, so SQLite's own mutexes are left out.
fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        keep_openssl();
        // SQLite takes itself for started before SQLCipher is: a second thread's first connection would take no key.
        drop(Connection::open_in_memory());
    });
    Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn set_key(conn: &Connection, key: &DatabaseKey, salt: Option<&[u8; 16]>) -> rusqlite::Result<()> {
    // SQLCipher writes to stderr what it then also returns as an error. The setting is the process's.
    conn.execute_batch("PRAGMA cipher_log_level = NONE")?;
    conn.execute_batch(&key_pragma(key, salt)).map_err(|err| match err {
        // The text of the statement holds the key and must not travel with the error.
        rusqlite::Error::SqlInputError { error, .. } => rusqlite::Error::SqliteFailure(error, None),
        other => other,
    })?;
    wait_for_work();
    Ok(())
}

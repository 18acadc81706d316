//! The limit of the disk: a plain table with the same rows, set up as the store sets up its own, in SQLCipher or in SQLite
//! without a key.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use rusqlite::{Connection, params};

use crate::nodes;

/// Rows in one transaction: as many records as stand in one entry of a bulk write.
const ROWS_PER_TRANSACTION: usize = 1000;

/// As long as the stamps of a record with two fields that were written at once.
const STATE: [u8; 12] = [7; 12];

/// As long as that of the store.
const KEY: &str = "PRAGMA key = \"x'abababababababababababababababababababababababababababababababab'\";";

/// The same pragmas as those of the store's writer, the same columns and the same way to find a record.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
    PRAGMA journal_size_limit = 33554432; PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY;
    CREATE TABLE records(collection INTEGER NOT NULL, id TEXT NOT NULL, doc TEXT, state BLOB NOT NULL);
    CREATE UNIQUE INDEX records_by_id ON records(collection, id);";

const INSERT: &str = "INSERT INTO records(collection, id, doc, state) VALUES(1, ?1, ?2, ?3)";

/// A database with nothing of Covey in it.
pub(crate) struct Plain(Connection);

impl Plain {
    /// Makes one in this folder.
    pub(crate) fn new(folder: &Path, name: &str) -> Result<Self> {
        Self::under(KEY, folder, name)
    }

    /// The same without a key: plain SQLite.
    pub(crate) fn unencrypted(folder: &Path, name: &str) -> Result<Self> {
        Self::under("", folder, name)
    }

    fn under(key: &str, folder: &Path, name: &str) -> Result<Self> {
        let conn = Connection::open(folder.join(name))?;
        conn.execute_batch(key)?;
        conn.execute_batch(SCHEMA)?;
        Ok(Self(conn))
    }

    /// How long it takes to insert the rows `from..from + count`, made on the way.
    pub(crate) fn insert(&self, from: usize, count: usize) -> Result<Duration> {
        self.insert_of(nodes::document, from, count)
    }

    /// The same with other documents.
    pub(crate) fn insert_of(
        &self,
        document: fn(usize) -> String,
        from: usize,
        count: usize,
    ) -> Result<Duration> {
        let started = Instant::now();
        let mut insert = self.0.prepare_cached(INSERT)?;
        for first in (from..from + count).step_by(ROWS_PER_TRANSACTION) {
            self.0.execute_batch("BEGIN IMMEDIATE")?;
            for n in first..(first + ROWS_PER_TRANSACTION).min(from + count) {
                insert.execute(params![nodes::ordered_id(n), document(n), &STATE[..]])?;
            }
            self.0.execute_batch("COMMIT")?;
        }
        Ok(started.elapsed())
    }

    /// How long it takes to commit one row.
    pub(crate) fn commit(&self, n: usize) -> Result<Duration> {
        let mut insert = self.0.prepare_cached(INSERT)?;
        let (id, doc) = (nodes::ordered_id(n), nodes::document(n));
        let started = Instant::now();
        insert.execute(params![id, doc, &STATE[..]])?;
        Ok(started.elapsed())
    }
}

//! What closures are given: [`Reader`] to look at a snapshot, [`Tx`] to change things too.
//!
//! Both only hold the connection; the tables' methods are in `tables`. What a transaction keeps in
//! memory until it ends (`Pending`) is the writer's, and is dropped when something is rolled back, so
//! that it never says more than the database.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

use covey_types::{Head, Hlc};
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, types::ToSqlOutput};

use crate::{
    error::StoreError,
    tables::{CollectionKey, LogKey, SpaceKey},
};

/// Most logs whose heads are kept in memory between transactions.
const MAX_HEADS_KEPT: usize = covey_types::limits::MAX_LOGS_PER_SPACE;

/// Most collections whose names are kept in memory between transactions.
const MAX_COLLECTIONS_KEPT: usize = 4096;

/// A consistent look at the store: everything in it is of one moment.
#[derive(Debug)]
pub struct Reader<'a> {
    conn: &'a Connection,
    pending: Option<&'a Pending>,
}

/// A change in the making. It reads what it has written itself, and derefs to [`Reader`].
#[derive(Debug)]
pub struct Tx<'a> {
    reader: Reader<'a>,
    pending: &'a Pending,
}

impl<'a> Deref for Tx<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Reader<'a> {
        &self.reader
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(conn: &'a Connection) -> Self {
        Self { conn, pending: None }
    }

    pub(crate) fn conn(&self) -> &'a Connection {
        self.conn
    }

    pub(crate) fn pending(&self) -> Option<&'a Pending> {
        self.pending
    }

    /// At most one row.
    pub(crate) fn row<T>(
        &self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let row = self.conn.prepare_cached(sql).and_then(|mut stmt| stmt.query_row(params, read).optional());
        row.map_err(|err| self.failed(doing, err))
    }

    /// All rows.
    pub(crate) fn rows<T>(
        &self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.conn.prepare_cached(sql).and_then(|mut stmt| stmt.query_map(params, read)?.collect());
        rows.map_err(|err| self.failed(doing, err))
    }

    /// The error that this answer to `doing` means; a full disk is noted for the writer.
    pub(crate) fn failed(&self, doing: &'static str, err: rusqlite::Error) -> StoreError {
        let err = StoreError::sql(doing, err);
        if let Some(pending) = self.pending.filter(|_| err.is_disk_full()) {
            pending.disk_full.set(true);
        }
        err
    }
}

impl<'a> Tx<'a> {
    pub(crate) fn new(conn: &'a Connection, pending: &'a Pending) -> Self {
        Self { reader: Reader { conn, pending: Some(pending) }, pending }
    }

    pub(crate) fn memory(&self) -> &'a Pending {
        self.pending
    }

    /// Changes rows; how many.
    pub(crate) fn execute(
        &self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<usize, StoreError> {
        let changed = self.conn.prepare_cached(sql).and_then(|mut stmt| stmt.execute(params));
        changed.map_err(|err| self.failed(doing, err))
    }

    /// Inserts a row; its rowid.
    pub(crate) fn insert(
        &self,
        doing: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<i64, StoreError> {
        self.execute(doing, sql, params)?;
        Ok(self.conn.last_insert_rowid())
    }

    /// Runs a part of the change that may fail by itself: what it did is undone then, or when it panics, at once. So the
    /// transaction reads again as it did before.
    ///
    /// # Errors
    /// The part's own. If it can't be undone, the store's: then the whole change is lost.
    pub fn attempt<R, E: From<StoreError>>(
        &mut self,
        part: impl FnOnce(&mut Self) -> Result<R, E>,
    ) -> Result<R, E> {
        self.flush()?;
        let before = self.pending.position.get();
        self.execute("begin a part of a change", "SAVEPOINT part", ())?;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let done = part(self)?;
            self.flush()?;
            Ok(done)
        }));
        if !matches!(outcome, Ok(Ok(_))) {
            self.pending.forget(before);
            // SQLite has undone everything by itself after some errors; the writer notices that.
            if !self.conn.is_autocommit() {
                self.execute("undo a part of a change", "ROLLBACK TO part", ())?;
            }
        }
        if !self.conn.is_autocommit() {
            self.execute("end a part of a change", "RELEASE part", ())?;
        }
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Writes down what the transaction kept in memory. Done once for each closure, at its end.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        let moved: Vec<_> = self.pending.moved.borrow_mut().drain().collect();
        for (log, (head, hlc)) in moved {
            self.move_log(log, head, hlc)?;
        }
        let deltas: Vec<_> =
            self.pending.live.borrow_mut().drain().filter(|(_, delta)| *delta != 0).collect();
        for (collection, delta) in deltas {
            let sql = "UPDATE collections SET live = live + ?2 WHERE key = ?1";
            self.execute("count the live records", sql, (collection.0, delta))?;
        }
        Ok(())
    }
}

/// What the writer remembers from statement to statement.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// The newest position given. Reaches the database just before the commit.
    pub(crate) position: Cell<u64>,
    /// Heads of logs, so that appending needn't ask for them.
    pub(crate) heads: RefCell<HashMap<LogKey, Head>>,
    /// How far logs reach, and when, to which this closure has appended: one row changes for each of them, not for each entry.
    pub(crate) moved: RefCell<HashMap<LogKey, (Head, Hlc)>>,
    /// Keys of collections by name.
    pub(crate) collections: RefCell<HashMap<SpaceKey, HashMap<String, CollectionKey>>>,
    /// By how much the number of live records has changed in this closure.
    pub(crate) live: RefCell<HashMap<CollectionKey, i64>>,
    /// Whether a statement of this closure found no room on the disk.
    pub(crate) disk_full: Cell<bool>,
}

impl Pending {
    /// Forgets everything but the position, which is put back to where it stood.
    pub(crate) fn forget(&self, position: u64) {
        self.position.set(position);
        self.heads.borrow_mut().clear();
        self.moved.borrow_mut().clear();
        self.collections.borrow_mut().clear();
        self.live.borrow_mut().clear();
    }

    /// Keeps the memory within its bounds. What is dropped is looked up again.
    pub(crate) fn trim(&self) {
        if self.heads.borrow().len() > MAX_HEADS_KEPT {
            self.heads.borrow_mut().clear();
        }
        if self.collections.borrow().values().map(HashMap::len).sum::<usize>() > MAX_COLLECTIONS_KEPT {
            self.collections.borrow_mut().clear();
        }
    }
}

/// An unsigned number of 64 bits in SQLite's signed column, bit for bit.
pub(crate) struct Bits(pub(crate) u64);

impl ToSql for Bits {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.cast_signed()))
    }
}

impl rusqlite::types::FromSql for Bits {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        value.as_i64().map(|bits| Self(bits.cast_unsigned()))
    }
}

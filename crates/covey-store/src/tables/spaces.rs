//! Small facts by name, and the spaces this node takes part in.

use covey_types::SpaceId;
use rusqlite::Connection;

use super::{SpaceKey, malformed};
use crate::{
    error::StoreError,
    tx::{Reader, Tx},
};

/// Where the newest position is kept. Facts of the store itself begin with a dot.
const POSITION: &str = ".position";

/// The name of the fact that holds the id of the user's personal space.
pub const PERSONAL_SPACE: &str = "personal";

/// A space and what the cores keep about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceRow {
    /// Its key in this store.
    pub key: SpaceKey,
    /// Which space.
    pub id: SpaceId,
    /// Whatever was given last to [`Tx::insert_space`] or [`Tx::set_space_info`].
    pub info: Vec<u8>,
}

impl Reader<'_> {
    /// The fact of this name.
    pub fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.row("read a fact", "SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
    }

    /// All spaces, in the order they came.
    pub fn spaces(&self) -> Result<Vec<SpaceRow>, StoreError> {
        self.rows("list the spaces", "SELECT key, id, info FROM spaces ORDER BY key", [], |row| {
            Ok(SpaceRow { key: SpaceKey(row.get(0)?), id: SpaceId(row.get(1)?), info: row.get(2)? })
        })
    }

    /// The newest position that was given to a change; 0 before the first.
    pub fn position(&self) -> Result<u64, StoreError> {
        match self.pending() {
            Some(pending) => Ok(pending.position.get()),
            None => position(self.conn()).map_err(|err| self.failed("read the newest position", err)),
        }
    }
}

impl Tx<'_> {
    /// Notes a fact. Names that begin with a dot are the store's own.
    ///
    /// # Panics
    /// If the name begins with a dot.
    pub fn set_meta(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        assert!(!key.starts_with('.'), "the name {key:?} belongs to the store itself");
        self.execute("note a fact", "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)", (key, value))?;
        Ok(())
    }

    /// Takes in a space that isn't there yet.
    pub fn insert_space(&mut self, id: SpaceId, info: &[u8]) -> Result<SpaceKey, StoreError> {
        let sql = "INSERT INTO spaces(id, info) VALUES(?1, ?2) ON CONFLICT DO NOTHING";
        match self.execute("add a space", sql, (id.as_bytes(), info))? {
            0 => Err(StoreError::SpaceExists { id }),
            _ => Ok(SpaceKey(self.conn().last_insert_rowid())),
        }
    }

    /// Replaces what is kept about a space.
    pub fn set_space_info(&mut self, space: SpaceKey, info: &[u8]) -> Result<(), StoreError> {
        let doing = "note what is known of a space";
        match self.execute(doing, "UPDATE spaces SET info = ?2 WHERE key = ?1", (space.0, info))? {
            0 => Err(missing(doing, space)),
            _ => Ok(()),
        }
    }

    /// Removes a space with its logs, entries, collections and records. Its positions stay used.
    pub fn remove_space(&mut self, space: SpaceKey) -> Result<(), StoreError> {
        const OF_LOGS: &[&str] = &[
            "DELETE FROM entries WHERE id BETWEEN ?1 AND ?2",
            "DELETE FROM held WHERE entry BETWEEN ?1 AND ?2",
            "DELETE FROM set_aside WHERE id BETWEEN ?1 AND ?2",
        ];
        const OF_SPACE: &[&str] = &[
            "DELETE FROM records WHERE collection IN (SELECT key FROM collections WHERE space = ?1)",
            "DELETE FROM collections WHERE space = ?1",
            "DELETE FROM membership WHERE space = ?1",
            "DELETE FROM forks WHERE space = ?1",
            "DELETE FROM pairing WHERE space = ?1",
            "DELETE FROM logs WHERE space = ?1",
        ];
        let doing = "remove a space";
        // What other spaces have in memory is to stay.
        self.flush()?;
        if self.execute(doing, "DELETE FROM spaces WHERE key = ?1", [space.0])? == 0 {
            return Err(missing(doing, space));
        }
        let logs = self.logs(space)?;
        for (log, sql) in logs.iter().flat_map(|log| OF_LOGS.iter().map(move |sql| (log.key, sql))) {
            self.execute(doing, sql, (log.row(0), log.row(super::logs::MAX_SEQ)))?;
        }
        for sql in OF_SPACE {
            self.execute(doing, sql, [space.0])?;
        }
        self.memory().forget(self.memory().position.get());
        Ok(())
    }
}

impl Reader<'_> {
    /// Refuses what is done to a space that isn't there.
    pub(super) fn check_space(&self, doing: &'static str, space: SpaceKey) -> Result<(), StoreError> {
        let found = self.row(doing, "SELECT 1 FROM spaces WHERE key = ?1", [space.0], |_| Ok(()))?;
        found.ok_or_else(|| missing(doing, space))
    }
}

fn missing(doing: &'static str, space: SpaceKey) -> StoreError {
    StoreError::Missing { doing, what: "space", key: space.0.to_string() }
}

/// The newest position that was committed.
pub(crate) fn position(conn: &Connection) -> rusqlite::Result<u64> {
    let mut stmt = conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let mut rows = stmt.query([POSITION])?;
    match rows.next()? {
        Some(row) => row.get(0).map(u64::from_be_bytes).map_err(|_| malformed(0, "a position has 8 bytes")),
        None => Ok(0),
    }
}

/// Notes the newest position, in the transaction that uses it.
pub(crate) fn save_position(conn: &Connection, position: u64) -> rusqlite::Result<()> {
    let mut stmt = conn.prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)")?;
    stmt.execute((POSITION, position.to_be_bytes())).map(drop)
}

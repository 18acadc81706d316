//! Collections, their records, and the feed of changes.
//!
//! A record has one row. Each change gives it the next position, larger than any before, so the rows in
//! the order of their positions are the feed, compacted: each record once, in its newest version.

use std::{cmp::Reverse, collections::BinaryHeap};

use rusqlite::{ErrorCode, Row, fallible_streaming_iterator::FallibleStreamingIterator};

use super::{CollectionKey, SpaceKey, malformed};
use crate::{
    error::StoreError,
    tx::{Reader, Tx},
};

/// A collection of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionRow {
    /// Its key in this store.
    pub key: CollectionKey,
    /// Its name.
    pub name: String,
    /// How many of its records are not deleted.
    pub live: u64,
}

/// A record with its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// The document as JSON text; `None` while the record is deleted.
    pub doc: Option<String>,
    /// What the cores keep to merge it.
    pub state: Vec<u8>,
    /// The position of its newest change.
    pub position: u64,
}

/// A record without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordState {
    /// What the cores keep to merge it.
    pub state: Vec<u8>,
    /// The position of its newest change.
    pub position: u64,
    /// Whether it has a document.
    pub live: bool,
}

/// The newest version of a record, as the feed of changes shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where in the feed.
    pub position: u64,
    /// The record's collection.
    pub collection: CollectionKey,
    /// The collection's name.
    pub collection_name: String,
    /// The record's id.
    pub id: String,
    /// The document as JSON text; `None` if the record was deleted.
    pub doc: Option<String>,
}

impl Reader<'_> {
    /// The collections of a space, by name.
    pub fn collections(&self, space: SpaceKey) -> Result<Vec<CollectionRow>, StoreError> {
        let sql = "SELECT key, name, live FROM collections WHERE space = ?1 ORDER BY name";
        let mut collections = self.rows("list the collections of a space", sql, [space.0], |row| {
            Ok(CollectionRow { key: CollectionKey(row.get(0)?), name: row.get(1)?, live: row.get(2)? })
        })?;
        if let Some(pending) = self.pending() {
            let deltas = pending.live.borrow();
            for row in &mut collections {
                row.live = row.live.saturating_add_signed(deltas.get(&row.key).copied().unwrap_or(0));
            }
        }
        Ok(collections)
    }

    /// The collection of this name.
    pub fn collection(&self, space: SpaceKey, name: &str) -> Result<Option<CollectionKey>, StoreError> {
        let sql = "SELECT key FROM collections WHERE space = ?1 AND name = ?2";
        self.row("find a collection", sql, (space.0, name), |row| row.get(0).map(CollectionKey))
    }

    /// A record, deleted or not; `None` if there never was one.
    pub fn record(&self, collection: CollectionKey, id: &str) -> Result<Option<RecordRow>, StoreError> {
        let sql = "SELECT json(doc), state, position FROM records WHERE collection = ?1 AND id = ?2";
        self.row("read a record", sql, (collection.0, id), |row| {
            Ok(RecordRow { doc: row.get(0)?, state: row.get(1)?, position: row.get(2)? })
        })
    }

    /// A record without its document, for whoever merges only states.
    pub fn record_state(
        &self,
        collection: CollectionKey,
        id: &str,
    ) -> Result<Option<RecordState>, StoreError> {
        let sql = "SELECT state, position, doc IS NOT NULL FROM records WHERE collection = ?1 AND id = ?2";
        self.row("read the state of a record", sql, (collection.0, id), |row| {
            Ok(RecordState { state: row.get(0)?, position: row.get(1)?, live: row.get(2)? })
        })
    }

    /// The changes after position `since`, oldest first and at most `limit`: each record once, in its
    /// newest version. Of one collection, or of the whole space.
    pub fn changes(
        &self,
        space: SpaceKey,
        collection: Option<CollectionKey>,
        since: u64,
        limit: usize,
    ) -> Result<Vec<Change>, StoreError> {
        self.changes_within(space, collection, since, limit, usize::MAX)
    }

    /// As [`Reader::changes`]; ends with the change whose document brings those read to `max_bytes`.
    pub fn changes_within(
        &self,
        space: SpaceKey,
        collection: Option<CollectionKey>,
        since: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Change>, StoreError> {
        let mut collections = self.collections(space)?;
        collections.retain(|row| collection.is_none_or(|wanted| wanted == row.key));
        let merged = self.merge(&collections, since, limit, max_bytes);
        merged.map_err(|err| self.failed("read the changes", err))
    }

    /// The feeds of these collections as one: each is in the order of positions already.
    fn merge(
        &self,
        collections: &[CollectionRow],
        since: u64,
        limit: usize,
        max_bytes: usize,
    ) -> rusqlite::Result<Vec<Change>> {
        let sql = "SELECT position, id, json(doc) FROM records INDEXED BY records_by_change
                   WHERE collection = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut stmts =
            collections.iter().map(|_| self.conn().prepare_cached(sql)).collect::<Result<Vec<_>, _>>()?;
        let mut feeds = stmts
            .iter_mut()
            .zip(collections)
            .map(|(stmt, collection)| stmt.query((collection.key.0, since, limit_rows)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut next = BinaryHeap::new();
        for (feed, rows) in feeds.iter_mut().enumerate() {
            if let Some(row) = rows.next()? {
                next.push(Reverse((row.get::<_, u64>(0)?, feed)));
            }
        }
        let (mut changes, mut bytes) = (Vec::new(), 0);
        while changes.len() < limit
            && bytes < max_bytes
            && let Some(Reverse((_, feed))) = next.pop()
        {
            let row = feeds[feed].get().ok_or_else(|| malformed(0, "the row that was there is gone"))?;
            let change = change(row, &collections[feed])?;
            bytes += change.doc.as_ref().map_or(0, String::len);
            changes.push(change);
            if let Some(row) = feeds[feed].next()? {
                next.push(Reverse((row.get(0)?, feed)));
            }
        }
        Ok(changes)
    }
}

fn change(row: &Row<'_>, collection: &CollectionRow) -> rusqlite::Result<Change> {
    Ok(Change {
        position: row.get(0)?,
        collection: collection.key,
        collection_name: collection.name.clone(),
        id: row.get(1)?,
        doc: row.get(2)?,
    })
}

impl Tx<'_> {
    /// The key of this collection, which is made if it isn't there yet.
    pub fn ensure_collection(&mut self, space: SpaceKey, name: &str) -> Result<CollectionKey, StoreError> {
        if let Some(key) = self.memory().collections.borrow().get(&space).and_then(|names| names.get(name)) {
            return Ok(*key);
        }
        let key = match self.collection(space, name)? {
            Some(key) => key,
            None => self.insert_collection(space, name)?,
        };
        self.memory().collections.borrow_mut().entry(space).or_default().insert(name.to_owned(), key);
        Ok(key)
    }

    fn insert_collection(&self, space: SpaceKey, name: &str) -> Result<CollectionKey, StoreError> {
        let doing = "add a collection";
        self.check_space(doing, space)?;
        let sql = "INSERT INTO collections(space, name) VALUES(?1, ?2)";
        self.insert(doing, sql, (space.0, name)).map(CollectionKey)
    }

    /// Stores the newest version of a record: its document as JSON text, or `None` if it is deleted, and
    /// what is needed to merge it. Gives the position of the change.
    pub fn put_record(
        &mut self,
        collection: CollectionKey,
        id: &str,
        doc: Option<&str>,
        state: &[u8],
    ) -> Result<u64, StoreError> {
        if let Some(position) = self.insert_record(collection, id, doc, state)? {
            return Ok(position);
        }
        let sql = "SELECT position, doc IS NOT NULL FROM records WHERE collection = ?1 AND id = ?2";
        let old = self.row("find a record", sql, (collection.0, id), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (position, live) = old.ok_or_else(|| missing(id))?;
        self.replace_record(collection, id, position, live, doc, state)
    }

    /// As [`Tx::put_record`] for a record that there never was; `None`, and nothing done, if there was.
    pub fn insert_record(
        &mut self,
        collection: CollectionKey,
        id: &str,
        doc: Option<&str>,
        state: &[u8],
    ) -> Result<Option<u64>, StoreError> {
        let position = self.memory().position.get() + 1;
        let sql = "INSERT INTO records(position, collection, id, doc, state)
                   VALUES(?1, ?2, ?3, jsonb(?4), ?5) ON CONFLICT(collection, id) DO NOTHING";
        let inserted = self.change_record(id, sql, (position, collection.0, id, doc, state))? > 0;
        if inserted {
            self.moved(collection, position, i64::from(doc.is_some()));
        }
        Ok(inserted.then_some(position))
    }

    /// As [`Tx::put_record`] for a record that was just read: its position and whether it had a document are known.
    pub fn replace_record(
        &mut self,
        collection: CollectionKey,
        id: &str,
        old_position: u64,
        was_live: bool,
        doc: Option<&str>,
        state: &[u8],
    ) -> Result<u64, StoreError> {
        let position = self.memory().position.get() + 1;
        let sql = "UPDATE records SET position = ?2, doc = jsonb(?3), state = ?4 WHERE position = ?1";
        if self.change_record(id, sql, (old_position, position, doc, state))? == 0 {
            return Err(missing(id));
        }
        self.moved(collection, position, i64::from(doc.is_some()) - i64::from(was_live));
        Ok(position)
    }

    /// Notes the newest change, and by how many records a collection has grown with it.
    fn moved(&self, collection: CollectionKey, position: u64, grown: i64) {
        self.memory().position.set(position);
        if grown != 0 {
            *self.memory().live.borrow_mut().entry(collection).or_default() += grown;
        }
    }

    fn change_record(&self, id: &str, sql: &str, params: impl rusqlite::Params) -> Result<usize, StoreError> {
        self.execute("store a record", sql, params).map_err(|err| match err {
            // SQLite's JSON functions have no error code of their own, and nothing else here has this one.
            StoreError::Sql { source, .. } if source.sqlite_error_code() == Some(ErrorCode::Unknown) => {
                StoreError::BadDocument { id: id.to_owned() }
            }
            other => other,
        })
    }
}

fn missing(id: &str) -> StoreError {
    StoreError::Missing { doing: "store a record", what: "record", key: id.into() }
}

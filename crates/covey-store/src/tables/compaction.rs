//! Logs that don't begin at place 1: entries stored apart from the rest, logs entered further on, entries dropped.

use covey_types::Head;

use super::{
    LogKey,
    logs::{MAX_SEQ, NewEntry},
};
use crate::{error::StoreError, tx::Tx};

impl Tx<'_> {
    /// Stores an entry that lies past the head of its log, without moving the head; whether it was new. When the log
    /// comes to its place it's taken in as any entry.
    ///
    /// # Errors
    /// [`StoreError::NotNext`] if it lies at or before the head, or if another entry was stored there.
    pub fn append_apart(&mut self, log: LogKey, entry: NewEntry<'_>) -> Result<bool, StoreError> {
        let head = self.head(log)?;
        let not_next = StoreError::NotNext { log, head, seq: entry.seq, prev: entry.prev };
        if entry.seq <= head.seq {
            return Err(not_next);
        }
        let inserted = self.insert_entry(log, &entry)?;
        if !inserted && self.hash_at(log, entry.seq)? != Some(entry.hash) {
            return Err(not_next);
        }
        Ok(inserted)
    }

    /// Forgets an entry that was stored apart from the rest of its log, which has not come to it; whether there was one.
    pub fn forget_apart(&mut self, log: LogKey, seq: u64) -> Result<bool, StoreError> {
        const STEPS: &[&str] =
            &["DELETE FROM held WHERE entry = ?1", "DELETE FROM membership WHERE entry = ?1"];
        let doing = "forget an entry that was stored apart";
        if seq <= self.head(log)?.seq {
            return Ok(false);
        }
        for sql in STEPS {
            self.execute(doing, sql, (log.row(seq),))?;
        }
        Ok(self.execute(doing, "DELETE FROM entries WHERE id = ?1", (log.row(seq),))? > 0)
    }

    /// Goes on with a log at an entry further on than the next one: its head is that entry from now on.
    ///
    /// # Errors
    /// As [`Tx::append_apart`].
    pub fn enter_log(&mut self, log: LogKey, entry: NewEntry<'_>) -> Result<(), StoreError> {
        self.append_apart(log, entry)?;
        self.move_head(log, &entry);
        Ok(())
    }

    /// Drops entries of a log from place `from` up to `upto`, but for those that say who is in the space: at most so many,
    /// and not many more bytes. From where on to go on; `None` when all are gone.
    pub fn drop_entries(
        &mut self,
        log: LogKey,
        from: u64,
        upto: u64,
        max_count: usize,
        max_bytes: usize,
    ) -> Result<Option<u64>, StoreError> {
        let doing = "drop entries of a log";
        let last = self.last_to_drop(log, from, upto.min(MAX_SEQ), max_count, max_bytes)?;
        let Some(last) = last else { return Ok(None) };
        let range = (log.row(from), log.row(last));
        let sql =
            "DELETE FROM entries WHERE id BETWEEN ?1 AND ?2 AND id NOT IN (SELECT entry FROM membership)";
        self.execute(doing, sql, range)?;
        self.execute(doing, "DELETE FROM held WHERE entry BETWEEN ?1 AND ?2", range)?;
        Ok(Some(last + 1))
    }

    /// The last place of a piece that isn't too large.
    fn last_to_drop(
        &self,
        log: LogKey,
        from: u64,
        upto: u64,
        max_count: usize,
        max_bytes: usize,
    ) -> Result<Option<u64>, StoreError> {
        let read = || {
            let sql = "SELECT id, length(body) FROM entries WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3";
            let mut stmt = self.conn().prepare_cached(sql)?;
            let limit = i64::try_from(max_count).unwrap_or(i64::MAX);
            let mut rows = stmt.query((log.row(from), log.row(upto), limit))?;
            let (mut last, mut bytes) = (None, 0usize);
            while bytes < max_bytes
                && let Some(row) = rows.next()?
            {
                last = Some(LogKey::of_row(row.get(0)?).1);
                bytes = bytes.saturating_add(row.get(1)?);
            }
            Ok(last)
        };
        if from > upto {
            return Ok(None);
        }
        read().map_err(|err| self.failed("look for entries to drop", err))
    }

    /// Stores an entry unless there is one at its place.
    pub(super) fn insert_entry(&self, log: LogKey, entry: &NewEntry<'_>) -> Result<bool, StoreError> {
        let doing = "append an entry";
        if entry.seq > MAX_SEQ {
            let (value, max) = (entry.seq, MAX_SEQ);
            return Err(StoreError::TooLarge { doing, what: "sequence number", value, max });
        }
        let sql = "INSERT INTO entries(id, hash, header, signature, body) VALUES(?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT(id) DO NOTHING";
        let (row, hash) = (log.row(entry.seq), entry.hash.as_bytes());
        Ok(self.execute(doing, sql, (row, hash, entry.header, &entry.signature[..], entry.body))? > 0)
    }

    /// It's written down at the end of the change.
    pub(super) fn move_head(&self, log: LogKey, entry: &NewEntry<'_>) {
        let head = Head { seq: entry.seq, hash: entry.hash };
        self.memory().heads.borrow_mut().insert(log, head);
        self.memory().moved.borrow_mut().insert(log, (head, entry.hlc));
    }
}

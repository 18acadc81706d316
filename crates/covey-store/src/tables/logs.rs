//! Logs and their entries. An entry is taken only when it follows the head of its log.

use covey_types::{DeviceId, EntryHash, Head, Hlc, Incarnation, LogId};
use rusqlite::Row;

use super::{LogKey, SpaceKey, malformed};
use crate::{
    error::StoreError,
    tx::{Bits, Reader, Tx},
};

/// Bits of an entry's row number that are its place in the log: a trillion entries per log, and eight
/// million logs.
const SEQ_BITS: u32 = 40;

/// The largest sequence number that can be stored.
pub(super) const MAX_SEQ: u64 = (1 << SEQ_BITS) - 1;

/// The largest key of a log that leaves room for the sequence number.
const MAX_LOG: i64 = (1 << (63 - SEQ_BITS)) - 1;

impl LogKey {
    /// The row of this log's entry number `seq`.
    pub(super) const fn row(self, seq: u64) -> i64 {
        let seq = if seq > MAX_SEQ { MAX_SEQ } else { seq };
        self.0 << SEQ_BITS | seq.cast_signed()
    }

    /// The log and the sequence number of this row.
    pub(super) const fn of_row(row: i64) -> (Self, u64) {
        (Self(row >> SEQ_BITS), row.cast_unsigned() & MAX_SEQ)
    }
}

/// A log and how far it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRow {
    /// Its key in this store.
    pub key: LogKey,
    /// Which log.
    pub id: LogId,
    /// Its newest entry.
    pub head: Head,
    /// The time of its newest entry.
    pub hlc: Hlc,
}

/// An entry to be appended.
#[derive(Debug, Clone, Copy)]
pub struct NewEntry<'a> {
    /// Its place in the log: one after the head.
    pub seq: u64,
    /// Its hash.
    pub hash: EntryHash,
    /// The hash of the entry before it: that of the head.
    pub prev: EntryHash,
    /// Its time.
    pub hlc: Hlc,
    /// Its header, as it was signed.
    pub header: &'a [u8],
    /// The signature of the header.
    pub signature: &'a [u8; 64],
    /// Its body, as it came.
    pub body: &'a [u8],
}

/// An entry, with the bytes that were appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its place in the log.
    pub seq: u64,
    /// Its hash.
    pub hash: EntryHash,
    /// Its header, as it was signed.
    pub header: Vec<u8>,
    /// The signature of the header.
    pub signature: [u8; 64],
    /// Its body, as it came.
    pub body: Vec<u8>,
}

impl StoredEntry {
    /// How many bytes it takes to pass it on.
    pub fn size_bytes(&self) -> usize {
        self.header.len() + self.signature.len() + self.body.len()
    }

    /// From the columns `id, hash, header, signature, body`.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<(LogKey, Self)> {
        let (log, seq) = LogKey::of_row(row.get(0)?);
        let entry = Self {
            seq,
            hash: EntryHash(row.get(1)?),
            header: row.get(2)?,
            signature: row.get(3)?,
            body: row.get(4)?,
        };
        Ok((log, entry))
    }
}

impl LogRow {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: LogKey(row.get(0)?),
            id: LogId { device: DeviceId(row.get(1)?), incarnation: Incarnation(row.get::<_, Bits>(2)?.0) },
            head: Head { seq: row.get(3)?, hash: EntryHash(row.get(4)?) },
            hlc: Hlc::from_u64(row.get::<_, Bits>(5)?.0),
        })
    }
}

impl Reader<'_> {
    /// The logs of a space.
    pub fn logs(&self, space: SpaceKey) -> Result<Vec<LogRow>, StoreError> {
        let sql = "SELECT key, device, incarnation, seq, hash, hlc FROM logs WHERE space = ?1 ORDER BY key";
        let mut logs = self.rows("list the logs of a space", sql, [space.0], LogRow::read)?;
        logs.iter_mut().for_each(|row| self.move_on(row));
        Ok(logs)
    }

    /// One log of a space.
    pub fn log(&self, space: SpaceKey, id: LogId) -> Result<Option<LogRow>, StoreError> {
        let sql = "SELECT key, device, incarnation, seq, hash, hlc FROM logs
                   WHERE space = ?1 AND device = ?2 AND incarnation = ?3";
        let which = (space.0, &id.device.0, Bits(id.incarnation.0));
        let mut log = self.row("look for a log", sql, which, LogRow::read)?;
        log.iter_mut().for_each(|row| self.move_on(row));
        Ok(log)
    }

    /// How far a log reaches within this change, which is written down at its end.
    fn move_on(&self, row: &mut LogRow) {
        if let Some(pending) = self.pending() {
            (row.head, row.hlc) =
                pending.moved.borrow().get(&row.key).copied().unwrap_or((row.head, row.hlc));
        }
    }

    /// How far a log reaches.
    pub fn head(&self, log: LogKey) -> Result<Head, StoreError> {
        let doing = "read the head of a log";
        let moved = self.pending().and_then(|pending| pending.moved.borrow().get(&log).copied());
        if let Some((head, _)) = moved {
            return Ok(head);
        }
        let head = self.row(doing, "SELECT seq, hash FROM logs WHERE key = ?1", [log.0], |row| {
            Ok(Head { seq: row.get(0)?, hash: EntryHash(row.get(1)?) })
        })?;
        head.ok_or_else(|| missing(doing, log))
    }

    /// The entries of a log from `from_seq` on, in order: as many as `max_bytes` and `max_count` allow,
    /// but at least one if there is one and `max_count` isn't 0.
    pub fn entries(
        &self,
        log: LogKey,
        from_seq: u64,
        max_bytes: usize,
        max_count: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let sql =
            "SELECT id, hash, header, signature, body FROM entries WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
        let read = || {
            let mut stmt = self.conn().prepare_cached(sql)?;
            let mut rows = stmt.query((log.row(from_seq.max(1)), log.row(MAX_SEQ)))?;
            let mut entries = Vec::new();
            let mut bytes = 0usize;
            while entries.len() < max_count
                && let Some(row) = rows.next()?
            {
                let size = row_bytes(row)?;
                bytes = bytes.saturating_add(size);
                if bytes > max_bytes && !entries.is_empty() {
                    break;
                }
                entries.push(StoredEntry::read(row)?.1);
            }
            Ok(entries)
        };
        if from_seq > MAX_SEQ {
            return Ok(Vec::new());
        }
        read().map_err(|err| self.failed("read entries", err))
    }

    /// One entry.
    pub fn entry(&self, log: LogKey, seq: u64) -> Result<Option<StoredEntry>, StoreError> {
        let sql = "SELECT id, hash, header, signature, body FROM entries WHERE id = ?1";
        if seq == 0 || seq > MAX_SEQ {
            return Ok(None);
        }
        Ok(self.row("read an entry", sql, [log.row(seq)], StoredEntry::read)?.map(|(_, entry)| entry))
    }

    /// The hash of one entry: tells whether another node has the same one.
    pub fn hash_at(&self, log: LogKey, seq: u64) -> Result<Option<EntryHash>, StoreError> {
        if seq == 0 || seq > MAX_SEQ {
            return Ok(None);
        }
        let sql = "SELECT hash FROM entries WHERE id = ?1";
        self.row("read the hash of an entry", sql, [log.row(seq)], |row| row.get(0).map(EntryHash))
    }
}

fn row_bytes(row: &Row<'_>) -> rusqlite::Result<usize> {
    let mut sum = 0;
    for column in 2..=4 {
        sum += row.get_ref(column)?.as_blob().map_err(|_| malformed(column, "not bytes"))?.len();
    }
    Ok(sum)
}

impl Tx<'_> {
    /// The key of this log, which is taken in if it isn't there yet.
    pub fn ensure_log(&mut self, space: SpaceKey, id: LogId) -> Result<LogKey, StoreError> {
        let doing = "add a log";
        let names = (space.0, id.device.as_bytes(), Bits(id.incarnation.0));
        let find = "SELECT key FROM logs WHERE space = ?1 AND device = ?2 AND incarnation = ?3";
        if let Some(key) = self.row(doing, find, names, |row| row.get(0))? {
            return Ok(LogKey(key));
        }
        self.check_space(doing, space)?;
        let sql = "INSERT INTO logs(space, device, incarnation, seq, hash, hlc) VALUES(?1, ?2, ?3, 0, ?4, 0)";
        let (space, device, incarnation) = (space.0, id.device.as_bytes(), Bits(id.incarnation.0));
        let key = self.insert(doing, sql, (space, device, incarnation, EntryHash::NONE.as_bytes()))?;
        if key > MAX_LOG {
            let (value, max) = (key.cast_unsigned(), MAX_LOG.cast_unsigned());
            return Err(StoreError::TooLarge { doing, what: "the number of logs", value, max });
        }
        Ok(LogKey(key))
    }

    /// Appends an entry to its log.
    ///
    /// # Errors
    /// [`StoreError::NotNext`] if it doesn't follow the head in number and hash, or if another one was stored apart at its
    /// place.
    pub fn append(&mut self, log: LogKey, entry: NewEntry<'_>) -> Result<(), StoreError> {
        let known = self.memory().heads.borrow().get(&log).copied();
        let head = known.map_or_else(|| self.head(log), Ok)?;
        if entry.seq != head.seq.saturating_add(1) || entry.prev != head.hash {
            return Err(StoreError::NotNext { log, head, seq: entry.seq, prev: entry.prev });
        }
        if !self.insert_entry(log, &entry)? && self.hash_at(log, entry.seq)? != Some(entry.hash) {
            return Err(StoreError::NotNext { log, head, seq: entry.seq, prev: entry.prev });
        }
        self.move_head(log, &entry);
        Ok(())
    }

    /// Writes down how far a log reaches.
    pub(crate) fn move_log(&self, log: LogKey, head: Head, hlc: Hlc) -> Result<(), StoreError> {
        let sql = "UPDATE logs SET seq = ?2, hash = ?3, hlc = ?4 WHERE key = ?1";
        let params = (log.0, head.seq, head.hash.as_bytes(), Bits(hlc.to_u64()));
        self.execute("move the head of a log", sql, params).map(drop)
    }
}

fn missing(doing: &'static str, log: LogKey) -> StoreError {
    StoreError::Missing { doing, what: "log", key: log.0.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_number_holds_the_log_and_the_place_in_it() {
        for (log, seq) in [(1, 1), (MAX_LOG, MAX_SEQ), (7, 1 << 39)] {
            let row = LogKey(log).row(seq);
            assert!(row > 0);
            assert_eq!(LogKey::of_row(row), (LogKey(log), seq));
        }
        assert!(LogKey(1).row(MAX_SEQ) < LogKey(2).row(0));
    }
}

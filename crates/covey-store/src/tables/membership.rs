//! Which entries say who is in a space, and which entries wait to be applied.

use covey_types::EntryHash;

use super::{LogKey, SpaceKey, logs::MAX_SEQ, logs::StoredEntry};
use crate::{
    error::StoreError,
    tx::{Bits, Reader, Tx},
};

/// An entry that is stored and not applied yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldRow {
    /// Its log.
    pub log: LogKey,
    /// Its place there.
    pub seq: u64,
    /// Why it is held, in the caller's numbers.
    pub reason: u32,
    /// When to look again, in milliseconds since 1970.
    pub until_ms: u64,
}

impl Reader<'_> {
    /// The entries that say who is in this space, in the order they were noted.
    pub fn membership(&self, space: SpaceKey) -> Result<Vec<(LogKey, StoredEntry)>, StoreError> {
        let sql = "SELECT e.id, e.hash, e.header, e.signature, e.body
                   FROM membership m JOIN entries e ON e.id = m.entry WHERE m.space = ?1 ORDER BY m.key";
        self.rows("read the membership of a space", sql, [space.0], StoredEntry::read)
    }

    /// Where entries of this space lie past the head of their logs.
    pub fn apart(&self, space: SpaceKey) -> Result<Vec<(LogKey, u64)>, StoreError> {
        let sql = "SELECT e.id FROM logs l
                   JOIN entries e ON e.id BETWEEN (l.key << 40) + l.seq + 1 AND (l.key << 40) + 1099511627775
                   WHERE l.space = ?1 ORDER BY e.id";
        self.rows("look for what lies apart in a space", sql, [space.0], |row| {
            Ok(LogKey::of_row(row.get(0)?))
        })
    }

    /// The entries of this space that are held, those to look at first in front.
    pub fn held(&self, space: SpaceKey) -> Result<Vec<HeldRow>, StoreError> {
        let sql = "SELECT h.entry, h.reason, h.until_ms FROM logs l
                   JOIN held h ON h.entry BETWEEN l.key << 40 AND (l.key << 40) + 1099511627775
                   WHERE l.space = ?1 ORDER BY h.until_ms < 0, h.until_ms, h.entry";
        self.rows("list the entries that are held", sql, [space.0], |row| {
            let (log, seq) = LogKey::of_row(row.get(0)?);
            Ok(HeldRow { log, seq, reason: row.get(1)?, until_ms: row.get::<_, Bits>(2)?.0 })
        })
    }
}

impl Tx<'_> {
    /// Notes that this entry, which must be in its log already, says who is in the space. Noting it
    /// again changes nothing.
    pub fn add_membership(
        &mut self,
        space: SpaceKey,
        hash: EntryHash,
        log: LogKey,
        seq: u64,
    ) -> Result<(), StoreError> {
        let doing = "note a membership entry";
        if self.hash_at(log, seq)? != Some(hash) {
            return Err(missing(doing, log, seq));
        }
        let sql = "INSERT INTO membership(space, hash, entry) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.execute(doing, sql, (space.0, hash.as_bytes(), log.row(seq)))?;
        Ok(())
    }

    /// Notes that an entry is not to be applied before `until_ms` (milliseconds since 1970). A later
    /// word on the same entry replaces an earlier one.
    pub fn hold(&mut self, log: LogKey, seq: u64, reason: u32, until_ms: u64) -> Result<(), StoreError> {
        let doing = "hold an entry";
        if seq == 0 || seq > MAX_SEQ {
            return Err(missing(doing, log, seq));
        }
        let sql = "INSERT OR REPLACE INTO held(entry, reason, until_ms) VALUES(?1, ?2, ?3)";
        self.execute(doing, sql, (log.row(seq), reason, Bits(until_ms)))?;
        Ok(())
    }

    /// Lets a held entry go; whether it was held.
    pub fn release(&mut self, log: LogKey, seq: u64) -> Result<bool, StoreError> {
        if seq == 0 || seq > MAX_SEQ {
            return Ok(false);
        }
        Ok(self.execute("release an entry", "DELETE FROM held WHERE entry = ?1", [log.row(seq)])? > 0)
    }
}

fn missing(doing: &'static str, log: LogKey, seq: u64) -> StoreError {
    StoreError::Missing { doing, what: "entry", key: format!("{seq} of {log}") }
}

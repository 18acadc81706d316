//! Logs with two histories: the proofs, and the entries that were set aside.

use covey_types::{DeviceId, EntryHash, Head, Hlc, Incarnation, LogId};

use super::{
    LogKey, SpaceKey,
    logs::{MAX_SEQ, NewEntry, StoredEntry},
};
use crate::{
    error::StoreError,
    tx::{Bits, Reader, Tx},
};

/// A log that counts up to some place only, since its author wrote two histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkRow {
    /// Which log.
    pub id: LogId,
    /// The first place that doesn't count any more.
    pub seq: u64,
    /// The proof and what goes with it, in the caller's bytes.
    pub evidence: Vec<u8>,
}

/// Where a log ends once its tail is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEnd {
    /// The first place that goes.
    pub from: u64,
    /// The hash of the entry before it; of nothing at the start.
    pub hash: EntryHash,
    /// The time of that entry.
    pub hlc: Hlc,
}

impl Reader<'_> {
    /// The logs of this space that are known to be forked.
    pub fn forks(&self, space: SpaceKey) -> Result<Vec<ForkRow>, StoreError> {
        let sql = "SELECT device, incarnation, seq, evidence FROM forks WHERE space = ?1";
        self.rows("list the forks of a space", sql, [space.0], |row| {
            Ok(ForkRow {
                id: LogId {
                    device: DeviceId(row.get(0)?),
                    incarnation: Incarnation(row.get::<_, Bits>(1)?.0),
                },
                seq: row.get(2)?,
                evidence: row.get(3)?,
            })
        })
    }

    /// The entries of a log that were set aside, from a place on, in order; at most so many.
    pub fn set_aside(
        &self,
        log: LogKey,
        from_seq: u64,
        max_count: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        if from_seq > MAX_SEQ {
            return Ok(Vec::new());
        }
        let sql = "SELECT id, hash, header, signature, body FROM set_aside WHERE id BETWEEN ?1 AND ?2
                   ORDER BY id LIMIT ?3";
        let params = (log.row(from_seq.max(1)), log.row(MAX_SEQ), max_count);
        let rows = self.rows("read entries that were set aside", sql, params, StoredEntry::read)?;
        Ok(rows.into_iter().map(|(_, entry)| entry).collect())
    }
}

impl Tx<'_> {
    /// Notes that a log is forked, in place of what was noted of it before.
    pub fn put_fork(&mut self, space: SpaceKey, fork: &ForkRow) -> Result<(), StoreError> {
        let doing = "note a fork";
        self.check_space(doing, space)?;
        let sql = "INSERT OR REPLACE INTO forks(space, device, incarnation, seq, evidence) VALUES(?1, ?2, ?3, ?4, ?5)";
        let ForkRow { id, seq, evidence } = fork;
        self.execute(doing, sql, (space.0, id.device.as_bytes(), Bits(id.incarnation.0), seq, evidence))?;
        Ok(())
    }

    /// Ends a log before a place, and sets aside what stands from there on. Nothing of that is held any more, or says
    /// who is in the space. What was set aside of a place before stays as it is: it's what was here first.
    pub fn truncate(&mut self, log: LogKey, end: NewEnd) -> Result<(), StoreError> {
        const STEPS: &[&str] = &[
            "INSERT OR IGNORE INTO set_aside(id, hash, header, signature, body)
             SELECT id, hash, header, signature, body FROM entries WHERE id BETWEEN ?1 AND ?2",
            "DELETE FROM entries WHERE id BETWEEN ?1 AND ?2",
            "DELETE FROM held WHERE entry BETWEEN ?1 AND ?2",
            "DELETE FROM membership WHERE entry BETWEEN ?1 AND ?2",
        ];
        let doing = "set the tail of a log aside";
        let head = self.head(log)?;
        if end.from == 0 {
            return Ok(());
        }
        for sql in STEPS {
            self.execute(doing, sql, (log.row(end.from), log.row(MAX_SEQ)))?;
        }
        // Entries may have been stored apart from the rest, further on.
        if end.from > head.seq {
            return Ok(());
        }
        self.memory().heads.borrow_mut().remove(&log);
        self.memory().moved.borrow_mut().remove(&log);
        self.move_log(log, Head { seq: end.from - 1, hash: end.hash }, end.hlc)
    }

    /// Keeps an entry aside, in place of what is kept there of its place: what a log is to go on with once all of it has come.
    pub fn put_aside(&mut self, log: LogKey, entry: NewEntry<'_>) -> Result<(), StoreError> {
        let doing = "keep an entry aside";
        if entry.seq == 0 || entry.seq > MAX_SEQ {
            let (value, max) = (entry.seq, MAX_SEQ);
            return Err(StoreError::TooLarge { doing, what: "sequence number", value, max });
        }
        let sql =
            "INSERT OR REPLACE INTO set_aside(id, hash, header, signature, body) VALUES(?1, ?2, ?3, ?4, ?5)";
        let (row, hash) = (log.row(entry.seq), entry.hash.as_bytes());
        self.execute(doing, sql, (row, hash, entry.header, &entry.signature[..], entry.body))?;
        Ok(())
    }

    /// Takes what is set aside right behind a log's end back into it, up to an entry with which the log ends then. That they
    /// follow each other is for the caller to know.
    ///
    /// # Errors
    /// [`StoreError::NotNext`] if a place in between is missing, or another entry is stored there; nothing has changed then.
    pub fn bring_back(&mut self, log: LogKey, end: Head, hlc: Hlc) -> Result<(), StoreError> {
        let doing = "take entries back that were set aside";
        let head = self.head(log)?;
        let range = (log.row(head.seq + 1), log.row(end.seq.min(MAX_SEQ)));
        let is_whole = "SELECT count(*) FROM set_aside WHERE id BETWEEN ?1 AND ?2";
        let there: Option<u64> = self.row(doing, is_whole, range, |row| row.get(0))?;
        let taken = "SELECT count(*) FROM entries WHERE id BETWEEN ?1 AND ?2";
        let in_the_way: Option<u64> = self.row(doing, taken, range, |row| row.get(0))?;
        if end.seq <= head.seq || there != Some(end.seq - head.seq) || in_the_way != Some(0) {
            return Err(StoreError::NotNext { log, head, seq: end.seq, prev: EntryHash::NONE });
        }
        let sql = "INSERT INTO entries(id, hash, header, signature, body)
             SELECT id, hash, header, signature, body FROM set_aside WHERE id BETWEEN ?1 AND ?2";
        self.execute(doing, sql, range)?;
        self.execute(doing, "DELETE FROM set_aside WHERE id BETWEEN ?1 AND ?2", range)?;
        self.memory().heads.borrow_mut().remove(&log);
        self.memory().moved.borrow_mut().remove(&log);
        self.move_log(log, end, hlc)
    }

    /// Sets copies of a log's entries aside, from a place up to another one, unless something of their places is already.
    pub fn copy_aside(&mut self, log: LogKey, from: u64, upto: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO set_aside(id, hash, header, signature, body)
             SELECT id, hash, header, signature, body FROM entries WHERE id BETWEEN ?1 AND ?2
             ON CONFLICT(id) DO NOTHING";
        let range = (log.row(from.min(MAX_SEQ)), log.row(upto.min(MAX_SEQ)));
        self.execute("copy entries of a log aside", sql, range)?;
        Ok(())
    }
}

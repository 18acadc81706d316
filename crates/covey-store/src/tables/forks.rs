//! Logs with two histories: the proofs, and the entries that were set aside.

use covey_types::{DeviceId, EntryHash, Head, Hlc, Incarnation, LogId};

use super::{
    LogKey, SpaceKey,
    logs::{MAX_SEQ, StoredEntry},
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

//! Places in logs, and what stands there, without the bodies.

use super::{LogKey, logs::MAX_SEQ};
use crate::{error::StoreError, tx::Reader};

impl Reader<'_> {
    /// The header of an entry, as it was signed.
    pub fn header(&self, log: LogKey, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if seq == 0 || seq > MAX_SEQ {
            return Ok(None);
        }
        let sql = "SELECT header FROM entries WHERE id = ?1";
        self.row("read the header of an entry", sql, [log.row(seq)], |row| row.get(0))
    }

    /// The header, as it was signed, of the newest entry of a log that is here and stands at `up_to_seq` or before it.
    pub fn header_until(&self, log: LogKey, up_to_seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT header FROM entries WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1";
        let range = (log.row(1), log.row(up_to_seq.min(MAX_SEQ)));
        self.row("read the header of an entry", sql, range, |row| row.get(0))
    }
}

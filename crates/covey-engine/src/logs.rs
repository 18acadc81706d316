//! How far each log reaches, while a batch is ingested.

use std::collections::BTreeMap;

use covey_log::Entry;
use covey_store::{LogKey, NewEntry, SpaceKey, StoreError};
use covey_types::{
    Head, Hlc, Incarnation, LogId,
    limits::{MAX_LOGS_PER_DEVICE, MAX_LOGS_PER_SPACE},
};

use crate::{Rows, RowsMut};

/// Appends an entry to its log.
pub(crate) fn append(tx: &mut impl RowsMut, log: LogKey, entry: &Entry) -> Result<(), StoreError> {
    tx.append(log, row_of(entry))
}

/// The row that an entry becomes.
pub(crate) fn row_of(entry: &Entry) -> NewEntry<'_> {
    NewEntry {
        seq: entry.header.seq,
        hash: entry.hash,
        prev: entry.header.prev,
        hlc: entry.header.hlc,
        header: &entry.header_bytes,
        signature: &entry.signature.0,
        body: &entry.body,
    }
}

/// How far each log of a space reaches.
#[derive(Debug)]
pub(crate) struct LogCursors {
    space: SpaceKey,
    logs: BTreeMap<LogId, LogCursor>,
    /// Logs of authors of whom nothing is known, once they were counted.
    unknown: Option<usize>,
}

/// How far one log reaches.
#[derive(Debug)]
pub(crate) struct LogCursor {
    pub(crate) key: LogKey,
    pub(crate) head: Head,
    pub(crate) hlc: Hlc,
}

impl LogCursors {
    pub(crate) fn load(tx: &impl Rows, space: SpaceKey) -> Result<Self, StoreError> {
        let rows = tx.logs(space)?.into_iter();
        let logs =
            rows.map(|row| (row.id, LogCursor { key: row.key, head: row.head, hlc: row.hlc })).collect();
        Ok(Self { space, logs, unknown: None })
    }

    /// Whether a log is here already.
    pub(crate) fn has(&self, log: LogId) -> bool {
        self.logs.contains_key(&log)
    }

    /// Counts one more log of an author of whom nothing is known, if that makes no more than `max`. Which are such logs is
    /// looked at once for each batch: authors who become known while it lasts make room for the next one.
    pub(crate) fn one_more_unknown(&mut self, max: usize, is_known: impl Fn(&LogId) -> bool) -> bool {
        let logs = &self.logs;
        let unknown = self.unknown.get_or_insert_with(|| logs.keys().filter(|log| !is_known(log)).count());
        let fits = *unknown < max;
        *unknown += usize::from(fits);
        fits
    }

    /// Whether a log is here already, or may be begun.
    pub(crate) fn has_room_for(&self, log: LogId) -> bool {
        let of_device = |incarnation| LogId { device: log.device, incarnation };
        let all_of_device = of_device(Incarnation(u64::MIN))..=of_device(Incarnation(u64::MAX));
        self.logs.contains_key(&log)
            || self.logs.len() < MAX_LOGS_PER_SPACE
                && self.logs.range(all_of_device).count() < MAX_LOGS_PER_DEVICE
    }

    pub(crate) fn cursor(&mut self, tx: &mut impl RowsMut, log: LogId) -> Result<&mut LogCursor, StoreError> {
        if let std::collections::btree_map::Entry::Vacant(slot) = self.logs.entry(log) {
            let key = tx.ensure_log(self.space, log)?;
            slot.insert(LogCursor { key, head: Head::EMPTY, hlc: Hlc::default() });
        }
        Ok(self.logs.get_mut(&log).expect("it was put there"))
    }
}

//! How far each log reaches, while a batch is ingested.

use std::collections::BTreeMap;

use covey_log::Entry;
use covey_store::{LogKey, LogRow, NewEntry, SpaceKey, StoreError};
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

/// Whether something of a log is here, or was: there's more of it than somebody's word.
pub(crate) fn is_begun(rows: &impl Rows, log: LogKey, head: Head) -> Result<bool, StoreError> {
    Ok(head.seq > 0 || !rows.entries(log, 1, 1, 1)?.is_empty() || !rows.set_aside(log, 1, 1)?.is_empty())
}

/// How far logs of a space reach: those that were asked for, since there may be many of them, and few are in a batch.
#[derive(Debug)]
pub(crate) struct LogCursors {
    space: SpaceKey,
    logs: BTreeMap<LogId, LogCursor>,
    /// Whether these are all logs of the space.
    is_whole: bool,
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

impl LogCursor {
    pub(crate) const fn of(row: &LogRow) -> Self {
        Self { key: row.key, head: row.head, hlc: row.hlc }
    }
}

impl LogCursors {
    pub(crate) const fn new(space: SpaceKey) -> Self {
        Self { space, logs: BTreeMap::new(), is_whole: false, unknown: None }
    }

    /// How far a log reaches, if it's here.
    fn find(&mut self, rows: &impl Rows, log: LogId) -> Result<Option<&LogCursor>, StoreError> {
        if !self.is_whole
            && !self.logs.contains_key(&log)
            && let Some(row) = rows.log(self.space, log)?
        {
            self.logs.insert(log, LogCursor::of(&row));
        }
        Ok(self.logs.get(&log))
    }

    fn load_all(&mut self, rows: &impl Rows) -> Result<(), StoreError> {
        if !self.is_whole {
            for row in rows.logs(self.space)? {
                self.logs.entry(row.id).or_insert_with(|| LogCursor::of(&row));
            }
            self.is_whole = true;
        }
        Ok(())
    }

    /// Whether a log is here already.
    pub(crate) fn has(&mut self, rows: &impl Rows, log: LogId) -> Result<bool, StoreError> {
        Ok(self.find(rows, log)?.is_some())
    }

    /// Counts one more log of an author of whom nothing is known, if that makes no more than `max`. Which are such logs is
    /// looked at once for each batch: authors who become known while it lasts make room for the next one.
    pub(crate) fn one_more_unknown(
        &mut self,
        rows: &impl Rows,
        max: usize,
        is_known: impl Fn(&LogId) -> bool,
    ) -> Result<bool, StoreError> {
        self.load_all(rows)?;
        let logs = &self.logs;
        let unknown = self.unknown.get_or_insert_with(|| logs.keys().filter(|log| !is_known(log)).count());
        let fits = *unknown < max;
        *unknown += usize::from(fits);
        Ok(fits)
    }

    /// Whether a log is here already, or may be begun. Logs that others have only told of take no room: else anybody could use
    /// up the places of somebody else's device.
    pub(crate) fn has_room_for(&mut self, rows: &impl Rows, log: LogId) -> Result<bool, StoreError> {
        if self.find(rows, log)?.is_some_and(|cursor| cursor.head.seq > 0) {
            return Ok(true);
        }
        self.load_all(rows)?;
        let has_room = self.logs.contains_key(&log) || self.logs.len() < MAX_LOGS_PER_SPACE;
        if !has_room || self.others_of(log).count() < MAX_LOGS_PER_DEVICE {
            return Ok(has_room);
        }
        let mut begun = 0;
        for cursor in self.others_of(log) {
            begun += usize::from(is_begun(rows, cursor.key, cursor.head)?);
        }
        Ok(begun < MAX_LOGS_PER_DEVICE)
    }

    /// Whether a log has yet to begin here, and its device has written in another one.
    pub(crate) fn is_further(&mut self, rows: &impl Rows, log: LogId) -> Result<bool, StoreError> {
        if self.find(rows, log)?.is_some_and(|cursor| cursor.head.seq > 0) {
            return Ok(false);
        }
        self.load_all(rows)?;
        Ok(self.others_of(log).any(|cursor| cursor.head.seq > 0))
    }

    /// The other logs of a log's device.
    fn others_of(&self, log: LogId) -> impl Iterator<Item = &LogCursor> {
        let of_device = |incarnation| LogId { device: log.device, incarnation };
        let all = of_device(Incarnation(u64::MIN))..=of_device(Incarnation(u64::MAX));
        self.logs.range(all).filter(move |(id, _)| **id != log).map(|(_, cursor)| cursor)
    }

    pub(crate) fn cursor(&mut self, tx: &mut impl RowsMut, log: LogId) -> Result<&mut LogCursor, StoreError> {
        self.find(tx, log)?;
        if let std::collections::btree_map::Entry::Vacant(slot) = self.logs.entry(log) {
            let key = tx.ensure_log(self.space, log)?;
            slot.insert(LogCursor { key, head: Head::EMPTY, hlc: Hlc::default() });
        }
        Ok(self.logs.get_mut(&log).expect("it was put there"))
    }
}

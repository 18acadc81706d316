//! Loading what a peer lacks.

use std::collections::{BTreeMap, BTreeSet};

use covey_log::Entry;
use covey_store::{LogKey, Reader, SpaceKey, StoreError, StoredEntry};
use covey_types::{Hlc, LogId};

use super::decode_stored;

/// Loads entries for a peer in causal order: by time, which no author sets before what it had seen.
pub(crate) fn load_for_peer(
    reader: &Reader<'_>,
    space: SpaceKey,
    wants: &[(LogId, u64)],
    max_bytes: usize,
) -> Result<Vec<Entry>, StoreError> {
    /// Most entries of one log that are looked at for one batch.
    const CHUNK: usize = 1024;
    /// Least that is read of each log for one batch.
    const MIN_SHARE_BYTES: usize = 8 << 10;
    let keys: BTreeMap<LogId, LogKey> =
        reader.logs(space)?.into_iter().map(|row| (row.id, row.key)).collect();
    let mut entries = Vec::new();
    // Past the last entry of a log of which there is more, nothing is known: stop before that time.
    let mut horizon = Hlc::from_u64(u64::MAX);
    let wanted: BTreeSet<_> = wants.iter().collect();
    // Of many logs little of each: what is not sent in this batch is read again for the next.
    let share = (max_bytes / wanted.len().max(1)).max(MIN_SHARE_BYTES);
    for (log, from) in wanted {
        let Some(key) = keys.get(log) else { continue };
        let stored = reader.entries(*key, *from, share, CHUNK)?;
        let size: usize = stored.iter().map(StoredEntry::size_bytes).sum();
        let more = stored.len() >= CHUNK || size >= share;
        for row in &stored {
            entries.push(decode_stored(row)?);
        }
        if let Some(last) = entries.last().filter(|_| more && !stored.is_empty()) {
            horizon = horizon.min(last.header.hlc);
        }
    }
    entries.sort_by_key(|entry| (entry.header.hlc, entry.header.log));
    let mut size = 0;
    let mut count = 0;
    for entry in &entries {
        if count > 0 && (entry.header.hlc > horizon || size >= max_bytes) {
            break;
        }
        size += entry.body.len() + entry.header_bytes.len();
        count += 1;
    }
    entries.truncate(count);
    Ok(entries)
}

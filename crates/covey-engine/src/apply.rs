//! Turns the operations of an entry into rows.

use covey_records::{BodyReader, Devices, Op, Record, RecordId, Stamp, fresh_put_parts, own};
use covey_store::{CollectionKey, RecordRow, SpaceKey, StoreError};
use covey_types::{
    DeviceId, LogId,
    limits::{MAX_OPS_PER_ENTRY, MAX_RECORD_BYTES},
    wire::DecodeError,
};

use crate::{Rows, RowsMut, devices::DeviceTable, reach};

/// Why an entry's operations could not be applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The body says something that no honest author says. Nothing of the entry counts.
    #[error(transparent)]
    Body(#[from] DecodeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry of this device would make a record larger than [`MAX_MERGED_BYTES`].
    #[error("a record of {len} bytes is longer than the limit of {MAX_MERGED_BYTES}")]
    TooLarge {
        /// Its length, bytes.
        len: usize,
    },
    /// An entry of this device writes what only another one may write.
    #[error("the record {id} of {collection} is another device's own")]
    NotOwn {
        /// Its collection.
        collection: String,
        /// Its id.
        id: String,
    },
}

/// Longest record that this device may make by merging into what is there, bytes of document and merge state: four
/// largest documents. Each change has its own limit, and without this one they would add up to records that nobody can
/// hold. Those of others are merged whatever comes of it, since all replicas must come to the same.
pub const MAX_MERGED_BYTES: usize = 4 * MAX_RECORD_BYTES;

/// Who wrote the entry that is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// This device, just now: what goes too far can still be refused.
    Here,
    /// Somebody else, or this device before: the entry is part of the log.
    Elsewhere,
}

/// Applies the operations of one entry, all or none; how many of them a newer version has written, which can only be
/// kept. Applying an entry once more changes nothing but what was not understood before.
pub(crate) fn apply(
    tx: &mut impl RowsMut,
    space: SpaceKey,
    devices: &mut DeviceTable,
    (stamp, log, seq): (Stamp, LogId, u64),
    plain: &[u8],
    writer: Writer,
) -> Result<usize, ApplyError> {
    // Decoded as a whole first: an entry that turns bad in the middle must leave no trace.
    let ops = operations(plain)?;
    if writer == Writer::Here
        && let Some((collection, id)) =
            ops.iter().filter(|op| !is_theirs(op, stamp.device)).find_map(|op| target(op))
    {
        return Err(ApplyError::NotOwn { collection: collection.to_owned(), id: id.to_string() });
    }
    if ops.iter().any(|op| matches!(op, Op::AsOf { .. })) {
        reach::note_as_of(tx, space, log, seq)?;
    }
    let mut unknown = 0;
    for (op, stamp) in stamped(&ops, stamp) {
        match target(op) {
            Some((collection, id)) => {
                apply_one(tx, space, devices, op, collection, id, stamp, log, writer)?;
            }
            None => unknown += usize::from(matches!(op, Op::Unknown { .. })),
        }
    }
    Ok(unknown)
}

/// The operations of an entry, or of a word of a checkpoint, each with the stamp that it carries: the entry's, which is
/// given, or an earlier one where it says so. Those on records that are another device's [own](own) count nowhere, and are
/// left out.
pub(crate) fn stamped<'a, 'b>(
    ops: &'b [Op<'a>],
    mut stamp: Stamp,
) -> impl Iterator<Item = (&'b Op<'a>, Stamp)> + use<'a, 'b> {
    let entry = stamp.hlc;
    let said = ops.iter().map(move |op| {
        if let Op::AsOf { hlc } = op {
            stamp.hlc = entry.min(*hlc);
        }
        (op, stamp)
    });
    said.filter(|(op, stamp)| is_theirs(op, stamp.device))
}

/// Whether a device may say this of the record that it's about.
fn is_theirs(op: &Op<'_>, device: DeviceId) -> bool {
    target(op).is_none_or(|(collection, id)| {
        !collection.starts_with(own::PREFIX) || own::may_write(collection, id.text(&mut [0; 36]), device)
    })
}

/// The operations in a body, all of them sound.
pub(crate) fn operations(plain: &[u8]) -> Result<Vec<Op<'_>>, DecodeError> {
    let ops = BodyReader::new(plain).take(MAX_OPS_PER_ENTRY + 1).collect::<Result<Vec<_>, _>>()?;
    if ops.len() > MAX_OPS_PER_ENTRY {
        return Err(DecodeError::malformed("an entry", format!("more than {MAX_OPS_PER_ENTRY} operations")));
    }
    Ok(ops)
}

/// The record that an operation is about: its collection and id.
pub(crate) fn target<'a>(op: &'a Op<'a>) -> Option<(&'a str, &'a RecordId<'a>)> {
    match op {
        Op::Put { collection, id, .. }
        | Op::Delete { collection, id, .. }
        | Op::CounterAdd { collection, id, .. }
        | Op::SetAdd { collection, id, .. }
        | Op::SetRemove { collection, id, .. } => Some((collection, id)),
        Op::AsOf { .. } | Op::Unknown { .. } => None,
    }
}

#[expect(clippy::too_many_arguments, reason = "the loop's body, split off for reading")]
fn apply_one(
    tx: &mut impl RowsMut,
    space: SpaceKey,
    devices: &mut DeviceTable,
    op: &Op<'_>,
    collection: &str,
    id: &RecordId<'_>,
    stamp: Stamp,
    log: LogId,
    writer: Writer,
) -> Result<(), ApplyError> {
    let mut buffer = [0; 36];
    let id = id.text(&mut buffer);
    let collection = tx.ensure_collection(space, collection)?;
    if let Op::Put { fields, .. } = op {
        // Most records are new: then one statement is all.
        let (doc, state) = fresh_put_parts(fields, stamp, devices);
        let inserted = tx.insert_record(collection, id, Some(&doc), &state);
        if left_out(inserted)?.is_none_or(|position| position.is_some()) {
            return Ok(());
        }
    }
    let row = tx.record(collection, id)?;
    let mut record = merged(row.as_ref(), devices)?;
    if !record.apply(op, stamp, log) {
        return Ok(());
    }
    let (doc, state) = record.to_parts(devices);
    let size = |doc: Option<&str>, state: &[u8]| doc.map_or(0, str::len) + state.len();
    let len = size(doc.as_deref(), &state);
    let before = row.as_ref().map_or(0, |row| size(row.doc.as_deref(), &row.state));
    if writer == Writer::Here && len > MAX_MERGED_BYTES.max(before) {
        return Err(ApplyError::TooLarge { len });
    }
    let doc = doc.as_deref();
    left_out(match row {
        None => tx.put_record(collection, id, doc, &state),
        Some(old) => tx.replace_record(collection, id, old.position, old.doc.is_some(), doc, &state),
    })?;
    Ok(())
}

/// What came of writing a row. A document that SQLite can't read, though the records crate could, is left out here as on
/// every other replica: one record of a hostile member must not stop the log.
pub(crate) fn left_out<T>(written: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match written {
        Err(err @ StoreError::BadDocument { .. }) => {
            tracing::warn!(%err, "a record is left out");
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// The merged state of a record; an empty one if there is none.
///
/// # Errors
/// The backend's.
pub fn load_record(
    reader: &impl Rows,
    collection: CollectionKey,
    id: &str,
    devices: &impl Devices,
) -> Result<Record, StoreError> {
    merged(reader.record(collection, id)?.as_ref(), devices)
}

pub(crate) fn merged(row: Option<&RecordRow>, devices: &impl Devices) -> Result<Record, StoreError> {
    let Some(row) = row else { return Ok(Record::new()) };
    Record::from_parts(row.doc.as_deref(), &row.state, devices)
        .map_err(|err| StoreError::Corrupt { doing: "read a record", reason: err.to_string() })
}

//! What of a log still counts by the records that are here, and whether a checkpoint says that and nothing else.

use std::collections::{BTreeSet, HashMap};

use covey_records::{Atom, BodyWriter, Op, Record, RecordId, Stamp};
use covey_store::{LogKey, SpaceKey};
use covey_types::{Hlc, LogId};

use super::{plan::PART_BYTES, words::Said};
use crate::{
    EngineError, Rows,
    apply::{merged, operations, stamped, target},
    devices::DeviceTable,
};

/// Why a checkpoint isn't agreed to now.
pub(super) struct Doubt {
    pub(super) why: String,
    /// It says something else than what is here: with what is known now its author would write another one.
    pub(super) is_wrong: bool,
}

impl Doubt {
    /// Something stands in the way, of every checkpoint.
    pub(super) const fn blocked(why: String) -> Self {
        Self { why, is_wrong: false }
    }

    /// This one isn't right.
    pub(super) const fn wrong(why: String) -> Self {
        Self { why, is_wrong: true }
    }
}

/// Whether all membership entries at these places count: they are kept, and only those that count are known to the store as
/// such.
pub(super) fn counts_as_membership(
    rows: &(impl Rows + ?Sized),
    space: SpaceKey,
    log: LogKey,
    places: &[u64],
) -> Result<Result<(), Doubt>, EngineError> {
    if places.is_empty() {
        return Ok(Ok(()));
    }
    let known = rows.membership(space)?.into_iter().filter(|(of, _)| *of == log);
    let known: BTreeSet<u64> = known.map(|(_, stored)| stored.seq).collect();
    let odd = places.iter().find(|place| !known.contains(place));
    Ok(odd.map_or(Ok(()), |place| {
        Err(Doubt::blocked(format!("the membership entry at place {place} doesn't count here")))
    }))
}

/// What is left of something said, in bodies of a bounded length.
pub(super) fn left_of<R: Rows + ?Sized>(
    said: &Said,
    log: LogId,
    records: &mut Records<'_, R>,
) -> Result<Vec<Vec<u8>>, EngineError> {
    let stamp = Stamp { hlc: said.hlc, device: log.device };
    let mut bodies = Vec::new();
    let mut body = BodyWriter::new();
    let mut at = stamp.hlc;
    let ops = operations(&said.body).unwrap_or_default();
    for (op, stamp) in stamped(&ops, stamp) {
        let record = records.of(op)?;
        let Some(op) = op.restricted(|atom| record.has(&atom, stamp, log)) else { continue };
        // What was said at another time than the entry's keeps it.
        if std::mem::replace(&mut at, stamp.hlc) != stamp.hlc {
            body.push(&Op::AsOf { hlc: stamp.hlc })?;
        }
        body.push(&op)?;
        if body.len() >= PART_BYTES {
            bodies.push(std::mem::take(&mut body).finish());
            at = said.hlc;
        }
    }
    if !body.is_empty() {
        bodies.push(body.finish());
    }
    Ok(bodies)
}

/// An atom, the record that it's about, and when it was said.
type Placed<'a> = (&'a str, RecordId<'a>, Atom<'a>, Hlc);

/// Whether the words keep all that counts of what was said at one place, and nothing that wasn't said there.
pub(super) fn compare<R: Rows + ?Sized>(
    said: &[Said],
    words: &[Said],
    log: LogId,
    records: &mut Records<'_, R>,
) -> Result<Result<(), Doubt>, EngineError> {
    let first = &said[0];
    let differs = |word: &Said| (word.seq, word.hlc, &word.deps) != (first.seq, first.hlc, &first.deps);
    if words.iter().any(differs) {
        return Ok(Err(Doubt::wrong(format!(
            "it tells otherwise of place {} than what stood there",
            first.seq
        ))));
    }
    let read: Vec<Vec<Op<'_>>> = said.iter().map(|said| operations(&said.body).unwrap_or_default()).collect();
    let kept: Vec<Vec<Op<'_>>> =
        words.iter().map(|word| operations(&word.body).unwrap_or_default()).collect();
    let stamp = Stamp { hlc: first.hlc, device: log.device };
    let (read, kept) = (placed(&read, stamp), placed(&kept, stamp));
    if !kept.is_subset(&read) {
        return Ok(Err(Doubt::wrong(format!("it tells of place {} what wasn't said there", first.seq))));
    }
    for (collection, id, atom, hlc) in read.difference(&kept) {
        if records.find(collection, id)?.has(atom, Stamp { hlc: *hlc, ..stamp }, log) {
            let why = format!(
                "it leaves out what still counts of place {}, in record {id} of {collection}",
                first.seq
            );
            return Ok(Err(Doubt::wrong(why)));
        }
    }
    Ok(Ok(()))
}

/// The records of which what was said at one place still counts and isn't among the words: collection and id.
pub(super) fn left_out<R: Rows + ?Sized>(
    said: &[Said],
    words: &[Said],
    log: LogId,
    records: &mut Records<'_, R>,
) -> Result<Vec<(String, String)>, EngineError> {
    let stamp = Stamp { hlc: said[0].hlc, device: log.device };
    let words = if is_of_one_history(&said[0], words) { words } else { &[] };
    let read: Vec<Vec<Op<'_>>> = said.iter().map(|said| operations(&said.body).unwrap_or_default()).collect();
    let kept: Vec<Vec<Op<'_>>> =
        words.iter().map(|word| operations(&word.body).unwrap_or_default()).collect();
    let (read, kept) = (placed(&read, stamp), placed(&kept, stamp));
    let mut found = Vec::new();
    for (collection, id, atom, hlc) in read.difference(&kept) {
        if records.find(collection, id)?.has(atom, Stamp { hlc: *hlc, ..stamp }, log) {
            found.push(((*collection).to_owned(), id.to_string()));
        }
    }
    Ok(found)
}

/// Whether words stand for what was said at their place, rather than for what another history has there.
pub(super) fn is_of_one_history(said: &Said, words: &[Said]) -> bool {
    let is_same = |word: &Said| (word.seq, word.hlc, &word.deps) == (said.seq, said.hlc, &said.deps);
    !words.is_empty() && words.iter().all(is_same)
}

fn placed<'a>(bodies: &[Vec<Op<'a>>], stamp: Stamp) -> BTreeSet<Placed<'a>> {
    let of = |(op, stamp): (&Op<'a>, Stamp)| -> Vec<Placed<'a>> {
        let Some((collection, id)) = subject(op) else { return Vec::new() };
        op.atoms().into_iter().map(|atom| (collection, id, atom, stamp.hlc)).collect()
    };
    bodies.iter().flat_map(|ops| stamped(ops, stamp)).flat_map(of).collect()
}

/// As [`target`], of the operation's own lifetime.
fn subject<'a>(op: &Op<'a>) -> Option<(&'a str, RecordId<'a>)> {
    match op {
        Op::Put { collection, id, .. }
        | Op::Delete { collection, id, .. }
        | Op::CounterAdd { collection, id, .. }
        | Op::SetAdd { collection, id, .. }
        | Op::SetRemove { collection, id, .. } => Some((collection, *id)),
        Op::AsOf { .. } | Op::Unknown { .. } => None,
    }
}

/// Bytes of records that are kept in memory while a log is looked through: what is written again and again is looked at
/// again and again.
const KEPT_BYTES: usize = 8 << 20;

/// Records of a snapshot. Those that were looked at are kept, until they are too many.
pub(super) struct Records<'a, R: ?Sized> {
    rows: &'a R,
    space: SpaceKey,
    devices: DeviceTable,
    kept: HashMap<String, Record>,
    kept_bytes: usize,
    /// Collection and id of the one that is looked for, with what neither can have in it between.
    key: String,
}

impl<'a, R: Rows + ?Sized> Records<'a, R> {
    pub(super) fn new(space: SpaceKey, rows: &'a R) -> Result<Self, EngineError> {
        let devices = DeviceTable::load(rows)?;
        Ok(Self { rows, space, devices, kept: HashMap::new(), kept_bytes: 0, key: String::new() })
    }

    /// The record that an operation is about; an empty one if it's of an unknown kind.
    pub(super) fn of(&mut self, op: &Op<'_>) -> Result<&Record, EngineError> {
        match target(op) {
            Some((collection, id)) => self.find(collection, id),
            None => Ok(self.kept.entry(String::new()).or_default()),
        }
    }

    fn find(&mut self, collection: &str, id: &RecordId<'_>) -> Result<&Record, EngineError> {
        let mut buffer = [0; 36];
        let id = id.text(&mut buffer);
        self.key.clear();
        self.key.extend([collection, "\n", id]);
        if !self.kept.contains_key(&self.key) {
            let row = match self.rows.collection(self.space, collection)? {
                Some(key) => self.rows.record(key, id)?,
                None => None,
            };
            if self.kept_bytes >= KEPT_BYTES {
                self.kept.clear();
                self.kept_bytes = 0;
            }
            let size =
                row.as_ref().map_or(0, |row| row.doc.as_ref().map_or(0, String::len) + row.state.len());
            self.kept_bytes += size + self.key.len() + size_of::<Record>();
            self.kept.insert(self.key.clone(), merged(row.as_ref(), &self.devices)?);
        }
        Ok(self.kept.get(&self.key).expect("it was put there if it wasn't there"))
    }
}

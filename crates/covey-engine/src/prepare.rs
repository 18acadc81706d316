//! Checks signatures and opens bodies: what can be done with entries before the store's writer is needed.

use std::{collections::VecDeque, sync::Arc};

use covey_log::{BodyContext, Entry, Header, open};
use covey_space::{KeyRing, ops::open_acts};

/// Entries of one space that were checked as far as that goes without the store.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) entry: Arc<Entry>,
    /// The opened body; `None` if the key isn't here; an error if the body is bad.
    pub(crate) plain: Option<Result<Vec<u8>, String>>,
}

/// Checks signatures and opens bodies, from the front: the costly part, done outside the store's writer. Takes as many
/// as fit into 16 MiB once opened (a little sealed body may open to a large one), and at least one.
///
/// # Errors
/// The first entry whose signature is wrong; none of them may be used then.
pub fn prepare(
    entries: &mut VecDeque<Entry>,
    keys: &KeyRing,
) -> Result<Vec<Prepared>, covey_log::EntryError> {
    let mut prepared = Vec::new();
    let mut opened = 0;
    while opened < PREPARED_BYTES && !entries.is_empty() {
        let group: Vec<Entry> = entries.drain(..entries.len().min(PREPARED_GROUP)).collect();
        for one in prepare_group(group, keys)? {
            opened += one.plain.as_ref().and_then(|plain| plain.as_ref().ok()).map_or(0, Vec::len);
            prepared.push(one);
        }
    }
    Ok(prepared)
}

/// Bytes of opened bodies that wait for one transaction.
const PREPARED_BYTES: usize = 16 << 20;

/// Entries opened before their sizes are added up: with the largest bodies that is 128 MiB more, for a moment.
const PREPARED_GROUP: usize = 32;

/// Two threads share a group: both cores check signatures.
fn prepare_group(mut first: Vec<Entry>, keys: &KeyRing) -> Result<Vec<Prepared>, covey_log::EntryError> {
    let one = |entry: Entry| -> Result<Prepared, covey_log::EntryError> {
        if !skips_signatures() {
            entry.verify()?;
        }
        let plain = open_body(&entry, keys);
        Ok(Prepared { entry: Arc::new(entry), plain })
    };
    if first.len() < PREPARED_GROUP {
        return first.into_iter().map(one).collect();
    }
    let second = first.split_off(first.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(move || second.into_iter().map(one).collect::<Result<Vec<_>, _>>());
        let mut all = first.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        all.extend(other.join().expect("checking entries does not panic")?);
        Ok(all)
    })
}

/// Only ever where a simulation plants that defect.
fn skips_signatures() -> bool {
    #[cfg(feature = "planted")]
    return crate::planted::has(crate::planted::Defect::SkipsSignatures);
    #[cfg(not(feature = "planted"))]
    false
}

pub(crate) fn context(header: &Header) -> BodyContext {
    BodyContext { space: header.space, log: header.log, seq: header.seq, kind: header.kind }
}

/// The opened body; `None` if the key isn't here; an error if the body is bad.
pub(crate) fn open_body(entry: &Entry, keys: &KeyRing) -> Option<Result<Vec<u8>, String>> {
    if !entry.is_understood() {
        return Some(Ok(Vec::new()));
    }
    let opener = keys.opener(entry.header.epoch, entry.header.kind)?;
    if entry.header.kind.is_membership() {
        return Some(open_acts(opener, context(&entry.header), &entry.body));
    }
    Some(open(opener, context(&entry.header), &entry.body).map_err(|err| err.to_string()))
}

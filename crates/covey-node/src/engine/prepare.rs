//! What of ingesting needs no store: signatures and bodies. It's the costly part, and done outside the writing thread.

use std::{collections::VecDeque, sync::Arc};

use covey_log::Entry;
use covey_space::KeyRing;

use super::open_body;

/// Entries of one space that were checked as far as that goes without the store.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) entry: Arc<Entry>,
    /// The opened body; `None` if the key isn't here; an error if the body is bad.
    pub(super) plain: Option<Result<Vec<u8>, String>>,
}

/// Checks signatures and opens bodies, from the front: the costly part, done outside the store's writer. Takes as many
/// as fit into [`PREPARED_BYTES`] once opened (a little sealed body may open to a large one), and at least one.
///
/// # Errors
/// The first entry whose signature is wrong; none of them may be used then.
pub(crate) fn prepare(
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
        entry.verify()?;
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

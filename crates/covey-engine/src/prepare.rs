//! Checks signatures and opens bodies: what can be done with entries before the store's writer is needed.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

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
/// as fit into 16 MiB once opened, or twice that (a little sealed body may open to a large one), and at least one.
///
/// # Errors
/// The first entry whose signature is wrong; none of them may be used then.
pub fn prepare(
    entries: &mut VecDeque<Entry>,
    keys: &KeyRing,
) -> Result<Vec<Prepared>, covey_log::EntryError> {
    let mut prepared = Vec::new();
    let opened = AtomicUsize::new(0);
    while opened.load(Ordering::Relaxed) < PREPARED_BYTES && !entries.is_empty() {
        let group = Parts::of(next_group(entries));
        group.verify()?;
        let (done, left) = group.open(keys, &opened);
        prepared.extend(done);
        // What is left over is checked again when its turn comes: rare, and cheaper than to remember it.
        left.into_iter().rev().for_each(|entry| entries.push_front(entry));
    }
    Ok(prepared)
}

/// Bytes of opened bodies that wait for one transaction.
const PREPARED_BYTES: usize = 16 << 20;

/// As many again may come of the last group, before the rest of it is left for later: only bodies that open to far more
/// than they take get there, and what other threads have opened of that rest was in vain.
const MOST_BYTES: usize = 2 * PREPARED_BYTES;

/// Entries that are checked together: on each core enough to make the most of it.
const GROUP_ENTRIES: usize = 512;

/// Bytes of entries that are checked together: about what opens to a few MiB.
const GROUP_BYTES: usize = 1 << 20;

/// Fewer entries, and fewer bytes of them, aren't worth another thread.
const ALONE: (usize, usize) = (32, 64 << 10);

/// Threads that share a group: on larger machines the writer that follows is slower than so many.
const MAX_THREADS: usize = 8;

fn size(entry: &Entry) -> usize {
    entry.header_bytes.len() + entry.body.len()
}

/// Entries to be checked together; at least one.
fn next_group(entries: &mut VecDeque<Entry>) -> Vec<Entry> {
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        let fits = bytes < GROUP_BYTES;
        bytes += size(entry);
        fits
    };
    let count = entries.iter().take(GROUP_ENTRIES).take_while(fits).count();
    entries.drain(..count).collect()
}

/// A group of entries, a part of it for each thread.
struct Parts(Vec<Vec<Entry>>);

impl Parts {
    fn of(mut group: Vec<Entry>) -> Self {
        if group.len() < 2 || group.len() < ALONE.0 && group.iter().map(size).sum::<usize>() < ALONE.1 {
            return Self(vec![group]);
        }
        let cores = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let len = group.len().div_ceil(cores);
        let mut parts = Vec::new();
        while group.len() > len {
            let rest = group.split_off(len);
            parts.push(std::mem::replace(&mut group, rest));
        }
        parts.push(group);
        Self(parts)
    }

    fn verify(&self) -> Result<(), covey_log::EntryError> {
        if skips_signatures() {
            return Ok(());
        }
        on_threads(self.0.iter(), |part| Entry::verify_all(part)).into_iter().collect()
    }

    /// Opens bodies until those opened reach their bound, but at least one. Gives those that are done, and the rest.
    fn open(self, keys: &KeyRing, opened: &AtomicUsize) -> (Vec<Prepared>, Vec<Entry>) {
        let has_room = || opened.load(Ordering::Relaxed) < MOST_BYTES;
        let open_part = |(i, mut part): (usize, Vec<Entry>)| {
            let mut plains = Vec::with_capacity(part.len());
            for entry in &part {
                if !has_room() && (i > 0 || !plains.is_empty()) {
                    break;
                }
                let plain = open_body(entry, keys);
                let len = plain.as_ref().and_then(|plain| plain.as_ref().ok()).map_or(0, Vec::len);
                opened.fetch_add(len, Ordering::Relaxed);
                plains.push(plain);
            }
            let left = part.split_off(plains.len());
            (part, plains, left)
        };
        let (mut prepared, mut rest) = (Vec::new(), Vec::new());
        for (part, plains, left) in on_threads(self.0.into_iter().enumerate(), open_part) {
            if rest.is_empty() {
                let pairs = part.into_iter().zip(plains);
                prepared.extend(pairs.map(|(entry, plain)| Prepared { entry: Arc::new(entry), plain }));
            } else {
                // Something before it is left over: entries keep their order.
                rest.extend(part);
            }
            rest.extend(left);
        }
        (prepared, rest)
    }
}

/// Does a job for each of several things at once, the first of them on this thread.
fn on_threads<T: Send, R: Send>(mut things: impl Iterator<Item = T>, job: impl Fn(T) -> R + Sync) -> Vec<R> {
    let Some(first) = things.next() else { return Vec::new() };
    thread::scope(|scope| {
        let job = &job;
        let others: Vec<_> = things.map(|thing| scope.spawn(move || job(thing))).collect();
        let mut results = vec![job(first)];
        results
            .extend(others.into_iter().map(|other| other.join().expect("checking entries does not panic")));
        results
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
    if entry.header.kind.is_open() {
        return Some(Ok(entry.body.to_vec()));
    }
    let opener = keys.opener(entry.header.epoch, entry.header.kind)?;
    if entry.header.kind.is_membership() {
        return Some(open_acts(opener, context(&entry.header), &entry.body));
    }
    Some(open(opener, context(&entry.header), &entry.body).map_err(|err| err.to_string()))
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;

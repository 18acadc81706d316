//! What a log says, in the order of its places: up to its base in the words of the checkpoint, then entry by entry.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use covey_log::{Entry, Kind};
use covey_records::Part;
use covey_space::KeyRing;
use covey_store::LogKey;
use covey_types::{EntryHash, EpochId, Hlc};

use super::LogState;
use crate::{EngineError, Rows, load::decode_stored, prepare::open_body};

/// Entries read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Entries read at once, if they are small.
const CHUNK_ENTRIES: usize = 1024;

/// What one entry says, or is left of it.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// The entry's place.
    pub(crate) seq: u64,
    pub(crate) hlc: Hlc,
    pub(crate) deps: Arc<[EntryHash]>,
    pub(crate) epoch: EpochId,
    /// The operations, as in a body.
    pub(crate) body: Vec<u8>,
    /// Whether these are the words of a checkpoint.
    pub(crate) is_word: bool,
}

/// What a log says. Entries that can't be opened here say nothing.
pub(crate) struct Words<'a, R: ?Sized> {
    rows: &'a R,
    keys: &'a KeyRing,
    log: LogKey,
    /// The checkpoint whose words come first: where it begins, the next place to look at, and the last one.
    parts: Option<(u64, u64, u64)>,
    /// The next place of the entries that come then, and the last.
    entries: (u64, u64),
    /// Entries that were read and not looked into: a small one may open to a large one, so they are opened one by one.
    pending: VecDeque<Entry>,
    ready: VecDeque<Said>,
    /// Places of membership entries that were passed over.
    pub(crate) membership: Vec<u64>,
    /// The epochs of what couldn't be opened.
    pub(crate) sealed: BTreeSet<EpochId>,
    next_part: Option<u64>,
}

impl<'a, R: Rows + ?Sized> Words<'a, R> {
    /// All that a log says up to a place.
    pub(crate) fn of_log(rows: &'a R, keys: &'a KeyRing, log: LogKey, state: &LogState, upto: u64) -> Self {
        let end = if state.base_end > 0 { state.base_end } else { u64::MAX };
        let parts = (state.base > 0).then_some((state.base + 1, state.base + 2, end));
        let entries = (state.base + 1, upto);
        Self::new(rows, keys, log, parts, entries)
    }

    /// What the checkpoint says that begins and ends at these places.
    pub(crate) fn of_checkpoint(rows: &'a R, keys: &'a KeyRing, log: LogKey, begin: u64, end: u64) -> Self {
        Self::new(rows, keys, log, Some((begin, begin + 1, end)), (1, 0))
    }

    /// What the part of the base's checkpoint says that stands at this place, if one does; [`Words::next_part`] tells where to go on.
    pub(crate) fn of_part(
        rows: &'a R,
        keys: &'a KeyRing,
        log: LogKey,
        state: &LogState,
        seq: u64,
    ) -> Result<Self, EngineError> {
        let end = if state.base_end > 0 { state.base_end } else { u64::MAX };
        let mut words = Self::new(rows, keys, log, None, (1, 0));
        let stored = rows.entries(log, seq, CHUNK_BYTES, 1)?.into_iter().next();
        if let Some(entry) = stored.filter(|stored| stored.seq <= end).map(|stored| decode_stored(&stored)) {
            let entry = entry?;
            words.parts = Some((state.base + 1, entry.header.seq + 1, end));
            words.take_part(&entry, state.base + 1);
            // None after the last one, which ends the parts.
            words.next_part = words.parts.take().map(|(_, next, _)| next);
        }
        Ok(words)
    }

    /// Where the next part may stand; `None` behind the last one.
    pub(crate) const fn next_part(&self) -> Option<u64> {
        self.next_part
    }

    fn new(
        rows: &'a R,
        keys: &'a KeyRing,
        log: LogKey,
        parts: Option<(u64, u64, u64)>,
        entries: (u64, u64),
    ) -> Self {
        let (pending, ready) = (VecDeque::new(), VecDeque::new());
        let membership = Vec::new();
        let sealed = BTreeSet::new();
        let next_part = None;
        Self { rows, keys, log, parts, entries, pending, ready, membership, sealed, next_part }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Result<Option<Said>, EngineError> {
        loop {
            if let Some(said) = self.ready.pop_front() {
                return Ok(Some(said));
            }
            if let Some(entry) = self.pending.pop_front() {
                match self.parts {
                    Some((begin, ..)) => self.take_part(&entry, begin),
                    None => self.take_entry(&entry),
                }
            } else if let Some((begin, from, end)) = self.parts {
                self.pending = self.read(from, end)?;
                self.parts = self.pending.back().map(|last| (begin, last.header.seq + 1, end));
            } else {
                let (from, upto) = self.entries;
                self.pending = self.read(from, upto)?;
                let Some(last) = self.pending.back() else { return Ok(None) };
                self.entries.0 = last.header.seq + 1;
            }
        }
    }

    /// The next one without taking it.
    pub(crate) fn peek(&mut self) -> Result<Option<&Said>, EngineError> {
        if self.ready.is_empty()
            && let Some(next) = self.next()?
        {
            self.ready.push_front(next);
        }
        Ok(self.ready.front())
    }

    fn read(&self, from: u64, upto: u64) -> Result<VecDeque<Entry>, EngineError> {
        if from > upto {
            return Ok(VecDeque::new());
        }
        let stored = self.rows.entries(self.log, from, CHUNK_BYTES, CHUNK_ENTRIES)?;
        let within = stored.iter().take_while(|stored| stored.seq <= upto);
        Ok(within.map(decode_stored).collect::<Result<_, _>>()?)
    }

    fn open(&mut self, entry: &Entry) -> Option<Result<Vec<u8>, String>> {
        let opened = open_body(entry, self.keys);
        if opened.is_none() {
            self.sealed.insert(entry.header.epoch);
        }
        opened
    }

    fn take_part(&mut self, entry: &Entry, begin: u64) {
        if entry.header.kind != Kind::CHECKPOINT_PART || !entry.is_understood() {
            return;
        }
        let Some(Ok(plain)) = self.open(entry) else { return };
        let Ok(part) = Part::decode(&plain) else { return };
        if part.begin != begin {
            return;
        }
        if part.is_last {
            self.parts = None;
            self.pending.clear();
        }
        self.ready.reserve_exact(part.words_and_lists().len());
        self.ready.extend(said_in(entry, &part));
    }

    fn take_entry(&mut self, entry: &Entry) {
        if entry.header.kind.is_membership() {
            self.membership.push(entry.header.seq);
        }
        if entry.header.kind != Kind::RECORDS || !entry.is_understood() {
            return;
        }
        let Some(Ok(body)) = self.open(entry) else { return };
        let header = &entry.header;
        self.ready.push_back(Said {
            seq: header.seq,
            hlc: header.hlc,
            deps: header.deps.as_slice().into(),
            epoch: header.epoch,
            body,
            is_word: false,
        });
    }
}

/// The words in a part of a checkpoint. Those that claim to be as new as the part itself stand for nothing.
pub(crate) fn said_in<'a>(entry: &'a Entry, part: &'a Part<'_>) -> impl Iterator<Item = Said> + 'a {
    let lists: Vec<Arc<[EntryHash]>> = part.lists().map(Arc::from).collect();
    part.words_and_lists().filter(|(word, _)| word.hlc < entry.header.hlc).map(move |(word, list)| Said {
        seq: word.seq,
        hlc: word.hlc,
        deps: Arc::clone(&lists[list]),
        epoch: entry.header.epoch,
        body: word.body.to_vec(),
        is_word: true,
    })
}

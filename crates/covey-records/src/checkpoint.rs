//! What of a log still counts, and how a checkpoint says it.
//!
//! A record is made of maxima, so an operation breaks up into *atoms*, each of which either is what the record still has
//! at that place, or was superseded by a larger one and will never matter again. What is left of the operations
//! of a log without their superseded atoms ([`Op::restricted`]), each with the stamp it came with, merges to the same
//! bytes as the whole log, in any order, and also where any part of the log was applied before. So a checkpoint takes
//! nothing back and needs no order: it's those operations once more.
//!
//! Part of a checkpoint:
//!
//! ```text
//! part  = version 1 | begin | 1 in the last part, else 0 | lists of deps: number of: number of hashes, hashes (32 each) | words until the end
//! word  = place, less that of the word before | hlc 8 bytes | place among the lists | length | operations, as in a body
//! ```
//! Numbers are varints. *begin* is the place of the entry that begins the checkpoint; every word stands before it.
//! A word is what is left of one entry; its place, time and deps are that entry's, because they decide whether it counts.

use covey_types::{
    EntryHash, Hlc, LogId,
    limits::{MAX_DEPS, MAX_PLAIN_BODY_BYTES},
    wire::DecodeError,
};

use crate::{
    bytes::{Cursor, push_hlc, push_varint},
    ops::{Observed, ObservedElement, Op, Tally},
    stamp::Stamp,
};

const WHAT: &str = "a part of a checkpoint";

const VERSION: u64 = 1;

/// The smallest thing that an operation says about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Atom<'a> {
    /// The value of a field, as JSON text.
    Field(&'a str, &'a str),
    /// That the record is there.
    Presence,
    /// That the record is deleted.
    Tombstone,
    /// How far the log itself has counted.
    Total(&'a str, Tally),
    /// How far a log had counted when somebody deleted that.
    Reset(&'a str, LogId, Tally),
    /// An element, added to a set.
    Added(&'a str, &'a str),
    /// An element, taken out of a set as far as it was added then.
    Removed(&'a str, &'a str, Stamp),
}

impl<'a> Op<'a> {
    /// What is left of an operation of which only some atoms are kept; `None` if nothing is. An operation of unknown kind
    /// has none, nor has one that says at what time the next ones were said: whoever keeps those must say it again.
    #[must_use]
    pub fn restricted(&self, mut keep: impl FnMut(Atom<'a>) -> bool) -> Option<Self> {
        match self {
            Op::Put { fields, .. } if fields.is_empty() => keep(Atom::Presence).then(|| self.clone()),
            Op::Put { collection, id, fields } => {
                let kept = fields.iter().copied().filter(|(name, text)| keep(Atom::Field(name, text)));
                let fields: Vec<_> = kept.collect();
                (!fields.is_empty()).then_some(Op::Put { collection, id: *id, fields })
            }
            Op::Delete { collection, id, observed } => {
                let buries = keep(Atom::Tombstone);
                let observed = observed.restricted(&mut keep);
                // With an older tombstone it buries nothing that the newer one doesn't.
                (buries || !observed.is_empty()).then_some(Op::Delete { collection, id: *id, observed })
            }
            Op::CounterAdd { name, tally, .. } => keep(Atom::Total(name, *tally)).then(|| self.clone()),
            Op::SetAdd { name, element, .. } => keep(Atom::Added(name, element)).then(|| self.clone()),
            Op::SetRemove { collection, id, name, element, observed } => {
                let kept = observed.iter().copied().filter(|seen| keep(Atom::Removed(name, element, *seen)));
                let observed: Vec<_> = kept.collect();
                let op = Op::SetRemove { collection, id: *id, name, element, observed };
                (!matches!(&op, Op::SetRemove { observed, .. } if observed.is_empty())).then_some(op)
            }
            Op::AsOf { .. } | Op::Unknown { .. } => None,
        }
    }

    /// All atoms of an operation.
    pub fn atoms(&self) -> Vec<Atom<'a>> {
        let mut atoms = Vec::new();
        let _ = self.restricted(|atom| {
            atoms.push(atom);
            true
        });
        atoms
    }
}

impl<'a> Observed<'a> {
    fn restricted(&self, keep: &mut impl FnMut(Atom<'a>) -> bool) -> Self {
        let mut kept = Self::default();
        for (name, tallies) in &self.counters {
            let tallies: Vec<_> = tallies
                .iter()
                .copied()
                .filter(|(log, tally)| keep(Atom::Reset(name, *log, *tally)))
                .collect();
            if !tallies.is_empty() {
                kept.counters.push((name, tallies));
            }
        }
        for ObservedElement { set, element, added } in &self.elements {
            let added: Vec<_> =
                added.iter().copied().filter(|seen| keep(Atom::Removed(set, element, *seen))).collect();
            if !added.is_empty() {
                kept.elements.push(ObservedElement { set, element, added });
            }
        }
        kept
    }
}

/// What is left of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a> {
    /// The entry's place in the log.
    pub seq: u64,
    /// Its time.
    pub hlc: Hlc,
    /// Its deps.
    pub deps: &'a [EntryHash],
    /// The operations, as in a body.
    pub body: &'a [u8],
}

/// Puts a part of a checkpoint together.
#[derive(Debug)]
pub struct PartWriter {
    begin: u64,
    is_last: bool,
    lists: Vec<Vec<EntryHash>>,
    words: Vec<u8>,
    last: u64,
}

impl PartWriter {
    /// An empty part of the checkpoint that begins at this place.
    pub const fn new(begin: u64) -> Self {
        Self { begin, is_last: false, lists: Vec::new(), words: Vec::new(), last: 0 }
    }

    /// The part that ends the checkpoint which begins at this place; it has no words.
    pub fn closing(begin: u64) -> Vec<u8> {
        Self { is_last: true, ..Self::new(begin) }.finish()
    }

    /// Appends a word. Their places never go back, and lie before the beginning.
    pub fn push(&mut self, word: &Word<'_>) {
        debug_assert!(word.seq >= self.last && word.seq < self.begin, "words are in order");
        // An author's knowledge moves on: the list is the last one, or a new one.
        let known = self.lists.iter().rposition(|list| list == word.deps);
        let list = known.unwrap_or_else(|| {
            self.lists.push(word.deps.to_vec());
            self.lists.len() - 1
        });
        push_varint(&mut self.words, word.seq - self.last);
        push_hlc(&mut self.words, word.hlc);
        push_varint(&mut self.words, list as u64);
        push_varint(&mut self.words, word.body.len() as u64);
        self.words.extend_from_slice(word.body);
        self.last = word.seq;
    }

    /// Whether there's no word in it.
    pub const fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How long the part is by now, bytes.
    pub fn len(&self) -> usize {
        let hashes: usize = self.lists.iter().map(|list| list.len() * 32 + 2).sum();
        self.words.len() + hashes + 32
    }

    /// The part.
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        push_varint(&mut out, VERSION);
        push_varint(&mut out, self.begin);
        push_varint(&mut out, self.is_last.into());
        push_varint(&mut out, self.lists.len() as u64);
        for list in &self.lists {
            push_varint(&mut out, list.len() as u64);
            list.iter().for_each(|hash| out.extend_from_slice(&hash.0));
        }
        out.extend_from_slice(&self.words);
        out
    }
}

/// A part of a checkpoint, of which the frame was checked. The operations in its words weren't.
#[derive(Debug)]
pub struct Part<'a> {
    /// Where the checkpoint begins.
    pub begin: u64,
    /// Whether the checkpoint ends with it.
    pub is_last: bool,
    lists: Vec<Vec<EntryHash>>,
    words: Vec<(u64, Hlc, usize, &'a [u8])>,
}

impl<'a> Part<'a> {
    /// Reads a part.
    ///
    /// # Errors
    /// [`DecodeError`] for anything that a [`PartWriter`] doesn't write.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_PLAIN_BODY_BYTES {
            return Err(DecodeError::TooLong { what: WHAT, len: bytes.len(), max: MAX_PLAIN_BODY_BYTES });
        }
        let mut cursor = Cursor::new(WHAT, bytes);
        let version = cursor.varint()?;
        if version != VERSION {
            return Err(cursor.malformed(format!("version {version} is not known")));
        }
        let begin = cursor.varint()?;
        let is_last = match cursor.varint()? {
            0 => false,
            1 => true,
            other => return Err(cursor.malformed(format!("flag {other} is not known"))),
        };
        let mut lists = Vec::new();
        for _ in 0..cursor.count(1)? {
            let len = cursor.count(32)?;
            if len > MAX_DEPS {
                return Err(cursor.malformed("more deps than an entry may have"));
            }
            lists.push((0..len).map(|_| cursor.array().map(EntryHash)).collect::<Result<Vec<_>, _>>()?);
        }
        let mut part = Self { begin, is_last, lists, words: Vec::with_capacity(cursor.len() / 64) };
        let mut seq = 0u64;
        while !cursor.is_empty() {
            seq = seq.saturating_add(cursor.varint()?);
            part.words.push(part.word(seq, &mut cursor)?);
        }
        Ok(part)
    }

    fn word(&self, seq: u64, cursor: &mut Cursor<'a>) -> Result<(u64, Hlc, usize, &'a [u8]), DecodeError> {
        if seq == 0 || seq >= self.begin {
            return Err(cursor.malformed("a word about a place that isn't before the checkpoint"));
        }
        let hlc = cursor.hlc()?;
        let list = cursor.varint()?;
        let list = usize::try_from(list).ok().filter(|list| *list < self.lists.len());
        let list = list.ok_or_else(|| cursor.malformed("a word without deps"))?;
        let len = cursor.count(1)?;
        if len == 0 {
            return Err(cursor.malformed("a word that says nothing"));
        }
        Ok((seq, hlc, list, cursor.bytes(len)?))
    }

    /// Its words, by ascending places.
    pub fn words(&self) -> impl Iterator<Item = Word<'_>> {
        self.words_and_lists().map(|(word, _)| word)
    }

    /// As [`Part::words`], each with the place of its deps among [`Part::lists`].
    pub fn words_and_lists(&self) -> impl ExactSizeIterator<Item = (Word<'_>, usize)> {
        self.words.iter().map(|(seq, hlc, list, body)| {
            (Word { seq: *seq, hlc: *hlc, deps: &self.lists[*list], body }, *list)
        })
    }

    /// The lists of deps that the words share.
    pub fn lists(&self) -> impl Iterator<Item = &[EntryHash]> {
        self.lists.iter().map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (u64, u64, u8, Vec<u8>);

    fn words() -> impl Strategy<Value = Vec<Owned>> {
        prop::collection::vec(
            (0..50u64, any::<u64>(), 0..4u8, prop::collection::vec(any::<u8>(), 1..20)),
            0..20,
        )
        .prop_map(|mut words| {
            let mut seq = 1;
            for word in &mut words {
                seq += word.0;
                word.0 = seq;
            }
            words
        })
    }

    proptest! {
        #[test]
        fn a_part_reads_back(words in words()) {
            let begin = words.last().map_or(1, |word| word.0) + 1;
            let deps: Vec<Vec<EntryHash>> = (0..4u8).map(|n| vec![EntryHash([n; 32]); n.into()]).collect();
            let mut writer = PartWriter::new(begin);
            for (seq, hlc, list, body) in &words {
                let deps = &deps[usize::from(*list)];
                writer.push(&Word { seq: *seq, hlc: Hlc::from_u64(*hlc), deps, body });
            }
            let bytes = writer.finish();
            let part = Part::decode(&bytes).unwrap();
            prop_assert_eq!(part.begin, begin);
            let read: Vec<Owned> = part
                .words()
                .map(|word| (word.seq, word.hlc.to_u64(), word.deps.len() as u8, word.body.to_vec()))
                .collect();
            prop_assert_eq!(read, words);
        }

        #[test]
        fn hostile_parts_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Part::decode(&bytes);
            let _ = Part::decode(&[&[1, 90, 0, 1, 0], bytes.as_slice()].concat());
        }
    }

    #[test]
    fn a_word_about_what_comes_after_the_checkpoint_is_refused() {
        let mut writer = PartWriter::new(9);
        writer.push(&Word { seq: 8, hlc: Hlc::new(1, 0), deps: &[], body: b"x" });
        let mut bytes = writer.finish();
        assert!(Part::decode(&bytes).is_ok());
        bytes[1] = 8;
        assert!(Part::decode(&bytes).is_err());
    }

    #[test]
    fn only_the_closing_part_ends_a_checkpoint() {
        assert!(!Part::decode(&PartWriter::new(7).finish()).unwrap().is_last);
        let closing = PartWriter::closing(7);
        let part = Part::decode(&closing).unwrap();
        assert!(part.is_last && part.begin == 7 && part.words().next().is_none());
    }
}

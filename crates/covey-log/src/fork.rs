//! Logs with two histories: the proof, and what else everybody must know to judge the rest alike.
//!
//! A [`ForkProof`] is two headers that one device has signed for one place of one log, both behind the same entry.
//! Since they name the same entry before them, all that stands before is the same in both histories, and the place is
//! the first one where they part. Nobody but the author can make one: it takes the author's key. A log of which there
//! is a proof counts up to the place before, and for nothing from there on: it's *frozen*.
//!
//! Others may have built on membership entries of the part that doesn't count. Those entries go with the proof, as
//! [`Evidence`]: they have no effect any more unless others built upon them, and everybody can tell what came after what. There's one evidence for
//! each log, and two of them merge into one, the same whatever the order: the lowest place counts, of two proofs for
//! one place the one with the lower hashes, and of the void entries those that come first, until they are as much as
//! [`MAX_VOID_BYTES`].
//!
//! If everybody who had to has found a checkpoint of the log true, at the place of the proof or behind it, the history
//! up to their agreement stands, and the log counts up to there. That the words in it are enough is for
//! those to check who know the membership: what is given to [`Evidence::agreed`] must have been checked, and what came from others
//! is to be checked or left out before it's merged.

use std::{collections::BTreeMap, sync::Arc};

use covey_types::{
    EntryHash, Head, LogId, Signature, SpaceId,
    keys::Domain,
    limits::MAX_MEMBERSHIP_BODY_BYTES,
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};

use crate::{
    Entry, EntryError, Header, Kind,
    entry::{MAX_HEADER_BYTES, check_header, entry_hash},
};

/// Bytes of void entries in one evidence behind which no more are kept: a thousand usual ones. What lies beyond is not passed
/// on, and what others built upon that waits. Without a bound a forker could make everybody keep and pass on whatever it
/// signs. The one that reaches it is kept, so that all who know of it see where the end is.
pub const MAX_VOID_BYTES: usize = 1 << 20;

/// Most void entries in one evidence: each is a signature to check and a vertex to keep in memory.
pub const MAX_VOID_ENTRIES: usize = 1024;

/// Places told in one step of a search for where two histories part. What lies between two of them shrinks to a 63rd each
/// time: four steps for fifteen million entries.
pub const MAX_POINTS: usize = 64;

/// Longest body of an agreement that goes with evidence: the words of a few thousand devices.
pub const MAX_AGREED_BYTES: usize = 1 << 20;

/// Longest evidence, bytes: a proof, the void entries, an agreement, and some room for lengths.
pub const MAX_EVIDENCE_BYTES: usize = MAX_VOID_BYTES
    + MAX_MEMBERSHIP_BODY_BYTES
    + MAX_VOID_ENTRIES * 16
    + MAX_AGREED_BYTES
    + 8 * MAX_HEADER_BYTES;

/// Why something proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// Not in the format.
    #[error(transparent)]
    Format(#[from] DecodeError),
    /// A header or entry in it is not sound, or not signed by its author.
    #[error("a fork can't be proved with this: {0}")]
    Entry(#[from] EntryError),
    /// The parts don't make a proof.
    #[error("this is no proof of a fork of log {log}: {reason}")]
    NoProof {
        /// Of which log.
        log: LogId,
        /// What is wrong.
        reason: &'static str,
    },
}

/// A header as it was signed: an entry without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeader {
    /// The header, decoded.
    pub header: Header,
    /// Its bytes, as signed.
    pub bytes: Arc<[u8]>,
    /// The hash of its entry.
    pub hash: EntryHash,
    /// The author's signature.
    pub signature: Signature,
}

impl SignedHeader {
    /// The header in these bytes, once it was found sound and signed by its author.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn verified(bytes: &[u8], signature: Signature) -> Result<Self, EntryError> {
        let header: Header = wire::decode("an entry's header", bytes, MAX_HEADER_BYTES)?;
        check_header(&header)?;
        let Header { log, seq, .. } = header;
        if !log.device.verify(Domain::Entry, bytes, &signature) {
            return Err(EntryError::Signature { log, seq });
        }
        Ok(Self { header, hash: entry_hash(bytes), bytes: bytes.into(), signature })
    }

    fn space(&self) -> SpaceId {
        if self.header.kind == Kind::FOUNDING { SpaceId(self.hash.0) } else { self.header.space }
    }
}

impl From<&Entry> for SignedHeader {
    fn from(entry: &Entry) -> Self {
        Self {
            header: entry.header.clone(),
            bytes: Arc::clone(&entry.header_bytes),
            hash: entry.hash,
            signature: entry.signature,
        }
    }
}

/// Proof that a device has written two histories: two entries for one place, behind the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkProof {
    space: SpaceId,
    /// The one with the lower hash first.
    halves: [SignedHeader; 2],
}

impl ForkProof {
    /// The proof that two headers make, whose signatures were checked.
    ///
    /// # Errors
    /// [`ForkError::NoProof`] if they don't contradict each other, or not first at this place.
    pub fn of(space: SpaceId, a: SignedHeader, b: SignedHeader) -> Result<Self, ForkError> {
        let no = |reason| Err(ForkError::NoProof { log: a.header.log, reason });
        if a.header.log != b.header.log || a.header.seq != b.header.seq {
            return no("its halves are about different places");
        }
        if a.space() != space || b.space() != space {
            return no("it is of another space");
        }
        if a.hash == b.hash {
            return no("its halves are the same");
        }
        if a.header.prev != b.header.prev {
            return no("the histories part before this place");
        }
        let halves = if a.hash < b.hash { [a, b] } else { [b, a] };
        Ok(Self { space, halves })
    }

    /// The log.
    pub fn log(&self) -> LogId {
        self.halves[0].header.log
    }

    /// The hashes of the two entries, the lower one first.
    pub fn hashes(&self) -> [EntryHash; 2] {
        [self.halves[0].hash, self.halves[1].hash]
    }

    /// The two headers, the one with the lower hash first.
    pub const fn halves(&self) -> &[SignedHeader; 2] {
        &self.halves
    }

    /// The place at which the histories part.
    pub fn seq(&self) -> u64 {
        self.halves[0].header.seq
    }

    /// The first place that doesn't count any more. That's where the histories part; but a founding entry stands whatever
    /// its author signed beside it, since the space's id says which of the two is the true one.
    pub fn from(&self) -> u64 {
        let founds = self.halves.iter().any(|half| half.header.kind == Kind::FOUNDING);
        self.seq() + u64::from(founds)
    }

    fn rank(&self) -> (u64, [EntryHash; 2]) {
        (self.from(), self.hashes())
    }
}

/// All that is to be known of one frozen log. Everything in it is signed by the log's author, and was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    proof: ForkProof,
    /// Membership entries of the part that doesn't count, by place and hash; of both histories, also where one of them
    /// stands up to an agreement.
    voids: BTreeMap<(u64, EntryHash), Arc<Entry>>,
    /// The last agreement on a checkpoint, if it stands at the place of the proof or behind it.
    agreed: Option<Arc<Entry>>,
}

/// What two nodes compare to see whether they know the same of a frozen log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkLine {
    /// The log.
    pub log: LogId,
    /// The first place that doesn't count.
    pub from: u64,
    /// The first place at which the histories part. Lower, where one of them stands up to an agreement.
    pub parts: u64,
    /// Over the hashes of the void entries, and of the agreement.
    pub voids: [u8; 16],
}

/// How a log with two histories stands at one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frozen {
    /// What is compared with others.
    pub line: ForkLine,
    /// The last place that counts here. It may lie behind the line's, where somebody put the author out up to there: that
    /// follows from who is in the space, as far as it's known here, and is nobody else's business.
    pub end: u64,
}

/// What comes of comparing two histories of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// No difference in what both have.
    Same,
    /// They part between two places: what is here in between, for the other to look at, in ascending order.
    Points(Vec<Head>),
    /// The first entry that differs, as it is here.
    Branch(Box<SignedHeader>),
    /// They part in what was dropped here, for the checkpoint to which this entry says that all agreed: the history that
    /// it stands in is the one that counts.
    Agreed(Box<Entry>),
}

/// An entry's parts, or a header's, as they are stored and sent.
#[derive(Serialize, Deserialize)]
struct Wire {
    halves: [(Vec<u8>, Signature); 2],
    voids: Vec<WireEntry>,
    agreed: Option<WireEntry>,
}

type WireEntry = (Vec<u8>, Signature, Vec<u8>);

impl Evidence {
    /// A proof alone.
    pub const fn new(proof: ForkProof) -> Self {
        Self { proof, voids: BTreeMap::new(), agreed: None }
    }

    /// The evidence in these bytes; every signature in it is checked.
    ///
    /// # Errors
    /// [`ForkError`]. No honest node passes on evidence that it has not checked itself.
    pub fn verified(space: SpaceId, bytes: &[u8]) -> Result<Self, ForkError> {
        let wire: Wire = wire::decode("evidence of a fork", bytes, MAX_EVIDENCE_BYTES)?;
        let [a, b] = &wire.halves;
        let a = SignedHeader::verified(&a.0, a.1)?;
        let proof = ForkProof::of(space, a, SignedHeader::verified(&b.0, b.1)?)?;
        if wire.voids.len() > MAX_VOID_ENTRIES {
            return Err(ForkError::NoProof { log: proof.log(), reason: "more void entries than allowed" });
        }
        let mut evidence = Self::new(proof);
        for (header, signature, body) in &wire.voids {
            let entry = Entry::decode(header, *signature, body)?;
            if !evidence.may_hold(&entry) {
                let (log, reason) = (evidence.log(), "an entry in it is not of the part that does not count");
                return Err(ForkError::NoProof { log, reason });
            }
            entry.verify()?;
            evidence.voids.insert((entry.header.seq, entry.hash), Arc::new(entry));
        }
        if let Some((header, signature, body)) = &wire.agreed {
            let entry = Entry::decode(header, *signature, body)?;
            if !evidence.may_agree(&entry) {
                let (log, reason) =
                    (evidence.log(), "the agreement in it is none that stands behind its place");
                return Err(ForkError::NoProof { log, reason });
            }
            entry.verify()?;
            evidence.agreed = Some(Arc::new(entry));
        }
        evidence.bound();
        Ok(evidence)
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let half = |half: &SignedHeader| (half.bytes.to_vec(), half.signature);
        let void = |entry: &Arc<Entry>| (entry.header_bytes.to_vec(), entry.signature, entry.body.to_vec());
        let halves = [half(&self.proof.halves[0]), half(&self.proof.halves[1])];
        let agreed = self.agreed.as_ref().map(void);
        wire::encode(&Wire { halves, voids: self.voids.values().map(void).collect(), agreed })
    }

    /// The proof.
    pub const fn proof(&self) -> &ForkProof {
        &self.proof
    }

    /// The log.
    pub fn log(&self) -> LogId {
        self.proof.log()
    }

    /// The first place that doesn't count.
    pub fn from(&self) -> u64 {
        self.agreed.as_ref().map_or(self.parts(), |agreed| agreed.header.seq + 1)
    }

    /// The first place at which the histories part.
    pub fn parts(&self) -> u64 {
        self.proof.from()
    }

    /// The hash of the entry before a place, if that's where the histories part.
    pub fn before(&self, place: u64) -> Option<EntryHash> {
        (place == self.proof.seq()).then(|| self.proof.halves[0].header.prev)
    }

    /// The agreement up to which one of the histories stands.
    pub const fn agreed(&self) -> Option<&Arc<Entry>> {
        self.agreed.as_ref()
    }

    /// With an agreement that was checked, if it's one of this log, at or behind the place of the proof, and no later one is
    /// known.
    #[must_use]
    pub fn with_agreed(mut self, entry: Option<Arc<Entry>>) -> Self {
        let rank = |entry: &Arc<Entry>| (entry.header.seq, std::cmp::Reverse(entry.hash));
        let both = [self.agreed.take(), entry].into_iter().flatten();
        self.agreed = both.filter(|entry| self.may_agree(entry)).max_by_key(rank);
        self
    }

    /// Without the agreement, which could not be found to be one.
    #[must_use]
    pub fn without_agreed(self) -> Self {
        Self { agreed: None, ..self }
    }

    /// Membership entries of the part that doesn't count, in the order of their places.
    pub fn voids(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.voids.values()
    }

    /// With further membership entries of the part that doesn't count; others are left out.
    #[must_use]
    pub fn with(mut self, entries: impl IntoIterator<Item = Arc<Entry>>) -> Self {
        for entry in entries {
            if self.may_hold(&entry) {
                self.voids.insert((entry.header.seq, entry.hash), entry);
            }
        }
        self.bound();
        self
    }

    /// What this evidence and another one of the same log come to: the same in whatever order they are merged.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        debug_assert_eq!(self.log(), other.log(), "evidence is kept by log");
        let (mut first, second) =
            if self.proof.rank() <= other.proof.rank() { (self, other) } else { (other, self) };
        first.voids.extend(second.voids);
        first.bound();
        first.with_agreed(second.agreed)
    }

    /// What to compare with others.
    pub fn line(&self) -> ForkLine {
        let mut hasher = blake3::Hasher::new_derive_key("covey 2026 void entries v1");
        for (_, hash) in self.voids.keys() {
            hasher.update(&hash.0);
        }
        if let Some(agreed) = &self.agreed {
            hasher.update(&agreed.hash.0);
        }
        let mut voids = [0; 16];
        voids.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        ForkLine { log: self.log(), from: self.from(), parts: self.parts(), voids }
    }

    fn may_agree(&self, entry: &Entry) -> bool {
        entry.header.log == self.log()
            && entry.space() == self.proof.space
            && entry.header.kind == Kind::AGREED
            && entry.header.seq >= self.parts()
            && entry.header.seq < u64::MAX
            && entry.body.len() <= MAX_AGREED_BYTES
    }

    fn may_hold(&self, entry: &Entry) -> bool {
        entry.header.log == self.log()
            && entry.space() == self.proof.space
            && entry.header.kind == Kind::MEMBERSHIP
            && entry.header.seq >= self.parts()
    }

    /// Keeps those that come first, with the one that reaches the bound. All that stands before it in one evidence stands
    /// before it in any that it's merged with, so the order of merging doesn't matter.
    fn bound(&mut self) {
        let (mut bytes, mut count) = (0, 0);
        self.voids.retain(|_, entry| {
            let is_kept = bytes < MAX_VOID_BYTES && count < MAX_VOID_ENTRIES;
            bytes += entry.header_bytes.len() + entry.body.len() + 64;
            count += 1;
            is_kept
        });
    }
}

impl ForkLine {
    /// Whether whoever has `other` (or nothing) lacks something of what is behind this line.
    pub fn is_news_to(&self, other: Option<&Self>) -> bool {
        other.is_none_or(|other| {
            let (mine, theirs) = (self.rank(), other.rank());
            // Of two that stand up to the same place, one may know of more.
            self.parts < other.parts || mine > theirs || mine == theirs && self.voids != other.voids
        })
    }

    /// How far a history is agreed to that parts from another one.
    const fn rank(&self) -> u64 {
        if self.from > self.parts { self.from } else { 0 }
    }
}

#[cfg(test)]
#[path = "fork_tests.rs"]
mod tests;

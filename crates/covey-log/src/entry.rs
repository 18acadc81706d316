//! Entries and their headers.

use std::sync::Arc;

use covey_types::{
    DeviceSecret, EntryHash, EpochId, Head, Hlc, LogId, Signature, SpaceId,
    keys::{Domain, Signed, all_good},
    limits::{MAX_DEPS, MAX_ENTRY_BODY_BYTES, MAX_MEMBERSHIP_BODY_BYTES, MAX_SEQ},
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};

/// The version of header that this build writes.
pub const HEADER_VERSION: u8 = 1;

/// Longest header: the fixed fields, the most dependencies, and 1 KiB for what later versions add.
pub const MAX_HEADER_BYTES: usize = 256 + 32 * MAX_DEPS + MAX_EXTENSION_BYTES;

/// Longest extension that a later version may put into a header.
pub const MAX_EXTENSION_BYTES: usize = 1024;

/// Signatures that are checked as one: with twice as many each would cost a tenth less.
const VERIFIED_AT_ONCE: usize = 256;

/// What an entry's body is. Numbers are only ever added; an unknown one is kept and forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind(pub u8);

impl Kind {
    /// The first entry of a space: its hash is the space's id.
    pub const FOUNDING: Self = Self(1);
    /// A change of who is in the space, with which role or key.
    pub const MEMBERSHIP: Self = Self(2);
    /// Operations on records.
    pub const RECORDS: Self = Self(3);
    /// Begins a checkpoint of its log: what stands before it counts through the parts that follow.
    pub const CHECKPOINT: Self = Self(4);
    /// A part of a checkpoint.
    pub const CHECKPOINT_PART: Self = Self(5);
    /// The word that checkpoints of other logs are true.
    pub const SEEN: Self = Self(6);
    /// The words of those who had to find a checkpoint of this log true.
    pub const AGREED: Self = Self(7);

    /// Whether the entry is part of the space's membership graph.
    pub const fn is_membership(self) -> bool {
        self.0 == Self::FOUNDING.0 || self.0 == Self::MEMBERSHIP.0
    }

    /// Whether the body isn't sealed. It names logs, places and hashes and nothing else, which stand in headers too; and
    /// whoever joins later, without the key of that time, has to be able to check it.
    pub const fn is_open(self) -> bool {
        self.0 == Self::SEEN.0 || self.0 == Self::AGREED.0
    }

    /// Whether this build knows what it is.
    pub const fn is_known(self) -> bool {
        self.0 >= Self::FOUNDING.0 && self.0 <= Self::AGREED.0
    }
}

/// What an author signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`HEADER_VERSION`]; a larger one is kept and forwarded, not interpreted.
    pub version: u8,
    /// The space; [`SpaceId::FOUNDING`] in the founding entry.
    pub space: SpaceId,
    /// The log, and with it the author.
    pub log: LogId,
    /// The place in the log, from 1, without gaps.
    pub seq: u64,
    /// The entry before this one; [`EntryHash::NONE`] at place 1.
    pub prev: EntryHash,
    /// When, by the author's clock; later than the entry before.
    pub hlc: Hlc,
    /// What the body is.
    pub kind: Kind,
    /// The epoch whose key seals the body.
    pub epoch: EpochId,
    /// The newest membership entries that the author knew, sorted: the state under which it wrote.
    pub deps: Vec<EntryHash>,
    /// BLAKE3 of the sealed body.
    pub body_hash: [u8; 32],
    /// Fields of later versions, kept as they came.
    pub extension: Vec<u8>,
}

/// Bytes that are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The header is not in the format.
    #[error(transparent)]
    Header(#[from] DecodeError),
    /// A field has a value that no honest author writes.
    #[error("entry {seq} of log {log}: {reason}")]
    Invalid {
        /// Whose log.
        log: LogId,
        /// Which place.
        seq: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The author did not sign this.
    #[error("entry {seq} of log {log}: the signature is not its author's")]
    Signature {
        /// Whose log.
        log: LogId,
        /// Which place.
        seq: u64,
    },
}

/// An entry that does not continue the log as it stands here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It was here already.
    #[error("entry {seq} is here already")]
    Known {
        /// Its place.
        seq: u64,
    },
    /// Entries before it are missing.
    #[error("entry {seq} came while {have} is the newest here")]
    Gap {
        /// Its place.
        seq: u64,
        /// The newest place here.
        have: u64,
    },
    /// It names another entry before it than the one here: the author's log is forked.
    #[error("entry {seq} does not follow the entry {have} that is here: its author has forked the log")]
    Fork {
        /// Its place.
        seq: u64,
        /// The newest place here.
        have: u64,
    },
    /// It claims to be no later than the entry before it.
    #[error("entry {seq} claims to be older than the one before it")]
    TimeWentBack {
        /// Its place.
        seq: u64,
    },
}

/// What the writer of the next entry knows.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The space.
    pub space: SpaceId,
    /// The writer's own log.
    pub log: LogId,
    /// The newest entry of that log.
    pub head: Head,
    /// The time, later than that of the newest entry.
    pub hlc: Hlc,
    /// What the body is.
    pub kind: Kind,
    /// The epoch under whose key the body was sealed.
    pub epoch: EpochId,
    /// The newest membership entries known here.
    pub deps: Vec<EntryHash>,
}

/// A structurally sound entry. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The header, decoded.
    pub header: Header,
    /// The header's bytes, as signed.
    pub header_bytes: Arc<[u8]>,
    /// BLAKE3 of the header's bytes.
    pub hash: EntryHash,
    /// The author's signature over the header's bytes.
    pub signature: Signature,
    /// The sealed body.
    pub body: Arc<[u8]>,
}

/// The hash of an entry with this header.
pub fn entry_hash(header_bytes: &[u8]) -> EntryHash {
    let mut hasher = blake3::Hasher::new_derive_key("covey 2026 entry hash v1");
    hasher.update(header_bytes);
    EntryHash(hasher.finalize().into())
}

/// Whether a header keeps the rules that hold without its body.
pub(crate) fn check_header(header: &Header) -> Result<(), EntryError> {
    let invalid = |reason| EntryError::Invalid { log: header.log, seq: header.seq, reason };
    if header.version == 0 {
        return Err(invalid("version 0 does not exist"));
    }
    if header.seq == 0 {
        return Err(invalid("places are counted from 1"));
    }
    if header.seq > MAX_SEQ {
        return Err(invalid("no log is that long"));
    }
    if (header.seq == 1) != (header.prev == EntryHash::NONE) {
        return Err(invalid("the first entry, and only that, has nothing before it"));
    }
    if (header.kind == Kind::FOUNDING) != (header.space == SpaceId::FOUNDING) {
        return Err(invalid("the founding entry, and only that, names no space"));
    }
    if header.kind == Kind::FOUNDING && (header.seq != 1 || !header.deps.is_empty()) {
        return Err(invalid("the founding entry stands first and depends on nothing"));
    }
    if header.deps.len() > MAX_DEPS {
        return Err(invalid("more dependencies than allowed"));
    }
    if !header.deps.is_sorted_by(|a, b| a < b) {
        return Err(invalid("the dependencies are not sorted"));
    }
    if header.extension.len() > MAX_EXTENSION_BYTES {
        return Err(invalid("the extension is longer than allowed"));
    }
    Ok(())
}

impl Entry {
    /// Signs the next entry of a log.
    ///
    /// # Panics
    /// When `body` is longer than [`MAX_ENTRY_BODY_BYTES`], or when there are more than [`MAX_DEPS`]
    /// dependencies: a writer splits its transactions before it comes here.
    pub fn sign(secret: &DeviceSecret, draft: Draft, body: Vec<u8>) -> Self {
        assert!(body.len() <= MAX_ENTRY_BODY_BYTES, "a body of {} bytes is over the limit", body.len());
        assert!(draft.deps.len() <= MAX_DEPS, "{} dependencies are over the limit", draft.deps.len());
        let mut deps = draft.deps;
        deps.sort_unstable();
        let header = Header {
            version: HEADER_VERSION,
            space: draft.space,
            log: draft.log,
            seq: draft.head.seq + 1,
            prev: draft.head.hash,
            hlc: draft.hlc,
            kind: draft.kind,
            epoch: draft.epoch,
            deps,
            body_hash: blake3::hash(&body).into(),
            extension: Vec::new(),
        };
        let header_bytes: Arc<[u8]> = wire::encode(&header).into();
        let signature = secret.sign(Domain::Entry, &header_bytes);
        Self { hash: entry_hash(&header_bytes), header, header_bytes, signature, body: body.into() }
    }

    /// The entry in these bytes, once its structure and the body's hash were found sound. The signature
    /// isn't checked: see [`Entry::verify`].
    ///
    /// # Errors
    /// [`EntryError::Header`] or [`EntryError::Invalid`].
    pub fn decode(header_bytes: &[u8], signature: Signature, body: &[u8]) -> Result<Self, EntryError> {
        let header: Header = wire::decode("an entry's header", header_bytes, MAX_HEADER_BYTES)?;
        Self::assemble(header, header_bytes.into(), signature, body.into())
    }

    /// The entry of a header that was put together from its parts, as [`crate::delta`] does.
    pub(crate) fn from_header(header: Header, signature: Signature, body: &[u8]) -> Result<Self, EntryError> {
        let header_bytes = wire::encode(&header).into();
        Self::assemble(header, header_bytes, signature, body.into())
    }

    fn assemble(
        header: Header,
        header_bytes: Arc<[u8]>,
        signature: Signature,
        body: Arc<[u8]>,
    ) -> Result<Self, EntryError> {
        check_header(&header)?;
        let invalid = |reason| EntryError::Invalid { log: header.log, seq: header.seq, reason };
        let max = if header.kind.is_membership() { MAX_MEMBERSHIP_BODY_BYTES } else { MAX_ENTRY_BODY_BYTES };
        if body.len() > max {
            return Err(invalid("the body is longer than allowed"));
        }
        if blake3::hash(&body) != header.body_hash {
            return Err(invalid("the body is not the one that was signed"));
        }
        Ok(Self { hash: entry_hash(&header_bytes), header, header_bytes, signature, body })
    }

    /// Checks the author's signature.
    ///
    /// # Errors
    /// [`EntryError::Signature`].
    pub fn verify(&self) -> Result<(), EntryError> {
        let Header { log, seq, .. } = self.header;
        if log.device.verify(Domain::Entry, &self.header_bytes, &self.signature) {
            Ok(())
        } else {
            Err(EntryError::Signature { log, seq })
        }
    }

    /// Checks the authors' signatures of many entries, with the same outcome as [`Entry::verify`] of each, and several times
    /// cheaper.
    ///
    /// # Errors
    /// [`EntryError::Signature`] of the first whose signature isn't good.
    pub fn verify_all(entries: &[Self]) -> Result<(), EntryError> {
        for chunk in entries.chunks(VERIFIED_AT_ONCE) {
            let signed: Vec<_> = chunk.iter().map(Self::signed).collect();
            if !all_good(Domain::Entry, &signed) {
                // Which one it is shows when each is looked at.
                chunk.iter().try_for_each(Self::verify)?;
            }
        }
        Ok(())
    }

    fn signed(&self) -> Signed<'_> {
        let Self { header, header_bytes: message, signature, .. } = self;
        Signed { device: &header.log.device, message, signature }
    }

    /// Whether this is the next entry of a log whose newest entry is `head`, written at `head_hlc`.
    ///
    /// # Errors
    /// [`ChainError`] says how it does not fit.
    pub fn follows(&self, head: Head, head_hlc: Hlc) -> Result<(), ChainError> {
        let seq = self.header.seq;
        if seq <= head.seq {
            return Err(ChainError::Known { seq });
        }
        if seq > head.seq + 1 {
            return Err(ChainError::Gap { seq, have: head.seq });
        }
        if self.header.prev != head.hash {
            return Err(ChainError::Fork { seq, have: head.seq });
        }
        if head.seq > 0 && self.header.hlc <= head_hlc {
            return Err(ChainError::TimeWentBack { seq });
        }
        Ok(())
    }

    /// The space that this entry belongs to: a founding entry belongs to the one that it founds.
    pub fn space(&self) -> SpaceId {
        if self.header.kind == Kind::FOUNDING { SpaceId(self.hash.0) } else { self.header.space }
    }

    /// Where in its log, and which.
    pub fn head(&self) -> Head {
        Head { seq: self.header.seq, hash: self.hash }
    }

    /// Whether this build knows the version of the header and the kind of the body.
    pub fn is_understood(&self) -> bool {
        self.header.version == HEADER_VERSION && self.header.kind.is_known()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use covey_types::Incarnation;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn chain(secret: &DeviceSecret, n: u64) -> Vec<Entry> {
        let log = LogId { device: secret.id(), incarnation: Incarnation(9) };
        let mut head = Head::EMPTY;
        (1..=n)
            .map(|i| {
                let draft = Draft {
                    space: SpaceId([1; 32]),
                    log,
                    head,
                    hlc: Hlc::new(1000 * i, 0),
                    kind: Kind::RECORDS,
                    epoch: EpochId([2; 16]),
                    deps: vec![EntryHash([3; 32])],
                };
                let entry = Entry::sign(secret, draft, vec![i as u8; 20]);
                head = entry.head();
                entry
            })
            .collect()
    }

    fn again(entry: &Entry) -> Result<Entry, EntryError> {
        Entry::decode(&entry.header_bytes, entry.signature, &entry.body)
    }

    #[test]
    fn an_entry_reads_back_and_its_signature_holds() {
        for entry in chain(&DeviceSecret::generate(), 3) {
            let read = again(&entry).unwrap();
            assert_eq!(read, entry);
            read.verify().unwrap();
        }
    }

    #[test]
    fn a_changed_header_body_or_signature_is_refused() {
        let entry = chain(&DeviceSecret::generate(), 1).remove(0);
        for i in 0..entry.header_bytes.len() {
            let mut bytes = entry.header_bytes.to_vec();
            bytes[i] ^= 1;
            let read = Entry::decode(&bytes, entry.signature, &entry.body);
            assert!(read.is_err() || read.unwrap().verify().is_err(), "byte {i} can be changed");
        }
        let mut forged = entry.clone();
        forged.signature.0[5] ^= 1;
        assert!(matches!(again(&forged).unwrap().verify(), Err(EntryError::Signature { seq: 1, .. })));
        forged = entry;
        forged.body = vec![0; 20].into();
        assert!(matches!(again(&forged), Err(EntryError::Invalid { .. })));
    }

    #[test]
    fn of_many_entries_the_first_with_a_wrong_signature_is_named() {
        let mut entries = chain(&DeviceSecret::generate(), 2 * VERIFIED_AT_ONCE as u64);
        Entry::verify_all(&entries).unwrap();
        Entry::verify_all(&[]).unwrap();
        for seq in [2 * VERIFIED_AT_ONCE, VERIFIED_AT_ONCE + 1, VERIFIED_AT_ONCE, 1] {
            entries[seq - 1].signature.0[40] ^= 1;
            let found = Entry::verify_all(&entries).unwrap_err();
            assert!(matches!(found, EntryError::Signature { seq: named, .. } if named == seq as u64));
        }
    }

    #[test]
    fn only_the_next_entry_of_the_same_chain_follows() {
        let secret = DeviceSecret::generate();
        let entries = chain(&secret, 3);
        let other = chain(&secret, 2);
        let at = |entry: &Entry| (entry.head(), entry.header.hlc);
        let (head, hlc) = at(&entries[0]);
        assert_eq!(entries[0].follows(Head::EMPTY, Hlc::default()), Ok(()));
        assert_eq!(entries[1].follows(head, hlc), Ok(()));
        assert_eq!(entries[0].follows(head, hlc), Err(ChainError::Known { seq: 1 }));
        assert_eq!(entries[2].follows(head, hlc), Err(ChainError::Gap { seq: 3, have: 1 }));
        assert_eq!(entries[1].follows(head, Hlc::new(9000, 0)), Err(ChainError::TimeWentBack { seq: 2 }));
        assert_eq!(other, entries[..2], "the same draft gives the same bytes");
        let mut forked = entries[1].clone();
        forked.header.prev = EntryHash([8; 32]);
        assert_eq!(forked.follows(head, hlc), Err(ChainError::Fork { seq: 2, have: 1 }));
    }

    #[test]
    fn an_entry_of_a_later_version_is_kept_with_its_extension() {
        let secret = DeviceSecret::generate();
        let mut header = chain(&secret, 1).remove(0).header;
        header.version = 9;
        header.kind = Kind(200);
        header.extension = vec![1, 2, 3];
        let bytes = wire::encode(&header);
        let entry = Entry::decode(&bytes, secret.sign(Domain::Entry, &bytes), &[1; 20]).unwrap();
        entry.verify().unwrap();
        assert!(!entry.is_understood());
        assert_eq!(entry.header.extension, [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn random_bytes_are_never_an_entry(header in prop::collection::vec(any::<u8>(), 0..400), body in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Entry::decode(&header, Signature([0; 64]), &body).is_err());
        }
    }
}

//! Packs entries for the wire: only what does not follow from the entry before.
//!
//! Both ends of a stream keep one [`Context`] per log and direction, which moves in lockstep with the
//! entries that pass. A typical next entry costs its signature, its body and five bytes more. What
//! follows from the context (space, author, place, previous hash) or from the body (its hash) isn't
//! sent; the receiver puts the header together again, and the signature proves that it's the same one.
//!
//! Layout: `flags | [kind] | [seq, prev] | wall, counter | [epoch] | [deps] | [version, extension] | signature |
//! body length | body`; integers are LEB128, times are relative to the entry before when it continues.

use covey_types::{
    EntryHash, EpochId, Head, Hlc, LogId, Signature, SpaceId,
    limits::{MAX_DEPS, MAX_ENTRY_BODY_BYTES},
    wire::DecodeError,
};

use crate::{
    Entry, EntryError, Header, Kind,
    entry::{HEADER_VERSION, MAX_EXTENSION_BYTES},
};

const FLAG_CONTINUES: u8 = 1;
const FLAG_SAME_EPOCH: u8 = 1 << 1;
const FLAG_SAME_DEPS: u8 = 1 << 2;
const FLAG_EXTENDED: u8 = 1 << 3;
const KIND_SHIFT: u8 = 4;
/// A kind this large or larger stands in a byte of its own.
const KIND_ESCAPE: u8 = 15;

/// What both ends know of a log: the entry that passed last.
#[derive(Debug, Clone)]
pub struct Context {
    space: SpaceId,
    log: LogId,
    last: Option<Last>,
}

#[derive(Debug, Clone)]
struct Last {
    head: Head,
    hlc: Hlc,
    epoch: EpochId,
    deps: Vec<EntryHash>,
}

impl Context {
    /// The context of a log of which nothing has passed yet.
    pub const fn new(space: SpaceId, log: LogId) -> Self {
        Self { space, log, last: None }
    }

    fn remember(&mut self, entry: &Entry) {
        let Header { hlc, epoch, ref deps, .. } = entry.header;
        self.last = Some(Last { head: entry.head(), hlc, epoch, deps: deps.clone() });
    }

    /// Appends `entry` to `out` and moves on.
    pub fn encode(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let header = &entry.header;
        let last = self.last.as_ref();
        let before = last.filter(|last| {
            last.head.seq.checked_add(1) == Some(header.seq)
                && last.head.hash == header.prev
                && last.hlc < header.hlc
        });
        let same_epoch = last.is_some_and(|last| last.epoch == header.epoch);
        let same_deps = last.is_some_and(|last| last.deps == header.deps);
        let extended = header.version != HEADER_VERSION || !header.extension.is_empty();
        out.push(
            u8::from(before.is_some()) * FLAG_CONTINUES
                | u8::from(same_epoch) * FLAG_SAME_EPOCH
                | u8::from(same_deps) * FLAG_SAME_DEPS
                | u8::from(extended) * FLAG_EXTENDED
                | header.kind.0.min(KIND_ESCAPE) << KIND_SHIFT,
        );
        if header.kind.0 >= KIND_ESCAPE {
            out.push(header.kind.0);
        }
        if before.is_none() {
            put_varint(out, header.seq);
            out.extend_from_slice(&header.prev.0);
        }
        put_varint(out, header.hlc.wall_ms() - before.map_or(0, |last| last.hlc.wall_ms()));
        put_varint(out, header.hlc.counter().into());
        if !same_epoch {
            out.extend_from_slice(&header.epoch.0);
        }
        if !same_deps {
            put_varint(out, header.deps.len() as u64);
            header.deps.iter().for_each(|dep| out.extend_from_slice(&dep.0));
        }
        if extended {
            out.push(header.version);
            put_varint(out, header.extension.len() as u64);
            out.extend_from_slice(&header.extension);
        }
        out.extend_from_slice(&entry.signature.0);
        put_varint(out, entry.body.len() as u64);
        out.extend_from_slice(&entry.body);
        self.remember(entry);
    }

    /// Takes one entry from the front of `input` and moves on. Structure and body hash are checked; the
    /// signature is not.
    ///
    /// # Errors
    /// [`EntryError`]; the context is then of no more use, and neither is the stream.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Entry, EntryError> {
        let mut reader = Reader(input);
        let header = self.decode_header(&mut reader)?;
        let signature = Signature(reader.array()?);
        let len = reader.bounded("a body", MAX_ENTRY_BODY_BYTES)?;
        let body = reader.bytes(len)?;
        let header = Header { body_hash: blake3::hash(body).into(), ..header };
        let entry = Entry::from_header(header, signature, body)?;
        self.remember(&entry);
        Ok(entry)
    }

    fn decode_header(&self, reader: &mut Reader<'_, '_>) -> Result<Header, EntryError> {
        let [flags] = reader.array()?;
        let mut kind = flags >> KIND_SHIFT;
        if kind == KIND_ESCAPE {
            [kind] = reader.array()?;
        }
        let kind = Kind(kind);
        let continues = flags & FLAG_CONTINUES != 0;
        let (head, base) = if continues {
            let last = self.last()?;
            (last.head, last.hlc.wall_ms())
        } else {
            let seq = reader.varint()?;
            let prev = EntryHash(reader.array()?);
            (Head { seq: seq.checked_sub(1).ok_or_else(|| malformed("place 0"))?, hash: prev }, 0)
        };
        let hlc = reader.hlc(base)?;
        let epoch = if flags & FLAG_SAME_EPOCH != 0 { self.last()?.epoch } else { EpochId(reader.array()?) };
        let deps = if flags & FLAG_SAME_DEPS != 0 { self.last()?.deps.clone() } else { reader.deps()? };
        let (version, extension) = if flags & FLAG_EXTENDED != 0 {
            let [version] = reader.array()?;
            let len = reader.bounded("an extension", MAX_EXTENSION_BYTES)?;
            (version, reader.bytes(len)?.to_vec())
        } else {
            (HEADER_VERSION, Vec::new())
        };
        Ok(Header {
            version,
            space: if kind == Kind::FOUNDING { SpaceId::FOUNDING } else { self.space },
            log: self.log,
            seq: head.seq.checked_add(1).ok_or_else(|| malformed("a place past the last"))?,
            prev: head.hash,
            hlc,
            kind,
            epoch,
            deps,
            body_hash: [0; 32],
            extension,
        })
    }

    fn last(&self) -> Result<&Last, DecodeError> {
        self.last.as_ref().ok_or_else(|| malformed("it refers to an entry that did not pass"))
    }
}

fn malformed(reason: &'static str) -> DecodeError {
    DecodeError::malformed("a packed entry", reason)
}

fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes values from the front of a slice.
struct Reader<'a, 'b>(&'b mut &'a [u8]);

impl<'a> Reader<'a, '_> {
    fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (front, rest) = self.0.split_at_checked(n).ok_or_else(|| malformed("it ends early"))?;
        *self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.bytes(N)?.try_into().expect("N bytes were taken"))
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(n);
            }
        }
        Err(malformed("an integer of more than 64 bits"))
    }

    fn bounded(&mut self, what: &'static str, max: usize) -> Result<usize, DecodeError> {
        let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if len > max { Err(DecodeError::TooLong { what, len, max }) } else { Ok(len) }
    }

    fn hlc(&mut self, base_ms: u64) -> Result<Hlc, DecodeError> {
        let wall = base_ms.checked_add(self.varint()?).filter(|ms| *ms <= Hlc::MAX_WALL_MS);
        let counter = u16::try_from(self.varint()?).ok();
        match (wall, counter) {
            (Some(wall), Some(counter)) => Ok(Hlc::new(wall, counter)),
            _ => Err(malformed("a time out of range")),
        }
    }

    fn deps(&mut self) -> Result<Vec<EntryHash>, DecodeError> {
        let n = self.bounded("a list of dependencies", MAX_DEPS)?;
        (0..n).map(|_| self.array().map(EntryHash)).collect()
    }
}

#[cfg(test)]
mod tests {
    use covey_types::DeviceSecret;
    use proptest::prelude::*;

    use super::*;
    use crate::entry::tests::chain;

    fn context(entry: &Entry) -> Context {
        Context::new(entry.header.space, entry.header.log)
    }

    #[test]
    fn a_chain_passes_and_each_next_entry_costs_five_bytes_beside_signature_and_body() {
        let entries = chain(&DeviceSecret::generate(), 5);
        let (mut out, mut sizes) = (Vec::new(), Vec::new());
        let mut sender = context(&entries[0]);
        for entry in &entries {
            let before = out.len();
            sender.encode(entry, &mut out);
            sizes.push(out.len() - before);
        }
        // flags 1, milliseconds 2, counter 1, body length 1
        assert_eq!(sizes[1], 5 + 64 + 20);
        let mut receiver = context(&entries[0]);
        let mut input = out.as_slice();
        for entry in &entries {
            let got = receiver.decode(&mut input).unwrap();
            assert_eq!(&got, entry);
            got.verify().unwrap();
        }
        assert!(input.is_empty());
    }

    #[test]
    fn an_entry_from_the_middle_passes_too() {
        let entries = chain(&DeviceSecret::generate(), 5);
        let mut out = Vec::new();
        context(&entries[0]).encode(&entries[3], &mut out);
        assert_eq!(context(&entries[0]).decode(&mut out.as_slice()).unwrap(), entries[3]);
    }

    #[test]
    fn an_entry_that_claims_the_last_place_there_is_can_be_passed_on() {
        let secret = DeviceSecret::generate();
        let mut header = chain(&secret, 2).remove(1).header;
        for too_far in [covey_types::limits::MAX_SEQ + 1, u64::MAX] {
            let header = Header { seq: too_far, ..header.clone() };
            assert!(Entry::from_header(header, Signature([0; 64]), &[2; 20]).is_err());
        }
        header.seq = covey_types::limits::MAX_SEQ;
        let last = Entry::from_header(header, Signature([0; 64]), &[2; 20]).unwrap();
        let (mut sender, mut receiver, mut out) = (context(&last), context(&last), Vec::new());
        sender.encode(&last, &mut out);
        sender.encode(&last, &mut out);
        let mut input = out.as_slice();
        assert_eq!(receiver.decode(&mut input).as_ref(), Ok(&last));
        assert_eq!(receiver.decode(&mut input).as_ref(), Ok(&last));
    }

    #[test]
    fn a_reference_to_an_entry_that_never_passed_is_refused() {
        let entries = chain(&DeviceSecret::generate(), 2);
        let (mut sender, mut out) = (context(&entries[0]), Vec::new());
        sender.encode(&entries[0], &mut out);
        out.clear();
        sender.encode(&entries[1], &mut out);
        assert!(context(&entries[0]).decode(&mut out.as_slice()).is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..200) {
            let entries = chain(&DeviceSecret::from_seed(&covey_types::SecretBytes::new([5; 32])), 2);
            let mut receiver = context(&entries[0]);
            let _ = receiver.decode(&mut bytes.as_slice());
            let mut out = Vec::new();
            let mut sender = context(&entries[0]);
            entries.iter().for_each(|entry| sender.encode(entry, &mut out));
            let mut input = &out[..cut.min(out.len())];
            let mut receiver = context(&entries[0]);
            while let Ok(entry) = receiver.decode(&mut input) {
                prop_assert!(entry.verify().is_ok());
            }
        }
    }
}

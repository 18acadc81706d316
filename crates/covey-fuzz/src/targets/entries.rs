//! Entries: headers as they are stored, entries as they are packed for the wire, bodies once they are decrypted.

use covey_log::{Entry, Header, delta::Context, entry::MAX_HEADER_BYTES};
use covey_types::{Signature, limits::MAX_PLAIN_BODY_BYTES, wire};

use crate::{
    people::{ACTORS, SPACE},
    script::Script,
};

/// Most entries that one input is unpacked to.
const MAX_UNPACKED: usize = 256;

/// A header, behind its length, and a body. What is taken for an entry is kept byte for byte, and passes the wire.
pub fn entry_header(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let (header_bytes, body) = (script.sized(), script.rest());
    let signature = Signature([7; 64]);
    check_entry(Entry::decode(header_bytes, signature, body).ok(), header_bytes);
    // A header that was changed at random names another body: the one that is here must not save it from being read.
    if let Ok(header) = wire::decode::<Header>("a header", header_bytes, MAX_HEADER_BYTES) {
        let header_bytes = wire::encode(&Header { body_hash: blake3::hash(body).into(), ..header });
        check_entry(Entry::decode(&header_bytes, signature, body).ok(), &header_bytes);
    }
}

fn check_entry(entry: Option<Entry>, header_bytes: &[u8]) {
    let Some(entry) = entry else { return };
    assert_eq!(&*entry.header_bytes, header_bytes, "a header is kept as it came");
    assert!(entry.verify().is_err(), "nobody signed this");
    let _ = (entry.space(), entry.is_understood());
    if wire::encode(&entry.header) == header_bytes {
        let mut packed = Vec::new();
        context(&entry).encode(&entry, &mut packed);
        let mut input = packed.as_slice();
        assert_eq!(
            context(&entry).decode(&mut input).as_ref(),
            Ok(&entry),
            "what is an entry passes the wire"
        );
        assert!(input.is_empty());
    }
}

fn context(entry: &Entry) -> Context {
    Context::new(entry.header.space, entry.header.log)
}

/// Packed entries of one log. Packed again they are the same ones, and those of a sound log take no more bytes.
pub fn packed_entries(bytes: &[u8]) {
    let new = || Context::new(SPACE, ACTORS[0].log());
    let (mut receiver, mut input, mut entries) = (new(), bytes, Vec::new());
    while let Ok(entry) = receiver.decode(&mut input) {
        entries.push(entry);
        if entries.len() == MAX_UNPACKED || input.is_empty() {
            break;
        }
    }
    let (mut sender, mut packed) = (new(), Vec::new());
    entries.iter().for_each(|entry| sender.encode(entry, &mut packed));
    let (mut receiver, mut again) = (new(), packed.as_slice());
    for entry in &entries {
        assert_eq!(receiver.decode(&mut again).as_ref(), Ok(entry));
    }
    assert!(again.is_empty());
    let is_chain = |pair: &[Entry]| pair[1].follows(pair[0].head(), pair[0].header.hlc).is_ok();
    // What goes back in time is never stored, and takes more room than a hostile packer finds for it.
    if entries.windows(2).all(is_chain) {
        assert!(packed.len() <= bytes.len(), "nobody packs better than this build");
    }
}

/// What the body of an entry decrypts to: a member wrote it, who may be hostile.
pub fn opened_body(bytes: &[u8]) {
    if let Ok(plain) = covey_log::seal::unframe(bytes) {
        assert!(plain.len() <= MAX_PLAIN_BODY_BYTES);
    }
}

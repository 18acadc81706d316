//! Compresses and encrypts entry bodies.
//!
//! A sealed body is `salt (8) | AES-256-GCM(flag, payload) | tag (16)`. Each body has a key of its
//! own, derived with keyed BLAKE3 from the epoch's key, the random salt and the body's place (space,
//! log, place in the log, kind); the nonce is therefore constant. A key repeats only if the same place
//! of the same log draws the same 64 random bits twice, which not even a restored backup brings about.
//! The place is authenticated too: a body can't be moved to another entry.
//!
//! Compression happens before encryption and leaks a body's compressed length. That is accepted: a
//! transaction mixes only what one author wrote, so there's no attacker-chosen text beside a secret.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use covey_types::{
    EpochId, LogId, SecretBytes, SpaceId,
    keys::random_bytes,
    limits::{MAX_ENTRY_BODY_BYTES, MAX_PLAIN_BODY_BYTES},
    wire,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Kind;

const SALT_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
const FLAG_PLAIN: u8 = 0;
const FLAG_ZSTD: u8 = 1;

/// Bodies shorter than this rarely shrink.
const COMPRESS_FROM_BYTES: usize = 128;

/// zstd's fastest level that still models repetition well; a bulk import spends most of its time here.
const ZSTD_LEVEL: i32 = 1;

/// The key of one epoch of a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochKey(SecretBytes<32>);

impl EpochKey {
    /// A fresh key.
    pub fn generate() -> Self {
        Self(SecretBytes::random())
    }

    /// The key in these bytes.
    pub const fn new(bytes: SecretBytes<32>) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    pub const fn secret(&self) -> &SecretBytes<32> {
        &self.0
    }

    /// The epoch's id: a commitment to the key.
    pub fn id(&self) -> EpochId {
        let hash = blake3::derive_key("covey 2026 epoch id v1", self.0.expose());
        EpochId::from_slice(&hash[..16]).expect("16 of 32 bytes")
    }

    /// The name of the gossip topic on which this epoch's members tell each other what is never kept: nobody else can
    /// tell which space it belongs to.
    pub fn gossip_topic(&self) -> [u8; 32] {
        blake3::derive_key("covey 2026 gossip topic v1", self.0.expose())
    }

    /// The key under which that is sealed: never one that seals entries.
    pub fn gossip(&self) -> Self {
        Self(SecretBytes::new(blake3::derive_key("covey 2026 gossip key v1", self.0.expose())))
    }

    /// The key under which the epoch's membership entries are sealed. It tells nothing of the epoch's own: who may
    /// read only from joining on still has to know who was in the space before.
    pub fn membership(&self) -> MembershipKey {
        MembershipKey(SecretBytes::new(blake3::derive_key("covey 2026 membership key v1", self.0.expose())))
    }

    /// Seals the key of an epoch before this one. The same two keys always give the same bytes, so no nonce is
    /// needed: the key that seals is used for nothing else.
    pub fn wrap(&self, old: &Self) -> Vec<u8> {
        let mut bytes = old.0.expose().to_vec();
        let key = derived(&self.0, b"covey/wrap/1\0", &[&old.id().0]);
        key.seal_in_place_append_tag(zero_nonce(), Aad::from(old.id().0), &mut bytes)
            .expect("a key is far below AES-GCM's limit of 64 GiB");
        bytes
    }

    /// The key of the epoch `old` that this epoch's key seals in `bytes`; `None` if it does not.
    pub fn unwrap_key(&self, old: EpochId, bytes: &[u8]) -> Option<Self> {
        let mut bytes = Zeroizing::new(bytes.to_vec());
        let key = derived(&self.0, b"covey/wrap/1\0", &[&old.0]);
        let plain = key.open_in_place(zero_nonce(), Aad::from(old.0), &mut bytes).ok()?;
        let key = Self(SecretBytes::from_slice(plain)?);
        (key.id() == old).then_some(key)
    }
}

/// The key of one epoch's membership entries; see [`EpochKey::membership`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipKey(SecretBytes<32>);

/// What opens a body.
#[derive(Debug, Clone)]
pub enum Opener {
    /// All bodies of an epoch.
    All(EpochKey),
    /// Those of its membership entries alone.
    Membership(MembershipKey),
}

impl Opener {
    fn secret(&self, kind: Kind) -> Option<SecretBytes<32>> {
        match (self, kind.is_membership()) {
            (Self::All(key), true) => Some(key.membership().0),
            (Self::All(key), false) => Some(key.0.clone()),
            (Self::Membership(key), true) => Some(key.0.clone()),
            (Self::Membership(_), false) => None,
        }
    }
}

impl From<&EpochKey> for Opener {
    fn from(key: &EpochKey) -> Self {
        Self::All(key.clone())
    }
}

fn derived(secret: &SecretBytes<32>, label: &[u8], parts: &[&[u8]]) -> LessSafeKey {
    let mut hasher = blake3::Hasher::new_keyed(secret.expose());
    hasher.update(label);
    for part in parts {
        hasher.update(part);
    }
    let key = Zeroizing::new(<[u8; 32]>::from(hasher.finalize()));
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).expect("32 bytes are an AES-256 key"))
}

fn body_key(secret: &SecretBytes<32>, salt: &[u8], context: &[u8]) -> LessSafeKey {
    derived(secret, b"covey/body/1\0", &[salt, context])
}

/// Where a body stands. It's bound to this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BodyContext {
    /// The space; [`SpaceId::FOUNDING`] for a founding entry.
    pub space: SpaceId,
    /// The log.
    pub log: LogId,
    /// The place in it.
    pub seq: u64,
    /// What the body is.
    pub kind: Kind,
}

/// A body that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than any sealed body.
    #[error("the body has {len} bytes, fewer than any sealed body")]
    Short {
        /// Its length, bytes.
        len: usize,
    },
    /// It was not sealed with this key for this place.
    #[error("the body was not sealed with this key for this place in the log")]
    Key,
    /// It opens to something that no writer makes.
    #[error("the opened body is malformed: {0}")]
    Malformed(&'static str),
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// Compresses (when that helps) and encrypts a body.
pub fn seal(key: &EpochKey, context: BodyContext, plain: &[u8]) -> Vec<u8> {
    let opener = Opener::from(key);
    let secret = opener.secret(context.kind).expect("an epoch's key seals bodies of every kind");
    let (flag, payload) = compress(plain);
    let payload = payload.as_deref().unwrap_or(plain);
    let context = wire::encode(&context);
    let salt: [u8; SALT_BYTES] = random_bytes();
    let mut out = Vec::with_capacity(SALT_BYTES + 1 + payload.len() + TAG_BYTES);
    out.extend_from_slice(&salt);
    out.push(flag);
    out.extend_from_slice(payload);
    let tag = body_key(&secret, &salt, &context)
        .seal_in_place_separate_tag(zero_nonce(), Aad::from(&context), &mut out[SALT_BYTES..])
        .expect("a body is far below AES-GCM's limit of 64 GiB");
    out.extend_from_slice(tag.as_ref());
    out
}

fn compress(plain: &[u8]) -> (u8, Option<Vec<u8>>) {
    if plain.len() < COMPRESS_FROM_BYTES {
        return (FLAG_PLAIN, None);
    }
    match zstd::bulk::compress(plain, ZSTD_LEVEL) {
        Ok(packed) if packed.len() + packed.len() / 16 < plain.len() => (FLAG_ZSTD, Some(packed)),
        _ => (FLAG_PLAIN, None),
    }
}

/// How long a body of `plain` bytes becomes at most.
pub const fn sealed_len_bound(plain: usize) -> usize {
    plain + SALT_BYTES + 1 + TAG_BYTES
}

/// Decrypts and decompresses a body.
///
/// # Errors
/// [`OpenError`]; a body under the right key fails only if its author is hostile or mistaken.
pub fn open(key: impl Into<Opener>, context: BodyContext, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    if sealed.len() < SALT_BYTES + 1 + TAG_BYTES {
        return Err(OpenError::Short { len: sealed.len() });
    }
    if sealed.len() > MAX_ENTRY_BODY_BYTES {
        return Err(OpenError::Malformed("longer than the limit"));
    }
    let secret = key.into().secret(context.kind).ok_or(OpenError::Key)?;
    let context = wire::encode(&context);
    let (salt, rest) = sealed.split_at(SALT_BYTES);
    let mut buffer = rest.to_vec();
    let plain = body_key(&secret, salt, &context)
        .open_in_place(zero_nonce(), Aad::from(&context), &mut buffer)
        .map_err(|_| OpenError::Key)?;
    unframe_opened(plain)
}

fn unframe_opened(plain: &[u8]) -> Result<Vec<u8>, OpenError> {
    match plain.split_first() {
        Some((&FLAG_PLAIN, payload)) => Ok(payload.to_vec()),
        Some((&FLAG_ZSTD, payload)) => decompress(payload),
        _ => Err(OpenError::Malformed("an unknown compression")),
    }
}

/// The body in what a sealed one decrypts to: for what feeds it bytes that a hostile member could have sealed.
///
/// # Errors
/// [`OpenError::Malformed`].
#[cfg(feature = "fuzz")]
pub fn unframe(plain: &[u8]) -> Result<Vec<u8>, OpenError> {
    unframe_opened(plain)
}

/// What [`unframe`] reads: what is encrypted of a body.
#[cfg(feature = "fuzz")]
pub fn framed(plain: &[u8]) -> Vec<u8> {
    let (flag, payload) = compress(plain);
    [&[flag], payload.as_deref().unwrap_or(plain)].concat()
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, OpenError> {
    let size = zstd::zstd_safe::get_frame_content_size(payload)
        .map_err(|_| OpenError::Malformed("not a zstd frame"))?
        .ok_or(OpenError::Malformed("a zstd frame without its size"))?;
    if size > MAX_PLAIN_BODY_BYTES as u64 {
        return Err(OpenError::Malformed("it expands past the limit"));
    }
    let plain = zstd::bulk::decompress(payload, size as usize)
        .map_err(|_| OpenError::Malformed("not a zstd frame"))?;
    if plain.len() as u64 == size {
        Ok(plain)
    } else {
        Err(OpenError::Malformed("a zstd frame of another size"))
    }
}

#[cfg(test)]
mod tests {
    use covey_types::{DeviceId, Incarnation};
    use proptest::prelude::*;

    use super::*;

    fn context(seq: u64) -> BodyContext {
        let log = LogId { device: DeviceId([1; 32]), incarnation: Incarnation(2) };
        BodyContext { space: SpaceId([3; 32]), log, seq, kind: Kind::RECORDS }
    }

    #[test]
    fn a_body_opens_only_with_its_key_at_its_place() {
        let key = EpochKey::generate();
        let sealed = seal(&key, context(1), b"the beans are in");
        assert_eq!(open(&key, context(1), &sealed).unwrap(), b"the beans are in");
        assert_eq!(open(&key, context(2), &sealed), Err(OpenError::Key));
        assert_eq!(open(&EpochKey::generate(), context(1), &sealed), Err(OpenError::Key));
        let mut changed = sealed.clone();
        changed[3] ^= 1;
        assert_eq!(open(&key, context(1), &changed), Err(OpenError::Key));
        assert_eq!(open(&key, context(1), &sealed[..20]), Err(OpenError::Short { len: 20 }));
    }

    #[test]
    fn who_may_read_from_joining_on_opens_membership_entries_and_nothing_else() {
        let key = EpochKey::generate();
        let membership = || Opener::Membership(key.membership());
        let joins = BodyContext { kind: Kind::MEMBERSHIP, ..context(1) };
        let sealed = seal(&key, joins, b"Ada joins");
        assert_eq!(open(membership(), joins, &sealed).unwrap(), b"Ada joins");
        assert_eq!(open(&key, joins, &sealed).unwrap(), b"Ada joins");
        let beans = seal(&key, context(1), b"the beans are in");
        assert_eq!(open(membership(), context(1), &beans), Err(OpenError::Key));
        let as_epoch = EpochKey::new(key.membership().0);
        assert_eq!(open(&as_epoch, context(1), &beans), Err(OpenError::Key));
    }

    #[test]
    fn who_has_the_new_key_has_the_old_one_and_not_the_other_way_round() {
        let (old, new) = (EpochKey::generate(), EpochKey::generate());
        let wrapped = new.wrap(&old);
        assert_eq!(new.unwrap_key(old.id(), &wrapped), Some(old.clone()));
        assert_eq!(old.unwrap_key(new.id(), &wrapped), None);
        assert_eq!(EpochKey::generate().unwrap_key(old.id(), &wrapped), None);
        assert_eq!(new.unwrap_key(new.id(), &wrapped), None);
        for i in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[i] ^= 1;
            assert_eq!(new.unwrap_key(old.id(), &changed), None);
            assert_eq!(new.unwrap_key(old.id(), &wrapped[..i]), None);
        }
    }

    #[test]
    fn the_same_body_never_looks_the_same_twice() {
        let key = EpochKey::generate();
        assert_ne!(seal(&key, context(1), b"beans"), seal(&key, context(1), b"beans"));
    }

    #[test]
    fn a_small_body_grows_by_25_bytes_and_a_repetitive_one_shrinks() {
        let key = EpochKey::generate();
        assert_eq!(seal(&key, context(1), b"beans").len(), 5 + 25);
        assert!(seal(&key, context(1), &b"beans".repeat(1000)).len() < 200);
    }

    #[test]
    fn a_body_that_would_expand_past_the_limit_is_refused() {
        let bomb = zstd::bulk::compress(&vec![0; MAX_PLAIN_BODY_BYTES + 1], 1).unwrap();
        assert_eq!(decompress(&bomb), Err(OpenError::Malformed("it expands past the limit")));
        assert!(decompress(&bomb[..9]).is_err());
    }

    #[test]
    fn an_epoch_id_commits_to_its_key() {
        let key = EpochKey::generate();
        assert_eq!(key.id(), EpochKey::new(key.secret().clone()).id());
        assert_ne!(key.id(), EpochKey::generate().id());
    }

    proptest! {
        #[test]
        fn every_body_opens_to_what_was_sealed(plain in prop::collection::vec(any::<u8>(), 0..2000)) {
            let key = EpochKey::generate();
            prop_assert_eq!(open(&key, context(7), &seal(&key, context(7), &plain)).unwrap(), plain);
        }

        #[test]
        fn random_bytes_never_open(sealed in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(open(&EpochKey::generate(), context(7), &sealed).is_err());
        }

        #[test]
        fn random_frames_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decompress(&payload);
        }
    }
}

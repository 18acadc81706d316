//! Identifiers, all printed as base58 (Bitcoin alphabet).
//!
//! A [`DeviceId`] prints as the libp2p peer id of the same Ed25519 key (`12D3KooW...`), so that one
//! device has one name in Covey, in libp2p tools and in logs.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The libp2p peer id of an Ed25519 key is the identity multihash of its protobuf form: these six
/// bytes (identity code, length 36, field 1 = Ed25519, field 2 of 32 bytes), then the key itself.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind} id: {reason}")]
pub struct ParseIdError {
    /// What was expected: "space", "device", ...
    pub kind: &'static str,
    /// The text as given, cut at 80 characters.
    pub text: String,
    /// Why it was refused.
    pub reason: &'static str,
}

impl ParseIdError {
    fn new(kind: &'static str, text: &str, reason: &'static str) -> Self {
        Self { kind, text: text.chars().take(80).collect(), reason }
    }
}

fn from_base58<const N: usize>(kind: &'static str, text: &str) -> Result<[u8; N], ParseIdError> {
    let mut out = [0u8; N];
    let written = bs58::decode(text)
        .onto(&mut out[..])
        .map_err(|_| ParseIdError::new(kind, text, "not base58 of its length"))?;
    if written == N { Ok(out) } else { Err(ParseIdError::new(kind, text, "too short")) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:expr, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The id in these bytes; `None` if there are more or fewer than its length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

macro_rules! base58_text {
    ($name:ident, $kind:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&bs58::encode(&self.0).into_string())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                from_base58($kind, text).map(Self)
            }
        }
    };
}

id!(
    /// One device: its Ed25519 public key, which is its libp2p identity too.
    DeviceId, 32, "device"
);
id!(
    /// One person: the Ed25519 public key that certifies this person's devices.
    UserId, 32, "user"
);
id!(
    /// One space: the hash of the entry that founded it.
    SpaceId, 32, "space"
);
id!(
    /// The BLAKE3 hash of an entry's header.
    EntryHash, 32, "entry"
);
id!(
    /// One epoch of a space's key. It commits to the key, so a wrong key is noticed before use.
    EpochId, 16, "epoch"
);

base58_text!(UserId, "user");
base58_text!(SpaceId, "space");
base58_text!(EntryHash, "entry");
base58_text!(EpochId, "epoch");

impl SpaceId {
    /// Stands in the header of a founding entry, whose hash is the id and so can't be in it.
    pub const FOUNDING: Self = Self([0; 32]);
}

impl EntryHash {
    /// The "previous entry" of the first entry of a log.
    pub const NONE: Self = Self([0; 32]);
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0u8; 38];
        bytes[..6].copy_from_slice(&PEER_ID_PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        f.write_str(&bs58::encode(bytes).into_string())
    }
}

impl FromStr for DeviceId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bytes: [u8; 38] = from_base58("device", text)?;
        Self::from_peer_id_bytes(&bytes)
            .ok_or_else(|| ParseIdError::new("device", text, "not the peer id of an Ed25519 key"))
    }
}

impl DeviceId {
    /// The device behind a libp2p peer id; `None` if the peer id isn't that of an Ed25519 key.
    pub fn from_peer_id_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.strip_prefix(&PEER_ID_PREFIX).and_then(Self::from_slice)
    }

    /// Twenty characters for two people to compare: four groups of five, 100 bits.
    pub fn fingerprint(&self) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let hash = self.fingerprint_hash();
        let mut out = String::with_capacity(23);
        for i in 0..20usize {
            if i > 0 && i % 5 == 0 {
                out.push('-');
            }
            let bit = i * 5;
            let pair = u16::from_be_bytes([hash[bit / 8], hash[bit / 8 + 1]]);
            out.push(char::from(ALPHABET[usize::from((pair >> (11 - bit % 8)) & 31)]));
        }
        out
    }

    /// What the fingerprint, and the words that stand for it, are the first bits of.
    pub(crate) fn fingerprint_hash(&self) -> [u8; 32] {
        blake3::derive_key("covey 2026 device fingerprint v1", &self.0)
    }
}

/// Tells the logs of one device in one space apart: a device whose store was restored from a backup
/// starts a new log, so that no sequence number of the old one is ever used twice. Chosen at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// One append-only log of a space: who writes it, and in which incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogId {
    /// The only device that may append.
    pub device: DeviceId,
    /// Which of this device's logs in the space.
    pub incarnation: Incarnation,
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}", self.device, self.incarnation.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_reads_back_what_it_prints() {
        let device = DeviceId([7; 32]);
        assert!(device.to_string().starts_with("12D3KooW"));
        assert_eq!(device.to_string().parse(), Ok(device));
        for bytes in [[0u8; 32], [255; 32], [1; 32]] {
            let space = SpaceId(bytes);
            assert_eq!(space.to_string().parse(), Ok(space));
        }
    }

    #[test]
    fn a_text_that_is_no_id_says_why() {
        let err = "hello".parse::<SpaceId>().unwrap_err();
        assert_eq!(err.to_string(), "\"hello\" is not a space id: not base58 of its length");
        assert!("0OIl".parse::<UserId>().is_err());
        assert!(SpaceId([9; 32]).to_string().parse::<DeviceId>().is_err());
        assert!(bs58::encode([9u8; 31]).into_string().parse::<SpaceId>().is_err());
    }

    #[test]
    fn a_fingerprint_is_four_groups_of_five() {
        let text = DeviceId([3; 32]).fingerprint();
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5, 5]);
        assert_ne!(text, DeviceId([4; 32]).fingerprint());
    }
}

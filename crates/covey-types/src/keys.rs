//! Ed25519 keys of devices and users, and a container for secrets that wipes itself.
//!
//! What makes a signature good is said in `verify`. Each kind of signed thing has its own domain string, so that a
//! signature made for one purpose is worthless for another.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use crate::verify::{Signed, all_good};
use crate::{DeviceId, UserId, verify::is_good};

/// Secret bytes: wiped on drop, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct SecretBytes<const N: usize>(#[serde(with = "array")] [u8; N]);

mod array {
    //! Arrays of any length for serde, as tuples.
    use serde::{Deserializer, Serializer, de, ser::SerializeTuple};

    pub(super) fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], s: S) -> Result<S::Ok, S::Error> {
        let mut tuple = s.serialize_tuple(N)?;
        for byte in bytes {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(d: D) -> Result<[u8; N], D::Error> {
        struct Bytes<const N: usize>;
        impl<'de, const N: usize> de::Visitor<'de> for Bytes<N> {
            type Value = [u8; N];
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{N} bytes")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<[u8; N], A::Error> {
                let mut out = [0; N];
                for (i, slot) in out.iter_mut().enumerate() {
                    *slot = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(i, &self))?;
                }
                Ok(out)
            }
        }
        d.deserialize_tuple(N, Bytes::<N>)
    }
}

impl<const N: usize> SecretBytes<N> {
    /// Takes over these bytes.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Fresh bytes from the operating system.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: nothing safe can be done then.
    pub fn random() -> Self {
        Self(random_bytes())
    }

    /// The secret itself. Don't copy it anywhere that isn't wiped.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// A secret from a slice; `None` if there are more or fewer than `N` bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes<{N}>(..)")
    }
}

/// Random bytes from the operating system.
///
/// # Panics
/// When the operating system has no randomness to give: nothing safe can be done then.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[cfg(feature = "replay")]
    if crate::replay::fill(&mut bytes) {
        return bytes;
    }
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({}..)", bs58::encode(&self.0[..6]).into_string())
    }
}

impl Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        array::serialize(&self.0, s)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        array::deserialize(d).map(Self)
    }
}

/// What a signature is for. The domain is hashed in front of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// The header of a log entry.
    Entry,
    /// A user's word that a device is theirs.
    DeviceCert,
    /// A device's word that it is that user's.
    DeviceConsent,
}

impl Domain {
    pub(crate) const fn text(self) -> &'static [u8] {
        match self {
            Self::Entry => b"covey/entry/1\0",
            Self::DeviceCert => b"covey/device-cert/1\0",
            Self::DeviceConsent => b"covey/device-consent/1\0",
        }
    }

    fn prefixed(self, message: &[u8]) -> Vec<u8> {
        [self.text(), message].concat()
    }
}

macro_rules! secret_key {
    ($(#[$doc:meta])* $secret:ident, $public:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $secret(SigningKey);

        impl $secret {
            /// A new key from the operating system's randomness.
            pub fn generate() -> Self {
                Self::from_seed(&SecretBytes::random())
            }

            /// The key that grows from this seed (RFC 8032's "secret key").
            pub fn from_seed(seed: &SecretBytes<32>) -> Self {
                Self(SigningKey::from_bytes(seed.expose()))
            }

            /// The seed, to be stored encrypted.
            pub fn seed(&self) -> SecretBytes<32> {
                SecretBytes::new(self.0.to_bytes())
            }

            /// The public half.
            pub fn id(&self) -> $public {
                $public(self.0.verifying_key().to_bytes())
            }

            /// Signs `message` for the given purpose.
            pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
                Signature(self.0.sign(&domain.prefixed(message)).to_bytes())
            }
        }

        impl fmt::Debug for $secret {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($secret), "(of {})"), self.id())
            }
        }

        impl $public {
            /// Whether the holder of this key signed `message` for this purpose.
            pub fn verify(&self, domain: Domain, message: &[u8], signature: &Signature) -> bool {
                is_good(&self.0, domain, message, signature)
            }
        }
    };
}

secret_key!(
    /// The secret key of a device.
    DeviceSecret, DeviceId
);
secret_key!(
    /// The secret key of a user, which certifies the user's devices.
    UserSecret, UserId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_good_for_one_key_one_purpose_and_one_message() {
        let key = DeviceSecret::generate();
        let signature = key.sign(Domain::Entry, b"bees");
        assert!(key.id().verify(Domain::Entry, b"bees", &signature));
        assert!(!key.id().verify(Domain::DeviceCert, b"bees", &signature));
        assert!(!key.id().verify(Domain::Entry, b"wasps", &signature));
        assert!(!DeviceSecret::generate().id().verify(Domain::Entry, b"bees", &signature));
        assert!(!DeviceId([0; 32]).verify(Domain::Entry, b"bees", &Signature([0; 64])));
    }

    #[test]
    fn a_key_grows_back_from_its_seed() {
        let key = UserSecret::generate();
        assert_eq!(UserSecret::from_seed(&key.seed()).id(), key.id());
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = SecretBytes::new([0x41; 32]);
        assert_eq!(format!("{secret:?}"), "SecretBytes<32>(..)");
    }
}

//! Sealing an epoch's key to one device: HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256, ChaCha20-Poly1305.
//!
//! The sender isn't authenticated by HPKE: a sealed key travels in a signed entry or inside a pairing
//! session, and the epoch's id commits to the key.

use std::{convert::Infallible, fmt};

use covey_log::EpochKey;
use covey_types::{DeviceId, EpochId, SecretBytes, SpaceId, keys::random_bytes};
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable,
    aead::ChaCha20Poly1305,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    rand_core::{TryCryptoRng, TryRng},
    single_shot_open, single_shot_seal_with_rng,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

type Kem = X25519HkdfSha256;

const ENCAPSULATED_BYTES: usize = 32;
const CIPHERTEXT_BYTES: usize = 32 + 16;

/// What sealing adds: HPKE's encapsulated key, and the tag.
pub(crate) const SEALED_BYTES: usize = ENCAPSULATED_BYTES + 16;

/// The X25519 public key to which keys are sealed for a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KemPublic(pub [u8; 32]);

impl fmt::Debug for KemPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemPublic({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// The secret half.
#[derive(Debug, Clone)]
pub struct KemSecret(SecretBytes<32>);

/// A key that only one device can open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// The device.
    pub device: DeviceId,
    /// The epoch whose key it is.
    pub epoch: EpochId,
    /// HPKE's encapsulated key (32 bytes) and ciphertext (48 bytes).
    pub bytes: Vec<u8>,
}

/// A key that can't be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KemError {
    /// The public key is not a point that X25519 can use.
    #[error("the device's public key is not usable")]
    Public,
    /// Not sealed to this device, for another space, or changed on the way.
    #[error("the sealed key does not open with this device's key")]
    Sealed,
    /// It opened to a key that isn't the one the epoch's id commits to.
    #[error("the sealed key is not the key of its epoch")]
    Epoch,
}

fn info(space: SpaceId, epoch: EpochId, device: DeviceId) -> Vec<u8> {
    [b"covey/epoch-key/1\0".as_slice(), &space.0, &epoch.0, &device.0].concat()
}

impl KemSecret {
    /// A new secret.
    pub fn generate() -> Self {
        Self(SecretBytes::random())
    }

    /// The secret that grows from this seed.
    pub const fn from_seed(seed: SecretBytes<32>) -> Self {
        Self(seed)
    }

    /// The seed, to be stored encrypted.
    pub const fn seed(&self) -> &SecretBytes<32> {
        &self.0
    }

    /// The public half.
    pub fn public(&self) -> KemPublic {
        let (_, public) = Kem::derive_keypair(self.0.expose());
        KemPublic(public.to_bytes().into())
    }

    /// Opens a key that was sealed to `device`, whose secret this is.
    ///
    /// # Errors
    /// [`KemError::Sealed`] or [`KemError::Epoch`].
    pub fn open(&self, space: SpaceId, sealed: &SealedKey) -> Result<EpochKey, KemError> {
        if sealed.bytes.len() != ENCAPSULATED_BYTES + CIPHERTEXT_BYTES {
            return Err(KemError::Sealed);
        }
        let plain = self.open_bytes(&info(space, sealed.epoch, sealed.device), &sealed.bytes)?;
        let key = SecretBytes::from_slice(&plain).map(EpochKey::new).ok_or(KemError::Sealed)?;
        if key.id() == sealed.epoch { Ok(key) } else { Err(KemError::Epoch) }
    }

    /// Opens what [`seal_bytes`] made.
    pub(crate) fn open_bytes(&self, info: &[u8], bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, KemError> {
        let (encapsulated, ciphertext) =
            bytes.split_at_checked(ENCAPSULATED_BYTES).ok_or(KemError::Sealed)?;
        let encapsulated =
            <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| KemError::Sealed)?;
        let (secret, _) = Kem::derive_keypair(self.0.expose());
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &secret,
            &encapsulated,
            info,
            ciphertext,
            &[],
        )
        .map(Zeroizing::new)
        .map_err(|_| KemError::Sealed)
    }
}

/// Covey's one source of randomness, as HPKE wants it.
struct Randomness;

impl TryRng for Randomness {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(random_bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(random_bytes()))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(32) {
            let bytes: [u8; 32] = random_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Randomness {}

/// Seals an epoch's key to a device.
///
/// # Errors
/// [`KemError::Public`] if the device's public key is unusable.
pub fn seal(
    space: SpaceId,
    key: &EpochKey,
    device: DeviceId,
    public: KemPublic,
) -> Result<SealedKey, KemError> {
    let epoch = key.id();
    let bytes = seal_bytes(&info(space, epoch, device), public, key.secret().expose())?;
    Ok(SealedKey { device, epoch, bytes })
}

/// Seals anything to whoever holds the secret: [`SEALED_BYTES`] more than it is long. `info` says for what it is.
pub(crate) fn seal_bytes(info: &[u8], public: KemPublic, plain: &[u8]) -> Result<Vec<u8>, KemError> {
    let recipient = <Kem as hpke::Kem>::PublicKey::from_bytes(&public.0).map_err(|_| KemError::Public)?;
    let (encapsulated, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &recipient,
        info,
        plain,
        &[],
        &mut Randomness,
    )
    .map_err(|_| KemError::Public)?;
    let mut bytes = encapsulated.to_bytes().to_vec();
    bytes.extend_from_slice(&ciphertext);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_opens_only_for_its_device_space_and_epoch() {
        let (space, device) = (SpaceId([1; 32]), DeviceId([2; 32]));
        let (secret, key) = (KemSecret::generate(), EpochKey::generate());
        let sealed = seal(space, &key, device, secret.public()).unwrap();
        assert_eq!(secret.open(space, &sealed).unwrap(), key);
        assert_eq!(KemSecret::generate().open(space, &sealed), Err(KemError::Sealed));
        assert_eq!(secret.open(SpaceId([9; 32]), &sealed), Err(KemError::Sealed));
        let other_epoch = SealedKey { epoch: EpochId([0; 16]), ..sealed.clone() };
        assert_eq!(secret.open(space, &other_epoch), Err(KemError::Sealed));
        for cut in 0..sealed.bytes.len() {
            let short = SealedKey { bytes: sealed.bytes[..cut].to_vec(), ..sealed.clone() };
            assert_eq!(secret.open(space, &short), Err(KemError::Sealed));
        }
    }

    #[test]
    fn a_useless_public_key_is_refused() {
        let zero = KemPublic([0; 32]);
        let sealed = seal(SpaceId([1; 32]), &EpochKey::generate(), DeviceId([2; 32]), zero);
        assert_eq!(sealed, Err(KemError::Public));
    }
}

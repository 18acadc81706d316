//! Checking Ed25519 signatures: one, or many at once, with the same outcome.
//!
//! RFC 8032 lets a verifier choose between two equations, with the cofactor and without, and says little about odd
//! encodings. An honest signer never meets the difference, but whoever makes signatures by hand can have them pass
//! here and fail there. All nodes must say the same of every entry, so there is one rule, Algorithm 2 of Chalkias,
//! Garillot and Nikolaenko, "Taming the many `EdDSAs`" (2020):
//!
//! - S is below the group's order; R and the key are the one proper encoding of a point; the key isn't of small order;
//! - with k = SHA-512(R, key, message), `[8]([S]B - R - [k]key)` is the neutral point.
//!
//! Of the two equations this is the one that a sum of many signatures obeys if each of them does: with random factors z
//! of 128 bits, `[8] sum(z ([S]B - R - [k]key))` is neutral if all are good, and otherwise but for one chance in 2^120.
//! That sum is one multi-scalar multiplication, several times cheaper than as many single ones. The factors
//! are a hash of everything that is checked: nobody can choose a signature after seeing its factor.

use std::collections::BTreeMap;

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::ED25519_BASEPOINT_POINT,
    edwards::CompressedEdwardsY,
    traits::{IsIdentity, VartimeMultiscalarMul},
};
use sha2::{Digest, Sha512};

use crate::{
    DeviceId,
    keys::{Domain, Signature},
};

/// What a device is said to have signed.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// Which device.
    pub device: &'a DeviceId,
    /// What it signed.
    pub message: &'a [u8],
    /// Its signature.
    pub signature: &'a Signature,
}

/// Whether all of these are good signatures for this purpose: the same as to ask [`DeviceId::verify`] of each, and cheaper
/// the more there are. Some hundreds at once are enough; memory grows with them, 2 KiB each.
pub fn all_good(domain: Domain, signed: &[Signed<'_>]) -> bool {
    if let [one] = signed {
        return is_good(&one.device.0, domain, one.message, one.signature);
    }
    sum(domain, signed).is_some_and(|sum| sum.mul_by_cofactor().is_identity())
}

/// Whether one signature is good.
pub(crate) fn is_good(key: &[u8; 32], domain: Domain, message: &[u8], signature: &Signature) -> bool {
    let (Some(point), Some(parts)) = (key_point(key), Parts::of(key, domain, message, signature)) else {
        return false;
    };
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&parts.k, &-point, &parts.s);
    (expected - parts.r).mul_by_cofactor().is_identity()
}

/// A signature, taken apart.
struct Parts {
    r: EdwardsPoint,
    s: Scalar,
    /// What R, key and message come to.
    k: Scalar,
}

impl Parts {
    /// `None` if it's not in the format.
    fn of(key: &[u8; 32], domain: Domain, message: &[u8], signature: &Signature) -> Option<Self> {
        let (r, s) = signature.0.split_first_chunk::<32>()?;
        let s = Scalar::from_canonical_bytes(s.try_into().ok()?).into_option()?;
        let mut hasher = Sha512::new();
        for part in [r.as_slice(), key, domain.text(), message] {
            hasher.update(part);
        }
        let k = Scalar::from_bytes_mod_order_wide(&hasher.finalize().into());
        Some(Self { r: proper_point(r)?, s, k })
    }
}

/// The sum of what should be neutral of each, times its factor; `None` if one of them isn't in the format.
fn sum(domain: Domain, signed: &[Signed<'_>]) -> Option<EdwardsPoint> {
    let mut hasher = blake3::Hasher::new_derive_key("covey 2026 factors of a batch of signatures v1");
    let mut all = Vec::with_capacity(signed.len());
    for one in signed {
        let parts = Parts::of(&one.device.0, domain, one.message, one.signature)?;
        // `k` stands for R, key and message.
        hasher.update(parts.k.as_bytes());
        hasher.update(parts.s.as_bytes());
        all.push(parts);
    }
    let mut factors = hasher.finalize_xof();
    // An author's entries come together: there are few keys, and each is multiplied once.
    let mut keys: BTreeMap<&DeviceId, Scalar> = BTreeMap::new();
    let (mut scalars, mut points) = (Vec::with_capacity(all.len() + 2), Vec::with_capacity(all.len() + 2));
    let mut base = Scalar::ZERO;
    for (one, parts) in signed.iter().zip(all) {
        let mut factor = [0; 16];
        factors.fill(&mut factor);
        let factor = Scalar::from(u128::from_le_bytes(factor));
        base += factor * parts.s;
        *keys.entry(one.device).or_default() -= factor * parts.k;
        scalars.push(factor);
        points.push(-parts.r);
    }
    scalars.push(base);
    points.push(ED25519_BASEPOINT_POINT);
    for (key, scalar) in keys {
        scalars.push(scalar);
        points.push(key_point(&key.0)?);
    }
    Some(EdwardsPoint::vartime_multiscalar_mul(scalars, points))
}

/// The point of a key that may sign.
fn key_point(key: &[u8; 32]) -> Option<EdwardsPoint> {
    proper_point(key).filter(|point| !point.is_small_order())
}

/// The point in these bytes, if they are its one proper encoding.
fn proper_point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    is_proper(bytes).then(|| CompressedEdwardsY(*bytes).decompress()).flatten()
}

/// The prime of the field, 2^255 - 19, in little endian: its first and last byte. All others are 255.
const PRIME_ENDS: (u8, u8) = (0xed, 0x7f);

/// Whether y is below the prime, and x isn't said to be odd where it's zero: at y = 1 and y = -1.
fn is_proper(bytes: &[u8; 32]) -> bool {
    let mut y = *bytes;
    let odd = y[31] & 0x80 != 0;
    y[31] &= 0x7f;
    let full = y[1..31].iter().all(|byte| *byte == 0xff) && y[31] == PRIME_ENDS.1;
    let minus_one = full && y[0] == PRIME_ENDS.0 - 1;
    let one = y[0] == 1 && y[1..].iter().all(|byte| *byte == 0);
    !(full && y[0] >= PRIME_ENDS.0 || odd && (one || minus_one))
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;

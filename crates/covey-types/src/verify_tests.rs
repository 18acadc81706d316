//! Signatures by hand: what passes alone passes among others, and nothing else does.

use curve25519_dalek::{constants::EIGHT_TORSION, edwards::CompressedEdwardsY};
use ed25519_dalek::VerifyingKey;
use proptest::prelude::*;

use super::*;
use crate::{DeviceSecret, keys::SecretBytes};

/// What a signer by hand may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// As an honest one does.
    Honestly,
    /// One bit is another.
    Flipped(usize),
    /// A point of small order is added to R, before anything is hashed.
    TwistedR(usize),
    /// A point of small order is added to the key.
    TwistedKey(usize),
    /// Both.
    TwistedBoth(usize, usize),
    /// S is the order larger.
    LargeS,
    /// The key is a point of small order, and the signature all zeros but for a neutral R.
    SmallKey(usize),
    /// R is neutral, in an encoding that isn't the proper one.
    ImproperR,
}

impl Made {
    /// What the rule says of it.
    const fn is_good(self) -> bool {
        matches!(self, Self::Honestly | Self::TwistedR(_) | Self::TwistedKey(_) | Self::TwistedBoth(..))
    }
}

/// A key, a message and a signature.
#[derive(Debug, Clone)]
struct Example {
    made: Made,
    device: DeviceId,
    message: Vec<u8>,
    signature: Signature,
}

fn hash(parts: [&[u8]; 4]) -> Scalar {
    let mut hasher = Sha512::new();
    parts.iter().for_each(|part| hasher.update(part));
    Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
}

/// Signs with all that a signer may choose: twists of R and of the key, and the nonce.
fn signed_by_hand(secret: Scalar, nonce: Scalar, twists: (usize, usize), made: Made) -> Example {
    let key = EdwardsPoint::mul_base(&secret) + EIGHT_TORSION[twists.1];
    let mut r = (EdwardsPoint::mul_base(&nonce) + EIGHT_TORSION[twists.0]).compress().0;
    if made == Made::ImproperR {
        r = [0; 32];
        (r[0], r[31]) = (1, 0x80);
    }
    let (key, message) = (key.compress().0, b"a header".to_vec());
    let s = nonce + hash([&r, &key, Domain::Entry.text(), &message]) * secret;
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice(s.as_bytes());
    Example { made, device: DeviceId(key), message, signature: Signature(bytes) }
}

/// The group's order, in little endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

fn with_order_added(s: &mut [u8]) {
    let mut carry = 0;
    for (byte, order) in s.iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
}

fn example(seed: u64, made: Made) -> Example {
    let scalar = |tag: u8| hash([&seed.to_le_bytes(), &[tag], b"", b""]);
    let by_hand = |r, key| signed_by_hand(scalar(1), scalar(2), (r, key), made);
    match made {
        Made::TwistedR(r) => by_hand(r, 0),
        Made::TwistedKey(key) => by_hand(0, key),
        Made::TwistedBoth(r, key) => by_hand(r, key),
        Made::SmallKey(key) => signed_by_hand(Scalar::ZERO, scalar(2), (0, key), made),
        // The secret is zero, so any S that fits the nonce fits: R is neutral.
        Made::ImproperR => signed_by_hand(scalar(1), Scalar::ZERO, (0, 0), made),
        Made::Honestly | Made::Flipped(_) | Made::LargeS => {
            let secret = DeviceSecret::from_seed(&SecretBytes::new(scalar(1).to_bytes()));
            let message = seed.to_le_bytes().to_vec();
            let mut signature = secret.sign(Domain::Entry, &message);
            match made {
                Made::Flipped(bit) => signature.0[bit / 8 % 64] ^= 1 << (bit % 8),
                Made::LargeS => with_order_added(&mut signature.0[32..]),
                _ => {}
            }
            Example { made, device: secret.id(), message, signature }
        }
    }
}

fn view(example: &Example) -> Signed<'_> {
    Signed { device: &example.device, message: &example.message, signature: &example.signature }
}

fn alone(example: &Example) -> bool {
    example.device.verify(Domain::Entry, &example.message, &example.signature)
}

fn any_made() -> impl Strategy<Value = Made> {
    prop_oneof![
        12 => Just(Made::Honestly),
        1 => (0usize..512).prop_map(Made::Flipped),
        2 => (1usize..8).prop_map(Made::TwistedR),
        2 => (1usize..8).prop_map(Made::TwistedKey),
        2 => (1usize..8, 1usize..8).prop_map(|(r, key)| Made::TwistedBoth(r, key)),
        1 => Just(Made::LargeS),
        1 => (0usize..8).prop_map(Made::SmallKey),
        1 => Just(Made::ImproperR),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn signatures_are_good_together_if_and_only_if_each_of_them_is(
        made in prop::collection::vec(any_made(), 0..40), authors in 1u64..5,
    ) {
        let examples: Vec<_> =
            made.iter().enumerate().map(|(i, made)| example(i as u64 % authors, *made)).collect();
        for example in &examples {
            prop_assert_eq!(alone(example), example.made.is_good(), "{:?}", example.made);
        }
        let views: Vec<_> = examples.iter().map(view).collect();
        prop_assert_eq!(all_good(Domain::Entry, &views), examples.iter().all(alone));
    }

    #[test]
    fn whatever_the_strict_rule_takes_is_taken(seed in any::<u64>(), made in any_made()) {
        let example = example(seed, made);
        let message = [Domain::Entry.text(), &example.message].concat();
        let strict = VerifyingKey::from_bytes(&example.device.0).is_ok_and(|key| {
            key.verify_strict(&message, &ed25519_dalek::Signature::from_bytes(&example.signature.0)).is_ok()
        });
        prop_assert!(!strict || alone(&example), "{:?}", made);
    }

    #[test]
    fn an_encoding_is_proper_if_its_point_is_encoded_the_same_again(
        near in any::<bool>(), mut bytes in any::<[u8; 32]>(), low in any::<u8>(), high in any::<bool>(),
    ) {
        if near {
            // What lies at the prime, or at 0 and 1.
            let fill = if high { 0xff } else { 0 };
            let sign = bytes[31] & 0x80;
            bytes = [fill; 32];
            (bytes[0], bytes[31]) = (low, fill & 0x7f | sign);
        }
        if let Some(point) = CompressedEdwardsY(bytes).decompress() {
            prop_assert_eq!(is_proper(&bytes), point.compress().0 == bytes);
        }
    }
}

#[test]
fn a_bad_one_is_found_among_hundreds_whatever_its_place() {
    let good: Vec<_> = (0..300).map(|seed| example(seed % 3, Made::Honestly)).collect();
    assert!(all_good(Domain::Entry, &good.iter().map(view).collect::<Vec<_>>()));
    assert!(!all_good(Domain::DeviceCert, &good.iter().map(view).collect::<Vec<_>>()));
    for place in [0, 1, 150, 298, 299] {
        let mut bad = good.clone();
        bad[place] = example(place as u64, Made::Flipped(300));
        assert!(!all_good(Domain::Entry, &bad.iter().map(view).collect::<Vec<_>>()), "at {place}");
    }
}

#[test]
fn errors_that_would_cancel_out_without_factors_are_found() {
    // One S is larger by one and another smaller: their plain sum is right.
    let mut pair = [example(1, Made::Honestly), example(2, Made::Honestly)];
    for (example, by) in pair.iter_mut().zip([Scalar::ONE, -Scalar::ONE]) {
        let s = Scalar::from_canonical_bytes(example.signature.0[32..].try_into().unwrap()).unwrap();
        example.signature.0[32..].copy_from_slice((s + by).as_bytes());
        assert!(!alone(example));
    }
    assert!(!all_good(Domain::Entry, &[view(&pair[0]), view(&pair[1])]));
}

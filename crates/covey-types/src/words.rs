//! Four words for two people to compare by voice.
//!
//! They are the first 44 bits of a device's [fingerprint](crate::DeviceId::fingerprint), eleven for each word of the English
//! list of BIP 39, of which any four letters tell the words apart. The fingerprint stands beside them for whoever wants all
//! of its 100 bits.

use std::sync::LazyLock;

use crate::DeviceId;

/// How many words.
pub const SAFETY_WORDS: usize = 4;

/// Bits that a word stands for.
const WORD_BITS: usize = 11;

/// The list of BIP 39, one word on each line.
static LIST: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("words.txt").lines().collect());

impl DeviceId {
    /// What two people who are on the phone read to each other, to know that neither talks to somebody between them.
    pub fn safety_words(&self) -> [&'static str; SAFETY_WORDS] {
        let hash = self.fingerprint_hash();
        let first = hash.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        std::array::from_fn(|n| {
            let index = first >> (u64::BITS as usize - WORD_BITS * (n + 1)) & ((1 << WORD_BITS) - 1);
            usize::try_from(index).ok().and_then(|index| LIST.get(index)).copied().unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a fingerprint as it's printed.
    fn of_text(fingerprint: &str) -> Vec<&'static str> {
        const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let letters = fingerprint.chars().filter(|letter| *letter != '-');
        let bits = letters.fold(0u128, |bits, letter| bits << 5 | ALPHABET.find(letter).unwrap() as u128);
        (1..=4).map(|n| LIST[(bits >> (100 - WORD_BITS * n) & 2047) as usize]).collect()
    }

    #[test]
    fn the_words_are_those_of_the_fingerprint_that_stands_beside_them() {
        for n in 0..100 {
            let device = DeviceId([n; 32]);
            assert_eq!(device.safety_words().as_slice(), of_text(&device.fingerprint()));
        }
        assert_eq!(of_text("00000-00000-00000-00000"), ["abandon"; 4]);
        assert_eq!(of_text("ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ"), ["zoo"; 4]);
        assert_eq!(of_text("04000-00000-00000-00000")[0], "absurd");
    }

    #[test]
    fn the_list_is_whole_and_four_letters_tell_its_words_apart() {
        let mut begun: Vec<String> = LIST.iter().map(|word| word.chars().take(4).collect()).collect();
        begun.sort();
        begun.dedup();
        assert_eq!((LIST.len(), begun.len()), (1 << WORD_BITS, 1 << WORD_BITS));
    }
}

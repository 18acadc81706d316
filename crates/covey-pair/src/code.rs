//! The code: `COVEY-XXXX-XXXX`, in Crockford's base 32 (no I, L, O, U).
//!
//! The first four characters are the *nameplate*, 20 bits, public: by it the inviter finds the
//! invitation. The last four are the *secret*, 20 bits. They are drawn independently, so that the one
//! says nothing about the other.

use std::{fmt, str::FromStr};

use covey_types::SecretBytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PREFIX: &str = "COVEY";
const HALF: usize = 4;

/// Longest text that is looked at: a code with a space between any two characters is half as long.
const MAX_TEXT_BYTES: usize = 64;

/// The public half of a code: which invitation. Always of 20 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Nameplate(u32);

impl Nameplate {
    /// The nameplate of this number; `None` if it has more than 20 bits.
    pub const fn new(number: u32) -> Option<Self> {
        if number < 1 << 20 { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }

    fn characters(self) -> [u8; HALF] {
        [15, 10, 5, 0].map(|shift| ALPHABET[(self.0 >> shift) as usize & 31])
    }
}

impl fmt::Display for Nameplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.characters().iter().try_for_each(|c| fmt::Write::write_char(f, char::from(*c)))
    }
}

impl FromStr for Nameplate {
    type Err = CodeError;

    /// As forgiving as a code's. Of a whole code its nameplate.
    fn from_str(text: &str) -> Result<Self, CodeError> {
        let characters: Vec<char> = text.chars().take(MAX_TEXT_BYTES).filter(|c| !is_separator(*c)).collect();
        if characters.len() != HALF {
            return text.parse::<Code>().map(|code| code.nameplate);
        }
        nameplate(&characters)
    }
}

fn nameplate(characters: &[char]) -> Result<Nameplate, CodeError> {
    let put = |number: u32, character: &char| Ok(number << 5 | u32::from(symbol(*character)?));
    characters.iter().try_fold(0, put).map(Nameplate)
}

impl fmt::Debug for Nameplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nameplate({self})")
    }
}

/// The secret half of a code, as its four characters in canonical form.
pub(crate) type Secret = SecretBytes<HALF>;

/// A pairing code. Printing it (`Display`) shows all of it, `Debug` only the nameplate.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    pub(crate) nameplate: Nameplate,
    pub(crate) secret: Secret,
}

impl Code {
    /// A new code from the operating system's randomness.
    pub fn generate() -> Self {
        let random = SecretBytes::<8>::random();
        // 256 is a multiple of 32: the low five bits of a random byte are uniform.
        let (name, secret) = random.expose().split_at(HALF);
        let nameplate = name.iter().fold(0, |number, byte| number << 5 | u32::from(byte & 31));
        let mut characters = Zeroizing::new([0; HALF]);
        for (character, byte) in characters.iter_mut().zip(secret) {
            *character = ALPHABET[usize::from(byte & 31)];
        }
        Self { nameplate: Nameplate(nameplate), secret: Secret::new(*characters) }
    }

    /// The public half.
    pub const fn nameplate(&self) -> Nameplate {
        self.nameplate
    }

    pub(crate) fn from_parts(nameplate: u32, secret: Secret) -> Option<Self> {
        let canonical = secret.expose().iter().all(|c| ALPHABET.contains(c));
        Nameplate::new(nameplate).filter(|_| canonical).map(|nameplate| Self { nameplate, secret })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = std::str::from_utf8(self.secret.expose()).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}-{}-{secret}", self.nameplate)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({PREFIX}-{}-....)", self.nameplate)
    }
}

/// A text that isn't a code. Shows no more than one character of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// Too few or too many characters, not counting spaces and dashes.
    #[error("a code has 8 characters after COVEY, like COVEY-7K2M-9QXZ; this has {found}")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// A character that no code has.
    #[error("{character:?} can't be in a code: only digits, and letters except U")]
    Character {
        /// It.
        character: char,
    },
}

impl FromStr for Code {
    type Err = CodeError;

    /// Forgives what people do: lower case, O for 0, I or L for 1, spaces, dashes missing or of another
    /// sort, no `COVEY`.
    fn from_str(text: &str) -> Result<Self, CodeError> {
        let mut characters = Zeroizing::new(Vec::with_capacity(MAX_TEXT_BYTES));
        for character in text.chars().take(MAX_TEXT_BYTES).filter(|c| !is_separator(*c)) {
            characters.push(character);
        }
        let after_prefix = if characters.len() > 2 * HALF && starts_with_prefix(&characters) {
            &characters[PREFIX.len()..]
        } else {
            &characters[..]
        };
        if after_prefix.len() != 2 * HALF || text.len() > MAX_TEXT_BYTES {
            return Err(CodeError::Length { found: after_prefix.len() });
        }
        let nameplate = nameplate(&after_prefix[..HALF])?;
        let mut secret = Zeroizing::new([0; HALF]);
        for (slot, character) in secret.iter_mut().zip(&after_prefix[HALF..]) {
            *slot = ALPHABET[usize::from(symbol(*character)?)];
        }
        Ok(Self { nameplate, secret: Secret::new(*secret) })
    }
}

fn starts_with_prefix(characters: &[char]) -> bool {
    let canonical = |c: char| if c == '0' { 'O' } else { c.to_ascii_uppercase() };
    PREFIX.chars().zip(characters).all(|(a, b)| a == canonical(*b))
}

fn is_separator(character: char) -> bool {
    // U+2010 to U+2015 are what word processors make of a dash.
    character.is_whitespace() || matches!(character, '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

fn symbol(character: char) -> Result<u8, CodeError> {
    let canonical = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let place = ALPHABET.iter().position(|symbol| char::from(*symbol) == canonical);
    place.map(|place| place as u8).ok_or(CodeError::Character { character })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_reads_back_what_it_prints() {
        for _ in 0..100 {
            let code = Code::generate();
            let text = code.to_string();
            assert_eq!(text.len(), 15);
            assert_eq!(text.parse(), Ok(code));
        }
    }

    #[test]
    fn two_codes_are_different() {
        let codes: std::collections::HashSet<String> =
            (0..50).map(|_| Code::generate().to_string()).collect();
        assert_eq!(codes.len(), 50);
    }

    #[test]
    fn what_people_type_is_understood() {
        let code: Code = "COVEY-10AB-0V1Z".parse().unwrap();
        for text in [
            "covey-10ab-0v1z",
            "10AB0V1Z",
            " iOaB OvLz ",
            "COVEYloab0VIZ",
            "C0VEY – 10AB – 0V1Z",
            "1-0-A-B-0-V-1-Z",
        ] {
            assert_eq!(text.parse::<Code>().as_ref(), Ok(&code), "{text}");
        }
        let like_the_prefix: Code = "C0VEY123".parse().unwrap();
        assert_eq!(like_the_prefix.to_string(), "COVEY-C0VE-Y123");
        assert_eq!("COVEYC0VEY123".parse(), Ok(like_the_prefix));
    }

    #[test]
    fn a_nameplate_is_read_by_itself_and_out_of_a_code() {
        let nameplate = "COVEY-7K2M-9QXZ".parse::<Code>().unwrap().nameplate();
        for text in ["7K2M", " 7k-2m ", "COVEY-7K2M-9QXZ", "7k2m9qxz"] {
            assert_eq!(text.parse(), Ok(nameplate), "{text}");
        }
        assert_eq!(nameplate.to_string(), "7K2M");
        assert_eq!("7K2U".parse::<Nameplate>(), Err(CodeError::Character { character: 'U' }));
        assert_eq!("7K2".parse::<Nameplate>(), Err(CodeError::Length { found: 3 }));
    }

    #[test]
    fn what_is_no_code_says_why() {
        assert_eq!("".parse::<Code>(), Err(CodeError::Length { found: 0 }));
        assert_eq!("COVEY-10AB-0V1".parse::<Code>(), Err(CodeError::Length { found: 7 }));
        assert_eq!("COVEY-10AB-0V1Z9".parse::<Code>(), Err(CodeError::Length { found: 9 }));
        assert_eq!("10AB-0V1U".parse::<Code>(), Err(CodeError::Character { character: 'U' }));
        assert!(" ".repeat(1000).parse::<Code>().is_err());
    }

    #[test]
    fn the_secret_is_not_in_the_debug_output() {
        let code: Code = "10AB-0V1Z".parse().unwrap();
        assert_eq!(format!("{code:?}"), "Code(COVEY-10AB-....)");
    }

    proptest! {
        #[test]
        fn any_text_is_a_code_or_not(text in any::<String>()) {
            if let Ok(code) = text.parse::<Code>() {
                prop_assert_eq!(code.to_string().parse(), Ok(code));
            }
        }
    }
}

//! How values become bytes: [postcard](https://postcard.jamesmunns.com/wire-format), whose format is
//! specified and stable.
//!
//! Types that are sent or stored only ever grow by new enum variants at the end or by a new version
//! number in front; a field is never added to a struct that is already out there.

use serde::{Serialize, de::DeserializeOwned};

/// Bytes that are not the expected value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than this kind of value may be.
    #[error("{what} of {len} bytes is longer than the limit of {max}")]
    TooLong {
        /// What was being read.
        what: &'static str,
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// Not in the format.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What was wrong with it.
        reason: String,
    },
}

impl DecodeError {
    /// Malformed, for a reason that the format itself does not know.
    pub fn malformed(what: &'static str, reason: impl ToString) -> Self {
        Self::Malformed { what, reason: reason.to_string() }
    }
}

/// The bytes of `value`.
///
/// # Panics
/// Never for the types of this project: growing a `Vec` is all that can happen while encoding them.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_allocvec(value).expect("encoding into memory does not fail")
}

/// The value in `bytes`, all of them and nothing behind.
///
/// # Errors
/// [`DecodeError`] when there are more than `max` bytes, when they aren't a value of this type, or
/// when something is left over.
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLong { what, len: bytes.len(), max });
    }
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(DecodeError::malformed(what, format!("{} bytes left over", rest.len()))),
        Err(err) => Err(DecodeError::malformed(what, err)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_value_and_nothing_else_is_read() {
        let bytes = encode(&(7u32, "bees"));
        assert_eq!(decode::<(u32, String)>("a pair", &bytes, 64).unwrap(), (7, "bees".into()));
        assert!(decode::<(u32, String)>("a pair", &bytes[..3], 64).is_err());
        assert!(decode::<(u32, String)>("a pair", &[bytes.as_slice(), &[0]].concat(), 64).is_err());
        let err = decode::<(u32, String)>("a pair", &bytes, 3).unwrap_err();
        assert_eq!(err.to_string(), "a pair of 6 bytes is longer than the limit of 3");
    }

    #[test]
    fn a_length_that_lies_does_not_allocate() {
        let claims_4_gib = [0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3];
        assert!(decode::<Vec<u64>>("numbers", &claims_4_gib, 64).is_err());
    }
}

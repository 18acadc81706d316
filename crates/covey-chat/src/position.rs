//! Places in the order of a channel's messages.
//!
//! Messages are ordered by the hybrid time of the entry that first brought them, then by id: the same everywhere,
//! whatever order they came in. A message that comes late takes its place among the others; whoever pages by positions
//! doesn't move by that.

use std::{fmt, str::FromStr};

use covey_types::{Hlc, limits::MAX_RECORD_ID_BYTES};

/// A place in the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// When the message was written, by its author's hybrid clock.
    pub hlc: Hlc,
    /// Its id.
    pub id: String,
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is not a position: 16 hexadecimal digits, a dash and an id")]
pub struct ParsePositionError;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.hlc.to_u64(), self.id)
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let (time, id) = text.split_once('-').ok_or(ParsePositionError)?;
        let is_time = time.len() == 16 && time.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_time || id.len() > MAX_RECORD_ID_BYTES {
            return Err(ParsePositionError);
        }
        let bits = u64::from_str_radix(time, 16).map_err(|_| ParsePositionError)?;
        Ok(Self { hlc: Hlc::from_u64(bits), id: id.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_is_read_back_and_sorts_as_its_text(
            a in (any::<u64>(), "[a-z.0-9-]{0,9}"),
            b in (any::<u64>(), "[a-z.0-9-]{0,9}"),
        ) {
            let at = |(bits, id): (u64, String)| Position { hlc: Hlc::from_u64(bits), id };
            let (a, b) = (at(a), at(b));
            prop_assert_eq!(a.to_string().parse::<Position>().unwrap(), a.clone());
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn any_text_is_a_position_or_an_error(text in ".{0,40}") {
            if let Ok(at) = text.parse::<Position>() {
                prop_assert_eq!(at.to_string(), text);
            }
        }
    }
}

//! Numbers of bytes, as people read them.

use std::fmt;

/// A number of bytes that prints in the unit that suits it: `250 KiB`, `8 MiB`, `1.5 GiB`. Below ten it has
/// one digit after the point, unless that is a zero.
///
/// ```
/// # use covey_types::ByteSize;
/// assert_eq!(ByteSize(1536 << 20).to_string(), "1.5 GiB");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// From the largest on; each is 1024 of the next.
const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((unit, shift)) = UNITS.into_iter().find(|(_, shift)| self.0 >> shift > 0) else {
            return write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" });
        };
        let tenths = (u128::from(self.0) * 10) >> shift;
        match (tenths / 10, tenths % 10) {
            (whole @ 0..10, tenth @ 1..) => write!(f, "{whole}.{tenth} {unit}"),
            (whole, _) => write!(f, "{whole} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_the_unit_that_suits_it() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (8 << 20, "8 MiB"),
            ((8 << 20) - 1, "7.9 MiB"),
            (3 << 29, "1.5 GiB"),
            (58_586 << 20, "57 GiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }
}

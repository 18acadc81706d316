//! Own records: of which only one device may write.
//!
//! In a collection whose name begins with [`PREFIX`], a record's id begins with the [`tag`] of a device and a dot. What
//! any other device says of such a record counts nowhere: each replica passes over it, whatever else is known there, since
//! the rule needs nothing but the operation and the key that signed its entry. So whoever may write in a space still can't
//! write over what others have said in it, or in their name.
//!
//! A tag is the first 16 bytes of the device's key. To find another key with the same ones takes 2^128 attempts.

use std::fmt::Write;

use covey_types::DeviceId;

/// How the names of such collections begin.
pub const PREFIX: &str = "own.";

/// Bytes of a device's key that are its tag.
const TAG_BYTES: usize = 16;

/// What the ids of a device's own records begin with: 32 lower-case hexadecimal digits.
pub fn tag(device: DeviceId) -> String {
    device.as_bytes()[..TAG_BYTES].iter().fold(String::with_capacity(2 * TAG_BYTES), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The id of a device's own record: its tag, a dot, and the rest.
pub fn id(device: DeviceId, rest: &str) -> String {
    format!("{}.{rest}", tag(device))
}

/// An own record's tag, and the rest of its id.
pub fn split(id: &str) -> Option<(&str, &str)> {
    let (tag, rest) = id.split_once('.')?;
    (tag.len() == 2 * TAG_BYTES && !rest.is_empty()).then_some((tag, rest))
}

/// Whether a device may say anything of this record.
pub fn may_write(collection: &str, id: &str, device: DeviceId) -> bool {
    // Most collections are everybody's, and this is asked for each operation.
    !collection.starts_with(PREFIX) || split(id).is_some_and(|(of, _)| of == tag(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_device_in_the_id_may_write_an_own_record() {
        let (ada, mut bob) = (DeviceId([7; 32]), DeviceId([7; 32]));
        bob.0[15] = 8;
        let record = id(ada, "note");
        assert_eq!(record, "07070707070707070707070707070707.note");
        assert!(may_write("own.notes", &record, ada));
        assert!(!may_write("own.notes", &record, bob));
        assert!(may_write("notes", &record, bob));
        assert!(may_write("ownership", "x", bob));
        for bad in ["", "x", "07070707070707070707070707070707", "07070707070707070707070707070707.", ".note"]
        {
            assert!(!may_write("own.notes", bad, ada), "{bad}");
        }
    }
}

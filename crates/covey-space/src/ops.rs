//! What a membership entry says: a list of acts in its body.
//!
//! Each act is a number and its bytes, so that an act of a later version is kept as
//! [`MembershipOp::Unknown`] and counted, so that `covey doctor` can say that an update is needed, where a plain enum would fail to
//! parse. Numbers are only ever added.

use covey_types::{
    UserId,
    limits::{MAX_DISPLAY_NAME_CHARS, MAX_PLAIN_BODY_BYTES},
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};

use crate::{Device, Role, SealedKey};

/// Most acts in one entry, and most devices or sealed keys in one act: a space's devices, with room.
pub const MAX_ACTS: usize = 4096;

/// Who may read what was written before they joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryPolicy {
    /// Everything, from the start.
    Full,
    /// What is written from joining on.
    FromJoining,
}

/// Founds a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The space's name.
    pub name: String,
    /// Who may read history.
    pub history: HistoryPolicy,
    /// The founder's name; the founder is the space's first owner.
    pub user_name: String,
    /// The founder's device, which must be the author.
    pub device: Device,
    /// Makes two spaces of one name by one founder different.
    pub nonce: [u8; 16],
    /// The first epoch's key, sealed to the founder's device.
    pub keys: Vec<SealedKey>,
}

/// Takes a user, or further devices of one, into the space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddMember {
    /// Who.
    pub user: UserId,
    /// Their name.
    pub user_name: String,
    /// What they may do.
    pub role: Role,
    /// Their devices, each certified by them.
    pub devices: Vec<Device>,
    /// The current epoch's key, sealed to each of those devices.
    pub keys: Vec<SealedKey>,
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "an entry holds few, and they don't stay in memory")]
pub enum MembershipOp {
    /// Founds the space.
    Found(Found),
    /// Takes someone in.
    AddMember(AddMember),
    /// An act that this build does not know.
    Unknown {
        /// Its number.
        kind: u16,
    },
}

const FOUND: u16 = 1;
const ADD_MEMBER: u16 = 2;

#[derive(Serialize, Deserialize)]
struct RawOp {
    kind: u16,
    bytes: Vec<u8>,
}

/// The bytes of a membership entry's body.
pub fn encode(ops: &[MembershipOp]) -> Vec<u8> {
    let raw: Vec<RawOp> = ops
        .iter()
        .filter_map(|op| match op {
            MembershipOp::Found(found) => Some(RawOp { kind: FOUND, bytes: wire::encode(found) }),
            MembershipOp::AddMember(add) => Some(RawOp { kind: ADD_MEMBER, bytes: wire::encode(add) }),
            MembershipOp::Unknown { .. } => None,
        })
        .collect();
    wire::encode(&raw)
}

/// The acts in a membership entry's body.
///
/// # Errors
/// [`DecodeError`] when an act that this build knows is malformed.
pub fn decode(body: &[u8]) -> Result<Vec<MembershipOp>, DecodeError> {
    let raw: Vec<RawOp> = wire::decode("a membership entry", body, MAX_PLAIN_BODY_BYTES)?;
    if raw.len() > MAX_ACTS {
        return Err(DecodeError::TooLong { what: "a list of acts", len: raw.len(), max: MAX_ACTS });
    }
    raw.into_iter().map(decode_one).collect()
}

fn decode_one(raw: RawOp) -> Result<MembershipOp, DecodeError> {
    match raw.kind {
        FOUND => {
            let found: Found = wire::decode("a founding act", &raw.bytes, MAX_PLAIN_BODY_BYTES)?;
            check_names(&[&found.name, &found.user_name, &found.device.name])?;
            Ok(MembershipOp::Found(found))
        }
        ADD_MEMBER => {
            let add: AddMember = wire::decode("an act that adds a member", &raw.bytes, MAX_PLAIN_BODY_BYTES)?;
            check_names(&[&add.user_name])?;
            for device in &add.devices {
                check_names(&[&device.name])?;
            }
            Ok(MembershipOp::AddMember(add))
        }
        kind => Ok(MembershipOp::Unknown { kind }),
    }
}

/// Whether people may be shown this as the name of a person, device or space: 1 to
/// [`MAX_DISPLAY_NAME_CHARS`] characters, no control characters, no blanks at the ends.
pub fn is_display_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= MAX_DISPLAY_NAME_CHARS
        && name.trim() == name
        && !name.chars().any(char::is_control)
}

fn check_names(names: &[&str]) -> Result<(), DecodeError> {
    match names.iter().find(|name| !is_display_name(name)) {
        Some(_) => Err(DecodeError::malformed("a name", "empty, too long, or with control characters")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_act_of_a_later_version_is_kept_as_unknown() {
        let body = wire::encode(&vec![RawOp { kind: 999, bytes: vec![1, 2, 3] }]);
        assert_eq!(decode(&body).unwrap(), [MembershipOp::Unknown { kind: 999 }]);
    }

    #[test]
    fn names_are_short_and_printable() {
        assert!(is_display_name("Ada") && is_display_name("Grüße 🌱"));
        for bad in ["", " Ada", "a\nb", "\u{1b}[31m", &"x".repeat(65)] {
            assert!(!is_display_name(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u16..4) {
            let _ = decode(&bytes);
            let _ = decode(&wire::encode(&vec![RawOp { kind, bytes }]));
        }
    }
}

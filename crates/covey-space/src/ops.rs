//! What a membership entry says: a list of acts in its body.
//!
//! Each act is a number and its bytes, so that an act of a later version is kept as
//! [`MembershipOp::Unknown`] and counted, so that `covey doctor` can say that an update is needed, where a plain enum would fail to
//! parse. Numbers are only ever added.
//!
//! The keys that acts seal to devices stand outside what is encrypted: who was let in while somebody else changed the
//! key couldn't open the very entry that gives it to them. They are sealed by themselves, and bound to the entry by
//! its signature like all of the body.

use covey_log::{BodyContext, EpochKey, Opener, open, seal};
use covey_types::{
    DeviceId, EpochId, Head, LogId, SpaceId, UserId,
    limits::{MAX_DISPLAY_NAME_CHARS, MAX_ENTRY_BODY_BYTES, MAX_PLAIN_BODY_BYTES},
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};

use crate::{Device, Notice, Role, SealedKey, keyring::WrappedKey};

/// Most acts in one entry, and most devices or sealed keys in one act: a space's devices, with room.
pub const MAX_ACTS: usize = 4096;

/// Most keys of earlier epochs in one act: as many as epochs can be begun at the same moment, with room.
pub const MAX_WRAPPED: usize = 64;

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
    /// The space that this one belongs to: whoever is put out of that one is out of this one too.
    pub parent: Option<SpaceId>,
    /// Whether it is the founder's own: it takes in nobody else, and only they add their devices. Such a space has no
    /// parent. It's told by the act's number, so that a node which doesn't know of such spaces takes it for no space.
    #[serde(skip)]
    pub personal: bool,
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

/// Takes a further device of somebody who is in the space. Everybody may do that for their own devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddDevice {
    /// The device, certified by its user.
    pub device: Device,
    /// The current epoch's key, sealed to it.
    pub keys: Vec<SealedKey>,
}

/// How far a log counts: what lies past it was written by somebody who was out, or knew no better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Which log.
    pub log: LogId,
    /// The last entry of it that counts.
    pub head: Head,
}

/// Gives somebody another role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRole {
    /// Whom.
    pub user: UserId,
    /// What they may do from now on.
    pub role: Role,
    /// When that is less than before: how far their logs reach here. A log that isn't named counts up to nothing.
    pub cuts: Vec<Cut>,
}

/// Puts somebody out of the space, with all their devices. Whoever names themself leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveMember {
    /// Whom.
    pub user: UserId,
    /// How far their logs reach here. A log that isn't named counts up to nothing.
    pub cuts: Vec<Cut>,
}

/// Puts one device out of the space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveDevice {
    /// Which.
    pub device: DeviceId,
    /// How far its logs reach here. A log that isn't named counts up to nothing.
    pub cuts: Vec<Cut>,
}

/// Begins a new epoch: what is written from now on is sealed with another key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate {
    /// The new epoch.
    pub epoch: EpochId,
    /// Its key, sealed to every device that stays.
    pub keys: Vec<SealedKey>,
    /// The keys of the epochs that it follows, sealed with its own: who has the new key has the old ones too. None
    /// where history is read only from joining on.
    pub previous: Vec<WrappedKey>,
}

/// Changes what holds for the space as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSpace {
    /// A new name.
    pub name: Option<String>,
    /// Another rule of who may read history.
    pub history: Option<HistoryPolicy>,
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipOp {
    /// Founds the space.
    Found(Found),
    /// Takes someone in.
    AddMember(AddMember),
    /// Takes a further device of someone in.
    AddDevice(AddDevice),
    /// Changes a role.
    SetRole(SetRole),
    /// Puts someone out.
    RemoveMember(RemoveMember),
    /// Puts a device out.
    RemoveDevice(RemoveDevice),
    /// Begins an epoch.
    Rotate(Rotate),
    /// Seals the current epoch's key to devices that did not get it: they were added while it was made.
    ShareKeys(Vec<SealedKey>),
    /// The author's user is called so from now on.
    RenameUser(String),
    /// A device is called so from now on.
    RenameDevice(DeviceId, String),
    /// Changes the space's name or rules.
    SetSpace(SetSpace),
    /// Tells some devices something that nobody else can read; nor can others see whom.
    Notice(Notice),
    /// An act that this build does not know.
    Unknown {
        /// Its number.
        kind: u16,
    },
}

const FOUND: u16 = 1;
const ADD_MEMBER: u16 = 2;
const ADD_DEVICE: u16 = 3;
const SET_ROLE: u16 = 4;
const REMOVE_MEMBER: u16 = 5;
const REMOVE_DEVICE: u16 = 6;
const ROTATE: u16 = 7;
const SHARE_KEYS: u16 = 8;
const RENAME_USER: u16 = 9;
const RENAME_DEVICE: u16 = 10;
const SET_SPACE: u16 = 11;
const NOTICE: u16 = 12;
const FOUND_PERSONAL: u16 = 13;

impl MembershipOp {
    /// The keys that the act seals to devices.
    pub fn sealed_keys(&self) -> &[SealedKey] {
        match self {
            Self::Found(found) => &found.keys,
            Self::AddMember(add) => &add.keys,
            Self::AddDevice(add) => &add.keys,
            Self::Rotate(rotate) => &rotate.keys,
            Self::ShareKeys(keys) => keys,
            _ => &[],
        }
    }

    /// The epoch that the act begins.
    pub const fn begins(&self) -> Option<EpochId> {
        match self {
            Self::Rotate(rotate) => Some(rotate.epoch),
            _ => None,
        }
    }

    fn take_keys(&mut self, act: u16) -> Option<Given> {
        let (keys, previous, begins) = match self {
            Self::Found(found) => (&mut found.keys, None, None),
            Self::AddMember(add) => (&mut add.keys, None, None),
            Self::AddDevice(add) => (&mut add.keys, None, None),
            Self::Rotate(rotate) => (&mut rotate.keys, Some(&mut rotate.previous), Some(rotate.epoch)),
            Self::ShareKeys(keys) => (keys, None, None),
            _ => return None,
        };
        let keys = std::mem::take(keys);
        Some(Given { act, begins, keys, previous: previous.map(std::mem::take).unwrap_or_default() })
    }

    fn with_keys(mut self, given: Given) -> Result<Self, DecodeError> {
        match &mut self {
            Self::Found(found) => found.keys = given.keys,
            Self::AddMember(add) => add.keys = given.keys,
            Self::AddDevice(add) => add.keys = given.keys,
            Self::ShareKeys(keys) => *keys = given.keys,
            Self::Rotate(rotate) if given.begins == Some(rotate.epoch) => {
                (rotate.keys, rotate.previous) = (given.keys, given.previous);
            }
            _ => {
                return Err(DecodeError::malformed(
                    "a membership entry",
                    "it gives keys for an act that gives none",
                ));
            }
        }
        Ok(self)
    }

    fn to_raw(&self) -> Option<RawOp> {
        let (kind, bytes) = match self {
            Self::Found(found) if found.personal => (FOUND_PERSONAL, wire::encode(found)),
            Self::Found(found) => (FOUND, wire::encode(found)),
            Self::AddMember(add) => (ADD_MEMBER, wire::encode(add)),
            Self::AddDevice(add) => (ADD_DEVICE, wire::encode(add)),
            Self::SetRole(set) => (SET_ROLE, wire::encode(set)),
            Self::RemoveMember(remove) => (REMOVE_MEMBER, wire::encode(remove)),
            Self::RemoveDevice(remove) => (REMOVE_DEVICE, wire::encode(remove)),
            Self::Rotate(rotate) => (ROTATE, wire::encode(rotate)),
            Self::ShareKeys(keys) => (SHARE_KEYS, wire::encode(keys)),
            Self::RenameUser(name) => (RENAME_USER, wire::encode(name)),
            Self::RenameDevice(device, name) => (RENAME_DEVICE, wire::encode(&(device, name))),
            Self::SetSpace(set) => (SET_SPACE, wire::encode(set)),
            Self::Notice(notice) => (NOTICE, wire::encode(notice)),
            Self::Unknown { .. } => return None,
        };
        Some(RawOp { kind, bytes })
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Self::Found(found) => vec![&found.name, &found.user_name, &found.device.name],
            Self::AddMember(add) => add
                .devices
                .iter()
                .map(|device| device.name.as_str())
                .chain([add.user_name.as_str()])
                .collect(),
            Self::AddDevice(add) => vec![&add.device.name],
            Self::RenameUser(name) | Self::RenameDevice(_, name) => vec![name],
            Self::SetSpace(set) => set.name.as_deref().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct RawOp {
    kind: u16,
    bytes: Vec<u8>,
}

/// What an act gives to devices, outside what is encrypted.
#[derive(Debug, Serialize, Deserialize)]
struct Given {
    /// The act's place in the list.
    act: u16,
    /// The epoch that the act begins.
    begins: Option<EpochId>,
    keys: Vec<SealedKey>,
    previous: Vec<WrappedKey>,
}

/// The body of a membership entry as it travels.
#[derive(Serialize, Deserialize)]
struct Body {
    given: Vec<Given>,
    sealed: Vec<u8>,
}

fn body(bytes: &[u8]) -> Result<Body, DecodeError> {
    wire::decode("the body of a membership entry", bytes, MAX_ENTRY_BODY_BYTES)
}

/// Seals the bytes that [`encode`] makes into the body of an entry.
///
/// # Panics
/// When the bytes are not from [`encode`].
pub fn seal_acts(key: &EpochKey, place: BodyContext, plain: &[u8]) -> Vec<u8> {
    let mut raw: Vec<RawOp> =
        wire::decode("a membership entry", plain, MAX_PLAIN_BODY_BYTES).expect("it was encoded here");
    let mut given = Vec::new();
    for (act, raw) in (0..).zip(&mut raw) {
        let mut op =
            decode_one(RawOp { kind: raw.kind, bytes: raw.bytes.clone() }).expect("it was encoded here");
        if let Some(keys) = op.take_keys(act) {
            raw.bytes = op.to_raw().expect("acts with keys are known").bytes;
            given.push(keys);
        }
    }
    let sealed = seal(key, place, &wire::encode(&raw));
    wire::encode(&Body { given, sealed })
}

/// Opens the body of an entry to the bytes that [`encode`] made.
///
/// # Errors
/// What is wrong with the body.
pub fn open_acts(opener: Opener, place: BodyContext, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let body = body(bytes).map_err(|err| err.to_string())?;
    let secret = open(opener, place, &body.sealed).map_err(|err| err.to_string())?;
    let what = "a membership entry";
    let mut raw: Vec<RawOp> =
        wire::decode(what, &secret, MAX_PLAIN_BODY_BYTES).map_err(|err| err.to_string())?;
    for given in body.given {
        let raw =
            raw.get_mut(usize::from(given.act)).ok_or("it gives keys for an act that it doesn't hold")?;
        let op = decode_one(RawOp { kind: raw.kind, bytes: std::mem::take(&mut raw.bytes) });
        let op = op.and_then(|op| op.with_keys(given)).map_err(|err| err.to_string())?;
        raw.bytes = op.to_raw().ok_or("it gives keys for an act that gives none")?.bytes;
    }
    Ok(wire::encode(&raw))
}

/// What the body of an entry gives to devices, as far as that can be seen without opening it: as acts that share keys
/// or begin epochs.
pub fn offered_keys(bytes: &[u8]) -> Vec<MembershipOp> {
    let given = body(bytes).map_or_else(|_| Vec::new(), |body| body.given);
    let act = |given: Given| match given.begins {
        Some(epoch) => MembershipOp::Rotate(Rotate { epoch, keys: given.keys, previous: given.previous }),
        None => MembershipOp::ShareKeys(given.keys),
    };
    given.into_iter().map(act).collect()
}

/// The bytes of a membership entry's acts.
pub fn encode(ops: &[MembershipOp]) -> Vec<u8> {
    let raw: Vec<RawOp> = ops.iter().filter_map(MembershipOp::to_raw).collect();
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
    let RawOp { kind, bytes } = raw;
    let op = match kind {
        FOUND => MembershipOp::Found(act("a founding act", &bytes)?),
        FOUND_PERSONAL => {
            MembershipOp::Found(Found { personal: true, ..act("the founding of a personal space", &bytes)? })
        }
        ADD_MEMBER => MembershipOp::AddMember(act("an act that adds a member", &bytes)?),
        ADD_DEVICE => MembershipOp::AddDevice(act("an act that adds a device", &bytes)?),
        SET_ROLE => MembershipOp::SetRole(act("an act that sets a role", &bytes)?),
        REMOVE_MEMBER => MembershipOp::RemoveMember(act("an act that removes a member", &bytes)?),
        REMOVE_DEVICE => MembershipOp::RemoveDevice(act("an act that removes a device", &bytes)?),
        ROTATE => MembershipOp::Rotate(act("an act that begins an epoch", &bytes)?),
        SHARE_KEYS => MembershipOp::ShareKeys(act("an act that shares keys", &bytes)?),
        RENAME_USER => MembershipOp::RenameUser(act("an act that renames a user", &bytes)?),
        RENAME_DEVICE => {
            let (device, name) = act("an act that renames a device", &bytes)?;
            MembershipOp::RenameDevice(device, name)
        }
        SET_SPACE => MembershipOp::SetSpace(act("an act that changes the space", &bytes)?),
        NOTICE => MembershipOp::Notice(act("a notice", &bytes)?),
        kind => MembershipOp::Unknown { kind },
    };
    check_names(&op.names())?;
    Ok(op)
}

fn act<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, DecodeError> {
    wire::decode(what, bytes, MAX_PLAIN_BODY_BYTES)
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

    #[test]
    fn keys_are_found_without_opening_what_holds_them_and_nothing_else_is() {
        let key = EpochKey::generate();
        let log = LogId { device: DeviceId([1; 32]), incarnation: covey_types::Incarnation(2) };
        let place = BodyContext { space: SpaceId([3; 32]), log, seq: 2, kind: covey_log::Kind::MEMBERSHIP };
        let sealed = SealedKey { device: DeviceId([4; 32]), epoch: EpochId([5; 16]), bytes: vec![6; 80] };
        let wrapped = WrappedKey { epoch: EpochId([7; 16]), bytes: vec![8; 48] };
        let rotate = Rotate { epoch: EpochId([5; 16]), keys: vec![sealed.clone()], previous: vec![wrapped] };
        let acts = [
            MembershipOp::RenameUser("Ada Lovelace".into()),
            MembershipOp::Rotate(rotate),
            MembershipOp::ShareKeys(vec![sealed]),
        ];
        let body = seal_acts(&key, place, &encode(&acts));
        assert_eq!(offered_keys(&body), acts[1..]);
        assert!(!body.windows(8).any(|window| window == b"Lovelace"));
        assert_eq!(decode(&open_acts(Opener::from(&key), place, &body).unwrap()).unwrap(), acts);
        assert!(open_acts(Opener::from(&EpochKey::generate()), place, &body).is_err());
        for i in 0..body.len() {
            // A changed body has another hash, which the author did not sign; it must not do harm all the same.
            let mut changed = body.clone();
            changed[i] ^= 1;
            let _ = open_acts(Opener::from(&key), place, &changed);
            let _ = (offered_keys(&changed), offered_keys(&body[..i]));
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u16..15) {
            let _ = decode(&bytes);
            let _ = decode(&wire::encode(&vec![RawOp { kind, bytes }]));
        }
    }
}

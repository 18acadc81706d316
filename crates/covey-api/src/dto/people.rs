//! People, devices and acts, as they travel.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{SpaceName, words};

/// One of a member's devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Device)]
pub struct DeviceDto {
    /// Its id.
    pub peer_id: String,
    /// Its name.
    pub name: String,
    /// Twenty characters for two people to compare.
    pub fingerprint: String,
    /// The first bits of it as four words, to be compared by voice.
    #[serde(default)]
    #[schema(required)]
    pub words: Vec<String>,
    /// Whether it is the one that this node runs on.
    pub this: bool,
}

/// A person in a space: `GET spaces/{space}/members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberDto {
    /// The person's id.
    pub user_id: String,
    /// The name.
    pub name: String,
    /// `guest`, `member`, `admin` or `owner`.
    #[schema(value_type = words::Role)]
    pub role: String,
    /// Whether it is the one whom this node belongs to.
    pub you: bool,
    /// Their devices in this space.
    pub devices: Vec<DeviceDto>,
}

/// Somebody who is taken into a child space: `POST spaces/{space}/members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// A member of the parent: their id, part of it, or their name.
    #[schema(min_length = 1)]
    pub user: String,
    /// `guest`, `member`, `admin` or `owner`; `member` unless it's said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Role>)]
    pub role: Option<String>,
}

/// `PATCH spaces/{space}/members/{user}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// `guest`, `member`, `admin` or `owner`.
    #[schema(value_type = words::Role)]
    pub role: String,
}

/// Somebody was put out of a space, or left it: `DELETE spaces/{space}/members/{user}`, `POST spaces/{space}/leave`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Removed)]
pub struct RemovedDto {
    /// Of which space.
    pub space: SpaceName,
    /// The person's id.
    pub user_id: String,
    /// The person's name.
    pub name: String,
}

/// A space whose key was changed: `POST spaces/{space}/rotate-key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Rotated)]
pub struct RotatedDto {
    /// Which.
    pub space: SpaceName,
}

/// Who may read what was written before they joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = History)]
pub enum HistoryDto {
    /// Everybody everything.
    Full,
    /// Everybody what is written from their joining on.
    FromJoining,
}

/// `PUT spaces/{space}/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHistory {
    /// The rule for those who join from now on.
    pub history: HistoryDto,
}

/// `GET spaces/{space}/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SpaceHistory)]
pub struct SpaceHistoryDto {
    /// Which space.
    pub space: SpaceName,
    /// The rule for those who join.
    pub history: HistoryDto,
}

/// What a device is called in a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeviceSpace)]
pub struct DeviceSpaceDto {
    /// The space's id.
    pub id: String,
    /// The space's name.
    pub name: String,
    /// The device's name there.
    pub device: String,
}

/// A device of this user, as `GET status` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = OwnDevice)]
pub struct OwnDeviceDto {
    /// Its id.
    pub peer_id: String,
    /// Its name.
    pub name: String,
    /// Whether it is the one that this node runs on.
    pub this: bool,
    /// Twenty characters to compare on both devices.
    pub fingerprint: String,
    /// The first bits of it as four words, to be compared by voice.
    #[serde(default)]
    #[schema(required)]
    pub words: Vec<String>,
    /// `here`, `connected`, `reachable` or `offline`.
    #[schema(value_type = words::DeviceState)]
    pub state: String,
    /// When it was last connected, RFC 3339; `null` if it is now, or never was.
    #[schema(required, format = DateTime)]
    pub last_seen: Option<String>,
}

/// `POST devices/link`: a way in for a further device of this user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// How long the code lives, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub expires_s: Option<u64>,
}

/// A space of a user whose device was just linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LinkedSpace)]
pub struct LinkedSpaceDto {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether everything of it is here; otherwise it comes by itself.
    pub here: bool,
}

/// This device became one of another user's: `POST devices/join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Linked)]
pub struct LinkedDto {
    /// Who this device is now.
    #[serde(flatten)]
    pub identity: super::IdentityDto,
    /// The device that took it in.
    pub linked_by: DeviceDto,
    /// The id of the user that this device had before, which is given up.
    pub replaced_user_id: String,
    /// The spaces of the user.
    pub spaces: Vec<LinkedSpaceDto>,
}

/// A device of this user, or of somebody who shares a space with them: `GET devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = KnownDevice)]
pub struct KnownDeviceDto {
    /// Its id.
    pub peer_id: String,
    /// Its name.
    pub name: String,
    /// The id of the person it belongs to.
    pub user_id: String,
    /// The name of the person.
    pub user: String,
    /// Whether it belongs to this node's user.
    pub yours: bool,
    /// Whether it is the one that this node runs on.
    pub this: bool,
    /// Twenty characters for two people to compare.
    pub fingerprint: String,
    /// The first bits of it as four words, to be compared by voice.
    #[serde(default)]
    #[schema(required)]
    pub words: Vec<String>,
    /// `here`, `connected`, `reachable` or `offline`.
    #[schema(value_type = words::DeviceState)]
    pub state: String,
    /// When it was last connected, RFC 3339, if it isn't now and was since this node started.
    #[schema(required, format = DateTime)]
    pub last_seen: Option<String>,
    /// The spaces that it and this node are in.
    pub spaces: Vec<DeviceSpaceDto>,
}

/// `PATCH devices/{device}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeviceName {
    /// The name, for people.
    #[schema(min_length = 1)]
    pub name: String,
}

/// What came of an act on a device in one space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DoneInSpace)]
pub struct DoneInSpaceDto {
    /// The space's id.
    pub id: String,
    /// The space's name.
    pub name: String,
    /// Whether it was done.
    pub done: bool,
    /// Why not, in a sentence.
    #[schema(required)]
    pub reason: Option<String>,
}

/// What came of renaming or revoking a device: `PATCH` and `DELETE devices/{device}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeviceDone)]
pub struct DeviceDoneDto {
    /// The device's id.
    pub peer_id: String,
    /// Its name, the new one after a renaming.
    pub name: String,
    /// One line for each space that it is in.
    pub spaces: Vec<DoneInSpaceDto>,
}

/// Somebody concerned by an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonDto {
    /// The person's id; `null` if it isn't known whose device it was.
    #[schema(required)]
    pub user_id: Option<String>,
    /// The person's name, as it is now.
    #[schema(required)]
    pub user: Option<String>,
    /// The device's id, where one is concerned.
    #[schema(required)]
    pub peer_id: Option<String>,
    /// The device's name, as it is now.
    #[schema(required)]
    pub device: Option<String>,
}

/// The names of the kinds of acts, as in [`ActDto::what`].
pub const ACT_KINDS: [&str; 22] = [
    "found",
    "add_member",
    "add_device",
    "set_role",
    "remove_member",
    "remove_device",
    "rotate_key",
    "share_key",
    "rename_user",
    "rename_device",
    "set_space",
    "unknown",
    "notice",
    "fork",
    "new_log",
    "ahead",
    "invite",
    "wrong_code",
    "use_code",
    "burn_code",
    "expire_code",
    "withdraw_invite",
];

/// One act in the membership of a space: a line of `GET spaces/{space}/audit`.
///
/// What became of invitations (`invite`, `wrong_code`, `use_code`, `burn_code`, `expire_code`, `withdraw_invite`) only the device
/// knows that has made them: no entry proves it, so that `log`, `seq` and `hash` are `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Act)]
pub struct ActDto {
    /// When, by its author's clock, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// The same on the hybrid clock: `milliseconds.counter`.
    pub hlc: String,
    /// Who.
    pub who: PersonDto,
    /// What, in a word.
    #[schema(value_type = words::ActKind)]
    pub what: String,
    /// To whom, where it concerns somebody.
    #[schema(required)]
    pub whom: Option<PersonDto>,
    /// The role that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::Role>, nullable = false)]
    pub role: Option<String>,
    /// The name that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// The rule for history that is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub history: Option<HistoryDto>,
    /// The names of the devices that a member is taken in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub devices: Option<Vec<String>>,
    /// The epoch that begins: the id of the new key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub epoch: Option<String>,
    /// The invitation, by the first half of its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub invite: Option<String>,
    /// Until when the invitation was to last, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub expires_at: Option<String>,
    /// The hashes of the two entries that prove that a log has two histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub proof: Option<[String; 2]>,
    /// What and to whom, in words.
    pub text: String,
    /// Whether it has effect; it has none if it fell because of what others did at the same moment.
    pub stands: bool,
    /// The log in which its entry stands: `device/incarnation`; `null` for what no entry proves.
    #[schema(required)]
    pub log: Option<String>,
    /// The entry's place there, from 1.
    #[schema(required)]
    pub seq: Option<u64>,
    /// The act's place in the entry, from 0; without an entry its number among what this node has kept.
    pub part: u64,
    /// The hash of the entry, which its author has signed: the proof.
    #[schema(required)]
    pub hash: Option<String>,
}

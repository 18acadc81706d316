//! Spaces, the ways into them, and how they stand, as they travel.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error},
};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{NewMember, words};

/// How a space stands with one other device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Sync)]
pub struct SyncDto {
    /// Which device.
    pub peer_id: String,
    /// `in_sync`, `syncing`, `behind`, `unreachable` or `refused`.
    #[schema(value_type = words::SyncState)]
    pub state: String,
    /// Entries it has and this node lacks, as far as known.
    pub missing_here: u64,
    /// Entries this node has and it lacks, as far as known.
    pub missing_there: u64,
    /// Why, in a sentence, whenever not in sync.
    #[schema(required)]
    pub reason: Option<String>,
    /// Since when it stands so, RFC 3339; of one that isn't reachable when it was last connected; `null` if that isn't known.
    #[serde(default)]
    #[schema(format = DateTime)]
    pub since: Option<String>,
}

/// A space at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Space)]
pub struct SpaceDto {
    /// Its id.
    pub id: String,
    /// Its name; of a direct message the names of the others.
    pub name: String,
    /// The space whose child it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub parent: Option<SpaceName>,
    /// Of a child that is a channel of its parent which sort: "private" or "direct".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = words::ChildSort, nullable = false)]
    pub channel: Option<String>,
    /// What this node's user may do in it; `null` before the first sync has told.
    #[schema(value_type = Option<words::Role>, required)]
    pub role: Option<String>,
    /// How many people are in it.
    pub members: u64,
    /// Entries in all its logs.
    pub entries: u64,
    /// Records that aren't deleted.
    pub records: u64,
    /// Entries written here that no other device is known to hold.
    #[serde(default)]
    #[schema(required)]
    pub pending: u64,
    /// One line per other device; none when this node's user or device is out of it.
    pub sync: Vec<SyncDto>,
    /// Whether it is the user's own, which holds their devices together. Told only of that one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub personal: bool,
    /// How this node came to be out of it; `null` if it isn't.
    #[schema(required)]
    pub removed: Option<RemovalDto>,
    /// Devices that wrote two histories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<ForkDto>,
    /// Devices that went on in a new log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_logs: Vec<NewLogsDto>,
}

/// How this node came to be out of a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Removal)]
pub struct RemovalDto {
    /// The name of the user who did it, if it's known.
    #[schema(required)]
    pub by: Option<String>,
    /// Whether that is this node's own user.
    pub own: bool,
    /// When, by the clock of the device it was done on.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A log that counts up to some place only, since its device wrote two histories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Fork)]
pub struct ForkDto {
    /// Which device.
    pub peer_id: String,
    /// What it's called, if that is known.
    #[schema(required)]
    pub name: Option<String>,
    /// The log: `device/incarnation`.
    pub log: String,
    /// The first place that doesn't count.
    pub seq: u64,
}

/// A device that went on in a new log: it was restored, set back or copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = NewLogs)]
pub struct NewLogsDto {
    /// Which device.
    pub peer_id: String,
    /// What it's called, if that is known.
    #[schema(required)]
    pub name: Option<String>,
    /// How many logs it has begun after its first.
    pub times: u64,
}

/// `POST spaces`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSpace {
    /// The name, for people.
    #[schema(min_length = 1)]
    pub name: String,
    /// The space whose child it is to be: its id, part of it, or its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// People of that space who are in the child from the start. What they may do is `owner` unless it's said.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "objects")]
    pub members: Vec<NewMember>,
}

/// Items that are JSON objects. Serde alone would also take an array for one, and its items for the fields in their order.
fn objects<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let items: Vec<Map<String, Value>> = Vec::deserialize(deserializer)?;
    let item = |map| serde_json::from_value(Value::Object(map)).map_err(D::Error::custom);
    items.into_iter().map(item).collect()
}

/// `POST spaces/{space}/invites`. What isn't given has its default: member, 15 minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvite {
    /// `guest`, `member` or `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::InviteRole>)]
    pub role: Option<String>,
    /// How long the code lives, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub expires_s: Option<u64>,
}

/// An open invitation. Its code is a secret while it lives: shown, never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Invite)]
pub struct InviteDto {
    /// Names it in events, in the audit, and to withdraw it: the first half of the code, which is no secret.
    #[serde(default)]
    #[schema(required)]
    pub id: String,
    /// `COVEY-XXXX-XXXX`.
    pub code: String,
    /// The same with addresses, for other networks.
    pub link: String,
    /// When it stops working, RFC 3339.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// What the invited person may do.
    #[schema(value_type = words::Role)]
    pub role: String,
}

impl std::fmt::Debug for InviteDto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InviteDto")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// An invitation that was taken back: `DELETE spaces/{space}/invites/{id}` and `DELETE devices/link/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Withdrawn)]
pub struct WithdrawnDto {
    /// Which.
    pub id: String,
    /// "withdrawn"; or "burnt" or "expired" where it was over before.
    #[schema(value_type = words::InviteState)]
    pub state: String,
}

/// `POST join`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// A code or a link. Secret while it lives, so this type doesn't print.
    #[schema(min_length = 1)]
    pub code: String,
    /// How long to try, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

/// A space by both its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpaceName {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A space joined and synced for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Joined)]
pub struct JoinedDto {
    /// Which space.
    pub space: SpaceName,
    /// Records in it now.
    pub records: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_does_not_print_its_code() {
        let invite = InviteDto {
            id: "AAAA".into(),
            code: "COVEY-AAAA-BBBB".into(),
            link: "covey://join/x".into(),
            expires_at: "t".into(),
            role: "member".into(),
        };
        assert!(!format!("{invite:?}").contains("BBBB"));
    }
}

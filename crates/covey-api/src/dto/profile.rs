//! Who this node's user is, and where they are signed in, as it travels.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET profile`, and the answer to `PATCH profile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Profile)]
pub struct ProfileDto {
    /// The user's id.
    pub user: String,
    /// What they are called.
    pub name: String,
}

/// `PATCH profile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    /// What the user is to be called, on all their devices and in all their spaces: 1 to 64 printable characters.
    pub name: String,
}

/// A browser that is signed in at this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Browser)]
pub struct BrowserDto {
    /// By which it is signed out.
    pub id: String,
    /// Since when it is signed in, RFC 3339.
    pub since: String,
    /// Until when, RFC 3339.
    pub until: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// `GET browsers`: the one that was signed in first comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BrowserList {
    /// The browsers.
    pub items: Vec<BrowserDto>,
}

/// The answer to `DELETE browsers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SignedOut)]
pub struct SignedOutDto {
    /// How many browsers were signed out.
    pub signed_out: usize,
}

//! What travels as JSON between a node and its clients: one definition, used by both ends.
//!
//! The keys are a contract that scripts rely on: keys are added, never renamed or removed. Ids print in
//! base58 (devices as libp2p peer ids), times as RFC 3339 in UTC, sizes in bytes, and a duration carries
//! its unit in its key. A document travels as [`RawValue`](serde_json::value::RawValue), so that it is never re-encoded on the way.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod backup;
mod chat;
mod delivery;
mod events;
mod jobs;
mod node;
mod people;
mod profile;
mod records;
mod spaces;
mod sql;
pub mod words;

pub use backup::*;
pub use chat::*;
pub use delivery::*;
pub use events::*;
pub use jobs::*;
pub use node::*;
pub use people::*;
pub use profile::*;
pub use records::*;
pub use spaces::*;
pub use sql::*;

/// An error, as RFC 9457 describes it (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDto {
    /// A stable name of the kind of problem, as a URI reference: `about:blank` or `/problems/NAME`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This occurrence in words.
    pub detail: String,
    /// For an import: the line that is wrong, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u64>,
    /// For an import: the records that were written before it, durably.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub records: Option<u64>,
}

/// `HOME/api.json`, by which clients on this machine find the node. It holds the token: mode 0600.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiFile {
    /// `http://127.0.0.1:PORT`.
    pub api: String,
    /// The bearer token.
    pub token: String,
    /// The process that serves it.
    pub pid: u32,
}

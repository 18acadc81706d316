//! Values in records of others, read with bounds: what doesn't fit is as if it weren't there.

use covey_records::{Record, Stamp};
use covey_types::UserId;

/// A field's text, and who wrote it when.
pub fn text(record: &Record, name: &str) -> Option<(Stamp, String)> {
    let (stamp, json) = record.field(name)?;
    Some((stamp, serde_json::from_str(json).ok()?))
}

/// A field that is true or false.
pub fn flag(record: &Record, name: &str) -> Option<(Stamp, bool)> {
    let (stamp, json) = record.field(name)?;
    Some((stamp, serde_json::from_str(json).ok()?))
}

/// A list of users: each once, in order, and at most so many.
pub fn users(record: &Record, name: &str, max: usize) -> Option<(Stamp, Vec<UserId>)> {
    let (stamp, json) = record.field(name)?;
    let names: Vec<String> = serde_json::from_str(json).ok()?;
    let mut users: Vec<UserId> = names.iter().take(max).filter_map(|name| name.parse().ok()).collect();
    users.sort_unstable();
    users.dedup();
    Some((stamp, users))
}

//! Collections, records and their changes, as they travel.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::words;

/// A collection: `GET spaces/{space}/collections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Collection)]
pub struct CollectionDto {
    /// Its name.
    pub name: String,
    /// Records that aren't deleted.
    pub records: u64,
}

/// `POST .../records`: fields to be merged into a record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRecord {
    /// The record's id; a fresh one is made when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A JSON object.
    #[schema(value_type = words::Document)]
    pub doc: Box<RawValue>,
}

/// A write that is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Put)]
pub struct PutDto {
    /// The record's id.
    pub id: String,
    /// When, on the hybrid clock: `milliseconds.counter`.
    pub hlc: String,
}

/// One record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Record)]
pub struct RecordDto {
    /// Its id.
    pub id: String,
    /// Its document.
    #[schema(value_type = words::Document)]
    pub doc: Box<RawValue>,
}

/// A page of records, ordered by id.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordPage {
    /// The records.
    pub items: Vec<RecordDto>,
    /// The cursor of the next page (`after=`); `null` at the end.
    #[schema(required)]
    pub next: Option<String>,
}

/// An import that went through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Import)]
pub struct ImportDto {
    /// Records written.
    pub records: u64,
    /// Log entries they took.
    pub entries: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It has this document now.
    Put,
    /// It is deleted.
    Delete,
}

/// One line of the change feed: the newest version of a record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeDto {
    /// Where in this node's feed; resume with `since=`.
    pub position: u64,
    /// Which collection.
    pub collection: String,
    /// Which record.
    pub id: String,
    /// Put or delete.
    pub kind: ChangeKind,
    /// The document; `null` for a delete.
    #[schema(value_type = Option<words::Document>, required)]
    pub doc: Option<Box<RawValue>>,
}

/// `GET spaces/{space}/changes`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangePage {
    /// The changes, oldest first.
    pub items: Vec<ChangeDto>,
    /// The cursor of the next page (`since=`); `null` when this reached the present.
    #[schema(required)]
    pub next: Option<u64>,
    /// The newest position of the feed.
    pub position: u64,
}

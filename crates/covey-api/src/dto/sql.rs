//! Queries in SQL, as they travel.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// `POST spaces/{space}/sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One `SELECT`, `VALUES` or `WITH ... SELECT`.
    #[schema(min_length = 1)]
    pub sql: String,
    /// The values of its `?`: numbers, texts, `null`, `true` (1) and `false` (0).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
    /// Most rows that are wanted; 1000 if it isn't said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// What came of a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Sql)]
pub struct SqlDto {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows. Bytes are `{"hex":"00ff"}`; a number beyond all bounds is the text `Infinity` or `-Infinity`.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more rows than were wanted, or than fit.
    pub more: bool,
}

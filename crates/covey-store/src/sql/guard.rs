//! What a query may name and do. Whatever isn't said here is refused.
//!
//! SQLite doesn't ask about columns that a join has by one name, which is why [`words`](super::words) refuses such joins,
//! and why nothing is in reach of a query but its views, with or without this.

use rusqlite::{
    Connection,
    hooks::{AuthAction, AuthContext, Authorization},
};

use super::{bounds::Watch, functions::TEXT_BYTES, views::Names};

/// What the inner views read, and nothing else does.
const TABLES: &[(&str, &[&str])] =
    &[("records", &["collection", "id", "doc"]), ("collections", &["key", "name", "space"])];

/// Tables that SQLite makes of a document.
const TABLES_OF_JSON: &[&str] = &["json_each", "json_tree", "jsonb_each", "jsonb_tree"];

/// SQLite's functions of values alone: none reads a file, a setting, or what belongs to the connection. Those are left out
/// that take as long as the square of what they get (`json_patch`, `median` and the percentiles), or write much more than
/// that (`json_pretty`).
const FUNCTIONS: &[&str] = &[
    "->",
    "->>",
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "avg",
    "ceil",
    "ceiling",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "cosh",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_insert",
    "json_array_length",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "jsonb",
    "jsonb_array",
    "jsonb_array_insert",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    "julianday",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "random",
    "randomblob",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sin",
    "sinh",
    "soundex",
    "sqrt",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "subtype",
    "sum",
    "tan",
    "tanh",
    "time",
    "timediff",
    "total",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unistr",
    "unistr_quote",
    "unixepoch",
    "unlikely",
    "upper",
    "zeroblob",
];

/// Lets nothing be prepared on this connection from now on but what reads these views, and only while there is time: while
/// SQLite puts a statement together nobody else is asked whether it shall go on.
pub(super) fn stand(conn: &mut Connection, names: Names, watch: Watch) -> rusqlite::Result<()> {
    conn.authorizer(Some(move |context: AuthContext<'_>| {
        if !watch.is_over() && is_allowed(&names, &context) {
            Authorization::Allow
        } else {
            Authorization::Deny
        }
    }))
}

fn is_allowed(names: &Names, context: &AuthContext<'_>) -> bool {
    match context.action {
        AuthAction::Select | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => {
            FUNCTIONS.iter().chain([&TEXT_BYTES]).any(|known| known.eq_ignore_ascii_case(function_name))
        }
        AuthAction::Read { table_name, column_name } => {
            may_read(names, context, &table_name.to_ascii_lowercase(), &column_name.to_ascii_lowercase())
        }
        _ => false,
    }
}

/// A column is read; or, where it has no name, rows are counted. Of what is counted SQLite says only the name, as the query
/// has it: that is a view, or a part of the query itself, or else somebody else's.
fn may_read(names: &Names, context: &AuthContext<'_>, table: &str, column: &str) -> bool {
    let is_view = names.outer.contains(table) || names.inner.contains(table);
    match context.database_name {
        Some("temp") => is_view,
        // What SQLite makes up has no other place.
        Some("main") => TABLES_OF_JSON.contains(&table),
        Some(name) if name == names.database => {
            let is_inner = context.accessor.is_some_and(|accessor| names.inner.contains(accessor));
            let columns = TABLES.iter().find(|(known, _)| *known == table).map(|(_, columns)| columns);
            is_inner && columns.is_some_and(|columns| columns.contains(&column))
        }
        Some(_) => false,
        None => column.is_empty() && (is_view || TABLES_OF_JSON.contains(&table) || is_own(names, table)),
    }
}

/// Whether nothing but a part of the query can have this name.
fn is_own(names: &Names, table: &str) -> bool {
    let is_reserved = ["sqlite_", "pragma_"].iter().any(|prefix| table.starts_with(prefix));
    !is_reserved && !names.others.contains(table)
}

//! What a query sees: a view for each collection of one space that it names, and one over all of them.
//!
//! Each is made of two views. The inner one reads the tables, and has a name that nobody can guess, fresh for every query:
//! SQLite tells the guard under which name of a `FROM` something is read, and a query could call a part of itself by any
//! name that it knows. The outer one has the name that people use.
//!
//! The tables themselves are out of reach. The database is attached under such a name too, `main` is empty, and where
//! SQLite would look for a table of that name in the whole connection, it first finds an empty view.

use std::{cmp::Reverse, collections::BTreeSet};

use covey_types::limits::MAX_RECORD_BYTES;
use rusqlite::Connection;

use super::{
    SqlQuery,
    bounds::{MAX_VALUE_BYTES, Watch},
    document::MOST_TEXT,
    functions::TEXT_BYTES,
};

/// The view over all records of the space: `collection`, `id`, `doc`.
pub const ALL_RECORDS: &str = "all_records";

/// Most collections that have a view of their own: more than a statement can read from.
const MAX_VIEWS: usize = 64;

/// Longest document that a query sees, bytes, as it's stored and as text. Devices make none that is longer, and those of
/// changed programs must not make queries fail for everybody.
const MAX_DOCUMENT_BYTES: usize = 4 * MAX_RECORD_BYTES;

const _: () = assert!(MAX_DOCUMENT_BYTES <= MAX_VALUE_BYTES, "what is seen of a document can be read");

/// The names of the views.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// That of the database.
    pub(super) database: String,
    /// Those that read the tables.
    pub(super) inner: BTreeSet<String>,
    /// Those for people, in lower case: SQLite makes no difference.
    pub(super) outer: BTreeSet<String>,
    /// What else has a name: the tables of the database, and those that SQLite makes up. In lower case.
    pub(super) others: BTreeSet<String>,
}

/// Makes the views of a query, in the memory of its connection, which changes nothing afterwards.
pub(super) fn make(
    conn: &Connection,
    database: String,
    query: &SqlQuery,
    watch: &Watch,
) -> rusqlite::Result<Names> {
    let others = others(conn, &database)?;
    let mut names = Names { database, others, ..Names::default() };
    let is_seen = query.hidden_prefix.as_ref().map_or_else(String::new, |prefix| {
        format!("AND substr(c.name, 1, {}) <> '{}'", prefix.chars().count(), prefix.replace('\'', "''"))
    });
    let (database, doc) = (&names.database, doc());
    let all = format!(
        "SELECT c.name AS collection, r.id AS id, {doc} FROM {database}.collections AS c
         JOIN {database}.records AS r ON r.collection = c.key
         WHERE c.space = {} {is_seen} AND r.doc IS NOT NULL",
        query.space.number()
    );
    view(conn, &mut names, ALL_RECORDS, "collection, id", &all)?;
    for (key, name) in named(conn, &names.database, query, watch)? {
        let lower = name.to_ascii_lowercase();
        // Of two names that SQLite can't tell apart the first has a view; the other's records are in the one over all.
        if !names.outer.contains(&lower) && !lower.starts_with("sqlite_") && names.outer.len() <= MAX_VIEWS {
            let database = &names.database;
            let of_one = format!(
                "SELECT r.id AS id, {doc} FROM {database}.records AS r WHERE r.collection = {key} AND r.doc IS NOT NULL"
            );
            view(conn, &mut names, &name, "id", &of_one)?;
        }
    }
    cover(conn, &names)?;
    conn.execute_batch("PRAGMA query_only = ON")?;
    Ok(names)
}

fn others(conn: &Connection, database: &str) -> rusqlite::Result<BTreeSet<String>> {
    let sql = format!(
        "SELECT lower(name) FROM {database}.sqlite_schema UNION SELECT lower(name) FROM pragma_module_list"
    );
    conn.prepare(&sql)?.query_map([], |row| row.get(0))?.collect()
}

/// The collections of the space that a statement names, with their keys, the longest names first: a short one may stand in
/// a statement by chance.
fn named(
    conn: &Connection,
    database: &str,
    query: &SqlQuery,
    watch: &Watch,
) -> rusqlite::Result<Vec<(i64, String)>> {
    let text = query.sql.to_ascii_lowercase();
    let bare_text = bare(&text);
    let is_hidden = |name: &str| query.hidden_prefix.as_ref().is_some_and(|prefix| name.starts_with(prefix));
    let sql = format!("SELECT key, name FROM {database}.collections WHERE space = ?1 ORDER BY key");
    let mut stmt = conn.prepare(&sql)?;
    let mut rows = stmt.query([query.space.number()])?;
    let mut named: Vec<(i64, String)> = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        if watch.is_over() {
            break;
        }
        if !is_hidden(&name) && is_named(&text, &bare_text, &name.to_ascii_lowercase()) {
            named.push((row.get(0)?, name));
        }
    }
    named.sort_by_key(|(_, name)| Reverse(name.len()));
    Ok(named)
}

/// A text without quotes.
fn bare(text: &str) -> String {
    text.replace(QUOTES, "")
}

const QUOTES: [char; 3] = ['"', '`', '\''];

/// Whether a statement can name this collection: as it is, or with the quotes in it doubled.
fn is_named(text: &str, bare_text: &str, name: &str) -> bool {
    let bare = bare(name);
    !bare.is_empty() && (text.contains(name) || bare.len() < name.len() && bare_text.contains(&bare))
}

/// What the inner views give of a record `r` as its document: one that is too long isn't even read.
fn doc() -> String {
    format!("CASE WHEN octet_length(r.doc) <= {MAX_DOCUMENT_BYTES} THEN r.doc END AS doc")
}

fn view(
    conn: &Connection,
    names: &mut Names,
    name: &str,
    columns: &str,
    select: &str,
) -> rusqlite::Result<()> {
    let inner = format!("{}_{}", names.database, names.inner.len());
    let outer = quoted(name);
    // Most are so short that nobody has to look how long they are as text.
    let short = MAX_DOCUMENT_BYTES / MOST_TEXT;
    conn.execute_batch(&format!(
        "CREATE TEMP VIEW {inner} AS {select};
         CREATE TEMP VIEW {outer} AS SELECT {columns}, CASE WHEN octet_length(doc) <= {short}
           OR {TEXT_BYTES}(doc) <= {MAX_DOCUMENT_BYTES} THEN json(doc) END AS doc FROM temp.{inner};"
    ))?;
    names.inner.insert(inner);
    names.outer.insert(name.to_ascii_lowercase());
    Ok(())
}

/// Puts empty views before the tables of the database.
fn cover(conn: &Connection, names: &Names) -> rusqlite::Result<()> {
    let sql = format!(
        "SELECT name FROM {}.sqlite_schema WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_'",
        names.database
    );
    let tables: Vec<String> =
        conn.prepare(&sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for table in tables.iter().filter(|table| !names.outer.contains(&table.to_ascii_lowercase())) {
        conn.execute_batch(&format!("CREATE TEMP VIEW {} AS SELECT NULL WHERE 0", quoted(table)))?;
    }
    // Of its own tables SQLite lets nobody make one: that of the last keys comes with a key that is counted up.
    let counted = format!("{}_", names.database);
    conn.execute_batch(&format!(
        "CREATE TEMP TABLE {counted}(key INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE temp.{counted};"
    ))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

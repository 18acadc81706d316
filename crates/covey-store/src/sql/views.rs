//! What a query sees: a view for each collection of one space that it names, and one over all of them.
//!
//! Each is made of two views. The inner one reads the tables, and has a name that nobody can guess, fresh for every query:
//! SQLite tells the guard under which name of a `FROM` something is read, and a query could call a part of itself by any
//! name that it knows. The outer one has the name that people use.

use std::collections::BTreeSet;

use covey_types::keys::random_bytes;
use rusqlite::Connection;

use super::SqlQuery;

/// The view over all records of the space: `collection`, `id`, `doc`.
pub const ALL_RECORDS: &str = "all_records";

/// The names of the views.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Those that read the tables.
    pub(super) inner: BTreeSet<String>,
    /// Those for people, in lower case: SQLite makes no difference.
    pub(super) outer: BTreeSet<String>,
    /// What else has a name: the tables of the database, and those that SQLite makes up. In lower case.
    pub(super) others: BTreeSet<String>,
}

/// Makes the views of a query, in the memory of its connection, which changes nothing afterwards.
pub(super) fn make(conn: &Connection, query: &SqlQuery) -> rusqlite::Result<Names> {
    conn.execute_batch("PRAGMA query_only = OFF")?;
    let secret = u128::from_le_bytes(random_bytes());
    let mut names = Names { others: others(conn)?, ..Names::default() };
    let collections = collections(conn, query)?;
    let hidden: Vec<String> =
        collections.iter().filter(|row| query.hidden.contains(&row.1)).map(|row| row.0.to_string()).collect();
    let all = format!(
        "SELECT c.name AS collection, r.id AS id, r.doc AS doc FROM main.collections AS c
         JOIN main.records AS r ON r.collection = c.key
         WHERE c.space = {} AND c.key NOT IN ({}) AND r.doc IS NOT NULL",
        query.space.number(),
        hidden.join(",")
    );
    view(conn, &mut names, secret, ALL_RECORDS, "collection, id", &all)?;
    let text = query.sql.to_ascii_lowercase();
    for (key, name) in &collections {
        let lower = name.to_ascii_lowercase();
        // Of two names that SQLite can't tell apart the first has a view; the other's records are in the one over all.
        let is_free = !names.outer.contains(&lower) && !lower.starts_with("sqlite_");
        if is_free && !query.hidden.contains(name) && is_named(&text, &lower) {
            let of_one =
                format!("SELECT id, doc FROM main.records WHERE collection = {key} AND doc IS NOT NULL");
            view(conn, &mut names, secret, name, "id", &of_one)?;
        }
    }
    conn.execute_batch("PRAGMA query_only = ON")?;
    Ok(names)
}

fn others(conn: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let sql = "SELECT lower(name) FROM main.sqlite_schema UNION SELECT lower(name) FROM pragma_module_list";
    conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// The collections of the space, with their keys.
fn collections(conn: &Connection, query: &SqlQuery) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut stmt = conn.prepare("SELECT key, name FROM main.collections WHERE space = ?1 ORDER BY key")?;
    stmt.query_map([query.space.number()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Whether a statement can name this collection: as it is, or with the quotes in it doubled.
fn is_named(text: &str, name: &str) -> bool {
    text.contains(name)
        || name.contains(['"', '`', '\'']) && {
            let bare = |text: &str| text.replace(['"', '`', '\''], "");
            bare(text).contains(&bare(name))
        }
}

fn view(
    conn: &Connection,
    names: &mut Names,
    secret: u128,
    name: &str,
    columns: &str,
    select: &str,
) -> rusqlite::Result<()> {
    let inner = format!("{secret:032x}_{}", names.inner.len());
    let outer = name.replace('"', "\"\"");
    conn.execute_batch(&format!(
        "CREATE TEMP VIEW \"{inner}\" AS {select};
         CREATE TEMP VIEW \"{outer}\" AS SELECT {columns}, json(doc) AS doc FROM temp.\"{inner}\";"
    ))?;
    names.inner.insert(inner);
    names.outer.insert(name.to_ascii_lowercase());
    Ok(())
}

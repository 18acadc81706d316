//! The schema and its numbered migrations.
//!
//! `PRAGMA user_version` is the number of migrations that were applied. A migration that has been
//! released is never changed; the next one mends it.

use rusqlite::Connection;

/// The migrations, in order.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_base.sql"),
    include_str!("../migrations/0002_forks.sql"),
    include_str!("../migrations/0003_chat.sql"),
    include_str!("../migrations/0004_seen.sql"),
    include_str!("../migrations/0005_pairing.sql"),
    include_str!("../migrations/0006_chat_places.sql"),
];

/// The schema version that this program writes.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Brings the schema up to date, all of it or nothing.
pub(crate) fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    apply(conn, MIGRATIONS)
}

fn apply(conn: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let found: usize = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found >= migrations.len() {
        return Ok(());
    }
    if found > 0 {
        // So that nobody takes the wait for a fault: it may be minutes where there's much.
        tracing::warn!(from = found, to = migrations.len(), "bringing the store up to this version's schema");
    }
    let tx = conn.transaction()?;
    for migration in &migrations[found..] {
        tx.execute_batch(migration)?;
    }
    tx.pragma_update(None, "user_version", migrations.len())?;
    tx.commit()?;
    tracing::info!(from = found, to = migrations.len(), "brought the schema up to date");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str =
        "CREATE TABLE bees(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO bees(name) VALUES('ada')";
    const SECOND: &str = "ALTER TABLE bees ADD COLUMN hive INTEGER DEFAULT 7";
    const BROKEN: &str = "CREATE TABLE wasps(id); INSERT INTO nowhere VALUES(1)";

    fn version(conn: &Connection) -> u32 {
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_older_database_is_brought_up_to_date_with_its_data() {
        let mut conn = Connection::open_in_memory().unwrap();
        apply(&mut conn, &[FIRST]).unwrap();
        assert_eq!(version(&conn), 1);
        apply(&mut conn, &[FIRST, SECOND]).unwrap();
        assert_eq!(version(&conn), 2);
        let row = conn.query_row("SELECT name, hive FROM bees", [], |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(row.unwrap(), ("ada".to_owned(), 7));
        apply(&mut conn, &[FIRST, SECOND]).unwrap();
        assert_eq!(version(&conn), 2);
    }

    #[test]
    fn a_migration_that_fails_leaves_no_trace() {
        let mut conn = Connection::open_in_memory().unwrap();
        apply(&mut conn, &[FIRST]).unwrap();
        apply(&mut conn, &[FIRST, SECOND, BROKEN]).unwrap_err();
        assert_eq!(version(&conn), 1);
        assert!(conn.prepare("SELECT hive FROM bees").is_err());
        assert!(conn.prepare("SELECT id FROM wasps").is_err());
    }

    #[test]
    fn the_real_migrations_run_from_nothing() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        assert_eq!(version(&conn), SCHEMA_VERSION);
    }
}

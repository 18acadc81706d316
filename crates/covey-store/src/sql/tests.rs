//! The database is out of a query's reach even if nobody looked at what it names.

use std::time::Duration;

use covey_types::SpaceId;
use rusqlite::Connection;

use super::{SqlQuery, bounds::Watch, views};
use crate::{
    Store, Unlock,
    connection::{Aside, open_aside},
    home::Home,
    key,
    tables::SpaceKey,
};

/// What a query works with, but for the guard.
fn unguarded() -> (tempfile::TempDir, Store, Connection, views::Names) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Unlock::KeyFile).unwrap();
    let space: SpaceKey = store
        .write_blocking(|tx| {
            let garden = tx.insert_space(SpaceId([1; 32]), b"SECRET")?;
            tx.set_meta("identity", b"SECRET")?;
            let plants = tx.ensure_collection(garden, "plants")?;
            tx.put_record(plants, "p", Some(r#"{"n":1}"#), b"SECRET")?;
            let kept = tx.ensure_collection(garden, "covey.spaces")?;
            tx.put_record(kept, "s", Some(r#"{"s":"SECRET"}"#), b"SECRET")?;
            Ok::<_, crate::StoreError>(garden)
        })
        .unwrap();
    let home = Home::at(dir.path());
    let key = key::unlock(&home, &Unlock::KeyFile).unwrap();
    let Aside { conn, name } = open_aside(&home.database(), &key).unwrap();
    let query = SqlQuery {
        space,
        hidden_prefix: Some("covey.".into()),
        sql: "SELECT * FROM plants, covey.spaces".into(),
        values: vec![],
        max_rows: 10,
        max_time: Duration::from_secs(10),
    };
    let watch = Watch::new(Duration::from_secs(60));
    super::functions::replace_slow_ones(&conn, 1 << 20, &watch).unwrap();
    let names = views::make(&conn, name, &query, &watch).unwrap();
    (dir, store, conn, names)
}

/// All that comes of a query, as one text.
fn told(conn: &Connection, sql: &str) -> rusqlite::Result<String> {
    let mut stmt = conn.prepare(sql)?;
    let width = stmt.column_count();
    let rows = stmt.query_map([], |row| {
        (0..width).map(|at| Ok(format!("{:?}", row.get_ref(at)?))).collect::<rusqlite::Result<Vec<_>>>()
    })?;
    Ok(format!("{:?}", rows.collect::<rusqlite::Result<Vec<_>>>()?))
}

#[test]
fn without_the_guard_a_query_still_finds_nothing_but_its_views() {
    let (_dir, _store, conn, names) = unguarded();
    let tables = [
        "meta",
        "spaces",
        "logs",
        "entries",
        "membership",
        "held",
        "collections",
        "records",
        "forks",
        "set_aside",
        "sqlite_sequence",
    ];
    for table in tables {
        assert!(names.others.contains(table), "{table}");
        let plain = told(&conn, &format!("SELECT * FROM {table}")).unwrap();
        assert_eq!(plain, "[]", "{table}");
        for of in ["main", "temp", "\"main\""] {
            if let Ok(told) = told(&conn, &format!("SELECT * FROM {of}.{table}")) {
                assert_eq!(told, "[]", "{of}.{table}");
            }
        }
    }
    for sql in [
        "SELECT key, value FROM (SELECT NULL AS key, NULL AS value) a FULL JOIN main.meta USING(key, value)",
        "SELECT key, value FROM (SELECT NULL AS key, NULL AS value) a FULL JOIN meta USING(key, value)",
        "SELECT info FROM (SELECT NULL AS info) a NATURAL FULL JOIN spaces",
        "SELECT doc FROM (SELECT NULL AS doc) a FULL JOIN records USING(doc)",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM main.sqlite_master",
    ] {
        if let Ok(told) = told(&conn, sql) {
            assert!(
                told == "[]" || told == r#"[["Null", "Null"]]"# || told == r#"[["Null"]]"#,
                "{sql}: {told}"
            );
        }
    }
    assert!(told(&conn, "SELECT * FROM plants").unwrap().contains("Text"));
    let all = told(&conn, "SELECT count(*) FROM all_records").unwrap();
    assert_eq!(all, r#"[["Integer(1)"]]"#, "what is Covey's own isn't there");
    assert!(told(&conn, "SELECT * FROM \"covey.spaces\"").is_err());
}

#[test]
fn without_the_guard_a_query_still_changes_nothing() {
    let (_dir, _store, conn, names) = unguarded();
    assert!(conn.is_readonly(names.database.as_str()).unwrap());
    for sql in
        ["DELETE FROM {}.meta", "CREATE TABLE {}.t(x)", "CREATE TEMP TABLE t(x)", "CREATE TABLE main.t(x)"]
    {
        let sql = sql.replace("{}", &names.database);
        let answer = conn.execute(&sql, []);
        assert!(answer.is_err(), "{sql}: {answer:?}");
    }
}

#[test]
fn the_name_of_the_database_is_another_one_for_each_query() {
    let (one, other) = (unguarded().3, unguarded().3);
    assert_ne!(one.database, other.database);
    assert!(one.database.len() == 33 && one.database.chars().all(|c| c.is_ascii_alphanumeric()));
}

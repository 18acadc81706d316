//! Queries see the records of one space and nothing else, change nothing, and end.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::time::{Duration, Instant};

use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use common::{files, log, space, store, write};
use covey_store::{
    SpaceKey, Store, StoreError,
    sql::{MAX_SQL_BYTES, SqlAnswer, SqlError, SqlQuery, SqlValue},
};

/// A store with two spaces, of which the second is nobody's business.
fn garden() -> (tempfile::TempDir, Store, SpaceKey) {
    let (dir, store) = store();
    let key = write(&store, |tx| {
        let garden = tx.insert_space(space(1), b"the keys of the garden")?;
        let other = tx.insert_space(space(2), b"the keys of the other")?;
        tx.set_meta("identity", b"SECRET")?;
        for n in 0..20 {
            let plants = tx.ensure_collection(garden, "plants")?;
            let doc = format!(r#"{{"name":"plant {n}","bed":{},"tags":["green",{n}]}}"#, n % 4);
            tx.put_record(plants, &format!("p{n:02}"), Some(&doc), b"state")?;
        }
        let beds = tx.ensure_collection(garden, "beds")?;
        tx.put_record(beds, "b1", Some(r#"{"n":1,"side":"north"}"#), b"state")?;
        tx.put_record(beds, "gone", None, b"state")?;
        let hidden = tx.ensure_collection(garden, "hidden")?;
        tx.put_record(hidden, "h", Some(r#"{"s":"SECRET"}"#), b"state")?;
        let diary = tx.ensure_collection(other, "diary")?;
        tx.put_record(diary, "d", Some(r#"{"s":"SECRET"}"#), b"state")?;
        let plants = tx.ensure_collection(other, "plants")?;
        tx.put_record(plants, "x", Some(r#"{"s":"SECRET"}"#), b"state")?;
        let log = tx.ensure_log(garden, log(1))?;
        tx.append(log, common::entry(1, 1, b"SECRET"))?;
        Ok(garden)
    });
    (dir, store, key)
}

fn query(space: SpaceKey, sql: &str) -> SqlQuery {
    SqlQuery {
        space,
        hidden_prefix: Some("hidden".into()),
        sql: sql.into(),
        values: vec![],
        max_rows: 1000,
        max_time: Duration::from_secs(5),
    }
}

fn ask(store: &Store, space: SpaceKey, sql: &str) -> Result<SqlAnswer, SqlError> {
    store.sql_blocking(&query(space, sql))
}

/// The rows as one text.
fn rows(store: &Store, space: SpaceKey, sql: &str) -> String {
    let cell = |value: &SqlValue| match value {
        SqlValue::Null => "NULL".to_owned(),
        SqlValue::Integer(number) => number.to_string(),
        SqlValue::Real(number) => format!("{number:?}"),
        SqlValue::Text(text) => text.clone(),
        SqlValue::Blob(bytes) => format!("{bytes:02x?}"),
    };
    let answer = ask(store, space, sql).unwrap_or_else(|err| panic!("{sql}: {err}"));
    let row = |row: &Vec<SqlValue>| row.iter().map(cell).collect::<Vec<_>>().join("|");
    answer.rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_query_reads_records_groups_joins_and_looks_into_documents() {
    let (_dir, store, key) = garden();
    let rows = |sql: &str| rows(&store, key, sql);
    assert_eq!(rows("SELECT count(*) FROM plants"), "20");
    assert_eq!(rows("SELECT id, doc FROM beds"), r#"b1|{"n":1,"side":"north"}"#);
    assert_eq!(
        rows("SELECT doc->>'bed' AS bed, count(*) FROM plants GROUP BY bed HAVING bed > 1 ORDER BY 1"),
        "2|5\n3|5"
    );
    assert_eq!(
        rows(
            "SELECT p.id, b.doc->>'side' FROM Plants p JOIN beds b ON p.doc->>'bed' = b.doc->>'n' ORDER BY 1 LIMIT 1"
        ),
        "p01|north"
    );
    assert_eq!(rows("SELECT DISTINCT collection FROM all_records ORDER BY 1"), "beds\nplants");
    assert_eq!(
        rows("SELECT value FROM plants, json_each(plants.doc, '$.tags') WHERE plants.id = 'p07'"),
        "green\n7"
    );
    assert_eq!(rows("WITH few AS (SELECT id FROM plants LIMIT 3) SELECT count(*) FROM few"), "3");
    assert_eq!(
        rows("WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM n WHERE x<5) SELECT sum(x) FROM n"),
        "15"
    );
    assert_eq!(
        rows("SELECT id, row_number() OVER (ORDER BY id DESC) FROM plants ORDER BY id DESC LIMIT 2"),
        "p19|1\np18|2"
    );
    assert_eq!(rows("SELECT NULL, 1.5, x'00ff', 'a' -- and so on\n;"), "NULL|1.5|[00, ff]|a");
    assert_eq!(rows("SELECT instr('grün und blau', 'blau'), replace('aXbX', 'X', '--')"), "10|a--b--");
    assert_eq!(rows("SELECT instr(NULL, 'x'), instr('x', ''), replace('a', '', 'b')"), "NULL|1|a");
    let mut with_values = query(key, "SELECT id FROM plants WHERE doc->>'name' = ? AND doc->>'bed' = ?");
    with_values.values = vec![SqlValue::Text("plant 5".into()), SqlValue::Integer(1)];
    assert_eq!(store.sql_blocking(&with_values).unwrap().rows, [[SqlValue::Text("p05".into())]]);
    with_values.values.pop();
    assert!(matches!(store.sql_blocking(&with_values), Err(SqlError::Statement(_))));
}

#[test]
fn collections_of_any_name_can_be_asked() {
    let (_dir, store) = store();
    let names =
        ["a \"b\"", "select", "Twice", "twice", "records", "json_each", "sqlite_x", "all_records", "é-😀"];
    let key = write(&store, move |tx| {
        let garden = tx.insert_space(space(1), b"")?;
        for name in names {
            let collection = tx.ensure_collection(garden, name)?;
            tx.put_record(collection, name, Some("{}"), b"")?;
        }
        Ok(garden)
    });
    for name in ["a \"\"b\"\"", "select", "Twice", "records", "json_each", "é-😀"] {
        let id = rows(&store, key, &format!("SELECT id FROM \"{name}\""));
        assert_eq!(id, name.replace("\"\"", "\""));
    }
    assert_eq!(rows(&store, key, "SELECT id FROM all_records WHERE collection = 'twice'"), "twice");
    assert_eq!(rows(&store, key, "SELECT id FROM all_records WHERE collection = 'sqlite_x'"), "sqlite_x");
    assert_eq!(rows(&store, key, "SELECT count(*) FROM all_records"), "9");
}

/// Everything that one could think of to see more, each of which is refused.
const ESCAPES: &[&str] = &[
    "SELECT * FROM main.records",
    "SELECT doc FROM records",
    "SELECT count(*) FROM records",
    "SELECT count(*) FROM main.records",
    "SELECT (SELECT count(*) FROM entries) FROM plants",
    "SELECT 1 FROM collections",
    "SELECT EXISTS (SELECT 1 FROM spaces WHERE 1)",
    "SELECT count(*) FROM pragma_database_list",
    "SELECT count(*) FROM pragma_table_xinfo('meta')",
    "SELECT rowid FROM main.collections",
    "SELECT (SELECT json(doc) FROM main.records LIMIT 1) FROM plants",
    "SELECT * FROM plants WHERE EXISTS (SELECT 1 FROM main.records WHERE collection = 4)",
    // What a query calls a part of itself doesn't make it one of the views.
    "WITH plants AS (SELECT * FROM main.records) SELECT * FROM plants",
    "WITH all_records AS (SELECT json(doc) FROM main.records) SELECT * FROM all_records",
    "SELECT * FROM (SELECT doc FROM main.records) AS plants",
    "SELECT * FROM plants JOIN (SELECT collection, doc FROM main.records) AS all_records",
    "SELECT * FROM spaces",
    "SELECT info FROM main.spaces",
    "SELECT value FROM meta WHERE key = 'identity'",
    "SELECT count(*) FROM meta",
    "SELECT body FROM entries",
    "SELECT * FROM logs",
    "SELECT * FROM membership UNION SELECT * FROM held",
    "SELECT * FROM set_aside",
    "SELECT * FROM sqlite_schema",
    "SELECT count(*) FROM sqlite_schema",
    "SELECT name FROM sqlite_master",
    "SELECT name FROM sqlite_temp_schema",
    "SELECT name FROM temp.sqlite_master",
    "SELECT sql FROM temp.sqlite_temp_schema",
    "SELECT * FROM sqlite_sequence",
    "SELECT * FROM sqlite_stat1",
    "SELECT * FROM dbstat",
    "SELECT count(*) FROM dbstat",
    "SELECT * FROM pragma_table_list",
    "SELECT count(*) FROM pragma_table_list",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM pragma_function_list",
    "SELECT * FROM pragma_module_list",
    "SELECT * FROM pragma_table_info('records')",
    "SELECT * FROM sqlite_stmt",
    "SELECT * FROM bytecode('SELECT 1')",
    "SELECT * FROM fts3tokenize('simple')",
    "PRAGMA table_list",
    "PRAGMA key",
    "PRAGMA cipher_version",
    "PRAGMA query_only = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "ATTACH 'other.db' AS o",
    "ATTACH DATABASE ':memory:' AS o KEY ''",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO '/tmp/covey-copy.db'",
    "SELECT sqlcipher_export('main')",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/x', 'x')",
    "SELECT edit('x')",
    "SELECT sqlite_version()",
    "SELECT sqlite_compileoption_get(1)",
    "SELECT last_insert_rowid(), changes()",
    "INSERT INTO plants VALUES('x', '{}')",
    "INSERT INTO main.records(collection, id, state) VALUES(1, 'x', x'')",
    "UPDATE main.records SET doc = NULL",
    "UPDATE plants SET id = 1 RETURNING id",
    "DELETE FROM main.records RETURNING id",
    "DELETE FROM main.meta",
    "REPLACE INTO main.meta VALUES('a', 'b')",
    "CREATE TABLE t(x)",
    "CREATE TEMP TABLE t(x)",
    "CREATE TEMP TABLE t AS SELECT * FROM main.records",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TEMP VIEW v AS SELECT * FROM main.records",
    "CREATE TEMP TRIGGER t INSTEAD OF INSERT ON plants BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE temp.t USING fts5(x)",
    "CREATE INDEX i ON records(doc)",
    "DROP VIEW plants",
    "DROP TABLE main.meta",
    "ALTER TABLE main.meta RENAME TO m",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "EXPLAIN SELECT * FROM plants",
    "EXPLAIN QUERY PLAN SELECT * FROM plants",
    "SELECT 1; SELECT 2",
    "SELECT 1; DELETE FROM main.records",
    "",
    " ; ",
    "-- nothing",
    "SELECT",
    "nonsense",
    "SELECT * FROM diary",
    "SELECT * FROM hidden",
    "SELECT * FROM temp.diary",
    // Columns that a join has by the same name are read without asking anybody.
    "SELECT key, length(value) FROM (SELECT NULL AS key, NULL AS value) a FULL JOIN main.meta USING(key,value)",
    "SELECT key, value FROM (SELECT NULL AS key, NULL AS value) a FULL JOIN meta USING (key, value)",
    "SELECT key, value FROM (SELECT NULL AS key, NULL AS value) a NATURAL FULL JOIN main.meta",
    "SELECT key, value FROM (SELECT NULL AS key, NULL AS value) a natural full join meta",
    "SELECT info FROM (SELECT NULL AS info) a RIGHT JOIN main.spaces UsInG(info)",
    "SELECT info FROM main.spaces LEFT JOIN (SELECT NULL AS info) a USING(info)",
    "SELECT doc FROM (SELECT NULL AS doc) a FULL JOIN main.records USING(doc)",
    "SELECT doc FROM (SELECT NULL AS doc) a FULL JOIN records b USING(doc)",
    "SELECT body FROM (SELECT NULL AS body) a FULL JOIN main.entries USING(body)",
    "SELECT name FROM (SELECT NULL AS name) a FULL JOIN main.collections USING(name)",
    "SELECT name FROM (SELECT NULL AS name) a FULL JOIN collections USING(name)",
    "SELECT sql FROM (SELECT NULL AS sql) a FULL JOIN sqlite_schema USING(sql)",
    "SELECT sql FROM (SELECT NULL AS sql) a FULL JOIN sqlite_temp_schema USING(sql)",
    "SELECT sql FROM (SELECT NULL AS sql) a NATURAL FULL JOIN temp.sqlite_master",
    "SELECT name, seq FROM (SELECT NULL AS name, NULL AS seq) a FULL JOIN sqlite_sequence USING(name, seq)",
    "SELECT name FROM (SELECT NULL AS name) a FULL JOIN pragma_database_list USING(name)",
    "SELECT value FROM (SELECT NULL AS value) a FULL JOIN main.meta\u{feff}USING\u{feff}(value)",
    "SELECT value FROM (SELECT NULL AS value) a\u{feff}NATURAL\u{feff}FULL JOIN main.meta",
    "SELECT value FROM (SELECT NULL AS value) a FULL JOIN main.meta/**/USING/**/(value)",
    "SELECT value FROM (SELECT NULL AS value) a FULL JOIN main.meta b--\nUSING--\n(value)",
    "SELECT value FROM (SELECT NULL AS value)a FULL JOIN main.meta\"b\"USING(value)",
    "SELECT value FROM (SELECT NULL AS value)a FULL JOIN main.meta'b'USING(value)",
    "SELECT value FROM (SELECT NULL AS value)a FULL JOIN main.meta[b]USING([value])",
    "SELECT value FROM (SELECT NULL AS value)a FULL JOIN main.meta`b`USING(`value`)",
    "SELECT value FROM (SELECT NULL AS value)'a'NATURAL FULL JOIN\"main\".\"meta\"",
    "WITH v(value) AS (SELECT value FROM (SELECT NULL AS value) a FULL JOIN main.meta USING(value)) SELECT * FROM v",
    "SELECT (SELECT max(value) FROM (SELECT NULL AS value) a FULL JOIN main.meta USING(value)) FROM plants",
    "SELECT 1 FROM plants WHERE 'SECRET' IN (SELECT value FROM (SELECT NULL AS value) a NATURAL FULL JOIN meta)",
];

#[test]
fn every_way_out_of_the_space_is_shut() {
    let (dir, store, key) = garden();
    let before = files(dir.path());
    for sql in ESCAPES {
        match ask(&store, key, sql) {
            Err(
                SqlError::Forbidden(_)
                | SqlError::NoQuery
                | SqlError::Several
                | SqlError::Statement(_)
                | SqlError::Run(_),
            ) => {}
            Ok(answer) => panic!("{sql} was answered: {answer:?}"),
            Err(err) => panic!("{sql} broke something: {err:?}"),
        }
    }
    // What was refused has changed nothing: neither the files nor what others read.
    let after = files(dir.path());
    let part = |files: &std::collections::BTreeMap<std::path::PathBuf, (Vec<u8>, u32)>, name: &str| {
        files.get(&dir.path().join(name)).cloned()
    };
    for name in ["covey.db", "covey.db-wal", "key"] {
        assert_eq!(part(&before, name), part(&after, name), "{name}");
    }
    assert_eq!(before.len(), after.len(), "no file was made");
    assert_eq!(rows(&store, key, "SELECT count(*) FROM plants"), "20");
    assert!(!std::path::Path::new("/tmp/covey-copy.db").exists());
}

#[test]
fn no_answer_holds_anything_of_other_spaces_or_of_what_is_hidden() {
    let (_dir, store, key) = garden();
    let all = rows(&store, key, "SELECT * FROM all_records");
    assert!(!all.contains("SECRET") && all.lines().count() == 21, "{all}");
    assert!(!rows(&store, key, "SELECT * FROM plants").contains("SECRET"));
    let odd = "SELECT doc FROM all_records WHERE collection = 'diary' OR 1=1 OR collection IN (4, 5, '4')";
    assert!(!rows(&store, key, odd).contains("SECRET"));
    let mut bare = query(key, "SELECT count(*) FROM all_records");
    bare.hidden_prefix = None;
    let counted = store.sql_blocking(&bare).unwrap().rows;
    assert_eq!(counted, [[SqlValue::Integer(22)]], "hidden only where it's to be");
}

const SOURCES: &[&str] = &[
    "plants",
    "beds",
    "all_records",
    "records",
    "main.records",
    "temp.plants",
    "main.plants",
    "collections",
    "main.collections",
    "meta",
    "main.meta",
    "spaces",
    "entries",
    "sqlite_schema",
    "temp.sqlite_schema",
    "diary",
    "hidden",
    "json_each('[1]')",
    "pragma_table_list",
    "dbstat",
];
const VALUES: &[&str] = &[
    "*",
    "count(*)",
    "doc",
    "id",
    "value",
    "info",
    "json(doc)",
    "hex(doc)",
    "rowid",
    "key",
    "body",
    "1",
    "state",
    "name",
    "group_concat(doc)",
    "x.doc",
    "collection",
];
const NAMES: &[&str] = &["plants", "all_records", "records", "x", "meta", "sqlite_schema", "\"a b\""];

const COLUMNS: &[&str] = &["value", "info", "body", "doc", "state", "name", "sql", "id"];
const JOINS: &[&str] = &[
    "FULL JOIN SOURCE USING(COLUMN)",
    "NATURAL FULL JOIN SOURCE",
    "RIGHT JOIN SOURCE USING (COLUMN)",
    "FULL JOIN SOURCE AS b ON a.COLUMN = b.COLUMN",
    "FULL JOIN SOURCE ON TRUE",
];

/// A query of parts that may be seen and parts that may not.
fn any_query() -> impl Strategy<Value = String> {
    let leaf =
        (select(VALUES), select(SOURCES)).prop_map(|(value, source)| format!("SELECT {value} FROM {source}"));
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (select(NAMES), inner.clone(), inner.clone())
                .prop_map(|(name, part, rest)| format!("WITH {name} AS ({part}) {rest}")),
            (select(VALUES), inner.clone(), select(NAMES))
                .prop_map(|(value, part, name)| format!("SELECT {value} FROM ({part}) AS {name}")),
            (select(SOURCES), inner.clone(), select(NAMES)).prop_map(|(source, part, name)| format!(
                "SELECT * FROM {source} JOIN ({part}) AS {name} LIMIT 50"
            )),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("{one} UNION ALL {two}")),
            (select(COLUMNS), select(SOURCES), select(JOINS)).prop_map(|(column, source, join)| format!(
                "SELECT {column} FROM (SELECT NULL AS {column}) AS a {}",
                join.replace("SOURCE", source).replace("COLUMN", column)
            )),
            (select(SOURCES), inner.clone())
                .prop_map(|(source, part)| format!("SELECT ({part}) FROM {source}")),
            (select(VALUES), select(SOURCES), inner).prop_map(|(value, source, part)| format!(
                "SELECT {value} FROM {source} WHERE EXISTS ({part})"
            )),
        ]
    })
}

#[test]
fn whatever_a_query_is_made_of_it_tells_nothing_of_what_it_may_not_see() {
    let (_dir, store, key) = garden();
    let mut answered = 0;
    let mut runner = TestRunner::new(Config { cases: 1500, failure_persistence: None, ..Config::default() });
    let run = runner.run(&any_query(), |sql| {
        match ask(&store, key, &sql) {
            Ok(answer) => {
                let told = format!("{:?}", answer.rows);
                // As it is, in hexadecimal, or as bytes, which no view has.
                let is_quiet = ["SECRET", "534543524554", "Blob"].iter().all(|word| !told.contains(word));
                prop_assert!(is_quiet, "{} tells {}", sql, told);
                Ok(())
            }
            Err(SqlError::Store(err)) => Err(TestCaseError::fail(format!("{sql} broke something: {err}"))),
            Err(_) => Ok(()),
        }
    });
    run.unwrap();
    // The test would say nothing if all were refused.
    let mut seen = TestRunner::deterministic();
    for _ in 0..1000 {
        let sql = any_query().new_tree(&mut seen).unwrap().current();
        answered += usize::from(ask(&store, key, &sql).is_ok());
    }
    assert!(answered > 10, "{answered} of 1000 were answered");
}

#[test]
fn a_query_without_end_is_ended_by_its_time() {
    let (_dir, store, key) = garden();
    let endless = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n";
    let product = "SELECT count(*) FROM plants a, plants b, plants c, plants d, plants e, plants f, plants g";
    for sql in [endless, product] {
        let mut query = query(key, sql);
        query.max_time = Duration::from_millis(300);
        let started = Instant::now();
        assert!(matches!(store.sql_blocking(&query), Err(SqlError::Time(_))), "{sql}");
        assert!(started.elapsed() < Duration::from_secs(5), "{sql}: {:?}", started.elapsed());
    }
    assert_eq!(rows(&store, key, "SELECT count(*) FROM beds"), "1", "the store goes on");
}

#[test]
fn a_query_ends_before_it_takes_much_memory() {
    let (_dir, store, key) = garden();
    // Time is not what ends them here, however slow the machine.
    let ask =
        |sql: &str| store.sql_blocking(&SqlQuery { max_time: Duration::from_mins(1), ..query(key, sql) });
    let blobs = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM n LIMIT 2000)
                 SELECT hex(randomblob(1000000)) AS h FROM n ORDER BY h";
    assert!(matches!(ask(blobs), Err(SqlError::Memory)));
    // One value has a bound of its own, however it's made.
    for sql in [
        "SELECT length(randomblob(100000000))",
        "SELECT length(hex(zeroblob(5000000)))",
        "SELECT printf('%1000000000d', 1)",
        "SELECT length(replace(printf('%5000000d', 1), ' ', 'twenty bytes or more'))",
        "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM n LIMIT 1000)
         SELECT length(group_concat(printf('%100000d', x))) FROM n",
    ] {
        let answer = ask(sql);
        assert!(matches!(answer, Err(SqlError::Run(_))), "{sql}: {answer:?}");
    }
    let long = "SELECT instr(replace(hex(zeroblob(2000000)), '0', 'a'), replace(hex(zeroblob(1000000)), '0', 'a') || 'b')";
    let started = Instant::now();
    assert_eq!(ask(long).unwrap().rows, [[SqlValue::Integer(0)]]);
    // One pass over both takes a second; a comparison at each of two million places would take hundreds.
    assert!(started.elapsed() < Duration::from_secs(30), "one pass over both: {:?}", started.elapsed());
}

/// Each step of it has every part that WITH names twice.
fn doubled(steps: usize) -> String {
    let step = |n: usize| format!("a{} AS (SELECT x.id FROM a{n} AS x, a{n} AS y)", n + 1);
    let parts = (0..steps).map(step).collect::<Vec<_>>().join(", ");
    format!("WITH a0 AS (SELECT id FROM plants), {parts} SELECT count(*) FROM a{steps}")
}

#[test]
fn parts_that_name_each_other_again_and_again_are_not_copied_without_end() {
    let (_dir, store, key) = garden();
    assert_eq!(rows(&store, key, &doubled(1)), "400");
    for steps in [9, 12, 22] {
        let mut query = query(key, &doubled(steps));
        query.max_time = Duration::from_millis(500);
        let started = Instant::now();
        let answer = store.sql_blocking(&query);
        assert!(answer.is_err(), "{steps} steps: {answer:?}");
        assert!(started.elapsed() < Duration::from_secs(3), "{steps} steps: {:?}", started.elapsed());
    }
}

#[test]
fn a_function_of_long_texts_ends_with_the_time_of_the_query() {
    let (_dir, store, key) = garden();
    for sql in [
        "SELECT length(trim(printf('%.*c',4000000,'a'), printf('%.*c',4000,'b')||'a'))",
        "SELECT length(ltrim(printf('%.*c',4000000,'a'), printf('%.*c',4000,'b')||'a'))",
        "SELECT length(rtrim(printf('%.*c',4000000,'a'), printf('%.*c',4000,'b')||'a'))",
        "SELECT unhex(printf('%.*c',4000000,' '), printf('%.*c',4000,'x')||' ')",
        "SELECT printf('%.*c',4000000,'a') LIKE '%'||printf('%.*c',990,'a')||'b'",
        "SELECT printf('%.*c',4000000,'a') LIKE '%'||printf('%.*c',990,'a')||'b' ESCAPE '!'",
        "SELECT printf('%.*c',4000000,'a') GLOB '*'||printf('%.*c',990,'a')||'b'",
        "SELECT printf('%.*c',4000000,'a') GLOB '*['||printf('%.*c',990,'b')||']'",
    ] {
        let mut query = query(key, sql);
        query.max_time = Duration::from_millis(300);
        let started = Instant::now();
        let answer = store.sql_blocking(&query);
        assert!(matches!(answer, Ok(_) | Err(SqlError::Time(_))), "{sql}: {answer:?}");
        // Without a bound each of these runs for more than half a minute, however fast the machine.
        assert!(started.elapsed() < Duration::from_secs(15), "{sql}: {:?}", started.elapsed());
    }
    for sql in
        ["SELECT json_patch('{}', '{}')", "SELECT jsonb_patch('{}', '{}')", "SELECT json_pretty('{}', 'x')"]
    {
        let answer = ask(&store, key, sql);
        assert!(matches!(answer, Err(SqlError::Forbidden(_))), "{sql}: {answer:?}");
    }
    // Not every build of SQLite has these.
    for sql in ["SELECT median(1)", "SELECT percentile(1, 50)"] {
        let answer = ask(&store, key, sql);
        assert!(matches!(answer, Err(SqlError::Forbidden(_) | SqlError::Statement(_))), "{sql}: {answer:?}");
    }
}

#[test]
fn a_document_that_is_too_long_for_a_query_is_null_and_the_others_are_there() {
    let (_dir, store) = store();
    let key = write(&store, |tx| {
        let garden = tx.insert_space(space(1), b"")?;
        let plants = tx.ensure_collection(garden, "plants")?;
        tx.put_record(plants, "a", Some(r#"{"n":1}"#), b"")?;
        let long = format!(r#"{{"n":2,"text":"{}"}}"#, "x".repeat(9 << 20));
        tx.put_record(plants, "long", Some(&long), b"")?;
        // Short as it's stored, and long as it's written.
        let wide = format!(r#"{{"n":3,"list":[{}]}}"#, vec!["false"; 1 << 20].join(","));
        tx.put_record(plants, "wide", Some(&wide), b"")?;
        let fits = format!(r#"{{"n":4,"text":"{}"}}"#, "x".repeat(3 << 20));
        tx.put_record(plants, "z", Some(&fits), b"")?;
        Ok(garden)
    });
    for view in ["plants", "all_records"] {
        assert_eq!(
            rows(&store, key, &format!("SELECT id, length(doc), doc->>'n' FROM {view} ORDER BY id")),
            format!("a|7|1\nlong|NULL|NULL\nwide|NULL|NULL\nz|{}|4", (3 << 20) + 17)
        );
        assert_eq!(rows(&store, key, &format!("SELECT count(*) FROM {view}")), "4");
    }
}

#[test]
fn so_many_collections_as_a_statement_names_at_most_have_views_the_longest_names_first() {
    let (_dir, store) = store();
    let key = write(&store, |tx| {
        let garden = tx.insert_space(space(1), b"")?;
        for n in 0..100 {
            let collection = tx.ensure_collection(garden, &format!("c{n:02}"))?;
            tx.put_record(collection, "r", Some("{}"), b"")?;
        }
        for name in ["\"", "''", "collection"] {
            let collection = tx.ensure_collection(garden, name)?;
            tx.put_record(collection, "r", Some("{}"), b"")?;
        }
        Ok(garden)
    });
    let names = (0..100).map(|n| format!("c{n:02}")).collect::<Vec<_>>().join(" ");
    let named =
        |name: &str| ask(&store, key, &format!("SELECT id FROM \"{name}\" WHERE '{names}' <> 'collection'"));
    for name in ["collection", "c00", "c62"] {
        assert_eq!(named(name).unwrap().rows.len(), 1, "{name}");
    }
    for name in ["c63", "c99", "\"\"", "''"] {
        let answer = named(name);
        assert!(matches!(answer, Err(SqlError::Statement(_))), "{name}: {answer:?}");
    }
    assert_eq!(rows(&store, key, "SELECT id FROM c99"), "r", "without the others");
    assert_eq!(rows(&store, key, "SELECT count(*) FROM all_records"), "103");
}

#[test]
fn an_answer_is_bounded_and_says_when_there_is_more() {
    let (_dir, store, key) = garden();
    let mut few = query(key, "SELECT id FROM plants ORDER BY id");
    few.max_rows = 7;
    let answer = store.sql_blocking(&few).unwrap();
    assert_eq!((answer.rows.len(), answer.more), (7, true));
    few.max_rows = 20;
    assert!(!store.sql_blocking(&few).unwrap().more);
    let wide = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM n LIMIT 100) SELECT zeroblob(1000000) FROM n";
    let answer = ask(&store, key, wide).unwrap();
    assert!(answer.more && answer.rows.len() == 16, "{}", answer.rows.len());
    let all = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM n) SELECT x FROM n";
    let mut endless = query(key, all);
    endless.max_rows = usize::MAX;
    assert_eq!(store.sql_blocking(&endless).unwrap().rows.len(), 10_000);
}

#[test]
fn a_statement_is_bounded_in_size_and_depth() {
    let (_dir, store, key) = garden();
    let long = format!("SELECT '{}'", "x".repeat(MAX_SQL_BYTES));
    assert!(matches!(ask(&store, key, &long), Err(SqlError::TooLarge { .. })));
    let mut many = query(key, "SELECT 1");
    many.values = vec![SqlValue::Null; 1000];
    assert!(matches!(store.sql_blocking(&many), Err(SqlError::TooLarge { .. })));
    let selects = |n: usize| format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(n - 1));
    assert_eq!(ask(&store, key, &selects(24)).unwrap().rows.len(), 24);
    for sql in [selects(25), selects(500)] {
        let answer = ask(&store, key, &sql);
        assert!(matches!(answer, Err(SqlError::TooLarge { .. })), "{sql:.40}: {answer:?}");
    }
    for sql in [
        format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("SELECT 1{}", "+1".repeat(5000)),
        format!("SELECT {}", vec!["1"; 65].join(",")),
        format!("SELECT max({})", vec!["1"; 17].join(",")),
        format!("SELECT 1 FROM {}", vec!["plants"; 70].join(",")),
        "SELECT 1\0; DELETE FROM main.records".to_owned(),
    ] {
        let answer = ask(&store, key, &sql);
        assert!(matches!(answer, Err(SqlError::Statement(_) | SqlError::Run(_))), "{sql:.40}: {answer:?}");
    }
}

#[test]
fn an_error_says_what_is_wrong() {
    let (_dir, store, key) = garden();
    let said = |sql: &str| ask(&store, key, sql).unwrap_err().to_string();
    assert!(said("SELECT * FROM plans").contains("no such table: plans"), "{}", said("SELECT * FROM plans"));
    assert!(said("SELECT nane FROM plants").contains("no such column: nane"));
    assert!(said("SELECT load_extension('x')").contains("load_extension"));
    assert!(
        said("SELECT value FROM meta").contains("no such column: value"),
        "{}",
        said("SELECT value FROM meta")
    );
    let joined = said("SELECT * FROM plants JOIN beds USING(id)");
    assert!(joined.contains("may not") && joined.contains(" ON "), "{joined}");
    assert!(said("SELECT doc FROM plants WHERE").contains("incomplete input"));
    assert!(said("SELECT json_extract(doc, 'no path') FROM plants").contains("path"));
    assert!(said("DELETE FROM plants").contains("cannot modify plants because it is a view"));
    assert!(said("ATTACH 'x' AS y").contains("not authorized"), "{}", said("ATTACH 'x' AS y"));
    assert!(said("EXPLAIN SELECT 1").contains("one SELECT is needed"));
}

#[test]
fn a_query_that_runs_does_not_hold_up_the_end_of_the_store() {
    let (_dir, store, key) = garden();
    let asked = store.clone();
    let asking = std::thread::spawn(move || {
        let endless = "WITH RECURSIVE n(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM n) SELECT count(*) FROM n";
        let mut query = query(key, endless);
        query.max_time = Duration::from_secs(10);
        asked.sql_blocking(&query)
    });
    std::thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    store.close().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(asking.join().unwrap(), Err(SqlError::Store(StoreError::Closed))));
}

//! A store that an earlier version has written still opens, with everything in it.
//!
//! `tests/fixtures/vN` holds a store of schema version N. When the schema changes, make the next one:
//! `cargo test -p covey-store --test fixtures -- --ignored`

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use common::{copy_home, entry, hash, log, open, space, write};
use covey_store::SCHEMA_VERSION;

fn fixture(version: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{version}"))
}

#[test]
#[ignore = "writes the fixture of the current version"]
fn make_the_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, |tx| {
        tx.set_meta("name", b"ada")?;
        let space = tx.insert_space(space(1), b"garden")?;
        let log = tx.ensure_log(space, log(1))?;
        tx.append(log, entry(1, 1, b"founding"))?;
        tx.append(log, entry(1, 2, b"beans"))?;
        tx.add_membership(space, hash(1, 1), log, 1)?;
        tx.hold(log, 2, 4, 1234)?;
        let plants = tx.ensure_collection(space, "plants")?;
        tx.put_record(plants, "bean", Some(r#"{"n":1}"#), b"s1")?;
        tx.put_record(plants, "pea", None, b"s2")?;
        tx.put_record(plants, "bean", Some(r#"{"n":2}"#), b"s3")
    });
    store.close().unwrap();
    assert!(!fixture(SCHEMA_VERSION).exists(), "a fixture is never written over");
    copy_home(dir.path(), &fixture(SCHEMA_VERSION));
}

#[test]
fn a_store_of_every_earlier_version_opens_with_everything_in_it() {
    for version in 1..=SCHEMA_VERSION {
        let dir = tempfile::tempdir().unwrap();
        copy_home(&fixture(version), dir.path());
        // Git keeps no such modes.
        fs::set_permissions(dir.path().join("key"), fs::Permissions::from_mode(0o600)).unwrap();
        let store = open(dir.path());
        store
            .read_blocking(|r| {
                assert_eq!(r.meta("name")?.unwrap(), b"ada");
                let garden = r.spaces()?.remove(0);
                assert_eq!((garden.id, &garden.info[..]), (space(1), &b"garden"[..]));
                let row = r.logs(garden.key)?[0];
                assert_eq!((row.id, row.head.seq, row.head.hash), (log(1), 2, hash(1, 2)));
                assert_eq!(r.entry(row.key, 2)?.unwrap().body, b"beans");
                assert_eq!(r.membership(garden.key)?[0].1.body, b"founding");
                let held = r.held(garden.key)?[0];
                assert_eq!((held.log, held.seq, held.reason, held.until_ms), (row.key, 2, 4, 1234));
                assert_eq!(r.collections(garden.key)?[0].live, 1);
                let feed = r.changes(garden.key, None, 0, 9)?;
                let feed: Vec<_> = feed.iter().map(|c| (c.position, &c.id[..], c.doc.as_deref())).collect();
                assert_eq!(feed, [(2, "pea", None), (3, "bean", Some(r#"{"n":2}"#))]);
                Ok(())
            })
            .unwrap();
        assert_eq!(store.integrity_check_blocking().unwrap(), Vec::<String>::new());
    }
}

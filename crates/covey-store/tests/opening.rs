//! What can't be opened says why and stays as it was, byte by byte.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use common::{again, child_home, copy_home, entry, files, log, open, passphrase, raw, space, store, write};
use covey_store::{OpenError, SCHEMA_VERSION, Store, StoreError, Unlock, exists, needs_passphrase};
use tempfile::TempDir;

/// A home with something in it. `wal`: as it is after a crash, with changes in the write-ahead log only.
fn home(unlock: &Unlock, wal: bool) -> TempDir {
    let (dir, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(dir.path(), unlock.clone()).unwrap();
    write(&store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        let log = tx.ensure_log(space, log(1))?;
        (1..=200).try_for_each(|seq| tx.append(log, entry(1, seq, &[seq as u8; 500])))
    });
    copy_home(dir.path(), crashed.path());
    store.close().unwrap();
    if wal {
        // Neither is there after a crash: the index is the system's memory, the lock is let go.
        fs::remove_file(crashed.path().join("covey.db-shm")).unwrap();
        fs::write(crashed.path().join("lock"), "").unwrap();
        crashed
    } else {
        dir
    }
}

fn refused(home: &Path, unlock: Unlock) -> OpenError {
    let before = files(home);
    let err = Store::open(home, unlock).expect_err("it must not open");
    assert_eq!(files(home).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(files(home) == before, "opening in vain has changed a file");
    err
}

#[test]
fn a_new_home_is_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a/b");
    assert!(!exists(&home) && !needs_passphrase(&home));
    let _store = open(&home);
    assert!(exists(&home) && !needs_passphrase(&home));
    assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    for (path, (_, mode)) in files(&home) {
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    assert_eq!(fs::read(home.join("key")).unwrap().len(), 32);
    let database = fs::read(home.join("covey.db")).unwrap();
    assert!(!database.starts_with(b"SQLite format 3"), "it is encrypted");
}

#[test]
fn a_wrong_key_changes_nothing() {
    for wal in [false, true] {
        let home = home(&Unlock::KeyFile, wal);
        let right = fs::read(home.path().join("key")).unwrap();
        fs::write(home.path().join("key"), [1; 32]).unwrap();
        assert!(matches!(refused(home.path(), Unlock::KeyFile), OpenError::WrongKey { .. }));
        fs::write(home.path().join("key"), right).unwrap();
        assert_eq!(open(home.path()).integrity_check_blocking().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_wrong_passphrase_changes_nothing() {
    let home = home(&passphrase("correct horse"), true);
    assert!(needs_passphrase(home.path()) && !home.path().join("key").exists());
    let wrong = refused(home.path(), passphrase("battery staple"));
    assert!(matches!(wrong, OpenError::WrongPassphrase { .. }), "{wrong:?}");
    assert!(matches!(refused(home.path(), Unlock::KeyFile), OpenError::PassphraseNeeded { .. }));
    let store = Store::open(home.path(), passphrase("correct horse")).unwrap();
    assert_eq!(store.read_blocking(|r| Ok(r.logs(r.spaces()?[0].key)?[0].head.seq)).unwrap(), 200);
}

#[test]
fn a_store_with_a_key_file_takes_no_passphrase_and_a_new_one_no_empty_one() {
    let made = home(&Unlock::KeyFile, false);
    assert!(matches!(refused(made.path(), passphrase("x")), OpenError::KeyFileNeeded { .. }));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open(empty.path(), passphrase("")), Err(OpenError::EmptyPassphrase)));
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_remedy() {
    let home = home(&Unlock::KeyFile, false);
    let key = home.path().join("key");
    for mode in [0o640, 0o604, 0o644] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let err = refused(home.path(), Unlock::KeyFile);
        assert!(matches!(err, OpenError::KeyExposed { mode: found, .. } if found == mode));
        assert!(err.to_string().contains("chmod 600"), "{err}");
    }
}

#[test]
fn key_material_that_is_missing_or_damaged_is_named() {
    for (file, bytes) in [
        ("key", None),
        ("key.json", None),
        ("key", Some(&b"short"[..])),
        ("key", Some(&[0; 33])),
        ("key.json", Some(b"{")),
        ("key.json", Some(br#"{"version":9,"unlock":"key-file","check":""}"#)),
    ] {
        let home = home(&Unlock::KeyFile, false);
        let path = home.path().join(file);
        bytes.map_or_else(|| fs::remove_file(&path), |bytes| fs::write(&path, bytes)).unwrap();
        let named = match refused(home.path(), Unlock::KeyFile) {
            OpenError::KeyMissing { path } => (path, true),
            OpenError::KeyDamaged { path, .. } => (path, false),
            other => panic!("{other:?}"),
        };
        assert_eq!(named, (fs::canonicalize(home.path()).unwrap().join(file), bytes.is_none()));
    }
}

#[test]
fn absurd_costs_in_a_changed_file_are_refused() {
    let home = home(&passphrase("x"), false);
    let path = home.path().join("key.json");
    let text = fs::read_to_string(&path).unwrap().replace("65536", "4294967295");
    fs::write(&path, text).unwrap();
    assert!(matches!(refused(home.path(), passphrase("x")), OpenError::KeyDamaged { .. }));
}

fn damage(home: &Path, at: usize) {
    let path = home.join("covey.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_header_is_found_out_before_anything_is_changed() {
    for at in [0, 20, 1000] {
        let home = home(&Unlock::KeyFile, false);
        damage(home.path(), at);
        let err = refused(home.path(), Unlock::KeyFile);
        assert!(matches!(err, OpenError::Corrupt { .. }), "{err:?}");
    }
}

#[test]
fn a_truncated_database_is_found_out_before_anything_is_changed() {
    for keep in [0, 100, 4096, 5000, 40_960] {
        let home = home(&Unlock::KeyFile, false);
        let path = home.path().join("covey.db");
        assert!(fs::metadata(&path).unwrap().len() > keep);
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap();
        let err = refused(home.path(), Unlock::KeyFile);
        assert!(matches!(err, OpenError::Corrupt { .. }), "{keep}: {err:?}");
    }
}

#[test]
fn a_write_ahead_log_without_its_database_is_not_written_over() {
    let home = home(&Unlock::KeyFile, true);
    fs::remove_file(home.path().join("covey.db")).unwrap();
    assert!(matches!(refused(home.path(), Unlock::KeyFile), OpenError::Corrupt { .. }));
}

#[test]
fn a_damaged_page_is_an_error_where_it_is_read_and_the_rest_stays_readable() {
    let home = home(&Unlock::KeyFile, false);
    let pages = fs::metadata(home.path().join("covey.db")).unwrap().len() as usize / 4096;
    damage(home.path(), (pages - 2) * 4096 + 9);
    let store = open(home.path());
    let all = store.read_blocking(|r| {
        let log = r.logs(r.spaces()?[0].key)?[0].key;
        r.entries(log, 1, usize::MAX, usize::MAX)
    });
    assert!(matches!(all, Err(StoreError::Corrupt { .. })), "{all:?}");
    assert!(!store.integrity_check_blocking().unwrap().is_empty());
    assert_eq!(store.read_blocking(|r| Ok(r.spaces()?.len())).unwrap(), 1);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (home, crashed) = (home(&Unlock::KeyFile, false), tempfile::tempdir().unwrap());
    let conn = raw(home.path());
    conn.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    copy_home(home.path(), crashed.path());
    fs::remove_file(crashed.path().join("covey.db-shm")).unwrap();
    assert!(fs::metadata(crashed.path().join("covey.db-wal")).unwrap().len() > 0);
    conn.close().unwrap();
    for home in [home.path(), crashed.path()] {
        let err = refused(home, Unlock::KeyFile);
        assert!(matches!(err, OpenError::NewerSchema { found, known, .. } if found == known + 1), "{err:?}");
    }
}

#[test]
fn making_a_store_that_was_interrupted_is_begun_again() {
    let (dir, made) = store();
    made.close().unwrap();
    let key = fs::read(dir.path().join("key")).unwrap();
    fs::rename(dir.path().join("covey.db"), dir.path().join("covey.db.new")).unwrap();
    fs::write(dir.path().join("covey.db.new-wal"), "left over").unwrap();
    assert!(!exists(dir.path()));
    let store = open(dir.path());
    write(&store, |tx| tx.set_meta("name", b"ada"));
    store.close().unwrap();
    assert_eq!(fs::read(dir.path().join("key")).unwrap(), key);
    assert_eq!(open(dir.path()).read_blocking(|r| r.meta("name")).unwrap(), Some(b"ada".to_vec()));
    assert!(!dir.path().join("covey.db.new").exists());
}

#[test]
fn a_home_that_cannot_be_written_to_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for home in [file.join("home"), file, "/proc/covey".into()] {
        let err = Store::open(&home, Unlock::KeyFile).expect_err("it must not open");
        assert!(matches!(err, OpenError::Home { .. }), "{err:?}");
        assert!(err.to_string().contains(home.to_str().unwrap()), "{err}");
    }
}

#[test]
fn a_second_process_is_refused_and_told_who_has_it() {
    if let Some(home) = child_home() {
        let _store = open(&home);
        println!("\nopened");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        return;
    }
    let home = home(&Unlock::KeyFile, false);
    let mut child = again("a_second_process_is_refused_and_told_who_has_it", home.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while lines.next().unwrap().unwrap() != "opened" {}
    let before = files(home.path());
    let err = Store::open(home.path(), Unlock::KeyFile).expect_err("it must not open");
    assert!(matches!(err, OpenError::InUse { pid: Some(pid), .. } if pid == child.id()), "{err:?}");
    assert!(files(home.path()) == before);
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    open(home.path());
}

#[test]
fn one_process_cannot_open_a_home_twice_either() {
    let (dir, _store) = store();
    let err = Store::open(dir.path(), Unlock::KeyFile).expect_err("it must not open");
    assert!(matches!(err, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()));
}

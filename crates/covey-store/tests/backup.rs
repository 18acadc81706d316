//! Backups: what is in one comes back, nobody else reads it, and what goes wrong leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use std::{
    fs,
    ops::ControlFlow,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use common::{CHILD, child_home, entry, files, log, open, passphrase, space, store, try_write, write};
use covey_store::{
    LogKey, OpenError, Store, Unlock,
    backup::{BackupError, Contents, Progress, RestoreError, Stage, restore},
};
use tempfile::TempDir;

const WORDS: &str = "correct horse";

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn back_up(store: &Store, to: &Path) -> Result<Contents, BackupError> {
    store.backup_blocking(to, WORDS, &mut go_on)
}

fn restored(from: &Path, words: &str, home: &Path) -> Result<Contents, RestoreError> {
    restore(from, words, home, &Unlock::KeyFile, |_| Ok(()), &mut go_on)
}

/// A store with one log and as many entries and records as asked for.
fn filled(entries: u64) -> (TempDir, Store, LogKey) {
    let (dir, store) = store();
    let log = write(&store, move |tx| {
        let garden = tx.insert_space(space(1), b"info")?;
        let key = tx.ensure_log(garden, log(1))?;
        let plants = tx.ensure_collection(garden, "plants")?;
        for seq in 1..=entries {
            tx.append(key, entry(1, seq, &[9; 2000]))?;
            tx.put_record(plants, &seq.to_string(), Some("{}"), b"")?;
        }
        Ok(key)
    });
    (dir, store, log)
}

/// A backup in a folder of its own.
fn backup_of(entries: u64) -> (TempDir, PathBuf) {
    let (_home, store, _) = filled(entries);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("garden.backup");
    back_up(&store, &file).unwrap();
    (dir, file)
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|found| found.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn what_was_backed_up_comes_back_with_another_key() {
    let (home, store, log) = filled(300);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("garden.backup");
    let made = back_up(&store, &file).unwrap();
    assert_eq!((made.spaces, made.entries, made.records), (1, 300, 300));
    assert_eq!(fs::metadata(&file).unwrap().len(), made.bytes);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(dir.path()), ["garden.backup"], "and nothing beside it");

    let new = dir.path().join("new");
    assert_eq!(restored(&file, WORDS, &new).unwrap(), made);
    assert_ne!(fs::read(new.join("key")).unwrap(), fs::read(home.path().join("key")).unwrap());
    let again = open(&new);
    assert_eq!(again.integrity_check_blocking().unwrap(), [""; 0]);
    let look = move |store: &Store| {
        store
            .read_blocking(|r| Ok((r.spaces()?, r.entries(log, 1, usize::MAX, 1000)?, r.position()?)))
            .unwrap()
    };
    assert_eq!(look(&again), look(&store));
    write(&again, move |tx| tx.append(log, entry(1, 301, b"goes on")));
}

#[test]
fn a_backup_is_of_one_moment_however_much_is_written_meanwhile() {
    let (dir, store, log) = filled(2000);
    let file = dir.path().join("b");
    let stop = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        scope.spawn(|| {
            for seq in 2001.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                write(&store, move |tx| tx.append(log, entry(1, seq, &[3; 1000])));
            }
        });
        let made = back_up(&store, &file);
        stop.store(true, Ordering::Relaxed);
        made.unwrap()
    });
    let new = dir.path().join("new");
    assert_eq!(restored(&file, WORDS, &new).unwrap(), made);
    let head = open(&new).read_blocking(|r| r.head(log)).unwrap().seq;
    assert_eq!(head, made.entries, "log and entries agree");
    assert!(store.read_blocking(|r| r.head(log)).unwrap().seq > head, "something was written meanwhile");
}

#[test]
fn nothing_in_a_backup_can_be_read_without_its_passphrase() {
    let (dir, store, log) = filled(3);
    write(&store, move |tx| tx.append(log, entry(1, 4, &b"a secret body ".repeat(100))));
    let file = dir.path().join("b");
    back_up(&store, &file).unwrap();
    let bytes = fs::read(&file).unwrap();
    for plain in [&b"SQLite format"[..], b"a secret body", b"CREATE TABLE", WORDS.as_bytes()] {
        assert!(!bytes.windows(plain.len()).any(|window| window == plain), "{plain:?}");
    }
    let key = fs::read(dir.path().join("key")).unwrap();
    assert!(!bytes.windows(32).any(|window| window == key), "the store's own key");
    // Two backups of the same have nothing in common but their first bytes.
    let other = dir.path().join("c");
    back_up(&store, &other).unwrap();
    let other = fs::read(other).unwrap();
    assert_eq!(bytes[..16], other[..16]);
    assert_ne!(bytes[16..48], other[16..48]);

    let new = dir.path().join("new");
    let refused = restored(&file, "incorrect horse", &new);
    assert!(matches!(refused, Err(RestoreError::WrongPassphrase { .. })), "{refused:?}");
    assert!(!new.exists());
    let empty = store.backup_blocking(&dir.path().join("d"), "", &mut go_on);
    assert!(matches!(empty, Err(BackupError::EmptyPassphrase)));
}

#[test]
fn a_file_that_was_cut_or_changed_anywhere_is_refused_and_leaves_no_home() {
    let (dir, file) = backup_of(20);
    let good = fs::read(&file).unwrap();
    let (bad, new) = (dir.path().join("bad"), dir.path().join("new"));
    let refused = |bytes: &[u8]| {
        fs::write(&bad, bytes).unwrap();
        let refused = restored(&bad, WORDS, &new).unwrap_err();
        assert!(!new.exists());
        refused
    };
    for len in [15, 16, 100, 5000, good.len() - 128, good.len() - 1] {
        let err = refused(&good[..len]);
        assert!(matches!(err, RestoreError::CutOff { .. }), "cut to {len}: {err}");
    }
    // A page that was changed, or all of one that was cut out of the middle, and bytes of the seal.
    for at in [20, 9000, good.len() - 129, good.len() - 75, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        let err = refused(&bytes);
        assert!(matches!(err, RestoreError::Damaged { .. } | RestoreError::CutOff { .. }), "at {at}: {err}");
    }
    let without_a_page = [&good[..4096], &good[8192..]].concat();
    assert!(matches!(refused(&without_a_page), RestoreError::CutOff { .. }));
    for foreign in [&b""[..], b"{}", b"SQLite format 3\0 and so on"] {
        assert!(matches!(refused(foreign), RestoreError::NotABackup { .. }));
    }
    let mut newer = good.clone();
    newer[14] = b'2';
    let err = refused(&newer);
    assert!(err.to_string().contains("newer version"), "{err}");
    assert!(matches!(restored(dir.path(), WORDS, &new), Err(RestoreError::NotABackup { .. })));
    assert!(matches!(restored(&dir.path().join("none"), WORDS, &new), Err(RestoreError::File { .. })));
    restored(&file, WORDS, &new).unwrap();
}

#[test]
fn neither_a_file_nor_a_home_is_ever_replaced() {
    let (home, store, _) = filled(3);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b");
    fs::write(&file, "mine").unwrap();
    assert!(matches!(back_up(&store, &file), Err(BackupError::Exists { .. })));
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    fs::remove_file(&file).unwrap();
    back_up(&store, &file).unwrap();
    store.close().unwrap();
    let before = files(home.path());
    assert!(matches!(restored(&file, WORDS, home.path()), Err(RestoreError::NotEmpty { .. })));
    assert_eq!(files(home.path()), before);
    // What an interrupted restore left behind, and settings, are no obstacle.
    let new = dir.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::write(new.join("covey.db.new"), "half").unwrap();
    fs::write(new.join("config.toml"), "").unwrap();
    restored(&file, WORDS, &new).unwrap();
    assert!(new.join("config.toml").exists());
    open(&new);
}

#[test]
fn a_restore_whose_preparation_fails_or_that_is_stopped_leaves_no_home() {
    let (dir, file) = backup_of(20);
    let new = dir.path().join("new");
    let prepare = |tx: &mut covey_store::Tx<'_>| tx.insert_space(space(1), b"").map(drop);
    let failed = restore(&file, WORDS, &new, &Unlock::KeyFile, prepare, &mut go_on);
    assert!(matches!(failed, Err(RestoreError::Store(_))), "{failed:?}");
    assert!(!new.exists());
    for stage in [Stage::Checking, Stage::Copying] {
        let (_dir, file) = backup_of(2000);
        let mut stop = |progress: Progress| {
            if progress.stage == stage { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let stopped = restore(&file, WORDS, &new, &Unlock::KeyFile, |_| Ok(()), &mut stop);
        assert!(matches!(stopped, Err(RestoreError::Stopped)), "{stopped:?}");
        assert!(!new.exists());
    }
    let locked = passphrase("another");
    restore(&file, WORDS, &new, &locked, |_| Ok(()), &mut go_on).unwrap();
    assert!(matches!(Store::open(&new, Unlock::KeyFile), Err(OpenError::PassphraseNeeded { .. })));
    Store::open(&new, locked).unwrap();
}

#[test]
fn a_backup_tells_how_far_it_is_in_numbers_that_grow() {
    let (dir, store, _) = filled(2000);
    let mut told = Vec::new();
    let mut watch = |progress: Progress| {
        told.push(progress);
        ControlFlow::Continue(())
    };
    store.backup_blocking(&dir.path().join("b"), WORDS, &mut watch).unwrap();
    let begun = told.iter().position(|progress| progress.stage == Stage::Checking).unwrap();
    let (copying, checking) = told.split_at(begun);
    for stage in [copying, checking] {
        let first = stage[0];
        assert!(stage.iter().all(|told| (told.stage, told.total_bytes) == (first.stage, first.total_bytes)));
        assert!(stage.is_sorted_by_key(|told| told.done_bytes), "{stage:?}");
        let last = stage.last().unwrap();
        assert!(stage.len() > 2 && first.done_bytes < last.done_bytes, "{stage:?}");
        assert!(last.done_bytes <= last.total_bytes && 2 * last.done_bytes > last.total_bytes, "{stage:?}");
    }
}

#[test]
fn a_backup_that_is_stopped_or_can_not_be_written_leaves_no_file() {
    let (dir, store, _) = filled(2000);
    for stage in [Stage::Copying, Stage::Checking] {
        let mut stop = |progress: Progress| {
            if progress.stage == stage { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let folder = dir.path().join(format!("{stage:?}"));
        fs::create_dir(&folder).unwrap();
        let stopped = store.backup_blocking(&folder.join("b"), WORDS, &mut stop);
        assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
        assert_eq!(names(&folder), [""; 0]);
    }
    let nowhere = back_up(&store, &dir.path().join("no/such/folder"));
    assert!(matches!(nowhere, Err(BackupError::File { .. })), "{nowhere:?}");
    assert!(matches!(
        back_up(&store, Path::new("/")),
        Err(BackupError::NoName { .. } | BackupError::Exists { .. })
    ));
}

#[test]
fn a_disk_that_fills_up_is_told_of_and_left_as_it_was() {
    if let Some(disk) = child_home() {
        return fill(&disk);
    }
    let dir = tempfile::tempdir().unwrap();
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-c", r#"mount -t tmpfs -o size=1m none "$0" || exit 77; exec "$@""#])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_disk_that_fills_up_is_told_of_and_left_as_it_was", "--nocapture"])
        .env(CHILD, dir.path())
        .output();
    match done {
        Ok(done) if done.status.success() => {
            assert!(String::from_utf8_lossy(&done.stdout).contains("filled twice"));
        }
        Ok(done) if done.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        other => eprintln!("SKIPPED: no mount namespace to make a small disk in ({other:?})"),
    }
}

fn fill(disk: &Path) {
    let (dir, store, log) = filled(2000);
    let full = back_up(&store, &disk.join("b"));
    assert!(matches!(full, Err(BackupError::DiskFull { .. })), "{full:?}");
    assert_eq!(names(disk), [""; 0]);
    let file = dir.path().join("b");
    back_up(&store, &file).unwrap();
    let full = restored(&file, WORDS, &disk.join("home"));
    assert!(matches!(full, Err(RestoreError::DiskFull { .. })), "{full:?}");
    assert_eq!(names(disk), [""; 0]);
    try_write(&store, move |tx| tx.append(log, entry(1, 2001, b"as if nothing had been"))).unwrap();
    println!("filled twice");
}

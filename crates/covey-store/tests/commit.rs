//! What is acknowledged is committed; what failed left no trace; the writer goes on.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use std::{
    fs,
    process::Command,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use common::{CHILD, child_home, entry, files, log, open, raw, space, store, try_write, write};
use covey_store::{CollectionKey, LogKey, SpaceKey, Store, StoreError, WriteError};

fn one_log(store: &Store) -> (SpaceKey, LogKey, CollectionKey) {
    write(store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        Ok((space, tx.ensure_log(space, log(1))?, tx.ensure_collection(space, "plants")?))
    })
}

#[tokio::test]
async fn an_answer_comes_after_the_commit_and_commits_are_shared() {
    let (dir, store) = store();
    let other = raw(dir.path());
    let committed = |name: &str| -> bool {
        other.query_row("SELECT count(*) FROM meta WHERE key = ?1", [name], |row| row.get(0)).unwrap()
    };
    let mut shared = 0;
    for round in 0..10 {
        let (gate, opens): (Sender<()>, Receiver<()>) = channel();
        let (ran, second_runs) = channel();
        let (held, is_held) = channel();
        let (release, released): (Sender<()>, Receiver<()>) = channel();
        let (name, store_2) = (format!("{round}"), store.clone());
        // The writer is busy while the two come: they wait for it together.
        let before = tokio::spawn({
            let store = store.clone();
            let hold = move |_: &mut covey_store::Tx<'_>| -> common::Result<()> {
                held.send(()).unwrap();
                released.recv().unwrap();
                Ok(())
            };
            async move { store.write(hold).await }
        });
        tokio::task::yield_now().await;
        is_held.recv().unwrap();
        let first = tokio::spawn({
            let (name, store) = (name.clone(), store.clone());
            async move { store.write(move |tx| tx.set_meta(&name, b"")).await }
        });
        let second = tokio::spawn(async move {
            let wait = move |_: &mut covey_store::Tx<'_>| -> common::Result<()> {
                ran.send(()).unwrap();
                opens.recv().unwrap();
                Ok(())
            };
            store_2.write(wait).await
        });
        // Both tasks queue their change before this one goes on, for they share its thread.
        tokio::task::yield_now().await;
        release.send(()).unwrap();
        second_runs.recv().unwrap();
        tokio::task::yield_now().await;
        assert_eq!(first.is_finished(), committed(&name), "answered if, and only if, committed");
        shared += u32::from(!first.is_finished());
        gate.send(()).unwrap();
        before.await.unwrap().unwrap();
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        assert!(committed(&name));
    }
    assert!(shared > 0, "not one of ten pairs shared a commit");
}

#[test]
fn a_change_that_is_refused_takes_nobody_with_it() {
    let (_dir, store) = store();
    let (space, log, plants) = one_log(&store);
    let writers: Vec<_> = (0..40u64)
        .map(|n| {
            let store = store.clone();
            thread::spawn(move || {
                let done = try_write(&store, move |tx| {
                    let next = tx.head(log)?.seq + 1;
                    tx.append(log, entry(1, next, b""))?;
                    let extra = tx.ensure_collection(space, &format!("made by {n}"))?;
                    tx.put_record(extra, "x", Some("{}"), b"")?;
                    tx.put_record(plants, &n.to_string(), Some("{}"), b"")?;
                    if n % 2 == 0 { Err(StoreError::Closed) } else { Ok(()) }
                });
                assert_eq!(done.is_ok(), n % 2 == 1);
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    store
        .read_blocking(|r| {
            assert_eq!(r.head(log)?.seq, 20);
            assert_eq!(r.entries(log, 1, usize::MAX, 99)?.len(), 20);
            let collections = r.collections(space)?;
            assert_eq!(collections.len(), 21);
            assert_eq!(collections.iter().map(|c| c.live).sum::<u64>(), 40);
            assert_eq!(r.position()?, 40, "positions of undone changes are given again");
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_part_of_a_change_that_fails_leaves_no_trace_and_the_rest_is_kept() {
    let (_dir, store) = store();
    let (space, log, plants) = one_log(&store);
    for panics in [false, true] {
        let name = if panics { "panicked" } else { "failed" };
        write(&store, move |tx| {
            let before = tx.head(log)?.seq;
            tx.append(log, entry(1, before + 1, b""))?;
            tx.put_record(plants, name, Some("{}"), b"")?;
            let part = |tx: &mut covey_store::Tx<'_>| -> common::Result<()> {
                tx.append(log, entry(1, before + 2, b""))?;
                let extra = tx.ensure_collection(space, "extra")?;
                tx.put_record(extra, "x", Some("{}"), b"")?;
                assert!(!panics, "on purpose");
                Err(StoreError::Closed)
            };
            let part = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tx.attempt(part)));
            assert!(part.map_or(panics, |done| !panics && done.is_err()));
            assert_eq!(tx.head(log)?.seq, before + 1, "what follows reads as if the part had never been");
            tx.append(log, entry(1, before + 2, b""))
        });
    }
    store
        .read_blocking(|r| {
            assert_eq!(r.head(log)?.seq, 4);
            let collections = r.collections(space)?;
            assert_eq!(collections.iter().map(|c| (&*c.name, c.live)).collect::<Vec<_>>(), [("plants", 2)]);
            assert_eq!(r.position()?, 2, "positions of what was undone are given again");
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_panic_in_a_closure_is_an_error_and_nothing_more() {
    let (_dir, store) = store();
    let (_, log, plants) = one_log(&store);
    let panicked = try_write(&store, move |tx| {
        tx.append(log, entry(1, 1, b""))?;
        tx.put_record(plants, "x", Some("{}"), b"")?;
        assert!(log > log, "on purpose");
        Ok(())
    });
    let Err(WriteError::Panicked { message }) = panicked else { panic!("{panicked:?}") };
    assert_eq!(message, "on purpose");
    let looked: Result<(), _> = store.read_blocking(|_| panic!("on purpose"));
    assert!(matches!(looked, Err(StoreError::Panicked { message }) if message == "on purpose"));
    write(&store, move |tx| tx.append(log, entry(1, 1, b"")));
    assert_eq!(store.read_blocking(|r| Ok((r.head(log)?.seq, r.position()?))).unwrap(), (1, 0));
}

#[test]
fn a_reader_sees_one_moment() {
    let (_dir, store) = store();
    let (_, log, _) = one_log(&store);
    store
        .read_blocking(|r| {
            assert_eq!(r.head(log)?.seq, 0);
            write(&store, move |tx| tx.append(log, entry(1, 1, b"")));
            assert_eq!(r.head(log)?.seq, 0);
            Ok(())
        })
        .unwrap();
    assert_eq!(store.read_blocking(|r| r.head(log)).unwrap().seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_readers_than_connections_all_get_their_turn() {
    let (_dir, store) = store();
    store.write(|tx| tx.set_meta("name", b"ada")).await.unwrap();
    let reads: Vec<_> = (0..64)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.read(|r| r.meta("name")).await.unwrap() })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.unwrap(), Some(b"ada".to_vec()));
    }
}

#[tokio::test]
async fn every_new_position_is_announced_once_it_can_be_read() {
    let (_dir, store) = store();
    let mut positions = store.position_watch();
    assert_eq!(*positions.borrow_and_update(), 0);
    let writing = store.write(|tx| -> common::Result<u64> {
        let space = tx.insert_space(space(1), b"")?;
        let plants = tx.ensure_collection(space, "plants")?;
        tx.put_record(plants, "a", Some("{}"), b"")?;
        tx.put_record(plants, "b", Some("{}"), b"")
    });
    let (written, announced) = tokio::join!(writing, positions.changed());
    announced.unwrap();
    assert_eq!((written.unwrap(), *positions.borrow()), (2, 2));
    assert_eq!(store.read(|r| r.position()).await.unwrap(), 2);
}

#[tokio::test]
async fn closing_finishes_what_is_queued_and_releases_the_home() {
    let (dir, store) = store();
    let handle = store.clone();
    let queued: Vec<_> = (0..20)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.write(move |tx| tx.set_meta(&n.to_string(), b"")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    store.close().unwrap();
    for write in queued {
        write.await.unwrap().unwrap();
    }
    assert!(matches!(handle.write(|tx| tx.set_meta("late", b"")).await, Err(WriteError::Closed)));
    assert!(matches!(handle.read(|r| r.meta("late")).await, Err(StoreError::Closed)));
    let names: Vec<_> =
        files(dir.path()).into_keys().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["covey.db", "key", "key.json", "lock"], "the write-ahead log was carried over");
    let store = open(dir.path());
    assert_eq!(store.read_blocking(|r| r.meta("19")).unwrap(), Some(vec![]));
}

#[test]
fn the_last_handle_may_be_dropped_anywhere() {
    let (dir, store) = store();
    let (done, finished) = channel();
    let inner = store.clone();
    let change = move |_: &mut covey_store::Tx<'_>| -> common::Result<()> {
        drop(inner);
        done.send(()).unwrap();
        Ok(())
    };
    store.write_blocking(change).unwrap();
    drop(store);
    finished.recv().unwrap();
    open(dir.path());
}

#[test]
fn the_write_ahead_log_stays_bounded() {
    let (_dir, store) = store();
    let (_, log, _) = one_log(&store);
    for seq in 1..=60 {
        write(&store, move |tx| tx.append(log, entry(1, seq, &vec![1; 4 << 20])));
        let in_database = seq * (4 << 20);
        assert!(store.size_bytes() < in_database + (80 << 20), "{} bytes at {seq}", store.size_bytes());
    }
}

/// Runs itself in a mount namespace of its own, so that the small disk goes away with the process.
#[test]
fn a_full_disk_refuses_changes_until_there_is_room_again() {
    if let Some(home) = child_home() {
        return fill_the_disk(&home);
    }
    let dir = tempfile::tempdir().unwrap();
    let done = Command::new("unshare")
        .args(["--mount", "sh", "-c", r#"mount -t tmpfs -o size=6m none "$0" || exit 77; exec "$@""#])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_full_disk_refuses_changes_until_there_is_room_again", "--nocapture"])
        .env(CHILD, dir.path())
        .output();
    match done {
        Ok(done) if done.status.success() => {
            assert!(String::from_utf8_lossy(&done.stdout).contains("filled and freed"));
        }
        Ok(done) if done.status.code() == Some(101) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        other => eprintln!("SKIPPED: no mount namespace to make a small disk in ({other:?})"),
    }
}

fn fill_the_disk(disk: &std::path::Path) {
    let ballast = disk.join("ballast");
    fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    let home = disk.join("home");
    let store = open(&home);
    let (_, log, plants) = one_log(&store);
    let append = move |tx: &mut covey_store::Tx<'_>| {
        let seq = tx.head(log)?.seq + 1;
        tx.put_record(plants, &seq.to_string(), Some("{}"), b"")?;
        tx.append(log, entry(1, seq, &vec![9; 50_000])).map(|()| seq)
    };
    let mut acknowledged = 0;
    let failure = loop {
        match try_write(&store, append) {
            Ok(seq) => acknowledged = seq,
            Err(err) => break err,
        }
        assert!(acknowledged < 1000, "the disk never filled up");
    };
    assert!(matches!(failure, WriteError::DiskFull), "{failure:?}");
    assert!(matches!(try_write(&store, append), Err(WriteError::DiskFull)));
    let state = |r: &covey_store::Reader<'_>| Ok((r.head(log)?.seq, r.position()?));
    assert_eq!(store.read_blocking(state).unwrap(), (acknowledged, acknowledged));
    fs::remove_file(&ballast).unwrap();
    assert_eq!(write(&store, append), acknowledged + 1);
    store.close().unwrap();
    let store = open(&home);
    assert_eq!(store.read_blocking(state).unwrap(), (acknowledged + 1, acknowledged + 1));
    assert_eq!(store.integrity_check_blocking().unwrap(), Vec::<String>::new());
    println!("filled and freed");
}

//! Logs that don't begin at place 1: entries stored apart, logs entered further on, entries dropped piece by piece, and a
//! process that is killed in the middle of that.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
};

use common::{again, child_home, entry, hash, log, open, space, store, try_write, write};
use covey_store::{LogKey, NewEntry, Store, StoreError, WriteError};
use covey_types::keys::random_bytes;

/// Entries of the log that is dropped.
const ENTRIES: u64 = 3000;

/// Every so many of them says who is in the space.
const MEMBERSHIP: u64 = 100;

/// Entries dropped in one transaction.
const PIECE: usize = 40;

/// How often the child is killed.
const KILLS: usize = 8;

/// Pieces that it may drop until then at most: more than it is waited for, so that it's in the midst of one, and so few
/// that something is left for the next round, however late the kill comes.
const PIECES: usize = ENTRIES as usize / PIECE / (KILLS + 1);

fn begun(store: &Store) -> LogKey {
    write(store, |tx| {
        let garden = tx.insert_space(space(1), b"garden")?;
        tx.ensure_log(garden, log(1))
    })
}

fn places(store: &Store, key: LogKey) -> Vec<u64> {
    let entries = store.read_blocking(move |r| r.entries(key, 1, usize::MAX, usize::MAX)).unwrap();
    entries.iter().map(|entry| entry.seq).collect()
}

#[test]
fn an_entry_stored_apart_leaves_the_head_and_is_taken_in_when_the_log_comes_to_it() {
    let (dir, store) = store();
    let key = begun(&store);
    write(&store, move |tx| tx.append(key, entry(1, 1, b"one")));
    assert!(write(&store, move |tx| tx.append_apart(key, entry(1, 4, b"four"))));
    assert!(!write(&store, move |tx| tx.append_apart(key, entry(1, 4, b"four"))), "it's here already");
    let refused = |entry: NewEntry<'static>| {
        let result = try_write(&store, move |tx| tx.append_apart(key, entry).map(drop));
        assert!(matches!(result, Err(WriteError::Refused(StoreError::NotNext { .. }))), "{result:?}");
    };
    refused(NewEntry { hash: hash(9, 4), ..entry(1, 4, b"other") });
    refused(entry(1, 1, b"one"));
    store.close().unwrap();
    let store = open(dir.path());
    let head = store.read_blocking(move |r| r.head(key)).unwrap();
    assert_eq!((head.seq, places(&store, key)), (1, vec![1, 4]));
    for seq in 2..=4 {
        write(&store, move |tx| tx.append(key, entry(1, seq, b"four")));
    }
    let head = store.read_blocking(move |r| r.head(key)).unwrap();
    assert_eq!((head.seq, places(&store, key)), (4, vec![1, 2, 3, 4]));
}

#[test]
fn what_lies_apart_is_found_until_its_log_has_come_to_it() {
    let (_dir, store) = store();
    let key = begun(&store);
    write(&store, move |tx| tx.append(key, entry(1, 1, b"one")));
    for seq in [3, 9] {
        assert!(write(&store, move |tx| tx.append_apart(key, entry(1, seq, b"apart"))));
    }
    let apart = |store: &Store| {
        let found = store.read_blocking(|r| r.apart(r.spaces()?[0].key)).unwrap();
        assert!(found.iter().all(|(log, _)| *log == key));
        found.into_iter().map(|(_, seq)| seq).collect::<Vec<_>>()
    };
    assert_eq!(apart(&store), [3, 9]);
    for seq in 2..=3 {
        write(&store, move |tx| tx.append(key, entry(1, seq, b"apart")));
    }
    assert_eq!(apart(&store), [9]);
}

/// Also within the change that moves it on.
#[test]
fn a_log_is_found_by_its_name_with_its_end() {
    let (_dir, store) = store();
    let key = begun(&store);
    let rows = store.read_blocking(|r| r.logs(r.spaces()?[0].key)).unwrap();
    let id = rows[0].id;
    let other = covey_types::LogId { incarnation: covey_types::Incarnation(id.incarnation.0 ^ 1), ..id };
    write(&store, move |tx| {
        let space = tx.spaces()?[0].key;
        tx.append(key, entry(1, 1, b"one"))?;
        let row = tx.log(space, id)?.unwrap();
        assert_eq!((row.key, row.head.seq), (key, 1));
        assert_eq!(tx.log(space, other)?, None);
        Ok(())
    });
}

#[test]
fn a_log_that_is_entered_further_on_goes_on_from_there() {
    let (dir, store) = store();
    let key = begun(&store);
    write(&store, move |tx| tx.append(key, entry(1, 1, b"one")));
    write(&store, move |tx| tx.enter_log(key, entry(1, 7, b"seven")));
    let back = try_write(&store, move |tx| tx.enter_log(key, entry(1, 5, b"five")));
    assert!(matches!(back, Err(WriteError::Refused(StoreError::NotNext { .. }))), "{back:?}");
    let gap = try_write(&store, move |tx| tx.append(key, entry(1, 9, b"nine")));
    assert!(matches!(gap, Err(WriteError::Refused(StoreError::NotNext { .. }))), "{gap:?}");
    store.close().unwrap();
    let store = open(dir.path());
    write(&store, move |tx| tx.append(key, entry(1, 8, b"eight")));
    let row = store.read_blocking(|r| r.logs(r.spaces()?[0].key)).unwrap()[0];
    assert_eq!((row.head.seq, row.head.hash), (8, hash(1, 8)));
    assert_eq!(places(&store, key), [1, 7, 8]);
}

#[test]
fn copies_that_are_set_aside_leave_what_was_there_first() {
    let (_dir, store) = store();
    let key = begun(&store);
    for seq in 1..=4 {
        write(&store, move |tx| tx.append(key, entry(1, seq, b"first")));
    }
    write(&store, move |tx| tx.copy_aside(key, 2, 3));
    assert_eq!(places(&store, key), [1, 2, 3, 4], "they are still in the log");
    let end = covey_store::NewEnd { from: 2, hash: hash(1, 1), hlc: covey_types::Hlc::new(1, 0) };
    write(&store, move |tx| tx.truncate(key, end));
    for seq in 2..=4 {
        write(&store, move |tx| tx.append(key, entry(1, seq, b"second")));
    }
    write(&store, move |tx| tx.copy_aside(key, 1, 9));
    let aside = store.read_blocking(move |r| r.set_aside(key, 1, 9)).unwrap();
    let bodies: Vec<(u64, &[u8])> = aside.iter().map(|entry| (entry.seq, &entry.body[..])).collect();
    assert_eq!(bodies, [(1, &b"first"[..]), (2, b"first"), (3, b"first"), (4, b"first")]);
}

fn filled(store: &Store) -> LogKey {
    let key = begun(store);
    write(store, move |tx| {
        let garden = tx.spaces()?[0].key;
        for seq in 1..=ENTRIES {
            tx.append(key, entry(1, seq, &[seq as u8; 200]))?;
            if seq % MEMBERSHIP == 0 {
                tx.add_membership(garden, hash(1, seq), key, seq)?;
            }
            if seq % 7 == 0 {
                tx.hold(key, seq, 3, 9)?;
            }
        }
        Ok(())
    });
    key
}

/// Drops one piece, and notes in the same transaction how far it went; where to go on.
fn drop_piece(store: &Store, key: LogKey, upto: u64) -> Option<u64> {
    write(store, move |tx| {
        let from = tx.meta("dropped")?.map_or(1, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let next = tx.drop_entries(key, from, upto, PIECE, usize::MAX)?;
        tx.set_meta("dropped", &next.unwrap_or(upto + 1).to_le_bytes())?;
        Ok(next)
    })
}

#[test]
fn entries_are_dropped_within_bounds_but_for_those_of_membership() {
    let (dir, store) = store();
    let key = filled(&store);
    let upto = 950;
    let first = write(&store, move |tx| tx.drop_entries(key, 1, upto, usize::MAX, 1000));
    assert_eq!(first, Some(6), "five bodies of 200 bytes");
    let mut pieces = 0;
    while drop_piece(&store, key, upto).is_some() {
        pieces += 1;
    }
    assert!(pieces >= 900 / PIECE, "{pieces}");
    assert_eq!(drop_piece(&store, key, upto), None, "and it stays so");
    store.close().unwrap();
    let store = open(dir.path());
    let expected: Vec<u64> = (1..=ENTRIES).filter(|seq| *seq > upto || seq % MEMBERSHIP == 0).collect();
    assert_eq!(places(&store, key), expected);
    let garden = store.read_blocking(|r| Ok(r.spaces()?[0].key)).unwrap();
    let held = store.read_blocking(move |r| r.held(garden)).unwrap();
    assert!(held.iter().all(|row| row.seq > upto) && !held.is_empty());
    let row = store.read_blocking(move |r| r.logs(garden)).unwrap()[0];
    assert_eq!((row.head.seq, row.head.hash), (ENTRIES, hash(1, ENTRIES)));
}

#[test]
fn a_process_that_is_killed_while_it_drops_entries_goes_on_where_it_was() {
    if let Some(home) = child_home() {
        return drop_until_killed(&home);
    }
    let (dir, store) = store();
    let key = filled(&store);
    store.close().unwrap();
    let mut before = 1;
    for _ in 0..KILLS {
        let name = "a_process_that_is_killed_while_it_drops_entries_goes_on_where_it_was";
        let mut child = again(name, dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut permits = child.stdin.take().unwrap();
        permits.write_all("go on\n".repeat(PIECES).as_bytes()).unwrap();
        let enough = 1 + usize::from(random_bytes::<1>()[0]) % (PIECES - 2);
        let mut said = before;
        for _ in 0..enough {
            let next = lines.by_ref().find_map(|line| ack(&line.unwrap()));
            said = next.unwrap_or(said);
        }
        child.kill().unwrap();
        said = lines.filter_map(|line| ack(&line.unwrap())).last().unwrap_or(said);
        child.wait().unwrap();
        let store = open(dir.path());
        let noted = store.read_blocking(|r| r.meta("dropped")).unwrap().unwrap();
        let noted = u64::from_le_bytes(noted.try_into().unwrap());
        assert!(noted >= said && noted > before, "{said} was said, {noted} is noted");
        let expected: Vec<u64> = (1..=ENTRIES).filter(|seq| *seq >= noted || seq % MEMBERSHIP == 0).collect();
        assert_eq!(places(&store, key), expected, "what is noted is what is gone");
        let garden = store.read_blocking(|r| Ok(r.spaces()?[0].key)).unwrap();
        let held = store.read_blocking(move |r| r.held(garden)).unwrap();
        assert_eq!(held.iter().map(|row| row.seq).min(), Some(noted.div_ceil(7) * 7));
        store.close().unwrap();
        before = noted;
    }
}

fn ack(line: &str) -> Option<u64> {
    line.strip_prefix("ack ")?.parse().ok()
}

fn drop_until_killed(home: &Path) {
    let store = open(home);
    let garden = store.read_blocking(|r| Ok(r.spaces()?[0].key)).unwrap();
    let key = store.read_blocking(move |r| Ok(r.logs(garden)?[0].key)).unwrap();
    println!();
    for permit in std::io::stdin().lines() {
        permit.unwrap();
        let next = drop_piece(&store, key, ENTRIES - 1).expect("there is more to drop");
        println!("ack {next}");
    }
}

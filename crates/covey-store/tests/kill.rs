//! A process that is killed, a log that is torn: what was acknowledged is there, and nothing in between.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
};

use common::{again, child_home, copy_home, entry, hash, log, open, space, store, write};
use covey_store::{LogKey, Store};
use covey_types::keys::random_bytes;

/// How often the child is killed.
const KILLS: usize = 20;

/// Most acknowledgements after which it is.
const MAX_ACKNOWLEDGED: u8 = 60;

#[test]
fn nothing_acknowledged_is_missing_after_kill_9() {
    if let Some(home) = child_home() {
        return append_until_killed(&home);
    }
    let (dir, store) = store();
    prepare(&store);
    store.close().unwrap();
    let mut acknowledged = 0;
    for _ in 0..KILLS {
        let start = acknowledged;
        let mut child = again("nothing_acknowledged_is_missing_after_kill_9", dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let enough = start + 1 + u64::from(random_bytes::<1>()[0] % MAX_ACKNOWLEDGED);
        while acknowledged < enough {
            let line = lines.next().expect("the child goes on until it is killed").unwrap();
            acknowledged = ack(&line).unwrap_or(acknowledged);
        }
        child.kill().unwrap();
        // What it said before it died counts too.
        acknowledged = lines.filter_map(|line| ack(&line.unwrap())).last().unwrap_or(acknowledged);
        child.wait().unwrap();
        let store = open(dir.path());
        let stored = consistent(&store);
        assert!(stored >= acknowledged, "{acknowledged} were acknowledged and {stored} are there");
        acknowledged = stored;
        store.close().unwrap();
    }
}

#[test]
fn a_torn_write_ahead_log_gives_a_shorter_history_and_never_a_broken_one() {
    let (dir, store) = store();
    prepare(&store);
    let mut sizes = vec![];
    for _ in 0..40 {
        append_one(&store);
        sizes.push(fs::metadata(dir.path().join("covey.db-wal")).unwrap().len());
    }
    let last = *sizes.last().unwrap();
    for round in 0..KILLS as u64 {
        let torn = tempfile::tempdir().unwrap();
        copy_home(dir.path(), torn.path());
        fs::remove_file(torn.path().join("covey.db-shm")).unwrap();
        let cut = u64::from_be_bytes(random_bytes()) % last;
        let wal = torn.path().join("covey.db-wal");
        let mut bytes = fs::read(&wal).unwrap();
        if round % 2 == 0 {
            bytes.truncate(cut as usize);
        } else {
            bytes[cut as usize] ^= 0x10;
        }
        fs::write(&wal, bytes).unwrap();
        let store = open(torn.path());
        let whole = sizes.iter().filter(|size| **size <= cut).count() as u64;
        // With nothing of the log left there is only the empty store it began with.
        let stored =
            if store.read_blocking(|r| r.spaces()).unwrap().is_empty() { 0 } else { consistent(&store) };
        assert!(stored >= whole, "{whole} were whole and {stored} are there");
    }
}

fn ack(line: &str) -> Option<u64> {
    line.strip_prefix("ack ")?.parse().ok()
}

fn prepare(store: &Store) {
    write(store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        tx.ensure_collection(space, "plants")?;
        tx.ensure_log(space, log(1)).map(drop)
    });
}

fn append_one(store: &Store) -> u64 {
    write(store, |tx| {
        let space = tx.spaces()?[0].key;
        let (log, plants) = (tx.ensure_log(space, log(1))?, tx.ensure_collection(space, "plants")?);
        let seq = tx.head(log)?.seq + 1;
        tx.append(log, entry(1, seq, &[seq as u8; 3000]))?;
        tx.put_record(plants, &format!("{seq:08}"), Some("{}"), b"")?;
        Ok(seq)
    })
}

fn append_until_killed(home: &Path) {
    let store = open(home);
    println!();
    loop {
        println!("ack {}", append_one(&store));
    }
}

/// Checks that the store holds together; how many entries there are.
fn consistent(store: &Store) -> u64 {
    assert_eq!(store.integrity_check_blocking().unwrap(), Vec::<String>::new());
    let (head, entries, live, position) = store
        .read_blocking(|r| {
            let space = r.spaces()?[0].key;
            let row = r.logs(space)?[0];
            let log: LogKey = row.key;
            let live = r.collections(space)?[0].live;
            Ok((row.head, r.entries(log, 1, usize::MAX, usize::MAX)?, live, r.position()?))
        })
        .unwrap();
    assert!(entries.iter().map(|e| e.seq).eq(1..=head.seq));
    assert!(entries.iter().all(|e| e.hash == hash(1, e.seq) && e.body == [e.seq as u8; 3000]));
    assert_eq!((head.hash, live, position), (hash(1, head.seq), head.seq, head.seq));
    head.seq
}

//! The power goes at any moment of writing: of what was not yet synced, the disk may have any part.
//!
//! Between two acknowledged commits the files differ in some sectors. A disk that loses power in between may have written
//! any of those, in any order, each whole or not at all; what was synced before stands. The store syncs its log before it
//! writes to the database, and the database before it begins the log anew: so either some sectors of the log are
//! missing, or the log is whole and some of the database are. When the log is begun anew, SQLite syncs its new header before
//! it writes anything else: of the old log nothing may be taken for valid once the first of it is written over.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use std::{fs, path::Path};

use common::{entry, hash, log, open, space, store, write};
use covey_store::Store;
use covey_types::keys::random_bytes;

/// What a disk writes whole or not at all: old ones, and new ones.
const SECTORS: [usize; 2] = [512, 4096];

/// Commits whose end is lost; far enough that the log is brought into the database and begun anew in between.
const COMMITS: u64 = 60;

/// Ways in which a commit ends, and in which one does that brings the log into the database or begins it anew.
const WAYS: [u64; 2] = [2, 16];

/// The header of the write-ahead log.
const WAL_HEADER_BYTES: usize = 32;

/// Bytes of one entry.
const BODY_BYTES: usize = 3000;

/// Bytes that each commit writes over: the log is full soon, and the database stays small.
const PADDING_BYTES: usize = 1_000_000;

/// The two files at one moment.
#[derive(Clone)]
struct Files {
    db: Vec<u8>,
    wal: Vec<u8>,
}

impl Files {
    fn of(home: &Path) -> Self {
        Self {
            db: fs::read(home.join("covey.db")).unwrap(),
            wal: fs::read(home.join("covey.db-wal")).unwrap(),
        }
    }

    fn put(&self, home: &Path) {
        fs::write(home.join("covey.db"), &self.db).unwrap();
        fs::write(home.join("covey.db-wal"), &self.wal).unwrap();
    }
}

/// `before` with some of the sectors in which `after` differs, each by the toss of a coin. The first `synced` bytes are as
/// they are after.
fn torn(
    before: &[u8],
    after: &[u8],
    synced: usize,
    sector: usize,
    toss: &mut impl FnMut() -> bool,
) -> Vec<u8> {
    let mut bytes = before.to_vec();
    for start in (0..after.len()).step_by(sector) {
        let end = (start + sector).min(after.len());
        if before.get(start..end) == Some(&after[start..end]) || start >= synced && !toss() {
            continue;
        }
        // A file that grew by a sector behind others that are missing has a hole of zeros there.
        bytes.resize(bytes.len().max(end), 0);
        bytes[start..end].copy_from_slice(&after[start..end]);
    }
    bytes
}

fn append(store: &Store) -> u64 {
    write(store, |tx| {
        let space = tx.spaces()?[0].key;
        let log_key = tx.ensure_log(space, log(1))?;
        let seq = tx.head(log_key)?.seq + 1;
        tx.append(log_key, entry(1, seq, &[seq as u8; BODY_BYTES]))?;
        tx.set_meta("padding", &vec![seq as u8; PADDING_BYTES])?;
        Ok(seq)
    })
}

/// How many entries there are; they are whole and in order.
fn consistent(store: &Store) -> u64 {
    assert_eq!(store.integrity_check_blocking().unwrap(), Vec::<String>::new());
    let (head, entries) = store
        .read_blocking(|r| {
            let row = r.logs(r.spaces()?[0].key)?[0];
            Ok((row.head, r.entries(row.key, 1, usize::MAX, usize::MAX)?))
        })
        .unwrap();
    assert!(entries.iter().map(|e| e.seq).eq(1..=head.seq));
    assert!(entries.iter().all(|e| e.hash == hash(1, e.seq) && e.body == [e.seq as u8; BODY_BYTES]));
    head.seq
}

#[test]
fn whatever_a_power_loss_leaves_of_what_was_not_synced_nothing_acknowledged_is_missing() {
    let (dir, store) = store();
    write(&store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        tx.ensure_log(space, log(1)).map(drop)
    });
    append(&store);
    let (mut before, mut into_the_database, mut begun_anew) = (Files::of(dir.path()), 0, 0);
    for acknowledged in 1..=COMMITS {
        append(&store);
        let after = Files::of(dir.path());
        let (carried, anew) =
            (after.db != before.db, after.wal.get(..WAL_HEADER_BYTES) != before.wal.get(..WAL_HEADER_BYTES));
        into_the_database += u64::from(carried);
        begun_anew += u64::from(anew);
        let ways = WAYS[usize::from(carried || anew)];
        for way in 0..ways {
            let mut toss = || random_bytes::<1>()[0] & 1 == 0;
            let sector = SECTORS[(way % 2) as usize];
            let (left, least) = if way < ways / 2 {
                let synced = if anew { WAL_HEADER_BYTES } else { 0 };
                let wal = torn(&before.wal, &after.wal, synced, sector, &mut toss);
                (Files { wal, db: before.db.clone() }, acknowledged)
            } else {
                let db = torn(&before.db, &after.db, 0, sector, &mut toss);
                (Files { db, wal: after.wal.clone() }, acknowledged + 1)
            };
            let home = tempfile::tempdir().unwrap();
            for file in ["key", "key.json"] {
                fs::copy(dir.path().join(file), home.path().join(file)).unwrap();
            }
            left.put(home.path());
            let stored = consistent(&open(home.path()));
            assert!(
                (least..=acknowledged + 1).contains(&stored),
                "{least} were acknowledged and {stored} are there, after commit {acknowledged}, way {way}"
            );
        }
        before = after;
    }
    assert!(
        into_the_database > 2 && begun_anew > 2,
        "{into_the_database} {begun_anew}: the log was never full"
    );
}

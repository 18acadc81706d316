//! A program that ends while its threads are at work on the store ends, and doesn't die.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use std::{path::Path, process, sync::mpsc::channel, thread};

use common::{again, child_home, entry, log, open, space, write};
use covey_store::Store;
use covey_types::keys::random_bytes;

/// How many programs end. Without a wait for what is under way, about every fourth dies of a signal.
const ENDS: usize = 40;

/// Most entries that are written first.
const MAX_WRITTEN: u8 = 30;

#[test]
fn a_program_that_ends_in_the_middle_of_work_on_the_store_does_not_crash() {
    if let Some(home) = child_home() {
        work_and_end(&home);
    }
    let dir = tempfile::tempdir().unwrap();
    for round in 0..ENDS {
        let home = dir.path().join(round.to_string());
        let ended =
            again("a_program_that_ends_in_the_middle_of_work_on_the_store_does_not_crash", &home).wait();
        let ended = ended.unwrap();
        assert!(ended.success(), "program {round}: {ended}");
    }
}

/// Writes, reads, opens and closes in several threads, and ends while they do.
fn work_and_end(home: &Path) -> ! {
    let store = open(home);
    let (wrote, written) = channel();
    thread::spawn({
        let store = store.clone();
        move || append(&store, |seq| wrote.send(seq).unwrap())
    });
    for n in 0..2 {
        let (store, other) = (store.clone(), home.join(format!("other-{n}")));
        thread::spawn(move || {
            loop {
                store.integrity_check_blocking().unwrap();
            }
        });
        thread::spawn(move || {
            loop {
                open(&other).close().unwrap();
            }
        });
    }
    let enough = 1 + u64::from(random_bytes::<1>()[0] % MAX_WRITTEN);
    written.iter().find(|seq| *seq >= enough).expect("it is written until the end");
    process::exit(0)
}

fn append(store: &Store, wrote: impl Fn(u64)) {
    let log = write(store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        tx.ensure_log(space, log(1))
    });
    for seq in 1.. {
        write(store, move |tx| tx.append(log, entry(1, seq, &[7; 3000])));
        wrote(seq);
    }
}

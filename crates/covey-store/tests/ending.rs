//! A program that ends while its threads are at work on the store ends, and doesn't die.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use std::{
    path::Path,
    process,
    sync::{Arc, Barrier, mpsc::channel},
    thread,
};

use common::{again, child_home, entry, log, open, space, write};
use covey_store::Store;
use covey_types::keys::random_bytes;

/// How many programs end. Without a wait for what is under way, about every fourth dies of a signal; if OpenSSL frees what it
/// keeps for threads, about every thirtieth of those with threads that end.
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

/// Threads that end together with the program.
const ENDING_THREADS: usize = 32;

#[test]
fn a_program_that_ends_while_threads_end_that_used_the_store_does_not_crash() {
    if let Some(home) = child_home() {
        end_with_threads(&home);
    }
    let dir = tempfile::tempdir().unwrap();
    for round in 0..ENDS {
        let home = dir.path().join(round.to_string());
        let mut ended =
            again("a_program_that_ends_while_threads_end_that_used_the_store_does_not_crash", &home);
        let ended = ended.wait();
        assert!(ended.as_ref().unwrap().success(), "program {round}: {ended:?}");
    }
}

/// Opens stores in many threads, and closes them and ends those threads when the program ends: what a library keeps for each
/// thread is freed by the thread's end, and by the program's.
fn end_with_threads(home: &Path) -> ! {
    let begin = Arc::new(Barrier::new(ENDING_THREADS + 1));
    for n in 0..ENDING_THREADS {
        let (home, begin) = (home.join(n.to_string()), begin.clone());
        thread::spawn(move || {
            open(&home).close().unwrap();
            begin.wait();
        });
    }
    begin.wait();
    process::exit(0)
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

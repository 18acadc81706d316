//! Logs whose tails are set aside.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{entry, hash, log, open, space, write};
use covey_store::{ForkRow, NewEnd, StoreError};
use covey_types::{EntryHash, Head, Hlc};

#[test]
fn the_tail_of_a_log_is_set_aside_and_the_log_goes_on_from_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (garden, key) = write(&store, |tx| {
        let garden = tx.insert_space(space(1), b"garden")?;
        let key = tx.ensure_log(garden, log(1))?;
        let other = tx.ensure_log(garden, log(2))?;
        for seq in 1..=4 {
            tx.append(key, entry(1, seq, b"one"))?;
            tx.append(other, entry(2, seq, b"two"))?;
        }
        tx.add_membership(garden, hash(1, 1), key, 1)?;
        tx.add_membership(garden, hash(1, 4), key, 4)?;
        tx.hold(key, 3, 1, 9)?;
        tx.hold(other, 3, 1, 9)?;
        Ok((garden, key))
    });
    let end = NewEnd { from: 3, hash: hash(1, 2), hlc: Hlc::new(2, 0) };
    write(&store, move |tx| tx.truncate(key, end));
    // Past the end there's nothing to do.
    write(&store, move |tx| tx.truncate(key, NewEnd { from: 9, hash: EntryHash::NONE, hlc: Hlc::default() }));
    let fork = ForkRow { id: log(1), seq: 3, evidence: b"proof".to_vec() };
    let kept = fork.clone();
    write(&store, move |tx| {
        tx.put_fork(garden, &ForkRow { seq: 7, ..kept.clone() }).and_then(|()| tx.put_fork(garden, &kept))
    });
    store.close().unwrap();
    let store = open(dir.path());
    store
        .read_blocking(|r| {
            let row = r.logs(garden)?[0];
            assert_eq!((row.head.seq, row.head.hash, row.hlc), (2, hash(1, 2), Hlc::new(2, 0)));
            assert!(r.entry(key, 3)?.is_none());
            let aside: Vec<u64> = r.set_aside(key, 1, 9)?.iter().map(|entry| entry.seq).collect();
            assert_eq!(aside, [3, 4]);
            assert_eq!(r.set_aside(key, 4, 9)?.len(), 1);
            assert_eq!(r.membership(garden)?.len(), 1);
            assert_eq!(r.held(garden)?.len(), 1);
            assert_eq!(r.logs(garden)?[1].head.seq, 4, "other logs are as they were");
            assert_eq!(r.forks(garden)?, [fork]);
            Ok(())
        })
        .unwrap();
    // The log can go on: the entry that comes next is the one that the head asks for.
    write(&store, move |tx| tx.append(key, entry(1, 3, b"again")));
    write(&store, move |tx| tx.remove_space(garden));
    let left = store.read_blocking(|r| Ok((r.forks(garden)?.len(), r.set_aside(key, 1, 9)?.len()))).unwrap();
    assert_eq!(left, (0, 0));
}

#[test]
fn what_is_set_aside_comes_back_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let key = write(&store, |tx| {
        let garden = tx.insert_space(space(1), b"garden")?;
        let key = tx.ensure_log(garden, log(1))?;
        for seq in 1..=4 {
            tx.append(key, entry(1, seq, b"one"))?;
        }
        tx.truncate(key, NewEnd { from: 2, hash: hash(1, 1), hlc: Hlc::new(1, 0) })?;
        Ok(key)
    });
    let end = |seq| Head { seq, hash: hash(1, seq) };
    // What lies beyond what there is can't come back, and nothing comes in its stead.
    write(&store, move |tx| {
        assert!(matches!(tx.bring_back(key, end(6), Hlc::new(6, 0)), Err(StoreError::NotNext { .. })));
        assert!(matches!(tx.bring_back(key, end(1), Hlc::new(1, 0)), Err(StoreError::NotNext { .. })));
        assert_eq!(tx.head(key)?.seq, 1);
        tx.put_aside(key, entry(1, 3, b"another one"))
    });
    write(&store, move |tx| tx.bring_back(key, end(3), Hlc::new(3, 0)));
    store.close().unwrap();
    let store = open(dir.path());
    store
        .read_blocking(|r| {
            assert_eq!(r.head(key)?, end(3));
            assert_eq!(r.entry(key, 3)?.unwrap().body, b"another one");
            assert_eq!(r.set_aside(key, 1, 9)?.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [4]);
            Ok(())
        })
        .unwrap();
    write(&store, move |tx| tx.append(key, entry(1, 4, b"and on")));
}

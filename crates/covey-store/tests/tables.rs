//! Everything that is stored comes back as it was.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use common::{entry, hash, log, space, store, try_write, write};
use covey_store::{Change, CollectionRow, HeldRow, RecordRow, StoreError, WriteError};
use covey_types::{Head, Hlc};

#[test]
fn facts_are_kept_and_replaced() {
    let (_dir, store) = store();
    write(&store, |tx| {
        tx.set_meta("name", b"ada")?;
        tx.set_meta("name", b"grace")
    });
    assert_eq!(store.read_blocking(|r| r.meta("name")).unwrap(), Some(b"grace".to_vec()));
    assert_eq!(store.read_blocking(|r| r.meta("nothing")).unwrap(), None);
}

#[test]
fn spaces_come_and_go_with_all_that_is_theirs() {
    let (_dir, store) = store();
    let (a, b) =
        write(&store, |tx| Ok((tx.insert_space(space(1), b"one")?, tx.insert_space(space(2), b"two")?)));
    let doubled = try_write(&store, |tx| tx.insert_space(space(1), b""));
    assert!(matches!(doubled, Err(WriteError::Refused(StoreError::SpaceExists { id })) if id == space(1)));
    for key in [a, b] {
        write(&store, move |tx| {
            tx.set_space_info(key, b"changed")?;
            let log = tx.ensure_log(key, log(1))?;
            tx.append(log, entry(1, 1, b"body"))?;
            tx.add_membership(key, hash(1, 1), log, 1)?;
            tx.hold(log, 1, 3, 99)?;
            let collection = tx.ensure_collection(key, "plants")?;
            tx.put_record(collection, "bean", Some("{}"), b"")
        });
    }
    write(&store, move |tx| tx.remove_space(a));
    store
        .read_blocking(|r| {
            let left = r.spaces()?;
            assert_eq!(
                (left.len(), left[0].key, left[0].id, &left[0].info[..]),
                (1, b, space(2), &b"changed"[..])
            );
            assert!(r.logs(a)?.is_empty() && r.membership(a)?.is_empty() && r.held(a)?.is_empty());
            assert!(r.collections(a)?.is_empty() && r.changes(a, None, 0, 9)?.is_empty());
            assert_eq!((r.logs(b)?.len(), r.membership(b)?.len(), r.held(b)?.len()), (1, 1, 1));
            assert_eq!(r.changes(b, None, 0, 9)?.len(), 1);
            Ok(())
        })
        .unwrap();
    let gone = try_write(&store, move |tx| tx.ensure_collection(a, "plants"));
    assert!(matches!(gone, Err(WriteError::Refused(StoreError::Missing { what: "space", .. }))));
    let again = write(&store, |tx| tx.insert_space(space(1), b""));
    assert!(again > b, "a key that was given out never means something else");
    let position = write(&store, move |tx| {
        let collection = tx.ensure_collection(again, "plants")?;
        tx.put_record(collection, "bean", Some("{}"), b"")
    });
    assert_eq!(position, 3, "positions of a removed space stay used");
}

#[test]
fn entries_come_back_byte_by_byte_and_in_bounded_portions() {
    let (_dir, store) = store();
    let (key, other) = write(&store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        let (key, other) = (tx.ensure_log(space, log(1))?, tx.ensure_log(space, log(2))?);
        assert_eq!(tx.ensure_log(space, log(1))?, key);
        for seq in 1..=9 {
            tx.append(key, entry(1, seq, &[seq as u8; 1000]))?;
        }
        tx.append(other, entry(2, 1, b""))?;
        Ok((key, other))
    });
    store
        .read_blocking(|r| {
            let logs = r.logs(r.spaces()?[0].key)?;
            assert_eq!((logs.len(), logs[0].key, logs[0].id, logs[1].id), (2, key, log(1), log(2)));
            assert_eq!(logs[0].head, Head { seq: 9, hash: hash(1, 9) });
            assert_eq!(logs[0].hlc, Hlc::from_u64(u64::MAX - 1_000_000 + 9));
            let seqs = |from, bytes, count| -> common::Result<Vec<u64>> {
                Ok(r.entries(key, from, bytes, count)?.iter().map(|e| e.seq).collect())
            };
            assert_eq!(seqs(1, usize::MAX, usize::MAX)?, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
            assert_eq!(seqs(0, 2 * 1070, 100)?, [1, 2]);
            assert_eq!(seqs(8, usize::MAX, 1)?, [8]);
            assert_eq!(seqs(7, 1, 100)?, [7], "at least one");
            assert_eq!(seqs(10, usize::MAX, 100)?, [0u64; 0]);
            assert_eq!(seqs(u64::MAX, usize::MAX, 100)?, [0u64; 0]);
            assert_eq!(seqs(1, usize::MAX, 0)?, [0u64; 0]);
            let found = r.entry(key, 4)?.unwrap();
            assert_eq!((found.seq, found.hash, &found.header[..]), (4, hash(1, 4), &b"header"[..]));
            assert_eq!((found.signature, found.body), ([7; 64], vec![4; 1000]));
            assert_eq!(r.hash_at(key, 4)?, Some(hash(1, 4)));
            assert_eq!(
                (r.hash_at(key, 0)?, r.hash_at(key, 10)?, r.hash_at(key, 1 << 40)?),
                (None, None, None)
            );
            assert_eq!(r.entry(other, 2)?, None);
            Ok(())
        })
        .unwrap();
}

#[test]
fn an_entry_that_does_not_follow_is_refused() {
    let (_dir, store) = store();
    let key = write(&store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        let key = tx.ensure_log(space, log(1))?;
        tx.append(key, entry(1, 1, b"")).map(|()| key)
    });
    let mut wrong_prev = entry(1, 2, b"");
    wrong_prev.prev = hash(9, 1);
    for bad in [entry(1, 0, b""), entry(1, 1, b""), entry(1, 3, b""), wrong_prev] {
        let refused = try_write(&store, move |tx| tx.append(key, bad));
        let Err(WriteError::Refused(StoreError::NotNext { head, seq, .. })) = refused else { panic!() };
        assert_eq!((head, seq), (Head { seq: 1, hash: hash(1, 1) }, bad.seq));
    }
    write(&store, move |tx| tx.append(key, entry(1, 2, b"")));
    assert_eq!(store.read_blocking(|r| r.head(key)).unwrap().seq, 2);
}

#[test]
fn membership_and_held_entries_are_listed_until_they_are_let_go() {
    let (_dir, store) = store();
    let (space, key) = write(&store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        let key = tx.ensure_log(space, log(1))?;
        for seq in 1..=3 {
            tx.append(key, entry(1, seq, &[seq as u8]))?;
        }
        for seq in [3, 1, 3] {
            tx.add_membership(space, hash(1, seq), key, seq)?;
        }
        tx.hold(key, 2, 1, u64::MAX)?;
        tx.hold(key, 3, 2, 50)?;
        Ok((space, key))
    });
    let unknown = try_write(&store, move |tx| tx.add_membership(space, hash(1, 4), key, 4));
    assert!(matches!(unknown, Err(WriteError::Refused(StoreError::Missing { what: "entry", .. }))));
    let members = store.read_blocking(|r| r.membership(space)).unwrap();
    assert_eq!(members.iter().map(|(log, e)| (*log, e.seq)).collect::<Vec<_>>(), [(key, 3), (key, 1)]);
    let held = store.read_blocking(|r| r.held(space)).unwrap();
    let row = |seq, reason, until_ms| HeldRow { log: key, seq, reason, until_ms };
    assert_eq!(held, [row(3, 2, 50), row(2, 1, u64::MAX)]);
    assert!(write(&store, move |tx| tx.release(key, 3)));
    assert!(!write(&store, move |tx| tx.release(key, 3)));
    assert_eq!(store.read_blocking(|r| r.held(space)).unwrap(), [row(2, 1, u64::MAX)]);
}

#[test]
fn records_and_their_feed_show_the_newest_versions() {
    let (_dir, store) = store();
    let (space, plants, beds) = write(&store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        let (plants, beds) = (tx.ensure_collection(space, "plants")?, tx.ensure_collection(space, "beds")?);
        assert_eq!(tx.put_record(plants, "a", Some(r#"{"n":1}"#), b"s1")?, 1);
        assert_eq!(tx.put_record(plants, "b", Some(r#"{"n":1.50,"t":"\u00e9\n"}"#), b"s2")?, 2);
        assert_eq!(tx.put_record(beds, "a", Some("{}"), b"s3")?, 3);
        assert_eq!(tx.put_record(plants, "a", Some(r#"{"n":2}"#), b"s4")?, 4);
        assert_eq!(tx.put_record(plants, "gone", None, b"s5")?, 5);
        assert_eq!(tx.collections(space)?[1].live, 2, "a transaction counts what it did itself");
        assert_eq!(tx.put_record(plants, "b", None, b"s6")?, 6);
        assert_eq!(tx.position()?, 6);
        Ok((space, plants, beds))
    });
    store
        .read_blocking(|r| {
            let row = |key, name: &str, live| CollectionRow { key, name: name.into(), live };
            assert_eq!(r.collections(space)?, [row(beds, "beds", 1), row(plants, "plants", 1)]);
            assert_eq!((r.collection(space, "beds")?, r.collection(space, "x")?), (Some(beds), None));
            let found = RecordRow { doc: Some(r#"{"n":2}"#.into()), state: b"s4".to_vec(), position: 4 };
            assert_eq!(r.record(plants, "a")?, Some(found));
            assert_eq!(r.record(plants, "b")?.unwrap().doc, None);
            assert_eq!(r.record(plants, "c")?, None);
            let state = r.record_state(plants, "b")?.unwrap();
            assert_eq!((state.state, state.position, state.live), (b"s6".to_vec(), 6, false));
            let change = |position, collection, name: &str, id: &str, doc: Option<&str>| Change {
                position,
                collection,
                collection_name: name.into(),
                id: id.into(),
                doc: doc.map(Into::into),
            };
            let bed = change(3, beds, "beds", "a", Some("{}"));
            let a = change(4, plants, "plants", "a", Some(r#"{"n":2}"#));
            let gone = change(5, plants, "plants", "gone", None);
            let b = change(6, plants, "plants", "b", None);
            assert_eq!(r.changes(space, None, 0, 9)?, [bed.clone(), a.clone(), gone.clone(), b.clone()]);
            assert_eq!(r.changes(space, None, 3, 2)?, [a.clone(), gone.clone()]);
            assert_eq!(r.changes(space, Some(plants), 0, 9)?, [a, gone, b]);
            let of = |max_bytes| r.changes_within(space, None, 0, 9, max_bytes).map(|found| found.len());
            // Documents of 2 and 7 bytes; what is deleted has none.
            assert_eq!([of(0)?, of(1)?, of(3)?, of(9)?, of(10)?], [0, 1, 2, 2, 4]);
            assert_eq!(r.changes(space, Some(beds), 0, 9)?, [bed]);
            assert_eq!(r.changes(space, None, u64::MAX, 9)?, []);
            assert_eq!(r.list(plants, None, None, 9)?, [("a".into(), r#"{"n":2}"#.into())]);
            Ok(())
        })
        .unwrap();
    assert_eq!(*store.position_watch().borrow(), 6);
}

#[test]
fn a_document_comes_back_as_it_was_written() {
    let (_dir, store) = store();
    let docs = [
        r#"{"a":1.50,"b":1e3,"c":-0.0,"d":12345678901234567890123,"e":[],"f":{"z":null,"a":true}}"#,
        r#"{"text":"\u0000 \u00e9 \"quoted\" \\ é 🌱"}"#,
        "[1]",
        "\"text\"",
    ];
    let key = write(&store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        tx.ensure_collection(space, "plants")
    });
    for doc in docs {
        write(&store, move |tx| tx.put_record(key, "x", Some(doc), b""));
        assert_eq!(store.read_blocking(|r| r.record(key, "x")).unwrap().unwrap().doc.as_deref(), Some(doc));
    }
}

#[test]
fn a_document_that_is_no_json_is_named_and_changes_nothing() {
    let (_dir, store) = store();
    let key = write(&store, |tx| {
        let space = tx.insert_space(space(1), b"")?;
        tx.ensure_collection(space, "plants")
    });
    for doc in ["{", &"[".repeat(2000), ""] {
        let doc = doc.to_owned();
        let refused = try_write(&store, move |tx| tx.put_record(key, "x", Some(&doc), b""));
        assert!(matches!(refused, Err(WriteError::Refused(StoreError::BadDocument { id })) if id == "x"));
    }
    assert_eq!(store.read_blocking(|r| r.position()).unwrap(), 0);
}

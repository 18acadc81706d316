//! Whatever is written and undone, the feed, the lists and the counts agree with a simple model.
#![allow(
    clippy::unwrap_used,
    clippy::redundant_closure_for_method_calls,
    reason = "tests fail by panicking; methods of Reader<_> are not general enough to stand for closures"
)]

mod common;

use std::collections::BTreeMap;

use common::{space, store, try_write, write};
use covey_store::{CollectionKey, SpaceKey, Store, StoreError};
use proptest::{collection::vec, prelude::*};

/// Two spaces with two collections each.
const COLLECTIONS: usize = 4;

#[derive(Debug, Clone)]
struct Put {
    collection: usize,
    id: u8,
    value: Option<u8>,
}

#[derive(Debug, Clone)]
struct Change {
    puts: Vec<Put>,
    undone: bool,
}

fn change() -> impl Strategy<Value = Change> {
    let put = (0..COLLECTIONS, 0u8..8, prop::option::weighted(0.7, any::<u8>()))
        .prop_map(|(collection, id, value)| Put { collection, id, value });
    (vec(put, 0..6), prop::bool::weighted(0.25)).prop_map(|(puts, undone)| Change { puts, undone })
}

/// Per collection and id: position and document.
type Model = BTreeMap<(usize, String), (u64, Option<String>)>;

fn apply(
    store: &Store,
    keys: [CollectionKey; COLLECTIONS],
    change: &Change,
    model: &mut Model,
    last: &mut u64,
) {
    let puts: Vec<_> = change
        .puts
        .iter()
        .map(|put| (put.collection, format!("id{}", put.id), put.value.map(|v| format!("{{\"v\":{v}}}"))))
        .collect();
    let (undone, sent) = (change.undone, puts.clone());
    let done = try_write(store, move |tx| {
        let put = |(collection, id, doc): &(usize, String, Option<String>)| {
            tx.put_record(keys[*collection], id, doc.as_deref(), id.as_bytes())
        };
        let positions = sent.iter().map(put).collect::<Result<Vec<_>, _>>()?;
        if undone { Err(StoreError::Closed) } else { Ok(positions) }
    });
    let Ok(positions) = done else {
        assert!(undone);
        return;
    };
    for ((collection, id, doc), position) in puts.into_iter().zip(positions) {
        assert!(position > *last);
        *last = position;
        model.insert((collection, id), (position, doc));
    }
}

fn compare(
    store: &Store,
    spaces: [SpaceKey; 2],
    keys: [CollectionKey; COLLECTIONS],
    model: &Model,
    since: u64,
    limit: usize,
) {
    let feed = |wanted: &dyn Fn(usize) -> bool| {
        let newer = model.iter().filter(|((c, _), (position, _))| wanted(*c) && *position > since);
        let mut feed: Vec<_> =
            newer.map(|((c, id), (position, doc))| (*position, keys[*c], id.clone(), doc.clone())).collect();
        feed.sort_by_key(|change| change.0);
        feed.truncate(limit);
        feed
    };
    store
        .read_blocking(|r| {
            let found = |space, collection| -> common::Result<Vec<_>> {
                let changes = r.changes(space, collection, since, limit)?;
                Ok(changes.into_iter().map(|c| (c.position, c.collection, c.id, c.doc)).collect())
            };
            for (n, space) in spaces.into_iter().enumerate() {
                assert_eq!(found(space, None)?, feed(&|c| c / 2 == n));
            }
            for (n, key) in keys.into_iter().enumerate() {
                assert_eq!(found(spaces[n / 2], Some(key))?, feed(&|c| c == n));
                let live: Vec<_> = model
                    .iter()
                    .filter(|((c, _), _)| *c == n)
                    .filter_map(|((_, id), (_, doc))| Some((id.clone(), doc.clone()?)))
                    .collect();
                let row = r.collections(spaces[n / 2])?.into_iter().find(|row| row.key == key).unwrap();
                assert_eq!(row.live, live.len() as u64);
                assert_eq!(r.list(key, None, None, usize::MAX)?, live);
                let after: Vec<_> =
                    live.iter().filter(|(id, _)| &id[..] > "id3").take(limit).cloned().collect();
                assert_eq!(r.list(key, None, Some("id3"), limit)?, after);
            }
            for ((c, id), (position, doc)) in model {
                let found = r.record(keys[*c], id)?.unwrap();
                assert_eq!((found.position, &found.doc, &found.state[..]), (*position, doc, id.as_bytes()));
            }
            Ok(())
        })
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_feed_the_lists_and_the_counts_agree_with_the_model(
        changes in vec(change(), 0..24), since in 0u64..40, limit in 0usize..12,
    ) {
        let (dir, store) = store();
        let (spaces, keys) = write(&store, |tx| {
            let spaces = [tx.insert_space(space(1), b"")?, tx.insert_space(space(2), b"")?];
            let mut key = |n: usize| tx.ensure_collection(spaces[n / 2], ["a", "b"][n % 2]);
            Ok((spaces, [key(0)?, key(1)?, key(2)?, key(3)?]))
        });
        let (mut model, mut last) = (Model::new(), 0);
        for change in &changes {
            apply(&store, keys, change, &mut model, &mut last);
        }
        compare(&store, spaces, keys, &model, since, limit);
        store.close().unwrap();
        let store = common::open(dir.path());
        compare(&store, spaces, keys, &model, 0, usize::MAX);
        let put = Change { puts: vec![Put { collection: 0, id: 0, value: None }], undone: false };
        apply(&store, keys, &put, &mut model, &mut last);
    }
}

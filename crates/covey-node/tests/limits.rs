//! What a node refuses, and what it holds at a time.

mod common;

use common::{PATIENCE, config, eventually, export, join, node};
use covey_node::{Node, NodeError, Role, Space, SyncState};

#[tokio::test]
async fn bad_documents_ids_and_names_are_refused_with_a_reason() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    let plants = garden.collection("plants").unwrap();
    for bad in ["", "[1]", "{\"a\":}", "{\"a\":1}x", "null", "{\"a\":1e999}"] {
        let err = plants.put(None, bad).await.unwrap_err();
        assert!(matches!(err, NodeError::Invalid(_)), "{bad}: {err}");
    }
    let huge = format!(r#"{{"a":"{}"}}"#, "x".repeat(2 << 20));
    assert!(matches!(plants.put(None, &huge).await, Err(NodeError::TooLarge { .. })));
    assert!(plants.put(Some(""), "{}").await.is_err());
    assert!(plants.put(Some("a\nb"), "{}").await.is_err());
    assert!(garden.collection("").is_err());
    assert!(ada.create_space(" ").await.is_err());
    let rows = vec![(None, "{}".to_owned()), (None, "{".to_owned())];
    let err = plants.put_many(rows).await.unwrap_err().to_string();
    assert!(err.contains("record 2"), "{err}");
    assert_eq!(export(&garden, "plants").await, "");
    assert!(matches!(ada.space("nowhere"), Err(NodeError::NotFound { .. })));
    ada.create_space("garden").await.unwrap();
    let ambiguous = ada.space("garden").unwrap_err();
    assert!(matches!(&ambiguous, NodeError::Ambiguous { candidates, .. } if candidates.len() == 2));
    for space in ada.spaces() {
        let id = space.id().to_string();
        assert!(ambiguous.to_string().contains(&id), "{ambiguous}");
        assert_eq!(ada.space(&id[..12]).unwrap().id(), space.id());
    }
    assert_eq!(ada.space(&garden.id().to_string()[..12]).unwrap().id(), garden.id());
    ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_short_of_room_writes_its_own_takes_nothing_and_says_so() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    join(&here, &bob, Role::Member).await;
    bob.shutdown().await;
    // No disk has that much room.
    let mut short = config(&home.path().join("bob"), "bob");
    short.min_free_bytes = u64::MAX;
    let bob = Node::open(short).await.unwrap();
    let there = bob.space("garden").unwrap();
    let put = |space: &Space, id: &'static str| {
        let plants = space.collection("plants").unwrap();
        async move { plants.put(Some(id), r#"{"n":1}"#).await.unwrap() }
    };
    put(&here, "from ada").await;
    put(&there, "from bob").await;
    eventually("bob's entries still go out", || async { export(&here, "plants").await.lines().count() == 2 })
        .await;
    eventually("bob says why nothing comes in", || async {
        let line = there.status().await.unwrap().sync.remove(0);
        line.state == SyncState::Behind && line.reason.is_some_and(|reason| reason.contains("the disk has"))
    })
    .await;
    let room = bob.doctor().await.into_iter().find(|check| check.name == "room").unwrap();
    assert!(!room.ok && room.remedy.is_some(), "{room:?}");
    assert_eq!(export(&there, "plants").await, "from bob {\"n\":1}\n");
    bob.shutdown().await;

    let bob = Node::open(config(&home.path().join("bob"), "bob")).await.unwrap();
    let there = bob.space("garden").unwrap();
    eventually("with room, the rest comes", || async { export(&there, "plants").await.lines().count() == 2 })
        .await;
    assert!(bob.doctor().await.iter().all(|check| check.name != "room"));
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_joins_with_a_disk_short_of_room_is_told_so_and_by_whom_it_was_let_in() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let here = ada.create_space("garden").await.unwrap();
    let mut short = config(&home.path().join("bob"), "bob");
    short.min_free_bytes = u64::MAX;
    let bob = Node::open(short).await.unwrap();
    let link = here.invite(Role::Member, PATIENCE).await.unwrap().link;
    // It takes all of that by nature: the first entries must be refused by then, on a busy machine too.
    let err = bob.join(&link, std::time::Duration::from_secs(8)).await.unwrap_err().to_string();
    assert!(err.contains("the disk has") && err.contains("goes on by itself"), "{err}");

    let there = bob.space("garden").unwrap();
    // Not at once, if just then the session is another one.
    eventually("the status says so too", || async {
        let sync = there.status().await.unwrap().sync;
        let [line] = sync.as_slice() else { return false };
        (line.peer, line.state) == (ada.identity().device, SyncState::Behind)
            && line.reason.as_ref().is_some_and(|reason| reason.contains("the disk has"))
    })
    .await;
    eventually("and the doctor", || async {
        let checks = bob.doctor().await;
        checks.iter().any(|check| check.name == "sync" && !check.ok && check.detail.contains("the disk has"))
    })
    .await;
    bob.shutdown().await;

    let bob = node(home.path(), "bob").await;
    let there = bob.space("garden").unwrap();
    eventually("with room, the space comes", || async { there.role() == Some(Role::Member) }).await;
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_add_up_to_too_large_a_record_are_refused_and_smaller_ones_still_work() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    let plants = garden.collection("plants").unwrap();
    let put = async |field: usize, len: usize| {
        let doc = format!(r#"{{"field{field}":"{}"}}"#, "x".repeat(len));
        plants.put(Some("fern"), &doc).await
    };
    for field in 0..4 {
        put(field, 1_000_000).await.unwrap();
    }
    let (entries, before) = (garden.status().await.unwrap().entries, plants.get("fern").await.unwrap());
    let err = put(4, 1_000_000).await.unwrap_err();
    assert!(matches!(err, NodeError::TooLarge { max, .. } if max == 4 << 20), "{err}");
    assert!(err.to_string().contains("merged"), "{err}");
    assert_eq!(garden.status().await.unwrap().entries, entries, "nothing of it is written");
    assert!(before.is_some() && plants.get("fern").await.unwrap() == before);
    put(0, 10).await.unwrap();
    put(4, 900_000).await.unwrap();
    assert!(plants.delete("fern").await.unwrap());
    ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_gets_every_large_record_though_it_holds_few_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    let plants = garden.collection("plants").unwrap();
    let doc = format!(r#"{{"v":"{}"}}"#, "x".repeat(700_000));
    for n in 0..7 {
        plants.put(Some(&n.to_string()), &doc).await.unwrap();
    }
    let mut watch = plants.watch(Some(0));
    for n in 0..7 {
        let change = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
        assert_eq!((change.id, change.doc.as_ref()), (n.to_string(), Some(&doc)));
        assert!(format!("{watch:?}").len() < 3_000_000, "two are over the limit already");
    }
    ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_rows_about_one_record_the_last_one_wins_however_many_entries_they_take() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    let plants = garden.collection("plants").unwrap();
    let rows = (0..12_000).map(|n| (Some(format!("p{}", n % 3)), format!(r#"{{"n":{n}}}"#))).collect();
    let written = plants.put_many(rows).await.unwrap();
    assert_eq!((written.records, written.entries), (12_000, 12));
    let last = [(0, 11_997), (1, 11_998), (2, 11_999)];
    let expected: String = last.map(|(p, n)| format!("p{p} {{\"n\":{n}}}\n")).concat();
    assert_eq!(export(&garden, "plants").await, expected);
    ada.shutdown().await;
}

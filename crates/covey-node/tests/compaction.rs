//! Nodes that compact their logs while they go on: whoever is new, or was off, comes to the same.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{config, eventually, export, join};
use covey_node::{CompactionLimits, Node, NodeConfig, Role, Space};
use covey_store::{Store, Unlock};

/// Little enough for a test.
const LIMITS: CompactionLimits = CompactionLimits { min_bytes: 8 << 10, min_percent: 100 };

fn compacting(home: &Path, name: &str) -> NodeConfig {
    NodeConfig { compaction: Some(LIMITS), ..config(&home.join(name), name) }
}

async fn open(home: &Path, name: &str) -> Node {
    Node::open(compacting(home, name)).await.unwrap()
}

/// Writes the same few records again and again.
async fn overwrite(space: &Space, rounds: usize) {
    let plants = space.collection("plants").unwrap();
    for round in 0..rounds {
        let puts =
            (0..5).map(|n| (Some(format!("p{n}")), format!(r#"{{"round":{round},"n":{n}}}"#))).collect();
        plants.put_many(puts).await.unwrap();
    }
}

/// Entries that are on the disk of a node that is not running.
fn stored(home: &Path, name: &str) -> usize {
    let store = Store::open(&home.join(name), Unlock::KeyFile).unwrap();
    let count = store.read_blocking(|reader| {
        let mut count = 0;
        for space in reader.spaces()? {
            for log in reader.logs(space.key)? {
                count += reader.entries(log.key, 1, usize::MAX, usize::MAX)?.len();
            }
        }
        Ok(count)
    });
    store.close().unwrap();
    count.unwrap()
}

/// What the doctor says of compaction.
async fn compaction(node: &Node) -> String {
    let checks = node.doctor().await.into_iter().filter(|check| check.name == "compaction");
    checks.map(|check| check.detail).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_device_overwrites_is_dropped_and_a_newcomer_gets_the_rest() {
    let home = tempfile::tempdir().unwrap();
    let ada = open(home.path(), "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    // The checkpoint may be written while this goes on: what is said in records is counted.
    let written = garden.status().await.unwrap().entries + 300;
    overwrite(&garden, 300).await;
    eventually("a checkpoint is written", || async { garden.status().await.unwrap().entries > written })
        .await;
    let bob = open(home.path(), "bob").await;
    let shared = join(&garden, &bob, Role::Member).await;
    assert_eq!(export(&shared, "plants").await, export(&garden, "plants").await);
    let mut watch = garden.watch(None, None);
    shared.collection("plants").unwrap().put(Some("by bob"), "{}").await.unwrap();
    assert_eq!(watch.next().await.unwrap().id, "by bob");
    let expected = export(&garden, "plants").await;
    eventually("nobody waits for anybody", || async {
        compaction(&ada).await.is_empty() && compaction(&bob).await.is_empty()
    })
    .await;
    bob.shutdown().await;
    ada.shutdown().await;
    for name in ["ada", "bob"] {
        let entries = stored(home.path(), name);
        // It's compacted while it's written: how much has come since differs.
        assert!(entries < 150, "{name} keeps {entries} of {written} entries");
    }
    let ada = open(home.path(), "ada").await;
    assert_eq!(export(&ada.space("garden").unwrap(), "plants").await, expected);
    ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_waits_for_a_device_that_is_off_and_is_dropped_when_it_has_agreed() {
    let home = tempfile::tempdir().unwrap();
    // What is written here is too little for the usual limits.
    let (ada, bob) = (common::node(home.path(), "ada").await, open(home.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    let shared = join(&garden, &bob, Role::Member).await;
    shared.collection("plants").unwrap().put(Some("by bob"), "{}").await.unwrap();
    eventually("ada has it", || async { export(&garden, "plants").await.contains("by bob") }).await;
    bob.shutdown().await;
    overwrite(&garden, 300).await;
    ada.shutdown().await;
    let ada = open(home.path(), "ada").await;
    let garden = ada.space("garden").unwrap();
    eventually("ada waits for bob", || async {
        compaction(&ada).await.contains("bob's laptop (last seen 0")
    })
    .await;
    let written = garden.status().await.unwrap().entries;
    let mut back = compacting(home.path(), "bob");
    back.bootstrap = ada.listen_addresses().await;
    let bob = Node::open(back).await.unwrap();
    let shared = bob.space("garden").unwrap();
    eventually("nobody waits for anybody", || async {
        export(&shared, "plants").await == export(&garden, "plants").await
            && garden.status().await.unwrap().entries > written
            && compaction(&ada).await.is_empty()
            && compaction(&bob).await.is_empty()
    })
    .await;
    let expected = export(&garden, "plants").await;
    assert_eq!(expected.lines().count(), 6);
    bob.shutdown().await;
    ada.shutdown().await;
    for name in ["ada", "bob"] {
        let entries = stored(home.path(), name);
        assert!(entries < 60, "{name} keeps {entries} of {written} entries");
    }
    let bob = open(home.path(), "bob").await;
    assert_eq!(export(&bob.space("garden").unwrap(), "plants").await, expected);
    bob.shutdown().await;
}

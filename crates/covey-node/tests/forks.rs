//! A home that was cloned: both copies write, a third node hears both, and nothing that was acknowledged is lost.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{PATIENCE, config, eventually, export, join, node};
use covey_node::{Deed, Event, NetworkMode, Node, NodeConfig, Role, Space, SyncState};

async fn put(space: &Space, id: &str, value: u32) {
    let doc = format!(r#"{{"v":{value}}}"#);
    space.collection("plants").unwrap().put(Some(id), &doc).await.unwrap();
}

async fn has(space: &Space, id: &str, value: u32) {
    let plants = space.collection("plants").unwrap();
    let doc = format!(r#"{{"v":{value}}}"#);
    let is_there = || async { plants.get(id).await.unwrap().as_deref() == Some(doc.as_str()) };
    eventually(&format!("{id} is {value}"), is_there).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let path = found.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Ada's settings in this home: alone, or with Bob to be found.
async fn ada_in(home: &Path, bob: Option<&Node>) -> NodeConfig {
    let mut config = config(home, "ada");
    match bob {
        Some(bob) => config.bootstrap = bob.listen_addresses().await,
        None => config.network = NetworkMode::Solo,
    }
    config
}

async fn in_sync(space: &Space) {
    let all = || async {
        let sync = space.status().await.unwrap().sync;
        !sync.is_empty() && sync.iter().all(|line| line.state == SyncState::InSync)
    };
    eventually("in sync", all).await;
}

async fn check(node: &Node, name: &str) -> Option<String> {
    let checks = node.doctor().await;
    checks.into_iter().find(|check| check.name == name && !check.ok).map(|check| check.detail)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_copies_of_a_cloned_home_keep_what_they_acknowledged_and_a_third_node_tells_them() {
    let dir = tempfile::tempdir().unwrap();
    let (home, clone) = (dir.path().join("ada"), dir.path().join("clone"));
    let (ada, bob) = (node(dir.path(), "ada").await, node(dir.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    let bobs = join(&garden, &bob, Role::Member).await;
    put(&garden, "bean", 1).await;
    has(&bobs, "bean", 1).await;
    ada.shutdown().await;
    copy(&home, &clone);

    // One copy writes with Bob near, the other one alone.
    let ada = Node::open(ada_in(&home, Some(&bob)).await).await.unwrap();
    let garden = ada.space("garden").unwrap();
    for n in 0..3 {
        put(&garden, &format!("here {n}"), n).await;
    }
    put(&garden, "bean", 2).await;
    has(&bobs, "bean", 2).await;
    ada.shutdown().await;
    let other = Node::open(ada_in(&clone, None).await).await.unwrap();
    let others = other.space("garden").unwrap();
    for n in 0..7 {
        put(&others, &format!("there {n}"), n).await;
    }
    other.shutdown().await;

    // The copy that was alone meets Bob: the proof is found, and it writes what it had again.
    let mut events = bob.events();
    let other = Node::open(ada_in(&clone, Some(&bob)).await).await.unwrap();
    let others = other.space("garden").unwrap();
    for n in 0..7 {
        has(&bobs, &format!("there {n}"), n).await;
    }
    in_sync(&others).await;
    // What is proved of the log comes to Bob on another way than what was written again.
    eventually("bob has what counts", || async {
        export(&others, "plants").await == export(&bobs, "plants").await
    })
    .await;
    let told = async {
        loop {
            if let Event::LogForked { device, seq, .. } = events.recv().await.unwrap() {
                return (device, seq);
            }
        }
    };
    let (device, seq) = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert_eq!(device, other.identity().device);
    assert!(check(&other, "own-log").await.unwrap().contains("was written again"));
    other.shutdown().await;

    // What the first copy had written doesn't count until it hears of it from Bob, and writes it again.
    let ada = Node::open(ada_in(&home, Some(&bob)).await).await.unwrap();
    let garden = ada.space("garden").unwrap();
    for n in 0..3 {
        has(&bobs, &format!("here {n}"), n).await;
    }
    for n in 0..7 {
        has(&garden, &format!("there {n}"), n).await;
    }
    has(&bobs, "bean", 2).await;
    in_sync(&garden).await;
    eventually("both have the same", || async {
        export(&garden, "plants").await == export(&bobs, "plants").await
    })
    .await;
    put(&garden, "after", 1).await;
    has(&bobs, "after", 1).await;

    // Both tell of it, with the proof.
    let text = check(&bob, "fork").await.unwrap();
    assert!(text.contains("ada's laptop") && text.contains(&format!("from entry {seq} ")), "{text}");
    assert!(check(&bob, "own-log").await.is_none() && check(&ada, "fork").await.is_none());
    let forks = bobs.status().await.unwrap().forks;
    assert_eq!(forks.iter().map(|fork| (fork.device, fork.seq)).collect::<Vec<_>>(), [(device, seq)]);
    let acts = bobs.audit().await.unwrap();
    let proved = acts.iter().find_map(|act| match act.deed {
        Deed::Fork { hashes } => Some((act.seq, hashes)),
        _ => None,
    });
    let proofs = bobs.fork_proofs().await.unwrap();
    assert_eq!(proved, Some((seq, proofs[0].proof().hashes())));
    ada.shutdown().await;
    bob.shutdown().await;
}

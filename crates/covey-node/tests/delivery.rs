//! On which devices records are: told as soon as it's known, and never more than is true.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use std::{fs, path::Path};

use common::{PATIENCE, config, eventually, join, node};
use covey_node::{Collection, DeviceId, Event, Node, RecordSync, Role, Space};

fn on(devices: &[DeviceId]) -> Vec<DeviceId> {
    let mut sorted = devices.to_vec();
    sorted.sort_unstable();
    sorted
}

async fn state(plants: &Collection, id: &str) -> RecordSync {
    let mut sync = plants.sync_state(id).await.unwrap().unwrap();
    sync.on.sort_unstable();
    sync.not_on.sort_unstable();
    sync
}

async fn pending(space: &Space) -> u64 {
    space.status().await.unwrap().pending
}

/// Opens Bob's node, who finds Ada though she may have moved.
async fn bob_again(home: &Path, ada: &Node) -> Node {
    let mut config = config(home, "bob");
    config.bootstrap = ada.listen_addresses().await;
    Node::open(config).await.unwrap()
}

/// Copies a home that isn't open.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_pending_until_another_device_has_it_on_disk() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let bob_id = bob.identity().device;
    let garden = ada.create_space("garden").await.unwrap();
    let plants = garden.collection("plants").unwrap();
    plants.put(Some("alone"), r#"{"n":0}"#).await.unwrap();
    assert_eq!(state(&plants, "alone").await, RecordSync::default(), "there is nobody else");
    join(&garden, &bob, Role::Member).await;
    eventually("bob has all", || async { pending(&garden).await == 0 }).await;
    assert_eq!(state(&plants, "alone").await, RecordSync { on: on(&[bob_id]), not_on: vec![] });

    bob.shutdown().await;
    plants.put(Some("later"), r#"{"n":1}"#).await.unwrap();
    plants.put(Some("later too"), r#"{"n":1}"#).await.unwrap();
    assert!(state(&plants, "later").await.is_pending());
    assert_eq!(state(&plants, "alone").await.on, on(&[bob_id]), "what he had he has");
    assert_eq!(pending(&garden).await, 2);

    // The node that wrote it goes and comes back, and still knows what the other had.
    ada.shutdown().await;
    let ada = Node::open(config(&home.path().join("ada"), "ada")).await.unwrap();
    let garden = ada.space("garden").unwrap();
    let plants = garden.collection("plants").unwrap();
    assert_eq!(state(&plants, "alone").await.on, on(&[bob_id]));
    assert_eq!(state(&plants, "later").await, RecordSync { on: vec![], not_on: on(&[bob_id]) });

    let bob = bob_again(&home.path().join("bob"), &ada).await;
    eventually("bob has it", || async { !state(&plants, "later too").await.is_pending() }).await;
    assert_eq!(pending(&garden).await, 0);
    assert_eq!(plants.sync_state("never").await.unwrap(), None);
    // What Bob sees: Ada wrote it, so she has it.
    let shared = bob.space("garden").unwrap();
    let there = state(&shared.collection("plants").unwrap(), "later").await;
    assert_eq!(there, RecordSync { on: on(&[ada.identity().device]), not_on: vec![] });
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_tells_up_to_which_time_each_device_has_what_was_written() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let (ada_id, bob_id) = (ada.identity().device, bob.identity().device);
    let garden = ada.create_space("garden").await.unwrap();
    join(&garden, &bob, Role::Member).await;
    let mut events = ada.events();
    let plants = garden.collection("plants").unwrap();
    let (mut last, began) = (None, std::time::Instant::now());
    for i in 0..50 {
        last = Some(plants.put(Some(&format!("p{i}")), r#"{"n":1}"#).await.unwrap().hlc);
    }
    let last = last.unwrap();
    let told = async {
        let mut told = 0;
        loop {
            if let Event::Delivered { space, device, up_to } = events.recv().await.unwrap() {
                assert_eq!((space, device), (garden.id(), bob_id));
                told += 1;
                if up_to >= last {
                    return told;
                }
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
    // What comes within a tenth of a second is told of at once.
    let most = 2 + began.elapsed().as_millis() / 100;
    assert!(told <= most, "{told} events, not {most}");
    let deliveries = garden.deliveries().await.unwrap();
    assert_eq!(deliveries.of(ada_id, last).collect::<Vec<_>>(), [bob_id]);
    let later = covey_node::Hlc::from_u64(last.to_u64() + (1 << 40));
    assert_eq!(deliveries.of(ada_id, later).count(), 0, "what is written later is nowhere yet");
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_devices_each_is_told_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let cem = node(home.path(), "cem").await;
    let (bob_id, cem_id) = (bob.identity().device, cem.identity().device);
    let garden = ada.create_space("garden").await.unwrap();
    let at_bob = join(&garden, &bob, Role::Member).await;
    join(&garden, &cem, Role::Member).await;
    let plants = garden.collection("plants").unwrap();
    plants.put(Some("x"), r#"{"n":1}"#).await.unwrap();
    eventually("both have it", || async { state(&plants, "x").await.on == on(&[bob_id, cem_id]) }).await;
    cem.shutdown().await;
    // One field by Ada, one by Bob, a count by each: who has not all of it has not the record.
    at_bob.collection("plants").unwrap().put(Some("x"), r#"{"m":1}"#).await.unwrap();
    eventually("ada has bob's part", || async {
        plants.get("x").await.unwrap().is_some_and(|doc| doc.contains("\"m\""))
    })
    .await;
    assert_eq!(state(&plants, "x").await, RecordSync { on: on(&[bob_id]), not_on: on(&[cem_id]) });
    plants.add("x", "count", 1).await.unwrap();
    plants.put(Some("y"), "{}").await.unwrap();
    eventually("bob has it", || async { state(&plants, "x").await.on == on(&[bob_id]) }).await;
    let many = plants.sync_states(vec!["y".into(), "none".into(), "x".into()]).await.unwrap();
    assert!(many[1].is_none() && many[0].is_some() && many[2].is_some());

    // Bob goes, and still has it; Cem comes back and gets it.
    bob.shutdown().await;
    let cem = Node::open(config(&home.path().join("cem"), "cem")).await.unwrap();
    eventually("cem has it", || async { state(&plants, "x").await.on == on(&[bob_id, cem_id]) }).await;
    for node in [ada, cem] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_lost_what_it_had_or_was_put_out_is_not_said_to_have_it() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let (bob_home, old) = (home.path().join("bob"), home.path().join("old"));
    let bob_id = bob.identity().device;
    let garden = ada.create_space("garden").await.unwrap();
    let plants = garden.collection("plants").unwrap();
    join(&garden, &bob, Role::Member).await;
    bob.shutdown().await;
    copy(&bob_home, &old);
    let bob = Node::open(config(&bob_home, "bob")).await.unwrap();
    let first = plants.put(Some("x"), r#"{"n":1}"#).await.unwrap();
    eventually("bob has it", || async { state(&plants, "x").await.on == on(&[bob_id]) }).await;
    bob.shutdown().await;

    // Bob's home is set back to what it was, and its disk is full: he says what he has, and stores nothing.
    let mut full = config(&old, "bob");
    full.min_free_bytes = u64::MAX;
    let mut events = ada.events();
    let bob = Node::open(full).await.unwrap();
    eventually("bob has lost it", || async { state(&plants, "x").await.is_pending() }).await;
    let told_of_less = async {
        loop {
            // What he had before may still be told of, too.
            if let Event::Delivered { device, up_to, .. } = events.recv().await.unwrap()
                && device == bob_id
                && up_to < first.hlc
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told_of_less).await.expect("it's told that he has less");
    bob.shutdown().await;
    ada.shutdown().await;
    let ada = Node::open(config(&home.path().join("ada"), "ada")).await.unwrap();
    let garden = ada.space("garden").unwrap();
    let plants = garden.collection("plants").unwrap();
    assert!(state(&plants, "x").await.is_pending(), "remembered while he is away");
    let bob = bob_again(&old, &ada).await;
    eventually("bob has it again", || async { state(&plants, "x").await.on == on(&[bob_id]) }).await;

    let bobs_user = bob.identity().user;
    garden.remove_member(bobs_user).await.unwrap();
    assert_eq!(state(&plants, "x").await, RecordSync::default(), "who is put out doesn't count");
    assert_eq!(garden.deliveries().await.unwrap().devices, []);
    bob.shutdown().await;
    ada.shutdown().await;
}

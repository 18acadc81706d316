//! Homes that come back: from a backup, or copied by hand. A log never forks by it, unless somebody writes in an old
//! copy before it has met anybody, and then it's told.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::path::{Path, PathBuf};

use common::{PATIENCE, config, eventually, export, join, node};
use covey_node::{
    BackupOrder, Event, NetworkMode, Node, NodeConfig, Role, Space, SyncState, Unlock, restore,
};
use tokio::sync::watch;

const WORDS: &str = "correct horse";

async fn put(space: &Space, id: &str) {
    space.collection("plants").unwrap().put(Some(id), "{}").await.unwrap();
}

async fn has(space: &Space, ids: &[&str]) {
    let plants = space.collection("plants").unwrap();
    for id in ids {
        eventually(id, || async { plants.get(id).await.unwrap().is_some() }).await;
    }
}

fn order(to: &Path) -> (BackupOrder, watch::Receiver<Option<covey_node::Progress>>) {
    let (told, progress) = watch::channel(None);
    (BackupOrder { to: to.to_owned(), passphrase: WORDS.to_owned().into(), told }, progress)
}

async fn back_up(node: &Node, to: &Path) {
    let (order, _listens) = order(to);
    node.backup(order).await.unwrap();
}

async fn restored(from: &Path, home: &Path) {
    let (told, _listens) = watch::channel(None);
    restore(from, WORDS.to_owned().into(), home, Unlock::KeyFile, told).await.unwrap();
}

/// The settings of Ada's device in this home, which finds Bob.
async fn finds(bob: &Node, home: &Path) -> NodeConfig {
    let mut config = config(home, "ada");
    config.bootstrap = bob.listen_addresses().await;
    config
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let path = found.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Whether a node tells of a fork of its own.
async fn tells_of_a_fork(node: &Node) -> bool {
    node.doctor().await.iter().any(|check| check.name == "own-log" && !check.ok)
}

async fn in_sync(space: &Space) {
    let all = || async {
        let sync = space.status().await.unwrap().sync;
        sync.iter().all(|line| line.state == SyncState::InSync && line.missing_there == 0)
    };
    eventually("in sync", all).await;
}

/// Ada and Bob in one space, with `first` in it.
async fn pair(dir: &Path) -> (Node, Node, Space, Space) {
    let (ada, bob) = (node(dir, "ada").await, node(dir, "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    let bobs = join(&garden, &bob, Role::Member).await;
    put(&garden, "first").await;
    has(&bobs, &["first"]).await;
    (ada, bob, garden, bobs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_device_gets_back_what_it_wrote_after_the_backup_and_forks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, bob, garden, bobs) = pair(dir.path()).await;
    let (file, home) = (dir.path().join("b"), dir.path().join("new"));
    back_up(&ada, &file).await;
    put(&garden, "after the backup").await;
    has(&bobs, &["after the backup"]).await;
    let who = ada.identity();
    ada.shutdown().await;

    restored(&file, &home).await;
    // Written before it has met anybody: the old log would be forked by it.
    let mut alone = config(&home, "ada");
    alone.network = NetworkMode::Solo;
    let ada = Node::open(alone).await.unwrap();
    assert_eq!(ada.identity(), who);
    let garden = ada.space("garden").unwrap();
    put(&garden, "before it met anybody").await;
    ada.shutdown().await;
    let mut heard = bob.events();
    let ada = Node::open(finds(&bob, &home).await).await.unwrap();
    let garden = ada.space("garden").unwrap();
    let all = ["first", "after the backup", "before it met anybody"];
    has(&garden, &all).await;
    has(&bobs, &all).await;
    // Bob is told, once, that the device goes on in another log.
    let heard: Vec<Event> = std::iter::from_fn(|| heard.try_recv().ok()).collect();
    let new_logs: Vec<_> = heard
        .iter()
        .filter_map(|event| match event {
            Event::NewLog { space, device } => Some((*space, *device)),
            _ => None,
        })
        .collect();
    assert_eq!(new_logs, [(bobs.id(), who.device)]);
    put(&garden, "later").await;
    has(&bobs, &["later"]).await;
    in_sync(&garden).await;
    in_sync(&bobs).await;
    assert_eq!(export(&garden, "plants").await, export(&bobs, "plants").await);
    assert!(!tells_of_a_fork(&ada).await && !tells_of_a_fork(&bob).await);
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_backup_restored_on_two_machines_loses_nothing_of_either() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, bob, _, bobs) = pair(dir.path()).await;
    let file = dir.path().join("b");
    back_up(&ada, &file).await;
    ada.shutdown().await;
    let mut running = Vec::new();
    for name in ["one", "two"] {
        let home = dir.path().join(name);
        restored(&file, &home).await;
        let node = Node::open(finds(&bob, &home).await).await.unwrap();
        put(&node.space("garden").unwrap(), name).await;
        running.push(node);
    }
    has(&bobs, &["first", "one", "two"]).await;
    for node in &running {
        assert!(!tells_of_a_fork(node).await);
    }
    assert!(!tells_of_a_fork(&bob).await);
    // Once only one of them runs, it has the other's too.
    let (one, two) = (running.remove(0), running.remove(0));
    two.shutdown().await;
    let garden = one.space("garden").unwrap();
    has(&garden, &["two"]).await;
    assert_eq!(export(&garden, "plants").await, export(&bobs, "plants").await);
    one.shutdown().await;
    bob.shutdown().await;
}

/// Ada's home as it was with `first` in it, while she has gone on and Bob has `gone on` too. She runs no more.
async fn an_old_copy(dir: &Path) -> (Node, Space, PathBuf) {
    let (ada, bob, _, bobs) = pair(dir).await;
    ada.shutdown().await;
    let old = dir.join("old");
    copy(&dir.join("ada"), &old);
    let ada = Node::open(finds(&bob, &dir.join("ada")).await).await.unwrap();
    put(&ada.space("garden").unwrap(), "gone on").await;
    has(&bobs, &["gone on"]).await;
    ada.shutdown().await;
    (bob, bobs, old)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_was_copied_back_gets_its_log_back_and_goes_on_in_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let (bob, bobs, old) = an_old_copy(dir.path()).await;
    let ada = Node::open(finds(&bob, &old).await).await.unwrap();
    let garden = ada.space("garden").unwrap();
    has(&garden, &["first", "gone on"]).await;
    put(&garden, "in a new log").await;
    has(&bobs, &["in a new log"]).await;
    in_sync(&garden).await;
    in_sync(&bobs).await;
    assert_eq!(export(&garden, "plants").await, export(&bobs, "plants").await);
    assert!(!tells_of_a_fork(&ada).await && !tells_of_a_fork(&bob).await);
    // And stays there after a restart: one new log is enough.
    ada.shutdown().await;
    let ada = Node::open(finds(&bob, &old).await).await.unwrap();
    let garden = ada.space("garden").unwrap();
    put(&garden, "later").await;
    has(&bobs, &["later"]).await;
    in_sync(&garden).await;
    ada.shutdown().await;
    bob.shutdown().await;
}

/// Writes `entries` in an old copy before it meets anybody, then lets it meet Bob.
async fn forks_and_tells(entries: u32) {
    let dir = tempfile::tempdir().unwrap();
    let (bob, _, old) = an_old_copy(dir.path()).await;
    let mut alone = config(&old, "ada");
    alone.network = NetworkMode::Solo;
    let ada = Node::open(alone).await.unwrap();
    for n in 0..entries {
        put(&ada.space("garden").unwrap(), &format!("alone {n}")).await;
    }
    assert!(!tells_of_a_fork(&ada).await, "nobody knows yet");
    ada.shutdown().await;

    // Bob comes when somebody listens to what Ada's node tells.
    bob.shutdown().await;
    let ada = Node::open(config(&old, "ada")).await.unwrap();
    let mut events = ada.events();
    let mut near = config(&dir.path().join("bob"), "bob");
    near.bootstrap = ada.listen_addresses().await;
    let bob = Node::open(near).await.unwrap();
    let bobs = bob.space("garden").unwrap();
    eventually("the doctor tells of it", || tells_of_a_fork(&ada)).await;
    let garden = ada.space("garden").unwrap();
    put(&garden, "in a new log").await;
    has(&bobs, &["first", "in a new log"]).await;
    for n in 0..entries {
        has(&bobs, &[&format!("alone {n}")]).await;
    }
    // What the newer home wrote, which is gone for good, doesn't count any more: nobody is left to write it again.
    let plants = bobs.collection("plants").unwrap();
    eventually("gone on is gone", || async { plants.get("gone on").await.unwrap().is_none() }).await;
    let told = async { while !matches!(events.recv().await.unwrap(), Event::OwnLogForked { .. }) {} };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    // What was noticed is remembered.
    ada.shutdown().await;
    let mut alone = config(&old, "ada");
    alone.network = NetworkMode::Solo;
    let ada = Node::open(alone).await.unwrap();
    assert!(tells_of_a_fork(&ada).await);
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_that_was_written_to_once_tells_of_the_fork_and_goes_on_in_another_log() {
    forks_and_tells(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_that_was_written_to_more_than_the_newer_one_tells_of_it_too() {
    forks_and_tells(5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_nobody_waits_for_any_more_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let ada = node(dir.path(), "ada").await;
    let (order, listens) = order(&dir.path().join("b"));
    drop(listens);
    assert!(ada.backup(order).await.is_err());
    assert!(!dir.path().join("b").exists());
    ada.shutdown().await;
}

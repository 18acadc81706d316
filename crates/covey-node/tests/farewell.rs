//! Somebody who was put out while away hears of it, and by whom; and clocks that differ are told of.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::{config, eventually, export, join, node};
use covey_node::{Event, Node, NodeConfig, Role, WallClock};

const YEAR_MS: u64 = 31_557_600_000;

async fn put(space: &covey_node::Space, id: &str) {
    space.collection("plants").unwrap().put(Some(id), r#"{"n":1}"#).await.unwrap();
}

/// Waits for an event.
async fn heard(
    events: &mut tokio::sync::broadcast::Receiver<Event>,
    is_it: impl Fn(&Event) -> bool,
) -> Event {
    let wait = async {
        loop {
            if let Ok(event) = events.recv().await
                && is_it(&event)
            {
                return event;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, wait).await.expect("the event comes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_was_removed_while_away_is_told_by_whom_and_reads_nothing_written_since() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    put(&there, "before").await;
    eventually("ada has it", || async { export(&here, "plants").await.contains("before") }).await;
    bob.shutdown().await;
    for n in 0..50 {
        put(&here, &format!("meanwhile {n}")).await;
    }
    let person = bob.identity().user;
    here.remove_member(person).await.unwrap();
    put(&here, "secret").await;
    ada.shutdown().await;

    let bob = node(home.path(), "bob").await;
    let mut events = bob.events();
    let there = bob.space(&here.id().to_string()).unwrap();
    // Only now that somebody listens can Bob hear of it.
    let mut near = config(&home.path().join("ada"), "ada");
    near.bootstrap = bob.listen_addresses().await;
    let ada = Node::open(near).await.unwrap();
    let here = ada.space("garden").unwrap();
    let told = heard(&mut events, |event| matches!(event, Event::Removed { .. })).await;
    assert!(matches!(told, Event::Removed { by: Some(name), .. } if name == "ada"));
    let status = there.status().await.unwrap();
    assert_eq!((status.role, status.sync.len()), (None, 0));
    let removed = status.removed.unwrap();
    assert_eq!((removed.by.as_deref(), removed.own), (Some("ada"), false));
    assert!(!export(&there, "plants").await.contains("secret"));
    let checks = bob.doctor().await;
    assert!(checks.iter().any(|check| check.detail.contains("you were removed by ada")), "{checks:?}");
    let lines = here.status().await.unwrap().entries;
    assert!(
        there.status().await.unwrap().entries < lines,
        "not even sealed entries came that were written after"
    );
    for node in [ada, bob] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_removed_each_other_while_apart_both_hear_of_it() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let mut cem = config(&home.path().join("cem"), "cem");
    cem.bootstrap = Vec::new();
    let cem = Node::open(cem).await.unwrap();
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Owner).await;
    // An owner who is left, and is away for all that follows.
    join(&here, &cem, Role::Owner).await;
    let everyone = || async { here.members().len() == 3 && there.members().len() == 3 };
    eventually("all know each other", everyone).await;
    cem.shutdown().await;
    let bobs_place = bob.listen_addresses().await;
    let (a, b) = (ada.identity().user, bob.identity().user);
    ada.shutdown().await;
    there.remove_member(a).await.unwrap();
    bob.shutdown().await;
    drop(bobs_place);
    let ada = node(home.path(), "ada").await;
    let here = ada.space(&there.id().to_string()).unwrap();
    here.remove_member(b).await.unwrap();

    let mut near = config(&home.path().join("bob"), "bob");
    near.bootstrap = ada.listen_addresses().await;
    let bob = Node::open(near).await.unwrap();
    let there = bob.space(&here.id().to_string()).unwrap();
    eventually("both are out", || async { here.role().is_none() && there.role().is_none() }).await;
    let by = |space: &covey_node::Space| {
        let space = space.clone();
        async move { space.status().await.unwrap().removed.and_then(|removal| removal.by) }
    };
    let told = || async { (by(&here).await, by(&there).await) == (Some("bob".into()), Some("ada".into())) };
    eventually("both know by whom", told).await;
    for node in [ada, bob] {
        node.shutdown().await;
    }
}

/// A clock that is off by so much.
fn off(config: NodeConfig, ahead_ms: &Arc<AtomicU64>) -> NodeConfig {
    let ahead_ms = Arc::clone(ahead_ms);
    let now = move || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
        u64::try_from(now).unwrap_or(u64::MAX).wrapping_add(ahead_ms.load(Ordering::Relaxed))
    };
    NodeConfig { clock: WallClock::new(now), ..config }
}

async fn clock_check(node: &Node) -> covey_node::Check {
    node.doctor().await.into_iter().find(|check| check.name == "clock").unwrap()
}

/// Two nodes of which one has a clock that is off: what both say and can do.
async fn apart_by(ahead_ms: u64, way: (&str, &str)) {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let ahead = Arc::new(AtomicU64::new(ahead_ms));
    let mut near = off(config(&home.path().join("bob"), "bob"), &ahead);
    near.bootstrap = ada.listen_addresses().await;
    let bob = Node::open(near).await.unwrap();
    let here = ada.create_space("garden").await.unwrap();
    let invitation = here.invite(Role::Member, Duration::from_secs(60)).await.unwrap();
    let (mut at_ada, mut at_bob) = (ada.events(), bob.events());
    let there = bob.join(&invitation.code, common::PATIENCE).await.unwrap().space;
    for events in [&mut at_ada, &mut at_bob] {
        heard(events, |event| matches!(event, Event::ClocksDiffer { .. })).await;
    }
    let clock = here_clock(&ada).await;
    assert!(clock.ahead_ms.unsigned_abs() > YEAR_MS - 100_000, "{clock:?}");
    assert_eq!(clock.device, bob.identity().device);
    for (node, way) in [(&ada, way.0), (&bob, way.1)] {
        let check = clock_check(node).await;
        assert!(!check.ok && check.detail.contains(way), "{check:?}");
    }
    // Both go on with their work.
    put(&there, "of bob").await;
    assert!(export(&there, "plants").await.contains("of bob"));
    put(&here, "of ada").await;
    assert!(export(&here, "plants").await.contains("of ada"));
    let is_ahead = ahead_ms < u64::MAX >> 1;
    let (behind, early, late) = if is_ahead { (&ada, &here, "of bob") } else { (&bob, &there, "of ada") };
    eventually("what is dated in the future is held", || async {
        behind.doctor().await.iter().any(|check| check.name == "held" && !check.ok)
    })
    .await;
    assert!(!export(early, "plants").await.contains(late));
    let (other, own) = if is_ahead { (&there, "of ada") } else { (&here, "of bob") };
    eventually("and the past applies", || async { export(other, "plants").await.contains(own) }).await;
    // The one that was held back didn't move the other's clock.
    put(early, "later").await;
    let span = way.0.rsplit_once(" ahead").or_else(|| way.0.rsplit_once(" behind")).unwrap().0;
    assert!(clock_check(behind).await.detail.contains(span));
    for node in [ada, bob] {
        node.shutdown().await;
    }
}

async fn here_clock(node: &Node) -> covey_node::ClockStatus {
    // There's none for a moment while one session takes another's place.
    let known = std::cell::RefCell::new(Vec::new());
    eventually("a clock is known", || async {
        let clocks = node.status().await.unwrap().clocks;
        let is_one = clocks.len() == 1;
        known.replace(clocks);
        is_one
    })
    .await;
    known.take().remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_whose_clock_is_two_years_ahead_is_named_by_others_and_told_itself() {
    apart_by(2 * YEAR_MS, ("2 years ahead of", "2 years behind")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_whose_clock_is_a_year_behind_comes_in_all_the_same_and_works() {
    apart_by(YEAR_MS.wrapping_neg(), ("365 days behind", "365 days ahead of")).await;
}

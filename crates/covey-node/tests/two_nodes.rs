//! Two and three nodes over real QUIC on loopback, with real stores.

mod common;

use std::time::Duration;

use common::{PATIENCE, config, eventually, export, join, node};
use covey_node::{Event, JoinError, Node, NodeError, Role, SyncState};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joiner_gets_everything_and_both_see_each_others_changes_live() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    let plants = garden.collection("plants").unwrap();
    let rows = (0..2500).map(|i| (None, format!(r#"{{"name":"plant {i}","bed":{}}}"#, i % 7))).collect();
    let many = plants.put_many(rows).await.unwrap();
    assert_eq!((many.records, many.entries), (2500, 3));

    let shared = join(&garden, &bob, Role::Member).await;
    assert_eq!(shared.name(), "garden");
    assert_eq!(export(&garden, "plants").await, export(&shared, "plants").await);

    let mut watch = garden.watch(None, None);
    let put = shared.collection("plants").unwrap().put(None, r#"{"name":"from bob"}"#).await.unwrap();
    let change = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    assert_eq!((change.id, change.doc.as_deref()), (put.id.clone(), Some(r#"{"name":"from bob"}"#)));

    let mut watch = shared.watch(Some("plants".into()), None);
    assert!(plants.delete(&put.id).await.unwrap());
    let change = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    assert_eq!((change.id, change.doc), (put.id, None));

    eventually("both in sync", || async {
        let here = garden.status().await.unwrap();
        let there = shared.status().await.unwrap();
        [here, there]
            .iter()
            .all(|s| s.sync.len() == 1 && s.sync[0].state == SyncState::InSync && s.sync[0].reason.is_none())
    })
    .await;
    let members = garden.members();
    assert_eq!(members.len(), 2);
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_off_catches_up_by_itself_both_ways() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    join(&garden, &bob, Role::Member).await;
    let ada_listens = ada.listen_addresses().await;
    bob.shutdown().await;
    let plants = garden.collection("plants").unwrap();
    for i in 0..20 {
        plants.put(Some(&format!("a{i}")), r#"{"by":"ada"}"#).await.unwrap();
    }
    // Bob works alone for a while, then finds Ada again by the address that he kept.
    let mut alone = config(&home.path().join("bob"), "bob");
    alone.network = covey_node::NetworkMode::Solo;
    let bob = Node::open(alone).await.unwrap();
    let shared = bob.space("garden").unwrap();
    shared.collection("plants").unwrap().put(Some("b"), r#"{"by":"bob"}"#).await.unwrap();
    bob.shutdown().await;
    let bob = Node::open(config(&home.path().join("bob"), "bob")).await.unwrap();
    let shared = bob.space("garden").unwrap();
    eventually(&format!("caught up with {ada_listens:?}"), || async {
        export(&garden, "plants").await.lines().count() == 21
            && export(&garden, "plants").await == export(&shared, "plants").await
    })
    .await;
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_node_gets_entries_through_the_second() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    garden.collection("plants").unwrap().put(Some("x"), r#"{"by":"ada"}"#).await.unwrap();
    let at_bob = join(&garden, &bob, Role::Admin).await;
    ada.shutdown().await;
    let cem = node(home.path(), "cem").await;
    let at_cem = join(&at_bob, &cem, Role::Member).await;
    assert_eq!(export(&at_cem, "plants").await, "x {\"by\":\"ada\"}\n");
    at_cem.collection("plants").unwrap().put(Some("x"), r#"{"seen":"cem"}"#).await.unwrap();
    eventually("bob has it", || async {
        export(&at_bob, "plants").await == "x {\"by\":\"ada\",\"seen\":\"cem\"}\n"
    })
    .await;
    assert_eq!(at_cem.members().len(), 3);
    bob.shutdown().await;
    cem.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writes_of_one_record_converge_field_by_field() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    let shared = join(&garden, &bob, Role::Member).await;
    let (here, there) = (garden.collection("plants").unwrap(), shared.collection("plants").unwrap());
    for i in 0..50 {
        let (a, b) = (format!(r#"{{"a":{i},"both":"a{i}"}}"#), format!(r#"{{"b":{i},"both":"b{i}"}}"#));
        let (one, two) = tokio::join!(here.put(Some("x"), &a), there.put(Some("x"), &b));
        one.unwrap();
        two.unwrap();
        here.add("x", "count", 1).await.unwrap();
        there.add("x", "count", 10).await.unwrap();
    }
    there.insert("x", "tags", r#""green""#).await.unwrap();
    eventually("the same record", || async {
        let (one, two) = (here.get("x").await.unwrap(), there.get("x").await.unwrap());
        one == two && one.is_some_and(|doc| doc.contains(r#""count":550"#) && doc.contains("green"))
    })
    .await;
    let doc = here.get("x").await.unwrap().unwrap();
    assert!(doc.contains(r#""a":49"#) && doc.contains(r#""b":49"#), "{doc}");
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_reads_and_cannot_write_or_invite() {
    let home = tempfile::tempdir().unwrap();
    let (ada, gil) = (node(home.path(), "ada").await, node(home.path(), "gil").await);
    let garden = ada.create_space("garden").await.unwrap();
    garden.collection("plants").unwrap().put(Some("x"), "{}").await.unwrap();
    let at_gil = join(&garden, &gil, Role::Guest).await;
    let plants = at_gil.collection("plants").unwrap();
    assert_eq!(plants.get("x").await.unwrap().as_deref(), Some("{}"));
    assert!(matches!(plants.put(None, "{}").await, Err(NodeError::NotAllowed { needed: "member", .. })));
    assert!(matches!(plants.delete("x").await, Err(NodeError::NotAllowed { .. })));
    let invite = at_gil.invite(Role::Guest, Duration::from_secs(60)).await;
    assert!(matches!(invite, Err(NodeError::NotAllowed { needed: "admin", .. })));
    ada.shutdown().await;
    gil.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_invitation_can_raise_a_member_and_never_lowers_one() {
    let home = tempfile::tempdir().unwrap();
    let (ada, gil) = (node(home.path(), "ada").await, node(home.path(), "gil").await);
    let garden = ada.create_space("garden").await.unwrap();
    let shared = join(&garden, &gil, Role::Guest).await;
    let role_at = |space: &covey_node::Space| {
        space.members().into_iter().find(|member| member.name == "gil").map(|member| member.role)
    };
    assert_eq!(role_at(&garden), Some(Role::Guest));
    join(&garden, &gil, Role::Admin).await;
    assert_eq!(role_at(&garden), Some(Role::Admin));
    eventually("gil knows", || async { role_at(&shared) == Some(Role::Admin) }).await;
    join(&garden, &gil, Role::Member).await;
    assert_eq!((role_at(&garden), garden.members().len()), (Some(Role::Admin), 2));
    shared.invite(Role::Member, Duration::from_secs(60)).await.unwrap();
    ada.shutdown().await;
    gil.shutdown().await;
}

fn code_of(link_and_code: &covey_node::Invitation) -> String {
    link_and_code.code.clone()
}

/// The same nameplate with another secret.
fn mistyped(code: &str) -> String {
    let last = if code.ends_with('7') { '8' } else { '7' };
    let mut wrong = code.to_owned();
    wrong.pop();
    wrong.push(last);
    wrong
}

fn refusal(result: Result<covey_node::node::Joined, NodeError>) -> String {
    match result {
        Err(NodeError::Pairing(err)) => err.to_string(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_codes_are_refused_and_three_burn_the_code() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    let mut near = config(&home.path().join("bob"), "bob");
    near.bootstrap = ada.listen_addresses().await;
    let bob = Node::open(near).await.unwrap();
    let invitation = garden.invite(Role::Member, Duration::from_secs(60)).await.unwrap();
    let code = code_of(&invitation);
    assert!(code.starts_with("COVEY-") && code.len() == "COVEY-XXXX-XXXX".len());
    for _ in 0..3 {
        let said = refusal(bob.join(&mistyped(&code), PATIENCE).await);
        assert!(said.contains("code is wrong"), "{said}");
    }
    let said = refusal(bob.join(&code, PATIENCE).await);
    assert!(said.contains("burnt"), "{said}");
    assert!(bob.spaces().is_empty());

    let said = bob.join("COVEY-12", PATIENCE).await.unwrap_err().to_string();
    assert!(said.contains("8 characters"), "{said}");
    let unknown = bob.join("COVEY-0000-0000", Duration::from_secs(2)).await;
    assert!(
        matches!(unknown, Err(NodeError::Pairing(JoinError::NobodyAnswered { asked: 1.., .. }))),
        "{unknown:?}"
    );
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_good_for_one_device_and_until_it_expires() {
    let home = tempfile::tempdir().unwrap();
    let clock = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut settings = config(&home.path().join("ada"), "ada");
    let offset = std::sync::Arc::clone(&clock);
    let real = covey_node::WallClock::default();
    settings.clock =
        covey_node::WallClock::new(move || real.now_ms() + offset.load(std::sync::atomic::Ordering::SeqCst));
    let ada = Node::open(settings).await.unwrap();
    let garden = ada.create_space("garden").await.unwrap();
    let listens = ada.listen_addresses().await;
    let near = |name: &str| {
        let mut near = config(&home.path().join(name), name);
        near.bootstrap = listens.clone();
        Node::open(near)
    };
    let (bob, eve) = (near("bob").await.unwrap(), near("eve").await.unwrap());
    let code = code_of(&garden.invite(Role::Member, Duration::from_secs(60)).await.unwrap());
    // As a person would type it.
    bob.join(&code.to_lowercase().replace('-', " "), PATIENCE).await.unwrap();
    let said = refusal(eve.join(&code, PATIENCE).await);
    assert!(said.contains("used the code already"), "{said}");

    let code = code_of(&garden.invite(Role::Member, Duration::from_secs(60)).await.unwrap());
    clock.store(61_000, std::sync::atomic::Ordering::SeqCst);
    let said = refusal(eve.join(&code, PATIENCE).await);
    assert!(said.contains("expired"), "{said}");
    assert!(eve.spaces().is_empty());
    for node in [ada, bob, eve] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_share_nothing_and_learn_nothing() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    garden.collection("plants").unwrap().put(Some("x"), "{}").await.unwrap();
    let mut near = config(&home.path().join("eve"), "eve");
    near.bootstrap = ada.listen_addresses().await;
    let eve = Node::open(near).await.unwrap();
    eve.create_space("garden").await.unwrap();
    eventually("connected", || async {
        eve.peers().await.iter().any(|peer| peer.state == covey_node::PeerState::Connected)
    })
    .await;
    let mut events = eve.events();
    let heard = tokio::time::timeout(Duration::from_secs(1), async {
        loop {
            if let Ok(Event::SyncChanged { .. } | Event::SpaceAdded(_)) = events.recv().await {
                return;
            }
        }
    });
    assert!(heard.await.is_err(), "a stranger heard of a space");
    assert_eq!(eve.spaces().len(), 1);
    assert_ne!(eve.spaces()[0].id(), garden.id());
    let status = garden.status().await.unwrap();
    assert_eq!((status.members, status.sync.len()), (1, 0));
    ada.shutdown().await;
    eve.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_goes_back_an_hour_does_not_lose_writes() {
    let home = tempfile::tempdir().unwrap();
    let back = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut settings = config(&home.path().join("ada"), "ada");
    let (offset, real) = (std::sync::Arc::clone(&back), covey_node::WallClock::default());
    settings.clock =
        covey_node::WallClock::new(move || real.now_ms() - offset.load(std::sync::atomic::Ordering::SeqCst));
    let ada = Node::open(settings.clone()).await.unwrap();
    let plants = ada.create_space("garden").await.unwrap().collection("plants").unwrap();
    let before = plants.put(Some("x"), r#"{"v":1}"#).await.unwrap();
    back.store(3_600_000, std::sync::atomic::Ordering::SeqCst);
    let after = plants.put(Some("x"), r#"{"v":2}"#).await.unwrap();
    assert!(after.hlc > before.hlc);
    assert_eq!(plants.get("x").await.unwrap().as_deref(), Some(r#"{"v":2}"#));
    ada.shutdown().await;
    let ada = Node::open(settings).await.unwrap();
    let plants = ada.space("garden").unwrap().collection("plants").unwrap();
    let later = plants.put(Some("x"), r#"{"v":3}"#).await.unwrap();
    assert!(later.hlc > after.hlc, "not after a restart either");
    assert_eq!(plants.get("x").await.unwrap().as_deref(), Some(r#"{"v":3}"#));
    let clock = ada.doctor().await.into_iter().find(|check| check.name == "clock").unwrap();
    assert!(!clock.ok, "{}", clock.detail);
    ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_from_the_future_are_held_and_their_device_is_named() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    let bob = node(home.path(), "bob").await;
    join(&garden, &bob, Role::Member).await;
    bob.shutdown().await;
    let mut ahead = config(&home.path().join("bob"), "bob");
    let real = covey_node::WallClock::default();
    ahead.clock = covey_node::WallClock::new(move || real.now_ms() + 2 * 365 * 24 * 3_600_000);
    let mut events = ada.events();
    let bob = Node::open(ahead).await.unwrap();
    let shared = bob.space("garden").unwrap();
    shared.collection("plants").unwrap().put(Some("x"), r#"{"v":"2028"}"#).await.unwrap();
    let held = async {
        loop {
            if let Ok(Event::EntryHeld { device, ahead_ms, .. }) = events.recv().await {
                return (device, ahead_ms);
            }
        }
    };
    let (device, ahead_ms) = tokio::time::timeout(PATIENCE, held).await.unwrap();
    assert_eq!(device, bob.identity().device);
    assert!(ahead_ms > 365 * 24 * 3_600_000);
    let plants = garden.collection("plants").unwrap();
    assert_eq!(plants.get("x").await.unwrap(), None, "held, not applied");
    let mine = plants.put(Some("x"), r#"{"v":"now"}"#).await.unwrap();
    assert!(
        mine.hlc.wall_ms() < covey_node::WallClock::default().now_ms() + 60_000,
        "our clock was not dragged along"
    );
    assert!(ada.doctor().await.iter().any(|check| check.name == "held" && !check.ok));
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_caller_went_away_is_told_to_the_others_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    let plants = here.collection("plants").unwrap();
    let (mut events, mut ids) = (ada.events(), (0..20).map(|n| format!("bean {n}")));
    let is_pending = async |id: &str| {
        let mut put = std::pin::pin!(plants.put(Some(id), r#"{"row":1}"#));
        // Once, and then never again: the write stands in the store's queue by then.
        std::future::poll_fn(|cx| std::task::Poll::Ready(put.as_mut().poll(cx))).await.is_pending()
    };
    let id = loop {
        let id = ids.next().expect("a write that waits for the disk");
        events = events.resubscribe();
        if is_pending(&id).await {
            break id;
        }
    };
    let told = async { while !matches!(events.recv().await.unwrap(), Event::RecordsChanged { .. }) {} };
    tokio::time::timeout(PATIENCE, told).await.expect("the watchers are told");
    eventually("the other device has it", || async { export(&there, "plants").await.contains(&id) }).await;
    ada.shutdown().await;
    bob.shutdown().await;
}

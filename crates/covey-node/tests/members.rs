//! Roles, removals and keys between real nodes over QUIC on loopback.

mod common;

use common::{config, eventually, export, join, node};
use covey_node::{Deed, HistoryPolicy, Node, NodeError, Role, SyncState};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_was_removed_gets_nothing_more_and_can_come_again() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob, cem) =
        (node(home.path(), "ada").await, node(home.path(), "bob").await, node(home.path(), "cem").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    let third = join(&here, &cem, Role::Member).await;
    let put = async |space: &covey_node::Space, id: &str| {
        space.collection("plants").unwrap().put(Some(id), r#"{"n":1}"#).await
    };
    put(&there, "before").await.unwrap();
    eventually("all have it", || async { export(&third, "plants").await.lines().count() == 1 }).await;

    here.remove_member(bob.identity().user).await.unwrap();
    eventually("bob hears of it", || async { there.role().is_none() }).await;
    let refused = put(&there, "after").await.unwrap_err();
    assert!(
        matches!(refused, NodeError::Membership(_)) && refused.to_string().contains("no longer"),
        "{refused}"
    );
    put(&here, "secret").await.unwrap();
    eventually("cem has the new key", || async { export(&third, "plants").await.contains("secret") }).await;
    put(&third, "reply").await.unwrap();
    eventually("and writes under it", || async { export(&here, "plants").await.contains("reply") }).await;
    assert_eq!(export(&there, "plants").await.lines().count(), 1, "bob has what he had");
    assert_eq!(here.members().len(), 2);

    let there = join(&here, &bob, Role::Guest).await;
    eventually("bob reads it all again", || async {
        export(&there, "plants").await == export(&here, "plants").await
    })
    .await;
    assert!(matches!(put(&there, "guest").await, Err(NodeError::NotAllowed { .. })));
    here.set_role(bob.identity().user, Role::Member).await.unwrap();
    eventually("bob writes again", || async { put(&there, "again").await.is_ok() }).await;
    eventually("and ada has it", || async { export(&here, "plants").await.contains("again") }).await;
    for node in [ada, bob, cem] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_removed_member_wrote_meanwhile_is_taken_back_everywhere() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let mut near_bob = config(&home.path().join("cem"), "cem");
    near_bob.bootstrap = bob.listen_addresses().await;
    let cem = Node::open(near_bob).await.unwrap();
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    let third = join(&here, &cem, Role::Member).await;
    let fern = |space: &covey_node::Space| {
        let plants = space.collection("plants").unwrap();
        async move { plants.get("fern").await.unwrap() }
    };
    let put = async |space: &covey_node::Space, doc: &str| {
        space.collection("plants").unwrap().put(Some("fern"), doc).await.unwrap()
    };
    put(&there, r#"{"by":"bob","bed":1}"#).await;
    eventually("all have it", || async { fern(&here).await.is_some() && fern(&third).await.is_some() }).await;
    // Ada goes away and removes bob; bob writes on, and cem takes it in, until they hear of each other.
    ada.shutdown().await;
    put(&there, r#"{"bed":2}"#).await;
    // A record that nobody else ever writes to: only taking it back makes it go.
    there.collection("plants").unwrap().put(Some("late"), r#"{"by":"bob"}"#).await.unwrap();
    let late = |space: &covey_node::Space| {
        let plants = space.collection("plants").unwrap();
        async move { plants.get("late").await.unwrap() }
    };
    eventually("cem has it", || async {
        fern(&third).await.unwrap().contains('2') && late(&third).await.is_some()
    })
    .await;
    cem.shutdown().await;
    bob.shutdown().await;
    let ada = node(home.path(), "ada").await;
    let here = ada.space("garden").unwrap();
    here.remove_member(bob.identity().user).await.unwrap();
    put(&here, r#"{"bed":3}"#).await;
    here.collection("plants").unwrap().delete("fern").await.unwrap();
    put(&here, r#"{"bed":4}"#).await;
    let mut near_ada = config(&home.path().join("cem"), "cem");
    near_ada.bootstrap = ada.listen_addresses().await;
    let cem = Node::open(near_ada).await.unwrap();
    let third = cem.space("garden").unwrap();
    eventually("both say the same", || async {
        let (a, c) = (fern(&here).await, fern(&third).await);
        a == c && a.is_some_and(|doc| doc.contains('4')) && late(&third).await.is_none()
    })
    .await;
    assert_eq!(late(&here).await, None);
    ada.shutdown().await;
    cem.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_from_joining_on_reads_nothing_older_and_follows_the_membership_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    here.set_history(HistoryPolicy::FromJoining).await.unwrap();
    let plants = here.collection("plants").unwrap();
    plants.put(Some("old"), r#"{"n":1}"#).await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    plants.put(Some("new"), r#"{"n":2}"#).await.unwrap();
    eventually("the new one comes", || async { export(&there, "plants").await == "new {\"n\":2}\n" }).await;
    assert_eq!(there.role(), Some(Role::Member));
    assert_eq!(there.members().len(), 2);
    eventually("both hold all entries", || async {
        let line = there.status().await.unwrap().sync.remove(0);
        line.state == SyncState::InSync
    })
    .await;
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_is_changed_after_somebody_has_left() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    let refused = here.leave().await.unwrap_err();
    assert!(matches!(refused, NodeError::Membership(_)), "{refused}");
    let entries = here.status().await.unwrap().entries;
    there.leave().await.unwrap();
    eventually("bob is out, and ada has changed the key", || async {
        here.members().len() == 1 && here.status().await.unwrap().entries == entries + 2
    })
    .await;
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_give_a_device_the_same_name_at_the_same_moment_one_acts_and_who_may_not_is_told() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    let device = ada.identity().device;
    let renames = async |space: &covey_node::Space| {
        let acts = space.audit().await.unwrap();
        acts.iter().filter(|act| matches!(act.deed, Deed::RenameDevice { .. })).count()
    };
    let (one, other) = tokio::join!(here.rename_device(device, "desk"), here.rename_device(device, "desk"));
    assert!(one.is_ok() && other.is_ok(), "{one:?}, {other:?}");
    assert_eq!(renames(&here).await, 1);
    eventually("bob hears of it", || async { renames(&there).await == 1 }).await;
    let refused = there.rename_device(device, "desk").await;
    assert!(matches!(refused, Err(NodeError::Membership(_))), "{refused:?}");
    assert!(matches!(here.rename_device(device, "").await, Err(NodeError::Invalid(_))));
    here.rename_device(device, "bench").await.unwrap();
    assert_eq!(renames(&here).await, 2);
    for node in [ada, bob] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_whose_asker_goes_away_is_told_to_everybody_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    eventually("both know each other", || async { there.members().len() == 2 }).await;
    {
        // Once, and then never again: it stands in the store's queue by then, and mostly waits for the disk.
        let mut removal = std::pin::pin!(here.remove_member(bob.identity().user));
        std::future::poll_fn(|cx| std::task::Poll::Ready(removal.as_mut().poll(cx).is_ready())).await;
    }
    eventually("bob hears that he is out", || async { there.role().is_none() }).await;
    for node in [ada, bob] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_owner_is_told_what_there_is_to_do_while_their_device_is_there() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let told = async |node: &Node| {
        let checks = node.doctor().await;
        checks.into_iter().find(|check| check.name == "owner").map(|check| check.detail)
    };
    assert_eq!(told(&ada).await, None, "nobody else is in it");
    let there = join(&here, &bob, Role::Admin).await;
    let advice = told(&ada).await.unwrap();
    assert!(advice.starts_with("garden: only you own it"), "{advice}");
    assert_eq!(told(&bob).await, None);
    here.set_role(bob.identity().user, Role::Owner).await.unwrap();
    eventually("bob is owner too", || async { there.role() == Some(Role::Owner) }).await;
    assert_eq!((told(&ada).await, told(&bob).await), (None, None));
    for node in [ada, bob] {
        node.shutdown().await;
    }
}

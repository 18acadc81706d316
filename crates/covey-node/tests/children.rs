//! Child spaces between real nodes over QUIC on loopback.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::{path::Path, sync::Arc, time::Duration};

use common::{PATIENCE, config, eventually, export, join, node};
use covey_engine::{Engine, load_acts};
use covey_node::{Deed, Event, HistoryPolicy, Node, NodeError, Role, Space, SyncState, Unlock};
use covey_store::Store;
use covey_types::wire;

async fn put(space: &Space, id: &str) -> Result<(), NodeError> {
    space.collection("notes").unwrap().put(Some(id), r#"{"n":1}"#).await.map(drop)
}

async fn has(space: &Space, id: &str) -> bool {
    export(space, "notes").await.contains(id)
}

/// A node that knows where another one is.
async fn near(home: &Path, name: &str, other: &Node) -> Node {
    let mut config = config(&home.join(name), name);
    config.bootstrap = other.listen_addresses().await;
    Node::open(config).await.unwrap()
}

/// The space of this name, once it's there.
async fn arrives(node: &Node, name: &str) -> Space {
    eventually("the space is here", || async { node.space(name).is_ok() }).await;
    node.space(name).unwrap()
}

/// Waits until all other devices have everything, and this one knows.
async fn settled(space: &Space) {
    eventually("all have all", || async {
        space.status().await.unwrap().sync.iter().all(|line| line.state == SyncState::InSync)
    })
    .await;
}

async fn entries(space: &Space) -> u64 {
    space.status().await.unwrap().entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_is_shared_by_its_people_and_nobody_else_has_anything_of_it() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob, cem) =
        (node(home.path(), "ada").await, node(home.path(), "bob").await, node(home.path(), "cem").await);
    let here = ada.create_space("garden").await.unwrap();
    join(&here, &bob, Role::Member).await;
    let third = join(&here, &cem, Role::Member).await;
    let mut events = ada.events();
    let secret = here.create_child("hidden-channel", &[(bob.identity().user, Role::Owner)]).await.unwrap();
    put(&secret, "from-ada").await.unwrap();
    let there = arrives(&bob, "garden/hidden-channel").await;
    eventually("bob reads it", || async { has(&there, "from-ada").await }).await;
    put(&there, "from-bob").await.unwrap();
    eventually("ada reads it", || async { has(&secret, "from-bob").await }).await;
    assert_eq!((there.role(), there.members().len()), (Some(Role::Owner), 2));
    assert_eq!(there.parent().map(|parent| parent.id()), Some(here.id()));
    assert_eq!(here.children().iter().map(Space::id).collect::<Vec<_>>(), [secret.id()]);

    // Cem has all of the parent, and knows that there was a notice, but not for whom or of what.
    eventually("cem has the parent's entries", || async { entries(&third).await == entries(&here).await })
        .await;
    let acts = third.audit().await.unwrap();
    assert!(acts.iter().any(|act| act.deed == Deed::Notice && act.whom.is_none()));
    assert_eq!(cem.spaces().len(), 1);
    let child = secret.id();
    let (bobs, cems) = (bob.identity().device, cem.identity().device);
    for node in [&ada, &bob, &cem] {
        node.shutdown().await;
    }
    let mut shared = std::collections::BTreeSet::new();
    while let Ok(event) = events.try_recv() {
        if let Event::SyncChanged { space, peer, state } = event
            && space == child
            && state != SyncState::Unreachable
        {
            shared.insert(peer);
        }
    }
    assert!(shared.contains(&bobs) && !shared.contains(&cems), "no tag of the child matched at cem");
    let store = Store::open(&home.path().join("cem"), Unlock::KeyFile).unwrap();
    let garden = here.id();
    let (ids, acts) = store
        .read_blocking(move |rows| {
            let engine = Engine::load(rows)?;
            let state = &engine.spaces[&garden];
            let acts = load_acts(rows, state.key, &state.info.keys)?;
            Ok((rows.spaces()?.into_iter().map(|row| row.id).collect::<Vec<_>>(), acts))
        })
        .unwrap();
    assert_eq!(ids.len(), 2, "the garden and cem's personal space");
    assert!(!ids.contains(&child));
    let mut notices = 0;
    for (entry, acts) in acts {
        let bytes = [entry.body.to_vec(), covey_space::ops::encode(&acts)].concat();
        let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        assert!(!holds(&child.0) && !holds(b"hidden-channel") && !holds(&wire::encode(&child)));
        notices += acts.iter().filter(|act| matches!(act, covey_space::MembershipOp::Notice(_))).count();
    }
    assert_eq!(notices, 1);
    store.close().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_is_away_hears_from_a_third_that_they_were_taken_in() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob, cem) =
        (node(home.path(), "ada").await, node(home.path(), "bob").await, node(home.path(), "cem").await);
    let here = ada.create_space("garden").await.unwrap();
    join(&here, &bob, Role::Member).await;
    let third = join(&here, &cem, Role::Member).await;
    let user = bob.identity().user;
    bob.shutdown().await;
    let secret = here.create_child("secret", &[]).await.unwrap();
    secret.add_member(user, Role::Member).await.unwrap();
    put(&secret, "while-away").await.unwrap();
    eventually("cem has the parent", || async { entries(&third).await == entries(&here).await }).await;
    ada.shutdown().await;

    let bob = near(home.path(), "bob", &cem).await;
    let there = arrives(&bob, "secret").await;
    assert_eq!((there.name().as_str(), there.role()), ("secret", None));
    assert_eq!(cem.spaces().len(), 1, "who carried the news knows nothing of it");
    cem.shutdown().await;
    let ada = near(home.path(), "ada", &bob).await;
    eventually("bob reads what was written", || async { has(&there, "while-away").await }).await;
    assert_eq!(there.role(), Some(Role::Member));
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_put_out_of_the_parent_is_put_out_of_a_child_that_the_remover_does_not_know() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let cem = near(home.path(), "cem", &bob).await;
    let here = ada.create_space("garden").await.unwrap();
    let of_bob = join(&here, &bob, Role::Member).await;
    join(&here, &cem, Role::Member).await;
    eventually("bob knows cem", || async { of_bob.members().len() == 3 }).await;
    let secret = of_bob.create_child("secret", &[(cem.identity().user, Role::Owner)]).await.unwrap();
    let there = arrives(&cem, "secret").await;
    put(&secret, "before").await.unwrap();
    eventually("cem reads it", || async { has(&there, "before").await }).await;
    settled(&here).await;
    let before = entries(&secret).await;

    assert!(ada.space("secret").is_err(), "ada knows nothing of it");
    here.remove_member(cem.identity().user).await.unwrap();
    eventually("bob's node has put cem out", || async { secret.members().len() == 1 }).await;
    // One entry puts out and changes the key.
    eventually("that is on disk", || async { entries(&secret).await == before + 1 }).await;
    let acts = secret.audit().await.unwrap();
    assert!(acts.iter().rev().take(2).any(|act| matches!(act.deed, Deed::RotateKey { .. })));
    put(&secret, "after").await.unwrap();
    eventually("cem knows", || async { there.role().is_none() }).await;
    assert!(matches!(put(&there, "late").await, Err(NodeError::Membership(_))));
    assert!(!has(&there, "after").await);
    for node in [ada, bob, cem] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_by_hand_reaches_the_children_in_the_same_breath_and_leaving_does_too() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let of_bob = join(&here, &bob, Role::Member).await;
    let user = bob.identity().user;
    let one = here.create_child("one", &[(user, Role::Owner)]).await.unwrap();
    let two = here.create_child("two", &[(user, Role::Member)]).await.unwrap();
    // Who is put out while older entries are under way isn't told of it.
    for space in [&here, &one, &two] {
        settled(space).await;
    }
    here.remove_member(user).await.unwrap();
    assert_eq!((one.members().len(), two.members().len()), (1, 1));

    eventually("bob is out", || async { of_bob.role().is_none() }).await;
    join(&here, &bob, Role::Member).await;
    assert_eq!(one.members().len(), 1, "who comes back is not in the children again");
    one.add_member(user, Role::Member).await.unwrap();
    let there = arrives(&bob, "one").await;
    eventually("bob is in it again", || async { there.role() == Some(Role::Member) }).await;
    put(&one, "again").await.unwrap();
    eventually("and reads", || async { has(&there, "again").await }).await;
    there.leave().await.unwrap();
    eventually("ada hears that he left", || async { one.members().len() == 1 }).await;
    one.add_member(user, Role::Owner).await.unwrap();
    eventually("he is in once more", || async { there.role() == Some(Role::Owner) }).await;
    of_bob.leave().await.unwrap();
    assert_eq!((of_bob.role(), there.role()), (None, None));
    eventually("he is out of both", || async { here.members().len() == 1 && one.members().len() == 1 }).await;
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_device_comes_into_the_children_by_itself_and_is_out_with_the_parent() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    join(&here, &bob, Role::Member).await;
    let secret = here.create_child("secret", &[(bob.identity().user, Role::Member)]).await.unwrap();
    put(&secret, "old").await.unwrap();
    arrives(&bob, "secret").await;
    let user = bob.identity().user;
    let phone = near(home.path(), "phone", &ada).await;
    let invitation = bob.link_device(Duration::from_secs(60)).await.unwrap();
    phone.link_to(&invitation.link, PATIENCE).await.unwrap();
    assert_eq!(phone.identity().user, user);
    let there = arrives(&phone, "secret").await;
    eventually("the phone reads it", || async { has(&there, "old").await }).await;
    put(&there, "from-the-phone").await.unwrap();
    eventually("and writes", || async { has(&secret, "from-the-phone").await }).await;
    let phones = phone.identity().device;
    eventually("both are in step", || async {
        let line = here.status().await.unwrap().sync.into_iter().find(|line| line.peer == phones);
        line.is_some_and(|line| line.state == SyncState::InSync)
    })
    .await;

    here.remove_device(phone.identity().device).await.unwrap();
    let devices =
        |space: &Space| space.members().into_iter().map(|member| member.devices.len()).sum::<usize>();
    assert_eq!((devices(&here), devices(&secret)), (2, 2), "two people with a laptop each");
    put(&secret, "after").await.unwrap();
    eventually("the phone knows", || async { there.role().is_none() }).await;
    assert!(!has(&there, "after").await);
    for node in [ada, bob, phone] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_from_joining_on_can_be_taken_into_a_child_and_follow_who_is_in_it() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    join(&here, &bob, Role::Member).await;
    let secret = here.create_child("secret", &[]).await.unwrap();
    secret.set_history(HistoryPolicy::FromJoining).await.unwrap();
    secret.rotate_key().await.unwrap();
    put(&secret, "old").await.unwrap();
    secret.add_member(bob.identity().user, Role::Member).await.unwrap();
    put(&secret, "new").await.unwrap();
    let there = arrives(&bob, "secret").await;
    eventually("bob reads the new one", || async { has(&there, "new").await }).await;
    assert!(!has(&there, "old").await);
    assert_eq!(there.members().len(), 2);
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_people_of_the_parent_are_taken_in_and_a_child_has_no_children() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Guest).await;
    let secret = here.create_child("secret", &[]).await.unwrap();
    let stranger = covey_node::UserId([7; 32]);
    assert!(matches!(secret.add_member(stranger, Role::Member).await, Err(NodeError::NotFound { .. })));
    let nobody = here.create_child("other", &[(stranger, Role::Member)]).await;
    assert!(matches!(nobody, Err(NodeError::NotFound { .. })));
    assert!(ada.space("other").is_err(), "nothing is left of it");
    assert!(matches!(secret.create_child("deeper", &[]).await, Err(NodeError::Invalid(_))));
    let code = secret.invite(Role::Member, Duration::from_secs(60)).await;
    assert!(matches!(code, Err(NodeError::Invalid(_))), "nobody comes in by a code");
    assert!(matches!(there.create_child("mine", &[]).await, Err(NodeError::NotAllowed { .. })));
    assert!(matches!(here.add_member(bob.identity().user, Role::Member).await, Err(NodeError::Invalid(_))));
    assert_eq!(ada.space("garden/secret").unwrap().id(), secret.id());
    assert!(tokio::time::timeout(PATIENCE, Arc::new(ada).shutdown()).await.is_ok());
    bob.shutdown().await;
}

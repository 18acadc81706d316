//! Several devices of one person, as real nodes over QUIC on loopback.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::{path::Path, time::Duration};

use common::{PATIENCE, config, eventually, export, join, node};
use covey_node::{Event, JoinError, Linked, Node, NodeError, Role, Space};

const WHILE_OPEN: Duration = Duration::from_secs(60);

/// Makes `fresh` one of the devices of `old`'s user.
async fn link(old: &Node, fresh: &Node) -> Linked {
    let invitation = old.link_device(WHILE_OPEN).await.unwrap();
    assert!(invitation.link.starts_with("covey://device/"), "{}", invitation.link);
    fresh.link_to(&invitation.link, PATIENCE).await.unwrap()
}

async fn put(space: &Space, id: &str) -> Result<(), NodeError> {
    space.collection("plants").unwrap().put(Some(id), r#"{"n":1}"#).await.map(drop)
}

async fn has(space: &Space, id: &str) -> bool {
    space.collection("plants").unwrap().get(id).await.unwrap().is_some()
}

/// Waits until a node has a space of this name and is in it.
async fn space_of(node: &Node, name: &str) -> Space {
    let is_in = || async { node.space(name).is_ok_and(|space| space.role().is_some()) };
    eventually(&format!("{name} appears"), is_in).await;
    node.space(name).unwrap()
}

/// Opens a home again.
async fn again(home: &Path, name: &str) -> Node {
    node(home, name).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linked_device_becomes_its_users_and_is_in_all_their_spaces() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    let bobs = join(&garden, &bob, Role::Member).await;
    let club = bob.create_space("club").await.unwrap();
    join(&club, &ada, Role::Guest).await;
    put(&garden, "fern").await.unwrap();
    let personal = ada.personal().unwrap();
    eventually("both are noted", || async { personal.status().await.unwrap().records == 2 }).await;

    let phone = node(home.path(), "phone").await;
    let before = phone.identity();
    let linked = link(&ada, &phone).await;
    assert_eq!((linked.replaced, linked.by), (before.user, ada.identity().device));
    let mut names: Vec<_> = linked.spaces.iter().map(|(_, name, here)| (name.as_str(), *here)).collect();
    names.sort_unstable();
    assert_eq!(names, [("club", true), ("garden", true)]);
    let now = phone.identity();
    assert_eq!((now.user, now.user_name.as_str()), (ada.identity().user, "ada"));
    assert_eq!((now.device, now.device_name), (before.device, before.device_name), "it's the same device");
    assert_eq!(phone.spaces().len(), 2, "and the personal space is not among them");

    let there = phone.space("garden").unwrap();
    assert_eq!(there.role(), Some(Role::Owner));
    assert_eq!(export(&there, "plants").await, export(&garden, "plants").await);
    put(&there, "moss").await.unwrap();
    eventually("all have what the phone wrote", || async {
        has(&garden, "moss").await && has(&bobs, "moss").await
    })
    .await;
    // In a space in which they are a guest a user's device is one too.
    assert!(matches!(put(&phone.space("club").unwrap(), "no").await, Err(NodeError::NotAllowed { .. })));
    let ada_for_bob = bobs.members().into_iter().find(|member| member.name == "ada").unwrap();
    assert_eq!(ada_for_bob.devices.len(), 2);
    assert_eq!(phone.own_devices(), ada.own_devices());

    // All of it is still so after both have slept.
    phone.shutdown().await;
    let phone = again(home.path(), "phone").await;
    assert_eq!(phone.identity().user, ada.identity().user);
    assert_eq!(phone.spaces().len(), 2);
    for node in [ada, bob, phone] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spaces_come_and_go_on_all_devices_of_a_user_by_themselves() {
    let home = tempfile::tempdir().unwrap();
    let bob = node(home.path(), "bob").await;
    let mut near_bob = config(&home.path().join("ada"), "ada");
    near_bob.bootstrap = bob.listen_addresses().await;
    let ada = Node::open(near_bob).await.unwrap();
    let phone = node(home.path(), "phone").await;
    link(&ada, &phone).await;

    let shed = ada.create_space("shed").await.unwrap();
    put(&shed, "saw").await.unwrap();
    let there = space_of(&phone, "shed").await;
    eventually("with its records", || has(&there, "saw")).await;
    let attic = phone.create_space("attic").await.unwrap();
    put(&attic, "hat").await.unwrap();
    let here = space_of(&ada, "attic").await;
    eventually("the other way too", || has(&here, "hat")).await;
    assert_eq!(here.role(), Some(Role::Owner));

    let club = bob.create_space("club").await.unwrap();
    join(&club, &phone, Role::Member).await;
    let adas = space_of(&ada, "club").await;
    eventually("bob knows both devices", || async { club.members().iter().any(|m| m.devices.len() == 2) })
        .await;
    adas.leave().await.unwrap();
    eventually("all devices have left", || async {
        phone.space("club").unwrap().role().is_none() && club.members().len() == 1
    })
    .await;
    assert!(put(&phone.space("club").unwrap(), "late").await.is_err());

    // Taken in again, both are in again.
    join(&club, &ada, Role::Member).await;
    space_of(&phone, "club").await;
    for node in [ada, bob, phone] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_away_catches_up_with_spaces_and_devices() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let phone = node(home.path(), "phone").await;
    link(&ada, &phone).await;
    let club = bob.create_space("club").await.unwrap();
    join(&club, &ada, Role::Member).await;
    space_of(&phone, "club").await;
    phone.shutdown().await;

    // A space more, a space less, and a device more. Nobody who knows of it is near but the laptop.
    let shed = ada.create_space("shed").await.unwrap();
    put(&shed, "saw").await.unwrap();
    ada.space("club").unwrap().leave().await.unwrap();
    let tablet = node(home.path(), "tablet").await;
    link(&ada, &tablet).await;
    bob.shutdown().await;

    let phone = again(home.path(), "phone").await;
    let there = space_of(&phone, "shed").await;
    eventually("its records come", || has(&there, "saw")).await;
    eventually("the third device is known", || async { phone.own_devices().len() == 3 }).await;
    eventually("and the space that was left has ended", || async {
        phone.space("club").unwrap().role().is_none()
    })
    .await;
    assert!(put(&phone.space("club").unwrap(), "late").await.is_err());
    let on_tablet = space_of(&tablet, "shed").await;
    put(&there, "axe").await.unwrap();
    eventually("what one writes the others have", || has(&on_tablet, "axe")).await;
    for node in [ada, phone, tablet] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_that_was_away_is_told_and_gets_nothing_written_after() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let phone = node(home.path(), "phone").await;
    let garden = ada.create_space("garden").await.unwrap();
    let bobs = join(&garden, &bob, Role::Member).await;
    put(&garden, "before").await.unwrap();
    link(&ada, &phone).await;
    let lost = phone.identity().device;
    let there = space_of(&phone, "garden").await;
    put(&there, "mine").await.unwrap();
    eventually("what it wrote is known", || has(&bobs, "mine")).await;
    phone.shutdown().await;

    // Only in the personal space: every other one follows by itself.
    ada.revoke_own(lost).await.unwrap();
    let devices =
        |space: &Space| -> usize { space.members().iter().map(|member| member.devices.len()).sum() };
    eventually("it is out of the garden, for bob too", || async { devices(&bobs) == 2 }).await;
    put(&garden, "secret").await.unwrap();
    eventually("the others go on", || has(&bobs, "secret")).await;
    ada.create_space("shed").await.unwrap();

    let phone = again(home.path(), "phone").await;
    eventually("it is told", || async { phone.is_revoked() }).await;
    let there = phone.space("garden").unwrap();
    assert!(!has(&there, "secret").await && has(&there, "before").await, "what it had it keeps");
    assert!(matches!(put(&there, "late").await, Err(NodeError::Revoked)));
    assert!(matches!(phone.create_space("new").await, Err(NodeError::Revoked)));
    assert!(matches!(phone.link_device(WHILE_OPEN).await, Err(NodeError::Revoked)));
    assert!(phone.space("shed").is_err());
    // It has the user's secret, and still can't come back: not even by a code that is meant for somebody else.
    let code = garden.invite(Role::Guest, WHILE_OPEN).await.unwrap();
    assert!(matches!(phone.join(&code.link, PATIENCE).await, Err(NodeError::Revoked)));
    phone.shutdown().await;
    let phone = again(home.path(), "phone").await;
    assert!(phone.is_revoked(), "it remembers");
    for node in [ada, bob, phone] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_near_hears_at_once_that_it_was_revoked() {
    let home = tempfile::tempdir().unwrap();
    let (ada, phone) = (node(home.path(), "ada").await, node(home.path(), "phone").await);
    let tablet = node(home.path(), "tablet").await;
    let garden = ada.create_space("garden").await.unwrap();
    link(&ada, &phone).await;
    link(&ada, &tablet).await;
    let mut events = phone.events();
    // Any device of the user may do it, also one that came later.
    eventually("the tablet knows the phone", || async { tablet.own_devices().len() == 3 }).await;
    tablet.revoke_own(phone.identity().device).await.unwrap();
    eventually("the phone hears of it", || async { phone.is_revoked() }).await;
    let told = async { while !matches!(events.recv().await.unwrap(), Event::Revoked { .. }) {} };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
    eventually("it is out of the garden", || async { garden.members()[0].devices.len() == 2 }).await;
    assert_eq!(ada.own_devices().len(), 2);
    // The last one stays: without any, nobody could ever come again.
    tablet.revoke_own(ada.identity().device).await.unwrap();
    let last = tablet.revoke_own(tablet.identity().device).await;
    assert!(matches!(last, Err(NodeError::Membership(_))), "{last:?}");
    for node in [ada, phone, tablet] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_further_device_of_a_member_comes_in_by_that_member_only() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let garden = bob.create_space("garden").await.unwrap();
    let adas = join(&garden, &ada, Role::Admin).await;
    let club = bob.create_space("club").await.unwrap();
    // The phone is Ada's, and doesn't hear of the garden, because the laptop is away.
    let phone = node(home.path(), "phone").await;
    link(&ada, &phone).await;
    space_of(&phone, "garden").await;
    eventually("bob knows both", || async { garden.members().iter().any(|m| m.devices.len() == 2) }).await;
    adas.remove_device(phone.identity().device).await.unwrap();
    eventually("bob knows", || async { garden.members().iter().all(|m| m.devices.len() == 1) }).await;
    let code = garden.invite(Role::Guest, WHILE_OPEN).await.unwrap().link;
    let refused = phone.join(&code, PATIENCE).await.unwrap_err();
    assert!(refused.to_string().contains("covey device link"), "{refused}");
    assert_eq!(garden.members().iter().map(|member| member.devices.len()).sum::<usize>(), 2);
    // Where she isn't in, any device of hers may join, and the others follow.
    join(&club, &phone, Role::Member).await;
    space_of(&ada, "club").await;
    for node in [ada, bob, phone] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_the_other_kind_a_used_home_and_wrong_codes_are_refused_and_change_nothing() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    let mut near = config(&home.path().join("phone"), "phone");
    near.bootstrap = ada.listen_addresses().await;
    let phone = Node::open(near).await.unwrap();
    let before = phone.identity();

    let (space, device) =
        (garden.invite(Role::Member, WHILE_OPEN).await.unwrap(), ada.link_device(WHILE_OPEN).await.unwrap());
    let said = [
        phone.link_to(&space.link, PATIENCE).await.unwrap_err().to_string(),
        phone.join(&device.link, PATIENCE).await.unwrap_err().to_string(),
        phone.link_to(&space.code, PATIENCE).await.unwrap_err().to_string(),
        phone.join(&device.code, PATIENCE).await.unwrap_err().to_string(),
    ];
    assert!(said[0].contains("`covey join`") && said[1].contains("`covey device join`"), "{said:?}");
    assert!(said[2..].iter().all(|text| text.contains("other kind")), "{said:?}");

    let wrong = |code: &str| {
        let last = if code.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &code[..code.len() - 1])
    };
    for _ in 0..3 {
        let refused = phone.link_to(&wrong(&device.code), PATIENCE).await;
        let is_wrong = matches!(&refused, Err(NodeError::Pairing(JoinError::Refused(_))));
        assert!(is_wrong, "{refused:?}");
    }
    let burnt = phone.link_to(&device.code, PATIENCE).await.unwrap_err().to_string();
    assert!(burnt.contains("burnt"), "{burnt}");
    assert_eq!((phone.identity(), ada.own_devices().len()), (before.clone(), 1));

    // A device that is in a space would lose it, or show it to somebody else.
    phone.join(&space.code, PATIENCE).await.unwrap();
    let fine = ada.link_device(WHILE_OPEN).await.unwrap();
    let refused = phone.link_to(&fine.link, PATIENCE).await.unwrap_err();
    assert!(
        matches!(refused, NodeError::NotFresh { spaces: 1, .. }) && refused.to_string().contains("--home")
    );
    assert_eq!(phone.identity(), before);
    // And one that is somebody's already is nobody else's.
    let tablet = node(home.path(), "tablet").await;
    tablet.link_to(&fine.link, PATIENCE).await.unwrap();
    let refused = tablet.link_to(&ada.link_device(WHILE_OPEN).await.unwrap().link, PATIENCE).await;
    assert!(matches!(refused, Err(NodeError::NotFresh { .. })), "{refused:?}");
    for node in [ada, phone, tablet] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_personal_space_is_not_shared_left_or_looked_into_by_mistake() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    ada.create_space("garden").await.unwrap();
    let personal = ada.personal().unwrap();
    eventually("it knows the garden", || async { personal.status().await.unwrap().records == 1 }).await;
    assert!(ada.spaces().iter().all(|space| !space.is_personal()) && personal.is_personal());
    let user = ada.identity().user;
    let refusals = [
        personal.invite(Role::Member, WHILE_OPEN).await.map(drop),
        personal.leave().await,
        personal.remove_member(user).await,
        personal.set_role(user, Role::Guest).await,
        personal.set_history(covey_node::HistoryPolicy::FromJoining).await,
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Err(NodeError::Personal { .. })), "{refusal:?}");
    }
    // What it keeps there opens other spaces' lists of members: it isn't handed out like other records.
    assert!(personal.collection("covey.spaces").is_err());
    assert!(personal.changes(None, 0, 10).await.is_err());
    assert!(personal.changes(Some("covey.spaces"), 0, 10).await.is_err());
    assert_eq!(personal.collections().await.unwrap(), []);
    ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_given_on_one_device_is_its_name_on_all_and_in_all_spaces() {
    let home = tempfile::tempdir().unwrap();
    let (ada, phone) = (node(home.path(), "ada").await, node(home.path(), "phone").await);
    let garden = ada.create_space("garden").await.unwrap();
    link(&ada, &phone).await;
    ada.rename_own(phone.identity().device, "pocket").await.unwrap();
    eventually("the phone takes it over", || async { phone.identity().device_name == "pocket" }).await;
    let in_garden = || async { garden.members()[0].devices.iter().any(|(_, name)| name == "pocket") };
    eventually("and the garden has it", in_garden).await;
    ada.rename_own(ada.identity().device, "desk").await.unwrap();
    eventually("so does the device that is renamed at itself", || async {
        ada.identity().device_name == "desk"
    })
    .await;
    phone.shutdown().await;
    let phone = again(home.path(), "phone").await;
    assert_eq!(phone.identity().device_name, "pocket");
    for node in [ada, phone] {
        node.shutdown().await;
    }
}

//! What devices are told that were put out.

use covey_engine::{Profile, Secrets, acts::Acted};
use covey_space::Role;

use super::*;
use crate::{NetworkMode, NodeConfig};

#[tokio::test]
async fn who_was_put_out_of_the_parent_gets_nothing_of_the_child_not_even_what_led_to_its_removal_there() {
    let home = tempfile::tempdir().unwrap();
    let mut config = NodeConfig::new(home.path());
    let profile = |name: &str| Profile { user_name: name.into(), device_name: "laptop".into() };
    (config.profile, config.network) = (Some(profile("Ada")), NetworkMode::Solo);
    let node = Node::open(config).await.unwrap();
    let (garden, bob, now) = (
        node.create_space("garden").await.unwrap().id(),
        Secrets::generate(profile("Bob")).unwrap(),
        node.now_ms(),
    );
    let (secrets, device, user) = (node.secrets(), bob.certified(), bob.user.id());
    let admitted: Acted = node
        .write(move |tx, engine| Ok(engine.admit(tx, &secrets, garden, "Bob", Role::Member, &device, now)?))
        .await
        .unwrap();
    drop(admitted);
    let space = crate::Space::new(node.clone(), garden);
    let child = space.create_child("secret", &[(user, Role::Member)]).await.unwrap();
    // The parent's removal is known here, and then something is written in the child, before Bob is put out there.
    let (secrets, id) = (node.secrets(), child.id());
    let out = node.write(move |tx, engine| Ok(engine.remove_member(tx, &secrets, garden, user, now)?));
    out.await.unwrap();
    child.collection("notes").unwrap().put(Some("since"), "{}").await.unwrap();
    let secrets = node.secrets();
    let tended = node.write(move |tx, engine| Ok(engine.tend(tx, &secrets, id, now)?)).await.unwrap();
    assert_eq!((tended.len(), child.members().len()), (1, 1));
    let peer = bob.device.id();
    assert_eq!(standing(&node, id, peer), Standing::PutOut);
    assert_eq!(farewell(&node, id, peer).await.unwrap(), None);
    assert!(farewell(&node, garden, peer).await.unwrap().is_some(), "the parent's removal is told");
    node.shutdown().await;
}

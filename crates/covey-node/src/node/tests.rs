//! What a node keeps in memory is what is on disk, and whom it takes for a stranger.

use covey_space::KeyRing;
use covey_types::DeviceSecret;

use super::*;
use crate::{NetworkMode, Profile};

async fn solo(home: &std::path::Path) -> Node {
    let mut config = NodeConfig::new(home);
    config.profile = Some(Profile { user_name: "Ada".into(), device_name: "laptop".into() });
    config.network = NetworkMode::Solo;
    Node::open(config).await.unwrap()
}

#[tokio::test]
async fn what_a_failed_change_did_to_the_memory_is_seen_by_nobody() {
    let home = tempfile::tempdir().unwrap();
    let node = solo(home.path()).await;
    let (one, two) = (node.secrets(), node.secrets());
    let refused = node.write(move |tx, engine| {
        engine.found_space(tx, &one, "garden", 1)?;
        Err::<(), _>(NodeError::Invalid("no".into()))
    });
    assert!(matches!(refused.await, Err(NodeError::Invalid(_))));
    assert!(node.spaces().is_empty());
    let panicked = node.write(move |tx, engine| {
        engine.found_space(tx, &two, "garden", 1)?;
        assert!(engine.spaces.is_empty(), "this panics in the middle of a change");
        Ok(())
    });
    assert!(panicked.await.is_err());
    assert!(node.spaces().is_empty());
    node.create_space("garden").await.unwrap();
    assert_eq!(node.spaces().len(), 1);
    node.shutdown().await;
}

/// Whoever waits for the memory while a change fails sees it as it was before: they would act on what never came to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_a_change_between_its_failure_and_its_undoing() {
    let home = tempfile::tempdir().unwrap();
    let node = solo(home.path()).await;
    for round in 0..20 {
        let (moved, seen) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let (looker, secrets) = (node.clone(), node.secrets());
        let looking = std::thread::spawn(move || {
            moved.1.recv().unwrap();
            seen.0.send(()).unwrap();
            looker.spaces().len()
        });
        let failed = node.write(move |tx, engine| {
            engine.found_space(tx, &secrets, "garden", 1)?;
            moved.0.send(()).unwrap();
            // From here on the other thread waits for the memory, or is about to.
            seen.1.recv().unwrap();
            assert!(round % 2 == 0, "this panics in the middle of a change");
            Err::<(), _>(NodeError::Invalid("no".into()))
        });
        assert!(failed.await.is_err());
        assert_eq!(looking.join().unwrap(), 0);
    }
    node.shutdown().await;
}

#[tokio::test]
async fn a_later_welcome_replaces_the_keys_only_of_a_space_that_nobody_has_proved_yet() {
    let home = tempfile::tempdir().unwrap();
    let node = solo(home.path()).await;
    let (wrong, right) = (KeyRing::generate().0, KeyRing::generate().0);
    let (liar, friend) = (DeviceSecret::generate().id(), DeviceSecret::generate().id());
    let enter = async |id: SpaceId, keys: &KeyRing, from| {
        let keys = keys.clone();
        node.write(move |tx, engine| Ok(engine.enter_space(tx, id, "garden", keys, from)?)).await.unwrap();
        let engine = node.engine();
        let info = &engine.space(id).unwrap().info;
        (info.keys.newest().unwrap().id(), info.inviter)
    };
    let unproved = SpaceId([5; 32]);
    assert_eq!(enter(unproved, &wrong, liar).await, (wrong.newest().unwrap().id(), Some(liar)));
    assert_eq!(enter(unproved, &right, friend).await, (right.newest().unwrap().id(), Some(friend)));
    let own = node.create_space("shed").await.unwrap().id();
    let keys = node.engine().space(own).unwrap().info.keys.newest().unwrap().id();
    assert_eq!(enter(own, &wrong, liar).await, (keys, None));
    node.shutdown().await;
}

#[tokio::test]
async fn a_stranger_is_none_any_more_once_there_is_a_space_in_common_with_somebody() {
    let home = tempfile::tempdir().unwrap();
    let node = solo(home.path()).await;
    let (friend, other) = (DeviceSecret::generate().id(), DeviceSecret::generate().id());
    let shunned = || [friend, other].map(|device| node.0.peers.is_shunned(&node, device));
    node.0.peers.is_a_stranger(friend);
    node.0.peers.is_a_stranger(other);
    assert_eq!(shunned(), [true, true]);
    let enter = node.write(move |tx, engine| {
        Ok(engine.enter_space(tx, SpaceId([5; 32]), "g", KeyRing::generate().0, friend)?)
    });
    enter.await.unwrap();
    assert_eq!(shunned(), [false, true]);
    node.space_added(SpaceId([5; 32]));
    assert_eq!(shunned(), [false, false]);
    node.shutdown().await;
}

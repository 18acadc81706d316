//! What becomes of invitations is told, kept over a restart, and can be ended early.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::time::Duration;

use common::{PATIENCE, join, node};
use covey_node::{Event, Happening, InvitationState, Nameplate, Node, NodeError, Role, Space};

/// Waits until an invitation is over: how it has ended.
async fn over(
    events: &mut tokio::sync::broadcast::Receiver<Event>,
    space: &Space,
) -> (Nameplate, InvitationState) {
    let wait = async {
        loop {
            if let Event::Invitation { space: of, invitation, state } = events.recv().await.unwrap() {
                assert_eq!(of, space.id());
                return (invitation, state);
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the event comes")
}

/// What is kept, without the times.
async fn kept(space: &Space) -> Vec<(Nameplate, Happening)> {
    space.pairing().await.unwrap().into_iter().map(|act| (act.invitation, act.what)).collect()
}

async fn alone(home: &std::path::Path) -> (Node, Space) {
    let ada = node(home, "ada").await;
    let garden = ada.create_space("garden").await.unwrap();
    (ada, garden)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_that_was_used_is_told_and_kept_with_who_came() {
    let home = tempfile::tempdir().unwrap();
    let (ada, garden) = alone(home.path()).await;
    let bob = node(home.path(), "bob").await;
    let mut events = ada.events();
    join(&garden, &bob, Role::Member).await;
    let device = bob.identity().device;
    let (id, state) = over(&mut events, &garden).await;
    assert_eq!(state, InvitationState::UsedBy(device));
    assert_eq!(kept(&garden).await, [(id, Happening::Opened), (id, Happening::UsedBy(device))]);
    let acts = garden.pairing().await.unwrap();
    let who: Vec<_> = acts.iter().map(|act| act.who.user_name.as_deref()).collect();
    assert_eq!(who, [Some("ada"), Some("bob")]);
    assert_eq!((acts[0].role, acts[0].is_link), (Some(Role::Member), false));
    let refused = garden.withdraw(&id.to_string()).await;
    assert!(matches!(refused, Err(NodeError::Conflict(_))), "{refused:?}");
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_invitation_lets_nobody_in() {
    let home = tempfile::tempdir().unwrap();
    let (ada, garden) = alone(home.path()).await;
    let bob = node(home.path(), "bob").await;
    let shed = ada.create_space("shed").await.unwrap();
    let mut events = ada.events();
    let invitation = garden.invite(Role::Guest, Duration::from_secs(60)).await.unwrap();
    let id = invitation.id.to_string();
    // It's no invitation to elsewhere, and none for a device.
    for refused in [shed.withdraw(&id).await, ada.withdraw_link(&id).await, garden.withdraw("0000").await] {
        assert!(matches!(refused, Err(NodeError::NotFound { .. })), "{refused:?}");
    }
    let no_name = garden.withdraw("garden").await;
    assert!(matches!(no_name, Err(NodeError::Invalid(_))), "{no_name:?}");
    let withdrawn = (invitation.id, InvitationState::Withdrawn);
    assert_eq!(garden.withdraw(&id).await.unwrap(), withdrawn);
    assert_eq!(over(&mut events, &garden).await, withdrawn);
    assert_eq!(garden.withdraw(&invitation.code).await.unwrap(), withdrawn, "again is no error");
    let refused = bob.join(&invitation.link, PATIENCE).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(garden.members().len(), 1);
    let told = [(invitation.id, Happening::Opened), (invitation.id, Happening::Withdrawn)];
    assert_eq!(kept(&garden).await, told);
    assert_eq!(kept(&shed).await, []);

    let link = ada.link_device(Duration::from_secs(60)).await.unwrap();
    assert_eq!(ada.withdraw_link(&link.id.to_string()).await.unwrap().1, InvitationState::Withdrawn);
    let personal = ada.personal().unwrap();
    assert_eq!(kept(&personal).await, [(link.id, Happening::Opened), (link.id, Happening::Withdrawn)]);
    assert!(personal.pairing().await.unwrap()[0].is_link);
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_expires_by_itself_and_one_of_an_earlier_run_has_expired() {
    let home = tempfile::tempdir().unwrap();
    let (ada, garden) = alone(home.path()).await;
    let mut events = ada.events();
    let long = garden.invite(Role::Member, Duration::from_secs(600)).await.unwrap();
    // The keeper waits for the first of them, whichever was made first.
    let short = garden.invite(Role::Member, Duration::from_millis(50)).await.unwrap();
    assert_eq!(over(&mut events, &garden).await, (short.id, InvitationState::Expired));
    let before = kept(&garden).await;
    let opened = |invitation: &covey_node::Invitation| (invitation.id, Happening::Opened);
    assert_eq!(before, [opened(&long), opened(&short), (short.id, Happening::Expired)]);
    let expired_at = garden.pairing().await.unwrap()[2].at_ms;
    assert_eq!(expired_at, short.expires_at_ms);
    ada.shutdown().await;

    let ada = node(home.path(), "ada").await;
    let garden = ada.space("garden").unwrap();
    let after = kept(&garden).await;
    assert_eq!(after[..3], before);
    assert_eq!(after[3..], [(long.id, Happening::Expired)], "its code went with the run");
    assert!(garden.pairing().await.unwrap()[3].at_ms < long.expires_at_ms);
    let unknown = garden.withdraw(&long.id.to_string()).await;
    assert!(matches!(unknown, Err(NodeError::NotFound { .. })), "{unknown:?}");
    ada.shutdown().await;
}

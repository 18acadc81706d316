//! What somebody who is in no common space can find out: nothing.

use std::time::Duration;

use covey_node::Node;
use covey_types::{Head, LogId, wire};
use tokio::time::timeout;

use crate::{
    common::node,
    peer::{CLOSE, HEADS, OFFER, Peer, frame},
};

/// Kind and length of every frame that a stranger gets to see, when it shows the node's own tags to it and
/// then asks for what may be behind the first.
async fn what_a_stranger_sees(node: &Node) -> Vec<(u8, usize)> {
    let peer = Peer::near(node).await;
    let (mut wire, _) = peer.greeted().await;
    let offer = wire.next().await.unwrap();
    let mut seen = vec![(offer[0], offer.len())];
    let tags: Vec<[u8; 16]> = wire::decode("an offer", &offer[1..], 1 << 20).unwrap();
    wire.send(&frame(OFFER, &tags)).await;
    let early = timeout(Duration::from_millis(300), wire.next()).await;
    assert!(early.is_err(), "a tag that was shown back is answered: {early:?}");
    // The same tags on a second stream, as one would who had listened to the first.
    let (mut again, _) = peer.greeted().await;
    seen.push(again.next().await.map(|payload| (payload[0], payload.len())).unwrap());
    again.send(&frame(OFFER, &tags)).await;
    let early = timeout(Duration::from_millis(300), again.next()).await;
    assert!(early.is_err(), "a tag of another session is answered: {early:?}");
    again.send(&frame(HEADS, &(0u32, Vec::<(LogId, Head)>::new()))).await;
    seen.extend(again.rest().await.iter().map(|payload| (payload[0], payload.len())));
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_cannot_tell_whether_there_is_a_space() {
    let home = tempfile::tempdir().unwrap();
    let (empty, full) = (node(home.path(), "empty").await, node(home.path(), "full").await);
    let garden = full.create_space("garden").await.unwrap();
    garden.collection("plants").unwrap().put(Some("x"), r#"{"v":"secret"}"#).await.unwrap();
    let (nothing, something) = (what_a_stranger_sees(&empty).await, what_a_stranger_sees(&full).await);
    assert_eq!(nothing, something);
    // Two tags of 16 bytes, twice; then the stream is closed.
    assert_eq!(something, [(OFFER, 34), (OFFER, 34), (CLOSE, 2)]);
    empty.shutdown().await;
    full.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_spaces_is_told_only_as_a_power_of_two() {
    let home = tempfile::tempdir().unwrap();
    let node = node(home.path(), "ada").await;
    // With the personal space: one to six.
    for expected in [2, 2, 4, 4, 8, 8] {
        let peer = Peer::near(&node).await;
        let (mut wire, _) = peer.greeted().await;
        let offer = wire.next().await.unwrap();
        let tags: Vec<[u8; 16]> = wire::decode("an offer", &offer[1..], 1 << 20).unwrap();
        assert_eq!(tags.len(), expected);
        node.create_space("garden").await.unwrap();
    }
    node.shutdown().await;
}

//! Two streams between the same two devices: which one stands.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    common::{PATIENCE, node},
    peer::{HELLO, OFFER, Peer, SYNC, Wire, hello, hello_frame},
};

/// The stream that the node opens to this peer.
async fn called(peer: &Peer) -> Wire {
    let mut incoming = peer.net.accept(SYNC).unwrap();
    let (from, stream) = timeout(PATIENCE, incoming.next()).await.unwrap().unwrap();
    assert_eq!(from, peer.node);
    Wire::new(stream)
}

async fn greets(wire: &mut Wire) {
    wire.send(&hello_frame(&hello())).await;
    for kind in [HELLO, OFFER] {
        assert_eq!(wire.next().await.expect("the node answers on this stream")[0], kind);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_killed_and_comes_back_gets_a_session_however_young_the_last_one_was() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let peer = Peer::called_by(&ada).await;
    // Ada takes this one for living. Nobody reads it any more.
    let mut dead = called(&peer).await;
    greets(&mut dead).await;
    let mut living = peer.open(SYNC).await;
    greets(&mut living).await;
    assert!(dead.next().await.is_none(), "one session with each");
    ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_streams_opened_at_the_same_moment_the_one_that_both_keep_lives() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let peer = Peer::called_by(&ada).await;
    let mut kept = called(&peer).await;
    // The peer had opened one too, and gives it up for Ada's as it should.
    let mut other = peer.open(SYNC).await;
    other.send(&hello_frame(&hello())).await;
    drop(other);
    greets(&mut kept).await;
    let end = timeout(Duration::from_millis(500), kept.next()).await;
    assert!(end.is_err(), "the session goes on: {end:?}");
    ada.shutdown().await;
}

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
    assert!(is_greeted(wire).await, "the node answers on this stream");
}

/// Whether the node answers on this stream, and hasn't given it up.
async fn is_greeted(wire: &mut Wire) -> bool {
    wire.send(&hello_frame(&hello())).await;
    for kind in [HELLO, OFFER] {
        match wire.next().await {
            Some(frame) => assert_eq!(frame[0], kind),
            None => return false,
        }
    }
    true
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
    // She waits a quarter of a second for the peer to give its stream up: where all stands still for so long, once more.
    for tries in 1.. {
        let peer = Peer::called_by(&ada).await;
        let mut kept = called(&peer).await;
        // The peer had opened one too, and gives it up for Ada's as it should.
        let mut other = peer.open(SYNC).await;
        other.send(&hello_frame(&hello())).await;
        drop(other);
        if is_greeted(&mut kept).await && timeout(Duration::from_millis(500), kept.next()).await.is_err() {
            break;
        }
        assert!(tries < 3, "the session that both keep goes on");
    }
    ada.shutdown().await;
}

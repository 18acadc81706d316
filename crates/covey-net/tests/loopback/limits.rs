//! Whom a network keeps out, and for whom it makes room.

use std::time::Duration;

use covey_net::{ConnectError, PeerState};
use tokio::time::timeout;

use crate::node::{LONG, Node, QUIC, config};

#[tokio::test]
async fn a_banned_peer_is_cut_off_and_can_not_come_back_until_the_ban_ends() {
    let (mut a, mut b) = (Node::start(config(&[QUIC])).await, Node::start(config(&[QUIC])).await);
    b.net.connect(a.net.device(), a.addrs.clone()).await.unwrap();
    b.connected().await;
    a.connected().await;
    a.net.ban(b.net.device(), Duration::from_hours(1)).await;
    a.disconnected().await;
    b.disconnected().await;
    assert!(matches!(a.net.connect(b.net.device(), b.addrs.clone()).await, Err(ConnectError::Banned(_))));
    // b's side of the handshake may still succeed; what it gets is closed before a knows of it.
    if b.net.connect(a.net.device(), a.addrs.clone()).await.is_ok() {
        b.disconnected().await;
    }
    assert!(a.net.peers().await.iter().all(|peer| peer.state != PeerState::Connected));
    a.net.ban(b.net.device(), Duration::ZERO).await;
    let again = async {
        loop {
            let _ = b.net.connect(a.net.device(), a.addrs.clone()).await;
            if a.net.peers().await.iter().any(|peer| peer.state == PeerState::Connected) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, again).await.unwrap();
}

#[tokio::test]
async fn the_connection_limit_holds() {
    let mut full = config(&[QUIC]);
    full.limits.established = 2;
    let full = Node::start(full).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(Node::start(config(&[QUIC])).await);
    }
    for other in &others {
        let _ = other.net.connect(full.net.device(), full.addrs.clone()).await;
    }
    for other in &mut others[2..] {
        // Either it never got in, or it was put out again.
        let out = async {
            while other.net.peers().await.iter().any(|peer| peer.state == PeerState::Connected) {
                other.events.recv().await;
            }
        };
        timeout(LONG, out).await.unwrap();
    }
    let connected = full.net.peers().await.iter().filter(|peer| peer.state == PeerState::Connected).count();
    assert_eq!(connected, 2);
}

#[tokio::test]
async fn strangers_fill_their_share_and_a_member_still_gets_in() {
    let mut small = config(&[QUIC]);
    small.limits.established = 4;
    let small = Node::start(small).await;
    let members = [Node::start(config(&[QUIC])).await, Node::start(config(&[QUIC])).await];
    small.net.prefer(members.iter().map(|member| member.net.device()).collect()).await;
    let mut strangers = Vec::new();
    for _ in 0..4 {
        let stranger = Node::start(config(&[QUIC])).await;
        let _ = stranger.net.connect(small.net.device(), small.addrs.clone()).await;
        strangers.push(stranger);
    }
    // The last one never got in, or was put out again.
    let out = async {
        while strangers[3].net.peers().await.iter().any(|peer| peer.state == PeerState::Connected) {
            strangers[3].events.recv().await;
        }
    };
    timeout(LONG, out).await.unwrap();
    for member in &members {
        member.net.connect(small.net.device(), small.addrs.clone()).await.unwrap();
    }
    // One member had the room that is kept; for the other the stranger who came first had to go.
    assert_eq!(strangers[0].disconnected().await, small.net.device());
    let mut there: Vec<_> = small.net.peers().await.iter().map(|peer| peer.device).collect();
    let mut expected: Vec<_> = members.iter().chain(&strangers[1..3]).map(|node| node.net.device()).collect();
    there.sort();
    expected.sort();
    assert_eq!(there, expected);
}

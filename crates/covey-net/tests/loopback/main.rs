//! Two or more networks in this process, over loopback only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod ends;
mod limits;
mod node;

use std::time::Duration;

use covey_net::{ConnectError, Multiaddr, NetEvent, OpenError, PeerState, Transport};
use covey_types::DeviceSecret;
use tokio::time::timeout;

use node::{ECHO, LONG, Node, QUIC, TCP, config, echoed};

async fn ten_megabytes_come_back(listen: &str, expected: Transport) {
    let (mut a, mut b) = (Node::start(config(&[listen])).await, Node::start(config(&[listen])).await);
    b.echo();
    a.net.connect(b.net.device(), b.addrs.clone()).await.unwrap();
    assert_eq!(a.connected().await, (b.net.device(), expected, true));
    assert_eq!(b.connected().await, (a.net.device(), expected, false));
    let stream = a.net.open(b.net.device(), ECHO).await.unwrap();
    timeout(LONG, echoed(stream, 10 << 20)).await.unwrap();
    a.until(|event| matches!(event, NetEvent::Rtt { .. }).then_some(())).await;
    let peers = a.net.peers().await;
    assert_eq!(peers.len(), 1);
    assert_eq!((peers[0].state, peers[0].transport), (PeerState::Connected, Some(expected)));
    assert!(peers[0].rtt.is_some());
    // Once connected, connecting again is no work.
    a.net.connect(b.net.device(), vec![]).await.unwrap();
}

#[tokio::test]
async fn a_stream_over_quic_carries_ten_megabytes_both_ways() {
    ten_megabytes_come_back(QUIC, Transport::Quic).await;
}

#[tokio::test]
async fn a_stream_over_tcp_carries_ten_megabytes_both_ways() {
    ten_megabytes_come_back(TCP, Transport::Tcp).await;
}

#[tokio::test]
async fn quic_is_preferred_and_tcp_is_the_fallback() {
    let mut a = Node::start(config(&[QUIC, TCP])).await;
    let b = Node::start(config(&[QUIC, TCP])).await;
    a.net.connect(b.net.device(), b.addrs.clone()).await.unwrap();
    assert_eq!(a.connected().await.1, Transport::Quic);

    // Nothing answers at the QUIC address of this one.
    let c = Node::start(config(&[TCP])).await;
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let dead = format!("/ip4/127.0.0.1/udp/{}/quic-v1", deaf.local_addr().unwrap().port());
    let addrs = vec![dead.parse().unwrap(), c.addrs[0].clone()];
    a.net.connect(c.net.device(), addrs).await.unwrap();
    assert_eq!(a.connected().await.1, Transport::Tcp);
}

#[tokio::test]
async fn streams_that_come_all_at_once_wait_until_they_are_taken() {
    const PEERS: usize = 8;
    const EACH: usize = 8;
    let b = Node::start(config(&[QUIC])).await;
    let mut incoming = b.net.accept(ECHO).unwrap();
    let (mut peers, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..PEERS {
        let peer = Node::start(config(&[QUIC])).await;
        peer.net.connect(b.net.device(), b.addrs.clone()).await.unwrap();
        peers.push(peer);
    }
    let opened = peers.iter().flat_map(|peer| (0..EACH).map(|_| peer.net.open(b.net.device(), ECHO)));
    for stream in futures::future::join_all(opened).await {
        streams.push(stream.unwrap());
    }
    // Nobody has taken one so far.
    let mut from = std::collections::HashMap::new();
    for _ in 0..PEERS * EACH {
        let (device, _stream) = timeout(LONG, incoming.next()).await.unwrap().unwrap();
        *from.entry(device).or_insert(0) += 1;
    }
    assert_eq!(from.len(), PEERS);
    assert!(from.values().all(|&count| count == EACH), "{from:?}");
}

#[tokio::test]
async fn both_ends_may_dial_at_once() {
    let (a, b) = (Node::start(config(&[QUIC])).await, Node::start(config(&[QUIC])).await);
    a.echo();
    b.echo();
    let (to_b, to_a) = tokio::join!(
        a.net.connect(b.net.device(), b.addrs.clone()),
        b.net.connect(a.net.device(), a.addrs.clone())
    );
    to_b.unwrap();
    to_a.unwrap();
    for (from, to) in [(&a, &b), (&b, &a)] {
        let stream = from.net.open(to.net.device(), ECHO).await.unwrap();
        timeout(LONG, echoed(stream, 100_000)).await.unwrap();
    }
}

#[tokio::test]
async fn an_unknown_protocol_and_an_unknown_peer_are_told_apart() {
    let (a, b) = (Node::start(config(&[QUIC])).await, Node::start(config(&[QUIC])).await);
    let open = a.net.open(b.net.device(), ECHO).await;
    assert!(matches!(open, Err(OpenError::NotConnected(_))), "{open:?}");
    a.net.connect(b.net.device(), b.addrs.clone()).await.unwrap();
    let open = a.net.open(b.net.device(), ECHO).await;
    assert!(matches!(open, Err(OpenError::Unsupported { .. })), "{open:?}");
    let _incoming = b.net.accept(ECHO).unwrap();
    assert!(b.net.accept(ECHO).is_err());
    a.net.open(b.net.device(), ECHO).await.unwrap();
}

#[tokio::test]
async fn a_stranger_at_the_address_is_refused() {
    let (a, b) = (Node::start(config(&[QUIC])).await, Node::start(config(&[QUIC])).await);
    let wanted = DeviceSecret::generate().id();
    match a.net.connect(wanted, b.addrs.clone()).await {
        Err(ConnectError::WrongPeer { found, .. }) => assert_eq!(found, b.net.device()),
        other => panic!("{other:?}"),
    }
    let with_id = format!("{}/p2p/{wanted}", b.addrs[0]).parse().unwrap();
    assert!(matches!(a.net.connect_any(with_id).await, Err(ConnectError::WrongPeer { .. })));
    assert!(a.net.peers().await.iter().all(|peer| peer.state != PeerState::Connected));
    assert_eq!(a.net.connect_any(b.addrs[0].clone()).await.unwrap(), b.net.device());
    let own = a.net.connect_any(a.addrs[0].clone()).await;
    assert!(matches!(own, Err(ConnectError::Myself(_))), "{own:?}");
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error_that_names_it() {
    let a = Node::start(config(&[TCP])).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let addr: Multiaddr = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
    let error = a.net.connect(DeviceSecret::generate().id(), vec![addr.clone()]).await.unwrap_err();
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn gossip_arrives_once_and_says_who_signed_it() {
    let topic = [9; 32];
    let (a, mut b) = (Node::start(config(&[QUIC])).await, Node::start(config(&[QUIC])).await);
    let c = Node::start(config(&[QUIC])).await;
    for node in [&a, &b, &c] {
        node.net.subscribe(topic).await;
    }
    a.net.connect(b.net.device(), b.addrs.clone()).await.unwrap();
    b.net.connect(c.net.device(), c.addrs.clone()).await.unwrap();
    a.net.connect(c.net.device(), c.addrs.clone()).await.unwrap();
    let published = async {
        while a.net.publish(topic, b"bees".to_vec()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, published).await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&b"end".to_vec()) {
        let (from, data) = b
            .until(|event| match event {
                NetEvent::Gossip { topic: on, from, data } if on == topic => Some((from, data)),
                _ => None,
            })
            .await;
        assert_eq!(from, a.net.device());
        if seen.is_empty() {
            assert!(a.net.publish(topic, b"bees".to_vec()).await.is_err());
            a.net.publish(topic, b"end".to_vec()).await.unwrap();
        }
        seen.push(data);
    }
    assert_eq!(seen, [b"bees".to_vec(), b"end".to_vec()]);
    assert!(a.net.publish(topic, vec![0; 65 << 10]).await.is_err());
}

#[tokio::test]
async fn a_listener_that_never_reads_events_stops_nothing() {
    let mut quiet = Node::start(config(&[QUIC])).await;
    quiet.echo();
    let topic = [3; 32];
    quiet.net.subscribe(topic).await;
    let loud = Node::start(config(&[QUIC])).await;
    loud.net.subscribe(topic).await;
    loud.net.connect(quiet.net.device(), quiet.addrs.clone()).await.unwrap();
    let published = async {
        let mut sent = 0u32;
        while sent < 1000 {
            match loud.net.publish(topic, sent.to_le_bytes().to_vec()).await {
                Ok(()) => sent += 1,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(LONG, published).await.unwrap();
    let stream = loud.net.open(quiet.net.device(), ECHO).await.unwrap();
    timeout(LONG, echoed(stream, 1000)).await.unwrap();
    assert_eq!(quiet.connected().await.0, loud.net.device());
}

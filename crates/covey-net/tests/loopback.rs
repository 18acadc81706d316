//! Two or more networks in this process, over loopback only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{collections::HashSet, time::Duration};

use covey_net::{
    ConnectError, MdnsConfig, Multiaddr, Net, NetConfig, NetEvent, NetStream, NetworkMode, OpenError,
    PeerState, Source, Transport, start,
};
use covey_types::{DeviceId, DeviceSecret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

const ECHO: &str = "/test/echo/1";
/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);

fn config(listen: &[&str]) -> NetConfig {
    NetConfig {
        listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
        mdns: MdnsConfig::off(),
        ..NetConfig::new(DeviceSecret::generate())
    }
}

const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const TCP: &str = "/ip4/127.0.0.1/tcp/0";

struct Node {
    net: Net,
    events: mpsc::Receiver<NetEvent>,
    addrs: Vec<Multiaddr>,
}

impl Node {
    async fn start(config: NetConfig) -> Self {
        let listeners = config.listen.len();
        let (net, mut events) = start(config).unwrap();
        let mut addrs = Vec::new();
        while addrs.len() < listeners {
            if let NetEvent::Listening(addr) = events.recv().await.unwrap() {
                addrs.push(addr);
            }
        }
        Self { net, events, addrs }
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(NetEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(self.events.recv().await.expect("the network runs")) {
                    return found;
                }
            }
        };
        timeout(LONG, search).await.expect("the event comes")
    }

    async fn connected(&mut self) -> (DeviceId, Transport, bool) {
        self.until(|event| match event {
            NetEvent::Connected { device, transport, outbound, .. } => Some((device, transport, outbound)),
            _ => None,
        })
        .await
    }

    async fn disconnected(&mut self) -> DeviceId {
        self.until(|event| match event {
            NetEvent::Disconnected { device, .. } => Some(device),
            _ => None,
        })
        .await
    }

    fn echo(&self) {
        let mut incoming = self.net.accept(ECHO).unwrap();
        tokio::spawn(async move {
            while let Some((_, stream)) = incoming.next().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = tokio::io::split(stream);
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                    let _ = write.shutdown().await;
                });
            }
        });
    }
}

async fn echoed(stream: NetStream, size: usize) {
    let sent: Vec<u8> = (0..size).map(|i| (i * 31 >> 3) as u8).collect();
    let (mut read, mut write) = tokio::io::split(stream);
    let bytes = sent.clone();
    let writer = tokio::spawn(async move {
        write.write_all(&bytes).await.unwrap();
        write.shutdown().await.unwrap();
        write
    });
    let mut got = Vec::new();
    read.read_to_end(&mut got).await.unwrap();
    writer.await.unwrap();
    assert!(got == sent, "{} of {size} bytes came back, or other ones", got.len());
}

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

#[cfg(target_os = "linux")]
fn sockets() -> HashSet<String> {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    let links = all
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_string().ok());
    links.filter(|link| link.starts_with("socket:")).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn solo_opens_no_socket() {
    // The runtime itself has a socket pair for signals.
    let before = sockets();
    let solo = NetConfig { mode: NetworkMode::Solo, ..NetConfig::new(DeviceSecret::generate()) };
    let (net, mut events) = start(solo).unwrap();
    let connect = net.connect(DeviceId([1; 32]), vec![TCP.parse().unwrap()]).await;
    assert!(matches!(connect, Err(ConnectError::Solo)));
    assert!(matches!(net.open(DeviceId([1; 32]), ECHO).await, Err(OpenError::NotConnected(_))));
    let _incoming = net.accept(ECHO).unwrap();
    net.announce(1).await;
    assert!(net.listen_addrs().await.is_empty());
    if std::env::var_os("NEXTEST").is_some() {
        // Only there is the process ours alone.
        assert_eq!(sockets(), before);
    }
    net.shutdown().await;
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn a_bootstrap_address_is_dialled_again_when_it_comes_back() {
    let secret = DeviceSecret::generate();
    let mut first = config(&[QUIC]);
    first.secret = secret.clone();
    let server = Node::start(first).await;
    let mut client = config(&[QUIC]);
    client.bootstrap = server.addrs.clone();
    let (net, events) = start(client).unwrap();
    let mut client = Node { net, events, addrs: vec![] };
    let source = client
        .until(|event| match event {
            NetEvent::Discovered { source, .. } => Some(source),
            _ => None,
        })
        .await;
    assert_eq!(source, Source::Bootstrap);
    assert_eq!(client.connected().await.0, secret.id());
    server.net.shutdown().await;
    assert_eq!(client.disconnected().await, secret.id());
    let mut again = config(&[&server.addrs[0].to_string()]);
    again.secret = secret.clone();
    let mut server = Node::start(again).await;
    assert_eq!(client.connected().await.0, secret.id());
    assert_eq!(server.connected().await.0, client.net.device());
}

#[tokio::test]
async fn shutdown_is_seen_at_once_and_ends_everything() {
    let (mut a, mut b) = (Node::start(config(&[QUIC])).await, Node::start(config(&[QUIC])).await);
    let mut incoming = b.net.accept(ECHO).unwrap();
    a.net.connect(b.net.device(), b.addrs.clone()).await.unwrap();
    b.connected().await;
    let began = std::time::Instant::now();
    b.net.shutdown().await;
    a.disconnected().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(incoming.next().await.is_none());
    while let Some(event) = b.events.recv().await {
        assert!(!matches!(event, NetEvent::Listening(_)));
    }
    assert!(matches!(b.net.connect(a.net.device(), vec![]).await, Err(ConnectError::Shutdown)));
}

/// A dial that nobody answers keeps the socket for seconds (RFC 9000 §10.2), which nobody should wait for.
#[tokio::test]
async fn a_dial_under_way_does_not_hold_up_a_shutdown_and_the_port_can_be_had_again() {
    let (mut a, b) = (Node::start(config(&[QUIC])).await, Node::start(config(&[QUIC])).await);
    a.net.connect(b.net.device(), b.addrs.clone()).await.unwrap();
    a.connected().await;
    let deaf = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("/ip4/127.0.0.1/udp/{}/quic-v1", deaf.local_addr().unwrap().port());
    let net = b.net.clone();
    let dial = tokio::spawn(async move {
        net.connect(DeviceSecret::generate().id(), vec![nowhere.parse().unwrap()]).await
    });
    // The dial has begun when its first packet is there.
    let deaf = tokio::task::spawn_blocking(move || deaf.recv_from(&mut [0; 2048]).map(|_| deaf));
    let _deaf = timeout(LONG, deaf).await.unwrap().unwrap().unwrap();

    let began = std::time::Instant::now();
    let (seen, ended) = tokio::join!(
        async {
            a.disconnected().await;
            began.elapsed()
        },
        async {
            b.net.shutdown().await;
            began.elapsed()
        }
    );
    assert!(seen < ended, "the other end was told first: {seen:?}, {ended:?}");
    assert!(ended < Duration::from_millis(700), "{ended:?}");
    assert!(matches!(dial.await.unwrap(), Err(ConnectError::Shutdown)));

    let addr = b.addrs[0].to_string();
    let again = timeout(LONG, Node::start(config(&[&addr]))).await.unwrap();
    assert_eq!(again.addrs, b.addrs);
    again.net.connect(a.net.device(), a.addrs.clone()).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let error = start(config(&[&addr])).unwrap_err();
    assert!(error.to_string().contains(&addr) && error.to_string().contains("in use"), "{error}");
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

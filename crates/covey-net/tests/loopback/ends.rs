//! Starting, ending, and starting again.

use std::{collections::HashSet, time::Duration};

use covey_net::{ConnectError, NetConfig, NetEvent, NetworkMode, OpenError, Source, start};
use covey_types::{DeviceId, DeviceSecret};
use tokio::time::timeout;

use crate::node::{ECHO, LONG, Node, QUIC, TCP, config};

/// At once, and much room for a busy machine: a peer that isn't told finds out by QUIC's idle time, after 10 s and more.
const AT_ONCE: Duration = Duration::from_secs(5);

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
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
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
    assert!(seen < AT_ONCE, "the other end was told: {seen:?}");
    // The dial to the deaf one would have gone on for longer, and its socket been kept for seconds after.
    assert!(ended < Duration::from_secs(3), "{ended:?}");
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

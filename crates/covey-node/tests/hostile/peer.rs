//! A device that speaks the protocols byte by byte, and what the node says about it.

use std::time::Duration;

use covey_net::{MdnsConfig, Multiaddr, Net, NetConfig, NetStream};
use covey_node::{Event, Node, PeerState};
use covey_sync::{Deframer, Hello, framing};
use covey_types::{DeviceId, DeviceSecret, wire};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::broadcast,
    time::timeout,
};

use crate::common::{PATIENCE, eventually};

pub(crate) const SYNC: &str = "/covey/sync/1";
pub(crate) const PAIR: &str = "/covey/pair/1";

/// The kinds of frames on a sync stream, as docs/protocol/sync.md numbers them.
pub(crate) const HELLO: u8 = 0;
pub(crate) const OFFER: u8 = 1;
pub(crate) const HEADS: u8 = 2;
pub(crate) const ENTRIES: u8 = 3;
pub(crate) const ACK: u8 = 4;
pub(crate) const CLOSE: u8 = 6;
pub(crate) const AGAIN: u8 = 7;

/// A device of its own, connected to a node.
pub(crate) struct Peer {
    pub(crate) secret: DeviceSecret,
    pub(crate) net: Net,
    pub(crate) node: DeviceId,
    addresses: Vec<Multiaddr>,
}

/// Where a node listens, once it does.
async fn addresses(node: &Node) -> Vec<Multiaddr> {
    eventually("the node listens", || async { !node.listen_addresses().await.is_empty() }).await;
    node.listen_addresses().await.iter().map(|text| text.parse().unwrap()).collect()
}

fn secret(fits: impl Fn(DeviceId) -> bool) -> DeviceSecret {
    std::iter::repeat_with(DeviceSecret::generate).find(|secret| fits(secret.id())).unwrap()
}

impl Peer {
    /// A new device with a smaller id than the node's, so that it is the one that opens the sync stream.
    pub(crate) async fn near(node: &Node) -> Self {
        Self::with(secret(|id| id < node.identity().device), node).await
    }

    /// A new device with a larger id than the node's, to which the node opens the sync stream.
    pub(crate) async fn called_by(node: &Node) -> Self {
        Self::with(secret(|id| id > node.identity().device), node).await
    }

    pub(crate) async fn with(secret: DeviceSecret, node: &Node) -> Self {
        let config = NetConfig {
            listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()],
            mdns: MdnsConfig::off(),
            ..NetConfig::new(secret.clone())
        };
        let (net, _) = covey_net::start(config).unwrap();
        let peer = Self { secret, net, node: node.identity().device, addresses: addresses(node).await };
        peer.connect().await;
        peer
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.secret.id()
    }

    pub(crate) async fn connect(&self) {
        self.net.connect(self.node, self.addresses.clone()).await.unwrap();
    }

    pub(crate) async fn open(&self, protocol: &'static str) -> Wire {
        Wire::new(self.net.open(self.node, protocol).await.unwrap())
    }

    /// A sync stream on which both sides have greeted; the node's greeting.
    pub(crate) async fn greeted(&self) -> (Wire, Hello) {
        let mut wire = self.open(SYNC).await;
        wire.send(&hello_frame(&hello())).await;
        let theirs = wire.next().await.unwrap();
        assert_eq!(theirs[0], HELLO);
        (wire, wire::decode("a greeting", &theirs[1..], 1024).unwrap())
    }
}

/// A stream, in frames and in bytes.
pub(crate) struct Wire {
    stream: NetStream,
    deframer: Deframer,
}

impl Wire {
    pub(crate) fn new(stream: NetStream) -> Self {
        Self { stream, deframer: Deframer::default() }
    }

    /// Sends bytes as they are. A node that has hung up already is no reason to stop.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    pub(crate) async fn send(&mut self, payload: &[u8]) {
        self.raw(&framing::frame(payload)).await;
    }

    /// The next frame; `None` when the node has ended the stream.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(payload) = self.deframer.next_frame().unwrap() {
                return Some(payload.to_vec());
            }
            let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("the node answers");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.deframer.push(&buffer[..read]),
            }
        }
    }

    /// Everything up to the end of the stream.
    pub(crate) async fn rest(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(payload) = self.next().await {
            frames.push(payload);
        }
        frames
    }

    /// Hangs up, politely: what was sent before still arrives.
    pub(crate) async fn finish(mut self) {
        let _ = self.stream.shutdown().await;
        let _ = timeout(Duration::from_secs(1), self.rest()).await;
    }
}

/// An honest greeting.
pub(crate) fn hello() -> Hello {
    Hello {
        oldest: 1,
        newest: 1,
        capabilities: 0,
        window: 8 << 20,
        nonce: [7; 32],
        agent: "test".into(),
        clock_ms: 0,
    }
}

pub(crate) fn hello_frame(hello: &Hello) -> Vec<u8> {
    frame(HELLO, hello)
}

pub(crate) fn frame(kind: u8, fields: &impl serde::Serialize) -> Vec<u8> {
    [&[kind], wire::encode(fields).as_slice()].concat()
}

/// Waits until the node blames this device; why it does.
pub(crate) async fn blamed(events: &mut broadcast::Receiver<Event>, device: DeviceId) -> String {
    let search = async {
        loop {
            if let Event::PeerMisbehaved { device: blamed, reason } = events.recv().await.unwrap() {
                assert_eq!(blamed, device, "the wrong one is blamed: {reason}");
                return reason;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("the node blames somebody")
}

/// Asserts that nobody was blamed up to now.
pub(crate) fn nobody_blamed(events: &mut broadcast::Receiver<Event>) {
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::PeerMisbehaved { .. }), "{event:?}");
    }
}

/// Waits until the node has let a device go.
pub(crate) async fn dropped(node: &Node, device: DeviceId) {
    eventually("the device is let go", || async {
        let peers = node.peers().await;
        !peers.iter().any(|peer| peer.device == device && peer.state == PeerState::Connected)
    })
    .await;
}

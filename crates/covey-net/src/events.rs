//! What the network tells the node, and the queue that keeps a slow listener from stopping it.
//!
//! Invariant: the swarm task never waits for the listener. Events queue up here; when the queue is
//! full the oldest gossip or round-trip event goes first, then the oldest event of any kind, and the
//! listener is told how many it missed ([`NetEvent::Lagged`]) so that it can read
//! [`Net::peers`](crate::Net::peers) afresh.

use std::{collections::VecDeque, time::Duration};

use covey_types::DeviceId;
use libp2p::Multiaddr;
use tokio::sync::mpsc;

/// Which transport a connection runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// QUIC over UDP.
    Quic,
    /// TCP with Noise and yamux.
    Tcp,
}

/// How a connection reaches the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Path {
    /// Straight to the peer's address.
    Direct,
}

/// How we came to know of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It announced itself on the LAN.
    Mdns,
    /// It answered at a bootstrap address.
    Bootstrap,
    /// Its address was given by hand.
    Manual,
}

/// Whether a peer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// There is a connection.
    Connected,
    /// There is none, but addresses are known.
    Reachable,
}

/// One peer, as of now.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Which device.
    pub device: DeviceId,
    /// Whether it is there.
    pub state: PeerState,
    /// The addresses we know; the one in use first.
    pub addresses: Vec<Multiaddr>,
    /// The transport in use, while connected.
    pub transport: Option<Transport>,
    /// The path in use, while connected.
    pub path: Option<Path>,
    /// The last measured round trip, while connected.
    pub rtt: Option<Duration>,
    /// What the peer says it runs, once it has said so.
    pub agent: Option<String>,
    /// How long it has been in this state.
    pub since: Duration,
}

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NetEvent {
    /// We listen on this address.
    Listening(Multiaddr),
    /// A peer is there, or has new addresses, or announces a new generation.
    Discovered {
        /// Who.
        device: DeviceId,
        /// Where.
        addrs: Vec<Multiaddr>,
        /// How we know.
        source: Source,
        /// The number it announces (mDNS only); a new one means it has news for those it knows.
        generation: Option<u64>,
    },
    /// A peer said goodbye, or its announcement ran out.
    Lost {
        /// Who.
        device: DeviceId,
    },
    /// The first connection to a peer is up.
    Connected {
        /// Who.
        device: DeviceId,
        /// Where.
        address: Multiaddr,
        /// Over what.
        transport: Transport,
        /// Whether we dialled.
        outbound: bool,
    },
    /// The last connection to a peer is gone.
    Disconnected {
        /// Who.
        device: DeviceId,
        /// Why.
        reason: String,
    },
    /// A round trip was measured.
    Rtt {
        /// To whom.
        device: DeviceId,
        /// How long.
        rtt: Duration,
    },
    /// A gossip message arrived.
    Gossip {
        /// On which topic.
        topic: [u8; 32],
        /// Who signed it (not who passed it on).
        from: DeviceId,
        /// What.
        data: Vec<u8>,
    },
    /// Network interfaces or their addresses changed.
    InterfacesChanged,
    /// The listener was too slow and missed this many events; what matters is in `Net::peers`.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// Events the channel itself holds; the rest wait in [`EventQueue`].
pub(crate) const CHANNEL: usize = 256;
/// Events that may wait: some seconds of heavy gossip, 1-2 MiB of small messages.
const QUEUE: usize = 4096;
/// Bytes of gossip that may wait, whatever their number.
const QUEUED_BYTES: usize = 8 << 20;

/// Events that wait for the listener.
pub(crate) struct EventQueue {
    sender: mpsc::Sender<NetEvent>,
    waiting: VecDeque<NetEvent>,
    bytes: usize,
    missed: u64,
}

const fn gossip_bytes(event: &NetEvent) -> usize {
    if let NetEvent::Gossip { data, .. } = event { data.len() } else { 0 }
}

const fn may_be_missed(event: &NetEvent) -> bool {
    matches!(event, NetEvent::Gossip { .. } | NetEvent::Rtt { .. })
}

impl EventQueue {
    pub(crate) fn new(sender: mpsc::Sender<NetEvent>) -> Self {
        Self { sender, waiting: VecDeque::new(), bytes: 0, missed: 0 }
    }

    /// Queues an event, and hands over what the listener has room for.
    pub(crate) fn push(&mut self, event: NetEvent) {
        self.bytes += gossip_bytes(&event);
        self.waiting.push_back(event);
        self.flush();
        while self.waiting.len() > QUEUE || self.bytes > QUEUED_BYTES {
            self.drop_one();
        }
    }

    fn drop_one(&mut self) {
        let at = self.waiting.iter().position(may_be_missed).unwrap_or(0);
        if let Some(event) = self.waiting.remove(at) {
            self.bytes -= gossip_bytes(&event);
            self.missed += 1;
        }
    }

    fn flush(&mut self) {
        while !self.is_empty() {
            let Ok(permit) = self.sender.try_reserve() else { return };
            if self.missed > 0 {
                permit.send(NetEvent::Lagged { missed: std::mem::take(&mut self.missed) });
            } else if let Some(event) = self.waiting.pop_front() {
                self.bytes -= gossip_bytes(&event);
                permit.send(event);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.missed == 0
    }

    /// Ends when the listener has room again. Never ends when there is no listener any more.
    pub(crate) async fn has_room(sender: mpsc::Sender<NetEvent>) {
        if sender.reserve().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn sender(&self) -> mpsc::Sender<NetEvent> {
        self.sender.clone()
    }

    /// Hands over what the listener has room for by now.
    pub(crate) fn resume(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId([1; 32]);

    fn gossip(n: u8) -> NetEvent {
        NetEvent::Gossip { topic: [0; 32], from: DEVICE, data: vec![n] }
    }

    #[test]
    fn a_slow_listener_misses_gossip_first_and_is_told() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut queue = EventQueue::new(sender);
        queue.push(NetEvent::InterfacesChanged); // fills the channel
        queue.push(NetEvent::Lost { device: DEVICE });
        for n in 0..=u8::MAX {
            for _ in 0..20 {
                queue.push(gossip(n));
            }
        }
        assert_eq!(queue.waiting.len(), QUEUE);
        let mut seen = Vec::new();
        while let Ok(event) = receiver.try_recv() {
            seen.push(event);
            queue.resume();
        }
        assert!(matches!(seen[0], NetEvent::InterfacesChanged));
        assert!(matches!(seen[1], NetEvent::Lagged { missed: 1025 }), "{:?}", seen[1]);
        assert!(matches!(seen[2], NetEvent::Lost { .. }));
        assert_eq!(seen.len(), QUEUE + 2);
        assert!(queue.is_empty());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn large_gossip_is_bounded_by_bytes() {
        let (sender, _receiver) = mpsc::channel(1);
        let mut queue = EventQueue::new(sender);
        for _ in 0..300 {
            queue.push(NetEvent::Gossip { topic: [0; 32], from: DEVICE, data: vec![0; 64 << 10] });
        }
        assert!(queue.bytes <= QUEUED_BYTES);
        assert!(queue.missed > 100);
    }
}

//! What a node's network is told at start.
//!
//! Every limit is a named constant with its reason; [`NetLimits`] lets a caller (a relay, a test)
//! choose others.

use std::{fmt, time::Duration};

use covey_types::DeviceSecret;
use libp2p::Multiaddr;

/// How far the network reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkMode {
    /// No network at all: no socket is opened.
    Solo,
    /// This LAN: multicast discovery and direct connections.
    #[default]
    Lan,
    /// The LAN and beyond it, by explicit addresses.
    Wan,
}

/// Everything [`start`](crate::start) needs to know.
#[derive(Clone)]
pub struct NetConfig {
    /// The device key, which is the libp2p identity too.
    pub secret: DeviceSecret,
    /// Where to listen; empty means [`default_listen`].
    pub listen: Vec<Multiaddr>,
    /// How far the network reaches.
    pub mode: NetworkMode,
    /// Addresses that are dialled at start, and again whenever there is no connection to them. With
    /// or without `/p2p/ID` at the end.
    pub bootstrap: Vec<Multiaddr>,
    /// Multicast discovery.
    pub mdns: MdnsConfig,
    /// What the identify protocol says we are: `covey/0.1.0`.
    pub agent: String,
    /// Bounds.
    pub limits: NetLimits,
}

impl NetConfig {
    /// A LAN node with the usual settings.
    pub fn new(secret: DeviceSecret) -> Self {
        Self {
            secret,
            listen: Vec::new(),
            mode: NetworkMode::Lan,
            bootstrap: Vec::new(),
            mdns: MdnsConfig::default(),
            agent: concat!("covey/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: NetLimits::default(),
        }
    }
}

impl fmt::Debug for NetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetConfig")
            .field("device", &self.secret.id())
            .field("listen", &self.listen)
            .field("mode", &self.mode)
            .field("bootstrap", &self.bootstrap)
            .field("mdns", &self.mdns)
            .field("agent", &self.agent)
            .field("limits", &self.limits)
            .finish()
    }
}

/// Every interface, both transports, ports chosen by the system.
pub fn default_listen() -> Vec<Multiaddr> {
    ["/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"]
        .iter()
        .map(|text| text.parse().expect("the default addresses are well-formed"))
        .collect()
}

/// Interfaces that don't lead to another person's machine: containers, bridges of virtual machines,
/// tunnels. Announcing their addresses makes peers dial into nowhere.
pub const DENIED_INTERFACES: [&str; 13] = [
    "docker*",
    "br-*",
    "veth*",
    "virbr*",
    "vmnet*",
    "vboxnet*",
    "cni*",
    "tun*",
    "tap*",
    "wg*",
    "tailscale*",
    "zt*",
    "utun*",
];

/// Multicast discovery, and which interfaces take part in it.
#[derive(Debug, Clone)]
pub struct MdnsConfig {
    /// Whether to discover by multicast at all.
    pub enabled: bool,
    /// Names that always take part, before `deny` is asked. `*` at the end stands for anything.
    pub allow: Vec<String>,
    /// Names that take no part unless no other interface is there.
    pub deny: Vec<String>,
    /// How often we announce ourselves. Peers are expected to do the same: one that was not heard for three times
    /// as long is gone.
    pub announce_every: Duration,
}

/// How often a node announces itself: a few hundred bytes on the LAN, and a peer that vanished is gone after 90 s.
pub const ANNOUNCE_EVERY: Duration = Duration::from_secs(30);

impl Default for MdnsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            allow: Vec::new(),
            deny: DENIED_INTERFACES.iter().map(|&name| name.to_owned()).collect(),
            announce_every: ANNOUNCE_EVERY,
        }
    }
}

impl MdnsConfig {
    /// No multicast discovery.
    pub fn off() -> Self {
        Self { enabled: false, ..Self::default() }
    }
}

/// Bounds on what others may make us hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetLimits {
    /// Connections to one peer.
    pub per_peer: u32,
    /// Connections in all, of which strangers have three quarters at most.
    pub established: u32,
    /// Handshakes under way that others began; three quarters at most from where no member was met.
    pub pending_incoming: u32,
    /// Dials under way that we began.
    pub pending_outgoing: u32,
}

/// Two ends that dial each other over both transports and both IP versions come to 8; a little room.
pub const CONNECTIONS_PER_PEER: u32 = 10;
/// A big team with all its devices, at about 100 KiB each: 50 MiB when everybody is there.
pub const CONNECTIONS: u32 = 512;
/// A handshake costs a signature check; more than this at once is a flood, and honest peers retry.
pub const PENDING_INCOMING: u32 = 64;
/// Enough to dial a whole team at start.
pub const PENDING_OUTGOING: u32 = 128;

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            per_peer: CONNECTIONS_PER_PEER,
            established: CONNECTIONS,
            pending_incoming: PENDING_INCOMING,
            pending_outgoing: PENDING_OUTGOING,
        }
    }
}

/// A connection without streams is closed after this long; long enough that a node which comes to
/// talk every minute doesn't pay for a handshake each time.
pub(crate) const IDLE_CONNECTION: Duration = Duration::from_secs(90);
/// QUIC sends its first packet again after about 1 s and 3 s. When neither got through UDP is
/// blocked, and TCP gets its turn.
pub(crate) const QUIC_HANDSHAKE: Duration = Duration::from_secs(4);
/// Keep-alive and idle time of QUIC. A keep-alive that goes unanswered starts the idle time anew once
/// (RFC 9000 §10.1), so a lost link is noticed after at most 4 + 10 s.
pub(crate) const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(4);
/// See [`QUIC_KEEP_ALIVE`].
pub(crate) const QUIC_IDLE: Duration = Duration::from_secs(10);
/// One stream's window: 16 MiB carries 1 Gbit/s at 130 ms. On loopback these windows are not slower than
/// libp2p's 10 and 15 MB either (unoptimised build: 156-180 MB/s against 95-99).
pub(crate) const QUIC_STREAM_WINDOW: u32 = 16 << 20;
/// One connection's window: two full streams.
pub(crate) const QUIC_CONNECTION_WINDOW: u32 = 32 << 20;
/// Dials and handshakes of TCP give up after this.
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the round trip is measured.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(15);
/// A ping that takes longer counts as lost.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest gossip message: gossip is for small things, bulk goes over streams.
pub(crate) const MAX_GOSSIP: usize = 64 << 10;
/// Gossip messages waiting for one slow peer, before the oldest are dropped.
pub(crate) const GOSSIP_QUEUE: usize = 512;
/// Peers whose addresses are remembered while there is no connection: a busy LAN, with room.
pub(crate) const MAX_KNOWN_PEERS: usize = 4096;
/// Addresses remembered per peer: a machine with several interfaces, two IP versions and transports.
pub const MAX_ADDRESSES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_not_in_the_debug_text() {
        let secret = DeviceSecret::generate();
        let text = format!("{:?}", NetConfig::new(secret.clone()));
        assert!(text.contains(&secret.id().to_string()));
        assert!(!text.contains(&format!("{:?}", secret.seed().expose())));
    }

    #[test]
    fn the_default_addresses_cover_both_transports_and_ip_versions() {
        assert_eq!(default_listen().len(), 4);
    }
}

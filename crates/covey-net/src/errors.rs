//! What can go wrong, one enum per operation.

use covey_types::DeviceId;
use libp2p::Multiaddr;

/// Why the network could not start, or a handler could not be registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The device key was not accepted as a libp2p identity.
    #[error("the device key is no libp2p identity: {0}")]
    Identity(String),
    /// Setting up a transport failed.
    #[error("setting up the {what} failed: {reason}")]
    Setup {
        /// Which part.
        what: &'static str,
        /// What it said.
        reason: String,
    },
    /// None of the addresses could be listened on.
    #[error("listening on {address} failed: {reason}")]
    Listen {
        /// The last address that was tried.
        address: Multiaddr,
        /// What the system said.
        reason: String,
    },
    /// Another part of the program accepts this protocol already.
    #[error("the protocol {0} is accepted already")]
    AlreadyAccepted(&'static str),
    /// A protocol name has to start with a slash.
    #[error("{0:?} is no protocol name: it doesn't start with '/'")]
    ProtocolName(&'static str),
}

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The node runs without a network.
    #[error("this node runs without a network (solo)")]
    Solo,
    /// The network was shut down.
    #[error("the network is shut down")]
    Shutdown,
    /// There is no address to dial.
    #[error("no address of {0} is known")]
    NoAddress(DeviceId),
    /// The peer is banned here.
    #[error("{0} is banned")]
    Banned(DeviceId),
    /// Somebody else answered at the address.
    #[error("{address} is {found}, not the device that was asked for")]
    WrongPeer {
        /// Where.
        address: Multiaddr,
        /// Who was there.
        found: DeviceId,
    },
    /// The address leads back to this very node.
    #[error("{0} is this device's own address")]
    Myself(Multiaddr),
    /// A limit forbids another connection.
    #[error("connecting to {peer} was not allowed: {reason}")]
    Denied {
        /// Whom.
        peer: String,
        /// Which limit.
        reason: String,
    },
    /// Nothing answered, or not rightly.
    #[error("connecting to {peer} failed: {reason}")]
    Failed {
        /// Whom: a device, or an address when the device wasn't known.
        peer: String,
        /// Every address with its error.
        reason: String,
    },
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no connection to the peer.
    #[error("not connected to {0}")]
    NotConnected(DeviceId),
    /// The peer doesn't speak the protocol.
    #[error("{peer} does not speak {protocol}")]
    Unsupported {
        /// Who.
        peer: DeviceId,
        /// Which.
        protocol: &'static str,
    },
    /// Too many streams to this peer are being opened at once.
    #[error("too many streams to {0} are being opened")]
    TooMany(DeviceId),
    /// The connection went away, or the peer took too long.
    #[error("opening {protocol} to {peer} failed: {reason}")]
    Failed {
        /// To whom.
        peer: DeviceId,
        /// Which.
        protocol: &'static str,
        /// What happened.
        reason: String,
    },
    /// The protocol name doesn't start with a slash.
    #[error("{0:?} is no protocol name: it doesn't start with '/'")]
    ProtocolName(&'static str),
}

/// Why a gossip message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// No connected peer follows the topic. The message went nowhere.
    #[error("no connected peer follows the topic")]
    NoPeers,
    /// The same bytes went out on the topic a moment ago.
    #[error("the same message was published a moment ago")]
    Duplicate,
    /// The message is larger than gossip carries.
    #[error("a gossip message of {size} bytes is larger than {limit}")]
    TooLarge {
        /// Bytes given.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Every peer's queue is full.
    #[error("every peer's gossip queue is full")]
    QueuesFull,
    /// The network was shut down, or never was.
    #[error("the network is down")]
    Down,
    /// Something else.
    #[error("publishing failed: {0}")]
    Failed(String),
}

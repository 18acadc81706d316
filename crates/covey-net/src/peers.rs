//! Who is connected and who could be.

use std::{collections::HashMap, time::Duration};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use tokio::time::Instant;

use crate::{
    config::{MAX_ADDRESSES, MAX_KNOWN_PEERS},
    events::{Path, PeerInfo, PeerState, Transport},
    interfaces::socket_address,
    stream::device_of,
};

/// One connection to a peer.
#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    address: Multiaddr,
    transport: Transport,
}

#[derive(Debug)]
struct Peer {
    /// Oldest first: streams go over the first.
    connections: Vec<Connection>,
    addresses: Vec<Multiaddr>,
    rtt: Option<Duration>,
    agent: Option<String>,
    since: Instant,
}

impl Peer {
    fn new() -> Self {
        Self { connections: Vec::new(), addresses: Vec::new(), rtt: None, agent: None, since: Instant::now() }
    }
}

/// The transport an address speaks.
pub(crate) fn transport_of(address: &Multiaddr) -> Transport {
    use libp2p::multiaddr::Protocol;
    if address.iter().any(|part| part == Protocol::QuicV1) { Transport::Quic } else { Transport::Tcp }
}

/// Every peer we are connected to or know an address of. Bounded: peers that we are not connected to
/// are forgotten, longest known first, past [`MAX_KNOWN_PEERS`].
#[derive(Debug, Default)]
pub(crate) struct Peers(HashMap<PeerId, Peer>);

impl Peers {
    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.0.get(peer).is_some_and(|peer| !peer.connections.is_empty())
    }

    pub(crate) fn connected(&self) -> Vec<PeerId> {
        self.0.iter().filter(|(_, peer)| !peer.connections.is_empty()).map(|(id, _)| *id).collect()
    }

    pub(crate) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.0.get(peer).map(|peer| peer.addresses.clone()).unwrap_or_default()
    }

    /// Replaces the addresses known of a peer.
    pub(crate) fn known_at(&mut self, id: PeerId, addresses: &[Multiaddr]) {
        self.make_room();
        let peer = self.0.entry(id).or_insert_with(Peer::new);
        peer.addresses = addresses.iter().take(MAX_ADDRESSES).cloned().collect();
    }

    fn make_room(&mut self) {
        if self.0.len() < MAX_KNOWN_PEERS {
            return;
        }
        let away = self.0.iter().filter(|(_, peer)| peer.connections.is_empty());
        if let Some(oldest) = away.min_by_key(|(_, peer)| peer.since).map(|(id, _)| *id) {
            self.0.remove(&oldest);
        }
    }

    /// Adds addresses to those known of a peer, as far as there is room.
    pub(crate) fn also_at(&mut self, id: &PeerId, addresses: impl IntoIterator<Item = Multiaddr>) {
        let Some(peer) = self.0.get_mut(id) else { return };
        for address in addresses {
            if peer.addresses.len() < MAX_ADDRESSES && !peer.addresses.contains(&address) {
                peer.addresses.push(address);
            }
        }
    }

    /// Forgets an address that turned out to be somebody else's.
    pub(crate) fn not_at(&mut self, id: &PeerId, address: &Multiaddr) {
        if let Some(peer) = self.0.get_mut(id) {
            peer.addresses.retain(|known| known != address);
        }
    }

    /// Forgets the addresses of a peer, and the peer unless it is connected.
    pub(crate) fn gone(&mut self, id: &PeerId) {
        if self.is_connected(id) {
            self.known_at(*id, &[]);
        } else {
            self.0.remove(id);
        }
    }

    /// Notes a new connection; true if it is the peer's first.
    pub(crate) fn opened(&mut self, id: PeerId, connection: ConnectionId, address: Multiaddr) -> bool {
        self.make_room();
        let peer = self.0.entry(id).or_insert_with(Peer::new);
        let transport = transport_of(&address);
        peer.connections.push(Connection { id: connection, address, transport });
        let first = peer.connections.len() == 1;
        if first {
            peer.since = Instant::now();
        }
        first
    }

    /// Notes the end of a connection; how long the peer was connected, if it was the last.
    pub(crate) fn closed(&mut self, id: &PeerId, connection: ConnectionId) -> Option<Duration> {
        let peer = self.0.get_mut(id)?;
        peer.connections.retain(|one| one.id != connection);
        if !peer.connections.is_empty() {
            return None;
        }
        let lasted = peer.since.elapsed();
        peer.rtt = None;
        peer.since = Instant::now();
        if peer.addresses.is_empty() {
            self.0.remove(id);
        }
        Some(lasted)
    }

    /// Notes a round trip; true if it was measured on the connection that streams use.
    pub(crate) fn measured(&mut self, id: &PeerId, connection: ConnectionId, rtt: Duration) -> bool {
        let Some(peer) = self.0.get_mut(id) else { return false };
        let first = peer.connections.first().is_some_and(|one| one.id == connection);
        if first {
            peer.rtt = Some(rtt);
        }
        first
    }

    pub(crate) fn runs(&mut self, id: &PeerId, agent: String) {
        if let Some(peer) = self.0.get_mut(id) {
            peer.agent = Some(agent);
        }
    }

    /// Everyone, connected ones first.
    pub(crate) fn infos(&self) -> Vec<PeerInfo> {
        let mut infos: Vec<_> = self.0.iter().filter_map(|(id, peer)| peer.info(id)).collect();
        infos.sort_by_key(|info| (info.state != PeerState::Connected, info.device));
        infos
    }
}

impl Peer {
    fn info(&self, id: &PeerId) -> Option<PeerInfo> {
        let used = self.connections.first();
        let others =
            self.addresses.iter().filter(|&address| used.is_none_or(|used| used.address != *address));
        Some(PeerInfo {
            device: device_of(id)?,
            state: if used.is_some() { PeerState::Connected } else { PeerState::Reachable },
            addresses: used.map(|used| &used.address).into_iter().chain(others).cloned().collect(),
            transport: used.map(|used| used.transport),
            path: used.map(|_| Path::Direct),
            rtt: self.rtt,
            agent: self.agent.clone(),
            since: self.since.elapsed(),
        })
    }
}

/// Whether a plain IP address stands behind it, for those who need the socket.
pub(crate) fn tcp_socket(address: &Multiaddr) -> Option<std::net::SocketAddr> {
    socket_address(address).filter(|(_, transport)| *transport == Transport::Tcp).map(|(socket, _)| socket)
}

//! What the swarm reports, and what the task makes of it.

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    gossipsub, identify,
    swarm::{ConnectionId, DialError, SwarmEvent},
};
use tokio::time::Instant;

use crate::{
    behaviour::BehaviourEvent,
    config::MAX_ADDRESSES,
    dial::address_error,
    events::{NetEvent, Source, Transport},
    interfaces::{is_dialable, socket_address},
    peers::{tcp_socket, transport_of},
    sockets,
    stream::device_of,
    task::{Attempt, Task},
};

/// What a peer says it runs is kept up to this many characters.
const MAX_AGENT: usize = 64;

impl Task {
    pub(crate) fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour_event(event),
            SwarmEvent::NewListenAddr { address, listener_id } => {
                self.listening_on(address);
                self.silent.remove(&listener_id);
                self.tell_addresses();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.listening.remove(&address);
                self.settle();
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                let reason = cause.map_or_else(|| "closed here".to_owned(), |cause| cause.to_string());
                self.closed(peer_id, connection_id, reason);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.dial_failed(connection_id, error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "an incoming connection failed");
            }
            SwarmEvent::ListenerClosed { addresses, reason, listener_id } => {
                self.silent.remove(&listener_id);
                self.tell_addresses();
                tracing::warn!(?addresses, ?reason, "a listener ended");
                self.listening.retain(|address| !addresses.contains(address));
                self.settle();
            }
            SwarmEvent::ListenerError { error, .. } => tracing::debug!(%error, "a listener had an error"),
            _ => {}
        }
    }

    fn settle(&mut self) {
        self.settle_at.get_or_insert_with(|| Instant::now() + crate::task::SETTLE);
    }

    fn listening_on(&mut self, address: Multiaddr) {
        if let Some((socket, Transport::Quic)) = socket_address(&address)
            && self.raised_ports.insert(socket.port())
        {
            match sockets::raise_udp_buffers(socket.port()) {
                Ok(got) => tracing::debug!(port = socket.port(), bytes = got, "UDP receive buffer"),
                Err(error) => tracing::info!(%error, "the UDP receive buffer stays at the system's default"),
            }
        }
        self.listening.insert(address);
        self.settle();
    }

    fn established(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let Some(device) = device_of(&peer) else {
            tracing::debug!(%peer, "a peer whose key is not Ed25519 was turned away");
            let _ = self.swarm.disconnect_peer_id(peer);
            return;
        };
        let address = crate::dial::without_peer(endpoint.get_remote_address());
        if let Some(Err(error)) = tcp_socket(&address).map(sockets::watch_tcp) {
            tracing::debug!(%error, "a TCP connection is not watched for a dead link");
        }
        let first = self.peers.opened(peer, connection, address.clone());
        let attempt = self.attempts.remove(&connection);
        if let Some(source) = match &attempt {
            Some(Attempt::Any(..)) => Some(Source::Manual),
            Some(Attempt::Bootstrap(_)) => Some(Source::Bootstrap),
            _ => None,
        } {
            let addrs = vec![address.clone()];
            self.peers.also_at(&peer, addrs.clone());
            self.events.push(NetEvent::Discovered { device, addrs, source, generation: None });
        }
        if first {
            let (transport, outbound) = (transport_of(&address), endpoint.is_dialer());
            self.events.push(NetEvent::Connected { device, address, transport, outbound });
        }
        match attempt {
            Some(Attempt::Any(_, reply)) => drop(reply.send(Ok(device))),
            Some(Attempt::Bootstrap(index)) => self.bootstrap[index].connected(peer),
            _ => {}
        }
        if let Some(dial) = self.dials.remove(&peer) {
            dial.succeed();
        }
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId, reason: String) {
        let Some(lasted) = self.peers.closed(&peer, connection) else { return };
        let Some(device) = device_of(&peer) else { return };
        self.events.push(NetEvent::Disconnected { device, reason });
        let now = Instant::now();
        let ended = self.bootstrap.iter_mut().filter(|one| one.peer == Some(peer) && one.dialing.is_none());
        ended.for_each(|one| one.disconnected(now, lasted));
        self.doubt(&peer);
    }

    fn dial_failed(&mut self, connection: ConnectionId, error: DialError) {
        match self.attempts.remove(&connection) {
            Some(Attempt::Any(address, reply)) => {
                let _ = reply.send(Err(address_error(&address, error)));
            }
            Some(Attempt::Bootstrap(index)) => self.bootstrap_failed(index, error),
            Some(Attempt::Peer(peer)) => {
                if let DialError::WrongPeerId { address, .. } = &error {
                    self.peers.not_at(&peer, &crate::dial::without_peer(address));
                }
                let Some(dial) = self.dials.get_mut(&peer) else { return };
                if dial.failed(error) {
                    self.dial_next(peer);
                } else if let Some(dial) = self.dials.remove(&peer) {
                    dial.give_up();
                    self.doubt(&peer);
                }
            }
            None => {}
        }
    }

    fn behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Ping(event) => {
                let (Ok(rtt), Some(device)) = (event.result, device_of(&event.peer)) else { return };
                if self.peers.measured(&event.peer, event.connection, rtt) {
                    self.events.push(NetEvent::Rtt { device, rtt });
                }
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.peers.runs(&peer_id, info.agent_version.chars().take(MAX_AGENT).collect());
                let told = info.listen_addrs.into_iter().filter(is_dialable).take(MAX_ADDRESSES);
                self.peers.also_at(&peer_id, told.map(|address| crate::dial::without_peer(&address)));
            }
            BehaviourEvent::Gossipsub(gossipsub::Event::Message { message, .. }) => self.gossip(message),
            _ => {}
        }
    }

    fn gossip(&mut self, message: gossipsub::Message) {
        let topic =
            bs58::decode(message.topic.as_str()).into_vec().ok().and_then(|bytes| bytes.try_into().ok());
        let from = message.source.as_ref().and_then(device_of);
        if let (Some(topic), Some(from)) = (topic, from) {
            self.events.push(NetEvent::Gossip { topic, from, data: message.data });
        }
    }
}

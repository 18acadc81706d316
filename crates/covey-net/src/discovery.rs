//! The task's part of discovery: which addresses to tell, and what multicast found.

use std::collections::BTreeSet;

use libp2p::PeerId;
use tokio::time::Instant;

use crate::{
    config::NetworkMode,
    events::{NetEvent, Source, Transport},
    interfaces::{presentable, socket_address},
    mdns::{Announcement, Mdns, MdnsEvent},
    stream::device_of,
    task::{Task, peer_of},
};

impl Task {
    pub(crate) fn addresses_settled(&mut self) {
        let first = !std::mem::replace(&mut self.settled, true);
        let presented = presentable(&self.listening, &self.config.mdns);
        for new in presented.iter().filter(|addr| !self.presented.contains(addr)) {
            self.events.push(NetEvent::Listening(new.clone()));
        }
        let presented: BTreeSet<_> = presented.into_iter().collect();
        let changed = !first && presented != self.presented;
        self.presented = presented;
        if changed {
            self.events.push(NetEvent::InterfacesChanged);
            let now = Instant::now();
            self.bootstrap.iter_mut().for_each(|one| one.interfaces_changed(now));
        }
        self.discover();
    }

    /// Starts multicast discovery, or tells it about changed addresses.
    fn discover(&mut self) {
        if self.config.mode == NetworkMode::Solo || !self.config.mdns.enabled {
            return;
        }
        let sockets: Vec<_> = self.presented.iter().filter_map(socket_address).collect();
        let ips = sockets.iter().map(|(socket, _)| socket.ip()).collect();
        let port = |wanted| sockets.iter().find(|(_, t)| *t == wanted).map(|(socket, _)| socket.port());
        if let Some(mdns) = &self.mdns {
            return mdns.use_addresses(ips);
        }
        let (udp_port, tcp_port) = (port(Transport::Quic).unwrap_or(0), port(Transport::Tcp));
        if udp_port == 0 && tcp_port.is_none() {
            return self.no_multicast(&"there is no usable network interface");
        }
        let device = self.config.secret.id();
        let generation = self.generation;
        let about = Announcement { device, udp_port, tcp_port, generation, number: 1, ips };
        match Mdns::start(about, self.config.mdns.announce_every) {
            Ok((mdns, events)) => (self.mdns, self.mdns_events) = (Some(mdns), Some(events)),
            Err(error) => self.no_multicast(&error),
        }
    }

    /// Says so once; whenever interfaces change it is tried again.
    fn no_multicast(&mut self, reason: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.mdns_warned, true) {
            tracing::warn!(%reason, "no discovery on the LAN for now; it is tried again when interfaces change");
        }
    }

    pub(crate) fn mdns_event(&mut self, event: MdnsEvent) {
        match event {
            MdnsEvent::Found(found) => {
                let Some(peer) = peer_of(&found.device) else { return };
                self.peers.known_at(peer, &found.addrs);
                self.events.push(NetEvent::Discovered {
                    device: found.device,
                    addrs: found.addrs,
                    source: Source::Mdns,
                    generation: Some(found.generation),
                });
            }
            MdnsEvent::Gone(device) => {
                if let Some(peer) = peer_of(&device) {
                    self.peers.gone(&peer);
                }
                self.events.push(NetEvent::Lost { device });
            }
        }
    }

    /// Asks discovery whether a peer that went silent is still there.
    pub(crate) fn doubt(&self, peer: &PeerId) {
        if let (Some(mdns), Some(device)) = (&self.mdns, device_of(peer)) {
            mdns.verify(device);
        }
    }
}

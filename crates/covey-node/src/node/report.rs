//! What a node tells about itself.

use std::collections::BTreeMap;

use covey_types::DeviceId;

use crate::{Node, NodeError, PeerState, PeerStatus, Status, Transport};

impl Node {
    /// Everything that a node tells about itself.
    ///
    /// # Errors
    /// The store's.
    pub async fn status(&self) -> Result<Status, NodeError> {
        let mut spaces = Vec::new();
        for space in self.spaces() {
            spaces.push(space.status().await?);
        }
        Ok(Status {
            identity: self.identity(),
            version: env!("CARGO_PKG_VERSION"),
            uptime: self.0.started.elapsed(),
            mode: self.0.config.network,
            listen: self.listen_addresses().await,
            peers: self.peers().await,
            spaces,
            revoked: self.is_revoked(),
            clocks: self.clocks().await?,
        })
    }

    /// The multiaddrs at which others reach this node, with its id.
    pub async fn listen_addresses(&self) -> Vec<String> {
        let addresses = self.0.net.listen_addrs().await;
        addresses.iter().map(|address| format!("{address}/p2p/{}", self.device())).collect()
    }

    /// Devices that are connected or known, members of common spaces first.
    pub async fn peers(&self) -> Vec<PeerStatus> {
        let near = self.0.net.peers().await;
        let mut peers: BTreeMap<DeviceId, PeerStatus> = BTreeMap::new();
        let engine = self.engine();
        for space in engine.spaces.values() {
            for member in space.membership.members().into_values() {
                for (device, name) in member.devices {
                    let peer = peers.entry(device).or_insert_with(|| unknown_peer(device));
                    peer.name.get_or_insert(name);
                    peer.user_name.get_or_insert_with(|| member.name.clone());
                }
            }
        }
        peers.remove(&self.device());
        drop(engine);
        for info in near {
            let peer = peers.entry(info.device).or_insert_with(|| unknown_peer(info.device));
            peer.state = match info.state {
                covey_net::PeerState::Connected => PeerState::Connected,
                covey_net::PeerState::Reachable => PeerState::Reachable,
            };
            peer.transport = info.transport.map(|transport| match transport {
                covey_net::Transport::Quic => Transport::Quic,
                covey_net::Transport::Tcp => Transport::Tcp,
            });
            peer.rtt = info.rtt;
            peer.address = info.addresses.first().map(ToString::to_string);
        }
        let mut peers: Vec<_> = peers.into_values().collect();
        peers.sort_by_key(|peer| (peer.name.is_none(), peer.state as u8, peer.name.clone(), peer.device));
        peers
    }

    /// Runs every check.
    pub async fn doctor(&self) -> Vec<crate::Check> {
        crate::doctor::examine(self).await
    }
}

fn unknown_peer(device: DeviceId) -> PeerStatus {
    PeerStatus {
        device,
        name: None,
        user_name: None,
        state: PeerState::Offline,
        transport: None,
        rtt: None,
        address: None,
    }
}

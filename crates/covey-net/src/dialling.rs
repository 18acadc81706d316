//! The task's part of dialling: what is asked for becomes dials, and what failed is tried another way.

use covey_types::DeviceId;
use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::time::Instant;

use crate::{
    bootstrap::peer_in,
    dial::{ConnectReply, Dial, address_error},
    errors::ConnectError,
    task::{Attempt, Reply, Task, peer_of, send},
};

impl Task {
    pub(crate) fn connect(&mut self, device: DeviceId, addrs: Vec<Multiaddr>, reply: ConnectReply) {
        let Some(peer) = peer_of(&device) else {
            return send(reply, Err(ConnectError::NoAddress(device)));
        };
        if peer == *self.swarm.local_peer_id() {
            let own = addrs.into_iter().next().unwrap_or_else(Multiaddr::empty);
            return send(reply, Err(ConnectError::Myself(own)));
        }
        if self.bans.contains_key(&peer) {
            return send(reply, Err(ConnectError::Banned(device)));
        }
        if self.peers.is_connected(&peer) {
            return send(reply, Ok(()));
        }
        let mut addrs = addrs;
        addrs.extend(self.peers.addresses(&peer));
        if let Some(dial) = self.dials.get_mut(&peer) {
            dial.also(&addrs);
            return dial.wait(reply);
        }
        let mut dial = Dial::new(device, &addrs);
        dial.wait(reply);
        self.dials.insert(peer, dial);
        self.dial_next(peer);
    }

    /// Dials the next addresses of a dial, or ends it when there are none.
    pub(crate) fn dial_next(&mut self, peer: PeerId) {
        loop {
            let Some(dial) = self.dials.get_mut(&peer) else { return };
            let addresses = dial.next();
            if addresses.is_empty() {
                if let Some(dial) = self.dials.remove(&peer) {
                    dial.give_up();
                }
                return;
            }
            let options =
                DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(addresses).build();
            let id = options.connection_id();
            self.attempts.insert(id, Attempt::Peer(peer));
            let Err(error) = self.swarm.dial(options) else { return };
            // The swarm refused on the spot: a limit, or a transport we don't have.
            self.attempts.remove(&id);
            if let Some(dial) = self.dials.get_mut(&peer)
                && !dial.failed(error)
                && let Some(dial) = self.dials.remove(&peer)
            {
                dial.give_up();
                return;
            }
        }
    }

    pub(crate) fn connect_any(&mut self, addr: Multiaddr, reply: Reply<Result<DeviceId, ConnectError>>) {
        let options = DialOpts::unknown_peer_id().address(addr.clone()).build();
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.attempts.insert(id, Attempt::Any(addr, reply));
            }
            Err(error) => send(reply, Err(address_error(&addr, error))),
        }
    }

    pub(crate) fn dial_bootstrap(&mut self, index: usize) {
        let one = &mut self.bootstrap[index];
        if let Some(peer) = one.peer.filter(|peer| self.peers.is_connected(peer)) {
            return one.connected(peer);
        }
        // Only a peer named in the address itself is insisted on: another one may have moved in.
        let options = match peer_in(&one.address) {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(vec![one.address.clone()])
                .build(),
            None => DialOpts::unknown_peer_id().address(one.address.clone()).build(),
        };
        let id = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                one.dialed(id);
                self.attempts.insert(id, Attempt::Bootstrap(index));
            }
            Err(error) => self.bootstrap_failed(index, error),
        }
    }

    pub(crate) fn bootstrap_failed(&mut self, index: usize, error: DialError) {
        let one = &mut self.bootstrap[index];
        let address = one.address.clone();
        match address_error(&address, error) {
            ConnectError::Myself(_) => one.give_up(),
            error => {
                one.failed(Instant::now());
                tracing::debug!(%address, %error, "a bootstrap address does not answer; it is tried again");
            }
        }
    }
}

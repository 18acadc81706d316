//! The end of the task: goodbyes, and the ports that outlive it for a moment.
//!
//! A QUIC connection that was closed is *drained* (RFC 9000 §10.2): for three probe timeouts its socket answers
//! whatever still comes in. That is 100 ms on a LAN, but up to 3 s for a dial that nobody answered, and longer where
//! queues are full. libp2p doesn't let go of the socket before. Nobody who ends a node should wait for
//! that, and somebody who starts one again in the same process must not find its port taken: so we wait for the usual
//! time only, and remember which ports may still be draining; [`listening`](crate::listening) waits for those.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use libp2p::Multiaddr;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{events::Transport, interfaces::socket_address, task::Task};

/// Connections get this long to be closed, and sockets to drain. The word that a connection is closed goes
/// out at once, so that waiting longer helps nobody.
const CLOSE_WITHIN: Duration = Duration::from_millis(200);
/// The goodbye on the LAN takes 150 ms; this is for a machine that is very busy.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked whether a port is free again.
pub(crate) const RELEASE_POLL: Duration = Duration::from_millis(10);
/// A port is not waited for any longer than this after a shutdown.
const DRAINED_AFTER: Duration = Duration::from_secs(10);

/// UDP ports that may be draining, and until when at most.
static DRAINING: Mutex<Option<HashMap<u16, Instant>>> = Mutex::new(None);

/// Whether a network of this process that was shut down may still have the port of a QUIC address.
pub(crate) fn is_draining(address: &Multiaddr, now: Instant) -> bool {
    let Some((socket, Transport::Quic)) = socket_address(address) else { return false };
    let draining = DRAINING.lock().unwrap_or_else(PoisonError::into_inner);
    draining.as_ref().and_then(|ports| ports.get(&socket.port())).is_some_and(|until| *until > now)
}

fn drain(sockets: &[SocketAddr], now: Instant) {
    let mut draining = DRAINING.lock().unwrap_or_else(PoisonError::into_inner);
    let ports = draining.get_or_insert_default();
    ports.retain(|_, until| *until > now);
    ports.extend(sockets.iter().map(|socket| (socket.port(), now + DRAINED_AFTER)));
}

impl Task {
    /// Ends everything. When it returns all peers have been told, and the ports are free, or will be soon.
    pub(crate) async fn shutdown(mut self) {
        let until = Instant::now() + CLOSE_WITHIN;
        self.mdns_events = None;
        let goodbye = self.mdns.take().map(|mdns| mdns.shutdown());
        self.accepts.clear();
        for peer in self.peers.connected() {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while !self.peers.connected().is_empty() {
                let event = self.swarm.select_next_some().await;
                self.swarm_event(event);
            }
        };
        let _ = timeout_at(until, closed).await;
        let quic = self.listening.iter().filter_map(socket_address);
        let quic: Vec<_> =
            quic.filter(|(_, transport)| *transport == Transport::Quic).map(|(socket, _)| socket).collect();
        drop(self);
        if let Some(goodbye) = goodbye {
            let _ = timeout(GOODBYE_WITHIN, goodbye).await;
        }
        if timeout_at(until, released(&quic)).await.is_err() {
            drain(&quic, Instant::now());
        }
    }
}

/// Ends when nobody holds the UDP sockets any more.
async fn released(sockets: &[SocketAddr]) {
    let in_use =
        |socket| std::net::UdpSocket::bind(socket).is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
    for socket in sockets {
        while in_use(socket) {
            tokio::time::sleep(RELEASE_POLL).await;
        }
    }
}

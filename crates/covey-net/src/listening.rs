//! The task's part of listening: opening the sockets, and telling at which addresses.

use std::net::{TcpListener, UdpSocket};

use libp2p::Multiaddr;
use tokio::time::Instant;

use crate::{
    errors::NetError,
    events::Transport,
    interfaces::{presentable, socket_address},
    shutdown,
    task::{Task, send},
};

/// Opens and closes a socket at each of these addresses, as far as they say which: whether [`crate::start`] could listen
/// there.
///
/// # Errors
/// [`NetError::Listen`] for the first at which it couldn't.
pub fn try_listening(addresses: &[Multiaddr]) -> Result<(), NetError> {
    for address in addresses {
        let tried = match socket_address(address) {
            Some((socket, Transport::Quic)) => UdpSocket::bind(socket).map(drop),
            Some((socket, Transport::Tcp)) => TcpListener::bind(socket).map(drop),
            None => Ok(()),
        };
        tried.map_err(|error| NetError::Listen { address: address.clone(), reason: error.to_string() })?;
    }
    Ok(())
}

impl Task {
    /// Opens the listening sockets. Addresses given by hand must all work; of the default ones, one.
    pub(crate) fn listen(&mut self, addresses: Vec<Multiaddr>, all: bool) -> Result<(), NetError> {
        let mut failure = None;
        let mut working = 0;
        for address in addresses {
            match self.listen_on(address) {
                Ok(()) => working += 1,
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if all || working == 0 => Err(error),
            _ => Ok(()),
        }
    }

    fn listen_on(&mut self, address: Multiaddr) -> Result<(), NetError> {
        match self.swarm.listen_on(address.clone()) {
            Ok(listener) => {
                self.silent.insert(listener);
            }
            Err(_) if shutdown::is_draining(&address, Instant::now()) => {
                self.taken.push(address);
                self.retry_at = Some(Instant::now() + shutdown::RELEASE_POLL);
            }
            Err(error) => {
                let reason = crate::dial::transport_error(&error);
                tracing::debug!(%address, %reason, "not listening");
                return Err(NetError::Listen { address, reason });
            }
        }
        Ok(())
    }

    /// Tries again to listen where a network of this process that was shut down still had the port.
    pub(crate) fn listen_again(&mut self) {
        self.retry_at = None;
        for address in std::mem::take(&mut self.taken) {
            if let Err(error) = self.listen_on(address) {
                tracing::error!(%error, "a port that was to become free did not");
            }
        }
    }

    /// Answers who asked for the addresses, once that makes sense.
    pub(crate) fn tell_addresses(&mut self) {
        // A wildcard listener reports one address after the other: while they still come, more may follow.
        let all_told = self.silent.is_empty() && self.taken.is_empty() && self.settle_at.is_none();
        if all_told || self.silent_until <= Instant::now() {
            for reply in std::mem::take(&mut self.asked) {
                send(reply, presentable(&self.listening, &self.config.mdns));
            }
        }
    }
}

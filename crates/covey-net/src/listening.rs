//! The task's part of listening: opening the sockets, and telling at which addresses.

use libp2p::Multiaddr;
use tokio::time::Instant;

use crate::{
    errors::NetError,
    interfaces::presentable,
    shutdown,
    task::{Task, send},
};

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

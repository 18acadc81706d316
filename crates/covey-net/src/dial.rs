//! One dial under way: QUIC first, TCP when QUIC has failed, wrong devices left out.
//!
//! Pure: the [`task`](crate::task) dials what [`Dial::next`] says and reports what came of it.

use covey_types::DeviceId;
use libp2p::{Multiaddr, PeerId, TransportError, multiaddr::Protocol, swarm::DialError};
use tokio::sync::oneshot;

use crate::{
    config::MAX_ADDRESSES, errors::ConnectError, events::Transport, peers::transport_of, stream::device_of,
};

pub(crate) type ConnectReply = oneshot::Sender<Result<(), ConnectError>>;

/// A dial to a known device.
pub(crate) struct Dial {
    device: DeviceId,
    waiting: Vec<ConnectReply>,
    /// Being dialled, all at once.
    current: Vec<Multiaddr>,
    /// Dialled when those have failed.
    later: Vec<Multiaddr>,
    errors: Vec<String>,
    last: Option<ConnectError>,
}

/// An address without the peer id at its end, so that equal ones compare equal.
pub(crate) fn without_peer(address: &Multiaddr) -> Multiaddr {
    let mut address = address.clone();
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
}

impl Dial {
    pub(crate) fn new(device: DeviceId, addresses: &[Multiaddr]) -> Self {
        let mut dial = Self {
            device,
            waiting: Vec::new(),
            current: Vec::new(),
            later: Vec::new(),
            errors: Vec::new(),
            last: None,
        };
        dial.also(addresses);
        dial
    }

    /// Adds addresses, for when those tried by now fail.
    pub(crate) fn also(&mut self, addresses: &[Multiaddr]) {
        for address in addresses.iter().map(without_peer) {
            let known = self.current.contains(&address) || self.later.contains(&address);
            if !known && self.later.len() < MAX_ADDRESSES {
                self.later.push(address);
            }
        }
    }

    pub(crate) fn wait(&mut self, reply: ConnectReply) {
        self.waiting.push(reply);
    }

    /// The addresses to dial now; empty when there are no more.
    pub(crate) fn next(&mut self) -> Vec<Multiaddr> {
        let (quic, rest) = self.later.drain(..).partition(|address| transport_of(address) == Transport::Quic);
        (self.current, self.later) = if Vec::is_empty(&quic) { (rest, quic) } else { (quic, rest) };
        self.current.clone()
    }

    /// Takes note of a failure; true if the dial can go on with [`next`](Self::next).
    pub(crate) fn failed(&mut self, error: DialError) -> bool {
        if let DialError::WrongPeerId { address, .. } = &error {
            let wrong = without_peer(address);
            let others = self.current.drain(..).filter(|address| *address != wrong);
            self.later.extend(others);
        }
        let error = connect_error(self.device.to_string(), error);
        self.errors.push(error.to_string());
        let denied = matches!(error, ConnectError::Denied { .. });
        self.last = Some(error);
        !denied && !self.later.is_empty()
    }

    pub(crate) fn succeed(self) {
        for reply in self.waiting {
            let _ = reply.send(Ok(()));
        }
    }

    /// Tells everyone who waits that it came to nothing.
    pub(crate) fn give_up(self) {
        let peer = self.device.to_string();
        let error = match (self.errors.len(), self.last) {
            (0, None) => ConnectError::NoAddress(self.device),
            (1, Some(error)) => error,
            _ => ConnectError::Failed { peer, reason: self.errors.join("; ") },
        };
        for reply in self.waiting {
            let _ = reply.send(Err(error.clone()));
        }
    }
}

/// A dial error in our words.
pub(crate) fn connect_error(peer: String, error: DialError) -> ConnectError {
    match error {
        DialError::LocalPeerId { address } => ConnectError::Myself(address),
        DialError::WrongPeerId { obtained, address } => wrong_peer(peer, &obtained, address),
        DialError::Denied { cause } => ConnectError::Denied { peer, reason: innermost(&cause) },
        DialError::Transport(errors) => {
            let each = errors.iter().map(|(address, error)| format!("{address}: {}", transport_error(error)));
            ConnectError::Failed { peer, reason: each.collect::<Vec<_>>().join("; ") }
        }
        DialError::NoAddresses => ConnectError::Failed { peer, reason: "no address but our own".to_owned() },
        DialError::Aborted => ConnectError::Failed { peer, reason: "the dial was aborted".to_owned() },
        DialError::DialPeerConditionFalse(_) => {
            ConnectError::Failed { peer, reason: "a connection exists or is being made".to_owned() }
        }
    }
}

/// The same for a dial to one address whose device wasn't known. The swarm leaves out addresses that it
/// listens on itself, so that none being left means that it was one of those.
pub(crate) fn address_error(address: &Multiaddr, error: DialError) -> ConnectError {
    match error {
        DialError::NoAddresses => ConnectError::Myself(address.clone()),
        error => connect_error(address.to_string(), error),
    }
}

fn wrong_peer(peer: String, obtained: &PeerId, address: Multiaddr) -> ConnectError {
    match device_of(obtained) {
        Some(found) => ConnectError::WrongPeer { address: without_peer(&address), found },
        None => ConnectError::Failed { peer, reason: format!("{address} is {obtained}, which is no device") },
    }
}

pub(crate) fn transport_error(error: &TransportError<std::io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "no such transport here".to_owned(),
        TransportError::Other(error) => innermost(error),
    }
}

/// libp2p wraps errors in layers that say nothing; the innermost one says what happened.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    const DEVICE: DeviceId = DeviceId([1; 32]);
    const QUIC: &str = "/ip4/10.0.0.1/udp/1/quic-v1";
    const OTHER: &str = "/ip4/10.0.0.2/udp/1/quic-v1";
    const TCP: &str = "/ip4/10.0.0.1/tcp/1";

    #[test]
    fn tcp_is_dialled_only_after_quic_has_failed() {
        let mut dial = Dial::new(DEVICE, &addresses(&[TCP, QUIC, OTHER]));
        assert_eq!(dial.next(), addresses(&[QUIC, OTHER]));
        assert!(dial.failed(DialError::Aborted));
        assert_eq!(dial.next(), addresses(&[TCP]));
        assert!(!dial.failed(DialError::Aborted));
    }

    #[test]
    fn a_stranger_at_one_address_does_not_spoil_the_others() {
        let mut dial = Dial::new(DEVICE, &addresses(&[QUIC, OTHER, TCP]));
        dial.next();
        let stranger = PeerId::random();
        let address: Multiaddr = format!("{QUIC}/p2p/{stranger}").parse().unwrap();
        assert!(dial.failed(DialError::WrongPeerId { obtained: stranger, address }));
        assert_eq!(dial.next(), addresses(&[OTHER]));
        assert!(dial.failed(DialError::Aborted));
        assert_eq!(dial.next(), addresses(&[TCP]));
    }

    #[test]
    fn addresses_that_come_while_dialling_are_tried_too() {
        let mut dial = Dial::new(DEVICE, &addresses(&[QUIC]));
        dial.next();
        dial.also(&addresses(&[QUIC, OTHER]));
        assert!(dial.failed(DialError::Aborted));
        assert_eq!(dial.next(), addresses(&[OTHER]));
    }
}

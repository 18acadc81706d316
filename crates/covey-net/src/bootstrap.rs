//! When to dial the bootstrap addresses: a jittered exponential back-off, pure (time comes in).
//!
//! An address is due at start, and again whenever it has no connection. The back-off starts anew when
//! interfaces change, and after a connection that lasted; one that is closed at once (the other side
//! is full, or has banned us) keeps backing off.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol, swarm::ConnectionId};
use tokio::time::Instant;

/// The first wait.
pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// The longest wait.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// A connection that lasted this long was a good one.
const LASTED: Duration = Duration::from_secs(10);

/// One address to keep connected.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    pub(crate) address: Multiaddr,
    /// From the address, or learnt by connecting.
    pub(crate) peer: Option<PeerId>,
    pub(crate) dialing: Option<ConnectionId>,
    failures: u32,
    /// When it is due; `None` while dialled or connected.
    due: Option<Instant>,
}

/// The peer an address ends with.
pub(crate) fn peer_in(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// Somewhere between half of the wait and all of it; `random` is uniform over its range.
fn wait(failures: u32, random: u16) -> Duration {
    let full = BACKOFF_MIN.saturating_mul(2u32.saturating_pow(failures)).min(BACKOFF_MAX);
    full / 2 + full.mul_f64(f64::from(random) / f64::from(u16::MAX)) / 2
}

fn random() -> u16 {
    u16::from_le_bytes(covey_types::keys::random_bytes())
}

impl Bootstrap {
    pub(crate) fn new(address: Multiaddr, now: Instant) -> Self {
        Self { peer: peer_in(&address), address, dialing: None, failures: 0, due: Some(now) }
    }

    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn dialed(&mut self, connection: ConnectionId) {
        self.dialing = Some(connection);
        self.due = None;
    }

    pub(crate) fn connected(&mut self, peer: PeerId) {
        self.peer = Some(peer);
        self.dialing = None;
        self.due = None;
    }

    pub(crate) fn failed(&mut self, now: Instant) {
        self.dialing = None;
        self.due = Some(now + wait(self.failures, random()));
        self.failures = self.failures.saturating_add(1);
    }

    pub(crate) fn disconnected(&mut self, now: Instant, lasted: Duration) {
        if lasted >= LASTED {
            self.failures = 0;
        }
        self.failed(now);
    }

    /// The address is our own: never again.
    pub(crate) fn give_up(&mut self) {
        self.dialing = None;
        self.due = None;
    }

    pub(crate) fn interfaces_changed(&mut self, now: Instant) {
        self.failures = 0;
        if self.due.is_some() {
            self.due = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_half_a_second_to_a_minute_and_jitters() {
        assert_eq!(wait(0, u16::MAX), BACKOFF_MIN);
        assert_eq!(wait(0, 0), BACKOFF_MIN / 2);
        assert_eq!(wait(3, u16::MAX), BACKOFF_MIN * 8);
        assert_eq!(wait(7, u16::MAX), BACKOFF_MAX);
        assert_eq!(wait(u32::MAX, 0), BACKOFF_MAX / 2);
    }

    #[test]
    fn only_a_connection_that_lasted_starts_the_wait_anew() {
        let now = Instant::now();
        let mut address = Bootstrap::new("/ip4/10.0.0.1/tcp/1".parse().unwrap(), now);
        for _ in 0..10 {
            address.failed(now);
        }
        address.disconnected(now, Duration::from_secs(1));
        assert!(address.due().unwrap() >= now + BACKOFF_MAX / 2);
        address.disconnected(now, Duration::from_mins(1));
        assert!(address.due().unwrap() <= now + BACKOFF_MIN);
    }

    #[test]
    fn a_change_of_interfaces_makes_a_waiting_address_due_but_not_a_connected_one() {
        let now = Instant::now();
        let mut address = Bootstrap::new("/ip4/10.0.0.1/tcp/1".parse().unwrap(), now);
        address.failed(now);
        address.interfaces_changed(now);
        assert_eq!(address.due(), Some(now));
        address.connected(PeerId::random());
        address.interfaces_changed(now);
        assert_eq!(address.due(), None);
    }
}

//! Discovery on the LAN by DNS-SD over multicast DNS (RFC 6763, RFC 6762).
//!
//! Every node is an instance of `_covey._udp.local.` named by its peer id, with SRV (the QUIC port) and
//! TXT: `v` (format, 1), `id` (peer id, since names lose their case on the way), `t` (TCP port), `g`
//! (generation), `n` (number of the announcement), and `bye=1` in the last moment of its life. Names are
//! unique by construction, so there is no probing.
//!
//! The `mdns-sd` daemon thread browses, answers, and follows interfaces. Around it, we
//! - ask at once and in a way that is answered at once ([`first_look`](crate::first_look));
//! - repeat the announcement after a second ourselves (RFC 6762 §8.3): the daemon looks its own repeat
//!   up by the name as written, but keeps services by lower-cased name, and ours have capitals;
//! - announce ourselves again every 30 s, under a new `n` so that the daemon of the other end reports it, and
//!   drop who has been silent for 90 s ([`roster`]);
//! - announce `bye` just before the goodbye, since a goodbye takes effect a second late (§10.1).

mod record;
mod roster;
mod task;

use std::{collections::HashSet, net::IpAddr, time::Duration};

use covey_types::DeviceId;
use mdns_sd::ServiceDaemon;
use tokio::sync::{mpsc, oneshot};

pub(crate) use record::{Announcement, Found};
use roster::Pace;
use task::Task;

/// The service type of Covey nodes.
pub(crate) const SERVICE: &str = "_covey._udp.local.";
/// The port of multicast DNS.
pub(crate) const PORT: u16 = 5353;
/// Messages waiting between this task and its neighbours: both sides take them promptly.
const QUEUE: usize = 256;

/// What discovery tells the swarm.
#[derive(Debug)]
pub(crate) enum MdnsEvent {
    Found(Found),
    Gone(DeviceId),
}

enum Command {
    Announce(u64),
    Addresses(HashSet<IpAddr>),
    Verify(DeviceId),
    Shutdown(oneshot::Sender<()>),
}

/// A handle to running discovery.
pub(crate) struct Mdns {
    commands: mpsc::Sender<Command>,
}

impl Mdns {
    /// Starts browsing and announcing.
    pub(crate) fn start(
        about: Announcement,
        announce_every: Duration,
    ) -> Result<(Self, mpsc::Receiver<MdnsEvent>), mdns_sd::Error> {
        let (commands, command_receiver) = mpsc::channel(QUEUE);
        let (events, event_receiver) = mpsc::channel(QUEUE);
        let daemon = ServiceDaemon::new()?;
        let task = Task::new(daemon, about, Pace::announcing_every(announce_every), events)?;
        tokio::spawn(task.run(command_receiver));
        Ok((Self { commands }, event_receiver))
    }

    fn tell(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::debug!("multicast discovery is busy or over; a command to it was dropped");
        }
    }

    /// Announces a new generation.
    pub(crate) fn announce(&self, generation: u64) {
        self.tell(Command::Announce(generation));
    }

    /// Uses the interfaces with these addresses from now on, and looks around from the new ones.
    pub(crate) fn use_addresses(&self, ips: HashSet<IpAddr>) {
        self.tell(Command::Addresses(ips));
    }

    /// Asks whether a peer is still there; it is reported gone if it doesn't answer.
    pub(crate) fn verify(&self, device: DeviceId) {
        self.tell(Command::Verify(device));
    }

    /// Says goodbye; the receiver is told when it is done.
    pub(crate) fn shutdown(&self) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        self.tell(Command::Shutdown(done));
        receiver
    }
}

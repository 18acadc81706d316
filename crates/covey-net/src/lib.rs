//! The network of a Covey node: one libp2p swarm in one task, behind a small handle.
//!
//! Pure transport. It finds peers on the LAN, connects to devices, keeps bootstrap addresses connected,
//! opens and accepts byte streams by protocol name, and passes gossip. It knows nothing of spaces,
//! users or sync: whom to dial and what to say is the node's business.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use covey_net::{NetConfig, NetEvent, start};
//!
//! let (net, mut events) = start(NetConfig::new(covey_types::DeviceSecret::generate()))?;
//! while let Some(event) = events.recv().await {
//!     if let NetEvent::Discovered { device, addrs, .. } = event {
//!         net.connect(device, addrs).await?;
//!         let mut stream = net.open(device, "/covey/sync/1").await?;
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | [`NetConfig`] and every bound |
//! | [`events`] | [`NetEvent`], [`PeerInfo`], the queue to the listener |
//! | [`errors`] | one enum per operation |
//! | `task`, `swarm`, `discovery`, `dialling`, `listening`, `shutdown` | the task: commands in, what the swarm and multicast report, events out |
//! | `behaviour` | the libp2p behaviours and transports |
//! | `admission` | how many connections and handshakes, and whose |
//! | `dial`, `bootstrap`, `peers` | whom to dial when, and who is there; pure |
//! | [`stream`] | [`NetStream`], [`Incoming`] |
//! | `mdns`, `first_look`, `interfaces` | discovery on the LAN, and on which interfaces |
//! | [`sockets`] | socket options that libp2p has no setting for |

mod admission;
mod behaviour;
mod bootstrap;
pub mod config;
mod dial;
mod dialling;
mod discovery;
pub mod errors;
pub mod events;
mod first_look;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod interfaces;
mod listening;
mod mdns;
mod peers;
mod shutdown;
pub mod sockets;
pub mod stream;
mod swarm;
mod task;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use covey_types::DeviceId;
use tokio::sync::{mpsc, oneshot};

pub use config::{MdnsConfig, NetConfig, NetLimits, NetworkMode, default_listen};
pub use errors::{ConnectError, NetError, OpenError, PublishError};
pub use events::{NetEvent, Path, PeerInfo, PeerState, Source, Transport};
pub use libp2p::Multiaddr;
pub use listening::try_listening;
pub use sockets::{UdpBufferReport, udp_buffer_report};
pub use stream::{Incoming, NetStream};

use events::EventQueue;
use stream::Accepts;
use task::{Command, Task};

/// A handle to the running network. Clones are the same network; when the last one is dropped it
/// shuts down.
#[derive(Clone, Debug)]
pub struct Net {
    device: DeviceId,
    accepts: Accepts,
    /// `None` in solo mode: there is no task.
    commands: Option<mpsc::Sender<Command>>,
    /// In solo mode, what keeps the event channel open until shutdown.
    solo: Arc<Mutex<Option<mpsc::Sender<NetEvent>>>>,
}

/// Starts the network. Must be called inside a tokio runtime.
///
/// The events' receiver may be slow or dropped: the network goes on (see [`NetEvent::Lagged`]).
///
/// # Errors
/// When the identity or a transport can't be set up, or an address can't be listened on.
pub fn start(config: NetConfig) -> Result<(Net, mpsc::Receiver<NetEvent>), NetError> {
    let (sender, receiver) = mpsc::channel(events::CHANNEL);
    let (device, accepts) = (config.secret.id(), Accepts::default());
    if config.mode == NetworkMode::Solo {
        let net = Net { device, accepts, commands: None, solo: Arc::new(Mutex::new(Some(sender))) };
        return Ok((net, receiver));
    }
    warm_up();
    let swarm = behaviour::swarm(&config, accepts.clone())?;
    let given = !config.listen.is_empty();
    let listen = if given { config.listen.clone() } else { default_listen() };
    let mut task = Task::new(swarm, config, accepts.clone(), EventQueue::new(sender));
    task.listen(listen, given)?;
    let (commands, command_receiver) = mpsc::channel(task::COMMANDS);
    tokio::spawn(task.run(command_receiver));
    Ok((Net { device, accepts, commands: Some(commands), solo: Arc::default() }, receiver))
}

/// AWS-LC, which does QUIC's cryptography, gathers entropy for 30 ms and more the first time it is asked
/// for a random number; the first handshake need not wait for that.
fn warm_up() {
    tokio::task::spawn_blocking(|| {
        if aws_lc_rs::rand::fill(&mut [0; 16]).is_err() {
            tracing::warn!("no randomness could be had from AWS-LC");
        }
    });
}

impl Net {
    /// This device.
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Asks the task; `None` when there is none (any more).
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.as_ref()?.send(command(reply)).await.ok()?;
        answer.await.ok()
    }

    const fn down(&self) -> ConnectError {
        if self.commands.is_some() { ConnectError::Shutdown } else { ConnectError::Solo }
    }

    /// The addresses others can reach us at, without `/p2p`: wildcards are expanded to the addresses of
    /// the interfaces worth announcing. Loopback only if that is all we listen on, or all there is. The best comes
    /// first: QUIC before TCP.
    pub async fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.ask(Command::ListenAddrs).await.unwrap_or_default()
    }

    /// Connects to a device: at `addrs` and at any addresses known otherwise. QUIC addresses are dialled
    /// first, all at once; TCP ones when those have failed. Returns at once if connected.
    ///
    /// # Errors
    /// See [`ConnectError`]; with several addresses its text names each with what was wrong.
    pub async fn connect(&self, peer: DeviceId, addrs: Vec<Multiaddr>) -> Result<(), ConnectError> {
        self.ask(|reply| Command::Connect { peer, addrs, reply }).await.unwrap_or_else(|| Err(self.down()))
    }

    /// Connects to whoever is at an address; to nobody else than `/p2p/ID` when the address has that.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_any(&self, addr: Multiaddr) -> Result<DeviceId, ConnectError> {
        if let Some(device) = bootstrap::peer_in(&addr).and_then(|peer| stream::device_of(&peer)) {
            return self.connect(device, vec![addr]).await.map(|()| device);
        }
        self.ask(|reply| Command::ConnectAny { addr, reply }).await.unwrap_or_else(|| Err(self.down()))
    }

    /// Opens a stream to a connected device.
    ///
    /// # Errors
    /// See [`OpenError`]. Never dials.
    pub async fn open(&self, peer: DeviceId, protocol: &'static str) -> Result<NetStream, OpenError> {
        if !protocol.starts_with('/') {
            return Err(OpenError::ProtocolName(protocol));
        }
        let answer = self.ask(|reply| Command::Open { peer, protocol, reply }).await;
        let gone = || OpenError::Failed { peer, protocol, reason: "the connection closed".to_owned() };
        match answer {
            Some(answer) => answer,
            None if self.commands.as_ref().is_none_or(mpsc::Sender::is_closed) => {
                Err(OpenError::NotConnected(peer))
            }
            None => Err(gone()),
        }
    }

    /// Accepts streams under a protocol name, until the [`Incoming`] is dropped.
    ///
    /// # Errors
    /// When it is accepted elsewhere already, or doesn't start with a slash.
    pub fn accept(&self, protocol: &'static str) -> Result<Incoming, NetError> {
        self.accepts.accept(protocol)
    }

    /// Closes every connection to a device.
    pub async fn disconnect(&self, peer: DeviceId) {
        self.ask(|reply| Command::Disconnect { peer, reply }).await;
    }

    /// Closes every connection to a device and refuses new ones for a while. Not remembered over a
    /// restart.
    pub async fn ban(&self, peer: DeviceId, duration: Duration) {
        self.ask(|reply| Command::Ban { peer, duration, reply }).await;
    }

    /// Ends a ban.
    pub async fn unban(&self, peer: DeviceId) {
        self.ask(|reply| Command::Unban { peer, reply }).await;
    }

    /// Tells which devices are members, instead of those told before. For them a quarter of the connections
    /// is kept, and a stranger has to go when one of them comes and there is no room.
    pub async fn prefer(&self, members: HashSet<DeviceId>) {
        self.ask(|reply| Command::Prefer { members, reply }).await;
    }

    /// Follows a gossip topic.
    pub async fn subscribe(&self, topic: [u8; 32]) {
        self.ask(|reply| Command::Subscribe { topic, follow: true, reply }).await;
    }

    /// Stops following a gossip topic.
    pub async fn unsubscribe(&self, topic: [u8; 32]) {
        self.ask(|reply| Command::Subscribe { topic, follow: false, reply }).await;
    }

    /// Gossips up to [64 KiB](config) under a topic, signed by this device. Best effort: whoever is
    /// away or too slow misses it.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish(&self, topic: [u8; 32], data: Vec<u8>) -> Result<(), PublishError> {
        self.ask(|reply| Command::Publish { topic, data, reply }).await.unwrap_or(Err(PublishError::Down))
    }

    /// Everyone we are connected to or know an address of, connected ones first.
    pub async fn peers(&self) -> Vec<PeerInfo> {
        self.ask(Command::Peers).await.unwrap_or_default()
    }

    /// Announces a generation number on the LAN: others see it in [`NetEvent::Discovered`].
    pub async fn announce(&self, generation: u64) {
        self.ask(|reply| Command::Announce { generation, reply }).await;
    }

    /// Says goodbye on the LAN, closes every connection, and ends the task; returns when done, which takes a
    /// quarter of a second at most on a machine that isn't overloaded. A network that is started in this process on the
    /// same port waits until it is free.
    pub async fn shutdown(&self) {
        self.ask(Command::Shutdown).await;
        self.accepts.clear();
        self.solo.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

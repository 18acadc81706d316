//! The one task that owns the swarm: commands come in, events go out.
//!
//! Invariant: it never waits for anyone but the network. Answers go through one-shot channels, events
//! through a queue that drops rather than blocks ([`EventQueue`]), discovery is told without waiting.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use covey_types::DeviceId;
use futures::StreamExt;
use libp2p::{Multiaddr, PeerId, Swarm, core::transport::ListenerId, gossipsub, swarm::ConnectionId};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    behaviour::Behaviour,
    bootstrap::Bootstrap,
    config::{MAX_GOSSIP, NetConfig},
    dial::{ConnectReply, Dial},
    errors::{ConnectError, PublishError},
    events::{EventQueue, PeerInfo},
    mdns::{Mdns, MdnsEvent},
    peers::Peers,
    stream::{Accepts, OpenReply},
};

/// Listening addresses come and go in bursts (one event per interface and transport); they are acted
/// upon together, this long after the first.
pub(crate) const SETTLE: Duration = Duration::from_millis(20);
/// Who asks for the addresses before every listener has reported one waits this long at most: a listener may
/// have none, as on a machine without IPv6.
const LISTENERS_REPORT_WITHIN: Duration = Duration::from_millis(500);
/// Bans held at once; past that the one that ends first goes.
const MAX_BANS: usize = 4096;
/// Commands waiting for the task, which takes them promptly.
pub(crate) const COMMANDS: usize = 64;

pub(crate) type Reply<T> = oneshot::Sender<T>;

/// What a [`Net`](crate::Net) asks of the task.
pub(crate) enum Command {
    ListenAddrs(Reply<Vec<Multiaddr>>),
    Connect { peer: DeviceId, addrs: Vec<Multiaddr>, reply: ConnectReply },
    ConnectAny { addr: Multiaddr, reply: Reply<Result<DeviceId, ConnectError>> },
    Open { peer: DeviceId, protocol: &'static str, reply: OpenReply },
    Disconnect { peer: DeviceId, reply: Reply<()> },
    Ban { peer: DeviceId, duration: Duration, reply: Reply<()> },
    Unban { peer: DeviceId, reply: Reply<()> },
    Prefer { members: HashSet<DeviceId>, reply: Reply<()> },
    Subscribe { topic: [u8; 32], follow: bool, reply: Reply<()> },
    Publish { topic: [u8; 32], data: Vec<u8>, reply: Reply<Result<(), PublishError>> },
    Peers(Reply<Vec<PeerInfo>>),
    Announce { generation: u64, reply: Reply<()> },
    Shutdown(Reply<()>),
}

/// The libp2p name of a device; `None` for bytes that are no Ed25519 point (nobody can be that device).
pub(crate) fn peer_of(device: &DeviceId) -> Option<PeerId> {
    device.to_string().parse().ok()
}

/// The gossip topic's name on the wire.
pub(crate) fn topic_of(topic: &[u8; 32]) -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(bs58::encode(topic).into_string())
}

/// Why an outgoing connection is being made, when it isn't one of `dials`.
pub(crate) enum Attempt {
    Any(Multiaddr, Reply<Result<DeviceId, ConnectError>>),
    Bootstrap(usize),
    Peer(PeerId),
}

pub(crate) struct Task {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) config: NetConfig,
    pub(crate) accepts: Accepts,
    pub(crate) events: EventQueue,
    pub(crate) peers: Peers,
    pub(crate) dials: HashMap<PeerId, Dial>,
    pub(crate) attempts: HashMap<ConnectionId, Attempt>,
    pub(crate) bootstrap: Vec<Bootstrap>,
    pub(crate) bans: HashMap<PeerId, Instant>,
    next_unban: Option<Instant>,
    pub(crate) listening: BTreeSet<Multiaddr>,
    /// Listeners that have not reported an address yet, and until when they are waited for.
    pub(crate) silent: HashSet<ListenerId>,
    pub(crate) silent_until: Instant,
    /// Addresses whose port is about to become free, and when that is looked at.
    pub(crate) taken: Vec<Multiaddr>,
    pub(crate) retry_at: Option<Instant>,
    /// Who asked for the addresses meanwhile.
    pub(crate) asked: Vec<Reply<Vec<Multiaddr>>>,
    pub(crate) presented: BTreeSet<Multiaddr>,
    pub(crate) raised_ports: HashSet<u16>,
    pub(crate) settle_at: Option<Instant>,
    pub(crate) settled: bool,
    pub(crate) generation: u64,
    pub(crate) mdns: Option<Mdns>,
    pub(crate) mdns_events: Option<mpsc::Receiver<MdnsEvent>>,
    pub(crate) mdns_warned: bool,
}

impl Task {
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        config: NetConfig,
        accepts: Accepts,
        events: EventQueue,
    ) -> Self {
        let now = Instant::now();
        let bootstrap = config.bootstrap.iter().map(|addr| Bootstrap::new(addr.clone(), now)).collect();
        Self {
            swarm,
            config,
            accepts,
            events,
            peers: Peers::default(),
            dials: HashMap::new(),
            attempts: HashMap::new(),
            bootstrap,
            bans: HashMap::new(),
            next_unban: None,
            listening: BTreeSet::new(),
            silent: HashSet::new(),
            silent_until: now + LISTENERS_REPORT_WITHIN,
            taken: Vec::new(),
            retry_at: None,
            asked: Vec::new(),
            presented: BTreeSet::new(),
            raised_ports: HashSet::new(),
            settle_at: Some(now + SETTLE),
            settled: false,
            generation: 0,
            mdns: None,
            mdns_events: None,
            mdns_warned: false,
        }
    }

    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let wake = self.next_wake();
            let blocked = !self.events.is_empty();
            let sender = self.events.sender();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Shutdown(done)) => {
                        self.shutdown().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(command) => self.obey(command),
                    None => return self.shutdown().await,
                },
                event = self.swarm.select_next_some() => self.swarm_event(event),
                Some(event) = next_of(&mut self.mdns_events) => self.mdns_event(event),
                () = EventQueue::has_room(sender), if blocked => self.events.resume(),
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => self.timers(),
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let asked = (!self.asked.is_empty()).then_some(self.silent_until);
        let others = asked.into_iter().chain(self.settle_at).chain(self.retry_at).chain(self.next_unban);
        self.bootstrap.iter().filter_map(Bootstrap::due).chain(others).min()
    }

    fn timers(&mut self) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| at <= now) {
            self.listen_again();
        }
        if self.settle_at.is_some_and(|at| at <= now) {
            self.settle_at = None;
            self.addresses_settled();
        }
        self.tell_addresses();
        if self.next_unban.is_some_and(|at| at <= now) {
            let over: Vec<_> =
                self.bans.iter().filter(|(_, until)| **until <= now).map(|(peer, _)| *peer).collect();
            for peer in over {
                self.unban(&peer);
            }
        }
        for index in 0..self.bootstrap.len() {
            if self.bootstrap[index].due().is_some_and(|at| at <= now) {
                self.dial_bootstrap(index);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::ListenAddrs(reply) => {
                self.asked.push(reply);
                self.tell_addresses();
            }
            Command::Connect { peer, addrs, reply } => self.connect(peer, addrs, reply),
            Command::ConnectAny { addr, reply } => self.connect_any(addr, reply),
            Command::Open { peer, protocol, reply } => self.open(peer, protocol, reply),
            Command::Disconnect { peer, reply } => {
                if let Some(peer) = peer_of(&peer) {
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
                send(reply, ());
            }
            Command::Ban { peer, duration, reply } => {
                self.ban(peer, duration);
                send(reply, ());
            }
            Command::Unban { peer, reply } => {
                if let Some(peer) = peer_of(&peer) {
                    self.unban(&peer);
                }
                send(reply, ());
            }
            Command::Prefer { members, reply } => {
                let peers = members.iter().filter_map(peer_of).collect();
                self.swarm.behaviour_mut().admission.prefer(peers);
                send(reply, ());
            }
            Command::Subscribe { topic, follow, reply } => {
                self.subscribe(&topic, follow);
                send(reply, ());
            }
            Command::Publish { topic, data, reply } => send(reply, self.publish(&topic, data)),
            Command::Peers(reply) => send(reply, self.peers.infos()),
            Command::Announce { generation, reply } => {
                self.generation = generation;
                if let Some(mdns) = &self.mdns {
                    mdns.announce(generation);
                }
                send(reply, ());
            }
            Command::Shutdown(reply) => send(reply, ()),
        }
    }

    fn open(&mut self, device: DeviceId, protocol: &'static str, reply: OpenReply) {
        match peer_of(&device) {
            Some(peer) => self.swarm.behaviour_mut().streams.open(peer, device, protocol, reply),
            None => send(reply, Err(crate::errors::OpenError::NotConnected(device))),
        }
    }

    fn ban(&mut self, device: DeviceId, duration: Duration) {
        let Some(peer) = peer_of(&device) else { return };
        if self.bans.len() >= MAX_BANS
            && let Some(first) = self.bans.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer)
        {
            self.unban(&first);
        }
        // A century is for ever, and still an instant that can be computed.
        let until = Instant::now() + duration.min(Duration::from_hours(100 * 365 * 24));
        self.bans.insert(peer, until);
        self.next_unban = self.bans.values().min().copied();
        self.swarm.behaviour_mut().blocked.block_peer(peer);
    }

    fn unban(&mut self, peer: &PeerId) {
        self.bans.remove(peer);
        self.next_unban = self.bans.values().min().copied();
        self.swarm.behaviour_mut().blocked.unblock_peer(*peer);
    }

    fn subscribe(&mut self, topic: &[u8; 32], follow: bool) {
        let (gossip, topic) = (&mut self.swarm.behaviour_mut().gossipsub, topic_of(topic));
        if follow {
            if let Err(error) = gossip.subscribe(&topic) {
                tracing::warn!(%error, "subscribing failed");
            }
        } else {
            gossip.unsubscribe(&topic);
        }
    }

    fn publish(&mut self, topic: &[u8; 32], data: Vec<u8>) -> Result<(), PublishError> {
        let size = data.len();
        if size > MAX_GOSSIP {
            return Err(PublishError::TooLarge { size, limit: MAX_GOSSIP });
        }
        let published = self.swarm.behaviour_mut().gossipsub.publish(topic_of(topic).hash(), data);
        published.map(|_| ()).map_err(|error| match error {
            gossipsub::PublishError::NoPeersSubscribedToTopic => PublishError::NoPeers,
            gossipsub::PublishError::Duplicate => PublishError::Duplicate,
            gossipsub::PublishError::AllQueuesFull(_) => PublishError::QueuesFull,
            error => PublishError::Failed(error.to_string()),
        })
    }
}

pub(crate) fn send<T>(reply: Reply<T>, value: T) {
    let _ = reply.send(value); // whoever asked may have stopped waiting
}

async fn next_of(events: &mut Option<mpsc::Receiver<MdnsEvent>>) -> Option<MdnsEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

//! Discovery on the LAN by DNS-SD over multicast DNS (RFC 6763, RFC 6762).
//!
//! Every node is an instance of `_covey._udp.local.` named by its peer id, with SRV (the QUIC port) and
//! TXT: `v` (format, 1), `id` (peer id, since names lose their case on the way), `t` (TCP port), `g`
//! (generation), and `bye=1` in the last moment of its life. Names are unique by construction, so
//! there is no probing.
//!
//! The `mdns-sd` daemon thread browses, answers, and follows interfaces. Around it, we
//! - ask at once and in a way that is answered at once ([`first_look`](crate::first_look));
//! - repeat the announcement after a second ourselves (RFC 6762 §8.3): the daemon looks its own repeat
//!   up by the name as written, but keeps services by lower-cased name, and ours have capitals;
//! - announce `bye` just before the goodbye, since a goodbye takes effect a second late (§10.1).

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use covey_types::DeviceId;
use libp2p::Multiaddr;
use mdns_sd::{IfKind, IfPredicate, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::{
    config::{MAX_ADDRESSES, MAX_KNOWN_PEERS},
    events::Transport,
    first_look,
    interfaces::multiaddr,
};

/// The service type of Covey nodes.
pub(crate) const SERVICE: &str = "_covey._udp.local.";
/// The port of multicast DNS.
pub(crate) const PORT: u16 = 5353;
/// How often the daemon looks for interfaces that came up, in seconds (its finest step). The kernel may
/// report a link as running up to a second after it has an address, and nothing wakes us then.
const INTERFACE_CHECK_S: u32 = 1;
/// The second announcement comes this long after the first: the one-per-second limit must be over.
const REPEAT_AFTER: Duration = Duration::from_millis(1200);
/// A peer known from a one-shot answer alone is forgotten after that answer's longest life (RFC 6762
/// §6.7), unless browsing has found it too by then.
const PROVISIONAL: Duration = Duration::from_secs(10);
/// A doubted peer has this long to answer before it is dropped (RFC 6762 §10.4).
const VERIFY_WITHIN: Duration = Duration::from_secs(10);
/// The daemon repeats a goodbye 120 ms after the first; we let it.
const GOODBYE_TAKES: Duration = Duration::from_millis(150);
/// Messages waiting between this task and its neighbours: both sides take them promptly.
const QUEUE: usize = 256;

/// Who is there, as an answer says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) device: DeviceId,
    pub(crate) addrs: Vec<Multiaddr>,
    pub(crate) generation: u64,
    leaving: bool,
    fullname: String,
}

impl Found {
    /// Reads what an instance says; `None` if it isn't one we understand.
    pub(crate) fn new<'a>(
        fullname: &str,
        udp_port: u16,
        ips: &HashSet<IpAddr>,
        txt: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Self> {
        let device = txt("id")?.parse().ok()?;
        let tcp_port: Option<u16> = txt("t").and_then(|port| port.parse().ok()).filter(|&port| port != 0);
        let mut ips: Vec<_> = ips.iter().copied().filter(|ip| !is_scoped(*ip)).collect();
        ips.sort();
        let quic = (udp_port != 0).then_some((udp_port, Transport::Quic));
        let tcp = tcp_port.map(|port| (port, Transport::Tcp));
        let ports = [quic, tcp].into_iter().flatten();
        let addrs =
            ports.flat_map(|(port, transport)| ips.iter().map(move |&ip| multiaddr(ip, port, transport)));
        Some(Self {
            device,
            addrs: addrs.take(MAX_ADDRESSES).collect(),
            generation: txt("g").and_then(|g| g.parse().ok()).unwrap_or(0),
            leaving: txt("bye").is_some(),
            fullname: fullname.to_owned(),
        })
    }

    fn from_service(service: &ResolvedService) -> Option<Self> {
        let ips = service.get_addresses().iter().map(mdns_sd::ScopedIp::to_ip_addr).collect();
        Self::new(service.get_fullname(), service.get_port(), &ips, |key| service.get_property_val_str(key))
    }
}

const fn is_scoped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

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

/// What we say about ourselves.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    pub(crate) device: DeviceId,
    pub(crate) udp_port: u16,
    pub(crate) tcp_port: Option<u16>,
    pub(crate) generation: u64,
    /// The addresses whose interfaces take part.
    pub(crate) ips: HashSet<IpAddr>,
}

impl Announcement {
    fn service(&self, leaving: bool) -> Result<ServiceInfo, mdns_sd::Error> {
        let id = self.device.to_string();
        let mut txt = vec![("v", "1".to_owned()), ("id", id.clone()), ("g", self.generation.to_string())];
        txt.extend(self.tcp_port.map(|port| ("t", port.to_string())));
        txt.extend(leaving.then(|| ("bye", "1".to_owned())));
        let host = format!("covey-{}.local.", id[id.len() - 16..].to_ascii_lowercase());
        let info = ServiceInfo::new(SERVICE, &id, &host, "", self.udp_port, &txt[..])?;
        let mut info = info.enable_addr_auto();
        info.set_requires_probe(false);
        Ok(info)
    }
}

/// A handle to running discovery.
pub(crate) struct Mdns {
    commands: mpsc::Sender<Command>,
}

impl Mdns {
    /// Starts browsing and announcing.
    pub(crate) fn start(about: Announcement) -> Result<(Self, mpsc::Receiver<MdnsEvent>), mdns_sd::Error> {
        let (commands, command_receiver) = mpsc::channel(QUEUE);
        let (events, event_receiver) = mpsc::channel(QUEUE);
        let daemon = ServiceDaemon::new()?;
        let task = Task::new(daemon, about, events)?;
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

struct Known {
    found: Found,
    /// Set while only a one-shot answer speaks for the peer.
    provisional_until: Option<Instant>,
}

struct Task {
    daemon: ServiceDaemon,
    browse: Receiver<ServiceEvent>,
    about: Announcement,
    ips: Arc<RwLock<HashSet<IpAddr>>>,
    events: mpsc::Sender<MdnsEvent>,
    looks: (mpsc::Sender<Found>, mpsc::Receiver<Found>),
    known: HashMap<DeviceId, Known>,
    repeat_at: Option<Instant>,
    warned: bool,
}

impl Task {
    fn new(
        daemon: ServiceDaemon,
        about: Announcement,
        events: mpsc::Sender<MdnsEvent>,
    ) -> Result<Self, mdns_sd::Error> {
        let ips = Arc::new(RwLock::new(about.ips.clone()));
        let chosen = Arc::clone(&ips);
        let is_chosen = move |one: &if_addrs::Interface| {
            chosen.read().unwrap_or_else(PoisonError::into_inner).contains(&one.ip())
        };
        daemon.set_ip_check_interval(INTERFACE_CHECK_S)?;
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(IfKind::Predicate(IfPredicate::new(is_chosen)))?;
        // Browse first: whoever announces itself while we come up is heard.
        let browse = daemon.browse(SERVICE)?;
        daemon.register(about.service(false)?)?;
        let mut task = Self {
            daemon,
            browse,
            about,
            ips,
            events,
            looks: mpsc::channel(QUEUE),
            known: HashMap::new(),
            repeat_at: Some(Instant::now() + REPEAT_AFTER),
            warned: false,
        };
        let ips = task.about.ips.clone();
        task.look_from(&ips);
        Ok(task)
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let wake = self.next_wake();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Shutdown(done)) => {
                        self.say_goodbye().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(command) => self.obey(command),
                    None => return self.say_goodbye().await,
                },
                event = self.browse.recv_async() => match event {
                    Ok(event) => self.browsed(event).await,
                    Err(_) => self.browse_again().await,
                },
                Some(found) = self.looks.1.recv() => self.answered(found).await,
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => self.timers().await,
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.known.values().filter_map(|known| known.provisional_until).chain(self.repeat_at).min()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Announce(generation) => {
                self.about.generation = generation;
                self.register(false);
                self.repeat_at = Some(Instant::now() + REPEAT_AFTER);
            }
            Command::Addresses(ips) => {
                let new: HashSet<IpAddr> = ips.difference(&self.about.ips).copied().collect();
                self.ips.write().unwrap_or_else(PoisonError::into_inner).clone_from(&ips);
                self.about.ips = ips;
                self.look_from(&new);
            }
            Command::Verify(device) => {
                if let Some(known) = self.known.get(&device) {
                    let _ = self.daemon.verify(known.found.fullname.clone(), VERIFY_WITHIN);
                }
            }
            Command::Shutdown(_) => {}
        }
    }

    fn register(&mut self, leaving: bool) {
        let registered = self.about.service(leaving).and_then(|info| self.daemon.register(info));
        if let Err(error) = registered {
            self.warn_once(&error);
        }
    }

    fn warn_once(&mut self, error: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(%error, "multicast discovery does not work now; it is tried again when interfaces change");
        }
    }

    fn look_from(&mut self, ips: &HashSet<IpAddr>) {
        if self.about.ips.is_empty() {
            self.warn_once(&"no usable network interface");
        }
        for &ip in ips {
            let found = self.looks.0.clone();
            tokio::spawn(async move {
                if let Err(error) = first_look::look(ip, found).await {
                    tracing::debug!(%ip, %error, "looking around failed");
                }
            });
        }
    }

    async fn browse_again(&mut self) {
        // The daemon ends a subscription whose listener was slow. Don't spin if it is gone altogether.
        tokio::time::sleep(REPEAT_AFTER).await;
        if let Ok(browse) = self.daemon.browse(SERVICE) {
            self.browse = browse;
        }
    }

    async fn browsed(&mut self, event: ServiceEvent) {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let Some(found) = Found::from_service(&service) else { return };
                if found.leaving {
                    self.forget(found.device).await;
                } else {
                    self.learn(found, None).await;
                }
            }
            ServiceEvent::ServiceRemoved(_, fullname) => {
                let gone =
                    self.known.iter().find(|(_, known)| known.found.fullname.eq_ignore_ascii_case(&fullname));
                if let Some(device) = gone.map(|(device, _)| *device) {
                    self.forget(device).await;
                }
            }
            _ => {}
        }
    }

    /// A one-shot answer: may add to what such answers said before, never to what browsing said.
    async fn answered(&mut self, mut found: Found) {
        match self.known.get(&found.device) {
            Some(Known { provisional_until: None, .. }) => return,
            Some(known) => {
                let earlier = known.found.addrs.iter().filter(|&addr| !found.addrs.contains(addr)).cloned();
                let mut addrs: Vec<Multiaddr> = earlier.collect();
                addrs.append(&mut found.addrs);
                addrs.truncate(MAX_ADDRESSES);
                addrs.sort_by_key(|addr| {
                    crate::interfaces::socket_address(addr).map(|(_, t)| t == Transport::Tcp)
                });
                found.addrs = addrs;
            }
            None => {}
        }
        if !found.leaving {
            self.learn(found, Some(Instant::now() + PROVISIONAL)).await;
        }
    }

    async fn learn(&mut self, found: Found, provisional_until: Option<Instant>) {
        let full = self.known.len() >= MAX_KNOWN_PEERS && !self.known.contains_key(&found.device);
        if full || found.device == self.about.device || found.addrs.is_empty() {
            return;
        }
        let known = Known { found: found.clone(), provisional_until };
        let before = self.known.insert(found.device, known);
        if before.is_none_or(|before| {
            before.found.addrs != found.addrs || before.found.generation != found.generation
        }) {
            let _ = self.events.send(MdnsEvent::Found(found)).await;
        }
    }

    async fn forget(&mut self, device: DeviceId) {
        if self.known.remove(&device).is_some() {
            let _ = self.events.send(MdnsEvent::Gone(device)).await;
        }
    }

    async fn timers(&mut self) {
        let now = Instant::now();
        if self.repeat_at.is_some_and(|at| at <= now) {
            self.repeat_at = None;
            self.register(false);
        }
        let over = |known: &Known| known.provisional_until.is_some_and(|until| until <= now);
        let gone: Vec<_> =
            self.known.iter().filter(|(_, known)| over(known)).map(|(device, _)| *device).collect();
        for device in gone {
            self.forget(device).await;
        }
    }

    async fn say_goodbye(mut self) {
        self.register(true);
        let fullname = format!("{}.{SERVICE}", self.about.device);
        if let Ok(done) = self.daemon.unregister(&fullname) {
            let _ = tokio::time::timeout(GOODBYE_TAKES, done.recv_async()).await;
            tokio::time::sleep(GOODBYE_TAKES).await;
        }
        if let Ok(done) = self.daemon.shutdown() {
            let _ = tokio::time::timeout(GOODBYE_TAKES, done.recv_async()).await;
        }
    }
}

//! Whom to connect to, and when to try again.
//!
//! Members of common spaces are kept connected: dialled when they are discovered, and again with a growing,
//! jittered pause when they are gone. Unknown devices on the LAN are tried a few times, for they may have joined
//! through somebody else; one with which nothing is shared is remembered as a stranger until the number it
//! announces changes. Of two devices that see each other the one with the smaller id dials first.

mod seen;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use covey_net::{Multiaddr, NetEvent};
use covey_store::{Store, StoreError};
use covey_types::{DeviceId, keys::random_bytes, wire};
use tokio::sync::{
    Notify,
    broadcast::error::{RecvError, TryRecvError},
    mpsc,
};

use crate::{Event, Node, sync};

const META: &str = "addresses";

/// Devices whose addresses are kept: the devices of all spaces, with room.
const MAX_KNOWN: usize = 4096;

/// Addresses kept for one device.
const MAX_ADDRESSES: usize = 8;

/// Longest stored address book, bytes.
const MAX_STORED_BYTES: usize = 8 << 20;

/// The first pause before a device is dialled again, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long the device with the larger id waits for the other's call before it calls itself.
const POLITE_PAUSE: Duration = Duration::from_millis(300);

/// How long the device with the larger id waits for the other's sync stream before it opens one itself.
const STREAM_PATIENCE: Duration = Duration::from_millis(500);

/// The first ban of a device that broke the protocol; doubles with each time, up to the longest.
const FIRST_BAN: Duration = Duration::from_mins(1);
const LONGEST_BAN: Duration = Duration::from_hours(1);

/// What is known of other devices.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    book: Mutex<Book>,
    generation: AtomicU64,
    /// The network changed: pauses are over.
    retry: Notify,
}

#[derive(Debug, Default)]
struct Book {
    addresses: BTreeMap<DeviceId, Vec<String>>,
    /// Milliseconds since 1970, by the clock of this device.
    last_seen: BTreeMap<DeviceId, u64>,
    /// Whether that has changed since it was kept.
    seen_changed: bool,
    /// Devices with which nothing is shared, and what they announced then.
    strangers: BTreeMap<DeviceId, Option<u64>>,
    announced: BTreeMap<DeviceId, u64>,
    offences: BTreeMap<DeviceId, u32>,
    dialling: std::collections::BTreeSet<DeviceId>,
}

impl Peers {
    pub(crate) async fn load(store: &Store) -> Result<Self, StoreError> {
        let bytes = store.read(|reader| reader.meta(META)).await?.unwrap_or_default();
        let stored: Vec<(DeviceId, Vec<String>)> = if bytes.is_empty() {
            Vec::new()
        } else {
            wire::decode("the address book", &bytes, MAX_STORED_BYTES).map_err(|err| StoreError::Corrupt {
                doing: "read the address book",
                reason: err.to_string(),
            })?
        };
        let book = Book {
            addresses: stored.into_iter().collect(),
            last_seen: seen::load(store).await?,
            ..Book::default()
        };
        let generation = AtomicU64::new(u64::from(u32::from_le_bytes(random_bytes())));
        Ok(Self { book: Mutex::new(book), generation, retry: Notify::new() })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new number to announce: there's news for those who took this node for a stranger.
    pub(crate) fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether nothing is to be tried with a device for now.
    pub(crate) fn is_shunned(&self, node: &Node, device: DeviceId) -> bool {
        !is_member(node, device) && self.book().strangers.contains_key(&device)
    }

    /// There is something in common with somebody now: who was a stranger may not be one any more.
    pub(crate) fn forget_strangers(&self) {
        self.book().strangers.clear();
    }

    /// The addresses at which a device was reached before.
    fn addresses(&self, device: DeviceId) -> Vec<Multiaddr> {
        let book = self.book();
        book.addresses.get(&device).into_iter().flatten().filter_map(|text| text.parse().ok()).collect()
    }

    /// Notes addresses of a device, newest first, and keeps them.
    pub(crate) fn remember(&self, node: &Node, device: DeviceId, addresses: &[String]) {
        let mut book = self.book();
        if book.addresses.len() >= MAX_KNOWN && !book.addresses.contains_key(&device) {
            return;
        }
        let known = book.addresses.entry(device).or_default();
        let mut merged: Vec<String> = addresses.to_vec();
        merged.extend(known.iter().filter(|old| !addresses.contains(old)).cloned());
        merged.truncate(MAX_ADDRESSES);
        if *known == merged {
            return;
        }
        *known = merged;
        let stored: Vec<_> = book.addresses.clone().into_iter().collect();
        drop(book);
        let node_of_task = node.clone();
        node.spawn(async move {
            let saved = node_of_task.write(move |tx, _| Ok(tx.set_meta(META, &wire::encode(&stored))?)).await;
            if let Err(err) = saved {
                tracing::warn!(%err, "keeping the address book");
            }
        });
    }

    /// A peer has greeted: it's a Covey node, and where it was reached is worth keeping.
    pub(crate) fn greeted(node: &Node, device: DeviceId) {
        if !is_member(node, device) {
            return;
        }
        let node_of_task = node.clone();
        node.spawn(async move {
            let peers = node_of_task.0.net.peers().await;
            if let Some(info) = peers.into_iter().find(|info| info.device == device) {
                let addresses: Vec<String> = info.addresses.iter().map(ToString::to_string).collect();
                node_of_task.0.peers.remember(&node_of_task, device, &addresses);
            }
        });
    }

    /// Nothing is shared with this device: let it go until it has news.
    pub(crate) fn is_a_stranger(&self, device: DeviceId) {
        let mut book = self.book();
        let announced = book.announced.get(&device).copied();
        if book.strangers.len() < MAX_KNOWN {
            book.strangers.insert(device, announced);
        }
        // Pairing may be going on over the same connection; one that nobody uses is closed when it has been idle.
        tracing::debug!(%device, "a stranger");
    }

    /// A device broke the protocol: it's dropped, and kept away for a while.
    pub(crate) async fn misbehaved(&self, node: &Node, device: DeviceId, reason: String) {
        let offences = {
            let mut book = self.book();
            if book.offences.len() >= MAX_KNOWN {
                // Identities cost nothing: those who made them up only to be remembered are forgotten.
                book.offences.retain(|_, offences| *offences > 1);
                if book.offences.len() >= MAX_KNOWN {
                    book.offences.clear();
                }
            }
            let offences = book.offences.entry(device).or_insert(0);
            *offences += 1;
            *offences
        };
        tracing::warn!(%device, %reason, offences, "a peer broke the protocol");
        node.emit(Event::PeerMisbehaved { device, reason });
        let ban = FIRST_BAN.saturating_mul(1 << (offences - 1).min(10)).min(LONGEST_BAN);
        node.0.net.ban(device, ban).await;
    }
}

/// Whether a device is in a space that this one is in too. Who is out of a space has nothing to look for there.
fn is_member(node: &Node, device: DeviceId) -> bool {
    // A revoked device has nobody to talk to.
    !node.is_revoked()
        && node
            .engine()
            .spaces
            .values()
            .filter(|space| !space.is_out(node.device()))
            .any(|space| space.membership.has_device(device) || space.info.inviter == Some(device))
}

/// Follows what the network tells, until the node stops.
pub(crate) async fn run(node: Node, mut events: mpsc::Receiver<NetEvent>) {
    let generation = node.0.peers.next_generation();
    node.0.net.announce(generation).await;
    node.spawn(tell_members(node.clone()));
    redial_members(&node);
    node.spawn(seen::keep_now_and_then(node.clone()));
    while let Some(event) = events.recv().await {
        match event {
            NetEvent::Discovered { device, generation, .. } => discovered(&node, device, generation),
            NetEvent::Connected { device, .. } => connected(&node, device),
            NetEvent::Disconnected { device, reason } => {
                tracing::debug!(%device, %reason, "disconnected");
                node.0.peers.saw(&node, device);
                node.emit(Event::PeerDisconnected(device));
                if is_member(&node, device) {
                    keep_dialling(&node, device, FIRST_PAUSE);
                }
            }
            NetEvent::InterfacesChanged => {
                node.0.peers.retry.notify_waiters();
                redial_members(&node);
            }
            // Some news was missed: whoever should be connected is looked at afresh.
            NetEvent::Lagged { .. } => redial_members(&node),
            NetEvent::Gossip { topic, from, data } => crate::chat::presence::heard(&node, topic, from, &data),
            NetEvent::Listening(address) => tracing::debug!(%address, "listening"),
            _ => {}
        }
    }
}

/// The devices of all spaces but this one, and who let it in.
fn members(node: &Node) -> HashSet<DeviceId> {
    let mut devices = HashSet::new();
    if node.is_revoked() {
        return devices;
    }
    for space in node.engine().spaces.values().filter(|space| !space.is_out(node.device())) {
        devices.extend(space.membership.devices().map(|(device, _)| device));
        devices.extend(space.info.inviter);
    }
    devices.remove(&node.device());
    devices
}

/// Tells the network who the members are, now and whenever there are more, so that it keeps room for them.
async fn tell_members(node: Node) {
    let mut events = node.events();
    loop {
        node.0.net.prefer(members(&node)).await;
        loop {
            match events.recv().await {
                Ok(Event::SpaceAdded(_) | Event::MembersChanged(_)) | Err(RecvError::Lagged(_)) => break,
                Ok(_) => {}
                Err(RecvError::Closed) => return,
            }
        }
        // A first sync brings many at once: they are told together.
        while !matches!(events.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
    }
}

pub(crate) fn redial_members(node: &Node) {
    for device in members(node) {
        keep_dialling(node, device, Duration::ZERO);
    }
}

fn discovered(node: &Node, device: DeviceId, generation: Option<u64>) {
    let member = is_member(node, device);
    {
        let mut book = node.0.peers.book();
        if let Some(generation) = generation
            && book.announced.len() < MAX_KNOWN
        {
            book.announced.insert(device, generation);
        }
        match book.strangers.get(&device) {
            Some(then) if *then == generation && !member => return,
            Some(_) => {
                book.strangers.remove(&device);
            }
            None => {}
        }
    }
    node.emit(Event::PeerDiscovered(device));
    node.0.peers.retry.notify_waiters();
    // It has discovered this node at the same moment: one of the two waits for the other's call.
    keep_dialling(node, device, if device < node.device() { POLITE_PAUSE } else { Duration::ZERO });
}

fn connected(node: &Node, device: DeviceId) {
    node.0.peers.saw(node, device);
    node.emit(Event::PeerConnected(device));
    let node_of_task = node.clone();
    node.spawn(async move {
        if node_of_task.device() > device {
            tokio::time::sleep(STREAM_PATIENCE).await;
        }
        sync::open(node_of_task, device).await;
    });
}

/// Dials a device, from `first` on, until there's a session with it; a device that isn't a member is tried a few times only.
fn keep_dialling(node: &Node, device: DeviceId, first: Duration) {
    /// Tries for a device that is not known to share a space.
    const TRIES_FOR_UNKNOWN: u32 = 3;
    if device == node.device() || !node.0.peers.book().dialling.insert(device) {
        return;
    }
    let node_of_task = node.clone();
    node.spawn(async move {
        let node = node_of_task;
        tokio::time::sleep(first).await;
        for attempt in 0u32.. {
            match node.0.net.connect(device, node.0.peers.addresses(device)).await {
                // A connection that does not stay, or on which no session comes up, counts as a failed try.
                Ok(()) if has_session_soon(&node, device).await => break,
                Ok(()) => tracing::debug!(%device, "connected, but no session came up"),
                Err(err) => tracing::debug!(%device, %err, "dialling"),
            }
            if attempt >= TRIES_FOR_UNKNOWN && !is_member(&node, device)
                || node.0.peers.is_shunned(&node, device)
            {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(pause(attempt)) => {}
                () = node.0.peers.retry.notified() => {}
            }
        }
        node.0.peers.book().dialling.remove(&device);
        // A disconnect that was told while this was still noted as dialling found nobody to act on it.
        if is_member(&node, device) && !node.0.sessions.has(device) {
            keep_dialling(&node, device, FIRST_PAUSE);
        }
    });
}

/// Waits a moment for a session with a connected device, and opens one if none comes.
async fn has_session_soon(node: &Node, device: DeviceId) -> bool {
    /// Looks, [`STREAM_PATIENCE`] apart.
    const LOOKS: u32 = 4;
    for look in 0..LOOKS {
        if node.0.sessions.has(device) {
            return true;
        }
        if look == LOOKS / 2 {
            node.spawn(sync::open(node.clone(), device));
        }
        tokio::time::sleep(STREAM_PATIENCE).await;
    }
    node.0.sessions.has(device)
}

/// Grows from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`], and is between half and all of that, so that many don't call at once.
fn pause(attempt: u32) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << attempt.min(8)).min(LONGEST_PAUSE);
    let [byte] = random_bytes::<1>();
    full / 2 + full.mul_f64(f64::from(byte) / 512.0)
}

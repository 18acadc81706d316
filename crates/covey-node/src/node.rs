//! [`Node`]: a running node, and how it's opened and closed.

mod identity;
mod report;
mod writing;

use self::identity::open_store;
pub(crate) use self::identity::public;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::AtomicBool},
    time::{Duration, Instant},
};

use covey_engine::{Deeds, Engine, Ingested, Secrets, SpaceState};
use covey_log::Entry;
use covey_net::{Net, NetConfig, NetError};
use covey_space::ops::is_display_name;
use covey_store::{Store, StoreError, WriteError};
use covey_types::{DeviceId, Head, LogId, SpaceId};
use tokio::sync::broadcast;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Event, Identity, NodeConfig, NodeError, Space,
    pairing::{self, Pairing},
    peers::Peers,
    sync::Sessions,
};

/// Events that a slow listener may be behind before it misses some.
const EVENT_BACKLOG: usize = 1024;

/// How long a shutdown waits for its tasks before it goes on without them.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// How often entries from the future are looked at again, beside every start.
const HELD_INTERVAL: Duration = Duration::from_secs(30);

/// Why a node could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store can't be opened.
    #[error(transparent)]
    Store(#[from] covey_store::OpenError),
    /// The store can't be read.
    #[error("cannot read the store")]
    Read(#[from] StoreError),
    /// The identity could not be written.
    #[error("cannot write the new identity")]
    Write(#[source] WriteError<StoreError>),
    /// There is no identity yet, and no names for one were given.
    #[error("{home} has no identity yet; give the names for a new one")]
    NoProfile {
        /// The node's home.
        home: PathBuf,
    },
    /// A name that can't be one.
    #[error("{0}")]
    Profile(String),
    /// An address that is none.
    #[error("{text:?} is not a multiaddr such as /ip4/192.168.1.5/udp/4001/quic-v1: {reason}")]
    Address {
        /// The text as given.
        text: String,
        /// Why not.
        reason: String,
    },
    /// The network can't be started.
    #[error("cannot start the network")]
    Net(#[from] NetError),
}

/// A running node. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Node(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: NodeConfig,
    /// Replaced when a name changes, or when this device becomes another user's: ask [`Node::secrets`] each time.
    secrets: RwLock<Arc<Secrets>>,
    device: DeviceId,
    pub(crate) own: crate::own::Own,
    pub(crate) store: Store,
    pub(crate) net: Net,
    engine: Arc<Mutex<Engine>>,
    stale: Arc<AtomicBool>,
    pub(crate) sessions: Sessions,
    pub(crate) peers: Peers,
    pub(crate) pairing: Pairing,
    pub(crate) chores: crate::chores::Pending,
    pub(crate) news: crate::compaction::News,
    pub(crate) held: Arc<crate::delivery::Holdings>,
    pub(crate) chat: crate::chat::Memory,
    pub(crate) presences: crate::chat::presence::Presences,
    events: broadcast::Sender<Event>,
    pub(crate) tasks: TaskTracker,
    pub(crate) cancel: CancellationToken,
    started: Instant,
}

impl Inner {
    /// The memory, for whoever looks at it inside the store's closures.
    pub(crate) fn engine_handle(&self) -> Arc<Mutex<Engine>> {
        Arc::clone(&self.engine)
    }
}

/// A space that was just joined.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The space.
    pub space: Space,
    /// Its records after the first full sync.
    pub records: u64,
}

/// Makes a home with an identity, without starting a node. A home that has one keeps it.
///
/// # Errors
/// See [`OpenError`].
pub async fn init(config: &NodeConfig) -> Result<Identity, OpenError> {
    let (store, secrets) = open_store(config).await?;
    let closed = tokio::task::spawn_blocking(move || store.close()).await;
    if let Ok(Err(err)) = closed {
        return Err(err.into());
    }
    Ok(public(&secrets))
}

pub(crate) fn check_space_name(name: &str) -> Result<(), NodeError> {
    if is_display_name(name) {
        return Ok(());
    }
    let rule = "1 to 64 printable characters without blanks at the ends";
    Err(NodeError::Invalid(format!("{name:?} can't be the name of a space: {rule}")))
}

fn parse_addresses(texts: &[String]) -> Result<Vec<covey_net::Multiaddr>, OpenError> {
    let parse = |text: &String| {
        text.parse().map_err(|err| OpenError::Address { text: text.clone(), reason: format!("{err}") })
    };
    texts.iter().map(parse).collect()
}

impl Node {
    /// Opens the home, makes an identity if there is none, and starts the network.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(config: NodeConfig) -> Result<Self, OpenError> {
        let listen = parse_addresses(&config.listen)?;
        let bootstrap = parse_addresses(&config.bootstrap)?;
        if !crate::exists(&config.home) && config.network != crate::NetworkMode::Solo {
            // A port that is taken should not cost the making of an identity.
            covey_net::try_listening(&listen)?;
        }
        let (store, secrets) = open_store(&config).await?;
        let (mut engine, own) =
            store.read(|reader| Ok((Engine::load(reader)?, crate::own::Own::load(reader)?))).await?;
        engine.keeps_whole_logs = config.compaction.is_none();
        let (net, net_events) = covey_net::start(NetConfig {
            listen,
            bootstrap,
            mode: config.network,
            mdns: config.mdns.clone(),
            limits: config.limits.clone(),
            ..NetConfig::new(secrets.device.clone())
        })?;
        let peers = Peers::load(&store).await?;
        let held = crate::delivery::Holdings::load(&store, engine.spaces.keys().copied().collect()).await?;
        let node = Self(Arc::new(Inner {
            config,
            device: secrets.device.id(),
            secrets: RwLock::new(Arc::new(secrets)),
            own,
            store,
            net,
            engine: Arc::new(Mutex::new(engine)),
            stale: Arc::new(AtomicBool::new(false)),
            sessions: Sessions::default(),
            peers,
            pairing: Pairing::default(),
            chores: crate::chores::Pending::default(),
            news: crate::compaction::News::default(),
            held: Arc::new(held),
            chat: crate::chat::Memory::default(),
            presences: crate::chat::presence::Presences::default(),
            events: broadcast::channel(EVENT_BACKLOG).0,
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
            started: Instant::now(),
        }));
        node.spawn(crate::peers::run(node.clone(), net_events));
        node.spawn(crate::sync::accept(node.clone())?);
        pairing::begin(&node).await;
        node.spawn(pairing::accept(node.clone())?);
        node.spawn(pairing::keep(node.clone()));
        node.spawn(release_held(node.clone()));
        if let Some(limits) = node.0.config.compaction {
            node.spawn(crate::compaction::run(node.clone(), limits));
        }
        node.spawn(crate::own::run(node.clone()));
        node.spawn(crate::delivery::run(node.clone()));
        node.spawn(crate::chat::presence::run(node.clone()));
        crate::chat::catch_up(&node).await;
        crate::sync::release_unknown(&node).await;
        let spaces: Vec<SpaceId> = node.engine().spaces.keys().copied().collect();
        for space in spaces {
            crate::chores::schedule(&node, space);
            crate::sync::write_again(&node, space);
        }
        Ok(node)
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.0.cancel.clone();
        self.0.tasks.spawn(async move {
            cancel.run_until_cancelled(task).await;
        });
    }

    /// Who this node is.
    pub fn identity(&self) -> Identity {
        public(&self.secrets())
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.0.device
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.0.config.clock.now_ms()
    }

    /// The clock that it goes by.
    pub fn clock(&self) -> crate::WallClock {
        self.0.config.clock.clone()
    }

    /// What happens from now on. A listener that is too slow is told how many events it missed.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    pub(crate) fn emit(&self, event: Event) {
        // Nobody has to listen.
        let _ = self.0.events.send(event);
    }

    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        // A panic inside a writing closure marks the memory stale; what's in the mutex is never used as it is.
        self.0.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a space; this device's user owns it.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for a name that can't be one; otherwise the store's.
    pub async fn create_space(&self, name: &str) -> Result<Space, NodeError> {
        self.require_not_revoked()?;
        check_space_name(name)?;
        let (secrets, name, now) = (self.secrets(), name.to_owned(), self.now_ms());
        let node = self.clone();
        let found = async move {
            let (id, entry) =
                node.write(move |tx, engine| Ok(engine.found_space(tx, &secrets, &name, now)?)).await?;
            tracing::info!(space = %id, "made a space");
            node.space_added(id);
            node.published(id, &[entry]);
            Ok(Space::new(node, id))
        };
        self.to_its_end(found).await
    }

    /// Tells everybody concerned of a space that is new here.
    pub(crate) fn space_added(&self, id: SpaceId) {
        self.0.peers.forget_strangers();
        self.0.sessions.offer(self, id);
        self.0.own.look_again();
        self.emit(Event::SpaceAdded(id));
        let (node, generation) = (self.clone(), self.0.peers.next_generation());
        self.spawn(async move { node.0.net.announce(generation).await });
    }

    /// Tells the sessions of entries that are on disk now.
    pub(crate) fn published(&self, space: SpaceId, entries: &[Arc<Entry>]) {
        self.0.sessions.publish(space, entries);
        if Some(space) == self.0.own.personal() {
            self.0.own.look_again();
        }
        if !entries.is_empty() {
            self.records_changed(space);
        }
    }

    /// Tells whoever waits for it that records of a space may have changed.
    pub(crate) fn records_changed(&self, space: SpaceId) {
        self.0.news.of(space);
        let position = *self.0.store.position_watch().borrow();
        self.emit(Event::RecordsChanged { position });
    }

    /// Tells everybody concerned of an act of this device, and of what followed from it.
    pub(crate) fn acted(&self, space: SpaceId, entry: Arc<Entry>, outcome: &Ingested) {
        self.published(space, &[entry]);
        crate::sync::conclude(self, space, outcome);
    }

    /// As [`Node::acted`], for each of several acts.
    pub(crate) fn acted_all(&self, deeds: &Deeds) {
        for (space, (entry, outcome)) in deeds {
            self.acted(*space, Arc::clone(entry), outcome);
        }
    }

    /// Tells everybody concerned that who is in a space, and so in its children, has changed, and does what they need.
    pub(crate) fn membership_changed(&self, space: SpaceId) {
        self.0.peers.forget_strangers();
        let children = self.engine().children(space);
        for space in std::iter::once(space).chain(children) {
            self.0.sessions.membership_changed(self, space);
            self.emit(Event::MembersChanged(space));
            crate::chores::schedule(self, space);
        }
        self.0.own.look_again();
        crate::sync::write_again(self, space);
    }

    /// All spaces but the personal one, by name.
    pub fn spaces(&self) -> Vec<Space> {
        let personal = self.0.own.personal();
        let engine = self.engine();
        let listed = engine.spaces.values().filter(|space| Some(space.id) != personal);
        let mut spaces: Vec<_> = listed.map(|space| (space.name().to_owned(), space.id)).collect();
        drop(engine);
        spaces.sort();
        spaces.into_iter().map(|(_, id)| Space::new(self.clone(), id)).collect()
    }

    /// The space with this name, id, or unique beginning of an id. A child may be named with its parent: `garden/secret`.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] or [`NodeError::Ambiguous`].
    pub fn space(&self, name: &str) -> Result<Space, NodeError> {
        /// Shorter beginnings of ids are more likely mistyped names.
        const MIN_PREFIX: usize = 4;
        let personal = self.0.own.personal();
        let engine = self.engine();
        let is_path = |space: &SpaceState| {
            let parent = space.parent().and_then(|parent| engine.spaces.get(&parent));
            parent.is_some_and(|parent| {
                name.strip_prefix(parent.name()).and_then(|rest| rest.strip_prefix('/')) == Some(space.name())
            })
        };
        let is_named = |space: &&SpaceState| space.name() == name || is_path(space);
        let mut named: Vec<_> = engine.spaces.values().filter(is_named).collect();
        if named.len() > 1 {
            // Whoever calls a space "personal" too means that one: the other is nothing to work in.
            named.retain(|space| Some(space.id) != personal);
        }
        let found = if named.is_empty() && name.len() >= MIN_PREFIX {
            engine.spaces.values().filter(|space| space.id.to_string().starts_with(name)).collect()
        } else {
            named
        };
        match found.as_slice() {
            [] => Err(NodeError::NotFound { kind: "space", name: name.to_owned() }),
            [space] => Ok(Space::new(self.clone(), space.id)),
            many => {
                let candidates =
                    many.iter().map(|space| (space.name().to_owned(), space.id.to_string())).collect();
                Err(NodeError::Ambiguous { kind: "space", name: name.to_owned(), candidates })
            }
        }
    }

    /// Joins a space by a code such as `COVEY-7K2M-9QXP` or a link, and waits for the first full sync.
    ///
    /// # Errors
    /// [`NodeError::Pairing`] says what is wrong with the code or why nobody answered.
    pub async fn join(&self, code_or_link: &str, timeout: Duration) -> Result<Joined, NodeError> {
        self.require_not_revoked()?;
        pairing::join(self, code_or_link, timeout).await
    }

    /// How far the logs of a space reach on disk.
    pub(crate) async fn heads(&self, space: SpaceId) -> Result<Vec<(LogId, Head)>, NodeError> {
        let key = self.engine().space(space)?.key;
        let rows = self.0.store.read(move |reader| reader.logs(key)).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.head)).filter(|(_, head)| head.seq > 0).collect())
    }

    /// Stops sync and network, says goodbye, and closes the store. What was acknowledged is on disk.
    pub async fn shutdown(&self) {
        if let Err(err) = pairing::note(self).await {
            tracing::warn!(%err, "keeping what became of invitations");
        }
        Peers::keep_seen(self).await;
        crate::delivery::Holdings::keep(self).await;
        crate::chat::presence::farewell(self).await;
        self.0.sessions.stop_all();
        self.0.cancel.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(SHUTDOWN_PATIENCE, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not stop in time");
        }
        self.0.net.shutdown().await;
        let store = self.0.store.clone();
        match tokio::task::spawn_blocking(move || store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(err)) => tracing::error!(%err, "closing the store"),
            Err(err) => tracing::error!(%err, "closing the store"),
        }
    }
}

/// Applies entries from the future once their time has come.
async fn release_held(node: Node) {
    let mut ticks = tokio::time::interval(HELD_INTERVAL);
    loop {
        ticks.tick().await;
        let spaces: Vec<SpaceId> = node.engine().spaces.keys().copied().collect();
        for space in spaces {
            if let Err(err) = crate::sync::release_held(&node, space).await {
                tracing::warn!(%space, %err, "looking at held entries");
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! One sync session per connected peer: `covey-sync` driven over a raw stream.
//!
//! Of two devices the one with the smaller id opens the stream; the other does so only when no stream comes, which
//! happens when its peer still holds a dead connection for a living one. A session's task owns the state machine;
//! beside it run a reader, a writer and a worker that ingests. What waits for the writer and the worker is
//! bounded by the windows of the protocol; what waits for the session itself by [`INBOX`] and the
//! driver's own limits. Each session has one batch in the store's queue at a time, which is how peers take turns: one
//! that floods this node waits for its own batches, the others for one of them.

mod driver;
mod forks;
mod ingest;
mod wire;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use covey_log::{Entry, Frozen};
use covey_net::NetStream;
use covey_sync::{Input, PeerView, framing};
use covey_types::{DeviceId, Head, Heads, LogId, SpaceId};
use tokio::{
    io::AsyncReadExt,
    sync::mpsc::{self, error::TrySendError},
};

use self::driver::Driver;
pub(crate) use self::{
    forks::write_again,
    ingest::{conclude, release_held, release_unknown},
    words::describe,
};
use crate::{Event, Node, NodeError, SyncState};

/// The stream's protocol.
pub(crate) const PROTOCOL: &str = "/covey/sync/1";

/// Messages from the node that may wait for a session; past that it's told to look at the heads instead.
const INBOX: usize = 256;

/// Entries larger than this are not pushed from memory but loaded when it's their turn.
const PUSH_BYTES: usize = 16 << 10;

/// A session younger than this is not given up at once for a stream that the peer opens: both may have opened one at the
/// same moment.
const FRESH: Duration = Duration::from_secs(2);

/// How long a peer gets then to give its own stream up for ours. One that was killed and came back doesn't know ours, and
/// keeps its own.
const TWIN_PATIENCE: Duration = Duration::from_millis(250);

/// Bytes that a peer may send on such a stream meanwhile: its greeting and its offers.
const MAX_EARLY_BYTES: usize = 4 << 10;

/// What the node says to a session.
#[derive(Debug)]
enum Message {
    Input(Input),
    /// A space was made or joined: find out whether the peer has it.
    Offer(SpaceId),
    /// The peer was put out of this space: it isn't shared, and if heads are given, so far the peer is told why.
    Refuse(SpaceId, Option<Heads>),
    /// Membership changed: the peer may be a member now.
    Membership(SpaceId),
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionEnd {
    #[error("the stream ended")]
    Stream,
    #[error("nothing in common")]
    Stranger,
    #[error(transparent)]
    Protocol(#[from] covey_sync::SessionError),
    #[error("the peer sent an oversized frame: {0}")]
    Oversized(#[from] framing::Oversized),
    #[error("the peer sent a forged entry: {0}")]
    Forged(covey_log::EntryError),
    #[error("the peer sent evidence of a fork that is none: {0}")]
    FalseEvidence(covey_log::ForkError),
    #[error("this node could not store what came: {0}")]
    Own(NodeError),
    #[error("the peer is no longer a member of {0}")]
    PutOut(SpaceId),
    #[error("the peer is a member of {0} again")]
    LetInAgain(SpaceId),
    #[error("the peer closed the session: {0:?}")]
    Closed(covey_sync::CloseReason),
}

impl SessionEnd {
    /// Whether the peer is to blame.
    pub(crate) fn is_misbehaviour(&self) -> bool {
        match self {
            Self::Protocol(err) => err.is_misbehaviour(),
            Self::Oversized(_) | Self::Forged(_) | Self::FalseEvidence(_) => true,
            _ => false,
        }
    }
}

/// The sessions that are running.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: Mutex<BTreeMap<DeviceId, Handle>>,
    /// Spaces of which was told that this device is out.
    out_of: Mutex<BTreeSet<SpaceId>>,
    /// Bytes of entries that were taken from devices that were put out.
    outsiders: Mutex<BTreeMap<(SpaceId, DeviceId), usize>>,
    next: AtomicU64,
}

/// Why what a peer sends can't be kept.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    /// In words.
    pub(crate) reason: String,
    /// Milliseconds since 1970.
    pub(crate) since_ms: u64,
}

impl Shared {
    /// Notes that what the peer sends can't be kept: since now, unless that was so before.
    fn is_in_trouble(&self, reason: String, now_ms: u64) {
        let mut trouble = lock(&self.trouble);
        let since_ms = trouble.as_ref().map_or(now_ms, |trouble| trouble.since_ms);
        *trouble = Some(Trouble { reason, since_ms });
    }
}

#[derive(Debug)]
struct Handle {
    id: u64,
    since: Instant,
    since_ms: u64,
    inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    cancel: tokio_util::sync::CancellationToken,
}

/// What a session's task and the rest of the node both look at.
#[derive(Debug, Default)]
struct Shared {
    /// How each shared space stands.
    views: Mutex<BTreeMap<SpaceId, PeerView>>,
    /// Since when each stands as it does, milliseconds since 1970.
    since: Mutex<BTreeMap<SpaceId, u64>>,
    /// Spaces of which the session missed news: it has to look at their heads.
    missed: Mutex<BTreeSet<SpaceId>>,
    /// Something was missed just now.
    wake: tokio::sync::Notify,
    /// How far the peer's clock is ahead of ours, or behind where negative, milliseconds; known once it has greeted.
    clock_ahead_ms: Mutex<Option<i64>>,
    /// Why the last write of entries of a space failed, and since when they do.
    trouble: Mutex<Option<Trouble>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    /// The devices with which there's a session.
    pub(crate) fn connected(&self) -> BTreeSet<DeviceId> {
        lock(&self.live).keys().copied().collect()
    }

    /// How a space stands with a peer; `None` without a session or if they don't share it (yet).
    pub(crate) fn view(&self, peer: DeviceId, space: SpaceId) -> Option<PeerView> {
        lock(&lock(&self.live).get(&peer)?.shared.views).get(&space).copied()
    }

    /// Since when a space stands with a peer as it does, milliseconds since 1970: before anything was found out, since the
    /// session began. `None` without one.
    pub(crate) fn since_ms(&self, peer: DeviceId, space: SpaceId) -> Option<u64> {
        let live = lock(&self.live);
        let handle = live.get(&peer)?;
        Some(lock(&handle.shared.since).get(&space).copied().unwrap_or(handle.since_ms))
    }

    /// What goes wrong on this side with what a peer sends, in words.
    pub(crate) fn trouble(&self, peer: DeviceId) -> Option<Trouble> {
        lock(&lock(&self.live).get(&peer)?.shared.trouble).clone()
    }

    /// The devices with which a space is shared, and how far their clocks are ahead of ours, milliseconds.
    pub(crate) fn clocks(&self) -> BTreeMap<DeviceId, i64> {
        let live = lock(&self.live);
        let sharing = live.iter().filter(|(_, handle)| !lock(&handle.shared.views).is_empty());
        sharing
            .filter_map(|(device, handle)| Some((*device, (*lock(&handle.shared.clock_ahead_ms))?)))
            .collect()
    }

    /// Tells all sessions of entries that are on disk now.
    pub(crate) fn publish(&self, space: SpaceId, entries: &[Arc<Entry>]) {
        for handle in lock(&self.live).values() {
            for entry in entries {
                let input = if entry.body.len() <= PUSH_BYTES {
                    Input::Appended { space, entry: Arc::clone(entry) }
                } else {
                    Input::Heads { space, heads: vec![(entry.header.log, entry.head())] }
                };
                if handle.inbox.try_send(Message::Input(input)).is_err() {
                    lock(&handle.shared.missed).insert(space);
                    handle.shared.wake.notify_one();
                    break;
                }
            }
        }
    }

    /// Lets all sessions find out about a new space.
    pub(crate) fn offer(&self, node: &Node, space: SpaceId) {
        self.tell_all(node, || Message::Offer(space));
    }

    /// Lets all sessions look at who is a member now.
    pub(crate) fn membership_changed(&self, node: &Node, space: SpaceId) {
        self.tell_all(node, || Message::Membership(space));
    }

    /// Tells all sessions which logs are known to have two histories, and which end elsewhere than they did.
    pub(crate) fn frozen(&self, node: &Node, space: SpaceId, lines: &[Frozen], heads: &[(LogId, Head)]) {
        let input = || Input::Frozen { space, lines: lines.to_vec(), heads: heads.to_vec() };
        self.tell_all(node, || Message::Input(input()));
    }

    /// The devices with which there's a session in which a space is shared.
    pub(crate) fn sharing(&self, space: SpaceId) -> BTreeSet<DeviceId> {
        let shares = |handle: &Handle| lock(&handle.shared.views).contains_key(&space);
        lock(&self.live).iter().filter(|(_, handle)| shares(handle)).map(|(device, _)| *device).collect()
    }

    fn tell_all(&self, node: &Node, message: impl Fn() -> Message) {
        for handle in lock(&self.live).values() {
            // At once if there's room, so that it comes before whatever is published next.
            let Err(TrySendError::Full(message)) = handle.inbox.try_send(message()) else { continue };
            let inbox = handle.inbox.clone();
            node.spawn(async move {
                // A session that has ended needs no news.
                let _ = inbox.send(message).await;
            });
        }
    }

    pub(crate) fn stop_all(&self) {
        for handle in lock(&self.live).values() {
            let _ = handle.inbox.try_send(Message::Input(Input::Stop));
        }
    }

    pub(crate) fn has(&self, peer: DeviceId) -> bool {
        lock(&self.live).contains_key(&peer)
    }

    /// Whether there's a session with a peer that is too young to be a left-over.
    fn is_fresh(&self, peer: DeviceId) -> bool {
        lock(&self.live).get(&peer).is_some_and(|handle| handle.since.elapsed() < FRESH)
    }

    /// Takes the place of an older session with the same peer.
    fn register(&self, peer: DeviceId, handle: Handle) {
        if let Some(old) = lock(&self.live).insert(peer, handle) {
            old.cancel.cancel();
        }
    }

    fn deregister(&self, peer: DeviceId, id: u64) {
        let mut live = lock(&self.live);
        if live.get(&peer).is_some_and(|handle| handle.id == id) {
            live.remove(&peer);
        }
    }
}

/// Accepts the streams of peers.
pub(crate) fn accept(node: Node) -> Result<impl Future<Output = ()>, covey_net::NetError> {
    let mut incoming = node.0.net.accept(PROTOCOL)?;
    Ok(async move {
        while let Some((peer, stream)) = incoming.next().await {
            let node_of_session = node.clone();
            node.spawn(async move {
                if let Some(begun) = settle_twins(&node_of_session, peer, stream).await {
                    run(node_of_session, peer, begun).await;
                }
            });
        }
    })
}

/// Decides on a stream of a peer to which this node has just opened one: `None` if the peer takes ours; otherwise the
/// stream, and what came on it meanwhile.
async fn settle_twins(node: &Node, peer: DeviceId, mut stream: NetStream) -> Option<(NetStream, Vec<u8>)> {
    let mut early = Vec::new();
    // The peer with the larger id gives its own stream up as soon as ours comes.
    if node.device() > peer || !node.0.sessions.is_fresh(peer) {
        return Some((stream, early));
    }
    let gone = async {
        let mut buffer = [0; 1024];
        while early.len() < MAX_EARLY_BYTES {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return true,
                Ok(read) => early.extend_from_slice(&buffer[..read]),
            }
        }
        false
    };
    match tokio::time::timeout(TWIN_PATIENCE, gone).await {
        Ok(true) => None,
        Ok(false) | Err(_) => Some((stream, early)),
    }
}

/// Opens the stream to a connected peer and runs the session to its end, again and again while the connection lasts:
/// what ended it (a full disk, an author not known yet) may have passed by then.
pub(crate) async fn open(node: Node, peer: DeviceId) {
    const FIRST_PAUSE: Duration = Duration::from_millis(250);
    const LONGEST_PAUSE: Duration = Duration::from_secs(15);
    let mut pause = FIRST_PAUSE;
    while !node.0.sessions.has(peer) {
        let started = Instant::now();
        match node.0.net.open(peer, PROTOCOL).await {
            Ok(stream) => run(node.clone(), peer, (stream, Vec::new())).await,
            Err(covey_net::OpenError::NotConnected(_)) => return,
            Err(err) => tracing::debug!(%peer, %err, "opening a sync stream"),
        }
        if node.0.peers.is_shunned(&node, peer) {
            return;
        }
        // One that lasted was a good one: the next begins with a short pause again.
        pause = if started.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

/// A session's place in the list of those that are running. It's given up however the session ends, by a panic too.
struct Registered<'a> {
    node: &'a Node,
    peer: DeviceId,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.node.0.sessions.deregister(self.peer, self.id);
    }
}

/// Runs one session to its end, and draws the conclusions.
async fn run(node: Node, peer: DeviceId, stream: (NetStream, Vec<u8>)) {
    let id = node.0.sessions.next.fetch_add(1, Ordering::Relaxed);
    let (sender, inbox) = mpsc::channel(INBOX);
    let shared = Arc::new(Shared::default());
    let cancel = node.0.cancel.child_token();
    let handle = Handle {
        id,
        since: Instant::now(),
        since_ms: node.now_ms(),
        inbox: sender.clone(),
        shared: Arc::clone(&shared),
        cancel: cancel.clone(),
    };
    node.0.sessions.register(peer, handle);
    tracing::debug!(%peer, "a sync session begins");
    let left = Arc::clone(&shared);
    let registered = Registered { node: &node, peer, id };
    let driver = Driver::new(node.clone(), peer, stream, sender, inbox, shared);
    let end = cancel.run_until_cancelled(driver.run()).await;
    drop(registered);
    let spaces: Vec<SpaceId> = lock(&left.views).keys().copied().collect();
    for space in spaces {
        // What somebody holds who isn't in the space is of no interest, and there may be many of them.
        if driver::standing(&node, space, peer) != covey_space::Standing::Member {
            node.0.held.forget(space, peer);
        }
        node.emit(Event::SyncChanged { space, peer, state: SyncState::Unreachable });
    }
    let Some(Err(end)) = end else { return tracing::debug!(%peer, "the sync session was stopped") };
    tracing::debug!(%peer, %end, "the sync session ended");
    if end.is_misbehaviour() {
        node.0.peers.misbehaved(&node, peer, end.to_string()).await;
    } else if matches!(end, SessionEnd::Stranger) {
        node.0.peers.is_a_stranger(peer);
    }
}

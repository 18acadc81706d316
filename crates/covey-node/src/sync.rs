//! One sync session per connected peer: `covey-sync` driven over a raw stream.
//!
//! Of two devices the one with the smaller id opens the stream; the other does so only when no stream comes, which
//! happens when its peer still holds a dead connection for a living one. A session's task owns the state machine;
//! beside it run a reader, a writer and a worker that ingests. What waits for the writer and the worker is
//! bounded by the windows of the protocol; what waits for the session itself by [`INBOX`] and [`FRAMES`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use covey_log::Entry;
use covey_net::NetStream;
use covey_space::keyring::TagSession;
use covey_sync::{
    Deframer, Hello, Input, Offer, Output, PeerView, Rejection, Session, SessionConfig, framing,
};
use covey_types::{DeviceId, Heads, SpaceId, keys::random_bytes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    task::JoinSet,
};

use crate::{
    Event, Node, NodeError, SyncState, SyncStatus,
    engine::{self, HoldReason, Ingested, SpaceState},
    peers::Peers,
};

/// The stream's protocol.
pub(crate) const PROTOCOL: &str = "/covey/sync/1";

/// How many bytes of entries a peer may have under way to here: at 100 ms of round trip 80 MB/s.
const WINDOW_BYTES: u32 = 8 << 20;

/// Messages from the node that may wait for a session; past that it's told to look at the heads instead.
const INBOX: usize = 256;

/// Frames that may wait for a session: with the largest frames that is 64 MB, with usual ones 4 MB.
const FRAMES: usize = 16;

/// Entries larger than this are not pushed from memory but loaded when it's their turn.
const PUSH_BYTES: usize = 16 << 10;

/// Batches that are stored in one transaction when they come faster than the disk.
const INGEST_BATCHES: usize = 16;

/// A peer that shares nothing is let go after this: long enough for a pairing to begin and end.
const STRANGER_PATIENCE: Duration = Duration::from_secs(20);

/// A session younger than this is not given up for a stream that the peer opens: both opened at the same moment.
const FRESH: Duration = Duration::from_secs(2);

/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 << 10;

/// What the node says to a session.
#[derive(Debug)]
enum Message {
    Input(Input),
    /// A space was made or joined: find out whether the peer has it.
    Offer(SpaceId),
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
    #[error("entries came whose authors are not known yet")]
    Retry,
    #[error(transparent)]
    Protocol(#[from] covey_sync::SessionError),
    #[error("the peer sent an oversized frame: {0}")]
    Oversized(#[from] framing::Oversized),
    #[error("the peer sent a forged entry: {0}")]
    Forged(covey_log::EntryError),
    #[error("this node could not store what came: {0}")]
    Own(NodeError),
    #[error("the peer closed the session: {0:?}")]
    Closed(covey_sync::CloseReason),
}

impl SessionEnd {
    /// Whether the peer is to blame.
    pub(crate) fn is_misbehaviour(&self) -> bool {
        match self {
            Self::Protocol(err) => err.is_misbehaviour(),
            Self::Oversized(_) | Self::Forged(_) => true,
            _ => false,
        }
    }
}

/// The sessions that are running.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: Mutex<BTreeMap<DeviceId, Handle>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Handle {
    id: u64,
    since: Instant,
    inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    cancel: tokio_util::sync::CancellationToken,
}

/// What a session's task and the rest of the node both look at.
#[derive(Debug, Default)]
struct Shared {
    /// How each shared space stands.
    views: Mutex<BTreeMap<SpaceId, PeerView>>,
    /// Spaces of which the session missed news: it has to look at their heads.
    missed: Mutex<BTreeSet<SpaceId>>,
    /// Why the last write of entries of a space failed, in words.
    trouble: Mutex<Option<String>>,
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

    fn trouble(&self, peer: DeviceId) -> Option<String> {
        lock(&lock(&self.live).get(&peer)?.shared.trouble).clone()
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
    fn membership_changed(&self, node: &Node, space: SpaceId) {
        self.tell_all(node, || Message::Membership(space));
    }

    fn tell_all(&self, node: &Node, message: impl Fn() -> Message) {
        for handle in lock(&self.live).values() {
            let (inbox, message) = (handle.inbox.clone(), message());
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
            if node.device() < peer && node.0.sessions.is_fresh(peer) {
                continue; // ours stands, and the peer has accepted it
            }
            let node_of_session = node.clone();
            node.spawn(async move { run(node_of_session, peer, stream).await });
        }
    })
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
            Ok(stream) => run(node.clone(), peer, stream).await,
            Err(covey_net::OpenError::NotConnected(_)) => return,
            Err(err) => tracing::debug!(%peer, %err, "opening a sync stream"),
        }
        if node.0.peers.is_shunned(peer) {
            return;
        }
        // One that lasted was a good one: the next begins with a short pause again.
        pause = if started.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

/// Runs one session to its end, and draws the conclusions.
async fn run(node: Node, peer: DeviceId, stream: NetStream) {
    let id = node.0.sessions.next.fetch_add(1, Ordering::Relaxed);
    let (sender, inbox) = mpsc::channel(INBOX);
    let shared = Arc::new(Shared::default());
    let cancel = node.0.cancel.child_token();
    let handle = Handle { id, since: Instant::now(), inbox: sender.clone(), shared: Arc::clone(&shared), cancel: cancel.clone() };
    node.0.sessions.register(peer, handle);
    let left = Arc::clone(&shared);
    let driver = Driver::new(node.clone(), peer, stream, sender, inbox, shared);
    let end = cancel.run_until_cancelled(driver.run()).await;
    node.0.sessions.deregister(peer, id);
    let spaces: Vec<SpaceId> = lock(&left.views).keys().copied().collect();
    for space in spaces {
        node.emit(Event::SyncChanged { space, peer, state: SyncState::Unreachable });
    }
    let Some(Err(end)) = end else { return tracing::debug!(%peer, "the sync session was stopped") };
    tracing::debug!(%peer, %end, "the sync session ended");
    if end.is_misbehaviour() {
        node.0.peers.misbehaved(&node, peer, end.to_string()).await;
    } else if matches!(end, SessionEnd::Stranger) {
        node.0.peers.is_a_stranger(&node, peer).await;
    }
}

struct Driver {
    node: Node,
    peer: DeviceId,
    session: Session,
    started: Instant,
    nonce: [u8; 32],
    hello: Option<Hello>,
    inbox: mpsc::Receiver<Message>,
    own_inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    frames: mpsc::Receiver<Result<Vec<u8>, SessionEnd>>,
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    ingest: mpsc::UnboundedSender<(SpaceId, Vec<Entry>, u32)>,
    ends: mpsc::Receiver<SessionEnd>,
    /// Everything that works for this session; ends with it.
    tasks: JoinSet<()>,
}

impl Driver {
    fn new(
        node: Node,
        peer: DeviceId,
        stream: NetStream,
        own_inbox: mpsc::Sender<Message>,
        inbox: mpsc::Receiver<Message>,
        shared: Arc<Shared>,
    ) -> Self {
        let nonce = random_bytes();
        let agent = concat!("covey/", env!("CARGO_PKG_VERSION")).to_owned();
        let config = SessionConfig { window_bytes: WINDOW_BYTES, nonce, agent };
        let (reader, writer) = tokio::io::split(stream);
        let (frame_sender, frames) = mpsc::channel(FRAMES);
        let (outgoing, to_write) = mpsc::unbounded_channel();
        let (ingest, to_ingest) = mpsc::unbounded_channel();
        let (end, ends) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_frames(reader, frame_sender));
        tasks.spawn(write_frames(writer, to_write));
        tasks.spawn(ingest_all(node.clone(), peer, to_ingest, own_inbox.clone(), Arc::clone(&shared), end));
        Self {
            node,
            peer,
            session: Session::new(config, Duration::ZERO),
            started: Instant::now(),
            nonce,
            hello: None,
            inbox,
            own_inbox,
            shared,
            frames,
            outgoing,
            ingest,
            ends,
            tasks,
        }
    }

    async fn run(mut self) -> Result<(), SessionEnd> {
        let stranger_at = tokio::time::Instant::now() + STRANGER_PATIENCE;
        loop {
            self.carry_out()?;
            let timeout = self.session.poll_timeout().map(|at| self.started + at);
            let lonely = lock(&self.shared.views).is_empty();
            tokio::select! {
                frame = self.frames.recv() => {
                    let payload = frame.ok_or(SessionEnd::Stream)??;
                    self.feed(Input::Frame(payload)).await?;
                }
                message = self.inbox.recv() => {
                    self.take(message.ok_or(SessionEnd::Stream)?).await?;
                }
                Some(end) = self.ends.recv() => return Err(end),
                () = sleep_until(timeout) => self.feed(Input::Tick).await?,
                () = tokio::time::sleep_until(stranger_at), if lonely => return Err(SessionEnd::Stranger),
            }
            self.catch_up().await?;
        }
    }

    async fn feed(&mut self, input: Input) -> Result<(), SessionEnd> {
        let stop = matches!(input, Input::Stop);
        let result = self.session.handle(input, self.started.elapsed());
        if result.is_err() || stop {
            // The last word, so that the other side knows why. It has a moment to get through.
            while let Some(output) = self.session.poll_output() {
                if let Output::Send(payload) = output {
                    let _ = self.outgoing.send(payload);
                }
            }
            let (closed, _) = mpsc::unbounded_channel();
            self.outgoing = closed;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        result.map_err(Into::into)
    }

    async fn take(&mut self, message: Message) -> Result<(), SessionEnd> {
        match message {
            Message::Input(input) => self.feed(input).await,
            Message::Offer(space) => {
                let offers = self.offers(Some(space));
                if offers.is_empty() { Ok(()) } else { self.feed(Input::Offer(offers)).await }
            }
            Message::Membership(space) => {
                let member =
                    self.node.engine().space(space).is_ok_and(|s| s.membership.has_device(self.peer));
                if member { self.feed(Input::Authorise(space)).await } else { Ok(()) }
            }
        }
    }

    /// Looks at the heads of spaces of which news was missed.
    async fn catch_up(&mut self) -> Result<(), SessionEnd> {
        let missed = std::mem::take(&mut *lock(&self.shared.missed));
        for space in missed {
            let heads = self.node.heads(space).await.map_err(SessionEnd::Own)?;
            self.feed(Input::Heads { space, heads }).await?;
        }
        Ok(())
    }

    /// The tags for one space or all; none before the peer has greeted.
    fn offers(&self, only: Option<SpaceId>) -> Vec<Offer> {
        let Some(hello) = &self.hello else { return Vec::new() };
        let session = TagSession {
            shower: self.node.device(),
            viewer: self.peer,
            shower_nonce: self.nonce,
            viewer_nonce: hello.nonce,
        };
        let offer = |space: &SpaceState| Offer {
            space: space.id,
            mine: space.info.keys.tag(&session),
            theirs: space.info.keys.tag(&session.reversed()),
        };
        let engine = self.node.engine();
        engine.spaces.values().filter(|space| only.is_none_or(|id| id == space.id)).map(offer).collect()
    }

    /// Carries out what the session wants.
    fn carry_out(&mut self) -> Result<(), SessionEnd> {
        let mut answers = VecDeque::new();
        loop {
            while let Some(output) = self.session.poll_output() {
                match output {
                    Output::Send(payload) => self.outgoing.send(payload).map_err(|_| SessionEnd::Stream)?,
                    Output::Greeted(hello) => {
                        self.hello = Some(hello);
                        Peers::greeted(&self.node, self.peer);
                        answers.push_back(Input::Offer(self.offers(None)));
                    }
                    Output::Matched(space) => self.open_space(space),
                    Output::Load { space, wants, max_bytes } => self.load(space, wants, max_bytes),
                    Output::Ingest { space, entries, bytes } => {
                        self.ingest.send((space, entries, bytes)).map_err(|_| SessionEnd::Stream)?;
                    }
                    Output::Changed(space) => self.changed(space),
                    Output::Forked { space, log, mine, theirs } => {
                        tracing::warn!(%space, %log, mine = mine.seq, theirs = theirs.seq, "a log is forked");
                    }
                    Output::Closed(reason) => return Err(SessionEnd::Closed(reason)),
                }
            }
            let Some(input) = answers.pop_front() else { return Ok(()) };
            self.session.handle(input, self.started.elapsed())?;
        }
    }

    /// Opens a matched space to the session: reads how far its logs reach, twice, so that nothing that was stored
    /// between the first look and the opening is missed.
    fn open_space(&mut self, space: SpaceId) {
        let (node, peer, inbox) = (self.node.clone(), self.peer, self.own_inbox.clone());
        self.tasks.spawn(async move {
            let may_send = match node.engine().space(space) {
                Ok(state) => !state.membership.is_founded() || state.membership.has_device(peer),
                Err(_) => return,
            };
            let Ok(heads) = node.heads(space).await else { return };
            let heads = Heads(heads.into_iter().collect());
            if inbox.send(Message::Input(Input::Open { space, heads, may_send })).await.is_err() {
                return;
            }
            if let Ok(heads) = node.heads(space).await {
                let _ = inbox.send(Message::Input(Input::Heads { space, heads })).await;
            }
            // Who became a member meanwhile was not heard either.
            let _ = inbox.send(Message::Membership(space)).await;
        });
    }

    fn load(&mut self, space: SpaceId, wants: Vec<(covey_types::LogId, u64)>, max_bytes: usize) {
        let (node, inbox) = (self.node.clone(), self.own_inbox.clone());
        self.tasks.spawn(async move {
            let key = node.engine().space(space).map(|state| state.key);
            let entries = match key {
                Ok(key) => {
                    let read = move |reader: &covey_store::Reader<'_>| {
                        engine::load_for_peer(reader, key, &wants, max_bytes)
                    };
                    node.0.store.read(read).await.map_err(NodeError::from)
                }
                Err(err) => Err(err),
            };
            let entries = entries.unwrap_or_else(|err| {
                tracing::error!(%space, %err, "loading entries for a peer");
                Vec::new()
            });
            let _ = inbox.send(Message::Input(Input::Loaded { space, entries })).await;
        });
    }

    fn changed(&self, space: SpaceId) {
        let Some(view) = self.session.view(space) else { return };
        let before = lock(&self.shared.views).insert(space, view);
        let state = state_of(view);
        if before.map(state_of) != Some(state) {
            self.node.emit(Event::SyncChanged { space, peer: self.peer, state });
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn read_frames(
    mut reader: tokio::io::ReadHalf<NetStream>,
    frames: mpsc::Sender<Result<Vec<u8>, SessionEnd>>,
) {
    let mut deframer = Deframer::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        deframer.push(&buffer[..read]);
        loop {
            let frame = match deframer.next_frame() {
                Ok(None) => break,
                Ok(Some(payload)) => Ok(payload.to_vec()),
                Err(err) => Err(err.into()),
            };
            let last = frame.is_err();
            if frames.send(frame).await.is_err() || last {
                return;
            }
        }
    }
}

async fn write_frames(
    mut writer: tokio::io::WriteHalf<NetStream>,
    mut payloads: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    while let Some(payload) = payloads.recv().await {
        if writer.write_all(&framing::frame(&payload)).await.is_err() {
            return;
        }
        if payloads.is_empty() && writer.flush().await.is_err() {
            return;
        }
    }
    // The session is over; what was said last still goes out.
    let _ = writer.shutdown().await;
}

/// Stores what comes, several batches in one transaction when they come faster than the disk.
async fn ingest_all(
    node: Node,
    peer: DeviceId,
    mut batches: mpsc::UnboundedReceiver<(SpaceId, Vec<Entry>, u32)>,
    inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    ends: mpsc::Sender<SessionEnd>,
) {
    let mut next = None;
    loop {
        let Some((space, mut entries, mut bytes)) = (match next.take() {
            Some(batch) => Some(batch),
            None => batches.recv().await,
        }) else {
            return;
        };
        for _ in 1..INGEST_BATCHES {
            match batches.try_recv() {
                Ok((same, more, size)) if same == space => {
                    entries.extend(more);
                    bytes += size;
                }
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        // In a task of its own: a session that ends must not leave what it stored untold.
        let storing = node.0.tasks.spawn(ingest(node.clone(), peer, space, entries));
        let outcome = match storing.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(end)) => {
                *lock(&shared.trouble) = Some(end.to_string());
                let _ = ends.send(end).await;
                return;
            }
            Err(_) => return,
        };
        let unknown_author = outcome.rejected.values().any(|forked| !forked);
        let rejected = outcome.rejected.into_iter().map(|(log, forked)| Rejection { log, forked }).collect();
        let durable = outcome.durable.into_iter().collect();
        let input = Input::Ingested { space, durable, rejected, bytes };
        if inbox.send(Message::Input(input)).await.is_err() {
            return;
        }
        if unknown_author {
            let _ = ends.send(SessionEnd::Retry).await;
            return;
        }
    }
}

/// Checks and stores entries, and tells everybody concerned.
async fn ingest(
    node: Node,
    peer: DeviceId,
    space: SpaceId,
    entries: Vec<Entry>,
) -> Result<Ingested, SessionEnd> {
    let keys = node.engine().space(space).map_err(SessionEnd::Own)?.info.keys.clone();
    let prepared = tokio::task::spawn_blocking(move || engine::prepare(entries, &keys)).await;
    let prepared = prepared.map_err(|_| SessionEnd::Stream)?.map_err(SessionEnd::Forged)?;
    let now = node.now_ms();
    let outcome = node
        .write(move |tx, engine| engine.ingest(tx, space, prepared, now))
        .await
        .map_err(SessionEnd::Own)?;
    conclude(&node, space, &outcome);
    for (log, seq, reason) in &outcome.refused {
        tracing::warn!(%space, %log, seq, reason, %peer, "an entry was stored and is not applied");
    }
    Ok(outcome)
}

/// Tells everybody concerned of what was stored.
fn conclude(node: &Node, space: SpaceId, outcome: &Ingested) {
    node.published(space, &outcome.stored);
    if outcome.membership_changed {
        node.0.sessions.membership_changed(node, space);
    }
    for (device, name) in &outcome.joined {
        node.emit(Event::MemberJoined { space, name: name.clone(), device: *device });
    }
    for (device, ahead_ms) in &outcome.from_the_future {
        tracing::warn!(%space, %device, ahead_ms, "entries from the future are held: its clock is wrong, or ours");
        node.emit(Event::EntryHeld { space, device: *device, ahead_ms: *ahead_ms });
    }
}

/// Tells sessions of an own membership entry that's on disk now.
pub(crate) fn own_membership_changed(node: &Node, space: SpaceId) {
    node.0.sessions.membership_changed(node, space);
}

/// Applies entries of a space whose time has come.
pub(crate) async fn release_held(node: &Node, space: SpaceId) -> Result<(), NodeError> {
    let key = node.engine().space(space)?.key;
    let now = node.now_ms();
    let due =
        node.0.store.read(move |reader| Ok(reader.held(key)?.iter().any(|row| row.until_ms <= now))).await?;
    if !due {
        return Ok(());
    }
    let outcome = node
        .write(move |tx, engine| {
            let mut outcome = Ingested::default();
            engine.release_held(tx, space, HoldReason::Future, now, &mut outcome)?;
            Ok(outcome)
        })
        .await?;
    conclude(node, space, &outcome);
    Ok(())
}

fn state_of(view: PeerView) -> SyncState {
    if view.refused {
        SyncState::Refused
    } else if view.forked_logs > 0 {
        SyncState::Behind
    } else if view.heads_known && view.missing_here == 0 && view.missing_there == 0 {
        SyncState::InSync
    } else {
        SyncState::Syncing
    }
}

/// How a space stands with one of its devices, in words.
pub(crate) fn describe(node: &Node, space: &SpaceState, device: DeviceId, session: bool) -> SyncStatus {
    let name = space.membership.device_name(device).unwrap_or("the device").to_owned();
    let view = node.0.sessions.view(device, space.id);
    let unreachable = || match node.0.peers.last_seen(device) {
        Some(ago) => format!("{name} is not reachable; it was connected {} ago", ago_text(ago)),
        None => format!("{name} has not been reachable since this node started"),
    };
    let (state, reason) = match view {
        None if session => (SyncState::Syncing, Some(format!("finding out what {name} has"))),
        None => (SyncState::Unreachable, Some(unreachable())),
        Some(view) => (state_of(view), reason_for(view, &name)),
    };
    let reason = node.0.sessions.trouble(device).or(reason);
    let view = view.unwrap_or_default();
    SyncStatus {
        peer: device,
        state,
        missing_here: view.missing_here,
        missing_there: view.missing_there,
        reason,
    }
}

fn reason_for(view: PeerView, name: &str) -> Option<String> {
    match state_of(view) {
        SyncState::InSync => None,
        SyncState::Refused => Some(format!("{name} refuses to share this space with this device")),
        SyncState::Behind => Some(format!(
            "{} of the logs differ between here and {name}: their authors have forked them",
            view.forked_logs
        )),
        _ if !view.heads_known => Some(format!("finding out what {name} has")),
        _ => Some(format!("{} entries to come, {} to go", view.missing_here, view.missing_there)),
    }
}

fn ago_text(ago: Duration) -> String {
    match ago.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

//! The task of one session: frames and news in, frames and work out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use covey_engine::{Batch, SpaceState, compare, differing, load_apart, load_farewell, load_for_peer, points};
use covey_log::Entry;
use covey_net::NetStream;
use covey_space::{Standing, keyring::TagSession};
use covey_sync::{Hello, Input, MAX_AHEAD_BYTES, Offer, Output, PeerView, Session, SessionConfig};
use covey_types::{DeviceId, Head, Heads, LogId, SpaceId, keys::random_bytes, limits::MAX_CLOCK_DRIFT_MS};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Message, SessionEnd, Shared, forks,
    ingest::ingest_all,
    lock,
    wire::{ANSWERS, FRAMES, Incoming, Outgoing, read_frames},
    words::state_of,
};
use crate::{Event, Node, NodeError, peers::Peers};

/// How many bytes of entries a peer may have under way to here: at 100 ms of round trip 80 MB/s.
const WINDOW_BYTES: u32 = 8 << 20;

/// A peer that shares nothing is let go after this: long enough for a pairing to begin and end.
const STRANGER_PATIENCE: Duration = Duration::from_secs(20);

/// How long the last word of a session may take to be written: one that doesn't read gets to hold it up so long.
const LAST_WORD: Duration = Duration::from_secs(1);

/// How long the peer gets then to hang up. The connection to one that is to blame ends right after, and with it whatever of
/// the last word is still under way.
const HANG_UP: Duration = Duration::from_millis(250);

/// One session and all that works for it.
pub(super) struct Driver {
    node: Node,
    peer: DeviceId,
    session: Session,
    started: Instant,
    nonce: [u8; 32],
    hello: Option<Hello>,
    /// Spaces that are not shared with the peer in this session, because it was put out of them.
    refused: BTreeSet<SpaceId>,
    /// Spaces of which the peer has just told how far its logs reach: what was known before is out of date.
    told: BTreeSet<SpaceId>,
    inbox: mpsc::Receiver<Message>,
    own_inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    frames: mpsc::Receiver<Result<Incoming, SessionEnd>>,
    outgoing: Outgoing,
    answers: mpsc::Sender<Vec<u8>>,
    ingest: mpsc::UnboundedSender<(SpaceId, Vec<Entry>, u32)>,
    judge: mpsc::UnboundedSender<forks::Claim>,
    ends: mpsc::Receiver<SessionEnd>,
    end: mpsc::Sender<SessionEnd>,
    /// Everything that works for this session; ends with it.
    tasks: JoinSet<()>,
}

impl Driver {
    pub(super) fn new(
        node: Node,
        peer: DeviceId,
        (stream, early): (NetStream, Vec<u8>),
        own_inbox: mpsc::Sender<Message>,
        inbox: mpsc::Receiver<Message>,
        shared: Arc<Shared>,
    ) -> Self {
        let nonce = random_bytes();
        let agent = concat!("covey/", env!("CARGO_PKG_VERSION")).to_owned();
        let config = SessionConfig { window_bytes: WINDOW_BYTES, nonce, agent, clock_ms: node.now_ms() };
        let (reader, writer) = tokio::io::split(stream);
        let (frame_sender, frames) = mpsc::channel(FRAMES);
        let (answers, to_answer) = mpsc::channel(ANSWERS);
        let (outgoing, writing) = Outgoing::to(writer, to_answer);
        let (ingest, to_ingest) = mpsc::unbounded_channel();
        let (end, ends) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(read_frames(reader, early, frame_sender));
        tasks.spawn(writing);
        let ingesting =
            ingest_all(node.clone(), peer, to_ingest, own_inbox.clone(), Arc::clone(&shared), end.clone());
        tasks.spawn(ingesting);
        let (judge, to_judge) = mpsc::unbounded_channel();
        tasks.spawn(forks::judge_all(node.clone(), to_judge, own_inbox.clone(), end.clone()));
        Self {
            node,
            peer,
            session: Session::new(config, Duration::ZERO),
            started: Instant::now(),
            nonce,
            hello: None,
            refused: BTreeSet::new(),
            told: BTreeSet::new(),
            inbox,
            own_inbox,
            shared,
            frames,
            outgoing,
            answers,
            ingest,
            judge,
            ends,
            end,
            tasks,
        }
    }

    pub(super) async fn run(mut self) -> Result<(), SessionEnd> {
        let answers = self.answers.clone();
        let mut stranger_at = tokio::time::Instant::now() + STRANGER_PATIENCE;
        loop {
            match self.carry_out() {
                Err(end @ SessionEnd::Closed(_)) => return Err(self.last_verdict(end).await),
                other => other?,
            }
            let timeout = self.session.poll_timeout().map(|at| self.started + at);
            let lonely = lock(&self.shared.views).values().all(PeerView::is_over);
            tokio::select! {
                frame = self.frames.recv() => {
                    let Some(frame) = frame else {
                        return Err(self.last_verdict(SessionEnd::Stream).await);
                    };
                    match frame? {
                        Incoming::Frame(payload) => self.feed(Input::Frame(payload)).await?,
                        // A reader that has gone needs no answer.
                        Incoming::Longer(reply) => drop(reply.send(self.session.max_frame_bytes())),
                    }
                }
                Ok(place) = answers.reserve(), if self.session.owes() => {
                    if let Some(payload) = self.session.poll_owed() {
                        place.send(payload);
                    }
                }
                message = self.inbox.recv() => {
                    self.take(message.ok_or(SessionEnd::Stream)?).await?;
                }
                Some(end) = self.ends.recv() => return Err(end),
                () = self.shared.wake.notified() => {}
                () = sleep_until(timeout) => self.feed(Input::Tick).await?,
                () = tokio::time::sleep_until(stranger_at), if lonely => {
                    if !self.node.0.pairing.is_pairing(self.peer) {
                        return Err(SessionEnd::Stranger);
                    }
                    stranger_at = tokio::time::Instant::now() + STRANGER_PATIENCE;
                }
            }
            self.catch_up().await?;
        }
    }

    async fn feed(&mut self, input: Input) -> Result<(), SessionEnd> {
        let stop = matches!(input, Input::Stop);
        let result = self.session.handle(input, self.started.elapsed());
        if result.is_err() || stop {
            self.last_word().await;
        }
        result.map_err(Into::into)
    }

    /// Says what there is still to say, so that the other side knows why it ends, and sees it get through.
    async fn last_word(&mut self) {
        while let Some(output) = self.session.poll_output() {
            if let Output::Send(payload) = output {
                let _ = self.outgoing.send(payload);
            }
        }
        self.outgoing.finish(LAST_WORD).await;
        let hung_up = async {
            loop {
                match self.frames.recv().await {
                    None => return,
                    Some(Ok(Incoming::Frame(_))) => {}
                    // The reader gives up on one that still sends what it may not; that one hasn't hung up.
                    Some(Ok(Incoming::Longer(_)) | Err(_)) => std::future::pending().await,
                }
            }
        };
        let _ = tokio::time::timeout(HANG_UP, hung_up).await;
    }

    /// The peer ended the session. What came before is still stored, and may tell against the peer: it can't get away
    /// with a forgery by hanging up.
    async fn last_verdict(&mut self, end: SessionEnd) -> SessionEnd {
        // Without a sender the worker ends when it has done what waits; the window bounds how much that is.
        (self.ingest, _) = mpsc::unbounded_channel();
        (self.judge, _) = mpsc::unbounded_channel();
        // The verdicts end when nobody is left to give one.
        (self.end, _) = mpsc::channel(1);
        loop {
            tokio::select! {
                verdict = self.ends.recv() => return verdict.unwrap_or(end),
                _ = self.inbox.recv() => {} // nobody is left to be told
            }
        }
    }

    async fn take(&mut self, message: Message) -> Result<(), SessionEnd> {
        match message {
            Message::Input(input) => self.feed(input).await,
            Message::Offer(space) => {
                let offers = self.offers(Some(space));
                if offers.is_empty() { Ok(()) } else { self.feed(Input::Offer(offers)).await }
            }
            Message::Refuse(space, farewell) => {
                self.refused.insert(space);
                let is_out = standing(&self.node, space, self.node.device()) == Standing::PutOut;
                let refusal = match farewell {
                    Some(heads) => Input::Farewell { space, heads, takes: is_out },
                    None => Input::Refuse(space),
                };
                self.feed(refusal).await?;
                // Who was let in again meanwhile was not heard of as one who is refused.
                match standing(&self.node, space, self.peer) {
                    Standing::Member => Err(SessionEnd::LetInAgain(space)),
                    Standing::PutOut | Standing::Unknown => Ok(()),
                }
            }
            Message::Membership(space) => {
                match standing(&self.node, space, self.peer) {
                    Standing::Member if self.refused.contains(&space) => {
                        // What was refused stays so for a session: the next one shares the space.
                        self.feed(Input::Stop).await?;
                        return Err(SessionEnd::LetInAgain(space));
                    }
                    Standing::Member => self.feed(Input::Authorise(space)).await?,
                    Standing::PutOut
                        if self.session.view(space).is_some() && !self.refused.contains(&space) =>
                    {
                        // The next session refuses the space, and tells the peer so if this one has not come to that.
                        self.feed(Input::Forbid(space)).await?;
                        self.feed(Input::Stop).await?;
                        return Err(SessionEnd::PutOut(space));
                    }
                    Standing::PutOut | Standing::Unknown => {}
                }
                self.feed(Input::Again(space)).await
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
                    Output::Send(payload) => self.outgoing.send(payload)?,
                    Output::Greeted(hello) => {
                        let ahead_ms =
                            hello.clock_ms.cast_signed().saturating_sub(self.node.now_ms().cast_signed());
                        *lock(&self.shared.clock_ahead_ms) = Some(ahead_ms);
                        self.hello = Some(hello);
                        Peers::greeted(&self.node, self.peer);
                        answers.push_back(Input::Offer(self.offers(None)));
                    }
                    Output::Matched(space) => self.open_space(space),
                    Output::Load { space, wants, ahead, max_bytes } => {
                        self.load(space, wants, ahead, max_bytes);
                    }
                    Output::Ingest { space, entries, bytes } => {
                        self.ingest.send((space, entries, bytes)).map_err(|_| SessionEnd::Stream)?;
                    }
                    // Who was put out is not believed what it says of this device's own log.
                    Output::Theirs { space, .. } if self.refused.contains(&space) => {}
                    Output::Theirs { space, heads } => {
                        self.told.insert(space);
                        self.look_back(space, &heads);
                        self.compare_heads(space, heads);
                    }
                    Output::Changed(space) => self.changed(space),
                    Output::Forked { space, log } => {
                        tracing::warn!(%space, %log, peer = %self.peer, "a log has two histories");
                        self.compare(space, log, None);
                    }
                    Output::Compare { space, log, points } => self.compare(space, log, Some(points)),
                    Output::Prove { space, log } => self.prove(space, log),
                    Output::Evidence { space, evidence, bytes } => {
                        self.claim(forks::Claim { space, what: forks::What::Evidence(evidence), bytes })?;
                    }
                    Output::Branch { space, header, signature, bytes } => {
                        let what = forks::What::Branch(header, signature);
                        self.claim(forks::Claim { space, what, bytes })?;
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
        self.work(async move {
            let standing = standing(&node, space, peer);
            if standing == Standing::PutOut {
                let farewell = farewell(&node, space, peer).await?;
                let _ = inbox.send(Message::Refuse(space, farewell)).await;
                return Ok(());
            }
            let may_send =
                standing == Standing::Member || !node.engine().space(space)?.membership.is_founded();
            let heads = Heads(node.heads(space).await?.into_iter().collect());
            let key = node.engine().space(space)?.key;
            let read = move |reader: &covey_store::Reader<'_>| load_apart(reader, key, MAX_AHEAD_BYTES);
            let acts = node.0.store.read(read).await?;
            let again = async {
                inbox.send(Message::Input(Input::Open { space, heads, may_send })).await.ok()?;
                inbox.send(Message::Input(Input::Apart { space, acts })).await.ok()?;
                let heads = node.heads(space).await.ok()?;
                inbox.send(Message::Input(Input::Heads { space, heads })).await.ok()?;
                let lines = node.engine().space(space).ok()?.frozen().collect();
                inbox.send(Message::Input(Input::Frozen { space, lines, heads: Vec::new() })).await.ok()?;
                // Who became a member meanwhile was not heard either.
                inbox.send(Message::Membership(space)).await.ok()
            };
            // A session that has ended needs nothing more.
            let _ = again.await;
            Ok(())
        });
    }

    /// Sees whether the peer has more, or something else, of this device's own log.
    fn look_back(&mut self, space: SpaceId, heads: &[(LogId, Head)]) {
        let (node, peer, device) = (self.node.clone(), self.peer, self.node.device());
        let current = node.engine().space(space).ok().map(|state| state.info.incarnation);
        let is_own = |(log, _): &&(LogId, Head)| log.device == device && Some(log.incarnation) == current;
        if let Some(theirs) = heads.iter().find(is_own).copied() {
            self.work(async move { super::ingest::look_back(&node, peer, space, theirs).await });
        }
    }

    /// Looks for logs of which the peer has another history, though it's shorter.
    fn compare_heads(&mut self, space: SpaceId, heads: Vec<(LogId, Head)>) {
        let (node, inbox) = (self.node.clone(), self.own_inbox.clone());
        self.work(async move {
            let key = node.engine().space(space)?.key;
            let read = move |reader: &covey_store::Reader<'_>| differing(reader, key, &heads);
            for (log, upto) in node.0.store.read(read).await? {
                let answer = node.0.store.read(move |reader| points(reader, key, log, upto)).await?;
                let _ = inbox.send(Message::Input(Input::Compared { space, log, answer })).await;
            }
            Ok(())
        });
    }

    /// Takes a step in the search for the place where the histories of a log part.
    fn compare(&mut self, space: SpaceId, log: LogId, theirs: Option<Vec<Head>>) {
        let (node, inbox) = (self.node.clone(), self.own_inbox.clone());
        self.work(async move {
            let key = node.engine().space(space)?.key;
            let read = move |reader: &covey_store::Reader<'_>| match theirs {
                Some(theirs) => compare(reader, key, log, &theirs),
                None => points(reader, key, log, u64::MAX),
            };
            let answer = node.0.store.read(read).await?;
            let _ = inbox.send(Message::Input(Input::Compared { space, log, answer })).await;
            Ok(())
        });
    }

    /// Reads what is known of a forked log, for the peer.
    fn prove(&mut self, space: SpaceId, log: LogId) {
        let (node, inbox) = (self.node.clone(), self.own_inbox.clone());
        self.work(async move {
            let key = node.engine().space(space)?.key;
            let found = node.0.store.read(move |reader| reader.forks(key)).await?;
            let evidence = found.into_iter().find(|row| row.id == log).map(|row| row.evidence);
            let _ = inbox.send(Message::Input(Input::Evidence { space, evidence })).await;
            Ok(())
        });
    }

    fn claim(&self, claim: forks::Claim) -> Result<(), SessionEnd> {
        self.judge.send(claim).map_err(|_| SessionEnd::Stream)
    }

    fn load(
        &mut self,
        space: SpaceId,
        wants: Vec<(LogId, u64)>,
        ahead: BTreeMap<LogId, RangeInclusive<u64>>,
        max_bytes: usize,
    ) {
        let (node, inbox) = (self.node.clone(), self.own_inbox.clone());
        self.work(async move {
            let key = node.engine().space(space)?.key;
            let read =
                move |reader: &covey_store::Reader<'_>| load_for_peer(reader, key, &wants, &ahead, max_bytes);
            let Batch { acts, entries } = node.0.store.read(read).await?;
            let _ = inbox.send(Message::Input(Input::Loaded { space, acts, entries })).await;
            Ok(())
        });
    }

    /// Does something beside the session; if this node itself fails at it, the session ends and is tried again later.
    fn work(&mut self, work: impl Future<Output = Result<(), NodeError>> + Send + 'static) {
        let end = self.end.clone();
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(async move {
            if let Err(err) = work.await {
                tracing::error!(%err, "a sync session can't go on");
                let _ = end.send(SessionEnd::Own(err)).await;
            }
        });
    }

    fn changed(&mut self, space: SpaceId) {
        let news = self.session.take_held(space);
        let is_first = self.told.remove(&space);
        // Who was put out, and what they hold, is nobody's concern.
        if (is_first || !news.is_empty()) && !self.refused.contains(&space) {
            self.node.0.held.hear(&self.node, space, self.peer, &news, is_first);
        }
        let Some(view) = self.session.view(space) else { return };
        let before = lock(&self.shared.views).insert(space, view);
        if view.refused && Some(space) == self.node.0.own.personal() {
            crate::own::refused_by(&self.node, self.peer);
        }
        if before.is_none() {
            self.compare_clocks();
        }
        let state = state_of(view);
        if before.map(state_of) != Some(state) {
            lock(&self.shared.since).insert(space, self.node.now_ms());
            self.node.emit(Event::SyncChanged { space, peer: self.peer, state });
        }
    }
}

impl Driver {
    /// Tells when the clock of somebody with whom a space is shared is too far from ours.
    fn compare_clocks(&self) {
        let is_first = lock(&self.shared.views).len() == 1;
        let Some(ahead_ms) = *lock(&self.shared.clock_ahead_ms) else { return };
        if is_first && ahead_ms.unsigned_abs() > MAX_CLOCK_DRIFT_MS {
            tracing::warn!(peer = %self.peer, ahead_ms, "the clocks of two devices differ: one is wrong");
            self.node.emit(Event::ClocksDiffer { device: self.peer, ahead_ms });
        }
    }
}

pub(super) fn standing(node: &Node, space: SpaceId, peer: DeviceId) -> Standing {
    node.engine().standing(space, peer)
}

/// How far the logs are sent to a device that was put out; not at all if the space's parent has put it out: that one's
/// farewell tells. In the child its people wrote on meanwhile, knowing of the removal there, and under a key that the device
/// has, until an admin of the child came to remove it.
async fn farewell(node: &Node, space: SpaceId, peer: DeviceId) -> Result<Option<Heads>, NodeError> {
    let (key, reach) = {
        let engine = node.engine();
        let state = engine.space(space)?;
        if state.parent().is_some_and(|parent| engine.standing(parent, peer) == Standing::PutOut) {
            return Ok(None);
        }
        (state.key, state.farewell(peer))
    };
    // Behind the writes that have moved the membership in memory, which a reader may not see yet.
    node.write(move |tx, _| Ok(load_farewell(tx, key, &reach)?)).await
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;

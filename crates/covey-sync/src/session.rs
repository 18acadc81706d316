//! The state machine of one end.

mod forks;
mod incoming;
mod messages;
mod outgoing;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeInclusive,
    time::Duration,
};

use covey_log::ForkLine;
use covey_types::{
    Heads, LogId, SpaceId,
    limits::{MAX_SPACES_PER_SESSION, MAX_SYNC_FRAME_BYTES},
};

pub use self::messages::{Input, MAX_AHEAD_BYTES, Output, SessionConfig, SessionError};
use crate::{
    frame::{CloseReason, Frame, HeadLine, Hello, Tag, VERSIONS},
    framing::MAX_STRANGER_FRAME_BYTES,
    owed::Owed,
    space::{HeldLog, Offer, PeerView, SharedSpace},
};

/// Entries in one frame, and what one [`Output::Load`] asks for: large enough that a frame's cost doesn't
/// matter, small enough that live entries get in between.
pub(crate) const BATCH_BYTES: usize = 256 << 10;

/// Tags in an offer at least: every node has its user's personal space, and one more must not show.
const LEAST_TAGS: usize = 2;

/// The least window that a peer may grant: one largest entry must fit.
const MIN_WINDOW_BYTES: u32 = MAX_SYNC_FRAME_BYTES as u32;

/// How far a sender may run past a window: one batch, and one entry that makes it overflow.
const WINDOW_SLACK_BYTES: u64 = (BATCH_BYTES + MAX_SYNC_FRAME_BYTES) as u64;

/// A peer that has not greeted by then is not a Covey node.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer that owes acknowledgements and gave none for so long is stuck: its disk may be, or it lies.
const ACK_TIMEOUT: Duration = Duration::from_mins(2);

/// One end of a sync session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    peer: Option<Hello>,
    outputs: VecDeque<Output>,
    /// What this side offered, by place; `None` is padding.
    offered: Vec<Option<Offer>>,
    /// The peer's tags, by place.
    tags: BTreeMap<Tag, u32>,
    /// Shared spaces that the driver opened.
    spaces: BTreeMap<SpaceId, SharedSpace>,
    /// Matched spaces, with the place at which the peer offered them.
    matched: BTreeMap<SpaceId, u32>,
    by_their_place: BTreeMap<u32, SpaceId>,
    /// Frames for spaces that are matched and wait for the driver's word. Bounded: one list of heads each.
    early_heads: BTreeMap<SpaceId, Vec<HeadLine>>,
    /// The same for what the peer knows of forks.
    early_forks: BTreeMap<SpaceId, Vec<ForkLine>>,
    /// Matched spaces that the peer refuses to share.
    refused: BTreeSet<SpaceId>,
    /// Bytes of entries sent and not yet credited.
    in_flight: u64,
    /// Bytes of entries that came and whose credit was not yet handed out by [`Session::poll_owed`].
    taken: u64,
    owed: Owed,
    /// What is being loaded.
    loading: Option<Loading>,
    /// Whether evidence is being loaded.
    proving: bool,
    /// The space of which something was loaded last.
    last_loaded: Option<SpaceId>,
    last_ack: Duration,
    /// The time of the last input.
    now: Duration,
    closed: bool,
}

/// Entries that are being loaded: of which space, from which places of its logs on, and of which places what says who is in
/// the space goes ahead.
#[derive(Debug, Default)]
struct Loading {
    space: Option<SpaceId>,
    wants: BTreeMap<LogId, u64>,
    ahead: BTreeMap<LogId, RangeInclusive<u64>>,
}

impl Session {
    /// One end of a new session; its greeting is the first output.
    pub fn new(config: SessionConfig, now: Duration) -> Self {
        let window = config.window_bytes.max(MIN_WINDOW_BYTES);
        let hello = Hello {
            oldest: VERSIONS.0,
            newest: VERSIONS.1,
            capabilities: 0,
            window,
            nonce: config.nonce,
            agent: config.agent.clone(),
            clock_ms: config.clock_ms,
        };
        let mut session = Self {
            config: SessionConfig { window_bytes: window, ..config },
            peer: None,
            outputs: VecDeque::new(),
            offered: Vec::new(),
            tags: BTreeMap::new(),
            spaces: BTreeMap::new(),
            matched: BTreeMap::new(),
            by_their_place: BTreeMap::new(),
            early_heads: BTreeMap::new(),
            early_forks: BTreeMap::new(),
            refused: BTreeSet::new(),
            in_flight: 0,
            taken: 0,
            owed: Owed::default(),
            loading: None,
            proving: false,
            last_loaded: None,
            last_ack: now,
            now,
            closed: false,
        };
        session.send(&Frame::Hello(hello));
        session
    }

    /// Takes in what happened at `now`, a time since some fixed start.
    ///
    /// # Errors
    /// [`SessionError`]: the session is over; a last [`Output::Send`] that says so may be waiting.
    pub fn handle(&mut self, input: Input, now: Duration) -> Result<(), SessionError> {
        self.now = now;
        let result = self.dispatch(input, now);
        if let Err(err) = &result {
            let reason = match err {
                SessionError::Version { .. } => CloseReason::Version,
                SessionError::Silent | SessionError::Stalled => CloseReason::Stalled,
                _ => CloseReason::Protocol,
            };
            self.close(reason);
        }
        result
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Session::poll_owed`] has something to say.
    pub fn owes(&self) -> bool {
        !self.closed && (!self.owed.is_empty() || self.owes_forks())
    }

    /// The longest frame that the peer may send now, bytes: little before it has shown that it's in a common space.
    pub fn max_frame_bytes(&self) -> usize {
        if self.matched.is_empty() { MAX_STRANGER_FRAME_BYTES } else { MAX_SYNC_FRAME_BYTES }
    }

    /// When [`Input::Tick`] is due.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.closed {
            None
        } else if self.peer.is_none() {
            Some(self.last_ack + GREETING_TIMEOUT)
        } else {
            (self.in_flight > 0).then(|| self.last_ack + ACK_TIMEOUT)
        }
    }

    /// How a space stands with the peer; `None` if it isn't shared in this session.
    pub fn view(&self, space: SpaceId) -> Option<PeerView> {
        self.spaces.get(&space).map(SharedSpace::view)
    }

    /// The logs of a space of which the peer is known to hold more, or less, than when this was asked last: at first,
    /// once its heads are known, every log of this side. There's news at most when [`Output::Changed`] has come.
    pub fn take_held(&mut self, space: SpaceId) -> Vec<HeldLog> {
        self.spaces.get_mut(&space).map(SharedSpace::take_held).unwrap_or_default()
    }

    /// The spaces that were opened in this session.
    pub fn spaces(&self) -> impl Iterator<Item = SpaceId> + '_ {
        self.spaces.keys().copied()
    }

    /// Bytes of entries under way, sent and taken: what the windows bound.
    pub const fn under_way(&self) -> (u64, u64) {
        (self.in_flight, self.taken)
    }

    fn dispatch(&mut self, input: Input, now: Duration) -> Result<(), SessionError> {
        if self.closed {
            return Ok(());
        }
        match input {
            Input::Frame(payload) => self.take_frame(&payload, now)?,
            Input::Offer(offers) => self.offer(offers),
            Input::Open { space, heads, may_send } => self.open(space, heads, may_send)?,
            Input::Authorise(space) => {
                self.update(space, |shared| shared.may_send = true);
                self.owed.forks(space);
            }
            Input::Forbid(space) => self.update(space, |shared| shared.may_send = false),
            Input::Again(space) => self.ask_again(space),
            Input::Refuse(space) => self.refuse(space),
            Input::Farewell { space, heads, takes } => self.farewell(space, heads, takes)?,
            Input::Loaded { space, acts, entries } => self.send_loaded(space, &acts, &entries, now),
            Input::Apart { space, acts } => {
                self.update(space, |shared| shared.send_ahead(acts));
            }
            Input::Ingested { space, durable, rejected, bytes } => {
                self.acknowledge(space, &durable, &rejected, bytes);
            }
            Input::Appended { space, entry } => self.push(space, &entry, now),
            Input::Heads { space, heads } => {
                self.update(space, |shared| heads.iter().for_each(|(log, head)| shared.advance(*log, *head)));
            }
            Input::Frozen { space, lines, heads } => self.freeze(space, &lines, &heads),
            Input::Evidence { space, evidence } => self.proved(space, evidence),
            Input::Compared { space, log, answer } => self.compared(space, log, answer),
            Input::Tick => self.check_time(now)?,
            Input::Stop => self.close(CloseReason::Stopping),
        }
        self.send_agreed(now);
        self.send_ahead(now);
        self.pump();
        self.prove_next();
        Ok(())
    }

    fn send(&mut self, frame: &Frame<'_>) {
        self.outputs.push_back(Output::Send(frame.encode()));
    }

    fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.send(&Frame::Close(reason));
        }
    }

    fn check_time(&self, now: Duration) -> Result<(), SessionError> {
        match self.poll_timeout() {
            Some(due) if now >= due => {
                Err(if self.peer.is_none() { SessionError::Silent } else { SessionError::Stalled })
            }
            _ => Ok(()),
        }
    }

    /// Shows tags for further spaces, padded so that their number isn't told.
    fn offer(&mut self, offers: Vec<Offer>) {
        let known: Vec<SpaceId> = self.offered.iter().flatten().map(|offer| offer.space).collect();
        let room = MAX_SPACES_PER_SESSION.saturating_sub(known.len());
        let mut fresh: Vec<Option<Offer>> =
            offers.into_iter().filter(|offer| !known.contains(&offer.space)).take(room).map(Some).collect();
        let padded = fresh.len().max(LEAST_TAGS).next_power_of_two();
        fresh.resize(padded, None);
        // A random tag matches nothing and can't be told from one that could.
        let tags = fresh
            .iter()
            .map(|offer| offer.map_or_else(covey_types::keys::random_bytes, |o| o.mine))
            .collect();
        self.offered.extend(fresh);
        self.send(&Frame::Offer(tags));
        self.find_matches();
    }

    fn find_matches(&mut self) {
        for offer in self.offered.iter().flatten() {
            if let Some(place) = self.tags.get(&offer.theirs)
                && !self.matched.contains_key(&offer.space)
            {
                self.matched.insert(offer.space, *place);
                self.by_their_place.insert(*place, offer.space);
                self.outputs.push_back(Output::Matched(offer.space));
            }
        }
    }

    fn my_place(&self, space: SpaceId) -> u32 {
        let place = self.offered.iter().position(|offer| offer.is_some_and(|offer| offer.space == space));
        place.expect("only offered spaces are matched") as u32
    }

    fn space_at(&self, place: u32) -> Result<SpaceId, SessionError> {
        self.by_their_place
            .get(&place)
            .copied()
            .ok_or(SessionError::Protocol("it names a space that is not shared"))
    }

    fn open(&mut self, space: SpaceId, heads: Heads, may_send: bool) -> Result<(), SessionError> {
        if !self.matched.contains_key(&space) || self.spaces.contains_key(&space) {
            return Ok(());
        }
        let mut shared = SharedSpace::new(space, heads, may_send);
        shared.refused = self.refused.contains(&space);
        self.open_shared(shared)
    }

    /// Refuses a space, unless the peer may go on sending, and sends all the same what it needs to hear to know why.
    fn farewell(&mut self, space: SpaceId, heads: Heads, takes: bool) -> Result<(), SessionError> {
        if !self.matched.contains_key(&space) || self.spaces.contains_key(&space) {
            return Ok(());
        }
        if !takes {
            // The refusal comes first, so that nothing is loaded for here.
            let frame = Frame::Refused { space: self.my_place(space) };
            self.send(&frame);
        }
        let mut shared = SharedSpace::farewell(space, heads, takes);
        shared.refused = self.refused.contains(&space);
        self.open_shared(shared)
    }

    fn open_shared(&mut self, mut shared: SharedSpace) -> Result<(), SessionError> {
        let space = shared.id;
        let frame = Frame::Heads { space: self.my_place(space), heads: shared.head_lines() };
        self.send(&frame);
        if let Some(lines) = self.early_forks.remove(&space) {
            shared.forks.hear(&lines);
            self.owed.forks(space);
        }
        self.spaces.insert(space, shared);
        match self.early_heads.remove(&space) {
            Some(lines) => self.accept_heads(space, lines),
            None => Ok(()),
        }
    }

    fn ask_again(&mut self, space: SpaceId) {
        if self.spaces.get(&space).is_some_and(SharedSpace::has_wishes) {
            self.owed.again(space);
        }
        if let Some(shared) = self.spaces.get_mut(&space) {
            shared.forks.ask_again();
            self.owed.forks(space);
        }
    }

    fn refuse(&mut self, space: SpaceId) {
        if self.matched.contains_key(&space) {
            let space_place = self.my_place(space);
            self.spaces.remove(&space);
            self.send(&Frame::Refused { space: space_place });
        }
    }

    fn update(&mut self, space: SpaceId, change: impl FnOnce(&mut SharedSpace)) {
        if let Some(shared) = self.spaces.get_mut(&space) {
            change(shared);
            self.outputs.push_back(Output::Changed(space));
        }
    }
}

#[cfg(test)]
mod tests;

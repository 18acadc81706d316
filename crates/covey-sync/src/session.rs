//! The state machine of one end.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use covey_log::{Entry, EntryError};
use covey_types::{
    Head, Heads, LogId, SpaceId,
    limits::{MAX_SPACES_PER_SESSION, MAX_SYNC_FRAME_BYTES},
    wire::DecodeError,
};

use crate::{
    frame::{CloseReason, Frame, Hello, Tag, VERSIONS},
    framing::MAX_STRANGER_FRAME_BYTES,
    owed::Owed,
    space::{Offer, PeerView, Rejection, SharedSpace},
};

/// Entries in one frame, and what one [`Output::Load`] asks for: large enough that a frame's cost doesn't
/// matter, small enough that live entries get in between.
pub(crate) const BATCH_BYTES: usize = 256 << 10;

/// The least window that a peer may grant: one largest entry must fit.
const MIN_WINDOW_BYTES: u32 = covey_types::limits::MAX_SYNC_FRAME_BYTES as u32;

/// How far a sender may run past a window: one batch, and one entry that makes it overflow.
const WINDOW_SLACK_BYTES: u64 = (BATCH_BYTES + covey_types::limits::MAX_SYNC_FRAME_BYTES) as u64;

/// A peer that has not greeted by then is not a Covey node.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// A peer that owes acknowledgements and gave none for so long is stuck: its disk may be, or it lies.
const ACK_TIMEOUT: Duration = Duration::from_mins(2);

/// What a session needs to know from the start.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// How many bytes of entries the peer may have under way to here; and as many at most go to the peer unacknowledged,
    /// whatever window it grants, since they are held in memory until it reads.
    pub window_bytes: u32,
    /// Random, new for every session.
    pub nonce: [u8; 32],
    /// Program and version.
    pub agent: String,
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input {
    /// A frame's payload came from the peer.
    Frame(Vec<u8>),
    /// Spaces to find out about. May be given again for further spaces.
    Offer(Vec<Offer>),
    /// A matched space may be shared: how far its logs reach here, durably, and whether the peer may read it.
    Open {
        /// Which.
        space: SpaceId,
        /// Its logs.
        heads: Heads,
        /// Whether entries may be sent. Without, entries are only taken.
        may_send: bool,
    },
    /// The peer turned out to be a member: it may read now.
    Authorise(SpaceId),
    /// Authors became known: what could not be stored of their logs is wanted again.
    Again(SpaceId),
    /// A matched space is not shared with this peer.
    Refuse(SpaceId),
    /// The entries that [`Output::Load`] asked for, in causal order; fewer, or none, if there are no more.
    Loaded {
        /// Which space.
        space: SpaceId,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// The entries of an [`Output::Ingest`] were dealt with.
    Ingested {
        /// Which space.
        space: SpaceId,
        /// How far the logs concerned reach now, durably.
        durable: Vec<(LogId, Head)>,
        /// Logs of which something could not be stored.
        rejected: Vec<Rejection>,
        /// The bytes of the ingested frame, which the peer may send anew.
        bytes: u32,
    },
    /// An entry was stored here, durably, whether written here or come from elsewhere.
    Appended {
        /// Which space.
        space: SpaceId,
        /// The entry.
        entry: Arc<Entry>,
    },
    /// Logs reach further now, durably: the entries will be asked for.
    Heads {
        /// Which space.
        space: SpaceId,
        /// The logs that moved.
        heads: Vec<(LogId, Head)>,
    },
    /// Time has passed.
    Tick,
    /// The node stops.
    Stop,
}

/// What a session wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this as one frame.
    Send(Vec<u8>),
    /// The peer has greeted; tags can be computed. Answer with [`Input::Offer`].
    Greeted(Hello),
    /// The peer is in this space too. Answer with [`Input::Open`] or [`Input::Refuse`].
    Matched(SpaceId),
    /// Load entries, in causal order. Answer with [`Input::Loaded`].
    Load {
        /// Which space.
        space: SpaceId,
        /// The logs, and from which place on.
        wants: Vec<(LogId, u64)>,
        /// About how many bytes; at least one entry.
        max_bytes: usize,
    },
    /// Check and store these. Answer with [`Input::Ingested`].
    Ingest {
        /// Which space.
        space: SpaceId,
        /// The entries, as they came.
        entries: Vec<Entry>,
        /// To be handed back.
        bytes: u32,
    },
    /// How the space stands with this peer has changed: see [`Session::view`].
    Changed(SpaceId),
    /// Both sides hold different entries for one place: the author has forked its log.
    Forked {
        /// Which space.
        space: SpaceId,
        /// Which log.
        log: LogId,
        /// What is here.
        mine: Head,
        /// What is there.
        theirs: Head,
    },
    /// The peer ended the session.
    Closed(CloseReason),
}

/// Why a session can't go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A frame is not in the format.
    #[error("the peer sent a malformed frame: {0}")]
    Frame(#[from] DecodeError),
    /// An entry is not in the format.
    #[error("the peer sent a malformed entry: {0}")]
    Entry(EntryError),
    /// A frame that makes no sense at this point.
    #[error("the peer broke the protocol: {0}")]
    Protocol(&'static str),
    /// No version in common.
    #[error("the peer speaks sync versions {theirs_oldest} to {theirs_newest}, this build {} to {}", VERSIONS.0, VERSIONS.1)]
    Version {
        /// The oldest that the peer speaks.
        theirs_oldest: u16,
        /// The newest.
        theirs_newest: u16,
    },
    /// The peer did not greet in time.
    #[error("the peer did not greet within {} s", GREETING_TIMEOUT.as_secs())]
    Silent,
    /// The peer owes acknowledgements for too long.
    #[error("the peer has not acknowledged anything for {} s", ACK_TIMEOUT.as_secs())]
    Stalled,
}

impl SessionError {
    /// Whether an honest peer of a known version would never have caused this.
    pub const fn is_misbehaviour(&self) -> bool {
        matches!(self, Self::Frame(_) | Self::Entry(_) | Self::Protocol(_))
    }
}

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
    early_heads: BTreeMap<SpaceId, Vec<crate::frame::HeadLine>>,
    /// Matched spaces that the peer refuses to share.
    refused: BTreeSet<SpaceId>,
    /// Bytes of entries sent and not yet credited.
    in_flight: u64,
    /// Bytes of entries that came and whose credit was not yet handed out by [`Session::poll_owed`].
    taken: u64,
    owed: Owed,
    /// The space of which entries are being loaded, and the one before.
    loading: Option<SpaceId>,
    last_loaded: Option<SpaceId>,
    last_ack: Duration,
    closed: bool,
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
            refused: BTreeSet::new(),
            in_flight: 0,
            taken: 0,
            owed: Owed::default(),
            loading: None,
            last_loaded: None,
            last_ack: now,
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
        !self.closed && !self.owed.is_empty()
    }

    /// A frame that answers what the peer sent: an acknowledgement, or a wish to have entries again. To be called only
    /// when the stream takes a frame. What isn't fetched adds up, so that a peer that doesn't read costs no memory; nor
    /// can it send more than the window, since its credit is here.
    pub fn poll_owed(&mut self) -> Option<Vec<u8>> {
        while !self.closed {
            let (space, due) = self.owed.pop()?;
            let place = self.my_place(space);
            if due.again {
                let lines = self.spaces.get_mut(&space).map(SharedSpace::wishes).unwrap_or_default();
                if !lines.is_empty() {
                    return Some(Frame::Again { space: place, lines }.encode());
                }
            } else {
                self.taken = self.taken.saturating_sub(due.credit);
                let credit = u32::try_from(due.credit).unwrap_or(u32::MAX);
                return Some(Frame::Ack { space: place, lines: due.lines(), credit }.encode());
            }
        }
        None
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
            Input::Authorise(space) => self.update(space, |shared| shared.may_send = true),
            Input::Again(space) => self.ask_again(space),
            Input::Refuse(space) => self.refuse(space),
            Input::Loaded { space, entries } => self.send_loaded(space, &entries, now),
            Input::Ingested { space, durable, rejected, bytes } => {
                self.acknowledge(space, &durable, &rejected, bytes);
            }
            Input::Appended { space, entry } => self.push(space, &entry, now),
            Input::Heads { space, heads } => {
                self.update(space, |shared| heads.iter().for_each(|(log, head)| shared.advance(*log, *head)));
            }
            Input::Tick => self.check_time(now)?,
            Input::Stop => self.close(CloseReason::Stopping),
        }
        self.pump();
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

    fn take_frame(&mut self, payload: &[u8], now: Duration) -> Result<(), SessionError> {
        if payload.len() > self.max_frame_bytes() {
            return Err(SessionError::Protocol("it sent a long frame before it had shown a common space"));
        }
        let frame = Frame::decode(payload)?;
        if self.peer.is_none() && !matches!(frame, Frame::Hello(_) | Frame::Close(_)) {
            return Err(SessionError::Protocol("it did not greet first"));
        }
        match frame {
            Frame::Hello(hello) => self.take_hello(hello, now),
            Frame::Offer(tags) => self.take_offer(&tags),
            Frame::Heads { space, heads } => self.take_heads(space, heads),
            Frame::Entries { space, packed } => self.take_entries(space, packed, payload.len()),
            Frame::Ack { space, lines, credit } => {
                self.last_ack = now;
                self.take_ack(space, &lines, credit)
            }
            Frame::Refused { space } => {
                let space = self.space_at(space)?;
                self.refused.insert(space);
                self.update(space, |shared| shared.refused = true);
                Ok(())
            }
            Frame::Again { space, lines } => {
                let space = self.space_at(space)?;
                self.update(space, |shared| shared.go_back(&lines));
                Ok(())
            }
            Frame::Close(reason) => {
                self.closed = true;
                self.outputs.push_back(Output::Closed(reason));
                Ok(())
            }
        }
    }

    fn take_hello(&mut self, hello: Hello, now: Duration) -> Result<(), SessionError> {
        if self.peer.is_some() {
            return Err(SessionError::Protocol("it greeted twice"));
        }
        if hello.newest < VERSIONS.0 || hello.oldest > VERSIONS.1 || hello.oldest > hello.newest {
            return Err(SessionError::Version { theirs_oldest: hello.oldest, theirs_newest: hello.newest });
        }
        if hello.window < MIN_WINDOW_BYTES {
            return Err(SessionError::Protocol("it grants a window smaller than one entry"));
        }
        self.last_ack = now;
        self.outputs.push_back(Output::Greeted(hello.clone()));
        self.peer = Some(hello);
        Ok(())
    }

    /// Shows tags for further spaces, padded so that their number isn't told.
    fn offer(&mut self, offers: Vec<Offer>) {
        let known: Vec<SpaceId> = self.offered.iter().flatten().map(|offer| offer.space).collect();
        let room = MAX_SPACES_PER_SESSION.saturating_sub(known.len());
        let mut fresh: Vec<Option<Offer>> =
            offers.into_iter().filter(|offer| !known.contains(&offer.space)).take(room).map(Some).collect();
        let padded = fresh.len().max(1).next_power_of_two();
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

    fn take_offer(&mut self, tags: &[Tag]) -> Result<(), SessionError> {
        if self.tags.len() + tags.len() > 4 * MAX_SPACES_PER_SESSION {
            return Err(SessionError::Protocol("it offers more spaces than a session may have"));
        }
        for tag in tags {
            let place = self.tags.len() as u32;
            if self.tags.insert(*tag, place).is_some() {
                return Err(SessionError::Protocol("it shows one tag twice"));
            }
        }
        self.find_matches();
        Ok(())
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
        let frame = Frame::Heads { space: self.my_place(space), heads: shared.head_lines() };
        self.send(&frame);
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
    }

    fn refuse(&mut self, space: SpaceId) {
        if self.matched.contains_key(&space) {
            let space_place = self.my_place(space);
            self.spaces.remove(&space);
            self.send(&Frame::Refused { space: space_place });
        }
    }

    fn take_heads(&mut self, place: u32, lines: Vec<crate::frame::HeadLine>) -> Result<(), SessionError> {
        let space = self.space_at(place)?;
        if self.spaces.contains_key(&space) {
            return self.accept_heads(space, lines);
        }
        match self.early_heads.insert(space, lines) {
            None => Ok(()),
            Some(_) => Err(SessionError::Protocol("the heads of a space came twice")),
        }
    }

    fn accept_heads(
        &mut self,
        space: SpaceId,
        lines: Vec<crate::frame::HeadLine>,
    ) -> Result<(), SessionError> {
        let Some(shared) = self.spaces.get_mut(&space) else { return Ok(()) };
        for (log, mine, theirs) in shared.take_heads(lines)? {
            self.outputs.push_back(Output::Forked { space, log, mine, theirs });
        }
        self.outputs.push_back(Output::Changed(space));
        Ok(())
    }

    fn take_entries(&mut self, place: u32, packed: &[u8], bytes: usize) -> Result<(), SessionError> {
        let space = self.space_at(place)?;
        self.taken += bytes as u64;
        if self.taken > u64::from(self.config.window_bytes) + WINDOW_SLACK_BYTES {
            return Err(SessionError::Protocol("it sent more than the window that it was granted"));
        }
        let Some(shared) = self.spaces.get_mut(&space) else {
            // Refused here after the peer sent it: it learns of that soon. Its window must not shrink for it.
            self.owed.ack(space, Vec::new(), bytes as u64);
            return Ok(());
        };
        let entries = shared.unpack(packed)?;
        self.outputs.push_back(Output::Ingest { space, entries, bytes: bytes as u32 });
        Ok(())
    }

    fn acknowledge(&mut self, space: SpaceId, durable: &[(LogId, Head)], rejected: &[Rejection], bytes: u32) {
        let Some(shared) = self.spaces.get_mut(&space) else {
            return self.owed.ack(space, Vec::new(), bytes.into());
        };
        durable.iter().for_each(|(log, head)| shared.advance(*log, *head));
        rejected.iter().for_each(|rejection| shared.stop(*rejection));
        let lines = shared.ack_lines(durable);
        self.owed.ack(space, lines, bytes.into());
        self.outputs.push_back(Output::Changed(space));
    }

    fn take_ack(
        &mut self,
        place: u32,
        lines: &[crate::frame::AckLine],
        credit: u32,
    ) -> Result<(), SessionError> {
        if u64::from(credit) > self.in_flight {
            return Err(SessionError::Protocol("it acknowledges more bytes than were sent"));
        }
        self.in_flight -= u64::from(credit);
        let space = self.space_at(place)?;
        if let Some(shared) = self.spaces.get_mut(&space) {
            shared.take_ack(lines)?;
            self.outputs.push_back(Output::Changed(space));
        }
        Ok(())
    }

    fn update(&mut self, space: SpaceId, change: impl FnOnce(&mut SharedSpace)) {
        if let Some(shared) = self.spaces.get_mut(&space) {
            change(shared);
            self.outputs.push_back(Output::Changed(space));
        }
    }

    /// Sends an entry that was just stored, if it's all that the peer lacks of its log.
    fn push(&mut self, space: SpaceId, entry: &Entry, now: Duration) {
        let room = self.room();
        let Some(shared) = self.spaces.get_mut(&space) else { return };
        let fits = entry.body.len() < room;
        let next = self.loading != Some(space) && shared.lacks_next(entry);
        shared.advance(entry.header.log, entry.head());
        if next && fits {
            let mut packed = Vec::with_capacity(entry.body.len() + 128);
            shared.pack(entry, &mut packed);
            self.send_entries(space, &packed, now);
        }
        self.outputs.push_back(Output::Changed(space));
    }

    fn send_loaded(&mut self, space: SpaceId, entries: &[Entry], now: Duration) {
        self.loading = None;
        let Some(shared) = self.spaces.get_mut(&space) else { return };
        let mut frames = Vec::new();
        let mut packed = Vec::new();
        for entry in entries {
            if !shared.lacks_next(entry) {
                continue; // it came from the peer meanwhile
            }
            if !packed.is_empty() && packed.len() + entry.body.len() > BATCH_BYTES {
                frames.push(std::mem::take(&mut packed));
            }
            shared.pack(entry, &mut packed);
        }
        if !packed.is_empty() {
            frames.push(packed);
        }
        for packed in frames {
            self.send_entries(space, &packed, now);
        }
        self.outputs.push_back(Output::Changed(space));
    }

    fn send_entries(&mut self, space: SpaceId, packed: &[u8], now: Duration) {
        let payload = Frame::Entries { space: self.my_place(space), packed }.encode();
        if self.in_flight == 0 {
            self.last_ack = now;
        }
        self.in_flight += payload.len() as u64;
        self.outputs.push_back(Output::Send(payload));
    }

    fn room(&self) -> usize {
        let window = self.peer.as_ref().map_or(0, |peer| peer.window.min(self.config.window_bytes) as usize);
        window.saturating_sub(self.in_flight as usize)
    }

    /// Asks for entries wherever there's a backlog and room to send it.
    fn pump(&mut self) {
        if self.closed
            || self.loading.is_some()
            || self.room() < MIN_WINDOW_BYTES as usize / 2 && self.in_flight > 0
        {
            return;
        }
        // One load at a time, each space in turn: a large backlog in one does not starve the others.
        let after = self.last_loaded;
        let turn = |id: &SpaceId| (after.is_some_and(|last| *id <= last), *id);
        let next = self
            .spaces
            .values()
            .filter(|shared| shared.has_backlog())
            .map(|shared| shared.id)
            .min_by_key(turn);
        if let Some(space) = next {
            let wants = self.spaces.get(&space).map(SharedSpace::backlog).unwrap_or_default();
            self.loading = Some(space);
            self.last_loaded = Some(space);
            let max_bytes = self.room().clamp(1, BATCH_BYTES);
            self.outputs.push_back(Output::Load { space, wants, max_bytes });
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

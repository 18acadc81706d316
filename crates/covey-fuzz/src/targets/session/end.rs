//! One end: a real session, a model of its store, and a driver that checks what the session wants done.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeInclusive,
    time::Duration,
};

use covey_log::{Entry, Evidence};
use covey_sync::{Input, Offer, Output, Rejection, Session, SessionConfig, SessionError};
use covey_types::{
    DeviceId, Head, Heads, LogId, SpaceId,
    limits::{MAX_ENTRY_BODY_BYTES, MAX_SYNC_FRAME_BYTES},
};

use crate::people::{ACTORS, LOGS, LOGS_WITH_ACTS, SPACE};

/// The spaces of the two ends: the first and the second are common to both, of the others each has one.
const SPACES: [SpaceId; 4] = [SPACE, SpaceId([8; 32]), SpaceId([9; 32]), SpaceId([10; 32])];

/// What may be under way at most: the smallest window, a batch, and the longest frame.
const MAX_UNDER_WAY: u64 = 2 * MAX_SYNC_FRAME_BYTES as u64 + (256 << 10);

/// Most things that one input makes a session want, beside one for each byte of a frame.
const MAX_WISHES: usize = 64;

/// The kinds of frames by their first byte, as `covey_sync::frame` numbers them.
mod kind {
    pub(super) const HEADS: u8 = 2;
    pub(super) const ENTRIES: u8 = 3;
    pub(super) const ACTS: u8 = 13;
    pub(super) const ACK: u8 = 4;
    pub(super) const AGAIN: u8 = 7;
}

/// How one end behaves.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
pub(super) struct Role {
    side: usize,
    may_send: bool,
    refuses: bool,
    /// How many entries of each log it has.
    has: [u64; 3],
    /// Whether of the third log it has the fork.
    forked: bool,
    /// Whether it doesn't know the other's device yet.
    is_stranger: bool,
    offers_at_once: bool,
}

impl Role {
    pub(super) const fn from_bits(side: usize, bits: u8) -> Self {
        let own = 3 + (bits & 3) as u64 * 5;
        let third = (bits >> 2 & 3) as u64 * 6;
        let has = if side == 0 { [own, 2, third] } else { [0, own, third] };
        Self {
            side,
            may_send: bits & 0x10 == 0,
            refuses: bits & 0x60 == 0x60,
            has,
            forked: bits & 0xa0 == 0xa0,
            is_stranger: bits & 0x48 == 0x48,
            offers_at_once: bits & 0x90 != 0x90,
        }
    }
}

pub(super) struct End {
    role: Role,
    pub(super) session: Session,
    pub(super) logs: BTreeMap<(SpaceId, LogId), Vec<Entry>>,
    /// What all that anybody signed here is.
    signed: &'static [Vec<Entry>; 4],
    /// How many entries came ahead of their places.
    ahead: u32,
    pub(super) known_forks: BTreeMap<(SpaceId, LogId), Evidence>,
    pub(super) inbox: VecDeque<Vec<u8>>,
    pub(super) todo: VecDeque<Input>,
    wishes: VecDeque<Output>,
    now: Duration,
    /// The spaces by the places at which they were offered here.
    offered: Vec<Option<SpaceId>>,
    matched: BTreeSet<SpaceId>,
    opened: BTreeSet<SpaceId>,
    may_read: BTreeSet<SpaceId>,
    /// A device whose entries can't be stored yet.
    unknown: Option<DeviceId>,
    /// One whose entries were turned away for it.
    was_unknown: Option<DeviceId>,
    pub(super) failure: Option<SessionError>,
    closed: bool,
}

impl End {
    pub(super) fn new(role: Role) -> Self {
        Self::with(role, &LOGS)
    }

    /// One whose logs have entries of membership in them, which it sends ahead of their places.
    pub(super) fn with_acts(role: Role) -> Self {
        Self::with(role, &LOGS_WITH_ACTS)
    }

    fn with(role: Role, signed: &'static [Vec<Entry>; 4]) -> Self {
        let nonce = [role.side as u8; 32];
        let config = SessionConfig { window_bytes: 0, nonce, agent: "covey/fuzz".into(), clock_ms: 0 };
        let mut logs = BTreeMap::new();
        for (n, has) in role.has.into_iter().enumerate().filter(|(_, has)| *has > 0) {
            let source = &signed[if n == 2 && role.forked { 3 } else { n }];
            logs.insert((SPACE, ACTORS[n].log()), source[..has as usize].to_vec());
        }
        let mut session = Session::new(config, Duration::ZERO);
        // Its greeting.
        let wishes = std::iter::from_fn(|| session.poll_output()).collect();
        Self {
            role,
            session,
            logs,
            signed,
            ahead: 0,
            known_forks: BTreeMap::new(),
            inbox: VecDeque::new(),
            todo: VecDeque::new(),
            wishes,
            now: Duration::ZERO,
            offered: Vec::new(),
            matched: BTreeSet::new(),
            opened: BTreeSet::new(),
            may_read: BTreeSet::new(),
            unknown: role.is_stranger.then(|| ACTORS[1 - role.side].id()),
            was_unknown: None,
            failure: None,
            closed: false,
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.failure.is_some() || self.closed
    }

    fn offer_of(&self, n: usize) -> Offer {
        let tag = |side: usize| [16 + 2 * n as u8 + side as u8; 16];
        Offer { space: SPACES[n], mine: tag(self.role.side), theirs: tag(1 - self.role.side) }
    }

    /// The driver says something, or the peer does. What the session wants then is looked at.
    pub(super) fn give(&mut self, input: Input) {
        let bytes = if let Input::Frame(frame) = &input { frame.len() } else { 0 };
        if let Input::Offer(offers) = &input {
            self.note_offer(offers);
        }
        if let Err(failure) = self.session.handle(input, self.now) {
            self.failure.get_or_insert(failure);
        }
        let mut wishes = 0;
        while let Some(wish) = self.session.poll_output() {
            self.check(&wish);
            self.wishes.push_back(wish);
            wishes += 1;
        }
        assert!(wishes <= MAX_WISHES + bytes, "one input of {bytes} bytes makes {wishes} wishes");
        let (sent, taken) = self.session.under_way();
        assert!(sent <= MAX_UNDER_WAY && taken <= MAX_UNDER_WAY, "the window holds: {sent} {taken}");
        assert!(self.session.poll_timeout().is_none() || !self.is_over(), "what is over waits for nothing");
    }

    fn note_offer(&mut self, offers: &[Offer]) {
        let fresh: Vec<SpaceId> = offers.iter().map(|offer| offer.space).collect();
        let mut fresh: Vec<Option<SpaceId>> =
            fresh.into_iter().filter(|space| !self.offered.contains(&Some(*space))).map(Some).collect();
        // Two at least: as the session does.
        fresh.resize(fresh.len().max(2).next_power_of_two(), None);
        self.offered.extend(fresh);
    }

    /// Nothing of a space is told before it was opened, and no entry to who may not read.
    fn check(&mut self, wish: &Output) {
        match wish {
            Output::Send(frame) => self.check_frame(frame),
            Output::Matched(space) => assert!(self.matched.insert(*space), "a space is matched once"),
            Output::Load { space, wants, ahead: _, max_bytes } => {
                assert!(self.may_read.contains(space), "nothing is loaded for who may not read");
                assert!(!wants.is_empty() && (1..=MAX_ENTRY_BODY_BYTES).contains(max_bytes));
                for (log, from) in wants {
                    let has = self.head(*space, *log).seq;
                    assert!((1..=has).contains(from), "what isn't here is not loaded: {from} of {has}");
                }
            }
            Output::Ingest { space, entries, .. } => {
                assert!(self.opened.contains(space) && !entries.is_empty());
            }
            Output::Theirs { space, .. } | Output::Forked { space, .. } => {
                assert!(self.opened.contains(space));
            }
            _ => {}
        }
    }

    fn check_frame(&self, frame: &[u8]) {
        assert!(frame.len() <= MAX_SYNC_FRAME_BYTES);
        // A varint. An end that offers again and again has many places, and never more than two bytes' worth.
        let place = |frame: &[u8]| {
            let high = if frame[1] < 0x80 { 0 } else { usize::from(frame[2]) };
            usize::from(frame[1] & 0x7f) | high << 7
        };
        match frame[0] {
            kind::HEADS | kind::ENTRIES | kind::ACTS | kind::ACK | kind::AGAIN => {
                let space = self.offered[place(frame)].expect("padding is never matched");
                assert!(self.matched.contains(&space), "nothing is told of a space that isn't matched");
                assert!(
                    frame[0] == kind::ACK || self.opened.contains(&space),
                    "nor of one that isn't opened"
                );
                let is_sent = [kind::ENTRIES, kind::ACTS].contains(&frame[0]);
                assert!(!is_sent || self.may_read.contains(&space), "nor sent to strangers");
            }
            _ => {}
        }
    }

    /// Carries out one thing that the session wants; whether there was one.
    pub(super) fn work(&mut self, other: &mut VecDeque<Vec<u8>>) -> bool {
        if self.wishes.is_empty()
            && let Some(frame) = self.session.poll_owed()
        {
            self.check_frame(&frame);
            self.wishes.push_back(Output::Send(frame));
        }
        let Some(wish) = self.wishes.pop_front() else { return false };
        match wish {
            Output::Send(frame) => other.push_back(frame),
            Output::Greeted(_) if self.role.offers_at_once => self.offer_all(),
            Output::Matched(space) if self.role.refuses => self.give(Input::Refuse(space)),
            Output::Matched(space) => self.open(space),
            Output::Load { space, wants, ahead, max_bytes } => {
                let (acts, entries) = (self.acts(space, &ahead), self.load(space, &wants, max_bytes));
                self.todo.push_back(Input::Loaded { space, acts, entries });
            }
            Output::Ingest { space, entries, bytes } => self.ingest(space, entries, bytes),
            Output::Theirs { space, heads } => self.compare_heads(space, &heads),
            Output::Forked { space, log } => {
                let answer = self.points(space, log, u64::MAX);
                self.todo.push_back(Input::Compared { space, log, answer });
            }
            Output::Compare { space, log, points } => {
                let answer = self.compare(space, log, &points);
                self.todo.push_back(Input::Compared { space, log, answer });
            }
            Output::Prove { space, log } => {
                let evidence = self.evidence(space, log);
                self.todo.push_back(Input::Evidence { space, evidence });
            }
            Output::Evidence { space, evidence, bytes } => {
                if let Ok(evidence) = Evidence::verified(space, &evidence) {
                    self.learn(space, evidence);
                }
                self.todo.push_back(Input::Ingested { space, durable: vec![], rejected: vec![], bytes });
            }
            Output::Branch { space, header, signature, bytes } => {
                self.part(space, &header, signature);
                self.todo.push_back(Input::Ingested { space, durable: vec![], rejected: vec![], bytes });
            }
            Output::Closed(_) => self.closed = true,
            _ => {}
        }
        true
    }

    /// Does all there is to do, whatever it leads to, as far as that has an end.
    pub(super) fn work_off(&mut self, other: &mut VecDeque<Vec<u8>>) {
        let mut steps = 0;
        while self.work(other) || self.take() {
            steps += 1;
            assert!(steps < 100_000, "the session wants things without end");
        }
        other.clear();
    }

    /// Does all there is to do, and keeps what it says.
    pub(super) fn say_all(&mut self, said: &mut VecDeque<Vec<u8>>) {
        while self.work(said) || self.take() {}
    }

    /// Where the logs of the common space stand.
    #[cfg(any(test, feature = "edges"))]
    pub(super) fn common_heads(&self) -> Vec<Head> {
        ACTORS[..3].iter().map(|actor| self.head(SPACE, actor.log())).collect()
    }

    /// How much came ahead of its place.
    #[cfg(test)]
    pub(super) const fn took_ahead(&self) -> u32 {
        self.ahead
    }

    /// Hears what came first: a frame, or the answer to what it wanted.
    pub(super) fn take(&mut self) -> bool {
        let next = self.todo.pop_front().or_else(|| self.inbox.pop_front().map(Input::Frame));
        let Some(input) = next else { return false };
        let late = match &input {
            Input::Ingested { space, rejected, .. } => self.known_meanwhile(rejected).then_some(*space),
            _ => None,
        };
        self.give(input);
        late.into_iter().for_each(|space| self.give(Input::Again(space)));
        true
    }

    /// Whether the author of what could not be stored became known before that was told: the news came too early then,
    /// and is told again, as a node does.
    fn known_meanwhile(&mut self, rejected: &[Rejection]) -> bool {
        let is_of = |device: DeviceId| rejected.iter().any(|rejection| rejection.log.device == device);
        match self.was_unknown {
            Some(device) if self.unknown.is_none() && is_of(device) => self.was_unknown.take().is_some(),
            _ => false,
        }
    }

    pub(super) fn tick(&mut self, now: Duration) {
        self.now = now;
        self.give(Input::Tick);
    }

    pub(super) fn offer_all(&mut self) {
        self.offer(3);
    }

    pub(super) fn offer(&mut self, which: u8) {
        // An end shows tags only once it has the other's nonce.
        if !self.is_greeted() {
            return;
        }
        let n = [0, 1, 2 + self.role.side];
        let offers = n.into_iter().take(1 + usize::from(which & 3)).map(|n| self.offer_of(n)).collect();
        // The padding is drawn at random: always the same, so that a recorded session can be played again.
        covey_types::replay::seed((self.role.side + 2 * self.offered.len()) as u64);
        self.give(Input::Offer(offers));
    }

    #[cfg(test)]
    pub(super) fn believe_that_nobody_may_read(&mut self) {
        self.may_read.clear();
    }

    fn is_greeted(&self) -> bool {
        !self.is_over() && (self.session.poll_timeout().is_none() || self.session.under_way().0 > 0)
    }

    fn open(&mut self, space: SpaceId) {
        self.opened.insert(space);
        if self.role.may_send {
            self.may_read.insert(space);
        }
        let may_send = self.role.may_send;
        self.give(Input::Open { space, heads: self.heads(space), may_send });
    }

    /// The membership changes, or what is known of it; whether nothing is promised of the end any more.
    pub(super) fn change_mind(&mut self, how: u8) -> bool {
        let space = SPACES[usize::from(how >> 2 & 1)];
        match how & 3 {
            0 => {
                if self.opened.contains(&space) {
                    self.may_read.insert(space);
                }
                self.give(Input::Authorise(space));
                false
            }
            1 => {
                self.may_read.remove(&space);
                self.give(Input::Forbid(space));
                true
            }
            2 => {
                self.unknown = None;
                self.give(Input::Again(space));
                false
            }
            _ => {
                self.may_read.remove(&space);
                self.opened.remove(&space);
                self.give(Input::Refuse(space));
                true
            }
        }
    }

    /// The next entries of this end's own log are written.
    pub(super) fn write(&mut self, how: u8) {
        let n = self.role.side;
        let log = ACTORS[n].log();
        let own = self.logs.entry((SPACE, log)).or_default();
        let fresh: Vec<Entry> =
            self.signed[n][own.len()..].iter().take(usize::from(how & 3) + 1).cloned().collect();
        own.extend(fresh.iter().cloned());
        let Some(last) = fresh.last() else { return };
        if how & 4 == 0 {
            let heads = vec![(log, last.head())];
            self.todo.push_back(Input::Heads { space: SPACE, heads });
        } else {
            let tell = |entry: Entry| Input::Appended { space: SPACE, entry: entry.into() };
            self.todo.extend(fresh.into_iter().map(tell));
        }
    }

    pub(super) fn head(&self, space: SpaceId, log: LogId) -> Head {
        self.logs.get(&(space, log)).and_then(|log| log.last()).map_or(Head::EMPTY, Entry::head)
    }

    fn heads(&self, space: SpaceId) -> Heads {
        let logs = self.logs.keys().filter(|(of, _)| *of == space);
        Heads(logs.map(|(_, log)| (*log, self.head(space, *log))).collect())
    }

    /// What the logs say of the membership, ahead of its place.
    fn acts(&self, space: SpaceId, ahead: &BTreeMap<LogId, RangeInclusive<u64>>) -> Vec<Entry> {
        let of = |(log, range): (&LogId, &RangeInclusive<u64>)| {
            let entries = self.logs.get(&(space, *log)).into_iter().flatten();
            let within = entries.filter(|entry| range.contains(&entry.header.seq));
            within.filter(|entry| entry.header.kind.is_membership()).cloned().collect::<Vec<_>>()
        };
        ahead.iter().flat_map(of).collect()
    }

    fn load(&self, space: SpaceId, wants: &[(LogId, u64)], max_bytes: usize) -> Vec<Entry> {
        let from = |(log, from): &(LogId, u64)| self.logs[&(space, *log)][*from as usize - 1..].to_vec();
        let mut size = 0;
        let mut entries: Vec<Entry> = wants.iter().flat_map(from).collect();
        entries.sort_by_key(|entry| (entry.header.hlc, entry.header.log));
        entries.retain(|entry| {
            size += entry.body.len();
            size - entry.body.len() < max_bytes
        });
        entries
    }

    fn ingest(&mut self, space: SpaceId, entries: Vec<Entry>, bytes: u32) {
        let (mut rejected, mut durable) = (Vec::new(), BTreeMap::new());
        for entry in entries {
            let log = entry.header.log;
            // Only these were ever signed: it takes the place of checking a signature.
            let is_signed =
                self.signed.iter().any(|log| log.get(entry.header.seq as usize - 1) == Some(&entry));
            let (head, known) = (self.head(space, log), self.unknown != Some(log.device));
            if self.is_past_a_fork(space, &entry) {
                continue;
            }
            let here = self.logs.get(&(space, log)).and_then(|log| log.get(entry.header.seq as usize - 1));
            let forked = here.is_some_and(|here| *here != entry)
                || entry.header.seq == head.seq + 1 && entry.header.prev != head.hash;
            let is_ahead = entry.header.kind.is_membership() && entry.header.seq > head.seq + 1;
            if is_signed && known && space == SPACE && is_ahead {
                self.ahead += 1;
                continue;
            }
            if is_signed && known && space == SPACE && entry.header.prev == head.hash {
                self.logs.entry((space, log)).or_default().push(entry);
            } else if entry.header.seq > head.seq {
                if !known {
                    self.was_unknown = self.unknown;
                }
                rejected.push(Rejection { log, forked: forked && is_signed && known });
            } else if forked && is_signed && known {
                rejected.push(Rejection { log, forked });
            }
            durable.insert(log, self.head(space, log));
        }
        let durable = durable.into_iter().filter(|(_, head)| head.seq > 0).collect();
        self.todo.push_back(Input::Ingested { space, durable, rejected, bytes });
    }

    /// Nobody meddled and both have come to rest: what both share they hold alike.
    pub(super) fn must_agree_with(&self, other: &Self) {
        let shared = |end: &Self| end.opened.contains(&SPACE);
        let reads = |end: &Self| end.may_read.contains(&SPACE);
        if !shared(self) || !shared(other) {
            return;
        }
        let lines = |end: &Self| end.known_forks.values().map(Evidence::line).collect::<Vec<_>>();
        let both_read = reads(self) && reads(other);
        if both_read {
            assert_eq!(lines(self), lines(other), "both know of the same forks");
        }
        for (n, actor) in ACTORS.iter().enumerate().take(3) {
            let (mine, theirs) = (self.head(SPACE, actor.log()), other.head(SPACE, actor.log()));
            let known = |end: &Self| end.unknown != Some(actor.id());
            let passes =
                if mine.seq > theirs.seq { reads(self) && known(other) } else { reads(other) && known(self) };
            // Who may not read hears nothing of forks.
            let is_fork = n == 2 && self.role.forked != other.role.forked && !both_read;
            assert!(
                mine == theirs || !passes || is_fork,
                "log {n} stands at {} and {}",
                mine.seq,
                theirs.seq
            );
        }
    }
}

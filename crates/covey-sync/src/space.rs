//! The state of one shared space within a session.
//!
//! Entries are packed as `log reference | entry` after each other: reference 0 introduces a log (device,
//! incarnation), a larger one names the log introduced at that place; the entry follows as in
//! `covey_log::delta`.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use covey_log::{Entry, ForkLine, Frozen, Kind, delta};
use covey_types::{
    DeviceId, EntryHash, Head, Heads, Incarnation, LogId, SpaceId, limits::MAX_LOGS_PER_SPACE,
    wire::DecodeError,
};

use crate::{
    Tag,
    forks::Forks,
    frame::{AckLine, AgainLine, HeadLine},
    session::SessionError,
};

/// A space that this side would share with the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Which.
    pub space: SpaceId,
    /// The tag that this side shows.
    pub mine: Tag,
    /// The tag by which the peer would show that it's in it.
    pub theirs: Tag,
}

/// How a space stands between this node and the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct PeerView {
    /// Entries that the peer has and this node has not stored yet.
    pub missing_here: u64,
    /// Entries that this node has and the peer has not acknowledged as durable.
    pub missing_there: u64,
    /// Whether both sides have told how far their logs reach.
    pub heads_known: bool,
    /// Whether the peer refuses to share it.
    pub refused: bool,
    /// Logs that stand still because the two sides hold different entries for one place.
    pub forked_logs: u64,
    /// Whether the peer was put out, and is sent no more than what tells it so.
    pub farewell: bool,
    /// Whether the peer may send all the same.
    pub takes: bool,
}

impl PeerView {
    /// Whether nothing will come of the space in this session: one side was put out, and knows it as far as it can.
    pub const fn is_over(&self) -> bool {
        self.heads_known
            && (self.farewell && self.missing_there == 0 && (!self.takes || self.missing_here == 0)
                || self.refused && self.missing_here == 0)
    }
}

/// How much of a log the peer is known to hold durably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLog {
    /// Which log.
    pub log: LogId,
    /// Up to where the peer holds the same history as this side: never past the end of it here.
    pub seq: u64,
    /// How far it reaches here.
    pub of: u64,
}

/// Why the rest of a log can't be stored for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The log.
    pub log: LogId,
    /// Whether it contradicts what is here; otherwise its author is not known to be a member yet.
    pub forked: bool,
}

#[derive(Debug)]
struct Outgoing {
    index: u32,
    context: delta::Context,
}

/// One space that both sides know to share.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is about something of its own")]
pub(crate) struct SharedSpace {
    pub(crate) id: SpaceId,
    /// Whether the driver let the peer read it.
    pub(crate) may_send: bool,
    /// The peer's refusal.
    pub(crate) refused: bool,
    /// A peer that was put out may send all the same.
    takes: bool,
    /// The peer was put out: it's sent `mine` as it was in the beginning, refused or not, and nothing that came later.
    farewell: bool,
    /// What this node has, durably.
    mine: Heads,
    /// How far the peer's logs reach, as it told or as follows from what it sent.
    theirs: Option<Heads>,
    /// Up to where entries were sent or came from the peer.
    passed: BTreeMap<LogId, u64>,
    /// Up to where the peer was sent what logs say of the membership, ahead of its place.
    told: BTreeMap<LogId, u64>,
    /// What is to be sent ahead of its place, as soon as anything may be sent.
    ahead: Vec<Entry>,
    /// Up to where the peer has them durably.
    acked: BTreeMap<LogId, u64>,
    /// Logs of which that has changed since [`SharedSpace::take_held`].
    acked_news: BTreeSet<LogId>,
    outgoing: BTreeMap<LogId, Outgoing>,
    introduced: Vec<LogId>,
    incoming: Vec<(LogId, delta::Context)>,
    stopped: BTreeMap<LogId, bool>,
    /// Logs that reach further here than passed to the peer and aren't stopped: kept up to date by [`SharedSpace::look_at`],
    /// since with many logs it takes long to find them.
    behind: BTreeSet<LogId>,
    /// Whether the last load gave nothing of what is lacking: it's not asked for again before something has changed.
    dry: bool,
    /// Logs of which something came that could not be stored, because their authors are not known yet.
    unstored: BTreeSet<LogId>,
    /// Logs with two histories.
    pub(crate) forks: Forks,
}

impl SharedSpace {
    pub(crate) fn new(id: SpaceId, mine: Heads, may_send: bool) -> Self {
        Self {
            id,
            may_send,
            takes: false,
            refused: false,
            farewell: false,
            theirs: None,
            passed: BTreeMap::new(),
            told: BTreeMap::new(),
            ahead: Vec::new(),
            acked: BTreeMap::new(),
            acked_news: BTreeSet::new(),
            outgoing: BTreeMap::new(),
            introduced: Vec::new(),
            incoming: Vec::new(),
            stopped: BTreeMap::new(),
            behind: mine.0.iter().filter(|(_, head)| head.seq > 0).map(|(log, _)| *log).collect(),
            mine,
            dry: false,
            unstored: BTreeSet::new(),
            forks: Forks::default(),
        }
    }

    /// For a peer that was put out: it hears this much, and no more; it may go on sending if this end `takes` it.
    pub(crate) fn farewell(id: SpaceId, heads: Heads, takes: bool) -> Self {
        Self { farewell: true, takes, ..Self::new(id, heads, true) }
    }

    /// Whether the peer was put out, and hears no more than it takes to know that.
    pub(crate) fn is_farewell(&self) -> bool {
        self.farewell
    }

    /// Whether entries may go to the peer now.
    const fn sends(&self) -> bool {
        self.may_send && (!self.refused || self.farewell) && self.theirs.is_some()
    }

    pub(crate) fn head_lines(&self) -> Vec<HeadLine> {
        self.mine.0.iter().map(|(log, head)| HeadLine { log: *log, head: *head }).collect()
    }

    /// Takes the peer's heads; gives the logs whose heads contradict ours.
    pub(crate) fn take_heads(&mut self, lines: Vec<HeadLine>) -> Result<Vec<LogId>, SessionError> {
        if self.theirs.is_some() {
            return Err(SessionError::Protocol("the heads of a space came twice"));
        }
        let theirs = Heads(lines.iter().map(|line| (line.log, line.head)).collect());
        let mut forks = Vec::new();
        for (log, head) in &theirs.0 {
            let mine = self.mine.head(log);
            let is_known = self.forks.end(log).is_some_and(|end| head.seq > end);
            let differs = mine.hash != EntryHash::NONE && mine.hash != head.hash;
            if mine.seq == head.seq && differs && !is_known {
                forks.push(*log);
                self.stopped.insert(*log, true);
            }
            raise(&mut self.passed, *log, head.seq);
            let known = self.known_of(log, *head);
            raise(&mut self.acked, *log, known);
            self.look_at(log);
        }
        // Of a log that the peer doesn't name it holds nothing: that is news too.
        self.acked_news.extend(self.mine.0.keys());
        self.theirs = Some(theirs);
        Ok(forks)
    }

    /// Up to where a peer that says its log reaches to `theirs` holds what is here. Of a log that is longer there it may be
    /// another history, as long as the place up to which it's here isn't seen there; up to where a forked log parts they
    /// are the same.
    fn known_of(&self, log: &LogId, theirs: Head) -> u64 {
        let mine = self.mine.head(log);
        let can_be_same = theirs.seq < mine.seq
            || theirs.seq == mine.seq
                && (theirs.hash == mine.hash || [theirs.hash, mine.hash].contains(&EntryHash::NONE));
        match self.forks.before_parting(log) {
            _ if can_be_same => theirs.seq,
            Some(same) => same.min(mine.seq).min(theirs.seq),
            None => 0,
        }
    }

    /// What to load next: the logs that reach further here than passed to the peer.
    pub(crate) fn backlog(&self) -> Vec<(LogId, u64)> {
        if !self.sends() {
            return Vec::new();
        }
        self.behind.iter().map(|log| (*log, self.passed(log) + 1)).collect()
    }

    /// Whether there is anything to load.
    pub(crate) fn has_backlog(&self) -> bool {
        self.sends() && !self.dry && !self.behind.is_empty()
    }

    /// Sees whether there's something of a log to load, after anything about it has changed.
    fn look_at(&mut self, log: &LogId) {
        if self.counts(log, self.mine.head(log).seq) > self.passed(log) && !self.stopped.contains_key(log) {
            self.behind.insert(*log);
        } else {
            self.behind.remove(log);
        }
    }

    /// Whether what is kept of [`SharedSpace::behind`] is what follows from the rest.
    #[cfg(test)]
    pub(crate) fn is_sound(&self) -> bool {
        let is_behind = |(log, head): (&LogId, &Head)| {
            self.counts(log, head.seq) > self.passed(log) && !self.stopped.contains_key(log)
        };
        self.mine.0.iter().filter(|line| is_behind(*line)).map(|(log, _)| log).eq(&self.behind)
    }

    fn passed(&self, log: &LogId) -> u64 {
        self.passed.get(log).copied().unwrap_or(0)
    }

    /// Whether exactly this entry is what the peer lacks next of its log.
    pub(crate) fn lacks_next(&self, entry: &Entry) -> bool {
        let log = &entry.header.log;
        self.sends()
            && !self.stopped.contains_key(log)
            && (!self.farewell || entry.header.seq <= self.mine.head(log).seq)
            && self.counts(log, entry.header.seq) == entry.header.seq
            && self.passed(log).checked_add(1) == Some(entry.header.seq)
    }

    /// Whether the peer lacks an entry that was loaded from place `from` of its log on. Places in between are passed over
    /// where the log was compacted here: then what was loaded is all that there is.
    pub(crate) fn lacks_loaded(&self, entry: &Entry, from: u64) -> bool {
        let (log, passed) = (&entry.header.log, self.passed(&entry.header.log));
        let is_open = self.sends()
            && !self.stopped.contains_key(log)
            && (!self.farewell || entry.header.seq <= self.mine.head(log).seq);
        // If the peer went back meanwhile, what it wants again comes first.
        is_open && passed < entry.header.seq && passed.saturating_add(1) >= from
    }

    /// Which places of the logs that are behind the peer was not told of ahead: what they say of the membership may go there.
    pub(crate) fn ahead(&self) -> BTreeMap<LogId, RangeInclusive<u64>> {
        let range = |log: &LogId| self.told(log) + 1..=self.counts(log, self.mine.head(log).seq);
        let ranges = self.behind.iter().map(|log| (*log, range(log)));
        ranges.filter(|(_, range)| !range.is_empty()).collect()
    }

    /// Up to where the peer was told of the membership in a log, ahead of its place or in it.
    fn told(&self, log: &LogId) -> u64 {
        self.passed(log).max(self.told.get(log).copied().unwrap_or(0))
    }

    /// Packs what a load, which looked from a place of its log on, says of the membership ahead of its place.
    pub(crate) fn pack_act(&mut self, entry: &Entry, from: u64, out: &mut Vec<u8>) {
        let (log, seq) = (&entry.header.log, entry.header.seq);
        let is_open = self.sends() && !self.stopped.contains_key(log) && self.counts(log, seq) == seq;
        // If the peer went back meanwhile, what it wants again comes first.
        let is_lacking = seq > self.told(log) && from <= self.told(log) + 1 && seq <= self.mine.head(log).seq;
        if is_open && is_lacking && raise(&mut self.told, *log, seq) {
            self.put(entry, out);
        }
    }

    /// Takes what lies apart from its log here, to be sent as soon as anything may be.
    pub(crate) fn send_ahead(&mut self, mut acts: Vec<Entry>) {
        acts.retain(|entry| entry.header.kind.is_membership());
        self.ahead = acts;
    }

    /// What lies apart, once it may be sent. Whoever was put out gets none of it.
    pub(crate) fn take_ahead(&mut self) -> Option<Vec<Entry>> {
        let may = self.sends() && !self.farewell && !self.ahead.is_empty();
        may.then(|| std::mem::take(&mut self.ahead))
    }

    /// Notes that nothing was there to be sent of what was asked for: of each log, from which place on.
    pub(crate) fn gave_nothing(&mut self, asked: &BTreeMap<LogId, u64>) {
        self.dry = asked.iter().all(|(log, from)| self.passed(log).saturating_add(1) == *from);
    }

    /// How much of so many entries of a log counts.
    fn counts(&self, log: &LogId, seq: u64) -> u64 {
        self.forks.end(log).map_or(seq, |end| seq.min(end))
    }

    /// Notes which logs have two histories, and which end elsewhere here than they did. Whether something is wanted again.
    pub(crate) fn freeze(&mut self, lines: &[Frozen], heads: &[(LogId, Head)]) -> bool {
        self.dry = false;
        self.forks.learn(lines);
        for Frozen { line: ForkLine { log, .. }, end } in lines {
            // Where the histories part is known to both, or will be: there's nothing to wait for.
            self.stopped.remove(log);
            self.acked_news.insert(*log);
            if self.mine.head(log).seq > *end {
                self.mine.0.insert(*log, Head { seq: *end, hash: EntryHash::NONE });
            }
            if let Some(theirs) = self.theirs.as_ref().map(|theirs| theirs.head(log)) {
                let known = self.known_of(log, theirs);
                raise(&mut self.acked, *log, known);
            }
            self.look_at(log);
        }
        for (log, head) in heads {
            if self.mine.head(log).seq >= head.seq {
                self.mine.0.insert(*log, *head);
            } else {
                self.advance(*log, *head);
            }
            // It goes on with a history that isn't here, or not all of it: that's to come again from where they part.
            if self.forks.end(log) != Some(head.seq) {
                self.stopped.remove(log);
                self.unstored.insert(*log);
            }
            self.look_at(log);
        }
        self.has_wishes()
    }

    /// The two sides have different histories of a log, and where they part is being looked for.
    pub(crate) fn is_searched(&mut self, log: LogId) {
        if self.forks.end(&log).is_none() {
            self.stopped.insert(log, true);
            self.acked_news.insert(log);
            self.look_at(&log);
        }
    }

    /// Notes that a log reaches to `head` here.
    pub(crate) fn advance(&mut self, log: LogId, head: Head) {
        self.dry = false;
        if self.farewell {
            return;
        }
        self.mine.advance(log, head);
        self.look_at(&log);
        let Some(theirs) = self.theirs.as_ref().map(|theirs| theirs.head(&log)) else { return };
        let known = self.known_of(&log, theirs);
        if raise(&mut self.acked, log, known) {
            self.acked_news.insert(log);
        }
    }

    /// Packs an entry for the peer.
    pub(crate) fn pack(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        self.put(entry, out);
        self.pass(entry);
    }

    /// Packs an entry, wherever it stands.
    pub(crate) fn put(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        let log = entry.header.log;
        if let Some(outgoing) = self.outgoing.get_mut(&log) {
            put_reference(out, outgoing.index + 1);
            outgoing.context.encode(entry, out);
        } else {
            put_reference(out, 0);
            out.extend_from_slice(&log.device.0);
            out.extend_from_slice(&log.incarnation.0.to_le_bytes());
            let mut context = delta::Context::new(self.id, log);
            context.encode(entry, out);
            self.outgoing.insert(log, Outgoing { index: self.introduced.len() as u32, context });
            self.introduced.push(log);
        }
    }

    /// Packs an agreement for a peer that has another history of its log: the peer will ask for the one that counts.
    pub(crate) fn send_agreed(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        self.stopped.remove(&entry.header.log);
        let passed = self.passed(&entry.header.log);
        self.pack(entry, out);
        self.passed.insert(entry.header.log, passed);
        self.look_at(&entry.header.log);
    }

    /// Notes that an entry passed. An agreement on a checkpoint goes before that checkpoint, though it stands behind it, and
    /// comes again in its place.
    fn pass(&mut self, entry: &Entry) {
        let (log, seq) = (entry.header.log, entry.header.seq);
        if entry.header.kind != Kind::AGREED || self.passed(&log).checked_add(1) == Some(seq) {
            raise(&mut self.passed, log, seq);
            self.look_at(&log);
        }
    }

    /// Unpacks the entries of a frame.
    pub(crate) fn unpack(&mut self, packed: &[u8]) -> Result<Vec<Entry>, SessionError> {
        let entries = self.unpack_any(packed)?;
        for entry in &entries {
            self.pass(entry);
            if let Some(theirs) = &mut self.theirs {
                theirs.advance(entry.header.log, entry.head());
            }
        }
        Ok(entries)
    }

    /// Unpacks what a frame says of the membership ahead of its place: how far the peer's logs reach doesn't follow from it.
    pub(crate) fn unpack_acts(&mut self, packed: &[u8]) -> Result<Vec<Entry>, SessionError> {
        let entries = self.unpack_any(packed)?;
        if entries.iter().any(|entry| !entry.header.kind.is_membership()) {
            return Err(SessionError::Protocol(
                "an entry ahead of its place that says nothing of the membership",
            ));
        }
        Ok(entries)
    }

    fn unpack_any(&mut self, mut packed: &[u8]) -> Result<Vec<Entry>, SessionError> {
        let mut entries = Vec::new();
        while !packed.is_empty() {
            let index = self.take_reference(&mut packed)?;
            let (_, context) = &mut self.incoming[index];
            entries.push(context.decode(&mut packed).map_err(SessionError::Entry)?);
        }
        if entries.is_empty() {
            // Two bytes would cost a transaction here.
            return Err(SessionError::Protocol("it sent a frame of entries without any"));
        }
        Ok(entries)
    }

    fn take_reference(&mut self, packed: &mut &[u8]) -> Result<usize, SessionError> {
        let (reference, rest): (u32, &[u8]) =
            postcard::take_from_bytes(packed).map_err(|err| DecodeError::malformed("a log's place", err))?;
        *packed = rest;
        if reference > 0 {
            let index = reference as usize - 1;
            return if index < self.incoming.len() {
                Ok(index)
            } else {
                Err(SessionError::Protocol("an entry of a log that was not introduced"))
            };
        }
        let (device, rest) = packed
            .split_first_chunk::<32>()
            .ok_or(SessionError::Protocol("a log's introduction ends early"))?;
        let (incarnation, rest) =
            rest.split_first_chunk::<8>().ok_or(SessionError::Protocol("a log's introduction ends early"))?;
        *packed = rest;
        if self.incoming.len() >= MAX_LOGS_PER_SPACE {
            return Err(SessionError::Protocol("more logs than a space may have"));
        }
        let log =
            LogId { device: DeviceId(*device), incarnation: Incarnation(u64::from_le_bytes(*incarnation)) };
        if self.incoming.iter().any(|(known, _)| *known == log) {
            return Err(SessionError::Protocol("a log was introduced twice"));
        }
        self.incoming.push((log, delta::Context::new(self.id, log)));
        Ok(self.incoming.len() - 1)
    }

    /// The acknowledgement for logs that are durable here up to these places.
    pub(crate) fn ack_lines(&self, durable: &[(LogId, Head)]) -> Vec<AckLine> {
        durable
            .iter()
            .filter_map(|(log, head)| {
                let index = self.incoming.iter().position(|(known, _)| known == log)?;
                // Who was put out doesn't learn how far a log reaches of which it sent the beginning.
                let most = if self.farewell { self.theirs.as_ref()?.head(log).seq } else { u64::MAX };
                Some(AckLine { log: index as u32, seq: head.seq.min(most) })
            })
            .collect()
    }

    /// Takes the peer's acknowledgement.
    pub(crate) fn take_ack(&mut self, lines: &[AckLine]) -> Result<(), SessionError> {
        for line in lines {
            let log = *self
                .introduced
                .get(line.log as usize)
                .ok_or(SessionError::Protocol("an acknowledgement of a log that was not introduced"))?;
            // More than was sent from here is no lie: the peer may have the rest from somebody else.
            raise(&mut self.passed, log, line.seq);
            self.look_at(&log);
            if raise(&mut self.acked, log, line.seq.min(self.mine.head(&log).seq)) {
                self.acked_news.insert(log);
            }
        }
        Ok(())
    }

    /// The logs of which the peer is known to hold more, or less, than when this was asked last. Nothing before its heads
    /// are known. At first that is every log of this side.
    pub(crate) fn take_held(&mut self) -> Vec<HeldLog> {
        if self.theirs.is_none() {
            return Vec::new();
        }
        let held = |log: LogId| {
            let of = self.mine.head(&log).seq;
            // While the two have different histories of it, how far the peer's reaches says nothing.
            let differs = self.stopped.get(&log) == Some(&true);
            let acked = if differs { 0 } else { self.acked.get(&log).copied().unwrap_or(0) };
            HeldLog { log, seq: self.counts(&log, acked).min(of), of }
        };
        let news = self.acked_news.iter().map(|log| held(*log)).collect();
        self.acked_news.clear();
        news
    }

    /// Notes that something of a log could not be stored; whether that is news of a fork.
    pub(crate) fn stop(&mut self, rejection: Rejection) -> bool {
        if rejection.forked {
            self.acked_news.insert(rejection.log);
            let is_news = self.forks.end(&rejection.log).is_none()
                && self.stopped.insert(rejection.log, true).is_none();
            self.look_at(&rejection.log);
            return is_news;
        }
        self.unstored.insert(rejection.log);
        false
    }

    /// Whether there are logs that could not be stored before.
    pub(crate) fn has_wishes(&self) -> bool {
        !self.unstored.is_empty()
    }

    /// The logs that could not be stored before, and from where on they are missing.
    pub(crate) fn wishes(&mut self) -> Vec<AgainLine> {
        let line = |log: LogId| AgainLine { log, from: self.mine.head(&log).seq + 1 };
        std::mem::take(&mut self.unstored).into_iter().map(line).collect()
    }

    /// Goes back to where the peer wants logs again.
    pub(crate) fn go_back(&mut self, lines: &[AgainLine]) {
        self.dry = false;
        for line in lines {
            if let Some(passed) = self.passed.get_mut(&line.log) {
                *passed = (*passed).min(line.from.saturating_sub(1));
            }
            // What couldn't be stored of it may be what went ahead.
            self.told.remove(&line.log);
            self.look_at(&line.log);
        }
    }

    pub(crate) fn view(&self) -> PeerView {
        // A peer can claim any place: the sum must not overflow.
        let ahead =
            |(log, head): (&LogId, &Head)| self.counts(log, head.seq).saturating_sub(self.mine.head(log).seq);
        let missing_here =
            self.theirs.as_ref().map_or(0, |theirs| theirs.0.iter().map(ahead).fold(0, u64::saturating_add));
        let missing_there = if self.theirs.is_some() {
            // What the peer says that it has is not sent, whatever it is.
            let there = |log: &LogId| {
                let said = self.theirs.as_ref().map_or(0, |theirs| theirs.head(log).seq);
                said.max(self.acked.get(log).copied().unwrap_or(0))
            };
            self.mine.0.iter().map(|(log, head)| head.seq.saturating_sub(there(log))).sum()
        } else {
            self.mine.total()
        };
        PeerView {
            missing_here,
            missing_there,
            heads_known: self.theirs.is_some(),
            refused: self.refused,
            forked_logs: self.stopped.values().filter(|forked| **forked).count() as u64,
            farewell: self.farewell,
            takes: self.takes,
        }
    }
}

/// Whether that is more than it was.
fn raise(map: &mut BTreeMap<LogId, u64>, log: LogId, seq: u64) -> bool {
    let slot = map.entry(log).or_insert(0);
    let is_more = seq > *slot;
    *slot = (*slot).max(seq);
    is_more
}

fn put_reference(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

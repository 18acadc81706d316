//! The state of one shared space within a session.
//!
//! Entries are packed as `log reference | entry` after each other: reference 0 introduces a log (device,
//! incarnation), a larger one names the log introduced at that place; the entry follows as in
//! `covey_log::delta`.

use std::collections::{BTreeMap, BTreeSet};

use covey_log::{Entry, delta};
use covey_types::{
    DeviceId, Head, Heads, Incarnation, LogId, SpaceId, limits::MAX_LOGS_PER_SPACE, wire::DecodeError,
};

use crate::{
    Tag,
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
pub(crate) struct SharedSpace {
    pub(crate) id: SpaceId,
    /// Whether the driver let the peer read it.
    pub(crate) may_send: bool,
    /// The peer's refusal.
    pub(crate) refused: bool,
    /// What this node has, durably.
    mine: Heads,
    /// How far the peer's logs reach, as it told or as follows from what it sent.
    theirs: Option<Heads>,
    /// Up to where entries were sent or came from the peer.
    passed: BTreeMap<LogId, u64>,
    /// Up to where the peer has them durably.
    acked: BTreeMap<LogId, u64>,
    outgoing: BTreeMap<LogId, Outgoing>,
    introduced: Vec<LogId>,
    incoming: Vec<(LogId, delta::Context)>,
    stopped: BTreeMap<LogId, bool>,
    /// Logs of which something came that could not be stored, because their authors are not known yet.
    unstored: BTreeSet<LogId>,
}

impl SharedSpace {
    pub(crate) fn new(id: SpaceId, mine: Heads, may_send: bool) -> Self {
        Self {
            id,
            may_send,
            refused: false,
            mine,
            theirs: None,
            passed: BTreeMap::new(),
            acked: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            introduced: Vec::new(),
            incoming: Vec::new(),
            stopped: BTreeMap::new(),
            unstored: BTreeSet::new(),
        }
    }

    pub(crate) fn head_lines(&self) -> Vec<HeadLine> {
        self.mine.0.iter().map(|(log, head)| HeadLine { log: *log, head: *head }).collect()
    }

    /// Takes the peer's heads; gives the logs whose heads contradict ours.
    pub(crate) fn take_heads(
        &mut self,
        lines: Vec<HeadLine>,
    ) -> Result<Vec<(LogId, Head, Head)>, SessionError> {
        if self.theirs.is_some() {
            return Err(SessionError::Protocol("the heads of a space came twice"));
        }
        let theirs = Heads(lines.iter().map(|line| (line.log, line.head)).collect());
        let mut forks = Vec::new();
        for (log, head) in &theirs.0 {
            let mine = self.mine.head(log);
            if mine.seq == head.seq && mine.hash != head.hash {
                forks.push((*log, mine, *head));
                self.stopped.insert(*log, true);
            }
            raise(&mut self.passed, *log, head.seq);
            raise(&mut self.acked, *log, head.seq.min(mine.seq));
        }
        self.theirs = Some(theirs);
        Ok(forks)
    }

    /// What to load next: the logs that reach further here than passed to the peer.
    pub(crate) fn backlog(&self) -> Vec<(LogId, u64)> {
        if !self.may_send || self.refused || self.theirs.is_none() {
            return Vec::new();
        }
        let open = |(log, head): (&LogId, &Head)| {
            let passed = self.passed(log);
            (head.seq > passed && !self.stopped.contains_key(log)).then_some((*log, passed + 1))
        };
        self.mine.0.iter().filter_map(open).collect()
    }

    /// Whether there is anything to load.
    pub(crate) fn has_backlog(&self) -> bool {
        let open =
            |(log, head): (&LogId, &Head)| head.seq > self.passed(log) && !self.stopped.contains_key(log);
        self.may_send && !self.refused && self.theirs.is_some() && self.mine.0.iter().any(open)
    }

    fn passed(&self, log: &LogId) -> u64 {
        self.passed.get(log).copied().unwrap_or(0)
    }

    /// Whether exactly this entry is what the peer lacks next of its log.
    pub(crate) fn lacks_next(&self, entry: &Entry) -> bool {
        let log = &entry.header.log;
        self.may_send
            && !self.refused
            && self.theirs.is_some()
            && !self.stopped.contains_key(log)
            && self.passed(log).checked_add(1) == Some(entry.header.seq)
    }

    /// Notes that a log reaches to `head` here.
    pub(crate) fn advance(&mut self, log: LogId, head: Head) {
        self.mine.advance(log, head);
        let known = self.theirs.as_ref().map_or(0, |theirs| theirs.head(&log).seq);
        if known > 0 {
            raise(&mut self.acked, log, known.min(head.seq));
        }
    }

    /// Packs an entry for the peer.
    pub(crate) fn pack(&mut self, entry: &Entry, out: &mut Vec<u8>) {
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
        raise(&mut self.passed, log, entry.header.seq);
    }

    /// Unpacks the entries of a frame.
    pub(crate) fn unpack(&mut self, mut packed: &[u8]) -> Result<Vec<Entry>, SessionError> {
        let mut entries = Vec::new();
        while !packed.is_empty() {
            let index = self.take_reference(&mut packed)?;
            let (log, context) = &mut self.incoming[index];
            let entry = context.decode(&mut packed).map_err(SessionError::Entry)?;
            raise(&mut self.passed, *log, entry.header.seq);
            if let Some(theirs) = &mut self.theirs {
                theirs.advance(*log, entry.head());
            }
            entries.push(entry);
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
                Some(AckLine { log: index as u32, seq: head.seq })
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
            raise(&mut self.acked, log, line.seq.min(self.mine.head(&log).seq));
        }
        Ok(())
    }

    pub(crate) fn stop(&mut self, rejection: Rejection) {
        if rejection.forked {
            self.stopped.insert(rejection.log, true);
        } else {
            self.unstored.insert(rejection.log);
        }
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
        for line in lines {
            if let Some(passed) = self.passed.get_mut(&line.log) {
                *passed = (*passed).min(line.from.saturating_sub(1));
            }
        }
    }

    pub(crate) fn view(&self) -> PeerView {
        // A peer can claim any place: the sum must not overflow.
        let ahead = |(log, head): (&LogId, &Head)| head.seq.saturating_sub(self.mine.head(log).seq);
        let missing_here =
            self.theirs.as_ref().map_or(0, |theirs| theirs.0.iter().map(ahead).fold(0, u64::saturating_add));
        let missing_there = if self.theirs.is_some() {
            self.mine
                .0
                .iter()
                .map(|(log, head)| head.seq.saturating_sub(self.acked.get(log).copied().unwrap_or(0)))
                .sum()
        } else {
            self.mine.total()
        };
        PeerView {
            missing_here,
            missing_there,
            heads_known: self.theirs.is_some(),
            refused: self.refused,
            forked_logs: self.stopped.values().filter(|forked| **forked).count() as u64,
        }
    }
}

fn raise(map: &mut BTreeMap<LogId, u64>, log: LogId, seq: u64) {
    let slot = map.entry(log).or_insert(0);
    *slot = (*slot).max(seq);
}

fn put_reference(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

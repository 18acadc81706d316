//! What this side owes the peer and has not said yet.
//!
//! A peer that sends and never reads must not make answers pile up. So they are kept as what they say, not as frames:
//! of each log the newest place, of each space one sum of bytes. There's never more here than logs that the peer has
//! introduced, and spaces that are shared with it; and of searches no more than [`MAX_SEARCHES`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use covey_log::{Compared, Entry};
use covey_types::{LogId, SpaceId};

use crate::frame::AckLine;

/// Searches for where a log parts that may wait in a session: as many as logs that one device may have. One more is not
/// begun, and found by the next session.
pub(crate) const MAX_SEARCHES: usize = covey_types::limits::MAX_LOGS_PER_DEVICE;

/// Answers that are due, in turn by space.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    acks: BTreeMap<SpaceId, Due>,
    again: BTreeSet<SpaceId>,
    /// Steps of searches, one for each log at a time.
    searches: BTreeMap<(SpaceId, LogId), Option<Compared>>,
    /// Spaces in which something is to be told of forks.
    forks: BTreeSet<SpaceId>,
    /// Evidence that was asked for: one at a time, and as long as there's room in the window.
    evidence: Option<(SpaceId, Vec<u8>)>,
    /// Each space that is in one of the two is here once for it.
    turns: VecDeque<(SpaceId, bool)>,
}

/// What is due for one space.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Up to where each log is durable, by the place at which the peer introduced it.
    places: BTreeMap<u32, u64>,
    /// Bytes that the peer gets back.
    pub(crate) credit: u64,
    /// Not an acknowledgement, but a wish to have logs again.
    pub(crate) again: bool,
}

impl Due {
    pub(crate) fn lines(&self) -> Vec<AckLine> {
        self.places.iter().map(|(log, seq)| AckLine { log: *log, seq: *seq }).collect()
    }
}

impl Owed {
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Adds to the acknowledgement of a space.
    pub(crate) fn ack(&mut self, space: SpaceId, lines: Vec<AckLine>, credit: u64) {
        if !self.acks.contains_key(&space) {
            self.turns.push_back((space, false));
        }
        let due = self.acks.entry(space).or_default();
        due.credit += credit;
        for line in lines {
            let place = due.places.entry(line.log).or_default();
            *place = line.seq.max(*place);
        }
    }

    /// The logs that a space misses are to be asked for again.
    pub(crate) fn again(&mut self, space: SpaceId) {
        if self.again.insert(space) {
            self.turns.push_back((space, true));
        }
    }

    /// Whether a step of a search may be taken: none is for this log, and there aren't too many. It stays so until
    /// [`Owed::compared`].
    pub(crate) fn search(&mut self, space: SpaceId, log: LogId) -> bool {
        let room = self.searches.len() < MAX_SEARCHES && !self.searches.contains_key(&(space, log));
        if room {
            self.searches.insert((space, log), None);
        }
        room
    }

    /// What came of a step of a search; it's told to the peer, if there's something to tell.
    pub(crate) fn compared(&mut self, space: SpaceId, log: LogId, answer: Compared) {
        let room = self.searches.len() < MAX_SEARCHES || self.searches.contains_key(&(space, log));
        match answer {
            Compared::Same => drop(self.searches.remove(&(space, log))),
            answer if room => drop(self.searches.insert((space, log), Some(answer))),
            _ => {}
        }
    }

    /// Whether a step of a search is to be told.
    pub(crate) fn has_compared(&self) -> bool {
        self.searches.values().any(|answer| is_answer(answer.as_ref()))
    }

    /// The next step of a search.
    pub(crate) fn pop_compared(&mut self) -> Option<(SpaceId, LogId, Compared)> {
        let (space, log) = *self.searches.iter().find(|(_, answer)| is_answer(answer.as_ref()))?.0;
        let answer = self.searches.remove(&(space, log))??;
        Some((space, log, answer))
    }

    /// The next agreement that ends a search. It's an entry, so it goes among the entries, whose order their packing needs.
    pub(crate) fn pop_agreed(&mut self) -> Option<(SpaceId, Box<Entry>)> {
        let is_agreed = |answer: &Option<Compared>| matches!(answer, Some(Compared::Agreed(_)));
        let (space, log) = *self.searches.iter().find(|(_, answer)| is_agreed(answer))?.0;
        match self.searches.remove(&(space, log))?? {
            Compared::Agreed(entry) => Some((space, entry)),
            Compared::Same | Compared::Points(_) | Compared::Branch(_) => None,
        }
    }

    /// Something is to be told of forks in this space, or asked.
    pub(crate) fn forks(&mut self, space: SpaceId) {
        self.forks.insert(space);
    }

    /// Whether something is to be told of forks.
    pub(crate) fn has_forks(&self) -> bool {
        !self.forks.is_empty()
    }

    /// The next space in which something is to be told of forks.
    pub(crate) fn pop_forks(&mut self) -> Option<SpaceId> {
        self.forks.pop_first()
    }

    /// Evidence that is to be sent.
    pub(crate) fn send_evidence(&mut self, space: SpaceId, evidence: Vec<u8>) {
        self.evidence = Some((space, evidence));
    }

    /// The length of the evidence that is to be sent, bytes.
    pub(crate) fn evidence_len(&self) -> Option<usize> {
        self.evidence.as_ref().map(|(_, evidence)| evidence.len())
    }

    /// The evidence that is to be sent.
    pub(crate) fn pop_evidence(&mut self) -> Option<(SpaceId, Vec<u8>)> {
        self.evidence.take()
    }

    /// What has been due for longest.
    pub(crate) fn pop(&mut self) -> Option<(SpaceId, Due)> {
        let (space, again) = self.turns.pop_front()?;
        let due = if again {
            self.again.remove(&space);
            Due { again, ..Due::default() }
        } else {
            self.acks.remove(&space).unwrap_or_default()
        };
        Some((space, due))
    }
}

/// Whether it's something that is told as an answer.
fn is_answer(step: Option<&Compared>) -> bool {
    step.is_some_and(|answer| !matches!(answer, Compared::Agreed(_)))
}

//! What this side owes the peer and has not said yet.
//!
//! A peer that sends and never reads must not make answers pile up. So they are kept as what they say, not as frames:
//! of each log the newest place, of each space one sum of bytes. There's never more here than logs that the peer has
//! introduced, and spaces that are shared with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use covey_types::SpaceId;

use crate::frame::AckLine;

/// Answers that are due, in turn by space.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    acks: BTreeMap<SpaceId, Due>,
    again: BTreeSet<SpaceId>,
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

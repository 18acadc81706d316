//! How far each log reaches: version vectors over gapless logs, with the hash at each head.
//!
//! The hash is what tells two forks of equal length apart. Time is never used to say what is missing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{EntryHash, LogId};

/// The newest entry of one log. An empty log has `seq` 0 and the hash [`EntryHash::NONE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its place in the log, from 1.
    pub seq: u64,
    /// Its hash.
    pub hash: EntryHash,
}

impl Head {
    /// The head of an empty log.
    pub const EMPTY: Self = Self { seq: 0, hash: EntryHash::NONE };
}

/// The heads of a space's logs, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Heads(pub BTreeMap<LogId, Head>);

impl Heads {
    /// The head of this log; that of an empty one if the log isn't known.
    pub fn head(&self, log: &LogId) -> Head {
        self.0.get(log).copied().unwrap_or(Head::EMPTY)
    }

    /// How many entries there are in all.
    pub fn total(&self) -> u64 {
        self.0.values().map(|head| head.seq).sum()
    }

    /// How many entries `self` has that `other` lacks.
    pub fn ahead_of(&self, other: &Self) -> u64 {
        self.0.iter().map(|(log, head)| head.seq.saturating_sub(other.head(log).seq)).sum()
    }

    /// Moves the head of `log` forward; a head that is further on already stays.
    pub fn advance(&mut self, log: LogId, head: Head) {
        let slot = self.0.entry(log).or_insert(Head::EMPTY);
        if head.seq > slot.seq {
            *slot = head;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceId, Incarnation};

    fn log(n: u8) -> LogId {
        LogId { device: DeviceId([n; 32]), incarnation: Incarnation(1) }
    }

    fn head(seq: u64) -> Head {
        Head { seq, hash: EntryHash([seq as u8; 32]) }
    }

    #[test]
    fn what_is_missing_is_counted_per_log() {
        let mine = Heads([(log(1), head(5)), (log(2), head(2))].into());
        let yours = Heads([(log(2), head(9)), (log(3), head(1))].into());
        assert_eq!(mine.ahead_of(&yours), 5);
        assert_eq!(yours.ahead_of(&mine), 8);
        assert_eq!(mine.total(), 7);
    }

    #[test]
    fn a_head_moves_only_forward() {
        let mut heads = Heads::default();
        heads.advance(log(1), head(4));
        heads.advance(log(1), head(3));
        assert_eq!(heads.head(&log(1)), head(4));
        assert_eq!(heads.head(&log(2)), Head::EMPTY);
    }
}

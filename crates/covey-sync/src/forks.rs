//! What the two sides of a session know of logs with two histories, and what they have to tell each other of them.
//!
//! Each side tells for which logs it has proof, a line each, at the start and whenever that changes; whoever lacks
//! something asks for it, one log after the other. What is to be told is kept as the logs that it's about, never as frames, so
//! that a peer that doesn't read makes nothing pile up.

use std::collections::{BTreeMap, BTreeSet};

use covey_log::{ForkLine, Frozen};
use covey_types::LogId;

/// Of one space.
#[derive(Debug, Default)]
pub(crate) struct Forks {
    /// What is known here.
    mine: BTreeMap<LogId, Frozen>,
    /// What the peer says that it knows.
    theirs: BTreeMap<LogId, ForkLine>,
    /// Logs of which the peer is to be told.
    untold: BTreeSet<LogId>,
    /// What was asked for, so that nothing is asked for twice while it's under way.
    asked: BTreeMap<LogId, ForkLine>,
    /// Logs of which the peer has asked for the evidence.
    wanted: BTreeSet<LogId>,
}

impl Forks {
    /// How many entries of a log count, if it's frozen.
    pub(crate) fn end(&self, log: &LogId) -> Option<u64> {
        self.mine.get(log).map(|frozen| frozen.end)
    }

    /// How many entries of a log stand before its histories part, if it's frozen.
    pub(crate) fn before_parting(&self, log: &LogId) -> Option<u64> {
        self.mine.get(log).map(|frozen| frozen.line.parts.saturating_sub(1))
    }

    /// Notes what is known here.
    pub(crate) fn learn(&mut self, frozen: &[Frozen]) {
        for one in frozen {
            let line = one.line;
            self.mine.insert(line.log, *one);
            if self.theirs.get(&line.log) != Some(&line) {
                self.untold.insert(line.log);
            }
        }
    }

    /// Notes what the peer knows; of how many logs that is.
    pub(crate) fn hear(&mut self, lines: &[ForkLine]) -> usize {
        self.theirs.extend(lines.iter().map(|line| (line.log, *line)));
        self.theirs.len()
    }

    /// Whether there's something to tell.
    pub(crate) fn has_news(&self) -> bool {
        !self.untold.is_empty()
    }

    /// What the peer has to be told, at most so many lines.
    pub(crate) fn news(&mut self, most: usize) -> Vec<ForkLine> {
        let lines: Vec<ForkLine> =
            self.untold.iter().take(most).filter_map(|log| Some(self.mine.get(log)?.line)).collect();
        for line in &lines {
            self.untold.remove(&line.log);
        }
        lines
    }

    /// The next log of which the peer knows something that isn't known here.
    fn lacking(&self) -> Option<ForkLine> {
        let lacks = |line: &&ForkLine| {
            let mine = self.mine.get(&line.log).map(|mine| &mine.line);
            line.is_news_to(mine) && self.asked.get(&line.log) != Some(*line)
        };
        self.theirs.values().find(lacks).copied()
    }

    /// What to ask for next.
    pub(crate) fn question(&mut self) -> Option<LogId> {
        let line = self.lacking()?;
        self.asked.insert(line.log, line);
        Some(line.log)
    }

    /// What was asked for may be asked for again: it could not be believed before.
    pub(crate) fn ask_again(&mut self) {
        self.asked.clear();
    }

    /// The peer asks for the evidence of a log. There are no more than are known here.
    pub(crate) fn want(&mut self, log: LogId) {
        if self.mine.contains_key(&log) {
            self.wanted.insert(log);
        }
    }

    /// The next log whose evidence the peer has asked for.
    pub(crate) fn next_wanted(&mut self) -> Option<LogId> {
        self.wanted.pop_first()
    }
}

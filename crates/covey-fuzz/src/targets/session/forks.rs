//! What an end answers where a log has two histories: as a node does, out of logs in memory.

use covey_log::{Compared, Entry, Evidence, ForkProof, Frozen, SignedHeader};
use covey_sync::Input;
use covey_types::{Head, LogId, Signature, SpaceId};

use super::end::End;

impl End {
    fn log(&self, space: SpaceId, log: LogId) -> &[Entry] {
        self.logs.get(&(space, log)).map_or(&[], Vec::as_slice)
    }

    /// Hashes at the ends of a stretch of a log, and in its middle.
    fn stretch(entries: &[Entry], above: u64, upto: u64) -> Compared {
        let mut places = vec![above, u64::midpoint(above, upto), upto];
        places.dedup();
        places.retain(|seq| *seq > 0);
        Compared::Points(places.into_iter().map(|seq| entries[seq as usize - 1].head()).collect())
    }

    /// The first step of a search, up to where the other end's log reaches, as far as that is known.
    pub(super) fn points(&self, space: SpaceId, log: LogId, upto: u64) -> Compared {
        match self.log(space, log) {
            [] => Compared::Same,
            entries => Self::stretch(entries, 0, upto.min(entries.len() as u64)),
        }
    }

    /// The next one, as an answer to what the other end has.
    pub(super) fn compare(&self, space: SpaceId, log: LogId, theirs: &[Head]) -> Compared {
        let entries = self.log(space, log);
        let mut agreed = 0;
        for head in theirs {
            let Some(here) = (head.seq as usize).checked_sub(1).and_then(|at| entries.get(at)) else { break };
            if here.hash == head.hash {
                agreed = agreed.max(head.seq);
            } else if head.seq == agreed + 1 {
                return Compared::Branch(Box::new(here.into()));
            } else if head.seq > agreed {
                return Self::stretch(entries, agreed, head.seq);
            } else {
                break;
            }
        }
        Compared::Same
    }

    /// Logs of which the other end has another entry at a place that is here: a search begins.
    pub(super) fn compare_heads(&mut self, space: SpaceId, heads: &[(LogId, Head)]) {
        let differs = |(log, head): &&(LogId, Head)| {
            let here = (head.seq as usize).checked_sub(1).and_then(|at| self.log(space, *log).get(at));
            here.is_some_and(|here| here.hash != head.hash)
        };
        let logs: Vec<(LogId, u64)> =
            heads.iter().filter(differs).map(|(log, head)| (*log, head.seq)).collect();
        for (log, upto) in logs {
            let answer = self.points(space, log, upto);
            self.todo.push_back(Input::Compared { space, log, answer });
        }
    }

    /// Takes the other end's entry at a place where there's one here too: two of them prove a fork.
    pub(super) fn part(&mut self, space: SpaceId, header: &[u8], signature: Signature) {
        let Ok(theirs) = SignedHeader::verified(header, signature) else { return };
        let at = (theirs.header.seq as usize).checked_sub(1);
        let mine = at.and_then(|at| self.log(space, theirs.header.log).get(at)).cloned();
        if let Some(Ok(proof)) = mine.map(|mine| ForkProof::of(space, (&mine).into(), theirs)) {
            self.learn(space, Evidence::new(proof));
        }
    }

    /// What is known of a forked log, for the other end.
    pub(super) fn evidence(&self, space: SpaceId, log: LogId) -> Option<Vec<u8>> {
        self.known_forks.get(&(space, log)).map(Evidence::encode)
    }

    /// Takes in what is known of a fork: the log ends before it.
    pub(super) fn learn(&mut self, space: SpaceId, evidence: Evidence) {
        let log = evidence.log();
        let merged = match self.known_forks.remove(&(space, log)) {
            Some(known) => known.merge(evidence),
            None => evidence,
        };
        let line = merged.line();
        self.known_forks.insert((space, log), merged);
        let end = line.from - 1;
        if let Some(entries) = self.logs.get_mut(&(space, log)) {
            entries.truncate(end as usize);
        }
        self.logs.retain(|_, entries| !entries.is_empty());
        let heads = vec![(log, self.head(space, log))];
        self.todo.push_back(Input::Frozen { space, lines: vec![Frozen { line, end }], heads });
    }

    /// Whether an entry stands past the place where its log's histories part.
    pub(super) fn is_past_a_fork(&self, space: SpaceId, entry: &Entry) -> bool {
        let known = self.known_forks.get(&(space, entry.header.log));
        known.is_some_and(|known| entry.header.seq >= known.from())
    }
}

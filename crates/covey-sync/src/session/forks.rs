//! Logs with two histories: what both sides know of them, and where the histories part.
//!
//! Nothing here is sent at once: it adds up as what it says, and goes out as fast as the peer reads. Evidence and
//! branches take room in the window like entries, since each costs the receiver signatures to check.

use std::time::Duration;

use covey_log::{Compared, ForkLine, Frozen};
use covey_types::{Head, LogId, SpaceId, limits::MAX_LOGS_PER_SPACE};

use super::{Output, Session, SessionError, WINDOW_SLACK_BYTES};
use crate::{frame::Frame, space::SharedSpace};

/// Lines in one frame: what doesn't fit comes in the next.
const LINES_AT_ONCE: usize = 1024;

impl Session {
    pub(super) fn freeze(&mut self, space: SpaceId, lines: &[Frozen], heads: &[(LogId, Head)]) {
        let mut wishes = false;
        self.update(space, |shared| wishes = shared.freeze(lines, heads));
        if wishes {
            self.owed.again(space);
        }
        self.owed.forks(space);
    }

    /// The two sides have different histories of a log: where do they part?
    pub(super) fn search(&mut self, space: SpaceId, log: LogId) {
        if self.may_search(space) && self.owed.search(space, log) {
            self.outputs.push_back(Output::Forked { space, log });
        }
    }

    /// A step of a search shows how long a log is, and hashes all along it. Of what came after it was put out a device is
    /// told nothing, whatever it says that it has.
    fn may_search(&self, space: SpaceId) -> bool {
        self.spaces.get(&space).is_some_and(|shared| !shared.is_farewell())
    }

    pub(super) fn compared(&mut self, space: SpaceId, log: LogId, answer: Compared) {
        if answer != Compared::Same {
            self.update(space, |shared| shared.is_searched(log));
        }
        self.owed.compared(space, log, answer);
    }

    /// The evidence that was asked for is here, or there is none.
    pub(super) fn proved(&mut self, space: SpaceId, evidence: Option<Vec<u8>>) {
        self.proving = false;
        if let Some(evidence) = evidence {
            self.owed.send_evidence(space, evidence);
        }
    }

    /// Has the next evidence loaded that the peer has asked for, once the one before has gone.
    pub(super) fn prove_next(&mut self) {
        if self.closed || self.proving || self.owed.evidence_len().is_some() {
            return;
        }
        let readers = self.spaces.values_mut().filter(|shared| is_told(shared));
        let next = readers.map(|shared| (shared.id, shared.forks.next_wanted()));
        if let Some((space, Some(log))) = next.into_iter().find(|(_, log)| log.is_some()) {
            self.proving = true;
            self.outputs.push_back(Output::Prove { space, log });
        }
    }

    pub(super) fn hear_of_forks(&mut self, place: u32, lines: &[ForkLine]) -> Result<(), SessionError> {
        let space = self.space_at(place)?;
        let known = if let Some(shared) = self.spaces.get_mut(&space) {
            shared.forks.hear(lines)
        } else {
            // The driver has not opened the space yet.
            let early = self.early_forks.entry(space).or_default();
            early.extend_from_slice(lines);
            early.len()
        };
        if known > MAX_LOGS_PER_SPACE {
            return Err(SessionError::Protocol("it knows of more forks than a space may have logs"));
        }
        self.owed.forks(space);
        Ok(())
    }

    pub(super) fn take_question(&mut self, place: u32, log: LogId) -> Result<(), SessionError> {
        let space = self.space_at(place)?;
        if let Some(shared) = self.spaces.get_mut(&space) {
            shared.forks.want(log);
        }
        Ok(())
    }

    pub(super) fn take_points(
        &mut self,
        place: u32,
        log: LogId,
        points: Vec<Head>,
    ) -> Result<(), SessionError> {
        let space = self.space_at(place)?;
        // Who may not read the space learns nothing of its logs.
        let may = self.spaces.get(&space).is_some_and(is_told);
        if may && self.owed.search(space, log) {
            self.outputs.push_back(Output::Compare { space, log, points });
        }
        Ok(())
    }

    /// Something that costs signatures to check.
    pub(super) fn judge(
        &mut self,
        place: u32,
        bytes: usize,
        output: impl FnOnce(SpaceId, u32) -> Output,
    ) -> Result<(), SessionError> {
        let space = self.space_at(place)?;
        self.taken += bytes as u64;
        if self.taken > u64::from(self.config.window_bytes) + WINDOW_SLACK_BYTES {
            return Err(SessionError::Protocol("it sent more than the window that it was granted"));
        }
        if self.spaces.contains_key(&space) {
            self.outputs.push_back(output(space, bytes as u32));
        } else {
            self.owed.ack(space, Vec::new(), bytes as u64);
        }
        Ok(())
    }

    /// Whether [`Session::poll_forks`] has something to say.
    pub(super) fn owes_forks(&self) -> bool {
        self.owed.has_forks() || self.owed.has_compared() || self.may_send_evidence()
    }

    fn may_send_evidence(&self) -> bool {
        self.owed.evidence_len().is_some_and(|len| self.in_flight == 0 || len < self.room())
    }

    /// The next frame about forks.
    pub(super) fn poll_forks(&mut self) -> Option<Vec<u8>> {
        if self.closed {
            return None;
        }
        while let Some((space, log, answer)) = self.owed.pop_compared() {
            if self.may_search(space)
                && let Some(frame) = self.step_of_search(space, log, answer)
            {
                return Some(frame);
            }
        }
        while let Some(space) = self.owed.pop_forks() {
            if let Some(frame) = self.tell_or_ask(space) {
                // There may be more to tell, or to ask.
                self.owed.forks(space);
                return Some(frame);
            }
        }
        if !self.may_send_evidence() {
            return None;
        }
        let (space, evidence) = self.owed.pop_evidence()?;
        if !self.spaces.contains_key(&space) {
            return None;
        }
        let frame = Frame::Evidence { space: self.my_place(space), evidence: &evidence }.encode();
        self.prove_next();
        Some(self.sent(frame))
    }

    fn step_of_search(&mut self, space: SpaceId, log: LogId, answer: Compared) -> Option<Vec<u8>> {
        let place = self.my_place(space);
        match answer {
            Compared::Same => Some(Frame::Compare { space: place, log, points: Vec::new() }.encode()),
            Compared::Points(points) => Some(Frame::Compare { space: place, log, points }.encode()),
            Compared::Branch(half) => {
                let (header, signature) = (half.bytes.to_vec(), half.signature);
                Some(self.sent(Frame::Branch { space: place, header, signature }.encode()))
            }
            Compared::Agreed(_) => None, // goes among the entries
        }
    }

    /// Sends the agreements that end searches, where entries may be sent.
    pub(super) fn send_agreed(&mut self, now: Duration) {
        while self.has_room() {
            let Some((space, entry)) = self.owed.pop_agreed() else { return };
            if !self.may_search(space) {
                continue;
            }
            let mut packed = Vec::new();
            self.update(space, |shared| shared.send_agreed(&entry, &mut packed));
            self.send_entries(space, &packed, now);
        }
    }

    fn tell_or_ask(&mut self, space: SpaceId) -> Option<Vec<u8>> {
        if !self.spaces.contains_key(&space) {
            return None; // it's not shared, or not any more
        }
        let place = self.my_place(space);
        let shared = self.spaces.get_mut(&space)?;
        if is_told(shared) && shared.forks.has_news() {
            return Some(Frame::Forks { space: place, lines: shared.forks.news(LINES_AT_ONCE) }.encode());
        }
        let log = shared.forks.question()?;
        Some(Frame::Prove { space: place, log }.encode())
    }

    /// A frame that takes room in the window.
    fn sent(&mut self, frame: Vec<u8>) -> Vec<u8> {
        if self.in_flight == 0 {
            self.last_ack = self.now;
        }
        self.in_flight += frame.len() as u64;
        frame
    }
}

/// Whether the peer may know of the logs of a space.
fn is_told(shared: &SharedSpace) -> bool {
    shared.may_send && !shared.refused && !shared.is_farewell()
}

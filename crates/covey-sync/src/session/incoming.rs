//! Frames from the peer: each is checked against what may come now, and nothing is done for one that may not.

use std::time::Duration;

use covey_log::Entry;
use covey_types::{SpaceId, limits::MAX_SPACES_PER_SESSION};

use super::{MIN_WINDOW_BYTES, Output, Session, SessionError, WINDOW_SLACK_BYTES};
use crate::{
    Tag,
    frame::{AckLine, Frame, HeadLine, Hello, VERSIONS},
    space::SharedSpace,
};

impl Session {
    pub(super) fn take_frame(&mut self, payload: &[u8], now: Duration) -> Result<(), SessionError> {
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
            Frame::Entries { space, packed } => {
                self.take_entries(space, payload.len(), |shared| shared.unpack(packed))
            }
            Frame::Acts { space, packed } => {
                self.take_entries(space, payload.len(), |shared| shared.unpack_acts(packed))
            }
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
            Frame::Forks { space, lines } => self.hear_of_forks(space, &lines),
            Frame::Prove { space, log } => self.take_question(space, log),
            Frame::Evidence { space, evidence } => {
                let evidence = evidence.to_vec();
                self.judge(space, payload.len(), |space, bytes| Output::Evidence { space, evidence, bytes })
            }
            Frame::Compare { space, log, points } => self.take_points(space, log, points),
            Frame::Branch { space, header, signature } => {
                let branch = |space, bytes| Output::Branch { space, header, signature, bytes };
                self.judge(space, payload.len(), branch)
            }
            Frame::Close(reason) => {
                self.closed = true;
                self.outputs.push_back(Output::Closed(reason));
                Ok(())
            }
        }
    }

    pub(super) fn take_hello(&mut self, hello: Hello, now: Duration) -> Result<(), SessionError> {
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

    pub(super) fn take_offer(&mut self, tags: &[Tag]) -> Result<(), SessionError> {
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

    pub(super) fn take_heads(&mut self, place: u32, lines: Vec<HeadLine>) -> Result<(), SessionError> {
        let space = self.space_at(place)?;
        if self.spaces.contains_key(&space) {
            return self.accept_heads(space, lines);
        }
        match self.early_heads.insert(space, lines) {
            None => Ok(()),
            Some(_) => Err(SessionError::Protocol("the heads of a space came twice")),
        }
    }

    pub(super) fn accept_heads(&mut self, space: SpaceId, lines: Vec<HeadLine>) -> Result<(), SessionError> {
        let Some(shared) = self.spaces.get_mut(&space) else { return Ok(()) };
        let heads = lines.iter().map(|line| (line.log, line.head)).collect();
        self.outputs.push_back(Output::Theirs { space, heads });
        for log in shared.take_heads(lines)? {
            self.search(space, log);
        }
        self.outputs.push_back(Output::Changed(space));
        Ok(())
    }

    pub(super) fn take_entries(
        &mut self,
        place: u32,
        bytes: usize,
        unpack: impl FnOnce(&mut SharedSpace) -> Result<Vec<Entry>, SessionError>,
    ) -> Result<(), SessionError> {
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
        let entries = unpack(shared)?;
        self.outputs.push_back(Output::Ingest { space, entries, bytes: bytes as u32 });
        Ok(())
    }

    pub(super) fn take_ack(
        &mut self,
        place: u32,
        lines: &[AckLine],
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
}

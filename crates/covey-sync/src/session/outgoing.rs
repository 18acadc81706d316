//! Entries and answers to the peer: no more of them than its window and its reading allow.

use std::time::Duration;

use covey_log::Entry;
use covey_types::{Head, LogId, SpaceId};

use super::{BATCH_BYTES, Loading, MIN_WINDOW_BYTES, Output, Session};
use crate::{
    frame::Frame,
    space::{Rejection, SharedSpace},
};

impl Session {
    pub(super) fn acknowledge(
        &mut self,
        space: SpaceId,
        durable: &[(LogId, Head)],
        rejected: &[Rejection],
        bytes: u32,
    ) {
        let Some(shared) = self.spaces.get_mut(&space) else {
            return self.owed.ack(space, Vec::new(), bytes.into());
        };
        durable.iter().for_each(|(log, head)| shared.advance(*log, *head));
        let forked: Vec<LogId> = rejected
            .iter()
            .filter(|rejection| shared.stop(**rejection))
            .map(|rejection| rejection.log)
            .collect();
        let lines = shared.ack_lines(durable);
        self.owed.ack(space, lines, bytes.into());
        forked.into_iter().for_each(|log| self.search(space, log));
        self.outputs.push_back(Output::Changed(space));
    }

    /// Sends an entry that was just stored, if it's all that the peer lacks of its log.
    pub(super) fn push(&mut self, space: SpaceId, entry: &Entry, now: Duration) {
        let room = self.room();
        let Some(shared) = self.spaces.get_mut(&space) else { return };
        let fits = entry.body.len() < room;
        let is_loading = self.loading.as_ref().is_some_and(|loading| loading.space == Some(space));
        let next = !is_loading && shared.lacks_next(entry);
        shared.advance(entry.header.log, entry.head());
        if next && fits {
            let mut packed = Vec::with_capacity(entry.body.len() + 128);
            shared.pack(entry, &mut packed);
            self.send_entries(space, &packed, now);
        }
        self.outputs.push_back(Output::Changed(space));
    }

    pub(super) fn send_loaded(&mut self, space: SpaceId, acts: &[Entry], entries: &[Entry], now: Duration) {
        let Loading { wants: asked, ahead: told, .. } = self.loading.take().unwrap_or_default();
        let Some(shared) = self.spaces.get_mut(&space) else { return };
        let ahead = in_frames(acts, |entry, out| {
            if let Some(range) = told.get(&entry.header.log) {
                shared.pack_act(entry, *range.start(), out);
            }
        });
        let frames = in_frames(entries, |entry, out| {
            let from = asked.get(&entry.header.log).copied().unwrap_or(u64::MAX);
            // Otherwise it came from the peer meanwhile.
            if shared.lacks_loaded(entry, from) {
                shared.pack(entry, out);
            }
        });
        if frames.is_empty() && acts.is_empty() {
            shared.gave_nothing(&asked);
        }
        ahead.iter().for_each(|packed| self.send_acts(space, packed, now));
        frames.iter().for_each(|packed| self.send_entries(space, packed, now));
        self.outputs.push_back(Output::Changed(space));
    }

    /// Sends what lies apart here, where anything may be sent.
    pub(super) fn send_ahead(&mut self, now: Duration) {
        while self.has_room() {
            let Some((space, acts)) =
                self.spaces.values_mut().find_map(|shared| Some((shared.id, shared.take_ahead()?)))
            else {
                return;
            };
            let Some(shared) = self.spaces.get_mut(&space) else { return };
            let frames = in_frames(&acts, |entry, out| shared.put(entry, out));
            frames.iter().for_each(|packed| self.send_acts(space, packed, now));
        }
    }

    fn send_acts(&mut self, space: SpaceId, packed: &[u8], now: Duration) {
        let payload = Frame::Acts { space: self.my_place(space), packed }.encode();
        self.send_counted(payload, now);
    }

    pub(super) fn send_entries(&mut self, space: SpaceId, packed: &[u8], now: Duration) {
        let payload = Frame::Entries { space: self.my_place(space), packed }.encode();
        self.send_counted(payload, now);
    }

    fn send_counted(&mut self, payload: Vec<u8>, now: Duration) {
        if self.in_flight == 0 {
            self.last_ack = now;
        }
        self.in_flight += payload.len() as u64;
        self.outputs.push_back(Output::Send(payload));
    }

    pub(super) fn room(&self) -> usize {
        let window = self.peer.as_ref().map_or(0, |peer| peer.window.min(self.config.window_bytes) as usize);
        window.saturating_sub(self.in_flight as usize)
    }

    /// Whether it's worth sending more.
    pub(super) fn has_room(&self) -> bool {
        !self.closed && (self.room() >= MIN_WINDOW_BYTES as usize / 2 || self.in_flight == 0)
    }

    /// Asks for entries wherever there's a backlog and room to send it.
    pub(super) fn pump(&mut self) {
        if self.loading.is_some() || !self.has_room() {
            return;
        }
        // One load at a time, each space in turn: a large backlog in one does not starve the others.
        let after = self.last_loaded;
        let turn = |id: &SpaceId| (after.is_some_and(|last| *id <= last), *id);
        let next = self
            .spaces
            .values()
            .filter(|shared| shared.has_backlog())
            .map(|shared| shared.id)
            .min_by_key(turn);
        if let Some(space) = next {
            let wants = self.spaces.get(&space).map(SharedSpace::backlog).unwrap_or_default();
            let ahead = self.spaces.get(&space).map(SharedSpace::ahead).unwrap_or_default();
            let loading =
                Loading { space: Some(space), wants: wants.iter().copied().collect(), ahead: ahead.clone() };
            self.loading = Some(loading);
            self.last_loaded = Some(space);
            let max_bytes = self.room().clamp(1, BATCH_BYTES);
            self.outputs.push_back(Output::Load { space, wants, ahead, max_bytes });
        }
    }

    /// A frame that answers what the peer sent: an acknowledgement, or a wish to have entries again. To be called only
    /// when the stream takes a frame. What isn't fetched adds up, so that a peer that doesn't read costs no memory; nor
    /// can it send more than the window, since its credit is here.
    pub fn poll_owed(&mut self) -> Option<Vec<u8>> {
        if let Some(frame) = self.poll_forks() {
            return Some(frame);
        }
        while !self.closed {
            let (space, due) = self.owed.pop()?;
            let place = self.my_place(space);
            if due.again {
                let lines = self.spaces.get_mut(&space).map(SharedSpace::wishes).unwrap_or_default();
                if !lines.is_empty() {
                    return Some(Frame::Again { space: place, lines }.encode());
                }
            } else {
                self.taken = self.taken.saturating_sub(due.credit);
                let credit = u32::try_from(due.credit).unwrap_or(u32::MAX);
                return Some(Frame::Ack { space: place, lines: due.lines(), credit }.encode());
            }
        }
        None
    }
}

/// Packs entries into frames of a handy size.
fn in_frames(entries: &[Entry], mut pack: impl FnMut(&Entry, &mut Vec<u8>)) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut packed = Vec::new();
    for entry in entries {
        if !packed.is_empty() && packed.len() + entry.body.len() > BATCH_BYTES {
            frames.push(std::mem::take(&mut packed));
        }
        pack(entry, &mut packed);
    }
    if !packed.is_empty() {
        frames.push(packed);
    }
    frames
}

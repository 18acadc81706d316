//! Sync sessions as state machines: one against whatever a peer may send, and two against each other while a script
//! lets frames wait, come changed, come twice or not at all, lets time jump, and changes who may read.
//!
//! What must hold at every step: no panic; what is under way stays within the windows; nothing of a space is sent
//! before it was opened, and no entry of it to whom the driver doesn't let read. And in the end: the sessions come to
//! rest, and if nobody meddled, both ends hold the same.

mod end;
mod forks;

use std::{collections::VecDeque, time::Duration};

use covey_sync::{Deframer, Input};

use self::end::{End, Role};
use super::steady;
use crate::script::Script;

/// Most steps of one script: enough for every frame of the longest backlog here to wait a few times.
const MAX_STEPS: usize = 600;

/// Two ends that have nothing more to do have come to rest long before this many steps.
const MAX_STEPS_TO_REST: usize = 20_000;

/// One session, in a state that the first byte chooses, and what the peer's stream brings: lengths and frames, in
/// pieces as long as the second byte says.
pub fn sync_frames(bytes: &[u8]) {
    steady();
    let mut script = Script::new(bytes);
    let (state, piece) = (script.byte(), usize::from(script.byte()) + 1);
    let mut end = End::new(Role::from_bits(0, state >> 2));
    let mut peer = End::new(Role::from_bits(1, 0));
    let mut inbox = VecDeque::new();
    match state & 3 {
        0 => {}
        // The peer greeted, offered, told its heads: as far as real frames of a real session lead.
        depth => {
            for _ in 0..8 * usize::from(depth) {
                end.work(&mut peer.inbox);
                peer.work(&mut inbox);
                peer.take();
                inbox.drain(..).for_each(|frame| end.give(Input::Frame(frame)));
            }
        }
    }
    let mut deframer = Deframer::with_max(end.session.max_frame_bytes());
    let mut sent = VecDeque::new();
    for chunk in script.rest().chunks(piece) {
        deframer.push(chunk);
        deframer.set_max(end.session.max_frame_bytes());
        while let Ok(Some(frame)) = deframer.next_frame() {
            end.give(Input::Frame(frame.to_vec()));
            end.work_off(&mut sent);
        }
    }
    end.tick(Duration::from_secs(3600));
    end.work_off(&mut sent);
}

/// Two sessions and a script of what happens between them.
pub fn sync_session(bytes: &[u8]) {
    steady();
    let mut script = Script::new(bytes);
    let mut pair = Pair::new(&mut script);
    for _ in 0..MAX_STEPS {
        let Some(step) = script.next() else { break };
        pair.step(step, &mut script);
    }
    pair.rest();
}

/// A session of two honest ends: who said what, in the order in which it was heard. Each end does all that it has to do
/// before it hears the next frame.
pub(crate) fn recorded(roles: [u8; 2]) -> Vec<(usize, Vec<u8>)> {
    let mut ends = [0, 1].map(|side| End::new(Role::from_bits(side, roles[side])));
    let mut said = [VecDeque::new(), VecDeque::new()];
    let mut heard = Vec::new();
    loop {
        for side in [0, 1] {
            ends[side].say_all(&mut said[side]);
        }
        if said.iter().all(VecDeque::is_empty) {
            return heard;
        }
        for side in [0, 1] {
            if let Some(frame) = said[side].pop_front() {
                ends[1 - side].give(Input::Frame(frame.clone()));
                heard.push((side, frame));
            }
        }
    }
}

/// What one of those ends says when it hears these frames, and where the logs of the common space stand in the end.
#[cfg(feature = "edges")]
pub(crate) fn replayed(side: usize, role: u8, heard: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<covey_types::Head>) {
    let mut end = End::new(Role::from_bits(side, role));
    let mut said = VecDeque::new();
    for frame in heard {
        end.say_all(&mut said);
        end.give(Input::Frame(frame.clone()));
    }
    end.say_all(&mut said);
    assert!(!end.is_over(), "{:?}", end.failure);
    (said.into(), end.common_heads())
}

/// What the second of two honest ends sends to the first, as [`sync_frames`] takes it.
pub(crate) fn recorded_streams() -> Vec<(String, Vec<u8>)> {
    let stream = |(name, role): (&str, u8)| {
        let mut bytes = vec![0, 200];
        for (_, frame) in recorded([1, role]).iter().filter(|(side, _)| *side == 1) {
            bytes.extend(covey_sync::framing::frame(frame));
        }
        (name.to_owned(), bytes)
    };
    [("long", 15), ("short", 0), ("forked", 0xaf), ("refused", 0x60), ("silent", 0x10)].map(stream).into()
}

struct Pair {
    ends: [End; 2],
    now: Duration,
    /// Whether the peers' frames were changed, or anybody left: then nothing is promised of the end.
    meddled: bool,
}

impl Pair {
    fn new(script: &mut Script<'_>) -> Self {
        let [a, b] = [script.byte(), script.byte()];
        let new = if script.byte() & 1 == 0 { End::new } else { End::with_acts };
        let ends = [new(Role::from_bits(0, a)), new(Role::from_bits(1, b))];
        Self { ends, now: Duration::ZERO, meddled: false }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        let [one, two] = &mut self.ends;
        let (end, other) = if step & 1 == 0 { (one, two) } else { (two, one) };
        match step >> 1 & 15 {
            0..=4 => {
                end.work(&mut other.inbox);
            }
            5..=8 => {
                end.take();
            }
            9 => {
                self.now += Duration::from_millis(u64::from(script.number()) * 10);
                let now = self.now;
                self.ends.iter_mut().for_each(|end| end.tick(now));
                self.meddled |= self.ends.iter().any(End::is_over);
            }
            10 => end.write(script.byte()),
            11 => self.meddled |= end.change_mind(script.byte()),
            12 => end.offer(script.byte()),
            13 | 14 => {
                self.meddled = true;
                meddle(&mut end.inbox, script);
            }
            _ => {
                if script.byte() > 250 {
                    self.meddled = true;
                    end.give(Input::Stop);
                }
            }
        }
        self.meddled |= self.ends.iter().any(End::is_over);
    }

    /// Both ends go on until neither has anything to do.
    fn rest(&mut self) {
        self.ends.iter_mut().for_each(End::offer_all);
        let mut is_busy = true;
        let mut steps = 0;
        while is_busy {
            let [one, two] = &mut self.ends;
            is_busy = one.work(&mut two.inbox) | two.work(&mut one.inbox) | one.take() | two.take();
            steps += 1;
            assert!(steps < MAX_STEPS_TO_REST, "the sessions never come to rest");
        }
        if !self.meddled {
            let [one, two] = &self.ends;
            assert!(!one.is_over() && !two.is_over(), "{:?} {:?}", one.failure, two.failure);
            one.must_agree_with(two);
        }
    }
}

/// What a hostile peer, or none at all, does to frames on their way.
fn meddle(inbox: &mut VecDeque<Vec<u8>>, script: &mut Script<'_>) {
    let way = script.byte();
    match (way & 7, inbox.front_mut()) {
        (0, Some(frame)) => {
            let at = usize::from(script.number());
            let len = frame.len();
            frame[at % len] ^= script.byte();
        }
        (1, Some(frame)) => frame.truncate(usize::from(script.byte())),
        (2, Some(frame)) => {
            let twice = frame.clone();
            inbox.push_back(twice);
        }
        (3, Some(_)) => {
            inbox.pop_front();
        }
        (4, Some(frame)) => {
            let kind = script.byte() % 10;
            frame[0] = kind;
        }
        (5, Some(_)) => inbox.rotate_left(1),
        _ => inbox.push_back(script.sized().to_vec()),
    }
    // A frame that was cut to nothing is none: the framing does not carry it differently from an empty one.
    inbox.retain(|frame| !frame.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checks of an end are worth something: a session that serves whom the driver did not let read is caught.
    #[test]
    #[should_panic(expected = "nothing is loaded for who may not read")]
    fn an_end_that_is_served_without_leave_is_noticed() {
        let mut ends = [0, 1].map(|side| End::new(Role::from_bits(side, [1, 15][side])));
        for _ in 0..100 {
            let [one, two] = &mut ends;
            one.believe_that_nobody_may_read();
            one.work(&mut two.inbox);
            two.work(&mut one.inbox);
            one.take();
            two.take();
        }
    }

    #[test]
    fn an_honest_script_leads_to_the_same_at_both_ends() {
        let mut pair = Pair::new(&mut Script::new(&[1, 15]));
        pair.rest();
        let [one, two] = &pair.ends;
        assert!(!pair.meddled && one.common_heads() == two.common_heads());
        assert_eq!(one.common_heads().iter().map(|head| head.seq).collect::<Vec<_>>(), [8, 18, 18]);
    }

    #[test]
    fn of_a_log_with_two_histories_both_ends_keep_what_comes_before_and_the_proof() {
        for acts in [0, 1] {
            // Each has eighteen entries of the third log, of which five are the same.
            let mut pair = Pair::new(&mut Script::new(&[0x0c, 0xac, acts]));
            pair.rest();
            let [one, two] = &pair.ends;
            assert_eq!(one.common_heads()[2].seq, 5);
            assert!(!pair.meddled && one.common_heads() == two.common_heads());
            assert_eq!((one.known_forks.len(), two.known_forks.len()), (1, 1));
        }
    }

    #[test]
    fn a_long_log_is_compared_with_a_short_one_at_places_that_both_have() {
        // Eighteen entries against six, of which five are the same: their first steps cross.
        let mut pair = Pair::new(&mut Script::new(&[0x4d, 0xa7]));
        pair.rest();
        let [one, two] = &pair.ends;
        assert_eq!(one.common_heads()[2].seq, 5);
        assert_eq!((one.known_forks.len(), two.known_forks.len()), (1, 1));
    }

    #[test]
    fn what_goes_ahead_of_its_place_leaves_both_ends_with_the_same() {
        let mut pair = Pair::new(&mut Script::new(&[1, 15, 1]));
        pair.rest();
        let [one, two] = &pair.ends;
        assert!(one.took_ahead() > 0 && one.common_heads() == two.common_heads());
    }
}

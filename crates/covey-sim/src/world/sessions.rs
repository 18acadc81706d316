//! What machines say to each other: each end of a session is driven as a node does it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeInclusive,
    sync::Arc,
};

use covey_engine::{
    AnyRows, Batch, Engine, EngineError, HoldReason, Ingested, Rows, Secrets, load_apart, load_farewell,
    load_for_peer, planted, prepare,
};
use covey_log::Entry;
use covey_space::Standing;
use covey_store::{SpaceKey, StoreError};
use covey_sync::{Input, MAX_AHEAD_BYTES, Output, Rejection};
use covey_types::{DeviceId, Head, Heads, LogId, SpaceId};

use super::{EPOCH_MS, Event, World};
use crate::{
    Planted,
    machine::{Answer, Pending},
};

/// In front of each frame stands its length.
const LENGTH_BYTES: usize = 4;

/// Bytes of a frame that says nothing.
const BABBLE_BYTES: usize = 40;

impl World {
    pub(super) fn feed(&mut self, machine: usize, peer: usize, input: Input) {
        let now = self.clock();
        let Some(conn) = self.machines[machine].conns.get_mut(&peer) else { return };
        match conn.session.handle(input, now) {
            Ok(()) => {
                self.drain(machine, peer);
                self.check_bounds(machine, peer);
            }
            Err(err) => {
                if err.is_misbehaviour() && !self.machines[peer].liar {
                    let (here, there) = (&self.machines[machine].name, &self.machines[peer].name);
                    self.fail(format!("{here} finds that {there} breaks the protocol: {err}"));
                }
                self.hang_up(machine, peer);
            }
        }
    }

    /// Answers a session, as soon as it has said all it has to say.
    pub(crate) fn answer(&mut self, machine: usize, peer: usize, input: Input) {
        let Some(conn) = self.machines[machine].conns.get(&peer).map(|conn| conn.id) else { return };
        self.at(0, Event::Answer { machine, peer, conn, input });
    }

    /// Gives a session something to send.
    pub(crate) fn tell_session(&mut self, machine: usize, peer: usize, input: Input) {
        self.feed(machine, peer, input);
    }

    /// Offers all spaces in a session: one may be new.
    pub(crate) fn offer(&mut self, machine: usize, peer: usize) {
        let device = self.machines[peer].device();
        let it = &self.machines[machine];
        let offers = it.conns.get(&peer).map_or_else(Vec::new, |conn| it.offers(device, conn));
        if !offers.is_empty() {
            self.feed(machine, peer, Input::Offer(offers));
        }
    }

    /// A space is new here: it's offered in the sessions that there are. Or one that was here learned keys.
    pub(super) fn entered(&mut self, machine: usize, space: SpaceId, is_new: bool) {
        let (name, what) = (self.machines[machine].name.clone(), self.called(space));
        self.note(format!("{name} hears of {what}"));
        if !is_new {
            return self.release(machine, space, HoldReason::Key);
        }
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            self.offer(machine, peer);
        }
    }

    pub(super) fn drain(&mut self, machine: usize, peer: usize) {
        loop {
            let Some(conn) = self.machines[machine].conns.get_mut(&peer) else { return };
            let output = conn.session.poll_output();
            let owed = if output.is_none() && conn.session.owes() { conn.session.poll_owed() } else { None };
            match (output, owed) {
                (Some(output), _) => self.carry_out(machine, peer, output),
                (None, Some(payload)) => self.send(machine, peer, payload),
                (None, None) => return,
            }
        }
    }

    pub(super) fn send(&mut self, machine: usize, peer: usize, payload: Vec<u8>) {
        let delay = 1 + self.rng.u64(0..40);
        if !self.is_heard(machine, peer) {
            return;
        }
        let Some(conn) = self.machines[machine].conns.get_mut(&peer) else { return };
        conn.arrives = conn.arrives.max(self.now + delay);
        *self.sent.entry(machine).or_default() += (LENGTH_BYTES + payload.len()) as u64;
        let (id, delay) = (conn.id, conn.arrives - self.now);
        self.at(delay, Event::Frame { from: machine, to: peer, conn: id, payload });
    }

    pub(super) fn carry_out(&mut self, machine: usize, peer: usize, output: Output) {
        let their_device = self.machines[peer].device();
        match output {
            Output::Send(payload) => self.send(machine, peer, payload),
            Output::Greeted(hello) => {
                let it = &mut self.machines[machine];
                let Some(conn) = it.conns.get_mut(&peer) else { return };
                conn.hello = Some(hello);
                let offers = it.conns.get(&peer).map_or_else(Vec::new, |conn| it.offers(their_device, conn));
                self.answer(machine, peer, Input::Offer(offers));
            }
            Output::Matched(space) => self.open_space(machine, peer, space),
            Output::Load { space, wants, ahead, max_bytes } => {
                let Batch { acts, entries } = self.load(machine, space, wants, ahead, max_bytes);
                let entries = self.since_they_met(machine, peer, entries);
                self.answer(machine, peer, Input::Loaded { space, acts, entries });
            }
            Output::Ingest { space, entries, bytes } => self.ingest(machine, peer, space, entries, bytes),
            Output::Forked { space, log } => {
                self.forked(machine, log);
                self.compare(machine, peer, (space, log), None);
            }
            Output::Compare { space, log, points } => self.compare(machine, peer, (space, log), Some(points)),
            Output::Prove { space, log } => self.prove(machine, peer, space, log),
            Output::Evidence { space, evidence, bytes } => {
                self.take_evidence(machine, peer, space, &evidence, bytes);
            }
            Output::Branch { space, header, signature, bytes } => {
                self.take_branch(machine, peer, space, (&header, signature), bytes);
            }
            Output::Theirs { space, heads } => {
                let conn = self.machines[machine].conns.get(&peer);
                if conn.is_some_and(|conn| !conn.refused.contains(&space)) {
                    self.look_back(machine, space, &heads);
                    self.compare_heads(machine, peer, space, heads);
                }
            }
            Output::Changed(_) => {}
            Output::Closed(_) => self.hang_up(machine, peer),
        }
    }

    /// A peer may have more of our own log than we do.
    pub(super) fn look_back(&mut self, machine: usize, space: SpaceId, heads: &[(LogId, Head)]) {
        if self.options.planted == Some(Planted::ReusesPlaces) {
            return;
        }
        let device = self.machines[machine].device();
        for theirs in heads.iter().copied().filter(|(log, _)| log.device == device) {
            let looked = self.transact(machine, move |rows, engine, _, wall| {
                engine.look_back(rows, device, space, theirs, wall)
            });
            if let Err(err) = looked {
                self.fail(format!("looking back at an own log: {err}"));
            }
        }
    }

    pub(super) fn open_space(&mut self, machine: usize, peer: usize, space: SpaceId) {
        let device = self.machines[peer].device();
        let standing = self.machines[machine].standing(space, device);
        if standing == Standing::PutOut {
            if let Some(conn) = self.machines[machine].conns.get_mut(&peer) {
                conn.refused.insert(space);
            }
            let own = self.machines[machine].device();
            let is_out = self.machines[machine].standing(space, own) == Standing::PutOut;
            let refusal = match self.farewell(machine, space, device) {
                Some(heads) => Input::Farewell { space, heads, takes: is_out },
                None => Input::Refuse(space),
            };
            return self.answer(machine, peer, refusal);
        }
        let founded = self.machines[machine].engine().space(space).is_ok_and(|s| s.membership.is_founded());
        let heads = self.machines[machine].heads(space);
        let may_send = standing == Standing::Member || !founded;
        self.answer(machine, peer, Input::Open { space, heads, may_send });
        let acts = self.read(machine, space, |rows, key| load_apart(rows, key, MAX_AHEAD_BYTES));
        self.answer(machine, peer, Input::Apart { space, acts });
        self.tell_forks_to(machine, peer, space);
    }

    /// What somebody who was put out is still told.
    pub(super) fn farewell(&mut self, machine: usize, space: SpaceId, device: DeviceId) -> Option<Heads> {
        let it = &mut self.machines[machine];
        it.disk.sync();
        let (key, reach) = it.engine().space(space).map(|state| (state.key, state.farewell(device))).ok()?;
        match it.disk.read(move |rows| load_farewell(rows, key, &reach)) {
            Ok(heads) => heads,
            Err(err) => {
                self.fail(format!("looking for what put a device out: {err}"));
                None
            }
        }
    }

    fn load(
        &mut self,
        machine: usize,
        space: SpaceId,
        wants: Vec<(LogId, u64)>,
        ahead: BTreeMap<LogId, RangeInclusive<u64>>,
        max_bytes: usize,
    ) -> Batch {
        self.read(machine, space, move |rows, key| load_for_peer(rows, key, &wants, &ahead, max_bytes))
    }

    /// Reads for a peer; nothing, if the space isn't here.
    fn read<T: Default + Send + 'static>(
        &mut self,
        machine: usize,
        space: SpaceId,
        read: impl FnOnce(&dyn Rows, SpaceKey) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        let it = &self.machines[machine];
        let Ok(key) = it.engine().space(space).map(|state| state.key) else { return T::default() };
        match it.disk.read(move |rows| read(rows, key)) {
            Ok(found) => found,
            Err(err) => {
                self.fail(format!("reading for a peer: {err}"));
                T::default()
            }
        }
    }

    /// Where time is taken for a cursor, what is older than the last meeting isn't sent.
    fn since_they_met(&self, machine: usize, peer: usize, mut entries: Vec<Entry>) -> Vec<Entry> {
        if self.options.planted != Some(Planted::TimeAsCursor) {
            return entries;
        }
        let since = EPOCH_MS + self.machines[machine].met.get(&peer).copied().unwrap_or(0);
        let older = |entry: &Entry| entry.header.hlc.wall_ms() < since;
        let left_out: BTreeSet<LogId> =
            entries.iter().filter(|entry| older(entry)).map(|entry| entry.header.log).collect();
        entries.retain(|entry| !left_out.contains(&entry.header.log));
        entries
    }

    /// Runs a transaction on a machine, with its secrets and its clock.
    pub(crate) fn transact<T: Send + 'static>(
        &mut self,
        machine: usize,
        job: impl FnOnce(&mut AnyRows<'_>, &mut Engine, &Secrets, u64) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let wall = self.wall_ms(machine);
        let it = &mut self.machines[machine];
        let (secrets, engine) = (Arc::clone(&it.secrets), Arc::clone(&it.engine));
        let disk = &mut it.disk;
        planted::with(it.defect, || {
            disk.write(&engine, move |rows, engine| job(rows, engine, &secrets, wall))
        })
    }

    pub(super) fn ingest(
        &mut self,
        machine: usize,
        peer: usize,
        space: SpaceId,
        entries: Vec<Entry>,
        bytes: u32,
    ) {
        let Some(conn) = self.machines[machine].conns.get(&peer).map(|conn| conn.id) else { return };
        let mut entries = VecDeque::from(entries);
        let mut all = Ingested::default();
        let (mut stored, mut changed) = (Vec::new(), false);
        while !entries.is_empty() {
            let Ok(keys) = self.machines[machine].engine().space(space).map(|s| s.info.keys.clone()) else {
                return;
            };
            let prepared = planted::with(self.machines[machine].defect, || prepare(&mut entries, &keys));
            let prepared = match prepared {
                Ok(prepared) => prepared,
                Err(err) => return self.forged(machine, peer, &err.to_string()),
            };
            let part = self.transact(machine, move |rows, engine, secrets, wall| {
                engine.ingest(rows, secrets, space, prepared, wall)
            });
            match part {
                Ok(mut part) => {
                    stored.append(&mut part.stored);
                    changed |= part.membership_changed;
                    if part.rolled_back > 0 {
                        let name = self.machines[machine].name.clone();
                        self.note(format!("{name} takes back {} records", part.rolled_back));
                    }
                    self.note_forks(machine, space, &part);
                    part.entered.iter().for_each(|(child, is_new)| all.hears_of(*child, *is_new));
                    all.merge(part);
                }
                Err(err) => return self.fail(format!("storing entries: {err}")),
            }
        }
        for (log, _) in all.rejected.iter().filter(|(_, forked)| **forked) {
            let is_honest = |other: &crate::machine::Machine| {
                other.device() == log.device && !other.liar && !other.copied
            };
            if self.machines.iter().any(is_honest) {
                let name = self.machines[machine].name.clone();
                self.fail(format!("{name} finds that the log {log} is forked, whose author is honest"));
            }
        }
        let rejected = all.rejected.into_iter().map(|(log, forked)| Rejection { log, forked }).collect();
        let answer = Answer { peer, conn, durable: all.durable.into_iter().collect(), rejected, bytes };
        self.pend(
            machine,
            Pending {
                space,
                entries: stored,
                membership_changed: changed,
                entered: all.entered,
                answer: Some(answer),
                own: false,
            },
        );
    }

    pub(super) fn forged(&mut self, machine: usize, peer: usize, reason: &str) {
        let (here, there) = (self.machines[machine].name.clone(), self.machines[peer].name.clone());
        if self.machines[peer].liar {
            self.note(format!("{here} finds that {there} forges: {reason}"));
        } else {
            self.fail(format!("{here} was given a forged entry by {there}, who is honest: {reason}"));
        }
        self.hang_up(machine, peer);
    }

    /// A liar sends everybody it is connected to a frame that nobody could mean.
    pub(crate) fn babble(&mut self, machine: usize) {
        self.note(format!("m{machine} sends nonsense"));
        self.babble_once(machine);
    }

    /// One frame to everybody.
    pub(crate) fn babble_once(&mut self, machine: usize) {
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            let mut payload: Vec<u8> = (0..BABBLE_BYTES).map(|_| self.rng.u8(..)).collect();
            payload[0] = self.rng.u8(0..10);
            self.send(machine, peer, payload);
        }
    }
}

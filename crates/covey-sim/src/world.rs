//! Virtual time, links, and what happens when.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use covey_engine::{
    AnyRows, Engine, EngineError, HoldReason, Ingested, Secrets, acts::Acted, begin_anew, load_for_peer,
    planted, planted::Defect, prepare,
};
use covey_log::Entry;
use covey_sync::{Input, Output, Rejection, Session, SessionConfig};
use covey_types::{Head, LogId, SpaceId, keys::random_bytes};

use crate::{
    Options, Planted,
    machine::{Answer, Conn, Machine, Pending, Standing},
};

/// When the story begins: a day in 2023, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// Between the end of a session and the next try.
const RECONNECT_MS: u64 = 250;

/// Lines of the log that are kept.
const LOG_LINES: usize = 4000;

/// Events in one run: a story has some ten thousand; more is a loop.
const MAX_EVENTS: u64 = 2_000_000;

#[derive(Debug)]
enum Event {
    Frame {
        from: usize,
        to: usize,
        conn: u64,
        payload: Vec<u8>,
    },
    /// An answer to what a session wanted.
    Answer {
        machine: usize,
        peer: usize,
        conn: u64,
        input: Input,
    },
    Sync {
        machine: usize,
    },
    Connect {
        a: usize,
        b: usize,
    },
    Chores {
        machine: usize,
        space: SpaceId,
    },
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    pub(crate) rng: fastrand::Rng,
    pub(crate) options: Options,
    /// Virtual milliseconds since the story began.
    pub(crate) now: u64,
    pub(crate) machines: Vec<Machine>,
    pub(crate) space: Option<SpaceId>,
    events: BTreeMap<(u64, u64), Event>,
    numbered: u64,
    handled: u64,
    /// Pairs that can't reach each other.
    cut_off: BTreeSet<(usize, usize)>,
    log: VecDeque<String>,
    failure: Option<String>,
    pub(crate) settled_ms: u64,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl World {
    /// An empty one.
    pub fn new(seed: u64, options: Options) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            options,
            now: 0,
            machines: Vec::new(),
            space: None,
            events: BTreeMap::new(),
            numbered: 0,
            handled: 0,
            cut_off: BTreeSet::new(),
            log: VecDeque::new(),
            failure: None,
            settled_ms: 0,
        }
    }

    /// What happened, a line each.
    pub fn into_log(self) -> Vec<String> {
        self.log.into()
    }

    /// Entries that the first machine holds.
    pub fn entries(&self) -> u64 {
        let Some(space) = self.space else { return 0 };
        self.machines.iter().map(|machine| machine.heads(space).total()).max().unwrap_or(0)
    }

    /// Virtual milliseconds that everybody took to agree in the end.
    pub const fn settled_ms(&self) -> u64 {
        self.settled_ms
    }

    pub(crate) fn note(&mut self, line: impl Into<String>) {
        if self.log.len() >= LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:>9} {}", self.now, line.into()));
    }

    pub(crate) fn fail(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.note(format!("FAILED: {reason}"));
        self.failure.get_or_insert(reason);
    }

    /// What went wrong on the way, if anything.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.numbered += 1;
        self.events.insert((self.now + delay, self.numbered), event);
    }

    pub(crate) fn wall_ms(&self, machine: usize) -> u64 {
        (EPOCH_MS + self.now).saturating_add_signed(self.machines[machine].skew_ms)
    }

    fn clock(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    /// Adds a machine; of the same person as another one, if that is given.
    pub(crate) fn add_machine(&mut self, of: Option<usize>) -> usize {
        let index = self.machines.len();
        let owner = of.map(|of| Arc::clone(&self.machines[of].secrets));
        let machine = Machine::new(index, owner.as_deref(), self.options.real_store);
        self.machines.push(machine);
        for other in 0..index {
            self.at(self.numbered % 7, Event::Connect { a: other, b: index });
        }
        index
    }

    pub(crate) fn reachable(&self, a: usize, b: usize) -> bool {
        self.machines[a].up && self.machines[b].up && !self.cut_off.contains(&pair(a, b))
    }

    /// Lets a pair reach each other, or not.
    pub(crate) fn set_link(&mut self, a: usize, b: usize, works: bool) {
        if works {
            if self.cut_off.remove(&pair(a, b)) {
                self.at(1, Event::Connect { a, b });
            }
        } else if self.cut_off.insert(pair(a, b)) {
            self.hang_up(a, b);
        }
    }

    pub(crate) fn heal(&mut self) {
        for (a, b) in std::mem::take(&mut self.cut_off) {
            self.at(1, Event::Connect { a, b });
        }
    }

    /// The power of a machine goes.
    pub(crate) fn crash(&mut self, machine: usize) {
        self.note(format!("{} crashes", self.machines[machine].name));
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            self.hang_up(machine, peer);
        }
        let it = &mut self.machines[machine];
        it.up = false;
        it.pending.clear();
        it.sync_due = false;
        it.disk.crash();
    }

    /// And comes back.
    pub(crate) fn start(&mut self, machine: usize) {
        self.note(format!("{} starts", self.machines[machine].name));
        let it = &mut self.machines[machine];
        let engine = it.disk.start();
        *it.engine() = engine;
        it.up = true;
        for peer in 0..self.machines.len() {
            if peer != machine {
                self.at(1, Event::Connect { a: machine, b: peer });
            }
        }
        if let Some(space) = self.space {
            self.at(500, Event::Chores { machine, space });
        }
    }

    /// Goes back to its backup, if it has one: as `covey restore` does, with another log.
    pub(crate) fn restore(&mut self, machine: usize) {
        let Some(backup) = self.machines[machine].backup.clone() else { return };
        self.crash(machine);
        self.note(format!("{} goes back to its backup", self.machines[machine].name));
        self.machines[machine].disk.restore(&backup);
        self.start(machine);
        if self.options.planted != Some(Planted::ReusesPlaces) {
            let begun = self.transact(machine, |rows, engine, _, _| {
                begin_anew(rows)?;
                Ok(engine.reload(rows)?)
            });
            begun.expect("a restored machine begins new logs");
            self.machines[machine].disk.sync();
        }
        // What was written since then counts only as far as it got to others.
        self.machines[machine].acked.clear();
    }

    fn connect(&mut self, a: usize, b: usize) {
        if a == b || !self.reachable(a, b) || self.machines[a].conns.contains_key(&b) {
            return;
        }
        self.numbered += 1;
        let id = self.numbered;
        for (here, there) in [(a, b), (b, a)] {
            let nonce = random_bytes();
            let config = SessionConfig { window_bytes: 8 << 20, nonce, agent: "sim".into() };
            let session = Session::new(config, self.clock());
            let conn = Conn { id, session, nonce, hello: None, refused: BTreeSet::new(), arrives: 0 };
            self.machines[here].conns.insert(there, conn);
        }
        self.drain(a, b);
        self.drain(b, a);
    }

    /// Ends a session at both ends, and lets them try again.
    fn hang_up(&mut self, a: usize, b: usize) {
        let had = self.machines[a].conns.remove(&b).is_some() | self.machines[b].conns.remove(&a).is_some();
        let now = self.now;
        self.machines[a].met.insert(b, now);
        self.machines[b].met.insert(a, now);
        if had {
            let pause = RECONNECT_MS + self.rng.u64(0..RECONNECT_MS);
            self.at(pause, Event::Connect { a, b });
        }
    }

    /// Plays what is due until `until`, or until nothing is left to happen.
    pub(crate) fn run_until(&mut self, until: u64) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= until
            && self.handled < MAX_EVENTS
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.handled += 1;
            self.happen(event);
        }
        if self.handled >= MAX_EVENTS {
            self.fail("the machines never come to rest");
        }
        self.now = self.now.max(until);
    }

    /// Whether nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.events.is_empty()
    }

    /// Plays until nothing is under way any more; for at most so long.
    pub(crate) fn run_until_quiet(&mut self, at_most: u64) {
        let end = self.now + at_most;
        while let Some((at, _)) = self.events.keys().next().copied()
            && at <= end
            && self.failure.is_none()
        {
            self.run_until(at);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Connect { a, b } => self.connect(a, b),
            Event::Sync { machine } => self.sync(machine),
            Event::Chores { machine, space } => self.chores(machine, space),
            Event::Answer { machine, peer, conn, input } => {
                if self.machines[machine].conns.get(&peer).is_some_and(|known| known.id == conn) {
                    self.feed(machine, peer, input);
                }
            }
            Event::Frame { from, to, conn, payload } => {
                let is_current = self.machines[to].conns.get(&from).is_some_and(|known| known.id == conn);
                if is_current {
                    self.feed(to, from, Input::Frame(payload));
                }
            }
        }
    }

    fn feed(&mut self, machine: usize, peer: usize, input: Input) {
        let now = self.clock();
        let Some(conn) = self.machines[machine].conns.get_mut(&peer) else { return };
        match conn.session.handle(input, now) {
            Ok(()) => self.drain(machine, peer),
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
    fn answer(&mut self, machine: usize, peer: usize, input: Input) {
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

    fn drain(&mut self, machine: usize, peer: usize) {
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

    fn send(&mut self, machine: usize, peer: usize, payload: Vec<u8>) {
        let delay = 1 + self.rng.u64(0..40);
        let Some(conn) = self.machines[machine].conns.get_mut(&peer) else { return };
        conn.arrives = conn.arrives.max(self.now + delay);
        let (id, delay) = (conn.id, conn.arrives - self.now);
        self.at(delay, Event::Frame { from: machine, to: peer, conn: id, payload });
    }

    fn carry_out(&mut self, machine: usize, peer: usize, output: Output) {
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
            Output::Load { space, wants, max_bytes } => {
                let entries = self.load(machine, peer, space, wants, max_bytes);
                self.answer(machine, peer, Input::Loaded { space, entries });
            }
            Output::Ingest { space, entries, bytes } => self.ingest(machine, peer, space, entries, bytes),
            Output::Forked { log, mine, theirs, .. } => self.forked(machine, log, mine, theirs),
            Output::Theirs { space, heads } => self.look_back(machine, space, &heads),
            Output::Changed(_) => {}
            Output::Closed(_) => self.hang_up(machine, peer),
        }
    }

    /// A peer may have more of our own log than we do.
    fn look_back(&mut self, machine: usize, space: SpaceId, heads: &[(LogId, Head)]) {
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

    fn forked(&mut self, machine: usize, log: LogId, mine: Head, theirs: Head) {
        let honest = self.machines.iter().any(|other| other.device() == log.device && !other.liar);
        let name = &self.machines[machine].name;
        let line = format!("{name} sees a fork of {log}: {} here, {} there", mine.seq, theirs.seq);
        if honest { self.fail(line) } else { self.note(line) }
    }

    fn open_space(&mut self, machine: usize, peer: usize, space: SpaceId) {
        let device = self.machines[peer].device();
        let standing = self.machines[machine].standing(space, device);
        if standing == Standing::PutOut {
            if let Some(conn) = self.machines[machine].conns.get_mut(&peer) {
                conn.refused.insert(space);
            }
            return self.answer(machine, peer, Input::Refuse(space));
        }
        let founded = self.machines[machine].engine().space(space).is_ok_and(|s| s.membership.is_founded());
        let heads = self.machines[machine].heads(space);
        let may_send = standing == Standing::Member || !founded;
        self.answer(machine, peer, Input::Open { space, heads, may_send });
    }

    fn load(
        &mut self,
        machine: usize,
        peer: usize,
        space: SpaceId,
        wants: Vec<(LogId, u64)>,
        max_bytes: usize,
    ) -> Vec<Entry> {
        let it = &self.machines[machine];
        let Ok(key) = it.engine().space(space).map(|state| state.key) else { return Vec::new() };
        let loaded = it.disk.read(move |rows| load_for_peer(rows, key, &wants, max_bytes));
        let mut entries = match loaded {
            Ok(entries) => entries,
            Err(err) => {
                self.fail(format!("loading for a peer: {err}"));
                Vec::new()
            }
        };
        if self.options.planted == Some(Planted::TimeAsCursor) {
            let since = EPOCH_MS + self.machines[machine].met.get(&peer).copied().unwrap_or(0);
            entries.retain(|entry| entry.header.hlc.wall_ms() >= since);
        }
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

    fn ingest(&mut self, machine: usize, peer: usize, space: SpaceId, entries: Vec<Entry>, bytes: u32) {
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
                    all.merge(part);
                }
                Err(err) => return self.fail(format!("storing entries: {err}")),
            }
        }
        for (log, _) in all.rejected.iter().filter(|(_, forked)| **forked) {
            if self.machines.iter().any(|other| other.device() == log.device && !other.liar) {
                let name = self.machines[machine].name.clone();
                self.fail(format!("{name} finds that the log {log} is forked, whose author is honest"));
            }
        }
        let rejected = all.rejected.into_iter().map(|(log, forked)| Rejection { log, forked }).collect();
        let answer = Answer { peer, conn, durable: all.durable.into_iter().collect(), rejected, bytes };
        self.pend(
            machine,
            Pending { space, entries: stored, membership_changed: changed, answer: Some(answer), own: false },
        );
    }

    fn forged(&mut self, machine: usize, peer: usize, reason: &str) {
        let (here, there) = (self.machines[machine].name.clone(), self.machines[peer].name.clone());
        if self.machines[peer].liar {
            self.note(format!("{here} finds that {there} forges: {reason}"));
        } else {
            self.fail(format!("{here} was given a forged entry by {there}, who is honest: {reason}"));
        }
        self.hang_up(machine, peer);
    }

    /// Does something as the person at a machine.
    pub(crate) fn act(
        &mut self,
        machine: usize,
        job: impl FnOnce(&mut AnyRows<'_>, &mut Engine, &Secrets, u64) -> Result<Acted, EngineError>
        + Send
        + 'static,
    ) -> Result<(), EngineError> {
        let Some(space) = self.space else { return Ok(()) };
        let (entry, outcome) = self.transact(machine, job)?;
        let changed = outcome.membership_changed;
        self.pend(
            machine,
            Pending { space, entries: vec![entry], membership_changed: changed, answer: None, own: true },
        );
        Ok(())
    }

    pub(crate) fn pend(&mut self, machine: usize, pending: Pending) {
        if self.options.planted == Some(Planted::TellsTooEarly) && machine == 1 {
            return self.tell(machine, pending);
        }
        self.machines[machine].pending.push(pending);
        if !std::mem::replace(&mut self.machines[machine].sync_due, true) {
            let delay = 1 + self.rng.u64(0..20);
            self.at(delay, Event::Sync { machine });
        }
    }

    fn sync(&mut self, machine: usize) {
        if !self.machines[machine].up || !std::mem::take(&mut self.machines[machine].sync_due) {
            return;
        }
        self.machines[machine].disk.sync();
        for pending in std::mem::take(&mut self.machines[machine].pending) {
            self.tell(machine, pending);
        }
    }

    /// Tells everybody concerned of what is durable.
    fn tell(&mut self, machine: usize, pending: Pending) {
        let Pending { space, entries, membership_changed, answer, own } = pending;
        if own {
            let heads = entries.iter().map(|entry| (entry.header.log, entry.head()));
            self.machines[machine].acked.extend(heads);
        }
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            for entry in &entries {
                self.feed(machine, peer, Input::Appended { space, entry: Arc::clone(entry) });
            }
        }
        if let Some(answer) = answer {
            let Answer { peer, conn, durable, rejected, bytes } = answer;
            if self.machines[machine].conns.get(&peer).is_some_and(|known| known.id == conn) {
                self.feed(machine, peer, Input::Ingested { space, durable, rejected, bytes });
            }
        }
        if membership_changed {
            self.membership_changed(machine, space);
        }
    }

    pub(crate) fn membership_changed(&mut self, machine: usize, space: SpaceId) {
        for peer in self.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
            let device = self.machines[peer].device();
            let Some(conn) = self.machines[machine].conns.get(&peer) else { continue };
            let (refused, shared) = (conn.refused.contains(&space), conn.session.view(space).is_some());
            match self.machines[machine].standing(space, device) {
                Standing::Member if refused => {
                    self.hang_up(machine, peer);
                    continue;
                }
                Standing::Member => self.feed(machine, peer, Input::Authorise(space)),
                Standing::PutOut if shared => {
                    self.feed(machine, peer, Input::Forbid(space));
                    self.feed(machine, peer, Input::Stop);
                    continue;
                }
                Standing::PutOut | Standing::Unknown => {}
            }
            self.feed(machine, peer, Input::Again(space));
        }
        let turn = 50 + 400 * machine as u64;
        self.at(turn, Event::Chores { machine, space });
    }

    fn chores(&mut self, machine: usize, space: SpaceId) {
        if !self.machines[machine].up {
            return;
        }
        let own = self.machines[machine].device();
        if self.machines[machine].engine().space(space).map_or(true, |state| state.chores(own).is_empty()) {
            return;
        }
        let done = self.transact(machine, move |rows, engine, secrets, wall| {
            engine.do_chores(rows, secrets, space, wall)
        });
        match done {
            Ok(Some((entry, _))) => {
                let name = self.machines[machine].name.clone();
                self.note(format!("{name} sees to the keys"));
                self.pend(
                    machine,
                    Pending {
                        space,
                        entries: vec![entry],
                        membership_changed: true,
                        answer: None,
                        own: true,
                    },
                );
            }
            Ok(None) => {}
            Err(err) => self.fail(format!("seeing to the keys: {err}")),
        }
    }

    /// Lets entries go whose time has come.
    pub(crate) fn release_held(&mut self) {
        let Some(space) = self.space else { return };
        for machine in 0..self.machines.len() {
            if !self.machines[machine].up || self.machines[machine].engine().space(space).is_err() {
                continue;
            }
            let released = self.transact(machine, move |rows, engine, secrets, wall| {
                engine.release(rows, secrets, space, HoldReason::Future, wall)
            });
            match released {
                Ok(outcome) => {
                    let membership_changed = outcome.membership_changed;
                    self.pend(
                        machine,
                        Pending { space, entries: Vec::new(), membership_changed, answer: None, own: false },
                    );
                }
                Err(err) => self.fail(format!("looking at held entries: {err}")),
            }
        }
    }

    /// The defect that a machine works with.
    pub(crate) fn defect_of(&self, machine: usize) -> Option<Defect> {
        match self.options.planted {
            Some(Planted::SkipsSignatures) if machine == 1 => Some(Defect::SkipsSignatures),
            Some(Planted::LosesCuts) if machine == 1 => Some(Defect::LosesCuts),
            _ => None,
        }
    }
}

//! Virtual time, links, and what happens when.

mod duties;
mod sessions;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use covey_engine::{Engine, begin_anew};
use covey_pair::Nameplate;
use covey_sync::{Input, Session, SessionConfig};
use covey_types::{SpaceId, keys::random_bytes};

use crate::{
    Options, Planted,
    machine::{Conn, Machine},
    pairing::{Pairing, Try},
};

/// When the story begins: a day in 2023, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// Bytes that each side of a session may have under way, as nodes have it.
pub(crate) const WINDOW_BYTES: u32 = 8 << 20;

/// Between the end of a session and the next try.
const RECONNECT_MS: u64 = 250;

/// Lines of the log that are kept.
const LOG_LINES: usize = 4000;

/// Events in one run: a story has some ten thousand; more is a loop.
const MAX_EVENTS: u64 = 500_000;

/// Times that somebody sees to what a space needs, in one run: a story has some dozens; more is two who undo what the
/// other did.
const MAX_TENDED: u64 = 120;

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
    /// A machine has ended a session.
    Stopped {
        machine: usize,
        peer: usize,
        conn: u64,
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
    /// Somebody tries a code.
    Pair(Box<Try>),
    /// A message between two who pair.
    Pairing {
        id: u64,
        to_inviter: bool,
        message: Vec<u8>,
    },
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    pub(crate) rng: fastrand::Rng,
    /// For what came into stories later: they stay the stories that they were otherwise.
    pub(crate) more: fastrand::Rng,
    pub(crate) options: Options,
    /// Virtual milliseconds since the story began.
    pub(crate) now: u64,
    pub(crate) machines: Vec<Machine>,
    pub(crate) space: Option<SpaceId>,
    /// Spaces within that one, of some of its people.
    pub(crate) children: Vec<SpaceId>,
    events: BTreeMap<(u64, u64), Event>,
    numbered: u64,
    handled: u64,
    /// How often somebody saw to what a space needs.
    tended: u64,
    /// Pairs that can't reach each other.
    cut_off: BTreeSet<(usize, usize)>,
    /// Ways on which nothing gets through, while the way back works: who sends, and to whom.
    one_way: BTreeSet<(usize, usize)>,
    /// Streams on which two pair.
    pub(crate) pairings: BTreeMap<u64, Pairing>,
    /// Who used which code of whom.
    pub(crate) used: BTreeMap<(usize, Nameplate), usize>,
    log: VecDeque<String>,
    failure: Option<String>,
    pub(crate) settled_ms: u64,
    /// Whether nobody was left whom it could be asked of.
    pub(crate) vacuous: bool,
    /// Bytes that each side of a session may have under way.
    pub(crate) window_bytes: u32,
    /// Bytes that were under way in a session, at most.
    pub(crate) most_under_way: u64,
    /// How far ahead of the true time a clock was, at most.
    pub(crate) furthest_ahead_ms: u64,
    /// Events after which it's taken for a loop.
    pub(crate) most_events: u64,
    /// Bytes of frames that each machine has sent.
    pub(crate) sent: BTreeMap<usize, u64>,
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

impl World {
    /// An empty one.
    pub fn new(seed: u64, options: Options) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            more: fastrand::Rng::with_seed(!seed),
            options,
            now: 0,
            machines: Vec::new(),
            space: None,
            children: Vec::new(),
            events: BTreeMap::new(),
            numbered: 0,
            handled: 0,
            tended: 0,
            cut_off: BTreeSet::new(),
            one_way: BTreeSet::new(),
            pairings: BTreeMap::new(),
            used: BTreeMap::new(),
            log: VecDeque::new(),
            failure: None,
            settled_ms: 0,
            vacuous: false,
            window_bytes: WINDOW_BYTES,
            most_under_way: 0,
            furthest_ahead_ms: 0,
            most_events: MAX_EVENTS,
            sent: BTreeMap::new(),
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

    /// What a space is called in the log.
    pub(crate) fn called(&self, space: SpaceId) -> String {
        match self.children.iter().position(|child| *child == space) {
            Some(at) => format!("child {at}"),
            None => "the space".into(),
        }
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

    /// A number that no other stream has.
    pub(crate) const fn next_stream(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    pub(crate) fn try_code(&mut self, delay: u64, of: Try) {
        self.at(delay, Event::Pair(Box::new(of)));
    }

    pub(crate) fn pairing_message(&mut self, delay: u64, id: u64, to_inviter: bool, message: Vec<u8>) {
        self.at(delay, Event::Pairing { id, to_inviter, message });
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

    /// Nothing that one sends reaches the other any more, who is heard all the same; or it does again. The session that
    /// lived through it is over then: a part of it is missing.
    pub(crate) fn set_one_way(&mut self, from: usize, to: usize) {
        if self.one_way.remove(&(from, to)) {
            self.note(format!("m{from} is heard by m{to} again"));
            self.hang_up(from, to);
            self.at(1, Event::Connect { a: from, b: to });
        } else if from != to {
            self.note(format!("m{from} is no longer heard by m{to}"));
            self.one_way.insert((from, to));
        }
    }

    /// Whether what one sends gets to the other.
    pub(crate) fn is_heard(&self, from: usize, to: usize) -> bool {
        !self.one_way.contains(&(from, to))
    }

    pub(crate) fn heal(&mut self) {
        for (from, to) in self.one_way.clone() {
            self.set_one_way(from, to);
        }
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
        (it.frozen, it.shortened) = (BTreeSet::new(), BTreeMap::new());
        it.disk.crash(&mut self.rng);
        self.forget_pairings(machine);
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
        for space in self.machines[machine].spaces() {
            self.write_again(machine, space);
            self.at(500, Event::Chores { machine, space });
        }
    }

    /// Goes back to its backup, if it has one: as `covey restore` does, with another log.
    pub(crate) fn restore(&mut self, machine: usize) {
        if !self.go_back(machine, "goes back to its backup") {
            return;
        }
        self.start(machine);
        if self.options.planted != Some(Planted::ReusesPlaces) {
            let begun = self.transact(machine, |rows, engine, _, _| {
                begin_anew(rows)?;
                Ok(engine.reload(rows)?)
            });
            begun.expect("a restored machine begins new logs");
            self.machines[machine].disk.sync();
        }
        self.went_back(machine);
    }

    /// Puts a machine's backup in the place of what it has; whether it has one. Whoever was told since then that something is kept
    /// was told so by a disk that is no more.
    pub(crate) fn go_back(&mut self, machine: usize, what: &str) -> bool {
        if self.machines[machine].backup.is_none() {
            return false;
        }
        self.crash(machine);
        let it = &mut self.machines[machine];
        if let Some((backup, acked)) = &it.backup {
            it.disk.restore(backup);
            it.acked.clone_from(acked);
        }
        self.note(format!("m{machine} {what}"));
        true
    }

    /// Copies what is durable on a machine, with what others were told is kept.
    pub(crate) fn back_up(&mut self, machine: usize) {
        let it = &mut self.machines[machine];
        it.backup = Some((it.disk.backup(), it.acked.clone()));
    }

    /// A machine has an older copy of its things: what was written since then counts only as far as it got to others.
    pub(crate) fn went_back(&mut self, machine: usize) {
        let is_in = self.machines[machine].spaces().iter().any(|space| self.space == Some(*space));
        self.machines[machine].went_back = true;
        self.machines[machine].came_in &= is_in;
        let Some(space) = self.space else { return };
        let knows = |engine: &Engine, device| {
            engine.space(space).is_ok_and(|state| state.membership.was_device(device))
        };
        for other in 0..self.machines.len() {
            let it = &self.machines[other];
            if it.inviters.contains(&machine) && !knows(&self.machines[machine].engine(), it.device()) {
                self.machines[other].is_forgotten = true;
            }
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        if a == b || !self.reachable(a, b) || self.machines[a].conns.contains_key(&b) {
            return;
        }
        let has_met = self.machines[a].met.contains_key(&b);
        if self.options.planted == Some(Planted::GivesUp) && has_met && (a == 1 || b == 1) {
            return;
        }
        // Without an answer nothing is begun.
        if !self.is_heard(a, b) || !self.is_heard(b, a) {
            return;
        }
        self.numbered += 1;
        let id = self.numbered;
        for (here, there) in [(a, b), (b, a)] {
            let nonce = random_bytes();
            let config = SessionConfig {
                window_bytes: match self.options.planted {
                    Some(Planted::GrantsTooMuch) => u32::MAX,
                    _ => self.window_bytes,
                },
                nonce,
                agent: "sim".into(),
                clock_ms: self.wall_ms(here),
            };
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
            && self.handled < self.most_events
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.handled += 1;
            self.happen(event);
        }
        if self.handled >= self.most_events {
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
            Event::Stopped { machine, peer, conn } => self.stopped(machine, peer, conn),
            Event::Sync { machine } => self.sync(machine),
            Event::Chores { machine, space } => self.chores(machine, space),
            Event::Pair(of) => self.begin_pairing(*of),
            Event::Pairing { id, to_inviter, message } => self.take_pairing(id, to_inviter, &message),
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
}

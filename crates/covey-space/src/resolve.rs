//! What a set of membership entries comes to where they disagree.
//!
//! Every entry was allowed in its own past; that never changes. Whether it *stands* depends on what others did at
//! the same moment:
//!
//! 1. An entry that takes something from somebody (a removal, a lower role) is a *limit*. What the limited one
//!    wrote without knowing of it, past the cut that it names, is judged as by somebody with that little right.
//! 2. A limit *attacks* another one if it would make that one fall. Limits that nothing attacks stand, those that a
//!    standing one attacks fall, and so on. Where they attack each other in a circle, all stand: removal is strong.
//! 3. What follows from an entry that fell is judged again without it, and may fall too. If that brings down a limit
//!    that stood, the rest is settled anew without it.
//! 4. A limit falls if the one it limits was made more, at the same moment, than its author is: an admin doesn't
//!    remove an owner by not having heard that they are one.
//! 5. A space keeps an owner. If all their devices would be out, the one that has been in for longest stays: limits
//!    on it and its user yield. What yielded once stays so for everybody who acted knowing it.
//!
//! All of it looks only at the graph: never at a clock, nor at the order of arrival.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use covey_types::{DeviceId, EntryHash, Head, LogId, UserId};
use rpds::RedBlackTreeSetSync;

use crate::{
    Role,
    authority::{self, Deed, Limit, Outcome, Target},
    graph::{Graph, Past, Vertex},
    state::{Effect, RoleMark, State},
};

/// Vertices; cloning shares what both have in common.
pub(crate) type Vertices = RedBlackTreeSetSync<Vertex>;

/// One entry, as it was judged in its own past.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) log: LogId,
    pub(crate) seq: u64,
    /// Whose device wrote it.
    pub(crate) user: Option<UserId>,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) outcome: Outcome,
    /// What its author knew.
    pub(crate) before: View,
    /// It has no effect, whatever it says: it stands past the place where its author forked the log, or rests on what does.
    pub(crate) void: bool,
}

/// What a set of entries comes to.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Who is in the space.
    pub(crate) state: State,
    /// Entries that fell.
    pub(crate) fallen: Vertices,
    /// Limits that stand.
    pub(crate) limits: Vertices,
    /// Limits that fell so that an owner is left.
    pub(crate) yielded: Vertices,
}

impl View {
    /// Of no entries.
    pub(crate) fn empty() -> Self {
        let none = Vertices::new_sync;
        Self { state: State::empty(), fallen: none(), limits: none(), yielded: none() }
    }

    /// With one more entry, which knew of all the others.
    pub(crate) fn with(mut self, graph: &Graph, vertex: Vertex, outcome: &Outcome) -> Self {
        self.state.apply(graph, vertex, &outcome.effects);
        if !outcome.limits.is_empty() {
            self.limits.insert_mut(vertex);
        }
        self
    }
}

/// The entries and how they were judged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acts {
    pub(crate) graph: Graph,
    judged: HashMap<Vertex, Judged>,
    by_log: HashMap<LogId, Vec<Vertex>>,
    /// Who wrote what, as users and as devices.
    by_writer: BTreeMap<Target, Vec<Vertex>>,
    /// Entries that made somebody an owner.
    made_owner: BTreeMap<UserId, Vec<Vertex>>,
    /// All devices that were ever said to be somebody's.
    devices_of: BTreeMap<UserId, BTreeSet<DeviceId>>,
    /// The devices that have said of each whose it is.
    named_by: BTreeMap<DeviceId, BTreeSet<DeviceId>>,
}

/// Limits that hold while others are judged.
#[derive(Debug)]
struct Force {
    /// Those that stand beside each other.
    settled: BTreeSet<Vertex>,
    by_target: BTreeMap<Target, Vec<Vertex>>,
    /// One more, of which is asked what it would bring down.
    also: Option<Vertex>,
}

/// Somebody whose entry is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) log: LogId,
    pub(crate) seq: u64,
    pub(crate) user: Option<UserId>,
    pub(crate) knew: &'a Past,
}

/// The most that a limit leaves to somebody; `None` is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ceiling(Option<Role>);

impl Ceiling {
    fn lower(role: Option<Role>, ceiling: Self) -> Option<Role> {
        role.min(ceiling.0)
    }
}

/// Cuts that name another entry than the log has here.
pub(crate) type Contradicted = BTreeSet<(LogId, u64, EntryHash)>;

/// Who attacks whom, by the attacked.
type Attackers = BTreeMap<Vertex, BTreeSet<Vertex>>;

/// What came of a fold.
struct Folded {
    state: State,
    fallen: Vertices,
}

impl Acts {
    pub(crate) fn judged(&self, vertex: Vertex) -> &Judged {
        &self.judged[&vertex]
    }

    pub(crate) fn insert(&mut self, hash: EntryHash, deps: &[Vertex], judged: Judged) -> Vertex {
        if judged.void {
            let vertex = self.graph.insert_void(hash, deps);
            self.judged.insert(vertex, judged);
            return vertex;
        }
        let vertex = self.graph.insert(hash, deps);
        self.by_log.entry(judged.log).or_default().push(vertex);
        let writers = [Some(Target::Device(judged.log.device)), judged.user.map(Target::User)];
        for writer in writers.into_iter().flatten() {
            self.by_writer.entry(writer).or_default().push(vertex);
        }
        for effect in &judged.outcome.effects {
            match effect {
                Effect::Role(user, RoleMark::Given(Role::Owner)) => {
                    self.made_owner.entry(*user).or_default().push(vertex);
                }
                Effect::Identity(device, user, _) => {
                    self.devices_of.entry(*user).or_default().insert(*device);
                    self.named_by.entry(*device).or_default().insert(judged.log.device);
                }
                _ => {}
            }
        }
        self.judged.insert(vertex, judged);
        vertex
    }

    /// The first of those as whose device this one was ever named.
    pub(crate) fn named_as(&self, device: DeviceId) -> Option<UserId> {
        self.devices_of.iter().find(|(_, devices)| devices.contains(&device)).map(|(user, _)| *user)
    }

    /// The devices that have ever said of this one whose it is.
    pub(crate) fn named_by(&self, device: DeviceId) -> impl Iterator<Item = DeviceId> + '_ {
        self.named_by.get(&device).into_iter().flatten().copied()
    }

    /// Devices whose rights an entry touches, if it stands or falls.
    pub(crate) fn touched_by(&self, vertex: Vertex) -> BTreeSet<DeviceId> {
        let outcome = &self.judged(vertex).outcome;
        let of_user = |user: &UserId| self.devices_of.get(user).into_iter().flatten().copied();
        let mut touched = BTreeSet::new();
        for limit in &outcome.limits {
            match &limit.target {
                Target::User(user) => touched.extend(of_user(user)),
                Target::Device(device) => {
                    touched.insert(*device);
                }
            }
        }
        for effect in &outcome.effects {
            match effect {
                Effect::Present(device, _) => {
                    touched.insert(*device);
                }
                Effect::Identity(device, user, _) => {
                    touched.insert(*device);
                    touched.extend(of_user(user));
                }
                Effect::Role(user, _) => touched.extend(of_user(user)),
                _ => {}
            }
        }
        touched
    }

    /// What an entry that names `deps` knew.
    pub(crate) fn view(&self, deps: &[Vertex]) -> View {
        match deps {
            [] => View::empty(),
            [dep] => {
                let judged = self.judged(*dep);
                judged.before.clone().with(&self.graph, *dep, &judged.outcome)
            }
            _ => self.resolve(deps),
        }
    }

    /// What these entries and all before them come to.
    fn resolve(&self, heads: &[Vertex]) -> View {
        let past = self.graph.up_to(heads);
        let members: Vec<Vertex> = self.graph.within(&past).collect();
        let mut yielded = Vertices::new_sync();
        for head in heads {
            self.judged(*head).before.yielded.iter().for_each(|limit| yielded.insert_mut(*limit));
        }
        let mut open: Vec<Vertex> =
            members.iter().copied().filter(|v| self.is_limit(*v) && !yielded.contains(v)).collect();
        // Each round takes at least one limit out.
        loop {
            let force = self.force(self.settle(&open), None);
            let folded = self.fold(&members, &force);
            let out = self.brought_down(&members, &force, &folded);
            if !out.is_empty() {
                open.retain(|limit| !out.contains(limit));
                continue;
            }
            let out = self.to_yield(&force, &folded);
            if out.is_empty() {
                let limits = force.settled.into_iter().collect();
                return View { state: folded.state, fallen: folded.fallen, limits, yielded };
            }
            open.retain(|limit| !out.contains(limit));
            out.into_iter().for_each(|limit| yielded.insert_mut(limit));
        }
    }

    fn force(&self, settled: BTreeSet<Vertex>, also: Option<Vertex>) -> Force {
        let mut by_target: BTreeMap<Target, Vec<Vertex>> = BTreeMap::new();
        for vertex in &settled {
            for limit in &self.judged(*vertex).outcome.limits {
                by_target.entry(limit.target).or_default().push(*vertex);
            }
        }
        Force { settled, by_target, also }
    }

    /// Settled limits that fell all the same: by several others together, with what allowed them, or because the one
    /// they limit was made more than their author at the same moment.
    fn brought_down(&self, members: &[Vertex], force: &Force, folded: &Folded) -> BTreeSet<Vertex> {
        let outranked = |vertex: Vertex| {
            let judged = self.judged(vertex);
            judged.outcome.limits.iter().filter(|limit| limit.rank < Role::Owner).any(|limit| {
                let user = match limit.target {
                    Target::User(user) => Some(user),
                    Target::Device(device) => judged.before.state.owner_of(device),
                };
                let made = user.and_then(|user| self.made_owner.get(&user)).into_iter().flatten();
                let mut made = made.filter(|by| self.graph.are_concurrent(**by, vertex));
                made.any(|by| members.binary_search(by).is_ok() && !folded.fallen.contains(by))
            })
        };
        force.settled.iter().copied().filter(|v| folded.fallen.contains(v) || outranked(*v)).collect()
    }

    /// Limits that have to yield so that an owner is left.
    fn to_yield(&self, force: &Force, folded: &Folded) -> BTreeSet<Vertex> {
        if folded.state.devices().any(|(_, _, role)| role == Role::Owner) {
            return BTreeSet::new();
        }
        let owners = force.settled.iter().flat_map(|vertex| {
            let judged = self.judged(*vertex);
            let state = &judged.before.state;
            let owned = state.devices().filter(|(_, _, role)| *role == Role::Owner);
            let hit = owned.filter(|(device, user, _)| {
                judged.outcome.limits.iter().any(|limit| is_meant(limit, *device, Some(*user)))
            });
            hit.filter_map(|(device, user, _)| Some((state.since(device)?, device, user))).collect::<Vec<_>>()
        });
        let Some((_, device, user)) = owners.min() else { return BTreeSet::new() };
        let targets = [Target::Device(device), Target::User(user)];
        targets.iter().filter_map(|target| force.by_target.get(target)).flatten().copied().collect()
    }

    fn is_limit(&self, vertex: Vertex) -> bool {
        !self.judged(vertex).outcome.limits.is_empty()
    }

    /// Which limits stand.
    fn settle(&self, all: &[Vertex]) -> BTreeSet<Vertex> {
        let hits: Vec<(Vertex, Vec<Vertex>)> =
            all.iter().map(|a| (*a, self.hits(*a))).filter(|(_, hits)| !hits.is_empty()).collect();
        let attackers = |b: Vertex| {
            let of_b = hits.iter().filter(|(a, hits)| self.attacks(*a, hits, b));
            of_b.map(|(a, _)| *a).collect::<BTreeSet<Vertex>>()
        };
        let attackers: Attackers = all.iter().map(|b| (*b, attackers(*b))).collect();
        let mut open: BTreeSet<Vertex> = all.iter().copied().collect();
        let mut standing = BTreeSet::new();
        while !open.is_empty() {
            open.retain(|v| attackers[v].is_disjoint(&standing));
            let free: Vec<Vertex> =
                open.iter().copied().filter(|v| attackers[v].is_disjoint(&open)).collect();
            let decided = if free.is_empty() { self.circle(&open, &attackers) } else { free };
            for vertex in &decided {
                open.remove(vertex);
            }
            standing.extend(decided);
        }
        standing
    }

    /// Of limits that all are attacked by others of them: a circle that nothing outside attacks.
    fn circle(&self, open: &BTreeSet<Vertex>, attackers: &Attackers) -> Vec<Vertex> {
        let reach = |start: Vertex| {
            let mut seen = BTreeSet::from([start]);
            let mut next = vec![start];
            while let Some(v) = next.pop() {
                next.extend(attackers[&v].intersection(open).copied().filter(|a| seen.insert(*a)));
            }
            seen
        };
        // Whoever is attacked, through others too, by the fewest stands in a circle without attackers from outside.
        let circle = open.iter().map(|v| reach(*v)).min_by_key(|seen| {
            let lowest = seen.iter().map(|v| self.graph.hash(*v)).min();
            (seen.len(), lowest)
        });
        circle.unwrap_or_default().into_iter().collect()
    }

    /// Entries that a limit would touch: written by those whom it limits, not knowing of it, past the cut.
    fn hits(&self, limit: Vertex) -> Vec<Vertex> {
        let targets: BTreeSet<Target> =
            self.judged(limit).outcome.limits.iter().map(|limit| limit.target).collect();
        let written = targets.iter().filter_map(|target| self.by_writer.get(target)).flatten().copied();
        written
            .filter(|v| !self.graph.is_before(*v, limit) && self.bite(limit, self.writer(*v), None).is_some())
            .collect()
    }

    /// Whether `a`, which touches `hits`, makes `b`, which does not know of it, fall.
    fn attacks(&self, a: Vertex, hits: &[Vertex], b: Vertex) -> bool {
        if !self.graph.are_concurrent(a, b) {
            return false;
        }
        let victim = self.judged(b);
        let hits_past = hits.iter().any(|v| self.graph.is_before(*v, b));
        if !hits_past && !hits.contains(&b) {
            return false;
        }
        let force = self.force(victim.before.limits.iter().copied().collect(), Some(a));
        if hits_past {
            let members: Vec<Vertex> = self.graph.within(self.graph.past(b)).collect();
            let folded = self.fold(&members, &force);
            let state = self.state_without(self.graph.past(b), &folded.fallen, &victim.before);
            return !self.is_allowed(b, &force, &folded.fallen, &state);
        }
        !self.is_allowed(b, &force, &victim.before.fallen, &victim.before.state)
    }

    fn writer(&self, vertex: Vertex) -> Writer<'_> {
        let Judged { log, seq, user, .. } = self.judged(vertex);
        Writer { log: *log, seq: *seq, user: *user, knew: self.graph.past(vertex) }
    }

    /// Takes in every entry that stands, in an order in which each follows its past.
    fn fold(&self, members: &[Vertex], force: &Force) -> Folded {
        let mut folded = Folded { state: State::empty(), fallen: Vertices::new_sync() };
        // States after entries whose authors knew other things to have fallen.
        let mut after: HashMap<Vertex, State> = HashMap::new();
        for vertex in members {
            let judged = self.judged(*vertex);
            let same = self.same_within(self.graph.past(*vertex), &folded.fallen, &judged.before);
            let state =
                if same { judged.before.state.clone() } else { self.state_before(*vertex, &folded, &after) };
            let is_settled = !self.is_limit(*vertex) || force.settled.contains(vertex);
            let stands = is_settled && self.is_allowed(*vertex, force, &folded.fallen, &state);
            if stands {
                folded.state.apply(&self.graph, *vertex, &judged.outcome.effects);
            } else {
                folded.fallen.insert_mut(*vertex);
            }
            if !same || !stands {
                let mut state = state;
                if stands {
                    state.apply(&self.graph, *vertex, &judged.outcome.effects);
                }
                after.insert(*vertex, state);
            }
        }
        folded
    }

    fn state_before(&self, vertex: Vertex, folded: &Folded, after: &HashMap<Vertex, State>) -> State {
        match self.graph.deps(vertex) {
            [dep] if after.contains_key(dep) => after[dep].clone(),
            _ => self.state_without(self.graph.past(vertex), &folded.fallen, &self.judged(vertex).before),
        }
    }

    /// Whether an entry is still allowed when these limits hold, these entries fell, and that left this state.
    fn is_allowed(&self, vertex: Vertex, force: &Force, fallen: &Vertices, state: &State) -> bool {
        let judged = self.judged(vertex);
        let past = self.graph.past(vertex);
        if past.len() == 0 || judged.void {
            return true;
        }
        let writer = self.writer(vertex);
        // Limits that stand were settled among each other.
        let by_settled = if force.settled.contains(&vertex) {
            Some(Role::Owner)
        } else {
            let targets = [Some(Target::Device(writer.log.device)), writer.user.map(Target::User)];
            let limits =
                targets.into_iter().flatten().filter_map(|target| force.by_target.get(&target)).flatten();
            limits.filter_map(|limit| self.bite(*limit, writer, None)).fold(Some(Role::Owner), Ceiling::lower)
        };
        let by_also = force.also.and_then(|limit| self.bite(limit, writer, None));
        let ceiling = by_also.into_iter().fold(by_settled, Ceiling::lower);
        let is_as_before = ceiling == Some(Role::Owner) && self.same_within(past, fallen, &judged.before);
        is_as_before || authority::judge(state, judged.log.device, ceiling, &judged.deeds).is_ok()
    }

    /// Whether of a past just that fell which was known to have fallen.
    fn same_within(&self, past: &Past, fallen: &Vertices, known: &View) -> bool {
        if fallen.is_empty() && known.fallen.is_empty() {
            return true;
        }
        fallen.iter().filter(|v| self.graph.is_in(**v, past)).eq(known.fallen.iter())
    }

    /// The state after a past, without what fell. `known` is what the past alone comes to.
    pub(crate) fn state_without(&self, past: &Past, fallen: &Vertices, known: &View) -> State {
        if self.same_within(past, fallen, known) {
            return known.state.clone();
        }
        let mut state = State::empty();
        for vertex in self.graph.within(past).filter(|v| !fallen.contains(v)) {
            state.apply(&self.graph, vertex, &self.judged(vertex).outcome.effects);
        }
        state
    }

    /// The most that somebody may do, by the limits of which they did not know; `contradicted` are cuts that the logs
    /// here contradict.
    pub(crate) fn ceiling(
        &self,
        writer: Writer<'_>,
        limits: &Vertices,
        contradicted: &Contradicted,
    ) -> Option<Role> {
        let of_each = limits.iter().filter_map(|limit| self.bite(*limit, writer, Some(contradicted)));
        of_each.fold(Some(Role::Owner), Ceiling::lower)
    }

    /// To what an entry limits a writer who did not know of it; `None` if it does not.
    fn bite(
        &self,
        vertex: Vertex,
        writer: Writer<'_>,
        contradicted: Option<&Contradicted>,
    ) -> Option<Ceiling> {
        let judged = self.judged(vertex);
        let mut meant = judged
            .outcome
            .limits
            .iter()
            .filter(|limit| is_meant(limit, writer.log.device, writer.user))
            .peekable();
        meant.peek()?;
        if self.graph.is_in(vertex, writer.knew) {
            return None;
        }
        meant
            .filter(|limit| writer.seq > self.cut(vertex, limit, writer.log, contradicted))
            .map(|limit| Ceiling(limit.ceiling))
            .min()
    }

    /// Up to which entry somebody who set a limit had seen the log of one whom it's for. Not what the device says of its own
    /// logs: it could choose between histories that it has written itself.
    pub(crate) fn seen_by_another(&self, vertex: Vertex, log: LogId) -> Option<Head> {
        let judged = self.judged(vertex);
        if judged.log.device == log.device {
            return None;
        }
        let user = judged.before.state.owner_of(log.device);
        let meant = judged.outcome.limits.iter().filter(|limit| is_meant(limit, log.device, user));
        meant.filter_map(|limit| limit.cuts.get(&log)).min_by_key(|head| (head.seq, head.hash)).copied()
    }

    /// What a log says of the membership before a place and that isn't void.
    pub(crate) fn of_log(&self, log: LogId, before: u64) -> impl Iterator<Item = Vertex> + '_ {
        let acts = self.by_log.get(&log).into_iter().flatten().copied();
        acts.filter(move |act| self.judged(*act).seq < before && !self.judged(*act).void)
    }

    /// If a vertex limits the author of a log: which device set it, up to where the log counts, and the cut that it names.
    pub(crate) fn limit_on(
        &self,
        vertex: Vertex,
        log: LogId,
        contradicted: &Contradicted,
    ) -> Option<(DeviceId, u64, Option<Head>)> {
        let judged = self.judged(vertex);
        let user = judged.before.state.owner_of(log.device);
        let meant = judged.outcome.limits.iter().filter(|limit| is_meant(limit, log.device, user));
        let bars = meant.filter(|limit| limit.ceiling < Some(Role::Member));
        let cut = |limit| self.cut(vertex, limit, log, Some(contradicted));
        let ends = bars.map(|limit| (cut(limit), limit.cuts.get(&log).copied()));
        ends.min_by_key(|(end, _)| *end).map(|(end, named)| (judged.log.device, end, named))
    }

    /// Up to where a log counts in spite of a limit: as far as the limit says, but never less than what its author
    /// built upon. Whoever limits themself can't say: up to that entry. A cut that names another entry than the log has
    /// here was set by somebody who saw another history: then only what they built upon is known to be the same.
    fn cut(&self, vertex: Vertex, limit: &Limit, log: LogId, contradicted: Option<&Contradicted>) -> u64 {
        let own = self.judged(vertex);
        if own.log == log {
            return own.seq;
        }
        let is_seen =
            |head: &&Head| contradicted.is_none_or(|set| !set.contains(&(log, head.seq, head.hash)));
        let named = limit.cuts.get(&log).filter(is_seen).map_or(0, |head| head.seq);
        let of_log = self.by_log.get(&log).into_iter().flatten();
        let built_upon =
            of_log.filter(|v| self.graph.is_before(**v, vertex)).map(|v| self.judged(*v).seq).max();
        named.max(built_upon.unwrap_or(0))
    }
}

fn is_meant(limit: &Limit, device: DeviceId, user: Option<UserId>) -> bool {
    match limit.target {
        Target::User(target) => user == Some(target),
        Target::Device(target) => device == target,
    }
}

//! Random graphs of membership, judged by the fold and by a model that follows the rules of [`crate::resolve`] word for
//! word: with sets of ancestors written out, everything computed afresh, and no short cut.

use std::sync::LazyLock;

use covey_log::Draft;
use covey_types::{DeviceSecret, Head, Hlc, Incarnation, UserSecret};
use proptest::prelude::*;

use super::*;
use crate::{
    AddMember, Device, DeviceCert, KemSecret, SealedKey,
    authority::{Limit, Outcome, Target},
    graph::Graph,
    keyring::WrappedKey,
    ops::{AddDevice, Cut, RemoveDevice, RemoveMember, Rotate, SetRole},
    state::{Effect, RoleMark},
};

/// A device of the model's people: two of the first, one of each other.
struct Actor {
    device: DeviceSecret,
    certified: Device,
}

const DEVICES: usize = 6;

static ACTORS: LazyLock<Vec<Actor>> = LazyLock::new(|| {
    let users: Vec<UserSecret> = (0..DEVICES - 1).map(|_| UserSecret::generate()).collect();
    let actor = |i: usize| {
        let device = DeviceSecret::generate();
        // The last device is a second one of the second person, who is an owner or an admin.
        let user = if i == DEVICES - 1 { &users[1] } else { &users[i] };
        let cert = DeviceCert::sign(user, &device, KemSecret::generate().public());
        Actor { device, certified: Device { cert, name: format!("device {i}") } }
    };
    (0..DEVICES).map(actor).collect()
});

fn user(i: usize) -> UserId {
    ACTORS[i].certified.cert.user
}

fn log(i: usize) -> LogId {
    LogId { device: ACTORS[i].device.id(), incarnation: Incarnation(1) }
}

/// What somebody does, not knowing of all that others did.
#[derive(Debug, Clone)]
struct Plan {
    author: usize,
    subject: usize,
    act: u8,
    role: u8,
    /// How many of the newest entries the author may have missed, and which of them.
    missed: u8,
    mask: u16,
    cut: prop::sample::Index,
}

/// Acts of [`Plan::act`].
const REMOVE: u8 = 5;
const ROTATE: u8 = 8;
const SHARE: u8 = 9;

fn plans(acts: impl Strategy<Value = u8>) -> impl Strategy<Value = Vec<Plan>> {
    let plan = (0..DEVICES, 0..DEVICES, acts, 0u8..4, 0u8..12, any::<u16>(), any::<prop::sample::Index>())
        .prop_map(|(author, subject, act, role, missed, mask, cut)| Plan {
            author,
            subject,
            act,
            role,
            missed,
            mask,
            cut,
        });
    prop::collection::vec(plan, 1..14)
}

type Written = (Entry, Vec<MembershipOp>);

/// Where one of them is proved to have forked the log: from which place on nothing in it counts.
type Fork = Option<(usize, u64)>;

fn is_past(fork: Fork, entry: &Entry) -> bool {
    fork.is_some_and(|(author, from)| entry.header.log == log(author) && entry.header.seq >= from)
}

fn apply(space: &mut Membership, fork: Fork, (entry, ops): &Written) -> Result<(), MembershipError> {
    if is_past(fork, entry) { space.apply_void(entry, Some(ops)) } else { space.apply(entry, ops) }
}

/// Writes entries as the plans say, behind a beginning in which everybody joins.
struct Story {
    space: SpaceId,
    written: Vec<Written>,
    heads: Vec<Head>,
    /// Epochs that somebody would have begun, from the founding's on.
    epochs: Vec<EpochId>,
}

impl Story {
    fn begin(roles: [u8; 4]) -> Self {
        let founder = &ACTORS[0];
        let (heads, epochs) = (vec![Head::EMPTY; DEVICES], vec![EpochId([0; 16])]);
        let mut story = Self { space: SpaceId::FOUNDING, written: vec![], heads, epochs };
        let found = MembershipOp::Found(Found {
            name: "garden".into(),
            history: HistoryPolicy::Full,
            user_name: "founder".into(),
            device: founder.certified.clone(),
            nonce: [0; 16],
            keys: vec![],
            parent: None,
            personal: false,
        });
        story.write(0, Kind::FOUNDING, vec![], vec![found]);
        story.space = story.written[0].0.space();
        for (i, role) in (1..).zip(roles) {
            let mut devices = vec![ACTORS[i].certified.clone()];
            devices.extend((i == 1).then(|| ACTORS[DEVICES - 1].certified.clone()));
            let deps = vec![story.written[story.written.len() - 1].0.hash];
            story.write(0, Kind::MEMBERSHIP, deps, vec![add(i, role, devices)]);
        }
        story
    }

    fn write(&mut self, author: usize, kind: Kind, deps: Vec<EntryHash>, ops: Vec<MembershipOp>) {
        let head = self.heads[author];
        let draft = Draft {
            space: self.space,
            log: log(author),
            head,
            // Clocks are off by hours, those of the first people the most: time decides nothing.
            hlc: Hlc::new(head.seq + 1 + 3_600_000 * (DEVICES - author) as u64, 0),
            kind,
            epoch: EpochId([0; 16]),
            deps,
        };
        let entry = Entry::sign(&ACTORS[author].device, draft, vec![0; 40]);
        self.heads[author] = entry.head();
        self.written.push((entry, ops));
    }

    /// One of the epochs that there are, whether its author can know of it or not.
    fn epoch(&self, plan: &Plan) -> EpochId {
        self.epochs[plan.cut.index(self.epochs.len())]
    }

    fn rotate(&mut self, plan: &Plan) -> MembershipOp {
        let old = self.epoch(plan);
        let epoch = EpochId([u8::try_from(self.epochs.len()).unwrap(); 16]);
        self.epochs.push(epoch);
        let leads_back = plan.mask >> 8 & 1 == 1;
        let previous = leads_back.then(|| WrappedKey { epoch: old, bytes: vec![] });
        MembershipOp::Rotate(Rotate {
            epoch,
            keys: seal(plan, epoch),
            previous: previous.into_iter().collect(),
        })
    }

    fn act(&mut self, plan: &Plan) {
        let missed = usize::from(plan.missed).min(self.written.len() - 1);
        let sure = self.written.len() - missed;
        let known = (0..self.written.len())
            .filter(|i| *i == sure - 1 || (*i >= sure && plan.mask >> (*i % 16) & 1 == 1));
        let deps: Vec<EntryHash> = known.map(|i| self.written[i].0.hash).collect();
        let subject = plan.subject;
        let cuts: Vec<Cut> = (0..DEVICES)
            .filter(|i| user(*i) == user(subject))
            .map(|i| {
                let seq = plan.cut.index(usize::try_from(self.heads[i].seq).unwrap() + 1) as u64;
                Cut { log: log(i), head: Head { seq, hash: EntryHash([7; 32]) } }
            })
            .collect();
        let device = ACTORS[subject].device.id();
        let role = Role::from_u8(plan.role).unwrap();
        let op = match plan.act {
            0 => add(subject, plan.role, vec![ACTORS[subject].certified.clone()]),
            1 => {
                MembershipOp::AddDevice(AddDevice { device: ACTORS[subject].certified.clone(), keys: vec![] })
            }
            2 => MembershipOp::SetRole(SetRole { user: user(subject), role, cuts }),
            3 => MembershipOp::SetRole(SetRole { user: user(subject), role: Role::Owner, cuts }),
            4 | REMOVE => MembershipOp::RemoveMember(RemoveMember { user: user(subject), cuts }),
            6 => MembershipOp::RemoveDevice(RemoveDevice { device, cuts }),
            7 | ROTATE => self.rotate(plan),
            SHARE => MembershipOp::ShareKeys(seal(plan, self.epoch(plan))),
            // Leaving: a second person too, if that is said of one who may be removed.
            _ => MembershipOp::RemoveMember(RemoveMember { user: user(plan.author), cuts: vec![] }),
        };
        let mut ops = vec![op];
        if plan.mask.is_multiple_of(7) {
            let second = (subject + 1) % DEVICES;
            ops.push(MembershipOp::RemoveDevice(RemoveDevice {
                device: ACTORS[second].device.id(),
                cuts: vec![],
            }));
        }
        self.write(plan.author, Kind::MEMBERSHIP, deps, ops);
    }
}

/// An epoch's key for some of the devices.
fn seal(plan: &Plan, epoch: EpochId) -> Vec<SealedKey> {
    let to = (0..DEVICES).filter(|i| plan.mask >> i & 1 == 1);
    to.map(|i| SealedKey { device: ACTORS[i].device.id(), epoch, bytes: vec![] }).collect()
}

fn add(i: usize, role: u8, devices: Vec<Device>) -> MembershipOp {
    MembershipOp::AddMember(AddMember {
        user: user(i),
        user_name: format!("user {i}"),
        role: Role::from_u8(role).unwrap(),
        devices,
        keys: vec![],
    })
}

/// What a set of entries comes to, in the model.
#[derive(Clone)]
struct ModelView {
    state: State,
    fallen: BTreeSet<usize>,
    limits: BTreeSet<usize>,
    yielded: BTreeSet<usize>,
}

struct ModelEntry {
    user: Option<UserId>,
    log: LogId,
    seq: u64,
    deeds: Vec<Deed>,
    outcome: Outcome,
    past: BTreeSet<usize>,
    own: ModelView,
    hash: EntryHash,
    vertex: Vertex,
    /// It stands where its author has forked the log, or rests on such an entry alone: it does nothing.
    void: bool,
}

/// Whose act it is, what it does, and what comes of it.
type Allowed = (Option<UserId>, Vec<Deed>, Outcome);

/// The rules, word for word.
#[derive(Default)]
struct Model {
    /// Only to tell the registers of the state who came first; checked for itself against sets of ancestors.
    graph: Graph,
    entries: Vec<ModelEntry>,
}

impl Model {
    fn find(&self, hash: &EntryHash) -> Option<usize> {
        self.entries.iter().position(|entry| entry.hash == *hash)
    }

    fn closure(&self, deps: &[EntryHash]) -> Option<BTreeSet<usize>> {
        let heads = deps.iter().map(|dep| self.find(dep)).collect::<Option<Vec<_>>>()?;
        Some(heads.iter().flat_map(|head| self.entries[*head].past.iter().copied().chain([*head])).collect())
    }

    fn apply(&mut self, entry: &Entry, ops: &[MembershipOp], is_past_fork: bool) -> Result<(), ()> {
        let past = self.closure(&entry.header.deps).ok_or(())?;
        let own = self.resolve(&past);
        let rests_on_void = past.iter().any(|i| self.entries[*i].void);
        let judged = match Self::judge(entry, ops, &own) {
            _ if is_past_fork => None,
            Err(()) if rests_on_void => None,
            judged => Some(judged?),
        };
        let owner = own.state.owner_of(entry.header.log.device);
        let user = ops.iter().find_map(founder).or(owner);
        self.insert(entry, judged.map(|(deeds, outcome)| (user, deeds, outcome)), past, own);
        Ok(())
    }

    fn judge(entry: &Entry, ops: &[MembershipOp], own: &ModelView) -> Result<(Vec<Deed>, Outcome), ()> {
        if let [MembershipOp::Found(found)] = ops {
            return Ok((vec![], authority::founding(found).map_err(drop)?));
        }
        let deeds = ops.iter().map(Deed::of).collect::<Result<Vec<_>, _>>().map_err(drop)?;
        let device = entry.header.log.device;
        let outcome = authority::judge(&own.state, device, Some(Role::Owner), &deeds).map_err(drop)?;
        Ok((deeds, outcome))
    }

    fn insert(&mut self, entry: &Entry, judged: Option<Allowed>, past: BTreeSet<usize>, own: ModelView) {
        let void = judged.is_none();
        let (user, deeds, outcome) = judged.unwrap_or_default();
        let vertex = self.graph.insert(entry.hash, &self.graph.find_all(&entry.header.deps).unwrap());
        let (log, seq, hash) = (entry.header.log, entry.header.seq, entry.hash);
        self.entries.push(ModelEntry { user, log, seq, deeds, outcome, past, own, hash, vertex, void });
    }

    fn resolve(&self, set: &BTreeSet<usize>) -> ModelView {
        let is_limit = |i: &usize| !self.entries[*i].outcome.limits.is_empty();
        let heads = set.iter().filter(|i| !set.iter().any(|j| self.entries[*j].past.contains(i)));
        let mut yielded: BTreeSet<usize> =
            heads.flat_map(|head| self.entries[*head].own.yielded.iter().copied()).collect();
        let mut open: BTreeSet<usize> =
            set.iter().copied().filter(is_limit).filter(|i| !yielded.contains(i)).collect();
        loop {
            let limits = self.settle(&open);
            let (state, fallen) = self.fold(set, &limits, None);
            let down: BTreeSet<usize> = limits
                .iter()
                .copied()
                .filter(|i| fallen.contains(i) || self.is_outranked(*i, set, &fallen))
                .collect();
            if !down.is_empty() {
                open = open.difference(&down).copied().collect();
                continue;
            }
            let out = self.to_yield(&state, &limits);
            if out.is_empty() {
                return ModelView { state, fallen, limits, yielded };
            }
            open = open.difference(&out).copied().collect();
            yielded.extend(out);
        }
    }

    /// Whether the one who is limited was made an owner, not knowing, by an entry that stands, and the author is none.
    fn is_outranked(&self, i: usize, set: &BTreeSet<usize>, fallen: &BTreeSet<usize>) -> bool {
        let entry = &self.entries[i];
        entry.outcome.limits.iter().filter(|limit| limit.rank != Role::Owner).any(|limit| {
            let user = match limit.target {
                Target::User(user) => Some(user),
                Target::Device(device) => entry.own.state.owner_of(device),
            };
            set.difference(fallen).any(|j| {
                let other = &self.entries[*j];
                let made = |effect: &Effect| {
                    matches!(effect, Effect::Role(of, RoleMark::Given(Role::Owner)) if Some(*of) == user)
                };
                *j != i
                    && !other.past.contains(&i)
                    && !entry.past.contains(j)
                    && other.outcome.effects.iter().any(made)
            })
        })
    }

    fn to_yield(&self, state: &State, limits: &BTreeSet<usize>) -> BTreeSet<usize> {
        if state.devices().any(|(_, _, role)| role == Role::Owner) {
            return BTreeSet::new();
        }
        let targets =
            |i: usize| self.entries[i].outcome.limits.iter().map(|limit| limit.target).collect::<Vec<_>>();
        let hits = |i: usize, device: DeviceId, user: UserId| {
            targets(i).contains(&Target::Device(device)) || targets(i).contains(&Target::User(user))
        };
        let mut senior: Option<((u64, EntryHash), DeviceId, UserId)> = None;
        for i in limits {
            for (device, user, role) in self.entries[*i].own.state.devices() {
                let since = self.entries[*i].own.state.since(device).unwrap();
                if role == Role::Owner
                    && hits(*i, device, user)
                    && senior.is_none_or(|senior| (since, device, user) < senior)
                {
                    senior = Some((since, device, user));
                }
            }
        }
        let Some((_, device, user)) = senior else { return BTreeSet::new() };
        limits.iter().copied().filter(|i| hits(*i, device, user)).collect()
    }

    fn fold(
        &self,
        set: &BTreeSet<usize>,
        settled: &BTreeSet<usize>,
        also: Option<usize>,
    ) -> (State, BTreeSet<usize>) {
        let mut fallen = BTreeSet::new();
        for i in set {
            let is_limit = !self.entries[*i].outcome.limits.is_empty();
            if (is_limit && !settled.contains(i)) || !self.is_allowed(*i, settled, also, &fallen) {
                fallen.insert(*i);
            }
        }
        (self.state(set, &fallen), fallen)
    }

    fn state(&self, set: &BTreeSet<usize>, fallen: &BTreeSet<usize>) -> State {
        let mut state = State::empty();
        for i in set.difference(fallen) {
            state.apply(&self.graph, self.entries[*i].vertex, &self.entries[*i].outcome.effects);
        }
        state
    }

    fn is_allowed(
        &self,
        i: usize,
        settled: &BTreeSet<usize>,
        also: Option<usize>,
        fallen: &BTreeSet<usize>,
    ) -> bool {
        let entry = &self.entries[i];
        if entry.past.is_empty() || entry.void {
            return true;
        }
        let mut limits: BTreeSet<usize> = also.into_iter().collect();
        if !settled.contains(&i) {
            limits.extend(settled);
        }
        let state = self.state(&entry.past, fallen);
        let ceiling = self.ceiling(entry.log, entry.seq, &entry.past, &limits, entry.user);
        authority::judge(&state, entry.log.device, ceiling, &entry.deeds).is_ok()
    }

    fn ceiling(
        &self,
        log: LogId,
        seq: u64,
        knew: &BTreeSet<usize>,
        limits: &BTreeSet<usize>,
        user: Option<UserId>,
    ) -> Option<Role> {
        let mut ceiling = Some(Role::Owner);
        for by in limits.difference(knew) {
            let entry = &self.entries[*by];
            for Limit { target, ceiling: to, cuts, .. } in &entry.outcome.limits {
                let meant = match target {
                    Target::User(target) => user == Some(*target),
                    Target::Device(target) => log.device == *target,
                };
                let named = cuts.get(&log).map_or(0, |head| head.seq);
                let built = entry
                    .past
                    .iter()
                    .map(|i| &self.entries[*i])
                    .filter(|e| e.log == log && !e.void)
                    .map(|e| e.seq)
                    .max();
                let end = if entry.log == log { entry.seq } else { named.max(built.unwrap_or(0)) };
                if meant && seq > end {
                    ceiling = ceiling.min(*to);
                }
            }
        }
        ceiling
    }

    fn attacks(&self, a: usize, b: usize) -> bool {
        let (x, y) = (&self.entries[a], &self.entries[b]);
        if a == b || x.past.contains(&b) || y.past.contains(&a) {
            return false;
        }
        let (_, fallen) = self.fold(&y.past, &y.own.limits, Some(a));
        !self.is_allowed(b, &y.own.limits, Some(a), &fallen)
    }

    fn settle(&self, all: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut open = all.clone();
        let mut standing = BTreeSet::new();
        while !open.is_empty() {
            open.retain(|b| !standing.iter().any(|a| self.attacks(*a, *b)));
            let free: BTreeSet<usize> =
                open.iter().copied().filter(|b| !open.iter().any(|a| self.attacks(*a, *b))).collect();
            let decided = if free.is_empty() && !open.is_empty() { self.circle(&open) } else { free };
            open = open.difference(&decided).copied().collect();
            standing.extend(decided);
        }
        standing
    }

    /// The circle that stands, of limits that are all attacked.
    fn circle(&self, open: &BTreeSet<usize>) -> BTreeSet<usize> {
        let closure = |b: usize| {
            let mut seen = BTreeSet::from([b]);
            loop {
                let more: BTreeSet<usize> =
                    open.iter().copied().filter(|a| seen.iter().any(|b| self.attacks(*a, *b))).collect();
                if more.is_subset(&seen) {
                    return seen;
                }
                seen.extend(more);
            }
        };
        let key = |set: &BTreeSet<usize>| (set.len(), set.iter().map(|i| self.entries[*i].hash).min());
        open.iter().map(|b| closure(*b)).min_by_key(key).unwrap()
    }

    fn may_write(&self, log: LogId, seq: u64, deps: &[EntryHash]) -> Verdict {
        let Some(knew) = self.closure(deps) else { return Verdict::Unknown };
        let now = self.resolve(&(0..self.entries.len()).collect());
        let state = self.state(&knew, &now.fallen);
        let ceiling = self.ceiling(log, seq, &knew, &now.limits, state.owner_of(log.device));
        match state.role_of_device(log.device).min(ceiling) {
            Some(role) if role >= Role::Member => Verdict::Allowed,
            _ => Verdict::Refused,
        }
    }
}

/// The rules of epochs, word for word, where no log is forked.
struct ModelEpochs<'a> {
    model: &'a Model,
    now: &'a ModelView,
    /// Which entry begins each.
    begun: BTreeMap<EpochId, usize>,
    /// Whom each epoch's key was sealed to, and by which entry.
    given: Vec<(EpochId, DeviceId, usize)>,
    /// Which epoch's key is sealed with that of which other one, and by which entry.
    wraps: Vec<(EpochId, EpochId, usize)>,
}

impl<'a> ModelEpochs<'a> {
    fn of(model: &'a Model, now: &'a ModelView, story: &Story) -> Self {
        let mut epochs = Self { model, now, begun: BTreeMap::new(), given: vec![], wraps: vec![] };
        for (entry, ops) in &story.written {
            let Some(by) = model.find(&entry.hash) else { continue };
            for op in ops {
                if let MembershipOp::Found(_) = op {
                    epochs.begun.insert(entry.header.epoch, by);
                }
                if let MembershipOp::Rotate(rotate) = op {
                    epochs.begun.insert(rotate.epoch, by);
                    epochs.wraps.extend(rotate.previous.iter().map(|old| (old.epoch, rotate.epoch, by)));
                }
                epochs.given.extend(op.sealed_keys().iter().map(|key| (key.epoch, key.device, by)));
            }
        }
        epochs
    }

    fn stands(&self, entry: usize) -> bool {
        !self.now.fallen.contains(&entry)
    }

    /// Whoever wrote an entry has a key only if they knew of what begins its epoch.
    fn knew(&self, epoch: EpochId, by: usize) -> bool {
        let begun = self.begun.get(&epoch);
        begun.is_some_and(|begun| *begun == by || self.model.entries[by].past.contains(begun))
    }

    /// Whether a device that is out can come to the key of an epoch: by being given it, or that of one that fell and leads to it.
    fn is_known_outside(&self, epoch: EpochId) -> bool {
        let mut lead_here = BTreeSet::from([epoch]);
        loop {
            let fell = |(old, by_epoch, by): &&(EpochId, EpochId, usize)| {
                lead_here.contains(old) && !self.stands(self.begun[by_epoch]) && self.knew(*old, *by)
            };
            let more: BTreeSet<EpochId> =
                self.wraps.iter().filter(fell).map(|(_, by_epoch, _)| *by_epoch).collect();
            if more.is_subset(&lead_here) {
                break;
            }
            lead_here.extend(more);
        }
        let is_in = |device: DeviceId| self.now.state.role_of_device(device).is_some();
        self.given
            .iter()
            .any(|(epoch, device, by)| lead_here.contains(epoch) && !is_in(*device) && self.knew(*epoch, *by))
    }

    /// The epochs that none follows: first those that nobody outside knows, then by hash.
    fn newest(&self) -> Vec<EpochId> {
        let standing: Vec<_> = self.begun.iter().filter(|(_, by)| self.stands(**by)).collect();
        let follows =
            |by: usize| standing.iter().any(|(_, other)| self.model.entries[**other].past.contains(&by));
        let mut newest: Vec<_> = standing
            .iter()
            .filter(|(_, by)| !follows(**by))
            .map(|(epoch, by)| (self.is_known_outside(**epoch), self.model.entries[**by].hash, **epoch))
            .collect();
        newest.sort_unstable();
        newest.into_iter().map(|(.., epoch)| epoch).collect()
    }

    fn compare(&self, space: &Membership) -> Result<(), TestCaseError> {
        let newest = self.newest();
        let is_known = newest.first().is_some_and(|epoch| self.is_known_outside(*epoch));
        prop_assert_eq!(space.newest_epochs(), newest);
        prop_assert_eq!(space.needs_rotation(), is_known);
        prop_assert_eq!(space.without_key().into_iter().collect::<BTreeSet<_>>(), self.lacking());
        Ok(())
    }

    /// Who is in and can't come to the key of which epoch.
    fn lacking(&self) -> BTreeSet<(DeviceId, EpochId)> {
        let mut lacking = BTreeSet::new();
        for (device, ..) in self.now.state.devices() {
            let has = |(epoch, to, by): &&(EpochId, DeviceId, usize)| {
                *to == device && self.stands(*by) && self.knew(*epoch, *by)
            };
            let mut has: BTreeSet<EpochId> =
                self.given.iter().filter(has).map(|(epoch, ..)| *epoch).collect();
            loop {
                let leads =
                    |(_, from, by): &&(EpochId, EpochId, usize)| has.contains(from) && self.stands(*by);
                let more: BTreeSet<EpochId> = self.wraps.iter().filter(leads).map(|(old, ..)| *old).collect();
                if more.is_subset(&has) {
                    break;
                }
                has.extend(more);
            }
            lacking
                .extend(self.begun.keys().filter(|epoch| !has.contains(epoch)).map(|epoch| (device, *epoch)));
        }
        lacking
    }
}

/// What may be written by whom, on what is known here.
fn probes(space: &mut Membership, story: &Story) -> Vec<(DeviceId, Verdict)> {
    let known: Vec<EntryHash> =
        story.written.iter().map(|(entry, _)| entry.hash).filter(|hash| space.knows_all(&[*hash])).collect();
    let mut verdicts = Vec::new();
    for (entry, _) in &story.written {
        for i in 0..DEVICES {
            // What waits for its past was not judged.
            let verdict = if known.contains(&entry.hash) {
                space.may_write(log(i), 3, &[entry.hash])
            } else {
                Verdict::Unknown
            };
            verdicts.push((log(i).device, verdict));
        }
    }
    verdicts
}

type Roles = (Vec<(UserId, Role)>, Vec<(DeviceId, UserId, Role)>);

fn roles_of(state: &State) -> Roles {
    (state.users().collect(), state.devices().collect())
}

fn of_membership(space: &Membership) -> Roles {
    roles_of(&space.now().state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 3_000 }))]

    /// Whatever several admins do at the same moment, and in whatever order others hear of it, and wherever one of them is
    /// proved to have forked the log: everybody comes to the same, it is what the rules say, and somebody is left who can
    /// set it right.
    #[test]
    fn every_order_comes_to_what_the_rules_say(
        roles in prop::array::uniform4(1u8..4),
        plans in plans(0u8..11),
        fork in prop::option::weighted(0.3, (0..DEVICES, 2u64..8)),
        shuffle in prop::collection::vec(any::<prop::sample::Index>(), 32),
    ) {
        let mut story = Story::begin(roles);
        plans.iter().for_each(|plan| story.act(plan));
        let (mut model, mut space) = (Model::default(), Membership::new(story.space));
        for written in &story.written {
            let expected = model.apply(&written.0, &written.1, is_past(fork, &written.0)).is_ok();
            prop_assert_eq!(apply(&mut space, fork, written).is_ok(), expected);
        }
        let expected = model.resolve(&(0..model.entries.len()).collect());
        let is_down = |i: &usize| expected.fallen.contains(i) || model.entries[*i].void;
        let fallen: BTreeSet<EntryHash> =
            (0..model.entries.len()).filter(is_down).map(|i| model.entries[i].hash).collect();
        prop_assert_eq!(of_membership(&space), roles_of(&expected.state));
        prop_assert_eq!(space.fallen().into_iter().collect::<BTreeSet<_>>(), fallen);
        prop_assert!(space.now().state.devices().any(|(_, _, role)| role == Role::Owner), "nobody owns the space");

        let mut other = Membership::new(story.space);
        let mut open: Vec<&Written> = story.written.iter().collect();
        let mut turns = shuffle.iter().cycle();
        while !open.is_empty() {
            let ready: Vec<usize> = (0..open.len()).filter(|i| {
                let deps = &open[*i].0.header.deps;
                deps.iter().all(|dep| !open.iter().any(|(entry, _)| entry.hash == *dep))
            }).collect();
            let written = open.remove(ready[turns.next().unwrap().index(ready.len())]);
            let (verdicts, before) = (probes(&mut other, &story), other.suspects());
            let generation = other.generation();
            let _ = apply(&mut other, fork, written);
            // Whoever is judged otherwise than before is known as one who may be.
            let suspects: BTreeSet<DeviceId> = before.union(&other.suspects()).copied().collect();
            for (device, changed) in verdicts.iter().zip(probes(&mut other, &story)).filter(|(was, is)| was.1 != Verdict::Unknown && was.1 != is.1).map(|(was, is)| (was.0, is)) {
                prop_assert!(suspects.contains(&device), "{} is judged otherwise: {:?}", device, changed);
                prop_assert_ne!(generation, other.generation());
            }
        }
        prop_assert_eq!(of_membership(&other), of_membership(&space));
        prop_assert_eq!(other.newest_epochs(), space.newest_epochs());
        if fork.is_none() {
            ModelEpochs::of(&model, &expected, &story).compare(&space)?;
        }
        prop_assert_eq!(other.frontier(), space.frontier());
        prop_assert_eq!(other.suspects(), space.suspects());
        for (entry, _) in &story.written {
            for i in 0..DEVICES {
                for seq in [1, 2, 5, 100] {
                    let deps = [entry.hash];
                    let verdict = space.may_write(log(i), seq, &deps);
                    prop_assert_eq!(verdict, other.may_write(log(i), seq, &deps));
                    prop_assert_eq!(verdict, model.may_write(log(i), seq, &deps));
                }
            }
        }
    }

    /// Several who change the key, share it and put each other out, at the same moment: which key all write with, whether it
    /// has to be changed, and who has to be given which, is what the rules say.
    #[test]
    fn keys_are_changed_and_shared_as_the_rules_say(
        roles in prop::array::uniform4(2u8..4),
        plans in plans(prop::sample::select(vec![REMOVE, REMOVE, REMOVE, ROTATE, ROTATE, ROTATE, SHARE])),
    ) {
        let mut story = Story::begin(roles);
        plans.iter().for_each(|plan| story.act(plan));
        let (mut model, mut space) = (Model::default(), Membership::new(story.space));
        for written in &story.written {
            let _ = model.apply(&written.0, &written.1, false);
            let _ = space.apply(&written.0, &written.1);
        }
        let now = model.resolve(&(0..model.entries.len()).collect());
        ModelEpochs::of(&model, &now, &story).compare(&space)?;
    }
}

//! Who is in a space: the fold of its membership entries.
//!
//! An entry becomes part of the graph if its author was allowed to do what it says *in the entry's own past*: the
//! entries reachable through `deps`. That verdict never changes and is the same on every replica. What the graph as
//! a whole comes to, where admins acted at the same moment, is said in [`crate::resolve`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::OnceLock,
};

use covey_log::{Entry, Kind};
use covey_types::{DeviceId, EntryHash, EpochId, Head, LogId, SpaceId, UserId, limits::MAX_DEPS};

use crate::{
    Found, KemPublic, MembershipOp, Role,
    authority::{self, Deed},
    epochs::Epochs,
    graph::{Past, Vertex},
    ops::HistoryPolicy,
    resolve::{Acts, Contradicted, Judged, View, Writer},
    state::State,
};

/// A person in a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their devices in this space and what these are called.
    pub devices: BTreeMap<DeviceId, String>,
}

/// Whether a data entry may be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its author may write.
    Allowed,
    /// It names membership entries that aren't here yet: ask again when more of them are.
    Unknown,
    /// Its author may not write: never could at that point of the graph, or was put out meanwhile. That may change
    /// with the membership; [`Membership::generation`] tells when to ask again.
    Refused,
}

/// A membership entry that can't be part of this space's graph. The entry is kept in its log, without effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// It founds another space, or founds this one wrongly.
    #[error("the entry does not found this space: {0}")]
    NotFounding(&'static str),
    /// Entries in its past are not here yet.
    #[error("the entry names membership entries that are not here yet")]
    MissingPast,
    /// Its author may not do this.
    #[error("{author} may not {act}")]
    NotAllowed {
        /// Who tried.
        author: DeviceId,
        /// What.
        act: &'static str,
    },
    /// A device in it isn't certified by its user.
    #[error("device {0} is not certified by its user")]
    BadCert(DeviceId),
    /// A key in it is sealed to a device that it does not add.
    #[error("the entry seals a key to device {0}, which it does not add")]
    ForeignKey(DeviceId),
    /// More than a space can hold.
    #[error("the entry says more than one entry may")]
    TooMany,
}

/// Answers about data entries that are kept: as many heads as a space's writers have at a time, with room.
const KEPT_STATES: usize = 64;

/// Who is in one space.
#[derive(Debug, Clone)]
pub struct Membership {
    space: SpaceId,
    parent: Option<SpaceId>,
    acts: Acts,
    /// What everything comes to. Computed when it is asked for: while entries arrive, most of it never is.
    now: OnceLock<View>,
    /// States that writers of data knew, by what they named; without what fell.
    known: HashMap<Vec<EntryHash>, State>,
    epochs: Epochs,
    /// Every device that was ever named: their logs are kept, whatever came of them.
    ever: BTreeSet<DeviceId>,
    /// Those that only void entries named: nobody has put them out.
    ever_in_vain: BTreeSet<DeviceId>,
    generation: u64,
    unknown_ops: u64,
    contradicted: Contradicted,
}

impl Membership {
    /// The membership of a space of which only the id is known.
    pub fn new(space: SpaceId) -> Self {
        Self {
            space,
            parent: None,
            acts: Acts::default(),
            now: OnceLock::new(),
            known: HashMap::new(),
            epochs: Epochs::default(),
            ever: BTreeSet::new(),
            ever_in_vain: BTreeSet::new(),
            generation: 0,
            unknown_ops: 0,
            contradicted: Contradicted::new(),
        }
    }

    /// Whether all of `deps` were applied.
    pub fn knows_all(&self, deps: &[EntryHash]) -> bool {
        self.acts.graph.find_all(deps).is_some()
    }

    /// Applies one entry, whose signature and chain were checked and whose body says `ops`. An entry that was
    /// applied before changes nothing.
    ///
    /// # Errors
    /// [`MembershipError`]; nothing has changed then. [`MembershipError::MissingPast`] asks for another try
    /// later; the others are final.
    pub fn apply(&mut self, entry: &Entry, ops: &[MembershipOp]) -> Result<(), MembershipError> {
        if self.acts.graph.find(&entry.hash).is_some() {
            return Ok(());
        }
        let (deps, judged) = match self.judge(entry, ops) {
            Err(MembershipError::MissingPast) => return Err(MembershipError::MissingPast),
            Err(_) if self.rests_on_void(&entry.header.deps) => return self.apply_void(entry, None),
            judged => judged?,
        };
        let linear = deps.iter().copied().collect::<BTreeSet<_>>() == *self.acts.graph.frontier();
        let limits = !judged.outcome.limits.is_empty();
        let before = self.now.take();
        let outcome = judged.outcome.clone();
        let vertex = self.acts.insert(entry.hash, &deps, judged);
        match before.filter(|_| linear) {
            // Its author knew everything: it is simply added to what there was.
            Some(view) => {
                if limits {
                    self.changed();
                }
                let _ = self.now.set(view.with(&self.acts.graph, vertex, &outcome));
            }
            None => self.changed(),
        }
        self.note(entry, vertex, ops);
        Ok(())
    }

    /// Takes in a membership entry that has no effect, since it stands past the place where its author forked the log:
    /// others may have built upon it, and one has to know what came before what. `ops` are its acts, if it could be opened.
    /// Devices that it would have taken in may have logs, and keys that it gives are given, if it was allowed.
    ///
    /// # Errors
    /// [`MembershipError::MissingPast`]: to be tried again when that is here.
    pub fn apply_void(&mut self, entry: &Entry, ops: Option<&[MembershipOp]>) -> Result<(), MembershipError> {
        if self.acts.graph.find(&entry.hash).is_some() {
            return Ok(());
        }
        let deps = self.acts.graph.find_all(&entry.header.deps).filter(|deps| !deps.is_empty());
        let deps = deps.ok_or(MembershipError::MissingPast)?;
        let was_allowed = ops.filter(|ops| self.judge(entry, ops).is_ok());
        let (log, seq) = (entry.header.log, entry.header.seq);
        let before = self.acts.view(&deps);
        let outcome = authority::Outcome::default();
        let judged = Judged { log, seq, user: None, deeds: Vec::new(), outcome, before, void: true };
        let vertex = self.acts.insert(entry.hash, &deps, judged);
        self.note(entry, vertex, was_allowed.unwrap_or_default());
        Ok(())
    }

    /// Lets those have logs here whom another fold of the same space knows: they may have built upon what let them in.
    pub fn hear_also(&mut self, other: &Self) {
        self.ever_in_vain.extend(other.ever.iter().chain(&other.ever_in_vain));
    }

    /// Whether something without effect is in the past that an entry names.
    fn rests_on_void(&self, deps: &[EntryHash]) -> bool {
        let graph = &self.acts.graph;
        let Some(heads) = graph.find_all(deps).filter(|_| !graph.voids().is_empty()) else { return false };
        let past = graph.up_to(&heads);
        graph.voids().iter().any(|void| graph.is_in(*void, &past))
    }

    /// Whether an entry of the graph builds upon something without effect that another device wrote: it may count after all
    /// then, and who keeps the entries has to fold them afresh.
    pub fn builds_upon_void(&self, hash: &EntryHash) -> bool {
        let graph = &self.acts.graph;
        let Some(vertex) = graph.find(hash).filter(|_| !graph.voids().is_empty()) else { return false };
        let (past, author) = (graph.past(vertex), self.acts.judged(vertex).log.device);
        let by_another = |void: &&Vertex| self.acts.judged(**void).log.device != author;
        graph.voids().iter().filter(by_another).any(|void| graph.is_in(*void, past))
    }

    /// The cuts of all limits that stand: up to which entry each log was seen by whoever set them.
    pub fn cuts(&self) -> Vec<(LogId, Head)> {
        let limits = self.now().limits.iter().flat_map(|vertex| &self.acts.judged(*vertex).outcome.limits);
        limits.flat_map(|limit| &limit.cuts).map(|(log, head)| (*log, *head)).collect()
    }

    /// The cuts of the limits that stand on a log's author, by others: up to which entry each of them had seen the log.
    pub fn cuts_of(&self, log: LogId) -> impl Iterator<Item = Head> + '_ {
        self.now().limits.iter().filter_map(move |limit| self.acts.seen_by_another(*limit, log))
    }

    /// Says which cuts name another entry than the log has here: whoever set them saw another history of it. What of such
    /// a log counts in spite of the limit is only what they are known to have built upon. Whether that is news.
    pub fn contradict(&mut self, cuts: impl IntoIterator<Item = (LogId, Head)>) -> bool {
        let cuts: Contradicted = cuts.into_iter().map(|(log, head)| (log, head.seq, head.hash)).collect();
        let news = cuts != self.contradicted;
        self.contradicted = cuts;
        self.generation += u64::from(news);
        news
    }

    fn changed(&mut self) {
        self.generation += 1;
        self.known.clear();
    }

    fn judge(&self, entry: &Entry, ops: &[MembershipOp]) -> Result<(Vec<Vertex>, Judged), MembershipError> {
        let (log, seq) = (entry.header.log, entry.header.seq);
        if entry.header.kind == Kind::FOUNDING {
            let outcome = authority::founding(self.check_founding(entry, ops)?)?;
            let user = ops.iter().find_map(founder);
            let judged =
                Judged { log, seq, user, deeds: Vec::new(), outcome, before: View::empty(), void: false };
            return Ok((Vec::new(), judged));
        }
        let deps = self.acts.graph.find_all(&entry.header.deps).filter(|deps| !deps.is_empty());
        let deps = deps.ok_or(MembershipError::MissingPast)?;
        let deeds = ops.iter().map(Deed::of).collect::<Result<Vec<_>, _>>()?;
        let before = self.acts.view(&deps);
        let outcome = authority::judge(&before.state, log.device, Some(Role::Owner), &deeds)?;
        let user = before.state.owner_of(log.device);
        Ok((deps, Judged { log, seq, user, deeds, outcome, before, void: false }))
    }

    /// Whether a device may do this, as things stand here.
    ///
    /// # Errors
    /// [`MembershipError`] says why not.
    pub fn check(&self, author: DeviceId, ops: &[MembershipOp]) -> Result<(), MembershipError> {
        let deeds = ops.iter().map(Deed::of).collect::<Result<Vec<_>, _>>()?;
        authority::judge(&self.now().state, author, Some(Role::Owner), &deeds).map(drop)
    }

    fn check_founding<'a>(
        &self,
        entry: &Entry,
        ops: &'a [MembershipOp],
    ) -> Result<&'a Found, MembershipError> {
        let [MembershipOp::Found(found)] = ops else {
            return Err(MembershipError::NotFounding("it says something else"));
        };
        if entry.space() != self.space {
            return Err(MembershipError::NotFounding("it founds another one"));
        }
        if found.device.cert.device != entry.header.log.device {
            return Err(MembershipError::NotFounding("its author is not the founder"));
        }
        Ok(found)
    }

    /// Notes what lies beside the graph: devices, keys, and what this build does not know.
    fn note(&mut self, entry: &Entry, vertex: Vertex, ops: &[MembershipOp]) {
        for op in ops {
            match op {
                MembershipOp::Found(found) => {
                    self.parent = found.parent;
                    self.ever.insert(found.device.cert.device);
                    self.epochs.begin(entry.header.epoch, vertex);
                }
                MembershipOp::AddMember(add) => {
                    self.note_devices(vertex, add.devices.iter().map(|device| device.cert.device));
                }
                MembershipOp::AddDevice(add) => {
                    self.note_devices(vertex, [add.device.cert.device]);
                }
                MembershipOp::Rotate(rotate) => {
                    if self.acts.judged(vertex).void {
                        self.epochs.begin_in_vain(rotate.epoch, vertex);
                    } else {
                        self.epochs.begin(rotate.epoch, vertex);
                    }
                    self.epochs.wrap(rotate.epoch, vertex, rotate.previous.iter().map(|old| old.epoch));
                }
                MembershipOp::Unknown { .. } => self.unknown_ops += 1,
                _ => {}
            }
        }
        for key in ops.iter().flat_map(MembershipOp::sealed_keys) {
            self.epochs.give(key.epoch, key.device, vertex);
        }
    }

    fn note_devices(&mut self, vertex: Vertex, devices: impl IntoIterator<Item = DeviceId>) {
        let noted = if self.acts.judged(vertex).void { &mut self.ever_in_vain } else { &mut self.ever };
        noted.extend(devices);
    }

    fn now(&self) -> &View {
        self.now.get_or_init(|| {
            let heads: Vec<Vertex> = self.acts.graph.frontier().iter().copied().collect();
            self.acts.view(&heads)
        })
    }

    /// Whether the entry `seq` of `log`, which names `deps` as its past, may write data.
    pub fn may_write(&mut self, log: LogId, seq: u64, deps: &[EntryHash]) -> Verdict {
        match self.role_at(log, seq, deps) {
            None => Verdict::Unknown,
            Some(Some(role)) if role >= Role::Member => Verdict::Allowed,
            Some(_) => Verdict::Refused,
        }
    }

    /// What the author of the entry `seq` of `log`, which names `deps` as its past, was when they wrote it: without what
    /// fell, and after every limit of which they didn't know and past whose cut it lies. `None` unless all of that is here.
    pub fn role_at(&mut self, log: LogId, seq: u64, deps: &[EntryHash]) -> Option<Option<Role>> {
        let heads = self.acts.graph.find_all(deps).filter(|heads| !heads.is_empty())?;
        let knew = self.acts.graph.up_to(&heads);
        let state = self.known_state(deps, &heads, &knew);
        let user = state.owner_of(log.device);
        let writer = Writer { log, seq, user, knew: &knew };
        let ceiling = self.acts.ceiling(writer, &self.now().limits, &self.contradicted);
        Some(state.role_of_device(log.device).min(ceiling))
    }

    /// The devices that may say of somebody that they count up to a place and no further, as whoever names `deps` knew it:
    /// those of admins, and those whose user has another one in the space. `None` unless all of that is here.
    pub fn limiters_at(&self, deps: &[EntryHash]) -> Option<BTreeSet<DeviceId>> {
        let heads = self.acts.graph.find_all(deps).filter(|heads| !heads.is_empty())?;
        Some(limiters(&self.acts.view(&heads).state))
    }

    /// The same as things stand here.
    pub fn limiters(&self) -> BTreeSet<DeviceId> {
        limiters(&self.now().state)
    }

    /// The places before this one at which a log says something of the membership that isn't in the past which its entry there
    /// names. Whoever names what they know leaves out nothing that they have said themselves. `None` unless all that is named
    /// is here.
    pub fn unnamed_acts(&self, log: LogId, before: u64, deps: &[EntryHash]) -> Option<Vec<u64>> {
        let heads = self.acts.graph.find_all(deps).filter(|heads| !heads.is_empty())?;
        let past = self.acts.graph.up_to(&heads);
        let acts = self.acts.of_log(log, before).filter(|act| !self.acts.graph.is_in(*act, &past));
        Some(acts.map(|act| self.acts.judged(act).seq).collect())
    }

    /// The limits that stand on a log's author, but for those that whoever names `deps` knew: the device that set each, which may
    /// be the author's, up to which place the log counts in spite of it, and the cut that it names. `None` unless all that is named
    /// is here.
    pub fn limits_on(&self, log: LogId, deps: &[EntryHash]) -> Option<Vec<(DeviceId, u64, Option<Head>)>> {
        let past = self.acts.graph.up_to(&self.acts.graph.find_all(deps)?);
        let unknown = self.now().limits.iter().filter(|limit| !self.acts.graph.is_in(**limit, &past));
        Some(unknown.filter_map(|limit| self.acts.limit_on(*limit, log, &self.contradicted)).collect())
    }

    fn known_state(&mut self, deps: &[EntryHash], heads: &[Vertex], knew: &Past) -> State {
        if let Some(state) = self.known.get(deps) {
            return state.clone();
        }
        let state = self.acts.state_without(knew, &self.now().fallen, &self.acts.view(heads));
        if self.known.len() >= KEPT_STATES {
            self.known.clear();
        }
        self.known.insert(deps.to_vec(), state.clone());
        state
    }

    /// Counts how often answers of [`Membership::may_write`] may have changed for entries that were judged before.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The newest entries.
    pub fn frontier(&self) -> Vec<EntryHash> {
        let mut hashes: Vec<EntryHash> =
            self.acts.graph.frontier().iter().map(|vertex| self.acts.graph.hash(*vertex)).collect();
        hashes.sort_unstable();
        hashes
    }

    /// What the next entry of a device names as its past: the newest entries, at most [`MAX_DEPS`] of them, and first
    /// those that know of the device's own role. More at a time are merged over several membership entries.
    pub fn deps_for(&self, device: DeviceId) -> Vec<EntryHash> {
        let mut heads: Vec<Vertex> = self.acts.graph.frontier().iter().copied().collect();
        let hash = |vertex: &Vertex| self.acts.graph.hash(*vertex);
        if heads.len() > MAX_DEPS {
            let role = self.role_of(device);
            heads.sort_by_cached_key(|head| {
                (self.acts.view(&[*head]).state.role_of_device(device) != role, hash(head))
            });
            heads.truncate(MAX_DEPS);
        }
        let mut hashes: Vec<EntryHash> = heads.iter().map(hash).collect();
        hashes.sort_unstable();
        hashes
    }

    /// The same without some entries, and without what rests on those: others may never get them. If that would leave out what
    /// gave the device its role, all are named.
    pub fn deps_for_but(&self, device: DeviceId, without: &[EntryHash]) -> Vec<EntryHash> {
        let graph = &self.acts.graph;
        let without: BTreeSet<Vertex> = without.iter().filter_map(|hash| graph.find(hash)).collect();
        if without.is_empty() {
            return self.deps_for(device);
        }
        let rests_on_them = |vertex: &Vertex| {
            without.contains(vertex)
                || graph.voids().contains(vertex)
                || without.iter().any(|one| graph.is_before(*one, *vertex))
        };
        let mut open: Vec<Vertex> = graph.frontier().iter().copied().collect();
        let (mut looked_at, mut found) = (BTreeSet::new(), BTreeSet::new());
        while let Some(vertex) = open.pop().filter(|_| found.len() <= 4 * MAX_DEPS) {
            if !looked_at.insert(vertex) {
                continue;
            }
            if rests_on_them(&vertex) {
                open.extend(graph.deps(vertex));
            } else {
                found.insert(vertex);
            }
        }
        let is_newest = |vertex: &Vertex| !found.iter().any(|other| graph.is_before(*vertex, *other));
        let newest: Vec<Vertex> = found.iter().copied().filter(is_newest).collect();
        let may = |newest: &[Vertex]| self.acts.view(newest).state.role_of_device(device);
        if !(1..=MAX_DEPS).contains(&newest.len()) || may(&newest) != self.role_of(device) {
            return self.deps_for(device);
        }
        let mut hashes: Vec<EntryHash> = newest.into_iter().map(|vertex| graph.hash(vertex)).collect();
        hashes.sort_unstable();
        hashes
    }

    /// The space's name, once its founding entry is here.
    pub fn name(&self) -> Option<&str> {
        self.now().state.space_name()
    }

    /// The space that this one belongs to.
    pub const fn parent(&self) -> Option<SpaceId> {
        self.parent
    }

    /// Whether it is its founder's own: nobody else can be taken in, and only they add their devices.
    pub fn is_personal(&self) -> bool {
        self.now().state.is_personal()
    }

    /// Who may read history.
    pub fn history(&self) -> HistoryPolicy {
        self.now().state.history()
    }

    /// Whether the founding entry is here.
    pub fn is_founded(&self) -> bool {
        !self.acts.graph.frontier().is_empty()
    }

    /// Acts that this build could not interpret: the space was written to by a newer version.
    pub const fn unknown_ops(&self) -> u64 {
        self.unknown_ops
    }

    /// Whether this device is in the space.
    pub fn has_device(&self, device: DeviceId) -> bool {
        self.role_of(device).is_some()
    }

    /// Whether this device is, or was, in the space.
    pub fn was_device(&self, device: DeviceId) -> bool {
        self.ever.contains(&device)
    }

    /// Whether a device was named by void entries and by no others: nobody has put it out, nor is it in the space.
    pub fn was_named_in_vain(&self, device: DeviceId) -> bool {
        self.ever_in_vain.contains(&device) && !self.ever.contains(&device)
    }

    /// Devices that were in the space and are no more.
    pub fn gone(&self) -> impl Iterator<Item = DeviceId> + '_ {
        self.ever.iter().copied().filter(|device| !self.has_device(*device))
    }

    /// The role of a device that is in the space.
    pub fn role_of(&self, device: DeviceId) -> Option<Role> {
        self.now().state.role_of_device(device)
    }

    /// The role of a user who is in the space.
    pub fn role_of_user(&self, user: UserId) -> Option<Role> {
        self.now().state.role(user)
    }

    /// The user of a device that is, or was, in the space.
    pub fn user_of(&self, device: DeviceId) -> Option<UserId> {
        self.now().state.owner_of(device)
    }

    /// As whose a device was named by an entry that may have fallen; of several people the one with the lowest id.
    pub fn named_as(&self, device: DeviceId) -> Option<UserId> {
        self.acts.named_as(device)
    }

    /// The devices by which this one was ever let in, whether that has fallen or not.
    pub fn named_by(&self, device: DeviceId) -> impl Iterator<Item = DeviceId> + '_ {
        self.acts.named_by(device)
    }

    /// What a user is called who is, or was, in the space.
    pub fn user_name(&self, user: UserId) -> Option<&str> {
        self.now().state.user_name(user)
    }

    /// What a device is called that is, or was, in the space.
    pub fn device_name(&self, device: DeviceId) -> Option<&str> {
        self.now().state.device_name(device)
    }

    /// To which key to seal for a device.
    pub fn kem_of(&self, device: DeviceId) -> Option<KemPublic> {
        self.now().state.kem(device)
    }

    /// The devices in the space, with their users.
    pub fn devices(&self) -> impl Iterator<Item = (DeviceId, UserId)> + '_ {
        self.now().state.devices().map(|(device, user, _)| (device, user))
    }

    /// How many people are in the space.
    pub fn len(&self) -> usize {
        self.now().state.users().count()
    }

    /// Whether nobody is known to be in the space: its founding entry isn't here yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everybody in the space, by user id.
    pub fn members(&self) -> BTreeMap<UserId, Member> {
        let state = &self.now().state;
        let name = |user| state.user_name(user).unwrap_or_default().to_owned();
        let member = |(user, role)| (user, Member { name: name(user), role, devices: BTreeMap::new() });
        let mut members: BTreeMap<UserId, Member> = state.users().map(member).collect();
        for (device, user, _) in state.devices() {
            if let Some(member) = members.get_mut(&user) {
                let name = state.device_name(device).unwrap_or_default();
                member.devices.insert(device, name.to_owned());
            }
        }
        members
    }

    /// Whether entries of this log may be held at all: its author is, or was, a device of the space. What somebody
    /// wrote past the end of their membership is kept and passed on like all else, so that all replicas judge the same.
    pub fn may_have_log(&self, log: &LogId) -> bool {
        self.ever.contains(&log.device) || self.ever_in_vain.contains(&log.device)
    }

    /// The entries that put a device out; none if it's in the space, or never was.
    pub fn removals_of(&self, device: DeviceId) -> Vec<EntryHash> {
        self.removed_at(device).into_iter().map(|vertex| self.acts.graph.hash(vertex)).collect()
    }

    fn removed_at(&self, device: DeviceId) -> Vec<Vertex> {
        if self.has_device(device) {
            return Vec::new();
        }
        self.now().state.removals_of(&self.acts.graph, device)
    }

    /// How far the logs reach that a device which was put out has to have to know of it: the entries that put it out, and
    /// all membership entries in their past. What stands before those in their logs was written by authors who didn't
    /// know of the removal.
    pub fn farewell(&self, device: DeviceId) -> BTreeMap<LogId, u64> {
        let graph = &self.acts.graph;
        let mut reach = BTreeMap::new();
        for vertex in graph.within(&graph.up_to(&self.removed_at(device))) {
            // What is void stands in no log any more.
            if graph.voids().contains(&vertex) {
                continue;
            }
            let judged = self.acts.judged(vertex);
            let seq = reach.entry(judged.log).or_insert(judged.seq);
            *seq = judged.seq.max(*seq);
        }
        reach
    }

    /// Whether an author who named `deps` as their past knew that a device was put out by another user; `None` if they aren't
    /// all here. Whoever leaves by themself begins no epoch: who stays does that a moment later.
    pub fn knew_of_removal(&self, deps: &[EntryHash], device: DeviceId) -> Option<bool> {
        let graph = &self.acts.graph;
        let knew = graph.up_to(&graph.find_all(deps)?);
        let own = self.user_of(device);
        let by_another = |removal: &Vertex| self.acts.judged(*removal).user != own;
        Some(self.removed_at(device).iter().filter(|v| by_another(v)).any(|v| graph.is_in(*v, &knew)))
    }

    /// Whether an author who named `deps` as their past took a device to be in the space; `None` if they aren't all here.
    pub fn took_for_member(&self, deps: &[EntryHash], device: DeviceId) -> Option<bool> {
        let heads = self.acts.graph.find_all(deps)?;
        Some(self.acts.view(&heads).state.role_of_device(device).is_some())
    }

    /// Entries of the graph that have no effect, because others acted at the same moment, or because their author forked
    /// the log before them.
    pub fn fallen(&self) -> Vec<EntryHash> {
        self.now()
            .fallen
            .iter()
            .chain(self.acts.graph.voids())
            .map(|vertex| self.acts.graph.hash(*vertex))
            .collect()
    }

    /// Devices whose entries may have to be judged again: those that a limit was put on, and those that came in by
    /// entries that fell.
    pub fn suspects(&self) -> BTreeSet<DeviceId> {
        let now = self.now();
        let mut suspects = BTreeSet::new();
        for vertex in now.limits.iter().chain(now.fallen.iter()) {
            suspects.extend(self.acts.touched_by(*vertex));
        }
        suspects
    }

    /// Whether an entry that is here has begun this epoch, or began it in vain.
    pub fn has_epoch(&self, epoch: EpochId) -> bool {
        self.epochs.has_begun(epoch)
    }

    /// Whether an entry that stands has begun this epoch.
    pub fn is_begun(&self, epoch: EpochId) -> bool {
        self.epochs.stands(epoch, &self.now().fallen)
    }

    /// The epoch under whose key to write; `None` before the founding entry is here.
    pub fn current_epoch(&self) -> Option<EpochId> {
        self.newest_epochs().first().copied()
    }

    /// The epochs that no later one follows: the current one, and those that were begun at the same moment.
    pub fn newest_epochs(&self) -> Vec<EpochId> {
        self.epochs.newest(&self.acts.graph, self.now())
    }

    /// Whether the current epoch's key is known to a device that isn't in the space (any more).
    pub fn needs_rotation(&self) -> bool {
        self.current_epoch().is_some_and(|epoch| !self.epochs.is_safe(epoch, &self.acts.graph, self.now()))
    }

    /// Whether an entry that stands has sealed the current epoch's key to a device.
    pub fn was_given_key(&self, device: DeviceId) -> bool {
        self.current_epoch()
            .is_some_and(|epoch| self.epochs.has(epoch, device, &self.acts.graph, &self.now().fallen))
    }

    /// Devices in the space that can't come to the key of an epoch that they may read, and which: it was begun while
    /// they were taken in, or by somebody who did not know of another one.
    pub fn without_key(&self) -> Vec<(DeviceId, EpochId)> {
        let now = self.now();
        let lacked = |device: DeviceId| self.epochs.lacked_by(device, &self.acts.graph, now);
        self.devices().flat_map(|(device, _)| lacked(device).map(move |epoch| (device, epoch))).collect()
    }
}

/// The devices that may say of somebody that they count up to a place and no further.
fn limiters(state: &State) -> BTreeSet<DeviceId> {
    let mut devices_of: BTreeMap<UserId, u32> = BTreeMap::new();
    state.devices().for_each(|(_, user, _)| *devices_of.entry(user).or_default() += 1);
    let limits = |(device, user, role)| (role >= Role::Admin || devices_of[&user] > 1).then_some(device);
    state.devices().filter_map(limits).collect()
}

fn founder(op: &MembershipOp) -> Option<UserId> {
    match op {
        MembershipOp::Found(found) => Some(found.device.cert.user),
        _ => None,
    }
}

#[cfg(test)]
#[path = "membership_model.rs"]
mod model;
#[cfg(test)]
#[path = "personal_tests.rs"]
mod personal;
#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;

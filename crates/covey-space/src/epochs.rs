//! Which epoch is current, who was given its key, and whether somebody has it who must not.

use std::collections::{BTreeMap, BTreeSet};

use covey_types::{DeviceId, EntryHash, EpochId};

use crate::{
    graph::{Graph, Vertex},
    ops::HistoryPolicy,
    resolve::{Vertices, View},
    state::State,
};

/// One epoch, as far as the graph tells.
#[derive(Debug, Clone, Default)]
struct Epoch {
    /// The entries that begin it: only the first can be honest, and which that is may not be known at once.
    begun: Vec<Vertex>,
    /// Entries without effect that would have begun it: it's never current, and people may have written under it.
    begun_in_vain: Vec<Vertex>,
    /// To which devices its key was ever sealed, and by which entries.
    given: BTreeMap<DeviceId, Vec<Vertex>>,
    /// Epochs whose keys are sealed with this one's, and by which entries.
    wraps: Vec<(EpochId, Vertex)>,
}

impl Epoch {
    fn beginnings(&self) -> impl Iterator<Item = &Vertex> {
        self.begun.iter().chain(&self.begun_in_vain)
    }

    /// Whether who wrote an entry could give this epoch's key: who does not know of an epoch can't have it. Of one that was
    /// begun in vain people know by the proof, and don't name what begins it.
    fn could_be_given_by(&self, by: Vertex, graph: &Graph) -> bool {
        !self.begun_in_vain.is_empty()
            || self.begun.iter().any(|begun| *begun == by || graph.is_before(*begun, by))
    }
}

/// Epochs whose keys lead to that of one.
type Openers = BTreeMap<EpochId, Vec<EpochId>>;

/// The epochs of a space.
#[derive(Debug, Clone, Default)]
pub(crate) struct Epochs(BTreeMap<EpochId, Epoch>);

impl Epochs {
    /// Whether an entry, allowed when it was written, has begun this epoch.
    pub(crate) fn has_begun(&self, epoch: EpochId) -> bool {
        self.0.get(&epoch).is_some_and(|epoch| epoch.beginnings().next().is_some())
    }

    /// Whether one that stands has.
    pub(crate) fn stands(&self, epoch: EpochId, fallen: &Vertices) -> bool {
        self.0.get(&epoch).is_some_and(|epoch| epoch.begun.iter().any(|begun| !fallen.contains(begun)))
    }

    /// An entry begins an epoch.
    pub(crate) fn begin(&mut self, epoch: EpochId, vertex: Vertex) {
        self.0.entry(epoch).or_default().begun.push(vertex);
    }

    /// An entry without effect would have begun an epoch.
    pub(crate) fn begin_in_vain(&mut self, epoch: EpochId, vertex: Vertex) {
        self.0.entry(epoch).or_default().begun_in_vain.push(vertex);
    }

    /// An entry seals an epoch's key to a device. What begins the epoch may come later, if it has no effect.
    pub(crate) fn give(&mut self, epoch: EpochId, device: DeviceId, by: Vertex) {
        self.0.entry(epoch).or_default().given.entry(device).or_default().push(by);
    }

    /// An entry seals the keys of earlier epochs with that of this one.
    pub(crate) fn wrap(&mut self, epoch: EpochId, by: Vertex, old: impl Iterator<Item = EpochId>) {
        if let Some(epoch) = self.0.get_mut(&epoch) {
            epoch.wraps.extend(old.map(|old| (old, by)));
        }
    }

    /// The epochs whose keys a device can come to, by entries that stand.
    fn reached_by(&self, device: DeviceId, graph: &Graph, fallen: &Vertices) -> BTreeSet<EpochId> {
        let mut open: Vec<EpochId> =
            self.0.keys().copied().filter(|id| self.has(*id, device, graph, fallen)).collect();
        let mut reached = BTreeSet::new();
        while let Some(id) = open.pop() {
            if reached.insert(id)
                && let Some(epoch) = self.0.get(&id)
            {
                open.extend(epoch.wraps.iter().filter(|(_, by)| !fallen.contains(by)).map(|(old, _)| *old));
            }
        }
        reached
    }

    /// The epochs whose keys a device has to be given: all it can't come to, or, where history is read from joining on,
    /// those of them that don't lie before it was taken in. Epochs that were begun by entries that fell count: somebody may
    /// have written under them.
    pub(crate) fn lacked_by(
        &self,
        device: DeviceId,
        graph: &Graph,
        now: &View,
    ) -> impl Iterator<Item = EpochId> + '_ {
        let reached = self.reached_by(device, graph, &now.fallen);
        let joined = now.state.since(device).and_then(|(_, hash)| graph.find(&hash));
        let from_joining = now.state.history() == HistoryPolicy::FromJoining;
        let is_older = |epoch: &Epoch| {
            joined.is_some_and(|joined| epoch.beginnings().any(|begun| graph.is_before(*begun, joined)))
        };
        let lacked = self.0.iter().filter(|(id, epoch)| {
            let is_readable = !(from_joining && is_older(epoch));
            is_readable && !reached.contains(id) && epoch.beginnings().next().is_some()
        });
        lacked.map(|(id, _)| *id).collect::<Vec<_>>().into_iter()
    }

    /// Whether a device was sealed this epoch's key by an entry that stands.
    pub(crate) fn has(&self, epoch: EpochId, device: DeviceId, graph: &Graph, fallen: &Vertices) -> bool {
        let Some(epoch) = self.0.get(&epoch) else { return false };
        let mut given = epoch.given.get(&device).into_iter().flatten();
        given.any(|by| !fallen.contains(by) && epoch.could_be_given_by(*by, graph))
    }

    /// Whether everybody who was sealed this epoch's key, or one that leads to it, by whatever entry, is in the space.
    pub(crate) fn is_safe(&self, epoch: EpochId, graph: &Graph, now: &View) -> bool {
        self.is_safe_from(epoch, &self.openers(graph, &now.fallen), graph, &now.state)
    }

    fn is_safe_from(&self, id: EpochId, openers: &Openers, graph: &Graph, state: &State) -> bool {
        let is_outside = |device: &DeviceId| state.role_of_device(*device).is_none();
        let (mut open, mut seen) = (vec![id], BTreeSet::from([id]));
        while let Some(id) = open.pop() {
            let Some(epoch) = self.0.get(&id) else { continue };
            let mut outside = epoch.given.iter().filter(|(device, _)| is_outside(device));
            if outside.any(|(_, given)| given.iter().any(|by| epoch.could_be_given_by(*by, graph))) {
                return false;
            }
            open.extend(openers.get(&id).into_iter().flatten().copied().filter(|by| seen.insert(*by)));
        }
        true
    }

    /// With which epochs' keys that of each is sealed, of those that were begun by nothing but entries that fell or are void: the
    /// keys were given all the same. What another one leads to isn't the newest.
    fn openers(&self, graph: &Graph, fallen: &Vertices) -> Openers {
        let mut openers = Openers::new();
        let fell = |epoch: &Epoch| epoch.begun.iter().all(|by| fallen.contains(by));
        for (id, epoch) in self.0.iter().filter(|(_, epoch)| fell(epoch)) {
            for (old, by) in &epoch.wraps {
                if self.0.get(old).is_some_and(|old| old.could_be_given_by(*by, graph)) {
                    openers.entry(*old).or_default().push(*id);
                }
            }
        }
        openers
    }

    /// The epochs that no other one follows. Those whose key nobody outside was ever given come first; then by hash.
    pub(crate) fn newest(&self, graph: &Graph, now: &View) -> Vec<EpochId> {
        let first = |epoch: &Epoch| {
            let standing = epoch.begun.iter().copied().filter(|vertex| !now.fallen.contains(vertex));
            standing.min_by_key(|vertex| (graph.past(*vertex).len(), graph.hash(*vertex)))
        };
        let standing: Vec<(EpochId, Vertex)> =
            self.0.iter().filter_map(|(id, epoch)| Some((*id, first(epoch)?))).collect();
        // Whoever comes after most comes first: then few have to be looked at to see that one is followed.
        let mut by_age: Vec<Vertex> = standing.iter().map(|(_, vertex)| *vertex).collect();
        by_age.sort_by_key(|vertex| std::cmp::Reverse(graph.past(*vertex).len()));
        let is_newest = |vertex: Vertex| !by_age.iter().any(|other| graph.is_before(vertex, *other));
        let openers = self.openers(graph, &now.fallen);
        let mut newest: Vec<(bool, EntryHash, EpochId)> = standing
            .iter()
            .filter(|(_, vertex)| is_newest(*vertex))
            .map(|(id, vertex)| {
                (!self.is_safe_from(*id, &openers, graph, &now.state), graph.hash(*vertex), *id)
            })
            .collect();
        newest.sort_unstable();
        newest.into_iter().map(|(.., id)| id).collect()
    }
}

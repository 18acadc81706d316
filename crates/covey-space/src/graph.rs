//! The graph of membership entries: who came after whom.
//!
//! "Is `a` in the past of `b`?" is asked for every pair of acts that might disagree, so each vertex carries its
//! past in a form that answers at once. Vertices are laid into *lanes*, chains of which each vertex has all
//! earlier ones in its past; a past is then one height per lane. There are about as many lanes as admins ever acted
//! at the same moment. Which lane a vertex is in depends on the order of arrival; what the graph answers does not.

use std::collections::{BTreeSet, HashMap};

use covey_types::EntryHash;
use rpds::RedBlackTreeMapSync;

/// A vertex, by the order in which it was put in: all that it names was there before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Vertex(u32);

/// A set of vertices that holds the past of each of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Past(RedBlackTreeMapSync<u32, u32>);

impl Past {
    /// The empty past.
    pub(crate) fn nothing() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }

    /// How many vertices it holds: the same on every replica.
    pub(crate) fn len(&self) -> u64 {
        self.0.values().map(|height| u64::from(*height)).sum()
    }

    fn height(&self, lane: u32) -> u32 {
        self.0.get(&lane).copied().unwrap_or(0)
    }

    fn raise(&mut self, lane: u32, height: u32) {
        if self.height(lane) < height {
            self.0.insert_mut(lane, height);
        }
    }
}

#[derive(Debug, Clone)]
struct Placed {
    hash: EntryHash,
    lane: u32,
    /// The place in the lane, from 1.
    height: u32,
    deps: Vec<Vertex>,
    past: Past,
}

/// The graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    vertices: Vec<Placed>,
    by_hash: HashMap<EntryHash, Vertex>,
    frontier: BTreeSet<Vertex>,
    voids: Vec<Vertex>,
    /// The last vertex of each lane.
    tips: Vec<Vertex>,
}

impl Graph {
    fn at(&self, vertex: Vertex) -> &Placed {
        &self.vertices[vertex.0 as usize]
    }

    /// The vertex of this entry.
    pub(crate) fn find(&self, hash: &EntryHash) -> Option<Vertex> {
        self.by_hash.get(hash).copied()
    }

    /// The vertices of these entries; `None` unless all are here.
    pub(crate) fn find_all(&self, hashes: &[EntryHash]) -> Option<Vec<Vertex>> {
        hashes.iter().map(|hash| self.find(hash)).collect()
    }

    /// The entry of a vertex.
    pub(crate) fn hash(&self, vertex: Vertex) -> EntryHash {
        self.at(vertex).hash
    }

    /// All that has effect, and has nothing after it that has.
    pub(crate) fn frontier(&self) -> &BTreeSet<Vertex> {
        &self.frontier
    }

    /// What a vertex names.
    pub(crate) fn deps(&self, vertex: Vertex) -> &[Vertex] {
        &self.at(vertex).deps
    }

    /// What came before a vertex.
    pub(crate) fn past(&self, vertex: Vertex) -> &Past {
        &self.at(vertex).past
    }

    /// These vertices and what came before them.
    pub(crate) fn up_to(&self, heads: &[Vertex]) -> Past {
        let Some(longest) = heads.iter().max_by_key(|head| self.past(**head).0.size()) else {
            return Past::nothing();
        };
        let mut all = self.past(*longest).clone();
        for head in heads {
            let Placed { lane, height, past, .. } = self.at(*head);
            if head != longest {
                past.0.iter().for_each(|(lane, height)| all.raise(*lane, *height));
            }
            all.raise(*lane, *height);
        }
        all
    }

    /// Whether a past holds this vertex.
    pub(crate) fn is_in(&self, vertex: Vertex, past: &Past) -> bool {
        let Placed { lane, height, .. } = self.at(vertex);
        past.height(*lane) >= *height
    }

    /// Whether `a` is in the past of `b`.
    pub(crate) fn is_before(&self, a: Vertex, b: Vertex) -> bool {
        self.is_in(a, self.past(b))
    }

    /// Whether neither of two vertices came before the other.
    pub(crate) fn are_concurrent(&self, a: Vertex, b: Vertex) -> bool {
        a != b && !self.is_before(a, b) && !self.is_before(b, a)
    }

    /// The vertices of a past, each after its own past.
    pub(crate) fn within<'a>(&'a self, past: &'a Past) -> impl Iterator<Item = Vertex> + 'a {
        // Nothing stands in two lanes; sorting by arrival brings each behind its past.
        (0u32..).zip(&self.vertices).map(|(i, _)| Vertex(i)).filter(|vertex| self.is_in(*vertex, past))
    }

    /// Puts an entry in, after those it names.
    pub(crate) fn insert(&mut self, hash: EntryHash, deps: &[Vertex]) -> Vertex {
        let vertex = self.place(hash, deps);
        let past = self.vertices[vertex.0 as usize].past.clone();
        // What it names may be void, and stand between it and the newest that count.
        let newest: Vec<Vertex> = self.frontier.iter().copied().filter(|v| !self.is_in(*v, &past)).collect();
        self.frontier = newest.into_iter().chain([vertex]).collect();
        vertex
    }

    /// Puts an entry in that has no effect: it tells what came after what, and nobody names it from now on.
    pub(crate) fn insert_void(&mut self, hash: EntryHash, deps: &[Vertex]) -> Vertex {
        let vertex = self.place(hash, deps);
        self.voids.push(vertex);
        vertex
    }

    /// The entries without effect.
    pub(crate) fn voids(&self) -> &[Vertex] {
        &self.voids
    }

    fn place(&mut self, hash: EntryHash, deps: &[Vertex]) -> Vertex {
        let vertex = Vertex(u32::try_from(self.vertices.len()).expect("a space has fewer than 2^32 acts"));
        let past = self.up_to(deps);
        let lane = self.lane_for(deps, &past);
        let height = past.height(lane) + 1;
        match self.tips.get_mut(lane as usize) {
            Some(tip) => *tip = vertex,
            None => self.tips.push(vertex),
        }
        self.by_hash.insert(hash, vertex);
        self.vertices.push(Placed { hash, lane, height, deps: deps.to_vec(), past });
        vertex
    }

    /// A lane whose last vertex is in the past, or a new one.
    fn lane_for(&self, deps: &[Vertex], past: &Past) -> u32 {
        let ends_lane = |vertex: &Vertex| self.tips.get(self.at(*vertex).lane as usize) == Some(vertex);
        if let Some(dep) = deps.iter().find(|dep| ends_lane(dep)) {
            return self.at(*dep).lane;
        }
        let free = self.tips.iter().position(|tip| self.is_in(*tip, past)).unwrap_or(self.tips.len());
        u32::try_from(free).expect("there are no more lanes than vertices")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn name(i: usize) -> EntryHash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(i as u64 + 1).to_le_bytes());
        EntryHash(bytes)
    }

    proptest! {
        /// The heights of lanes say the same as the sets of ancestors, written out.
        #[test]
        fn lanes_answer_as_sets_of_ancestors_do(links in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 1..4), 1..60)) {
            let mut graph = Graph::default();
            let mut vertices = vec![graph.insert(name(0), &[])];
            let mut ancestors: Vec<BTreeSet<usize>> = vec![BTreeSet::new()];
            for (i, links) in links.iter().enumerate() {
                let deps: BTreeSet<usize> = links.iter().map(|link| link.index(vertices.len())).collect();
                let past = deps.iter().flat_map(|dep| ancestors[*dep].iter().copied().chain([*dep])).collect();
                ancestors.push(past);
                let deps: Vec<Vertex> = deps.iter().map(|dep| vertices[*dep]).collect();
                vertices.push(graph.insert(name(i + 1), &deps));
            }
            for (b, past) in ancestors.iter().enumerate() {
                prop_assert_eq!(graph.past(vertices[b]).len(), past.len() as u64);
                for a in 0..vertices.len() {
                    prop_assert_eq!(graph.is_before(vertices[a], vertices[b]), past.contains(&a), "{} before {}", a, b);
                }
                let within: Vec<Vertex> = graph.within(graph.past(vertices[b])).collect();
                prop_assert_eq!(within, past.iter().map(|i| vertices[*i]).collect::<Vec<_>>());
            }
            let behind: BTreeSet<usize> = ancestors.iter().flatten().copied().collect();
            let heads: BTreeSet<Vertex> = (0..vertices.len()).filter(|i| !behind.contains(i)).map(|i| vertices[i]).collect();
            prop_assert_eq!(graph.frontier(), &heads);
            let heads: Vec<Vertex> = heads.into_iter().collect();
            prop_assert_eq!(graph.up_to(&heads).len(), vertices.len() as u64);
        }

        /// The newest are those that count and that nothing which counts came after, whatever is void between them.
        #[test]
        fn what_is_void_is_never_the_newest_and_hides_nothing(links in prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 1..4), any::<bool>()), 1..40)) {
            let mut graph = Graph::default();
            let mut vertices = vec![(graph.insert(name(0), &[]), false)];
            for (i, (links, is_void)) in links.iter().enumerate() {
                let deps: BTreeSet<Vertex> = links.iter().map(|link| vertices[link.index(vertices.len())].0).collect();
                let deps: Vec<Vertex> = deps.into_iter().collect();
                let vertex = if *is_void { graph.insert_void(name(i + 1), &deps) } else { graph.insert(name(i + 1), &deps) };
                vertices.push((vertex, *is_void));
            }
            let counting: Vec<Vertex> = vertices.iter().filter(|(_, is_void)| !is_void).map(|(v, _)| *v).collect();
            let newest: BTreeSet<Vertex> = counting.iter().copied().filter(|a| !counting.iter().any(|b| graph.is_before(*a, *b))).collect();
            prop_assert_eq!(graph.frontier(), &newest);
        }

        /// Two who act in turn, each knowing of the other, need no more lanes as time goes on.
        #[test]
        fn lanes_are_used_again(rounds in 1usize..50) {
            let mut graph = Graph::default();
            let mut last = graph.insert(name(0), &[]);
            for round in 0..rounds {
                let a = graph.insert(name(3 * round + 1), &[last]);
                let b = graph.insert(name(3 * round + 2), &[last]);
                last = graph.insert(name(3 * round + 3), &[a, b]);
            }
            prop_assert_eq!(graph.tips.len(), 2);
        }
    }
}

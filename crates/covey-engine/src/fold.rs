//! Folding a space's graph of membership where a log is forked.
//!
//! What stands past the place of a proof is *void*: it's in the graph and does nothing. But a device must not be able to
//! take back, by writing a second history, what others have built upon: else whoever has the device of a founder who was
//! put out could make all be strangers whom the founder took in. So a void act counts all the same if another
//! device's act, which would stand if nothing were void, came after it. Everybody who has the same entries comes to
//! the same.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use covey_log::Entry;
use covey_space::{Membership, MembershipError, MembershipOp};
use covey_types::{DeviceId, EntryHash, SpaceId};

/// A membership entry and what it says.
pub(crate) type Act = (Entry, Vec<MembershipOp>);

/// A void entry, and its acts if it could be opened.
pub(crate) type Void = (Arc<Entry>, Option<Vec<MembershipOp>>);

/// The graph that these entries make.
pub(crate) fn fold(id: SpaceId, acts: &[Act], voids: &[Void]) -> Membership {
    if voids.is_empty() {
        return fold_but(id, acts, voids, &HashSet::new());
    }
    let all = voids.iter().map(|(entry, _)| entry.hash).collect();
    let whole = fold_but(id, acts, voids, &all);
    let witnesses = acts.iter().map(|(entry, _)| entry).filter(|entry| whole.knows_all(&[entry.hash]));
    let mut folded = fold_but(id, acts, voids, &built_upon(witnesses, voids));
    // Through however many hands somebody was let in by void acts: what builds upon these may stand in their own log.
    folded.hear_also(&whole);
    folded
}

/// Takes in membership entries, each as soon as all that it names is there, until nothing more fits. Void ones that are
/// not among those that count are taken in as such.
fn fold_but(id: SpaceId, acts: &[Act], voids: &[Void], counting: &HashSet<EntryHash>) -> Membership {
    let mut membership = Membership::new(id);
    let apply = |membership: &mut Membership, entry: &Entry, acts: Option<&[MembershipOp]>, is_void: bool| {
        let applied = match acts {
            Some(acts) if !is_void => membership.apply(entry, acts),
            acts => membership.apply_void(entry, acts),
        };
        matches!(applied, Err(MembershipError::MissingPast))
    };
    let real = acts.iter().map(|(entry, acts)| (entry, Some(acts.as_slice()), false));
    let void = voids.iter().map(|(entry, acts)| (&**entry, acts.as_deref(), !counting.contains(&entry.hash)));
    let mut open: Vec<_> = real.chain(void).collect();
    open.sort_by_key(|(entry, ..)| (entry.header.hlc, entry.header.log));
    // By time most come after what they name; each round takes in at least one more.
    loop {
        let before = open.len();
        open.retain(|(entry, acts, is_void)| apply(&mut membership, entry, *acts, *is_void));
        if open.is_empty() || open.len() == before {
            return membership;
        }
    }
}

/// Whatever void entries name that have no place in the graph, since not all of it is there yet: each list is what one names.
pub(crate) fn unplaced(membership: &Membership, voids: &[Void]) -> Vec<Vec<EntryHash>> {
    let waits = |(entry, _): &&Void| {
        !membership.knows_all(&[entry.hash]) && !membership.knows_all(&entry.header.deps)
    };
    voids.iter().filter(waits).map(|(entry, _)| entry.header.deps.clone()).collect()
}

/// The void entries that stand in the past of a witness by another device.
fn built_upon<'a>(witnesses: impl Iterator<Item = &'a Entry>, voids: &'a [Void]) -> HashSet<EntryHash> {
    /// Of two different devices at least one is not the author.
    const ENOUGH: usize = 2;
    let mut deps: HashMap<EntryHash, (DeviceId, &[EntryHash])> = HashMap::new();
    let mut open = Vec::new();
    for entry in witnesses {
        deps.insert(entry.hash, (entry.header.log.device, &entry.header.deps));
        open.push((entry.hash, entry.header.log.device));
    }
    deps.extend(
        voids.iter().map(|(entry, _)| (entry.hash, (entry.header.log.device, entry.header.deps.as_slice()))),
    );
    // Who came after each entry. Each entry is passed at most once for each of as many as are enough.
    let mut after: HashMap<EntryHash, BTreeSet<DeviceId>> = HashMap::new();
    while let Some((hash, device)) = open.pop() {
        for dep in deps.get(&hash).into_iter().flat_map(|(_, deps)| *deps) {
            let known = after.entry(*dep).or_default();
            if known.len() < ENOUGH && known.insert(device) {
                open.push((*dep, device));
            }
        }
    }
    let is_built_upon = |(entry, _): &&Void| {
        after
            .get(&entry.hash)
            .is_some_and(|after| after.iter().any(|device| *device != entry.header.log.device))
    };
    voids.iter().filter(is_built_upon).map(|(entry, _)| entry.hash).collect()
}

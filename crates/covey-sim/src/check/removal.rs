//! Whoever was put out reads nothing that was written by somebody who knew of it.

use std::collections::{BTreeMap, BTreeSet};

use covey_engine::{load_all_acts, load_void_acts};
use covey_log::{Entry, Kind};
use covey_space::{Membership, MembershipOp};
use covey_types::{DeviceId, EntryHash, EpochId, SpaceId};

use super::entries_of;
use crate::{machine::Machine, world::World};

/// The membership entries of a space, with what they say; also those without effect: who acted before the fork was known took
/// them to count.
fn acts_of(machine: &Machine, space: SpaceId) -> Result<Vec<(Entry, Vec<MembershipOp>)>, String> {
    let (key, keys) = {
        let engine = machine.engine();
        let state = engine.space(space).map_err(|err| err.to_string())?;
        (state.key, state.info.keys.clone())
    };
    machine.disk.read(move |rows| load_all_acts(rows, key, space, &keys)).map_err(|err| err.to_string())
}

/// Those of them without effect, and those that count though they stand past a fork.
fn voids_of(machine: &Machine, space: SpaceId) -> Result<BTreeSet<EntryHash>, String> {
    let (key, keys) = {
        let engine = machine.engine();
        let state = engine.space(space).map_err(|err| err.to_string())?;
        (state.key, state.info.keys.clone())
    };
    let voids = machine.disk.read(move |rows| load_void_acts(rows, key, space, &keys));
    Ok(voids.map_err(|err| err.to_string())?.into_iter().map(|(entry, _)| entry.hash).collect())
}

/// Whoever was put out by somebody else has nothing that they can read and that was written by somebody who knew of it.
///
/// There are two exceptions: of epochs that were begun by people who didn't know of each other one may be current though
/// somebody outside has its key, if somebody has that of each; until an admin begins another. And what was given to somebody
/// who was let in again, before that fell, can't be taken back: [`given_in_between`].
pub(super) fn nothing_after(world: &World, space: SpaceId, member: usize) -> Result<(), String> {
    let (acts, voids) = (acts_of(&world.machines[member], space)?, voids_of(&world.machines[member], space)?);
    let begun: Vec<(EpochId, &Entry)> = acts
        .iter()
        .flat_map(|(entry, acts)| {
            acts.iter().filter_map(MembershipOp::begins).map(move |epoch| (epoch, entry))
        })
        .collect();
    for (i, machine) in world.machines.iter().enumerate() {
        let device = machine.device();
        if i == member || machine.lost {
            continue;
        }
        let Ok(keys) = machine.engine().space(space).map(|state| state.info.keys.clone()) else { continue };
        let inside = world.machines[member].engine();
        let judge = inside.space(space).map_err(|err| err.to_string())?;
        if !judge.is_out(device) {
            continue;
        }
        // A part of a checkpoint says once more what was said under its key before.
        let is_news =
            |entry: &&Entry| !entry.header.kind.is_membership() && entry.header.kind != Kind::CHECKPOINT_PART;
        let reach = judge.membership.farewell(device);
        let is_concurrent = |entry: &Entry| {
            begun.iter().filter(|(begun, _)| *begun == entry.header.epoch).any(|(_, by)| {
                let (log, seq, deps) = (by.header.log, by.header.seq, &by.header.deps);
                // Under an epoch that was begun in vain it's who has begun it that didn't know better.
                let is_excused = !voids.contains(&by.hash) || log.device == entry.header.log.device;
                is_excused
                    && reach.get(&log).is_none_or(|last| seq > *last)
                    && judge.membership.knew_of_removal(deps, device) == Some(false)
            })
        };
        let in_between = read_in_between(machine, space, &judge.membership.removals_of(device))?;
        for entry in entries_of(machine, space)?.iter().filter(is_news) {
            let knew = judge.membership.knew_of_removal(&entry.header.deps, device) == Some(true);
            let epoch = entry.header.epoch;
            if knew && keys.key(epoch).is_some() && !is_concurrent(entry) && !in_between.contains(&epoch) {
                let (log, seq) = (entry.header.log, entry.header.seq);
                return Err(format!("m{i} was put out and reads entry {seq} of {log}, written by who knew"));
            }
        }
    }
    Ok(())
}

/// What a machine was given in between, by its own account.
fn read_in_between(
    machine: &Machine,
    space: SpaceId,
    removals: &[EntryHash],
) -> Result<BTreeSet<EpochId>, String> {
    let (acts, voids) = (acts_of(machine, space)?, voids_of(machine, space)?);
    let engine = machine.engine();
    let state = engine.space(space).map_err(|err| err.to_string())?;
    Ok(given_in_between(&state.membership, (&acts, &voids), removals, machine.device()))
}

/// Epochs whose keys a device was given, after `removals` had put it out, by entries that let it in again or whose authors knew
/// of one that did. If it's out all the same, those have fallen: whoever wrote them was put out or lost the right to at the same
/// moment. Nobody can take back what was handed over until that was heard, so what was written under these keys by whoever
/// knew of the first removal alone may be read. The space's current epoch is never one of them: that is checked elsewhere.
///
/// Whoever gives the key of an epoch that a removal, or a later entry, began knew of the removal too, and may not have named it: a
/// thief can make void what stands in the log of the device that removed somebody, and until its author hears that others have built upon
/// it, the removed one is a member again.
///
/// All that shows it are signed entries, and those who are in the space don't hear what somebody wrote whom they have put out:
/// so it's the device's own graph, and its own `acts`, that are looked at.
fn given_in_between(
    graph: &Membership,
    (acts, voids): (&[(Entry, Vec<MembershipOp>)], &BTreeSet<EntryHash>),
    removals: &[EntryHash],
    device: DeviceId,
) -> BTreeSet<EpochId> {
    let knew = those_after(acts, removals);
    let is_later = |epoch: EpochId| {
        let begun = acts.iter().filter(|(_, acts)| acts.iter().any(|act| act.begins() == Some(epoch)));
        let mut begun = begun.map(|(entry, _)| entry.hash).filter(|begun| voids.contains(begun));
        begun.any(|begun| knew.contains(&begun) || removals.contains(&begun))
    };
    let adds = |acts: &[MembershipOp]| {
        acts.iter().any(|act| match act {
            MembershipOp::AddMember(add) => add.devices.iter().any(|of| of.cert.device == device),
            MembershipOp::AddDevice(add) => add.device.cert.device == device,
            _ => false,
        })
    };
    let took_for_member = |entry: &Entry| graph.took_for_member(&entry.header.deps, device) == Some(true);
    let others = acts.iter().filter(|(entry, _)| !removals.contains(&entry.hash));
    let gave = others.filter(|(entry, acts)| adds(acts) || took_for_member(entry));
    let sealed = gave.flat_map(|(entry, acts)| {
        let all = acts.iter().flat_map(MembershipOp::sealed_keys).filter(|sealed| sealed.device == device);
        all.map(|sealed| sealed.epoch).filter(|epoch| knew.contains(&entry.hash) || is_later(*epoch))
    });
    with_older(acts, sealed.collect())
}

/// The entries that have one of some others in their past.
fn those_after(acts: &[(Entry, Vec<MembershipOp>)], others: &[EntryHash]) -> BTreeSet<EntryHash> {
    let mut follow: BTreeMap<EntryHash, Vec<EntryHash>> = BTreeMap::new();
    for (entry, _) in acts {
        entry.header.deps.iter().for_each(|dep| follow.entry(*dep).or_default().push(entry.hash));
    }
    let (mut after, mut next) = (BTreeSet::new(), others.to_vec());
    while let Some(hash) = next.pop() {
        let new = follow.get(&hash).into_iter().flatten().filter(|hash| after.insert(**hash));
        next.extend(new);
    }
    after
}

/// Epochs, and those to whose keys theirs lead.
fn with_older(acts: &[(Entry, Vec<MembershipOp>)], mut epochs: BTreeSet<EpochId>) -> BTreeSet<EpochId> {
    let rotations = || {
        acts.iter().flat_map(|(_, acts)| acts).filter_map(|act| match act {
            MembershipOp::Rotate(rotate) => Some(rotate),
            _ => None,
        })
    };
    loop {
        let opened = rotations().filter(|rotate| epochs.contains(&rotate.epoch));
        let older: Vec<EpochId> =
            opened.flat_map(|rotate| rotate.previous.iter().map(|old| old.epoch)).collect();
        let before = epochs.len();
        epochs.extend(older);
        if epochs.len() == before {
            return epochs;
        }
    }
}

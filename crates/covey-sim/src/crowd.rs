//! Many people in one space, all online, who all write at once: how long until everybody has everything, and how much
//! each of them sends.
//!
//! Everybody is linked with a few others at random. What they send is held against *flooding*, where each passes on
//! every entry, once, to all but the one it came from: then an entry goes over every link in both directions, but for
//! those directions in which it came first. It's held against the least, too: an entry that reaches each of the others
//! once. Both are counted in frames of one entry, as sessions send them.

use std::collections::BTreeSet;

use covey_engine::{Ingested, load::decode_stored, planted::Defect};
use covey_log::delta::Context;
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::{Device, Role};
use covey_types::SpaceId;

use crate::{Options, machine::Pending, story::said, world::World};

/// Virtual time after which it's looked whether all have all, milliseconds.
const STEP_MS: u64 = 20;

/// Virtual time that everybody gets, milliseconds.
const PATIENCE_MS: u64 = 600_000;

/// What a frame of one entry has beside the packed entry: its length, what it is, which space, which log.
const FRAME_BYTES: u64 = 4 + 1 + 1 + 1;

/// Who, and how much.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// How many people, with a device each.
    pub peers: usize,
    /// What each of them writes: so many records, each an entry.
    pub entries: usize,
    /// With how many others each is linked; an even number.
    pub links: usize,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Entries that everybody has in the end, with those of membership.
    pub entries: u64,
    /// Virtual milliseconds from the writing until everybody had everything.
    pub converged_ms: u64,
    /// Bytes of frames that a node sent, on average.
    pub mean_bytes: u64,
    /// Bytes of frames that the busiest node sent.
    pub most_bytes: u64,
    /// Bytes that a node would send on average by flooding.
    pub flooding_bytes: u64,
    /// Bytes that a node would send on average if everybody got every entry once.
    pub least_bytes: u64,
}

/// Plays it.
///
/// # Errors
/// What went wrong, in words.
pub fn play(seed: u64, crowd: Crowd) -> Result<Found, String> {
    covey_types::replay::seed(seed);
    let mut world = World::new(seed, Options::default());
    world.most_events = u64::MAX;
    let links = gather(&mut world, crowd)?;
    converge(&mut world)?;
    let space = world.space.ok_or("there is no space")?;
    let before = world.machines[0].heads(space).total();
    world.sent.clear();
    let began = world.now;
    for machine in 0..crowd.peers {
        (0..crowd.entries).try_for_each(|n| write(&mut world, machine, n))?;
    }
    converge(&mut world)?;
    let entries = world.machines[0].heads(space).total();
    let wanted = before + (crowd.peers * crowd.entries) as u64;
    if entries != wanted {
        return Err(format!("there are {entries} entries, not {wanted}"));
    }
    let (peers, once) = (crowd.peers as u64, bytes_once(&world, space)?);
    Ok(Found {
        entries,
        converged_ms: world.now - began,
        mean_bytes: world.sent.values().sum::<u64>() / peers,
        most_bytes: world.sent.values().copied().max().unwrap_or(0),
        flooding_bytes: once * (2 * links - (peers - 1)) / peers,
        least_bytes: once * (peers - 1) / peers,
    })
}

/// Takes everybody in; how many links there are.
fn gather(world: &mut World, crowd: Crowd) -> Result<u64, String> {
    let linked = circles(world, crowd);
    for machine in 0..crowd.peers {
        world.add_machine(None);
        // Only time in the simulated world is measured: checking signatures takes none of that.
        world.machines[machine].defect = Some(Defect::SkipsSignatures);
        for other in (0..machine).filter(|other| !linked.contains(&(*other, machine))) {
            world.set_link(other, machine, false);
        }
    }
    let (space, entry) = world
        .transact(0, |rows, engine, secrets, wall| engine.found_space(rows, secrets, "garden", wall))
        .map_err(|err| format!("founding the space: {err}"))?;
    world.space = Some(space);
    let pending = Pending::acted(space, (entry, Ingested::default()));
    world.pend(0, Pending { membership_changed: true, ..pending });
    for joiner in 1..crowd.peers {
        world.run_until(world.now + STEP_MS);
        admit_as(world, 0, joiner, Role::Member);
    }
    Ok(linked.len() as u64)
}

/// Lets a machine in, as pairing does once both sides have proved to know the code: the joiner stands in the inviter's
/// log, durably, before it is given the keys.
fn admit_as(world: &mut World, inviter: usize, joiner: usize, role: Role) {
    let Some(space) = world.space else { return };
    let certified: Device = world.machines[joiner].secrets.certified();
    let name = world.machines[joiner].secrets.profile.user_name.clone();
    let result = world.act(inviter, move |rows, engine, secrets, wall| {
        engine.admit(rows, secrets, space, &name, role, &certified, wall)
    });
    said(world, inviter, &format!("lets m{joiner} in as {role}"), &result);
    if result.is_err() {
        return;
    }
    world.machines[inviter].disk.sync();
    world.machines[joiner].inviters.insert(inviter);
    let welcome = {
        let engine = world.machines[inviter].engine();
        engine.space(space).ok().and_then(|state| {
            let epoch = state.membership.current_epoch()?;
            Some((state.name().to_owned(), state.info.keys.for_joining(epoch)))
        })
    };
    let Some((name, keys)) = welcome else { return };
    let from = world.machines[inviter].device();
    let entered = world.transact(joiner, move |rows, engine, secrets, wall| {
        engine.enter_space(rows, space, &name, keys, from)?;
        engine.release(rows, secrets, space, covey_engine::HoldReason::Key, wall)
    });
    match entered {
        Ok(outcome) => {
            world.pend(joiner, Pending::of(space, &outcome));
            world.machines[joiner].disk.sync();
            // A space that is new here is offered in the sessions that there are.
            for peer in world.machines[joiner].conns.keys().copied().collect::<Vec<_>>() {
                world.offer(joiner, peer);
                world.offer(peer, joiner);
            }
        }
        Err(err) => world.fail(format!("entering the space: {err}")),
    }
}

/// Circles through all in random order: each is linked with two others in each of them.
fn circles(world: &mut World, crowd: Crowd) -> BTreeSet<(usize, usize)> {
    let mut linked = BTreeSet::new();
    let mut order: Vec<usize> = (0..crowd.peers).collect();
    for _ in 0..crowd.links / 2 {
        world.rng.shuffle(&mut order);
        let next = order.iter().cycle().skip(1);
        linked.extend(order.iter().zip(next).map(|(a, b)| (*a.min(b), *a.max(b))));
    }
    linked.retain(|(a, b)| a != b);
    linked
}

fn write(world: &mut World, machine: usize, n: usize) -> Result<(), String> {
    let Some(space) = world.space else { return Ok(()) };
    let (id, value) = (format!("plant {machine} {n}"), format!("\"bed {n}\""));
    let written = world.act(machine, move |rows, engine, secrets, wall| {
        let entry = engine.append_records(rows, secrets, space, wall, |_, _, _| {
            let mut body = BodyWriter::new();
            let fields = vec![("name", value.as_str())];
            body.push(&Op::Put { collection: "plants", id: RecordId::parse(&id)?, fields })?;
            Ok(body.finish())
        })?;
        Ok((entry, Ingested::default()))
    });
    written.map_err(|err| format!("m{machine} writes: {err}"))
}

/// Plays on until all have the same.
fn converge(world: &mut World) -> Result<(), String> {
    let space = world.space.ok_or("there is no space")?;
    let end = world.now + PATIENCE_MS;
    loop {
        world.run_until(world.now + STEP_MS);
        world.verdict()?;
        let pending = world.machines.iter().any(|machine| !machine.pending.is_empty());
        let first = world.machines[0].heads(space);
        if !pending && world.machines.iter().all(|machine| machine.heads(space) == first) {
            return Ok(());
        }
        if world.now > end {
            return Err(format!("not everybody has everything after {PATIENCE_MS} ms"));
        }
    }
}

/// Bytes of all data entries, each in a frame of its own, and behind the one before it in its log.
fn bytes_once(world: &World, space: SpaceId) -> Result<u64, String> {
    let machine = &world.machines[0];
    let key = machine.engine().space(space).map_err(|err| err.to_string())?.key;
    let sum = machine.disk.read(move |rows| {
        let mut sum = 0;
        for log in rows.logs(key)? {
            let mut context = Context::new(space, log.id);
            for stored in rows.entries(log.key, 1, usize::MAX, usize::MAX)? {
                let (entry, mut packed) = (decode_stored(&stored)?, Vec::new());
                context.encode(&entry, &mut packed);
                if !entry.header.kind.is_membership() {
                    sum += FRAME_BYTES + packed.len() as u64;
                }
            }
        }
        Ok::<_, covey_store::StoreError>(sum)
    });
    sum.map_err(|err| format!("reading the entries: {err}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_comes_to_the_same_and_everybody_is_sent_every_entry() {
        let found = play(1, Crowd { peers: 8, entries: 5, links: 4 }).unwrap();
        assert_eq!(found.entries, 8 * 5 + 8, "with the founding and seven admissions");
        assert!(found.least_bytes < found.mean_bytes && found.mean_bytes <= found.most_bytes, "{found:?}");
        assert!(found.least_bytes < found.flooding_bytes, "{found:?}");
        assert!(found.converged_ms < 2000, "{found:?}");
    }
}

//! What must be true in the end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use covey_engine::{Engine, HoldReason, Rows, load::decode_stored, prepare};
use covey_log::Entry;
use covey_space::Role;
use covey_types::{EpochId, SpaceId};

use crate::{disk::Rowset, machine::Machine, world::World};

/// Checks everything.
///
/// # Errors
/// The first thing that should have been true and was not.
pub fn all(world: &mut World) -> Result<(), String> {
    let Some(space) = world.space else { return Err("there is no space".into()) };
    let members = members(world, space);
    if members.is_empty() {
        // All honest people have left or were put out.
        return Ok(());
    }
    same_everywhere(world, space, &members)
        .map_err(|err| format!("{err}\n{}", held_everywhere(world, space)))?;
    nothing_lost(world, space, &members)?;
    as_if_written_by_one(world, space, members[0])?;
    nobody_outside_reads(world, space, &members)
}

/// The honest machines that are in the space. Somebody who was put out is not told, and believes to be in: so it's not
/// for everybody to say, but for those whom most of those who believe to be in take for members.
fn members(world: &World, space: SpaceId) -> Vec<usize> {
    let is_in = |judge: usize, whom: usize| {
        let device = world.machines[whom].device();
        world.machines[judge].engine().space(space).is_ok_and(|state| state.membership.has_device(device))
    };
    let honest: Vec<usize> =
        (0..world.machines.len()).filter(|i| !world.machines[*i].liar && !world.machines[*i].lost).collect();
    let believers: Vec<usize> = honest.iter().copied().filter(|i| is_in(*i, *i)).collect();
    let trust = |judge: &usize| {
        let by = believers.iter().filter(|other| is_in(**other, *judge)).count();
        (by, world.machines[*judge].heads(space).total())
    };
    let Some(judge) = believers.iter().copied().max_by_key(trust) else { return Vec::new() };
    // Those who put each other out, with nobody left whom both talk to, can't hear of it: each keeps a space of its own.
    let fell_out = |a: usize, b: usize| !is_in(a, b) && !is_in(b, a);
    if believers.iter().any(|a| believers.iter().any(|b| fell_out(*a, *b))) {
        return Vec::new();
    }
    // One whom more say to be out than in was put out, and is the last not to know.
    let knows = |i: &usize| world.machines[*i].engine().space(space).is_ok_and(|s| s.membership.is_founded());
    let others: Vec<usize> = honest.iter().copied().filter(|i| *i != judge).filter(knows).collect();
    if others.iter().filter(|other| is_in(**other, judge)).count() * 2 < others.len() {
        return Vec::new();
    }
    honest.into_iter().filter(|i| is_in(judge, *i)).collect()
}

/// What a replica comes to, to be compared.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    heads: BTreeMap<String, (u64, String)>,
    members: String,
    epoch: Option<EpochId>,
    has_key: bool,
    records: BTreeMap<String, Option<String>>,
}

fn records(rows: &dyn Rows, engine: &Engine, space: SpaceId) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    let Ok(state) = engine.space(space) else { return found };
    let Ok(Some(collection)) = rows.collection(state.key, "plants") else { return found };
    for i in 0..12 {
        let id = format!("record {i}");
        if let Ok(Some(row)) = rows.record(collection, &id)
            && row.doc.is_some()
        {
            found.insert(id, row.doc);
        }
    }
    found
}

fn summary(machine: &Machine, space: SpaceId, liars: &BTreeSet<String>) -> Summary {
    let heads =
        machine.heads(space).0.into_iter().filter(|(log, _)| !liars.contains(&log.device.to_string()));
    let heads = heads.map(|(log, head)| (log.to_string(), (head.seq, head.hash.to_string()))).collect();
    let engine = machine.engine.clone();
    let records = machine.disk.read(move |rows| {
        let engine = engine.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        records(rows, &engine, space)
    });
    let engine = machine.engine();
    let Ok(state) = engine.space(space) else {
        return Summary { heads, members: "none".into(), epoch: None, has_key: false, records };
    };
    let epoch = state.membership.current_epoch();
    let has_key = epoch.is_some_and(|epoch| state.info.keys.key(epoch).is_some());
    Summary { heads, members: format!("{:?}", state.membership.members()), epoch, has_key, records }
}

fn same_everywhere(world: &World, space: SpaceId, members: &[usize]) -> Result<(), String> {
    let liars: BTreeSet<String> = world
        .machines
        .iter()
        .filter(|machine| machine.liar)
        .map(|machine| machine.device().to_string())
        .collect();
    let reads_all = history_is_full(world, space, members[0]);
    let first = summary(&world.machines[members[0]], space, &liars);
    for i in members {
        let mut other = summary(&world.machines[*i], space, &liars);
        if !other.has_key {
            return Err(lacks_the_key(world, space, *i));
        }
        if !reads_all {
            // Whoever reads from joining on doesn't have what was written before.
            other.records = first.records.clone();
        }
        let (a, b) = (members[0], *i);
        if other.heads != first.heads {
            return Err(format!("m{a} and m{b} hold other entries:\n{:#?}\n{:#?}", first.heads, other.heads));
        }
        if other != first {
            return Err(format!(
                "m{a} and m{b} hold the same entries and come to another:\n{first:#?}\n{other:#?}"
            ));
        }
    }
    if first.heads.is_empty() {
        return Err("nothing was ever written".into());
    }
    Ok(())
}

fn lacks_the_key(world: &World, space: SpaceId, whose: usize) -> String {
    let of = |machine: &Machine| {
        let engine = machine.engine();
        let Ok(state) = engine.space(space) else { return format!("{}: no space", machine.name) };
        let role = state.membership.role_of(machine.device());
        let (chores, newest) = (state.chores(machine.device()), state.membership.newest_epochs());
        format!(
            "{}: {role:?}, has key: {}, {chores:?}, {newest:?}",
            machine.name,
            state.current_key().is_some()
        )
    };
    let all: Vec<String> = world.machines.iter().map(of).collect();
    format!("m{whose} lacks the current key: {all:#?}")
}

fn history_is_full(world: &World, space: SpaceId, machine: usize) -> bool {
    use covey_space::ops::HistoryPolicy;
    let engine = world.machines[machine].engine();
    engine.space(space).is_ok_and(|state| state.membership.history() == HistoryPolicy::Full)
}

/// Whatever an honest member was told is kept, is kept by all.
fn nothing_lost(world: &World, space: SpaceId, members: &[usize]) -> Result<(), String> {
    for holder in members {
        let machine = &world.machines[*holder];
        let key = machine.engine().space(space).map_err(|err| err.to_string())?.key;
        for author in members {
            for (log, head) in world.machines[*author].acked.clone() {
                let found = machine.disk.read(move |rows| {
                    let logs = rows.logs(key).unwrap_or_default();
                    let row = logs.into_iter().find(|row| row.id == log)?;
                    rows.hash_at(row.key, head.seq).ok().flatten()
                });
                if found != Some(head.hash) {
                    return Err(format!(
                        "m{holder} lacks entry {} of {log}, which m{author} was told is kept",
                        head.seq
                    ));
                }
            }
        }
    }
    Ok(())
}

fn entries_of(machine: &Machine, space: SpaceId) -> Result<Vec<Entry>, String> {
    let key = machine.engine().space(space).map_err(|err| err.to_string())?.key;
    let stored = machine.disk.read(move |rows| {
        let logs = rows.logs(key).unwrap_or_default();
        let of = |log| rows.entries(log, 1, usize::MAX, usize::MAX).unwrap_or_default();
        logs.into_iter().flat_map(|row| of(row.key)).collect::<Vec<_>>()
    });
    let mut entries =
        stored.iter().map(decode_stored).collect::<Result<Vec<_>, _>>().map_err(|err| err.to_string())?;
    entries.sort_by_key(|entry| (entry.header.hlc, entry.header.log));
    Ok(entries)
}

/// A replica that gets all entries at once, in the order of time, comes to the same as those that lived through it: so
/// what doesn't count was taken back, and what does was not lost on the way.
fn as_if_written_by_one(world: &mut World, space: SpaceId, member: usize) -> Result<(), String> {
    let entries = entries_of(&world.machines[member], space)?;
    let wall = world.wall_ms(member);
    let (secrets, keys, name) = {
        let machine = &world.machines[member];
        let engine = machine.engine();
        let state = engine.space(space).map_err(|err| err.to_string())?;
        (machine.secrets.clone(), state.info.keys.clone(), state.name().to_owned())
    };
    let (mut rows, mut engine) = (Rowset::default(), Engine::default());
    let failed = |what: &str, err: String| format!("a replica made afresh, {what}: {err}");
    engine
        .enter_space(&mut rows, space, &name, keys.clone(), secrets.device.id())
        .map_err(|err| failed("entering", err.to_string()))?;
    // An author may come after what they wrote by the order of time: what was not taken is given again.
    let mut left = entries;
    for _ in 0..=left.len() {
        let mut next = VecDeque::from(left.clone());
        while !next.is_empty() {
            let prepared = prepare(&mut next, &keys).map_err(|err| failed("checking", err.to_string()))?;
            engine
                .ingest(&mut rows, &secrets, space, prepared, wall)
                .map_err(|err| failed("storing", err.to_string()))?;
        }
        let key = engine.space(space).map_err(|err| err.to_string())?.key;
        let logs = rows.logs(key).map_err(|err| err.to_string())?;
        let is_in = |entry: &Entry| {
            logs.iter().any(|row| row.id == entry.header.log && row.head.seq >= entry.header.seq)
        };
        let before = left.len();
        left.retain(|entry| !is_in(entry));
        if left.is_empty() || left.len() == before {
            break;
        }
    }
    if !left.is_empty() {
        return Err(failed("storing", format!("{} entries don't fit", left.len())));
    }
    for reason in [HoldReason::Key, HoldReason::Future, HoldReason::Past] {
        engine
            .release(&mut rows, &secrets, space, reason, wall)
            .map_err(|err| failed("releasing", err.to_string()))?;
    }
    let afresh = records(&rows, &engine, space);
    let machine = &world.machines[member];
    let shared = machine.engine.clone();
    let lived = machine.disk.read(move |rows| {
        let engine = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        records(rows, &engine, space)
    });
    if afresh != lived {
        return Err(format!(
            "m{member} comes to other records than a replica made afresh:\n{lived:#?}\n{afresh:#?}"
        ));
    }
    Ok(())
}

/// Whoever is out has no key of what was written by somebody who knew it.
fn nobody_outside_reads(world: &mut World, space: SpaceId, members: &[usize]) -> Result<(), String> {
    let inside = &world.machines[members[0]];
    let current = inside.engine().space(space).map_err(|err| err.to_string())?.membership.current_epoch();
    let admin_left = members.iter().any(|i| {
        let machine = &world.machines[*i];
        let engine = machine.engine();
        engine.space(space).is_ok_and(|state| state.membership.role_of(machine.device()) >= Some(Role::Admin))
    });
    for (i, machine) in world.machines.iter().enumerate() {
        if members.contains(&i) || machine.liar || machine.lost || !admin_left {
            continue;
        }
        let engine = machine.engine();
        let Ok(state) = engine.space(space) else { continue };
        if current.is_some_and(|epoch| state.info.keys.key(epoch).is_some()) {
            return Err(format!("m{i} is out of the space and holds its current key"));
        }
    }
    forged_nowhere(world, space, members)
}

/// No record holds what was forged.
fn forged_nowhere(world: &World, space: SpaceId, members: &[usize]) -> Result<(), String> {
    for i in members {
        for entry in entries_of(&world.machines[*i], space)? {
            if let Err(err) = entry.verify() {
                return Err(format!("m{i} keeps a forged entry: {err}"));
            }
        }
    }
    Ok(())
}

/// What is held at each machine, in words: for whoever has to find out why.
fn held_everywhere(world: &World, space: SpaceId) -> String {
    let held_by = |machine: &Machine| {
        let Ok(key) = machine.engine().space(space).map(|state| state.key) else { return String::new() };
        let lines = machine.disk.read(move |rows| {
            let held = rows.held(key).unwrap_or_default();
            let line = |row: &covey_store::HeldRow| {
                let header = decode_stored(&rows.entry(row.log, row.seq).ok()??).ok()?.header;
                let (log, seq, kind, epoch) = (header.log, header.seq, header.kind.0, header.epoch);
                Some(format!("{log} {seq}: kind {kind}, epoch {epoch}, reason {}", row.reason))
            };
            held.iter().filter_map(line).collect::<Vec<_>>()
        });
        format!("{} holds back {lines:#?}\n", machine.name)
    };
    world.machines.iter().map(held_by).collect()
}

//! What must be true in the end.

mod children;
mod removal;
mod stolen;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use covey_engine::{
    Engine, HoldReason, Rows, compact::first_kept, load::decode_stored, load_for_peer, planted, prepare,
};
use covey_log::{Entry, EpochKey, Evidence};
use covey_space::{Role, Standing};
use covey_types::{EpochId, SpaceId};

use crate::{disk::Rowset, machine::Machine, story, world::World};

/// Checks everything.
///
/// # Errors
/// The first thing that should have been true and was not.
pub fn all(world: &mut World) -> Result<(), String> {
    let Some(space) = world.space else { return Err("there is no space".into()) };
    // Whoever stands in somebody's log and never got the keys, since the line broke, knows of nothing and comes again.
    let is_here = |i: &usize| {
        let machine = &world.machines[*i];
        !machine.liar && !machine.lost && (machine.came_in || machine.spaces().contains(&space))
    };
    let honest: Vec<usize> = (0..world.machines.len()).filter(is_here).collect();
    let members = members(world, space, &honest);
    if members.is_empty() {
        // All honest people have left or were put out.
        world.vacuous = true;
        return Ok(());
    }
    of_one(world, space, &members).inspect_err(|_| tell_all(world, space))?;
    for child in world.children.clone() {
        children::all(world, child, &members)
            .inspect_err(|_| tell_all(world, child))
            .map_err(|err| format!("in {}: {err}", world.called(child)))?;
    }
    Ok(())
}

/// Puts what everybody knows of a space's membership behind the story.
fn tell_all(world: &mut World, space: SpaceId) {
    for i in 0..world.machines.len() {
        let lines = words::acts_in_words(world, i, space);
        lines.into_iter().for_each(|line| world.note(line));
    }
}

/// Checks what must be true of one space and those of its members who are honest.
fn of_one(world: &mut World, space: SpaceId, members: &[usize]) -> Result<(), String> {
    same_everywhere(world, space, members)
        .map_err(|err| format!("{err}\n{}", held_everywhere(world, space)))?;
    nothing_lost(world, space, members)?;
    stolen::nothing_before_a_cut_is_missing(world, space, members)?;
    nothing_left_to_do(world, space, members)?;
    members.iter().try_for_each(|i| world.check_logs(*i, space))?;
    // Who reads from joining on comes to what they themself may read.
    let alike = if history_is_full(world, space, members[0]) { 1 } else { members.len() };
    members.iter().take(alike).try_for_each(|i| as_if_written_by_one(world, space, *i))?;
    nobody_outside_reads(world, space, members)
}

/// Whatever a space needs has been done by somebody who may.
fn nothing_left_to_do(world: &World, space: SpaceId, members: &[usize]) -> Result<(), String> {
    for i in members {
        let machine = &world.machines[*i];
        let chores = planted::with(machine.defect, || machine.engine().chores(space, machine.device()));
        if !chores.is_empty() {
            return Err(format!("m{i} has left undone what the space needs: {chores:?}"));
        }
    }
    Ok(())
}

/// Those of some honest machines that are in a space. Somebody who was put out is not told, and believes to be in: so it's not
/// for everybody to say, but for those whom most of those who believe to be in take for members.
fn members(world: &World, space: SpaceId, honest: &[usize]) -> Vec<usize> {
    let is_in = |judge: usize, whom: usize| {
        let device = world.machines[whom].device();
        world.machines[judge].standing(space, device) == Standing::Member
    };
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
    honest.iter().copied().filter(|i| is_in(judge, *i)).collect()
}

/// What a replica comes to, to be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Summary {
    heads: BTreeMap<String, (u64, String)>,
    members: String,
    epoch: Option<EpochId>,
    has_key: bool,
    records: BTreeMap<String, Option<String>>,
}

/// All records that are written to, deleted ones and all. Who knows only of a deletion has a row without a document, who never
/// heard of the record has none: both show nothing.
fn records(rows: &dyn Rows, engine: &Engine, space: SpaceId) -> BTreeMap<String, Option<String>> {
    let mut found = BTreeMap::new();
    let Ok(state) = engine.space(space) else { return found };
    let Ok(Some(collection)) = rows.collection(state.key, story::COLLECTION) else { return found };
    for id in story::record_ids() {
        if let Ok(Some(row)) = rows.record(collection, &id)
            && row.doc.is_some()
        {
            found.insert(id, row.doc);
        }
    }
    found
}

fn summary(machine: &Machine, space: SpaceId) -> Summary {
    let heads = machine.heads(space).0.into_iter();
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
    let reads_all = history_is_full(world, space, members[0]);
    let summaries: Vec<Summary> = members.iter().map(|i| summary(&world.machines[*i], space)).collect();
    let first = &summaries[0];
    for (n, i) in members.iter().enumerate() {
        let other = &summaries[n];
        if !other.has_key {
            return Err(lacks_the_key(world, space, *i));
        }
        let (a, b) = (members[0], *i);
        if other.heads != first.heads {
            return Err(format!("m{a} and m{b} hold other entries:\n{:#?}\n{:#?}", first.heads, other.heads));
        }
        // Whoever reads from joining on doesn't have what was written before; those who read the same have the same.
        let reads_the_same = |m: &usize| reads_all || read_the_same(world, space, *m, *i);
        let alike = members.iter().position(reads_the_same).unwrap_or(n);
        let expected = Summary { records: summaries[alike].records.clone(), ..first.clone() };
        if *other != expected {
            let a = members[alike];
            return Err(format!(
                "m{a} and m{b} hold the same entries and come to another:\n{expected:#?}\n{other:#?}"
            ));
        }
    }
    if first.heads.is_empty() {
        return Err("nothing was ever written".into());
    }
    Ok(())
}

/// Whether two machines have the keys of the same epochs.
fn read_the_same(world: &World, space: SpaceId, a: usize, b: usize) -> bool {
    let epochs = |i: usize| -> BTreeSet<EpochId> {
        let engine = world.machines[i].engine();
        let Ok(state) = engine.space(space) else { return BTreeSet::new() };
        state.info.keys.newest_keys(usize::MAX, EpochId([0; 16])).into_iter().map(EpochKey::id).collect()
    };
    epochs(a) == epochs(b)
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
            if world.unwritten(*author, space) > 0 {
                return Err(format!("m{author} has not written again what doesn't count of its own log"));
            }
            for (of, log, head) in world.machines[*author].acked.clone() {
                if of != space {
                    continue;
                }
                if world.is_frozen(*author, space, log, head.seq)
                    || world.is_of_another_history(*author, space, log, head)
                {
                    continue; // it was written again
                }
                let found = machine.disk.read(move |rows| {
                    let logs = rows.logs(key).unwrap_or_default();
                    let row = logs.into_iter().find(|row| row.id == log)?;
                    // What everybody has seen to be superseded may be dropped.
                    if head.seq < first_kept(rows, row.key).ok()? && row.head.seq >= head.seq {
                        return Some(head.hash);
                    }
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

/// All entries that others would be given, in their order.
fn as_for_peers(machine: &Machine, space: SpaceId) -> Result<Vec<Entry>, String> {
    let key = machine.engine().space(space).map_err(|err| err.to_string())?.key;
    let loaded = machine.disk.read(move |rows| {
        let wants: Vec<_> = rows.logs(key)?.into_iter().map(|row| (row.id, 1)).collect();
        let ahead = wants.iter().map(|(log, from)| (*log, *from..=u64::MAX)).collect();
        let acts = load_for_peer(rows, key, &wants, &ahead, usize::MAX)?.acts;
        let entries = load_for_peer(rows, key, &wants, &BTreeMap::new(), usize::MAX)?.entries;
        Ok([acts, entries].concat())
    });
    loaded.map_err(|err: covey_store::StoreError| err.to_string())
}

/// What proves which logs have two histories.
fn evidence_of(machine: &Machine, space: SpaceId) -> Result<Vec<Vec<u8>>, String> {
    let key = machine.engine().space(space).map_err(|err| err.to_string())?.key;
    let found = machine.disk.read(move |rows| rows.forks(key)).map_err(|err| err.to_string())?;
    Ok(found.into_iter().map(|row| row.evidence).collect())
}

/// A replica that gets all entries at once, in the order of time, comes to the same as those that lived through it: so
/// what doesn't count was taken back, and what does was not lost on the way.
fn as_if_written_by_one(world: &mut World, space: SpaceId, member: usize) -> Result<(), String> {
    let entries = as_for_peers(&world.machines[member], space)?;
    let wall = world.wall_ms(member);
    let (secrets, keys, name, inviter) = {
        let machine = &world.machines[member];
        let engine = machine.engine();
        let state = engine.space(space).map_err(|err| err.to_string())?;
        let inviter = state.info.inviter.unwrap_or_else(|| machine.device());
        (machine.secrets.clone(), state.info.keys.clone(), state.name().to_owned(), inviter)
    };
    let evidence = evidence_of(&world.machines[member], space)?;
    let (mut rows, mut engine) = (Rowset::default(), Engine::default());
    let failed = |what: &str, err: String| format!("a replica made afresh, {what}: {err}");
    engine
        .enter_space(&mut rows, space, &name, keys.clone(), inviter)
        .map_err(|err| failed("entering", err.to_string()))?;
    // An author may come after what they wrote by the order of time: what was not taken is given again.
    let mut left = entries;
    let mut known = 0;
    for _ in 0..=2 * left.len() {
        let mut next = VecDeque::from(left.clone());
        while !next.is_empty() {
            let prepared = prepare(&mut next, &keys).map_err(|err| failed("checking", err.to_string()))?;
            engine
                .ingest(&mut rows, &secrets, space, prepared, wall)
                .map_err(|err| failed("storing", err.to_string()))?;
        }
        // What is void is needed to judge what its authors' readers wrote; it's believed of those who may have logs.
        for bytes in &evidence {
            let evidence =
                Evidence::verified(space, bytes).map_err(|err| failed("forks", err.to_string()))?;
            engine
                .take_evidence(&mut rows, &secrets, space, evidence, wall)
                .map_err(|err| failed("forks", err.to_string()))?;
        }
        let key = engine.space(space).map_err(|err| err.to_string())?.key;
        let logs = rows.logs(key).map_err(|err| err.to_string())?;
        let is_in = |entry: &Entry| {
            logs.iter().any(|row| row.id == entry.header.log && row.head.seq >= entry.header.seq)
        };
        // Acts that were told ahead of their places are part of the graph, and let others be taken in.
        let placed = rows.membership(key).map_err(|err| err.to_string())?.len();
        let before = (left.len(), std::mem::replace(&mut known, placed));
        left.retain(|entry| !is_in(entry));
        if left.is_empty() || (left.len(), known) == before {
            break;
        }
    }
    if !left.is_empty() {
        let logs: BTreeSet<String> = left.iter().map(|entry| entry.header.log.to_string()).collect();
        let first = left.iter().map(|entry| entry.header.seq).min();
        return Err(failed(
            "storing",
            format!("{} entries don't fit, from {first:?} of {logs:?}", left.len()),
        ));
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
        if members.contains(&i) || machine.lost || !admin_left {
            continue;
        }
        // A liar who is in isn't among the members that are compared.
        if machine.liar && inside.standing(space, machine.device()) == Standing::Member {
            continue;
        }
        // Whoever let it in rightfully may be lost with all that told of it, or have gone back to before: if nobody else had
        // heard of it, then nobody in the space can know that it has a key.
        let heard_of = inside.engine().space(space).is_ok_and(|s| s.membership.was_device(machine.device()));
        let is_gone = |by: &usize| world.machines[*by].lost || world.machines[*by].copied;
        if !heard_of && (machine.is_forgotten || machine.inviters.iter().any(is_gone)) {
            continue;
        }
        let engine = machine.engine();
        let Ok(state) = engine.space(space) else { continue };
        if current.is_some_and(|epoch| state.info.keys.key(epoch).is_some()) {
            return Err(format!("m{i} is out of the space and holds its current key"));
        }
    }
    removal::nothing_after(world, space, members[0])?;
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

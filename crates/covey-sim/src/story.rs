//! What people do, drawn from the seed.
//!
//! A story begins with one person who founds a space and lets a few others in. Then, for some dozens of steps, somebody
//! does something: mostly they write. Machines crash and come back, links break and heal, clocks jump, people are let
//! in, put out and given other roles, often by several at once who don't hear of each other. In the end everything
//! works again, and everybody must come to the same.

use covey_engine::{Deeds, EngineError, Ingested, compact::ABSENT_AFTER_MS};
use covey_log::{BodyContext, Draft, Entry, Kind, seal};
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::{
    Role,
    ops::{HistoryPolicy, SetSpace},
};
use covey_sync::Input;
use covey_types::{Head, LogId, SpaceId, UserId};

use crate::{check, children, machine::Pending, pairing, world::World};

/// Machines at the beginning, at most.
const MACHINES: usize = 5;

/// Machines in all: people join while the story goes on.
const MOST_MACHINES: usize = 8;

/// Virtual time between two steps, at most.
const STEP_MS: u64 = 400;

/// Where everybody writes.
pub(crate) const COLLECTION: &str = "plants";

/// How many records there are: few, so that people get in each other's way.
const RECORDS: u8 = 12;

/// The ids of all records.
pub(crate) fn record_ids() -> impl Iterator<Item = String> {
    (0..RECORDS).map(|i| format!("record {i}"))
}

/// How long everybody gets in the end to come to the same.
const SETTLE_MS: u64 = 120_000;

/// How far clocks are set wrong: past what is believed, and within it. Milliseconds.
const SKEWS: [i64; 6] = [0, -3_600_000, 120_000, 400_000, 3_600_000, 36_000_000];

/// How far a clock is off that nobody has set: two years, milliseconds.
const YEARS_MS: i64 = 2 * 365 * 24 * 3_600_000;

/// The time goes on so much longer than a clock was ahead.
const PAST_SKEWS_MS: u64 = 4_000_000;

/// Rounds of compaction in a row: a checkpoint, everybody's word on it, that all have agreed, and the dropping.
const COMPACTIONS: usize = 4;

/// Plays a story and checks its end.
///
/// # Errors
/// What should have been true and was not.
pub fn play(world: &mut World) -> Result<(), String> {
    begin(world)?;
    let steps = world.rng.usize(20..70);
    for _ in 0..steps {
        step(world);
        let pause = world.rng.u64(0..STEP_MS);
        let until = world.now + pause;
        world.run_until(until);
        world.verdict()?;
    }
    end(world)
}

fn begin(world: &mut World) -> Result<(), String> {
    if world.more.u8(0..4) == 0 {
        // The least that there is: it takes few large entries to fill it.
        world.window_bytes = 0;
    }
    let machines = world.rng.usize(3..=MACHINES);
    for i in 0..machines {
        // Some people have two devices.
        let of = (i > 0 && world.rng.u8(0..4) == 0).then(|| world.rng.usize(0..i));
        let machine = world.add_machine(of);
        world.machines[machine].defect = world.defect_of(machine);
    }
    if world.rng.u8(0..4) == 0 || world.options.planted == Some(crate::Planted::SkipsSignatures) {
        let liar = machines - 1;
        world.machines[liar].liar = true;
        world.note(format!("m{liar} is a liar"));
    }
    if world.rng.u8(0..6) == 0 {
        let stranger = world.add_machine(None);
        world.machines[stranger].liar = true;
        world.note(format!("m{stranger} is a stranger who floods"));
    }
    let (space, entry) = world
        .transact(0, |rows, engine, secrets, wall| engine.found_space(rows, secrets, "garden", wall))
        .map_err(|err| format!("founding the space: {err}"))?;
    world.space = Some(space);
    let pending = Pending::acted(space, (entry, Ingested::default()));
    world.pend(0, Pending { membership_changed: true, ..pending });
    if world.rng.u8(0..5) == 0 {
        let set = SetSpace { name: None, history: Some(HistoryPolicy::FromJoining) };
        let _ = world
            .act(0, move |rows, engine, secrets, wall| engine.set_space(rows, secrets, space, set, wall));
    }
    for joiner in 1..machines {
        world.run_until(world.now + 30);
        pairing::invite(world, 0, joiner);
    }
    if world.rng.bool() {
        world.run_until(world.now + 200);
        let founder = any(world);
        children::found(world, founder);
    }
    Ok(())
}

fn any(world: &mut World) -> usize {
    let machines = world.machines.len();
    world.rng.usize(0..machines)
}

fn step(world: &mut World) {
    let (machine, other) = (any(world), any(world));
    let up = world.machines[machine].up;
    if world.options.thieves && up && world.rng.u8(0..8) == 0 {
        world.thieves_sign(machine);
    }
    match world.rng.u8(0..112) {
        // A stranger has nothing else to do.
        0..45 if up && world.machines[machine].liar && world.machines[machine].spaces().is_empty() => {
            world.flood(machine);
        }
        0..45 if up => write(world, machine),
        45..52 => {
            let works = world.rng.bool();
            if machine != other {
                world.set_link(machine, other, works);
            }
        }
        52..55 => split(world),
        55..58 => {
            world.note("all links work");
            world.heal();
        }
        58..62 if up => world.crash(machine),
        62..68 if !up && !world.machines[machine].lost => world.start(machine),
        68..70 if up => world.back_up(machine),
        70..72 if up => {
            world.restore(machine);
            // Whoever has their things back goes on at once.
            write(world, machine);
        }
        72..75 => {
            let skew = SKEWS[world.rng.usize(0..SKEWS.len())];
            let skew = match world.more.u8(0..16) {
                0 => YEARS_MS,
                1 => -YEARS_MS,
                _ => skew,
            };
            world.machines[machine].skew_ms = skew;
            world.furthest_ahead_ms = world.furthest_ahead_ms.max(u64::try_from(skew).unwrap_or(0));
            world.note(format!("the clock of m{machine} is off by {skew} ms"));
        }
        75..80 if up => {
            // A further device of somebody is let in by one of theirs, and by nobody else.
            let (inviter, joiner) = if world.machines.len() < MOST_MACHINES && world.rng.bool() {
                let of = (world.rng.u8(0..3) == 0).then_some(other);
                (of.unwrap_or(machine), world.add_machine(of))
            } else {
                (machine, other)
            };
            if joiner != inviter && world.reachable(inviter, joiner) {
                pairing::invite(world, inviter, joiner);
            }
        }
        80..84 if up => put_out(world, machine, other),
        84..88 if up => set_role(world, machine, other),
        88..90 if up => remove_device(world, machine, other),
        90..92 if up => leave(world, machine),
        92..94 if up => rotate(world, machine),
        94..98 if up && world.machines[machine].liar => match world.rng.u8(0..5) {
            // Where signatures aren't checked, that must show.
            _ if world.options.planted == Some(crate::Planted::SkipsSignatures) => forge(world, machine),
            0 => forge(world, machine),
            1 => world.babble(machine),
            2 | 3 => world.flood(machine),
            _ => world.equivocate(machine),
        },
        94..96 => world.set_one_way(machine, other),
        96..98 => compact(world),
        98 if up && machine > 0 && world.options.losses => {
            world.crash(machine);
            world.machines[machine].lost = true;
            world.note(format!("m{machine} is lost for good"));
        }
        99 if up => {
            world.set_back(machine);
            write(world, machine);
        }
        100.. if up => children::step(world, machine, other),
        _ => {}
    }
}

/// Everybody compacts, hears what the others said of it, and compacts again.
fn compact(world: &mut World) {
    world.note("everybody compacts");
    for _ in 0..COMPACTIONS {
        for machine in 0..world.machines.len() {
            world.compact(machine);
        }
        world.run_until(world.now + STEP_MS);
    }
}

/// Cuts the machines into two groups that can't reach each other.
fn split(world: &mut World) {
    let machines = world.machines.len();
    let side: Vec<bool> = (0..machines).map(|_| world.rng.bool()).collect();
    world.note(format!("the network falls apart: {side:?}"));
    for a in 0..machines {
        for b in 0..a {
            world.set_link(a, b, side[a] == side[b]);
        }
    }
}

pub(crate) fn said(world: &mut World, machine: usize, what: &str, result: &Result<(), EngineError>) {
    let line = match result {
        Ok(()) => format!("m{machine} {what}"),
        Err(err) => format!("m{machine} would have {what}, but {err}"),
    };
    world.note(line);
    if let Err(EngineError::Internal(reason)) = result {
        world.fail(format!("m{machine} {what}: {reason}"));
    }
}

/// Writes something to one of few records, so that people get in each other's way.
fn write(world: &mut World, machine: usize) {
    let Some(space) = world.one_of_its_spaces(machine) else { return };
    let bursts = if world.rng.u8(0..20) == 0 { 30 } else { 1 };
    for _ in 0..bursts {
        let id = format!("record {}", world.rng.u8(0..RECORDS));
        let (choice, value) = (world.rng.u8(0..10), world.rng.u32(0..1000));
        let result = world.act_in(machine, space, move |rows, engine, secrets, wall| {
            let entry = engine.append_records(rows, secrets, space, wall, |rows, engine, log| {
                body(rows, engine, space, log, &id, choice, value)
            })?;
            Ok((entry, covey_engine::Ingested::default()))
        });
        if result.is_err() || bursts == 1 {
            let what = format!("writes in {}", world.called(space));
            said(world, machine, &what, &result);
        }
    }
}

fn body(
    rows: &mut covey_engine::AnyRows<'_>,
    engine: &mut covey_engine::Engine,
    space: SpaceId,
    log: LogId,
    id: &str,
    choice: u8,
    value: u32,
) -> Result<Vec<u8>, EngineError> {
    use covey_engine::RowsMut;
    let key = engine.space(space)?.key;
    let collection = rows.ensure_collection(key, COLLECTION)?;
    let record = covey_engine::load_record(rows, collection, id, &engine.devices)?;
    let (text, element) = (value.to_string(), format!("\"e{}\"", value % 4));
    let field = format!("f{}", value % 3);
    let collection = COLLECTION;
    let id = RecordId::parse(id)?;
    let mut body = BodyWriter::new();
    let op = match choice {
        0..6 => Op::Put { collection, id, fields: vec![(field.as_str(), text.as_str())] },
        6 => Op::Delete { collection, id, observed: record.observed() },
        7 => {
            let tally = record.tally("seen", log).plus(1);
            let tally = tally.ok_or_else(|| EngineError::Invalid("the counter is full".into()))?;
            Op::CounterAdd { collection, id, name: "seen", tally }
        }
        8 => Op::SetAdd { collection, id, name: "tags", element: &element },
        _ => {
            let observed = record.additions("tags", &element);
            Op::SetRemove { collection, id, name: "tags", element: &element, observed }
        }
    };
    body.push(&op)?;
    Ok(body.finish())
}

pub(crate) fn user(world: &World, machine: usize) -> UserId {
    world.machines[machine].secrets.user.id()
}

fn put_out(world: &mut World, machine: usize, other: usize) {
    let (Some(space), whom) = (world.space, user(world, other)) else { return };
    let result = world.act_all(machine, move |rows, engine, secrets, wall| {
        let leaves = whom == secrets.user.id();
        let mut deeds =
            if leaves { engine.leave_children(rows, secrets, space, wall)? } else { Deeds::new() };
        deeds.push((space, engine.remove_member(rows, secrets, space, whom, wall)?));
        deeds.extend(engine.tend_children(rows, secrets, space, wall)?);
        Ok(deeds)
    });
    said(world, machine, &format!("puts the user of m{other} out"), &result);
}

fn leave(world: &mut World, machine: usize) {
    put_out(world, machine, machine);
}

fn remove_device(world: &mut World, machine: usize, other: usize) {
    let (Some(space), device) = (world.space, world.machines[other].device()) else { return };
    let result = world.act_all(machine, move |rows, engine, secrets, wall| {
        let mut deeds = vec![(space, engine.remove_device(rows, secrets, space, device, wall)?)];
        deeds.extend(engine.tend_children(rows, secrets, space, wall)?);
        Ok(deeds)
    });
    said(world, machine, &format!("puts the device m{other} out"), &result);
}

fn set_role(world: &mut World, machine: usize, other: usize) {
    let (Some(space), whom) = (world.space, user(world, other)) else { return };
    let role = Role::ALL[world.rng.usize(0..4)];
    let result = world.act(machine, move |rows, engine, secrets, wall| {
        engine.set_role(rows, secrets, space, whom, role, wall)
    });
    said(world, machine, &format!("makes the user of m{other} {role}"), &result);
}

fn rotate(world: &mut World, machine: usize) {
    let Some(space) = world.space else { return };
    let result =
        world.act(machine, move |rows, engine, secrets, wall| engine.rotate_key(rows, secrets, space, wall));
    said(world, machine, "changes the key", &result);
}

/// Sends everybody it is connected to an entry in somebody else's name.
fn forge(world: &mut World, machine: usize) {
    let Some(space) = world.one_of_its_spaces(machine) else { return };
    let victims: Vec<(LogId, Head)> = world.machines[machine]
        .heads(space)
        .0
        .into_iter()
        .filter(|(log, _)| log.device != world.machines[machine].device())
        .collect();
    if victims.is_empty() {
        return;
    }
    let (log, head) = victims[world.rng.usize(0..victims.len())];
    let wall = world.wall_ms(machine);
    let forged = {
        let it = &world.machines[machine];
        let engine = it.engine();
        let Ok(state) = engine.space(space) else { return };
        let Some(key) = state.current_key() else { return };
        let mut body = BodyWriter::new();
        let Ok(id) = RecordId::parse("record 1") else { return };
        let op = Op::Put { collection: "plants", id, fields: vec![("forged", "true")] };
        if body.push(&op).is_err() {
            return;
        }
        let place = BodyContext { space, log, seq: head.seq + 1, kind: Kind::RECORDS };
        let mut clock = engine.clock;
        let draft = Draft {
            space,
            log,
            head,
            hlc: clock.tick(wall),
            kind: Kind::RECORDS,
            epoch: key.id(),
            deps: state.membership.deps_for(log.device),
        };
        std::sync::Arc::new(Entry::sign(&it.secrets.device, draft, seal(key, place, &body.finish())))
    };
    world.note(format!("m{machine} forges an entry of {log}"));
    for peer in world.machines[machine].conns.keys().copied().collect::<Vec<_>>() {
        world.tell_session(machine, peer, Input::Appended { space, entry: std::sync::Arc::clone(&forged) });
    }
}

/// Everything works again; everybody comes to the same.
fn end(world: &mut World) -> Result<(), String> {
    world.note("everything works again");
    if world.options.thieves {
        let hearer = any(world);
        world.thieves_sign(hearer);
    }
    world.heal();
    for machine in 0..world.machines.len() {
        if !world.machines[machine].up && !world.machines[machine].lost {
            world.start(machine);
        }
    }
    let began = world.now;
    world.run_until_quiet(SETTLE_MS);
    world.settled_ms = world.now - began;
    world.verdict()?;
    if !world.is_quiet() {
        return Err(format!(
            "everything works again, and {SETTLE_MS} ms later there is still something to do"
        ));
    }
    // Clocks that were ahead are overtaken by the time.
    for machine in 0..world.machines.len() {
        world.machines[machine].skew_ms = 0;
    }
    world.run_until(world.now + world.furthest_ahead_ms + PAST_SKEWS_MS);
    for _ in 0..3 {
        world.release_held();
        world.run_until_quiet(SETTLE_MS);
    }
    if world.rng.bool() {
        // After a month nobody waits for those who were put out.
        world.run_until(world.now + 2 * ABSENT_AFTER_MS);
    }
    compact(world);
    world.run_until_quiet(SETTLE_MS);
    compact(world);
    world.run_until_quiet(SETTLE_MS);
    world.verdict()?;
    if !world.is_quiet() {
        return Err(format!("the machines have not come to rest after {SETTLE_MS} ms"));
    }
    check::all(world)
}

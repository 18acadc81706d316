//! Spaces within the space: who makes them, who comes into them, who goes.

use covey_space::{
    Role,
    ops::{HistoryPolicy, SetSpace},
};
use covey_types::{SpaceId, UserId};

use crate::{
    story::{said, user},
    world::World,
};

/// Children in one story: as many as make them meet the same mishaps in different ways.
const MOST_CHILDREN: usize = 3;

impl World {
    /// The space itself, as a rule, or one of its children that a machine has.
    pub(crate) fn one_of_its_spaces(&mut self, machine: usize) -> Option<SpaceId> {
        let child = if self.rng.u8(0..3) == 0 { self.child_of(machine) } else { None };
        child.or(self.space)
    }

    /// A child that a machine has, or had.
    fn child_of(&mut self, machine: usize) -> Option<SpaceId> {
        let here: Vec<SpaceId> = {
            let engine = self.machines[machine].engine();
            self.children.iter().copied().filter(|child| engine.spaces.contains_key(child)).collect()
        };
        (!here.is_empty()).then(|| here[self.rng.usize(0..here.len())])
    }

    /// A role in a child: mostly one that keeps it going when others go.
    fn role_in_child(&mut self) -> Role {
        [Role::Owner, Role::Owner, Role::Admin, Role::Member, Role::Guest][self.rng.usize(0..5)]
    }
}

/// Does something about a child.
pub(crate) fn step(world: &mut World, machine: usize, other: usize) {
    let choice = world.rng.u8(0..12);
    if choice < 3 {
        return found(world, machine);
    }
    let Some(child) = world.child_of(machine) else { return };
    match choice {
        3..7 => take_in(world, machine, child, other),
        7 => put_out(world, machine, child, machine),
        8 => put_out(world, machine, child, other),
        9 => {
            let device = world.machines[other].device();
            let result = world.act_in(machine, child, move |rows, engine, secrets, wall| {
                engine.remove_device(rows, secrets, child, device, wall)
            });
            told(world, machine, child, &format!("puts the device m{other} out of"), &result);
        }
        10 => {
            let (whom, role) = (user(world, other), world.role_in_child());
            let result = world.act_in(machine, child, move |rows, engine, secrets, wall| {
                engine.set_role(rows, secrets, child, whom, role, wall)
            });
            told(world, machine, child, &format!("makes the user of m{other} {role} of"), &result);
        }
        _ => {
            let result = world.act_in(machine, child, move |rows, engine, secrets, wall| {
                engine.rotate_key(rows, secrets, child, wall)
            });
            told(world, machine, child, "changes the key of", &result);
        }
    }
}

fn told(
    world: &mut World,
    machine: usize,
    child: SpaceId,
    what: &str,
    result: &Result<(), covey_engine::EngineError>,
) {
    let what = format!("{what} {}", world.called(child));
    said(world, machine, &what, result);
}

/// Makes a child of the space, with some of its people.
pub(crate) fn found(world: &mut World, machine: usize) {
    let Some(space) = world.space else { return };
    if world.children.len() >= MOST_CHILDREN {
        return;
    }
    let mut people: Vec<(UserId, Role)> = Vec::new();
    for other in 0..world.machines.len() {
        let whom = user(world, other);
        let is_known = whom == user(world, machine) || people.iter().any(|(known, _)| *known == whom);
        let is_in = world.machines[machine]
            .engine()
            .space(space)
            .is_ok_and(|state| state.membership.role_of_user(whom).is_some());
        if !is_known && is_in && world.rng.bool() {
            let role = world.role_in_child();
            people.push((whom, role));
        }
    }
    let from_joining = world.rng.u8(0..4) == 0;
    let before = world.machines[machine].spaces();
    let result = world.act_all(machine, move |rows, engine, secrets, wall| {
        let (child, mut deeds) = engine.found_child(rows, secrets, space, ("shed", &people), wall)?;
        if from_joining {
            let set = SetSpace { name: None, history: Some(HistoryPolicy::FromJoining) };
            deeds.push((child, engine.set_space(rows, secrets, child, set, wall)?));
        }
        Ok(deeds)
    });
    let new = world.machines[machine].spaces().into_iter().find(|space| !before.contains(space));
    world.children.extend(new);
    let what = format!("founds child {}", world.children.len().saturating_sub(1));
    said(world, machine, &what, &result);
    if let Some(child) = new {
        world.is_new(machine, child);
    }
}

/// Takes somebody of the space into a child: they need not be near.
fn take_in(world: &mut World, machine: usize, child: SpaceId, other: usize) {
    let (whom, role) = (user(world, other), world.role_in_child());
    let result = world.act_all(machine, move |rows, engine, secrets, wall| {
        engine.take_in(rows, secrets, child, &[(whom, role)], wall)
    });
    told(world, machine, child, &format!("takes the user of m{other} as {role} into"), &result);
}

fn put_out(world: &mut World, machine: usize, child: SpaceId, other: usize) {
    let whom = user(world, other);
    let result = world.act_in(machine, child, move |rows, engine, secrets, wall| {
        engine.remove_member(rows, secrets, child, whom, wall)
    });
    told(world, machine, child, &format!("puts the user of m{other} out of"), &result);
}

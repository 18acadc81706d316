//! What must be true of spaces within the space.

use covey_space::Role;
use covey_types::SpaceId;

use super::{members, of_one};
use crate::{machine::Machine, world::World};

/// Checks a child of which the honest people of its parent, who agree on who is in that, are to know the same.
pub(super) fn all(world: &mut World, child: SpaceId, inside: &[usize]) -> Result<(), String> {
    nobody_never_in_it_holds_anything(world, child, inside)?;
    // Whoever was set back by copying files to before they founded it has forked the log that told of it: acts of membership
    // in that are lost, and nobody tells them again.
    let has_it = |i: &usize| {
        let machine = &world.machines[*i];
        !machine.copied || machine.engine().spaces.contains_key(&child)
    };
    let inside: Vec<usize> = inside.iter().copied().filter(has_it).collect();
    let members = members(world, child, &inside);
    if members.is_empty() {
        return Ok(());
    }
    of_one(world, child, &members)?;
    no_device_is_missing(world, child, &inside, &members)
}

/// Whoever was never taken in doesn't hold so much as the ciphertext, wherever they are in the parent.
///
/// That somebody was taken in is shown by signed entries, whoever holds them, and that may be nobody who is still in the parent:
/// those don't hear, in the child, of whom somebody took in that was put out of the parent and didn't know it yet.
fn nobody_never_in_it_holds_anything(world: &World, child: SpaceId, inside: &[usize]) -> Result<(), String> {
    // To be told of a child is to be let into it by somebody who is: that may be known to them alone by now.
    let a_witness_is_gone =
        world.machines.iter().any(|machine| machine.lost || machine.liar || machine.copied);
    for (i, machine) in world.machines.iter().enumerate() {
        let shows = |judge: &Machine| {
            let engine = judge.engine();
            engine.space(child).is_ok_and(|state| state.membership.was_device(machine.device()))
        };
        // Who was told of it, while the act that took them in was lost with a backup, has its name and keys.
        let holds = machine.heads(child).total() > 0;
        if machine.lost || !holds || world.machines.iter().any(shows) || a_witness_is_gone {
            continue;
        }
        // Who is in it knows who ever was; who has left it may not.
        let is_known = inside.iter().any(|judge| {
            let device = world.machines[*judge].device();
            world.machines[*judge].engine().role_in(child, device).is_some()
        });
        if is_known {
            return Err(format!("m{i} holds something of it and was never in it"));
        }
    }
    Ok(())
}

/// A further device of somebody who is in the child is in it too, unless it was put out.
fn no_device_is_missing(
    world: &World,
    child: SpaceId,
    inside: &[usize],
    members: &[usize],
) -> Result<(), String> {
    let Some(parent) = world.space else { return Ok(()) };
    for i in inside.iter().filter(|i| !members.contains(i)) {
        let (device, user) = (world.machines[*i].device(), world.machines[*i].secrets.user.id());
        let could_take_it_in = |member: &usize| {
            let machine = &world.machines[*member];
            let engine = machine.engine();
            let speaks = engine.role_in(parent, machine.device()) >= Some(Role::Member);
            let new = engine.space(child).is_ok_and(|state| !state.membership.was_device(device));
            machine.secrets.user.id() == user && speaks && new
        };
        if let Some(by) = members.iter().find(|member| could_take_it_in(member)) {
            return Err(format!("m{i} is not in it, though m{by} is, of the same user"));
        }
    }
    Ok(())
}

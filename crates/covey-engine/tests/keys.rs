//! Keys find their way to whoever has to have them: though they were changed at the same moment, or nobody who has them may
//! begin an epoch.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{NOW_MS, Replica, garden};
use covey_space::Role;
use covey_types::{EpochId, SpaceId};

/// Somebody's role as they know it, and whether they have the current key.
fn standing(one: &Replica, space: SpaceId) -> (Option<Role>, bool) {
    one.with(move |_, engine, secrets| {
        let state = engine.space(space)?;
        Ok((state.membership.role_of(secrets.device.id()), state.current_key().is_some()))
    })
}

#[test]
fn an_owner_who_is_one_again_since_all_others_went_too_is_given_the_key_by_those_who_may_not_change_it() {
    let (people, space) = garden(&["ada", "bob", "cem"]);
    let [ada, bob, cem] = &people[..] else { unreachable!() };
    for one in [bob, cem] {
        let user = one.user();
        ada.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, user, Role::Owner, NOW_MS));
    }
    for one in [bob, cem] {
        one.hear(ada, space);
    }
    let leave = |one: &Replica| {
        let user = one.user();
        one.with(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, user, NOW_MS));
    };
    // Ada leaves; Bob changes the key, and leaves as well: Cem is an owner. But Cem has just given that up.
    leave(ada);
    bob.hear(ada, space);
    assert_eq!(bob.tend(space).len(), 1);
    leave(bob);
    let own = cem.user();
    cem.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, own, Role::Member, NOW_MS));
    cem.hear(bob, space);
    ada.hear(bob, space);
    ada.hear(cem, space);
    assert_eq!(standing(cem, space), (Some(Role::Member), true));
    assert_eq!(
        standing(ada, space),
        (None, false),
        "ada can't read that bob left, so that she is an owner again"
    );
    assert_eq!(cem.tend(space).len(), 1);
    ada.hear(cem, space);
    assert_eq!(standing(ada, space), (Some(Role::Owner), true));
    // Bob has that key.
    assert_eq!(ada.tend(space).len(), 1);
    cem.hear(ada, space);
    let gone = bob.secrets.device.id();
    for one in [ada, cem] {
        let (given, left) = one.with(move |_, engine, secrets| {
            let chores = engine.chores(space, secrets.device.id());
            Ok((engine.space(space)?.membership.was_given_key(gone), chores))
        });
        assert!(!given && left.is_empty(), "{left:?}");
        assert!(standing(one, space).1);
    }
}

#[test]
fn a_key_that_somebody_outside_comes_to_by_an_epoch_that_fell_is_changed() {
    let (people, space) = garden(&["ada", "bob"]);
    let [ada, bob] = &people[..] else { unreachable!() };
    let admin = bob.user();
    ada.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, admin, Role::Admin, NOW_MS));
    bob.hear(ada, space);
    // Ada takes that back, while Bob, who doesn't know, begins an epoch and lets Eve in with it.
    ada.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, admin, Role::Member, NOW_MS));
    bob.with(move |tx, engine, secrets| engine.rotate_key(tx, secrets, space, NOW_MS));
    let eve = Replica::new("eve");
    bob.let_in(space, &eve, Role::Member);
    ada.hear(bob, space);
    let current =
        || ada.with(move |_, engine, _| Ok(engine.space(space)?.membership.current_epoch().unwrap()));
    let eve_has =
        |epoch| eve.with(move |_, engine, _| Ok(engine.space(space)?.info.keys.key(epoch).is_some()));
    assert!(eve_has(current()), "the epoch before bob's is current, and his leads to it");
    let device = eve.secrets.device.id();
    let is_in = ada.with(move |_, engine, _| Ok(engine.space(space)?.membership.has_device(device)));
    assert!(!is_in);
    assert_eq!(ada.tend(space).len(), 1);
    eve.hear(ada, space);
    assert!(!eve_has(current()));
    assert_eq!(
        ada.tend(space).len(),
        1,
        "those who are in get that of bob's epoch: he may have written under it"
    );
    assert!(ada.tend(space).is_empty(), "and that is all");
    bob.hear(ada, space);
    assert_eq!(standing(bob, space), (Some(Role::Member), true));
}

/// The current epoch as somebody knows it, and whether they have its key.
fn current(one: &Replica, space: SpaceId) -> (Option<EpochId>, bool) {
    one.with(move |_, engine, _| {
        let state = engine.space(space)?;
        Ok((state.membership.current_epoch(), state.current_key().is_some()))
    })
}

fn make_admin(by: &Replica, of: &Replica, space: SpaceId, role: Role) {
    let user = of.user();
    by.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, user, role, NOW_MS));
    of.hear(by, space);
}

fn rotate(one: &Replica, space: SpaceId) {
    one.with(move |tx, engine, secrets| engine.rotate_key(tx, secrets, space, NOW_MS));
}

#[test]
fn a_device_that_was_let_in_while_another_admin_changed_the_key_is_given_the_new_one_by_the_nodes_alone() {
    let (people, space) = garden(&["ada", "bob"]);
    let [ada, bob] = &people[..] else { unreachable!() };
    make_admin(ada, bob, space, Role::Admin);
    let before = current(ada, space).0;
    // Neither hears of what the other does.
    rotate(ada, space);
    let eve = Replica::new("eve");
    bob.let_in(space, &eve, Role::Member);
    assert_eq!(current(&eve, space), (before, true));
    for (one, other) in [(ada, bob), (bob, ada)] {
        one.hear(other, space);
    }
    // What a node does by itself, and nothing that anybody asks for.
    let done = ada.tend(space).len() + bob.tend(space).len();
    assert!(done > 0);
    for (one, other) in [(&eve, ada), (&eve, bob), (ada, bob), (bob, ada)] {
        one.hear(other, space);
    }
    let (epoch, has_key) = current(&eve, space);
    assert!(has_key && epoch != before, "eve writes under the new key");
    for one in [ada, bob] {
        assert_eq!(current(one, space), (epoch, true));
        assert!(one.tend(space).is_empty(), "nothing is left to do");
    }
}

#[test]
fn of_two_keys_that_were_begun_at_the_same_moment_all_write_under_one_and_read_both() {
    let (people, space) = garden(&["ada", "bob", "cem"]);
    let [ada, bob, cem] = &people[..] else { unreachable!() };
    make_admin(ada, bob, space, Role::Admin);
    cem.hear(ada, space);
    let begun = [ada, bob].map(|one| {
        rotate(one, space);
        current(one, space).0.unwrap()
    });
    assert_ne!(begun[0], begun[1]);
    ada.hear(bob, space);
    bob.hear(ada, space);
    cem.hear(bob, space);
    cem.hear(ada, space);
    for one in [ada, bob] {
        one.tend(space);
    }
    for (one, other) in [(ada, bob), (bob, ada), (cem, ada), (cem, bob)] {
        one.hear(other, space);
    }
    let (epoch, _) = current(ada, space);
    for one in [ada, bob, cem] {
        assert_eq!(current(one, space), (epoch, true));
        let reads = one.with(move |_, engine, _| {
            let keys = &engine.space(space)?.info.keys;
            Ok(begun.iter().all(|epoch| keys.key(*epoch).is_some()))
        });
        assert!(reads, "what anybody wrote under either is read by all");
    }
}

#[test]
fn when_the_last_owner_has_gone_those_who_were_in_longest_come_to_be_owners() {
    let (people, space) = garden(&["ada", "bob", "cem"]);
    let [ada, bob, cem] = &people[..] else { unreachable!() };
    make_admin(ada, bob, space, Role::Owner);
    cem.hear(ada, space);
    // Two owners who leave at the same moment: each believes that the other stays.
    for one in [ada, bob] {
        let own = one.user();
        one.with(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, own, NOW_MS));
    }
    cem.hear(ada, space);
    cem.hear(bob, space);
    let owners = cem.with(move |_, engine, _| {
        let members = engine.space(space)?.membership.members();
        Ok(members.into_values().filter(|member| member.role == Role::Owner).count())
    });
    assert_eq!(owners, 1, "a space is never left without anybody who may see to it");
    for (one, other) in [(ada, cem), (bob, cem), (ada, bob), (bob, ada)] {
        one.hear(other, space);
    }
    let who = |one: &Replica| {
        one.with(move |_, engine, _| Ok(format!("{:?}", engine.space(space)?.membership.members())))
    };
    assert_eq!(who(ada), who(cem));
    assert_eq!(who(bob), who(cem));
}

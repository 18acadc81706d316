//! Keys find their way to whoever has to have them, though nobody who has them may begin an epoch.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{NOW_MS, Replica, garden};
use covey_space::Role;
use covey_types::SpaceId;

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

//! Which of a user's devices a space lacks, by what counts there.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{NOW_MS, further, garden};
use covey_space::{MembershipOp, Role};

#[test]
fn a_device_whose_removal_by_itself_fell_is_taken_in_again_with_its_user() {
    let (people, space) = garden(&["bob", "ada", "carl"]);
    let [bob, ada, carl] = &people[..] else { unreachable!() };
    let (adas, carls) = (ada.user(), carl.user());
    bob.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, carls, Role::Admin, NOW_MS));
    ada.hear(bob, space);
    let phone = further(ada);
    let (device, certified) = (phone.device.id(), phone.certified());
    let personal = ada.with(move |tx, engine, secrets| {
        let (personal, _) = engine.found_personal(tx, secrets, NOW_MS)?;
        engine.add_device(tx, secrets, personal, &certified, NOW_MS)?;
        engine.add_device(tx, secrets, space, &certified, NOW_MS)?;
        Ok(personal)
    });
    for other in [bob, carl] {
        other.hear(ada, space);
    }
    carl.hear(bob, space);
    // Carl puts the phone out while Bob puts Carl out: that falls.
    carl.with(move |tx, engine, secrets| engine.remove_device(tx, secrets, space, device, NOW_MS));
    bob.with(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, carls, NOW_MS));
    bob.hear(carl, space);
    let fell = bob.with(move |_, engine, _| Ok(engine.space(space)?.membership.has_device(device)));
    assert!(fell);
    // Ada goes with all her devices, and comes again with her laptop.
    bob.with(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, adas, NOW_MS));
    bob.let_in(space, ada, Role::Member);
    let wanted = ada.with(move |tx, engine, secrets| engine.own_devices(&*tx, secrets, personal, space));
    assert_eq!(wanted.missing.iter().map(|device| device.cert.device).collect::<Vec<_>>(), [device]);
    assert!(wanted.revoked.is_empty());
}

#[test]
fn a_device_that_was_put_out_by_a_void_act_on_which_others_built_stays_out() {
    let (people, space) = garden(&["bob", "ada", "carl"]);
    let [bob, ada, carl] = &people[..] else { unreachable!() };
    let carls = carl.user();
    bob.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, carls, Role::Admin, NOW_MS));
    ada.hear(bob, space);
    let phone = further(ada);
    let (device, certified) = (phone.device.id(), phone.certified());
    let personal = ada.with(move |tx, engine, secrets| {
        let (personal, _) = engine.found_personal(tx, secrets, NOW_MS)?;
        engine.add_device(tx, secrets, personal, &certified, NOW_MS)?;
        engine.add_device(tx, secrets, space, &certified, NOW_MS)?;
        Ok(personal)
    });
    bob.hear(ada, space);
    carl.hear(bob, space);
    carl.hear(ada, space);
    // Carl's log has two histories from where he puts the phone out, and Bob has built upon that.
    let other = carl.forge(space, vec![MembershipOp::ShareKeys(Vec::new())]);
    carl.with(move |tx, engine, secrets| engine.remove_device(tx, secrets, space, device, NOW_MS));
    bob.hear(carl, space);
    bob.with(move |tx, engine, secrets| engine.rotate_key(tx, secrets, space, NOW_MS));
    for other in [carl, bob] {
        ada.hear(other, space);
    }
    assert!(!ada.tell(space, other).forked.is_empty(), "ada sees both histories");
    let is_in = ada.with(move |_, engine, _| Ok(engine.space(space)?.membership.has_device(device)));
    assert!(!is_in, "it counts, since Bob has built upon it");
    let wanted = ada.with(move |tx, engine, secrets| engine.own_devices(&*tx, secrets, personal, space));
    assert!(
        wanted.missing.is_empty(),
        "who was put out by itself isn't taken in again by its user's other devices"
    );
}

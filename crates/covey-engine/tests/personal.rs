//! Which of a user's devices a space lacks, by what counts there.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::sync::Arc;

use common::{NOW_MS, Replica, further, garden};
use covey_log::{Evidence, ForkProof};
use covey_space::{MembershipOp, Role, ops};
use covey_types::{DeviceId, SpaceId};

/// Of Bob, Ada and Carl the last is made an admin by the first; Ada takes a phone in, into her personal space and this one.
fn an_admin_and_a_phone(people: &[Replica], space: SpaceId) -> (SpaceId, DeviceId) {
    let [bob, ada, carl] = people else { panic!("three came") };
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
    (personal, device)
}

#[test]
fn a_device_whose_removal_by_itself_fell_is_taken_in_again_with_its_user() {
    let (people, space) = garden(&["bob", "ada", "carl"]);
    let [bob, ada, carl] = &people[..] else { unreachable!() };
    let (adas, carls) = (ada.user(), carl.user());
    let (personal, device) = an_admin_and_a_phone(&people, space);
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
    let (personal, device) = an_admin_and_a_phone(&people, space);
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

#[test]
fn what_a_stolen_device_says_in_vain_of_another_ones_keys_is_believed_by_nobody() {
    let (people, space) = garden(&["ada"]);
    let ada = &people[0];
    let (tablet, stolen) = (further(ada), further(ada));
    let (certified, phones) = (tablet.certified(), stolen.certified());
    let personal = ada.with(move |tx, engine, secrets| {
        let (personal, _) = engine.found_personal(tx, secrets, NOW_MS)?;
        engine.add_device(tx, secrets, personal, &certified, NOW_MS)?;
        engine.add_device(tx, secrets, personal, &phones, NOW_MS)?;
        Ok(personal)
    });
    let phone = Replica { secrets: Arc::new(stolen), ..Replica::new("phone") };
    let keys = ada.with(move |_, engine, _| Ok(engine.space(personal)?.info.keys.clone()));
    let from = ada.secrets.device.id();
    phone.with(move |tx, engine, _| engine.enter_space(tx, personal, "personal", keys, from));
    phone.hear(ada, personal);
    // Its log has two histories; in the one that doesn't count the tablet has another key.
    let mut device = tablet.certified();
    device.cert.kem = phone.secrets.certified().cert.kem;
    let one = |act| Arc::new(phone.forge(personal, vec![act]).remove(0));
    let in_vain = one(MembershipOp::AddDevice(ops::AddDevice { device, keys: Vec::new() }));
    let other = one(MembershipOp::RenameUser("Ada".into()));
    let proof = ForkProof::of(personal, (&*other).into(), (&*in_vain).into()).unwrap();
    let evidence = Evidence::new(proof).with([in_vain]);
    ada.with(move |tx, engine, secrets| engine.take_evidence(tx, secrets, personal, evidence, NOW_MS));
    let right = tablet.certified().cert;
    let wanted = ada.with(move |tx, engine, secrets| engine.own_devices(&*tx, secrets, personal, space));
    let missing = wanted.missing.into_iter().find(|device| device.cert.device == right.device).unwrap();
    assert_eq!(missing.cert, right);
    ada.with(move |tx, engine, secrets| engine.add_device(tx, secrets, space, &missing, NOW_MS));
}

//! Whoever wants to stay by making acts too large to be written is put out all the same.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{NOW_MS, Replica, further, garden};
use covey_log::{BodyContext, Draft, Entry, Kind, seal};
use covey_space::{MembershipOp, Role, ops};
use covey_types::{Head, Hlc, Incarnation, LogId, SpaceId};

/// How many people are in a space as somebody knows it, and the epoch under which they can write.
fn members(one: &Replica, space: SpaceId) -> (usize, Option<covey_types::EpochId>) {
    one.with(move |_, engine, _| {
        let state = engine.space(space)?;
        Ok((state.membership.len(), state.current_key().map(covey_log::EpochKey::id)))
    })
}

#[test]
fn somebody_who_began_a_hundred_epochs_at_once_can_be_removed() {
    let (people, space) = garden(&["ada", "eve", "bob"]);
    let [ada, eve, bob] = &people[..] else { unreachable!() };
    let gone = eve.user();
    ada.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, gone, Role::Admin, NOW_MS));
    for one in [eve, bob] {
        one.hear(ada, space);
    }
    let epochs = (0..100).map(|_| vec![eve.rotation(space)]).collect();
    let begun = ada.tell(space, eve.forge_all(space, epochs, false));
    assert_eq!((begun.stored.len(), begun.refused.len()), (100, 0));
    let newest = ada.with(move |_, engine, _| Ok(engine.space(space)?.membership.newest_epochs().len()));
    assert_eq!(newest, 100);
    ada.with(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, gone, NOW_MS));
    bob.hear(ada, space);
    let (left, key) = members(bob, space);
    assert_eq!((left, key.is_some()), (2, true));
    assert_eq!(members(ada, space), (left, key));
}

/// Makes so many devices of one's own known, without a key, and the logs of each with one entry.
fn multiply(eve: &Replica, space: SpaceId, devices: usize) -> (Vec<Entry>, Vec<Entry>) {
    let many: Vec<_> = (0..devices).map(|_| further(eve)).collect();
    let add = |device: &covey_engine::Secrets| {
        MembershipOp::AddDevice(ops::AddDevice { device: device.certified(), keys: Vec::new() })
    };
    let acts = many.chunks(2000).map(|some| some.iter().map(add).collect()).collect();
    let acts = eve.forge_all(space, acts, true);
    let key = eve.with(move |_, engine, _| Ok(engine.space(space)?.current_key().unwrap().clone()));
    let (knew, hlc, kind) = (vec![acts.last().unwrap().hash], Hlc::new(NOW_MS + 1000, 0), Kind::RECORDS);
    let plain = covey_records::BodyWriter::new().finish();
    let write = |secrets: &covey_engine::Secrets| {
        let log = LogId { device: secrets.device.id(), incarnation: Incarnation(1) };
        let body = seal(&key, BodyContext { space, log, seq: 1, kind }, &plain);
        let (epoch, deps) = (key.id(), knew.clone());
        Entry::sign(&secrets.device, Draft { space, log, head: Head::EMPTY, hlc, kind, epoch, deps }, body)
    };
    let written = many.iter().map(write).collect();
    (acts, written)
}

#[test]
fn somebody_with_more_devices_and_logs_than_an_act_may_name_keeps_nobody_in_not_even_themself() {
    let (people, space) = garden(&["ada", "eve", "bob"]);
    let [ada, eve, bob] = &people[..] else { unreachable!() };
    let (acts, written) = multiply(eve, space, ops::MAX_ACTS + 1);
    let (count, taken) = (acts.len(), ada.tell(space, acts));
    assert_eq!((taken.stored.len(), taken.refused.len()), (count, 0));
    let taken = ada.tell(space, written);
    assert_eq!((taken.stored.len(), taken.refused.len()), (ops::MAX_ACTS + 1, 0));
    let (first, second) = (bob.user(), eve.user());
    let left = ada.with(move |tx, engine, secrets| {
        // They lack the key, which is shared with as many at a time as an act may hold.
        let shared = engine.do_chores(tx, secrets, space, NOW_MS)?;
        assert!(shared.is_some());
        engine.remove_member(tx, secrets, space, first, NOW_MS)?;
        engine.remove_member(tx, secrets, space, second, NOW_MS)?;
        Ok(engine.space(space)?.membership.len())
    });
    assert_eq!(left, 1);
}

//! Whoever wants to stay by making acts too large to be written is put out all the same; and what those wrote counts whom
//! nobody has put out in the end.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeMap;

use common::{NOW_MS, Replica, further, garden};
use covey_engine::load_for_peer;
use covey_log::{BodyContext, Draft, Entry, Kind, seal};
use covey_records::{BodyWriter, Op, RecordId};
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
    let plain = BodyWriter::new().finish();
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

/// All entries that somebody holds of a space.
fn all_of(one: &Replica, space: SpaceId) -> Vec<Entry> {
    one.with(move |tx, engine, _| {
        let key = engine.space(space)?.key;
        let wants: Vec<_> = tx.logs(key)?.into_iter().map(|log| (log.id, 1)).collect();
        Ok(load_for_peer(&*tx, key, &wants, &BTreeMap::new(), usize::MAX >> 8)?.entries)
    })
}

fn rose(one: &Replica, space: SpaceId) -> Option<String> {
    one.with(move |tx, engine, _| {
        let Some(key) = tx.collection(engine.space(space)?.key, "plants")? else { return Ok(None) };
        Ok(tx.record(key, "rose")?.and_then(|row| row.doc))
    })
}

/// Ada takes Carol in, while Bob makes Ada a member and Dan puts Bob out: Bob's act falls, and Carol is in.
#[test]
fn what_seemed_not_to_count_for_a_moment_counts_also_where_everything_comes_at_once() {
    let (people, space) = garden(&["ada", "bob", "dan", "eve"]);
    let [ada, bob, dan, eve] = &people[..] else { unreachable!() };
    for owner in [bob.user(), dan.user()] {
        ada.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, owner, Role::Owner, NOW_MS));
    }
    [bob, dan, eve].iter().for_each(|one| drop(one.hear(ada, space)));
    let (limited, out) = (ada.user(), bob.user());
    let limit = bob
        .with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, limited, Role::Member, NOW_MS));
    let removal = dan.with(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, out, NOW_MS));
    let carol = Replica::new("carol");
    ada.let_in(space, &carol, Role::Member);
    carol.with(move |tx, engine, secrets| {
        engine.append_records(tx, secrets, space, NOW_MS, |_, _, _| {
            let mut body = BodyWriter::new();
            let id = RecordId::parse("rose").unwrap();
            body.push(&Op::Put { collection: "plants", id, fields: vec![("v", "1")] })?;
            Ok(body.finish())
        })
    });
    let (limit, removal) = ((*limit.0).clone(), (*removal.0).clone());
    // One hears of it bit by bit, the other all at once; both of Bob's act before Dan's.
    dan.tell(space, vec![limit.clone()]);
    dan.hear(&carol, space);
    assert_eq!(rose(dan, space).as_deref(), Some(r#"{"v":1}"#));
    let all = [limit].into_iter().chain(all_of(&carol, space)).chain([removal]).collect();
    let heard = eve.tell(space, all);
    assert_eq!(heard.refused.len(), 1, "it seemed not to count: {:?}", heard.refused);
    assert_eq!(rose(eve, space), rose(dan, space));
}

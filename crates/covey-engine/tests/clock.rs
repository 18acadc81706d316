//! A clock that was wrong and is set right, and which of the two it is that was wrong.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::sync::Arc;

use covey_engine::Engine;
use covey_log::Entry;
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::Role;
use covey_types::SpaceId;

use crate::common::{NOW_MS, Replica};

const TWO_YEARS_MS: u64 = 2 * 365 * 24 * 3_600_000;
const MINUTE_MS: u64 = 60_000;

/// Writes a record at a time.
fn put(replica: &Replica, space: SpaceId, id: &'static str, wall_ms: u64) -> Arc<Entry> {
    replica.with(move |tx, engine, secrets| {
        engine.append_records(tx, secrets, space, wall_ms, |_, _, _| {
            let mut body = BodyWriter::new();
            let id = RecordId::parse(id).unwrap();
            body.push(&Op::Put { collection: "plants", id, fields: vec![("v", "1")] }).unwrap();
            Ok(body.finish())
        })
    })
}

fn has(replica: &Replica, space: SpaceId, id: &'static str) -> bool {
    replica.with(move |tx, engine, _| {
        let key = engine.space(space)?.key;
        let plants = tx.collection(key, "plants")?.unwrap();
        Ok(tx.record(plants, id)?.is_some())
    })
}

/// Two members who have heard of each other.
fn two() -> (Replica, Replica, SpaceId) {
    let (ada, bob) = (Replica::new("Ada"), Replica::new("Bob"));
    let space = ada.with(|tx, engine, secrets| Ok(engine.found_space(tx, secrets, "garden", NOW_MS)?.0));
    ada.let_in(space, &bob, Role::Member);
    put(&bob, space, "of-bob", NOW_MS);
    ada.hear(&bob, space);
    (ada, bob, space)
}

#[test]
fn a_device_whose_clock_is_right_again_writes_what_others_apply_at_once() {
    let (ada, bob, space) = two();
    let before = put(&ada, space, "before", NOW_MS);
    let far = put(&ada, space, "far", NOW_MS + TWO_YEARS_MS);
    assert_eq!(far.header.log, before.header.log);
    assert_eq!(bob.hear(&ada, space).from_the_future.len(), 1);
    let near = put(&ada, space, "near", NOW_MS + MINUTE_MS);
    assert_ne!(near.header.log, far.header.log, "the old log can't go back in time");
    assert!(near.header.hlc.wall_ms() < NOW_MS + 2 * MINUTE_MS, "{}", near.header.hlc);
    assert!(near.header.hlc > before.header.hlc);
    bob.hear(&ada, space);
    assert!(has(&bob, space, "near") && has(&bob, space, "before") && !has(&bob, space, "far"));
    // Once: it stays in that log.
    let next = put(&ada, space, "next", NOW_MS + MINUTE_MS);
    assert_eq!((next.header.log, next.header.seq), (near.header.log, 2));
}

#[test]
fn no_log_goes_back_in_time_in_any_space_not_even_over_a_restart() {
    let (ada, bob, garden) = two();
    let far_ms = NOW_MS + TWO_YEARS_MS;
    let shed = ada.with(move |tx, engine, secrets| Ok(engine.found_space(tx, secrets, "shed", far_ms)?.0));
    put(&ada, garden, "far", far_ms);
    let far = put(&ada, shed, "far", far_ms);
    // The clock is found to be right again in one of them. In the other nobody else has written.
    put(&ada, garden, "near", NOW_MS);
    let near = put(&ada, shed, "near", NOW_MS);
    assert!(near.header.log != far.header.log && near.header.hlc.wall_ms() < NOW_MS + MINUTE_MS);
    ada.with(|tx, engine, _| {
        *engine = Engine::load(tx)?;
        Ok(())
    });
    let (again, later) = (put(&ada, shed, "again", NOW_MS), put(&ada, garden, "again", NOW_MS));
    assert_eq!((again.header.log, again.header.seq), (near.header.log, 2));
    assert!(again.header.hlc > near.header.hlc && later.header.hlc.wall_ms() < NOW_MS + MINUTE_MS);
    assert!(bob.hear(&ada, garden).rejected.is_empty());
}

#[test]
fn who_is_behind_what_others_wrote_goes_on_from_there_in_the_same_log() {
    let (ada, _, space) = two();
    let before = put(&ada, space, "before", NOW_MS);
    // A board without a battery takes it to be 1970 until somebody tells it the time.
    let after = put(&ada, space, "after", MINUTE_MS);
    assert_eq!(after.header.log, before.header.log);
    assert!(after.header.hlc > before.header.hlc);
}

#[test]
fn where_nobody_else_has_written_it_is_not_known_which_clock_was_right_and_the_log_goes_on() {
    let ada = Replica::new("Ada");
    let space = ada.with(|tx, engine, secrets| Ok(engine.found_space(tx, secrets, "garden", NOW_MS)?.0));
    let far = put(&ada, space, "far", NOW_MS + TWO_YEARS_MS);
    let near = put(&ada, space, "near", NOW_MS);
    assert_eq!(near.header.log, far.header.log);
    assert!(near.header.hlc > far.header.hlc);
}

#[test]
fn whoever_sets_a_clock_wrong_again_and_again_can_still_write() {
    let (ada, bob, space) = two();
    let mut last = put(&ada, space, "first", NOW_MS);
    for _ in 0..2 * covey_types::limits::MAX_LOGS_PER_DEVICE {
        put(&ada, space, "far", NOW_MS + TWO_YEARS_MS);
        last = put(&ada, space, "near", NOW_MS);
    }
    // It came to the last log that it may begin so, and stays in it, ahead of the time.
    assert!(last.header.hlc.wall_ms() > NOW_MS + MINUTE_MS);
    assert!(bob.hear(&ada, space).rejected.is_empty());
}

#[test]
fn an_act_from_the_future_counts_at_once_and_the_clock_does_not_go_by_it() {
    let (ada, bob, space) = two();
    let user = bob.user();
    let cleo = Replica::new("Cleo");
    ada.let_in(space, &cleo, Role::Member);
    bob.hear(&ada, space);
    ada.with(move |tx, engine, secrets| {
        engine.remove_member(tx, secrets, space, user, NOW_MS + TWO_YEARS_MS)
    });
    let heard = cleo.hear(&ada, space);
    assert_eq!(heard.from_the_future.len(), 1, "whose clock is wrong is named");
    let role = cleo.with(move |_, engine, _| Ok(engine.space(space)?.membership.role_of_user(user)));
    assert_eq!(role, None, "whoever was put out is out");
    let next = put(&cleo, space, "next", NOW_MS + MINUTE_MS);
    assert!(next.header.hlc.wall_ms() < NOW_MS + 2 * MINUTE_MS, "{}", next.header.hlc);
}

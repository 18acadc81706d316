//! Acts by devices whose clocks are wrong.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::sync::Arc;

use covey_engine::{Engine, load_acts_ahead};
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
    for id in ["next", "after a restart"] {
        let next = put(&cleo, space, id, NOW_MS + MINUTE_MS);
        assert!(next.header.hlc.wall_ms() < NOW_MS + 2 * MINUTE_MS, "{}", next.header.hlc);
        cleo.with(|tx, engine, _| {
            *engine = Engine::load(tx)?;
            Ok(())
        });
    }
    let ahead = cleo.with(move |tx, engine, _| Ok(load_acts_ahead(tx, engine.space(space)?.key)?));
    assert_eq!(ahead.len(), 1);
}

//! Entries without effect: people may have written under the keys that they give, and built upon them.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{NOW_MS, Replica, further, garden};
use covey_engine::{Engine, HoldReason, Secrets, load::decode_stored};
use covey_log::{Entry, Evidence, ForkProof};
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::{MembershipOp, Role};
use covey_store::Tx;
use covey_types::{EpochId, SpaceId};

/// Writes a record.
fn put(by: &Replica, space: SpaceId) -> Entry {
    let written = by.with(move |tx, engine, secrets| {
        engine.append_records(tx, secrets, space, NOW_MS, |_, _, _| {
            let mut body = BodyWriter::new();
            let id = RecordId::parse("rose").unwrap();
            body.push(&Op::Put { collection: "plants", id, fields: vec![("v", "1")] })?;
            Ok(body.finish())
        })
    });
    (*written).clone()
}

fn has_record(who: &Replica, space: SpaceId) -> bool {
    who.with(move |tx, engine, _| {
        let Some(key) = tx.collection(engine.space(space)?.key, "plants")? else { return Ok(false) };
        Ok(tx.record(key, "rose")?.is_some_and(|row| row.doc.is_some()))
    })
}

/// Entries that wait for a key.
fn waiting(who: &Replica, space: SpaceId) -> Vec<u64> {
    who.with(move |tx, engine, _| {
        let mut found = Vec::new();
        for row in tx.held(engine.space(space)?.key)? {
            if row.reason == HoldReason::Key as u32 {
                found.push(decode_stored(&tx.entry(row.log, row.seq)?.unwrap())?.header.seq);
            }
        }
        Ok(found)
    })
}

/// Two entries that Ada signs for one place: one that begins an epoch, of which Bob hears; and the proof, with that.
fn two_histories(ada: &Replica, bob: &Replica, space: SpaceId) -> Evidence {
    let rename = MembershipOp::RenameUser("Ada Lovelace".into());
    let other = ada.forge(space, vec![rename]).remove(0);
    let rotation = ada.with(move |tx, engine, secrets| engine.rotate_key(tx, secrets, space, NOW_MS)).0;
    bob.tell(space, vec![(*rotation).clone()]);
    let proof = ForkProof::of(space, (&other).into(), (&*rotation).into()).unwrap();
    Evidence::new(proof).with([rotation])
}

fn learn(who: &Replica, space: SpaceId, evidence: &Evidence) {
    let evidence = evidence.clone();
    who.with(move |tx, engine, secrets| engine.take_evidence(tx, secrets, space, evidence, NOW_MS));
}

fn epoch(who: &Replica, space: SpaceId) -> EpochId {
    who.with(move |_, engine, _| Ok(engine.space(space)?.membership.current_epoch().unwrap()))
}

#[test]
fn what_was_written_under_the_key_of_a_void_act_is_read_as_soon_as_the_act_comes() {
    let (people, space) = garden(&["ada", "bob", "carol"]);
    let [ada, bob, carol] = people.as_slice() else { panic!("three came") };
    let before = epoch(bob, space);
    let evidence = two_histories(ada, bob, space);
    let written = put(bob, space);
    assert_ne!(written.header.epoch, before);
    // Carol hears of the epoch only by the proof.
    carol.tell(space, vec![written]);
    assert_eq!(waiting(carol, space).len(), 1);
    learn(carol, space, &evidence);
    assert_eq!(waiting(carol, space), Vec::<u64>::new());
    assert!(has_record(carol, space), "Bob was allowed to write it, and Carol was given the key");
}

#[test]
fn an_act_under_the_key_of_a_void_one_makes_that_count_for_all_or_for_nobody() {
    let (people, space) = garden(&["ada", "bob", "carol"]);
    let [ada, bob, carol] = people.as_slice() else { panic!("three came") };
    let evidence = two_histories(ada, bob, space);
    let phone = further(bob).certified();
    let built_upon =
        bob.with(move |tx, engine, secrets| engine.add_device(tx, secrets, space, &phone, NOW_MS));
    carol.tell(space, vec![(*built_upon.0).clone()]);
    for who in [bob, carol] {
        learn(who, space, &evidence);
    }
    assert_eq!(waiting(carol, space), Vec::<u64>::new());
    assert_eq!(epoch(carol, space), epoch(bob, space));
    assert_eq!(epoch(carol, space), built_upon.0.header.epoch, "Bob has built upon the epoch");
}

#[test]
fn a_void_act_takes_its_place_when_what_it_names_comes_after_it() {
    let (people, space) = garden(&["ada", "bob", "carol", "dan"]);
    let [ada, bob, carol, dan] = people.as_slice() else { panic!("four came") };
    let phone = |of: &Replica| {
        let device = further(of).certified();
        let added = move |tx: &mut Tx<'_>, engine: &mut Engine, secrets: &Secrets| {
            engine.add_device(tx, secrets, space, &device, NOW_MS)
        };
        (*of.with(added).0).clone()
    };
    let named = phone(ada);
    bob.tell(space, vec![named.clone()]);
    let evidence = two_histories(ada, bob, space);
    let built_upon = phone(bob);
    for who in [bob, carol, dan] {
        learn(who, space, &evidence);
    }
    // To Carol and Dan the proof came before what stands in front of it.
    for entry in [&named, &built_upon] {
        carol.tell(space, vec![entry.clone()]);
    }
    for entry in [&built_upon, &named] {
        dan.tell(space, vec![entry.clone()]);
    }
    for who in [carol, dan] {
        assert_eq!(epoch(who, space), epoch(bob, space));
        assert_eq!(who.with(move |tx, engine, _| Ok(tx.held(engine.space(space)?.key)?.len())), 0);
    }
    assert_eq!(epoch(bob, space), built_upon.header.epoch, "Bob has built upon the epoch");
}

/// The newest key leads to that of a void act, this one to an older key in an act that counts, and that to the first.
#[test]
fn a_key_that_only_a_void_act_leads_to_leads_on_to_the_older_ones() {
    let (people, space) = garden(&["ada", "bob"]);
    let [ada, bob] = people.as_slice() else { panic!("two came") };
    put(ada, space);
    let bobs = bob.user();
    ada.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, bobs, Role::Owner, NOW_MS));
    bob.hear(ada, space);
    let rotate = |by: &Replica| {
        by.with(move |tx, engine, secrets| engine.rotate_key(tx, secrets, space, NOW_MS));
    };
    rotate(bob);
    ada.hear(bob, space);
    let evidence = two_histories(bob, ada, space);
    rotate(ada);
    learn(ada, space, &evidence);
    let dan = Replica::new("dan");
    ada.let_in(space, &dan, Role::Member);
    learn(&dan, space, &evidence);
    assert_eq!(waiting(&dan, space), Vec::<u64>::new());
    assert!(has_record(&dan, space), "who joins reads all that was ever written");
}

/// Carol puts Bob out and goes on acting, while Ada makes Carol a guest, and herself: so Carol's act falls, and Bob is the
/// only one left who may write.
#[test]
fn who_was_put_out_in_vain_is_given_the_key_of_it_though_only_guests_have_it() {
    let (people, space) = garden(&["ada", "bob", "carol"]);
    let [ada, bob, carol] = people.as_slice() else { panic!("three came") };
    for owner in [bob.user(), carol.user()] {
        ada.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, owner, Role::Owner, NOW_MS));
    }
    [bob, carol].iter().for_each(|one| drop(one.hear(ada, space)));
    let (out, first, then) = (bob.user(), carol.user(), ada.user());
    let phone = further(carol).certified();
    carol.with(move |tx, engine, secrets| {
        engine.remove_member(tx, secrets, space, out, NOW_MS)?;
        engine.add_device(tx, secrets, space, &phone, NOW_MS)
    });
    for limited in [first, then] {
        ada.with(move |tx, engine, secrets| {
            engine.set_role(tx, secrets, space, limited, Role::Guest, NOW_MS)
        });
    }
    ada.hear(carol, space);
    bob.hear(ada, space);
    assert_eq!(waiting(bob, space).len(), 1, "Carol acted under a key that Bob wasn't meant to have");
    assert_eq!(ada.tend(space).len(), 1);
    bob.hear(ada, space);
    assert_eq!(waiting(bob, space), Vec::<u64>::new());
    let writes = |one: &Replica| {
        one.with(move |_, engine, secrets| Ok(engine.space(space)?.membership.role_of(secrets.device.id())))
    };
    assert_eq!((writes(ada), writes(bob)), (Some(Role::Guest), Some(Role::Owner)));
}

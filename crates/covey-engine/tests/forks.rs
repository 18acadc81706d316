//! Logs with two histories: everybody comes to the same, whichever history they had and whatever they heard first.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod garden;

use std::sync::Arc;

use covey_engine::{Rows, Secrets};
use covey_log::{BodyContext, Draft, Entry, EpochKey, Evidence, ForkProof, Kind, SignedHeader};
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::{MembershipOp, Role, child::Standing, ops};
use covey_types::{
    EntryHash, Head, Hlc, Incarnation, LogId, Signature, SpaceId, limits::MAX_LOGS_PER_DEVICE,
};

use garden::{Garden, NOW_MS, News, Replica, another_for, copies, garden, hear};

#[test]
fn a_log_with_two_histories_counts_up_to_where_they_part_and_nothing_after_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let (one, two) = (it.ada[0].put("b", "1", 10), it.ada[1].put("c", "2", 20));
    let three = it.ada[0].put("b", "3", 30);
    it.bob.take(&[&one, &three]);
    it.carol.take(&[&two]);
    // Carol hears of the other history: that's proof at once, since both stand at the same place behind the same entry.
    let outcome = it.carol.take(&[&one]);
    assert_eq!(outcome.forked[&it.log], it.parts);
    assert_eq!(it.carol.doc("c"), None, "what it had written there is taken back");
    let outcome = it.bob.learn(&it.carol.evidence());
    assert_eq!(outcome.shortened[&it.log].seq, it.parts - 1);
    assert_eq!(it.bob.summary(), it.carol.summary());
    assert_eq!(it.bob.doc("a").unwrap(), r#"{"v":0}"#, "what stands before counts");
    for entry in [&one, &two, &three] {
        for other in [&it.bob, &it.carol] {
            assert!(other.take(&[entry]).stored.is_empty());
        }
    }
    assert_eq!(it.bob.summary(), it.carol.summary());
    // Known evidence is no news.
    assert!(it.bob.learn(&it.carol.evidence()).frozen.is_empty());
}

#[test]
fn however_long_two_histories_are_a_search_finds_where_they_part() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    for (copy, to, many) in [(&it.ada[0], &it.bob, 150), (&it.ada[1], &it.carol, 90)] {
        let entries: Vec<_> = (0..many).map(|n| copy.put("b", "7", n)).collect();
        to.take(&entries.iter().collect::<Vec<_>>());
    }
    it.bob.search(&it.carol, it.log);
    let known = [it.bob.evidence(), it.carol.evidence()].concat();
    assert_eq!(known.iter().map(Evidence::from).collect::<Vec<_>>(), [it.parts]);
    it.bob.learn(&known);
    it.carol.learn(&known);
    assert_eq!(it.bob.summary(), it.carol.summary());
}

#[test]
fn a_history_that_is_much_longer_than_the_other_is_searched_where_both_have_something() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let long: Vec<_> = (0..1000).map(|n| it.ada[0].put("b", "7", n)).collect();
    it.bob.take(&long.iter().collect::<Vec<_>>());
    it.carol.take(&[&it.ada[1].put("b", "7", 0)]);
    it.bob.search(&it.carol, it.log);
    let known = [it.bob.evidence(), it.carol.evidence()].concat();
    assert_eq!(known.iter().map(Evidence::from).collect::<Vec<_>>(), [it.parts]);
}

/// Ada makes Carol an admin in one history, which Bob hears of and builds upon; Carol has the other one.
fn built_upon(it: &Garden) -> Arc<Entry> {
    let (space, carols) = (it.bob.space, it.carol.secrets.user.id());
    let promotion = it.ada[0]
        .act(move |tx, engine, secrets| engine.set_role(tx, secrets, space, carols, Role::Admin, NOW_MS + 1));
    it.bob.take(&[&promotion]);
    let builds = it.bob.put("b", "1", 50);
    it.carol.take(&[&it.ada[1].put("c", "2", 20)]);
    builds
}

#[test]
fn an_act_that_does_not_count_is_void_everywhere_and_what_honest_people_built_upon_it_is_not_held_for_ever() {
    for bob_first in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let it = garden(dir.path());
        let builds = built_upon(&it);
        assert_eq!(it.carol.take(&[&builds]).stored.len(), 1);
        assert_eq!(it.carol.doc("b"), None, "it names an act of which Carol has not heard");
        it.bob.search(&it.carol, it.log);
        let order = if bob_first { [&it.bob, &it.carol] } else { [&it.carol, &it.bob] };
        for _ in 0..2 {
            for (from, to) in [(order[0], order[1]), (order[1], order[0])] {
                to.learn(&from.evidence());
            }
        }
        let (bobs, carols) = (it.bob.summary(), it.carol.summary());
        assert_eq!(bobs, carols);
        assert!(bobs.1.contains(&("carol".to_owned(), Role::Member)), "{:?}", bobs.1);
        assert_eq!(it.carol.doc("b").unwrap(), r#"{"v":1}"#);
        let held = |other: &Replica| {
            let space = other.space;
            other.with(move |tx, engine, _| Ok(tx.held(engine.space(space)?.key)?.len()))
        };
        assert_eq!((held(&it.bob), held(&it.carol)), (0, 0));
        // Whoever comes new to it comes to the same.
        let next = it.bob.put("b", "9", 90);
        it.carol.take(&[&next]);
        assert_eq!(it.carol.doc("b").unwrap(), r#"{"v":9}"#);
    }
}

#[test]
fn both_copies_write_again_what_they_had_and_nothing_wins_over_what_is_newer() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let one = [it.ada[0].put("a", "1", 10), it.ada[0].put("b", "1", 11), it.ada[0].count("d", 5)];
    let two = [it.ada[1].put("c", "2", 12), it.ada[1].count("d", 3)];
    it.bob.take(&one.iter().collect::<Vec<_>>());
    let newer = it.bob.put("a", "9", 1000);
    it.bob.take(&two.iter().collect::<Vec<_>>());
    assert_eq!(it.bob.doc("a").unwrap(), r#"{"v":9}"#);
    assert_eq!(
        it.bob.doc("d").unwrap(),
        r#"{"n":2}"#,
        "what was counted where the histories part doesn't count"
    );
    let evidence = it.bob.evidence();
    for copy in &it.ada {
        let outcome = copy.learn(&evidence);
        assert_eq!(outcome.came_back[&it.log].1, it.parts);
        let again = copy.write_again();
        assert!(again.iter().all(|entry| entry.header.log != it.log));
        assert!(copy.write_again().is_empty(), "once is enough");
        it.bob.take(&again.iter().collect::<Vec<_>>());
    }
    assert_eq!(it.bob.doc("a").unwrap(), r#"{"v":9}"#, "Bob wrote it later");
    assert_eq!(it.bob.doc("b").unwrap(), r#"{"v":1}"#);
    assert_eq!(it.bob.doc("c").unwrap(), r#"{"v":2}"#);
    assert_eq!(it.bob.doc("d").unwrap(), r#"{"n":10}"#);
    it.ada[0].take(&[&newer]);
    assert_eq!(it.ada[0].doc("a").unwrap(), r#"{"v":9}"#);
}

#[test]
fn what_a_backup_has_still_to_write_again_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let Garden { ada: [ada, copy], bob, .. } = garden(dir.path());
    let one = [ada.put("b", "1", 10), ada.put("a", "2", 11), ada.count("d", 5)];
    let two = copy.put("c", "2", 12);
    bob.take(&[&one[0], &one[1], &one[2], &two]);
    ada.learn(&bob.evidence());
    let [ada, restored] = &copies(dir.path(), ada, 2)[..] else { panic!("two were asked for") };
    restored.with(|tx, _, _| Ok(covey_engine::begin_anew(tx)?));
    let again = ada.write_again();
    bob.take(&again.iter().collect::<Vec<_>>());
    assert_eq!(bob.doc("d").unwrap(), r#"{"n":7}"#);
    // The restored one writes before it has heard that this was done.
    let twice = restored.write_again();
    assert!(!twice.is_empty());
    bob.take(&twice.iter().collect::<Vec<_>>());
    restored.take(&again.iter().collect::<Vec<_>>());
    for one in [&bob, restored] {
        assert_eq!(one.doc("d").unwrap(), r#"{"n":7}"#);
        assert_eq!(
            (one.doc("a").unwrap(), one.doc("b").unwrap()),
            (r#"{"v":2}"#.into(), r#"{"v":1}"#.into())
        );
    }
}

#[test]
fn a_cut_that_names_another_entry_than_is_here_counts_up_to_where_both_agree_until_there_is_proof() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let (one, two) = (it.ada[0].put("b", "1", 10), it.ada[1].put("c", "2", 20));
    it.bob.take(&[&one]);
    it.carol.take(&[&two]);
    let (space, device) = (it.bob.space, it.log.device);
    let cut =
        it.bob.act(move |tx, engine, secrets| engine.remove_device(tx, secrets, space, device, NOW_MS + 40));
    assert_eq!(it.carol.doc("c").unwrap(), r#"{"v":2}"#);
    it.carol.take(&[&cut]);
    assert_eq!(it.carol.doc("c"), None, "Bob has seen another entry at this place, and not this one");
    assert_eq!(it.bob.doc("b").unwrap(), r#"{"v":1}"#);
    it.bob.search(&it.carol, it.log);
    for _ in 0..2 {
        it.bob.learn(&it.carol.evidence());
        it.carol.learn(&it.bob.evidence());
    }
    it.carol.take(&[&one]);
    assert_eq!(it.bob.summary(), it.carol.summary());
    assert_eq!(it.carol.doc("b").unwrap(), r#"{"v":1}"#, "the history that he has seen counts up to there");
    assert_eq!(it.carol.doc("c"), None);
}

/// Tells everybody of `evidence` and of `late`, in both orders, and then all of what each other knows.
fn tell(it: &Garden, evidence: &Evidence, late: &[&Arc<Entry>]) {
    it.bob.learn(std::slice::from_ref(evidence));
    it.carol.learn(std::slice::from_ref(evidence));
    it.carol.take(late);
    for _ in 0..2 {
        it.bob.learn(&it.carol.evidence());
        it.carol.learn(&it.bob.evidence());
    }
    assert_eq!(it.bob.summary(), it.carol.summary());
}

#[test]
fn who_has_a_founders_device_cannot_take_the_space_over_with_a_second_history_after_it_was_put_out() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let (space, device) = (it.bob.space, it.log.device);
    let user = it.ada[0].secrets.user.id();
    let removal =
        it.bob.act(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, user, NOW_MS + 40));
    // The second entry of the founder's log took Bob in.
    let founders = it.bob.with(move |tx, engine, _| {
        let log = tx.logs(engine.space(space)?.key)?.into_iter().find(|row| row.id.device == device).unwrap();
        let stored = tx.entry(log.key, 2)?.unwrap();
        Ok(Entry::decode(&stored.header, Signature(stored.signature), &stored.body).unwrap())
    });
    // Carol hears of the removal only after the proof: there is nothing in the graph yet that rests on her being a member.
    tell(&it, &another_for(&it.ada[0].secrets, &founders), &[&removal]);
    let roles = it.bob.summary().1;
    assert!(roles.contains(&("bob".to_owned(), Role::Owner)), "{roles:?}");
    assert!(!roles.iter().any(|(name, _)| name == "ada"), "{roles:?}");
    // What Bob does goes on to count.
    let builds = it.bob.put("b", "1", 50);
    assert_eq!(it.bob.doc("b").unwrap(), r#"{"v":1}"#);
    it.carol.take(&[&builds]);
    assert_eq!(it.carol.doc("b").unwrap(), r#"{"v":1}"#);
}

#[test]
fn whatever_is_heard_first_of_a_fork_and_of_what_was_built_upon_it_all_come_to_the_same() {
    for order in
        [[0, 1, 2, 3], [1, 0, 2, 3], [1, 2, 0, 3], [1, 2, 3, 0], [0, 2, 1, 3], [2, 3, 0, 1], [2, 0, 3, 1]]
    {
        let dir = tempfile::tempdir().unwrap();
        let it = garden(dir.path());
        let (space, user) = (it.bob.space, it.ada[0].secrets.user.id());
        let carols = it.carol.secrets.user.id();
        let promotion = it.ada[0].act(move |tx, engine, secrets| {
            engine.set_role(tx, secrets, space, carols, Role::Admin, NOW_MS + 1)
        });
        it.bob.take(&[&promotion]);
        let removal = it
            .bob
            .act(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, user, NOW_MS + 40));
        let data = it.bob.put("b", "1", 50);
        let fork = another_for(&it.ada[0].secrets, &promotion);
        it.bob.learn(std::slice::from_ref(&fork));
        let bobs = it.bob.summary();
        assert!(bobs.1.contains(&("carol".to_owned(), Role::Admin)), "Bob has built upon that: {bobs:?}");
        assert_eq!(it.bob.evidence()[0].voids().count(), 1);
        let news = [fork, it.bob.evidence()[0].clone()].map(|one| News::Fork(Box::new(one)));
        let news = [news.to_vec(), [removal, data].map(News::Entry).to_vec()].concat();
        let heard = hear(&it.carol, order.iter().map(|n| news[*n].clone()).collect());
        assert_eq!(heard, bobs.1, "{order:?}");
        // The removal's cut names the history in which that stands.
        it.carol.take(&[&promotion]);
        assert_eq!(it.carol.summary(), bobs, "{order:?}");
        assert_eq!(it.carol.doc("b").unwrap(), r#"{"v":1}"#);
        let names = it.carol.with(move |_, engine, _| Ok(engine.space(space)?.membership.frontier()));
        assert_eq!(it.bob.with(move |_, engine, _| Ok(engine.space(space)?.membership.frontier())), names);
    }
}

#[test]
fn who_was_put_out_cannot_let_anybody_in_again_with_a_second_history() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let (space, carols) = (it.bob.space, it.carol.secrets.user.id());
    let dan = Replica::named(dir.path(), "dan", space);
    let (certified, dans) = (dan.secrets.certified(), dan.secrets.user.id());
    let mut acts = vec![it.bob.act(move |tx, engine, secrets| {
        engine.admit(tx, secrets, space, "dan", Role::Member, &certified, NOW_MS + 1)
    })];
    acts.push(it.bob.act(move |tx, engine, secrets| {
        engine.set_role(tx, secrets, space, carols, Role::Admin, NOW_MS + 2)
    }));
    it.carol.take(&acts.iter().collect::<Vec<_>>());
    let carols_act =
        it.carol.act(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, dans, NOW_MS + 3));
    it.bob.take(&[&carols_act]);
    let bobs_act =
        it.bob.act(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, carols, NOW_MS + 4));
    let names = |it: &Garden| it.bob.summary().1.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&it), ["ada", "bob"]);
    tell(&it, &another_for(&it.carol.secrets, &carols_act), &[&bobs_act]);
    assert_eq!(names(&it), ["ada", "bob"], "Carol was there when Dan was put out, and Bob built upon it");
}

/// An entry as somebody writes it who has the device: behind `head`, with whatever acts.
fn written(
    secrets: &Secrets,
    space: SpaceId,
    log: LogId,
    head: Head,
    about: (&EpochKey, &[EntryHash]),
    acts: &[MembershipOp],
) -> Arc<Entry> {
    let (key, deps) = about;
    let kind = Kind::MEMBERSHIP;
    let place = BodyContext { space, log, seq: head.seq + 1, kind };
    let body = ops::seal_acts(key, place, &ops::encode(acts));
    let draft = Draft {
        space,
        log,
        head,
        hlc: Hlc::new(NOW_MS + 5 + head.seq, 0),
        kind,
        epoch: key.id(),
        deps: deps.to_vec(),
    };
    Arc::new(Entry::sign(&secrets.device, draft, body))
}

#[test]
fn a_void_act_that_others_of_its_author_rest_on_neither_stops_a_node_from_opening_nor_parts_replicas() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let space = it.bob.space;
    let (key, deps) = it.carol.with(move |_, engine, _| {
        let state = engine.space(space)?;
        Ok((state.info.keys.newest().unwrap().clone(), state.membership.frontier()))
    });
    // Carol's device has two logs; an act in the second one rests on the first act of the first one.
    let carol = &it.carol.secrets;
    let log = |n| LogId { device: carol.device.id(), incarnation: Incarnation(n) };
    let one = |name: &str| [MembershipOp::RenameUser(name.into())];
    let first = written(carol, space, log(1), Head::EMPTY, (&key, &deps), &one("x"));
    let second = written(carol, space, log(2), Head::EMPTY, (&key, &[first.hash]), &one("y"));
    let third = written(carol, space, log(2), second.head(), (&key, &[second.hash]), &one("z"));
    it.bob.take(&[&first, &second, &third]);
    it.bob.learn(&[another_for(carol, &first)]);
    it.carol.learn(&[another_for(carol, &first)]);
    it.carol.take(&[&second, &third]);
    it.carol.learn(&it.bob.evidence());
    // Every step opens the store afresh.
    assert_eq!(it.bob.summary(), it.carol.summary());
    assert!(it.bob.summary().1.contains(&("z".to_owned(), Role::Member)), "{:?}", it.bob.summary().1);
}

#[test]
fn a_device_whose_admission_became_void_is_unknown_and_was_not_put_out_of_anything() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let space = it.bob.space;
    let dan = Replica::named(dir.path(), "dan", space);
    let (certified, device) = (dan.secrets.certified(), dan.secrets.device.id());
    // One copy of Ada's home takes Dan in; the other one writes something else at that place.
    let admission = it.ada[0].act(move |tx, engine, secrets| {
        engine.admit(tx, secrets, space, "dan", Role::Member, &certified, NOW_MS + 1)
    });
    it.bob.take(&[&admission]);
    it.carol.take(&[&it.ada[1].put("c", "2", 20)]);
    it.bob.search(&it.carol, it.log);
    it.carol.learn(&it.bob.evidence());
    it.bob.learn(&it.carol.evidence());
    it.carol.learn(&it.bob.evidence());
    assert_eq!(it.bob.summary(), it.carol.summary());
    for replica in [&it.bob, &it.carol] {
        let standing =
            replica.with(move |_, engine, _| Ok(Standing::of(&engine.space(space)?.membership, device)));
        assert_eq!(standing, Standing::Unknown);
        let log = LogId { device, incarnation: Incarnation(1) };
        let may = replica.with(move |_, engine, _| Ok(engine.space(space)?.membership.may_have_log(&log)));
        assert!(may, "what it wrote is kept: somebody may take it in again");
    }
}

#[test]
fn keys_that_somebody_made_up_take_no_place_of_real_ones() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let space = it.bob.space;
    // As many made-up keys as a ring holds, sealed to Carol by somebody.
    let device = it.bob.secrets.device.id();
    it.carol.with(move |tx, engine, _| {
        let mut keys = engine.space(space)?.info.keys.clone();
        while keys.learn(EpochKey::generate()) {}
        engine.enter_space(tx, space, "garden", keys, device)
    });
    let rotation = it.bob.act(move |tx, engine, secrets| engine.rotate_key(tx, secrets, space, NOW_MS + 1));
    it.carol.take(&[&rotation]);
    let news = it.bob.put("b", "1", 50);
    it.carol.take(&[&news]);
    assert_eq!(it.carol.doc("b").unwrap(), r#"{"v":1}"#);
    it.carol.put("c", "2", 60);
}

#[test]
fn what_is_to_be_written_again_is_written_however_large_others_have_made_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let long: &'static str = format!("\"{}\"", "y".repeat(2000)).leak();
    let (one, two) = (it.ada[0].put("a", long, 10), it.ada[1].put("c", "2", 20));
    it.bob.take(&[&one]);
    it.bob.take(&[&two]);
    // Bob has filled the record up to what one may be.
    let space = it.bob.space;
    let full: Vec<Arc<Entry>> = (0..5)
        .map(|n| {
            it.bob.with(move |tx, engine, secrets| {
                engine.append_records(tx, secrets, space, NOW_MS + 30 + n, |_, _, _| {
                    let mut body = BodyWriter::new();
                    let (id, name) = (RecordId::parse("a").unwrap(), format!("f{n}"));
                    let text = format!("\"{}\"", "x".repeat(if n == 4 { 3000 } else { (1 << 20) - 1000 }));
                    body.push(&Op::Put { collection: "plants", id, fields: vec![(&*name, &*text)] })?;
                    Ok(body.finish())
                })
            })
        })
        .collect();
    let copy = &it.ada[0];
    copy.take(&full.iter().collect::<Vec<_>>());
    copy.learn(&it.bob.evidence());
    let again = copy.write_again();
    assert_eq!(again.len(), 1);
    it.bob.take(&again.iter().collect::<Vec<_>>());
    assert!(it.bob.doc("a").unwrap().contains("yyyy"));
}

#[test]
fn a_device_that_forks_a_thousand_logs_costs_as_many_proofs_as_it_may_have_logs() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let (space, carol) = (it.bob.space, Arc::clone(&it.carol.secrets));
    let head = |n, body: u8| {
        let log = LogId { device: carol.device.id(), incarnation: Incarnation(n) };
        let draft = Draft {
            space,
            log,
            head: Head::EMPTY,
            hlc: Hlc::new(NOW_MS, 0),
            kind: Kind::RECORDS,
            epoch: EpochKey::generate().id(),
            deps: vec![EntryHash([1; 32])],
        };
        SignedHeader::from(&Entry::sign(&carol.device, draft, vec![body; 20]))
    };
    let made_up: Vec<Evidence> =
        (1..=1000).map(|n| Evidence::new(ForkProof::of(space, head(n, 1), head(n, 2)).unwrap())).collect();
    let written = it.carol.put("b", "1", 10);
    it.bob.take(&[&written]);
    it.bob.learn(&made_up);
    assert_eq!(it.bob.evidence().len(), MAX_LOGS_PER_DEVICE);
    assert_eq!(it.bob.doc("b").unwrap(), r#"{"v":1}"#, "her log that she didn't fork goes on to count");
    // Others may be heard of all the same.
    it.bob.take(&[&it.ada[0].put("c", "1", 10)]);
    it.bob.take(&[&it.ada[1].put("c", "2", 20)]);
    assert_eq!(it.bob.evidence().len(), MAX_LOGS_PER_DEVICE + 1);
}

#[test]
fn what_builds_upon_void_acts_is_heard_though_its_author_was_let_in_by_them_through_two_hands() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let (space, carols) = (it.bob.space, it.carol.secrets.user.id());
    let promotion = it.ada[0]
        .act(move |tx, engine, secrets| engine.set_role(tx, secrets, space, carols, Role::Admin, NOW_MS + 1));
    it.carol.take(&[&promotion]);
    let dan = Replica::named(dir.path(), "dan", space);
    let (certified, device) = (dan.secrets.certified(), dan.secrets.device.id());
    let admission = it.carol.act(move |tx, engine, secrets| {
        engine.admit(tx, secrets, space, "dan", Role::Member, &certified, NOW_MS + 2)
    });
    let (key, deps) = it.carol.with(move |_, engine, _| {
        let state = engine.space(space)?;
        Ok((state.info.keys.newest().unwrap().clone(), state.membership.frontier()))
    });
    let log = LogId { device, incarnation: Incarnation(1) };
    let act = [MembershipOp::RenameUser("daniel".into())];
    let builds = written(&dan.secrets, space, log, Head::EMPTY, (&key, &deps), &act);
    // Bob has none of it but what goes with the proofs, and then what Dan has written.
    let ada = another_for(&it.ada[0].secrets, &promotion).with([promotion]);
    it.bob.learn(&[ada, another_for(&it.carol.secrets, &admission).with([admission])]);
    assert_eq!(it.bob.take(&[&builds]).stored.len(), 1);
    assert!(it.bob.summary().1.contains(&("daniel".to_owned(), Role::Member)), "{:?}", it.bob.summary().1);
}

//! Forked logs of devices that were put out: what they had written before that, and what others had seen, goes on to count.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod garden;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use covey_engine::{Rows, load_for_peer};
use covey_log::{BodyContext, Draft, Entry, Evidence, ForkProof, Kind, SignedHeader, seal};
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::{MembershipOp, Role, ops};
use covey_types::{Head, Hlc, SpaceId};

use garden::{Garden, NOW_MS, News, Replica, another_for, copies, garden, hear};

/// Rounds in which two tell each other all; more are no end.
const ROUNDS: usize = 8;

/// Ada's device writes a few things that all are told were kept, and is put out by Bob, who has seen them.
struct Stolen {
    garden: Garden,
    /// What it wrote in the place where it will fork its log, and behind.
    written: Vec<Arc<Entry>>,
    removal: Arc<Entry>,
    /// A second history from there on, as whoever has it signs it afterwards; and the proof.
    forged: Vec<Arc<Entry>>,
    proof: Evidence,
}

fn stolen(dir: &Path) -> Stolen {
    let it = garden(dir);
    let (space, carols) = (it.bob.space, it.carol.secrets.user.id());
    let promotion = |later: u64| {
        it.ada[0].act(move |tx, engine, secrets| {
            engine.set_role(tx, secrets, space, carols, Role::Admin, NOW_MS + later)
        })
    };
    let written = vec![it.ada[0].put("b", "1", 10), promotion(15), it.ada[0].put("c", "2", 20)];
    it.bob.take(&written.iter().collect::<Vec<_>>());
    let removal = put_out(&it.bob, &it, 40);
    let forged = second_history(&it, &written[0], 2);
    let halves = [&written[0], &forged[0]].map(|entry| SignedHeader::from(&**entry));
    let [one, other] = halves;
    let proof = Evidence::new(ForkProof::of(space, one, other).unwrap());
    Stolen { garden: it, written, removal, forged, proof }
}

/// Puts Ada's device out.
fn put_out(by: &Replica, it: &Garden, later_ms: u64) -> Arc<Entry> {
    let (space, device) = (by.space, it.log.device);
    by.act(move |tx, engine, secrets| engine.remove_device(tx, secrets, space, device, NOW_MS + later_ms))
}

/// Some entries from the place of `first` on, as whoever has the author's device signs them.
fn second_history(it: &Garden, first: &Entry, many: u64) -> Vec<Arc<Entry>> {
    let space = it.bob.space;
    let key = it.bob.with(move |_, engine, _| Ok(engine.space(space)?.info.keys.clone()));
    let key = key.key(first.header.epoch).unwrap();
    let mut head = Head { seq: first.header.seq - 1, hash: first.header.prev };
    let mut entries = Vec::new();
    for n in 0..many {
        let (log, kind) = (first.header.log, Kind::RECORDS);
        let mut body = BodyWriter::new();
        let id = RecordId::parse("a").unwrap();
        body.push(&Op::Put { collection: "plants", id, fields: vec![("v", "\"forged\"")] }).unwrap();
        let place = BodyContext { space, log, seq: head.seq + 1, kind };
        let (hlc, deps) = (Hlc::new(NOW_MS + 30 + n, 0), first.header.deps.clone());
        let draft = Draft { space, log, head, hlc, kind, epoch: key.id(), deps };
        let entry = Entry::sign(&it.ada[0].secrets.device, draft, seal(key, place, &body.finish()));
        head = entry.head();
        entries.push(Arc::new(entry));
    }
    entries
}

/// All that a replica has and another one lacks by its heads, as a session sends it.
fn lacking(from: &Replica, to: &Replica) -> Vec<Arc<Entry>> {
    let space = from.space;
    let theirs: BTreeMap<_, _> = to.summary().0.into_iter().collect();
    from.with(move |tx, engine, _| {
        let key = engine.space(space)?.key;
        let at = |log| theirs.get(&log).map_or(0, |head: &Head| head.seq);
        let rows = tx.logs(key)?.into_iter().filter(|row| row.head.seq > at(row.id));
        let wants: Vec<_> = rows.map(|row| (row.id, at(row.id) + 1)).collect();
        let batch = load_for_peer(tx, key, &wants, &BTreeMap::new(), usize::MAX)?;
        Ok(batch.entries.into_iter().map(Arc::new).collect())
    })
}

/// Two tell each other all, until neither has news; how often that took.
fn meet(a: &Replica, b: &Replica) -> usize {
    for round in 0..ROUNDS {
        let before = (a.summary(), b.summary(), a.evidence(), b.evidence());
        for (from, to) in [(a, b), (b, a)] {
            to.take(&lacking(from, to).iter().collect::<Vec<_>>());
            to.learn(&from.evidence());
        }
        if before == (a.summary(), b.summary(), a.evidence(), b.evidence()) {
            return round;
        }
    }
    panic!("they never come to an end");
}

fn all_orders(of: usize) -> Vec<Vec<usize>> {
    let Some(last) = of.checked_sub(1) else { return vec![Vec::new()] };
    let mut orders = Vec::new();
    for shorter in all_orders(last) {
        for at in 0..of {
            let mut order = shorter.clone();
            order.insert(at, last);
            orders.push(order);
        }
    }
    orders
}

#[test]
fn what_was_seen_of_a_device_before_it_was_put_out_counts_whatever_it_signs_afterwards_in_all_orders() {
    let dir = tempfile::tempdir().unwrap();
    let Stolen { garden: it, written, removal, forged, proof } = stolen(dir.path());
    let end = written.last().unwrap().head();
    assert!(it.bob.learn(std::slice::from_ref(&proof)).shortened.is_empty(), "nothing that Bob has goes");
    it.bob.take(&forged.iter().collect::<Vec<_>>());
    let bobs = it.bob.summary();
    let docs = |replica: &Replica| ["a", "b", "c"].map(|id| replica.doc(id).unwrap());
    let kept = [r#"{"v":0}"#, r#"{"v":1}"#, r#"{"v":2}"#];
    assert_eq!(docs(&it.bob), kept);
    assert!(bobs.0.contains(&(it.log, end)), "{bobs:?}");
    assert!(bobs.1.contains(&("carol".to_owned(), Role::Admin)), "{:?}", bobs.1);
    assert_eq!(bobs.3, [(it.log, it.parts)], "what is told to others of the fork says nothing of the cut");
    let fork = News::Fork(Box::new(proof));
    let entries = |some: &[Arc<Entry>]| some.iter().cloned().map(News::Entry).collect::<Vec<_>>();
    let news = [entries(&written), entries(&forged), entries(&[removal]), vec![fork]];
    let orders = all_orders(news.len());
    let carols = copies(dir.path(), it.carol, orders.len());
    for (at, (order, carol)) in orders.iter().zip(&carols).enumerate() {
        let news: Vec<News> = order.iter().flat_map(|n| news[*n].clone()).collect();
        // With an engine that lives through all of it, or one that is loaded afresh for each thing that is heard.
        let batches = if at % 2 == 0 { vec![news] } else { news.into_iter().map(|one| vec![one]).collect() };
        batches.into_iter().for_each(|batch| drop(hear(carol, batch)));
        meet(&it.bob, carol);
        assert_eq!(carol.summary(), bobs, "{order:?}");
        assert_eq!(docs(carol), kept, "{order:?}");
        assert_eq!(it.bob.summary(), bobs, "{order:?}");
    }
}

#[test]
fn who_joins_later_gets_the_history_that_the_cut_names_and_a_restart_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Stolen { garden: it, forged, proof, .. } = stolen(dir.path());
    it.bob.learn(std::slice::from_ref(&proof));
    let late = Replica::named(dir.path(), "late", it.bob.space);
    let (space, device) = (it.bob.space, late.secrets.certified());
    it.bob.act(move |tx, engine, secrets| {
        engine.admit(tx, secrets, space, "late", Role::Member, &device, NOW_MS + 50)
    });
    let (keys, from) = it
        .bob
        .with(move |_, engine, secrets| Ok((engine.space(space)?.info.keys.clone(), secrets.device.id())));
    late.with(move |tx, engine, _| engine.enter_space(tx, space, "garden", keys, from));
    // The device, or somebody who believes it, is there first.
    let beginning = lacking(&it.bob, &late);
    let common = beginning.iter().filter(|entry| entry.header.log != it.log || entry.header.seq < it.parts);
    late.take(&common.collect::<Vec<_>>());
    late.take(&forged.iter().collect::<Vec<_>>());
    late.learn(std::slice::from_ref(&proof));
    late.take(&forged.iter().collect::<Vec<_>>());
    meet(&it.bob, &late);
    assert_eq!(late.summary(), it.bob.summary());
    assert_eq!(late.doc("c").unwrap(), r#"{"v":2}"#);
    let [again] = &copies(dir.path(), late, 1)[..] else { panic!("one was asked for") };
    assert_eq!(again.summary(), it.bob.summary());
    assert_eq!(meet(&it.bob, again), 0, "nothing is left to be told");
}

#[test]
fn a_cut_of_which_nobody_has_the_history_lets_all_end_where_it_parts() {
    let dir = tempfile::tempdir().unwrap();
    let Stolen { garden: it, written, removal, forged, proof } = stolen(dir.path());
    // Nobody but Bob has seen the last entry that he names, and he is lost.
    let carols = copies(dir.path(), it.carol, 3);
    carols[0].take(&written[..2].iter().collect::<Vec<_>>());
    carols[1].take(&forged.iter().collect::<Vec<_>>());
    for carol in &carols {
        carol.take(&[&removal]);
    }
    carols[1].learn(std::slice::from_ref(&proof));
    for _ in 0..2 {
        for (a, b) in [(0, 1), (1, 2), (0, 2)] {
            meet(&carols[a], &carols[b]);
        }
    }
    for carol in &carols {
        assert_eq!(carol.summary(), carols[0].summary());
        let head = carol.summary().0.into_iter().find(|(log, _)| *log == it.log).unwrap().1;
        assert_eq!(head.seq, it.parts - 1);
        assert_eq!((carol.doc("b"), carol.doc("c")), (None, None));
    }
    // He is found again.
    meet(&it.bob, &carols[0]);
    meet(&carols[0], &carols[1]);
    for carol in &carols[..2] {
        assert_eq!(carol.summary(), it.bob.summary());
        assert_eq!(carol.doc("c").unwrap(), r#"{"v":2}"#);
    }
}

/// Bob and Carol are owners, and each puts Ada's device out without having heard of the other.
fn two_cuts(it: &Garden, bobs: &[Arc<Entry>], carols: &[Arc<Entry>]) -> [Arc<Entry>; 2] {
    let cut = |by: &Replica, seen: &[Arc<Entry>], later| {
        by.take(&seen.iter().collect::<Vec<_>>());
        put_out(by, it, later)
    };
    [cut(&it.bob, bobs, 40), cut(&it.carol, carols, 41)]
}

/// As [`garden`], where Carol is an owner.
fn garden_of_owners(dir: &Path) -> Garden {
    let mut it = garden(dir);
    let (space, carols) = (it.bob.space, it.carol.secrets.user.id());
    let promotion = it
        .bob
        .act(move |tx, engine, secrets| engine.set_role(tx, secrets, space, carols, Role::Owner, NOW_MS + 5));
    it.carol.take(&[&promotion]);
    it.ada.iter().for_each(|ada| drop(ada.take(&[&promotion])));
    it.parts = it.ada[0].summary().0.iter().find(|(log, _)| *log == it.log).unwrap().1.seq + 1;
    it
}

#[test]
fn of_several_cuts_the_first_one_counts_on_every_replica() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden_of_owners(dir.path());
    let written = [it.ada[0].put("b", "1", 10), it.ada[0].put("c", "2", 20), it.ada[0].put("c", "3", 30)];
    two_cuts(&it, &written, &written[..2]);
    let proof = another_for(&it.ada[0].secrets, &written[0]);
    it.bob.learn(std::slice::from_ref(&proof));
    it.carol.learn(std::slice::from_ref(&proof));
    assert_eq!(it.bob.doc("c").unwrap(), r#"{"v":3}"#);
    meet(&it.bob, &it.carol);
    assert_eq!(it.bob.summary(), it.carol.summary());
    assert!(it.bob.summary().0.contains(&(it.log, written[1].head())));
    assert_eq!(it.bob.doc("c").unwrap(), r#"{"v":2}"#);
}

#[test]
fn of_cuts_that_name_different_histories_one_counts_on_every_replica() {
    for carols_is_longer in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let it = garden_of_owners(dir.path());
        let one = [it.ada[0].put("b", "1", 10), it.ada[0].put("b", "2", 20)];
        let other = [it.ada[1].put("c", "1", 11), it.ada[1].put("c", "2", 21), it.ada[1].put("c", "3", 31)];
        let seen = if carols_is_longer { 3 } else { 1 };
        let [_, carols] = two_cuts(&it, &one, &other[..seen]);
        // Carol hears of Bob's cut before there's a proof, and Bob of hers after.
        it.bob.search(&it.carol, it.log);
        meet(&it.bob, &it.carol);
        it.bob.take(&[&carols]);
        meet(&it.carol, &it.bob);
        assert_eq!(it.bob.summary(), it.carol.summary());
        let docs = (it.bob.doc("b"), it.bob.doc("c"));
        let first = if carols_is_longer {
            (Some("{\"v\":2}".to_owned()), None)
        } else {
            (None, Some("{\"v\":1}".to_owned()))
        };
        assert_eq!(docs, first);
    }
}

#[test]
fn when_a_removal_falls_its_cut_falls_too_and_the_log_is_as_any_that_is_forked() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden_of_owners(dir.path());
    let written = [it.ada[0].put("b", "1", 10), it.ada[0].put("c", "2", 20)];
    let (space, bobs) = (it.bob.space, it.bob.secrets.user.id());
    it.carol.take(&written.iter().collect::<Vec<_>>());
    let before = it.carol.summary();
    // Carol puts Bob out, without having heard that he puts Ada's device out: that falls then.
    let against_bob =
        it.carol.act(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, bobs, NOW_MS + 41));
    it.bob.take(&written.iter().collect::<Vec<_>>());
    let removal = put_out(&it.bob, &it, 40);
    let proof = another_for(&it.ada[0].secrets, &written[0]);
    let fork = News::Fork(Box::new(proof.clone()));
    let [removal, against_bob] = [removal, against_bob].map(News::Entry);
    let written = written.map(News::Entry).to_vec();
    hear(&it.bob, vec![fork.clone()]);
    assert_eq!(it.bob.doc("c").unwrap(), r#"{"v":2}"#, "as long as it stands");
    hear(&it.bob, vec![against_bob.clone()]);
    let ended = it.bob.summary();
    assert!(ended.1.contains(&("ada".to_owned(), Role::Owner)), "{:?}", ended.1);
    assert_eq!((it.bob.doc("b"), it.bob.doc("c")), (None, None));
    assert!(before.0.iter().any(|(log, head)| *log == it.log && head.seq == it.parts + 1));
    let news = [written, vec![removal], vec![fork]];
    let orders = all_orders(news.len());
    for (order, carol) in orders.iter().zip(copies(dir.path(), it.carol, orders.len())) {
        hear(&carol, order.iter().flat_map(|n| news[*n].clone()).collect());
        assert_eq!(carol.summary(), ended, "{order:?}");
    }
}

#[test]
fn nobody_chooses_between_histories_of_others_or_of_their_own_device() {
    let dir = tempfile::tempdir().unwrap();
    let it = garden(dir.path());
    let written = [it.ada[0].put("b", "1", 10), it.ada[0].put("c", "2", 20)];
    it.bob.take(&written.iter().collect::<Vec<_>>());
    it.carol.take(&written.iter().collect::<Vec<_>>());
    it.bob.learn(&[another_for(&it.ada[0].secrets, &written[0])]);
    // Carol takes a lower role, and names a cut of somebody else's log.
    let (space, carols, end) = (it.bob.space, it.carol.secrets.user.id(), written[1].head());
    let (key, deps, log, head) = it.carol.with(move |tx, engine, secrets| {
        let state = engine.space(space)?;
        let log = covey_types::LogId { device: secrets.device.id(), incarnation: state.info.incarnation };
        let head =
            tx.logs(state.key)?.into_iter().find(|row| row.id == log).map_or(Head::EMPTY, |row| row.head);
        Ok((state.current_key().unwrap().clone(), state.membership.frontier(), log, head))
    });
    let cuts = vec![ops::Cut { log: it.log, head: end }];
    let acts = [MembershipOp::SetRole(ops::SetRole { user: carols, role: Role::Guest, cuts })];
    let entry = signed(&it.carol, space, (log, head), &key, &deps, &acts);
    assert_eq!(it.bob.take(&[&entry]).refused, []);
    assert!(it.bob.summary().1.contains(&("carol".to_owned(), Role::Guest)));
    assert_eq!(it.bob.doc("c"), None);
}

fn signed(
    by: &Replica,
    space: SpaceId,
    (log, head): (covey_types::LogId, Head),
    key: &covey_log::EpochKey,
    deps: &[covey_types::EntryHash],
    acts: &[MembershipOp],
) -> Arc<Entry> {
    let kind = Kind::MEMBERSHIP;
    let place = BodyContext { space, log, seq: head.seq + 1, kind };
    let body = ops::seal_acts(key, place, &ops::encode(acts));
    let (hlc, deps) = (Hlc::new(NOW_MS + 60, 0), deps.to_vec());
    let draft = Draft { space, log, head, hlc, kind, epoch: key.id(), deps };
    Arc::new(Entry::sign(&by.secrets.device, draft, body))
}

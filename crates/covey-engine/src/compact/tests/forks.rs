//! Logs that are compacted and forked.

use covey_log::{Compared, Draft, Entry, Evidence, ForkProof, Kind};
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::Role;
use covey_types::Hlc;

use super::{
    ABSENT_AFTER_MS, pair,
    replica::{NOW_MS, Replica, let_in, settle, settle_with, sync, sync_both, sync_but, tell},
};

/// Signs another entry in the place of one of the author's own.
fn twin(author: &Replica, before: &Entry, of: &Entry) -> Entry {
    let draft = Draft {
        space: author.space(),
        log: of.header.log,
        head: before.head(),
        hlc: Hlc::new(of.header.hlc.wall_ms(), 9),
        kind: of.header.kind,
        epoch: of.header.epoch,
        deps: of.header.deps.clone(),
    };
    Entry::sign(&author.secrets.device, draft, of.body.to_vec())
}

/// The proof that an author wrote two histories from this place on.
fn proof(author: &Replica, holder: &Replica, seq: u64) -> Evidence {
    let [before, of] = [seq - 1, seq].map(|seq| holder.entry(author, seq));
    let twin = twin(author, &before, &of);
    Evidence::new(ForkProof::of(author.space(), (&of).into(), (&twin).into()).unwrap())
}

fn learn(replica: &Replica, evidence: &Evidence) {
    let (id, evidence) = (replica.space(), evidence.clone());
    replica.with(move |rows, engine, secrets| engine.take_evidence(rows, secrets, id, evidence, NOW_MS));
}

/// A founder, a member whose log says something early and something late, and a proof against it in between.
fn forked_in_the_middle() -> (Replica, Replica, Evidence, u64) {
    let (a, b) = pair();
    sync_both(&a, &b);
    b.put("early", "1");
    b.put("seam", "1");
    let seq = b.head_of(&b).seq;
    b.put("late", "1");
    for round in 0..80 {
        b.put("often", &format!("{round}"));
    }
    sync_both(&a, &b);
    let evidence = proof(&b, &b, seq);
    (a, b, evidence, seq)
}

#[test]
fn what_was_said_as_of_an_earlier_time_keeps_it_in_a_checkpoint() {
    let (a, b) = pair();
    sync_both(&a, &b);
    for round in 0..80 {
        a.put("often", &format!("{round}"));
    }
    b.put_at("newer", "\"newer\"", NOW_MS + 500);
    let id = a.space();
    a.with(move |rows, engine, secrets| {
        engine.append_records(rows, secrets, id, NOW_MS + 1000, |_, _, _| {
            let mut body = BodyWriter::new();
            for (hlc, record) in [(400, "newer"), (300, "alone")] {
                body.push(&Op::AsOf { hlc: Hlc::new(NOW_MS + hlc, 0) })?;
                let fields = vec![("v", "\"older\""), ("w", "1")];
                body.push(&Op::Put { collection: "plants", id: RecordId::parse(record).unwrap(), fields })?;
            }
            Ok(body.finish())
        })
    });
    settle(&[&a, &b]);
    assert!(a.rows_of(&a) < 12, "compacted: {}", a.rows_of(&a));
    let c = let_in(&a, Role::Member, NOW_MS + 2000);
    sync(&a, &c);
    assert!(c.records().contains("newer") && c.records().contains("older"));
    assert_eq!(c.records(), a.records());
    b.put_at("alone", "\"between\"", NOW_MS + 350);
    sync_both(&a, &b);
    sync(&a, &c);
    assert_eq!(c.records(), b.records());
}

#[test]
fn a_fork_behind_the_checkpoint_leaves_all_that_it_says() {
    let (a, b, _, _) = forked_in_the_middle();
    settle(&[&a, &b]);
    assert!(a.rows_of(&b) < 12);
    let records = a.records();
    b.put("later", "1");
    b.put("later", "2");
    sync_both(&a, &b);
    let from = b.head_of(&b).seq - 1;
    learn(&a, &proof(&b, &b, from));
    assert_eq!(a.records(), records);
    assert_eq!(a.head_of(&b).seq, from - 1);
    let a = a.restarted();
    assert_eq!(a.records(), records);
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    sync(&a, &c);
    assert_eq!(c.records(), records);
    assert_eq!(c.heads(), a.heads());
}

#[test]
fn a_fork_before_an_agreed_checkpoint_freezes_the_log_behind_the_agreement_on_every_replica() {
    let (a, b, evidence, seq) = forked_in_the_middle();
    // One has everything, and drops nothing; one has the other history.
    let [whole, misled] = [1, 2].map(|n| let_in(&a, Role::Guest, NOW_MS + n));
    sync_both(&a, &b);
    let [before, of] = [seq - 1, seq].map(|seq| b.entry(&b, seq));
    sync_but(&a, &misled, &b);
    misled.ingest((1..seq).map(|seq| b.entry(&b, seq)).collect());
    assert!(misled.ingest(vec![twin(&b, &before, &of)]).rejected.is_empty());
    assert_eq!(misled.head_of(&b).seq, seq);
    // Nobody waits for who was away for long, and is no admin.
    settle_with(&[&a, &b, &whole], &[&whole], NOW_MS + ABSENT_AFTER_MS + 1000);
    assert!(a.state_of(&b).base > seq && whole.state_of(&b).base == 0);
    let records = a.records();
    b.put("past", "1");
    b.put("past", "2");
    sync_both(&a, &b);
    sync(&a, &whole);
    // In whatever order they hear of the proof and of the agreement.
    learn(&misled, &evidence);
    assert_eq!(misled.head_of(&b).seq, seq - 1);
    learn(&a, &evidence);
    tell(&a, &misled);
    tell(&misled, &whole);
    sync(&a, &misled);
    sync(&a, &whole);
    let end = a.state_of(&b).agreed.unwrap().at;
    for (replica, what) in [(&a, "compacted"), (&whole, "whole"), (&misled, "misled")] {
        assert_eq!(replica.head_of(&b), end, "{what}");
        assert_eq!(replica.records(), records, "{what}");
    }
    assert!(whole.state_of(&b).base == 0 && misled.state_of(&b).base > 0);
    let [a, whole, misled] = [a, whole, misled].map(Replica::restarted);
    assert_eq!((a.records(), a.lines()), (misled.records(), misled.lines()));
    assert_eq!((a.records(), a.lines()), (whole.records(), whole.lines()));
    // Whoever comes now has it whole too.
    let late = let_in(&a, Role::Member, NOW_MS + 9);
    learn(&late, &evidence);
    sync(&a, &late);
    tell(&a, &late);
    sync(&a, &late);
    assert_eq!((late.records(), late.heads()), (a.records(), a.heads()));
}

#[test]
fn where_a_fork_is_known_other_logs_are_still_compacted_and_the_forked_one_is_not() {
    let (a, b, evidence, seq) = forked_in_the_middle();
    for round in 0..80 {
        a.put("mine", &format!("{round}"));
    }
    sync_both(&a, &b);
    learn(&a, &evidence);
    tell(&a, &b);
    let rows = a.rows_of(&a);
    settle(&[&a, &b]);
    assert!(a.rows_of(&a) < rows / 4, "{} of {rows} rows are left", a.rows_of(&a));
    assert_eq!(a.head_of_log(evidence.log()).seq, seq - 1);
    assert_eq!(a.records(), b.records());
    let c = let_in(&a, Role::Member, NOW_MS + 5);
    sync(&a, &c);
    tell(&a, &c);
    sync(&a, &c);
    assert_eq!((c.records(), c.heads()), (a.records(), a.heads()));
}

#[test]
fn what_fell_with_a_fork_after_it_had_superseded_something_that_was_dropped_falls_everywhere() {
    let (a, b) = pair();
    sync_both(&a, &b);
    for round in 0..80 {
        a.put("often", &format!("{round}"));
    }
    a.put("x", "\"by a\"");
    sync_both(&a, &b);
    b.put("before", "1");
    b.put("seam", "1");
    let seq = b.head_of(&b).seq;
    b.put_at("x", "\"by b\"", NOW_MS + 10);
    sync_both(&a, &b);
    let whole = let_in(&a, Role::Guest, NOW_MS + 11);
    sync(&a, &whole);
    settle_with(&[&a, &b, &whole], &[&whole], NOW_MS);
    assert!(a.state_of(&a).base > 0 && whole.state_of(&a).base == 0);
    let evidence = proof(&b, &a, seq);
    learn(&whole, &evidence);
    assert!(whole.records().contains("by a"), "it's there as long as it's not dropped");
    learn(&a, &evidence);
    assert!(!a.records().contains("\"x\" Some"));
    whole.compact();
    assert_eq!(a.records(), whole.records());
    let late = let_in(&a, Role::Member, NOW_MS + 12);
    learn(&late, &evidence);
    sync(&a, &late);
    learn(&late, &evidence);
    assert_eq!(late.records(), a.records());
}

#[test]
fn where_histories_part_is_found_though_one_side_dropped_the_beginning() {
    let (a, b, _, _) = forked_in_the_middle();
    let whole = let_in(&a, Role::Guest, NOW_MS + 1);
    sync(&a, &whole);
    settle(&[&a, &b, &whole]);
    b.put("later", "1");
    let last = b.head_of(&b).seq;
    sync_both(&a, &b);
    // Another entry than the last one reaches the third.
    let [before, of] = [last - 1, last].map(|seq| b.entry(&b, seq));
    sync_until(&a, &whole, &b, last - 1);
    assert!(whole.ingest(vec![twin(&b, &before, &of)]).rejected.is_empty());
    let (space, log) = (a.space(), b.log());
    let mut answer =
        a.with(move |rows, engine, _| Ok(crate::points(rows, engine.space(space)?.key, log, u64::MAX)?));
    let mut sides = [&whole, &a];
    for _ in 0..10 {
        let Compared::Points(points) = answer else { break };
        answer = sides[0]
            .with(move |rows, engine, _| Ok(crate::compare(rows, engine.space(space)?.key, log, &points)?));
        sides.reverse();
    }
    let Compared::Branch(branch) = answer else { panic!("nothing was found: {answer:?}") };
    assert_eq!(branch.header.seq, last);
    assert_eq!(branch.header.kind, Kind::RECORDS);
}

/// Gives one replica all of a log up to a place.
fn sync_until(from: &Replica, to: &Replica, whose: &Replica, upto: u64) {
    let missing = to.head_of(whose).seq + 1..=upto;
    to.ingest(missing.map(|seq| from.entry(whose, seq)).collect());
    assert_eq!(to.head_of(whose).seq, upto);
}

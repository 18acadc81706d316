//! Replicas over real stores that compact their logs: nothing is lost, and all come to the same bytes.

mod attacks;
mod copies;
mod forks;
mod replica;
mod stories;

use covey_log::{Draft, Entry, Kind};
use covey_records::PartWriter;
use covey_space::{
    MembershipOp, Role,
    ops::{Cut, RemoveMember},
};
use covey_types::{EntryHash, Head, Hlc, Incarnation, limits::MAX_LOGS_PER_DEVICE};

use self::replica::{LIMITS, NOW_MS, Replica, let_in, sync, sync_both};
use super::*;
use crate::{apply::Writer, load::decode_stored};

/// A founder whose log is long and says little, and a member who has all of it.
fn wordy() -> (Replica, Replica) {
    let (a, b) = pair();
    for round in 0..40 {
        for id in ["r1", "r2", "r3"] {
            a.put(id, &format!("\"{round} {id}\""));
        }
    }
    sync_both(&a, &b);
    (a, b)
}

fn pair() -> (Replica, Replica) {
    let a = Replica::founder();
    let b = let_in(&a, Role::Member, NOW_MS);
    (a, b)
}

#[test]
fn a_log_is_dropped_once_every_device_has_found_its_checkpoint_true() {
    let (a, b) = wordy();
    let (before, records) = (a.rows_of(&a), a.records());
    a.compact();
    assert!(
        a.rows_of(&a) > before,
        "the checkpoint itself, and nothing is dropped on its author's word alone"
    );
    let waits = a.waits();
    assert_eq!(waits.len(), 1);
    assert_eq!(waits[0].devices.iter().map(|(device, _)| *device).collect::<Vec<_>>(), [b.device()]);
    sync_both(&a, &b);
    b.compact();
    sync_both(&a, &b);
    assert!(b.rows_of(&a) > before, "the author has not said yet that all have");
    a.compact();
    assert!(a.rows_of(&a) < 12, "{} rows are left of {before}", a.rows_of(&a));
    sync_both(&a, &b);
    b.compact();
    for replica in [&a, &b] {
        assert!(replica.rows_of(&a) < 12, "{} rows are left of {before}", replica.rows_of(&a));
        assert_eq!(replica.records(), records);
    }
    assert!(a.waits().is_empty());
    assert_eq!(a.audit(), b.audit());
}

#[test]
fn a_new_device_starts_from_the_checkpoint_and_comes_to_the_same_records() {
    let (a, b) = wordy();
    replica::settle(&[&a, &b]);
    assert!(a.rows_of(&a) < 12);
    a.put("r4", "1");
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    sync(&a, &c);
    assert_eq!(c.records(), a.records());
    assert_eq!(c.heads(), a.heads());
    assert_eq!(
        c.audit(),
        a.audit(),
        "the entries of membership came, though they stand before the checkpoint"
    );
    // And it serves others from there, and takes part.
    let d = let_in(&c.may(&a), Role::Member, NOW_MS + 2);
    sync(&c, &d);
    assert_eq!(d.records(), a.records());
    c.put("r1", "\"by c\"");
    sync_both(&c, &a);
    sync_both(&d, &a);
    assert_eq!((a.records(), a.heads()), (d.records(), d.heads()));
}

#[test]
fn a_device_that_was_away_goes_on_from_the_checkpoint_and_loses_nothing_of_its_own() {
    let (a, b) = pair();
    a.put("r1", "1");
    a.put("gone", "1");
    sync_both(&a, &b);
    b.put_at("r2", "\"written while away\"", NOW_MS + 1);
    let later = NOW_MS + ABSENT_AFTER_MS + 1000;
    a.delete("gone", later);
    for round in 0..80 {
        a.put_at("r1", &format!("{round}"), later + round);
    }
    a.compact_at(later + 100);
    assert!(a.rows_of(&a) < 12, "nobody waits for who was away for a month: {} rows", a.rows_of(&a));
    assert!(b.rows_of(&a) > 2);
    sync_both(&a, &b);
    assert_eq!(a.records(), b.records());
    assert_eq!(a.heads(), b.heads());
    assert!(a.records().contains("written while away") && !b.records().contains("\"gone\" Some"));
    b.compact_at(later + 200);
    assert!(b.rows_of(&a) < 12, "what it had of the beginning is dropped too");
    assert_eq!(a.records(), b.records());
}

#[test]
fn an_admin_is_waited_for_however_long_they_are_away() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Admin, NOW_MS);
    let later = NOW_MS + 2 * ABSENT_AFTER_MS;
    for round in 0..80 {
        a.put_at("r1", &format!("{round}"), later + round);
    }
    a.compact_at(later + 100);
    assert!(a.rows_of(&a) > 80);
    let waits = a.waits_at(later + 100);
    assert_eq!(waits[0].devices.len(), 1);
    assert_eq!(waits[0].devices[0].0, b.device());
}

/// Writes a checkpoint of the own log that leaves everything out.
fn lie(author: &Replica) {
    for closing in [false, true] {
        let id = author.space();
        author.with(move |rows, engine, secrets| {
            let key = engine.space(id)?.current_key().cloned().unwrap();
            let own = engine.space(id)?.own_log(secrets.device.id());
            let log = rows.ensure_log(engine.space(id)?.key, own)?;
            let begin = rows.head(log)?.seq;
            let (kind, body) = if closing {
                (Kind::CHECKPOINT_PART, PartWriter::closing(begin))
            } else {
                (Kind::CHECKPOINT, Vec::new())
            };
            engine.append(rows, secrets, id, (kind, Writer::Here), &key, &body, NOW_MS)
        });
    }
}

#[test]
fn a_checkpoint_that_leaves_something_out_is_agreed_to_by_nobody_and_said_why() {
    let (a, b) = wordy();
    lie(&a);
    sync_both(&a, &b);
    let (rows, records) = (b.rows_of(&a), b.records());
    replica::settle(&[&a, &b]);
    let doubt = b.doubts();
    assert!(doubt.contains("leaves out what still counts of place") && doubt.contains("plants"), "{doubt:?}");
    assert!(b.rows_of(&a) >= rows);
    assert_eq!(b.records(), records);
}

#[test]
fn what_was_written_past_a_cut_is_taken_back_out_of_a_checkpoint_too() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Member, NOW_MS);
    sync_both(&a, &b);
    // The first record is written before the cut, the second one after it.
    b.put("early", "1");
    let cut = b.head_of(&b);
    b.put("late", "1");
    for round in 0..80 {
        b.put("often", &format!("{round}"));
    }
    sync_both(&a, &b);
    let whole = let_in(&a, Role::Guest, NOW_MS + 1);
    sync(&a, &whole);
    replica::settle(&[&a, &b, &whole]);
    assert!(a.rows_of(&b) < 12);
    // Nobody who was heard of would set it there; somebody may all the same.
    put_out(&a, &b, cut);
    assert!(a.records().contains("\"early\" Some"));
    assert!(!a.records().contains("\"late\" Some") && !a.records().contains("\"often\" Some"));
    sync(&a, &whole);
    assert_eq!(whole.records(), a.records());
    let fresh = let_in(&a, Role::Member, NOW_MS + 2);
    sync(&a, &fresh);
    assert_eq!(fresh.records(), a.records(), "whoever starts from the checkpoint judges its words the same");
}

fn put_out(admin: &Replica, whom: &Replica, cut: Head) {
    let (id, user, log) = (admin.space(), whom.secrets.user.id(), whom.log());
    admin.with(move |rows, engine, secrets| {
        let acts = [MembershipOp::RemoveMember(RemoveMember { user, cuts: vec![Cut { log, head: cut }] })];
        engine.append_acts(rows, secrets, id, NOW_MS + 1, &acts)
    });
}

#[test]
fn a_checkpoint_that_came_in_part_is_gone_on_with_after_a_restart() {
    let (a, b) = pair();
    let long = "x".repeat(3000);
    for round in 0..3 {
        // What can't be compressed, so that the entries are as long as they look.
        let value = |n: u64| format!("\"{}\"", replica::noise(round * 1000 + n, &long));
        a.puts((0..300).map(|n| (format!("r{n}"), value(n))).collect(), NOW_MS);
    }
    replica::settle(&[&a, &b]);
    let base = a.state_of(&a).base;
    assert!(base > 600 && a.state_of(&a).base_end > base + 3, "several parts: {:?}", a.state_of(&a));
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    let came = replica::sync_at_most(&a, &c, 200 << 10, 2);
    assert!(came && c.state_of(&a).base == base && c.state_of(&a).base_end == 0);
    let c = c.restarted();
    assert_ne!(c.records(), a.records());
    sync(&a, &c);
    assert_eq!(c.records(), a.records());
    assert!(c.state_of(&a).base_end > 0);
}

#[test]
fn while_rows_are_dropped_piece_by_piece_others_are_served_and_a_restart_goes_on_with_it() {
    let a = Replica::founder();
    let long = "y".repeat(200_000);
    let value = |round: u64| format!("\"{}\"", replica::noise(round, &long));
    a.puts((0..60).map(|round| ("r1".into(), value(round))).collect(), NOW_MS);
    let records = a.records();
    a.steps_until(|a| a.state_of(a).base > 0);
    let state = a.state_of(&a);
    assert!(state.dropped < state.base, "one transaction does not drop all: {state:?}");
    let a = a.restarted();
    let b = let_in(&a, Role::Member, NOW_MS + 1);
    sync(&a, &b);
    assert_eq!(b.records(), records);
    a.compact();
    assert_eq!(a.state_of(&a).dropped, state.base);
    assert!(a.rows_of(&a) < 10);
    assert_eq!(a.records(), records);
}

#[test]
fn a_log_can_not_be_entered_before_the_membership_that_its_author_knew_is_here() {
    let (a, b) = wordy();
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    sync_both(&a, &b);
    replica::settle(&[&a, &b, &c]);
    let d = let_in(&a, Role::Member, NOW_MS + 2);
    let agreed = a.state_of(&a).agreed.unwrap();
    let [founding, entrance, agreement] = [1, agreed.begin.seq, agreed.at.seq].map(|seq| a.entry(&a, seq));
    let outcome = d.ingest(vec![founding, agreement, entrance]);
    assert_eq!(outcome.rejected.get(&a.log()), Some(&false), "a courier can't leave a removal out");
    assert_eq!(d.head_of(&a).seq, 1);
    sync(&a, &d);
    assert_eq!((d.records(), d.audit()), (a.records(), a.audit()));
}

#[test]
fn a_log_can_not_be_entered_where_nobody_agreed_to_it() {
    let (a, b) = wordy();
    // All but the member's word is there.
    a.compact();
    sync_both(&a, &b);
    let begin = a.state_of(&a).open.unwrap().begin;
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    let membership: Vec<Entry> = (1..=a.head_of(&a).seq)
        .map(|seq| a.entry(&a, seq))
        .filter(|entry| entry.header.kind.is_membership())
        .collect();
    assert!(c.ingest(membership).rejected.is_empty());
    let outcome = c.ingest(vec![a.entry(&a, begin)]);
    assert_eq!(outcome.rejected.get(&a.log()), Some(&false), "an author can't leave out what it likes");
    assert_eq!(c.state_of(&a), LogState::default());
    sync(&a, &c);
    assert_eq!(c.records(), a.records());
}

/// What an agreement is made of: how the checkpoint begins, where it ends, and the words.
type Parts = (Half, Head, Vec<(Vec<u8>, covey_types::Signature, Vec<u8>)>);

/// A signed header.
type Half = (Vec<u8>, covey_types::Signature);

#[test]
fn an_admin_s_word_can_not_be_left_out_of_an_agreement_or_be_about_something_else() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Admin, NOW_MS);
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    sync(&a, &b);
    sync(&a, &c);
    for round in 0..80 {
        a.put("r1", &format!("{round}"));
    }
    replica::settle(&[&a, &b, &c]);
    let agreed = a.state_of(&a).agreed.unwrap();
    let entry = a.entry(&a, agreed.at.seq);
    let claim = Claim::read(&entry).unwrap();
    let membership = a.membership();
    assert_eq!(claim.holds(&membership, u64::MAX), Some(true));
    assert_eq!(claim.holds(&covey_space::Membership::new(a.space()), u64::MAX), None);
    for at in 0..entry.body.len() {
        let mut body = entry.body.to_vec();
        body[at] ^= 1;
        let forged = a.signed_instead(&entry, body);
        let holds = Claim::read(&forged).ok().and_then(|claim| claim.holds(&membership, u64::MAX));
        assert_ne!(holds, Some(true), "byte {at} can be changed");
    }
    // The author alone says so.
    let mut words: Parts = wire::decode("", &entry.body, usize::MAX).unwrap();
    words.2.clear();
    let alone = a.signed_instead(&entry, wire::encode(&words));
    assert_eq!(Claim::read(&alone).unwrap().holds(&membership, u64::MAX), Some(false));
}

#[test]
fn the_own_log_is_not_called_forked_where_its_beginning_was_dropped() {
    let (a, b) = wordy();
    let old = a.entry(&a, 5).head();
    replica::settle(&[&a, &b]);
    let (id, log, device) = (a.space(), a.log(), a.device());
    let found = a.with(move |rows, engine, _| engine.look_back(rows, device, id, (log, old), NOW_MS));
    assert_eq!(found, crate::LookBack::Fine);
}

#[test]
fn a_forged_word_under_an_open_checkpoint_is_noticed() {
    let (a, b) = pair();
    a.put("r1", "1");
    sync_both(&a, &b);
    let id = a.space();
    // It tells of a value that was never written.
    a.with(move |rows, engine, secrets| {
        let key = engine.space(id)?.current_key().cloned().unwrap();
        let own = engine.space(id)?.own_log(secrets.device.id());
        let log = rows.ensure_log(engine.space(id)?.key, own)?;
        engine.append(rows, secrets, id, (Kind::CHECKPOINT, Writer::Here), &key, &[], NOW_MS)?;
        let begin = rows.head(log)?.seq;
        let stored = rows.entry(log, begin - 1)?.unwrap();
        let header = decode_stored(&stored)?.header;
        let mut part = PartWriter::new(begin);
        let body = replica::body("r1", "\"never\"");
        part.push(&covey_records::Word { seq: header.seq, hlc: header.hlc, deps: &header.deps, body: &body });
        engine.append(
            rows,
            secrets,
            id,
            (Kind::CHECKPOINT_PART, Writer::Here),
            &key,
            &part.finish(),
            NOW_MS,
        )?;
        engine.append(
            rows,
            secrets,
            id,
            (Kind::CHECKPOINT_PART, Writer::Here),
            &key,
            &PartWriter::closing(begin),
            NOW_MS,
        )
    });
    sync_both(&a, &b);
    b.compact();
    assert!(b.doubts().contains("wasn't said there"), "{}", b.doubts());
}

#[test]
fn two_entries_for_one_place_are_noticed_when_one_lies_apart() {
    let (a, _) = wordy();
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    let [first, second, third] = [1, 2, 3].map(|seq| a.entry(&a, seq));
    // The author signs a membership entry for the third place too, where it has written something else.
    let draft = Draft {
        space: a.space(),
        log: a.log(),
        head: second.head(),
        hlc: Hlc::new(third.header.hlc.wall_ms() + 1, 0),
        kind: Kind::MEMBERSHIP,
        epoch: second.header.epoch,
        deps: second.header.deps.clone(),
    };
    let twin = Entry::sign(&a.secrets.device, draft, second.body.to_vec());
    assert!(c.ingest(vec![first, twin]).rejected.is_empty());
    assert_eq!(c.head_of(&a).seq, 1, "it lies apart");
    let outcome = c.ingest(vec![second, third]);
    assert_eq!(outcome.rejected.get(&a.log()), Some(&true));
    assert_eq!(c.head_of(&a).seq, 2);
}

#[test]
fn a_log_that_says_nothing_superseded_is_left_alone() {
    let a = Replica::founder();
    for n in 0..200 {
        a.put(&format!("r{n}"), "1");
    }
    let rows = a.rows_of(&a);
    a.compact();
    assert_eq!(a.rows_of(&a), rows);
    assert!(rows as u64 * 100 > LIMITS.min_bytes, "it's long enough to be looked at");
}

#[test]
fn words_on_logs_that_nobody_has_begun_use_up_no_places_of_their_device() {
    let (a, b) = pair();
    sync_both(&a, &b);
    let (id, device) = (a.space(), b.device());
    let at_once = 16;
    for first in (1..=MAX_LOGS_PER_DEVICE as u64).step_by(at_once) {
        let word = |n| {
            let head = |seq| Head { seq, hash: EntryHash([7; 32]) };
            Seen { log: LogId { device, incarnation: Incarnation(n) }, begin: head(2), last: head(3) }
        };
        let words = wire::encode(&(first..).take(at_once).map(word).collect::<Vec<_>>());
        a.with(move |rows, engine, secrets| {
            let key = engine.space(id)?.current_key().cloned().unwrap();
            engine.append(rows, secrets, id, (Kind::SEEN, Writer::Here), &key, &words, NOW_MS)
        });
    }
    sync(&a, &b);
    b.put("before", "1");
    b.with(move |rows, engine, _| engine.begin_incarnation(rows, id));
    b.put("after", "1");
    sync(&b, &a);
    assert_eq!(a.records(), b.records());
    assert_eq!(a.heads(), b.heads());
}

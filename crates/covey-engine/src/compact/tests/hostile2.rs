//! More of what compaction holds out against: old pasts, second histories, those who left, and who comes back.
#![allow(clippy::many_single_char_names, reason = "each is a story")]

use std::sync::Arc;

use covey_log::{BodyContext, Draft, Entry, EpochKey, Evidence, ForkProof, Kind, seal};
use covey_records::{PartWriter, Word};
use covey_space::{MembershipOp, Role};
use covey_types::{EntryHash, Head, Hlc, LogId, UserId, wire};

use super::{
    attacks::{agreed_as_told, agreed_while_one_was_away, checkpoints, key_of, promote, put_out, sign},
    replica::{NOW_MS, Replica, body, let_in, settle, sync, sync_at_most, sync_both, sync_but},
};
use crate::compact::{Claim, Seen};

/// Signs the next entry of any log of a device.
fn sign_in(
    r: &Replica,
    log: LogId,
    key: &EpochKey,
    head: Head,
    kind: Kind,
    deps: &[EntryHash],
    plain: &[u8],
) -> Entry {
    let place = BodyContext { space: r.space(), log, seq: head.seq + 1, kind };
    let body = if kind.is_open() { plain.to_vec() } else { seal(key, place, plain) };
    let hlc = Hlc::new(NOW_MS + 100 + head.seq, 0);
    let draft = Draft { space: r.space(), log, head, hlc, kind, epoch: key.id(), deps: deps.to_vec() };
    Entry::sign(&r.secrets.device, draft, body)
}

/// A checkpoint that a device makes behind any entry of a log, naming any past, and an agreement on it with these words: it leaves all
/// out, and says something at a place.
fn planted(
    thief: &Replica,
    log: LogId,
    (head, key): (Head, &EpochKey),
    past: &[EntryHash],
    (at, words): (u64, impl Fn(Seen) -> Vec<Entry>),
) -> Vec<Entry> {
    let begin = sign_in(thief, log, key, head, Kind::CHECKPOINT, past, &[]);
    let mut part = PartWriter::new(begin.header.seq);
    let said = body("planted", "\"by the thief\"");
    part.push(&Word { seq: at, hlc: Hlc::new(NOW_MS, 1), deps: past, body: &said });
    let part = sign_in(thief, log, key, begin.head(), Kind::CHECKPOINT_PART, past, &part.finish());
    let closing = PartWriter::closing(begin.header.seq);
    let closing = sign_in(thief, log, key, part.head(), Kind::CHECKPOINT_PART, past, &closing);
    let words = words(Seen { log, begin: begin.head(), last: closing.head() });
    let agreed = Claim::body(&begin, closing.head(), &words);
    let agreed = sign_in(thief, log, key, closing.head(), Kind::AGREED, past, &agreed);
    vec![begin, part, closing, agreed]
}

fn remove(by: &Replica, user: UserId, wall_ms: u64) {
    let id = by.space();
    by.with(move |rows, engine, secrets| engine.remove_member(rows, secrets, id, user, wall_ms));
}

/// A founder who was put out, whose device somebody has, and the owner who is left.
fn removed_founder() -> (Replica, Replica) {
    let a = Replica::founder();
    let b = let_in(&a, Role::Owner, NOW_MS);
    a.put("kept", "\"true\"");
    a.put("more", "1");
    a.put("more", "2");
    sync_both(&a, &b);
    remove(&b, a.secrets.user.id(), NOW_MS + 1);
    (a, b)
}

/// The thief forks the log right behind the founding, so that nothing of it has to be named: the agreement ends before the cut.
#[test]
fn a_removed_founder_forks_nothing_away_by_agreeing_alone_to_an_old_place() {
    for turn in 0..3 {
        let (a, b) = removed_founder();
        let (key, first) = (key_of(&a), a.entry(&a, 1));
        let mut made = planted(&a, a.log(), (first.head(), &key), &[first.hash], (1, |_| Vec::new()));
        let audit = b.audit();
        if turn == 1 {
            // The agreement comes first.
            made.rotate_right(1);
        } else if turn == 2 {
            // With the proof.
            let proof = ForkProof::of(a.space(), (&a.entry(&a, 2)).into(), (&made[0]).into()).unwrap();
            let evidence = Evidence::new(proof).with_agreed(Some(Arc::new(made[3].clone())));
            let id = b.space();
            b.with(move |rows, engine, secrets| {
                engine.take_evidence(rows, secrets, id, evidence, NOW_MS + 3)
            });
        }
        b.ingest(made.clone());
        b.ingest(made);
        b.compact();
        assert!(!b.records().contains("thief"), "an outsider wrote ({turn}): {}", b.records());
        assert!(b.records().contains("true"), "an outsider deleted ({turn})");
        assert_eq!(b.audit(), audit, "{turn}");
    }
}

/// A founder with two logs: what they did as an admin stands in the newer one only, so that the older one has nothing to name.
fn founder_with_two_logs() -> (Replica, Replica, LogId, Head) {
    let a = Replica::founder();
    a.put("kept", "\"true\"");
    a.put("more", "1");
    let (id, old) = (a.space(), a.log());
    // As after a restore.
    a.with(move |rows, engine, _| engine.begin_incarnation(rows, id));
    let b = let_in(&a, Role::Owner, NOW_MS);
    a.put("later", "1");
    sync_both(&a, &b);
    let head = a.head_of_log(old);
    assert!(head.seq == 3 && b.records().contains("true"));
    (a, b, old, head)
}

/// The checkpoint begins right behind the cut, and so the end by the limit isn't before what it speaks of.
#[test]
fn a_removed_founder_agrees_to_nothing_right_behind_the_cut() {
    let (a, b, old, head) = founder_with_two_logs();
    remove(&b, a.secrets.user.id(), NOW_MS + 1);
    let late = let_in(&b, Role::Member, NOW_MS + 2);
    let founding = b.pool().into_iter().find(|entry| entry.header.kind == Kind::FOUNDING).unwrap();
    let made = planted(&a, old, (head, &key_of(&a)), &[founding.hash], (2, |_| Vec::new()));
    b.ingest(made);
    b.compact();
    sync(&b, &late);
    assert!(!b.records().contains("thief"), "an outsider wrote: {}", b.records());
    assert!(b.records().contains("true"), "an outsider deleted");
    assert_eq!(b.records(), late.records());
}

/// Nobody has put out whoever left, so that no limit by another device bars their agreement.
#[test]
fn a_founder_who_left_agrees_to_nothing_more() {
    let (a, b, old, head) = founder_with_two_logs();
    remove(&a, a.secrets.user.id(), NOW_MS + 1);
    sync(&a, &b);
    assert_eq!(b.membership().role_of(a.device()), None);
    let founding = b.pool().into_iter().find(|entry| entry.header.kind == Kind::FOUNDING).unwrap();
    let made = planted(&a, old, (head, &key_of(&a)), &[founding.hash], (2, |_| Vec::new()));
    b.ingest(made);
    b.compact();
    assert!(!b.records().contains("thief"), "an outsider wrote: {}", b.records());
    assert!(b.records().contains("true"), "an outsider deleted");
}

/// One who put the author out and gave their word all the same, and was put out since.
#[test]
fn two_who_were_put_out_agree_to_nothing_together() {
    let a = Replica::founder();
    let c = let_in(&a, Role::Owner, NOW_MS);
    let past = a.entry(&a, a.head_of(&a).seq).hash;
    a.put("kept", "\"true\"");
    sync_both(&a, &c);
    let b = let_in(&c, Role::Owner, NOW_MS + 1);
    sync_both(&c, &b);
    let head = c.head_of(&a);
    remove(&c, a.secrets.user.id(), NOW_MS + 2);
    sync_both(&c, &b);
    remove(&b, c.secrets.user.id(), NOW_MS + 3);
    assert_eq!((b.membership().role_of(a.device()), b.membership().role_of(c.device())), (None, None));
    let key = key_of(&a);
    let word = |seen: Seen| {
        let at = Hlc::new(NOW_MS + 200, 0);
        vec![sign(&c, &key, c.head_of(&c), at, Kind::SEEN, vec![past], &wire::encode(&vec![seen]))]
    };
    b.ingest(planted(&a, a.log(), (head, &key), &[past], (3, word)));
    b.compact();
    assert!(!b.records().contains("thief"), "an outsider wrote: {}", b.records());
    assert!(b.records().contains("true"), "an outsider deleted");
}

/// The thief is the first whom a newcomer meets, and shows it the founding and an agreement; and says as well that it has let the
/// newcomer in.
#[test]
fn a_removed_founder_keeps_no_newcomer_from_the_rest() {
    for lets_in in [false, true] {
        let (a, b) = removed_founder();
        let late = let_in(&b, Role::Member, NOW_MS + 2);
        let (first, id, device) = (a.entry(&a, 1), a.space(), late.secrets.certified());
        let mut shown = vec![first.clone()];
        let mut past = first.hash;
        if lets_in {
            // It hasn't heard that it was put out.
            a.with(move |rows, engine, secrets| {
                engine.admit(rows, secrets, id, "Bob", Role::Member, &device, NOW_MS + 3)
            });
            let act = a.entry(&a, a.head_of(&a).seq);
            past = act.hash;
            shown.push(act);
        }
        let made = planted(&a, a.log(), (a.head_of(&a), &key_of(&a)), &[past], (2, |_| Vec::new()));
        shown.push(made[3].clone());
        late.ingest(shown);
        late.ingest(made.clone());
        b.ingest(made);
        for _ in 0..3 {
            sync_at_most(&b, &late, 64 << 10, 50);
        }
        assert_eq!(late.records(), b.records(), "{lets_in}");
        assert!(b.audit().iter().all(|act| late.audit().contains(act)), "{lets_in}");
    }
}

/// An honest copy of a home let somebody in who built upon that; all had agreed to the other history.
#[test]
fn what_others_built_upon_in_another_history_makes_no_agreement_fall() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Admin, NOW_MS);
    sync_both(&a, &b);
    b.put("first", "1");
    sync_both(&a, &b);
    let (b, copy) = b.copied();
    let place = b.head_of(&b).seq + 1;
    b.put("kept", "\"true\"");
    let one = b.entry(&b, place);
    for round in 0..80 {
        b.put("often", &format!("{round}"));
    }
    settle(&[&a, &b]);
    assert!(a.state_of(&b).base > 40 && a.rows_of(&b) < 20);
    let z = let_in(&copy, Role::Member, NOW_MS + 1);
    let other = copy.entry(&copy, place);
    assert!(other.header.kind.is_membership());
    sync(&copy, &z);
    let id = z.space();
    z.with(move |rows, engine, secrets| {
        engine.append_acts(rows, secrets, id, NOW_MS + 2, &[MembershipOp::RenameUser("Zoe".into())])
    });
    let before = a.records();
    assert!(before.contains("true"));
    // Somebody who has all of the first history has met the other one.
    let proof = ForkProof::of(a.space(), (&one).into(), (&other).into()).unwrap();
    let evidence = Evidence::new(proof).with(vec![Arc::new(other)]);
    a.with(move |rows, engine, secrets| engine.take_evidence(rows, secrets, id, evidence, NOW_MS + 3));
    assert_eq!(a.records(), before);
    sync_at_most(&z, &a, 64 << 10, 50);

    assert!(a.membership().has_device(z.device()), "it's built upon");
    assert_eq!(a.records(), before, "what all agreed to is final");
}

/// The agreement on a log falls since its author was put out before it; and the author is taken in again.
#[test]
fn who_comes_back_after_an_agreement_on_their_log_fell_is_heard_again() {
    let (f, m, away, later) = agreed_while_one_was_away();
    let seen = away.head_of(&m);
    promote(&f, &away, later + 1);
    sync_but(&f, &away, &m);
    put_out(&away, &m, seen);
    let meet = || {
        for _ in 0..3 {
            for a in [&f, &away, &m] {
                for b in [&f, &away, &m] {
                    sync_at_most(a, b, 64 << 10, 50);
                }
            }
        }
    };
    meet();
    let (id, device) = (f.space(), m.secrets.certified());
    f.with(move |rows, engine, secrets| {
        engine.admit(rows, secrets, id, "Bob", Role::Member, &device, later + 5)
    });
    meet();
    m.put_at("back", "1", later + 10);
    meet();
    assert!(f.records().contains("\"back\" Some"), "what m writes reaches nobody any more");
    assert_eq!(m.records(), f.records());
    assert_eq!(away.records(), f.records());
}

/// A member with a second device, which they put out and take in again.
#[test]
fn a_member_makes_nobody_write_checkpoint_after_checkpoint_by_adding_devices() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Member, NOW_MS);
    let m = let_in(&a, Role::Member, NOW_MS);
    sync_both(&a, &b);
    sync_both(&a, &m);
    for round in 0..80 {
        b.put("r1", &format!("{round}"));
    }
    b.compact();
    for round in 0..6 {
        let id = m.space();
        let spare = Replica::founder().secrets.of_user(m.secrets.user.clone(), "Bob".into());
        let device = spare.certified();
        m.with(move |rows, engine, secrets| engine.add_device(rows, secrets, id, &device, NOW_MS + round));
        sync_both(&m, &a);
        sync_both(&a, &b);
        b.compact();
    }
    let count = checkpoints(&b);
    assert!(count < 4, "{count} checkpoints were written");
}

/// Two, and a third to whom the second one gave an act that claims to stand far behind the end of its log.
fn one_that_was_told_more() -> (Replica, Replica, Replica) {
    let (a, b) = super::pair();
    sync_both(&a, &b);
    b.put("r1", "1");
    sync_both(&a, &b);
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    sync_both(&a, &c);
    let deps = b.entry(&b, b.head_of(&b).seq).header.deps;
    let head = Head { seq: 999, hash: EntryHash([9; 32]) };
    let acts = covey_space::ops::encode(&[MembershipOp::RenameUser("Mallory".into())]);
    let key = key_of(&b);
    let place = BodyContext { space: b.space(), log: b.log(), seq: 1000, kind: Kind::MEMBERSHIP };
    let sealed = covey_space::ops::seal_acts(&key, place, &acts);
    let (space, log, kind, epoch) = (b.space(), b.log(), Kind::MEMBERSHIP, key.id());
    let hlc = Hlc::new(NOW_MS + 50, 0);
    let forged = Entry::sign(&b.secrets.device, Draft { space, log, head, hlc, kind, epoch, deps }, sealed);
    c.ingest(vec![forged]);
    (a, b, c)
}

/// Nobody passes it on, since the log never comes to it.
#[test]
fn an_act_that_lies_apart_for_ever_makes_nobody_speak_to_themselves() {
    let (a, _, c) = one_that_was_told_more();
    c.put_at("by c", "1", NOW_MS + 5000);
    for _ in 0..3 {
        sync_both(&c, &a);
    }
    assert!(a.records().contains("by c"), "nobody understands c any more");
}

/// The same, that c goes on believing what nobody else has.
#[test]
fn an_act_that_lies_apart_for_ever_is_not_believed_by_one_alone() {
    let (a, _, c) = one_that_was_told_more();
    for _ in 0..3 {
        sync_both(&c, &a);
    }
    assert_eq!((c.audit(), c.records()), (a.audit(), a.records()));
}

/// Somebody says two things far behind the end of their log, one to each: no proof can be made of it, since they follow
/// different entries.
#[test]
fn of_two_acts_that_lie_apart_at_one_place_all_believe_the_same() {
    let (a, b, c) = one_that_was_told_more();
    let deps = b.entry(&b, b.head_of(&b).seq).header.deps;
    let head = Head { seq: 999, hash: EntryHash([7; 32]) };
    let acts = covey_space::ops::encode(&[MembershipOp::RenameUser("Trudy".into())]);
    let key = key_of(&b);
    let place = BodyContext { space: b.space(), log: b.log(), seq: 1000, kind: Kind::MEMBERSHIP };
    let sealed = covey_space::ops::seal_acts(&key, place, &acts);
    let (space, log, kind, epoch) = (b.space(), b.log(), Kind::MEMBERSHIP, key.id());
    let hlc = Hlc::new(NOW_MS + 50, 0);
    a.ingest(vec![Entry::sign(
        &b.secrets.device,
        Draft { space, log, head, hlc, kind, epoch, deps },
        sealed,
    )]);
    assert_ne!(a.audit(), c.audit());
    for _ in 0..3 {
        sync_both(&c, &a);
    }
    assert_eq!((a.audit(), a.records()), (c.audit(), c.records()));
    b.put("still", "1");
    for one in [&a, &c] {
        sync_both(&b, one);
        assert!(one.records().contains("still"), "the log goes on");
    }
}

/// Who was away, and put out meanwhile, has begun a checkpoint that counts nowhere, and is taken in again.
#[test]
fn a_checkpoint_that_was_begun_while_one_was_out_does_not_end_compaction() {
    let (a, m) = super::pair();
    sync_both(&a, &m);
    m.put("kept", "1");
    sync_both(&a, &m);
    remove(&a, m.secrets.user.id(), NOW_MS + 1);
    for round in 0..80 {
        m.put("r1", &format!("{round}"));
    }
    m.compact();
    assert!(m.state_of(&m).open.is_some_and(|open| open.last.is_some()));
    let (id, device) = (a.space(), m.secrets.certified());
    a.with(move |rows, engine, secrets| {
        engine.admit(rows, secrets, id, "Bob", Role::Member, &device, NOW_MS + 2)
    });
    sync_both(&a, &m);
    let later = NOW_MS + 3 * 86_400_000;
    for round in 0..80 {
        m.put_at("r2", &format!("{round}"), later + round);
    }
    for _ in 0..5 {
        sync_both(&a, &m);
        m.compact_at(later + 100);
        a.compact_at(later + 100);
    }
    assert_eq!(m.records(), a.records());
    assert!(m.rows_of(&m) < 30, "{} rows", m.rows_of(&m));
}

/// A limit made an agreement fall, and falls itself: what all had dropped and set aside counts again.
#[test]
fn what_an_agreement_took_with_it_comes_back_when_it_stands_again() {
    comes_back(false);
}

/// The same, where the cut names an entry of the checkpoint itself: up to there the log comes again from somebody else.
#[test]
fn what_an_agreement_took_with_it_comes_back_behind_what_came_again() {
    comes_back(true);
}

fn comes_back(has_begun: bool) {
    let (f, m, away, later, whole) = agreed_as_told();
    if has_begun {
        let begin = f.state_of(&m).base + 1;
        away.ingest(whole.into_iter().filter(|entry| entry.header.seq <= begin).collect());
        assert_eq!(away.head_of(&m).seq, begin);
    }
    let seen = away.head_of(&m);
    let g = let_in(&f, Role::Owner, later);
    sync_but(&f, &g, &m);
    promote(&f, &away, later + 1);
    sync_but(&f, &away, &m);
    sync_but(&f, &g, &m);
    assert!(f.records().contains("second"));
    // Nobody hears of the author any more. One puts them out, and another one takes the right to do so at that moment.
    put_out(&away, &m, seen);
    let (id, user) = (f.space(), away.secrets.user.id());
    g.with(move |rows, engine, secrets| engine.set_role(rows, secrets, id, user, Role::Member, later + 2));
    sync_at_most(&away, &f, 64 << 10, 50);
    assert_eq!(f.records().contains("second"), has_begun, "the cut says how much of it counts");
    assert!(f.state_of(&m).base == 0);
    for _ in 0..3 {
        sync_at_most(&g, &f, 64 << 10, 50);
        sync_at_most(&away, &f, 64 << 10, 50);
    }
    assert!(f.membership().has_device(m.device()), "they were never put out");
    assert!(f.records().contains("second"), "what was here, and nobody took away, is gone");
}

/// Who gave their word on a checkpoint puts its author out while that one closes it, and leaves later.
#[test]
fn an_agreement_outlives_those_who_agreed_and_put_the_author_out_meanwhile() {
    let a = Replica::founder();
    let f = let_in(&a, Role::Owner, NOW_MS);
    let m = let_in(&a, Role::Member, NOW_MS);
    for one in [&f, &m] {
        sync_both(&a, one);
    }
    m.put("kept", "\"true\"");
    for round in 0..80 {
        m.put("r1", &format!("{round}"));
    }
    m.compact();
    sync_both(&m, &a);
    sync_both(&a, &f);
    f.compact();
    a.compact();
    sync_both(&f, &a);
    sync_both(&a, &m);
    remove(&f, m.secrets.user.id(), NOW_MS + 1);
    m.compact();
    sync_both(&m, &a);
    a.compact();
    assert!(a.state_of(&m).base > 40 && a.rows_of(&m) < 20, "{:?}", a.state_of(&m));
    sync_both(&f, &a);
    f.compact();
    assert!(a.records().contains("true"));
    remove(&f, f.secrets.user.id(), NOW_MS + 2);
    sync_both(&f, &a);
    assert!(a.records().contains("true"), "it was in the agreement, and before the cut");
}

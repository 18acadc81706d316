//! What compaction holds out against: members who lie, devices that were put out, couriers, clocks and copies.
#![allow(clippy::too_many_lines, clippy::many_single_char_names, reason = "each is a story")]

use std::collections::BTreeSet;

use covey_log::{BodyContext, Draft, Entry, EpochKey, Kind, seal};
use covey_records::{PartWriter, Word};
use covey_space::{
    MembershipOp, Role, kem,
    ops::{Cut, RemoveMember, SetRole},
};
use covey_types::{EntryHash, Hlc, Incarnation, LogId, wire};

use super::super::*;
use super::replica::{self, NOW_MS, Replica, body, let_in, settle, sync, sync_at_most, sync_both};
use crate::apply::Writer;

pub(super) fn key_of(r: &Replica) -> EpochKey {
    let id = r.space();
    r.with(move |_, engine, _| Ok(engine.space(id)?.current_key().cloned().unwrap()))
}

/// Signs the next entry of a log, whatever it says.
pub(super) fn sign(
    r: &Replica,
    key: &EpochKey,
    head: Head,
    at: Hlc,
    kind: Kind,
    deps: Vec<EntryHash>,
    plain: &[u8],
) -> Entry {
    let place = BodyContext { space: r.space(), log: r.log(), seq: head.seq + 1, kind };
    let body = if kind.is_open() { plain.to_vec() } else { seal(key, place, plain) };
    let draft = Draft { space: r.space(), log: r.log(), head, hlc: at, kind, epoch: key.id(), deps };
    Entry::sign(&r.secrets.device, draft, body)
}

pub(super) fn put_out(admin: &Replica, whom: &Replica, cut: Head) {
    let (id, user, log) = (admin.space(), whom.secrets.user.id(), whom.log());
    admin.with(move |rows, engine, secrets| {
        let acts = [MembershipOp::RemoveMember(RemoveMember { user, cuts: vec![Cut { log, head: cut }] })];
        engine.append_acts(rows, secrets, id, NOW_MS + 1, &acts)
    });
}

#[test]
fn a_removed_founder_writes_nothing_more() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Owner, NOW_MS);
    sync_both(&a, &b);
    a.put("kept", "\"true\"");
    sync_both(&a, &b);
    let head = a.head_of(&a);
    put_out(&b, &a, head);
    let late = let_in(&b, Role::Member, NOW_MS + 2);
    assert!(b.records().contains("true"));
    // The thief of a's key, who needs nothing but the old log.
    let (key, founding) = (key_of(&a), a.entry(&a, 1).hash);
    let at = |n: u64| Hlc::new(NOW_MS + 100 + n, 0);
    let begin = sign(&a, &key, head, at(0), Kind::CHECKPOINT, vec![founding], &[]);
    let mut part = PartWriter::new(begin.header.seq);
    let made = body("planted", "\"by the thief\"");
    let hlc = Hlc::from_u64(u64::MAX - 9);
    part.push(&Word { seq: 2, hlc, deps: &[founding], body: &made });
    let part = sign(&a, &key, begin.head(), at(1), Kind::CHECKPOINT_PART, vec![founding], &part.finish());
    let closing = PartWriter::closing(begin.header.seq);
    let closing = sign(&a, &key, part.head(), at(2), Kind::CHECKPOINT_PART, vec![founding], &closing);
    let words = Claim::body(&begin, closing.head(), []);
    let agreed = sign(&a, &key, closing.head(), at(3), Kind::AGREED, vec![founding], &words);
    b.ingest(vec![begin, part, closing, agreed]);

    b.compact();

    sync(&b, &late);
    late.compact();

    b.put("planted", "\"mended\"");

    assert!(!b.records().contains("thief"), "an outsider wrote");
    assert!(b.records().contains("true"), "an outsider deleted");
}

#[test]
fn a_member_can_not_write_from_the_future_through_a_part_nobody_can_open() {
    let (a, b) = super::pair();
    sync_both(&a, &b);
    b.put("honest", "1");
    let (id, hidden) = (b.space(), EpochKey::generate());
    let under = hidden.clone();
    b.with(move |rows, engine, secrets| {
        let key = engine.space(id)?.current_key().cloned().unwrap();
        let own = engine.space(id)?.own_log(secrets.device.id());
        let log = rows.ensure_log(engine.space(id)?.key, own)?;
        let said = crate::load::decode_stored(&rows.entry(log, rows.head(log)?.seq)?.unwrap())?;
        engine.append(rows, secrets, id, (Kind::CHECKPOINT, Writer::Here), &key, &[], NOW_MS)?;
        let begin = rows.head(log)?.seq;
        let word = |hlc, made: &[u8]| {
            let mut part = PartWriter::new(begin);
            part.push(&Word { seq: said.header.seq, hlc, deps: &said.header.deps, body: made });
            part.finish()
        };
        let honest = word(said.header.hlc, &body("honest", "1"));
        engine.append(rows, secrets, id, (Kind::CHECKPOINT_PART, Writer::Here), &key, &honest, NOW_MS)?;
        let lie = word(Hlc::from_u64(u64::MAX - 9), &body("shared", "\"for ever\""));
        engine.append(rows, secrets, id, (Kind::CHECKPOINT_PART, Writer::Here), &under, &lie, NOW_MS)?;
        let closing = PartWriter::closing(begin);
        engine.append(rows, secrets, id, (Kind::CHECKPOINT_PART, Writer::Here), &key, &closing, NOW_MS)
    });
    settle(&[&a, &b]);

    let to = [a.device(), b.device()];
    b.with(move |rows, engine, secrets| {
        let state = engine.space(id)?;
        let keys =
            to.iter().map(|to| kem::seal(id, &hidden, *to, state.membership.kem_of(*to).unwrap()).unwrap());
        let acts = [MembershipOp::ShareKeys(keys.collect())];
        engine.append_acts(rows, secrets, id, NOW_MS, &acts)
    });
    sync_both(&a, &b);
    a.put_at("shared", "\"newer\"", NOW_MS + 5000);

    assert!(a.records().contains("newer"), "what was acknowledged is not there");
}

#[test]
fn a_home_set_back_counts_nothing_twice() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Member, NOW_MS);
    sync_both(&a, &b);
    for round in 0..10 {
        b.change("counted", NOW_MS + round, 1);
    }
    sync_both(&a, &b);
    let (b, copy) = b.copied();
    for round in 0..10 {
        b.change("counted", NOW_MS + 20 + round, 1);
    }
    for round in 0..200 {
        b.put_at("often", &format!("{round}"), NOW_MS + 50 + round);
    }
    settle(&[&a, &b]);
    assert!(a.state_of(&b).base > 100);
    assert!(a.records().contains(r#"\"n\":20"#), "{}", a.records());
    // The copy has written nothing of its own.
    sync_both(&a, &copy);
    copy.compact_at(NOW_MS + 2000);
    copy.write_again(NOW_MS + 2000);
    sync_both(&a, &copy);

    assert!(a.records().contains(r#"\"n\":20"#), "counted twice");
}

#[test]
fn a_guest_can_not_use_up_the_logs_of_somebody_else() {
    let a = Replica::founder();
    let v = let_in(&a, Role::Member, NOW_MS);
    let g = let_in(&a, Role::Guest, NOW_MS + 1);
    sync_both(&a, &v);
    sync_both(&a, &g);
    let (id, victim, begin) = (a.space(), v.device(), Head { seq: 2, hash: EntryHash::NONE });
    g.with(move |rows, engine, secrets| {
        let key = engine.space(id)?.current_key().cloned().unwrap();
        for chunk in 0..5u64 {
            let seen = |n: u64| Seen {
                log: LogId { device: victim, incarnation: Incarnation(chunk * 16 + n) },
                begin,
                last: Head { seq: 3, hash: EntryHash::NONE },
            };
            let words: Vec<Seen> = (0..16).map(seen).collect();
            engine.append(
                rows,
                secrets,
                id,
                (Kind::SEEN, Writer::Here),
                &key,
                &wire::encode(&words),
                NOW_MS,
            )?;
        }
        Ok(())
    });
    sync(&g, &a);
    // As after a restore.
    v.with(move |rows, engine, _| {
        crate::begin_anew(rows)?;
        Ok(engine.reload(rows)?)
    });
    v.put("after", "1");
    sync_at_most(&v, &a, 64 << 10, 200);

    assert!(a.records().contains("after"), "the victim is heard by nobody any more");
}

pub(super) fn checkpoints(of: &Replica) -> usize {
    (1..=of.head_of(of).seq).filter(|seq| of.entry(of, *seq).header.kind == Kind::CHECKPOINT).count()
}

#[test]
fn a_wrong_word_makes_nobody_write_checkpoint_after_checkpoint() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Admin, NOW_MS);
    sync_both(&a, &b);
    for round in 0..80 {
        a.put("r1", &format!("{round}"));
    }
    for _ in 0..6 {
        a.compact();
        sync_both(&a, &b);
        let (id, log, last) = (a.space(), a.log(), a.state_of(&a).open.unwrap().last.unwrap());
        b.with(move |rows, engine, secrets| {
            let key = engine.space(id)?.current_key().cloned().unwrap();
            let seen = vec![Seen { log, begin: Head { seq: 1, hash: EntryHash::NONE }, last }];
            engine.append(rows, secrets, id, (Kind::SEEN, Writer::Here), &key, &wire::encode(&seen), NOW_MS)
        });
        sync_both(&a, &b);
    }
    let count = checkpoints(&a);
    assert!(count < 3, "{count} checkpoints were written");
}

#[test]
fn a_device_left_alone_does_not_write_checkpoints_for_ever() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Owner, NOW_MS);
    sync_both(&a, &b);
    put_out(&b, &a, b.head_of(&a));
    a.put("meanwhile", "1");
    sync_both(&a, &b);
    let (id, device) = (a.space(), a.secrets.certified());
    b.with(move |rows, engine, secrets| {
        engine.admit(rows, secrets, id, "Ada", Role::Owner, &device, NOW_MS + 5)
    });
    sync_both(&a, &b);
    a.put_at("back", "1", NOW_MS + 10);
    assert!(a.records().contains("back") && !a.records().contains("\"meanwhile\" Some"));
    put_out(&a, &b, a.head_of(&b));
    let later = NOW_MS + ABSENT_AFTER_MS + 10_000;
    for round in 0..80 {
        a.put_at("r1", &format!("{round}"), later + round);
    }
    a.compact_at(later + 200);
}

#[test]
fn an_act_that_lies_apart_and_fits_nowhere_does_not_stop_a_log() {
    let (a, b) = super::pair();
    sync_both(&a, &b);
    for round in 0..10 {
        b.put(&format!("r{round}"), "1");
    }
    sync_both(&a, &b);
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    replica::sync_but(&a, &c, &b);
    let first = b.entry(&b, 1);
    let head = Head { seq: 5, hash: EntryHash([9; 32]) };
    let deps = first.header.deps.clone();
    let twin = sign(&b, &key_of(&b), head, Hlc::new(NOW_MS + 50, 0), Kind::MEMBERSHIP, deps, b"junk");
    c.ingest(vec![twin]);
    for _ in 0..3 {
        sync_at_most(&a, &c, 64 << 10, 50);
    }

    assert_eq!(c.head_of(&b), a.head_of(&b));
    assert_eq!(c.records(), a.records());
}

#[test]
fn a_courier_can_not_leave_an_act_out_by_naming_an_old_past() {
    let (a, b) = super::pair();
    sync_both(&a, &b);
    b.put("r1", "1");
    let id = b.space();
    b.with(move |rows, engine, secrets| {
        engine.append_acts(rows, secrets, id, NOW_MS, &[MembershipOp::RenameUser("Bert".into())])
    });
    sync_both(&a, &b);
    let (key, first) = (key_of(&b), b.entry(&b, 1));
    let old = first.header.deps.clone();
    let at = |n: u64| Hlc::new(NOW_MS + 100 + n, 0);
    let begin = sign(&b, &key, b.head_of(&b), at(0), Kind::CHECKPOINT, old.clone(), &[]);
    let mut part = PartWriter::new(begin.header.seq);
    part.push(&Word { seq: 1, hlc: first.header.hlc, deps: &old, body: &body("r1", "1") });
    let part = sign(&b, &key, begin.head(), at(1), Kind::CHECKPOINT_PART, old.clone(), &part.finish());
    let closing = PartWriter::closing(begin.header.seq);
    let closing = sign(&b, &key, part.head(), at(2), Kind::CHECKPOINT_PART, old.clone(), &closing);
    a.ingest(vec![begin.clone(), part.clone(), closing.clone()]);
    a.compact();

    let seen = a.entry(&a, a.head_of(&a).seq);
    assert_ne!(seen.header.kind, Kind::SEEN, "no honest admin agrees");
    let words = Claim::body(&begin, closing.head(), []);
    let agreed = sign(&b, &key, closing.head(), at(3), Kind::AGREED, old, &words);
    a.ingest(vec![agreed.clone()]);
    a.compact();
    let c = let_in(&a, Role::Member, NOW_MS + 200);
    c.ingest((1..=2).map(|seq| a.entry(&a, seq)).collect());
    c.ingest(vec![agreed, begin, part, closing]);
    sync_at_most(&a, &c, 64 << 10, 50);
    a.put_at("late", "1", NOW_MS + 5000);
    sync_at_most(&a, &c, 64 << 10, 50);

    assert_eq!(c.audit().len(), a.audit().len(), "an act is missing for good");
    assert_eq!(c.records(), a.records());
}

#[test]
fn an_act_of_a_removed_admin_that_lies_apart_counts_nowhere() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Owner, NOW_MS);
    sync_both(&a, &b);
    for round in 0..10 {
        a.put(&format!("r{round}"), "1");
    }
    sync_both(&a, &b);
    put_out(&b, &a, b.head_of(&a));
    let c = let_in(&b, Role::Member, NOW_MS + 2);
    // What c has of the log of a so far: the act that took b in. The thief is the first it meets.
    c.ingest((1..=3).map(|seq| b.entry(&a, seq)).collect());
    let profile = crate::Profile { user_name: "Eve".into(), device_name: "eve".into() };
    let eve = crate::Secrets::generate(profile).unwrap();
    let device = eve.certified();
    let head = Head { seq: 5, hash: EntryHash([9; 32]) };
    let key = key_of(&a);
    let act = MembershipOp::AddMember(covey_space::AddMember {
        user: eve.user.id(),
        user_name: "Eve".into(),
        role: Role::Owner,
        devices: vec![device],
        keys: Vec::new(),
    });
    let place = BodyContext { space: a.space(), log: a.log(), seq: 6, kind: Kind::MEMBERSHIP };
    let sealed = covey_space::ops::seal_acts(&key, place, &covey_space::ops::encode(&[act]));
    let deps = vec![a.entry(&a, 2).hash];
    let draft = Draft {
        space: a.space(),
        log: a.log(),
        head,
        hlc: Hlc::new(NOW_MS + 900, 0),
        kind: Kind::MEMBERSHIP,
        epoch: key.id(),
        deps,
    };
    let forged = Entry::sign(&a.secrets.device, draft, sealed);
    c.ingest(vec![forged]);
    for _ in 0..3 {
        sync_at_most(&b, &c, 64 << 10, 50);
    }
    c.put_at("by c", "1", NOW_MS + 2000);
    sync_at_most(&c, &b, 64 << 10, 50);

    assert_eq!(c.membership().role_of(eve.device.id()), None, "an outsider let somebody in");
}

#[test]
fn a_returning_device_with_a_slow_clock_is_not_asked_for_the_same_again_and_again() {
    let (a, b) = super::pair();
    sync_both(&a, &b);
    let d = let_in(&a, Role::Member, NOW_MS + 1);
    sync(&a, &d);
    let later = NOW_MS + 3_600_000;
    for round in 0..80 {
        a.put_at("r1", &format!("{round}"), later + round);
    }
    for _ in 0..4 {
        replica::sync_both(&a, &b);
        a.compact_at(later + ABSENT_AFTER_MS);
        b.compact_at(later + ABSENT_AFTER_MS);
    }

    let mut told = Vec::new();
    for _ in 0..3 {
        let (id, entries) = (a.space(), a.load(&d.heads(), usize::MAX));
        told.push(entries.len());
        // An hour behind.
        let slow = NOW_MS + 2;
        d.with(move |rows, engine, secrets| {
            let keys = engine.space(id)?.info.keys.clone();
            let mut entries = std::collections::VecDeque::from(entries);
            let prepared = crate::prepare(&mut entries, &keys).unwrap();
            engine.ingest(rows, secrets, id, prepared, slow)
        });
    }
    assert!(told[2] == 0, "the session asks again at once, for ever: {told:?} entries");
}

#[test]
fn an_agreement_that_stands_nowhere_takes_nothing_from_newcomers() {
    let (a, b) = super::pair();
    sync_both(&a, &b);
    for round in 0..80 {
        b.put("r1", &format!("{round}"));
    }
    settle(&[&a, &b]);
    let agreed = a.state_of(&b).agreed.unwrap();
    assert!(a.state_of(&b).base > 0);
    let real = a.entry(&b, agreed.at.seq);
    let head = Head { seq: 9_999, hash: EntryHash([9; 32]) };
    let far = sign(
        &b,
        &key_of(&b),
        head,
        Hlc::new(NOW_MS + 900, 0),
        Kind::AGREED,
        real.header.deps.clone(),
        &real.body,
    );
    a.ingest(vec![far]);
    let d = let_in(&a, Role::Member, NOW_MS + 1);
    sync_at_most(&a, &d, 64 << 10, 50);

    assert_eq!(d.records(), a.records());
}

#[test]
fn who_was_put_out_can_not_hold_up_compaction_for_ever() {
    let (a, b) = super::pair();
    sync_both(&a, &b);
    b.put_at("x", "1", NOW_MS + 10 * 365 * 86_400_000);
    sync_both(&a, &b);
    put_out(&a, &b, a.head_of(&b));
    a.compact_at(NOW_MS + 2);
    let later = NOW_MS + 300 * 86_400_000;
    for round in 0..80 {
        a.put_at("r1", &format!("{round}"), later + round);
    }
    a.compact_at(later + 200);

    assert!(a.rows_of(&a) < 20, "{} rows", a.rows_of(&a));
}

#[test]
fn a_word_that_was_dropped_is_said_again() {
    let f = Replica::founder();
    let m = let_in(&f, Role::Member, NOW_MS);
    sync_both(&f, &m);
    for round in 0..80 {
        m.put_at("mine", &format!("{round}"), NOW_MS + round);
    }
    m.compact_at(NOW_MS + 100);
    sync(&m, &f);
    f.compact_at(NOW_MS + 100);
    assert!(f.state_of(&m).has_seen(f.device()));
    // m is away, its word on the way to it is dropped.
    let later = NOW_MS + ABSENT_AFTER_MS + 10_000;
    for round in 0..80 {
        f.put_at("r1", &format!("{round}"), later + round);
    }
    f.compact_at(later + 200);
    assert!(f.rows_of(&f) < 20, "{}", f.rows_of(&f));
    for _ in 0..5 {
        sync_both(&f, &m);
        m.compact_at(later + 300);
        f.compact_at(later + 300);
    }

    assert!(m.rows_of(&m) < 20, "{} rows", m.rows_of(&m));
}

fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_few_kilobytes_of_a_member_cost_little_memory() {
    let (a, b) = super::pair();
    sync_both(&a, &b);
    b.put("r1", "1");
    let id = b.space();
    let parts = 4;
    b.with(move |rows, engine, secrets| {
        let key = engine.space(id)?.current_key().cloned().unwrap();
        let own = engine.space(id)?.own_log(secrets.device.id());
        let log = rows.ensure_log(engine.space(id)?.key, own)?;
        let place = rows.head(log)?.seq;
        engine.append(rows, secrets, id, (Kind::CHECKPOINT, Writer::Here), &key, &[], NOW_MS)?;
        let begin = rows.head(log)?.seq;
        // version, begin, flag, one list of 32 hashes, words of 12 bytes
        let mut part = vec![1, begin as u8, 0, 1, 32];
        part.extend([7; 32 * 32]);
        for n in 0..100_000u64 {
            part.push(if n == 0 { place as u8 } else { 0 });
            part.extend([0; 8]);
            part.extend([0, 1, 0]);
        }
        for _ in 0..parts {
            engine.append(rows, secrets, id, (Kind::CHECKPOINT_PART, Writer::Here), &key, &part, NOW_MS)?;
        }
        let closing = PartWriter::closing(begin);
        engine.append(rows, secrets, id, (Kind::CHECKPOINT_PART, Writer::Here), &key, &closing, NOW_MS)
    });
    sync(&b, &a);
    let before = peak_kb();
    a.compact();
    let after = peak_kb();

    assert!(after < before + 50_000, "{} kB", after - before);
}

#[test]
fn of_a_log_that_was_entered_nothing_is_said_to_be_held_before_all_is() {
    let (a, b) = super::pair();
    let long = "x".repeat(3000);
    for round in 0..3 {
        let value = |n: u64| format!("\"{}\"", replica::noise(round * 1000 + n, &long));
        a.puts((0..300).map(|n| (format!("r{n}"), value(n))).collect(), NOW_MS);
    }
    settle(&[&a, &b]);
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    let mut durable = BTreeSet::new();
    let mut sync_a_little = || {
        let entries = a.load(&c.heads(), 200 << 10);
        durable.extend(c.ingest(entries).durable.into_keys());
        durable.contains(&a.log())
    };
    let said = [sync_a_little(), sync_a_little()];
    let held = c.records().lines().count();
    let told = c.heads().get(&a.log()).map_or(0, |head| head.seq);

    assert!(held < 300 && told > a.state_of(&a).base, "it was entered, and not all has come: {held} {told}");
    assert_eq!(a.state_of(&a).surely_held(told), 0, "it has {told} and lacks {} records", 300 - held);
    assert_eq!(said, [false; 2], "and doesn't say that it has it");
    while !sync_a_little() {}
    sync(&a, &c);
    let told = c.heads()[&a.log()].seq;
    assert_eq!(a.state_of(&a).surely_held(told), told);
}

/// A member whose log all agreed to, and one who was away and saw only the beginning of it.
pub(super) fn agreed_while_one_was_away() -> (Replica, Replica, Replica, u64) {
    let (f, m, away, later, _) = agreed_as_told();
    (f, m, away, later)
}

/// The same, and the author's log as it was before anything of it was dropped.
pub(super) fn agreed_as_told() -> (Replica, Replica, Replica, u64, Vec<Entry>) {
    let f = Replica::founder();
    let m = let_in(&f, Role::Member, NOW_MS);
    let away = let_in(&f, Role::Member, NOW_MS + 1);
    sync_both(&f, &m);
    m.put_at("early", "\"first\"", NOW_MS + 2);
    sync_both(&f, &m);
    sync(&f, &away);
    let later = NOW_MS + ABSENT_AFTER_MS + 10_000;
    for round in 0..80 {
        m.put_at("r1", &format!("{round}"), later + round);
    }
    m.put_at("early", "\"second\"", later + 100);
    let mut whole = Vec::new();
    for _ in 0..3 {
        m.compact_at(later + 200);
        if whole.is_empty() {
            whole = m.pool().into_iter().filter(|entry| entry.header.log == m.log()).collect();
        }
        sync_both(&f, &m);
        f.compact_at(later + 200);
        sync_both(&f, &m);
    }
    assert!(f.state_of(&m).base > 0 && f.rows_of(&m) < 20, "{} rows", f.rows_of(&m));
    (f, m, away, later + 300, whole)
}

pub(super) fn promote(by: &Replica, whom: &Replica, wall_ms: u64) {
    let (id, user) = (by.space(), whom.secrets.user.id());
    by.with(move |rows, engine, secrets| {
        let acts = [MembershipOp::SetRole(SetRole { user, role: Role::Admin, cuts: Vec::new() })];
        engine.append_acts(rows, secrets, id, wall_ms, &acts)
    });
}

#[test]
fn an_agreement_falls_everywhere_if_its_author_was_put_out_before_it_by_somebody_else() {
    let (f, m, away, later) = agreed_while_one_was_away();
    let seen = away.head_of(&m);
    let c = let_in(&f, Role::Member, later);
    sync(&f, &c);
    assert!(c.records().contains("second") && c.state_of(&m).base > 0);
    // Whoever was away learns that they may put others out, and does so, by what they have seen of the log.
    promote(&f, &away, later + 1);
    replica::sync_but(&f, &away, &m);
    assert_eq!(away.head_of(&m), seen);
    put_out(&away, &m, seen);
    let all = [&f, &away, &c];
    for _ in 0..3 {
        for a in all {
            for b in all {
                sync_at_most(a, b, 64 << 10, 50);
            }
        }
    }

    for one in all {
        assert!(one.records().contains("first") && !one.records().contains("second"), "{}", one.records());
        assert_eq!((one.records(), one.audit()), (f.records(), f.audit()));
        assert_eq!(one.head_of(&m), seen);
    }
    // Whoever was put out comes back one day, and is heard.
    let (id, device) = (f.space(), m.secrets.certified());
    sync(&f, &m);
    f.with(move |rows, engine, secrets| {
        engine.admit(rows, secrets, id, "Bob", Role::Member, &device, later + 5)
    });
    sync(&f, &m);
    m.put_at("back", "1", later + 6);
    sync_both(&f, &m);
    sync(&f, &c);
    assert!(f.records().contains("back"));
    assert_eq!((m.records(), m.audit()), (f.records(), f.audit()));
    // And so it is after a restart.
    let before = f.records();
    let f = f.restarted();
    assert_eq!(f.records(), before);
    f.put_at("r2", "1", later + 10);
    sync_both(&f, &c);
    assert_eq!(f.records(), c.records());
}

#[test]
fn an_act_that_lies_apart_is_forgotten_if_its_author_never_said_it_there() {
    let (a, b) = super::pair();
    sync_both(&a, &b);
    for round in 0..80 {
        b.put("r1", &format!("{round}"));
    }
    settle(&[&a, &b]);
    assert!(a.state_of(&b).base > 40);
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    replica::sync_but(&a, &c, &b);
    let deps = b.entry(&b, b.head_of(&b).seq).header.deps;
    let head = Head { seq: 5, hash: EntryHash([9; 32]) };
    let acts = covey_space::ops::encode(&[MembershipOp::RenameUser("Mallory".into())]);
    let key = key_of(&b);
    let place = BodyContext { space: b.space(), log: b.log(), seq: 6, kind: Kind::MEMBERSHIP };
    let body = covey_space::ops::seal_acts(&key, place, &acts);
    let hlc = Hlc::new(NOW_MS + 50, 0);
    let (space, log, kind, epoch) = (b.space(), b.log(), Kind::MEMBERSHIP, key.id());
    let forged = Entry::sign(&b.secrets.device, Draft { space, log, head, hlc, kind, epoch, deps }, body);
    c.ingest(vec![forged]);
    assert_ne!(c.audit(), a.audit(), "it's believed as long as there's nothing else of that log");
    sync(&a, &c);

    assert_eq!((c.records(), c.audit(), c.heads()), (a.records(), a.audit(), a.heads()));
    c.put_at("late", "1", NOW_MS + 5000);
    sync(&c, &a);
    assert!(a.records().contains("late"), "what c builds upon is known to all");
}

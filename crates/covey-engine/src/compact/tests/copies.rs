//! Homes that were copied, and went on both: random stories of forks and compaction together. A replica that is told all
//! comes to what a naive account of all entries that were ever written says, and nothing that was acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use covey_log::{Compared, Entry, Kind};
use covey_records::{Part, Record, Stamp};
use covey_space::Role;
use covey_types::{EntryHash, Head, LogId};

use super::{
    Claim,
    replica::{NOW_MS, Replica, let_in, settle, sync_at_most, sync_both, tell},
};
use crate::{
    apply::{operations, stamped, target},
    prepare::open_body,
};

/// Things that happen in a story.
const STEPS: usize = 50;

/// Stories that are played.
const STORIES: u64 = 4;

/// Batches in one meeting.
const MEETING: usize = 50;

/// Rounds in which all tell all in the end; more are no end.
const ROUNDS: usize = 12;

#[test]
fn what_a_copied_back_home_wrote_below_the_others_base_is_written_again() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Member, NOW_MS);
    sync_both(&a, &b);
    b.put("shared", "1");
    sync_both(&a, &b);
    let (b, copy) = b.copied();
    for round in 0..200 {
        b.put_at("often", &format!("{round}"), NOW_MS + round);
    }
    settle(&[&a, &b]);
    let base = a.state_of(&b).base;
    assert!(base > 100);
    let old = copy.log();
    // The copy goes on where it was, and knows nothing of that.
    for round in 0..20 {
        copy.put_at(&format!("saved {round}"), "1", NOW_MS + 1000 + round);
        copy.change("counted", NOW_MS + 1100 + round, 1);
    }
    assert!(copy.head_of(&copy).seq < base);
    let said = copy.entry(&copy, copy.head_of(&copy).seq);
    let outcome = a.ingest(vec![said]);
    assert!(outcome.durable.is_empty(), "nobody says to have what can't be compared: {outcome:?}");
    sync_both(&a, &copy);
    assert_ne!(copy.log(), old, "what others have more of is left alone");
    copy.compact_at(NOW_MS + 2000);
    copy.write_again(NOW_MS + 2000);
    sync_both(&a, &copy);
    for round in 0..20 {
        assert!(a.records().contains(&format!("\"saved {round}\" Some")), "{round}");
    }
    assert!(a.records().contains(r#"\"n\":20"#), "{}", a.records());
    assert_eq!((a.records(), a.heads()), (copy.records(), copy.heads()));
}

/// What a set of entries comes to, found out anew from the rules: no order, no dropping, no rows.
struct Naive<'a> {
    by_hash: HashMap<EntryHash, &'a Entry>,
    by_log: BTreeMap<LogId, Vec<&'a Entry>>,
    knows: &'a Replica,
}

impl<'a> Naive<'a> {
    fn new(pool: &'a [Entry], knows: &'a Replica) -> Self {
        let by_hash: HashMap<_, _> = pool.iter().map(|entry| (entry.hash, entry)).collect();
        let mut by_log: BTreeMap<LogId, Vec<&Entry>> = BTreeMap::new();
        by_hash.values().for_each(|entry| by_log.entry(entry.header.log).or_default().push(entry));
        Self { by_hash, by_log, knows }
    }

    fn before(&self, entry: &Entry) -> Option<&'a Entry> {
        self.by_hash.get(&entry.header.prev).copied()
    }

    /// The entries of a log that count, by place.
    fn chain(&self, log: LogId) -> Vec<&'a Entry> {
        let entries = &self.by_log[&log];
        let other = |a: &Entry, b: &Entry| a.header.prev == b.header.prev && a.hash != b.hash;
        let parts =
            entries.iter().filter(|a| entries.iter().any(|b| other(a, b))).map(|a| a.header.seq).min();
        let membership = self.knows.membership();
        let holds = |entry: &&&Entry| {
            let claim = Claim::read(entry);
            claim.is_ok_and(|claim| claim.holds(&membership, u64::MAX) == Some(true))
        };
        let last = match parts {
            None => entries.iter().max_by_key(|entry| entry.header.seq).copied(),
            Some(parts) => {
                let agreed = entries.iter().filter(|entry| entry.header.seq >= parts).filter(holds);
                let agreed = agreed.max_by_key(|e| (e.header.seq, std::cmp::Reverse(e.hash))).copied();
                // Where nothing proves it any more, the history that all agreed to goes on.
                let is_proved = self.knows.lines().iter().any(|line| line.log == log);
                let goes_on = |entry: &&&Entry| {
                    let mut chain = std::iter::successors(Some(**entry), |entry| self.before(entry));
                    agreed.is_some_and(|agreed| chain.any(|entry| entry.hash == agreed.hash))
                };
                let tip = || entries.iter().filter(goes_on).max_by_key(|entry| entry.header.seq).copied();
                let agreed = if is_proved { agreed } else { tip() };
                agreed.or_else(|| entries.iter().find(|entry| entry.header.seq + 1 == parts).copied())
            }
        };
        let mut chain: Vec<&Entry> = std::iter::successors(last, |entry| self.before(entry)).collect();
        chain.reverse();
        chain
    }

    fn records(&self) -> String {
        let keys = self.knows.keys();
        let membership = self.knows.membership();
        let mut records: BTreeMap<String, Record> = BTreeMap::new();
        let mut merge = |body: &[u8], stamp: Stamp, log: LogId| {
            let ops = operations(body).unwrap();
            for (op, stamp) in stamped(&ops, stamp) {
                let Some((_, id)) = target(op) else { continue };
                records.entry(id.to_string()).or_default().apply(op, stamp, log);
            }
        };
        for log in self.by_log.keys() {
            let chain = self.chain(*log);
            let holds = |claim: &Claim| claim.holds(&membership, u64::MAX) == Some(true);
            let agreed = chain.iter().rev().find_map(|entry| Claim::read(entry).ok().filter(holds));
            let agreed = agreed.map(|claim| claim.agreement);
            let base = agreed.map_or(0, |agreed| agreed.begin.seq - 1);
            for entry in chain.into_iter().filter(|entry| entry.header.seq > base) {
                let plain = open_body(entry, &keys).unwrap().unwrap();
                let device = log.device;
                match entry.header.kind {
                    Kind::RECORDS => merge(&plain, Stamp { hlc: entry.header.hlc, device }, *log),
                    Kind::CHECKPOINT_PART => {
                        let part = Part::decode(&plain).unwrap();
                        if part.begin == base + 1 {
                            for word in part.words() {
                                merge(word.body, Stamp { hlc: word.hlc, device }, *log);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        records.retain(|_, record| *record != Record::new());
        records.iter().map(|(id, record)| format!("{id:?} {:?} {record:?}\n", record.doc())).collect()
    }
}

/// Looks for where the histories that two replicas hold part, as a session does.
fn search(a: &Replica, b: &Replica) {
    let id = a.space();
    let theirs: Vec<_> = b.heads().into_iter().collect();
    let differing =
        a.with(move |rows, engine, _| Ok(crate::differing(rows, engine.space(id)?.key, &theirs)?));
    for (log, upto) in differing {
        let mut answer =
            a.with(move |rows, engine, _| Ok(crate::points(rows, engine.space(id)?.key, log, upto)?));
        let mut sides = [b, a];
        while let Compared::Points(points) = answer {
            answer = sides[0]
                .with(move |rows, engine, _| Ok(crate::compare(rows, engine.space(id)?.key, log, &points)?));
            sides.reverse();
        }
        // It's for the other side than the one that found it.
        match answer {
            Compared::Branch(half) => {
                sides[0].with(move |rows, engine, secrets| {
                    engine.take_branch(rows, secrets, id, *half, NOW_MS * 2)
                });
            }
            Compared::Agreed(entry) => {
                sides[0].ingest(vec![*entry]);
            }
            Compared::Points(_) | Compared::Same => {}
        }
    }
}

/// A story: who there is, what was acknowledged, and all entries that there ever were.
struct Story {
    rng: fastrand::Rng,
    replicas: Vec<Replica>,
    saved: BTreeSet<String>,
    pool: Vec<Entry>,
    copies: usize,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut replicas = vec![Replica::founder()];
        for n in 0..2 {
            let role = if n == 0 { Role::Admin } else { Role::Member };
            replicas.push(let_in(&replicas[0], role, NOW_MS + n));
        }
        replicas.iter().skip(1).for_each(|replica| sync_both(&replicas[0], replica));
        let rng = fastrand::Rng::with_seed(seed);
        Self { rng, replicas, saved: BTreeSet::new(), pool: Vec::new(), copies: 0 }
    }

    /// What one replica has and knows reaches another one; two copies of one device don't talk.
    fn meet(&self, a: usize, b: usize) {
        let (a, b) = (&self.replicas[a], &self.replicas[b]);
        if a.device() != b.device() {
            for _ in 0..2 {
                tell(a, b);
                tell(b, a);
                search(a, b);
                // A log of which the two hold different histories stands still for now.
                sync_at_most(a, b, 64 << 10, MEETING);
                sync_at_most(b, a, 64 << 10, MEETING);
            }
        }
    }

    fn step(&mut self, step: u64) {
        let (who, at) = (self.rng.usize(0..self.replicas.len()), NOW_MS + 10 * step);
        match self.rng.u8(0..20) {
            0..=6 => {
                let id = format!("r{}", self.rng.u8(0..4));
                let many = self.rng.u64(1..40);
                self.replicas[who].puts((0..many).map(|n| (id.clone(), n.to_string())).collect(), at);
            }
            7..=8 => {
                let id = format!("saved {step}");
                self.replicas[who].put_at(&id, "1", at);
                self.saved.insert(id);
            }
            9..=13 => {
                let other = self.rng.usize(0..self.replicas.len());
                self.meet(who, other);
            }
            14..=16 => self.replicas[who].compact_at(at),
            17 => self.replicas[who].write_again(at),
            18 if self.copies < 2 && who > 0 => {
                self.copies += 1;
                let (one, copy) = self.replicas.swap_remove(who).copied();
                self.replicas.extend([copy, one]);
                let (last, copy) = (self.replicas.len() - 1, self.replicas.len() - 2);
                let id = format!("saved {step}");
                self.replicas[copy].put_at(&id, "1", at);
                self.saved.insert(id);
                self.busy(last, at);
                if self.rng.bool() {
                    // Somebody still has the place where the two part.
                    (0..self.replicas.len()).for_each(|other| self.meet(copy, other));
                }
            }
            _ => (0..self.replicas.len()).for_each(|other| self.meet(who, other)),
        }
        self.remember();
    }

    /// One writes much, and all but its copies compact that; only some drop it.
    fn busy(&mut self, who: usize, at: u64) {
        self.replicas[who].puts((0..60).map(|n| ("busy".to_owned(), n.to_string())).collect(), at);
        let device = self.replicas[who].device();
        let others: Vec<usize> = (0..self.replicas.len())
            .filter(|other| *other == who || self.replicas[*other].device() != device)
            .collect();
        for round in 0..4 {
            for a in &others {
                others.iter().for_each(|b| self.meet(*a, *b));
            }
            let mut rng = self.rng.fork();
            let mut drops = |_: &&usize| round < 3 || rng.bool();
            others.iter().filter(&mut drops).for_each(|who| self.replicas[*who].compact_at(at));
        }
    }

    fn remember(&mut self) {
        let known: BTreeSet<EntryHash> = self.pool.iter().map(|entry| entry.hash).collect();
        let mut found: BTreeMap<EntryHash, Entry> = BTreeMap::new();
        for entry in self.replicas.iter().flat_map(Replica::pool) {
            found.insert(entry.hash, entry);
        }
        self.pool.extend(found.into_values().filter(|entry| !known.contains(&entry.hash)));
    }

    /// Everybody tells everybody all, until nothing changes any more.
    fn settle(&mut self) {
        let mut before = Vec::new();
        for round in 0..ROUNDS {
            for a in 0..self.replicas.len() {
                (0..self.replicas.len()).for_each(|b| self.meet(a, b));
            }
            for replica in &self.replicas {
                replica.compact_at(NOW_MS + 10_000);
                replica.write_again(NOW_MS + 10_000);
            }
            self.remember();
            let now: Vec<_> = self.replicas.iter().map(|r| (r.heads(), r.records())).collect();
            if std::mem::replace(&mut before, now.clone()) == now && round > 3 {
                return;
            }
        }
        panic!("there is always something to tell");
    }
}

fn play(seed: u64) -> (usize, usize) {
    let mut story = Story::new(seed);
    (0..STEPS).for_each(|step| story.step(step as u64));
    story.settle();
    let late = let_in(&story.replicas[0], Role::Member, NOW_MS + 20_000);
    story.replicas.push(late);
    story.settle();
    let (first, naive) = (&story.replicas[0], Naive::new(&story.pool, &story.replicas[0]));
    let expected = naive.records();
    for (n, replica) in story.replicas.iter().enumerate() {
        assert_eq!(replica.heads(), first.heads(), "seed {seed}, replica {n}");
        assert_eq!(replica.lines(), first.lines(), "seed {seed}, replica {n}");
        assert_eq!(replica.records(), expected, "seed {seed}, replica {n}");
    }
    for id in &story.saved {
        assert!(expected.contains(&format!("{id:?} Some")), "seed {seed}: {id} is lost");
    }
    let agreed = first.lines().iter().filter(|line| line.from > line.parts).count();
    (first.lines().len(), agreed)
}

#[test]
fn homes_that_are_copied_and_compacted_lose_nothing_and_all_come_to_what_the_rules_say() {
    let (mut forked, mut agreed) = (0, 0);
    for seed in 0..STORIES {
        let (some, of_them) = play(seed);
        forked += some;
        agreed += of_them;
    }
    assert!(forked > 0 && agreed > 0, "{forked} logs were forked, {agreed} before an agreement");
}

#[test]
fn what_differs_at_a_place_before_the_checkpoint_is_answered_with_the_agreement_and_not_compared_for_ever() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Member, NOW_MS);
    sync_both(&a, &b);
    for round in 0..200 {
        a.put_at("often", &format!("{round}"), NOW_MS + round);
    }
    settle(&[&a, &b]);
    // The admission is kept, though all around it was dropped; the other one has something else there.
    let (id, log) = (a.space(), a.log());
    assert!(a.state_of(&a).base > 100);
    let admission = 2;
    let other = Head { seq: admission, hash: EntryHash([9; 32]) };
    let here = a.with(move |rows, engine, _| {
        let row = rows.logs(engine.space(id)?.key)?.into_iter().find(|row| row.id == log).unwrap();
        Ok(rows.hash_at(row.key, admission)?)
    });
    assert!(here.is_some_and(|here| here != other.hash));
    let answer =
        a.with(move |rows, engine, _| Ok(crate::compare(rows, engine.space(id)?.key, log, &[other])?));
    assert!(matches!(answer, Compared::Agreed(_)), "{answer:?}");
}

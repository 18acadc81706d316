//! Random stories of replicas that write, meet, compact, restart and join late. The reference merges
//! every entry that was ever written, one after the other.

use covey_log::Entry;
use covey_space::Role;

use super::replica::{NOW_MS, Replica, let_in, settle, sync, sync_both};

/// Things that happen in a story.
const STEPS: usize = 80;

/// Stories that are played.
const STORIES: u64 = 3;

fn play(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut replicas = vec![Replica::founder()];
    for n in 0..2 {
        let new = let_in(&replicas[0], Role::Member, NOW_MS + n);
        sync(&replicas[0], &new);
        replicas.push(new);
    }
    let reference = let_in(&replicas[0], Role::Guest, NOW_MS + 2);
    let mut written: Vec<Entry> = Vec::new();
    let mut dropped = 0;
    for step in 0..STEPS {
        let who = rng.usize(0..replicas.len());
        let id = format!("r{}", rng.u8(0..4));
        match rng.u8(0..20) {
            0..=7 => {
                let burst = (0..rng.u64(1..30)).map(|n| (id.clone(), n.to_string())).collect();
                written.extend(replicas[who].puts(burst, NOW_MS + step as u64));
            }
            8..=12 => {
                replicas[who].change(&id, NOW_MS + step as u64, rng.u8(..));
                written.push(replicas[who].entry(&replicas[who], replicas[who].head_of(&replicas[who]).seq));
            }
            13..=15 => {
                let other = rng.usize(0..replicas.len());
                sync_both(&replicas[who], &replicas[other]);
            }
            16..=17 => replicas[who].compact(),
            18 => {
                let all: Vec<&Replica> = replicas.iter().chain([&reference]).collect();
                settle(&all);
                dropped += replicas.iter().filter(|whose| replicas[0].state_of(whose).base > 0).count();
            }
            _ if replicas.len() < 5 => {
                let new = let_in(&replicas[0], Role::Member, NOW_MS + step as u64);
                sync(&replicas[0], &new);
                replicas.push(new);
            }
            _ => {
                let one = replicas.swap_remove(who.max(1));
                replicas.push(one.restarted());
            }
        }
    }
    let all: Vec<&Replica> = replicas.iter().chain([&reference]).collect();
    settle(&all);
    settle(&all);
    let late = let_in(&replicas[0], Role::Member, NOW_MS + 1000);
    sync(&replicas[0], &late);
    let expected = replicas[0].replayed(&written);
    for replica in replicas.iter().chain([&late]) {
        assert_eq!(replica.records(), expected, "seed {seed}");
    }
    assert!(dropped > 0, "seed {seed}: nothing was ever compacted");
}

#[test]
fn whoever_compacts_when_all_come_to_the_records_that_all_entries_make() {
    for seed in 0..STORIES {
        play(seed);
    }
}

#[test]
fn what_somebody_was_when_they_wrote_is_known_to_whoever_has_only_the_checkpoint() {
    let a = Replica::founder();
    let b = let_in(&a, Role::Member, NOW_MS);
    sync_both(&a, &b);
    a.put("told", "\"by an owner\"");
    let hlc = a.entry(&a, a.head_of(&a).seq).header.hlc;
    for round in 0..80 {
        a.put("r1", &format!("{round}"));
    }
    settle(&[&a, &b]);
    let c = let_in(&a, Role::Member, NOW_MS + 1);
    sync(&a, &c);
    assert!(c.state_of(&a).base > 40, "the entry itself never came");
    let (id, device) = (c.space(), a.device());
    let was = move |value: &'static str| {
        let stamp = covey_records::Stamp { hlc, device };
        c.with(move |rows, engine, _| engine.role_when(rows, id, ("plants", "told"), ("v", value), stamp))
    };
    assert_eq!(was("\"by an owner\""), Some(Role::Owner));
    assert_eq!(was("\"something else\""), None);
}

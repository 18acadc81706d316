//! What a session says that the peer holds, the peer holds.

use super::*;
use crate::space::HeldLog;

/// What one end has said of the other so far.
fn listen(end: &mut End, known: &mut BTreeMap<LogId, HeldLog>) {
    for held in end.session.take_held(SPACE) {
        known.insert(held.log, held);
    }
}

/// Whether all of this is there, in the same history.
fn is_true(known: &BTreeMap<LogId, HeldLog>, mine: &Store, theirs: &Store) -> bool {
    known.values().all(|held| {
        let part = |store: &Store| {
            let log = store.logs.get(&held.log).map_or(&[][..], Vec::as_slice);
            log.get(..held.seq as usize).map(<[Entry]>::to_vec)
        };
        held.seq <= held.of && part(theirs).is_some() && part(mine) == part(theirs)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn a_peer_is_never_said_to_hold_what_it_has_not_and_in_the_end_to_hold_all(
        sizes in prop::array::uniform3(0usize..20),
        choices in prop::collection::vec(any::<u8>(), 0..300),
        live in 0usize..5,
    ) {
        let mut shared = filled(&secret(3), sizes[0], 30);
        let mut pair = Pair::new(shared.clone(), shared.clone());
        for _ in 0..sizes[1] {
            write(&secret(1), &mut pair.a.store, 30);
        }
        for _ in 0..sizes[2] {
            write(&secret(3), &mut shared, 30);
        }
        pair.b.store = shared;
        let (mut by_a, mut by_b) = (BTreeMap::new(), BTreeMap::new());
        for (i, choice) in choices.iter().enumerate() {
            if i % 50 == 49 && i / 50 < live {
                pair.a.write(&secret(1), 30);
            }
            pair.step(*choice).unwrap();
            listen(&mut pair.a, &mut by_a);
            listen(&mut pair.b, &mut by_b);
            prop_assert!(is_true(&by_a, &pair.a.store, &pair.b.store));
            prop_assert!(is_true(&by_b, &pair.b.store, &pair.a.store));
        }
        pair.run();
        listen(&mut pair.a, &mut by_a);
        listen(&mut pair.b, &mut by_b);
        for (known, store) in [(&by_a, &pair.a.store), (&by_b, &pair.b.store)] {
            let all: BTreeMap<_, _> = known.values().map(|held| (held.log, held.seq)).collect();
            let heads: BTreeMap<_, _> = store.heads().0.into_iter().map(|(log, head)| (log, head.seq)).collect();
            prop_assert_eq!(all, heads);
        }
    }
}

#[test]
fn a_peer_that_comes_with_less_than_before_is_said_to_hold_that() {
    let mut pair = Pair::new(filled(&secret(1), 10, 50), filled(&secret(1), 4, 50));
    pair.a.may_send = false;
    pair.run();
    let log = LogId { device: secret(1).id(), incarnation: Incarnation(1) };
    assert_eq!(pair.a.session.take_held(SPACE), [HeldLog { log, seq: 4, of: 10 }]);
    assert_eq!(pair.a.session.take_held(SPACE), [], "told once");
    let mut pair = Pair::new(filled(&secret(1), 10, 50), Store::default());
    pair.a.may_send = false;
    pair.run();
    assert_eq!(
        pair.a.session.take_held(SPACE),
        [HeldLog { log, seq: 0, of: 10 }],
        "what it doesn't name, too"
    );
}

#[test]
fn of_a_log_with_two_histories_nothing_is_said_to_be_held() {
    let ours = filled(&secret(1), 3, 50);
    let theirs = filled(&secret(1), 3, 60);
    let mut pair = Pair::new(ours, theirs);
    let mut known = BTreeMap::new();
    for choice in 0..200 {
        if !pair.step(choice).unwrap() {
            break;
        }
        listen(&mut pair.a, &mut known);
        assert!(is_true(&known, &pair.a.store, &pair.b.store), "{known:?}");
    }
    assert!(pair.a.forks > 0, "the fork was noticed");
}

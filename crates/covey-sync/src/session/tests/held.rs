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

/// B is A's copy up to some place, and then has a longer history of its own, which A has never seen.
fn with_another_longer_history() -> (Store, Store) {
    let mut mine = filled(&secret(1), 3, 50);
    let mut theirs = mine.clone();
    for _ in 0..3 {
        write(&secret(1), &mut mine, 51);
    }
    for _ in 0..6 {
        write(&secret(1), &mut theirs, 52);
    }
    (mine, theirs)
}

#[test]
fn a_peer_with_a_longer_history_of_a_log_is_not_said_to_hold_the_one_that_is_here() {
    let (mine, theirs) = with_another_longer_history();
    let mut pair = Pair::new(mine, theirs);
    let (mut by_a, mut told) = (BTreeMap::new(), 0);
    for choice in 0..250 {
        if !pair.step(choice).unwrap() {
            break;
        }
        listen(&mut pair.a, &mut by_a);
        told += by_a.len();
        assert!(is_true(&by_a, &pair.a.store, &pair.b.store), "{by_a:?}");
    }
    assert!(told > 0, "something was said");
}

#[test]
fn a_log_that_grows_here_by_another_way_does_not_make_a_longer_one_of_the_peer_the_same() {
    let (mine, theirs) = with_another_longer_history();
    let log = LogId { device: secret(1).id(), incarnation: Incarnation(1) };
    let mut shared = crate::space::SharedSpace::new(SPACE, Store::default().heads(), true);
    let line = crate::frame::HeadLine { log, head: theirs.heads().head(&log) };
    shared.take_heads(vec![line]).unwrap();
    shared.take_held();
    // Less than the peer's reaches to: it may be another history.
    shared.advance(log, mine.heads().head(&log));
    assert!(shared.take_held().iter().all(|held| held.seq == 0));
    // As far as the peer's, and another one.
    let mut other = mine;
    for _ in 0..3 {
        write(&secret(1), &mut other, 53);
    }
    shared.advance(log, other.heads().head(&log));
    assert!(shared.take_held().iter().all(|held| held.seq == 0));
    // The same.
    let mut same = crate::space::SharedSpace::new(SPACE, Store::default().heads(), true);
    same.take_heads(vec![line]).unwrap();
    same.advance(log, theirs.heads().head(&log));
    assert_eq!(same.take_held(), [HeldLog { log, seq: 9, of: 9 }]);
}

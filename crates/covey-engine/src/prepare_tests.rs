//! Many entries at once: in order, none lost, and never too many bytes.

use covey_log::{Draft, EntryError, Kind, seal};
use covey_types::{DeviceSecret, Head, Hlc, Incarnation, LogId, SpaceId, limits::MAX_PLAIN_BODY_BYTES};

use super::*;

const SPACE: SpaceId = SpaceId([1; 32]);

/// A log of entries whose bodies open to so many bytes each.
fn log(sizes: impl Iterator<Item = usize>) -> (VecDeque<Entry>, KeyRing) {
    let (keys, key) = KeyRing::generate();
    let secret = DeviceSecret::generate();
    let log = LogId { device: secret.id(), incarnation: Incarnation(7) };
    let mut head = Head::EMPTY;
    let entry = |size: usize| {
        let (kind, seq) = (Kind::RECORDS, head.seq + 1);
        let body = seal(&key, BodyContext { space: SPACE, log, seq, kind }, &vec![seq as u8; size]);
        let hlc = Hlc::new(1000 * seq, 0);
        let draft = Draft { space: SPACE, log, head, hlc, kind, epoch: key.id(), deps: Vec::new() };
        let entry = Entry::sign(&secret, draft, body);
        head = entry.head();
        entry
    };
    (sizes.map(entry).collect(), keys)
}

/// Prepares everything; the sizes of what was opened at once.
fn prepare_all(mut entries: VecDeque<Entry>, keys: &KeyRing) -> Vec<usize> {
    let expected: Vec<_> = entries.iter().map(Entry::head).collect();
    let (mut seen, mut sums) = (Vec::new(), Vec::new());
    while !entries.is_empty() {
        let prepared = prepare(&mut entries, keys).unwrap();
        assert!(!prepared.is_empty(), "it gets on");
        let mut sum = 0;
        for Prepared { entry, plain } in &prepared {
            let plain = plain.as_ref().unwrap().as_ref().unwrap();
            assert!(plain.iter().all(|byte| *byte == entry.header.seq as u8), "each has its own body");
            sum += plain.len();
        }
        sums.push(sum);
        seen.extend(prepared.iter().map(|prepared| prepared.entry.head()));
    }
    assert_eq!(seen, expected);
    sums
}

#[test]
fn small_entries_are_prepared_all_at_once_and_in_order() {
    let (entries, keys) = log((0..2 * GROUP_ENTRIES + 5).map(|i| i % 70));
    assert_eq!(prepare_all(entries, &keys).len(), 1);
}

#[test]
fn bodies_that_open_to_much_more_than_they_take_are_prepared_a_few_at_a_time_and_in_order() {
    let large = |i: usize| if i.is_multiple_of(3) { 10 } else { MAX_PLAIN_BODY_BYTES };
    let (entries, keys) = log((0..20).map(large));
    let sums = prepare_all(entries, &keys);
    let most = MOST_BYTES + MAX_THREADS * MAX_PLAIN_BODY_BYTES;
    assert!(sums.len() > 1 && sums.iter().all(|sum| *sum <= most), "{sums:?}");
}

#[test]
fn one_wrong_signature_among_many_is_named_and_nothing_of_its_group_is_prepared() {
    for place in [0, 40, 99] {
        let (mut entries, keys) = log((0..100).map(|_| 30));
        entries[place].signature.0[7] ^= 1;
        let found = prepare(&mut entries, &keys).unwrap_err();
        assert!(matches!(found, EntryError::Signature { seq, .. } if seq == place as u64 + 1));
    }
}

//! What says who is in a space goes ahead of its place, and comes again in it.

use super::*;
use crate::frame::Frame;

/// A log in which every fifth entry says something of the membership.
fn mixed(secret: &DeviceSecret, n: usize) -> Store {
    let mut store = Store::default();
    for i in 0..n {
        let kind = if i % 5 == 4 { Kind::MEMBERSHIP } else { Kind::RECORDS };
        write_kind(secret, &mut store, kind, 3000);
    }
    store
}

impl Store {
    /// What logs say of the membership at these places.
    pub(super) fn acts(&self, ahead: &BTreeMap<LogId, RangeInclusive<u64>>) -> Vec<Entry> {
        let of = |(log, places): (&LogId, &RangeInclusive<u64>)| {
            let entries = self.logs.get(log).into_iter().flatten().cloned();
            let places = places.clone();
            entries
                .filter(move |entry| entry.header.kind.is_membership() && places.contains(&entry.header.seq))
        };
        ahead.iter().flat_map(of).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// Whatever went ahead: nothing is left out for it, and nothing goes ahead twice.
    #[test]
    fn what_went_ahead_holds_nothing_back(
        sizes in prop::array::uniform2(0usize..300),
        choices in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut pair = Pair::new(mixed(&secret(1), sizes[0]), mixed(&secret(2), sizes[1]));
        pair.a.acts_first = true;
        pair.b.acts_first = true;
        for choice in choices {
            pair.step(choice).unwrap();
        }
        pair.run();
        prop_assert_eq!(pair.a.store.heads(), pair.b.store.heads());
        let in_sync = PeerView { heads_known: true, ..PeerView::default() };
        prop_assert_eq!(pair.a.session.view(SPACE), Some(in_sync));
        prop_assert_eq!(pair.b.session.view(SPACE), Some(in_sync));
        for (end, size) in [(&pair.b, sizes[0]), (&pair.a, sizes[1])] {
            let mut places: Vec<u64> = end.apart.iter().map(|entry| entry.header.seq).collect();
            let all = places.len();
            places.dedup();
            prop_assert_eq!((places.len(), all), (size / 5, size / 5), "{:?}", places);
        }
    }
}

#[test]
fn what_lies_apart_goes_to_the_peer_once_it_may_read() {
    let mut pair = Pair::new(mixed(&secret(1), 3), Store::default());
    pair.a.may_send = false;
    pair.run();
    let acts: Vec<Entry> = mixed(&secret(2), 20).logs.into_values().flatten().collect();
    pair.a.todo.push_back(Input::Apart { space: SPACE, acts });
    pair.run();
    assert!(pair.b.apart.is_empty(), "not before");
    pair.a.session.handle(Input::Authorise(SPACE), NOW).unwrap();
    pair.run();
    let places: Vec<u64> = pair.b.apart.iter().map(|entry| entry.header.seq).collect();
    assert_eq!(places, [5, 10, 15, 20], "what says nothing of the membership stays");
    assert_eq!(pair.b.store.heads().total(), 3);
    assert_eq!(pair.b.session.view(SPACE).unwrap().missing_here, 0, "the peer's logs don't reach that far");
}

#[test]
fn who_asks_again_is_told_again() {
    let mut pair = Pair::new(mixed(&secret(1), 20), Store::default());
    pair.a.acts_first = true;
    pair.b.unknown = Some(secret(1).id());
    pair.run();
    assert_eq!((pair.b.apart.len(), pair.b.store.heads().total()), (0, 0));
    pair.b.unknown = None;
    pair.b.todo.push_back(Input::Again(SPACE));
    pair.run();
    assert_eq!((pair.b.apart.len(), pair.b.store.heads().total()), (4, 20));
}

#[test]
fn only_what_says_who_is_in_the_space_may_come_ahead_of_its_place() {
    let mut pair = Pair::new(filled(&secret(1), 1, 10), Store::default());
    pair.run();
    let entry = write(&secret(2), &mut Store::default(), 10);
    let log = entry.header.log;
    let mut packed = vec![0];
    packed.extend_from_slice(&log.device.0);
    packed.extend_from_slice(&log.incarnation.0.to_le_bytes());
    covey_log::delta::Context::new(SPACE, log).encode(&entry, &mut packed);
    for packed in [packed.as_slice(), &[]] {
        let mut pair = Pair::new(filled(&secret(1), 1, 10), Store::default());
        pair.run();
        let frame = Frame::Acts { space: 0, packed }.encode();
        let err = pair.b.session.handle(Input::Frame(frame), NOW).unwrap_err();
        assert!(err.is_misbehaviour(), "{err}");
    }
}

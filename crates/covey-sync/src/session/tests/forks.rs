//! Logs with two histories: both ends find where they part, and agree on it.

use covey_log::{Compared, ForkLine, Frozen};

use super::*;

impl Store {
    /// Hashes at the end of a stretch of a log and in its middle, and where it begins.
    fn stretch(&self, log: LogId, above: u64, upto: u64) -> Compared {
        let entries = &self.logs[&log];
        let places: std::collections::BTreeSet<u64> = [above, u64::midpoint(above, upto), upto].into();
        let heads = places.into_iter().filter(|seq| *seq > 0).map(|seq| entries[seq as usize - 1].head());
        Compared::Points(heads.collect())
    }

    pub(super) fn points(&self, log: LogId) -> Compared {
        self.logs.get(&log).map_or(Compared::Same, |entries| self.stretch(log, 0, entries.len() as u64))
    }

    pub(super) fn compare(&self, log: LogId, points: &[Head]) -> Compared {
        let Some(entries) = self.logs.get(&log) else { return Compared::Same };
        let here = |head: &&Head| entries.get(head.seq as usize - 1).map(Entry::head);
        let agreed =
            points.iter().take_while(|head| here(head) == Some(**head)).last().map_or(0, |head| head.seq);
        let Some(first) = points.iter().find(|head| head.seq > agreed && here(head).is_some()) else {
            return Compared::Same;
        };
        if first.seq == agreed + 1 {
            return Compared::Branch(Box::new((&entries[agreed as usize]).into()));
        }
        self.stretch(log, agreed, first.seq)
    }

    pub(super) fn shorten(&mut self, log: LogId, len: u64) {
        if let Some(entries) = self.logs.get_mut(&log) {
            entries.truncate(len as usize);
        }
        self.logs.retain(|_, entries| !entries.is_empty());
    }

    /// Whether an entry is of another history than the one here.
    pub(super) fn parts_from(&self, entry: &Entry) -> bool {
        let Some(entries) = self.logs.get(&entry.header.log) else { return false };
        if let Some(here) = entries.get(entry.header.seq as usize - 1) {
            return here.hash != entry.hash;
        }
        let last = entries.last().unwrap();
        matches!(entry.follows(last.head(), last.header.hlc), Err(ChainError::Fork { .. }))
    }
}

fn lines(end: &End) -> Vec<ForkLine> {
    end.evidence.values().map(Evidence::line).collect()
}

/// A fork that only one side knows of.
fn known_to_one() -> (Pair, ForkLine) {
    let (mut mine, mut theirs) = (Store::default(), Store::default());
    for _ in 0..3 {
        let entry = write(&secret(1), &mut mine, 10);
        theirs.append(entry);
    }
    let one = write(&secret(1), &mut mine.clone(), 11);
    let other = write(&secret(1), &mut mine.clone(), 12);
    let evidence = Evidence::new(ForkProof::of(SPACE, (&one).into(), (&other).into()).unwrap());
    let line = evidence.line();
    let mut pair = Pair::new(mine, theirs);
    pair.run();
    pair.a.learn(evidence);
    (pair, line)
}

#[test]
fn what_one_side_knows_of_a_fork_the_other_one_hears_at_once() {
    let (mut pair, line) = known_to_one();
    pair.run();
    assert_eq!(lines(&pair.b), [line]);
    assert_eq!(pair.a.store.heads(), pair.b.store.heads());
}

#[test]
fn what_counts_up_to_a_cut_goes_to_whoever_hears_of_the_cut_later() {
    let (mut pair, line) = known_to_one();
    pair.run();
    let behind = write(&secret(1), &mut pair.a.store, 13);
    let hears = |end: &mut End| {
        end.cut = behind.header.seq;
        let heads = vec![(line.log, end.store.heads().head(&line.log))];
        end.todo.push_back(Input::Frozen { space: SPACE, lines: vec![Frozen { line, end: end.cut }], heads });
    };
    hears(&mut pair.a);
    pair.run();
    assert_eq!(pair.b.store.heads().head(&line.log).seq, line.from - 1, "it doesn't count there yet");
    hears(&mut pair.b);
    pair.run();
    assert_eq!(pair.b.store.heads(), pair.a.store.heads());
    assert_eq!(pair.b.store.heads().head(&line.log), behind.head());
}

#[test]
fn who_may_not_read_a_space_hears_nothing_of_its_forks_and_then_all() {
    let (mut pair, line) = known_to_one();
    pair.a.session.handle(Input::Forbid(SPACE), NOW).unwrap();
    pair.run();
    assert_eq!(lines(&pair.b), []);
    pair.a.session.handle(Input::Authorise(SPACE), NOW).unwrap();
    pair.run();
    assert_eq!(lines(&pair.b), [line]);
}

#[test]
fn what_comes_before_the_space_is_open_here_is_not_lost() {
    let (pair, line) = known_to_one();
    let mut pair =
        Pair { a: End::new(1, pair.a.store, pair.a.offers), b: End::new(2, pair.b.store, pair.b.offers) };
    pair.b.refuses = true;
    // B's driver takes its time with the match.
    while pair.step(0).unwrap() {
        pair.b.todo.retain(|input| !matches!(input, Input::Refuse(_)));
    }
    assert!(pair.a.matched && pair.b.session.view(SPACE).is_none());
    let lines = vec![Frozen { line, end: line.from - 1 }];
    pair.a.session.handle(Input::Frozen { space: SPACE, lines, heads: vec![] }, NOW).unwrap();
    while let Some(payload) = pair.a.session.poll_owed() {
        pair.b.session.handle(Input::Frame(payload), NOW).unwrap();
    }
    let heads = pair.b.store.heads();
    pair.b.session.handle(Input::Open { space: SPACE, heads, may_send: true }, NOW).unwrap();
    let asked: Vec<Vec<u8>> = std::iter::from_fn(|| pair.b.session.poll_owed()).collect();
    assert!(asked.contains(&Frame::Prove { space: 0, log: line.log }.encode()));
}

#[test]
fn an_agreement_that_ends_a_search_never_overtakes_the_entries_before_it() {
    let mut pair = Pair::new(filled(&secret(1), 3, 50), Store::default());
    pair.run();
    let entry = write(&secret(1), &mut pair.a.store, 50);
    let agreed = write_kind(&secret(1), &mut pair.a.store, Kind::AGREED, 50);
    let log = agreed.header.log;
    pair.a.session.handle(Input::Appended { space: SPACE, entry: entry.clone().into() }, NOW).unwrap();
    let answer = Compared::Agreed(Box::new(agreed.clone()));
    pair.a.session.handle(Input::Compared { space: SPACE, log, answer }, NOW).unwrap();
    // The driver sends what is owed when the stream takes it, whatever else waits.
    let owed: Vec<Vec<u8>> = std::iter::from_fn(|| pair.a.session.poll_owed()).collect();
    let outputs: Vec<Output> = std::iter::from_fn(|| pair.a.session.poll_output()).collect();
    let sent = outputs.into_iter().filter_map(|output| match output {
        Output::Send(payload) => Some(payload),
        _ => None,
    });
    for payload in owed.into_iter().chain(sent) {
        pair.b.session.handle(Input::Frame(payload), NOW).unwrap();
    }
    let came = std::iter::from_fn(|| pair.b.session.poll_output()).filter_map(|output| match output {
        Output::Ingest { entries, .. } => Some(entries),
        _ => None,
    });
    assert_eq!(came.flatten().collect::<Vec<_>>(), [entry, agreed]);
}

#[test]
fn a_peer_that_compares_without_end_and_never_reads_makes_nothing_pile_up() {
    let (mut pair, _) = known_to_one();
    pair.run();
    let log = LogId { device: secret(1).id(), incarnation: Incarnation(1) };
    for n in 0..5_000u64 {
        let log = LogId { incarnation: Incarnation(n), ..log };
        let points = vec![Head { seq: 1, hash: EntryHash([9; 32]) }; 64];
        let frame = Frame::Compare { space: 0, log, points }.encode();
        pair.a.session.handle(Input::Frame(frame), NOW).unwrap();
    }
    let asked = std::iter::from_fn(|| pair.a.session.poll_output());
    let asked = asked.filter(|output| matches!(output, Output::Compare { .. })).count();
    assert_eq!(asked, crate::owed::MAX_SEARCHES);
}

#[test]
fn who_was_put_out_learns_nothing_of_longer_logs_by_contradicting_what_it_is_told() {
    let writer = secret(3);
    let mut all = filled(&writer, 3, 100);
    let told = all.heads();
    for _ in 0..200 {
        write(&writer, &mut all, 100);
    }
    // As long as what it's told, and other entries.
    let mut pair = Pair::new(all, filled(&writer, 3, 99));
    pair.a.refuses = true;
    pair.a.farewell = Some(told);
    pair.run();
    assert!(pair.a.session.view(SPACE).unwrap().heads_known);
    assert_eq!(pair.a.forks, 0, "no search is begun");
    let log = LogId { device: writer.id(), incarnation: Incarnation(1) };
    let rejected = vec![Rejection { log, forked: true }];
    pair.a
        .session
        .handle(Input::Ingested { space: SPACE, durable: vec![], rejected, bytes: 0 }, NOW)
        .unwrap();
    let answer = pair.a.store.points(log);
    pair.a.session.handle(Input::Compared { space: SPACE, log, answer }, NOW).unwrap();
    let outputs = std::iter::from_fn(|| pair.a.session.poll_output());
    assert!(outputs.into_iter().all(|output| !matches!(output, Output::Forked { .. })));
    let frames = std::iter::from_fn(|| pair.a.session.poll_owed());
    assert!(frames.into_iter().all(|frame| !matches!(Frame::decode(&frame), Ok(Frame::Compare { .. }))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever the histories part, whoever has the longer one, and whatever is said in which order: both ends come to
    /// the same place, which is the first one where they differ, and to the same heads.
    #[test]
    fn both_ends_find_the_place_where_histories_part(
        common in 0u64..40, a_more in 0u64..30, b_more in 0u64..30, others in 0u64..10,
        choices in prop::collection::vec(any::<u8>(), 200),
    ) {
        let mut store = Store::default();
        for _ in 0..common { write(&secret(1), &mut store, 50); }
        let mut pair = Pair::new(store.clone(), store);
        for _ in 0..a_more { write(&secret(1), &mut pair.a.store, 60); }
        for _ in 0..b_more { write(&secret(1), &mut pair.b.store, 70); }
        for _ in 0..others { write(&secret(2), &mut pair.b.store, 70); }
        for choice in choices {
            pair.step(choice).unwrap();
        }
        pair.run();
        let forked = a_more > 0 && b_more > 0;
        // A history that is longer and nothing else is no fork, and neither are two of which one side tells nothing.
        let expected: Vec<u64> = forked.then_some(common + 1).into_iter().collect();
        prop_assert_eq!(lines(&pair.a), lines(&pair.b));
        prop_assert_eq!(lines(&pair.a).iter().map(|line| line.from).collect::<Vec<_>>(), expected);
        prop_assert_eq!(pair.a.store.heads(), pair.b.store.heads());
        let total = if forked { common } else { common + a_more + b_more };
        prop_assert_eq!(pair.a.store.heads().total(), total + others);
        let in_sync = PeerView { heads_known: true, ..PeerView::default() };
        prop_assert_eq!(pair.a.session.view(SPACE), Some(in_sync));
        prop_assert_eq!(pair.b.session.view(SPACE), Some(in_sync));
    }
}

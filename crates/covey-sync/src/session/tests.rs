//! Two or three sessions over model stores: they converge whatever the order of events, stay within their windows,
//! and give nothing to a stranger.

mod ahead;
mod forks;
mod held;
mod hostile;

use std::collections::{BTreeMap, VecDeque};

use covey_log::{ChainError, Draft, Entry, Evidence, ForkProof, Frozen, Kind, SignedHeader};
use covey_types::{DeviceSecret, EntryHash, EpochId, Head, Hlc, Incarnation, LogId, SecretBytes};
use proptest::prelude::*;

use super::*;
use crate::space::Rejection;

const SPACE: SpaceId = SpaceId([7; 32]);
const NOW: Duration = Duration::ZERO;

/// What a node holds: its logs, whole.
#[derive(Default, Clone)]
struct Store {
    logs: BTreeMap<LogId, Vec<Entry>>,
}

impl Store {
    fn heads(&self) -> Heads {
        Heads(self.logs.iter().map(|(log, entries)| (*log, entries.last().unwrap().head())).collect())
    }

    fn append(&mut self, entry: Entry) -> bool {
        let log = self.logs.entry(entry.header.log).or_default();
        let (head, hlc) =
            log.last().map_or((Head::EMPTY, Hlc::default()), |last| (last.head(), last.header.hlc));
        let fits = entry.follows(head, hlc).is_ok();
        if fits {
            log.push(entry);
        }
        fits
    }

    fn load(&self, wants: &[(LogId, u64)], max_bytes: usize) -> Vec<Entry> {
        let mut all: Vec<&Entry> = wants
            .iter()
            .flat_map(|(log, from)| self.logs.get(log).into_iter().flatten().skip(*from as usize - 1))
            .collect();
        all.sort_by_key(|entry| (entry.header.hlc, entry.header.log));
        let mut size = 0;
        let fits = |entry: &&&Entry| {
            let before = size;
            size += entry.body.len();
            before < max_bytes
        };
        all.iter().take_while(fits).copied().cloned().collect()
    }
}

fn write(secret: &DeviceSecret, store: &mut Store, bytes: usize) -> Entry {
    write_kind(secret, store, Kind::RECORDS, bytes)
}

fn write_kind(secret: &DeviceSecret, store: &mut Store, kind: Kind, bytes: usize) -> Entry {
    let log = LogId { device: secret.id(), incarnation: Incarnation(1) };
    let head = store.heads().head(&log);
    let draft = Draft {
        space: SPACE,
        log,
        head,
        hlc: Hlc::new(1000 + head.seq, 0),
        kind,
        epoch: EpochId([1; 16]),
        deps: vec![EntryHash([2; 32])],
    };
    let entry = Entry::sign(secret, draft, vec![head.seq as u8; bytes]);
    assert!(store.append(entry.clone()));
    entry
}

fn secret(n: u8) -> DeviceSecret {
    DeviceSecret::from_seed(&SecretBytes::new([n; 32]))
}

/// One end: a session, its store, and what's on the way to it.
#[expect(clippy::struct_excessive_bools, reason = "each is about something of its own")]
struct End {
    session: Session,
    store: Store,
    offers: Vec<Offer>,
    inbox: VecDeque<Vec<u8>>,
    todo: VecDeque<Input>,
    sent_bytes: usize,
    may_send: bool,
    /// A device whose entries can't be stored yet.
    unknown: Option<covey_types::DeviceId>,
    /// Whether a load gives what the logs say of the membership ahead, as where logs are compacted.
    acts_first: bool,
    /// What came ahead of its place.
    apart: Vec<Entry>,
    refuses: bool,
    /// How much is told all the same to a peer that is refused.
    farewell: Option<Heads>,
    /// Whether it takes what a peer sends to whom it only tells that.
    takes: bool,
    matched: bool,
    forks: u32,
    evidence: BTreeMap<LogId, Evidence>,
    /// Up to where forked logs count here all the same.
    cut: u64,
}

impl End {
    fn new(n: u8, store: Store, offers: Vec<Offer>) -> Self {
        let config = SessionConfig { window_bytes: 0, nonce: [n; 32], agent: "test".into(), clock_ms: 0 };
        Self {
            session: Session::new(config, NOW),
            store,
            offers,
            inbox: VecDeque::new(),
            todo: VecDeque::new(),
            sent_bytes: 0,
            may_send: true,
            unknown: None,
            acts_first: false,
            apart: Vec::new(),
            refuses: false,
            takes: false,
            farewell: None,
            matched: false,
            forks: 0,
            evidence: BTreeMap::new(),
            cut: 0,
        }
    }

    /// Carries out one output; `None` if there is nothing to do.
    fn step(&mut self, other: &mut VecDeque<Vec<u8>>) -> Option<()> {
        let output = self.session.poll_output().or_else(|| self.session.poll_owed().map(Output::Send))?;
        let input = match output {
            Output::Send(payload) => {
                self.sent_bytes += payload.len();
                other.push_back(payload);
                return Some(());
            }
            Output::Greeted(_) => Input::Offer(self.offers.clone()),
            Output::Matched(space) if self.refuses => match self.farewell.clone() {
                Some(heads) => Input::Farewell { space, heads, takes: self.takes },
                None => Input::Refuse(space),
            },
            Output::Matched(space) => {
                self.matched = true;
                Input::Open { space, heads: self.store.heads(), may_send: self.may_send }
            }
            Output::Load { space, wants, max_bytes, ahead } => {
                let acts = if self.acts_first { self.store.acts(&ahead) } else { Vec::new() };
                Input::Loaded { space, acts, entries: self.store.load(&wants, max_bytes) }
            }
            Output::Ingest { space, entries, bytes } => self.ingest(space, entries, bytes),
            Output::Forked { space, log } => {
                self.forks += 1;
                Input::Compared { space, log, answer: self.store.points(log) }
            }
            Output::Compare { space, log, points } => {
                Input::Compared { space, log, answer: self.store.compare(log, &points) }
            }
            Output::Branch { space, header, signature, bytes } => {
                self.part(SignedHeader::verified(&header, signature).unwrap());
                Input::Ingested { space, durable: vec![], rejected: vec![], bytes }
            }
            Output::Prove { space, log } => {
                Input::Evidence { space, evidence: self.evidence.get(&log).map(Evidence::encode) }
            }
            Output::Evidence { space, evidence, bytes } => {
                let evidence = Evidence::verified(space, &evidence).unwrap();
                self.learn(evidence);
                Input::Ingested { space, durable: vec![], rejected: vec![], bytes }
            }
            Output::Changed(_) | Output::Theirs { .. } | Output::Closed(_) => return Some(()),
        };
        self.todo.push_back(input);
        Some(())
    }

    /// Two headers for one place prove a fork.
    fn part(&mut self, theirs: SignedHeader) {
        let at = theirs.header.seq as usize - 1;
        let mine = self.store.logs.get(&theirs.header.log).and_then(|log| log.get(at)).cloned();
        if let Some(Ok(proof)) = mine.map(|mine| ForkProof::of(SPACE, (&mine).into(), theirs)) {
            self.learn(Evidence::new(proof));
        }
    }

    /// Takes in what is known of a fork, as a node does.
    fn learn(&mut self, evidence: Evidence) {
        let log = evidence.log();
        let merged = match self.evidence.remove(&log) {
            Some(known) => known.merge(evidence),
            None => evidence,
        };
        let line = merged.line();
        self.evidence.insert(log, merged);
        self.store.shorten(log, line.from - 1);
        let heads = vec![(log, self.store.heads().head(&log))];
        self.todo.push_back(Input::Frozen {
            space: SPACE,
            lines: vec![Frozen { line, end: line.from - 1 }],
            heads,
        });
    }

    fn ingest(&mut self, space: SpaceId, entries: Vec<Entry>, bytes: u32) -> Input {
        let mut rejected = Vec::new();
        let mut durable = BTreeMap::new();
        for entry in entries {
            entry.verify().unwrap();
            let log = entry.header.log;
            let end = self.evidence.get(&log).map(|evidence| self.cut.max(evidence.from() - 1));
            if end.is_some_and(|end| entry.header.seq > end) {
                continue;
            }
            let forked = self.store.parts_from(&entry);
            if self.unknown != Some(log.device)
                && entry.header.kind.is_membership()
                && entry.header.seq > self.store.heads().head(&log).seq + 1
            {
                self.apart.push(entry);
                continue;
            }
            if self.unknown == Some(log.device) || !self.store.append(entry) {
                rejected.push(Rejection { log, forked });
            }
            durable.insert(log, self.store.heads().head(&log));
        }
        Input::Ingested { space, durable: durable.into_iter().collect(), rejected, bytes }
    }

    fn write(&mut self, secret: &DeviceSecret, bytes: usize) {
        let entry = write(secret, &mut self.store, bytes);
        self.todo.push_back(Input::Appended { space: SPACE, entry: entry.into() });
    }
}

struct Pair {
    a: End,
    b: End,
}

impl Pair {
    fn new(a: Store, b: Store) -> Self {
        let offer = Offer { space: SPACE, mine: [1; 16], theirs: [2; 16] };
        let back = Offer { space: SPACE, mine: [2; 16], theirs: [1; 16] };
        Self { a: End::new(1, a, vec![offer]), b: End::new(2, b, vec![back]) }
    }

    /// One step of one end, chosen by `choice`; false if neither has anything to do.
    fn step(&mut self, choice: u8) -> Result<bool, SessionError> {
        let (one, two) =
            if choice & 1 == 0 { (&mut self.a, &mut self.b) } else { (&mut self.b, &mut self.a) };
        let done = one.step(&mut two.inbox).is_some()
            || two.step(&mut one.inbox).is_some()
            || Self::consume(one, choice)?
            || Self::consume(two, choice)?;
        for end in [&self.a, &self.b] {
            let (in_flight, owed) = end.session.under_way();
            let bound = u64::from(MIN_WINDOW_BYTES) + WINDOW_SLACK_BYTES;
            assert!(in_flight <= bound && owed <= bound, "the window holds: {in_flight} {owed}");
            assert!(end.session.spaces.values().all(SharedSpace::is_sound), "what is behind is known");
        }
        Ok(done)
    }

    fn consume(end: &mut End, choice: u8) -> Result<bool, SessionError> {
        let frame_first = choice & 2 == 0;
        let frame = if frame_first || end.todo.is_empty() { end.inbox.pop_front() } else { None };
        let input = frame.map(Input::Frame).or_else(|| end.todo.pop_front());
        input.map_or(Ok(false), |input| end.session.handle(input, NOW).map(|()| true))
    }

    fn run(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step(0).unwrap() {
                return;
            }
        }
        panic!("the sessions never come to rest");
    }
}

fn filled(secret: &DeviceSecret, n: usize, bytes: usize) -> Store {
    let mut store = Store::default();
    for _ in 0..n {
        write(secret, &mut store, bytes);
    }
    store
}

#[test]
fn both_ends_get_what_they_lack_and_know_that_they_are_in_sync() {
    let mut pair = Pair::new(filled(&secret(1), 300, 50), filled(&secret(2), 200, 50));
    pair.run();
    assert_eq!(pair.a.store.heads(), pair.b.store.heads());
    assert_eq!(pair.a.store.heads().total(), 500);
    let in_sync = PeerView { heads_known: true, ..PeerView::default() };
    assert_eq!(pair.a.session.view(SPACE), Some(in_sync));
    assert_eq!(pair.b.session.view(SPACE), Some(in_sync));
}

#[test]
fn a_live_entry_costs_less_than_100_bytes_beside_its_body() {
    let mut pair = Pair::new(filled(&secret(1), 3, 50), Store::default());
    pair.run();
    let before = pair.a.sent_bytes;
    pair.a.write(&secret(1), 60);
    pair.run();
    assert!(pair.a.sent_bytes - before < 60 + 100, "{} bytes", pair.a.sent_bytes - before);
    assert_eq!(pair.b.store.heads().total(), 4);
}

#[test]
fn a_backlog_of_large_entries_passes_through_the_window() {
    let mut pair = Pair::new(filled(&secret(1), 12, 3 << 20), filled(&secret(2), 40, 300 << 10));
    pair.run();
    assert_eq!(pair.a.store.heads(), pair.b.store.heads());
}

#[test]
fn small_entries_before_a_largest_one_never_make_an_oversized_frame() {
    let mut store = filled(&secret(1), 60, 4 << 10);
    write(&secret(1), &mut store, covey_types::limits::MAX_ENTRY_BODY_BYTES);
    let mut pair = Pair::new(store, Store::default());
    let mut largest = 0;
    for _ in 0..10_000 {
        largest = pair.b.inbox.iter().map(Vec::len).fold(largest, usize::max);
        if !pair.step(0).unwrap() {
            break;
        }
    }
    assert_eq!(pair.a.store.heads(), pair.b.store.heads());
    assert!(largest <= covey_types::limits::MAX_SYNC_FRAME_BYTES, "{largest}");
}

#[test]
fn a_peer_that_may_not_read_yet_is_listened_to_and_served_once_it_may() {
    let mut pair = Pair::new(filled(&secret(1), 10, 50), filled(&secret(2), 5, 50));
    pair.a.may_send = false;
    pair.run();
    assert_eq!((pair.a.store.heads().total(), pair.b.store.heads().total()), (15, 5));
    pair.a.session.handle(Input::Authorise(SPACE), NOW).unwrap();
    pair.run();
    assert_eq!(pair.b.store.heads().total(), 15);
}

#[test]
fn a_log_whose_author_becomes_known_later_is_sent_again() {
    let mut pair = Pair::new(filled(&secret(1), 10, 50), Store::default());
    let mut both = pair.a.store.clone();
    for _ in 0..7 {
        write(&secret(2), &mut both, 50);
    }
    pair.a.store = both;
    pair.b.unknown = Some(secret(2).id());
    pair.run();
    assert_eq!(pair.b.store.heads().total(), 10);
    assert_eq!(pair.b.session.view(SPACE).unwrap().missing_here, 7);
    pair.b.unknown = None;
    pair.b.session.handle(Input::Again(SPACE), NOW).unwrap();
    pair.a.write(&secret(1), 50);
    pair.run();
    assert_eq!(pair.a.store.heads(), pair.b.store.heads());
    assert_eq!(pair.a.session.view(SPACE).unwrap().missing_there, 0);
}

#[test]
fn a_refused_space_passes_nothing_and_is_shown_as_refused() {
    let mut pair = Pair::new(filled(&secret(1), 10, 50), filled(&secret(2), 5, 50));
    pair.a.refuses = true;
    pair.run();
    assert_eq!((pair.a.store.heads().total(), pair.b.store.heads().total()), (10, 5));
    assert!(pair.b.session.view(SPACE).unwrap().refused);
}

#[test]
fn who_was_put_out_is_told_up_to_that_entry_and_nothing_that_came_after() {
    let writer = secret(3);
    let mut all = filled(&writer, 3, 100);
    let removal = all.heads();
    for _ in 0..4 {
        write(&writer, &mut all, 100);
    }
    let theirs = filled(&secret(4), 5, 100);
    let mut pair = Pair::new(all, theirs);
    pair.a.refuses = true;
    pair.a.farewell = Some(removal.clone());
    pair.run();
    pair.a.write(&writer, 100);
    let heads = pair.a.store.heads().0.into_iter().collect();
    pair.a.todo.push_back(Input::Heads { space: SPACE, heads });
    pair.run();
    let log = LogId { device: writer.id(), incarnation: Incarnation(1) };
    assert_eq!(pair.b.store.heads().head(&log), removal.head(&log), "this far and no further");
    assert_eq!(pair.a.store.logs.len(), 1, "and nothing was taken");
    let (here, there) = (pair.a.session.view(SPACE).unwrap(), pair.b.session.view(SPACE).unwrap());
    assert!(here.farewell && here.is_over() && there.refused && there.is_over(), "{here:?} {there:?}");
}

#[test]
fn two_who_put_each_other_out_hear_of_it_from_each_other() {
    let (one, two) = (secret(3), secret(4));
    let mut pair = Pair::new(filled(&one, 3, 100), filled(&two, 5, 100));
    for end in [&mut pair.a, &mut pair.b] {
        end.refuses = true;
        end.farewell = Some(end.store.heads());
    }
    pair.run();
    assert_eq!(pair.a.store.heads(), pair.b.store.heads());
    assert_eq!(pair.a.store.logs.len(), 2);
}

#[test]
fn who_is_out_themself_hears_what_those_have_to_say_whom_they_take_to_be_out_too() {
    let (one, two) = (secret(3), secret(4));
    let mut here = filled(&one, 3, 100);
    let mut there = here.clone();
    write(&one, &mut here, 100);
    for _ in 0..4 {
        write(&two, &mut there, 100);
    }
    let mut pair = Pair::new(here, there);
    pair.a.refuses = true;
    pair.a.takes = true;
    pair.a.farewell = Some(pair.a.store.heads());
    pair.run();
    assert_eq!(pair.a.store.heads(), pair.b.store.heads());
    assert_eq!(pair.a.store.heads().total(), 8);
    let (here, there) = (pair.a.session.view(SPACE).unwrap(), pair.b.session.view(SPACE).unwrap());
    assert!(here.farewell && !there.refused, "{here:?} {there:?}");
}

#[test]
fn a_space_that_is_joined_later_is_found_in_the_same_session() {
    let mut pair = Pair::new(filled(&secret(1), 10, 50), Store::default());
    let offers = std::mem::take(&mut pair.b.offers);
    pair.run();
    assert!(!pair.a.matched);
    pair.b.session.handle(Input::Offer(offers), NOW).unwrap();
    pair.run();
    assert_eq!(pair.b.store.heads().total(), 10);
}

#[test]
fn two_forks_of_equal_length_do_not_look_in_sync() {
    let (mut mine, mut theirs) = (Store::default(), Store::default());
    write(&secret(1), &mut mine, 10);
    write(&secret(1), &mut theirs, 11);
    let mut pair = Pair::new(mine, theirs);
    pair.run();
    assert_eq!((pair.a.forks, pair.b.forks), (1, 1));
    assert_eq!((pair.a.evidence.len(), pair.b.evidence.len()), (1, 1), "both know the proof");
    assert_eq!(pair.a.session.view(SPACE).unwrap().forked_logs, 0, "and there's nothing left to find out");
}

impl Pair {
    fn run_until_refused(&mut self) {
        while self.step(0) == Ok(true) {}
    }

    fn run_until_matched(&mut self) {
        self.b.may_send = false;
        self.run();
        assert!(self.a.matched && self.b.matched);
    }
}

#[test]
fn a_peer_that_got_entries_from_somebody_else_acknowledges_more_than_was_sent() {
    let mut whole = filled(&secret(1), 3, 50);
    let part = whole.clone();
    let later: Vec<Entry> = (0..2).map(|_| write(&secret(1), &mut whole, 50)).collect();
    let mut pair = Pair::new(part, Store::default());
    pair.run();
    // The fourth passes here; before the receiver answers, it has the fifth through a third node.
    pair.a.store.append(later[0].clone());
    pair.a.session.handle(Input::Appended { space: SPACE, entry: later[0].clone().into() }, NOW).unwrap();
    while pair.a.step(&mut pair.b.inbox).is_some() {}
    pair.b.store = whole.clone();
    pair.run();
    pair.a.store.append(later[1].clone());
    pair.a.session.handle(Input::Appended { space: SPACE, entry: later[1].clone().into() }, NOW).unwrap();
    pair.run();
    assert_eq!(pair.a.store.heads(), pair.b.store.heads());
    assert_eq!(pair.a.session.view(SPACE).unwrap().missing_there, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_events_converges(
        a_has in 0usize..40, b_has in 0usize..40, shared in 0usize..20,
        choices in prop::collection::vec(any::<u8>(), 300),
    ) {
        let common = filled(&secret(3), shared, 100);
        let mut pair = Pair::new(common.clone(), common);
        for _ in 0..a_has { write(&secret(1), &mut pair.a.store, 200); }
        for _ in 0..b_has { write(&secret(2), &mut pair.b.store, 200); }
        for choice in choices {
            if choice & 0xf0 == 0xf0 {
                let (end, author) = if choice & 4 == 0 { (&mut pair.a, 1) } else { (&mut pair.b, 2) };
                end.write(&secret(author), 100);
            }
            pair.step(choice).unwrap();
        }
        pair.run();
        prop_assert_eq!(pair.a.store.heads(), pair.b.store.heads());
        let in_sync = PeerView { heads_known: true, ..PeerView::default() };
        prop_assert_eq!(pair.a.session.view(SPACE), Some(in_sync));
        prop_assert_eq!(pair.b.session.view(SPACE), Some(in_sync));
    }
}

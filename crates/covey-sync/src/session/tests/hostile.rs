//! What a peer must not be able to do: learn of spaces, ask for what isn't shared, make this end hold or send without a
//! bound, or bring it down.

use super::*;

#[test]
fn a_stranger_learns_nothing() {
    let mut pair = Pair::new(filled(&secret(1), 10, 50), Store::default());
    // It knows a tag that was shown to somebody else, and reflects ours.
    pair.b.offers = vec![Offer { space: SPACE, mine: [9; 16], theirs: [1; 16] }];
    pair.run_until_refused();
    assert!(!pair.a.matched);
    assert_eq!(pair.b.store.heads().total(), 0);
    let mut mirror = Pair::new(filled(&secret(1), 10, 50), Store::default());
    mirror.b.offers = vec![Offer { space: SPACE, mine: [1; 16], theirs: [1; 16] }];
    mirror.run_until_refused();
    assert!(!mirror.a.matched, "a reflected tag is no proof");
}

#[test]
fn what_is_not_shared_cannot_be_asked_for() {
    let mut pair = Pair::new(filled(&secret(1), 10, 50), Store::default());
    pair.b.offers = Vec::new();
    pair.run();
    let frame = Frame::Heads { space: 0, heads: Vec::new() }.encode();
    let err = pair.a.session.handle(Input::Frame(frame), NOW).unwrap_err();
    assert!(err.is_misbehaviour());
}

#[test]
fn a_peer_of_another_version_is_named_with_its_versions() {
    let mut session = Pair::new(Store::default(), Store::default()).a.session;
    let hello = Hello {
        oldest: 5,
        newest: 6,
        capabilities: 0,
        window: 1 << 24,
        nonce: [0; 32],
        agent: "x".into(),
        clock_ms: 0,
    };
    let err = session.handle(Input::Frame(Frame::Hello(hello).encode()), NOW).unwrap_err();
    assert_eq!(err, SessionError::Version { theirs_oldest: 5, theirs_newest: 6 });
    assert!(!err.is_misbehaviour());
}

#[test]
fn a_silent_peer_and_a_stalled_peer_are_given_up() {
    let mut silent = Pair::new(Store::default(), Store::default()).a.session;
    assert_eq!(silent.handle(Input::Tick, GREETING_TIMEOUT), Err(SessionError::Silent));

    let mut pair = Pair::new(filled(&secret(1), 10, 50), Store::default());
    pair.run();
    pair.a.write(&secret(1), 50);
    while let Some(input) = pair.a.todo.pop_front() {
        pair.a.session.handle(input, NOW).unwrap();
    }
    let due = pair.a.session.poll_timeout().unwrap();
    pair.a.session.handle(Input::Tick, due / 2).unwrap();
    assert_eq!(pair.a.session.handle(Input::Tick, due), Err(SessionError::Stalled));
}

#[test]
fn a_frame_of_entries_without_any_is_refused_and_nothing_is_to_be_stored_for_it() {
    let mut pair = Pair::new(Store::default(), filled(&secret(2), 1, 50));
    pair.run_until_matched();
    let payload = Frame::Entries { space: 0, packed: &[] }.encode();
    let err = pair.a.session.handle(Input::Frame(payload), NOW).unwrap_err();
    assert!(err.is_misbehaviour(), "{err}");
    assert!(!matches!(pair.a.session.poll_output(), Some(Output::Ingest { .. })));
}

#[test]
fn more_than_the_window_is_refused() {
    let mut pair = Pair::new(Store::default(), filled(&secret(2), 40, 1 << 20));
    // The receiver never answers; the sender ignores the window.
    pair.run_until_matched();
    let mut refused = false;
    let mut shared = SharedSpace::new(SPACE, pair.b.store.heads(), true);
    for entry in pair.b.store.logs.values().flatten() {
        let mut packed = Vec::new();
        shared.pack(entry, &mut packed);
        let payload = Frame::Entries { space: 0, packed: &packed }.encode();
        refused |= pair.a.session.handle(Input::Frame(payload), NOW).is_err();
    }
    assert!(refused);
}

#[test]
fn a_peer_that_never_reads_makes_no_answers_pile_up_and_gets_the_right_one_when_it_does() {
    const ENTRIES: usize = 5000;
    let mut pair = Pair::new(Store::default(), filled(&secret(2), ENTRIES, 100));
    pair.run_until_matched();
    let mut packer = SharedSpace::new(SPACE, pair.b.store.heads(), true);
    let mut sent = 0;
    for entry in pair.b.store.logs.values().flatten() {
        let mut packed = Vec::new();
        packer.pack(entry, &mut packed);
        let payload = Frame::Entries { space: 0, packed: &packed }.encode();
        sent += payload.len();
        pair.a.session.handle(Input::Frame(payload), NOW).unwrap();
        while let Some(output) = pair.a.session.poll_output() {
            match output {
                Output::Ingest { space, entries, bytes } => {
                    let input = pair.a.ingest(space, entries, bytes);
                    pair.a.session.handle(input, NOW).unwrap();
                }
                Output::Changed(_) | Output::Theirs { .. } => {}
                other => panic!("nothing is to be sent: {other:?}"),
            }
        }
    }
    let (_, taken) = pair.a.session.under_way();
    assert_eq!(taken, sent as u64, "what was not credited counts against the window");
    let ack = pair.a.session.poll_owed().unwrap();
    let line = crate::frame::AckLine { log: 0, seq: ENTRIES as u64 };
    assert_eq!(Frame::decode(&ack).unwrap(), Frame::Ack { space: 0, lines: vec![line], credit: sent as u32 });
    assert!(!pair.a.session.owes() && pair.a.session.poll_owed().is_none(), "one frame for all of it");
    assert_eq!(pair.a.session.under_way(), (0, 0));
}

#[test]
fn no_more_is_sent_unacknowledged_than_the_own_window_whatever_the_peer_grants() {
    let mut pair = Pair::new(filled(&secret(1), 40, 1 << 20), Store::default());
    let hello = Hello {
        oldest: 1,
        newest: 1,
        capabilities: 0,
        window: u32::MAX,
        nonce: [0; 32],
        agent: "x".into(),
        clock_ms: 0,
    };
    let frames =
        [Frame::Hello(hello), Frame::Offer(vec![[2; 16]]), Frame::Heads { space: 0, heads: Vec::new() }];
    pair.a.inbox.extend(frames.iter().map(Frame::encode));
    let mut nobody = VecDeque::new();
    while pair.a.step(&mut nobody).is_some() || Pair::consume(&mut pair.a, 2).unwrap() {}
    let (in_flight, _) = pair.a.session.under_way();
    assert!(in_flight > 0 && in_flight <= u64::from(MIN_WINDOW_BYTES) + WINDOW_SLACK_BYTES, "{in_flight}");
}

#[test]
fn a_long_frame_is_refused_until_a_common_space_is_shown() {
    let heads = |n: u64| {
        let log = |n| LogId { device: secret(1).id(), incarnation: Incarnation(n) };
        let head = Head { seq: 1, hash: EntryHash([4; 32]) };
        let heads = (0..n).map(|n| crate::frame::HeadLine { log: log(n), head }).collect();
        Frame::Heads { space: 0, heads }.encode()
    };
    assert!(heads(2000).len() > MAX_STRANGER_FRAME_BYTES);
    let mut pair = Pair::new(Store::default(), Store::default());
    pair.b.offers = Vec::new();
    pair.run();
    assert_eq!(pair.a.session.max_frame_bytes(), MAX_STRANGER_FRAME_BYTES);
    let err = pair.a.session.handle(Input::Frame(heads(2000)), NOW).unwrap_err();
    assert!(err.to_string().contains("long frame") && err.is_misbehaviour(), "{err}");

    // A match is enough: the peer may tell its heads before this side has read its own.
    let mut pair = Pair::new(Store::default(), Store::default());
    pair.a.session.handle(Input::Offer(pair.a.offers.clone()), NOW).unwrap();
    let hello = Hello {
        oldest: 1,
        newest: 1,
        capabilities: 0,
        window: 8 << 20,
        nonce: [0; 32],
        agent: "x".into(),
        clock_ms: 0,
    };
    for payload in [Frame::Hello(hello).encode(), Frame::Offer(vec![[2; 16]]).encode(), heads(2000)] {
        pair.a.session.handle(Input::Frame(payload), NOW).unwrap();
    }
    assert_eq!(pair.a.session.max_frame_bytes(), MAX_SYNC_FRAME_BYTES);
}

#[test]
fn an_acknowledgement_of_a_log_or_of_bytes_that_were_never_sent_is_refused() {
    for (log, seq, credit) in [(5, 1, 0), (0, 1, 1 << 30)] {
        let mut pair = Pair::new(filled(&secret(1), 3, 50), Store::default());
        pair.run();
        let lines = vec![crate::frame::AckLine { log, seq }];
        let frame = Frame::Ack { space: 0, lines, credit }.encode();
        assert!(pair.a.session.handle(Input::Frame(frame), NOW).is_err(), "{log} {seq} {credit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_frames_end_the_session_and_never_panic(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..30),
        kinds in prop::collection::vec(0u8..8, 30),
        flip in any::<(u16, u8)>(),
    ) {
        let mut pair = Pair::new(filled(&secret(1), 5, 50), filled(&secret(2), 5, 50));
        pair.run();
        for (payload, kind) in frames.into_iter().zip(kinds) {
            if pair.a.session.handle(Input::Frame([&[kind], payload.as_slice()].concat()), NOW).is_err() {
                break;
            }
        }
        // A single changed bit in an honest frame must not panic either.
        pair.b.write(&secret(2), 50);
        let mut pair = Pair::new(pair.a.store, pair.b.store);
        for _ in 0..200 {
            if let Some(front) = pair.a.inbox.front_mut() && !front.is_empty() {
                let i = usize::from(flip.0) % front.len();
                front[i] ^= flip.1 & 1;
            }
            if pair.a.inbox.iter().any(Vec::is_empty) || pair.step(0).is_err() {
                break;
            }
        }
    }
}

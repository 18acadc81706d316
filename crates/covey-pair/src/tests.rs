//! Both sides of a pairing against each other, and against what goes wrong between them.

use covey_types::{
    DeviceId,
    limits::{DEFAULT_INVITE_MS, MAX_PAIR_MESSAGE_BYTES, MAX_WRONG_GUESSES},
};
use proptest::prelude::*;

use super::*;
use crate::{joiner::MAX_PAYLOAD_BYTES, message::Message};

const NOW_MS: u64 = 1_700_000_000_000;
const INVITER: DeviceId = DeviceId([1; 32]);
const JOINER: DeviceId = DeviceId([2; 32]);
const STRANGER: DeviceId = DeviceId([3; 32]);
const TERMS: Terms = Terms { space: SpaceId([9; 32]), role: 2, expires_at_ms: NOW_MS + DEFAULT_INVITE_MS };

fn invitation() -> (Invitations, Code) {
    let mut invitations = Invitations::new();
    let code = invitations.open(TERMS, NOW_MS).unwrap();
    (invitations, code)
}

/// The same nameplate with another secret.
fn wrong(code: &Code) -> Code {
    let text = code.to_string();
    let last = if text.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &text[..text.len() - 1]).parse().unwrap()
}

/// Both sides up to the joiner's confirmation.
fn up_to_confirm(invitations: &mut Invitations, code: &Code, joiner: DeviceId) -> (Joiner, Inviter, Vec<u8>) {
    let (mut j, start) = Joiner::start(code, joiner, INVITER, b"let me in".to_vec()).unwrap();
    let mut i = Inviter::new(INVITER, joiner);
    let reply = i.handle(&start, invitations, NOW_MS).unwrap();
    assert_eq!(reply.outcome, None);
    let confirm = j.handle(&reply.send.unwrap()).unwrap();
    assert_eq!(confirm.outcome, None);
    (j, i, confirm.send.unwrap())
}

/// What the inviter makes of a whole attempt up to the joiner's confirmation.
fn attempt(invitations: &mut Invitations, code: &Code, joiner: DeviceId, now_ms: u64) -> InviterOutcome {
    let (mut j, start) = Joiner::start(code, joiner, INVITER, b"let me in".to_vec()).unwrap();
    let mut i = Inviter::new(INVITER, joiner);
    let reply = i.handle(&start, invitations, now_ms).unwrap();
    if let Some(outcome) = reply.outcome {
        return outcome;
    }
    let confirm = j.handle(&reply.send.unwrap()).unwrap().send.unwrap();
    i.handle(&confirm, invitations, now_ms).unwrap().outcome.unwrap()
}

fn request(nameplate: Nameplate) -> InviterOutcome {
    InviterOutcome::Request { nameplate, terms: TERMS, request: b"let me in".to_vec() }
}

#[test]
fn with_the_right_code_both_sides_get_what_the_other_had_to_say() {
    let (mut invitations, code) = invitation();
    let (mut joiner, mut inviter, confirm) = up_to_confirm(&mut invitations, &code, JOINER);
    let step = inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap();
    assert_eq!(step, Step::outcome(request(code.nameplate())));
    let accept = inviter.accept(b"welcome", TERMS).unwrap();
    let step = joiner.handle(&accept).unwrap();
    assert_eq!(
        step.outcome,
        Some(JoinerOutcome::Welcome { welcome: b"welcome".to_vec().into(), terms: TERMS })
    );
    let shown = format!("{:?}", step.outcome);
    assert!(shown.contains("Welcome") && !shown.contains("119, 101, 108"), "no secret is shown: {shown}");
    let step = inviter.handle(&step.send.unwrap(), &mut invitations, NOW_MS).unwrap();
    assert_eq!(step, Step::outcome(InviterOutcome::Finished));
    assert_eq!(invitations.invitation(code.nameplate()).unwrap().state(), InvitationState::UsedBy(JOINER));
    assert!(matches!(joiner.handle(&accept), Err(PairError::OutOfTurn(_))));
}

#[test]
fn payloads_do_not_travel_in_the_clear() {
    let (mut invitations, code) = invitation();
    let (_, mut inviter, confirm) = up_to_confirm(&mut invitations, &code, JOINER);
    inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap();
    let accept = inviter.accept(b"welcome", TERMS).unwrap();
    assert!(!confirm.windows(9).any(|w| w == b"let me in"));
    assert!(!accept.windows(7).any(|w| w == b"welcome"));
    assert!(!accept.windows(32).any(|w| w == TERMS.space.as_bytes()));
}

#[test]
fn a_wrong_code_is_told_and_counted() {
    let (mut invitations, code) = invitation();
    let (mut joiner, mut inviter, confirm) = up_to_confirm(&mut invitations, &wrong(&code), JOINER);
    let step = inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap();
    let nameplate = code.nameplate();
    assert_eq!(step.outcome, Some(InviterOutcome::WrongGuess { nameplate, burnt: false }));
    let step = joiner.handle(&step.send.unwrap()).unwrap();
    assert_eq!(step.outcome, Some(JoinerOutcome::Refused(Refusal::WrongCode)));
    assert_eq!(invitations.invitation(nameplate).unwrap().wrong_guesses(), 1);
    assert!(matches!(inviter.accept(b"welcome", TERMS), Err(PairError::OutOfTurn(_))));
    assert_eq!(attempt(&mut invitations, &code, JOINER, NOW_MS), request(nameplate), "one may mistype");
}

#[test]
fn three_wrong_guesses_burn_the_code_for_everybody() {
    let (mut invitations, code) = invitation();
    let nameplate = code.nameplate();
    for guess in 1..=MAX_WRONG_GUESSES {
        let device = DeviceId([guess as u8 + 10; 32]);
        let outcome = attempt(&mut invitations, &wrong(&code), device, NOW_MS);
        assert_eq!(outcome, InviterOutcome::WrongGuess { nameplate, burnt: guess == MAX_WRONG_GUESSES });
    }
    assert_eq!(attempt(&mut invitations, &code, JOINER, NOW_MS), InviterOutcome::Refused(Refusal::Burnt));
}

#[test]
fn an_attempt_that_breaks_off_before_its_guess_is_not_counted() {
    let (mut invitations, code) = invitation();
    for _ in 0..10 {
        let _never_sent = up_to_confirm(&mut invitations, &wrong(&code), STRANGER);
    }
    let (_, mut inviter, _) = up_to_confirm(&mut invitations, &code, STRANGER);
    assert!(inviter.handle(b"garbage", &mut invitations, NOW_MS).is_err());
    assert_eq!(invitations.invitation(code.nameplate()).unwrap().wrong_guesses(), 0);
    assert_eq!(attempt(&mut invitations, &code, JOINER, NOW_MS), request(code.nameplate()));
}

#[test]
fn sessions_side_by_side_have_no_more_guesses_than_one_after_the_other() {
    let (mut invitations, code) = invitation();
    let guesses: Vec<_> = (0..10).map(|_| up_to_confirm(&mut invitations, &wrong(&code), STRANGER)).collect();
    let right = up_to_confirm(&mut invitations, &code, STRANGER);
    let mut counted = 0;
    for (_, mut inviter, confirm) in guesses {
        let outcome = inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap().outcome.unwrap();
        counted += u32::from(matches!(outcome, InviterOutcome::WrongGuess { .. }));
    }
    assert_eq!(counted, MAX_WRONG_GUESSES);
    let (_, mut inviter, confirm) = right;
    let outcome = inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap().outcome;
    assert_eq!(outcome, Some(InviterOutcome::Refused(Refusal::Burnt)), "even the right code comes too late");
}

#[test]
fn an_expired_code_is_refused_even_when_it_expires_halfway() {
    let (mut invitations, code) = invitation();
    let (_, mut inviter, confirm) = up_to_confirm(&mut invitations, &code, JOINER);
    let step = inviter.handle(&confirm, &mut invitations, TERMS.expires_at_ms).unwrap();
    assert_eq!(step.outcome, Some(InviterOutcome::Refused(Refusal::Expired)));
    let outcome = attempt(&mut invitations, &code, JOINER, TERMS.expires_at_ms);
    assert_eq!(outcome, InviterOutcome::Refused(Refusal::Expired));
}

#[test]
fn an_unknown_or_withdrawn_code_is_refused() {
    let (mut invitations, code) = invitation();
    let outcome = attempt(&mut Invitations::new(), &code, JOINER, NOW_MS);
    assert_eq!(outcome, InviterOutcome::Refused(Refusal::UnknownNameplate));
    assert!(invitations.withdraw(code.nameplate(), NOW_MS));
    assert_eq!(attempt(&mut invitations, &code, JOINER, NOW_MS), InviterOutcome::Refused(Refusal::Expired));
}

#[test]
fn a_used_code_is_good_for_the_same_device_only() {
    let (mut invitations, code) = invitation();
    let nameplate = code.nameplate();
    assert_eq!(attempt(&mut invitations, &code, JOINER, NOW_MS), request(nameplate));
    assert_eq!(attempt(&mut invitations, &code, STRANGER, NOW_MS), InviterOutcome::Refused(Refusal::Used));
    assert_eq!(
        attempt(&mut invitations, &code, JOINER, NOW_MS),
        request(nameplate),
        "its answer may have been lost"
    );
    let late = attempt(&mut invitations, &code, JOINER, TERMS.expires_at_ms);
    assert_eq!(late, InviterOutcome::Refused(Refusal::Expired));
}

#[test]
fn of_two_devices_at_once_only_one_gets_in() {
    let (mut invitations, code) = invitation();
    let (_, mut first, first_confirm) = up_to_confirm(&mut invitations, &code, JOINER);
    let (_, mut second, second_confirm) = up_to_confirm(&mut invitations, &code, STRANGER);
    let outcome = first.handle(&first_confirm, &mut invitations, NOW_MS).unwrap().outcome;
    assert_eq!(outcome, Some(request(code.nameplate())));
    let outcome = second.handle(&second_confirm, &mut invitations, NOW_MS).unwrap().outcome;
    assert_eq!(outcome, Some(InviterOutcome::Refused(Refusal::Used)));
}

#[test]
fn a_device_in_the_middle_that_passes_messages_on_fails() {
    // The joiner talks to the stranger, the stranger as itself to the inviter.
    let (mut invitations, code) = invitation();
    let (mut joiner, start) = Joiner::start(&code, JOINER, STRANGER, b"let me in".to_vec()).unwrap();
    let mut inviter = Inviter::new(INVITER, STRANGER);
    let reply = inviter.handle(&start, &mut invitations, NOW_MS).unwrap().send.unwrap();
    let confirm = joiner.handle(&reply).unwrap().send.unwrap();
    let outcome = inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap().outcome.unwrap();
    assert!(matches!(outcome, InviterOutcome::WrongGuess { .. }));
}

#[test]
fn a_message_sent_back_to_its_sender_is_worthless() {
    let (mut invitations, code) = invitation();
    let (mut joiner, start) = Joiner::start(&code, JOINER, INVITER, vec![]).unwrap();
    assert!(matches!(joiner.handle(&start), Err(PairError::Unexpected { .. })));

    let (mut joiner, start) = Joiner::start(&code, JOINER, INVITER, vec![]).unwrap();
    let Message::Start { element, .. } = Message::decode(&start).unwrap() else { panic!("not a Start") };
    let confirm = joiner.handle(&Message::Reply { element }.encode()).unwrap().send.unwrap();
    let Message::Confirm { mac, sealed } = Message::decode(&confirm).unwrap() else {
        panic!("not a Confirm")
    };
    assert_eq!(joiner.handle(&Message::Accept { mac, sealed }.encode()), Err(PairError::NotConfirmed));

    let (_, mut inviter, confirm) = up_to_confirm(&mut invitations, &code, JOINER);
    inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap();
    let accept = inviter.accept(b"welcome", TERMS).unwrap();
    let Message::Accept { mac, .. } = Message::decode(&accept).unwrap() else { panic!("not an Accept") };
    let done = Message::Done { mac }.encode();
    assert_eq!(inviter.handle(&done, &mut invitations, NOW_MS), Err(PairError::NotConfirmed));
}

#[test]
fn not_a_bit_of_the_acceptance_can_be_changed() {
    let (mut invitations, code) = invitation();
    let accept_of = |invitations: &mut Invitations| {
        let (joiner, mut inviter, confirm) = up_to_confirm(invitations, &code, JOINER);
        inviter.handle(&confirm, invitations, NOW_MS).unwrap();
        (joiner, inviter.accept(b"welcome", TERMS).unwrap())
    };
    let len = accept_of(&mut invitations).1.len();
    for at in 0..len {
        let (mut joiner, mut accept) = accept_of(&mut invitations);
        accept[at] ^= 1;
        match joiner.handle(&accept) {
            Err(_) => {}
            Ok(step) => panic!("byte {at} was changed and the joiner says {step:?}"),
        }
    }
}

#[test]
fn terms_that_the_inviter_did_not_confirm_are_refused() {
    let (mut invitations, code) = invitation();
    let (mut joiner, mut inviter, confirm) = up_to_confirm(&mut invitations, &code, JOINER);
    let (_, mut other, other_confirm) = up_to_confirm(&mut invitations, &code, JOINER);
    inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap();
    other.handle(&other_confirm, &mut invitations, NOW_MS).unwrap();
    let ours = Message::decode(&inviter.accept(b"welcome", TERMS).unwrap()).unwrap();
    let theirs = Message::decode(&other.accept(b"welcome", Terms { role: 0, ..TERMS }).unwrap()).unwrap();
    let (Message::Accept { mac, .. }, Message::Accept { sealed, .. }) = (ours, theirs) else {
        panic!("no Accept")
    };
    assert_eq!(joiner.handle(&Message::Accept { mac, sealed }.encode()), Err(PairError::NotConfirmed));
}

#[test]
fn a_joiner_is_turned_away_when_the_inviter_declines() {
    let (mut invitations, code) = invitation();
    let (mut joiner, mut inviter, confirm) = up_to_confirm(&mut invitations, &code, JOINER);
    assert!(inviter.decline(Refusal::Declined).is_err(), "there is nothing to decline yet");
    inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap();
    assert!(!inviter.is_over());
    let step = joiner.handle(&inviter.decline(Refusal::Declined).unwrap()).unwrap();
    assert!(inviter.is_over());
    assert_eq!(step, Step::outcome(JoinerOutcome::Refused(Refusal::Declined)));
}

#[test]
fn another_version_and_a_point_off_the_curve_are_refused() {
    let (mut invitations, code) = invitation();
    let (nameplate, element) = (code.nameplate().number(), [1; 32]);
    let start = Message::Start { version: 2, nameplate, element }.encode();
    let step = Inviter::new(INVITER, JOINER).handle(&start, &mut invitations, NOW_MS).unwrap();
    assert_eq!(step.outcome, Some(InviterOutcome::Refused(Refusal::Version)));
    let none = &mut Invitations::new();
    let step = Inviter::new(INVITER, JOINER).handle(&start, none, NOW_MS).unwrap();
    let unknown = InviterOutcome::Refused(Refusal::UnknownNameplate);
    assert_eq!(step.outcome, Some(unknown), "a stranger to the code says nothing of versions");
    let off_the_curve = [[2u8; 32], [0xff; 32], [7; 32]].into_iter().map(|element| {
        let start = Message::Start { version: 1, nameplate, element }.encode();
        Inviter::new(INVITER, JOINER).handle(&start, &mut invitations, NOW_MS)
    });
    assert!(off_the_curve.into_iter().any(|answer| matches!(answer, Err(PairError::KeyExchange(_)))));
}

#[test]
fn the_largest_payloads_fit_a_message_and_larger_ones_are_refused() {
    let (mut invitations, code) = invitation();
    let large = vec![7; MAX_PAYLOAD_BYTES];
    let (mut joiner, start) = Joiner::start(&code, JOINER, INVITER, large.clone()).unwrap();
    let mut inviter = Inviter::new(INVITER, JOINER);
    let reply = inviter.handle(&start, &mut invitations, NOW_MS).unwrap().send.unwrap();
    let confirm = joiner.handle(&reply).unwrap().send.unwrap();
    inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap();
    let larger = vec![7; MAX_PAYLOAD_BYTES + 1];
    assert!(matches!(inviter.accept(&larger, TERMS), Err(PairError::TooLong { .. })));
    let accept = inviter.accept(&large, TERMS).unwrap();
    assert!(accept.len() <= MAX_PAIR_MESSAGE_BYTES);
    assert!(joiner.handle(&accept).unwrap().outcome.is_some());
    assert!(matches!(Joiner::start(&code, JOINER, INVITER, larger), Err(PairError::TooLong { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_bytes_never_panic_and_let_nobody_in(
        noise in prop::collection::vec(any::<u8>(), 0..120),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut invitations, code) = invitation();
        let (mut joiner, mut inviter, confirm) = up_to_confirm(&mut invitations, &wrong(&code), JOINER);
        for bytes in [&noise[..], &confirm[..cut.index(confirm.len())]] {
            for step in [joiner.handle(bytes), Joiner::start(&code, JOINER, INVITER, vec![]).unwrap().0.handle(bytes)] {
                let welcomed = matches!(step, Ok(Step { outcome: Some(JoinerOutcome::Welcome { .. }), .. }));
                prop_assert!(!welcomed);
            }
            for inviter in [&mut inviter, &mut Inviter::new(INVITER, JOINER)] {
                let step = inviter.handle(bytes, &mut invitations, NOW_MS);
                let asked = matches!(step, Ok(Step { outcome: Some(InviterOutcome::Request { .. }), .. }));
                prop_assert!(!asked);
            }
        }
    }
}

/// A pairing for a device up to the moment in which the inviter decides.
fn up_to_request(invitations: &mut Invitations, code: &Code) -> (Joiner, Inviter) {
    let (mut j, link) =
        Joiner::start_for(Purpose::Device, code, JOINER, INVITER, b"let me in".to_vec()).unwrap();
    let mut i = Inviter::new(INVITER, JOINER);
    let reply = i.handle(&link, invitations, NOW_MS).unwrap().send.unwrap();
    let confirm = j.handle(&reply).unwrap().send.unwrap();
    let step = i.handle(&confirm, invitations, NOW_MS).unwrap();
    assert_eq!(step.outcome, Some(request(code.nameplate())));
    assert_eq!(i.purpose(), Purpose::Device);
    (j, i)
}

fn device_invitation() -> (Invitations, Code) {
    let mut invitations = Invitations::new();
    let code = invitations.open_for(Purpose::Device, TERMS, NOW_MS).unwrap();
    (invitations, code)
}

#[test]
fn a_device_is_asked_before_it_is_let_in() {
    let (mut invitations, code) = device_invitation();
    let (mut joiner, mut inviter) = up_to_request(&mut invitations, &code);
    let ask = inviter.ask(b"whose?").unwrap();
    assert!(!ask.windows(6).any(|w| w == b"whose?"));
    assert!(
        matches!(inviter.accept(b"welcome", TERMS), Err(PairError::OutOfTurn(_))),
        "not before the answer"
    );
    assert_eq!(joiner.handle(&ask).unwrap(), Step::outcome(JoinerOutcome::Asked(b"whose?".to_vec())));
    let answer = joiner.answer(b"yours".to_vec()).unwrap();
    assert!(matches!(joiner.answer(b"again".to_vec()), Err(PairError::OutOfTurn(_))));
    let step = inviter.handle(&answer, &mut invitations, NOW_MS).unwrap();
    assert_eq!(step, Step::outcome(InviterOutcome::Answered(b"yours".to_vec())));
    let accept = inviter.accept(b"welcome", TERMS).unwrap();
    let step = joiner.handle(&accept).unwrap();
    assert!(matches!(step.outcome, Some(JoinerOutcome::Welcome { .. })));
    let step = inviter.handle(&step.send.unwrap(), &mut invitations, NOW_MS).unwrap();
    assert_eq!(step, Step::outcome(InviterOutcome::Finished));
}

#[test]
fn a_changed_question_or_answer_ends_the_pairing() {
    let (mut invitations, code) = device_invitation();
    let (mut joiner, mut inviter) = up_to_request(&mut invitations, &code);
    let mut ask = inviter.ask(b"whose?").unwrap();
    *ask.last_mut().unwrap() ^= 1;
    assert!(matches!(joiner.handle(&ask), Err(PairError::NotConfirmed)));
    let (mut joiner, mut inviter) = up_to_request(&mut invitations, &code);
    joiner.handle(&inviter.ask(b"whose?").unwrap()).unwrap();
    let mut answer = joiner.answer(b"yours".to_vec()).unwrap();
    *answer.last_mut().unwrap() ^= 1;
    assert!(matches!(inviter.handle(&answer, &mut invitations, NOW_MS), Err(PairError::NotConfirmed)));
}

#[test]
fn a_code_of_one_kind_is_refused_for_the_other_and_stays_open() {
    for purpose in [Purpose::Space, Purpose::Device] {
        let mut invitations = Invitations::new();
        let code = invitations.open_for(purpose, TERMS, NOW_MS).unwrap();
        let other = if purpose == Purpose::Space { Purpose::Device } else { Purpose::Space };
        let (_, start) = Joiner::start_for(other, &code, JOINER, INVITER, vec![]).unwrap();
        let step = Inviter::new(INVITER, JOINER).handle(&start, &mut invitations, NOW_MS).unwrap();
        assert_eq!(step.outcome, Some(InviterOutcome::Refused(Refusal::OtherPurpose)));
        let invitation = invitations.invitation(code.nameplate()).unwrap();
        assert_eq!((invitation.state(), invitation.wrong_guesses()), (InvitationState::Open, 0));
    }
}

#[test]
fn the_kind_is_part_of_what_both_sides_confirm() {
    // Somebody in between turns the one first message into the other, for a code that would be right.
    let (mut invitations, code) = invitation();
    let (mut joiner, link) = Joiner::start_for(Purpose::Device, &code, JOINER, INVITER, vec![]).unwrap();
    let Message::Link { version, nameplate, element } = Message::decode(&link).unwrap() else { panic!() };
    let mut inviter = Inviter::new(INVITER, JOINER);
    let start = Message::Start { version, nameplate, element }.encode();
    let reply = inviter.handle(&start, &mut invitations, NOW_MS).unwrap().send.unwrap();
    let confirm = joiner.handle(&reply).unwrap().send.unwrap();
    let step = inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap();
    assert!(matches!(step.outcome, Some(InviterOutcome::WrongGuess { .. })));
}

#[test]
fn nothing_is_asked_of_who_joins_a_space() {
    let (mut invitations, code) = invitation();
    let (mut joiner, mut inviter, confirm) = up_to_confirm(&mut invitations, &code, JOINER);
    inviter.handle(&confirm, &mut invitations, NOW_MS).unwrap();
    assert!(matches!(inviter.ask(b"whose?"), Err(PairError::OutOfTurn(_))));
    let ask = Message::Ask { mac: [0; 32], sealed: vec![0; 20] }.encode();
    assert!(matches!(joiner.handle(&ask), Err(PairError::Unexpected { .. })));
}

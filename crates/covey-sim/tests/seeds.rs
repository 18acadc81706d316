//! Stories that are played on every test run, and defects that the checks must notice.

use covey_sim::{Options, Planted, run};

/// Everybody comes to the same within so long once everything works, virtual milliseconds.
const SETTLED_MS: u64 = 60_000;

/// How many forked logs counted up to a cut, in all stories.
fn all_hold(seeds: std::ops::Range<u64>, options: Options) -> u64 {
    let (mut compacted, mut entries, mut saved, mut vacuous) = (0, 0, 0, 0);
    let stories = seeds.end - seeds.start;
    for seed in seeds {
        let played = run(seed, options);
        compacted += played.compacted;
        if let Some(reason) = played.failure {
            let end: Vec<&String> = played.log.iter().rev().take(40).rev().collect();
            panic!(
                "seed {seed}: {reason}\nlook at it with: cargo run -p covey-sim -- --seed {seed}{}\n{end:#?}",
                options.flags()
            );
        }
        entries += played.entries;
        vacuous += u64::from(played.vacuous);
        assert!(
            played.settled_ms < SETTLED_MS,
            "seed {seed}: all agreed only after {} ms",
            played.settled_ms
        );
        saved += played.saved;
    }
    assert!(entries > 20 * stories, "only {entries} entries were written in {stories} stories");
    assert!(vacuous * 4 < stories, "in {vacuous} of {stories} stories nobody is left");
    assert!(compacted > stories / 4, "only {compacted} logs were compacted in {stories} stories");
    saved
}

// Several tests, so that they run beside each other.

#[test]
fn whatever_goes_wrong_all_come_to_the_same() {
    all_hold(1..60, Options::default());
}

#[test]
fn whatever_else_goes_wrong_all_come_to_the_same() {
    all_hold(10_000..10_060, Options::default());
}

#[test]
fn whoever_lies_is_found_out_and_does_no_harm() {
    all_hold(20_000..20_060, Options::default());
}

#[test]
fn whoever_is_lost_for_good_takes_only_what_they_alone_had() {
    all_hold(50_000..50_060, Options { losses: true, ..Options::default() });
}

/// A user leaves a space with one device, and another owner leaves at the same moment: one of them has to stay. The device that left
/// knows neither of that nor of its user's other devices as those who could tell it.
#[test]
fn a_device_that_left_hears_that_its_user_has_to_stay() {
    assert_eq!(run(6560, Options::default()).failure, None);
}

/// Stories in which this is tried hard: people who go, lose their rights, or go back to a backup, at the same moment as they
/// let others in.
#[test]
fn whoever_is_in_comes_to_the_keys_and_whoever_is_not_has_only_what_was_rightfully_given() {
    for seed in [4429, 6442, 7305, 8002, 8517, 8746, 9218, 9836, 20_843] {
        assert_eq!(run(seed, Options::default()).failure, None, "seed {seed}");
    }
}

#[test]
fn whoever_has_a_device_that_was_put_out_takes_nothing_back_of_what_it_had_written_before() {
    let saved = all_hold(60_000..60_110, Options { thieves: true, ..Options::default() });
    assert!(saved > 6, "only {saved} logs of devices that were put out count beyond a fork");
}

#[test]
fn over_the_real_store_it_is_the_same() {
    all_hold(30_000..30_030, Options { real_store: true, ..Options::default() });
}

#[test]
fn a_seed_is_the_same_story_every_time() {
    let (first, second) = (run(7, Options::default()), run(7, Options::default()));
    assert_eq!(first.log, second.log);
    assert_ne!(first.log, run(8, Options::default()).log);
}

/// A defect is noticed by one of the first stories in which it can show; by what it does, and it alone.
fn is_noticed(planted: Planted, within: u64, shows: &[&str]) {
    let options = Options { losses: true, planted: Some(planted), ..Options::default() };
    let noticed =
        (40_000..40_000 + within).find_map(|seed| run(seed, options).failure.map(|why| (seed, why)));
    let (seed, why) = noticed.unwrap_or_else(|| panic!("{planted:?} went unnoticed in {within} stories"));
    // It's the defect that was noticed, and not the story.
    let sound = run(seed, Options { planted: None, ..options });
    assert_eq!(sound.failure, None, "seed {seed} without {planted:?}");
    let first = why.lines().next().unwrap_or_default();
    assert!(shows.iter().any(|sign| why.contains(sign)), "{planted:?} shows otherwise: {why}");
    println!("{planted:?} is noticed by story {seed}: {first}");
}

#[test]
fn a_machine_that_tells_of_entries_before_they_are_durable_is_noticed() {
    is_noticed(
        Planted::TellsTooEarly,
        300,
        &["hold other entries", "lacks entry", "two histories", "is forked"],
    );
}

#[test]
fn a_place_in_a_log_that_is_used_again_is_noticed() {
    is_noticed(Planted::ReusesPlaces, 200, &["two histories", "is forked"]);
}

#[test]
fn a_cut_that_is_lost_is_noticed() {
    is_noticed(Planted::LosesCuts, 300, &["come to another", "comes to other records"]);
}

#[test]
fn a_key_that_stays_with_those_who_are_put_out_is_noticed() {
    is_noticed(
        Planted::KeepsTheKey,
        100,
        &["is out of the space and holds its current key", "was put out and reads"],
    );
}

#[test]
fn more_under_way_than_there_is_room_for_is_noticed() {
    is_noticed(Planted::GrantsTooMuch, 300, &["bytes are under way"]);
}

#[test]
fn a_machine_that_gives_up_after_a_session_broke_is_noticed() {
    is_noticed(Planted::GivesUp, 100, &["hold other entries", "lacks", "something to do", "left undone"]);
}

#[test]
fn a_signature_that_is_not_checked_is_noticed() {
    is_noticed(Planted::SkipsSignatures, 300, &["forge"]);
}

#[test]
fn time_in_the_place_of_a_cursor_is_noticed() {
    is_noticed(Planted::TimeAsCursor, 100, &["hold other entries", "lacks"]);
}

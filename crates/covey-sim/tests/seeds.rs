//! Stories that are played on every test run, and defects that the checks must notice.

use covey_sim::{Options, Planted, run};

fn all_hold(seeds: std::ops::Range<u64>, options: Options) {
    for seed in seeds {
        let played = run(seed, options);
        if let Some(reason) = played.failure {
            let end: Vec<&String> = played.log.iter().rev().take(40).rev().collect();
            panic!(
                "seed {seed}: {reason}\nlook at it with: cargo run -p covey-sim -- --seed {seed}\n{end:#?}"
            );
        }
        assert!(played.entries > 3, "seed {seed} is a story in which nothing happens");
    }
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
fn over_the_real_store_it_is_the_same() {
    all_hold(30_000..30_006, Options { real_store: true, ..Options::default() });
}

#[test]
fn a_seed_is_the_same_story_every_time() {
    let (first, second) = (run(7, Options::default()), run(7, Options::default()));
    assert_eq!(first.log, second.log);
    assert_ne!(first.log, run(8, Options::default()).log);
}

/// A defect is noticed by one of the first stories in which it can show.
fn is_noticed(planted: Planted, within: u64) {
    let options = Options { losses: true, planted: Some(planted), ..Options::default() };
    let noticed = (40_000..40_000 + within).find_map(|seed| run(seed, options).failure);
    assert!(noticed.is_some(), "{planted:?} went unnoticed in {within} stories");
}

#[test]
fn a_machine_that_tells_of_entries_before_they_are_durable_is_noticed() {
    is_noticed(Planted::TellsTooEarly, 300);
}

#[test]
fn a_place_in_a_log_that_is_used_again_is_noticed() {
    is_noticed(Planted::ReusesPlaces, 200);
}

#[test]
fn a_cut_that_is_lost_is_noticed() {
    is_noticed(Planted::LosesCuts, 300);
}

#[test]
fn a_signature_that_is_not_checked_is_noticed() {
    is_noticed(Planted::SkipsSignatures, 300);
}

#[test]
fn time_in_the_place_of_a_cursor_is_noticed() {
    is_noticed(Planted::TimeAsCursor, 100);
}

//! Every target, on a stable compiler: with the committed corpus, bytes at random, and mutations of the corpus.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use covey_fuzz::{TARGETS, Target, corpus, mutate::mutate, target};

/// How long each target is fed beside its corpus. libFuzzer and `covey-fuzz loop` are for more.
const FEEDING: Duration = Duration::from_millis(150);

/// Inputs that a target takes in that time at least, on however slow a machine.
const AT_LEAST: usize = 50;

fn feed(target: &Target, what: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{} fails with {what}; {} bytes: {hex}", target.name, input.len());
    }
}

fn twin(name: &str) {
    let target = target(name).unwrap();
    let files = corpus::read(target).unwrap();
    assert!(!files.is_empty(), "{name} has a corpus");
    for (file, input) in &files {
        feed(target, &format!("the file {file}"), input);
    }
    let inputs: Vec<Vec<u8>> = files.into_iter().map(|(_, input)| input).collect();
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    let mut fed = 0;
    while fed < AT_LEAST || start.elapsed() < FEEDING {
        feed(target, &format!("input {fed} of seed {seed}"), &mutate(&mut rng, &inputs));
        fed += 1;
    }
}

macro_rules! twins {
    ($($name:ident)*) => {
        $(#[test] fn $name() { twin(stringify!($name)); })*

        #[test]
        fn every_target_has_a_twin_and_a_place_among_the_fuzzers() {
            let named: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(named, BTreeSet::from([$(stringify!($name)),*]));
            for name in named {
                let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fuzz/fuzz_targets/{name}.rs"));
                let text = std::fs::read_to_string(&file).unwrap();
                assert!(text.contains(&format!("{name}(")), "{} drives {name}", file.display());
            }
        }
    };
}

twins! {
    entry_header packed_entries opened_body
    membership_acts membership_body sealed_key welcome join_request notice
    fork_evidence evidence_merge
    record_operations record_state record_merge checkpoint_part
    filter json_value invitation_link ids_and_codes
    sync_frames sync_session membership_graph pairing
    checkpoint_agreement backup_seal mdns_answer import_lines csv_rows api_requests
    chat_record chat_signal
}

/// A target that can't fail would say nothing.
#[test]
fn a_finding_is_told_with_the_bytes_that_made_it() {
    let broken = Target { name: "broken", run: |bytes| assert!(!bytes.contains(&7), "seven") };
    feed(&broken, "no seven", &[1, 2]);
    let told = catch_unwind(|| feed(&broken, "a seven", &[7, 255])).unwrap_err();
    assert_eq!(*told.downcast::<String>().unwrap(), "broken fails with a seven; 2 bytes: 07ff");
}

//! Two processes, one of which is told by the system that it is two years later.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::support::{Home, PATIENCE, QUIC, until};
use serde_json::{Value, json};

/// What makes a process see another time: Debian's package faketime, which the tests' set-up installs.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

fn two_years_ahead() -> Option<[(&'static str, &'static str); 3]> {
    let library = std::env::var("COVEY_TEST_FAKETIME").map_or(FAKETIME, |path| path.leak() as &str);
    // Only the time of day is another one: a process whose timers jump would be another story.
    let env = [("LD_PRELOAD", library), ("FAKETIME", "+2y"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    if Path::new(library).exists() {
        return Some(env);
    }
    assert!(std::env::var_os("CI").is_none(), "{library} is missing: see scripts/setup.sh");
    eprintln!("SKIPPED: {library} is missing; install the package faketime, or set COVEY_TEST_FAKETIME");
    None
}

fn told<'a>(doctor: &'a Value, name: &str) -> Option<&'a Value> {
    doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == name && check["ok"] == false)
}

/// Asks the doctor until the answer is right, whether or not something is wrong.
fn until_doctor(home: &Home, right: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let answer = home.json_whatever(&["doctor"]);
        if right(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "still {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn put(home: &Home, id: &str) {
    home.ok(&["record", "put", "garden", "plants", "--id", id, "{\"n\":1}"]);
}

fn has(home: &Home, id: &str) -> bool {
    home.run(&["record", "get", "garden", "plants", id]).status.success()
}

#[test]
fn a_process_two_years_ahead_stays_usable_and_both_say_whose_clock_is_off() {
    let Some(ahead) = two_years_ahead() else { return };
    let (ada, bob) = (Home::new(), Home::new());
    bob.ok(&["init", "--name", "Bob", "--device", "phone"]);
    let _adas = ada.up_with(&QUIC);
    let bobs = bob.up_with(&QUIC);
    ada.ok(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    bob.ok(&["join", &link, "--timeout", "20s"]);
    put(&bob, "before");
    until(&ada, &["status"], |status| status["spaces"][0]["records"] == 1);
    assert_eq!(bobs.stop().code(), Some(0));

    let bobs = bob.up_with_env(&QUIC, &ahead);
    let clock = |status: &Value| status["clocks"].as_array().is_some_and(|clocks| clocks.len() == 1);
    let here = until(&ada, &["status"], clock);
    assert!(here["clocks"][0]["ahead_ms"].as_i64().unwrap() > 700 * 86_400_000, "{here}");
    let there = until(&bob, &["status"], clock);
    assert!(there["clocks"][0]["ahead_ms"].as_i64().unwrap() < -700 * 86_400_000, "{there}");
    assert!(ada.ok(&["status"]).contains("one of them is wrong; see covey doctor"));

    // Both work on. What Ada writes is with Bob at once; what Bob writes from the future waits with Ada, who says so.
    put(&ada, "from-ada");
    until(&bob, &["status"], |status| status["spaces"][0]["records"] == 2);
    put(&bob, "from-the-future");
    assert!(has(&bob, "from-the-future") && has(&bob, "from-ada"));
    let doctor = until_doctor(&ada, |doctor| told(doctor, "held").is_some());
    for name in ["clock", "held"] {
        let check = told(&doctor, name).unwrap_or_else(|| panic!("no {name} in {doctor}"));
        assert!(check["remedy"].as_str().is_some_and(|text| text.contains("clock")), "{check}");
    }
    assert!(!has(&ada, "from-the-future"));
    let act: Value =
        serde_json::from_str(&ada.ok(&["audit", "garden", "--what", "ahead", "--json"])).unwrap();
    assert_eq!((&act["who"]["device"], &act["what"]), (&json!("phone"), &json!("ahead")), "{act}");
    assert!(ada.ok(&["audit", "garden"]).contains("dated an entry in the future: it waits for its time"));
    assert_eq!(ada.json(&["record", "get", "garden", "plants", "from-ada"]), json!({"n": 1}));
    put(&ada, "still-works");
    until(&bob, &["status"], |status| status["spaces"][0]["records"] == 4);
    assert_eq!(bobs.stop().code(), Some(0));
}

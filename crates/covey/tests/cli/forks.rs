//! A home that was copied and went on in two places, as its people see it.

use crate::support::{Home, QUIC, until};
use serde_json::{Value, json};

fn copy(from: &Home, to: &Home) {
    std::fs::create_dir(to.path()).unwrap();
    for found in std::fs::read_dir(from.path()).unwrap() {
        let path = found.unwrap().path();
        std::fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
}

fn check<'a>(doctor: &'a Value, name: &str) -> Option<&'a Value> {
    doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == name && check["ok"] == false)
}

#[test]
fn who_copied_a_home_is_told_so_everywhere_and_loses_nothing() {
    let (ada, bob, copied) = (Home::new(), Home::new(), Home::new());
    bob.ok(&["init", "--name", "Bob", "--device", "phone"]);
    let adas = ada.up_with(&QUIC);
    let _bobs = bob.up_with(&QUIC);
    ada.ok(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    bob.ok(&["join", &link, "--timeout", "20s"]);
    assert_eq!(adas.stop().code(), Some(0));
    copy(&ada, &copied);

    // Ada's laptop writes with Bob near; its copy alone, and then meets Bob.
    let put =
        |home: &Home, id: &str| home.ok(&["record", "put", "garden", "plants", "--id", id, "{\"n\":1}"]);
    let adas = ada.up_with(&QUIC);
    put(&ada, "here");
    until(&bob, &["status"], |status| status["spaces"][0]["records"] == 1);
    assert_eq!(adas.stop().code(), Some(0));
    let copys = copied.up();
    put(&copied, "there");
    assert_eq!(copys.stop().code(), Some(0));
    let copys = copied.up_with(&QUIC);
    let shown = until(&bob, &["space", "show", "garden"], |space| {
        space["forks"].as_array().is_some_and(|forks| !forks.is_empty()) && space["records"] == 1
    });
    let (fork, peer) = (&shown["forks"][0], copys.ready["peer_id"].clone());
    assert_eq!((&fork["peer_id"], &fork["name"]), (&peer, &json!("laptop")));

    // Bob is told who, from where on, and what to do; the proof can be looked at.
    let seq = fork["seq"].to_string();
    let said = bob.ok(&["space", "show", "garden"]);
    assert!(said.contains("laptop (") && said.contains(&format!("from entry {seq} on")), "{said}");
    let status = bob.ok(&["status"]);
    assert!(status.contains("wrote two histories") && status.contains("see `covey doctor`"), "{status}");
    let doctor = bob.json_whatever(&["doctor"]);
    let told = check(&doctor, "fork").unwrap_or_else(|| panic!("{doctor}"));
    let (detail, remedy) = (told["detail"].as_str().unwrap(), told["remedy"].as_str().unwrap());
    assert!(detail.contains("garden: laptop (") && detail.contains("two histories"), "{detail}");
    assert!(remedy.contains("only one copy may go on") && remedy.contains("covey device revoke"), "{remedy}");
    // What is known in memory may not be on disk yet, which is where this is read.
    let mut proved = (0..200).map(|_| bob.ok(&["audit", "garden", "--what", "fork", "--json"]));
    let audit = proved.find(|audit| !audit.is_empty()).unwrap();
    let act: Value = serde_json::from_str(audit.lines().next().unwrap()).unwrap();
    assert_eq!((&act["seq"], act["proof"].as_array().map(Vec::len)), (&fork["seq"], Some(2)), "{act}");
    assert!(bob.ok(&["audit", "garden"]).contains("two histories"));

    // The copy knows, and has written its own again, in a new log, which is told as well.
    let own = until(&copied, &["space", "show", "garden"], |space| space["sync"][0]["state"] == "in_sync");
    assert_eq!(own["records"], 1);
    let act = bob.ok(&["audit", "garden", "--what", "new_log", "--json"]);
    let act: Value = serde_json::from_str(act.lines().next().unwrap()).unwrap();
    assert_eq!((&act["who"]["peer_id"], &act["stands"]), (&peer, &json!(true)), "{act}");
    let shown = bob.json(&["space", "show", "garden"]);
    assert_eq!(
        (&shown["new_logs"][0]["peer_id"], &shown["new_logs"][0]["times"]),
        (&peer, &json!(1)),
        "{shown}"
    );
    assert!(bob.ok(&["status"]).contains("went on in a new log once"));
    let doctor = bob.json_whatever(&["doctor"]);
    let told = doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "new-log");
    assert_eq!(told.map(|told| &told["ok"]), Some(&json!(true)), "{doctor}");
    let doctor = copied.json_whatever(&["doctor"]);
    let told = check(&doctor, "own-log").unwrap_or_else(|| panic!("{doctor}"));
    assert!(told["detail"].as_str().unwrap().contains("was written again"), "{told}");
    assert_eq!(copys.stop().code(), Some(0));

    // So does the laptop, once it's back: now everything is everywhere.
    let _adas = ada.up_with(&QUIC);
    let export = ["record", "export", "garden", "plants"];
    until(&bob, &["status"], |status| status["spaces"][0]["records"] == 2);
    until(&ada, &["status"], |status| status["spaces"][0]["records"] == 2);
    assert_eq!(ada.ok(&export), bob.ok(&export));
}

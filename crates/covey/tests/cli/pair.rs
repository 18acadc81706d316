//! Two nodes in two processes, over QUIC on the loopback interface.

use std::process::Stdio;

use crate::support::{Home, Lines, QUIC, finish, lines_of, stderr, until};
use serde_json::{Value, json};

#[test]
fn who_joins_by_a_link_has_the_records_and_sees_changes_live() {
    let (ada, bob) = (Home::new(), Home::new());
    let _ada_node = ada.up_with(&QUIC);
    ada.ok(&["space", "create", "garden"]);
    let rows = lines_of(0..1000, |n| format!("{{\"id\":\"k{n:04}\",\"doc\":{{\"n\":{n}}}}}"));
    let file = ada.file("plants.ndjson", rows);
    ada.ok(&["record", "import", "garden", "plants", file.to_str().unwrap()]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();

    let _bob_node = bob.up_with(&QUIC);
    let joined = bob.json(&["join", &link, "--timeout", "20s"]);
    assert_eq!((&joined["space"]["name"], &joined["records"]), (&json!("garden"), &json!(1000)));
    let export = ["record", "export", "garden", "plants"];
    assert_eq!(bob.ok(&export), ada.ok(&export));

    // Live, both ways.
    let position = until(&bob, &["status"], |status| status["spaces"][0]["sync"][0]["state"] == "in_sync");
    assert_eq!(position["peers"][0]["state"], "connected");
    for (writer, reader, id) in [(&ada, &bob, "from-ada"), (&bob, &ada, "from-bob")] {
        let mut command = reader.command(&["record", "watch", "garden", "plants", "--since", "0", "--json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Lines::new(child.stdout.take().unwrap());
        lines.next();
        writer.ok(&["record", "put", "garden", "plants", "--id", id, "{\"live\":true}"]);
        let seen = std::iter::repeat_with(|| lines.next_json()).take(1100).any(|change| change["id"] == id);
        assert!(seen, "{id} is seen by the other");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    // The link was for one device.
    let eve = Home::new();
    let _eve_node = eve.up_with(&QUIC);
    let said = eve.fails(1, &["join", &link, "--timeout", "5s"]);
    assert!(!said.is_empty());
    assert_eq!(
        eve.json(&["space", "list"])
            .as_array()
            .unwrap()
            .iter()
            .filter(|space| space["name"] == "garden")
            .count(),
        0
    );
}

#[test]
fn whoever_is_not_in_sync_is_told_why_and_since_when() {
    let (ada, bob) = (Home::new(), Home::new());
    let _here = ada.up_with(&QUIC);
    let there = bob.up_with(&QUIC);
    ada.ok(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    let before = jiff::Timestamp::now();
    bob.ok(&["join", &link, "--timeout", "20s"]);
    let sync = |status: &Value| status["spaces"][0]["sync"][0].clone();
    let since = |status: &Value| sync(status)["since"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let status = until(&ada, &["status"], |status| sync(status)["state"] == "in_sync");
    let began = since(&status);
    assert!(before.as_millisecond() <= began.as_millisecond() && began <= jiff::Timestamp::now(), "{status}");
    // It stays so: the time is that of the change, not of the question.
    assert_eq!(since(&ada.json(&["status"])), began);

    assert!(there.stop().success());
    let is_gone =
        |status: &Value| sync(status)["state"] == "unreachable" && status["peers"][0]["state"] != "connected";
    let status = until(&ada, &["status"], is_gone);
    assert!(began <= since(&status), "{status}");
    assert!(sync(&status)["reason"].as_str().unwrap().contains("it was connected"), "{status}");
    let asked = jiff::Timestamp::now();
    ada.ok(&["record", "put", "garden", "plants", "{}"]);
    assert!(since(&ada.json(&["status"])) <= asked, "it moves on while nobody is there");
    assert!(ada.ok(&["status"]).contains("is not reachable; it was connected"));
}

#[test]
fn a_join_that_finds_nobody_says_what_it_does_and_what_to_check() {
    let home = Home::new();
    let _node = home.up_with(&QUIC);
    let join = ["join", "COVEY-7K2M-9QXP", "--timeout", "10s"];
    let run = |more: &[&str]| {
        let args = [&join[..], more].concat();
        home.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // All at once: each waits as long as it was told to.
    let (plain, quiet, json) = (run(&[]), run(&["--quiet"]), run(&["--json"]));
    let [plain, quiet, json] = [plain, quiet, json].map(finish);
    for ended in [&plain, &quiet, &json] {
        assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(1), &b""[..]));
    }
    let said = stderr(&plain);
    for line in
        ["Looking on this network", "Still waiting: ", "covey up", "same network", "doctor", "error: "]
    {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
    for ended in [&quiet, &json] {
        assert!(stderr(ended).starts_with("error: "), "{}", stderr(ended));
    }
}

#[test]
fn a_guest_that_writes_is_not_allowed_to_and_exits_with_four() {
    let (ada, bob) = (Home::new(), Home::new());
    let _ada_node = ada.up_with(&QUIC);
    ada.ok(&["space", "create", "garden"]);
    ada.ok(&["record", "put", "garden", "plants", "--id", "bean", "{\"row\":1}"]);
    let link = ada.json(&["invite", "garden", "--role", "guest"])["link"].as_str().unwrap().to_owned();
    let _bob_node = bob.up_with(&QUIC);
    bob.ok(&["join", &link, "--timeout", "20s"]);
    assert_eq!(bob.json(&["record", "get", "garden", "plants", "bean"]), json!({"row": 1}));
    let said = bob.fails(4, &["record", "put", "garden", "plants", "--id", "bean", "{\"row\":2}"]);
    assert!(said.contains("guest"), "{said}");
    bob.fails(4, &["record", "delete", "garden", "plants", "bean"]);
    bob.fails(4, &["invite", "garden"]);
    assert_eq!(bob.json(&["record", "get", "garden", "plants", "bean"]), json!({"row": 1}));
}

#[test]
fn status_tells_who_is_there_how_and_why_not_in_sync() {
    let (ada, bob) = (Home::new(), Home::new());
    let _ada_node = ada.up_with(&QUIC);
    ada.ok(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    let made = bob.json(&["init", "--name", "Bob", "--device", "phone"]);
    let bob_node = bob.up_with(&QUIC);
    bob.ok(&["join", &link, "--timeout", "20s"]);

    let in_sync = |status: &Value| {
        status["spaces"][0]["sync"][0]["state"] == "in_sync" && status["peers"][0]["rtt_ms"].is_number()
    };
    let status = until(&ada, &["status"], in_sync);
    let peer = &status["peers"][0];
    for (field, value) in [
        ("name", "phone"),
        ("user", "Bob"),
        ("state", "connected"),
        ("path", "direct"),
        ("transport", "quic"),
    ] {
        assert_eq!(peer[field], value, "{peer}");
    }
    assert_eq!(peer["peer_id"], made["peer_id"]);
    assert!(peer["address"].as_str().unwrap().contains("/quic-v1"), "{peer}");
    let sync = &status["spaces"][0]["sync"];
    let since = sync[0]["since"].as_str().unwrap().to_owned();
    let well = json!([{
        "peer_id": peer["peer_id"], "state": "in_sync", "missing_here": 0, "missing_there": 0, "reason": null, "since": since,
    }]);
    assert_eq!(*sync, well);
    let text = ada.ok(&["status"]);
    for word in ["phone", "Bob", "connected", "direct quic", "in sync"] {
        assert!(text.contains(word), "{word}: {text}");
    }

    assert_eq!(bob_node.stop().code(), Some(0));
    let gone = |status: &Value| {
        status["spaces"][0]["sync"][0]["state"] == "unreachable" && status["peers"][0]["state"] != "connected"
    };
    let status = until(&ada, &["status"], gone);
    let sync = &status["spaces"][0]["sync"][0];
    let why = "phone is not reachable";
    assert!(sync["reason"].as_str().unwrap().contains(why), "{sync}");
    assert!(sync["since"].as_str().unwrap() > since.as_str(), "since it went: {sync}");
    let text = ada.ok(&["status"]);
    assert!(text.contains(why) && !text.contains("in sync"), "{text}");
}

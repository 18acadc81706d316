//! Several devices of one person, in several processes.

use crate::support::{Home, QUIC, stderr, until};
use serde_json::{Value, json};

fn home(user: &str, device: &str) -> Home {
    let home = Home::new();
    home.ok(&["init", "--name", user, "--device", device]);
    home
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn a_device_is_linked_has_everything_is_told_apart_and_is_revoked() {
    let (laptop, phone) = (home("Ada", "laptop"), home("somebody", "phone"));
    let _here = laptop.up_with(&QUIC);
    laptop.ok(&["space", "create", "garden"]);
    laptop.ok(&["record", "put", "garden", "plants", "--id", "bean", "{\"row\":1}"]);
    assert_eq!(names(&laptop.json(&["space", "list"])), ["garden"]);
    let all = laptop.json(&["space", "list", "--all"]);
    assert_eq!((names(&all), &all[1]["personal"]), (vec!["garden", "personal"], &json!(true)));

    let made = laptop.json(&["device", "link", "--expires", "5m"]);
    assert!(made["link"].as_str().unwrap().starts_with("covey://device/"), "{made}");
    assert!(made["code"].as_str().unwrap().starts_with("COVEY-"), "{made}");
    let there = phone.up_with(&QUIC);
    let before = phone.json(&["status"])["node"].clone();
    // The code doesn't have to stand in a list of processes.
    let link = made["link"].as_str().unwrap();
    let joined = phone.with_stdin(&["device", "join", "-", "--timeout", "20s", "--json"], link.as_bytes());
    assert_eq!(joined.status.code(), Some(0), "{}", stderr(&joined));
    let joined: Value = serde_json::from_slice(&joined.stdout).unwrap();
    assert_eq!((&joined["user"], &joined["device"]), (&json!("Ada"), &json!("phone")));
    assert_eq!(joined["replaced_user_id"], before["user_id"]);
    assert_eq!(joined["linked_by"]["name"], "laptop");
    assert_eq!((names(&joined["spaces"]), &joined["spaces"][0]["here"]), (vec!["garden"], &json!(true)));
    assert_eq!(phone.json(&["record", "get", "garden", "plants", "bean"]), json!({"row": 1}));

    // Both know both, by the same fingerprints.
    let two = |status: &Value| status["devices"].as_array().is_some_and(|all| all.len() == 2);
    let fingerprints = |home: &Home| {
        let status = until(home, &["status"], two);
        let devices = status["devices"].as_array().unwrap().clone();
        assert_eq!(devices[0]["this"], true);
        let mut all: Vec<_> =
            devices.iter().map(|one| one["fingerprint"].as_str().unwrap().to_owned()).collect();
        all.sort();
        all
    };
    assert_eq!(fingerprints(&laptop), fingerprints(&phone));
    assert!(laptop.ok(&["status"]).contains("Your devices"));

    // A space of one is one of the other, and a name given there is the name here.
    phone.ok(&["space", "create", "shed"]);
    until(&laptop, &["space", "list"], |spaces| names(spaces).contains(&"shed"));
    laptop.ok(&["device", "rename", "phone", "pocket"]);
    until(&phone, &["status"], |status| status["node"]["device"] == "pocket");

    assert_eq!(there.stop().code(), Some(0));
    let seen = until(&laptop, &["device", "list"], |devices| devices[1]["state"] != "connected");
    assert!(seen[1]["last_seen"].is_string() && seen[1]["yours"] == true, "{seen}");
    let done = laptop.json(&["device", "revoke", "pocket", "--yes"]);
    assert_eq!(done["name"], "pocket");
    let said = laptop.fails(4, &["device", "revoke", "laptop", "--yes"]);
    assert!(said.contains("last device"), "{said}");
    audit_tells_of_the_phone(&laptop, done["peer_id"].as_str().unwrap());
    laptop.ok(&["record", "put", "garden", "plants", "--id", "secret", "{}"]);

    let _back = phone.up_with(&QUIC);
    until(&phone, &["status"], |status| status["revoked"] == true);
    assert!(phone.ok(&["status"]).contains("was revoked"));
    phone.fails(1, &["record", "get", "garden", "plants", "secret"]);
    let said = phone.fails(4, &["record", "put", "garden", "plants", "{}"]);
    assert!(said.contains("revoked") && said.contains("--home"), "{said}");
    phone.fails(4, &["space", "create", "den"]);
}

/// That the phone was linked, taken into the garden, and revoked; that the key changed then; each with its proof.
fn audit_tells_of_the_phone(laptop: &Home, phone: &str) {
    let acts = |space: &str| -> Vec<Value> {
        let text = laptop.ok(&["audit", space, "--json"]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let is_on_phone = |act: &&Value| act["whom"]["peer_id"] == phone;
    for space in ["personal", "garden"] {
        let all = acts(space);
        let find = |what: &str| all.iter().filter(is_on_phone).find(|act| act["what"] == what);
        let [added, removed] = ["add_device", "remove_device"].map(|what| find(what).unwrap());
        let key = all.iter().find(|act| act["what"] == "rotate_key").unwrap();
        assert_eq!(key["hash"], removed["hash"], "the new key comes with the removal");
        for act in [added, removed, key] {
            assert_eq!(act["who"]["device"], "laptop", "{act}");
            assert!(
                act["hash"].is_string() && act["seq"].as_u64() > Some(0) && act["at"].is_string(),
                "{act}"
            );
        }
        let text = laptop.ok(&["audit", space]);
        for words in ["took in their own device pocket", "removed their own device pocket", "changed the key"]
        {
            assert!(text.contains(words), "{space}: {words}: {text}");
        }
    }
    let used: Vec<_> = acts("personal").into_iter().filter(|act| act["hash"].is_null()).collect();
    let what: Vec<_> = used.iter().map(|act| act["what"].as_str().unwrap()).collect();
    assert_eq!((what, &used[1]["who"]["peer_id"]), (vec!["invite", "use_code"], &json!(phone)));
}

#[test]
fn what_cannot_be_linked_is_told_why_and_what_to_do() {
    let (laptop, phone) = (home("Ada", "laptop"), home("Bob", "phone"));
    phone.fails(3, &["device", "link"]);
    let (_here, _there) = (laptop.up_with(&QUIC), phone.up_with(&QUIC));
    laptop.ok(&["space", "create", "garden"]);
    let invite = laptop.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    let device = laptop.json(&["device", "link"])["link"].as_str().unwrap().to_owned();
    assert!(phone.fails(2, &["device", "join", &invite]).contains("`covey join`"));
    assert!(phone.fails(2, &["join", &device]).contains("`covey device join`"));
    assert!(phone.fails(2, &["device", "join", "no code"]).contains("COVEY-"));
    phone.ok(&["space", "create", "mine"]);
    let said = phone.fails(1, &["device", "join", &device, "--timeout", "5s"]);
    assert!(said.contains("in a space already") && said.contains("--home"), "{said}");
    assert_eq!(phone.json(&["status"])["node"]["user"], "Bob");
    let personal = laptop.json(&["space", "list", "--all"])[1]["id"].as_str().unwrap().to_owned();
    for args in [&["invite", &personal][..], &["space", "leave", &personal, "--yes"]] {
        let said = laptop.fails(4, args);
        assert!(said.contains("yours alone") && said.contains("covey device link"), "{said}");
    }
}

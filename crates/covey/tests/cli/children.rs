//! Child spaces on the command line: made, shown beside their parent, and joined without a code.

use serde_json::json;

use crate::support::{Home, QUIC, until};

fn home(user: &str, device: &str) -> Home {
    let home = Home::new();
    home.ok(&["init", "--name", user, "--device", device]);
    home
}

#[test]
fn somebody_of_a_space_is_taken_into_its_child_and_put_out_of_it_with_the_space() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let _nodes = (ada.up_with(&QUIC), bob.up_with(&QUIC));
    let garden = ada.json(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    bob.ok(&["join", &link, "--timeout", "20s"]);

    let plain = ada.ok(&["space", "create", "secret", "--parent", "garden"]);
    assert!(plain.contains("The space secret is made, a child of garden."), "{plain}");
    let added = ada.json(&["member", "add", "garden/secret", "Bob"]);
    assert_eq!((&added["name"], &added["role"]), (&json!("Bob"), &json!("member")));
    ada.ok(&["record", "put", "garden/secret", "notes", "--id", "one", "{\"n\":1}"]);
    let found = until(&bob, &["space", "list"], |spaces| {
        spaces.as_array().unwrap().iter().any(|space| space["name"] == "secret" && space["records"] == 1)
    });
    let child = found.as_array().unwrap().iter().find(|space| space["name"] == "secret").unwrap();
    assert_eq!(child["parent"], json!({"id": garden["id"], "name": "garden"}));
    assert_eq!(child["role"], "member");
    assert!(bob.ok(&["space", "list"]).contains("garden/secret"));
    let shown = bob.ok(&["space", "show", "garden/secret"]);
    assert!(shown.lines().any(|line| line.contains("Child of") && line.contains("garden")), "{shown}");
    let acts = bob.ok(&["audit", "garden", "--what", "notice"]);
    assert!(acts.contains("sent somebody a sealed notice"), "{acts}");

    ada.ok(&["member", "remove", "garden", "Bob", "--yes"]);
    let left = ada.json(&["member", "list", "garden/secret"]);
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
    until(&bob, &["space", "show", "secret"], |space| space["role"].is_null());
    let with = ada.json(&["space", "create", "again", "--parent", "garden", "--member", "Ada"]);
    assert_eq!((&with["role"], &with["members"]), (&json!("owner"), &json!(1)));
}

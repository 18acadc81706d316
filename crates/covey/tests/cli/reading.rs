//! Where a record is, and queries in SQL, as people and programs meet them.

use crate::support::{Home, QUIC, until};
use serde_json::{Value, json};

const JSON: &str = "Content-Type: application/json";

/// A value that an answer holds as text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_record_tells_where_it_is() {
    let (ada, bob) = (Home::new(), Home::new());
    let ada_node = ada.up_with(&QUIC);
    let bob_node = bob.up_with(&QUIC);
    ada.ok(&["space", "create", "garden"]);
    ada.ok(&["record", "put", "garden", "plants", "--id", "bean", "{\"bed\":1}"]);
    let status = ["record", "status", "garden", "plants", "bean"];
    assert_eq!(ada.ok(&status), "Pending: no other device is in the space.\n");
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    bob.ok(&["join", &link]);

    let synced = until(&ada, &status, |sync| sync["pending"] == false);
    assert_eq!(synced["synced_to"][0]["peer_id"], bob_node.ready["peer_id"]);
    assert_eq!(synced["missing"], json!([]));
    assert!(ada.ok(&status).starts_with("Synced to 1 other device: "));
    assert_eq!(until(&ada, &["space", "show", "garden"], |space| space["pending"] == 0)["pending"], 0);

    bob_node.stop();
    let put = ada.json(&["record", "put", "garden", "plants", "--id", "pea", "{\"bed\":2}"]);
    assert!(
        ada.ok(&["record", "status", "garden", "plants", "pea"])
            .starts_with("Pending: none of 1 other device")
    );
    assert!(ada.ok(&["status"]).contains("1 entry written here is on no other device yet"));
    assert!(ada.fails(1, &["record", "status", "garden", "plants", "none"]).contains("there is no record"));

    // Many at once, and all there is.
    let many = "/api/v1/spaces/garden/collections/plants/sync";
    let many = parsed(ada_node.request("POST", many, JSON, br#"{"ids":["pea","none","bean"]}"#).body());
    let pending: Vec<_> =
        many["items"].as_array().unwrap().iter().map(|item| (&item["id"], &item["pending"])).collect();
    assert_eq!(pending, [(&json!("pea"), &json!(true)), (&json!("bean"), &json!(false))]);
    let all = parsed(ada_node.request("GET", "/api/v1/spaces/garden/deliveries", "", b"").body());
    let me = ada_node.ready["peer_id"].as_str().unwrap();
    assert_eq!(all["newest"][me], put["hlc"]);
    assert!(all["devices"][0]["lacks"][me].is_string(), "{all}");
    // The address in the link was the first node's: this one is found by it all the same, since Ada's stands still.
    let _bob_node = bob.up_with(&QUIC);
    until(&ada, &["record", "status", "garden", "plants", "pea"], |sync| sync["pending"] == false);
}

#[test]
fn a_query_prints_a_table_or_an_object_per_row() {
    let home = Home::new();
    let node = home.up();
    home.ok(&["space", "create", "garden"]);
    home.ok(&["space", "create", "shed"]);
    for (id, doc) in [("bean", "{\"bed\":2}"), ("pea", "{\"bed\":10,\"note\":\"\\u001b[2J\"}")] {
        home.ok(&["record", "put", "garden", "plants", "--id", id, doc]);
    }
    home.ok(&["record", "put", "shed", "tools", "--id", "spade", "{}"]);
    let query = "SELECT id, doc->>'bed' AS bed, doc->>'note' AS note FROM plants ORDER BY bed DESC";
    let table = home.ok(&["sql", "garden", query]);
    assert_eq!(table, "  id    bed  note\n  pea   10   \u{fffd}[2J\n  bean  2    NULL\n");
    let lines = home.ok(&["--json", "sql", "garden", "SELECT id, doc, id FROM plants ORDER BY 1"]);
    let lines: Vec<Value> = lines.lines().map(parsed).collect();
    assert_eq!(lines[0], json!({"id": "bean", "doc": "{\"bed\":2}", "id:3": "bean"}));
    let from_stdin = home.with_stdin(&["sql", "garden", "-"], b"SELECT count(*) AS n FROM all_records\n");
    assert_eq!(String::from_utf8(from_stdin.stdout).unwrap(), "  n\n  2\n");
    let few = home.command(&["sql", "garden", "SELECT id FROM plants", "--limit", "1"]).output().unwrap();
    assert!(String::from_utf8(few.stderr).unwrap().contains("there are more rows"));

    assert!(home.fails(2, &["sql", "garden", "SELECT id FROM tools"]).contains("no such table: tools"));
    assert!(home.fails(2, &["sql", "garden", "DELETE FROM plants"]).contains("view"));
    assert!(home.fails(2, &["sql", "garden", "SELECT * FROM main.records"]).contains("no such table"));
    let joined = "SELECT * FROM plants NATURAL JOIN all_records";
    assert!(home.fails(4, &["sql", "garden", joined]).contains("NATURAL"));
    assert!(home.fails(4, &["sql", "garden", "ATTACH 'x' AS y"]).contains("may not"));
    assert!(home.fails(1, &["sql", "nowhere", "SELECT 1"]).contains("there is no space"));

    let path = "/api/v1/spaces/garden/sql";
    let body = br#"{"sql":"SELECT id, ?, x'00ff' FROM plants WHERE doc->>'bed' > ? ","values":["a",5]}"#;
    let answer = parsed(node.request("POST", path, JSON, body).body());
    assert_eq!(answer["rows"], json!([["pea", "a", {"hex": "00ff"}]]));
    assert_eq!(answer["more"], false);
    assert!(
        node.request("POST", path, JSON, br#"{"sql":"SELECT 1","values":[[1]]}"#)
            .problem(400)
            .contains("value")
    );
    assert!(node.request("POST", path, JSON, br#"{"sql":"PRAGMA key"}"#).problem(403).contains("may not"));
    assert!(
        node.request("POST", path, JSON, br#"{"sql":"SELECT 1; SELECT 2"}"#)
            .problem(400)
            .contains("one statement")
    );
    let mut long = b"{\"sql\":\"SELECT '".to_vec();
    long.resize(100_000, b'x');
    long.extend_from_slice(b"'\"}");
    node.request("POST", path, JSON, &long).problem(413);
}

#[test]
fn the_personal_space_shows_its_own_collections_and_none_of_coveys() {
    let home = Home::new();
    let _node = home.up();
    home.ok(&["record", "put", "personal", "notes", "--id", "n", "{}"]);
    home.ok(&["space", "create", "garden"]);
    let seen = home.json(&["sql", "personal", "SELECT DISTINCT collection FROM all_records"]);
    assert_eq!(seen, json!({"collection": "notes"}));
}

//! The routes for people, devices and acts, as programs and as strangers meet them: a real node, real HTTP.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

mod common;

use common::Served;
use serde_json::{Value, json};

/// Every route, with a body that it takes.
const ROUTES: [(&str, &str, &str); 14] = [
    ("GET", "spaces/garden/members", ""),
    ("POST", "spaces/garden/members", r#"{"user":"Ada"}"#),
    ("GET", "spaces/garden/members/Ada", ""),
    ("PATCH", "spaces/garden/members/Ada", r#"{"role":"guest"}"#),
    ("DELETE", "spaces/garden/members/Ada", ""),
    ("POST", "spaces/garden/leave", ""),
    ("POST", "spaces/garden/rotate-key", ""),
    ("GET", "spaces/garden/history", ""),
    ("PUT", "spaces/garden/history", r#"{"history":"from-joining"}"#),
    ("GET", "spaces/garden/audit", ""),
    ("GET", "devices", ""),
    ("GET", "devices/laptop", ""),
    ("PATCH", "devices/laptop", r#"{"name":"desk"}"#),
    ("DELETE", "devices/laptop", ""),
];

#[tokio::test]
async fn without_the_token_no_route_tells_or_does_anything() {
    let served = Served::new().await;
    let before = served.ask("GET", "spaces/garden/audit", "").await.body;
    for (method, path, body) in ROUTES {
        let answer = served.send("wrong", method, path, body).await;
        answer.problem(401, "unauthorized");
        assert!(!answer.body.contains("Ada") && !answer.body.contains("laptop"), "{}", answer.body);
    }
    assert_eq!(served.ask("GET", "spaces/garden/audit", "").await.body, before);
    served.stop().await;
}

#[tokio::test]
async fn every_route_says_what_is_not_there() {
    let served = Served::new().await;
    for (method, path, body) in ROUTES {
        if path == "devices" {
            continue;
        }
        let path = path.replace("garden", "shed").replace("devices/laptop", "devices/watch");
        let said = served.ask(method, &path, body).await.problem(404, "not-found");
        assert!(
            said.contains("there is no space \"shed\"") || said.contains("there is no device \"watch\""),
            "{said}"
        );
    }
    let nobody = served.ask("GET", "spaces/garden/members/Eve", "").await;
    assert_eq!(nobody.problem(404, "not-found"), "there is no member \"Eve\" in \"garden\"");
    served.stop().await;
}

#[tokio::test]
async fn bad_input_is_refused_and_changes_nothing() {
    let served = Served::new().await;
    let before = served.ask("GET", "spaces/garden/audit", "").await.body;
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(65));
    for (method, path, body, kind) in [
        ("PATCH", "spaces/garden/members/Ada", r#"{"role":"king"}"#, "invalid"),
        ("PATCH", "spaces/garden/members/Ada", r#"{"role":"guest","more":1}"#, "malformed-json"),
        ("PATCH", "spaces/garden/members/Ada", "", "malformed-json"),
        ("PUT", "spaces/garden/history", r#"{"history":"none"}"#, "malformed-json"),
        ("PATCH", "devices/laptop", r#"{"name":""}"#, "invalid"),
        ("PATCH", "devices/laptop", r#"{"name":"a\u0000b"}"#, "invalid"),
        ("PATCH", "devices/laptop", long.as_str(), "invalid"),
        ("GET", "spaces/garden/audit?since=yesterday", "", "invalid"),
        ("GET", "spaces/garden/audit?what=party", "", "invalid"),
        ("GET", "spaces/garden/audit?until=2026-11-21T07:41:00Z", "", "invalid"),
        ("GET", "spaces/%FF/members", "", "invalid"),
        ("GET", "devices/%FF", "", "invalid"),
    ] {
        served.ask(method, path, body).await.problem(400, kind);
    }
    served.ask("GET", "spaces/garden/audit?who=Eve", "").await.problem(404, "not-found");
    served.ask("PUT", "spaces/garden/members", "").await.problem(405, "method-not-allowed");
    assert_eq!(served.ask("GET", "spaces/garden/audit", "").await.body, before);
    served.stop().await;
}

#[tokio::test]
async fn what_would_leave_a_space_without_an_owner_is_forbidden_by_a_name_of_its_own() {
    let served = Served::new().await;
    for (method, path, body) in [
        ("PATCH", "spaces/garden/members/Ada", r#"{"role":"guest"}"#),
        ("DELETE", "spaces/garden/members/Ada", ""),
        ("POST", "spaces/garden/leave", ""),
    ] {
        let said = served.ask(method, path, body).await.problem(403, "last-owner");
        assert!(said.contains("you are the last owner of \"garden\""), "{said}");
    }
    let said = served.ask("DELETE", "devices/laptop", "").await.problem(403, "not-allowed");
    assert!(said.contains("your last device"), "{said}");
    served.stop().await;
}

#[tokio::test]
async fn what_is_done_is_answered_with_what_came_of_it() {
    let served = Served::new().await;
    let me = served.node.identity();
    let device = json!({
        "peer_id": me.device.to_string(), "name": "laptop", "fingerprint": me.device.fingerprint(),
        "words": me.device.safety_words(), "this": true,
    });
    let ada = json!({
        "user_id": me.user.to_string(), "name": "Ada", "role": "owner", "you": true, "devices": [device],
    });
    assert_eq!(served.ask("GET", "spaces/garden/members", "").await.json(), json!([ada]));
    // To be asked for what is so already is no act, and no error.
    assert_eq!(served.ask("PATCH", "spaces/garden/members/Ada", r#"{"role":"owner"}"#).await.json(), ada);
    let space = served.ask("GET", "spaces/garden/history", "").await.json();
    assert_eq!((&space["space"]["name"], &space["history"]), (&json!("garden"), &json!("full")));
    let set = served.ask("PUT", "spaces/garden/history", r#"{"history":"from-joining"}"#).await.json();
    assert_eq!(set["history"], "from-joining");
    assert_eq!(
        served.ask("POST", "spaces/garden/rotate-key", "").await.json(),
        json!({"space": space["space"]})
    );

    let renamed = served.ask("PATCH", "devices/laptop", r#"{"name":"desk"}"#).await.json();
    assert_eq!(renamed["name"], "desk");
    assert_eq!(
        renamed["spaces"],
        json!([{
            "id": space["space"]["id"], "name": "garden", "done": true, "reason": null,
        }])
    );
    let known = served.ask("GET", "devices", "").await.json();
    assert_eq!(
        known,
        json!([{
            "peer_id": me.device.to_string(), "name": "desk", "user_id": me.user.to_string(), "user": "Ada",
            "yours": true, "this": true, "fingerprint": me.device.fingerprint(),
            "words": me.device.safety_words(), "state": "here", "last_seen": null,
            "spaces": [{"id": space["space"]["id"], "name": "garden", "device": "desk"}],
        }])
    );

    let audit = served.ask("GET", "spaces/garden/audit", "").await;
    assert_eq!((audit.status, audit.kind()), (200, "application/x-ndjson"));
    let acts: Vec<Value> = audit.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let what: Vec<_> = acts.iter().map(|act| act["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["found", "set_space", "rotate_key", "rename_device"]);
    let one = served.ask("GET", "spaces/garden/audit?what=rename_device&who=Ada", "").await;
    assert_eq!(one.json(), acts[3]);
    served.stop().await;
}

#[tokio::test]
async fn a_child_is_made_and_told_of_beside_its_parent() {
    let served = Served::new().await;
    let body = r#"{"name":"secret","parent":"garden"}"#;
    let made = served.ask("POST", "spaces", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let garden = served.ask("GET", "spaces/garden", "").await.json();
    let parent = json!({"id": garden["id"], "name": "garden"});
    assert_eq!((&made.json()["parent"], &garden["parent"]), (&parent, &Value::Null));
    let found = served.ask("GET", "spaces/garden%2Fsecret", "").await.json();
    assert_eq!(found["id"], made.json()["id"]);

    for (path, body, status, kind) in [
        ("spaces", r#"{"name":"x","members":[{"user":"Ada"}]}"#, 400, "invalid"),
        ("spaces", r#"{"name":"x","parent":"secret"}"#, 400, "invalid"),
        ("spaces", r#"{"name":"x","parent":"shed"}"#, 404, "not-found"),
        ("spaces", r#"{"name":"x","parent":"garden","members":[{"user":"Eve"}]}"#, 404, "not-found"),
        (
            "spaces",
            r#"{"name":"x","parent":"garden","members":[{"user":"Ada","role":"king"}]}"#,
            400,
            "invalid",
        ),
        ("spaces/secret/members", r#"{"user":"Eve"}"#, 404, "not-found"),
        ("spaces/secret/members", r#"{"user":"Ada","role":"king"}"#, 400, "invalid"),
        ("spaces/secret/invites", "{}", 400, "invalid"),
    ] {
        served.ask("POST", path, body).await.problem(status, kind);
    }
    let said =
        served.ask("POST", "spaces/garden/members", r#"{"user":"Ada"}"#).await.problem(409, "conflict");
    assert!(said.contains("not the child of a space"), "{said}");
    assert_eq!(served.node.spaces().len(), 2);
    served.stop().await;
}

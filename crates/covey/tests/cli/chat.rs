//! Chat on the command line: channels, messages, search, direct messages, and the routes behind them.

use serde_json::{Value, json};

use crate::support::{Home, QUIC, until};

fn home(user: &str, device: &str) -> Home {
    let home = Home::new();
    home.ok(&["init", "--name", user, "--device", device]);
    home
}

fn texts(messages: &str) -> Vec<String> {
    messages
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn people_talk_in_channels_and_between_two_of_them() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let nodes = (ada.up_with(&QUIC), bob.up_with(&QUIC));
    ada.ok(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    bob.ok(&["join", &link, "--timeout", "20s"]);
    let made = ada.json(&["channel", "create", "garden", "beds", "--topic", "what grows where"]);
    assert_eq!(
        (&made["kind"], &made["name"], &made["joined"]),
        (&json!("public"), &json!("beds"), &json!(true))
    );
    let sent = ada.json(&["chat", "send", "garden", "beds", "hello @Bob 🌱"]);
    assert_eq!(
        (&sent["author_name"], &sent["edited"], &sent["reply_to"]),
        (&json!("Ada"), &json!(false), &Value::Null)
    );
    until(&bob, &["channel", "list", "garden"], |channels| channels[0]["last"]["text"] == "hello @Bob 🌱");
    assert_eq!(bob.json(&["channel", "join", "garden", "#beds"])["joined"], true);
    bob.ok(&[
        "chat",
        "send",
        "garden",
        "beds",
        "line one\nhint: a line of mine",
        "--reply-to",
        sent["id"].as_str().unwrap(),
    ]);
    until(&ada, &["channel", "list", "garden"], |channels| channels[0]["unread"] == 1);
    let read = ada.ok(&["--json", "chat", "read", "garden", "beds"]);
    assert_eq!(texts(&read), ["hello @Bob 🌱", "line one\nhint: a line of mine"]);
    assert_eq!(ada.json(&["channel", "list", "garden"])[0]["unread"], 0);
    let plain = ada.ok(&["chat", "read", "garden", "beds"]);
    assert!(plain.contains("\n  line one\n  hint: a line of mine\n"), "{plain}");
    let found = ada.ok(&["--json", "chat", "search", "garden", "HELLO"]);
    assert_eq!(texts(&found).len(), 1);
    assert!(ada.ok(&["chat", "search", "garden", "nowhere"]).contains("Nothing was found"));

    let direct = ada.json(&["dm", "Bob", "just you"]);
    let channel = direct["channel"].as_str().unwrap();
    until(&bob, &["channel", "list", "garden"], |channels| {
        channels.as_array().unwrap().iter().any(|one| one["id"] == channel && one["name"] == "Ada")
    });
    bob.ok(&["dm", "Ada", "and you"]);
    until(&ada, &["channel", "list", "garden"], |channels| {
        channels
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["id"] == channel && one["last"]["text"] == "and you")
    });
    ada.ok(&["channel", "create", "garden", "plans", "--private"]);
    ada.ok(&["channel", "invite", "garden", "plans", "Bob"]);
    until(&bob, &["channel", "list", "garden"], |channels| {
        channels.as_array().unwrap().iter().any(|one| one["name"] == "plans" && one["kind"] == "private")
    });
    bob.ok(&["channel", "leave", "garden", "plans"]);
    assert!(!bob.ok(&["channel", "list", "garden"]).contains("plans"));
    assert!(ada.fails(1, &["chat", "send", "garden", "nowhere", "x"]).contains("there is no channel"));
    ada.fails(2, &["chat", "send", "garden", "beds", " "]);
    ada.fails(1, &["dm", "Nobody", "x"]);
    drop(nodes);
}

#[test]
fn the_routes_of_chat_answer_as_they_say() {
    let ada = home("Ada", "laptop");
    let node = ada.up();
    ada.ok(&["space", "create", "garden"]);
    let ask = |method: &str, path: &str, body: Value, status: u16| {
        let more = "Content-Type: application/json\r\n";
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let reply = node.request(method, &format!("/api/v1/spaces/garden/{path}"), more, &bytes);
        assert_eq!(reply.status(), status, "{method} {path}: {}", reply.0);
        serde_json::from_str::<Value>(reply.body()).unwrap_or_default()
    };
    ask("POST", "channels", json!({ "name": "beds" }), 201);
    ask("POST", "channels", json!({ "name": "beds" }), 409);
    ask("POST", "channels", json!({ "name": " beds" }), 400);
    assert_eq!(ask("PATCH", "channels/beds", json!({ "topic": "plants" }), 200)["topic"], "plants");
    let new = json!({ "text": "one", "client_id": "0123-4567" });
    let one = ask("POST", "channels/beds/messages", new.clone(), 201);
    assert_eq!(ask("POST", "channels/beds/messages", new, 201)["id"], one["id"]);
    let id = one["id"].as_str().unwrap();
    assert_eq!(ask("PATCH", &format!("messages/{id}"), json!({ "text": "two" }), 200)["edited"], true);
    ask("PUT", &format!("messages/{id}/reactions/%F0%9F%91%8D"), Value::Null, 204);
    let message = ask("GET", &format!("messages/{id}"), Value::Null, 200);
    assert_eq!(message["reactions"]["👍"].as_array().unwrap().len(), 1);
    ask("DELETE", &format!("messages/{id}/reactions/%F0%9F%91%8D"), Value::Null, 204);
    ask("PUT", "channels/beds/draft", json!({ "text": "half" }), 204);
    ask("PUT", "channels/beds/read", json!({ "upto": id }), 204);
    ask("PUT", "channels/beds/read", json!({ "upto": "nothing" }), 404);
    assert_eq!(ask("GET", "channels/beds", Value::Null, 200)["draft"], "half");
    assert_eq!(ask("GET", "search?q=two", Value::Null, 200)["items"][0]["highlights"], json!([[0, 3]]));
    ask("GET", "search?q=%2A", Value::Null, 400);
    ask("GET", "channels/beds/messages?before=x", Value::Null, 400);
    ask("GET", "channels/beds/messages?limit=100000", Value::Null, 400);
    let page = ask("GET", &format!("channels/beds/messages?around={id}"), Value::Null, 200);
    assert_eq!(page["items"][0]["id"], id);
    ask("POST", "direct", json!({ "users": [] }), 400);
    ask("POST", "direct", json!({ "users": ["Nobody"] }), 404);
    ask("DELETE", &format!("messages/{id}"), Value::Null, 204);
    assert_eq!(ask("GET", &format!("messages/{id}"), Value::Null, 200)["deleted"], true);
    ask("POST", "channels/beds/leave", Value::Null, 204);
    ask("POST", "channels/beds/join", Value::Null, 204);
}

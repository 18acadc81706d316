//! Chat on the command line: channels, messages, search, direct messages, and the routes behind them; what one is called.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Home, Lines, PATIENCE, QUIC, until};

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

#[test]
fn whoever_follows_a_channel_sees_what_is_said_changed_and_deleted_as_it_happens() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let nodes = (ada.up_with(&QUIC), bob.up_with(&QUIC));
    ada.ok(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    bob.ok(&["join", &link, "--timeout", "20s"]);
    ada.ok(&["channel", "create", "garden", "beds"]);
    ada.ok(&["chat", "send", "garden", "beds", "before"]);
    until(&bob, &["channel", "list", "garden"], |channels| channels[0]["last"]["text"] == "before");
    bob.ok(&["channel", "join", "garden", "beds"]);

    let mut command = bob.command(&["--json", "chat", "read", "garden", "beds", "--follow"]);
    let mut following = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::new(following.stdout.take().unwrap());
    assert_eq!(lines.next_json()["text"], "before");
    let sent = ada.json(&["chat", "send", "garden", "beds", "and now"]);
    let told = lines.next_json();
    assert_eq!(
        (&told["id"], &told["text"], &told["author_name"]),
        (&sent["id"], &json!("and now"), &json!("Ada"))
    );
    let own = bob.json(&["chat", "send", "garden", "beds", "my own"]);
    assert_eq!(lines.next_json()["id"], own["id"]);
    let change = |method: &str, body: Value, status: u16| {
        let path = format!("/api/v1/spaces/garden/messages/{}", sent["id"].as_str().unwrap());
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let reply = nodes.0.request(method, &path, "Content-Type: application/json\r\n", &bytes);
        assert_eq!(reply.status(), status, "{}", reply.0);
    };
    change("PATCH", json!({ "text": "and then" }), 200);
    let told = lines.next_json();
    assert_eq!(
        (&told["id"], &told["text"], &told["edited"]),
        (&sent["id"], &json!("and then"), &json!(true))
    );
    change("DELETE", Value::Null, 204);
    let told = lines.next_json();
    assert_eq!((&told["id"], &told["text"], &told["deleted"]), (&sent["id"], &json!(""), &json!(true)));

    // It ends with the node, and says why.
    assert!(nodes.1.stop().success());
    let ended = std::time::Instant::now();
    let status = loop {
        if let Some(status) = following.try_wait().unwrap() {
            break status;
        }
        assert!(ended.elapsed() < PATIENCE, "it goes on without a node");
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(1));
}

#[test]
fn whoever_follows_sees_all_of_what_comes_at_once_and_has_read_it() {
    /// More than a page, and far more than are told of one by one.
    const MANY: usize = 250;
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let (here, there) = (ada.up_with(&QUIC), bob.up_with(&QUIC));
    ada.ok(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    bob.ok(&["join", &link, "--timeout", "20s"]);
    ada.ok(&["channel", "create", "garden", "beds"]);
    ada.ok(&["chat", "send", "garden", "beds", "before"]);
    until(&bob, &["channel", "list", "garden"], |channels| channels[0]["last"]["text"] == "before");
    bob.ok(&["channel", "join", "garden", "beds"]);

    // Ada writes much while she is away, so that it comes to Bob all at once.
    here.stop();
    let alone = ada.up();
    for n in 0..MANY {
        let body = json!({ "text": format!("number {n}") }).to_string().into_bytes();
        let path = "/api/v1/spaces/garden/channels/beds/messages";
        let sent = alone.request("POST", path, "Content-Type: application/json\r\n", &body);
        assert_eq!(sent.status(), 201, "{}", sent.0);
    }
    alone.stop();
    let mut command = bob.command(&["--json", "chat", "read", "garden", "beds", "--follow"]);
    let mut following = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines::new(following.stdout.take().unwrap());
    assert_eq!(lines.next_json()["text"], "before");
    let at = there.ready["listen"][0].as_str().unwrap().to_owned();
    let _here = ada.up_with(&[&QUIC[..], &["--bootstrap", &at]].concat());
    let texts: Vec<Value> = (0..MANY).map(|_| lines.next_json()["text"].take()).collect();
    let wanted: Vec<Value> = (0..MANY).map(|n| json!(format!("number {n}"))).collect();
    assert_eq!(texts, wanted, "all of them, once, in their order");
    until(&bob, &["channel", "list", "garden"], |channels| channels[0]["unread"] == 0);
    ada.ok(&["chat", "send", "garden", "beds", "one more"]);
    assert_eq!(lines.next_json()["text"], "one more");
    until(&bob, &["channel", "list", "garden"], |channels| channels[0]["unread"] == 0);
    following.kill().unwrap();
    following.wait().unwrap();
}

#[test]
fn a_search_says_in_which_channel_each_message_stands() {
    let ada = home("Ada", "laptop");
    let node = ada.up();
    ada.ok(&["space", "create", "garden"]);
    for channel in ["beds", "shed"] {
        ada.ok(&["channel", "create", "garden", channel]);
        ada.ok(&["chat", "send", "garden", channel, "plums are ripe"]);
    }
    let found = ada.ok(&["chat", "search", "garden", "plums"]);
    let named: Vec<&str> = found.lines().filter(|line| line.contains("Ada")).collect();
    assert!(named.len() == 2 && named[0].contains("#shed") && named[1].contains("#beds"), "{found}");
    let found = ada.ok(&["--json", "chat", "search", "garden", "plums"]);
    let names: Vec<Value> = found
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["channel_name"].take())
        .collect();
    assert_eq!(names, ["shed", "beds"]);
    drop(node);
}

#[test]
fn what_a_role_forbids_in_chat_ends_with_4() {
    let (ada, gus) = (home("Ada", "laptop"), home("Gus", "phone"));
    let nodes = (ada.up_with(&QUIC), gus.up_with(&QUIC));
    ada.ok(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden", "--role", "guest"])["link"].as_str().unwrap().to_owned();
    gus.ok(&["join", &link, "--timeout", "20s"]);
    ada.ok(&["channel", "create", "garden", "beds"]);
    ada.ok(&["chat", "send", "garden", "beds", "look around"]);
    until(&gus, &["channel", "list", "garden"], |channels| channels[0]["last"]["text"] == "look around");
    let refused: [&[&str]; 6] = [
        &["chat", "send", "garden", "beds", "hello"],
        &["dm", "Ada", "hello"],
        &["channel", "create", "garden", "mine"],
        &["channel", "create", "garden", "mine", "--private"],
        &["channel", "join", "garden", "beds"],
        &["channel", "invite", "garden", "beds", "Gus"],
    ];
    for command in refused {
        let said = gus.fails(4, command);
        assert!(said.contains("guest"), "{command:?}: {said}");
    }
    assert!(gus.ok(&["chat", "read", "garden", "beds"]).contains("look around"), "reading is theirs");
    assert!(gus.ok(&["chat", "search", "garden", "around"]).contains("look around"));

    // A member writes, and leads nobody else's channel.
    ada.ok(&["member", "role", "garden", "Gus", "member"]);
    let may = |members: &Value| {
        members.as_array().unwrap().iter().any(|one| one["name"] == "Gus" && one["role"] == "member")
    };
    until(&gus, &["member", "list", "garden"], may);
    gus.ok(&["chat", "send", "garden", "beds", "now I may"]);
    gus.fails(4, &["channel", "role", "garden", "beds", "Gus", "admin"]);
    drop(nodes);
}

#[test]
fn one_takes_another_name_compares_words_and_signs_browsers_out() {
    let (ada, bob) = (home("Ada", "laptop"), home("Bob", "phone"));
    let nodes = (ada.up_with(&QUIC), bob.up_with(&QUIC));
    ada.ok(&["space", "create", "garden"]);
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    bob.ok(&["join", &link, "--timeout", "20s"]);
    assert_eq!(ada.json(&["profile"])["name"], "Ada");
    let said = ada.ok(&["profile", "--name", "Ada Lovelace"]);
    assert!(said.contains("You are called Ada Lovelace now"), "{said}");
    let now = ada.json(&["profile"]);
    assert_eq!(
        (&now["name"], &now["user"]),
        (&json!("Ada Lovelace"), &ada.json(&["status"])["node"]["user_id"])
    );
    let has_name =
        |members: &Value| members.as_array().unwrap().iter().any(|one| one["name"] == "Ada Lovelace");
    let members = until(&bob, &["member", "list", "garden"], has_name);
    ada.fails(2, &["profile", "--name", " "]);

    // Both sides show the same four words for a device, and a channel's admins can be named and put back.
    let device = |user: &str, list: &Value| {
        let one = list.as_array().unwrap().iter().find(|one| one["name"] == user).unwrap();
        one["devices"][0].clone()
    };
    let words = device("Bob", &members)["words"].clone();
    assert_eq!(words.as_array().unwrap().len(), 4);
    assert_eq!(device("Bob", &ada.json(&["member", "list", "garden"]))["words"], words);
    let words: Vec<&str> = words.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    for list in [&["member", "list", "garden"][..], &["device", "list"]] {
        let shown = ada.ok(list);
        assert!(shown.contains(&words.join(" ")), "{shown}");
    }
    let dm = bob.json(&["dm", "Ada Lovelace", "hello"]);
    let is_there = |spaces: &Value| spaces.as_array().unwrap().iter().any(|one| one["channel"] == "direct");
    until(&ada, &["space", "list"], is_there);
    assert!(ada.ok(&["space", "list"]).contains("garden: direct message with Bob"));
    assert!(dm["id"].is_string());
    ada.ok(&["channel", "create", "garden", "plans", "--private"]);
    ada.ok(&["channel", "invite", "garden", "plans", "Bob"]);
    for role in ["admin", "member"] {
        ada.ok(&["channel", "role", "garden", "plans", "Bob", role]);
        let named = |channels: &Value| {
            let plans = channels.as_array().unwrap().iter().find(|one| one["name"] == "plans");
            plans.is_some_and(|plans| {
                plans["members"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|one| one["name"] == "Bob" && one["role"] == role)
            })
        };
        until(&bob, &["channel", "list", "garden"], named);
    }

    assert!(ada.ok(&["web", "--list"]).contains("No browser is signed in"));
    let link = ada.json(&["web"])["link"].as_str().unwrap().to_owned();
    let path = link.split_once(nodes.0.address()).unwrap().1;
    let host = nodes.0.address();
    let opened = nodes.0.raw(&format!("GET {path} HTTP/1.1\nHost: {host}\nConnection: close"), b"");
    let cookie = opened.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("Max-Age="), "{cookie}");
    assert_eq!(ada.json(&["web", "--list"]).as_array().unwrap().len(), 1);
    assert_eq!(ada.json(&["web", "--sign-out"])["signed_out"], 1);
    assert_eq!(ada.json(&["web", "--list"]), json!([]));
}

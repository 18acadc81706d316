//! What web sockets tell of chat, between two real nodes; and clients that don't read, and people who are put out.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

mod sockets;

use std::time::Duration;

use covey_api::limits::{MAX_CONNECTIONS, SEND_TIMEOUT};
use covey_node::{NetworkMode, Role};
use serde_json::{Value, json};
use sockets::{As, PATIENCE, Served, config, join};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

async fn two(home: &std::path::Path) -> (Served, Served) {
    let (ada, bob) = (Served::new(config(home, "ada")).await, Served::new(config(home, "bob")).await);
    let garden = ada.node.create_space("garden").await.unwrap();
    join(&garden, &bob.node, Role::Member).await;
    (ada, bob)
}

const MESSAGES: &str = "spaces/garden/channels/beds/messages";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_happens_in_chat_comes_over_the_web_sockets_of_both_nodes() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = two(home.path()).await;
    let (mut adas, mut bobs) = (ada.events(As::Program).await, bob.events(As::Program).await);
    let garden = ada.node.space("garden").unwrap().id().to_string();
    let (me, him) = (ada.node.identity().user.to_string(), bob.node.identity().user.to_string());

    let channel = ada.done("POST", "spaces/garden/channels", &json!({ "name": "beds" }), 201).await;
    let told = bobs.until("the channel", |event| event["event"] == "channel").await;
    assert_eq!((&told["space"], &told["channel"]["id"]), (&json!(garden), &channel["id"]));
    assert_eq!((&told["channel"]["name"], &told["channel"]["joined"]), (&json!("beds"), &json!(false)));

    bob.done("POST", "spaces/garden/channels/beds/join", &Value::Null, 204).await;
    let joined = |event: &Value| {
        event["event"] == "channel" && event["channel"]["members"].as_array().unwrap().len() == 2
    };
    adas.until("that bob has joined", joined).await;
    let sent = ada.done("POST", MESSAGES, &json!({ "text": "hello @bob 🌱" }), 201).await;
    let is_it = |event: &Value| event["event"] == "message" && event["message"]["id"] == sent["id"];
    let told = bobs.until("the message", is_it).await;
    assert_eq!((&told["space"], &told["channel"]), (&json!(garden), &channel["id"]));
    assert_eq!(
        (&told["message"]["text"], &told["message"]["author_name"], &told["message"]["mentions"]),
        (&json!("hello @bob 🌱"), &json!("ada"), &json!([him]))
    );
    let device = bob.node.identity().device.to_string();
    adas.until("that bob has it", |event| {
        event["event"] == "delivered" && event["peer_id"] == device.as_str()
    })
    .await;
    let message = format!("spaces/garden/messages/{}", sent["id"].as_str().unwrap());
    assert_eq!(ada.done("GET", &message, &Value::Null, 200).await["delivered_to"], json!([him]));

    bob.done("PUT", "spaces/garden/channels/beds/read", &json!({ "upto": sent["id"] }), 204).await;
    let read =
        |event: &Value| event["event"] == "channel" && event["channel"]["last"]["read_by"] == json!([him]);
    adas.until("that bob has read it", read).await;

    ada.done("PATCH", &message, &json!({ "text": "hello there" }), 200).await;
    let edited = |event: &Value| is_it(event) && event["message"]["edited"] == true;
    assert_eq!(bobs.until("the new text", edited).await["message"]["text"], "hello there");
    ada.done("DELETE", &message, &Value::Null, 204).await;
    let deleted = |event: &Value| is_it(event) && event["message"]["deleted"] == true;
    assert_eq!(bobs.until("the deletion", deleted).await["message"]["text"], "");

    ada.done("POST", "spaces/garden/channels/beds/typing", &Value::Null, 204).await;
    let told = bobs.until("who types", |event| event["event"] == "typing").await;
    assert_eq!(
        (&told["space"], &told["channel"], &told["user"]),
        (&json!(garden), &channel["id"], &json!(me))
    );
    ada.done("PUT", "presence", &json!({ "state": "away" }), 204).await;
    let away = |event: &Value| {
        event["event"] == "presence" && event["user"] == me.as_str() && event["state"] == "away"
    };
    assert_eq!(bobs.until("who is away", away).await["space"], json!(garden));
    ada.stop().await;
    let gone = |event: &Value| {
        event["event"] == "presence" && event["user"] == me.as_str() && event["state"] == "offline"
    };
    bobs.until("who has gone", gone).await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_let_go_and_harms_nobody() {
    /// Longer than anything takes for a client that reads.
    const SHORT: Duration = Duration::from_millis(300);
    /// Far more than fits between a socket's two ends.
    const MESSAGES_SENT: usize = 600;
    let home = tempfile::tempdir().unwrap();
    let ada = Served::with(config(home.path(), "ada"), "127.0.0.1:0", SHORT).await;
    ada.node.create_space("garden").await.unwrap();
    ada.done("POST", "spaces/garden/channels", &json!({ "name": "beds" }), 201).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(ada.server.addr()).await.unwrap();
    let mut deaf = sockets::Events(ada.socket(As::Program, stream).await);
    let mut good = ada.events(As::Program).await;

    let chat = ada.node.space("garden").unwrap().chat();
    let long = "x".repeat(16 << 10);
    let listener = tokio::spawn(async move {
        let is_last = |event: &Value| event["event"] == "message" && event["message"]["text"] == "the last";
        good.until("the last message", is_last).await;
        good
    });
    for _ in 0..MESSAGES_SENT {
        let new = covey_node::chat::NewMessage { text: long.clone(), ..Default::default() };
        chat.send("beds", new).await.unwrap();
    }
    let new = covey_node::chat::NewMessage { text: "the last".into(), ..Default::default() };
    chat.send("beds", new).await.unwrap();
    // Whoever reads has all of it.
    let mut good = listener.await.unwrap();

    // Only now the other one reads: what fitted between both ends, and then nothing more.
    let mut got = 0;
    while let Some(event) = deaf.next().await {
        got += usize::from(event["event"] == "message");
    }
    assert!(got < MESSAGES_SENT, "it was let go before it had all: {got}");
    ada.done("POST", MESSAGES, &json!({ "text": "and on" }), 201).await;
    let is_it = |event: &Value| event["event"] == "message" && event["message"]["text"] == "and on";
    good.until("what comes after", is_it).await;
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_put_out_while_a_socket_is_open_is_told_so_and_nothing_after() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = two(home.path()).await;
    let mut bobs = bob.events(As::Program).await;
    ada.done("POST", "spaces/garden/channels", &json!({ "name": "beds" }), 201).await;
    ada.done("POST", MESSAGES, &json!({ "text": "before" }), 201).await;
    let is_message = |event: &Value| event["event"] == "message";
    bobs.until("the first message", is_message).await;
    let him = bob.node.identity().user.to_string();
    ada.done("DELETE", &format!("spaces/garden/members/{him}"), &Value::Null, 200).await;
    let told = bobs.until("that he is out", |event| event["event"] == "removed").await;
    assert_eq!(told["by"], "ada");

    let after = ada.done("POST", MESSAGES, &json!({ "text": "after" }), 201).await;
    // Something that does come, behind what must not.
    bob.done("POST", "spaces", &json!({ "name": "shed" }), 201).await;
    loop {
        let event = bobs.next().await.expect("the socket stays open");
        assert!(!is_message(&event), "{event}");
        if event["event"] == "space_added" {
            break;
        }
    }
    let id = after["id"].as_str().unwrap();
    bob.done("GET", &format!("spaces/garden/messages/{id}"), &Value::Null, 404).await;
    bob.done("POST", MESSAGES, &json!({ "text": "still here" }), 403).await;
    let page = ada.done("GET", MESSAGES, &Value::Null, 200).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_all_scripts_come_through_and_a_long_one_is_refused_with_its_limit() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = two(home.path()).await;
    let mut bobs = bob.events(As::Program).await;
    ada.done("POST", "spaces/garden/channels", &json!({ "name": "beds" }), 201).await;
    let texts = [
        "👩‍👩‍👧‍👦 🏳️‍🌈 1️⃣ 👍🏽",
        "\u{202b}שלום עולם\u{202c} and on, مرحبا",
        "e\u{301} and é, \u{1d11e}",
        "<b>not bold</b> &amp; \"quoted\"",
        "line one\n\tline two",
    ];
    for text in texts {
        let sent = ada.done("POST", MESSAGES, &json!({ "text": text }), 201).await;
        assert_eq!(sent["text"], text);
        let is_it = |event: &Value| event["event"] == "message" && event["message"]["id"] == sent["id"];
        assert_eq!(bobs.until(text, is_it).await["message"]["text"], text);
        let react = format!("spaces/garden/messages/{}/reactions/", sent["id"].as_str().unwrap());
        // The family of four, percent-encoded.
        let emoji: String = "👩‍👩‍👧‍👦".bytes().map(|byte| format!("%{byte:02X}")).collect();
        ada.done("PUT", &format!("{react}{emoji}"), &Value::Null, 204).await;
        let reacted = |event: &Value| is_it(event) && event["message"]["reactions"]["👩‍👩‍👧‍👦"].is_array();
        bobs.until("the reaction", reacted).await;
    }
    // Places are counted as a page counts them: an emoji is two.
    let found = ada.done("GET", "spaces/garden/search?q=%D7%A9%D7%9C%D7%95%D7%9D", &Value::Null, 200).await;
    assert_eq!(found["items"][0]["highlights"], json!([[1, 5]]), "{found}");

    let most = "ж".repeat(8 << 10);
    ada.done("POST", MESSAGES, &json!({ "text": most }), 201).await;
    let refused = ada.done("POST", MESSAGES, &json!({ "text": format!("{most}.") }), 413).await;
    assert_eq!(refused["type"], "/problems/too-large");
    assert!(refused["detail"].as_str().unwrap().contains("16384"), "{refused}");
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_without_waiting_is_a_job_that_says_what_came_and_can_be_cancelled() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) =
        (Served::new(config(home.path(), "ada")).await, Served::new(config(home.path(), "bob")).await);
    let garden = ada.node.create_space("garden").await.unwrap();
    let rows = (0..300).map(|n| (None, format!(r#"{{"n":{n}}}"#))).collect();
    garden.collection("plants").unwrap().put_many(rows).await.unwrap();
    let mut events = bob.events(As::Program).await;
    let mut until_over = async |job: &Value| {
        let is_it = |event: &Value| event["job"]["id"] == job["id"] && event["job"]["ended_at"].is_string();
        events.until("the job's end", is_it).await["job"].clone()
    };

    // Nobody has given out this code, so it would look for as long as it may.
    let lost = bob.job("join", &json!({ "code": "COVEY-AAAA-BBBB", "timeout_s": 300 })).await;
    assert_eq!((&lost["kind"], &lost["state"]), (&json!("join"), &json!("running")));
    assert_eq!((&lost["stage"], &lost["done"]), (&json!("pairing"), &json!(0)));
    bob.done("DELETE", &format!("jobs/{}", lost["id"].as_str().unwrap()), &Value::Null, 202).await;
    assert_eq!(until_over(&lost).await["state"], "cancelled");

    let link = garden.invite(Role::Member, Duration::from_secs(60)).await.unwrap().link;
    let job = bob.job("join", &json!({ "code": link })).await;
    assert_eq!(job["target"], "", "the code is a secret");
    let done = until_over(&job).await;
    assert_eq!((&done["state"], &done["error"]), (&json!("done"), &Value::Null), "{done}");
    assert_eq!((&done["result"]["kind"], &done["result"]["records"]), (&json!("join"), &json!(300)));
    assert_eq!(done["stage"], "syncing");
    assert_eq!((&done["done"], &done["target"]), (&json!(300), &json!(garden.id().to_string())));
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_says_whether_its_message_is_new_or_looks_otherwise_now() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = two(home.path()).await;
    let (mut adas, mut bobs) = (ada.events(As::Program).await, bob.events(As::Program).await);
    ada.done("POST", "spaces/garden/channels", &json!({ "name": "beds" }), 201).await;
    bobs.until("the channel", |event| event["event"] == "channel").await;
    let sent = ada.done("POST", MESSAGES, &json!({ "text": "hello @bob" }), 201).await;
    let message = format!("spaces/garden/messages/{}", sent["id"].as_str().unwrap());
    let is_it = |event: &Value| event["event"] == "message" && event["message"]["id"] == sent["id"];
    for events in [&mut adas, &mut bobs] {
        assert_eq!(events.until("the message", is_it).await["new"], true);
    }

    // What is said of it afterwards is told of the same message, which isn't new.
    bob.done("PUT", &format!("{message}/reactions/%F0%9F%91%8D"), &Value::Null, 204).await;
    ada.done("PATCH", &message, &json!({ "text": "hello there, @bob" }), 200).await;
    ada.done("DELETE", &message, &Value::Null, 204).await;
    for events in [&mut adas, &mut bobs] {
        let (mut seen, mut is_over) = (0, false);
        while !is_over {
            let event = events.until("what became of it", is_it).await;
            assert_eq!(event["new"], false, "{event}");
            seen += 1;
            is_over = event["message"]["deleted"] == true;
        }
        assert!(seen >= 2, "a reaction, an edit, a deletion: {seen}");
    }

    // An answer is a message of its own; what it answers looks otherwise by it.
    let root = ada.done("POST", MESSAGES, &json!({ "text": "a question" }), 201).await;
    let has = |id: &Value| {
        let id = id.clone();
        move |event: &Value| event["event"] == "message" && event["message"]["id"] == id
    };
    assert_eq!(bobs.until("the question", has(&root["id"])).await["new"], true);
    let answer = json!({ "text": "an answer", "reply_to": root["id"] });
    let answer = bob.done("POST", MESSAGES, &answer, 201).await;
    assert_eq!(adas.until("the answer", has(&answer["id"])).await["new"], true);
    ada.stop().await;
    bob.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_told_of_before_the_first_message_in_it() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = two(home.path()).await;
    let bobs_place = bob.node.listen_addresses().await;
    ada.stop().await;
    let mut bobs = bob.events(As::Program).await;

    // Ada begins it while nobody is near, so Bob hears of it and of what she says at once.
    let mut alone = config(home.path(), "ada");
    alone.network = NetworkMode::Solo;
    let ada = Served::new(alone).await;
    let direct = ada.done("POST", "spaces/garden/direct", &json!({ "users": ["bob"] }), 201).await;
    let path = format!("spaces/garden/channels/{}/messages", direct["id"].as_str().unwrap());
    let first = ada.done("POST", &path, &json!({ "text": "between us" }), 201).await;
    ada.stop().await;
    let mut near = config(home.path(), "ada");
    near.bootstrap = bobs_place;
    let ada = Served::new(near).await;

    let mut is_known = false;
    loop {
        let event = bobs.next().await.expect("the socket stays open");
        is_known |= event["event"] == "channel" && event["channel"]["id"] == direct["id"];
        if event["event"] == "message" {
            assert_eq!((&event["message"]["id"], &event["channel"]), (&first["id"], &direct["id"]));
            assert_eq!(event["new"], true);
            break;
        }
    }
    assert!(is_known, "the message was told before its channel");
    ada.stop().await;
    bob.stop().await;
}

/// What comes on a connection until the node closes it.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    // Closed while something that wasn't read was still there is closed too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("an end in time");
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_ask_nothing_are_let_go_and_shut_nobody_out() {
    /// Longer than it takes to ask for something here.
    const SHORT: Duration = Duration::from_millis(500);
    let home = tempfile::tempdir().unwrap();
    let ada = Served::patient(config(home.path(), "ada"), "127.0.0.1:0", SEND_TIMEOUT, SHORT).await;
    let connect = || TcpStream::connect(ada.server.addr());
    // A web socket may say nothing for as long as it likes.
    let mut events = ada.events(As::Program).await;
    let mut silent = Vec::new();
    while silent.len() < MAX_CONNECTIONS {
        silent.push(connect().await.unwrap());
    }
    ada.done("GET", "status", &Value::Null, 200).await;
    for stream in &mut silent {
        assert_eq!(until_closed(stream).await, "");
    }

    // Nor does half a head keep a place, or one that goes on for ever; and who asks once gets their answer and is let go.
    let mut half = connect().await.unwrap();
    half.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: ").await.unwrap();
    let mut once = connect().await.unwrap();
    let request = format!("GET /api/v1/openapi.json HTTP/1.1\r\nHost: {}\r\n\r\n", ada.server.addr());
    once.write_all(request.as_bytes()).await.unwrap();
    assert!(until_closed(&mut once).await.starts_with("HTTP/1.1 "));
    assert!(!until_closed(&mut half).await.starts_with("HTTP/1.1 2"));

    // What takes longer to answer than that is answered.
    let nobody = json!({ "code": "COVEY-AAAA-BBBB", "timeout_s": 1 });
    ada.done("POST", "join", &nobody, 504).await;
    ada.node.create_space("garden").await.unwrap();
    events.until("what happens", |event| event["event"] == "space_added").await;
    ada.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn becoming_somebodys_device_without_waiting_is_a_job_too() {
    let home = tempfile::tempdir().unwrap();
    let (ada, phone) =
        (Served::new(config(home.path(), "ada")).await, Served::new(config(home.path(), "phone")).await);
    let garden = ada.node.create_space("garden").await.unwrap();
    garden.collection("plants").unwrap().put_many(vec![(None, r#"{"n":1}"#.to_owned())]).await.unwrap();
    let mut events = phone.events(As::Program).await;
    let mut until_over = async |job: &Value| {
        let is_it = |event: &Value| event["job"]["id"] == job["id"] && event["job"]["ended_at"].is_string();
        events.until("the job's end", is_it).await["job"].clone()
    };
    let lost = phone.job("devices/join", &json!({ "code": "COVEY-AAAA-BBBB", "timeout_s": 300 })).await;
    assert_eq!((&lost["kind"], &lost["state"]), (&json!("link"), &json!("running")));
    phone.done("DELETE", &format!("jobs/{}", lost["id"].as_str().unwrap()), &Value::Null, 202).await;
    assert_eq!(until_over(&lost).await["state"], "cancelled");

    let link = ada.node.link_device(Duration::from_secs(60)).await.unwrap().link;
    let job = phone.job("devices/join", &json!({ "code": link })).await;
    assert_eq!((&job["stage"], &job["target"]), (&json!("pairing"), &json!("")), "the code is a secret");
    let done = until_over(&job).await;
    let user = ada.node.identity().user.to_string();
    assert_eq!((&done["state"], &done["error"]), (&json!("done"), &Value::Null), "{done}");
    assert_eq!((&done["stage"], &done["target"]), (&json!("syncing"), &json!(user)));
    assert_eq!((&done["result"]["kind"], &done["result"]["user_id"]), (&json!("link"), &json!(user)));
    assert_eq!(done["result"]["spaces"][0]["name"], "garden");
    ada.stop().await;
    phone.stop().await;
}

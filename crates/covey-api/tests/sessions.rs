//! Browsers that are signed in: across a restart of the node, until their time is over, and until they are signed out.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

mod sockets;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use covey_api::limits::{SEND_TIMEOUT, SESSION_LIFETIME};
use covey_node::{NetworkMode, NodeConfig, WallClock};
use serde_json::{Value, json};
use sockets::{As, Events, Served, config};

fn alone(home: &std::path::Path) -> NodeConfig {
    let mut config = config(home, "ada");
    config.network = NetworkMode::Solo;
    config
}

/// Reads what was told before; then the socket ends, and a space that came after is not told of.
async fn ends_without(mut live: Events, space: &str) {
    let mut added = 0;
    while let Some(event) = live.next().await {
        added += usize::from(event["event"] == "space_added");
    }
    assert_eq!(added, 0, "{space} came after the session");
}

async fn status(served: &Served, cookie: &str) -> u16 {
    served.ask(As::Browser(cookie), "GET", "/api/v1/status", &Value::Null).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_stays_signed_in_when_the_node_starts_again_and_goes_when_it_is_signed_out() {
    let home = tempfile::tempdir().unwrap();
    let served = Served::new(alone(home.path())).await;
    let (first, second) = (served.sign_in().await, served.sign_in().await);
    assert_eq!(status(&served, &first).await, 200);
    assert_eq!(status(&served, "covey_1=guess").await, 401);
    let addr = served.server.addr().to_string();
    served.stop().await;

    // The cookie knows the port: another one is another node's.
    let served = Served::with(alone(home.path()), &addr, SEND_TIMEOUT).await;
    assert_eq!((status(&served, &first).await, status(&served, &second).await), (200, 200));
    let listed = served.ask(As::Browser(&second), "GET", "/api/v1/browsers", &Value::Null).await.json();
    let current: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|one| one["current"].clone()).collect();
    assert_eq!(current, [json!(false), json!(true)]);
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert!(!first.contains(id), "what names a session must not open it");

    let live = served.events(As::Browser(&first)).await;
    served.done("DELETE", &format!("browsers/{id}"), &Value::Null, 204).await;
    served.done("DELETE", &format!("browsers/{id}"), &Value::Null, 404).await;
    assert_eq!((status(&served, &first).await, status(&served, &second).await), (401, 200));
    // At once, and not with the next event.
    ends_without(live, "nothing").await;
    served.stop().await;

    let served = Served::with(alone(home.path()), &addr, SEND_TIMEOUT).await;
    assert_eq!((status(&served, &first).await, status(&served, &second).await), (401, 200));
    assert_eq!(served.done("DELETE", "browsers", &Value::Null, 200).await, json!({ "signed_out": 1 }));
    assert_eq!(status(&served, &second).await, 401);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_session_opens_nothing_and_its_socket_ends() {
    let home = tempfile::tempdir().unwrap();
    let ahead = Arc::new(AtomicU64::new(0));
    let mut config = alone(home.path());
    let (clock, added) = (WallClock::default(), Arc::clone(&ahead));
    config.clock = WallClock::new(move || clock.now_ms() + added.load(Ordering::SeqCst));
    let served = Served::new(config).await;
    let cookie = served.sign_in().await;
    let mut live = served.events(As::Browser(&cookie)).await;
    served.node.create_space("garden").await.unwrap();
    live.until("the garden", |event| event["event"] == "space_added").await;
    ahead.store(SESSION_LIFETIME.as_millis() as u64, Ordering::SeqCst);
    assert_eq!(status(&served, &cookie).await, 401);
    let refused =
        served.ask(As::Browser(&cookie), "POST", "/api/v1/spaces", &json!({ "name": "shed" })).await;
    assert_eq!(refused.status, 401);
    assert!(refused.body.contains("covey web"), "it says what to do next: {}", refused.body);
    served.node.create_space("attic").await.unwrap();
    ends_without(live, "attic").await;
    assert_eq!(served.done("GET", "browsers", &Value::Null, 200).await, json!({ "items": [] }));
    served.stop().await;
}

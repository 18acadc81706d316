//! The API as programs, and as strangers, meet it.

use futures::{Stream, StreamExt};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::{Home, Node, PATIENCE, lines_of};
use serde_json::{Value, json};

const JSON: &str = "Content-Type: application/json";

#[test]
fn strangers_learn_nothing() {
    let home = Home::new();
    let node = home.up();
    let host = node.address().to_owned();
    let token = node.token();

    let no_token = node.raw(&format!("GET /api/v1/status HTTP/1.1\nHost: {host}\nConnection: close"), b"");
    no_token.problem(401);
    assert!(no_token.header("www-authenticate").unwrap().starts_with("Bearer"));
    let wrong =
        format!("GET /api/v1/status HTTP/1.1\nHost: {host}\nAuthorization: Bearer x\nConnection: close");
    node.raw(&wrong, b"").problem(401);

    let foreign_host = format!(
        "GET /api/v1/status HTTP/1.1\nHost: evil.example\nAuthorization: Bearer {token}\nConnection: close"
    );
    assert!(node.raw(&foreign_host, b"").problem(403).contains("evil.example"));
    let foreign_page = node.request("GET", "/api/v1/status", "Origin: http://evil.example", b"");
    assert!(foreign_page.problem(403).contains("evil.example"));
    let own_page = format!("Origin: http://{host}");
    assert_eq!(node.request("GET", "/api/v1/status", &own_page, b"").status(), 200);

    // A page can't even open a socket.
    let socket = "Upgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\n\
                  Origin: http://evil.example";
    node.request("GET", "/api/v1/events", socket, b"").problem(403);
}

#[test]
fn what_is_not_there_is_a_problem_document() {
    let home = Home::new();
    let node = home.up();
    node.request("GET", "/api/v1/nothing", "", b"").problem(404);
    node.request("GET", "/nothing", "", b"").problem(404);
    node.request("PUT", "/api/v1/status", "", b"").problem(405);
    node.request("GET", "/api/v1/spaces/shed", "", b"").problem(404);
    node.request("GET", "/api/v1/events", "", b"").problem(400);
    node.request("GET", "/api/v1/spaces/%FF", "", b"").problem(400);
}

#[test]
fn malformed_bodies_say_where_and_change_nothing() {
    let home = Home::new();
    let node = home.up();
    let said = node.request("POST", "/api/v1/spaces", JSON, b"{\"name\":\n oops}").problem(400);
    assert!(said.contains("line 2 column 2"), "{said}");
    node.request("POST", "/api/v1/spaces", JSON, b"{\"nam\":\"x\"}").problem(400);
    node.request("POST", "/api/v1/spaces", JSON, b"").problem(400);
    node.request("POST", "/api/v1/spaces", "Content-Type: text/plain", b"{\"name\":\"x\"}").problem(415);
    assert_eq!(home.json(&["space", "list"]), json!([]));
}

#[test]
fn a_body_of_50_mb_is_refused_and_the_node_lives_on() {
    let home = Home::new();
    let node = home.up();
    home.ok(&["space", "create", "garden"]);
    let body = format!("{{\"doc\":{{\"x\":\"{}\"}}}}", "y".repeat(50 << 20));
    let path = "/api/v1/spaces/garden/collections/plants/records";
    let told = node.request("POST", path, JSON, body.as_bytes());
    assert!(told.problem(413).contains("2097152 bytes"), "{}", told.0);

    // Also when the length isn't told before, and when it is one line of an import.
    let mut chunked = format!("{:x}\r\n", body.len()).into_bytes();
    chunked.extend_from_slice(body.as_bytes());
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let head = format!(
        "POST {path} HTTP/1.1\nHost: {}\nAuthorization: Bearer {}\n{JSON}\nConnection: close\nTransfer-Encoding: chunked",
        node.address(),
        node.token()
    );
    node.raw(&head, &chunked).problem(413);
    let import = "/api/v1/spaces/garden/collections/plants/import";
    assert!(node.request("POST", import, "", body.as_bytes()).problem(413).contains("line 1"));
    assert_eq!(home.ok(&["record", "export", "garden", "plants"]), "");
}

#[test]
fn pages_of_records_follow_each_other() {
    let home = Home::new();
    let node = home.up();
    home.ok(&["space", "create", "garden"]);
    let rows = lines_of(0..250, |n| format!("{{\"id\":\"k{n:03}\",\"doc\":{{\"n\":{n}}}}}"));
    let import = "/api/v1/spaces/garden/collections/plants/import";
    let done: Value = serde_json::from_str(node.request("POST", import, "", rows.as_bytes()).body()).unwrap();
    assert_eq!(done["records"], 250);

    let mut path = "/api/v1/spaces/garden/collections/plants/records?limit=100".to_owned();
    let mut ids = Vec::new();
    let mut sizes = Vec::new();
    loop {
        let page: Value = serde_json::from_str(node.request("GET", &path, "", b"").body()).unwrap();
        let items = page["items"].as_array().unwrap();
        sizes.push(items.len());
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/spaces/garden/collections/plants/records?limit=100&after={next}");
    }
    assert_eq!(sizes, [100, 100, 50]);
    assert!(ids.iter().enumerate().all(|(n, id)| *id == format!("k{n:03}")));
}

#[test]
fn the_change_feed_is_read_in_pages_to_the_present() {
    let home = Home::new();
    let node = home.up();
    home.ok(&["space", "create", "garden"]);
    for id in ["a", "b", "c"] {
        home.ok(&["record", "put", "garden", "plants", "--id", id, "{\"n\":1}"]);
    }
    let page = |since: u64| -> Value {
        let path = format!("/api/v1/spaces/garden/changes?since={since}&limit=2");
        serde_json::from_str(node.request("GET", &path, "", b"").body()).unwrap()
    };
    let first = page(0);
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let second = page(first["next"].as_u64().unwrap());
    assert_eq!(second["items"].as_array().unwrap().len(), 1);
    assert_eq!((&second["items"][0]["id"], &second["next"]), (&Value::from("c"), &Value::Null));
    // Positions are the home's, and other spaces of it move them too: nothing of this space is between the
    // last item and the present, and what comes next is after it.
    let present = second["position"].as_u64().unwrap();
    assert!(present >= second["items"][0]["position"].as_u64().unwrap());
    assert_eq!(page(present)["items"], serde_json::json!([]));
    home.ok(&["record", "put", "garden", "plants", "--id", "d", "{\"n\":1}"]);
    let later = page(present);
    assert_eq!(later["items"].as_array().unwrap().len(), 1);
    assert_eq!(later["items"][0]["id"], "d");
}

/// The messages of a WebSocket, parsed.
async fn listen(node: &Node<'_>, path: &str) -> impl Stream<Item = Value> + Unpin + use<> {
    let mut request = format!("ws://{}/api/v1/{path}", node.address()).into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", node.token()).parse().unwrap());
    let stream = tokio::net::TcpStream::connect(node.address()).await.unwrap();
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    socket.map(|message| serde_json::from_str(message.unwrap().to_text().unwrap()).unwrap())
}

async fn next(messages: &mut (impl Stream<Item = Value> + Unpin)) -> Value {
    tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn events_are_numbered_resumed_and_reset() {
    let home = Home::new();
    let node = home.up();
    let mut live = listen(&node, "events").await;
    home.ok(&["space", "create", "garden"]);
    home.ok(&["space", "create", "shed"]);
    let mut positions = Vec::new();
    let mut last = 0;
    while positions.len() < 2 {
        let event = next(&mut live).await;
        let position = event["position"].as_u64().unwrap();
        assert!(position > last);
        last = position;
        positions.extend((event["event"] == "space_added").then_some(position));
    }

    // Who was away since the first event gets what came after it, in order.
    let mut resumed = listen(&node, &format!("events?since={}", positions[0])).await;
    let mut seen = positions[0];
    while seen < positions[1] {
        let event = next(&mut resumed).await;
        assert!(event["position"].as_u64().unwrap() > seen);
        seen = event["position"].as_u64().unwrap();
    }
    assert_eq!(seen, positions[1], "the second space was not skipped");
    // Who was away for too long, or knew another run, is told to fetch anew.
    let mut stranger = listen(&node, "events?since=5").await;
    let reset = next(&mut stranger).await;
    assert_eq!(reset["event"], "reset");
    assert!(reset["position"].as_u64() >= positions.last().copied());
}

#[tokio::test]
async fn an_event_tells_that_who_is_in_a_space_has_changed() {
    let home = Home::new();
    let node = home.up();
    home.ok(&["space", "create", "garden"]);
    let space = home.json(&["space", "show", "garden"])["id"].clone();
    let mut live = listen(&node, "events").await;
    home.ok(&["space", "rotate-key", "garden"]);
    loop {
        let event = next(&mut live).await;
        if event["event"] == "members_changed" {
            assert_eq!(event["space"], space);
            return;
        }
    }
}

#[test]
fn a_browser_signs_in_once_by_the_link_and_sees_a_page_without_inline_scripts() {
    let home = Home::new();
    let node = home.up();
    let host = node.address().to_owned();
    let get = |path: &str, more: &str| {
        node.raw(&format!("GET {path} HTTP/1.1\nHost: {host}\nConnection: close\n{more}"), b"")
    };
    let closed = get("/", "");
    assert_eq!(closed.status(), 401);
    assert!(!closed.body().contains("laptop"));

    let link = node.ready["web"].as_str().unwrap();
    let path = link.strip_prefix(&format!("http://{host}")).unwrap();
    let opened = get(path, "");
    assert_eq!((opened.status(), opened.header("location")), (303, Some("/")));
    let cookie = opened.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    assert_eq!(get(path, "").status(), 401);

    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let page = get("/", &cookie);
    assert_eq!(page.status(), 200);
    // With the web app in the build the page is its document, otherwise a plain one. Neither runs anything inline.
    assert!(page.body().contains("Covey"));
    let scripts = page.body().matches("<script").count();
    assert_eq!(page.body().matches(" src=\"/assets/").count(), scripts, "{}", page.body());
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(get("/api/v1/status", &cookie).status(), 200);

    // The link that `covey web` prints is as good as the first.
    let link = home.json(&["web"])["link"].as_str().unwrap().to_owned();
    assert_eq!(get(link.strip_prefix(&format!("http://{host}")).unwrap(), "").status(), 303);
}

#[test]
fn a_page_of_records_is_bounded_by_bytes_also_when_small_ones_come_first() {
    let home = Home::new();
    let node = home.up();
    home.ok(&["space", "create", "garden"]);
    // A hundred small ones, from which nobody could guess the size of those that follow.
    let filler = "y".repeat(900 << 10);
    let rows = lines_of(0..140, |n| {
        let text = if n < 100 { "small" } else { &filler };
        format!("{{\"id\":\"k{n:03}\",\"doc\":{{\"x\":\"{text}\"}}}}")
    });
    let file = home.file("large.ndjson", &rows);
    home.ok(&["record", "import", "garden", "plants", file.to_str().unwrap()]);

    let (mut after, mut ids) = (String::new(), Vec::new());
    let records = "/api/v1/spaces/garden/collections/plants/records?limit=1000";
    loop {
        let page = node.request("GET", &format!("{records}&after={after}"), "", b"");
        assert_eq!(page.status(), 200);
        // The documents of a page, and what surrounds them.
        assert!(page.body().len() < (8 << 20) + (64 << 10), "a page of {} bytes", page.body().len());
        let page: Value = serde_json::from_str(page.body()).unwrap();
        ids.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut after);
    }
    assert_eq!(ids, (0..140).map(|n| format!("k{n:03}")).collect::<Vec<_>>());

    // A stream is made of the same pages, and holds everything.
    assert_eq!(home.ok(&["record", "export", "garden", "plants"]), rows);
}

#[test]
fn a_page_of_changes_ends_by_bytes_and_the_next_one_goes_on() {
    let home = Home::new();
    let node = home.up();
    home.ok(&["space", "create", "garden"]);
    let filler = "y".repeat(900 << 10);
    let rows = lines_of(0..20, |n| format!("{{\"id\":\"k{n:02}\",\"doc\":{{\"x\":\"{filler}\"}}}}"));
    let file = home.file("large.ndjson", rows);
    home.ok(&["record", "import", "garden", "plants", file.to_str().unwrap()]);
    let (mut since, mut pages, mut ids) = (0, Vec::new(), Vec::new());
    loop {
        let path = format!("/api/v1/spaces/garden/changes?since={since}&limit=1000");
        let reply = node.request("GET", &path, "", b"");
        assert_eq!(reply.status(), 200);
        let page: Value = serde_json::from_str(reply.body()).unwrap();
        let items = page["items"].as_array().unwrap();
        pages.push(items.len());
        ids.extend(items.iter().map(|change| change["id"].as_str().unwrap().to_owned()));
        match page["next"].as_u64() {
            Some(next) => since = next,
            None => break,
        }
    }
    // Ten of them are the first to reach 8 MiB.
    assert_eq!(pages, [10, 10, 0]);
    ids.sort();
    assert_eq!(ids, (0..20).map(|n| format!("k{n:02}")).collect::<Vec<_>>());
    // By number of rows as before.
    let page = node.request("GET", "/api/v1/spaces/garden/changes?limit=3", "", b"");
    let page: Value = serde_json::from_str(page.body()).unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
    assert_eq!(page["next"], page["items"][2]["position"]);
}

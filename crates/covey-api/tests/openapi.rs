//! Whether the API is as its OpenAPI document says: real answers are held against their schemas, and every route is asked.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

mod common;
#[path = "common/schema.rs"]
mod schema;

use common::{Answer, Served};
use futures::StreamExt;
use schema::mismatch;
use serde_json::{Value, json};

/// What a story of requests does: method, route, what stands for the braces, query, body, expected status.
type Step<'a> = (&'a str, &'a str, &'a [&'a str], &'a str, &'a str, u16);

const RECORDS: &str = "/api/v1/spaces/{space}/collections/{collection}/records";
const RECORD: &str = "/api/v1/spaces/{space}/collections/{collection}/records/{id}";
const CHANNELS: &str = "/api/v1/spaces/{space}/channels";
const CHANNEL: &str = "/api/v1/spaces/{space}/channels/{channel}";

/// Requests to a fresh node whose space is `garden`.
const STORY: &[Step<'_>] = &[
    ("get", "/api/v1/openapi.json", &[], "", "", 200),
    ("get", "/api/v1/status", &[], "", "", 200),
    ("get", "/api/v1/doctor", &[], "", "", 200),
    ("get", "/api/v1/peers", &[], "", "", 200),
    ("post", "/api/v1/web-link", &[], "", "", 200),
    ("get", "/api/v1/jobs", &[], "", "", 200),
    ("get", "/api/v1/jobs/{job}", &["x"], "", "", 404),
    ("post", "/api/v1/spaces", &[], "", r#"{"name":"shed"}"#, 201),
    ("post", "/api/v1/spaces", &[], "", r#"{"name":"secret","parent":"garden"}"#, 201),
    ("get", "/api/v1/spaces", &[], "?all=true", "", 200),
    ("get", "/api/v1/spaces/{space}", &["garden%2Fsecret"], "", "", 200),
    ("get", "/api/v1/spaces/{space}", &["nowhere"], "", "", 404),
    ("post", "/api/v1/spaces/{space}/invites", &["garden"], "", r#"{"role":"guest"}"#, 201),
    ("delete", "/api/v1/spaces/{space}/invites/{id}", &["garden", "0000"], "", "", 404),
    ("delete", "/api/v1/devices/link/{id}", &["0000"], "", "", 404),
    ("post", "/api/v1/join", &[], "", r#"{"code":"COVEY-AAAA-BBBB"}"#, 409),
    ("post", RECORDS, &["garden", "plants"], "", r#"{"doc":{"n":1}}"#, 201),
    ("post", RECORDS, &["garden", "plants"], "", r#"{"id":"fern","doc":{"n":2}}"#, 200),
    ("patch", RECORD, &["garden", "plants", "fern"], "", r#"{"n":3}"#, 200),
    ("get", RECORD, &["garden", "plants", "fern"], "", "", 200),
    ("get", RECORDS, &["garden", "plants"], "?limit=1", "", 200),
    ("get", "/api/v1/spaces/{space}/collections", &["garden"], "", "", 200),
    ("get", "/api/v1/spaces/{space}/collections/{collection}/export", &["garden", "plants"], "", "", 200),
    (
        "post",
        "/api/v1/spaces/{space}/collections/{collection}/import",
        &["garden", "plants"],
        "",
        "{}\n",
        200,
    ),
    ("post", "/api/v1/spaces/{space}/collections/{collection}/import", &["garden", "plants"], "", "x\n", 400),
    (
        "get",
        "/api/v1/spaces/{space}/collections/{collection}/records/{id}/sync",
        &["garden", "plants", "fern"],
        "",
        "",
        200,
    ),
    (
        "post",
        "/api/v1/spaces/{space}/collections/{collection}/sync",
        &["garden", "plants"],
        "",
        r#"{"ids":["fern"]}"#,
        200,
    ),
    ("get", "/api/v1/spaces/{space}/deliveries", &["garden"], "", "", 200),
    ("get", "/api/v1/spaces/{space}/changes", &["garden"], "?since=0&limit=2", "", 200),
    (
        "post",
        "/api/v1/spaces/{space}/sql",
        &["garden"],
        "",
        r#"{"sql":"SELECT 1, 'x', NULL, x'00ff', 0.5"}"#,
        200,
    ),
    ("post", "/api/v1/spaces/{space}/sql", &["garden"], "", r#"{"sql":"DELETE FROM plants"}"#, 400),
    ("delete", RECORD, &["garden", "plants", "fern"], "", "", 204),
    ("delete", RECORD, &["garden", "plants", "fern"], "", "", 404),
    ("get", "/api/v1/spaces/{space}/members", &["garden"], "", "", 200),
    ("get", "/api/v1/spaces/{space}/members/{user}", &["garden", "Ada"], "", "", 200),
    ("patch", "/api/v1/spaces/{space}/members/{user}", &["garden", "Ada"], "", r#"{"role":"owner"}"#, 200),
    ("post", "/api/v1/spaces/{space}/members", &["garden"], "", r#"{"user":"Ada"}"#, 409),
    ("delete", "/api/v1/spaces/{space}/members/{user}", &["garden", "Ada"], "", "", 403),
    ("put", "/api/v1/spaces/{space}/history", &["garden"], "", r#"{"history":"from-joining"}"#, 200),
    ("get", "/api/v1/spaces/{space}/history", &["garden"], "", "", 200),
    ("post", "/api/v1/spaces/{space}/rotate-key", &["garden"], "", "", 200),
    ("post", "/api/v1/spaces/{space}/leave", &["garden"], "", "", 403),
    ("get", "/api/v1/spaces/{space}/audit", &["garden"], "", "", 200),
    ("get", "/api/v1/devices", &[], "", "", 200),
    ("get", "/api/v1/devices/{device}", &["laptop"], "", "", 200),
    ("patch", "/api/v1/devices/{device}", &["laptop"], "", r#"{"name":"desk"}"#, 200),
    ("delete", "/api/v1/devices/{device}", &["desk"], "", "", 403),
    ("post", CHANNELS, &["garden"], "", r#"{"name":"tea","topic":"hot"}"#, 201),
    ("get", CHANNELS, &["garden"], "", "", 200),
    ("get", CHANNEL, &["garden", "tea"], "", "", 200),
    ("patch", CHANNEL, &["garden", "tea"], "", r#"{"topic":"cold"}"#, 200),
    ("post", "/api/v1/spaces/{space}/channels/{channel}/typing", &["garden", "tea"], "", "", 204),
    (
        "post",
        "/api/v1/spaces/{space}/channels/{channel}/messages",
        &["garden", "tea"],
        "",
        r#"{"text":"Who wants tea?","client_id":"0123456789abcdef"}"#,
        201,
    ),
    ("get", "/api/v1/spaces/{space}/channels/{channel}/messages", &["garden", "tea"], "?limit=1", "", 200),
    ("get", "/api/v1/spaces/{space}/channels/{channel}/messages", &["garden", "tea"], "?limit=0", "", 400),
    ("get", "/api/v1/spaces/{space}/search", &["garden"], "?q=tea&limit=0", "", 400),
    ("get", "/api/v1/spaces/{space}/search", &["garden"], "?q=tea&limit=1001", "", 400),
    ("get", "/api/v1/spaces/{space}/search", &["garden"], "?q=tea", "", 200),
    (
        "put",
        "/api/v1/spaces/{space}/channels/{channel}/draft",
        &["garden", "tea"],
        "",
        r#"{"text":"I"}"#,
        204,
    ),
    ("get", "/api/v1/spaces/{space}/presence", &["garden"], "", "", 200),
    ("put", "/api/v1/presence", &[], "", r#"{"state":"away"}"#, 204),
];

fn fill(route: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let part =
        |part: &str| if part.starts_with('{') { values.next().unwrap().to_string() } else { part.to_owned() };
    route.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Why the answer is none of those that the document names for the operation, if so.
fn wrong(document: &Value, operation: &Value, answer: &Answer) -> Option<String> {
    let mut response = &operation["responses"][answer.status.to_string()];
    if let Some(to) = response["$ref"].as_str() {
        response = document.pointer(&to[1..]).unwrap();
    }
    if !response.is_object() {
        return Some(format!("{} isn't in the document: {}", answer.status, answer.body));
    }
    let Some(content) = response["content"].as_object() else {
        return (!answer.body.is_empty()).then(|| format!("there is a body: {}", answer.body));
    };
    let Some(media) = content.get(answer.kind()) else {
        return Some(format!("{} isn't in the document", answer.kind()));
    };
    let values: Vec<Value> = match answer.kind() {
        "application/x-ndjson" => {
            answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
        _ => vec![answer.json()],
    };
    values.iter().find_map(|value| mismatch(document, &media["schema"], value))
}

#[tokio::test]
async fn what_is_answered_is_what_the_document_says() {
    let served = Served::new().await;
    let document: Value = serde_json::from_str(&covey_api::openapi()).unwrap();
    let mut faults = Vec::new();
    for (method, route, values, query, body, status) in STORY {
        let path = format!("{}{query}", fill(route, values));
        let answer = served.ask(&method.to_uppercase(), path.strip_prefix("/api/v1/").unwrap(), body).await;
        if answer.status != *status {
            faults.push(format!("{method} {path}: {} and not {status}: {}", answer.status, answer.body));
        }
        let why = wrong(&document, &document["paths"][route][method], &answer);
        faults.extend(why.map(|why| format!("{method} {path}: {why}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    served.stop().await;
}

#[tokio::test]
async fn the_events_are_what_the_document_says() {
    let served = Served::new().await;
    let document: Value = serde_json::from_str(&covey_api::openapi()).unwrap();
    let schema = &document["paths"]["/api/v1/events"]["get"]["responses"]["101"]["content"]["application/json"]
        ["schema"];
    let mut events = served.events().await;
    served.ask("POST", "spaces", r#"{"name":"shed"}"#).await;
    served.ask_async("POST", "spaces/shed/collections/tools/import", "{}\n").await;
    served.ask("POST", "spaces/shed/channels", r#"{"name":"tea"}"#).await;
    served.ask("POST", "spaces/shed/channels/tea/messages", r#"{"text":"Tea?"}"#).await;
    let mut seen = std::collections::BTreeSet::new();
    while !["job", "records_changed", "space_added", "channel", "message"]
        .iter()
        .all(|kind| seen.contains(*kind))
    {
        let event = events.next().await.unwrap();
        if let Some(why) = mismatch(&document, schema, &event) {
            panic!("{event}: {why}");
        }
        seen.insert(event["event"].as_str().unwrap().to_owned());
    }
    served.stop().await;
}

#[tokio::test]
async fn every_route_of_the_document_is_there_and_no_method_beside_it() {
    let served = Served::new().await;
    let document: Value = serde_json::from_str(&covey_api::openapi()).unwrap();
    for (route, item) in document["paths"].as_object().unwrap() {
        // A name that nothing has, so that nothing is done.
        let things = route.matches('{').count();
        let path = fill(route, &vec!["nothing"; things]);
        for method in ["get", "put", "post", "patch", "delete"] {
            let operation = &item[method];
            let answer = served.ask(&method.to_uppercase(), path.strip_prefix("/api/v1/").unwrap(), "").await;
            let at = format!("{method} {path}: {}", answer.body);
            if operation.is_null() {
                answer.problem(405, "method-not-allowed");
                let allowed = answer.header("allow").unwrap_or_else(|| panic!("{at}: no Allow"));
                for (method, _) in item.as_object().unwrap() {
                    assert!(allowed.contains(&method.to_uppercase()), "{at}: {allowed}");
                }
            } else {
                assert!(answer.status != 405 && !answer.body.contains("there is nothing at"), "{at}");
                assert_eq!(wrong(&document, operation, &answer), None, "{at}");
            }
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn no_route_of_the_document_does_anything_for_a_stranger() {
    let served = Served::new().await;
    let document: Value = serde_json::from_str(&covey_api::openapi()).unwrap();
    for (route, item) in document["paths"].as_object().unwrap() {
        let path = fill(route, &vec!["garden"; route.matches('{').count()]);
        for method in item.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let wrong = [("Authorization", "Bearer wrong"), ("Content-Type", "application/json")];
            let answer = served.request(&method, &path, &wrong, "{}").await;
            assert!([401, 429].contains(&answer.status), "{method} {path}: {}", answer.status);
            let none = served.request(&method, &path, &[("Content-Type", "application/json")], "{}").await;
            none.problem(401, "unauthorized");
        }
    }
    served.stop().await;
}

#[tokio::test]
async fn an_array_is_not_taken_for_the_object_whose_fields_it_could_be() {
    let served = Served::new().await;
    for (path, body) in [
        ("spaces", r#"["shed"]"#),
        ("spaces", r#"{"name":"shed","parent":"garden","members":[["Ada","owner"]]}"#),
        ("spaces/garden/invites", "[null,null]"),
        ("spaces/garden/collections/plants/records", r#"["fern",{}]"#),
    ] {
        served.ask("POST", path, body).await.problem(400, "malformed-json");
    }
    assert_eq!(served.node.spaces().len(), 1);
    served.stop().await;
}

#[tokio::test]
async fn the_document_that_is_served_is_the_one_that_is_printed() {
    let served = Served::new().await;
    let answer = served.ask("GET", "openapi.json", "").await;
    assert_eq!((answer.status, answer.kind()), (200, "application/json"));
    assert!(answer.body == covey_api::openapi());
    assert_eq!(answer.json()["openapi"], json!("3.1.0"));
    served.stop().await;
}

//! Long work that goes on without anybody waiting for it, as programs meet it: a real node, real HTTP.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

mod common;

use std::collections::BTreeSet;

use common::{Answer, Served};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const IMPORT: &str = "spaces/garden/collections/plants/import";

/// Waits for an event about the job that fits.
async fn until(
    events: &mut (impl Stream<Item = Value> + Unpin),
    id: &Value,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    loop {
        let event = events.next().await.unwrap();
        if event["event"] == "job" && event["job"]["id"] == *id && fits(&event["job"]) {
            return event["job"].clone();
        }
    }
}

fn is_over(job: &Value) -> bool {
    ["done", "failed", "cancelled"].contains(&job["state"].as_str().unwrap())
}

/// Asserts that the answer is a job that was begun; gives it.
fn begun(answer: &Answer) -> Value {
    assert_eq!((answer.status, answer.kind()), (202, "application/json"), "{}", answer.body);
    let job = answer.json();
    let location = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    assert_eq!(job["state"], "running");
    job
}

/// An import whose lines are still coming.
async fn slow_import(served: &Served, lines: &str) -> TcpStream {
    let bearer = served.bearer();
    let headers =
        [("Authorization", bearer.as_str()), ("Prefer", "respond-async"), ("Transfer-Encoding", "chunked")];
    let mut stream = served.begin("POST", &format!("/api/v1/{IMPORT}"), &headers).await;
    stream.write_all(format!("{:x}\r\n{lines}\r\n", lines.len()).as_bytes()).await.unwrap();
    stream
}

async fn records(served: &Served) -> usize {
    let page = served.ask("GET", "spaces/garden/collections/plants/records?limit=1000", "").await.json();
    page["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn an_import_of_a_client_that_does_not_wait_is_a_job() {
    let served = Served::new().await;
    let mut events = served.events().await;
    let lines: String = (0..500).map(|n| format!("{{\"id\":\"k{n}\",\"doc\":{{\"n\":{n}}}}}\n")).collect();
    let job = begun(&served.ask_async("POST", IMPORT, &lines).await);
    assert_eq!(
        (&job["kind"], &job["target"], &job["total"]),
        (&json!("import"), &json!("garden/plants"), &json!(lines.len()))
    );
    let done = until(&mut events, &job["id"], is_over).await;
    assert_eq!(
        (&done["state"], &done["error"], &done["done"]),
        (&json!("done"), &Value::Null, &done["total"])
    );
    assert_eq!((&done["result"]["kind"], &done["result"]["records"]), (&json!("import"), &json!(500)));
    assert!(done["started_at"].is_string() && done["ended_at"].is_string());
    assert_eq!(records(&served).await, 500);

    let path = format!("jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(served.ask("GET", &path, "").await.json(), done);
    assert_eq!(served.ask("GET", "jobs", "").await.json(), json!({"items": [done]}));
    let said = served.ask("DELETE", &path, "").await.problem(409, "conflict");
    assert!(said.contains("has ended already"), "{said}");
    served.ask("GET", "jobs/nothing", "").await.problem(404, "not-found");
    served.ask("DELETE", "jobs/nothing", "").await.problem(404, "not-found");
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_waits_gets_no_job() {
    let served = Served::new().await;
    let answer = served.ask("POST", IMPORT, "{\"n\":1}\n").await;
    assert_eq!((answer.status, &answer.json()["records"]), (200, &json!(1)));
    assert_eq!(served.ask("GET", "jobs", "").await.json(), json!({"items": []}));
    served.stop().await;
}

#[tokio::test]
async fn a_wrong_line_fails_the_job_and_says_which_it_was_and_what_was_written() {
    let served = Served::new().await;
    let mut events = served.events().await;
    let job = begun(&served.ask_async("POST", IMPORT, "{\"n\":1}\n{\"n\":2}\noops\n{\"n\":3}\n").await);
    let failed = until(&mut events, &job["id"], is_over).await;
    let error = &failed["error"];
    assert_eq!((&failed["state"], &failed["result"]), (&json!("failed"), &Value::Null));
    assert_eq!((&error["status"], &error["line"], &error["records"]), (&json!(400), &json!(3), &json!(2)));
    assert_eq!(records(&served).await, 2);
    served.stop().await;
}

#[tokio::test]
async fn a_cancelled_import_keeps_what_was_written_and_says_how_much() {
    let served = Served::new().await;
    let mut events = served.events().await;
    let lines = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
    let mut upload = slow_import(&served, lines).await;
    let running = loop {
        let event = events.next().await.unwrap();
        if event["event"] == "job" {
            break event["job"].clone();
        }
    };
    // What has come is written although more may come.
    until_records(&served, &mut events, 3).await;
    let path = format!("jobs/{}", running["id"].as_str().unwrap());
    let asked = served.ask("DELETE", &path, "").await;
    assert_eq!((asked.status, &asked.json()["state"]), (202, &json!("cancelling")));
    let over = until(&mut events, &running["id"], is_over).await;
    assert_eq!((&over["state"], &over["result"]["records"]), (&json!("cancelled"), &json!(3)));
    assert_eq!(over["error"], Value::Null);
    assert_eq!(records(&served).await, 3);
    upload.shutdown().await.unwrap();
    served.stop().await;
}

/// Waits until so many records are there, looking whenever records have changed.
async fn until_records(served: &Served, events: &mut (impl Stream<Item = Value> + Unpin), wanted: usize) {
    while records(served).await < wanted {
        while events.next().await.unwrap()["event"] != "records_changed" {}
    }
}

#[tokio::test]
async fn only_so_many_jobs_run_at_once() {
    let served = Served::new().await;
    let mut events = served.events().await;
    let (mut uploads, mut ids) = (Vec::new(), BTreeSet::new());
    while uploads.len() < covey_api::limits::MAX_RUNNING_JOBS {
        uploads.push(slow_import(&served, "{\"n\":1}\n").await);
        while ids.len() < uploads.len() {
            let event = events.next().await.unwrap();
            ids.extend(event["job"]["id"].as_str().map(str::to_owned));
        }
    }
    let said = served.ask_async("POST", IMPORT, "{\"n\":1}\n").await.problem(429, "too-many-jobs");
    assert!(said.contains("cancel one"), "{said}");
    // Whoever waits for the answer is served all the same.
    assert_eq!(served.ask("POST", IMPORT, "{\"n\":1}\n").await.status, 200);
    // The node stops although they aren't through.
    served.stop().await;
}

#[tokio::test]
async fn a_backup_of_a_client_that_does_not_wait_is_a_job() {
    let served = Served::new().await;
    let mut events = served.events().await;
    let file = served.home.path().join("backup.covey");
    let order = json!({"file": file, "passphrase": "correct horse battery staple"}).to_string();
    let job = begun(&served.ask_async("POST", "backup", &order).await);
    assert_eq!((&job["kind"], &job["target"]), (&json!("backup"), &json!(file)));
    let done = until(&mut events, &job["id"], is_over).await;
    assert_eq!((&done["state"], &done["result"]["kind"]), (&json!("done"), &json!("backup")), "{done}");
    assert_eq!(done["result"]["bytes"], json!(file.metadata().unwrap().len()));

    // The same again: what is there is never written over, and the job says so.
    let job = begun(&served.ask_async("POST", "backup", &order).await);
    let failed = until(&mut events, &job["id"], is_over).await;
    assert_eq!((&failed["state"], &failed["error"]["status"]), (&json!("failed"), &json!(409)), "{failed}");
    // What is wrong in itself is said at once.
    let relative = json!({"file": "x", "passphrase": "y"}).to_string();
    served.ask_async("POST", "backup", &relative).await.problem(400, "invalid");
    served.stop().await;
}

#[tokio::test]
async fn a_backup_that_is_cancelled_leaves_no_file() {
    let served = Served::new().await;
    let mut events = served.events().await;
    let file = served.home.path().join("backup.covey");
    let order = json!({"file": file, "passphrase": "correct horse battery staple"}).to_string();
    let job = begun(&served.ask_async("POST", "backup", &order).await);
    let path = format!("jobs/{}", job["id"].as_str().unwrap());
    let asked = served.ask("DELETE", &path, "").await;
    assert!([202, 409].contains(&asked.status), "{}", asked.body);
    let over = until(&mut events, &job["id"], is_over).await;
    // It may have been through by then, and says so.
    assert_eq!(over["state"] == "done", file.exists(), "{over}");
    assert_eq!(std::fs::read_dir(served.home.path()).unwrap().count(), 1 + usize::from(file.exists()));
    served.stop().await;
}

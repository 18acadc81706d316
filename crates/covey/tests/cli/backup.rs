//! `covey backup` and `covey restore` with real processes.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::support::{Home, PATIENCE, bare, lines_of, output, stderr};
use serde_json::{Value, json};

const QUIC: [&str; 4] = ["--network", "lan", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn until(home: &Home, args: &[&str], right: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let answer = home.json(args);
        if right(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "still {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until a record is there.
fn until_there(home: &Home, id: &str) {
    let started = Instant::now();
    while !home.run(&["record", "get", "garden", "plants", id]).status.success() {
        assert!(started.elapsed() < PATIENCE, "{id} never came");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A home with a space of a hundred records, and the file with the backup's passphrase.
fn garden() -> (Home, String) {
    let home = Home::new();
    {
        let node = home.up();
        home.ok(&["space", "create", "garden"]);
        let rows = lines_of(0..100, |n| format!("{{\"id\":\"k{n:04}\",\"doc\":{{\"n\":{n}}}}}"));
        let file = home.file("plants.ndjson", rows);
        home.ok(&["record", "import", "garden", "plants", text(&file)]);
        assert!(node.stop().success());
    }
    let words = home.file("words", "correct horse\n");
    (home, text(&words).to_owned())
}

fn beside(home: &Home, name: &str) -> PathBuf {
    home.path().with_file_name(name)
}

fn put(home: &Home, id: &str) {
    home.ok(&["record", "put", "garden", "plants", "--id", id, "{}"]);
}

#[test]
fn a_backup_made_with_and_without_a_running_node_restores_to_the_same() {
    let (home, words) = garden();
    let export = ["record", "export", "garden", "plants"];
    let files = [beside(&home, "stopped"), beside(&home, "running")];
    let order = |file: &Path| ["backup", text(file), "--passphrase-file", &words].map(str::to_owned);
    let made = home.json(&order(&files[0]).each_ref().map(String::as_str));
    assert_eq!((&made["spaces"], &made["records"]), (&json!(1), &json!(100)));
    assert_eq!(made["bytes"], fs::metadata(&files[0]).unwrap().len());
    let node = home.up();
    let said = home.ok(&order(&files[1]).each_ref().map(String::as_str));
    assert!(said.starts_with("Backed up 1 space, ") && said.contains("100 records in /"), "{said}");
    assert_eq!(fs::metadata(&files[1]).unwrap().permissions().mode() & 0o777, 0o600);
    let (records, who) = (home.ok(&export), home.json(&["status"])["node"]["peer_id"].clone());
    assert!(node.stop().success());

    for file in files {
        let new = Home::new();
        let restored = new.json(&["restore", text(&file), "--passphrase-file", &words]);
        assert_eq!((&restored["peer_id"], &restored["records"]), (&who, &json!(100)));
        let _node = new.up();
        assert_eq!(new.ok(&export), records);
        put(&new, "more");
        let checks = new.json_whatever(&["doctor"])["checks"].clone();
        let store = checks.as_array().unwrap().iter().find(|check| check["name"] == "store").unwrap();
        assert_eq!(store["ok"], true, "{store}");
    }
}

#[test]
fn after_a_restore_nothing_that_others_have_is_lost_and_nothing_forks() {
    let (ada, bob) = (Home::new(), Home::new());
    let words = ada.file("words", "correct horse");
    let mut ada_node = ada.up_with(&QUIC);
    let _bob_node = bob.up_with(&QUIC);
    ada.ok(&["space", "create", "garden"]);
    put(&ada, "first");
    let link = ada.json(&["invite", "garden"])["link"].as_str().unwrap().to_owned();
    bob.json(&["join", &link, "--timeout", "20s"]);
    let address = bob.json(&["status"])["network"]["listen"][0].as_str().unwrap().to_owned();
    let file = beside(&ada, "b");
    ada.ok(&["backup", text(&file), "--passphrase-file", text(&words)]);
    put(&ada, "after the backup");
    until_there(&bob, "after the backup");
    ada_node.child.kill().unwrap();
    ada_node.child.wait().unwrap();

    let new = Home::new();
    new.ok(&["restore", text(&file), "--passphrase-file", text(&words)]);
    let _new_node = new.up_with(&[&QUIC[..], &["--bootstrap", &address]].concat());
    put(&new, "at once");
    for home in [&new, &bob] {
        for id in ["first", "after the backup", "at once"] {
            until_there(home, id);
        }
        until(home, &["status"], |status| status["spaces"][0]["sync"][0]["state"] == "in_sync");
        let checks = home.json_whatever(&["doctor"])["checks"].clone();
        assert!(!checks.as_array().unwrap().iter().any(|check| check["name"] == "own-log"), "{checks}");
    }
    let export = ["record", "export", "garden", "plants"];
    assert_eq!(new.ok(&export), bob.ok(&export));
}

#[test]
fn a_bad_backup_or_passphrase_or_place_is_named_and_nothing_is_made() {
    let (home, words) = garden();
    let file = beside(&home, "b");
    home.ok(&["backup", text(&file), "--passphrase-file", &words]);
    let new = Home::new();
    let restore = |file: &Path, words: &str| {
        let said = new.fails(1, &["restore", text(file), "--passphrase-file", words]);
        assert!(!new.path().exists(), "{said}");
        said
    };
    let good = fs::read(&file).unwrap();
    let cut = new.file("cut", &good[..good.len() / 2]);
    assert!(restore(&cut, &words).contains("cut off"));
    let other = new.file("other", "{}");
    assert!(restore(&other, &words).contains("not a backup"));
    let newer = new.file("newer", [&b"covey-backup-v9\n"[..], &good[16..]].concat());
    assert!(restore(&newer, &words).contains("newer version"));
    let mut changed = good.clone();
    changed[5000] ^= 1;
    assert!(restore(&new.file("changed", changed), &words).contains("damaged"));
    let wrong = new.file("wrong", "incorrect horse");
    assert!(restore(&file, text(&wrong)).contains("passphrase is wrong"));
    assert!(restore(&new.path().with_file_name("none"), &words).contains("cannot open"));
    let empty = new.file("empty", "\n");
    assert!(restore(&file, text(&empty)).contains("is empty"));

    // A home that is there is never touched, nor a file.
    let before = fs::read(home.path().join("key")).unwrap();
    assert!(home.fails(1, &["restore", text(&file), "--passphrase-file", &words]).contains("already"));
    assert_eq!(fs::read(home.path().join("key")).unwrap(), before);
    assert!(home.fails(1, &["backup", text(&file), "--passphrase-file", &words]).contains("there already"));
    assert_eq!(fs::read(&file).unwrap(), good);
    let occupied = Home::new();
    fs::create_dir(occupied.path()).unwrap();
    fs::write(occupied.path().join("photo.jpg"), "mine").unwrap();
    let said = occupied.fails(1, &["restore", text(&file), "--passphrase-file", &words]);
    assert!(said.contains("photo.jpg"), "{said}");
    // Without a terminal there is nobody to ask, and without a home nothing to back up.
    assert!(new.fails(1, &["restore", text(&file)]).contains("--passphrase-file"));
    let said = new.fails(1, &["backup", text(&beside(&new, "x")), "--passphrase-file", &words]);
    assert!(said.contains("there is no home"), "{said}");
    let said = home.fails(1, &["backup", "/no/such/folder/b", "--passphrase-file", &words]);
    assert!(said.contains("cannot create /no/such/folder/b"), "{said}");
}

#[test]
fn a_running_node_tells_what_is_wrong_with_the_place_and_wants_a_token() {
    let (home, words) = garden();
    let node = home.up();
    let said = home.fails(1, &["backup", "/no/such/folder/b", "--passphrase-file", &words]);
    assert!(said.contains("cannot create /no/such/folder/b"), "{said}");
    let ask = |body: &str| {
        let head = "Content-Type: application/json";
        node.request("POST", "/api/v1/backup", head, body.as_bytes())
    };
    assert!(ask(r#"{"file":"b","passphrase":"x"}"#).problem(400).contains("absolute"));
    let file = beside(&home, "b");
    let empty = json!({"file": file, "passphrase": ""}).to_string();
    assert!(ask(&empty).problem(400).contains("must not be empty"));
    let right = json!({"file": file, "passphrase": "x"}).to_string();
    let done = ask(&right);
    assert_eq!(done.status(), 200, "{}", done.0);
    assert!(done.body().contains(r#""event":"done""#), "{}", done.0);
    assert!(ask(&right).problem(409).contains("is there already"));
    let head = format!("POST /api/v1/backup HTTP/1.1\nHost: {}\nConnection: close", node.address());
    assert_eq!(node.raw(&head, b"").status(), 401);
}

#[test]
fn a_locked_home_needs_its_own_passphrase_too_when_no_node_runs() {
    let home = Home::new();
    let (own, words) = (home.file("own", "of the home"), home.file("words", "of the backup"));
    home.ok(&["init", "--name", "Ada", "--device", "laptop", "--passphrase-file", text(&own)]);
    let file = beside(&home, "b");
    let order = ["backup", text(&file), "--passphrase-file", text(&words)];
    assert!(home.fails(1, &order).contains("--home-passphrase-file"));
    home.ok(&[&order[..], &["--home-passphrase-file", text(&own)]].concat());
    // The new home is locked as it's asked for, not as the old one was.
    let new = Home::new();
    let restore = ["restore", text(&file), "--passphrase-file", text(&words)];
    new.ok(&[&restore[..], &["--home-passphrase-file", text(&words)]].concat());
    assert!(!new.path().join("key").exists());
    let _node = new.up_with(&["--network", "solo", "--passphrase-file", text(&words)]);
}

#[test]
fn the_help_says_that_two_restored_homes_must_not_run_at_once() {
    let help = output(&mut bare(&["restore", "--help"]));
    assert!(help.status.success(), "{}", stderr(&help));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Never run the restored home and the old one"));
}

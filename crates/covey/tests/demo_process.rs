//! `covey demo` from outside: it runs to its end, and however it ends, it leaves no file and no process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

use std::{
    io::{BufRead, BufReader},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Far more than the whole story takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A demo whose temporary folder is ours to look into.
fn demo(folder: &TempDir) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covey"));
    command.args(["demo", "--once", "--json"]).env("TMPDIR", folder.path()).env_remove("COVEY_HOME");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

fn event(line: std::io::Result<String>) -> String {
    let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
    event["event"].as_str().unwrap().to_owned()
}

fn wait(mut demo: Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = demo.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > PATIENCE {
            demo.kill().unwrap();
            panic!("the demo does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes that have the folder in their command line, as each of the demo's nodes has.
fn processes_of(folder: &Path) -> Vec<String> {
    let name = folder.as_os_str().as_bytes();
    let ids = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    // A process may end while we look.
    let lines = ids.filter_map(|path| std::fs::read(path.join("cmdline")).ok());
    lines
        .filter(|line| line.windows(name.len()).any(|part| part == name))
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

fn leaves_nothing(folder: &TempDir) {
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    let running = processes_of(folder.path());
    assert!(running.is_empty(), "{running:?}");
}

#[test]
fn the_demo_tells_its_story_to_the_end_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = demo(&folder);
    let events: Vec<String> = BufReader::new(demo.stdout.take().unwrap()).lines().map(event).collect();
    assert_eq!(wait(demo).code(), Some(0));
    for part in ["join", "live", "crash", "caught up", "the same"] {
        assert!(events.iter().any(|event| event == part), "{part}: {events:?}");
    }
    assert_eq!(events.last().unwrap(), "all gone");
    leaves_nothing(&folder);
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    // With one node up, with two, while they pair, and while one of them is dead.
    for moment in ["ada", "bob", "join", "crash"] {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = demo(&folder);
        let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(event);
        assert!(lines.any(|event| event == moment), "the demo tells {moment:?}");
        assert!(!processes_of(folder.path()).is_empty(), "its nodes can be found");
        let sent = Command::new("kill").arg("-INT").arg(demo.id().to_string()).status().unwrap();
        assert!(sent.success());
        assert!(!lines.any(|event| event == "all gone"), "it is interrupted in the middle");
        assert_eq!(wait(demo).code(), Some(130));
        leaves_nothing(&folder);
    }
}

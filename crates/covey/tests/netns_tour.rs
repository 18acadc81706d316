//! The README's tour with real processes: two machines on a LAN without internet, each a network namespace.
//! Needs root and iproute2; says loudly when it can't run.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use covey_lab::Lan;
use serde_json::Value;

/// Far more than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One machine of the tour.
struct Machine<'a> {
    lan: &'a Lan,
    host: usize,
    home: PathBuf,
    name: &'static str,
    node: Option<Child>,
}

impl<'a> Machine<'a> {
    fn new(lan: &'a Lan, host: usize, folder: &Path, name: &'static str) -> Self {
        Self { lan, host, home: folder.join(name), name, node: None }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lan.command(self.host, env!("CARGO_BIN_EXE_covey"));
        command.arg("--home").arg(&self.home).args(args).env_remove("COVEY_HOME").stdin(Stdio::null());
        command
    }

    /// `covey up`, until it's ready.
    fn up(&mut self) -> Value {
        let device = format!("{}'s laptop", self.name);
        let mut command = self.command(&["--json", "up", "--name", self.name, "--device", &device]);
        let mut node = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(node.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.node = Some(node);
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["event"], "ready");
        ready
    }

    fn run(&self, args: &[&str]) -> String {
        let done = self.command(args).output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{} {args:?}: {}\n{stdout}{stderr}", self.name, done.status);
        stdout.into_owned()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(&[&["--json"], args].concat())).unwrap()
    }

    /// What the space's status says of the only other device.
    fn sync_state(&self) -> (String, Value) {
        let space = self.json(&["space", "show", "garden"]);
        let line = &space["sync"][0];
        (line["state"].as_str().unwrap_or("none").to_owned(), line.clone())
    }

    fn wait_until(&self, what: &str, check: impl Fn(&Self) -> bool) -> Duration {
        let start = Instant::now();
        while !check(self) {
            assert!(start.elapsed() < PATIENCE, "{}: never {what}; {:?}", self.name, self.sync_state());
            std::thread::sleep(Duration::from_millis(20));
        }
        start.elapsed()
    }

    fn export(&self) -> String {
        self.run(&["record", "export", "garden", "plants"])
    }

    /// SIGKILL, to the node itself: `ip netns exec` has become it.
    fn kill(&mut self) {
        let mut node = self.node.take().unwrap();
        node.kill().unwrap();
        node.wait().unwrap();
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

#[test]
fn two_machines_with_no_server_find_each_other_pair_and_keep_the_same_data() {
    let Some(lan) = Lan::new(2).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut ada, mut bob) =
        (Machine::new(&lan, 0, folder.path(), "Ada"), Machine::new(&lan, 1, folder.path(), "Bob"));

    ada.up();
    ada.run(&["space", "create", "garden"]);
    let plants: String = (0..5000)
        .map(|i| format!("{{\"id\":\"p{i}\",\"doc\":{{\"name\":\"plant {i}\",\"bed\":{}}}}}\n", i % 9))
        .collect();
    let file = folder.path().join("plants.ndjson");
    std::fs::write(&file, plants).unwrap();
    let imported = ada.json(&["record", "import", "garden", "plants", file.to_str().unwrap()]);
    assert_eq!(imported["records"], 5000);
    let invitation = ada.json(&["invite", "garden"]);
    let code = invitation["code"].as_str().unwrap();

    bob.up();
    let start = Instant::now();
    let joined = bob.json(&["join", code]);
    let took = start.elapsed();
    assert_eq!((joined["space"]["name"].as_str(), joined["records"].as_u64()), (Some("garden"), Some(5000)));
    assert!(took < Duration::from_secs(20), "joined within seconds, not after {took:?}");
    assert_eq!(ada.export(), bob.export());

    // A change on either side shows on the other.
    bob.run(&["record", "put", "garden", "plants", "--id", "from-bob", r#"{"name":"bean"}"#]);
    ada.wait_until("has Bob's bean", |ada| ada.export() == bob.export());
    ada.run(&["record", "delete", "garden", "plants", "from-bob"]);
    bob.wait_until("lost the bean", |bob| !bob.export().contains("from-bob"));
    bob.wait_until("in sync", |bob| bob.sync_state().0 == "in_sync");
    let peers = bob.json(&["peer", "list"]);
    assert_eq!((peers[0]["state"].as_str(), peers[0]["path"].as_str()), (Some("connected"), Some("direct")));
    assert_eq!(peers[0]["transport"], "quic");

    // A node that was off catches up by itself, and status says why it isn't in sync meanwhile.
    bob.kill();
    ada.wait_until("noticed that Bob is gone", |ada| {
        let (state, line) = ada.sync_state();
        state == "unreachable"
            && line["reason"].as_str().is_some_and(|reason| reason.contains("Bob's laptop"))
    });
    ada.run(&["record", "put", "garden", "plants", "--id", "while-away", r#"{"name":"leek"}"#]);
    bob.up();
    bob.wait_until("caught up", |bob| bob.export() == ada.export());

    // The plug is pulled and put back: both worked on, both converge.
    lan.set_link(1, false).unwrap();
    ada.run(&["record", "put", "garden", "plants", "--id", "p1", r#"{"bed":"ada"}"#]);
    bob.run(&["record", "put", "garden", "plants", "--id", "p1", r#"{"name":"bob"}"#]);
    ada.wait_until("noticed the lost link", |ada| ada.sync_state().0 != "in_sync");
    lan.set_link(1, true).unwrap();
    bob.wait_until("converged", |bob| bob.export() == ada.export());
    let both: Value = serde_json::from_str(&ada.run(&["record", "get", "garden", "plants", "p1"])).unwrap();
    assert_eq!((both["bed"].as_str(), both["name"].as_str()), (Some("ada"), Some("bob")));
    bob.wait_until("in sync again", |bob| bob.sync_state().0 == "in_sync");
}

#[test]
fn a_device_is_linked_by_its_code_alone_and_has_what_its_user_has() {
    let Some(lan) = Lan::new(2).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut laptop, mut phone) =
        (Machine::new(&lan, 0, folder.path(), "Ada"), Machine::new(&lan, 1, folder.path(), "phone"));
    laptop.up();
    laptop.run(&["space", "create", "garden"]);
    laptop.run(&["record", "put", "garden", "plants", "--id", "bean", r#"{"bed":1}"#]);
    phone.up();
    let code = laptop.json(&["device", "link"])["code"].as_str().unwrap().to_owned();
    let joined = phone.json(&["device", "join", &code]);
    assert_eq!(
        (joined["user"].as_str(), joined["linked_by"]["name"].as_str()),
        (Some("Ada"), Some("Ada's laptop"))
    );
    assert_eq!(laptop.export(), phone.export());

    // Written on the one with no network, it is on the other once they see each other again.
    lan.set_link(1, false).unwrap();
    phone.run(&["record", "put", "garden", "plants", "--id", "leek", r#"{"bed":2}"#]);
    lan.set_link(1, true).unwrap();
    laptop.wait_until("has what the phone wrote", |laptop| laptop.export() == phone.export());
}

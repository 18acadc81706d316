//! kill -9 at random moments of import and sync: what was acknowledged is there after each restart, and no
//! place of a log is ever used twice. Both nodes keep their ports, so that they find each other again at once
//! and the kills hit a live sync.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;

/// Kills in all, in turn while importing and while syncing.
const KILLS: usize = 50;

/// Far more than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that a node lives before it's killed.
const LONGEST_LIFE_MS: u64 = 400;

/// Records that are acknowledged one by one at least before the other node is killed.
const WRITTEN_MEANWHILE: u64 = 3;

/// Where ports are looked for: below those that systems give to whoever asks for any, which other tests do all the
/// time, also while a node that was killed is not up again.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

struct Node {
    home: PathBuf,
    /// Where it listens in all its lives.
    listen: String,
    /// The same with its id, once it has one.
    address: Option<String>,
    process: Option<Child>,
}

impl Node {
    fn new(folder: &Path, name: &str, port: u16) -> Self {
        let listen = format!("/ip4/127.0.0.1/udp/{port}/quic-v1");
        Self { home: folder.join(name), listen, address: None, process: None }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_covey"));
        command.arg("--home").arg(&self.home).args(args).env_remove("COVEY_HOME").stdin(Stdio::null());
        command
    }

    fn up(&mut self, other: Option<&str>) {
        let mut args = vec!["--json", "up", "--api", "127.0.0.1:0", "--name", "Ada", "--device", "laptop"];
        args.extend(["--listen", &self.listen]);
        args.extend(other.into_iter().flat_map(|other| ["--bootstrap", other]));
        let mut process = self.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // Kept first, so that it is killed also when what it says is wrong.
        self.process = Some(process);
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|err| panic!("{err}: {line:?}"));
        let mut addresses =
            ready["listen"].as_array().unwrap().iter().map(|address| address.as_str().unwrap());
        let address = addresses.find(|address| address.starts_with(&self.listen));
        self.address = Some(address.unwrap_or_else(|| panic!("{ready}")).to_owned());
    }

    fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// What a command printed; `None` if it failed, as it does when the node dies under it.
    fn try_run(&self, args: &[&str]) -> Option<String> {
        let done = self.command(args).stderr(Stdio::null()).output().unwrap();
        done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
    }

    fn run(&self, args: &[&str]) -> String {
        self.try_run(args).unwrap_or_else(|| panic!("{args:?} failed"))
    }

    fn export(&self) -> String {
        self.run(&["record", "export", "garden", "plants"])
    }

    /// Records that the node has.
    fn records(&self) -> u64 {
        let space: Value = serde_json::from_str(&self.run(&["--json", "space", "show", "garden"])).unwrap();
        space["records"].as_u64().unwrap()
    }

    /// What doctor found about one thing. It exits with 1 when anything needs a look, and prints all the same.
    fn check(&self, name: &str) -> Value {
        let done = self.command(&["--json", "doctor"]).output().unwrap();
        let found: Value = serde_json::from_slice(&done.stdout).unwrap();
        let mut checks = found["checks"].as_array().unwrap().iter();
        checks.find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {found}")).clone()
    }

    fn wait_until(&self, what: &str, check: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !check(self) {
            assert!(start.elapsed() < PATIENCE, "never {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// Random enough to hit every moment; a failure prints the seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Two ports that nobody has now, and hardly anybody else will ask for.
fn two_ports() -> [u16; 2] {
    let first = std::process::id() as usize % PORTS.len();
    let mut tried = PORTS.cycle().skip(first).take(PORTS.len());
    let mut free = || tried.find(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok()).expect("a free port");
    [free(), free()]
}

/// Of each import how many records there are.
fn imported(export: &str) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for line in export.lines() {
        let import = line.split_once("\"bulk-").and_then(|(_, rest)| rest.split_once('-')?.0.parse().ok());
        if let Some(import) = import {
            *counts.entry(import).or_default() += 1;
        }
    }
    counts
}

/// Writes records one by one until the node dies; how many were acknowledged in all.
fn write_until_killed(
    node: &Node,
    stop: &Arc<AtomicBool>,
    acknowledged: &Arc<AtomicU64>,
) -> std::thread::JoinHandle<()> {
    let home = node.home.clone();
    let (stop, acknowledged) = (Arc::clone(stop), Arc::clone(acknowledged));
    std::thread::spawn(move || {
        let node = Node { home, listen: String::new(), address: None, process: None };
        while !stop.load(Ordering::SeqCst) {
            let n = acknowledged.load(Ordering::SeqCst);
            let doc = format!("{{\"n\":{n}}}");
            let id = format!("one-{n:06}");
            if node.try_run(&["--json", "record", "put", "garden", "plants", "--id", &id, &doc]).is_none() {
                return;
            }
            acknowledged.store(n + 1, Ordering::SeqCst);
        }
    })
}

#[test]
fn nothing_acknowledged_is_lost_and_no_place_is_reused_over_fifty_kills() {
    let seed = std::env::var("COVEY_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()) | 1 << 40);
    eprintln!("COVEY_TEST_SEED={seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let ports = two_ports();
    let mut ada = Node::new(folder.path(), "ada", ports[0]);
    let mut bob = Node::new(folder.path(), "bob", ports[1]);
    ada.up(None);
    bob.up(ada.address.as_deref());
    ada.run(&["space", "create", "garden"]);
    let link: Value = serde_json::from_str(&ada.run(&["--json", "invite", "garden"])).unwrap();
    bob.run(&["join", link["link"].as_str().unwrap()]);

    let (mut imports, mut cut_imports) = (0u64, 0u64);
    // Rounds in which Bob got records, and how many he has: nothing is ever deleted.
    let (mut live_rounds, mut at_bobs) = (0usize, 0u64);
    let acknowledged = Arc::new(AtomicU64::new(0));
    for round in 0..KILLS {
        let life = Duration::from_millis(random.below(LONGEST_LIFE_MS));
        let stop = Arc::new(AtomicBool::new(false));
        let writer = write_until_killed(&ada, &stop, &acknowledged);
        if round % 2 == 0 {
            // Killed while importing: the whole import may be cut off, what it acknowledged may not.
            let file = folder.path().join(format!("import-{round}.ndjson"));
            let lines: String = (0..3000)
                .map(|i| format!("{{\"id\":\"bulk-{imports}-{i:05}\",\"doc\":{{\"n\":{i}}}}}\n"))
                .collect();
            std::fs::write(&file, lines).unwrap();
            let import =
                ada.command(&["--json", "record", "import", "garden", "plants", file.to_str().unwrap()]);
            let import = spawn_quiet(import);
            std::thread::sleep(life);
            ada.kill();
            let done = import.wait_with_output().unwrap();
            imports += u64::from(done.status.success());
            cut_imports += u64::from(!done.status.success());
            stop.store(true, Ordering::SeqCst);
            writer.join().unwrap();
            ada.up(bob.address.as_deref());
        } else {
            // The receiver is killed in the middle of a sync: one that has brought something in this round.
            let enough = acknowledged.load(Ordering::SeqCst) + WRITTEN_MEANWHILE;
            ada.wait_until("written", |_| acknowledged.load(Ordering::SeqCst) >= enough);
            bob.wait_until("more records", |bob| bob.records() > at_bobs);
            std::thread::sleep(life);
            bob.kill();
            stop.store(true, Ordering::SeqCst);
            writer.join().unwrap();
            bob.up(ada.address.as_deref());
        }
        let now = bob.records();
        assert!(now >= at_bobs, "round {round}: Bob had {at_bobs} records and has {now}");
        live_rounds += usize::from(now > at_bobs);
        at_bobs = now;
        let export = ada.export();
        let ones = export.lines().filter(|line| line.contains("\"one-")).count() as u64;
        let known = acknowledged.load(Ordering::SeqCst);
        // One write may have been durable without its answer getting through.
        assert!(ones == known || ones == known + 1, "round {round}: {known} acknowledged, {ones} there");
        let counts = imported(&export);
        for import in 0..imports {
            assert_eq!(counts.get(&import), Some(&3000), "round {round}: import {import} was acknowledged");
        }
    }
    // Every place of her log that was told before a crash must be what it
    // was: a place used twice would fork the log, and the two would never agree.
    bob.wait_until("the same records", |bob| bob.export() == ada.export());
    bob.wait_until("in sync", |bob| {
        let space: Value = serde_json::from_str(&bob.run(&["--json", "space", "show", "garden"])).unwrap();
        space["sync"][0]["state"] == "in_sync"
    });
    for node in [&ada, &bob] {
        let store = node.check("store");
        assert_eq!(store["ok"], true, "the store is sound: {store}");
    }
    let ones = acknowledged.load(Ordering::SeqCst);
    eprintln!(
        "{ones} records acknowledged one by one, {imports} imports and {cut_imports} cut off, Bob got records in \
         {live_rounds} of {KILLS} rounds"
    );
    assert!(cut_imports > 0, "no kill hit an import");
    assert!(live_rounds >= KILLS / 2, "Bob got records in {live_rounds} rounds only");
    assert!(ones > KILLS as u64, "work was done between the kills");
}

fn spawn_quiet(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

//! Real processes on a LAN: this test binary again, in two network namespaces joined by a veth pair.
//! Without root or iproute2 the tests pass with a loud line on stderr.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use covey_net::{NetConfig, NetEvent, start};
use covey_types::DeviceSecret;
use tokio::io::AsyncReadExt;

/// Set in the processes that are nodes; `connect` to connect to whom they find.
const ROLE: &str = "COVEY_NET_TEST_NODE";

/// Not a test: what a node process runs. Prints `# EVENT DEVICE` lines until its input ends, and leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let secret = DeviceSecret::generate();
    println!("\n# me {}", secret.id());
    let (net, mut events) = start(NetConfig::new(secret)).unwrap();
    let mut stdin = tokio::io::stdin();
    let mut sink = [0; 16];
    loop {
        tokio::select! {
            event = events.recv() => match event.unwrap() {
                NetEvent::Discovered { device, addrs, generation, .. } => {
                    println!("\n# discovered {device} {}", generation.unwrap_or(0));
                    if role == "connect" {
                        let net = net.clone();
                        tokio::spawn(async move { net.connect(device, addrs).await });
                    }
                }
                NetEvent::Lost { device } => println!("\n# lost {device}"),
                NetEvent::Connected { device, .. } => println!("\n# connected {device}"),
                NetEvent::Disconnected { device, .. } => println!("\n# disconnected {device}"),
                NetEvent::InterfacesChanged => println!("\n# interfaces"),
                _ => {}
            },
            read = stdin.read(&mut sink) => match read.unwrap() {
                0 => break,
                _ => net.announce(7).await,
            },
        }
    }
    net.shutdown().await;
}

fn ip(args: &str) -> bool {
    let done = Command::new("ip").args(args.split_whitespace()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

/// Two namespaces, `a` and `b`, with 10.77.0.1 and .2 on `eth0`.
struct Lan {
    name: String,
}

impl Lan {
    fn new(name: &str) -> Option<Self> {
        let lan = Self { name: format!("cvn{}{name}", std::process::id()) };
        if !ip(&format!("netns add {}a", lan.name)) {
            eprintln!(
                "SKIPPED: network namespaces need root and iproute2; discovery on a LAN is NOT tested here"
            );
            return None;
        }
        let n = &lan.name;
        for command in [
            format!("netns add {n}b"),
            format!("link add eth0 netns {n}a type veth peer name eth0 netns {n}b"),
            format!("-n {n}a addr add 10.77.0.1/24 dev eth0"),
            format!("-n {n}b addr add 10.77.0.2/24 dev eth0"),
            format!("-n {n}a link set lo up"),
            format!("-n {n}b link set lo up"),
            format!("-n {n}a link set eth0 up"),
            format!("-n {n}b link set eth0 up"),
        ] {
            assert!(ip(&command), "ip {command}");
        }
        lan.settle();
        Some(lan)
    }

    /// The kernel takes up to a second to say that a new link is running.
    fn settle(&self) {
        let running = |side| {
            let arguments =
                ["-n", &format!("{}{side}", self.name), "link", "show", "eth0"].map(str::to_owned);
            let shown = Command::new("ip").args(arguments).output().unwrap().stdout;
            String::from_utf8_lossy(&shown).contains("state UP")
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while !(running('a') && running('b')) {
            assert!(Instant::now() < deadline, "the link comes up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn node(&self, side: char, role: &str) -> Node {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}{side}", self.name)]);
        command.arg(std::env::current_exe().unwrap()).args(["--exact", "node", "--nocapture"]);
        command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix("# ") {
                    let _ = sender.send(line.to_owned());
                }
            }
        });
        let stdin = process.stdin.take();
        let mut node = Node { process, stdin, lines, me: String::new() };
        node.me = node.told("me", Duration::from_secs(5));
        node
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for side in ['a', 'b'] {
            ip(&format!("netns del {}{side}", self.name));
        }
    }
}

struct Node {
    process: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    me: String,
}

impl Node {
    /// What follows `event` on its line, which must come in time.
    fn told(&self, event: &str, within: Duration) -> String {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line =
                self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no {event:?} within {within:?}"));
            if let Some(rest) = line.strip_prefix(event).and_then(|rest| rest.strip_prefix(' ')) {
                return rest.to_owned();
            }
        }
    }

    fn leave(&mut self) {
        self.stdin = None;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const SOON: Duration = Duration::from_secs(2);

#[test]
fn nodes_on_a_lan_find_each_other_and_see_a_goodbye_at_once() {
    let Some(lan) = Lan::new("f") else { return };
    let a = lan.node('a', "find");
    // The worst moment: a has just announced itself, and may not repeat it for a second.
    std::thread::sleep(Duration::from_millis(300));
    let mut b = lan.node('b', "find");
    assert_eq!(a.told("discovered", SOON), format!("{} 0", b.me));
    assert_eq!(b.told("discovered", SOON), format!("{} 0", a.me));
    std::io::Write::write_all(b.stdin.as_mut().unwrap(), b"announce\n").unwrap();
    assert_eq!(a.told("discovered", SOON), format!("{} 7", b.me));
    b.leave();
    assert_eq!(a.told("lost", Duration::from_millis(1500)), b.me);
}

#[test]
fn nodes_on_one_machine_find_each_other() {
    let Some(lan) = Lan::new("o") else { return };
    let first = lan.node('a', "find");
    let second = lan.node('a', "find");
    assert_eq!(first.told("discovered", SOON), format!("{} 0", second.me));
    assert_eq!(second.told("discovered", SOON), format!("{} 0", first.me));
}

#[test]
fn an_interface_that_comes_later_is_used() {
    let Some(lan) = Lan::new("i") else { return };
    let name = &lan.name;
    assert!(ip(&format!("-n {name}a link set eth0 down")));
    assert!(ip(&format!("-n {name}a addr del 10.77.0.1/24 dev eth0")));
    let (a, b) = (lan.node('a', "find"), lan.node('b', "find"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(ip(&format!("-n {name}a link set eth0 up")));
    assert!(ip(&format!("-n {name}a addr add 10.77.0.1/24 dev eth0")));
    let _ = a.told("discovered", 3 * SOON);
    assert_eq!(b.told("discovered", 3 * SOON), format!("{} 0", a.me));
}

/// Takes up to 14 s by nature: that is the promise.
#[test]
fn a_node_that_vanishes_is_disconnected_within_15_seconds() {
    let Some(lan) = Lan::new("v") else { return };
    let (a, b) = (lan.node('a', "connect"), lan.node('b', "connect"));
    assert_eq!(a.told("connected", 2 * SOON), b.me);
    assert_eq!(b.told("connected", 2 * SOON), a.me);
    drop(b); // killed, no goodbye
    let _ = a.told("disconnected", Duration::from_secs(15));
}

//! Real processes on a LAN: this test binary again, on the hosts of a [`Lan`].
//! Without root or iproute2 the tests pass with a loud line on stderr.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use covey_lab::{Ip, Lan};
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
    let mut config = NetConfig::new(secret);
    if role == "find-quickly" {
        config.mdns.announce_every = Duration::from_secs(3);
    }
    let (net, mut events) = start(config).unwrap();
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
                NetEvent::Connected { device, address, .. } => println!("\n# connected {device} {address}"),
                NetEvent::Disconnected { device, .. } => println!("\n# disconnected {device}"),
                NetEvent::Listening(address) => println!("\n# listening {address}"),
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

/// Starts a node on a host and waits until it has said who it is.
fn node_on(lan: &Lan, host: usize, role: &str) -> Node {
    let mut command = lan.command(host, std::env::current_exe().unwrap());
    command.args(["--exact", "node", "--nocapture"]);
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
    node.me = node.told("me", PATIENCE);
    node
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

/// For what is only a step: far more than it takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two seconds, and much room for a busy machine: without what is tested it would be half a minute and more.
const SOON: Duration = Duration::from_secs(7);

#[test]
fn nodes_on_a_lan_find_each_other_and_see_a_goodbye_at_once() {
    let Some(lan) = Lan::new(2).unwrap() else { return };
    let a = node_on(&lan, 0, "find");
    // The worst moment: a has just announced itself, and may not repeat it for a second.
    std::thread::sleep(Duration::from_millis(300));
    let mut b = node_on(&lan, 1, "find");
    assert_eq!(a.told("discovered", SOON), format!("{} 0", b.me));
    assert_eq!(b.told("discovered", SOON), format!("{} 0", a.me));
    std::io::Write::write_all(b.stdin.as_mut().unwrap(), b"announce\n").unwrap();
    assert_eq!(a.told("discovered", SOON), format!("{} 7", b.me));
    b.leave();
    // Within a fifth of a second; without the goodbye it would be a minute and more.
    assert_eq!(a.told("lost", SOON), b.me);
    b.process.wait().unwrap();
}

/// Both see each other, connect, and see each other leave, all over one version of IP.
fn a_lan_of_one_ip_version_is_enough(ip: Ip, network: &str) {
    let Some(lan) = Lan::speaking(ip, 2).unwrap() else { return };
    let (a, mut b) = (node_on(&lan, 0, "connect"), node_on(&lan, 1, "connect"));
    for (node, other) in [(&a, &b), (&b, &a)] {
        // In any order: the other may find this one first, and call.
        let (mut is_found, mut address) = (false, None);
        while !is_found || address.is_none() {
            let line = node.lines.recv_timeout(SOON).unwrap();
            is_found |= line == format!("discovered {} 0", other.me);
            let connected = line.strip_prefix(&format!("connected {} ", other.me));
            address = address.or_else(|| connected.map(str::to_owned));
        }
        let address = address.unwrap();
        assert!(address.starts_with(network) && address.ends_with("/quic-v1"), "{address}");
    }
    b.leave();
    // Who leaves within a second of its coming may not announce again by then that it is there, so that `bye` falls on
    // deaf ears where only a one-shot answer was heard so far; the plain goodbye is heard, a second later.
    assert_eq!(a.told("lost", SOON), b.me);
}

#[test]
fn without_ipv4_nodes_find_each_other_and_connect_by_quic() {
    a_lan_of_one_ip_version_is_enough(Ip::OnlyV6, "/ip6/fd77::");
}

#[test]
fn without_ipv6_nodes_find_each_other_and_connect_by_quic() {
    a_lan_of_one_ip_version_is_enough(Ip::OnlyV4, "/ip4/10.77.0.");
}

#[test]
fn nodes_on_one_machine_find_each_other() {
    let Some(lan) = Lan::new(1).unwrap() else { return };
    let first = node_on(&lan, 0, "find");
    let second = node_on(&lan, 0, "find");
    assert_eq!(first.told("discovered", SOON), format!("{} 0", second.me));
    assert_eq!(second.told("discovered", SOON), format!("{} 0", first.me));
}

#[test]
fn an_interface_that_comes_later_is_used() {
    for ip in [Ip::Usual, Ip::OnlyV6] {
        let Some(lan) = Lan::speaking(ip, 2).unwrap() else { return };
        lan.set_interface(0, false).unwrap();
        let (a, b) = (node_on(&lan, 0, "find"), node_on(&lan, 1, "find"));
        // On loopback, which is all there is.
        let _ = a.told("listening", PATIENCE);
        lan.set_interface(0, true).unwrap();
        let _ = a.told("discovered", SOON);
        assert_eq!(b.told("discovered", SOON), format!("{} 0", a.me));
    }
}

/// Takes up to 14 s by nature: that is the promise.
#[test]
fn a_node_that_vanishes_is_disconnected_within_15_seconds() {
    let Some(lan) = Lan::new(2).unwrap() else { return };
    let (a, b) = (node_on(&lan, 0, "connect"), node_on(&lan, 1, "connect"));
    assert!(a.told("connected", PATIENCE).starts_with(&b.me));
    assert!(b.told("connected", PATIENCE).starts_with(&a.me));
    drop(b); // killed, no goodbye
    // Five seconds more than promised, for a busy machine: the idle times without it are much longer.
    let _ = a.told("disconnected", Duration::from_secs(20));
}

/// At ten times the usual pace: 9 s stand for 90.
#[test]
fn an_unconnected_node_that_vanishes_is_lost_after_three_announcements_and_one_that_lives_is_not() {
    let Some(lan) = Lan::new(3).unwrap() else { return };
    let role = "find-quickly";
    let (a, b, c) = (node_on(&lan, 0, role), node_on(&lan, 1, role), node_on(&lan, 2, role));
    let found = [a.told("discovered", SOON), a.told("discovered", SOON)];
    assert!(found.contains(&format!("{} 0", b.me)) && found.contains(&format!("{} 0", c.me)));
    let (gone, began) = (b.me.clone(), Instant::now());
    drop(b); // killed, no goodbye
    // After 9 s, and much room for a busy machine: the records themselves live for 120 s.
    assert_eq!(a.told("lost", Duration::from_secs(20)), gone);
    // It announced itself when it started and at most once more since; the clock began after the start.
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
    let silence = Duration::from_secs(14).saturating_sub(began.elapsed());
    assert!(a.lines.recv_timeout(silence).is_err(), "nobody else is lost");
}

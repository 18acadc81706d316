//! A LAN on one machine, for tests and benchmarks: network namespaces joined by a bridge.
//!
//! Each [`Lan`] makes its own namespaces, under names that hold the process id, and removes them when it's
//! dropped. Nothing in them reaches the machine's own network. Linux with root and iproute2 is needed;
//! [`Lan::new`] says loudly when that's missing, so that a skipped test is seen.

use std::{
    io,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// The kernel takes up to a second to say that a new link is running.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it's asked meanwhile.
const SETTLE_INTERVAL: Duration = Duration::from_millis(20);

/// Which versions of IP a LAN speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip {
    /// IPv4, and of IPv6 what the kernel does by itself: link-local addresses.
    Usual,
    /// IPv4 alone; IPv6 is switched off.
    OnlyV4,
    /// IPv6 alone: a unique local address beside the link-local one, and no IPv4 anywhere, not even on loopback.
    OnlyV6,
}

impl Ip {
    /// The address of a host, with the length of the network's prefix.
    fn address(self, host: usize) -> String {
        let number = host + 1;
        match self {
            Self::Usual | Self::OnlyV4 => format!("10.77.0.{number}/24"),
            Self::OnlyV6 => format!("fd77::{number:x}/64"),
        }
    }
}

/// Hosts on a bridge; each has the interface `eth0` with the address `10.77.0.N` or `fd77::N`, counted from 1
/// (in the latter N is hexadecimal).
#[derive(Debug)]
pub struct Lan {
    name: String,
    hosts: usize,
    ip: Ip,
}

/// What could not be set up.
#[derive(Debug)]
pub struct LabError(String);

impl std::fmt::Display for LabError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LabError {}

fn run(args: &str) -> Result<(), LabError> {
    let said = |reason: String| LabError(format!("`ip {args}` failed: {reason}"));
    let done =
        Command::new("ip").args(args.split_whitespace()).output().map_err(|err| said(err.to_string()))?;
    if done.status.success() {
        Ok(())
    } else {
        Err(said(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
    }
}

impl Lan {
    /// A LAN of this many hosts; `None`, with a loud line on stderr, where namespaces can't be made.
    ///
    /// # Errors
    /// When the first namespace could be made and the rest could not.
    pub fn new(hosts: usize) -> Result<Option<Self>, LabError> {
        Self::speaking(Ip::Usual, hosts)
    }

    /// The same with a choice of IP versions.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn speaking(ip: Ip, hosts: usize) -> Result<Option<Self>, LabError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let lan = Self { name: format!("cvl{}-{number}", std::process::id()), hosts, ip };
        if let Err(err) = run(&format!("netns add {}", lan.switch())) {
            eprintln!(
                "SKIPPED: network namespaces need root and iproute2, so a LAN is NOT tested here ({err})"
            );
            return Ok(None);
        }
        let switch = lan.switch();
        run(&format!("-n {switch} link add lan type bridge"))?;
        run(&format!("-n {switch} link set lan up"))?;
        for host in 0..hosts {
            lan.plug_in(host)?;
        }
        for host in 0..hosts {
            lan.settle(host)?;
        }
        Ok(Some(lan))
    }

    /// Makes a host and its cable to the bridge.
    fn plug_in(&self, host: usize) -> Result<(), LabError> {
        let (namespace, switch) = (self.namespace(host), self.switch());
        run(&format!("netns add {namespace}"))?;
        run(&format!("link add eth0 netns {namespace} type veth peer name port{host} netns {switch}"))?;
        run(&format!("-n {switch} link set port{host} master lan up"))?;
        if self.ip == Ip::OnlyV4 {
            run(&format!("netns exec {namespace} sysctl -q -w net.ipv6.conf.all.disable_ipv6=1"))?;
        } else {
            // Nobody else can have the address: it is usable at once, not after a second of asking.
            run(&format!("netns exec {namespace} sysctl -q -w net.ipv6.conf.eth0.accept_dad=0"))?;
        }
        run(&format!("-n {namespace} link set lo up"))?;
        if self.ip == Ip::OnlyV6 {
            run(&format!("-n {namespace} addr del 127.0.0.1/8 dev lo"))?;
        }
        run(&format!("-n {namespace} addr add {} dev eth0", self.ip.address(host)))?;
        run(&format!("-n {namespace} link set eth0 up"))
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    /// The namespace of a host.
    pub fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }

    fn settle(&self, host: usize) -> Result<(), LabError> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while !self.is_running(host).map_err(|err| LabError(err.to_string()))? {
            if Instant::now() >= deadline {
                return Err(LabError(format!("the link of {} does not come up", self.namespace(host))));
            }
            std::thread::sleep(SETTLE_INTERVAL);
        }
        Ok(())
    }

    fn is_running(&self, host: usize) -> io::Result<bool> {
        let shown = Command::new("ip")
            .args(["-n", &self.namespace(host), "link", "show", "eth0"])
            .stdin(Stdio::null())
            .output()?;
        Ok(String::from_utf8_lossy(&shown.stdout).contains("state UP"))
    }

    /// A command that will run on a host.
    pub fn command(&self, host: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// Pulls the plug of a host, or puts it back.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn set_link(&self, host: usize, up: bool) -> Result<(), LabError> {
        let state = if up { "up" } else { "down" };
        run(&format!("-n {} link set port{host} {state}", self.switch()))?;
        if up { self.settle(host) } else { Ok(()) }
    }

    /// Takes the interface of a host down and its address away, or gives both back.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn set_interface(&self, host: usize, up: bool) -> Result<(), LabError> {
        let (namespace, address) = (self.namespace(host), self.ip.address(host));
        if up {
            run(&format!("-n {namespace} link set eth0 up"))?;
            run(&format!("-n {namespace} addr add {address} dev eth0"))
        } else {
            run(&format!("-n {namespace} addr del {address} dev eth0"))?;
            run(&format!("-n {namespace} link set eth0 down"))
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let hosts = (0..self.hosts).map(|host| self.namespace(host));
        for namespace in hosts.chain([self.switch()]) {
            // One that was never made can't be removed, and needn't be.
            let _ = run(&format!("netns del {namespace}"));
        }
    }
}

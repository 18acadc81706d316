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

/// Hosts on a bridge; each has the interface `eth0` with the address `10.77.0.N`, counted from 1.
#[derive(Debug)]
pub struct Lan {
    name: String,
    hosts: usize,
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

fn ip(args: &str) -> Result<(), LabError> {
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
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let lan = Self { name: format!("cvl{}-{number}", std::process::id()), hosts };
        if let Err(err) = ip(&format!("netns add {}", lan.switch())) {
            eprintln!(
                "SKIPPED: network namespaces need root and iproute2, so a LAN is NOT tested here ({err})"
            );
            return Ok(None);
        }
        let switch = lan.switch();
        ip(&format!("-n {switch} link add lan type bridge"))?;
        ip(&format!("-n {switch} link set lan up"))?;
        for host in 0..hosts {
            let namespace = lan.namespace(host);
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("link add eth0 netns {namespace} type veth peer name port{host} netns {switch}"))?;
            ip(&format!("-n {switch} link set port{host} master lan up"))?;
            ip(&format!("-n {namespace} addr add 10.77.0.{}/24 dev eth0", host + 1))?;
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} link set eth0 up"))?;
        }
        for host in 0..hosts {
            lan.settle(host)?;
        }
        Ok(Some(lan))
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
        ip(&format!("-n {} link set port{host} {state}", self.switch()))?;
        if up { self.settle(host) } else { Ok(()) }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let hosts = (0..self.hosts).map(|host| self.namespace(host));
        for namespace in hosts.chain([self.switch()]) {
            // One that was never made can't be removed, and needn't be.
            let _ = ip(&format!("netns del {namespace}"));
        }
    }
}

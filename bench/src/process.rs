//! The real `covey` as a process, and what the kernel tells of processes and namespaces.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of `/proc/PID/status`, KiB: `VmRSS` is what is in memory now, `VmHWM` the most that was.
pub(crate) fn memory_kib(pid: u32, field: &str) -> Result<f64> {
    let file = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("{file} has no {field}"))
}

/// What went out of this network namespace over IPv4 so far.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Traffic {
    /// Bytes of IP packets with their headers. One that the kernel sends in segments (UDP GSO) counts once.
    pub(crate) ip_bytes: f64,
    /// UDP datagrams, counted in the same way.
    pub(crate) datagrams: f64,
}

impl Traffic {
    /// An IPv4 header without options and a UDP header.
    const HEADERS: f64 = 28.0;

    /// Reads the kernel's counters.
    pub(crate) fn now() -> Result<Self> {
        Ok(Self {
            ip_bytes: counter("/proc/net/netstat", "IpExt:", "OutOctets")?,
            datagrams: counter("/proc/net/snmp", "Udp:", "OutDatagrams")?,
        })
    }

    /// What has come since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { ip_bytes: self.ip_bytes - before.ip_bytes, datagrams: self.datagrams - before.datagrams }
    }

    /// Bytes within the datagrams, which doesn't depend on how the kernel counts.
    pub(crate) fn payload(self) -> f64 {
        self.ip_bytes - Self::HEADERS * self.datagrams
    }
}

/// A value from a file of name lines and value lines that begin with the same word.
fn counter(file: &str, group: &str, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let found = names.split_whitespace().zip(values.split_whitespace()).find(|(known, _)| *known == name);
    found.and_then(|(_, value)| value.parse().ok()).with_context(|| format!("{file} has no {group} {name}"))
}

/// A home with its `covey`, which runs where the commands lead to.
pub(crate) struct Covey<C> {
    command: C,
    home: PathBuf,
    node: Option<Child>,
}

impl<C: Fn() -> Command> Covey<C> {
    /// One whose commands begin with what `command` gives: the program, in a namespace perhaps.
    pub(crate) fn new(home: &Path, command: C) -> Self {
        Self { command, home: home.to_owned(), node: None }
    }

    fn arguments(&self, arguments: &[&str]) -> Command {
        let mut command = (self.command)();
        command.arg("--home").arg(&self.home).arg("--json").args(arguments);
        command.env_remove("COVEY_HOME").stdin(Stdio::null());
        command
    }

    /// Starts the node; how long it took until it said that it's ready.
    pub(crate) fn up(&mut self, name: &str) -> Result<Duration> {
        self.up_with(name, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn up_with(&mut self, name: &str, more: &[&str]) -> Result<Duration> {
        let mut command = self.arguments(&["up", "--api", "127.0.0.1:0", "--name", name, "--device", name]);
        command.args(more);
        let started = Instant::now();
        let mut node = command.stdout(Stdio::piped()).spawn().context("cannot start covey")?;
        let out = node.stdout.take();
        self.node = Some(node);
        let mut line = String::new();
        BufReader::new(out.context("no standard output")?).read_line(&mut line)?;
        let took = started.elapsed();
        let ready: Value = serde_json::from_str(&line).with_context(|| format!("covey up said {line:?}"))?;
        ensure!(ready["event"] == "ready", "covey up said {line}");
        Ok(took)
    }

    /// Runs a command to its end; what it said.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Value> {
        let done = self.arguments(arguments).output().context("cannot start covey")?;
        if !done.status.success() {
            bail!("covey {arguments:?}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim());
        }
        serde_json::from_slice(&done.stdout).with_context(|| format!("covey {arguments:?} said no JSON"))
    }

    /// The running node's memory, MiB.
    pub(crate) fn rss_mib(&self) -> Result<f64> {
        let node = self.node.as_ref().context("no node is running")?;
        Ok(memory_kib(node.id(), "VmRSS")? / 1024.0)
    }

    /// Stops the node cleanly.
    pub(crate) fn down(&mut self) -> Result<()> {
        let Some(mut node) = self.node.take() else { return Ok(()) };
        let asked = kill_process(Pid::from_child(&node), Signal::TERM);
        if asked.is_err() {
            let _ = node.kill();
        }
        let status = node.wait()?;
        ensure!(status.success(), "covey up ended with {status}");
        Ok(())
    }
}

impl<C> Drop for Covey<C> {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

//! What the tests of the command line share: homes, running nodes, and requests as a stranger would make
//! them.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take that should take a moment; generous, because two nodes and a linker may
/// share two cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// For `up`: the network, on the loopback interface.
pub(crate) const QUIC: [&str; 4] = ["--network", "lan", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];

/// Asks until the answer is right: a command that shows has no way to wait.
pub(crate) fn until(home: &Home, args: &[&str], right: impl Fn(&Value) -> bool) -> Value {
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

/// A home folder and the commands that run on it.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// One in this folder.
    pub(crate) fn inside(folder: &Path) -> Self {
        Self { folder: tempfile::tempdir_in(folder).unwrap() }
    }

    /// The home itself, a folder that does not exist yet.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A file beside the home.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = bare(args);
        command.arg("--home").arg(self.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        output(&mut self.command(args))
    }

    /// Runs a command that must succeed; gives its stdout.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `--json` that must succeed; gives its one document.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// As [`Home::json`], for a command that may say that something is wrong.
    pub(crate) fn json_whatever(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    /// Runs a command that must fail with this exit code; gives its stderr.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        said
    }

    pub(crate) fn with_stdin(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut command = self.command(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that refuses its input closes it early; that's not this function's business.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        finish(child)
    }

    /// A node on its own.
    pub(crate) fn up(&self) -> Node<'_> {
        self.up_with(&["--network", "solo"])
    }

    pub(crate) fn up_with(&self, args: &[&str]) -> Node<'_> {
        self.up_with_env(args, &[])
    }

    /// The same, with something more in its environment.
    pub(crate) fn up_with_env(&self, args: &[&str], env: &[(&str, &str)]) -> Node<'_> {
        let args =
            [&["up", "--json", "--api", "127.0.0.1:0", "--name", "Ada", "--device", "laptop"], args].concat();
        let mut command = self.command(&args);
        let mut child = command.envs(env.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Lines::new(child.stdout.take().unwrap());
        let ready = lines.next_json();
        assert_eq!(ready["event"], "ready");
        Node { home: self, child, ready, lines }
    }
}

/// `covey` with nothing of this machine's environment that concerns it.
pub(crate) fn bare(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covey"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COVEY_") {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Lines of a process, with an end to patience.
pub(crate) struct Lines {
    queue: std::sync::mpsc::Receiver<String>,
}

impl Lines {
    pub(crate) fn new(stdout: ChildStdout) -> Self {
        let (send, queue) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { queue }
    }

    pub(crate) fn next(&mut self) -> String {
        self.queue.recv_timeout(PATIENCE).expect("a line in time")
    }

    pub(crate) fn next_json(&mut self) -> Value {
        let line = self.next();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The lines that are still to come until the process closes its stdout.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.queue.recv_timeout(PATIENCE).ok()).collect()
    }
}

/// A running `covey up`.
pub(crate) struct Node<'a> {
    pub(crate) home: &'a Home,
    pub(crate) child: Child,
    pub(crate) ready: Value,
    pub(crate) lines: Lines,
}

impl Node<'_> {
    pub(crate) fn address(&self) -> &str {
        self.ready["api"].as_str().unwrap().strip_prefix("http://").unwrap()
    }

    pub(crate) fn token(&self) -> String {
        api_file(&self.home.path())["token"].as_str().unwrap().to_owned()
    }

    /// An HTTP request as it stands: `head` without the final blank line.
    pub(crate) fn raw(&self, head: &str, body: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{}\r\n\r\n", head.trim().replace('\n', "\r\n"));
        stream.write_all(head.as_bytes()).unwrap();
        let mut reading = stream.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut answer = Vec::new();
            let _ = reading.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).into_owned()
        });
        // The node may answer and hang up before it has read everything.
        let _ = stream.write_all(body);
        Reply(reader.join().unwrap())
    }

    /// A request with the right token and host.
    pub(crate) fn request(&self, method: &str, path: &str, more: &str, body: &[u8]) -> Reply {
        let head = format!(
            "{method} {path} HTTP/1.1\nHost: {}\nAuthorization: Bearer {}\nConnection: close\nContent-Length: {}\n{more}",
            self.address(),
            self.token(),
            body.len()
        );
        self.raw(&head, body)
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        let status = wait(&mut self.child);
        assert!(!self.home.path().join("api.json").exists());
        status
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, within patience.
pub(crate) fn output(command: &mut Command) -> Output {
    finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Collects what a process has still to say; one that doesn't end is killed, and the test fails.
pub(crate) fn finish(child: Child) -> Output {
    let id = child.id().to_string();
    let (send, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || send.send(child.wait_with_output().unwrap()));
    ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let _ = Command::new("kill").arg("-KILL").arg(id).status();
        panic!("the process does not end");
    })
}

/// Waits for a process, within patience.
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(started.elapsed() < PATIENCE, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn api_file(home: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(home.join("api.json")).unwrap()).unwrap()
}

/// An HTTP answer as it stood.
pub(crate) struct Reply(pub(crate) String);

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {:?}", self.0)).parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        let mut pairs = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        pairs.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// Asserts that this is a problem document of this status; gives its detail.
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status(), status, "{}", self.0);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.0);
        let problem: Value = serde_json::from_str(self.body()).unwrap();
        assert_eq!(problem["status"], status);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// The contents of a file with a line for each number.
pub(crate) fn lines_of(numbers: std::ops::Range<u32>, line: impl Fn(u32) -> String) -> String {
    numbers.map(|n| line(n) + "\n").collect()
}

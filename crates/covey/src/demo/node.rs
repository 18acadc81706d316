//! One node of the demo: a process of this same program, and the client that talks to it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use clap::Parser;
use covey_api::dto::{ChangeDto, SpaceDto};
use futures::StreamExt;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::{
    args::Args,
    client::{Client, path},
    diag::Failure,
};

/// How long a node may take to say that it's ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a node that was asked to stop is waited for.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A running node. Its process is killed, and waited for, when this is dropped.
pub(super) struct DemoNode {
    pub(super) name: &'static str,
    pub(super) home: PathBuf,
    pub(super) client: Client,
    pub(super) web: String,
    pub(super) start_took: Duration,
    listen: Vec<String>,
    process: Process,
}

/// A process that is gone when this is: one that was only told to go could still write into the folder that
/// is removed next.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended by itself needs nothing.
        let _ = self.0.start_kill();
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The first line of `covey up --json`.
#[derive(Deserialize)]
struct Ready {
    web: String,
    listen: Vec<String>,
}

impl DemoNode {
    /// Starts a new node in a folder of its own, which connects to `others`.
    pub(super) async fn start(
        args: &Args,
        folder: &Path,
        name: &'static str,
        others: &[&Self],
    ) -> Result<Self, Failure> {
        Self::restart(args, &folder.join(name.to_lowercase()), name, others).await
    }

    /// Starts the node of a home that may be there already.
    pub(super) async fn restart(
        args: &Args,
        home: &Path,
        name: &'static str,
        others: &[&Self],
    ) -> Result<Self, Failure> {
        let failed = |what: &str| Failure::failed(format!("{name}'s node {what}"));
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed("this program could not find itself").because(error))?;
        let start = Instant::now();
        let mut command = Command::new(program);
        command.arg("--home").arg(home).args(["--json", "up", "--api", "127.0.0.1:0", "--name", name]);
        command.args(["--device", &format!("{name}'s laptop")]);
        command.args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--listen", "/ip4/127.0.0.1/tcp/0"]);
        for address in others.iter().flat_map(|other| &other.listen) {
            command.args(["--bootstrap", address]);
        }
        if args.verbose > 0 {
            command.arg(format!("-{}", "v".repeat(args.verbose.into())));
        }
        command.env_remove("COVEY_HOME").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = Process(command.spawn().map_err(|error| failed("could not start").because(error))?);
        let stdout = process.0.stdout.take().expect("its stdout is a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(READY_TIMEOUT, lines.next_line())
            .await
            .map_err(|_| failed(&format!("was not ready within {} s", READY_TIMEOUT.as_secs())))?
            .map_err(|error| failed("could not be listened to").because(error))?
            .ok_or_else(|| failed("stopped before it was ready; its own words are above"))?;
        let start_took = start.elapsed();
        let ready: Ready = serde_json::from_str(&line)
            .map_err(|error| failed("said something unexpected").because(error))?;
        let home_text = home.to_string_lossy();
        let client = Client::new(&Args::parse_from(["covey", "--home", &home_text, "status"]))?;
        Ok(Self {
            name,
            home: home.to_owned(),
            client,
            web: ready.web,
            start_took,
            listen: ready.listen,
            process,
        })
    }

    /// Kills the process at once; its home.
    pub(super) async fn kill(mut self) -> Result<PathBuf, Failure> {
        self.process
            .0
            .kill()
            .await
            .map_err(|error| Failure::failed(format!("{} could not be killed", self.name)).because(error))?;
        Ok(self.home)
    }

    /// Asks the process to stop, and waits for it.
    pub(super) async fn stop(mut self) {
        #[cfg(unix)]
        if let Some(pid) = self.process.0.id().and_then(|id| i32::try_from(id).ok()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                // One that is gone already needs no asking.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let _ = tokio::time::timeout(STOP_TIMEOUT, self.process.0.wait()).await;
        }
        let _ = self.process.0.kill().await;
    }

    /// How many records the garden has on this node.
    pub(super) async fn records(&self) -> Result<u64, Failure> {
        let space: SpaceDto = self.client.get(&path(&["spaces", "garden"])).await?;
        Ok(space.records)
    }

    /// Waits until the garden has this many.
    pub(super) async fn wait_for_records(&self, want: u64, patience: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + patience;
        loop {
            let have = self.records().await?;
            if have >= want {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Failure::failed(format!(
                    "{} has {have} of {want} records and gets no more",
                    self.name
                )));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Everything under a path, as bytes.
    pub(super) async fn export(&self, what: &str) -> Result<Vec<u8>, Failure> {
        super::collect(Box::pin(self.client.download(what).await?)).await
    }
}

/// Waits until a change of this record is told.
pub(super) async fn wait_for_change(
    socket: &mut WebSocketStream<TcpStream>,
    id: &str,
    patience: Duration,
) -> Result<(), Failure> {
    let wait = async {
        while let Some(message) = socket.next().await {
            let message = message
                .map_err(|error| Failure::failed("the live connection to a node failed").because(error))?;
            if let Message::Text(text) = message {
                let change: ChangeDto = serde_json::from_str(&text)
                    .map_err(|error| Failure::failed("a node told no change").because(error))?;
                if change.id == id {
                    return Ok(());
                }
            }
        }
        Err(Failure::failed("a node closed the live connection"))
    };
    match tokio::time::timeout(patience, wait).await {
        Ok(result) => result,
        Err(_) => {
            Err(Failure::failed(format!("the change of {id:?} was not seen within {} s", patience.as_secs())))
        }
    }
}

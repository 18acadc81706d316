//! A node in a process of its own, told what to do by lines of JSON on its standard input.
//!
//! One request, one reply, in turn. The node ends with its standard input, so that nothing is left behind
//! whatever becomes of the benchmark.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use covey_node::{Node, Role, Space, SyncState};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    nodes::{self, COLLECTION, PATIENCE, document, records},
    process::{self, Traffic},
    runtime,
};

/// Rows that are handed to the node at once; each such call makes ten entries.
const ROWS_PER_CALL: usize = 10_000;

/// How often it is looked whether all is in sync.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What the child is started with.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node's home
    #[arg(long)]
    home: PathBuf,
    /// Its user's name
    #[arg(long)]
    name: String,
    /// The IPv4 address it listens on
    #[arg(long)]
    address: String,
    /// Measures from its first connection to the last of so many changes
    #[arg(long, default_value_t = 0)]
    expect: usize,
}

/// What a node is told.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    /// Make the space.
    Create,
    /// Let somebody in.
    Invite,
    /// Get in.
    Join { link: String },
    /// Write many records, of four fields or two.
    Import { records: usize, wide: bool },
    /// Write records one at a time, many calls under way at once.
    PutMany { records: usize },
    /// Change a field of the first records.
    Change { records: usize },
    /// Tell how the return went that was asked for at the start.
    Returned,
    /// Write records one at a time, with a pause after each.
    Put { records: usize, pause: Duration },
    /// Wait until there are so many records, and nobody misses any.
    Settle { records: u64 },
    /// Tell what this namespace has sent.
    Traffic,
    /// Tell the most memory that was in use, KiB.
    Peak,
    /// Stop cleanly.
    Stop,
}

/// What a task took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Took {
    /// From the request to its end.
    pub(crate) seconds: f64,
    /// Records that are there now, or were written.
    pub(crate) records: u64,
}

/// A node's process, seen from the benchmark.
pub(crate) struct Remote {
    child: Child,
    requests: Option<ChildStdin>,
    replies: Lines<BufReader<ChildStdout>>,
}

impl Remote {
    /// Starts a node by this command, which is this program or leads to it (`ip netns exec`).
    pub(crate) fn start(command: Command, home: &Path, name: &str, address: &str) -> Result<Self> {
        Self::start_again(command, home, name, address, 0)
    }

    /// Starts a node that was away while so many changes were made; see [`Remote::returned`].
    pub(crate) fn start_again(
        mut command: Command,
        home: &Path,
        name: &str,
        address: &str,
        changes: usize,
    ) -> Result<Self> {
        command.args(["node", "--expect", &changes.to_string()]);
        command.args(["--name", name, "--address", address, "--home"]).arg(home);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = child.stdin.take();
        let replies = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(Self { child, requests, replies })
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.requests.as_mut().context("it was stopped")?.write_all(&line)?;
        let reply = self.replies.next().with_context(|| format!("the node ended during {request:?}"))??;
        let reply: Result<T, String> = serde_json::from_str(&reply)?;
        reply.map_err(anyhow::Error::msg).with_context(|| format!("{request:?} failed"))
    }

    /// Makes the space.
    pub(crate) fn create(&mut self) -> Result<()> {
        self.ask(&Request::Create)
    }

    /// A link into the space.
    pub(crate) fn invite(&mut self) -> Result<String> {
        self.ask(&Request::Invite)
    }

    /// Joins, and waits for the first full sync.
    pub(crate) fn join(&mut self, link: String) -> Result<Took> {
        self.ask(&Request::Join { link })
    }

    /// Writes many records as an import does.
    pub(crate) fn import(&mut self, records: usize) -> Result<Took> {
        self.ask(&Request::Import { records, wide: false })
    }

    /// Writes many records of four fields each.
    pub(crate) fn import_wide(&mut self, records: usize) -> Result<Took> {
        self.ask(&Request::Import { records, wide: true })
    }

    /// Writes records one at a time, each an entry of its own, with many calls under way.
    pub(crate) fn put_many(&mut self, records: usize) -> Result<Took> {
        self.ask(&Request::PutMany { records })
    }

    /// Changes a field of so many records.
    pub(crate) fn change(&mut self, records: usize) -> Result<Took> {
        self.ask(&Request::Change { records })
    }

    /// How many seconds it took until the changes were there for which it was started again: from when it was open, and from
    /// its first connection.
    pub(crate) fn returned(&mut self) -> Result<(f64, f64)> {
        self.ask(&Request::Returned)
    }

    /// Writes records one at a time.
    pub(crate) fn put(&mut self, records: usize, pause: Duration) -> Result<Took> {
        self.ask(&Request::Put { records, pause })
    }

    /// Waits until this many records are there and at the peer.
    pub(crate) fn settle(&mut self, records: u64) -> Result<Took> {
        self.ask(&Request::Settle { records })
    }

    /// What the node's namespace has sent so far.
    pub(crate) fn traffic(&mut self) -> Result<Traffic> {
        self.ask(&Request::Traffic)
    }

    /// The most memory it has used, MiB.
    pub(crate) fn peak_mib(&mut self) -> Result<f64> {
        Ok(self.ask::<f64>(&Request::Peak)? / 1024.0)
    }

    /// Stops it, and waits until its store is closed.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.ask::<()>(&Request::Stop)?;
        self.requests = None;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program, to be started again.
pub(crate) fn myself() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}

/// The child's side.
pub(crate) fn serve(args: &NodeArgs) -> Result<()> {
    let runtime = runtime()?;
    let node = runtime.block_on(Node::open(nodes::config(&args.home, &args.name, &args.address)))?;
    let returned = match args.expect {
        0 => None,
        changes => Some(runtime.block_on(nodes::see_return(&node, changes))?),
    };
    for line in std::io::stdin().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let stop = matches!(request, Request::Stop);
        let reply = runtime.block_on(answer(&node, request, returned)).map_err(|err| format!("{err:#}"));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&reply)?)?;
        out.flush()?;
        if stop {
            return Ok(());
        }
    }
    runtime.block_on(node.shutdown());
    Ok(())
}

async fn answer(
    node: &Node,
    request: Request,
    returned: Option<(Duration, Duration)>,
) -> Result<serde_json::Value> {
    let started = Instant::now();
    let took =
        |records: u64| serde_json::to_value(Took { seconds: started.elapsed().as_secs_f64(), records });
    Ok(match request {
        Request::Create => serde_json::to_value(node.create_space("garden").await.map(drop)?)?,
        Request::Invite => {
            let invitation = node.space("garden")?.invite(Role::Member, Duration::from_mins(10)).await?;
            serde_json::to_value(invitation.link)?
        }
        Request::Join { link } => took(node.join(&link, PATIENCE).await?.records)?,
        Request::Import { records, wide } => {
            let document = if wide { nodes::wide_document } else { document };
            took(import(&node.space("garden")?, document, records).await?)?
        }
        Request::PutMany { records } => took(put_many(&node.space("garden")?, records).await?)?,
        Request::Change { records } => took(change(&node.space("garden")?, records).await?)?,
        Request::Returned => {
            let (from_open, from_connection) = returned.context("it wasn't started to return")?;
            serde_json::to_value((from_open.as_secs_f64(), from_connection.as_secs_f64()))?
        }
        Request::Put { records, pause } => {
            let plants = node.space("garden")?.collection(COLLECTION)?;
            for n in 0..records {
                plants.put(None, &document(n)).await?;
                tokio::time::sleep(pause).await;
            }
            took(records as u64)?
        }
        Request::Settle { records } => {
            settle(&node.space("garden")?, records).await?;
            took(records)?
        }
        Request::Traffic => serde_json::to_value(Traffic::now()?)?,
        Request::Peak => serde_json::to_value(process::memory_kib(std::process::id(), "VmHWM")?)?,
        Request::Stop => serde_json::to_value(node.shutdown().await)?,
    })
}

/// Calls under way at once: as many as an application with many users has.
const PUTS_AT_ONCE: usize = 256;

async fn put_many(space: &Space, count: usize) -> Result<u64> {
    let plants = space.collection(COLLECTION)?;
    let mut puts = tokio::task::JoinSet::new();
    for n in 0..count {
        if puts.len() >= PUTS_AT_ONCE
            && let Some(put) = puts.join_next().await
        {
            put??;
        }
        let plants = plants.clone();
        puts.spawn(async move { plants.put(None, &document(n)).await });
    }
    while let Some(put) = puts.join_next().await {
        put??;
    }
    Ok(count as u64)
}

/// How often something was changed.
static CHANGES: AtomicU64 = AtomicU64::new(0);

async fn change(space: &Space, count: usize) -> Result<u64> {
    let plants = space.collection(COLLECTION)?;
    let first = plants.query(None, None, count).await?;
    // Another value each time, so that each time is a change.
    let bed = CHANGES.fetch_add(1, Ordering::Relaxed) + 1;
    let rows = first.into_iter().map(|(id, _)| (Some(id), format!(r#"{{"bed":-{bed}}}"#))).collect();
    Ok(plants.put_many(rows).await?.records)
}

async fn import(space: &Space, document: fn(usize) -> String, count: usize) -> Result<u64> {
    let plants = space.collection(COLLECTION)?;
    let mut done = 0;
    for first in (0..count).step_by(ROWS_PER_CALL) {
        let rows = nodes::rows_of(document, first, ROWS_PER_CALL.min(count - first));
        done += plants.put_many(rows).await?.records;
    }
    Ok(done)
}

async fn settle(space: &Space, wanted: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = space.status().await?;
        let in_sync =
            !status.sync.is_empty() && status.sync.iter().all(|peer| peer.state == SyncState::InSync);
        if in_sync && records(space).await? == wanted {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("not in sync with {wanted} records, but {status:?}");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

//! `make bench`: Covey's figures, each beside its limit or a peer that is measured in the same run.
//!
//! Prints a table, and writes it with all samples to `bench/report.json` in the target folder. A missed goal is
//! a line in the table, not a failure; what could not be measured is. Whatever needs two machines runs in network
//! namespaces (root and iproute2), the rest on loopback. Files are written below the target folder, not to
//! `/tmp`, which may be memory.
//!
//! | module | what it measures |
//! |---|---|
//! | `discovery`, `join` | two machines on a LAN: seen, and joined by code |
//! | `small` | a thousand records, live and after an absence |
//! | `bulk` | a million records imported, and synced to another process |
//! | `latency` | one record, from put to visible |
//! | `wire` | bytes per record |
//! | `commit` | one record put and committed, with a disk's flush and without |
//! | `singles` | a million records, each an entry of its own, synced |
//! | `returning` | ten changes to a million records, after an absence |
//! | `open` | a home with a log of ten million entries, opened |
//! | `crowd` | a hundred people who all write at once, in the simulator |
//! | `rivals` | the same records with other libraries |
//! | `chat` | a large channel, a message from socket to socket, many sockets |
//! | `web` | the page in a browser: bytes, until it's usable, a large channel |
//! | `footprint` | `covey up`: memory, start, size |
//! | `compaction` | the same records overwritten millions of times |
//! | `raw`, `sqlcipher` | the limits: a bare stream, a bare database |
//! | `nodes`, `remote`, `process` | nodes in this process, in others, and the real `covey` |
//! | `report`, `samples` | what was found |

mod bulk;
mod chat;
mod commit;
mod compaction;
mod crowd;
mod discovery;
mod footprint;
mod join;
mod latency;
mod nodes;
mod open;
mod process;
mod raw;
mod remote;
mod report;
mod returning;
mod rivals;
mod samples;
mod singles;
mod small;
mod sqlcipher;
mod web;
mod wire;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use report::{Figure, Report};

/// Covey's figures beside their limits
#[derive(Debug, Parser)]
#[command(name = "covey-bench", subcommand_negates_reqs = true)]
struct Args {
    /// Only this benchmark; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Small counts: shows that everything runs; the figures mean little
    #[arg(long)]
    quick: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program is when it has started itself.
#[derive(Debug, Subcommand)]
enum Role {
    /// A node that is told what to do on its standard input
    #[command(hide = true)]
    Node(remote::NodeArgs),
    /// A network that tells when it saw others
    #[command(hide = true)]
    Discover,
    /// Starts `covey up` again and again
    #[command(hide = true)]
    StartUp(footprint::StartUpArgs),
}

/// What a benchmark is given.
#[derive(Debug)]
struct Setting {
    /// Small counts only.
    quick: bool,
    /// An empty folder for this benchmark, removed after it.
    work: PathBuf,
    /// The real program, if it was built.
    covey: Option<PathBuf>,
}

impl Setting {
    /// `full`, or `quick` in a quick run.
    fn count(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

type Benchmark = fn(&Setting) -> Result<Vec<Figure>>;

const BENCHMARKS: [(&str, Benchmark); 17] = [
    ("raw", raw::run),
    ("discovery", discovery::run),
    ("join", join::run),
    ("small", small::run),
    ("latency", latency::run),
    ("wire", wire::run),
    ("footprint", footprint::run),
    ("chat", chat::run),
    ("web", web::run),
    ("bulk", bulk::run),
    ("compaction", compaction::run),
    ("commit", commit::run),
    ("returning", returning::run),
    ("singles", singles::run),
    ("open", open::run),
    ("crowd", crowd::run),
    ("rivals", rivals::run),
];

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let args = Args::parse();
    let done = match args.role {
        None => measure(&args),
        Some(Role::Node(args)) => remote::serve(&args).map(|()| true),
        Some(Role::Discover) => discovery::watch().map(|()| true),
        Some(Role::StartUp(args)) => footprint::start_up(&args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            eprintln!("covey-bench: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmarks; whether all of them could be run.
fn measure(args: &Args) -> Result<bool> {
    if let Some(name) = args.only.iter().find(|name| BENCHMARKS.iter().all(|(known, _)| known != name)) {
        let known: Vec<_> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        bail!("there is no benchmark {name:?}; there are {}", known.join(", "));
    }
    if cfg!(debug_assertions) {
        eprintln!("covey-bench: this is a debug build; its figures mean nothing");
    }
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let beside = program.parent().context("this program is in no folder")?;
    let target = beside.parent().context("this program is in no target folder")?;
    let folder = target.join("bench");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let covey = Some(beside.join("covey")).filter(|file| file.exists());
    if covey.is_none() {
        eprintln!("covey-bench: {} is missing; build it first: make build", beside.join("covey").display());
    }
    let mut report = Report::new(args.quick);
    let interrupted = interrupts()?;
    for (name, benchmark) in BENCHMARKS {
        if interrupted.load(Ordering::Relaxed) {
            bail!("interrupted; what was made has been removed");
        }
        if !args.only.is_empty() && !args.only.iter().any(|only| only == name) {
            continue;
        }
        eprintln!("{name} ...");
        let work = tempfile::Builder::new().prefix("work-").tempdir_in(&folder)?;
        let setting = Setting { quick: args.quick, work: work.path().to_owned(), covey: covey.clone() };
        report.take(name, benchmark(&setting));
    }
    let file = folder.join("report.json");
    report.write(&file)?;
    print!("{report}");
    println!("\nWith all samples: {}", file.display());
    Ok(report.is_complete())
}

/// Set when the program is told to stop. The benchmark that runs comes to its end, and so do its namespaces and files.
fn interrupts() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&interrupted);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut terminate = {
        let _context = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
                told.store(true, Ordering::Relaxed);
                eprintln!("covey-bench: stopping after this benchmark");
            }
        });
    });
    Ok(interrupted)
}

/// A runtime as the real program has it.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Runtime::new().context("cannot start tokio")
}

//! Plays many seeds: `cargo run -p covey-sim --release -- --seeds 10000`.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clap::Parser;
use covey_sim::{
    Options, Run,
    crowd::{self, Crowd},
    run,
};
use indicatif::{ProgressBar, ProgressStyle};

/// Clusters under virtual time, with everything going wrong.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds to play.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Play this one seed, and tell all that happens.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Keep the rows in the real store instead of the model: slower.
    #[arg(long)]
    real_store: bool,
    /// Have machines get lost for good, with what only they had, in all stories: otherwise in each fourth.
    #[arg(long)]
    losses: bool,
    /// Have somebody sign second histories with devices that were put out, in all stories: otherwise in each fourth.
    #[arg(long)]
    thieves: bool,
    /// In place of stories: so many people who all write at once. Prints what came of it as JSON.
    #[arg(long, value_name = "PEERS", conflicts_with_all = ["seeds", "seed"])]
    crowd: Option<usize>,
    /// What each of the crowd writes, entries.
    #[arg(long, default_value_t = 100, requires = "crowd")]
    entries: usize,
    /// With how many others each of the crowd is linked; an even number.
    #[arg(long, default_value_t = 8, requires = "crowd")]
    links: usize,
}

/// Plays a crowd, and prints what came of it.
fn gather(seed: u64, crowd: Crowd) -> anyhow::Result<()> {
    let found = crowd::play(seed, crowd).map_err(anyhow::Error::msg)?;
    let crowd::Found { entries, converged_ms, mean_bytes, most_bytes, flooding_bytes, least_bytes } = found;
    println!(
        r#"{{"entries":{entries},"converged_ms":{converged_ms},"mean_bytes":{mean_bytes},"most_bytes":{most_bytes},"flooding_bytes":{flooding_bytes},"least_bytes":{least_bytes}}}"#
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(peers) = args.crowd {
        return gather(args.first, Crowd { peers, entries: args.entries, links: args.links });
    }
    let options =
        Options { real_store: args.real_store, losses: args.losses, thieves: args.thieves, planted: None };
    if let Some(seed) = args.seed {
        let run = run(seed, options);
        run.log.iter().for_each(|line| println!("{line}"));
        return match run.failure {
            None => Ok(()),
            Some(reason) => {
                eprintln!("seed {seed}: {reason}");
                std::process::exit(1)
            }
        };
    }
    play_all(&args, options)
}

fn play_all(args: &Args, options: Options) -> anyhow::Result<()> {
    let began = Instant::now();
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(args.seeds) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left {msg}")?);
    let (next, failed) = (AtomicU64::new(args.first), Mutex::new(BTreeMap::new()));
    let (entries, longest) = (AtomicU64::new(0), AtomicU64::new(0));
    let (vacuous, under_way) = (AtomicU64::new(0), AtomicU64::new(0));
    let workers = std::thread::available_parallelism()?;
    std::thread::scope(|scope| {
        for _ in 0..workers.get() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= args.first + args.seeds {
                        return;
                    }
                    let options = options.mixed(seed);
                    let Run { failure, entries: held, settled_ms, most_under_way, vacuous: no_one, .. } =
                        run(seed, options);
                    vacuous.fetch_add(u64::from(no_one), Ordering::Relaxed);
                    under_way.fetch_max(most_under_way, Ordering::Relaxed);
                    entries.fetch_add(held, Ordering::Relaxed);
                    longest.fetch_max(settled_ms, Ordering::Relaxed);
                    if let Some(reason) = failure {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, (options, reason));
                        bar.set_message("- some failed");
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = began.elapsed().as_secs_f64();
    let per_second = f64::from(u32::try_from(args.seeds).unwrap_or(u32::MAX)) / seconds;
    println!(
        "{} seeds in {seconds:.1} s ({per_second:.0}/s): {} failed; {} entries in all; the slowest took {} virtual ms to agree; \
         in {} nobody was left to agree; at most {} bytes were under way in a session",
        args.seeds,
        failed.len(),
        entries.load(Ordering::Relaxed),
        longest.load(Ordering::Relaxed),
        vacuous.load(Ordering::Relaxed),
        under_way.load(Ordering::Relaxed),
    );
    for (seed, (options, reason)) in failed.iter().take(20) {
        println!("seed {seed}{}: {}", options.flags(), reason.lines().next().unwrap_or_default());
    }
    if let Some((seed, (options, _))) = failed.first_key_value() {
        eprintln!("look at one with: cargo run -p covey-sim --release -- --seed {seed}{}", options.flags());
        std::process::exit(1);
    }
    Ok(())
}

//! Makes corpora and fixtures, and feeds targets without a fuzzer.

use std::{env, fs, time::Instant};

use anyhow::{Context, bail};
use covey_fuzz::{TARGETS, Target, corpus, mutate::mutate, target};

const USAGE: &str = "\
covey-fuzz list                          the targets
covey-fuzz seeds                         makes the seeds in fuzz/corpus anew
covey-fuzz fixtures                      makes the fixtures that are missing
covey-fuzz run TARGET FILE...            feeds these files
covey-fuzz loop TARGET|all COUNT [SEED]  feeds so many mutations of the corpus";

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["list"] => TARGETS.iter().for_each(|target| println!("{}", target.name)),
        ["seeds"] => seeds()?,
        #[cfg(feature = "edges")]
        ["fixtures"] => covey_fuzz::fixtures::make()?,
        ["run", name, ref files @ ..] => {
            for file in files {
                (find(name)?.run)(&fs::read(file).with_context(|| format!("read {file}"))?);
            }
        }
        ["loop", name, count] => endless(name, count.parse()?, fastrand::u64(..))?,
        ["loop", name, count, seed] => endless(name, count.parse()?, seed.parse()?)?,
        _ => bail!("{USAGE}"),
    }
    Ok(())
}

fn find(name: &str) -> anyhow::Result<&'static Target> {
    target(name).with_context(|| format!("there is no target {name}; see covey-fuzz list"))
}

fn seeds() -> anyhow::Result<()> {
    for target in TARGETS {
        let made =
            corpus::write_seeds(target).with_context(|| format!("make the seeds of {}", target.name))?;
        println!("{:>4}  {}", made, target.name);
    }
    Ok(())
}

fn endless(name: &str, count: u64, seed: u64) -> anyhow::Result<()> {
    let targets: Vec<&Target> = if name == "all" { TARGETS.iter().collect() } else { vec![find(name)?] };
    for target in targets {
        let inputs: Vec<Vec<u8>> = corpus::read(target)?.into_iter().map(|(_, input)| input).collect();
        let mut rng = fastrand::Rng::with_seed(seed);
        let start = Instant::now();
        for _ in 0..count {
            let input = mutate(&mut rng, &inputs);
            Latest(target, &input).feed();
        }
        println!(
            "{:>20}  {count} inputs in {:.1} s, seed {seed}",
            target.name,
            start.elapsed().as_secs_f64()
        );
    }
    Ok(())
}

/// Prints its input if feeding it panics.
struct Latest<'a>(&'a Target, &'a [u8]);

impl Latest<'_> {
    fn feed(&self) {
        (self.0.run)(self.1);
    }
}

impl Drop for Latest<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.1.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{} fails with {} bytes: {hex}", self.0.name, self.1.len());
        }
    }
}

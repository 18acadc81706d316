//! What was found: figures with their peers and goals, as a table and as JSON.

use std::{fmt, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::samples::Samples;

/// The shape of the JSON; a change that breaks its readers raises it.
const FORMAT: u32 = 1;

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
enum Goal {
    Below(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::Below(limit) => value < limit,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(limit) => write!(f, "< {}", short(*limit)),
            Self::AtLeast(least) => write!(f, ">= {}", short(*least)),
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    peer: Option<(String, f64)>,
    goal: Option<Goal>,
    samples: Vec<f64>,
}

impl Figure {
    /// A figure without anything beside it.
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, peer: None, goal: None, samples: Vec::new() }
    }

    /// Its limit or peer, measured in the same run, in the same unit.
    pub(crate) fn beside(mut self, what: impl Into<String>, value: f64) -> Self {
        self.peer = Some((what.into(), value));
        self
    }

    /// It should be less than this.
    pub(crate) fn below(mut self, limit: f64) -> Self {
        self.goal = Some(Goal::Below(limit));
        self
    }

    /// It should be this or more.
    pub(crate) fn at_least(mut self, least: f64) -> Self {
        self.goal = Some(Goal::AtLeast(least));
        self
    }

    /// What it was made of.
    pub(crate) fn sampled(mut self, samples: &Samples) -> Self {
        self.samples = samples.all().to_vec();
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|(_, peer)| self.value / peer)
    }

    fn is_met(&self) -> Option<bool> {
        self.goal.map(|goal| goal.is_met(self.value))
    }

    fn cells(&self) -> [String; 7] {
        let beside = |(what, value): &(String, f64)| format!("{}  {what}", short(*value));
        let met = self.is_met().map(|met| if met { "met" } else { "MISSED" });
        [
            self.what.clone(),
            short(self.value),
            self.unit.to_owned(),
            self.peer.as_ref().map(beside).unwrap_or_default(),
            self.ratio().map(|ratio| format!("{}x", short(ratio))).unwrap_or_default(),
            self.goal.map(|goal| goal.to_string()).unwrap_or_default(),
            met.unwrap_or_default().to_owned(),
        ]
    }

    fn json(&self) -> Value {
        let peer = self.peer.as_ref().map(|(what, value)| json!({"what": what, "value": value}));
        json!({
            "what": self.what, "value": self.value, "unit": self.unit, "peer": peer, "ratio": self.ratio(),
            "goal": self.goal.map(|goal| goal.to_string()), "met": self.is_met(), "samples": self.samples,
        })
    }
}

/// Three digits that say something, and no more.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// All that was found.
#[derive(Debug)]
pub(crate) struct Report {
    quick: bool,
    cores: usize,
    load_before: f64,
    figures: Vec<(&'static str, Figure)>,
    skipped: Vec<&'static str>,
    failed: Vec<(&'static str, String)>,
}

/// How many processes wanted to run in the last minute, on average.
fn load() -> f64 {
    let told = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    told.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// Of the cores, how much may be in use before the figures are in doubt.
const QUIET: f64 = 0.5;

impl Report {
    /// An empty one, that notes how busy the machine is.
    pub(crate) fn new(quick: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (figures, skipped, failed) = (Vec::new(), Vec::new(), Vec::new());
        Self { quick, cores, load_before: load(), figures, skipped, failed }
    }

    /// Takes in what a benchmark found; nothing means that this machine doesn't have what it needs.
    pub(crate) fn take(&mut self, benchmark: &'static str, found: Result<Vec<Figure>>) {
        match found {
            Ok(figures) if figures.is_empty() => self.skipped.push(benchmark),
            Ok(figures) => self.figures.extend(figures.into_iter().map(|figure| (benchmark, figure))),
            Err(err) => {
                eprintln!("{benchmark}: FAILED: {err:#}");
                self.failed.push((benchmark, format!("{err:#}")));
            }
        }
    }

    /// Whether every benchmark came to its end.
    pub(crate) fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// Writes everything as JSON.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let line = |(benchmark, figure): &(&str, Figure)| {
            let mut value = figure.json();
            value["benchmark"] = json!(benchmark);
            value
        };
        let report = json!({
            "format": FORMAT,
            "version": env!("CARGO_PKG_VERSION"),
            "quick": self.quick,
            "machine": {
                "cores": self.cores,
                "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
                "load_before": self.load_before,
                "load_after": load(),
            },
            "skipped": self.skipped,
            "figures": self.figures.iter().map(line).collect::<Vec<_>>(),
            "failed": self.failed.iter().map(|(name, why)| json!({"benchmark": name, "reason": why})).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

const HEAD: [&str; 7] = ["what", "figure", "unit", "beside, in the same run", "ratio", "goal", ""];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.figures.iter().map(|(_, figure)| figure.cells()));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 7] = std::array::from_fn(width);
        for row in &rows {
            let [what, figure, unit, peer, ratio, goal, met] = row;
            let [w0, w1, w2, w3, w4, w5, _] = widths;
            let line =
                format!("{what:w0$}  {figure:>w1$} {unit:w2$}  {peer:w3$}  {ratio:>w4$}  {goal:w5$}  {met}");
            writeln!(f, "{}", line.trim_end())?;
        }
        for (name, why) in &self.failed {
            writeln!(f, "{name}: FAILED: {why}")?;
        }
        for name in &self.skipped {
            writeln!(f, "{name}: SKIPPED: network namespaces need root and iproute2")?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few cores")]
        let quiet = self.load_before <= QUIET * self.cores as f64;
        if !quiet {
            let (cores, load) = (self.cores, self.load_before);
            writeln!(
                f,
                "The machine was busy with other things: load {load} on {cores} cores at the start."
            )?;
        }
        if self.quick {
            writeln!(f, "A quick run: the counts are too small for figures that mean something.")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_ratio_and_whether_the_goal_was_met() {
        let figure = Figure::new("latency", 12.0, "ms").beside("ping", 3.0).below(10.0);
        assert_eq!(figure.cells()[4..], ["4.00x", "< 10.0", "MISSED"]);
        let figure = Figure::new("import", 100_000.0, "records/s").at_least(100_000.0);
        assert_eq!(figure.cells()[4..], ["", ">= 100000", "met"]);
        assert_eq!(figure.json()["met"], true);
    }

    #[test]
    fn a_benchmark_that_failed_is_told_and_the_others_stay() {
        let mut report = Report::new(false);
        report.take("one", Ok(vec![Figure::new("size", 1.0, "MiB")]));
        report.take("two", Err(anyhow::anyhow!("no room")));
        assert!(!report.is_complete());
        let text = report.to_string();
        assert!(text.contains("size") && text.contains("two: FAILED: no room"), "{text}");
    }
}

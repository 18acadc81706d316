//! `cargo xtask tidy`: all checks of the repository, one after the other.
//!
//! | check | fails when |
//! |---|---|
//! | [`edges`] | a crate depends on one that the table doesn't allow, or a pure one on a library that does I/O |
//! | [`purity`] | a pure crate uses files, sockets, threads or clocks of the standard library |
//! | [`links`] | a Markdown file points to a file or a heading that isn't there |
//! | [`module_docs`] | a Rust file does not begin by saying what it is |
//! | [`architecture`] | ARCHITECTURE.md lacks a crate or a row of the table of edges |
//! | [`promises`] | docs/traps.md names a test that isn't there |
//! | [`lengths`] | never; prints the longest files and functions |

use std::{env, fmt, path::Path, process::Command, process::ExitCode};

use serde_json::Value;

use crate::{architecture, edges, lengths, links, module_docs, promises, purity, tree::Tree};

/// Something that breaks a rule: where, and what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    place: String,
    what: String,
}

impl Problem {
    /// In a file or a crate as a whole.
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    /// On one line of a file, counted from 1.
    pub(crate) fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), what)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Runs every check on the repository at `root` and prints what they found.
pub(crate) fn run(root: &Path) -> ExitCode {
    let outcome = metadata(root).and_then(|metadata| {
        let tree =
            Tree::read(root).map_err(|err| format!("reading the files under {}: {err}", root.display()))?;
        Ok((tree, metadata))
    });
    let (tree, metadata) = match outcome {
        Ok(read) => read,
        Err(reason) => {
            eprintln!("tidy: {reason}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", lengths::report(&tree));
    let problems = check(&tree, &metadata);
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        println!("tidy: all checks passed");
        return ExitCode::SUCCESS;
    }
    println!("tidy: {} to mend", problems.len());
    ExitCode::FAILURE
}

fn check(tree: &Tree, metadata: &Value) -> Vec<Problem> {
    [
        edges::check(metadata),
        purity::check(tree),
        links::check(tree),
        module_docs::check(tree),
        architecture::check(tree, metadata),
        promises::check(tree),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What cargo knows of the workspace and all its dependencies.
fn metadata(root: &Path) -> Result<Value, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .map_err(|err| format!("starting cargo metadata: {err}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|err| format!("reading cargo metadata's answer: {err}"))
}

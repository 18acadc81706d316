//! `cargo xtask`: checks that neither the compiler nor clippy makes.
//!
//! `cargo xtask tidy` fails when one of the repository's own rules is broken (see [`tidy`]). It needs
//! nothing but `cargo metadata` and the files as they lie in the working tree.

mod architecture;
mod edges;
mod lengths;
mod links;
mod module_docs;
mod promises;
mod purity;
mod source;
mod tidy;
mod tree;

use std::{env, path::PathBuf, process::ExitCode};

const USAGE: &str = "usage: cargo xtask tidy

tidy    check crate edges, purity, links in documents, module docs and ARCHITECTURE.md;
        print the longest files and functions";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => tidy::run(&repository()),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The root of the repository. Cargo names this crate's folder when it runs the binary; the value is
/// not compiled in, because a build cache may outlive the clone it was made for.
fn repository() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), |own| PathBuf::from(own).join(".."))
}

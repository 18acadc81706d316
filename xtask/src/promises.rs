//! Tests that documents name as promises: each must be there, under that name.

use std::collections::BTreeSet;

use crate::{tidy::Problem, tree::Tree};

/// The document that lists traps and the tests against them.
const TRAPS: &str = "docs/traps.md";

/// Every test that the document names and no Rust file has.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let known: BTreeSet<&str> = tree.files(".rs").flat_map(|(_, text)| functions(text)).collect();
    let documents = tree.files(".md").filter(|(path, _)| *path == TRAPS);
    let lines = documents.flat_map(|(_, text)| (1..).zip(text.lines()));
    let missing = lines.flat_map(|(line, text)| named(text).map(move |name| (line, name)));
    let missing = missing.filter(|(_, name)| !known.contains(name));
    missing.map(|(line, name)| Problem::at(TRAPS, line, format!("no test is called {name}"))).collect()
}

/// The names of functions that a text defines.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (_, name) =
            line.trim_start().split_once("fn ").filter(|(before, _)| !before.contains(['"', '/']))?;
        name.split(|c: char| !is_of_name(c)).next()
    })
}

/// What stands in backquotes in a line and looks like a test's name: words with underscores between.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains('_') && text.chars().all(is_of_name))
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_named_and_not_there_is_reported_with_its_line() {
        let tree = Tree::of(&[
            (TRAPS, "# Traps\n\n| a trap | `it_holds`, `it_is_gone` and `crates/x_y/z.rs` |\n"),
            ("crates/a/tests/a.rs", "#[test]\nfn it_holds() {}\n// fn it_is_gone() {}\n"),
            ("README.md", "`nothing_here_is_a_promise`"),
        ]);
        assert_eq!(check(&tree), [Problem::at(TRAPS, 3, "no test is called it_is_gone")]);
    }

    #[test]
    fn tests_are_found_whether_or_not_they_wait_and_in_modules() {
        let text = "    async fn one() {\n        pub(crate) fn two<T>(x: T) {\n";
        assert_eq!(functions(text).collect::<Vec<_>>(), ["one", "two"]);
    }
}

//! Every Rust file begins by saying what it is: a `//!` head.

use crate::{tidy::Problem, tree::Tree};

/// A head shorter than this many characters says nothing.
const SHORTEST_HEAD: usize = 12;

/// Every Rust file of the tree that has no head.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    tree.files(".rs")
        .filter(|(_, text)| !has_head(text))
        .map(|(path, _)| Problem::at(path, 1, "does not begin with a `//!` head that says what it is"))
        .collect()
}

/// Whether a head comes before anything but attributes of the file.
fn has_head(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("#!"))
        .and_then(|line| line.strip_prefix("//!"))
        .is_some_and(|head| head.trim().chars().count() >= SHORTEST_HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_first_and_says_something() {
        for good in ["//! What this file is for.\n", "\n#![no_std]\n\n//! What this file is for.\nuse x;"] {
            assert!(has_head(good), "{good}");
        }
        for bad in
            ["", "use x;\n//! Too late for a head.", "// Not a doc comment at all.", "//! x\n", "//!\n"]
        {
            assert!(!has_head(bad), "{bad}");
        }
    }

    #[test]
    fn a_file_without_one_is_named() {
        let tree = Tree::of(&[("a.rs", "fn f() {}"), ("b.rs", "//! What b is for."), ("c.md", "# C")]);
        assert_eq!(
            check(&tree).iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["a.rs:1: does not begin with a `//!` head that says what it is"]
        );
    }
}

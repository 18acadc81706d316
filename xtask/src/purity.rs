//! Pure crates touch neither files, sockets nor clocks: their sources are searched for the ways there.
//!
//! Dependencies are [`crate::edges`]'s concern; this is about the standard library. Only `src/` is
//! searched: tests in `tests/` may read fixtures.

use crate::{edges, source, source::Token, tidy::Problem, tree::Tree};

/// Paths that lead out of a pure crate, and what to do instead.
const FORBIDDEN: [(&[&str], &str); 6] = [
    (&["std", "net"], "addresses and bytes come in as arguments"),
    (&["std", "fs"], "bytes come in as arguments"),
    (&["std", "thread"], "the caller decides what runs where"),
    (&["SystemTime"], "time comes in as an argument"),
    (&["Instant", "now"], "time comes in as an argument"),
    (&["tokio"], "the caller drives this crate"),
];

/// Every use of a forbidden path in a pure crate of this tree.
pub(crate) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.files(".rs").filter(|(path, _)| is_pure(path)) {
        let code = source::code_only(text);
        for (used, line) in paths(&source::tokens(&code)) {
            if let Some((forbidden, instead)) =
                FORBIDDEN.iter().find(|(forbidden, _)| leads_to(&used, forbidden))
            {
                let what = format!("a pure crate does not use {}: {instead}", forbidden.join("::"));
                problems.push(Problem::at(path, line, what));
            }
        }
    }
    // A grouped import names the same module once per item.
    problems.dedup();
    problems
}

fn is_pure(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates")
        && parts.next().and_then(edges::row).is_some_and(|row| row.pure)
        && parts.next() == Some("src")
}

/// Roots are looked for at the start of a path, types anywhere in it: they may have been imported.
fn leads_to(used: &[&str], forbidden: &[&str]) -> bool {
    let is_type = forbidden[0].starts_with(char::is_uppercase);
    if is_type {
        return used.windows(forbidden.len()).any(|part| part == forbidden);
    }
    match used.split_last() {
        Some((&"*", start)) => forbidden.starts_with(start) || start.starts_with(forbidden),
        _ => used.starts_with(forbidden),
    }
}

/// The paths in this code, those of grouped imports spelled out, each with its line.
fn paths<'a>(tokens: &[Token<'a>]) -> Vec<(Vec<&'a str>, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" {
            at = import(tokens, at + 1, &[], &mut found);
        } else if tokens[at].is_word() {
            let line = tokens[at].line;
            let mut path = vec![tokens[at].text];
            while let [colons, next, ..] = tokens.get(at + 1..).unwrap_or_default()
                && colons.text == "::"
                && next.is_word()
            {
                path.push(next.text);
                at += 2;
            }
            found.push((path, line));
            at += 1;
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one import tree from `at`, and says where it ends.
fn import<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    prefix: &[&'a str],
    found: &mut Vec<(Vec<&'a str>, usize)>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.text {
            "::" => {}
            "as" => at += 1,
            "{" => loop {
                at = import(tokens, at + 1, &path, found);
                if tokens.get(at).is_none_or(|token| token.text != ",") {
                    return at + 1;
                }
            },
            "*" => path.push("*"),
            _ if token.is_word() => path.push(token.text),
            _ => break,
        }
        at += 1;
    }
    if path.len() > prefix.len() {
        found.push((path, tokens[at - 1].line));
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str) -> Vec<String> {
        let tree = Tree::of(&[("crates/covey-log/src/lib.rs", code)]);
        check(&tree).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_way_to_files_sockets_and_clocks_is_found() {
        for code in [
            "use std::fs;",
            "use std::fs::File;",
            "use std::{fmt, net::{IpAddr, Ipv4Addr}};",
            "use std::{collections::BTreeMap, time::{Duration, SystemTime}};",
            "use ::std::fs;",
            "use std::*;",
            "use std::fs::*;",
            "fn f() { std::fs::read(\"x\"); }",
            "fn f() { time::SystemTime::now(); }",
            "fn f() { Instant::now(); }",
            "fn f() { std::thread::spawn(f); }",
            "#[tokio::test]\nasync fn f() {}",
            "use tokio as t;",
        ] {
            assert_eq!(found(code).len(), 1, "{code}: {:?}", found(code));
        }
    }

    #[test]
    fn what_only_looks_alike_passes() {
        for code in [
            "//! Never uses std::fs or tokio.",
            "const NAME: &str = \"std::net\";",
            "use std::{fmt, time::{Duration, Instant}};",
            "fn f(net: u8, fs: u8, now: Instant) { crate::net::f(); my::std::fs(); }",
            "use crate::fs::{self, read};",
            "use std::collections::*;",
        ] {
            assert_eq!(found(code), [""; 0], "{code}");
        }
    }

    #[test]
    fn the_place_and_the_way_out_are_named() {
        assert_eq!(
            found("//! Head.\n\nuse std::{\n    fmt,\n    fs,\n};"),
            ["crates/covey-log/src/lib.rs:5: a pure crate does not use std::fs: bytes come in as arguments"]
        );
    }

    #[test]
    fn only_the_sources_of_pure_crates_are_held_to_it() {
        let code = "use std::fs;";
        for path in
            ["crates/covey-store/src/lib.rs", "crates/covey-log/tests/fixtures.rs", "xtask/src/tree.rs"]
        {
            assert!(check(&Tree::of(&[(path, code)])).is_empty(), "{path}");
        }
    }
}

//! The longest files and functions: shown, never failed. A reader judges whether there is a seam.

use std::fmt::Write;

use crate::{source, source::Token, tree::Tree};

/// How many of each are shown.
const SHOWN: usize = 10;

/// One function: how long it is, and where.
#[derive(Debug, PartialEq, Eq)]
struct Function<'a> {
    lines: usize,
    name: &'a str,
    first_line: usize,
}

/// Both lists, ready to print.
pub(crate) fn report(tree: &Tree) -> String {
    let mut files = Vec::new();
    let mut functions = Vec::new();
    for (path, text) in tree.files(".rs") {
        let code = source::code_only(text);
        files.push((code_lines(&code), path.to_owned()));
        for function in functions_in(&source::tokens(&code)) {
            functions.push((function.lines, format!("{path}:{} {}", function.first_line, function.name)));
        }
    }
    let mut out = String::new();
    list(&mut out, "longest files (lines of code, without comments and blanks)", files);
    list(&mut out, "longest functions (lines)", functions);
    out
}

fn list(out: &mut String, title: &str, mut rows: Vec<(usize, String)>) {
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let _ = writeln!(out, "{title}");
    for (lines, what) in rows.iter().take(SHOWN) {
        let _ = writeln!(out, "{lines:>6}  {what}");
    }
}

fn code_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Every function that has a body; one that stands in another is counted in both.
fn functions_in<'a>(tokens: &[Token<'a>]) -> Vec<Function<'a>> {
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        // `fn(` is a type.
        if pair[0].text != "fn" || pair[1].text == "(" {
            continue;
        }
        if let Some(last_line) = end_of_body(&tokens[at..]) {
            let first_line = pair[0].line;
            found.push(Function { lines: last_line - first_line + 1, name: pair[1].text, first_line });
        }
    }
    found
}

/// The line of the brace that closes the function's body; `None` if it has none.
fn end_of_body(tokens: &[Token<'_>]) -> Option<usize> {
    let (mut brackets, mut braces) = (0usize, 0usize);
    for token in tokens {
        match token.text {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            "{" => braces += 1,
            "}" => {
                braces = braces.checked_sub(1)?;
                if braces == 0 && brackets == 0 {
                    return Some(token.line);
                }
            }
            ";" if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(code: &str) -> Vec<(String, usize)> {
        let code = source::code_only(code);
        functions_in(&source::tokens(&code)).iter().map(|f| (f.name.to_owned(), f.lines)).collect()
    }

    #[test]
    fn a_function_is_counted_from_its_name_to_its_last_brace() {
        let code = "fn one() {}\n\nfn three(x: [u8; 4])\nwhere u8: Copy {\n    let s = \"}\"; // }\n}\n";
        assert_eq!(lengths(code), [("one".into(), 1), ("three".into(), 4)]);
    }

    #[test]
    fn what_has_no_body_is_no_function() {
        assert_eq!(
            lengths("trait T { fn f(&self); }\ntype F = fn(u8) -> u8;\nfn g() { let h: fn() = x; }"),
            [("g".into(), 1)]
        );
    }

    #[test]
    fn an_inner_function_is_counted_too() {
        assert_eq!(
            lengths("fn outer() {\n    fn inner() {\n    }\n}"),
            [("outer".into(), 4), ("inner".into(), 2)]
        );
    }

    #[test]
    fn the_longest_come_first_and_comments_do_not_count() {
        let long = format!("//! Head.\n{}", "const A: u8 = 1;\n".repeat(30));
        let tree = Tree::of(&[("short.rs", "fn f() {}\n// c\n\n"), ("long.rs", &long)]);
        let report = report(&tree);
        let rows: Vec<&str> = report.lines().map(str::trim).collect();
        assert_eq!(rows[1..3], ["30  long.rs", "1  short.rs"]);
        assert_eq!(rows[4..], ["1  short.rs:1 f"]);
    }

    #[test]
    fn no_more_than_ten_are_shown() {
        let many = "fn f() {}\n".repeat(20);
        assert_eq!(report(&Tree::of(&[("a.rs", &many)])).lines().count(), 1 + 1 + 1 + SHOWN);
    }
}

//! Just enough of Rust's lexical grammar to look at code without its comments and literals.
//!
//! [`code_only`] keeps every line where it was, so that a place in its answer is a place in the file.

/// The same text with comments, strings and characters turned into spaces.
pub(crate) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = at + opaque_length(text, at);
        if end > at {
            out.extend(text[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            let length = text[at..].chars().next().map_or(1, char::len_utf8);
            // An identifier is taken whole: the `r` of `for"` does not start a raw string.
            let word = text[at..].bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
            let end = at + length.max(word);
            out.push_str(&text[at..end]);
            at = end;
        }
    }
    out
}

/// How long the comment or literal that starts at `at` is; 0 if none does.
fn opaque_length(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        block_comment(rest)
    } else if rest.starts_with('\'') {
        character(rest)
    } else {
        string(rest)
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        let step = rest.as_bytes().get(at..at + 2).unwrap_or_default();
        match step {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// A character literal, or 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            // What follows the backslash may itself be a quote.
            chars.next();
            chars.find(|(_, c)| *c == '\'').map_or(rest.len(), |(at, _)| at + 1)
        }
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// A plain, byte, C or raw string, or a byte character; 0 if none of these starts here.
fn string(rest: &str) -> usize {
    let prefix = rest.bytes().take_while(|b| matches!(b, b'b' | b'c' | b'r')).count();
    if prefix > 2 {
        return 0;
    }
    let (kind, body) = rest.split_at(prefix);
    let hashes = body.bytes().take_while(|b| *b == b'#').count();
    let quoted = &body[hashes..];
    if kind.ends_with('r') && quoted.starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        let end = quoted[1..].find(&close).map_or(quoted.len(), |at| at + 1 + close.len());
        return prefix + hashes + end;
    }
    if hashes == 0 && quoted.starts_with('"') {
        return prefix + plain_string(quoted);
    }
    if kind == "b" && quoted.starts_with('\'') { prefix + character(quoted) } else { 0 }
}

fn plain_string(quoted: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    quoted.len()
}

/// A word or a mark of the code, and the line it stands on (from 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// An identifier, `::`, or one character of punctuation.
    pub(crate) text: &'a str,
    /// Counted from 1.
    pub(crate) line: usize,
}

impl Token<'_> {
    /// Whether this is an identifier, a keyword or a number.
    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// The tokens of what [`code_only`] left.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (text, after) = rest.split_at(length);
            found.push(Token { text, line: index + 1 });
            rest = after.trim_start();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let code = code_only(text);
        tokens(&code).iter().map(|token| token.text.to_owned()).collect()
    }

    #[test]
    fn comments_and_literals_leave_only_blanks() {
        for hidden in [
            "// fs {",
            "/* fs /* { */ still */",
            "\"fs { \\\" {\"",
            "r#\"fs \" {\"#",
            "br\"fs\\\"",
            "b'{'",
            "'{'",
            "'\\''",
            "'\\u{7b}'",
            "c\"fs\"",
        ] {
            assert_eq!(words(&format!("a {hidden}\nb")), ["a", "b"], "{hidden}");
        }
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        assert_eq!(
            words("fn f<'a>(x: &'a str)"),
            ["fn", "f", "<", "'", "a", ">", "(", "x", ":", "&", "'", "a", "str", ")"]
        );
        assert_eq!(words("r#type"), ["r", "#", "type"]);
        assert_eq!(words("for \"x\" bar\"y\" z"), ["for", "bar", "z"]);
    }

    #[test]
    fn lines_stay_where_they_were() {
        let code = code_only("a /* é\n\n */ \"x\ny\" b");
        assert_eq!(tokens(&code).last(), Some(&Token { text: "b", line: 4 }));
    }

    #[test]
    fn an_end_in_the_middle_of_a_literal_is_the_end() {
        for cut in ["\"open", "/* open", "r#\"open\"", "'\\", "'", "b'", "// open"] {
            assert_eq!(words(cut).iter().filter(|word| *word == "open").count(), 0, "{cut}");
        }
    }
}

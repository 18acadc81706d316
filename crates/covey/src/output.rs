//! What goes to stdout and stderr, and how it looks.
//!
//! Names and documents come from other people's devices: control characters and direction marks in them are
//! made visible, so that nobody's data can move our cursor, change our colours or turn our lines around. In
//! JSON they are escaped, which leaves its value as it is.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::diag::Failure;

/// The few meanings that have a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A heading.
    Strong,
    /// All is well.
    Good,
    /// Needs a look.
    Look,
    /// Refused, lost or failed.
    Bad,
    /// Said quietly.
    Soft,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Strong => "1",
            Self::Good => "32",
            Self::Look => "33",
            Self::Bad => "31",
            Self::Soft => "2",
        }
    }
}

/// Where output goes and what form it has.
#[derive(Debug)]
pub(crate) struct Out {
    json: bool,
    quiet: bool,
    colors: Colors,
}

/// Which of the two streams may have colours.
#[derive(Debug)]
struct Colors {
    stdout: bool,
    stderr: bool,
}

impl Out {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colors = Colors {
            stdout: wanted && !json && io::stdout().is_terminal(),
            stderr: wanted && io::stderr().is_terminal(),
        };
        Self { json, quiet, colors }
    }

    /// Whether `--json` was given.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether progress may be drawn: on a terminal, unless `--quiet`.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether stdout is a person's terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Whether stdout is a terminal, whatever the form of the output.
    #[expect(clippy::unused_self, reason = "all output goes through Out")]
    pub(crate) fn reaches_a_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether stdout may have colours.
    pub(crate) fn has_color(&self) -> bool {
        self.colors.stdout
    }

    /// `text` in a colour, when stdout has any.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.colors.stdout, tone, text)
    }

    /// `text` in a colour, when stderr has any.
    pub(crate) fn paint_err(&self, tone: Tone, text: &str) -> String {
        paint(self.colors.stderr, tone, text)
    }

    /// One line on stdout.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Bytes on stdout, at once.
    #[expect(clippy::unused_self, reason = "all output goes through Out")]
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::output)
    }

    /// One JSON document on a line of stdout.
    pub(crate) fn document<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(value).expect("these types can be written as JSON");
        self.line(&json_visible(&text))
    }

    /// A line on stderr: errors and what belongs to them.
    #[expect(clippy::unused_self, reason = "all output goes through Out")]
    pub(crate) fn note(&self, text: &str) {
        // Nobody is left to be told when stderr is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A question on stderr, whose answer is typed behind it.
    #[expect(clippy::unused_self, reason = "all output goes through Out")]
    pub(crate) fn ask(&self, question: &str) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{question} ").and_then(|()| stderr.flush());
    }

    /// Whether hints are printed: unless `--quiet` or `--json`.
    pub(crate) fn shows_hints(&self) -> bool {
        !self.quiet && !self.json
    }

    /// A hint on stderr, unless `--quiet` or `--json`.
    pub(crate) fn hint(&self, text: &str) {
        if self.shows_hints() {
            self.note(text);
        }
    }

    /// A table: aligned columns, two spaces apart, under a quiet heading.
    pub(crate) fn table(&self, head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let widths = widths(head, rows);
        let cells: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
        let mut text = self.paint(Tone::Soft, &row(&cells, &widths));
        for cells in rows {
            text.push('\n');
            text.push_str(&row(cells, &widths));
        }
        self.line(&text)
    }
}

fn paint(color: bool, tone: Tone, text: &str) -> String {
    if color { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_owned() }
}

fn widths(head: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(visible(cell).width());
        }
    }
    widths
}

fn row(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::from(" ");
    for (cell, width) in cells.iter().zip(widths) {
        let cell = visible(cell);
        line.push(' ');
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + 1));
    }
    line.truncate(line.trim_end().len());
    line
}

/// `text` with control characters and invisible direction marks made visible.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.contains(is_hidden) { text.replace(is_hidden, "\u{fffd}").into() } else { text.into() }
}

/// The same for a text of several lines: the line breaks stay, and later lines are set in, so that they
/// can't pass for lines of ours.
pub(crate) fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n  ")
}

/// JSON of the same value in which no character can steer a terminal: those that could are written as
/// escapes. In valid JSON they stand inside strings, but for line breaks and tabs between the tokens.
pub(crate) fn json_visible(json: &str) -> Cow<'_, str> {
    if !json.contains(is_hidden) {
        return json.into();
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => out.push(' '),
            // All of them are in the first plane, so that one escape is enough.
            c if is_hidden(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.into()
}

/// Whether a character does something to a terminal instead of being shown: the controls of ASCII and of
/// Latin-1, and Unicode's direction marks.
fn is_hidden(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_also_with_wide_letters() {
        let rows = vec![vec!["豆".to_owned(), "1".to_owned()], vec!["bean".to_owned(), "22".to_owned()]];
        let widths = widths(&["NAME", "N"], &rows);
        assert_eq!(row(&rows[0], &widths), "  豆    1");
        assert_eq!(row(&rows[1], &widths), "  bean  22");
    }

    #[test]
    fn a_name_can_not_steer_the_terminal() {
        assert_eq!(visible("\x1b[2Jmallory\n"), "\u{fffd}[2Jmallory\u{fffd}");
        assert!(matches!(visible("Ada"), Cow::Borrowed("Ada")));
        assert_eq!(visible_lines("no\u{9b}2J\nhint: run this"), "no\u{fffd}2J\n  hint: run this");
    }

    #[test]
    fn json_can_not_steer_the_terminal_and_keeps_its_value() {
        let value =
            serde_json::json!({"a\u{9b}b": ["\u{202e}x\u{7f}", "\u{61c}\u{1b}[2J", "\r\n"], "é": "豆😀"});
        for text in [value.to_string(), format!("{value:#}"), value.to_string().replace(',', ",\r\n")] {
            let shown = json_visible(&text);
            assert!(!shown.contains(|c| is_hidden(c) && c != '\n'), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
        assert!(matches!(json_visible("{\"é\":1}"), Cow::Borrowed(_)));
    }
}

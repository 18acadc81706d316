//! What the fuzz targets may feed.

use crate::ndjson::{self, Lines};

/// The rows of an import that comes in these pieces, up to the first line that is none.
pub fn import_lines<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    id_field: Option<&str>,
) -> Vec<(Option<String>, String)> {
    let (mut lines, mut rows) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.push(piece);
        while let Some(line) = lines.next_line() {
            match line.map(|line| ndjson::parse_row(&line, id_field)) {
                Ok(Ok(row)) => rows.extend(row),
                _ => return rows,
            }
        }
    }
    let last = lines.last_line().map(|line| ndjson::parse_row(&line, id_field));
    rows.extend(last.and_then(Result::ok).flatten());
    rows
}

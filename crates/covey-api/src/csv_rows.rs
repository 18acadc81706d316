//! CSV into lines of JSON, as an import takes them: done by the client, for a node takes JSON alone.
//!
//! The first row names the fields. A cell that is a JSON number or boolean becomes one, an empty cell is an absent field,
//! everything else is a text. What isn't UTF-8, or has more or fewer cells than there are fields, is an error that says where.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use crate::limits::MAX_LINE_BYTES;

/// What is read from the source at once.
const READ_BYTES: usize = 256 << 10;

/// Longest row, as CSV. One quote that isn't closed makes a single row of all the rest: of a file of any size, and in memory. A row
/// that becomes a line that a node takes is shorter, however it is quoted.
const MAX_ROW_BYTES: usize = 2 * MAX_LINE_BYTES;

/// A source that ends in an error when too much was read of it since it was last said to be fine.
struct Bounded<R> {
    source: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            let why =
                format!("a row is longer than {MAX_ROW_BYTES} bytes: is there a quote that is not closed?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let most = buffer.len().min(left);
        let read = self.source.read(&mut buffer[..most])?;
        self.left.set(left - read);
        Ok(read)
    }
}

/// The rows of a CSV file, as lines of JSON.
pub struct CsvRows<R> {
    rows: csv::Reader<Bounded<BufReader<R>>>,
    /// What may still be read before the row under way is too long.
    left: Rc<Cell<usize>>,
    fields: csv::StringRecord,
    row: csv::StringRecord,
}

impl<R> std::fmt::Debug for CsvRows<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvRows").field("fields", &self.fields).finish_non_exhaustive()
    }
}

impl<R: Read> CsvRows<R> {
    /// Reads the names of the fields.
    ///
    /// # Errors
    /// The source's; one that says where the CSV is wrong.
    pub fn new(source: R) -> io::Result<Self> {
        // A spreadsheet's byte order mark would else become part of the first field's name.
        let mut source = BufReader::with_capacity(READ_BYTES, source);
        if source.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            source.consume(3);
        }
        let left = Rc::new(Cell::new(MAX_ROW_BYTES));
        let mut rows = csv::Reader::from_reader(Bounded { source, left: Rc::clone(&left) });
        let fields = rows.headers().map_err(io::Error::other)?.clone();
        Ok(Self { rows, left, fields, row: csv::StringRecord::new() })
    }

    /// How many bytes are used up.
    pub fn position(&self) -> u64 {
        self.rows.position().byte()
    }

    /// Writes the next row as a line; whether there was one.
    ///
    /// # Errors
    /// The source's; one that says where the CSV is wrong.
    pub fn push_next(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        self.left.set(MAX_ROW_BYTES);
        if !self.rows.read_record(&mut self.row).map_err(io::Error::other)? {
            return Ok(false);
        }
        push_row(out, &self.fields, &self.row);
        Ok(true)
    }
}

/// A row as a JSON object on a line.
fn push_row(out: &mut Vec<u8>, fields: &csv::StringRecord, row: &csv::StringRecord) {
    let mut first = true;
    out.push(b'{');
    for (name, cell) in fields.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        push_text(out, name);
        out.push(b':');
        if is_json_scalar(cell) {
            out.extend_from_slice(cell.as_bytes());
        } else {
            push_text(out, cell);
        }
    }
    out.extend_from_slice(b"}\n");
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text can be written to memory as JSON");
}

/// Whether a cell is a number or a boolean as JSON writes them: `007` and `1,5` are not.
fn is_json_scalar(cell: &str) -> bool {
    match cell.as_bytes() {
        b"true" | b"false" => true,
        [b'-' | b'0'..=b'9', ..] => {
            !cell.ends_with(char::is_whitespace) && serde_json::from_str::<serde_json::Number>(cell).is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_numbers_are_numbers() {
        for cell in ["0", "-1", "1.5", "1e5", "12345678901234567890"] {
            assert!(is_json_scalar(cell), "{cell}");
        }
        for cell in ["", "007", "1,5", "1 ", " 1", "+1", "-", "NaN", "0x1", "2026-01-01", "1.", "null"] {
            assert!(!is_json_scalar(cell), "{cell}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_ends_in_an_error_and_not_in_all_of_the_memory() {
        let endless = "name\nbean\n\"pea".as_bytes().chain(io::repeat(b'x'));
        let mut rows = CsvRows::new(endless).unwrap();
        let mut out = Vec::new();
        assert!(rows.push_next(&mut out).unwrap());
        let error = rows.push_next(&mut out).unwrap_err();
        assert!(error.to_string().contains("a quote that is not closed"), "{error}");
        assert_eq!(out, b"{\"name\":\"bean\"}\n");
        assert!(CsvRows::new(io::repeat(b'"')).is_err(), "nor in the names");
    }

    #[test]
    fn many_rows_are_no_long_row() {
        let text = format!("name\n{}", "bean\n".repeat(MAX_ROW_BYTES / 4));
        let mut rows = CsvRows::new(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        let mut count = 0;
        while rows.push_next(&mut out).unwrap() {
            count += 1;
        }
        assert_eq!(count, MAX_ROW_BYTES / 4);
    }
}

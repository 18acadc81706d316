//! Lines of JSON into rows, at the speed of a bulk import.
//!
//! A line is a document, or `{"id":TEXT,"doc":{...}}` and nothing else in it, which is what an export
//! writes. Documents are checked and cut out as they stand, never re-encoded.

use std::{borrow::Cow, fmt};

use bytes::BytesMut;
use covey_types::limits::{MAX_RECORD_BYTES, MAX_RECORD_ID_BYTES};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::limits::MAX_LINE_BYTES;

/// A record's id, when it has one, and its document as JSON text.
pub(crate) type Row = (Option<String>, String);

/// A line longer than [`MAX_LINE_BYTES`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line is longer than the limit of {MAX_LINE_BYTES} bytes")]
pub(crate) struct LineTooLong;

/// Cuts a stream of bytes into lines, and counts them.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// This much of the buffer has no line end in it.
    searched: usize,
    count: u64,
}

impl Lines {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The number of the line that was given last, counted from 1.
    pub(crate) fn number(&self) -> u64 {
        self.count
    }

    /// The next whole line, without its end; `None` when more bytes are needed.
    pub(crate) fn next_line(&mut self) -> Option<Result<BytesMut, LineTooLong>> {
        let Some(found) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            if self.searched <= MAX_LINE_BYTES {
                return None;
            }
            self.count += 1;
            return Some(Err(LineTooLong));
        };
        let line = self.buffer.split_to(self.searched + found + 1);
        self.searched = 0;
        self.count += 1;
        Some(if line.len() > MAX_LINE_BYTES + 1 { Err(LineTooLong) } else { Ok(line) })
    }

    /// What stands after the last line end, when the stream has ended.
    pub(crate) fn last_line(&mut self) -> Option<BytesMut> {
        self.searched = 0;
        if self.buffer.is_empty() {
            return None;
        }
        self.count += 1;
        Some(self.buffer.split())
    }
}

/// Why a line is no row.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error("not UTF-8")]
    NotText,
    #[error("{}", describe(.0))]
    Malformed(serde_json::Error),
    #[error("there is no field {0:?} to take the id from")]
    NoId(String),
    #[error(
        "the field {field:?} can't be an id: it must be a text of 1 to {MAX_RECORD_ID_BYTES} bytes, or a number"
    )]
    BadId { field: String },
    #[error("the document of {0} bytes is longer than the limit of {MAX_RECORD_BYTES} bytes")]
    TooLarge(usize),
}

impl RowError {
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge(_))
    }
}

/// The parser counts lines within the line; only its column means something to the reader.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("column {}: {what}", error.column())
}

/// The row that a line holds; `None` for a blank line.
pub(crate) fn parse_row(line: &[u8], id_field: Option<&str>) -> Result<Option<Row>, RowError> {
    let line = std::str::from_utf8(line).map_err(|_| RowError::NotText)?.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let mut parser = serde_json::Deserializer::from_str(line);
    let found = parser
        .deserialize_map(Finder { id_field })
        .and_then(|found| parser.end().map(|()| found))
        .map_err(RowError::Malformed)?;
    let (id, doc) = match (found.wrapped(), id_field) {
        (Some((id, doc)), _) => (Some(text_id("id", id)?), doc),
        (None, None) => (None, line),
        (None, Some(field)) => {
            let id = found.named.ok_or_else(|| RowError::NoId(field.to_owned()))?;
            (Some(text_id(field, id)?), line)
        }
    };
    if doc.len() > MAX_RECORD_BYTES {
        return Err(RowError::TooLarge(doc.len()));
    }
    Ok(Some((id, doc.to_owned())))
}

fn text_id(field: &str, raw: &RawValue) -> Result<String, RowError> {
    let bad = || RowError::BadId { field: field.to_owned() };
    let id = match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw.get()).map_err(|_| bad())?,
        Some(b'0'..=b'9' | b'-') => raw.get().to_owned(),
        _ => return Err(bad()),
    };
    if id.is_empty() || id.len() > MAX_RECORD_ID_BYTES || id.contains(char::is_control) {
        return Err(bad());
    }
    Ok(id)
}

/// What of an object decides which kind of line it is.
#[derive(Default)]
struct Found<'a> {
    fields: usize,
    id: Option<&'a RawValue>,
    doc: Option<&'a RawValue>,
    named: Option<&'a RawValue>,
}

impl<'a> Found<'a> {
    /// Id and document if this is a line as an export writes it.
    fn wrapped(&self) -> Option<(&'a RawValue, &'a str)> {
        let (id, doc) = (self.id?, self.doc?.get());
        (self.fields == 2 && id.get().starts_with('"') && doc.starts_with('{')).then_some((id, doc))
    }
}

struct Finder<'f> {
    id_field: Option<&'f str>,
}

/// A field's name, borrowed unless it holds escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Finder<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::default();
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            let value: &'de RawValue = map.next_value()?;
            found.fields += 1;
            match &*name {
                "id" => found.id = Some(value),
                "doc" => found.doc = Some(value),
                _ => {}
            }
            if self.id_field == Some(&*name) {
                found.named = Some(value);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(line: &str, id_field: Option<&str>) -> Result<Option<Row>, String> {
        parse_row(line.as_bytes(), id_field).map_err(|error| error.to_string())
    }

    #[test]
    fn a_plain_object_is_a_document() {
        assert_eq!(row(r#"{"name":"bean"}"#, None), Ok(Some((None, r#"{"name":"bean"}"#.into()))));
        assert_eq!(row("  \r\n", None), Ok(None));
    }

    #[test]
    fn a_line_of_an_export_is_unwrapped_and_nothing_else_is() {
        let (id, doc) = row(r#"{"id":"a","doc":{"x":1}}"#, None).unwrap().unwrap();
        assert_eq!((id.as_deref(), doc.as_str()), (Some("a"), r#"{"x":1}"#));
        for line in [r#"{"id":"a","doc":{},"more":1}"#, r#"{"id":1,"doc":{}}"#, r#"{"id":"a","doc":"b"}"#] {
            assert_eq!(row(line, None), Ok(Some((None, line.into()))));
        }
    }

    #[test]
    fn an_id_comes_from_a_text_or_a_number() {
        let id = |line, field| row(line, Some(field)).map(|row| row.unwrap().0.unwrap());
        assert_eq!(id(r#"{"key":"b\u00e9b\u00e9"}"#, "key"), Ok("bébé".into()));
        assert_eq!(id(r#"{"key":17}"#, "key"), Ok("17".into()));
        assert!(id(r#"{"key":""}"#, "key").unwrap_err().contains("1 to 256"));
        assert!(id(r#"{"key":null}"#, "key").is_err());
        assert_eq!(id("{}", "key"), Err("there is no field \"key\" to take the id from".into()));
    }

    #[test]
    fn a_malformed_line_says_where() {
        assert_eq!(row(r#"{"a":1,}"#, None), Err("column 8: trailing comma".into()));
        assert!(row(r#"{"a":1} x"#, None).is_err());
        assert!(row("[1]", None).unwrap_err().contains("expected a JSON object"));
        assert!(row(r#"{"a":tru}"#, None).is_err());
        assert!(parse_row(b"{\"a\":\"\xff\"}", None).is_err());
    }

    #[test]
    fn a_line_without_end_is_not_collected_for_ever() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MAX_LINE_BYTES]);
        assert!(lines.next_line().is_none());
        lines.push(b"xx");
        assert_eq!(lines.next_line().unwrap().unwrap_err(), LineTooLong);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_stream_is_cut(
            text in "[a-z\n]{0,60}",
            cuts in prop::collection::vec(1usize..9, 0..40),
        ) {
            let mut lines = Lines::default();
            let mut rest = text.as_bytes();
            let mut got = Vec::new();
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (chunk, tail) = rest.split_at(cut.min(rest.len()));
                rest = tail;
                lines.push(chunk);
                while let Some(line) = lines.next_line() {
                    got.push(line.unwrap().to_vec());
                }
            }
            got.extend(lines.last_line().map(|line| line.to_vec()));
            let want: Vec<Vec<u8>> = text.split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(lines.number(), want.len() as u64);
            prop_assert_eq!(got, want);
        }

        #[test]
        fn hostile_lines_never_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_row(&line, Some("id"));
        }
    }
}

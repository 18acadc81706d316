//! What counts as a value: JSON text that every reader can turn into a document again.
//!
//! Values are carried, merged and stored as text, never as a tree. So that no text gets in that a
//! later reader chokes on, a value must be complete JSON, its numbers must fit `f64`, its escapes must
//! be whole characters, and it must not be nested deeper than [`MAX_VALUE_DEPTH`]. It has no white
//! space between its parts, so that equal values mostly are equal bytes.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of one value. Documents and answers wrap values a few levels deeper, and common
/// JSON parsers stop at 128.
pub const MAX_VALUE_DEPTH: usize = 64;

/// A text that isn't a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Not JSON, or outside the bounds above.
    #[error("not a JSON value: {0}")]
    NotJson(String),
    /// There is white space between its parts.
    #[error("a JSON value with white space between its parts")]
    NotCompact,
}

/// Accepts a value in compact form.
pub fn check(text: &str) -> Result<(), ValueError> {
    parse(text)?;
    if has_space(text) { Err(ValueError::NotCompact) } else { Ok(()) }
}

/// The compact form of a value.
pub fn compact(text: &str) -> Result<Cow<'_, str>, ValueError> {
    parse(text)?;
    if !has_space(text) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    out.extend(
        outside_strings(text).filter(|&(byte, outside)| !(outside && is_space(byte))).map(|(byte, _)| byte),
    );
    String::from_utf8(out).map(Cow::Owned).map_err(|err| ValueError::NotJson(err.to_string()))
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0'..='\x1f' => {
                use fmt::Write;
                let _infallible = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn parse(text: &str) -> Result<(), ValueError> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let complete =
        Checked { levels_left: MAX_VALUE_DEPTH }.deserialize(&mut parser).and_then(|()| parser.end());
    complete.map_err(|err| ValueError::NotJson(err.to_string()))
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn has_space(text: &str) -> bool {
    // Most values have no white space at all, and those are told apart at the speed of a scan.
    text.bytes().any(is_space) && outside_strings(text).any(|(byte, outside)| outside && is_space(byte))
}

/// The bytes of valid JSON, each with whether it stands outside strings.
fn outside_strings(text: &str) -> impl Iterator<Item = (u8, bool)> {
    let mut in_string = false;
    let mut escaped = false;
    text.bytes().map(move |byte| {
        let outside = !in_string;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
        (byte, outside)
    })
}

/// Reads a value and keeps nothing of it. Unlike `IgnoredAny` it has numbers and escapes converted,
/// and so refuses what only looks like JSON.
#[derive(Clone, Copy)]
struct Checked {
    levels_left: usize,
}

impl Checked {
    fn inside<E: Error>(self) -> Result<Self, E> {
        let levels_left = self.levels_left.checked_sub(1);
        levels_left
            .map(|levels_left| Self { levels_left })
            .ok_or_else(|| E::custom(format_args!("nested deeper than {MAX_VALUE_DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Checked {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while seq.next_element_seed(inside)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        while map.next_key_seed(inside)?.is_some() {
            map.next_value_seed(inside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_reader_would_choke_on_is_no_value() {
        for text in
            ["", " ", "nope", "1e999", r#""\ud800""#, "\"\n\"", "[1,]", "{\"a\":1", "1 2", "01", "NaN"]
        {
            assert!(matches!(check(text), Err(ValueError::NotJson(_))), "{text}");
        }
        for text in ["1", "-0", "1e300", "null", r#""a b\" \\""#, r#"{"a":[1,{"b":"c"}]}"#, r#""😀""#] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(&nested(MAX_VALUE_DEPTH)), Ok(()));
        assert!(check(&nested(MAX_VALUE_DEPTH + 1)).is_err());
        assert!(check(&nested(1_000_000)).is_err());
    }

    #[test]
    fn compacting_takes_away_space_between_parts_only() {
        assert_eq!(compact(" { \"a b\" : [ 1 ,\n\"\\\" c\" ] } ").unwrap(), r#"{"a b":[1,"\" c"]}"#);
        assert_eq!(check(" 1"), Err(ValueError::NotCompact));
        assert!(matches!(compact("\"a b\""), Ok(Cow::Borrowed(_))));
    }

    proptest! {
        #[test]
        fn names_read_back_whatever_they_are(name in any::<String>()) {
            let mut text = String::new();
            push_string(&mut text, &name);
            prop_assert_eq!(serde_json::from_str::<String>(&text).unwrap(), name);
            prop_assert_eq!(check(&text), Ok(()));
        }
    }
}

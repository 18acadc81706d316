//! Which records a query wants: comparisons of fields, joined by and, or, not.
//!
//! A filter is written as an expression (`bed.row >= 3 and not done = true`) or as a JSON object
//! (`{"bed":{"row":{"ge":3}}}`). Both are parsed into the same [`Filter`], whose meaning is
//! [`Filter::matches`]; a store that translates filters into its own language must agree with it.
//!
//! Invariants of what [`Filter::parse`] gives: no path is empty, every value is a scalar, there are
//! at most [`MAX_FILTER_TERMS`] comparisons, nested at most [`MAX_FILTER_DEPTH`] deep.

mod expression;
mod object;

use std::cmp::Ordering;

use serde_json::Value;

/// Longest text of a filter, in bytes: far more than anyone types, little enough to parse at once.
pub const MAX_FILTER_BYTES: usize = 16 << 10;

/// Deepest nesting: keeps the recursive functions that walk a filter off the end of the stack.
pub const MAX_FILTER_DEPTH: usize = 32;

/// Most comparisons: SQLite refuses expressions that are a thousand deep, and a chain of `and` is one.
pub const MAX_FILTER_TERMS: usize = 256;

/// A condition on a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these hold. With none in it, it holds for every document.
    And(Vec<Self>),
    /// At least one of these holds.
    Or(Vec<Self>),
    /// This one does not hold.
    Not(Box<Self>),
    /// A field compares with a value.
    Compare {
        /// The names that lead to the field, from the outside in. Only objects are entered.
        path: Vec<String>,
        /// How to compare.
        op: Compare,
        /// What to compare with: a string, number, boolean or null.
        value: Value,
    },
}

/// How a field is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// Of the same type and equal.
    Eq,
    /// Anything but that, which includes that the field is missing.
    Ne,
    /// Both numbers or both strings, and smaller.
    Lt,
    /// Both numbers or both strings, and not larger.
    Le,
    /// Both numbers or both strings, and larger.
    Gt,
    /// Both numbers or both strings, and not smaller.
    Ge,
    /// A string that has this string in it, or an array with an element that equals this value.
    Contains,
}

/// A text that is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Longer than [`MAX_FILTER_BYTES`].
    #[error("the filter of {len} bytes is longer than the limit of {MAX_FILTER_BYTES}")]
    TooLong {
        /// Its length, bytes.
        len: usize,
    },
    /// Nested deeper than [`MAX_FILTER_DEPTH`].
    #[error("the filter is nested deeper than {MAX_FILTER_DEPTH} levels")]
    TooDeep,
    /// More comparisons than [`MAX_FILTER_TERMS`].
    #[error("the filter has more than {MAX_FILTER_TERMS} comparisons")]
    TooManyTerms,
    /// Something else stands where this is needed.
    #[error("in the filter at column {column}: expected {expected}, found {found}")]
    Syntax {
        /// Where, in characters from 1.
        column: usize,
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// It starts like a JSON object and isn't one.
    #[error("the filter starts like JSON but at line {line} column {column}: {reason}")]
    Json {
        /// The line, from 1.
        line: usize,
        /// Where in the line, from 1.
        column: usize,
        /// What the JSON parser says.
        reason: String,
    },
    /// JSON, but this part of it means nothing.
    #[error("in the filter at {at}: {reason}")]
    Meaning {
        /// The keys that lead there, joined by dots.
        at: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Filter {
    /// The filter that this text says: a JSON object if it begins with `{`, else an expression.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_FILTER_BYTES {
            return Err(FilterError::TooLong { len: text.len() });
        }
        let filter =
            if text.trim_start().starts_with('{') { object::parse(text)? } else { expression::parse(text)? };
        if filter.terms() > MAX_FILTER_TERMS {
            return Err(FilterError::TooManyTerms);
        }
        Ok(filter)
    }

    /// Whether the document fulfils this filter.
    ///
    /// Numbers compare by value, whole and fractional alike; whole numbers outside `i64` count as
    /// their nearest `f64`. Strings compare by their bytes. A field that is missing, or of another
    /// type than the value, fulfils `Ne` and nothing else.
    pub fn matches(&self, doc: &Value) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(doc)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(doc)),
            Self::Not(part) => !part.matches(doc),
            Self::Compare { path, op, value } => op.holds(field(doc, path), value),
        }
    }

    fn terms(&self) -> usize {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::terms).sum(),
            Self::Not(part) => part.terms(),
            Self::Compare { .. } => 1,
        }
    }
}

fn field<'a>(doc: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(doc, |value, name| value.as_object()?.get(name))
}

impl Compare {
    fn holds(self, found: Option<&Value>, wanted: &Value) -> bool {
        let Some(found) = found else { return self == Self::Ne };
        match self {
            Self::Eq => equal(found, wanted),
            Self::Ne => !equal(found, wanted),
            Self::Lt => order(found, wanted).is_some_and(Ordering::is_lt),
            Self::Le => order(found, wanted).is_some_and(Ordering::is_le),
            Self::Gt => order(found, wanted).is_some_and(Ordering::is_gt),
            Self::Ge => order(found, wanted).is_some_and(Ordering::is_ge),
            Self::Contains => contains(found, wanted),
        }
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => order(a, b) == Some(Ordering::Equal),
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Some(Number::of(a)?.order(Number::of(b)?)),
        (Value::String(a), Value::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        _ => None,
    }
}

fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::Array(elements), wanted) => elements.iter().any(|element| equal(element, wanted)),
        _ => false,
    }
}

/// A number as SQLite sees it too, so that both agree on every comparison.
#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn of(number: &serde_json::Number) -> Option<Self> {
        number.as_i64().map(Self::Whole).or_else(|| number.as_f64().map(Self::Real))
    }

    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Self::Whole(a), Self::Real(b)) => order_mixed(a, b),
            (Self::Real(a), Self::Whole(b)) => order_mixed(b, a).reverse(),
        }
    }
}

/// Exact where a conversion of `whole` to `f64` would round it onto its neighbour.
fn order_mixed(whole: i64, real: f64) -> Ordering {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if real >= TWO_TO_63 {
        return Ordering::Less;
    }
    if real < -TWO_TO_63 {
        return Ordering::Greater;
    }
    let floor = real.floor();
    let by_floor = whole.cmp(&(floor as i64));
    if by_floor.is_eq() && real > floor { Ordering::Less } else { by_floor }
}

#[cfg(test)]
mod tests;

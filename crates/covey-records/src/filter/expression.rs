//! The expression form of a filter.
//!
//! ```text
//! any     = all ("or" all)*
//! all     = one ("and" one)*
//! one     = "not" one | "(" any ")" | path op value
//! path    = name ("." name)*          name: a word, or in quotes
//! op      = "=" "==" "!=" "<>" "<" "<=" ">" ">=" "contains"
//! value   = string | number | "true" | "false" | "null"
//! ```
//! Strings stand in `'` or `"`; a quote inside is doubled, as in SQL. Keywords may be in any case.

use serde_json::Value;

use super::{Compare, Filter, FilterError, MAX_FILTER_DEPTH};

pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let filter = parser.any()?;
    parser.skip_space();
    if parser.rest().is_empty() { Ok(filter) } else { Err(parser.expected("and, or, or the end")) }
}

struct Parser<'a> {
    text: &'a str,
    /// Bytes read so far; always between characters.
    at: usize,
    depth: usize,
}

/// A longest-first list, so that `<=` isn't read as `<`.
const SYMBOLS: [(&str, Compare); 8] = [
    ("==", Compare::Eq),
    ("!=", Compare::Ne),
    ("<>", Compare::Ne),
    ("<=", Compare::Le),
    (">=", Compare::Ge),
    ("=", Compare::Eq),
    ("<", Compare::Lt),
    (">", Compare::Gt),
];

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.all()?];
        while self.take_keyword("or") {
            parts.push(self.all()?);
        }
        Ok(single_or(parts, Filter::Or))
    }

    fn all(&mut self) -> Result<Filter, FilterError> {
        let mut parts = vec![self.one()?];
        while self.take_keyword("and") {
            parts.push(self.one()?);
        }
        Ok(single_or(parts, Filter::And))
    }

    fn one(&mut self) -> Result<Filter, FilterError> {
        self.depth += 1;
        if self.depth > MAX_FILTER_DEPTH {
            return Err(FilterError::TooDeep);
        }
        let filter = if self.take_keyword("not") {
            Filter::Not(Box::new(self.one()?))
        } else if self.take_symbol("(") {
            let inner = self.any()?;
            if !self.take_symbol(")") {
                return Err(self.expected("and, or, or a closing parenthesis"));
            }
            inner
        } else {
            Filter::Compare { path: self.path()?, op: self.op()?, value: self.value()? }
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn path(&mut self) -> Result<Vec<String>, FilterError> {
        let mut path = vec![self.name()?];
        while self.take_symbol(".") {
            path.push(self.name()?);
        }
        Ok(path)
    }

    fn name(&mut self) -> Result<String, FilterError> {
        self.skip_space();
        let start = self.at;
        if let Some(quoted) = self.quoted()? {
            return if quoted.is_empty() {
                Err(self.expected_at(start, "the name of a field"))
            } else {
                Ok(quoted)
            };
        }
        let word = self.word();
        if word.is_empty() || is_keyword(word) || word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Err(self.expected("the name of a field"));
        }
        self.at += word.len();
        Ok(word.to_owned())
    }

    fn op(&mut self) -> Result<Compare, FilterError> {
        if self.take_keyword("contains") {
            return Ok(Compare::Contains);
        }
        let found = SYMBOLS.into_iter().find(|(symbol, _)| self.take_symbol(symbol));
        found.map(|(_, op)| op).ok_or_else(|| self.expected("one of = != < <= > >= contains"))
    }

    fn value(&mut self) -> Result<Value, FilterError> {
        self.skip_space();
        if let Some(text) = self.quoted()? {
            return Ok(Value::String(text));
        }
        for (keyword, value) in
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)]
        {
            if self.take_keyword(keyword) {
                return Ok(value);
            }
        }
        let number = self.prefix(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        match serde_json::from_str::<serde_json::Number>(number) {
            Ok(parsed) => {
                self.at += number.len();
                Ok(Value::Number(parsed))
            }
            Err(_) => Err(self.expected("a string in quotes, a number, true, false or null")),
        }
    }

    /// A string in quotes, if one starts here.
    fn quoted(&mut self) -> Result<Option<String>, FilterError> {
        let start = self.at;
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Ok(None);
        };
        let mut out = String::new();
        self.at += 1;
        while let Some(end) = self.rest().find(quote) {
            out.push_str(&self.rest()[..end]);
            self.at += end + 1;
            if !self.rest().starts_with(quote) {
                return Ok(Some(out));
            }
            out.push(quote);
            self.at += 1;
        }
        self.at = start;
        Err(self.expected_at(start, "a string that is closed by the quote it began with"))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        let found = self.word().eq_ignore_ascii_case(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn word(&self) -> &'a str {
        self.prefix(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@'))
    }

    fn prefix(&self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())]
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn expected(&mut self, expected: &'static str) -> FilterError {
        self.skip_space();
        self.expected_at(self.at, expected)
    }

    fn expected_at(&self, at: usize, expected: &'static str) -> FilterError {
        const SHOWN_CHARS: usize = 20;
        let rest = &self.text[at..];
        let found = if rest.is_empty() {
            "the end".to_owned()
        } else {
            format!("{:?}", rest.chars().take(SHOWN_CHARS).collect::<String>())
        };
        FilterError::Syntax { column: self.text[..at].chars().count() + 1, expected, found }
    }
}

fn is_keyword(word: &str) -> bool {
    ["and", "or", "not", "contains"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

fn single_or(mut parts: Vec<Filter>, join: impl Fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            join(parts)
        }
        None => join(parts),
    }
}

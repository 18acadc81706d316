//! Functions of SQLite's that can't be stopped while they run, and take as long as the product of the lengths of what they
//! get: done here in one pass, or with a look at the clock.

use std::{borrow::Cow, collections::BTreeSet};

use rusqlite::{
    Connection, Error, Result,
    functions::{Context, FunctionFlags},
    types::ValueRef,
};

use super::{
    bounds::Watch,
    document,
    pattern::{MAX_PATTERN_BYTES, Over, Pattern},
};

/// How long a document is as text; `NULL` for what is none.
pub(super) const TEXT_BYTES: &str = "covey_text_bytes";

/// Puts others in the place of SQLite's, which make no value longer than `max_bytes`.
pub(super) fn replace_slow_ones(conn: &Connection, max_bytes: usize, watch: &Watch) -> Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("instr", 2, flags, |context| Ok(instr(context)))?;
    conn.create_scalar_function("replace", 3, flags, move |context| replace(context, max_bytes))?;
    for (name, starts, ends) in [("trim", true, true), ("ltrim", true, false), ("rtrim", false, true)] {
        conn.create_scalar_function(name, 2, flags, move |context| Ok(trim(context, starts, ends)))?;
    }
    conn.create_scalar_function("unhex", 2, flags, |context| Ok(unhex(context)))?;
    for arguments in [2, 3] {
        let watch = watch.clone();
        conn.create_scalar_function("like", arguments, flags, move |context| like(context, &watch))?;
    }
    let watch = watch.clone();
    conn.create_scalar_function("glob", 2, flags, move |context| glob(context, &watch))?;
    conn.create_scalar_function(TEXT_BYTES, 1, flags, |context| {
        let len = context.get_raw(0).as_blob().ok().and_then(document::text_bytes);
        Ok(len.and_then(|len| i64::try_from(len).ok()))
    })
}

fn failed(reason: &str) -> Error {
    Error::UserFunctionError(reason.into())
}

/// A value as text; `None` for NULL.
fn text<'a>(context: &'a Context<'_>, at: usize) -> Option<Cow<'a, str>> {
    match context.get_raw(at) {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string().into()),
        ValueRef::Real(number) => Some(format!("{number:?}").into()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes)),
    }
}

/// The place of the second text in the first, in characters from 1; 0 if it isn't there.
fn instr(context: &Context<'_>) -> Option<u32> {
    let (hay, needle) = (text(context, 0)?, text(context, 1)?);
    let found = hay.find(&*needle).map_or(0, |at| hay[..at].chars().count() + 1);
    // No value is so long that its characters couldn't be counted so.
    Some(u32::try_from(found).unwrap_or(u32::MAX))
}

/// The first text with the third in the place of each second.
fn replace(context: &Context<'_>, max_bytes: usize) -> Result<Option<String>> {
    let (Some(hay), Some(from), Some(to)) = (text(context, 0), text(context, 1), text(context, 2)) else {
        return Ok(None);
    };
    if from.is_empty() {
        return Ok(Some(hay.into_owned()));
    }
    let places = hay.matches(&*from).count();
    let len = (hay.len() - places * from.len()).saturating_add(places.saturating_mul(to.len()));
    if len > max_bytes {
        return Err(failed("string or blob too big"));
    }
    Ok(Some(hay.replace(&*from, &to)))
}

/// The first text without the characters of the second at its start, its end, or both.
fn trim(context: &Context<'_>, starts: bool, ends: bool) -> Option<String> {
    let (text, away) = (text(context, 0)?, text(context, 1)?);
    let away: BTreeSet<char> = away.chars().collect();
    let is_away = |c: char| away.contains(&c);
    let text = if starts { text.trim_start_matches(is_away) } else { &*text };
    Some(if ends { text.trim_end_matches(is_away) } else { text }.to_owned())
}

/// The bytes that the first text says in pairs of hexadecimal digits, between which characters of the second may stand.
fn unhex(context: &Context<'_>) -> Option<Vec<u8>> {
    let (text, between) = (text(context, 0)?, text(context, 1)?);
    let between: BTreeSet<char> = between.chars().collect();
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if let Some(high) = c.to_digit(16) {
            let low = chars.next()?.to_digit(16)?;
            bytes.push(((high << 4) | low) as u8);
        } else if !between.contains(&c) {
            return None;
        }
    }
    Some(bytes)
}

/// Whether the second text looks like the first, for `text LIKE pattern ESCAPE c`.
fn like(context: &Context<'_>, watch: &Watch) -> Result<Option<bool>> {
    let escape = if context.len() > 2 {
        let Some(escape) = text(context, 2) else { return Ok(None) };
        let mut chars = escape.chars();
        let (Some(c), None) = (chars.next(), chars.next()) else {
            return Err(failed("ESCAPE expression must be a single character"));
        };
        Some(c)
    } else {
        None
    };
    matches(context, watch, |pattern| Pattern::like(pattern, escape))
}

/// The same for `text GLOB pattern`.
fn glob(context: &Context<'_>, watch: &Watch) -> Result<Option<bool>> {
    matches(context, watch, Pattern::glob)
}

fn matches(
    context: &Context<'_>,
    watch: &Watch,
    read: impl FnOnce(&str) -> Option<Pattern>,
) -> Result<Option<bool>> {
    let (Some(pattern), Some(text)) = (text(context, 0), text(context, 1)) else { return Ok(None) };
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(failed("LIKE or GLOB pattern too complex"));
    }
    let Some(pattern) = read(&pattern) else { return Ok(Some(false)) };
    pattern.matches(&text, || watch.is_over()).map(Some).map_err(|Over| failed("interrupted"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{prelude::*, sample::select};

    use super::*;

    /// Characters that mean something to one of the functions, and others.
    fn any_text() -> impl Strategy<Value = String> {
        let chars = vec![
            'a', 'A', 'b', 'c', '1', 'f', '%', '_', '*', '?', '[', ']', '^', '-', '!', 'é', 'É', '😀', ' ',
        ];
        prop::collection::vec(select(chars), 0..9).prop_map(String::from_iter)
    }

    fn ours(watch: &Watch) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        replace_slow_ones(&conn, 1 << 20, watch).unwrap();
        conn
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn each_says_what_sqlite_says(one in any_text(), two in any_text(), three in any_text()) {
            thread_local! {
                static BOTH: (Connection, Connection) =
                    (ours(&Watch::new(Duration::from_secs(3600))), Connection::open_in_memory().unwrap());
            }
            for sql in [
                "instr(?1, ?2)", "replace(?1, ?2, ?3)", "trim(?1, ?2)", "ltrim(?1, ?2)", "rtrim(?1, ?2)",
                "unhex(?1, ?2)", "?1 LIKE ?2", "?1 GLOB ?2", "?1 LIKE ?2 ESCAPE '!'", "?1 LIKE ?2 ESCAPE '%'",
                "?1 LIKE NULL", "NULL GLOB ?1", "trim(?1, NULL)", "unhex(NULL, ?1)",
            ] {
                // Each place is there, so that all three values may be given.
                let sql = format!("SELECT quote({sql}) WHERE ?1||?2||?3 IS NOT NULL");
                let says = |conn: &Connection| -> String {
                    conn.query_row(&sql, [&one, &two, &three], |row| row.get(0)).unwrap()
                };
                let (ours, theirs) = BOTH.with(|(ours, theirs)| (says(ours), says(theirs)));
                prop_assert_eq!(ours, theirs, "{} of {:?}, {:?}, {:?}", sql, one, two, three);
            }
        }
    }

    #[test]
    fn a_pattern_that_takes_long_ends_with_the_time() {
        let watch = Watch::new(Duration::ZERO);
        let sql = "SELECT printf('%.*c', 100000, 'a') LIKE '%'||printf('%.*c', 900, 'a')||'b'";
        let answer = ours(&watch).query_row(sql, [], |row| row.get::<_, bool>(0));
        assert!(answer.is_err() && watch.ended().is_some(), "{answer:?}");
    }
}

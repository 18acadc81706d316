//! Two of SQLite's functions that can't be stopped while they run, and take as long as the product of the lengths of what
//! they get: done here in one pass.

use rusqlite::{
    Connection, Error, Result,
    functions::{Context, FunctionFlags},
    types::ValueRef,
};

/// Puts others in the place of `instr` and `replace`, which make no value longer than `max_bytes`.
pub(super) fn replace_slow_ones(conn: &Connection, max_bytes: usize) -> Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function("instr", 2, flags, |context| Ok(instr(context)))?;
    conn.create_scalar_function("replace", 3, flags, move |context| replace(context, max_bytes))
}

/// A value as text; `None` for NULL.
fn text(context: &Context<'_>, at: usize) -> Option<String> {
    match context.get_raw(at) {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(format!("{number:?}")),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// The place of the second text in the first, in characters from 1; 0 if it isn't there.
fn instr(context: &Context<'_>) -> Option<u32> {
    let (Some(hay), Some(needle)) = (text(context, 0), text(context, 1)) else { return None };
    let found = hay.find(&needle).map_or(0, |at| hay[..at].chars().count() + 1);
    // No value is so long that its characters couldn't be counted so.
    Some(u32::try_from(found).unwrap_or(u32::MAX))
}

/// The first text with the third in the place of each second.
fn replace(context: &Context<'_>, max_bytes: usize) -> Result<Option<String>> {
    let (Some(hay), Some(from), Some(to)) = (text(context, 0), text(context, 1), text(context, 2)) else {
        return Ok(None);
    };
    if from.is_empty() {
        return Ok(Some(hay));
    }
    let places = hay.matches(&from).count();
    let len = (hay.len() - places * from.len()).saturating_add(places.saturating_mul(to.len()));
    if len > max_bytes {
        return Err(Error::UserFunctionError("string or blob too big".into()));
    }
    Ok(Some(hay.replace(&from, &to)))
}

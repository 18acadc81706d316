//! The JSON form of a filter: an object whose keys are field names, all of which must fit.
//!
//! ```text
//! {"name":"bean"}                      equal
//! {"bed":{"row":{"ge":3,"lt":9}}}      objects lead inwards; operators: eq ne lt le gt ge contains
//! {"$or":[{"a":1},{"b":2}]}            likewise $and; {"$not":{"a":1}}
//! ```
//! An object whose keys are all operators is a comparison; a field with the name of an operator can
//! only be asked for in the expression form.

use serde_json::{Map, Value};

use super::{Compare, Filter, FilterError, MAX_FILTER_DEPTH};

pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|err| FilterError::Json {
        line: err.line(),
        column: err.column(),
        reason: err.to_string(),
    })?;
    all_of(&object, &[], 0)
}

fn all_of(object: &Map<String, Value>, path: &[String], depth: usize) -> Result<Filter, FilterError> {
    if depth > MAX_FILTER_DEPTH {
        return Err(FilterError::TooDeep);
    }
    let mut parts =
        object.iter().map(|(key, value)| member(key, value, path, depth)).collect::<Result<Vec<_>, _>>()?;
    Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
}

fn member(key: &str, value: &Value, path: &[String], depth: usize) -> Result<Filter, FilterError> {
    match (key, value) {
        ("$and", value) => Ok(Filter::And(list(key, value, path, depth)?)),
        ("$or", value) => Ok(Filter::Or(list(key, value, path, depth)?)),
        ("$not", Value::Object(inner)) => Ok(Filter::Not(Box::new(all_of(inner, path, depth + 1)?))),
        ("$not", _) => Err(meaning(path, key, "$not needs an object")),
        ("", _) => Err(meaning(path, key, "the name of a field is empty")),
        (name, value) => field(&[path, &[name.to_owned()]].concat(), value, depth),
    }
}

fn list(key: &str, value: &Value, path: &[String], depth: usize) -> Result<Vec<Filter>, FilterError> {
    let parts = value.as_array().ok_or_else(|| meaning(path, key, "needs an array of objects"))?;
    let part = |part: &Value| match part {
        Value::Object(object) => all_of(object, path, depth + 1),
        _ => Err(meaning(path, key, "needs an array of objects")),
    };
    parts.iter().map(part).collect()
}

fn field(path: &[String], value: &Value, depth: usize) -> Result<Filter, FilterError> {
    let Value::Object(object) = value else { return compare(path, Compare::Eq, value) };
    let operators = object.keys().filter(|key| operator(key).is_some()).count();
    if object.is_empty() {
        return Err(meaning(path, "", "an empty object compares with nothing"));
    }
    if operators == 0 {
        return all_of(object, path, depth + 1);
    }
    if operators < object.len() {
        return Err(meaning(path, "", "operators (eq ne lt le gt ge contains) and field names are mixed"));
    }
    let mut parts = object
        .iter()
        .filter_map(|(key, value)| operator(key).map(|op| compare(path, op, value)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
}

fn compare(path: &[String], op: Compare, value: &Value) -> Result<Filter, FilterError> {
    if value.is_array() || value.is_object() {
        return Err(meaning(path, "", "only strings, numbers, booleans and null can be compared with"));
    }
    Ok(Filter::Compare { path: path.to_vec(), op, value: value.clone() })
}

fn operator(key: &str) -> Option<Compare> {
    Some(match key {
        "eq" => Compare::Eq,
        "ne" => Compare::Ne,
        "lt" => Compare::Lt,
        "le" => Compare::Le,
        "gt" => Compare::Gt,
        "ge" => Compare::Ge,
        "contains" => Compare::Contains,
        _ => return None,
    })
}

fn meaning(path: &[String], key: &str, reason: &'static str) -> FilterError {
    let mut at = path.join(".");
    if !key.is_empty() || path.is_empty() {
        at.push_str(if at.is_empty() { "" } else { "." });
        at.push_str(if key.is_empty() { "\"\"" } else { key });
    }
    FilterError::Meaning { at, reason }
}

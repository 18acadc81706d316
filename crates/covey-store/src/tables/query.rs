//! Lists of records, filtered.
//!
//! A filter becomes SQL where SQL says the same as [`Filter::matches`]: its values and the paths of its
//! fields are bound as parameters, never written into the text. The few filters that SQL can't say
//! (field names with quotes or backslashes in them, which JSON paths can't name; more comparisons than
//! SQLite nests) are matched here, document by document.
//!
//! One difference remains: in an object that has the same key twice, SQLite sees the first and
//! `serde_json` the last. No document that this program writes has such an object at its top.

use covey_records::{Compare, Filter};
use rusqlite::{params_from_iter, types::Value as Sql};
use serde_json::Value;

use super::CollectionKey;
use crate::{error::StoreError, tx::Reader};

/// Most comparisons that become SQL: SQLite nests a thousand, and a chain of `AND` is a nest.
const MAX_TERMS: usize = 400;

/// Some records of a list, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Id and JSON text of each.
    pub rows: Vec<(String, String)>,
    /// Whether the list goes on after them.
    pub more: bool,
}

/// Where a page ends: with the last row that keeps both.
#[derive(Debug, Clone, Copy)]
pub struct PageSize {
    /// Most rows.
    pub rows: usize,
    /// Most bytes of documents. A single document that is larger makes a page of its own.
    pub bytes: usize,
}

impl Reader<'_> {
    /// The records of a collection that aren't deleted and fulfil the filter, as id and JSON text, in
    /// the order of their ids (by bytes), from the first after `after_id` on and at most `limit`.
    pub fn list(
        &self,
        collection: CollectionKey,
        filter: Option<&Filter>,
        after_id: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let size = PageSize { rows: limit, bytes: usize::MAX };
        Ok(self.page(collection, filter, after_id, size)?.rows)
    }

    /// The same, bounded also by bytes: what is in memory at once is at most a page and one document.
    pub fn page(
        &self,
        collection: CollectionKey,
        filter: Option<&Filter>,
        after_id: Option<&str>,
        size: PageSize,
    ) -> Result<Page, StoreError> {
        let mut params = vec![
            Sql::Integer(collection.0),
            Sql::Text(after_id.unwrap_or_default().to_owned()),
            Sql::Integer(after_id.is_none().into()),
        ];
        let condition = match filter {
            Some(filter) => Translation { params: &mut params }.filter(filter),
            None => Some("1".to_owned()),
        };
        let by_hand = if condition.is_none() { filter } else { None };
        let condition = condition.unwrap_or_else(|| {
            params.truncate(3);
            "1".to_owned()
        });
        let sql = format!(
            "SELECT id, json(doc) FROM records INDEXED BY records_by_id
             WHERE collection = ?1 AND id >= ?2 AND (?3 OR id > ?2) AND doc IS NOT NULL AND {condition}
             ORDER BY id"
        );
        self.read_page(&sql, params, by_hand, size).map_err(|err| self.failed("list records", err))
    }

    fn read_page(
        &self,
        sql: &str,
        params: Vec<Sql>,
        by_hand: Option<&Filter>,
        size: PageSize,
    ) -> rusqlite::Result<Page> {
        let mut stmt = self.conn().prepare_cached(sql)?;
        let mut found = stmt.query(params_from_iter(params))?;
        let (mut rows, mut bytes) = (Vec::new(), 0usize);
        while let Some(row) = found.next()? {
            let (id, doc): (String, String) = (row.get(0)?, row.get(1)?);
            if by_hand.is_some_and(|filter| !matches(filter, &doc)) {
                continue;
            }
            bytes = bytes.saturating_add(doc.len());
            if rows.len() >= size.rows || (!rows.is_empty() && bytes > size.bytes) {
                return Ok(Page { rows, more: true });
            }
            rows.push((id, doc));
        }
        Ok(Page { rows, more: false })
    }
}

fn matches(filter: &Filter, doc: &str) -> bool {
    serde_json::from_str(doc).is_ok_and(|doc: Value| filter.matches(&doc))
}

/// A filter on its way to SQL. Each condition is 0 or 1, never NULL, so that NOT means not.
struct Translation<'a> {
    params: &'a mut Vec<Sql>,
}

impl Translation<'_> {
    /// `None` if SQL can't say it.
    fn filter(&mut self, filter: &Filter) -> Option<String> {
        match filter {
            Filter::And(parts) => self.join(parts, " AND ", "1"),
            Filter::Or(parts) => self.join(parts, " OR ", "0"),
            Filter::Not(part) => Some(format!("(NOT {})", self.filter(part)?)),
            Filter::Compare { path, op, value } => self.compare(path, *op, value),
        }
    }

    fn join(&mut self, parts: &[Filter], word: &str, empty: &str) -> Option<String> {
        if parts.is_empty() {
            return Some(empty.to_owned());
        }
        let parts = parts.iter().map(|part| self.filter(part)).collect::<Option<Vec<_>>>()?;
        Some(format!("({})", parts.join(word)))
    }

    fn compare(&mut self, path: &[String], op: Compare, value: &Value) -> Option<String> {
        let path = json_path(path)?;
        match op {
            Compare::Eq => self.equal(path, value),
            Compare::Ne => Some(format!("(NOT {})", self.equal(path, value)?)),
            Compare::Lt => self.ordered(path, "<", value),
            Compare::Le => self.ordered(path, "<=", value),
            Compare::Gt => self.ordered(path, ">", value),
            Compare::Ge => self.ordered(path, ">=", value),
            Compare::Contains => self.contains(path, value),
        }
    }

    fn equal(&mut self, path: String, value: &Value) -> Option<String> {
        let Some(json_type) = literal_type(value) else { return self.ordered(path, "=", value) };
        let path = self.bind(Sql::Text(path))?;
        Some(format!("coalesce(json_type(doc, {path}) = '{json_type}', 0)"))
    }

    /// Numbers with numbers and strings with strings; nothing else is equal, smaller or larger.
    fn ordered(&mut self, path: String, symbol: &str, value: &Value) -> Option<String> {
        let Some((types, value)) = comparable(value) else { return Some("0".to_owned()) };
        let (path, value) = (self.bind(Sql::Text(path))?, self.bind(value)?);
        Some(format!("coalesce(json_type(doc, {path}) IN ({types}) AND doc ->> {path} {symbol} {value}, 0)"))
    }

    /// What is in a string, or the elements of an array.
    fn contains(&mut self, path: String, value: &Value) -> Option<String> {
        let (literal, comparable) = (literal_type(value), comparable(value));
        if literal.is_none() && comparable.is_none() {
            return Some("0".to_owned());
        }
        let path = self.bind(Sql::Text(path))?;
        let mut in_text = "0".to_owned();
        let element = if let Some((types, bound)) = comparable {
            let bound = self.bind(bound)?;
            if value.is_string() {
                in_text = format!("instr(doc ->> {path}, {bound}) > 0");
            }
            format!("type IN ({types}) AND atom = {bound}")
        } else {
            format!("type = '{}'", literal.unwrap_or_default())
        };
        Some(format!(
            "CASE json_type(doc, {path}) WHEN 'text' THEN {in_text}
             WHEN 'array' THEN EXISTS(SELECT 1 FROM json_each(doc, {path}) WHERE {element}) ELSE 0 END"
        ))
    }

    fn bind(&mut self, value: Sql) -> Option<String> {
        if self.params.len() > 2 * MAX_TERMS {
            return None;
        }
        self.params.push(value);
        Some(format!("?{}", self.params.len()))
    }
}

/// The JSON type that is its own value.
fn literal_type(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => Some("null"),
        Value::Bool(true) => Some("true"),
        Value::Bool(false) => Some("false"),
        _ => None,
    }
}

/// The JSON types that compare with this value, and the value as SQL knows it.
fn comparable(value: &Value) -> Option<(&'static str, Sql)> {
    match value {
        Value::String(text) => Some(("'text'", Sql::Text(text.clone()))),
        Value::Number(number) => {
            let sql = number.as_i64().map(Sql::Integer).or_else(|| number.as_f64().map(Sql::Real))?;
            Some(("'integer', 'real'", sql))
        }
        _ => None,
    }
}

/// `$."a"."b"`; `None` for names that can't stand in quotes as they are.
fn json_path(names: &[String]) -> Option<String> {
    let mut path = "$".to_owned();
    for name in names {
        if name.is_empty() || name.contains(|c: char| matches!(c, '"' | '\\') || c.is_control()) {
            return None;
        }
        path.push_str(".\"");
        path.push_str(name);
        path.push('"');
    }
    Some(path)
}

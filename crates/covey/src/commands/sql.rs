//! `covey sql`: a table, or with `--json` an object per row.

use std::collections::HashSet;

use covey_api::dto::{SqlDto, SqlRequest};
use serde_json::{Map, Value};

use crate::{
    args::Sql,
    client::{Client, path},
    commands::record::stdin_text,
    diag::Failure,
    output::Out,
    words::count,
};

pub(super) async fn run(client: &Client, sql: &Sql, out: &Out) -> Result<(), Failure> {
    let text = match sql.query.as_str() {
        "-" => stdin_text("the query")?,
        text => text.to_owned(),
    };
    let request = SqlRequest { sql: text, values: Vec::new(), limit: Some(sql.limit) };
    let answer: SqlDto = client.post(&path(&["spaces", &sql.space, "sql"]), &request).await?;
    if out.is_json() {
        let keys = keys(&answer.columns);
        for row in answer.rows {
            let row: Map<String, Value> = keys.iter().cloned().zip(row).collect();
            out.document(&row)?;
        }
    } else {
        let columns: Vec<&str> = answer.columns.iter().map(String::as_str).collect();
        let rows: Vec<Vec<String>> = answer.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        out.table(&columns, &rows)?;
    }
    if answer.more {
        // Whoever takes the rows for all of them would be wrong: this is no hint to be left out.
        let shown = count(sql.limit.min(10_000) as u64, "row", "rows");
        out.note(&format!("there are more rows than these: at most {shown} and 16 MiB come at once"));
    }
    Ok(())
}

/// The names of the columns, each once: a later one of the same name has its place added.
fn keys(columns: &[String]) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut keys = Vec::with_capacity(columns.len());
    for (place, column) in columns.iter().enumerate() {
        let mut key = column.clone();
        while !taken.insert(key.clone()) {
            key = format!("{key}:{}", place + 1);
        }
        keys.push(key);
    }
    keys
}

/// A value as a person reads it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(bytes) => {
            format!("x'{}'", bytes.get("hex").and_then(Value::as_str).unwrap_or_default())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_one_name_are_told_apart() {
        let columns = ["a", "b", "a", "a", "a:3"].map(str::to_owned);
        assert_eq!(keys(&columns), ["a", "b", "a:3", "a:4", "a:3:5"]);
    }

    #[test]
    fn bytes_look_like_bytes() {
        assert_eq!(cell(&serde_json::json!({"hex": "00ff"})), "x'00ff'");
        assert_eq!(cell(&serde_json::json!(1.5)), "1.5");
    }
}

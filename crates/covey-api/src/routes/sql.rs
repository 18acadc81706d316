//! Queries in SQL.

use axum::{Json, extract::State};
use covey_node::SqlValue;
use serde_json::{Value, json};

use super::ApiState;
use crate::{
    dto::{ProblemDto, SqlDto, SqlRequest},
    extract::{InJson, InPath},
    limits::DEFAULT_SQL_ROWS,
    problem::Problem,
};

/// Asks a question in SQL, which may read and nothing else.
#[utoipa::path(
    post,
    path = "/spaces/{space}/sql",
    tag = "records",
    operation_id = "queryRecords",
    request_body = SqlRequest,
    responses(
        (status = 200, description = "The rows.", body = SqlDto),
        (status = 504, description = "The query took too long.", body = ProblemDto, content_type = "application/problem+json")
    )
)]
pub(super) async fn sql(
    State(state): State<ApiState>,
    InPath(space): InPath<String>,
    InJson(request): InJson<SqlRequest>,
) -> Result<Json<SqlDto>, Problem> {
    let values = request.values.into_iter().map(parse).collect::<Result<_, _>>()?;
    let max_rows = request.limit.unwrap_or(DEFAULT_SQL_ROWS);
    let answer = state.node.space(&space)?.sql(&request.sql, values, max_rows).await?;
    let rows = answer.rows.into_iter().map(|row| row.into_iter().map(show).collect()).collect();
    Ok(Json(SqlDto { columns: answer.columns, rows, more: answer.more }))
}

fn parse(value: Value) -> Result<SqlValue, Problem> {
    Ok(match value {
        Value::Null => SqlValue::Null,
        Value::Bool(value) => SqlValue::Integer(value.into()),
        Value::String(text) => SqlValue::Text(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => SqlValue::Integer(number),
            (None, Some(number)) => SqlValue::Real(number),
            (None, None) => return Err(Problem::invalid(format!("the value {number} is out of range"))),
        },
        Value::Array(_) | Value::Object(_) => {
            let what = "a value for a query is a number, a text, true, false or null";
            return Err(Problem::invalid(what));
        }
    })
}

fn show(value: SqlValue) -> Value {
    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Integer(number) => number.into(),
        SqlValue::Real(number) if number.is_infinite() => {
            if number > 0.0 { "Infinity" } else { "-Infinity" }.into()
        }
        SqlValue::Real(number) => number.into(),
        SqlValue::Text(text) => text.into(),
        SqlValue::Blob(bytes) => json!({ "hex": hex(&bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_sql_has_a_form_in_json() {
        let shown = |value| show(value).to_string();
        assert_eq!(shown(SqlValue::Integer(i64::MIN)), "-9223372036854775808");
        assert_eq!(shown(SqlValue::Real(f64::INFINITY)), "\"Infinity\"");
        assert_eq!(shown(SqlValue::Real(0.5)), "0.5");
        assert_eq!(shown(SqlValue::Blob(vec![0, 0xff])), r#"{"hex":"00ff"}"#);
        assert_eq!(parse(json!(true)).unwrap(), SqlValue::Integer(1));
        assert_eq!(
            parse(json!(18_446_744_073_709_551_615u64)).unwrap(),
            SqlValue::Real(18_446_744_073_709_551_615.0)
        );
        assert!(parse(json!([1])).is_err());
    }
}

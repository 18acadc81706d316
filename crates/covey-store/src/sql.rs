//! SQL over the records of one space: for people and programs that look, never for writing.
//!
//! The text comes from outside, and the database holds keys and other spaces. So a query runs on a connection of its own
//! that is closed after it, and behind several walls:
//!
//! - the file is opened for reading only, and SQLite is told to change nothing (`query_only`);
//! - the connection's own database is empty. That of the store is attached to it under a name that nobody can guess, and
//!   its tables are covered by empty ones: what a query can name are the [`views`], whatever it's told to be;
//! - what a query names is asked of [`guard`] while it's prepared: those views, SQLite's own functions from a list, and
//!   nothing else. SQLite asks about all but the columns that a join has by one name, and [`words`] refuses those joins;
//! - only one statement runs, and only if SQLite says that it reads, and that rows come of it;
//! - time, memory, rows, the length of a value and the size of the statement are bounded, by [`bounds`]. Between two
//!   looks at the clock and the memory lies a row, and what functions make of it: of the largest values that may take
//!   longer, and more, than is said there.

mod bounds;
mod document;
mod functions;
mod guard;
mod pattern;
mod views;
mod words;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use rusqlite::{
    Connection, ErrorCode, Statement, params_from_iter,
    types::{ToSqlOutput, Value, ValueRef},
};

use self::bounds::{Ended, MAX_MEMORY_BYTES, Watch};
pub use self::views::ALL_RECORDS;
use crate::{connection::Aside, error::StoreError, pool::Pool, tables::SpaceKey};

/// Longest statement, bytes: more than anybody writes by hand.
pub const MAX_SQL_BYTES: usize = 64 << 10;

/// Most values that are given beside a statement.
pub const MAX_SQL_VALUES: usize = 256;

/// Most rows of one answer. Whoever wants more asks for the next ones by a condition, or exports.
pub const MAX_SQL_ROWS: usize = 10_000;

/// Bytes of values after which an answer ends: it's held in memory, twice while it's sent.
pub const MAX_SQL_ANSWER_BYTES: usize = 16 << 20;

/// How long a query may run. It holds the write-ahead log back, and one of few connections.
pub const MAX_SQL_TIME: Duration = Duration::from_secs(10);

/// Queries that run at once. Half of the connections that read are left to the node itself.
pub(crate) const MAX_QUERIES: usize = 2;

/// A value of SQL.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// A query over the records of a space.
#[derive(Debug, Clone)]
pub struct SqlQuery {
    /// Which space.
    pub space: SpaceKey,
    /// Collections whose names begin so don't exist as far as the query goes.
    pub hidden_prefix: Option<String>,
    /// One `SELECT`, `VALUES` or `WITH ... SELECT`.
    pub sql: String,
    /// The values of its `?`.
    pub values: Vec<SqlValue>,
    /// Most rows that are wanted; at most [`MAX_SQL_ROWS`] come.
    pub max_rows: usize,
    /// How long it may run; at most [`MAX_SQL_TIME`].
    pub max_time: Duration,
}

/// What came of a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SqlAnswer {
    /// The names of the columns, as the statement has them.
    pub columns: Vec<String>,
    /// The rows, each with as many values as there are columns.
    pub rows: Vec<Vec<SqlValue>>,
    /// Whether there are more rows than were wanted, or than fit.
    pub more: bool,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// SQLite can't read it, or it names what isn't there.
    #[error("the query can't be read: {0}")]
    Statement(String),
    /// It names what a query may not see or do.
    #[error("a query may not do this: {0}; it reads the records of one space, and nothing else")]
    Forbidden(String),
    /// It isn't one that reads.
    #[error("this is no query: one SELECT is needed, or VALUES, or WITH and a SELECT")]
    NoQuery,
    /// More than one statement.
    #[error("only one statement is taken at a time")]
    Several,
    /// Longer than [`MAX_SQL_BYTES`], or with more values than [`MAX_SQL_VALUES`].
    #[error("the query has {what} of {found}; the limit is {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// It ran for too long.
    #[error("the query was ended after {} s; ask for less, or by id or collection", .0.as_secs_f64())]
    Time(Duration),
    /// It took too much memory.
    #[error("the query was ended since it took more than {} MiB of memory; sort, group or join fewer records", MAX_MEMORY_BYTES >> 20)]
    Memory,
    /// A value of a row fails at what is asked of it.
    #[error("the query failed: {0}")]
    Run(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Runs a query on a connection of its own.
pub(crate) fn run(pool: &Arc<Pool>, query: &SqlQuery) -> Result<SqlAnswer, SqlError> {
    let too_large = |what, found, max| Err(SqlError::TooLarge { what, found, max });
    if query.sql.len() > MAX_SQL_BYTES {
        return too_large("a length in bytes", query.sql.len(), MAX_SQL_BYTES);
    }
    if query.values.len() > MAX_SQL_VALUES {
        return too_large("a number of values", query.values.len(), MAX_SQL_VALUES);
    }
    if query.sql.contains('\0') {
        return Err(SqlError::Statement("there is a NUL character in it".into()));
    }
    words::check(&query.sql)?;
    let max_time = query.max_time.min(MAX_SQL_TIME);
    pool.aside(|aside| {
        let watch = Watch::new(max_time);
        ask(aside, pool, query, &watch).map_err(|err| match watch.ended() {
            Some(Ended::Time) => SqlError::Time(max_time),
            Some(Ended::Memory) => SqlError::Memory,
            Some(Ended::Closing) => SqlError::Store(StoreError::Closed),
            None => err,
        })
    })
}

fn ask(aside: Aside, pool: &Arc<Pool>, query: &SqlQuery, watch: &Watch) -> Result<SqlAnswer, SqlError> {
    let Aside { mut conn, name } = aside;
    let prepare = |conn: &mut Connection| {
        bounds::set(conn, Arc::clone(pool), watch)?;
        // What the views are made for and what they show is of one moment.
        conn.execute_batch("BEGIN")?;
        let names = views::make(conn, name, query, watch)?;
        guard::stand(conn, names, watch.clone())
    };
    prepare(&mut conn).map_err(|err| StoreError::sql("prepare to run a query", err))?;
    answer(&conn, query)
}

fn answer(conn: &Connection, query: &SqlQuery) -> Result<SqlAnswer, SqlError> {
    let mut stmt = conn.prepare(&query.sql).map_err(refused)?;
    if stmt.column_count() == 0 || !stmt.readonly() || stmt.is_explain() != 0 {
        return Err(SqlError::NoQuery);
    }
    let wanted = stmt.parameter_count();
    if wanted != query.values.len() {
        let given = query.values.len();
        let reason = format!("it has {wanted} places for values, and {given} were given");
        return Err(SqlError::Statement(reason));
    }
    collect(&mut stmt, query)
}

fn collect(stmt: &mut Statement<'_>, query: &SqlQuery) -> Result<SqlAnswer, SqlError> {
    let columns: Vec<String> = stmt.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let mut answer = SqlAnswer { columns, ..SqlAnswer::default() };
    let max_rows = query.max_rows.min(MAX_SQL_ROWS);
    let mut bytes = 0;
    let mut rows = stmt.query(params_from_iter(&query.values)).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let cells = (0..width).map(|column| row.get_ref(column)).collect::<Result<Vec<_>, _>>();
        let cells = cells.map_err(failed)?;
        bytes += cells.iter().map(bytes_of).sum::<usize>();
        if answer.rows.len() == max_rows || bytes > MAX_SQL_ANSWER_BYTES {
            answer.more = true;
            break;
        }
        answer.rows.push(cells.into_iter().map(SqlValue::from).collect());
    }
    Ok(answer)
}

/// Bytes that a value takes in an answer.
fn bytes_of(cell: &ValueRef<'_>) -> usize {
    size_of::<SqlValue>() + cell.as_bytes().map_or(0, <[u8]>::len)
}

/// What it means that a statement can't be prepared.
fn refused(err: rusqlite::Error) -> SqlError {
    match err {
        rusqlite::Error::MultipleStatement => SqlError::Several,
        // Without a place in the text it's a failure to rusqlite, though SQLite only could not read it.
        rusqlite::Error::SqlInputError { error, msg, .. }
        | rusqlite::Error::SqliteFailure(error, Some(msg))
            if matches!(error.code, ErrorCode::AuthorizationForStatementDenied | ErrorCode::Unknown) =>
        {
            // A function that is shut is told with the code of any error.
            let is_shut = error.code != ErrorCode::Unknown || msg.starts_with("not authorized");
            if is_shut { SqlError::Forbidden(msg) } else { SqlError::Statement(msg) }
        }
        rusqlite::Error::SqlInputError { msg, .. } => SqlError::Statement(msg),
        // That is what SQLite says of a statement of more steps than it may have.
        rusqlite::Error::SqliteFailure(error, _) if error.code == ErrorCode::OutOfMemory => {
            SqlError::Statement("it's too long".into())
        }
        other => failed(other),
    }
}

/// What it means that a statement fails while it runs.
fn failed(err: rusqlite::Error) -> SqlError {
    match StoreError::sql("run a query", err) {
        StoreError::Sql { source: rusqlite::Error::SqliteFailure(error, message), .. }
            if matches!(
                error.code,
                ErrorCode::Unknown
                    | ErrorCode::TooBig
                    | ErrorCode::OperationInterrupted
                    | ErrorCode::TypeMismatch
            ) =>
        {
            SqlError::Run(message.unwrap_or_else(|| error.to_string()))
        }
        StoreError::Sql { source: err @ rusqlite::Error::SqlInputError { .. }, .. } => refused(err),
        other => SqlError::Store(other),
    }
}

impl From<ValueRef<'_>> for SqlValue {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            // A text that was made of bytes needn't be UTF-8.
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

impl rusqlite::ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

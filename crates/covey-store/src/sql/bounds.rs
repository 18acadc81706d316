//! How much a query may take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, config::DbConfig, limits::Limit};

use super::{MAX_SQL_BYTES, MAX_SQL_VALUES, functions};
use crate::pool::Pool;

/// Memory that SQLite may take in while a query runs, bytes: what is sorted or grouped is held in memory, since files
/// would lie about unencrypted. The whole process's is measured; others' caches take a tenth of that. It's looked at where
/// [`STEPS`] says, and so a row of the largest values may go beyond.
pub(super) const MAX_MEMORY_BYTES: i64 = 192 << 20;

/// Longest value that a query may make or read, bytes: the largest document that one device can make.
pub(super) const MAX_VALUE_BYTES: usize = 4 << 20;

/// Most columns of a row, and values of one sorted or grouped: each may be one of the largest.
const MAX_COLUMNS: i32 = 64;

/// Most arguments of a function, for the same reason.
const MAX_ARGUMENTS: i32 = 16;

/// Steps of SQLite's machine between two looks at clock and memory. It looks only where it jumps: once for each row and
/// each turn of a loop. What one row takes in between is bounded by the size of the statement alone, and by its functions, of
/// which those that could take long by themselves look at the clock too.
const STEPS: i32 = 64;

/// Why a query was ended, as its handler notes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Time,
    Memory,
    Closing,
}

/// The clock of a query, and why it was ended.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    until: Instant,
    ended: Arc<AtomicU8>,
}

impl Watch {
    pub(super) fn new(max_time: Duration) -> Self {
        Self { until: Instant::now() + max_time, ended: Arc::default() }
    }

    /// Whether the time is over; then that's why the query ends.
    pub(super) fn is_over(&self) -> bool {
        let is_over = Instant::now() >= self.until;
        if is_over {
            self.end(Ended::Time);
        }
        is_over
    }

    fn end(&self, why: Ended) {
        self.ended.store(why as u8 + 1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        [Ended::Time, Ended::Memory, Ended::Closing]
            .into_iter()
            .find(|why| *why as u8 + 1 == self.ended.load(Ordering::Relaxed))
    }
}

/// Bounds what a connection can do, for good.
pub(super) fn set(conn: &mut Connection, pool: Arc<Pool>, watch: &Watch) -> rusqlite::Result<()> {
    let limits = [
        (Limit::SQLITE_LIMIT_LENGTH, at_most(MAX_VALUE_BYTES)),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, at_most(MAX_SQL_BYTES)),
        (Limit::SQLITE_LIMIT_COLUMN, MAX_COLUMNS),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, MAX_ARGUMENTS),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, at_most(MAX_SQL_VALUES)),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ];
    for (limit, value) in limits {
        conn.set_limit(limit, value)?;
    }
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    functions::replace_slow_ones(conn, MAX_VALUE_BYTES, watch)?;
    let (before, watch) = (memory_used(), watch.clone());
    conn.progress_handler(
        STEPS,
        Some(move || {
            if memory_used() - before > MAX_MEMORY_BYTES {
                watch.end(Ended::Memory);
            } else if pool.is_closed() {
                watch.end(Ended::Closing);
            } else {
                return watch.is_over();
            }
            true
        }),
    )
}

fn at_most(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

/// Memory that SQLite has taken for all connections of the process, bytes.
fn memory_used() -> i64 {
    #[expect(unsafe_code, reason = "a counter of SQLite's, for which rusqlite has no name")]
    // SAFETY: it takes nothing, may be called from any thread, and only reads a number under SQLite's own lock.
    unsafe {
        rusqlite::ffi::sqlite3_memory_used()
    }
}

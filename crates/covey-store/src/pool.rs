//! The reading connections: opened when needed, a few at most, each used by one closure at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::Connection;

use crate::{
    connection::{Aside, open_aside, open_reader},
    ending::working,
    error::{StoreError, panic_message},
    key::DatabaseKey,
    tx::Reader,
};

/// Most connections that read at once: a small machine's cores. More would only take memory.
pub(crate) const MAX_READERS: usize = 4;

/// How long closing waits for closures that are still reading.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// The connections.
#[derive(Debug)]
pub(crate) struct Pool {
    database: PathBuf,
    key: DatabaseKey,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    busy: usize,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(database: PathBuf, key: DatabaseKey) -> Self {
        Self { database, key, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Runs a closure on a snapshot.
    pub(crate) fn read<R>(
        &self,
        closure: impl FnOnce(&Reader<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let _working = working();
        let mut borrowed = self.borrow()?;
        let conn = match borrowed.conn.take() {
            Some(conn) => conn,
            None => open_reader(&self.database, &self.key)
                .map_err(|err| StoreError::sql("open a connection to read with", err))?,
        };
        let (result, ended) = snapshot(&conn, closure);
        // A connection that has met a damaged page is refused everything by SQLCipher from then on.
        if ended && !matches!(result, Err(StoreError::Corrupt { .. })) {
            borrowed.conn = Some(conn);
        }
        result
    }

    /// Runs a closure with a connection of its own, which counts as one of those that read, and is closed after it.
    pub(crate) fn aside<R, E: From<StoreError>>(
        &self,
        closure: impl FnOnce(Aside) -> Result<R, E>,
    ) -> Result<R, E> {
        let _working = working();
        let _place = self.borrow()?.without_connection();
        let aside = open_aside(&self.database, &self.key)
            .map_err(|err| StoreError::sql("open a connection to read with", err))?;
        catch_unwind(AssertUnwindSafe(|| closure(aside)))
            .unwrap_or_else(|panic| Err(StoreError::Panicked { message: panic_message(&*panic) }.into()))
    }

    /// Whether the store is being closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until a connection is free or may be opened.
    fn borrow(&self) -> Result<Borrowed<'_>, StoreError> {
        let full = |state: &mut State| state.busy >= MAX_READERS && !state.closed;
        let mut state = self.changed.wait_while(self.state(), full).unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(StoreError::Closed);
        }
        state.busy += 1;
        Ok(Borrowed { pool: self, conn: state.idle.pop() })
    }

    /// Closes the connections, those in use when their closures are done.
    pub(crate) fn close(&self) {
        let _working = working();
        let mut state = self.state();
        state.closed = true;
        state.idle.clear();
        self.changed.notify_all();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, CLOSE_PATIENCE, |state| state.busy > 0)
            .unwrap_or_else(PoisonError::into_inner);
        if state.busy > 0 {
            tracing::warn!(busy = state.busy, "closing the store although it is still being read");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the closure says, and whether the connection is as it was before.
fn snapshot<R>(
    conn: &Connection,
    closure: impl FnOnce(&Reader<'_>) -> Result<R, StoreError>,
) -> (Result<R, StoreError>, bool) {
    let run = |sql| conn.prepare_cached(sql).and_then(|mut stmt| stmt.execute([])).map(drop);
    if let Err(err) = run("BEGIN") {
        return (Err(StoreError::sql("begin to read", err)), false);
    }
    let result = catch_unwind(AssertUnwindSafe(|| closure(&Reader::new(conn))))
        .unwrap_or_else(|panic| Err(StoreError::Panicked { message: panic_message(&*panic) }));
    (result, run("COMMIT").is_ok())
}

/// A place among the readers, with a connection once there is one.
struct Borrowed<'a> {
    pool: &'a Pool,
    conn: Option<Connection>,
}

impl Borrowed<'_> {
    /// The place alone: the connection goes back to those that are idle.
    fn without_connection(mut self) -> Self {
        if let Some(conn) = self.conn.take() {
            self.pool.state().idle.push(conn);
        }
        self
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.busy -= 1;
        if let Some(conn) = self.conn.take().filter(|_| !state.closed) {
            state.idle.push(conn);
        }
        self.pool.changed.notify_all();
    }
}

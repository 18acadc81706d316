//! The bounds of the API, each with its reason.

use std::time::Duration;

use covey_types::limits::{MAX_RECORD_BYTES, MAX_RECORD_ID_BYTES};

/// Longest JSON body of one request: the largest record, even when every byte of it is escaped once.
pub const MAX_BODY_BYTES: usize = 2 << 20;

/// Longest line of an import: the largest record with its id and its wrapping.
pub const MAX_LINE_BYTES: usize = MAX_RECORD_BYTES + MAX_RECORD_ID_BYTES + 1024;

/// Most rows that are written at once. Large enough that the one fsync behind it doesn't matter at
/// 100,000 rows per second, small enough to stay within memory.
pub const MAX_BATCH_ROWS: usize = 4096;

/// Most bytes of documents that are written at once: bounds the memory of an import.
pub const MAX_BATCH_BYTES: usize = 4 << 20;

/// Batches that wait while one is written: reading and parsing go on meanwhile.
pub const BATCHES_WAITING: usize = 2;

/// Records per page unless the client says otherwise.
pub const DEFAULT_PAGE: usize = 100;

/// Most records per page, and the size of the pages that streams are made of.
pub const MAX_PAGE: usize = 1000;

/// Most bytes of documents that a page collects before it ends early.
pub const MAX_PAGE_BYTES: usize = 8 << 20;

/// Rows of a query's answer unless the client says otherwise: what a person may want to look through.
pub const DEFAULT_SQL_ROWS: usize = 1000;

/// Events that are kept for clients that come back: an hour of a lively network.
pub const EVENTS_KEPT: usize = 1024;

/// Connections served at once. A person has a few; a program that leaks them meets a bound.
pub const MAX_CONNECTIONS: usize = 256;

/// A connection on which no whole head of a request comes for so long is closed, web sockets not. Longer than a slow client takes,
/// and short enough that whoever fills all connections with silence doesn't keep others out.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Rejected credentials per [`FAILURE_WINDOW`] before they are answered with 429. Right ones always pass,
/// so that a program that guesses can't lock the owner out.
pub const MAX_FAILURES: u32 = 20;

/// See [`MAX_FAILURES`].
pub const FAILURE_WINDOW: Duration = Duration::from_mins(1);

/// Browser links that wait to be opened; the oldest goes when there are more.
pub const MAX_OPEN_LINKS: usize = 8;

/// How long a browser link waits to be opened.
pub const LINK_LIFETIME: Duration = Duration::from_hours(1);

/// Browsers signed in at once; the oldest is signed out when there are more. As many as the node keeps.
pub use covey_node::MAX_BROWSERS;

/// How long a browser stays signed in: somebody who comes back within a month finds the page open.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Longest that a client may ask to wait for a join.
pub const MAX_JOIN: Duration = Duration::from_hours(1);

/// How long a join tries unless the client says otherwise.
pub const DEFAULT_JOIN: Duration = Duration::from_mins(1);

/// A quiet WebSocket is pinged this often, so that a client that vanished is noticed.
pub const PING_EVERY: Duration = Duration::from_secs(30);

/// A client that takes this long to accept one message is gone.
pub const SEND_TIMEOUT: Duration = Duration::from_mins(1);

/// Most bytes of a refused body that are read and dropped, so that the client gets to see the answer
/// instead of a reset connection.
pub const MAX_DRAIN_BYTES: usize = 64 << 20;

/// Longest time spent on that.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long requests that are under way may take to end when the node stops.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Jobs that run at once. Each holds a task, and of an import some MiB; the store writes one thing at a time anyhow.
pub const MAX_RUNNING_JOBS: usize = 8;

/// Jobs that have ended and are still told of; the oldest goes when there are more.
pub const MAX_ENDED_JOBS: usize = 64;

/// How long after its end a job is told of: whoever began it may have been away.
pub const JOB_KEPT: Duration = Duration::from_hours(1);

/// How often the progress of a job is told as an event, at most.
pub const JOB_TOLD_EVERY: Duration = Duration::from_millis(250);

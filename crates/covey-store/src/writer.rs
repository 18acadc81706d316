//! The writing thread: one connection, group commit.
//!
//! Closures wait in a bounded queue. The thread begins a transaction, runs what is waiting, each closure
//! in a savepoint of its own, commits (one fsync), and only then answers all of them. The busier it is,
//! the more closures share a commit; alone, a closure waits for nobody.
//!
//! What the thread remembers between statements ([`Pending`]) is forgotten with every rollback.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    ending::working,
    error::{StoreError, WriteError, panic_message},
    home::{Home, Lock},
    tables::{position, save_position},
    tx::{Pending, Tx},
};

/// Closures that may wait. Each can hold a batch of entries, so there are few; whoever comes later waits
/// in turn, which is how a slow disk slows its writers down.
const MAX_QUEUED: usize = 64;

/// Most closures in one commit.
const MAX_GROUP: usize = 256;

/// Once a group has taken this long it is committed: nobody waits much longer than for a commit alone.
const MAX_GROUP_TIME: Duration = Duration::from_millis(10);

/// A write-ahead log larger than this is carried over and cut, where needed by waiting for readers that
/// hold it back. Four times what automatic checkpoints let it grow to.
const MAX_WAL_BYTES: u64 = 64 << 20;

/// How much larger it has to be before that is tried again, when a reader was too slow.
const WAL_RETRY_BYTES: u64 = 16 << 20;

/// How long a reader is waited for then: changes wait too.
const WAL_PATIENCE: Duration = Duration::from_millis(100);

/// How long the writer keeps its pages in memory when there is nothing to do.
const IDLE_BEFORE_SHRINK: Duration = Duration::from_secs(5);

/// A closure with its way back, of whatever types.
pub(crate) trait Job: Send {
    /// Runs the closure; whether its changes are to be kept.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Answers, once it is known what became of the commit.
    fn answer(self: Box<Self>, commit: Result<(), &Arc<StoreError>>);
}

/// What becomes of a change.
type Outcome<R, E> = Result<R, WriteError<E>>;

enum Step<F, R, E> {
    Waiting(F),
    Done(Outcome<R, E>),
    Taken,
}

struct Change<F, R, E> {
    step: Step<F, R, E>,
    reply: oneshot::Sender<Outcome<R, E>>,
}

/// A closure made ready for the queue, and where its answer will come.
pub(crate) fn job<F, R, E>(closure: F) -> (Box<dyn Job>, oneshot::Receiver<Outcome<R, E>>)
where
    F: FnOnce(&mut Tx<'_>) -> Result<R, E> + Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Change { step: Step::Waiting(closure), reply }), answer)
}

impl<F, R, E> Job for Change<F, R, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<R, E> + Send,
    R: Send,
    E: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Step::Waiting(closure) = std::mem::replace(&mut self.step, Step::Taken) else { return false };
        let outcome = match catch_unwind(AssertUnwindSafe(|| closure(tx))) {
            Ok(Ok(value)) => tx.flush().map(|()| value).map_err(|err| failed_commit(&Arc::new(err))),
            Ok(Err(_)) if tx.memory().disk_full.get() => Err(WriteError::DiskFull),
            Ok(Err(refusal)) => Err(WriteError::Refused(refusal)),
            Err(panic) => Err(WriteError::Panicked { message: panic_message(&*panic) }),
        };
        let keep = outcome.is_ok();
        self.step = Step::Done(outcome);
        keep
    }

    fn answer(self: Box<Self>, commit: Result<(), &Arc<StoreError>>) {
        let outcome = match (self.step, commit) {
            (Step::Done(Ok(value)), Ok(())) => Ok(value),
            (Step::Done(Err(err)), _) => Err(err),
            (_, Err(err)) => Err(failed_commit(err)),
            (_, Ok(())) => Err(WriteError::Closed),
        };
        // Nobody listening any more is no reason to undo anything.
        let _ = self.reply.send(outcome);
    }
}

fn failed_commit<E>(err: &Arc<StoreError>) -> WriteError<E> {
    if err.is_disk_full() { WriteError::DiskFull } else { WriteError::Commit(Arc::clone(err)) }
}

enum Command {
    Run(Box<dyn Job>),
    /// Look whether the store is being closed.
    Wake,
}

/// The queue in front of the writing thread.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Command>,
    closing: Arc<AtomicBool>,
    positions: watch::Receiver<u64>,
    thread: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
}

impl Writer {
    /// Starts the thread, which holds the lock until the connection is closed.
    pub(crate) fn start(conn: Connection, home: Home, lock: Lock) -> Result<Self, StoreError> {
        let newest = position(&conn).map_err(|err| StoreError::sql("read the newest position", err))?;
        let (queue, commands) = mpsc::channel(MAX_QUEUED);
        let (announce, positions) = watch::channel(newest);
        let closing = Arc::new(AtomicBool::new(false));
        let pending = Pending::default();
        pending.position.set(newest);
        let work =
            Work { conn, home, commands, announce, pending, closing: Arc::clone(&closing), wal_tried: 0 };
        let thread = thread::Builder::new()
            .name("covey-store".into())
            .spawn(move || {
                let closed = work.run();
                drop(lock);
                closed
            })
            .map_err(|err| StoreError::Panicked { message: format!("no thread to write with: {err}") })?;
        Ok(Self { queue, closing, positions, thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn positions(&self) -> watch::Receiver<u64> {
        self.positions.clone()
    }

    /// Queues a closure; `false` if the store is closed.
    pub(crate) async fn send(&self, job: Box<dyn Job>) -> bool {
        self.is_open() && self.queue.send(Command::Run(job)).await.is_ok()
    }

    /// Like [`Writer::send`] for threads that may block.
    pub(crate) fn send_blocking(&self, job: Box<dyn Job>) -> bool {
        self.is_open() && self.queue.blocking_send(Command::Run(job)).is_ok()
    }

    fn is_open(&self) -> bool {
        !self.closing.load(Ordering::Acquire)
    }

    /// Lets the thread finish what is queued, and waits for it to close the database.
    pub(crate) fn stop(&self) -> Result<(), StoreError> {
        self.closing.store(true, Ordering::Release);
        // A full queue needs no waking: the thread looks after every group.
        let _ = self.queue.try_send(Command::Wake);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread {
            // The last handle was dropped inside a closure: the thread ends by itself.
            Some(thread) if thread.thread().id() == thread::current().id() => Ok(()),
            Some(thread) => thread
                .join()
                .unwrap_or_else(|panic| Err(StoreError::Panicked { message: panic_message(&*panic) })),
            None => Ok(()),
        }
    }
}

/// What the thread has.
struct Work {
    conn: Connection,
    home: Home,
    commands: mpsc::Receiver<Command>,
    announce: watch::Sender<u64>,
    pending: Pending,
    closing: Arc<AtomicBool>,
    /// The size of the write-ahead log when cutting it was last tried in vain.
    wal_tried: u64,
}

impl Work {
    fn run(mut self) -> Result<(), StoreError> {
        let timer = tokio::runtime::Builder::new_current_thread().enable_time().build().ok();
        while let Some(command) = self.next(timer.as_ref()) {
            let _working = working();
            if let Command::Run(job) = command {
                self.run_group(job);
                self.bound_wal();
            }
            if self.closing.load(Ordering::Acquire) {
                // What is queued is still done; then the queue is at its end.
                self.commands.close();
            }
        }
        self.close()
    }

    /// The next command, for which memory is given back if it keeps us waiting.
    fn next(&mut self, timer: Option<&tokio::runtime::Runtime>) -> Option<Command> {
        if let Ok(command) = self.commands.try_recv() {
            return Some(command);
        }
        if let Some(timer) = timer {
            let soon = timer
                .block_on(async { tokio::time::timeout(IDLE_BEFORE_SHRINK, self.commands.recv()).await });
            if let Ok(command) = soon {
                return command;
            }
        }
        let giving_back = working();
        if let Err(err) = self.conn.execute_batch("PRAGMA shrink_memory") {
            tracing::debug!(%err, "could not give memory back");
        }
        drop(giving_back);
        self.commands.blocking_recv()
    }

    fn run_group(&mut self, first: Box<dyn Job>) {
        let started = Instant::now();
        let before = self.pending.position.get();
        let mut group = Vec::new();
        let mut outcome = self.begin();
        let mut next = Some(first);
        while let Some(mut job) = next.take() {
            outcome = outcome.and_then(|()| self.run_one(&mut *job));
            group.push(job);
            if outcome.is_ok() && group.len() < MAX_GROUP && started.elapsed() < MAX_GROUP_TIME {
                next = self.waiting();
            }
        }
        let outcome = outcome.and_then(|()| self.commit(before)).map_err(Arc::new);
        if let Err(err) = &outcome {
            tracing::warn!(%err, changes = group.len(), "a commit failed; its changes were not made");
            self.roll_back(before);
        }
        self.pending.trim();
        let newest = self.pending.position.get();
        self.announce.send_if_modified(|known| std::mem::replace(known, newest) != newest);
        for job in group {
            job.answer(outcome.as_ref().copied());
        }
    }

    fn waiting(&mut self) -> Option<Box<dyn Job>> {
        match self.commands.try_recv() {
            Ok(Command::Run(job)) => Some(job),
            Ok(Command::Wake) | Err(_) => None,
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.execute("begin a transaction", "BEGIN IMMEDIATE")
    }

    /// Runs one closure. An error means that the whole transaction is lost.
    fn run_one(&self, job: &mut dyn Job) -> Result<(), StoreError> {
        let before = self.pending.position.get();
        self.pending.disk_full.set(false);
        self.execute("begin a change", "SAVEPOINT change")?;
        let keep = job.run(&mut Tx::new(&self.conn, &self.pending));
        if self.conn.is_autocommit() {
            return Err(if self.pending.disk_full.get() {
                StoreError::DiskFull { doing: "change the store" }
            } else {
                StoreError::RolledBack
            });
        }
        if !keep {
            self.pending.forget(before);
            self.execute("undo a change", "ROLLBACK TO change")?;
        }
        self.execute("end a change", "RELEASE change")
    }

    fn commit(&self, before: u64) -> Result<(), StoreError> {
        let newest = self.pending.position.get();
        if newest != before {
            save_position(&self.conn, newest)
                .map_err(|err| StoreError::sql("note the newest position", err))?;
        }
        self.execute("commit", "COMMIT")
    }

    fn roll_back(&self, position: u64) {
        self.pending.forget(position);
        if !self.conn.is_autocommit()
            && let Err(err) = self.execute("roll back", "ROLLBACK")
        {
            tracing::error!(%err, "a failed transaction could not be rolled back");
        }
    }

    fn execute(&self, doing: &'static str, sql: &str) -> Result<(), StoreError> {
        let done = self.conn.prepare_cached(sql).and_then(|mut stmt| stmt.execute([]));
        done.map(drop).map_err(|err| StoreError::sql(doing, err))
    }

    /// Automatic checkpoints don't cut the log while readers come and go without a pause.
    fn bound_wal(&mut self) {
        let size = fs::metadata(self.home.wal()).map_or(0, |found| found.len());
        if size <= MAX_WAL_BYTES {
            self.wal_tried = 0;
        } else if size > self.wal_tried + WAL_RETRY_BYTES {
            self.wal_tried = size;
            if let Err(err) = self.cut_wal() {
                tracing::debug!(%err, size, "the write-ahead log could not be cut yet");
            }
        }
    }

    fn cut_wal(&self) -> rusqlite::Result<()> {
        let usual = self.conn.pragma_query_value(None, "busy_timeout", |row| row.get::<_, u32>(0))?;
        self.conn.busy_timeout(WAL_PATIENCE)?;
        let cut = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.conn.busy_timeout(Duration::from_millis(usual.into()))?;
        cut
    }

    fn close(self) -> Result<(), StoreError> {
        let _working = working();
        // A disk without room for it is no reason to fail: the log is as durable as the database.
        if let Err(err) = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%err, "the write-ahead log is kept until the store is opened again");
        }
        self.conn.close().map_err(|(_, err)| StoreError::sql("close the database", err))
    }
}

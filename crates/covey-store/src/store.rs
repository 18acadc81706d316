//! [`Store`]: opening, writing, reading, closing.

use std::{fs, path::Path, sync::Arc};

use tokio::sync::{Semaphore, watch};

use crate::{
    backup::{self, BackupError, Contents, Watcher},
    connection::{open_writer, probe},
    ending::working,
    error::{OpenError, StoreError, WriteError},
    home::{Home, Lock, create_private, remove_if_there, sync_folder_of},
    key::{self, DatabaseKey, Unlock},
    pool::{MAX_READERS, Pool},
    schema::{SCHEMA_VERSION, migrate},
    sql::{self, SqlAnswer, SqlError, SqlQuery},
    tx::{Reader, Tx},
    writer::{Writer, job},
};

/// Most problems that a check of the whole database lists.
const MAX_PROBLEMS: usize = 20;

/// The store of one node. Cloning gives another handle to the same store; it is closed by
/// [`Store::close`] or with its last handle.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    home: Home,
    pool: Arc<Pool>,
    /// Keeps tasks that want to read from occupying threads while they wait for a connection.
    reading: Arc<Semaphore>,
    /// The same for queries that people make, of which fewer run at once.
    querying: Arc<Semaphore>,
    writer: Writer,
}

impl Store {
    /// Opens the store in this folder; makes both if they aren't there.
    ///
    /// # Errors
    /// [`OpenError`]. An existing store is left as it is, byte by byte, when it can't be opened.
    pub fn open(home: &Path, unlock: Unlock) -> Result<Self, OpenError> {
        let _working = working();
        let home = Home::at(home);
        home.create()?;
        let folder = fs::canonicalize(home.folder()).map_err(|err| home.error("finding the folder", err))?;
        let home = Home::at(&folder);
        let lock = Lock::take(&home)?;
        let key =
            if home.database().exists() { unlock_existing(&home, &unlock) } else { create(&home, &unlock) };
        let key = key?;
        drop(unlock);
        let database = |source| OpenError::Database { path: home.database(), source };
        let opened =
            open_writer(&home.database(), &key).and_then(|mut conn| migrate(&mut conn).map(|()| conn));
        let conn = opened.map_err(|err| database(StoreError::sql("open and bring it up to date", err)))?;
        let writer = Writer::start(conn, home.clone(), lock).map_err(database)?;
        let pool = Arc::new(Pool::new(home.database(), key));
        let places = |count| Arc::new(Semaphore::new(count));
        let (reading, querying) = (places(MAX_READERS), places(sql::MAX_QUERIES));
        Ok(Self(Arc::new(Inner { home, pool, reading, querying, writer })))
    }

    /// Makes a change, all of it or nothing, and answers when it is on disk. Changes are made in the
    /// order they come; those that come together share a commit.
    ///
    /// The change is made even if the future is dropped once it has been polled to the queue.
    ///
    /// # Errors
    /// [`WriteError::Refused`] with what the closure said, or the reason why it could not be committed.
    pub async fn write<R, E>(
        &self,
        change: impl FnOnce(&mut Tx<'_>) -> Result<R, E> + Send + 'static,
    ) -> Result<R, WriteError<E>>
    where
        R: Send + 'static,
        E: Send + 'static,
    {
        let (job, answer) = job(change);
        if !self.0.writer.send(job).await {
            return Err(WriteError::Closed);
        }
        answer.await.unwrap_or(Err(WriteError::Closed))
    }

    /// Like [`Store::write`], for threads outside of an async runtime.
    ///
    /// # Panics
    /// On a thread that runs async tasks, which must not block.
    pub fn write_blocking<R, E>(
        &self,
        change: impl FnOnce(&mut Tx<'_>) -> Result<R, E> + Send + 'static,
    ) -> Result<R, WriteError<E>>
    where
        R: Send + 'static,
        E: Send + 'static,
    {
        let (job, answer) = job(change);
        if !self.0.writer.send_blocking(job) {
            return Err(WriteError::Closed);
        }
        answer.blocking_recv().unwrap_or(Err(WriteError::Closed))
    }

    /// Looks at a snapshot of the store: everything that was committed before, nothing that comes later.
    /// Keep it short; a snapshot that is held for long holds the write-ahead log back.
    pub async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Reader<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let place = Arc::clone(&self.0.reading).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let pool = Arc::clone(&self.0.pool);
        let read = tokio::task::spawn_blocking(move || {
            let result = pool.read(look);
            drop(place);
            result
        });
        // Only a runtime that shuts down cancels it.
        read.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Like [`Store::read`], on this thread.
    pub fn read_blocking<R>(
        &self,
        look: impl FnOnce(&Reader<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.0.pool.read(look)
    }

    /// Runs a query over the records of a space: see [`sql`](crate::sql). Few run at once; the others wait.
    ///
    /// # Errors
    /// [`SqlError`] says what is wrong with it, or that it took too much.
    pub async fn sql(&self, query: SqlQuery) -> Result<SqlAnswer, SqlError> {
        let closed = |_| StoreError::Closed;
        let turn = Arc::clone(&self.0.querying).acquire_owned().await.map_err(closed)?;
        let place = Arc::clone(&self.0.reading).acquire_owned().await.map_err(closed)?;
        let pool = Arc::clone(&self.0.pool);
        let run = tokio::task::spawn_blocking(move || {
            let answer = sql::run(&pool, &query);
            drop((place, turn));
            answer
        });
        // Only a runtime that shuts down cancels it.
        run.await.unwrap_or(Err(SqlError::Store(StoreError::Closed)))
    }

    /// Like [`Store::sql`], on this thread.
    ///
    /// # Errors
    /// As [`Store::sql`].
    pub fn sql_blocking(&self, query: &SqlQuery) -> Result<SqlAnswer, SqlError> {
        sql::run(&self.0.pool, query)
    }

    /// The newest committed position, and word of every new one.
    pub fn position_watch(&self) -> watch::Receiver<u64> {
        self.0.writer.positions()
    }

    /// Checks every page of the database and how they hang together; what is wrong, or nothing. Takes
    /// as long as reading the whole file.
    pub async fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        problems(self.read(check).await)
    }

    /// Like [`Store::integrity_check`], on this thread.
    pub fn integrity_check_blocking(&self) -> Result<Vec<String>, StoreError> {
        problems(self.read_blocking(check))
    }

    /// Writes everything that is in the store now to a new file, encrypted under this passphrase, and reads it back.
    /// Others go on reading and writing meanwhile. Takes as long as reading the whole database three times, on this
    /// thread; the write-ahead log grows meanwhile by what others write.
    ///
    /// # Errors
    /// [`BackupError`]; there is no file then.
    pub fn backup_blocking(
        &self,
        to: &Path,
        passphrase: &str,
        watch: Watcher<'_>,
    ) -> Result<Contents, BackupError> {
        self.0.pool.read(|reader| match backup::write::write(reader.conn(), to, passphrase, watch) {
            // A connection that met damage isn't used again.
            Err(BackupError::Store(err)) => Err(err),
            other => Ok(other),
        })?
    }

    /// Bytes that the database and its write-ahead log take on disk.
    pub fn size_bytes(&self) -> u64 {
        [self.0.home.database(), self.0.home.wal()]
            .iter()
            .map(|file| fs::metadata(file).map_or(0, |found| found.len()))
            .sum()
    }

    /// Bytes that may still be written on the disk of the store; `None` if the system doesn't tell.
    pub fn free_bytes(&self) -> Option<u64> {
        let free = self.0.home.free_bytes();
        free.inspect_err(|err| tracing::debug!(%err, "how much room the disk has is not known")).ok()
    }

    /// The folder of the store.
    pub fn home(&self) -> &Path {
        self.0.home.folder()
    }

    /// Closes the store, whoever else has a handle: changes that are queued are made, closures that
    /// read come to their end, the write-ahead log is carried over, the lock is released. Later calls
    /// on other handles get [`StoreError::Closed`].
    ///
    /// Blocks for moments, so that it may be called anywhere but in a closure given to this store.
    pub fn close(self) -> Result<(), StoreError> {
        self.0.close()
    }
}

impl Inner {
    fn close(&self) -> Result<(), StoreError> {
        self.querying.close();
        self.reading.close();
        self.pool.close();
        self.writer.stop()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(err) = self.close() {
            tracing::warn!(%err, "closing the store");
        }
    }
}

/// Damage is an error here, so that the connection that met it isn't used again.
fn check(reader: &Reader<'_>) -> Result<(), StoreError> {
    let doing = "check the database";
    let sql = format!("PRAGMA integrity_check({MAX_PROBLEMS})");
    let mut found: Vec<String> = reader.rows(doing, &sql, [], |row| row.get(0))?;
    found.retain(|line| line != "ok");
    if found.is_empty() { Ok(()) } else { Err(StoreError::Corrupt { doing, reason: found.join("\n") }) }
}

/// Damage is what a check looks for: to have found it isn't a failure of the check.
fn problems(checked: Result<(), StoreError>) -> Result<Vec<String>, StoreError> {
    match checked {
        Ok(()) => Ok(Vec::new()),
        Err(StoreError::Corrupt { reason, .. }) => Ok(reason.lines().map(str::to_owned).collect()),
        Err(other) => Err(other),
    }
}

/// The key of a store that is there, once it is certain that the database can be opened with it.
fn unlock_existing(home: &Home, unlock: &Unlock) -> Result<DatabaseKey, OpenError> {
    let key = key::unlock(home, unlock)?;
    let path = home.database();
    match probe(home, &key) {
        Ok(0) => Err(OpenError::Corrupt { path, reason: "there is nothing in it".into() }),
        Ok(found) if found > SCHEMA_VERSION => {
            Err(OpenError::NewerSchema { path, found, known: SCHEMA_VERSION })
        }
        Ok(_) => Ok(key),
        Err(err) => Err(match StoreError::sql("read it", err) {
            StoreError::Corrupt { reason, .. } => OpenError::Corrupt { path, reason },
            source => OpenError::Database { path, source },
        }),
    }
}

/// Makes a store. The database gets its name only when it is complete, so that one that is there was
/// complete once, and making one that was interrupted is simply begun again.
fn create(home: &Home, unlock: &Unlock) -> Result<DatabaseKey, OpenError> {
    let path = home.database();
    if home.wal().exists() {
        let reason = "its write-ahead log is there and the file itself is gone".into();
        return Err(OpenError::Corrupt { path, reason });
    }
    let key = key::create(home, unlock)?;
    let new = home.new_database();
    let file_error = |action| {
        let path = new.clone();
        move |source| OpenError::File { action, path, source }
    };
    for left_over in ["covey.db.new-wal", "covey.db.new-shm", "covey.db.new-journal"] {
        remove_if_there(&home.folder().join(left_over)).map_err(file_error("remove"))?;
    }
    create_private(&new).map_err(file_error("create"))?;
    let made = open_writer(&new, &key)
        .and_then(|mut conn| migrate(&mut conn).map(|()| conn))
        .and_then(|conn| conn.close().map_err(|(_, err)| err));
    made.map_err(|err| OpenError::Database {
        path: path.clone(),
        source: StoreError::sql("write the schema", err),
    })?;
    fs::File::open(&new).and_then(|file| file.sync_all()).map_err(file_error("write"))?;
    fs::rename(&new, &path).and_then(|()| sync_folder_of(&path)).map_err(file_error("rename"))?;
    Ok(key)
}

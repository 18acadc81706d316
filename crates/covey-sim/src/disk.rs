//! What a machine keeps.
//!
//! The model promises what the store promises, in a few maps that share what they have in common: a transaction is
//! all or nothing, and what is committed is *volatile* until it is synced. A crash tears at what is below that promise: of what was
//! written since the last sync the disk has any sectors, and recovery keeps the transactions up to the first torn one. So
//! a machine may come back with what nobody was told of, or with nothing of it. The real store is torn in the same way,
//! sector by sector, by covey-store's own test `power`.

use std::sync::{Arc, Mutex, PoisonError};

use covey_engine::{AnyRows, Engine, EngineError, Rows, RowsMut};
use covey_store::{
    CollectionKey, ForkRow, HeldRow, LogKey, LogRow, NewEnd, NewEntry, RecordRow, SpaceKey, SpaceRow, Store,
    StoreError, StoredEntry, Unlock, WriteError,
};
use covey_types::{EntryHash, Head, Hlc, LogId, SpaceId};
use rpds::RedBlackTreeMapSync as Map;

/// Sectors that a transaction of the model takes, each of which a crash may lose.
const SECTORS: u32 = 3;

type Stored<T> = Result<T, StoreError>;

/// Rows as maps.
#[derive(Debug, Clone)]
pub struct Rowset {
    meta: Map<String, Vec<u8>>,
    spaces: Map<i64, SpaceRow>,
    logs: Map<i64, (SpaceKey, LogRow)>,
    entries: Map<(i64, u64), Arc<StoredEntry>>,
    membership: Map<i64, (SpaceKey, LogKey, u64)>,
    held: Map<(i64, u64), HeldRow>,
    forks: Map<(i64, LogId), ForkRow>,
    set_aside: Map<(i64, u64), Arc<StoredEntry>>,
    collections: Map<i64, (SpaceKey, String)>,
    records: Map<(i64, String), Arc<RecordRow>>,
    position: u64,
    next: i64,
}

impl Default for Rowset {
    fn default() -> Self {
        Self {
            meta: Map::new_sync(),
            spaces: Map::new_sync(),
            logs: Map::new_sync(),
            entries: Map::new_sync(),
            membership: Map::new_sync(),
            held: Map::new_sync(),
            forks: Map::new_sync(),
            set_aside: Map::new_sync(),
            collections: Map::new_sync(),
            records: Map::new_sync(),
            position: 0,
            next: 0,
        }
    }
}

fn missing(doing: &'static str, what: &'static str, key: impl ToString) -> StoreError {
    StoreError::Missing { doing, what, key: key.to_string() }
}

impl Rowset {
    fn key(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn insert_entry(&mut self, log: LogKey, entry: &NewEntry<'_>) {
        self.entries.insert_mut((log.number(), entry.seq), stored(entry));
    }
}

fn stored(entry: &NewEntry<'_>) -> Arc<StoredEntry> {
    Arc::new(StoredEntry {
        seq: entry.seq,
        hash: entry.hash,
        header: entry.header.to_vec(),
        signature: *entry.signature,
        body: entry.body.to_vec(),
    })
}

impl Rows for Rowset {
    fn meta(&self, key: &str) -> Stored<Option<Vec<u8>>> {
        Ok(self.meta.get(key).cloned())
    }

    fn spaces(&self) -> Stored<Vec<SpaceRow>> {
        Ok(self.spaces.values().cloned().collect())
    }

    fn logs(&self, space: SpaceKey) -> Stored<Vec<LogRow>> {
        Ok(self.logs.values().filter(|(of, _)| *of == space).map(|(_, row)| *row).collect())
    }

    fn log(&self, space: SpaceKey, id: LogId) -> Stored<Option<LogRow>> {
        Ok(self.logs.values().find(|(of, row)| *of == space && row.id == id).map(|(_, row)| *row))
    }

    fn head(&self, log: LogKey) -> Stored<Head> {
        let row = self.logs.get(&log.number());
        row.map(|(_, row)| row.head).ok_or_else(|| missing("read the head of a log", "log", log))
    }

    fn entry(&self, log: LogKey, seq: u64) -> Stored<Option<StoredEntry>> {
        Ok(self.entries.get(&(log.number(), seq)).map(|entry| (**entry).clone()))
    }

    fn entries(
        &self,
        log: LogKey,
        from: u64,
        max_bytes: usize,
        max_count: usize,
    ) -> Stored<Vec<StoredEntry>> {
        let number = log.number();
        let mut bytes = 0;
        let mut found = Vec::new();
        for (_, entry) in self.entries.range((number, from)..=(number, u64::MAX)).take(max_count) {
            bytes += entry.size_bytes();
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push((**entry).clone());
        }
        Ok(found)
    }

    fn hash_at(&self, log: LogKey, seq: u64) -> Stored<Option<EntryHash>> {
        Ok(self.entry(log, seq)?.map(|entry| entry.hash))
    }

    fn membership(&self, space: SpaceKey) -> Stored<Vec<(LogKey, StoredEntry)>> {
        let of_space = self.membership.values().filter(|(of, ..)| *of == space);
        of_space
            .map(|(_, log, seq)| {
                let entry = self.entry(*log, *seq)?;
                Ok((*log, entry.ok_or_else(|| missing("read the membership", "entry", seq))?))
            })
            .collect()
    }

    fn apart(&self, space: SpaceKey) -> Stored<Vec<(LogKey, u64)>> {
        let mut found = Vec::new();
        for row in self.logs(space)? {
            let entries = self.entries(row.key, row.head.seq + 1, usize::MAX, usize::MAX)?;
            found.extend(entries.into_iter().map(|entry| (row.key, entry.seq)));
        }
        Ok(found)
    }

    fn held(&self, space: SpaceKey) -> Stored<Vec<HeldRow>> {
        let mut held: Vec<HeldRow> = self
            .held
            .iter()
            .filter(|((log, _), _)| self.logs.get(log).is_some_and(|(of, _)| *of == space))
            .map(|(_, row)| *row)
            .collect();
        held.sort_by_key(|row| (row.until_ms, row.log, row.seq));
        Ok(held)
    }

    fn forks(&self, space: SpaceKey) -> Stored<Vec<ForkRow>> {
        let of_space = self.forks.iter().filter(|((of, _), _)| *of == space.number());
        Ok(of_space.map(|(_, row)| row.clone()).collect())
    }

    fn set_aside(&self, log: LogKey, from: u64, max_count: usize) -> Stored<Vec<StoredEntry>> {
        let found = self.set_aside.range((log.number(), from)..=(log.number(), u64::MAX)).take(max_count);
        Ok(found.map(|(_, entry)| (**entry).clone()).collect())
    }

    fn collection(&self, space: SpaceKey, name: &str) -> Stored<Option<CollectionKey>> {
        let found = self.collections.iter().find(|(_, (of, known))| *of == space && known == name);
        Ok(found.map(|(number, _)| CollectionKey::new(*number)))
    }

    fn record(&self, collection: CollectionKey, id: &str) -> Stored<Option<RecordRow>> {
        let number = collection.number();
        Ok(self.records.get(&(number, id.to_owned())).map(|row| (**row).clone()))
    }
}

impl RowsMut for Rowset {
    fn part(&mut self, part: &mut dyn FnMut(&mut dyn RowsMut) -> bool) -> Stored<()> {
        let before = self.clone();
        if !part(self) {
            *self = before;
        }
        Ok(())
    }

    fn set_meta(&mut self, key: &str, value: &[u8]) -> Stored<()> {
        self.meta.insert_mut(key.to_owned(), value.to_vec());
        Ok(())
    }

    fn insert_space(&mut self, id: SpaceId, info: &[u8]) -> Stored<SpaceKey> {
        if self.spaces.values().any(|row| row.id == id) {
            return Err(StoreError::SpaceExists { id });
        }
        let number = self.key();
        let key = SpaceKey::new(number);
        self.spaces.insert_mut(number, SpaceRow { key, id, info: info.to_vec() });
        Ok(key)
    }

    fn set_space_info(&mut self, space: SpaceKey, info: &[u8]) -> Stored<()> {
        let row = self.spaces.get(&space.number()).cloned();
        let row = row.ok_or_else(|| missing("note what is known of a space", "space", space))?;
        self.spaces.insert_mut(space.number(), SpaceRow { info: info.to_vec(), ..row });
        Ok(())
    }

    fn ensure_log(&mut self, space: SpaceKey, id: LogId) -> Stored<LogKey> {
        if let Some((_, row)) = self.logs.values().find(|(of, row)| *of == space && row.id == id) {
            return Ok(row.key);
        }
        let number = self.key();
        let key = LogKey::new(number);
        self.logs.insert_mut(number, (space, LogRow { key, id, head: Head::EMPTY, hlc: Hlc::default() }));
        Ok(key)
    }

    fn append(&mut self, log: LogKey, entry: NewEntry<'_>) -> Stored<()> {
        let number = log.number();
        let (space, row) =
            self.logs.get(&number).copied().ok_or_else(|| missing("append an entry", "log", log))?;
        if entry.seq != row.head.seq + 1 || entry.prev != row.head.hash {
            return Err(StoreError::NotNext { log, head: row.head, seq: entry.seq, prev: entry.prev });
        }
        if self.hash_at(log, entry.seq)?.is_some_and(|here| here != entry.hash) {
            return Err(StoreError::NotNext { log, head: row.head, seq: entry.seq, prev: entry.prev });
        }
        self.insert_entry(log, &entry);
        let head = Head { seq: entry.seq, hash: entry.hash };
        self.logs.insert_mut(number, (space, LogRow { head, hlc: entry.hlc, ..row }));
        Ok(())
    }

    fn append_apart(&mut self, log: LogKey, entry: NewEntry<'_>) -> Stored<bool> {
        let head = self.head(log)?;
        let here = self.hash_at(log, entry.seq)?;
        if entry.seq <= head.seq || here.is_some_and(|here| here != entry.hash) {
            return Err(StoreError::NotNext { log, head, seq: entry.seq, prev: entry.prev });
        }
        self.insert_entry(log, &entry);
        Ok(here.is_none())
    }

    fn enter_log(&mut self, log: LogKey, entry: NewEntry<'_>) -> Stored<()> {
        self.append_apart(log, entry)?;
        let number = log.number();
        let (space, row) =
            self.logs.get(&number).copied().ok_or_else(|| missing("append an entry", "log", log))?;
        let head = Head { seq: entry.seq, hash: entry.hash };
        self.logs.insert_mut(number, (space, LogRow { head, hlc: entry.hlc, ..row }));
        Ok(())
    }

    fn drop_entries(
        &mut self,
        log: LogKey,
        from: u64,
        upto: u64,
        max_count: usize,
        _max_bytes: usize,
    ) -> Stored<Option<u64>> {
        let number = log.number();
        let places = self.entries.range((number, from)..=(number, upto)).map(|((_, seq), _)| *seq);
        let places: Vec<u64> = places.take(max_count).collect();
        for seq in &places {
            self.held.remove_mut(&(number, *seq));
            if !self.membership.values().any(|noted| (noted.1, noted.2) == (log, *seq)) {
                self.entries.remove_mut(&(number, *seq));
            }
        }
        Ok(places.last().map(|last| last + 1))
    }

    fn add_membership(&mut self, space: SpaceKey, hash: EntryHash, log: LogKey, seq: u64) -> Stored<()> {
        if self.hash_at(log, seq)? != Some(hash) {
            return Err(missing("note a membership entry", "entry", seq));
        }
        if !self.membership.values().any(|noted| *noted == (space, log, seq)) {
            let number = self.key();
            self.membership.insert_mut(number, (space, log, seq));
        }
        Ok(())
    }

    fn hold(&mut self, log: LogKey, seq: u64, reason: u32, until_ms: u64) -> Stored<()> {
        let number = log.number();
        self.held.insert_mut((number, seq), HeldRow { log, seq, reason, until_ms });
        Ok(())
    }

    fn release(&mut self, log: LogKey, seq: u64) -> Stored<bool> {
        let number = log.number();
        Ok(self.held.remove_mut(&(number, seq)))
    }

    fn put_fork(&mut self, space: SpaceKey, fork: &ForkRow) -> Stored<()> {
        self.forks.insert_mut((space.number(), fork.id), fork.clone());
        Ok(())
    }

    fn truncate(&mut self, log: LogKey, end: NewEnd) -> Stored<()> {
        let number = log.number();
        let (space, row) = self
            .logs
            .get(&number)
            .copied()
            .ok_or_else(|| missing("set the tail of a log aside", "log", log))?;
        if end.from == 0 {
            return Ok(());
        }
        self.copy_aside(log, end.from, u64::MAX)?;
        let places = self.entries.range((number, end.from)..=(number, u64::MAX)).map(|((_, seq), _)| *seq);
        for seq in places.collect::<Vec<_>>() {
            self.entries.remove_mut(&(number, seq));
            self.held.remove_mut(&(number, seq));
        }
        let kept = self.membership.iter().filter(|(_, (_, of, seq))| *of != log || *seq < end.from);
        self.membership = kept.map(|(key, noted)| (*key, *noted)).collect();
        // Entries may have been stored apart from the rest, further on.
        if end.from <= row.head.seq {
            let head = Head { seq: end.from - 1, hash: end.hash };
            self.logs.insert_mut(number, (space, LogRow { head, hlc: end.hlc, ..row }));
        }
        Ok(())
    }

    fn forget_apart(&mut self, log: LogKey, seq: u64) -> Stored<bool> {
        let place = (log.number(), seq);
        if self.logs.get(&place.0).is_none_or(|(_, row)| seq <= row.head.seq) {
            return Ok(false);
        }
        self.held.remove_mut(&place);
        let kept = self.membership.iter().filter(|(_, (_, of, at))| (*of, *at) != (log, seq));
        self.membership = kept.map(|(key, noted)| (*key, *noted)).collect();
        Ok(self.entries.remove_mut(&place))
    }

    fn put_aside(&mut self, log: LogKey, entry: NewEntry<'_>) -> Stored<()> {
        self.set_aside.insert_mut((log.number(), entry.seq), stored(&entry));
        Ok(())
    }

    fn bring_back(&mut self, log: LogKey, end: Head, hlc: Hlc) -> Stored<()> {
        let number = log.number();
        let (space, row) = self
            .logs
            .get(&number)
            .copied()
            .ok_or_else(|| missing("take entries back that were set aside", "log", log))?;
        let places = (number, row.head.seq + 1)..=(number, end.seq);
        let found: Vec<_> =
            self.set_aside.range(places).map(|(place, entry)| (*place, Arc::clone(entry))).collect();
        let in_the_way = found.iter().any(|(place, _)| self.entries.get(place).is_some());
        if in_the_way || found.len() as u64 != end.seq.saturating_sub(row.head.seq) || found.is_empty() {
            return Err(StoreError::NotNext { log, head: row.head, seq: end.seq, prev: EntryHash::NONE });
        }
        for (place, entry) in found {
            self.set_aside.remove_mut(&place);
            self.entries.insert_mut(place, entry);
        }
        self.logs.insert_mut(number, (space, LogRow { head: end, hlc, ..row }));
        Ok(())
    }

    fn copy_aside(&mut self, log: LogKey, from: u64, upto: u64) -> Stored<()> {
        let number = log.number();
        let found: Vec<_> = self.entries.range((number, from)..=(number, upto)).collect();
        let found: Vec<_> = found.into_iter().map(|(place, entry)| (*place, Arc::clone(entry))).collect();
        for (place, entry) in found {
            if self.set_aside.get(&place).is_none() {
                self.set_aside.insert_mut(place, entry);
            }
        }
        Ok(())
    }

    fn ensure_collection(&mut self, space: SpaceKey, name: &str) -> Stored<CollectionKey> {
        if let Some(key) = self.collection(space, name)? {
            return Ok(key);
        }
        let number = self.key();
        self.collections.insert_mut(number, (space, name.to_owned()));
        Ok(CollectionKey::new(number))
    }

    fn put_record(
        &mut self,
        collection: CollectionKey,
        id: &str,
        doc: Option<&str>,
        state: &[u8],
    ) -> Stored<u64> {
        self.position += 1;
        let row = RecordRow { doc: doc.map(str::to_owned), state: state.to_vec(), position: self.position };
        let number = collection.number();
        self.records.insert_mut((number, id.to_owned()), Arc::new(row));
        Ok(self.position)
    }

    fn insert_record(
        &mut self,
        collection: CollectionKey,
        id: &str,
        doc: Option<&str>,
        state: &[u8],
    ) -> Stored<Option<u64>> {
        if self.record(collection, id)?.is_some() {
            return Ok(None);
        }
        self.put_record(collection, id, doc, state).map(Some)
    }

    fn replace_record(
        &mut self,
        collection: CollectionKey,
        id: &str,
        _: u64,
        _: bool,
        doc: Option<&str>,
        state: &[u8],
    ) -> Stored<u64> {
        self.put_record(collection, id, doc, state)
    }
}

/// A copy of what a disk held.
#[derive(Debug)]
pub enum Backup {
    /// The model's rows.
    Model(Box<Rowset>),
    /// The real store's files, as they were while it was open.
    Real(tempfile::TempDir),
}

/// One machine's disk.
#[derive(Debug)]
pub enum Disk {
    /// The model.
    Model {
        /// What a crash leaves.
        durable: Box<Rowset>,
        /// What is committed.
        volatile: Box<Rowset>,
        /// What was committed after each transaction since the last sync: of these a crash may leave some.
        unsynced: Vec<Rowset>,
    },
    /// The real store, in a folder that goes with it. Its commits are durable when they return.
    Real {
        /// The store; gone while the machine is down.
        store: Option<Store>,
        /// Its home.
        home: tempfile::TempDir,
    },
}

fn lock(engine: &Arc<Mutex<Engine>>) -> std::sync::MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The real store answers through a runtime.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime of one thread can be made").block_on(answer)
}

fn open_store(home: &tempfile::TempDir) -> Store {
    Store::open(&home.path().join("home"), Unlock::KeyFile).expect("a store opens in a new folder")
}

/// A folder of its own with the same files.
fn copied(folder: &tempfile::TempDir) -> tempfile::TempDir {
    fn copy(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let (entry, to) = (entry?, to);
            let to = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                copy(&entry.path(), &to)?;
            } else if entry.file_type()?.is_file() {
                std::fs::copy(entry.path(), &to)?;
            }
        }
        Ok(())
    }
    let other = tempfile::tempdir().expect("a temporary folder can be made");
    copy(folder.path(), other.path()).expect("a store's files can be copied");
    other
}

impl Disk {
    /// An empty one.
    ///
    /// # Panics
    /// When the real store can't be made.
    pub fn new(real: bool) -> Self {
        if real {
            let home = tempfile::tempdir().expect("a temporary folder can be made");
            return Self::Real { store: Some(open_store(&home)), home };
        }
        Self::Model { durable: Box::default(), volatile: Box::default(), unsynced: Vec::new() }
    }

    /// Runs one transaction, all or nothing. When it fails, the memory is read afresh.
    ///
    /// # Errors
    /// The job's.
    ///
    /// # Panics
    /// When the store itself fails: nothing here makes it.
    pub fn write<T: Send + 'static>(
        &mut self,
        engine: &Arc<Mutex<Engine>>,
        job: impl FnOnce(&mut AnyRows<'_>, &mut Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        match self {
            Self::Model { volatile, unsynced, .. } => {
                let mut next = volatile.clone();
                let result = job(&mut AnyRows(&mut *next), &mut lock(engine));
                match &result {
                    Ok(_) => {
                        *volatile = next;
                        unsynced.push((**volatile).clone());
                    }
                    Err(_) => lock(engine).reload(&**volatile).expect("the model's rows fit each other"),
                }
                result
            }
            Self::Real { store, .. } => {
                let store = store.as_ref().expect("a machine that is down writes nothing");
                let shared = Arc::clone(engine);
                // The store has a thread of its own: it draws from what this one gives it.
                let seed = u64::from_le_bytes(covey_types::keys::random_bytes());
                let written = wait(store.write(move |tx| {
                    covey_types::replay::seed(seed);
                    let mut engine = lock(&shared);
                    job(&mut AnyRows(tx), &mut engine)
                }));
                written.map_err(|err| match err {
                    WriteError::Refused(err) => {
                        let fresh = wait(store.read(|reader| Engine::load(reader)));
                        *lock(engine) = fresh.expect("the store can be read");
                        err
                    }
                    other => panic!("the store failed: {other}"),
                })
            }
        }
    }

    /// Looks at what is durable: all that others may be told of.
    ///
    /// # Panics
    /// When the store can't be read.
    pub fn read<T: Send + 'static>(&self, look: impl FnOnce(&dyn Rows) -> T + Send + 'static) -> T {
        match self {
            Self::Model { durable, .. } => look(&**durable),
            Self::Real { store, .. } => {
                let store = store.as_ref().expect("a machine that is down reads nothing");
                let read = store.read(move |reader| Ok::<_, StoreError>(look(reader)));
                wait(read).expect("the store can be read")
            }
        }
    }

    /// Makes what was committed durable.
    pub fn sync(&mut self) {
        if let Self::Model { durable, volatile, unsynced } = self {
            durable.clone_from(volatile);
            unsynced.clear();
        }
    }

    /// The power goes. Of what was written and not synced the disk has some sectors, whole or not at all; a transaction
    /// counts if all of its own are there and it follows one that counts, since whoever recovers stops at the first that
    /// doesn't add up.
    pub fn crash(&mut self, rng: &mut fastrand::Rng) {
        match self {
            Self::Model { durable, volatile, unsynced } => {
                let mut is_whole = |_: &Rowset| (0..SECTORS).all(|_| rng.u8(0..4) > 0);
                if let Some(recovered) = std::mem::take(unsynced).into_iter().take_while(&mut is_whole).last()
                {
                    **durable = recovered;
                }
                volatile.clone_from(durable);
            }
            // What the files hold at this moment, with the store still open: nothing is finished for those who come back.
            Self::Real { store, home } => {
                let left = copied(home);
                drop(store.take());
                *home = left;
            }
        }
    }

    /// The power comes back: what is there is read.
    ///
    /// # Panics
    /// When what is there doesn't fit together.
    pub fn start(&mut self) -> Engine {
        match self {
            Self::Model { volatile, .. } => {
                Engine::load(&**volatile).expect("the model's rows fit each other")
            }
            Self::Real { store, home } => {
                let opened = store.get_or_insert_with(|| open_store(home));
                let read = opened.read(|reader| Engine::load(reader));
                wait(read).expect("the store can be read")
            }
        }
    }

    /// A copy of what is durable, as a backup has it.
    ///
    /// # Panics
    /// When files can't be copied.
    pub fn backup(&self) -> Backup {
        match self {
            Self::Model { durable, .. } => Backup::Model(durable.clone()),
            Self::Real { home, .. } => Backup::Real(copied(home)),
        }
    }

    /// Goes back to a backup, while the machine is down.
    ///
    /// # Panics
    /// When the backup is of the other kind of disk, or files can't be copied.
    pub fn restore(&mut self, backup: &Backup) {
        match (self, backup) {
            (Self::Model { durable, volatile, unsynced }, Backup::Model(rows)) => {
                unsynced.clear();
                durable.clone_from(rows);
                volatile.clone_from(rows);
            }
            (Self::Real { store, home }, Backup::Real(files)) => {
                drop(store.take());
                *home = copied(files);
            }
            _ => panic!("a backup is of the same kind of disk"),
        }
    }
}

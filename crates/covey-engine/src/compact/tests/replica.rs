//! One device with a real store, and what it does.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use covey_log::Entry;
use covey_records::{BodyWriter, Op, Record, RecordId, Stamp, Tally};
use covey_space::Role;
use covey_store::{Store, Tx, Unlock};
use covey_types::{DeviceId, Head, LogId, SpaceId};

use super::super::{Limits, LogState, Planner, Step, Waiting};
use crate::{
    Engine, EngineError, Ingested, Profile, Secrets,
    apply::{operations, target},
    load::decode_stored,
    load_apart, load_for_peer, load_record, prepare,
    prepare::open_body,
};

pub(super) const NOW_MS: u64 = 1_800_000_000_000;

/// Little enough for a test.
pub(super) const LIMITS: Limits = Limits { min_bytes: 4 << 10, min_percent: 100 };

const COLLECTION: &str = "plants";

/// Steps of one round of compaction; more are a loop.
const MOST_STEPS: usize = 1000;

pub(super) struct Replica {
    store: Store,
    home: Arc<tempfile::TempDir>,
    engine: Arc<Mutex<Engine>>,
    pub(super) secrets: Arc<Secrets>,
    space: Mutex<Option<SpaceId>>,
    /// Who acts as an admin for it.
    admin: Option<Box<Self>>,
}

pub(super) fn body(id: &str, json: &str) -> Vec<u8> {
    let mut body = BodyWriter::new();
    let id = RecordId::parse(id).unwrap();
    body.push(&Op::Put { collection: COLLECTION, id, fields: vec![("v", json)] }).unwrap();
    body.finish()
}

/// Text that doesn't compress.
pub(super) fn noise(seed: u64, like: &str) -> String {
    let mut rng = fastrand::Rng::with_seed(seed);
    like.chars().map(|_| rng.alphanumeric()).collect()
}

impl Replica {
    fn new() -> Self {
        let profile = Profile { user_name: "Ada".into(), device_name: "laptop".into() };
        let home = Arc::new(tempfile::tempdir().unwrap());
        let store = Store::open(&home.path().join("home"), Unlock::KeyFile).unwrap();
        let secrets = Arc::new(Secrets::generate(profile).unwrap());
        let engine = Arc::default();
        Self { store, home, engine, secrets, space: Mutex::new(None), admin: None }
    }

    pub(super) fn founder() -> Self {
        let founder = Self::new();
        let found = |rows: &mut Tx<'_>, engine: &mut Engine, secrets: &Secrets| {
            engine.found_space(rows, secrets, "garden", NOW_MS)
        };
        let (id, _) = founder.with(found);
        *founder.space.lock().unwrap() = Some(id);
        founder
    }

    fn handle(&self) -> Self {
        Self {
            store: self.store.clone(),
            home: Arc::clone(&self.home),
            engine: Arc::clone(&self.engine),
            secrets: Arc::clone(&self.secrets),
            space: Mutex::new(Some(self.space())),
            admin: None,
        }
    }

    /// This replica, for whom another one lets people in.
    pub(super) fn may(&self, admin: &Self) -> Self {
        Self { admin: Some(Box::new(admin.handle())), ..self.handle() }
    }

    /// The same home, opened again.
    pub(super) fn restarted(self) -> Self {
        let Self { store, home, secrets, space, .. } = self;
        store.close().unwrap();
        let store = Store::open(&home.path().join("home"), Unlock::KeyFile).unwrap();
        let engine = store.read_blocking(|reader| Engine::load(reader)).unwrap();
        Self { store, home, engine: Arc::new(Mutex::new(engine)), secrets, space, admin: None }
    }

    /// The same home, and a copy of it, both opened.
    pub(super) fn copied(self) -> (Self, Self) {
        let Self { store, home, secrets, space, .. } = self;
        store.close().unwrap();
        let copy = Arc::new(tempfile::tempdir().unwrap());
        copy_all(&home.path().join("home"), &copy.path().join("home"));
        let id = *space.lock().unwrap();
        let open = |home: Arc<tempfile::TempDir>| {
            let store = Store::open(&home.path().join("home"), Unlock::KeyFile).unwrap();
            let engine = store.read_blocking(|reader| Engine::load(reader)).unwrap();
            let (engine, space) = (Arc::new(Mutex::new(engine)), Mutex::new(id));
            Self { store, home, engine, secrets: Arc::clone(&secrets), space, admin: None }
        };
        (open(home), open(copy))
    }

    pub(super) fn membership(&self) -> covey_space::Membership {
        self.engine.lock().unwrap().space(self.space()).unwrap().membership.clone()
    }

    /// An entry with another body, signed.
    pub(super) fn signed_instead(&self, entry: &Entry, body: Vec<u8>) -> Entry {
        let header = &entry.header;
        let draft = covey_log::Draft {
            space: self.space(),
            log: header.log,
            head: Head { seq: header.seq - 1, hash: header.prev },
            hlc: header.hlc,
            kind: header.kind,
            epoch: header.epoch,
            deps: header.deps.clone(),
        };
        Entry::sign(&self.secrets.device, draft, body)
    }

    /// What is known of forks.
    pub(super) fn lines(&self) -> Vec<covey_log::ForkLine> {
        self.engine.lock().unwrap().space(self.space()).unwrap().frozen().map(|frozen| frozen.line).collect()
    }

    /// Writes all again that stands in a history that doesn't count.
    pub(super) fn write_again(&self, wall_ms: u64) {
        let id = self.space();
        loop {
            let left = self.with(move |rows, engine, secrets| {
                engine.write_again(rows, secrets, id, wall_ms)?;
                Ok(crate::unwritten(rows, id)?)
            });
            if left == 0 {
                return;
            }
        }
    }

    /// All entries that are here, with those that were set aside.
    pub(super) fn pool(&self) -> Vec<Entry> {
        self.read(|reader, engine| {
            let logs = reader.logs(engine.space(self.space()).unwrap().key).unwrap();
            let of = |row: &covey_store::LogRow| {
                let mut all = reader.entries(row.key, 1, usize::MAX, usize::MAX).unwrap();
                all.extend(reader.set_aside(row.key, 1, usize::MAX >> 1).unwrap());
                all
            };
            logs.iter().flat_map(of).map(|stored| decode_stored(&stored).unwrap()).collect()
        })
    }

    pub(super) fn keys(&self) -> covey_space::KeyRing {
        self.engine.lock().unwrap().space(self.space()).unwrap().info.keys.clone()
    }

    pub(super) fn head_of_log(&self, log: LogId) -> Head {
        self.heads().get(&log).copied().unwrap_or(Head::EMPTY)
    }

    pub(super) fn space(&self) -> SpaceId {
        self.space.lock().unwrap().unwrap()
    }

    pub(super) fn device(&self) -> DeviceId {
        self.secrets.device.id()
    }

    pub(super) fn log(&self) -> LogId {
        self.engine.lock().unwrap().space(self.space()).unwrap().own_log(self.device())
    }

    pub(super) fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Tx<'_>, &mut Engine, &Secrets) -> Result<R, EngineError> + Send + 'static,
    ) -> R {
        let (secrets, engine) = (Arc::clone(&self.secrets), Arc::clone(&self.engine));
        self.store.write_blocking(move |tx| act(tx, &mut engine.lock().unwrap(), &secrets)).unwrap()
    }

    fn read<R>(&self, look: impl FnOnce(&covey_store::Reader<'_>, &Engine) -> R) -> R {
        self.store.read_blocking(|reader| Ok(look(reader, &self.engine.lock().unwrap()))).unwrap()
    }

    fn write(
        &self,
        wall_ms: u64,
        body: impl FnOnce(&mut Tx<'_>, &Engine, LogId) -> Vec<u8> + Send + 'static,
    ) {
        let id = self.space();
        self.with(move |rows, engine, secrets| {
            engine.append_records(rows, secrets, id, wall_ms, |rows, engine, log| Ok(body(rows, engine, log)))
        });
    }

    pub(super) fn put(&self, id: &str, json: &str) {
        self.put_at(id, json, NOW_MS);
    }

    pub(super) fn put_at(&self, id: &str, json: &str, wall_ms: u64) {
        let made = body(id, json);
        self.write(wall_ms, move |_, _, _| made);
    }

    /// Writes many, each in an entry of its own.
    pub(super) fn puts(&self, records: Vec<(String, String)>, wall_ms: u64) -> Vec<Entry> {
        let space = self.space();
        self.with(move |rows, engine, secrets| {
            let mut entries = Vec::new();
            for (id, json) in records {
                let made = |_: &mut Tx<'_>, _: &mut Engine, _| Ok(body(&id, &json));
                let entry = engine.append_records(rows, secrets, space, wall_ms, made)?;
                entries.push(Entry::clone(&entry));
            }
            Ok(entries)
        })
    }

    /// Does something to a record, having looked at it.
    pub(super) fn change(&self, id: &str, wall_ms: u64, what: u8) {
        let (id, space) = (id.to_owned(), self.space());
        self.write(wall_ms, move |rows, engine, log| {
            let key = engine.space(space).unwrap().key;
            let collection = rows.ensure_collection(key, COLLECTION).unwrap();
            let record = load_record(rows, collection, &id, &engine.devices).unwrap();
            let id = RecordId::parse(&id).unwrap();
            let tally = record.tally("n", log);
            let tally = tally.plus(i64::from(what)).unwrap_or(Tally { count: 1, sum: 1 });
            let observed = record.additions("tags", "\"t\"");
            let op = match what % 4 {
                0 => Op::Delete { collection: COLLECTION, id, observed: record.observed() },
                1 => Op::CounterAdd { collection: COLLECTION, id, name: "n", tally },
                2 => Op::SetAdd { collection: COLLECTION, id, name: "tags", element: "\"t\"" },
                _ => Op::SetRemove { collection: COLLECTION, id, name: "tags", element: "\"t\"", observed },
            };
            let mut body = BodyWriter::new();
            body.push(&op).unwrap();
            body.finish()
        });
    }

    pub(super) fn delete(&self, id: &str, wall_ms: u64) {
        self.change(id, wall_ms, 0);
    }

    pub(super) fn compact(&self) {
        self.compact_at(NOW_MS);
    }

    /// Does all there is to be done.
    pub(super) fn compact_at(&self, wall_ms: u64) {
        for _ in 0..MOST_STEPS {
            if !self.step(wall_ms) {
                return;
            }
        }
        panic!("compaction never comes to an end");
    }

    fn step(&self, wall_ms: u64) -> bool {
        let (id, device) = (self.space(), self.device());
        let planner: Planner = self.engine.lock().unwrap().planner(id, device, LIMITS).unwrap();
        let step: Step = self.read(|reader, _| planner.next(reader, wall_ms)).unwrap();
        self.with(move |rows, engine, secrets| engine.compact(rows, secrets, id, step, wall_ms)).more
    }

    pub(super) fn steps_until(&self, done: impl Fn(&Self) -> bool) {
        for _ in 0..MOST_STEPS {
            if done(self) {
                return;
            }
            assert!(self.step(NOW_MS), "nothing more is to be done");
        }
    }

    pub(super) fn waits(&self) -> Vec<Waiting> {
        self.waits_at(NOW_MS)
    }

    pub(super) fn waits_at(&self, wall_ms: u64) -> Vec<Waiting> {
        self.read(|reader, engine| {
            engine.space(self.space()).unwrap().compaction_waits(reader, wall_ms).unwrap()
        })
    }

    pub(super) fn doubts(&self) -> String {
        self.waits().into_iter().filter_map(|waiting| waiting.doubt).collect()
    }

    fn row_of(&self, whose: &Self) -> Option<covey_store::LogRow> {
        let log = whose.log();
        self.read(|reader, engine| {
            let key = engine.space(self.space()).unwrap().key;
            reader.logs(key).unwrap().into_iter().find(|row| row.id == log)
        })
    }

    /// How many entries of a log are here.
    pub(super) fn rows_of(&self, whose: &Self) -> usize {
        let Some(row) = self.row_of(whose) else { return 0 };
        self.read(|reader, _| reader.entries(row.key, 1, usize::MAX, usize::MAX).unwrap().len())
    }

    pub(super) fn state_of(&self, whose: &Self) -> LogState {
        let Some(row) = self.row_of(whose) else { return LogState::default() };
        self.read(|reader, _| LogState::load(reader, row.key).unwrap())
    }

    pub(super) fn head_of(&self, whose: &Self) -> Head {
        self.row_of(whose).map_or(Head::EMPTY, |row| row.head)
    }

    pub(super) fn entry(&self, whose: &Self, seq: u64) -> Entry {
        let row = self.row_of(whose).unwrap();
        self.read(|reader, _| decode_stored(&reader.entry(row.key, seq).unwrap().unwrap()).unwrap())
    }

    pub(super) fn heads(&self) -> BTreeMap<LogId, Head> {
        self.read(|reader, engine| {
            let key = engine.space(self.space()).unwrap().key;
            let logs = reader.logs(key).unwrap().into_iter().map(|row| (row.id, row.head));
            logs.filter(|(_, head)| head.seq > 0).collect()
        })
    }

    /// All records to the byte, but for the numbers of devices, which are each store's own.
    pub(super) fn records(&self) -> String {
        self.read(|reader, engine| {
            let key = engine.space(self.space()).unwrap().key;
            let Some(collection) = reader.collection(key, COLLECTION).unwrap() else { return String::new() };
            let mut changes = reader.changes(key, None, 0, usize::MAX).unwrap();
            changes.sort_by(|a, b| a.id.cmp(&b.id));
            // What was taken back wholly is as if it had never been.
            let line = |id: &str| {
                let record = load_record(reader, collection, id, &engine.devices).unwrap();
                let line = || format!("{id:?} {:?} {record:?}\n", record.doc());
                if record == Record::new() { String::new() } else { line() }
            };
            changes.iter().map(|change| line(&change.id)).collect()
        })
    }

    /// The records that these entries make, by merging all of them: the naive way.
    pub(super) fn replayed(&self, entries: &[Entry]) -> String {
        let keys = self.engine.lock().unwrap().space(self.space()).unwrap().info.keys.clone();
        let mut records: BTreeMap<String, Record> = BTreeMap::new();
        for entry in entries {
            let plain = open_body(entry, &keys).unwrap().unwrap();
            let (log, stamp) =
                (entry.header.log, Stamp { hlc: entry.header.hlc, device: entry.header.log.device });
            for op in operations(&plain).unwrap() {
                let id = target(&op).unwrap().1.to_string();
                records.entry(id).or_default().apply(&op, stamp, log);
            }
        }
        records.retain(|_, record| *record != Record::new());
        let lines = records.iter().map(|(id, record)| format!("{id:?} {:?} {record:?}\n", record.doc()));
        lines.collect()
    }

    /// The entries of membership.
    pub(super) fn audit(&self) -> Vec<Vec<u8>> {
        self.read(|reader, engine| {
            let key = engine.space(self.space()).unwrap().key;
            let mut all: Vec<_> =
                reader.membership(key).unwrap().into_iter().map(|(_, stored)| stored.header).collect();
            all.sort();
            all
        })
    }

    /// All that is here, in the order in which a peer gets it.
    pub(super) fn load(&self, theirs: &BTreeMap<LogId, Head>, max_bytes: usize) -> Vec<Entry> {
        let at = |log: &LogId| theirs.get(log).map_or(0, |head| head.seq);
        let wants: Vec<_> = self
            .heads()
            .into_iter()
            .filter(|(log, head)| head.seq > at(log))
            .map(|(log, _)| (log, at(&log) + 1))
            .collect();
        self.read(|reader, engine| {
            let key = engine.space(self.space()).unwrap().key;
            let ahead = wants.iter().map(|(log, from)| (*log, *from..=u64::MAX)).collect();
            let acts = load_for_peer(reader, key, &wants, &ahead, max_bytes).unwrap().acts;
            let entries = load_for_peer(reader, key, &wants, &BTreeMap::new(), max_bytes).unwrap().entries;
            [acts, entries].concat()
        })
    }

    pub(super) fn ingest(&self, entries: Vec<Entry>) -> Ingested {
        let id = self.space();
        self.with(move |rows, engine, secrets| {
            let keys = engine.space(id)?.info.keys.clone();
            let mut entries = VecDeque::from(entries);
            let mut outcome = Ingested::default();
            while !entries.is_empty() {
                let prepared = prepare(&mut entries, &keys).unwrap();
                let part = engine.ingest(rows, secrets, id, prepared, NOW_MS * 2)?;
                outcome.rejected.extend(part.rejected);
                outcome.stored.extend(part.stored);
                outcome.durable.extend(part.durable);
            }
            Ok(outcome)
        })
    }
}

/// Lets a new device in, which knows nothing but the keys.
pub(super) fn let_in(host: &Replica, role: Role, wall_ms: u64) -> Replica {
    let guest = Replica::new();
    let id = host.space();
    *guest.space.lock().unwrap() = Some(id);
    let device = guest.secrets.certified();
    let admin = host.admin.as_deref().unwrap_or(host);
    let keys = admin.with(move |rows, engine, secrets| {
        engine.admit(rows, secrets, id, "Bob", role, &device, wall_ms)?;
        Ok(engine.space(id)?.info.keys.clone())
    });
    let inviter = admin.device();
    guest.with(move |rows, engine, _| engine.enter_space(rows, id, "garden", keys, inviter));
    sync(admin, host);
    guest
}

/// Gives one replica all that another one has.
pub(super) fn sync(from: &Replica, to: &Replica) {
    assert!(sync_at_most(from, to, 64 << 10, 10_000), "a sync never comes to its end");
}

/// The same, in so many batches at most; whether that many, or all there was, went through.
pub(super) fn sync_at_most(from: &Replica, to: &Replica, max_bytes: usize, batches: usize) -> bool {
    if from.device() == to.device() {
        return true;
    }
    let apart = from.read(|reader, engine| {
        let key = engine.space(from.space()).unwrap().key;
        load_apart(reader, key, max_bytes).unwrap()
    });
    to.ingest(apart);
    for _ in 0..batches {
        let before = to.heads();
        let entries = from.load(&before, max_bytes);
        if entries.is_empty() {
            return true;
        }
        to.ingest(entries);
        if to.heads() == before {
            let missing = from.load(&before, usize::MAX);
            return missing.is_empty();
        }
    }
    batches < 100
}

pub(super) fn sync_both(a: &Replica, b: &Replica) {
    sync(a, b);
    sync(b, a);
}

/// Gives one replica what another one knows of forks.
pub(super) fn tell(from: &Replica, to: &Replica) {
    let id = from.space();
    let known = from.read(|reader, engine| reader.forks(engine.space(id).unwrap().key).unwrap());
    for row in known {
        let evidence = covey_log::Evidence::verified(id, &row.evidence).unwrap();
        to.with(move |rows, engine, secrets| engine.take_evidence(rows, secrets, id, evidence, NOW_MS));
    }
}

/// Gives one replica all that another one has, but for one log.
pub(super) fn sync_but(from: &Replica, to: &Replica, whose: &Replica) {
    let mut entries = from.load(&to.heads(), usize::MAX);
    entries.retain(|entry| entry.header.log != whose.log());
    to.ingest(entries);
}

/// Everybody compacts, and tells everybody, until nothing is left to be done.
pub(super) fn settle(replicas: &[&Replica]) {
    settle_with(replicas, &[], NOW_MS);
}

/// The same, but that some drop nothing in the end.
pub(super) fn settle_with(replicas: &[&Replica], last: &[&Replica], wall_ms: u64) {
    for round in 0..4 {
        for a in replicas {
            for b in replicas {
                sync_both(a, b);
            }
        }
        let keeps = |replica: &Replica| round > 1 && last.iter().any(|one| std::ptr::eq(*one, replica));
        replicas.iter().filter(|replica| !keeps(replica)).for_each(|replica| replica.compact_at(wall_ms));
    }
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        let to = to.join(found.file_name());
        if found.file_type().unwrap().is_dir() {
            copy_all(&found.path(), &to);
        } else {
            std::fs::copy(found.path(), to).unwrap();
        }
    }
}

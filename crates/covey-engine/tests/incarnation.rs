//! A device whose own entries come to it from others: its store is an older copy, and it leaves that log alone.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::VecDeque, fs, path::Path, sync::Arc};

use covey_engine::{
    Engine, EngineError, Ingested, LookBack, Profile, Rows, Secrets, begin_anew, own_forks, prepare,
};
use covey_log::Entry;
use covey_records::{BodyWriter, Op, RecordId};
use covey_store::{Store, Tx, Unlock, WriteError};
use covey_types::{Head, LogId, SpaceId, limits::MAX_LOGS_PER_DEVICE};

const NOW_MS: u64 = 1_800_000_000_000;

/// One replica in a home of its own.
struct Replica {
    store: Store,
    secrets: Arc<Secrets>,
}

impl Replica {
    fn open(home: &Path, secrets: &Arc<Secrets>) -> Self {
        Self { store: Store::open(home, Unlock::KeyFile).unwrap(), secrets: Arc::clone(secrets) }
    }

    /// Does something in one transaction, with an engine that has just been loaded.
    fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Tx<'_>, &mut Engine, &Secrets) -> Result<R, EngineError> + Send + 'static,
    ) -> R {
        let secrets = Arc::clone(&self.secrets);
        let write = move |tx: &mut Tx<'_>| {
            let mut engine = Engine::load(tx)?;
            act(tx, &mut engine, &secrets)
        };
        self.store.write_blocking(write).unwrap()
    }

    fn put(&self, space: SpaceId, id: &'static str) -> Arc<Entry> {
        self.try_put(space, id).unwrap()
    }

    fn try_put(&self, space: SpaceId, id: &'static str) -> Result<Arc<Entry>, WriteError<EngineError>> {
        let secrets = Arc::clone(&self.secrets);
        self.store.write_blocking(move |tx| {
            let (mut engine, secrets) = (Engine::load(tx)?, &secrets);
            engine.append_records(tx, secrets, space, NOW_MS, |_, _, _| {
                let mut body = BodyWriter::new();
                let id = RecordId::parse(id).unwrap();
                body.push(&Op::Put { collection: "plants", id, fields: vec![("v", "1")] }).unwrap();
                Ok(body.finish())
            })
        })
    }

    fn ingest(&self, space: SpaceId, entry: &Arc<Entry>) -> Ingested {
        let entry = Entry::clone(entry);
        self.with(move |tx, engine, secrets| {
            let keys = engine.space(space)?.info.keys.clone();
            let prepared = prepare(&mut VecDeque::from([entry]), &keys).unwrap();
            engine.ingest(tx, secrets, space, prepared, NOW_MS)
        })
    }

    fn forks(&self) -> usize {
        self.store.read_blocking(|reader| own_forks(reader)).unwrap().len()
    }
}

/// A replica with one record more than its older copy has, and the space.
fn newer_and_older(dir: &Path) -> (Replica, Replica, SpaceId) {
    let profile = Profile { user_name: "Ada".into(), device_name: "laptop".into() };
    let secrets = Arc::new(Secrets::generate(profile).unwrap());
    let (home, copy) = (dir.join("home"), dir.join("copy"));
    let newer = Replica::open(&home, &secrets);
    let space = newer.with(|tx, engine, secrets| Ok(engine.found_space(tx, secrets, "garden", NOW_MS)?.0));
    newer.store.close().unwrap();
    fs::create_dir(&copy).unwrap();
    for found in fs::read_dir(&home).unwrap() {
        let path = found.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    (Replica::open(&home, &secrets), Replica::open(&copy, &secrets), space)
}

#[test]
fn an_own_entry_that_comes_from_others_is_applied_and_its_log_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (newer, older, space) = newer_and_older(dir.path());
    let lost = newer.put(space, "lost");
    let outcome = older.ingest(space, &lost);
    assert_eq!(outcome.came_back[&lost.header.log], (LookBack::Longer, lost.header.seq));
    assert_eq!(outcome.stored.len(), 1);
    let next = older.put(space, "next");
    assert_ne!(next.header.log, lost.header.log);
    assert_eq!((next.header.seq, older.forks()), (1, 0));
    // What is known already is no news.
    assert!(older.ingest(space, &lost).came_back.is_empty());
    assert_eq!(older.put(space, "later").header.log, next.header.log);
}

#[test]
fn an_own_entry_at_a_place_that_is_taken_here_is_a_fork_that_is_told_once_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (newer, older, space) = newer_and_older(dir.path());
    let (there, here) = (newer.put(space, "there"), older.put(space, "here"));
    assert_eq!((there.header.log, there.header.seq), (here.header.log, here.header.seq));
    let outcome = older.ingest(space, &there);
    assert_eq!(outcome.came_back[&there.header.log], (LookBack::Forked, there.header.seq));
    assert!(outcome.stored.is_empty());
    assert_eq!(older.forks(), 1);
    let next = older.put(space, "next");
    assert_ne!(next.header.log, here.header.log);
    assert!(older.ingest(space, &there).came_back.is_empty());
    assert_eq!((older.forks(), older.put(space, "later").header.log), (1, next.header.log));
}

#[test]
fn what_a_peer_says_of_the_own_log_counts_where_it_is_more_or_other_than_what_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let (newer, older, space) = newer_and_older(dir.path());
    let lost = newer.put(space, "lost");
    let log = lost.header.log;
    let says = |replica: &Replica, log: LogId, head: Head| {
        replica.with(move |tx, engine, secrets| {
            engine.look_back(tx, secrets.device.id(), space, (log, head), NOW_MS)
        })
    };
    assert_eq!(says(&newer, log, lost.head()), LookBack::Fine);
    assert_eq!(says(&newer, log, Head::EMPTY), LookBack::Fine);
    let of_another = LogId { incarnation: covey_types::Incarnation(1), ..log };
    assert_eq!(says(&older, of_another, lost.head()), LookBack::Fine);
    assert_eq!(says(&older, log, lost.head()), LookBack::Longer);
    assert_ne!(older.put(space, "next").header.log, log);
    assert_eq!(says(&older, log, lost.head()), LookBack::Fine, "that log is left already");
    let other = Head { hash: covey_types::EntryHash([9; 32]), ..lost.head() };
    assert_eq!(says(&newer, log, other), LookBack::Forked);
    assert_eq!(newer.forks(), 1);
}

#[test]
fn a_store_that_may_be_old_begins_anew_in_every_space_and_only_once_for_each_restore() {
    let dir = tempfile::tempdir().unwrap();
    let (newer, older, space) = newer_and_older(dir.path());
    older.with(|tx, _, _| Ok(begin_anew(tx)?));
    let (lost, next) = (newer.put(space, "lost"), older.put(space, "next"));
    assert_ne!(lost.header.log, next.header.log);
    assert!(older.ingest(space, &lost).came_back.is_empty(), "it was expected");
    assert_eq!(older.put(space, "later").header.seq, 2);
}

#[test]
fn a_device_that_has_begun_all_the_logs_it_may_refuses_to_write_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (ada, other, space) = newer_and_older(dir.path());
    // The founding entry stands in the first one.
    for _ in 1..MAX_LOGS_PER_DEVICE {
        ada.with(|tx, _, _| Ok(begin_anew(tx)?));
        let entry = ada.put(space, "kept");
        assert_eq!(entry.header.seq, 1);
        assert_eq!(other.ingest(space, &entry).stored.len(), 1, "others take all of them");
    }
    ada.put(space, "kept");
    ada.with(|tx, _, _| Ok(begin_anew(tx)?));
    let refused = ada.try_put(space, "lost").unwrap_err();
    assert!(refused.to_string().contains("link a new device"), "{refused}");
    let logs = ada.with(move |tx, engine, _| Ok(tx.logs(engine.space(space)?.key)?.len()));
    assert_eq!(logs, MAX_LOGS_PER_DEVICE, "nothing of it was kept");
}

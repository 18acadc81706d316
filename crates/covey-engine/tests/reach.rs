//! From places in logs to times: who holds a log up to a place is said to hold what is said up to there, and no more.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use covey_engine::{Engine, EngineError, Profile, Reaches, Rows, Secrets, begin_anew};
use covey_log::Entry;
use covey_records::{BodyWriter, Op, Reach, RecordId, Stamp, Written};
use covey_store::{Store, Tx, Unlock};
use covey_types::{Hlc, LogId, SpaceId};

const NOW_MS: u64 = 1_800_000_000_000;

struct Replica {
    store: Store,
    secrets: Arc<Secrets>,
    space: SpaceId,
}

impl Replica {
    fn new(home: &std::path::Path) -> Self {
        let profile = Profile { user_name: "Ada".into(), device_name: "laptop".into() };
        let secrets = Arc::new(Secrets::generate(profile).unwrap());
        let store = Store::open(home, Unlock::KeyFile).unwrap();
        let mut replica = Self { store, secrets, space: SpaceId::FOUNDING };
        replica.space =
            replica.with(|tx, engine, secrets| Ok(engine.found_space(tx, secrets, "garden", NOW_MS)?.0));
        replica
    }

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

    /// Writes a record, as of an earlier time if there's one.
    fn put(&self, id: &'static str, as_of: Option<Hlc>) -> Arc<Entry> {
        let space = self.space;
        self.with(move |tx, engine, secrets| {
            engine.append_records(tx, secrets, space, NOW_MS, |_, _, _| {
                let mut body = BodyWriter::new();
                if let Some(hlc) = as_of {
                    body.push(&Op::AsOf { hlc })?;
                }
                let id = RecordId::parse(id).unwrap();
                body.push(&Op::Put { collection: "plants", id, fields: vec![("v", "1")] })?;
                Ok(body.finish())
            })
        })
    }

    /// What somebody holds who has of the logs what `held` says, of the others nothing.
    fn reach(&self, held: &[(LogId, u64)]) -> Reach {
        let (space, held) = (self.space, held.to_vec());
        let key = self.with(move |_, engine, _| Ok(engine.space(space)?.key));
        let look = move |reader: &covey_store::Reader<'_>| {
            let place = |log: LogId| held.iter().find(|(known, _)| *known == log).map_or(0, |(_, seq)| *seq);
            Reaches::load(reader, key)?.reach(reader, |row| place(row.id))
        };
        self.store.read_blocking(look).unwrap()
    }

    fn is_held(&self, id: &'static str, held: &[(LogId, u64)]) -> bool {
        let (space, reach) = (self.space, self.reach(held));
        self.with(move |tx, engine, _| {
            let collection = tx.collection(engine.space(space)?.key, "plants")?.unwrap();
            let row = tx.record(collection, id)?.unwrap();
            Ok(Written::from_state(&row.state, &engine.devices).unwrap().is_within(&reach))
        })
    }
}

fn stamp(entry: &Entry) -> Stamp {
    Stamp { hlc: entry.header.hlc, device: entry.header.log.device }
}

#[test]
fn who_holds_a_log_up_to_a_place_holds_what_is_said_up_to_there() {
    let home = tempfile::tempdir().unwrap();
    let replica = Replica::new(home.path());
    let entries = ["a", "b", "c", "d"].map(|id| replica.put(id, None));
    let log = entries[0].header.log;
    for (n, last) in entries.iter().enumerate() {
        let reach = replica.reach(&[(log, last.header.seq)]);
        for (m, entry) in entries.iter().enumerate() {
            assert_eq!(reach.holds(stamp(entry)), m <= n, "{m} of {n}");
        }
        assert_eq!(reach.is_whole(), n == 3);
    }
    assert!(!replica.is_held("a", &[]));
    assert!(replica.is_held("c", &[(log, entries[2].header.seq)]));
}

#[test]
fn a_new_log_that_nobody_has_yet_takes_nothing_of_the_old_one_away() {
    let home = tempfile::tempdir().unwrap();
    let replica = Replica::new(home.path());
    let old = replica.put("a", None);
    let before = replica.put("b", None);
    replica.store.write_blocking(|tx| begin_anew(tx)).unwrap();
    let new = replica.put("c", None);
    assert_ne!(old.header.log, new.header.log);
    let whole = (old.header.log, before.header.seq);
    assert!(replica.is_held("a", &[whole]) && replica.is_held("b", &[whole]));
    assert!(!replica.is_held("c", &[whole]));
    // Of two logs that aren't held whole the one whose missing part begins first decides.
    let part = (old.header.log, old.header.seq);
    assert!(replica.is_held("a", &[part, (new.header.log, 1)]));
    assert!(!replica.is_held("c", &[part, (new.header.log, 1)]), "less than is so, and never more");
}

#[test]
fn where_more_logs_say_things_as_of_earlier_times_than_are_noted_only_whole_logs_are_held() {
    let home = tempfile::tempdir().unwrap();
    let replica = Replica::new(home.path());
    let first = replica.put("a", None);
    let last = replica.put("b", None);
    let log = first.header.log;
    let note = |count: u64| {
        let space = replica.space;
        replica.with(move |tx, engine, _| {
            let key = engine.space(space)?.key;
            let noted: Vec<(LogId, u64)> = (0..count)
                .map(|n| (LogId { incarnation: covey_types::Incarnation(1000 + n), ..log }, 1))
                .collect();
            Ok(tx.set_meta(&format!("as-of:{}", key.number()), &covey_types::wire::encode(&noted))?)
        });
    };
    note(1023);
    assert!(replica.is_held("a", &[(log, first.header.seq)]));
    note(1024);
    assert!(!replica.is_held("a", &[(log, first.header.seq)]), "its log may be one that isn't noted");
    assert!(replica.is_held("b", &[(log, last.header.seq)]));
}

#[test]
fn what_is_said_as_of_an_earlier_time_is_held_with_the_entry_that_says_it() {
    let home = tempfile::tempdir().unwrap();
    let replica = Replica::new(home.path());
    let old = replica.put("a", None);
    replica.store.write_blocking(|tx| begin_anew(tx)).unwrap();
    let first = replica.put("b", None);
    let again = replica.put("late", Some(old.header.hlc));
    let last = replica.put("c", None);
    let (new, old_whole) = (first.header.log, (old.header.log, old.header.seq));
    // Its time is one that is long held, and the entry that says it is not.
    assert!(!replica.is_held("late", &[old_whole, (new, first.header.seq)]));
    assert!(replica.is_held("late", &[old_whole, (new, again.header.seq)]));
    assert!(replica.is_held("a", &[old_whole, (new, again.header.seq)]));
    assert!(!replica.is_held("c", &[old_whole, (new, again.header.seq)]));
    assert!(replica.is_held("c", &[old_whole, (new, last.header.seq)]));
}

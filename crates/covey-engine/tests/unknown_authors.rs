//! Entries of authors of whom a replica has not heard: who takes them in may be sealed under a key that only they give.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::VecDeque, sync::Arc};

use covey_engine::{Engine, EngineError, Ingested, MAX_UNKNOWN_LOGS, Profile, Secrets, acts::Acted, prepare};
use covey_log::{BodyContext, Draft, Entry, Kind, seal};
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::{
    Role,
    ops::{HistoryPolicy, SetSpace},
};
use covey_store::{Store, Tx, Unlock};
use covey_types::{Head, Hlc, Incarnation, LogId, SpaceId};

const NOW_MS: u64 = 1_800_000_000_000;

/// One replica in a home of its own.
struct Replica {
    store: Store,
    secrets: Arc<Secrets>,
    _home: tempfile::TempDir,
}

impl Replica {
    fn new(name: &str) -> Self {
        let profile = Profile { user_name: name.into(), device_name: "laptop".into() };
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("home"), Unlock::KeyFile).unwrap();
        Self { store, secrets: Arc::new(Secrets::generate(profile).unwrap()), _home: home }
    }

    /// A further device of the same user.
    fn another(&self) -> Self {
        let mut other = Self::new(&self.secrets.profile.user_name);
        let secrets = Arc::get_mut(&mut other.secrets).unwrap();
        secrets.user = self.secrets.user.clone();
        other
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

    fn act(
        &self,
        act: impl FnOnce(&mut Tx<'_>, &mut Engine, &Secrets) -> Result<Acted, EngineError> + Send + 'static,
    ) -> Arc<Entry> {
        self.with(act).0
    }

    fn ingest(&self, space: SpaceId, entries: &[&Arc<Entry>]) -> Ingested {
        let mut entries: VecDeque<Entry> = entries.iter().map(|entry| Entry::clone(entry)).collect();
        self.with(move |tx, engine, secrets| {
            let keys = engine.space(space)?.info.keys.clone();
            engine.ingest(tx, secrets, space, prepare(&mut entries, &keys).unwrap(), NOW_MS)
        })
    }

    /// Lets another one in with this device, which then has the space and its current key.
    fn admit(&self, space: SpaceId, whom: &Self, role: Role) -> Arc<Entry> {
        let (device, name) = (whom.secrets.certified(), whom.secrets.profile.user_name.clone());
        let entry = self
            .act(move |tx, engine, secrets| engine.admit(tx, secrets, space, &name, role, &device, NOW_MS));
        self.welcome(space, whom);
        entry
    }

    /// Takes a further device in.
    fn link(&self, space: SpaceId, whom: &Self) -> Arc<Entry> {
        let device = whom.secrets.certified();
        let entry =
            self.act(move |tx, engine, secrets| engine.add_device(tx, secrets, space, &device, NOW_MS));
        self.welcome(space, whom);
        entry
    }

    fn welcome(&self, space: SpaceId, whom: &Self) {
        let keys = self.with(move |_, engine, _| {
            let state = engine.space(space)?;
            Ok(state.info.keys.for_joining(state.membership.current_epoch().unwrap()))
        });
        let inviter = self.secrets.device.id();
        whom.with(move |tx, engine, _| engine.enter_space(tx, space, "garden", keys, inviter));
    }

    fn put(&self, space: SpaceId) -> Arc<Entry> {
        self.with(move |tx, engine, secrets| {
            engine.append_records(tx, secrets, space, NOW_MS, |_, _, _| {
                let mut body = BodyWriter::new();
                let id = RecordId::parse("rose").unwrap();
                body.push(&Op::Put { collection: "plants", id, fields: vec![("v", "1")] }).unwrap();
                Ok(body.finish())
            })
        })
    }

    /// Whether somebody is in the space, and whether this replica can read what is written there now.
    fn knows(&self, space: SpaceId, whom: &Self) -> (bool, bool) {
        let device = whom.secrets.device.id();
        self.with(move |_, engine, _| {
            let state = engine.space(space)?;
            Ok((state.membership.has_device(device), state.current_key().is_some()))
        })
    }
}

/// What the fourth device of [`stranded`] hears: of all but the newcomer, and of the newcomer.
struct Heard {
    space: SpaceId,
    ada: Replica,
    dan: Replica,
    eve: Replica,
    of_known: Vec<Arc<Entry>>,
    of_eve: Vec<Arc<Entry>>,
}

/// Ada founds a space and lets Carl in as admin. Then Ada lets Dan in while Carl changes the key, and lets Eve in under
/// that one: she alone gives it to Dan, in her own log.
fn stranded() -> Heard {
    let (ada, carl, dan, eve) =
        (Replica::new("Ada"), Replica::new("Carl"), Replica::new("Dan"), Replica::new("Eve"));
    let (space, founding) = ada.with(|tx, engine, secrets| engine.found_space(tx, secrets, "garden", NOW_MS));
    let carl_in = ada.admit(space, &carl, Role::Admin);
    carl.ingest(space, &[&founding, &carl_in]);
    let rotated = carl.act(move |tx, engine, secrets| engine.rotate_key(tx, secrets, space, NOW_MS));
    let dan_in = ada.admit(space, &dan, Role::Member);
    carl.ingest(space, &[&dan_in]);
    let eve_in = carl.admit(space, &eve, Role::Member);
    eve.ingest(space, &[&founding, &carl_in, &rotated, &dan_in, &eve_in]);
    let wrote = eve.put(space);
    let shared =
        eve.act(move |tx, engine, secrets| Ok(engine.do_chores(tx, secrets, space, NOW_MS)?.unwrap()));
    let of_known = vec![founding, carl_in, rotated, dan_in, eve_in];
    Heard { space, ada, dan, eve, of_known, of_eve: vec![wrote, shared] }
}

#[test]
fn a_key_that_only_an_author_gives_who_was_taken_in_under_it_opens_who_they_are() {
    let Heard { space, dan, eve, of_known, of_eve, .. } = stranded();
    dan.ingest(space, &of_known.iter().collect::<Vec<_>>());
    assert_eq!(dan.knows(space, &eve), (false, false), "who Eve is can't be read yet");
    let outcome = dan.ingest(space, &of_eve.iter().collect::<Vec<_>>());
    assert_eq!(outcome.stored.len(), 2);
    assert_eq!(dan.knows(space, &eve), (true, true));
    let written = dan.with(move |tx, engine, _| {
        let collection = tx.collection(engine.space(space)?.key, "plants")?.unwrap();
        Ok(tx.record(collection, "rose")?.is_some())
    });
    assert!(written, "what she wrote before counts now");
}

#[test]
fn entries_of_somebody_unknown_are_not_kept_where_everything_that_came_can_be_read() {
    let Heard { space, ada, of_eve, .. } = stranded();
    let outcome = ada.ingest(space, &of_eve.iter().collect::<Vec<_>>());
    assert!(outcome.stored.is_empty());
    assert_eq!(outcome.rejected.len(), 1);
}

#[test]
fn no_more_logs_of_unknown_authors_are_kept_than_the_bound() {
    let Heard { space, dan, of_known, of_eve, .. } = stranded();
    dan.ingest(space, &of_known.iter().collect::<Vec<_>>());
    let key = dan.with(move |_, engine, _| Ok(engine.space(space)?.info.keys.newest().unwrap().clone()));
    let forged = |i: u64| {
        let secrets = Secrets::generate(Profile { user_name: "X".into(), device_name: "x".into() }).unwrap();
        let log = LogId { device: secrets.device.id(), incarnation: Incarnation(i) };
        let draft = Draft {
            space,
            log,
            head: Head::EMPTY,
            hlc: Hlc::new(NOW_MS, 0),
            kind: Kind::RECORDS,
            epoch: key.id(),
            deps: vec![covey_types::EntryHash([7; 32])],
        };
        let place = BodyContext { space, log, seq: 1, kind: Kind::RECORDS };
        Arc::new(Entry::sign(&secrets.device, draft, seal(&key, place, b"")))
    };
    let many: Vec<_> = (0..MAX_UNKNOWN_LOGS as u64 + 10).map(forged).collect();
    let outcome = dan.ingest(space, &many.iter().collect::<Vec<_>>());
    assert_eq!((outcome.stored.len(), outcome.rejected.len()), (MAX_UNKNOWN_LOGS, 10));
    assert!(dan.ingest(space, &of_eve.iter().collect::<Vec<_>>()).stored.is_empty());
}

/// Ada's space is read from joining on. While her laptop and Carl's don't hear of each other, she takes her phone in and
/// puts Dan out under a new key, and Carl lets Eve in under another one and leaves.
fn who_wait_for_each_other() -> (SpaceId, Replica, Vec<Arc<Entry>>, Vec<Arc<Entry>>) {
    let [ada, carl, dan, eve] = ["Ada", "Carl", "Dan", "Eve"].map(Replica::new);
    let phone = ada.another();
    let (space, founding) = ada.with(|tx, engine, secrets| engine.found_space(tx, secrets, "garden", NOW_MS));
    let set = SetSpace { name: None, history: Some(HistoryPolicy::FromJoining) };
    let from_joining = ada.act(move |tx, engine, secrets| engine.set_space(tx, secrets, space, set, NOW_MS));
    let carl_in = ada.admit(space, &carl, Role::Admin);
    let dan_in = ada.admit(space, &dan, Role::Member);
    carl.ingest(space, &[&founding, &from_joining, &carl_in, &dan_in]);
    let eve_in = carl.admit(space, &eve, Role::Member);
    let user = carl.secrets.user.id();
    let carl_out =
        carl.act(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, user, NOW_MS));
    let phone_in = ada.link(space, &phone);
    let user = dan.secrets.user.id();
    let dan_out = ada.act(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, user, NOW_MS));
    // Ada hears of Carl: the key is changed, since he had it, and under it the phone gets what it lacks.
    ada.ingest(space, &[&eve_in, &carl_out]);
    let chores = |tx: &mut Tx<'_>, engine: &mut Engine, secrets: &Secrets, space| {
        Ok(engine.do_chores(tx, secrets, space, NOW_MS)?.unwrap())
    };
    let rotated = ada.act(move |tx, engine, secrets| chores(tx, engine, secrets, space));
    let shared = ada.act(move |tx, engine, secrets| chores(tx, engine, secrets, space));
    let of_ada = vec![founding, from_joining, carl_in, dan_in, phone_in, dan_out, rotated, shared];
    (space, phone, of_ada, vec![eve_in, carl_out])
}

#[test]
fn acts_that_wait_for_each_others_keys_are_opened_in_whatever_order_they_come() {
    for carl_first in [true, false] {
        let (space, phone, of_ada, of_carl) = who_wait_for_each_other();
        let (of_ada, of_carl) = (of_ada.iter().collect::<Vec<_>>(), of_carl.iter().collect::<Vec<_>>());
        phone.ingest(space, &of_ada[..4]);
        let parts = if carl_first { [&of_carl, &of_ada[4..]] } else { [&of_ada[4..], &of_carl] };
        for entry in parts.into_iter().flatten() {
            phone.ingest(space, &[entry]);
        }
        assert_eq!(phone.knows(space, &phone), (true, true), "Carl first: {carl_first}");
        let held = phone.with(move |tx, engine, _| Ok(tx.held(engine.space(space)?.key)?));
        assert_eq!(held, [], "Carl first: {carl_first}");
    }
}

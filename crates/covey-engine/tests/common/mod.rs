//! Replicas for the tests: each a store in a home of its own, and what some of them sign that this program never would.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of tests fail by panicking; not every test uses all"
)]

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
};

use covey_engine::{Deeds, Engine, EngineError, Ingested, Profile, Secrets, load_for_peer, prepare};
use covey_log::{BodyContext, Draft, Entry, EpochKey, Kind};
use covey_space::{MembershipOp, Role, kem, ops};
use covey_store::{Store, Tx, Unlock};
use covey_types::{Hlc, SpaceId, UserId};

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// One replica in a home of its own.
pub(crate) struct Replica {
    pub(crate) store: Store,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) _home: tempfile::TempDir,
}

impl Replica {
    pub(crate) fn new(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let profile = Profile { user_name: name.into(), device_name: format!("{name}'s laptop") };
        let store = Store::open(Path::new(home.path()), Unlock::KeyFile).unwrap();
        Self { store, secrets: Arc::new(Secrets::generate(profile).unwrap()), _home: home }
    }

    pub(crate) fn user(&self) -> UserId {
        self.secrets.user.id()
    }

    /// Does something in one transaction, with an engine that has just been loaded.
    pub(crate) fn with<R: Send + 'static>(
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

    /// Lets another one into a space.
    pub(crate) fn let_in(&self, space: SpaceId, other: &Self, role: Role) {
        let (device, name) = (other.secrets.certified(), other.secrets.profile.user_name.clone());
        let keys = self.with(move |tx, engine, secrets| {
            engine.admit(tx, secrets, space, &name, role, &device, NOW_MS)?;
            let state = engine.space(space)?;
            Ok(state.info.keys.for_joining(state.membership.current_epoch().unwrap()))
        });
        let from = self.secrets.device.id();
        other.with(move |tx, engine, _| engine.enter_space(tx, space, "garden", keys, from));
        other.hear(self, space);
    }

    pub(crate) fn tell(&self, space: SpaceId, entries: Vec<Entry>) -> Ingested {
        self.with(move |tx, engine, secrets| {
            let keys = engine.space(space)?.info.keys.clone();
            let prepared = prepare(&mut VecDeque::from(entries), &keys).unwrap();
            engine.ingest(tx, secrets, space, prepared, NOW_MS)
        })
    }

    /// Takes in all that another replica has of a space.
    pub(crate) fn hear(&self, other: &Self, space: SpaceId) -> Ingested {
        let all = other.with(move |tx, engine, _| {
            let key = engine.space(space)?.key;
            let wants: Vec<_> = tx.logs(key)?.into_iter().map(|log| (log.id, 1)).collect();
            Ok(load_for_peer(&*tx, key, &wants, &BTreeMap::new(), usize::MAX >> 8)?.entries)
        });
        self.tell(space, all)
    }

    pub(crate) fn tend(&self, space: SpaceId) -> Deeds {
        self.with(move |tx, engine, secrets| engine.tend(tx, secrets, space, NOW_MS))
    }

    /// Signs entries with acts that this program would not write, one after the other. They aren't kept here.
    pub(crate) fn forge(&self, space: SpaceId, acts: Vec<MembershipOp>) -> Vec<Entry> {
        self.forge_all(space, acts.into_iter().map(|act| vec![act]).collect(), true)
    }

    /// As [`Replica::forge`], several acts in an entry; `knowing` each other or not.
    pub(crate) fn forge_all(
        &self,
        space: SpaceId,
        entries: Vec<Vec<MembershipOp>>,
        knowing: bool,
    ) -> Vec<Entry> {
        let device = self.secrets.device.clone();
        self.with(move |tx, engine, _| {
            let state = engine.space(space)?;
            let log = covey_types::LogId { device: device.id(), incarnation: state.info.incarnation };
            let log_key = tx.ensure_log(state.key, log)?;
            let (mut head, mut deps) = (tx.head(log_key)?, state.membership.deps_for(device.id()));
            let (kind, key) = (Kind::MEMBERSHIP, state.current_key().unwrap());
            let sign = |acts: Vec<MembershipOp>| {
                let (seq, hlc) = (head.seq + 1, Hlc::new(NOW_MS + head.seq + 1, 0));
                let place = BodyContext { space, log, seq, kind };
                let body = ops::seal_acts(key, place, &ops::encode(&acts));
                let (epoch, knew) = (key.id(), deps.clone());
                let entry =
                    Entry::sign(&device, Draft { space, log, head, hlc, kind, epoch, deps: knew }, body);
                head = entry.head();
                if knowing {
                    deps = vec![entry.hash];
                }
                entry
            };
            Ok(entries.into_iter().map(sign).collect())
        })
    }

    /// An act that begins an epoch with a key that is given to all who are in the space.
    pub(crate) fn rotation(&self, space: SpaceId) -> MembershipOp {
        self.with(move |_, engine, _| {
            let (state, key) = (engine.space(space)?, EpochKey::generate());
            let seal = |device| kem::seal(space, &key, device, state.membership.kem_of(device)?).ok();
            let keys = state.membership.devices().filter_map(|(device, _)| seal(device)).collect();
            Ok(MembershipOp::Rotate(ops::Rotate { epoch: key.id(), keys, previous: Vec::new() }))
        })
    }
}

/// A further device of somebody.
pub(crate) fn further(of: &Replica) -> Secrets {
    let profile = Profile { device_name: "phone".into(), ..of.secrets.profile.clone() };
    Secrets { user: of.secrets.user.clone(), ..Secrets::generate(profile).unwrap() }
}

/// A space that the first of some people founds, and in which the others are members.
pub(crate) fn garden(names: &[&str]) -> (Vec<Replica>, SpaceId) {
    let people: Vec<Replica> = names.iter().map(|name| Replica::new(name)).collect();
    let space =
        people[0].with(|tx, engine, secrets| Ok(engine.found_space(tx, secrets, "garden", NOW_MS)?.0));
    people[1..].iter().for_each(|other| people[0].let_in(space, other, Role::Member));
    for one in &people {
        one.hear(&people[0], space);
    }
    (people, space)
}

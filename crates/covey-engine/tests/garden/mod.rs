//! A space of three, in which one writes two histories of a log.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of tests fail by panicking; not every test uses all"
)]

use std::{collections::VecDeque, fs, path::Path, sync::Arc};

use covey_engine::{
    Engine, EngineError, Ingested, Profile, Rows, Secrets, acts::Acted, compare, load_record, points, prepare,
};
use covey_log::{Compared, Draft, Entry, Evidence, ForkProof, Kind, SignedHeader};
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::Role;
use covey_store::{Store, Tx, Unlock};
use covey_types::{Head, LogId, SpaceId};

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

pub(crate) type Summary = (Vec<(LogId, Head)>, Vec<(String, Role)>, Vec<Option<String>>, Vec<(LogId, u64)>);

/// One replica in a home of its own. Its engine is loaded afresh for each thing that it does.
pub(crate) struct Replica {
    pub(crate) store: Store,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) space: SpaceId,
}

impl Replica {
    pub(crate) fn named(dir: &Path, name: &str, space: SpaceId) -> Self {
        let profile = Profile { user_name: name.into(), device_name: format!("{name}'s") };
        let secrets = Arc::new(Secrets::generate(profile).unwrap());
        Self { store: Store::open(&dir.join(name), Unlock::KeyFile).unwrap(), secrets, space }
    }

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

    pub(crate) fn act(
        &self,
        act: impl FnOnce(&mut Tx<'_>, &mut Engine, &Secrets) -> Result<Acted, EngineError> + Send + 'static,
    ) -> Arc<Entry> {
        self.with(act).0
    }

    /// Writes `v` of a record, `later_ms` after the beginning.
    pub(crate) fn put(&self, id: &'static str, value: &'static str, later_ms: u64) -> Arc<Entry> {
        let space = self.space;
        self.with(move |tx, engine, secrets| {
            engine.append_records(tx, secrets, space, NOW_MS + later_ms, |_, _, _| {
                let mut body = BodyWriter::new();
                let id = RecordId::parse(id).unwrap();
                body.push(&Op::Put { collection: "plants", id, fields: vec![("v", value)] })?;
                Ok(body.finish())
            })
        })
    }

    pub(crate) fn count(&self, id: &'static str, by: i64) -> Arc<Entry> {
        let space = self.space;
        self.with(move |tx, engine, secrets| {
            engine.append_records(tx, secrets, space, NOW_MS, |rows, engine, log| {
                let key = rows.ensure_collection(engine.space(space)?.key, "plants")?;
                let record = load_record(rows, key, id, &engine.devices)?;
                let tally = record.tally("n", log).plus(by).unwrap();
                let mut body = BodyWriter::new();
                let id = RecordId::parse(id).unwrap();
                body.push(&Op::CounterAdd { collection: "plants", id, name: "n", tally })?;
                Ok(body.finish())
            })
        })
    }

    pub(crate) fn doc(&self, id: &'static str) -> Option<String> {
        let space = self.space;
        self.with(move |tx, engine, _| {
            let Some(key) = tx.collection(engine.space(space)?.key, "plants")? else { return Ok(None) };
            Ok(tx.record(key, id)?.and_then(|row| row.doc))
        })
    }

    pub(crate) fn take(&self, entries: &[&Arc<Entry>]) -> Ingested {
        let (space, entries) =
            (self.space, entries.iter().map(|entry| Entry::clone(entry)).collect::<VecDeque<_>>());
        self.with(move |tx, engine, secrets| {
            let mut entries = entries;
            let keys = engine.space(space)?.info.keys.clone();
            let prepared = prepare(&mut entries, &keys).unwrap();
            assert!(entries.is_empty(), "they fit in one batch");
            engine.ingest(tx, secrets, space, prepared, NOW_MS)
        })
    }

    pub(crate) fn learn(&self, evidence: &[Evidence]) -> Ingested {
        let (space, evidence) = (self.space, evidence.to_vec());
        self.with(move |tx, engine, secrets| {
            let mut outcome = Ingested::default();
            for one in evidence {
                outcome = engine.take_evidence(tx, secrets, space, one, NOW_MS)?;
            }
            Ok(outcome)
        })
    }

    pub(crate) fn evidence(&self) -> Vec<Evidence> {
        let space = self.space;
        self.with(move |tx, engine, _| Ok(covey_engine::load_evidence(tx, engine.space(space)?.key, space)?))
    }

    /// Searches with another replica, as two sessions do, until one has the proof.
    pub(crate) fn search(&self, other: &Self, log: LogId) {
        let space = self.space;
        let theirs = other.with(move |tx, engine, _| Ok(tx.logs(engine.space(space)?.key)?));
        let upto = theirs.iter().find(|row| row.id == log).map_or(0, |row| row.head.seq);
        let first = self.with(move |tx, engine, _| Ok(points(tx, engine.space(space)?.key, log, upto)?));
        let mut turn = (first, other, self);
        for _ in 0..10 {
            let (said, hears, spoke) = turn;
            turn = match said {
                Compared::Same | Compared::Agreed(_) => return,
                Compared::Branch(half) => {
                    let half = SignedHeader::verified(&half.bytes, half.signature).unwrap();
                    hears.with(move |tx, engine, secrets| {
                        engine.take_branch(tx, secrets, space, half, NOW_MS)
                    });
                    return;
                }
                Compared::Points(said) => {
                    let step = move |tx: &mut Tx<'_>, engine: &mut Engine, _: &Secrets| {
                        Ok(compare(tx, engine.space(space)?.key, log, &said)?)
                    };
                    (hears.with(step), spoke, hears)
                }
            };
        }
        panic!("the search does not end");
    }

    /// What it comes to: heads, roles by name, records, places from which logs don't count.
    pub(crate) fn summary(&self) -> Summary {
        let space = self.space;
        let (heads, roles, frozen) = self.with(move |tx, engine, _| {
            let state = engine.space(space)?;
            let mut heads: Vec<_> = tx.logs(state.key)?.into_iter().map(|row| (row.id, row.head)).collect();
            heads.retain(|(_, head)| head.seq > 0);
            heads.sort_by_key(|(log, _)| *log);
            let members = state.membership.members().into_values();
            let mut roles: Vec<_> = members.map(|member| (member.name, member.role)).collect();
            roles.sort();
            Ok((
                heads,
                roles,
                state.frozen().map(|frozen| (frozen.line.log, frozen.line.from)).collect::<Vec<_>>(),
            ))
        });
        let records = ["a", "b", "c", "d"].map(|id| self.doc(id)).to_vec();
        (heads, roles, records, frozen)
    }

    pub(crate) fn write_again(&self) -> Vec<Arc<Entry>> {
        let space = self.space;
        self.with(move |tx, engine, secrets| engine.write_again(tx, secrets, space, NOW_MS + 60_000))
    }
}

/// Ada's device, twice; and Bob, an owner too, and Carol, a member, who know all that was written so far.
pub(crate) struct Garden {
    pub(crate) ada: [Replica; 2],
    pub(crate) bob: Replica,
    pub(crate) carol: Replica,
    pub(crate) log: LogId,
    /// The first place at which Ada's histories differ.
    pub(crate) parts: u64,
}

pub(crate) fn garden(dir: &Path) -> Garden {
    let mut ada = Replica::named(dir, "ada", SpaceId::FOUNDING);
    let (space, founding) = ada.with(|tx, engine, secrets| engine.found_space(tx, secrets, "garden", NOW_MS));
    ada.space = space;
    let mut entries = vec![founding];
    let others = [("bob", Role::Owner), ("carol", Role::Member)].map(|(name, role)| {
        let other = Replica::named(dir, name, space);
        let device = other.secrets.certified();
        entries.push(
            ada.act(move |tx, engine, secrets| engine.admit(tx, secrets, space, name, role, &device, NOW_MS)),
        );
        let (keys, from) = ada.with(move |_, engine, secrets| {
            let state = engine.space(space)?;
            let epoch = state.membership.current_epoch().unwrap();
            Ok((state.info.keys.for_joining(epoch), secrets.device.id()))
        });
        other.with(move |tx, engine, _| engine.enter_space(tx, space, "garden", keys, from));
        other
    });
    entries.push(ada.put("a", "0", 0));
    entries.push(ada.count("d", 2));
    let [bob, carol] = others;
    for other in [&bob, &carol] {
        other.take(&entries.iter().collect::<Vec<_>>());
    }
    let (log, parts) = (entries[4].header.log, entries[4].header.seq + 1);
    let [one, other] = copies(dir, ada, 2).try_into().unwrap_or_else(|_| panic!("two were asked for"));
    Garden { ada: [one, other], bob, carol, log, parts }
}

/// As many copies of a home, all opened.
pub(crate) fn copies(dir: &Path, of: Replica, many: usize) -> Vec<Replica> {
    let Replica { store, secrets, space } = of;
    let home = store.home().to_owned();
    store.close().unwrap();
    let open = |n: usize| {
        let copy = dir.join(format!("{}-{n}", home.file_name().unwrap().display()));
        fs::create_dir(&copy).unwrap();
        for found in fs::read_dir(&home).unwrap() {
            let path = found.unwrap().path();
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
        Replica { store: Store::open(&copy, Unlock::KeyFile).unwrap(), secrets: Arc::clone(&secrets), space }
    };
    (0..many).map(open).collect()
}
/// Proof that the author of an entry wrote another one for its place, as somebody makes it who has the device.
pub(crate) fn another_for(secrets: &Secrets, entry: &Entry) -> Evidence {
    let header = &entry.header;
    let draft = Draft {
        space: entry.space(),
        log: header.log,
        head: Head { seq: header.seq - 1, hash: header.prev },
        hlc: header.hlc,
        kind: Kind::RECORDS,
        epoch: header.epoch,
        deps: header.deps.clone(),
    };
    let other = Entry::sign(&secrets.device, draft, vec![7; 40]);
    Evidence::new(ForkProof::of(entry.space(), entry.into(), (&other).into()).unwrap())
}

/// What a replica hears.
#[derive(Clone)]
pub(crate) enum News {
    Entry(Arc<Entry>),
    Fork(Box<Evidence>),
}

/// Hears all this with one engine, which is not loaded afresh in between; who is in the space then.
pub(crate) fn hear(replica: &Replica, news: Vec<News>) -> Vec<(String, Role)> {
    let space = replica.space;
    replica.with(move |tx, engine, secrets| {
        for one in news {
            match one {
                News::Fork(evidence) => drop(engine.take_evidence(tx, secrets, space, *evidence, NOW_MS)?),
                News::Entry(entry) => {
                    let keys = engine.space(space)?.info.keys.clone();
                    let prepared = prepare(&mut VecDeque::from([Entry::clone(&entry)]), &keys).unwrap();
                    engine.ingest(tx, secrets, space, prepared, NOW_MS)?;
                }
            }
        }
        let members = engine.space(space)?.membership.members().into_values();
        let mut roles: Vec<_> = members.map(|member| (member.name, member.role)).collect();
        roles.sort();
        Ok(roles)
    })
}

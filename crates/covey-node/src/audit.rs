//! Looking back: who did what to the membership of a space, and when a device was last connected.
//!
//! What is told is read from the signed entries themselves. An entry that was never allowed is not in the space's
//! graph and not told of; one that fell because of what others did at the same moment is, and is marked.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use covey_engine::{load_all_acts, load_from_future, load_new_logs};
use covey_log::{Entry, ForkProof};
use covey_space::{Device, Membership, MembershipOp, Role, ops::HistoryPolicy};
use covey_types::{DeviceId, EntryHash, EpochId, Hlc, LogId, UserId};

use crate::{Node, NodeError, Space};

/// Somebody concerned, by ids and by what they are called now, or were last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The user, if it is known whose device it was.
    pub user: Option<UserId>,
    /// The user's name.
    pub user_name: Option<String>,
    /// The device, where the act concerns one.
    pub device: Option<DeviceId>,
    /// The device's name.
    pub device_name: Option<String>,
}

/// What an act does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Founds the space.
    Found {
        /// Its name.
        name: String,
        /// Who may read history.
        history: HistoryPolicy,
    },
    /// Takes a member in, or a further device of one by a code: what pairing writes.
    AddMember {
        /// As what.
        role: Role,
        /// The names of the devices.
        devices: Vec<String>,
    },
    /// Takes a further device in.
    AddDevice,
    /// Gives a role.
    SetRole {
        /// Which.
        role: Role,
    },
    /// Puts a member out, or is how they leave.
    RemoveMember,
    /// Puts a device out.
    RemoveDevice,
    /// Begins an epoch, with a new key.
    RotateKey {
        /// Which.
        epoch: EpochId,
    },
    /// Gives the current key to devices that lack it.
    ShareKey {
        /// To how many.
        devices: usize,
    },
    /// Takes another name.
    RenameUser {
        /// Which.
        name: String,
    },
    /// Gives a device another name.
    RenameDevice {
        /// Which.
        name: String,
    },
    /// Changes what holds for the space as a whole.
    SetSpace {
        /// Its new name, if that changes.
        name: Option<String>,
        /// Who may read history, if that changes.
        history: Option<HistoryPolicy>,
    },
    /// Tells somebody something that only they can read.
    Notice,
    /// Wrote two histories: the log doesn't count from there on. The proof is two signed headers for one place.
    Fork {
        /// The hashes of the two entries.
        hashes: [EntryHash; 2],
    },
    /// Went on in another log than its first: its home had been restored, set back or copied. The log's oldest entry that
    /// is kept shows it.
    NewLog,
    /// Dated entries so far ahead of this device's clock that they wait for their time. The newest of them shows it.
    Ahead {
        /// How many of that log wait.
        entries: u64,
    },
    /// Something of a later version.
    Unknown {
        /// Its number.
        kind: u16,
    },
}

/// One act in the membership of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When, by its author's clock.
    pub hlc: Hlc,
    /// Who.
    pub who: Person,
    /// What.
    pub deed: Deed,
    /// To whom, where it concerns somebody.
    pub whom: Option<Person>,
    /// Whether it has effect: it doesn't if it fell because of what others did at the same moment, or rests on what doesn't
    /// count any more.
    pub stands: bool,
    /// The log in which it stands.
    pub log: LogId,
    /// Its entry's place there, from 1.
    pub seq: u64,
    /// Its place in the entry, from 0.
    pub part: usize,
    /// The hash of its entry, which its author has signed.
    pub hash: EntryHash,
}

impl Space {
    /// Everything that was done to the membership, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn audit(&self) -> Result<Vec<Act>, NodeError> {
        let (key, keys) = {
            let engine = self.node.engine();
            let space = engine.space(self.id())?;
            (space.key, space.info.keys.clone())
        };
        let id = self.id();
        let read = move |reader: &covey_store::Reader<'_>| {
            let entries = load_all_acts(reader, key, id, &keys)?;
            Ok((entries, load_new_logs(reader, key)?, load_from_future(reader, key)?))
        };
        let (entries, new_logs, from_future) = self.node.0.store.read(read).await?;
        let proofs = self.fork_proofs().await?;
        let engine = self.node.engine();
        let membership = &engine.space(self.id())?.membership;
        let fallen: BTreeSet<EntryHash> = membership.fallen().into_iter().collect();
        let names = Names::new(membership, &entries);
        // What named an entry that doesn't count any more may be out of the graph, though its log holds it.
        let stands = |entry: &Entry| membership.knows_all(&[entry.hash]) && !fallen.contains(&entry.hash);
        let mut acts: Vec<Act> =
            entries.iter().flat_map(|(entry, ops)| acts_of(entry, ops, &names, stands(entry))).collect();
        acts.extend(proofs.iter().map(|evidence| fork(evidence.proof(), &names)));
        acts.extend(new_logs.iter().map(|entry| shown_by(entry, Deed::NewLog, &names)));
        let ahead =
            |(entry, entries): &(Entry, u64)| shown_by(entry, Deed::Ahead { entries: *entries }, &names);
        acts.extend(from_future.iter().map(ahead));
        acts.sort_by_key(|act| (act.hlc, act.log, act.seq, act.part));
        Ok(acts)
    }
}

impl Node {
    /// How long ago a device was last connected, if it ever was.
    pub fn last_seen(&self, device: DeviceId) -> Option<Duration> {
        self.0.peers.last_seen(device, self.now_ms())
    }
}

fn fork(proof: &ForkProof, names: &Names<'_>) -> Act {
    let [one, other] = proof.halves();
    Act {
        hlc: one.header.hlc.max(other.header.hlc),
        who: names.device(proof.log().device),
        deed: Deed::Fork { hashes: proof.hashes() },
        whom: None,
        stands: true,
        log: proof.log(),
        seq: proof.seq(),
        part: 0,
        hash: one.hash,
    }
}

/// What an entry shows of its author that it doesn't say.
fn shown_by(entry: &Entry, deed: Deed, names: &Names<'_>) -> Act {
    Act {
        hlc: entry.header.hlc,
        who: names.device(entry.header.log.device),
        deed,
        whom: None,
        stands: true,
        log: entry.header.log,
        seq: entry.header.seq,
        part: 0,
        hash: entry.hash,
    }
}

fn acts_of(entry: &Entry, ops: &[MembershipOp], names: &Names<'_>, stands: bool) -> Vec<Act> {
    let act = |(part, op)| {
        let (deed, whom) = names.deed(op);
        Act { whom, stands, part, ..shown_by(entry, deed, names) }
    };
    ops.iter().enumerate().map(act).collect()
}

/// What people and devices are called. Of those who came in by an entry that fell, what that entry called them.
struct Names<'a> {
    membership: &'a Membership,
    users: BTreeMap<UserId, &'a str>,
    devices: BTreeMap<DeviceId, (UserId, &'a str)>,
}

impl<'a> Names<'a> {
    fn new(membership: &'a Membership, entries: &'a [(Entry, Vec<MembershipOp>)]) -> Self {
        let mut names = Self { membership, users: BTreeMap::new(), devices: BTreeMap::new() };
        for op in entries.iter().flat_map(|(_, ops)| ops) {
            match op {
                MembershipOp::Found(found) => {
                    names.users.insert(found.device.cert.user, &found.user_name);
                    names.note(&found.device);
                }
                MembershipOp::AddMember(add) => {
                    names.users.insert(add.user, &add.user_name);
                    add.devices.iter().for_each(|device| names.note(device));
                }
                MembershipOp::AddDevice(add) => names.note(&add.device),
                _ => {}
            }
        }
        names
    }

    fn note(&mut self, device: &'a Device) {
        self.devices.insert(device.cert.device, (device.cert.user, &device.name));
    }

    fn user(&self, user: UserId) -> Person {
        let name = self.membership.user_name(user).or_else(|| self.users.get(&user).copied());
        Person { user: Some(user), user_name: name.map(str::to_owned), ..Person::default() }
    }

    fn device(&self, device: DeviceId) -> Person {
        let noted = self.devices.get(&device);
        let user = self.membership.user_of(device).or_else(|| noted.map(|(user, _)| *user));
        let name = self.membership.device_name(device).or_else(|| noted.map(|(_, name)| *name));
        let whose = user.map(|user| self.user(user)).unwrap_or_default();
        Person { device: Some(device), device_name: name.map(str::to_owned), ..whose }
    }

    fn deed(&self, op: &MembershipOp) -> (Deed, Option<Person>) {
        match op {
            MembershipOp::Found(found) => {
                (Deed::Found { name: found.name.clone(), history: found.history }, None)
            }
            MembershipOp::AddMember(add) => {
                let devices = add.devices.iter().map(|device| device.name.clone()).collect();
                (Deed::AddMember { role: add.role, devices }, Some(self.user(add.user)))
            }
            MembershipOp::AddDevice(add) => (Deed::AddDevice, Some(self.device(add.device.cert.device))),
            MembershipOp::SetRole(set) => (Deed::SetRole { role: set.role }, Some(self.user(set.user))),
            MembershipOp::RemoveMember(remove) => (Deed::RemoveMember, Some(self.user(remove.user))),
            MembershipOp::RemoveDevice(remove) => (Deed::RemoveDevice, Some(self.device(remove.device))),
            MembershipOp::Rotate(rotate) => (Deed::RotateKey { epoch: rotate.epoch }, None),
            MembershipOp::ShareKeys(keys) => (Deed::ShareKey { devices: keys.len() }, None),
            MembershipOp::RenameUser(name) => (Deed::RenameUser { name: name.clone() }, None),
            MembershipOp::RenameDevice(device, name) => {
                (Deed::RenameDevice { name: name.clone() }, Some(self.device(*device)))
            }
            MembershipOp::SetSpace(set) => {
                (Deed::SetSpace { name: set.name.clone(), history: set.history }, None)
            }
            MembershipOp::Notice(_) => (Deed::Notice, None),
            MembershipOp::Unknown { kind } => (Deed::Unknown { kind: *kind }, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NetworkMode, NodeConfig, Profile};

    #[tokio::test]
    async fn an_act_that_is_out_of_the_graph_is_not_shown_as_standing() {
        let home = tempfile::tempdir().unwrap();
        let mut config = NodeConfig::new(home.path());
        config.profile = Some(Profile { user_name: "Ada".into(), device_name: "laptop".into() });
        config.network = NetworkMode::Solo;
        let node = Node::open(config).await.unwrap();
        let space = node.create_space("garden").await.unwrap();
        let (id, secrets, now) = (space.id(), node.secrets(), node.now_ms());
        // As when an act that this one names turns out not to count: it's in its log, and not in the graph.
        let out = node.write(move |tx, engine| {
            let before = engine.space(id)?.membership.clone();
            engine.rename_device(tx, &secrets, id, secrets.device.id(), "desk", now)?;
            engine.spaces.get_mut(&id).expect("it was just renamed in").membership = before;
            Ok(())
        });
        out.await.unwrap();
        let acts = space.audit().await.unwrap();
        let standing: Vec<_> = acts.iter().map(|act| (act.seq, act.stands)).collect();
        assert_eq!(standing, [(1, true), (2, false)]);
        node.shutdown().await;
    }
}

//! Membership graphs: arbitrary acts in arbitrary causal order, with what no honest author writes among them.
//!
//! What must hold: no panic; whatever order the entries come in that respects who knew what, everybody comes to the
//! same members, roles, heads and verdicts; and somebody owns the space.

use std::collections::BTreeSet;

use covey_log::{Draft, Entry, Kind};
use covey_space::{
    AddMember, Device, Found, Membership, MembershipOp, Role, SealedKey, Verdict,
    keyring::WrappedKey,
    ops::{AddDevice, Cut, HistoryPolicy, RemoveDevice, RemoveMember, Rotate, SetRole, SetSpace},
};
use covey_types::{EntryHash, Head, Hlc, SpaceId, limits::MAX_DEPS};

use super::steady;
use crate::{
    people::{ACTORS, DEVICES, epoch},
    script::Script,
};

/// Most acts of one script, beside the beginning: ways through a graph grow fast.
const MAX_ACTS: usize = 24;

/// A space, its beginning told by the first bytes, then what people do in it, six bytes or more each.
pub fn membership_graph(bytes: &[u8]) {
    steady();
    let mut script = Script::new(bytes);
    let order = script.bytes(8).to_vec();
    let mut story = Story::begin(&mut script);
    while !script.is_empty() && story.written.len() < 5 + MAX_ACTS {
        story.act(&mut script);
    }
    let mut straight = Membership::new(story.space);
    let results: Vec<_> = story.written.iter().map(|(entry, ops)| straight.apply(entry, ops)).collect();
    let owners = straight.devices().filter(|(device, _)| straight.role_of(*device) == Some(Role::Owner));
    assert!(owners.count() > 0, "nobody owns the space");

    let mut shuffled = Membership::new(story.space);
    for i in story.shuffle(&order) {
        let (entry, ops) = &story.written[i];
        assert_eq!(shuffled.apply(entry, ops), results[i], "entry {i}");
        assert_eq!(shuffled.apply(entry, ops).is_ok(), results[i].is_ok(), "once more is no more");
        // What is asked between must not change what comes of it.
        if order.get(i % 8).is_some_and(|byte| byte & 1 == 1) {
            let _ = (shuffled.members(), shuffled.may_write(ACTORS[1].log(), 3, &[entry.hash]));
        }
    }
    story.must_agree(&mut straight, &mut shuffled);
}

/// Entries as they were written, each by an author who knew some of those before.
struct Story {
    space: SpaceId,
    written: Vec<(Entry, Vec<MembershipOp>)>,
    heads: Vec<Head>,
}

impl Story {
    fn begin(script: &mut Script<'_>) -> Self {
        let mut story =
            Self { space: SpaceId::FOUNDING, written: Vec::new(), heads: vec![Head::EMPTY; DEVICES] };
        let found = MembershipOp::Found(Found {
            name: "garden".into(),
            history: HistoryPolicy::Full,
            user_name: "founder".into(),
            device: ACTORS[0].certified.clone(),
            nonce: [0; 16],
            keys: vec![sealed(0, 0)],
            parent: None,
            personal: false,
        });
        story.write(0, Kind::FOUNDING, Vec::new(), vec![found]);
        story.space = story.written[0].0.space();
        let roles = script.byte();
        for n in 1..5 {
            let mut devices = vec![ACTORS[n].certified.clone()];
            devices.extend((n == 1).then(|| ACTORS[DEVICES - 1].certified.clone()));
            let deps = story.written.last().map(|(entry, _)| vec![entry.hash]).unwrap_or_default();
            story.write(0, Kind::MEMBERSHIP, deps, vec![add(n, roles >> (2 * n - 2), devices)]);
        }
        story
    }

    fn write(&mut self, author: usize, kind: Kind, mut deps: Vec<EntryHash>, ops: Vec<MembershipOp>) {
        deps.sort_unstable();
        deps.dedup();
        let head = self.heads[author];
        let draft = Draft {
            space: self.space,
            log: ACTORS[author].log(),
            head,
            hlc: Hlc::new(head.seq + 1, 0),
            kind,
            epoch: epoch(0).id(),
            deps,
        };
        // The acts are given beside the entry: what is sealed in the body plays no part here.
        let entry = Entry::sign(&ACTORS[author].device, draft, vec![self.written.len() as u8; 8]);
        self.heads[author] = entry.head();
        self.written.push((entry, ops));
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let author = script.choice(DEVICES);
        let (missed, mask) = (script.choice(12).min(self.written.len() - 1), script.number());
        let sure = self.written.len() - missed;
        let known =
            (0..self.written.len()).filter(|i| *i == sure - 1 || (*i >= sure && mask >> (*i % 16) & 1 == 1));
        let mut deps: Vec<EntryHash> = known.map(|i| self.written[i].0.hash).take(MAX_DEPS - 1).collect();
        let odd = script.byte();
        if odd == 255 {
            deps.push(EntryHash([odd; 32]));
        }
        if odd == 254 {
            deps.clear();
        }
        let acts = 1 + usize::from(odd & 7 == 7) + usize::from(odd & 15 == 15);
        let ops = (0..acts).map(|_| self.op(author, script)).collect();
        self.write(author, Kind::MEMBERSHIP, deps, ops);
    }

    fn op(&self, author: usize, script: &mut Script<'_>) -> MembershipOp {
        let (what, subject, how) = (script.byte(), script.choice(DEVICES), script.byte());
        let (user, device) = (ACTORS[subject].user_id(), ACTORS[subject].id());
        let cuts = self.cuts(subject, how);
        let role = Role::from_u8(how & 3).expect("there are four roles");
        match what % 16 {
            0 | 1 => add(subject, how, vec![ACTORS[subject].certified.clone()]),
            2 => MembershipOp::AddDevice(AddDevice {
                device: ACTORS[subject].certified.clone(),
                keys: vec![sealed(subject, how & 3)],
            }),
            3 | 4 => MembershipOp::SetRole(SetRole { user, role, cuts }),
            5 | 6 => MembershipOp::RemoveMember(RemoveMember { user, cuts }),
            7 => MembershipOp::RemoveDevice(RemoveDevice { device, cuts }),
            8 => {
                MembershipOp::RemoveMember(RemoveMember { user: ACTORS[author].user_id(), cuts: Vec::new() })
            }
            9 | 10 => MembershipOp::Rotate(Rotate {
                epoch: epoch(how & 3).id(),
                keys: (0..DEVICES).filter(|n| how >> 2 >> n & 1 == 1).map(|n| sealed(n, how & 3)).collect(),
                previous: vec![WrappedKey { epoch: epoch(how >> 2 & 3).id(), bytes: Vec::new() }],
            }),
            11 => MembershipOp::ShareKeys(vec![sealed(subject, how & 3)]),
            12 => MembershipOp::RenameUser(format!("user {how}")),
            13 => MembershipOp::RenameDevice(device, format!("device {how}")),
            14 => MembershipOp::SetSpace(SetSpace {
                name: (how & 1 == 1).then(|| format!("garden {how}")),
                history: (how & 2 == 2).then_some(HistoryPolicy::FromJoining),
            }),
            _ => hostile(subject, how),
        }
    }

    fn cuts(&self, subject: usize, how: u8) -> Vec<Cut> {
        let of_user = |n: &usize| ACTORS[*n].user_id() == ACTORS[subject].user_id();
        let cut = |n: usize| {
            let seq = u64::from(how >> 2) % (self.heads[n].seq + 2);
            Cut { log: ACTORS[n].log(), head: Head { seq, hash: EntryHash([7; 32]) } }
        };
        (0..DEVICES).filter(of_user).map(cut).collect()
    }

    /// An order in which every entry comes after those that its author knew.
    fn shuffle(&self, order: &[u8]) -> Vec<usize> {
        let mut open: Vec<usize> = (0..self.written.len()).collect();
        let mut taken = Vec::new();
        while !open.is_empty() {
            let waits = |i: usize| {
                let deps = &self.written[i].0.header.deps;
                deps.iter().any(|dep| open.iter().any(|j| self.written[*j].0.hash == *dep))
            };
            let ready: Vec<usize> = (0..open.len()).filter(|at| !waits(open[*at])).collect();
            let turn = order.get(taken.len() % 8).copied().unwrap_or(0);
            // The wrong way round where the script says nothing.
            let at = ready[ready.len() - 1 - usize::from(turn) % ready.len()];
            taken.push(open.remove(at));
        }
        taken
    }

    fn must_agree(&self, one: &mut Membership, two: &mut Membership) {
        assert_eq!(one.members(), two.members());
        assert_eq!(one.frontier(), two.frontier());
        let fallen = |space: &Membership| space.fallen().into_iter().collect::<BTreeSet<_>>();
        assert_eq!(fallen(one), fallen(two));
        assert_eq!((one.name(), one.history()), (two.name(), two.history()));
        assert_eq!((one.current_epoch(), one.without_key()), (two.current_epoch(), two.without_key()));
        assert_eq!(one.suspects(), two.suspects());
        for (entry, _) in &self.written {
            for actor in ACTORS.iter() {
                for seq in [1, 3, 100] {
                    let verdict = one.may_write(actor.log(), seq, &[entry.hash]);
                    assert_eq!(verdict, two.may_write(actor.log(), seq, &[entry.hash]));
                }
            }
        }
        for actor in ACTORS.iter() {
            if one.role_of(actor.id()) < Some(Role::Member) {
                continue;
            }
            let deps = one.deps_for(actor.id());
            assert!(!deps.is_empty() && deps.len() <= MAX_DEPS);
            assert_eq!(one.may_write(actor.log(), 1000, &deps), Verdict::Allowed, "members can write");
        }
    }
}

fn add(n: usize, role: u8, devices: Vec<Device>) -> MembershipOp {
    MembershipOp::AddMember(AddMember {
        user: ACTORS[n].user_id(),
        user_name: format!("user {n}"),
        role: Role::from_u8(role & 3).expect("there are four roles"),
        devices,
        keys: Vec::new(),
    })
}

fn sealed(n: usize, of: u8) -> SealedKey {
    SealedKey { device: ACTORS[n].id(), epoch: epoch(of).id(), bytes: Vec::new() }
}

/// What no honest author writes.
fn hostile(subject: usize, how: u8) -> MembershipOp {
    let stolen = ACTORS[subject].certified.clone();
    match how & 3 {
        // Somebody else's device, or a certificate that is for another user.
        0 => MembershipOp::AddMember(AddMember {
            user: ACTORS[(subject + 1) % DEVICES].user_id(),
            user_name: "eve".into(),
            role: Role::Owner,
            devices: vec![stolen],
            keys: Vec::new(),
        }),
        // A key for a device that it does not add.
        1 => MembershipOp::AddDevice(AddDevice {
            device: stolen,
            keys: vec![sealed((subject + 1) % DEVICES, 1)],
        }),
        2 => MembershipOp::Unknown { kind: 99 },
        _ => MembershipOp::AddMember(AddMember {
            user: ACTORS[subject].user_id(),
            user_name: "nobody".into(),
            role: Role::Admin,
            devices: Vec::new(),
            keys: vec![sealed(subject, 2)],
        }),
    }
}

#[cfg(test)]
mod tests {
    use covey_space::MembershipError;

    use super::*;

    #[test]
    fn an_entry_whose_past_is_missing_is_no_part_of_the_graph_and_a_good_one_is() {
        let mut story = Story::begin(&mut Script::new(&[0b1010_1010]));
        story.write(0, Kind::MEMBERSHIP, vec![EntryHash([255; 32])], vec![]);
        story.act(&mut Script::new(&[0, 0, 0, 0, 0, 12, 0, 0]));
        let mut space = Membership::new(story.space);
        let results: Vec<_> = story.written.iter().map(|(entry, ops)| space.apply(entry, ops)).collect();
        assert!(results[..5].iter().all(Result::is_ok));
        assert_eq!(results[5], Err(MembershipError::MissingPast));
        assert_eq!(space.len(), 5);
    }
}

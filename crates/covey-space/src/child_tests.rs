//! A child beside its parent: what has to be done, compared with sets written out, and what comes of doing it.

use std::{collections::BTreeMap, sync::LazyLock};

use covey_log::{Draft, Entry, Kind};
use covey_types::{DeviceSecret, EntryHash, EpochId, Head, Hlc, Incarnation, LogId, SpaceId, UserSecret};
use proptest::prelude::*;

use super::*;
use crate::{
    AddMember, Device, DeviceCert, Found, KemSecret,
    ops::{AddDevice, HistoryPolicy},
};

/// Three people with two devices each. The first founds both spaces and is never put out.
const PEOPLE: usize = 3;
const DEVICES: usize = 2 * PEOPLE;

struct Actor {
    user: UserId,
    device: DeviceSecret,
    certified: Device,
}

static ACTORS: LazyLock<Vec<Actor>> = LazyLock::new(|| {
    let users: Vec<UserSecret> = (0..PEOPLE).map(|_| UserSecret::generate()).collect();
    let actor = |i: usize| {
        let (user, device) = (&users[i % PEOPLE], DeviceSecret::generate());
        let cert = DeviceCert::sign(user, &device, KemSecret::generate().public());
        Actor { user: user.id(), device, certified: Device { cert, name: format!("device {i}") } }
    };
    (0..DEVICES).map(actor).collect()
});

fn device(i: usize) -> DeviceId {
    ACTORS[i].device.id()
}

fn user(i: usize) -> UserId {
    ACTORS[i].user
}

/// One replica of a space.
#[derive(Clone)]
struct Replica {
    space: SpaceId,
    membership: Membership,
    written: Vec<(Entry, Vec<MembershipOp>)>,
    heads: BTreeMap<usize, Head>,
}

impl Replica {
    fn found(parent: Option<SpaceId>) -> Self {
        let unknown = Membership::new(SpaceId::FOUNDING);
        let mut new =
            Self { space: SpaceId::FOUNDING, membership: unknown, written: vec![], heads: BTreeMap::new() };
        let ops = vec![MembershipOp::Found(Found {
            name: "garden".into(),
            history: HistoryPolicy::Full,
            user_name: "Ada".into(),
            device: ACTORS[0].certified.clone(),
            nonce: [0; 16],
            keys: vec![],
            parent,
            personal: false,
        })];
        let entry = new.sign(0, Kind::FOUNDING, vec![]);
        new.space = entry.space();
        new.membership = Membership::new(new.space);
        new.take(&(entry, ops));
        new
    }

    fn sign(&mut self, author: usize, kind: Kind, deps: Vec<EntryHash>) -> Entry {
        let head = self.heads.get(&author).copied().unwrap_or(Head::EMPTY);
        let log = LogId { device: device(author), incarnation: Incarnation(1) };
        let hlc = Hlc::new(head.seq + 1, 0);
        let epoch = EpochId([0; 16]);
        let draft = Draft { space: self.space, log, head, hlc, kind, epoch, deps };
        Entry::sign(&ACTORS[author].device, draft, vec![0; 40])
    }

    fn take(&mut self, (entry, ops): &(Entry, Vec<MembershipOp>)) {
        if self.membership.knows_all(&[entry.hash]) || self.membership.apply(entry, ops).is_err() {
            return;
        }
        let author = (0..DEVICES).find(|i| device(*i) == entry.header.log.device).unwrap();
        self.heads.insert(author, entry.head());
        self.written.push((entry.clone(), ops.clone()));
    }

    fn act(&mut self, author: usize, op: MembershipOp) {
        let entry = self.sign(author, Kind::MEMBERSHIP, self.membership.frontier());
        self.take(&(entry, vec![op]));
    }

    fn hear(&mut self, other: &Self) {
        other.written.iter().for_each(|written| self.take(written));
    }

    /// What the plan says, as the founder does it.
    fn follow(&mut self, plan: Plan) {
        let Plan { subject, act, role } = plan;
        let devices = vec![ACTORS[subject].certified.clone()];
        self.act(
            0,
            match act {
                0 | 1 => MembershipOp::AddMember(AddMember {
                    user: user(subject),
                    user_name: "somebody".into(),
                    role: Role::from_u8(role).unwrap(),
                    devices,
                    keys: vec![],
                }),
                2 => MembershipOp::AddDevice(AddDevice {
                    device: ACTORS[subject].certified.clone(),
                    keys: vec![],
                }),
                3 => MembershipOp::RemoveMember(RemoveMember { user: user(subject), cuts: vec![] }),
                _ => MembershipOp::RemoveDevice(RemoveDevice { device: device(subject), cuts: vec![] }),
            },
        );
    }

    fn present(&self) -> BTreeSet<DeviceId> {
        self.membership.devices().map(|(device, _)| device).collect()
    }
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    subject: usize,
    act: u8,
    role: u8,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (0..DEVICES, 0u8..5, 0u8..4).prop_map(|(subject, act, role)| Plan { subject, act, role });
    prop::collection::vec(plan, 0..16)
}

fn spaces(of_parent: &[Plan], of_child: &[Plan]) -> (Replica, Replica) {
    let mut parent = Replica::found(None);
    let mut child = Replica::found(Some(parent.space));
    of_parent.iter().for_each(|plan| parent.follow(*plan));
    of_child.iter().for_each(|plan| child.follow(*plan));
    (parent, child)
}

/// Carries out what the parent wants, one act at a time, as a node does.
fn tend(parent: &Replica, child: &mut Replica, by: usize) {
    for _ in 0..2 * DEVICES {
        let beside = Child::new(&child.membership, Some(&parent.membership));
        let Some(expulsion) = beside.expulsion(device(by)) else { return };
        child.act(by, expulsion.act());
    }
    panic!("it never ends");
}

proptest! {
    /// Who is in, out or unknown, and who may be taken in, is what the sets of devices say.
    #[test]
    fn what_a_device_is_to_a_child_follows_from_both_spaces(of_parent in plans(), of_child in plans()) {
        let (parent, child) = spaces(&of_parent, &of_child);
        let beside = Child::new(&child.membership, Some(&parent.membership));
        let (above, below) = (parent.present(), child.present());
        prop_assert_eq!(beside.outside(), below.difference(&above).copied().collect::<BTreeSet<_>>());
        for i in 0..DEVICES {
            let known = |of: &Replica| of.membership.was_device(device(i));
            let out = |of: &Replica, present: &BTreeSet<DeviceId>| known(of) && !present.contains(&device(i));
            let expected = match () {
                () if out(&parent, &above) || out(&child, &below) => Standing::PutOut,
                () if above.contains(&device(i)) && below.contains(&device(i)) => Standing::Member,
                () => Standing::Unknown,
            };
            prop_assert_eq!(beside.standing(device(i)), expected);
            let is_new = above.contains(&device(i)) && !known(&child) && user(i) == user(0);
            let may = below.contains(&device(0)) && above.contains(&device(0));
            prop_assert_eq!(beside.newcomers(device(0)).contains(&device(i)), is_new && may);
        }
    }

    /// Whoever administers the child carries out what the parent decided, even if several do at the same moment; all come
    /// to the same, and nobody whom the parent has put out is left.
    #[test]
    fn the_parents_removals_come_about_in_the_child_whoever_carries_them_out(of_parent in plans(), of_child in plans()) {
        let (parent, child) = spaces(&of_parent, &of_child);
        let mut replicas: Vec<Replica> = vec![child; DEVICES];
        for _ in 0..3 {
            for (by, replica) in replicas.iter_mut().enumerate() {
                tend(&parent, replica, by);
            }
            let all = replicas.clone();
            replicas.iter_mut().for_each(|replica| all.iter().for_each(|other| replica.hear(other)));
        }
        let first = &replicas[0];
        for replica in &replicas {
            prop_assert_eq!(replica.membership.members(), first.membership.members());
        }
        let acts = |i: &usize| {
            let beside = Child::new(&first.membership, Some(&parent.membership));
            beside.is_inside(device(*i)) && first.membership.role_of(device(*i)) == Some(Role::Owner)
        };
        let mut left = first.present().into_iter().filter(|d| Standing::of(&parent.membership, *d) == Standing::PutOut);
        prop_assert!(!(0..DEVICES).any(|i| acts(&i)) || left.next().is_none());
    }
}

#[test]
fn nobody_is_in_a_child_whose_parent_is_not_here() {
    let (_, child) = spaces(&[], &[]);
    let alone = Child::new(&child.membership, None);
    assert_eq!(alone.standing(device(0)), Standing::Unknown);
    assert_eq!(alone.outside(), child.present());
    assert_eq!((alone.expulsion(device(0)), alone.newcomers(device(0)).len()), (None, 0));
}

#[test]
fn whoever_is_out_of_the_parent_carries_out_nothing_in_the_child() {
    let add = |subject| Plan { subject, act: 0, role: Role::Owner.to_u8() };
    let remove = |subject| Plan { subject, act: 3, role: 0 };
    let (parent, child) = spaces(&[add(1), add(2), remove(1), remove(2)], &[add(1), add(2)]);
    let beside = Child::new(&child.membership, Some(&parent.membership));
    assert!(beside.expulsion(device(0)).is_some());
    assert_eq!(beside.expulsion(device(1)), None);
    assert!(beside.newcomers(device(1)).is_empty());
}

#[test]
fn members_send_notices_one_at_a_time_and_guests_none() {
    let add = |subject, role: Role| Plan { subject, act: 0, role: role.to_u8() };
    let (mut space, _) = spaces(&[add(1, Role::Member), add(2, Role::Guest)], &[]);
    let news = crate::News::Child(crate::ChildNews {
        space: SpaceId([1; 32]),
        name: "secret".into(),
        keys: crate::KeyRing::generate().0,
    });
    let notice = |author| {
        let sealed = crate::Notice::seal(space.space, device(author), &[], &news).unwrap();
        MembershipOp::Notice(sealed)
    };
    let (of_member, of_guest) = (notice(1), notice(2));
    assert!(space.membership.check(device(1), std::slice::from_ref(&of_member)).is_ok());
    assert!(space.membership.check(device(2), &[of_guest]).is_err());
    assert!(space.membership.check(device(1), &[of_member.clone(), of_member.clone()]).is_err());
    let written = space.written.len();
    space.act(1, of_member);
    assert_eq!(space.written.len(), written + 1);
    assert_eq!(space.present().len(), 3, "a notice changes nobody's place");
}

//! Tests of the membership fold: every admissible order gives the same result, and only those who may act do.

use std::collections::BTreeMap;

use covey_log::{Draft, Entry};
use covey_types::{DeviceSecret, EpochId, Head, Hlc, Incarnation, UserSecret};
use proptest::prelude::*;

use super::*;
use crate::{DeviceCert, KemSecret};

struct Actor {
    user: UserSecret,
    device: DeviceSecret,
    head: Head,
    clock: u64,
}

impl Actor {
    fn new() -> Self {
        Self { user: UserSecret::generate(), device: DeviceSecret::generate(), head: Head::EMPTY, clock: 0 }
    }

    fn certified(&self) -> Device {
        let cert = DeviceCert::sign(&self.user, &self.device, KemSecret::generate().public());
        Device { cert, name: "laptop".into() }
    }

    fn write(&mut self, space: SpaceId, kind: Kind, deps: Vec<EntryHash>) -> Entry {
        self.clock += 1;
        let draft = Draft {
            space,
            log: LogId { device: self.device.id(), incarnation: Incarnation(1) },
            head: self.head,
            hlc: Hlc::new(self.clock, 0),
            kind,
            epoch: EpochId([0; 16]),
            deps,
        };
        let entry = Entry::sign(&self.device, draft, vec![0; 40]);
        self.head = entry.head();
        entry
    }

    fn found(&mut self) -> (Membership, Entry, Vec<MembershipOp>) {
        let entry = self.write(SpaceId::FOUNDING, Kind::FOUNDING, vec![]);
        let ops = vec![MembershipOp::Found(Found {
            name: "garden".into(),
            history: HistoryPolicy::Full,
            user_name: "Ada".into(),
            device: self.certified(),
            nonce: [0; 16],
            keys: vec![],
        })];
        let mut membership = Membership::new(entry.space());
        membership.apply(&entry, &ops).unwrap();
        (membership, entry, ops)
    }

    fn invites(&self, role: Role, name: &str) -> Vec<MembershipOp> {
        vec![MembershipOp::AddMember(AddMember {
            user: self.user.id(),
            user_name: name.into(),
            role,
            devices: vec![self.certified()],
            keys: vec![],
        })]
    }
}

#[test]
fn the_founder_is_owner_and_adds_others() {
    let (mut ada, bob) = (Actor::new(), Actor::new());
    let (mut space, founding, _) = ada.found();
    let add = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&add, &bob.invites(Role::Member, "Bob")).unwrap();
    assert_eq!(space.role_of(ada.device.id()), Some(Role::Owner));
    assert_eq!(space.role_of(bob.device.id()), Some(Role::Member));
    assert_eq!(space.frontier(), [add.hash]);
    assert_eq!(space.may_write(bob.device.id(), &[add.hash]), Verdict::Allowed);
    assert_eq!(
        space.may_write(bob.device.id(), &[founding.hash]),
        Verdict::Refused,
        "not yet a member there"
    );
    assert_eq!(space.may_write(bob.device.id(), &[EntryHash([9; 32])]), Verdict::Unknown);
    assert_eq!(space.members()[&bob.user.id()].name, "Bob");
}

#[test]
fn a_guest_reads_and_neither_writes_nor_invites() {
    let (mut ada, mut gil, eve) = (Actor::new(), Actor::new(), Actor::new());
    let (mut space, ..) = ada.found();
    let add = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&add, &gil.invites(Role::Guest, "Gil")).unwrap();
    assert_eq!(space.may_write(gil.device.id(), &[add.hash]), Verdict::Refused);
    let attempt = gil.write(space.space, Kind::MEMBERSHIP, space.frontier());
    let result = space.apply(&attempt, &eve.invites(Role::Guest, "Eve"));
    assert!(matches!(result, Err(MembershipError::NotAllowed { .. })));
    assert!(!space.has_device(eve.device.id()));
    assert_eq!(space.frontier(), [add.hash], "a refused entry is no part of the graph");
}

#[test]
fn an_admin_cannot_make_an_owner() {
    let (mut ada, mut bob, eve) = (Actor::new(), Actor::new(), Actor::new());
    let (mut space, ..) = ada.found();
    let add = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&add, &bob.invites(Role::Admin, "Bob")).unwrap();
    let attempt = bob.write(space.space, Kind::MEMBERSHIP, space.frontier());
    assert!(space.apply(&attempt, &eve.invites(Role::Owner, "Eve")).is_err());
    let fine = bob.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&fine, &eve.invites(Role::Admin, "Eve")).unwrap();
}

#[test]
fn a_guest_can_not_even_write_an_empty_membership_entry() {
    let (mut ada, mut gil) = (Actor::new(), Actor::new());
    let (mut space, ..) = ada.found();
    let add = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&add, &gil.invites(Role::Guest, "Gil")).unwrap();
    for acts in [vec![], vec![MembershipOp::Unknown { kind: 99 }]] {
        let entry = gil.write(space.space, Kind::MEMBERSHIP, vec![add.hash]);
        assert!(matches!(space.apply(&entry, &acts), Err(MembershipError::NotAllowed { .. })));
    }
    assert_eq!(space.frontier(), [add.hash]);
}

#[test]
fn many_admins_at_the_same_moment_do_not_make_a_space_unwritable() {
    let mut ada = Actor::new();
    let (mut space, founding, _) = ada.found();
    let mut admins: Vec<Actor> = (0..40).map(|_| Actor::new()).collect();
    for admin in &admins {
        let add = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
        space.apply(&add, &admin.invites(Role::Admin, "admin")).unwrap();
    }
    let all_in = space.frontier();
    for admin in &mut admins {
        let guest = Actor::new();
        let add = admin.write(space.space, Kind::MEMBERSHIP, all_in.clone());
        space.apply(&add, &guest.invites(Role::Guest, "guest")).unwrap();
    }
    assert_eq!(space.frontier().len(), 40);
    let last = admins.len() - 1;
    let deps = space.deps_for(admins[last].device.id());
    assert!(deps.len() <= covey_types::limits::MAX_DEPS && deps != [founding.hash]);
    assert_eq!(space.may_write(admins[last].device.id(), &deps), Verdict::Allowed);
    let merge = admins[last].write(space.space, Kind::MEMBERSHIP, deps);
    space.apply(&merge, &Actor::new().invites(Role::Guest, "late")).unwrap();
    assert!(space.frontier().len() < 12, "one more entry and the graph is merged");
}

#[test]
fn nobody_joins_as_somebody_else() {
    let (mut ada, eve) = (Actor::new(), Actor::new());
    let (mut space, ..) = ada.found();
    let mut ops = eve.invites(Role::Member, "Ada");
    let MembershipOp::AddMember(add) = &mut ops[0] else { unreachable!() };
    add.user = ada.user.id();
    let entry = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    assert_eq!(space.apply(&entry, &ops), Err(MembershipError::BadCert(eve.device.id())));
}

#[test]
fn an_entry_whose_past_is_missing_waits() {
    let (mut ada, mut bob, cem) = (Actor::new(), Actor::new(), Actor::new());
    let (space, founding, ops) = ada.found();
    let first = ada.write(space.space, Kind::MEMBERSHIP, vec![founding.hash]);
    let second = bob.write(space.space, Kind::MEMBERSHIP, vec![first.hash]);
    let mut late = Membership::new(space.space);
    assert_eq!(late.apply(&second, &cem.invites(Role::Guest, "Cem")), Err(MembershipError::MissingPast));
    late.apply(&founding, &ops).unwrap();
    late.apply(&first, &bob.invites(Role::Admin, "Bob")).unwrap();
    late.apply(&second, &cem.invites(Role::Guest, "Cem")).unwrap();
    assert_eq!(late.len(), 3);
}

#[test]
fn another_spaces_founding_is_refused() {
    let (mut ada, mut eve) = (Actor::new(), Actor::new());
    let (mut space, ..) = ada.found();
    let (_, foreign, ops) = eve.found();
    assert!(matches!(space.apply(&foreign, &ops), Err(MembershipError::NotFounding(_))));
}

/// What a whole fold comes to, for comparison.
fn outcome(space: &Membership) -> (BTreeMap<UserId, Member>, Vec<EntryHash>) {
    (space.members(), space.frontier())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Several admins add people at the same time, knowing different parts of the graph. Whatever order the
    /// entries arrive in, all replicas agree.
    #[test]
    fn every_causal_order_gives_the_same_membership(
        acts in prop::collection::vec((0usize..4, 0usize..6, 0u8..4, any::<u64>()), 1..14),
        shuffle in prop::collection::vec(any::<u16>(), 64),
    ) {
        let mut actors: Vec<Actor> = (0..6).map(|_| Actor::new()).collect();
        let (reference, founding, founding_ops) = actors[0].found();
        let space_id = reference.space;
        let mut entries = vec![(founding.clone(), founding_ops)];
        let mut replica = reference;
        for (author, subject, role, knows) in acts {
            // The author knows only a part of what there is.
            let known: Vec<EntryHash> = entries.iter().map(|(entry, _)| entry.hash)
                .enumerate().filter(|(i, _)| knows >> (i % 64) & 1 == 1).map(|(_, hash)| hash).take(4).collect();
            let deps = if known.is_empty() { vec![founding.hash] } else { known };
            let role = Role::from_u8(role).unwrap();
            let ops = actors[subject].invites(role, &format!("{role} {subject}"));
            let entry = actors[author].write(space_id, Kind::MEMBERSHIP, deps);
            let _ = replica.apply(&entry, &ops);
            entries.push((entry, ops));
        }
        let mut other = Membership::new(space_id);
        let mut open = entries;
        let mut turn = 0usize;
        let mut idle = 0;
        // Entries that build on refused ones never get a past; so stop when a whole round changes nothing.
        while !open.is_empty() && idle <= open.len() {
            let i = usize::from(shuffle[turn % shuffle.len()]).wrapping_add(turn) % open.len();
            turn += 1;
            if other.apply(&open[i].0, &open[i].1) == Err(MembershipError::MissingPast) {
                idle += 1;
            } else {
                open.swap_remove(i);
                idle = 0;
            }
            if idle > 0 && idle > open.len() {
                // A random walk may miss one that is ready: look at all before giving up.
                if let Some(ready) = open.iter().position(|(entry, _)| !entry.header.deps.is_empty() && other.knows_all(&entry.header.deps) || entry.header.deps.is_empty()) {
                    let (entry, ops) = open.swap_remove(ready);
                    let _ = other.apply(&entry, &ops);
                    idle = 0;
                }
            }
        }
        prop_assert_eq!(outcome(&replica), outcome(&other));
    }
}

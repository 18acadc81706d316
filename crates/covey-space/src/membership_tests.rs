//! Tests of the membership fold: every admissible order gives the same result, and only those who may act do.

use super::*;
use crate::{
    AddMember, Device, DeviceCert, KemSecret,
    ops::{Cut, RemoveMember, Rotate, SetRole},
};
use covey_log::{Draft, Entry};
use covey_types::{DeviceSecret, EpochId, Head, Hlc, Incarnation, UserSecret};

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

    fn log(&self) -> LogId {
        LogId { device: self.device.id(), incarnation: Incarnation(1) }
    }

    fn certified(&self) -> Device {
        let cert = DeviceCert::sign(&self.user, &self.device, KemSecret::generate().public());
        Device { cert, name: "laptop".into() }
    }

    fn write(&mut self, space: SpaceId, kind: Kind, deps: Vec<EntryHash>) -> Entry {
        self.clock += 1;
        let draft = Draft {
            space,
            log: self.log(),
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
            parent: None,
            personal: false,
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
    assert_eq!(space.may_write(bob.log(), 1, &[add.hash]), Verdict::Allowed);
    assert_eq!(space.may_write(bob.log(), 1, &[founding.hash]), Verdict::Refused, "not yet a member there");
    assert_eq!(space.may_write(bob.log(), 1, &[EntryHash([9; 32])]), Verdict::Unknown);
    assert_eq!(space.members()[&bob.user.id()].name, "Bob");
}

#[test]
fn a_guest_reads_and_neither_writes_nor_invites() {
    let (mut ada, mut gil, eve) = (Actor::new(), Actor::new(), Actor::new());
    let (mut space, ..) = ada.found();
    let add = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&add, &gil.invites(Role::Guest, "Gil")).unwrap();
    assert_eq!(space.may_write(gil.log(), 1, &[add.hash]), Verdict::Refused);
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
    assert_eq!(space.may_write(admins[last].log(), 2, &deps), Verdict::Allowed);
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

fn put_out(user: &Actor, cuts: Vec<Cut>) -> MembershipOp {
    MembershipOp::RemoveMember(RemoveMember { user: user.user.id(), cuts })
}

fn cut(actor: &Actor) -> Cut {
    Cut { log: actor.log(), head: actor.head }
}

/// Ada's space with further people in these roles, one entry each.
fn space_with(roles: &[Role]) -> (Membership, Actor, Vec<Actor>) {
    let mut ada = Actor::new();
    let (mut space, ..) = ada.found();
    let others: Vec<Actor> = roles.iter().map(|_| Actor::new()).collect();
    for (other, role) in others.iter().zip(roles) {
        let add = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
        space.apply(&add, &other.invites(*role, "somebody")).unwrap();
    }
    (space, ada, others)
}

#[test]
fn what_a_removed_member_wrote_counts_up_to_the_cut() {
    let (mut space, mut ada, mut others) = space_with(&[Role::Member]);
    let bob = &mut others[0];
    let deps = space.frontier();
    for _ in 0..5 {
        bob.write(space.space, Kind::RECORDS, deps.clone());
    }
    let seen = Cut { log: bob.log(), head: Head { seq: 3, hash: EntryHash([1; 32]) } };
    let removal = ada.write(space.space, Kind::MEMBERSHIP, deps.clone());
    let before = space.generation();
    space.apply(&removal, &[put_out(bob, vec![seen])]).unwrap();
    assert_ne!(space.generation(), before, "what was judged before is to be judged again");
    assert_eq!(space.may_write(bob.log(), 3, &deps), Verdict::Allowed);
    assert_eq!(space.may_write(bob.log(), 4, &deps), Verdict::Refused);
    assert_eq!(space.may_write(bob.log(), 4, &[removal.hash]), Verdict::Refused);
    assert!(!space.has_device(bob.device.id()) && space.may_have_log(&bob.log()));
    assert_eq!(space.suspects(), [bob.device.id()].into());
}

#[test]
fn whoever_is_taken_in_again_writes_again_and_what_lies_between_stays_out() {
    let (mut space, mut ada, mut others) = space_with(&[Role::Member]);
    let bob = &mut others[0];
    let before = space.frontier();
    let removal = ada.write(space.space, Kind::MEMBERSHIP, before.clone());
    space.apply(&removal, &[put_out(bob, vec![])]).unwrap();
    let back = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&back, &bob.invites(Role::Member, "Bob")).unwrap();
    assert_eq!(space.may_write(bob.log(), 1, &before), Verdict::Refused);
    assert_eq!(space.may_write(bob.log(), 2, &[back.hash]), Verdict::Allowed);
}

#[test]
fn two_admins_who_remove_each_other_both_go() {
    let (mut space, _, mut others) = space_with(&[Role::Admin, Role::Admin]);
    let deps = space.frontier();
    let (cut_0, cut_1) = (cut(&others[0]), cut(&others[1]));
    let first = others[0].write(space.space, Kind::MEMBERSHIP, deps.clone());
    let second = others[1].write(space.space, Kind::MEMBERSHIP, deps);
    space.apply(&first, &[put_out(&others[1], vec![cut_1])]).unwrap();
    space.apply(&second, &[put_out(&others[0], vec![cut_0])]).unwrap();
    assert_eq!(space.len(), 1, "the owner is left, and can take both in again");
}

#[test]
fn of_two_owners_who_remove_each_other_the_senior_stays() {
    let (mut space, mut ada, mut others) = space_with(&[Role::Owner]);
    let bob = &mut others[0];
    let deps = space.frontier();
    let (cut_ada, cut_bob) = (cut(&ada), cut(bob));
    let by_bob = bob.write(space.space, Kind::MEMBERSHIP, deps.clone());
    space.apply(&by_bob, &[put_out(&ada, vec![cut_ada])]).unwrap();
    assert_eq!(space.role_of(ada.device.id()), None);
    let by_ada = ada.write(space.space, Kind::MEMBERSHIP, deps);
    space.apply(&by_ada, &[put_out(bob, vec![cut_bob])]).unwrap();
    assert_eq!(space.role_of(ada.device.id()), Some(Role::Owner));
    assert_eq!(space.role_of(bob.device.id()), None);
    assert_eq!(space.fallen(), [by_bob.hash]);
}

#[test]
fn the_last_owner_can_neither_leave_nor_step_down() {
    let (mut space, mut ada, _) = space_with(&[Role::Admin]);
    let leave = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    assert!(space.apply(&leave, &[put_out(&ada, vec![])]).is_err());
    let down = MembershipOp::SetRole(SetRole { user: ada.user.id(), role: Role::Member, cuts: vec![] });
    assert!(space.apply(&leave, &[down]).is_err());
}

#[test]
fn whom_a_removed_admin_took_in_at_the_same_moment_is_out_too() {
    let (mut space, mut ada, mut others) = space_with(&[Role::Admin]);
    let (bob, eve) = (&mut others[0], Actor::new());
    let deps = space.frontier();
    let cut_bob = cut(bob);
    let invite = bob.write(space.space, Kind::MEMBERSHIP, deps.clone());
    space.apply(&invite, &eve.invites(Role::Member, "Eve")).unwrap();
    assert_eq!(space.may_write(eve.log(), 1, &[invite.hash]), Verdict::Allowed);
    let removal = ada.write(space.space, Kind::MEMBERSHIP, deps);
    space.apply(&removal, &[put_out(bob, vec![cut_bob])]).unwrap();
    assert!(!space.has_device(eve.device.id()));
    assert_eq!(space.may_write(eve.log(), 1, &[invite.hash]), Verdict::Refused);
    assert!(space.suspects().contains(&eve.device.id()));
}

#[test]
fn a_key_that_somebody_outside_knows_is_to_be_changed() {
    let (mut space, mut ada, mut others) = space_with(&[Role::Member]);
    let bob = &mut others[0];
    let key = |device: DeviceId, epoch| crate::SealedKey { device, epoch, bytes: vec![] };
    let (one, two) = (EpochId([1; 16]), EpochId([2; 16]));
    let rotate = |epoch, before, devices: &[DeviceId]| {
        let keys = devices.iter().map(|device| key(*device, epoch)).collect();
        let previous = vec![crate::keyring::WrappedKey { epoch: before, bytes: vec![] }];
        MembershipOp::Rotate(Rotate { epoch, keys, previous })
    };
    let founding = EpochId([0; 16]);
    let both = [ada.device.id(), bob.device.id()];
    let first = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&first, &[rotate(one, founding, &both)]).unwrap();
    assert_eq!(space.current_epoch(), Some(one));
    assert!(!space.needs_rotation() && space.without_key().is_empty());
    let leave = bob.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&leave, &[put_out(bob, vec![])]).unwrap();
    assert!(space.needs_rotation());
    let second = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&second, &[rotate(two, one, &both[..1])]).unwrap();
    assert_eq!(space.current_epoch(), Some(two));
    assert!(!space.needs_rotation());
    let back = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&back, &bob.invites(Role::Guest, "Bob")).unwrap();
    assert_eq!(space.without_key(), [(bob.device.id(), two)], "whoever merges both seals it the new key");
}

#[test]
fn a_key_of_an_epoch_that_was_begun_in_vain_is_shared_once_in_whatever_order_that_becomes_known() {
    let (mut ada, mut bob) = (Actor::new(), Actor::new());
    let (mut space, ..) = ada.found();
    let add = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&add, &bob.invites(Role::Admin, "Bob")).unwrap();
    // Bob began an epoch in a history that doesn't count, and people wrote under it.
    let key = covey_log::EpochKey::generate();
    let void = bob.write(space.space, Kind::MEMBERSHIP, vec![add.hash]);
    let begins = [MembershipOp::Rotate(Rotate { epoch: key.id(), keys: vec![], previous: vec![] })];
    let seal = |device| crate::kem::seal(space.space, &key, device, KemSecret::generate().public()).unwrap();
    let shares = [MembershipOp::ShareKeys([&ada, &bob].map(|actor| seal(actor.device.id())).to_vec())];
    let lacked =
        |space: &Membership| space.without_key().iter().filter(|(_, epoch)| *epoch == key.id()).count();
    for share_first in [false, true] {
        let mut space = space.clone();
        let share = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
        if share_first {
            space.apply(&share, &shares).unwrap();
        }
        space.apply_void(&void, Some(&begins)).unwrap();
        assert_eq!(lacked(&space), if share_first { 0 } else { 2 });
        if !share_first {
            space.apply(&share, &shares).unwrap();
        }
        assert_eq!(lacked(&space), 0, "whoever shares doesn't name what has no effect");
    }
}

#[test]
fn a_guest_gives_a_key_to_whom_is_in_the_space_and_to_nobody_else() {
    let (mut ada, mut bob, carol) = (Actor::new(), Actor::new(), Actor::new());
    let (mut space, ..) = ada.found();
    let add = ada.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&add, &bob.invites(Role::Guest, "Bob")).unwrap();
    let key = covey_log::EpochKey::generate();
    let seal = |to: &Actor| {
        crate::kem::seal(space.space, &key, to.device.id(), KemSecret::generate().public()).unwrap()
    };
    let (inside, outside) = (seal(&ada), seal(&carol));
    let allowed = |keys: &[crate::SealedKey]| {
        space.check(bob.device.id(), &[MembershipOp::ShareKeys(keys.to_vec())]).is_ok()
    };
    assert!(allowed(std::slice::from_ref(&inside)));
    assert!(!allowed(std::slice::from_ref(&outside)));
    assert!(!allowed(&[inside.clone(), outside]));
    let share = bob.write(space.space, Kind::MEMBERSHIP, space.frontier());
    space.apply(&share, &[MembershipOp::ShareKeys(vec![inside])]).unwrap();
}

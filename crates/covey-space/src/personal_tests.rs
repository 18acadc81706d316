//! Tests of what is one person's own: their personal space, and the right to add their devices.

use covey_log::Draft;
use covey_types::{DeviceSecret, Head, Hlc, Incarnation, UserSecret};
use proptest::prelude::*;

use super::*;
use crate::{
    AddMember, Device, DeviceCert, KemSecret,
    ops::{AddDevice, Cut, RemoveDevice, RemoveMember, SetRole, SetSpace},
};

/// A device of somebody, and how far its log reaches.
struct Hand {
    secret: DeviceSecret,
    certified: Device,
    head: Head,
}

impl Hand {
    fn of(user: &UserSecret, name: &str) -> Self {
        let secret = DeviceSecret::generate();
        let cert = DeviceCert::sign(user, &secret, KemSecret::generate().public());
        Self { secret, certified: Device { cert, name: name.into() }, head: Head::EMPTY }
    }

    fn id(&self) -> DeviceId {
        self.secret.id()
    }

    fn log(&self) -> LogId {
        LogId { device: self.id(), incarnation: Incarnation(1) }
    }

    fn write(&mut self, space: SpaceId, kind: Kind, deps: Vec<EntryHash>) -> Entry {
        let (head, epoch) = (self.head, EpochId([0; 16]));
        let hlc = Hlc::new(head.seq + 1, 0);
        let draft = Draft { space, log: self.log(), head, hlc, kind, epoch, deps };
        let entry = Entry::sign(&self.secret, draft, vec![0; 40]);
        self.head = entry.head();
        entry
    }

    /// Writes an act behind these entries and has it judged.
    fn does(
        &mut self,
        space: &mut Membership,
        deps: Vec<EntryHash>,
        op: MembershipOp,
    ) -> Result<EntryHash, MembershipError> {
        let entry = self.write(space.space, Kind::MEMBERSHIP, deps);
        space.apply(&entry, &[op]).map(|()| entry.hash)
    }

    fn founds(&mut self, personal: bool, parent: Option<SpaceId>) -> Result<Membership, MembershipError> {
        let entry = self.write(SpaceId::FOUNDING, Kind::FOUNDING, vec![]);
        let found = MembershipOp::Found(Found {
            name: "mine".into(),
            history: HistoryPolicy::Full,
            user_name: "Ada".into(),
            device: self.certified.clone(),
            nonce: [0; 16],
            keys: vec![],
            parent,
            personal,
        });
        let mut space = Membership::new(entry.space());
        space.apply(&entry, &[found]).map(|()| space)
    }

    fn adds(&self) -> MembershipOp {
        MembershipOp::AddDevice(AddDevice { device: self.certified.clone(), keys: vec![] })
    }

    fn removal(&self, cut: Head) -> MembershipOp {
        MembershipOp::RemoveDevice(RemoveDevice {
            device: self.id(),
            cuts: vec![Cut { log: self.log(), head: cut }],
        })
    }

    fn invitation(&self, role: Role) -> MembershipOp {
        MembershipOp::AddMember(AddMember {
            user: self.certified.cert.user,
            user_name: "somebody".into(),
            role,
            devices: vec![self.certified.clone()],
            keys: vec![],
        })
    }
}

fn refused(result: Result<EntryHash, MembershipError>) -> bool {
    matches!(result, Err(MembershipError::NotAllowed { .. }))
}

#[test]
fn a_personal_space_takes_in_its_founders_devices_and_nobody_else() {
    let (ada, eve) = (UserSecret::generate(), UserSecret::generate());
    let (mut laptop, phone, evil) =
        (Hand::of(&ada, "laptop"), Hand::of(&ada, "phone"), Hand::of(&eve, "evil"));
    let mut space = laptop.founds(true, None).unwrap();
    assert!(space.is_personal());
    let mut tries = vec![evil.adds(), evil.invitation(Role::Guest), phone.invitation(Role::Member)];
    tries.push(MembershipOp::SetSpace(SetSpace { name: Some("ours".into()), history: None }));
    tries.push(MembershipOp::SetRole(SetRole { user: ada.id(), role: Role::Guest, cuts: vec![] }));
    tries.push(MembershipOp::RemoveMember(RemoveMember { user: ada.id(), cuts: vec![] }));
    tries.push(laptop.removal(laptop.head));
    for op in tries {
        let heads = space.frontier();
        assert!(refused(laptop.does(&mut space, heads, op.clone())), "{op:?}");
    }
    let heads = space.frontier();
    laptop.does(&mut space, heads, phone.adds()).unwrap();
    assert_eq!(space.role_of(phone.id()), Some(Role::Owner));
    assert_eq!((space.len(), space.devices().count()), (1, 2));
}

#[test]
fn the_founding_of_a_personal_space_reads_back_as_one_and_an_ordinary_one_as_what_it_is() {
    let laptop = Hand::of(&UserSecret::generate(), "laptop");
    for personal in [true, false] {
        let found = MembershipOp::Found(Found {
            name: "mine".into(),
            history: HistoryPolicy::Full,
            user_name: "Ada".into(),
            device: laptop.certified.clone(),
            nonce: [0; 16],
            keys: vec![],
            parent: None,
            personal,
        });
        let bytes = crate::ops::encode(std::slice::from_ref(&found));
        assert_eq!(crate::ops::decode(&bytes), Ok(vec![found]));
    }
}

#[test]
fn a_personal_space_belongs_to_no_other() {
    let mut laptop = Hand::of(&UserSecret::generate(), "laptop");
    let result = laptop.founds(true, Some(SpaceId([7; 32])));
    assert!(matches!(result, Err(MembershipError::NotFounding(_))));
}

#[test]
fn only_a_device_of_theirs_that_is_in_adds_a_persons_devices() {
    let (ada, bob) = (UserSecret::generate(), UserSecret::generate());
    let (mut laptop, mut bobs) = (Hand::of(&ada, "laptop"), Hand::of(&bob, "bobs"));
    let (mut phone, tablet) = (Hand::of(&ada, "phone"), Hand::of(&ada, "tablet"));
    let mut space = laptop.founds(false, None).unwrap();
    let founding = space.frontier();
    laptop.does(&mut space, founding.clone(), bobs.invitation(Role::Owner)).unwrap();
    let both = space.frontier();
    // Bob is an owner too. Ada's devices are still hers to add, by whatever act.
    assert!(refused(bobs.does(&mut space, both.clone(), phone.adds())));
    assert!(refused(bobs.does(&mut space, both.clone(), phone.invitation(Role::Guest))));
    // A certificate is not enough: a device that isn't in adds neither itself nor another.
    assert!(refused(phone.does(&mut space, both.clone(), phone.adds())));
    assert!(refused(phone.does(&mut space, both.clone(), tablet.adds())));
    laptop.does(&mut space, both, phone.adds()).unwrap();
    let heads = space.frontier();
    phone.does(&mut space, heads, tablet.adds()).unwrap();
    assert!(space.has_device(tablet.id()));
    // To raise the role of somebody who is in takes none of their devices.
    let heads = space.frontier();
    assert!(bobs.does(&mut space, heads, laptop.invitation(Role::Owner)).is_ok());
}

#[test]
fn a_revoked_device_brings_neither_itself_nor_another_back() {
    let ada = UserSecret::generate();
    let (mut laptop, mut phone, spare) =
        (Hand::of(&ada, "laptop"), Hand::of(&ada, "phone"), Hand::of(&ada, "spare"));
    for personal in [true, false] {
        (laptop.head, phone.head) = (Head::EMPTY, Head::EMPTY);
        let mut space = laptop.founds(personal, None).unwrap();
        let heads = space.frontier();
        laptop.does(&mut space, heads, phone.adds()).unwrap();
        let before = space.frontier();
        let out = laptop.does(&mut space, before.clone(), phone.removal(phone.head)).unwrap();
        // It has the user's secret, and so could certify whatever it likes.
        for op in [phone.adds(), spare.adds(), phone.invitation(Role::Owner)] {
            assert!(refused(phone.does(&mut space, vec![out], op.clone())), "{op:?}");
            // As if it had not heard of its end: that is past the cut, and has no effect.
            let _ = phone.does(&mut space, before.clone(), op);
            assert!(!space.has_device(phone.id()) && !space.has_device(spare.id()));
        }
    }
}

#[derive(Debug, Clone)]
struct Plan {
    author: usize,
    subject: usize,
    act: u8,
    knows: usize,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 2_000 }))]

    /// Whatever three devices of one person and one of another write at the same moment, knowing of more or less: the
    /// space is that person's alone, and they are left a device in it.
    #[test]
    fn nothing_opens_a_personal_space_to_others_or_leaves_it_to_nobody(
        plans in prop::collection::vec(
            (0..4usize, 0..4usize, 0u8..6, 1..20usize)
                .prop_map(|(author, subject, act, knows)| Plan { author, subject, act, knows }),
            1..16,
        ),
    ) {
        let (ada, eve) = (UserSecret::generate(), UserSecret::generate());
        let mut hands: Vec<Hand> = ["a", "b", "c"].iter().map(|name| Hand::of(&ada, name)).collect();
        hands.push(Hand::of(&eve, "evil"));
        let mut space = hands[0].founds(true, None).unwrap();
        let mut known = space.frontier();
        for Plan { author, subject, act, knows } in plans {
            let head = hands[subject].head;
            let whom = &hands[subject];
            let user = whom.certified.cert.user;
            let op = match act {
                0 | 1 => whom.adds(),
                2 => whom.invitation(Role::Owner),
                3 => MembershipOp::RemoveMember(RemoveMember { user, cuts: vec![] }),
                4 => MembershipOp::SetRole(SetRole { user, role: Role::Member, cuts: vec![] }),
                _ => whom.removal(head),
            };
            let deps = vec![known[knows % known.len()]];
            if let Ok(hash) = hands[author].does(&mut space, deps, op) {
                known.push(hash);
            }
            prop_assert_eq!(space.role_of_user(ada.id()), Some(Role::Owner));
            prop_assert_eq!(space.len(), 1);
            prop_assert!(space.devices().all(|(_, user)| user == ada.id()));
            prop_assert!(space.devices().next().is_some());
        }
    }
}

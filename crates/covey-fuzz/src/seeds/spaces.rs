//! Membership acts of every kind, their bodies, keys, welcomes and join requests.

use covey_log::{BodyContext, Draft, Entry, EpochKey, Kind, Opener, open};
use covey_space::{
    AddMember, ChildNews, Found, JoinRequest, KeyRing, MembershipOp, News, Notice, Role, SealedKey, Welcome,
    kem,
    keyring::WrappedKey,
    ops::{self, AddDevice, Cut, HistoryPolicy, RemoveDevice, RemoveMember, Rotate, SetRole, SetSpace},
};
use covey_types::{EpochId, Head, Hlc, SpaceId, wire};

use super::{Seeds, named};
use crate::{
    people::{ACTORS, LOGS, SPACE, epoch, place},
    script::push_sized,
};

fn sealed(n: usize, key: &EpochKey) -> SealedKey {
    let actor = &ACTORS[n];
    kem::seal(SPACE, key, actor.id(), actor.kem.public()).expect("a good public key")
}

fn found() -> MembershipOp {
    MembershipOp::Found(Found {
        name: "garden".into(),
        history: HistoryPolicy::Full,
        user_name: "Ada".into(),
        device: ACTORS[0].certified.clone(),
        nonce: [3; 16],
        keys: vec![sealed(0, &epoch(0))],
        parent: None,
        personal: false,
    })
}

/// A founding entry.
pub(super) fn founding() -> Entry {
    let log = ACTORS[0].log();
    let place = BodyContext { space: SpaceId::FOUNDING, log, seq: 1, kind: Kind::FOUNDING };
    let body = ops::seal_acts(&epoch(0), place, &ops::encode(&[found()]));
    let draft = Draft {
        space: SpaceId::FOUNDING,
        log,
        head: Head::EMPTY,
        hlc: Hlc::new(1000, 0),
        kind: Kind::FOUNDING,
        epoch: epoch(0).id(),
        deps: Vec::new(),
    };
    Entry::sign(&ACTORS[0].device, draft, body)
}

fn list() -> Vec<(&'static str, MembershipOp)> {
    let (ada, bob) = (&ACTORS[0], &ACTORS[1]);
    let cuts = vec![Cut { log: bob.log(), head: LOGS[1][3].head() }];
    let wrapped = WrappedKey { epoch: epoch(0).id(), bytes: epoch(1).wrap(&epoch(0)) };
    let keys = vec![sealed(0, &epoch(1)), sealed(1, &epoch(1))];
    let add = AddMember {
        user: bob.user_id(),
        user_name: "Bob".into(),
        role: Role::Admin,
        devices: vec![bob.certified.clone()],
        keys: vec![sealed(1, &epoch(0))],
    };
    let device = AddDevice { device: ACTORS[5].certified.clone(), keys: vec![sealed(5, &epoch(0))] };
    let rotate = Rotate { epoch: epoch(1).id(), keys, previous: vec![wrapped] };
    let set_role = SetRole { user: bob.user_id(), role: Role::Guest, cuts: cuts.clone() };
    let space = SetSpace { name: Some("allotment".into()), history: Some(HistoryPolicy::FromJoining) };
    vec![
        ("found", found()),
        ("add-member", MembershipOp::AddMember(add)),
        ("add-device", MembershipOp::AddDevice(device)),
        ("set-role", MembershipOp::SetRole(set_role)),
        (
            "remove-member",
            MembershipOp::RemoveMember(RemoveMember { user: bob.user_id(), cuts: cuts.clone() }),
        ),
        ("remove-device", MembershipOp::RemoveDevice(RemoveDevice { device: bob.id(), cuts })),
        ("rotate", MembershipOp::Rotate(rotate)),
        ("share-keys", MembershipOp::ShareKeys(vec![sealed(0, &epoch(2))])),
        ("rename-user", MembershipOp::RenameUser("Ada L.".into())),
        ("rename-device", MembershipOp::RenameDevice(ada.id(), "phone".into())),
        ("set-space", MembershipOp::SetSpace(space)),
    ]
}

/// Each act, and all in one entry.
pub(super) fn acts() -> Seeds {
    let list = list();
    let all: Vec<MembershipOp> = list.iter().map(|(_, act)| act.clone()).collect();
    let one = |(name, act): (&str, MembershipOp)| named(name, ops::encode(&[act]));
    list.into_iter().map(one).chain([named("all", ops::encode(&all))]).collect()
}

/// The same, as the bodies of entries.
pub(super) fn bodies() -> Seeds {
    acts().into_iter().map(|(name, plain)| (name, body(&plain))).collect()
}

/// What `crate::targets::acts::membership_body` takes: what stands outside, and what is sealed.
fn body(plain: &[u8]) -> Vec<u8> {
    type Given = Vec<(u16, Option<EpochId>, Vec<SealedKey>, Vec<WrappedKey>)>;
    let (key, place) = (epoch(0), place(Kind::MEMBERSHIP));
    let body = ops::seal_acts(&key, place, plain);
    let (given, sealed): (Given, Vec<u8>) =
        wire::decode("a body", &body, 1 << 20).expect("the layout that membership.md describes");
    let mut bytes = Vec::new();
    push_sized(&mut bytes, &wire::encode(&given));
    bytes.extend(open(Opener::from(&key), place, &sealed).expect("it was sealed here"));
    bytes
}

pub(super) fn sealed_keys() -> Seeds {
    let (one, two) = (epoch(1), epoch(2));
    vec![
        named("sealed", [one.id().0.as_slice(), &sealed(0, &one).bytes].concat()),
        named("wrapped", [two.id().0.as_slice(), &epoch(0).wrap(&two)].concat()),
    ]
}

pub(super) fn welcomes() -> Seeds {
    let (mut keys, first) = KeyRing::generate();
    keys.learn(epoch(1));
    let welcome = |keys: KeyRing| Welcome {
        space: SPACE,
        name: "garden".into(),
        role: Role::Member,
        keys,
        inviter_name: "Ada".into(),
        inviter: ACTORS[0].certified.clone(),
        addresses: vec!["/ip4/192.168.1.20/udp/4001/quic-v1".into(), "/ip6/fe80::1/tcp/4001".into()],
    };
    vec![
        named("first-epoch", welcome(KeyRing::generate().0).encode()),
        named("all-history", welcome(keys.clone()).encode()),
        named("from-joining", welcome(keys.for_joining(epoch(1).id())).encode()),
        named("back-to-the-first", welcome(keys.for_joining(first.id())).encode()),
    ]
}

pub(super) fn join_requests() -> Seeds {
    let request = JoinRequest { user_name: "Bob".into(), device: ACTORS[1].certified.clone() };
    vec![named("request", request.encode()), named("certificate", wire::encode(&ACTORS[1].certified.cert))]
}

pub(super) fn notices() -> Seeds {
    let child = |keys| News::Child(ChildNews { space: SpaceId([9; 32]), name: "secret".into(), keys });
    let (mut keys, _) = KeyRing::generate();
    keys.learn(epoch(1));
    let news = [child(KeyRing::generate().0), child(keys)];
    let to = [(ACTORS[1].id(), ACTORS[1].kem.public())];
    let sealed = Notice::seal(SPACE, ACTORS[0].id(), &to, &news[0]).expect("it is short");
    vec![
        named("news", wire::encode(&news[0])),
        named("news-of-two-epochs", wire::encode(&news[1])),
        named("sealed", wire::encode(&sealed)),
    ]
}

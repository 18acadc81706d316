//! What membership entries, join requests and welcomes say, and the keys in them.

use covey_log::{Kind, Opener, seal};
use covey_space::{
    DeviceCert, JoinRequest, KeyRing, LinkConsent, LinkQuestion, LinkRequest, LinkWelcome, MembershipOp,
    News, Notice, SealedKey, Welcome,
    ops::{self, is_display_name},
};
use covey_types::{EpochId, limits::MAX_PAIR_MESSAGE_BYTES, wire};

use super::steady;
use crate::{
    people::{ACTORS, SPACE, epoch, place},
    script::Script,
};

/// The acts of a membership entry. What this build knows of them reads back after it was written, sealed and opened.
pub fn membership_acts(bytes: &[u8]) {
    steady();
    let Ok(mut acts) = ops::decode(bytes) else { return };
    acts.retain(|act| !matches!(act, MembershipOp::Unknown { .. }));
    let plain = ops::encode(&acts);
    assert_eq!(ops::decode(&plain).as_ref(), Ok(&acts));
    let (key, place) = (epoch(0), place(Kind::MEMBERSHIP));
    let body = ops::seal_acts(&key, place, &plain);
    assert_eq!(ops::open_acts(Opener::from(&key), place, &body), Ok(plain));
    let keys = |acts: &[MembershipOp]| acts.iter().map(|act| act.sealed_keys().len()).sum::<usize>();
    assert_eq!(keys(&ops::offered_keys(&body)), keys(&acts), "keys are found without opening the rest");
}

/// The body of a membership entry that a hostile member sealed: keys that it gives, behind their length, and acts. A
/// ring learns from both and holds no key under another's name.
pub fn membership_body(bytes: &[u8]) {
    steady();
    let mut script = Script::new(bytes);
    let (given, acts) = (script.sized(), script.rest());
    let (key, place) = (epoch(0), place(Kind::MEMBERSHIP));
    let body = [given, &wire::encode(&seal(&key, place, acts))].concat();
    let mut acts = ops::offered_keys(&body);
    if let Ok(plain) = ops::open_acts(Opener::from(&key), place, &body) {
        acts.extend(ops::decode(&plain).into_iter().flatten());
    }
    let _ = ops::offered_keys(bytes);
    let (mut ring, me) = (KeyRing::generate().0, &ACTORS[0]);
    ring.learn(epoch(1));
    let wanted: Vec<EpochId> = acts.iter().filter_map(MembershipOp::begins).chain([epoch(2).id()]).collect();
    for epoch in wanted.into_iter().take(4) {
        ring.learn_one(SPACE, me.id(), &me.kem, epoch, &acts);
    }
    for epoch in ring.learn_from(SPACE, me.id(), &me.kem, &acts) {
        assert_eq!(ring.key(epoch).map(covey_log::EpochKey::id), Some(epoch));
    }
}

/// A key sealed to a device, and one wrapped with another, behind the epoch that they claim to be of.
pub fn sealed_key(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(epoch_id) = EpochId::from_slice(script.bytes(16)) else { return };
    let me = &ACTORS[0];
    let sealed = SealedKey { device: me.id(), epoch: epoch_id, bytes: script.rest().to_vec() };
    if let Ok(key) = me.kem.open(SPACE, &sealed) {
        assert_eq!(key.id(), epoch_id);
    }
    if let Some(key) = epoch(0).unwrap_key(epoch_id, script.rest()) {
        assert_eq!(key.id(), epoch_id);
    }
}

/// What a joiner is sent. Its keys are those of the epochs under whose names they come.
pub fn welcome(bytes: &[u8]) {
    if let Ok(welcome) = LinkWelcome::decode(bytes) {
        assert_eq!(LinkWelcome::decode(&welcome.encode()).as_ref(), Ok(&welcome));
        assert!(is_display_name(&welcome.user_name) && welcome.linker.cert.is_valid());
    }
    let Ok(welcome) = Welcome::decode(bytes) else { return };
    assert_eq!(Welcome::decode(&welcome.encode()).as_ref(), Ok(&welcome));
    assert!(is_display_name(&welcome.name) && welcome.inviter.cert.is_valid());
    if let Some(newest) = welcome.keys.newest() {
        assert_eq!(welcome.keys.key(newest.id()), Some(newest), "a key comes under its own name");
    }
    let mut ring = KeyRing::generate().0;
    assert!(!ring.merge(&welcome.keys), "rings of different spaces don't mix");
}

/// What a joiner sends.
pub fn join_request(bytes: &[u8]) {
    if let Ok(request) = LinkRequest::decode(bytes) {
        assert_eq!(LinkRequest::decode(&request.encode()).as_ref(), Ok(&request));
        assert!(is_display_name(&request.device_name));
    }
    let _ = (LinkQuestion::decode(bytes), LinkConsent::decode(bytes));
    let _ = wire::decode::<DeviceCert>("a certificate", bytes, MAX_PAIR_MESSAGE_BYTES).map(|c| c.is_valid());
    let Ok(request) = JoinRequest::decode(bytes) else { return };
    assert_eq!(JoinRequest::decode(&request.encode()).as_ref(), Ok(&request));
    assert!(is_display_name(&request.user_name) && is_display_name(&request.device.name));
    assert!(request.device.cert.is_valid());
}

/// A notice as a hostile member writes it, and news as they stand in one that is for this device. What is taken for news is
/// sound, and reaches those whom it is sealed to.
pub fn notice(bytes: &[u8]) {
    steady();
    let (author, me, other) = (&ACTORS[0], &ACTORS[1], &ACTORS[2]);
    if let Ok(notice) = wire::decode::<Notice>("a notice", bytes, MAX_PAIR_MESSAGE_BYTES) {
        assert_eq!(notice.open(SPACE, other.id(), me.id(), &me.kem), None, "nobody sealed this to anybody");
    }
    let Ok(news) = News::decode(bytes) else { return };
    let News::Child(child) = &news;
    assert!(is_display_name(&child.name) && child.keys.is_sound());
    let to = [(me.id(), me.kem.public())];
    let Some(sealed) = Notice::seal(SPACE, author.id(), &to, &news) else { return };
    let passed = wire::encode(&sealed);
    let passed: Notice = wire::decode("a notice", &passed, passed.len()).expect("it was written here");
    assert_eq!(passed.open(SPACE, author.id(), me.id(), &me.kem), Some(news));
    assert_eq!(passed.open(SPACE, author.id(), other.id(), &other.kem), None);
}

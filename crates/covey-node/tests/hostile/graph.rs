//! Members that bend who is a member, and what comes before its author is one.

use covey_log::{BodyContext, Draft, Entry, Kind, seal};
use covey_node::Role;
use covey_space::{AddMember, Device, DeviceCert, KemSecret, MembershipOp, ops};
use covey_types::{
    DeviceSecret, Head, Incarnation, LogId, UserSecret,
    keys::{Domain, random_bytes},
    wire,
};

use crate::{
    common::PATIENCE,
    entries::Attacked,
    member::{Answer, put_body},
    peer::{ACK, AGAIN, nobody_blamed},
};

fn taking_in(cert: DeviceCert) -> Vec<u8> {
    ops::encode(&[MembershipOp::AddMember(AddMember {
        user: cert.user,
        user_name: "Mallory".into(),
        role: Role::Member,
        devices: vec![Device { cert, name: "laptop".into() }],
        keys: Vec::new(),
    })])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_cannot_hand_a_device_to_a_person_whose_it_is_not() {
    let mut it = Attacked::by(Role::Admin).await;
    let before = it.garden.members();
    // Mallory claims Ada's device, and really signs that; the device's consent is another one's.
    let (mallory, kem) = (UserSecret::generate(), KemSecret::generate().public());
    let own = wire::encode(&DeviceCert::sign(&mallory, &DeviceSecret::generate(), kem));
    let message = wire::encode(&(mallory.id(), it.ada.identity().device, kem));
    let signature = wire::encode(&mallory.sign(Domain::DeviceCert, &message));
    let forged = [message.as_slice(), &signature, &own[message.len() + signature.len()..]].concat();
    let cert: DeviceCert = wire::decode("a certificate", &forged, 1024).unwrap();
    assert!(cert.device == it.ada.identity().device && cert.user == mallory.id() && !cert.is_valid());
    let draft = it.eve.draft(Kind::MEMBERSHIP);
    let entry = it.eve.sign(draft, &taking_in(cert));
    it.stores_all_and_applies_the_last(vec![entry]).await;
    assert_eq!(it.garden.members(), before);
    assert_eq!(it.garden.role(), Some(Role::Owner));
    it.forwards_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_membership_entry_becomes_nobodys_past() {
    let mut it = Attacked::by(Role::Guest).await;
    let draft = it.eve.draft(Kind::MEMBERSHIP);
    let entry = it.eve.sign(draft, &ops::encode(&[]));
    let mut line = it.eve.line().await;
    assert_eq!(line.deliver(std::slice::from_ref(&entry)).await, Answer::Acknowledged(vec![(0, 1)]));
    it.garden.collection("plants").unwrap().put(Some("a"), r#"{"v":"1"}"#).await.unwrap();
    let ada = it.ada.identity().device;
    while !line.received.iter().any(|entry| entry.header.kind == Kind::RECORDS) {
        line.step().await.expect("the node sends what it writes");
    }
    let written: Vec<&Entry> = line.received.iter().filter(|entry| entry.header.log.device == ada).collect();
    assert!(written.iter().all(|other| !other.header.deps.contains(&entry.hash)));
    nobody_blamed(&mut it.events);
    it.forwards_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_an_author_who_is_taken_in_later_are_asked_for_again() {
    let mut it = Attacked::by(Role::Admin).await;
    let mallory = DeviceSecret::generate();
    let cert = DeviceCert::sign(&UserSecret::generate(), &mallory, KemSecret::generate().public());
    let draft = it.eve.draft(Kind::MEMBERSHIP);
    let takes_in = it.eve.sign(draft, &taking_in(cert));
    let log = LogId { device: mallory.id(), incarnation: Incarnation(1) };
    let place = BodyContext { space: it.eve.space, log, seq: 1, kind: Kind::RECORDS };
    let draft = Draft { log, head: Head::EMPTY, deps: vec![takes_in.hash], ..it.eve.draft(Kind::RECORDS) };
    let body = seal(it.eve.keys.newest().unwrap(), place, &put_body("a", "1"));
    let early = Entry::sign(&mallory, draft, body);

    let mut line = it.eve.line().await;
    assert_eq!(line.deliver(std::slice::from_ref(&early)).await, Answer::Acknowledged(vec![]), "not stored");
    line.push(&[takes_in]).await;
    let (mut stored, mut wanted) = (false, None);
    while !stored || wanted.is_none() {
        let payload = line.wire.next().await.expect("the session lives");
        stored |= payload[0] == ACK;
        if payload[0] == AGAIN {
            let (_, lines): (u32, Vec<(LogId, u64)>) =
                wire::decode("a wish", &payload[1..], 1 << 20).unwrap();
            wanted = Some(lines);
        }
    }
    assert_eq!(wanted, Some(vec![(log, 1)]));
    assert_eq!(line.deliver(&[early]).await, Answer::Acknowledged(vec![(0, 1)]));
    assert_eq!(it.plants().await, "a {\"v\":\"1\"}\n");
    nobody_blamed(&mut it.events);
    it.ada.shutdown().await;
}

/// The most memory that this process has used, bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_bodies_that_expand_to_the_limit_are_opened_a_few_at_a_time() {
    const ENTRIES: u64 = 160;
    let mut it = Attacked::by(Role::Member).await;
    let expanding = vec![0; covey_types::limits::MAX_PLAIN_BODY_BYTES];
    let mut entries = Vec::new();
    for _ in 0..ENTRIES {
        let draft = it.eve.draft(Kind::RECORDS);
        entries.push(it.eve.sign(draft, &expanding));
    }
    assert!(entries.iter().all(|entry| entry.body.len() < 1000));
    let before = peak_bytes();
    let answer = it.eve.line().await.deliver(&entries).await;
    assert_eq!(answer, Answer::Acknowledged(vec![(0, ENTRIES)]));
    let grown = peak_bytes() - before;
    let all = ENTRIES * expanding.len() as u64;
    // A few for each core; what an allocator keeps beside differs.
    assert!(grown < all * 5 / 8, "{} MiB of {}", grown >> 20, all >> 20);
    nobody_blamed(&mut it.events);
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_too_many_operations_is_kept_and_nothing_of_it_is_applied() {
    let mut it = Attacked::by(Role::Member).await;
    let many = put_body("a", "1").repeat(covey_types::limits::MAX_OPS_PER_ENTRY + 1);
    let draft = it.eve.draft(Kind::RECORDS);
    let entry = it.eve.sign(draft, &many);
    it.stores_all_and_applies_the_last(vec![entry]).await;
    it.forwards_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_larger_than_a_sessions_inbox_reaches_a_member_that_is_idle() {
    let mut it = Attacked::by(Role::Member).await;
    let bob = crate::common::node(it.home.path(), "bob").await;
    let there = crate::common::join(&it.garden, &bob, Role::Member).await;
    let entries: Vec<Entry> =
        (0..1000).map(|n| it.eve.put(&format!("p{n}"), &format!("{:?}", random_bytes::<4>()))).collect();
    it.eve.line().await.deliver(&entries).await;
    crate::common::eventually_within(4 * PATIENCE, "bob has all of it", || async {
        crate::common::export(&there, "plants").await.lines().count() == 1000
    })
    .await;
    it.ada.shutdown().await;
    bob.shutdown().await;
}

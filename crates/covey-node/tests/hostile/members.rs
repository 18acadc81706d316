//! Members that lie about time, write what nobody can read, or do what their role forbids.

use covey_log::{Entry, EpochKey, Kind};
use covey_node::{Event, Node, NodeError, Role, WallClock};
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::{AddMember, Device, DeviceCert, KemSecret, MembershipOp, ops};
use covey_types::{
    DeviceId, DeviceSecret, EntryHash, Head, Hlc, Incarnation, LogId, UserSecret, keys::random_bytes,
};

use crate::{
    common::{PATIENCE, config, eventually, eventually_within, export, join, node},
    entries::Attacked,
    member::{Answer, Member, put_body, resigned},
    peer::{HEADS, frame, nobody_blamed},
};

const TWO_YEARS_MS: u64 = 2 * 365 * 24 * 3_600_000;

impl Attacked {
    /// Delivers entries that have to be stored whatever is in them, and then a good one that has to be applied.
    pub(crate) async fn stores_all_and_applies_the_last(&mut self, strange: Vec<Entry>) {
        let before = self.entries().await;
        let expected = before + strange.len() as u64 + 1;
        let last = self.eve.put("good", "1");
        let seq = last.header.seq;
        let mut line = self.eve.line().await;
        for entry in strange.into_iter().chain([last]) {
            let seq = entry.header.seq;
            assert_eq!(line.deliver(&[entry]).await, Answer::Acknowledged(vec![(0, seq)]));
        }
        assert_eq!(seq, self.eve.head.seq);
        assert_eq!(self.entries().await, expected);
        assert_eq!(self.plants().await, "good {\"v\":\"1\"}\n", "and nothing else");
        nobody_blamed(&mut self.events);
    }

    /// Whoever joins later gets every entry that is here, understood or not, and applies the same.
    pub(crate) async fn forwards_all(self) {
        let bob = node(self.home.path(), "bob").await;
        let there = join(&self.garden, &bob, Role::Member).await;
        let here = self.entries().await;
        eventually("bob has every entry", || async { there.status().await.unwrap().entries == here }).await;
        assert_eq!(export(&there, "plants").await, self.plants().await);
        self.ada.shutdown().await;
        bob.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_later_versions_are_kept_and_forwarded() {
    let mut it = Attacked::by(Role::Member).await;
    let strange = [(1, Kind(200), 0), (9, Kind::RECORDS, 3), (9, Kind(14), 1024), (9, Kind::MEMBERSHIP, 1)];
    let mut entries = Vec::new();
    for (version, kind, extension) in strange {
        let entry = it.eve.put("never", "seen");
        let later = resigned(&it.eve.peer.secret, &entry, |header| {
            (header.version, header.kind, header.extension) = (version, kind, vec![5; extension]);
        });
        it.eve.head = later.head();
        entries.push(later);
    }
    it.stores_all_and_applies_the_last(entries).await;
    let version = it.ada.doctor().await.into_iter().find(|check| check.name == "version").unwrap();
    assert!(!version.ok && version.detail.contains("wrote 4 entries"), "{}", version.detail);
    it.forwards_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_of_later_versions_are_kept_and_told_of_and_the_rest_of_their_entry_counts() {
    let mut it = Attacked::by(Role::Member).await;
    // An operation is its kind, its length and its payload.
    let unknown = [100, 3, 1, 2, 3];
    let draft = it.eve.draft(Kind::RECORDS);
    let entry = it.eve.sign(draft, &[&unknown, put_body("a", "1").as_slice(), &unknown].concat());
    assert_eq!(it.eve.line().await.deliver(&[entry]).await, Answer::Acknowledged(vec![(0, 1)]));
    it.ada.shutdown().await;
    for _ in 0..2 {
        // At each start it's tried again, and remembered again.
        let ada = Node::open(config(&it.home.path().join("ada"), "ada")).await.unwrap();
        assert_eq!(export(&ada.space("garden").unwrap(), "plants").await, "a {\"v\":\"1\"}\n");
        let checks = ada.doctor().await;
        let check = |name| checks.iter().find(|check| check.name == name).unwrap();
        assert!(!check("version").ok && check("version").detail.contains("parts of 1 others"));
        assert!(check("held").ok, "{}", check("held").detail);
        ada.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_nobody_can_open_are_kept_and_not_applied() {
    let mut it = Attacked::by(Role::Member).await;
    let other = EpochKey::generate();
    let (mut unknown_epoch, claimed_epoch) = (it.eve.draft(Kind::RECORDS), it.eve.draft(Kind::RECORDS));
    unknown_epoch.epoch = other.id();
    let mut entries = vec![it.eve.sign_under(&other, unknown_epoch, &put_body("never", "seen"))];
    let draft = covey_log::Draft { head: it.eve.head, ..claimed_epoch };
    entries.push(it.eve.sign_under(&other, draft, &put_body("never", "seen")));
    for len in [0, 10, 33, 5000] {
        let draft = it.eve.draft(Kind::RECORDS);
        let entry = Entry::sign(&it.eve.peer.secret, draft, random_bytes::<5000>()[..len].to_vec());
        it.eve.head = entry.head();
        entries.push(entry);
    }
    it.stores_all_and_applies_the_last(entries).await;
    it.forwards_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_garbage_is_kept_and_nothing_of_it_is_applied() {
    let mut it = Attacked::by(Role::Member).await;
    let half = [put_body("half", "1"), vec![1, 0xff, 0xff, 3]].concat();
    let garbage = [half, vec![0xff; 300], random_bytes::<300>().to_vec(), vec![1, 0], b"{}".to_vec()];
    let mut entries = Vec::new();
    for plain in garbage {
        let draft = it.eve.draft(Kind::RECORDS);
        entries.push(it.eve.sign(draft, &plain));
    }
    let draft = it.eve.draft(Kind::MEMBERSHIP);
    entries.push(it.eve.sign(draft, &random_bytes::<200>()));
    it.stores_all_and_applies_the_last(entries).await;
    it.forwards_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_writes_is_applied_nowhere() {
    let mut it = Attacked::by(Role::Guest).await;
    let before = it.entries().await;
    let entries = [it.eve.put("a", "1"), it.eve.put("b", "2")];
    let answer = it.eve.line().await.deliver(&entries).await;
    assert_eq!(answer, Answer::Acknowledged(vec![(0, 2)]));
    assert_eq!((it.entries().await, it.plants().await.as_str()), (before + 2, ""));
    nobody_blamed(&mut it.events);
    it.forwards_all().await;
}

/// The body that takes a new person in.
fn adds(role: Role, device: &DeviceSecret) -> Vec<u8> {
    let (user, kem) = (UserSecret::generate(), KemSecret::generate());
    let cert = DeviceCert::sign(&user, device, kem.public());
    ops::encode(&[MembershipOp::AddMember(AddMember {
        user: user.id(),
        user_name: "Mallory".into(),
        role,
        devices: vec![Device { cert, name: "laptop".into() }],
        keys: Vec::new(),
    })])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_others_in_without_being_allowed_to() {
    for (role, gives) in [(Role::Member, Role::Guest), (Role::Admin, Role::Owner)] {
        let mut it = Attacked::by(role).await;
        let draft = it.eve.draft(Kind::MEMBERSHIP);
        let entry = it.eve.sign(draft, &adds(gives, &DeviceSecret::generate()));
        it.stores_all_and_applies_the_last(vec![entry]).await;
        assert_eq!(it.garden.members().len(), 2);
        it.forwards_all().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_from_two_years_ahead_move_nobodys_clock_not_even_over_a_restart() {
    let mut it = Attacked::by(Role::Member).await;
    let now_ms = WallClock::default().now_ms();
    let present = it.eve.put("a", "now");
    it.eve.hlc = Hlc::new(now_ms + TWO_YEARS_MS, 0);
    let future = [it.eve.put("a", "then"), it.eve.put("b", "then")];
    let mut line = it.eve.line().await;
    line.deliver(&[present]).await;
    assert_eq!(line.deliver(&future).await, Answer::Acknowledged(vec![(0, 3)]), "kept");
    let held =
        |event: &Event| matches!(event, Event::EntryHeld { device, .. } if *device == it.eve.peer.id());
    assert!(std::iter::from_fn(|| it.events.try_recv().ok()).any(|event| held(&event)));
    assert_eq!(it.plants().await, "a {\"v\":\"now\"}\n", "and not applied");
    let entries = it.entries().await;
    it.ada.shutdown().await;

    let ada = Node::open(config(&it.home.path().join("ada"), "ada")).await.unwrap();
    let garden = ada.space("garden").unwrap();
    let put = garden.collection("plants").unwrap().put(Some("a"), r#"{"v":"ada"}"#).await.unwrap();
    assert!(put.hlc.wall_ms() < now_ms + 600_000, "written {} ms ahead", put.hlc.wall_ms() - now_ms);
    assert_eq!(garden.status().await.unwrap().entries, entries + 1);
    assert_eq!(export(&garden, "plants").await, "a {\"v\":\"ada\"}\n");
    ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_act_by_a_clock_that_is_ahead_counts_at_once_and_moves_nobodys_clock_not_even_over_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let settings = config(&home.path().join("ada"), "ada");
    let ada = Node::open(settings.clone()).await.unwrap();
    let garden = ada.create_space("garden").await.unwrap();
    let mut admin = Member::join(&ada, &garden, Role::Admin).await;
    let mut member = Member::join(&ada, &garden, Role::Member).await;
    admin.deps.clone_from(&member.deps);
    let now_ms = settings.clock.now_ms();
    // The admin's clock is two years ahead. The member's is right, and what it writes names the admin's act as its past.
    admin.hlc = Hlc::new(now_ms + TWO_YEARS_MS, 0);
    let draft = admin.draft(Kind::MEMBERSHIP);
    let invitation = admin.sign(draft, &adds(Role::Member, &DeviceSecret::generate()));
    member.deps = vec![invitation.hash];
    let put = member.put("a", "1");
    admin.line().await.deliver(&[invitation]).await;
    member.line().await.deliver(&[put]).await;
    assert_eq!(garden.members().len(), 4);
    eventually("what rests on it is applied", || async {
        export(&garden, "plants").await == "a {\"v\":\"1\"}\n"
    })
    .await;
    for restarted in [false, true] {
        let ada = if restarted {
            ada.shutdown().await;
            Node::open(settings.clone()).await.unwrap()
        } else {
            ada.clone()
        };
        let plants = ada.space("garden").unwrap().collection("plants").unwrap();
        let put = plants.put(Some("b"), r#"{"v":"ada"}"#).await.unwrap();
        assert!(put.hlc.wall_ms() < now_ms + 600_000, "written {} ms ahead", put.hlc.wall_ms() - now_ms);
        if restarted {
            ada.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_reach_beyond_all_numbers_break_nothing() {
    let mut it = Attacked::by(Role::Member).await;
    // Ada's own logs are claimed to be endless too.
    let endless = Head { seq: u64::MAX, hash: EntryHash([1; 32]) };
    let mut line = it.eve.line_without_heads().await;
    let mut logs: Vec<LogId> = line.received_heads.keys().copied().collect();
    assert!(!logs.is_empty());
    logs.extend((0..8).map(|n| LogId { device: DeviceId([n; 32]), incarnation: Incarnation(1) }));
    let heads: Vec<(LogId, Head)> = logs.into_iter().map(|log| (log, endless)).collect();
    line.wire.send(&frame(HEADS, &(0u32, heads))).await;
    let status = || async { it.garden.status().await.unwrap().sync.remove(0) };
    eventually("the node takes note", || async { status().await.missing_here > 0 }).await;
    it.garden.collection("plants").unwrap().put(Some("a"), r#"{"v":"1"}"#).await.unwrap();
    let entry = it.eve.put("b", "2");
    assert_eq!(line.deliver(&[entry]).await, Answer::Acknowledged(vec![(0, 1)]), "the session lives");
    assert_eq!(it.plants().await.lines().count(), 2);
    nobody_blamed(&mut it.events);
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_others_make_too_large_is_merged_all_the_same_and_can_be_made_smaller_here() {
    let mut it = Attacked::by(Role::Member).await;
    let plants = it.garden.collection("plants").unwrap();
    let big = "x".repeat(1_000_000);
    let mut entries = Vec::new();
    for field in 0..6 {
        let mut body = BodyWriter::new();
        let (name, value) = (format!("field{field}"), format!("{big:?}"));
        let id = RecordId::parse("fern").unwrap();
        body.push(&Op::Put { collection: "plants", id, fields: vec![(&name, &value)] }).unwrap();
        let draft = it.eve.draft(Kind::RECORDS);
        entries.push(it.eve.sign(draft, &body.finish()));
    }
    let mut line = it.eve.line().await;
    for entry in entries {
        let seq = entry.header.seq;
        assert_eq!(line.deliver(&[entry]).await, Answer::Acknowledged(vec![(0, seq)]));
    }
    assert!(plants.get("fern").await.unwrap().is_some_and(|doc| doc.len() > 6_000_000));
    let grown = plants.put(Some("fern"), r#"{"more":1}"#).await;
    assert!(matches!(grown, Err(NodeError::TooLarge { .. })), "{grown:?}");
    plants.put(Some("fern"), r#"{"field0":0}"#).await.unwrap();
    assert!(plants.get("fern").await.unwrap().is_some_and(|doc| doc.contains(r#""field0":0"#)));
    nobody_blamed(&mut it.events);
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_members_long_frame_is_taken_however_early_it_comes() {
    const LOGS: u64 = 2000;
    let mut it = Attacked::by(Role::Member).await;
    let head = Head { seq: 1, hash: EntryHash([1; 32]) };
    let log = |n| LogId { device: it.eve.peer.id(), incarnation: Incarnation(n) };
    let heads: Vec<(LogId, Head)> = (0..LOGS).map(|n| (log(n), head)).collect();
    for _ in 0..5 {
        let line = it.eve.line_in_haste(&heads).await;
        eventually("the node takes note", || async {
            it.garden.status().await.unwrap().sync[0].missing_here == LOGS
        })
        .await;
        line.wire.finish().await;
        eventually("the session ends", || async {
            it.garden.status().await.unwrap().sync[0].missing_here == 0
        })
        .await;
    }
    nobody_blamed(&mut it.events);
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_begins_log_after_log_is_stopped_and_hinders_nobody() {
    let mut it = Attacked::by(Role::Member).await;
    let before = it.entries().await;
    let mut entries = Vec::new();
    for incarnation in 0..200 {
        (it.eve.log.incarnation, it.eve.head) = (Incarnation(incarnation), Head::EMPTY);
        entries.push(it.eve.put("a", &incarnation.to_string()));
    }
    let answer = it.eve.line().await.deliver(&entries).await;
    let Answer::Acknowledged(lines) = answer else { panic!("the session lives") };
    assert_eq!(lines.len(), 64);
    assert_eq!(it.entries().await, before + 64);
    // The logs that are here may still grow.
    (it.eve.log.incarnation, it.eve.head) = (Incarnation(0), entries[0].head());
    let next = it.eve.put("b", "1");
    assert_eq!(it.eve.line().await.deliver(&[next]).await, Answer::Acknowledged(vec![(0, 2)]));
    nobody_blamed(&mut it.events);
    it.forwards_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_tiny_entries_are_taken_in_their_turn_and_others_are_not_starved() {
    const FLOOD: u64 = 10_000;
    let mut it = Attacked::by(Role::Member).await;
    let bob = node(it.home.path(), "bob").await;
    let there = join(&it.garden, &bob, Role::Member).await;
    let mut line = it.eve.line().await;
    let entries: Vec<Entry> =
        (0..FLOOD).map(|n| it.eve.put(&format!("p{}", n % 50), &n.to_string())).collect();
    for (n, entry) in entries.iter().enumerate() {
        line.push(std::slice::from_ref(entry)).await;
        if n == FLOOD as usize / 2 {
            there.collection("plants").unwrap().put(Some("bob"), r#"{"v":"1"}"#).await.unwrap();
        }
    }
    let flooded = async {
        loop {
            match line.answer().await {
                Answer::Acknowledged(lines) if lines.contains(&(0, FLOOD)) => return,
                Answer::Acknowledged(_) => {}
                Answer::Ended => panic!("the node ended the stream"),
            }
        }
    };
    // It's their turns that are promised, not how long so much takes.
    tokio::time::timeout(4 * PATIENCE, flooded).await.unwrap();
    eventually_within(2 * PATIENCE, "both have the same", || async {
        let here = it.plants().await;
        here.lines().count() == 51 && here == export(&there, "plants").await
    })
    .await;
    nobody_blamed(&mut it.events);
    it.ada.shutdown().await;
    bob.shutdown().await;
}

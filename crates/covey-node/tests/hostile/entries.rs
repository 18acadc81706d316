//! Entries that no honest member writes: none of them is kept, and no forgery goes unpunished.

use covey_log::{Entry, Kind};
use covey_node::{Event, Node, Role, Space};
use covey_types::{DeviceSecret, EntryHash, Head, Hlc, Incarnation, LogId, SpaceId};
use tokio::sync::broadcast;

use crate::{
    common::{export, node},
    member::{Answer, Member, put_body, resigned},
    peer::{CLOSE, blamed, dropped, frame, nobody_blamed},
};

/// A node with a space, and a member of it that is up to no good.
pub(crate) struct Attacked {
    pub(crate) home: tempfile::TempDir,
    pub(crate) ada: Node,
    pub(crate) garden: Space,
    pub(crate) eve: Member,
    pub(crate) events: broadcast::Receiver<Event>,
}

impl Attacked {
    pub(crate) async fn by(role: Role) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ada = node(home.path(), "ada").await;
        let garden = ada.create_space("garden").await.unwrap();
        let eve = Member::join(&ada, &garden, role).await;
        let events = ada.events();
        Self { home, ada, garden, eve, events }
    }

    pub(crate) async fn entries(&self) -> u64 {
        self.garden.status().await.unwrap().entries
    }

    pub(crate) async fn plants(&self) -> String {
        export(&self.garden, "plants").await
    }

    /// A good entry still gets through, on a new stream.
    async fn still_takes(&mut self, entry: &Entry, expected: &str) {
        let answer = self.eve.line().await.deliver(std::slice::from_ref(entry)).await;
        assert_eq!(answer, Answer::Acknowledged(vec![(0, entry.header.seq)]));
        assert_eq!(self.plants().await, expected);
        nobody_blamed(&mut self.events);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_members_good_entries_are_taken() {
    let mut it = Attacked::by(Role::Member).await;
    let entries = [it.eve.put("a", "1"), it.eve.put("b", "2")];
    assert_eq!(it.eve.line().await.deliver(&entries).await, Answer::Acknowledged(vec![(0, 2)]));
    assert_eq!(it.plants().await, "a {\"v\":\"1\"}\nb {\"v\":\"2\"}\n");
    nobody_blamed(&mut it.events);
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_signature_is_never_stored_and_the_sender_is_banned() {
    let mut it = Attacked::by(Role::Member).await;
    let before = it.entries().await;
    let (good, mut forged) = (it.eve.put("a", "1"), it.eve.put("b", "2"));
    forged.signature.0[7] ^= 1;
    let mut line = it.eve.line().await;
    assert_eq!(line.deliver(&[good, forged]).await, Answer::Ended);
    let reason = blamed(&mut it.events, it.eve.peer.id()).await;
    assert!(reason.contains("forged"), "{reason}");
    dropped(&it.ada, it.eve.peer.id()).await;
    assert_eq!((it.entries().await, it.plants().await.as_str()), (before, ""), "nothing of that frame");
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_after_a_forgery_is_banned_all_the_same() {
    for says_goodbye in [false, true] {
        let mut it = Attacked::by(Role::Member).await;
        let mut forged = it.eve.put("a", "1");
        forged.signature.0[7] ^= 1;
        let mut line = it.eve.line().await;
        line.push(&[forged]).await;
        if says_goodbye {
            line.wire.send(&frame(CLOSE, &covey_sync::CloseReason::Stopping)).await;
        }
        line.wire.finish().await;
        blamed(&mut it.events, it.eve.peer.id()).await;
        dropped(&it.ada, it.eve.peer.id()).await;
        it.ada.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_in_the_name_of_another_device_is_a_forgery() {
    let mut it = Attacked::by(Role::Member).await;
    let before = it.entries().await;
    // Signed by Eve, and put into Ada's log.
    let mut draft = it.eve.draft(Kind::RECORDS);
    draft.log = LogId { device: it.ada.identity().device, incarnation: Incarnation(1) };
    let entry = it.eve.sign(draft, &put_body("a", "1"));
    it.eve.line().await.deliver(&[entry]).await;
    blamed(&mut it.events, it.eve.peer.id()).await;
    assert_eq!((it.entries().await, it.plants().await.as_str()), (before, ""));
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_another_space_is_a_forgery_in_this_one() {
    let mut it = Attacked::by(Role::Member).await;
    let before = it.entries().await;
    let mut draft = it.eve.draft(Kind::RECORDS);
    draft.space = SpaceId([9; 32]);
    let entry = it.eve.sign(draft, &put_body("a", "1"));
    it.eve.line().await.deliver(&[entry]).await;
    blamed(&mut it.events, it.eve.peer.id()).await;
    assert_eq!((it.entries().await, it.plants().await.as_str()), (before, ""));
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_founding_entry_founds_nothing() {
    let mut it = Attacked::by(Role::Member).await;
    let before = it.entries().await;
    let mut draft = it.eve.draft(Kind::FOUNDING);
    (draft.space, draft.deps) = (SpaceId::FOUNDING, Vec::new());
    let entry = it.eve.sign(draft, b"");
    it.eve.line().await.deliver(&[entry]).await;
    assert_eq!((it.entries().await, it.ada.spaces().len()), (before, 1));
    it.eve.head = Head::EMPTY;
    let good = it.eve.put("a", "1");
    it.still_takes(&good, "a {\"v\":\"1\"}\n").await;
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_names_another_one_before_it_is_not_stored() {
    let mut it = Attacked::by(Role::Member).await;
    let first = it.eve.put("a", "1");
    let mut line = it.eve.line().await;
    line.deliver(std::slice::from_ref(&first)).await;
    let before = it.entries().await;
    let good = it.eve.put("b", "2");
    let forked = resigned(&it.eve.peer.secret, &good, |header| header.prev = EntryHash([8; 32]));
    assert_eq!(line.deliver(&[forked]).await, Answer::Acknowledged(vec![]), "the session goes on");
    assert_eq!(it.entries().await, before);
    it.still_takes(&good, "a {\"v\":\"1\"}\nb {\"v\":\"2\"}\n").await;
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_entry_at_a_place_that_is_taken_is_proof_against_its_author_and_neither_counts() {
    let mut it = Attacked::by(Role::Member).await;
    let first = it.eve.put("a", "1");
    it.eve.line().await.deliver(&[first]).await;
    let before = it.entries().await;
    it.eve.head = Head::EMPTY;
    let other = it.eve.put("a", "another history");
    let answer = it.eve.line().await.deliver(&[other]).await;
    assert_eq!(answer, Answer::Acknowledged(vec![]), "what is here is no acknowledgement of something else");
    assert_eq!((it.entries().await, it.plants().await.as_str()), (before - 1, ""));
    let forks = it.garden.status().await.unwrap().forks;
    assert_eq!(forks.iter().map(|fork| (fork.device, fork.seq)).collect::<Vec<_>>(), [(it.eve.peer.id(), 1)]);
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_out_of_order_are_not_stored_and_come_in_once_they_are_in_order() {
    let mut it = Attacked::by(Role::Member).await;
    let before = it.entries().await;
    let (first, second, third) = (it.eve.put("a", "1"), it.eve.put("b", "2"), it.eve.put("c", "3"));
    for wrong in [vec![second.clone()], vec![third.clone(), second.clone(), first.clone()]] {
        it.eve.line().await.deliver(&wrong).await;
        assert_eq!((it.entries().await, it.plants().await.as_str()), (before, ""));
    }
    nobody_blamed(&mut it.events);
    let answer = it.eve.line().await.deliver(&[first, second, third]).await;
    assert_eq!(answer, Answer::Acknowledged(vec![(0, 3)]));
    assert_eq!(it.plants().await.lines().count(), 3);
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_older_than_the_one_before_it_is_not_stored() {
    let mut it = Attacked::by(Role::Member).await;
    let first = it.eve.put("a", "1");
    it.eve.line().await.deliver(&[first]).await;
    let before = it.entries().await;
    let good = it.eve.put("b", "2");
    let back = resigned(&it.eve.peer.secret, &good, |header| header.hlc = Hlc::new(1000, 0));
    it.eve.line().await.deliver(&[back]).await;
    assert_eq!(it.entries().await, before);
    it.still_takes(&good, "a {\"v\":\"1\"}\nb {\"v\":\"2\"}\n").await;
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_entries_change_nothing() {
    let mut it = Attacked::by(Role::Member).await;
    let entries = [it.eve.put("a", "old"), it.eve.put("a", "new"), it.eve.put("b", "1")];
    it.eve.line().await.deliver(&entries).await;
    let (before, plants) = (it.entries().await, it.plants().await);
    for _ in 0..3 {
        let answer = it.eve.line().await.deliver(&entries).await;
        assert_eq!(answer, Answer::Acknowledged(vec![(0, 3)]));
    }
    assert_eq!((it.entries().await, it.plants().await), (before, plants));
    nobody_blamed(&mut it.events);
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_a_device_that_is_not_in_the_space_are_not_stored() {
    let mut it = Attacked::by(Role::Member).await;
    let before = it.entries().await;
    let good = it.eve.put("a", "1");
    let stranger = DeviceSecret::generate();
    let foreign = resigned(&stranger, &good, |header| header.log.device = stranger.id());
    it.eve.line().await.deliver(&[foreign]).await;
    assert_eq!((it.entries().await, it.plants().await.as_str()), (before, ""));
    it.still_takes(&good, "a {\"v\":\"1\"}\n").await;
    it.ada.shutdown().await;
}

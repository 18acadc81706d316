//! Bytes that no honest peer sends on a sync stream.

use covey_node::{Event, Node, Role, Space};
use covey_types::{DeviceId, EntryHash, Head, Incarnation, LogId, keys::random_bytes};
use tokio::sync::broadcast;

use crate::{
    common::{eventually, export, join, node},
    peer::{
        ACK, CLOSE, ENTRIES, HEADS, HELLO, OFFER, Peer, SYNC, Wire, blamed, dropped, frame, hello,
        hello_frame, nobody_blamed,
    },
};

/// A node with a space, a good second node in it, and what the first one reports.
struct Garden {
    home: tempfile::TempDir,
    ada: Node,
    bob: Node,
    here: Space,
    there: Space,
    events: broadcast::Receiver<Event>,
}

impl Garden {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
        let here = ada.create_space("garden").await.unwrap();
        let there = join(&here, &bob, Role::Member).await;
        let events = ada.events();
        Self { home, ada, bob, here, there, events }
    }

    /// The good node still gets what is written, and the other way round.
    async fn lives_on(self) {
        let (plants, theirs) =
            (self.here.collection("plants").unwrap(), self.there.collection("plants").unwrap());
        plants.put(Some("a"), r#"{"by":"ada"}"#).await.unwrap();
        theirs.put(Some("b"), r#"{"by":"bob"}"#).await.unwrap();
        eventually("both have both", || async {
            let all = export(&self.here, "plants").await;
            all.lines().count() == 2 && all == export(&self.there, "plants").await
        })
        .await;
        self.ada.shutdown().await;
        self.bob.shutdown().await;
        drop(self.home);
    }

    /// Each of these attackers is blamed and let go, and stays away.
    async fn blames<F: Future<Output = Wire>>(&mut self, what: &str, attack: impl FnOnce(Peer) -> F) {
        let peer = Peer::near(&self.ada).await;
        let (device, net) = (peer.id(), peer.net.clone());
        let mut wire = attack(peer).await;
        let reason = blamed(&mut self.events, device).await;
        assert!(!reason.is_empty(), "{what}");
        wire.rest().await;
        dropped(&self.ada, device).await;
        assert!(net.open(self.ada.identity().device, SYNC).await.is_err(), "{what}: it is kept away");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_nobody_can_read_cost_the_peer_its_connection_and_the_node_nothing() {
    let mut garden = Garden::new().await;
    garden
        .blames("an oversized frame", |peer| async move {
            let (mut wire, _) = peer.greeted().await;
            wire.raw(&u32::MAX.to_le_bytes()).await;
            wire
        })
        .await;
    garden
        .blames("a frame that is too long for a stranger, before any of it came", |peer| async move {
            let (mut wire, _) = peer.greeted().await;
            wire.raw(&100_000u32.to_le_bytes()).await;
            wire
        })
        .await;
    garden
        .blames("an unknown kind", |peer| async move {
            let (mut wire, _) = peer.greeted().await;
            wire.send(&[99, 1, 2, 3]).await;
            wire
        })
        .await;
    garden
        .blames("an empty frame", |peer| async move {
            let (mut wire, _) = peer.greeted().await;
            wire.send(&[]).await;
            wire
        })
        .await;
    garden
        .blames("random fields", |peer| async move {
            let (mut wire, _) = peer.greeted().await;
            wire.send(&[&[HEADS], random_bytes::<200>().as_slice()].concat()).await;
            wire
        })
        .await;
    garden
        .blames("random bytes", |peer| async move {
            let mut wire = peer.open(SYNC).await;
            let mut bytes: Vec<u8> = (0..1024).flat_map(|_| random_bytes::<64>()).collect();
            bytes[3] |= 0x80; // one length in a thousand would be allowed, and be waited for
            wire.raw(&bytes).await;
            wire
        })
        .await;
    garden.lives_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_out_of_place_cost_the_peer_its_connection_and_the_node_nothing() {
    let mut garden = Garden::new().await;
    let before_the_greeting = [
        frame(OFFER, &vec![[1u8; 16]]),
        frame(HEADS, &(0u32, Vec::<(LogId, Head)>::new())),
        frame(ACK, &(0u32, Vec::<(u32, u64)>::new(), 0u32)),
    ];
    for payload in before_the_greeting {
        garden
            .blames("a frame before the greeting", |peer| async move {
                let mut wire = peer.open(SYNC).await;
                wire.send(&payload).await;
                wire
            })
            .await;
    }
    let log = LogId { device: DeviceId([1; 32]), incarnation: Incarnation(1) };
    let head = Head { seq: 3, hash: EntryHash([2; 32]) };
    let after_the_greeting = [
        hello_frame(&hello()),
        frame(HEADS, &(0u32, vec![(log, head)])),
        frame(HEADS, &(u32::MAX, vec![(log, head)])),
        [frame(ENTRIES, &0u32), vec![0; 80]].concat(),
        frame(ACK, &(0u32, vec![(0u32, 1u64)], 0u32)),
        frame(ACK, &(0u32, Vec::<(u32, u64)>::new(), 1000u32)),
        frame(OFFER, &vec![[1u8; 16], [1; 16]]),
    ];
    for payload in after_the_greeting {
        let what = format!("a frame of kind {}", payload[0]);
        garden
            .blames(&what, |peer| async move {
                let (mut wire, _) = peer.greeted().await;
                wire.send(&payload).await;
                wire
            })
            .await;
    }
    garden
        .blames("a window smaller than one entry", |peer| async move {
            let mut wire = peer.open(SYNC).await;
            wire.send(&hello_frame(&covey_sync::Hello { window: 1000, ..hello() })).await;
            wire
        })
        .await;
    garden.lives_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_offers_is_cut_off() {
    let mut garden = Garden::new().await;
    garden
        .blames("a flood of offers", |peer| async move {
            let (mut wire, _) = peer.greeted().await;
            for _ in 0..100 {
                let tags: Vec<[u8; 16]> = (0..64).map(|_| random_bytes()).collect();
                wire.send(&frame(OFFER, &tags)).await;
            }
            wire
        })
        .await;
    garden
        .blames("one offer of too many", |peer| async move {
            let (mut wire, _) = peer.greeted().await;
            let tags: Vec<[u8; 16]> = (0..4000).map(|_| random_bytes()).collect();
            wire.send(&frame(OFFER, &tags)).await;
            wire
        })
        .await;
    garden.lives_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_breaks_off_is_forgotten_and_nobody_is_blamed() {
    let mut garden = Garden::new().await;
    let peer = Peer::near(&garden.ada).await;
    for cut in [1, 3, 4, 5, 20] {
        let mut wire = peer.open(SYNC).await;
        let whole = covey_sync::framing::frame(&hello_frame(&hello()));
        wire.raw(&whole[..cut]).await;
        wire.finish().await;
    }
    // It may come again at once, and is answered.
    let (mut wire, _) = peer.greeted().await;
    assert_eq!(wire.next().await.unwrap()[0], OFFER);
    nobody_blamed(&mut garden.events);
    garden.lives_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_of_another_version_is_told_so_and_not_blamed() {
    let mut garden = Garden::new().await;
    for (oldest, newest) in [(2, 7), (0, 0), (3, 2)] {
        let peer = Peer::near(&garden.ada).await;
        let mut wire = peer.open(SYNC).await;
        wire.send(&hello_frame(&covey_sync::Hello { oldest, newest, ..hello() })).await;
        let frames = wire.rest().await;
        assert_eq!(frames.len(), 2, "{frames:?}");
        assert_eq!(frames[0][0], HELLO);
        assert_eq!(frames[1], frame(CLOSE, &covey_sync::CloseReason::Version));
    }
    nobody_blamed(&mut garden.events);
    garden.lives_on().await;
}

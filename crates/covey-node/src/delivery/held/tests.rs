//! What is heard of peers, kept, and taken back.

use covey_types::Incarnation;
use proptest::prelude::*;

use super::*;

const OWN: DeviceId = DeviceId([1; 32]);
const PEER: DeviceId = DeviceId([2; 32]);
const SPACE: SpaceId = SpaceId([7; 32]);

fn log(device: DeviceId, n: u64) -> LogId {
    LogId { device, incarnation: Incarnation(n) }
}

fn hear(state: &mut State, news: &[(LogId, u64, u64)], is_first: bool) -> Heard {
    let news: Vec<_> = news.iter().map(|(log, seq, of)| HeldLog { log: *log, seq: *seq, of: *of }).collect();
    state.hear((SPACE, PEER), &news, is_first, OWN)
}

fn place(state: &State, log: LogId, head: u64) -> u64 {
    state.spaces[&SPACE][&PEER].of(PEER, log, head)
}

#[test]
fn a_peer_holds_what_it_said_and_its_own_logs_whole() {
    let mut state = State::default();
    let heard = hear(&mut state, &[(log(OWN, 1), 3, 5), (log(PEER, 1), 4, 4)], true);
    assert_eq!(heard, Heard { own: true, less: false });
    assert_eq!((place(&state, log(OWN, 1), 5), place(&state, log(OWN, 2), 5)), (3, 0));
    assert_eq!(place(&state, log(PEER, 1), 9), 9, "what it wrote since came from it, by whatever way");
    assert_eq!(hear(&mut state, &[(log(OWN, 1), 5, 5)], false), Heard { own: true, less: false });
    assert_eq!(hear(&mut state, &[(log(OWN, 1), 5, 6)], false), Heard::default(), "no news");
}

#[test]
fn a_peer_that_lost_its_home_is_not_said_to_hold_what_it_held() {
    let mut state = State::default();
    hear(&mut state, &[(log(OWN, 1), 9, 9), (log(PEER, 1), 4, 4)], true);
    let heard = hear(&mut state, &[(log(OWN, 1), 2, 9), (log(PEER, 1), 1, 4)], true);
    assert_eq!(heard, Heard { own: true, less: true });
    assert_eq!((place(&state, log(OWN, 1), 9), place(&state, log(PEER, 1), 4)), (2, 1));
    hear(&mut state, &[(log(OWN, 1), 0, 9)], true);
    assert_eq!(place(&state, log(OWN, 1), 9), 0, "a log that it doesn't name any more");
}

proptest! {
    #[test]
    fn what_is_kept_comes_back_as_it_was(
        lines in prop::collection::vec((0u8..5, 0u8..5, 0u64..3, 0u64..9), 0..60),
    ) {
        let mut peers: BTreeMap<DeviceId, Places> = BTreeMap::new();
        for (peer, device, incarnation, seq) in lines {
            let log = log(DeviceId([device; 32]), incarnation);
            peers.entry(DeviceId([peer; 32])).or_default().0.insert(log, seq);
        }
        let bytes = wire::encode(&Kept::pack(&peers));
        let kept: Kept = wire::decode("what peers hold", &bytes, MAX_KEPT_BYTES).unwrap();
        let back = kept.unpack();
        for n in 0u8..75 {
            let (peer, device) = (DeviceId([n % 5; 32]), DeviceId([n / 5 % 5; 32]));
            let log = log(device, u64::from(n) / 25);
            let of = |all: &BTreeMap<DeviceId, Places>| all.get(&peer).cloned().unwrap_or_default().of(peer, log, 9);
            prop_assert_eq!(of(&back), of(&peers));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_what_is_known_when_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let mut config = crate::NodeConfig::new(home.path().join("laptop"));
    config.profile = Some(crate::Profile { user_name: "Ada".into(), device_name: "laptop".into() });
    config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".into()];
    config.mdns = crate::MdnsConfig::off();
    let node = Node::open(config).await.unwrap();
    let (space, member) = (node.create_space("garden").await.unwrap().id(), node.device());
    let hear = |seq| {
        let held = HeldLog { log: log(PEER, 1), seq, of: 9 };
        node.0.held.state().hear((space, member), &[held], true, OWN);
    };
    // While the writer is busy something is to be kept, and then the peer has less.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (started, has_started) = tokio::sync::oneshot::channel();
    let store = node.0.store.clone();
    let busy = tokio::spawn(async move {
        let wait = move |_: &mut covey_store::Tx<'_>| {
            let _ = started.send(());
            released.recv().map_err(|err| crate::NodeError::Internal(err.to_string()))
        };
        store.write(wait).await
    });
    has_started.await.unwrap();
    hear(9);
    let mut keeping = Box::pin(Holdings::keep(&node));
    tokio::select! {
        biased;
        () = &mut keeping => panic!("the writer is busy"),
        () = std::future::ready(()) => {}
    }
    hear(2);
    release.send(()).unwrap();
    busy.await.unwrap().unwrap();
    keeping.await;
    let kept = Holdings::load(&node.0.store, vec![space]).await.unwrap();
    assert_eq!(kept.of(space)[&member].of(member, log(PEER, 1), 9), 2);
    node.shutdown().await;
}

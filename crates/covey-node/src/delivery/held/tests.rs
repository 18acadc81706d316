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

//! Proofs of forked logs, and what was written past them.

use std::sync::{Arc, LazyLock};

use covey_log::{
    Draft, Entry, Kind,
    fork::{Evidence, ForkProof, MAX_EVIDENCE_BYTES, SignedHeader},
};
use covey_types::{EntryHash, Head, Hlc};

use super::steady;
use crate::{
    people::{ACTORS, LOGS, SPACE, epoch},
    script::Script,
};

/// First and last place of the third device's log at which some evidence here says that it was forked.
const PLACES: (u64, u64) = (6, 12);

/// Membership entries that the third device wrote past each of those places, some of them at one place.
static VOIDS: LazyLock<Vec<Arc<Entry>>> =
    LazyLock::new(|| (0..12).map(|n| Arc::new(written(6 + n / 2, Kind::MEMBERSHIP, n as u8))).collect());

/// What the third device wrote at a place of its log, besides what stands there.
fn written(seq: u64, kind: Kind, salt: u8) -> Entry {
    let before = &LOGS[2][usize::try_from(seq).expect("a short log") - 2];
    let draft = Draft {
        space: SPACE,
        log: ACTORS[2].log(),
        head: Head { seq: seq - 1, hash: before.hash },
        hlc: Hlc::new(5000, 0),
        kind,
        epoch: epoch(0).id(),
        deps: vec![EntryHash([1; 32])],
    };
    Entry::sign(&ACTORS[2].device, draft, vec![salt; 60])
}

/// Evidence for one of the places, with some of the void entries, as the script says.
pub(crate) fn evidence(script: &mut Script<'_>) -> Evidence {
    let places = PLACES.1 - PLACES.0 + 1;
    let seq = PLACES.0 + u64::from(script.byte()) % places;
    let half = |entry: &Entry| {
        SignedHeader::verified(&entry.header_bytes, entry.signature).expect("it was signed here")
    };
    let one = &LOGS[2][usize::try_from(seq).expect("a short log") - 1];
    let other = written(seq, Kind::RECORDS, 200 + (script.byte() & 1));
    let proof = ForkProof::of(SPACE, half(one), half(&other)).expect("they contradict each other");
    let mask = script.number();
    let voids =
        VOIDS.iter().enumerate().filter(|(n, _)| mask >> n & 1 == 1).map(|(_, void)| Arc::clone(void));
    let agreed = script.byte();
    let at = seq + u64::from(agreed & 3);
    let agreed = (agreed & 4 == 4).then(|| Arc::new(written(at, Kind::AGREED, 210 + (agreed >> 7))));
    Evidence::new(proof).with(voids).with_agreed(agreed)
}

/// Evidence as it comes from others. What is believed reads back as it was, and is about one log only.
pub fn fork_evidence(bytes: &[u8]) {
    steady();
    let Ok(evidence) = Evidence::verified(SPACE, bytes) else { return };
    let encoded = evidence.encode();
    assert!(encoded.len() <= MAX_EVIDENCE_BYTES, "what is believed can be passed on");
    assert_eq!(Evidence::verified(SPACE, &encoded).as_ref(), Ok(&evidence));
    let is_past =
        |entry: &Arc<Entry>| entry.header.log == evidence.log() && entry.header.seq >= evidence.parts();
    assert!(evidence.voids().all(is_past), "entries that count are not void");
    assert_eq!(evidence.clone().merge(evidence.clone()), evidence);
}

/// Evidence of one log that several nodes gathered, merged in every order.
pub fn evidence_merge(bytes: &[u8]) {
    steady();
    let mut script = Script::new(bytes);
    let [a, b, c] = std::array::from_fn(|_| evidence(&mut script));
    let merged = a.clone().merge(b.clone()).merge(c.clone());
    for [x, y, z] in [[&a, &c, &b], [&b, &a, &c], [&c, &b, &a]] {
        assert_eq!(x.clone().merge(y.clone().merge(z.clone())), merged);
    }
    assert!([&a, &b, &c].iter().all(|one| merged.parts() <= one.parts()), "the lowest place counts");
    assert_eq!(Evidence::verified(SPACE, &merged.encode()).as_ref(), Ok(&merged));
    let agreed = |one: &Evidence| one.agreed().map(|entry| entry.header.seq);
    assert!([&a, &b, &c].iter().all(|one| agreed(&merged) >= agreed(one)), "the last agreement counts");
    for one in [a, b, c] {
        assert_eq!(
            one.line().is_news_to(Some(&merged.line())),
            agreed(&one) == agreed(&merged) && one.line().voids != merged.line().voids
        );
    }
}

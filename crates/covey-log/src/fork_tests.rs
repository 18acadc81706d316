//! Proofs hold if and only if the author signed two histories; evidence merges the same in every order.

use covey_types::{DeviceSecret, EpochId, Head, Hlc, Incarnation, SecretBytes};
use proptest::prelude::*;

use super::*;
use crate::Draft;

const SPACE: SpaceId = SpaceId([1; 32]);

fn author() -> DeviceSecret {
    DeviceSecret::from_seed(&SecretBytes::new([7; 32]))
}

fn log() -> LogId {
    LogId { device: author().id(), incarnation: Incarnation(9) }
}

/// An entry behind `head`; `branch` tells histories apart.
fn entry(head: Head, branch: u8, kind: Kind, bytes: usize) -> Entry {
    let draft = Draft {
        space: SPACE,
        log: log(),
        head,
        hlc: Hlc::new(1000 * (head.seq + 1), branch.into()),
        kind,
        epoch: EpochId([2; 16]),
        deps: vec![EntryHash([3; 32])],
    };
    Entry::sign(&author(), draft, vec![branch; bytes])
}

/// `n` entries behind `head`.
fn branch(head: Head, name: u8, n: u64) -> Vec<Entry> {
    branch_of(head, name, n, 30)
}

fn branch_of(mut head: Head, branch: u8, n: u64, bytes: usize) -> Vec<Entry> {
    (0..n)
        .map(|_| {
            let entry = entry(head, branch, Kind::MEMBERSHIP, bytes);
            head = entry.head();
            entry
        })
        .collect()
}

fn proof(a: &Entry, b: &Entry) -> Result<ForkProof, ForkError> {
    ForkProof::of(SPACE, a.into(), b.into())
}

#[test]
fn two_entries_for_one_place_prove_a_fork_in_whatever_order_and_nothing_else_does() {
    let common = branch(Head::EMPTY, 0, 3);
    let head = common[2].head();
    let (a, b) = (branch(head, 1, 2), branch(head, 2, 2));
    let found = proof(&a[0], &b[0]).unwrap();
    assert_eq!(found, proof(&b[0], &a[0]).unwrap());
    assert_eq!((found.seq(), found.from(), found.log()), (4, 4, log()));
    assert!(proof(&a[0], &a[0]).is_err(), "the same entry twice");
    assert!(proof(&a[0], &a[1]).is_err(), "two places");
    assert!(proof(&a[1], &b[1]).is_err(), "they part before");
    assert!(ForkProof::of(SpaceId([9; 32]), (&a[0]).into(), (&b[0]).into()).is_err(), "another space");
}

#[test]
fn evidence_with_a_changed_byte_or_a_foreign_entry_is_refused() {
    let (a, b) = (branch(Head::EMPTY, 1, 2), branch(Head::EMPTY, 2, 2));
    let evidence = Evidence::new(proof(&a[0], &b[0]).unwrap()).with([Arc::new(a[1].clone())]);
    let bytes = evidence.encode();
    assert_eq!(Evidence::verified(SPACE, &bytes).unwrap(), evidence);
    for i in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[i] ^= 1;
        assert!(Evidence::verified(SPACE, &forged).is_err(), "byte {i} can be changed");
    }
    assert!(Evidence::verified(SpaceId([9; 32]), &bytes).is_err());
    let common = branch(Head::EMPTY, 0, 3);
    let later =
        proof(&entry(common[2].head(), 1, Kind::RECORDS, 9), &entry(common[2].head(), 2, Kind::RECORDS, 9));
    let later = Evidence::new(later.unwrap()).with([Arc::new(common[1].clone())]);
    assert_eq!(later.voids().count(), 0, "what counts is not void");
    let wire = Wire {
        halves: later.proof.halves.clone().map(|half| (half.bytes.to_vec(), half.signature)),
        voids: vec![(common[1].header_bytes.to_vec(), common[1].signature, common[1].body.to_vec())],
        agreed: None,
    };
    assert!(Evidence::verified(SPACE, &wire::encode(&wire)).is_err());
}

#[test]
fn an_agreement_is_none_before_the_place_where_the_histories_part() {
    let common = branch(Head::EMPTY, 0, 3);
    let halves = [1, 2].map(|name| entry(common[2].head(), name, Kind::RECORDS, 9));
    let evidence = Evidence::new(proof(&halves[0], &halves[1]).unwrap());
    let [before, behind] = [&common[1], &halves[0]].map(|after| entry(after.head(), 1, Kind::AGREED, 9));
    let with = |entry: &Entry| evidence.clone().with_agreed(Some(Arc::new(entry.clone())));
    assert_eq!(with(&before), evidence);
    let agreed = with(&behind);
    assert_eq!((agreed.parts(), agreed.from()), (4, 6));
    assert!(agreed.line().is_news_to(Some(&evidence.line())));
    assert!(
        !evidence.line().is_news_to(Some(&agreed.line())),
        "who knows of an agreement learns nothing from who doesn't"
    );
    assert_eq!(agreed.clone().merge(evidence.clone()), agreed);
    assert_eq!(Evidence::verified(SPACE, &agreed.encode()).unwrap(), agreed);
    let mut wire: Wire = wire::decode("", &agreed.encode(), MAX_EVIDENCE_BYTES).unwrap();
    wire.agreed = Some((before.header_bytes.to_vec(), before.signature, before.body.to_vec()));
    assert!(Evidence::verified(SPACE, &wire::encode(&wire)).is_err());
}

#[test]
fn a_founding_entry_stands_whatever_its_author_signed_beside_it() {
    let draft = |kind, space| Draft {
        space,
        log: log(),
        head: Head::EMPTY,
        hlc: Hlc::new(1, 0),
        kind,
        epoch: EpochId([2; 16]),
        deps: vec![],
    };
    let founding = Entry::sign(&author(), draft(Kind::FOUNDING, SpaceId::FOUNDING), vec![1]);
    let beside = Entry::sign(&author(), draft(Kind::RECORDS, founding.space()), vec![2]);
    let proof = ForkProof::of(founding.space(), (&founding).into(), (&beside).into()).unwrap();
    assert_eq!((proof.seq(), proof.from()), (1, 2));
}

#[test]
fn void_entries_stay_within_their_bound_and_those_that_come_first_stay() {
    let halves = [entry(Head::EMPTY, 1, Kind::RECORDS, 9), entry(Head::EMPTY, 2, Kind::RECORDS, 9)];
    let mut head = halves[0].head();
    let large: Vec<Arc<Entry>> = (0..5)
        .map(|_| {
            let entry = entry(head, 1, Kind::MEMBERSHIP, 300 << 10);
            head = entry.head();
            Arc::new(entry)
        })
        .collect();
    let evidence = Evidence::new(proof(&halves[0], &halves[1]).unwrap()).with(large.clone());
    let kept: Vec<u64> = evidence.voids().map(|entry| entry.header.seq).collect();
    assert_eq!(kept, [2, 3, 4, 5], "up to the one that reaches the bound");
    assert!(evidence.encode().len() <= MAX_EVIDENCE_BYTES);
    assert_eq!(evidence.clone().merge(evidence.clone()), evidence);
    assert_eq!(evidence.clone().with(large), evidence);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 300 }))]

    /// Whatever pieces of evidence arrive, in whatever order and however often, and however much they say: the same comes
    /// out, and it is what all of them together say, up to the bound.
    #[test]
    fn evidence_merges_to_the_same_in_every_order(
        places in prop::collection::vec((0usize..6, 1u64..5), 1..6),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u16>()), 1..8),
        agreements in prop::collection::vec(prop::option::of(1u8..7), 8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 16),
        bytes in prop::sample::select(vec![30usize, 150 << 10, 400 << 10]),
    ) {
        let trunk = branch_of(Head::EMPTY, 0, 8, bytes);
        // Branches leave the trunk at some places and go on for some entries.
        let branches: Vec<Vec<Entry>> = places.iter().zip(1u8..).map(|((at, n), name)| {
            let head = at.checked_sub(1).map_or(Head::EMPTY, |at| trunk[at].head());
            branch_of(head, name, *n, bytes)
        }).collect();
        let agreement = |at: u8| Arc::new(entry(trunk[at as usize].head(), 9, Kind::AGREED, 9));
        let mut told = BTreeMap::new();
        let pieces: Vec<Evidence> = picks.iter().zip(&agreements).map(|((one, void_of, mask), agreed)| {
            let chosen = &branches[one.index(branches.len())];
            let at = chosen[0].header.seq as usize;
            let evidence = Evidence::new(proof(&trunk[at - 1], &chosen[0]).unwrap());
            let others = &branches[void_of.index(branches.len())];
            let some = trunk.iter().chain(others).enumerate().filter(|(i, _)| mask >> (i % 16) & 1 == 1);
            let some: Vec<Arc<Entry>> = some.map(|(_, entry)| Arc::new(entry.clone())).collect();
            let past = some.iter().filter(|entry| entry.header.seq >= evidence.parts());
            told.extend(past.map(|entry| ((entry.header.seq, entry.hash), entry.body.len())));
            evidence.with(some).with_agreed(agreed.map(agreement))
        }).collect();
        let merged = pieces.iter().cloned().reduce(Evidence::merge).unwrap();
        let mut shuffled = pieces.clone();
        shuffled.extend(order.iter().map(|i| pieces[i.index(pieces.len())].clone()));
        for (i, to) in order.iter().enumerate() {
            let to = to.index(shuffled.len());
            shuffled.swap(i % pieces.len(), to);
        }
        prop_assert_eq!(&shuffled.into_iter().reduce(Evidence::merge).unwrap(), &merged);
        // Naively: the lowest place; the last agreement; of all void entries that any piece was made of the first ones, until
        // they are enough.
        prop_assert_eq!(merged.parts(), pieces.iter().map(Evidence::parts).min().unwrap());
        let agreed = pieces.iter().filter_map(Evidence::agreed).map(|entry| entry.header.seq).max();
        prop_assert_eq!(merged.agreed().map(|entry| entry.header.seq), agreed);
        prop_assert_eq!(merged.from(), agreed.map_or(merged.parts(), |seq| seq + 1));
        let mut before = 0;
        let first = told.iter().take_while(|(_, len)| {
            let fits = before < MAX_VOID_BYTES;
            before += **len;
            fits
        });
        let kept: Vec<(u64, EntryHash)> = merged.voids().map(|entry| (entry.header.seq, entry.hash)).collect();
        prop_assert_eq!(kept, first.map(|(place, _)| *place).collect::<Vec<_>>());
        prop_assert_eq!(Evidence::verified(SPACE, &merged.encode()).unwrap(), merged);
    }

    #[test]
    fn random_bytes_are_no_evidence(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Evidence::verified(SPACE, &bytes).is_err());
    }
}

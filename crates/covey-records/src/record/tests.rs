//! Records against a naive reference, in every order.

mod compaction;
mod reference;
mod written;

use covey_types::Incarnation;
use proptest::{prelude::*, sample::select};
use serde_json::Value;

use super::*;
use crate::{ops::RecordId, stamp::Devices};

/// Numbers for all devices of these tests, in an order that isn't that of their ids.
#[derive(Default)]
struct Numbers(Vec<DeviceId>);

impl Devices for Numbers {
    fn number(&mut self, device: DeviceId) -> u32 {
        let known = self.0.iter().position(|known| *known == device);
        known.unwrap_or_else(|| {
            self.0.push(device);
            self.0.len() - 1
        }) as u32
    }

    fn device(&self, number: u32) -> Option<DeviceId> {
        self.0.get(number as usize).copied()
    }
}

fn numbers() -> Numbers {
    Numbers([3, 1, 2, 0].map(|n| DeviceId([n; 32])).to_vec())
}

fn stamp(time: u64, device: u8) -> Stamp {
    Stamp { hlc: Hlc::new(time, 0), device: DeviceId([device; 32]) }
}

fn log(device: u8) -> LogId {
    LogId { device: DeviceId([device; 32]), incarnation: Incarnation(u64::from(device) << 60) }
}

fn id() -> RecordId<'static> {
    RecordId::parse("r").unwrap()
}

fn put(fields: &[(&'static str, &'static str)]) -> Op<'static> {
    Op::Put { collection: "c", id: id(), fields: fields.to_vec() }
}

fn delete(observed: Observed<'_>) -> Op<'_> {
    Op::Delete { collection: "c", id: id(), observed }
}

fn count(name: &'static str, count: u64, sum: i64) -> Op<'static> {
    Op::CounterAdd { collection: "c", id: id(), name, tally: Tally { count, sum } }
}

fn add(name: &'static str, element: &'static str) -> Op<'static> {
    Op::SetAdd { collection: "c", id: id(), name, element }
}

fn take(name: &'static str, element: &'static str, observed: Vec<Stamp>) -> Op<'static> {
    Op::SetRemove { collection: "c", id: id(), name, element, observed }
}

fn doc(record: &Record) -> String {
    record.doc().unwrap_or_else(|| "none".to_owned())
}

#[test]
fn the_newest_write_of_each_field_wins() {
    let mut record = Record::new();
    assert!(record.apply(&put(&[("a", "1"), ("b", "1")]), stamp(5, 1), log(1)));
    assert!(record.apply(&put(&[("b", "2"), ("c", "2")]), stamp(7, 1), log(1)));
    assert!(!record.apply(&put(&[("b", "3")]), stamp(6, 2), log(2)));
    assert!(
        record.apply(&put(&[("a", "4")]), stamp(5, 2), log(2)),
        "a tie in time goes to the larger device"
    );
    assert_eq!(doc(&record), r#"{"a":4,"b":2,"c":2}"#);
    assert_eq!(record.field("b"), Some((stamp(7, 1), "2")));
}

#[test]
fn a_deleted_record_comes_back_with_newer_fields_only() {
    let mut record = Record::new();
    record.apply(&put(&[("a", "1"), ("b", "1")]), stamp(5, 1), log(1));
    assert!(record.apply(&delete(Observed::default()), stamp(6, 1), log(1)));
    assert_eq!(record.doc(), None);
    assert!(
        !record.apply(&put(&[("a", "2")]), stamp(6, 1), log(1)),
        "what is as old as the delete is deleted"
    );
    assert!(record.apply(&put(&[("b", "3")]), stamp(8, 2), log(2)));
    assert_eq!(doc(&record), r#"{"b":3}"#);
    assert!(record.apply(&delete(Observed::default()), stamp(7, 3), log(3)));
    assert_eq!(doc(&record), r#"{"b":3}"#, "an older delete takes nothing newer away");
    assert_eq!(record.tombstone(), Some(stamp(7, 3)));
}

#[test]
fn a_put_without_fields_makes_an_empty_record() {
    let mut record = Record::new();
    assert!(record.apply(&put(&[]), stamp(5, 1), log(1)));
    assert_eq!(doc(&record), "{}");
    record.apply(&delete(Observed::default()), stamp(6, 1), log(1));
    assert_eq!(record.doc(), None);
    assert!(!record.apply(&put(&[]), stamp(5, 2), log(2)));
}

#[test]
fn a_counter_adds_up_over_logs_and_a_repeated_addition_counts_once() {
    let mut record = Record::new();
    let first = count("n", 1, 5);
    assert!(record.apply(&first, stamp(1, 1), log(1)));
    assert!(!record.apply(&first, stamp(1, 1), log(1)));
    record.apply(&count("n", 2, -3), stamp(2, 2), log(2));
    assert_eq!(doc(&record), r#"{"n":2}"#);
    let next = record.tally("n", log(1)).plus(10).unwrap();
    record.apply(&Op::CounterAdd { collection: "c", id: id(), name: "n", tally: next }, stamp(3, 1), log(1));
    assert_eq!(doc(&record), r#"{"n":12}"#);
    assert!(!record.apply(&first, stamp(1, 1), log(1)), "an older tally changes nothing");
    assert_eq!(Tally { count: 1, sum: i64::MAX }.plus(1), None);
}

#[test]
fn a_counter_beyond_its_bounds_shows_the_bound() {
    let mut record = Record::new();
    record.apply(&count("n", 1, i64::MAX), stamp(1, 1), log(1));
    record.apply(&count("n", 1, i64::MAX), stamp(1, 2), log(2));
    assert_eq!(doc(&record), format!(r#"{{"n":{}}}"#, i64::MAX));
}

#[test]
fn a_delete_resets_what_it_saw_of_a_counter_and_no_more() {
    let mut record = Record::new();
    record.apply(&count("n", 2, 7), stamp(1, 1), log(1));
    let seen = record.clone();
    record.apply(&count("n", 1, 100), stamp(1, 2), log(2));
    record.apply(&delete(seen.observed()), stamp(9, 1), log(1));
    assert_eq!(doc(&record), r#"{"n":100}"#, "what nobody saw outlives the delete");
    record.apply(&count("n", 3, 8), stamp(10, 1), log(1));
    assert_eq!(doc(&record), r#"{"n":101}"#);
}

#[test]
fn an_addition_that_the_remover_did_not_see_wins() {
    let mut record = Record::new();
    record.apply(&add("tags", "\"a\""), stamp(1, 1), log(1));
    record.apply(&add("tags", "\"b\""), stamp(2, 1), log(1));
    let seen = record.additions("tags", "\"a\"");
    assert_eq!(seen, [stamp(1, 1)]);
    record.apply(&add("tags", "\"a\""), stamp(3, 2), log(2));
    record.apply(&take("tags", "\"a\"", seen.clone()), stamp(9, 3), log(3));
    assert_eq!(doc(&record), r#"{"tags":["a","b"]}"#);
    record.apply(&take("tags", "\"a\"", record.additions("tags", "\"a\"")), stamp(10, 3), log(3));
    assert_eq!(doc(&record), r#"{"tags":["b"]}"#);
    assert!(
        !record.apply(&add("tags", "\"a\""), stamp(1, 1), log(1)),
        "an addition that was seen stays removed"
    );
}

#[test]
fn an_emptied_set_is_an_empty_array_until_the_record_is_deleted() {
    let mut record = Record::new();
    record.apply(&add("tags", "1"), stamp(1, 1), log(1));
    record.apply(&take("tags", "1", vec![stamp(1, 1)]), stamp(2, 1), log(1));
    assert_eq!(doc(&record), r#"{"tags":[]}"#);
    let before = record.clone();
    record.apply(&delete(before.observed()), stamp(3, 1), log(1));
    assert_eq!(record.doc(), None);
}

#[test]
fn a_removal_that_arrives_before_the_addition_removes_it_all_the_same() {
    let mut record = Record::new();
    record.apply(&take("tags", "1", vec![stamp(1, 1)]), stamp(2, 2), log(2));
    assert_eq!(record.doc(), None);
    record.apply(&add("tags", "1"), stamp(1, 1), log(1));
    assert_eq!(doc(&record), r#"{"tags":[]}"#);
}

#[test]
fn of_one_name_the_document_shows_set_before_counter_before_register_and_keeps_all() {
    let mut record = Record::new();
    record.apply(&put(&[("x", "1")]), stamp(1, 1), log(1));
    record.apply(&count("x", 1, 2), stamp(2, 1), log(1));
    assert_eq!(doc(&record), r#"{"x":2}"#);
    record.apply(&add("x", "3"), stamp(3, 1), log(1));
    assert_eq!(doc(&record), r#"{"x":[3]}"#);
    let mut numbers = numbers();
    let (doc, state) = record.to_parts(&mut numbers);
    let back = Record::from_parts(doc.as_deref(), &state, &numbers).unwrap();
    assert_eq!(back, record);
    assert_eq!(back.field("x"), Some((stamp(1, 1), "1")));
}

#[test]
fn odd_names_are_escaped() {
    let mut record = Record::new();
    record.apply(&put(&[("\u{1}\"\\\n", "1"), ("é😀", "2")]), stamp(1, 1), log(1));
    let doc = record.doc().unwrap();
    let value: Value = serde_json::from_str(&doc).unwrap();
    assert_eq!((&value["\u{1}\"\\\n"], &value["é😀"]), (&Value::from(1), &Value::from(2)));
}

#[test]
fn the_state_of_a_record_written_once_is_small_and_made_without_detour() {
    let mut numbers = numbers();
    for fields in [vec![], vec![("a", "1")], vec![("a", "1"), ("b", "[2]"), ("c\"", "null")]] {
        let mut record = Record::new();
        record.apply(&put(&fields), stamp(1_700_000_000_000, 1), log(1));
        let (doc, state) = fresh_put_parts(&fields, stamp(1_700_000_000_000, 1), &mut numbers);
        assert!(state.len() <= 12, "{} bytes", state.len());
        assert_eq!(record.to_parts(&mut numbers), (Some(doc), state));
    }
}

#[test]
fn parts_that_are_no_record_say_so() {
    let mut numbers = numbers();
    let (doc, state) = fresh_put_parts(&[("a", "1"), ("b", "2")], stamp(1, 1), &mut numbers);
    let parse = |doc: Option<&str>, state: &[u8]| Record::from_parts(doc, state, &numbers).unwrap_err();
    assert_eq!(parse(None, &state), StateError::Mismatch);
    assert!(matches!(parse(Some("[1]"), &state), StateError::Doc(_)));
    assert!(matches!(parse(Some(r#"{"b":1,"a":2}"#), &state), StateError::Doc(_)));
    assert!(matches!(parse(Some(&doc), &state[..5]), StateError::Decode(_)));
    assert!(matches!(parse(Some(&doc), &[]), StateError::Decode(_)));
    assert_eq!(parse(Some(&doc), &[0xe0]), StateError::Version { found: 7 });
    let unknown = Record::from_parts(Some(&doc), &state, &Numbers::default()).unwrap_err();
    assert_eq!(unknown, StateError::Device(1));
}

/// An operation, who said it and when.
pub(super) type Said = (Op<'static>, Stamp, LogId);

const NAMES: [&str; 3] = ["a", "b", "ü\""];
const VALUES: [&str; 6] = ["1", "2", "\"x\"", "null", "[1,{\"y\":2}]", "{}"];

fn any_stamp() -> impl Strategy<Value = Stamp> {
    (1u64..8, 0u8..4).prop_map(|(time, device)| stamp(time, device))
}

fn any_tally() -> impl Strategy<Value = Tally> {
    // The sum follows from the count, as it does in the logs of honest devices.
    (0u64..5).prop_map(|count| Tally { count, sum: (count * count).cast_signed() * 3 - 20 })
}

fn any_observed() -> impl Strategy<Value = Observed<'static>> {
    let tallies = prop::collection::vec(((0u8..4).prop_map(log), any_tally()), 0..3);
    let element = (select(&NAMES[..]), select(&VALUES[..]), prop::collection::vec(any_stamp(), 0..3))
        .prop_map(|(set, element, added)| ObservedElement { set, element, added });
    let counters = prop::collection::vec((select(&NAMES[..]), tallies), 0..3);
    (counters, prop::collection::vec(element, 0..3))
        .prop_map(|(counters, elements)| Observed { counters, elements })
}

fn any_op() -> impl Strategy<Value = Op<'static>> {
    let name = || select(&NAMES[..]);
    let value = || select(&VALUES[..]);
    prop_oneof![
        4 => prop::collection::btree_map(name(), value(), 0..3)
            .prop_map(|fields| put(&fields.into_iter().collect::<Vec<_>>())),
        1 => any_observed().prop_map(delete),
        2 => (name(), any_tally()).prop_map(|(name, tally)| count(name, tally.count, tally.sum)),
        2 => (name(), value()).prop_map(|(name, element)| add(name, element)),
        2 => (name(), value(), prop::collection::vec(any_stamp(), 0..3))
            .prop_map(|(name, element, observed)| take(name, element, observed)),
    ]
}

fn any_history() -> impl Strategy<Value = Vec<Said>> {
    let said = (any_op(), any_stamp()).prop_map(|(op, stamp)| {
        let log = log(stamp.device.0[0]);
        (op, stamp, log)
    });
    prop::collection::vec(said, 0..25)
}

fn replay<'a>(history: impl IntoIterator<Item = &'a Said>) -> Record {
    let mut record = Record::new();
    for (op, stamp, log) in history {
        let before = record.clone();
        let changed = record.apply(op, *stamp, *log);
        assert_eq!(changed, record != before, "{op:?}");
    }
    record
}

proptest! {
    #[test]
    fn order_and_repetition_change_not_a_byte((history, disorder) in any_history().prop_flat_map(|history| {
        let twice = [history.clone(), history.clone()].concat();
        (Just(history), Just(twice).prop_shuffle())
    })) {
        let (expected, actual) = (replay(&history), replay(&disorder));
        prop_assert_eq!(&actual, &expected);
        prop_assert_eq!(actual.to_parts(&mut numbers()), expected.to_parts(&mut numbers()));
    }

    #[test]
    fn the_document_is_the_one_that_the_definition_gives(history in any_history()) {
        prop_assert_eq!(replay(&history).doc(), reference::doc(&history));
    }

    #[test]
    fn merging_replicas_is_the_same_as_replaying_both(history in any_history(), split in any::<prop::sample::Index>()) {
        let (left, right) = history.split_at(split.index(history.len() + 1));
        let (left, right) = (replay(left), replay(right));
        let (mut a, mut b) = (left.clone(), right.clone());
        prop_assert_eq!(a.merge(&right), a != left);
        prop_assert_eq!(b.merge(&left), b != right);
        prop_assert!(!a.merge(&b));
        prop_assert_eq!(&a, &b);
        prop_assert_eq!(a, replay(&history));
    }

    #[test]
    fn a_record_comes_back_from_its_parts(history in any_history()) {
        let record = replay(&history);
        let mut numbers = numbers();
        let (doc, state) = record.to_parts(&mut numbers);
        let back = Record::from_parts(doc.as_deref(), &state, &numbers).unwrap();
        prop_assert_eq!(&back, &record);
        prop_assert_eq!(back.to_parts(&mut numbers), (doc, state));
    }

    #[test]
    fn after_a_delete_by_someone_who_saw_everything_nothing_is_left(history in any_history()) {
        let record = replay(&history);
        let mut after = record.clone();
        after.apply(&delete(record.observed()), stamp(9, 0), log(0));
        prop_assert_eq!(after.doc(), None);
        prop_assert!(after.observed().is_empty());
    }

    #[test]
    fn hostile_parts_never_panic(
        history in any_history(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut numbers = numbers();
        let (doc, mut state) = replay(&history).to_parts(&mut numbers);
        for (at, byte) in changes {
            let at = at.index(state.len());
            state[at] = byte;
        }
        state.truncate(cut.index(state.len() + 1));
        for state in [&state, &noise] {
            if let Ok(record) = Record::from_parts(doc.as_deref(), state, &numbers) {
                let (doc, state) = record.to_parts(&mut numbers);
                let back = Record::from_parts(doc.as_deref(), &state, &numbers);
                prop_assert_eq!(back, Ok(record));
            }
        }
    }
}

//! What is said to be held is held: checked against the histories themselves.

use super::*;

/// What somebody holds who has of each device all up to a time, or all.
fn held(history: &[Said], limits: &[Option<u64>; 4]) -> (Vec<Said>, Reach) {
    let up_to = |stamp: &Stamp| limits[usize::from(stamp.device.0[0])].map(|time| Hlc::new(time, 0));
    let is_held = |said: &&Said| up_to(&said.1).is_none_or(|up_to| said.1.hlc <= up_to);
    let mut reach = Reach::default();
    for (device, limit) in limits.iter().enumerate() {
        if let Some(time) = limit {
            reach.limit(DeviceId([device as u8; 32]), Hlc::new(*time, 0));
        }
    }
    (history.iter().filter(is_held).cloned().collect(), reach)
}

fn written(record: &Record) -> Written {
    let mut numbers = numbers();
    let (_, state) = record.to_parts(&mut numbers);
    Written::from_state(&state, &numbers).unwrap()
}

proptest! {
    #[test]
    fn who_is_said_to_hold_a_record_has_it_to_the_last_byte(
        history in any_history(),
        limits in prop::array::uniform4(prop::option::of(0u64..8)),
    ) {
        let (theirs, reach) = held(&history, &limits);
        let record = replay(&history);
        if written(&record).is_within(&reach) {
            prop_assert_eq!(replay(&theirs), record);
        }
    }

    #[test]
    fn who_holds_all_that_was_put_is_said_to_hold_it(
        history in prop::collection::vec((any_op(), any_stamp()), 0..25),
        limits in prop::array::uniform4(prop::option::of(0u64..8)),
    ) {
        let puts: Vec<Said> = history
            .into_iter()
            .filter(|(op, _)| matches!(op, Op::Put { .. } | Op::SetAdd { .. }))
            .map(|(op, stamp)| (op, stamp, log(stamp.device.0[0])))
            .collect();
        let (theirs, reach) = held(&puts, &limits);
        if theirs.len() == puts.len() {
            prop_assert!(written(&replay(&puts)).is_within(&reach));
        }
    }
}

#[test]
fn counting_and_taking_off_are_held_by_those_who_hold_all() {
    let (one, two) = (DeviceId([1; 32]), DeviceId([2; 32]));
    let mut behind_one = Reach::default();
    behind_one.limit(one, Hlc::new(100, 0));
    let mut behind_two = Reach::default();
    behind_two.limit(two, Hlc::new(100, 0));
    let mut record = Record::new();
    record.apply(&count("n", 1, 5), stamp(1, 1), log(1));
    assert!(written(&record).is_within(&behind_two));
    assert!(!written(&record).is_within(&behind_one));
    record.apply(&add("tags", "1"), stamp(1, 1), log(1));
    record.apply(&take("tags", "1", vec![stamp(1, 1)]), stamp(2, 1), log(1));
    assert!(!written(&record).is_within(&behind_two), "anybody may have taken it off");
    assert!(written(&record).is_within(&Reach::default()));
}

#[test]
fn of_two_limits_the_lower_one_holds() {
    let one = DeviceId([1; 32]);
    let mut reach = Reach::default();
    reach.limit(one, Hlc::new(5, 0));
    reach.limit(one, Hlc::new(9, 0));
    assert_eq!(reach.up_to(one), Some(Hlc::new(5, 0)));
    assert!(reach.holds(stamp(5, 1)) && !reach.holds(stamp(6, 1)) && reach.holds(stamp(6, 2)));
}

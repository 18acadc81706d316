//! How far somebody has read a channel on one device.
//!
//! A mark names a position, and for each device that writes in the channel up to which time its messages were there when
//! they were read. A device's messages come in the order in which it wrote them; so whoever sees a mark knows of each
//! message before the position whether it was read with the others, or came later.

use std::collections::BTreeMap;

use covey_records::{Record, Stamp, own};
use covey_types::Hlc;

use crate::{Position, fields, limits::MAX_SEEN};

/// What the names of fields begin with that tell of one device's messages; its tag follows.
const SEEN: &str = "seen-";

/// Up to which time the messages of each device were there, by the device's tag.
pub type Seen = BTreeMap<String, Hlc>;

/// A read mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When it was set, and by which device.
    pub stamp: Stamp,
    /// Up to where.
    pub upto: Position,
    /// What was there then. Of a program that says nothing of it: empty, and all before the position counts as read.
    pub seen: Seen,
}

impl Mark {
    /// What is to be read in a record of [`MARKS`](crate::ids::MARKS); `None` if that is no mark. `names` are those of its
    /// fields.
    pub fn parse<'a>(record: &Record, names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let (stamp, upto) = fields::text(record, "upto")?;
        let upto = upto.parse().ok()?;
        let one = |name: &str| {
            let tag = name.strip_prefix(SEEN).filter(|tag| is_tag(tag))?;
            let (_, time) = fields::text(record, name)?;
            let time = Some(time).filter(|time| time.len() == 16)?;
            Some((tag.to_owned(), Hlc::from_u64(u64::from_str_radix(&time, 16).ok()?)))
        };
        Some(Self { stamp, upto, seen: names.filter_map(one).take(MAX_SEEN).collect() })
    }
}

fn is_tag(tag: &str) -> bool {
    own::split(&format!("{tag}.x")).is_some()
        && tag.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The field that says up to which time a device's messages were there, and its value.
pub fn seen_field(tag: &str, upto: Hlc) -> (String, String) {
    (format!("{SEEN}{tag}"), format!("{:016x}", upto.to_u64()))
}

/// Whether a message was read by whoever has read up to `upto` with this seen.
pub fn has_read(upto: (Hlc, &str), seen: &Seen, message: (Hlc, &str)) -> bool {
    let was_there = || {
        let tag = own::split(message.1).map(|(tag, _)| tag);
        tag.and_then(|tag| seen.get(tag)).is_some_and(|upto| message.0 <= *upto)
    };
    message <= upto && (seen.is_empty() || was_there())
}

#[cfg(test)]
mod tests {
    use covey_records::{Op, RecordId};
    use covey_types::{DeviceId, Incarnation, LogId};

    use super::*;

    const ADA: DeviceId = DeviceId([1; 32]);
    const BOB: DeviceId = DeviceId([2; 32]);

    fn at(device: DeviceId, time: u64) -> (Hlc, String) {
        (Hlc::from_u64(time), own::id(device, "message-1"))
    }

    #[test]
    fn a_mark_tells_what_was_read_and_what_came_later() {
        let mut record = Record::new();
        let (name, time) = seen_field(&own::tag(ADA), Hlc::from_u64(7));
        let upto = Position { hlc: Hlc::from_u64(9), id: own::id(ADA, "message-9") };
        let fields =
            [("upto", format!("\"{upto}\"")), (&name, format!("\"{time}\"")), ("seen-x", "\"7\"".into())];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, json)| (*name, json.as_str())).collect();
        let op = Op::Put { collection: "c", id: RecordId::parse("x").unwrap(), fields };
        let stamp = Stamp { hlc: Hlc::from_u64(10), device: BOB };
        record.apply(&op, stamp, LogId { device: BOB, incarnation: Incarnation(0) });
        let mark = Mark::parse(&record, ["upto", name.as_str(), "seen-x", "other"].into_iter()).unwrap();
        assert_eq!((mark.stamp, &mark.upto, mark.seen.len()), (stamp, &upto, 1));
        let read = |(hlc, id): (Hlc, String)| has_read((upto.hlc, &upto.id), &mark.seen, (hlc, &id));
        assert!(read(at(ADA, 7)) && read(at(ADA, 3)));
        assert!(!read(at(ADA, 8)), "it came after the others were read");
        assert!(!read(at(BOB, 3)), "nothing of Bob's was there");
        assert!(!read(at(ADA, 10)));
        assert!(has_read((upto.hlc, &upto.id), &Seen::new(), (Hlc::from_u64(8), &own::id(BOB, "message-1"))));
    }
}

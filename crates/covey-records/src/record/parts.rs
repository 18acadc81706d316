//! A record as two parts to be stored: the document, on which queries run, and the state, which is
//! all that the document doesn't say.
//!
//! Registers that the document shows are not repeated: the state has only their stamps, in the order
//! of the document's keys. The state of a record written once takes about ten bytes.
//!
//! ```text
//! state     = head byte: version in bits 5-7, then which parts follow (bits 0-4)
//!             stamps                    number; first: hlc 8 bytes, device; rest: hlc difference, device
//!             [tombstone] [presence]    place in the stamps
//!             [counters]                number of: name, number of: device, incarnation 8 bytes, total, reset
//!             [sets]                    number of: name, number of: element, number of: device, marks
//!             [hidden registers]        number of: name, value, place in the stamps
//!             shown registers           place in the stamps, each; nothing if there is one stamp only
//! marks     = 1 added | 2 removed | 3 both | 4 both and equal, then 8 bytes per different time
//! ```
//! Devices are numbers ([`Devices`]), all numbers varints. Stamps ascend and none is there twice, so
//! that one record has one state whatever the order in which it came to be.

use std::{collections::BTreeMap, fmt};

use covey_types::{DeviceId, Hlc, LogId, wire::DecodeError};
use serde::{
    Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Count, Counter, Marks, NEVER, Record, Register, Set, Shown, is_counter_shown, push_key};
use crate::{
    bytes::{Cursor, push_hlc, push_tally, push_text, push_varint},
    json,
    stamp::{Devices, Stamp},
};

const WHAT: &str = "the stored state of a record";

const VERSION: u8 = 1;
const VERSION_SHIFT: u32 = 5;

const TOMBSTONE: u8 = 1;
const PRESENCE: u8 = 2;
const COUNTERS: u8 = 4;
const SETS: u8 = 8;
const HIDDEN: u8 = 16;

/// Stored parts that aren't a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The state is not in the format.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A newer version of the program wrote it.
    #[error("the stored state of a record has version {found}; this program knows up to {VERSION}")]
    Version {
        /// The version found.
        found: u8,
    },
    /// The document isn't an object with ascending keys.
    #[error("a stored document is malformed: {0}")]
    Doc(String),
    /// It names a device that the interner doesn't know.
    #[error("the stored state of a record names device number {0}, which is unknown")]
    Device(u32),
    /// Document and state are not of the same record.
    #[error("a stored document and its state don't belong together")]
    Mismatch,
}

impl Record {
    /// The document, if there is one, and the state.
    pub fn to_parts(&self, devices: &mut impl Devices) -> (Option<String>, Vec<u8>) {
        (self.doc(), self.state(devices))
    }

    /// The record whose parts these are.
    pub fn from_parts(doc: Option<&str>, state: &[u8], devices: &impl Devices) -> Result<Self, StateError> {
        let mut reader = StateReader { cursor: Cursor::new(WHAT, state), devices, stamps: Vec::new() };
        let mut record = Self::default();
        reader.record(&mut record)?;
        reader.shown_registers(&mut record, doc)?;
        reader.cursor.end()?;
        if record.is_visible() == doc.is_some() { Ok(record) } else { Err(StateError::Mismatch) }
    }

    fn state(&self, devices: &mut impl Devices) -> Vec<u8> {
        let shown = self.shown();
        let is_shown = |name: &str| matches!(shown.get(name), Some(Shown::Register(_)));
        let hidden: Vec<_> = self.fields.iter().filter(|(name, _)| !is_shown(name)).collect();
        let stamps = self.stamps();
        let mut out = vec![self.head(!hidden.is_empty())];
        push_stamps(&mut out, &stamps, devices);
        for stamp in [self.tombstone, self.presence].into_iter().flatten() {
            push_place(&mut out, &stamps, stamp);
        }
        push_counters(&mut out, &self.counters, devices);
        push_sets(&mut out, &self.sets, devices);
        if !hidden.is_empty() {
            push_varint(&mut out, hidden.len() as u64);
        }
        for (name, register) in hidden {
            push_text(&mut out, name);
            push_text(&mut out, &register.text);
            push_place(&mut out, &stamps, register.stamp);
        }
        if stamps.len() > 1 {
            for shown in shown.into_values() {
                if let Shown::Register(register) = shown {
                    push_place(&mut out, &stamps, register.stamp);
                }
            }
        }
        out
    }

    fn head(&self, has_hidden: bool) -> u8 {
        let part = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        VERSION << VERSION_SHIFT
            | part(self.tombstone.is_some(), TOMBSTONE)
            | part(self.presence.is_some(), PRESENCE)
            | part(!self.counters.is_empty(), COUNTERS)
            | part(!self.sets.is_empty(), SETS)
            | part(has_hidden, HIDDEN)
    }

    fn stamps(&self) -> Vec<Stamp> {
        let registers = self.fields.values().map(|register| register.stamp);
        let mut stamps: Vec<_> = registers.chain(self.tombstone).chain(self.presence).collect();
        stamps.sort_unstable();
        stamps.dedup();
        stamps
    }
}

/// The parts of a record that has been put once and nothing else: what [`Record::to_parts`] gives after
/// one [`crate::Op::Put`], without the maps in between. The fields are those of the operation:
/// ascending, none twice.
pub fn fresh_put_parts(
    fields: &[(&str, &str)],
    stamp: Stamp,
    devices: &mut impl Devices,
) -> (String, Vec<u8>) {
    debug_assert!(fields.is_sorted_by(|a, b| a.0 < b.0), "a put has its fields in order");
    let parts = if fields.is_empty() { PRESENCE } else { 0 };
    let mut state = Vec::with_capacity(16);
    state.push(VERSION << VERSION_SHIFT | parts);
    push_stamps(&mut state, &[stamp], devices);
    if fields.is_empty() {
        push_varint(&mut state, 0);
    }
    let len = fields.iter().map(|(name, text)| name.len() + text.len() + 4).sum::<usize>();
    let mut doc = String::with_capacity(len + 2);
    doc.push('{');
    for (name, text) in fields {
        push_key(&mut doc, name);
        doc.push_str(text);
    }
    doc.push('}');
    (doc, state)
}

fn push_stamps(out: &mut Vec<u8>, stamps: &[Stamp], devices: &mut impl Devices) {
    push_varint(out, stamps.len() as u64);
    let mut last = None;
    for stamp in stamps {
        match last {
            None => push_hlc(out, stamp.hlc),
            Some(last) => push_varint(out, stamp.hlc.to_u64() - last),
        }
        last = Some(stamp.hlc.to_u64());
        push_varint(out, devices.number(stamp.device).into());
    }
}

fn push_place(out: &mut Vec<u8>, stamps: &[Stamp], stamp: Stamp) {
    let place = stamps.binary_search(&stamp).expect("the table has every stamp of the record");
    push_varint(out, place as u64);
}

fn push_counters(out: &mut Vec<u8>, counters: &BTreeMap<String, Counter>, devices: &mut impl Devices) {
    if counters.is_empty() {
        return;
    }
    push_varint(out, counters.len() as u64);
    for (name, counter) in counters {
        push_text(out, name);
        push_varint(out, counter.len() as u64);
        for (log, count) in counter {
            push_varint(out, devices.number(log.device).into());
            out.extend_from_slice(&log.incarnation.0.to_le_bytes());
            push_tally(out, count.total);
            push_tally(out, count.reset);
        }
    }
}

fn push_sets(out: &mut Vec<u8>, sets: &BTreeMap<String, Set>, devices: &mut impl Devices) {
    if sets.is_empty() {
        return;
    }
    push_varint(out, sets.len() as u64);
    for (name, set) in sets {
        push_text(out, name);
        push_varint(out, set.len() as u64);
        for (element, marks) in set {
            push_text(out, element);
            push_varint(out, marks.len() as u64);
            for (device, marks) in marks {
                push_varint(out, devices.number(*device).into());
                push_marks(out, *marks);
            }
        }
    }
}

const ADDED: u8 = 1;
const REMOVED: u8 = 2;
const BOTH: u8 = 3;
const EQUAL: u8 = 4;

fn push_marks(out: &mut Vec<u8>, marks: Marks) {
    let (tag, times) = match (marks.added, marks.removed) {
        (added, removed) if added == removed => (EQUAL, [Some(added), None]),
        (added, removed) if removed == NEVER => (ADDED, [Some(added), None]),
        (added, removed) if added == NEVER => (REMOVED, [Some(removed), None]),
        (added, removed) => (BOTH, [Some(added), Some(removed)]),
    };
    out.push(tag);
    times.into_iter().flatten().for_each(|time| push_hlc(out, time));
}

/// What a state says without its document: everything but the registers that the document shows, and the stamps of all.
pub(super) fn read_state(state: &[u8], devices: &impl Devices) -> Result<(Record, Vec<Stamp>), StateError> {
    let mut reader = StateReader { cursor: Cursor::new(WHAT, state), devices, stamps: Vec::new() };
    let mut record = Record::default();
    reader.record(&mut record)?;
    Ok((record, reader.stamps))
}

struct StateReader<'a, D> {
    cursor: Cursor<'a>,
    devices: &'a D,
    stamps: Vec<Stamp>,
}

impl<D: Devices> StateReader<'_, D> {
    fn record(&mut self, record: &mut Record) -> Result<(), StateError> {
        let head = self.cursor.byte()?;
        let version = head >> VERSION_SHIFT;
        if version != VERSION {
            return Err(StateError::Version { found: version });
        }
        self.stamps()?;
        if head & TOMBSTONE != 0 {
            record.tombstone = Some(self.place()?);
        }
        if head & PRESENCE != 0 {
            record.presence = Some(self.place()?);
        }
        if head & COUNTERS != 0 {
            self.counters(&mut record.counters)?;
        }
        if head & SETS != 0 {
            self.sets(&mut record.sets)?;
        }
        if head & HIDDEN != 0 {
            for _ in 0..self.cursor.count(3)? {
                let name = self.cursor.text()?.to_owned();
                let text = self.value()?;
                record.fields.insert(name, Register { stamp: self.place()?, text });
            }
        }
        Ok(())
    }

    fn stamps(&mut self) -> Result<(), StateError> {
        let count = self.cursor.count(2)?;
        let mut last: Option<u64> = None;
        for _ in 0..count {
            let hlc = match last {
                None => self.cursor.hlc()?.to_u64(),
                Some(last) => {
                    let step = self.cursor.varint()?;
                    last.checked_add(step).ok_or_else(|| self.cursor.malformed("a time is out of range"))?
                }
            };
            last = Some(hlc);
            let device = self.device()?;
            self.stamps.push(Stamp { hlc: Hlc::from_u64(hlc), device });
        }
        Ok(())
    }

    fn device(&mut self) -> Result<DeviceId, StateError> {
        let number = u32::try_from(self.cursor.varint()?).map_err(|err| self.cursor.malformed(err))?;
        self.devices.device(number).ok_or(StateError::Device(number))
    }

    fn value(&mut self) -> Result<String, StateError> {
        let text = self.cursor.text()?;
        json::check(text).map_err(|err| self.cursor.malformed(err))?;
        Ok(text.to_owned())
    }

    fn place(&mut self) -> Result<Stamp, StateError> {
        let place = self.cursor.varint()?;
        let stamp = usize::try_from(place).ok().and_then(|place| self.stamps.get(place)).copied();
        Ok(stamp.ok_or_else(|| self.cursor.malformed("it refers to a stamp that isn't there"))?)
    }

    fn counters(&mut self, counters: &mut BTreeMap<String, Counter>) -> Result<(), StateError> {
        for _ in 0..self.cursor.count(2)? {
            let name = self.cursor.text()?.to_owned();
            let mut counter = Counter::new();
            for _ in 0..self.cursor.count(13)? {
                let log = LogId { device: self.device()?, incarnation: self.cursor.incarnation()? };
                counter.insert(log, Count { total: self.cursor.tally()?, reset: self.cursor.tally()? });
            }
            counters.insert(name, counter);
        }
        Ok(())
    }

    fn sets(&mut self, sets: &mut BTreeMap<String, Set>) -> Result<(), StateError> {
        for _ in 0..self.cursor.count(2)? {
            let name = self.cursor.text()?.to_owned();
            let mut set = Set::new();
            for _ in 0..self.cursor.count(2)? {
                let element = self.value()?;
                let mut devices = BTreeMap::new();
                for _ in 0..self.cursor.count(10)? {
                    devices.insert(self.device()?, self.marks()?);
                }
                set.insert(element, devices);
            }
            sets.insert(name, set);
        }
        Ok(())
    }

    fn marks(&mut self) -> Result<Marks, StateError> {
        let tag = self.cursor.byte()?;
        let time = self.cursor.hlc()?;
        Ok(match tag {
            ADDED => Marks { added: time, removed: NEVER },
            REMOVED => Marks { added: NEVER, removed: time },
            BOTH => Marks { added: time, removed: self.cursor.hlc()? },
            EQUAL => Marks { added: time, removed: time },
            _ => return Err(self.cursor.malformed("marks of an unknown sort").into()),
        })
    }

    fn shown_registers(&mut self, record: &mut Record, doc: Option<&str>) -> Result<(), StateError> {
        let Some(doc) = doc else {
            // Without a document there are no registers, and no stamp but the tombstone's.
            let lost = self.stamps.len() > usize::from(record.tombstone.is_some());
            return if lost { Err(StateError::Mismatch) } else { Ok(()) };
        };
        for (name, text) in members(doc)? {
            let counter = record.counters.get(&name).is_some_and(is_counter_shown);
            if counter || record.sets.get(&name).is_some_and(|set| record.is_set_shown(set)) {
                continue;
            }
            let stamp = if let [only] = self.stamps[..] { only } else { self.place()? };
            let register = Register { stamp, text: text.get().to_owned() };
            if Some(stamp) <= record.tombstone || record.fields.insert(name, register).is_some() {
                return Err(StateError::Mismatch);
            }
        }
        Ok(())
    }
}

/// The members of a document, whose keys ascend.
fn members(doc: &str) -> Result<Vec<(String, &RawValue)>, StateError> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members: Self::Value = Vec::new();
            while let Some((name, text)) = map.next_entry::<String, &RawValue>()? {
                if members.last().is_some_and(|(last, _)| *last >= name) {
                    return Err(A::Error::custom("its keys don't ascend"));
                }
                members.push((name, text));
            }
            Ok(members)
        }
    }
    let mut parser = serde_json::Deserializer::from_str(doc);
    let members = parser.deserialize_map(Members).and_then(|members| parser.end().map(|()| members));
    members.map_err(|err| StateError::Doc(err.to_string()))
}

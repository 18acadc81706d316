//! One record: everything that was said about it, merged.
//!
//! A record is a join semilattice, made of maxima only, after Shapiro et al., "A comprehensive study
//! of Convergent and Commutative Replicated Data Types" (2011): applying operations commutes and
//! doing it again changes nothing. Its parts:
//!
//! - **Registers**: per field the value with the newest [`Stamp`]; of one stamp, the larger text.
//! - **Counters**: per log the largest [`Tally`]. A delete brings the tallies that its author saw; they
//!   are taken off again, and a log that has not counted past them contributes nothing.
//! - **Sets**: per element and device the newest addition, and the newest addition that a removal
//!   saw. The element is in the set while some addition was not seen by any removal: add wins.
//! - **Tombstone**: the newest delete. Registers at or before it are gone for good; a later write
//!   brings the record back with what is newer only.
//!
//! A record is visible while anything of it is newer than its tombstone. Where one name is used for
//! more than one kind of thing, the document shows the set before the counter before the register;
//! nothing is lost of the others.

mod parts;
mod written;

use std::collections::BTreeMap;

use covey_types::{DeviceId, Hlc, LogId};

pub use parts::{StateError, fresh_put_parts};
pub use written::{Reach, Written};

use crate::{
    checkpoint::Atom,
    json,
    ops::{Observed, ObservedElement, Op, Tally},
    stamp::Stamp,
};

/// The merged state of one record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    fields: BTreeMap<String, Register>,
    counters: BTreeMap<String, Counter>,
    sets: BTreeMap<String, Set>,
    /// The newest put without fields: it says that the record is there, and no more.
    presence: Option<Stamp>,
    tombstone: Option<Stamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Register {
    stamp: Stamp,
    text: String,
}

type Counter = BTreeMap<LogId, Count>;

/// Element to device to marks.
type Set = BTreeMap<String, BTreeMap<DeviceId, Marks>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    total: Tally,
    reset: Tally,
}

/// Stands for no time at all: no clock gives it.
const NEVER: Hlc = Hlc::from_u64(0);

/// Of one element and device; at least one of the two is not [`NEVER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Marks {
    added: Hlc,
    removed: Hlc,
}

impl Count {
    const fn is_live(self) -> bool {
        self.total.count > self.reset.count
    }
}

impl Marks {
    fn is_present(self) -> bool {
        self.added > self.removed
    }
}

/// What the document shows under a name.
enum Shown<'a> {
    Register(&'a Register),
    Counter(&'a Counter),
    Set(&'a Set),
}

impl Record {
    /// A record of which nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an operation of an entry of `log` with this stamp; whether anything changed.
    /// The collection and the id are the caller's business.
    pub fn apply(&mut self, op: &Op<'_>, stamp: Stamp, log: LogId) -> bool {
        match op {
            Op::Put { fields, .. } if fields.is_empty() => self.be_present(stamp),
            Op::Put { fields, .. } => {
                fields.iter().fold(false, |changed, (name, text)| self.write(name, stamp, text) | changed)
            }
            Op::Delete { observed, .. } => self.delete(observed, stamp),
            Op::CounterAdd { name, tally, .. } => {
                tally.count > 0 && raise(&mut self.count(name, log).total, *tally)
            }
            Op::SetAdd { name, element, .. } => {
                stamp.hlc > NEVER && raise(&mut self.marks(name, element, stamp.device).added, stamp.hlc)
            }
            Op::SetRemove { name, element, observed, .. } => self.remove(name, element, observed),
            Op::AsOf { .. } | Op::Unknown { .. } => false,
        }
    }

    /// Takes in all that another replica knows of this record; whether anything changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mut changed = other.tombstone.is_some_and(|stamp| self.bury(stamp));
        changed |= other.presence.is_some_and(|stamp| self.be_present(stamp));
        for (name, register) in &other.fields {
            changed |= self.write(name, register.stamp, &register.text);
        }
        for (name, counter) in &other.counters {
            for (log, theirs) in counter {
                let ours = self.count(name, *log);
                changed |= raise(&mut ours.total, theirs.total) | raise(&mut ours.reset, theirs.reset);
            }
        }
        for (name, set) in &other.sets {
            for (element, devices) in set {
                for (device, theirs) in devices {
                    let ours = self.marks(name, element, *device);
                    changed |=
                        raise(&mut ours.added, theirs.added) | raise(&mut ours.removed, theirs.removed);
                }
            }
        }
        changed
    }

    /// Whether an atom of an entry of `log` with this stamp is what the record still has at its place: nothing larger
    /// has superseded it.
    pub fn has(&self, atom: &Atom<'_>, stamp: Stamp, log: LogId) -> bool {
        let count = |name: &str, log| self.counters.get(name).and_then(|counter| counter.get(&log));
        let marks = |name: &str, element: &str, device| {
            self.sets.get(name).and_then(|set| set.get(element)).and_then(|devices| devices.get(&device))
        };
        match *atom {
            Atom::Field(name, text) => self.field(name) == Some((stamp, text)),
            Atom::Presence => self.presence == Some(stamp),
            Atom::Tombstone => self.tombstone == Some(stamp),
            Atom::Total(name, tally) => {
                tally.count > 0 && count(name, log).is_some_and(|count| count.total == tally)
            }
            Atom::Reset(name, log, tally) => {
                tally.count > 0 && count(name, log).is_some_and(|count| count.reset == tally)
            }
            Atom::Added(name, element) => {
                stamp.hlc > NEVER
                    && marks(name, element, stamp.device).is_some_and(|marks| marks.added == stamp.hlc)
            }
            Atom::Removed(name, element, seen) => {
                seen.hlc > NEVER
                    && marks(name, element, seen.device).is_some_and(|marks| marks.removed == seen.hlc)
            }
        }
    }

    /// Whether there is a document.
    pub fn is_visible(&self) -> bool {
        !self.fields.is_empty()
            || self.presence.is_some()
            || self.counters.values().any(is_counter_shown)
            || self.sets.values().any(|set| self.is_set_shown(set))
    }

    /// The document as compact JSON, keys in ascending order of their bytes; `None` if it is deleted
    /// or was never written. A counter is a number (at the bounds of `i64` where its sum is beyond
    /// them), a set an array in ascending order of its elements' bytes.
    pub fn doc(&self) -> Option<String> {
        if !self.is_visible() {
            return None;
        }
        let mut out = String::from("{");
        for (name, shown) in self.shown() {
            push_key(&mut out, name);
            match shown {
                Shown::Register(register) => out.push_str(&register.text),
                Shown::Counter(counter) => out.push_str(&counter_value(counter).to_string()),
                Shown::Set(set) => push_elements(&mut out, set),
            }
        }
        out.push('}');
        Some(out)
    }

    /// The newest delete.
    pub fn tombstone(&self) -> Option<Stamp> {
        self.tombstone
    }

    /// The register of this name: who wrote it last, and the value as JSON text.
    pub fn field(&self, name: &str) -> Option<(Stamp, &str)> {
        self.fields.get(name).map(|register| (register.stamp, register.text.as_str()))
    }

    /// How far `log` has counted: what its next [`Op::CounterAdd`] goes on from.
    pub fn tally(&self, counter: &str, log: LogId) -> Tally {
        self.counters
            .get(counter)
            .and_then(|counter| counter.get(&log))
            .map(|count| count.total)
            .unwrap_or_default()
    }

    /// The additions of an element that are in force: what an [`Op::SetRemove`] has to name.
    pub fn additions(&self, set: &str, element: &str) -> Vec<Stamp> {
        self.sets.get(set).and_then(|set| set.get(element)).map(additions).unwrap_or_default()
    }

    /// What an [`Op::Delete`] by someone who sees this record has to name.
    pub fn observed(&self) -> Observed<'_> {
        let mut observed = Observed::default();
        for (name, counter) in &self.counters {
            let live = counter.iter().filter(|(_, count)| count.is_live());
            let tallies: Vec<_> = live.map(|(log, count)| (*log, count.total)).collect();
            if !tallies.is_empty() {
                observed.counters.push((name, tallies));
            }
        }
        for (name, set) in &self.sets {
            for (element, devices) in set {
                let added = additions(devices);
                if !added.is_empty() {
                    observed.elements.push(ObservedElement { set: name, element, added });
                }
            }
        }
        observed
    }

    fn write(&mut self, name: &str, stamp: Stamp, text: &str) -> bool {
        if Some(stamp) <= self.tombstone {
            return false;
        }
        match self.fields.get_mut(name) {
            Some(register) if (register.stamp, register.text.as_str()) >= (stamp, text) => false,
            Some(register) => {
                register.stamp = stamp;
                text.clone_into(&mut register.text);
                true
            }
            None => {
                self.fields.insert(name.to_owned(), Register { stamp, text: text.to_owned() });
                true
            }
        }
    }

    fn be_present(&mut self, stamp: Stamp) -> bool {
        Some(stamp) > self.tombstone && raise(&mut self.presence, Some(stamp))
    }

    fn bury(&mut self, stamp: Stamp) -> bool {
        let changed = raise(&mut self.tombstone, Some(stamp));
        if changed {
            self.fields.retain(|_, register| register.stamp > stamp);
            self.presence = self.presence.filter(|presence| *presence > stamp);
        }
        changed
    }

    fn delete(&mut self, observed: &Observed<'_>, stamp: Stamp) -> bool {
        let mut changed = self.bury(stamp);
        for (name, tallies) in &observed.counters {
            for (log, tally) in tallies {
                changed |= tally.count > 0 && raise(&mut self.count(name, *log).reset, *tally);
            }
        }
        for ObservedElement { set, element, added } in &observed.elements {
            changed |= self.remove(set, element, added);
        }
        changed
    }

    fn remove(&mut self, set: &str, element: &str, seen: &[Stamp]) -> bool {
        let remove_one = |changed, seen: &Stamp| {
            seen.hlc > NEVER && raise(&mut self.marks(set, element, seen.device).removed, seen.hlc) || changed
        };
        seen.iter().fold(false, remove_one)
    }

    fn count(&mut self, name: &str, log: LogId) -> &mut Count {
        slot(&mut self.counters, name).entry(log).or_default()
    }

    fn marks(&mut self, set: &str, element: &str, device: DeviceId) -> &mut Marks {
        slot(slot(&mut self.sets, set), element).entry(device).or_default()
    }

    /// What the document shows, by name. Later kinds take the place of earlier ones.
    fn shown(&self) -> BTreeMap<&str, Shown<'_>> {
        let mut shown: BTreeMap<&str, Shown<'_>> =
            self.fields.iter().map(|(name, register)| (name.as_str(), Shown::Register(register))).collect();
        for (name, counter) in self.counters.iter().filter(|(_, counter)| is_counter_shown(counter)) {
            shown.insert(name, Shown::Counter(counter));
        }
        for (name, set) in self.sets.iter().filter(|(_, set)| self.is_set_shown(set)) {
            shown.insert(name, Shown::Set(set));
        }
        shown
    }

    /// A set that was emptied element by element is still there, as an empty array, until a delete.
    fn is_set_shown(&self, set: &Set) -> bool {
        let newer = |device: &DeviceId, marks: &Marks| {
            marks.added > NEVER && Some(Stamp { hlc: marks.added, device: *device }) > self.tombstone
        };
        set.values().flatten().any(|(device, marks)| marks.is_present() || newer(device, marks))
    }
}

fn raise<T: PartialOrd>(slot: &mut T, value: T) -> bool {
    let higher = value > *slot;
    if higher {
        *slot = value;
    }
    higher
}

fn slot<'m, V: Default>(map: &'m mut BTreeMap<String, V>, key: &str) -> &'m mut V {
    // Two look-ups where the entry API would need a new `String` even for a key that is there.
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key).expect("it was put there just now")
}

fn is_counter_shown(counter: &Counter) -> bool {
    counter.values().any(|count| count.is_live())
}

fn counter_value(counter: &Counter) -> i64 {
    let live = counter.values().filter(|count| count.is_live());
    let sum: i128 = live.map(|count| i128::from(count.total.sum) - i128::from(count.reset.sum)).sum();
    sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

fn additions(devices: &BTreeMap<DeviceId, Marks>) -> Vec<Stamp> {
    let present = devices.iter().filter(|(_, marks)| marks.is_present());
    present.map(|(device, marks)| Stamp { hlc: marks.added, device: *device }).collect()
}

fn push_key(out: &mut String, name: &str) {
    if out.len() > 1 {
        out.push(',');
    }
    json::push_string(out, name);
    out.push(':');
}

fn push_elements(out: &mut String, set: &Set) {
    out.push('[');
    let present = set.iter().filter(|(_, devices)| devices.values().any(|marks| marks.is_present()));
    for (i, (element, _)) in present.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(element);
    }
    out.push(']');
}

#[cfg(test)]
mod tests;

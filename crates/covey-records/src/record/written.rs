//! What was written into a record, and whether somebody who holds a part of all that was written holds all of that.
//!
//! Most of a record carries the time and the device of what said it ([`Stamp`]). Two things don't: a counter tells how
//! far each log has counted, and not when; and what was taken off (elements of sets, counts before a delete) doesn't tell
//! who took it off. Where a record has such parts the answer errs on the safe side: it's held by those who hold all that
//! the counting devices wrote, or all that anybody wrote.

use std::collections::{BTreeMap, BTreeSet};

use covey_types::{DeviceId, Hlc};

use super::{Record, StateError, parts::read_state};
use crate::stamp::{Devices, Stamp};

/// How much somebody holds of what each device wrote: all of it, or all up to some time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// Devices of which not all is held, and up to which time it is.
    partly: BTreeMap<DeviceId, Hlc>,
}

impl Reach {
    /// Of this device nothing past `up_to` is known to be held. What was said before may be less already.
    pub fn limit(&mut self, device: DeviceId, up_to: Hlc) {
        let slot = self.partly.entry(device).or_insert(up_to);
        *slot = up_to.min(*slot);
    }

    /// Whether all that anybody wrote is held.
    pub fn is_whole(&self) -> bool {
        self.partly.is_empty()
    }

    /// Up to which time what this device wrote is held; `None` if it's all.
    pub fn up_to(&self, device: DeviceId) -> Option<Hlc> {
        self.partly.get(&device).copied()
    }

    /// Whether what a device wrote at some time is held.
    pub fn holds(&self, stamp: Stamp) -> bool {
        self.up_to(stamp.device).is_none_or(|up_to| stamp.hlc <= up_to)
    }
}

/// What was written into a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// When, and by whom: whatever of the record stands.
    stamps: BTreeSet<Stamp>,
    /// Devices that have counted in it, at times of which it doesn't tell.
    counted: BTreeSet<DeviceId>,
    /// Whether something was taken off, by somebody of whom it doesn't tell.
    taken_off: bool,
}

impl Written {
    /// From the state that [`Record::to_parts`] gave. The document isn't needed.
    ///
    /// # Errors
    /// [`StateError`] for bytes that are no such state.
    pub fn from_state(state: &[u8], devices: &impl Devices) -> Result<Self, StateError> {
        let (record, stamps) = read_state(state, devices)?;
        let mut written = Self { stamps: stamps.into_iter().collect(), ..Self::default() };
        written.parts_without_registers(&record);
        Ok(written)
    }

    fn parts_without_registers(&mut self, record: &Record) {
        for (log, count) in record.counters.values().flatten() {
            self.counted.insert(log.device);
            self.taken_off |= count.reset.count > 0;
        }
        for (device, marks) in record.sets.values().flat_map(BTreeMap::values).flatten() {
            self.stamps.insert(Stamp { hlc: marks.added, device: *device });
            self.taken_off |= marks.removed > super::NEVER;
        }
    }

    /// Whether somebody with this reach holds all of it.
    pub fn is_within(&self, reach: &Reach) -> bool {
        reach.is_whole()
            || !self.taken_off
                && self.counted.iter().all(|device| reach.up_to(*device).is_none())
                && self.stamps.iter().all(|stamp| reach.holds(*stamp))
    }

    /// The newest of what tells its time; `None` for a record in which only was counted, or taken off.
    pub fn newest(&self) -> Option<Stamp> {
        self.stamps.last().copied()
    }
}

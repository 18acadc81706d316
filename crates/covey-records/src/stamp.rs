//! When and where something was said: what last-writer-wins goes by.

use covey_types::{DeviceId, Hlc};

/// The time of an entry and its author. Ordered by time, then by the bytes of the device's id, so that
/// any two stamps of different devices have an order that all replicas agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The hybrid time of the entry.
    pub hlc: Hlc,
    /// The device that wrote it.
    pub device: DeviceId,
}

/// Small numbers for devices, so that a stored stamp need not repeat 32 bytes. Given by whoever
/// stores; a number once given must stay that device's for ever.
pub trait Devices {
    /// The number of this device; a new one if it has none yet.
    fn number(&mut self, device: DeviceId) -> u32;

    /// The device with this number.
    fn device(&self, number: u32) -> Option<DeviceId>;
}

//! Small numbers for device ids in stored stamps.
//!
//! A number is given once and kept in the same transaction as the first stamp that uses it.

use std::collections::HashMap;

use covey_records::Devices;
use covey_store::StoreError;
use covey_types::DeviceId;

use crate::{Rows, RowsMut};

const META: &str = "devices";

/// The numbers that were given.
#[derive(Debug, Default)]
pub struct DeviceTable {
    by_number: Vec<DeviceId>,
    by_id: HashMap<DeviceId, u32>,
    stored: usize,
}

impl DeviceTable {
    pub(crate) fn load(reader: &(impl Rows + ?Sized)) -> Result<Self, StoreError> {
        let bytes = reader.meta(META)?.unwrap_or_default();
        let mut table = Self::default();
        for id in bytes.chunks_exact(32).filter_map(DeviceId::from_slice) {
            table.number(id);
        }
        table.stored = table.by_number.len();
        Ok(table)
    }

    /// Stores the numbers that were given since the last time.
    pub(crate) fn save(&mut self, tx: &mut impl RowsMut) -> Result<(), StoreError> {
        if self.stored < self.by_number.len() {
            let bytes: Vec<u8> = self.by_number.iter().flat_map(|id| id.0).collect();
            tx.set_meta(META, &bytes)?;
            self.stored = self.by_number.len();
        }
        Ok(())
    }
}

impl Devices for DeviceTable {
    fn number(&mut self, device: DeviceId) -> u32 {
        let next = self.by_number.len() as u32;
        *self.by_id.entry(device).or_insert_with(|| {
            self.by_number.push(device);
            next
        })
    }

    fn device(&self, number: u32) -> Option<DeviceId> {
        self.by_number.get(number as usize).copied()
    }
}

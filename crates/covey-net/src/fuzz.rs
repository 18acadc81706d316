//! What the fuzz targets may feed.

use covey_types::DeviceId;

/// Reads an answer to a look around the LAN: the devices it tells of, and how many addresses of each.
pub fn mdns_answer(bytes: &[u8]) -> Vec<(DeviceId, usize)> {
    crate::first_look::answers(bytes).into_iter().map(|found| (found.device, found.addrs.len())).collect()
}

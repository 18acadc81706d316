//! What the fuzz targets may feed.

use std::io::{Read, Seek};

/// Reads the first and the last bytes of a backup: the length of the database in it, bytes, if it looks like one.
pub fn backup_seal(file: &mut (impl Read + Seek)) -> Option<u64> {
    crate::backup::sealed_bytes(file)
}

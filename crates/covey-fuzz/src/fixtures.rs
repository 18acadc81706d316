//! One fixture of each format, as this version makes it: a home, a backup, what two nodes said while they synced, what
//! two devices said while they paired, and entries as they are packed for the wire.
//!
//! `covey-fuzz fixtures` makes them anew; `tests/fixtures.rs` opens them. What was told of the home when it was made
//! stands beside it as text ([`TOLD`]), and must be told again, byte for byte, by every later version.

mod capture;
mod home;
mod told;

use std::path::{Path, PathBuf};

pub use self::{
    capture::{replay_pairing, replay_sync, unpack_entries},
    home::{PASSPHRASE, open_home},
    told::tell,
};

/// The version of the formats whose fixtures are made. A change that older nodes can't read begins a new folder, and
/// leaves the others as they are.
pub const VERSION: u32 = 1;

/// The backup of the home.
pub const BACKUP: &str = "garden.covey-backup";

/// What the home's node told of it when it was made.
pub const TOLD: &str = "told.txt";

/// The fixtures of this version.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{VERSION}"))
}

/// Makes all fixtures of this version anew.
///
/// # Errors
/// Whatever a node, or a file, can fail with.
pub fn make() -> anyhow::Result<()> {
    let folder = folder();
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    capture::make(&folder)?;
    tokio::runtime::Runtime::new()?.block_on(home::make(&folder))
}

//! One fixture of each format, as this version makes it: homes, a backup, what two nodes said while they synced, what
//! two devices said while they paired, and entries as they are packed for the wire.
//!
//! `covey-fuzz fixtures` makes those that are missing; `tests/fixtures.rs` opens them. What was told of the home when it was made
//! stands beside it as text ([`TOLD`]), and must be told again, byte for byte, by every later version.

mod capture;
mod grown;
mod home;
mod told;

use std::path::{Path, PathBuf};

pub use self::{
    capture::{replay_pairing, replay_sync, unpack_entries},
    home::{PASSPHRASE, open_home},
    told::{tell, tell_all},
};

/// The version of the formats whose fixtures are made. A change that older nodes can't read begins a new folder, and
/// leaves the others as they are.
pub const VERSION: u32 = 1;

/// The backup of the home.
pub const BACKUP: &str = "garden.covey-backup";

/// What the home's node told of it when it was made.
pub const TOLD: &str = "told.txt";

/// The backup of a home that has lived for longer.
pub const GROWN_BACKUP: &str = "grown.covey-backup";

/// What that one's node told.
pub const GROWN_TOLD: &str = "grown.txt";

/// The fixtures of this version.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/v{VERSION}"))
}

/// Makes those fixtures of this version that aren't there. What is there is what earlier builds wrote, which has to be read for
/// ever: nothing is written over.
///
/// # Errors
/// Whatever a node, or a file, can fail with.
pub fn make() -> anyhow::Result<()> {
    let folder = folder();
    std::fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Runtime::new()?;
    if !folder.join(capture::ENTRIES).exists() {
        capture::make(&folder)?;
    }
    if !folder.join(BACKUP).exists() {
        runtime.block_on(home::make(&folder))?;
    }
    if !folder.join(GROWN_BACKUP).exists() {
        runtime.block_on(grown::make(&folder))?;
    }
    Ok(())
}

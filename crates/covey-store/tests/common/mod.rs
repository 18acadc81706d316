//! What the tests of the store share.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use covey_store::{NewEntry, Store, StoreError, Tx, Unlock, WriteError};
use covey_types::{DeviceId, EntryHash, Hlc, Incarnation, LogId, SpaceId};
use rusqlite::Connection;
use tempfile::TempDir;

pub(crate) type Result<R> = std::result::Result<R, StoreError>;

/// Set where a test binary runs itself as a second process.
pub(crate) const CHILD: &str = "COVEY_STORE_TEST_CHILD";

pub(crate) fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    (dir, store)
}

pub(crate) fn open(home: &Path) -> Store {
    Store::open(home, Unlock::KeyFile).unwrap()
}

pub(crate) fn passphrase(text: &str) -> Unlock {
    Unlock::Passphrase(text.to_owned().into())
}

pub(crate) fn space(n: u8) -> SpaceId {
    SpaceId([n; 32])
}

pub(crate) fn log(n: u8) -> LogId {
    LogId { device: DeviceId([n; 32]), incarnation: Incarnation(u64::MAX - u64::from(n)) }
}

pub(crate) fn hash(log: u8, seq: u64) -> EntryHash {
    let mut bytes = [log; 32];
    bytes[..8].copy_from_slice(&seq.to_be_bytes());
    if seq == 0 { EntryHash::NONE } else { EntryHash(bytes) }
}

/// The entry number `seq` of the log `n`, with this body.
pub(crate) fn entry(n: u8, seq: u64, body: &[u8]) -> NewEntry<'_> {
    NewEntry {
        seq,
        hash: hash(n, seq),
        prev: hash(n, seq.saturating_sub(1)),
        hlc: Hlc::from_u64(u64::MAX - 1_000_000 + seq),
        header: b"header",
        signature: &[7; 64],
        body,
    }
}

pub(crate) fn write<R: Send + 'static>(
    store: &Store,
    change: impl FnOnce(&mut Tx<'_>) -> Result<R> + Send + 'static,
) -> R {
    try_write(store, change).unwrap()
}

pub(crate) fn try_write<R: Send + 'static>(
    store: &Store,
    change: impl FnOnce(&mut Tx<'_>) -> Result<R> + Send + 'static,
) -> std::result::Result<R, WriteError<StoreError>> {
    store.write_blocking(change)
}

/// Every file of a home with its bytes and mode.
pub(crate) fn files(home: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let read = |path: PathBuf| {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        let bytes = fs::read(&path).unwrap();
        (path, (bytes, mode))
    };
    fs::read_dir(home).unwrap().map(|found| read(found.unwrap().path())).collect()
}

/// Copies a home to another folder, with modes.
pub(crate) fn copy_home(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (path, _) in files(from) {
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// The database as SQLCipher sees it, without the store around it.
pub(crate) fn raw(home: &Path) -> Connection {
    let key: [u8; 32] = fs::read(home.join("key")).unwrap().try_into().unwrap();
    let (high, low) = key.split_at(16);
    let half = |bytes: &[u8]| u128::from_be_bytes(bytes.try_into().unwrap());
    let hex = format!("{:032x}{:032x}", half(high), half(low));
    let conn = Connection::open(home.join("covey.db")).unwrap();
    conn.execute_batch(&format!("PRAGMA key = \"x'{hex}'\"")).unwrap();
    conn
}

/// This test once more, in a process of its own that finds `CHILD` set to `value`.
pub(crate) fn again(test: &str, value: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn child_home() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

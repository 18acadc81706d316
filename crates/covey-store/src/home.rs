//! The folder of a store: what is in it, its lock, and how small files are replaced as a whole.
//!
//! | file | what |
//! |---|---|
//! | `lock` | flock(2) while a process has the store open; the process id is in it meanwhile |
//! | `key` | the database key, 32 bytes, mode 0600; absent when a passphrase is used |
//! | `key.json` | how the database is unlocked, and a check value for the key |
//! | `covey.db`, `-wal`, `-shm` | the database, SQLite's write-ahead log and its index |

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::error::OpenError;

/// Only the owner may read and write.
pub(crate) const PRIVATE_FILE_MODE: u32 = 0o600;

/// Only the owner may enter.
const PRIVATE_FOLDER_MODE: u32 = 0o700;

/// Longest process id that is read back from a lock: what else stands there isn't ours.
const MAX_PID_BYTES: u64 = 16;

/// Where the parts of a store are.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    folder: PathBuf,
}

impl Home {
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    pub(crate) fn key_info(&self) -> PathBuf {
        self.folder.join("key.json")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("covey.db")
    }

    /// A database that isn't complete yet.
    pub(crate) fn new_database(&self) -> PathBuf {
        self.folder.join("covey.db.new")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.folder.join("covey.db-wal")
    }

    /// Bytes that this process may still write on the disk of the folder.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Makes the folder, and those above it, if it isn't there.
    pub(crate) fn create(&self) -> Result<(), OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_FOLDER_MODE)
            .create(&self.folder)
            .map_err(|source| self.error("making the folder", source))
    }

    pub(crate) fn error(&self, action: &'static str, source: io::Error) -> OpenError {
        OpenError::Home { home: self.folder.clone(), action, source }
    }
}

/// Held while a process has the store open. Released on drop, and by the system when the process dies.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    pub(crate) fn take(home: &Home) -> Result<Self, OpenError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE_MODE)
            .open(home.folder().join("lock"))
            .map_err(|source| home.error("opening its lock file", source))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(OpenError::InUse { home: home.folder().to_owned(), pid: read_pid(&mut file) });
            }
            Err(errno) => return Err(home.error("locking its lock file", errno.into())),
        }
        let lock = Self(file);
        // The process id only makes a message better; on a full disk the lock is as good without it.
        if let Err(err) = lock.note_pid() {
            tracing::warn!(%err, "could not note the process id in the lock file");
        }
        Ok(lock)
    }

    fn note_pid(&self) -> io::Result<()> {
        self.0.set_len(0)?;
        (&self.0).write_all(std::process::id().to_string().as_bytes())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Emptied so that nobody is sent after a process that is gone. Closing the file unlocks it.
        let _ = self.0.set_len(0);
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_PID_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Puts `bytes` at `path`, for the owner's eyes only: after a crash there is all of it or what was
/// there before.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), OpenError> {
    let new = path.with_extension("new");
    let failed = |source| OpenError::File { action: "write", path: path.to_owned(), source };
    let written = (|| {
        remove_if_there(&new)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE_MODE).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        sync_folder_of(path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.map_err(failed)
}

/// Makes an empty file for the owner's eyes only.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    remove_if_there(path)?;
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE_MODE).open(path).map(drop)
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(err),
        _ => Ok(()),
    }
}

/// Makes a rename in this file's folder last.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

//! What can go wrong with backups, said so that a person knows what to do next.

use std::{io, path::PathBuf};

use crate::{OpenError, StoreError};

/// Why a backup was not made. No file is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Something has this name already.
    #[error("{} is there already; choose another name, a backup replaces nothing", path.display())]
    Exists {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// There is no name for a file in this.
    #[error("{} is not the name of a file", path.display())]
    NoName {
        /// What was asked for.
        path: PathBuf,
    },
    /// A backup can't be locked with nothing.
    #[error("the passphrase of a backup must not be empty")]
    EmptyPassphrase,
    /// There is no room for it.
    #[error("there is no room for the backup where {} would be; make some, or choose another disk", path.display())]
    DiskFull {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: "create", "write", ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What was written could not be read back as it was.
    #[error("what was written to {} is not what it should be ({reason}); try again, or another disk", path.display())]
    Unsound {
        /// The file that was asked for.
        path: PathBuf,
        /// What was noticed.
        reason: String,
    },
    /// The store could not be read, or the copy not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever asked for it wants it no more.
    #[error("the backup was stopped; nothing was written")]
    Stopped,
}

/// Why a backup was not restored. What was made of the new home until then is removed again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The file could not be read.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: "open", "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Some other file.
    #[error("{} is not a backup of Covey", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// The file begins as a backup and doesn't end as one.
    #[error("the backup {} is cut off: part of it is missing; use another copy of it", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of the program has written it.
    #[error("the backup {} was made by a newer version of Covey (its format is {found}, this program knows {known}); update it", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// What its format is.
        found: String,
        /// What this program knows.
        known: String,
    },
    /// Not the passphrase that it was made with.
    #[error("the passphrase is wrong for the backup {}; try again", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// It isn't what was written.
    #[error("the backup {} is damaged ({reason}); use another copy of it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was noticed.
        reason: String,
    },
    /// The folder is in use.
    #[error("{} is not empty (it holds {found}); restore into a new folder: --home DIR", home.display())]
    NotEmpty {
        /// The folder.
        home: PathBuf,
        /// Something that is in it.
        found: String,
    },
    /// There is no room for the new home.
    #[error("there is no room for what is restored in {}; make some, or choose another disk", home.display())]
    DiskFull {
        /// The folder.
        home: PathBuf,
    },
    /// The new home can't be made.
    #[error(transparent)]
    Home(#[from] OpenError),
    /// The new database can't be written.
    #[error(transparent)]
    Store(StoreError),
    /// Whoever asked for it wants it no more.
    #[error("the restore was stopped; nothing was made")]
    Stopped,
}

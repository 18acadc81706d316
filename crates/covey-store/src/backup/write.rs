//! Making a backup.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use covey_types::keys::random_bytes;
use rusqlite::Connection;

use super::{
    BackupError, Contents, Copied, Watcher, copy, fault,
    seal::{MAGIC, Seal},
};
use crate::{
    connection::{leave_wal, open_copy, open_reader},
    error::StoreError,
    home::{create_private, remove_if_there, sync_folder_of},
    key::{Costs, DatabaseKey},
    schema::SCHEMA_VERSION,
};

/// Writes what this connection, which is in a transaction, sees of its database.
pub(crate) fn write(
    source: &Connection,
    to: &Path,
    passphrase: &str,
    watch: Watcher<'_>,
) -> Result<Contents, BackupError> {
    if passphrase.is_empty() {
        return Err(BackupError::EmptyPassphrase);
    }
    // The first statement fixes what the transaction sees, for the copy too.
    let counted = Contents::count(source).map_err(|err| StoreError::sql("count what there is", err))?;
    let part = Part::create(to)?;
    let salt = random_bytes();
    let key = Costs::OURS.derive(passphrase, &salt).expect("our own costs are in range");
    part.fill(source, &key, watch)?;
    part.check(&key, counted)?;
    let bytes = part.seal(&key, salt, watch)?;
    part.publish()?;
    Ok(Contents { bytes, ..counted })
}

/// A backup that isn't complete yet. Unless it's published, it goes away.
struct Part {
    file: PathBuf,
    target: PathBuf,
}

impl Part {
    fn create(to: &Path) -> Result<Self, BackupError> {
        let no_name = || BackupError::NoName { path: to.to_owned() };
        let target = std::path::absolute(to).map_err(|_| no_name())?;
        let mut name = target.file_name().ok_or_else(no_name)?.to_owned();
        if fs::symlink_metadata(&target).is_ok() {
            return Err(BackupError::Exists { path: target });
        }
        // Two backups to the same place don't get in each other's way: the second one finds the name taken.
        name.push(format!(".{:016x}.part", u64::from_le_bytes(random_bytes())));
        let part = Self { file: target.with_file_name(name), target };
        create_private(&part.file).map_err(|err| part.error("create", err))?;
        Ok(part)
    }

    /// An error with the name that was asked for.
    fn error(&self, action: &'static str, source: io::Error) -> BackupError {
        let path = self.target.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackupError::DiskFull { path },
            _ => BackupError::File { action, path, source },
        }
    }

    fn sql(&self, doing: &'static str, err: rusqlite::Error) -> BackupError {
        match StoreError::sql(doing, err) {
            StoreError::DiskFull { .. } => BackupError::DiskFull { path: self.target.clone() },
            other => BackupError::Store(other),
        }
    }

    fn fill(&self, source: &Connection, key: &DatabaseKey, watch: Watcher<'_>) -> Result<(), BackupError> {
        let copied = open_copy(&self.file, key, Some(MAGIC)).and_then(|mut conn| {
            let copied = copy(source, &mut conn, watch)?;
            conn.close().map_err(|(_, err)| err)?;
            Ok(copied)
        });
        match copied.map_err(|err| self.sql("copy the database", err))? {
            Copied::Stopped => Err(BackupError::Stopped),
            Copied::Whole => leave_wal(&self.file, key).map_err(|err| self.sql("complete the copy", err)),
        }
    }

    /// Reads back what was written.
    fn check(&self, key: &DatabaseKey, expected: Contents) -> Result<(), BackupError> {
        let looked = open_reader(&self.file, key).and_then(|conn| {
            Ok(match fault(&conn)? {
                Some(fault) => Err(fault),
                None => Ok(Contents::count(&conn)?),
            })
        });
        let reason = match looked.map_err(|err| self.sql("read the copy back", err))? {
            Ok(found) if found == expected => return Ok(()),
            Ok(_) => "something is missing".to_owned(),
            Err(fault) => fault,
        };
        Err(BackupError::Unsound { path: self.target.clone(), reason })
    }

    /// Puts the seal behind the database, and makes both last; how long the file is then.
    fn seal(&self, key: &DatabaseKey, salt: [u8; 16], watch: Watcher<'_>) -> Result<u64, BackupError> {
        let sealed = (|| {
            let mut file = OpenOptions::new().read(true).append(true).open(&self.file)?;
            let bytes = file.metadata()?.len();
            let seal = Seal::new(key, salt, Costs::OURS, SCHEMA_VERSION, bytes);
            let ControlFlow::Continue(seal) = seal.close(key, &mut file, watch)? else { return Ok(None) };
            file.write_all(&seal)?;
            file.sync_all()?;
            Ok(Some(bytes + seal.len() as u64))
        })();
        sealed.map_err(|err| self.error("write", err))?.ok_or(BackupError::Stopped)
    }

    fn publish(self) -> Result<(), BackupError> {
        match rename_new(&self.file, &self.target) {
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists { path: self.target.clone() });
            }
            other => other.map_err(|err| self.error("rename", err))?,
        }
        sync_folder_of(&self.target).map_err(|err| self.error("write", err))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm", "-journal"] {
            let mut name = self.file.as_os_str().to_owned();
            name.push(end);
            // Once it's published it has another name, and nothing is found here.
            if let Err(err) = remove_if_there(Path::new(&name)) {
                tracing::warn!(%err, "part of a backup stays behind");
            }
        }
    }
}

/// Gives a file a name that nothing has.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system can do this in one step.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            other => return Ok(other?),
        }
    }
    // The name is taken with an empty file first, then the whole one takes its place.
    File::create_new(to)?;
    fs::rename(from, to)
}

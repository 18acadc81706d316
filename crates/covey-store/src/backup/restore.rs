//! A new home out of a backup.

use std::{
    fs::{self, File},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    Contents, Copied, RestoreError, Watcher, copy, fault,
    seal::{MAGIC, NoSeal, Seal},
};
use crate::{
    connection::{open_copy, open_reader, open_writer},
    ending::working,
    error::{OpenError, StoreError},
    home::{Home, Lock, create_private, remove_if_there, sync_folder_of},
    key::{self, DatabaseKey, Unlock},
    schema::{SCHEMA_VERSION, migrate},
    tables::position,
    tx::{Pending, Tx},
};

/// What may be in a folder that a backup is restored into: settings, and what an interrupted restore left behind.
const HARMLESS: &[&str] =
    &["config.toml", "lock", "key", "key.json", "key.new", NEW, NEW_WAL, NEW_SHM, NEW_JOURNAL];

/// The new database until it's complete, and what SQLite may put beside it.
const NEW: &str = "covey.db.new";
const NEW_WAL: &str = "covey.db.new-wal";
const NEW_SHM: &str = "covey.db.new-shm";
const NEW_JOURNAL: &str = "covey.db.new-journal";

/// Makes a home out of a backup, in a folder that is new or empty. `prepare` changes the database before anybody else
/// sees it; without its success there is no home.
///
/// # Errors
/// [`RestoreError`]. The folder is as it was then.
pub fn restore(
    from: &Path,
    passphrase: &str,
    home: &Path,
    unlock: &Unlock,
    prepare: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
    watch: Watcher<'_>,
) -> Result<Contents, RestoreError> {
    let _working = working();
    let source = Source::open(from, passphrase, watch)?;
    let mut site = Site::take(home)?;
    let contents = site.build(&source, unlock, prepare, watch)?;
    site.is_complete = true;
    Ok(contents)
}

/// A backup that was read through and found to be what was written.
struct Source {
    path: PathBuf,
    key: DatabaseKey,
    bytes: u64,
}

impl Source {
    fn open(from: &Path, passphrase: &str, watch: Watcher<'_>) -> Result<Self, RestoreError> {
        let path = from.to_owned();
        let failed = |action| move |source| RestoreError::File { action, path: from.to_owned(), source };
        let mut file = File::open(from).map_err(failed("open"))?;
        if file.metadata().map_err(failed("read"))?.is_dir() {
            return Err(RestoreError::NotABackup { path });
        }
        let bytes = file.metadata().map_err(failed("read"))?.len();
        let seal = match Seal::read(&mut file).map_err(failed("read"))? {
            Ok(seal) => seal,
            Err(NoSeal::Foreign) => return Err(RestoreError::NotABackup { path }),
            Err(NoSeal::CutOff) => return Err(RestoreError::CutOff { path }),
            Err(NoSeal::Newer(found)) => return Err(newer(path, &found)),
        };
        if seal.schema > SCHEMA_VERSION {
            return Err(newer(path, &format!("schema {}", seal.schema)));
        }
        let damaged = |reason: &str| RestoreError::Damaged { path: from.to_owned(), reason: reason.into() };
        let key =
            seal.costs.derive(passphrase, &seal.salt).ok_or_else(|| damaged("its costs are out of range"))?;
        if !seal.fits(&key) {
            return Err(RestoreError::WrongPassphrase { path });
        }
        match seal.holds(&key, &mut file, watch).map_err(failed("read"))? {
            ControlFlow::Break(()) => Err(RestoreError::Stopped),
            ControlFlow::Continue(false) => Err(damaged("it is not what was written")),
            ControlFlow::Continue(true) => Ok(Self { path, key, bytes }),
        }
    }
}

fn newer(path: PathBuf, found: &str) -> RestoreError {
    let known = String::from_utf8_lossy(&MAGIC[14..15]);
    RestoreError::Newer {
        path,
        found: found.to_owned(),
        known: format!("{known} with schema {SCHEMA_VERSION}"),
    }
}

/// The folder of the new home, as long as it isn't one. Unless that is completed, what was made goes away.
struct Site {
    home: Home,
    before: Vec<String>,
    was_there: bool,
    is_complete: bool,
    _lock: Lock,
}

impl Site {
    fn take(folder: &Path) -> Result<Self, RestoreError> {
        let (was_there, before) = names_in(folder)?;
        if let Some(found) = before.iter().find(|name| !HARMLESS.contains(&name.as_str())) {
            return Err(RestoreError::NotEmpty { home: folder.to_owned(), found: found.clone() });
        }
        Home::at(folder).create()?;
        let found = fs::canonicalize(folder);
        let home = Home::at(&found.map_err(|err| Home::at(folder).error("finding the folder", err))?);
        let lock = Lock::take(&home)?;
        Ok(Self { home, before, was_there, is_complete: false, _lock: lock })
    }

    fn build(
        &self,
        source: &Source,
        unlock: &Unlock,
        prepare: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
        watch: Watcher<'_>,
    ) -> Result<Contents, RestoreError> {
        let key = key::create(&self.home, unlock)?;
        let new = self.home.new_database();
        for name in [NEW_WAL, NEW_SHM, NEW_JOURNAL] {
            remove_if_there(&self.home.folder().join(name)).map_err(|err| self.file("remove", err))?;
        }
        create_private(&new).map_err(|err| self.file("create", err))?;
        self.fill(&new, &key, source, watch)?;
        let contents = self.finish(&new, &key, source, prepare)?;
        let made = File::open(&new).and_then(|file| file.sync_all());
        made.map_err(|err| self.file("write", err))?;
        let database = self.home.database();
        fs::rename(&new, &database)
            .and_then(|()| sync_folder_of(&database))
            .map_err(|err| self.file("rename", err))?;
        Ok(Contents { bytes: source.bytes, ..contents })
    }

    fn fill(
        &self,
        new: &Path,
        key: &DatabaseKey,
        source: &Source,
        watch: Watcher<'_>,
    ) -> Result<(), RestoreError> {
        let damaged = |err| match StoreError::sql("read the backup", err) {
            StoreError::Corrupt { reason, .. } => RestoreError::Damaged { path: source.path.clone(), reason },
            other => RestoreError::Store(other),
        };
        let from = open_reader(&source.path, &source.key).map_err(damaged)?;
        let copied = open_copy(new, key, None).and_then(|mut conn| {
            let copied = copy(&from, &mut conn, watch)?;
            conn.close().map_err(|(_, err)| err)?;
            Ok(copied)
        });
        match copied.map_err(|err| self.sql("copy the backup", err))? {
            Copied::Whole => Ok(()),
            Copied::Stopped => Err(RestoreError::Stopped),
        }
    }

    /// Checks the copy, brings it up to date and lets it be prepared.
    fn finish(
        &self,
        new: &Path,
        key: &DatabaseKey,
        source: &Source,
        prepare: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
    ) -> Result<Contents, RestoreError> {
        let failed = |err| self.sql("complete the copy", err);
        let mut conn = open_writer(new, key).map_err(failed)?;
        if let Some(reason) = fault(&conn).map_err(failed)? {
            return Err(RestoreError::Damaged { path: source.path.clone(), reason });
        }
        migrate(&mut conn).map_err(failed)?;
        change(&conn, prepare).map_err(|err| self.store(err))?;
        let contents = Contents::count(&conn).map_err(failed)?;
        conn.close().map_err(|(_, err)| failed(err))?;
        Ok(contents)
    }

    fn file(&self, action: &'static str, source: io::Error) -> RestoreError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                RestoreError::DiskFull { home: self.home.folder().to_owned() }
            }
            _ => OpenError::File { action, path: self.home.new_database(), source }.into(),
        }
    }

    fn sql(&self, doing: &'static str, err: rusqlite::Error) -> RestoreError {
        self.store(StoreError::sql(doing, err))
    }

    fn store(&self, err: StoreError) -> RestoreError {
        match err {
            StoreError::DiskFull { .. } => RestoreError::DiskFull { home: self.home.folder().to_owned() },
            other => RestoreError::Store(other),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let made = HARMLESS.iter().filter(|name| !self.before.iter().any(|before| before == *name));
        for name in made {
            if let Err(err) = remove_if_there(&self.home.folder().join(name)) {
                tracing::warn!(name, %err, "part of a restore stays behind");
            }
        }
        if !self.was_there {
            // Something else that came meanwhile stays, and the folder with it.
            let _ = fs::remove_dir(self.home.folder());
        }
    }
}

/// Whether the folder is there, and the names in it.
fn names_in(folder: &Path) -> Result<(bool, Vec<String>), RestoreError> {
    let failed = |source| Home::at(folder).error("looking into the folder", source);
    match fs::read_dir(folder) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok((false, Vec::new())),
        Err(err) => Err(failed(err).into()),
        Ok(entries) => {
            let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            Ok((true, names.collect::<io::Result<_>>().map_err(failed)?))
        }
    }
}

/// One change to a database that nobody else has open.
fn change(
    conn: &Connection,
    make: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let doing = "prepare what was restored";
    let run = |sql| conn.execute_batch(sql).map_err(|err| StoreError::sql(doing, err));
    let pending = Pending::default();
    pending.position.set(position(conn).map_err(|err| StoreError::sql(doing, err))?);
    run("BEGIN IMMEDIATE")?;
    let mut tx = Tx::new(conn, &pending);
    make(&mut tx)?;
    tx.flush()?;
    run("COMMIT")
}

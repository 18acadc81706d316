//! Backups of a home, made while its node runs or not, and restoring them.
//!
//! The device in a restored home is the same as before, so that its user is in all their spaces at once. Its logs are
//! not: others may have more of them than the backup has, so a restored home begins new ones before anything can be
//! written in it, and gets back from the others what was written after the backup.
//!
//! One backup restored on two machines makes two logs of one device, which hurts nothing that is stored. But both then
//! have the same identity on the network, and others are connected to one of them at a time.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Mutex,
};

use covey_engine::{Secrets, begin_anew};
use covey_store::{
    Store, StoreError, Unlock,
    backup::{self, Contents, Progress, RestoreError},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::{Identity, Node, node::public};

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is no home to be backed up.
    #[error("there is no home in {}", home.display())]
    NoHome {
        /// The folder.
        home: PathBuf,
    },
    /// The store can't be opened.
    #[error(transparent)]
    Open(#[from] covey_store::OpenError),
    /// The backup can't be made.
    #[error(transparent)]
    Backup(#[from] backup::BackupError),
    /// A defect in Covey itself.
    #[error("this should not happen, please report it: {0}")]
    Internal(String),
}

/// What a restored home holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Whose it is, and which device.
    pub identity: Identity,
    /// What is in it.
    pub contents: Contents,
}

/// What is to be backed up to where.
#[derive(Debug)]
pub struct BackupOrder {
    /// The file, which must not be there yet.
    pub to: PathBuf,
    /// What it's encrypted under.
    pub passphrase: Zeroizing<String>,
    /// Is told how far it is. When nobody listens any more, the backup is stopped.
    pub told: watch::Sender<Option<Progress>>,
}

impl Node {
    /// Writes everything that is here now to a new file, and reads it back. The node goes on meanwhile.
    ///
    /// # Errors
    /// [`BackupError`]; there is no file then.
    pub async fn backup(&self, order: BackupOrder) -> Result<Contents, BackupError> {
        let (store, stop) = (self.0.store.clone(), self.0.cancel.clone());
        blocking(move || Ok(write(&store, &order, &stop)?)).await
    }
}

/// As [`Node::backup`], for a home whose node doesn't run.
///
/// # Errors
/// [`BackupError`]; there is no file then.
pub async fn backup_home(home: &Path, unlock: Unlock, order: BackupOrder) -> Result<Contents, BackupError> {
    if !covey_store::exists(home) {
        return Err(BackupError::NoHome { home: home.to_owned() });
    }
    let home = home.to_owned();
    blocking(move || {
        let store = Store::open(&home, unlock)?;
        let written = write(&store, &order, &CancellationToken::new());
        store.close().map_err(backup::BackupError::from)?;
        Ok(written?)
    })
    .await
}

fn write(
    store: &Store,
    order: &BackupOrder,
    stop: &CancellationToken,
) -> Result<Contents, backup::BackupError> {
    let mut watch = watcher(&order.told, stop);
    store.backup_blocking(&order.to, &order.passphrase, &mut watch)
}

/// Tells how far it is; stops when nobody listens or the node does.
fn watcher(
    told: &watch::Sender<Option<Progress>>,
    stop: &CancellationToken,
) -> impl FnMut(Progress) -> ControlFlow<()> {
    move |progress| {
        told.send_replace(Some(progress));
        if told.is_closed() || stop.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, BackupError> + Send + 'static,
) -> Result<R, BackupError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|err| Err(BackupError::Internal(err.to_string())))
}

/// Makes a home out of a backup, in a folder that is new or empty. `told` is as for a backup.
///
/// # Errors
/// [`RestoreError`]; there is no home then.
pub async fn restore(
    from: &Path,
    passphrase: Zeroizing<String>,
    home: &Path,
    unlock: Unlock,
    told: watch::Sender<Option<Progress>>,
) -> Result<Restored, RestoreError> {
    let (from, home) = (from.to_owned(), home.to_owned());
    let restored = tokio::task::spawn_blocking(move || {
        let found = Mutex::new(None);
        let prepare = |tx: &mut covey_store::Tx<'_>| {
            begin_anew(tx)?;
            crate::browsers::forget(tx)?;
            let doing = "read the identity";
            let lost = || StoreError::Corrupt { doing, reason: "there is none in it".into() };
            let secrets = Secrets::load(tx)?.ok_or_else(lost)?;
            *found.lock().expect("nobody else has it") = Some(public(&secrets));
            Ok(())
        };
        let never = CancellationToken::new();
        let mut watch = watcher(&told, &never);
        let contents = backup::restore(&from, &passphrase, &home, &unlock, prepare, &mut watch)?;
        let identity = found.into_inner().expect("nobody else has it").expect("it was prepared");
        Ok(Restored { identity, contents })
    });
    restored.await.unwrap_or_else(|err| {
        let message = err.to_string();
        Err(RestoreError::Store(StoreError::Panicked { message }))
    })
}

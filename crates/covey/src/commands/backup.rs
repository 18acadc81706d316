//! `covey backup` and `covey restore`: a whole home in one file, and back.
//!
//! While a node runs it makes the backup itself, asked over the API. Without one the command opens the home. A restore
//! never touches a home that is there.

use std::{path::Path, pin::pin};

use covey_api::dto::{BackupLine, BackupRequest};
use covey_node::{
    BackupOrder, Contents, Progress as Told, RestoreError, Stage, Unlock,
    backup::{self, BackupError},
};
use covey_types::ByteSize;
use futures::StreamExt;
use serde_json::json;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{
    args::{self, Args},
    client::{self, Client},
    diag::Failure,
    output::Out,
    progress::Progress,
    settings, unlock,
    words::count,
};

/// Longest line of the node's answer: numbers, or an error in words.
const MAX_LINE_BYTES: usize = 64 << 10;

pub(super) async fn backup(args: &Args, backup: &args::Backup, out: &Out) -> Result<(), Failure> {
    let (home, _) = settings::home(args)?;
    let failed =
        |error| Failure::failed(format!("{} is no name for a file", backup.file.display())).because(error);
    let to = std::path::absolute(&backup.file).map_err(failed)?;
    if std::fs::symlink_metadata(&to).is_ok() {
        // Said before anybody types a passphrase.
        return Err(Failure::failed(format!("{} is there already", to.display()))
            .hint("choose another name: a backup replaces nothing"));
    }
    let client = client::read_api_file(&home).is_ok().then(|| Client::new(args)).transpose()?;
    if client.is_none() && !covey_node::exists(&home) {
        return Err(Failure::failed(format!("there is no home in {}", home.display()))
            .hint("name another one with --home, or make one: covey init"));
    }
    let passphrase = unlock::passphrase_of("the backup", backup.passphrase_file.as_deref(), true)?;
    let contents = match client {
        Some(client) => by_node(&client, &to, passphrase, out).await?,
        None => by_hand(&home, backup, &to, passphrase, out).await?,
    };
    if out.is_json() {
        return out.document(&json!({
            "file": to,
            "bytes": contents.bytes,
            "spaces": contents.spaces,
            "entries": contents.entries,
            "records": contents.records,
        }));
    }
    out.line(&format!(
        "Backed up {} in {} ({}), and read it back.",
        words(contents),
        to.display(),
        ByteSize(contents.bytes)
    ))?;
    out.hint(
        "It is of no use without its passphrase: keep that elsewhere. Settings (config.toml) are not in it.",
    );
    Ok(())
}

/// `2 spaces, 10 entries and 7 records`.
fn words(contents: Contents) -> String {
    let spaces = count(contents.spaces, "space", "spaces");
    let (entries, records) =
        (count(contents.entries, "entry", "entries"), count(contents.records, "record", "records"));
    format!("{spaces}, {entries} and {records}")
}

/// Lets the running node do it, and shows how far it is.
async fn by_node(
    client: &Client,
    to: &Path,
    passphrase: Zeroizing<String>,
    out: &Out,
) -> Result<Contents, Failure> {
    let Some(file) = to.to_str().map(str::to_owned) else {
        return Err(Failure::failed(format!("{} is not UTF-8, which the running node needs", to.display()))
            .hint("choose another name, or stop the node first"));
    };
    let request = BackupRequest { file, passphrase: passphrase.to_string() };
    let mut answer = pin!(client.post_stream("backup", &request).await.map_err(Failure::in_a_file)?);
    let mut bars = Bars::new(out);
    let mut lines = Vec::new();
    while let Some(chunk) = answer.next().await {
        lines.extend_from_slice(&chunk?);
        while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = lines.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(BackupLine::Progress { stage, done, total }) => bars.show(&stage, done, total),
                Ok(BackupLine::Done { bytes, spaces, entries, records }) => {
                    return Ok(Contents { bytes, spaces, entries, records });
                }
                Ok(BackupLine::Failed { detail }) => return Err(Failure::failed(detail)),
                Err(error) => return Err(unexpected().because(error)),
            }
        }
        if lines.len() > MAX_LINE_BYTES {
            return Err(unexpected());
        }
    }
    Err(Failure::failed("the node stopped before the backup was made").hint("its own output says why"))
}

fn unexpected() -> Failure {
    Failure::failed("the node's answer is not what this version of covey expects")
}

/// Opens the home and does it here.
async fn by_hand(
    home: &Path,
    backup: &args::Backup,
    to: &Path,
    passphrase: Zeroizing<String>,
    out: &Out,
) -> Result<Contents, Failure> {
    let unlock = if covey_node::needs_passphrase(home) {
        let file = backup.home_passphrase_file.as_deref();
        Unlock::Passphrase(unlock::passphrase_of("the home", file, false)?)
    } else {
        Unlock::KeyFile
    };
    let (told, progress) = watch::channel(None);
    let order = BackupOrder { to: to.to_owned(), passphrase, told };
    let made = shown(progress, out, covey_node::backup_home(home, unlock, order)).await;
    made.map_err(|error: BackupError| Failure::failed(error.to_string()).because(error))
}

pub(super) async fn restore(args: &Args, restore: &args::Restore, out: &Out) -> Result<(), Failure> {
    let (home, _) = settings::home(args)?;
    if covey_node::exists(&home) {
        return Err(Failure::failed(format!("there is a home in {} already", home.display()))
            .hint("restore into a new folder: --home DIR; or move that one away first"));
    }
    let passphrase = unlock::passphrase_of("the backup", restore.passphrase_file.as_deref(), false)?;
    let lock = match (&restore.home_passphrase_file, restore.home_passphrase) {
        (None, false) => Unlock::KeyFile,
        (file, _) => Unlock::Passphrase(unlock::passphrase_of("the new home", file.as_deref(), true)?),
    };
    let (told, progress) = watch::channel(None);
    let restoring = backup::restore(&restore.file, passphrase, &home, lock, told);
    let restored = shown(progress, out, restoring).await;
    let restored =
        restored.map_err(|error: RestoreError| Failure::failed(error.to_string()).because(error))?;
    let identity = covey_api::identity(restored.identity);
    if out.is_json() {
        return out.document(&json!({
            "home": home,
            "user": identity.user,
            "device": identity.device,
            "peer_id": identity.peer_id,
            "fingerprint": identity.fingerprint,
            "spaces": restored.contents.spaces,
            "entries": restored.contents.entries,
            "records": restored.contents.records,
        }));
    }
    out.line(&format!("Restored {} into {}.\n", words(restored.contents), home.display()))?;
    out.line(&super::intro(&identity, out))?;
    out.hint(&format!(
        "Next: {}\nWhat was written after the backup comes back from the other devices that have it. Never run this home and the old one at the same time: both are the same device.",
        settings::command_for(args, "up")
    ));
    Ok(())
}

/// Waits for work, and shows how far it is.
async fn shown<R>(
    mut progress: watch::Receiver<Option<Told>>,
    out: &Out,
    work: impl Future<Output = R>,
) -> R {
    let (mut work, mut bars) = (pin!(work), Bars::new(out));
    loop {
        tokio::select! {
            result = &mut work => return result,
            Ok(()) = progress.changed() => {
                if let Some(told) = *progress.borrow_and_update() {
                    let stage = match told.stage {
                        Stage::Copying => "copying",
                        Stage::Checking => "checking",
                    };
                    bars.show(stage, told.done_bytes, told.total_bytes);
                }
            }
        }
    }
}

/// A bar for each stage, one after the other.
struct Bars<'a> {
    out: &'a Out,
    shown: Option<(String, Progress)>,
}

impl<'a> Bars<'a> {
    fn new(out: &'a Out) -> Self {
        Self { out, shown: None }
    }

    fn show(&mut self, stage: &str, done: u64, total: u64) {
        if self.shown.as_ref().is_none_or(|(shown, _)| shown != stage) {
            self.shown = None;
            let bar = Progress::bytes(self.out, Some(total), stage);
            self.shown = Some((stage.to_owned(), bar));
        }
        if let Some((_, progress)) = &self.shown {
            progress.bar().set_position(done);
        }
    }
}

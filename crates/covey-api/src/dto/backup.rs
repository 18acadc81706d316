//! A backup, as it is asked for and told of.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words;

/// `POST backup`. Secret, so that this type doesn't print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupRequest {
    /// The file to be made: an absolute path on the node's machine, at which nothing is.
    #[schema(min_length = 1)]
    pub file: String,
    /// What it is encrypted under.
    #[schema(min_length = 1)]
    pub passphrase: String,
}

impl Drop for BackupRequest {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.passphrase);
    }
}

/// A line of the answer to `POST backup`. The last one is `done` or `failed`; without either, the backup was not made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BackupLine {
    /// How far it is.
    Progress {
        /// `copying`, then `checking`.
        #[schema(value_type = words::BackupStage)]
        stage: String,
        /// Bytes of this stage that are done.
        done: u64,
        /// Bytes of it in all.
        total: u64,
    },
    /// It was made, and read back.
    Done {
        /// The file's length.
        bytes: u64,
        /// Spaces in it.
        spaces: u64,
        /// Entries of all logs in it.
        entries: u64,
        /// Records in it that aren't deleted.
        records: u64,
    },
    /// It was not made; no file is left behind.
    Failed {
        /// Why, in a sentence.
        detail: String,
    },
}

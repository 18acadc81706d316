//! Long work that goes on without anybody waiting for it, as it travels.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ImportDto, JoinedDto, LinkedDto, ProblemDto, words};

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// A backup of the home into a file.
    Backup,
    /// An import into a collection.
    Import,
    /// Joining a space, with its first sync.
    Join,
    /// Becoming a device of another user's, with the first sync of their spaces.
    Link,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It is being done.
    Running,
    /// It was asked to stop, and will at the next chance.
    Cancelling,
    /// It went through.
    Done,
    /// It did not go through; `error` says why.
    Failed,
    /// It was stopped on request.
    Cancelled,
}

impl JobState {
    /// Whether nothing more will come of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BackupResult)]
pub struct BackupDto {
    /// The file's length.
    pub bytes: u64,
    /// Spaces in it.
    pub spaces: u64,
    /// Entries of all logs in it.
    pub entries: u64,
    /// Records in it that aren't deleted.
    pub records: u64,
}

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobResult {
    /// The backup was made, and read back.
    Backup(BackupDto),
    /// What was imported, durably: of a job that was cancelled a part.
    Import(ImportDto),
    /// The space is here.
    Join(JoinedDto),
    /// This device is one of theirs.
    Link(Box<LinkedDto>),
}

/// Long work that goes on without anybody waiting for it: `GET jobs/{job}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Job)]
pub struct JobDto {
    /// Its id.
    pub id: String,
    /// What it does.
    pub kind: JobKind,
    /// To what: the file of a backup, `SPACE/COLLECTION` of an import, the id of a space that is joined, or of the user whose
    /// device this one becomes, as soon as it's known. Never the code.
    pub target: String,
    /// How it stands.
    pub state: JobState,
    /// What it is at, where it has more than one stage: of a backup `copying`, then `checking`; of a join or a link `pairing`,
    /// then `syncing`.
    #[schema(value_type = Option<words::JobStage>, required)]
    pub stage: Option<String>,
    /// Bytes of the stage that are done; of a join or a link the records that have come.
    pub done: u64,
    /// How many it is in all, if that is known.
    #[schema(required)]
    pub total: Option<u64>,
    /// What came of it.
    #[schema(required)]
    pub result: Option<JobResult>,
    /// Why it failed.
    #[schema(required)]
    pub error: Option<ProblemDto>,
    /// When it began, RFC 3339.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it ended, RFC 3339.
    #[schema(required, format = DateTime)]
    pub ended_at: Option<String>,
}

/// The jobs that run, and those that ended a short while ago, newest first: `GET jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// The jobs.
    pub items: Vec<JobDto>,
}

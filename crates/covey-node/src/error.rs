//! What can go wrong when a node is asked for something.

use std::path::PathBuf;

/// A request that a node could not fulfil. The message says what was asked, of what, and why not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Nothing by this name or id.
    #[error("there is no {kind} {name:?}")]
    NotFound {
        /// "space", "device", ...
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// More than one thing by this name or id prefix.
    #[error(
        "{name:?} could be any of {} {kind}s:{}\nName one by its id, or by as much of the beginning as no other has",
        candidates.len(), listed(candidates)
    )]
    Ambiguous {
        /// "space", "device", ...
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The names and ids of those that match.
        candidates: Vec<(String, String)>,
    },
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Something is larger than its limit.
    #[error("{what} of {len} bytes is longer than the limit of {max}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// This user's role does not allow it.
    #[error("{act} in {space:?} needs the role {needed}; yours is {role}")]
    NotAllowed {
        /// What was attempted: "writing".
        act: &'static str,
        /// In which space.
        space: String,
        /// The least role that may.
        needed: &'static str,
        /// The role at hand.
        role: String,
    },
    /// The space was joined and its members have not been heard of yet.
    #[error(
        "{space:?} has not been synced yet, so nothing can be written there; wait until one of its members is near"
    )]
    NotReady {
        /// Which space.
        space: String,
    },
    /// The state of the space, or its rules of membership, don't allow it now.
    #[error("{0}")]
    Membership(covey_engine::EngineError),
    /// The commit failed: nothing was written.
    #[error("the store could not commit: nothing was written")]
    Commit(#[source] std::sync::Arc<covey_store::StoreError>),
    /// The disk is full: nothing was written.
    #[error("the disk is full: nothing was written; free some room in {home} and try again")]
    DiskFull {
        /// The node's home.
        home: PathBuf,
    },
    /// Pairing did not succeed.
    #[error("{0}")]
    Pairing(#[from] crate::pairing::JoinError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] covey_store::StoreError),
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Closing,
    /// A defect in Covey itself.
    #[error("this should not happen, please report it: {0}")]
    Internal(String),
}

/// Most candidates that an error lists: more than anybody reads.
const MAX_LISTED: usize = 8;

/// Candidates, each on a line. Names are others' texts: quoted, so that a line break in one can't pass for ours.
fn listed(candidates: &[(String, String)]) -> String {
    let mut lines: String =
        candidates.iter().take(MAX_LISTED).map(|(name, id)| format!("\n{id}  {name:?}")).collect();
    if candidates.len() > MAX_LISTED {
        lines.push_str("\n...");
    }
    lines
}

impl From<covey_engine::EngineError> for NodeError {
    fn from(err: covey_engine::EngineError) -> Self {
        use covey_engine::EngineError as E;
        match err {
            E::NoSpace(id) => Self::NotFound { kind: "space", name: id.to_string() },
            E::NotFound { kind, name, .. } => Self::NotFound { kind, name },
            E::Invalid(reason) => Self::Invalid(reason),
            E::TooLarge { what, len, max } => Self::TooLarge { what, len, max },
            E::NotAllowed { act, space, needed, role } => Self::NotAllowed { act, space, needed, role },
            E::NotReady { space } => Self::NotReady { space },
            E::Store(err) => Self::Store(err),
            E::Internal(reason) => Self::Internal(reason),
            other => Self::Membership(other),
        }
    }
}

impl From<covey_records::OpError> for NodeError {
    fn from(err: covey_records::OpError) -> Self {
        match err {
            covey_records::OpError::TooLong { what, len, max } => Self::TooLarge { what, len, max },
            other => Self::Invalid(other.to_string()),
        }
    }
}

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
    /// It's for others to do: whose it is, or who administers it.
    #[error("{0}")]
    NotYours(String),
    /// The state of things doesn't allow it now.
    #[error("{0}")]
    Conflict(String),
    /// This device was revoked.
    #[error(
        "this device was revoked by another device of its user: what is here can be read, and nothing can be changed or \
         joined; begin with a new home (covey --home DIR up) to use it again. Was it a stolen device that said so? \
         `covey doctor` names it, and `covey device revoke` puts it out"
    )]
    Revoked,
    /// Something that the personal space is not for.
    #[error(
        "the personal space can't be {act}: it is yours alone and holds your devices together; `covey device link` adds a \
         device of yours"
    )]
    Personal {
        /// What was attempted: "left".
        act: &'static str,
    },
    /// A device that is to become another user's holds something already.
    #[error("{}", not_fresh(*spaces, *devices))]
    NotFresh {
        /// Spaces that are here.
        spaces: u64,
        /// Devices of its user.
        devices: u64,
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
    /// A query in SQL has no answer.
    #[error("{0}")]
    Query(covey_store::sql::SqlError),
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

fn not_fresh(spaces: u64, devices: u64) -> String {
    let what = match (spaces, devices) {
        (_, 2..) => "this device is linked to others of its user already".to_owned(),
        (1, _) => "this device is in a space already".to_owned(),
        (2.., _) => format!("this device is in {spaces} spaces already"),
        (0, _) => "this device has records of its own already".to_owned(),
    };
    format!(
        "{what}, and only a fresh one can become another user's; use a new home for it: covey --home DIR up, then \
         covey --home DIR device join CODE"
    )
}

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

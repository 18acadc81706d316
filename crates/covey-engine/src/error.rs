//! What can go wrong when a replica is asked to write.

use covey_space::MembershipError;
use covey_store::StoreError;
use covey_types::SpaceId;

/// A change that was not made. The message says what was asked, of what, and why not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The space isn't here.
    #[error("there is no space {0}")]
    NoSpace(SpaceId),
    /// Nothing by this name or id in the space.
    #[error("there is no {kind} {name} in {space:?}")]
    NotFound {
        /// "member", "device".
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// In which space.
        space: String,
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
    /// The rules of membership don't allow it.
    #[error("that is not possible in {space:?}: {reason}")]
    Membership {
        /// In which space.
        space: String,
        /// Why not.
        reason: MembershipError,
    },
    /// The space was joined and its members have not been heard of yet.
    #[error(
        "{space:?} has not been synced yet, so nothing can be written there; wait until one of its members is near"
    )]
    NotReady {
        /// Which space.
        space: String,
    },
    /// The space's key was changed, and nobody who has the new one was met yet.
    #[error(
        "{space:?} has a new key that has not arrived here yet, so nothing can be written there; wait until one of its members is near"
    )]
    NoKey {
        /// Which space.
        space: String,
    },
    /// This user or device was put out of the space.
    #[error(
        "you are no longer in {space:?}: it can be read as far as it came, and not written; ask an admin to be let in again"
    )]
    PutOut {
        /// Which space.
        space: String,
    },
    /// This device has begun as many logs in the space as others take of one device.
    #[error(
        "this device has begun {max} logs in {space:?}, each time its home was copied, restored or set back, and others take no \
         more of one device: link a new device to go on with, and remove this one"
    )]
    TooManyLogs {
        /// In which space.
        space: String,
        /// How many there may be.
        max: usize,
    },
    /// Somebody who isn't in a space can't be in its child.
    #[error("{space:?} is a child of {parent:?}: only people who are in that one can be taken in")]
    NotInParent {
        /// The child.
        space: String,
        /// Its parent.
        parent: String,
    },
    /// The last owner of a child in which others are can't leave its parent.
    #[error(
        "you are the last owner of {space:?}, which belongs to {parent:?}: make somebody else its owner first, and leave then"
    )]
    LastOwner {
        /// The child.
        space: String,
        /// Its parent.
        parent: String,
    },
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// A defect in Covey itself.
    #[error("this should not happen, please report it: {0}")]
    Internal(String),
}

impl From<covey_records::OpError> for EngineError {
    fn from(err: covey_records::OpError) -> Self {
        match err {
            covey_records::OpError::TooLong { what, len, max } => Self::TooLarge { what, len, max },
            other => Self::Invalid(other.to_string()),
        }
    }
}

//! How a join that failed is told over HTTP.

use covey_node::JoinError;

use crate::problem::Problem;

/// The problem document for a join that failed: a wrong code is the caller's slip, a refusal is the
/// inviter's word, and what took too long or broke off is nobody's.
pub(crate) fn problem(error: &JoinError) -> Problem {
    let detail = error.to_string();
    match error {
        JoinError::Code(_) | JoinError::Link(_) | JoinError::OtherKind { .. } => Problem::invalid(detail),
        JoinError::LinkExpired => Problem::gone(detail),
        JoinError::Solo => Problem::conflict(detail),
        JoinError::NobodyAnswered { .. } | JoinError::NotSynced { .. } | JoinError::Unreachable(_) => {
            Problem::timeout(detail)
        }
        _ => Problem::pairing(detail),
    }
}

//! Who is in a space, with which role, and the keys they share.
//!
//! Membership is a graph of entries: each names the newest membership entries its author knew. This
//! crate folds them into a [`Membership`] that comes out the same on every replica in whatever order
//! (consistent with causality) they arrived. It never looks at a clock.
//!
//! | module | what it holds |
//! |---|---|
//! | [`role`] | owner, admin, member, guest |
//! | [`cert`] | a user's word that a device is theirs |
//! | [`ops`] | what a membership entry says |
//! | `authority` | who may do what |
//! | `graph` | who knew of what |
//! | `state` | registers that later entries overwrite |
//! | `resolve` | what stands where admins acted at the same moment |
//! | [`membership`] | all of that together: who is in the space |
//! | `epochs` | which key is current, who has it and who must not |
//! | [`keyring`] | epoch keys, the discovery key and the tags by which two nodes find common spaces |
//! | [`kem`] | sealing keys to a device (HPKE, RFC 9180) |
//! | [`notice`] | news for some members that nobody else can read |
//! | [`child`] | what a space's membership means for that of its children |
//! | [`welcome`] | what a joining device sends and gets while pairing |
//! | [`link`] | the same where a further device of a user is taken in |
//!
//! Driving contract: feed every entry of kind founding or membership to [`Membership::apply`] once
//! everything in its `deps` was applied ([`Membership::knows_all`]); ask [`Membership::may_write`] before
//! a data entry is applied.

mod authority;
pub mod cert;
pub mod child;
mod epochs;
mod graph;
pub mod kem;
pub mod keyring;
pub mod link;
pub mod membership;
pub mod notice;
pub mod ops;
mod resolve;
pub mod role;
mod state;
pub mod welcome;

pub use cert::{Device, DeviceCert};
pub use child::{Child, Expulsion, Standing};
pub use kem::{KemPublic, KemSecret, SealedKey};
pub use keyring::{KeyRing, Tag};
pub use link::{LinkConsent, LinkQuestion, LinkRequest, LinkWelcome};
pub use membership::{Member, Membership, MembershipError, Verdict};
pub use notice::{ChildNews, News, Notice};
pub use ops::{AddMember, Found, MembershipOp};
pub use role::{ParseRoleError, Role};
pub use welcome::{JoinRequest, Welcome};

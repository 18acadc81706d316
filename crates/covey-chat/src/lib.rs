//! Chat as a schema on records.
//!
//! Channels, messages, edits, reactions and read marks are [own records](covey_records::own): each can be written by one
//! device only, the one in its id. So nobody can write over what somebody else has said, on any replica. What one person
//! says *about* another one's message (an edit, a deletion, a reaction) is a record of its own, and counts if they may say
//! it. The rules are here, and are the same for everybody who reads.
//!
//! The crate is pure: records come in, what they mean goes out. Who a device belongs to, and whether somebody was an admin
//! when they wrote something, is told by the caller, who asks the space's membership.
//!
//! | module | what it holds |
//! |---|---|
//! | [`channel`] | channels, changes of them, who is in them |
//! | [`direct`] | direct messages: one channel for the same people, whoever began it |
//! | [`fields`] | values in records of others, read with bounds |
//! | [`ids`] | collections and the ids of records in them |
//! | [`limits`] | every bound |
//! | [`mark`] | how far somebody has read |
//! | [`mentions`] | who is mentioned in a text |
//! | [`message`] | messages, what is said about them, and what they look like then |
//! | [`position`] | places in the order of a channel's messages |
//! | [`presence`] | what is told and never kept: who is there, who is typing |
//! | [`text`] | what may stand in a text, and highlighted places in it |

pub mod channel;
pub mod direct;
pub mod fields;
pub mod ids;
pub mod limits;
pub mod mark;
pub mod mentions;
pub mod message;
pub mod position;
pub mod presence;
pub mod text;

pub use channel::{Change, Channel, Kind, NewChannel};
pub use message::{Edit, Message, Reactions, Shown};
pub use position::Position;
pub use text::TextError;

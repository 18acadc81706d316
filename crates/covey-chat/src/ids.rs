//! The collections of chat, and the ids of records in them.
//!
//! All are [own records](covey_records::own). What is said about something has that one's whole id in its own, behind
//! the tag of the device that says it.

use covey_records::own;
use covey_types::{DeviceId, UserId};

use crate::limits::{MAX_CLIENT_ID, MIN_CLIENT_ID};

/// How the names of all collections of chat begin.
pub const PREFIX: &str = "own.chat.";

/// Channels.
pub const CHANNELS: &str = "own.chat.channels";

/// What was changed of channels: one record for each device and channel.
pub const CHANGES: &str = "own.chat.changes";

/// Who has joined or left a channel: one record for each device and channel.
pub const JOINS: &str = "own.chat.joins";

/// Who was invited to a channel: one record for each device, channel and user.
pub const INVITES: &str = "own.chat.invites";

/// Messages.
pub const MESSAGES: &str = "own.chat.messages";

/// Edits and deletions of messages by other devices than the message's: one record for each device and message.
pub const EDITS: &str = "own.chat.edits";

/// Reactions: one record for each device and message.
pub const REACTIONS: &str = "own.chat.reactions";

/// How far somebody has read: one record for each device and channel.
pub const MARKS: &str = "own.chat.marks";

/// The one channel of a child space, as records in it name it.
pub const MAIN: &str = "main";

/// What a record of [`INVITES`] is about: the channel and who is invited.
pub fn invited(rest: &str) -> Option<(&str, UserId)> {
    let (channel, user) = rest.rsplit_once('.')?;
    Some((channel, user.parse().ok()?))
}

/// The rest of the id of a record of [`INVITES`].
pub fn invitation(channel: &str, user: UserId) -> String {
    format!("{channel}.{user}")
}

/// The id of a message that a client has given a part of its own: the same part is the same message.
pub fn message(device: DeviceId, part: &str) -> Option<String> {
    is_part(part).then(|| own::id(device, part))
}

/// Whether a client may choose this as its part of an id.
pub fn is_part(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (MIN_CLIENT_ID..=MAX_CLIENT_ID).contains(&part.len()) && part.bytes().all(is_plain)
}

/// Whether this could be the id of a message: what else members write into the collection is none.
pub fn is_message(id: &str) -> bool {
    own::split(id).is_some_and(|(_, part)| is_part(part))
}

/// Whether this could be the id of a channel in the space where its record is.
pub fn is_channel(id: &str) -> bool {
    own::split(id).is_some_and(|(_, part)| is_part(part) || part == MAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_apart_as_they_were_put_together() {
        let (device, user) = (DeviceId([1; 32]), UserId([9; 32]));
        let channel = own::id(device, "0123456789abcdef");
        assert!(is_channel(&channel) && is_channel(&own::id(device, MAIN)) && !is_channel("main"));
        assert_eq!(invited(&invitation(&channel, user)), Some((channel.as_str(), user)));
        assert_eq!(message(device, "short"), None);
        assert_eq!(message(device, "a.dot.in.it"), None);
        assert!(is_message(&message(device, "client-id_1").unwrap()));
    }
}

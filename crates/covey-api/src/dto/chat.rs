//! Channels and messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words;

/// Who is in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Participant)]
pub struct ParticipantDto {
    /// Their id.
    pub user: String,
    /// Their name.
    pub name: String,
    /// "admin" or "member".
    #[schema(value_type = words::ChannelRole)]
    pub role: String,
}

/// A channel as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Channel)]
pub struct ChannelDto {
    /// Its id.
    pub id: String,
    /// The id of the space to which it belongs.
    pub space: String,
    /// Its name; of a direct message the names of the others.
    pub name: String,
    /// "public", "private" or "direct".
    #[schema(value_type = words::ChannelKind)]
    pub kind: String,
    /// Its topic.
    pub topic: String,
    /// Whether nobody is to write in it any more.
    pub archived: bool,
    /// Whether the reader is in it.
    pub joined: bool,
    /// Who is in it.
    pub members: Vec<ParticipantDto>,
    /// The user who made it, if it's public and they are known: its admin for good.
    #[schema(required)]
    pub founder: Option<String>,
    /// How many messages the reader hasn't read, up to 1000; of a channel they aren't in none, unless they are a guest, who
    /// can't join, and have read in it.
    pub unread: u64,
    /// How many of them mention the reader.
    pub mentions: u64,
    /// The first of them.
    #[schema(required)]
    pub new_since: Option<String>,
    /// The newest message.
    #[schema(required)]
    pub last: Option<MessageDto>,
    /// What was typed here and not sent.
    pub draft: String,
}

/// The answers to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Thread)]
pub struct ThreadDto {
    /// How many.
    pub replies: u64,
    /// When the newest was written.
    #[schema(format = DateTime)]
    pub last_at: String,
}

/// A message as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageDto {
    /// Its id.
    pub id: String,
    /// The channel's id.
    pub channel: String,
    /// The author's id: the user of the device that wrote it.
    pub author: String,
    /// What they are called.
    pub author_name: String,
    /// Which device wrote it.
    pub device: String,
    /// The text; plain, and empty if it was deleted.
    pub text: String,
    /// When it was written, by its author's clock.
    #[schema(format = DateTime)]
    pub at: String,
    /// Whether it was written otherwise first.
    pub edited: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The message that it answers.
    #[schema(required)]
    pub reply_to: Option<String>,
    /// The answers to it.
    #[schema(required)]
    pub thread: Option<ThreadDto>,
    /// Who is mentioned.
    pub mentions: Vec<String>,
    /// Who has reacted, by emoji.
    pub reactions: BTreeMap<String, Vec<String>>,
    /// "pending", "sent", "delivered" or "read".
    #[schema(value_type = words::MessageState)]
    pub state: String,
    /// Who else has it on a device of theirs.
    pub delivered_to: Vec<String>,
    /// Who else has read it.
    pub read_by: Vec<String>,
    /// Its place in the order of its channel.
    pub position: String,
}

/// All channels of a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelList {
    /// The channels.
    pub items: Vec<ChannelDto>,
}

/// A channel to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    /// Its name.
    #[schema(min_length = 1)]
    pub name: String,
    /// Whether only those who are taken in hear of it.
    #[serde(default)]
    pub private: bool,
    /// Its topic.
    #[serde(default)]
    pub topic: String,
}

/// What is to be changed of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChannelPatch {
    /// A new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1)]
    pub name: Option<String>,
    /// A new topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Whether nobody is to write in it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

/// Between whom a direct message is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDirect {
    /// The others, each by id, part of it, or name.
    #[schema(min_items = 1)]
    pub users: Vec<String>,
}

/// Who is to be in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewParticipant {
    /// By id, part of it, or name.
    #[schema(min_length = 1)]
    pub user: String,
    /// "member" unless it's said otherwise, or "admin".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ChannelRole>)]
    pub role: Option<String>,
}

/// What somebody is to be in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChannelRole)]
pub struct ChannelRole {
    /// "admin", or "member".
    #[schema(value_type = words::ChannelRole)]
    pub role: String,
}

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// What it says.
    #[schema(min_length = 1)]
    pub text: String,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What the client calls it: sent again under the same name it's the same message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// A text: of an edited message, or of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Text)]
pub struct TextDto {
    /// The text.
    pub text: String,
}

/// Up to where a channel was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadUpTo {
    /// The id of the last message that was read.
    #[schema(min_length = 1)]
    pub upto: String,
}

/// Messages of a channel, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageList {
    /// The messages.
    pub items: Vec<MessageDto>,
    /// For `before=`: where older ones go on.
    #[schema(required)]
    pub before: Option<String>,
    /// For `after=`: where newer ones go on.
    #[schema(required)]
    pub after: Option<String>,
}

/// A message in which words were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Found)]
pub struct FoundDto {
    /// The message.
    pub message: MessageDto,
    /// From where to where in its text, in UTF-16 code units.
    pub highlights: Vec<(usize, usize)>,
}

/// What was found, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundList {
    /// The messages.
    pub items: Vec<FoundDto>,
    /// For `next=`: where it goes on.
    #[schema(required)]
    pub next: Option<String>,
}

/// How this device's user is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPresence {
    /// "online" or "away".
    #[schema(value_type = words::OwnPresence)]
    pub state: String,
}

/// How somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Presence)]
pub struct PresenceDto {
    /// Their id.
    pub user: String,
    /// "online", "away" or "offline".
    #[schema(value_type = words::PresenceState)]
    pub state: String,
    /// Since when, if it's known.
    #[schema(required, format = DateTime)]
    pub since: Option<String>,
}

/// How everybody in a space is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresenceList {
    /// The people.
    pub items: Vec<PresenceDto>,
}

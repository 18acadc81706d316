//! Channels and messages, from the node's types to the API's.

use covey_node::{
    UserId,
    chat::{Channel, FoundPage, Message, MessagePage, MessageState, Presence},
};

use super::rfc3339;
use crate::dto::{
    ChannelDto, FoundDto, FoundList, MessageDto, MessageList, ParticipantDto, PresenceDto, ThreadDto,
};

fn texts(users: Vec<UserId>) -> Vec<String> {
    users.iter().map(UserId::to_string).collect()
}

/// The word for how far a message has come.
const fn state(state: MessageState) -> &'static str {
    match state {
        MessageState::Pending => "pending",
        MessageState::Sent => "sent",
        MessageState::Delivered => "delivered",
        MessageState::Read => "read",
    }
}

pub(crate) fn message(message: Message) -> MessageDto {
    let thread =
        |(replies, last): (u64, covey_node::Hlc)| ThreadDto { replies, last_at: rfc3339(last.wall_ms()) };
    MessageDto {
        id: message.id,
        channel: message.channel,
        author: message.author.to_string(),
        author_name: message.author_name,
        device: message.device.to_string(),
        text: message.text,
        at: rfc3339(message.at.wall_ms()),
        edited: message.edited,
        deleted: message.deleted,
        reply_to: message.reply_to,
        thread: message.thread.map(thread),
        mentions: texts(message.mentions),
        reactions: message.reactions.into_iter().map(|(emoji, users)| (emoji, texts(users))).collect(),
        state: state(message.state).to_owned(),
        delivered_to: texts(message.delivered_to),
        read_by: texts(message.read_by),
        position: message.position.to_string(),
    }
}

pub(crate) fn channel(channel: Channel) -> ChannelDto {
    let member = |member: covey_node::chat::Participant| ParticipantDto {
        user: member.user.to_string(),
        name: member.name,
        role: if member.is_admin { "admin" } else { "member" }.to_owned(),
    };
    ChannelDto {
        id: channel.id,
        space: channel.space.to_string(),
        name: channel.name,
        kind: channel.kind.as_str().to_owned(),
        topic: channel.topic,
        archived: channel.archived,
        joined: channel.joined,
        members: channel.members.into_iter().map(member).collect(),
        founder: channel.founder.map(|user| user.to_string()),
        unread: channel.unread,
        mentions: channel.mentions,
        new_since: channel.new_since,
        last: channel.last.map(message),
        draft: channel.draft,
    }
}

pub(crate) fn page(page: MessagePage) -> MessageList {
    MessageList {
        items: page.items.into_iter().map(message).collect(),
        before: page.before.map(|at| at.to_string()),
        after: page.after.map(|at| at.to_string()),
    }
}

pub(crate) fn found(page: FoundPage) -> FoundList {
    let one = |found: covey_node::chat::Found| FoundDto {
        message: message(found.message),
        highlights: found.highlights,
    };
    FoundList {
        items: page.items.into_iter().map(one).collect(),
        next: page.next.map(|next| next.to_string()),
    }
}

pub(crate) fn presence((user, state, since): (UserId, Presence, Option<u64>)) -> PresenceDto {
    PresenceDto { user: user.to_string(), state: state.as_str().to_owned(), since: since.map(rfc3339) }
}

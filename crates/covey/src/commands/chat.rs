//! `covey channel`, `covey chat` and `covey dm`.

use std::{collections::BTreeMap, fmt::Write};

use covey_api::dto::{
    ChannelDto, ChannelList, ChannelRole, EventDto, EventKind, FoundList, MemberDto, MessageDto, MessageList,
    NewChannel, NewDirect, NewMessage, NewParticipant, ReadUpTo, SpaceDto,
};
use futures::StreamExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::{
    args::{Channel, ChannelPlace, Chat, Dm},
    client::{Client, path, with_query},
    diag::Failure,
    output::{Out, Tone, visible, visible_lines},
    words::ago,
};

pub(super) async fn channel(client: &Client, command: &Channel, out: &Out) -> Result<(), Failure> {
    match command {
        Channel::List { space } => list(client, space, out).await,
        Channel::Create { space, name, private, topic } => {
            let new = NewChannel { name: name.clone(), private: *private, topic: topic.clone() };
            let made: ChannelDto = client.post(&path(&["spaces", space, "channels"]), &new).await?;
            if out.is_json() {
                return out.document(&made);
            }
            out.line(&format!("The channel {} is made.", shown(&made)))?;
            out.hint(&format!(
                "Say something: covey chat send {} {} TEXT",
                visible(space),
                visible(&made.name)
            ));
            Ok(())
        }
        Channel::Join(place) => {
            let channel = find(client, place).await?;
            client.tell(&within(&channel, "join"), &json!({})).await?;
            told(&channel, true, &format!("You are in {} now.", shown(&channel)), out)
        }
        Channel::Leave(place) => {
            let channel = find(client, place).await?;
            client.tell(&within(&channel, "leave"), &json!({})).await?;
            told(&channel, false, &format!("You have left {}.", shown(&channel)), out)
        }
        Channel::Invite { place, user } => {
            let channel = find(client, place).await?;
            let new = NewParticipant { user: user.clone(), role: None };
            client.tell(&within(&channel, "members"), &new).await?;
            told(
                &channel,
                channel.joined,
                &format!("{} is invited to {}.", visible(user), shown(&channel)),
                out,
            )
        }
        Channel::Role { place, user, role } => {
            let channel = find(client, place).await?;
            let given = ChannelRole { role: role.as_str().to_owned() };
            let member = path(&["spaces", &channel.space, "channels", &channel.id, "members", user]);
            let now: ChannelDto = client.patch(&member, &given).await?;
            let said = format!("{} is {} in {} now.", visible(user), role.as_str(), shown(&channel));
            told(&now, now.joined, &said, out)
        }
    }
}

/// The channel's name as people write it.
fn shown(channel: &ChannelDto) -> String {
    let sign = if channel.kind == "direct" { "" } else { "#" };
    format!("{sign}{}", visible(&channel.name))
}

fn within(channel: &ChannelDto, what: &str) -> String {
    path(&["spaces", &channel.space, "channels", &channel.id, what])
}

async fn find(client: &Client, place: &ChannelPlace) -> Result<ChannelDto, Failure> {
    client.get(&path(&["spaces", &place.space, "channels", &place.channel])).await
}

fn told(channel: &ChannelDto, joined: bool, words: &str, out: &Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.document(&json!({ "space": channel.space, "channel": channel.id, "joined": joined }));
    }
    out.line(words)
}

async fn list(client: &Client, space: &str, out: &Out) -> Result<(), Failure> {
    let channels: ChannelList = client.get(&path(&["spaces", space, "channels"])).await?;
    if out.is_json() {
        return out.document(&channels.items);
    }
    if channels.items.is_empty() {
        return out
            .line(&format!("  There are no channels yet: covey channel create {} NAME", visible(space)));
    }
    let row = |channel: &ChannelDto| {
        let unread = match (channel.joined, channel.unread) {
            (false, _) => "not joined".to_owned(),
            (true, 0) => String::new(),
            (true, n) if channel.mentions > 0 => format!("{n}, {} mention you", channel.mentions),
            (true, n) => n.to_string(),
        };
        let last = channel.last.as_ref().map(|last| ago(&last.at)).unwrap_or_default();
        vec![shown(channel), channel.kind.clone(), channel.members.len().to_string(), unread, last]
    };
    let rows: Vec<_> = channels.items.iter().map(row).collect();
    out.table(&["CHANNEL", "KIND", "PEOPLE", "UNREAD", "LAST"], &rows)
}

pub(super) async fn chat(client: &Client, command: &Chat, out: &Out) -> Result<(), Failure> {
    match command {
        Chat::Send { place, text, reply_to } => {
            let channel = find(client, place).await?;
            send(client, &channel, text, reply_to.clone(), out).await
        }
        Chat::Read { place, follow, limit } => read(client, place, *follow, *limit, out).await,
        Chat::Search { space, words, channel, limit } => {
            let query = [
                ("q", Some(words.join(" "))),
                ("channel", channel.clone()),
                ("limit", Some(limit.to_string())),
            ];
            let found: FoundList =
                client.get(&with_query(path(&["spaces", space, "search"]), &query)).await?;
            if !out.is_json() && found.items.is_empty() {
                return out.line("  Nothing was found.");
            }
            found.items.iter().try_for_each(|found| print(&found.message, out))
        }
    }
}

async fn send(
    client: &Client,
    channel: &ChannelDto,
    text: &str,
    reply_to: Option<String>,
    out: &Out,
) -> Result<(), Failure> {
    let new = NewMessage { text: text.to_owned(), reply_to, client_id: None };
    let sent: MessageDto = client.post(&within(channel, "messages"), &new).await?;
    if out.is_json() {
        return out.document(&sent);
    }
    out.line(&format!("Sent to {}.", shown(channel)))
}

/// One message: a line of JSON, or readable text. What people wrote can't steer the terminal or pass for lines of ours.
fn print(message: &MessageDto, out: &Out) -> Result<(), Failure> {
    if out.is_json() {
        return out.document(message);
    }
    let name = out.paint(Tone::Strong, &visible(&message.author_name));
    let mut marks = ago(&message.at);
    if message.edited {
        marks.push_str(", edited");
    }
    let text = if message.deleted { "(deleted)".to_owned() } else { visible_lines(&message.text) };
    let mut line = format!("{name}  {}\n  {text}", out.paint(Tone::Soft, &marks));
    for (emoji, users) in &message.reactions {
        let _ = write!(line, "\n  {} {}", visible(emoji), users.len());
    }
    out.line(&line)
}

async fn read(
    client: &Client,
    place: &ChannelPlace,
    follow: bool,
    limit: usize,
    out: &Out,
) -> Result<(), Failure> {
    let channel = find(client, place).await?;
    // Opened first, so that nothing is missed between the page and the first event.
    let socket = if follow { Some(client.socket("events").await?) } else { None };
    let query = [("limit", Some(limit.to_string()))];
    let page: MessageList = client.get(&with_query(within(&channel, "messages"), &query)).await?;
    page.items.iter().try_for_each(|message| print(message, out))?;
    let last = page.items.last();
    if channel.joined
        && let Some(last) = last
    {
        let upto = ReadUpTo { upto: last.id.clone() };
        client.note(&within(&channel, "read"), &upto).await?;
    }
    let Some(mut socket) = socket else { return Ok(()) };
    let mut seen: BTreeMap<String, MessageDto> =
        page.items.into_iter().map(|message| (message.id.clone(), message)).collect();
    let ended = || Failure::failed("the connection to the node is gone");
    while let Some(frame) = socket.next().await {
        let Frame::Text(text) = frame.map_err(|error| ended().because(error))? else { continue };
        let event: EventDto = serde_json::from_str(&text)
            .map_err(|error| Failure::failed("the node sent no event").because(error))?;
        let news = match event.event {
            EventKind::Message { channel: of, message, .. } if of == channel.id => vec![*message],
            EventKind::Reset => client.get::<MessageList>(&within(&channel, "messages")).await?.items,
            EventKind::Channel { channel: of, .. } if of.id == channel.id => {
                client.get::<MessageList>(&within(&channel, "messages")).await?.items
            }
            _ => continue,
        };
        for message in news {
            let is_news = seen.get(&message.id).is_none_or(|known| differs(known, &message));
            if is_news {
                print(&message, out)?;
            }
            seen.insert(message.id.clone(), message);
            while seen.len() > MAX_SEEN {
                seen.pop_first();
            }
        }
    }
    Err(ended())
}

/// Messages that are remembered while following, to tell what is new: some pages.
const MAX_SEEN: usize = 4096;

/// Whether a reader sees something new in a message.
fn differs(known: &MessageDto, now: &MessageDto) -> bool {
    (&known.text, known.edited, known.deleted, &known.reactions)
        != (&now.text, now.edited, now.deleted, &now.reactions)
}

pub(super) async fn dm(client: &Client, dm: &Dm, out: &Out) -> Result<(), Failure> {
    let (space, user) = match &dm.space {
        Some(space) => (space.clone(), dm.user.clone()),
        None => shared_with(client, &dm.user).await?,
    };
    let direct: ChannelDto =
        client.post(&path(&["spaces", &space, "direct"]), &NewDirect { users: vec![user] }).await?;
    send(client, &direct, &dm.text, None, out).await
}

/// The first space by name that is shared with somebody, and their id.
async fn shared_with(client: &Client, user: &str) -> Result<(String, String), Failure> {
    let spaces: Vec<SpaceDto> = client.get("spaces").await?;
    let mut found: Vec<(String, String)> = Vec::new();
    for space in spaces.iter().filter(|space| space.parent.is_none()) {
        let members: Vec<MemberDto> = client.get(&path(&["spaces", &space.id, "members"])).await?;
        let is_meant = |member: &&MemberDto| {
            !member.you && (member.name == user || (user.len() >= 4 && member.user_id.starts_with(user)))
        };
        found
            .extend(members.iter().filter(is_meant).map(|member| (space.id.clone(), member.user_id.clone())));
    }
    let Some((space, id)) = found.first().cloned() else {
        return Err(Failure::failed(format!("there is nobody called {} in your spaces", visible(user)))
            .hint("`covey member list SPACE` prints those who are in it"));
    };
    if found.iter().any(|(_, other)| *other != id) {
        return Err(Failure::failed(format!("{} could be more than one person", visible(user)))
            .hint("name them by id, or the space with --space"));
    }
    Ok((space, id))
}

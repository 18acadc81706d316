//! `covey channel`, `covey chat` and `covey dm`.

use std::{collections::BTreeMap, fmt::Write};

use covey_api::dto::{
    ChannelDto, ChannelList, ChannelRole, EventDto, EventKind, FoundList, MemberDto, MessageDto, MessageList,
    NewChannel, NewDirect, NewMessage, NewParticipant, ReadUpTo, SpaceDto,
};
use futures::{FutureExt, StreamExt};
use serde::Serialize;
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
            (false, 0) => "not joined".to_owned(),
            (true, 0) => String::new(),
            (_, n) if channel.mentions > 0 => format!("{n}, {} mention you", channel.mentions),
            (_, n) => n.to_string(),
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
            let channels: ChannelList = client.get(&path(&["spaces", space, "channels"])).await?;
            let channels: BTreeMap<&str, &ChannelDto> =
                channels.items.iter().map(|channel| (channel.id.as_str(), channel)).collect();
            found.items.iter().try_for_each(|found| {
                print(&found.message, channels.get(found.message.channel.as_str()).copied(), out)
            })
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

/// A message with the name of its channel.
#[derive(Serialize)]
struct Placed<'a> {
    #[serde(flatten)]
    message: &'a MessageDto,
    channel_name: &'a str,
}

/// One message: a line of JSON, or readable text; with the name of its channel where that isn't plain. What people wrote can't
/// steer the terminal or pass for lines of ours.
fn print(message: &MessageDto, channel: Option<&ChannelDto>, out: &Out) -> Result<(), Failure> {
    match channel {
        Some(channel) if out.is_json() => {
            return out.document(&Placed { message, channel_name: &channel.name });
        }
        None if out.is_json() => return out.document(message),
        _ => {}
    }
    let name = out.paint(Tone::Strong, &visible(&message.author_name));
    let mut marks = channel.map(|channel| format!("{}, ", shown(channel))).unwrap_or_default();
    marks.push_str(&ago(&message.at));
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

/// Marks a channel as read up to a message.
async fn mark(client: &Client, channel: &ChannelDto, upto: &str) -> Result<(), Failure> {
    client.note(&within(channel, "read"), &ReadUpTo { upto: upto.to_owned() }).await
}

/// Whether what is printed of a channel is marked as read: where one is in it; or is a guest, who can't join.
async fn is_followed(client: &Client, channel: &ChannelDto) -> Result<bool, Failure> {
    if channel.joined {
        return Ok(true);
    }
    let space: SpaceDto = client.get(&path(&["spaces", &channel.space])).await?;
    Ok(space.role.as_deref() == Some("guest"))
}

async fn read(
    client: &Client,
    place: &ChannelPlace,
    follow: bool,
    limit: usize,
    out: &Out,
) -> Result<(), Failure> {
    let channel = find(client, place).await?;
    let marks = is_followed(client, &channel).await?;
    // Opened first, so that nothing is missed between the page and the first event.
    let socket = if follow { Some(client.socket("events").await?) } else { None };
    let query = [("limit", Some(limit.to_string()))];
    let page: MessageList = client.get(&with_query(within(&channel, "messages"), &query)).await?;
    page.items.iter().try_for_each(|message| print(message, None, out))?;
    if let Some(last) = page.items.last().filter(|_| marks) {
        mark(client, &channel, &last.id).await?;
    }
    let Some(mut socket) = socket else { return Ok(()) };
    let ended = || Failure::failed("the connection to the node is gone");
    let mut printed = Printed::new(page);
    let mut is_marked = true;
    loop {
        // Marked when nothing more waits: of many messages at once with the last of them.
        let frame = if let Some(frame) = socket.next().now_or_never() {
            frame
        } else {
            if let Some(last) = printed.last().filter(|_| marks && !is_marked) {
                // What can't be marked stays unread; following goes on.
                let _ = mark(client, &channel, last).await;
                is_marked = true;
            }
            socket.next().await
        };
        let Some(frame) = frame else { return Err(ended()) };
        let Frame::Text(text) = frame.map_err(|error| ended().because(error))? else { continue };
        let event: EventDto = serde_json::from_str(&text)
            .map_err(|error| Failure::failed("the node sent no event").because(error))?;
        let news = match event.event {
            EventKind::Message { channel: of, message, .. } if of == channel.id => Ok(vec![*message]),
            EventKind::Reset => {
                let now = client.get(&path(&["spaces", &channel.space, "channels", &channel.id])).await;
                match now {
                    Ok(now) => printed.missed(client, &now, out).await,
                    Err(error) => Err(error),
                }
            }
            EventKind::Channel { channel: of, .. } if of.id == channel.id => {
                printed.missed(client, &of, out).await
            }
            _ => continue,
        };
        // A node that has just stopped was there when following began.
        let is_over = |error: Failure| if error.is_no_node() { ended() } else { error };
        for message in news.map_err(is_over)? {
            if printed.is_news(&message) {
                print(&message, None, out)?;
                is_marked = false;
            }
            printed.take(message);
        }
    }
}

/// What was printed of a channel while following it.
struct Printed {
    /// By their places, so the oldest first; at most [`MAX_PRINTED`].
    messages: BTreeMap<String, MessageDto>,
    /// The place before which nothing is looked up any more: where following began, or what is forgotten.
    floor: String,
}

/// Messages that are remembered while following, to tell what is new: some pages.
const MAX_PRINTED: usize = 4096;

impl Printed {
    fn new(page: MessageList) -> Self {
        // A page that is all there is leaves nothing out.
        let first = page.items.first().filter(|_| page.before.is_some());
        let floor = first.map(|first| first.position.clone()).unwrap_or_default();
        let messages = page.items.into_iter().map(|message| (message.position.clone(), message)).collect();
        Self { messages, floor }
    }

    /// The id of the newest.
    fn last(&self) -> Option<&str> {
        self.messages.values().next_back().map(|message| message.id.as_str())
    }

    /// Whether a reader sees something new in a message.
    fn is_news(&self, message: &MessageDto) -> bool {
        self.messages.get(&message.position).is_none_or(|known| {
            (&known.text, known.edited, known.deleted, &known.reactions)
                != (&message.text, message.edited, message.deleted, &message.reactions)
        })
    }

    fn take(&mut self, message: MessageDto) {
        self.messages.insert(message.position.clone(), message);
        while self.messages.len() > MAX_PRINTED {
            let gone = self.messages.pop_first();
            self.floor =
                gone.map(|(position, _)| position).unwrap_or_default().max(std::mem::take(&mut self.floor));
        }
    }

    /// The newest messages, oldest first, after events that don't say which have come: back to a page on which all are known
    /// and behind which nothing is unread, or to where following began.
    async fn missed(
        &self,
        client: &Client,
        channel: &ChannelDto,
        out: &Out,
    ) -> Result<Vec<MessageDto>, Failure> {
        let mut pages: Vec<Vec<MessageDto>> = Vec::new();
        let (mut before, mut wanted) = (None, channel.new_since.clone());
        loop {
            let query = [("limit", Some(PAGE.to_string())), ("before", before)];
            let page: MessageList = client.get(&with_query(within(channel, "messages"), &query)).await?;
            let mut items = page.items;
            if items.iter().any(|message| Some(&message.id) == wanted.as_ref()) {
                wanted = None;
            }
            let all = items.len();
            items.retain(|message| message.position >= self.floor);
            let is_end = items.len() < all || page.before.is_none();
            let is_known = items.iter().all(|message| self.messages.contains_key(&message.position));
            pages.push(items);
            if is_end || (is_known && wanted.is_none()) {
                break;
            }
            if pages.len() == MAX_PAGES {
                out.note(&format!(
                    "more than {} messages have come: the oldest aren't shown",
                    PAGE * MAX_PAGES
                ));
                break;
            }
            before = page.before;
        }
        Ok(pages.into_iter().rev().flatten().collect())
    }
}

/// Messages that are looked up at once while following: where nothing was missed, one page is enough.
const PAGE: usize = 100;

/// Pages that are looked up one behind the other: far more than anybody reads at once, and some ten MiB.
const MAX_PAGES: usize = 200;

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

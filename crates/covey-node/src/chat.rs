//! Channels and messages of a space: [`Chat`].
//!
//! Chat is a schema on records (`covey_chat` has its rules); a private channel and a direct message are child spaces. What
//! the records come to is kept beside them, in a form that is fast to read.
//!
//! | module | what it holds |
//! |---|---|
//! | `again` | deletions that have to be said once more after a fork |
//! | `channels` | making channels, changing them, joining, inviting, naming admins |
//! | `leaving` | leaving them, also as the last owner |
//! | `marks` | what read marks say |
//! | `messages` | sending, editing, deleting, reacting |
//! | `presence` | who is there, who is typing |
//! | `project` | what is kept in step with the records |
//! | `reading` | pages of messages, search, unread counts, drafts |
//! | `rooms` | which channels there are, and who is in them |

pub(crate) mod again;
mod channels;
mod leaving;
mod marks;
mod messages;
pub(crate) mod presence;
mod project;
mod reading;
mod rooms;

use std::collections::BTreeMap;

use covey_engine::EngineError;
use covey_records::{BodyWriter, Op, RecordId, own};
use covey_types::{DeviceId, Hlc, SpaceId, UserId};

pub use channels::ChannelChange;
pub use covey_chat::{Kind as ChannelKind, Position, presence::Presence};
pub use messages::NewMessage;
pub(crate) use project::{Memory, Projector, catch_up, tell};
pub use reading::{Found, FoundPage, MessagePage, Wanted};

use self::rooms::Room;
use crate::{Node, NodeError, Space};

/// Chat in a space and in its children.
#[derive(Clone, Debug)]
pub struct Chat {
    space: Space,
}

/// Who is in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Who.
    pub user: UserId,
    /// What they are called.
    pub name: String,
    /// Whether they may change the channel.
    pub is_admin: bool,
}

/// A channel as its reader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// Its id, the same for all who see it.
    pub id: String,
    /// The space to which it belongs.
    pub space: SpaceId,
    /// Its name; of a direct message the names of the others.
    pub name: String,
    /// Which sort.
    pub kind: ChannelKind,
    /// Its topic.
    pub topic: String,
    /// Whether nobody is to write in it any more.
    pub archived: bool,
    /// Whether the reader is in it.
    pub joined: bool,
    /// Who is in it.
    pub members: Vec<Participant>,
    /// Who made it, if it's public and they are known: its admin for good.
    pub founder: Option<UserId>,
    /// How many messages of others the reader has not read, up to [`MAX_UNREAD`]; of a channel they aren't in none, unless
    /// they are a guest, who can't join, and have read in it.
    pub unread: u64,
    /// How many of these mention the reader.
    pub mentions: u64,
    /// The first of them.
    pub new_since: Option<String>,
    /// The newest message.
    pub last: Option<Message>,
    /// What was typed here and not sent.
    pub draft: String,
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageState {
    /// On no other device yet, as far as is known.
    Pending,
    /// On some other device.
    Sent,
    /// On a device of everybody who is in the channel.
    Delivered,
    /// Everybody who is in the channel has read it.
    Read,
}

/// A message as its reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// The channel's id.
    pub channel: String,
    /// Whose it is: the user of the device that wrote it.
    pub author: UserId,
    /// What they are called.
    pub author_name: String,
    /// Which device wrote it.
    pub device: DeviceId,
    /// The text; empty if it was deleted.
    pub text: String,
    /// When it was written, by its author's clock.
    pub at: Hlc,
    /// Whether it was written otherwise first.
    pub edited: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// The answers to it: how many, and when the newest was written.
    pub thread: Option<(u64, Hlc)>,
    /// Who is mentioned.
    pub mentions: Vec<UserId>,
    /// Who has reacted, by emoji.
    pub reactions: BTreeMap<String, Vec<UserId>>,
    /// How far it has come.
    pub state: MessageState,
    /// Who else has it on a device of theirs.
    pub delivered_to: Vec<UserId>,
    /// Who else has read it.
    pub read_by: Vec<UserId>,
    /// Its place in the order of its channel.
    pub position: Position,
}

/// Unread messages are counted up to here: more is "many" to whoever comes back.
pub const MAX_UNREAD: usize = 1000;

impl Space {
    /// Its channels and messages, and those of its children.
    pub fn chat(&self) -> Chat {
        Chat { space: self.parent().unwrap_or_else(|| self.clone()) }
    }
}

/// Something to be said of an own record: its collection, the id behind the tag, and fields with their JSON.
struct Say {
    collection: &'static str,
    rest: String,
    fields: Vec<(String, String)>,
}

impl Say {
    fn new(collection: &'static str, rest: impl Into<String>) -> Self {
        Self { collection, rest: rest.into(), fields: Vec::new() }
    }

    fn with(mut self, field: &str, value: &(impl serde::Serialize + ?Sized)) -> Self {
        let json =
            serde_json::to_string(value).expect("texts, flags and lists of texts can be written as JSON");
        self.fields.push((field.to_owned(), json));
        self
    }
}

impl Chat {
    fn node(&self) -> &Node {
        &self.space.node
    }

    fn me(&self) -> UserId {
        self.node().secrets().user.id()
    }

    /// Says something for a person who does so just now, and is there by that: as [`Chat::note`].
    async fn say(&self, space: SpaceId, says: Vec<Say>) -> Result<Hlc, NodeError> {
        self.node().require_going_on(space)?;
        self.node().set_presence(false);
        self.note(space, says).await
    }

    /// Writes own records in a space, all in one entry; answers when it's on disk. It tells nothing of whether anybody is
    /// there: an open page marks as read what comes while nobody is at it.
    async fn note(&self, space: SpaceId, says: Vec<Say>) -> Result<Hlc, NodeError> {
        let node = self.node().clone();
        node.require_going_on(space)?;
        node.0.news.turn(space).await;
        let (secrets, now) = (node.secrets(), node.now_ms());
        let device = node.device();
        let writer = node.clone();
        let write = async move {
            let body = move || {
                let mut body = BodyWriter::new();
                for Say { collection, rest, mut fields } in says {
                    let id = own::id(device, &rest);
                    fields.sort();
                    let fields = fields.iter().map(|(name, json)| (name.as_str(), json.as_str())).collect();
                    body.push(&Op::Put { collection, id: RecordId::parse(&id)?, fields })?;
                }
                Ok::<_, EngineError>(body.finish())
            };
            let written = writer.write(move |tx, engine| {
                Ok(engine.append_records(tx, &secrets, space, now, |_, _, _| body())?)
            });
            let entry = written.await?;
            writer.0.news.wrote(space, entry.body.len());
            writer.published(space, std::slice::from_ref(&entry));
            Ok(entry.header.hlc)
        };
        node.to_its_end(write).await
    }

    /// The channel with this id or name; `#name` is taken for the name too.
    async fn room(&self, wanted: &str) -> Result<Room, NodeError> {
        let (parent, id) = (self.space.id(), wanted.to_owned());
        if let Some(room) = self.look(move |look| look.room(parent, &id)).await? {
            return Ok(room);
        }
        let rooms = self.rooms().await?;
        let none = || NodeError::NotFound { kind: "channel", name: wanted.to_owned() };
        let bare = wanted.strip_prefix('#').unwrap_or(wanted);
        let is_meant = |room: &Room| room.name == bare || is_part(&room.id, wanted);
        let mut found: Vec<Room> = rooms.into_iter().filter(is_meant).collect();
        if found.len() > 1 {
            let candidates = found.into_iter().map(|room| (room.name, room.id)).collect();
            return Err(NodeError::Ambiguous { kind: "channel", name: wanted.to_owned(), candidates });
        }
        found.pop().ok_or_else(none)
    }
}

/// Whether a message was read by whoever set a mark.
fn has_read(mark: &covey_store::ChatMark, message: (Hlc, &str)) -> bool {
    covey_chat::mark::has_read((mark.at.0, &mark.at.1), &mark.seen, message)
}

/// Whether this is the beginning of an id, long enough to be no mistyped name. Ids of public channels begin with their
/// maker's tag, so there the part behind it counts too.
fn is_part(id: &str, wanted: &str) -> bool {
    /// Shorter beginnings of ids are more likely mistyped names.
    const MIN_PART: usize = 4;
    let behind = own::split(id).map_or("", |(_, rest)| rest);
    wanted.len() >= MIN_PART && (id.starts_with(wanted) || behind.starts_with(wanted))
}

/// A new part for an id of an own record.
fn fresh_part() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

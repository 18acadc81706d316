//! Pages of messages, search, unread counts.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry as Slot};

use covey_chat::{Kind, text};
use covey_store::{ChatMark, ChatMessage, ChatPage};
use covey_types::{DeviceId, Hlc, SpaceId, UserId};

use super::{
    Channel, Chat, MAX_UNREAD, Message, MessageState, Participant, Position, has_read,
    rooms::{Home, Look, Room, is_guest},
};
use crate::{Deliveries, NodeError, Space};

/// Most messages of one page.
const MAX_PAGE: usize = 1000;

/// Behind every place.
fn end() -> Position {
    Position { hlc: Hlc::from_u64(u64::MAX >> 1), id: String::new() }
}

/// Which messages of a channel are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Wanted {
    /// The newest.
    #[default]
    Newest,
    /// Those before a place.
    Before(Position),
    /// Those after a place.
    After(Position),
    /// Those around a message.
    Around(String),
}

/// Messages of a channel, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePage {
    /// The messages.
    pub items: Vec<Message>,
    /// Where to go on towards older ones, if there are any.
    pub before: Option<Position>,
    /// Where to go on towards newer ones, if there are any.
    pub after: Option<Position>,
}

/// A message in which words were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The message.
    pub message: Message,
    /// From where to where in its text, in UTF-16 code units.
    pub highlights: Vec<(usize, usize)>,
}

/// What was found, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPage {
    /// The messages.
    pub items: Vec<Found>,
    /// Where to go on.
    pub next: Option<i64>,
}

/// A message and where it is shown.
struct Placed {
    row: ChatMessage,
    home: Home,
    room: usize,
}

/// Messages with what belongs to them, before it's put together.
struct Gathered {
    rooms: Vec<Room>,
    messages: Vec<(Placed, Rest)>,
    marks: BTreeMap<(SpaceId, String), Vec<ChatMark>>,
    names: BTreeMap<UserId, String>,
    owners: BTreeMap<DeviceId, UserId>,
}

/// What is said about a message.
struct Rest {
    reactions: BTreeMap<String, Vec<UserId>>,
    thread: Option<(u64, Hlc)>,
}

fn place(row: &ChatMessage) -> Position {
    Position { hlc: row.hlc, id: row.id.clone() }
}

impl Look<'_> {
    /// Messages of all homes of a channel on one side of a place, in the order of the side; one more than wanted if there
    /// are more.
    fn side(
        &self,
        room: &Room,
        thread: Option<&str>,
        page: &ChatPage,
        limit: usize,
    ) -> Result<Vec<(Home, ChatMessage)>, NodeError> {
        let mut all = Vec::new();
        for home in &room.homes {
            let rows = match (thread, self.rows.chat_channel(home.key, &home.inner)?) {
                (Some(root), _) => self.rows.chat_thread(home.key, root, page, limit + 1)?,
                (None, Some(channel)) => self.rows.chat_page(channel, page, limit + 1)?,
                (None, None) => Vec::new(),
            };
            all.extend(rows.into_iter().map(|row| (home.clone(), row)));
        }
        all.sort_by_key(|(_, row)| place(row));
        if matches!(page, ChatPage::Before(_)) {
            all.reverse();
        }
        all.truncate(limit + 1);
        Ok(all)
    }

    fn rest(&self, home: &Home, row: &ChatMessage) -> Result<Rest, NodeError> {
        let mut newest: BTreeMap<(String, UserId), (Hlc, bool)> = BTreeMap::new();
        let mut order: Vec<(String, UserId)> = Vec::new();
        for one in self.rows.chat_reactions(home.key, &row.id)? {
            let key = (one.emoji, one.user);
            if !newest.contains_key(&key) {
                order.push(key.clone());
            }
            let slot = newest.entry(key).or_insert((one.hlc, one.present));
            *slot = (*slot).max((one.hlc, one.present));
        }
        let mut reactions: BTreeMap<String, Vec<UserId>> = BTreeMap::new();
        for key in order {
            if newest.get(&key).is_some_and(|(_, present)| *present) {
                reactions.entry(key.0).or_default().push(key.1);
            }
        }
        Ok(Rest { reactions, thread: self.rows.chat_replies(home.key, &row.id)? })
    }

    /// Puts together what belongs to messages.
    fn gather(&self, parent: SpaceId, rooms: Vec<Room>, placed: Vec<Placed>) -> Result<Gathered, NodeError> {
        let (mut marks, mut names, mut owners) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut messages = Vec::with_capacity(placed.len());
        for one in placed {
            if let Slot::Vacant(slot) = marks.entry((one.home.space, one.home.inner.clone())) {
                let channel = self.rows.chat_channel(one.home.key, &one.home.inner)?;
                let read = channel.map(|channel| self.rows.chat_marks(channel)).transpose()?;
                slot.insert(read.unwrap_or_default());
                let state = self.engine.space(one.home.space)?;
                owners.extend(state.membership.devices());
            }
            names.entry(one.row.user).or_insert_with(|| self.name(parent, one.row.user));
            let rest = self.rest(&one.home, &one.row)?;
            messages.push((one, rest));
        }
        Ok(Gathered { rooms, messages, marks, names, owners })
    }

    /// Whether what is unread in a channel is the reader's: they are in it; or they are a guest, who can't join, and have read
    /// in it.
    fn follows(&self, room: &Room) -> Result<bool, NodeError> {
        if room.joined.contains(&self.me) {
            return Ok(true);
        }
        for home in &room.homes {
            let channel = self.rows.chat_channel(home.key, &home.inner)?;
            let here = channel.map(|channel| self.rows.chat_read_here(channel)).transpose()?.flatten();
            if here.is_some() && is_guest(self.engine.space(home.space)?, self.me) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn unread(&self, room: &Room) -> Result<(u64, u64, Option<String>), NodeError> {
        let (mut count, mut mentions, mut first) = (0, 0, None);
        for home in &room.homes {
            let Some(channel) = self.rows.chat_channel(home.key, &home.inner)? else { continue };
            let own = self.rows.chat_marks(channel)?.into_iter().filter(|mark| mark.user == self.me);
            let furthest = own.map(|mark| mark.at).max().max(self.rows.chat_read_here(channel)?);
            let after = furthest.unwrap_or((room.since, String::new()));
            let unread = self.rows.chat_unread(channel, self.me, &after, MAX_UNREAD)?;
            count += unread.count;
            mentions += unread.mentions;
            first = match (first, unread.first) {
                (None, one) | (one, None) => one,
                (Some(a), Some(b)) => Some(std::cmp::min(a, b)),
            };
        }
        Ok((count.min(MAX_UNREAD as u64), mentions, first.map(|(_, id)| id)))
    }
}

impl Gathered {
    /// The messages as their reader sees them.
    fn finish(self, deliveries: &BTreeMap<SpaceId, Deliveries>) -> Vec<Message> {
        let Self { rooms, messages, marks, names, owners } = self;
        let shown = |(Placed { row, home, room }, rest): (Placed, Rest)| {
            let room = &rooms[room];
            let position = place(&row);
            let held = deliveries.get(&home.space);
            let on: BTreeSet<DeviceId> =
                held.into_iter().flat_map(|held| held.of(row.device, row.hlc)).collect();
            let is_other = |user: &UserId| *user != row.user;
            let delivered: BTreeSet<UserId> =
                on.iter().filter_map(|device| owners.get(device).copied()).filter(is_other).collect();
            let has_read = |mark: &&ChatMark| has_read(mark, (row.hlc, &row.id));
            let read = marks.get(&(home.space, home.inner.clone())).into_iter().flatten().filter(has_read);
            let read: BTreeSet<UserId> = read.map(|mark| mark.user).filter(is_other).collect();
            let others: BTreeSet<UserId> = room.joined.iter().copied().filter(is_other).collect();
            let all = |some: &BTreeSet<UserId>| !others.is_empty() && others.is_subset(some);
            let reached: BTreeSet<UserId> = delivered.union(&read).copied().collect();
            let state = match () {
                () if all(&read) => MessageState::Read,
                () if all(&reached) => MessageState::Delivered,
                () if !on.is_empty() || !reached.is_empty() => MessageState::Sent,
                () => MessageState::Pending,
            };
            Message {
                channel: room.id.clone(),
                author: row.user,
                author_name: names.get(&row.user).cloned().unwrap_or_default(),
                device: row.device,
                at: row.hlc,
                edited: row.edited,
                deleted: row.deleted,
                reply_to: row.reply_to,
                thread: rest.thread,
                mentions: row.mentions,
                reactions: rest.reactions,
                state,
                delivered_to: reached.into_iter().collect(),
                read_by: read.into_iter().collect(),
                position,
                id: row.id,
                text: row.text,
            }
        };
        messages.into_iter().map(shown).collect()
    }
}

impl Chat {
    async fn finish(&self, gathered: Gathered) -> Result<Vec<Message>, NodeError> {
        let spaces: BTreeSet<SpaceId> =
            gathered.messages.iter().map(|(placed, _)| placed.home.space).collect();
        let mut deliveries = BTreeMap::new();
        for space in spaces {
            let held = Space::new(self.node().clone(), space).deliveries().await?;
            deliveries.insert(space, held);
        }
        Ok(gathered.finish(&deliveries))
    }

    /// A page of a channel's messages, or of a thread's answers, oldest first.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] for a channel or message that isn't there; [`NodeError::Invalid`] for a page that is too long.
    pub async fn page(
        &self,
        wanted: &str,
        thread: Option<String>,
        which: Wanted,
        limit: usize,
    ) -> Result<MessagePage, NodeError> {
        if limit == 0 || limit > MAX_PAGE {
            return Err(NodeError::Invalid(format!("a page has 1 to {MAX_PAGE} messages")));
        }
        let room = self.room(wanted).await?;
        let middle = match &which {
            Wanted::Around(id) => Some(self.place_of(id).await?.1),
            _ => None,
        };
        let parent = self.space.id();
        let read = move |look: &Look<'_>| {
            let thread = thread.as_deref();
            let at = |position: Position| (position.hlc, position.id);
            let older = |position, limit| look.side(&room, thread, &ChatPage::Before(at(position)), limit);
            let newer = |position, limit| look.side(&room, thread, &ChatPage::After(at(position)), limit);
            let (mut rows, has_older, has_newer) = match (which, middle) {
                (Wanted::Newest, _) => {
                    let (rows, more) = cut(older(end(), limit)?, limit);
                    (rows, more, false)
                }
                (Wanted::Before(position), _) => {
                    let (rows, more) = cut(older(position.clone(), limit)?, limit);
                    // What is at the place itself, or behind it, was asked for before.
                    (rows, more, true)
                }
                (Wanted::After(position), _) => {
                    let (mut rows, more) = cut(newer(position, limit)?, limit);
                    rows.reverse();
                    (rows, true, more)
                }
                (Wanted::Around(_), middle) => {
                    let position = middle.as_ref().map(place).unwrap_or_default();
                    let half = limit / 2;
                    let (before, older) = cut(older(position.clone(), half)?, half);
                    let just_before = Position { hlc: position.hlc, id: before_id(&position.id) };
                    let behind = newer(just_before, limit - half)?;
                    let (mut rows, newer) = cut(behind, limit - half);
                    rows.reverse();
                    rows.extend(before);
                    (rows, older, newer)
                }
            };
            rows.reverse();
            let cursor = |row: Option<&(Home, ChatMessage)>| row.map(|(_, row)| place(row));
            let before = cursor(rows.first()).filter(|_| has_older);
            let after = cursor(rows.last()).filter(|_| has_newer);
            let placed = rows.into_iter().map(|(home, row)| Placed { row, home, room: 0 }).collect();
            Ok((look.gather(parent, vec![room.clone()], placed)?, before, after))
        };
        let (gathered, before, after) = self.look(read).await?;
        Ok(MessagePage { items: self.finish(gathered).await?, before, after })
    }

    /// One message.
    ///
    /// # Errors
    /// [`NodeError::NotFound`].
    pub async fn message(&self, id: &str) -> Result<Message, NodeError> {
        let (parent, wanted) = (self.space.id(), id.to_owned());
        let (space, row) = self.place_of(id).await?;
        let gathered = self.look(move |look| {
            let key = look.engine.space(space)?.key;
            let inner = look.rows.chat_channel_id(row.channel)?.unwrap_or_default();
            let Some(room) = look.room_at(parent, space, &inner)? else { return Ok(None) };
            let placed = Placed { row, home: Home { space, key, inner }, room: 0 };
            look.gather(parent, vec![room], vec![placed]).map(Some)
        });
        let none = || NodeError::NotFound { kind: "message", name: wanted.clone() };
        self.finish(gathered.await?.ok_or_else(none)?).await?.pop().ok_or_else(none)
    }

    /// Messages in which all of these words are, the newest by their times first: of one channel, or of all that can be read
    /// here. `below` goes on with a page that was cut.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for no words or a page that is too long; [`NodeError::NotFound`] for a channel that isn't there.
    pub async fn search(
        &self,
        words: &str,
        channel: Option<&str>,
        below: Option<i64>,
        limit: usize,
    ) -> Result<FoundPage, NodeError> {
        let query = text::query(words)
            .ok_or_else(|| NodeError::Invalid("a search needs a word: letters or digits".into()))?;
        if limit == 0 || limit > MAX_PAGE {
            return Err(NodeError::Invalid(format!("a page has 1 to {MAX_PAGE} messages")));
        }
        let rooms = match channel {
            Some(wanted) => vec![self.room(wanted).await?],
            None => self.rooms().await?,
        };
        let (parent, is_all) = (self.space.id(), channel.is_none());
        let read = move |look: &Look<'_>| {
            let (mut spaces, mut channels) = (BTreeSet::new(), Vec::new());
            for home in rooms.iter().flat_map(|room| &room.homes) {
                if is_all {
                    spaces.insert(home.key);
                } else {
                    channels.extend(look.rows.chat_channel(home.key, &home.inner)?);
                }
            }
            if spaces.is_empty() && channels.is_empty() {
                return Ok((None, Vec::new(), None));
            }
            let spaces: Vec<_> = spaces.into_iter().collect();
            let marks = (text::FOUND, text::FOUND_END);
            let found = look.rows.chat_search((&spaces, &channels), &query, marks, below, limit + 1)?;
            let next = (found.len() > limit).then(|| found[limit - 1].number);
            let (mut placed, mut places) = (Vec::new(), Vec::new());
            for one in found.into_iter().take(limit) {
                let inner = look.rows.chat_channel_id(one.message.channel)?.unwrap_or_default();
                let has = |home: &&Home| home.key == one.message.space && home.inner == inner;
                let at =
                    rooms.iter().enumerate().find_map(|(at, room)| Some((at, room.homes.iter().find(has)?)));
                let Some((room, home)) = at else { continue };
                placed.push(Placed { home: home.clone(), row: one.message, room });
                places.push(text::highlights(&one.marked).1);
            }
            Ok((Some(look.gather(parent, rooms, placed)?), places, next))
        };
        let (gathered, places, next) = self.look(read).await?;
        let Some(gathered) = gathered else { return Ok(FoundPage { items: Vec::new(), next: None }) };
        let messages = self.finish(gathered).await?;
        let found = |(message, highlights)| Found { message, highlights };
        Ok(FoundPage { items: messages.into_iter().zip(places).map(found).collect(), next })
    }

    /// The channels that can be seen here, by name; those that the reader is in first.
    ///
    /// # Errors
    /// The store's.
    pub async fn channels(&self) -> Result<Vec<Channel>, NodeError> {
        let rooms = self.rooms().await?;
        self.seen(rooms).await
    }

    /// One channel, by its id or name.
    ///
    /// # Errors
    /// [`NodeError::NotFound`], [`NodeError::Ambiguous`].
    pub async fn channel(&self, wanted: &str) -> Result<Channel, NodeError> {
        let room = self.room(wanted).await?;
        let none = || NodeError::NotFound { kind: "channel", name: wanted.to_owned() };
        self.seen(vec![room]).await?.pop().ok_or_else(none)
    }

    /// The channel that records of a space name like this; `None` if it can't be seen.
    ///
    /// # Errors
    /// The store's.
    pub async fn channel_at(&self, space: SpaceId, inner: &str) -> Result<Option<Channel>, NodeError> {
        let (parent, inner) = (self.space.id(), inner.to_owned());
        let room = self.look(move |look| look.room_at(parent, space, &inner)).await?;
        let Some(room) = room else { return Ok(None) };
        Ok(self.seen(vec![room]).await?.pop())
    }

    async fn seen(&self, rooms: Vec<Room>) -> Result<Vec<Channel>, NodeError> {
        let parent = self.space.id();
        let read = move |look: &Look<'_>| {
            let key = look.engine.space(parent)?.key;
            let (mut placed, mut about) = (Vec::new(), Vec::new());
            for (at, room) in rooms.iter().enumerate() {
                let newest = look.side(room, None, &ChatPage::Before((end().hlc, String::new())), 1)?;
                let last = newest.into_iter().next();
                let has_last = last.is_some();
                placed.extend(last.map(|(home, row)| Placed { row, home, room: at }));
                let unread = if look.follows(room)? { look.unread(room)? } else { (0, 0, None) };
                let people = |user: &UserId| {
                    let role =
                        look.engine.space(parent).ok().and_then(|state| state.membership.role_of_user(*user));
                    let leads = room.kind == Kind::Public && role >= Some(covey_space::Role::Admin);
                    let is_admin = leads || room.admins.contains(user);
                    Participant { user: *user, name: look.name(parent, *user), is_admin }
                };
                let members: Vec<Participant> = room.joined.iter().map(people).collect();
                let draft = look.rows.chat_draft(key, &room.id)?.unwrap_or_default();
                about.push((has_last, unread, members, draft));
            }
            Ok((look.gather(parent, rooms, placed)?, about))
        };
        let (gathered, about) = self.look(read).await?;
        let (rooms, me) = (gathered.rooms.clone(), self.me());
        let mut last = self.finish(gathered).await?.into_iter();
        let mut channels = Vec::with_capacity(rooms.len());
        for (room, (has_last, (unread, mentions, new_since), members, draft)) in rooms.into_iter().zip(about)
        {
            channels.push(Channel {
                joined: room.joined.contains(&me),
                id: room.id,
                space: parent,
                name: room.name,
                kind: room.kind,
                topic: room.topic,
                archived: room.archived,
                members,
                founder: room.founder,
                unread,
                mentions,
                new_since,
                last: if has_last { last.next() } else { None },
                draft,
            });
        }
        channels
            .sort_by(|a, b| (!a.joined, a.kind, &a.name, &a.id).cmp(&(!b.joined, b.kind, &b.name, &b.id)));
        Ok(channels)
    }
}

/// The greatest id before this one that matters: a page after it begins with the message itself.
fn before_id(id: &str) -> String {
    let mut before = id.to_owned();
    before.pop();
    before
}

/// The first so many, and whether there were more.
fn cut<T>(mut rows: Vec<T>, limit: usize) -> (Vec<T>, bool) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    (rows, more)
}

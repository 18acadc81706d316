//! What chat's records come to, kept in step with them.
//!
//! Whatever changes records runs inside [`Node::write`](crate::Node), and this behind it in the same transaction: it looks
//! up which records of chat have moved in the feed of changes, and makes afresh what follows from those. So it's the same
//! for what is written here, what comes from others, and what is taken back since its author was put out. When who is in a
//! space has changed, what authors were when they wrote something is looked up again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use covey_chat::{Change, Edit, Message, ids, message};
use covey_engine::{Engine, load_record};
use covey_records::{Record, Stamp, own};
use covey_space::Role;
use covey_store::{ChatMessage, ChatReaction, ChatRole, Moved, SpaceKey, StoreError, Tx};
use covey_types::{DeviceId, EntryHash, SpaceId, UserId};

use super::rooms::Look;
use crate::{Event, Node, NodeError};

/// Up to which position of the feed all is done.
const META: &str = "chat:position";

/// Changed records that are looked at together.
const BATCH: usize = 1024;

/// Messages that are told of one by one after one change. Of more it's told that their channels have changed.
const MAX_TOLD: usize = 64;

/// What is remembered between changes; empty is always right.
#[derive(Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Whether all that was there at the start is done.
    is_caught_up: bool,
    /// For which generation of its membership each space was looked at; of a child also up to which acts.
    generations: HashMap<SpaceId, (u64, Vec<EntryHash>)>,
}

/// What has changed in chat.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Which, and whether they are new here.
    messages: BTreeMap<(SpaceId, String), bool>,
    /// Where messages have changed; told of in place of them if there are too many.
    busy: BTreeSet<(SpaceId, String)>,
    channels: BTreeSet<(SpaceId, String)>,
}

/// Makes what chat's records come to.
pub(crate) struct Projector {
    memory: Arc<Mutex<State>>,
    pub(super) device: DeviceId,
    pub(super) user: UserId,
}

/// Tells whoever follows along what has changed: of channels before what is said in them, since the first message of a
/// conversation may come with the conversation itself.
pub(crate) fn tell(node: &Node, news: News) {
    let is_much = news.messages.len() > MAX_TOLD;
    let (mut channels, mut messages) = (news.channels, news.messages);
    if is_much {
        channels.extend(news.busy);
        messages.clear();
    }
    channels.into_iter().for_each(|(space, channel)| node.emit(Event::ChannelChanged { space, channel }));
    let tell = |((space, id), is_new)| node.emit(Event::Message { space, id, is_new });
    messages.into_iter().for_each(tell);
}

/// Makes what isn't made yet: once, at the start.
pub(crate) async fn catch_up(node: &Node) {
    if let Err(err) = node.write(|_, _| Ok(())).await {
        tracing::warn!(%err, "looking through the messages; the next change does it");
    }
}

/// One space, while its records are looked at.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) id: SpaceId,
    pub(super) key: SpaceKey,
}

impl Projector {
    pub(crate) fn of(node: &Node) -> Self {
        Self { memory: Arc::clone(&node.0.chat.0), device: node.device(), user: node.secrets().user.id() }
    }

    /// Forgets what was done in a change that came to nothing.
    pub(crate) fn forget(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings everything in step with the records as they are now, after a change that began at the position `before`.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn project(
        &self,
        tx: &mut Tx<'_>,
        engine: &mut Engine,
        before: u64,
    ) -> Result<News, NodeError> {
        let mut state = self.state();
        // Should this come to nothing, all is looked at again: it's remembered anew at the end.
        let State { is_caught_up, mut generations } = std::mem::take(&mut *state);
        let mut news = News::default();
        if !is_caught_up || tx.position()? != before {
            self.follow(tx, engine, &mut news)?;
        }
        let spaces: Vec<_> = engine
            .spaces
            .values()
            .map(|state| {
                let membership = &state.membership;
                let frontier = state.parent().map(|_| membership.frontier()).unwrap_or_default();
                (Place { id: state.id, key: state.key }, (membership.generation(), frontier))
            })
            .filter(|(place, now)| generations.get(&place.id) != Some(now))
            .collect();
        for (place, now) in spaces {
            // An act that is simply added changes nothing of what was judged before.
            if generations.get(&place.id).is_none_or(|(generation, _)| *generation != now.0) {
                self.judge_again(tx, engine, place, &mut news)?;
            }
            if engine.space(place.id)?.parent().is_some() {
                // Who is in a child, and as what, is who is in the channel.
                news.channel(place, ids::MAIN);
            }
            generations.insert(place.id, now);
        }
        *state = State { is_caught_up: true, generations };
        Ok(news)
    }

    fn follow(&self, tx: &mut Tx<'_>, engine: &mut Engine, news: &mut News) -> Result<(), NodeError> {
        let noted = tx.meta(META)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        let mut done = noted;
        loop {
            let moved = tx.moved_since(ids::PREFIX, done, BATCH)?;
            let Some(last) = moved.last() else { break };
            done = last.position;
            let places: HashMap<SpaceKey, SpaceId> =
                engine.spaces.values().map(|space| (space.key, space.id)).collect();
            for one in &moved {
                if let Some(id) = places.get(&one.space) {
                    self.one(tx, engine, Place { id: *id, key: one.space }, one, news)?;
                }
            }
        }
        if done != noted {
            tx.set_meta(META, &done.to_be_bytes())?;
        }
        Ok(())
    }

    fn one(
        &self,
        tx: &mut Tx<'_>,
        engine: &mut Engine,
        place: Place,
        moved: &Moved,
        news: &mut News,
    ) -> Result<(), NodeError> {
        let Some((tag, rest)) = own::split(&moved.id) else { return Ok(()) };
        let record = record(tx, engine, place, &moved.collection, &moved.id)?;
        match moved.collection.as_str() {
            ids::MESSAGES => self.refresh(tx, engine, place, &moved.id, news)?,
            ids::EDITS => {
                let edit = Edit::parse(&record);
                tx.set_chat_edit(place.key, rest, &moved.id, edit.is_some())?;
                note_roles(tx, engine, place, moved, &record, &["deleted"])?;
                self.refresh(tx, engine, place, rest, news)?;
            }
            ids::REACTIONS => {
                let Some(tag) = tag_bytes(tag) else { return Ok(()) };
                let reactions = reactions(tx, engine, place, moved, &record)?;
                tx.set_chat_reactions(place.key, rest, &tag, &reactions)?;
                news.message(tx, place, rest, false)?;
            }
            ids::MARKS => self.mark(tx, engine, place, (&moved.id, tag, rest), &record, news)?,
            ids::CHANGES => {
                note_roles(tx, engine, place, moved, &record, &["name", "topic", "archived", "admins"])?;
                news.channel(place, rest);
            }
            // A child has one channel. Who may delete in it follows from which sort it is.
            ids::CHANNELS if rest == ids::MAIN => {
                self.judge_deletions(tx, engine, place, news)?;
                news.channel(place, rest);
            }
            ids::CHANNELS => news.channel(place, &moved.id),
            ids::JOINS => news.channel(place, rest),
            ids::INVITES => news.channel(place, ids::invited(rest).map_or(rest, |(channel, _)| channel)),
            _ => {}
        }
        Ok(())
    }

    /// Makes afresh what a message looks like.
    fn refresh(
        &self,
        tx: &mut Tx<'_>,
        engine: &mut Engine,
        place: Place,
        id: &str,
        news: &mut News,
    ) -> Result<(), NodeError> {
        let written = Message::parse(id, &record(tx, engine, place, ids::MESSAGES, id)?);
        let author = written
            .as_ref()
            .map(|message| engine.space(place.id).map(|space| space.author(message.sent.device)));
        let (Some(written), Some(author)) = (written, author.transpose()?.flatten()) else {
            if let Some(old) = tx.chat_message(place.key, id)? {
                tx.drop_chat_message(place.key, id)?;
                // Nothing is left of it that could be told of.
                let channel = tx.chat_channel_id(old.channel)?.unwrap_or_default();
                news.channel(place, &channel);
            }
            return Ok(());
        };
        let mut edits = Vec::new();
        for edit in tx.chat_edits(place.key, id)? {
            let Some(parsed) = Edit::parse(&record(tx, engine, place, ids::EDITS, &edit)?) else { continue };
            let by = engine.space(place.id)?.author(parsed.stamp.device);
            let was_admin = tx.chat_was_admin(place.key, (ids::EDITS, &edit), "deleted", parsed.stamp.hlc)?;
            let may_delete = was_admin == Some(true) && !self.is_direct(tx, engine, place)?;
            edits.push((parsed, right(by == Some(author), may_delete)));
        }
        let (edits, rights): (Vec<Edit>, Vec<_>) = edits.into_iter().unzip();
        let shown = written.shown(&edits, |edit| {
            let at = edits.iter().position(|other| other == edit);
            at.map_or(message::Right::None, |at| rights[at])
        });
        let channel = tx.ensure_chat_channel(place.key, &written.channel)?;
        let new = ChatMessage {
            space: place.key,
            channel,
            hlc: written.sent.hlc,
            id: written.id,
            device: written.sent.device,
            user: author,
            edited: shown.edited,
            deleted: shown.deleted,
            reply_to: written.reply_to,
            root: written.root,
            mentions: shown.mentions,
            text: shown.text,
        };
        let number = tx.put_chat_message(&new)?;
        if let Some(number) = number.filter(|_| author != self.user) {
            self.note_late(tx, channel, vec![(number, new.hlc, new.id.clone())])?;
        }
        news.message(tx, place, &new.id, number.is_some())
    }

    /// Whether a space is a direct message: in one all are its owners, and nobody has a right over what the others wrote.
    fn is_direct(&self, tx: &Tx<'_>, engine: &Engine, place: Place) -> Result<bool, NodeError> {
        let look = Look { rows: tx, engine, me: self.user };
        Ok(look.is_direct(engine.space(place.id)?)?)
    }

    /// Makes afresh the messages that somebody has deleted elsewhere than in the message itself.
    fn judge_deletions(
        &self,
        tx: &mut Tx<'_>,
        engine: &mut Engine,
        place: Place,
        news: &mut News,
    ) -> Result<(), NodeError> {
        for role in tx.chat_roles(place.key)?.into_iter().filter(|role| role.collection == ids::EDITS) {
            if let Some((_, message)) = own::split(&role.id) {
                self.refresh(tx, engine, place, message, news)?;
            }
        }
        Ok(())
    }

    /// Looks up again what authors were, and makes afresh what depends on it.
    fn judge_again(
        &self,
        tx: &mut Tx<'_>,
        engine: &mut Engine,
        place: Place,
        news: &mut News,
    ) -> Result<(), NodeError> {
        for role in tx.chat_roles(place.key)? {
            let record = record(tx, engine, place, &role.collection, &role.id)?;
            let admin = is_admin(tx, engine, place, (&role.collection, &role.id), &role.field, &record)?;
            if admin.is_some_and(|admin| admin.admin == role.admin) {
                continue;
            }
            let moved = Moved {
                position: 0,
                space: place.key,
                collection: role.collection.clone(),
                id: role.id.clone(),
            };
            self.one(tx, engine, place, &moved, news)?;
        }
        Ok(())
    }
}

impl News {
    /// Notes that a message is new, or otherwise changed: what came with a new one makes it no older.
    fn message(&mut self, tx: &Tx<'_>, place: Place, id: &str, is_new: bool) -> Result<(), NodeError> {
        if let Some(message) = tx.chat_message(place.key, id)? {
            self.busy(tx, place, message.channel)?;
            if self.messages.len() <= MAX_TOLD {
                *self.messages.entry((place.id, id.to_owned())).or_default() |= is_new && !message.deleted;
            }
        }
        Ok(())
    }

    fn busy(&mut self, tx: &Tx<'_>, place: Place, channel: covey_store::ChatKey) -> Result<(), NodeError> {
        let id = tx.chat_channel_id(channel)?.unwrap_or_default();
        self.busy.insert((place.id, id));
        Ok(())
    }

    pub(super) fn channel(&mut self, place: Place, id: &str) {
        self.channels.insert((place.id, id.to_owned()));
    }
}

fn right(is_author: bool, was_admin: bool) -> message::Right {
    match (is_author, was_admin) {
        (true, _) => message::Right::Author,
        (false, true) => message::Right::Admin,
        (false, false) => message::Right::None,
    }
}

pub(super) fn tag_bytes(tag: &str) -> Option<Vec<u8>> {
    let digits = |at: usize| u8::from_str_radix(tag.get(at..at + 2)?, 16).ok();
    (0..tag.len()).step_by(2).map(digits).collect()
}

fn record(
    tx: &Tx<'_>,
    engine: &Engine,
    place: Place,
    collection: &str,
    id: &str,
) -> Result<Record, StoreError> {
    match tx.collection(place.key, collection)? {
        Some(collection) => load_record(tx, collection, id, &engine.devices),
        None => Ok(Record::new()),
    }
}

/// The names of a record's fields.
pub(super) fn names(
    tx: &Tx<'_>,
    place: Place,
    collection: &str,
    id: &str,
) -> Result<Vec<String>, StoreError> {
    let collection = tx.collection(place.key, collection)?;
    let doc = collection.map(|collection| tx.record(collection, id)).transpose()?.flatten();
    let doc: serde_json::Map<String, serde_json::Value> =
        doc.and_then(|row| serde_json::from_str(&row.doc?).ok()).unwrap_or_default();
    Ok(doc.into_iter().map(|(name, _)| name).collect())
}

fn reactions(
    tx: &Tx<'_>,
    engine: &Engine,
    place: Place,
    moved: &Moved,
    record: &Record,
) -> Result<Vec<ChatReaction>, NodeError> {
    let (_, rest) = own::split(&moved.id).unwrap_or_default();
    let names = names(tx, place, &moved.collection, &moved.id)?;
    let space = engine.space(place.id)?;
    let mut out = Vec::new();
    for (emoji, (Stamp { hlc, device }, present)) in
        message::reactions(record, names.iter().map(String::as_str))
    {
        let Some(user) = space.author(device) else { continue };
        out.push(ChatReaction { message: rest.to_owned(), device, user, emoji, hlc, present });
    }
    Ok(out)
}

/// Notes what the author of each of these fields was when they wrote it.
fn note_roles(
    tx: &mut Tx<'_>,
    engine: &mut Engine,
    place: Place,
    moved: &Moved,
    record: &Record,
    fields: &[&str],
) -> Result<(), NodeError> {
    tx.drop_chat_roles(place.key, &moved.collection, &moved.id)?;
    for field in fields {
        if let Some(role) = is_admin(tx, engine, place, (&moved.collection, &moved.id), field, record)? {
            tx.put_chat_role(place.key, &role)?;
        }
    }
    Ok(())
}

fn is_admin(
    tx: &Tx<'_>,
    engine: &mut Engine,
    place: Place,
    (collection, id): (&str, &str),
    field: &str,
    record: &Record,
) -> Result<Option<ChatRole>, NodeError> {
    let Some((stamp, value)) = record.field(field) else { return Ok(None) };
    let role = engine.role_when(tx, place.id, (collection, id), (field, value), stamp)?;
    Ok(Some(ChatRole {
        collection: collection.to_owned(),
        id: id.to_owned(),
        hlc: stamp.hlc,
        field: field.to_owned(),
        value: value.to_owned(),
        admin: role >= Some(Role::Admin),
    }))
}

/// Of a channel's changes: whether the author of one was an admin then.
pub(super) fn was_admin(
    rows: &covey_store::Reader<'_>,
    space: SpaceKey,
    id: &str,
    change: &Change,
) -> Result<HashMap<Stamp, bool>, StoreError> {
    let parts = [
        ("name", change.name.as_ref().map(|(stamp, _)| *stamp)),
        ("topic", change.topic.as_ref().map(|(stamp, _)| *stamp)),
        ("archived", change.archived.map(|(stamp, _)| stamp)),
        ("admins", change.admins.as_ref().map(|(stamp, _)| *stamp)),
    ];
    let mut known = HashMap::new();
    for (field, stamp) in parts {
        let Some(stamp) = stamp else { continue };
        let admin = rows.chat_was_admin(space, (ids::CHANGES, id), field, stamp.hlc)? == Some(true);
        *known.entry(stamp).or_insert(false) |= admin;
    }
    Ok(known)
}

//! Sending messages, editing and deleting them, reacting, and saying how far one has read.

use covey_chat::{
    Kind, ids, mark, mentions,
    message::is_emoji,
    text::{self, TextError},
};
use covey_records::own;
use covey_space::Role;
use covey_store::ChatMessage;
use covey_types::{Hlc, SpaceId, UserId};

use super::{
    Chat, Message, Position, Say, fresh_part, marks,
    rooms::{Home, Room, is_guest},
};
use crate::{Event, NodeError, Space};

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// What it says.
    pub text: String,
    /// The message that it answers.
    pub reply_to: Option<String>,
    /// What the client calls it: sent again under the same name, it's the same message.
    pub client_id: Option<String>,
}

impl From<TextError> for NodeError {
    fn from(err: TextError) -> Self {
        match err {
            TextError::TooLong { len } => {
                Self::TooLarge { what: "a message", len, max: covey_chat::limits::MAX_TEXT_BYTES }
            }
            err @ TextError::Empty => Self::Invalid(err.to_string()),
        }
    }
}

impl Chat {
    /// The users that a text mentions, of those who can read it.
    fn mentioned(&self, space: SpaceId, text: &str) -> Result<Vec<String>, NodeError> {
        let engine = self.node().engine();
        let members = engine.space(space)?.membership.members();
        drop(engine);
        let people: Vec<(UserId, String)> =
            members.into_iter().map(|(user, member)| (user, member.name)).collect();
        Ok(mentions::mentioned(text, &people).iter().map(UserId::to_string).collect())
    }

    /// Sends a message. Answers when it's on disk here; it's delivered when others are near. Who isn't in the public
    /// channel yet joins it by that.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for an empty text or a bad client id, [`NodeError::TooLarge`] for a long text,
    /// [`NodeError::NotFound`] for a message to answer that isn't there, [`NodeError::Conflict`] for an archived channel,
    /// [`NodeError::NotAllowed`] for guests.
    pub async fn send(&self, wanted: &str, new: NewMessage) -> Result<Message, NodeError> {
        let text = text::parse(&new.text)?;
        let room = self.room(wanted).await?;
        if room.archived {
            return Err(NodeError::Conflict(format!(
                "the channel {:?} is archived: nobody writes in it any more",
                room.name
            )));
        }
        let part = match new.client_id {
            None => fresh_part(),
            Some(part) if ids::is_part(&part) => part,
            Some(part) => {
                let rule = format!(
                    "{} to {} letters, digits, dashes or underscores",
                    covey_chat::limits::MIN_CLIENT_ID,
                    covey_chat::limits::MAX_CLIENT_ID
                );
                return Err(NodeError::Invalid(format!(
                    "{part:?} can't be a client's id of a message: {rule}"
                )));
            }
        };
        let id = own::id(self.node().device(), &part);
        // An answer stands where what it answers does.
        let mut home = room.home()?.clone();
        let mut say = Say::new(ids::MESSAGES, part).with("text", &text);
        if let Some(answered) = new.reply_to {
            let (at, message) = self.find_in(&room, &answered).await?;
            home = at;
            say = say.with("reply", &answered).with("root", message.root.as_ref().unwrap_or(&answered));
        }
        if self.find_in(&room, &id).await.is_ok() {
            return self.message(&id).await;
        }
        let mentions = self.mentioned(home.space, &text)?;
        say = say.with("in", &home.inner);
        if !mentions.is_empty() {
            say = say.with("mentions", &mentions);
        }
        let mut says = vec![say];
        if room.kind == Kind::Public && !room.joined.contains(&self.me()) {
            says.push(Say::new(ids::JOINS, home.inner.as_str()).with("joined", &true));
        }
        self.say(home.space, says).await?;
        self.message(&id).await
    }

    async fn find_in(&self, room: &Room, id: &str) -> Result<(Home, ChatMessage), NodeError> {
        let (homes, id) = (room.homes.clone(), id.to_owned());
        let wanted = id.clone();
        let found = self.look(move |look| {
            for home in homes {
                let channel = look.rows.chat_channel(home.key, &home.inner)?;
                if let Some(message) =
                    look.rows.chat_message(home.key, &id)?.filter(|found| Some(found.channel) == channel)
                {
                    return Ok(Some((home, message)));
                }
            }
            Ok(None)
        });
        found.await?.ok_or(NodeError::NotFound { kind: "message", name: wanted })
    }

    /// Where a message is, among this space and its children.
    pub(super) async fn place_of(&self, id: &str) -> Result<(SpaceId, ChatMessage), NodeError> {
        let (parent, id) = (self.space.id(), id.to_owned());
        let wanted = id.clone();
        let found = self.look(move |look| {
            for space in std::iter::once(parent).chain(look.engine.children(parent)) {
                let key = look.engine.space(space)?.key;
                if let Some(message) = look.rows.chat_message(key, &id)? {
                    return Ok(Some((space, message)));
                }
            }
            Ok(None)
        });
        found.await?.ok_or(NodeError::NotFound { kind: "message", name: wanted })
    }

    /// Replaces the text of a message of one's own.
    ///
    /// # Errors
    /// [`NodeError::NotYours`] for somebody else's, [`NodeError::Conflict`] for a deleted one; else as [`Chat::send`].
    pub async fn edit(&self, id: &str, text: &str) -> Result<Message, NodeError> {
        let text = text::parse(text)?;
        let (space, message) = self.place_of(id).await?;
        if message.user != self.me() {
            return Err(NodeError::NotYours("only who wrote a message changes what it says".into()));
        }
        if message.deleted {
            return Err(NodeError::Conflict("the message was deleted".into()));
        }
        let mentions = self.mentioned(space, &text)?;
        let say = self.about(&message).with("text", &text).with("mentions", &mentions);
        self.say(space, vec![say]).await?;
        self.message(id).await
    }

    /// Deletes a message of one's own, or any as an admin. It stays deleted. In a direct message all are equal, and
    /// everybody deletes what they wrote themselves.
    ///
    /// # Errors
    /// [`NodeError::NotYours`] for somebody else's, unless one is an admin of the space or the private channel.
    pub async fn delete(&self, id: &str) -> Result<(), NodeError> {
        let (space, message) = self.place_of(id).await?;
        if message.user != self.me() {
            self.require_deleter(space).await?;
        }
        if message.deleted {
            return Ok(());
        }
        let mut say = self.about(&message).with("deleted", &true);
        if message.device == self.node().device() {
            // What it said is taken out of the record too.
            say = say.with("text", "").with("mentions", &[""; 0]);
        }
        self.say(space, vec![say]).await.map(drop)
    }

    /// Refuses what of others' messages only an admin of their space may do.
    async fn require_deleter(&self, space: SpaceId) -> Result<(), NodeError> {
        let place = Space::new(self.node().clone(), space);
        let kind = place.as_channel().await?.map(|(kind, _)| kind);
        let role = self.node().engine().space(space)?.membership.role_of_user(self.me());
        match kind {
            Some(Kind::Direct) => {
                Err(NodeError::NotYours("in a direct message only who wrote a message deletes it".into()))
            }
            _ if role < Some(Role::Admin) => {
                Err(NodeError::NotYours("only who wrote a message, or an admin, deletes it".into()))
            }
            _ => Ok(()),
        }
    }

    /// What this device says of a message: in the message itself, if it's this device's.
    fn about(&self, message: &ChatMessage) -> Say {
        match own::split(&message.id) {
            Some((_, part)) if message.device == self.node().device() => Say::new(ids::MESSAGES, part),
            _ => Say::new(ids::EDITS, message.id.as_str()),
        }
    }

    /// Reacts to a message, or takes that back.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for what can't be a reaction; [`NodeError::NotFound`], [`NodeError::NotAllowed`].
    pub async fn react(&self, id: &str, emoji: &str, present: bool) -> Result<(), NodeError> {
        if !is_emoji(emoji) {
            let max = covey_chat::limits::MAX_EMOJI_BYTES;
            return Err(NodeError::Invalid(format!(
                "{emoji:?} can't be a reaction: one emoji or word of at most {max} bytes"
            )));
        }
        let (space, message) = self.place_of(id).await?;
        let say = Say::new(ids::REACTIONS, message.id).with(emoji, &present);
        self.say(space, vec![say]).await.map(drop)
    }

    /// Says that one has read a channel up to a message, and everything before it. Of a guest, who may write nothing, only
    /// this device knows it.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] for a message that isn't in the channel.
    pub async fn mark_read(&self, wanted: &str, upto: &str) -> Result<(), NodeError> {
        let room = self.room(wanted).await?;
        let (_, message) = self.find_in(&room, upto).await?;
        let at = (message.hlc, message.id);
        for home in &room.homes {
            if is_guest(self.node().engine().space(home.space)?, self.me()) {
                self.note_read(home, at.clone()).await?;
                continue;
            }
            let (before, seen) = self.read_since(home, &at).await?;
            // Said again where nothing has changed but late messages: they are read now.
            let upto = before.filter(|before| *before > at).unwrap_or_else(|| at.clone());
            let upto = Position { hlc: upto.0, id: upto.1 };
            let mut say = Say::new(ids::MARKS, home.inner.as_str()).with("upto", &upto.to_string());
            for (tag, upto) in seen {
                let (field, value) = mark::seen_field(&tag, upto);
                say = say.with(&field, &value);
            }
            self.note(home.space, vec![say]).await?;
        }
        Ok(())
    }

    /// Keeps on this device alone how far a channel was read.
    async fn note_read(&self, home: &Home, at: (Hlc, String)) -> Result<(), NodeError> {
        let place = home.clone();
        let is_news = self.node().write(move |tx, _| Ok(marks::read_here(tx, &place, &at)?)).await?;
        if is_news {
            self.node().emit(Event::ChannelChanged { space: home.space, channel: home.inner.clone() });
        }
        Ok(())
    }

    /// Up to where this device has said that it has read, and what it has seen since up to a place.
    async fn read_since(
        &self,
        home: &Home,
        at: &(Hlc, String),
    ) -> Result<(Option<(Hlc, String)>, mark::Seen), NodeError> {
        let (home, at, device) = (home.clone(), at.clone(), self.node().device());
        self.look(move |look| {
            let Some(channel) = look.rows.chat_channel(home.key, &home.inner)? else {
                return Ok(Default::default());
            };
            let own = look.rows.chat_marks(channel)?.into_iter().find(|mark| mark.device == device);
            let before = own.map(|mark| mark.at);
            let seen = look
                .rows
                .chat_seen(channel, (before.as_ref().unwrap_or(&(Hlc::default(), String::new())), &at))?;
            Ok((before, seen))
        })
        .await
    }

    /// Keeps what was typed in a channel and not sent: on this device alone. An empty text is none.
    ///
    /// # Errors
    /// [`NodeError::TooLarge`]; the store's.
    pub async fn set_draft(&self, wanted: &str, draft: &str) -> Result<(), NodeError> {
        let max = covey_chat::limits::MAX_TEXT_BYTES;
        if draft.len() > max {
            return Err(NodeError::TooLarge { what: "a draft", len: draft.len(), max });
        }
        let room = self.room(wanted).await?;
        let (parent, draft) = (self.space.id(), draft.to_owned());
        let keep = move |tx: &mut covey_store::Tx<'_>, engine: &mut covey_engine::Engine| {
            let key = engine.space(parent)?.key;
            Ok(tx.set_chat_draft(key, &room.id, &draft)?)
        };
        self.node().write(keep).await
    }
}

//! Making channels, changing them, joining, inviting, and who administers them.

use std::collections::BTreeSet;

use covey_chat::{
    Kind, direct, ids,
    limits::{MAX_ADMINS, MAX_DIRECT, MAX_NAME_CHARS, MAX_TOPIC_CHARS},
    text,
};
use covey_records::own;
use covey_space::Role;
use covey_types::UserId;

use super::{Channel, Chat, Say, fresh_part, rooms::Room};
use crate::{NodeError, Space};

/// What child spaces are called that are direct messages. Nobody sees it: those are shown by who is in them.
const DIRECT_NAME: &str = "direct";

/// What is to be changed of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelChange {
    /// A new name. A private channel keeps the name of its space.
    pub name: Option<String>,
    /// A new topic.
    pub topic: Option<String>,
    /// Whether nobody is to write in it any more.
    pub archived: Option<bool>,
}

fn checked_name(name: &str) -> Result<String, NodeError> {
    let bare = name.strip_prefix('#').unwrap_or(name);
    let line = text::line(bare, MAX_NAME_CHARS);
    if line.is_empty() || line != bare {
        let rule = format!("1 to {MAX_NAME_CHARS} printable characters without blanks at the ends");
        return Err(NodeError::Invalid(format!("{name:?} can't be the name of a channel: {rule}")));
    }
    Ok(line)
}

fn checked_topic(topic: &str) -> Result<String, NodeError> {
    let line = text::line(topic, MAX_TOPIC_CHARS);
    if line != topic.trim() {
        let rule = format!("a line of at most {MAX_TOPIC_CHARS} characters");
        return Err(NodeError::Invalid(format!("a topic is {rule}")));
    }
    Ok(line)
}

impl Chat {
    /// Makes a channel, and joins it. A private one is a child space: nobody but those who are taken into it hears of it.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for a name or topic that can't be one, [`NodeError::Conflict`] for a name that another channel
    /// has; [`NodeError::NotAllowed`] for guests.
    pub async fn create_channel(&self, name: &str, private: bool, topic: &str) -> Result<Channel, NodeError> {
        self.space.require_shared("given channels")?;
        let (name, topic) = (checked_name(name)?, checked_topic(topic)?);
        if self.rooms().await?.iter().any(|room| room.name == name && room.kind != Kind::Direct) {
            return Err(NodeError::Conflict(format!("there is a channel {name:?} already")));
        }
        if private {
            let child = self.space.create_child(&name, &[]).await?;
            self.found(&child, Kind::Private, &topic, &BTreeSet::new()).await?;
            return self.channel(&child.id().to_string()).await;
        }
        let part = fresh_part();
        let id = own::id(self.node().device(), &part);
        let channel = Say::new(ids::CHANNELS, part)
            .with("kind", Kind::Public.as_str())
            .with("name", &name)
            .with("topic", &topic);
        let join = Say::new(ids::JOINS, id.as_str()).with("joined", &true);
        self.say(self.space.id(), vec![channel, join]).await?;
        self.channel(&id).await
    }

    /// Says in a child space that it is a channel.
    async fn found(
        &self,
        child: &Space,
        kind: Kind,
        topic: &str,
        users: &BTreeSet<UserId>,
    ) -> Result<(), NodeError> {
        let mut say = Say::new(ids::CHANNELS, ids::MAIN).with("kind", kind.as_str()).with("topic", topic);
        if kind == Kind::Direct {
            let users: Vec<String> = users.iter().map(UserId::to_string).collect();
            say = say.with("users", &users);
        }
        self.say(child.id(), vec![say]).await.map(drop)
    }

    /// The direct message between these people and this user: the one that there is, or a new one; whether it is new.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for nobody or too many; [`NodeError::NotFound`] for somebody who isn't in the space.
    pub async fn direct(&self, users: &[UserId]) -> Result<(Channel, bool), NodeError> {
        self.space.require_shared("given channels")?;
        let me = self.me();
        let people: BTreeSet<UserId> = users.iter().copied().chain([me]).collect();
        if !(2..=MAX_DIRECT).contains(&people.len()) {
            return Err(NodeError::Invalid(format!(
                "a direct message is between 2 and {MAX_DIRECT} people, and you are one of them"
            )));
        }
        let id = direct::id(self.space.id(), &people);
        if let Some(room) = self.rooms().await?.into_iter().find(|room| room.id == id)
            && self.nobody_lacks(&room)
        {
            return Ok((self.channel(&id).await?, false));
        }
        let others: Vec<(UserId, Role)> =
            people.iter().filter(|user| **user != me).map(|user| (*user, Role::Owner)).collect();
        let child = self.space.create_child(DIRECT_NAME, &others).await?;
        self.found(&child, Kind::Direct, "", &people).await?;
        Ok((self.channel(&id).await?, true))
    }

    /// Whether everybody between whom a direct message is can be reached in the child to which new messages go.
    fn nobody_lacks(&self, room: &Room) -> bool {
        let engine = self.node().engine();
        let first = room.homes.first().and_then(|home| engine.space(home.space).ok());
        first.is_some_and(|state| {
            room.people.iter().all(|user| state.membership.role_of_user(*user).is_some())
        })
    }

    /// Changes a channel.
    ///
    /// # Errors
    /// [`NodeError::NotYours`] for who isn't an admin of it; [`NodeError::Invalid`] for what can't be.
    pub async fn change(&self, wanted: &str, change: ChannelChange) -> Result<Channel, NodeError> {
        let room = self.room(wanted).await?;
        self.require_admin(&room)?;
        if room.kind != Kind::Public && change.name.is_some() {
            return Err(NodeError::Invalid("a private channel keeps the name that it was given".into()));
        }
        let home = room.home()?;
        let mut say = Say::new(ids::CHANGES, home.inner.as_str());
        if let Some(name) = change.name {
            say = say.with("name", &checked_name(&name)?);
        }
        if let Some(topic) = change.topic {
            say = say.with("topic", &checked_topic(&topic)?);
        }
        if let Some(archived) = change.archived {
            say = say.with("archived", &archived);
        }
        if !say.fields.is_empty() {
            self.say(home.space, vec![say]).await?;
        }
        self.channel(&room.id).await
    }

    /// Joins a public channel.
    ///
    /// # Errors
    /// [`NodeError::NotAllowed`] for guests; the store's.
    pub async fn join(&self, wanted: &str) -> Result<(), NodeError> {
        let room = self.room(wanted).await?;
        if room.joined.contains(&self.me()) {
            return Ok(());
        }
        self.set_joined(room.home()?, true).await
    }

    /// Takes somebody of the space into a channel. Whoever has left a public one comes back by themself only.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] for who isn't in the space; [`NodeError::Conflict`] for a direct message, which is between the
    /// same people for good; [`NodeError::Membership`] for who may not administer a private channel.
    pub async fn invite(&self, wanted: &str, user: UserId, as_admin: bool) -> Result<(), NodeError> {
        let room = self.room(wanted).await?;
        match room.kind {
            Kind::Direct => Err(NodeError::Conflict(
                "a direct message is between the same people for good: begin one with those you mean".into(),
            )),
            Kind::Private => {
                let role = if as_admin { Role::Admin } else { Role::Member };
                let home = room.home()?;
                Space::new(self.node().clone(), home.space).add_member(user, role).await
            }
            Kind::Public => {
                let is_member = self.space.members().iter().any(|member| member.user == user);
                if !is_member {
                    return Err(NodeError::NotFound { kind: "member", name: user.to_string() });
                }
                let home = room.home()?;
                let mut says =
                    vec![Say::new(ids::INVITES, ids::invitation(&home.inner, user)).with("invited", &true)];
                if as_admin {
                    says.push(self.named(&room, user, true)?);
                }
                self.say(home.space, says).await.map(drop)
            }
        }
    }

    /// Names somebody who is in a channel an admin of it, or takes that back.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] for who isn't in the channel; [`NodeError::NotYours`] for who may not name its admins;
    /// [`NodeError::Conflict`] for a direct message, in which all are equal, and for who made a public channel;
    /// [`NodeError::Membership`] for who may not administer a private channel, or its last owner.
    pub async fn set_admin(&self, wanted: &str, user: UserId, as_admin: bool) -> Result<(), NodeError> {
        let room = self.room(wanted).await?;
        if !room.joined.contains(&user) && !room.admins.contains(&user) {
            return Err(NodeError::NotFound { kind: "participant", name: user.to_string() });
        }
        let home = room.home()?;
        match room.kind {
            Kind::Direct => Err(NodeError::Conflict(
                "in a direct message all are equal: nobody is named its admin, or put back".into(),
            )),
            _ if room.admins.contains(&user) == as_admin => Ok(()),
            Kind::Private => {
                let role = if as_admin { Role::Admin } else { Role::Member };
                Space::new(self.node().clone(), home.space).set_role(user, role).await
            }
            Kind::Public => {
                let say = self.named(&room, user, as_admin)?;
                self.say(home.space, vec![say]).await.map(drop)
            }
        }
    }

    /// The list of a public channel's admins with somebody in it, or without them.
    fn named(&self, room: &Room, user: UserId, as_admin: bool) -> Result<Say, NodeError> {
        let (me, home) = (self.me(), room.home()?);
        let role = self.node().engine().space(home.space)?.membership.role_of_user(me);
        if role < Some(Role::Admin) && room.founder != Some(me) {
            return Err(NodeError::NotYours(format!(
                "only who made the channel {:?} and the admins of the space name its admins, and you are none of them",
                room.name
            )));
        }
        if !as_admin && room.founder == Some(user) {
            return Err(NodeError::Conflict(format!(
                "who made the channel {:?} stays its admin for good",
                room.name
            )));
        }
        let mut admins: BTreeSet<UserId> = room.admins.clone();
        if as_admin {
            admins.insert(user)
        } else {
            admins.remove(&user)
        };
        if admins.len() > MAX_ADMINS {
            return Err(NodeError::Conflict(format!(
                "the channel {:?} has {MAX_ADMINS} admins already, and no more can be named: take one back first",
                room.name
            )));
        }
        let admins: Vec<String> = admins.iter().map(UserId::to_string).collect();
        Ok(Say::new(ids::CHANGES, home.inner.as_str()).with("admins", &admins))
    }

    /// Puts somebody out of a private channel.
    ///
    /// # Errors
    /// [`NodeError::Conflict`] for a public channel or a direct message, which everybody leaves by themself;
    /// [`NodeError::Membership`] for who may not administer it.
    pub async fn put_out(&self, wanted: &str, user: UserId) -> Result<(), NodeError> {
        if user == self.me() {
            return self.leave(wanted).await;
        }
        let room = self.room(wanted).await?;
        if room.kind != Kind::Private {
            return Err(NodeError::Conflict(
                "people leave this channel by themselves: it can't be closed to them".into(),
            ));
        }
        let home = room.home()?;
        Space::new(self.node().clone(), home.space).remove_member(user).await
    }

    /// Refuses what only admins of a channel may do: its own, and those of the space.
    fn require_admin(&self, room: &Room) -> Result<(), NodeError> {
        let me = self.me();
        let home = room.home()?;
        let role = self.node().engine().space(home.space)?.membership.role_of_user(me);
        if role >= Some(Role::Admin) || room.admins.contains(&me) {
            return Ok(());
        }
        Err(NodeError::NotYours(format!(
            "only its admins and those of the space change the channel {:?}, and you are none of them",
            room.name
        )))
    }
}

//! Which channels there are, and who is in them: read from the records, and from who is in the child spaces.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use covey_chat::{
    Change, Channel as Folded, Kind, NewChannel,
    channel::{self, Writer},
    direct, fields, ids,
};
use covey_engine::{Engine, SpaceState, load_record};
use covey_records::{Record, Stamp, own};
use covey_space::Role;
use covey_store::{Reader, SpaceKey, StoreError};
use covey_types::{Hlc, SpaceId, UserId};

use super::{Chat, project::was_admin};
use crate::{NodeError, Space};

/// Records of one collection of chat that are looked at to find the channels of a space: hundreds of channels with
/// hundreds of people in each of them.
const MAX_LOOKED_AT: usize = 65_536;

/// Where messages of a channel are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) space: SpaceId,
    pub(super) key: SpaceKey,
    /// The channel as records there name it.
    pub(super) inner: String,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) archived: bool,
    /// One, or for a direct message that was begun more than once several: the first is where new messages go.
    pub(super) homes: Vec<Home>,
    pub(super) joined: BTreeSet<UserId>,
    pub(super) admins: BTreeSet<UserId>,
    /// Who made it, if it's public and they are known.
    pub(super) founder: Option<UserId>,
    /// When this user said that they join.
    pub(super) since: Hlc,
    /// Who it is between, if it's a direct message.
    pub(super) people: BTreeSet<UserId>,
}

impl Room {
    /// Where new messages go.
    pub(super) fn home(&self) -> Result<&Home, NodeError> {
        self.homes.first().ok_or_else(|| NodeError::NotFound { kind: "channel", name: self.id.clone() })
    }
}

/// Whether the id of a record says that it's about a channel, if only one is wanted.
fn is_about(id: &str, only: Option<&str>) -> bool {
    only.is_none_or(|only| {
        let rest = own::split(id).map(|(_, rest)| rest);
        rest.is_some_and(|rest| {
            rest.strip_prefix(only).is_some_and(|more| more.is_empty() || more.starts_with('.'))
        })
    })
}

/// Whether somebody may read in a space and write nothing.
pub(super) fn is_guest(state: &SpaceState, user: UserId) -> bool {
    state.membership.role_of_user(user) == Some(Role::Guest)
}

/// What a look at the channels is made with.
pub(super) struct Look<'a> {
    pub(super) rows: &'a Reader<'a>,
    pub(super) engine: &'a Engine,
    pub(super) me: UserId,
}

impl Look<'_> {
    fn record(&self, space: SpaceKey, collection: &str, id: &str) -> Result<Record, StoreError> {
        match self.rows.collection(space, collection)? {
            Some(collection) => load_record(self.rows, collection, id, &self.engine.devices),
            None => Ok(Record::new()),
        }
    }

    /// The records of a collection whose ids are wanted.
    fn records(
        &self,
        space: SpaceKey,
        collection: &str,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<(String, Record)>, StoreError> {
        let ids = self.rows.record_ids(space, collection, MAX_LOOKED_AT)?;
        let wanted = ids.into_iter().filter(|id| is_wanted(id));
        wanted.map(|id| Ok((id.clone(), self.record(space, collection, &id)?))).collect()
    }

    /// What was changed of channels, by channel, and which of the changes were made by admins.
    #[expect(clippy::type_complexity, reason = "read in one place only")]
    fn changes(
        &self,
        space: SpaceKey,
        only: Option<&str>,
    ) -> Result<(HashMap<String, Vec<Change>>, HashMap<Stamp, bool>), StoreError> {
        let (mut changes, mut admins): (HashMap<String, Vec<Change>>, _) = (HashMap::new(), HashMap::new());
        for (id, record) in self.records(space, ids::CHANGES, |id| is_about(id, only))? {
            let Some((_, channel)) = own::split(&id) else { continue };
            let change = Change::parse(&record);
            admins.extend(was_admin(self.rows, space, &id, &change)?);
            changes.entry(channel.to_owned()).or_default().push(change);
        }
        Ok((changes, admins))
    }

    /// The public channels of a space; or the one of this id only.
    fn public(&self, state: &SpaceState, only: Option<&str>) -> Result<Vec<Room>, StoreError> {
        let key = state.key;
        let (changes, admins) = self.changes(key, only)?;
        let who = |stamp: Stamp| {
            let user = state.author(stamp.device)?;
            Some(Writer { user, is_admin: admins.get(&stamp) == Some(&true) })
        };
        let mut said: HashMap<String, Vec<(UserId, Stamp, bool)>> = HashMap::new();
        for (id, record) in self.records(key, ids::JOINS, |id| is_about(id, only))? {
            let joins = own::split(&id).zip(fields::flag(&record, "joined"));
            let Some(((_, channel), (stamp, joined))) = joins else { continue };
            let Some(user) = state.author(stamp.device) else { continue };
            said.entry(channel.to_owned()).or_default().push((user, stamp, joined));
        }
        let mut invited: HashMap<String, Vec<UserId>> = HashMap::new();
        for (id, record) in self.records(key, ids::INVITES, |id| is_about(id, only))? {
            let invites = own::split(&id).and_then(|(_, rest)| ids::invited(rest));
            let Some((channel, user)) =
                invites.filter(|_| fields::flag(&record, "invited").is_some_and(|(_, yes)| yes))
            else {
                continue;
            };
            invited.entry(channel.to_owned()).or_default().push(user);
        }
        let mut rooms = Vec::new();
        for (id, record) in self.records(key, ids::CHANNELS, |id| only.is_none_or(|only| id == only))? {
            let Some(new) = NewChannel::parse(&id, &record).filter(|new| new.kind == Kind::Public) else {
                continue;
            };
            let founder = who(new.made).map(|writer| writer.user);
            let folded = Folded::fold(new, changes.get(&id).map_or(&[], Vec::as_slice), who);
            let said = said.remove(&id).unwrap_or_default();
            let own = said.iter().filter(|(user, ..)| *user == self.me).map(|(_, stamp, _)| stamp.hlc).max();
            let mut joined = channel::joined(founder, said, invited.remove(&id).unwrap_or_default());
            joined.retain(|user| state.membership.role_of_user(*user).is_some());
            rooms.push(Room {
                kind: Kind::Public,
                name: folded.new.name,
                topic: folded.new.topic,
                archived: folded.archived,
                homes: vec![Home { space: state.id, key, inner: id.clone() }],
                joined,
                admins: folded.admins,
                founder,
                since: own.unwrap_or_default(),
                people: BTreeSet::new(),
                id,
            });
        }
        Ok(rooms)
    }

    /// As which channel a child space was made; `None` if it's none.
    fn made_as(&self, state: &SpaceState) -> Result<Option<NewChannel>, StoreError> {
        let is_main = |id: &str| own::split(id).is_some_and(|(_, rest)| rest == ids::MAIN);
        let made = self.records(state.key, ids::CHANNELS, is_main)?.into_iter();
        let made = made
            .filter_map(|(id, record)| NewChannel::parse(&id, &record))
            .filter(|new| new.kind != Kind::Public);
        Ok(made.min_by_key(|new| new.made))
    }

    /// Whether a space is a direct message.
    pub(super) fn is_direct(&self, state: &SpaceState) -> Result<bool, StoreError> {
        if state.parent().is_none() {
            return Ok(false);
        }
        Ok(self.made_as(state)?.is_some_and(|new| new.kind == Kind::Direct))
    }

    /// A child space as a channel; `None` if it's none.
    pub(super) fn child(&self, parent: SpaceId, state: &SpaceState) -> Result<Option<Room>, StoreError> {
        let key = state.key;
        let Some(new) = self.made_as(state)? else { return Ok(None) };
        let (mut changes, admins) = self.changes(key, Some(ids::MAIN))?;
        let who = |stamp: Stamp| {
            let user = state.author(stamp.device)?;
            Some(Writer { user, is_admin: admins.get(&stamp) == Some(&true) })
        };
        let folded = Folded::fold(new, &changes.remove(ids::MAIN).unwrap_or_default(), who);
        let members = state.membership.members();
        let joined: BTreeSet<UserId> = members.keys().copied().collect();
        let people = direct::people(&folded.new.users, joined.iter().copied());
        let is_direct = folded.new.kind == Kind::Direct;
        let is_admin = |role: Role| role >= Role::Admin;
        Ok(Some(Room {
            id: if is_direct { direct::id(parent, &people) } else { state.id.to_string() },
            kind: folded.new.kind,
            name: if is_direct { String::new() } else { state.name().to_owned() },
            topic: folded.new.topic,
            archived: folded.archived,
            homes: vec![Home { space: state.id, key, inner: ids::MAIN.to_owned() }],
            admins: members
                .iter()
                .filter(|(_, member)| is_admin(member.role))
                .map(|(user, _)| *user)
                .collect(),
            joined,
            founder: None,
            since: Hlc::default(),
            people: if is_direct { people } else { BTreeSet::new() },
        }))
    }

    /// All channels of a space that can be seen here.
    pub(super) fn rooms(&self, parent: SpaceId) -> Result<Vec<Room>, NodeError> {
        let mut rooms = self.public(self.engine.space(parent)?, None)?;
        rooms.extend(self.children(parent)?);
        Ok(rooms)
    }

    /// The channel of this id: not all others are looked at for it.
    pub(super) fn room(&self, parent: SpaceId, id: &str) -> Result<Option<Room>, NodeError> {
        let rooms = if ids::is_channel(id) {
            self.public(self.engine.space(parent)?, Some(id))?
        } else {
            self.children(parent)?
        };
        Ok(rooms.into_iter().find(|room| room.id == id))
    }

    /// The channel that records of a space name like this.
    pub(super) fn room_at(
        &self,
        parent: SpaceId,
        space: SpaceId,
        inner: &str,
    ) -> Result<Option<Room>, NodeError> {
        let rooms = if space == parent {
            self.public(self.engine.space(parent)?, Some(inner))?
        } else {
            self.children(parent)?
        };
        let has = |home: &Home| home.space == space && home.inner == inner;
        Ok(rooms.into_iter().find(|room| room.homes.iter().any(has)))
    }

    /// The channels that are children of a space.
    fn children(&self, parent: SpaceId) -> Result<Vec<Room>, NodeError> {
        let mut rooms = Vec::new();
        let mut directs: BTreeMap<String, Room> = BTreeMap::new();
        for child in self.engine.children(parent) {
            let state = self.engine.space(child)?;
            // What one has left stays readable as a space, and is no channel of theirs any more.
            let is_in = state.membership.role_of_user(self.me).is_some();
            let Some(mut room) = self.child(parent, state)?.filter(|_| is_in) else { continue };
            if room.joined.len() == 1 && self.has_left(state)? {
                continue;
            }
            if room.kind != Kind::Direct {
                rooms.push(room);
                continue;
            }
            match directs.get_mut(&room.id) {
                None => {
                    directs.insert(room.id.clone(), room);
                }
                Some(known) => {
                    known.homes.append(&mut room.homes);
                    known.joined.append(&mut room.joined);
                }
            }
        }
        for mut room in directs.into_values() {
            // New messages go where nobody is missing; of several such, to the one with the lowest id.
            let lacks = |home: &Home| {
                let state = self.engine.space(home.space).ok();
                state.is_none_or(|state| {
                    room.people.iter().any(|user| state.membership.role_of_user(*user).is_none())
                })
            };
            let mut homes = std::mem::take(&mut room.homes);
            homes.sort_by_key(|home| (lacks(home), home.space));
            room.homes = homes;
            room.name = self.names(parent, room.people.iter().copied().filter(|user| *user != self.me));
            rooms.push(room);
        }
        Ok(rooms)
    }

    /// Whether this user has said that they leave a child: what whoever is alone in it does, since nobody is left to
    /// whom it could be.
    fn has_left(&self, state: &SpaceState) -> Result<bool, StoreError> {
        let mut said = Vec::new();
        for (_, record) in self.records(state.key, ids::JOINS, |id| is_about(id, Some(ids::MAIN)))? {
            let Some((stamp, joined)) = fields::flag(&record, "joined") else { continue };
            said.extend((state.author(stamp.device) == Some(self.me)).then_some((stamp, joined)));
        }
        Ok(said.into_iter().max().is_some_and(|(_, joined)| !joined))
    }

    fn names(&self, parent: SpaceId, users: impl Iterator<Item = UserId>) -> String {
        let mut names: Vec<String> = users.map(|user| self.name(parent, user)).collect();
        names.sort();
        names.join(", ")
    }

    /// What somebody is, or was, called in a space.
    pub(super) fn name(&self, space: SpaceId, user: UserId) -> String {
        let state = self.engine.space(space).ok();
        let name = state.and_then(|state| state.membership.user_name(user).map(str::to_owned));
        name.unwrap_or_else(|| user.to_string())
    }
}

impl Space {
    /// What it's called here: a conversation of few by the names of the others, anything else by its name.
    ///
    /// # Errors
    /// The store's.
    pub async fn called(&self) -> Result<String, NodeError> {
        Ok(self.as_channel().await?.map_or_else(|| self.name(), |(_, name)| name))
    }

    /// Which sort of channel of its parent this space is, and what it is called by those who are in it; `None` if it's none.
    pub(crate) async fn as_channel(&self) -> Result<Option<(Kind, String)>, NodeError> {
        let (Some(parent), id) = (self.parent(), self.id()) else { return Ok(None) };
        let parent = parent.id();
        let look = move |look: &Look<'_>| {
            let state = look.engine.space(id)?;
            let Some(room) = look.child(parent, state)? else { return Ok(None) };
            let others = room.people.iter().copied().filter(|user| *user != look.me);
            let name = if room.kind == Kind::Direct { look.names(parent, others) } else { room.name };
            Ok(Some((room.kind, name)))
        };
        self.chat().look(look).await
    }
}

impl Chat {
    /// All channels of the space that can be seen here.
    pub(super) async fn rooms(&self) -> Result<Vec<Room>, NodeError> {
        let parent = self.space.id();
        self.look(move |look| look.rooms(parent)).await
    }

    /// Looks at the rows and the memory together.
    pub(super) async fn look<R: Send + 'static>(
        &self,
        what: impl FnOnce(&Look<'_>) -> Result<R, NodeError> + Send + 'static,
    ) -> Result<R, NodeError> {
        let (engine, me) = (self.node().0.engine_handle(), self.me());
        let read = move |rows: &Reader<'_>| {
            let engine = engine.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Ok(what(&Look { rows, engine: &engine, me }))
        };
        self.node().0.store.read(read).await?
    }
}

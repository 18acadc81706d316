//! [`Space`]: one space of a node.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use covey_engine::{Deeds, Engine, EngineError, Secrets, SpaceState, acts::Acted};
use covey_pair::Nameplate;
use covey_records::ops::RecordId;
use covey_space::{
    Role,
    ops::{HistoryPolicy, SetSpace},
};
use covey_store::Tx;
use covey_types::{DeviceId, SpaceId, UserId, limits::MAX_NAME_BYTES};
use tokio::sync::watch;

use crate::{
    Collection, Member, Node, NodeError, Removal, SpaceStatus, SyncStatus, own::is_kept_back, pairing,
    sync::describe,
};

/// Changes that are read at once for a watcher.
const WATCH_BATCH: usize = 256;

/// Bytes of documents that are read at once for a watcher, beside the last one: what one that is slow holds in memory.
const WATCH_BYTES: usize = 1 << 20;

/// What an act is done with.
pub(crate) struct Act<'a, 'tx> {
    pub(crate) rows: &'a mut Tx<'tx>,
    pub(crate) secrets: &'a Secrets,
    pub(crate) space: SpaceId,
    pub(crate) now_ms: u64,
}

/// One space of a node. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Space {
    pub(crate) node: Node,
    id: SpaceId,
}

/// A way into a space, open for one device and for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The public half of its code, by which it's named in events, in the audit, and to take it back.
    pub id: Nameplate,
    /// What one person reads to the other: `COVEY-XXXX-XXXX`.
    pub code: String,
    /// The same as a link, with where to find this node.
    pub link: String,
    /// When it ends, milliseconds since 1970.
    pub expires_at_ms: u64,
    /// What the joiner will be.
    pub role: Role,
}

/// A change of one record: its newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its number: larger than those of all changes before, on this node.
    pub position: u64,
    /// Where the record belongs.
    pub collection: String,
    /// Which record.
    pub id: String,
    /// The document as JSON text; `None` if the record was deleted.
    pub doc: Option<String>,
}

impl Space {
    pub(crate) fn new(node: Node, id: SpaceId) -> Self {
        Self { node, id }
    }

    /// Which space.
    pub fn id(&self) -> SpaceId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.node.engine().space(self.id).map(|space| space.name().to_owned()).unwrap_or_default()
    }

    /// Whether it's this user's own, in which nobody else can be.
    pub fn is_personal(&self) -> bool {
        self.node.0.own.personal() == Some(self.id)
    }

    /// Refuses what the personal space is not for.
    pub(crate) fn require_shared(&self, act: &'static str) -> Result<(), NodeError> {
        if self.is_personal() { Err(NodeError::Personal { act }) } else { Ok(()) }
    }

    /// What this device's user may do; `None` before the first sync has told.
    pub fn role(&self) -> Option<Role> {
        if self.node.0.own.has_ended(self.id) {
            return None;
        }
        let device = self.node.device();
        self.node.engine().role_in(self.id, device)
    }

    /// Who is in it.
    pub fn members(&self) -> Vec<Member> {
        let engine = self.node.engine();
        let Ok(space) = engine.space(self.id) else { return Vec::new() };
        let member = |(user, member): (_, covey_space::Member)| Member {
            user,
            name: member.name,
            role: member.role,
            devices: member.devices.into_iter().collect(),
        };
        space.membership.members().into_iter().map(member).collect()
    }

    /// How it stands, and with whom.
    ///
    /// # Errors
    /// The store's.
    pub async fn status(&self) -> Result<SpaceStatus, NodeError> {
        let key = self.node.engine().space(self.id)?.key;
        let (logs, collections) =
            self.node.0.store.read(move |reader| Ok((reader.logs(key)?, reader.collections(key)?))).await?;
        let connected = self.node.0.sessions.connected();
        let removed = self.removal().await?;
        let pending = crate::delivery::pending(self, &logs)?;
        let channel = self.as_channel().await?;
        let engine = self.node.engine();
        let space = engine.space(self.id)?;
        let me = self.node.device();
        let sync: Vec<SyncStatus> = self
            .others(space, &connected)
            .into_iter()
            .map(|device| describe(&self.node, &engine, space, device, connected.contains(&device)))
            .collect();
        Ok(SpaceStatus {
            id: self.id,
            name: channel.as_ref().map_or_else(|| space.name().to_owned(), |(_, name)| name.clone()),
            channel: channel.map(|(kind, _)| kind),
            parent: space.parent().map(|parent| {
                (parent, engine.space(parent).map(|parent| parent.name().to_owned()).unwrap_or_default())
            }),
            role: engine.role_in(self.id, me).filter(|_| !self.node.0.own.has_ended(self.id)),
            members: space.membership.len() as u64,
            entries: logs.iter().map(|log| log.head.seq).sum(),
            records: collections
                .iter()
                .filter(|collection| !collection.name.starts_with(covey_chat::ids::PREFIX))
                .map(|collection| collection.live)
                .sum(),
            forks: crate::forks::of(space),
            new_logs: crate::new_logs::of(space, &logs),
            pending,
            sync,
            personal: self.is_personal(),
            removed,
        })
    }

    /// How this device came to be out of the space; `None` if it isn't.
    ///
    /// # Errors
    /// The store's.
    pub async fn removal(&self) -> Result<Option<Removal>, NodeError> {
        let removals = {
            let engine = self.node.engine();
            engine.space(self.id)?.membership.removals_of(self.node.device())
        };
        if removals.is_empty() {
            return Ok(None);
        }
        let acts = self.audit().await?;
        let own = self.node.secrets().user.id();
        let removal = acts.into_iter().find(|act| removals.contains(&act.hash)).map(|act| Removal {
            own: act.who.user == Some(own),
            by: act.who.user_name,
            at_ms: act.hlc.wall_ms(),
        });
        Ok(removal)
    }

    /// The other devices that have it. Before the first sync has told who they are: who let this one in, and those that
    /// have said that they share it.
    fn others(&self, space: &SpaceState, connected: &BTreeSet<DeviceId>) -> BTreeSet<DeviceId> {
        let me = self.node.device();
        // Whoever is out is refused by everybody, and that is as it should be.
        if space.is_out(me) {
            return BTreeSet::new();
        }
        let mut others: BTreeSet<_> = space.membership.devices().map(|(device, _)| device).collect();
        if !space.membership.is_founded() {
            others.extend(space.info.inviter);
            let shares = |device: &DeviceId| self.node.0.sessions.view(*device, space.id).is_some();
            others.extend(connected.iter().copied().filter(shares));
        }
        others.remove(&me);
        others
    }

    /// Opens a way in for one device. The code is for reading aloud, the link for sending.
    ///
    /// # Errors
    /// [`NodeError::NotAllowed`] below admin; [`NodeError::Invalid`] for a life that is too long or too short.
    pub async fn invite(&self, role: Role, expires: Duration) -> Result<Invitation, NodeError> {
        pairing::invite(self, role, expires).await
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// [`NodeError::Membership`] if the rules don't allow it.
    pub async fn set_role(&self, user: UserId, role: Role) -> Result<(), NodeError> {
        self.require_shared("shared, so nobody has a role in it")?;
        self.act(move |engine, act| engine.set_role(act.rows, act.secrets, act.space, user, role, act.now_ms))
            .await
    }

    /// Puts a member out, with all their devices, and changes the space's key. What they wrote until now stays. They are
    /// put out of its children too: by this node where it may, otherwise by the next that may.
    ///
    /// # Errors
    /// [`NodeError::Membership`] if the rules don't allow it.
    pub async fn remove_member(&self, user: UserId) -> Result<(), NodeError> {
        self.require_shared("left")?;
        self.act_all(move |engine, Act { rows, secrets, space, now_ms }| {
            let leaves = user == secrets.user.id();
            let mut deeds = Deeds::new();
            if leaves {
                deeds.extend(engine.leave_children(rows, secrets, space, now_ms)?);
            }
            deeds.push((space, engine.remove_member(rows, secrets, space, user, now_ms)?));
            deeds.extend(engine.tend_children(rows, secrets, space, now_ms)?);
            Ok(deeds)
        })
        .await
    }

    /// Leaves the space, and its children. What is here stays, and can be read.
    ///
    /// # Errors
    /// [`NodeError::Membership`] for the last owner of it or of a child, who has to make somebody else owner first.
    pub async fn leave(&self) -> Result<(), NodeError> {
        self.remove_member(self.node.secrets().user.id()).await
    }

    /// Puts a device out, and changes the space's key; out of its children too, as with members.
    ///
    /// # Errors
    /// [`NodeError::Membership`] if the rules don't allow it.
    pub async fn remove_device(&self, device: DeviceId) -> Result<(), NodeError> {
        // Whoever has stolen one device of a user can have it say that the others were revoked. That must not keep them
        // from revoking it: by what is known here they may.
        if !self.is_personal() {
            self.node.require_going_on(self.id)?;
        }
        self.act_anyway(move |engine, Act { rows, secrets, space, now_ms }| {
            let mut deeds = vec![(space, engine.remove_device(rows, secrets, space, device, now_ms)?)];
            deeds.extend(engine.tend_children(rows, secrets, space, now_ms)?);
            Ok(deeds)
        })
        .await
    }

    /// Changes the space's key: what is written from now on can't be read with the old one.
    ///
    /// # Errors
    /// [`NodeError::Membership`] below admin.
    pub async fn rotate_key(&self) -> Result<(), NodeError> {
        self.act(|engine, act| engine.rotate_key(act.rows, act.secrets, act.space, act.now_ms)).await
    }

    /// Renames a device for everybody in the space. One that is called so already is left as it is: of two who give it
    /// the same name, as the API and this node's own care for its user's devices do, one tells the others.
    ///
    /// # Errors
    /// [`NodeError::Membership`] for other people's devices, unless this user is an admin.
    pub async fn rename_device(&self, device: DeviceId, name: &str) -> Result<(), NodeError> {
        let name = name.to_owned();
        self.act_all(move |engine, Act { rows, secrets, space, now_ms }| {
            let renamed = engine.rename_device(rows, secrets, space, device, &name, now_ms)?;
            Ok(renamed.map(|acted| (space, acted)).into_iter().collect())
        })
        .await
    }

    /// Who may read what was written before they joined.
    pub fn history(&self) -> Option<HistoryPolicy> {
        Some(self.node.engine().space(self.id).ok()?.membership.history())
    }

    /// Changes who may read what was written before they joined: for those who join from now on.
    ///
    /// # Errors
    /// [`NodeError::Membership`] below admin.
    pub async fn set_history(&self, history: HistoryPolicy) -> Result<(), NodeError> {
        self.require_shared("changed in its rules")?;
        let set = SetSpace { name: None, history: Some(history) };
        self.act(move |engine, act| engine.set_space(act.rows, act.secrets, act.space, set, act.now_ms)).await
    }

    async fn act(
        &self,
        what: impl FnOnce(&mut Engine, Act<'_, '_>) -> Result<Acted, EngineError> + Send + 'static,
    ) -> Result<(), NodeError> {
        let space = self.id;
        self.act_all(move |engine, act| Ok(vec![(space, what(engine, act)?)])).await
    }

    pub(crate) async fn act_all(
        &self,
        what: impl FnOnce(&mut Engine, Act<'_, '_>) -> Result<Deeds, EngineError> + Send + 'static,
    ) -> Result<(), NodeError> {
        self.node.require_going_on(self.id)?;
        self.act_anyway(what).await
    }

    /// As [`Space::act_all`], whether or not somebody says that this device was revoked.
    async fn act_anyway(
        &self,
        what: impl FnOnce(&mut Engine, Act<'_, '_>) -> Result<Deeds, EngineError> + Send + 'static,
    ) -> Result<(), NodeError> {
        let node = self.node.clone();
        let (secrets, space, now_ms) = (node.secrets(), self.id, node.now_ms());
        let act = async move {
            let acted = node
                .write(move |rows, engine| Ok(what(engine, Act { rows, secrets: &secrets, space, now_ms })?));
            node.acted_all(&acted.await?);
            Ok(())
        };
        self.node.to_its_end(act).await
    }

    /// A collection, by name. It comes into being with its first record.
    ///
    /// # Errors
    /// [`NodeError::Invalid`] for a name that can't be one.
    pub fn collection(&self, name: &str) -> Result<Collection, NodeError> {
        if name.is_empty() || name.len() > MAX_NAME_BYTES || RecordId::parse(name).is_err() {
            let rule = format!("1 to {MAX_NAME_BYTES} bytes without control characters");
            return Err(NodeError::Invalid(format!("{name:?} can't be the name of a collection: {rule}")));
        }
        self.require_not_kept_back(Some(name))?;
        self.node.engine().space(self.id)?;
        Ok(Collection::new(self.clone(), name.to_owned()))
    }

    /// The collections and how many records each has.
    ///
    /// # Errors
    /// The store's.
    pub async fn collections(&self) -> Result<Vec<(String, u64)>, NodeError> {
        let key = self.node.engine().space(self.id)?.key;
        let rows = self.node.0.store.read(move |reader| reader.collections(key)).await?;
        let personal = self.is_personal();
        let shown = rows.into_iter().filter(|row| !(personal && is_kept_back(&row.name)));
        Ok(shown.map(|row| (row.name, row.live)).collect())
    }

    /// Refuses to show what the personal space keeps for Covey itself. `None` stands for all collections.
    fn require_not_kept_back(&self, collection: Option<&str>) -> Result<(), NodeError> {
        match collection {
            _ if !self.is_personal() => Ok(()),
            None => Err(NodeError::Invalid("of the personal space name the collection that you mean".into())),
            Some(name) if is_kept_back(name) => {
                Err(NodeError::Invalid(format!("the collection {name:?} is kept by Covey itself")))
            }
            Some(_) => Ok(()),
        }
    }

    /// The changes after position `since`, oldest first: each record once, in its newest version.
    ///
    /// # Errors
    /// The store's.
    pub async fn changes(
        &self,
        collection: Option<&str>,
        since: u64,
        limit: usize,
    ) -> Result<Vec<Change>, NodeError> {
        self.changes_within(collection, since, limit, usize::MAX).await
    }

    async fn changes_within(
        &self,
        collection: Option<&str>,
        since: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Change>, NodeError> {
        self.require_not_kept_back(collection)?;
        let key = self.node.engine().space(self.id)?.key;
        let collection = collection.map(str::to_owned);
        let read = move |reader: &covey_store::Reader<'_>| {
            let wanted = match &collection {
                None => None,
                Some(name) => match reader.collection(key, name)? {
                    None => return Ok(Vec::new()),
                    found => found,
                },
            };
            reader.changes_within(key, wanted, since, limit, max_bytes)
        };
        let change = |row: covey_store::Change| Change {
            position: row.position,
            collection: row.collection_name,
            id: row.id,
            doc: row.doc,
        };
        Ok(self.node.0.store.read(read).await?.into_iter().map(change).collect())
    }

    /// The newest position on this node.
    pub fn position(&self) -> u64 {
        *self.node.0.store.position_watch().borrow()
    }

    /// Follows changes as they come: those after `since`, or from now on.
    pub fn watch(&self, collection: Option<String>, since: Option<u64>) -> Watch {
        let positions = self.node.0.store.position_watch();
        let since = since.unwrap_or_else(|| *positions.borrow());
        Watch { space: self.clone(), collection, since, positions, ready: VecDeque::new() }
    }
}

/// Changes as they come.
#[derive(Debug)]
pub struct Watch {
    space: Space,
    collection: Option<String>,
    since: u64,
    positions: watch::Receiver<u64>,
    ready: VecDeque<Change>,
}

impl Watch {
    /// The next change; waits for it. A watcher that was slow sees each record once, in its newest version.
    ///
    /// # Errors
    /// The store's; [`NodeError::Closing`] at the end.
    pub async fn next(&mut self) -> Result<Change, NodeError> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                self.since = change.position;
                return Ok(change);
            }
            self.positions.borrow_and_update();
            let collection = self.collection.as_deref();
            let changes = self.space.changes_within(collection, self.since, WATCH_BATCH, WATCH_BYTES).await?;
            if changes.is_empty() {
                self.positions.changed().await.map_err(|_| NodeError::Closing)?;
            }
            self.ready.extend(changes);
        }
    }
}

//! What keeps the devices of one user in step: the personal space, and this device's part in all others.
//!
//! The personal space holds one record for each space that the user is in: enough to find it and to follow who is in
//! it, and none of the keys that open what is written there. Those are given to each device in the space itself. Every
//! device of the user compares, whenever one of these may have changed, what the personal space says with what is here:
//!
//! - a space of which there is a record and nothing here is entered;
//! - a space that is here and of which there is no record, or an old one, gets one;
//! - devices of the personal space that a space lacks are taken into it, and those that were revoked are put out;
//! - names that were given to the user or this device elsewhere are taken over.
//!
//! Nothing of it needs a particular device to be online: whoever sees that something is to be done, and may, does it.

mod records;

pub(crate) use self::records::{RESERVED, is_kept_back};

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use covey_engine::{Engine, EngineError, OwnDevices, Profile, Rows, Secrets, personal_space};
use covey_space::Membership;
use covey_store::{Reader, StoreError, Tx};
use covey_types::{DeviceId, SpaceId, UserId};
use tokio::sync::Notify;

use self::records::{OwnSpace, Standing};
use crate::{Event, Node, NodeError, Space};

/// Where it is kept that this device was told to be revoked, and by which device.
const REVOKED: &str = "revoked-by";

/// How long news are gathered before they are looked at: entries come in groups.
const GATHER: Duration = Duration::from_millis(50);

/// When to look again at what could not be done: a key may be on its way.
const RETRY: Duration = Duration::from_secs(10);

/// Between one device's turn and the next, when several could do the same: longer than an entry takes on a LAN.
pub(crate) const TURN: Duration = Duration::from_millis(300);

/// Former names of this device that are remembered: it's not renamed more often while the news of it are under way.
const MAX_FORMER_NAMES: usize = 8;

/// Devices that wait for each other; those behind act with the last of them.
const MOST_TURNS: u32 = 5;

/// What a node knows of its user's own.
#[derive(Debug)]
pub(crate) struct Own {
    personal: Mutex<Option<SpaceId>>,
    /// Something may have changed.
    news: Notify,
    /// Spaces that have ended for the user, as another device knows and this one can't see for itself.
    ended: Mutex<BTreeSet<SpaceId>>,
    /// The device that said that this one was revoked.
    revoked_by: Mutex<Option<DeviceId>>,
    /// What this device was called before, since the start.
    former_names: Mutex<VecDeque<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Founds the personal space of a user who has none yet.
pub(crate) fn ensure_personal(tx: &mut Tx<'_>, secrets: &Secrets, wall_ms: u64) -> Result<(), StoreError> {
    if personal_space(tx)?.is_some() {
        return Ok(());
    }
    let founded = Engine::load(tx)?.found_personal(tx, secrets, wall_ms);
    founded.map(drop).map_err(|err| match err {
        EngineError::Store(err) => err,
        err => StoreError::Corrupt { doing: "found the personal space", reason: err.to_string() },
    })
}

impl Own {
    pub(crate) fn load(reader: &Reader<'_>) -> Result<Self, StoreError> {
        let told = Rows::meta(reader, REVOKED)?;
        Ok(Self {
            personal: Mutex::new(personal_space(reader)?),
            news: Notify::new(),
            ended: Mutex::default(),
            revoked_by: Mutex::new(told.and_then(|bytes| DeviceId::from_slice(&bytes))),
            former_names: Mutex::default(),
        })
    }

    /// The user's personal space.
    pub(crate) fn personal(&self) -> Option<SpaceId> {
        *lock(&self.personal)
    }

    pub(crate) fn set_personal(&self, id: SpaceId) {
        *lock(&self.personal) = Some(id);
        self.look_again();
    }

    /// Has everything compared again, soon.
    pub(crate) fn look_again(&self) {
        self.news.notify_one();
    }

    /// Whether a space has ended for the user, though nothing here says so.
    pub(crate) fn has_ended(&self, id: SpaceId) -> bool {
        lock(&self.ended).contains(&id)
    }
}

impl Node {
    /// The user's personal space: their devices, and which spaces they are in.
    pub fn personal(&self) -> Option<Space> {
        Some(Space::new(self.clone(), self.0.own.personal()?))
    }

    /// Whether this device was revoked: by what is known here, or by the word of another device of its user.
    pub fn is_revoked(&self) -> bool {
        let told = *lock(&self.0.own.revoked_by);
        let Some(personal) = self.0.own.personal() else { return false };
        let engine = self.engine();
        let Ok(space) = engine.space(personal) else { return false };
        // The word of one that is out itself by now counts no more: it may have been a thief's.
        told.is_some_and(|by| space.membership.has_device(by)) || is_out(&space.membership, self.device())
    }

    /// The device whose word alone says that this one was revoked: by what is known here it wasn't.
    pub(crate) fn word_of_revocation(&self) -> Option<(DeviceId, String)> {
        let by = (*lock(&self.0.own.revoked_by))?;
        let engine = self.engine();
        let mine = &engine.space(self.0.own.personal()?).ok()?.membership;
        let is_word = mine.has_device(by) && !is_out(mine, self.device());
        is_word.then(|| (by, mine.device_name(by).unwrap_or_default().to_owned()))
    }

    /// Refuses what a revoked device can't do any more.
    pub(crate) fn require_not_revoked(&self) -> Result<(), NodeError> {
        if self.is_revoked() { Err(NodeError::Revoked) } else { Ok(()) }
    }

    /// Refuses to change a space that has ended for the user.
    pub(crate) fn require_going_on(&self, id: SpaceId) -> Result<(), NodeError> {
        self.require_not_revoked()?;
        if !self.0.own.has_ended(id) {
            return Ok(());
        }
        let space = self.engine().space(id)?.name().to_owned();
        Err(NodeError::Membership(EngineError::PutOut { space }))
    }
}

/// Whether a device was in a space and is no more.
fn is_out(membership: &Membership, device: DeviceId) -> bool {
    membership.is_founded() && membership.was_device(device) && !membership.has_device(device)
}

/// A peer refuses the personal space to this device. If it's one of the user's own, this one was revoked: those of one's
/// own share it with all that are in it, and with those that they don't know yet.
pub(crate) fn refused_by(node: &Node, peer: DeviceId) {
    let Some(personal) = node.0.own.personal() else { return };
    let is_own = node.engine().space(personal).is_ok_and(|space| space.membership.has_device(peer));
    if !is_own || lock(&node.0.own.revoked_by).replace(peer) == Some(peer) {
        return;
    }
    node.0.own.look_again();
    let keeper = node.clone();
    node.spawn(async move {
        let kept = keeper.write(move |tx, _| Ok(tx.set_meta(REVOKED, peer.as_bytes())?)).await;
        if let Err(err) = kept {
            tracing::warn!(%err, "noting that this device was revoked");
        }
    });
}

/// Compares and acts, at the start and at all news.
pub(crate) async fn run(node: Node) {
    let mut was_revoked = node.is_revoked();
    loop {
        let is_revoked = node.is_revoked();
        if is_revoked && !was_revoked {
            let by = *lock(&node.0.own.revoked_by);
            tracing::warn!(?by, "this device was revoked");
            node.emit(Event::Revoked { by });
        }
        if was_revoked && !is_revoked {
            // It called nobody meanwhile.
            tracing::info!("whoever said that this device was revoked is out itself: it goes on as before");
            crate::peers::redial_members(&node);
        }
        was_revoked = is_revoked;
        let done = if is_revoked { Ok(true) } else { look(&node).await };
        let retry = !matches!(done, Ok(true));
        if let Err(err) = done {
            tracing::warn!(%err, "keeping this user's devices in step");
        }
        tokio::select! {
            () = node.0.own.news.notified() => {}
            () = tokio::time::sleep(RETRY), if retry => {}
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Compares everything once and acts; whether nothing is left to be done.
async fn look(node: &Node) -> Result<bool, NodeError> {
    let Some(personal) = node.0.own.personal() else { return Ok(true) };
    let is_in =
        node.engine().space(personal).is_ok_and(|space| space.membership.role_of(node.device()).is_some());
    if !is_in {
        // It's just being linked: the first sync of the personal space ends in news.
        return Ok(true);
    }
    // Whatever else can't be done, a revoked device must not stay in a space for it.
    let devices = set_devices(node, personal).await;
    let names = take_names_over(node, personal).await;
    let called = crate::profile::tell_spaces(node, personal).await;
    let spaces = compare_spaces(node, personal).await;
    names?;
    called?;
    Ok(devices? & spaces?)
}

/// Tells the user's other devices of spaces, and enters those that they tell of; whether all is as it should be.
async fn compare_spaces(node: &Node, personal: SpaceId) -> Result<bool, NodeError> {
    let told = Arc::new(records::read(node, personal).await?);
    let (told_here, user) = (Arc::clone(&told), node.secrets().user.id());
    // As a change, though it changes nothing: what another one did that fails to be committed is not to be told to all
    // devices, and entered by them.
    let work = node.write(move |_, engine| Ok(compare(engine, user, personal, &told_here))).await?;
    *lock(&node.0.own.ended) = work.ended;
    let mut all_done = true;
    let mut done = |id: SpaceId, result: Result<(), NodeError>| {
        // What can't be done for one space must not keep the others waiting.
        if let Err(err) = result {
            tracing::warn!(space = %id, %err, "keeping this user's devices in step");
            all_done = false;
        }
    };
    for id in work.to_note {
        // Decided anew in the change itself: another look at the same news may have noted it meanwhile.
        let news =
            move |engine: &Engine, told: Option<&OwnSpace>| match look_at(engine, user, personal, id, told) {
                Compared::ToNote(record) => Some(record),
                Compared::Same | Compared::Ended => None,
            };
        done(id, records::write(node, personal, id, news).await);
    }
    for id in work.to_enter {
        if let Some(record) = told.get(&id) {
            done(id, enter(node, id, record).await);
        }
    }
    Ok(all_done)
}

/// The spaces that the user is in, as the personal space tells, with their names.
pub(crate) async fn told_spaces(node: &Node) -> Result<Vec<(SpaceId, String)>, NodeError> {
    let Some(personal) = node.0.own.personal() else { return Ok(Vec::new()) };
    let told = records::read(node, personal).await?;
    let is_in = told.into_iter().filter(|(_, record)| record.standing.is_in);
    Ok(is_in.map(|(id, record)| (id, record.name)).collect())
}

/// What there is to do about spaces.
#[derive(Default)]
struct Work {
    to_note: Vec<SpaceId>,
    /// Entered, or more keys of them taken in.
    to_enter: Vec<SpaceId>,
    ended: BTreeSet<SpaceId>,
}

fn compare(engine: &Engine, user: UserId, personal: SpaceId, told: &records::OwnSpaces) -> Work {
    let mut work = Work::default();
    for (id, record) in told {
        let ring = engine.spaces.get(id).map(|state| &state.info.keys);
        if record.standing.is_in && ring.is_none_or(|ring| !ring.covers(&record.keys)) {
            work.to_enter.push(*id);
        }
    }
    for id in engine.spaces.keys().filter(|id| **id != personal) {
        match look_at(engine, user, personal, *id, told.get(id)) {
            Compared::Same => {}
            Compared::Ended => drop(work.ended.insert(*id)),
            Compared::ToNote(_) => work.to_note.push(*id),
        }
    }
    work
}

/// How what is told of a space compares with what is here.
enum Compared {
    Same,
    /// Whoever told of it knew more than is known here: that it has ended for the user.
    Ended,
    /// What is to be told of it instead.
    ToNote(OwnSpace),
}

fn look_at(
    engine: &Engine,
    user: UserId,
    personal: SpaceId,
    id: SpaceId,
    told: Option<&OwnSpace>,
) -> Compared {
    let mine = engine.spaces.get(&personal).map(|state| &state.membership);
    let Some((state, mine)) = engine.spaces.get(&id).zip(mine) else { return Compared::Same };
    let space = &state.membership;
    if !space.is_founded() {
        return Compared::Same;
    }
    let here = Standing { is_in: space.role_of_user(user).is_some(), at: space.frontier() };
    if let Some(told) = told
        && !space.knows_all(&told.standing.at)
    {
        return if told.standing.is_in { Compared::Same } else { Compared::Ended };
    }
    // Of a space whose key was changed because a device of the user went, nothing is told to that device: the news
    // that it was revoked may not have come here yet.
    let all_are_in = mine.devices().all(|(device, _)| !is_out(space, device));
    let keys = told.map(|told| told.keys.clone()).filter(|_| !all_are_in);
    let keys = keys.unwrap_or_else(|| state.info.keys.for_own_devices());
    let has_news = match told {
        // Of a space that the user is not in, or not yet, nobody needs to know.
        None => here.is_in && all_are_in,
        Some(told) => {
            let all_have_it = mine.devices().all(|(device, _)| space.has_device(device));
            told.standing.is_in != here.is_in || here.is_in && told.keys.is_to_be_noted(&keys, all_have_it)
        }
    };
    if !has_news {
        return Compared::Same;
    }
    Compared::ToNote(OwnSpace { name: state.name().to_owned(), standing: here, keys })
}

async fn enter(node: &Node, id: SpaceId, record: &OwnSpace) -> Result<(), NodeError> {
    let (secrets, now, me) = (node.secrets(), node.now_ms(), node.device());
    let personal = node.0.own.personal();
    let (is_new, from) = {
        let engine = node.engine();
        let others = personal.and_then(|personal| engine.spaces.get(&personal));
        let others = others.into_iter().flat_map(|space| space.membership.devices());
        let from = others.map(|(device, _)| device).find(|device| *device != me);
        (!engine.spaces.contains_key(&id), from)
    };
    let (name, keys) = (record.name.clone(), record.keys.clone());
    let from = from.unwrap_or(me);
    let entered = node
        .write(move |tx, engine| Ok(engine.take_keys(tx, &secrets, id, (&name, keys), from, now)?))
        .await?;
    if is_new {
        tracing::info!(space = %id, "another device of this user is in a space: entered it too");
        node.space_added(id);
    }
    crate::sync::conclude(node, id, &entered);
    Ok(())
}

/// Takes the user's devices into spaces that lack them, and puts revoked ones out; whether all is as it should be.
async fn set_devices(node: &Node, personal: SpaceId) -> Result<bool, NodeError> {
    let wanting = wanting(node, personal).await?;
    let Some(turn) = wanting.iter().map(|(id, _)| turn(node, personal, *id)).max() else { return Ok(true) };
    if turn > 0 {
        tokio::time::sleep(TURN * turn).await;
    }
    for (id, devices) in self::wanting(node, personal).await? {
        // What can't be done in one space must not keep the others waiting.
        if let Err(err) = set_devices_of(node, personal, id, devices).await {
            tracing::debug!(space = %id, %err, "setting this user's devices of a space");
        }
    }
    Ok(self::wanting(node, personal).await?.is_empty())
}

async fn set_devices_of(
    node: &Node,
    personal: SpaceId,
    id: SpaceId,
    devices: OwnDevices,
) -> Result<(), NodeError> {
    let now = node.now_ms();
    // Each is looked at again in the change itself: what was seen may not have come to be on disk, and being put out by
    // itself can't be taken back.
    for device in devices.revoked {
        let secrets = node.secrets();
        let put_out = node.write(move |tx, engine| {
            let wanted = engine.own_devices(tx, &secrets, personal, id)?.revoked.contains(&device);
            Ok(wanted.then(|| engine.remove_device(tx, &secrets, id, device, now)).transpose()?)
        });
        if let Some((entry, outcome)) = put_out.await? {
            tracing::info!(space = %id, %device, "put a revoked device of this user out");
            node.acted(id, entry, &outcome);
        }
    }
    for device in devices.missing {
        let (secrets, name) = (node.secrets(), device.name.clone());
        let added = node.write(move |tx, engine| {
            let wanted = engine.own_devices(tx, &secrets, personal, id)?.missing;
            let wanted = wanted.into_iter().find(|new| new.cert.device == device.cert.device);
            let added = wanted.map(|device| engine.add_device(tx, &secrets, id, &device, now));
            Ok(added.transpose()?)
        });
        if let Some((entry, outcome)) = added.await? {
            tracing::info!(space = %id, device = name, "took a further device of this user in");
            node.acted(id, entry, &outcome);
        }
    }
    Ok(())
}

/// The spaces in which something is to be done about devices.
async fn wanting(node: &Node, personal: SpaceId) -> Result<Vec<(SpaceId, OwnDevices)>, NodeError> {
    let spaces: Vec<SpaceId> = node.engine().spaces.keys().copied().collect();
    let secrets = node.secrets();
    let keeper = node.clone();
    let read = move |reader: &Reader<'_>| {
        let engine = keeper.engine();
        let compared = |id| Ok((id, engine.own_devices(reader, &secrets, personal, id)?));
        Ok(spaces.into_iter().map(compared).collect::<Result<Vec<_>, EngineError>>())
    };
    let mut wanting = node.0.store.read(read).await??;
    wanting.retain(|(_, devices)| !devices.is_empty());
    Ok(wanting)
}

/// How many of the user's other devices go first: those near, in the order of their ids.
pub(crate) fn turn(node: &Node, personal: SpaceId, space: SpaceId) -> u32 {
    let me = node.device();
    let near = node.0.sessions.sharing(space);
    let engine = node.engine();
    let Ok(mine) = engine.space(personal) else { return 0 };
    let before = mine.membership.devices().filter(|(device, _)| *device < me && near.contains(device));
    u32::try_from(before.count()).unwrap_or(MOST_TURNS).min(MOST_TURNS)
}

/// Takes over what the user and this device are called in the personal space. A device that was renamed is called so in
/// the other spaces too.
pub(crate) async fn take_names_over(node: &Node, personal: SpaceId) -> Result<(), NodeError> {
    let (secrets, me) = (node.secrets(), node.device());
    let profile = {
        let engine = node.engine();
        let mine = &engine.space(personal)?.membership;
        let (user, device) = (mine.user_name(secrets.user.id()), mine.device_name(me));
        let old = &secrets.profile;
        Profile {
            user_name: user.unwrap_or(&old.user_name).to_owned(),
            device_name: device.unwrap_or(&old.device_name).to_owned(),
        }
    };
    let is_renamed = profile.device_name != secrets.profile.device_name;
    if profile != secrets.profile {
        let named = secrets.called(profile.clone());
        let saved = named.clone();
        node.write(move |tx, _| Ok(saved.save(tx)?)).await?;
        node.set_secrets(named);
    }
    let former = {
        let mut former = lock(&node.0.own.former_names);
        if is_renamed {
            former.truncate(MAX_FORMER_NAMES - 1);
            former.push_front(secrets.profile.device_name.clone());
        }
        former.clone()
    };
    for space in node.spaces() {
        let called = node.engine().space(space.id())?.membership.device_name(me).map(str::to_owned);
        // Whoever took it into a space meanwhile may not have heard of the new name; but an admin may have given it another.
        let is_former = called.as_ref().is_some_and(|called| former.contains(called));
        if space.role().is_some()
            && called.as_ref() != Some(&profile.device_name)
            && (is_renamed || is_former)
            && let Err(err) = space.rename_device(me, &profile.device_name).await
        {
            tracing::warn!(space = %space.id(), %err, "telling a space the new name of this device");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use covey_space::KeyRing;
    use covey_types::EntryHash;

    use super::*;
    use crate::{Collection, MdnsConfig, NodeConfig};

    /// How long anything may take: far more than it needs.
    const PATIENCE: Duration = Duration::from_secs(30);

    async fn node(home: &std::path::Path, name: &str) -> Node {
        let mut config = NodeConfig::new(home.join(name));
        config.profile = Some(Profile { user_name: "Ada".into(), device_name: name.into() });
        config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".into()];
        config.mdns = MdnsConfig::off();
        Node::open(config).await.unwrap()
    }

    async fn eventually(what: &str, check: impl Fn() -> bool) {
        let wait = async {
            while !check() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never happened: {what}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_word_of_a_device_that_is_revoked_itself_counts_no_more() {
        let home = tempfile::tempdir().unwrap();
        let (laptop, phone, stolen) = (
            node(home.path(), "laptop").await,
            node(home.path(), "phone").await,
            node(home.path(), "stolen").await,
        );
        for device in [&phone, &stolen] {
            let code = laptop.link_device(Duration::from_mins(1)).await.unwrap();
            device.link_to(&code.link, PATIENCE).await.unwrap();
        }
        eventually("the phone knows all three", || phone.own_devices().len() == 3).await;
        // Whoever has the stolen one lets it refuse the personal space to the phone.
        let thief = stolen.device();
        stolen.shutdown().await;
        refused_by(&phone, thief);
        assert!(phone.is_revoked());
        laptop.revoke_own(thief).await.unwrap();
        eventually("the phone hears who was really revoked", || !phone.is_revoked()).await;
        phone.create_space("garden").await.unwrap();
        eventually("and is as before", || laptop.space("garden").is_ok()).await;
        // A stranger's refusal says nothing at all.
        refused_by(&phone, DeviceId([7; 32]));
        assert!(!phone.is_revoked());
        for node in [laptop, phone] {
            node.shutdown().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_device_that_was_called_revoked_by_a_stolen_one_can_still_revoke_that() {
        let home = tempfile::tempdir().unwrap();
        let (laptop, phone) = (node(home.path(), "laptop").await, node(home.path(), "phone").await);
        let garden = laptop.create_space("garden").await.unwrap();
        let code = laptop.link_device(Duration::from_mins(1)).await.unwrap();
        phone.link_to(&code.link, PATIENCE).await.unwrap();
        let devices = || garden.members()[0].devices.len();
        eventually("the phone is in the garden", || devices() == 2).await;
        let thief = phone.device();
        phone.shutdown().await;
        refused_by(&laptop, thief);
        assert!(laptop.is_revoked());
        assert!(matches!(laptop.create_space("new").await, Err(NodeError::Revoked)));
        let other = laptop.rename_own(thief, "mine").await;
        assert!(matches!(other, Err(NodeError::Revoked)), "{other:?}");
        let said = laptop.doctor().await.into_iter().find(|check| check.name == "device").unwrap();
        let remedy = said.remedy.unwrap_or_default();
        assert!(said.detail.contains("\"phone\"") && remedy.contains("device revoke"), "{remedy}");
        laptop.revoke_own(thief).await.unwrap();
        assert!(!laptop.is_revoked());
        eventually("the phone is out of the garden", || devices() == 1).await;
        laptop.create_space("new").await.unwrap();
        laptop.shutdown().await;
    }

    /// What was noted in the personal space, by whom ever: the places of its logs together.
    async fn noted(node: &Node) -> u64 {
        node.personal().unwrap().status().await.unwrap().entries
    }

    /// Compares and acts until nothing is left to do.
    async fn look_until_done(node: &Node) {
        for _ in 0..50 {
            let before = noted(node).await;
            if look(node).await.unwrap() && noted(node).await == before {
                return;
            }
        }
        panic!("there is always something left to do");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_to_be_done_about_devices_is_decided_anew_when_it_is_done() {
        let home = tempfile::tempdir().unwrap();
        let (laptop, phone) = (node(home.path(), "laptop").await, node(home.path(), "phone").await);
        let garden = laptop.create_space("garden").await.unwrap();
        let code = laptop.link_device(Duration::from_mins(1)).await.unwrap();
        phone.link_to(&code.link, PATIENCE).await.unwrap();
        let devices = || garden.members()[0].devices.len();
        eventually("the phone is in the garden", || devices() == 2).await;
        let personal = laptop.0.own.personal().unwrap();
        // Seen in memory, before the commit failed that would have revoked the phone.
        let seen = OwnDevices { missing: Vec::new(), revoked: vec![phone.device()] };
        set_devices_of(&laptop, personal, garden.id(), seen).await.unwrap();
        assert_eq!(devices(), 2);
        for node in [laptop, phone] {
            node.shutdown().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn more_spaces_than_are_read_at_once_are_each_noted_once() {
        let home = tempfile::tempdir().unwrap();
        let laptop = node(home.path(), "laptop").await;
        laptop.create_space("garden").await.unwrap();
        let personal = laptop.personal().unwrap();
        let left = OwnSpace {
            name: "left".into(),
            standing: Standing { is_in: false, at: vec![EntryHash([7; 32])] },
            keys: KeyRing::generate().0.for_own_devices(),
        };
        let doc = serde_json::to_string(&left).unwrap();
        // Before the garden in the order of their ids, as good as always.
        let row = |n: u16| {
            let mut id = [0; 32];
            id[30..].copy_from_slice(&n.to_be_bytes());
            (Some(SpaceId(id).to_string()), doc.clone())
        };
        let many = Collection::new(personal, "covey.spaces".into());
        many.put_many((0..1100).map(row).collect()).await.unwrap();
        look_until_done(&laptop).await;
        assert_eq!(records::read(&laptop, laptop.0.own.personal().unwrap()).await.unwrap().len(), 1101);
        laptop.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_two_looks_at_the_same_news_both_find_is_noted_once() {
        let home = tempfile::tempdir().unwrap();
        let laptop = node(home.path(), "laptop").await;
        look_until_done(&laptop).await;
        for name in ["garden", "shed", "attic"] {
            let before = noted(&laptop).await;
            laptop.create_space(name).await.unwrap();
            let (one, other) = tokio::join!(look(&laptop), look(&laptop));
            assert!(one.unwrap() && other.unwrap());
            assert_eq!(noted(&laptop).await, before + 1, "{name}");
        }
        laptop.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_epochs_of_a_space_are_noted_few_times_and_all_when_a_device_needs_them() {
        const EPOCHS: u64 = 60;
        let home = tempfile::tempdir().unwrap();
        let (laptop, phone) = (node(home.path(), "laptop").await, node(home.path(), "phone").await);
        let garden = laptop.create_space("garden").await.unwrap();
        look_until_done(&laptop).await;
        let before = noted(&laptop).await;
        for _ in 0..EPOCHS {
            garden.rotate_key().await.unwrap();
            look_until_done(&laptop).await;
        }
        let times = noted(&laptop).await - before;
        assert!(times < EPOCHS / 2, "{times}");
        let code = laptop.link_device(Duration::from_mins(1)).await.unwrap();
        phone.link_to(&code.link, PATIENCE).await.unwrap();
        let personal = laptop.0.own.personal().unwrap();
        let is_complete = || {
            let ring =
                |node: &Node| node.engine().space(garden.id()).ok().map(|state| state.info.keys.clone());
            ring(&phone).is_some_and(|there| there.covers(&ring(&laptop).unwrap()))
        };
        eventually("the phone can follow who is in the garden", is_complete).await;
        eventually("and is in it", || garden.members()[0].devices.len() == 2).await;
        assert!(phone.engine().space(personal).is_ok());
        for node in [laptop, phone] {
            node.shutdown().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_record_that_cannot_be_written_keeps_no_revoked_device_in_a_space() {
        let home = tempfile::tempdir().unwrap();
        let (laptop, phone) = (node(home.path(), "laptop").await, node(home.path(), "phone").await);
        let garden = laptop.create_space("garden").await.unwrap();
        let code = laptop.link_device(Duration::from_mins(1)).await.unwrap();
        phone.link_to(&code.link, PATIENCE).await.unwrap();
        let devices = || garden.members()[0].devices.len();
        eventually("the phone is in the garden", || devices() == 2).await;
        phone.shutdown().await;
        let personal = laptop.0.own.personal().unwrap();
        look_until_done(&laptop).await;
        // The key of the personal space is lost here, and there is something to note in it.
        let (thief, secrets) = (phone.device(), laptop.secrets());
        let lose = laptop.write(move |tx, engine| {
            engine.remove_device(tx, &secrets, personal, thief, 1)?;
            let state = engine.spaces.get_mut(&personal).unwrap();
            state.info.keys = state.info.keys.for_own_devices();
            // On disk too: a change that fails has the memory read afresh.
            tx.set_space_info(state.key, &covey_types::wire::encode(&state.info))?;
            engine.found_space(tx, &secrets, "new", 1)?;
            Ok(())
        });
        lose.await.unwrap();
        assert!(!matches!(look(&laptop).await, Ok(true)), "the record of the new space can't be written");
        assert_eq!(devices(), 1);
        laptop.shutdown().await;
    }
}

//! Who is there and who is typing: told by gossip, sealed under the epoch's key, and never kept.
//!
//! Each space has a topic whose name only those know who have its current key. A signal counts if it was signed by a device
//! that is in the space now. Of presence the spaces themselves carry the signals, and not their children.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use covey_chat::{
    ids,
    limits::{AWAY_AFTER, BEAT_EVERY},
    presence::{News, Presence, Roster, Said, Signal},
};
use covey_log::{BodyContext, EpochKey, Kind, open, seal};
use covey_space::Standing;
use covey_types::{DeviceId, Incarnation, LogId, SpaceId, UserId};
use tokio::sync::{Notify, broadcast::error::RecvError};

use super::{ChannelKind, Chat};
use crate::{Event, Node, NodeError};

/// After a peer has come it takes the gossip of both a moment to know each other.
const AFTER_MEETING: Duration = Duration::from_millis(1500);

/// What is known of who is there.
#[derive(Debug, Default)]
pub(crate) struct Presences {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    roster: Roster,
    /// The topics that are followed, and the spaces they are of.
    topics: BTreeMap<[u8; 32], SpaceId>,
    /// When the user did something last; `None` before they did.
    active_ms: Option<u64>,
    /// Whether they said that they are away.
    is_away: bool,
}

impl Presences {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What ties a signal to its space and device.
const fn context(space: SpaceId, device: DeviceId) -> BodyContext {
    BodyContext { space, log: LogId { device, incarnation: Incarnation(0) }, seq: 0, kind: Kind::RECORDS }
}

fn own_state(state: &State, now_ms: u64) -> Presence {
    let idle = state.active_ms.map(|at| now_ms.saturating_sub(at));
    match idle {
        Some(idle) if !state.is_away && idle < AWAY_AFTER.as_millis() as u64 => Presence::Online,
        _ => Presence::Away,
    }
}

/// The current keys of the spaces that this device is in.
fn keys(node: &Node) -> Vec<(SpaceId, bool, EpochKey)> {
    let (device, personal) = (node.device(), node.0.own.personal());
    let engine = node.engine();
    let ours = engine.spaces.values().filter(|space| Some(space.id) != personal);
    let ours = ours.filter(|space| engine.standing(space.id, device) == Standing::Member);
    ours.filter_map(|space| Some((space.id, space.parent().is_some(), space.current_key()?.clone())))
        .collect()
}

/// Follows the topics of all spaces with their current keys, and no others.
async fn follow(node: &Node) {
    let wanted: BTreeMap<[u8; 32], SpaceId> =
        keys(node).iter().map(|(space, _, key)| (key.gossip_topic(), *space)).collect();
    let before = std::mem::replace(&mut node.0.presences.state().topics, wanted.clone());
    for topic in wanted.keys().filter(|topic| !before.contains_key(*topic)) {
        node.0.net.subscribe(*topic).await;
    }
    for (topic, space) in before.iter().filter(|(topic, _)| !wanted.contains_key(*topic)) {
        node.0.net.unsubscribe(*topic).await;
        if !wanted.values().any(|other| other == space) {
            node.0.presences.state().roster.forget(*space);
        }
    }
}

async fn publish(node: &Node, space: SpaceId, key: &EpochKey, signal: Signal) {
    let said = Said { at_ms: node.now_ms(), signal };
    let sealed = seal(&key.gossip(), context(space, node.device()), &said.encode());
    if let Err(err) = node.0.net.publish(key.gossip_topic(), sealed).await {
        tracing::trace!(%space, %err, "nobody was told");
    }
}

/// Says in all spaces how this device's user is.
async fn beat(node: &Node, state: Option<Presence>) {
    let now = node.now_ms();
    let state = state.unwrap_or_else(|| own_state(&node.0.presences.state(), now));
    for (space, is_child, key) in keys(node) {
        if !is_child {
            publish(node, space, &key, Signal::Here(state)).await;
        }
    }
}

/// Takes in what was gossiped.
pub(crate) fn heard(node: &Node, topic: [u8; 32], from: DeviceId, data: &[u8]) {
    let Some(space) = node.0.presences.state().topics.get(&topic).copied() else { return };
    let (key, user) = {
        let engine = node.engine();
        let Ok(state) = engine.space(space) else { return };
        let user = state.author(from).filter(|_| engine.standing(space, from) == Standing::Member);
        let (Some(key), Some(user)) = (state.current_key().cloned(), user) else { return };
        (key, user)
    };
    let Ok(plain) = open(&key.gossip(), context(space, from), data) else { return };
    let Some(said) = Said::decode(&plain) else { return };
    let now = node.now_ms();
    let news = node.0.presences.state().roster.hear(space, (from, user), said, now);
    news.into_iter().for_each(|news| tell(node, space, news));
}

fn tell(node: &Node, space: SpaceId, news: News) {
    match news {
        News::Presence(user, state) => node.emit(Event::Presence { space, user, state }),
        News::Typing(user, channel) => node.emit(Event::Typing { space, channel, user }),
    }
}

/// Says that this node goes.
pub(crate) async fn farewell(node: &Node) {
    beat(node, Some(Presence::Offline)).await;
}

/// Keeps telling and listening until the node is gone.
pub(crate) async fn run(node: Node) {
    let mut events = node.events();
    {
        let now = node.now_ms();
        // Somebody has just started it.
        node.0.presences.state().active_ms = Some(now);
    }
    loop {
        follow(&node).await;
        beat(&node, None).await;
        let pause = tokio::time::sleep(BEAT_EVERY);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                () = node.0.presences.wake.notified() => break,
                event = events.recv() => match event {
                    Ok(Event::PeerConnected(_) | Event::SpaceAdded(_) | Event::MembersChanged(_)) => {
                        follow(&node).await;
                        let soon = tokio::time::Instant::now() + AFTER_MEETING;
                        if soon < pause.deadline() {
                            pause.as_mut().reset(soon);
                        }
                    }
                    // What it said last may have been lost on the way.
                    Ok(Event::PeerDisconnected(device)) => {
                        let gone = node.0.presences.state().roster.lose(device, node.now_ms());
                        gone.into_iter().for_each(|(space, news)| tell(&node, space, news));
                    }
                    Err(RecvError::Closed) => return,
                    _ => {}
                },
            }
        }
        let now = node.now_ms();
        let gone = node.0.presences.state().roster.tick(now);
        gone.into_iter().for_each(|(space, news)| tell(&node, space, news));
    }
}

impl Node {
    /// Says that this device's user is there, or away. Who does nothing for five minutes is away too. Whatever people do
    /// in chat says that they are there; what is marked as read doesn't, since an open page does that with nobody at it.
    pub fn set_presence(&self, away: bool) {
        let now = self.now_ms();
        let is_news = {
            let mut state = self.0.presences.state();
            let before = own_state(&state, now);
            state.is_away = away;
            if !away {
                state.active_ms = Some(now);
            }
            own_state(&state, now) != before
        };
        if is_news {
            self.0.presences.wake.notify_one();
        }
    }
}

impl Chat {
    /// Who of the space is there, and since when (milliseconds since 1970), as far as it's known here.
    pub fn presence(&self) -> Vec<(UserId, Presence, Option<u64>)> {
        let (space, me, now) = (self.space.id(), self.me(), self.node().now_ms());
        let members = self.space.members();
        let state = self.node().0.presences.state();
        let of = |user: UserId| {
            let known = state.roster.of(space, user);
            let (mut presence, since) =
                known.map_or((Presence::Offline, None), |(state, since)| (state, Some(since)));
            if user == me {
                presence = presence.max(own_state(&state, now));
            }
            (user, presence, since)
        };
        members.into_iter().map(|member| of(member.user)).collect()
    }

    /// Tells those who are in a channel and near that this user is typing.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] for a channel that isn't there.
    pub async fn typing(&self, wanted: &str) -> Result<(), NodeError> {
        let room = self.room(wanted).await?;
        self.node().set_presence(false);
        let home = room.home()?;
        let inner = if room.kind == ChannelKind::Public { home.inner.as_str() } else { ids::MAIN };
        let key = self.node().engine().space(home.space)?.current_key().cloned();
        if let Some(key) = key {
            publish(self.node(), home.space, &key, Signal::Typing(inner.to_owned())).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
    };

    use super::*;
    use crate::{NetworkMode, NodeConfig, Profile, WallClock, chat::NewMessage};

    type Act<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

    /// A node on its own whose user has just started it, and its clock.
    async fn node(home: &Path) -> (Node, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(1_800_000_000_000));
        let mut config = NodeConfig::new(home);
        config.profile = Some(Profile { user_name: "Ada".into(), device_name: "laptop".into() });
        config.network = NetworkMode::Solo;
        config.clock = WallClock::new({
            let time = Arc::clone(&time);
            move || time.load(Ordering::SeqCst)
        });
        let node = Node::open(config).await.unwrap();
        // Its start counts as something that was done; the task that says so runs beside this one.
        while node.0.presences.state().active_ms.is_none() {
            tokio::task::yield_now().await;
        }
        (node, time)
    }

    #[tokio::test]
    async fn a_mark_says_nothing_of_whether_its_user_is_there_and_what_they_write_does() {
        let home = tempfile::tempdir().unwrap();
        let (node, time) = node(home.path()).await;
        let chat = node.create_space("garden").await.unwrap().chat();
        chat.create_channel("beds", false, "").await.unwrap();
        let say = |text: &str| NewMessage { text: text.into(), ..NewMessage::default() };
        let first = chat.send("beds", say("one")).await.unwrap().id;
        let own = || chat.presence()[0].1;
        assert_eq!(own(), Presence::Online);

        // What an open page does while nobody is at it.
        node.set_presence(true);
        chat.mark_read("beds", &first).await.unwrap();
        chat.set_draft("beds", "hal").await.unwrap();
        assert_eq!(own(), Presence::Away, "whoever said that they are away");
        node.set_presence(false);
        time.fetch_add(AWAY_AFTER.as_millis() as u64, Ordering::SeqCst);
        chat.mark_read("beds", &first).await.unwrap();
        assert_eq!(own(), Presence::Away, "whoever has done nothing for long");

        let acts: [(&str, Act<'_>); 4] = [
            ("edit", Box::pin(async { chat.edit(&first, "two").await.map(drop).unwrap() })),
            ("react", Box::pin(async { chat.react(&first, "👍", true).await.unwrap() })),
            ("delete", Box::pin(async { chat.delete(&first).await.unwrap() })),
            ("send", Box::pin(async { chat.send("beds", say("three")).await.map(drop).unwrap() })),
        ];
        for (name, act) in acts {
            node.set_presence(true);
            act.await;
            assert_eq!(own(), Presence::Online, "after {name}");
        }
        node.shutdown().await;
    }

    #[tokio::test]
    async fn who_does_nothing_for_five_minutes_is_away_and_back_with_the_next_thing_they_do() {
        let home = tempfile::tempdir().unwrap();
        let (node, time) = node(home.path()).await;
        let chat = node.create_space("garden").await.unwrap().chat();
        let after = AWAY_AFTER.as_millis() as u64;
        assert_eq!(after, 5 * 60 * 1000);
        let pass = |ms| time.fetch_add(ms, Ordering::SeqCst);
        let own = || chat.presence()[0].1;

        assert_eq!(own(), Presence::Online);
        pass(after - 1);
        assert_eq!(own(), Presence::Online, "a moment before");
        pass(1);
        assert_eq!(own(), Presence::Away);
        node.set_presence(false);
        assert_eq!(own(), Presence::Online);
        // Whoever says again that they are there begins anew.
        pass(after - 1);
        node.set_presence(false);
        pass(after - 1);
        assert_eq!(own(), Presence::Online);
        node.set_presence(true);
        assert_eq!(own(), Presence::Away, "who says so is away at once");
        node.shutdown().await;
    }
}

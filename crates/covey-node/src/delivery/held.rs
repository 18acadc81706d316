//! The places up to which peers hold logs, as they said: in memory, and kept now and then.
//!
//! What is kept may be older than what is known, and is never more: that a peer has less than before is kept at once. A
//! peer that was heard of less recently than it wrote or stored something is told to lack it until the next session.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use covey_store::{Store, StoreError};
use covey_sync::HeldLog;
use covey_types::{DeviceId, LogId, SpaceId, wire};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::Node;

/// Lines (of a peer, of a log) that are kept of one space: ten devices in a space with thousands of logs, or hundreds in
/// one with a few. What isn't kept is told again in the next session.
const MAX_KEPT: usize = 65_536;

/// Longest list that is read back, bytes: a log takes 42 of them, a line 15 and a device 40 at most.
const MAX_KEPT_BYTES: usize = MAX_KEPT * 100;

/// How far one peer holds each log of a space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Places(BTreeMap<LogId, u64>);

impl Places {
    /// Up to where a peer holds a log that reaches to `head` here. Its own logs it holds as far as they are here, unless it
    /// has said otherwise.
    pub(crate) fn of(&self, peer: DeviceId, log: LogId, head: u64) -> u64 {
        match self.0.get(&log) {
            Some(seq) => head.min(*seq),
            None if log.device == peer => head,
            None => 0,
        }
    }

    fn hear(&mut self, peer: DeviceId, held: &HeldLog) {
        if held.seq < held.of || held.log.device != peer {
            self.0.insert(held.log, held.seq);
        } else {
            self.0.remove(&held.log);
        }
    }
}

/// What the peers hold, of all spaces.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    state: Mutex<State>,
    /// There is something in [`State::news`].
    pub(super) wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    spaces: BTreeMap<SpaceId, BTreeMap<DeviceId, Places>>,
    /// Spaces of which something has changed since it was kept.
    unkept: BTreeSet<SpaceId>,
    /// Peers that hold more, or less, of what this device wrote than was told.
    news: BTreeSet<(SpaceId, DeviceId)>,
}

/// What is kept of one space.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    logs: Vec<LogId>,
    /// By place in the list of logs.
    peers: Vec<(DeviceId, Vec<(u32, u64)>)>,
}

fn name(space: SpaceId) -> String {
    format!("held:{space}")
}

impl Holdings {
    /// What was kept of these spaces.
    pub(crate) async fn load(store: &Store, spaces: Vec<SpaceId>) -> Result<Self, StoreError> {
        let read = move |reader: &covey_store::Reader<'_>| {
            let kept = |space: SpaceId| Ok((space, reader.meta(&name(space))?.unwrap_or_default()));
            spaces.into_iter().map(kept).collect::<Result<Vec<_>, StoreError>>()
        };
        let mut state = State::default();
        for (space, bytes) in store.read(read).await? {
            // Worth showing, and not worth a start: what can't be read is told again.
            let kept: Kept = wire::decode("what peers hold", &bytes, MAX_KEPT_BYTES).unwrap_or_default();
            state.spaces.insert(space, kept.unpack());
        }
        Ok(Self { state: Mutex::new(state), wake: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the peers hold of a space.
    pub(crate) fn of(&self, space: SpaceId) -> BTreeMap<DeviceId, Places> {
        self.state().spaces.get(&space).cloned().unwrap_or_default()
    }

    /// Takes in what a session has learnt of a peer. At first that is all, and what was known before doesn't count.
    pub(crate) fn hear(&self, node: &Node, space: SpaceId, peer: DeviceId, news: &[HeldLog], is_first: bool) {
        let heard = self.state().hear((space, peer), news, is_first, node.device());
        if heard.own {
            self.wake.notify_one();
        }
        if heard.less {
            let node_of_task = node.clone();
            node.spawn(async move { Self::keep(&node_of_task).await });
        }
    }

    /// Forgets what a peer holds of a space.
    pub(crate) fn forget(&self, space: SpaceId, peer: DeviceId) {
        if let Some(peers) = self.state().spaces.get_mut(&space) {
            peers.remove(&peer);
        }
    }

    /// The peers of which there's news of what they hold of this device's own logs; told once.
    pub(super) fn take_news(&self) -> BTreeSet<(SpaceId, DeviceId)> {
        std::mem::take(&mut self.state().news)
    }

    /// Keeps what has changed.
    pub(crate) async fn keep(node: &Node) {
        let unkept = std::mem::take(&mut node.0.held.state().unkept);
        if unkept.is_empty() {
            return;
        }
        let (held, spaces) = (Arc::clone(&node.0.held), unkept.clone());
        // What is known is taken when it's written: of two that keep at once neither stores what is older.
        let kept = node.write(move |tx, engine| {
            for space in spaces {
                let Ok(state) = engine.space(space) else { continue };
                let members: BTreeSet<DeviceId> =
                    state.membership.devices().map(|(device, _)| device).collect();
                let mut peers = held.of(space);
                peers.retain(|peer, _| members.contains(peer));
                tx.set_meta(&name(space), &wire::encode(&Kept::pack(&peers)))?;
            }
            Ok(())
        });
        if let Err(err) = kept.await {
            tracing::debug!(%err, "keeping what peers hold");
            node.0.held.state().unkept.extend(unkept);
        }
    }
}

/// What was new in what a session has learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Heard {
    /// Of this device's own logs.
    own: bool,
    /// The peer holds less of some log than it did.
    less: bool,
}

impl State {
    fn hear(
        &mut self,
        (space, peer): (SpaceId, DeviceId),
        news: &[HeldLog],
        is_first: bool,
        own: DeviceId,
    ) -> Heard {
        let places = self.spaces.entry(space).or_default().entry(peer).or_default();
        let before = is_first.then(|| std::mem::take(places));
        let mut heard = Heard::default();
        for held in news {
            let was = before.as_ref().unwrap_or(places).of(peer, held.log, held.of);
            places.hear(peer, held);
            heard.own |= held.log.device == own && held.seq != was;
            heard.less |= held.seq < was;
        }
        if before.is_none_or(|before| before != *places) {
            self.unkept.insert(space);
        }
        if heard.own {
            self.news.insert((space, peer));
        }
        heard
    }
}

impl Kept {
    fn pack(peers: &BTreeMap<DeviceId, Places>) -> Self {
        let mut kept = Self::default();
        let mut index = BTreeMap::new();
        // Those of whose own logs there's a line come first: without it they'd be told to hold more than they do.
        let mut lines: Vec<_> = peers
            .iter()
            .flat_map(|(peer, places)| {
                places.0.iter().map(|(log, seq)| (log.device != *peer, *peer, *log, *seq))
            })
            .filter(|(is_other, .., seq)| *seq > 0 || !is_other)
            .collect();
        lines.sort_unstable();
        lines.truncate(MAX_KEPT);
        for (_, peer, log, seq) in lines {
            let next = kept.logs.len() as u32;
            let at = *index.entry(log).or_insert_with(|| {
                kept.logs.push(log);
                next
            });
            match kept.peers.last_mut() {
                Some((last, places)) if *last == peer => places.push((at, seq)),
                _ => kept.peers.push((peer, vec![(at, seq)])),
            }
        }
        kept
    }

    fn unpack(self) -> BTreeMap<DeviceId, Places> {
        let mut peers: BTreeMap<DeviceId, Places> = BTreeMap::new();
        for (peer, lines) in self.peers {
            let places = peers.entry(peer).or_default();
            let lines = lines.into_iter().filter_map(|(at, seq)| Some((*self.logs.get(at as usize)?, seq)));
            places.0.extend(lines);
        }
        peers
    }
}

#[cfg(test)]
mod tests;

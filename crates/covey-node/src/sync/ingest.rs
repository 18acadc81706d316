//! Storing what comes from peers, and telling everybody concerned.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use covey_engine::{HoldReason, Ingested, LookBack, Prepared, prepare};
use covey_log::Entry;
use covey_space::Standing;
use covey_sync::{Input, Rejection};
use covey_types::{DeviceId, Head, LogId, SpaceId};
use tokio::sync::mpsc;

use super::{Message, SessionEnd, Sessions, Shared, driver::standing, forks, lock};
use crate::{Event, Node, NodeError, Space};

/// Batches that are stored in one transaction when they come faster than the disk.
const INGEST_BATCHES: usize = 16;

/// How often it's looked whether the disk has room again.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// Entries of one space that came together, and what they took of the window, bytes.
type Batch = (SpaceId, Vec<Entry>, u32);

/// Entries of one space that were checked as far as that goes without the store.
struct Ready {
    space: SpaceId,
    prepared: Vec<Prepared>,
    /// What was turned away before.
    outcome: Ingested,
    /// What the batches took of the window, behind the last of their entries.
    ends: Option<u32>,
}

/// Checks and stores what comes: while some of it is written, what follows is checked already. At most one part waits
/// for the other that is written.
pub(super) async fn ingest_all(
    node: Node,
    peer: DeviceId,
    batches: mpsc::UnboundedReceiver<Batch>,
    inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    ends: mpsc::Sender<SessionEnd>,
) {
    let (ready, to_store) = mpsc::channel(1);
    let preparing = prepare_all(node.clone(), peer, batches, Arc::clone(&shared), ready);
    let storing = store_all(node, peer, to_store, inbox, shared, ends);
    tokio::join!(preparing, storing);
}

/// Several batches together when they come faster than the disk.
fn gather(
    batches: &mut mpsc::UnboundedReceiver<Batch>,
    (space, mut entries, mut bytes): Batch,
) -> (Batch, Option<Batch>) {
    for _ in 1..INGEST_BATCHES {
        match batches.try_recv() {
            Ok((same, more, size)) if same == space => {
                entries.extend(more);
                bytes += size;
            }
            Ok(other) => return ((space, entries, bytes), Some(other)),
            Err(_) => break,
        }
    }
    ((space, entries, bytes), None)
}

async fn prepare_all(
    node: Node,
    peer: DeviceId,
    mut batches: mpsc::UnboundedReceiver<Batch>,
    shared: Arc<Shared>,
    ready: mpsc::Sender<Result<Ready, SessionEnd>>,
) {
    let mut next = None;
    loop {
        let Some(batch) = (match next.take() {
            Some(batch) => Some(batch),
            None => batches.recv().await,
        }) else {
            return;
        };
        if !has_room(&node, &batches, &shared).await {
            return;
        }
        let Ok(mut place) = ready.reserve().await else { return };
        let ((space, entries, bytes), other) = gather(&mut batches, batch);
        next = other;
        let mut outcome = Ingested::default();
        let mut entries = node.0.sessions.within_allowance(&node, peer, space, entries, &mut outcome);
        loop {
            let prepared;
            (prepared, entries) = match prepare_some(&node, space, entries).await {
                Ok(some) => some,
                Err(end) => return place.send(Err(end)),
            };
            let ends = entries.is_empty().then_some(bytes);
            place.send(Ok(Ready { space, prepared, outcome: std::mem::take(&mut outcome), ends }));
            if entries.is_empty() {
                break;
            }
            place = match ready.reserve().await {
                Ok(place) => place,
                Err(_) => return,
            };
        }
    }
}

/// As many entries from the front as one transaction should hold; and the rest.
async fn prepare_some(
    node: &Node,
    space: SpaceId,
    mut entries: VecDeque<Entry>,
) -> Result<(Vec<Prepared>, VecDeque<Entry>), SessionEnd> {
    // Keys that come with what is written meanwhile are missed here: those entries are opened by the writer.
    let keys = node.engine().space(space).map_err(|err| SessionEnd::Own(err.into()))?.info.keys.clone();
    let preparing = tokio::task::spawn_blocking(move || {
        let prepared = prepare(&mut entries, &keys);
        (prepared, entries)
    });
    let (prepared, rest) = preparing.await.map_err(|_| SessionEnd::Stream)?;
    Ok((prepared.map_err(SessionEnd::Forged)?, rest))
}

async fn store_all(
    node: Node,
    peer: DeviceId,
    mut ready: mpsc::Receiver<Result<Ready, SessionEnd>>,
    inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    ends: mpsc::Sender<SessionEnd>,
) {
    let mut so_far = Ingested::default();
    while let Some(part) = ready.recv().await {
        let stored = match part {
            // In a task of its own: a session that ends must not leave what it stored untold.
            Ok(part) => {
                let (space, ends) = (part.space, part.ends);
                let storing = node.0.tasks.spawn(store(node.clone(), peer, part));
                let Ok(stored) = storing.await else { return };
                stored.map(|outcome| (space, ends, outcome))
            }
            Err(end) => Err(end),
        };
        let (space, bytes, outcome) = match stored {
            Ok(stored) => stored,
            Err(end) => {
                shared.is_in_trouble(end.to_string(), node.now_ms());
                let _ = ends.send(end).await;
                return;
            }
        };
        so_far.merge(outcome);
        let Some(bytes) = bytes else { continue };
        if report(&node, &inbox, space, bytes, std::mem::take(&mut so_far)).await.is_none() {
            return;
        }
    }
}

/// Tells the session what became of entries; `None` if it's over.
async fn report(
    node: &Node,
    inbox: &mpsc::Sender<Message>,
    space: SpaceId,
    bytes: u32,
    outcome: Ingested,
) -> Option<()> {
    let strangers = outcome.strangers;
    // What was turned away before the membership changed may be taken now.
    let is_worth_another_try =
        outcome.membership_changed && outcome.rejected.values().any(|is_forked| !is_forked);
    let rejected = outcome.rejected.into_iter().map(|(log, forked)| Rejection { log, forked }).collect();
    let durable = outcome.durable.into_iter().collect();
    let input = Input::Ingested { space, durable, rejected, bytes };
    inbox.send(Message::Input(input)).await.ok()?;
    // Who was unknown may have become known meanwhile: the news of that came before what was turned away was told.
    let known = |device: &DeviceId| {
        let engine = node.engine();
        let space = engine.space(space);
        space.is_ok_and(|state| state.membership.has_device(*device) || state.hears_unknown_authors())
    };
    if is_worth_another_try || strangers.iter().any(known) {
        inbox.send(Message::Membership(space)).await.ok()?;
    }
    Some(())
}

/// Waits until the disk has more room than is kept for this device's own changes; whether the session still lasts then.
/// The peer's window is used up meanwhile, so it waits too.
async fn has_room<T>(node: &Node, batches: &mpsc::UnboundedReceiver<T>, shared: &Shared) -> bool {
    let mut told = false;
    while let Some(lack) = crate::doctor::lack_of_room(node) {
        if batches.is_closed() {
            return false;
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!("{lack}");
        }
        shared.is_in_trouble(lack, node.now_ms());
        tokio::time::sleep(ROOM_INTERVAL).await;
    }
    if told {
        *lock(&shared.trouble) = None;
    }
    true
}

/// Stores entries, and tells everybody concerned.
async fn store(node: Node, peer: DeviceId, part: Ready) -> Result<Ingested, SessionEnd> {
    let Ready { space, prepared, mut outcome, .. } = part;
    if !prepared.is_empty() {
        let (secrets, now) = (node.secrets(), node.now_ms());
        let stored = node
            .write(move |tx, engine| Ok(engine.ingest(tx, &secrets, space, prepared, now)?))
            .await
            .map_err(SessionEnd::Own)?;
        conclude(&node, space, &stored);
        outcome.merge(stored);
    }
    for (log, seq, reason) in &outcome.refused {
        tracing::warn!(%space, %log, seq, reason, %peer, "an entry was stored and is not applied");
    }
    Ok(outcome)
}

/// Bytes of entries that are taken from a device that was put out of a space, until this node is started again. Somebody
/// who was put out may have put others out at the same moment, and nobody else may be left to tell of it; what came before
/// that in the same log comes along. Without a bound they could fill the disk for as long as they like.
const OUTSIDER_BYTES: usize = 16 << 20;

impl Sessions {
    /// What is taken of a peer's entries: all of those of a member; of those of somebody who was put out a little.
    fn within_allowance(
        &self,
        node: &Node,
        peer: DeviceId,
        space: SpaceId,
        entries: Vec<Entry>,
        outcome: &mut Ingested,
    ) -> VecDeque<Entry> {
        let mut entries = VecDeque::from(entries);
        if standing(node, space, peer) != Standing::PutOut {
            return entries;
        }
        let mut taken = lock(&self.outsiders);
        // As many lines as there are devices that members have put out.
        let taken = taken.entry((space, peer)).or_default();
        let fits = |entry: &Entry| {
            *taken = taken.saturating_add(entry.header_bytes.len() + entry.body.len());
            *taken <= OUTSIDER_BYTES
        };
        let left = entries.split_off(entries.iter().map(fits).take_while(|fits| *fits).count());
        for entry in left {
            outcome.rejected.insert(entry.header.log, false);
        }
        entries
    }
}

/// Tells everybody concerned of what was stored.
pub(crate) fn conclude(node: &Node, space: SpaceId, outcome: &Ingested) {
    node.published(space, &outcome.stored);
    if outcome.membership_changed {
        node.membership_changed(space);
        tell_of_removal(node, space);
    }
    for (child, is_new) in &outcome.entered {
        entered(node, *child, *is_new);
    }
    if outcome.rolled_back > 0 {
        tracing::info!(%space, records = outcome.rolled_back, "took back what somebody wrote past the end of their membership");
    }
    forks::tell(node, space, outcome);
    for log in &outcome.new_logs {
        tracing::warn!(%space, %log, "a device goes on in a new log: its home was restored, set back or copied");
        node.emit(Event::NewLog { space, device: log.device });
    }
    for (log, (found, seq)) in &outcome.came_back {
        own_log(node, space, *log, *found, *seq);
    }
    for (device, name) in &outcome.joined {
        node.emit(Event::MemberJoined { space, name: name.clone(), device: *device });
    }
    for (device, ahead_ms) in &outcome.from_the_future {
        tracing::warn!(%space, %device, ahead_ms, "entries from the future: its clock is wrong, or ours; what they say of records waits for their time");
        node.emit(Event::EntryHeld { space, device: *device, ahead_ms: *ahead_ms });
    }
}

/// Tells, once, when this device has been put out of a space.
fn tell_of_removal(node: &Node, id: SpaceId) {
    let is_out = node.engine().space(id).is_ok_and(|space| space.is_out(node.device()));
    let news = {
        let mut out_of = lock(&node.0.sessions.out_of);
        if !is_out {
            out_of.remove(&id);
        }
        is_out && out_of.insert(id)
    };
    if !news {
        return;
    }
    let node_of_task = node.clone();
    node.spawn(async move {
        let node = node_of_task;
        match Space::new(node.clone(), id).removal().await {
            Ok(Some(removal)) => {
                tracing::info!(space = %id, "this device was put out of a space");
                node.emit(Event::Removed { space: id, by: removal.by });
            }
            Ok(None) => {}
            Err(err) => tracing::warn!(space = %id, %err, "looking for who put this device out"),
        }
    });
}

/// A notice has let this device into a child space.
fn entered(node: &Node, child: SpaceId, is_new: bool) {
    tracing::info!(%child, is_new, "was taken into a child space");
    if is_new {
        return node.space_added(child);
    }
    // It was here before: what is held may open with the keys that came.
    let (node, secrets, now) = (node.clone(), node.secrets(), node.now_ms());
    node.clone().spawn(async move {
        let released =
            node.write(move |tx, engine| Ok(engine.release(tx, &secrets, child, HoldReason::Key, now)?));
        match released.await {
            Ok(outcome) => conclude(&node, child, &outcome),
            Err(err) => tracing::warn!(%child, %err, "looking at what new keys open"),
        }
    });
}

/// Compares this device's own log with how far a peer says that it reaches.
pub(super) async fn look_back(
    node: &Node,
    peer: DeviceId,
    space: SpaceId,
    theirs: (LogId, Head),
) -> Result<(), NodeError> {
    let (device, now) = (node.device(), node.now_ms());
    let found = node.write(move |tx, engine| Ok(engine.look_back(tx, device, space, theirs, now)?)).await?;
    if found != LookBack::Fine {
        tracing::debug!(%peer, %space, "the peer knows this device's own log otherwise");
        own_log(node, space, theirs.0, found, theirs.1.seq);
    }
    Ok(())
}

/// Tells that this device's own log came back from others, and that another one is written now.
fn own_log(node: &Node, space: SpaceId, log: LogId, found: LookBack, seq: u64) {
    match found {
        LookBack::Fine => {}
        LookBack::Longer => {
            tracing::warn!(%space, %log, "others have more of this device's own log than it has: its home is an older copy; it goes on in a new log");
            node.emit(Event::NewLog { space, device: log.device });
        }
        LookBack::Forked => {
            tracing::error!(%space, %log, seq, "this device's own log is forked: an older copy of its home was written to; it goes on in a new log");
            node.emit(Event::OwnLogForked { space, seq });
        }
    }
}

/// Applies entries of a space whose time has come.
pub(crate) async fn release_held(node: &Node, space: SpaceId) -> Result<(), NodeError> {
    let key = node.engine().space(space)?.key;
    let now = node.now_ms();
    let due =
        node.0.store.read(move |reader| Ok(reader.held(key)?.iter().any(|row| row.until_ms <= now))).await?;
    if !due {
        return Ok(());
    }
    let secrets = node.secrets();
    let released =
        node.write(move |tx, engine| Ok(engine.release(tx, &secrets, space, HoldReason::Future, now)?));
    let outcome = released.await?;
    conclude(node, space, &outcome);
    Ok(())
}

/// Looks again at entries of later versions: this version may be the one that understands them.
pub(crate) async fn release_unknown(node: &Node) {
    let spaces: Vec<SpaceId> = node.engine().spaces.keys().copied().collect();
    let now = node.now_ms();
    for space in spaces {
        let secrets = node.secrets();
        let released = node
            .write(move |tx, engine| Ok(engine.release(tx, &secrets, space, HoldReason::Unknown, now)?));
        match released.await {
            Ok(outcome) => conclude(node, space, &outcome),
            Err(err) => tracing::warn!(%space, %err, "looking at entries of later versions"),
        }
    }
}

//! Storing what comes from peers, and telling everybody concerned.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use covey_engine::{HoldReason, Ingested, LookBack, prepare};
use covey_log::Entry;
use covey_sync::{Input, Rejection};
use covey_types::{DeviceId, Head, LogId, SpaceId};
use tokio::sync::mpsc;

use super::{Message, SessionEnd, Shared, lock};
use crate::{Event, Node, NodeError};

/// Batches that are stored in one transaction when they come faster than the disk.
const INGEST_BATCHES: usize = 16;

/// How often it's looked whether the disk has room again.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// Stores what comes, several batches in one transaction when they come faster than the disk.
pub(super) async fn ingest_all(
    node: Node,
    peer: DeviceId,
    mut batches: mpsc::UnboundedReceiver<(SpaceId, Vec<Entry>, u32)>,
    inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    ends: mpsc::Sender<SessionEnd>,
) {
    let mut next = None;
    loop {
        let Some((space, mut entries, mut bytes)) = (match next.take() {
            Some(batch) => Some(batch),
            None => batches.recv().await,
        }) else {
            return;
        };
        for _ in 1..INGEST_BATCHES {
            match batches.try_recv() {
                Ok((same, more, size)) if same == space => {
                    entries.extend(more);
                    bytes += size;
                }
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        if !has_room(&node, &batches, &shared).await {
            return;
        }
        // In a task of its own: a session that ends must not leave what it stored untold.
        let storing = node.0.tasks.spawn(ingest(node.clone(), peer, space, entries));
        let outcome = match storing.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(end)) => {
                *lock(&shared.trouble) = Some(end.to_string());
                let _ = ends.send(end).await;
                return;
            }
            Err(_) => return,
        };
        let unknown: Vec<DeviceId> =
            outcome.rejected.iter().filter(|(_, forked)| !**forked).map(|(log, _)| log.device).collect();
        let rejected = outcome.rejected.into_iter().map(|(log, forked)| Rejection { log, forked }).collect();
        let durable = outcome.durable.into_iter().collect();
        let input = Input::Ingested { space, durable, rejected, bytes };
        if inbox.send(Message::Input(input)).await.is_err() {
            return;
        }
        // Who was unknown may have become known meanwhile: the news of that would have come too early.
        let known = |device: &DeviceId| {
            node.engine().space(space).is_ok_and(|state| state.membership.has_device(*device))
        };
        if unknown.iter().any(known) && inbox.send(Message::Membership(space)).await.is_err() {
            return;
        }
    }
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
        *lock(&shared.trouble) = Some(lack);
        tokio::time::sleep(ROOM_INTERVAL).await;
    }
    if told {
        *lock(&shared.trouble) = None;
    }
    true
}

/// Checks and stores entries, and tells everybody concerned.
async fn ingest(
    node: Node,
    peer: DeviceId,
    space: SpaceId,
    entries: Vec<Entry>,
) -> Result<Ingested, SessionEnd> {
    let mut entries = VecDeque::from(entries);
    let mut outcome = Ingested::default();
    while !entries.is_empty() {
        let keys = node.engine().space(space).map_err(|err| SessionEnd::Own(err.into()))?.info.keys.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            let prepared = prepare(&mut entries, &keys);
            (prepared, entries)
        });
        let (prepared, rest) = prepared.await.map_err(|_| SessionEnd::Stream)?;
        entries = rest;
        let (prepared, now) = (prepared.map_err(SessionEnd::Forged)?, node.now_ms());
        let secrets = Arc::clone(&node.0.secrets);
        let part = node
            .write(move |tx, engine| Ok(engine.ingest(tx, &secrets, space, prepared, now)?))
            .await
            .map_err(SessionEnd::Own)?;
        conclude(&node, space, &part);
        outcome.merge(part);
    }
    for (log, seq, reason) in &outcome.refused {
        tracing::warn!(%space, %log, seq, reason, %peer, "an entry was stored and is not applied");
    }
    Ok(outcome)
}

/// Tells everybody concerned of what was stored.
pub(crate) fn conclude(node: &Node, space: SpaceId, outcome: &Ingested) {
    node.published(space, &outcome.stored);
    if outcome.membership_changed {
        node.membership_changed(space);
    }
    if outcome.rolled_back > 0 {
        tracing::info!(%space, records = outcome.rolled_back, "took back what somebody wrote past the end of their membership");
    }
    for (log, (found, seq)) in &outcome.came_back {
        own_log(node, space, *log, *found, *seq);
    }
    for (device, name) in &outcome.joined {
        node.emit(Event::MemberJoined { space, name: name.clone(), device: *device });
    }
    for (device, ahead_ms) in &outcome.from_the_future {
        tracing::warn!(%space, %device, ahead_ms, "entries from the future are held: its clock is wrong, or ours");
        node.emit(Event::EntryHeld { space, device: *device, ahead_ms: *ahead_ms });
    }
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
    let secrets = Arc::clone(&node.0.secrets);
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
        let secrets = Arc::clone(&node.0.secrets);
        let released = node
            .write(move |tx, engine| Ok(engine.release(tx, &secrets, space, HoldReason::Unknown, now)?));
        match released.await {
            Ok(outcome) => conclude(node, space, &outcome),
            Err(err) => tracing::warn!(%space, %err, "looking at entries of later versions"),
        }
    }
}

//! What a space needs: a new key after somebody has left, the current one for devices that missed it, and in a child what
//! its parent has decided.
//!
//! Several devices may see the same need at the same moment. Each waits a little longer than the one before it in the
//! order of their ids, looks again, and mostly finds it done. If two act all the same nothing is lost: the rules pick one.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use covey_space::Role;
use covey_types::{DeviceId, SpaceId};

use crate::{Node, NodeError};

/// Between one device's turn and the next: longer than an entry takes from one to the other on a LAN.
const TURN: Duration = Duration::from_millis(400);

/// Devices that wait for each other; those behind act with the last of them.
const MOST_TURNS: u32 = 10;

/// Spaces with a turn that is waited for.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<BTreeSet<SpaceId>>);

impl Pending {
    fn begin(&self, space: SpaceId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(space)
    }

    fn end(&self, space: SpaceId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&space);
    }
}

/// Does what the space needs when it's this device's turn, if anything.
pub(crate) fn schedule(node: &Node, space: SpaceId) {
    let Some(turn) = turn(node, space) else { return };
    if !node.0.chores.begin(space) {
        return;
    }
    let node = node.clone();
    node.clone().spawn(async move {
        tokio::time::sleep(TURN * turn).await;
        node.0.chores.end(space);
        if let Err(err) = carry_out(&node, space).await {
            tracing::warn!(%space, %err, "seeing to what a space needs");
        }
    });
}

/// How many devices go first, of those that could do it and can be heard of; `None` if there's nothing to do.
fn turn(node: &Node, space: SpaceId) -> Option<u32> {
    let own = node.device();
    let near = node.0.sessions.sharing(space);
    let engine = node.engine();
    let chores = engine.chores(space, own);
    if chores.is_empty() {
        return None;
    }
    let membership = &engine.space(space).ok()?.membership;
    let is_administration = chores.rotate || chores.expel.is_some() || !chores.adopt.is_empty();
    let needed = if is_administration { Role::Admin } else { Role::Guest };
    let could = |device: &DeviceId| near.contains(device) && engine.role_in(space, *device) >= Some(needed);
    let before = membership.devices().filter(|(device, _)| *device < own && could(device));
    Some(u32::try_from(before.count()).unwrap_or(MOST_TURNS).min(MOST_TURNS))
}

async fn carry_out(node: &Node, space: SpaceId) -> Result<(), NodeError> {
    if node.engine().chores(space, node.device()).is_empty() {
        return Ok(());
    }
    let (secrets, now) = (node.secrets(), node.now_ms());
    let deeds = node.write(move |tx, engine| Ok(engine.tend(tx, &secrets, space, now)?)).await?;
    if !deeds.is_empty() {
        tracing::info!(%space, acts = deeds.len(), "saw to what a space needs");
    }
    node.acted_all(&deeds);
    Ok(())
}

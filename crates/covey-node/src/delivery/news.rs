//! Tells when what this device wrote has reached another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use covey_store::{LogRow, Reader, StoreError};
use covey_types::{DeviceId, Hlc, SpaceId};

use super::{Holdings, Known};
use crate::{Event, Node, NodeError, Space};

/// Between two rounds of news: what is acknowledged meanwhile is told at once. The first is told without delay.
const PAUSE: Duration = Duration::from_millis(100);

/// How often what peers hold is kept while it changes. It's kept at the end of a run too.
const KEEP_INTERVAL: Duration = Duration::from_mins(1);

/// Tells the news as they come, and keeps what is known now and then, until the node stops.
pub(crate) async fn run(node: Node) {
    let mut told = BTreeMap::new();
    let mut keep = tokio::time::interval(KEEP_INTERVAL);
    loop {
        tokio::select! {
            () = node.0.held.wake.notified() => {}
            _ = keep.tick() => {
                Holdings::keep(&node).await;
                continue;
            }
        }
        let mut spaces: BTreeMap<SpaceId, BTreeSet<DeviceId>> = BTreeMap::new();
        for (space, peer) in node.0.held.take_news() {
            spaces.entry(space).or_default().insert(peer);
        }
        for (id, peers) in spaces {
            let space = Space::new(node.clone(), id);
            match reached(&space, peers).await {
                Ok(reached) => tell(&node, id, reached, &mut told),
                // A space that was left meanwhile.
                Err(err) => tracing::debug!(space = %id, %err, "looking for what peers hold"),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells what is new. What was told is remembered for the devices of all spaces, and so bounded by them.
fn tell(
    node: &Node,
    space: SpaceId,
    reached: Vec<(DeviceId, Hlc)>,
    told: &mut BTreeMap<(SpaceId, DeviceId), Hlc>,
) {
    for (device, up_to) in reached {
        if told.insert((space, device), up_to) != Some(up_to) {
            node.emit(Event::Delivered { space, device, up_to });
        }
    }
}

/// Up to which time these devices hold what this one wrote.
async fn reached(space: &Space, peers: BTreeSet<DeviceId>) -> Result<Vec<(DeviceId, Hlc)>, NodeError> {
    let mut known = Known::of(space)?;
    known.others.retain(|(device, ..)| peers.contains(device));
    let look = move |reader: &Reader<'_>| {
        let own = known.own;
        let mut logs = covey_engine::Reaches::load(reader, known.key)?;
        let newest = logs.logs().iter().filter(|row| row.id.device == own).map(|row| row.hlc).max();
        let newest = newest.unwrap_or_default();
        let reached = |(device, _, places): &(DeviceId, _, super::Places)| {
            // The others' logs are of no interest here.
            let place = |row: &LogRow| {
                if row.id.device == own { places.of(*device, row.id, row.head.seq) } else { row.head.seq }
            };
            let reach = logs.reach(reader, place)?;
            Ok((*device, reach.up_to(own).unwrap_or(newest)))
        };
        known.others.iter().map(reached).collect::<Result<Vec<_>, StoreError>>()
    };
    Ok(space.node.0.store.read(look).await?)
}

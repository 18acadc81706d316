//! When devices were last connected: kept, so that it is known after a restart.

use std::{collections::BTreeMap, time::Duration};

use covey_store::{Store, StoreError};
use covey_types::{DeviceId, wire};

use super::{MAX_KNOWN, MAX_STORED_BYTES, Peers, is_member};
use crate::Node;

/// Where it is kept when devices were last connected.
const SEEN: &str = "last-seen";

/// How often that is kept while it changes. It's kept at the end of a run too.
const KEEP_SEEN: Duration = Duration::from_mins(1);

/// What was kept.
pub(super) async fn load(store: &Store) -> Result<BTreeMap<DeviceId, u64>, StoreError> {
    let seen = store.read(|reader| reader.meta(SEEN)).await?.unwrap_or_default();
    // Worth showing, and not worth a start: what can't be read is forgotten.
    let seen: Vec<(DeviceId, u64)> =
        wire::decode("when devices were seen", &seen, MAX_STORED_BYTES).unwrap_or_default();
    Ok(seen.into_iter().take(MAX_KNOWN).collect())
}

impl Peers {
    /// How long ago a device was connected, if it ever was.
    pub(crate) fn last_seen(&self, device: DeviceId, now_ms: u64) -> Option<Duration> {
        let seen = self.last_seen_ms(device)?;
        Some(Duration::from_millis(now_ms.saturating_sub(seen)))
    }

    /// When a device was connected last, if it ever was, milliseconds since 1970.
    pub(crate) fn last_seen_ms(&self, device: DeviceId) -> Option<u64> {
        self.book().last_seen.get(&device).copied()
    }

    /// Notes that a device is connected now. Those of strangers are of no interest.
    pub(super) fn saw(&self, node: &Node, device: DeviceId) {
        if !is_member(node, device) {
            return;
        }
        let now_ms = node.now_ms();
        let mut book = self.book();
        if book.last_seen.len() < MAX_KNOWN || book.last_seen.contains_key(&device) {
            book.last_seen.insert(device, now_ms);
            book.seen_changed = true;
        }
    }

    /// Keeps when devices were seen, if that has changed. Those that are connected are seen now.
    pub(crate) async fn keep_seen(node: &Node) {
        for device in node.0.sessions.connected() {
            node.0.peers.saw(node, device);
        }
        let seen: Vec<(DeviceId, u64)> = {
            let mut book = node.0.peers.book();
            if !std::mem::take(&mut book.seen_changed) {
                return;
            }
            book.last_seen.iter().map(|(device, seen)| (*device, *seen)).collect()
        };
        if let Err(err) = node.write(move |tx, _| Ok(tx.set_meta(SEEN, &wire::encode(&seen))?)).await {
            tracing::debug!(%err, "keeping when devices were seen");
        }
    }
}

/// Keeps it while the node runs.
pub(super) async fn keep_now_and_then(node: Node) {
    loop {
        tokio::time::sleep(KEEP_SEEN).await;
        Peers::keep_seen(&node).await;
    }
}

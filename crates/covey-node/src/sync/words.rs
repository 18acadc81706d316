//! How a space stands with a peer, in words.

use std::time::Duration;

use covey_sync::PeerView;
use covey_types::DeviceId;

use crate::{Node, SyncState, SyncStatus, engine::SpaceState};

pub(super) fn state_of(view: PeerView) -> SyncState {
    if view.refused {
        SyncState::Refused
    } else if view.forked_logs > 0 {
        SyncState::Behind
    } else if view.heads_known && view.missing_here == 0 && view.missing_there == 0 {
        SyncState::InSync
    } else {
        SyncState::Syncing
    }
}

/// How a space stands with one of its devices, in words.
pub(crate) fn describe(node: &Node, space: &SpaceState, device: DeviceId, session: bool) -> SyncStatus {
    let name = space.membership.device_name(device).unwrap_or("the device").to_owned();
    let view = node.0.sessions.view(device, space.id);
    let unreachable = || match node.0.peers.last_seen(device) {
        Some(ago) => format!("{name} is not reachable; it was connected {} ago", ago_text(ago)),
        None => format!("{name} has not been reachable since this node started"),
    };
    let (state, reason) = match view {
        None if session => (SyncState::Syncing, Some(format!("finding out what {name} has"))),
        None => (SyncState::Unreachable, Some(unreachable())),
        Some(view) => (state_of(view), reason_for(view, &name)),
    };
    // Something goes wrong on this side: what is missing isn't moving.
    let (state, reason) = match node.0.sessions.trouble(device) {
        Some(trouble) if state == SyncState::Syncing => (SyncState::Behind, Some(trouble)),
        trouble => (state, trouble.or(reason)),
    };
    let view = view.unwrap_or_default();
    SyncStatus {
        peer: device,
        state,
        missing_here: view.missing_here,
        missing_there: view.missing_there,
        reason,
    }
}

fn reason_for(view: PeerView, name: &str) -> Option<String> {
    match state_of(view) {
        SyncState::InSync => None,
        SyncState::Refused => Some(format!("{name} refuses to share this space with this device")),
        SyncState::Behind => Some(format!(
            "{} of the logs differ between here and {name}: their authors have forked them",
            view.forked_logs
        )),
        _ if !view.heads_known => Some(format!("finding out what {name} has")),
        _ => Some(format!("{} entries to come, {} to go", view.missing_here, view.missing_there)),
    }
}

fn ago_text(ago: Duration) -> String {
    match ago.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

//! How a space stands with a peer, in words.

use std::time::Duration;

use covey_sync::PeerView;
use covey_types::DeviceId;

use covey_engine::{Engine, SpaceState};
use covey_space::Standing;

use crate::{Node, SyncState, SyncStatus};

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
pub(crate) fn describe(
    node: &Node,
    engine: &Engine,
    space: &SpaceState,
    device: DeviceId,
    session: bool,
) -> SyncStatus {
    let name = match space.membership.device_name(device) {
        Some(name) => name.to_owned(),
        None if space.info.inviter == Some(device) => "the device that let this one in".to_owned(),
        None => format!("a device that is not known yet ({device})"),
    };
    let view = node.0.sessions.view(device, space.id);
    let unreachable = || match node.last_seen(device) {
        Some(ago) => format!("{name} is not reachable; it was connected {} ago", ago_text(ago)),
        None => format!("{name} has not been reachable so far"),
    };
    let so_far = node.0.sessions.since_ms(device, space.id);
    let (state, reason, since_ms) = match view {
        None if session => (SyncState::Syncing, Some(format!("finding out what {name} has")), so_far),
        None => (SyncState::Unreachable, Some(unreachable()), node.0.peers.last_seen_ms(device)),
        Some(view) => (state_of(view), reason_for(view, &name), so_far),
    };
    // Something goes wrong on this side: what is missing isn't moving.
    let (state, reason, since_ms) = match node.0.sessions.trouble(device) {
        Some(trouble) if state == SyncState::Syncing => {
            (SyncState::Behind, Some(trouble.reason), Some(trouble.since_ms))
        }
        trouble => (state, trouble.map(|trouble| trouble.reason).or(reason), since_ms),
    };
    let (state, reason, since_ms) = match out_of_parent(engine, space, device, &name) {
        Some(reason) => (SyncState::Refused, Some(reason), None),
        None => (state, reason, since_ms),
    };
    let view = view.unwrap_or_default();
    SyncStatus {
        peer: device,
        state,
        missing_here: view.missing_here,
        missing_there: view.missing_there,
        reason,
        since_ms,
    }
}

/// Why nothing of a child is shared with one of its devices, if its parent says so.
fn out_of_parent(engine: &Engine, space: &SpaceState, device: DeviceId, name: &str) -> Option<String> {
    let parent = engine.space(space.parent()?).ok()?;
    let is_out = engine.standing(space.id, device) == Standing::PutOut;
    is_out.then(|| {
        format!(
            "{name} is no longer in {}, to which this space belongs, and gets nothing of it",
            parent.name()
        )
    })
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
        _ => Some(format!("in touch with {name}: {}", under_way(view.missing_here, view.missing_there))),
    }
}

/// What is still to be sent, and by whom: `1 entry to come, 2 to go`.
fn under_way(to_come: u64, to_go: u64) -> String {
    let entries = |number: u64| format!("{number} {}", if number == 1 { "entry" } else { "entries" });
    match (to_come, to_go) {
        (to_come, 0) => format!("{} to come", entries(to_come)),
        (0, to_go) => format!("{} to go", entries(to_go)),
        (to_come, to_go) => format!("{} to come, {to_go} to go", entries(to_come)),
    }
}

fn ago_text(ago: Duration) -> String {
    match ago.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_is_under_way_names_the_device_and_what_is_missing() {
        let say = |missing_here, missing_there| {
            let view = PeerView { missing_here, missing_there, heads_known: true, ..PeerView::default() };
            reason_for(view, "phone")
        };
        assert_eq!(say(3, 1).as_deref(), Some("in touch with phone: 3 entries to come, 1 to go"));
        assert_eq!(say(0, 1).as_deref(), Some("in touch with phone: 1 entry to go"));
        assert_eq!(say(1, 0).as_deref(), Some("in touch with phone: 1 entry to come"));
        assert_eq!(say(0, 0), None);
    }
}

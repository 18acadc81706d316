//! Devices, across all spaces: this user's, and those of the people they share a space with.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use covey_node::{DeviceId, Identity, Member, Node, NodeError, PeerState, Space, UserId};

use super::ApiState;
use crate::{
    convert,
    dto::{DeviceDoneDto, DeviceSpaceDto, DoneInSpaceDto, KnownDeviceDto, NewDeviceName},
    events::unix_ms,
    extract::{InJson, InPath},
    find::{Named, pick},
    problem::Problem,
    refusal::{Wish, refused},
};

/// The spaces that this node's user is in; of those that they were put out of nothing is known any more.
fn spaces(node: &Node) -> Vec<Space> {
    node.spaces().into_iter().filter(|space| space.role().is_some()).collect()
}

/// All devices that are known, without how they are connected.
fn known(node: &Node) -> BTreeMap<DeviceId, KnownDeviceDto> {
    let me = node.identity();
    let mut devices = BTreeMap::new();
    for space in spaces(node) {
        let (space_id, space_name) = (space.id().to_string(), space.name());
        for member in space.members() {
            for (device, name) in member.devices {
                let line = || unseen(device, &name, (member.user, &member.name), &me);
                let known = devices.entry(device).or_insert_with(line);
                let (id, space) = (space_id.clone(), space_name.clone());
                known.spaces.push(DeviceSpaceDto { id, name: space, device: name });
            }
        }
    }
    let own = || unseen(me.device, &me.device_name, (me.user, &me.user_name), &me);
    devices.entry(me.device).or_insert_with(own);
    devices
}

/// A device that is in no space and was not connected yet.
fn unseen(device: DeviceId, name: &str, user: (UserId, &str), me: &Identity) -> KnownDeviceDto {
    KnownDeviceDto {
        peer_id: device.to_string(),
        name: name.to_owned(),
        user_id: user.0.to_string(),
        user: user.1.to_owned(),
        yours: user.0 == me.user,
        this: device == me.device,
        fingerprint: device.fingerprint(),
        state: convert::peer_state(PeerState::Offline).to_owned(),
        last_seen: None,
        spaces: Vec::new(),
    }
}

async fn with_states(node: &Node, mut devices: BTreeMap<DeviceId, KnownDeviceDto>) -> Vec<KnownDeviceDto> {
    for peer in node.peers().await {
        if let Some(known) = devices.get_mut(&peer.device) {
            convert::peer_state(peer.state).clone_into(&mut known.state);
        }
    }
    for (device, known) in &mut devices {
        if known.this {
            "here".clone_into(&mut known.state);
        } else if known.state != "connected" {
            let ago = node.last_seen(*device).map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
            known.last_seen = ago.map(|ago_ms| convert::rfc3339(unix_ms().saturating_sub(ago_ms)));
        }
    }
    let mut devices: Vec<_> = devices.into_values().collect();
    devices
        .sort_by_cached_key(|device| (!device.this, !device.yours, device.user.clone(), device.name.clone()));
    devices
}

/// A device by id, part of it, or a name that it has in any space.
fn find(node: &Node, wanted: &str) -> Result<(DeviceId, KnownDeviceDto), Problem> {
    let named = |(id, known): (DeviceId, KnownDeviceDto)| Named {
        id: known.peer_id.clone(),
        names: std::iter::once(&known.name)
            .chain(known.spaces.iter().map(|space| &space.device))
            .cloned()
            .collect(),
        what: (id, known),
    };
    pick("device", wanted, known(node).into_iter().map(named).collect())
}

pub(super) async fn list(State(state): State<ApiState>) -> Json<Vec<KnownDeviceDto>> {
    Json(with_states(&state.node, known(&state.node)).await)
}

pub(super) async fn one(
    State(state): State<ApiState>,
    InPath(device): InPath<String>,
) -> Result<Json<KnownDeviceDto>, Problem> {
    let (id, known) = find(&state.node, &device)?;
    let found = with_states(&state.node, BTreeMap::from([(id, known)])).await;
    found.into_iter().next().map(Json).ok_or_else(|| Problem::internal("a device got lost"))
}

pub(super) async fn rename(
    State(state): State<ApiState>,
    InPath(device): InPath<String>,
    InJson(new): InJson<NewDeviceName>,
) -> Result<Json<DeviceDoneDto>, Problem> {
    let (id, known) = find(&state.node, &device)?;
    let name = new.name.clone();
    let spaces = everywhere(&state.node, id, &known.name, &Change::Name(new.name)).await?;
    Ok(Json(DeviceDoneDto { peer_id: known.peer_id, name, spaces }))
}

pub(super) async fn revoke(
    State(state): State<ApiState>,
    InPath(device): InPath<String>,
) -> Result<Json<DeviceDoneDto>, Problem> {
    let (id, known) = find(&state.node, &device)?;
    let spaces = everywhere(&state.node, id, &known.name, &Change::Out).await?;
    Ok(Json(DeviceDoneDto { peer_id: known.peer_id, name: known.name, spaces }))
}

/// What is done to a device in every space that it is in.
enum Change {
    /// It's called so.
    Name(String),
    /// It's put out.
    Out,
}

impl Change {
    async fn make(&self, space: &Space, device: DeviceId) -> Result<(), NodeError> {
        match self {
            Self::Name(name) => space.rename_device(device, name).await,
            Self::Out => space.remove_device(device).await,
        }
    }

    fn wish<'a>(&self, owner: &'a Member) -> Wish<'a> {
        let (act, takes_owner) = match self {
            Self::Name(_) => ("renaming others' devices", false),
            Self::Out => ("removing others' devices", owner.devices.len() == 1),
        };
        Wish { act, whom: Some(owner), role: None, takes_owner }
    }
}

/// Changes a device in every space where that is allowed. It is an error if that is so in none.
async fn everywhere(
    node: &Node,
    device: DeviceId,
    name: &str,
    change: &Change,
) -> Result<Vec<DoneInSpaceDto>, Problem> {
    let (mut lines, mut refusal) = (Vec::new(), None);
    for space in spaces(node) {
        let Some(owner) = owner_of(&space, device) else { continue };
        let mut reason = None;
        if let Err(error) = change.make(&space, device).await {
            let problem = refused(error, &space, node.identity().user, &change.wish(&owner));
            // What is wrong in itself is so everywhere, and nothing was done yet.
            if problem.status() == StatusCode::BAD_REQUEST {
                return Err(problem);
            }
            reason = Some(problem.detail().to_owned());
            refusal.get_or_insert(problem);
        }
        let (id, name) = (space.id().to_string(), space.name());
        lines.push(DoneInSpaceDto { id, name, done: reason.is_none(), reason });
    }
    match refusal {
        Some(problem) if lines.iter().all(|line| !line.done) => Err(problem),
        None if lines.is_empty() => {
            Err(Problem::conflict(format!("{name:?} is in no space, so there is nothing to do")))
        }
        _ => Ok(lines),
    }
}

fn owner_of(space: &Space, device: DeviceId) -> Option<Member> {
    space.members().into_iter().find(|member| member.devices.iter().any(|(id, _)| *id == device))
}

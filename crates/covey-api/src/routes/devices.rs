//! Devices, across all spaces: this user's, and those of the people they share a space with.

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use covey_node::{DeviceId, Identity, Member, Node, NodeError, PeerState, Space, UserId};

use super::ApiState;
use crate::{
    convert,
    dto::{DeviceDoneDto, DeviceSpaceDto, DoneInSpaceDto, KnownDeviceDto, NewDeviceName, OwnDeviceDto},
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
    for (device, name) in node.own_devices().into_iter().chain([(me.device, me.device_name.clone())]) {
        let own = || unseen(device, &name, (me.user, &me.user_name), &me);
        devices.entry(device).or_insert_with(own);
    }
    devices
}

/// What a space is called in a list; one that can't be looked at any more goes by the name that it had.
async fn called(space: &Space) -> String {
    space.called().await.unwrap_or_else(|_| space.name())
}

/// Puts in the names that channels have in the lists of spaces: a conversation of two is called by the other one's name.
async fn name_spaces(node: &Node, devices: impl Iterator<Item = &mut KnownDeviceDto>) {
    let mut names = BTreeMap::new();
    for space in spaces(node).into_iter().filter(|space| space.parent().is_some()) {
        names.insert(space.id().to_string(), called(&space).await);
    }
    for space in devices.flat_map(|device| &mut device.spaces) {
        if let Some(name) = names.get(&space.id) {
            space.name.clone_from(name);
        }
    }
}

/// This user's devices, this one first.
pub(super) async fn own(node: &Node) -> Vec<OwnDeviceDto> {
    let mine = known(node).into_iter().filter(|(_, device)| device.yours).collect();
    let line = |device: KnownDeviceDto| OwnDeviceDto {
        peer_id: device.peer_id,
        name: device.name,
        this: device.this,
        fingerprint: device.fingerprint,
        words: device.words,
        state: device.state,
        last_seen: device.last_seen,
    };
    with_states(node, mine).await.into_iter().map(line).collect()
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
        words: convert::words(device),
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

/// The devices of this user, and of those who share a space with them: all of them, in one piece.
///
/// They are those of the members of this node's spaces, each once: see `listMembers` for what bounds them.
#[utoipa::path(
    get,
    path = "/devices",
    tag = "devices",
    operation_id = "listDevices",
    responses((status = 200, description = "The devices.", body = Vec<KnownDeviceDto>))
)]
pub(super) async fn list(State(state): State<ApiState>) -> Json<Vec<KnownDeviceDto>> {
    let mut devices = known(&state.node);
    name_spaces(&state.node, devices.values_mut()).await;
    Json(with_states(&state.node, devices).await)
}

/// One device.
#[utoipa::path(
    get,
    path = "/devices/{device}",
    tag = "devices",
    operation_id = "getDevice",
    responses((status = 200, description = "The device.", body = KnownDeviceDto))
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    InPath(device): InPath<String>,
) -> Result<Json<KnownDeviceDto>, Problem> {
    let (id, known) = find(&state.node, &device)?;
    let found = with_states(&state.node, BTreeMap::from([(id, known)])).await;
    found.into_iter().next().map(Json).ok_or_else(|| Problem::internal("a device got lost"))
}

/// Gives a device another name, in every space where that is allowed.
#[utoipa::path(
    patch,
    path = "/devices/{device}",
    tag = "devices",
    operation_id = "renameDevice",
    request_body = NewDeviceName,
    responses((status = 200, description = "What came of it in each space.", body = DeviceDoneDto))
)]
pub(super) async fn rename(
    State(state): State<ApiState>,
    InPath(device): InPath<String>,
    InJson(new): InJson<NewDeviceName>,
) -> Result<Json<DeviceDoneDto>, Problem> {
    let (id, known) = find(&state.node, &device)?;
    let name = new.name.clone();
    if state.node.is_own(id) {
        state.node.rename_own(id, &name).await?;
    }
    let spaces = everywhere(&state.node, id, &known, &Change::Name(new.name)).await?;
    Ok(Json(DeviceDoneDto { peer_id: known.peer_id, name, spaces }))
}

/// Puts a device out of every space where that is allowed.
#[utoipa::path(
    delete,
    path = "/devices/{device}",
    tag = "devices",
    operation_id = "revokeDevice",
    responses((status = 200, description = "What came of it in each space.", body = DeviceDoneDto))
)]
pub(super) async fn revoke(
    State(state): State<ApiState>,
    InPath(device): InPath<String>,
) -> Result<Json<DeviceDoneDto>, Problem> {
    let (id, known) = find(&state.node, &device)?;
    if state.node.is_own(id) {
        // First, and by itself: whatever else can't be done now, the other devices do when they hear of it.
        let last = state.node.own_devices().len() == 1;
        state
            .node
            .revoke_own(id)
            .await
            .map_err(|error| if last { last_device(&known) } else { error.into() })?;
    }
    let spaces = everywhere(&state.node, id, &known, &Change::Out).await?;
    Ok(Json(DeviceDoneDto { peer_id: known.peer_id, name: known.name, spaces }))
}

fn last_device(known: &KnownDeviceDto) -> Problem {
    Problem::not_allowed(format!(
        "{:?} is your last device, and without one nothing of yours could be opened again; link another one first \
         (covey device link)",
        known.name
    ))
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
    known: &KnownDeviceDto,
    change: &Change,
) -> Result<Vec<DoneInSpaceDto>, Problem> {
    let (mut lines, mut refusal) = (Vec::new(), None);
    let owned = |space: Space| owner_of(&space, device).map(|owner| (space, owner));
    let mut spaces: Vec<(Space, Member)> = spaces(node).into_iter().filter_map(owned).collect();
    // What is put out of a space is put out of its children with it, and nothing is left to do there.
    spaces.sort_by_key(|(space, _)| space.parent().is_some());
    for (space, owner) in spaces {
        let mut reason = None;
        if owner_of(&space, device).is_some()
            && let Err(error) = change.make(&space, device).await
        {
            if owner_of(&space, device).is_none() {
                // Somebody else was faster: this node's own care for its user's devices.
                let (id, name) = (space.id().to_string(), called(&space).await);
                lines.push(DoneInSpaceDto { id, name, done: true, reason: None });
                continue;
            }
            let problem = refused(error, &space, node.identity().user, &change.wish(&owner));
            // What is wrong in itself is so everywhere, and nothing was done yet.
            if problem.status() == StatusCode::BAD_REQUEST {
                return Err(problem);
            }
            reason = Some(problem.detail().to_owned());
            refusal.get_or_insert(problem);
        }
        let (id, name) = (space.id().to_string(), called(&space).await);
        lines.push(DoneInSpaceDto { id, name, done: reason.is_none(), reason });
    }
    match refusal {
        // Of one's own something was done already, in the personal space.
        _ if known.yours => Ok(lines),
        Some(problem) if lines.iter().all(|line| !line.done) => Err(problem),
        None if lines.is_empty() => {
            Err(Problem::conflict(format!("{:?} is in no space, so there is nothing to do", known.name)))
        }
        _ => Ok(lines),
    }
}

fn owner_of(space: &Space, device: DeviceId) -> Option<Member> {
    space.members().into_iter().find(|member| member.devices.iter().any(|(id, _)| *id == device))
}

//! `covey status` and `covey peer list`.

use std::{borrow::Cow, fmt::Write as _};

use covey_api::dto::{ClockDto, OwnDeviceDto, PeerDto, RemovalDto, SpaceDto, StatusDto, SyncDto};

use crate::{
    client::Client,
    diag::Failure,
    output::{Out, Tone, visible},
    words::{ago, count, grouped, millis, span},
};

pub(super) async fn status(client: &Client, out: &Out) -> Result<(), Failure> {
    let status: StatusDto = client.get("status").await?;
    if out.is_json() {
        return out.document(&status);
    }
    out.line(&node_lines(&status, out))?;
    if status.revoked {
        let text = "\nThis device was revoked by another one of yours: what is here can be read, and nothing changed.\n\
                    If it was a stolen one that said so, `covey doctor` tells what to do.";
        out.line(&out.paint(Tone::Look, text))?;
    }
    own_devices(&status.devices, out)?;
    out.line(&out.paint(Tone::Strong, "\nSpaces"))?;
    space_table(&status.spaces, &status.peers, out)?;
    out.line(&out.paint(Tone::Strong, "\nDevices"))?;
    peer_table(&status.peers, out, short)?;
    clock_lines(&status.clocks, out)
}

/// This user's devices, where there is more than this one.
fn own_devices(devices: &[OwnDeviceDto], out: &Out) -> Result<(), Failure> {
    if devices.len() < 2 {
        return Ok(());
    }
    out.line(&out.paint(Tone::Strong, "\nYour devices"))?;
    let row = |device: &OwnDeviceDto| {
        let state = match (device.this, &device.last_seen) {
            (true, _) => "this one".to_owned(),
            (false, Some(seen)) => format!("{}, seen {}", device.state, ago(seen)),
            (false, None) => device.state.clone(),
        };
        vec![device.name.clone(), state, device.fingerprint.clone()]
    };
    out.table(&["NAME", "STATE", "FINGERPRINT"], &devices.iter().map(row).collect::<Vec<_>>())
}

pub(super) async fn peers(client: &Client, out: &Out) -> Result<(), Failure> {
    let peers: Vec<PeerDto> = client.get("peers").await?;
    if out.is_json() {
        return out.document(&peers);
    }
    peer_table(&peers, out, str::to_owned)
}

/// An address without the device id at its end, which is told elsewhere.
pub(crate) fn place(address: &str) -> Cow<'_, str> {
    visible(address.split_once("/p2p/").map_or(address, |(place, _)| place))
}

fn node_lines(status: &StatusDto, out: &Out) -> String {
    let node = &status.node;
    let label = |text: &str| out.paint(Tone::Soft, &format!("{text:<12}"));
    let mut text = format!(
        "{}\n{}\n  {} Covey {}, {}",
        out.paint(Tone::Strong, "This node"),
        super::intro(&node.identity, out),
        label("Running"),
        visible(&node.version),
        if node.uptime_s == 0 { "just started".to_owned() } else { format!("for {}", span(node.uptime_s)) },
    );
    let reach = match status.network.mode.as_str() {
        "solo" => "none: this node is on its own",
        "lan" => "local network",
        _ => "any network",
    };
    let _ = write!(text, "\n  {} {reach}", label("Network"));
    for (i, address) in status.network.listen.iter().enumerate() {
        let _ = write!(text, "\n  {} {}", label(if i == 0 { "Listens on" } else { "" }), place(address));
    }
    text
}

/// Spaces with one line each, and a line for each device that isn't in sync.
pub(super) fn space_table(spaces: &[SpaceDto], peers: &[PeerDto], out: &Out) -> Result<(), Failure> {
    if spaces.is_empty() {
        return out.line(
            "  None yet. Make one with `covey space create NAME`, or join one with `covey join CODE`.",
        );
    }
    let rows: Vec<Vec<String>> = spaces.iter().map(space_row).collect();
    out.table(&["NAME", "YOU", "PEOPLE", "RECORDS", "ENTRIES", "SYNC", "ID"], &rows)?;
    for space in spaces {
        if is_out(space) {
            let line = format!("  {}: {}; what came can still be read", visible(&space.name), how_out(space));
            out.line(&out.paint(Tone::Look, &line))?;
            continue;
        }
        if space.pending > 0 && !space.sync.is_empty() {
            let entries = count(space.pending, "entry written here is", "entries written here are");
            let line = format!("  {}: {entries} on no other device yet", visible(&label(space, spaces)));
            out.line(&out.paint(Tone::Look, &line))?;
        }
        for fork in &space.forks {
            let line = format!("  {}: {}", visible(&label(space, spaces)), super::space::fork_sentence(fork));
            out.line(&out.paint(Tone::Look, &line))?;
        }
        for found in &space.new_logs {
            let line = super::space::new_logs_sentence(found);
            out.line(&format!("  {}: {line}", visible(&label(space, spaces))))?;
        }
        for sync in space.sync.iter().filter(|sync| sync.state != "in_sync") {
            let line = format!("  {}: {}", visible(&label(space, spaces)), sync_sentence(sync, peers));
            out.line(&out.paint(Tone::Look, &line))?;
        }
    }
    Ok(())
}

/// Whether this user was put out of the space, or has left it. Before the first sync nobody is known to be in it.
pub(super) fn is_out(space: &SpaceDto) -> bool {
    space.role.is_none() && space.members > 0
}

/// How this user came to be out of a space, in words.
pub(super) fn how_out(space: &SpaceDto) -> String {
    match &space.removed {
        Some(removed) if removed.own => "you have left it".to_owned(),
        Some(RemovalDto { by: Some(by), .. }) => format!("you were removed by {}", visible(by)),
        _ => "you are no longer in it".to_owned(),
    }
}

/// The clocks that are too far from this node's; what to do about them, `covey doctor` tells.
fn clock_lines(clocks: &[ClockDto], out: &Out) -> Result<(), Failure> {
    for clock in clocks {
        let name = clock.name.clone().unwrap_or_else(|| short(&clock.peer_id));
        let way = if clock.ahead_ms > 0 { "ahead of" } else { "behind" };
        let off = span(clock.ahead_ms.unsigned_abs() / 1000);
        let line = format!(
            "  The clock of {} is {off} {way} this one's: one of them is wrong; see covey doctor",
            visible(&name)
        );
        out.line(&out.paint(Tone::Look, &line))?;
    }
    Ok(())
}

/// The name of a space, with the beginning of its id where another one has the same name.
fn label(space: &SpaceDto, all: &[SpaceDto]) -> String {
    let namesakes = all.iter().filter(|other| other.name == space.name).count();
    let name = path_of(space);
    if namesakes < 2 { name } else { format!("{name} ({})", short(&space.id)) }
}

/// The name of a space, with its parent's where it's a child: `garden/secret`.
///
/// A direct message is no name that could be typed: it's called after those whom it is with.
fn path_of(space: &SpaceDto) -> String {
    match (&space.parent, space.channel.as_deref()) {
        (Some(parent), Some("direct")) => format!("{}: direct message with {}", parent.name, space.name),
        (Some(parent), Some("private")) => format!("{}/{} (private channel)", parent.name, space.name),
        (Some(parent), _) => format!("{}/{}", parent.name, space.name),
        (None, _) => space.name.clone(),
    }
}

fn space_row(space: &SpaceDto) -> Vec<String> {
    let all = space.sync.len();
    let good = space.sync.iter().filter(|sync| sync.state == "in_sync").count();
    let sync = match (all, good) {
        _ if is_out(space) => "ended".to_owned(),
        (0, _) => "no other device yet".to_owned(),
        (all, good) if all == good => "in sync".to_owned(),
        (all, good) => format!("{good} of {}", count(all as u64, "device", "devices")),
    };
    vec![
        path_of(space),
        space.role.clone().unwrap_or_else(|| if is_out(space) { "out" } else { "?" }.to_owned()),
        grouped(space.members),
        grouped(space.records),
        grouped(space.entries),
        sync,
        short(&space.id),
    ]
}

/// How a space stands with one device, in a sentence.
pub(super) fn sync_sentence(sync: &SyncDto, peers: &[PeerDto]) -> String {
    let peer = peers.iter().find(|peer| peer.peer_id == sync.peer_id);
    let name = peer.and_then(|peer| peer.name.clone()).unwrap_or_else(|| short(&sync.peer_id));
    // The node's own sentence names the device and says more than the state and the numbers.
    if let Some(reason) = &sync.reason {
        let reason = visible(reason);
        // Of one that isn't reachable it says since when; what is under way is so for a moment.
        return match &sync.since {
            Some(since) if matches!(sync.state.as_str(), "behind" | "refused") => {
                format!("{reason} (so since {})", ago(since))
            }
            _ => reason.into_owned(),
        };
    }
    let mut text = format!("{} is {}", visible(&name), sync.state.replace('_', " "));
    if sync.missing_there > 0 {
        let _ = write!(text, ", lacks {}", count(sync.missing_there, "entry", "entries"));
    }
    if sync.missing_here > 0 {
        let _ = write!(text, ", has {} that this node lacks", count(sync.missing_here, "entry", "entries"));
    }
    text
}

fn peer_table(peers: &[PeerDto], out: &Out, id: impl Fn(&str) -> String) -> Result<(), Failure> {
    if peers.is_empty() {
        return out.line("  No other device has been seen yet.");
    }
    let dash = || "-".to_owned();
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            vec![
                peer.name.clone().unwrap_or_else(dash),
                peer.user.clone().unwrap_or_else(dash),
                peer.state.clone(),
                peer.path.as_ref().map_or_else(dash, |path| {
                    [path.as_str(), peer.transport.as_deref().unwrap_or_default()].join(" ")
                }),
                peer.rtt_ms.map_or_else(dash, millis),
                id(&peer.peer_id),
            ]
        })
        .collect();
    out.table(&["NAME", "PERSON", "STATE", "PATH", "ROUND TRIP", "ID"], &rows)
}

/// The first characters of an id; enough to name a space, and a device is told by its last ones.
pub(super) fn short(id: &str) -> String {
    match id.strip_prefix("12D3KooW") {
        Some(rest) => format!("..{}", &rest[rest.len().saturating_sub(8)..]),
        None => id.chars().take(10).collect(),
    }
}

#[cfg(test)]
mod tests {
    use covey_api::dto::SpaceName;

    use super::*;

    fn sync(reason: Option<&str>) -> SyncDto {
        let line = serde_json::json!({"peer_id": "12D3KooWabcdefghijkl", "state": "syncing", "missing_here": 3,
            "missing_there": 1, "reason": reason});
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn what_is_missing_is_told_once() {
        let reason = "in touch with phone: 3 entries to come, 1 to go";
        assert_eq!(sync_sentence(&sync(Some(reason)), &[]), reason);
        let mut since = sync(Some(reason));
        let then = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(125);
        since.since = Some(then.to_string());
        assert_eq!(sync_sentence(&since, &[]), reason);
        "behind".clone_into(&mut since.state);
        assert_eq!(sync_sentence(&since, &[]), format!("{reason} (so since 2 minutes ago)"));
        let own = "..efghijkl is syncing, lacks 1 entry, has 3 entries that this node lacks";
        assert_eq!(sync_sentence(&sync(None), &[]), own);
    }

    #[test]
    fn of_two_spaces_of_one_name_each_is_told_with_its_id() {
        let space = |name: &str, id: &str| -> SpaceDto {
            serde_json::from_value(serde_json::json!({"id": id, "name": name, "role": null, "members": 1,
                "entries": 0, "records": 0, "sync": []}))
            .unwrap()
        };
        let all =
            [space("garden", "aaaaaaaaaaaaaaaa"), space("garden", "bbbbbbbbbbbbbbbb"), space("shed", "c")];
        assert_eq!(label(&all[0], &all), "garden (aaaaaaaaaa)");
        assert_eq!(label(&all[2], &all), "shed");
        let of_garden = |channel: &str| {
            let parent = Some(SpaceName { id: "a".into(), name: "garden".into() });
            path_of(&SpaceDto { parent, channel: Some(channel.into()), ..space("Bob, Cem", "d") })
        };
        assert_eq!(of_garden("direct"), "garden: direct message with Bob, Cem");
        assert_eq!(of_garden("private"), "garden/Bob, Cem (private channel)");
    }
}

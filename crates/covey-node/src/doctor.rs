//! Checks, each with a remedy.

use covey_types::{ByteSize, SpaceId};

use covey_engine::{HoldReason, OwnFork, own_forks};

use crate::{Check, NetworkMode, Node, Space, SyncState};

/// A wall clock before this (2025-01-01) is surely wrong.
const EARLIEST_PLAUSIBLE_MS: u64 = 1_735_689_600_000;

/// Runs every check.
pub(crate) async fn examine(node: &Node) -> Vec<Check> {
    let mut checks = vec![store(node).await, clock(node), listening(node).await];
    checks.extend(room(node));
    checks.push(udp_buffers());
    checks.push(peers(node).await);
    checks.extend(own_logs(node).await);
    for space in node.spaces() {
        let name = label(node, &space);
        if let Ok(status) = space.status().await {
            checks.push(sync(&name, &status));
        }
        checks.extend(held(node, space.id(), name).await);
    }
    checks
}

/// The name of a space, with the beginning of its id where another one has the same name.
fn label(node: &Node, space: &Space) -> String {
    /// Characters of the id: as many as tables show.
    const SHOWN: usize = 10;
    let name = space.name();
    let namesakes = node.engine().spaces.values().filter(|other| other.name() == name).count();
    if namesakes < 2 {
        return name;
    }
    let id: String = space.id().to_string().chars().take(SHOWN).collect();
    format!("{name} ({id})")
}

fn pass(name: &'static str, detail: impl Into<String>) -> Check {
    Check { name, ok: true, detail: detail.into(), remedy: None }
}

fn fail(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name, ok: false, detail: detail.into(), remedy: Some(remedy.into()) }
}

async fn store(node: &Node) -> Check {
    match node.0.store.integrity_check().await {
        Ok(problems) if problems.is_empty() => {
            let size = node.0.store.size_bytes();
            pass("store", format!("the database is sound ({})", ByteSize(size)))
        }
        Ok(problems) => fail(
            "store",
            problems.join("; "),
            "stop the node, and make a new home out of a backup: `covey restore FILE --home DIR`; or join again with a new home",
        ),
        Err(err) => fail(
            "store",
            err.to_string(),
            "look at the disk: the system's log names its errors; then `covey restore FILE --home DIR` makes a new home out of a backup",
        ),
    }
}

/// What is to be said when the disk has less room than is kept for this device's own changes.
pub(crate) fn lack_of_room(node: &Node) -> Option<String> {
    let (free, kept) = (node.0.store.free_bytes()?, node.0.config.min_free_bytes);
    let mib = |bytes: u64| bytes >> 20;
    (free < kept).then(|| {
        format!(
            "the disk has {} MiB left; below {} MiB nothing that others wrote is stored",
            mib(free),
            mib(kept)
        )
    })
}

/// Said only when there is too little: how much there is, the command tells by itself.
fn room(node: &Node) -> Option<Check> {
    let home = node.0.store.home().display();
    lack_of_room(node)
        .map(|lack| fail("room", lack, format!("free some room where {home} is; sync goes on by itself")))
}

fn clock(node: &Node) -> Check {
    let now = node.now_ms();
    let newest = node.engine().clock.last().wall_ms();
    if now < EARLIEST_PLAUSIBLE_MS {
        return fail("clock", "this device's clock is years behind", "set it: timedatectl set-ntp true");
    }
    if newest > now + 1000 {
        let behind_s = (newest - now) / 1000;
        let detail = format!("this device's clock is {behind_s} s behind the newest change that is here");
        let remedy = "compare the clocks of your devices and set the wrong one; writing works meanwhile";
        return fail("clock", detail, remedy);
    }
    pass("clock", "agrees with the changes that came from other devices")
}

async fn listening(node: &Node) -> Check {
    if node.0.config.network == NetworkMode::Solo {
        return pass("network", "switched off, as asked for with --network solo");
    }
    let addresses = node.listen_addresses().await;
    if addresses.is_empty() {
        return fail(
            "network",
            "this device is on no network, so that others can't reach it",
            "connect it to a network; or name addresses to listen on: covey up --listen MULTIADDR",
        );
    }
    pass("network", format!("listening on {}", count(addresses.len(), "address", "addresses")))
}

fn udp_buffers() -> Check {
    let report = covey_net::udp_buffer_report();
    let size = |bytes: usize| ByteSize(bytes as u64);
    let got = report.got.map_or_else(|| "none".to_owned(), |bytes| size(bytes).to_string());
    match report.remedy {
        None => pass("udp-buffers", format!("QUIC has the receive buffer it wants ({got})")),
        Some(remedy) => fail(
            "udp-buffers",
            format!(
                "QUIC wants a receive buffer of {} and gets {got}: fast transfers lose packets and slow down",
                size(report.wanted)
            ),
            format!("as root: {remedy}"),
        ),
    }
}

async fn peers(node: &Node) -> Check {
    let peers = node.peers().await;
    let connected = peers.iter().filter(|peer| peer.state == crate::PeerState::Connected).count();
    let known = count(peers.len(), "other device is", "other devices are");
    pass("peers", format!("{known} known here, and {connected} connected"))
}

fn sync(name: &str, status: &crate::SpaceStatus) -> Check {
    // Whoever is out is refused by everybody, and that is as it should be.
    if status.role.is_none() && status.members > 0 {
        return pass("sync", format!("{name}: you are no longer in it; what came can still be read"));
    }
    let bad: Vec<String> = status
        .sync
        .iter()
        .filter(|line| matches!(line.state, SyncState::Behind | SyncState::Refused))
        .filter_map(|line| line.reason.clone())
        .collect();
    if bad.is_empty() {
        return pass("sync", format!("{name}: {}", standing(&status.sync)));
    }
    let remedy = format!("`covey space show {}` tells each device's state and the people to ask", status.id);
    fail("sync", format!("{name}: {}", bad.join("; ")), remedy)
}

/// How a space stands with the devices that it has no trouble with.
fn standing(sync: &[crate::SyncStatus]) -> String {
    let good = sync.iter().filter(|line| line.state == SyncState::InSync).count();
    let away = sync.iter().filter(|line| line.state == SyncState::Unreachable).count();
    let all = count(sync.len(), "other device", "other devices");
    match (sync.len(), away) {
        (0, _) => "no other device has it yet".to_owned(),
        (number, _) if number == good => format!("in sync with {all}"),
        (_, 0) => format!("in sync with {good} of {all}"),
        (_, away) => format!("in sync with {good} of {all}; {away} can't be reached now, and will catch up"),
    }
}

/// `1 address`, `2 addresses`.
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Said only when an own log is forked.
async fn own_logs(node: &Node) -> Vec<Check> {
    let forks = match node.0.store.read(|reader| own_forks(reader)).await {
        Ok(forks) => forks,
        Err(err) => {
            return vec![fail(
                "own-log",
                err.to_string(),
                "look at the disk: the system's log names its errors",
            )];
        }
    };
    let told = |fork: OwnFork| {
        let name =
            node.engine().space(fork.space).map_or_else(|_| fork.space.to_string(), |s| s.name().to_owned());
        let detail = format!(
            "{name}: an older copy of this home was written to: entry {} of this device's log is not the same here and elsewhere",
            fork.seq
        );
        let remedy = "what this device wrote between that copy and its first meeting with the others may be here alone: look, and write it again; \
            never copy a home back, use `covey backup` and `covey restore`";
        fail("own-log", detail, remedy)
    };
    forks.into_iter().map(told).collect()
}

async fn held(node: &Node, space: SpaceId, name: String) -> Vec<Check> {
    let state = node.engine().space(space).map(|state| (state.key, state.membership.unknown_ops()));
    let Ok((key, unknown_acts)) = state else { return Vec::new() };
    let held = match node.0.store.read(move |reader| reader.held(key)).await {
        Ok(held) => held,
        Err(err) => {
            return vec![fail(
                "held",
                err.to_string(),
                "look at the disk: the system's log names its errors",
            )];
        }
    };
    let of = |reason: HoldReason| held.iter().filter(|row| row.reason == reason as u32).count();
    let (newer, in_part) = (of(HoldReason::Unknown), of(HoldReason::PartlyUnknown));
    let waiting = held.len() - newer - in_part;
    let waits = if waiting == 0 {
        pass("held", format!("{name}: every change that came is applied"))
    } else {
        let waiting = count(waiting, "entry waits", "entries wait");
        let detail = format!("{name}: {waiting}, dated in the future or by authors that are not known yet");
        fail("held", detail, "compare the clocks of your devices; what waits is applied when its time comes")
    };
    let version = if newer as u64 + in_part as u64 + unknown_acts == 0 {
        pass("version", format!("{name}: this version of Covey understands all of it"))
    } else {
        let detail = format!(
            "{name}: a newer version of Covey wrote {newer} entries, parts of {in_part} others and {unknown_acts} acts"
        );
        fail("version", detail, "update Covey on this device; they are kept until then")
    };
    vec![waits, version]
}

//! Checks, each with a remedy.

use covey_types::{ByteSize, SpaceId};

use covey_engine::HoldReason;

use crate::{Check, NetworkMode, Node, Removal, Space, SyncState};

/// Runs every check.
pub(crate) async fn examine(node: &Node) -> Vec<Check> {
    let mut checks = vec![store(node).await, crate::clocks::check(node).await, listening(node).await];
    checks.extend(room(node));
    checks.push(udp_buffers());
    checks.push(peers(node).await);
    checks.extend(own_logs(node).await);
    checks.extend(revoked(node));
    let devices = node.personal().filter(|_| node.own_devices().len() > 1);
    for space in node.spaces().into_iter().chain(devices) {
        let name = label(node, &space);
        if let Ok(status) = space.status().await {
            checks.push(sync(&name, &status));
            checks.extend(crate::new_logs::check(&name, &status.new_logs));
        }
        checks.extend(orphan(node, &space, &name));
        if let Ok(state) = node.engine().space(space.id()) {
            checks.extend(crate::owners::check(&name, state, (node.device(), node.identity().user)));
            checks.extend(crate::forks::others(&name, state, node.device()));
        }
        checks.extend(held(node, space.id(), name.clone()).await);
        match crate::compaction::waits(node, space.id(), &name).await {
            Ok(waits) => checks.extend(waits),
            Err(err) => tracing::warn!(%err, "looking at what compaction waits for"),
        }
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

pub(crate) fn pass(name: &'static str, detail: impl Into<String>) -> Check {
    Check { name, ok: true, detail: detail.into(), remedy: None }
}

pub(crate) fn fail(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name, ok: false, detail: detail.into(), remedy: Some(remedy.into()) }
}

/// A child that nobody administers any more. Whoever is out of it themself needs no advice.
fn orphan(node: &Node, space: &Space, name: &str) -> Option<Check> {
    let parent = space.parent()?.name();
    space.role()?;
    let detail = format!(
        "{name}: all who administered it are no longer in {parent}; nobody can take people in or change its key"
    );
    let remedy =
        format!("make a new one with those who are left: covey space create NAME --parent {parent:?}");
    node.engine().is_orphaned(space.id()).then(|| fail("child", detail, remedy))
}

/// Whether this device was revoked: nothing else matters much then.
fn revoked(node: &Node) -> Option<Check> {
    let again = "if that was a mistake, make it yours again in a new home: `covey --home DIR up`, then `covey --home DIR device join CODE`";
    if let Some((by, name)) = node.word_of_revocation() {
        let detail =
            format!("{name:?} says that this device was revoked; nothing can be changed here meanwhile");
        let remedy = format!(
            "if {name:?} was lost or stolen, revoke it: `covey device revoke {by}`; otherwise, {again}"
        );
        return Some(fail("device", detail, remedy));
    }
    let detail = "this device was revoked by another one of its user's; nothing can be changed here any more";
    node.is_revoked().then(|| fail("device", detail, again))
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
        let how = match &status.removed {
            Some(Removal { own: true, .. }) => "you have left it".to_owned(),
            Some(Removal { by: Some(by), .. }) => format!("you were removed by {by}"),
            _ => "you are no longer in it".to_owned(),
        };
        return pass("sync", format!("{name}: {how}; what came can still be read"));
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
    let read = crate::forks::own(node).await;
    read.unwrap_or_else(|err| {
        vec![fail("own-log", err.to_string(), "look at the disk: the system's log names its errors")]
    })
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

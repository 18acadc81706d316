//! Checks, each with a remedy.

use covey_types::SpaceId;

use crate::{Check, NetworkMode, Node, SyncState, engine::HoldReason};

/// A wall clock before this (2025-01-01) is surely wrong.
const EARLIEST_PLAUSIBLE_MS: u64 = 1_735_689_600_000;

/// Runs every check.
pub(crate) async fn examine(node: &Node) -> Vec<Check> {
    let mut checks = vec![store(node).await, clock(node), listening(node).await];
    checks.push(udp_buffers());
    checks.push(peers(node).await);
    for space in node.spaces() {
        if let Ok(status) = space.status().await {
            checks.push(sync(&status));
        }
        checks.extend(held(node, space.id()).await);
    }
    checks
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
            pass("store", format!("the database is sound ({} KiB)", size.div_ceil(1024)))
        }
        Ok(problems) => fail(
            "store",
            problems.join("; "),
            "restore the home from a backup, or join again with a new home",
        ),
        Err(err) => fail("store", err.to_string(), "look at the disk; restore the home from a backup"),
    }
}

fn clock(node: &Node) -> Check {
    let now = node.now_ms();
    let newest = node.engine().clock.last().wall_ms();
    if now < EARLIEST_PLAUSIBLE_MS {
        return fail("clock", "this device's clock is years behind", "set the clock, for instance with NTP");
    }
    if newest > now + 1000 {
        let behind_s = (newest - now) / 1000;
        let detail = format!("this device's clock is {behind_s} s behind entries that are here");
        return fail("clock", detail, "compare the clocks of your devices; writing still works meanwhile");
    }
    pass("clock", "in step with the entries that are here")
}

async fn listening(node: &Node) -> Check {
    if node.0.config.network == NetworkMode::Solo {
        return pass("network", "solo: no socket is open, as asked");
    }
    let addresses = node.listen_addresses().await;
    if addresses.is_empty() {
        return fail(
            "network",
            "this node has no address that others could reach",
            "connect to a network, or give --listen",
        );
    }
    pass("network", format!("listening on {} addresses", addresses.len()))
}

fn udp_buffers() -> Check {
    let report = covey_net::udp_buffer_report();
    let got = report.got.map_or_else(|| "nothing".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
    let detail = format!("QUIC gets a receive buffer of {got}, and wants {} KiB", report.wanted / 1024);
    match report.remedy {
        None => pass("udp-buffers", detail),
        Some(remedy) => fail(
            "udp-buffers",
            format!("{detail}: fast transfers will lose packets"),
            format!("as root: {remedy}"),
        ),
    }
}

async fn peers(node: &Node) -> Check {
    let peers = node.peers().await;
    let connected = peers.iter().filter(|peer| peer.state == crate::PeerState::Connected).count();
    pass("peers", format!("{connected} connected, {} known", peers.len()))
}

fn sync(status: &crate::SpaceStatus) -> Check {
    let bad: Vec<String> = status
        .sync
        .iter()
        .filter(|line| matches!(line.state, SyncState::Behind | SyncState::Refused))
        .filter_map(|line| line.reason.clone())
        .collect();
    if bad.is_empty() {
        return pass("sync", format!("{}: nothing stands still", status.name));
    }
    fail("sync", format!("{}: {}", status.name, bad.join("; ")), "see `covey space show`")
}

async fn held(node: &Node, space: SpaceId) -> Vec<Check> {
    let state = node.engine().space(space).map(|state| (state.key, state.membership.unknown_ops()));
    let Ok((key, unknown_acts)) = state else { return Vec::new() };
    let held = match node.0.store.read(move |reader| reader.held(key)).await {
        Ok(held) => held,
        Err(err) => return vec![fail("held", err.to_string(), "look at the disk")],
    };
    let newer = held.iter().filter(|row| row.reason == HoldReason::Unknown as u32).count() as u64;
    let waiting = held.len() as u64 - newer;
    let waits = if waiting == 0 {
        pass("held", "no entry is held back")
    } else {
        let detail =
            format!("{waiting} entries are held back: from the future, or from authors not known yet");
        fail("held", detail, "compare the clocks of your devices; entries are applied when their time comes")
    };
    let version = if newer + unknown_acts == 0 {
        pass("version", "everything here is understood by this version")
    } else {
        let detail =
            format!("{newer} entries and {unknown_acts} acts were written by a newer version of Covey");
        fail("version", detail, "update this device; they are kept until then")
    };
    vec![waits, version]
}

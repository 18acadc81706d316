//! Nodes in this process, on loopback, and the records that all benchmarks write.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use covey_node::{Event, MdnsConfig, Node, NodeConfig, PeerState, Profile, Role, Space, Watch};
use covey_store::{LogRow, Reader, SpaceRow, StoreError};
use tokio::sync::broadcast::Receiver;

/// The collection that is written.
pub(crate) const COLLECTION: &str = "plants";

/// Far more than anything takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);

/// A small record: two fields, whose values don't follow from those of the record before.
pub(crate) fn document(n: usize) -> String {
    const KINDS: [&str; 8] =
        ["runner bean", "beetroot", "leek", "chard", "parsnip", "kale", "sorrel", "lovage"];
    let noise = scramble(n as u64);
    format!(r#"{{"name":"{} {}","bed":{}}}"#, KINDS[(noise % 8) as usize], noise >> 40, noise % 1000)
}

/// A record of four fields, the same that the rivals are given.
pub(crate) fn wide_document(n: usize) -> String {
    let noise = scramble(n as u64);
    let (name, bed, done) = (noise >> 40, noise % 1000, noise & 1 == 1);
    let note = noise & 0xffff_ffff;
    format!(r#"{{"name":"plant {name}","bed":{bed},"note":"note {note:08x}","done":{done}}}"#)
}

/// The finaliser of SplitMix64: a permutation that looks random.
fn scramble(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

/// Sixteen characters that don't follow from those of the number before.
pub(crate) fn noise(n: usize) -> String {
    format!("{:016x}", scramble(n as u64))
}

/// Such rows as an import has: new records, whose ids the node makes.
pub(crate) fn rows(from: usize, count: usize) -> Vec<(Option<String>, String)> {
    rows_of(document, from, count)
}

/// The same with documents of another kind.
pub(crate) fn rows_of(
    document: fn(usize) -> String,
    from: usize,
    count: usize,
) -> Vec<(Option<String>, String)> {
    (from..from + count).map(|n| (None, document(n))).collect()
}

/// An id as the node makes it, a UUID of version 7 in its text form: in order, and random at its end.
pub(crate) fn ordered_id(n: usize) -> String {
    let (time, noise) = (n as u64 / 64, scramble(n as u64));
    format!(
        "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
        0x0190_0000 + (time >> 16),
        time & 0xffff,
        n & 0xfff,
        0x8000 | (noise >> 50),
        noise & 0xffff_ffff_ffff
    )
}

/// A node that listens on this address and has no multicast: nothing else reaches it.
pub(crate) fn config(home: &Path, name: &str, address: &str) -> NodeConfig {
    let mut config = NodeConfig::new(home);
    config.profile = Some(Profile { user_name: name.into(), device_name: format!("{name}'s laptop") });
    config.listen = vec![format!("/ip4/{address}/udp/0/quic-v1")];
    config.mdns = MdnsConfig::off();
    config
}

/// Two nodes with a common space, in sync.
pub(crate) struct Pair {
    pub(crate) ada: Node,
    pub(crate) bob: Node,
    /// The space at Ada's.
    pub(crate) garden: Space,
    /// The same at Bob's.
    pub(crate) shared: Space,
}

/// Opens a node of a pair.
pub(crate) async fn open(folder: &Path, name: &str) -> Result<Node> {
    Node::open(config(&folder.join(name), name, "127.0.0.1"))
        .await
        .with_context(|| format!("cannot open {name}'s node"))
}

impl Pair {
    /// Pairs two new nodes by link.
    pub(crate) async fn new(folder: &Path) -> Result<Self> {
        let (ada, bob) = (open(folder, "ada").await?, open(folder, "bob").await?);
        let garden = ada.create_space("garden").await?;
        let invitation = garden.invite(Role::Member, Duration::from_mins(1)).await?;
        let shared = bob.join(&invitation.link, PATIENCE).await?.space;
        Ok(Self { ada, bob, garden, shared })
    }

    /// Ends both.
    pub(crate) async fn close(self) {
        self.ada.shutdown().await;
        self.bob.shutdown().await;
    }
}

/// Waits until a watcher has seen this many changes.
pub(crate) async fn see(watch: &mut Watch, changes: usize) -> Result<()> {
    let all = async {
        for _ in 0..changes {
            watch.next().await?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, all).await.with_context(|| format!("{changes} changes were not seen"))?
}

/// The log in which a node wrote most, and its space: the others are those of its personal space.
pub(crate) fn longest_log(reader: &Reader<'_>) -> Result<(SpaceRow, LogRow), StoreError> {
    let mut found = None;
    for space in reader.spaces()? {
        // The personal space may be the longer one for a moment.
        if reader.collection(space.key, COLLECTION)?.is_none() {
            continue;
        }
        for log in reader.logs(space.key)? {
            if found.as_ref().is_none_or(|(_, longest): &(SpaceRow, LogRow)| longest.head.seq < log.head.seq)
            {
                found = Some((space.clone(), log));
            }
        }
    }
    found.ok_or(StoreError::Missing {
        doing: "look for the records that were written",
        what: "log",
        key: "any".into(),
    })
}

/// How many records there are.
pub(crate) async fn records(space: &Space) -> Result<u64> {
    Ok(space.collections().await?.into_iter().map(|(_, records)| records).sum())
}

/// When the first connection came up.
pub(crate) async fn connection(node: &Node, events: &mut Receiver<Event>) -> Result<Instant> {
    // It may have come before anybody listened.
    if node.peers().await.iter().any(|peer| peer.state == PeerState::Connected) {
        return Ok(Instant::now());
    }
    let wait = async {
        loop {
            if let Event::PeerConnected(_) = events.recv().await? {
                return anyhow::Ok(Instant::now());
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.context("the nodes did not connect")?
}

/// How long a node that was just opened took to the last of the changes made while it was away: from now, when it knows of
/// nobody on its network yet, and from its first connection.
pub(crate) async fn see_return(node: &Node, changes: usize) -> Result<(Duration, Duration)> {
    let opened = Instant::now();
    let mut events = node.events();
    let space = node.space("garden")?;
    let mut watch = space.watch(Some(COLLECTION.into()), None);
    let (connected, seen) = tokio::join!(connection(node, &mut events), see(&mut watch, changes));
    seen?;
    Ok((opened.elapsed(), connected?.elapsed()))
}

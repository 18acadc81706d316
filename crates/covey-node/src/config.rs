//! What a node is told when it is opened.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use covey_engine::{Profile, compact::Limits as CompactionLimits};
use covey_net::{MdnsConfig, NetLimits, NetworkMode};
use covey_store::Unlock;

/// The room on the disk that is left to this device's own changes unless [`NodeConfig`] says otherwise: twice what the
/// store's write-ahead log may grow to before it's carried over.
pub const DEFAULT_MIN_FREE_BYTES: u64 = 128 << 20;

/// The wall clock: milliseconds since 1970. Tests give their own.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl WallClock {
    /// A clock that asks `now` for the milliseconds since 1970.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now.
    pub fn now_ms(&self) -> u64 {
        (self.0)()
    }
}

impl WallClock {
    /// A clock that follows `system` forward, and goes on by `elapsed_ms` (time since some start) where that is set
    /// back: otherwise everything that others wrote in that hour would seem to come from the future.
    pub fn steady(
        system: impl Fn() -> u64 + Send + Sync + 'static,
        elapsed_ms: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        /// Less than this between the two clocks is drift, which the system's clock is right about.
        const DRIFT_MS: u64 = 2000;
        let offset = AtomicU64::new(system().saturating_sub(elapsed_ms()));
        Self::new(move || {
            let (now, elapsed) = (system(), elapsed_ms());
            let steady = offset.load(Ordering::Relaxed).saturating_add(elapsed);
            if now.saturating_add(DRIFT_MS) >= steady {
                offset.store(now.saturating_sub(elapsed), Ordering::Relaxed);
                return now;
            }
            steady
        })
    }
}

impl Default for WallClock {
    fn default() -> Self {
        let start = Instant::now();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self::steady(
            move || millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            move || millis(start.elapsed()),
        )
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

/// Everything [`crate::Node::open`] needs to know.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The folder with the store, its key and what else belongs to the node.
    pub home: PathBuf,
    /// How the store is unlocked.
    pub unlock: Unlock,
    /// The names of a new identity; needed only while the home has none.
    pub profile: Option<Profile>,
    /// How far the network reaches.
    pub network: NetworkMode,
    /// Multiaddrs to listen on; empty means all interfaces, any free port, QUIC and TCP.
    pub listen: Vec<String>,
    /// Multiaddrs that are dialled at start and kept connected.
    pub bootstrap: Vec<String>,
    /// Multicast discovery.
    pub mdns: MdnsConfig,
    /// How many connections and handshakes.
    pub limits: NetLimits,
    /// The clock.
    pub clock: WallClock,
    /// While the disk has less room than this, bytes, nothing that others wrote is stored. What this device writes is,
    /// as long as there is any.
    pub min_free_bytes: u64,
    /// When a log is worth compacting. `None`: never, and logs are taken whole, which takes somebody who has them whole. How it's
    /// done: `docs/protocol/compaction.md`.
    pub compaction: Option<CompactionLimits>,
}

impl NodeConfig {
    /// A LAN node with a key file and the usual settings.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            unlock: Unlock::KeyFile,
            profile: None,
            network: NetworkMode::Lan,
            listen: Vec::new(),
            bootstrap: Vec::new(),
            mdns: MdnsConfig::default(),
            limits: NetLimits::default(),
            clock: WallClock::default(),
            min_free_bytes: DEFAULT_MIN_FREE_BYTES,
            compaction: Some(CompactionLimits::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on_and_one_that_is_set_forward_is_believed() {
        let (system, elapsed) = (Arc::new(AtomicU64::new(10_000_000)), Arc::new(AtomicU64::new(5)));
        let (a, b) = (Arc::clone(&system), Arc::clone(&elapsed));
        let clock = WallClock::steady(move || a.load(Ordering::SeqCst), move || b.load(Ordering::SeqCst));
        assert_eq!(clock.now_ms(), 10_000_000);
        system.store(10_000_000 - 3_600_000, Ordering::SeqCst);
        elapsed.store(1005, Ordering::SeqCst);
        assert_eq!(clock.now_ms(), 10_001_000, "an hour back, one second later");
        system.store(20_000_000, Ordering::SeqCst);
        assert_eq!(clock.now_ms(), 20_000_000);
    }
}

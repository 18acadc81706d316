//! What a node is told when it is opened.

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use covey_net::{MdnsConfig, NetworkMode};
use covey_store::Unlock;

/// The names that a new identity gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The person, as others see them.
    pub user_name: String,
    /// The device, as others see it.
    pub device_name: String,
}

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

impl Default for WallClock {
    fn default() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
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
    /// The clock.
    pub clock: WallClock,
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
            clock: WallClock::default(),
        }
    }
}

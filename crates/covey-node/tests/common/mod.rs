//! Nodes on loopback for the tests, and waiting for what they do.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of tests fail by panicking; not every test uses all"
)]

use std::{path::Path, time::Duration};

use covey_node::{MdnsConfig, NetworkMode, Node, NodeConfig, Profile, Role, Space};

/// How long anything may take before a test gives up: far more than it needs, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A node that listens on loopback only.
pub(crate) fn config(home: &Path, name: &str) -> NodeConfig {
    if let Ok(filter) = std::env::var("COVEY_LOG") {
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // The second node of a test finds the log set up already.
        let _ = log.try_init();
    }
    let mut config = NodeConfig::new(home);
    config.profile = Some(Profile { user_name: name.into(), device_name: format!("{name}'s laptop") });
    config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".into(), "/ip4/127.0.0.1/tcp/0".into()];
    config.mdns = MdnsConfig::off();
    config
}

/// A running node in a home of its own.
pub(crate) async fn node(home: &Path, name: &str) -> Node {
    Node::open(config(&home.join(name), name)).await.unwrap()
}

/// The same that can reach nobody.
pub(crate) async fn away(home: &Path, name: &str) -> Node {
    let mut config = config(&home.join(name), name);
    config.network = NetworkMode::Solo;
    Node::open(config).await.unwrap()
}

/// The same that knows where another one is.
pub(crate) async fn near(home: &Path, name: &str, other: &Node) -> Node {
    let mut config = config(&home.join(name), name);
    config.bootstrap = other.listen_addresses().await;
    Node::open(config).await.unwrap()
}

/// Lets `joiner` into a space by link.
pub(crate) async fn join(space: &Space, joiner: &Node, role: Role) -> Space {
    let invitation = space.invite(role, Duration::from_secs(60)).await.unwrap();
    joiner.join(&invitation.link, PATIENCE).await.unwrap().space
}

/// Waits until `check` holds, looking again whenever something may have changed.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    eventually_within(PATIENCE, what, check).await;
}

/// The same for what is much work: `patience` is many times what it takes where nothing else runs.
pub(crate) async fn eventually_within<F: Future<Output = bool>>(
    patience: Duration,
    what: &str,
    check: impl Fn() -> F,
) {
    let wait = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(patience, wait).await.is_ok(), "never happened: {what}");
}

/// The whole collection as text, to compare replicas byte by byte.
pub(crate) async fn export(space: &Space, collection: &str) -> String {
    let rows = space.collection(collection).unwrap().query(None, None, usize::MAX >> 1).await.unwrap();
    rows.into_iter().map(|(id, doc)| format!("{id} {doc}\n")).collect()
}

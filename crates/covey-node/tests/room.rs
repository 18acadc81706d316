//! Room for members on a network full of strangers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use common::{config, eventually, join, node};
use covey_net::{Net, NetConfig};
use covey_node::{Node, Role, SyncState};
use covey_types::DeviceSecret;

/// Somebody who has the address, and nothing in common with the node there.
async fn stranger(address: &str) -> Net {
    let quiet = NetConfig {
        listen: vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()],
        mdns: covey_node::MdnsConfig::off(),
        ..NetConfig::new(DeviceSecret::generate())
    };
    let (net, _) = covey_net::start(quiet).unwrap();
    let _ = net.connect_any(address.parse().unwrap()).await;
    net
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_gets_in_where_strangers_have_all_the_room_they_may_have() {
    let home = tempfile::tempdir().unwrap();
    let mut small = config(&home.path().join("ada"), "ada");
    small.limits.established = 4;
    let (ada, bob) = (Node::open(small).await.unwrap(), node(home.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    join(&garden, &bob, Role::Member).await;
    bob.shutdown().await;

    let address = ada.listen_addresses().await.remove(0);
    let mut strangers = Vec::new();
    for _ in 0..4 {
        strangers.push(stranger(&address).await);
    }
    let bob = Node::open(config(&home.path().join("bob"), "bob")).await.unwrap();
    eventually("bob is in sync again", || async {
        garden.status().await.unwrap().sync.iter().any(|sync| sync.state == SyncState::InSync)
    })
    .await;
    ada.shutdown().await;
    bob.shutdown().await;
}

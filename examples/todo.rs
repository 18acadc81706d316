//! A to-do list on two nodes in one process: `cargo run -p covey-node --example todo`.
//!
//! Ada makes a list and invites Bob; both work on it at the same time; Bob goes offline, works alone, and
//! comes back. In the end both have the same list.

use std::{path::Path, time::Duration};

use covey_node::{Collection, MdnsConfig, NetworkMode, Node, NodeConfig, Profile, Role};

const PATIENCE: Duration = Duration::from_secs(30);

fn config(home: &Path, name: &str, network: NetworkMode) -> NodeConfig {
    let mut config = NodeConfig::new(home.join(name));
    config.profile = Some(Profile { user_name: name.into(), device_name: format!("{name}'s laptop") });
    // Loopback only: this example needs no network. On a LAN, leave these three lines out.
    config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".into()];
    config.mdns = MdnsConfig::off();
    config.network = network;
    config
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let ada = Node::open(config(folder.path(), "Ada", NetworkMode::Lan)).await?;
    let list = ada.create_space("household").await?;
    let todos = list.collection("todos")?;
    todos.put(Some("beans"), r#"{"what":"plant the beans","done":false}"#).await?;
    let invitation = list.invite(Role::Member, Duration::from_secs(60)).await?;
    println!("Ada invites Bob: {}", invitation.code);

    let bob = Node::open(config(folder.path(), "Bob", NetworkMode::Lan)).await?;
    let joined = bob.join(&invitation.link, PATIENCE).await?;
    println!("Bob joined {:?} and has {} record", joined.space.name(), joined.records);
    let bobs = joined.space.collection("todos")?;

    // Each changes another field of the same record: both changes stay.
    let mut seen_by_ada = todos.watch(None);
    let (one, two) = tokio::join!(
        todos.put(Some("beans"), r#"{"who":"Ada"}"#),
        bobs.put(Some("beans"), r#"{"done":true}"#),
    );
    one?;
    two?;
    let change = tokio::time::timeout(PATIENCE, seen_by_ada.next()).await??;
    println!("Ada sees a change of {:?}", change.id);

    // Bob works alone, on a train; the network is not even opened.
    bob.shutdown().await;
    let bob = Node::open(config(folder.path(), "Bob", NetworkMode::Solo)).await?;
    bob.space("household")?.collection("todos")?.put(Some("tea"), r#"{"what":"buy tea"}"#).await?;
    bob.shutdown().await;
    todos.put(Some("rain"), r#"{"what":"mend the gutter"}"#).await?;

    // Back home, he finds Ada by himself.
    let bob = Node::open(config(folder.path(), "Bob", NetworkMode::Lan)).await?;
    let bobs = bob.space("household")?.collection("todos")?;
    tokio::time::timeout(PATIENCE, until_alike(&todos, &bobs)).await??;
    println!("Both have:");
    for (id, doc) in todos.query(None, None, 100).await? {
        println!("  {id:<6} {doc}");
    }
    ada.shutdown().await;
    bob.shutdown().await;
    Ok(())
}

/// Waits until both hold the same three records.
async fn until_alike(one: &Collection, two: &Collection) -> Result<(), covey_node::NodeError> {
    let (mut changes, mut more) = (one.watch(None), two.watch(None));
    loop {
        let here = one.query(None, None, 100).await?;
        if here.len() == 3 && here == two.query(None, None, 100).await? {
            return Ok(());
        }
        tokio::select! {
            change = changes.next() => drop(change?),
            change = more.next() => drop(change?),
        }
    }
}

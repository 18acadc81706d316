//! A network in this process, and waiting for what it tells.

use std::time::Duration;

use covey_net::{MdnsConfig, Multiaddr, Net, NetConfig, NetEvent, NetStream, Transport, start};
use covey_types::{DeviceId, DeviceSecret};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};

pub(crate) const ECHO: &str = "/test/echo/1";
/// Longer than anything here takes on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn config(listen: &[&str]) -> NetConfig {
    NetConfig {
        listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
        mdns: MdnsConfig::off(),
        ..NetConfig::new(DeviceSecret::generate())
    }
}

pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";

pub(crate) struct Node {
    pub(crate) net: Net,
    pub(crate) events: mpsc::Receiver<NetEvent>,
    pub(crate) addrs: Vec<Multiaddr>,
}

impl Node {
    pub(crate) async fn start(config: NetConfig) -> Self {
        let listeners = config.listen.len();
        let (net, mut events) = start(config).unwrap();
        let mut addrs = Vec::new();
        while addrs.len() < listeners {
            if let NetEvent::Listening(addr) = events.recv().await.unwrap() {
                addrs.push(addr);
            }
        }
        Self { net, events, addrs }
    }

    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(NetEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(self.events.recv().await.expect("the network runs")) {
                    return found;
                }
            }
        };
        timeout(LONG, search).await.expect("the event comes")
    }

    pub(crate) async fn connected(&mut self) -> (DeviceId, Transport, bool) {
        self.until(|event| match event {
            NetEvent::Connected { device, transport, outbound, .. } => Some((device, transport, outbound)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn disconnected(&mut self) -> DeviceId {
        self.until(|event| match event {
            NetEvent::Disconnected { device, .. } => Some(device),
            _ => None,
        })
        .await
    }

    pub(crate) fn echo(&self) {
        let mut incoming = self.net.accept(ECHO).unwrap();
        tokio::spawn(async move {
            while let Some((_, stream)) = incoming.next().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = tokio::io::split(stream);
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                    let _ = write.shutdown().await;
                });
            }
        });
    }
}

pub(crate) async fn echoed(stream: NetStream, size: usize) {
    let sent: Vec<u8> = (0..size).map(|i| (i * 31 >> 3) as u8).collect();
    let (mut read, mut write) = tokio::io::split(stream);
    let bytes = sent.clone();
    let writer = tokio::spawn(async move {
        write.write_all(&bytes).await.unwrap();
        write.shutdown().await.unwrap();
        write
    });
    let mut got = Vec::new();
    read.read_to_end(&mut got).await.unwrap();
    writer.await.unwrap();
    assert!(got == sent, "{} of {size} bytes came back, or other ones", got.len());
}

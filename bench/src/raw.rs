//! The limits of the network: one bare QUIC stream between two swarms on loopback.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use covey_net::{Incoming, MdnsConfig, Net, NetConfig, NetEvent, NetStream, start};
use covey_types::DeviceSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Setting, report::Figure, runtime, samples::Samples};

const PROTOCOL: &str = "/covey/bench/1";

/// What one write or read takes; as much as the sync of nodes takes.
const CHUNK: usize = 64 << 10;

/// A message of a ping-pong: about a small record.
const PING_BYTES: usize = 128;

/// Two networks, connected.
pub(crate) struct Link {
    here: Net,
    there: Net,
    incoming: Incoming,
}

/// A swarm that listens on loopback and has said so.
async fn listening() -> Result<Net> {
    let mut config = NetConfig::new(DeviceSecret::generate());
    config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse()?];
    config.mdns = MdnsConfig::off();
    let (net, mut events) = start(config)?;
    while let Some(event) = events.recv().await {
        if matches!(event, NetEvent::Listening(_)) {
            return Ok(net);
        }
    }
    bail!("the network ended before it listened")
}

impl Link {
    /// Connects two networks over QUIC on loopback.
    pub(crate) async fn new() -> Result<Self> {
        let (here, there) = (listening().await?, listening().await?);
        let incoming = there.accept(PROTOCOL)?;
        here.connect(there.device(), there.listen_addrs().await).await?;
        Ok(Self { here, there, incoming })
    }

    async fn stream(&mut self) -> Result<(NetStream, NetStream)> {
        let mut near = self.here.open(self.there.device(), PROTOCOL).await?;
        near.write_all(b"!").await?; // the protocol is settled with the first bytes
        near.flush().await?;
        let (_, mut far) = self.incoming.next().await.context("the network ended")?;
        far.read_exact(&mut [0]).await?;
        Ok((near, far))
    }

    /// A stream whose other end sends back what it gets.
    pub(crate) async fn echo(&mut self) -> Result<Echo> {
        let (near, mut far) = self.stream().await?;
        tokio::spawn(async move {
            let mut message = [0; PING_BYTES];
            while far.read_exact(&mut message).await.is_ok() {
                far.write_all(&message).await?;
                far.flush().await?;
            }
            anyhow::Ok(())
        });
        Ok(Echo(near))
    }

    /// How long `bytes` take from the first write until the other side says that it has them.
    pub(crate) async fn copy(&mut self, bytes: usize) -> Result<Duration> {
        let (mut near, mut far) = self.stream().await?;
        let sink = tokio::spawn(async move {
            let mut buffer = vec![0; CHUNK];
            let mut left = bytes;
            while left > 0 {
                let read = far.read(&mut buffer).await?;
                anyhow::ensure!(read > 0, "the stream ended early");
                left = left.saturating_sub(read);
            }
            far.write_all(b"!").await?;
            far.flush().await?;
            anyhow::Ok(far)
        });
        let chunk = vec![7; CHUNK];
        let started = Instant::now();
        for _ in 0..bytes / CHUNK {
            near.write_all(&chunk).await?;
        }
        near.flush().await?;
        near.read_exact(&mut [0]).await?;
        let took = started.elapsed();
        sink.await??;
        Ok(took)
    }

    /// Ends both networks.
    pub(crate) async fn close(self) {
        self.here.shutdown().await;
        self.there.shutdown().await;
    }
}

/// One end of a stream that sends everything back; the other ends with it.
pub(crate) struct Echo(NetStream);

impl Echo {
    /// How long a small message takes there and back.
    pub(crate) async fn ping(&mut self) -> Result<Duration> {
        let mut message = [7; PING_BYTES];
        let started = Instant::now();
        self.0.write_all(&message).await?;
        self.0.flush().await?;
        self.0.read_exact(&mut message).await?;
        Ok(started.elapsed())
    }
}

/// The bare stream's throughput and round trip.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    const TIMES: usize = 5;
    let bytes = setting.count(256, 16) << 20;
    runtime()?.block_on(async {
        let mut link = Link::new().await?;
        let mut rates = Samples::default();
        for _ in 0..TIMES {
            #[expect(clippy::cast_precision_loss, reason = "a few hundred million")]
            rates.push(bytes as f64 / 1e6 / link.copy(bytes).await?.as_secs_f64());
        }
        let (mut echo, mut trips) = (link.echo().await?, Samples::default());
        for _ in 0..setting.count(2000, 100) {
            trips.push_ms(echo.ping().await?);
        }
        link.close().await;
        Ok(vec![
            Figure::new(format!("bare QUIC stream, {} MiB", bytes >> 20), rates.median(), "MB/s")
                .sampled(&rates),
            Figure::new("bare QUIC stream, round trip, p50", trips.median(), "ms").sampled(&trips),
        ])
    })
}

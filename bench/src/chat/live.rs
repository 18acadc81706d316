//! Two real `covey` on loopback, as two people use them: one sends through its API, and web sockets tell.
//!
//! Beside the time to the other's socket stands what can't be avoided: both make the message durable, and it goes one way.
//! The crowd of sockets is all on the sender's node. A socket is told of everything or that it missed something (`reset`):
//! one that is too slow for the events that a node keeps has fallen behind.

use std::{
    collections::HashMap,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::{sync::Mutex, task::JoinSet, time::MissedTickBehavior};

use super::api::{Events, Place};
use crate::{
    Setting,
    nodes::PATIENCE,
    process::Covey,
    raw::{Echo, Link},
    report::Figure,
    runtime,
    samples::Samples,
    sqlcipher::Plain,
};

/// Messages before the clock starts.
const WARM_UP: usize = 20;

/// Open sockets on one node: a large team with the page open in a browser, all on one machine.
const SOCKETS: usize = 50;

/// Messages a second.
const RATE: usize = 200;

/// Connections over which they are sent: a sender waits until a message is on disk.
const SENDERS: usize = 8;

/// Memory that the node may take for all these sockets, MiB.
const MAX_GROWTH_MIB: f64 = 32.0;

/// A home with a running node of the real program.
struct Home<C> {
    covey: Covey<C>,
    place: Place,
}

fn home(setting: &Setting, name: &str) -> Result<Home<impl Fn() -> Command + use<>>> {
    let program = setting.covey.clone().context("the covey program is not built")?;
    let folder = setting.work.join(name);
    let mut covey = Covey::new(&folder, move || Command::new(&program));
    covey.up_with(name, &["--network", "lan", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"])?;
    Ok(Home { covey, place: Place::of(&folder)? })
}

/// Runs it.
pub(super) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let (mut ada, mut bob) = (home(setting, "ada")?, home(setting, "bob")?);
    ada.covey.run(&["space", "create", "garden"])?;
    let invitation = ada.covey.run(&["invite", "garden"])?;
    let link = invitation["link"].as_str().context("an invitation without a link")?;
    bob.covey.run(&["join", link, "--timeout", "60s"])?;
    ada.covey.run(&["channel", "create", "garden", "beds"])?;
    let runtime = runtime()?;
    let mut figures = runtime.block_on(between(setting, &ada.place, &bob.place))?;
    bob.covey.down()?;
    let before = ada.covey.rss_mib()?;
    let crowd = runtime.block_on(crowd(&ada.place, setting.count(10, 1)))?;
    let after = ada.covey.rss_mib()?;
    ada.covey.down()?;
    figures.extend(crowd.figures(after - before, after));
    Ok(figures)
}

/// From the call that sends to the other node's socket, one message after the other.
async fn between(setting: &Setting, ada: &Place, bob: &Place) -> Result<Vec<Figure>> {
    let plain = Plain::new(&setting.work, "plain.db")?;
    let mut link = Link::new().await?;
    let mut echo = link.echo().await?;
    let (mut api, mut here, mut there) = (ada.open().await?, ada.events().await?, bob.events().await?);
    let (mut own, mut other, mut floor) = (Samples::default(), Samples::default(), Samples::default());
    for n in 0..WARM_UP + setting.count(500, 20) {
        let least = least(&plain, &mut echo, n).await?;
        let message = json!({ "text": format!("message {n}") });
        let started = Instant::now();
        let (sent, at_own, at_other) = tokio::join!(
            api.post("spaces/garden/channels/beds/messages", &message),
            here.message(),
            there.message()
        );
        let missed = "events were missed";
        let ((own_id, at_own), (other_id, at_other)) = (at_own?.context(missed)?, at_other?.context(missed)?);
        ensure!(
            sent?["id"] == own_id.as_str() && own_id == other_id,
            "another message than the one that was sent"
        );
        if n >= WARM_UP {
            own.push_ms(at_own - started);
            other.push_ms(at_other - started);
            floor.push_ms(least);
        }
    }
    link.close().await;
    let named = "2 plain commits + 1/2 round trip";
    Ok(vec![
        Figure::new("a message, sent on A to B's web socket, p50", other.median(), "ms")
            .beside(named, floor.median())
            .sampled(&other),
        Figure::new("a message, sent on A to B's web socket, p95", other.percentile(0.95), "ms")
            .beside(named, floor.percentile(0.95))
            .below(50.0),
        Figure::new("  sent on A to A's own web socket, p95", own.percentile(0.95), "ms").sampled(&own),
    ])
}

async fn least(plain: &Plain, echo: &mut Echo, n: usize) -> Result<Duration> {
    let commits = plain.commit(2 * n)? + plain.commit(2 * n + 1)?;
    Ok(commits + echo.ping().await? / 2)
}

/// What a crowd of sockets was told.
struct Crowd {
    messages: usize,
    /// From the answer to the sender until a socket was told, of all sockets.
    behind: Samples,
    /// Sockets that missed something.
    lost: usize,
    took: Duration,
}

/// Has many sockets listen while messages are sent at a steady rate.
async fn crowd(place: &Place, seconds: usize) -> Result<Crowd> {
    let messages = RATE * seconds;
    let mut sockets = JoinSet::new();
    for _ in 0..SOCKETS {
        let events = place.events().await?;
        sockets.spawn(listen(events, messages));
    }
    let (sent, took) = send(place, messages).await?;
    let (mut behind, mut lost) = (Samples::default(), 0);
    while let Some(told) = sockets.join_next().await {
        match told?? {
            Some(told) => {
                for (id, at) in told {
                    let sent = sent.get(&id).context("a message that nobody sent")?;
                    behind.push_ms(at.saturating_duration_since(*sent));
                }
            }
            None => lost += 1,
        }
    }
    Ok(Crowd { messages, behind, lost, took })
}

/// When a socket was told of each message; `None` if it missed something.
async fn listen(mut events: Events, messages: usize) -> Result<Option<HashMap<String, Instant>>> {
    let mut told = HashMap::with_capacity(messages);
    while told.len() < messages {
        let Some((id, at)) = events.message().await? else { return Ok(None) };
        // It's told of again when something is known of who has it.
        told.entry(id).or_insert(at);
    }
    Ok(Some(told))
}

/// Sends messages at the rate; when each was called for, and how long all took.
async fn send(place: &Place, messages: usize) -> Result<(HashMap<String, Instant>, Duration)> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(RATE)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (ticks, started) = (Arc::new(Mutex::new((ticks, 0))), Instant::now());
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (ticks, mut api) = (Arc::clone(&ticks), place.open().await?);
        senders.spawn(async move {
            let mut sent = Vec::new();
            loop {
                let n = {
                    let mut turn = ticks.lock().await;
                    if turn.1 == messages {
                        return anyhow::Ok(sent);
                    }
                    turn.0.tick().await;
                    turn.1 += 1;
                    turn.1
                };
                let at = Instant::now();
                let message = json!({ "text": format!("all at once, {n}") });
                let answer = api.post("spaces/garden/channels/beds/messages", &message).await?;
                sent.push((answer["id"].as_str().context("a message without an id")?.to_owned(), at));
            }
        });
    }
    let mut sent = HashMap::with_capacity(messages);
    while let Some(some) = tokio::time::timeout(PATIENCE, senders.join_next()).await? {
        sent.extend(some??);
    }
    Ok((sent, started.elapsed()))
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
impl Crowd {
    fn figures(self, growth_mib: f64, rss_mib: f64) -> Vec<Figure> {
        let what = format!("{} messages to {SOCKETS} web sockets", self.messages);
        let rate = self.messages as f64 / self.took.as_secs_f64();
        vec![
            Figure::new(format!("{what}: sockets that fell behind"), self.lost as f64, "").below(1.0),
            Figure::new("  from the sender's call to each of them, p95", self.behind.percentile(0.95), "ms"),
            Figure::new("  the last of all", self.behind.percentile(1.0), "ms"),
            Figure::new("  sent, each on disk before its sender goes on", rate, "per s")
                .at_least(RATE as f64 * 0.95),
            Figure::new("  the node's RSS grew by", growth_mib, "MiB").below(MAX_GROWTH_MIB),
            Figure::new("  to", rss_mib, "MiB"),
        ]
    }
}

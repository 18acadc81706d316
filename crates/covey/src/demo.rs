//! `covey demo`: three real nodes on this machine, and what they do for each other, told in a few lines.
//!
//! Each node is a process of this same program with a home of its own in a temporary folder, listening on
//! loopback only. One of them is killed (SIGKILL) and comes back. Nothing is left behind: the processes and
//! the folder go with the demo, however it ends.

mod node;

use std::{
    io::IsTerminal,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use covey_api::dto::{ImportDto, InviteDto, JoinedDto, NewInvite, NewRecord, NewSpace, PutDto, SpaceDto};
use futures::{StreamExt, stream};
use serde_json::json;

use crate::{
    args::{Args, Demo},
    client::{path, with_query},
    diag::Failure,
    output::{Out, Tone},
};
use node::DemoNode;

/// Records of the sample collection.
const PLANTS: u64 = 1000;

/// Writes whose way to the others is timed one by one.
const LIVE_WRITES: usize = 20;

/// Records that are written while one node is dead.
const WHILE_AWAY: usize = 200;

/// Anything takes far less; past this something is wrong, and the demo says what.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the sample data changes at the end, until Ctrl-C.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Runs the demo. Ctrl-C drops it, and with it the nodes and their folder.
pub(crate) async fn run(args: &Args, demo: &Demo, out: &Out) -> Result<(), Failure> {
    let folder = tempfile::Builder::new()
        .prefix("covey-demo-")
        .tempdir()
        .map_err(|error| Failure::failed("a temporary folder could not be made").because(error))?;
    let mut story = Story { out, started: Instant::now() };
    let nodes = tell(args, &mut story, folder.path()).await?;
    if !demo.once && std::io::stdout().is_terminal() && !out.is_json() {
        keep_going(&mut story, &nodes).await?;
    }
    for node in nodes {
        node.stop().await;
    }
    story.tell("all gone", "the three nodes and their folder are removed", None)
}

/// Says what happens, with how long it took.
struct Story<'a> {
    out: &'a Out,
    started: Instant,
}

impl Story<'_> {
    fn tell(&self, what: &str, detail: &str, took: Option<Duration>) -> Result<(), Failure> {
        let took_ms = took.map(|took| (took.as_secs_f64() * 10_000.0).round() / 10.0);
        if self.out.is_json() {
            return self.out.document(&json!({
                "event": what,
                "detail": detail,
                "took_ms": took_ms,
                "at_ms": self.started.elapsed().as_millis() as u64,
            }));
        }
        let took =
            took_ms.map_or_else(String::new, |ms| self.out.paint(Tone::Good, &format!("{ms:>8.1} ms")));
        self.out
            .line(&format!("{took:>11}  {} {detail}", self.out.paint(Tone::Strong, &format!("{what:<11}"))))
    }

    fn note(&self, text: &str) -> Result<(), Failure> {
        if self.out.is_json() { Ok(()) } else { self.out.line(&self.out.paint(Tone::Soft, text)) }
    }
}

async fn tell(args: &Args, story: &mut Story<'_>, folder: &Path) -> Result<Vec<DemoNode>, Failure> {
    story.note(
        "Three nodes on this machine, each a process with a home of its own. Nothing leaves this machine.\n",
    )?;
    let ada = DemoNode::start(args, folder, "Ada", &[]).await?;
    story.tell("ada", "is up: new identity, new encrypted store", Some(ada.start_took))?;
    make_garden(story, &ada).await?;
    let bob = DemoNode::start(args, folder, "Bob", &[&ada]).await?;
    story.tell("bob", "is up", Some(bob.start_took))?;
    let code = join(story, &ada, &bob, "Bob").await?;
    let cem = DemoNode::start(args, folder, "Cem", &[&ada, &bob]).await?;
    story.tell("cem", "is up", Some(cem.start_took))?;
    join(story, &ada, &cem, "Cem").await?;
    story.tell("code", &format!("{code} is used up: a code lets in one device"), None)?;
    live(story, &bob, &[&ada, &cem]).await?;
    let bob = crash(args, story, &ada, bob, &cem).await?;
    let nodes = vec![ada, bob, cem];
    compare(story, &nodes).await?;
    Ok(nodes)
}

async fn make_garden(story: &Story<'_>, ada: &DemoNode) -> Result<(), Failure> {
    let start = Instant::now();
    let space: SpaceDto =
        ada.client.post("spaces", &NewSpace { name: "garden".into(), ..NewSpace::default() }).await?;
    story.tell("space", &format!("Ada makes “garden”: {}…", &space.id[..8]), Some(start.elapsed()))?;
    let start = Instant::now();
    let lines = (0..PLANTS).map(|i| {
        Bytes::from(format!(
            "{{\"name\":\"plant {i}\",\"bed\":{},\"planted\":\"2026-04-{:02}\"}}\n",
            i % 12,
            i % 30 + 1
        ))
    });
    let imported: ImportDto =
        ada.client.upload(&plants("import"), stream::iter(lines.collect::<Vec<_>>())).await?;
    let detail = format!("{} records, signed, encrypted and on disk", imported.records);
    story.tell("import", &detail, Some(start.elapsed()))
}

fn plants(what: &str) -> String {
    path(&["spaces", "garden", "collections", "plants", what])
}

/// Lets someone in by code; the code, for the story.
async fn join(
    story: &Story<'_>,
    inviter: &DemoNode,
    joiner: &DemoNode,
    name: &str,
) -> Result<String, Failure> {
    let wish = NewInvite { role: Some("member".into()), expires_s: Some(900) };
    let invite: InviteDto = inviter.client.post(&path(&["spaces", "garden", "invites"]), &wish).await?;
    let start = Instant::now();
    let request = json!({ "code": invite.code, "timeout_s": PATIENCE.as_secs() });
    let joined: JoinedDto = joiner.client.post("join", &request).await?;
    let detail = format!("{name} types {} and has all {} records", invite.code, joined.records);
    story.tell("join", &detail, Some(start.elapsed()))?;
    Ok(invite.code)
}

/// Writes on one node, timed until the others see it.
async fn live(story: &Story<'_>, writer: &DemoNode, watchers: &[&DemoNode]) -> Result<(), Failure> {
    let mut sockets = Vec::new();
    for watcher in watchers {
        sockets.push(watcher.client.socket(&path(&["spaces", "garden", "watch"])).await?);
    }
    let mut times = Vec::new();
    for i in 0..LIVE_WRITES {
        let id = format!("live-{i}");
        let start = Instant::now();
        put(writer, &id, json!({ "name": "seen live", "n": i })).await?;
        for socket in &mut sockets {
            node::wait_for_change(socket, &id, PATIENCE).await?;
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let detail =
        format!("Bob writes, Ada and Cem both see it (median of {LIVE_WRITES}, from the HTTP request on)");
    story.tell("live", &detail, Some(times[times.len() / 2]))
}

async fn put(node: &DemoNode, id: &str, doc: serde_json::Value) -> Result<(), Failure> {
    let doc = serde_json::value::to_raw_value(&doc)
        .map_err(|error| Failure::failed("a sample record could not be made").because(error))?;
    let record = NewRecord { id: Some(id.to_owned()), doc };
    let _: PutDto = node.client.post(&plants("records"), &record).await?;
    Ok(())
}

/// Kills Bob, lets the others go on without him, and times his return.
async fn crash(
    args: &Args,
    story: &Story<'_>,
    ada: &DemoNode,
    bob: DemoNode,
    cem: &DemoNode,
) -> Result<DemoNode, Failure> {
    let home = bob.kill().await?;
    story.tell("crash", "Bob's process is killed (SIGKILL), without a chance to say goodbye", None)?;
    let start = Instant::now();
    for i in 0..WHILE_AWAY / 2 {
        put(ada, &format!("away-ada-{i}"), json!({ "by": "Ada" })).await?;
        put(cem, &format!("away-cem-{i}"), json!({ "by": "Cem" })).await?;
    }
    story.tell(
        "meanwhile",
        &format!("Ada and Cem write {WHILE_AWAY} records, one by one"),
        Some(start.elapsed()),
    )?;
    let bob = DemoNode::restart(args, &home, "Bob", &[ada, cem]).await?;
    story.tell("bob", "is up again, with everything that he had acknowledged", Some(bob.start_took))?;
    let start = Instant::now();
    let want = ada.records().await?;
    bob.wait_for_records(want, PATIENCE).await?;
    story.tell("caught up", &format!("Bob has all {want} records, by himself"), Some(start.elapsed()))?;
    Ok(bob)
}

/// Compares what the nodes hold, byte by byte.
async fn compare(story: &Story<'_>, nodes: &[DemoNode]) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut exports = Vec::new();
        for node in nodes {
            exports.push(node.export(&plants("export")).await?);
        }
        if exports.windows(2).all(|pair| pair[0] == pair[1]) {
            let lines = String::from_utf8_lossy(&exports[0]).lines().count();
            return story.tell(
                "the same",
                &format!("all three export {lines} records, byte for byte alike"),
                None,
            );
        }
        if Instant::now() >= deadline {
            return Err(Failure::failed("the three nodes do not hold the same records")
                .hint("this is a defect; please report it with the output of `covey demo --json`"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Lets the sample data flow until Ctrl-C.
async fn keep_going(story: &mut Story<'_>, nodes: &[DemoNode]) -> Result<(), Failure> {
    story.note("\nThe nodes go on. Open their pages, or use them: each link works once.")?;
    for node in nodes {
        story.note(&format!("  {:<5} {}", node.name, node.web))?;
        story.note(&format!("        covey --home {} status", node.home.display()))?;
    }
    story.note("\nA record changes every second, each time on another node. Ctrl-C removes everything.\n")?;
    let watch = with_query(path(&["spaces", "garden", "watch"]), &[("collection", Some("weather".into()))]);
    let mut sockets = Vec::new();
    for node in nodes {
        sockets.push(node.client.socket(&watch).await?);
    }
    for turn in 0u64.. {
        let writer = &nodes[turn as usize % nodes.len()];
        let degrees = 14 + (turn * 7) % 11;
        let record = NewRecord {
            id: Some("now".into()),
            doc: serde_json::value::to_raw_value(
                &json!({ "degrees": degrees, "turn": turn, "by": writer.name }),
            )
            .map_err(|error| Failure::failed("a sample record could not be made").because(error))?,
        };
        let start = Instant::now();
        let place = path(&["spaces", "garden", "collections", "weather", "records"]);
        let _: PutDto = writer.client.post(&place, &record).await?;
        for socket in &mut sockets {
            node::wait_for_change(socket, "now", PATIENCE).await?;
        }
        let detail = format!("{} says {degrees} °C; all three have it", writer.name);
        story.tell("weather", &detail, Some(start.elapsed()))?;
        tokio::time::sleep(HEARTBEAT).await;
    }
    Ok(())
}

/// Takes what a stream of bytes gives, whole.
async fn collect(
    mut chunks: impl futures::Stream<Item = Result<Bytes, Failure>> + Unpin,
) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}

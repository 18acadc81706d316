//! Logs with two histories: what peers claim of them, and telling everybody what is proved.

use covey_engine::{Ingested, unwritten};
use covey_log::{Evidence, SignedHeader};
use covey_sync::Input;
use covey_types::{Head, LogId, Signature, SpaceId};
use tokio::sync::mpsc;

use super::{Message, SessionEnd, ingest::conclude};
use crate::{Event, Node, NodeError};

/// What a peer claims of a log with two histories.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) space: SpaceId,
    pub(super) what: What,
    /// To be handed back to the session.
    pub(super) bytes: u32,
}

/// What a claim is made of.
#[derive(Debug)]
pub(super) enum What {
    /// All that the peer knows of such a log.
    Evidence(Vec<u8>),
    /// The header of the first entry that differs.
    Branch(Vec<u8>, Signature),
}

/// Checks what a peer claims, one after the other. The session's window bounds what waits.
pub(super) async fn judge_all(
    node: Node,
    mut claims: mpsc::UnboundedReceiver<Claim>,
    inbox: mpsc::Sender<Message>,
    ends: mpsc::Sender<SessionEnd>,
) {
    while let Some(Claim { space, what, bytes }) = claims.recv().await {
        // In a task of its own: a session that ends must not leave what it stored untold.
        let judged = node.0.tasks.spawn(judge(node.clone(), space, what)).await;
        if let Ok(Err(end)) = judged {
            let _ = ends.send(end).await;
            return;
        }
        let input = Input::Ingested { space, durable: Vec::new(), rejected: Vec::new(), bytes };
        if inbox.send(Message::Input(input)).await.is_err() {
            return;
        }
    }
}

async fn judge(node: Node, space: SpaceId, what: What) -> Result<(), SessionEnd> {
    enum Checked {
        Evidence(Box<Evidence>),
        Branch(Box<SignedHeader>),
    }
    let check = move || match what {
        What::Evidence(bytes) => Evidence::verified(space, &bytes)
            .map(|proved| Checked::Evidence(Box::new(proved)))
            .map_err(SessionEnd::FalseEvidence),
        What::Branch(bytes, signature) => SignedHeader::verified(&bytes, signature)
            .map(|half| Checked::Branch(Box::new(half)))
            .map_err(SessionEnd::Forged),
    };
    let checked = tokio::task::spawn_blocking(check).await.map_err(|_| SessionEnd::Stream)??;
    let (secrets, now) = (node.secrets(), node.now_ms());
    let outcome = node.write(move |tx, engine| {
        Ok(match checked {
            Checked::Evidence(evidence) => engine.take_evidence(tx, &secrets, space, *evidence, now)?,
            Checked::Branch(half) => engine.take_branch(tx, &secrets, space, *half, now)?,
        })
    });
    let outcome = outcome.await.map_err(SessionEnd::Own)?;
    conclude(&node, space, &outcome);
    Ok(())
}

/// Tells everybody concerned what became known of logs with two histories.
pub(super) fn tell(node: &Node, space: SpaceId, outcome: &Ingested) {
    if outcome.frozen.is_empty() && outcome.shortened.is_empty() {
        return;
    }
    let lines = {
        let engine = node.engine();
        let Ok(state) = engine.space(space) else { return };
        state.frozen().filter(|frozen| outcome.frozen.contains(&frozen.line.log)).collect::<Vec<_>>()
    };
    let heads: Vec<(LogId, Head)> = outcome.shortened.iter().map(|(log, head)| (*log, *head)).collect();
    node.0.sessions.frozen(node, space, &lines, &heads);
    if !heads.is_empty() {
        node.records_changed(space);
    }
    for (log, seq) in &outcome.forked {
        tracing::warn!(%space, %log, seq, "a device wrote two histories; its log doesn't count from there on");
        node.emit(Event::LogForked { space, device: log.device, seq: *seq });
    }
    write_again(node, space);
}

/// Writes again what this device wrote into a history of its own log that doesn't count, if there is such a thing and it
/// may write.
pub(crate) fn write_again(node: &Node, space: SpaceId) {
    let node = node.clone();
    node.clone().spawn(async move {
        if let Err(err) = all_again(&node, space).await {
            tracing::warn!(%space, %err, "writing again what was written into a history that doesn't count");
        }
    });
}

async fn all_again(node: &Node, space: SpaceId) -> Result<(), NodeError> {
    if node.0.store.read(move |reader| unwritten(reader, space)).await? > 0 {
        while some_again(node.clone(), space).await? {}
    }
    // Looked for each time: this device may have been stopped between the two.
    crate::chat::again::delete_again(node, space).await
}

/// One transaction of it; whether there's more to do, and it can be done.
async fn some_again(node: Node, space: SpaceId) -> Result<bool, NodeError> {
    let (secrets, now) = (node.secrets(), node.now_ms());
    let for_telling = node.clone();
    let written = async move {
        let write = node.write(move |tx, engine| {
            let before = unwritten(tx, space)?;
            let entries = engine.write_again(tx, &secrets, space, now)?;
            Ok((entries, (1..before).contains(&unwritten(tx, space)?)))
        });
        let (entries, more) = write.await?;
        node.published(space, &entries);
        Ok(more)
    };
    for_telling.to_its_end(written).await
}

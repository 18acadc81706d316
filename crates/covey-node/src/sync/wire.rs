//! Frames to and from the stream of a session, each in a task of its own.

use covey_net::NetStream;
use covey_sync::{
    Deframer,
    framing::{self, MAX_STRANGER_FRAME_BYTES},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
};

use super::SessionEnd;

/// Frames that may wait for a session: with the largest frames that is 64 MB, with usual ones 4 MB.
pub(super) const FRAMES: usize = 16;

/// Answers that wait for the writer. The session adds up what it owes meanwhile: a peer that doesn't read costs nothing.
pub(super) const ANSWERS: usize = 1;

/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 << 10;

/// What the reader has for the session.
pub(super) enum Incoming {
    Frame(Vec<u8>),
    /// A frame begins that is longer than a stranger's may be: how long may it be, now that all before it was handled?
    Longer(oneshot::Sender<usize>),
}

pub(super) async fn read_frames(
    mut reader: tokio::io::ReadHalf<NetStream>,
    early: Vec<u8>,
    frames: mpsc::Sender<Result<Incoming, SessionEnd>>,
) {
    let mut deframer = Deframer::with_max(MAX_STRANGER_FRAME_BYTES);
    deframer.push(&early);
    drop(early);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        if hand_over(&mut deframer, &frames).await.is_none() {
            return;
        }
        match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => deframer.push(&buffer[..read]),
        }
    }
}

/// Hands the frames that are whole to the session; `None` when there is nothing more to read.
async fn hand_over(
    deframer: &mut Deframer,
    frames: &mpsc::Sender<Result<Incoming, SessionEnd>>,
) -> Option<()> {
    loop {
        let oversized = match deframer.next_frame() {
            Ok(None) => return Some(()),
            Ok(Some(payload)) => {
                let frame = Incoming::Frame(payload.to_vec());
                frames.send(Ok(frame)).await.ok()?;
                continue;
            }
            Err(oversized) => oversized,
        };
        // What came before may have shown that this is no stranger: only who has handled it knows.
        let (reply, answer) = oneshot::channel();
        frames.send(Ok(Incoming::Longer(reply))).await.ok()?;
        let max = answer.await.ok()?;
        if oversized.len > max {
            let _ = frames.send(Err(oversized.into())).await;
            return None;
        }
        deframer.set_max(max);
    }
}

pub(super) async fn write_frames(
    mut writer: tokio::io::WriteHalf<NetStream>,
    mut payloads: mpsc::UnboundedReceiver<Vec<u8>>,
    mut answers: mpsc::Receiver<Vec<u8>>,
) {
    loop {
        let payload = tokio::select! {
            biased; // answers are small, few, and let the peer go on
            Some(answer) = answers.recv() => answer,
            payload = payloads.recv() => match payload {
                Some(payload) => payload,
                None => break,
            },
        };
        if writer.write_all(&framing::frame(&payload)).await.is_err() {
            return;
        }
        if payloads.is_empty() && answers.is_empty() && writer.flush().await.is_err() {
            return;
        }
    }
    // The session is over; what was said last still goes out.
    let _ = writer.shutdown().await;
}

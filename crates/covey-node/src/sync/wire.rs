//! Frames to and from the stream of a session, each in a task of its own.

use std::time::Duration;

use covey_net::NetStream;
use covey_sync::{
    Deframer,
    framing::{self, MAX_STRANGER_FRAME_BYTES},
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{mpsc, oneshot},
    time::timeout,
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

/// The way to the writer of a session.
pub(super) struct Outgoing {
    /// Bounded by what the session says: the window, and what there is once. `None` once the last word is said.
    frames: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Ends with the writer.
    written: oneshot::Receiver<()>,
}

impl Outgoing {
    /// What is sent here, and `answers`, is written by the future.
    pub(super) fn to(
        writer: impl AsyncWrite + Unpin,
        answers: mpsc::Receiver<Vec<u8>>,
    ) -> (Self, impl Future<Output = ()>) {
        let (frames, to_write) = mpsc::unbounded_channel();
        let (done, written) = oneshot::channel();
        let writing = async move {
            write_frames(writer, to_write, answers).await;
            // Nobody needs to wait for it.
            let _ = done.send(());
        };
        (Self { frames: Some(frames), written }, writing)
    }

    pub(super) fn send(&self, payload: Vec<u8>) -> Result<(), SessionEnd> {
        let sent = self.frames.as_ref().and_then(|frames| frames.send(payload).ok());
        sent.ok_or(SessionEnd::Stream)
    }

    /// Waits until all that was said is written, so long at most. Nothing more can be said.
    pub(super) async fn finish(&mut self, patience: Duration) {
        if self.frames.take().is_some() {
            let _ = timeout(patience, &mut self.written).await;
        }
    }
}

async fn write_frames(
    mut writer: impl AsyncWrite + Unpin,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Far more than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn the_last_word_is_written_though_the_peer_takes_it_late() {
        let (here, mut there) = tokio::io::duplex(16);
        let (_answers, to_answer) = mpsc::channel(ANSWERS);
        let (mut outgoing, writing) = Outgoing::to(here, to_answer);
        tokio::spawn(writing);
        for payload in [&[7; 100], &[8; 100]] {
            outgoing.send(payload.to_vec()).unwrap();
        }
        {
            let mut finishing = std::pin::pin!(outgoing.finish(PATIENCE));
            let early = timeout(Duration::from_millis(100), finishing.as_mut()).await;
            assert!(early.is_err(), "nobody has taken it yet");
            let mut taken = Vec::new();
            let (read, ()) =
                timeout(PATIENCE, async { tokio::join!(there.read_to_end(&mut taken), finishing) })
                    .await
                    .expect("it ends when it's written");
            read.unwrap();
            assert_eq!(taken, [framing::frame(&[7; 100]), framing::frame(&[8; 100])].concat());
        }
        assert!(outgoing.send(vec![9]).is_err(), "it was the last one");
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_not_waited_for_without_end() {
        let (here, _there) = tokio::io::duplex(16);
        let (_answers, to_answer) = mpsc::channel(ANSWERS);
        let (mut outgoing, writing) = Outgoing::to(here, to_answer);
        tokio::spawn(writing);
        outgoing.send(vec![7; 100]).unwrap();
        let finished = timeout(PATIENCE, outgoing.finish(Duration::from_millis(10)));
        finished.await.expect("its patience has an end");
    }
}

//! Frames on a byte stream: a length (u32, little endian), then that many bytes.

use covey_types::limits::MAX_SYNC_FRAME_BYTES;

/// Longest frame from a peer with which no space is known to be shared: the longest Offer is half of it. Whoever can
/// connect may come this far, so it's what a stranger can make a node hold.
pub const MAX_STRANGER_FRAME_BYTES: usize = 64 << 10;

/// A frame that announces more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {len} bytes is longer than the limit of {max}")]
pub struct Oversized {
    /// The announced length, bytes.
    pub len: usize,
    /// The limit, bytes.
    pub max: usize,
}

/// Puts the length in front of a frame's payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + payload.len());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

/// Cuts a byte stream into frames. Holds at most one unfinished frame.
#[derive(Debug)]
pub struct Deframer {
    buffer: Vec<u8>,
    taken: usize,
    max: usize,
}

impl Default for Deframer {
    /// Takes frames of up to [`MAX_SYNC_FRAME_BYTES`].
    fn default() -> Self {
        Self::with_max(MAX_SYNC_FRAME_BYTES)
    }
}

impl Deframer {
    /// Takes frames of up to `max` bytes.
    pub const fn with_max(max: usize) -> Self {
        Self { buffer: Vec::new(), taken: 0, max }
    }

    /// Sets the limit for frames from now on, bytes. One that was refused may be allowed then.
    pub const fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Takes in bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// [`Oversized`]: nothing after it can be read, unless [`Deframer::set_max`] allows more.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Oversized> {
        let rest = &self.buffer[self.taken..];
        let Some((head, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_le_bytes(*head) as usize;
        if len > self.max {
            return Err(Oversized { len, max: self.max });
        }
        if rest.len() < len {
            return Ok(None);
        }
        let start = self.taken + 4;
        self.taken = start + len;
        Ok(Some(&self.buffer[start..start + len]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_oversized_frame_is_refused_before_it_is_read() {
        let mut deframer = Deframer::default();
        deframer.push(&u32::MAX.to_le_bytes());
        assert_eq!(
            deframer.next_frame(),
            Err(Oversized { len: u32::MAX as usize, max: MAX_SYNC_FRAME_BYTES })
        );
    }

    #[test]
    fn a_frame_that_was_too_long_is_read_once_it_may_be() {
        let mut deframer = Deframer::with_max(3);
        deframer.push(&frame(b"four"));
        assert_eq!(deframer.next_frame(), Err(Oversized { len: 4, max: 3 }));
        deframer.set_max(4);
        assert_eq!(deframer.next_frame(), Ok(Some(b"four".as_slice())));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20), cut in 1usize..40) {
            let stream: Vec<u8> = frames.iter().flat_map(|payload| frame(payload)).collect();
            let (mut deframer, mut got) = (Deframer::default(), Vec::new());
            for piece in stream.chunks(cut) {
                deframer.push(piece);
                while let Some(payload) = deframer.next_frame().unwrap() {
                    got.push(payload.to_vec());
                }
            }
            prop_assert_eq!(got, frames);
        }
    }
}

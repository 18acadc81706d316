//! Frames on a byte stream: a length (u32, little endian), then that many bytes.

use covey_types::limits::MAX_SYNC_FRAME_BYTES;

/// A frame that announces more than [`MAX_SYNC_FRAME_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {len} bytes is longer than the limit of {MAX_SYNC_FRAME_BYTES}")]
pub struct Oversized {
    /// The announced length, bytes.
    pub len: usize,
}

/// Puts the length in front of a frame's payload.
pub fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + payload.len());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

/// Cuts a byte stream into frames. Holds at most one unfinished frame.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: Vec<u8>,
    taken: usize,
}

impl Deframer {
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
    /// [`Oversized`]: nothing after it can be read.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Oversized> {
        let rest = &self.buffer[self.taken..];
        let Some((head, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_le_bytes(*head) as usize;
        if len > MAX_SYNC_FRAME_BYTES {
            return Err(Oversized { len });
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
        assert_eq!(deframer.next_frame(), Err(Oversized { len: u32::MAX as usize }));
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

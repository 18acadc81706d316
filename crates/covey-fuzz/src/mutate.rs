//! Changes to valid inputs, for where no fuzzer watches which of them lead anywhere.

use fastrand::Rng;

/// Longest input that is made: past it decoders do nothing new.
const MAX_BYTES: usize = 16 << 10;

/// Bytes at the bounds of what varints, lengths, flags and counts mean.
const EDGES: [u8; 10] = [0, 1, 2, 3, 7, 0x7f, 0x80, 0x81, 0xfe, 0xff];

/// An input out of those that there are, changed in one to eight places; now and then bytes at random.
pub fn mutate(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    if corpus.is_empty() || rng.u8(..) < 16 {
        let len = rng.usize(..200);
        return std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
    }
    let mut bytes = corpus[rng.usize(..corpus.len())].clone();
    for _ in 0..1 << rng.usize(..4) {
        change(rng, &mut bytes, corpus);
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = rng.usize(..=bytes.len());
    let run = rng.usize(..=(bytes.len() - at).min(40));
    match rng.u8(..9) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
        2 if at < bytes.len() => bytes[at] = EDGES[rng.usize(..EDGES.len())],
        3 if at < bytes.len() => bytes[at] = rng.u8(..),
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(at..at + run)),
        6 => {
            let twice = bytes[at..at + run].to_vec();
            bytes.splice(at..at, twice);
        }
        7 => {
            let other = &corpus[rng.usize(..corpus.len())];
            let from = rng.usize(..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => bytes.insert(at, rng.u8(..)),
    }
}

//! Reading and writing the small pieces that bodies and record states are made of.
//!
//! Numbers are LEB128 varints, signed ones zigzag-coded first; texts have their length in front;
//! times, incarnations and ids have a fixed length, little-endian.

use covey_types::{DeviceId, Hlc, Incarnation, LogId, wire::DecodeError};

use crate::{ops::Tally, stamp::Stamp};

/// A varint of 64 bits has at most this many bytes.
const MAX_VARINT_BYTES: u32 = 10;

pub(crate) fn push_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
    push_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn push_tally(out: &mut Vec<u8>, tally: Tally) {
    push_varint(out, tally.count);
    push_varint(out, (tally.sum.cast_unsigned() << 1) ^ (tally.sum >> 63).cast_unsigned());
}

pub(crate) fn push_hlc(out: &mut Vec<u8>, hlc: Hlc) {
    out.extend_from_slice(&hlc.to_u64().to_le_bytes());
}

pub(crate) fn push_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    push_hlc(out, stamp.hlc);
    out.extend_from_slice(&stamp.device.0);
}

pub(crate) fn push_log(out: &mut Vec<u8>, log: LogId) {
    out.extend_from_slice(&log.device.0);
    out.extend_from_slice(&log.incarnation.0.to_le_bytes());
}

/// Bytes yet to be read, and what they are said to be.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn malformed(&self, reason: impl ToString) -> DecodeError {
        DecodeError::malformed(self.what, reason)
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.malformed(format!("{} bytes left over", self.rest.len())))
        }
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| self.malformed("it ends too early"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) =
            self.rest.split_first_chunk().ok_or_else(|| self.malformed("it ends too early"))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut n = 0u64;
        for i in 0..MAX_VARINT_BYTES {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if i == MAX_VARINT_BYTES - 1 && byte > 1 {
                break;
            }
            n |= bits << (7 * i);
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(self.malformed("a number is too long"))
    }

    /// A number of things that take at least `least` bytes each, so that a lie can't allocate much.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let n = self.varint()?;
        match usize::try_from(n) {
            Ok(n) if n <= self.rest.len() / least => Ok(n),
            _ => Err(self.malformed(format!("it promises {n} parts that can't be in it"))),
        }
    }

    pub(crate) fn sized(&mut self) -> Result<Self, DecodeError> {
        let len = self.count(1)?;
        Ok(Self { rest: self.bytes(len)?, what: self.what })
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.count(1)?;
        self.text_of(len)
    }

    pub(crate) fn text_of(&mut self, len: usize) -> Result<&'a str, DecodeError> {
        let bytes = self.bytes(len)?;
        std::str::from_utf8(bytes).map_err(|err| self.malformed(err))
    }

    pub(crate) fn hlc(&mut self) -> Result<Hlc, DecodeError> {
        self.array().map(|bytes| Hlc::from_u64(u64::from_le_bytes(bytes)))
    }

    pub(crate) fn incarnation(&mut self) -> Result<Incarnation, DecodeError> {
        self.array().map(|bytes| Incarnation(u64::from_le_bytes(bytes)))
    }

    pub(crate) fn stamp(&mut self) -> Result<Stamp, DecodeError> {
        Ok(Stamp { hlc: self.hlc()?, device: DeviceId(self.array()?) })
    }

    pub(crate) fn log(&mut self) -> Result<LogId, DecodeError> {
        Ok(LogId { device: DeviceId(self.array()?), incarnation: self.incarnation()? })
    }

    pub(crate) fn tally(&mut self) -> Result<Tally, DecodeError> {
        let count = self.varint()?;
        let zigzag = self.varint()?;
        Ok(Tally { count, sum: (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed()) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_back(count in any::<u64>(), sum in any::<i64>()) {
            let mut out = Vec::new();
            push_tally(&mut out, Tally { count, sum });
            let mut cursor = Cursor::new("a tally", &out);
            prop_assert_eq!(cursor.tally().unwrap(), Tally { count, sum });
            prop_assert!(cursor.is_empty());
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused() {
        assert!(Cursor::new("n", &[0xff; 12]).varint().is_err());
        assert!(
            Cursor::new("n", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint().is_err()
        );
        assert!(Cursor::new("n", &[0x80]).varint().is_err());
        assert_eq!(Cursor::new("n", &[0xff; 9]).array::<9>().unwrap(), [0xff; 9]);
    }
}

//! Reading a body, of which not a byte is believed before it was checked.

use covey_types::{
    Hlc, LogId,
    limits::{MAX_PLAIN_BODY_BYTES, MAX_RECORD_BYTES},
    wire::DecodeError,
};

use super::{
    Id, Observed, ObservedElement, Op, RecordId, Tally, check_collection, check_name, check_record_size, kind,
};
use crate::{bytes::Cursor, json, stamp::Stamp};

const WHAT: &str = "the body of an entry";

/// A device's id and a time.
const STAMP_BYTES: usize = 40;

/// The operations in a body, in order. After an error nothing more comes.
#[derive(Debug)]
pub struct BodyReader<'a> {
    body: Cursor<'a>,
    names: Vec<&'a str>,
    oversized: Option<usize>,
}

impl<'a> BodyReader<'a> {
    /// Reads this body, which is already decrypted and decompressed.
    pub fn new(body: &'a [u8]) -> Self {
        let oversized = (body.len() > MAX_PLAIN_BODY_BYTES).then_some(body.len());
        Self { body: Cursor::new(WHAT, body), names: Vec::new(), oversized }
    }

    fn op(&mut self) -> Result<Op<'a>, DecodeError> {
        if let Some(len) = self.oversized {
            return Err(DecodeError::TooLong { what: WHAT, len, max: MAX_PLAIN_BODY_BYTES });
        }
        let kind = self.body.varint()?;
        let mut payload = self.body.sized()?;
        if kind == kind::AS_OF {
            let hlc = Hlc::from_u64(payload.varint()?);
            return payload.end().map(|()| Op::AsOf { hlc });
        }
        if !(kind::PUT..=kind::SET_REMOVE).contains(&kind) {
            return Ok(Op::Unknown { kind });
        }
        let len = payload.len();
        let op = self.known(kind, &mut payload)?;
        payload.end()?;
        if matches!(op, Op::Put { .. } | Op::SetAdd { .. }) {
            check_record_size(len).map_err(|err| self.body.malformed(err))?;
        }
        Ok(op)
    }

    fn known(&mut self, kind: u64, payload: &mut Cursor<'a>) -> Result<Op<'a>, DecodeError> {
        let collection = self.name(payload)?;
        check_collection(collection).map_err(|err| payload.malformed(err))?;
        let id = record_id(payload)?;
        if kind == kind::PUT {
            return Ok(Op::Put { collection, id, fields: self.fields(payload)? });
        }
        if kind == kind::DELETE {
            return Ok(Op::Delete { collection, id, observed: self.observed(payload)? });
        }
        let name = self.name(payload)?;
        match kind {
            kind::COUNTER_ADD => Ok(Op::CounterAdd { collection, id, name, tally: payload.tally()? }),
            kind::SET_ADD => {
                let rest = payload.len();
                Ok(Op::SetAdd { collection, id, name, element: value(payload, rest)? })
            }
            _ => {
                let element = sized_value(payload)?;
                let count = payload.len() / STAMP_BYTES;
                Ok(Op::SetRemove { collection, id, name, element, observed: stamps(payload, count)? })
            }
        }
    }

    fn name(&mut self, payload: &mut Cursor<'a>) -> Result<&'a str, DecodeError> {
        let n = payload.varint()?;
        let half = usize::try_from(n >> 1).map_err(|err| payload.malformed(err))?;
        if n & 1 == 1 {
            let earlier = self.names.get(half).copied();
            return earlier.ok_or_else(|| {
                payload.malformed(format!("it refers to name {half} of {}", self.names.len()))
            });
        }
        let name = payload.text_of(half)?;
        check_name("a name", name).map_err(|err| payload.malformed(err))?;
        self.names.push(name);
        Ok(name)
    }

    fn fields(&mut self, payload: &mut Cursor<'a>) -> Result<Vec<(&'a str, &'a str)>, DecodeError> {
        // Most records have a handful of fields; hostile ones make this grow only as they bring bytes.
        let mut fields = Vec::with_capacity(4);
        let mut last = "";
        while !payload.is_empty() {
            let name = self.name(payload)?;
            if name <= last {
                return Err(payload.malformed("the fields are not in ascending order"));
            }
            last = name;
            fields.push((name, sized_value(payload)?));
        }
        Ok(fields)
    }

    fn observed(&mut self, payload: &mut Cursor<'a>) -> Result<Observed<'a>, DecodeError> {
        let mut observed = Observed::default();
        if payload.is_empty() {
            return Ok(observed);
        }
        for _ in 0..payload.count(2)? {
            let name = self.name(payload)?;
            let tallies = (0..payload.count(STAMP_BYTES)?).map(|_| Ok((payload.log()?, payload.tally()?)));
            observed.counters.push((name, tallies.collect::<Result<Vec<(LogId, Tally)>, DecodeError>>()?));
        }
        while !payload.is_empty() {
            let set = self.name(payload)?;
            let element = sized_value(payload)?;
            let count = payload.count(STAMP_BYTES)?;
            observed.elements.push(ObservedElement { set, element, added: stamps(payload, count)? });
        }
        Ok(observed)
    }
}

impl<'a> Iterator for BodyReader<'a> {
    type Item = Result<Op<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.body.is_empty() {
            return None;
        }
        let op = self.op();
        if op.is_err() {
            self.body = Cursor::new(WHAT, &[]);
        }
        Some(op)
    }
}

fn record_id<'a>(payload: &mut Cursor<'a>) -> Result<RecordId<'a>, DecodeError> {
    match payload.text()? {
        "" => Ok(RecordId(Id::Uuid(uuid::Uuid::from_bytes(payload.array()?)))),
        text => RecordId::parse(text).map_err(|err| payload.malformed(err)),
    }
}

fn sized_value<'a>(payload: &mut Cursor<'a>) -> Result<&'a str, DecodeError> {
    let len = payload.count(1)?;
    value(payload, len)
}

fn value<'a>(payload: &mut Cursor<'a>, len: usize) -> Result<&'a str, DecodeError> {
    if len > MAX_RECORD_BYTES {
        return Err(DecodeError::TooLong { what: "a value", len, max: MAX_RECORD_BYTES });
    }
    let text = payload.text_of(len)?;
    json::check(text).map_err(|err| payload.malformed(err))?;
    Ok(text)
}

fn stamps(payload: &mut Cursor<'_>, count: usize) -> Result<Vec<Stamp>, DecodeError> {
    (0..count).map(|_| payload.stamp()).collect()
}

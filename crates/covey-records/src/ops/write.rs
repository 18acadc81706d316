//! Putting a body together.

use std::collections::HashMap;

use covey_types::limits::MAX_ENTRY_BODY_BYTES;

use super::{
    Id, Observed, ObservedElement, Op, OpError, RecordId, check_collection, check_name, check_record_size,
    kind,
};
use crate::{
    bytes::{push_log, push_stamp, push_tally, push_text, push_varint},
    json,
    stamp::Stamp,
};

/// Writes operations into a body. What it accepts, [`super::BodyReader`] accepts.
#[derive(Debug, Default)]
pub struct BodyWriter {
    body: Vec<u8>,
    names: HashMap<Box<str>, u64>,
    /// The payload being put together: its length stands in front of it.
    payload: Vec<u8>,
}

impl BodyWriter {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Length of what was written so far, bytes: a writer of many records starts the next
    /// entry when this nears [`MAX_ENTRY_BODY_BYTES`].
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The body.
    pub fn finish(self) -> Vec<u8> {
        self.body
    }

    /// Appends an operation. Values need not be compact, nor fields in order. Refused is what is
    /// outside the limits; the body is then as before.
    pub fn push(&mut self, op: &Op<'_>) -> Result<(), OpError> {
        self.payload.clear();
        let names_before = self.names.len() as u64;
        match self.payload_of(op) {
            Ok(kind) => {
                push_varint(&mut self.body, kind);
                push_varint(&mut self.body, self.payload.len() as u64);
                self.body.extend_from_slice(&self.payload);
                Ok(())
            }
            Err(err) => {
                self.names.retain(|_, place| *place < names_before);
                Err(err)
            }
        }
    }

    fn payload_of(&mut self, op: &Op<'_>) -> Result<u64, OpError> {
        match op {
            Op::Put { collection, id, fields } => {
                self.target(collection, id)?;
                self.fields(fields)?;
                check_record_size(self.payload.len())?;
                Ok(kind::PUT)
            }
            Op::Delete { collection, id, observed } => {
                self.target(collection, id)?;
                self.observed(observed)?;
                Ok(kind::DELETE)
            }
            Op::CounterAdd { collection, id, name, tally } => {
                self.target(collection, id)?;
                self.name("a counter name", name)?;
                push_tally(&mut self.payload, *tally);
                Ok(kind::COUNTER_ADD)
            }
            Op::SetAdd { collection, id, name, element } => {
                self.target(collection, id)?;
                self.name("a set name", name)?;
                self.payload.extend_from_slice(value(name, element)?.as_bytes());
                check_record_size(self.payload.len())?;
                Ok(kind::SET_ADD)
            }
            Op::SetRemove { collection, id, name, element, observed } => {
                self.target(collection, id)?;
                self.name("a set name", name)?;
                push_text(&mut self.payload, &value(name, element)?);
                check_record_size(self.payload.len())?;
                self.stamps(observed);
                Ok(kind::SET_REMOVE)
            }
            Op::AsOf { hlc } => {
                push_varint(&mut self.payload, hlc.to_u64());
                Ok(kind::AS_OF)
            }
            Op::Unknown { kind } => Err(OpError::Unknown { kind: *kind }),
        }
    }

    fn target(&mut self, collection: &str, id: &RecordId<'_>) -> Result<(), OpError> {
        check_collection(collection)?;
        self.name("a collection name", collection)?;
        match id.0 {
            Id::Uuid(uuid) => {
                push_varint(&mut self.payload, 0);
                self.payload.extend_from_slice(uuid.as_bytes());
            }
            Id::Text(text) => push_text(&mut self.payload, text),
        }
        Ok(())
    }

    fn name(&mut self, what: &'static str, name: &str) -> Result<(), OpError> {
        check_name(what, name)?;
        if let Some(place) = self.names.get(name) {
            push_varint(&mut self.payload, place << 1 | 1);
        } else {
            self.names.insert(name.into(), self.names.len() as u64);
            push_varint(&mut self.payload, (name.len() as u64) << 1);
            self.payload.extend_from_slice(name.as_bytes());
        }
        Ok(())
    }

    fn fields(&mut self, fields: &[(&str, &str)]) -> Result<(), OpError> {
        if fields.is_sorted_by(|a, b| a.0 < b.0) {
            return self.sorted_fields(fields);
        }
        let mut sorted = fields.to_vec();
        sorted.sort_unstable_by_key(|field| field.0);
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(OpError::Twice { name: twice[0].0.to_owned() });
        }
        self.sorted_fields(&sorted)
    }

    fn sorted_fields(&mut self, fields: &[(&str, &str)]) -> Result<(), OpError> {
        for (name, text) in fields {
            self.name("a field name", name)?;
            push_text(&mut self.payload, &value(name, text)?);
        }
        Ok(())
    }

    fn stamps(&mut self, stamps: &[Stamp]) {
        for stamp in stamps {
            push_stamp(&mut self.payload, *stamp);
        }
    }

    fn observed(&mut self, observed: &Observed<'_>) -> Result<(), OpError> {
        if observed.is_empty() {
            return Ok(());
        }
        push_varint(&mut self.payload, observed.counters.len() as u64);
        for (name, tallies) in &observed.counters {
            self.name("a counter name", name)?;
            push_varint(&mut self.payload, tallies.len() as u64);
            for (log, tally) in tallies {
                push_log(&mut self.payload, *log);
                push_tally(&mut self.payload, *tally);
            }
        }
        for ObservedElement { set, element, added } in &observed.elements {
            self.name("a set name", set)?;
            push_text(&mut self.payload, &value(set, element)?);
            push_varint(&mut self.payload, added.len() as u64);
            self.stamps(added);
        }
        let len = self.payload.len();
        if len > MAX_ENTRY_BODY_BYTES {
            return Err(OpError::TooLong { what: "a delete", len, max: MAX_ENTRY_BODY_BYTES });
        }
        Ok(())
    }
}

fn value<'a>(name: &str, text: &'a str) -> Result<std::borrow::Cow<'a, str>, OpError> {
    json::compact(text).map_err(|source| OpError::Value { name: name.to_owned(), source })
}

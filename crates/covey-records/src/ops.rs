//! What an entry says about records, and how that becomes bytes.
//!
//! A body is a sequence of operations, each `[kind][length][payload]`, kind and length as varints.
//! A kind that is not known is skipped and reported ([`Op::Unknown`]), never an error, so that older
//! nodes keep what newer ones write. Kinds and payloads are append-only: a payload never changes, a
//! new need gets a new kind.
//!
//! | kind | payload |
//! |---|---|
//! | 1 put | collection, id, then until the end: field name, value |
//! | 2 delete | collection, id, then nothing or: counters (each: name, logs and tallies), then until the end: set name, element, stamps |
//! | 3 counter add | collection, id, counter name, tally |
//! | 4 set add | collection, id, set name, element until the end |
//! | 5 set remove | collection, id, set name, element, then until the end: stamp |
//! | 6 as of | time |
//!
//! **Names** (collections, fields, counters, sets) are written out once per body and then referred to:
//! a varint that is even gives the length (halved) of a new name that follows, an odd one the place
//! (halved) of an earlier one. Only kinds 1 to 5 may bring new names: readers that skip a later kind
//! would lose count otherwise.
//!
//! **Ids** are a varint length and that much text, or 0 and the 16 bytes of a UUID in canonical form.
//! **Values** and elements are compact JSON text ([`crate::json`]). The fields of a put are strictly
//! ascending by name.
//!
//! All operations of one entry carry the entry's stamp; those behind an *as of* carry its time, if that is earlier: their
//! author said them then, in entries that don't count any more. So one entry should say at most one thing
//! about a field: where it says two, the larger text wins, and a delete wins over any put beside it.

mod read;
mod write;

use std::fmt;

use covey_types::{
    Hlc, LogId,
    limits::{MAX_NAME_BYTES, MAX_RECORD_BYTES, MAX_RECORD_ID_BYTES},
};

pub use read::BodyReader;
pub use write::BodyWriter;

use crate::{json::ValueError, stamp::Stamp};

mod kind {
    pub(super) const PUT: u64 = 1;
    pub(super) const DELETE: u64 = 2;
    pub(super) const COUNTER_ADD: u64 = 3;
    pub(super) const SET_ADD: u64 = 4;
    pub(super) const SET_REMOVE: u64 = 5;
    pub(super) const AS_OF: u64 = 6;
}

/// One operation on one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op<'a> {
    /// Writes fields. With none, it says only that the record is there.
    Put {
        /// Where the record belongs.
        collection: &'a str,
        /// Which record.
        id: RecordId<'a>,
        /// Names and their values as JSON text.
        fields: Vec<(&'a str, &'a str)>,
    },
    /// Deletes the record as the author saw it. What others say at the same time stays.
    Delete {
        /// Where the record belongs.
        collection: &'a str,
        /// Which record.
        id: RecordId<'a>,
        /// The counters and set elements that the author saw.
        observed: Observed<'a>,
    },
    /// Says how far this log has counted.
    CounterAdd {
        /// Where the record belongs.
        collection: &'a str,
        /// Which record.
        id: RecordId<'a>,
        /// The counter.
        name: &'a str,
        /// All that this log ever added to it, this time included.
        tally: Tally,
    },
    /// Adds an element to a set.
    SetAdd {
        /// Where the record belongs.
        collection: &'a str,
        /// Which record.
        id: RecordId<'a>,
        /// The set.
        name: &'a str,
        /// The element as JSON text.
        element: &'a str,
    },
    /// Takes an element out of a set, as far as the author saw it being added.
    SetRemove {
        /// Where the record belongs.
        collection: &'a str,
        /// Which record.
        id: RecordId<'a>,
        /// The set.
        name: &'a str,
        /// The element as JSON text.
        element: &'a str,
        /// Per device, the newest addition that the author saw.
        observed: Vec<Stamp>,
    },
    /// What follows was said at this time: earlier than its entry.
    AsOf {
        /// When.
        hlc: Hlc,
    },
    /// Something that a newer version wrote; this one can only keep it.
    Unknown {
        /// Its number.
        kind: u64,
    },
}

/// How often a log added to a counter, and what it sums up to. Ordered by the count, so that of two
/// tallies of one log the larger is the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tally {
    /// Number of additions.
    pub count: u64,
    /// Their sum.
    pub sum: i64,
}

impl Tally {
    /// This tally after one more addition; `None` if the sum leaves `i64`.
    pub fn plus(self, delta: i64) -> Option<Self> {
        Some(Self { count: self.count.checked_add(1)?, sum: self.sum.checked_add(delta)? })
    }
}

/// What the author of a delete saw, and so deletes, beyond the fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed<'a> {
    /// Counters, and how far each log had counted.
    pub counters: Vec<(&'a str, Vec<(LogId, Tally)>)>,
    /// Elements of sets.
    pub elements: Vec<ObservedElement<'a>>,
}

impl Observed<'_> {
    /// Whether there were neither counters nor elements.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.elements.is_empty()
    }
}

/// An element of a set that the author of a delete saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedElement<'a> {
    /// The set.
    pub set: &'a str,
    /// The element as JSON text.
    pub element: &'a str,
    /// Per device, the newest addition.
    pub added: Vec<Stamp>,
}

/// The id of a record: a UUID, or any other text without control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId<'a>(Id<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Id<'a> {
    Uuid(uuid::Uuid),
    /// Never the canonical text of a UUID.
    Text(&'a str),
}

impl<'a> RecordId<'a> {
    /// The id that this text is.
    pub fn parse(text: &'a str) -> Result<Self, OpError> {
        if let Some(uuid) = canonical_uuid(text) {
            return Ok(Self(Id::Uuid(uuid)));
        }
        match text {
            "" => Err(OpError::Empty { what: "a record id" }),
            _ if text.len() > MAX_RECORD_ID_BYTES => {
                Err(OpError::TooLong { what: "a record id", len: text.len(), max: MAX_RECORD_ID_BYTES })
            }
            _ if text.contains(char::is_control) => Err(OpError::ControlCharacter { what: "a record id" }),
            _ => Ok(Self(Id::Text(text))),
        }
    }

    /// The id as text; `buffer` is where that of a UUID is put together.
    pub fn text<'b>(&'b self, buffer: &'b mut [u8; 36]) -> &'b str {
        match &self.0 {
            Id::Uuid(uuid) => uuid.as_hyphenated().encode_lower(buffer),
            Id::Text(text) => text,
        }
    }
}

impl From<uuid::Uuid> for RecordId<'_> {
    fn from(uuid: uuid::Uuid) -> Self {
        Self(Id::Uuid(uuid))
    }
}

impl fmt::Display for RecordId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; 36]))
    }
}

fn canonical_uuid(text: &str) -> Option<uuid::Uuid> {
    let canonical = text.len() == 36 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    if canonical { uuid::Uuid::try_parse(text).ok() } else { None }
}

/// Something that can't be said in an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// Nothing where a name must stand.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: &'static str,
    },
    /// Longer than the limit.
    #[error("{what} of {len} bytes is longer than the limit of {max}")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// A control character where there must be none.
    #[error("{what} has a control character in it")]
    ControlCharacter {
        /// What has one.
        what: &'static str,
    },
    /// A field, counter or element whose text isn't a value.
    #[error("the value of {name:?} is {source}")]
    Value {
        /// The field, counter or set.
        name: String,
        /// What is wrong with its text.
        source: ValueError,
    },
    /// One put writes a field twice.
    #[error("the field {name:?} is written twice")]
    Twice {
        /// The field.
        name: String,
    },
    /// An operation of unknown kind can't be written.
    #[error("an operation of the unknown kind {kind} can't be written")]
    Unknown {
        /// Its number.
        kind: u64,
    },
}

fn check_collection(name: &str) -> Result<(), OpError> {
    check_name("a collection name", name)?;
    if name.contains(char::is_control) {
        return Err(OpError::ControlCharacter { what: "a collection name" });
    }
    Ok(())
}

fn check_name(what: &'static str, name: &str) -> Result<(), OpError> {
    match name.len() {
        0 => Err(OpError::Empty { what }),
        len if len > MAX_NAME_BYTES => Err(OpError::TooLong { what, len, max: MAX_NAME_BYTES }),
        _ => Ok(()),
    }
}

fn check_record_size(len: usize) -> Result<(), OpError> {
    if len > MAX_RECORD_BYTES {
        return Err(OpError::TooLong { what: "a record", len, max: MAX_RECORD_BYTES });
    }
    Ok(())
}

#[cfg(test)]
mod tests;

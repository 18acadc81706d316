//! Compaction: what a log says that was superseded is dropped.
//!
//! A log is compacted by its author's *checkpoint*: an entry that begins it, and parts that say once more, with the
//! places, times and deps they came with, all of the log's operations before it that still count. Where the log's
//! entries are, a checkpoint changes nothing: each device compares it with them and says, in its own log, that it has
//! found it true. Once all have, whose word counts, its author puts their words into one more entry, the *agreement*. From
//! that on the log has a *base*, and what it said up to there is what the checkpoint's parts say: on every replica that
//! knows of the agreement, as long as that holds, and whether it has dropped the entries yet or not.
//! `docs/protocol/compaction.md` gives the rules and why they are enough.
//!
//! | module | what it holds |
//! |---|---|
//! | `words` | what a log says: its checkpoint's words, then its entries |
//! | `plan` | what is to be done, found out on a snapshot, beside whoever writes |
//! | `compare` | what of a log still counts, and whether a checkpoint says so |
//! | `roll` | whose word is needed |
//! | `agreement` | the entry that holds everybody's words |
//! | `carry_out` | and done, a small piece in one transaction |
//! | `rebase` | what a log says becomes what its checkpoint says |
//! | `again` | agreements that don't hold any more |
//! | `enter` | logs that are taken in from a checkpoint on |
//! | `histories` | logs with two histories, of which all have agreed to one |

mod again;
mod agreement;
mod carry_out;
mod compare;
mod enter;
mod histories;
mod plan;
mod rebase;
mod roll;
pub(crate) mod words;

use covey_log::Entry;
use covey_records::Part;
use covey_store::{LogKey, StoreError};
use covey_types::{
    DeviceId, Head, LogId,
    limits::MAX_LOGS_PER_SPACE,
    wire::{self, DecodeError},
};
use serde::{Deserialize, Serialize};

pub(crate) use self::histories::own_agreement;
pub use self::{
    agreement::{Agreement, Claim, Seen, read_seen},
    carry_out::Compacted,
    plan::{Learned, Limits, Planner, Step},
    roll::Waiting,
};
use crate::{Rows, RowsMut, load::corrupt};

/// A device that wrote nothing for so long isn't waited for, unless it may put others out; nor is one that was put out and
/// wrote nothing since. Milliseconds: 30 days.
pub const ABSENT_AFTER_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Longest stored state: one word for each device that has a log.
const MAX_STATE_BYTES: usize = 512 + 64 * MAX_FORMER + 96 * MAX_LOGS_PER_SPACE;

/// Bases that a log may have had before what they left out was looked at: a log isn't entered further on before that.
const MAX_FORMER: usize = 4;

/// The version of a [`LogState`] as it's stored. Those of version 0 end with what each device found true.
const VERSION: u8 = 1;

/// How far a log is compacted here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LogState {
    /// What stands at places up to this one is said by the checkpoint that begins right after it. 0: nothing is dropped.
    pub(crate) base: u64,
    /// The last entry of that checkpoint; 0 while it has not come.
    pub(crate) base_end: u64,
    /// Up to where the rows are gone.
    pub(crate) dropped: u64,
    /// What it was before, as long as nobody has looked at what that leaves out.
    former: Vec<Former>,
    /// The last agreement on a checkpoint to which the log has come.
    pub(crate) agreed: Option<Agreement>,
    /// The one that gave the log its base.
    pub(crate) entrance: Option<Agreement>,
    /// An agreement that came ahead of its place: the log may be taken in from its checkpoint on.
    pub(crate) offered: Option<Agreement>,
    /// The newest checkpoint after the base.
    pub(crate) open: Option<Checkpoint>,
    /// Which checkpoint each device found true last, by its last entry.
    pub(crate) seen: Vec<(DeviceId, Head)>,
    /// Where in the log of this device its own last word on it stands; 0 without one.
    pub(crate) said_at: u64,
}

/// What a [`LogState`] of version 1 has more than one of version 0.
#[derive(Serialize, Deserialize)]
struct Later {
    entrance: Option<Agreement>,
    offered: Option<Agreement>,
    said_at: u64,
}

/// A [`LogState`] as it's stored behind its version.
#[derive(Serialize, Deserialize)]
struct Stored {
    base: u64,
    base_end: u64,
    dropped: u64,
    former: Vec<Former>,
    agreed: Option<Agreement>,
    open: Option<Checkpoint>,
    seen: Vec<(DeviceId, Head)>,
}

/// What a log said before it got its base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Former {
    /// The base then.
    base: u64,
    /// The end of its checkpoint.
    base_end: u64,
    /// Entries behind it up to here were here.
    upto: u64,
    /// The log was entered further on, so that these entries may not be of the same history.
    entered: bool,
}

/// A checkpoint that nothing was dropped for yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The place of the entry that begins it.
    pub(crate) begin: u64,
    /// At its author: up to where its words are written.
    pub(crate) built: u64,
    /// Its last entry; `None` while it has not come.
    pub(crate) last: Option<Head>,
}

impl LogState {
    /// The state of a log.
    pub(crate) fn load(rows: &(impl Rows + ?Sized), log: LogKey) -> Result<Self, StoreError> {
        let Some(bytes) = rows.meta(&name(log))? else { return Ok(Self::default()) };
        Self::decode(&bytes).map_err(|err| corrupt("read how far a log is compacted", &err))
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "how far a log is compacted";
        let (stored, later) = if bytes.first() == Some(&0) {
            let (_, stored): (u8, Stored) = wire::decode(WHAT, bytes, MAX_STATE_BYTES)?;
            let entrance = stored.agreed.filter(|agreed| agreed.begin.seq == stored.base + 1);
            (stored, Later { entrance, offered: None, said_at: 0 })
        } else {
            let (_, stored, later): (u8, Stored, Later) = wire::decode(WHAT, bytes, MAX_STATE_BYTES)?;
            (stored, later)
        };
        let Stored { base, base_end, dropped, former, agreed, open, seen } = stored;
        let Later { entrance, offered, said_at } = later;
        Ok(Self { base, base_end, dropped, former, agreed, entrance, offered, open, seen, said_at })
    }

    pub(crate) fn save(&self, rows: &mut (impl RowsMut + ?Sized), log: LogKey) -> Result<(), StoreError> {
        let Self { base, base_end, dropped, former, agreed, entrance, offered, open, seen, said_at } =
            self.clone();
        let stored = Stored { base, base_end, dropped, former, agreed, open, seen };
        rows.set_meta(&name(log), &wire::encode(&(VERSION, stored, Later { entrance, offered, said_at })))
    }

    /// Whether this device has found the newest checkpoint true, and that still stands in its own log, which begins at
    /// `own_base`; the author always has.
    pub(crate) fn is_agreed(&self, device: DeviceId, log: LogId, own_base: u64) -> bool {
        device == log.device || self.has_seen(device) && (self.said_at == 0 || self.said_at > own_base)
    }

    /// Whether rows are still there whose place the checkpoint has taken, all of it.
    pub(crate) const fn has_left_overs(&self) -> bool {
        (self.dropped < self.base || !self.former.is_empty()) && self.base_end > 0
    }

    /// Whether all have agreed to a checkpoint from which the log doesn't begin yet, though it has come so far.
    pub(crate) fn is_due(&self, head: Head) -> bool {
        self.agreed.is_some_and(|agreed| agreed.begin.seq > self.base + 1 && head.seq >= agreed.at.seq)
    }

    /// Notes that everybody agreed to a checkpoint, in an entry to which the log has come.
    pub(crate) fn agree(&mut self, agreement: Agreement) {
        if self.agreed.is_none_or(|before| before.at.seq < agreement.at.seq) {
            self.agreed = Some(agreement);
        }
        self.offered = self.offered.filter(|offered| offered.begin.seq > agreement.begin.seq);
        self.open = self.open.filter(|open| open.begin > agreement.begin.seq);
    }

    /// The log goes on from a checkpoint that all agreed to.
    fn move_base(&mut self, agreed: Agreement, head: u64, entered: bool) {
        let upto = head.min(agreed.begin.seq - 1);
        if upto > 0 {
            self.former.push(Former { base: self.base, base_end: self.base_end, upto, entered });
        }
        self.base = agreed.begin.seq - 1;
        self.base_end = if entered { 0 } else { agreed.last.seq };
        self.entrance = Some(agreed);
    }

    /// Whether the log is being taken in from a checkpoint on of which not all has come.
    pub(crate) const fn is_entered(&self) -> bool {
        self.base > 0 && self.base_end == 0
    }

    /// Up to where somebody surely holds what the log says who has told of this place as its end: they may be taking it in from a
    /// checkpoint on, of which not all has come.
    pub(crate) fn surely_held(&self, seq: u64) -> u64 {
        let is_within = |agreed: &Agreement| (1..agreed.last.seq).contains(&seq);
        let may_lack = [self.entrance, self.agreed].iter().flatten().any(is_within);
        if may_lack { 0 } else { seq }
    }

    /// As it was before the log got its base, as long as that stands in the rows.
    pub(crate) fn before(&self) -> Self {
        match self.former.first() {
            Some(former) => Self { base: former.base, base_end: former.base_end, ..Self::default() },
            None => self.clone(),
        }
    }

    /// The log ends before this place now, which no agreement stands behind that it had come to.
    pub(crate) fn end_before(&mut self, from: u64) {
        self.open = None;
        if self.base_end >= from {
            self.base_end = 0;
        }
    }

    /// Takes note of an entry that begins a checkpoint, or of a part of one.
    pub(crate) fn note(&mut self, entry: &Entry, part: Option<&Part<'_>>) {
        let seq = entry.header.seq;
        match (part, &mut self.open) {
            (None, open) => {
                if seq > self.base + 1 && open.is_none_or(|open| open.begin < seq) {
                    *open = Some(Checkpoint { begin: seq, built: 0, last: None });
                }
            }
            (Some(part), Some(open)) if part.is_last && part.begin == open.begin && open.last.is_none() => {
                open.last = Some(entry.head());
            }
            (Some(_), _) => {}
        }
    }

    pub(crate) fn has_seen(&self, device: DeviceId) -> bool {
        let last = self.open.and_then(|open| open.last);
        last.is_some_and(|last| self.seen.contains(&(device, last)))
    }
}

fn name(log: LogKey) -> String {
    format!("compaction/{}", log.number())
}

/// Where the first entry stands that is surely here: entries before it may have been dropped.
///
/// # Errors
/// The backend's.
pub fn first_kept(rows: &(impl Rows + ?Sized), log: LogKey) -> Result<u64, StoreError> {
    Ok(LogState::load(rows, log)?.base + 1)
}

#[cfg(test)]
mod tests;

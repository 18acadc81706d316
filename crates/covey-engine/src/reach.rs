//! From places in logs to times: how much of what each device wrote somebody holds.
//!
//! A record tells of each write the device and the time, and not the entry. It needn't: within a log the times grow, so
//! whoever holds a log up to a place holds what its device said up to the time of the entry there. One time per
//! device then answers for any number of records, and nothing is kept per record.
//!
//! - A device may have several logs (one for each restored backup, and for each copy of its home). Which of them a
//!   time belongs to isn't known: of the logs that aren't held whole the one whose missing part begins earliest decides.
//! - Whoever takes a log in from a checkpoint on has its end before they have all that the checkpoint says: of somebody who
//!   hasn't come to the end of it nothing is taken to be held.
//! - An entry may say things as of an earlier time ([`Op::AsOf`](covey_records::Op::AsOf)): a device that writes again
//!   what it wrote into a history that doesn't count does. The newest such entry of each log is noted when it's applied;
//!   of the device of a log that isn't held up to there nothing is taken to be held.

use std::collections::{BTreeMap, btree_map::Entry as Slot};

use covey_log::Header;
use covey_records::Reach;
use covey_store::{LogKey, LogRow, Reader, SpaceKey, StoreError};
use covey_types::{Hlc, LogId, wire};

use crate::{Rows, RowsMut, compact::LogState, load::corrupt};

/// Logs of a space of which it's noted that they say things as of an earlier time. Honest devices have a few at most; where
/// so many are noted there may be others, and of no device whose log isn't held whole anything is taken to be held.
const MAX_NOTED: usize = 1024;

/// Longest stored list of them, bytes.
const MAX_NOTED_BYTES: usize = MAX_NOTED * 64;

/// How far a log says things as of an earlier time.
type Noted = Vec<(LogId, u64)>;

fn name(space: SpaceKey) -> String {
    format!("as-of:{}", space.number())
}

fn noted(rows: &impl Rows, space: SpaceKey) -> Result<Noted, StoreError> {
    let Some(bytes) = rows.meta(&name(space))? else { return Ok(Vec::new()) };
    wire::decode("the logs that say things as of an earlier time", &bytes, MAX_NOTED_BYTES)
        .map_err(|err| corrupt("read which logs say things as of an earlier time", &err))
}

/// Notes that an entry says things as of an earlier time.
pub(crate) fn note_as_of(
    rows: &mut impl RowsMut,
    space: SpaceKey,
    log: LogId,
    seq: u64,
) -> Result<(), StoreError> {
    let mut noted = noted(rows, space)?;
    match noted.iter().position(|(known, _)| *known == log) {
        Some(at) if noted[at].1 >= seq => return Ok(()),
        Some(at) => noted[at].1 = seq,
        None if noted.len() < MAX_NOTED => noted.push((log, seq)),
        None => return Ok(()),
    }
    rows.set_meta(&name(space), &wire::encode(&noted))
}

/// The logs of a space at one moment, to see what those hold who have them up to some places.
#[derive(Debug)]
pub struct Reaches {
    logs: Vec<LogRow>,
    noted: Noted,
    /// Times that were looked up.
    times: BTreeMap<(LogKey, u64), Hlc>,
}

impl Reaches {
    /// Reads the logs.
    ///
    /// # Errors
    /// The store's.
    pub fn load(reader: &Reader<'_>, space: SpaceKey) -> Result<Self, StoreError> {
        Ok(Self { logs: reader.logs(space)?, noted: noted(reader, space)?, times: BTreeMap::new() })
    }

    /// The logs.
    pub fn logs(&self) -> &[LogRow] {
        &self.logs
    }

    /// What somebody holds who has each log up to the place that `held` says.
    ///
    /// # Errors
    /// The store's; [`StoreError::Corrupt`] if an entry can't be read.
    pub fn reach(&mut self, reader: &Reader<'_>, held: impl Fn(&LogRow) -> u64) -> Result<Reach, StoreError> {
        let mut reach = Reach::default();
        for row in &self.logs {
            let seq = held(row);
            if seq >= row.head.seq {
                continue;
            }
            let seq = LogState::load(reader, row.key)?.surely_held(seq);
            let says_earlier = self.noted.len() >= MAX_NOTED
                || self.noted.iter().any(|(log, last)| *log == row.id && seq < *last);
            let up_to = match self.times.entry((row.key, seq)) {
                _ if says_earlier => Hlc::default(),
                Slot::Occupied(known) => *known.get(),
                Slot::Vacant(slot) => *slot.insert(time_until(reader, row.key, seq)?),
            };
            reach.limit(row.id.device, up_to);
        }
        Ok(reach)
    }
}

/// Up to which time whoever has a log up to a place has all that is said in it: until just before the next entry. Where
/// that isn't here any more, up to the newest one that is.
fn time_until(reader: &Reader<'_>, log: LogKey, seq: u64) -> Result<Hlc, StoreError> {
    if let Some(next) = reader.header(log, seq + 1)? {
        return Ok(Hlc::from_u64(time(&next)?.to_u64().saturating_sub(1)));
    }
    reader.header_until(log, seq)?.map_or(Ok(Hlc::default()), |held| time(&held))
}

fn time(header: &[u8]) -> Result<Hlc, StoreError> {
    let header: Header = wire::decode("an entry's header", header, header.len())
        .map_err(|err| corrupt("read the header of an entry", &err))?;
    Ok(header.hlc)
}

//! What somebody was when they wrote something.
//!
//! A record tells who wrote each part of it and when. What they might do then follows from the entry in which they wrote
//! it, and the membership that it names as its past. An entry may say things as of an earlier time, and whoever isn't an
//! admin any more could name a time at which they were: so the entry of that very time has to say it.

use std::sync::Arc;

use covey_records::{Op, Stamp};
use covey_space::{KeyRing, Role};
use covey_store::LogKey;
use covey_types::{EntryHash, Hlc, SpaceId, UserId};

use crate::{
    Engine, EngineError, Rows, SpaceState,
    apply::operations,
    compact::{LogState, words::Words},
    load::decode_stored,
    prepare::open_body,
};

impl SpaceState {
    /// Whose device it is, or was; or as whose it was let in, though that fell.
    pub fn author(&self, device: covey_types::DeviceId) -> Option<UserId> {
        self.membership.user_of(device).or_else(|| self.membership.named_as(device))
    }
}

impl Engine {
    /// The role that the author of a field of a record had when they wrote this value, by the entry in which they did; `None` if that
    /// isn't here, or they were in the space no more.
    ///
    /// # Errors
    /// The backend's.
    pub fn role_when(
        &mut self,
        rows: &impl Rows,
        id: SpaceId,
        (collection, record): (&str, &str),
        (field, value): (&str, &str),
        stamp: Stamp,
    ) -> Result<Option<Role>, EngineError> {
        let state = self.space(id)?;
        let (key, keys) = (state.key, state.info.keys.clone());
        let says = |body: &[u8]| {
            operations(body).unwrap_or_default().iter().any(|op| match op {
                Op::Put { collection: name, id, fields } => {
                    *name == collection && id.text(&mut [0; 36]) == record && fields.contains(&(field, value))
                }
                _ => false,
            })
        };
        for log in rows.logs(key)?.into_iter().filter(|log| log.id.device == stamp.device) {
            let said = match place_of(rows, log.key, log.head.seq, stamp.hlc)? {
                Some(seq) => entry_says(rows, &keys, log.key, seq, says)?,
                None => word_says(rows, &keys, log.key, stamp.hlc, says)?,
            };
            if let Some((seq, deps)) = said {
                return Ok(self.space_mut(id)?.membership.role_at(log.id, seq, &deps).flatten());
            }
        }
        Ok(None)
    }
}

/// An entry's place and what it names as its past.
type Said = Option<(u64, Arc<[EntryHash]>)>;

fn entry_says(
    rows: &impl Rows,
    keys: &KeyRing,
    log: LogKey,
    seq: u64,
    says: impl Fn(&[u8]) -> bool,
) -> Result<Said, EngineError> {
    let Some(stored) = rows.entry(log, seq)? else { return Ok(None) };
    let entry = decode_stored(&stored)?;
    let opened = open_body(&entry, keys).and_then(Result::ok);
    Ok(opened.filter(|plain| says(plain)).map(|_| (seq, entry.header.deps.as_slice().into())))
}

/// The same of an entry of which only the words of a checkpoint are left.
fn word_says(
    rows: &impl Rows,
    keys: &KeyRing,
    log: LogKey,
    hlc: Hlc,
    says: impl Fn(&[u8]) -> bool,
) -> Result<Said, EngineError> {
    let state = LogState::load(rows, log)?;
    let mut next = (state.base > 0).then_some(state.base + 2);
    while let Some(from) = next {
        let mut words = Words::of_part(rows, keys, log, &state, from)?;
        next = words.next_part();
        while let Some(word) = words.next()? {
            if word.hlc > hlc {
                return Ok(None);
            }
            if word.hlc == hlc && says(&word.body) {
                return Ok(Some((word.seq, word.deps)));
            }
        }
    }
    Ok(None)
}

/// The place of the entry of this very time in a log: times grow within one.
fn place_of(rows: &impl Rows, log: LogKey, head: u64, hlc: Hlc) -> Result<Option<u64>, EngineError> {
    let (mut low, mut high) = (1, head);
    while low <= high {
        let middle = low + (high - low) / 2;
        // What was dropped from the beginning of a log was earlier.
        let Some(stored) = rows.entry(log, middle)? else {
            low = middle + 1;
            continue;
        };
        match decode_stored(&stored)?.header.hlc.cmp(&hlc) {
            std::cmp::Ordering::Equal => return Ok(Some(middle)),
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle - 1,
        }
    }
    Ok(None)
}

//! Keys that held acts wait for and other held acts give.
//!
//! What a membership entry gives to devices stands outside what is sealed, so it can be taken before the entry can be
//! read or judged. That matters where entries wait for each other: one gives a key and names a past that can't be opened, and what
//! would open that past is sealed under the very key. An epoch's id commits to its key, so that nobody can slip in
//! a false one this way; what was learned decides nothing but what can be read.

use std::collections::BTreeSet;

use covey_log::Entry;
use covey_space::{MembershipOp, ops};
use covey_store::HeldRow;
use covey_types::{EpochId, SpaceId};

use crate::{
    Engine, EngineError, HoldReason, Rows, RowsMut, Secrets,
    ingest::{NEVER_OPAQUE, NEVER_PLACED},
    load::decode_stored,
};

/// Times that all held acts are looked through at once: keys wrapped by keys that are given elsewhere, so many deep. Who
/// makes longer chains up gets no further, and what is left is looked for again when the next act comes.
const MAX_ROUNDS: usize = 16;

impl HoldReason {
    /// Whether what is held is a membership entry: those are told by the time that they wait for.
    pub(crate) const fn is_act(row: &HeldRow) -> bool {
        row.until_ms == NEVER_OPAQUE && row.reason == Self::Key as u32
            || row.until_ms == NEVER_PLACED && row.reason == Self::Past as u32
    }
}

impl Engine {
    /// Takes in the keys of epochs under which held acts are sealed, from whatever held acts give; whether there were any.
    pub(crate) fn learn_wanted(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
    ) -> Result<bool, EngineError> {
        let mut wanted = BTreeSet::new();
        self.each_held_act(rows, id, |engine, entry| {
            if engine.space(id)?.info.keys.key(entry.header.epoch).is_none() {
                wanted.insert(entry.header.epoch);
            }
            Ok(())
        })?;
        let mut learned = false;
        for _ in 0..MAX_ROUNDS {
            let (mut found, mut leads) = (false, false);
            self.each_held_act(rows, id, |engine, entry| {
                let before = wanted.len();
                let keys = engine.learn_offered(secrets, id, &ops::offered_keys(&entry.body), &mut wanted)?;
                found |= keys > 0;
                leads |= wanted.len() + keys > before;
                Ok(())
            })?;
            learned |= found;
            if !found && !leads {
                break;
            }
        }
        if learned {
            self.harvest_keys(rows, secrets, id)?;
        }
        Ok(learned)
    }

    /// Shows every held act; one at a time, since there may be as many as whoever writes them likes.
    fn each_held_act(
        &mut self,
        rows: &impl Rows,
        id: SpaceId,
        mut look: impl FnMut(&mut Self, &Entry) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for row in rows.held(self.space(id)?.key)?.iter().filter(|row| HoldReason::is_act(row)) {
            if let Some(stored) = rows.entry(row.log, row.seq)? {
                look(self, &decode_stored(&stored)?)?;
            }
        }
        Ok(())
    }

    /// Takes in what one act gives of what is wanted; how many keys those were. A key that is wrapped by another makes that
    /// one wanted too.
    fn learn_offered(
        &mut self,
        secrets: &Secrets,
        id: SpaceId,
        given: &[MembershipOp],
        wanted: &mut BTreeSet<EpochId>,
    ) -> Result<usize, EngineError> {
        let (device, keys) = (secrets.device.id(), &mut self.space_mut(id)?.info.keys);
        let sealed = given.iter().flat_map(MembershipOp::sealed_keys);
        let sealed = sealed.filter(|sealed| sealed.device == device).map(|sealed| (sealed.epoch, None));
        let wrapped = given.iter().filter_map(|act| match act {
            MembershipOp::Rotate(rotate) => Some(rotate),
            _ => None,
        });
        let wrapped =
            wrapped.flat_map(|rotate| rotate.previous.iter().map(|old| (old.epoch, Some(rotate.epoch))));
        let mut found = 0;
        for (epoch, by) in sealed.chain(wrapped) {
            if !wanted.contains(&epoch) {
                continue;
            }
            if keys.learn_one(id, device, &secrets.kem, epoch, given) {
                wanted.remove(&epoch);
                found += 1;
            } else if let Some(by) = by.filter(|by| keys.key(*by).is_none()) {
                wanted.insert(by);
            }
        }
        Ok(found)
    }
}

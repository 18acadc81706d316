//! What a log says becomes what its checkpoint says.
//!
//! Most of the time that changes no record: what a checkpoint leaves out was superseded. But what superseded it may have
//! fallen since with a history that doesn't count, or by a limit; an author may have left out what still counts, with the
//! consent of all who had to agree; and a log that is entered further on may be of another history than what was here of
//! it. Then the records are merged afresh, so that all replicas come to the same.

use std::collections::BTreeSet;

use covey_store::LogRow;
use covey_types::SpaceId;

use super::{
    Former, LogState,
    compare::{Records, is_of_one_history, left_out},
    words::{Said, Words},
};
use crate::{Engine, EngineError, Rows, RowsMut, Secrets, judge::Target, rewrite};

/// What differs between what a log said and what it says.
#[derive(Default)]
struct Difference {
    /// Records of which something is left out that would still count.
    targets: BTreeSet<Target>,
    /// The last place of which both say the same.
    same: u64,
}

impl Engine {
    /// Looks at what the base of a log leaves out, once, before the entries are dropped.
    pub(super) fn rebase(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        row: LogRow,
        state: &mut LogState,
    ) -> Result<(), EngineError> {
        let former = std::mem::take(&mut state.former);
        if former.is_empty() || self.agreed_here(secrets, id, row, state, &former)? {
            return Ok(());
        }
        let mut targets = BTreeSet::new();
        for former in former {
            let found = self.difference(rows, id, row, (former, state))?;
            targets.extend(found.targets);
            if former.entered && row.id.device == secrets.device.id() && found.same < former.upto {
                // The home was copied back, and went on from there: what others don't have of it must not be lost.
                rows.copy_aside(row.key, found.same + 1, former.upto)?;
                rewrite::note(rows, id, row.id, found.same + 1, former.upto)?;
            }
        }
        state.save(rows, row.key)?;
        self.judge_words(rows, id, row, &mut targets)?;
        let mut outcome = crate::Ingested::default();
        self.rebuild_all(rows, id, targets, &mut outcome)?;
        Ok(self.devices.save(rows)?)
    }

    /// Whether this device has itself compared the checkpoint with the same entries, and nothing was limited since.
    fn agreed_here(
        &self,
        secrets: &Secrets,
        id: SpaceId,
        row: LogRow,
        state: &LogState,
        former: &[Former],
    ) -> Result<bool, EngineError> {
        let (space, device) = (self.space(id)?, secrets.device.id());
        let compared = device == row.id.device
            || state.agreed.is_some_and(|agreed| state.seen.contains(&(device, agreed.last)));
        let unlimited = space.frozen.is_empty() && space.suspects.is_empty();
        Ok(compared && unlimited && former.iter().all(|former| !former.entered))
    }

    fn difference(
        &self,
        rows: &(impl Rows + ?Sized),
        id: SpaceId,
        row: LogRow,
        (former, now): (Former, &LogState),
    ) -> Result<Difference, EngineError> {
        let space = self.space(id)?;
        let before = LogState { base: former.base, base_end: former.base_end, ..LogState::default() };
        let mut said = Words::of_log(rows, &space.info.keys, row.key, &before, former.upto);
        let mut words = Words::of_log(rows, &space.info.keys, row.key, now, 0);
        let mut records = Records::new(space.key, rows)?;
        let mut found = Difference::default();
        let mut next = said.next()?;
        while let Some(first) = next {
            let mut all = vec![first];
            next = said.next()?;
            while let Some(more) = next.take_if(|more| more.seq == all[0].seq) {
                all.push(more);
                next = said.next()?;
            }
            let mut kept: Vec<Said> = Vec::new();
            while words.peek()?.is_some_and(|word| word.seq <= all[0].seq) {
                kept.extend(words.next()?.filter(|word| word.seq == all[0].seq));
            }
            if is_of_one_history(&all[0], &kept) {
                found.same = all[0].seq;
            }
            for (collection, record) in left_out(&all, &kept, row.id, &mut records)? {
                if let Some(collection) = rows.collection(space.key, &collection)? {
                    found.targets.insert((collection, record));
                }
            }
        }
        Ok(found)
    }
}

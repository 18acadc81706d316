//! Logs with two histories of which all have agreed to one: that one counts, up to the agreement.
//!
//! Which history an entry between the place where they part and the agreement is of shows only when the agreement has come.
//! Until then a log that holds another one goes back to where it surely is, and takes in what others have.

use std::sync::Arc;

use covey_log::{ChainError, Entry, Evidence, Kind};
use covey_store::{ForkRow, LogRow, StoreError};
use covey_types::{EntryHash, Head, LogId, SpaceId};

use super::{Claim, LogState};
use crate::{
    Engine, EngineError, Ingested, LookBack, Rows, RowsMut, Secrets,
    ends::has,
    load::{decode_stored, load_evidence},
    logs::LogCursor,
};

/// The entry in a log by which all have agreed to a checkpoint of it, if the log has come so far.
pub(crate) fn own_agreement(rows: &impl Rows, row: &LogRow) -> Result<Option<Arc<Entry>>, StoreError> {
    let agreed = LogState::load(rows, row.key)?.agreed.filter(|agreed| agreed.at.seq <= row.head.seq);
    let Some(agreed) = agreed else { return Ok(None) };
    let stored = rows.entry(row.key, agreed.at.seq)?;
    let entry = stored.map(|stored| decode_stored(&stored)).transpose()?;
    Ok(entry.filter(|entry| entry.hash == agreed.at.hash).map(Arc::new))
}

impl Engine {
    /// Evidence without its agreement, unless all words are in it that it takes. It may be found to hold later, when more of
    /// the membership is here: then it's asked for again.
    pub(crate) fn as_far_as_agreed(&self, id: SpaceId, evidence: Evidence) -> Result<Evidence, EngineError> {
        let membership = &self.space(id)?.membership;
        // What stands past the fork may be of either history.
        let upto = evidence.parts().saturating_sub(1);
        let holds = |entry: &Arc<Entry>| {
            Claim::read(entry).is_ok_and(|claim| claim.holds(membership, upto) == Some(true))
        };
        let is_sound = evidence.agreed().is_none_or(|entry| !self.keeps_whole_logs && holds(entry));
        Ok(if is_sound { evidence } else { evidence.without_agreed() })
    }

    /// Where a log with two histories ends here for now: its first place that goes, and the hash before it if that's known.
    /// If what is here is the history that all have agreed to, it stays up to there. If not, or if it can't be told yet, the log
    /// goes back to where it surely is, and comes again from others.
    /// The same with the history up to `cut`, which somebody has seen who put the author out.
    pub(crate) fn end_of(
        rows: &impl Rows,
        row: &LogRow,
        evidence: &Evidence,
        cut: Option<Head>,
    ) -> Result<(u64, Option<EntryHash>), EngineError> {
        let agreed = evidence.agreed().map(|agreed| has(rows, row, agreed.head())).transpose()?;
        if let Some(cut) = cut
            && agreed != Some(false)
            && has(rows, row, cut)?
        {
            return Ok((cut.seq + 1, None));
        }
        if agreed == Some(true) {
            return Ok((evidence.from(), None));
        }
        let state = LogState::load(rows, row.key)?;
        let reached = state.agreed.filter(|agreed| agreed.at.seq <= row.head.seq);
        // The entry that begins the checkpoint of the base is known to be the right one.
        let entered = if state.base > 0 { state.base + 2 } else { 0 };
        let sure = reached.map_or(entered, |agreed| entered.max(agreed.at.seq + 1));
        let from = evidence.parts().max(sure);
        Ok((from, evidence.before(from)))
    }

    /// Whether two histories came of a log that is to count up to an agreement. Which of them that is of isn't known before it
    /// has come: the log begins again where they part.
    pub(crate) fn is_of_another_history(
        &mut self,
        rows: &mut impl RowsMut,
        (id, cursor): (SpaceId, &LogCursor),
        entry: &Entry,
        outcome: &mut Ingested,
    ) -> Result<bool, EngineError> {
        let (log, seq) = (entry.header.log, entry.header.seq);
        let Some(end) = self.space(id)?.awaits(log, cursor.head.seq) else { return Ok(false) };
        let differs = match entry.follows(cursor.head, cursor.hlc) {
            _ if seq == end => self.agreed_end(rows, id, log)?.is_some_and(|agreed| agreed != entry.hash),
            Err(ChainError::Known { .. }) => {
                rows.hash_at(cursor.key, seq)?.is_some_and(|here| here != entry.hash)
            }
            // A checkpoint that all agreed to may be where the log goes on.
            Err(ChainError::Fork { .. }) => entry.header.kind != Kind::CHECKPOINT,
            _ => false,
        };
        if differs {
            outcome.rejected.insert(log, false);
            self.turn_back(rows, id, log, outcome)?;
        }
        Ok(differs)
    }

    /// Takes a log that was forked, and has not come to its agreement yet, back to where it surely is: what came since is
    /// of the other history.
    pub(crate) fn turn_back(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        log: LogId,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let key = self.space(id)?.key;
        let evidence = load_evidence(rows, key, id)?.into_iter().find(|known| known.log() == log);
        let row = rows.logs(key)?.into_iter().find(|row| row.id == log);
        let (Some(evidence), Some(row)) = (evidence, row) else { return Ok(()) };
        let end = Self::end_of(rows, &row, &evidence, None)?;
        let voids = self.leave_behind(rows, id, &row, end, outcome)?;
        if voids.is_empty() {
            return Ok(());
        }
        let evidence = evidence.with(voids);
        let line = evidence.line();
        rows.put_fork(key, &ForkRow { id: log, seq: line.from, evidence: evidence.encode() })?;
        self.space_mut(id)?.frozen.insert(log, line);
        outcome.frozen.insert(log);
        outcome.due.fold = true;
        Ok(())
    }

    /// Sets a log aside from a place on: all have agreed to another history of it.
    #[expect(clippy::too_many_arguments, reason = "a step of taking in an entry, split off for reading")]
    pub(crate) fn go_back(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        id: SpaceId,
        log: LogId,
        from: u64,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let key = self.space(id)?.key;
        let Some(row) = rows.logs(key)?.into_iter().find(|row| row.id == log) else { return Ok(()) };
        let voids = self.leave_behind(rows, id, &row, (from, None), outcome)?;
        self.note_own(rows, secrets, id, &row, from)?;
        if log.device == secrets.device.id() && self.own_log_forked(rows, id, log, from, wall_ms)? {
            outcome.came_back.insert(log, (LookBack::Forked, from));
        }
        outcome.due.fold |= !voids.is_empty();
        Ok(())
    }

    /// The hash of the entry that agrees to the history up to which a forked log counts.
    pub(crate) fn agreed_end(
        &self,
        rows: &impl Rows,
        id: SpaceId,
        log: LogId,
    ) -> Result<Option<EntryHash>, EngineError> {
        let known = load_evidence(rows, self.space(id)?.key, id)?;
        let known = known.iter().find(|known| known.log() == log);
        Ok(known.and_then(|known| known.agreed()).map(|agreed| agreed.hash))
    }
}

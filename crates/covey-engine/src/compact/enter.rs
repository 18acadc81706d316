//! Logs that are taken in from a checkpoint on: for whoever is new, or was away for long.
//!
//! A peer that dropped the beginning of a log sends its membership entries, then the agreement on the checkpoint from
//! which the log begins with it, and goes on with that checkpoint. The membership entries are stored apart from the rest: each
//! carries its own proof, and the graph of membership needs them. The agreement names the checkpoint's first entry, and
//! holds the words of all that had to agree, so nobody can give somebody a log from a place of their own choice. That first
//! entry names, in its deps, all that its author knew of the membership: once all of that is here nothing of it can have been
//! left out on the way, and the log goes on from there.

use std::{collections::BTreeMap, sync::Arc};

use covey_log::{Entry, Kind};
use covey_store::{LogKey, StoreError};
use covey_types::{DeviceId, EntryHash, SpaceId};

use super::{Agreement, Claim, LogState, MAX_FORMER, again::keep_offered};
use crate::{
    Engine, EngineError, Ingested, Rows, RowsMut, Secrets, SpaceState,
    ingest::Place,
    logs::{LogCursor, row_of},
};

impl Engine {
    /// Takes an entry that lies further on in its log than the next one, if that is possible; whether it was.
    #[expect(clippy::too_many_arguments, reason = "the arm of a loop, split off for reading")]
    pub(crate) fn take_further_on(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        (id, cursor): (SpaceId, &mut LogCursor),
        entry: &Arc<Entry>,
        plain: Option<&Result<Vec<u8>, String>>,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<bool, EngineError> {
        let header = &entry.header;
        let mut state = LogState::load(rows, cursor.key)?;
        if header.kind == Kind::AGREED {
            let Ok(claim) = Claim::read(entry) else { return Ok(false) };
            let space = self.space(id)?;
            if claim.holds(&space.membership, space.is_one_up_to(&header.log, cursor.head.seq)) != Some(true)
            {
                return Ok(false);
            }
            self.came_back(rows, secrets, id, entry, wall_ms, outcome)?;
            state.offered = Some(claim.agreement);
            state.save(rows, cursor.key)?;
            keep_offered(rows, cursor.key, entry)?;
            return Ok(true);
        }
        let is_entrance = header.kind == Kind::CHECKPOINT;
        // What comes right after the head and doesn't follow it is of another history, and stands nowhere.
        let is_apart = header.kind.is_membership() && header.seq > cursor.head.seq + 1;
        if !(is_entrance || is_apart) {
            return Ok(false);
        }
        let entrance = if is_entrance { self.entrance(secrets, id, &state, entry)? } else { None };
        if is_entrance && entrance.is_none() {
            return Ok(false);
        }
        if is_entrance {
            self.forget_unnamed(rows, id, cursor, entry, outcome)?;
        }
        let stored = if is_entrance {
            rows.enter_log(cursor.key, row_of(entry)).map(|()| true)
        } else {
            rows.append_apart(cursor.key, row_of(entry))
        };
        let is_new = match stored {
            Err(StoreError::NotNext { .. }) if is_apart => {
                // Its author has said two things so far ahead. One of them counts everywhere until the log comes there.
                let here = rows.hash_at(cursor.key, header.seq)?;
                if here.is_none_or(|here| here <= entry.hash) || !rows.forget_apart(cursor.key, header.seq)? {
                    return Ok(true);
                }
                outcome.due.fold = true;
                rows.append_apart(cursor.key, row_of(entry))?
            }
            Err(StoreError::NotNext { .. }) => return Ok(false),
            stored => stored?,
        };
        self.space_mut(id)?.apart = None;
        self.came_back(rows, secrets, id, entry, wall_ms, outcome)?;
        if let Some(agreed) = entrance {
            state.move_base(agreed, cursor.head.seq, true);
            state.save(rows, cursor.key)?;
            cursor.head = entry.head();
            cursor.hlc = header.hlc;
            outcome.stored.push(Arc::clone(entry));
        }
        if is_new {
            let place = Place { space: id, log: cursor.key, entry };
            self.take(rows, secrets, place, plain.cloned(), wall_ms, outcome)?;
        }
        Ok(true)
    }

    /// Forgets what lies apart of a log, before the entry from which it's taken in, and isn't in the past which that names:
    /// its author has never said it there.
    fn forget_unnamed(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        cursor: &LogCursor,
        entry: &Entry,
        outcome: &mut Ingested,
    ) -> Result<(), EngineError> {
        let header = &entry.header;
        let unnamed = self.space(id)?.membership.unnamed_acts(header.log, header.seq, &header.deps);
        for seq in unnamed.unwrap_or_default() {
            outcome.due.fold |= seq > cursor.head.seq && rows.forget_apart(cursor.key, seq)?;
        }
        Ok(())
    }

    /// What the next entry of this device names as its past. Not what lies apart, if that can be helped: it's passed on when its log
    /// comes to it, and whoever wrote it may have put it where no log ever comes.
    pub(crate) fn deps_to_name(
        &mut self,
        rows: &impl Rows,
        id: SpaceId,
        device: DeviceId,
    ) -> Result<Vec<EntryHash>, EngineError> {
        let state = self.space_mut(id)?;
        let mut apart = if let Some(apart) = state.apart.take() {
            apart
        } else {
            let all = rows.membership(state.key)?.into_iter();
            all.map(|(log, stored)| (stored.hash, log, stored.seq)).collect()
        };
        if !apart.is_empty() {
            let heads: BTreeMap<LogKey, u64> =
                rows.logs(state.key)?.into_iter().map(|row| (row.key, row.head.seq)).collect();
            apart.retain(|(_, log, seq)| heads.get(log).is_none_or(|head| seq > head));
        }
        let without: Vec<EntryHash> = apart.iter().map(|(hash, ..)| *hash).collect();
        state.apart = Some(apart);
        Ok(state.membership.deps_for_but(device, &without))
    }

    /// Takes in that everybody agreed to a history of a log that isn't the one here: whether it was that. What stands here from
    /// the checkpoint on is set aside, and the log goes on from there when it comes; what stood before it is compared then.
    pub(crate) fn give_way(
        &mut self,
        rows: &mut impl RowsMut,
        secrets: &Secrets,
        (id, cursor): (SpaceId, &LogCursor),
        entry: &Entry,
        wall_ms: u64,
        outcome: &mut Ingested,
    ) -> Result<bool, EngineError> {
        let (log, key) = (entry.header.log, cursor.key);
        if entry.header.kind != Kind::AGREED {
            return Ok(false);
        }
        let Ok(claim) = Claim::read(entry) else { return Ok(false) };
        let begin = claim.agreement.begin;
        let here = rows.hash_at(key, begin.seq)?.filter(|_| begin.seq <= cursor.head.seq);
        let mut state = LogState::load(rows, key)?;
        let is_later = state.agreed.is_none_or(|agreed| agreed.at.seq <= entry.header.seq);
        if !is_later
            || here.is_none_or(|here| here == begin.hash)
            || claim.holds(&self.space(id)?.membership, begin.seq - 1) != Some(true)
            || claim.is_of_unseen_history(rows, key, &self.space(id)?.membership)?
        {
            return Ok(false);
        }
        tracing::warn!(%log, from = begin.seq, "everybody agreed to another history of it than is here");
        state.offered = Some(claim.agreement);
        state.save(rows, key)?;
        keep_offered(rows, key, entry)?;
        outcome.rejected.insert(log, false);
        self.go_back(rows, secrets, id, log, begin.seq, wall_ms, outcome)?;
        Ok(true)
    }

    /// The agreement by which a log may be taken in from this entry on: everybody has agreed to the checkpoint that it begins,
    /// all membership that its author knew is here, and so is what let this device in, by whoever this device knows to have done so, or
    /// another device of its user. With that comes all that they knew: so nobody who was put out before can tell it of a space in
    /// which they weren't.
    fn entrance(
        &self,
        secrets: &Secrets,
        id: SpaceId,
        state: &LogState,
        entry: &Entry,
    ) -> Result<Option<Agreement>, EngineError> {
        let known = [state.offered, state.agreed].into_iter().flatten();
        let agreed = known.into_iter().find(|agreed| agreed.begin == entry.head());
        let has_room = state.former.len() < MAX_FORMER;
        let SpaceState { membership, info, .. } = self.space(id)?;
        let (device, user) = (secrets.device.id(), secrets.user.id());
        let is_theirs = |by: DeviceId| Some(by) == info.inviter || membership.named_as(by) == Some(user);
        let is_in = info.inviter.is_none() || membership.named_by(device).any(is_theirs);
        let is_known = is_in && membership.is_founded() && membership.knows_all(&entry.header.deps);
        Ok(agreed.filter(|_| has_room && is_known))
    }
}

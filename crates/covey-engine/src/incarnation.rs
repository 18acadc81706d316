//! When this device begins a new log of its own in a space.
//!
//! A log must never hold two different entries at one place. It would, if a device went on with a copy of its store
//! that is older than what others have of it: a restored backup, a home that was copied back, a machine that was set
//! back to a snapshot. So a restore begins a new incarnation of every own log ([`begin_anew`]), and a device that
//! learns that others have more of its own log than it has itself leaves that log alone and begins another one
//! ([`Engine::look_back`], and while ingesting). What others have comes back as any log does.
//!
//! A peer can claim anything about how far a log reaches. What it *says* is therefore believed once for each space and
//! run: a device may have few logs, and a liar must not use them up. An entry with our own signature is proof, and
//! always believed.

use covey_store::StoreError;
use covey_types::{
    DeviceId, Head, Incarnation, LogId, SpaceId, keys::random_bytes, limits::MAX_LOGS_PER_DEVICE, wire,
};
use serde::{Deserialize, Serialize};

use crate::{
    Engine, EngineError, Rows, RowsMut, SpaceInfo, compact::first_kept, engine::MAX_INFO_BYTES, load::corrupt,
};

/// Where the own forks are noted.
const META: &str = "own-forks";

/// Forks of own logs that are remembered: whoever has more has read about the first ones.
const MAX_FORKS: usize = 32;

/// Longest stored list of them, bytes.
const MAX_FORKS_BYTES: usize = MAX_FORKS * 128;

/// An own log that holds other entries here than elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnFork {
    /// In which space.
    pub space: SpaceId,
    /// Which log.
    pub log: LogId,
    /// A place where it differs.
    pub seq: u64,
    /// When that was noticed, milliseconds since 1970.
    pub noticed_ms: u64,
}

/// What looking back at an own log has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookBack {
    /// Nothing that isn't here.
    Fine,
    /// Others have more of it: this store is older than it should be. A new log was begun.
    Longer,
    /// Others have something else at a place of it. A new log was begun, if that one was still written.
    Forked,
}

/// Begins a new log of this device in every space; for a store that may be older than what others have of it.
///
/// # Errors
/// The backend's; [`StoreError::Corrupt`] if a description of a space can't be read.
pub fn begin_anew(rows: &mut impl RowsMut) -> Result<(), StoreError> {
    for row in rows.spaces()? {
        let mut info: SpaceInfo = wire::decode("a space's description", &row.info, MAX_INFO_BYTES)
            .map_err(|err| corrupt("read a space", &err))?;
        info.incarnation = fresh();
        rows.set_space_info(row.key, &wire::encode(&info))?;
    }
    crate::rewrite::restored(rows)
}

/// The forks of own logs that were noticed.
///
/// # Errors
/// The backend's.
pub fn own_forks(rows: &impl Rows) -> Result<Vec<OwnFork>, StoreError> {
    let Some(bytes) = rows.meta(META)? else { return Ok(Vec::new()) };
    wire::decode("the own forks", &bytes, MAX_FORKS_BYTES).map_err(|err| corrupt("read the own forks", &err))
}

fn fresh() -> Incarnation {
    Incarnation(u64::from_le_bytes(random_bytes()))
}

/// Own logs in a space up to which the mere word of others, that one of them reaches further elsewhere, is enough to begin
/// another one. With more the entry itself has to come: a liar must not use up [`MAX_LOGS_PER_DEVICE`].
const BELIEVED_LOGS: usize = MAX_LOGS_PER_DEVICE / 2;

impl Engine {
    /// Compares an own log with how far it reaches elsewhere, by what a peer says.
    ///
    /// # Errors
    /// The backend's.
    pub fn look_back(
        &mut self,
        rows: &mut impl RowsMut,
        device: DeviceId,
        id: SpaceId,
        (log, theirs): (LogId, Head),
        wall_ms: u64,
    ) -> Result<LookBack, EngineError> {
        let state = self.space(id)?;
        if log != state.own_log(device) || state.looked_back {
            return Ok(LookBack::Fine);
        }
        let (mut known, mut own_logs) = (None, 0);
        for row in rows.logs(state.key)?.into_iter().filter(|row| row.id.device == device) {
            own_logs += 1;
            if row.id == log {
                known = Some(row);
            }
        }
        let mine = known.as_ref().map_or(Head::EMPTY, |row| row.head);
        if theirs.seq > mine.seq {
            self.space_mut(id)?.looked_back = true;
            if own_logs > BELIEVED_LOGS {
                return Ok(LookBack::Fine);
            }
            self.begin_incarnation(rows, id)?;
            return Ok(LookBack::Longer);
        }
        let here = known.map(|row| rows.hash_at(row.key, theirs.seq)).transpose()?.flatten();
        // What was dropped here can't be compared.
        let first = known.map_or(Ok(1), |row| first_kept(rows, row.key))?;
        if theirs.seq < first || here == Some(theirs.hash) {
            return Ok(LookBack::Fine);
        }
        self.space_mut(id)?.looked_back = true;
        self.own_log_forked(rows, id, log, theirs.seq, wall_ms)?;
        Ok(LookBack::Forked)
    }

    /// Leaves this device's log of a space as it is, and writes another one from now on.
    pub(crate) fn begin_incarnation(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
    ) -> Result<(), EngineError> {
        let state = self.space_mut(id)?;
        state.info.incarnation = fresh();
        state.forget_verdict();
        Ok(rows.set_space_info(state.key, &wire::encode(&state.info))?)
    }

    /// Notes that an own log is forked, and leaves it if it's still written. Whether that is news.
    pub(crate) fn own_log_forked(
        &mut self,
        rows: &mut impl RowsMut,
        id: SpaceId,
        log: LogId,
        seq: u64,
        wall_ms: u64,
    ) -> Result<bool, EngineError> {
        if self.space(id)?.own_log(log.device) == log {
            self.begin_incarnation(rows, id)?;
        }
        let mut forks = own_forks(rows)?;
        if forks.iter().any(|fork| fork.log == log && fork.space == id) {
            return Ok(false);
        }
        forks.push(OwnFork { space: id, log, seq, noticed_ms: wall_ms });
        let surplus = forks.len().saturating_sub(MAX_FORKS);
        forks.drain(..surplus);
        rows.set_meta(META, &wire::encode(&forks))?;
        Ok(true)
    }
}

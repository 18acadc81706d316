//! The time that entries bear where somebody's clock was wrong.
//!
//! Acts of membership count whatever their time is, and the clock doesn't go by one that's too far ahead: that is remembered,
//! since the clock is found anew in the logs at each start. And a device whose own clock was ahead once isn't bound to that for ever: when
//! it's right again, as what others wrote shows, a new log begins with the right time.

use covey_store::{LogKey, SpaceKey, StoreError};
use covey_types::{DeviceId, Hlc, HlcClock, limits::MAX_LOGS_PER_DEVICE, wire};
use serde::{Deserialize, Serialize};

use crate::{
    Engine, EngineError, Rows, RowsMut,
    load::{corrupt, newest_believed},
};

/// Where it's noted which acts are from the future.
const META: &str = "acts-ahead";

/// Logs that are remembered: as many as a large space has.
const MAX_ACTS: usize = 4096;

/// Longest stored list of them, bytes.
const MAX_ACTS_BYTES: usize = MAX_ACTS * 48;

/// The first act of a log that is dated in the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Act {
    /// The key of the space.
    pub(crate) space: i64,
    /// The key of the log.
    pub(crate) log: i64,
    pub(crate) seq: u64,
    /// When its time has come, milliseconds since 1970.
    until_ms: u64,
}

/// The acts whose time the clock doesn't go by.
pub(crate) fn unbelieved(rows: &(impl Rows + ?Sized)) -> Result<Vec<Act>, StoreError> {
    let Some(bytes) = rows.meta(META)? else { return Ok(Vec::new()) };
    wire::decode("the acts from the future", &bytes, MAX_ACTS_BYTES)
        .map_err(|err| corrupt("read the acts from the future", &err))
}

/// Notes that an act of a log is dated in the future.
pub(crate) fn disbelieve(
    rows: &mut impl RowsMut,
    (space, log, seq): (SpaceKey, LogKey, u64),
    until_ms: u64,
    wall_ms: u64,
) -> Result<(), StoreError> {
    let mut acts = unbelieved(rows)?;
    // What follows in its log is as new at least.
    if acts.iter().any(|act| act.log == log.number() && act.seq <= seq) {
        return Ok(());
    }
    acts.retain(|act| act.until_ms > wall_ms && act.log != log.number());
    acts.push(Act { space: space.number(), log: log.number(), seq, until_ms });
    let surplus = acts.len().saturating_sub(MAX_ACTS);
    acts.drain(..surplus);
    rows.set_meta(META, &wire::encode(&acts))
}

impl Engine {
    /// Begins new logs where the own ones are dated far ahead of the clock, if it was this device's clock that was wrong. It
    /// isn't, as far as can be known, where what others wrote is ahead of the clock too, or where nobody else has written.
    pub(crate) fn go_by_the_right_time(
        &mut self,
        rows: &mut impl RowsMut,
        device: DeviceId,
        wall_ms: u64,
    ) -> Result<(), EngineError> {
        if !self.clock.last().is_too_far_ahead(wall_ms) {
            return Ok(());
        }
        let (mut mine, mut theirs) = (Vec::new(), Hlc::default());
        for state in self.spaces.values() {
            for (log, hlc) in newest_believed(rows, state.key)? {
                if log.device == device {
                    mine.push((state.id, log, hlc));
                } else {
                    theirs = theirs.max(hlc);
                }
            }
        }
        if theirs == Hlc::default() || theirs.is_too_far_ahead(wall_ms) {
            return Ok(());
        }
        // In all spaces at once: the clock is one for all of them, and no log goes back in time.
        let mut ahead = Vec::new();
        for (id, log, hlc) in &mine {
            if hlc.is_too_far_ahead(wall_ms) && *log == self.space(*id)?.own_log(device) {
                ahead.push(*id);
            }
        }
        let logs_in = |id| mine.iter().filter(|(space, ..)| *space == id).count();
        // Whoever sets their clock wrong again and again keeps the last of the logs that they may have.
        if ahead.iter().any(|id| logs_in(*id) >= MAX_LOGS_PER_DEVICE / 2) {
            return Ok(());
        }
        for id in ahead {
            tracing::warn!(space = %id, "the clock was far ahead and is right now: what is written from now on goes into a new log");
            self.begin_incarnation(rows, id)?;
        }
        let believed = mine.iter().map(|(.., hlc)| *hlc).filter(|hlc| !hlc.is_too_far_ahead(wall_ms));
        self.clock = HlcClock::after(believed.fold(theirs, Hlc::max));
        Ok(())
    }
}

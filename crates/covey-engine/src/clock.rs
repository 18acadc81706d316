//! Acts of membership that are dated in the future: they count at once, and the clock doesn't go by their time.
//!
//! That is remembered, since the clock is found anew in the logs at each start. One place for each log is enough: what follows
//! there is as new at least.

use covey_store::{LogKey, SpaceKey, StoreError};
use covey_types::{limits::MAX_LOGS_PER_SPACE, wire};
use serde::{Deserialize, Serialize};

use crate::{Rows, RowsMut, load::corrupt};

/// Longest stored list of them, bytes: one for each log.
const MAX_BYTES: usize = MAX_LOGS_PER_SPACE * 32;

/// The first act of a log that is dated in the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Act {
    /// The key of the log.
    log: i64,
    pub(crate) seq: u64,
    /// When its time has come, milliseconds since 1970.
    pub(crate) until_ms: u64,
}

impl Act {
    pub(crate) const fn log(&self) -> LogKey {
        LogKey::new(self.log)
    }
}

/// Where it's noted.
fn meta(space: SpaceKey) -> String {
    format!("acts-ahead/{}", space.number())
}

/// The acts of a space whose time the clock doesn't go by.
pub(crate) fn unbelieved(rows: &(impl Rows + ?Sized), space: SpaceKey) -> Result<Vec<Act>, StoreError> {
    let Some(bytes) = rows.meta(&meta(space))? else { return Ok(Vec::new()) };
    wire::decode("the acts from the future", &bytes, MAX_BYTES)
        .map_err(|err| corrupt("read the acts from the future", &err))
}

/// Notes that an act of a log is dated in the future. Those whose time has come are forgotten, and no others: whoever
/// could make that happen could move the clock.
pub(crate) fn disbelieve(
    rows: &mut impl RowsMut,
    space: SpaceKey,
    (log, seq): (LogKey, u64),
    until_ms: u64,
    wall_ms: u64,
) -> Result<(), StoreError> {
    let mut acts = unbelieved(rows, space)?;
    if acts.iter().any(|act| act.log() == log && act.seq <= seq) {
        return Ok(());
    }
    acts.retain(|act| act.until_ms > wall_ms && act.log() != log);
    acts.push(Act { log: log.number(), seq, until_ms });
    rows.set_meta(&meta(space), &wire::encode(&acts))
}

//! The hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014).
//!
//! A timestamp is 48 bits of milliseconds since 1970 and a counter of 16 bits, in one `u64`: it sorts
//! as a number, moves with the wall clock while that is sane, and never goes back. Where the paper's
//! counter is unbounded, ours carries into the milliseconds when it is full: order is kept, and the
//! error is a millisecond. A time that lies too far ahead is refused ([`TooFarAhead`]), so that one
//! broken clock does not drag everybody's along.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_CLOCK_DRIFT_MS;

/// A hybrid timestamp. Ties between devices are broken by device id, outside this type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Hlc(u64);

const COUNTER_BITS: u32 = 16;

impl Hlc {
    /// The largest wall time that fits, in milliseconds since 1970: the year 10889.
    pub const MAX_WALL_MS: u64 = (1 << 48) - 1;

    /// A timestamp from its parts; times past [`Hlc::MAX_WALL_MS`] are cut to it.
    pub const fn new(wall_ms: u64, counter: u16) -> Self {
        let wall_ms = if wall_ms > Self::MAX_WALL_MS { Self::MAX_WALL_MS } else { wall_ms };
        Self(wall_ms << COUNTER_BITS | counter as u64)
    }

    /// The timestamp as stored and sent.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The timestamp in these bits: every `u64` is one.
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// Milliseconds since 1970.
    pub const fn wall_ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// The counter that orders what happened within one millisecond.
    pub const fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// Whether this lies further ahead of `wall_ms` than [`MAX_CLOCK_DRIFT_MS`].
    pub const fn is_too_far_ahead(self, wall_ms: u64) -> bool {
        self.wall_ms() > wall_ms.saturating_add(MAX_CLOCK_DRIFT_MS)
    }
}

impl fmt::Debug for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall_ms(), self.counter())
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A timestamp that lies too far in the future to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the time {ahead_ms} ms ahead of this device's clock is not believed (limit {MAX_CLOCK_DRIFT_MS} ms)"
)]
pub struct TooFarAhead {
    /// How far ahead of the local wall clock.
    pub ahead_ms: u64,
}

/// The clock of one device: gives times, learns from those of others.
#[derive(Debug, Clone, Copy, Default)]
pub struct HlcClock {
    last: Hlc,
}

impl HlcClock {
    /// A clock that never gives a time at or before `last`.
    pub const fn after(last: Hlc) -> Self {
        Self { last }
    }

    /// The newest time given or observed.
    pub const fn last(&self) -> Hlc {
        self.last
    }

    /// A time later than all given and observed so far.
    pub fn tick(&mut self, wall_ms: u64) -> Hlc {
        let wall = Hlc::new(wall_ms, 0);
        self.last = if wall > self.last { wall } else { Hlc(self.last.0.saturating_add(1)) };
        self.last
    }

    /// Takes note of another device's time.
    ///
    /// # Errors
    /// [`TooFarAhead`] if the time isn't believed; the clock is then as before.
    pub fn observe(&mut self, seen: Hlc, wall_ms: u64) -> Result<(), TooFarAhead> {
        if seen.is_too_far_ahead(wall_ms) {
            return Err(TooFarAhead { ahead_ms: seen.wall_ms() - wall_ms });
        }
        self.last = self.last.max(seen);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_unit_is_milliseconds_and_this_century_fits() {
        let year_2100_ms = 4_102_444_800_000;
        let time = Hlc::new(year_2100_ms, 7);
        assert_eq!((time.wall_ms(), time.counter()), (year_2100_ms, 7));
    }

    #[test]
    fn a_full_counter_carries_into_the_milliseconds() {
        let mut clock = HlcClock::after(Hlc::new(1000, u16::MAX));
        assert_eq!(clock.tick(1000), Hlc::new(1001, 0));
    }

    #[test]
    fn a_time_from_the_future_is_refused_and_leaves_no_trace() {
        let mut clock = HlcClock::default();
        let now = clock.tick(1_000_000);
        let future = Hlc::new(1_000_000 + MAX_CLOCK_DRIFT_MS + 1, 0);
        assert_eq!(clock.observe(future, 1_000_000), Err(TooFarAhead { ahead_ms: MAX_CLOCK_DRIFT_MS + 1 }));
        assert_eq!(clock.last(), now);
    }

    proptest! {
        #[test]
        fn times_never_go_back_whatever_the_wall_clock_does(walls in prop::collection::vec(0u64..10_000, 1..200)) {
            let mut clock = HlcClock::default();
            let mut last = Hlc::default();
            for wall in walls {
                let now = clock.tick(wall);
                prop_assert!(now > last);
                prop_assert!(now.wall_ms() >= wall);
                last = now;
            }
        }

        #[test]
        fn what_was_observed_is_in_the_past(wall in 0u64..1_000_000, seen in 0u64..1_000_000) {
            let mut clock = HlcClock::default();
            let seen = Hlc::new(seen, 3);
            if clock.observe(seen, wall).is_ok() {
                prop_assert!(clock.tick(wall) > seen);
            }
        }
    }
}

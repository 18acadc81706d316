//! Whoever writes faster than compaction drops waits for it: else what is to be dropped would pile up without a bound, and
//! the store with it. Only while a log is being compacted, and for one step of that at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use covey_types::SpaceId;
use tokio::sync::Notify;

/// Bytes that may be written to a space's own log for each step of its compaction: a quarter of what a step goes through, so
/// that a log grows by less than a quarter of its length until it's compacted.
const BYTES_A_STEP: i64 = 256 << 10;

/// Bytes after which news of a space aren't waited with any longer.
const MUCH_BYTES: u64 = 1 << 20;

/// What is written, and what is compacted meanwhile.
#[derive(Debug, Default)]
pub(crate) struct News {
    state: Mutex<State>,
    wake: Notify,
    /// Much was written since news were taken.
    much: Notify,
    /// A step was done, or was the last one.
    stepped: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Spaces in which something was stored.
    spaces: BTreeSet<SpaceId>,
    /// What was written here since they were taken, bytes.
    written: u64,
    /// Spaces whose compaction goes on, and how much may be written there before its next step, bytes.
    going: BTreeMap<SpaceId, i64>,
}

impl News {
    /// Something was stored in a space.
    pub(crate) fn of(&self, space: SpaceId) {
        if self.with(|state| state.spaces.insert(space)) {
            self.wake.notify_one();
        }
    }

    /// An entry of so many bytes was written to the own log of a space.
    pub(crate) fn wrote(&self, space: SpaceId, bytes: usize) {
        let is_much = self.with(|state| {
            if let Some(left) = state.going.get_mut(&space) {
                *left = left.saturating_sub_unsigned(bytes as u64);
            }
            state.written += bytes as u64;
            state.written >= MUCH_BYTES
        });
        if is_much {
            self.much.notify_one();
        }
    }

    /// Waits until more may be written to the own log of a space: at once but where it's being compacted, and much was
    /// written there since that began.
    pub(crate) async fn turn(&self, space: SpaceId) {
        loop {
            let stepped = self.stepped.notified();
            tokio::pin!(stepped);
            // From here on no step is missed.
            stepped.as_mut().enable();
            if self.with(|state| state.going.get(&space).is_none_or(|left| *left > 0)) {
                return;
            }
            stepped.await;
        }
    }

    /// Waits for news.
    pub(super) async fn any(&self) {
        self.wake.notified().await;
    }

    /// Waits until so much is new that it should be looked at.
    pub(super) async fn much(&self) {
        self.much.notified().await;
    }

    pub(super) fn take(&self) -> BTreeSet<SpaceId> {
        self.with(|state| {
            state.written = 0;
            std::mem::take(&mut state.spaces)
        })
    }

    /// Compaction of a space goes on until what this returns is dropped.
    pub(super) fn begin(&self, space: SpaceId) -> Going<'_> {
        self.with(|state| state.going.insert(space, BYTES_A_STEP));
        Going { news: self, space }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// That a space is being compacted.
pub(super) struct Going<'a> {
    news: &'a News,
    space: SpaceId,
}

impl Going<'_> {
    /// A step was done. What wasn't written since the one before isn't saved up.
    pub(super) fn stepped(&self) {
        self.news.with(|state| {
            if let Some(left) = state.going.get_mut(&self.space) {
                *left = BYTES_A_STEP.min(*left + BYTES_A_STEP);
            }
        });
        self.news.stepped.notify_waiters();
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.news.with(|state| state.going.remove(&self.space));
        self.news.stepped.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    const SPACE: SpaceId = SpaceId([1; 32]);
    const OTHER: SpaceId = SpaceId([2; 32]);

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn may_write(news: &News, space: SpaceId) -> bool {
        is_ready(news.turn(space))
    }

    #[test]
    fn who_writes_much_waits_for_a_step_while_a_log_is_compacted_and_nobody_does_otherwise() {
        let news = News::default();
        news.wrote(SPACE, 1 << 30);
        assert!(may_write(&news, SPACE));
        let going = news.begin(SPACE);
        assert!(may_write(&news, SPACE));
        // Two steps' worth: after one step it's still too much.
        news.wrote(SPACE, 2 * (256 << 10));
        assert!(!may_write(&news, SPACE) && may_write(&news, OTHER));
        going.stepped();
        assert!(!may_write(&news, SPACE));
        going.stepped();
        assert!(may_write(&news, SPACE));
        // Steps in which nothing was written give no more.
        for _ in 0..10 {
            going.stepped();
        }
        news.wrote(SPACE, 256 << 10);
        assert!(!may_write(&news, SPACE));
        let mut waiting = pin!(news.turn(SPACE));
        assert!(!is_ready(waiting.as_mut()));
        drop(going);
        assert!(is_ready(waiting) && may_write(&news, SPACE));
    }

    #[test]
    fn news_are_taken_once_and_much_of_them_at_once() {
        let news = News::default();
        news.of(SPACE);
        news.of(SPACE);
        assert!(is_ready(news.any()) && !is_ready(news.any()));
        news.wrote(SPACE, (1 << 20) - 1);
        assert!(!is_ready(news.much()));
        news.wrote(SPACE, 1);
        assert!(is_ready(news.much()));
        assert_eq!(news.take(), [SPACE].into());
        news.wrote(SPACE, 1);
        assert!(!is_ready(news.much()) && news.take().is_empty());
    }
}

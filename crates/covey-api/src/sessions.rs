//! Browsers that are signed in: which, until when, and out again.
//!
//! A browser holds a cookie of 32 random bytes; here, and in the node's store, there is its BLAKE3 hash alone, which is
//! compared in constant time. A session ends after [`SESSION_LIFETIME`], when somebody signs it out, or when there are too
//! many newer ones. It does not end with the node.

use std::sync::{Mutex, MutexGuard, PoisonError};

use covey_node::{Browser, Node, WallClock};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::{
    access::{hash, random_text},
    limits::{MAX_BROWSERS, SESSION_LIFETIME},
};

/// Hexadecimal digits by which people name a session: enough to tell a few dozen apart.
const ID_DIGITS: usize = 12;

/// Which session a request belongs to. It says nothing that would open one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionId(blake3::Hash);

impl SessionId {
    /// How people name it.
    pub(crate) fn shown(self) -> String {
        self.0.to_hex()[..ID_DIGITS].to_owned()
    }
}

/// The browsers that are signed in.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// The oldest first.
    signed_in: Mutex<Vec<Browser>>,
    /// Held while they are written down, so that an older list never comes behind a newer one.
    keeping: tokio::sync::Mutex<()>,
    clock: WallClock,
    /// Wakes the sockets of browsers, one of which was signed out.
    ended: watch::Sender<()>,
}

impl Sessions {
    /// Those that were kept.
    pub(crate) fn new(kept: Vec<Browser>, clock: WallClock) -> Self {
        Self {
            signed_in: Mutex::new(kept),
            keeping: tokio::sync::Mutex::default(),
            clock,
            ended: watch::Sender::new(()),
        }
    }

    /// A panic elsewhere leaves this plain list whole, so poison is no reason to stop.
    fn signed_in(&self) -> MutexGuard<'_, Vec<Browser>> {
        let mut signed_in = self.signed_in.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now_ms();
        signed_in.retain(|browser| now < browser.until_ms);
        signed_in
    }

    /// Signs one more browser in; what its cookie says.
    pub(crate) fn begin(&self) -> Zeroizing<String> {
        let cookie = random_text();
        let since_ms = self.clock.now_ms();
        let lifetime_ms = u64::try_from(SESSION_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let until_ms = since_ms.saturating_add(lifetime_ms);
        let mut signed_in = self.signed_in();
        if signed_in.len() >= MAX_BROWSERS {
            signed_in.remove(0);
            self.ended.send_replace(());
        }
        signed_in.push(Browser { hash: *hash(&cookie).as_bytes(), since_ms, until_ms });
        cookie
    }

    /// The session that a cookie opens.
    pub(crate) fn find(&self, cookie: &str) -> Option<SessionId> {
        Some(SessionId(hash(cookie))).filter(|session| self.is_open(*session))
    }

    /// Whether a session still is one.
    pub(crate) fn is_open(&self, session: SessionId) -> bool {
        self.signed_in().iter().any(|browser| session.0 == browser.hash)
    }

    /// All that are open, the oldest first.
    pub(crate) fn all(&self) -> Vec<(SessionId, Browser)> {
        let named = |browser: &Browser| (SessionId(blake3::Hash::from_bytes(browser.hash)), *browser);
        self.signed_in().iter().map(named).collect()
    }

    /// Signs those out that `goes` says; how many they were.
    pub(crate) fn end(&self, goes: impl Fn(SessionId) -> bool) -> usize {
        let mut signed_in = self.signed_in();
        let before = signed_in.len();
        signed_in.retain(|browser| !goes(SessionId(blake3::Hash::from_bytes(browser.hash))));
        self.ended.send_replace(());
        before - signed_in.len()
    }

    /// Tells whenever somebody was signed out.
    pub(crate) fn ended(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// Writes down who is signed in.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn keep(&self, node: &Node) -> Result<(), covey_node::NodeError> {
        let _turn = self.keeping.lock().await;
        let now: Vec<Browser> = self.signed_in().clone();
        node.keep_browsers(now).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;

    fn sessions() -> (Sessions, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(1_000_000));
        let clock = Arc::clone(&time);
        (Sessions::new(Vec::new(), WallClock::new(move || clock.load(Ordering::SeqCst))), time)
    }

    #[test]
    fn a_session_lasts_its_time_and_not_longer() {
        let (sessions, time) = sessions();
        let cookie = sessions.begin();
        let session = sessions.find(&cookie).unwrap();
        let lifetime_ms = SESSION_LIFETIME.as_millis() as u64;
        time.fetch_add(lifetime_ms - 1, Ordering::SeqCst);
        assert!(sessions.is_open(session));
        time.fetch_add(1, Ordering::SeqCst);
        assert!(!sessions.is_open(session) && sessions.find(&cookie).is_none());
        assert!(sessions.all().is_empty());
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_and_any_can_be_signed_out() {
        let (sessions, _) = sessions();
        let cookies: Vec<_> = (0..=MAX_BROWSERS).map(|_| sessions.begin()).collect();
        assert!(sessions.find(&cookies[0]).is_none());
        let second = sessions.find(&cookies[1]).unwrap();
        assert_eq!(sessions.all().len(), MAX_BROWSERS);
        assert_eq!(sessions.end(|session| session == second), 1);
        assert!(sessions.find(&cookies[1]).is_none() && sessions.find(&cookies[2]).is_some());
        assert_eq!(sessions.end(|_| true), MAX_BROWSERS - 1);
        assert!(sessions.all().is_empty());
    }

    #[test]
    fn what_is_kept_opens_nothing_by_itself() {
        let (sessions, _) = sessions();
        let cookie = sessions.begin();
        let kept: Vec<Browser> = sessions.all().into_iter().map(|(_, browser)| browser).collect();
        let hex = blake3::Hash::from_bytes(kept[0].hash).to_hex();
        assert!(sessions.find(&hex).is_none());
        let again = Sessions::new(kept, sessions.clock.clone());
        assert!(again.find(&cookie).is_some());
    }
}

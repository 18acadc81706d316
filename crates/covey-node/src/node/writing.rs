//! How a node changes its store and its memory: together, and to the end.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use covey_engine::Engine;
use covey_store::{Tx, WriteError};

use crate::{Node, NodeError};

/// Marks the memory as stale unless the transaction that it belongs to is known to have been committed.
struct Unconfirmed {
    stale: Arc<AtomicBool>,
    armed: bool,
}

impl Drop for Unconfirmed {
    fn drop(&mut self) {
        if self.armed {
            self.stale.store(true, Ordering::Release);
        }
    }
}

impl Node {
    /// Changes store and memory together; answers when the change is on disk. Whoever looks at the memory meanwhile sees the
    /// change before it is: what is done because of what is seen, and stays, is to be decided in a change of its own.
    pub(crate) async fn write<R: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Tx<'_>, &mut Engine) -> Result<R, NodeError> + Send + 'static,
    ) -> Result<R, NodeError> {
        let (engine, stale) = (Arc::clone(&self.0.engine), Arc::clone(&self.0.stale));
        let chat = crate::chat::Projector::of(self);
        let written = self.0.store.write(move |tx| {
            let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
            if stale.swap(false, Ordering::AcqRel) {
                chat.forget();
                engine.reload(tx).inspect_err(|_| stale.store(true, Ordering::Release))?;
            }
            let mut guard = Unconfirmed { stale, armed: true };
            // What chat's records come to changes with them, whoever wrote them and wherever they are taken back.
            let change = |tx: &mut Tx<'_>| {
                let before = tx.position()?;
                let done = change(tx, &mut engine)?;
                let news = chat.project(tx, &mut engine, before)?;
                Ok::<_, NodeError>((done, news))
            };
            let outcome = catch_unwind(AssertUnwindSafe(|| tx.attempt(change)));
            if !matches!(outcome, Ok(Ok(_))) {
                // Before anybody else gets to look at it: they would act on what never came to be.
                chat.forget();
                guard.armed = engine.reload(tx).is_err();
            }
            let result = outcome.unwrap_or_else(|panic| resume_unwind(panic))?;
            Ok::<_, NodeError>((result, guard))
        });
        let failed = match written.await {
            Ok(((result, news), mut guard)) => {
                guard.armed = false;
                crate::chat::tell(self, news);
                return Ok(result);
            }
            Err(WriteError::Refused(err)) => err,
            Err(WriteError::DiskFull) => NodeError::DiskFull { home: self.0.config.home.clone() },
            Err(WriteError::Closed) => return Err(NodeError::Closing),
            Err(WriteError::Commit(err)) => NodeError::Commit(err),
            Err(err) => NodeError::Internal(err.to_string()),
        };
        self.refresh().await;
        Err(failed)
    }

    /// Reads the memory afresh if a commit failed after it had moved: readers must not see what never was.
    async fn refresh(&self) {
        if !self.0.stale.load(Ordering::Acquire) {
            return;
        }
        let (engine, stale) = (Arc::clone(&self.0.engine), Arc::clone(&self.0.stale));
        // In the writer's queue, so that it sees what is committed and nothing moves meanwhile.
        let read = self.0.store.write(move |tx| {
            let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
            stale.store(false, Ordering::Release);
            engine.reload(tx).inspect_err(|_| stale.store(true, Ordering::Release))
        });
        if let Err(err) = read.await {
            tracing::warn!(%err, "reading the memory afresh; the next write does it");
        }
    }

    /// Runs a change to its end, once it has been asked for the first time: whoever asked may be gone before it's on disk,
    /// and it must be told to everybody concerned all the same. It stands in the store's queue after the first poll.
    pub(crate) async fn to_its_end<R: Send + 'static>(
        &self,
        change: impl Future<Output = Result<R, NodeError>> + Send + 'static,
    ) -> Result<R, NodeError> {
        let mut change = Box::pin(change);
        if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(change.as_mut().poll(cx))).await {
            return done;
        }
        let ending = self.0.tasks.spawn(change);
        ending.await.unwrap_or_else(|err| Err(NodeError::Internal(err.to_string())))
    }
}

//! The end of the process, which must not come in the middle of the database's work.
//!
//! SQLCipher and the OpenSSL beneath it free what they hold when the process ends, while other threads still run: a thread
//! that works with it at that moment works with freed memory, and the process dies of a signal instead of ending.
//!
//! OpenSSL is told not to, by [`keep_openssl`]: what it holds for a thread is freed by the end of that thread too, which can't be
//! made to wait. SQLCipher can't be told. So whoever touches a connection says so with [`working`], and a handler that runs
//! before SQLCipher's waits until nobody does and lets nobody begin.

use std::{
    cell::Cell,
    ffi::{c_int, c_void},
    marker::PhantomData,
    ptr,
    sync::{Condvar, Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::Duration,
};

/// How long the end of the process waits for work on the database: longer than any commit, and than most reads.
const PATIENCE: Duration = Duration::from_secs(10);

static GATE: Gate = Gate { state: Mutex::new(State { working: 0, ending: false }), changed: Condvar::new() };

thread_local! {
    /// How many times over this thread is at work: what it began before the end it may finish.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Threads at work.
    working: usize,
    ending: bool,
}

/// This thread works with a connection, for as long as this lives.
#[must_use]
pub(crate) struct Working(PhantomData<*const ()>);

/// Begins to work with connections: uses, makes or drops them. Does not return once the process is ending.
pub(crate) fn working() -> Working {
    let depth = DEPTH.get();
    if depth == 0 {
        GATE.enter();
    }
    DEPTH.set(depth + 1);
    Working(PhantomData)
}

impl Drop for Working {
    fn drop(&mut self) {
        let depth = DEPTH.get() - 1;
        DEPTH.set(depth);
        if depth == 0 {
            GATE.state().working -= 1;
            GATE.changed.notify_all();
        }
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) {
        let mut state = self.state();
        while state.ending {
            drop(state);
            thread::park();
            state = self.state();
        }
        state.working += 1;
    }

    fn shut(&self) {
        let mut state = self.state();
        state.ending = true;
        // Nothing more can be done for work that takes longer.
        drop(self.changed.wait_timeout_while(state, PATIENCE, |state| state.working > 0));
    }
}

/// `OPENSSL_INIT_NO_ATEXIT` of OpenSSL's `crypto.h`: nothing is freed when the process ends.
const OPENSSL_INIT_NO_ATEXIT: u64 = 0x0008_0000;

#[expect(unsafe_code, reason = "nothing safe tells OpenSSL so without linking its TLS")]
unsafe extern "C" {
    /// Of the OpenSSL that SQLCipher is built with.
    fn OPENSSL_init_crypto(opts: u64, settings: *const c_void) -> c_int;
}

/// Has OpenSSL keep what it holds until the process is gone. To be called before SQLCipher's first use, which is OpenSSL's
/// first too: what is said then counts.
pub(crate) fn keep_openssl() {
    // SAFETY: as crypto.h declares it; no settings are given, and it may be called by any thread at any time.
    #[expect(unsafe_code, reason = "a function of C")]
    let done = unsafe { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, ptr::null()) };
    if done != 1 {
        tracing::warn!("OpenSSL did not start as it was told to");
    }
}

/// Makes the end of the process wait. To be called when SQLCipher and OpenSSL are already in use: handlers run last
/// registered first, and theirs are registered by their first use.
pub(crate) fn wait_for_work() {
    static REGISTERED: Once = Once::new();
    extern "C" fn at_exit() {
        GATE.shut();
    }
    REGISTERED.call_once(|| {
        // SAFETY: registers a function of the right type that lives as long as the program and does not unwind.
        #[expect(
            unsafe_code,
            reason = "there is no safe way to run something before the handlers of C libraries"
        )]
        let failed = unsafe { libc::atexit(at_exit) };
        if failed != 0 {
            tracing::warn!("the system takes no handler for the end of the process");
        }
    });
}

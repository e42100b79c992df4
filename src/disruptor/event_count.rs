//! The bell on which threads sleep until a sequence moves.
//!
//! The publishing side pays one fence and one load while nobody sleeps. Protocol, with the two
//! fences ordered one way or the other:
//!
//! ```text
//! sleeper                          publisher
//! waiters += 1                     sequence = new (Release)
//! seen = epoch                     fence(SeqCst)
//! fence(SeqCst)                    if waiters != 0 { epoch += 1; wake all }
//! if not ready { sleep while epoch == seen }
//! ```
//!
//! Either the sleeper's second look sees the new sequence or the publisher sees the sleeper; and a
//! publisher that moved the epoch after `seen` was read keeps the sleeper from falling asleep.
//! Source: the event count of Reed and Kanodia (1979), in the futex form that Vyukov describes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use super::sync::{AtomicU32, Futex, Mutex, Ordering, fence};

pub(crate) struct EventCount {
    /// Threads that sleep or are about to, plus wakers that are registered.
    waiters: AtomicU32,
    epoch: Futex,
    wakers: Mutex<Vec<Waker>>,
}

impl EventCount {
    pub(crate) fn new() -> Self {
        Self { waiters: AtomicU32::new(0), epoch: Futex::new(), wakers: Mutex::new(Vec::new()) }
    }

    /// Sleeps until a signal, unless `ready` holds already. May return early without a reason.
    pub(crate) fn wait(&self, ready: impl FnOnce() -> bool, timeout: Option<Duration>) {
        // Relaxed suffices for the count: the fence below orders it before the second look.
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // Acquire pairs with the Release in `Futex::advance_and_wake`.
        let seen = self.epoch.load(Ordering::Acquire);
        // Pairs with the fence in `signal`.
        fence(Ordering::SeqCst);
        if !ready() {
            self.epoch.wait(seen, timeout);
        }
        // Relaxed: a publisher that reads the old count makes one needless wake-up.
        self.waiters.fetch_sub(1, Ordering::Relaxed);
    }

    /// Has `waker` called at the next signal, unless `ready` holds already; says whether it will be.
    pub(crate) fn register(&self, waker: &Waker, ready: impl FnOnce() -> bool) -> bool {
        {
            let mut wakers = self.wakers.lock();
            if !wakers.iter().any(|known| known.will_wake(waker)) {
                wakers.push(waker.clone());
                // Relaxed: as in `wait`.
                self.waiters.fetch_add(1, Ordering::Relaxed);
            }
        }
        // Pairs with the fence in `signal`.
        fence(Ordering::SeqCst);
        !ready()
    }

    /// Wakes whoever waits. Call it after the store that they wait for.
    #[inline]
    pub(crate) fn signal(&self) {
        // Pairs with the fence in `wait` and `register`.
        fence(Ordering::SeqCst);
        // Relaxed: the fence has ordered this load after the caller's store.
        if self.waiters.load(Ordering::Relaxed) != 0 {
            self.notify();
        }
    }

    /// Wakes whoever waits, without looking whether anybody does.
    #[cold]
    pub(crate) fn notify(&self) {
        self.epoch.advance_and_wake();
        let woken = std::mem::take(&mut *self.wakers.lock());
        if !woken.is_empty() {
            // Relaxed: as in `wait`.
            self.waiters.fetch_sub(woken.len() as u32, Ordering::Relaxed);
            for waker in woken {
                // A waker is foreign code. Its panic has been printed, and concerns neither this thread
                // nor the other wakers; its payload is foreign too, and is better not dropped here.
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                    std::mem::forget(panic);
                }
            }
        }
    }
}

//! The bell on which threads sleep until a sequence moves.
//!
//! The publishing side pays one load while nobody sleeps, and a fence where the sleeper cannot pay for
//! both of them. Protocol, with the two fences ordered one way or the other:
//!
//! ```text
//! sleeper                          publisher
//! waiters += 1                     sequence = new (Release)
//! seen = epoch                     fence(SeqCst)
//! fence(SeqCst)                    if waiters != 0 { epoch += 1; wake all }
//! if not ready { sleep while epoch == seen }
//! ```
//!
//! With `membarrier` the sleeper's fence is one on all threads, the publisher's included, wherever
//! that one is: it takes the place of both. Loom knows no such barrier; its models have the fences.
//!
//! Either the sleeper's second look sees the new sequence or the publisher sees the sleeper; and a
//! publisher that moved the epoch after `seen` was read keeps the sleeper from falling asleep.
//! Source: the event count of Reed and Kanodia (1979), in the futex form that Vyukov describes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use super::sync::{AtomicU32, Futex, Mutex, Ordering, compiler_fence, fence};
use crate::sys::membarrier;

pub(crate) struct EventCount {
    /// Whether sleepers use `membarrier`, so that publishers need no fence.
    is_asymmetric: bool,
    /// Threads that sleep or are about to, plus wakers that are registered.
    waiters: AtomicU32,
    epoch: Futex,
    wakers: Mutex<Vec<Waker>>,
}

impl EventCount {
    /// `spares_publishers` has sleepers use `membarrier` where there is one.
    pub(crate) fn new(spares_publishers: bool) -> Self {
        Self {
            is_asymmetric: spares_publishers && !cfg!(loom) && membarrier::is_available(),
            waiters: AtomicU32::new(0),
            epoch: Futex::new(),
            wakers: Mutex::new(Vec::new()),
        }
    }

    /// The sleeper's fence, between saying that it waits and its second look.
    fn fence(&self) {
        if self.is_asymmetric {
            membarrier::barrier();
        } else {
            // Pairs with the fence in `signal`.
            fence(Ordering::SeqCst);
        }
    }

    /// Sleeps until a signal, unless `ready` holds already. May return early without a reason.
    pub(crate) fn wait(&self, ready: impl FnOnce() -> bool, timeout: Option<Duration>) {
        // Relaxed suffices for the count: the fence below orders it before the second look.
        self.waiters.fetch_add(1, Ordering::Relaxed);
        // Acquire pairs with the Release in `Futex::advance_and_wake`.
        let seen = self.epoch.load(Ordering::Acquire);
        self.fence();
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
        self.fence();
        !ready()
    }

    /// Wakes whoever waits. Call it after the store that they wait for.
    #[inline]
    pub(crate) fn signal(&self) {
        if self.is_asymmetric {
            // The CPU gets its fence from `membarrier`; the compiler is kept from moving the load up.
            compiler_fence(Ordering::SeqCst);
        } else {
            // Pairs with the fence in `fence`.
            fence(Ordering::SeqCst);
        }
        // Relaxed: one of the fences has ordered this load after the caller's store.
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

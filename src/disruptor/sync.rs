//! The one door to atomics, locks and sleeping: `std`, or `loom` under `cfg(loom)`.
//!
//! Reference counts stay `std`'s in both worlds, since no protocol here rests on them.

/// What keeps the compiler from moving accesses, and leaves the CPU alone.
pub(crate) use std::sync::atomic::compiler_fence;

#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
    thread::yield_now,
};

#[cfg(loom)]
pub(crate) use self::modelled::Mutex;
#[cfg(loom)]
pub(crate) use loom::{
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence},
    thread::{yield_now, yield_now as spin_loop},
};

/// Looks before a waiting thread reads the clock, or yields.
///
/// A model has one look less to explore with each, and no time to save.
pub(crate) const SPINS: u32 = if cfg!(loom) { 0 } else { 64 };

/// A counter that threads sleep on until it changes.
pub(crate) struct Futex {
    word: AtomicU32,
    #[cfg(loom)]
    sleepers: modelled::Sleepers,
}

impl Futex {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            #[cfg(loom)]
            sleepers: modelled::Sleepers::new(),
        }
    }

    pub(crate) fn load(&self, ordering: Ordering) -> u32 {
        self.word.load(ordering)
    }

    /// Moves the counter on and wakes all that sleep on it.
    pub(crate) fn advance_and_wake(&self) {
        // Release pairs with the Acquire load of a thread that is about to sleep: who reads the
        // new count also sees what the count announces.
        self.word.fetch_add(1, Ordering::Release);
        #[cfg(not(loom))]
        crate::sys::futex::wake_all(&self.word);
        #[cfg(loom)]
        self.sleepers.wake_all();
    }

    /// Sleeps while the counter stands at `expected`; may return early without a reason.
    #[cfg(not(loom))]
    pub(crate) fn wait(&self, expected: u32, timeout: Option<std::time::Duration>) {
        crate::sys::futex::wait(&self.word, expected, timeout);
    }

    /// Sleeps while the counter stands at `expected`. A model has no clock, so no timeout either.
    #[cfg(loom)]
    pub(crate) fn wait(&self, expected: u32, _timeout: Option<std::time::Duration>) {
        self.sleepers.sleep_while(|| self.word.load(Ordering::Acquire) == expected);
    }
}

#[cfg(loom)]
mod modelled {
    use loom::sync::{Condvar, MutexGuard};

    /// `loom`'s lock with `parking_lot`'s face.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a model that panicked has failed already")
        }
    }

    /// What the kernel keeps for a futex word.
    pub(super) struct Sleepers {
        lock: loom::sync::Mutex<()>,
        woken: Condvar,
    }

    impl Sleepers {
        pub(super) fn new() -> Self {
            Self { lock: loom::sync::Mutex::new(()), woken: Condvar::new() }
        }

        pub(super) fn wake_all(&self) {
            drop(self.lock.lock());
            self.woken.notify_all();
        }

        pub(super) fn sleep_while(&self, unchanged: impl Fn() -> bool) {
            let mut guard = self.lock.lock().expect("a model that panicked has failed already");
            while unchanged() {
                guard = self.woken.wait(guard).expect("a model that panicked has failed already");
            }
        }
    }
}

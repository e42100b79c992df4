//! How a thread that waits passes its time, and when it goes to sleep.
//!
//! It looks with pauses first, since the answer of a thread on another CPU is a few of them away.
//! Then it yields its CPU between two looks, for a while: falling asleep and being woken takes tens
//! of microseconds, so a wait that would have been shorter is better spent awake.
//!
//! Two threads that wait for each other tend to sleep both, once one was late: each then waits for
//! the other's waking. So a thread that was woken soon after it fell asleep stays awake for twice as
//! long the next time, and one that slept for long for half as long. Where nothing happens, all
//! sleep, however long they lingered before.
//! Source: Karlin, Li, Manasse, Owicki, "Empirical Studies of Competitive Spinning for a
//! Shared-Memory Multiprocessor", SOSP 1991.

use std::time::{Duration, Instant};

use super::sync::{SPINS, spin_loop, yield_now};

/// So long a thread looks without yielding. A yield that finds nobody else to run costs as much as a
/// few journeys of a cache line, and an answer takes no more than a few.
const SPIN: Duration = micros(3);

/// So long a thread stays awake, unless it has learnt better.
pub(crate) const AWAKE: Duration = micros(5);
/// And so long at most, which is what falling asleep and being woken takes on a slow machine.
const AWAKE_MAX: Duration = micros(80);

/// A model has no time, and less to explore with each look that it does without.
const fn micros(micros: u64) -> Duration {
    Duration::from_micros(if cfg!(loom) { 0 } else { micros })
}

/// One wait of one thread.
pub(crate) struct Vigil {
    /// Looks since the clock was read.
    looks: u32,
    began: Option<Instant>,
    /// When to yield.
    spin: Duration,
    yields: bool,
}

impl Vigil {
    pub(crate) fn new() -> Self {
        Self::spinning_for(SPIN)
    }

    /// Yields only after `spin`.
    pub(crate) fn spinning_for(spin: Duration) -> Self {
        Self { looks: 0, began: None, spin, yields: false }
    }

    /// Passes a little time, to be called after a look in vain. False, at once, if the wait has taken
    /// `limit` and more than a moment.
    #[inline]
    pub(crate) fn pass(&mut self, limit: Duration) -> bool {
        if self.yields {
            if self.waited() >= limit {
                return false;
            }
            yield_now();
        } else if self.looks < SPINS {
            self.looks += 1;
            spin_loop();
        } else {
            self.looks = 0;
            self.yields = self.waited() >= self.spin;
        }
        true
    }

    /// How long the wait has taken, from the first time that this was asked.
    pub(crate) fn waited(&mut self) -> Duration {
        self.began.get_or_insert_with(Instant::now).elapsed()
    }
}

/// How long a thread stays awake, learnt from its earlier waits.
#[derive(Clone, Copy)]
pub(crate) struct Linger {
    limit: Duration,
}

impl Linger {
    pub(crate) fn new() -> Self {
        Self { limit: AWAKE }
    }

    /// How long the next wait may take before the thread sleeps.
    pub(crate) fn limit(self) -> Duration {
        self.limit
    }

    /// To be called after a wait that was partly slept through, and took `waited` in all.
    pub(crate) fn slept(&mut self, waited: Duration) {
        let asleep = waited.saturating_sub(self.limit);
        let limit = if asleep <= AWAKE_MAX { self.limit * 2 } else { self.limit / 2 };
        self.limit = limit.clamp(AWAKE, AWAKE_MAX);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{AWAKE, AWAKE_MAX, Duration, Linger, SPINS, Vigil};

    #[test]
    fn a_short_wait_reads_no_clock() {
        let mut vigil = Vigil::new();
        assert!((0..SPINS).all(|_| vigil.pass(Duration::ZERO)));
        assert_eq!(vigil.began, None);
    }

    #[test]
    fn a_wait_of_no_patience_ends_once_it_yields() {
        let mut vigil = Vigil::new();
        while vigil.pass(Duration::ZERO) {}
        assert!(vigil.yields && vigil.began.is_some());
        assert!(vigil.pass(Duration::MAX));
    }

    #[test]
    fn short_sleeps_lengthen_the_linger_and_long_ones_shorten_it() {
        let mut linger = Linger::new();
        (0..10).for_each(|_| linger.slept(linger.limit() + AWAKE_MAX));
        assert_eq!(linger.limit(), AWAKE_MAX);
        linger.slept(AWAKE_MAX * 2 + Duration::from_nanos(1));
        assert_eq!(linger.limit(), AWAKE_MAX / 2);
        (0..10).for_each(|_| linger.slept(Duration::from_secs(1)));
        assert_eq!(linger.limit(), AWAKE);
    }
}

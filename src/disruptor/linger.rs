//! How a thread that waits passes its time, and when it goes to sleep.
//!
//! It looks with pauses first, since the answer of a thread on another CPU is a few of them away. If
//! waits take longer time after time, it leaves that out: the other thread may be waiting for this
//! CPU. Then it yields its CPU between two looks, for a while: falling asleep and being woken takes tens
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

/// So long a thread looks without yielding, unless it has learnt better. A yield that finds nobody else to run costs as much as a
/// few journeys of a cache line, and an answer takes no more than a few.
pub(crate) const SPIN: Duration = micros(3);

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
    sleeps: bool,
}

impl Vigil {
    /// Yields after `spin`.
    pub(crate) fn new(spin: Duration) -> Self {
        Self { looks: 0, began: None, spin, yields: spin.is_zero(), sleeps: false }
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

    /// To be called when the thread falls asleep.
    pub(crate) fn falls_asleep(&mut self) {
        self.sleeps = true;
    }

    /// How long the wait has taken, from the first time that this was asked.
    fn waited(&mut self) -> Duration {
        self.began.get_or_insert_with(Instant::now).elapsed()
    }
}

/// How a thread waits, learnt from its earlier waits.
#[derive(Clone, Copy)]
pub(crate) struct Linger {
    spin: Duration,
    awake: Duration,
}

impl Linger {
    pub(crate) fn new() -> Self {
        Self { spin: SPIN, awake: AWAKE }
    }

    /// Begins a wait.
    pub(crate) fn vigil(self) -> Vigil {
        Vigil::new(self.spin)
    }

    /// How long a wait may take before the thread sleeps.
    pub(crate) fn awake(self) -> Duration {
        self.awake
    }

    /// To be called after a wait that was not in vain.
    #[inline]
    pub(crate) fn learn(&mut self, mut vigil: Vigil) {
        if vigil.yields {
            self.learn_from(vigil.waited(), vigil.sleeps);
        }
    }

    #[cold]
    fn learn_from(&mut self, waited: Duration, slept: bool) {
        let spin = if waited <= 2 * SPIN { SPIN } else { self.spin / 2 };
        self.spin = if spin < SPIN / 8 { Duration::ZERO } else { spin };
        if slept {
            let asleep = waited.saturating_sub(self.awake);
            let awake = if asleep <= AWAKE_MAX { self.awake * 2 } else { self.awake / 2 };
            self.awake = awake.clamp(AWAKE, AWAKE_MAX);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{AWAKE, AWAKE_MAX, Duration, Linger, SPIN, SPINS};

    #[test]
    fn a_short_wait_reads_no_clock() {
        let mut vigil = Linger::new().vigil();
        assert!((0..SPINS).all(|_| vigil.pass(Duration::ZERO)));
        assert_eq!(vigil.began, None);
    }

    #[test]
    fn a_wait_of_no_patience_ends_once_it_yields() {
        let mut vigil = Linger::new().vigil();
        while vigil.pass(Duration::ZERO) {}
        assert!(vigil.yields && vigil.began.is_some());
        assert!(vigil.pass(Duration::MAX));
    }

    #[test]
    fn short_sleeps_lengthen_the_linger_and_long_ones_shorten_it() {
        let mut linger = Linger::new();
        (0..10).for_each(|_| linger.learn_from(linger.awake() + AWAKE_MAX, true));
        assert_eq!(linger.awake(), AWAKE_MAX);
        linger.learn_from(AWAKE_MAX * 2 + Duration::from_nanos(1), true);
        assert_eq!(linger.awake(), AWAKE_MAX / 2);
        (0..10).for_each(|_| linger.learn_from(Duration::from_secs(1), true));
        assert_eq!(linger.awake(), AWAKE);
    }

    #[test]
    fn long_waits_leave_out_the_spinning_until_one_is_short() {
        let mut linger = Linger::new();
        (0..10).for_each(|_| linger.learn_from(3 * SPIN, false));
        assert!(linger.vigil().yields);
        linger.learn_from(2 * SPIN, false);
        assert!(!linger.vigil().yields);
        assert_eq!(linger.awake(), AWAKE, "it never slept");
    }
}

//! How soon a consumer looks for more events.
//!
//! A look takes the cache lines of the newest event and of its announcement away from the producer,
//! whose next stores wait until they are back. A consumer at the heels of a busy producer therefore
//! slows both down: it looks often, finds a few events each time, and stays where it is. If it lets
//! events gather first, it looks seldom.
//!
//! So a consumer pauses if it finds events at each look, but few, and longer from look to look as
//! long as that lets it find more: where events come slowly, a pause gathers nothing and only makes
//! them wait. A look in vain ends it, so an event that comes alone is taken at once.

use super::sync::spin_loop;

/// The longest pause, in pauses of the CPU: about 1.5 microseconds. While events come so fast that the
/// consumer never looks in vain, an event may wait for so long.
///
/// A model has no cache lines, and one path less to explore without pauses.
const PAUSES_MAX: u32 = if cfg!(loom) { 0 } else { 127 };

/// So many slots must there be for each pause, lest the ring fills up while the consumer pauses.
const SLOTS_PER_PAUSE: u64 = 8;

/// A longer pause is worth while only where it gathers an event in so many pauses: where events come
/// at more than about 20 million a second.
const PAUSES_PER_EVENT: u64 = 4;

/// So many events are worth a look, in rings that are large enough to gather them.
const DEPTH_ENOUGH: u64 = 1024;

pub(crate) struct Pace {
    /// Before the next look.
    pauses: u32,
    pauses_max: u32,
    enough: u64,
}

impl Pace {
    pub(crate) fn new(capacity: u64) -> Self {
        let pauses_max = (capacity / SLOTS_PER_PAUSE).min(u64::from(PAUSES_MAX)) as u32;
        Self { pauses: 0, pauses_max, enough: DEPTH_ENOUGH.min(capacity / 8) }
    }

    /// To be called when `depth` events were found and some of them are done, before looking again.
    #[inline]
    pub(crate) fn found(&mut self, depth: u64) {
        if depth < self.enough {
            (0..self.pauses).for_each(|_| spin_loop());
            let is_worth_while = PAUSES_PER_EVENT * depth >= u64::from(self.pauses);
            self.pauses =
                if is_worth_while { (2 * self.pauses + 1).min(self.pauses_max) } else { self.pauses / 2 };
        }
    }

    /// To be called after a look in vain.
    pub(crate) fn found_nothing(&mut self) {
        self.pauses = 0;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{DEPTH_ENOUGH, PAUSES_MAX, Pace};

    #[test]
    fn pauses_grow_while_looks_find_little_and_end_with_a_look_in_vain() {
        let mut pace = Pace::new(1 << 16);
        assert_eq!(pace.pauses, 0, "the first event after a wait is followed by a look at once");
        for pauses in [1, 3, 7, 15, 31, 63, PAUSES_MAX, PAUSES_MAX] {
            pace.found(DEPTH_ENOUGH - 1);
            assert_eq!(pace.pauses, pauses);
        }
        pace.found_nothing();
        assert_eq!(pace.pauses, 0);
    }

    #[test]
    fn pauses_that_gather_nothing_stay_short() {
        let mut pace = Pace::new(1 << 16);
        (0..100).for_each(|_| pace.found(1));
        assert!(pace.pauses <= 7, "{} pauses for each event", pace.pauses);
    }

    #[test]
    fn a_deep_look_and_a_small_ring_cause_no_pause() {
        let pauses_after = |capacity, depth| {
            let mut pace = Pace::new(capacity);
            pace.found(depth);
            pace.pauses
        };
        assert_eq!(pauses_after(1 << 16, DEPTH_ENOUGH), 0);
        assert_eq!(pauses_after(4, 1), 0);
        assert_eq!(pauses_after(64, 7), 1);
    }

    #[test]
    fn a_small_ring_has_short_pauses() {
        let mut pace = Pace::new(64);
        (0..10).for_each(|_| pace.found(7));
        assert_eq!(pace.pauses, 8);
    }
}

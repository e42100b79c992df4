//! How several producers keep out of each other's way.
//!
//! Producers that publish at the same time pull the claim counter's cache line to and fro, and those
//! of the slots with it, so each claim takes as long as a line's journey. One producer alone keeps
//! the lines and is several times as fast. So a producer that finds, again and again and in no time,
//! that others claim between its own claims rests for a moment after it has published, and lets
//! them have the lines. The rests differ in length, lest all rest together.
//!
//! A producer that publishes now and then never rests, whatever the others do.
//! Source: the idea of Anderson, "The Performance of Spin Lock Alternatives for Shared-Memory
//! Multiprocessors", 1990, turned from a lock to a counter that needs no lock.

use std::time::{Duration, Instant};

use super::sync::spin_loop;

/// So many interruptions in a row, each soon after the last, are a contest.
const INTERRUPTIONS: u32 = 4;

/// Soon, for all of them together: a claim in a contest takes less than a quarter of it.
const CONTEST: Duration = Duration::from_micros(2);

/// The shortest rest, in pauses of the CPU; the longest is nearly three times as long, about 4 us.
///
/// A model has no cache lines, and one path less to explore without rests.
const PAUSES: u32 = if cfg!(loom) { 0 } else { 128 };

pub(crate) struct Backoff {
    /// The end of this producer's last claim.
    claimed: u64,
    interruptions: u32,
    /// When the interruptions were last counted from none.
    since: Instant,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { claimed: 0, interruptions: 0, since: Instant::now() }
    }

    /// Where this producer's next claim starts, if nobody claims in between.
    #[inline]
    pub(crate) fn last_claimed(&self) -> u64 {
        self.claimed
    }

    /// To be called with each claim.
    #[inline]
    pub(crate) fn claimed(&mut self, first: u64, end: u64) {
        self.interruptions += u32::from(first != self.claimed);
        self.claimed = end;
    }

    /// To be called after each publication. Rests if there is a contest.
    #[inline]
    pub(crate) fn published(&mut self) {
        if self.interruptions >= INTERRUPTIONS {
            let pauses = self.rest(Instant::now());
            (0..pauses).for_each(|_| spin_loop());
            if pauses > 0 {
                self.since = Instant::now();
            }
        }
    }

    /// How long to rest, in pauses, if the interruptions end `now`.
    #[cold]
    fn rest(&mut self, now: Instant) -> u32 {
        let lasted = now.saturating_duration_since(self.since);
        (self.interruptions, self.since) = (0, now);
        if lasted >= CONTEST {
            return 0;
        }
        // Fibonacci hashing: claims that lie side by side lead to different rests.
        let spread = self.claimed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        PAUSES + (spread as u32) % (2 * PAUSES).max(1)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{Backoff, CONTEST, INTERRUPTIONS, PAUSES};

    #[test]
    fn claims_in_a_row_are_no_interruption() {
        let mut backoff = Backoff::new();
        (0..100).for_each(|sequence| backoff.claimed(sequence, sequence + 1));
        assert_eq!(backoff.interruptions, 0);
        (200..300).for_each(|sequence| backoff.claimed(2 * sequence, 2 * sequence + 1));
        assert_eq!(backoff.interruptions, 100);
    }

    #[test]
    fn a_contest_leads_to_rests_of_different_length() {
        let mut backoff = Backoff::new();
        let rests: Vec<u32> = (0..8)
            .map(|round| {
                backoff.claimed(100 * round, 100 * round + 1);
                backoff.interruptions = INTERRUPTIONS;
                let soon = backoff.since + CONTEST / 2;
                backoff.rest(soon)
            })
            .collect();
        assert!(rests.iter().all(|rest| (PAUSES..3 * PAUSES).contains(rest)), "{rests:?}");
        assert!(rests.windows(2).any(|pair| pair[0] != pair[1]), "{rests:?}");
        assert_eq!(backoff.interruptions, 0);
    }

    #[test]
    fn interruptions_that_take_their_time_lead_to_no_rest() {
        let mut backoff = Backoff::new();
        backoff.interruptions = INTERRUPTIONS;
        let late = backoff.since + CONTEST;
        assert_eq!(backoff.rest(late), 0);
        assert_eq!((backoff.interruptions, backoff.since), (0, late));
    }
}

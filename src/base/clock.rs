//! Two readings of the time: the date, and the time that has passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The system's clock, or one that stands still until it is moved by hand.
///
/// Clones read the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// Microseconds since 1970 that a clock moved by hand shows.
    by_hand: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self { started: Instant::now(), by_hand: None }
    }

    /// A clock that shows this many microseconds since 1970 until [`advance`](Self::advance) moves it.
    pub fn by_hand(unix_micros: u64) -> Self {
        Self { started: Instant::now(), by_hand: Some(Arc::new(AtomicU64::new(unix_micros))) }
    }

    /// Moves a clock that is moved by hand; the system's clock goes on by itself.
    pub fn advance(&self, by: Duration) {
        if let Some(micros) = &self.by_hand {
            // Relaxed, here and below: a clock's reading publishes nothing else.
            micros.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
        }
    }

    /// The date: microseconds since 1970-01-01 00:00 UTC. May jump when the system's date is set.
    pub fn unix_micros(&self) -> u64 {
        match &self.by_hand {
            Some(micros) => micros.load(Ordering::Relaxed),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64),
        }
    }

    /// A reading that never goes backwards, to be compared with others of the same clock.
    pub fn monotonic(&self) -> Duration {
        match &self.by_hand {
            Some(micros) => Duration::from_micros(micros.load(Ordering::Relaxed)),
            None => self.started.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use std::time::Duration;

    #[test]
    fn a_clock_by_hand_stands_still_until_it_is_moved() {
        let clock = Clock::by_hand(5);
        let other = clock.clone();
        assert_eq!((clock.unix_micros(), clock.monotonic()), (5, Duration::from_micros(5)));
        clock.advance(Duration::from_millis(1));
        assert_eq!((other.unix_micros(), other.monotonic()), (1005, Duration::from_micros(1005)));
    }
}

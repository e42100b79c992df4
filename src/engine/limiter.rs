//! A token bucket: so many per second, and as many again saved up from quiet times.

use std::time::Duration;

use parking_lot::Mutex;

/// Lets `per_second` things through, and after a pause up to one second's worth at once.
///
/// Source: the token bucket of RFC 2697 with one rate and a burst of one second.
#[derive(Debug)]
pub struct Limiter {
    per_second: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: f64,
    at: Duration,
}

impl Limiter {
    /// No limit if `per_second` is 0.
    pub fn new(per_second: u64, now: Duration) -> Self {
        Self { per_second, state: Mutex::new(State { tokens: per_second as f64, at: now }) }
    }

    /// Takes `count` tokens. More than one second's worth are let through from a full bucket, which they leave in
    /// debt, so that a large batch is slow instead of impossible.
    ///
    /// Errors: how long to wait until they could be taken.
    pub fn take(&self, count: u64, now: Duration) -> Result<(), Duration> {
        if self.per_second == 0 {
            return Ok(());
        }
        let rate = self.per_second as f64;
        let mut state = self.state.lock();
        let passed = now.saturating_sub(state.at).as_secs_f64();
        state.tokens = (state.tokens + passed * rate).min(rate);
        state.at = state.at.max(now);
        let missing = (count as f64).min(rate) - state.tokens;
        // A bucket that was filled by fractions may be short of one by a rounding error.
        if missing > 1e-6 {
            return Err(Duration::from_secs_f64(missing / rate));
        }
        state.tokens -= count as f64;
        Ok(())
    }

    /// Puts back what was taken and not used.
    pub fn put_back(&self, count: u64) {
        self.state.lock().tokens += count as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::Limiter;
    use std::time::Duration;

    #[test]
    fn a_second_gives_its_tokens_and_no_more() {
        let limiter = Limiter::new(10, Duration::ZERO);
        let second = Duration::from_secs(1);
        assert!(limiter.take(10, Duration::ZERO).is_ok());
        assert_eq!(limiter.take(1, Duration::ZERO), Err(second / 10));
        assert!(limiter.take(5, second / 2).is_ok());
        assert!(limiter.take(1, second / 2).is_err());
        limiter.put_back(1);
        assert!(limiter.take(1, second / 2).is_ok());
        // A long pause saves up one second's worth.
        assert!(limiter.take(10, 100 * second).is_ok());
        assert!(limiter.take(1, 100 * second).is_err());
    }

    #[test]
    fn a_batch_above_the_rate_waits_for_a_full_bucket_and_leaves_a_debt() {
        let limiter = Limiter::new(10, Duration::ZERO);
        assert!(limiter.take(25, Duration::ZERO).is_ok());
        assert_eq!(limiter.take(1, Duration::ZERO), Err(Duration::from_millis(1600)));
        assert!(Limiter::new(0, Duration::ZERO).take(u64::MAX, Duration::ZERO).is_ok());
    }
}

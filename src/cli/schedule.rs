//! When what is sent at a rate is meant to be sent, whatever becomes of it.
//!
//! A schedule goes on while a sender is late. A latency that begins at the intended time therefore holds the wait of
//! everything that a stall has kept from being sent. Source: Tene, "How NOT to Measure Latency" (coordinated omission).

use std::thread;
use std::time::{Duration, Instant};

/// Batches at even distances, dealt out to the senders in turn.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Events per second of all senders, at least 1.
    pub rate: u64,
    /// Events of a batch.
    pub batch: u64,
    pub senders: u64,
}

const NANOS: u128 = 1_000_000_000;
/// A sleep ends late by the kernel's slack; what is left is passed awake.
const AWAKE: Duration = Duration::from_micros(200);
/// How long it may take until somebody who waits sees that all is over.
const NAP_MAX: Duration = Duration::from_millis(20);

impl Schedule {
    /// When a sender's batch of this number, from 0, is meant to be sent, after the start.
    pub fn due(&self, sender: u64, number: u64) -> Duration {
        let batches = u128::from(number) * u128::from(self.senders) + u128::from(sender);
        let nanos = batches * u128::from(self.batch) * NANOS / u128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many of a sender's batches are meant to be sent before `end`.
    pub fn due_before(&self, sender: u64, end: Duration) -> u64 {
        let all = (end.as_nanos() * u128::from(self.rate)).div_ceil(NANOS * u128::from(self.batch));
        let own = all.saturating_sub(u128::from(sender)).div_ceil(u128::from(self.senders));
        u64::try_from(own).unwrap_or(u64::MAX)
    }
}

/// Waits until `due` after `start`, or until `is_over`.
pub fn wait_until(start: Instant, due: Duration, is_over: impl Fn() -> bool) {
    while !is_over() {
        let left = due.saturating_sub(start.elapsed());
        if left.is_zero() {
            return;
        }
        match left.checked_sub(AWAKE) {
            Some(nap) => thread::sleep(nap.min(NAP_MAX)),
            None => thread::yield_now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use std::time::Duration;

    #[test]
    fn batches_come_at_even_distances_and_the_senders_take_turns() {
        let schedule = Schedule { rate: 1000, batch: 10, senders: 2 };
        let due: Vec<u128> =
            (0..3).flat_map(|number| [0, 1].map(|sender| schedule.due(sender, number).as_millis())).collect();
        assert_eq!(due, [0, 10, 20, 30, 40, 50]);
        let odd = Schedule { rate: 3, batch: 1, senders: 1 };
        assert_eq!(odd.due(0, 3_000_000), Duration::from_secs(1_000_000), "no error adds up");
        assert_eq!(odd.due(0, u64::MAX), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn what_is_due_before_an_end_is_what_has_its_time_before_it() {
        for schedule in
            [Schedule { rate: 7, batch: 3, senders: 4 }, Schedule { rate: 1, batch: 1, senders: 1 }]
        {
            for end in [0, 1, 999, 1000, 1001, 12_345].map(Duration::from_millis) {
                for sender in 0..schedule.senders {
                    let due = schedule.due_before(sender, end);
                    assert!(due == 0 || schedule.due(sender, due - 1) < end, "{schedule:?} {end:?}");
                    assert!(schedule.due(sender, due) >= end, "{schedule:?} {end:?}");
                }
            }
        }
    }
}

//! How long one event is on its way, by two measures.
//!
//! Both read the CPU's time stamp counter, since the time of the system costs as much as an event.

use std::sync::{Arc, Mutex};
use std::thread;

use hdrhistogram::Histogram;
use quanta::Clock;

use crate::machine::{Cpus, pin};
use crate::scenario::Wait;

/// Nanoseconds. Longer ones count as this: a minute.
const LATENCY_MAX: u64 = 60_000_000_000;
/// Between two round trips.
pub const PAUSE_NANOS: u64 = 1_000;
/// One trip or event in so many comes before those that count, while caches are cold.
const WARM_UP: u64 = 10;
/// From the start of a paced producer to its first event, for its consumer to get ready.
const HEAD_START_NANOS: u64 = 1_000_000;

pub type Latencies = Histogram<u64>;

/// The reading of the clock once what was read before has arrived. Without a fence the CPU may read its
/// counter while the event is still on its way.
#[inline]
fn time_of_arrival(clock: &Clock) -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every CPU of this kind has the instruction.
    unsafe {
        std::arch::x86_64::_mm_lfence();
    }
    clock.raw()
}

/// With three significant digits.
pub fn latencies() -> Latencies {
    Histogram::new_with_max(LATENCY_MAX, 3).expect("the bounds are in range")
}

/// Round trips: an event goes to the other thread, which sends it back.
pub struct PingPong {
    pub capacity: usize,
    pub wait: Wait,
    pub cpus: Option<Cpus>,
    trips: u64,
    result: Arc<Mutex<Option<Latencies>>>,
}

impl PingPong {
    pub fn new(trips: u64, capacity: usize, wait: Wait, cpus: Option<Cpus>) -> Self {
        Self { capacity, wait, cpus, trips, result: Arc::default() }
    }

    /// All round trips, warm-up and all.
    pub fn rounds(&self) -> u64 {
        self.trips + self.trips / WARM_UP
    }

    /// The side that measures.
    pub fn pinger(&self) -> Pinger {
        Pinger {
            clock: Clock::new(),
            sent: 0,
            trip: 0,
            rounds: self.rounds(),
            first: self.trips / WARM_UP,
            latencies: latencies(),
            result: Arc::clone(&self.result),
        }
    }

    /// For peers whose sides are loops: `trip` sends an event and returns what comes back.
    pub fn drive(&self, mut trip: impl FnMut(u64) -> u64) {
        let mut pinger = self.pinger();
        let mut ping = pinger.first();
        while let Some(value) = ping {
            let pong = trip(value);
            ping = pinger.next(pong);
        }
    }

    /// The round trips' times, in nanoseconds.
    pub fn latencies(&self) -> Result<Latencies, String> {
        self.result
            .lock()
            .expect("nobody panics")
            .take()
            .ok_or_else(|| "events got lost on the way".to_owned())
    }
}

/// Sends pings and takes pongs, one after the other.
pub struct Pinger {
    clock: Clock,
    sent: u64,
    trip: u64,
    rounds: u64,
    first: u64,
    latencies: Latencies,
    result: Arc<Mutex<Option<Latencies>>>,
}

impl Pinger {
    /// The first event to send, at once.
    pub fn first(&mut self) -> Option<u64> {
        self.sent = self.clock.raw();
        Some(self.trip)
    }

    /// Takes what came back. The next event to send, at once; `None` after the last round trip.
    #[inline]
    pub fn next(&mut self, pong: u64) -> Option<u64> {
        let came = time_of_arrival(&self.clock);
        if pong != self.trip {
            return None;
        }
        if self.trip >= self.first {
            self.latencies.saturating_record(self.clock.delta_as_nanos(self.sent, came));
        }
        self.trip += 1;
        if self.trip == self.rounds {
            *self.result.lock().expect("nobody panics") = Some(self.latencies.clone());
            return None;
        }
        loop {
            let now = self.clock.raw();
            if self.clock.delta_as_nanos(came, now) >= PAUSE_NANOS {
                self.sent = now;
                return Some(self.trip);
            }
        }
    }
}

/// One way: events come at a fixed rate, and a late one counts from when it was due.
///
/// Source: Tene, "How NOT to Measure Latency": a producer that is held up must not hide what its events
/// would have suffered (coordinated omission).
pub struct Paced {
    pub capacity: usize,
    pub wait: Wait,
    pub cpus: Option<Cpus>,
    pub events: u64,
    rate: u64,
    clock: Clock,
    result: Arc<Mutex<Option<Latencies>>>,
}

impl Paced {
    pub fn new(rate: u64, events: u64, capacity: usize, wait: Wait, cpus: Option<Cpus>) -> Self {
        Self { capacity, wait, cpus, events, rate, clock: Clock::new(), result: Arc::default() }
    }

    /// Has `publish` called for each event when it is due, on a thread of its own, with the time that it is
    /// to carry. On return, `publish` is dropped.
    pub fn drive(&self, mut publish: impl FnMut(u64) + Send) {
        thread::scope(|scope| {
            scope.spawn(move || {
                pin(self.cpus.map(|cpus| cpus.producer));
                let start = self.clock.raw();
                for event in 0..self.events {
                    let due = self.stamp(start, HEAD_START_NANOS + event * 1_000_000_000 / self.rate);
                    while self.clock.raw() < due {}
                    publish(due);
                }
            });
        });
    }

    /// The reading of the clock `nanos` after `start`.
    fn stamp(&self, start: u64, nanos: u64) -> u64 {
        let (low, high) = (self.clock.delta_as_nanos(0, 1 << 32), 1_u64 << 32);
        start + (u128::from(nanos) * u128::from(high) / u128::from(low)) as u64
    }

    /// For the consumer, which drops it at the end.
    pub fn sink(&self) -> Arrivals {
        Arrivals {
            clock: self.clock.clone(),
            count: 0,
            first: self.events / WARM_UP,
            events: self.events,
            latencies: latencies(),
            result: Arc::clone(&self.result),
        }
    }

    /// From when each event was due until it was handled, in nanoseconds.
    pub fn latencies(&self) -> Result<Latencies, String> {
        self.result
            .lock()
            .expect("nobody panics")
            .take()
            .ok_or_else(|| "events got lost on the way".to_owned())
    }
}

/// Takes the events of a paced producer. Two cache lines of its own, as [`Sink`](crate::lap::Sink).
#[repr(align(128))]
pub struct Arrivals {
    clock: Clock,
    count: u64,
    first: u64,
    events: u64,
    latencies: Latencies,
    result: Arc<Mutex<Option<Latencies>>>,
}

impl Arrivals {
    #[inline]
    pub fn take(&mut self, due: u64) {
        let nanos = self.clock.delta_as_nanos(due, time_of_arrival(&self.clock));
        if self.count >= self.first {
            self.latencies.saturating_record(nanos);
        }
        self.count += 1;
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        if self.count == self.events {
            *self.result.lock().expect("nobody panics") = Some(self.latencies.clone());
        }
    }
}

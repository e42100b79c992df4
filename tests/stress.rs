//! Every event once and in order, through each topology, with each wait strategy, on tiny rings and
//! with more threads than CPUs; and nobody left waiting when a disruptor ends.
//!
//! `BADBATCH_STRESS_EVENTS` sets the events of each run on a tiny ring; a larger ring gets more.

#[path = "stress/ends.rs"]
mod ends;
#[path = "stress/topologies.rs"]
mod topologies;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use badbatch::disruptor::{
    BlockingWaitStrategy, BusySpinWaitStrategy, NamedWaitStrategy, PhasedBackoffWaitStrategy,
    SleepingWaitStrategy, TimeoutBlockingWaitStrategy, WaitStrategy, YieldingWaitStrategy,
};

type Wait = Box<dyn WaitStrategy>;
type Disruptor<P> = badbatch::Disruptor<Event, P, Wait>;
type Producer<P> = badbatch::RingBuffer<Event, P, Wait>;

/// Each wait strategy. The timeout is short, so that it passes now and then.
const STRATEGIES: &[fn() -> Wait] = &[
    || Box::new(BlockingWaitStrategy),
    || Box::new(BusySpinWaitStrategy),
    || Box::new(YieldingWaitStrategy),
    || Box::new(SleepingWaitStrategy::new(Duration::from_micros(10))),
    || Box::new(TimeoutBlockingWaitStrategy::new(Duration::from_micros(50))),
    || {
        let (spin, yields) = (Duration::from_micros(1), Duration::from_micros(5));
        Box::new(PhasedBackoffWaitStrategy::new(spin, yields, BlockingWaitStrategy))
    },
    || "phased-backoff".parse::<NamedWaitStrategy>().expect("the name is known").build(),
];

const SIZES: &[usize] = &[1, 2, 64];

/// Calls `check` for each wait strategy and each size of ring.
fn for_each_ring(check: impl Fn(Wait, usize)) {
    let (strategies, sizes) = if cfg!(miri) { (&STRATEGIES[..2], &SIZES[1..2]) } else { (STRATEGIES, SIZES) };
    for strategy in strategies {
        for &size in sizes {
            check(strategy(), size);
        }
    }
}

/// How many events go through a ring of this size.
fn events(size: usize) -> u64 {
    let default = if cfg!(miri) { 4 } else { 200 };
    let base = std::env::var("BADBATCH_STRESS_EVENTS").ok().and_then(|events| events.parse().ok());
    base.unwrap_or(default) * if size < 8 { 1 } else { 8 }
}

#[derive(Default)]
struct Event {
    /// What the producer wrote.
    value: u64,
    /// What the stages that change events have made of it. Not atomic, so that a race shows.
    changed: u64,
}

impl Event {
    fn write(&mut self, value: u64) {
        *self = Self { value, changed: 0 };
    }
}

/// What one consumer has seen, on all of its threads.
#[derive(Default)]
struct Tally {
    events: AtomicU64,
    /// The sum of a hash of each value, so that no two mistakes make it right.
    checksum: AtomicU64,
    /// Everything below has been handled. Only kept by consumers of one thread.
    reached: AtomicU64,
}

impl Tally {
    fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    fn add(&self, value: u64) {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.checksum.fetch_add(hash(value), Ordering::Relaxed);
    }

    /// Panics unless the consumer has seen `values`, each of them once.
    fn check(&self, values: impl IntoIterator<Item = u64>, of: &str) {
        let (events, checksum) =
            values.into_iter().fold((0, 0_u64), |(n, sum), value| (n + 1, sum.wrapping_add(hash(value))));
        let seen = (self.events.load(Ordering::Relaxed), self.checksum.load(Ordering::Relaxed));
        assert_eq!(seen, (events, checksum), "{of}");
    }
}

fn hash(value: u64) -> u64 {
    badbatch::base::rng::Rng::new(value).next_u64()
}

/// Gives the CPU to others until `done`.
fn yield_until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

/// Gives the CPU to others for a while, so that they fall asleep or wake up; nothing rests on it.
fn yield_for_a_while() {
    (0..if cfg!(miri) { 50 } else { 500 }).for_each(|_| std::thread::yield_now());
}

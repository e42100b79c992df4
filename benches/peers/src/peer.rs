//! What every peer implements, and the parts of a measurement that all of them share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::Instant;

use crate::machine::{Cpus, pin};
use crate::scenario::{Scenario, Share};

/// A library that moves events between threads.
pub trait Peer {
    fn name(&self) -> &'static str;

    /// Moves the events of `lap` through a new ring or channel; false if there is no such form.
    ///
    /// The consumer gives every value to [`Lap::sink`], and the producers run under [`Lap::drive`].
    /// On return, all threads have ended and the sink is dropped.
    fn run(&self, lap: &Lap) -> bool;
}

/// One scenario with one peer, once.
pub struct Lap<'s> {
    pub scenario: &'s Scenario,
    /// Where the threads run; `None` if they go where the system puts them.
    pub cpus: Option<Cpus>,
    started: OnceLock<Instant>,
    outcome: Arc<Outcome>,
}

#[derive(Default)]
struct Outcome {
    finished: OnceLock<Instant>,
    sum: AtomicU64,
}

impl<'s> Lap<'s> {
    pub fn new(scenario: &'s Scenario, cpus: Cpus) -> Self {
        let cpus = scenario.is_pinned().then_some(cpus);
        Self { scenario, cpus, started: OnceLock::new(), outcome: Arc::default() }
    }

    pub fn sink(&self) -> Sink {
        Sink { sum: 0, expected: self.scenario.sum(), outcome: Arc::clone(&self.outcome) }
    }

    /// Has each of `producers` publish its share, on a thread of its own, until all are done.
    pub fn drive<P: Send>(&self, producers: Vec<P>, publish: impl Fn(P, Share) + Sync) {
        let ready = Barrier::new(producers.len());
        thread::scope(|scope| {
            for producer in producers {
                scope.spawn(|| {
                    pin(self.cpus.map(|cpus| cpus.producer));
                    ready.wait();
                    self.started.get_or_init(Instant::now);
                    publish(producer, self.scenario.share());
                });
            }
        });
    }

    /// The nanoseconds per event, or what the consumer got instead of the right events.
    pub fn nanos(&self) -> Result<f64, String> {
        // Relaxed: the consumer's thread has been joined.
        let (sum, expected) = (self.outcome.sum.load(Ordering::Relaxed), self.scenario.sum());
        match (self.started.get(), self.outcome.finished.get()) {
            (Some(&started), Some(&finished)) if sum == expected => {
                Ok((finished - started).as_nanos() as f64 / self.scenario.events as f64)
            }
            _ => Err(format!("the events of {} sum to {sum} instead of {expected}", self.scenario.name)),
        }
    }
}

/// The handler of every peer's consumer: it adds up the values, and notes when the last one came.
pub struct Sink {
    sum: u64,
    expected: u64,
    outcome: Arc<Outcome>,
}

impl Sink {
    #[inline]
    pub fn take(&mut self, value: u64) {
        self.sum += value;
        if self.sum == self.expected {
            self.finish();
        }
    }

    #[cold]
    fn finish(&self) {
        self.outcome.finished.get_or_init(Instant::now);
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Relaxed: read after this thread was joined.
        self.outcome.sum.store(self.sum, Ordering::Relaxed);
    }
}

//! One flow through one peer, once: its clock and its sums.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Instant;

use crate::batches::{BatchSizes, Counts};
use crate::event::Event;
use crate::flow::{Flow, Share};
use crate::machine::{Cpus, pin};
use crate::scenario::Wait;

pub struct Lap<'f> {
    pub flow: &'f Flow,
    pub wait: Wait,
    /// Where the threads run; `None` if they go where the system puts them.
    pub cpus: Option<Cpus>,
    started: OnceLock<Instant>,
    /// Of each sink.
    outcomes: Mutex<Vec<Arc<Outcome>>>,
    /// Where batches are counted, in a lap that is not timed.
    batches: Option<Arc<Mutex<Counts>>>,
}

#[derive(Default)]
struct Outcome {
    finished: OnceLock<Instant>,
    sum: AtomicU64,
}

impl<'f> Lap<'f> {
    pub fn new(flow: &'f Flow, wait: Wait, cpus: Option<Cpus>) -> Self {
        Self { flow, wait, cpus, started: OnceLock::new(), outcomes: Mutex::default(), batches: None }
    }

    /// To count batches instead of the time.
    pub fn counting(flow: &'f Flow, wait: Wait, cpus: Option<Cpus>) -> Self {
        Self { batches: Some(Arc::default()), ..Self::new(flow, wait, cpus) }
    }

    /// For one consumer, if batches are to be counted.
    pub fn batch_sizes(&self) -> Option<BatchSizes> {
        self.batches.as_ref().map(BatchSizes::new)
    }

    /// Of all consumers, once they are gone.
    pub fn batches(&self) -> Option<Counts> {
        self.batches.as_ref().map(|counts| *counts.lock().expect("nobody panics"))
    }

    /// For one consumer, which drops it at the end.
    pub fn sink(&self) -> Sink {
        let outcome = Arc::<Outcome>::default();
        self.outcomes.lock().expect("nobody panics").push(Arc::clone(&outcome));
        Sink { sum: 0, expected: self.flow.sum(), outcome }
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
                    publish(producer, self.flow.share());
                });
            }
        });
    }

    /// The nanoseconds per event, or what a consumer got instead of the right events.
    pub fn nanos(&self) -> Result<f64, String> {
        let expected = self.flow.sum();
        let outcomes = self.outcomes.lock().expect("nobody panics");
        // Relaxed: the consumers' threads have been joined.
        if let Some(sum) =
            outcomes.iter().map(|outcome| outcome.sum.load(Ordering::Relaxed)).find(|sum| *sum != expected)
        {
            return Err(format!("the events sum to {sum} instead of {expected}"));
        }
        let finished = outcomes.iter().filter_map(|outcome| outcome.finished.get()).max();
        match (self.started.get(), finished) {
            (Some(&started), Some(&finished)) => {
                Ok((finished - started).as_nanos() as f64 / self.flow.events as f64)
            }
            _ => Err("nothing was published".to_owned()),
        }
    }
}

/// The handler of every peer's consumer: it adds up the words, and notes when the last event came.
///
/// Two cache lines of its own, since processors fetch pairs: no other thread's data slows a consumer down.
#[repr(align(128))]
pub struct Sink {
    sum: u64,
    expected: u64,
    outcome: Arc<Outcome>,
}

impl Sink {
    #[inline]
    pub fn take<const WORDS: usize>(&mut self, event: &Event<WORDS>) {
        self.sum += event.sum();
        if self.sum == self.expected {
            self.finish();
        }
    }

    /// Several at once.
    #[inline]
    pub fn take_slice<const WORDS: usize>(&mut self, events: &[Event<WORDS>]) {
        self.sum += events.iter().map(Event::sum).sum::<u64>();
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

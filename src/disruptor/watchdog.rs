//! Noticing a consumer that has work and does not move.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::stats::{Monitor, Stats};

/// A consumer that has had work for some time and has not moved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stall {
    /// The consumer's name.
    pub consumer: Arc<str>,
    /// Where it stands.
    pub sequence: u64,
    /// How many events wait for it.
    pub lag: u64,
    /// For how long it has stood there with work to do.
    pub lasts: Duration,
}

/// Compares the stats of one moment with those of earlier ones. It reads no clock by itself.
#[derive(Debug)]
pub struct StallDetector {
    threshold: Duration,
    /// By consumer, where it stood and since when.
    stands: HashMap<Arc<str>, (u64, Duration)>,
}

impl StallDetector {
    /// Calls a consumer stalled once it has stood still for `threshold` with work to do.
    pub fn new(threshold: Duration) -> Self {
        Self { threshold, stands: HashMap::new() }
    }

    /// Takes the stats of the moment `now`, counted from any fixed moment; the answer is the stalled
    /// consumer that is furthest behind, which is the one that holds up the others.
    pub fn observe(&mut self, stats: &Stats, now: Duration) -> Option<Stall> {
        self.stands.retain(|name, _| stats.consumers.iter().any(|consumer| consumer.name == *name));
        let mut worst: Option<Stall> = None;
        for consumer in &stats.consumers {
            let stand = self.stands.entry(Arc::clone(&consumer.name)).or_insert((consumer.sequence, now));
            if stand.0 != consumer.sequence || consumer.lag == 0 {
                *stand = (consumer.sequence, now);
            }
            let lasts = now.saturating_sub(stand.1);
            if consumer.lag > 0
                && lasts >= self.threshold
                && worst.as_ref().is_none_or(|worst| consumer.lag > worst.lag)
            {
                worst = Some(Stall {
                    consumer: Arc::clone(&consumer.name),
                    sequence: consumer.sequence,
                    lag: consumer.lag,
                    lasts,
                });
            }
        }
        worst
    }
}

/// A thread that watches a disruptor and reports stalls, until it is dropped.
pub struct Watchdog {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Looks every quarter of `threshold`, and calls `report` at each look at which some consumer has
    /// stood still for `threshold` with work to do.
    ///
    /// Errors: the system's, if there is no thread.
    pub fn spawn(
        monitor: Monitor,
        threshold: Duration,
        mut report: impl FnMut(&Stall) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            let began = Instant::now();
            let mut detector = StallDetector::new(threshold);
            let (stopped, changed) = &*stopped;
            loop {
                // The lock is not held here, so that `report` may drop the watchdog.
                if let Some(stall) = detector.observe(&monitor.stats(), began.elapsed()) {
                    report(&stall);
                }
                let mut stopped = stopped.lock();
                if !*stopped {
                    changed.wait_for(&mut stopped, threshold / 4);
                }
                if *stopped {
                    return;
                }
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != thread::current().id())
        {
            // A panic in `report` has ended the thread and has been printed.
            let _ended = thread.join();
        }
    }
}

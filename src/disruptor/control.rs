//! The life of a disruptor, and what all its threads share that does not depend on the event.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use super::error::ClaimError;
use super::event_count::EventCount;
use super::failure::Failure;
use super::gate::{Gate, Gates};
use super::producer_wait::ProducerWait;
use super::sync::{AtomicU8, AtomicU64, Mutex, Ordering};
use crate::base::deadline::Deadline;

/// Where a disruptor is in its life. It only moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Being built: events may be published, but no thread consumes.
    Fresh,
    /// Driven by a stepper, on the caller's thread.
    Stepping,
    /// Threads consume.
    Running,
    /// No new claims; consumers drain what was accepted.
    Closed,
    /// Everybody stops at once.
    Halted,
    /// Everybody stops at once, because a consumer failed.
    Poisoned,
}

const PHASES: [Phase; 6] =
    [Phase::Fresh, Phase::Stepping, Phase::Running, Phase::Closed, Phase::Halted, Phase::Poisoned];

/// What all threads of one disruptor share, whatever its events are.
pub(crate) struct Control {
    phase: AtomicU8,
    /// Tells this disruptor from all others of the process.
    pub(crate) brand: u64,
    pub(crate) capacity: u64,
    pub(crate) producer_wait: ProducerWait,
    /// Whether anybody may sleep until a consumer moves.
    pub(crate) consumers_signal: bool,
    /// Whether those who sleep pay for the fences of those who signal.
    pub(crate) spares_publishers: bool,
    pub(crate) gates: Gates,
    /// Rung at each publication, if the wait strategy parks.
    pub(crate) published: EventCount,
    failure: OnceLock<Failure>,
    /// Where the accepted events end, once that is known.
    end: AtomicU64,
    exit: Mutex<Exit>,
    exit_changed: EventCount,
}

/// What a shutdown waits for.
#[derive(Default)]
struct Exit {
    threads_running: usize,
    producer_taken: bool,
}

thread_local! {
    /// The brand of the disruptor whose handler runs on this thread; 0 is nobody's.
    static CONSUMES: Cell<u64> = const { Cell::new(0) };
}

impl Control {
    pub(crate) fn new(
        capacity: u64,
        producer_wait: ProducerWait,
        consumers_signal: bool,
        spares_publishers: bool,
    ) -> Self {
        static BRANDS: std::sync::Mutex<u64> = std::sync::Mutex::new(0);
        let brand = {
            let mut last = BRANDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *last += 1;
            *last
        };
        Self {
            phase: AtomicU8::new(Phase::Fresh as u8),
            brand,
            capacity,
            producer_wait,
            consumers_signal,
            spares_publishers,
            gates: Gates::new(),
            published: EventCount::new(spares_publishers),
            failure: OnceLock::new(),
            end: AtomicU64::new(u64::MAX),
            exit: Mutex::new(Exit::default()),
            exit_changed: EventCount::new(false),
        }
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        // Acquire pairs with the Release in `enter`: who sees the phase finds the failure behind it.
        PHASES[self.phase.load(Ordering::Acquire) as usize]
    }

    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        // Relaxed: nothing is read on its word, and a claim that misses the last move of the phase
        // is one that was made before it.
        self.phase.load(Ordering::Relaxed) == Phase::Running as u8
    }

    /// Moves on to `phase`, unless it is there or further already; says whether it moved.
    pub(crate) fn enter(&self, phase: Phase) -> bool {
        // Release pairs with the Acquire in `phase`.
        self.phase.fetch_max(phase as u8, Ordering::Release) < phase as u8
    }

    /// Why no claim can be made, if none can.
    pub(crate) fn refusal(&self) -> Option<ClaimError> {
        match self.phase() {
            Phase::Fresh | Phase::Stepping | Phase::Running => None,
            Phase::Closed => Some(ClaimError::Closed),
            Phase::Halted => Some(ClaimError::Halted),
            Phase::Poisoned => Some(self.failure().map_or(ClaimError::Closed, ClaimError::Poisoned)),
        }
    }

    /// The first failure, if there was one.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.get().cloned()
    }

    /// Stops everybody because of `failure`. Only the first failure counts.
    pub(crate) fn poison(&self, failure: Failure) {
        // The cell is set before the phase moves, so whoever sees the phase finds the failure.
        let _later_failure = self.failure.set(failure);
        self.enter(Phase::Poisoned);
        self.stop_all(0);
    }

    /// Stops everybody without draining.
    pub(crate) fn halt(&self) {
        self.enter(Phase::Halted);
        self.stop_all(0);
    }

    /// Tells every consumer that the accepted events end at `end`.
    pub(crate) fn finish_at(&self, end: u64) {
        // Relaxed: whoever needs it is rung below, or reads it for people.
        self.end.fetch_min(end, Ordering::Relaxed);
        self.stop_all(end);
    }

    /// Where the accepted events end; `u64::MAX` while that is open.
    pub(crate) fn end(&self) -> u64 {
        // Relaxed: as in `finish_at`.
        self.end.load(Ordering::Relaxed)
    }

    fn stop_all(&self, end: u64) {
        let gates = self.gates.snapshot();
        gates.iter().for_each(|gate| gate.end_at(end));
        self.ring(&gates);
    }

    /// Has one consumer stop at once.
    pub(crate) fn stop(&self, gate: &Gate) {
        gate.end_at(0);
        self.ring(&self.gates.snapshot());
    }

    /// Wakes every sleeper, so that it looks where it must stop.
    fn ring(&self, gates: &[Arc<Gate>]) {
        gates.iter().for_each(|gate| gate.moved.notify());
        self.published.notify();
    }

    /// Has a gate that joined just now stop where the others were told to stop.
    ///
    /// The join took the gates' lock after `stop_all` released it, or `stop_all` saw the gate.
    pub(crate) fn catch_up(&self, gate: &Gate) {
        match self.phase() {
            Phase::Halted | Phase::Poisoned => gate.end_at(0),
            Phase::Closed => gate.end_at(self.end()),
            Phase::Fresh | Phase::Stepping | Phase::Running => {}
        }
    }

    /// Runs `work` as a consumer of this disruptor: claims in it never wait for a full ring.
    pub(crate) fn as_consumer<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Restore(u64);
        impl Drop for Restore {
            fn drop(&mut self) {
                CONSUMES.set(self.0);
            }
        }
        let _restore = Restore(CONSUMES.replace(self.brand));
        work()
    }

    /// Whether the calling thread runs a handler of this disruptor.
    #[inline]
    pub(crate) fn on_consumer_thread(&self) -> bool {
        CONSUMES.get() == self.brand
    }

    /// Counts a thread until the guard is dropped, which the thread does as its last act.
    pub(crate) fn count_thread(self: &Arc<Self>) -> ThreadCount {
        self.exit.lock().threads_running += 1;
        ThreadCount(Arc::clone(self))
    }

    /// Waits until no thread runs; false if the deadline passes first.
    pub(crate) fn wait_for_threads(&self, deadline: Deadline) -> bool {
        self.wait_for_exit(deadline, |exit| exit.threads_running == 0)
    }

    /// Notes that the single producer lives outside of the disruptor.
    pub(crate) fn producer_taken(&self) {
        self.exit.lock().producer_taken = true;
    }

    /// Notes that the single producer will publish no more; `published` is what it has published.
    pub(crate) fn producer_retired(&self, published: u64) {
        let was_taken = std::mem::take(&mut self.exit.lock().producer_taken);
        if was_taken {
            // `close` moves the phase under the lock, so one of the two sides finishes.
            if self.phase() >= Phase::Closed {
                self.finish_at(published);
            }
            self.exit_changed.notify();
        }
    }

    /// Refuses further claims; false if the single producer is out and has yet to agree.
    pub(crate) fn close(&self) -> bool {
        let waits = {
            let exit = self.exit.lock();
            self.enter(Phase::Closed);
            // Where nothing is drained, the end does not depend on the producer.
            exit.producer_taken && self.phase() == Phase::Closed
        };
        if waits {
            // It may sleep on a full ring: have it look.
            self.stop_all(u64::MAX);
        }
        !waits
    }

    /// Waits until the single producer agrees to the close; false if the deadline passes first.
    pub(crate) fn wait_for_producer(&self, deadline: Deadline) -> bool {
        self.wait_for_exit(deadline, |exit| !exit.producer_taken)
    }

    fn wait_for_exit(&self, deadline: Deadline, done: impl Fn(&Exit) -> bool) -> bool {
        let done = || done(&self.exit.lock());
        while !done() {
            if deadline.has_passed() {
                return false;
            }
            self.exit_changed.wait(done, deadline.remaining());
        }
        true
    }
}

/// One running thread. Dropped as the thread's last act.
pub(crate) struct ThreadCount(Arc<Control>);

impl Drop for ThreadCount {
    fn drop(&mut self) {
        self.0.exit.lock().threads_running -= 1;
        self.0.exit_changed.notify();
    }
}

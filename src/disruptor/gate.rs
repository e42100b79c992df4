//! A consumer's place in the ring, and the list of places that producers must not overrun.

use std::sync::Arc;

use super::event_count::EventCount;
use super::stats::ConsumerState;
use super::sync::{AtomicU8, AtomicU64, Mutex, Ordering, fence};

/// One consumer's place, as everybody else sees it.
///
/// The consumer alone moves `sequence`. The line is its own: others read it when they look for
/// news, and write to it only to end the consumer.
#[repr(align(128))]
pub(crate) struct Gate {
    /// Every event below this is done; `Gate::LEFT` once the consumer no longer takes part.
    sequence: AtomicU64,
    /// The consumer stops here: `u64::MAX` while it runs on, 0 to stop at once.
    end: AtomicU64,
    batches: AtomicU64,
    state: AtomicU8,
    /// Rung when `sequence` moves; those that follow this consumer sleep on it.
    pub(crate) moved: EventCount,
    pub(crate) name: Arc<str>,
}

impl Gate {
    /// The sequence of a consumer that has left: it holds nobody up any more.
    pub(crate) const LEFT: u64 = u64::MAX;

    pub(crate) fn new(name: Arc<str>, spares_publishers: bool) -> Self {
        Self {
            sequence: AtomicU64::new(0),
            end: AtomicU64::new(u64::MAX),
            batches: AtomicU64::new(0),
            state: AtomicU8::new(ConsumerState::Waiting as u8),
            moved: EventCount::new(spares_publishers),
            name,
        }
    }

    /// The sequence, for a first look. Nothing may be read or overwritten on its word alone.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        // Relaxed: whoever acts on the value loads it again with `sequence`.
        self.sequence.load(Ordering::Relaxed)
    }

    /// The sequence; the consumer's accesses to the events below it have happened before.
    #[inline]
    pub(crate) fn sequence(&self) -> u64 {
        // Acquire pairs with the Release in `release`.
        self.sequence.load(Ordering::Acquire)
    }

    /// Gives up all events below `sequence`; wakes followers if `signals`.
    #[inline]
    pub(crate) fn release(&self, sequence: u64, signals: bool) {
        // Release pairs with the Acquire in `sequence`: followers and producers see what this
        // consumer wrote, and overwrite nothing that it still reads.
        self.sequence.store(sequence, Ordering::Release);
        if signals {
            self.moved.signal();
        }
    }

    /// Stops holding anybody up, for good.
    pub(crate) fn leave(&self) {
        self.set_state(ConsumerState::Left);
        self.release(Self::LEFT, false);
        self.moved.notify();
    }

    pub(crate) fn has_left(&self) -> bool {
        // With Acquire: whoever takes its place must come after its last read.
        self.sequence() == Self::LEFT
    }

    #[inline]
    pub(crate) fn end(&self) -> u64 {
        // Acquire pairs with the Release in `end_at`: who is told to stop sees why.
        self.end.load(Ordering::Acquire)
    }

    /// Has the consumer stop at `end`, or earlier if it was told so before. Wakes nobody: the
    /// consumer may sleep on any bell, so the caller rings them all.
    pub(crate) fn end_at(&self, end: u64) {
        // Release pairs with the Acquire in `end`.
        self.end.fetch_min(end, Ordering::Release);
    }

    pub(crate) fn count_batch(&self) {
        // Relaxed, and no read-modify-write: only the consumer writes, and readers want a figure.
        let batches = self.batches.load(Ordering::Relaxed);
        self.batches.store(batches + 1, Ordering::Relaxed);
    }

    pub(crate) fn batches(&self) -> u64 {
        // Relaxed: a figure for people.
        self.batches.load(Ordering::Relaxed)
    }

    pub(crate) fn set_state(&self, state: ConsumerState) {
        // Relaxed: a figure for people.
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> ConsumerState {
        // Relaxed: a figure for people.
        ConsumerState::from_u8(self.state.load(Ordering::Relaxed))
    }
}

/// The gates that producers must not overrun: every consumer that takes part.
///
/// Joining is a Dekker protocol between a producer that claims and a consumer that joins:
///
/// ```text
/// producer                            joining consumer
/// claim slots up to c                 list = list + self
/// fence(SeqCst)                       fence(SeqCst)
/// read list; limit = min(c, list) + n start at the claimed sequence, read now
/// ```
///
/// A producer that missed the joiner has its fence first, so the joiner sees its claim and starts
/// at or above `c`, which the producer never overruns. One that saw the joiner honours its gate.
pub(crate) struct Gates {
    version: AtomicU64,
    list: Mutex<Arc<[Arc<Gate>]>>,
}

impl Gates {
    pub(crate) fn new() -> Self {
        Self { version: AtomicU64::new(0), list: Mutex::new(Arc::from([])) }
    }

    /// Adds `gate` at the sequence that `claimed` reports once producers can see the gate.
    pub(crate) fn join(&self, gate: &Arc<Gate>, claimed: impl Fn() -> u64) -> u64 {
        // At or below the final value, so that a producer which sees the gate early waits a moment
        // instead of overrunning it.
        gate.release(claimed(), false);
        self.replace(|list| list.iter().chain([gate]).map(Arc::clone).collect());
        // Pairs with the fence in `GateCache::refresh`.
        fence(Ordering::SeqCst);
        let start = claimed();
        gate.release(start, false);
        gate.moved.notify();
        start
    }

    /// Takes `gate` off the list and lets everybody pass it. Its consumer must have stopped.
    pub(crate) fn remove(&self, gate: &Arc<Gate>) {
        self.replace(|list| list.iter().filter(|other| !Arc::ptr_eq(other, gate)).map(Arc::clone).collect());
        gate.leave();
    }

    fn replace(&self, change: impl FnOnce(&[Arc<Gate>]) -> Arc<[Arc<Gate>]>) {
        let mut list = self.list.lock();
        *list = change(&list);
        // Release pairs with the Acquire in `GateCache::refresh`. The lock makes the addition
        // atomic, since every writer holds it.
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Release);
    }

    pub(crate) fn snapshot(&self) -> Arc<[Arc<Gate>]> {
        Arc::clone(&self.list.lock())
    }
}

/// A producer's own copy of the list, renewed only when the list has changed.
pub(crate) struct GateCache {
    version: u64,
    list: Arc<[Arc<Gate>]>,
}

impl GateCache {
    pub(crate) fn new() -> Self {
        Self { version: 0, list: Arc::from([]) }
    }

    /// The gates as they are now. Call it after the claim that is to be checked against them.
    pub(crate) fn refresh(&mut self, gates: &Gates) -> &[Arc<Gate>] {
        // Pairs with the fence in `Gates::join`.
        fence(Ordering::SeqCst);
        // Acquire pairs with the Release in `Gates::replace`.
        if gates.version.load(Ordering::Acquire) != self.version {
            let list = gates.list.lock();
            // Relaxed: writers hold the lock.
            self.version = gates.version.load(Ordering::Relaxed);
            self.list = Arc::clone(&list);
        }
        &self.list
    }
}

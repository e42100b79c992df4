//! A consumer without a thread: the caller asks for events when it likes.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The sequences of a batch are below what `Ring::available` answered and at or above the
//!   poller's gate, which moves only when the batch is gone. So they are published, and no producer
//!   claims them while the batch lives.
//! - (B) A poller follows every exclusive consumer, or conflicts with it before the start; so events
//!   are only read while it has them.

#![allow(unsafe_code, reason = "a batch hands out published slots")]

use std::cell::Cell;
use std::ops::Range;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::control::Phase;
use super::error::PollError;
use super::gate::Gate;
use super::linger::Linger;
use super::ring::Ring;
use super::sequencer::{MultiProducer, ProducerKind, Sequencer};
use super::wait::{WaitStrategy, Waiter};
use super::wait_strategies::BlockingWaitStrategy;
use crate::base::deadline::Deadline;

/// A consumer that is driven by its owner, inside an event loop for instance.
///
/// Producers wait for it as for any consumer, until it is dropped. Source: LMAX `EventPoller`.
///
/// ```
/// use badbatch::DisruptorBuilder;
///
/// let mut disruptor = DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>()?;
/// let mut poller = disruptor.new_poller(&[])?;
/// disruptor.start()?;
/// disruptor.ring_buffer().publish_batch(3, |slots| slots.zip(1..).for_each(|(slot, n)| *slot = n))?;
/// let sum: u64 = poller.poll()?.iter().map(|(_sequence, event)| event).sum();
/// assert_eq!(sum, 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventPoller<E, P: ProducerKind = MultiProducer, W: WaitStrategy = BlockingWaitStrategy> {
    ring: Arc<Ring<E, P, W>>,
    pub(super) gate: Arc<Gate>,
    upstream: Arc<[Arc<Gate>]>,
    next: u64,
    linger: Linger,
}

impl<E: Sync, P: ProducerKind, W: WaitStrategy> EventPoller<E, P, W> {
    pub(crate) fn new(ring: Arc<Ring<E, P, W>>, gate: Arc<Gate>, upstream: Arc<[Arc<Gate>]>) -> Self {
        let next = gate.sequence();
        Self { ring, gate, upstream, next, linger: Linger::new() }
    }

    /// All events that can be read now, or why there are none.
    pub fn poll(&mut self) -> Result<Batch<'_, E, P, W>, PollError> {
        self.take(usize::MAX)
    }

    /// As [`poll`](Self::poll), up to `max` events.
    pub fn take(&mut self, max: usize) -> Result<Batch<'_, E, P, W>, PollError> {
        let sequences = self.look(max)?;
        Ok(Batch { poller: self, sequences })
    }

    /// As [`poll`](Self::poll), but waits for an event, for at most `timeout` if there is one. Then
    /// the answer is [`PollError::Idle`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Batch<'_, E, P, W>, PollError> {
        let deadline = timeout.map_or(Deadline::NEVER, Deadline::after);
        loop {
            match self.look(usize::MAX) {
                Ok(sequences) => return Ok(Batch { poller: self, sequences }),
                Err(PollError::Idle) if !deadline.has_passed() => {}
                Err(error) => return Err(error),
            }
            let linger = Cell::new(self.linger);
            let waiter = self.waiter(&linger);
            if self.ring.wait.parks() {
                waiter.linger_and_park(deadline.remaining());
            } else {
                waiter.stay_awake(deadline);
            }
            self.linger = linger.get();
        }
    }

    /// As [`poll`](Self::poll), for a future: has the task woken when there may be something.
    ///
    /// Needs a wait strategy that parks, since the others never signal.
    pub fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<Batch<'_, E, P, W>, PollError>> {
        let sequences = loop {
            match self.look(usize::MAX) {
                Err(PollError::Idle) => {}
                result => break result,
            }
            match self.wake_when_ready(cx.waker()) {
                Ok(true) => return Poll::Pending,
                Ok(false) => {}
                Err(error) => break Err(error),
            }
        };
        Poll::Ready(sequences.map(|sequences| Batch { poller: self, sequences }))
    }

    /// Has `waker` called, once, when there may be something to poll. False: there is already, and
    /// the waker may be called or not.
    ///
    /// This is how an event loop waits for a ring: with the waker of an
    /// [`EventFd`](crate::sys::eventfd::EventFd), poll until idle, register, and sleep in `epoll` if
    /// the answer is true. It may be woken without a reason. The waker is kept until the next event,
    /// so use the same one again: each further one is kept too.
    ///
    /// Errors: [`PollError::NeverWoken`] unless the wait strategy parks.
    pub fn wake_when_ready(&self, waker: &Waker) -> Result<bool, PollError> {
        if !self.ring.wait.parks() {
            return Err(PollError::NeverWoken);
        }
        Ok(self.waiter(&Cell::new(self.linger)).register(waker))
    }

    /// The sequence of the next event that it has not read.
    pub fn sequence(&self) -> u64 {
        self.next
    }

    fn waiter<'a>(&'a self, linger: &'a Cell<Linger>) -> Waiter<'a> {
        Waiter {
            watch: self.ring.watch(&self.upstream, self.next),
            published: &self.ring.control.published,
            sequence: self.next,
            slot: self.ring.slots.slot(self.next).as_ptr().cast(),
            gate: &self.gate,
            linger,
        }
    }

    /// The events that can be read, at least one that is not skipped.
    fn look(&mut self, max: usize) -> Result<Range<u64>, PollError> {
        loop {
            let end = self.gate.end();
            if end <= self.next {
                return Err(self.why_ended());
            }
            let wanted = self.next.saturating_add(max as u64);
            let available = self.ring.available(&self.upstream, self.next, wanted).min(wanted).min(end);
            if available <= self.next {
                return Err(PollError::Idle);
            }
            let sequences = self.next..available;
            let sequencer = &self.ring.sequencer;
            if !sequencer.has_skips(self.next)
                || sequences.clone().any(|sequence| !sequencer.is_skipped(sequence))
            {
                return Ok(sequences);
            }
            self.commit(available);
        }
    }

    fn why_ended(&self) -> PollError {
        let control = &self.ring.control;
        match (control.phase(), control.failure()) {
            (Phase::Poisoned, Some(failure)) => PollError::Poisoned(failure),
            (Phase::Halted, _) => PollError::Halted,
            _ => PollError::Closed,
        }
    }

    fn commit(&mut self, end: u64) {
        self.next = end;
        self.gate.count_batch();
        self.gate.release(end, self.ring.control.consumers_signal);
    }
}

impl<E, P: ProducerKind, W: WaitStrategy> Drop for EventPoller<E, P, W> {
    fn drop(&mut self) {
        self.ring.control.gates.remove(&self.gate);
    }
}

/// Events that a poller has got. Dropping the batch lets go of all of them; if that happens by a
/// panic, the poller gets them again.
///
/// It borrows its poller, so there is one at a time:
///
/// ```compile_fail,E0499
/// # let mut disruptor = badbatch::DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>()?;
/// # let mut poller = disruptor.new_poller(&[])?;
/// let first = poller.poll()?;
/// let second = poller.poll()?; // the first one still has its events
/// first.iter().count();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// And no event outlives it:
///
/// ```compile_fail,E0505
/// # let mut disruptor = badbatch::DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>()?;
/// # let mut poller = disruptor.new_poller(&[])?;
/// let batch = poller.poll()?;
/// let event = batch.iter().next().map(|(_sequence, event)| event);
/// drop(batch);
/// println!("{event:?}"); // a producer may be writing it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Batch<'p, E: Sync, P: ProducerKind, W: WaitStrategy> {
    poller: &'p mut EventPoller<E, P, W>,
    sequences: Range<u64>,
}

impl<E: Sync, P: ProducerKind, W: WaitStrategy> Batch<'_, E, P, W> {
    /// The sequences from the first to the last event; some in between may be skipped.
    pub fn sequences(&self) -> Range<u64> {
        self.sequences.clone()
    }

    /// The events in order, each with its sequence.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &E)> {
        self.slices().flat_map(|(first, events)| (first..).zip(events))
    }

    /// The events in order, in slices that lie side by side in memory, each with the sequence of its
    /// first event.
    pub fn slices(&self) -> impl Iterator<Item = (u64, &[E])> {
        let ring = &self.poller.ring;
        let mut left = self.sequences.clone();
        let has_skips = ring.sequencer.has_skips(left.start);
        std::iter::from_fn(move || {
            if has_skips {
                left.start = left.clone().find(|&sequence| !ring.sequencer.is_skipped(sequence))?;
            }
            if left.is_empty() {
                return None;
            }
            let first = left.start;
            let mut end = first + ring.slots.contiguous(&left);
            if has_skips {
                end = (first..end).find(|&sequence| ring.sequencer.is_skipped(sequence)).unwrap_or(end);
            }
            left.start = end;
            // SAFETY: (A), (B); the slots lie side by side, and the batch outlives the slice.
            let events =
                unsafe { slice::from_raw_parts(ring.slots.slot(first).as_ptr(), (end - first) as usize) };
            Some((first, events))
        })
    }
}

impl<E: Sync, P: ProducerKind, W: WaitStrategy> Drop for Batch<'_, E, P, W> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.poller.commit(self.sequences.end);
        }
    }
}

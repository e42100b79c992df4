//! The loop of a consumer: wait, take a batch, have it handled, let it go.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The sequences of a batch are below what `Ring::available` answered: published, and released
//!   by every consumer that goes first. They are at or above this consumer's own gate, so no
//!   producer claims them again.
//! - (B) Workers of a pool claim their batches from each other, so no two have the same event.
//!
//! Source: LMAX `BatchEventProcessor`, and `WorkProcessor` of LMAX 3.4 for pools.

#![allow(unsafe_code, reason = "a batch is handed to the handler here")]

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use super::control::Phase;
use super::failure::{ExceptionHandler, Failure, FailureAction, FailureCause, HandlerError, Moment};
use super::gate::Gate;
use super::linger::Linger;
use super::pace::Pace;
use super::ring::Ring;
use super::sequencer::{ProducerKind, Sequencer};
use super::stage::{Run, Stage, StageError};
use super::stats::ConsumerState;
use super::sync::{AtomicU64, Ordering};
use super::wait::{WaitStrategy, Waited, Waiter};

/// Where one consumer, or one worker of a pool, stands in the graph.
pub(crate) struct Position<E, P: ProducerKind, W> {
    pub(crate) ring: Arc<Ring<E, P, W>>,
    pub(crate) gate: Arc<Gate>,
    /// The gates of the consumers that go first; empty if this one follows the producers.
    pub(crate) upstream: Arc<[Arc<Gate>]>,
    /// The next unclaimed event of the pool that this worker belongs to.
    pub(crate) pool: Option<Arc<CachePadded<AtomicU64>>>,
    pub(crate) batch_max: u64,
    pub(crate) exceptions: Arc<dyn ExceptionHandler<E>>,
}

/// What came of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A batch was handled.
    Worked,
    /// Nothing is there to do.
    Idle,
    /// The consumer has come to its end, or has failed.
    Ended,
}

/// A consumer with its thread, or with the stepper that stands in for one.
pub(crate) trait Runner {
    /// Has the handler start.
    fn start(&mut self) -> Result<(), Failure>;
    /// Takes turns until the end, then shuts the handler down.
    fn run(&mut self);
    /// Takes one turn.
    fn turn(&mut self) -> Turn;
    /// Shuts the handler down, once.
    fn shut_down(&mut self);
}

pub(crate) struct Processor<E, P: ProducerKind, W, S> {
    position: Position<E, P, W>,
    stage: S,
    /// The first event that is not handled yet.
    next: u64,
    /// The end of what a worker has claimed; `next` for everybody else.
    claimed: u64,
    /// The batch that is being handled; empty between two batches.
    batch: Range<u64>,
    /// How many events were seen when the batch was taken.
    depth: u64,
    /// The event that is being handled.
    at: u64,
    /// The number of events that fail with `at`.
    failing: u64,
    /// The event that failed last, and how often in a row.
    failed: (u64, u32),
    started: bool,
}

impl<E: 'static, P: ProducerKind, W: WaitStrategy, S: Stage<E>> Processor<E, P, W, S> {
    pub(crate) fn new(position: Position<E, P, W>, stage: S) -> Self {
        let next = position.gate.sequence();
        let (batch, at, failing, failed) = (next..next, next, 1, (next, 0));
        Self { position, stage, next, claimed: next, batch, depth: 0, at, failing, failed, started: false }
    }

    /// Takes turns and waits in between, until the end or a failure.
    fn work(&mut self) -> Result<(), StageError> {
        let mut pace = Pace::new(self.position.ring.control.capacity);
        let linger = Cell::new(Linger::new());
        loop {
            match self.try_turn()? {
                Turn::Worked => pace.found(self.depth),
                Turn::Ended => return Ok(()),
                Turn::Idle => {
                    pace.found_nothing();
                    self.stage.waits(self.next);
                    let Position { ring, gate, upstream, .. } = &self.position;
                    let waiter = Waiter {
                        watch: ring.watch(upstream, self.next),
                        published: &ring.control.published,
                        sequence: self.next,
                        slot: ring.slots.slot(self.next).as_ptr().cast(),
                        gate,
                        linger: &linger,
                    };
                    // A strategy may claim a time-out that another look refutes.
                    if ring.wait.wait(&waiter) == Waited::TimedOut && !waiter.is_ready() {
                        self.stage.on_timeout(self.next);
                    }
                }
            }
        }
    }

    #[inline]
    fn try_turn(&mut self) -> Result<Turn, StageError> {
        let Position { ring, gate, pool, .. } = &self.position;
        // A worker finishes what it has claimed, since nobody else will; unless nothing is drained.
        let owes = pool.is_some() && self.next < self.claimed;
        if gate.end() <= self.next && (!owes || ring.control.phase() >= Phase::Halted) {
            return Ok(Turn::Ended);
        }
        let (batch, depth) = if owes {
            (self.next..self.claimed, self.claimed - self.next)
        } else if pool.is_some() {
            self.claim_batch()
        } else {
            self.next_batch()
        };
        if batch.is_empty() {
            return Ok(Turn::Idle);
        }
        self.handle(batch, depth)?;
        Ok(Turn::Worked)
    }

    /// What there is to do, up to `batch_max`, and how much was seen in all.
    #[inline]
    fn next_batch(&self) -> (Range<u64>, u64) {
        let Position { ring, upstream, batch_max, .. } = &self.position;
        let wanted = self.next.saturating_add(*batch_max);
        let available = ring.available(upstream, self.next, wanted).min(self.position.gate.end());
        let depth = available.saturating_sub(self.next);
        (self.next..self.next + depth.min(*batch_max), depth)
    }

    /// Claims a batch from the pool.
    ///
    /// The gate is moved to the pool's counter before the claim, so that the lowest gate of all
    /// workers is never above an event that somebody is about to claim.
    fn claim_batch(&mut self) -> (Range<u64>, u64) {
        let Self { position: Position { ring, gate, upstream, pool, batch_max, .. }, next, claimed, .. } =
            self;
        let Some(pool) = pool else { return (*next..*next, 0) };
        loop {
            // Relaxed here and below: the counter only divides the events, and this worker's gate is at or
            // below what it has claimed, in whatever order the counter is seen.
            let free = pool.load(Ordering::Relaxed);
            if gate.peek() != free {
                gate.release(free, ring.control.consumers_signal);
            }
            (*next, *claimed) = (free, free);
            let wanted = free.saturating_add(*batch_max);
            let available = ring.available(upstream, free, wanted).min(gate.end());
            let depth = available.saturating_sub(free);
            if depth == 0 {
                return (free..free, 0);
            }
            // Half of what waits, so that others find something too.
            let size = depth.div_ceil(2).min(*batch_max);
            if pool.compare_exchange(free, free + size, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                *claimed = free + size;
                return (free..free + size, depth);
            }
        }
    }

    fn handle(&mut self, batch: Range<u64>, depth: u64) -> Result<(), StageError> {
        (self.batch, self.depth, self.at, self.failing) = (batch.clone(), depth, batch.start, 1);
        self.stage.batch_starts(&batch, depth);
        self.stage.on_batch_start(batch.end - batch.start, depth);
        if self.position.ring.sequencer.has_skips(batch.start) {
            self.handle_around_skips(&batch)?;
        } else {
            self.handle_clean(batch.clone(), batch.end - 1)?;
        }
        self.finish(batch.end);
        self.position.gate.count_batch();
        self.stage.batch_ends(&batch);
        Ok(())
    }

    /// Has `sequences` handled, none of which is skipped, in runs that lie side by side.
    #[inline]
    fn handle_clean(&mut self, mut sequences: Range<u64>, last_of_batch: u64) -> Result<(), StageError> {
        while !sequences.is_empty() {
            let Position { ring, gate, .. } = &self.position;
            let len = ring.slots.contiguous(&sequences);
            let signals = ring.control.consumers_signal;
            self.at = sequences.start;
            self.failing = if S::FAILS_BY_RUN { len } else { 1 };
            let events = ring.slots.slot(sequences.start);
            // SAFETY: (A), (B); `contiguous` says that `len` slots lie side by side.
            let run = unsafe { Run::new(events, len as usize, last_of_batch, &mut self.at, gate, signals) };
            self.stage.run(run)?;
            sequences.start += len;
        }
        Ok(())
    }

    #[cold]
    fn handle_around_skips(&mut self, batch: &Range<u64>) -> Result<(), StageError> {
        let ring = Arc::clone(&self.position.ring);
        let is_skipped = |sequence: &u64| ring.sequencer.is_skipped(*sequence);
        let Some(last) = batch.clone().rev().find(|sequence| !is_skipped(sequence)) else { return Ok(()) };
        let mut start = batch.start;
        while let Some(first) = (start..=last).find(|sequence| !is_skipped(sequence)) {
            let end = (first..=last).find(is_skipped).unwrap_or(last + 1);
            self.handle_clean(first..end, last)?;
            start = end;
        }
        Ok(())
    }

    /// Ends the batch, and lets go of everything below `sequence`.
    #[inline]
    fn finish(&mut self, sequence: u64) {
        self.batch = sequence..sequence;
        self.next = sequence;
        self.claimed = self.claimed.max(sequence);
        let Position { ring, gate, .. } = &self.position;
        gate.release(sequence, ring.control.consumers_signal);
    }

    /// Deals with the failure of the event `at`; says how to go on.
    #[cold]
    fn fail(&mut self, cause: FailureCause) -> Turn {
        let batch = std::mem::replace(&mut self.batch, self.next..self.next);
        if batch.is_empty() {
            // There is no event to pass over or to try again.
            let failure = Failure::new(&self.position.gate.name, Moment::Waiting, 1, cause);
            self.poison(failure);
            return Turn::Ended;
        }
        let at = self.at;
        let attempt = if self.failed.0 == at { self.failed.1.saturating_add(1) } else { 1 };
        self.failed = (at, attempt);
        let Position { ring, gate, exceptions, .. } = &self.position;
        let failure = Failure::new(&gate.name, Moment::Event(at), attempt, cause);
        // SAFETY: (A), (B) a batch is being handled, so the event is this consumer's until `finish`; the
        // handler has returned or unwound, so that no `&mut` to it is left.
        let event = unsafe { ring.slots.slot(at).as_ref() };
        let action = decide(|| exceptions.on_event_failure(&failure, event));
        let failing = at..at + self.failing;
        match action {
            FailureAction::Poison => {
                self.poison(failure);
                return Turn::Ended;
            }
            FailureAction::Abort => std::process::abort(),
            FailureAction::Retry => self.next = at,
            FailureAction::Skip => self.pass_over(failing, &batch),
            FailureAction::Discard => {
                failing.clone().for_each(|sequence| ring.sequencer.discard(sequence));
                self.pass_over(failing, &batch);
            }
        }
        Turn::Worked
    }

    /// Goes on behind the events that failed. What was handled before them is let go at the end of
    /// the next batch, as if they had been in one.
    fn pass_over(&mut self, failing: Range<u64>, batch: &Range<u64>) {
        if failing.end == batch.end {
            self.finish(failing.end);
        } else {
            self.next = failing.end;
        }
    }

    fn poison(&self, failure: Failure) {
        let Position { ring, gate, .. } = &self.position;
        gate.set_state(ConsumerState::Failed);
        ring.control.poison(failure);
    }

    /// Runs `work`, and deals with a panic or an error of the handler.
    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<Turn, StageError>) -> Turn {
        match catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(Ok(turn)) => turn,
            Ok(Err(StageError::Rewind)) => {
                self.next = self.batch.start;
                self.batch.end = self.batch.start;
                Turn::Worked
            }
            Ok(Err(StageError::Failed(error))) => self.fail(FailureCause::Error(error)),
            Err(panic) => self.fail(FailureCause::from_panic(&*panic)),
        }
    }
}

/// Calls a hook that may return an error or panic.
fn catch(hook: impl FnOnce() -> Result<(), HandlerError>) -> Result<(), FailureCause> {
    match catch_unwind(AssertUnwindSafe(hook)) {
        Ok(result) => result.map_err(FailureCause::Error),
        Err(panic) => Err(FailureCause::from_panic(&*panic)),
    }
}

/// Asks an exception handler, whose own panic is an answer too.
fn decide(ask: impl FnOnce() -> FailureAction) -> FailureAction {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or(FailureAction::Poison)
}

impl<E: 'static, P: ProducerKind, W: WaitStrategy, S: Stage<E>> Runner for Processor<E, P, W, S> {
    fn start(&mut self) -> Result<(), Failure> {
        self.started = true;
        if let Err(cause) = catch(|| self.stage.on_start()) {
            let Position { gate, exceptions, .. } = &self.position;
            let failure = Failure::new(&gate.name, Moment::Start, 1, cause);
            if decide(|| exceptions.on_start_failure(&failure)) != FailureAction::Skip {
                return Err(failure);
            }
        }
        self.position.gate.set_state(ConsumerState::Running);
        Ok(())
    }

    fn run(&mut self) {
        while self.guarded(|this| this.work().map(|()| Turn::Ended)) != Turn::Ended {}
        self.shut_down();
    }

    fn turn(&mut self) -> Turn {
        self.guarded(Self::try_turn)
    }

    fn shut_down(&mut self) {
        if !std::mem::take(&mut self.started) {
            return;
        }
        let result = catch(|| self.stage.on_shutdown());
        let gate = &self.position.gate;
        if gate.state() == ConsumerState::Running {
            gate.set_state(ConsumerState::Stopped);
        }
        if let Err(cause) = result {
            let failure = Failure::new(&gate.name, Moment::Shutdown, 1, cause);
            match decide(|| self.position.exceptions.on_shutdown_failure(&failure)) {
                FailureAction::Skip => {}
                FailureAction::Abort => std::process::abort(),
                _ => self.poison(failure),
            }
        }
    }
}

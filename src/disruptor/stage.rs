//! How the engine sees a handler: something that takes a run of events.
//!
//! One adapter per handler trait. The loops over the events of a run are here, monomorphic and over
//! slices, so that the engine pays per run and not per event.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) A `Run` covers initialised, published slots side by side, which its consumer may use until
//!   the run ends. `Processor` makes runs only of such slots.
//! - (B) The run of an exclusive consumer is nobody else's: the graph has checked that every other
//!   consumer comes before it or after it.
//! - (C) Where events are read by several threads, the adapter asked for `E: Sync`.

#![allow(unsafe_code, reason = "slots become `&E` and `&mut E` here")]

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::slice;

use super::failure::HandlerError;
use super::gate::Gate;
use super::handler::{
    BatchHandler, EventContext, EventHandler, EventHandlerMut, Rewind, RewindableEventHandler,
    TryEventHandler, forward_hooks,
};
use super::observer::Observer;
use super::rewind::RewindStrategy;

/// The hooks of a stage, from its handler, whose `on_start` and `on_shutdown` cannot fail.
macro_rules! handler_hooks {
    ($inner:tt) => {
        #[inline]
        fn on_batch_start(&mut self, size: u64, depth: u64) {
            self.$inner.on_batch_start(size, depth);
        }

        fn on_start(&mut self) -> Result<(), HandlerError> {
            self.$inner.on_start();
            Ok(())
        }

        fn on_shutdown(&mut self) -> Result<(), HandlerError> {
            self.$inner.on_shutdown();
            Ok(())
        }

        fn on_timeout(&mut self, sequence: u64) {
            self.$inner.on_timeout(sequence);
        }
    };
}

/// Whether a consumer shares its events with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It reads, and others may read at the same time.
    Shared,
    /// It changes events, alone.
    Exclusive,
}

/// A handler on its thread.
pub trait Stage<E: 'static>: 'static {
    const ACCESS: Access;

    /// The number of events that fail together: one, or the whole run.
    const FAILS_BY_RUN: bool = false;

    fn run(&mut self, run: Run<'_, E>) -> Result<(), StageError>;

    fn on_batch_start(&mut self, size: u64, depth: u64);
    fn on_start(&mut self) -> Result<(), HandlerError>;
    fn on_shutdown(&mut self) -> Result<(), HandlerError>;
    fn on_timeout(&mut self, sequence: u64);

    /// What an [`Observer`] hears. Empty, and so compiled away, unless one is attached.
    #[inline]
    fn batch_starts(&mut self, _sequences: &Range<u64>, _depth: u64) {}
    #[inline]
    fn batch_ends(&mut self, _sequences: &Range<u64>) {}
    #[inline]
    fn waits(&mut self, _sequence: u64) {}
}

/// A handler on its way to its thread, where it becomes a stage that need not be `Send`.
pub trait IntoStage<E: 'static>: Send + 'static {
    type Stage: Stage<E>;

    fn into_stage(self) -> Self::Stage;
}

/// A stage that can travel as it is.
pub struct Ready<S>(pub(super) S);

impl<E: 'static, S: Stage<E> + Send> IntoStage<E> for Ready<S> {
    type Stage = S;

    fn into_stage(self) -> S {
        self.0
    }
}

/// Why a run ended early.
pub enum StageError {
    /// The event at `Run::at` failed.
    Failed(HandlerError),
    /// The batch is to begin again.
    Rewind,
}

/// Events side by side that a consumer may use, until the run ends.
pub struct Run<'a, E> {
    events: NonNull<E>,
    len: usize,
    /// The sequence of the first event.
    first: u64,
    /// The sequence of the batch's last event, in this run or in a later one.
    last_of_batch: u64,
    /// The event that is being handled, for whoever cleans up after a failure.
    at: &'a mut u64,
    gate: &'a Gate,
    signals: bool,
}

impl<'a, E> Run<'a, E> {
    /// # Safety
    ///
    /// (A) holds for `len` slots from `events` on, as long as `'a`; and (B), if the stage that gets
    /// the run is exclusive.
    pub(super) unsafe fn new(
        events: NonNull<E>,
        len: usize,
        last_of_batch: u64,
        at: &'a mut u64,
        gate: &'a Gate,
        signals: bool,
    ) -> Self {
        Self { events, len, first: *at, last_of_batch, at, gate, signals }
    }

    /// Whether the batch's last event is in this run, where it is the last too.
    #[inline]
    fn ends_batch(&self) -> bool {
        self.first + self.len as u64 > self.last_of_batch
    }

    #[inline]
    fn events(&self) -> &'a [E] {
        // SAFETY: (A), (C).
        unsafe { slice::from_raw_parts(self.events.as_ptr(), self.len) }
    }

    /// # Safety
    ///
    /// The stage is exclusive, so that (B) holds, and it uses no other reference to the events.
    #[inline]
    unsafe fn events_mut(&mut self) -> &'a mut [E] {
        // SAFETY: (A), (B).
        unsafe { slice::from_raw_parts_mut(self.events.as_ptr(), self.len) }
    }
}

/// [`EventHandler`]
pub struct Reading<H>(pub(super) H);

impl<E: Sync + 'static, H: EventHandler<E>> Stage<E> for Reading<H> {
    const ACCESS: Access = Access::Shared;

    #[inline]
    fn run(&mut self, run: Run<'_, E>) -> Result<(), StageError> {
        let (events, last) = run.events().split_at(run.len - usize::from(run.ends_batch()));
        for (sequence, event) in (run.first..).zip(events) {
            *run.at = sequence;
            self.0.on_event(event, sequence, false);
        }
        // Apart, so that what a handler does at the end of a batch stays out of the loop.
        if let [event] = last {
            *run.at = run.last_of_batch;
            self.0.on_event(event, run.last_of_batch, true);
        }
        Ok(())
    }

    handler_hooks!(0);
}

/// [`EventHandlerMut`]
pub struct Modifying<H>(pub(super) H);

impl<E: Send + 'static, H: EventHandlerMut<E>> Stage<E> for Modifying<H> {
    const ACCESS: Access = Access::Exclusive;

    #[inline]
    fn run(&mut self, mut run: Run<'_, E>) -> Result<(), StageError> {
        // SAFETY: (B) this stage is exclusive, and this is its one use of the run's events.
        let events = unsafe { run.events_mut() };
        let before_last = events.len() - usize::from(run.ends_batch());
        let (events, last) = events.split_at_mut(before_last);
        for (sequence, event) in (run.first..).zip(events) {
            *run.at = sequence;
            self.0.on_event(event, sequence, false);
        }
        // Apart, as in `Reading`.
        if let [event] = last {
            *run.at = run.last_of_batch;
            self.0.on_event(event, run.last_of_batch, true);
        }
        Ok(())
    }

    handler_hooks!(0);
}

/// [`BatchHandler`]
pub struct Batches<H>(pub(super) H);

impl<E: Sync + 'static, H: BatchHandler<E>> Stage<E> for Batches<H> {
    const ACCESS: Access = Access::Shared;
    const FAILS_BY_RUN: bool = true;

    #[inline]
    fn run(&mut self, run: Run<'_, E>) -> Result<(), StageError> {
        self.0.on_batch(run.events(), run.first, run.ends_batch());
        Ok(())
    }

    handler_hooks!(0);
}

/// [`TryEventHandler`]
pub struct Fallible<H>(pub(super) H);

impl<E: Sync + 'static, H: TryEventHandler<E>> Stage<E> for Fallible<H> {
    const ACCESS: Access = Access::Shared;

    #[inline]
    fn run(&mut self, run: Run<'_, E>) -> Result<(), StageError> {
        for (sequence, event) in (run.first..).zip(run.events()) {
            *run.at = sequence;
            let end_of_batch = sequence == run.last_of_batch;
            let mut context = EventContext { sequence, end_of_batch, gate: run.gate, signals: run.signals };
            self.0.on_event(event, &mut context).map_err(StageError::Failed)?;
        }
        Ok(())
    }

    forward_hooks!(self, self.0, Result<(), HandlerError>);
}

/// [`RewindableEventHandler`]
pub struct Rewindable<H, R> {
    handler: H,
    strategy: R,
    attempts: u32,
}

impl<H, R> Rewindable<H, R> {
    pub(super) fn new(handler: H, strategy: R) -> Self {
        Self { handler, strategy, attempts: 0 }
    }
}

impl<E: Sync + 'static, H: RewindableEventHandler<E>, R: RewindStrategy> Stage<E> for Rewindable<H, R> {
    const ACCESS: Access = Access::Shared;

    fn run(&mut self, run: Run<'_, E>) -> Result<(), StageError> {
        for (sequence, event) in (run.first..).zip(run.events()) {
            *run.at = sequence;
            match self.handler.on_event(event, sequence, sequence == run.last_of_batch) {
                Ok(()) => {}
                Err(Rewind::Failed(error)) => return Err(StageError::Failed(error)),
                Err(Rewind::Again(reason)) => {
                    self.attempts = self.attempts.saturating_add(1);
                    if self.strategy.may_rewind(self.attempts) {
                        return Err(StageError::Rewind);
                    }
                    self.attempts = 0;
                    return Err(StageError::Failed(reason));
                }
            }
        }
        // The batch's last run has gone through, so the next request to rewind is a first one.
        if run.first + run.len as u64 > run.last_of_batch {
            self.attempts = 0;
        }
        Ok(())
    }

    handler_hooks!(handler);
}

/// One worker of a partition: an [`EventHandler`] that gets the events whose key is its own.
pub struct Partition<H, K> {
    pub(super) handler: H,
    pub(super) key: K,
    pub(super) index: u64,
    pub(super) count: u64,
}

impl<E: Sync + 'static, H: EventHandler<E>, K: Fn(&E) -> u64 + Send + 'static> Stage<E> for Partition<H, K> {
    const ACCESS: Access = Access::Shared;

    fn run(&mut self, run: Run<'_, E>) -> Result<(), StageError> {
        let mut held_back: Option<(u64, &E)> = None;
        for (sequence, event) in (run.first..).zip(run.events()) {
            *run.at = sequence;
            let key = match catch_unwind(AssertUnwindSafe(|| (self.key)(event))) {
                Ok(key) => key,
                Err(panic) => {
                    // The failure is this event's, so what waits before it must be done.
                    if let Some((earlier, event)) = held_back {
                        *run.at = earlier;
                        self.handler.on_event(event, earlier, true);
                        *run.at = sequence;
                    }
                    resume_unwind(panic);
                }
            };
            if spread(key, self.count) == self.index
                && let Some((sequence, event)) = held_back.replace((sequence, event))
            {
                *run.at = sequence;
                self.handler.on_event(event, sequence, false);
            }
        }
        if let Some((sequence, event)) = held_back {
            *run.at = sequence;
            self.handler.on_event(event, sequence, true);
        }
        Ok(())
    }

    handler_hooks!(handler);
}

/// The worker of `key`, among `count`. Neighbouring keys go to different workers more often than
/// not, whatever their pattern: the key is mixed before it is reduced.
fn spread(key: u64, count: u64) -> u64 {
    crate::base::rng::Rng::new(key).below(count)
}

/// State that is made on the consumer's thread, never leaves it, and need not be `Send`.
pub struct WithState<I, F> {
    pub(super) init: I,
    pub(super) on_event: F,
}

/// What [`WithState`] becomes on its thread.
pub struct Stateful<S, F> {
    state: S,
    on_event: F,
}

impl<E, S, I, F> IntoStage<E> for WithState<I, F>
where
    E: Sync + 'static,
    S: 'static,
    I: FnOnce() -> S + Send + 'static,
    F: FnMut(&mut S, &E, u64, bool) + Send + 'static,
{
    type Stage = Stateful<S, F>;

    fn into_stage(self) -> Stateful<S, F> {
        Stateful { state: (self.init)(), on_event: self.on_event }
    }
}

impl<E: Sync + 'static, S: 'static, F: FnMut(&mut S, &E, u64, bool) + 'static> Stage<E> for Stateful<S, F> {
    const ACCESS: Access = Access::Shared;

    #[inline]
    fn run(&mut self, run: Run<'_, E>) -> Result<(), StageError> {
        for (sequence, event) in (run.first..).zip(run.events()) {
            *run.at = sequence;
            (self.on_event)(&mut self.state, event, sequence, sequence == run.last_of_batch);
        }
        Ok(())
    }

    fn on_batch_start(&mut self, _size: u64, _depth: u64) {}
    fn on_start(&mut self) -> Result<(), HandlerError> {
        Ok(())
    }
    fn on_shutdown(&mut self) -> Result<(), HandlerError> {
        Ok(())
    }
    fn on_timeout(&mut self, _sequence: u64) {}
}

/// A stage and the observer that listens to it.
pub struct Observed<S, O> {
    pub(super) inner: S,
    pub(super) observer: O,
}

impl<E: 'static, S: IntoStage<E>, O: Observer> IntoStage<E> for Watched<S, O> {
    type Stage = Observed<S::Stage, O>;

    fn into_stage(self) -> Self::Stage {
        Observed { inner: self.inner.into_stage(), observer: self.observer }
    }
}

/// What becomes [`Observed`] on its thread.
pub struct Watched<S, O> {
    pub(super) inner: S,
    pub(super) observer: O,
}

impl<E: 'static, S: Stage<E>, O: Observer> Stage<E> for Observed<S, O> {
    const ACCESS: Access = S::ACCESS;
    const FAILS_BY_RUN: bool = S::FAILS_BY_RUN;

    #[inline]
    fn run(&mut self, run: Run<'_, E>) -> Result<(), StageError> {
        self.inner.run(run)
    }

    forward_hooks!(self, self.inner, Result<(), HandlerError>);

    fn batch_starts(&mut self, sequences: &Range<u64>, depth: u64) {
        self.observer.batch_starts(sequences, depth);
    }

    fn batch_ends(&mut self, sequences: &Range<u64>) {
        self.observer.batch_ends(sequences);
    }

    fn waits(&mut self, sequence: u64) {
        self.observer.waits(sequence);
    }
}

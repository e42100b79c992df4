//! The traits that user code implements.
//!
//! A handler moves into the disruptor and lives on its own thread. All of its hooks have empty
//! defaults, and each trait is implemented for closures with the arguments of its main method.

use super::failure::HandlerError;
use super::gate::Gate;

/// The hooks that every handler has; those of a fallible handler return `Result<(), HandlerError>`.
macro_rules! hooks {
    () => {
        hooks!((), ());
    };
    ($result:ty, $ok:expr) => {
        /// Called before a batch: `size` events follow, and `depth` were seen waiting, at least
        /// `size`.
        fn on_batch_start(&mut self, _size: u64, _depth: u64) {}

        /// Called once on the handler's thread, before the first event and before `start()` returns.
        fn on_start(&mut self) -> $result {
            $ok
        }

        /// Called once on the handler's thread, after the last event.
        fn on_shutdown(&mut self) -> $result {
            $ok
        }

        /// Called when the wait strategy timed out while waiting for `sequence`.
        fn on_timeout(&mut self, _sequence: u64) {}
    };
}

/// The hooks of a type that wraps another of its kind: `forward_hooks!(self, self.inner, ())`, where
/// the last argument is what `on_start` and `on_shutdown` return.
macro_rules! forward_hooks {
    ($self:ident, $inner:expr, $result:ty) => {
        #[inline]
        fn on_batch_start(&mut $self, size: u64, depth: u64) {
            $inner.on_batch_start(size, depth);
        }

        fn on_start(&mut $self) -> $result {
            $inner.on_start()
        }

        fn on_shutdown(&mut $self) -> $result {
            $inner.on_shutdown()
        }

        fn on_timeout(&mut $self, sequence: u64) {
            $inner.on_timeout(sequence);
        }
    };
}
pub(super) use forward_hooks;

/// Reads events, one at a time, beside other readers. Source: LMAX `EventHandler`.
pub trait EventHandler<E>: Send + 'static {
    /// Handles one event. After the one with `end_of_batch`, the batch is let go: followers get it,
    /// and producers get its slots back. So what must be done before that is done then, at the latest.
    fn on_event(&mut self, event: &E, sequence: u64, end_of_batch: bool);
    hooks!();
}

impl<E, F: FnMut(&E, u64, bool) + Send + 'static> EventHandler<E> for F {
    #[inline]
    fn on_event(&mut self, event: &E, sequence: u64, end_of_batch: bool) {
        self(event, sequence, end_of_batch);
    }
}

impl<E: 'static> EventHandler<E> for Box<dyn EventHandler<E>> {
    fn on_event(&mut self, event: &E, sequence: u64, end_of_batch: bool) {
        (**self).on_event(event, sequence, end_of_batch);
    }
    forward_hooks!(self, (**self), ());
}

/// Changes events, one at a time, while nobody else has them.
///
/// It must come before or after every other consumer, which `start()` checks. In a worker pool it
/// is LMAX's `WorkHandler`, where `end_of_batch` ends the worker's share.
pub trait EventHandlerMut<E>: Send + 'static {
    /// Handles one event. After the one with `end_of_batch`, the batch is let go: followers get it,
    /// and producers get its slots back. So what must be done before that is done then, at the latest.
    fn on_event(&mut self, event: &mut E, sequence: u64, end_of_batch: bool);
    hooks!();
}

impl<E, F: FnMut(&mut E, u64, bool) + Send + 'static> EventHandlerMut<E> for F {
    #[inline]
    fn on_event(&mut self, event: &mut E, sequence: u64, end_of_batch: bool) {
        self(event, sequence, end_of_batch);
    }
}

impl<E: 'static> EventHandlerMut<E> for Box<dyn EventHandlerMut<E>> {
    fn on_event(&mut self, event: &mut E, sequence: u64, end_of_batch: bool) {
        (**self).on_event(event, sequence, end_of_batch);
    }
    forward_hooks!(self, (**self), ());
}

/// Reads events in slices: as many as lie side by side in memory.
pub trait BatchHandler<E>: Send + 'static {
    /// Handles consecutive events, the first of which has `sequence`. A batch comes in several
    /// slices where it runs over the ring's edge or over a skipped slot; `end_of_batch` marks the last.
    fn on_batch(&mut self, events: &[E], sequence: u64, end_of_batch: bool);
    hooks!();
}

impl<E, F: FnMut(&[E], u64, bool) + Send + 'static> BatchHandler<E> for F {
    #[inline]
    fn on_batch(&mut self, events: &[E], sequence: u64, end_of_batch: bool) {
        self(events, sequence, end_of_batch);
    }
}

/// Reads events, may fail, and may let go of events before its batch ends.
pub trait TryEventHandler<E>: Send + 'static {
    /// Handles one event. An error goes to the consumer's exception handler, as a panic does.
    fn on_event(&mut self, event: &E, context: &mut EventContext<'_>) -> Result<(), HandlerError>;
    hooks!(Result<(), HandlerError>, Ok(()));
}

impl<E, F> TryEventHandler<E> for F
where
    F: FnMut(&E, &mut EventContext<'_>) -> Result<(), HandlerError> + Send + 'static,
{
    #[inline]
    fn on_event(&mut self, event: &E, context: &mut EventContext<'_>) -> Result<(), HandlerError> {
        self(event, context)
    }
}

/// Where an event stands, and what its handler may do about it.
pub struct EventContext<'a> {
    pub(super) sequence: u64,
    pub(super) end_of_batch: bool,
    pub(super) gate: &'a Gate,
    pub(super) signals: bool,
}

impl EventContext<'_> {
    /// The event's sequence.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether the batch is let go after this event.
    pub fn is_end_of_batch(&self) -> bool {
        self.end_of_batch
    }

    /// Lets followers and producers have all events before this one at once, instead of at the end
    /// of the batch. Source: LMAX `EventHandler.setSequenceCallback`, without its way to let go of
    /// the event that is still being read.
    pub fn release_previous(&mut self) {
        self.gate.release(self.sequence, self.signals);
    }
}

/// Reads events as one transaction per batch, which it may ask to begin again.
///
/// Its batch is released as a whole, so it has no early release. Source: LMAX
/// `RewindableEventHandler`.
pub trait RewindableEventHandler<E>: Send + 'static {
    /// Handles one event. After [`Rewind::Again`], the batch begins anew if the strategy agrees.
    fn on_event(&mut self, event: &E, sequence: u64, end_of_batch: bool) -> Result<(), Rewind>;
    hooks!();
}

impl<E, F> RewindableEventHandler<E> for F
where
    F: FnMut(&E, u64, bool) -> Result<(), Rewind> + Send + 'static,
{
    fn on_event(&mut self, event: &E, sequence: u64, end_of_batch: bool) -> Result<(), Rewind> {
        self(event, sequence, end_of_batch)
    }
}

/// Why a rewindable handler did not take an event.
#[derive(Debug)]
pub enum Rewind {
    /// The batch should begin again, for this reason.
    Again(HandlerError),
    /// The event failed, and beginning again would not help.
    Failed(HandlerError),
}

/// Several handlers as one, called one after the other for each event.
///
/// `(a, b)` is the handler that calls `a`, then `b`; pairs nest. A `Vec` of handlers, boxed ones for
/// instance, calls them in order. Source: LMAX `AggregateEventHandler`.
impl<E, A: EventHandler<E>, B: EventHandler<E>> EventHandler<E> for (A, B) {
    #[inline]
    fn on_event(&mut self, event: &E, sequence: u64, end_of_batch: bool) {
        self.0.on_event(event, sequence, end_of_batch);
        self.1.on_event(event, sequence, end_of_batch);
    }

    fn on_batch_start(&mut self, size: u64, depth: u64) {
        self.0.on_batch_start(size, depth);
        self.1.on_batch_start(size, depth);
    }

    fn on_start(&mut self) {
        self.0.on_start();
        self.1.on_start();
    }

    fn on_shutdown(&mut self) {
        self.0.on_shutdown();
        self.1.on_shutdown();
    }

    fn on_timeout(&mut self, sequence: u64) {
        self.0.on_timeout(sequence);
        self.1.on_timeout(sequence);
    }
}

impl<E, H: EventHandler<E>> EventHandler<E> for Vec<H> {
    fn on_event(&mut self, event: &E, sequence: u64, end_of_batch: bool) {
        self.iter_mut().for_each(|handler| handler.on_event(event, sequence, end_of_batch));
    }

    fn on_batch_start(&mut self, size: u64, depth: u64) {
        self.iter_mut().for_each(|handler| handler.on_batch_start(size, depth));
    }

    fn on_start(&mut self) {
        self.iter_mut().for_each(EventHandler::on_start);
    }

    fn on_shutdown(&mut self) {
        self.iter_mut().for_each(EventHandler::on_shutdown);
    }

    fn on_timeout(&mut self, sequence: u64) {
        self.iter_mut().for_each(|handler| handler.on_timeout(sequence));
    }
}

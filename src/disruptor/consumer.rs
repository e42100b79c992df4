//! A consumer as the user describes it: handlers, and how they are to run.

use std::sync::Arc;

use super::failure::ExceptionHandler;
use super::handler::{BatchHandler, EventHandler, EventHandlerMut, RewindableEventHandler, TryEventHandler};
use super::home::Pins;
use super::observer::Observer;
use super::rewind::RewindStrategy;
use super::stage::{Batches, Fallible, Modifying, Partition, Reading, Ready, Rewindable, Watched, WithState};
use crate::sys::affinity::Pin;

/// A consumer to be added with [`Disruptor::handle`](super::Disruptor::handle): one node of the
/// graph, on one thread, or on several that share the work.
///
/// ```
/// use badbatch::{Consumer, DisruptorBuilder};
///
/// let mut disruptor = DisruptorBuilder::new().buffer_size(64).multi_producer().build()?;
/// let journal = Consumer::batches(|lines: &[String], _sequence: u64, _ends: bool| drop(lines.join("\n")));
/// disruptor.handle(journal.named("journal").max_batch(16))?;
/// disruptor.start()?;
/// disruptor.ring_buffer().publish_event(|line: &mut String, _sequence: u64| line.push('x'))?;
/// disruptor.shutdown()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a consumer does nothing until it is added to a disruptor"]
pub struct Consumer<E, S> {
    pub(super) stages: Vec<S>,
    pub(super) sharing: Sharing,
    pub(super) options: Options<E>,
}

/// How the threads of a consumer divide the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Every thread sees every event.
    All,
    /// Each event goes to one thread.
    Pool,
}

pub(super) struct Options<E> {
    pub(super) name: Option<Arc<str>>,
    pub(super) pins: Pins,
    pub(super) batch_max: Option<u64>,
    pub(super) exceptions: Option<Arc<dyn ExceptionHandler<E>>>,
}

impl<E> Consumer<E, ()> {
    /// One thread that reads events.
    pub fn reading<H: EventHandler<E>>(handler: H) -> Consumer<E, Ready<Reading<H>>> {
        Consumer::new(vec![Ready(Reading(handler))], Sharing::All)
    }

    /// One thread that changes events.
    pub fn modifying<H: EventHandlerMut<E>>(handler: H) -> Consumer<E, Ready<Modifying<H>>> {
        Consumer::new(vec![Ready(Modifying(handler))], Sharing::All)
    }

    /// One thread that reads events in slices.
    pub fn batches<H: BatchHandler<E>>(handler: H) -> Consumer<E, Ready<Batches<H>>> {
        Consumer::new(vec![Ready(Batches(handler))], Sharing::All)
    }

    /// One thread whose handler may return errors and release events early.
    pub fn fallible<H: TryEventHandler<E>>(handler: H) -> Consumer<E, Ready<Fallible<H>>> {
        Consumer::new(vec![Ready(Fallible(handler))], Sharing::All)
    }

    /// One thread whose handler may ask for its batch to begin again, as often as `strategy` lets it.
    pub fn rewindable<H, R>(handler: H, strategy: R) -> Consumer<E, Ready<Rewindable<H, R>>>
    where
        H: RewindableEventHandler<E>,
        R: RewindStrategy,
    {
        Consumer::new(vec![Ready(Rewindable::new(handler, strategy))], Sharing::All)
    }

    /// One thread per handler; each event goes to one of them, whichever is free. Source: LMAX 3.4
    /// `WorkerPool`.
    pub fn workers<H: EventHandlerMut<E>>(handlers: Vec<H>) -> Consumer<E, Ready<Modifying<H>>> {
        Consumer::new(handlers.into_iter().map(Modifying).map(Ready).collect(), Sharing::Pool)
    }

    /// One thread per handler; events with the same key go to the same handler, in order. Every
    /// thread calls `key` for every event, so keep it cheap. `end_of_batch` marks the last of the
    /// handler's own events in a run.
    pub fn partitioned<H, K>(key: K, handlers: Vec<H>) -> Consumer<E, Ready<Partition<H, K>>>
    where
        H: EventHandler<E>,
        K: Fn(&E) -> u64 + Clone + Send + 'static,
    {
        let count = handlers.len() as u64;
        let partition = |(index, handler)| Ready(Partition { handler, key: key.clone(), index, count });
        Consumer::new((0..).zip(handlers).map(partition).collect(), Sharing::All)
    }

    /// One thread that reads events with a state made on it, which need not be `Send`.
    pub fn with_state<T, I, F>(init: I, on_event: F) -> Consumer<E, WithState<I, F>>
    where
        I: FnOnce() -> T + Send + 'static,
        F: FnMut(&mut T, &E, u64, bool) + Send + 'static,
    {
        Consumer::new(vec![WithState { init, on_event }], Sharing::All)
    }
}

impl<E, S> Consumer<E, S> {
    fn new(stages: Vec<S>, sharing: Sharing) -> Self {
        let options = Options { name: None, pins: Pins::Free, batch_max: None, exceptions: None };
        Self { stages, sharing, options }
    }

    /// Names the consumer, its threads, and its failures. Several threads get `-0`, `-1` and so on
    /// behind the name. The default is `consumer-` and a number.
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// Binds all of the consumer's threads: to a CPU, a set of CPUs, a node, or as a [`Pin`] says.
    ///
    /// Whether that can be is found out before any thread starts.
    pub fn pin(mut self, pin: impl Into<Pin>) -> Self {
        self.options.pins = Pins::All(pin.into());
        self
    }

    /// Binds the consumer's threads one by one; threads beyond the list stay free.
    pub fn pin_each<T: Into<Pin>>(mut self, pins: impl IntoIterator<Item = T>) -> Self {
        self.options.pins = Pins::Each(pins.into_iter().map(Into::into).collect());
        self
    }

    /// Takes at most `events` at once, at least 1.
    ///
    /// A batch is let go as a whole, so the default is a quarter of the ring: producers and followers
    /// get on before it is all done. For workers it is 64 at most, so that others find some too.
    pub fn max_batch(mut self, events: usize) -> Self {
        self.options.batch_max = Some(events.max(1) as u64);
        self
    }

    /// Has `handler` decide about failures, instead of the disruptor's policy.
    pub fn on_failure(mut self, handler: impl ExceptionHandler<E>) -> Self {
        self.options.exceptions = Some(Arc::new(handler));
        self
    }

    /// Has `observer` listen to the consumer's batches and waits; each thread gets a clone.
    pub fn observed_by<O: Observer + Clone>(self, observer: O) -> Consumer<E, Watched<S, O>> {
        let watched = |inner| Watched { inner, observer: observer.clone() };
        Consumer {
            stages: self.stages.into_iter().map(watched).collect(),
            sharing: self.sharing,
            options: self.options,
        }
    }
}

//! Consumers that others can be chained to.

use super::consumer::Consumer;
use super::disruptor::Disruptor;
use super::error::GraphError;
use super::graph::ConsumerId;
use super::handler::{EventHandler, EventHandlerMut};
use super::sequencer::ProducerKind;
use super::stage::IntoStage;
use super::wait::WaitStrategy;

/// One or more consumers of a disruptor, so that others can follow all of them. Source: LMAX
/// `EventHandlerGroup`.
///
/// A diamond, where `join` sees an event once both branches have:
///
/// ```
/// use badbatch::DisruptorBuilder;
///
/// let mut disruptor = DisruptorBuilder::new().buffer_size(64).single_producer().build::<u64>()?;
/// let left = disruptor.handle_events_with(|_: &u64, _: u64, _: bool| {})?.id();
/// let right = disruptor.handle_events_with(|_: &u64, _: u64, _: bool| {})?.id();
/// disruptor.after(&[left, right])?.then(|_: &u64, _: u64, _: bool| {})?;
/// disruptor.start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Group<'d, E, P: ProducerKind, W: WaitStrategy> {
    disruptor: &'d mut Disruptor<E, P, W>,
    ids: Vec<ConsumerId>,
}

impl<'d, E: Send + 'static, P: ProducerKind, W: WaitStrategy> Group<'d, E, P, W> {
    pub(super) fn new(disruptor: &'d mut Disruptor<E, P, W>, ids: Vec<ConsumerId>) -> Self {
        Self { disruptor, ids }
    }

    /// The consumer that was added last.
    ///
    /// Panics: if the group was made with `after(&[])` and has none.
    pub fn id(&self) -> ConsumerId {
        *self.ids.last().expect("a group made of no consumers has no id")
    }

    /// All consumers of the group.
    pub fn ids(&self) -> &[ConsumerId] {
        &self.ids
    }

    /// The group with these consumers added, which must be of the same disruptor.
    pub fn and(mut self, ids: &[ConsumerId]) -> Result<Self, GraphError> {
        self.disruptor.nodes(ids)?;
        self.ids.splice(0..0, ids.iter().copied());
        Ok(self)
    }

    /// Adds a handler that reads every event once the whole group has handled it.
    pub fn then<H: EventHandler<E>>(self, handler: H) -> Result<Self, GraphError>
    where
        E: Sync,
    {
        self.then_handle(Consumer::reading(handler))
    }

    /// Adds a handler that changes every event once the whole group has handled it.
    pub fn then_mut<H: EventHandlerMut<E>>(self, handler: H) -> Result<Self, GraphError> {
        self.then_handle(Consumer::modifying(handler))
    }

    /// Adds a consumer of any kind, which gets every event once the whole group has handled it.
    pub fn then_handle<S: IntoStage<E>>(self, consumer: Consumer<E, S>) -> Result<Self, GraphError> {
        let follows = self.disruptor.nodes(&self.ids)?;
        let id = self.disruptor.add(consumer, follows)?;
        Ok(Self::new(self.disruptor, vec![id]))
    }
}

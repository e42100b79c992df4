//! Describing a ring before it is made.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::control::Control;
use super::disruptor::Disruptor;
use super::error::BuildError;
use super::failure::FailurePolicy;
use super::home::Home;
use super::producer_wait::ProducerWait;
use super::ring::Ring;
use super::room::SEQUENCE_MAX;
use super::sequencer::{MultiProducer, ProducerKind, Sequencer, SingleProducer};
use super::slots::Slots;
use super::wait::WaitStrategy;
use super::wait_strategies::{
    BlockingWaitStrategy, BusySpinWaitStrategy, SleepingWaitStrategy, TimeoutBlockingWaitStrategy,
    YieldingWaitStrategy,
};
use crate::sys::memory::MemoryConfig;
use crate::sys::placement::Placement;

/// The largest ring: 2^30 slots.
const CAPACITY_MAX: usize = 1 << 30;

/// Describes a disruptor. The defaults: 1024 slots, several producers, the blocking wait strategy,
/// and a failure that poisons.
///
/// ```
/// use badbatch::DisruptorBuilder;
///
/// let disruptor = DisruptorBuilder::new()
///     .buffer_size(1024)
///     .single_producer()
///     .busy_spin_wait_strategy()
///     .build_with(|| Vec::<u8>::with_capacity(64))?;
/// assert_eq!(disruptor.stats().capacity, 1024);
/// # Ok::<(), badbatch::disruptor::BuildError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build`"]
pub struct DisruptorBuilder<P = MultiProducer, W = BlockingWaitStrategy> {
    buffer_size: usize,
    first_sequence: u64,
    wait: W,
    producer_wait: Option<ProducerWait>,
    membarrier: bool,
    policy: FailurePolicy,
    memory: MemoryConfig,
    placement: Placement,
    kind: PhantomData<fn() -> P>,
}

impl DisruptorBuilder {
    /// A description with the defaults.
    pub fn new() -> Self {
        Self {
            buffer_size: 1024,
            first_sequence: 0,
            wait: BlockingWaitStrategy,
            producer_wait: None,
            membarrier: true,
            policy: FailurePolicy::Poison,
            memory: MemoryConfig::new(),
            placement: Placement::Manual,
            kind: PhantomData,
        }
    }
}

impl Default for DisruptorBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: ProducerKind, W: WaitStrategy> DisruptorBuilder<P, W> {
    /// The number of slots: a power of two from 1 to 2^30.
    pub fn buffer_size(mut self, slots: usize) -> Self {
        self.buffer_size = slots;
        self
    }

    /// One producer, which claims without touching anything shared.
    pub fn single_producer(self) -> DisruptorBuilder<SingleProducer, W> {
        self.with(|wait| wait)
    }

    /// Any number of producers, on any threads.
    pub fn multi_producer(self) -> DisruptorBuilder<MultiProducer, W> {
        self.with(|wait| wait)
    }

    /// Consumers spin: [`BusySpinWaitStrategy`].
    pub fn busy_spin_wait_strategy(self) -> DisruptorBuilder<P, BusySpinWaitStrategy> {
        self.wait_strategy(BusySpinWaitStrategy)
    }

    /// Consumers spin, then yield: [`YieldingWaitStrategy`].
    pub fn yielding_wait_strategy(self) -> DisruptorBuilder<P, YieldingWaitStrategy> {
        self.wait_strategy(YieldingWaitStrategy)
    }

    /// Consumers nap: [`SleepingWaitStrategy`].
    pub fn sleeping_wait_strategy(self) -> DisruptorBuilder<P, SleepingWaitStrategy> {
        self.wait_strategy(SleepingWaitStrategy::default())
    }

    /// Consumers sleep until there is news: [`BlockingWaitStrategy`].
    pub fn blocking_wait_strategy(self) -> DisruptorBuilder<P, BlockingWaitStrategy> {
        self.wait_strategy(BlockingWaitStrategy)
    }

    /// Consumers sleep until there is news, or `timeout` has passed: [`TimeoutBlockingWaitStrategy`].
    pub fn timeout_blocking_wait_strategy(
        self,
        timeout: Duration,
    ) -> DisruptorBuilder<P, TimeoutBlockingWaitStrategy> {
        self.wait_strategy(TimeoutBlockingWaitStrategy::new(timeout))
    }

    /// Consumers wait as `wait` says; a `Box<dyn WaitStrategy>` will do.
    pub fn wait_strategy<V: WaitStrategy>(self, wait: V) -> DisruptorBuilder<P, V> {
        self.with(|_| wait)
    }

    /// How producers wait for a full ring. The default follows from the wait strategy.
    pub fn producer_wait(mut self, wait: ProducerWait) -> Self {
        self.producer_wait = Some(wait);
        self
    }

    /// Whether a thread that falls asleep has the kernel put a memory barrier into all running threads
    /// of the process, so that publishers need none: `membarrier(2)` of Linux. On by default.
    ///
    /// It makes publishing several times as fast where consumers park. Each time that one falls asleep
    /// it interrupts the other threads of the process for about a microsecond; turn it off if one of
    /// those spins for latency and consumers of this ring sleep often. Where nobody parks, and on other
    /// systems, it changes nothing.
    pub fn membarrier(mut self, used: bool) -> Self {
        self.membarrier = used;
        self
    }

    /// What happens when a handler fails, unless its consumer says otherwise.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The sequence of the first event, at most 2^62: 0 unless a numbering is to be continued.
    pub fn first_sequence(mut self, sequence: u64) -> Self {
        self.first_sequence = sequence;
        self
    }

    /// Where the slots and sequences are to lie: on which NUMA node, in pages of which size.
    pub fn memory(mut self, memory: MemoryConfig) -> Self {
        self.memory = memory;
        self
    }

    /// Where those consumers' threads run that are added before the start and not bound by themselves. By
    /// default, anywhere.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Makes the ring and all of its events, by their default.
    pub fn build<E: Default + Send + 'static>(self) -> Result<Disruptor<E, P, W>, BuildError> {
        self.build_with(E::default)
    }

    /// Makes the ring and all of its events, by `factory`, in order.
    pub fn build_with<E: Send + 'static>(
        self,
        factory: impl FnMut() -> E,
    ) -> Result<Disruptor<E, P, W>, BuildError> {
        let Self { buffer_size, first_sequence, wait, producer_wait, membarrier, policy, .. } = self;
        let home = Home::new(self.placement, &self.memory);
        check_size(buffer_size)?;
        if first_sequence > SEQUENCE_MAX {
            return Err(BuildError::FirstSequenceOutOfRange { first: first_sequence, max: SEQUENCE_MAX });
        }
        let default_wait = if wait.parks() { ProducerWait::Park } else { ProducerWait::Yield };
        let producer_wait = producer_wait.unwrap_or(default_wait);
        let consumers_signal = wait.parks() || producer_wait.parks();
        let capacity = buffer_size as u64;
        let ring = Ring {
            slots: Slots::new(buffer_size, factory, &self.memory)?,
            sequencer: P::Sequencer::new(capacity, first_sequence),
            wait,
            control: Arc::new(Control::new(
                capacity,
                producer_wait,
                consumers_signal,
                membarrier && consumers_signal,
            )),
        };
        Ok(Disruptor::new(Arc::new(ring), policy, home))
    }

    /// The same with another kind of producer and another wait strategy.
    fn with<Q, V>(self, wait: impl FnOnce(W) -> V) -> DisruptorBuilder<Q, V> {
        DisruptorBuilder {
            buffer_size: self.buffer_size,
            first_sequence: self.first_sequence,
            wait: wait(self.wait),
            producer_wait: self.producer_wait,
            membarrier: self.membarrier,
            policy: self.policy,
            memory: self.memory,
            placement: self.placement,
            kind: PhantomData,
        }
    }
}

fn check_size(size: usize) -> Result<(), BuildError> {
    if size == 0 || size > CAPACITY_MAX {
        return Err(BuildError::SizeOutOfRange { size, max: CAPACITY_MAX });
    }
    if !size.is_power_of_two() {
        let above = size.next_power_of_two();
        return Err(BuildError::NotAPowerOfTwo { size, below: above / 2, above });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{CAPACITY_MAX, check_size};

    #[test]
    fn sizes_that_are_no_power_of_two_are_refused_with_their_neighbours() {
        let message = |size| check_size(size).expect_err("the size is wrong").to_string();
        assert_eq!(message(1000), "buffer_size 1000 is not a power of two; nearest are 512 and 1024");
        assert_eq!(message(0), "buffer_size 0 is out of range; a ring has 1..=1073741824 slots");
        assert_eq!(
            message(usize::MAX),
            format!("buffer_size {} is out of range; a ring has 1..=1073741824 slots", usize::MAX)
        );
        assert!(check_size(1).is_ok() && check_size(CAPACITY_MAX).is_ok());
    }
}

//! All consumers on one thread, one batch at a time, in a fixed order: for tests and for replays.

use super::disruptor::Disruptor;
use super::failure::Failure;
use super::processor::{Runner, Turn};
use super::ring_buffer::RingBuffer;
use super::sequencer::ProducerKind;
use super::stats::Stats;
use super::wait::WaitStrategy;

/// A disruptor without threads. The same graph, the same handlers and the same claims, but the
/// handlers run when the caller says so, in the order in which they were added.
///
/// ```
/// use badbatch::DisruptorBuilder;
///
/// let mut disruptor = DisruptorBuilder::new().buffer_size(4).single_producer().build::<u64>()?;
/// disruptor.handle_events_mut_with(|event: &mut u64, _: u64, _: bool| *event += 1)?;
/// let mut stepper = disruptor.into_stepper()?;
/// stepper.ring_buffer().publish_event(|event: &mut u64, _: u64| *event = 41)?;
/// assert!(stepper.step());
/// assert!(!stepper.step(), "nothing is left to do");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A claim on a full ring fails with [`WouldDeadlock`](super::ClaimError::WouldDeadlock), since
/// nobody else would empty it.
pub struct Stepper<E, P: ProducerKind, W: WaitStrategy> {
    disruptor: Disruptor<E, P, W>,
    runners: Vec<Box<dyn Runner>>,
}

impl<E: Send + 'static, P: ProducerKind, W: WaitStrategy> Stepper<E, P, W> {
    pub(super) fn new(disruptor: Disruptor<E, P, W>, runners: Vec<Box<dyn Runner>>) -> Self {
        Self { disruptor, runners }
    }

    /// Gives each consumer, in order, the chance to handle one batch; says whether one of them did.
    pub fn step(&mut self) -> bool {
        let worked = (0..self.runners.len()).filter(|&index| self.step_one(index)).count();
        worked > 0
    }

    /// Gives the consumer with this number, from 0 in the order of adding, the chance to handle one
    /// batch; says whether it did. Each thread of a worker pool or a partition counts.
    ///
    /// Panics: if there is no such consumer.
    pub fn step_one(&mut self, index: usize) -> bool {
        let Self { disruptor, runners } = self;
        disruptor.ring.control.as_consumer(|| runners[index].turn()) == Turn::Worked
    }

    /// The number of consumers that can be stepped.
    pub fn consumers(&self) -> usize {
        self.runners.len()
    }

    /// Steps until nobody has anything to do.
    pub fn run_until_idle(&mut self) {
        while self.step() {}
    }

    /// The built-in producer.
    pub fn ring_buffer(&mut self) -> &mut RingBuffer<E, P, W> {
        self.disruptor.ring_buffer()
    }

    /// How far everybody is.
    pub fn stats(&self) -> Stats {
        self.disruptor.stats()
    }

    /// The failure that poisoned the disruptor, if there was one.
    pub fn first_failure(&self) -> Option<Failure> {
        self.disruptor.first_failure()
    }
}

impl<E, P: ProducerKind, W: WaitStrategy> Drop for Stepper<E, P, W> {
    /// Has the handlers shut down. What they have not handled stays unhandled.
    fn drop(&mut self) {
        self.runners.iter_mut().for_each(|runner| runner.shut_down());
    }
}

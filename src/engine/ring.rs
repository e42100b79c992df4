//! The disruptor below a named one: a ring for one producer or for many, behind one face.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::definition::{Definition, ProducerType, SinkDefinition};
use super::event::Event;
use super::sink::SinkRunner;
use super::window::Window;
use crate::disruptor::{
    ClaimError, Consumer, ConsumerId, Disruptor, DisruptorBuilder, EventPoller, Monitor, MultiProducer,
    PollError, ProducerKind, RingBuffer, ShutdownError, SingleProducer, WaitStrategy,
};

type Wait = Box<dyn WaitStrategy>;

/// What a slot holds: an event, and when it came, for the latency.
#[derive(Default)]
pub struct Slot {
    pub event: Option<Event>,
    pub at: Duration,
}

/// A ring with its sinks, running.
pub enum Ring {
    Single(Disruptor<Slot, SingleProducer, Wait>),
    Multi(Disruptor<Slot, MultiProducer, Wait>),
}

/// What threads that have nothing left to do may take to end.
const LAST_STEP: Duration = Duration::from_millis(50);

/// How a ring's end went.
pub enum Ended {
    /// Every sink has had every event.
    Drained,
    /// Sinks still have this many events to go; the ring goes on.
    NotYet(Box<Ring>, u64),
    /// A sink failed, or the ring was halted, with this many events left.
    Failed(String, u64),
}

impl Ring {
    /// Makes the ring and starts its sinks; the first event will have the sequence `first`.
    ///
    /// Errors: what the operating system refused, as text.
    pub fn start(
        definition: &Definition,
        first: u64,
        sinks: Vec<(SinkDefinition, SinkRunner)>,
    ) -> Result<(Self, Producer), String> {
        let builder = DisruptorBuilder::new()
            .buffer_size(definition.buffer_size)
            .first_sequence(first)
            .wait_strategy(definition.wait_strategy.build());
        match definition.producer_type {
            ProducerType::Single => {
                let mut ring = running(builder.single_producer().build(), sinks)?;
                let producer = ring.take_producer().expect("a new ring has its producer");
                Ok((Self::Single(ring), Producer::Single(Mutex::new(producer))))
            }
            ProducerType::Multi => {
                let ring = running(builder.multi_producer().build(), sinks)?;
                let producers = Producers { first: ring.producer(), idle: Mutex::default() };
                Ok((Self::Multi(ring), Producer::Multi(producers)))
            }
        }
    }

    pub fn monitor(&self) -> Monitor {
        match self {
            Self::Single(ring) => ring.monitor(),
            Self::Multi(ring) => ring.monitor(),
        }
    }

    /// A consumer that holds up the producers, from the next event on.
    pub fn poller(&mut self) -> Option<Poller> {
        match self {
            Self::Single(ring) => ring.new_poller(&[]).ok().map(Poller::Single),
            Self::Multi(ring) => ring.new_poller(&[]).ok().map(Poller::Multi),
        }
    }

    /// Takes no more events and waits until the sinks have had all of them. The producer must be gone.
    pub fn drain(self, timeout: Duration) -> Ended {
        fn conclude<P: ProducerKind>(
            ring: Disruptor<Slot, P, Wait>,
            timeout: Duration,
            again: fn(Disruptor<Slot, P, Wait>) -> Ring,
        ) -> Ended {
            match ring.shutdown_timeout(timeout.max(LAST_STEP)) {
                Ok(_) => Ended::Drained,
                Err(
                    ShutdownError::TimedOut { disruptor, .. }
                    | ShutdownError::ProducerActive { disruptor }
                    | ShutdownError::OnConsumerThread { disruptor },
                ) => {
                    let left = disruptor.stats().slowest().map_or(0, |slowest| slowest.lag);
                    Ended::NotYet(Box::new(again(*disruptor)), left)
                }
                Err(ShutdownError::Poisoned { failure, unconsumed }) => {
                    Ended::Failed(failure.to_string(), unconsumed)
                }
                Err(ShutdownError::NotStarted { unconsumed } | ShutdownError::Halted { unconsumed }) => {
                    Ended::Failed("it was halted".to_owned(), unconsumed)
                }
            }
        }
        match self {
            Self::Single(ring) => conclude(ring, timeout, Self::Single),
            Self::Multi(ring) => conclude(ring, timeout, Self::Multi),
        }
    }

    /// Stops the sinks between two events, and tells how many the slowest of those that count had to go.
    pub fn halt(mut self, counts: impl Fn(&str) -> bool) -> u64 {
        let halted = match &mut self {
            Self::Single(ring) => ring.halt(),
            Self::Multi(ring) => ring.halt(),
        };
        let left = halted.unconsumed.iter().filter(|(name, _)| counts(name));
        left.map(|(_, left)| left.end - left.start).max().unwrap_or(0)
    }
}

fn running<P: ProducerKind>(
    ring: Result<Disruptor<Slot, P, Wait>, crate::disruptor::BuildError>,
    sinks: Vec<(SinkDefinition, SinkRunner)>,
) -> Result<Disruptor<Slot, P, Wait>, String> {
    let mut ring = ring.map_err(|error| error.to_string())?;
    let mut ids: Vec<(String, ConsumerId)> = Vec::new();
    for (definition, runner) in sinks {
        let consumer = Consumer::fallible(runner).named(definition.name.as_str());
        let is_before = |(name, _): &&(String, ConsumerId)| definition.after.contains(name);
        let after: Vec<_> = ids.iter().filter(is_before).map(|(_, id)| *id).collect();
        let added = if after.is_empty() {
            ring.handle(consumer).map(|group| group.id())
        } else {
            ring.after(&after).and_then(|group| group.then_handle(consumer)).map(|group| group.id())
        };
        ids.push((definition.name, added.map_err(|error| error.to_string())?));
    }
    ring.start().map_err(|error| error.to_string())?;
    Ok(ring)
}

/// The producing side. Any thread may publish.
pub enum Producer {
    Single(Mutex<RingBuffer<Slot, SingleProducer, Wait>>),
    Multi(Producers),
}

/// Producers of one ring, as many as have ever published at once.
pub struct Producers {
    first: RingBuffer<Slot, MultiProducer, Wait>,
    idle: Mutex<Vec<RingBuffer<Slot, MultiProducer, Wait>>>,
}

impl Producer {
    /// Publishes all of the events, or none, without waiting.
    pub fn try_publish(
        &self,
        events: &[Event],
        at: Duration,
        window: &Window,
    ) -> Result<Range<u64>, ClaimError> {
        fn publish<P: ProducerKind>(
            ring: &mut RingBuffer<Slot, P, Wait>,
            events: &[Event],
            at: Duration,
            window: &Window,
        ) -> Result<Range<u64>, ClaimError> {
            let mut claim = ring.try_claim_n(events.len())?;
            let first = claim.sequences().start;
            for ((slot, event), sequence) in claim.slots_mut().zip(events).zip(first..) {
                *slot = Slot { event: Some(event.clone()), at };
                window.put(sequence, event.clone());
            }
            Ok(claim.publish())
        }
        let sequences = match self {
            Self::Single(ring) => publish(&mut ring.lock(), events, at, window),
            Self::Multi(producers) => {
                let idle = producers.idle.lock().pop();
                let mut ring = idle.unwrap_or_else(|| producers.first.clone());
                let published = publish(&mut ring, events, at, window);
                producers.idle.lock().push(ring);
                published
            }
        }?;
        window.ring();
        Ok(sequences)
    }
}

/// A consumer outside of the graph, that reads when it likes and holds up the producers.
pub enum Poller {
    Single(EventPoller<Slot, SingleProducer, Wait>),
    Multi(EventPoller<Slot, MultiProducer, Wait>),
}

impl Poller {
    /// The sequence that it reads next.
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Single(poller) => poller.sequence(),
            Self::Multi(poller) => poller.sequence(),
        }
    }

    /// Waits for events and takes them out. An empty answer means that there was none in time.
    pub fn wait(&mut self, timeout: Duration) -> Result<Vec<(u64, Event)>, PollError> {
        fn wait<P: ProducerKind>(
            poller: &mut EventPoller<Slot, P, Wait>,
            timeout: Duration,
        ) -> Result<Vec<(u64, Event)>, PollError> {
            match poller.wait(Some(timeout)) {
                Ok(batch) => {
                    let event = |(sequence, slot): (u64, &Slot)| Some((sequence, slot.event.clone()?));
                    Ok(batch.iter().filter_map(event).collect())
                }
                Err(PollError::Idle) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        }
        match self {
            Self::Single(poller) => wait(poller, timeout),
            Self::Multi(poller) => wait(poller, timeout),
        }
    }
}

/// What the ring tells about a claim that failed, in the engine's words.
pub fn is_full(error: &ClaimError) -> Option<&Arc<str>> {
    match error {
        ClaimError::Full { slowest, .. } | ClaimError::TimedOut { slowest, .. } => Some(slowest),
        _ => None,
    }
}

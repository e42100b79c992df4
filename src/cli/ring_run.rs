//! Numbers through a ring of this process: timed, and checked on the other side.
//!
//! Reading a clock takes about as long as ten events take through a ring. So only one event in `stamp_every` carries a
//! time, and the others are passed without one.

use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::exit::Failure;
use super::latency::Latency;
use super::schedule::{Schedule, wait_until};
use crate::disruptor::{
    ClaimError, Disruptor, DisruptorBuilder, EventHandler, MultiProducer, NamedWaitStrategy, ProducerKind,
    RingBuffer, SlotsMut, Stats, WaitStrategy,
};

/// What is to be run.
pub struct Plan {
    pub producers: u64,
    /// Each sees every event.
    pub consumers: u64,
    /// At most `EVENTS_MAX`.
    pub events: u64,
    /// When to end, if not all events have been published by then.
    pub duration: Option<Duration>,
    /// Events that are published at once.
    pub batch: u64,
    pub slots: usize,
    pub wait: NamedWaitStrategy,
    /// Bytes of an event beside its number.
    pub payload: usize,
    /// Events per second; 0 for as many as go.
    pub rate: u64,
    /// A power of two: the distance of the events whose latency is measured.
    pub stamp_every: u64,
}

/// What a run has come to.
pub struct Outcome {
    pub published: u64,
    /// Events that each consumer has seen, the fewest if they differ.
    pub seen: u64,
    /// From the first publication to the end of the last consumer.
    pub took: Duration,
    /// From the publication, or from the time it was meant for, to the consumer.
    pub latency: Latency,
    /// Whether each consumer saw the numbers and bytes that were sent, those of one producer in order.
    pub is_right: bool,
}

/// How far a run is.
pub struct Now<'r> {
    stats: Stats,
    consumers: &'r [Arc<Mutex<Seen>>],
}

pub const THREADS_MAX: u64 = 64;
/// A number's upper bits tell its producer.
pub const EVENTS_MAX: u64 = 1 << 48;
const SLOT_BYTES_MAX: usize = 1 << 30;
const LOOK: Duration = Duration::from_millis(50);

struct Event<B> {
    number: u64,
    /// Nanoseconds after the start; of no meaning unless the number's latency is measured.
    stamp: u64,
    payload: B,
}

/// What an event carries beside its number. No bytes take no room, so that the small event is small.
trait Payload: Send + Sync + 'static {
    fn new(bytes: usize) -> Self;

    /// Writes what belongs to a number, and returns its sum.
    fn fill(&mut self, number: u64) -> u64;

    fn sum(&self) -> u64;
}

impl Payload for () {
    fn new(_bytes: usize) -> Self {}

    fn fill(&mut self, _number: u64) -> u64 {
        0
    }

    fn sum(&self) -> u64 {
        0
    }
}

impl Payload for Box<[u8]> {
    fn new(bytes: usize) -> Self {
        vec![0; bytes].into()
    }

    fn fill(&mut self, number: u64) -> u64 {
        let byte = number as u8;
        <[u8]>::fill(self, byte);
        u64::from(byte) * self.len() as u64
    }

    fn sum(&self) -> u64 {
        self.iter().map(|byte| u64::from(*byte)).sum()
    }
}

/// Events that were sent, or seen.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    events: u64,
    sum: u64,
}

/// What a consumer has seen.
#[derive(Default)]
struct Seen {
    latency: Latency,
    tally: Tally,
    is_in_order: bool,
    ended: Duration,
}

impl Now<'_> {
    /// Events that every consumer has seen.
    pub fn events(&self) -> u64 {
        self.stats.consumers.iter().map(|consumer| consumer.sequence).min().unwrap_or(0)
    }

    /// How full the ring is, in percent.
    pub fn fill(&self) -> u64 {
        let capacity = self.stats.capacity as u64;
        self.stats.slowest().map_or(0, |slowest| 100 * slowest.lag.min(capacity) / capacity)
    }

    /// The latency so far, in nanoseconds, of the consumer that has the longest.
    pub fn p99(&self) -> u64 {
        self.consumers.iter().map(|seen| seen.lock().latency.quantile(0.99)).max().unwrap_or(0)
    }
}

/// Runs a plan, and shows now and then how far it is to `go_on`, which can end it.
///
/// Errors: a ring that cannot be, or threads that cannot.
pub fn run(plan: &Plan, go_on: &mut dyn FnMut(&Now<'_>) -> bool) -> Result<Outcome, Failure> {
    let bytes = plan.slots.saturating_mul(size_of::<Event<Box<[u8]>>>().saturating_add(plan.payload));
    if bytes > SLOT_BYTES_MAX {
        return Err(Failure::usage(format!(
            "--size: {} slots take {bytes} bytes, more than the {SLOT_BYTES_MAX} that are allowed",
            plan.slots
        )));
    }
    let builder = DisruptorBuilder::new().buffer_size(plan.slots);
    match plan.payload {
        0 => choose_wait::<()>(builder, plan, go_on),
        _ => choose_wait::<Box<[u8]>>(builder, plan, go_on),
    }
}

/// The common strategies as types of their own, as a program has them; the others behind a virtual call.
fn choose_wait<B: Payload>(
    builder: DisruptorBuilder,
    plan: &Plan,
    go_on: &mut dyn FnMut(&Now<'_>) -> bool,
) -> Result<Outcome, Failure> {
    match plan.wait {
        NamedWaitStrategy::BusySpin => {
            choose_producer::<B, _>(builder.busy_spin_wait_strategy(), plan, go_on)
        }
        NamedWaitStrategy::Yielding => choose_producer::<B, _>(builder.yielding_wait_strategy(), plan, go_on),
        NamedWaitStrategy::Sleeping => choose_producer::<B, _>(builder.sleeping_wait_strategy(), plan, go_on),
        NamedWaitStrategy::Blocking => choose_producer::<B, _>(builder.blocking_wait_strategy(), plan, go_on),
        other => choose_producer::<B, _>(builder.wait_strategy(other.build()), plan, go_on),
    }
}

fn choose_producer<B: Payload, W: WaitStrategy>(
    builder: DisruptorBuilder<MultiProducer, W>,
    plan: &Plan,
    go_on: &mut dyn FnMut(&Now<'_>) -> bool,
) -> Result<Outcome, Failure> {
    let event = || Event { number: 0, stamp: 0, payload: B::new(plan.payload) };
    if plan.producers == 1 {
        let mut disruptor = builder.single_producer().build_with(event).map_err(wrong_size)?;
        let rings = disruptor.take_producer().into_iter().collect();
        pass(disruptor, rings, plan, go_on)
    } else {
        let disruptor = builder.build_with(event).map_err(wrong_size)?;
        let rings = (0..plan.producers).map(|_| disruptor.producer()).collect();
        pass(disruptor, rings, plan, go_on)
    }
}

fn pass<B: Payload, P: ProducerKind, W: WaitStrategy>(
    mut disruptor: Disruptor<Event<B>, P, W>,
    rings: Vec<RingBuffer<Event<B>, P, W>>,
    plan: &Plan,
    go_on: &mut dyn FnMut(&Now<'_>) -> bool,
) -> Result<Outcome, Failure> {
    let clock = Instant::now();
    let consumers: Vec<Arc<Mutex<Seen>>> = (0..plan.consumers).map(|_| Arc::default()).collect();
    for seen in &consumers {
        let checker = Checker {
            clock,
            unstamped: plan.stamp_every - 1,
            tally: Tally::default(),
            is_in_order: true,
            seen: Arc::clone(seen),
        };
        disruptor.handle_events_with(checker).map_err(failed)?;
    }
    disruptor.start().map_err(failed)?;
    let monitor = disruptor.monitor();
    let (is_over, running) = (AtomicBool::new(false), AtomicU64::new(rings.len() as u64));
    let sent = thread::scope(|scope| {
        let main = thread::current();
        let mut threads = Vec::new();
        for (ring, producer) in rings.into_iter().zip(0..) {
            let (is_over, running, main) = (&is_over, &running, main.clone());
            let publish = move || {
                let sent = publish(ring, producer, plan, clock, is_over);
                // Relaxed, here and below: what was sent comes through the join.
                running.fetch_sub(1, Ordering::Relaxed);
                main.unpark();
                sent
            };
            match thread::Builder::new().name(format!("producer-{producer}")).spawn_scoped(scope, publish) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    is_over.store(true, Ordering::Relaxed);
                    return Err(failed(error));
                }
            }
        }
        while running.load(Ordering::Relaxed) > 0 && !threads.iter().all(|thread| thread.is_finished()) {
            let left = plan.duration.map_or(LOOK, |duration| duration.saturating_sub(clock.elapsed()));
            if !go_on(&Now { stats: monitor.stats(), consumers: &consumers }) || left.is_zero() {
                is_over.store(true, Ordering::Relaxed);
            }
            thread::park_timeout(if left.is_zero() { LOOK } else { left.min(LOOK) });
        }
        let joined = threads.into_iter().map(|thread| thread.join().expect("a producer's panic is a bug"));
        joined.collect::<Result<Vec<Sent>, _>>().map_err(failed)
    })?;
    disruptor.shutdown().map_err(failed)?;
    let published = Tally::of_all(sent.iter().map(|sent| sent.tally));
    let mut outcome = Outcome {
        published: published.events,
        seen: u64::MAX,
        took: Duration::ZERO,
        latency: Latency::default(),
        is_right: true,
    };
    let began = sent.iter().map(|sent| sent.began).min().unwrap_or_default();
    for seen in &consumers {
        let seen = seen.lock();
        outcome.is_right &= seen.tally == published && (seen.is_in_order || plan.producers > 1);
        outcome.seen = outcome.seen.min(seen.tally.events);
        outcome.took = outcome.took.max(seen.ended.saturating_sub(began));
        outcome.latency.add(&seen.latency);
    }
    Ok(outcome)
}

/// What a producer has sent, and since when.
struct Sent {
    tally: Tally,
    began: Duration,
}

fn publish<B: Payload, P: ProducerKind, W: WaitStrategy>(
    mut ring: RingBuffer<Event<B>, P, W>,
    producer: u64,
    plan: &Plan,
    clock: Instant,
    is_over: &AtomicBool,
) -> Result<Sent, ClaimError> {
    let share = plan.events / plan.producers + u64::from(producer < plan.events % plan.producers);
    let schedule = Schedule { rate: plan.rate, batch: plan.batch, senders: plan.producers };
    let (first, unstamped) = (producer * EVENTS_MAX, plan.stamp_every - 1);
    let (began, mut tally, mut batches) = (clock.elapsed(), Tally::default(), 0);
    while tally.events < share && !is_over.load(Ordering::Relaxed) {
        let mut due = None;
        if plan.rate > 0 {
            let intended = began + schedule.due(producer, batches);
            wait_until(clock, intended, || is_over.load(Ordering::Relaxed));
            due = Some(intended.as_nanos() as u64);
            batches += 1;
        }
        let number = first + tally.events;
        let mut fill = |event: &mut Event<B>, number: u64| {
            event.number = number;
            if number & unstamped == 0 {
                event.stamp = due.unwrap_or_else(|| clock.elapsed().as_nanos() as u64);
            }
            tally.add(number, event.payload.fill(number));
        };
        match plan.batch.min(share - (number - first)) {
            1 => ring.publish_event(|event, _| fill(event, number)).map(drop)?,
            count => {
                let fill_all = |slots: SlotsMut<'_, Event<B>>| {
                    slots.zip(number..).for_each(|(event, number)| fill(event, number));
                };
                ring.publish_batch(count as usize, fill_all).map(drop)?;
            }
        }
    }
    Ok(Sent { tally, began })
}

impl Tally {
    #[inline]
    fn add(&mut self, number: u64, bytes: u64) {
        self.events += 1;
        self.sum = self.sum.wrapping_add(number).wrapping_add(bytes);
    }

    fn of_all(tallies: impl Iterator<Item = Self>) -> Self {
        tallies.fold(Self::default(), |all, one| Self {
            events: all.events + one.events,
            sum: all.sum.wrapping_add(one.sum),
        })
    }
}

/// A consumer that measures, and checks what comes.
struct Checker {
    clock: Instant,
    unstamped: u64,
    tally: Tally,
    is_in_order: bool,
    seen: Arc<Mutex<Seen>>,
}

impl<B: Payload> EventHandler<Event<B>> for Checker {
    #[inline]
    fn on_event(&mut self, event: &Event<B>, _sequence: u64, _end_of_batch: bool) {
        self.is_in_order &= event.number == self.tally.events;
        self.tally.add(event.number, event.payload.sum());
        if event.number & self.unstamped == 0 {
            let nanos = self.clock.elapsed().as_nanos() as u64;
            self.seen.lock().latency.record(nanos.saturating_sub(event.stamp));
        }
    }

    fn on_shutdown(&mut self) {
        let mut seen = self.seen.lock();
        (seen.tally, seen.is_in_order, seen.ended) = (self.tally, self.is_in_order, self.clock.elapsed());
    }
}

fn wrong_size(error: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("--size: {error}"))
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::with_code(1, error.to_string())
}

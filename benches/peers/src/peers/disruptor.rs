//! The `disruptor` crate: `publish` and `batch_publish`, handler closures, and graphs by `and_then`.
//!
//! It comes with spinning strategies only. Yielding is a strategy of ours beside its `try_` methods, which
//! leave a full ring to their caller. Of a ping-pong, the side that measures is an event poller: a
//! handler that owned the other ring's producer would wait for itself at the end.

use std::cell::Cell;
use std::hint::spin_loop;
use std::thread::yield_now;

use disruptor::wait_strategies::WaitStrategy;
use disruptor::{BusySpin, BusySpinWithSpinLoopHint, ProcessorSettings, Producer, Sequence};
use disruptor::{build_multi_producer, build_single_producer};

use crate::event::Event;
use crate::flow::{Shape, Share};
use crate::lap::Lap;
use crate::latency::{Paced, PingPong};
use crate::machine::{Cpus, pin};
use crate::pause::SPINS;
use crate::peer::Library;
use crate::scenario::Wait;

pub struct Disruptor {
    /// Whether its consumers pause between two looks: two forms of busy spin.
    pub hints: bool,
}

/// Calls a function with the strategy behind its other arguments; false if there is none.
macro_rules! with_strategy {
    ($hints:expr, $wait:expr, $call:ident $(::<$words:literal>)? ($($argument:expr),*)) => {
        match ($wait, $hints) {
            (Wait::Busy, false) => $call$(::<$words, _>)?($($argument,)* BusySpin),
            (Wait::Busy, true) => $call$(::<$words, _>)?($($argument,)* BusySpinWithSpinLoopHint),
            (Wait::Yielding, false) => $call$(::<$words, _>)?($($argument,)* Yielding),
            _ => false,
        }
    };
}

impl Library for Disruptor {
    fn name(&self) -> &'static str {
        if self.hints { "disruptor-hint" } else { "disruptor" }
    }

    fn flow(&self, lap: &Lap) -> bool {
        match lap.flow.words {
            1 => with_strategy!(self.hints, lap.wait, flow::<1>(lap)),
            8 => with_strategy!(self.hints, lap.wait, flow::<8>(lap)),
            32 => with_strategy!(self.hints, lap.wait, flow::<32>(lap)),
            128 => with_strategy!(self.hints, lap.wait, flow::<128>(lap)),
            _ => false,
        }
    }

    fn ping_pong(&self, lap: &PingPong) -> bool {
        with_strategy!(self.hints, lap.wait, ping_pong(lap))
    }

    fn paced(&self, lap: &Paced) -> bool {
        with_strategy!(self.hints, lap.wait, paced(lap))
    }
}

/// Looks again a hundred times for each event, then yields between looks.
#[derive(Clone, Copy)]
struct Yielding;

thread_local! {
    /// The event that was waited for at the last look, and how often it was looked for.
    static LOOKS: Cell<(Sequence, u32)> = const { Cell::new((-1, 0)) };
}

impl WaitStrategy for Yielding {
    fn wait_for(&self, sequence: Sequence) {
        let (last, looks) = LOOKS.get();
        let looks = if sequence == last { looks } else { 0 };
        LOOKS.set((sequence, looks.saturating_add(1)));
        if looks < SPINS { spin_loop() } else { yield_now() }
    }
}

/// The consumers of a lap behind a builder, whose type changes with each of them, and their producers.
macro_rules! run {
    ($lap:ident, $builder:expr, $producers:ident) => {{
        let handler = || {
            let mut sink = $lap.sink();
            move |event: &Event<WORDS>, _: Sequence, _: bool| sink.take(event)
        };
        let builder = pinned($builder, $lap.cpus);
        match $lap.flow.shape {
            Shape::Unicast | Shape::Multicast(1) | Shape::Pipeline(1) => {
                $producers($lap, builder.handle_events_with(handler()).build());
            }
            Shape::Multicast(consumers) => {
                let builder = builder.with_multi_consumer();
                let builder =
                    (0..consumers).fold(builder, |builder, _| builder.handle_events_with(handler()));
                $producers($lap, builder.build());
            }
            Shape::Pipeline(3) => {
                let builder = builder.handle_events_with(handler()).and_then();
                let builder = builder.handle_events_with(handler()).and_then();
                $producers($lap, builder.handle_events_with(handler()).build());
            }
            Shape::Diamond => {
                let builder = builder.handle_events_with(handler()).handle_events_with(handler());
                $producers($lap, builder.and_then().handle_events_with(handler()).build());
            }
            Shape::Pipeline(_) => return false,
        }
        true
    }};
}

fn flow<const WORDS: usize, W: WaitStrategy + 'static>(lap: &Lap, wait: W) -> bool {
    let (capacity, event) = (lap.flow.capacity, || Event::<WORDS>::new(0));
    if lap.flow.is_shared {
        run!(lap, build_multi_producer(capacity, event, wait), drive_clones)
    } else {
        run!(lap, build_single_producer(capacity, event, wait), drive_one)
    }
}

fn drive_one<const WORDS: usize>(lap: &Lap, producer: impl Producer<Event<WORDS>> + Send) {
    lap.drive(vec![producer], |producer, share| publish(producer, share, lap.wait));
}

fn drive_clones<const WORDS: usize>(lap: &Lap, producer: impl Producer<Event<WORDS>> + Clone + Send) {
    let clones: Vec<_> = (1..lap.flow.producers).map(|_| producer.clone()).collect();
    let producers = clones.into_iter().chain([producer]).collect();
    lap.drive(producers, |producer, share| publish(producer, share, lap.wait));
}

fn publish<const WORDS: usize>(mut producer: impl Producer<Event<WORDS>>, share: Share, wait: Wait) {
    let size = share.batch as usize;
    match (wait, size) {
        (Wait::Busy, 1) => share.singles().for_each(|value| producer.publish(|event| event.write(value))),
        (Wait::Busy, _) => {
            for first in share.batches() {
                producer.batch_publish(size, |slots| {
                    slots.zip(first..).for_each(|(event, value)| event.write(value));
                });
            }
        }
        (_, 1) => {
            for value in share.singles() {
                wait.until(|| producer.try_publish(|event| event.write(value)).ok());
            }
        }
        (..) => {
            for first in share.batches() {
                wait.until(|| {
                    let sent = producer.try_batch_publish(size, |slots| {
                        slots.zip(first..).for_each(|(event, value)| event.write(value));
                    });
                    sent.ok()
                });
            }
        }
    }
}

fn ping_pong<W: WaitStrategy + 'static>(lap: &PingPong, wait: W) -> bool {
    let pongs = build_single_producer(lap.capacity, u64::default, wait);
    let (mut poller, builder) = pongs.new_event_poller();
    let mut pongs = builder.build();
    let pings = pinned(build_single_producer(lap.capacity, u64::default, wait), lap.cpus);
    let echo = move |ping: &u64, _, _| pongs.publish(|event| *event = *ping);
    let mut pings = pings.handle_events_with(echo).build();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            pin(lap.cpus.map(|cpus| cpus.producer));
            lap.drive(|ping| {
                pings.publish(|event| *event = ping);
                lap.wait.until(|| poller.poll().ok().and_then(|mut events| (&mut events).next().copied()))
            });
        });
    });
    true
}

fn paced<W: WaitStrategy + 'static>(lap: &Paced, wait: W) -> bool {
    let builder = pinned(build_single_producer(lap.capacity, u64::default, wait), lap.cpus);
    let mut sink = lap.sink();
    let mut producer = builder.handle_events_with(move |due: &u64, _, _| sink.take(*due)).build();
    lap.drive(move |due| producer.publish(|event| *event = due));
    true
}

fn pinned<E, W, B: ProcessorSettings<E, W>>(builder: B, cpus: Option<Cpus>) -> B {
    match cpus {
        Some(cpus) => builder.pin_at_core(cpus.consumer.id),
        None => builder,
    }
}

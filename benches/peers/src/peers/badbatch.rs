//! This crate: `publish_event` and `publish_batch`, and handlers for events or for slices.
//!
//! The side of a ping-pong that measures waits with a poller; the other one is a handler.

use badbatch::base::cpu::CpuId;
use badbatch::disruptor::{
    BlockingWaitStrategy, BusySpinWaitStrategy, ConsumerId, ProducerKind, SingleProducer, SlotsMut,
    WaitStrategy, YieldingWaitStrategy,
};
use badbatch::{Consumer, Disruptor, DisruptorBuilder, RingBuffer};
use core_affinity::CoreId;

use crate::event::Event;
use crate::flow::Share;
use crate::lap::Lap;
use crate::latency::{Paced, PingPong};
use crate::machine::pin;
use crate::peer::Library;
use crate::scenario::Wait;

pub struct Badbatch;

/// Calls a function with the wait strategy of that name behind its other arguments.
macro_rules! with_strategy {
    ($wait:expr, $call:ident $(::<$words:literal>)? ($($argument:expr),*)) => {
        match $wait {
            Wait::Busy => $call$(::<$words, _>)?($($argument,)* BusySpinWaitStrategy),
            Wait::Yielding => $call$(::<$words, _>)?($($argument,)* YieldingWaitStrategy),
            Wait::Blocking => $call$(::<$words, _>)?($($argument,)* BlockingWaitStrategy),
        }
    };
}

impl Library for Badbatch {
    fn name(&self) -> &'static str {
        "badbatch"
    }

    fn counts_batches(&self) -> bool {
        true
    }

    fn flow(&self, lap: &Lap) -> bool {
        match lap.flow.words {
            1 => with_strategy!(lap.wait, flow::<1>(lap)),
            8 => with_strategy!(lap.wait, flow::<8>(lap)),
            32 => with_strategy!(lap.wait, flow::<32>(lap)),
            128 => with_strategy!(lap.wait, flow::<128>(lap)),
            _ => return false,
        }
        true
    }

    fn ping_pong(&self, lap: &PingPong) -> bool {
        with_strategy!(lap.wait, ping_pong(lap));
        true
    }

    fn paced(&self, lap: &Paced) -> bool {
        with_strategy!(lap.wait, paced(lap));
        true
    }
}

fn flow<const WORDS: usize, W: WaitStrategy>(lap: &Lap, wait: W) {
    let builder = DisruptorBuilder::new().buffer_size(lap.flow.capacity).wait_strategy(wait);
    let event = || Event::<WORDS>::new(0);
    if lap.flow.is_shared {
        let disruptor = builder.multi_producer().build_with(event).expect("the capacity is a power of two");
        let producers = (0..lap.flow.producers).map(|_| disruptor.producer()).collect();
        run(lap, disruptor, producers);
    } else {
        let mut disruptor =
            builder.single_producer().build_with(event).expect("the capacity is a power of two");
        let producers = disruptor.take_producer().into_iter().collect();
        run(lap, disruptor, producers);
    }
}

fn run<const WORDS: usize, P: ProducerKind, W: WaitStrategy>(
    lap: &Lap,
    mut disruptor: Disruptor<Event<WORDS>, P, W>,
    producers: Vec<RingBuffer<Event<WORDS>, P, W>>,
) {
    let mut ids = Vec::<ConsumerId>::new();
    for follows in lap.flow.shape.follows() {
        let follows: Vec<_> = follows.into_iter().map(|consumer| ids[consumer]).collect();
        let group = disruptor.after(&follows).expect("the consumers belong to this disruptor");
        let mut sink = lap.sink();
        let cpu = cpu(lap.cpus.map(|cpus| cpus.consumer));
        let added = if lap.flow.is_sliced {
            let handler = move |events: &[Event<WORDS>], _, _| sink.take_slice(events);
            let consumer = Consumer::batches(handler).pin_each(cpu);
            match lap.batch_sizes() {
                Some(sizes) => group.then_handle(consumer.observed_by(sizes)),
                None => group.then_handle(consumer),
            }
        } else {
            let handler = move |event: &Event<WORDS>, _, _| sink.take(event);
            let consumer = Consumer::reading(handler).pin_each(cpu);
            match lap.batch_sizes() {
                Some(sizes) => group.then_handle(consumer.observed_by(sizes)),
                None => group.then_handle(consumer),
            }
        };
        ids.push(added.expect("the disruptor is open").id());
    }
    disruptor.start().expect("the consumers' threads start");
    lap.drive(producers, publish);
    disruptor.shutdown().expect("the producers are dropped");
}

fn publish<const WORDS: usize, P: ProducerKind, W: WaitStrategy>(
    mut producer: RingBuffer<Event<WORDS>, P, W>,
    share: Share,
) {
    if share.batch == 1 {
        for value in share.singles() {
            producer
                .publish_event(|event: &mut Event<WORDS>, _| event.write(value))
                .expect("the disruptor runs");
        }
        return;
    }
    for first in share.batches() {
        let fill = |slots: SlotsMut<'_, Event<WORDS>>| {
            slots.zip(first..).for_each(|(event, value)| event.write(value));
        };
        producer.publish_batch(share.batch as usize, fill).expect("the disruptor runs");
    }
}

fn ping_pong<W: WaitStrategy + Copy>(lap: &PingPong, wait: W) {
    let (mut there, mut pings) = pair(lap.capacity, wait);
    let (mut back, mut pongs) = pair(lap.capacity, wait);
    let echo = move |ping: &u64, _, _| {
        pongs.publish_event(|event, _| *event = *ping).expect("the ring runs");
    };
    let mut poller = back.new_poller(&[]).expect("the ring is open");
    let other = cpu(lap.cpus.map(|cpus| cpus.consumer));
    there.handle(Consumer::reading(echo).pin_each(other)).expect("the ring is open");
    there.start().expect("the thread starts");
    back.start().expect("a poller is enough");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            pin(lap.cpus.map(|cpus| cpus.producer));
            lap.drive(|ping| {
                pings.publish_event(|event, _| *event = ping).expect("the ring runs");
                let pongs = poller.wait(None).expect("the ring runs");
                pongs.iter().next().map(|(_sequence, pong)| *pong).expect("a batch is never empty")
            });
        });
    });
    there.shutdown().expect("its producer is dropped");
    back.shutdown().expect("its producer is dropped");
}

fn paced<W: WaitStrategy>(lap: &Paced, wait: W) {
    let (mut disruptor, mut producer) = pair(lap.capacity, wait);
    let mut sink = lap.sink();
    let consumer = Consumer::reading(move |due: &u64, _, _| sink.take(*due));
    disruptor.handle(consumer.pin_each(cpu(lap.cpus.map(|cpus| cpus.consumer)))).expect("the ring is open");
    disruptor.start().expect("the thread starts");
    lap.drive(move |due| {
        producer.publish_event(|event, _| *event = due).expect("the ring runs");
    });
    disruptor.shutdown().expect("the producer is dropped");
}

type Pair<W> = (Disruptor<u64, SingleProducer, W>, RingBuffer<u64, SingleProducer, W>);

fn pair<W: WaitStrategy>(capacity: usize, wait: W) -> Pair<W> {
    let builder = DisruptorBuilder::new().buffer_size(capacity).wait_strategy(wait);
    let mut disruptor = builder.single_producer().build().expect("the capacity is a power of two");
    let producer = disruptor.take_producer().expect("it is taken once");
    (disruptor, producer)
}

fn cpu(core: Option<CoreId>) -> Option<CpuId> {
    core.map(|core| CpuId(core.id as u32))
}

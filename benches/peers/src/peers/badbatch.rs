//! This crate: `publish_event` and `publish_batch`, and a handler that reads.

use badbatch::base::cpu::CpuId;
use badbatch::disruptor::{BusySpinWaitStrategy, ProducerKind, SlotsMut};
use badbatch::{Consumer, Disruptor, DisruptorBuilder, RingBuffer};

use crate::peer::{Lap, Peer};
use crate::scenario::{CAPACITY, Share};

pub struct Badbatch;

type Wait = BusySpinWaitStrategy;

impl Peer for Badbatch {
    fn name(&self) -> &'static str {
        "badbatch"
    }

    fn run(&self, lap: &Lap) -> bool {
        let builder = DisruptorBuilder::new().buffer_size(CAPACITY).busy_spin_wait_strategy();
        if lap.scenario.is_shared {
            let disruptor = builder.multi_producer().build().expect("the capacity is a power of two");
            let producers = (0..lap.scenario.producers).map(|_| disruptor.producer()).collect();
            run(lap, disruptor, producers);
        } else {
            let mut disruptor = builder.single_producer().build().expect("the capacity is a power of two");
            let producers = disruptor.take_producer().into_iter().collect();
            run(lap, disruptor, producers);
        }
        true
    }
}

fn run<P: ProducerKind>(
    lap: &Lap,
    mut disruptor: Disruptor<u64, P, Wait>,
    producers: Vec<RingBuffer<u64, P, Wait>>,
) {
    let mut sink = lap.sink();
    let consumer = Consumer::reading(move |value: &u64, _, _| sink.take(*value));
    let cpu = lap.cpus.map(|cpus| CpuId(cpus.consumer.id as u32));
    disruptor.handle(consumer.pinned_to(cpu)).expect("the disruptor is open");
    disruptor.start().expect("the consumer's thread starts");
    lap.drive(producers, publish);
    disruptor.shutdown().expect("the producers are dropped");
}

fn publish<P: ProducerKind>(mut producer: RingBuffer<u64, P, Wait>, share: Share) {
    if share.batch == 1 {
        for value in share.singles() {
            producer.publish_event(|event: &mut u64, _| *event = value).expect("the disruptor runs");
        }
        return;
    }
    for first in share.batches() {
        let fill = |slots: SlotsMut<'_, u64>| {
            slots.zip(first..).for_each(|(event, value)| *event = value);
        };
        producer.publish_batch(share.batch as usize, fill).expect("the disruptor runs");
    }
}

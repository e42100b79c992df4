//! The `disruptor` crate: `publish` and `batch_publish`, and a handler closure.

use disruptor::wait_strategies::WaitStrategy;
use disruptor::{BusySpin, BusySpinWithSpinLoopHint, ProcessorSettings, Producer};
use disruptor::{build_multi_producer, build_single_producer};

use crate::peer::{Lap, Peer};
use crate::scenario::{CAPACITY, Share};

pub struct Disruptor {
    /// Whether its consumer pauses between two looks.
    pub hints: bool,
}

impl Peer for Disruptor {
    fn name(&self) -> &'static str {
        if self.hints { "disruptor, spin hint" } else { "disruptor" }
    }

    fn run(&self, lap: &Lap) -> bool {
        if self.hints {
            run(lap, BusySpinWithSpinLoopHint)
        } else {
            run(lap, BusySpin)
        }
        true
    }
}

fn run<W: WaitStrategy + 'static>(lap: &Lap, wait: W) {
    let mut sink = lap.sink();
    let handler = move |value: &u64, _, _| sink.take(*value);
    if lap.scenario.is_shared {
        let builder = pinned(build_multi_producer(CAPACITY, u64::default, wait), lap);
        let producer = builder.handle_events_with(handler).build();
        let clones: Vec<_> = (1..lap.scenario.producers).map(|_| producer.clone()).collect();
        lap.drive(clones.into_iter().chain([producer]).collect(), publish);
    } else {
        let builder = pinned(build_single_producer(CAPACITY, u64::default, wait), lap);
        lap.drive(vec![builder.handle_events_with(handler).build()], publish);
    }
}

fn pinned<E, W, B: ProcessorSettings<E, W>>(builder: B, lap: &Lap) -> B {
    match lap.cpus {
        Some(cpus) => builder.pin_at_core(cpus.consumer.id),
        None => builder,
    }
}

fn publish(mut producer: impl Producer<u64>, share: Share) {
    if share.batch == 1 {
        share.singles().for_each(|value| producer.publish(|event| *event = value));
        return;
    }
    for first in share.batches() {
        producer.batch_publish(share.batch as usize, |slots| {
            slots.zip(first..).for_each(|(event, value)| *event = value);
        });
    }
}

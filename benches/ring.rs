//! The ring by itself: nanoseconds per event of 8 bytes from the first publication to the handler's
//! last event, and events per second. `benches/peers` has the comparison with other crates.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use badbatch::disruptor::{BusySpinWaitStrategy, ProducerKind, SlotsMut, WaitStrategy, YieldingWaitStrategy};
use badbatch::{Consumer, Disruptor, DisruptorBuilder, RingBuffer};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

const CAPACITY: usize = 65_536;
/// The events of one iteration. It divides by every number of producers times every batch size.
const EVENTS: u64 = 200_000;

fn single_producer<W: WaitStrategy + Copy>(group: &mut BenchmarkGroup<'_, WallTime>, wait: W) {
    for batch in [1, 10, 100] {
        bench(group, &format!("1 to 1, batch {batch}"), batch, || {
            let builder = DisruptorBuilder::new().buffer_size(CAPACITY).single_producer();
            let mut disruptor = builder.wait_strategy(wait).build().expect("the capacity is a power of two");
            let producers = disruptor.take_producer().into_iter().collect();
            (disruptor, producers)
        });
    }
}

fn multi_producer<W: WaitStrategy + Copy>(group: &mut BenchmarkGroup<'_, WallTime>, wait: W) {
    for (count, batch) in [(1, 1), (1, 10), (2, 1)] {
        bench(group, &format!("{count} to 1, multi-producer, batch {batch}"), batch, || {
            let builder = DisruptorBuilder::new().buffer_size(CAPACITY).multi_producer();
            let disruptor = builder.wait_strategy(wait).build().expect("the capacity is a power of two");
            let producers = (0..count).map(|_| disruptor.producer()).collect();
            (disruptor, producers)
        });
    }
}

/// A ring and its producers.
type Parts<P, W> = (Disruptor<u64, P, W>, Vec<RingBuffer<u64, P, W>>);

fn bench<P: ProducerKind, W: WaitStrategy>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    batch: u64,
    build: impl Fn() -> Parts<P, W>,
) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| pass(build(), iterations * EVENTS, batch));
    });
}

/// Passes `events` events through the ring, and returns how long that took.
fn pass<P: ProducerKind, W: WaitStrategy>(parts: Parts<P, W>, events: u64, batch: u64) -> Duration {
    let (mut disruptor, producers) = parts;
    let share = events / producers.len() as u64;
    // No value is 0, so the last event is the one that makes the sum whole.
    let expected = producers.len() as u64 * (share * (share + 1) / 2);
    let finished = Arc::new(OnceLock::new());
    let total = Arc::new(AtomicU64::new(0));
    let mut sum = 0;
    let on_event = {
        let (finished, total) = (Arc::clone(&finished), Arc::clone(&total));
        move |value: &u64, _, _| {
            sum += value;
            if sum >= expected {
                finished.get_or_init(Instant::now);
                // Relaxed: read after the shutdown has joined this thread.
                total.store(sum, Ordering::Relaxed);
            }
        }
    };
    disruptor.handle(Consumer::reading(on_event)).expect("the disruptor is open");
    disruptor.start().expect("the consumer's thread starts");
    let started = OnceLock::new();
    let ready = Barrier::new(producers.len());
    thread::scope(|scope| {
        for producer in producers {
            scope.spawn(|| {
                ready.wait();
                started.get_or_init(Instant::now);
                publish(producer, share, batch);
            });
        }
    });
    disruptor.shutdown().expect("the producers are dropped");
    assert_eq!(total.load(Ordering::Relaxed), expected, "every event is handled once");
    let started = started.get().expect("a producer has started");
    finished.get().expect("the last event was handled").duration_since(*started)
}

fn publish<P: ProducerKind, W: WaitStrategy>(mut producer: RingBuffer<u64, P, W>, share: u64, batch: u64) {
    if batch == 1 {
        for value in 1..=share {
            let fill = |event: &mut u64, _| *event = black_box(value);
            producer.publish_event(fill).expect("the disruptor runs");
        }
        return;
    }
    for first in (1..=share).step_by(batch as usize) {
        let fill = |slots: SlotsMut<'_, u64>| {
            slots.zip(first..).for_each(|(event, value)| *event = black_box(value));
        };
        producer.publish_batch(batch as usize, fill).expect("the disruptor runs");
    }
}

fn rings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("busy-spin");
    configure(&mut group);
    single_producer(&mut group, BusySpinWaitStrategy);
    multi_producer(&mut group, BusySpinWaitStrategy);
    group.finish();
    let mut group = criterion.benchmark_group("yielding");
    configure(&mut group);
    single_producer(&mut group, YieldingWaitStrategy);
    multi_producer(&mut group, YieldingWaitStrategy);
    group.finish();
}

fn configure(group: &mut BenchmarkGroup<'_, WallTime>) {
    group.throughput(Throughput::Elements(EVENTS)).sampling_mode(SamplingMode::Flat);
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    rings(&mut criterion);
    criterion.final_summary();
}

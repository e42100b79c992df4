//! Checksums of every consumer, for each topology.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use badbatch::disruptor::{ConsumerId, MultiProducer, PollError, ProducerKind, SingleProducer};
use badbatch::{Consumer, DisruptorBuilder, EventHandler};

use super::{Disruptor, Event, Producer, Tally, events, for_each_ring, yield_until};

/// The consumers of a disruptor that has not been started.
type Topology<P> = fn(&mut Disruptor<P>) -> Vec<Arc<Tally>>;

/// Sends events through `topology` from one thread, one by one and in batches.
fn check(topology: Topology<SingleProducer>) {
    for_each_ring(|wait, size| {
        let builder = DisruptorBuilder::new().buffer_size(size).wait_strategy(wait).single_producer();
        let mut disruptor = builder.build().expect("the size is a power of two");
        let tallies = topology(&mut disruptor);
        disruptor.start().expect("the topology is sound");
        let count = events(size);
        let mut producer = disruptor.take_producer().expect("it is taken once");
        thread::scope(|scope| scope.spawn(|| publish(&mut producer, 0..count)).join()).expect("it publishes");
        drop(producer);
        let drained = disruptor.shutdown().unwrap_or_else(|error| panic!("size {size}: {error:?}"));
        assert_eq!(drained.end, count);
        tallies.iter().for_each(|tally| tally.check(0..count, &format!("size {size}")));
    });
}

/// Sends events through `topology` from three threads.
fn check_with_three_producers(topology: Topology<MultiProducer>) {
    for_each_ring(|wait, size| {
        let builder = DisruptorBuilder::new().buffer_size(size).wait_strategy(wait);
        let mut disruptor = builder.build().expect("the size is a power of two");
        let tallies = topology(&mut disruptor);
        disruptor.start().expect("the topology is sound");
        let count = events(size).div_ceil(3);
        thread::scope(|scope| {
            for third in 0..3 {
                let mut producer = disruptor.producer();
                scope.spawn(move || publish(&mut producer, third * count..(third + 1) * count));
            }
        });
        let drained = disruptor.shutdown().unwrap_or_else(|error| panic!("size {size}: {error:?}"));
        assert_eq!(drained.end, 3 * count);
        tallies.iter().for_each(|tally| tally.check(0..3 * count, &format!("size {size}")));
    });
}

/// Publishes `values` in all ways, by turns.
fn publish<P: ProducerKind>(producer: &mut Producer<P>, values: std::ops::Range<u64>) {
    const OPEN: &str = "the disruptor is open";
    let (mut next, end) = (values.start, values.end);
    let mut way = 0;
    while next < end {
        let batch = ((end - next) as usize).min(producer.capacity()).min(5);
        match way % 4 {
            0 => {
                producer.publish_event(|event: &mut Event, _: u64| event.write(next)).expect(OPEN);
                next += 1;
            }
            1 => {
                let sequences = producer.publish_batch(batch, |slots| {
                    slots.zip(next..).for_each(|(event, value)| event.write(value));
                });
                next += sequences.expect(OPEN).count() as u64;
            }
            2 => {
                let mut claim = producer.claim_up_to(batch).expect(OPEN);
                claim.slots_mut().zip(next..).for_each(|(event, value)| event.write(value));
                next += claim.publish().count() as u64;
            }
            _ => match producer.next() {
                Ok(sequence) => {
                    producer.get_mut(sequence).expect("it is claimed").write(next);
                    producer.publish(sequence);
                    next += 1;
                }
                Err(error) => panic!("{OPEN}, but: {error}"),
            },
        }
        way += 1;
    }
}

/// Reads every event, in order, after those that it follows.
fn reader(follows: &[&Arc<Tally>]) -> (Arc<Tally>, impl EventHandler<Event>) {
    let tally = Tally::new();
    let (own, follows) =
        (Arc::clone(&tally), follows.iter().map(|&tally| Arc::clone(tally)).collect::<Vec<_>>());
    let handler = move |event: &Event, sequence: u64, _: bool| {
        for before in &follows {
            let reached = before.reached.load(Ordering::Relaxed);
            assert!(reached > sequence, "{sequence} is handled before its time, at {reached}");
        }
        assert_eq!(own.reached.swap(sequence + 1, Ordering::Relaxed), sequence, "events come in order");
        own.add(event.value);
    };
    (tally, handler)
}

fn unicast<P: ProducerKind>(disruptor: &mut Disruptor<P>) -> Vec<Arc<Tally>> {
    let (tally, handler) = reader(&[]);
    disruptor.handle_events_with(handler).expect("it is open");
    vec![tally]
}

fn multicast<P: ProducerKind>(disruptor: &mut Disruptor<P>) -> Vec<Arc<Tally>> {
    (0..3).flat_map(|_| unicast(disruptor)).collect()
}

fn pipeline<P: ProducerKind>(disruptor: &mut Disruptor<P>) -> Vec<Arc<Tally>> {
    let (first, first_handler) = reader(&[]);
    let (second, second_handler) = reader(&[&first]);
    let (third, third_handler) = reader(&[&first, &second]);
    let first_group = disruptor.handle_events_with(first_handler).expect("it is open");
    let second_group = first_group.then(second_handler).expect("it is open");
    second_group.then(third_handler).expect("it is open");
    vec![first, second, third]
}

fn diamond<P: ProducerKind>(disruptor: &mut Disruptor<P>) -> Vec<Arc<Tally>> {
    let (left, left_handler) = reader(&[]);
    let (right, right_handler) = reader(&[]);
    let (join, join_handler) = reader(&[&left, &right]);
    let left_id = disruptor.handle_events_with(left_handler).expect("it is open").id();
    let right_group = disruptor.handle_events_with(right_handler).expect("it is open");
    let both = right_group.and(&[left_id]).expect("it is the same disruptor");
    both.then(join_handler).expect("it is open");
    vec![left, right, join]
}

/// A pool of three, and a reader that sees what the pool has made of the event.
fn pool<P: ProducerKind>(disruptor: &mut Disruptor<P>) -> Vec<Arc<Tally>> {
    let tally = Tally::new();
    let worker = || {
        let tally = Arc::clone(&tally);
        move |event: &mut Event, _: u64, _: bool| {
            event.changed += 1;
            tally.add(event.value);
        }
    };
    let workers = Consumer::workers(vec![worker(), worker(), worker()]);
    let (behind, mut handler) = reader(&[]);
    let group = disruptor.handle(workers).expect("it is open");
    group
        .then(move |event: &Event, sequence: u64, ends: bool| {
            assert_eq!(event.changed, 1, "one worker has had {sequence}");
            handler.on_event(event, sequence, ends);
        })
        .expect("it is open");
    vec![tally, behind]
}

/// Three threads by key; each key stays with one of them, in order.
fn partition<P: ProducerKind>(disruptor: &mut Disruptor<P>) -> Vec<Arc<Tally>> {
    let tally = Tally::new();
    let owners: Arc<[AtomicU64; 8]> = Arc::default();
    let worker = |index: u64| {
        let (tally, owners) = (Arc::clone(&tally), Arc::clone(&owners));
        let mut last = None;
        move |event: &Event, sequence: u64, _: bool| {
            assert!(last.replace(sequence) < Some(sequence), "events come in order");
            let owner = owners[(event.value % 8) as usize].swap(index, Ordering::Relaxed);
            assert!(owner == 0 || owner == index, "{} has moved from {owner} to {index}", event.value);
            tally.add(event.value);
        }
    };
    let workers = Consumer::partitioned(|event: &Event| event.value % 8, (1..=3).map(worker).collect());
    disruptor.handle(workers).expect("it is open");
    vec![tally]
}

fn batches<P: ProducerKind>(disruptor: &mut Disruptor<P>) -> Vec<Arc<Tally>> {
    let consumer = |max| {
        let tally = Tally::new();
        let (own, mut next) = (Arc::clone(&tally), 0);
        let consumer = Consumer::batches(move |events: &[Event], sequence: u64, _: bool| {
            assert!(events.len() <= max && sequence == next, "{} at {sequence}", events.len());
            next += events.len() as u64;
            events.iter().for_each(|event| own.add(event.value));
        });
        (tally, consumer.max_batch(max))
    };
    let ((all, unbounded), (few, bounded)) = (consumer(usize::MAX), consumer(3));
    let group = disruptor.handle(unbounded).expect("it is open");
    group.then_handle(bounded).expect("it is open");
    vec![all, few]
}

/// Three stages that change events, and one that reads what came of it.
fn mutable_pipeline<P: ProducerKind>(disruptor: &mut Disruptor<P>) -> Vec<Arc<Tally>> {
    let change = |stage: u64| {
        move |event: &mut Event, _: u64, _: bool| event.changed = (event.changed + event.value) * 3 + stage
    };
    let (tally, mut handler) = reader(&[]);
    let group = disruptor.handle_events_mut_with(change(1)).expect("it is open");
    let group = group.then_mut(change(2)).expect("it is open").then_mut(change(3)).expect("it is open");
    group
        .then(move |event: &Event, sequence: u64, ends: bool| {
            assert_eq!(event.changed, 39 * event.value + 18, "each stage has had {sequence} once, in order");
            handler.on_event(event, sequence, ends);
        })
        .expect("it is open");
    vec![tally]
}

#[test]
fn one_consumer_gets_every_event_once() {
    check(unicast);
}

#[test]
fn three_consumers_get_every_event_once_each() {
    check(multicast);
}

#[test]
fn a_pipeline_hands_every_event_on() {
    check(pipeline);
}

#[test]
fn a_diamond_joins_both_branches() {
    check(diamond);
}

#[test]
fn a_pool_shares_the_events_out() {
    check(pool);
}

#[test]
fn a_partition_keeps_each_key_on_one_thread() {
    check(partition);
}

#[test]
fn batch_handlers_get_every_event_once() {
    check(batches);
}

#[test]
fn changes_are_seen_by_the_next_stage() {
    check(mutable_pipeline);
}

#[test]
fn three_producers_lose_nothing() {
    check_with_three_producers(unicast);
}

#[test]
fn three_producers_feed_a_pool() {
    check_with_three_producers(pool);
}

#[test]
fn three_producers_feed_a_diamond() {
    check_with_three_producers(diamond);
}

#[test]
fn consumers_join_and_leave_while_events_flow() {
    for_each_ring(|wait, size| {
        let builder = DisruptorBuilder::new().buffer_size(size).wait_strategy(wait);
        check_joins(builder.build().expect("the size is a power of two"), size);
    });
}

/// Two producers, a reader that stays, and guests of all kinds until the events are through.
fn check_joins(mut disruptor: Disruptor<MultiProducer>, size: usize) {
    let (tally, handler) = reader(&[]);
    let host = disruptor.handle_events_with(handler).expect("it is open").id();
    disruptor.start().expect("one consumer is enough");
    let count = events(size) / 2;
    thread::scope(|scope| {
        let publishers = [0, 1].map(|half| {
            let mut producer = disruptor.producer();
            scope.spawn(move || publish(&mut producer, half * count..(half + 1) * count))
        });
        let flows = || publishers.iter().any(|publisher| !publisher.is_finished());
        let mut round = 0;
        while round < 6 || flows() {
            if round % 4 == 3 {
                check_guest_poller(&mut disruptor, flows);
            } else {
                check_guest(&mut disruptor, host, round, flows);
            }
            round += 1;
        }
    });
    let drained = disruptor.shutdown().unwrap_or_else(|error| panic!("size {size}: {error:?}"));
    assert_eq!(drained.end, 2 * count);
    tally.check(0..2 * count, &format!("size {size}"));
}

/// Has a consumer join, which gets every event from its first one on, and leave.
fn check_guest(
    disruptor: &mut Disruptor<MultiProducer>,
    host: ConsumerId,
    round: u64,
    flows: impl Fn() -> bool,
) {
    let guest = Arc::new(Guest { first: AtomicU64::new(u64::MAX), tally: Tally::default() });
    let reads = || {
        let guest = Arc::clone(&guest);
        move |_: &Event, sequence: u64, _: bool| guest.visit(sequence)
    };
    let changes = || {
        let guest = Arc::clone(&guest);
        move |event: &mut Event, sequence: u64, _: bool| {
            event.changed += 1;
            guest.visit(sequence);
        }
    };
    let group = match round % 6 {
        0 => disruptor.handle_events_with(reads()),
        1 | 4 => disruptor.after(&[host]).and_then(|group| group.then(reads())),
        2 => disruptor.handle_events_mut_with(changes()),
        _ => disruptor.handle(Consumer::workers(vec![changes(), changes()])),
    };
    let id = group.expect("the disruptor is open").id();
    let seen = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    yield_until(|| seen(&guest.tally.events) > 0 || !flows());
    let handled = disruptor.remove(id).expect("nobody follows the guest");
    if seen(&guest.tally.events) > 0 {
        let (first, reached) = (seen(&guest.first), seen(&guest.tally.reached));
        assert_eq!(seen(&guest.tally.events), reached - first, "each event from {first} to {reached} once");
        assert!(first <= handled && handled <= reached, "{handled} of {first} to {reached}");
    }
}

/// What a consumer that comes in the middle has seen, on all of its threads.
struct Guest {
    first: AtomicU64,
    tally: Tally,
}

impl Guest {
    fn visit(&self, sequence: u64) {
        self.first.fetch_min(sequence, Ordering::Relaxed);
        self.tally.reached.fetch_max(sequence + 1, Ordering::Relaxed);
        self.tally.events.fetch_add(1, Ordering::Relaxed);
    }
}

/// Has a poller join, read a little, and leave.
fn check_guest_poller(disruptor: &mut Disruptor<MultiProducer>, flows: impl Fn() -> bool) {
    let mut poller = disruptor.new_poller(&[]).expect("the disruptor is open");
    let mut batches = 0;
    while batches < 3 {
        let next = poller.sequence();
        match poller.take(2) {
            Ok(batch) => {
                assert!(batch.iter().map(|(sequence, _)| sequence).eq(batch.sequences()));
                assert_eq!(batch.sequences().start, next);
                batches += 1;
            }
            Err(PollError::Idle) if flows() => thread::yield_now(),
            Err(PollError::Idle) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

//! Consumers that come and go while a producer goes around the ring.

use std::mem;
use std::sync::Arc;

use loom::thread;

use super::super::producer_wait::ProducerWait;
use super::super::ring_buffer::RingBuffer;
use super::super::sequencer::ProducerKind;
use super::super::wait::WaitStrategy;
use super::{DisruptorBuilder, EventPoller, Watched, check, drain, poller, running};

/// Invariant: a consumer that joins reads every event from its start on, unspoilt, however far the
/// producer is around the ring. Each event carries its own sequence.
#[test]
fn a_joining_consumer_is_not_overrun() {
    check(3, || {
        let mut disruptor = running(DisruptorBuilder::new().single_producer(), 1);
        let mut producer = disruptor.take_producer().expect("it is there");
        let ring = Arc::clone(&disruptor.ring);
        let joining = thread::spawn(move || {
            let mut poller = poller(&ring, &[]);
            let start = poller.sequence();
            let expected: Vec<u64> = (start..3).collect();
            assert_eq!(drain(&mut poller, expected.len()), expected);
        });
        for _ in 0..3 {
            producer.publish_event(|event: &mut Watched, sequence| event.write(sequence)).expect("it runs");
        }
        joining.join().expect("the joiner is done");
    });
}

/// The same with several producers, whose claim is a counter and not the cursor.
#[test]
fn a_joining_consumer_is_not_overrun_by_several_producers() {
    check(2, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 1);
        let mut producers = [disruptor.producer(), disruptor.producer()];
        let ring = Arc::clone(&disruptor.ring);
        let joining = thread::spawn(move || {
            let mut poller = poller(&ring, &[]);
            let expected: Vec<u64> = (poller.sequence()..3).collect();
            assert_eq!(drain(&mut poller, expected.len()), expected);
        });
        for producer in [0, 1, 0] {
            producers[producer]
                .publish_event(|event: &mut Watched, sequence| event.write(sequence))
                .expect("it runs");
        }
        joining.join().expect("the joiner is done");
    });
}

/// Publishes up to three events that carry their own sequences, without waiting for room.
fn try_publish_sequences<P: ProducerKind, W: WaitStrategy>(producer: &mut RingBuffer<Watched, P, W>) {
    for _ in 0..3 {
        if let Ok(mut claim) = producer.try_claim() {
            let sequence = claim.sequence();
            claim.write(sequence);
            claim.publish();
        }
    }
}

/// Reads what is there now, in which each event must still carry its own sequence.
fn check_sequences<P: ProducerKind, W: WaitStrategy>(poller: &mut EventPoller<Watched, P, W>) {
    if let Ok(batch) = poller.poll() {
        batch.iter().for_each(|(sequence, event)| assert_eq!(event.read(), sequence));
    }
}

/// Joins while a producer that never signals goes around the ring. A publication that signals has a
/// fence, which would stand in for the one that joining needs.
fn join_beside_a_silent_producer<P: ProducerKind>(builder: fn() -> DisruptorBuilder<P>) {
    check(3, move || {
        let builder = builder().busy_spin_wait_strategy().producer_wait(ProducerWait::Spin);
        let mut disruptor = running(builder, 1);
        let mut producer = disruptor.producer.take().expect("it is there");
        let ring = Arc::clone(&disruptor.ring);
        let joining = thread::spawn(move || {
            let mut poller = poller(&ring, &[]);
            check_sequences(&mut poller);
        });
        try_publish_sequences(&mut producer);
        joining.join().expect("the joiner is done");
    });
}

/// Invariant: as above, by the fences of the join and of the claim alone.
#[test]
fn a_joining_consumer_is_not_overrun_in_silence() {
    join_beside_a_silent_producer(|| DisruptorBuilder::new().single_producer());
}

/// The same with the claim of several producers.
#[test]
fn a_joining_consumer_is_not_overrun_in_silence_by_several_producers() {
    join_beside_a_silent_producer(|| DisruptorBuilder::new().multi_producer());
}

/// Invariant: a producer with an old list, all of whose gates have left, does not overrun a consumer that
/// joins meanwhile: its own claim still bounds it.
#[test]
fn a_joining_consumer_is_not_overrun_as_the_last_one_leaves() {
    check(3, || {
        let mut disruptor = running(DisruptorBuilder::new().single_producer(), 1);
        let leaving = poller(&disruptor.ring, &[]);
        let mut producer = disruptor.take_producer().expect("it is there");
        // The producer has seen the list with the gate that leaves.
        producer.try_publish(|event| event.write(0)).expect("there is room");
        let ring = Arc::clone(&disruptor.ring);
        let changing = thread::spawn(move || {
            drop(leaving);
            let mut poller = poller(&ring, &[]);
            check_sequences(&mut poller);
        });
        try_publish_sequences(&mut producer);
        changing.join().expect("the joiner is done");
    });
}

/// Invariant: a consumer that leaves without reading lets a waiting producer go on.
#[test]
fn a_leaving_consumer_frees_the_producer() {
    check(3, || {
        let mut disruptor = running(DisruptorBuilder::new().single_producer(), 1);
        let leaving = poller(&disruptor.ring, &[]);
        let mut staying = poller(&disruptor.ring, &[]);
        let mut producer = disruptor.take_producer().expect("it is there");
        let leaver = thread::spawn(move || drop(leaving));
        let reader = thread::spawn(move || drain(&mut staying, 2));
        for value in 0..2 {
            producer.publish_event(|event: &mut Watched, _| event.write(value)).expect("it runs");
        }
        leaver.join().expect("it has left");
        assert_eq!(reader.join().expect("it has read"), [0, 1]);
    });
}

/// Invariant: a consumer that leaves in the middle of an event has read it before a producer writes it
/// again, whether the producer sees the gate that has left or the list without it.
#[test]
fn a_leaving_consumer_has_read_before_its_slot_is_written() {
    check(3, || {
        let mut disruptor = running(DisruptorBuilder::new().single_producer(), 1);
        let mut leaving = poller(&disruptor.ring, &[]);
        let mut producer = disruptor.take_producer().expect("it is there");
        let leaver = thread::spawn(move || {
            let batch = leaving.wait(None).expect("an event comes");
            batch.iter().for_each(|(_, event)| assert_eq!(event.read(), 0));
            // It is not let go by itself, so only the leave orders the read.
            mem::forget(batch);
        });
        for value in 0..2 {
            producer.publish_event(|event: &mut Watched, _| event.write(value)).expect("it runs");
        }
        leaver.join().expect("it has left");
    });
}

/// Invariant: whoever finds that a consumer has left may take its place, even beside it, as an exclusive
/// consumer does that conflicts with a poller until this one leaves.
#[test]
fn who_sees_that_a_consumer_has_left_comes_after_its_reads() {
    check(3, || {
        let disruptor = running(DisruptorBuilder::new().single_producer(), 1);
        let poller = poller(&disruptor.ring, &[]);
        let gate = Arc::clone(&poller.gate);
        let event = Arc::new(loom::cell::UnsafeCell::new(0));
        let leaver = {
            let event = Arc::clone(&event);
            thread::spawn(move || {
                event.with(|_| ());
                drop(poller);
            })
        };
        while !gate.has_left() {
            thread::yield_now();
        }
        event.with_mut(|_| ());
        leaver.join().expect("it has left");
    });
}

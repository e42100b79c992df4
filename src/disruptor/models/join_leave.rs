//! Consumers that come and go while a producer goes around the ring.

use std::sync::Arc;

use loom::thread;

use super::{DisruptorBuilder, Watched, check, drain, poller, running};

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

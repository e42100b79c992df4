//! A single producer that goes around a ring of two slots.

use loom::thread;

use super::{DisruptorBuilder, Watched, check, drain, poller, running};

/// Invariant: the producer writes a slot only after the consumer has let it go, and the consumer
/// reads it only after the producer has written it.
#[test]
fn a_single_producer_wraps_a_ring_of_two() {
    check(3, || {
        let mut disruptor = running(DisruptorBuilder::new().single_producer(), 2);
        let mut poller = poller(&disruptor.ring, &[]);
        let mut producer = disruptor.take_producer().expect("it is there");
        let publishing = thread::spawn(move || {
            for value in 0..3 {
                producer.publish_event(|event: &mut Watched, _| event.write(value)).expect("it runs");
            }
        });
        assert_eq!(drain(&mut poller, 3), [0, 1, 2]);
        publishing.join().expect("the producer is done");
    });
}

/// Invariant: a follower reads an event only after the consumer before it has let it go, and finds
/// what that one wrote.
#[test]
fn a_follower_sees_an_event_after_the_consumer_before_it() {
    check(2, || {
        let mut disruptor = running(DisruptorBuilder::new().single_producer(), 1);
        let mut first = poller(&disruptor.ring, &[]);
        let mut second = poller(&disruptor.ring, &[&first]);
        let mut producer = disruptor.take_producer().expect("it is there");
        let going_first = thread::spawn(move || drain(&mut first, 2));
        let following = thread::spawn(move || drain(&mut second, 2));
        for value in 0..2 {
            producer.publish_event(|event: &mut Watched, _| event.write(value)).expect("it runs");
        }
        assert_eq!(going_first.join().expect("it is done"), [0, 1]);
        assert_eq!(following.join().expect("it is done"), [0, 1]);
    });
}

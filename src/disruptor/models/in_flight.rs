//! Claims in flight that no consumer protects.

use loom::thread;

use super::{DisruptorBuilder, Watched, check, drain, poller, running};

/// Invariant: a producer does not run around the ring onto another one's claim, although nobody
/// consumes and so no gate holds it back.
#[test]
fn a_claim_in_flight_is_not_lapped() {
    check(3, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 1);
        let (mut one, mut other) = (disruptor.producer(), disruptor.producer());
        let publishing = thread::spawn(move || {
            one.publish_event(|event: &mut Watched, _| event.write(1)).expect("it runs");
        });
        other.publish_event(|event: &mut Watched, _| event.write(2)).expect("it runs");
        publishing.join().expect("the producer is done");
    });
}

/// Invariant: the same where the only consumer joined behind the claim, or leaves.
#[test]
fn a_claim_in_flight_outlasts_the_consumer_behind_it() {
    check(2, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 1);
        let leaving = poller(&disruptor.ring, &[]);
        let (mut one, mut other) = (disruptor.producer(), disruptor.producer());
        let mut claim = one.claim().expect("there is room");
        let mut late = poller(&disruptor.ring, &[]);
        drop(leaving);
        let publishing = thread::spawn(move || {
            other.publish_event(|event: &mut Watched, _| event.write(2)).expect("it runs");
        });
        claim.write(1);
        claim.publish();
        assert_eq!(drain(&mut late, 1), [2]);
        publishing.join().expect("the producer is done");
    });
}

/// Invariant: a producer that takes another one's word for it that a claim has ended comes after the
/// writes of that claim, without having seen its stamp.
#[test]
fn a_claim_that_another_producer_saw_end_has_ended() {
    check(2, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 2);
        let (mut one, mut other) = (disruptor.producer(), disruptor.producer());
        let publishing = thread::spawn(move || {
            for value in 0..3 {
                one.publish_event(|event: &mut Watched, _| event.write(value)).expect("it runs");
            }
        });
        // As the last of the four it writes the slot of the second, and looks no further than the third.
        other.publish_event(|event: &mut Watched, _| event.write(3)).expect("it runs");
        publishing.join().expect("the producer is done");
    });
}

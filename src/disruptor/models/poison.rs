//! A failure wakes everybody.

use std::sync::Arc;

use loom::thread;

use super::super::error::{ClaimError, PollError};
use super::super::failure::{Failure, FailureCause, Moment};
use super::{DisruptorBuilder, check, poller, running};

fn failure() -> Failure {
    Failure::new(&"handler".into(), Moment::Event(0), 1, FailureCause::Panic("boom".to_owned()))
}

/// Invariant: a consumer that sleeps for news learns of the failure.
#[test]
fn a_sleeping_consumer_learns_of_a_failure() {
    check(3, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 2);
        let mut poller = poller(&disruptor.ring, &[]);
        let control = Arc::clone(&disruptor.ring.control);
        let failing = thread::spawn(move || control.poison(failure()));
        assert!(matches!(poller.wait(None), Err(PollError::Poisoned(_))));
        failing.join().expect("the failure is recorded");
    });
}

/// Invariant: a producer that sleeps for room learns of the failure, though nothing moves.
#[test]
fn a_sleeping_producer_learns_of_a_failure() {
    check(3, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 1);
        let _poller = poller(&disruptor.ring, &[]);
        let mut producer = disruptor.producer();
        let publishing = thread::spawn(move || {
            producer.claim().expect("there is room").publish();
            matches!(producer.claim(), Err(ClaimError::Poisoned(_)))
        });
        // Only after the first claim, so that the second one finds the ring full.
        while disruptor.ring.cursor() == 0 {
            thread::yield_now();
        }
        disruptor.ring.control.poison(failure());
        assert!(publishing.join().expect("the producer is done"));
    });
}

/// Invariant: a consumer that sleeps on the bell of the one before it learns of the failure, although
/// that bell may ring before its own end is set.
#[test]
fn a_sleeping_follower_learns_of_a_failure() {
    check(3, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 2);
        let first = poller(&disruptor.ring, &[]);
        let mut follower = poller(&disruptor.ring, &[&first]);
        let control = Arc::clone(&disruptor.ring.control);
        let failing = thread::spawn(move || control.poison(failure()));
        assert!(matches!(follower.wait(None), Err(PollError::Poisoned(_))));
        failing.join().expect("the failure is recorded");
    });
}

/// Invariant: a consumer that joins during a failure learns of it, from the list of gates or from the
/// phase.
#[test]
fn a_joining_consumer_learns_of_a_failure() {
    check(3, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 2);
        let control = Arc::clone(&disruptor.ring.control);
        let failing = thread::spawn(move || control.poison(failure()));
        let mut joining = poller(&disruptor.ring, &[]);
        assert!(matches!(joining.wait(None), Err(PollError::Poisoned(_))));
        failing.join().expect("the failure is recorded");
    });
}

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

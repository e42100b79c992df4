//! Two producers on a ring of two slots.

use loom::thread;

use super::{DisruptorBuilder, Watched, check, drain, poller, running};

/// Invariant: no two producers write the same slot, and the consumer reads only stamped slots.
#[test]
fn two_producers_wrap_a_ring_of_two() {
    check(2, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 2);
        let mut poller = poller(&disruptor.ring, &[]);
        let (mut one, mut other) = (disruptor.producer(), disruptor.producer());
        let publishing = thread::spawn(move || {
            for value in [10, 11] {
                one.publish_event(|event: &mut Watched, _| event.write(value)).expect("it runs");
            }
        });
        let also_publishing = thread::spawn(move || {
            other.publish_event(|event: &mut Watched, _| event.write(20)).expect("it runs");
        });
        let mut got = drain(&mut poller, 3);
        got.sort_unstable();
        assert_eq!(got, [10, 11, 20]);
        publishing.join().expect("the producer is done");
        also_publishing.join().expect("the producer is done");
    });
}

/// Invariant: a claim that is dropped leaves no gap, and its slot's old content is not seen.
#[test]
fn a_dropped_claim_holds_nobody_up() {
    check(2, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 1);
        let mut poller = poller(&disruptor.ring, &[]);
        let (mut one, mut other) = (disruptor.producer(), disruptor.producer());
        let aborting = thread::spawn(move || drop(one.claim().expect("it runs")));
        let publishing = thread::spawn(move || {
            other.publish_event(|event: &mut Watched, _| event.write(7)).expect("it runs");
        });
        assert_eq!(drain(&mut poller, 1), [7]);
        // The aborting producer may wait for room behind the event that has just been let go.
        aborting.join().expect("the producer is done");
        publishing.join().expect("the producer is done");
    });
}

/// Invariant: a claim that may be given up takes nothing unless it succeeds.
#[test]
fn a_claim_that_only_tries_leaves_no_gap() {
    check(2, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 1);
        let mut poller = poller(&disruptor.ring, &[]);
        let (mut one, mut other) = (disruptor.producer(), disruptor.producer());
        let trying = thread::spawn(move || one.try_publish(|event| event.write(1)).is_ok());
        let publishing = thread::spawn(move || {
            other.publish_event(|event: &mut Watched, _| event.write(2)).expect("it runs");
        });
        let mut got = drain(&mut poller, 1);
        let tried = trying.join().expect("the producer is done");
        if tried {
            got.extend(drain(&mut poller, 1));
        }
        publishing.join().expect("the producer is done");
        got.sort_unstable();
        assert_eq!(got, if tried { vec![1, 2] } else { vec![2] });
    });
}

//! Closing while producers claim.

use loom::thread;

use super::super::sequencer::Sequencer;
use super::{DisruptorBuilder, Watched, check, drain, poller, running};

/// Invariant: what was accepted is what is drained, neither more nor less.
#[test]
fn closing_drains_exactly_what_was_accepted() {
    check(3, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 2);
        let mut poller = poller(&disruptor.ring, &[]);
        let mut producer = disruptor.producer();
        let publishing = thread::spawn(move || {
            let results =
                [1, 2].map(|value| producer.publish_event(|event: &mut Watched, _| event.write(value)));
            results.iter().filter(|result| result.is_ok()).count()
        });
        let control = &disruptor.ring.control;
        control.close();
        control.finish_at(disruptor.ring.sequencer.close());
        let drained = drain(&mut poller, usize::MAX);
        assert_eq!(drained.len(), publishing.join().expect("the producer is done"));
    });
}

/// Invariant: a single producer that lives elsewhere and the closing disruptor agree on the end.
#[test]
fn closing_agrees_with_the_single_producer() {
    check(3, || {
        let mut disruptor = running(DisruptorBuilder::new().single_producer(), 2);
        let mut poller = poller(&disruptor.ring, &[]);
        let mut producer = disruptor.take_producer().expect("it is there");
        let publishing = thread::spawn(move || {
            let results =
                [1, 2].map(|value| producer.publish_event(|event: &mut Watched, _| event.write(value)));
            results.iter().filter(|result| result.is_ok()).count()
        });
        let control = &disruptor.ring.control;
        if control.close() {
            // The producer was gone already, so the end is ours to say.
            control.finish_at(disruptor.ring.sequencer.close());
        }
        let drained = drain(&mut poller, usize::MAX);
        assert_eq!(drained.len(), publishing.join().expect("the producer is done"));
    });
}

/// Invariant: a claim that waits for room when the ring closes is counted in, gets its room, and is
/// drained.
#[test]
fn closing_counts_in_a_claim_that_waits_for_room() {
    check(3, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 1);
        let mut poller = poller(&disruptor.ring, &[]);
        let mut producer = disruptor.producer();
        let publishing = thread::spawn(move || {
            let results =
                [1, 2].map(|value| producer.publish_event(|event: &mut Watched, _| event.write(value)));
            results.iter().filter(|result| result.is_ok()).count()
        });
        let control = &disruptor.ring.control;
        control.close();
        control.finish_at(disruptor.ring.sequencer.close());
        let drained = drain(&mut poller, usize::MAX);
        assert_eq!(drained.len(), publishing.join().expect("the producer is done"));
    });
}

/// Invariant: a single producer that sleeps on a full ring is woken by the close, though nobody reads.
#[test]
fn closing_wakes_the_single_producer() {
    check(3, || {
        let mut disruptor = running(DisruptorBuilder::new().single_producer(), 1);
        let mut poller = poller(&disruptor.ring, &[]);
        let mut producer = disruptor.take_producer().expect("it is there");
        let publishing = thread::spawn(move || {
            let results =
                [1, 2].map(|value| producer.publish_event(|event: &mut Watched, _| event.write(value)));
            results.iter().filter(|result| result.is_ok()).count()
        });
        let control = &disruptor.ring.control;
        if control.close() {
            control.finish_at(disruptor.ring.sequencer.close());
        }
        let published = publishing.join().expect("the producer is done");
        assert_eq!(drain(&mut poller, usize::MAX).len(), published);
    });
}

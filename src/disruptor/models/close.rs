//! Closing while producers claim.

use loom::thread;

use super::super::disruptor::Disruptor;
use super::super::ring_buffer::RingBuffer;
use super::super::sequencer::{ProducerKind, Sequencer};
use super::{BlockingWaitStrategy, DisruptorBuilder, Watched, check, drain, poller, running};

/// Publishes two events; says how many of them were accepted.
fn publish_two<P: ProducerKind>(mut producer: RingBuffer<Watched, P, BlockingWaitStrategy>) -> usize {
    let results = [1, 2].map(|value| producer.publish_event(|event, _| event.write(value)));
    results.iter().filter(|result| result.is_ok()).count()
}

/// Closes, and says where the end is unless that is the single producer's to say.
fn close<P: ProducerKind>(disruptor: &Disruptor<Watched, P, BlockingWaitStrategy>) {
    if disruptor.ring.control.close() {
        disruptor.ring.control.finish_at(disruptor.ring.sequencer.close());
    }
}

fn several_producers_drain_what_was_accepted(slots: usize) {
    check(3, move || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), slots);
        let mut poller = poller(&disruptor.ring, &[]);
        let producer = disruptor.producer();
        let publishing = thread::spawn(move || publish_two(producer));
        close(&disruptor);
        let drained = drain(&mut poller, usize::MAX);
        assert_eq!(drained.len(), publishing.join().expect("the producer is done"));
    });
}

/// Invariant: what was accepted is what is drained, neither more nor less.
#[test]
fn closing_drains_exactly_what_was_accepted() {
    several_producers_drain_what_was_accepted(2);
}

/// Invariant: a claim that waits for room when the ring closes is counted in, gets its room, and is
/// drained.
#[test]
fn closing_counts_in_a_claim_that_waits_for_room() {
    several_producers_drain_what_was_accepted(1);
}

/// Invariant: a single producer that lives elsewhere and the closing disruptor agree on the end.
#[test]
fn closing_agrees_with_the_single_producer() {
    check(3, || {
        let mut disruptor = running(DisruptorBuilder::new().single_producer(), 2);
        let mut poller = poller(&disruptor.ring, &[]);
        let producer = disruptor.take_producer().expect("it is there");
        let publishing = thread::spawn(move || publish_two(producer));
        close(&disruptor);
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
        let producer = disruptor.take_producer().expect("it is there");
        let publishing = thread::spawn(move || publish_two(producer));
        close(&disruptor);
        let published = publishing.join().expect("the producer is done");
        assert_eq!(drain(&mut poller, usize::MAX).len(), published);
    });
}

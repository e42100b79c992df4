//! Events that a consumer hides from others.

use std::sync::Arc;

use loom::thread;

use super::super::consumer::Consumer;
use super::super::failure::{FailurePolicy, HandlerError};
use super::super::handler::EventContext;
use super::super::ring::Ring;
use super::super::sequencer::{ProducerKind, Sequencer};
use super::super::wait_strategies::BlockingWaitStrategy;
use super::{DisruptorBuilder, Phase, Poller, Watched, check, drain, poller, poller_behind, running};

/// Discards event 0 before it lets it go, as a consumer does that fails, and then lets event 1 go.
fn discard_first<P: ProducerKind>(ring: &Ring<Watched, P, BlockingWaitStrategy>, poller: &mut Poller<P>) {
    let batch = poller.wait(None).expect("an event comes");
    ring.sequencer.discard(0);
    let end = batch.sequences().end;
    drop(batch);
    if end == 1 {
        drain(poller, 1);
    }
}

/// Invariant: a consumer beside the one that discards sees the event whole, or not at all.
#[test]
fn a_discarded_event_is_whole_for_those_beside() {
    check(2, || {
        let disruptor = running(DisruptorBuilder::new().multi_producer(), 2);
        let mut discarding = poller(&disruptor.ring, &[]);
        let mut beside = poller(&disruptor.ring, &[]);
        let ring = Arc::clone(&disruptor.ring);
        let discarder = thread::spawn(move || discard_first(&ring, &mut discarding));
        let mut producer = disruptor.producer();
        let publishing = thread::spawn(move || {
            for value in [7, 8] {
                producer.publish_event(|event: &mut Watched, _| event.write(value)).expect("it runs");
            }
        });
        let mut seen = drain(&mut beside, 1);
        if seen == [7] {
            seen.extend(drain(&mut beside, 1));
        }
        assert!(seen == [8] || seen == [7, 8]);
        discarder.join().expect("it has discarded");
        publishing.join().expect("the producer is done");
    });
}

fn check_behind<P: ProducerKind>(builder: fn() -> DisruptorBuilder<P>) {
    check(1, move || {
        let mut disruptor = builder().buffer_size(2).build().expect("it is built");
        let fails_first = |_: &Watched, context: &mut EventContext<'_>| -> Result<(), HandlerError> {
            if context.sequence() == 0 { Err("not this one".into()) } else { Ok(()) }
        };
        let discarding = Consumer::fallible(fails_first).on_failure(FailurePolicy::Discard).max_batch(1);
        disruptor.handle(discarding).expect("it can be added");
        let launch = disruptor.launches.pop().expect("it is to be started");
        let mut behind = poller_behind(&disruptor.ring, disruptor.graph.nodes[0].gates.iter());
        disruptor.ring.control.enter(Phase::Running);
        for value in [7, 8] {
            let producer = disruptor.ring_buffer();
            producer.publish_event(|event: &mut Watched, _| event.write(value)).expect("there is room");
        }
        let discarder = thread::spawn(move || launch.make_runner().expect("it is made").run());
        assert_eq!(drain(&mut behind, 1), [8]);
        disruptor.ring.control.finish_at(disruptor.ring.sequencer.close());
        discarder.join().expect("it has discarded");
    });
}

/// Invariant: a consumer behind the one that discards never sees the event.
#[test]
fn a_discarded_event_is_unseen_by_those_behind() {
    check_behind(|| DisruptorBuilder::new().multi_producer());
}

/// The same with one producer, whose discards are kept beside the cursor.
#[test]
fn a_discarded_event_of_a_single_producer_is_unseen_by_those_behind() {
    check_behind(|| DisruptorBuilder::new().single_producer());
}

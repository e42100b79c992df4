//! The consumer's own loop: two workers that share the events of a ring, with their gates, and a handler
//! that lets events go early.

use std::mem;
use std::sync::{Arc, Mutex};

use loom::thread;

use super::super::consumer::Consumer;
use super::super::failure::HandlerError;
use super::super::handler::EventContext;
use super::super::sequencer::Sequencer;
use super::{DisruptorBuilder, Phase, Watched, check, drain, poller_behind};

/// Invariant: each event goes to one worker, and the producer overwrites none that a worker still
/// has: the lowest gate is never above an event that is being handled.
#[test]
fn workers_share_events_and_gate_the_producer() {
    check(1, || {
        let mut disruptor =
            DisruptorBuilder::new().single_producer().buffer_size(1).build().expect("it is built");
        // Outside of loom's view: only the order of slot accesses is being modelled.
        let seen = Arc::new(Mutex::new(Vec::new()));
        let worker = || {
            let seen = Arc::clone(&seen);
            move |event: &mut Watched, _: u64, _: bool| {
                let value = event.read();
                event.write(0);
                seen.lock().expect("no worker panics").push(value);
            }
        };
        disruptor.handle(Consumer::workers(vec![worker(), worker()])).expect("workers can be added");
        let launches = mem::take(&mut disruptor.launches);
        disruptor.ring.control.enter(Phase::Running);
        let workers: Vec<_> = launches
            .into_iter()
            .map(|launch| thread::spawn(move || launch.make_runner().expect("it is made").run()))
            .collect();
        let producer = disruptor.ring_buffer();
        for value in 1..=2 {
            producer.publish_event(|event: &mut Watched, _| event.write(value)).expect("it runs");
        }
        disruptor.ring.control.finish_at(disruptor.ring.sequencer.close());
        workers.into_iter().for_each(|worker| worker.join().expect("the worker is done"));
        assert_eq!(*seen.lock().expect("no worker panics"), [1, 2]);
    });
}

/// Invariant: a consumer behind a pool reads an event only after the worker that had it has let it go,
/// whichever worker's gate it looks at.
#[test]
fn a_follower_of_a_pool_reads_what_the_workers_wrote() {
    check(1, || {
        let mut disruptor =
            DisruptorBuilder::new().single_producer().buffer_size(2).build().expect("it is built");
        let worker = || {
            |event: &mut Watched, _: u64, _: bool| {
                let value = event.read();
                event.write(value + 10);
            }
        };
        disruptor.handle(Consumer::workers(vec![worker(), worker()])).expect("workers can be added");
        let launches = mem::take(&mut disruptor.launches);
        let mut follower = poller_behind(&disruptor.ring, disruptor.graph.nodes[0].gates.iter());
        disruptor.ring.control.enter(Phase::Running);
        let producer = disruptor.ring_buffer();
        for value in 0..2 {
            producer.publish_event(|event: &mut Watched, _| event.write(value)).expect("there is room");
        }
        let workers: Vec<_> = launches
            .into_iter()
            .map(|launch| thread::spawn(move || launch.make_runner().expect("it is made").run()))
            .collect();
        assert_eq!(drain(&mut follower, 2), [10, 11]);
        disruptor.ring.control.finish_at(disruptor.ring.sequencer.close());
        workers.into_iter().for_each(|worker| worker.join().expect("the worker is done"));
    });
}

/// Invariant: an early release lets go of the events before the one that is being read, and of no more.
#[test]
fn an_early_release_keeps_the_event_that_is_being_read() {
    check(2, || {
        let mut disruptor =
            DisruptorBuilder::new().single_producer().buffer_size(2).build().expect("it is built");
        let reader = |event: &Watched, context: &mut EventContext<'_>| -> Result<(), HandlerError> {
            context.release_previous();
            assert_eq!(event.read(), context.sequence());
            Ok(())
        };
        disruptor.handle(Consumer::fallible(reader).max_batch(2)).expect("it can be added");
        let launch = disruptor.launches.pop().expect("it is to be started");
        disruptor.ring.control.enter(Phase::Running);
        let reading = thread::spawn(move || launch.make_runner().expect("it is made").run());
        let producer = disruptor.ring_buffer();
        for _ in 0..3 {
            producer.publish_event(|event: &mut Watched, sequence| event.write(sequence)).expect("it runs");
        }
        disruptor.ring.control.finish_at(disruptor.ring.sequencer.close());
        reading.join().expect("the reader is done");
        assert!(disruptor.first_failure().is_none());
    });
}

//! Two workers that share the events of a ring, with their gates.

use std::mem;
use std::sync::{Arc, Mutex};

use loom::thread;

use super::super::consumer::Consumer;
use super::super::sequencer::Sequencer;
use super::{DisruptorBuilder, Phase, Watched, check};

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

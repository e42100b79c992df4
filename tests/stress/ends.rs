//! How a disruptor ends: what was accepted is consumed, and nobody is left waiting.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use badbatch::disruptor::{
    BlockingWaitStrategy, BusySpinWaitStrategy, ClaimError, EventContext, FailureCause, FailurePolicy,
    MultiProducer, PollError, ProducerKind, ShutdownError,
};
use badbatch::{Consumer, DisruptorBuilder, EventHandler};

use super::{Disruptor, Event, Producer, Tally, Wait, events, for_each_ring, yield_for_a_while, yield_until};

fn builder(wait: Wait, size: usize) -> DisruptorBuilder<MultiProducer, Wait> {
    DisruptorBuilder::new().buffer_size(size).wait_strategy(wait)
}

/// Publishes until it is refused, in several ways by turns; adds up what was accepted.
fn publish_until_refused<P: ProducerKind>(
    producer: &mut Producer<P>,
    accepted: &Tally,
    first: u64,
) -> ClaimError {
    for value in first.. {
        let write = |event: &mut Event| event.write(value);
        let result = match value % 4 {
            0 => producer.publish_event(|event: &mut Event, _: u64| write(event)),
            1 => producer.try_publish(write),
            2 => producer.publish_timeout(Duration::from_micros(20), write),
            _ => producer
                .publish_batch(1, |mut slots| slots.next().into_iter().for_each(write))
                .map(|at| at.start),
        };
        match result {
            Ok(_) => accepted.add(value),
            Err(error) if error.is_transient() => {}
            Err(error) => return error,
        }
    }
    unreachable!("there is no end of values")
}

fn count_all<P: ProducerKind>(disruptor: &mut Disruptor<P>) -> Arc<Tally> {
    let consumed = Tally::new();
    let tally = Arc::clone(&consumed);
    let handler = move |event: &Event, _: u64, _: bool| tally.add(event.value);
    disruptor
        .handle_events_with(handler)
        .expect("it is open")
        .then(|_: &Event, _, _| {})
        .expect("it is open");
    disruptor.start().expect("the graph is sound");
    consumed
}

fn assert_same(accepted: &Tally, consumed: &Tally) {
    let figures =
        |tally: &Tally| (tally.events.load(Ordering::Relaxed), tally.checksum.load(Ordering::Relaxed));
    assert_eq!(figures(accepted), figures(consumed), "what was accepted is what was consumed");
}

#[test]
fn a_shutdown_drains_exactly_what_concurrent_producers_had_accepted() {
    for_each_ring(|wait, size| {
        let mut disruptor = builder(wait, size).build().expect("the size is a power of two");
        let consumed = count_all(&mut disruptor);
        let accepted = Tally::new();
        thread::scope(|scope| {
            for producer in 0..3_u64 {
                let (mut ring, accepted) = (disruptor.producer(), &accepted);
                scope.spawn(move || {
                    let refusal = publish_until_refused(&mut ring, accepted, producer << 32);
                    assert!(matches!(refusal, ClaimError::Closed), "{refusal}");
                });
            }
            yield_until(|| consumed.events.load(Ordering::Relaxed) >= events(size));
            disruptor.shutdown().unwrap_or_else(|error| panic!("size {size}: {error:?}"));
            // No consumer is left, so nothing can be added while the producers come to their end.
        });
        assert_same(&accepted, &consumed);
    });
}

#[test]
fn a_shutdown_waits_for_the_single_producer_to_agree() {
    for_each_ring(|wait, size| {
        let builder = builder(wait, size).single_producer();
        let mut disruptor = builder.build().expect("the size is a power of two");
        let consumed = count_all(&mut disruptor);
        let accepted = Tally::new();
        let mut producer = disruptor.take_producer().expect("it is taken once");
        thread::scope(|scope| {
            scope.spawn(|| {
                let refusal = publish_until_refused(&mut producer, &accepted, 0);
                assert!(matches!(refusal, ClaimError::Closed), "{refusal}");
            });
            yield_until(|| consumed.events.load(Ordering::Relaxed) >= events(size));
            let drained = disruptor.shutdown_timeout(Duration::MAX);
            drained.unwrap_or_else(|error| panic!("size {size}: {error:?}"));
        });
        assert_same(&accepted, &consumed);
    });
}

#[test]
fn dropping_a_disruptor_drains_it() {
    for_each_ring(|wait, size| {
        let mut disruptor = builder(wait, size).build().expect("the size is a power of two");
        let consumed = count_all(&mut disruptor);
        let accepted = Tally::new();
        for value in 0..events(size) {
            let write = |event: &mut Event, _: u64| event.write(value);
            disruptor.ring_buffer().publish_event(write).expect("it is open");
            accepted.add(value);
        }
        drop(disruptor);
        assert_same(&accepted, &consumed);
    });
}

/// Has `producers` wait for a full ring, whose consumer waits in turn until all of them are free.
fn check_halt<P: ProducerKind>(
    mut disruptor: Disruptor<P>,
    producers: impl Fn(&mut Disruptor<P>) -> Vec<Producer<P>>,
) {
    let (freed, accepted, consumed) = (Tally::new(), Tally::default(), Tally::new());
    let producers = producers(&mut disruptor);
    let count = producers.len() as u64;
    let (all, own) = (Arc::clone(&freed), Arc::clone(&consumed));
    let stuck = move |event: &Event, _: u64, _: bool| {
        yield_until(|| all.events.load(Ordering::Relaxed) == count);
        own.add(event.value);
    };
    disruptor.handle_events_with(stuck).expect("it is open");
    disruptor.start().expect("the graph is sound");
    thread::scope(|scope| {
        for mut producer in producers {
            let (freed, accepted) = (&freed, &accepted);
            scope.spawn(move || {
                let refusal = loop {
                    match producer.publish_event(|event: &mut Event, _: u64| event.write(1)) {
                        Ok(_) => accepted.add(1),
                        Err(error) => break error,
                    }
                };
                freed.add(0);
                assert!(matches!(refusal, ClaimError::Halted), "{refusal}");
            });
        }
        let capacity = disruptor.stats().capacity as u64;
        yield_until(|| disruptor.stats().cursor >= capacity);
        yield_for_a_while();
        let halted = disruptor.halt();
        let lost = halted.unconsumed.iter().map(|(_, events)| events.end - events.start).sum::<u64>();
        let figures = [&accepted, &*consumed].map(|tally| tally.events.load(Ordering::Relaxed));
        assert_eq!(figures, [capacity, capacity - lost], "accepted, and consumed or reported as lost");
    });
    assert!(matches!(disruptor.shutdown(), Err(ShutdownError::Halted { .. })));
}

#[test]
fn a_halt_frees_producers_that_wait_for_a_full_ring() {
    for_each_ring(|wait, size| {
        let disruptor = builder(wait, size).build().expect("the size is a power of two");
        check_halt(disruptor, |disruptor| (0..3).map(|_| disruptor.producer()).collect());
    });
    for_each_ring(|wait, size| {
        let disruptor = builder(wait, size).single_producer().build().expect("the size is a power of two");
        check_halt(disruptor, |disruptor| disruptor.take_producer().into_iter().collect());
    });
}

/// Closes while a producer waits for a ring that is full because its poller does not move.
fn check_close_with_poller<P: ProducerKind>(
    mut disruptor: Disruptor<P>,
    producer: impl Fn(&mut Disruptor<P>) -> Producer<P>,
) {
    let mut poller = disruptor.new_poller(&[]).expect("it is open");
    let mut producer = producer(&mut disruptor);
    disruptor.start().expect("a poller is enough");
    let mut accepted = 0;
    while producer.try_publish(|event| event.write(1)).is_ok() {
        accepted += 1;
    }
    thread::scope(|scope| {
        let claim = scope.spawn(move || {
            let result = producer.publish_event(|event: &mut Event, _: u64| event.write(1));
            assert!(matches!(result, Ok(_) | Err(ClaimError::Closed)), "{result:?}");
            u64::from(result.is_ok())
        });
        yield_for_a_while();
        // Waits for a single producer, which it has to wake; another one's claim counts as accepted.
        disruptor.shutdown_timeout(Duration::MAX).unwrap_or_else(|error| panic!("{error:?}"));
        let mut polled = 0;
        let over = loop {
            match poller.wait(None) {
                Ok(batch) => polled += batch.iter().count() as u64,
                Err(over) => break over,
            }
        };
        assert!(matches!(over, PollError::Closed), "{over}");
        accepted += claim.join().expect("the producer checks its own result");
        assert_eq!(polled, accepted, "the poller gets what was accepted");
    });
}

#[test]
fn a_close_frees_a_producer_that_waits_for_an_idle_poller() {
    for_each_ring(|wait, size| {
        let disruptor = builder(wait, size).build().expect("the size is a power of two");
        check_close_with_poller(disruptor, |disruptor| disruptor.producer());
    });
    for_each_ring(|wait, size| {
        let disruptor = builder(wait, size).single_producer().build().expect("the size is a power of two");
        check_close_with_poller(disruptor, |disruptor| disruptor.take_producer().expect("it is there"));
    });
}

/// The consumers of `check_failure`: one, then two beside each other, then one more.
const CONSUMERS: [&str; 4] = ["head", "left", "right", "tail"];

/// Has the consumer `failing` panic while producers publish; everybody must come to an end.
fn check_failure<P: ProducerKind>(
    mut disruptor: Disruptor<P>,
    failing: &'static str,
    producers: impl Fn(&mut Disruptor<P>) -> Vec<Producer<P>>,
) {
    let consumer = |name: &'static str| {
        let handler = move |_: &Event, sequence: u64, _: bool| {
            if name == failing && sequence == 5 {
                // Prints nothing, unlike `panic!`.
                resume_unwind(Box::new("the handler gives up"));
            }
        };
        Consumer::reading(handler).named(name)
    };
    let [head, left, right, tail] = CONSUMERS.map(consumer);
    let head = disruptor.handle(head).expect("it is open").id();
    let mut behind = |before: &[_], consumer| {
        disruptor.after(before).and_then(|group| group.then_handle(consumer)).expect("it is open").id()
    };
    let (left, right) = (behind(&[head], left), behind(&[head], right));
    behind(&[left, right], tail);
    let producers = producers(&mut disruptor);
    disruptor.start().expect("the graph is sound");
    thread::scope(|scope| {
        for mut producer in producers {
            scope.spawn(move || {
                let refusal = publish_until_refused(&mut producer, &Tally::default(), 0);
                let ClaimError::Poisoned(failure) = refusal else { panic!("{refusal}") };
                assert_eq!(failure.consumer(), failing);
            });
        }
    });
    let Err(ShutdownError::Poisoned { failure, .. }) = disruptor.shutdown() else {
        panic!("`{failing}` has failed")
    };
    assert_eq!((failure.consumer(), failure.sequence()), (failing, Some(5)));
    assert!(matches!(failure.cause(), FailureCause::Panic(message) if message == "the handler gives up"));
}

#[test]
fn a_failure_at_any_stage_frees_everybody() {
    for failing in CONSUMERS {
        for_each_ring(|wait, size| {
            let disruptor = builder(wait, size).build().expect("the size is a power of two");
            check_failure(disruptor, failing, |disruptor| (0..2).map(|_| disruptor.producer()).collect());
        });
        for_each_ring(|wait, size| {
            let disruptor =
                builder(wait, size).single_producer().build().expect("the size is a power of two");
            check_failure(disruptor, failing, |disruptor| disruptor.take_producer().into_iter().collect());
        });
    }
}

#[test]
fn a_claim_goes_on_with_the_slots_there_are_if_the_consumer_stops() {
    // An eighth of the ring is two slots, which are worth waiting for while the consumer moves.
    let builder = DisruptorBuilder::new().buffer_size(16).single_producer();
    let mut disruptor = builder.build::<u64>().expect("the size is a power of two");
    let mut poller = disruptor.new_poller(&[]).expect("it is open");
    disruptor.start().expect("a poller is enough");
    let mut producer = disruptor.take_producer().expect("it is taken once");
    producer.publish_batch(16, |_| {}).expect("there is room");
    thread::scope(|scope| {
        let claim = scope.spawn(move || producer.publish_event(|_: &mut u64, _: u64| {}));
        yield_for_a_while();
        assert_eq!(poller.take(1).map(|batch| batch.sequences()).ok(), Some(0..1));
        let goes_on = (0..100_000).any(|_| {
            thread::yield_now();
            claim.is_finished()
        });
        // Frees the producer where it hangs, so that the test ends.
        let _rest = poller.poll().map(|batch| batch.sequences());
        assert!(goes_on, "a slot is free, but the claim waits");
    });
}

#[test]
fn a_handler_that_removes_itself_keeps_its_event() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<AtomicU64>().expect("it is sound");
    disruptor.new_poller(&[]).map(drop).expect("it is open");
    let (hand_over, take_over) = mpsc::channel::<(badbatch::Disruptor<AtomicU64, MultiProducer, _>, _)>();
    let (answer, answers) = mpsc::channel();
    let handler = move |event: &AtomicU64, _: u64, _: bool| {
        let Ok((mut disruptor, own)) = take_over.recv() else { return };
        let mut producer = disruptor.producer();
        let removed = disruptor.remove(own);
        let overwritten = (0..2).filter(|_| producer.try_publish(|event| *event = AtomicU64::new(7)).is_ok());
        let overwritten = overwritten.count();
        let seen = event.load(Ordering::Relaxed);
        answer.send((removed.is_ok(), overwritten, seen)).expect("the test waits for it");
    };
    let own = disruptor.handle_events_with(handler).expect("it is open").id();
    disruptor.start().expect("one consumer is enough");
    let write = |event: &mut AtomicU64, _: u64| *event = AtomicU64::new(1);
    disruptor.ring_buffer().publish_event(write).expect("it is open");
    hand_over.send((disruptor, own)).expect("the handler waits for it");
    let (_, _, seen) = answers.recv().expect("the handler answers");
    assert_eq!(seen, 1, "the event changed under its reader");
}

/// The poller learns from figures, which order nothing, that the event has been discarded; so this
/// is about what the discard itself orders, and miri is the judge.
#[test]
fn an_event_that_a_consumer_beside_discards_is_seen_as_it_was_written() {
    for _ in 0..if cfg!(miri) { 8 } else { 100 } {
        let builder = builder(Box::new(BusySpinWaitStrategy), 4);
        let mut disruptor = builder.build::<Event>().expect("the size is a power of two");
        let discards = Consumer::fallible(|_: &Event, _: &mut EventContext<'_>| {
            Err("this event is not for others".into())
        });
        disruptor.handle(discards.on_failure(FailurePolicy::Discard)).expect("it is open");
        let mut poller = disruptor.new_poller(&[]).expect("it is open");
        disruptor.start().expect("the graph is sound");
        let (monitor, mut producer) = (disruptor.monitor(), disruptor.producer());
        thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..4 {
                    let write = |event: &mut Event, sequence: u64| event.write(sequence + 1);
                    producer.publish_event(write).expect("there is room");
                }
            });
            for sequence in 0..4 {
                yield_until(|| monitor.stats().consumers[0].sequence > sequence);
                if let Ok(batch) = poller.poll() {
                    assert!(batch.iter().all(|(sequence, event)| event.value == sequence + 1));
                }
            }
        });
        drop(poller);
        disruptor.shutdown().expect("discards are no failures");
    }
}

/// Starts, or fails to; counts how many started handlers have not been shut down.
struct Starts {
    fails: bool,
    alive: Arc<Tally>,
}

impl EventHandler<Event> for Starts {
    fn on_event(&mut self, _: &Event, _: u64, _: bool) {}

    fn on_start(&mut self) {
        if self.fails {
            resume_unwind(Box::new("the handler does not start"));
        }
        self.alive.events.fetch_add(1, Ordering::Relaxed);
    }

    fn on_shutdown(&mut self) {
        if !self.fails {
            self.alive.events.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_start_that_fails_shuts_down_whoever_had_started() {
    let start_one_and_fail = |start: fn(Disruptor<MultiProducer>) -> bool| {
        let mut disruptor = builder(Box::new(BlockingWaitStrategy), 4).build().expect("it is sound");
        let alive = Tally::new();
        for fails in [false, true] {
            let handler = Starts { fails, alive: Arc::clone(&alive) };
            disruptor.handle_events_with(handler).expect("it is open");
        }
        assert!(!start(disruptor), "the second handler fails");
        assert_eq!(alive.events.load(Ordering::Relaxed), 0, "the first handler is still up");
    };
    start_one_and_fail(|mut disruptor| disruptor.start().is_ok());
    start_one_and_fail(|disruptor| disruptor.into_stepper().is_ok());
}

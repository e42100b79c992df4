//! The kinds of handlers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use badbatch::disruptor::{
    EventContext, NamedWaitStrategy, Rewind, RewindAfterPause, RewindAtOnce, RewindUpTo, WaitStrategy,
};
use badbatch::{Consumer, DisruptorBuilder, EventHandler, EventHandlerMut};

use crate::support::Log;

/// Publishes `0..count` to what `add` has added, on this thread, in batches of three.
macro_rules! step_through {
    ($builder:expr, $count:expr, |$disruptor:ident| $add:expr) => {{
        let mut $disruptor = $builder.build::<u64>().expect("the size is right");
        $add;
        let mut stepper = $disruptor.into_stepper().expect("it starts");
        let mut published = 0;
        while published < $count {
            let batch = 3.min($count - published);
            let fill = |slots: badbatch::disruptor::SlotsMut<'_, u64>| {
                slots.zip(published..).for_each(|(slot, n)| *slot = n)
            };
            stepper.ring_buffer().publish_batch(batch as usize, fill).expect("there is room");
            published += batch;
            stepper.run_until_idle();
        }
        stepper
    }};
}

fn ring() -> DisruptorBuilder {
    DisruptorBuilder::new().buffer_size(32)
}

#[test]
fn a_handler_sees_each_event_once_and_where_its_batches_end() {
    let log = Log::new();
    let seen = log.clone();
    step_through!(ring(), 5, |disruptor| disruptor
        .handle_events_with(move |event: &u64, sequence: u64, end: bool| seen.push((*event, sequence, end)))
        .expect("a handler can be added"));
    assert_eq!(log.take(), [(0, 0, false), (1, 1, false), (2, 2, true), (3, 3, false), (4, 4, true)]);
}

#[test]
fn a_batch_handler_gets_slices_that_end_at_the_edge() {
    let log = Log::new();
    let seen = log.clone();
    let handler = move |events: &[u64], first: u64, end: bool| seen.push((events.to_vec(), first, end));
    step_through!(ring().buffer_size(8), 9, |disruptor| disruptor
        .handle(Consumer::batches(handler).max_batch(8))
        .expect("a handler can be added"));
    let expected =
        [(vec![0, 1, 2], 0, true), (vec![3, 4, 5], 3, true), (vec![6, 7], 6, false), (vec![8], 8, true)];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_skipped_slot_splits_a_slice_and_ends_no_batch() {
    let log = Log::new();
    let seen = log.clone();
    let mut disruptor = ring().build::<u64>().expect("the size is right");
    let handler = move |events: &[u64], first: u64, end: bool| seen.push((events.to_vec(), first, end));
    disruptor.handle(Consumer::batches(handler)).expect("a handler can be added");
    let mut stepper = disruptor.into_stepper().expect("it starts");
    let producer = stepper.ring_buffer();
    for publish in [true, false, true, true, false] {
        let mut claim = producer.claim().expect("there is room");
        *claim = claim.sequence();
        if publish {
            claim.publish();
        }
    }
    stepper.run_until_idle();
    assert_eq!(log.take(), [(vec![0], 0, false), (vec![2, 3], 2, true)]);
    assert_eq!(stepper.stats().slowest().map(|consumer| consumer.sequence), Some(5));
}

#[test]
fn max_batch_bounds_a_batch_and_depth_says_what_waits() {
    struct Batches(Log<(u64, u64)>);
    impl EventHandler<u64> for Batches {
        fn on_event(&mut self, _: &u64, _: u64, _: bool) {}
        fn on_batch_start(&mut self, size: u64, depth: u64) {
            self.0.push((size, depth));
        }
    }
    let log = Log::new();
    step_through!(ring().single_producer(), 3, |disruptor| disruptor
        .handle(Consumer::reading(Batches(log.clone())).max_batch(2))
        .expect("a handler can be added"));
    assert_eq!(log.take(), [(2, 3), (1, 1)]);
}

#[test]
fn a_batch_takes_a_quarter_of_the_ring_and_is_let_go_as_a_whole() {
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(16).single_producer().build::<u64>().expect("the size is right");
    let monitor = disruptor.monitor();
    let log = Log::new();
    let seen = log.clone();
    let handler = move |_: &u64, _: u64, end: bool| seen.push((monitor.stats().consumers[0].sequence, end));
    disruptor.handle_events_with(handler).expect("a handler can be added");
    let mut stepper = disruptor.into_stepper().expect("it starts");
    stepper.ring_buffer().publish_batch(6, |_| {}).expect("there is room");
    stepper.run_until_idle();
    assert_eq!(log.take(), [(0, false), (0, false), (0, false), (0, true), (4, false), (4, true)]);
}

#[test]
fn a_handler_may_let_go_of_what_it_has_read() {
    let mut disruptor = ring().single_producer().build::<u64>().expect("the size is right");
    let monitor = disruptor.monitor();
    let log = Log::new();
    let seen = log.clone();
    let handler = move |_: &u64, context: &mut EventContext<'_>| {
        context.release_previous();
        seen.push((monitor.stats().consumers[0].sequence, context.sequence(), context.is_end_of_batch()));
        Ok(())
    };
    disruptor.handle(Consumer::fallible(handler)).expect("a handler can be added");
    let mut stepper = disruptor.into_stepper().expect("it starts");
    stepper.ring_buffer().publish_batch(3, |_| {}).expect("there is room");
    stepper.run_until_idle();
    assert_eq!(log.take(), [(0, 0, false), (1, 1, false), (2, 2, true)]);
}

#[test]
fn a_rewound_batch_begins_again() {
    let log = Log::new();
    let seen = log.clone();
    let mut attempts = 0;
    let handler = move |event: &u64, _: u64, _: bool| {
        seen.push(*event);
        attempts += u32::from(*event == 1);
        if *event == 1 && attempts < 3 { Err(Rewind::Again("not yet".into())) } else { Ok(()) }
    };
    step_through!(ring(), 3, |disruptor| disruptor
        .handle(Consumer::rewindable(handler, RewindAtOnce))
        .expect("a handler can be added"));
    assert_eq!(log.take(), [0, 1, 0, 1, 0, 1, 2]);
}

#[test]
fn a_rewind_that_is_refused_is_a_failure() {
    let attempts = Log::new();
    let seen = attempts.clone();
    let handler = move |event: &u64, _: u64, _: bool| {
        seen.push(*event);
        Err(Rewind::Again("never".into()))
    };
    let stepper = step_through!(ring(), 1, |disruptor| disruptor
        .handle(Consumer::rewindable(handler, RewindUpTo { times: 2 }).named("stubborn"))
        .expect("a handler can be added"));
    assert_eq!(attempts.take(), [0, 0, 0]);
    let failure = stepper.first_failure().expect("it has failed");
    assert_eq!((failure.consumer(), failure.sequence()), ("stubborn", Some(0)));
    assert!(failure.to_string().contains("never"));
}

#[test]
fn a_rewind_after_a_pause_goes_on() {
    let mut first = true;
    let handler = move |_: &u64, _: u64, _: bool| {
        if std::mem::take(&mut first) { Err(Rewind::Again("later".into())) } else { Ok(()) }
    };
    let strategy = RewindAfterPause { pause: std::time::Duration::from_nanos(1) };
    let stepper = step_through!(ring(), 2, |disruptor| disruptor
        .handle(Consumer::rewindable(handler, strategy))
        .expect("a handler can be added"));
    assert_eq!(stepper.stats().consumers[0].sequence, 2);
}

#[test]
fn handlers_in_a_pair_or_a_list_are_called_in_order() {
    let log = Log::new();
    let named = |name: &'static str| {
        let log = log.clone();
        move |event: &u64, _: u64, _: bool| log.push((name, *event))
    };
    let boxed: Vec<Box<dyn EventHandler<u64>>> = vec![Box::new(named("b")), Box::new(named("c"))];
    let pair = (named("a"), boxed);
    step_through!(ring(), 2, |disruptor| disruptor.handle_events_with(pair).expect("a handler can be added"));
    assert_eq!(log.take(), [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("c", 1)]);
}

#[test]
fn a_configuration_can_choose_handlers_and_wait_strategies() {
    for name in ["busy-spin", "yielding", "sleeping", "blocking", "timeout-blocking", "phased-backoff"] {
        let strategy: Box<dyn WaitStrategy> =
            name.parse::<NamedWaitStrategy>().expect("the name is known").build();
        let (sender, receiver) = mpsc::channel();
        let double: Box<dyn EventHandlerMut<u64>> = Box::new(|event: &mut u64, _: u64, _: bool| *event *= 2);
        let report: Box<dyn EventHandler<u64>> =
            Box::new(move |event: &u64, _: u64, _: bool| sender.send(*event).expect("the test listens"));
        let mut disruptor = ring().wait_strategy(strategy).build::<u64>().expect("the size is right");
        disruptor.handle_events_mut_with(double).expect("added").then(report).expect("added");
        disruptor.start().expect("it starts");
        disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = 21).expect("there is room");
        assert_eq!(receiver.recv(), Ok(42), "{name}");
    }
}

#[test]
fn state_that_is_not_send_stays_on_its_thread() {
    let (sender, receiver) = mpsc::channel();
    let mut disruptor = ring().build::<u64>().expect("the size is right");
    let init = || (Rc::new(RefCell::new(0)), thread::current().id());
    let consumer = Consumer::with_state(
        init,
        move |(sum, home): &mut (Rc<RefCell<u64>>, thread::ThreadId), event: &u64, _, _| {
            *sum.borrow_mut() += event;
            assert_eq!(*home, thread::current().id());
            sender.send(*sum.borrow()).expect("the test listens");
        },
    );
    disruptor.handle(consumer).expect("a handler can be added");
    disruptor.start().expect("it starts");
    for value in [1, 2, 3] {
        disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = value).expect("there is room");
    }
    assert_eq!(receiver.iter().take(3).collect::<Vec<_>>(), [1, 3, 6]);
}

#[test]
fn an_event_that_is_not_sync_passes_exclusive_handlers() {
    let mut disruptor = ring().build::<std::cell::Cell<u64>>().expect("the size is right");
    let (sender, receiver) = mpsc::channel();
    disruptor
        .handle_events_mut_with(|event: &mut std::cell::Cell<u64>, _: u64, _: bool| {
            event.set(event.get() + 1)
        })
        .expect("added")
        .then_mut(move |event: &mut std::cell::Cell<u64>, _: u64, _: bool| {
            sender.send(event.get()).expect("the test listens")
        })
        .expect("added");
    disruptor.start().expect("it starts");
    disruptor
        .ring_buffer()
        .publish_event(|event: &mut std::cell::Cell<u64>, _| event.set(1))
        .expect("there is room");
    assert_eq!(receiver.recv(), Ok(2));
}

#[test]
fn a_pool_gives_each_event_to_one_worker() {
    let log = Log::new();
    let worker = |_| {
        let log = log.clone();
        move |event: &mut u64, sequence: u64, _: bool| log.push((sequence, *event))
    };
    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    disruptor.handle(Consumer::workers((0..3).map(worker).collect())).expect("workers can be added");
    disruptor.start().expect("it starts");
    for value in 0..200 {
        disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = value).expect("there is room");
    }
    disruptor.shutdown().expect("it drains");
    let mut seen = log.take();
    seen.sort_unstable();
    assert_eq!(seen, (0..200).map(|n| (n, n)).collect::<Vec<_>>());
}

#[test]
fn the_same_key_always_goes_to_the_same_handler_in_order() {
    let log = Log::new();
    let handler = |worker: usize| {
        let log = log.clone();
        move |event: &u64, _: u64, _: bool| log.push((worker, *event))
    };
    let mut disruptor = ring().build::<u64>().expect("the size is right");
    let partitioned = Consumer::partitioned(|event: &u64| event % 7, (0..3).map(handler).collect());
    disruptor.handle(partitioned).expect("handlers can be added");
    disruptor.start().expect("it starts");
    for value in 0..210 {
        disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = value).expect("there is room");
    }
    disruptor.shutdown().expect("it drains");
    let mut by_key: BTreeMap<u64, Vec<(usize, u64)>> = BTreeMap::new();
    log.take()
        .into_iter()
        .for_each(|(worker, event)| by_key.entry(event % 7).or_default().push((worker, event)));
    assert_eq!(by_key.len(), 7);
    for (key, seen) in by_key {
        assert!(seen.iter().all(|&(worker, _)| worker == seen[0].0), "key {key} changed its worker");
        assert_eq!(
            seen.iter().map(|&(_, event)| event).collect::<Vec<_>>(),
            (0..30).map(|n| n * 7 + key).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_partition_marks_the_last_of_its_own_events() {
    let log = Log::new();
    let handler = |worker: usize| {
        let log = log.clone();
        move |event: &u64, _: u64, end: bool| log.push((worker, *event, end))
    };
    step_through!(ring(), 6, |disruptor| disruptor
        .handle(Consumer::partitioned(|event: &u64| *event, (0..2).map(handler).collect()))
        .expect("handlers can be added"));
    let seen = log.take();
    for worker in 0..2 {
        // Two batches of three events were published; each worker ends each batch it had events of.
        let own = |batch: u64| seen.iter().filter(move |&&(of, event, _)| of == worker && event / 3 == batch);
        for batch in 0..2 {
            let ends: Vec<bool> = own(batch).map(|&(_, _, end)| end).collect();
            assert!(ends.iter().rev().skip(1).all(|end| !end) && ends.last().is_none_or(|end| *end));
        }
    }
    assert_eq!(seen.len(), 6);
}

#[test]
fn hooks_frame_the_events_on_the_handlers_own_thread() {
    struct Hooked(Log<String>);
    impl EventHandler<u64> for Hooked {
        fn on_event(&mut self, event: &u64, _: u64, _: bool) {
            self.0.push(format!("event {event}"));
        }
        fn on_start(&mut self) {
            self.0.push(format!("start on {}", thread::current().name().unwrap_or_default()));
        }
        fn on_shutdown(&mut self) {
            self.0.push("shutdown".to_owned());
        }
        fn on_batch_start(&mut self, size: u64, _: u64) {
            self.0.push(format!("batch of {size}"));
        }
    }
    let log = Log::new();
    let mut disruptor = ring().build::<u64>().expect("the size is right");
    disruptor.handle(Consumer::reading(Hooked(log.clone())).named("hooked")).expect("a handler can be added");
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = 4).expect("there is room");
    disruptor.shutdown().expect("it drains");
    assert_eq!(log.take(), ["start on hooked", "batch of 1", "event 4", "shutdown"]);
}

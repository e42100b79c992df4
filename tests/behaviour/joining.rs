//! Consumers that come and go while events flow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use badbatch::disruptor::{ClaimError, GraphError};
use badbatch::{Consumer, DisruptorBuilder};

use crate::support::{Log, wait_until};

fn nothing(_: &u64, _: u64, _: bool) {}

#[test]
fn a_late_joiner_sees_every_event_from_its_start_on() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    disruptor.handle_events_with(nothing).expect("added");
    disruptor.start().expect("it starts");
    let stop = Arc::new(AtomicBool::new(false));
    let (mut producer, stopped) = (disruptor.producer(), Arc::clone(&stop));
    let publishing = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            producer.publish_event(|event: &mut u64, sequence| *event = sequence).expect("it runs");
        }
    });
    let logs: Vec<Log<u64>> = (0..3).map(|_| Log::new()).collect();
    for log in &logs {
        let seen = log.clone();
        let before = disruptor.stats().cursor;
        let handler = move |event: &u64, sequence: u64, _: bool| {
            assert_eq!(*event, sequence, "the event was overwritten");
            seen.push(sequence);
        };
        disruptor.handle_events_with(handler).expect("a handler can join");
        wait_until(|| disruptor.stats().cursor > before + 50);
    }
    stop.store(true, Ordering::Relaxed);
    publishing.join().expect("no panic");
    let end = disruptor.shutdown().expect("it drains").end;
    for log in logs {
        let seen = log.take();
        assert!(!seen.is_empty());
        assert_eq!(seen, (seen[0]..end).collect::<Vec<_>>());
    }
}

#[test]
fn a_late_reader_is_placed_behind_the_exclusive_consumers() {
    let (sender, receiver) = mpsc::channel();
    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    disruptor.handle_events_mut_with(|event: &mut u64, _: u64, _: bool| *event *= 2).expect("added");
    disruptor.start().expect("it starts");
    disruptor
        .handle_events_with(move |event: &u64, _: u64, _: bool| {
            sender.send(*event).expect("the test listens")
        })
        .expect("a reader can join");
    disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = 4).expect("there is room");
    assert_eq!(receiver.recv(), Ok(8));
    // One that changes events is placed behind everybody, and readers after it behind that one.
    disruptor
        .handle_events_mut_with(|event: &mut u64, _: u64, _: bool| *event += 1)
        .expect("a writer can join");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can join");
    disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = 5).expect("there is room");
    assert_eq!(
        poller.wait(None).expect("it comes").iter().map(|(_, event)| *event).collect::<Vec<_>>(),
        [11]
    );
    assert_eq!(receiver.recv(), Ok(10));
}

#[test]
fn a_consumer_that_leaves_holds_nobody_up() {
    let (release, gate) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    disruptor.handle_events_with(nothing).expect("added");
    let slow = move |_: &u64, sequence: u64, _: bool| {
        if sequence == 0 {
            entered.send(()).expect("the test listens");
            gate.recv().expect("the test lets it go");
        }
    };
    let slow = disruptor.handle(Consumer::reading(slow).named("slow").max_batch(1)).expect("added").id();
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_batch(2, |_| {}).expect("there is room");
    inside.recv().expect("the slow one has begun");
    assert!(matches!(disruptor.ring_buffer().try_claim(), Err(ClaimError::Full { .. })));
    let removing = thread::spawn(move || {
        let handled = disruptor.remove(slow).expect("nobody follows it");
        (disruptor, handled)
    });
    release.send(()).expect("the slow one listens");
    let (mut disruptor, handled) = removing.join().expect("no panic");
    assert!((1..=2).contains(&handled), "it finishes the event that it has, and may begin the next");
    disruptor.ring_buffer().publish_batch(2, |_| {}).expect("the slow one does not count any more");
    assert!(matches!(disruptor.remove(slow), Err(GraphError::Left { .. })));
    assert!(matches!(disruptor.after(&[slow]), Err(GraphError::Left { .. })));
    assert_eq!(disruptor.stats().consumers.len(), 1);
}

#[test]
fn a_consumer_with_followers_cannot_leave_before_them() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    let first = disruptor.handle(Consumer::reading(nothing).named("first")).expect("added").id();
    let second = disruptor
        .after(&[first])
        .expect("known")
        .then_handle(Consumer::reading(nothing).named("second"))
        .expect("added")
        .id();
    assert!(matches!(disruptor.remove(second), Err(GraphError::NotStarted { .. })));
    disruptor.start().expect("it starts");
    let error = disruptor.remove(first).expect_err("it is followed");
    assert_eq!(error.to_string(), "consumer `first` is followed by `second`; remove `second` first");
    disruptor.remove(second).expect("nobody follows it");
    disruptor.remove(first).expect("nobody follows it any more");
    // Nobody is left, so nothing holds the producer back.
    disruptor.ring_buffer().publish_batch(2, |_| {}).expect("there is room");
    disruptor.ring_buffer().publish_batch(2, |_| {}).expect("there is room");
    assert_eq!(disruptor.shutdown().expect("nothing is left to do").end, 4);
}

#[test]
fn a_worker_pool_can_join_and_leave() {
    let log = Log::new();
    let worker = |_| {
        let log = log.clone();
        move |_: &mut u64, sequence: u64, _: bool| log.push(sequence)
    };
    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    disruptor.handle_events_with(nothing).expect("added");
    disruptor.start().expect("it starts");
    let publish = |disruptor: &mut badbatch::Disruptor<u64>, count| {
        for _ in 0..count {
            disruptor.ring_buffer().publish_event(|_: &mut u64, _| {}).expect("there is room");
        }
    };
    publish(&mut disruptor, 10);
    let pool =
        disruptor.handle(Consumer::workers((0..2).map(worker).collect())).expect("a pool can join").id();
    publish(&mut disruptor, 10);
    wait_until(|| disruptor.stats().consumers.iter().all(|consumer| consumer.lag == 0));
    disruptor.remove(pool).expect("nobody follows it");
    publish(&mut disruptor, 10);
    disruptor.shutdown().expect("it drains");
    let mut seen = log.take();
    seen.sort_unstable();
    assert_eq!(seen, (10..20).collect::<Vec<_>>());
}

#[test]
fn nobody_joins_after_the_end() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    disruptor.handle_events_with(nothing).expect("added");
    disruptor.start().expect("it starts");
    disruptor.halt();
    assert!(matches!(disruptor.handle_events_with(nothing), Err(GraphError::Closed)));
    assert!(matches!(disruptor.new_poller(&[]), Err(GraphError::Closed)));
}

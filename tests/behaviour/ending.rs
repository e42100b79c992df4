//! Shutdown, halt and drop.

use std::sync::mpsc;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use badbatch::disruptor::{ClaimError, PollError, ShutdownError};
use badbatch::{Disruptor, DisruptorBuilder};

use crate::support::{Log, wait_until};

fn logging(log: &Log<u64>) -> impl FnMut(&u64, u64, bool) + Send + 'static {
    let log = log.clone();
    move |event, _, _| log.push(*event)
}

#[test]
fn shutdown_drains_what_was_accepted() {
    let log = Log::new();
    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    disruptor.handle_events_with(logging(&log)).expect("added");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    for value in 0..100 {
        producer.publish_event(|event: &mut u64, _| *event = value).expect("there is room");
    }
    assert_eq!(disruptor.shutdown().expect("it drains").end, 100);
    assert_eq!(log.take(), (0..100).collect::<Vec<_>>());
    assert!(matches!(producer.claim(), Err(ClaimError::Closed)));
    assert!(matches!(producer.try_claim_n(2), Err(ClaimError::Closed)));
}

#[test]
fn producers_that_race_a_shutdown_lose_nothing_they_were_promised() {
    for _ in 0..20 {
        let log = Log::new();
        let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
        disruptor.handle_events_with(logging(&log)).expect("added");
        disruptor.start().expect("it starts");
        let producers = [disruptor.producer(), disruptor.producer()];
        let begun = Arc::new(Barrier::new(3));
        let threads = producers.map(|mut producer| {
            let begun = Arc::clone(&begun);
            thread::spawn(move || {
                begun.wait();
                (0..200_u64)
                    .take_while(|_| producer.publish_event(|event: &mut u64, _| *event = 1).is_ok())
                    .count()
            })
        });
        begun.wait();
        disruptor.shutdown().expect("it drains");
        let accepted: usize = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
        assert_eq!(log.take().len(), accepted);
    }
}

#[test]
fn dropping_a_disruptor_drains_it() {
    let log = Log::new();
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(64).single_producer().build::<u64>().expect("built");
    disruptor.handle_events_with(logging(&log)).expect("added");
    disruptor.start().expect("it starts");
    disruptor
        .ring_buffer()
        .publish_batch(50, |slots| slots.zip(0..).for_each(|(slot, n)| *slot = n))
        .expect("room");
    drop(disruptor);
    assert_eq!(log.take(), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_single_producer_that_lives_holds_the_shutdown_up() {
    let log = Log::new();
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(4).single_producer().build::<u64>().expect("built");
    disruptor.handle_events_with(logging(&log)).expect("added");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.take_producer().expect("it is there");
    assert!(disruptor.take_producer().is_none());
    producer.publish_event(|event: &mut u64, _| *event = 1).expect("there is room");
    let Err(ShutdownError::ProducerActive { disruptor }) = disruptor.shutdown() else {
        panic!("it is alive")
    };
    let Err(ShutdownError::ProducerActive { disruptor }) =
        disruptor.shutdown_timeout(Duration::from_millis(1))
    else {
        panic!("it is alive")
    };
    // The refusal is the producer's agreement to the end, so that the shutdown can go on.
    assert!(matches!(producer.claim(), Err(ClaimError::Closed)));
    assert_eq!(disruptor.shutdown().expect("it drains").end, 1);
    assert_eq!(log.take(), [1]);
}

#[test]
fn dropping_before_the_single_producer_leaves_the_end_to_the_producer() {
    let log = Log::new();
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(4).single_producer().build::<u64>().expect("built");
    disruptor.handle_events_with(logging(&log)).expect("added");
    disruptor.start().expect("it starts");
    let monitor = disruptor.monitor();
    let mut producer = disruptor.take_producer().expect("it is there");
    let token = producer.next().expect("there is room");
    *producer.get_mut(token).expect("it is claimed") = 7;
    drop(disruptor);
    producer.publish(token);
    assert!(matches!(producer.claim(), Err(ClaimError::Closed)));
    wait_until(|| monitor.stats().consumers[0].lag == 0);
    assert_eq!(log.take(), [7]);
}

#[test]
fn a_shutdown_that_times_out_can_be_tried_again() {
    let (release, gate) = mpsc::channel::<()>();
    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    let handler = move |_: &u64, _: u64, _: bool| gate.recv().expect("the test lets it go");
    disruptor.handle_events_with(handler).expect("added");
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_event(|_: &mut u64, _| {}).expect("there is room");
    let Err(ShutdownError::TimedOut { disruptor, .. }) = disruptor.shutdown_timeout(Duration::from_millis(1))
    else {
        panic!("the handler waits")
    };
    release.send(()).expect("the handler listens");
    assert_eq!(disruptor.shutdown().expect("it drains").end, 1);
}

#[test]
fn a_halt_stops_now_and_says_what_is_left() {
    let (release, gate) = mpsc::channel::<()>();
    let (entered, inside) = mpsc::channel();
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(1024).single_producer().build::<u64>().expect("built");
    let handler = move |_: &u64, sequence: u64, _: bool| {
        if sequence == 0 {
            entered.send(()).expect("the test listens");
            gate.recv().expect("the test lets it go");
        }
    };
    disruptor.handle_events_with(handler).expect("added");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.take_producer().expect("it is there");
    producer.publish_batch(1000, |_| {}).expect("there is room");
    inside.recv().expect("the handler has begun");
    let halted = thread::spawn(move || {
        let halted = disruptor.halt();
        (halted, disruptor.shutdown())
    });
    while !matches!(producer.try_claim(), Err(ClaimError::Halted)) {
        thread::yield_now();
    }
    release.send(()).expect("the handler listens");
    let (halted, shutdown) = halted.join().expect("no panic");
    let (name, left) = &halted.unconsumed[0];
    // The batch was finished, a quarter of the ring, and the next one was not begun.
    assert_eq!((&**name, left.start), ("consumer-0", 256));
    assert_eq!(left.end, 1000);
    assert!(matches!(shutdown, Err(ShutdownError::Halted { unconsumed }) if unconsumed == 744));
}

#[test]
fn a_halt_frees_producers_that_wait_for_room() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(1).build::<u64>().expect("the size is right");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    let waiting = thread::spawn(move || {
        producer.publish_event(|_: &mut u64, _| {}).expect("there is room");
        producer.publish_event(|_: &mut u64, _| {}).map(drop)
    });
    wait_until(|| disruptor.stats().cursor == 1);
    disruptor.halt();
    assert!(matches!(waiting.join().expect("no panic"), Err(ClaimError::Halted)));
    assert!(matches!(poller.poll(), Err(PollError::Halted)));
}

#[test]
fn events_that_were_never_started_are_not_lost_silently() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    disruptor.handle_events_with(|_: &u64, _: u64, _: bool| {}).expect("added");
    disruptor.ring_buffer().publish_batch(3, |_| {}).expect("there is room");
    assert!(matches!(disruptor.shutdown(), Err(ShutdownError::NotStarted { unconsumed: 3 })));
}

#[test]
fn a_poller_reads_to_the_end_after_the_shutdown() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_batch(3, |_| {}).expect("there is room");
    disruptor.shutdown().expect("no thread is waited for");
    assert_eq!(poller.poll().expect("three are there").iter().count(), 3);
    assert!(matches!(poller.poll(), Err(PollError::Closed)));
    assert!(matches!(poller.wait(None), Err(PollError::Closed)));
}

#[test]
fn the_last_handle_may_be_dropped_on_a_consumers_own_thread() {
    let slot: Arc<Mutex<Option<Disruptor<u64>>>> = Arc::new(Mutex::new(None));
    let log = Log::new();
    let (seen, kept) = (log.clone(), Arc::clone(&slot));
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right");
    let handler = move |event: &u64, _: u64, _: bool| {
        drop(kept.lock().expect("no panic").take());
        seen.push(*event);
    };
    disruptor.handle_events_with(handler).expect("added");
    disruptor.start().expect("it starts");
    let monitor = disruptor.monitor();
    let mut producer = disruptor.producer();
    *slot.lock().expect("no panic") = Some(disruptor);
    producer.publish_batch(3, |slots| slots.zip(1..).for_each(|(slot, n)| *slot = n)).expect("there is room");
    wait_until(|| monitor.stats().consumers[0].lag == 0);
    assert_eq!(log.take(), [1, 2, 3]);
}

//! Pollers, and the ways to be woken.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use badbatch::DisruptorBuilder;
use badbatch::disruptor::{ClaimError, PollError};

use crate::support::wait_until;

/// Wakes a parked thread: the smallest executor there is.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn take_gives_a_bounded_batch_and_the_rest_later() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    assert!(matches!(poller.poll(), Err(PollError::Idle)));
    disruptor.ring_buffer().publish_batch(5, |_| {}).expect("there is room");
    assert_eq!(poller.take(2).expect("five are there").sequences(), 0..2);
    assert_eq!(poller.sequence(), 2);
    assert_eq!(poller.poll().expect("three are left").sequences(), 2..5);
    assert!(matches!(poller.take(0), Err(PollError::Idle)));
}

#[test]
fn a_batch_holds_its_slots_until_it_is_dropped() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_batch(2, |_| {}).expect("there is room");
    let batch = poller.poll().expect("two are there");
    assert!(matches!(disruptor.ring_buffer().try_claim(), Err(ClaimError::Full { .. })));
    drop(batch);
    disruptor.ring_buffer().publish_batch(2, |_| {}).expect("the slots are free");
    std::mem::forget(poller.poll().expect("two are there"));
    assert_eq!(poller.poll().expect("a forgotten batch comes again").sequences(), 2..4);
}

#[test]
fn a_batch_that_a_panic_drops_comes_again() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_event(|_: &mut u64, _| {}).expect("there is room");
    let panicking = std::panic::AssertUnwindSafe(|| {
        let _batch = poller.poll().expect("one is there");
        panic!("half-way");
    });
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(poller.poll().expect("it comes again").sequences(), 0..1);
}

#[test]
fn a_dropped_poller_holds_nobody_up() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(1).build::<u64>().expect("the size is right");
    let poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    let waiting =
        thread::spawn(move || (0..3).try_for_each(|_| producer.publish_event(|_: &mut u64, _| {}).map(drop)));
    wait_until(|| disruptor.stats().cursor == 1);
    drop(poller);
    waiting.join().expect("no panic").expect("nobody is in the way");
}

#[test]
fn a_wait_ends_with_its_timeout() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    assert!(matches!(poller.wait(Some(Duration::from_millis(1))), Err(PollError::Idle)));
}

#[test]
fn a_future_is_woken_by_a_publication() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    let publishing = thread::spawn(move || {
        (1..=100).try_for_each(|n| producer.publish_event(|event: &mut u64, _| *event = n).map(drop))
    });
    let mut sum = 0;
    while sum < 5050 {
        sum += block_on(poll_fn(|context| {
            poller
                .poll_batch(context)
                .map(|batch| batch.map(|batch| batch.iter().map(|(_, event)| *event).sum::<u64>()))
        }))
        .expect("events come");
    }
    publishing.join().expect("no panic").expect("it runs");
    disruptor.shutdown().expect("nothing is left");
    assert!(matches!(
        block_on(poll_fn(|context| poller.poll_batch(context).map(|batch| batch.map(drop)))),
        Err(PollError::Closed)
    ));
}

#[test]
fn a_future_is_woken_by_the_end() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    let waiting = thread::spawn(move || {
        block_on(poll_fn(|context| poller.poll_batch(context).map(|batch| batch.map(drop))))
    });
    disruptor.halt();
    assert!(matches!(waiting.join().expect("no panic"), Err(PollError::Halted)));
}

#[test]
fn a_ring_that_never_signals_says_that_it_wakes_nobody() {
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(2).busy_spin_wait_strategy().build::<u64>().expect("built");
    let poller = disruptor.new_poller(&[]).expect("a poller can be added");
    assert!(matches!(poller.wake_when_ready(Waker::noop()), Err(PollError::NeverWoken)));
}

#[cfg(target_os = "linux")]
#[test]
fn an_eventfd_becomes_readable_with_an_event() {
    use badbatch::sys::eventfd::EventFd;

    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    let descriptor = Arc::new(EventFd::new().expect("an eventfd can be made"));
    let waker = Waker::from(Arc::clone(&descriptor));
    assert!(poller.wake_when_ready(&waker).expect("the strategy signals"));
    let mut producer = disruptor.producer();
    thread::scope(|scope| {
        scope.spawn(|| producer.publish_event(|_: &mut u64, _| {}).expect("there is room"));
        descriptor.wait().expect("it becomes readable");
    });
    assert!(!poller.wake_when_ready(&waker).expect("the strategy signals"), "an event is there already");
    assert_eq!(poller.poll().expect("an event is there").iter().count(), 1);
}

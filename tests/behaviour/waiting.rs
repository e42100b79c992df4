//! Wait strategies, foreign and hostile ones too.

use std::sync::mpsc;
use std::time::Duration;

use badbatch::disruptor::{
    BlockingWaitStrategy, BusySpinWaitStrategy, PhasedBackoffWaitStrategy, ProducerWait,
    SleepingWaitStrategy, TimeoutBlockingWaitStrategy, UnknownWaitStrategy, WaitStrategy, Waited, Waiter,
    YieldingWaitStrategy,
};
use badbatch::{DisruptorBuilder, EventHandler};

use crate::support::Log;

/// Sends `0..count` through a pipeline of three on a ring of two, with this strategy.
fn check(strategy: impl WaitStrategy, count: u64) {
    let logs = [Log::new(), Log::new(), Log::new()];
    let [a, b, c] = logs.clone().map(|log| move |event: &u64, _: u64, _: bool| log.push(*event));
    let mut disruptor = DisruptorBuilder::new()
        .buffer_size(2)
        .wait_strategy(strategy)
        .build::<u64>()
        .expect("the size is right");
    disruptor.handle_events_with(a).expect("added").then(b).expect("added").then(c).expect("added");
    disruptor.start().expect("it starts");
    for n in 0..count {
        disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = n).expect("there is room");
    }
    disruptor.shutdown().expect("it drains");
    for log in logs {
        assert_eq!(log.take(), (0..count).collect::<Vec<_>>());
    }
}

#[test]
fn every_strategy_delivers_through_a_pipeline() {
    let short = Duration::from_micros(1);
    check(BusySpinWaitStrategy, 100);
    check(YieldingWaitStrategy, 100);
    check(SleepingWaitStrategy::new(short), 100);
    check(BlockingWaitStrategy, 100);
    check(TimeoutBlockingWaitStrategy::new(short), 100);
    check(PhasedBackoffWaitStrategy::new(short, short, BlockingWaitStrategy), 100);
    check(PhasedBackoffWaitStrategy::new(short, short, SleepingWaitStrategy::new(short)), 100);
}

#[test]
fn every_producer_wait_goes_with_every_strategy() {
    for wait in [ProducerWait::Spin, ProducerWait::Yield, ProducerWait::Park] {
        let mut disruptor = DisruptorBuilder::new()
            .buffer_size(1)
            .yielding_wait_strategy()
            .producer_wait(wait)
            .build::<u64>()
            .expect("built");
        let log = Log::new();
        let seen = log.clone();
        disruptor.handle_events_with(move |event: &u64, _: u64, _: bool| seen.push(*event)).expect("added");
        disruptor.start().expect("it starts");
        for n in 0..200 {
            disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = n).expect("room comes");
        }
        disruptor.shutdown().expect("it drains");
        assert_eq!(log.take(), (0..200).collect::<Vec<_>>());
    }
}

#[test]
fn a_strategy_that_lies_hands_out_nothing_too_soon() {
    /// Says at once that the wait is over.
    struct Hasty;
    impl WaitStrategy for Hasty {
        fn wait(&self, _: &Waiter<'_>) -> Waited {
            std::thread::yield_now();
            Waited::Ready
        }
    }
    /// Says at once that time is up.
    struct Impatient;
    impl WaitStrategy for Impatient {
        fn wait(&self, waiter: &Waiter<'_>) -> Waited {
            waiter.park(Some(Duration::from_nanos(1)));
            Waited::TimedOut
        }
    }
    check(Hasty, 100);
    check(Impatient, 100);
}

#[test]
fn a_timeout_calls_on_timeout_with_the_awaited_sequence() {
    struct Timed(mpsc::Sender<u64>);
    impl EventHandler<u64> for Timed {
        fn on_event(&mut self, _: &u64, _: u64, _: bool) {}
        fn on_timeout(&mut self, sequence: u64) {
            // The test may have heard enough.
            let _ = self.0.send(sequence);
        }
    }
    let (sender, receiver) = mpsc::channel();
    let mut disruptor = DisruptorBuilder::new()
        .buffer_size(2)
        .timeout_blocking_wait_strategy(Duration::from_millis(1))
        .build::<u64>()
        .expect("the size is right");
    disruptor.handle_events_with(Timed(sender)).expect("added");
    disruptor.start().expect("it starts");
    assert_eq!(receiver.recv(), Ok(0));
    disruptor.ring_buffer().publish_event(|_: &mut u64, _| {}).expect("there is room");
    assert_eq!(receiver.iter().find(|&sequence| sequence != 0), Some(1));
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    let error: UnknownWaitStrategy =
        "lazy".parse::<badbatch::disruptor::NamedWaitStrategy>().expect_err("nobody is called so");
    assert!(error.to_string().starts_with("no wait strategy is called `lazy`; there are busy-spin"));
}

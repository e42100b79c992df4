//! Stats, observers, names, CPUs, the watchdog, and the stepper.

use std::ops::Range;
use std::sync::mpsc;
use std::time::Duration;

use badbatch::base::cpu::CpuId;
use badbatch::disruptor::{ClaimError, ConsumerState, Observer, StallDetector, StartError, Watchdog};
use badbatch::{Consumer, DisruptorBuilder};

use crate::support::{Log, wait_until};

fn nothing(_: &u64, _: u64, _: bool) {}

#[test]
fn stats_say_how_far_everybody_is() {
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>().expect("built");
    disruptor.handle(Consumer::reading(nothing).named("fast")).expect("added");
    let _slow = disruptor.new_poller(&[]).expect("a poller can be added");
    assert_eq!(disruptor.stats().consumers[0].state, ConsumerState::Waiting);
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_batch(5, |_| {}).expect("there is room");
    wait_until(|| disruptor.stats().consumers[0].lag == 0);
    let stats = disruptor.stats();
    assert_eq!((stats.capacity, stats.cursor), (8, 5));
    let fast = &stats.consumers[0];
    assert_eq!((&*fast.name, fast.sequence, fast.lag, fast.state), ("fast", 5, 0, ConsumerState::Running));
    let slowest = stats.slowest().expect("there are two");
    assert_eq!((&*slowest.name, slowest.sequence, slowest.lag), ("poller-1", 0, 5));
    let monitor = disruptor.monitor();
    disruptor.shutdown().expect("it drains");
    let fast = &monitor.stats().consumers[0];
    assert_eq!(fast.state, ConsumerState::Stopped);
    assert!(fast.batches >= 1);
}

#[test]
fn an_observer_hears_of_batches_and_waits() {
    #[derive(Clone)]
    struct Listening(Log<String>);
    impl Observer for Listening {
        fn batch_starts(&mut self, sequences: &Range<u64>, depth: u64) {
            self.0.push(format!("{sequences:?} of {depth}"));
        }
        fn batch_ends(&mut self, sequences: &Range<u64>) {
            self.0.push(format!("{sequences:?} done"));
        }
        fn waits(&mut self, sequence: u64) {
            self.0.push(format!("waits for {sequence}"));
        }
    }
    let log = Log::new();
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>().expect("built");
    let consumer = Consumer::reading(nothing).max_batch(2).observed_by(Listening(log.clone()));
    disruptor.handle(consumer).expect("added");
    disruptor.ring_buffer().publish_batch(3, |_| {}).expect("there is room");
    disruptor.start().expect("it starts");
    disruptor.shutdown().expect("it drains");
    let heard = log.take();
    assert_eq!(heard[..4], ["0..2 of 3", "0..2 done", "2..3 of 1", "2..3 done"]);
    assert!(heard[4..].iter().all(|entry| entry == "waits for 3"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_handler_can_be_pinned_and_a_missing_cpu_fails_the_start() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    let (sender, receiver) = mpsc::channel();
    let allowed = move |_: &u64, _: u64, _: bool| {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("a thread has a status");
        let list =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("it has CPUs");
        sender.send(list.trim().to_owned()).expect("the test listens");
    };
    disruptor.handle(Consumer::reading(allowed).pin(CpuId(0))).expect("added");
    disruptor.start().expect("every machine has a first CPU");
    disruptor.ring_buffer().publish_event(|_: &mut u64, _| {}).expect("there is room");
    assert_eq!(receiver.recv().as_deref(), Ok("0"));

    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    disruptor.handle_events_with(nothing).expect("added");
    disruptor.handle(Consumer::reading(nothing).named("lost").pin(CpuId(1023))).expect("added");
    assert!(matches!(disruptor.start(), Err(StartError::Pin { name, .. }) if &*name == "lost"));
    assert_eq!(disruptor.stats().consumers.len(), 2, "nothing has changed");
}

#[test]
fn a_stall_is_noticed_after_its_threshold_and_only_with_work_to_do() {
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>().expect("built");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    let mut detector = StallDetector::new(Duration::from_secs(2));
    let mut observe = |disruptor: &badbatch::Disruptor<u64, _, _>, second| {
        detector.observe(&disruptor.stats(), Duration::from_secs(second))
    };
    assert!(observe(&disruptor, 0).is_none());
    assert!(observe(&disruptor, 10).is_none(), "nothing was to be done");
    disruptor.ring_buffer().publish_batch(3, |_| {}).expect("there is room");
    assert!(observe(&disruptor, 11).is_none());
    let stall = observe(&disruptor, 13).expect("it has stood since 10");
    assert_eq!(
        (&*stall.consumer, stall.sequence, stall.lag, stall.lasts),
        ("poller-0", 0, 3, Duration::from_secs(3))
    );
    drop(poller.take(1));
    assert!(observe(&disruptor, 14).is_none(), "it has moved");
    assert!(observe(&disruptor, 16).is_some());
}

#[test]
fn a_watchdog_reports_a_stall_and_ends_with_its_owner() {
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>().expect("built");
    let _stalled = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_event(|_: &mut u64, _| {}).expect("there is room");
    let (sender, receiver) = mpsc::channel();
    let report = move |stall: &badbatch::disruptor::Stall| drop(sender.send(stall.clone()));
    let watchdog = Watchdog::spawn(disruptor.monitor(), Duration::from_millis(4), report).expect("it starts");
    let stall = receiver.recv().expect("it reports");
    assert_eq!((&*stall.consumer, stall.lag), ("poller-0", 1));
    drop(watchdog);
    assert!(receiver.iter().all(|stall| stall.lag == 1), "the channel closes with the thread");
}

#[test]
fn a_stepper_is_deterministic_and_never_waits() {
    let log = Log::new();
    let named = |name: &'static str| {
        let log = log.clone();
        move |event: &u64, _: u64, _: bool| log.push((name, *event))
    };
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right");
    disruptor.handle_events_with(named("a")).expect("added").then(named("b")).expect("added");
    let mut stepper = disruptor.into_stepper().expect("it starts");
    stepper
        .ring_buffer()
        .publish_batch(8, |slots| slots.zip(0..).for_each(|(slot, n)| *slot = n))
        .expect("room");
    assert!(matches!(stepper.ring_buffer().claim(), Err(ClaimError::WouldDeadlock)));
    assert!(!stepper.step_one(1), "b waits for a");
    assert!(stepper.step_one(0) && stepper.step_one(1) && stepper.consumers() == 2);
    assert_eq!(log.take(), [("a", 0), ("a", 1), ("b", 0), ("b", 1)]);
    stepper.run_until_idle();
    assert_eq!(log.take().len(), 12);
    assert!(!stepper.step());
}

//! Handlers that panic or return errors.

use std::process::Command;
use std::sync::mpsc;

use badbatch::disruptor::{
    ClaimError, EventContext, ExceptionHandler, Failure, FailureAction, FailureCause, FailurePolicy,
    HandlerError, Moment, PollError, ShutdownError, StartError,
};
use badbatch::{Consumer, DisruptorBuilder, EventHandler};

use crate::support::{Log, wait_until};

/// A handler that logs events and panics at those of `bad`, each `times` times.
fn panicking(log: &Log<u64>, bad: u64, mut times: u32) -> impl FnMut(&u64, u64, bool) + Send + 'static {
    let log = log.clone();
    move |event, _, _| {
        if *event == bad && times > 0 {
            times -= 1;
            panic!("{event} is bad");
        }
        log.push(*event);
    }
}

/// What a consumer with this policy, and a follower, have seen of `0..5`, where 2 fails `times` times.
fn seen_with(policy: FailurePolicy, times: u32) -> (Vec<u64>, Vec<u64>, Option<Failure>) {
    fn check<P: badbatch::disruptor::ProducerKind>(
        builder: DisruptorBuilder<P>,
        times: u32,
    ) -> (Vec<u64>, Vec<u64>, Option<Failure>) {
        let (log, followed) = (Log::new(), Log::new());
        let mut disruptor = builder.buffer_size(32).build::<u64>().expect("the size is right");
        let seen = followed.clone();
        disruptor
            .handle_events_with(panicking(&log, 2, times))
            .expect("added")
            .then(move |event: &u64, _: u64, _: bool| seen.push(*event))
            .expect("added");
        let mut stepper = disruptor.into_stepper().expect("it starts");
        let fill =
            |slots: badbatch::disruptor::SlotsMut<'_, u64>| slots.zip(0..).for_each(|(slot, n)| *slot = n);
        stepper.ring_buffer().publish_batch(5, fill).expect("there is room");
        stepper.run_until_idle();
        (log.take(), followed.take(), stepper.first_failure())
    }
    let single = check(DisruptorBuilder::new().on_failure(policy).single_producer(), times);
    let multi = check(DisruptorBuilder::new().on_failure(policy).multi_producer(), times);
    assert_eq!((&single.0, &single.1), (&multi.0, &multi.1), "the kind of producer makes no difference");
    single
}

#[test]
fn poison_stops_at_the_event_and_keeps_the_failure() {
    let (seen, followed, failure) = seen_with(FailurePolicy::Poison, 1);
    assert_eq!((seen, followed), (vec![0, 1], vec![]), "a batch is let go as a whole");
    let failure = failure.expect("it has failed");
    assert_eq!(
        (failure.consumer(), failure.moment(), failure.attempt()),
        ("consumer-0", Moment::Event(2), 1)
    );
    assert!(matches!(failure.cause(), FailureCause::Panic(message) if message == "2 is bad"));
}

#[test]
fn skip_goes_on_and_later_stages_still_see_the_event() {
    let (seen, followed, failure) = seen_with(FailurePolicy::Skip, 1);
    assert_eq!((seen, followed), (vec![0, 1, 3, 4], vec![0, 1, 2, 3, 4]));
    assert!(failure.is_none());
}

#[test]
fn discard_hides_the_event_from_later_stages() {
    let (seen, followed, failure) = seen_with(FailurePolicy::Discard, 1);
    assert_eq!((seen, followed), (vec![0, 1, 3, 4], vec![0, 1, 3, 4]));
    assert!(failure.is_none());
}

#[test]
fn retry_hands_the_event_out_again() {
    let (seen, followed, failure) = seen_with(FailurePolicy::Retry { times: 2 }, 2);
    assert_eq!((seen, followed), (vec![0, 1, 2, 3, 4], vec![0, 1, 2, 3, 4]));
    assert!(failure.is_none());
    let (seen, _, failure) = seen_with(FailurePolicy::Retry { times: 2 }, 3);
    assert_eq!(seen, [0, 1]);
    assert_eq!(failure.expect("it has failed too often").attempt(), 3);
}

#[test]
fn abort_ends_the_process() {
    const CHILD: &str = "BADBATCH_TEST_ABORT";
    if std::env::var_os(CHILD).is_some() {
        seen_with(FailurePolicy::Abort, 1);
        unreachable!("the process has been aborted");
    }
    let this_test = ["--exact", "failing::abort_ends_the_process", "--nocapture"];
    let program = std::env::current_exe().expect("a test has an executable");
    let output = Command::new(program).args(this_test).env(CHILD, "1").output().expect("it runs");
    assert!(!output.status.success());
    assert!(output.status.code().is_none_or(|code| code != 101), "it was aborted, not unwound");
}

#[test]
fn publishers_followers_and_pollers_learn_who_died() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    let dying = |event: &u64, _: u64, _: bool| assert_ne!(*event, 3, "three is bad");
    let dying = disruptor.handle(Consumer::reading(dying).named("dying")).expect("added").id();
    disruptor.after(&[dying]).expect("it is known").then(|_: &u64, _: u64, _: bool| {}).expect("added");
    let mut poller = disruptor.new_poller(&[dying]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    let publishing = std::thread::spawn(move || {
        (0..)
            .find_map(|n| producer.publish_event(|event: &mut u64, _| *event = n).err())
            .expect("it fails in the end")
    });
    let polled = loop {
        match poller.wait(None) {
            Ok(batch) => drop(batch),
            Err(error) => break error,
        }
    };
    let Err(ShutdownError::Poisoned { failure, unconsumed }) = disruptor.shutdown() else {
        panic!("it is poisoned")
    };
    assert_eq!((failure.consumer(), failure.sequence(), failure.thread()), ("dying", Some(3), "dying"));
    assert!((1..=3).contains(&unconsumed), "{unconsumed} are left");
    assert!(matches!(polled, PollError::Poisoned(failure) if failure.consumer() == "dying"));
    let published = publishing.join().expect("no panic");
    assert!(
        matches!(&published, ClaimError::Poisoned(failure) if failure.sequence() == Some(3)),
        "{published}"
    );
    assert!(published.to_string().contains("three is bad"), "{published}");
}

#[test]
fn an_error_is_a_failure_like_a_panic() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right");
    let handler = |event: &u64, _: &mut EventContext<'_>| {
        if *event == 1 { Err(HandlerError::from("no ones")) } else { Ok(()) }
    };
    disruptor.handle(Consumer::fallible(handler)).expect("added");
    disruptor.start().expect("it starts");
    let fill = |slots: badbatch::disruptor::SlotsMut<'_, u64>| slots.zip(0..).for_each(|(slot, n)| *slot = n);
    disruptor.ring_buffer().publish_batch(2, fill).expect("there is room");
    let Err(ShutdownError::Poisoned { failure, unconsumed }) = disruptor.shutdown() else {
        panic!("it is poisoned")
    };
    assert!(matches!(failure.cause(), FailureCause::Error(error) if error.to_string() == "no ones"));
    assert!(std::error::Error::source(&failure).is_some_and(|source| source.to_string() == "no ones"));
    assert!((1..=2).contains(&unconsumed), "the batch that failed is not let go, {unconsumed} are left");
}

#[test]
fn a_slice_of_events_fails_as_a_whole() {
    let log = Log::new();
    let seen = log.clone();
    let handler = move |events: &[u64], _: u64, _: bool| {
        assert!(!events.contains(&1), "a one is in it");
        seen.push(events.to_vec());
    };
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(8).on_failure(FailurePolicy::Skip).build().expect("built");
    disruptor.handle(Consumer::batches(handler)).expect("added");
    let mut stepper = disruptor.into_stepper().expect("it starts");
    for values in [[0, 1], [2, 3]] {
        let fill =
            |slots: badbatch::disruptor::SlotsMut<'_, u64>| slots.zip(values).for_each(|(slot, n)| *slot = n);
        stepper.ring_buffer().publish_batch(2, fill).expect("there is room");
        stepper.run_until_idle();
    }
    assert_eq!(log.take(), [vec![2, 3]]);
}

/// Logs what it is asked, and answers as it is told.
struct Asked {
    log: Log<String>,
    answer: FailureAction,
}

impl ExceptionHandler<u64> for Asked {
    fn on_event_failure(&self, failure: &Failure, event: &u64) -> FailureAction {
        self.log.push(format!("event {event}: {}", failure.cause()));
        self.answer
    }

    fn on_start_failure(&self, failure: &Failure) -> FailureAction {
        self.log.push(format!("start: {}", failure.cause()));
        self.answer
    }

    fn on_shutdown_failure(&self, failure: &Failure) -> FailureAction {
        self.log.push(format!("shutdown: {}", failure.cause()));
        self.answer
    }
}

/// Panics in every hook and at every event.
struct Hopeless;

impl EventHandler<u64> for Hopeless {
    fn on_event(&mut self, _: &u64, _: u64, _: bool) {
        panic!("hopeless");
    }
    fn on_start(&mut self) {
        panic!("too early");
    }
    fn on_shutdown(&mut self) {
        panic!("too late");
    }
}

#[test]
fn an_exception_handler_decides_about_every_moment() {
    let log = Log::new();
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right");
    let asked = Asked { log: log.clone(), answer: FailureAction::Skip };
    disruptor.handle(Consumer::reading(Hopeless).on_failure(asked)).expect("added");
    disruptor.start().expect("the failure is skipped");
    disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = 5).expect("there is room");
    disruptor.shutdown().expect("the failures are skipped");
    assert_eq!(
        log.take(),
        ["start: panicked: too early", "event 5: panicked: hopeless", "shutdown: panicked: too late"]
    );
}

#[test]
fn a_handler_that_fails_at_its_start_fails_the_start_and_stops_the_others() {
    struct Sibling(Log<&'static str>);
    impl EventHandler<u64> for Sibling {
        fn on_event(&mut self, _: &u64, _: u64, _: bool) {
            self.0.push("event");
        }
        fn on_shutdown(&mut self) {
            self.0.push("shutdown");
        }
    }
    let log = Log::new();
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right");
    disruptor.handle_events_with(Sibling(log.clone())).expect("added");
    disruptor.handle_events_with(Hopeless).expect("added");
    let Err(StartError::Handler(failure)) = disruptor.start() else { panic!("the start fails") };
    assert_eq!((failure.consumer(), failure.moment()), ("consumer-1", Moment::Start));
    assert_eq!(log.take(), ["shutdown"]);
    assert!(matches!(disruptor.ring_buffer().claim(), Err(ClaimError::Poisoned(_))));
}

#[test]
fn an_exception_handler_that_panics_poisons() {
    struct Worse;
    impl ExceptionHandler<u64> for Worse {
        fn on_event_failure(&self, _: &Failure, _: &u64) -> FailureAction {
            panic!("even worse");
        }
    }
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right");
    let panicking = |_: &u64, _: u64, _: bool| panic!("bad");
    disruptor.handle(Consumer::reading(panicking).on_failure(Worse)).expect("added");
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_event(|_: &mut u64, _| {}).expect("there is room");
    let Err(ShutdownError::Poisoned { failure, .. }) = disruptor.shutdown() else { panic!("it is poisoned") };
    assert!(matches!(failure.cause(), FailureCause::Panic(message) if message == "bad"));
}

#[test]
fn the_first_failure_is_the_one_that_is_kept() {
    let (entered, inside) = mpsc::channel::<()>();
    let (release, gate) = mpsc::channel::<()>();
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right");
    let early = move |_: &u64, _: u64, _: bool| {
        inside.recv().expect("the late one begins");
        panic!("early");
    };
    let late = move |_: &u64, _: u64, _: bool| {
        entered.send(()).expect("the early one listens");
        gate.recv().expect("the test lets it go");
        panic!("late");
    };
    disruptor.handle(Consumer::reading(early).named("early")).expect("added");
    disruptor.handle(Consumer::reading(late).named("late")).expect("added");
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_event(|_: &mut u64, _| {}).expect("there is room");
    wait_until(|| disruptor.first_failure().is_some());
    release.send(()).expect("the late one listens");
    let Err(ShutdownError::Poisoned { failure, .. }) = disruptor.shutdown() else { panic!("it is poisoned") };
    assert_eq!(failure.consumer(), "early");
}

#[test]
fn a_worker_that_skips_an_event_goes_on_with_its_share() {
    let log = Log::new();
    let worker = |_| {
        let log = log.clone();
        move |event: &mut u64, _: u64, _: bool| {
            assert!(!(*event).is_multiple_of(5), "multiples of five are bad");
            log.push(*event);
        }
    };
    let mut disruptor = DisruptorBuilder::new()
        .buffer_size(16)
        .on_failure(FailurePolicy::Skip)
        .build::<u64>()
        .expect("built");
    disruptor.handle(Consumer::workers((0..2).map(worker).collect())).expect("added");
    disruptor.start().expect("it starts");
    for value in 0..100 {
        disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = value).expect("there is room");
    }
    disruptor.shutdown().expect("it drains");
    let mut seen = log.take();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).filter(|n| n % 5 != 0).collect::<Vec<_>>());
}

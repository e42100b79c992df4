//! Safe code that tries to break the ring: what it must never reach is a data race, two `&mut` to one
//! event, or an event that changes under a reference.
//!
//! The rings are tiny so that Miri can run every test: `cargo +nightly miri test --test hostile`.

use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Wake, Waker};
use std::thread;

use badbatch::disruptor::{
    Batch, BlockingWaitStrategy, BusySpinWaitStrategy, Claim, ClaimBatch, ClaimError, ConsumerId,
    ExceptionHandler, Failure, FailureAction, FailurePolicy, GraphError, HandlerError, Moment, MultiProducer,
    PollError, Rewind, RewindAtOnce, ShutdownError, SingleProducer, SlotsMut, StartError, WaitStrategy,
    Waited, Waiter,
};
use badbatch::{
    Consumer, Disruptor, DisruptorBuilder, EventHandler, EventHandlerMut, EventPoller, RingBuffer,
};

/// Yields until `done` holds. A test that waits for ever is ended by its harness.
fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        thread::yield_now();
    }
}

fn builder(slots: usize) -> DisruptorBuilder<MultiProducer, BlockingWaitStrategy> {
    DisruptorBuilder::new().buffer_size(slots).multi_producer()
}

type Poller<E> = EventPoller<E, MultiProducer, BlockingWaitStrategy>;

/// What the poller can read now, with the sequences.
fn read(poller: &mut Poller<u64>) -> Vec<(u64, u64)> {
    poller
        .poll()
        .map_or(Vec::new(), |batch| batch.iter().map(|(sequence, event)| (sequence, *event)).collect())
}

// Claims.

#[test]
fn two_producers_never_hold_one_slot_even_if_nobody_consumes() {
    let disruptor = builder(2).build::<u64>().expect("it is built");
    let (mut one, mut other) = (disruptor.producer(), disruptor.producer());
    let mut held = one.claim().expect("the ring is empty");
    let slot: &mut u64 = &mut held;
    other.try_publish(|event| *event = 1).expect("one slot is free");
    let around = other.try_publish(|event| *event = 2);
    *slot = 0;
    assert!(around.is_err(), "the only slot left is the one that is held");
    held.publish();
}

#[test]
fn a_held_claim_is_safe_when_only_later_consumers_are_left() {
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    let early = disruptor.new_poller(&[]).expect("it can join");
    let (mut one, mut other) = (disruptor.producer(), disruptor.producer());
    let mut held = one.claim().expect("the ring is empty");
    let slot: &mut u64 = &mut held;
    let mut late = disruptor.new_poller(&[]).expect("it can join");
    assert_eq!(late.sequence(), 1);
    drop(early);
    other.try_publish(|event| *event = 1).expect("one slot is free");
    assert_eq!(read(&mut late), [(1, 1)]);
    let around = other.try_publish(|event| *event = 2);
    *slot = 0;
    assert!(around.is_err(), "the only slot left is the one that is held");
    held.publish();
    other.try_publish(|event| *event = 2).expect("the slot was published");
    assert_eq!(read(&mut late), [(2, 2)]);
}

#[test]
fn producers_pass_slots_on_to_each_other_in_order_without_a_consumer() {
    let disruptor = builder(2).build::<u64>().expect("it is built");
    let (mut one, mut other) = (disruptor.producer(), disruptor.producer());
    let publish = |producer: &mut RingBuffer<u64>, times| {
        for _ in 0..times {
            // Full means that the other one's claim is in flight.
            while producer.try_publish(|event| *event += 1).is_err() {
                thread::yield_now();
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| publish(&mut one, 3));
        publish(&mut other, 1);
    });
    assert_eq!(disruptor.stats().cursor, 4);
}

#[test]
fn a_claim_travels_to_another_thread_and_is_published_there() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).single_producer().build::<Cell<u64>>();
    let disruptor = disruptor.as_mut().expect("it is built");
    let claim = disruptor.ring_buffer().claim().expect("the ring is empty");
    thread::scope(|scope| {
        scope.spawn(move || {
            claim.set(1);
            claim.publish();
        });
    });
    assert_eq!(disruptor.ring_buffer().cursor(), 1);
}

#[test]
fn sizes_that_cannot_be_claimed_move_nothing() {
    let mut single = DisruptorBuilder::new().buffer_size(2).single_producer().build::<u64>().expect("built");
    let mut multi = builder(2).build::<u64>().expect("built");
    for n in [0, 3, usize::MAX] {
        let single = single.ring_buffer().publish_batch(n, |_| unreachable!("nothing is claimed"));
        let multi = multi.ring_buffer().publish_batch(n, |_| unreachable!("nothing is claimed"));
        for result in [single, multi] {
            assert!(matches!(result, Err(ClaimError::BadSize { requested, capacity: 2 }) if requested == n));
        }
    }
    assert_eq!((single.ring_buffer().cursor(), multi.ring_buffer().cursor()), (0, 0));
}

#[test]
fn a_forgotten_claim_leaves_no_gap_and_no_reference() {
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    let mut poller = disruptor.new_poller(&[]).expect("it can join");
    let producer = disruptor.ring_buffer();
    mem::forget(producer.claim().expect("a slot is free"));
    producer.publish_event(|event, _| *event = 1).expect("a slot is free");
    assert_eq!(read(&mut poller), [(1, 1)]);
    mem::forget(producer.try_claim_n(1).expect("a slot is free"));
    assert!(matches!(producer.try_claim_n(2).map(|claim| claim.len()), Err(ClaimError::Full { .. })));
    assert_eq!(read(&mut poller), [], "what was forgotten was given up");
    let mut claim = producer.claim_n(2).expect("the ring is empty");
    claim.iter_mut().for_each(|event| *event = 2);
    assert_eq!(claim.publish_prefix(1).count(), 1);
    assert_eq!(read(&mut poller), [(3, 2)]);
}

#[test]
fn a_panicking_translator_publishes_nothing() {
    fn check<P: badbatch::disruptor::ProducerKind>(builder: DisruptorBuilder<P>) {
        let mut disruptor = builder.buffer_size(2).build::<u64>().expect("it is built");
        let mut poller = disruptor.new_poller(&[]).expect("it can join");
        let producer = disruptor.ring_buffer();
        for _ in 0..3 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                producer.publish_batch(2, |mut slots| {
                    *slots.next().expect("two slots") = 13;
                    panic!("the translator gives up");
                })
            }));
            assert!(result.is_err());
            assert!(matches!(poller.poll().map(|batch| batch.sequences()), Err(PollError::Idle)));
        }
        producer.publish_event(|event, _| *event = 1).expect("nothing is held");
        let batch = poller.poll().expect("one event");
        assert_eq!(batch.iter().map(|(_, event)| *event).collect::<Vec<_>>(), [1]);
    }
    check(DisruptorBuilder::new().single_producer());
    check(DisruptorBuilder::new().multi_producer());
}

#[test]
fn the_last_sequences_can_be_used_and_then_no_more() {
    fn check<P: badbatch::disruptor::ProducerKind>(builder: DisruptorBuilder<P>) {
        let end = 1 << 62;
        let built = builder.buffer_size(4).first_sequence(end - 3).build::<u64>();
        let mut disruptor = built.expect("it is built");
        let mut poller = disruptor.new_poller(&[]).expect("it can join");
        let producer = disruptor.ring_buffer();
        assert_eq!(producer.publish_batch(2, |_| {}).expect("two are left"), end - 3..end - 1);
        assert!(matches!(producer.try_claim_n(2), Err(ClaimError::Exhausted)));
        assert_eq!(producer.publish_event(|_, _| {}).expect("one is left"), end - 1);
        for _ in 0..3 {
            assert!(matches!(producer.claim().map(|claim| claim.sequence()), Err(ClaimError::Exhausted)));
            assert!(producer.try_claim_up_to(4).is_err());
        }
        assert_eq!(poller.poll().expect("three events").sequences(), end - 3..end);
        assert!(producer.claim().is_err());
        drop(disruptor);
    }
    check(DisruptorBuilder::new().single_producer());
    check(DisruptorBuilder::new().multi_producer());
}

// Wait strategies.

enum Mischief {
    ReadyAtOnce,
    TimedOutAtOnce,
    ParkForGood,
    Panic,
}

struct Hostile(Mischief);

impl WaitStrategy for Hostile {
    fn wait(&self, waiter: &Waiter<'_>) -> Waited {
        // So that Miri, which has no time slices to speak of, runs the others.
        thread::yield_now();
        match self.0 {
            Mischief::ReadyAtOnce => Waited::Ready,
            Mischief::TimedOutAtOnce => Waited::TimedOut,
            // It does not say that it parks, so nobody but the shutdown wakes it.
            Mischief::ParkForGood => {
                waiter.park(None);
                Waited::TimedOut
            }
            Mischief::Panic if waiter.sequence() < 2 => Waited::Ready,
            Mischief::Panic => panic!("the strategy gives up"),
        }
    }
}

/// Runs a changing handler and two readers behind it under the strategy; the result is what the readers saw,
/// and whether the shutdown succeeded.
fn run_under(mischief: Mischief) -> (Vec<u64>, bool) {
    let mut disruptor = DisruptorBuilder::new()
        .buffer_size(2)
        .single_producer()
        .wait_strategy(Hostile(mischief))
        .build::<u64>()
        .expect("it is built");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let reader = || {
        let seen = Arc::clone(&seen);
        move |event: &u64, _: u64, _: bool| seen.lock().expect("no reader panics").push(*event)
    };
    let double = |event: &mut u64, _: u64, _: bool| *event *= 2;
    let first = disruptor.handle_events_mut_with(double).expect("it can be added").id();
    for reader in [reader(), reader()] {
        disruptor.after(&[first]).and_then(|group| group.then(reader)).expect("it can be added");
    }
    disruptor.start().expect("it starts");
    for value in 1..=4 {
        if disruptor.ring_buffer().publish_event(|event, _| *event = value).is_err() {
            break;
        }
    }
    let ended_well = disruptor.shutdown().is_ok();
    let mut seen = mem::take(&mut *seen.lock().expect("no reader panics"));
    seen.sort_unstable();
    (seen, ended_well)
}

#[test]
fn a_strategy_that_never_waits_hands_out_nothing_early() {
    let all = vec![2, 2, 4, 4, 6, 6, 8, 8];
    assert_eq!(run_under(Mischief::ReadyAtOnce), (all.clone(), true));
    assert_eq!(run_under(Mischief::TimedOutAtOnce), (all, true));
}

#[test]
fn a_strategy_that_sleeps_through_publications_is_woken_by_the_shutdown() {
    let mut disruptor = DisruptorBuilder::new()
        .buffer_size(4)
        .single_producer()
        .wait_strategy(Hostile(Mischief::ParkForGood))
        .build::<u64>()
        .expect("it is built");
    let sum = Arc::new(AtomicU64::new(0));
    let total = Arc::clone(&sum);
    disruptor
        .handle_events_with(move |event: &u64, _: u64, _: bool| {
            total.fetch_add(*event, Ordering::Relaxed);
        })
        .expect("it can be added");
    disruptor.start().expect("it starts");
    for value in 1..=4 {
        disruptor.ring_buffer().publish_event(|event, _| *event = value).expect("there is room");
    }
    disruptor.shutdown().expect("it drains");
    assert_eq!(sum.load(Ordering::Relaxed), 10);
}

#[test]
fn a_strategy_that_panics_poisons() {
    let (seen, ended_well) = run_under(Mischief::Panic);
    assert!(!ended_well);
    assert!(seen.iter().all(|value| [2, 4, 6, 8].contains(value)));
}

// Handlers and exception handlers.

/// Panics in one of its hooks, or in none.
struct Panicking {
    hook: &'static str,
    armed: Arc<AtomicBool>,
    handled: Arc<AtomicUsize>,
}

impl Panicking {
    fn visit(&self, hook: &str) {
        assert!(hook != self.hook || !self.armed.swap(false, Ordering::Relaxed), "boom in {hook}");
    }
}

impl EventHandlerMut<u64> for Panicking {
    fn on_event(&mut self, event: &mut u64, _: u64, _: bool) {
        self.visit("on_event");
        *event += 1;
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    fn on_batch_start(&mut self, _: u64, _: u64) {
        self.visit("on_batch_start");
    }

    fn on_start(&mut self) {
        self.visit("on_start");
    }

    fn on_shutdown(&mut self) {
        self.visit("on_shutdown");
    }

    fn on_timeout(&mut self, _: u64) {
        self.visit("on_timeout");
    }
}

/// Answers everything with one action, or panics.
struct Answer(Option<FailureAction>);

impl ExceptionHandler<u64> for Answer {
    fn on_event_failure(&self, failure: &Failure, event: &u64) -> FailureAction {
        assert!(matches!(failure.moment(), Moment::Event(_)) && *event <= 100);
        self.0.expect("no answer")
    }

    fn on_start_failure(&self, _: &Failure) -> FailureAction {
        self.0.expect("no answer")
    }

    fn on_shutdown_failure(&self, _: &Failure) -> FailureAction {
        self.0.expect("no answer")
    }
}

/// Runs three events through a handler that panics once, in `hook`, under an exception handler that
/// gives `answer`; the result is the number of events handled, and whether it started and ended well.
fn panic_once(hook: &'static str, answer: Option<FailureAction>) -> (usize, bool, bool) {
    let mut disruptor = DisruptorBuilder::new()
        .buffer_size(2)
        .wait_strategy(Hostile(Mischief::TimedOutAtOnce))
        .build::<u64>()
        .expect("it is built");
    let (armed, handled) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let handler = Panicking { hook, armed: Arc::clone(&armed), handled: Arc::clone(&handled) };
    disruptor.handle(Consumer::modifying(handler).on_failure(Answer(answer))).expect("it can be added");
    if disruptor.start().is_err() {
        return (handled.load(Ordering::Relaxed), false, false);
    }
    for value in 0..3 {
        if disruptor.ring_buffer().publish_event(|event, _| *event = value).is_err() {
            break;
        }
    }
    if hook == "on_timeout" {
        wait_until(|| !armed.load(Ordering::Relaxed));
    }
    let ended_well = disruptor.shutdown().is_ok();
    (handled.load(Ordering::Relaxed), true, ended_well)
}

#[test]
fn a_panic_in_any_hook_ends_in_a_failure_or_in_what_was_asked_for() {
    for answer in [None, Some(FailureAction::Poison)] {
        assert!(!panic_once("on_start", answer).1);
        for hook in ["on_event", "on_batch_start", "on_shutdown", "on_timeout"] {
            let (_, started, ended_well) = panic_once(hook, answer);
            assert!(started && !ended_well, "{hook}");
        }
    }
    assert_eq!(panic_once("on_start", Some(FailureAction::Skip)), (3, true, true));
    assert_eq!(panic_once("on_shutdown", Some(FailureAction::Skip)), (3, true, true));
    for hook in ["on_event", "on_batch_start"] {
        assert_eq!(panic_once(hook, Some(FailureAction::Retry)), (3, true, true), "{hook}");
        assert_eq!(panic_once(hook, Some(FailureAction::Skip)), (2, true, true), "{hook}");
        assert_eq!(panic_once(hook, Some(FailureAction::Discard)), (2, true, true), "{hook}");
    }
}

#[test]
fn workers_that_fail_and_try_again_share_events_with_nobody() {
    let mut disruptor =
        builder(2).on_failure(FailurePolicy::Retry { times: 1 }).build().expect("it is built");
    let worker = || {
        let mut failed = None;
        move |event: &mut Cell<u64>, sequence: u64, _: bool| {
            event.set(event.get() + 1);
            assert!(failed.replace(sequence) == Some(sequence), "the first attempt fails");
        }
    };
    let pool = disruptor.handle(Consumer::workers(vec![worker(), worker()])).expect("it can be added").id();
    let sum = Arc::new(AtomicU64::new(0));
    let total = Arc::clone(&sum);
    disruptor
        .after(&[pool])
        .and_then(|group| {
            group.then_mut(move |event: &mut Cell<u64>, _: u64, _: bool| {
                total.fetch_add(event.get(), Ordering::Relaxed);
            })
        })
        .expect("it can be added");
    disruptor.start().expect("it starts");
    for _ in 0..4 {
        disruptor.ring_buffer().publish_event(|event, _| event.set(0)).expect("it runs");
    }
    disruptor.shutdown().expect("each event is handled at the second attempt");
    assert_eq!(sum.load(Ordering::Relaxed), 8);
}

#[test]
fn a_partition_whose_key_panics_skips_that_event_only() {
    let mut disruptor = builder(4).on_failure(FailurePolicy::Skip).build::<u64>().expect("it is built");
    let sum = Arc::new(AtomicU64::new(0));
    let handler = || {
        let sum = Arc::clone(&sum);
        move |event: &u64, _: u64, _: bool| {
            sum.fetch_add(*event, Ordering::Relaxed);
        }
    };
    let key = |event: &u64| if *event == 3 { panic!("no key") } else { *event };
    disruptor.handle(Consumer::partitioned(key, vec![handler(), handler()])).expect("it can be added");
    disruptor.start().expect("it starts");
    for value in 1..=5 {
        disruptor.ring_buffer().publish_event(|event, _| *event = value).expect("it runs");
    }
    disruptor.shutdown().expect("it drains");
    assert_eq!(sum.load(Ordering::Relaxed), 1 + 2 + 4 + 5);
}

#[test]
fn a_batch_that_rewinds_or_releases_early_keeps_its_events() {
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    let rewinds = |event: &u64, sequence: u64, _: bool| -> Result<(), Rewind> {
        assert_eq!(*event, sequence);
        static LEFT: AtomicUsize = AtomicUsize::new(3);
        match LEFT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Err(Rewind::Again("again".into())),
            Err(_) => Ok(()),
        }
    };
    disruptor.handle(Consumer::rewindable(rewinds, RewindAtOnce)).expect("it can be added");
    let releases = |event: &u64, context: &mut badbatch::disruptor::EventContext<'_>| {
        context.release_previous();
        context.release_previous();
        thread::yield_now();
        assert_eq!(*event, context.sequence());
        if context.sequence() % 2 == 0 { Err(HandlerError::from("even")) } else { Ok(()) }
    };
    let releasing = Consumer::fallible(releases).on_failure(FailurePolicy::Skip);
    disruptor.handle(releasing).expect("it can be added");
    disruptor.start().expect("it starts");
    for _ in 0..6 {
        disruptor.ring_buffer().publish_event(|event, sequence| *event = sequence).expect("it runs");
    }
    disruptor.shutdown().expect("it drains");
}

#[test]
fn a_discarded_event_is_read_beside_the_discarder_in_order_or_not_at_all() {
    let mut disruptor = builder(2).on_failure(FailurePolicy::Discard).build::<u64>().expect("it is built");
    let mut poller = disruptor.new_poller(&[]).expect("it can join");
    let fails = |_: &u64, _: &mut badbatch::disruptor::EventContext<'_>| Err(HandlerError::from("no"));
    disruptor.handle(Consumer::fallible(fails)).expect("it can be added");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    thread::scope(|scope| {
        scope.spawn(move || producer.publish_event(|event, _| *event = 7).expect("there is room"));
        wait_until(|| disruptor.stats().consumers[1].sequence == 1);
        match poller.poll() {
            Ok(batch) => assert!(batch.iter().all(|(_, event)| *event == 7)),
            Err(error) => assert!(matches!(error, PollError::Idle)),
        }
    });
}

// Consumers that come and go.

/// Has a handler remove its own consumer, `nested` in the handler of another disruptor on its thread.
fn remove_itself(nested: bool) {
    let shared = Arc::new(Mutex::new(None::<Disruptor<u64>>));
    let id = Arc::new(OnceLock::<ConsumerId>::new());
    let tried = Arc::new(AtomicBool::new(false));
    let gone_around = Arc::new(AtomicBool::new(false));
    let remove = {
        let (shared, id) = (Arc::clone(&shared), Arc::clone(&id));
        move || {
            let mut disruptor = shared.lock().expect("nobody panics with it");
            let disruptor = disruptor.as_mut().expect("it is there");
            assert!(disruptor.remove(*id.get().expect("it is set")).is_err(), "it would lose its event");
        }
    };
    let handler = {
        let (tried, gone_around) = (Arc::clone(&tried), Arc::clone(&gone_around));
        move |event: &mut u64, sequence: u64, _: bool| {
            if sequence == 0 {
                *event = 100;
                let refused =
                    catch_unwind(AssertUnwindSafe(|| if nested { step(remove.clone()) } else { remove() }));
                tried.store(true, Ordering::Release);
                wait_until(|| gone_around.load(Ordering::Acquire));
                assert_eq!(*event, 100, "somebody else had the event");
                refused.expect("the consumer is not removed");
            }
        }
    };
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    id.set(disruptor.handle_events_mut_with(handler).expect("it can be added").id()).expect("set once");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    *shared.lock().expect("nobody panics with it") = Some(disruptor);
    producer.publish_event(|event, _| *event = 1).expect("it runs");
    wait_until(|| tried.load(Ordering::Acquire));
    for _ in 0..2 {
        let _may_be_full = producer.try_publish(|event| *event = 2);
    }
    gone_around.store(true, Ordering::Release);
    let disruptor = shared.lock().map(|mut shared| shared.take());
    disruptor
        .expect("nobody panics with it")
        .expect("it is there")
        .shutdown()
        .expect("no handler has failed");
}

/// Runs `work` in a handler of a disruptor of its own, on this thread.
fn step(work: impl Fn() + Send + 'static) {
    let mut inner = builder(1).build::<u64>().expect("it is built");
    inner.handle_events_with(move |_: &u64, _: u64, _: bool| work()).expect("it can be added");
    let mut stepper = inner.into_stepper().expect("it starts");
    stepper.ring_buffer().publish_event(|_, _| {}).expect("there is room");
    stepper.run_until_idle();
    assert!(stepper.first_failure().is_none());
}

#[test]
fn a_consumer_that_removes_itself_keeps_its_event_until_it_is_done() {
    remove_itself(false);
}

#[test]
fn a_consumer_that_removes_itself_from_within_another_disruptor_keeps_its_event() {
    remove_itself(true);
}

#[test]
fn a_disruptor_that_its_own_handler_shuts_down_does_not_wait_for_itself() {
    for nested in [false, true] {
        let shared = Arc::new(Mutex::new(None::<Disruptor<u64>>));
        let done = Arc::new(AtomicBool::new(false));
        let shut_down = {
            let (shared, done) = (Arc::clone(&shared), Arc::clone(&done));
            move || {
                let taken = shared.lock().expect("nobody panics with it").take();
                let result = taken.map(Disruptor::shutdown);
                assert!(matches!(result, None | Some(Err(ShutdownError::OnConsumerThread { .. }))));
                done.store(true, Ordering::Release);
            }
        };
        let mut disruptor = builder(2).build::<u64>().expect("it is built");
        let handler =
            move |_: &u64, _: u64, _: bool| if nested { step(shut_down.clone()) } else { shut_down() };
        disruptor.handle_events_with(handler).expect("it can be added");
        disruptor.start().expect("it starts");
        let mut producer = disruptor.producer();
        *shared.lock().expect("nobody panics with it") = Some(disruptor);
        producer.publish_event(|_, _| {}).expect("it runs");
        wait_until(|| done.load(Ordering::Acquire));
    }
}

#[test]
fn an_exclusive_handler_starts_after_the_poller_that_has_left_beside_it() {
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    let mut poller = disruptor.new_poller(&[]).expect("it can join");
    disruptor
        .handle_events_mut_with(|event: &mut u64, _: u64, _: bool| *event += 1)
        .expect("it can be added");
    disruptor.ring_buffer().publish_event(|event, _| *event = 1).expect("there is room");
    thread::scope(|scope| {
        scope.spawn(move || {
            assert_eq!(read(&mut poller), [(0, 1)]);
        });
        while let Err(error) = disruptor.start() {
            assert!(matches!(error, StartError::Conflict { .. }));
            thread::yield_now();
        }
    });
    disruptor.shutdown().expect("it drains");
}

#[test]
fn a_late_exclusive_handler_waits_for_every_reader_and_poller() {
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    let reader =
        disruptor.handle_events_with(|event: &u64, sequence: u64, _: bool| assert_eq!(*event, sequence));
    let reader = reader.expect("it can be added").id();
    let mut poller = disruptor.new_poller(&[reader]).expect("it can join");
    disruptor.start().expect("it starts");
    let double = |event: &mut u64, _: u64, _: bool| *event += 100;
    let exclusive = disruptor.handle_events_mut_with(double).expect("it can join").id();
    let mut behind = disruptor.new_poller(&[]).expect("it can join");
    assert!(matches!(disruptor.remove(reader), Err(GraphError::HasFollowers { .. })));
    let mut producer = disruptor.producer();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..5 {
                producer.publish_event(|event, sequence| *event = sequence).expect("it runs");
            }
        });
        scope.spawn(move || {
            let mut next = 0;
            while next < 3 {
                let batch = poller.wait(None).expect("events come");
                batch.iter().for_each(|(sequence, event)| assert_eq!(*event, sequence));
                next = batch.sequences().end;
            }
        });
        let mut next = 0;
        while next < 5 {
            let batch = behind.wait(None).expect("events come");
            batch.iter().for_each(|(sequence, event)| assert_eq!(*event, sequence + 100));
            next = batch.sequences().end;
        }
    });
    drop(behind);
    disruptor.remove(exclusive).expect("nobody follows it any more");
    disruptor.remove(reader).expect("nobody follows it any more");
    disruptor.shutdown().expect("it drains");
}

#[test]
fn a_pool_is_removed_while_its_workers_have_events() {
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    let worker = || |event: &mut u64, _: u64, _: bool| *event += 1;
    let pool = disruptor.handle(Consumer::workers(vec![worker(), worker()])).expect("it can be added").id();
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    thread::scope(|scope| {
        scope.spawn(move || {
            for value in 0..6 {
                producer.publish_event(|event, _| *event = value).expect("it runs");
            }
        });
        thread::yield_now();
        disruptor.remove(pool).expect("nobody follows it");
    });
    let rest = disruptor.new_poller(&[]).expect("it can join");
    assert!(rest.sequence() <= 6);
    disruptor.shutdown().expect("the end is reached");
}

#[test]
fn a_forgotten_batch_or_poller_keeps_its_events() {
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    let mut poller = disruptor.new_poller(&[]).expect("it can join");
    disruptor.ring_buffer().publish_event(|event, _| *event = 1).expect("there is room");
    mem::forget(poller.poll());
    assert_eq!(read(&mut poller), [(0, 1)], "a batch that was not dropped was not let go");
    let forgotten = mem::ManuallyDrop::new(poller);
    disruptor.ring_buffer().publish_batch(2, |_| {}).expect("there is room");
    assert!(matches!(
        disruptor.ring_buffer().try_claim().map(|claim| claim.sequence()),
        Err(ClaimError::Full { .. })
    ));
    drop(mem::ManuallyDrop::into_inner(forgotten));
}

#[test]
fn readers_and_writers_that_could_meet_are_refused() {
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    disruptor.handle_events_mut_with(|_: &mut u64, _: u64, _: bool| {}).expect("it can be added");
    disruptor.handle_events_mut_with(|_: &mut u64, _: u64, _: bool| {}).expect("it can be added");
    assert!(matches!(disruptor.start(), Err(StartError::Conflict { .. })));
    let mut disruptor = builder(2).build::<u64>().expect("it is built");
    let poller = disruptor.new_poller(&[]).expect("it can join");
    disruptor.handle_events_mut_with(|_: &mut u64, _: u64, _: bool| {}).expect("it can be added");
    assert!(matches!(disruptor.start(), Err(StartError::Conflict { .. })));
    drop(poller);
    disruptor.start().expect("the poller has left");
}

#[test]
fn ids_of_another_disruptor_are_refused_everywhere() {
    let mut one = builder(2).build::<u64>().expect("it is built");
    let mut other = builder(2).build::<u64>().expect("it is built");
    let id = one.handle_events_with(|_: &u64, _: u64, _: bool| {}).expect("it can be added").id();
    other.handle_events_with(|_: &u64, _: u64, _: bool| {}).expect("it can be added");
    assert!(matches!(
        other.new_poller(&[id]).map(|poller| poller.sequence()),
        Err(GraphError::ForeignId { .. })
    ));
    assert!(matches!(other.after(&[id]).map(|_| ()), Err(GraphError::ForeignId { .. })));
    assert!(matches!(other.remove(id), Err(GraphError::ForeignId { .. })));
}

// Wakers and drops.

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        // Its payload takes no memory, so none is lost with it.
        std::panic::panic_any(());
    }
}

#[test]
fn a_panicking_waker_loses_no_event() {
    let waker = Waker::from(Arc::new(PanickingWaker));
    let mut disruptor = builder(1).build::<u64>().expect("it is built");
    let id = disruptor.handle_events_with(|_: &u64, _: u64, _: bool| {}).expect("it can be added").id();
    let mut beside = disruptor.new_poller(&[]).expect("it can join");
    let mut behind = disruptor.new_poller(&[id]).expect("it can join");
    disruptor.start().expect("it starts");
    for value in 0..3 {
        beside.wake_when_ready(&waker).expect("the strategy parks");
        behind.wake_when_ready(&waker).expect("the strategy parks");
        let producer = disruptor.ring_buffer();
        // Whether the panic comes through is not the point; that it hits nobody else is.
        let _result = catch_unwind(AssertUnwindSafe(|| producer.publish_event(|event, _| *event = value)));
        assert_eq!(read(&mut beside), [(value, value)]);
        let seen = behind.wait(None).map(|batch| batch.iter().map(|(_, event)| *event).collect::<Vec<_>>());
        assert_eq!(seen.expect("the handler goes on"), [value]);
    }
    disruptor.shutdown().expect("no handler has failed");
}

#[derive(Default)]
struct Bomb {
    armed: bool,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if mem::take(&mut self.armed) {
            panic!("an event does not want to go");
        }
    }
}

#[test]
fn an_event_that_panics_when_dropped_ends_only_the_drop() {
    let mut disruptor = builder(2).build::<Bomb>().expect("it is built");
    disruptor.ring_buffer().publish_event(|event, _| event.armed = true).expect("there is room");
    assert!(catch_unwind(AssertUnwindSafe(|| drop(disruptor))).is_err());

    let mut disruptor = builder(1).build::<Bomb>().expect("it is built");
    let mut poller = disruptor.new_poller(&[]).expect("it can join");
    let producer = disruptor.ring_buffer();
    producer.publish_event(|event, _| event.armed = true).expect("there is room");
    drop(poller.poll());
    let replace =
        catch_unwind(AssertUnwindSafe(|| producer.publish_event(|event, _| *event = Bomb::default())));
    assert!(replace.is_err());
    assert!(matches!(poller.poll().map(|batch| batch.sequences()), Err(PollError::Idle)));
}

#[test]
fn events_that_only_one_thread_may_see_pass_through_a_chain_of_exclusive_handlers() {
    let mut disruptor = builder(2).on_failure(FailurePolicy::Skip).build::<Cell<u64>>().expect("it is built");
    let sum = Arc::new(AtomicU64::new(0));
    let total = Arc::clone(&sum);
    disruptor
        .handle_events_mut_with(|event: &mut Cell<u64>, sequence: u64, _: bool| {
            event.set(event.get() + 1);
            assert!(sequence != 1, "the second event fails");
        })
        .and_then(|group| {
            group.then_mut(move |event: &mut Cell<u64>, _: u64, _: bool| {
                total.fetch_add(event.get(), Ordering::Relaxed);
            })
        })
        .expect("they can be added");
    disruptor.start().expect("it starts");
    for value in 0..4 {
        disruptor.ring_buffer().publish_event(|event, _| event.set(value)).expect("it runs");
    }
    disruptor.shutdown().expect("it drains");
    assert_eq!(sum.load(Ordering::Relaxed), 1 + 2 + 3 + 4);
}

#[test]
fn everybody_is_told_when_a_handler_fails_while_they_wait() {
    let mut disruptor = builder(1).build::<u64>().expect("it is built");
    let fails = |_: &u64, sequence: u64, _: bool| assert!(sequence < 1, "the second event fails");
    let id = disruptor.handle_events_with(fails).expect("it can be added").id();
    let mut poller = disruptor.new_poller(&[id]).expect("it can join");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    thread::scope(|scope| {
        scope.spawn(move || {
            while producer.publish_event(|event, _| *event = 1).is_ok() {}
            assert!(matches!(producer.claim().map(|claim| claim.sequence()), Err(ClaimError::Poisoned(_))));
        });
        while let Ok(batch) = poller.wait(None) {
            assert_eq!(batch.iter().count(), 1);
        }
        assert!(matches!(poller.poll().map(|batch| batch.sequences()), Err(PollError::Poisoned(_))));
    });
    assert!(matches!(disruptor.shutdown(), Err(ShutdownError::Poisoned { .. })));
}

// Types.

#[test]
fn handles_travel_between_threads() {
    fn travels<T: Send>() {}
    travels::<RingBuffer<Cell<u64>, SingleProducer, BusySpinWaitStrategy>>();
    travels::<RingBuffer<Cell<u64>, MultiProducer, BusySpinWaitStrategy>>();
    travels::<Disruptor<Cell<u64>, MultiProducer, BusySpinWaitStrategy>>();
    travels::<EventPoller<u64, MultiProducer, BusySpinWaitStrategy>>();
    travels::<Batch<'_, u64, MultiProducer, BusySpinWaitStrategy>>();
    travels::<Claim<'_, Cell<u64>, MultiProducer, BusySpinWaitStrategy>>();
    travels::<ClaimBatch<'_, Cell<u64>, MultiProducer, BusySpinWaitStrategy>>();
    travels::<SlotsMut<'_, Cell<u64>>>();
    travels::<Box<dyn EventHandler<u64>>>();
}

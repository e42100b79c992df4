//! Claims and publications.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use badbatch::disruptor::{
    BlockingWaitStrategy, BuildError, ClaimError, EventPoller, MultiProducer, NotClaimed, ProducerKind,
    SingleProducer, WaitStrategy,
};
use badbatch::{Disruptor, DisruptorBuilder};

type Single = Disruptor<u64, SingleProducer, BlockingWaitStrategy>;
type Multi = Disruptor<u64, MultiProducer, BlockingWaitStrategy>;

fn single(slots: usize) -> (Single, EventPoller<u64, SingleProducer, BlockingWaitStrategy>) {
    started(DisruptorBuilder::new().single_producer().buffer_size(slots).build().expect("the size is right"))
}

fn multi(slots: usize) -> (Multi, EventPoller<u64, MultiProducer, BlockingWaitStrategy>) {
    started(DisruptorBuilder::new().multi_producer().buffer_size(slots).build().expect("the size is right"))
}

fn started<P: ProducerKind, W: WaitStrategy>(
    mut disruptor: Disruptor<u64, P, W>,
) -> (Disruptor<u64, P, W>, EventPoller<u64, P, W>) {
    let poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    (disruptor, poller)
}

/// The events that can be polled now, with their sequences.
fn polled<P: ProducerKind, W: WaitStrategy>(poller: &mut EventPoller<u64, P, W>) -> Vec<(u64, u64)> {
    poller
        .poll()
        .map(|batch| batch.iter().map(|(sequence, event)| (sequence, *event)).collect())
        .unwrap_or_default()
}

#[test]
fn a_size_that_is_no_power_of_two_is_refused() {
    let error = DisruptorBuilder::new().buffer_size(1000).build::<u64>().expect_err("1000 is refused");
    assert!(matches!(error, BuildError::NotAPowerOfTwo { size: 1000, below: 512, above: 1024 }));
}

#[test]
fn a_first_sequence_that_leaves_no_room_is_refused() {
    let build = |first| DisruptorBuilder::new().first_sequence(first).build::<u64>().map(drop);
    assert!(matches!(build(u64::MAX), Err(BuildError::FirstSequenceOutOfRange { .. })));
    assert!(build(1 << 62).is_ok());
}

#[test]
fn a_ring_says_when_its_sequences_are_used_up() {
    fn check<P: ProducerKind>(builder: DisruptorBuilder<P>) {
        let end = 1 << 62;
        let (mut disruptor, mut poller) =
            started(builder.buffer_size(4).first_sequence(end - 3).build().expect("the size is right"));
        let producer = disruptor.ring_buffer();
        producer.publish_batch(2, |slots| slots.for_each(|slot| *slot = 7)).expect("two are left");
        assert!(matches!(producer.try_claim_n(2), Err(ClaimError::Exhausted)));
        assert_eq!(producer.publish_event(|event: &mut u64, _| *event = 8).expect("one is left"), end - 1);
        assert_eq!(polled(&mut poller), [(end - 3, 7), (end - 2, 7), (end - 1, 8)]);
        for _ in 0..3 {
            assert!(matches!(producer.claim(), Err(ClaimError::Exhausted)));
        }
        assert!(matches!(producer.try_claim(), Err(ClaimError::Exhausted)));
        disruptor.shutdown().expect("it drains");
    }
    check(DisruptorBuilder::new().single_producer());
    check(DisruptorBuilder::new().multi_producer());
}

#[test]
fn a_full_ring_says_how_much_is_missing_and_who_is_slowest() {
    let (mut disruptor, _poller) = single(4);
    let producer = disruptor.ring_buffer();
    producer.publish_batch(3, |_| {}).expect("there is room");
    match producer.try_claim_n(3) {
        Err(ClaimError::Full { missing: 2, slowest }) => assert_eq!(&*slowest, "poller-0"),
        other => panic!("expected a full ring, got {other:?}"),
    }
    assert_eq!(producer.remaining_capacity(), 1);
}

#[test]
fn a_claim_with_a_timeout_gives_up() {
    let (mut disruptor, _poller) = multi(1);
    let producer = disruptor.ring_buffer();
    producer.publish_event(|_: &mut u64, _| {}).expect("there is room");
    let timeout = Duration::from_millis(1);
    let error = producer.claim_timeout(timeout).expect_err("nobody reads");
    assert!(matches!(&error, ClaimError::TimedOut { missing: 1, .. }) && error.is_transient());
    assert!(producer.publish_timeout(timeout, |_| {}).is_err());
    assert!(producer.next_timeout(timeout).is_err());
    assert!(producer.claim_n_timeout(1, timeout).is_err());
    assert!(producer.claim_up_to_timeout(1, timeout).is_err());
}

#[test]
fn a_claim_waits_for_the_slowest_consumer() {
    let (mut disruptor, mut poller) = multi(1);
    disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = 1).expect("there is room");
    let mut producer = disruptor.producer();
    thread::scope(|scope| {
        scope.spawn(|| producer.publish_event(|event: &mut u64, _| *event = 2).expect("room comes"));
        let mut got = Vec::new();
        while got.len() < 2 {
            got.extend(poller.wait(None).expect("an event comes").iter().map(|(_, event)| *event));
        }
        assert_eq!(got, [1, 2]);
    });
}

#[test]
fn a_dropped_claim_is_skipped_and_never_published() {
    let (mut disruptor, mut poller) = multi(4);
    let producer = disruptor.ring_buffer();
    *producer.claim().expect("there is room") = 99;
    producer.claim().expect("there is room").abort();
    producer.publish_event(|event: &mut u64, _| *event = 1).expect("there is room");
    assert_eq!(polled(&mut poller), [(2, 1)]);

    let (mut disruptor, mut poller) = single(4);
    let producer = disruptor.ring_buffer();
    *producer.claim().expect("there is room") = 99;
    producer.publish_event(|event: &mut u64, _| *event = 1).expect("there is room");
    assert_eq!(polled(&mut poller), [(0, 1)]);
}

#[test]
fn a_forgotten_claim_is_skipped_at_the_next_one_or_with_the_producer() {
    let (mut disruptor, mut poller) = multi(4);
    let mut second = disruptor.producer();
    std::mem::forget(second.claim().expect("there is room"));
    let producer = disruptor.ring_buffer();
    producer.publish_event(|event: &mut u64, _| *event = 1).expect("there is room");
    assert_eq!(polled(&mut poller), []);
    second.publish_event(|event: &mut u64, _| *event = 2).expect("there is room");
    assert_eq!(polled(&mut poller), [(1, 1), (2, 2)]);
    std::mem::forget(second.claim().expect("there is room"));
    drop(second);
    producer.publish_event(|event: &mut u64, _| *event = 3).expect("there is room");
    assert_eq!(polled(&mut poller), [(4, 3)]);
}

#[test]
fn a_translator_that_panics_publishes_nothing() {
    fn check<P: ProducerKind>(
        (mut disruptor, mut poller): (
            Disruptor<u64, P, BlockingWaitStrategy>,
            EventPoller<u64, P, BlockingWaitStrategy>,
        ),
    ) {
        let producer = disruptor.ring_buffer();
        let panicking = AssertUnwindSafe(|| {
            producer.publish_event(|event: &mut u64, _| {
                *event = 99;
                panic!("the translator gives up");
            })
        });
        assert!(catch_unwind(panicking).is_err());
        producer.publish_event(|event: &mut u64, _| *event = 1).expect("there is room");
        let events: Vec<u64> = polled(&mut poller).into_iter().map(|(_, event)| event).collect();
        assert_eq!(events, [1]);
    }
    check(single(4));
    check(multi(4));
}

#[test]
fn a_batch_can_be_published_in_part() {
    fn check<P: ProducerKind>(
        (mut disruptor, mut poller): (
            Disruptor<u64, P, BlockingWaitStrategy>,
            EventPoller<u64, P, BlockingWaitStrategy>,
        ),
    ) {
        let producer = disruptor.ring_buffer();
        for round in 0..5 {
            let mut claim = producer.claim_n(3).expect("there is room");
            assert_eq!(claim.len(), 3);
            claim.iter_mut().zip(round..).for_each(|(slot, value)| *slot = value);
            assert_eq!(claim.publish_prefix(2).count(), 2);
            let events: Vec<u64> = polled(&mut poller).into_iter().map(|(_, event)| event).collect();
            assert_eq!(events, [round, round + 1]);
        }
    }
    check(single(4));
    check(multi(4));
}

#[test]
fn a_claim_over_the_edge_comes_in_two_slices() {
    let (mut disruptor, mut poller) = single(4);
    let producer = disruptor.ring_buffer();
    producer.publish_batch(3, |_| {}).expect("there is room");
    polled(&mut poller);
    let mut claim = producer.claim_n(3).expect("there is room");
    let (front, back) = claim.as_mut_slices();
    assert_eq!((front.len(), back.len()), (1, 2));
    front[0] = 10;
    back.copy_from_slice(&[11, 12]);
    claim.publish();
    let batch = poller.poll().expect("three are there");
    let slices: Vec<(u64, &[u64])> = batch.slices().collect();
    assert_eq!(slices, [(3, &[10][..]), (4, &[11, 12][..])]);
}

#[test]
fn claim_up_to_takes_what_is_free() {
    fn check<P: ProducerKind>(
        (mut disruptor, mut poller): (
            Disruptor<u64, P, BlockingWaitStrategy>,
            EventPoller<u64, P, BlockingWaitStrategy>,
        ),
    ) {
        let producer = disruptor.ring_buffer();
        assert_eq!(producer.claim_up_to(3).expect("there is room").publish(), 0..3);
        assert_eq!(producer.try_claim_up_to(usize::MAX).expect("there is room").publish(), 3..4);
        assert!(matches!(producer.try_claim_up_to(2), Err(ClaimError::Full { missing: 1, .. })));
        assert_eq!(polled(&mut poller).len(), 4);
        assert_eq!(producer.claim_up_to(usize::MAX).expect("there is room").publish(), 4..8);
    }
    check(single(4));
    check(multi(4));
}

#[test]
fn tokens_are_checked_and_published_in_order() {
    fn check<P: ProducerKind>(
        (mut disruptor, mut poller): (
            Disruptor<u64, P, BlockingWaitStrategy>,
            EventPoller<u64, P, BlockingWaitStrategy>,
        ),
    ) {
        let producer = disruptor.ring_buffer();
        let tokens = producer.next_n(3).expect("there is room");
        assert_eq!(tokens, 0..3);
        assert_eq!(producer.get_mut(3), Err(NotClaimed { sequence: 3 }));
        for sequence in tokens {
            *producer.get_mut(sequence).expect("it is claimed") = sequence * 10;
        }
        assert!(matches!(producer.next(), Err(ClaimError::Unpublished { claimed }) if claimed == (0..3)));
        assert!(matches!(producer.claim(), Err(ClaimError::Unpublished { .. })));
        producer.publish(7);
        assert_eq!(polled(&mut poller), []);
        producer.publish(1);
        assert_eq!(producer.get_mut(1), Err(NotClaimed { sequence: 1 }));
        assert_eq!(polled(&mut poller), [(0, 0), (1, 10)]);
        producer.publish(1);
        producer.publish(2);
        assert_eq!(polled(&mut poller), [(2, 20)]);
        assert_eq!(producer.try_next().expect("there is room"), 3);
    }
    check(single(4));
    check(multi(4));
}

#[test]
fn a_producer_that_is_dropped_gives_its_tokens_up() {
    let (mut disruptor, mut poller) = multi(4);
    let mut second = disruptor.producer();
    second.next_n(2).expect("there is room");
    disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = 5).expect("there is room");
    assert_eq!(polled(&mut poller), []);
    drop(second);
    assert_eq!(polled(&mut poller), [(2, 5)]);
}

#[test]
fn a_full_ring_that_is_not_started_is_an_error() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("the size is right");
    let _poller = disruptor.new_poller(&[]).expect("a poller can be added");
    let producer = disruptor.ring_buffer();
    producer.publish_batch(2, |_| {}).expect("there is room");
    assert!(matches!(producer.claim(), Err(ClaimError::NotStarted)));
}

#[test]
fn events_published_before_the_start_are_consumed() {
    let (sender, receiver) = mpsc::channel();
    let mut disruptor = DisruptorBuilder::new().buffer_size(4).build::<u64>().expect("the size is right");
    disruptor
        .handle_events_with(move |event: &u64, _: u64, _: bool| {
            sender.send(*event).expect("the test listens")
        })
        .expect("a handler can be added");
    disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = 3).expect("there is room");
    disruptor.start().expect("it starts");
    assert_eq!(receiver.recv(), Ok(3));
}

#[test]
fn a_consumer_that_publishes_to_its_own_full_ring_is_told() {
    fn check(disruptor: Multi) {
        let mut disruptor = disruptor;
        let mut producer = disruptor.producer();
        let (sender, receiver) = mpsc::channel();
        disruptor
            .handle_events_with(move |_: &u64, sequence: u64, _: bool| {
                if sequence == 0 {
                    // The event that is being handled fills the ring.
                    sender
                        .send(producer.publish_event(|_: &mut u64, _| {}).map(drop))
                        .expect("the test listens");
                    sender.send(producer.try_claim().map(drop)).expect("the test listens");
                }
            })
            .expect("a handler can be added");
        disruptor.start().expect("it starts");
        disruptor.ring_buffer().publish_event(|_: &mut u64, _| {}).expect("there is room");
        assert!(matches!(receiver.recv(), Ok(Err(ClaimError::WouldDeadlock))));
        assert!(matches!(receiver.recv(), Ok(Err(ClaimError::Full { .. }))));
    }
    check(DisruptorBuilder::new().buffer_size(1).build().expect("the size is right"));
}

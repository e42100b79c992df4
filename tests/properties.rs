//! Random operations beside a model, random graphs beside an oracle, and the sizes at the limits.
//!
//! quickcheck prints the input that failed; `QUICKCHECK_TESTS` sets how many are tried.

#[path = "properties/graph.rs"]
mod graph;
#[path = "properties/model.rs"]
mod model;

use std::time::Duration;

use badbatch::disruptor::{BlockingWaitStrategy, ClaimBatch, ClaimError, ProducerKind};
use badbatch::{DisruptorBuilder, RingBuffer};
use quickcheck::{Gen, QuickCheck};

/// Tries `tests` random inputs, of up to `size` bytes.
fn check(tests: u64, size: usize, property: fn(Vec<u8>)) {
    let (tests, size) = if cfg!(miri) { (4, size / 4) } else { (tests, size) };
    QuickCheck::new().tests(tests).rng(Gen::new(size)).quickcheck(property);
}

#[test]
fn a_ring_does_what_its_model_says() {
    check(10_000, 400, |bytes| model::run(&bytes));
}

#[test]
fn events_go_through_any_graph_in_order_and_once() {
    check(400, 120, |bytes| graph::run(&bytes));
}

/// Asks for `n` slots of an empty ring of 4 in every form that takes a number.
fn check_size(n: usize, exact: Option<usize>, up_to: Option<usize>) {
    check_size_of(|| DisruptorBuilder::new().single_producer(), n, exact, up_to);
    check_size_of(|| DisruptorBuilder::new().multi_producer(), n, exact, up_to);
}

fn check_size_of<P: ProducerKind>(
    builder: fn() -> DisruptorBuilder<P>,
    n: usize,
    exact: Option<usize>,
    up_to: Option<usize>,
) {
    type Form<P> =
        fn(&mut RingBuffer<u64, P, BlockingWaitStrategy>, usize) -> Result<std::ops::Range<u64>, ClaimError>;
    let exactly: [Form<P>; 7] = [
        |ring, n| ring.claim_n(n).map(ClaimBatch::publish),
        |ring, n| ring.try_claim_n(n).map(ClaimBatch::publish),
        |ring, n| ring.claim_n_timeout(n, Duration::MAX).map(ClaimBatch::publish),
        |ring, n| ring.publish_batch(n, |slots| assert_eq!(slots.len(), n)),
        |ring, n| ring.try_publish_batch(n, |slots| assert_eq!(slots.len(), n)),
        |ring, n| ring.next_n(n).inspect(|tokens| ring.publish(tokens.end - 1)),
        |ring, n| ring.try_next_n(n).inspect(|tokens| ring.publish(tokens.end - 1)),
    ];
    let up_to_so_many: [Form<P>; 3] = [
        |ring, max| ring.claim_up_to(max).map(ClaimBatch::publish),
        |ring, max| ring.try_claim_up_to(max).map(ClaimBatch::publish),
        |ring, max| ring.claim_up_to_timeout(max, Duration::ZERO).map(ClaimBatch::publish),
    ];
    let forms =
        exactly.iter().map(|form| (form, exact)).chain(up_to_so_many.iter().map(|form| (form, up_to)));
    for (index, (form, expected)) in forms.enumerate() {
        for is_started in [false, true] {
            let mut disruptor = builder().buffer_size(4).build::<u64>().expect("the builder is sound");
            let mut poller = disruptor.new_poller(&[]).expect("the disruptor is open");
            if is_started {
                disruptor.start().expect("a poller is enough to start with");
            }
            let ring = disruptor.ring_buffer();
            match (form(ring, n), expected) {
                (Ok(claimed), Some(count)) => assert_eq!(claimed, 0..count as u64, "form {index}, {n}"),
                (Err(ClaimError::BadSize { requested, capacity: 4 }), None) => assert_eq!(requested, n),
                (result, _) => panic!("form {index}, {n}: {result:?} instead of {expected:?}"),
            }
            // The ring is as it should be, so the next claims go on from there.
            let rest = 4 - expected.unwrap_or(0);
            assert_eq!(ring.remaining_capacity(), rest, "form {index}, {n}");
            for at in 4 - rest as u64..4 {
                assert_eq!(ring.try_publish(|_| {}).ok(), Some(at));
            }
            assert!(matches!(ring.try_claim(), Err(ClaimError::Full { missing: 1, .. })));
            assert_eq!(poller.poll().map(|batch| batch.sequences()).ok(), Some(0..4));
        }
    }
}

#[test]
fn a_claim_has_one_slot_at_least_and_the_whole_ring_at_most() {
    check_size(0, None, None);
    check_size(1, Some(1), Some(1));
    check_size(4, Some(4), Some(4));
    check_size(5, None, Some(4));
    check_size(usize::MAX, None, Some(4));
}

#[test]
fn two_claims_never_have_the_same_slot() {
    let disruptor = DisruptorBuilder::new().buffer_size(1).build::<u64>().expect("one slot is enough");
    let (mut first, mut second) = (disruptor.producer(), disruptor.producer());
    let sequence = first.next().expect("the ring is empty");
    assert!(second.try_claim().is_err(), "the only slot is claimed, though no consumer is there to wait for");
    *first.get_mut(sequence).expect("it is claimed") = 1;
    first.publish(sequence);
    assert_eq!(second.try_claim().map(|claim| *claim).ok(), Some(1));
}

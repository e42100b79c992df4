//! Loom models: every interleaving of a protocol at its smallest size. One file per protocol.
//!
//! Run them with `RUSTFLAGS="--cfg loom" cargo test --release --lib models`. Events carry a loom
//! cell, so that a slot which two threads touch without order is a failure by itself; a lost wake-up
//! is a deadlock, which loom reports too.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The cell's memory is only used through loom, which fails the model when two accesses are not
//!   ordered. So the code may do what is being proved to be harmless.

#![allow(unsafe_code, reason = "loom's cell stands in for the event's memory")]

mod close;
mod discard;
mod event_count;
mod in_flight;
mod join_leave;
mod multi;
mod poison;
mod pool;
mod single;

use std::sync::Arc;

use super::builder::DisruptorBuilder;
use super::control::Phase;
use super::disruptor::Disruptor;
use super::error::PollError;
use super::gate::Gate;
use super::poller::EventPoller;
use super::ring::Ring;
use super::sequencer::{ProducerKind, Sequencer};
use super::wait::WaitStrategy;
use super::wait_strategies::BlockingWaitStrategy;

/// An event in which loom notices every unordered access.
struct Watched(loom::cell::UnsafeCell<u64>);

// SAFETY: (A).
unsafe impl Sync for Watched {}

impl Default for Watched {
    fn default() -> Self {
        Self(loom::cell::UnsafeCell::new(u64::MAX))
    }
}

impl Watched {
    fn write(&mut self, value: u64) {
        // SAFETY: (A), and the borrow is exclusive.
        self.0.with_mut(|event| unsafe { *event = value });
    }

    fn read(&self) -> u64 {
        // SAFETY: (A).
        self.0.with(|event| unsafe { *event })
    }
}

type Poller<P, W = BlockingWaitStrategy> = EventPoller<Watched, P, W>;

/// Runs `model` under every interleaving with at most `bound` preemptions, or as many as
/// `LOOM_MAX_PREEMPTIONS` says.
fn check(bound: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(bound);
    builder.check(model);
}

/// A disruptor that counts as running; its consumers run on the model's own threads.
fn running<P: ProducerKind, W: WaitStrategy>(
    builder: DisruptorBuilder<P, W>,
    slots: usize,
) -> Disruptor<Watched, P, W> {
    let disruptor = builder.buffer_size(slots).build().expect("the size is right");
    disruptor.ring.control.enter(Phase::Running);
    disruptor
}

/// A poller behind the consumers with these gates, made on whichever thread asks for it.
fn poller<P: ProducerKind, W: WaitStrategy>(
    ring: &Arc<Ring<Watched, P, W>>,
    behind: &[&Poller<P, W>],
) -> Poller<P, W> {
    poller_behind(ring, behind.iter().map(|poller| &poller.gate))
}

/// A poller behind these gates.
fn poller_behind<'a, P: ProducerKind, W: WaitStrategy>(
    ring: &Arc<Ring<Watched, P, W>>,
    upstream: impl Iterator<Item = &'a Arc<Gate>>,
) -> Poller<P, W> {
    let gate = Arc::new(Gate::new("poller".into(), false));
    ring.control.gates.join(&gate, || ring.sequencer.claimed());
    ring.control.catch_up(&gate);
    EventPoller::new(Arc::clone(ring), gate, upstream.map(Arc::clone).collect())
}

/// What the poller gets until it has `count` events or the disruptor ends.
fn drain<P: ProducerKind, W: WaitStrategy>(poller: &mut Poller<P, W>, count: usize) -> Vec<u64> {
    let mut got = Vec::new();
    while got.len() < count {
        match poller.wait(None) {
            Ok(batch) => got.extend(batch.iter().map(|(_, event)| event.read())),
            Err(PollError::Idle) => unreachable!("a wait without a timeout ends with an event"),
            Err(_) => break,
        }
    }
    got
}

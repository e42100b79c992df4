//! Layer 2: the core. A ring of preallocated events between threads that never lock each other out.
//!
//! A [`DisruptorBuilder`] makes a [`Disruptor`]; consumers are added to it as a graph; a
//! [`RingBuffer`] is the end at which events go in. It logs nothing, allocates nothing once it runs,
//! and starts no thread before [`Disruptor::start`]. Events live in one process and are gone with
//! it: durable topics belong to other layers.
//!
//! Start reading with `ring_buffer.rs`, where claims are made, then `single.rs` or `multi.rs` for
//! how, `gate.rs` for what holds producers back, and `processor.rs` for the consumer's loop.
//!
//! | LMAX's wait strategy | here |
//! |---|---|
//! | `BusySpinWaitStrategy` | [`BusySpinWaitStrategy`] |
//! | `YieldingWaitStrategy` | [`YieldingWaitStrategy`] |
//! | `SleepingWaitStrategy` | [`SleepingWaitStrategy`] |
//! | `BlockingWaitStrategy`, `LiteBlockingWaitStrategy` | [`BlockingWaitStrategy`] |
//! | `TimeoutBlockingWaitStrategy`, `LiteTimeoutBlockingWaitStrategy` | [`TimeoutBlockingWaitStrategy`] |
//! | `PhasedBackoffWaitStrategy` | [`PhasedBackoffWaitStrategy`] |

mod builder;
#[allow(clippy::module_inception, reason = "the folder is named after its main type")]
mod disruptor;
mod group;
mod shutdown;
mod stepper;

mod consumer;
mod failure;
mod handler;
mod observer;
mod rewind;

mod claim;
mod poller;
mod ring_buffer;

mod error;
mod stats;
mod watchdog;

mod producer_wait;
mod wait;
mod wait_strategies;

mod backoff;
mod control;
mod debug;
mod event_count;
mod gate;
mod graph;
mod home;
mod launch;
mod linger;
mod multi;
mod pace;
mod processor;
mod ring;
mod room;
mod sequencer;
mod single;
mod slots;
mod stage;
mod sync;

#[cfg(all(test, loom))]
mod models;

pub use builder::DisruptorBuilder;
pub use claim::{Claim, ClaimBatch, SlotsMut};
pub use consumer::Consumer;
pub use disruptor::Disruptor;
pub use error::{BuildError, ClaimError, GraphError, NotClaimed, PollError, ShutdownError, StartError};
pub use failure::{
    ExceptionHandler, Failure, FailureAction, FailureCause, FailurePolicy, HandlerError, Moment,
};
pub use graph::ConsumerId;
pub use group::Group;
pub use handler::{
    BatchHandler, EventContext, EventHandler, EventHandlerMut, Rewind, RewindableEventHandler,
    TryEventHandler,
};
pub use observer::Observer;
pub use poller::{Batch, EventPoller};
pub use producer_wait::ProducerWait;
pub use rewind::{RewindAfterPause, RewindAtOnce, RewindStrategy, RewindUpTo};
pub use ring_buffer::RingBuffer;
pub use sequencer::{MultiProducer, ProducerKind, SingleProducer};
pub use shutdown::{Drained, Halted};
pub use stats::{ConsumerState, ConsumerStats, Monitor, Stats};
pub use stepper::Stepper;
pub use wait::{WaitStrategy, Waited, Waiter};
pub use wait_strategies::{
    BlockingWaitStrategy, BusySpinWaitStrategy, NamedWaitStrategy, PhasedBackoffWaitStrategy,
    SleepingWaitStrategy, TimeoutBlockingWaitStrategy, UnknownWaitStrategy, YieldingWaitStrategy,
};
pub use watchdog::{Stall, StallDetector, Watchdog};

//! One error type per family of operations.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::failure::Failure;
use crate::sys::affinity::PinError;
use crate::sys::memory::MemoryError;

/// Why a disruptor could not be built. Nothing was allocated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The size is not a power of two.
    #[error("buffer_size {size} is not a power of two; nearest are {below} and {above}")]
    NotAPowerOfTwo {
        /// The size that was asked for.
        size: usize,
        /// The next smaller size that would do.
        below: usize,
        /// The next larger size that would do.
        above: usize,
    },
    /// The size is 0 or above the limit.
    #[error("buffer_size {size} is out of range; a ring has 1..={max} slots")]
    SizeOutOfRange {
        /// The size that was asked for.
        size: usize,
        /// The largest size.
        max: usize,
    },
    /// The first sequence leaves no room to count.
    #[error("first_sequence {first} is out of range; sequences run up to {max}")]
    FirstSequenceOutOfRange {
        /// The sequence that was asked for.
        first: u64,
        /// The end of all sequences.
        max: u64,
    },
    /// There is no memory for the slots, or not where it is required.
    #[error("{slots} slots of {event_bytes} bytes: {source}")]
    Memory {
        /// The number of slots.
        slots: usize,
        /// The size of an event.
        event_bytes: usize,
        /// The reason.
        source: MemoryError,
    },
}

/// Why a consumer could not be added or removed. The graph is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The id was made by another disruptor.
    #[error("consumer id {id} belongs to another disruptor")]
    ForeignId {
        /// The id's number in its own disruptor.
        id: usize,
    },
    /// The consumer has left.
    #[error("consumer `{name}` has left this disruptor")]
    Left {
        /// Its name.
        name: Arc<str>,
    },
    /// The consumer has not been started yet, so it cannot leave.
    #[error("consumer `{name}` has not started; only running consumers can be removed")]
    NotStarted {
        /// Its name.
        name: Arc<str>,
    },
    /// A handler of this disruptor asked for it, whose thread might have to wait for itself.
    #[error("consumer `{name}` cannot be removed by a handler of the same disruptor")]
    OnConsumerThread {
        /// Its name.
        name: Arc<str>,
    },
    /// Others wait for the consumer, so it cannot leave.
    #[error("consumer `{name}` is followed by `{follower}`; remove `{follower}` first")]
    HasFollowers {
        /// The consumer that was to leave.
        name: Arc<str>,
        /// One that follows it.
        follower: Arc<str>,
    },
    /// Another consumer that takes part has the name, which failures and stalls are told apart by.
    #[error("there is a consumer `{name}` already; name this one differently")]
    NameTaken {
        /// The name.
        name: Arc<str>,
    },
    /// There is no handler in the list.
    #[error("a worker pool or a partition needs at least one handler")]
    NoHandlers,
    /// The disruptor has been closed, halted or poisoned.
    #[error("the disruptor no longer runs; consumers join before it is shut down")]
    Closed,
    /// The new consumer's thread did not come up.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Why the threads did not start. None runs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// It was started before.
    #[error("the disruptor has been started already")]
    AlreadyStarted,
    /// Nobody would read the events.
    #[error("the disruptor has no consumer; add a handler or a poller before `start`")]
    NoConsumers,
    /// A mutable consumer could run at the same time as another one.
    #[error(
        "`{exclusive}` takes `&mut` events, but neither comes before nor after `{other}`; chain one behind the other with `after` or `then`"
    )]
    Conflict {
        /// The consumer that takes `&mut` events.
        exclusive: Arc<str>,
        /// The other one.
        other: Arc<str>,
    },
    /// The system gave no thread.
    #[error("no thread for consumer `{name}`: {source}")]
    Spawn {
        /// The consumer's name.
        name: Arc<str>,
        /// The system's error.
        source: io::Error,
    },
    /// The thread cannot be bound to the CPUs that were asked for.
    #[error("consumer `{name}` cannot be pinned: {source}")]
    Pin {
        /// The consumer's name.
        name: Arc<str>,
        /// The reason.
        source: PinError,
    },
    /// A handler failed before its first event.
    #[error("a handler failed while starting: {0}")]
    Handler(Failure),
}

/// Why a claim failed. The ring is unchanged in every case.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Not enough slots are free. Try again after the slowest consumer has moved.
    #[error("the ring is full: {missing} slots are missing and `{slowest}` is the slowest consumer")]
    Full {
        /// How many more slots would have to be free.
        missing: u64,
        /// The consumer that holds them.
        slowest: Arc<str>,
    },
    /// The ring stayed full for the whole timeout. Try again, or drop the event.
    #[error(
        "the ring stayed full for {timeout:?}: {missing} slots are missing and `{slowest}` is the slowest consumer"
    )]
    TimedOut {
        /// The timeout that was given.
        timeout: Duration,
        /// How many more slots would have to be free.
        missing: u64,
        /// The consumer that holds them.
        slowest: Arc<str>,
    },
    /// The number of slots can never be claimed.
    #[error("a claim of {requested} slots is impossible; a claim has 1..={capacity}")]
    BadSize {
        /// The number that was asked for.
        requested: usize,
        /// The size of the ring.
        capacity: usize,
    },
    /// Sequences from `next` are claimed and unpublished. Publish them first.
    #[error("sequences {}..{} are claimed and unpublished; publish them before the next claim", claimed.start, claimed.end)]
    Unpublished {
        /// The sequences that wait for `publish`.
        claimed: Range<u64>,
    },
    /// The ring is full and nothing consumes yet. Call `start` first.
    #[error("the ring is full and the disruptor has not been started")]
    NotStarted,
    /// The ring is full, and the calling thread is one of those that would have to empty it.
    #[error("the ring is full and the calling thread consumes from it; use a `try_` form or a second ring")]
    WouldDeadlock,
    /// The disruptor is shutting down or has been dropped.
    #[error("the disruptor is closed")]
    Closed,
    /// The disruptor was halted.
    #[error("the disruptor was halted")]
    Halted,
    /// A consumer failed and the ring cannot drain.
    #[error("the disruptor is poisoned: {0}")]
    Poisoned(Failure),
    /// The last sequence has been used.
    #[error("the ring has used up its sequences")]
    Exhausted,
}

impl ClaimError {
    /// Whether the same claim may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::TimedOut { .. } | Self::NotStarted | Self::WouldDeadlock)
    }
}

/// `get_mut` of a sequence that this producer has not claimed, or has published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("sequence {sequence} is not claimed by this producer")]
pub struct NotClaimed {
    /// The sequence that was asked for.
    pub sequence: u64,
}

/// Why a poller has no batch.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum PollError {
    /// Nothing to read now.
    #[error("no event is available")]
    Idle,
    /// Everything was read, and no more comes.
    #[error("the disruptor is closed and drained")]
    Closed,
    /// The disruptor was halted.
    #[error("the disruptor was halted")]
    Halted,
    /// A consumer failed.
    #[error("the disruptor is poisoned: {0}")]
    Poisoned(Failure),
    /// The wait strategy never signals, so nobody would wake the waiter.
    #[error("the wait strategy does not signal; use a blocking one to be woken")]
    NeverWoken,
}

/// Why a shutdown did not complete. `D` is the disruptor, given back where it still runs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShutdownError<D> {
    /// The consumers did not finish in time. They go on; try again, or halt.
    #[error("the consumers did not drain the ring within {timeout:?}")]
    TimedOut {
        /// The disruptor, closed and draining.
        disruptor: Box<D>,
        /// The timeout that was given.
        timeout: Duration,
    },
    /// The single producer was taken out and lives. Drop it, then try again.
    #[error("the producer that was taken out is still alive; drop it before the shutdown")]
    ProducerActive {
        /// The disruptor, closed to new claims.
        disruptor: Box<D>,
    },
    /// A handler of this disruptor asked for it, whose thread would wait for itself. Drop it there
    /// instead, or shut it down elsewhere.
    #[error("a disruptor cannot be shut down by its own handler")]
    OnConsumerThread {
        /// The disruptor, unchanged.
        disruptor: Box<D>,
    },
    /// A consumer failed; what it had not consumed is lost.
    #[error("{failure}; {unconsumed} events are not consumed by all")]
    Poisoned {
        /// The first failure.
        failure: Failure,
        /// How many accepted events the slowest consumer had not let go.
        unconsumed: u64,
    },
    /// It was never started, although events were published.
    #[error("the disruptor was never started, {unconsumed} events are not consumed")]
    NotStarted {
        /// How many events were published.
        unconsumed: u64,
    },
    /// It had been halted before; what was unconsumed then is lost.
    #[error("the disruptor was halted, {unconsumed} events are not consumed by all")]
    Halted {
        /// How many accepted events the slowest consumer had not let go.
        unconsumed: u64,
    },
}

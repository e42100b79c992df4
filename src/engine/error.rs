//! What can go wrong with a named disruptor.

use std::ops::Range;
use std::time::Duration;

use thiserror::Error;

use super::fields::FieldError;
use super::named::Lifecycle;

/// Why the engine did not do what it was asked to do. Unless a variant says otherwise nothing has changed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No disruptor has this name or identifier.
    #[error("there is no disruptor `{name}`")]
    NotFound {
        /// What was asked for.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
    },
    /// The name belongs to a disruptor that is defined otherwise.
    #[error("a disruptor `{name}` exists and is defined otherwise")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// There are as many disruptors as there may be.
    #[error("there are {max} disruptors, which is the most this node takes")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The definition, or the event, is wrong; every mistake is told.
    #[error("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid {
        /// The mistakes.
        errors: Vec<FieldError>,
    },
    /// The disruptor is in no state for this.
    #[error("disruptor `{name}` is {current} and cannot {action}")]
    WrongState {
        /// The disruptor.
        name: String,
        /// What was asked for, as a verb.
        action: &'static str,
        /// The state it is in.
        current: Lifecycle,
        /// What can be asked for in this state.
        allowed: &'static [&'static str],
    },
    /// A sink failed for good, so that the disruptor can pass nothing on. Starting it again makes a new ring.
    #[error("disruptor `{name}` has failed: {reason}")]
    Failed {
        /// The disruptor.
        name: String,
        /// The first failure.
        reason: String,
    },
    /// The ring is full: the sinks are slower than the producers. Try again later, or wait.
    #[error("the ring of `{name}` is full: {used} of {capacity} slots wait for sink `{slowest}`")]
    RingFull {
        /// The disruptor.
        name: String,
        /// Slots that wait.
        used: u64,
        /// All slots.
        capacity: u64,
        /// The consumer that is furthest behind.
        slowest: String,
    },
    /// More events at once than the ring has slots.
    #[error("a batch of {events} events does not fit the {capacity} slots of `{name}`")]
    BatchTooLarge {
        /// The disruptor.
        name: String,
        /// The events.
        events: usize,
        /// The ring's slots.
        capacity: u64,
    },
    /// More events per second than the disruptor takes.
    #[error("disruptor `{name}` takes {limit} events per second")]
    RateLimited {
        /// The disruptor.
        name: String,
        /// `max_events_per_second`
        limit: u64,
        /// When there will be room for what was sent.
        retry_after: Duration,
    },
    /// The event is no longer kept.
    #[error("event {sequence} of `{name}` has been overwritten; the first one kept is {first_available}")]
    Overwritten {
        /// The disruptor.
        name: String,
        /// The event.
        sequence: u64,
        /// The oldest event that can be read.
        first_available: u64,
    },
    /// The event has not been published yet.
    #[error("event {sequence} of `{name}` does not exist yet; the next one is {next}")]
    NotYet {
        /// The disruptor.
        name: String,
        /// The event.
        sequence: u64,
        /// The sequence that the next event will have.
        next: u64,
    },
    /// The sinks did not take all events in time. The disruptor goes on draining.
    #[error("disruptor `{name}` has {left} events left after draining for {waited:?}")]
    DrainTimedOut {
        /// The disruptor.
        name: String,
        /// Events that a sink has not taken.
        left: u64,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Fewer nodes than wanted had the events in time. They are kept here and go on being sent: they were published,
    /// and were not acknowledged.
    #[error("events of `{name}` were on {reached} of {wanted} nodes after {waited:?}; they go on being sent")]
    ReplicationTimeout {
        /// The disruptor.
        name: String,
        /// The events.
        sequences: Range<u64>,
        /// Nodes that had them, the home included.
        reached: usize,
        /// Nodes that were to have them.
        wanted: usize,
        /// How long it was waited for.
        waited: Duration,
    },
    /// There are too few nodes for the disruptor's consistency.
    #[error("`{name}` wants events on {wanted} nodes, and there are {present}")]
    NotEnoughReplicas {
        /// The disruptor.
        name: String,
        /// Nodes that could have them, the home included.
        present: usize,
        /// Nodes that are to have them.
        wanted: usize,
    },
    /// This node has a copy; events are taken, and changes made, at the disruptor's home.
    #[error("the home of `{name}` is node `{home}`")]
    NotHome {
        /// The disruptor.
        name: String,
        /// The node.
        home: String,
        /// Where its REST interface is, if that is known.
        http: Option<String>,
    },
    /// This node has a copy of a disruptor that has no home at the moment.
    #[error("`{name}` has no home: {reason}")]
    NoHome {
        /// The disruptor.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The ring could not be made, or its threads not started.
    #[error("disruptor `{name}` cannot start: {reason}")]
    CannotStart {
        /// The disruptor.
        name: String,
        /// The cause.
        reason: String,
    },
}

impl EngineError {
    /// One mistake in what was sent.
    pub fn invalid(error: FieldError) -> Self {
        Self::Invalid { errors: vec![error] }
    }
}

//! What happens when a handler panics or returns an error.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What a fallible handler returns: any error that may cross threads.
pub type HandlerError = Box<dyn Error + Send + Sync>;

/// How a handler failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FailureCause {
    /// It panicked, with this message.
    Panic(String),
    /// It returned this error.
    Error(HandlerError),
}

impl FailureCause {
    pub(crate) fn from_panic(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .map(|message| (*message).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        Self::Panic(message)
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic(message) => write!(f, "panicked: {message}"),
            Self::Error(error) => write!(f, "failed: {error}"),
        }
    }
}

/// Where in a handler's life it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// In `on_start`, or while its state was made.
    Start,
    /// On the event with this sequence, or on a run of events that begins there.
    Event(u64),
    /// Between events: in `on_timeout`, an observer or the wait strategy. It always poisons.
    Waiting,
    /// In `on_shutdown`.
    Shutdown,
}

/// A handler's failure: which handler, when, on which thread, and why. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Failure(Arc<FailureFacts>);

#[derive(Debug)]
struct FailureFacts {
    consumer: Arc<str>,
    moment: Moment,
    attempt: u32,
    thread: String,
    cause: FailureCause,
}

impl Failure {
    pub(crate) fn new(consumer: &Arc<str>, moment: Moment, attempt: u32, cause: FailureCause) -> Self {
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        Self(Arc::new(FailureFacts { consumer: Arc::clone(consumer), moment, attempt, thread, cause }))
    }

    /// The consumer's name.
    pub fn consumer(&self) -> &str {
        &self.0.consumer
    }

    /// Where in its life the handler failed.
    pub fn moment(&self) -> Moment {
        self.0.moment
    }

    /// The event's sequence, if the failure came from an event.
    pub fn sequence(&self) -> Option<u64> {
        match self.0.moment {
            Moment::Event(sequence) => Some(sequence),
            Moment::Start | Moment::Waiting | Moment::Shutdown => None,
        }
    }

    /// How often the handler has failed here in a row, from 1.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The name of the thread on which it failed.
    pub fn thread(&self) -> &str {
        &self.0.thread
    }

    /// The panic's message or the handler's error.
    pub fn cause(&self) -> &FailureCause {
        &self.0.cause
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(facts) = self;
        write!(f, "consumer `{}` {}", facts.consumer, facts.cause)?;
        match facts.moment {
            Moment::Start => write!(f, " (at its start, thread `{}`)", facts.thread),
            Moment::Event(sequence) => write!(f, " (at sequence {sequence}, thread `{}`)", facts.thread),
            Moment::Waiting => write!(f, " (between events, thread `{}`)", facts.thread),
            Moment::Shutdown => write!(f, " (at its shutdown, thread `{}`)", facts.thread),
        }
    }
}

impl Error for Failure {
    /// The handler's own error; a panic has none.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0.cause {
            FailureCause::Error(error) => Some(&**error),
            FailureCause::Panic(_) => None,
        }
    }
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureAction {
    /// Stop every consumer and fail every claim with this failure. The event stays unconsumed.
    Poison,
    /// Pass over the event; later stages still see it, as this handler left it.
    Skip,
    /// Pass over the event, and hide it from the consumers that follow this one. Consumers beside
    /// this one may or may not see it.
    Discard,
    /// Hand the same event to the handler again.
    Retry,
    /// Abort the process.
    Abort,
}

/// Decides what happens when a consumer fails. Runs on the consumer's thread.
///
/// A panic in here counts as [`FailureAction::Poison`]. Source: LMAX `ExceptionHandler`.
pub trait ExceptionHandler<E>: Send + Sync + 'static {
    /// `event` is as the handler left it; for a run of events it is the first one.
    fn on_event_failure(&self, failure: &Failure, event: &E) -> FailureAction;

    /// `on_start` failed. Only `Skip`, which goes on as if it had returned, differs from `Poison`,
    /// which fails `start()`.
    fn on_start_failure(&self, _failure: &Failure) -> FailureAction {
        FailureAction::Poison
    }

    /// `on_shutdown` failed; the consumer stops in any case. `Poison` records the failure.
    fn on_shutdown_failure(&self, _failure: &Failure) -> FailureAction {
        FailureAction::Poison
    }
}

/// The exception handlers that need no code: the same answer to every failure of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// [`FailureAction::Poison`].
    #[default]
    Poison,
    /// [`FailureAction::Skip`].
    Skip,
    /// [`FailureAction::Discard`].
    Discard,
    /// [`FailureAction::Retry`] up to `times` times, then [`FailureAction::Poison`].
    Retry {
        /// How many further attempts an event gets.
        times: u32,
    },
    /// [`FailureAction::Abort`].
    Abort,
}

impl<E> ExceptionHandler<E> for FailurePolicy {
    fn on_event_failure(&self, failure: &Failure, _event: &E) -> FailureAction {
        match *self {
            Self::Poison => FailureAction::Poison,
            Self::Skip => FailureAction::Skip,
            Self::Discard => FailureAction::Discard,
            Self::Retry { times } if failure.attempt() <= times => FailureAction::Retry,
            Self::Retry { .. } => FailureAction::Poison,
            Self::Abort => FailureAction::Abort,
        }
    }
}

//! What events go to: the built-in consumers of a named disruptor.
//!
//! A sink takes events and hands them over when a batch ends; until then the ring keeps the slots, so what was
//! acknowledged to a producer is not let go before its sinks have it. A sink that cannot hand over is asked again,
//! with growing pauses: its ring fills, and producers are told.

mod file;
mod forward;
mod log;
mod webhook;

pub use log::log_event;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::definition::{Definition, SinkDefinition, SinkKind};
use super::event::Event;
use super::registry::Engine;
use super::ring::Slot;
use crate::base::clock::Clock;
use crate::disruptor::{EventContext, HandlerError, TryEventHandler};
use crate::metrics::{Counter, Histogram};

/// Something that events go to. What fails is tried again, so a second call goes on where the first one failed.
trait Sink: Send + 'static {
    /// Gets ready, on the sink's own thread.
    fn open(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Takes an event, at most once. Calls [`hand_over`](Self::hand_over) itself when it has enough.
    fn take(&mut self, sequence: u64, event: &Event) -> Result<(), Refusal>;

    /// Sees to it that everything that was taken is where it belongs.
    fn hand_over(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Leaves out what was taken and cannot be handed over, and tells how many events that were.
    fn give_up(&mut self) -> u64 {
        0
    }
}

/// Why a sink did not take or hand over.
struct Refusal {
    reason: String,
    /// Whether there is no point in trying again.
    is_final: bool,
}

impl Refusal {
    fn again(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), is_final: false }
    }
}

/// What a sink has done, for everybody to read.
#[derive(Debug, Default)]
pub struct SinkState {
    /// Events it has taken.
    pub handled: Counter,
    /// Attempts that failed, and events that were left out.
    pub errors: Counter,
    /// What keeps it from handing over at the moment.
    pub trouble: Mutex<Option<String>>,
}

/// Tells sinks that pause between attempts to give up.
#[derive(Debug, Default)]
pub struct Halt {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Halt {
    pub fn set(&self) {
        *self.is_set.lock() = true;
        self.changed.notify_all();
    }

    /// Pauses; true if it was told to give up.
    fn pause(&self, pause: Duration) -> bool {
        let mut is_set = self.is_set.lock();
        if !*is_set {
            self.changed.wait_for(&mut is_set, pause);
        }
        *is_set
    }
}

/// What sinks need of the engine that they live in.
#[derive(Clone)]
pub struct Surroundings {
    pub engine: Weak<Engine>,
    pub clock: Clock,
    /// Whether clients have waited long enough, since the engine is about to end.
    pub stops_waiting: Arc<AtomicBool>,
    /// Where relative paths begin.
    pub files: Option<PathBuf>,
}

/// A sink on its thread, as the ring sees it.
pub struct SinkRunner {
    sink: Box<dyn Sink>,
    state: Arc<SinkState>,
    halt: Arc<Halt>,
    clock: Clock,
    latency: Option<Arc<Histogram>>,
    attempts_max: u32,
    skips: bool,
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

impl SinkRunner {
    /// The runner of one of the disruptor's sinks. `latency` is recorded by those that nothing follows.
    pub fn new(
        disruptor: &Definition,
        definition: &SinkDefinition,
        surroundings: &Surroundings,
        state: Arc<SinkState>,
        halt: Arc<Halt>,
        latency: Arc<Histogram>,
    ) -> Self {
        let mut limits = (0, false);
        let sink: Box<dyn Sink> = match &definition.kind {
            SinkKind::Count => Box::new(CountSink),
            SinkKind::Log => Box::new(log::LogSink::new(&disruptor.name)),
            SinkKind::File { path, rotate_bytes, keep } => {
                let path =
                    surroundings.files.as_deref().map_or_else(|| path.into(), |files| files.join(path));
                Box::new(file::FileSink::new(path, *rotate_bytes, *keep))
            }
            SinkKind::Webhook { url, headers, batch, timeout, attempts, skip } => {
                limits = (*attempts, *skip);
                Box::new(webhook::WebhookSink::new(url, headers, *batch, *timeout))
            }
            SinkKind::Forward { to, only } => {
                let engine = Weak::clone(&surroundings.engine);
                Box::new(forward::ForwardSink::new(engine, to, only, &disruptor.name))
            }
        };
        let is_last = !disruptor.sinks.iter().any(|other| other.after.contains(&definition.name));
        let latency = (is_last && disruptor.enable_metrics).then_some(latency);
        let clock = surroundings.clock.clone();
        Self { sink, state, halt, clock, latency, attempts_max: limits.0, skips: limits.1 }
    }

    /// Tries until it succeeds, the attempts are used up, or the sinks are to give up.
    fn insist(&mut self, what: impl Fn(&mut dyn Sink) -> Result<(), Refusal>) -> Result<(), HandlerError> {
        let mut pause = FIRST_PAUSE;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let Err(refusal) = what(self.sink.as_mut()) else {
                if attempts > 1 {
                    *self.state.trouble.lock() = None;
                }
                return Ok(());
            };
            self.state.errors.increment();
            let is_over = refusal.is_final || (self.attempts_max > 0 && attempts >= self.attempts_max);
            if is_over && self.skips {
                let left_out = self.sink.give_up();
                ::log::warn!(target: "sink", events = left_out; "events left out: {}", refusal.reason);
                self.state.errors.add(left_out);
                return Ok(());
            }
            if attempts == 1 || is_over {
                ::log::warn!(target: "sink", attempts = attempts; "a sink cannot hand over: {}", refusal.reason);
            }
            *self.state.trouble.lock() = Some(refusal.reason.clone());
            if is_over || self.halt.pause(pause) {
                return Err(refusal.reason.into());
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }
}

impl TryEventHandler<Slot> for SinkRunner {
    fn on_event(&mut self, slot: &Slot, context: &mut EventContext<'_>) -> Result<(), HandlerError> {
        let Some(event) = &slot.event else { return Ok(()) };
        let sequence = context.sequence();
        self.insist(|sink| sink.take(sequence, event))?;
        if context.is_end_of_batch() {
            self.insist(|sink| sink.hand_over())?;
        }
        self.state.handled.increment();
        if let Some(latency) = &self.latency {
            latency.record(self.clock.monotonic().saturating_sub(slot.at));
        }
        Ok(())
    }

    fn on_start(&mut self) -> Result<(), HandlerError> {
        self.sink.open().map_err(|refusal| refusal.reason.into())
    }
}

/// Does nothing: that it was there is counted for every sink.
struct CountSink;

impl Sink for CountSink {
    fn take(&mut self, _sequence: u64, _event: &Event) -> Result<(), Refusal> {
        Ok(())
    }
}

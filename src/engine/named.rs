//! A disruptor with a name: its life, its intake, and what can be seen of it.

mod following;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::copies::Copies;
use super::definition::Definition;
use super::error::EngineError;
use super::event::{Draft, Event};
use super::limiter::Limiter;
use super::ring::{Ended, Poller, Producer, Ring, is_full};
use super::sink::log_event;
use super::sink::{Halt, SinkRunner, SinkState, Surroundings};
use super::window::{Lookup, Window};
use crate::base::deadline::Deadline;
use crate::base::ulid::{Ulid, UlidSource};
use crate::disruptor::{ClaimError, ConsumerState, Monitor};
use crate::metrics::{Counter, Histogram};

/// Where a disruptor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Defined, not started.
    Created,
    /// Takes events and hands them on.
    Running,
    /// Takes no events; what was accepted is handed on.
    Paused,
    /// Takes no events, and ends when the sinks have had all.
    Draining,
    /// Has ended. Its last events are still readable.
    Stopped,
    /// A sink failed for good.
    Failed,
    /// Has a copy of the events of another node, which is its home, or waits to have one.
    Following,
}

impl Lifecycle {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Running,
        Self::Paused,
        Self::Draining,
        Self::Stopped,
        Self::Failed,
        Self::Following,
    ];

    /// The state's name, as users see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Following => "following",
        }
    }

    /// What can be asked of a disruptor in this state.
    pub fn allowed(self) -> &'static [&'static str] {
        match self {
            Self::Created | Self::Failed => &["start", "stop", "reset", "delete"],
            Self::Running => &["pause", "stop", "reset", "delete"],
            Self::Paused => &["resume", "start", "stop", "reset", "delete"],
            Self::Draining => &["stop", "reset", "delete"],
            Self::Stopped => &["start", "reset", "delete"],
            Self::Following => &["promote"],
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The events' sequences, in the order in which they were given.
    pub sequences: Range<u64>,
}

/// What a sink is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SinkReport {
    /// Its name.
    pub name: String,
    /// Events published that it has not let go of.
    pub lag: u64,
    /// Events it has had since the disruptor was made or reset.
    pub handled: u64,
    /// Attempts that failed, and events that were left out.
    pub errors: u64,
    /// What holds it up.
    pub trouble: Option<String>,
    /// Whether it has had events to do for five seconds and did none.
    pub is_stalled: bool,
}

/// How often publishing was refused, by reason.
#[derive(Debug, Default)]
pub struct Rejections {
    /// The ring was full.
    pub ring_full: Counter,
    /// More than `max_events_per_second`.
    pub rate_limited: Counter,
    /// The disruptor was not running, has its home elsewhere, or has not enough followers.
    pub wrong_state: Counter,
}

/// A disruptor with a name. Any thread may use it.
///
/// Publishing takes a shared lock, which only a change of state takes exclusively, and allocates one block per event.
pub struct NamedDisruptor {
    id: Ulid,
    created_unix_micros: u64,
    definition: Definition,
    surroundings: Surroundings,
    ids: Arc<UlidSource>,
    window: Window,
    limiter: Limiter,
    latency: Arc<Histogram>,
    published: Counter,
    rejections: Rejections,
    sinks: Vec<Arc<SinkState>>,
    intake: RwLock<Intake>,
    /// Held for as long as a change of state takes.
    ring: Mutex<Option<Running>>,
    monitor: RwLock<Option<Monitor>>,
    is_deleted: AtomicBool,
    last_publish_unix_micros: AtomicU64,
    /// If it has replicas.
    replicated: Option<Replicated>,
    samples: Mutex<Samples>,
}

/// What a disruptor with replicas has besides.
struct Replicated {
    copies: Copies,
    /// How many followers have an event when it is acknowledged.
    needed: usize,
    /// While it follows: where its home is.
    whereabouts: Mutex<Whereabouts>,
    /// While it follows: the first event that the home's sinks had not let go of.
    handed: AtomicU64,
    /// Events for which there were not enough copies in time.
    timeouts: Counter,
}

/// Where the home of a disruptor is that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// At a node, with the address of its REST interface if that is known.
    At(String, Option<String>),
    /// Nowhere, and why, and what to do.
    Nowhere(String),
}

/// A ring, and what tells its sinks to give up.
type Running = (Ring, Arc<Halt>);

struct Intake {
    lifecycle: Lifecycle,
    /// While the disruptor is running or paused.
    producer: Option<Producer>,
    /// Why it failed.
    reason: String,
    /// Which ring this is about: the first, the second...
    generation: u64,
}

/// What was seen each second.
#[derive(Default)]
struct Samples {
    published: VecDeque<(Duration, u64)>,
    /// By sink: how many it had handled when that changed last, and when that was.
    progress: Vec<(u64, Duration)>,
}

const SAMPLES_KEPT: usize = 6;
const STALL: Duration = Duration::from_secs(5);
/// How long a publisher that waits for room sleeps between two looks.
const PUBLISHER_NAP: Duration = Duration::from_micros(200);
/// The same where the rate limit says how long.
const PUBLISHER_NAP_MAX: Duration = Duration::from_millis(100);
/// The same while the home moves.
const HOMELESS_NAP: Duration = Duration::from_millis(5);

impl NamedDisruptor {
    pub(super) fn new(definition: Definition, surroundings: Surroundings, ids: Arc<UlidSource>) -> Self {
        let now = surroundings.clock.unix_micros();
        Self {
            id: ids.next(now),
            created_unix_micros: now,
            window: Window::new(definition.buffer_size),
            limiter: Limiter::new(definition.max_events_per_second, surroundings.clock.monotonic()),
            latency: Arc::default(),
            published: Counter::default(),
            rejections: Rejections::default(),
            sinks: definition.sinks.iter().map(|_| Arc::default()).collect(),
            intake: RwLock::new(Intake {
                lifecycle: Lifecycle::Created,
                producer: None,
                reason: String::new(),
                generation: 0,
            }),
            ring: Mutex::new(None),
            monitor: RwLock::new(None),
            is_deleted: AtomicBool::new(false),
            last_publish_unix_micros: AtomicU64::new(now),
            replicated: Replicated::of(&definition),
            samples: Mutex::default(),
            definition,
            surroundings,
            ids,
        }
    }

    /// The identity, which does not change and is not used again.
    pub fn id(&self) -> Ulid {
        self.id
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// What it is made of.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// When it was made, in microseconds since 1970.
    pub fn created_unix_micros(&self) -> u64 {
        self.created_unix_micros
    }

    /// When an event was accepted last, or it was made, in microseconds since 1970.
    pub fn last_activity_unix_micros(&self) -> u64 {
        // Relaxed: a number for people.
        self.last_publish_unix_micros.load(Ordering::Relaxed)
    }

    /// Where it is in its life, and why, if it has failed.
    pub fn lifecycle(&self) -> (Lifecycle, Option<String>) {
        let (state, generation) = {
            let intake = self.intake.read();
            let reason = (intake.lifecycle == Lifecycle::Failed).then(|| intake.reason.clone());
            ((intake.lifecycle, reason), intake.generation)
        };
        if !matches!(state.0, Lifecycle::Running | Lifecycle::Paused) {
            return state;
        }
        let stats = self.monitor.read().as_ref().map(Monitor::stats);
        let failed = stats.into_iter().flat_map(|stats| stats.consumers);
        match failed.into_iter().find(|consumer| consumer.state == ConsumerState::Failed) {
            Some(consumer) => {
                let trouble = self.sink_reports().into_iter().find(|sink| *sink.name == *consumer.name);
                let trouble =
                    trouble.and_then(|sink| sink.trouble).unwrap_or_else(|| "it panicked".to_owned());
                self.fail(generation, format!("sink `{}`: {trouble}", consumer.name));
                self.lifecycle()
            }
            None => state,
        }
    }

    /// Gives a draft its identity and its time.
    ///
    /// Errors: what is wrong with it.
    pub fn accept(&self, draft: &Draft<'_>) -> Event {
        let now = self.surroundings.clock.unix_micros();
        Event::new(draft, self.ids.next(now), now)
    }

    /// Publishes all of the events, with consecutive sequences, or none. Waits up to `patience` for room in the ring
    /// and for the rate limit.
    ///
    /// A disruptor with replicas then waits until as many nodes have the events as its consistency says.
    ///
    /// Errors: [`EngineError::RingFull`], `RateLimited`, `BatchTooLarge`, `WrongState` or `Failed`; with replicas also
    /// `NotEnoughReplicas`, `NotHome` and `NoHome`, and `ReplicationTimeout` for events that were published.
    pub fn publish(&self, events: &[Event], patience: Duration) -> Result<Published, EngineError> {
        let gives_up = || self.surroundings.stops_waiting.load(Ordering::Relaxed);
        self.publish_unless(events, patience, gives_up)
    }

    /// As [`publish`](Self::publish), for what was accepted elsewhere: it waits also while the engine ends, and takes
    /// events for published that are not on enough nodes yet, since a second attempt would double them.
    pub(super) fn forward(&self, events: &[Event], patience: Duration) -> Result<Published, EngineError> {
        match self.publish_unless(events, patience, || false) {
            Err(EngineError::ReplicationTimeout { sequences, .. }) => Ok(Published { sequences }),
            other => other,
        }
    }

    fn publish_unless(
        &self,
        events: &[Event],
        patience: Duration,
        gives_up: impl Fn() -> bool,
    ) -> Result<Published, EngineError> {
        let deadline = if patience.is_zero() { None } else { Some(Deadline::after(patience)) };
        loop {
            let refused = match self.try_publish(events) {
                Ok(published) => {
                    return match &self.replicated {
                        None => Ok(published),
                        Some(replicated) => self.replicate(replicated, published),
                    };
                }
                Err(error) => error,
            };
            let nap = match &refused {
                EngineError::RingFull { .. } => PUBLISHER_NAP,
                EngineError::NoHome { .. } => HOMELESS_NAP,
                EngineError::RateLimited { retry_after, .. } => *retry_after,
                _ => return Err(self.count_rejection(refused)),
            };
            match deadline.and_then(Deadline::remaining) {
                Some(left) if !left.is_zero() && !gives_up() => {
                    thread::sleep(nap.min(left).min(PUBLISHER_NAP_MAX))
                }
                _ => return Err(self.count_rejection(refused)),
            }
        }
    }

    fn try_publish(&self, events: &[Event]) -> Result<Published, EngineError> {
        let intake = self.intake.read();
        let Some(producer) = intake.producer.as_ref().filter(|_| intake.lifecycle == Lifecycle::Running)
        else {
            return Err(match intake.lifecycle {
                Lifecycle::Failed => {
                    EngineError::Failed { name: self.name().to_owned(), reason: intake.reason.clone() }
                }
                current => self.wrong_state("take events", current),
            });
        };
        if let Some(replicated) = &self.replicated {
            self.check_followers(replicated)?;
        }
        let clock = &self.surroundings.clock;
        let (now, count) = (clock.monotonic(), events.len() as u64);
        if events.is_empty() {
            let end = self.window.end();
            return Ok(Published { sequences: end..end });
        }
        self.limiter.take(count, now).map_err(|retry_after| EngineError::RateLimited {
            name: self.name().to_owned(),
            limit: self.definition.max_events_per_second,
            retry_after,
        })?;
        let refused = match producer.try_publish(events, now, &self.window) {
            Ok(sequences) => {
                self.published.add(count);
                self.last_publish_unix_micros.store(events[0].unix_micros(), Ordering::Relaxed);
                if self.definition.enable_logging {
                    let logged = sequences.clone().zip(events);
                    logged.for_each(|(sequence, event)| log_event(self.name(), sequence, event));
                }
                return Ok(Published { sequences });
            }
            Err(error) => error,
        };
        let generation = intake.generation;
        drop(intake);
        self.limiter.put_back(count);
        Err(self.told(&refused, events.len(), generation))
    }

    /// A ring's refusal in the engine's words.
    fn told(&self, refused: &ClaimError, events: usize, generation: u64) -> EngineError {
        let (name, capacity) = (self.name().to_owned(), self.definition.buffer_size as u64);
        if let Some(slowest) = is_full(refused) {
            let stats = self.monitor.read().as_ref().map(Monitor::stats);
            let used = stats.and_then(|stats| Some(stats.slowest()?.lag)).unwrap_or(capacity).min(capacity);
            return EngineError::RingFull { name, used, capacity, slowest: slowest.to_string() };
        }
        match refused {
            ClaimError::BadSize { .. } => EngineError::BatchTooLarge { name, events, capacity },
            ClaimError::Poisoned(failure) => {
                self.fail(generation, failure.to_string());
                EngineError::Failed { name, reason: failure.to_string() }
            }
            other => EngineError::Failed { name, reason: other.to_string() },
        }
    }

    fn count_rejection(&self, error: EngineError) -> EngineError {
        match error {
            EngineError::RingFull { .. } => self.rejections.ring_full.increment(),
            EngineError::RateLimited { .. } => self.rejections.rate_limited.increment(),
            EngineError::WrongState { .. }
            | EngineError::Failed { .. }
            | EngineError::NotEnoughReplicas { .. }
            | EngineError::NotHome { .. }
            | EngineError::NoHome { .. } => self.rejections.wrong_state.increment(),
            _ => {}
        }
        error
    }

    /// Notes that a ring has failed, unless another one has taken its place meanwhile.
    fn fail(&self, generation: u64, reason: String) {
        let mut intake = self.intake.write();
        let is_alive =
            matches!(intake.lifecycle, Lifecycle::Running | Lifecycle::Paused | Lifecycle::Draining);
        if is_alive && intake.generation == generation {
            log::error!(target: "engine", disruptor = self.name(); "disruptor failed: {reason}");
            *intake = Intake { lifecycle: Lifecycle::Failed, producer: None, reason, generation };
        }
    }

    /// Starts the sinks on a new ring, whose sequences go on where the last one ended.
    ///
    /// Errors: [`EngineError::CannotStart`], or `WrongState` while it drains.
    pub fn start(&self) -> Result<(), EngineError> {
        let Some(mut ring) = self.ring.try_lock() else {
            return Err(self.wrong_state("start", Lifecycle::Draining));
        };
        match self.lifecycle().0 {
            Lifecycle::Running => return Ok(()),
            Lifecycle::Paused => {
                drop(ring);
                return self.resume();
            }
            current @ (Lifecycle::Draining | Lifecycle::Following) => {
                return Err(self.wrong_state("start", current));
            }
            Lifecycle::Created | Lifecycle::Stopped | Lifecycle::Failed => {}
        }
        // A ring that has failed ends here.
        self.end(ring.take());
        self.begin(&mut ring, &[])
    }

    /// Starts the sinks on a new ring, and hands them the last events of the window once more.
    fn begin(&self, ring: &mut Option<Running>, again: &[Event]) -> Result<(), EngineError> {
        let halt = Arc::new(Halt::default());
        let runner = |(sink, state): (&_, &Arc<SinkState>)| {
            let (state, halt, latency) = (Arc::clone(state), Arc::clone(&halt), Arc::clone(&self.latency));
            *state.trouble.lock() = None;
            SinkRunner::new(&self.definition, sink, &self.surroundings, state, halt, latency)
        };
        let sinks = self.definition.sinks.iter().zip(&self.sinks);
        let sinks = sinks.map(|(sink, state)| (sink.clone(), runner((sink, state)))).collect();
        let first = self.window.end() - again.len() as u64;
        let (started, producer) = Ring::start(&self.definition, first, sinks)
            .map_err(|reason| EngineError::CannotStart { name: self.name().to_owned(), reason })?;
        if !again.is_empty() {
            let published = producer.try_publish(again, self.surroundings.clock.monotonic(), &self.window);
            published.expect("a window has no more events than a ring has slots");
        }
        *self.monitor.write() = Some(started.monitor());
        *ring = Some((started, halt));
        let mut intake = self.intake.write();
        let (producer, generation) = (Some(producer), intake.generation + 1);
        *intake = Intake { lifecycle: Lifecycle::Running, producer, reason: String::new(), generation };
        Ok(())
    }

    /// Takes no more events until [`resume`](Self::resume). What was accepted is handed on.
    ///
    /// Errors: [`EngineError::WrongState`].
    pub fn pause(&self) -> Result<(), EngineError> {
        self.switch("pause", Lifecycle::Running, Lifecycle::Paused)
    }

    /// Takes events again.
    ///
    /// Errors: [`EngineError::WrongState`].
    pub fn resume(&self) -> Result<(), EngineError> {
        self.switch("resume", Lifecycle::Paused, Lifecycle::Running)
    }

    fn switch(&self, action: &'static str, from: Lifecycle, to: Lifecycle) -> Result<(), EngineError> {
        let mut intake = self.intake.write();
        match intake.lifecycle {
            current if current == to => Ok(()),
            current if current == from => {
                intake.lifecycle = to;
                Ok(())
            }
            current => Err(self.wrong_state(action, current)),
        }
    }

    /// Takes no more events, and waits until every sink has had every event.
    ///
    /// Errors: [`EngineError::DrainTimedOut`]: it goes on draining, and a second call goes on waiting.
    /// [`EngineError::Failed`]: a sink failed meanwhile.
    pub fn stop(&self, timeout: Duration) -> Result<(), EngineError> {
        let Some(mut ring) = self.ring.try_lock_for(timeout) else {
            return Err(self.wrong_state("stop", Lifecycle::Draining));
        };
        let current = self.lifecycle().0;
        if current == Lifecycle::Following {
            return Err(self.wrong_state("stop", current));
        }
        let generation = {
            let mut intake = self.intake.write();
            // The producer goes, since a ring for one producer ends only without it.
            intake.producer = None;
            intake.lifecycle = match current {
                Lifecycle::Running | Lifecycle::Paused | Lifecycle::Draining => Lifecycle::Draining,
                Lifecycle::Created | Lifecycle::Stopped | Lifecycle::Failed | Lifecycle::Following => {
                    Lifecycle::Stopped
                }
            };
            intake.generation
        };
        let Some((draining, halt)) = ring.take() else { return Ok(()) };
        if current == Lifecycle::Failed {
            self.end(Some((draining, halt)));
            return Ok(());
        }
        match draining.drain(timeout) {
            Ended::Drained => {
                self.intake.write().lifecycle = Lifecycle::Stopped;
                *self.monitor.write() = None;
                self.window.ring();
                Ok(())
            }
            Ended::NotYet(draining, left) => {
                *ring = Some((*draining, halt));
                Err(EngineError::DrainTimedOut { name: self.name().to_owned(), left, waited: timeout })
            }
            Ended::Failed(reason, left) => {
                let reason = format!("{reason}; {left} events are left");
                self.fail(generation, reason.clone());
                Err(EngineError::Failed { name: self.name().to_owned(), reason })
            }
        }
    }

    /// Stops the sinks where they are, and tells how many events the slowest one had to go.
    pub fn halt(&self) -> u64 {
        self.cut_off(&mut self.ring.lock())
    }

    /// Halts, forgets every event and every number, and starts on a new ring, whatever the state. Tells how many
    /// events the slowest sink had to go; those are not handed on.
    ///
    /// Sequences go on where they ended, so that readers see a gap and never another event under an old sequence. An
    /// event that is published meanwhile is acknowledged before and forgotten, refused, or kept on the new ring.
    /// Readers that hold up the producers end, as at a stop.
    ///
    /// Errors: [`EngineError::CannotStart`]; it is then stopped and empty.
    pub fn reset(&self) -> Result<u64, EngineError> {
        let mut ring = self.ring.lock();
        if self.lifecycle().0 == Lifecycle::Following {
            return Err(self.wrong_state("be reset", Lifecycle::Following));
        }
        let left = self.cut_off(&mut ring);
        // Neither a publisher nor a sink is at work.
        self.window.forget();
        self.latency.reset();
        let Rejections { ring_full, rate_limited, wrong_state } = &self.rejections;
        [ring_full, rate_limited, wrong_state].into_iter().for_each(Counter::reset);
        self.sinks.iter().flat_map(|sink| [&sink.handled, &sink.errors]).for_each(Counter::reset);
        {
            let mut samples = self.samples.lock();
            self.published.reset();
            *samples = Samples::default();
        }
        self.begin(&mut ring, &[])?;
        Ok(left)
    }

    fn cut_off(&self, ring: &mut Option<Running>) -> u64 {
        {
            let mut intake = self.intake.write();
            intake.lifecycle = Lifecycle::Stopped;
            intake.producer = None;
            intake.reason.clear();
        }
        let left = self.end(ring.take());
        *self.monitor.write() = None;
        left
    }

    /// Ends a ring's sinks where they are, and tells how many events the slowest one had to go.
    fn end(&self, ring: Option<Running>) -> u64 {
        let Some((ring, halt)) = ring else { return 0 };
        halt.set();
        ring.halt(|name| self.definition.sinks.iter().any(|sink| sink.name == name))
    }

    pub(super) fn set_deleted(&self) {
        // Release, for the acquire in `is_deleted`: readers see the state that the end has left.
        self.is_deleted.store(true, Ordering::Release);
        self.window.ring();
    }

    /// Whether it was taken out of its engine.
    pub fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Acquire)
    }

    /// The event at a sequence.
    ///
    /// Errors: [`EngineError::Overwritten`] or `NotYet`.
    pub fn event(&self, sequence: u64) -> Result<Event, EngineError> {
        match self.look(sequence) {
            Lookup::Kept(event) => Ok(event),
            Lookup::Overwritten => {
                let (name, first_available) = (self.name().to_owned(), self.first_available());
                Err(EngineError::Overwritten { name, sequence, first_available })
            }
            Lookup::NotYet => Err(EngineError::NotYet {
                name: self.name().to_owned(),
                sequence,
                next: self.next_sequence(),
            }),
        }
    }

    /// What is at a sequence.
    pub fn look(&self, sequence: u64) -> Lookup {
        match self.window.look(sequence) {
            Lookup::Kept(event) if self.is_expired(&event) => Lookup::Overwritten,
            other => other,
        }
    }

    fn is_expired(&self, event: &Event) -> bool {
        let retention = self.definition.retention_seconds * 1_000_000;
        retention > 0 && event.unix_micros() + retention < self.surroundings.clock.unix_micros()
    }

    /// Sleeps until there may be something at `sequence`, or the time is over.
    pub fn wait_past(&self, sequence: u64, timeout: Duration) {
        self.window.wait_past(sequence, timeout);
    }

    /// The oldest sequence that can be read, or the next one if there is none.
    pub fn first_available(&self) -> u64 {
        let (mut low, mut high) = (self.window.start(), self.window.end());
        // Times grow with sequences, but for a few that were published at once.
        while self.definition.retention_seconds > 0 && low < high {
            let middle = low + (high - low) / 2;
            match self.look(middle) {
                Lookup::Overwritten => low = middle + 1,
                Lookup::Kept(_) | Lookup::NotYet => high = middle,
            }
        }
        low
    }

    /// The sequence that the next event will have.
    pub fn next_sequence(&self) -> u64 {
        self.window.end()
    }

    /// A consumer that holds up the producers; `None` unless it is running.
    pub(super) fn poller(&self) -> Option<Poller> {
        self.ring.try_lock()?.as_mut()?.0.poller()
    }

    /// Events published since it was made or reset.
    pub fn published(&self) -> u64 {
        self.published.value()
    }

    /// How often publishing was refused.
    pub fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    /// How long events took from the producer to the end of the last sink.
    pub fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// Slots that wait for a consumer.
    pub fn used(&self) -> u64 {
        let stats = self.monitor.read().as_ref().map(Monitor::stats);
        stats
            .and_then(|stats| Some(stats.slowest()?.lag))
            .unwrap_or(0)
            .min(self.definition.buffer_size as u64)
    }

    /// What each sink is doing.
    pub fn sink_reports(&self) -> Vec<SinkReport> {
        let stats = self.monitor.read().as_ref().map(Monitor::stats);
        let consumers = stats.map(|stats| stats.consumers).unwrap_or_default();
        let lag = |name: &str| {
            consumers.iter().find(|consumer| *consumer.name == *name).map_or(0, |found| found.lag)
        };
        let samples = self.samples.lock();
        let now = self.surroundings.clock.monotonic();
        let sinks = self.definition.sinks.iter().zip(&self.sinks).enumerate();
        let report = sinks.map(|(place, (sink, state))| {
            let (lag, handled) = (lag(&sink.name), state.handled.value());
            let since =
                samples.progress.get(place).filter(|(seen, _)| *seen == handled).map(|(_, since)| *since);
            let is_stalled = lag > 0 && since.is_some_and(|since| now.saturating_sub(since) > STALL);
            let trouble = state.trouble.lock().clone();
            SinkReport {
                name: sink.name.clone(),
                lag,
                handled,
                errors: state.errors.value(),
                trouble,
                is_stalled,
            }
        });
        report.collect()
    }

    /// Notes how far everything is; once a second, for [`events_per_second`](Self::events_per_second).
    pub fn sample(&self) {
        let now = self.surroundings.clock.monotonic();
        let reports = self.sink_reports();
        let mut samples = self.samples.lock();
        samples.published.push_back((now, self.published.value()));
        if samples.published.len() > SAMPLES_KEPT {
            samples.published.pop_front();
        }
        samples.progress.resize(reports.len(), (0, now));
        for (progress, sink) in samples.progress.iter_mut().zip(reports) {
            if progress.0 != sink.handled || sink.lag == 0 {
                *progress = (sink.handled, now);
            }
        }
    }

    /// Events published per second over the last few samples; 0 before there are two.
    pub fn events_per_second(&self) -> f64 {
        let samples = self.samples.lock();
        match (samples.published.front(), samples.published.back()) {
            (Some((start, first)), Some((end, last))) if end > start => {
                (last - first) as f64 / (*end - *start).as_secs_f64()
            }
            _ => 0.0,
        }
    }

    fn wrong_state(&self, action: &'static str, current: Lifecycle) -> EngineError {
        if let (Lifecycle::Following, Some(replicated)) = (current, &self.replicated) {
            return self.elsewhere(replicated);
        }
        EngineError::WrongState { name: self.name().to_owned(), action, current, allowed: current.allowed() }
    }
}

impl fmt::Debug for NamedDisruptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedDisruptor")
            .field("name", &self.name())
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Lifecycle;
    use crate::engine::{Author, Defaults, Definition, Engine, EngineOptions};
    use serde_json::json;

    #[test]
    fn news_of_a_ring_that_is_gone_does_not_harm_the_next_one() {
        let engine = Engine::new(EngineOptions::default());
        let definition = Definition::from_json(&json!({"name": "a"}), None, &Defaults::default());
        let (disruptor, _) = engine.create(definition.expect("right"), Author::Operator).expect("made");
        disruptor.start().expect("it starts");
        let old = disruptor.intake.read().generation;
        disruptor.reset().expect("it starts");
        disruptor.fail(old, "late".to_owned());
        assert_eq!(disruptor.lifecycle(), (Lifecycle::Running, None));
        disruptor.fail(old + 1, "now".to_owned());
        assert_eq!(disruptor.lifecycle(), (Lifecycle::Failed, Some("now".to_owned())));
    }
}

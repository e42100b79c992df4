//! The face of a wait strategy, and what the engine lends it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::event_count::EventCount;
use super::gate::Gate;
use super::linger::{Linger, Vigil};
use super::multi::SKIPPED;
use super::sync::{AtomicU8, AtomicU64, Ordering};
use crate::base::deadline::Deadline;
use crate::sys::prefetch;

/// How a consumer passes the time until there is something to consume.
///
/// The engine looks for itself after every wait, so a strategy that returns too early costs time
/// and one that never returns stops its consumer; neither can hand out an event too soon.
///
/// Source: LMAX `WaitStrategy`. See [`crate::disruptor`] for the table of LMAX's names.
pub trait WaitStrategy: Send + Sync + 'static {
    /// Waits until `waiter` is ready, or gives up with [`Waited::TimedOut`], which calls the
    /// handler's `on_timeout`.
    fn wait(&self, waiter: &Waiter<'_>) -> Waited;

    /// Whether `wait` ever calls [`Waiter::park`]. Publishers signal only if it does, so the answer
    /// must not change.
    fn parks(&self) -> bool {
        false
    }
}

impl WaitStrategy for Box<dyn WaitStrategy> {
    fn wait(&self, waiter: &Waiter<'_>) -> Waited {
        (**self).wait(waiter)
    }

    fn parks(&self) -> bool {
        (**self).parks()
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The waiter was ready, or may be.
    Ready,
    /// The strategy's timeout passed first.
    TimedOut,
}

/// One wait of one consumer: what it waits for, and where it can sleep.
pub struct Waiter<'a> {
    pub(crate) watch: Watch<'a>,
    pub(crate) published: &'a EventCount,
    /// The event that is waited for.
    pub(crate) sequence: u64,
    /// Where it will be. Only ever a hint to the CPU.
    pub(crate) slot: *const u8,
    /// The waiting consumer's own gate, which says where it must stop.
    pub(crate) gate: &'a Gate,
    /// How long the consumer stays awake, if the strategy parks.
    pub(crate) linger: &'a Cell<Linger>,
}

/// What changes when the awaited event becomes readable.
#[derive(Clone, Copy)]
pub(crate) enum Watch<'a> {
    /// The counter of a single producer.
    Cursor(&'a AtomicU64),
    /// The slot's stamp in a ring with several producers.
    Stamp { stamp: &'a AtomicU8, lap: u8 },
    /// Consumers that go first, all of them.
    Gates(&'a [Arc<Gate>]),
}

impl<'a> Watch<'a> {
    #[inline]
    fn is_past(self, sequence: u64) -> bool {
        // Relaxed: only a hint; the engine looks again with Acquire.
        match self {
            Self::Cursor(cursor) => cursor.load(Ordering::Relaxed) > sequence,
            Self::Stamp { stamp, lap } => stamp.load(Ordering::Relaxed) & !SKIPPED == lap,
            Self::Gates(gates) => gates.iter().all(|gate| gate.peek() > sequence),
        }
    }

    /// The bell that rings next on the way to `sequence`, and what to watch for there.
    fn bell(self, sequence: u64, published: &'a EventCount) -> (&'a EventCount, Self) {
        match self {
            Self::Cursor(_) | Self::Stamp { .. } => (published, self),
            Self::Gates(gates) => {
                let laggard = gates.iter().position(|gate| gate.peek() <= sequence).unwrap_or(0);
                (&gates[laggard].moved, Self::Gates(&gates[laggard..=laggard]))
            }
        }
    }
}

impl<'a> Waiter<'a> {
    /// The sequence that is waited for.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether the wait is over: the event can be read, or the consumer is to stop.
    ///
    /// A look in vain also asks the CPU for the event's cache line. The producer writes the event before it
    /// announces it, so that the event is on its way when the announcement is seen.
    #[inline]
    pub fn is_ready(&self) -> bool {
        let is_ready = self.is_ready_at(self.watch);
        if !is_ready {
            prefetch::for_read(self.slot);
        }
        is_ready
    }

    #[inline]
    fn is_ready_at(&self, watch: Watch<'_>) -> bool {
        watch.is_past(self.sequence) || self.gate.end() <= self.sequence
    }

    /// Sleeps until what holds the event up has moved, for at most `timeout`. Returns at once if
    /// the wait is over, and now and then without a reason: look, and park again.
    ///
    /// If the strategy does not say that it parks, nobody signals, and only the timeout ends the
    /// sleep.
    pub fn park(&self, timeout: Option<Duration>) {
        let (bell, watch) = self.watch.bell(self.sequence, self.published);
        bell.wait(|| self.is_ready_at(watch), timeout);
    }

    /// Waits awake until the wait is over, or until `deadline`; says whether it is over.
    pub(crate) fn stay_awake(&self, deadline: Deadline) -> bool {
        let mut vigil = self.linger.get().vigil();
        while !self.is_ready() {
            vigil.pass(Duration::MAX);
            if deadline.has_passed() {
                return false;
            }
        }
        self.learn(vigil);
        true
    }

    /// Waits awake for as long as earlier waits make it worth while, then asleep, until the wait is
    /// over or `timeout` has passed; says whether it is over.
    pub(crate) fn linger_and_park(&self, timeout: Option<Duration>) -> bool {
        let deadline = timeout.map_or(Deadline::NEVER, Deadline::after);
        let awake = self.linger.get().awake().min(timeout.unwrap_or(Duration::MAX));
        let mut vigil = self.linger.get().vigil();
        while !self.is_ready() {
            if !vigil.pass(awake) {
                if deadline.has_passed() {
                    return false;
                }
                vigil.falls_asleep();
                self.park(deadline.remaining());
            }
        }
        self.learn(vigil);
        true
    }

    #[inline]
    fn learn(&self, vigil: Vigil) {
        let mut linger = self.linger.get();
        linger.learn(vigil);
        self.linger.set(linger);
    }

    /// Has `waker` called when what holds the event up has moved; false if the wait is over.
    pub(crate) fn register(&self, waker: &std::task::Waker) -> bool {
        let (bell, watch) = self.watch.bell(self.sequence, self.published);
        bell.register(waker, || self.is_ready_at(watch))
    }
}

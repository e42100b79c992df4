//! The end of a disruptor: close and drain, halt, or drop.

use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::control::Phase;
use super::disruptor::Disruptor;
use super::error::ShutdownError;
use super::sequencer::{ProducerKind, Sequencer};
use super::wait::WaitStrategy;
use crate::base::deadline::Deadline;

/// What a shutdown has achieved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Every event below this sequence was published or given up, and consumed by all threads.
    pub end: u64,
}

/// What a halt has left undone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Halted {
    /// By consumer, the events that were accepted and that it has not consumed.
    pub unconsumed: Vec<(Arc<str>, Range<u64>)>,
}

/// What a closing disruptor still waits for.
enum Unfinished {
    /// The single producer, which was taken out.
    Producer,
    /// The threads, for longer than the timeout.
    Threads,
    /// The calling thread itself.
    Caller,
}

impl<E, P: ProducerKind, W: WaitStrategy> Disruptor<E, P, W> {
    /// Refuses further claims, has everything consumed that was accepted, and ends all threads.
    ///
    /// Claims that were made before count: it waits until they are published or dropped. Pollers
    /// are not waited for; they can go on reading until they have everything.
    ///
    /// Errors: `ProducerActive` at once, if the single producer was taken out and lives; `Poisoned`,
    /// `Halted` and `NotStarted` say what is lost; a handler gets `OnConsumerThread`. Source: LMAX `Disruptor.shutdown`.
    pub fn shutdown(mut self) -> Result<Drained, ShutdownError<Self>> {
        let result = self.close_and_drain(None, Deadline::NEVER);
        self.conclude(result, Duration::MAX)
    }

    /// As [`shutdown`](Self::shutdown), waiting up to `timeout` for everybody, a producer that was
    /// taken out too. If that is not enough, the error holds the disruptor, closed and draining.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Result<Drained, ShutdownError<Self>> {
        let deadline = Deadline::after(timeout);
        let result = self.close_and_drain(Some(deadline), deadline);
        self.conclude(result, timeout)
    }

    /// Stops all consumers after the event, or the run of events, that they are handling, and says
    /// what they have left. Claims fail from now on.
    pub fn halt(&mut self) -> Halted {
        self.ring.control.halt();
        self.join_threads(|_| true);
        let gates = self.ring.control.gates.snapshot();
        let left = gates.iter().map(|gate| (Arc::clone(&gate.name), self.unconsumed(gate.sequence())));
        Halted { unconsumed: left.filter(|(_, events)| !events.is_empty()).collect() }
    }

    /// Closes, and waits as long as the deadlines allow: for the single producer if it is out (not at
    /// all without a deadline), and for the consumers.
    fn close_and_drain(
        &mut self,
        for_producer: Option<Deadline>,
        for_threads: Deadline,
    ) -> Result<(), Unfinished> {
        if self.is_own_thread() {
            return Err(Unfinished::Caller);
        }
        // The built-in producer publishes no more.
        self.producer = None;
        let control = &self.ring.control;
        if !control.close() && !for_producer.is_some_and(|deadline| control.wait_for_producer(deadline)) {
            return Err(Unfinished::Producer);
        }
        control.finish_at(self.ring.sequencer.close());
        if !control.wait_for_threads(for_threads) {
            return Err(Unfinished::Threads);
        }
        self.join_threads(|_| true);
        Ok(())
    }

    /// What came of it.
    fn conclude(
        self,
        result: Result<(), Unfinished>,
        timeout: Duration,
    ) -> Result<Drained, ShutdownError<Self>> {
        match result {
            Ok(()) => {}
            Err(Unfinished::Producer) => {
                return Err(ShutdownError::ProducerActive { disruptor: Box::new(self) });
            }
            Err(Unfinished::Threads) => {
                return Err(ShutdownError::TimedOut { disruptor: Box::new(self), timeout });
            }
            Err(Unfinished::Caller) => {
                return Err(ShutdownError::OnConsumerThread { disruptor: Box::new(self) });
            }
        }
        let control = &self.ring.control;
        let end = self.ring.cursor();
        let slowest = control.gates.snapshot().iter().map(|gate| gate.sequence()).min();
        let unconsumed = slowest.map_or(0..0, |slowest| self.unconsumed(slowest));
        let unconsumed = unconsumed.end - unconsumed.start;
        match (control.phase(), control.failure()) {
            (Phase::Poisoned, Some(failure)) => Err(ShutdownError::Poisoned { failure, unconsumed }),
            (Phase::Halted, _) => Err(ShutdownError::Halted { unconsumed }),
            _ if !self.launches.is_empty() && unconsumed > 0 => Err(ShutdownError::NotStarted { unconsumed }),
            _ => Ok(Drained { end }),
        }
    }

    /// Whether the calling thread is one of this disruptor's, which cannot wait for itself.
    ///
    /// Asked of the threads: one of them may run the handlers of another disruptor, step by step.
    pub(super) fn is_own_thread(&self) -> bool {
        let current = thread::current().id();
        self.threads.iter().any(|(_, handle)| handle.thread().id() == current)
    }

    /// What was published from `sequence` on. Claims that an end refused while they waited for room
    /// are counted in the cursor, but not here.
    fn unconsumed(&self, sequence: u64) -> Range<u64> {
        let cursor = self.ring.cursor();
        // A poller that is being dropped stands at the end of time.
        let sequence = sequence.min(cursor);
        sequence..self.ring.sequencer.available(sequence, cursor).min(cursor)
    }

    /// Waits for the threads of these nodes, which have been told to end; not for the calling one.
    pub(super) fn join_threads(&mut self, of_node: impl Fn(usize) -> bool) {
        let (ending, others): (Vec<_>, _) =
            mem::take(&mut self.threads).into_iter().partition(|&(node, _)| of_node(node));
        self.threads = others;
        for (_, handle) in ending {
            if handle.thread().id() != thread::current().id() {
                // The thread catches its handler's panics, so this only fails by our own fault,
                // which has been printed.
                let _ended = handle.join();
            }
        }
    }
}

impl<E, P: ProducerKind, W: WaitStrategy> Drop for Disruptor<E, P, W> {
    /// Shuts the disruptor down, unless that has been done, and waits for its threads.
    ///
    /// It does not wait where that would never end: on a consumer's own thread, or while the single
    /// producer lives elsewhere. Then the threads drain what was accepted and end by themselves.
    fn drop(&mut self) {
        self.producer = None;
        let control = &self.ring.control;
        if control.close() {
            control.finish_at(self.ring.sequencer.close());
            if !self.is_own_thread() {
                self.join_threads(|_| true);
            }
        }
    }
}

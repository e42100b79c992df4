//! Following a disruptor from outside of its graph.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::error::EngineError;
use super::event::Event;
use super::named::NamedDisruptor;
use super::ring::Poller;
use super::window::Lookup;
use crate::disruptor::PollError;

/// What a subscription has to tell.
#[derive(Clone, Debug)]
pub enum Tailed {
    /// The next event.
    Event(u64, Event),
    /// Events from the first up to, but not including, the second sequence were overwritten before they were read.
    Gap(u64, u64),
    /// Nothing happened in time.
    Idle,
    /// There will be nothing more.
    Ended(String),
}

/// Reads a disruptor's events in order, from any thread.
///
/// The usual kind never holds up a producer and is told of a gap when it is too slow. The gating kind misses nothing
/// and holds up the producers, as a sink does, up to its limit.
pub struct Subscription {
    disruptor: Arc<NamedDisruptor>,
    next: u64,
    gate: Option<Gate>,
}

struct Gate {
    poller: Poller,
    /// Where the poller joined; what is older comes from the window.
    joined: u64,
    ready: VecDeque<(u64, Event)>,
    lag_max: u64,
}

impl Subscription {
    /// Reads from a sequence on.
    pub fn follow(disruptor: Arc<NamedDisruptor>, from: u64) -> Self {
        Self { disruptor, next: from, gate: None }
    }

    /// Reads from a sequence on and holds up the producers, until it is `lag_max` events behind, which ends it.
    ///
    /// Errors: [`EngineError::WrongState`] unless the disruptor runs.
    pub fn gating(disruptor: Arc<NamedDisruptor>, from: u64, lag_max: u64) -> Result<Self, EngineError> {
        let Some(poller) = disruptor.poller() else {
            let (current, _) = disruptor.lifecycle();
            let (name, allowed) = (disruptor.name().to_owned(), current.allowed());
            return Err(EngineError::WrongState {
                name,
                action: "be followed with gating",
                current,
                allowed,
            });
        };
        let joined = poller.sequence();
        let gate = Some(Gate { poller, joined, ready: VecDeque::new(), lag_max });
        Ok(Self { disruptor, next: from.min(joined), gate })
    }

    /// The sequence that comes next.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Waits for what comes next.
    pub fn next(&mut self, timeout: Duration) -> Tailed {
        match &self.gate {
            Some(gate) if self.next >= gate.joined => self.next_gated(timeout),
            _ => self.next_in_window(timeout),
        }
    }

    fn next_in_window(&mut self, timeout: Duration) -> Tailed {
        for is_last in [false, true] {
            match self.disruptor.look(self.next) {
                Lookup::Kept(event) => {
                    self.next += 1;
                    return Tailed::Event(self.next - 1, event);
                }
                Lookup::Overwritten => {
                    let missed = self.next;
                    self.next = self.disruptor.first_available().max(missed + 1);
                    return Tailed::Gap(missed, self.next);
                }
                Lookup::NotYet if self.disruptor.is_deleted() => {
                    return Tailed::Ended("the disruptor was deleted".to_owned());
                }
                Lookup::NotYet if !is_last => self.disruptor.wait_past(self.next, timeout),
                Lookup::NotYet => {}
            }
        }
        Tailed::Idle
    }

    fn next_gated(&mut self, timeout: Duration) -> Tailed {
        let gate = self.gate.as_mut().expect("only a gating subscription comes here");
        if gate.ready.is_empty() {
            match gate.poller.wait(timeout) {
                Ok(events) => gate.ready.extend(events),
                Err(PollError::Closed) => return Tailed::Ended("the disruptor was stopped".to_owned()),
                Err(error) => return Tailed::Ended(error.to_string()),
            }
        }
        let lag = self.disruptor.next_sequence().saturating_sub(self.next);
        if lag > gate.lag_max {
            let limit = gate.lag_max;
            self.gate = None;
            return Tailed::Ended(format!("the subscription is {lag} events behind, and may be {limit}"));
        }
        match gate.ready.pop_front() {
            Some((sequence, event)) => {
                self.next = sequence + 1;
                Tailed::Event(sequence, event)
            }
            None => Tailed::Idle,
        }
    }
}

//! The slow path of every claim: finding out how far a producer may go, and waiting for it.

use std::sync::Arc;
use std::time::Duration;

use super::control::{Control, Phase};
use super::error::ClaimError;
use super::gate::{Gate, GateCache};
use super::linger::{Linger, Vigil};
use super::sync::{spin_loop, yield_now};
use crate::base::deadline::Deadline;

/// How long a claim may wait for a full ring.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Not at all.
    Try,
    /// Until the deadline, which is the timeout from when the claim began.
    Until(Deadline, Duration),
    /// Until there is room or the disruptor ends.
    Forever,
}

/// The end of all sequences: 2^62, so that a counter never reaches the bit that marks a closed ring.
pub(crate) const SEQUENCE_MAX: u64 = 1 << 62;

/// What a producer needs in order to find room.
pub(crate) struct Room<'a> {
    pub(crate) control: &'a Control,
    pub(crate) gates: &'a mut GateCache,
    pub(crate) linger: &'a mut Linger,
    pub(crate) patience: Patience,
}

/// How far a producer may go, at one look.
struct Look {
    /// The producer may claim up to here.
    limit: u64,
    /// The consumer that sets the limit, unless a claim in flight or nobody does.
    slowest: Option<Arc<Gate>>,
    /// What sets the limit stands here.
    stood_at: u64,
}

impl Room<'_> {
    /// The limit up to which slots may be claimed, at least `end`, for a producer (or a ring of
    /// producers) that has claimed everything below `claimed`. `settled` is `Sequencer::settled`.
    #[cold]
    #[inline(never)]
    pub(crate) fn find(
        &mut self,
        claimed: u64,
        end: u64,
        settled: impl Fn(u64) -> u64,
    ) -> Result<u64, ClaimError> {
        if let Some(refusal) = self.control.refusal() {
            return Err(refusal);
        }
        if end > SEQUENCE_MAX {
            return Err(ClaimError::Exhausted);
        }
        let mut vigil = self.linger.vigil();
        let mut looks = 0_u32;
        let mut last_seen = None;
        loop {
            let look = self.look(claimed, &settled);
            let has_room = end <= look.limit;
            if has_room && (looks == 0 || self.is_worth_going_on(claimed, &look, last_seen)) {
                self.linger.learn(vigil);
                return Ok(look.limit.min(SEQUENCE_MAX));
            }
            if let Some(refusal) = self.control.refusal() {
                return Err(refusal);
            }
            if has_room {
                // Never asleep with room: the consumer may be waiting for this very event.
                spin_loop();
            } else {
                self.give_up(end, &look)?;
                self.pass_time(looks, &mut vigil, &look);
            }
            last_seen = Some(look.stood_at);
            looks = looks.saturating_add(1);
        }
    }

    fn look(&mut self, claimed: u64, settled: impl Fn(u64) -> u64) -> Look {
        let mut slowest = None;
        // The bound by the own claim is load-bearing: it keeps a producer with an old list from
        // running past a consumer that joins at the claimed sequence.
        let mut stood_at = claimed;
        for gate in self.gates.refresh(&self.control.gates) {
            let sequence = gate.sequence();
            if sequence < stood_at {
                stood_at = sequence;
                slowest = Some(Arc::clone(gate));
            }
        }
        let settled = settled(stood_at);
        if settled < stood_at {
            (stood_at, slowest) = (settled, None);
        }
        Look { limit: stood_at + self.control.capacity, slowest, stood_at }
    }

    /// After a wait, going on at the first free slot would stop again at once, and have producer
    /// and consumer pull one cache line to and fro. An eighth of the ring is worth a start, and so
    /// is any room if the consumer does not move.
    fn is_worth_going_on(&self, claimed: u64, look: &Look, last_seen: Option<u64>) -> bool {
        look.limit - claimed >= self.control.capacity / 8 || last_seen == Some(look.stood_at)
    }

    fn give_up(&self, end: u64, look: &Look) -> Result<(), ClaimError> {
        let missing = end - look.limit;
        let slowest = || match &look.slowest {
            Some(gate) => Arc::clone(&gate.name),
            None => Arc::from("a claim in flight"),
        };
        match self.patience {
            Patience::Try => return Err(ClaimError::Full { missing, slowest: slowest() }),
            Patience::Until(deadline, timeout) if deadline.has_passed() => {
                return Err(ClaimError::TimedOut { timeout, missing, slowest: slowest() });
            }
            Patience::Until(..) | Patience::Forever => {}
        }
        match self.control.phase() {
            Phase::Fresh => Err(ClaimError::NotStarted),
            Phase::Stepping => Err(ClaimError::WouldDeadlock),
            _ if self.control.on_consumer_thread() => Err(ClaimError::WouldDeadlock),
            _ => Ok(()),
        }
    }

    /// Passes a little time, or sleeps until the slowest consumer moves or the ring closes.
    fn pass_time(&self, looks: u32, vigil: &mut Vigil, look: &Look) {
        let Some(slowest) = &look.slowest else {
            // Another producer is about to publish, and rings no bell that this one could sleep on.
            return yield_now();
        };
        if self.control.producer_wait.pass_time(looks, vigil, self.linger.awake()) {
            return;
        }
        vigil.falls_asleep();
        let remaining = match self.patience {
            Patience::Until(deadline, _) => deadline.remaining(),
            Patience::Try | Patience::Forever => None,
        };
        let goes_on = || slowest.sequence() != look.stood_at || self.control.phase() >= Phase::Closed;
        slowest.moved.wait(goes_on, remaining);
    }
}

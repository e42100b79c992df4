//! The producer's handle: claims, publications, and the token form of LMAX.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) `tokens` holds sequences that this producer has claimed and neither published nor skipped.

#![allow(unsafe_code, reason = "`get_mut` hands out claimed slots")]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::claim::{Claim, ClaimBatch, SlotsMut};
use super::error::{ClaimError, NotClaimed};
use super::gate::GateCache;
use super::linger::Linger;
use super::ring::Ring;
use super::room::{Patience, Room};
use super::sequencer::{ClaimSize, MultiProducer, ProducerKind, Sequencer};
use super::slots::Slots;
use super::wait::WaitStrategy;
use super::wait_strategies::BlockingWaitStrategy;
use crate::base::deadline::Deadline;
use crate::sys::prefetch;

/// A producer: the end of the ring at which events go in.
///
/// With [`SingleProducer`](super::SingleProducer) there is one, and it cannot be cloned; with
/// [`MultiProducer`] each thread clones its own. No method allocates.
///
/// Every claiming method comes in three forms: plain waits for a full ring, `try_` answers
/// [`ClaimError::Full`], and `_timeout` waits for so long. All of them fail at once when the
/// disruptor is closed, halted or poisoned. Hold one claim at a time: a thread that waits for room
/// while it holds a claim of another producer of the same ring may wait for itself.
///
/// Of the three ways to publish, prefer the first two:
/// - [`publish_event`](Self::publish_event) and [`publish_batch`](Self::publish_batch) take a closure.
/// - [`claim`](Self::claim) and [`claim_n`](Self::claim_n) give a guard, which skips when dropped.
/// - [`next`](Self::next), [`get_mut`](Self::get_mut) and [`publish`](Self::publish) are LMAX's
///   form, where a sequence stands for the slot.
pub struct RingBuffer<E, P: ProducerKind = MultiProducer, W: WaitStrategy = BlockingWaitStrategy> {
    ring: Arc<Ring<E, P, W>>,
    local: <P::Sequencer as Sequencer>::Local,
    gates: GateCache,
    linger: Linger,
    /// Claimed by `next` and not yet published.
    tokens: Range<u64>,
    /// Claimed under a guard that lives, or was forgotten.
    guarded: Range<u64>,
}

impl<E, P: ProducerKind, W: WaitStrategy> RingBuffer<E, P, W> {
    pub(crate) fn new(ring: Arc<Ring<E, P, W>>) -> Self {
        let local = ring.sequencer.local();
        Self { ring, local, gates: GateCache::new(), linger: Linger::new(), tokens: 0..0, guarded: 0..0 }
    }

    /// Claims one slot.
    #[inline]
    pub fn claim(&mut self) -> Result<Claim<'_, E, P, W>, ClaimError> {
        self.guard(ClaimSize { least: 1, most: 1 }, &Patience::Forever).map(Claim::new)
    }

    /// Claims one slot if one is free.
    #[inline]
    pub fn try_claim(&mut self) -> Result<Claim<'_, E, P, W>, ClaimError> {
        self.guard(ClaimSize { least: 1, most: 1 }, &Patience::Try).map(Claim::new)
    }

    /// Claims one slot, waiting up to `timeout`.
    pub fn claim_timeout(&mut self, timeout: Duration) -> Result<Claim<'_, E, P, W>, ClaimError> {
        self.guard(ClaimSize { least: 1, most: 1 }, &patience(timeout)).map(Claim::new)
    }

    /// Claims `n` slots with consecutive sequences, 1 to the ring's capacity.
    #[inline]
    pub fn claim_n(&mut self, n: usize) -> Result<ClaimBatch<'_, E, P, W>, ClaimError> {
        self.guard(self.exactly(n)?, &Patience::Forever)
    }

    /// Claims `n` slots if so many are free.
    #[inline]
    pub fn try_claim_n(&mut self, n: usize) -> Result<ClaimBatch<'_, E, P, W>, ClaimError> {
        self.guard(self.exactly(n)?, &Patience::Try)
    }

    /// Claims `n` slots, waiting up to `timeout`.
    pub fn claim_n_timeout(
        &mut self,
        n: usize,
        timeout: Duration,
    ) -> Result<ClaimBatch<'_, E, P, W>, ClaimError> {
        self.guard(self.exactly(n)?, &patience(timeout))
    }

    /// Waits for a free slot, then claims as many as are free, up to `max`.
    pub fn claim_up_to(&mut self, max: usize) -> Result<ClaimBatch<'_, E, P, W>, ClaimError> {
        self.guard(self.up_to(max)?, &Patience::Forever)
    }

    /// Claims as many slots as are free, up to `max`; an error if there is none.
    pub fn try_claim_up_to(&mut self, max: usize) -> Result<ClaimBatch<'_, E, P, W>, ClaimError> {
        self.guard(self.up_to(max)?, &Patience::Try)
    }

    /// Waits up to `timeout` for a free slot, then claims as many as are free, up to `max`.
    pub fn claim_up_to_timeout(
        &mut self,
        max: usize,
        timeout: Duration,
    ) -> Result<ClaimBatch<'_, E, P, W>, ClaimError> {
        self.guard(self.up_to(max)?, &patience(timeout))
    }

    /// Claims a slot, has `translator` fill it, and publishes it; returns its sequence, which the
    /// translator gets too. The event holds what its last user left in it.
    ///
    /// If the translator panics, the slot is given up and nothing is published. Source: LMAX
    /// `RingBuffer.publishEvent` and `EventTranslator`.
    #[inline]
    pub fn publish_event<F: FnOnce(&mut E, u64)>(&mut self, translator: F) -> Result<u64, ClaimError> {
        let mut claim = self.claim()?;
        let sequence = claim.sequence();
        translator(&mut claim, sequence);
        Ok(claim.publish())
    }

    /// As [`publish_event`](Self::publish_event), if a slot is free. The closure is not called otherwise.
    #[inline]
    pub fn try_publish<F: FnOnce(&mut E)>(&mut self, fill: F) -> Result<u64, ClaimError> {
        let mut claim = self.try_claim()?;
        fill(&mut claim);
        Ok(claim.publish())
    }

    /// As [`publish_event`](Self::publish_event), waiting up to `timeout`.
    pub fn publish_timeout<F: FnOnce(&mut E)>(
        &mut self,
        timeout: Duration,
        fill: F,
    ) -> Result<u64, ClaimError> {
        let mut claim = self.claim_timeout(timeout)?;
        fill(&mut claim);
        Ok(claim.publish())
    }

    /// Claims `n` slots, has `fill` write them, and publishes all at once; returns their sequences.
    ///
    /// No reference to an event gets out of the closure:
    ///
    /// ```compile_fail,E0521
    /// # use badbatch::{DisruptorBuilder, EventHandler};
    /// # let mut disruptor = DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>()?;
    /// let mut leak = None;
    /// disruptor.ring_buffer().publish_batch(1, |mut slots| leak = slots.next())?;
    /// *leak.unwrap() = 1; // would race with the consumers
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn publish_batch<F>(&mut self, n: usize, fill: F) -> Result<Range<u64>, ClaimError>
    where
        F: for<'s> FnOnce(SlotsMut<'s, E>),
    {
        let mut claim = self.claim_n(n)?;
        fill(claim.slots_mut());
        Ok(claim.publish())
    }

    /// As [`publish_batch`](Self::publish_batch), if so many slots are free.
    #[inline]
    pub fn try_publish_batch<F>(&mut self, n: usize, fill: F) -> Result<Range<u64>, ClaimError>
    where
        F: for<'s> FnOnce(SlotsMut<'s, E>),
    {
        let mut claim = self.try_claim_n(n)?;
        fill(claim.slots_mut());
        Ok(claim.publish())
    }

    /// Claims one slot and returns its sequence, for [`get_mut`](Self::get_mut) and
    /// [`publish`](Self::publish).
    ///
    /// Until it is published, further claims fail with [`ClaimError::Unpublished`]; dropping the
    /// producer gives it up. Source: LMAX `RingBuffer.next`.
    #[allow(
        clippy::should_implement_trait,
        reason = "the name that LMAX users look for; it can fail and iterates nothing"
    )]
    pub fn next(&mut self) -> Result<u64, ClaimError> {
        self.take_tokens(ClaimSize { least: 1, most: 1 }, &Patience::Forever).map(|tokens| tokens.start)
    }

    /// As [`next`](Self::next), if a slot is free.
    pub fn try_next(&mut self) -> Result<u64, ClaimError> {
        self.take_tokens(ClaimSize { least: 1, most: 1 }, &Patience::Try).map(|tokens| tokens.start)
    }

    /// As [`next`](Self::next), waiting up to `timeout`.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<u64, ClaimError> {
        self.take_tokens(ClaimSize { least: 1, most: 1 }, &patience(timeout)).map(|tokens| tokens.start)
    }

    /// Claims `n` slots and returns their sequences. Publish them in order, one by one or the last
    /// one alone.
    pub fn next_n(&mut self, n: usize) -> Result<Range<u64>, ClaimError> {
        self.take_tokens(self.exactly(n)?, &Patience::Forever)
    }

    /// As [`next_n`](Self::next_n), if so many slots are free.
    pub fn try_next_n(&mut self, n: usize) -> Result<Range<u64>, ClaimError> {
        self.take_tokens(self.exactly(n)?, &Patience::Try)
    }

    /// The event of a sequence that was claimed with [`next`](Self::next) and is unpublished.
    ///
    /// ```compile_fail,E0499
    /// # let mut disruptor = badbatch::DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>()?;
    /// let producer = disruptor.ring_buffer();
    /// let sequence = producer.next()?;
    /// let event = producer.get_mut(sequence)?;
    /// producer.publish(sequence);
    /// *event = 1; // a consumer may be reading it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_mut(&mut self, sequence: u64) -> Result<&mut E, NotClaimed> {
        if !self.tokens.contains(&sequence) {
            return Err(NotClaimed { sequence });
        }
        // SAFETY: (A) the slot is this producer's, no consumer reads it before it is published, and
        // publishing takes the borrow that the reference holds.
        Ok(unsafe { self.ring.slots.slot(sequence).as_mut() })
    }

    /// Publishes what was claimed with [`next`](Self::next), up to and including `sequence`.
    ///
    /// A sequence that is not claimed, or published already, changes nothing.
    pub fn publish(&mut self, sequence: u64) {
        if self.tokens.contains(&sequence) {
            let published = self.tokens.start..sequence + 1;
            self.tokens.start = published.end;
            self.publish_range(published);
            if self.tokens.is_empty() {
                self.ring.sequencer.resume(&mut self.local);
            }
        }
    }

    /// The number of slots in the ring.
    pub fn capacity(&self) -> usize {
        self.ring.control.capacity as usize
    }

    /// How many slots are free, as of now; consumers may have freed more since.
    pub fn remaining_capacity(&self) -> usize {
        let claimed = self.ring.sequencer.claimed().max(self.tokens.end);
        let gates = self.ring.control.gates.snapshot();
        let slowest = gates.iter().map(|gate| gate.peek()).min().unwrap_or(claimed).min(claimed);
        self.ring.control.capacity.saturating_sub(claimed - slowest) as usize
    }

    /// The end of what has been published, or claimed if there are several producers.
    pub fn cursor(&self) -> u64 {
        self.ring.cursor()
    }

    pub(crate) fn slots(&self) -> &Slots<E> {
        &self.ring.slots
    }

    fn exactly(&self, n: usize) -> Result<ClaimSize, ClaimError> {
        let capacity = self.capacity();
        if n == 0 || n > capacity {
            return Err(ClaimError::BadSize { requested: n, capacity });
        }
        Ok(ClaimSize { least: n as u64, most: n as u64 })
    }

    fn up_to(&self, max: usize) -> Result<ClaimSize, ClaimError> {
        let capacity = self.capacity();
        if max == 0 {
            return Err(ClaimError::BadSize { requested: max, capacity });
        }
        Ok(ClaimSize { least: 1, most: max.min(capacity) as u64 })
    }

    fn take_tokens(&mut self, size: ClaimSize, patience: &Patience) -> Result<Range<u64>, ClaimError> {
        self.tokens = self.claim_range(size, patience)?;
        self.ring.sequencer.suspend(&mut self.local);
        Ok(self.tokens.clone())
    }

    #[inline(always)]
    fn guard(&mut self, size: ClaimSize, patience: &Patience) -> Result<ClaimBatch<'_, E, P, W>, ClaimError> {
        let claimed = self.claim_range(size, patience)?;
        if !P::Sequencer::SINGLE {
            // Remembered, so that a guard that is forgotten leaves no gap.
            self.guarded = claimed.clone();
        }
        Ok(ClaimBatch::new(self, claimed))
    }

    /// The one place where slots are claimed.
    #[inline(always)]
    fn claim_range(&mut self, size: ClaimSize, patience: &Patience) -> Result<Range<u64>, ClaimError> {
        if !P::Sequencer::SINGLE && !self.guarded.is_empty() {
            self.skip_forgotten();
        }
        let Ring { control, sequencer, slots, .. } = &*self.ring;
        // A single producer that has tokens out is suspended, so it needs no look at them here.
        if control.is_running()
            && (P::Sequencer::SINGLE || self.tokens.is_empty())
            && let Some(claimed) = sequencer.claim_at_once(&mut self.local, size)
        {
            let ahead = claimed.end + slots.prefetch_distance();
            if sequencer.prefetch(&self.local, ahead) {
                prefetch::for_write(slots.slot(ahead).as_ptr());
            }
            return Ok(claimed);
        }
        self.claim_with_care(size, patience)
    }

    /// Out of line, so that what needs no care stays in registers: stores to the stack would compete
    /// with those to the slots.
    #[cold]
    #[inline(never)]
    fn claim_with_care(&mut self, size: ClaimSize, patience: &Patience) -> Result<Range<u64>, ClaimError> {
        let claimed = self.check_claim().and_then(|()| {
            let Self { ring, local, gates, linger, .. } = self;
            let room = Room { control: &ring.control, gates, linger, patience: *patience };
            ring.sequencer.claim(local, size, room)
        });
        // A claim that is refused is the single producer's agreement to the end. Tokens may still be
        // published: the close has counted them in.
        if claimed.is_err() && self.tokens.is_empty() && self.ring.control.refusal().is_some() {
            self.retire();
        }
        claimed
    }

    #[inline]
    fn check_claim(&self) -> Result<(), ClaimError> {
        if let Some(refusal) = self.ring.control.refusal() {
            return Err(refusal);
        }
        if !self.tokens.is_empty() {
            return Err(ClaimError::Unpublished { claimed: self.tokens.clone() });
        }
        Ok(())
    }

    /// Gives up what was claimed under a guard that was forgotten.
    #[cold]
    fn skip_forgotten(&mut self) {
        if !self.guarded.is_empty() {
            self.skip_claimed(self.guarded.clone());
        }
    }

    #[inline(always)]
    pub(crate) fn publish_claimed(&mut self, claimed: Range<u64>) {
        if !P::Sequencer::SINGLE {
            self.guarded.start = claimed.end;
        }
        self.publish_range(claimed);
    }

    #[inline(always)]
    fn publish_range(&mut self, claimed: Range<u64>) {
        self.ring.sequencer.publish(&mut self.local, claimed);
        if self.ring.wait.parks() {
            self.ring.control.published.signal();
        }
    }

    #[inline]
    pub(crate) fn skip_claimed(&mut self, claimed: Range<u64>) {
        if P::Sequencer::SINGLE {
            return;
        }
        self.guarded = 0..0;
        self.ring.sequencer.skip(&mut self.local, claimed);
        if self.ring.wait.parks() {
            self.ring.control.published.signal();
        }
    }

    /// Gives up what is claimed, and tells a closing disruptor that nothing more comes.
    fn retire(&mut self) {
        self.skip_forgotten();
        let tokens = std::mem::replace(&mut self.tokens, 0..0);
        if !tokens.is_empty() {
            self.skip_claimed(tokens);
        }
        if P::Sequencer::SINGLE {
            self.ring.control.producer_retired(self.ring.sequencer.claimed());
        }
    }
}

/// A timeout as the sequencer takes it, counted from now.
fn patience(timeout: Duration) -> Patience {
    Patience::Until(Deadline::after(timeout), timeout)
}

impl<E, W: WaitStrategy> Clone for RingBuffer<E, MultiProducer, W> {
    /// A second producer of the same ring. Claims of this one stay with this one.
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.ring))
    }
}

impl<E, P: ProducerKind, W: WaitStrategy> Drop for RingBuffer<E, P, W> {
    fn drop(&mut self) {
        self.retire();
    }
}

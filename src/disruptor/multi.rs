//! The sequencer of a ring with several producers.
//!
//! A claim is one compare-and-swap of a shared counter; a publication is one stamp per slot, the lap
//! of the ring that the slot is in. Consumers read the stamps and never the counter, so they leave the
//! line alone that producers contend for. Every claimed slot gets a stamp in the end, published or
//! skipped, so that a stamp is never older than one lap and 7 bits of lap are more than enough.
//!
//! Nothing is claimed before there is room for it. Producers that add first and wait afterwards, as
//! those of LMAX do, publish in the order of their claims, so that a full ring with more threads than
//! CPUs takes a change of threads for each event.
//!
//! The swap waits until all earlier stores have reached the cache. So that they are there soon, a claim
//! asks for the lines of the slots and stamps that come next.
//! Source: LMAX `MultiProducerSequencer`, with a closed bit and a skip bit of our own.

use std::ops::Range;

use crossbeam_utils::CachePadded;

use super::backoff::Backoff;
use super::error::ClaimError;
use super::room::Room;
use super::sequencer::{ClaimSize, Sequencer};
use super::sync::{AtomicU8, AtomicU64, Ordering};
use super::wait::Watch;
use crate::sys::prefetch;

pub struct MultiSequencer {
    /// Everything below is claimed; `CLOSED` says that it stays so.
    claim: CachePadded<AtomicU64>,
    /// Everything below is stamped. Only the slow path moves it, so it may lag.
    frontier: CachePadded<AtomicU64>,
    /// By slot, the lap that was last published or skipped there.
    stamps: Box<[AtomicU8]>,
    /// The end of the newest skip, so that rings without skips pay one comparison a batch.
    newest_skip: CachePadded<AtomicU64>,
    lap_shift: u32,
}

/// In `claim`: the ring is closed. Claims that were made before count.
const CLOSED: u64 = 1 << 63;
/// In a stamp: the slot is to be passed over.
pub(crate) const SKIPPED: u8 = 1 << 7;

pub(crate) struct MultiLocal {
    /// Slots below are free, as far as this producer knows.
    limit: u64,
    backoff: Backoff,
}

impl MultiSequencer {
    fn lap(&self, sequence: u64) -> u8 {
        (sequence >> self.lap_shift) as u8 & !SKIPPED
    }

    fn stamp(&self, sequence: u64) -> &AtomicU8 {
        &self.stamps[sequence as usize & (self.stamps.len() - 1)]
    }
}

impl Sequencer for MultiSequencer {
    type Local = MultiLocal;

    const SINGLE: bool = false;

    fn new(capacity: u64, first: u64) -> Self {
        let lap_shift = capacity.trailing_zeros();
        // Each slot starts in the lap before the one in which it is claimed first.
        let stamp = |slot| {
            let laps = (first >> lap_shift) + u64::from(slot < first & (capacity - 1));
            AtomicU8::new((laps as u8).wrapping_sub(1) & !SKIPPED)
        };
        Self {
            claim: CachePadded::new(AtomicU64::new(first)),
            frontier: CachePadded::new(AtomicU64::new(first)),
            stamps: (0..capacity).map(stamp).collect(),
            newest_skip: CachePadded::new(AtomicU64::new(0)),
            lap_shift,
        }
    }

    fn stamps(&self) -> Range<usize> {
        let stamps = self.stamps.as_ptr_range();
        stamps.start.addr()..stamps.end.addr()
    }

    fn local(&self) -> MultiLocal {
        MultiLocal { limit: 0, backoff: Backoff::new() }
    }

    #[inline(always)]
    fn claim_at_once(&self, local: &mut MultiLocal, size: ClaimSize) -> Option<Range<u64>> {
        // Unless somebody has come in between, and saves a look.
        let mut first = local.backoff.last_claimed();
        loop {
            let end = first + size.most;
            // A counter that is closed is beyond every limit.
            if end > local.limit {
                return None;
            }
            // Relaxed: the consumers' releases order the reuse of slots, not the other producers.
            match self.claim.compare_exchange(first, end, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    local.backoff.claimed(first, end);
                    return Some(first..end);
                }
                Err(others) => first = others,
            }
        }
    }

    fn claim(
        &self,
        local: &mut MultiLocal,
        size: ClaimSize,
        mut room: Room<'_>,
    ) -> Result<Range<u64>, ClaimError> {
        loop {
            // Relaxed: as in `claim_at_once`; `Room` has the fence that joining needs.
            let claimed = self.claim.load(Ordering::Relaxed);
            if claimed & CLOSED != 0 {
                return Err(room.control.refusal().unwrap_or(ClaimError::Closed));
            }
            // Another producer may have claimed beyond this one's limit.
            if local.limit.saturating_sub(claimed) < size.most {
                local.limit = room.find(claimed, claimed + size.least, |to| self.settled(to))?;
            }
            let end = claimed + size.most.min(local.limit - claimed);
            // Relaxed: as in `claim_at_once`.
            if self.claim.compare_exchange_weak(claimed, end, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                local.backoff.claimed(claimed, end);
                return Ok(claimed..end);
            }
        }
    }

    #[inline]
    fn prefetch(&self, local: &MultiLocal, sequence: u64) -> bool {
        // What is not free is in use, and better left where it is.
        let is_free = sequence < local.limit;
        if is_free {
            prefetch::for_write(self.stamp(sequence));
        }
        is_free
    }

    #[inline(always)]
    fn publish(&self, local: &mut MultiLocal, claimed: Range<u64>) {
        for sequence in claimed {
            // Release pairs with the Acquire in `available`: consumers see the event's contents.
            self.stamp(sequence).store(self.lap(sequence), Ordering::Release);
        }
        local.backoff.published();
    }

    #[cold]
    fn skip(&self, _local: &mut MultiLocal, claimed: Range<u64>) {
        // Relaxed: published by the stamps below.
        self.newest_skip.fetch_max(claimed.end, Ordering::Relaxed);
        for sequence in claimed {
            // Release pairs with the Acquire in `available`: who sees the stamp sees `newest_skip`.
            self.stamp(sequence).store(self.lap(sequence) | SKIPPED, Ordering::Release);
        }
    }

    #[inline]
    fn available(&self, from: u64, to: u64) -> u64 {
        // A slot further on than one lap would be read under the wrong sequence.
        let to = to.min(from + self.stamps.len() as u64);
        let mut sequence = from;
        while sequence < to {
            // As far as the ring's edge, one lap at a time.
            let first = sequence as usize & (self.stamps.len() - 1);
            let end = self.stamps.len().min(first + (to - sequence) as usize);
            let lap = self.lap(sequence);
            // Acquire pairs with the Release in `publish` and `skip`.
            let is_due = |stamp: &AtomicU8| stamp.load(Ordering::Acquire) & !SKIPPED != lap;
            if let Some(stamped) = self.stamps[first..end].iter().position(is_due) {
                return sequence + stamped as u64;
            }
            sequence += (end - first) as u64;
        }
        sequence
    }

    fn settled(&self, to: u64) -> u64 {
        // Acquire pairs with the Release below: the stamps below it have been seen by whoever moved it,
        // so the writes to the slots have happened before.
        let known = self.frontier.load(Ordering::Acquire);
        if known >= to {
            return to;
        }
        // A slot above the true frontier keeps its stamp until the frontier has passed it, so the
        // scan stops at the first slot that is in flight. It may stop early, if others have moved on.
        let seen = self.available(known, to);
        // AcqRel and Acquire: as above, for those who come after, and for what others have seen. Not
        // `fetch_max`, which ThreadSanitizer takes for no synchronisation at all.
        let further = |frontier| (frontier < seen).then_some(seen);
        match self.frontier.fetch_update(Ordering::AcqRel, Ordering::Acquire, further) {
            Ok(_behind) => seen,
            Err(frontier) => frontier.min(to),
        }
    }

    fn watch(&self, sequence: u64) -> Watch<'_> {
        Watch::Stamp { stamp: self.stamp(sequence), lap: self.lap(sequence) }
    }

    fn claimed(&self) -> u64 {
        // Acquire orders nothing that the fence in `Gates::join` does not; it is for the reader.
        self.claim.load(Ordering::Acquire) & !CLOSED
    }

    fn close(&self) -> u64 {
        // AcqRel: the claims below the result were made before, and those after see the bit.
        self.claim.fetch_or(CLOSED, Ordering::AcqRel) & !CLOSED
    }

    fn discard(&self, sequence: u64) {
        // Relaxed for both: the discarding consumer's release of `sequence` publishes them. The stamp
        // is changed and not stored, so that a consumer beside this one which finds the bit in it
        // still synchronises with the producer's store.
        self.newest_skip.fetch_max(sequence + 1, Ordering::Relaxed);
        self.stamp(sequence).fetch_or(SKIPPED, Ordering::Relaxed);
    }

    #[inline]
    fn has_skips(&self, from: u64) -> bool {
        // Relaxed: published by the stamp or the gate that let the caller get here.
        self.newest_skip.load(Ordering::Relaxed) > from
    }

    fn is_skipped(&self, sequence: u64) -> bool {
        // Relaxed: as in `has_skips`.
        self.stamp(sequence).load(Ordering::Relaxed) == self.lap(sequence) | SKIPPED
    }
}

//! The sequencer of a ring with one producer.
//!
//! The claim is private arithmetic: `next` and `limit` belong to the producer, and a claim that is
//! not published was never visible, so there is nothing to take back. Consumers see one counter.
//! Source: LMAX `SingleProducerSequencer`, without its store of claimed values into the cursor.

use std::ops::Range;
use std::sync::OnceLock;

use crossbeam_utils::CachePadded;

use super::error::ClaimError;
use super::room::Room;
use super::sequencer::{ClaimSize, Sequencer};
use super::sync::{AtomicU64, Ordering};
use super::wait::Watch;

pub struct SingleSequencer {
    /// Everything below is published.
    cursor: CachePadded<AtomicU64>,
    capacity: u64,
    first: u64,
    discards: OnceLock<Discards>,
}

/// The events that a consumer hid from those behind it.
struct Discards {
    /// The end of the newest discard, so that rings without discards pay one comparison a batch.
    newest: AtomicU64,
    /// By slot, the discarded sequence plus one.
    marks: Box<[AtomicU64]>,
}

pub(crate) struct SingleLocal {
    /// The next sequence to publish: what the cursor says too. Kept apart, since consumers that wait pull
    /// the cursor's line away, and a claim should not wait for it.
    next: u64,
    /// Slots below are free. Between claims it is at least `next`, or 0 while claims are suspended.
    limit: u64,
    /// What `limit` will be again.
    suspended: u64,
}

impl Sequencer for SingleSequencer {
    type Local = SingleLocal;

    const SINGLE: bool = true;

    fn new(capacity: u64, first: u64) -> Self {
        Self { cursor: CachePadded::new(AtomicU64::new(first)), capacity, first, discards: OnceLock::new() }
    }

    fn local(&self) -> SingleLocal {
        SingleLocal { next: self.first, limit: self.first, suspended: 0 }
    }

    #[inline(always)]
    fn claim_at_once(&self, local: &mut SingleLocal, size: ClaimSize) -> Option<Range<u64>> {
        let next = local.next;
        let end = next + size.most;
        (end <= local.limit).then_some(next..end)
    }

    #[inline]
    fn claim(
        &self,
        local: &mut SingleLocal,
        size: ClaimSize,
        mut room: Room<'_>,
    ) -> Result<Range<u64>, ClaimError> {
        let next = local.next;
        if local.limit - next < size.most {
            local.limit = room.find(next, next + size.least, |to| self.settled(to))?;
        }
        Ok(next..next + size.most.min(local.limit - next))
    }

    fn suspend(&self, local: &mut SingleLocal) {
        (local.suspended, local.limit) = (local.limit, 0);
    }

    fn resume(&self, local: &mut SingleLocal) {
        local.limit = local.suspended;
    }

    #[inline]
    fn prefetch(&self, _local: &SingleLocal, _sequence: u64) -> bool {
        // The CPU has many stores under way at once, and nothing here waits for the last of them.
        false
    }

    #[inline]
    fn publish(&self, local: &mut SingleLocal, claimed: Range<u64>) {
        debug_assert_eq!(claimed.start, local.next, "a single producer publishes in order");
        local.next = claimed.end;
        // Release pairs with the Acquire in `available`: consumers see the events' contents.
        self.cursor.store(claimed.end, Ordering::Release);
    }

    #[inline]
    fn skip(&self, _local: &mut SingleLocal, _claimed: Range<u64>) {}

    #[inline]
    fn available(&self, from: u64, _to: u64) -> u64 {
        // One look: a second one might pull the line away from the producer once more.
        // Acquire pairs with the Release in `publish`.
        self.cursor.load(Ordering::Acquire).max(from)
    }

    fn settled(&self, to: u64) -> u64 {
        to
    }

    fn watch(&self, _sequence: u64) -> Watch<'_> {
        Watch::Cursor(&self.cursor)
    }

    fn claimed(&self) -> u64 {
        // Acquire pairs with the Release in `publish`: who joins here may follow other consumers.
        self.cursor.load(Ordering::Acquire)
    }

    fn close(&self) -> u64 {
        self.claimed()
    }

    fn discard(&self, sequence: u64) {
        // Made for the first failure that needs it: a ring pays for the marks only then.
        let discards = self.discards.get_or_init(|| Discards {
            newest: AtomicU64::new(0),
            marks: (0..self.capacity).map(|_| AtomicU64::new(0)).collect(),
        });
        // Relaxed for both: the discarding consumer's release of `sequence` publishes them.
        discards.newest.fetch_max(sequence + 1, Ordering::Relaxed);
        discards.mark(sequence).store(sequence + 1, Ordering::Relaxed);
    }

    #[inline]
    fn has_skips(&self, from: u64) -> bool {
        // Relaxed: as in `discard`.
        self.discards.get().is_some_and(|discards| discards.newest.load(Ordering::Relaxed) > from)
    }

    fn is_skipped(&self, sequence: u64) -> bool {
        // Relaxed: as in `discard`.
        self.discards
            .get()
            .is_some_and(|discards| discards.mark(sequence).load(Ordering::Relaxed) == sequence + 1)
    }
}

impl Discards {
    fn mark(&self, sequence: u64) -> &AtomicU64 {
        &self.marks[sequence as usize & (self.marks.len() - 1)]
    }
}

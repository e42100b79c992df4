//! A claim: the right to write some slots, until it is published or dropped.
//!
//! A claim borrows its producer, so there is one at a time, and none outlives the publication. The
//! claim itself is made in [`RingBuffer`], by the sequencer of its kind: `single.rs` or `multi.rs`.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The sequences of a claim were handed out once, to this producer, and are neither published
//!   nor skipped while the claim lives. The sequencer's `claim` upholds this.
//! - (B) Nobody else touches a claimed slot: the consumers of its last lap have released it, which
//!   the claim waited for, and those of this lap wait for its publication.

#![allow(unsafe_code, reason = "claimed slots are handed out as `&mut`")]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::slice;

use super::ring_buffer::RingBuffer;
use super::sequencer::ProducerKind;
use super::slots::Slots;
use super::wait::WaitStrategy;

/// One claimed slot. Write the event through it, then [`publish`](Claim::publish).
///
/// Dropping it unpublished, by a panic too, gives the slot up: no consumer sees it, and none waits
/// for it. The event keeps its old content until somebody claims the slot again.
///
/// While it lives, its producer makes no other one:
///
/// ```compile_fail,E0499
/// # let mut disruptor = badbatch::DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>()?;
/// let producer = disruptor.ring_buffer();
/// let mut first = producer.claim()?;
/// let second = producer.claim()?; // would be the same slot
/// *first = 1;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// And the event cannot be touched once it is published:
///
/// ```compile_fail,E0505
/// # let mut disruptor = badbatch::DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>()?;
/// let mut claim = disruptor.ring_buffer().claim()?;
/// let event: &mut u64 = &mut claim;
/// claim.publish();
/// *event = 1; // a consumer may be reading it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Nor is it shared between threads unless the event may be:
///
/// ```compile_fail,E0277
/// # use std::cell::Cell;
/// # let mut disruptor = badbatch::DisruptorBuilder::new().buffer_size(8).build::<Cell<u64>>()?;
/// let claim = disruptor.ring_buffer().claim()?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| claim.set(1)); // beside the other thread's access
///     claim.set(2);
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a claim that is dropped publishes nothing"]
pub struct Claim<'p, E, P: ProducerKind, W: WaitStrategy> {
    batch: ClaimBatch<'p, E, P, W>,
}

impl<'p, E, P: ProducerKind, W: WaitStrategy> Claim<'p, E, P, W> {
    #[inline]
    pub(crate) fn new(batch: ClaimBatch<'p, E, P, W>) -> Self {
        debug_assert_eq!(batch.len(), 1);
        Self { batch }
    }

    /// The event's sequence.
    #[inline]
    pub fn sequence(&self) -> u64 {
        self.batch.claimed.start
    }

    /// Lets consumers read the event; returns its sequence.
    #[inline(always)]
    pub fn publish(self) -> u64 {
        self.batch.publish().start
    }

    /// Gives the slot up. The same as dropping the claim.
    pub fn abort(self) {}
}

impl<E, P: ProducerKind, W: WaitStrategy> Deref for Claim<'_, E, P, W> {
    type Target = E;

    #[inline]
    fn deref(&self) -> &E {
        // SAFETY: (A), (B); the reference lives as long as the borrow of the claim.
        unsafe { self.batch.slots().slot(self.sequence()).as_ref() }
    }
}

impl<E, P: ProducerKind, W: WaitStrategy> DerefMut for Claim<'_, E, P, W> {
    #[inline]
    fn deref_mut(&mut self) -> &mut E {
        // SAFETY: (A), (B); the reference lives as long as the exclusive borrow of the claim.
        unsafe { self.batch.slots().slot(self.sequence()).as_mut() }
    }
}

/// Several claimed slots with consecutive sequences. Fill them, then publish all or a first part.
///
/// What is not published when it is dropped, by a panic too, is given up as with [`Claim`].
#[must_use = "a claim that is dropped publishes nothing"]
pub struct ClaimBatch<'p, E, P: ProducerKind, W: WaitStrategy> {
    producer: &'p mut RingBuffer<E, P, W>,
    claimed: Range<u64>,
    /// The claim is as `Send` and as `Sync` as what it gives out.
    events: PhantomData<&'p mut [E]>,
}

impl<'p, E, P: ProducerKind, W: WaitStrategy> ClaimBatch<'p, E, P, W> {
    #[inline]
    pub(crate) fn new(producer: &'p mut RingBuffer<E, P, W>, claimed: Range<u64>) -> Self {
        Self { producer, claimed, events: PhantomData }
    }

    fn slots(&self) -> &Slots<E> {
        self.producer.slots()
    }

    /// The sequences of the slots.
    pub fn sequences(&self) -> Range<u64> {
        self.claimed.clone()
    }

    /// The number of slots, at least 1.
    pub fn len(&self) -> usize {
        (self.claimed.end - self.claimed.start) as usize
    }

    /// Always false: an empty claim cannot be made.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slots in order, as the two pieces in which they lie in memory; the second is empty
    /// unless the claim runs over the ring's edge.
    #[inline]
    pub fn as_mut_slices(&mut self) -> (&mut [E], &mut [E]) {
        let slots = self.producer.slots();
        let front = slots.contiguous(&self.claimed);
        let edge = self.claimed.start + front;
        let back = self.claimed.end - edge;
        let front_slot = slots.slot(self.claimed.start).as_ptr();
        // SAFETY: (A), (B); `front` slots from here on lie side by side, and the slice lives as long
        // as the exclusive borrow of the claim.
        let front = unsafe { slice::from_raw_parts_mut(front_slot, front as usize) };
        // SAFETY: (A), (B); the rest starts at the ring's first slot, and a claim is at most one ring
        // long, so the pieces do not overlap.
        let back = unsafe { slice::from_raw_parts_mut(slots.slot(edge).as_ptr(), back as usize) };
        (front, back)
    }

    /// The events in order of their sequences.
    #[inline]
    pub fn slots_mut(&mut self) -> SlotsMut<'_, E> {
        let (front, back) = self.as_mut_slices();
        SlotsMut { front: front.iter_mut(), back: back.iter_mut() }
    }

    /// The events in order of their sequences.
    pub fn iter_mut(&mut self) -> SlotsMut<'_, E> {
        self.slots_mut()
    }

    /// Lets consumers read all events; returns their sequences.
    #[inline(always)]
    pub fn publish(mut self) -> Range<u64> {
        let published = self.claimed.clone();
        // Emptied first: what is published must not be given up, even if a waker panics.
        self.claimed.start = published.end;
        self.producer.publish_claimed(published.clone());
        published
    }

    /// Lets consumers read the first `count` events, at most all, and gives up the rest.
    pub fn publish_prefix(mut self, count: usize) -> Range<u64> {
        let published = self.claimed.start..self.claimed.start + count.min(self.len()) as u64;
        if !published.is_empty() {
            self.claimed.start = published.end;
            self.producer.publish_claimed(published.clone());
        }
        published
    }

    /// Gives the slots up. The same as dropping the claim.
    pub fn abort(self) {}
}

impl<'c, E, P: ProducerKind, W: WaitStrategy> IntoIterator for &'c mut ClaimBatch<'_, E, P, W> {
    type Item = &'c mut E;
    type IntoIter = SlotsMut<'c, E>;

    fn into_iter(self) -> SlotsMut<'c, E> {
        self.slots_mut()
    }
}

impl<E, P: ProducerKind, W: WaitStrategy> Drop for ClaimBatch<'_, E, P, W> {
    #[inline]
    fn drop(&mut self) {
        if !self.claimed.is_empty() {
            self.producer.skip_claimed(self.claimed.clone());
        }
    }
}

/// The events of claimed slots, in order of their sequences.
pub struct SlotsMut<'s, E> {
    front: slice::IterMut<'s, E>,
    back: slice::IterMut<'s, E>,
}

impl<'s, E> Iterator for SlotsMut<'s, E> {
    type Item = &'s mut E;

    #[inline]
    fn next(&mut self) -> Option<&'s mut E> {
        self.front.next().or_else(|| self.back.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.front.len() + self.back.len();
        (left, Some(left))
    }

    #[inline]
    fn fold<B, F: FnMut(B, &'s mut E) -> B>(self, init: B, mut f: F) -> B {
        let init = self.front.fold(init, &mut f);
        self.back.fold(init, f)
    }
}

impl<E> ExactSizeIterator for SlotsMut<'_, E> {}

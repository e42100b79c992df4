//! The storage of a ring: a power of two of events, side by side, made once.
//!
//! Invariants, by letter, for the unsafe code of this crate that touches events:
//! - (A) `first` points at `mask + 1` initialised events in one allocation, from `new` to `drop`.
//! - (B) A slot is written only between its claim and its publication, by the one producer whose
//!   claim it is, or by the one exclusive consumer whose turn it is. `RingBuffer` and the graph
//!   uphold this.
//! - (C) A slot is read only by consumers that were let past its publication, and a producer claims
//!   it again only after all of them have released it. `Gate` and `Room` uphold this.

#![allow(unsafe_code, reason = "slots are shared between threads by protocol, not by borrow")]

use std::ops::Range;
use std::ptr::{self, NonNull};

use super::error::BuildError;

pub(crate) struct Slots<E> {
    first: NonNull<E>,
    mask: u64,
}

// SAFETY: (A) the events are owned, so they move with the storage; `E: Send` lets them.
unsafe impl<E: Send> Send for Slots<E> {}
// SAFETY: (B), (C) sharing the storage gives no event by itself. `&mut E` goes to one thread at a
// time, for which `E: Send` suffices; `&E` goes to several only where `E: Sync` was asked for.
unsafe impl<E: Send> Sync for Slots<E> {}

impl<E> Slots<E> {
    /// Makes `capacity` events, a power of two, in order.
    pub(crate) fn new(capacity: usize, mut factory: impl FnMut() -> E) -> Result<Self, BuildError> {
        debug_assert!(capacity.is_power_of_two());
        // A vector drops what it holds if the factory panics half-way.
        let mut events = Vec::new();
        events
            .try_reserve_exact(capacity)
            .map_err(|_| BuildError::OutOfMemory { slots: capacity, event_bytes: size_of::<E>() })?;
        events.extend(std::iter::repeat_with(&mut factory).take(capacity));
        let events = Box::into_raw(events.into_boxed_slice());
        let first = NonNull::new(events.cast::<E>()).expect("a box is never null");
        Ok(Self { first, mask: capacity as u64 - 1 })
    }

    #[inline]
    pub(crate) fn capacity(&self) -> u64 {
        self.mask + 1
    }

    /// The event of `sequence`, as a pointer: valid by (A), to be used only under (B) or (C).
    #[inline]
    pub(crate) fn slot(&self, sequence: u64) -> NonNull<E> {
        let index = (sequence & self.mask) as usize;
        // SAFETY: (A) the mask keeps the index inside the allocation.
        unsafe { self.first.add(index) }
    }

    /// How many slots ahead of a claim a producer asks for the line: two lines, which is soon enough
    /// and not so far that consumers, whose CPUs read ahead too, would take it away again.
    #[inline]
    pub(crate) fn prefetch_distance(&self) -> u64 {
        const LINES: usize = 2 * 64;
        (LINES / size_of::<E>().max(1)).clamp(1, 16) as u64
    }

    /// The longest part of `sequences`, from its start, that lies side by side in memory.
    #[inline]
    pub(crate) fn contiguous(&self, sequences: &Range<u64>) -> u64 {
        let to_the_edge = self.capacity() - (sequences.start & self.mask);
        to_the_edge.min(sequences.end - sequences.start)
    }
}

impl<E> Drop for Slots<E> {
    fn drop(&mut self) {
        let events = ptr::slice_from_raw_parts_mut(self.first.as_ptr(), self.capacity() as usize);
        // SAFETY: (A) this is the allocation of `new`, and nobody else refers to it any more.
        drop(unsafe { Box::from_raw(events) });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::Slots;

    struct Counted(Rc<Cell<usize>>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn every_event_is_dropped_once() {
        let dropped = Rc::new(Cell::new(0));
        drop(Slots::new(8, || Counted(Rc::clone(&dropped))));
        assert_eq!(dropped.get(), 8);
    }

    #[test]
    fn a_factory_that_panics_half_way_leaks_nothing() {
        let dropped = Rc::new(Cell::new(0));
        let mut made = 0;
        let result = catch_unwind(AssertUnwindSafe(|| {
            Slots::new(8, || {
                made += 1;
                assert!(made < 5, "the factory gives up");
                Counted(Rc::clone(&dropped))
            })
        }));
        assert!(result.is_err());
        assert_eq!(dropped.get(), 4);
    }

    #[test]
    fn events_without_size_and_a_single_slot_work() {
        let slots = Slots::new(1, || ()).expect("a ring of one slot can be made");
        assert_eq!((slots.capacity(), slots.contiguous(&(7..8))), (1, 1));
        assert_eq!(slots.slot(0), slots.slot(u64::MAX));
    }

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        assert!(Slots::new(1 << 30, || [0_u64; 1 << 30]).is_err());
    }
}

//! The storage of a ring: a power of two of events, side by side, made once.
//!
//! Invariants, by letter, for the unsafe code of this crate that touches events:
//! - (A) `first` points at `mask + 1` initialised events in one block, from `new` to `drop`.
//! - (B) A slot is written only between its claim and its publication, by the one producer whose
//!   claim it is, or by the one exclusive consumer whose turn it is. `RingBuffer` and the graph
//!   uphold this.
//! - (C) A slot is read only by consumers that were let past its publication, and a producer claims
//!   it again only after all of them have released it. `Gate` and `Room` uphold this.

#![allow(unsafe_code, reason = "slots are shared between threads by protocol, not by borrow")]

use std::alloc::Layout;
use std::mem;
use std::ops::Range;
use std::ptr::{self, NonNull};

use super::error::BuildError;
use crate::sys::memory::{Block, MemoryConfig, MemoryError};

pub(crate) struct Slots<E> {
    first: NonNull<E>,
    mask: u64,
    /// What the events are in. Dropped after them.
    block: Block,
}

/// The events that a factory has made so far: dropped if it panics half-way.
struct Made<E> {
    first: NonNull<E>,
    count: usize,
}

impl<E> Made<E> {
    /// Makes the others, up to `capacity`, and leaves all of them to the caller. The block must be large
    /// enough for them. Apart from the caller, whose stack need not hold an event then.
    #[inline(never)]
    fn fill(mut self, capacity: usize, factory: &mut impl FnMut() -> E) {
        while self.count < capacity {
            // SAFETY: the caller's block has room for `capacity` events, and `count` is below.
            let slot = unsafe { self.first.add(self.count) };
            // SAFETY: the slot is inside the block, aligned by its layout, and nobody else's yet.
            unsafe { slot.write(factory()) };
            self.count += 1;
        }
        mem::forget(self);
    }
}

/// Events begin at a pair of cache lines, so that those of a line's size take one line each.
const ALIGN: usize = 128;

// SAFETY: (A) the events are owned, so they move with the storage; `E: Send` lets them.
unsafe impl<E: Send> Send for Slots<E> {}
// SAFETY: (B), (C) sharing the storage gives no event by itself. `&mut E` goes to one thread at a
// time, for which `E: Send` suffices; `&E` goes to several only where `E: Sync` was asked for.
unsafe impl<E: Send> Sync for Slots<E> {}

impl<E> Slots<E> {
    /// Makes `capacity` events, a power of two, in order.
    pub(crate) fn new(
        capacity: usize,
        mut factory: impl FnMut() -> E,
        memory: &MemoryConfig,
    ) -> Result<Self, BuildError> {
        debug_assert!(capacity.is_power_of_two());
        let event_bytes = size_of::<E>();
        let refused = |source| BuildError::Memory { slots: capacity, event_bytes, source };
        let too_much = |_| refused(MemoryError::OutOfMemory { bytes: u64::MAX });
        let layout =
            Layout::array::<E>(capacity).and_then(|layout| layout.align_to(ALIGN)).map_err(too_much)?;
        let block = Block::new(layout, memory).map_err(refused)?;
        let first = block.start().cast::<E>();
        Made { first, count: 0 }.fill(capacity, &mut factory);
        Ok(Self { first, mask: capacity as u64 - 1, block })
    }

    /// The memory that the slots are in.
    pub(crate) fn block(&self) -> &Block {
        &self.block
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
        drop(Made { first: self.first, count: self.capacity() as usize });
    }
}

impl<E> Drop for Made<E> {
    fn drop(&mut self) {
        let events = ptr::slice_from_raw_parts_mut(self.first.as_ptr(), self.count);
        // SAFETY: (A) so many events were made, and nobody else refers to them any more.
        unsafe { ptr::drop_in_place(events) };
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::{MemoryConfig, Slots};

    struct Counted(Rc<Cell<usize>>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn every_event_is_dropped_once() {
        let dropped = Rc::new(Cell::new(0));
        drop(Slots::new(8, || Counted(Rc::clone(&dropped)), &MemoryConfig::new()));
        assert_eq!(dropped.get(), 8);
    }

    #[test]
    fn a_factory_that_panics_half_way_leaks_nothing() {
        let dropped = Rc::new(Cell::new(0));
        let mut made = 0;
        let result = catch_unwind(AssertUnwindSafe(|| {
            Slots::new(
                8,
                || {
                    made += 1;
                    assert!(made < 5, "the factory gives up");
                    Counted(Rc::clone(&dropped))
                },
                &MemoryConfig::new(),
            )
        }));
        assert!(result.is_err());
        assert_eq!(dropped.get(), 4);
    }

    #[test]
    fn events_without_size_and_a_single_slot_work() {
        let slots = Slots::new(1, || (), &MemoryConfig::new()).expect("a ring of one slot can be made");
        assert_eq!((slots.capacity(), slots.contiguous(&(7..8))), (1, 1));
        assert_eq!(slots.slot(0), slots.slot(u64::MAX));
    }

    #[test]
    fn memory_that_is_not_there_is_an_error() {
        assert!(Slots::new(1 << 30, || [0_u64; 1 << 30], &MemoryConfig::new()).is_err());
    }
}

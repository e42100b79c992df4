//! A block of memory for the slots of a ring.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) `Heap` means that `start` came from the global allocator with `layout`, whose size is not 0, and
//!   was not given back yet.

#![allow(unsafe_code, reason = "memory is taken and given back here")]

use std::alloc::{Layout, alloc, dealloc};
use std::io;
use std::ptr::{self, NonNull};

use super::mapping::Mapping;
use super::{MemoryConfig, MemoryError};
use crate::base::cpu::NumaNodeId;

/// Uninitialised memory of one layout, until it is dropped.
pub(crate) struct Block {
    start: NonNull<u8>,
    layout: Layout,
    home: Home,
    compromises: Vec<String>,
}

enum Home {
    /// A block of no bytes.
    Nowhere,
    Heap,
    Mapped(Mapping),
}

// SAFETY: a block owns its memory and refers to no thread; by itself it gives no access to it.
unsafe impl Send for Block {}
// SAFETY: as above; what is shared is an address.
unsafe impl Sync for Block {}

impl Block {
    /// A block where `config` wants it: from the global allocator, unless it wants anything special.
    pub(crate) fn new(layout: Layout, config: &MemoryConfig) -> Result<Self, MemoryError> {
        let mut compromises = Vec::new();
        let (start, home) = if layout.size() == 0 {
            let nowhere = ptr::without_provenance_mut(layout.align());
            (NonNull::new(nowhere).expect("no alignment is 0"), Home::Nowhere)
        } else if config.is_default() {
            // SAFETY: the layout's size is not 0.
            let start = unsafe { alloc(layout) };
            let bytes = layout.size() as u64;
            (NonNull::new(start).ok_or(MemoryError::OutOfMemory { bytes })?, Home::Heap)
        } else {
            let mapping = Mapping::new(layout, config, &mut compromises)?;
            (mapping.start(), Home::Mapped(mapping))
        };
        Ok(Self { start, layout, home, compromises })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn bytes(&self) -> usize {
        self.layout.size()
    }

    /// What was preferred and could not be had, with the reasons.
    pub(crate) fn compromises(&self) -> &[String] {
        &self.compromises
    }

    /// Moves the pages to `node`, as far as that has room.
    ///
    /// Errors: the system's; `Unsupported` outside Linux. A block from the heap stays where it is.
    pub(crate) fn move_to(&self, node: NumaNodeId) -> io::Result<()> {
        match &self.home {
            Home::Mapped(mapping) => mapping.move_to(node),
            Home::Heap | Home::Nowhere => Ok(()),
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Home::Heap = self.home {
            // SAFETY: (A).
            unsafe { dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}

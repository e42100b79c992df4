//! The face of `mapping.rs` and `pages.rs` on systems other than Linux.

use std::alloc::Layout;
use std::convert::Infallible;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use super::report::Extent;
use super::{MemoryConfig, MemoryError};
use crate::base::cpu::NumaNodeId;

/// There is none.
pub(super) struct Mapping(Infallible);

impl Mapping {
    pub(super) fn new(
        _layout: Layout,
        _config: &MemoryConfig,
        _compromises: &mut Vec<String>,
    ) -> Result<Self, MemoryError> {
        Err(MemoryError::System { call: "mmap", source: unsupported() })
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        match self.0 {}
    }

    pub(super) fn move_to(&self, _node: NumaNodeId) -> io::Result<()> {
        match self.0 {}
    }
}

pub(super) fn extent(_ranges: &[Range<usize>]) -> io::Result<Extent> {
    Err(unsupported())
}

pub(super) fn move_to(_ranges: &[Range<usize>], _node: NumaNodeId) -> io::Result<()> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "memory is placed on Linux only")
}

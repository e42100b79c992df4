//! The number of a logical CPU.

use std::fmt;

/// A logical CPU as the operating system numbers it, from 0.
///
/// Shape: any `u32`; whether the machine has such a CPU shows when a thread is pinned to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub u32);

impl fmt::Display for CpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu{}", self.0)
    }
}

//! Numbers of CPUs and of the memories beside them.

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

/// A NUMA node as the operating system numbers it, from 0: some memory, and the CPUs next to it.
///
/// Shape: any `u32`. A node may have no CPUs, or no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumaNodeId(pub u32);

impl fmt::Display for NumaNodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node{}", self.0)
    }
}

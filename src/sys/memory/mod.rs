//! Where the memory of a ring lies: on which NUMA node, in pages of which size.
//!
//! [`MemoryConfig`] says what is wanted, `block.rs` gets it from the system, and [`MemoryReport`] tells what
//! was obtained, by asking the system again.

mod block;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod mapping;
#[cfg(target_os = "linux")]
mod pages;
mod report;

use std::fmt;
use std::io;
use std::ops::Range;

use thiserror::Error;

pub(crate) use block::Block;
#[cfg(not(target_os = "linux"))]
use elsewhere as mapping;
#[cfg(not(target_os = "linux"))]
use elsewhere as pages;
pub use report::{Extent, MemoryReport};

use super::topology::Bytes;
use crate::base::cpu::NumaNodeId;

/// Where the memory of a ring is to lie. By default, where the system puts it: on the node of the thread
/// that builds the ring.
///
/// Whatever is asked for, the ring's slots are written once while it is built, so that no page is missing
/// later.
///
/// ```
/// use badbatch::DisruptorBuilder;
/// use badbatch::sys::memory::{Demand, HugePageSize, MemoryConfig};
///
/// let memory = MemoryConfig::new().huge_pages(HugePageSize::TwoMiB, Demand::Prefer);
/// # if !cfg!(target_os = "linux") { return Ok(()); }
/// let disruptor = DisruptorBuilder::new().buffer_size(1 << 16).memory(memory).build::<u64>()?;
/// print!("{}", disruptor.memory_report()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it does nothing until it is given to a builder"]
pub struct MemoryConfig {
    pub(crate) nodes: Nodes,
    pages: Pages,
    is_locked: bool,
}

/// The nodes on which the memory is to lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Nodes {
    #[default]
    Anywhere,
    On(NumaNodeId, Demand),
    /// Page by page in turn; over all nodes with memory if there are none in the list.
    Interleaved(Vec<NumaNodeId>),
    NearFirstConsumer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pages {
    #[default]
    Ordinary,
    Transparent,
    Huge(HugePageSize, Demand),
}

/// What happens if a wish cannot be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The ring is not built.
    Require,
    /// The ring is built without, and its memory report says so.
    Prefer,
}

/// The size of a huge page that the operator has reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePageSize {
    /// 2 MiB: on most machines the ordinary huge page.
    TwoMiB,
    /// 1 GiB.
    OneGiB,
}

/// Why the memory cannot be had as it is required. Nothing is kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The allocator refused.
    #[error("no memory for {}", Bytes(*bytes))]
    OutOfMemory {
        /// The bytes that were asked for.
        bytes: u64,
    },
    /// The machine has no such node, or the node has no memory.
    #[error("there is no memory on {node}; there is on {}", Listed(nodes))]
    NoSuchNode {
        /// The node.
        node: NumaNodeId,
        /// Those with memory.
        nodes: Vec<NumaNodeId>,
    },
    /// The node has too little left.
    #[error("{node} has {} free of the {} that the ring needs", Bytes(*free), Bytes(*needed))]
    NodeFull {
        /// The node.
        node: NumaNodeId,
        /// The bytes that the ring needs.
        needed: u64,
        /// The bytes that are free.
        free: u64,
    },
    /// Not enough huge pages are reserved and free.
    #[error(
        "of huge pages of {} the ring needs {needed} and {free} are free; reserve some, as in /proc/sys/vm/nr_hugepages",
        Bytes(*size)
    )]
    NoHugePages {
        /// The size of a page in bytes.
        size: u64,
        /// The number of pages that the ring needs.
        needed: u64,
        /// The number that is free, on the nodes that were asked for.
        free: u64,
    },
    /// The system does not lock so much memory.
    #[error("{} cannot be locked: {source}; raise RLIMIT_MEMLOCK, as by `ulimit -l`", Bytes(*bytes))]
    Locked {
        /// The bytes that were to be locked.
        bytes: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// The system refused, or cannot do it at all.
    #[error("{call} failed: {source}")]
    System {
        /// What was called.
        call: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl MemoryConfig {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// All on one node. If its free memory does not suffice, a required node is an error, and a preferred
    /// one gets as much as it can hold.
    pub fn on_node(mut self, node: NumaNodeId, demand: Demand) -> Self {
        self.nodes = Nodes::On(node, demand);
        self
    }

    /// Page by page in turn on these nodes; on all that have memory if there are none in the list.
    pub fn interleaved(mut self, nodes: impl IntoIterator<Item = NumaNodeId>) -> Self {
        self.nodes = Nodes::Interleaved(nodes.into_iter().collect());
        self
    }

    /// On the node of the first consumer, if that is bound to CPUs of one node: moved there when the
    /// disruptor starts. The memory report tells whether it worked.
    pub fn near_first_consumer(mut self) -> Self {
        self.nodes = Nodes::NearFirstConsumer;
        self
    }

    /// In huge pages, if the kernel has some at hand: `madvise(MADV_HUGEPAGE)`. The memory report tells how
    /// many it had.
    pub fn transparent_huge_pages(mut self) -> Self {
        self.pages = Pages::Transparent;
        self
    }

    /// In huge pages that the operator has reserved: `mmap(MAP_HUGETLB)`.
    pub fn huge_pages(mut self, size: HugePageSize, demand: Demand) -> Self {
        self.pages = Pages::Huge(size, demand);
        self
    }

    /// Never swapped out: `mlock`.
    pub fn locked(mut self) -> Self {
        self.is_locked = true;
        self
    }

    /// Whether the system is to do anything but give memory.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the memory at these addresses lies.
///
/// Errors: the system's; `Unsupported` outside Linux.
pub(crate) fn extent(ranges: &[Range<usize>]) -> io::Result<Extent> {
    pages::extent(ranges)
}

/// Moves the pages at these addresses to `node`, as far as that has room.
///
/// Errors: the system's; `Unsupported` outside Linux.
pub(crate) fn move_to(ranges: &[Range<usize>], node: NumaNodeId) -> io::Result<()> {
    pages::move_to(ranges, node)
}

impl HugePageSize {
    /// In bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::TwoMiB => 2 << 20,
            Self::OneGiB => 1 << 30,
        }
    }
}

/// Nodes with commas in between.
struct Listed<'n>(&'n [NumaNodeId]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(", "))
    }
}

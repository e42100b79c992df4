//! Memory straight from the kernel, with a policy for its pages: `mmap(2)`, `mbind(2)`, `madvise(2)`.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) `base` and `len` are what one successful `mmap` of anonymous memory returned, and nothing has
//!   been unmapped yet. Nobody else knows of the mapping before `new` returns.
//! - (B) A mask of nodes is a local vector of as many bits as the kernel is told, which outlives the call.

#![allow(unsafe_code, reason = "the system calls have no safe wrappers in std")]

use std::alloc::Layout;
use std::io;
use std::ptr::{self, NonNull};

use super::{Demand, HugePageSize, MemoryConfig, MemoryError, Nodes, Pages};
use crate::base::cpu::NumaNodeId;
use crate::sys::topology::Topology;

pub(super) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    start: NonNull<u8>,
}

/// How pages choose their node: the mode of `mbind`.
#[derive(Clone, Copy)]
struct Policy<'n> {
    mode: libc::c_int,
    nodes: &'n [NumaNodeId],
    /// Whether a node must have room for everything.
    is_strict: bool,
}

/// `MPOL_MF_MOVE` of `linux/mempolicy.h`: pages that are elsewhere are to be moved.
const MOVE: libc::c_uint = 1 << 1;

/// Transparent huge pages begin at multiples of this.
const TRANSPARENT_ALIGN: usize = 2 << 20;

impl Mapping {
    /// Every page is there when this returns, where the kernel can be asked for that: since Linux 5.14.
    pub(super) fn new(
        layout: Layout,
        config: &MemoryConfig,
        compromises: &mut Vec<String>,
    ) -> Result<Self, MemoryError> {
        let topology = Topology::detect().map_err(|source| failed("sched_getaffinity", source))?;
        let nodes = checked_nodes(&config.nodes, &topology)?;
        let (mode, is_strict) = match &config.nodes {
            Nodes::On(_, Demand::Require) => (libc::MPOL_BIND, true),
            Nodes::On(_, Demand::Prefer) => (libc::MPOL_PREFERRED, false),
            Nodes::Interleaved(_) => (libc::MPOL_INTERLEAVE, true),
            Nodes::Anywhere | Nodes::NearFirstConsumer => (libc::MPOL_DEFAULT, false),
        };
        let policy = Policy { mode, nodes: &nodes, is_strict };
        let mapping = Self::in_pages(layout, config.pages, policy, &topology, compromises)?;
        if config.is_locked {
            mapping.lock()?;
        }
        Ok(mapping)
    }

    fn in_pages(
        layout: Layout,
        pages: Pages,
        policy: Policy<'_>,
        topology: &Topology,
        compromises: &mut Vec<String>,
    ) -> Result<Self, MemoryError> {
        if let Pages::Huge(size, demand) = pages {
            match Self::in_huge_pages(layout, size, policy, topology) {
                Err(error) if demand == Demand::Prefer => compromises.push(error.to_string()),
                result => return result,
            }
        }
        check_room(layout, policy, topology)?;
        let is_transparent = pages == Pages::Transparent;
        let align = if is_transparent { layout.align().max(TRANSPARENT_ALIGN) } else { layout.align() };
        let mapping = Self::map(layout.size(), align, 0)?;
        if is_transparent {
            // SAFETY: (A).
            let result =
                unsafe { libc::madvise(mapping.base.as_ptr().cast(), mapping.len, libc::MADV_HUGEPAGE) };
            if result != 0 {
                let error = io::Error::last_os_error();
                compromises
                    .push(format!("no transparent huge pages: madvise(MADV_HUGEPAGE) failed: {error}"));
            }
        }
        mapping.settle(policy, topology, compromises)?;
        Ok(mapping)
    }

    fn in_huge_pages(
        layout: Layout,
        size: HugePageSize,
        policy: Policy<'_>,
        topology: &Topology,
    ) -> Result<Self, MemoryError> {
        let size = size.bytes();
        let needed = (layout.size() as u64).div_ceil(size);
        let is_meant =
            |node: NumaNodeId| policy.nodes.is_empty() || !policy.is_strict || policy.nodes.contains(&node);
        let nodes = topology.nodes().filter(|node| is_meant(node.id));
        let free: u64 = nodes.map(|node| node.free_huge_pages.get(&size).copied().unwrap_or(0)).sum();
        let none_left = || MemoryError::NoHugePages { size, needed, free };
        if free < needed {
            return Err(none_left());
        }
        let flags = libc::MAP_HUGETLB | (size.ilog2() as libc::c_int) << libc::MAP_HUGE_SHIFT;
        let mapping = Self::map((needed * size) as usize, 1, flags).map_err(|_too_late| none_left())?;
        mapping.settle(policy, topology, &mut Vec::new())?;
        Ok(mapping)
    }

    /// Maps `bytes`, at a multiple of `align`.
    fn map(bytes: usize, align: usize, flags: libc::c_int) -> Result<Self, MemoryError> {
        // The kernel aligns to pages; room for more is needed only beyond.
        let page = page_size();
        let len = bytes.next_multiple_of(page) + if align > page { align } else { 0 };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: without an address of ours, the call touches no memory that exists.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(failed("mmap", io::Error::last_os_error()));
        }
        let base = NonNull::new(base.cast::<u8>()).expect("no mapping begins at 0");
        let padding = base.as_ptr().align_offset(align);
        // SAFETY: (A) the padding is below `align`, and there is as much more room.
        let start = unsafe { base.add(padding) };
        Ok(Self { base, len, start })
    }

    /// Gives the pages their policy, and then has the kernel provide them.
    fn settle(
        &self,
        policy: Policy<'_>,
        topology: &Topology,
        compromises: &mut Vec<String>,
    ) -> Result<(), MemoryError> {
        // On a machine with one node there is nothing to choose, and containers tend to forbid the call.
        if !policy.nodes.is_empty()
            && topology.nodes().count() > 1
            && let Err(source) = self.bind(policy.mode, policy.nodes, 0)
        {
            if policy.is_strict {
                return Err(failed("mbind", source));
            }
            compromises.push(format!("no choice of nodes: mbind failed: {source}"));
        }
        // SAFETY: (A).
        let result = unsafe { libc::madvise(self.base.as_ptr().cast(), self.len, libc::MADV_POPULATE_WRITE) };
        let error = io::Error::last_os_error();
        // An older kernel does not know it; the pages then come as the factory fills them.
        if result == 0 || error.raw_os_error() == Some(libc::EINVAL) {
            return Ok(());
        }
        Err(failed("madvise(MADV_POPULATE_WRITE)", error))
    }

    fn bind(&self, mode: libc::c_int, nodes: &[NumaNodeId], flags: libc::c_uint) -> io::Result<()> {
        let highest = nodes.iter().map(|node| node.0).max().unwrap_or(0) as usize;
        let mut mask = vec![0_u64; highest / 64 + 1];
        nodes.iter().for_each(|node| mask[node.0 as usize / 64] |= 1 << (node.0 % 64));
        // The kernel takes one off the number of bits.
        let bits = 64 * mask.len() + 1;
        // SAFETY: (A), (B); pages that move keep their contents.
        let result = unsafe {
            libc::syscall(libc::SYS_mbind, self.base.as_ptr(), self.len, mode, mask.as_ptr(), bits, flags)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn lock(&self) -> Result<(), MemoryError> {
        // SAFETY: (A).
        let result = unsafe { libc::mlock(self.base.as_ptr().cast(), self.len) };
        if result == 0 {
            return Ok(());
        }
        Err(MemoryError::Locked { bytes: self.len as u64, source: io::Error::last_os_error() })
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn move_to(&self, node: NumaNodeId) -> io::Result<()> {
        self.bind(libc::MPOL_PREFERRED, &[node], MOVE)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: (A); whoever got the memory has given it back.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "a mapping can be unmapped");
    }
}

/// The nodes that the memory may lie on; none if it is all the same.
fn checked_nodes(nodes: &Nodes, topology: &Topology) -> Result<Vec<NumaNodeId>, MemoryError> {
    // A node whose memory is unknown may have some.
    let with_memory = || topology.nodes().filter(|node| node.memory != Some(0)).map(|node| node.id);
    let wanted = match nodes {
        Nodes::Anywhere | Nodes::NearFirstConsumer => return Ok(Vec::new()),
        Nodes::On(node, _) => vec![*node],
        Nodes::Interleaved(nodes) if nodes.is_empty() => with_memory().collect(),
        Nodes::Interleaved(nodes) => nodes.clone(),
    };
    match wanted.iter().find(|&&node| with_memory().all(|other| other != node)) {
        Some(&node) => Err(MemoryError::NoSuchNode { node, nodes: with_memory().collect() }),
        None => Ok(wanted),
    }
}

/// Whether a strict policy's nodes have room, as of when the topology was read. A node that is found to be
/// full only when the pages are needed would have the kernel kill the program.
fn check_room(layout: Layout, policy: Policy<'_>, topology: &Topology) -> Result<(), MemoryError> {
    if !policy.is_strict {
        return Ok(());
    }
    let needed = (layout.size() as u64).div_ceil(policy.nodes.len().max(1) as u64);
    let nodes = policy.nodes.iter().filter_map(|&node| topology.node(node));
    let mut full = nodes.filter_map(|node| Some((node.id, node.free?))).filter(|&(_, free)| free < needed);
    match full.next() {
        Some((node, free)) => Err(MemoryError::NodeFull { node, needed, free }),
        None => Ok(()),
    }
}

/// The size of an ordinary page in bytes.
pub(super) fn page_size() -> usize {
    // SAFETY: the call takes a number and touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
}

fn failed(call: &'static str, source: io::Error) -> MemoryError {
    MemoryError::System { call, source }
}

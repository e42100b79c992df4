//! Binding threads to CPUs.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The kernel reads or writes a mask of as many bytes as it is told, in a local vector of so many
//!   bytes that outlives the call.

#![allow(unsafe_code, reason = "sched_setaffinity has no safe wrapper in std")]

use std::io;

use thiserror::Error;

use super::topology::Topology;
use crate::base::cpu::{CpuId, NumaNodeId};
use crate::base::cpu_set::CpuSet;

/// Where a thread is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pin {
    /// On this CPU.
    Cpu(CpuId),
    /// On any of these.
    Cpus(CpuSet),
    /// On any CPU of this node.
    Node(NumaNodeId),
    /// On another core that shares the last level of cache with this CPU.
    SameCacheAs(CpuId),
    /// On any core but this CPU's: not on it, nor on one that shares its core.
    OtherCoreThan(CpuId),
}

/// Why a thread cannot be bound as asked. It runs where it ran.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PinError {
    /// The set of CPUs is empty.
    #[error("the set of CPUs is empty; name at least one")]
    Empty,
    /// The machine has no such CPU, or it is switched off.
    #[error("{cpu} is not online; CPUs {online} are")]
    Offline {
        /// The CPU.
        cpu: CpuId,
        /// Those that run.
        online: CpuSet,
    },
    /// The control group of the program, such as a container's, leaves the CPU out.
    #[error("{cpu} is not among the CPUs {allowed} that this program's control group allows")]
    NotAllowed {
        /// The CPU.
        cpu: CpuId,
        /// Those that are allowed.
        allowed: CpuSet,
    },
    /// The machine has no such node.
    #[error("there is no {node}; there are {}", nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NoSuchNode {
        /// The node.
        node: NumaNodeId,
        /// Those that there are.
        nodes: Vec<NumaNodeId>,
    },
    /// The description fits CPUs, but none that the program may use; or it fits none.
    #[error("no CPU is {what} among the CPUs {allowed} that this program may use")]
    NoneLeft {
        /// What was asked for.
        what: String,
        /// The CPUs that are allowed.
        allowed: CpuSet,
    },
    /// The system refused, or cannot do it at all.
    #[error("the system does not bind the thread to CPUs {cpus}: {source}")]
    System {
        /// The CPUs that the thread was to be bound to; empty if it did not get so far.
        cpus: CpuSet,
        /// The system's reason.
        source: io::Error,
    },
}

impl Pin {
    /// The CPUs that are meant, of those that this program may use.
    ///
    /// A single CPU, and each of a set, must be allowed; a description takes what is.
    pub fn resolve(&self, topology: &Topology) -> Result<CpuSet, PinError> {
        let (what, cpus) = match self {
            Self::Cpu(cpu) => return check(&(*cpu).into(), &[*cpu], topology),
            Self::Cpus(cpus) => return check(cpus, &cpus.iter().collect::<Vec<_>>(), topology),
            Self::Node(id) => {
                let nodes = || topology.nodes().map(|node| node.id).collect();
                let node =
                    topology.node(*id).ok_or_else(|| PinError::NoSuchNode { node: *id, nodes: nodes() })?;
                (format!("of {id}"), node.cpus.clone())
            }
            Self::SameCacheAs(cpu) => {
                let found = online(*cpu, topology)?;
                (
                    format!("on another core with the last-level cache of {cpu}"),
                    found.near.difference(&found.core),
                )
            }
            Self::OtherCoreThan(cpu) => {
                let core = &online(*cpu, topology)?.core;
                (format!("on another core than {cpu}"), topology.online().difference(core))
            }
        };
        // What whoever started the program meant for it, before what the kernel would permit.
        let candidates = [topology.usable(), topology.allowed()].map(|limit| cpus.intersection(limit));
        let found = candidates.into_iter().find(|cpus| !cpus.is_empty());
        found.ok_or_else(|| PinError::NoneLeft { what, allowed: topology.allowed().clone() })
    }

    /// Binds the calling thread, and says to which CPUs.
    pub fn pin_current_thread(&self) -> Result<CpuSet, PinError> {
        let topology =
            Topology::detect().map_err(|source| PinError::System { cpus: CpuSet::new(), source })?;
        let cpus = self.resolve(&topology)?;
        pin_current_thread(&cpus).map_err(|source| PinError::System { cpus: cpus.clone(), source })?;
        Ok(cpus)
    }
}

impl From<CpuId> for Pin {
    fn from(cpu: CpuId) -> Self {
        Self::Cpu(cpu)
    }
}

impl From<CpuSet> for Pin {
    fn from(cpus: CpuSet) -> Self {
        Self::Cpus(cpus)
    }
}

impl From<NumaNodeId> for Pin {
    fn from(node: NumaNodeId) -> Self {
        Self::Node(node)
    }
}

fn online(cpu: CpuId, topology: &Topology) -> Result<&super::topology::Cpu, PinError> {
    topology.cpu(cpu).ok_or_else(|| PinError::Offline { cpu, online: topology.online().clone() })
}

/// The set, if the program may use all of it.
fn check(set: &CpuSet, cpus: &[CpuId], topology: &Topology) -> Result<CpuSet, PinError> {
    for &cpu in cpus {
        online(cpu, topology)?;
        if !topology.allowed().contains(cpu) {
            return Err(PinError::NotAllowed { cpu, allowed: topology.allowed().clone() });
        }
    }
    if set.is_empty() { Err(PinError::Empty) } else { Ok(set.clone()) }
}

/// Binds the calling thread to these CPUs.
///
/// Errors: the system's, if it lets the thread use none of them; `Unsupported` outside Linux.
#[cfg(target_os = "linux")]
pub fn pin_current_thread(cpus: &CpuSet) -> io::Result<()> {
    let highest = cpus.iter().last().map_or(0, |cpu| cpu.0 as usize);
    let mut mask = vec![0_u64; highest / 64 + 1];
    cpus.iter().for_each(|cpu| mask[cpu.0 as usize / 64] |= to_kernel(1 << (cpu.0 % 64)));
    // SAFETY: (A); thread 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, 8 * mask.len(), mask.as_ptr().cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The CPUs that the calling thread may run on.
///
/// Errors: the system's; `Unsupported` outside Linux.
pub fn of_current_thread() -> io::Result<CpuSet> {
    of_thread(0)
}

/// The CPUs that the main thread of this program may run on.
pub(super) fn of_process() -> io::Result<CpuSet> {
    of_thread(std::process::id() as i32)
}

/// The CPU that the calling thread is on at this moment.
///
/// Errors: `Unsupported` outside Linux.
#[cfg(target_os = "linux")]
pub fn current_cpu() -> io::Result<CpuId> {
    // SAFETY: the call takes nothing and touches no memory of ours.
    let cpu = unsafe { libc::sched_getcpu() };
    u32::try_from(cpu).map(CpuId).map_err(|_negative| io::Error::last_os_error())
}

#[cfg(target_os = "linux")]
fn of_thread(thread: libc::pid_t) -> io::Result<CpuSet> {
    // The kernel refuses a mask that is shorter than its own, whose length it does not tell.
    let mut words = 16;
    loop {
        let mut mask = vec![0_u64; words];
        // SAFETY: (A).
        let result = unsafe { libc::sched_getaffinity(thread, 8 * words, mask.as_mut_ptr().cast()) };
        if result == 0 {
            return Ok(CpuSet::from_words(mask.into_iter().map(to_kernel).collect()));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) || 64 * words > CpuSet::CPU_MAX.0 as usize {
            return Err(error);
        }
        words *= 2;
    }
}

/// To or from the kernel's masks, which consist of the machine's own words.
#[cfg(target_os = "linux")]
fn to_kernel(word: u64) -> u64 {
    if cfg!(all(target_endian = "big", target_pointer_width = "32")) { word.rotate_left(32) } else { word }
}

/// Binds the calling thread to these CPUs: not supported on this system.
#[cfg(not(target_os = "linux"))]
pub fn pin_current_thread(_cpus: &CpuSet) -> io::Result<()> {
    Err(unsupported())
}

/// The CPU that the calling thread is on: not supported on this system.
#[cfg(not(target_os = "linux"))]
pub fn current_cpu() -> io::Result<CpuId> {
    Err(unsupported())
}

#[cfg(not(target_os = "linux"))]
fn of_thread(_thread: i32) -> io::Result<CpuSet> {
    Err(unsupported())
}

#[cfg(not(target_os = "linux"))]
fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "threads are bound to CPUs on Linux only")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{CpuId, CpuSet, Pin, PinError, current_cpu, of_current_thread, pin_current_thread};

    #[test]
    fn a_bound_thread_runs_where_it_was_bound() {
        let before = of_current_thread().expect("the mask can be read");
        for cpu in before.iter() {
            assert_eq!(Pin::from(cpu).pin_current_thread().expect("the CPU is allowed"), cpu.into());
            assert_eq!(of_current_thread().expect("the mask can be read"), cpu.into());
            assert_eq!(current_cpu().expect("the CPU is known"), cpu);
        }
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error_and_changes_nothing() {
        let before = of_current_thread().expect("the mask can be read");
        for cpu in [CpuId(65_535), CpuId(u32::MAX)] {
            assert!(matches!(Pin::from(cpu).pin_current_thread(), Err(PinError::Offline { .. })));
        }
        assert!(pin_current_thread(&CpuSet::CPU_MAX.into()).is_err());
        assert!(pin_current_thread(&CpuSet::new()).is_err());
        assert_eq!(of_current_thread().expect("the mask can be read"), before);
    }
}

//! What the machine is made of: packages, caches, cores, CPUs, and the memories beside them.
//!
//! Linux describes itself in `/sys/devices/system`; `tree.rs` reads those files and `sysfs.rs` makes sense
//! of them. Odd input never fails: what is missing or contradicts itself is replaced by the plainest
//! machine that agrees with the rest.

mod limits;
mod sysfs;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

pub use limits::Limits;
pub use tree::{Tree, TreeError};

use crate::base::cpu::{CpuId, NumaNodeId};
use crate::base::cpu_set::CpuSet;

/// A machine as a program finds it.
///
/// ```
/// use badbatch::sys::topology::Topology;
///
/// # #[cfg(target_os = "linux")] {
/// let topology = Topology::detect()?;
/// for cpu in topology.usable().iter() {
///     assert!(topology.online().contains(cpu));
/// }
/// print!("{topology}");
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    cpus: BTreeMap<CpuId, Cpu>,
    nodes: BTreeMap<NumaNodeId, NumaNode>,
    caches: Vec<Cache>,
    online: CpuSet,
    isolated: CpuSet,
    allowed: CpuSet,
    usable: CpuSet,
}

/// One online CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cpu {
    /// Its number.
    pub id: CpuId,
    /// The number of its package, or socket.
    pub package: u32,
    /// The CPUs of its core, itself included: more than one with simultaneous multithreading.
    pub core: CpuSet,
    /// The CPUs that share its last level of cache, itself included; those of its package if the machine
    /// does not tell.
    pub near: CpuSet,
    /// The node of the memory next to it.
    pub node: NumaNodeId,
    /// How fast it is beside the others, of which the fastest has 1024: `cpu_capacity`. 1024 if the machine
    /// does not tell.
    pub capacity: u32,
}

/// Some memory, and the CPUs next to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NumaNode {
    /// Its number.
    pub id: NumaNodeId,
    /// Its online CPUs: none, if it has memory only.
    pub cpus: CpuSet,
    /// Its memory in bytes: 0 if it has CPUs only; `None` if the machine does not tell.
    pub memory: Option<u64>,
    /// So much of it was free when the topology was read.
    pub free: Option<u64>,
    /// How far it is to each node, as the firmware says: 10 to itself, 20 for twice as long.
    pub distances: BTreeMap<NumaNodeId, u32>,
    /// By size in bytes, how many huge pages are reserved and not used yet.
    pub free_huge_pages: BTreeMap<u64, u64>,
}

/// A cache of the last level that some CPUs share.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cache {
    /// 3 for an L3.
    pub level: u32,
    /// Its size in bytes, if the machine tells.
    pub bytes: Option<u64>,
    /// The online CPUs that share it.
    pub cpus: CpuSet,
}

impl Topology {
    /// The machine that this program runs on, as it is now.
    ///
    /// Errors: `Unsupported` outside Linux; the system's, if it does not tell which CPUs may be used.
    pub fn detect() -> io::Result<Self> {
        let limits = Limits::detect()?;
        Ok(Self::from_tree(&Tree::load("/sys/devices/system".as_ref()), &limits))
    }

    /// The machine that `tree` describes, to a program with these limits.
    pub fn from_tree(tree: &Tree, limits: &Limits) -> Self {
        sysfs::read(tree, limits)
    }

    /// All CPUs that run, in order.
    pub fn cpus(&self) -> impl Iterator<Item = &Cpu> {
        self.cpus.values()
    }

    /// The CPU of that number, if it is online.
    pub fn cpu(&self, id: CpuId) -> Option<&Cpu> {
        self.cpus.get(&id)
    }

    /// All nodes, in order; at least one.
    pub fn nodes(&self) -> impl Iterator<Item = &NumaNode> {
        self.nodes.values()
    }

    /// The node of that number.
    pub fn node(&self, id: NumaNodeId) -> Option<&NumaNode> {
        self.nodes.get(&id)
    }

    /// The caches of the last level, each once; none if the machine does not tell.
    pub fn caches(&self) -> &[Cache] {
        &self.caches
    }

    /// The CPUs that run. At least one.
    pub fn online(&self) -> &CpuSet {
        &self.online
    }

    /// The online CPUs that the scheduler leaves alone unless a thread is bound to them: `isolcpus`.
    pub fn isolated(&self) -> &CpuSet {
        &self.isolated
    }

    /// The online CPUs that the kernel lets this program's threads be bound to: those of its control group.
    pub fn allowed(&self) -> &CpuSet {
        &self.allowed
    }

    /// The allowed CPUs that whoever started the program meant for it, as by `taskset`. At least one.
    pub fn usable(&self) -> &CpuSet {
        &self.usable
    }

    /// The numbers of all packages, in order.
    pub fn packages(&self) -> Vec<u32> {
        let mut packages: Vec<_> = self.cpus().map(|cpu| cpu.package).collect();
        packages.sort_unstable();
        packages.dedup();
        packages
    }
}

impl fmt::Display for Topology {
    /// One line for the machine, one for each node, and one for each cache.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cores: Vec<_> = self.cpus().filter_map(|cpu| cpu.core.first()).collect();
        cores.dedup();
        cores.sort_unstable();
        cores.dedup();
        let (cpus, packages) = (self.online.len(), self.packages().len());
        write!(
            f,
            "{}, {}, {}, {}",
            count(packages, "package"),
            count(cores.len(), "core"),
            count(cpus, "CPU"),
            count(self.nodes.len(), "node")
        )?;
        writeln!(f, "; usable: {}", self.usable)?;
        if !self.isolated.is_empty() {
            writeln!(f, "isolated: {}", self.isolated)?;
        }
        for node in self.nodes() {
            let NumaNode { id, cpus, memory, free, .. } = node;
            let cpus = if cpus.is_empty() { "no CPUs".to_owned() } else { format!("CPUs {cpus}") };
            let memory = match (memory, free) {
                (Some(0), _) => "no memory".to_owned(),
                (Some(memory), Some(free)) => format!("{} of memory, {} free", Bytes(*memory), Bytes(*free)),
                (Some(memory), None) => format!("{} of memory", Bytes(*memory)),
                (None, _) => "memory unknown".to_owned(),
            };
            let others = node.distances.iter().filter(|(to, _)| *to != id);
            let distances: String = others.map(|(to, distance)| format!(", {distance} to {to}")).collect();
            writeln!(f, "{id}: {cpus}, {memory}{distances}")?;
        }
        for Cache { level, bytes, cpus } in &self.caches {
            let size = bytes.map_or_else(String::new, |bytes| format!(" of {}", Bytes(bytes)));
            writeln!(f, "L{level}{size}: CPUs {cpus}")?;
        }
        Ok(())
    }
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes, in the largest unit that keeps it above 1.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} bytes", self.0);
        }
        let power = (self.0.ilog2() / 10).min(4);
        let amount = self.0 as f64 / (1_u64 << (10 * power)) as f64;
        let digits = if amount.fract() == 0.0 { 0 } else { 1 };
        write!(f, "{amount:.digits$} {}", UNITS[power as usize - 1])
    }
}

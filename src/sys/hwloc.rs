//! The topology as the hwloc library sees it: a second source, for machines whose own files tell less.
//!
//! It tells packages, cores and caches. Nodes and their memory come from the files of Linux: asking this
//! binding (hwloc2 2.2) for nodes panics with libhwloc 2.9, where they have a virtual depth.

use hwloc2::ObjectType;
use thiserror::Error;

use super::topology::{Limits, Topology, Tree};
use crate::base::cpu::CpuId;
use crate::base::cpu_set::CpuSet;

/// Why the library tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HwlocError {
    /// It could not be initialised, or could not look at the machine.
    #[error("hwloc cannot read the topology of this machine")]
    NoTopology,
}

const CACHES: [ObjectType; 5] =
    [ObjectType::L1Cache, ObjectType::L2Cache, ObjectType::L3Cache, ObjectType::L4Cache, ObjectType::L5Cache];

/// The machine that this program runs on, by hwloc.
///
/// Outside Linux, every CPU counts as usable, since no affinity is known there.
pub fn detect() -> Result<Topology, HwlocError> {
    let machine = hwloc2::Topology::new().ok_or(HwlocError::NoTopology)?;
    let mut files = String::new();
    let mut write = |cpus: &[CpuId], file: &str, content: &str| {
        cpus.iter().for_each(|cpu| files.push_str(&format!("cpu/cpu{}/{file} = {content}\n", cpu.0)));
    };
    for (index, cpus) in objects(&machine, &ObjectType::Package) {
        write(&cpus, "topology/physical_package_id", &index.to_string());
    }
    for (_, cpus) in objects(&machine, &ObjectType::Core) {
        write(&cpus, "topology/core_cpus_list", &list(&cpus));
    }
    for (level, kind) in (1..).zip(&CACHES) {
        for object in machine.objects_with_type(kind).unwrap_or_default() {
            let (cpus, folder) = (cpus_of(object), format!("cache/index{level}"));
            write(&cpus, &format!("{folder}/level"), &level.to_string());
            write(&cpus, &format!("{folder}/shared_cpu_list"), &list(&cpus));
            if let Some(cache) = object.cache_attributes() {
                write(&cpus, &format!("{folder}/size"), &format!("{}K", cache.size() / 1024));
            }
        }
    }
    let cpus: Vec<_> = objects(&machine, &ObjectType::PU).flat_map(|(_, cpus)| cpus).collect();
    files.push_str(&format!("cpu/online = {}\n", list(&cpus)));
    let told = Tree::load("/sys/devices/system".as_ref()).to_string();
    let nodes = told.lines().filter(|line| line.starts_with("node/"));
    nodes.for_each(|line| files.extend([line, "\n"]));
    let tree: Tree = files.parse().expect("every line was written as a path and its content");
    Ok(Topology::from_tree(&tree, &Limits::detect().unwrap_or_default()))
}

/// By object of this type, the number that the system has for it, and its CPUs.
fn objects(machine: &hwloc2::Topology, kind: &ObjectType) -> impl Iterator<Item = (u32, Vec<CpuId>)> {
    let objects = machine.objects_with_type(kind).unwrap_or_default();
    objects.into_iter().map(|object| (object.os_index(), cpus_of(object)))
}

fn cpus_of(object: &hwloc2::TopologyObject) -> Vec<CpuId> {
    object.cpuset().into_iter().flatten().map(CpuId).collect()
}

fn list(cpus: &[CpuId]) -> String {
    cpus.iter().copied().collect::<CpuSet>().to_string()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use crate::sys::topology::Topology;

    #[test]
    fn both_sources_agree_about_cpus_cores_and_nodes() {
        let (ours, theirs) =
            (Topology::detect().expect("Linux tells"), super::detect().expect("hwloc tells"));
        assert_eq!((ours.online(), ours.usable()), (theirs.online(), theirs.usable()));
        let nodes = |topology: &Topology| {
            topology.nodes().map(|node| (node.id, node.cpus.clone())).collect::<Vec<_>>()
        };
        assert_eq!(nodes(&ours), nodes(&theirs));
        for (one, other) in ours.cpus().zip(theirs.cpus()) {
            assert_eq!((&one.core, one.node), (&other.core, other.node), "{}", one.id);
        }
    }
}

//! A topology from the files of Linux: `Documentation/admin-guide/cputopology.rst` and
//! `Documentation/ABI/stable/sysfs-devices-node` of the kernel.

use std::collections::BTreeMap;

use super::limits::Limits;
use super::tree::Tree;
use super::{Cache, Cpu, NumaNode, Topology};
use crate::base::cpu::{CpuId, NumaNodeId};
use crate::base::cpu_set::CpuSet;

/// The fastest CPU's `cpu_capacity`, and every CPU's on machines without the file.
const CAPACITY_MAX: u32 = 1024;

pub(super) fn read(tree: &Tree, limits: &Limits) -> Topology {
    let online = online(tree, limits);
    let nodes = nodes(tree, &online);
    let mut caches: Vec<Cache> = Vec::new();
    let mut cpus = BTreeMap::new();
    for id in online.iter() {
        let cache = last_cache(tree, id, &online);
        let near = cache.as_ref().map_or_else(|| package_of(tree, id, &online), |cache| cache.cpus.clone());
        caches.extend(cache.filter(|cache| !caches.contains(cache)));
        let node = nodes.values().find(|node| node.cpus.contains(id)).map(|node| node.id);
        let cpu = Cpu {
            id,
            package: package(tree, id),
            core: core(tree, id, &online),
            near,
            node: node.or_else(|| nodes.keys().next().copied()).unwrap_or(NumaNodeId(0)),
            capacity: tree.number(&format!("cpu/cpu{}/cpu_capacity", id.0)).unwrap_or(CAPACITY_MAX),
        };
        cpus.insert(id, cpu);
    }
    let allowed = or_all(&online, limits.group.as_ref());
    let usable = or_all(&allowed, limits.affinity.as_ref());
    let isolated = tree.list("cpu/isolated").unwrap_or_default().intersection(&online);
    Topology { cpus, nodes, caches, online, isolated, allowed, usable }
}

/// What is in both, or all of `set` if that is nothing.
fn or_all(set: &CpuSet, limit: Option<&CpuSet>) -> CpuSet {
    let both = limit.map(|limit| set.intersection(limit));
    both.filter(|both| !both.is_empty()).unwrap_or_else(|| set.clone())
}

/// The CPUs that run; if no file tells, those that have folders; if none has, those that may be used.
fn online(tree: &Tree, limits: &Limits) -> CpuSet {
    let told = tree.list("cpu/online");
    let folders = || tree.numbers("cpu/cpu", "").into_iter().map(CpuId).collect();
    let permitted = || limits.affinity.clone().or_else(|| limits.group.clone()).unwrap_or_default();
    let candidates = [told.unwrap_or_default(), folders(), permitted(), CpuId(0).into()];
    candidates.into_iter().find(|cpus| !cpus.is_empty()).expect("the last one is not empty")
}

/// The nodes; if no file tells, one with all CPUs. Each CPU is in one node at most.
fn nodes(tree: &Tree, online: &CpuSet) -> BTreeMap<NumaNodeId, NumaNode> {
    // A list of nodes has the form of a list of CPUs.
    let told = tree.list("node/online").unwrap_or_default();
    let ids: Vec<_> = if told.is_empty() {
        tree.numbers("node/node", "").into_iter().map(NumaNodeId).collect()
    } else {
        told.iter().map(|id| NumaNodeId(id.0)).collect()
    };
    if ids.is_empty() {
        let id = NumaNodeId(0);
        let distances = [(id, 10)].into();
        let free_huge_pages = BTreeMap::new();
        let node =
            NumaNode { id, cpus: online.clone(), memory: None, free: None, distances, free_huge_pages };
        return [(id, node)].into();
    }
    let mut left = online.clone();
    let node = |&id: &NumaNodeId| {
        let folder = format!("node/node{}", id.0);
        let cpus = tree.list(&format!("{folder}/cpulist")).unwrap_or_default().intersection(&left);
        left = left.difference(&cpus);
        // The distances to all nodes that are online, in their order.
        let distances = tree.text(&format!("{folder}/distance")).unwrap_or_default();
        let distances = distances.split_ascii_whitespace().map_while(|distance| distance.parse().ok());
        let node = NumaNode {
            id,
            cpus,
            memory: memory(tree, &folder, "MemTotal:"),
            free: memory(tree, &folder, "MemFree:"),
            distances: ids.iter().copied().zip(distances).collect(),
            free_huge_pages: free_huge_pages(tree, &folder),
        };
        (id, node)
    };
    ids.iter().map(node).collect()
}

/// The bytes behind `label` in a node's `meminfo`, whose lines are like `Node 0 MemTotal: 32 kB`.
fn memory(tree: &Tree, folder: &str, label: &str) -> Option<u64> {
    let meminfo = tree.text(&format!("{folder}/meminfo"))?;
    meminfo.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip_while(|word| *word != label).skip(1);
        words.next()?.parse::<u64>().ok()?.checked_mul(1024)
    })
}

fn free_huge_pages(tree: &Tree, folder: &str) -> BTreeMap<u64, u64> {
    let before = format!("{folder}/hugepages/hugepages-");
    let free = |kib: u32| tree.number(&format!("{before}{kib}kB/free_hugepages"));
    let sizes = tree.numbers(&before, "kB").into_iter();
    sizes.filter_map(|kib| Some((u64::from(kib) * 1024, free(kib)?))).collect()
}

/// The package's number; 0 where it is missing or, as on some machines, -1.
fn package(tree: &Tree, cpu: CpuId) -> u32 {
    tree.number(&format!("cpu/cpu{}/topology/physical_package_id", cpu.0)).unwrap_or(0)
}

fn package_of(tree: &Tree, cpu: CpuId, online: &CpuSet) -> CpuSet {
    online.iter().filter(|&other| package(tree, other) == package(tree, cpu)).collect()
}

/// The CPUs of the core; the CPU alone where nothing is told. `core_cpus_list` is the newer name.
fn core(tree: &Tree, cpu: CpuId, online: &CpuSet) -> CpuSet {
    let names = ["core_cpus_list", "thread_siblings_list"];
    let told = names.iter().find_map(|name| tree.list(&format!("cpu/cpu{}/topology/{name}", cpu.0)));
    told.unwrap_or_default().intersection(online).union(&cpu.into())
}

/// The cache of the highest level that holds data.
fn last_cache(tree: &Tree, cpu: CpuId, online: &CpuSet) -> Option<Cache> {
    let before = format!("cpu/cpu{}/cache/index", cpu.0);
    let caches = tree.numbers(&before, "").into_iter().filter_map(|index| {
        let folder = format!("{before}{index}");
        let holds_data = tree.text(&format!("{folder}/type")) != Some("Instruction");
        let level: u32 = tree.number(&format!("{folder}/level")).filter(|_| holds_data)?;
        let cpus = tree.list(&format!("{folder}/shared_cpu_list"))?;
        let size = tree.text(&format!("{folder}/size")).and_then(|size| size.strip_suffix('K'));
        let bytes = size.and_then(|kib| kib.parse::<u64>().ok()?.checked_mul(1024));
        Some(Cache { level, bytes, cpus: cpus.intersection(online).union(&cpu.into()) })
    });
    caches.max_by_key(|cache| cache.level)
}

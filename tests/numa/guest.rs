//! What holds on a machine with two nodes of CPUs and one of memory alone, to be run inside the emulator by
//! `run-in-qemu.sh`, as root. A line for each check; the exit code says whether all hold.

use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;
use std::sync::mpsc;

use badbatch::base::cpu::{CpuId, NumaNodeId};
use badbatch::base::cpu_set::CpuSet;
use badbatch::disruptor::{BuildError, StartError};
use badbatch::sys::affinity::{self, Pin, PinError};
use badbatch::sys::memory::{Demand, Extent, HugePageSize, MemoryConfig, MemoryError};
use badbatch::sys::placement::Placement;
use badbatch::sys::topology::Topology;
use badbatch::{Consumer, Disruptor, DisruptorBuilder};

type Outcome = Result<String, Box<dyn std::error::Error>>;

const NODE: [NumaNodeId; 3] = [NumaNodeId(0), NumaNodeId(1), NumaNodeId(2)];
const MIB: u64 = 1 << 20;
/// An event of a page, so that rings are as large as they look.
type Page = [u64; 512];

fn main() -> ExitCode {
    let checks: [(&str, fn() -> Outcome); 16] = [
        ("the topology reads back as it was configured", topology),
        ("a ring on node1 has every page there", one_node),
        ("a ring on the node without CPUs has every page there", memory_only_node),
        ("an interleaved ring has its pages on all nodes in turn", interleaved),
        ("interleaving takes the nodes of its list only", interleaved_over_two),
        ("a handler pinned to node0 runs there", pinned_handler),
        ("memory follows the first consumer to its node", near_first_consumer),
        ("a spread placement uses both nodes, and says so", spread),
        ("a full node is an error where it is required", full_node_required),
        ("a full node gives what it has where it is preferred", full_node_preferred),
        ("huge pages that are not reserved are an error where they are required", huge_required),
        ("huge pages that are not reserved are told of where they are preferred", huge_preferred),
        ("huge pages that are reserved on node1 are used there", huge_reserved),
        ("transparent huge pages are used, and locked memory is locked", transparent_and_locked),
        ("a CPU outside the control group is refused with the group's CPUs", outside_the_group),
        ("errors leave no thread and no memory behind", nothing_is_left),
    ];
    let mut failures = 0;
    for (name, check) in checks {
        match check() {
            Ok(detail) => println!("ok: {name} ({detail})"),
            Err(error) => {
                failures += 1;
                println!("FAILED: {name}: {error}");
            }
        }
    }
    println!("{} of {} checks hold", checks.len() - failures, checks.len());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ring(pages: usize, memory: MemoryConfig) -> Result<Disruptor<Page>, BuildError> {
    DisruptorBuilder::new().buffer_size(pages).memory(memory).build_with(|| [1; 512])
}

/// Starts the ring with a handler that does nothing.
fn started(pages: usize, memory: MemoryConfig) -> Result<Disruptor<Page>, Box<dyn std::error::Error>> {
    let mut disruptor = ring(pages, memory)?;
    disruptor.handle_events_with(nothing)?;
    disruptor.start()?;
    Ok(disruptor)
}

fn nothing(_event: &Page, _sequence: u64, _end_of_batch: bool) {}

fn expect(holds: bool, otherwise: impl ToString) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_string()) }
}

fn expect_pages(extent: &Extent, expected: &[(NumaNodeId, u64)]) -> Result<(), String> {
    expect(extent.pages == expected.iter().copied().collect::<BTreeMap<_, _>>(), extent)
}

fn topology() -> Outcome {
    let topology = Topology::detect()?;
    let nodes: Vec<_> = topology.nodes().map(|node| (node.id, node.cpus.to_string())).collect();
    let expected = [(NODE[0], "0-1"), (NODE[1], "2-3"), (NODE[2], "")];
    expect(nodes == expected.map(|(id, cpus)| (id, cpus.to_owned())), &topology)?;
    for (node, distances) in topology.nodes().zip([[10, 21, 14], [21, 10, 24], [14, 24, 10]]) {
        expect(node.distances.values().eq(&distances), &topology)?;
        expect(node.memory.is_some_and(|memory| memory > 300 * MIB && memory <= 512 * MIB), &topology)?;
    }
    expect(topology.cpu(CpuId(3)).is_some_and(|cpu| cpu.node == NODE[1]), &topology)?;
    Ok(topology.to_string().lines().collect::<Vec<_>>().join(" | "))
}

fn on_node(node: NumaNodeId) -> Outcome {
    let disruptor = started(1024, MemoryConfig::new().on_node(node, Demand::Require))?;
    let report = disruptor.memory_report()?;
    expect_pages(&report.slots, &[(node, 1024)])?;
    expect(report.sequences.pages.keys().eq([&node]), &report)?;
    expect(report.compromises.is_empty(), &report)?;
    Ok(format!("slots: {}; sequences: {}", report.slots, report.sequences))
}

fn one_node() -> Outcome {
    on_node(NODE[1])
}

fn memory_only_node() -> Outcome {
    on_node(NODE[2])
}

fn interleaved() -> Outcome {
    let report = started(1024, MemoryConfig::new().interleaved([]))?.memory_report()?;
    let pages = &report.slots.pages;
    expect(pages.len() == 3 && pages.values().all(|count| (341..=342).contains(count)), &report)?;
    Ok(report.slots.to_string())
}

fn interleaved_over_two() -> Outcome {
    let report = started(1024, MemoryConfig::new().interleaved([NODE[0], NODE[2]]))?.memory_report()?;
    expect_pages(&report.slots, &[(NODE[0], 512), (NODE[2], 512)])?;
    Ok(report.slots.to_string())
}

fn pinned_handler() -> Outcome {
    let mut disruptor = ring(8, MemoryConfig::new())?;
    let (sender, receiver) = mpsc::channel();
    let tell = move |_: &Page, _: u64, _: bool| {
        let seen = (affinity::current_cpu().ok(), affinity::of_current_thread().ok());
        sender.send(seen).expect("the check listens");
    };
    disruptor.handle(Consumer::reading(tell).pin(NODE[0]))?;
    disruptor.start()?;
    disruptor.ring_buffer().publish_batch(8, |_| {})?;
    let seen: Vec<_> = receiver.iter().take(8).collect();
    let on_node = |(cpu, mask): &(Option<CpuId>, Option<CpuSet>)| {
        matches!(cpu, Some(CpuId(0 | 1))) && mask.as_ref().is_some_and(|mask| mask.to_string() == "0-1")
    };
    expect(seen.iter().all(on_node), format!("{seen:?}"))?;
    Ok(format!("mask 0-1, seen on {}", seen[7].0.map_or_else(String::new, |cpu| cpu.to_string())))
}

fn near_first_consumer() -> Outcome {
    let mut disruptor = ring(1024, MemoryConfig::new().near_first_consumer())?;
    disruptor.handle(Consumer::reading(nothing).pin(CpuId(3)))?;
    let before = disruptor.memory_report()?;
    disruptor.start()?;
    let report = disruptor.memory_report()?;
    expect_pages(&report.slots, &[(NODE[1], 1024)])?;
    expect(report.sequences.pages.keys().eq([&NODE[1]]), &report)?;
    Ok(format!("before: {}; after: {}", before.slots, report.slots))
}

fn spread() -> Outcome {
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).placement(Placement::Spread).build::<u64>()?;
    for name in ["one", "two", "three"] {
        disruptor.handle(Consumer::reading(|_: &u64, _: u64, _: bool| {}).named(name))?;
    }
    disruptor.start()?;
    let plan = disruptor.placement().ok_or("there is no plan")?;
    let cpus: Vec<_> = plan.seats().iter().filter_map(|seat| Some(seat.cpu?.0)).collect();
    expect(cpus == [0, 2, 1, 3], plan)?;
    Ok(plan.explain().lines().collect::<Vec<_>>().join(" | "))
}

/// Slots of a page each for more than a node has free, and less than all have.
fn too_many_pages() -> Result<usize, Box<dyn std::error::Error>> {
    let topology = Topology::detect()?;
    let free = topology.node(NODE[1]).and_then(|node| node.free).ok_or("node1 tells nothing")?;
    Ok((free / 4096).next_power_of_two() as usize)
}

fn full_node_required() -> Outcome {
    match ring(too_many_pages()?, MemoryConfig::new().on_node(NODE[1], Demand::Require)) {
        Err(error @ BuildError::Memory { source: MemoryError::NodeFull { node: NumaNodeId(1), .. }, .. }) => {
            Ok(error.to_string())
        }
        Err(error) => Err(error.into()),
        Ok(disruptor) => Err(disruptor.memory_report()?.to_string().into()),
    }
}

fn full_node_preferred() -> Outcome {
    let disruptor = ring(too_many_pages()?, MemoryConfig::new().on_node(NODE[1], Demand::Prefer))?;
    let report = disruptor.memory_report()?;
    let on = |node| report.slots.pages.get(&node).copied().unwrap_or(0);
    expect(on(NODE[1]) > on(NODE[0]) + on(NODE[2]) && on(NODE[0]) + on(NODE[2]) > 0, &report)?;
    Ok(report.slots.to_string())
}

fn huge(demand: Demand) -> MemoryConfig {
    MemoryConfig::new().huge_pages(HugePageSize::TwoMiB, demand)
}

fn huge_required() -> Outcome {
    match ring(1024, huge(Demand::Require)) {
        Err(
            error @ BuildError::Memory { source: MemoryError::NoHugePages { needed: 2, free: 0, .. }, .. },
        ) => Ok(error.to_string()),
        Err(error) => Err(error.into()),
        Ok(disruptor) => Err(disruptor.memory_report()?.to_string().into()),
    }
}

fn huge_preferred() -> Outcome {
    let report = ring(1024, huge(Demand::Prefer))?.memory_report()?;
    expect(report.slots.page_size == 4096 && report.compromises.len() == 1, &report)?;
    Ok(report.compromises.concat())
}

fn huge_reserved() -> Outcome {
    fs::write("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "4")?;
    let disruptor = started(1024, huge(Demand::Require).on_node(NODE[1], Demand::Require))?;
    let report = disruptor.memory_report()?;
    expect(report.slots.page_size == 2 * MIB, &report)?;
    expect_pages(&report.slots, &[(NODE[1], 2)])?;
    // The reserved ones are of another node.
    let elsewhere = ring(1024, huge(Demand::Require).on_node(NODE[0], Demand::Require));
    let error = elsewhere.err().ok_or("node0 has none")?;
    fs::write("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "0")?;
    Ok(format!("{}; on node0: {error}", report.slots))
}

fn transparent_and_locked() -> Outcome {
    let report = ring(1024, MemoryConfig::new().transparent_huge_pages().locked())?.memory_report()?;
    expect(report.slots.transparent == 4 * MIB && report.slots.locked == 4 * MIB, &report)?;
    Ok(report.slots.to_string())
}

fn outside_the_group() -> Outcome {
    const GROUPS: &str = "/sys/fs/cgroup";
    fs::write(format!("{GROUPS}/cgroup.subtree_control"), "+cpuset")?;
    fs::create_dir(format!("{GROUPS}/small"))?;
    fs::write(format!("{GROUPS}/small/cpuset.cpus"), "0-2")?;
    fs::write(format!("{GROUPS}/small/cgroup.procs"), "0")?;
    let mut disruptor = ring(8, MemoryConfig::new())?;
    disruptor.handle(Consumer::reading(nothing).named("outside").pin(CpuId(3)))?;
    let error = disruptor.start().err().ok_or("it started")?;
    fs::write(format!("{GROUPS}/cgroup.procs"), "0")?;
    let is_told = matches!(&error, StartError::Pin { source: PinError::NotAllowed { allowed, .. }, .. } if allowed.to_string() == "0-2");
    expect(is_told, &error)?;
    Ok(error.to_string())
}

fn nothing_is_left() -> Outcome {
    let errors = || -> Result<(), Box<dyn std::error::Error>> {
        for pin in [Pin::from(CpuId(4096)), Pin::from(CpuSet::new()), Pin::from(NumaNodeId(7))] {
            let mut disruptor = ring(256, MemoryConfig::new().on_node(NODE[1], Demand::Require))?;
            disruptor.handle(Consumer::reading(nothing))?;
            disruptor.handle(Consumer::reading(nothing).named("badly pinned").pin(pin))?;
            expect(matches!(disruptor.start(), Err(StartError::Pin { .. })), "it started")?;
        }
        let configs = [MemoryConfig::new().on_node(NumaNodeId(7), Demand::Require), huge(Demand::Require)];
        configs.into_iter().try_for_each(|memory| expect(ring(256, memory).is_err(), "it was built"))?;
        Ok(())
    };
    errors()?;
    let before = (threads()?, mapped_kib()?);
    (0..100).try_for_each(|_| errors())?;
    let after = (threads()?, mapped_kib()?);
    expect(before.0 == after.0 && after.1 <= before.1 + 1024, format!("{before:?} became {after:?}"))?;
    Ok(format!("{} thread, {} KiB mapped, 500 errors later {} KiB", after.0, before.1, after.1))
}

fn threads() -> std::io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

fn mapped_kib() -> Result<u64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).ok_or("no size")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

//! Threads on chosen CPUs, and memory on chosen nodes and pages. `tests/numa` has more of it, on a machine
//! with several nodes.

#![cfg(target_os = "linux")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use badbatch::base::cpu::{CpuId, NumaNodeId};
use badbatch::base::cpu_set::CpuSet;
use badbatch::disruptor::{BuildError, StartError};
use badbatch::sys::affinity::{self, Pin};
use badbatch::sys::memory::{Demand, HugePageSize, MemoryConfig, MemoryError};
use badbatch::sys::placement::Placement;
use badbatch::sys::topology::Topology;
use badbatch::{Consumer, DisruptorBuilder};

fn nothing(_: &u64, _: u64, _: bool) {}

/// The CPUs of this program's thread of that name, as the kernel lists them.
fn cpus_of_thread(name: &str) -> Option<CpuSet> {
    let statuses = fs::read_dir("/proc/self/task").expect("there are threads");
    let statuses = statuses.flatten().flat_map(|thread| fs::read_to_string(thread.path().join("status")));
    let line = |status: &str, label: &str| {
        status.lines().find_map(|line| Some(line.strip_prefix(label)?.trim().to_owned()))
    };
    let mut named = statuses.filter(|status| line(status, "Name:").as_deref() == Some(name));
    line(&named.next()?, "Cpus_allowed_list:")?.parse().ok()
}

fn topology() -> Topology {
    Topology::detect().expect("Linux tells")
}

#[test]
fn pins_are_visible_from_the_outside() {
    let topology = topology();
    let cpu = topology.usable().first().expect("one may be used");
    let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("built");
    disruptor.handle(Consumer::reading(nothing).named("pin-cpu").pin(cpu)).expect("added");
    let node = topology.cpu(cpu).expect("it is online").node;
    disruptor.handle(Consumer::reading(nothing).named("pin-node").pin(node)).expect("added");
    let pool = Consumer::reading(nothing).named("pin-first").pin_each([cpu]);
    disruptor.handle(pool).expect("added");
    disruptor.start().expect("the CPUs are there");
    assert_eq!(cpus_of_thread("pin-cpu"), Some(cpu.into()));
    let of_node = topology.node(node).expect("it is online").cpus.intersection(topology.usable());
    assert_eq!(cpus_of_thread("pin-node"), Some(of_node));
    assert_eq!(cpus_of_thread("pin-first"), Some(cpu.into()));
    disruptor.handle(Consumer::reading(nothing).named("pin-late").pin(cpu)).expect("added while it runs");
    assert_eq!(cpus_of_thread("pin-late"), Some(cpu.into()));
    let late = disruptor.handle(Consumer::reading(nothing).named("pin-wrong").pin(CpuId(4096)));
    assert!(late.is_err() && cpus_of_thread("pin-wrong").is_none());
}

#[test]
fn a_placement_is_carried_out_as_it_is_explained() {
    let mut builder = DisruptorBuilder::new().buffer_size(2).placement(Placement::Compact);
    builder = builder.memory(MemoryConfig::new().near_first_consumer());
    let mut disruptor = builder.build::<u64>().expect("built");
    let names: Vec<_> = (0..topology().usable().len()).map(|index| format!("placed-{index}")).collect();
    for name in &names {
        disruptor.handle(Consumer::reading(nothing).named(name.as_str())).expect("added");
    }
    assert!(disruptor.placement().is_none());
    disruptor.start().expect("it starts");
    let plan = disruptor.placement().expect("there is a plan");
    for name in &names {
        let expected = plan.cpu_of(name).map(CpuSet::from);
        let found = cpus_of_thread(name).expect("the thread runs");
        assert_eq!(
            found,
            expected.unwrap_or_else(|| affinity::of_current_thread().expect("known")),
            "{plan}"
        );
    }
    assert!(plan.producer().is_some());
    assert!(
        plan.explain().ends_with("not bound, since no CPU is left\n"),
        "one seat is the producer's: {plan}"
    );
}

#[test]
fn what_cannot_be_had_is_told_before_anything_happens() {
    let start = |pin: Pin| {
        let mut disruptor = DisruptorBuilder::new().buffer_size(2).build::<u64>().expect("built");
        disruptor.handle(Consumer::reading(nothing).named("wrong-well")).expect("added");
        disruptor.handle(Consumer::reading(nothing).named("wrong-badly").pin(pin)).expect("added");
        let error = disruptor.start().expect_err("the pin is wrong");
        assert!(matches!(&error, StartError::Pin { name, .. } if &**name == "wrong-badly"), "{error}");
        assert_eq!((cpus_of_thread("wrong-well"), cpus_of_thread("wrong-badly")), (None, None));
        error.to_string()
    };
    let online = topology().online().to_string();
    let wrong = "consumer `wrong-badly` cannot be pinned:";
    assert_eq!(start(CpuId(4096).into()), format!("{wrong} cpu4096 is not online; CPUs {online} are"));
    assert_eq!(start(CpuSet::new().into()), format!("{wrong} the set of CPUs is empty; name at least one"));
    assert!(
        start(NumaNodeId(7000).into()).starts_with(&format!("{wrong} there is no node7000; there are node0"))
    );

    let build = |memory: MemoryConfig, slots: usize| {
        let ring = DisruptorBuilder::new().buffer_size(slots).memory(memory).build_with(|| [0_u8; 1 << 20]);
        ring.expect_err("the memory is not there")
    };
    let error = build(MemoryConfig::new().on_node(NumaNodeId(7000), Demand::Require), 2);
    let message = "2 slots of 1048576 bytes: there is no memory on node7000; there is on node0";
    assert!(error.to_string().starts_with(message), "{error}");
    // One more than there are.
    let free = |size: HugePageSize| {
        let of_node =
            |node: &badbatch::sys::topology::NumaNode| node.free_huge_pages.get(&size.bytes()).copied();
        topology().nodes().filter_map(of_node).sum::<u64>()
    };
    let size = HugePageSize::OneGiB;
    let slots = 1024 * (free(size) as usize + 1).next_power_of_two();
    let error = build(MemoryConfig::new().huge_pages(size, Demand::Require), slots);
    let is_told = matches!(error, BuildError::Memory { source: MemoryError::NoHugePages { .. }, .. });
    assert!(is_told, "{error}");
}

#[test]
fn memory_lies_where_its_report_says() {
    let memory = || MemoryConfig::new().transparent_huge_pages();
    let mut builder = DisruptorBuilder::new().buffer_size(1 << 12).memory(memory());
    let disruptor = builder.clone().build_with(|| [7_u64; 512]).expect("there is memory");
    let report = match disruptor.memory_report() {
        Ok(report) => report,
        // A sandbox may forbid the question; the emulated machine does not.
        Err(error) => return assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    };
    assert_eq!((report.slots.bytes, report.slots.pages_absent), (1 << 24, 0), "{report}");
    assert_eq!(report.slots.pages.values().sum::<u64>() * report.slots.page_size, 1 << 24, "{report}");
    let smaps = fs::read_to_string("/proc/self/smaps").expect("there is memory");
    assert!(smaps.contains(&format!("KernelPageSize: {:>8} kB", report.slots.page_size / 1024)));
    // Huge pages that nobody has reserved, but not at any price.
    builder = builder.memory(memory().huge_pages(HugePageSize::OneGiB, Demand::Prefer));
    let report =
        builder.build_with(|| [7_u64; 512]).expect("others will do").memory_report().expect("as above");
    assert!(report.slots.page_size == 1 << 30 || report.compromises.len() == 1, "{report}");
}

#[test]
fn events_in_mapped_memory_are_made_used_and_dropped_once() {
    struct Counted(Arc<AtomicUsize>, u64);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mut made, counter) = (0, Arc::clone(&dropped));
    let event = move || {
        made += 1;
        Counted(Arc::clone(&counter), made)
    };
    let memory = MemoryConfig::new().near_first_consumer();
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(64).memory(memory).build_with(event).expect("built");
    let mut poller = disruptor.new_poller(&[]).expect("added");
    disruptor.start().expect("it starts");
    disruptor.ring_buffer().publish_batch(64, |_| {}).expect("there is room");
    let mut values = Vec::new();
    while values.len() < 64 {
        values.extend(poller.poll().expect("there are events").iter().map(|(_, event)| event.1));
    }
    assert_eq!(values, (1..=64).collect::<Vec<_>>());
    let report = disruptor.memory_report();
    if let Ok(report) = report {
        assert_eq!(report.compromises, ["memory stays where it was made: there is no handler"]);
    }
    drop((poller, disruptor));
    assert_eq!(dropped.load(Ordering::Relaxed), 64);
}

//! Topologies from the files of machines that are not here, and placements on them.

use std::sync::Arc;

use badbatch::base::cpu::{CpuId, NumaNodeId};
use badbatch::base::cpu_set::CpuSet;
use badbatch::sys::affinity::{Pin, PinError};
use badbatch::sys::placement::Placement;
use badbatch::sys::topology::{Limits, Topology, Tree};
use quickcheck::{Arbitrary, Gen, quickcheck};

const TREES: [(&str, &str); 7] = [
    ("desktop", include_str!("topology/desktop.txt")),
    ("two_sockets", include_str!("topology/two_sockets.txt")),
    ("four_nodes_per_socket", include_str!("topology/four_nodes_per_socket.txt")),
    ("cxl_memory", include_str!("topology/cxl_memory.txt")),
    ("big_little", include_str!("topology/big_little.txt")),
    ("hybrid", include_str!("topology/hybrid.txt")),
    ("holes", include_str!("topology/holes.txt")),
];

fn tree(name: &str) -> Tree {
    let (_, text) = TREES.iter().find(|(other, _)| *other == name).expect("there is such a tree");
    text.parse().expect("it is well formed")
}

fn machine(name: &str) -> Topology {
    Topology::from_tree(&tree(name), &Limits::default())
}

/// With `usable` given to the program, and `group` permitted.
fn limited(name: &str, group: &str, usable: &str) -> Topology {
    let limits = Limits { group: Some(cpus(group)), affinity: Some(cpus(usable)) };
    Topology::from_tree(&tree(name), &limits)
}

fn cpus(list: &str) -> CpuSet {
    list.parse().expect("it is a list of CPUs")
}

/// The machine in short: `cpu: package, core, near, node`.
fn check_cpu(topology: &Topology, id: u32, package: u32, core: &str, near: &str, node: u32) {
    let cpu = topology.cpu(CpuId(id)).expect("the CPU is online");
    assert_eq!((cpu.package, cpu.node), (package, NumaNodeId(node)), "{}", cpu.id);
    assert_eq!(
        (cpu.core.to_string(), cpu.near.to_string()),
        (core.to_owned(), near.to_owned()),
        "{}",
        cpu.id
    );
}

fn check_node(topology: &Topology, id: u32, cpus: &str, memory: Option<u64>, distances: &[(u32, u32)]) {
    let node = topology.node(NumaNodeId(id)).expect("the node is online");
    assert_eq!((node.cpus.to_string(), node.memory), (cpus.to_owned(), memory), "{}", node.id);
    let distances = distances.iter().map(|&(to, distance)| (NumaNodeId(to), distance));
    assert_eq!(node.distances, distances.collect(), "{}", node.id);
}

#[test]
fn a_desktop_has_one_of_everything_but_cores() {
    let topology = machine("desktop");
    check_cpu(&topology, 5, 0, "1,5", "0-7", 0);
    check_node(&topology, 0, "0-7", Some(32_000_000 * 1024), &[(0, 10)]);
    let expected = "1 package, 4 cores, 8 CPUs, 1 node; usable: 0-7\n\
                    node0: CPUs 0-7, 30.5 GiB of memory, 19.1 GiB free\n\
                    L3 of 12 MiB: CPUs 0-7\n";
    assert_eq!(topology.to_string(), expected);
}

#[test]
fn two_sockets_are_two_of_everything() {
    let topology = machine("two_sockets");
    check_cpu(&topology, 25, 1, "9,25", "8-15,24-31", 1);
    check_node(&topology, 1, "8-15,24-31", Some(131_000_000 * 1024), &[(0, 21), (1, 10)]);
    let huge = &topology.node(NumaNodeId(1)).expect("it is there").free_huge_pages;
    assert_eq!((huge.get(&(2 << 20)), huge.get(&(1 << 30))), (Some(&512), Some(&0)));
    assert_eq!(topology.packages(), [0, 1]);
}

#[test]
fn a_divided_socket_has_more_caches_than_nodes() {
    let topology = machine("four_nodes_per_socket");
    check_cpu(&topology, 6, 0, "6,22", "6-7,22-23", 1);
    check_node(&topology, 3, "12-15,28-31", Some(65_000_000 * 1024), &[(0, 12), (1, 12), (2, 12), (3, 10)]);
    assert_eq!((topology.caches().len(), topology.nodes().count()), (8, 4));
}

#[test]
fn a_node_may_have_memory_and_nothing_else() {
    let topology = machine("cxl_memory");
    check_node(&topology, 2, "", Some(128_000_000 * 1024), &[(0, 14), (1, 24), (2, 10)]);
    let pin = Pin::from(NumaNodeId(2)).resolve(&topology).expect_err("it has no CPUs");
    assert_eq!(pin.to_string(), "no CPU is of node2 among the CPUs 0-7 that this program may use");
}

#[test]
fn cores_may_differ_in_speed_and_in_threads() {
    let topology = machine("big_little");
    check_cpu(&topology, 6, 0, "6", "0-7", 0);
    check_node(&topology, 0, "0-7", None, &[(0, 10)]);
    let capacities: Vec<_> = topology.cpus().map(|cpu| cpu.capacity).collect();
    assert_eq!(capacities, [414, 414, 414, 414, 1024, 1024, 1024, 1024]);
    let topology = machine("hybrid");
    check_cpu(&topology, 3, 0, "2-3", "0-15", 0);
    check_cpu(&topology, 12, 0, "12", "0-15", 0);
}

#[test]
fn what_contradicts_itself_becomes_the_plainest_machine_that_agrees_with_the_rest() {
    let topology = machine("holes");
    assert_eq!(topology.online(), &cpus("0-1,4-5,1030-1031"));
    assert_eq!(topology.isolated(), &cpus("5"));
    check_cpu(&topology, 0, 0, "0-1", "0-1,4-5", 0);
    check_cpu(&topology, 5, 0, "4-5", "0-1,4-5", 3);
    check_cpu(&topology, 1031, 1, "1030-1031", "1030-1031", 7);
    check_node(&topology, 3, "4-5", Some(0), &[(0, 20), (3, 10), (7, 30)]);
    check_node(&topology, 7, "1030-1031", None, &[(0, 30), (3, 30)]);
    assert!(topology.caches().is_empty());
}

#[test]
fn nothing_at_all_is_a_machine_with_one_cpu() {
    let topology = Topology::from_tree(&Tree::default(), &Limits::default());
    check_cpu(&topology, 0, 0, "0", "0", 0);
    check_node(&topology, 0, "0", None, &[(0, 10)]);
    let limits = Limits { group: None, affinity: Some(cpus("3,5")) };
    assert_eq!(Topology::from_tree(&Tree::default(), &limits).online(), &cpus("3,5"));
}

#[test]
fn a_program_is_kept_to_what_it_was_given() {
    let topology = limited("two_sockets", "0-11", "2-3,40");
    assert_eq!((topology.allowed(), topology.usable()), (&cpus("0-11"), &cpus("2-3")));
    let topology = limited("two_sockets", "40-41", "");
    assert_eq!(topology.usable(), topology.online(), "limits that leave nothing are not believed");
}

#[test]
fn a_pin_is_resolved_or_told_why_not() {
    let topology = limited("two_sockets", "0-11", "0-3,16");
    let check = |pin: Pin, expected: Result<&str, &str>| {
        let found = pin.resolve(&topology).map(|cpus| cpus.to_string()).map_err(|error| error.to_string());
        assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{pin:?}");
    };
    check(CpuId(3).into(), Ok("3"));
    check(CpuId(7).into(), Ok("7")); // by hand, beyond what `taskset` gave
    check(CpuId(12).into(), Err("cpu12 is not among the CPUs 0-11 that this program's control group allows"));
    check(CpuId(4096).into(), Err("cpu4096 is not online; CPUs 0-31 are"));
    check(cpus("2,9").into(), Ok("2,9"));
    check(
        cpus("2,12").into(),
        Err("cpu12 is not among the CPUs 0-11 that this program's control group allows"),
    );
    check(CpuSet::new().into(), Err("the set of CPUs is empty; name at least one"));
    check(NumaNodeId(0).into(), Ok("0-3"));
    check(NumaNodeId(1).into(), Ok("8-11"));
    check(NumaNodeId(7).into(), Err("there is no node7; there are node0, node1"));
    check(Pin::SameCacheAs(CpuId(0)), Ok("1-3"));
    check(Pin::OtherCoreThan(CpuId(1)), Ok("0,2-3"));
    check(Pin::OtherCoreThan(CpuId(99)), Err("cpu99 is not online; CPUs 0-31 are"));
    let alone = Pin::SameCacheAs(CpuId(1030)).resolve(&machine("holes")).expect_err("its core is alone");
    assert!(matches!(alone, PinError::NoneLeft { .. }), "{alone}");
}

fn plan(placement: Placement, topology: &Topology, threads: usize, taken: &str) -> Vec<Option<u32>> {
    let names: Vec<Arc<str>> = (0..threads).map(|index| format!("consumer-{index}").into()).collect();
    let plan = placement.plan(topology, &names, &cpus(taken));
    plan.seats().iter().map(|seat| seat.cpu.map(|cpu| cpu.0)).collect()
}

#[test]
fn a_compact_placement_fills_a_cache_and_then_a_node() {
    let compact = |name, threads| plan(Placement::Compact, &machine(name), threads, "");
    assert_eq!(compact("desktop", 3), [0, 1, 2, 3].map(Some));
    assert_eq!(compact("two_sockets", 3), [0, 1, 2, 3].map(Some));
    // Cores of their own behind another cache of the node before the sibling threads of the first.
    assert_eq!(compact("four_nodes_per_socket", 5), [0, 1, 2, 3, 16, 17].map(Some));
    // The fast cores first.
    assert_eq!(compact("big_little", 4), [4, 5, 6, 7, 0].map(Some));
    assert_eq!(compact("hybrid", 5), [0, 2, 4, 6, 8, 9].map(Some));
}

#[test]
fn a_spread_placement_uses_nodes_and_caches_in_turn() {
    let spread = |name, threads| plan(Placement::Spread, &machine(name), threads, "");
    assert_eq!(spread("two_sockets", 3), [0, 8, 1, 9].map(Some));
    assert_eq!(spread("four_nodes_per_socket", 7), [0, 4, 8, 12, 2, 6, 10, 14].map(Some));
}

#[test]
fn threads_gather_around_a_producer() {
    let near =
        |cpu, topology: &Topology, threads| plan(Placement::NearProducer(CpuId(cpu)), topology, threads, "");
    assert_eq!(near(9, &machine("two_sockets"), 2), [9, 8, 10].map(Some));
    assert_eq!(near(13, &machine("four_nodes_per_socket"), 2), [13, 12, 14].map(Some));
    // Nothing on its node is left, so the nearest other one.
    assert_eq!(near(4, &limited("cxl_memory", "0-7", "0-4"), 2), [4, 0, 1].map(Some));
}

#[test]
fn a_placement_leaves_taken_cpus_alone_and_threads_free_when_none_is_left() {
    let topology = limited("desktop", "0-7", "0-1,4");
    assert_eq!(plan(Placement::Compact, &topology, 2, "0"), [Some(1), Some(4), None]);
    assert_eq!(plan(Placement::Manual, &topology, 2, ""), []);
}

#[test]
fn a_plan_explains_itself() {
    let names = ["journal", "book"].map(Arc::from);
    let plan = Placement::Compact.plan(&limited("two_sockets", "0-31", "0,8,16"), &names, &CpuSet::new());
    let expected = "compact, over CPUs 0,8,16\n\
                    producer: cpu0, a core of its own, the first\n\
                    journal: cpu16, on a core with others, behind one cache with cpu0\n\
                    book: cpu8, a core of its own, on node1, at distance 21 from cpu0\n";
    assert_eq!(plan.explain(), expected);
    assert_eq!((plan.producer(), plan.cpu_of("book")), (Some(CpuId(0)), Some(CpuId(8))));
}

#[cfg(target_os = "linux")]
#[test]
fn this_machine_agrees_with_what_it_can_be_asked_otherwise() {
    let topology = Topology::detect().expect("Linux tells");
    let parallelism = std::thread::available_parallelism().expect("it is known").get();
    assert!(topology.usable().len() >= parallelism, "{topology}");
    let tree = Tree::load("/sys/devices/system".as_ref());
    assert_eq!(tree.to_string().parse().as_ref(), Ok(&tree));
    assert!(Tree::load("/nonexistent".as_ref()) == Tree::default());
}

/// A list of CPUs, in some order, overlapping.
#[derive(Clone, Debug)]
struct Ranges(Vec<(u16, u8)>);

impl Arbitrary for Ranges {
    fn arbitrary(g: &mut Gen) -> Self {
        Self(Vec::arbitrary(g))
    }
}

/// A tree with lines taken out, and some contents exchanged.
#[derive(Clone, Debug)]
struct Damaged(String);

impl Arbitrary for Damaged {
    fn arbitrary(g: &mut Gen) -> Self {
        let (_, text) = g.choose(&TREES).expect("there are trees");
        let lines: Vec<_> = text.lines().filter_map(|line| line.split_once(" =")).collect();
        let contents: Vec<_> =
            lines.iter().map(|(_, content)| *content).chain(["", " -1", " x", " 99999"]).collect();
        let damage = |(path, content): &(&str, &str)| match u8::arbitrary(g) {
            0..10 => String::new(),
            10..20 => format!("{path} ={}\n", g.choose(&contents).expect("there are contents")),
            _ => format!("{path} ={content}\n"),
        };
        Self(lines.iter().map(damage).collect())
    }
}

quickcheck! {
    fn a_printed_list_is_read_as_the_same_set(ranges: Ranges) -> bool {
        let last = |&(first, len): &(u16, u8)| first.saturating_add(u16::from(len));
        let list: Vec<_> = ranges.0.iter().map(|range| format!("{}-{}", range.0, last(range))).collect();
        let set = cpus(&list.join(","));
        let each = ranges.0.iter().flat_map(|range| range.0..=last(range));
        let expected: CpuSet = each.map(|cpu| CpuId(cpu.into())).collect();
        set == expected && cpus(&set.to_string()) == set && set.iter().count() == set.len()
    }

    fn a_damaged_tree_is_still_a_machine(damaged: Damaged, threads: u8) -> bool {
        let tree: Tree = damaged.0.parse().expect("its lines are well formed");
        let topology = Topology::from_tree(&tree, &Limits::default());
        let placed = plan(Placement::Spread, &topology, threads.into(), "");
        let mut taken: Vec<_> = placed.iter().flatten().collect();
        taken.sort_unstable();
        taken.dedup();
        let is_sound = |cpu: &badbatch::sys::topology::Cpu| {
            cpu.core.contains(cpu.id) && cpu.near.contains(cpu.id) && topology.node(cpu.node).is_some()
        };
        !topology.online().is_empty()
            && topology.online().len() == topology.cpus().count()
            && topology.cpus().all(is_sound)
            && topology.nodes().map(|node| node.cpus.len()).sum::<usize>() <= topology.online().len()
            && taken.len() == placed.len().min(topology.usable().len())
            && !topology.to_string().is_empty()
    }
}

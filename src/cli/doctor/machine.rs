//! Checks of this machine: what the kernel tells of it, and what can be measured in a moment.

use std::fs;
use std::time::{Duration, Instant};

use super::check::Check;
use crate::cli::human;
use crate::sys::cgroup;
use crate::sys::process::{machine_memory, raise_open_files_limit};
use crate::sys::topology::{Bytes, Topology};

pub fn checks() -> Vec<Check> {
    let topology = Topology::detect().ok();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    vec![
        cpus(topology.as_ref(), cgroup::cpus()),
        governor(&governors(topology.as_ref())),
        nodes(topology.as_ref()),
        memory(machine_memory(), cgroup::memory_left()),
        swap(&read("/proc/swaps")),
        huge_pages(&read("/proc/meminfo"), &read("/sys/kernel/mm/transparent_hugepage/enabled")),
        clock(
            &read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            &ClockCost::measure(),
        ),
        open_files(),
        build(),
    ]
}

/// `share` is how many CPUs' time the control group gives, if that is limited.
fn cpus(topology: Option<&Topology>, share: Option<f64>) -> Check {
    const NAME: &str = "cpus";
    let Some(topology) = topology else {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        return Check::note(
            NAME,
            format!("{count} CPUs"),
            "which of them may be used is known on Linux only",
        );
    };
    let (usable, online) = (topology.usable(), topology.online());
    let found = format!("{} of {} online CPUs may be used ({usable})", usable.len(), online.len());
    match share {
        Some(share) if share < usable.len() as f64 => Check::warning(
            NAME,
            format!("{found}, for the time of {share:.2}"),
            "the control group stops every thread when the time is used up: raise the container's CPU limit",
        ),
        _ if usable.len() == 1 => Check::warning(
            NAME,
            found,
            "producers and consumers take turns on one CPU: give two or more, or stay with the wait strategy `blocking`",
        ),
        _ if usable.len() < online.len() => {
            Check::note(NAME, found, "`taskset` or the control group leaves out the others")
        }
        _ => Check::ok(NAME, found),
    }
}

/// The governors of the CPUs that may be used, each once.
fn governors(topology: Option<&Topology>) -> Vec<String> {
    let cpus = topology.into_iter().flat_map(|topology| topology.usable().iter());
    let path = |cpu: crate::base::cpu::CpuId| {
        format!("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", cpu.0)
    };
    let mut words: Vec<_> =
        cpus.filter_map(|cpu| Some(fs::read_to_string(path(cpu)).ok()?.trim().to_owned())).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn governor(words: &[String]) -> Check {
    const NAME: &str = "governor";
    let found = words.join(", ");
    match words {
        [] => Check::note(NAME, "the kernel does not tell", "usual in virtual machines; the host decides"),
        [word] if word == "performance" => Check::ok(NAME, found),
        _ => Check::warning(
            NAME,
            found,
            "CPUs slow down between events: cpupower frequency-set -g performance",
        ),
    }
}

fn nodes(topology: Option<&Topology>) -> Check {
    const NAME: &str = "numa";
    match topology.map(|topology| topology.nodes().count()) {
        None => Check::note(NAME, "unknown", "memory nodes are told on Linux only"),
        Some(1) => Check::ok(NAME, "1 node"),
        Some(count) => Check::note(
            NAME,
            format!("{count} nodes"),
            "keep a ring and its threads on one node; docs/PLACEMENT.md says how",
        ),
    }
}

/// The machine's memory, all of it and what can be had, and what the control group leaves, if it limits.
fn memory((total, available): (u64, u64), left: Option<u64>) -> Check {
    const NAME: &str = "memory";
    const LOW: u64 = 256 << 20;
    if total == 0 {
        return Check::note(NAME, "unknown", "the system does not tell");
    }
    let found = format!("{} of {} available", Bytes(available), Bytes(total));
    let found = match left {
        Some(left) if left < available => format!("{found}, {} within the control group", Bytes(left)),
        _ => found,
    };
    let usable = left.unwrap_or(available).min(available);
    if usable < LOW {
        let advice = "the kernel ends programs when there is none left: make room, or take smaller rings";
        return Check::warning(NAME, found, advice);
    }
    Check::ok(NAME, found)
}

/// From `/proc/swaps`: a heading, then a line for each area with its size and what is used of it, in KiB.
fn swap(swaps: &str) -> Check {
    const NAME: &str = "swap";
    let areas = swaps.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(2).map(str::parse::<u64>);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    });
    let (size, used) = areas.fold((0, 0), |(size, used), area| (size + area.0, used + area.1));
    match (size, used) {
        (0, _) => Check::ok(NAME, "none"),
        (size, 0) => Check::ok(NAME, format!("{}, unused", Bytes(1024 * size))),
        (size, used) => Check::warning(
            NAME,
            format!("{} of {} in use", Bytes(1024 * used), Bytes(1024 * size)),
            "a slot that is swapped out costs milliseconds: free memory, or lock the ring's",
        ),
    }
}

/// From `/proc/meminfo` and the kernel's choice for transparent huge pages, `always [madvise] never`.
fn huge_pages(meminfo: &str, transparent: &str) -> Check {
    const NAME: &str = "huge_pages";
    let number = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
    };
    let (Some(reserved), Some(free)) = (number("HugePages_Total"), number("HugePages_Free")) else {
        return Check::note(NAME, "the kernel does not tell", "rings are in pages of the usual size");
    };
    let size = Bytes(1024 * number("Hugepagesize").unwrap_or_default());
    let chosen = transparent.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let chosen = chosen.map_or("unknown", |(word, _)| word);
    let found = format!("{free} of {reserved} pages of {size} free, transparent: {chosen}");
    match (free, chosen) {
        (0, "never" | "unknown") => Check::note(
            NAME,
            found,
            "of use for rings of many MiB: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        _ => Check::ok(NAME, found),
    }
}

/// What the monotonic clock is like.
struct ClockCost {
    /// To read it once.
    read: Duration,
    /// The smallest step that was seen.
    step: Duration,
}

impl ClockCost {
    fn measure() -> Self {
        const READS: u32 = 10_000;
        let start = Instant::now();
        let (mut last, mut step) = (start, Duration::MAX);
        for _ in 0..READS {
            let now = Instant::now();
            let passed = now - last;
            if !passed.is_zero() {
                step = step.min(passed);
            }
            last = now;
        }
        Self { read: (last - start) / READS, step }
    }
}

fn clock(source: &str, cost: &ClockCost) -> Check {
    const NAME: &str = "clock";
    /// Those that are read from a device, through the kernel.
    const SLOW: [&str; 4] = ["hpet", "acpi_pm", "jiffies", "pit"];
    const SLOW_READ: Duration = Duration::from_micros(1);
    let source = match source.trim() {
        "" => "unknown source",
        word => word,
    };
    let found = format!("{source}, {} to read, steps of {}", human::span(cost.read), human::span(cost.step));
    if SLOW.contains(&source) || cost.read > SLOW_READ {
        let advice = "every latency that is measured costs two reads: boot with clocksource=tsc if the CPU's is stable, \
                      or see what the hypervisor offers";
        return Check::warning(NAME, found, advice);
    }
    Check::ok(NAME, found)
}

fn open_files() -> Check {
    const NAME: &str = "open_files";
    /// The default of connections and streams, and what else is open.
    const WANTED: u64 = 1024 + 64 + 64;
    match raise_open_files_limit() {
        Ok(limit) if limit < WANTED => Check::warning(
            NAME,
            format!("at most {limit}"),
            format!(
                "a server with all its connections needs {WANTED}: raise `ulimit -Hn`, or LimitNOFILE of the unit"
            ),
        ),
        Ok(limit) => Check::ok(NAME, format!("at most {limit}")),
        Err(error) => {
            Check::note(NAME, format!("unknown: {error}"), "the server cannot raise the limit either")
        }
    }
}

fn build() -> Check {
    const NAME: &str = "build";
    if cfg!(debug_assertions) {
        let advice = "many times slower; for any measurement: cargo build --release";
        return Check::warning(NAME, "debug", advice);
    }
    Check::ok(NAME, "release")
}

#[cfg(test)]
mod tests {
    use super::super::check::{Check, Verdict};
    use super::{ClockCost, clock, cpus, governor, huge_pages, memory, nodes, swap};
    use crate::sys::topology::{Limits, Topology, Tree};
    use std::time::Duration;

    fn is(check: &Check, verdict: Verdict, found: &str) {
        assert_eq!((check.verdict, check.found.as_str()), (verdict, found));
        assert_eq!(check.advice.is_empty(), verdict == Verdict::Ok, "{check:?}");
    }

    /// A machine of four CPUs, of which these are left to the program.
    fn machine(usable: &str) -> Topology {
        let tree: Tree = "cpu/online = 0-3\n".parse().expect("it is a tree");
        let affinity = Some(usable.parse().expect("it is a set"));
        Topology::from_tree(&tree, &Limits { group: None, affinity })
    }

    #[test]
    fn cpus_are_counted_as_far_as_they_may_be_used() {
        let all = machine("0-3");
        is(&cpus(Some(&all), None), Verdict::Ok, "4 of 4 online CPUs may be used (0-3)");
        is(&cpus(Some(&all), Some(4.0)), Verdict::Ok, "4 of 4 online CPUs may be used (0-3)");
        let found = "4 of 4 online CPUs may be used (0-3), for the time of 1.50";
        is(&cpus(Some(&all), Some(1.5)), Verdict::Warning, found);
        is(&cpus(Some(&machine("1-2")), None), Verdict::Note, "2 of 4 online CPUs may be used (1-2)");
        is(&cpus(Some(&machine("3")), None), Verdict::Warning, "1 of 4 online CPUs may be used (3)");
        assert_eq!(cpus(None, None).verdict, Verdict::Note);
    }

    #[test]
    fn memory_nodes_are_counted() {
        is(&nodes(Some(&machine("0-3"))), Verdict::Ok, "1 node");
        let two: Tree =
            "cpu/online = 0-3\nnode/online = 0-1\nnode/node0/cpulist = 0-1\nnode/node1/cpulist = 2-3\n"
                .parse()
                .expect("it is a tree");
        is(&nodes(Some(&Topology::from_tree(&two, &Limits::default()))), Verdict::Note, "2 nodes");
        is(&nodes(None), Verdict::Note, "unknown");
    }

    #[test]
    fn a_governor_that_saves_power_is_told() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        is(&governor(&[]), Verdict::Note, "the kernel does not tell");
        is(&governor(&words(&["performance"])), Verdict::Ok, "performance");
        is(&governor(&words(&["performance", "powersave"])), Verdict::Warning, "performance, powersave");
    }

    #[test]
    fn memory_is_what_the_machine_and_the_group_leave() {
        let gib = 1 << 30;
        is(&memory((8 * gib, 4 * gib), None), Verdict::Ok, "4 GiB of 8 GiB available");
        let found = "4 GiB of 8 GiB available, 100 MiB within the control group";
        is(&memory((8 * gib, 4 * gib), Some(100 << 20)), Verdict::Warning, found);
        is(&memory((8 * gib, 4 * gib), Some(9 * gib)), Verdict::Ok, "4 GiB of 8 GiB available");
        is(&memory((0, 0), None), Verdict::Note, "unknown");
    }

    #[test]
    fn swap_counts_only_if_it_is_used() {
        let head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        is(&swap(""), Verdict::Ok, "none");
        is(&swap(head), Verdict::Ok, "none");
        let line = |used: u64| {
            format!("/dev/dm-1                               partition\t8388604\t\t{used}\t\t-2\n")
        };
        is(&swap(&format!("{head}{}", line(0))), Verdict::Ok, "8.0 GiB, unused");
        let two = format!("{head}{}/swap\\040file file 1024 512 -3\nodd\n", line(512));
        is(&swap(&two), Verdict::Warning, "1 MiB of 8.0 GiB in use");
    }

    #[test]
    fn huge_pages_are_reserved_or_transparent() {
        let meminfo = |total: u64, free: u64| {
            format!(
                "MemTotal:        7995356 kB\nAnonHugePages:   2048 kB\nHugePages_Total:       {total}\n\
                 HugePages_Free:        {free}\nHugePages_Rsvd:        0\nHugepagesize:       2048 kB\n"
            )
        };
        let (madvise, never) = ("always [madvise] never\n", "always madvise [never]\n");
        let found = "0 of 0 pages of 2 MiB free, transparent: ";
        is(&huge_pages(&meminfo(0, 0), madvise), Verdict::Ok, &format!("{found}madvise"));
        is(&huge_pages(&meminfo(0, 0), never), Verdict::Note, &format!("{found}never"));
        is(&huge_pages(&meminfo(0, 0), ""), Verdict::Note, &format!("{found}unknown"));
        is(&huge_pages(&meminfo(9, 8), never), Verdict::Ok, "8 of 9 pages of 2 MiB free, transparent: never");
        is(&huge_pages("", madvise), Verdict::Note, "the kernel does not tell");
    }

    #[test]
    fn a_clock_is_judged_by_its_source_and_its_cost() {
        let cost =
            |nanos: u64| ClockCost { read: Duration::from_nanos(nanos), step: Duration::from_nanos(1) };
        is(&clock("tsc\n", &cost(20)), Verdict::Ok, "tsc, 20 ns to read, steps of 1 ns");
        is(&clock("hpet\n", &cost(900)), Verdict::Warning, "hpet, 900 ns to read, steps of 1 ns");
        is(&clock("", &cost(1500)), Verdict::Warning, "unknown source, 1.50 us to read, steps of 1 ns");
        let real = ClockCost::measure();
        assert!(real.read > Duration::ZERO && real.step > Duration::ZERO && real.step < Duration::MAX);
    }
}

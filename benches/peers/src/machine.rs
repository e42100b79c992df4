//! The machine: its CPUs, who else uses them, and what a reader must know of it.

use std::fs;
use std::process::Command;

use core_affinity::{CoreId, get_core_ids, set_for_current};

/// The two CPUs on which everything with two threads runs.
#[derive(Clone, Copy)]
pub struct Cpus {
    pub producer: CoreId,
    pub consumer: CoreId,
}

impl Cpus {
    /// The first two that this process may use.
    pub fn choose() -> Option<Self> {
        match get_core_ids()?[..] {
            [producer, consumer, ..] => Some(Self { producer, consumer }),
            _ => None,
        }
    }
}

/// Binds the calling thread to `cpu`, if there is one.
pub fn pin(cpu: Option<CoreId>) {
    if let Some(cpu) = cpu {
        assert!(set_for_current(cpu), "CPU {} can be used", cpu.id);
    }
}

/// By how much two readings may be wrong together, since the kernel counts whole ticks.
const ROUNDING_TICKS: f64 = 2.0;

/// CPU time since the start of the machine, in ticks of the kernel.
#[derive(Clone, Copy)]
pub struct CpuTime {
    /// Of all CPUs, idle or not.
    all: f64,
    /// Of all CPUs, used by others: processes, the kernel, or the host's other guests.
    foreign: f64,
}

impl CpuTime {
    /// Zero where there is no Linux to ask.
    pub fn now() -> Self {
        let ticks =
            |text: &str| text.split(' ').map(|word| word.parse().unwrap_or(0.0)).collect::<Vec<f64>>();
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let machine = ticks(machine.lines().next().unwrap_or_default().trim_start_matches("cpu "));
        let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name of the process, in brackets, may contain blanks; the fields count from behind it.
        let own = ticks(own.rsplit(") ").next().unwrap_or_default());
        let [user_time, system_time] = [11, 12].map(|field| own.get(field).copied().unwrap_or(0.0));
        // user, nice, system, idle, iowait, irq, softirq, steal.
        let all = machine.iter().skip(1).take(8).sum();
        let idle: f64 = machine.iter().skip(4).take(2).sum();
        Self { all, foreign: all - idle - user_time - system_time }
    }

    /// The part of the CPUs' time that others have used since `earlier`.
    pub fn foreign_since(self, earlier: Self) -> f64 {
        let foreign = self.foreign - earlier.foreign - ROUNDING_TICKS;
        (foreign / (self.all - earlier.all).max(1.0)).max(0.0)
    }
}

/// What the figures depend on, as a Markdown list.
pub fn facts(cpus: Cpus) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let kernel = read("/proc/sys/kernel/osrelease");
    let rustc =
        Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let versions = ["disruptor", "rtrb", "crossbeam-channel"].map(|name| format!("{name} {}", version(name)));
    format!(
        "- CPU: {}; {} usable, producer on {}, consumer on {}\n- kernel: {}\n- compiler: {}\n- peers: {}\n",
        model.trim_start_matches([' ', '\t', ':']),
        get_core_ids().map_or(0, |ids| ids.len()),
        cpus.producer.id,
        cpus.consumer.id,
        kernel.trim(),
        String::from_utf8_lossy(&rustc).trim(),
        versions.join(", "),
    )
}

/// The version of a dependency, from the lock file.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let mut after = lock.lines().skip_while(|line| *line != format!("name = \"{name}\"")).skip(1);
    after.next().map_or("unknown", |line| line.trim_start_matches("version = ").trim_matches('"'))
}

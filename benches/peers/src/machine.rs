//! The machine: its CPUs, who else uses them, and what a reader must know of it.

use std::fs;
use std::process::Command;

use core_affinity::{CoreId, get_core_ids, set_for_current};

use crate::peer::Peer;

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
    /// Of all CPUs, used by others than this process and its children: processes, the kernel, or the host's other guests.
    foreign: f64,
}

impl CpuTime {
    /// Zero where there is no Linux to ask.
    pub fn now() -> Self {
        let ticks =
            |text: &str| text.split(' ').map(|word| word.parse().unwrap_or(0.0)).collect::<Vec<f64>>();
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let machine = ticks(machine.lines().next().unwrap_or_default().trim_start_matches("cpu "));
        let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        let used = |process: &str| -> f64 {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            // The name of the process, in brackets, may contain blanks; the fields count from behind it.
            let stat = ticks(stat.rsplit(") ").next().unwrap_or_default());
            // User and system time.
            stat.iter().skip(11).take(2).sum()
        };
        let own: f64 = children.split_whitespace().chain(["self"]).map(used).sum();
        // user, nice, system, idle, iowait, irq, softirq, steal.
        let all = machine.iter().skip(1).take(8).sum();
        let idle: f64 = machine.iter().skip(4).take(2).sum();
        Self { all, foreign: all - idle - own }
    }

    /// The part of the CPUs' time that others have used since `earlier`.
    pub fn foreign_since(self, earlier: Self) -> f64 {
        let foreign = self.foreign - earlier.foreign - ROUNDING_TICKS;
        (foreign / (self.all - earlier.all).max(1.0)).max(0.0)
    }
}

/// What the figures depend on, as a Markdown list.
pub fn facts(cpus: Cpus, peers: &[Box<dyn Peer>]) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let kernel = read("/proc/sys/kernel/osrelease");
    let rustc =
        Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let versions: Vec<_> = peers.iter().filter_map(|peer| version(&**peer)).collect();
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

/// What the peer itself says, or the version of the dependency of its name in the lock file.
fn version(peer: &dyn Peer) -> Option<String> {
    let line = format!("name = \"{}\"", peer.name());
    let mut lock = include_str!("../Cargo.lock").lines().skip_while(|other| *other != line);
    let locked = lock.nth(1).map(|line| line.trim_start_matches("version = ").trim_matches('"').to_owned());
    peer.version().or(locked).map(|version| format!("{} {version}", peer.name()))
}

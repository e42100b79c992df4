//! Choosing a CPU for each thread.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use super::topology::{Cpu, Topology};
use crate::base::cpu::CpuId;
use crate::base::cpu_set::CpuSet;

/// How threads that nobody has bound are spread over the machine.
///
/// Every policy gives each thread a CPU of its own, of those that the program may use: a core of its own as
/// long as there are some, the faster cores first. Threads beyond the last CPU stay free, for two spinning
/// threads on one CPU would only wait for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placement {
    /// No thread is bound but by its own [`Pin`](super::affinity::Pin).
    #[default]
    Manual,
    /// Close together: behind one cache, then on one node. Events travel the shortest way.
    Compact,
    /// Far apart: on different caches and nodes. Each thread has more cache and memory to itself.
    Spread,
    /// As compact, around the CPU of the producer.
    NearProducer(CpuId),
}

/// Which thread goes where, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    placement: Placement,
    usable: CpuSet,
    seats: Vec<Seat>,
}

/// The place of one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seat {
    /// The thread's name.
    pub thread: Arc<str>,
    /// Its CPU, unless none was left.
    pub cpu: Option<CpuId>,
    /// Why this one.
    pub reason: String,
}

/// The seat that is kept for the producer, whose thread is not the disruptor's.
const PRODUCER: &str = "producer";

impl Placement {
    /// Plans for these threads, in the order in which events reach them, leaving the CPUs of `taken` out.
    ///
    /// The first seat is the producer's, unless the policy is [`Manual`](Self::Manual).
    pub fn plan(self, topology: &Topology, threads: &[Arc<str>], taken: &CpuSet) -> Plan {
        let mut plan = Plan { placement: self, usable: topology.usable().clone(), seats: Vec::new() };
        if self == Self::Manual {
            return plan;
        }
        let mut table = Table { topology, taken: taken.clone(), seated: Vec::new() };
        let producer = match self {
            Self::NearProducer(cpu) => {
                table.take(cpu);
                Seat { thread: PRODUCER.into(), cpu: Some(cpu), reason: "as told".to_owned() }
            }
            _ => table.seat(self, &PRODUCER.into()),
        };
        plan.seats.push(producer);
        plan.seats.extend(threads.iter().map(|thread| table.seat(self, thread)));
        plan
    }
}

impl Plan {
    /// All seats; the producer's first, unless the policy is [`Manual`](Placement::Manual).
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The CPU that is kept for the producer: bind its thread there.
    pub fn producer(&self) -> Option<CpuId> {
        self.seats.first()?.cpu
    }

    /// The CPU of the consumers' thread of this name.
    pub fn cpu_of(&self, thread: &str) -> Option<CpuId> {
        self.seats.iter().skip(1).find(|seat| &*seat.thread == thread)?.cpu
    }

    /// The choice as text: a line for each thread.
    pub fn explain(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = match self.placement {
            Placement::Manual => return writeln!(f, "manual: threads run where they were told, or anywhere"),
            Placement::Compact => "compact".to_owned(),
            Placement::Spread => "spread".to_owned(),
            Placement::NearProducer(cpu) => format!("near the producer on {cpu}"),
        };
        writeln!(f, "{policy}, over CPUs {}", self.usable)?;
        self.seats.iter().try_for_each(|Seat { thread, cpu, reason }| match cpu {
            Some(cpu) => writeln!(f, "{thread}: {cpu}, {reason}"),
            None => writeln!(f, "{thread}: not bound, {reason}"),
        })
    }
}

/// Who sits where so far.
struct Table<'t> {
    topology: &'t Topology,
    /// The CPUs that nobody else may have.
    taken: CpuSet,
    seated: Vec<&'t Cpu>,
}

impl Table<'_> {
    fn take(&mut self, cpu: CpuId) {
        self.taken.insert(cpu);
        self.seated.extend(self.topology.cpu(cpu));
    }

    fn seat(&mut self, placement: Placement, thread: &Arc<str>) -> Seat {
        let free = self.topology.usable().difference(&self.taken);
        let free = free.iter().filter_map(|cpu| self.topology.cpu(cpu));
        let best = match placement {
            Placement::Spread => free.min_by_key(|cpu| self.crowd_around(cpu)),
            _ => match self.seated.first() {
                Some(anchor) => free.min_by_key(|cpu| self.way_to(anchor, cpu)),
                None => free.min_by_key(|cpu| self.room_around(cpu)),
            },
        };
        let thread = Arc::clone(thread);
        match best.map(|cpu| (cpu.id, self.reason(cpu))) {
            Some((cpu, reason)) => {
                self.take(cpu);
                Seat { thread, cpu: Some(cpu), reason }
            }
            None => Seat { thread, cpu: None, reason: "since no CPU is left".to_owned() },
        }
    }

    /// The less, the better to start from: many free CPUs behind one cache, then speed.
    fn room_around(&self, cpu: &Cpu) -> impl Ord + use<> {
        let room = self.topology.usable().difference(&self.taken).intersection(&cpu.near).len();
        (self.shares_core(cpu), Reverse(cpu.capacity), Reverse(room), cpu.id)
    }

    /// The less, the nearer to `anchor`. A core of its own counts more than the cache, and less than the
    /// node.
    fn way_to(&self, anchor: &Cpu, cpu: &Cpu) -> impl Ord + use<> {
        let distance = self.distance(anchor, cpu);
        (distance, self.shares_core(cpu), !anchor.near.contains(cpu.id), Reverse(cpu.capacity), cpu.id)
    }

    /// The less, the fewer others are near.
    fn crowd_around(&self, cpu: &Cpu) -> impl Ord + use<> {
        let on_node = self.seated.iter().filter(|other| other.node == cpu.node).count();
        let on_cache = self.seated.iter().filter(|other| other.near.contains(cpu.id)).count();
        (self.shares_core(cpu), on_node, on_cache, Reverse(cpu.capacity), cpu.id)
    }

    fn shares_core(&self, cpu: &Cpu) -> bool {
        !self.taken.intersection(&cpu.core).is_empty()
    }

    /// As the firmware says, or 0 within a node.
    fn distance(&self, from: &Cpu, to: &Cpu) -> u32 {
        if from.node == to.node {
            return 0;
        }
        let distances = self.topology.node(from.node).map(|node| &node.distances);
        distances.and_then(|distances| distances.get(&to.node)).copied().unwrap_or(u32::MAX)
    }

    fn reason(&self, cpu: &Cpu) -> String {
        let core = if self.shares_core(cpu) { "on a core with others" } else { "a core of its own" };
        let way = match self.seated.first() {
            None => "the first".to_owned(),
            Some(first) if first.near.contains(cpu.id) => format!("behind one cache with {}", first.id),
            Some(first) if first.node == cpu.node => {
                format!("behind another cache than {}, on its node", first.id)
            }
            Some(first) => match self.distance(first, cpu) {
                u32::MAX => format!("on {}, away from {}", cpu.node, first.id),
                distance => format!("on {}, at distance {distance} from {}", cpu.node, first.id),
            },
        };
        format!("{core}, {way}")
    }
}

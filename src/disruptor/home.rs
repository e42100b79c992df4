//! Where a disruptor lives: the CPUs of its threads, and the nodes of its memory.
//!
//! `sys` knows the machine and `graph.rs` knows the threads; here the ones are given to the others, before
//! any thread starts.

use std::io;
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use super::error::StartError;
use super::launch::Launch;
use crate::base::cpu::NumaNodeId;
use crate::base::cpu_set::CpuSet;
use crate::sys::affinity::{Pin, PinError};
use crate::sys::memory::{self, Block, MemoryConfig, MemoryReport, Nodes};
use crate::sys::placement::{Placement, Plan};
use crate::sys::topology::Topology;

pub(super) struct Home {
    placement: Placement,
    nodes: Nodes,
    plan: Option<Plan>,
    compromises: Vec<String>,
}

/// What lies in memory: the slots, and the addresses of the sequences.
pub(super) struct Belongings<'b> {
    pub(super) slots: &'b Block,
    pub(super) sequences: Vec<Range<usize>>,
}

/// The CPUs that a consumer's threads were bound to by the user.
#[derive(Clone, Debug, Default)]
pub(super) enum Pins {
    #[default]
    Free,
    All(Pin),
    /// One each; threads beyond the list stay free.
    Each(Vec<Pin>),
}

impl Pins {
    pub(super) fn of_thread(&self, index: usize) -> Option<Pin> {
        match self {
            Self::Free => None,
            Self::All(pin) => Some(pin.clone()),
            Self::Each(pins) => pins.get(index).cloned(),
        }
    }
}

impl Home {
    pub(super) fn new(placement: Placement, memory: &MemoryConfig) -> Self {
        Self { placement, nodes: memory.nodes.clone(), plan: None, compromises: Vec::new() }
    }

    pub(super) fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Gives each thread that was bound its CPUs, and each other one what the placement finds for it.
    /// Nothing has happened if there is an error.
    pub(super) fn seat(&mut self, launches: &mut [Launch]) -> Result<(), StartError> {
        let Some(first) = launches.first() else { return Ok(()) };
        if self.placement == Placement::Manual && launches.iter().all(|launch| launch.pin.is_none()) {
            return Ok(());
        }
        let topology = detect(&first.name)?;
        resolve(launches, &topology)?;
        let bound = launches.iter().filter_map(|launch| launch.cpus.as_ref());
        // Who may run on several CPUs will find one that is free.
        let taken = bound.filter(|cpus| cpus.len() == 1).fold(CpuSet::new(), |all, cpus| all.union(cpus));
        let free: Vec<_> = launches
            .iter()
            .filter(|launch| launch.cpus.is_none())
            .map(|launch| Arc::clone(&launch.name))
            .collect();
        let plan = self.placement.plan(&topology, &free, &taken);
        for launch in launches.iter_mut().filter(|launch| launch.cpus.is_none()) {
            launch.cpus = plan.cpu_of(&launch.name).map(CpuSet::from);
        }
        self.plan = Some(plan);
        Ok(())
    }

    /// Brings what was placed on one node there, as far as it is not.
    pub(super) fn settle(&mut self, belongings: &Belongings<'_>, launches: &[Launch]) {
        let node = match &self.nodes {
            Nodes::Anywhere | Nodes::Interleaved(_) => return,
            Nodes::On(node, _) => *node,
            Nodes::NearFirstConsumer => match node_of(launches.first()) {
                Ok(node) => node,
                Err(reason) => {
                    self.compromises.push(format!("memory stays where it was made: {reason}"));
                    return;
                }
            },
        };
        if self.nodes == Nodes::NearFirstConsumer {
            self.note("slots", node, belongings.slots.move_to(node));
        }
        self.note("sequences", node, memory::move_to(&belongings.sequences, node));
    }

    fn note(&mut self, what: &str, node: NumaNodeId, moved: io::Result<()>) {
        if let Err(error) = moved {
            self.compromises.push(format!("{what} are not moved to {node}: {error}"));
        }
    }

    pub(super) fn report(&self, belongings: &Belongings<'_>) -> io::Result<MemoryReport> {
        let Belongings { slots, sequences } = belongings;
        let start = slots.start().addr().get();
        let addresses = start..start + slots.bytes();
        Ok(MemoryReport {
            slots: memory::extent(slice::from_ref(&addresses))?,
            sequences: memory::extent(sequences)?,
            compromises: slots.compromises().iter().chain(&self.compromises).cloned().collect(),
        })
    }
}

/// Gives each thread that was bound its CPUs.
pub(super) fn seat_late(launches: &mut [Launch]) -> Result<(), StartError> {
    match launches.iter().find(|launch| launch.pin.is_some()) {
        Some(bound) => resolve(launches, &detect(&bound.name)?),
        None => Ok(()),
    }
}

fn resolve(launches: &mut [Launch], topology: &Topology) -> Result<(), StartError> {
    for launch in launches {
        let Launch { name, pin, cpus, .. } = launch;
        let found = pin.as_ref().map(|pin| pin.resolve(topology)).transpose();
        *cpus = found.map_err(|source| StartError::Pin { name: Arc::clone(name), source })?;
    }
    Ok(())
}

fn detect(name: &Arc<str>) -> Result<Topology, StartError> {
    Topology::detect().map_err(|source| StartError::Pin {
        name: Arc::clone(name),
        source: PinError::System { cpus: CpuSet::new(), source },
    })
}

/// The one node that the thread's CPUs are on, or why there is none.
fn node_of(launch: Option<&Launch>) -> Result<NumaNodeId, String> {
    let launch = launch.ok_or("there is no handler")?;
    let cpus = launch.cpus.as_ref().ok_or_else(|| format!("`{}` is not bound to CPUs", launch.name))?;
    let topology = Topology::detect().map_err(|error| error.to_string())?;
    let mut nodes: Vec<_> = cpus.iter().filter_map(|cpu| Some(topology.cpu(cpu)?.node)).collect();
    nodes.dedup();
    match nodes[..] {
        [node] => Ok(node),
        _ => Err(format!("the CPUs {cpus} of `{}` are not of one node", launch.name)),
    }
}

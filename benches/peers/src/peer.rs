//! What every peer implements.

use crate::batches::Counts;
use crate::lap::Lap;
use crate::latency::{Paced, PingPong};
use crate::machine::Cpus;
use crate::samples::Figure;
use crate::scenario::{Scenario, Work};

/// Something that can be measured.
pub trait Peer {
    fn name(&self) -> &'static str;

    /// What it is exactly, if its name and the lock file do not tell.
    fn version(&self) -> Option<String> {
        None
    }

    /// Runs `scenario` once. `None`: there is no such form.
    fn measure(&self, scenario: &Scenario, cpus: Cpus) -> Result<Option<Figure>, String>;

    /// Runs `scenario` once without a clock, and counts its consumers' batches if it can.
    fn batches(&self, _scenario: &Scenario, _cpus: Cpus) -> Option<Counts> {
        None
    }
}

/// A library for Rust. Each method moves events through new rings or channels, with the threads of its
/// scenario, all of which have ended on return; false if there is no such form.
pub trait Library {
    fn name(&self) -> &'static str;

    /// Whether it counts batches if [`Lap::batch_sizes`] asks it to.
    fn counts_batches(&self) -> bool {
        false
    }

    /// Every consumer gives its events to a [`Lap::sink`], and the producers run under [`Lap::drive`].
    fn flow(&self, lap: &Lap) -> bool;

    /// One thread echoes what the other sends under [`PingPong`].
    fn ping_pong(&self, lap: &PingPong) -> bool;

    /// One thread publishes under [`Paced::drive`], the other gives what comes to [`Paced::sink`].
    fn paced(&self, lap: &Paced) -> bool;
}

impl<L: Library> Peer for L {
    fn name(&self) -> &'static str {
        Library::name(self)
    }

    fn measure(&self, scenario: &Scenario, cpus: Cpus) -> Result<Option<Figure>, String> {
        let cpus = scenario.is_pinned().then_some(cpus);
        let wait = scenario.wait;
        let figure = match &scenario.work {
            Work::Flow(flow) => {
                let lap = Lap::new(flow, wait, cpus);
                self.flow(&lap).then(|| lap.nanos().map(Figure::Nanos))
            }
            &Work::PingPong { trips, capacity } => {
                let lap = PingPong::new(trips, capacity, wait, cpus);
                self.ping_pong(&lap).then(|| lap.latencies().map(Figure::Latency))
            }
            &Work::Paced { rate, events, capacity } => {
                let lap = Paced::new(rate, events, capacity, wait, cpus);
                self.paced(&lap).then(|| lap.latencies().map(Figure::Latency))
            }
        };
        figure.transpose()
    }

    fn batches(&self, scenario: &Scenario, cpus: Cpus) -> Option<Counts> {
        let Work::Flow(flow) = &scenario.work else {
            return None;
        };
        let lap = Lap::counting(flow, scenario.wait, scenario.is_pinned().then_some(cpus));
        (self.counts_batches() && self.flow(&lap)).then(|| lap.batches()).flatten()
    }
}
